"""The header of an ONNX file, held against the onnx package; damaged files; weights that are never touched."""

from __future__ import annotations

import contextlib
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from convert.errors import InputError
from convert.onnx_header import SMALL, Damaged, Header, field_of, parse_header, read_header
from tests.examples import examples

ROOT = Path(__file__).resolve().parents[1]
_TYPES = {1: "float", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 10: "half", 16: "bfloat16"}
_names = st.text(st.characters(codec="utf-8"), max_size=12)
_dims = st.lists(st.one_of(st.integers(-1, 2**40), _names, st.none()), max_size=5)
_values = st.builds(helper.make_tensor_value_info, _names, st.sampled_from(sorted(_TYPES)), st.one_of(st.none(), _dims))
_integers = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=SMALL + 4)
_attributes = st.dictionaries(
    st.sampled_from(["axis", "mode", "pads", "alpha", "t"]),
    st.one_of(
        st.integers(-(2**63), 2**63 - 1),
        st.floats(width=32, allow_nan=False),
        st.sampled_from(["", "linear", "m" * 1001]),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=SMALL + 4),
        st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=3),
        st.just(numpy_helper.from_array(np.ones(3, np.int64))),
    ),
)


@st.composite
def _tensors(draw: st.DrawFn) -> onnx.TensorProto:
    numbers = draw(_integers)
    kind = draw(st.sampled_from([TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT]))
    name = draw(_names)
    if draw(st.booleans()):
        dtype = {TensorProto.INT64: np.int64, TensorProto.INT32: np.int32, TensorProto.FLOAT: np.float32}[kind]
        return numpy_helper.from_array(np.array(numbers, dtype), name)
    return helper.make_tensor(name, kind, [len(numbers)], numbers)


@st.composite
def _models(draw: st.DrawFn) -> onnx.ModelProto:
    constants = [
        helper.make_node("Constant", [], [draw(_names)], value=draw(_tensors())) for _ in range(draw(st.integers(0, 2)))
    ]
    constants += [helper.make_node("Constant", [], [draw(_names)], value_ints=[7, *draw(_integers)])]
    nodes = draw(
        st.lists(
            st.builds(
                lambda op, domain, inputs, outputs, name, attributes: helper.make_node(
                    op, inputs, outputs, name, domain=domain, **attributes
                ),
                _names, st.sampled_from(["", "ai.onnx", "x.y"]), st.lists(_names, max_size=3),
                st.lists(_names, max_size=2), _names, _attributes,
            ),
            max_size=4,
        )
    )  # fmt: skip
    graph = helper.make_graph(
        [*constants, *nodes],
        draw(_names),
        draw(st.lists(_values, max_size=3)),
        draw(st.lists(_values, min_size=1, max_size=3)),
        draw(st.lists(_tensors(), max_size=3)),
        doc_string=draw(_names),
    )
    opsets = [helper.make_opsetid(domain, draw(st.integers(1, 30))) for domain in ("", "x.y")]
    model = helper.make_model(graph, opset_imports=opsets)
    helper.set_model_props(model, draw(st.dictionaries(_names, _names, max_size=3)))
    return model


@examples(150)
@given(_models())
def test_the_header_is_what_onnx_reads(model: onnx.ModelProto) -> None:
    data = model.SerializeToString()
    _agree(parse_header(data), onnx.load_model_from_string(data))


def test_a_number_that_proto3_leaves_out_is_zero() -> None:
    """A writer of proto3 leaves out what is 0; its attribute has a name and a type alone."""
    zero = {1: 0.0, 2: 0}
    for kind, number in zero.items():
        attribute = _field(1, b"axis") + bytes([20 << 3 & 0x7F | 0x80, 1, kind])
        node = _field(4, b"Softmax") + _field(5, attribute)
        (found,) = parse_header(_field(7, _field(1, node))).nodes
        assert found.attributes == {"axis": number}


def test_real_models_agree(tmp_path: Path) -> None:
    data = onnx.parser.parse_model(
        '<ir_version: 7, opset_import: ["": 13, "a.b": 2]> net (float[N,3,8,8] x, float[2] w) => (float[N,2] y)'
        " <float[2] w = {1, 2}> { y = Some (x, w) }"
    ).SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    header = read_header(path)
    _agree(header, onnx.load(path))
    assert [each.name for each in header.inputs] == ["x"], "weights with a default are no inputs"


