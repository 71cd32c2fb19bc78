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
from convert.onnx_header import SMALL, Damaged, Header, parse_header, read_header
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
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


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
        (b"", "empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"PK\x03\x04 a zip", "not an ONNX model"),
        (b"\x08\x07", "no graph"),
        (b"\x3a\x7f", "longer than what is left"),
    ],
)
def test_what_is_no_model_says_so(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(InputError, match=says):
        read_header(tmp_path / "m.onnx")


def test_other_things_than_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("pipe", "loop", "missing", "."):
        with pytest.raises(InputError):
            read_header(tmp_path / name)