def _agree(header: Header, model: onnx.ModelProto) -> None:
    graph = model.graph
    initialisers = {each.name for each in graph.initializer}
    assert header.initialisers == initialisers
    assert [_value(each) for each in graph.output] == [tuple(each) for each in header.outputs]
    wanted = [_value(each) for each in graph.input if each.name not in initialisers]
    assert wanted == [tuple(each) for each in header.inputs]
    assert [(n.op_type, n.domain, tuple(n.input), tuple(n.output), n.name) for n in graph.node] == [
        tuple(each)[:5] for each in header.nodes
    ]
    for node, read in zip(graph.node, header.nodes, strict=True):
        assert read.attributes == dict(filter(None, map(_attribute, node.attribute)))
    for name, number in header.scalars.items():
        assert number in _floats(model, name)
    standard = [each.version for each in model.opset_import if each.domain in {"", "ai.onnx"}]
    assert header.opset == max(standard, default=0)
    assert header.metadata == {each.key: each.value for each in model.metadata_props}
    for name, numbers in header.integers.items():
        assert numbers in _constants(model, name)
    for tensor in graph.initializer:
        if tensor.data_type in {TensorProto.INT32, TensorProto.INT64} and np.prod(tensor.dims) <= SMALL:
            assert tensor.name in header.integers
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) == 1:
            assert tensor.name in header.scalars


def _attribute(attribute: onnx.AttributeProto) -> tuple[str, Any] | None:
    """What is read of it: numbers, short texts, short lists of integers."""
    value = helper.get_attribute_value(attribute)
    if attribute.type == onnx.AttributeProto.STRING:
        return (attribute.name, value.decode()) if len(value) <= 1000 else None
    if attribute.type == onnx.AttributeProto.INTS:
        return (attribute.name, tuple(value)) if len(value) <= SMALL else None
    is_number = attribute.type in {onnx.AttributeProto.INT, onnx.AttributeProto.FLOAT}
    return (attribute.name, value) if is_number else None


def _floats(model: onnx.ModelProto, name: str) -> list[float]:
    """Every float32 of one element of that name."""
    nodes = (node for node in model.graph.node if node.op_type == "Constant" and name in node.output)
    tensors = [attribute.t for node in nodes for attribute in node.attribute if attribute.HasField("t")]
    tensors += [each for each in model.graph.initializer if each.name == name]
    return [numpy_helper.to_array(each).item() for each in tensors if each.data_type == 1 and np.prod(each.dims) == 1]


def _constants(model: onnx.ModelProto, name: str) -> list[tuple[int, ...]]:
    """Every constant of that name, shortened to what is kept."""
    found = [numpy_helper.to_array(each).ravel() for each in model.graph.initializer if each.name == name]
    for node in model.graph.node:
        if node.op_type == "Constant" and name in node.output:
            for attribute in node.attribute:
                array = numpy_helper.to_array(attribute.t) if attribute.HasField("t") else np.array(attribute.ints)
                found.append(array.ravel())
    return [tuple(int(each) for each in array[:SMALL]) for array in found]


def _value(info: onnx.ValueInfoProto) -> tuple[Any, ...]:
    tensor = info.type.tensor_type
    dims: Any = None
    if tensor.HasField("shape"):
        dims = tuple(
            each.dim_value if each.HasField("dim_value") else (each.dim_param or None) for each in tensor.shape.dim
        )
    return info.name, _TYPES[tensor.elem_type], dims


@examples(300)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_model_or_damaged(data: bytes) -> None:
    _made_of(data)


@examples(200)
@given(_models(), st.data())
def test_changed_models_are_read_or_damaged(model: onnx.ModelProto, data: st.DataObject) -> None:
    original = bytearray(model.SerializeToString())
    cut = data.draw(st.integers(0, len(original)))
    changed = bytes(original[:cut])
    if original and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(original) - 1))
        original[place] = data.draw(st.integers(0, 255))
        changed = bytes(original)
    _made_of(changed)


def _made_of(data: bytes) -> None:
    """What is read without an error stands in the bytes."""
    with contextlib.suppress(Damaged):
        found = parse_header(data)
        for name in [*found.domains, *found.initialisers, *(node.op for node in found.nodes)]:
            assert all(part.encode() in data for part in name.split("\ufffd"))  # bytes that are no UTF-8


def test_weights_are_never_read(tmp_path: Path) -> None:
    """A model of 4 GiB, most of it a hole in the file."""
    size = 2**32
    weights = _field(9, b"")[:1] + _varint(size)
    tensor_head = _field(8, b"w") + b"\x10\x01" + weights
    outputs = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2]).SerializeToString()
    graph = b"\x2a" + _varint(len(tensor_head) + size) + tensor_head
    tail = _field(12, outputs)
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.write(b"\x3a" + _varint(len(graph) + size + len(tail)) + graph)
        file.seek(size, os.SEEK_CUR)
        file.write(tail)
    tracemalloc.start()
    header = read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert header.initialisers == {"w"}
    assert [each.name for each in header.outputs] == ["y"]
    assert peak < 2**20


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _fixed(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | {4: 5, 8: 1}[len(data)]) + data


_ONE, _INT64, _RAW = b"\x00\x00\x80\x3f", _number(2, 7), (5).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("tensor", "found"),
    [
        (_number(2, 1) + _field(9, _ONE), 1.0),
        (_number(2, 1) + _fixed(4, _ONE), 1.0),
        (_number(2, 1) + _field(4, _ONE), 1.0),
        (_number(2, 1) + _number(1, 1) + _field(9, _ONE), 1.0),
        (_number(2, 1) + _number(1, 2) + _field(9, _ONE), None),
        (_number(2, 1) + _field(9, _RAW), None),
        (_number(2, 1) + _number(5, 1), None),
        (_number(2, 1), None),
        (_field(9, _ONE), None),
        (_field(9, _RAW), None),
        (_number(2, 11) + _field(9, _RAW), None),
        (_INT64 + _field(9, _RAW), (5,)),
        (_INT64 + _field(9, _RAW[:7]), None),
        (_INT64 + _number(9, 5), None),
        (_INT64 + _number(7, 5), (5,)),
        (_INT64 + _number(4, 9) + _number(7, 5), (5,)),
        (_number(2, 6) + _number(5, 2**64 - 5), (-5,)),
        (_INT64 + _number(1, 2) + _number(7, 5), None),
        (_INT64 + _number(1, 2) + _field(7, _varint(5) + _varint(2**64 - 6)), (5, -6)),
        (_INT64 + _field(1, _varint(2) + _varint(1)) + _number(7, 5) + _number(7, 6), (5, 6)),
        (_INT64 + _number(1, 0), ()),
        (_INT64 + _number(1, 2**64 - 3), ()),
        (_INT64 + _number(1, SMALL) + _field(7, bytes(SMALL)), (0,) * SMALL),
        (_INT64 + _number(1, SMALL + 1) + _field(7, bytes(SMALL + 1)), None),
        (_number(2, 6) + _field(9, _RAW[:4]), (5,)),
        (_number(2, 2) + _field(9, b"\xff"), (255,)),
        (_number(2, 3) + _field(9, b"\xff"), (-1,)),
    ],
)
def test_elements_of_a_tensor(tensor: bytes, found: tuple[int, ...] | float | None) -> None:
    """What is read of an initialiser and of a Constant: only what its type and dimensions say is there."""
    node = _field(4, b"Constant") + _field(2, b"c") + _field(5, _field(1, b"value") + _field(5, tensor))
    header = parse_header(_field(7, _field(5, _field(8, b"w") + tensor) + _field(1, node)))
    assert header.initialisers == {"w"}
    kept: Any = header.scalars if isinstance(found, float) else header.integers
    assert dict(kept) == ({} if found is None else {"w": found, "c": found})
    assert len(header.scalars) + len(header.integers) == len(kept)
    assert header.nodes[0].constant == (None if isinstance(found, float) else found)


@pytest.mark.parametrize(
    ("dim", "size"),
    [
        (_number(1, 8), 8),
        (_number(1, 0), 0),
        (_number(1, 2**64 - 1), -1),
        (_number(1, 2**64 + 5), 5),
        (_number(1, 2**63 - 1), 2**63 - 1),
        (_number(1, 2**63), -(2**63)),
        (_field(2, b"N"), "N"),
        (_field(2, b""), None),
        (b"", None),
        (_field(1, b"8"), None),
        (_number(3, 8), None),
        (_number(3, 8) + _number(1, 9), 9),
        (_field(3, b"batch") + _field(2, b"N"), "N"),
    ],
)
def test_a_dimension(dim: bytes, size: int | str | None) -> None:
    tensor = _number(1, 1) + _field(2, _number(2, 7) + _field(1, dim) + _field(1, _number(1, 3)))
    value = _field(1, b"y") + _field(2, _number(3, 7) + _field(1, tensor))
    (output,) = parse_header(_field(7, _field(12, value))).outputs
    assert output == ("y", "float", (size, 3))


@pytest.mark.parametrize(
    ("type_", "dtype", "numpy_type", "dims", "shape"),
    [
        (b"", "no tensor", "unknown", None, ()),
        (_field(4, _field(1, _number(1, 1))), "no tensor", "unknown", None, ()),  # a sequence
        (_field(1, b""), "no tensor", "unknown", None, ()),
        (_field(1, _number(1, 1)), "float", "float32", None, ()),
        (_field(1, _number(1, 10) + _field(2, b"")), "half", "float16", (), ()),
        (_field(1, _number(1, 11) + _field(2, _field(1, b""))), "double", "float64", (None,), (None,)),
        (_field(1, _number(1, 3) + _field(2, _field(1, _field(2, b"N")))), "int8", "int8", ("N",), (None,)),
        (_field(1, _number(1, 16) + _field(3, b"x")), "bfloat16", "bfloat16", None, ()),
        (_field(1, _number(1, 99)), "type 99", "unknown", None, ()),
    ],
)
def test_a_type(type_: bytes, dtype: str, numpy_type: str, dims: object, shape: object) -> None:
    (output,) = parse_header(_field(7, _field(12, _field(1, b"y") + _field(2, type_)))).outputs
    assert output == ("y", dtype, dims)
    assert (output.numpy_type, output.shape) == (numpy_type, shape)


@pytest.mark.parametrize("kind", range(1, 17))
def test_element_types_are_called_as_onnx_does(kind: int) -> None:
    (output,) = parse_header(_field(7, _field(12, _field(1, b"y") + _field(2, _field(1, _number(1, kind)))))).outputs
    assert output.dtype == TensorProto.DataType.Name(kind).lower().replace("float16", "half").replace(
        "bhalf", "bfloat16"
    )
    if kind != TensorProto.STRING:
        assert output.numpy_type == helper.tensor_dtype_to_np_dtype(kind).name


@pytest.mark.parametrize(
    ("attribute", "found"),
    [
        (_fixed(2, _ONE), 1.0),
        (_number(2, 1), None),
        (_number(3, 2**64 - 1), -1),
        (_field(3, b"1"), None),
        (_field(4, b"linear"), "linear"),
        (_field(4, b"m" * 1000), "m" * 1000),
        (_field(4, b"m" * 1001), None),
        (_number(4, 1), None),
        (_number(8, 1) + _number(8, 2), (1, 2)),
        (_field(8, b"\1\2"), (1, 2)),
        (_field(8, bytes(SMALL)), (0,) * SMALL),
        (_field(8, bytes(SMALL + 1)), None),
        (_field(8, bytes(SMALL)) + _number(8, 0), None),
        (_number(20, 1), 0.0),
        (_number(20, 2), 0),
        (_number(20, 7), None),
        (_number(3, 5) + _number(20, 2), 5),
        (_field(20, b""), None),
    ],
)
def test_an_attribute(attribute: bytes, found: Any) -> None:
    node = _field(4, b"Op") + _field(5, _field(1, b"a") + attribute)
    (read,) = parse_header(_field(7, _field(1, node))).nodes
    assert read.attributes == ({} if found is None else {"a": found})
    assert type(read.attributes.get("a")) is type(found)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (_number(7, 1), "there is no graph"),
        (_field(7, b""), "its graph is empty"),
        (_field(7, _field(10, b"doc")), "its graph is empty"),
        (_field(7, _number(1, 1)), "a number stands where a message belongs"),
        (_field(7, _field(1, _number(4, 1))), "a number stands where text belongs"),
        (_field(7, _field(5, _fixed(1, _RAW))), "a list of numbers has another type"),
        (b"\x00\x00", "a field has the number 0"),
        (b"\x3b", "a field has the unknown wire type 3"),
        (b"\x3a\x02\x00", "a field is longer than what is left"),
        (b"\x3a\x80", "a number is cut off"),
        (b"\x08" + b"\x80" * 9, "a number is cut off"),
        (b"\x08" + b"\x80" * 10 + b"\x00", "a number is longer than 64 bits"),
    ],
)
def test_damage_is_said(data: bytes, says: str) -> None:
    with pytest.raises(Damaged, match=f"^{says}"):
        parse_header(data)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 16383, 16384, 20000])
def test_a_field_that_is_written_is_read_again(size: int) -> None:
    assert field_of(7, bytes(size)) == _field(7, bytes(size))


def test_operator_sets() -> None:
    sets = (("", 13), ("ai.onnx", 15), ("x.y", 30), ("none", None))
    parts = (_field(1, name.encode()) + (b"" if number is None else _number(2, number)) for name, number in sets)
    graph = _field(7, _field(1, _field(4, b"Op")))
    header = parse_header(graph + b"".join(_field(8, each) for each in parts))
    assert (header.opset, header.domains) == (15, ("", "ai.onnx", "none", "x.y"))
    assert parse_header(graph + _field(8, _field(2, b"13"))).opset == 0
    assert parse_header(graph).opset == 0
    unnamed = parse_header(graph + _field(8, _number(2, 13)))
    assert (unnamed.opset, unnamed.domains) == (13, ("",))


def test_what_has_no_name_has_an_empty_one() -> None:
    tensor = _number(2, 7) + _number(7, 5)
    graph = _field(1, _field(5, _number(3, 1))) + _field(5, tensor) + _field(12, b"")
    header = parse_header(_field(7, graph) + _field(14, b""))
    assert header.nodes == (("", "", (), (), "", None, {"": 1}),)
    assert header.outputs == (("", "no tensor", None),)
    assert (header.initialisers, header.integers, header.metadata) == (frozenset({""}), {"": (5,)}, {"": ""})


@pytest.mark.parametrize(
    ("attribute", "constant"),
    [
        (_field(1, b"value_int") + _number(3, 2**64 - 7), (-7,)),
        (_field(1, b"value_ints") + _number(8, 1) + _field(8, b"\2\3"), (1, 2, 3)),
        (_field(1, b"value_ints") + _field(8, bytes(SMALL + 1)), (0,) * SMALL),
        (_field(1, b"value_ints"), ()),
        (_field(1, b"value_float") + _fixed(2, _ONE), None),
        (_field(1, b"other") + _number(3, 7), None),
    ],
)
def test_integers_of_a_constant(attribute: bytes, constant: tuple[int, ...] | None) -> None:
    node = _field(4, b"Constant") + _field(2, b"c") + _field(2, b"d") + _field(5, attribute)
    header = parse_header(_field(7, _field(1, node)))
    assert header.nodes[0].constant == constant
    assert header.integers == ({} if constant is None else {"c": constant})


def test_external_weights_are_named(tmp_path: Path) -> None:
    text = '<ir_version: 7, opset_import: ["": 13]> g (float[2] x) => (float[2] y) { y = Add (x, w) }'
    model = onnx.parser.parse_model(text)
    tensor = numpy_helper.from_array(np.ones(2, np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, "weights.bin")
    tensor.ClearField("raw_data")
    model.graph.initializer.append(tensor)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    assert read_header(tmp_path / "m.onnx").external == ("weights.bin",)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the model is an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an ONNX model but the pointer that Git LFS"),
        (b"PK\x03\x04 a zip", "not an ONNX model"),
        (b"\x08\x07", "not an ONNX model: there is no graph"),
        (b"\x3a\x7f", "not an ONNX model: a field is longer than what is left"),
    ],
)
def test_what_is_no_model_says_so(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(InputError, match=f"^{says}"):
        read_header(tmp_path / "m.onnx")


def test_other_things_than_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    said = {
        "pipe": "the model is no ordinary file | name an .onnx file",
        "loop": "the model cannot be read: Too many levels of symbolic links | check the path and its rights",
        "missing": "the model cannot be read: No such file or directory | check the path and its rights",
        ".": "the model is no ordinary file | name an .onnx file",
    }
    for name, expected in said.items():
        with pytest.raises(InputError) as caught:
            read_header(tmp_path / name)
        assert f"{caught.value.message} | {caught.value.hint}" == expected


def test_no_file_stays_open(tmp_path: Path) -> None:
    good, bad = tmp_path / "m.onnx", tmp_path / "bad.onnx"
    good.write_bytes(_field(7, _field(1, _field(4, b"Op"))))
    bad.write_bytes(b"\xff" * 100)
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        assert read_header(good).nodes
        with pytest.raises(InputError):
            read_header(bad)
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_sparse_weights_are_weights() -> None:
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    x, w, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2]) for name in "xwy")
    values, places = np.array([1, 2], np.float32), np.array([0, 3], np.int64)
    sparse = helper.make_sparse_tensor(numpy_helper.from_array(values, "w"), numpy_helper.from_array(places), [2, 2])
    graph = helper.make_graph([node], "g", [x, w], [y], sparse_initializer=[sparse])
    header = parse_header(helper.make_model(graph).SerializeToString())
    assert header.initialisers == {"w"}
    assert [each.name for each in header.inputs] == ["x"]
