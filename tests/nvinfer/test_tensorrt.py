"""What TensorRT takes: the table itself, what it says of models, and whether NVIDIA's own builder agrees."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import onnx
import pytest

from convert.errors import PresetError
from convert.files import load_toml
from convert.isolation import Worker
from convert.nvinfer.targets import target
from convert.nvinfer.tensorrt import Refusal, read_table, refusals, table
from convert.onnx_header import parse_header
from convert.validate import runtimes
from tests.graph.proof import unbuilt

_FORMS = tomllib.loads(Path(__file__).with_name("operators.toml").read_text("utf-8"))
FORMS: dict[str, str] = _FORMS["forms"]
LIMITED: dict[str, str] = _FORMS["limited"]

# TensorRT-RTX comes without NVIDIA's plugin library, which the parser takes these from; and it has no kernel for NMS.
_NOT_IN_RTX = {"DeformConv", "NonMaxSuppression", "NonZero", "RoiAlign"}


@cache
def model(form: str) -> bytes:
    """The model of a line of operators.toml."""
    opset, _, body = form.rpartition("|")
    text = f'<ir_version: 8, opset_import: ["": {opset or 13}]> g (float[N,3,8,8] x) => (y) {{ {body.strip()} }}'
    made = onnx.parser.parse_model(text)
    made.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT  # of any shape, which a text cannot say
    data: bytes = made.SerializeToString()
    return data


def judged(form: str, release: str = "9.2", platform: str = "dgpu") -> list[Refusal]:
    return list(refusals(parse_header(model(form)), target(release, platform)))


@pytest.fixture(scope="module")
def builder() -> Iterator[Worker]:
    if not runtimes.available():
        pytest.skip("the optional package tensorrt-rtx is not installed")
    with Worker() as worker:
        yield worker


def refused(worker: Worker, forms: Mapping[str, str]) -> set[str]:
    """Those of `forms` whose model TensorRT-RTX does not parse, or not build for batches of 1 and 2."""
    by_opset: dict[str, dict[str, bytes]] = {}
    for name, form in forms.items():
        by_opset.setdefault(form.rpartition("|")[0], {})[name] = model(form)
    return {name for models in by_opset.values() for name in unbuilt(worker, models, (3, 8, 8), 2)}


@pytest.mark.slow
def test_table_and_builder_agree_on_every_operator(builder: Worker) -> None:
    said = {name for name, form in FORMS.items() if judged(form)}
    lone = said | _NOT_IN_RTX | {"If"}  # which holds graphs, with names of their own
    found = {name for name in lone if refused(builder, {name: FORMS[name]})}
    found |= refused(builder, {name: form for name, form in FORMS.items() if name not in lone})
    assert found ^ said == _NOT_IN_RTX
    lacking = {name for name, since in table().since.items() if since} - set(FORMS)
    assert lacking == {"ImageScaler", "Loop", "ParametricSoftplus", "ScaledTanh", "Scan"}, "no ONNX, or hold a graph"


def test_table_and_builder_agree_on_every_limit(builder: Worker) -> None:
    assert [name for name, form in LIMITED.items() if not refused(builder, {name: form})] == []


@pytest.mark.parametrize("name", LIMITED)
def test_no_release_takes_these_forms(name: str) -> None:
    assert [(each.operator, each.missing) for each in judged(LIMITED[name])] == [(name.split(maxsplit=1)[0], False)]


@pytest.mark.parametrize(
    ("operator", "last_without", "first_with"),
    [
        ("HardSwish", ("6.0.1", "jetson"), ("6.1.1", "jetson")),
        ("GatherND", ("6.0", "dgpu"), ("6.0.1", "jetson")),
        ("OneHot", ("6.1.1", "dgpu"), ("6.2", "dgpu")),
        ("LayerNormalization", ("6.3", "dgpu"), ("6.4", "dgpu")),
        ("Gelu", ("7.0", "jetson"), ("7.1", "jetson")),
    ],
)
def test_an_operator_is_imported_from_a_release_on(
    operator: str, last_without: tuple[str, str], first_with: tuple[str, str]
) -> None:
    (found,) = judged(FORMS[operator], *last_without)
    assert (found.operator, found.missing) == (operator, True)
    assert f"does not import {operator} (node '" in found.message
    assert not judged(FORMS[operator], *first_with)


def test_the_hint_names_the_first_target_and_the_last_opset() -> None:
    (found,) = judged("14| a = HardSwish (x) y = HardSwish (a)", "6.0.1", "dgpu")
    assert found.nodes == ("a", "y")
    assert found.message == (
        "the ONNX parser of TensorRT 8.0.1.6 (DeepStream 6.0.1, dgpu) does not import HardSwish (node 'a' and 1 more)"
    )
    assert found.hint == (
        "choose --target deepstream-6.1.1 or newer (TensorRT 8.4 takes it) if the device runs that, or export it "
        "to ONNX with opset 13 or lower, which has no HardSwish, or export the model without HardSwish"
    )


_NEAREST = 's = Constant <value_floats = [1.0, 1.0, 2.0, 2.0]> () y = Resize <mode = "nearest"{}> (x, , s)'


_SIZED = (
    "s = Constant <value_ints = [1, 3, 16, 16]> () "
    'y = Resize <mode = "{}", nearest_mode = "floor", coordinate_transformation_mode = "{}"> (x, , , s)'
)
_SCALED = _NEAREST.replace("nearest", "linear")
_PAD = (
    "p = Constant <value_ints = [0, 0, 1, 1, 0, 0, 1, 1]> () v = Constant <value = float {{{}}}> () y = Pad (x, p, v)"
)


@pytest.mark.parametrize(
    ("form", "release", "taken"),
    [
        (_NEAREST.format(""), "5.1", False),
        (_NEAREST.format(""), "6.0", True),
        (_NEAREST.format(', nearest_mode = "floor", coordinate_transformation_mode = "asymmetric"'), "5.1", True),
        (_NEAREST.format(', nearest_mode = "floor", coordinate_transformation_mode = "half_pixel"'), "5.1", False),
        (_SCALED.format(""), "5.1", True),
        (_SCALED.format(', coordinate_transformation_mode = "asymmetric"'), "5.1", True),
        (_SCALED.format(', coordinate_transformation_mode = "align_corners"'), "5.1", False),
        (_SIZED.format("linear", "align_corners"), "5.1", True),
        (_SIZED.format("linear", "asymmetric"), "5.1", False),
        (_SIZED.format("nearest", "align_corners"), "5.1", True),
        (_SIZED.format("nearest", "half_pixel"), "5.1", False),
        (LIMITED["BatchNormalization training_mode"], "6.0", True),
        (_NEAREST.replace("nearest", "cubic").format(""), "6.1.1", False),
        (_NEAREST.replace("nearest", "cubic").format(""), "6.2", True),
        ("10| s = Constant <value = float[4] {1, 1, 2, 2}> () y = Resize (x, s)", "5.1", True),
        ("p = Constant <value_ints = [0, 0, 1, 1, 0, 0, 1, 1]> () y = Pad (x, p)", "5.1", True),
        ("p = Constant <value_ints = [0, 1, 0, 1, 0, 1, 0, 1]> () y = Pad (x, p)", "5.1", False),
        ("p = Constant <value_ints = [0, 1, 0, 1, 0, 1, 0, 1]> () y = Pad (x, p)", "6.0", True),
        ("p = Constant <value_ints = [0, 1, 1, 1, 0, 1, 0, 1]> () y = Pad (x, p)", "6.0", False),
        ("p = Constant <value_ints = [0, 1, 1, 1, 0, 1, 0, 1]> () y = Pad (x, p)", "6.1", True),
        ('p = Constant <value_ints = [0, 0, 1, 1, 0, 0, 1, 1]> () y = Pad <mode = "reflect"> (x, p)', "6.0", False),
        ('p = Constant <value_ints = [0, 0, 1, 1, 0, 0, 1, 1]> () y = Pad <mode = "reflect"> (x, p)', "6.1", True),
        ("10| y = Pad <pads = [0, 1, 0, 0, 0, 0, 0, 0]> (x)", "5.1", False),
        (
            _PAD.format("0"),
            "6.0",
            True,
        ),
        (
            _PAD.format("0.5"),
            "6.0",
            False,
        ),
        ("10| y = Pad <pads = [0, 0, 1, 1, 0, 0, 1, 1], value = 0.5> (x)", "6.0", False),
        ("10| y = Pad <pads = [0, 0, 1, 1, 0, 0, 1, 1], value = 0.0> (x)", "6.0", True),
        ("k = Constant <value_ints = [3840]> () y, i = TopK (x, k)", "5.1", True),
        ("9| y, i = TopK <k = 3841> (x)", "9.2", False),
        ("y = Cast <to = 11> (x)", "6.0", True),
        ("y = Cast <to = 2> (x)", "6.0", False),
        ("a = Constant <value_ints = [2]> () y = ReduceSum (x, a)", "5.1", False),
        ("11| y = ReduceSum <axes = [2]> (x)", "5.1", True),
        ('y = Einsum <equation = "n...,n...->n"> (x, x)', "7.0", False),
        ('y = Einsum <equation = "n...,n...->n"> (x, x)', "7.1", True),
        ("r = ReduceMax <keepdims = 0> (x) y = Clip (x, r)", "5.1", False),
        ("r = ReduceMax <keepdims = 0> (x) y = Clip (x, r)", "6.0", True),
        ("r = Shape (x) c = Cast <to = 1> (r) g = ReduceMax <keepdims = 0> (c) y = Clip (x, g)", "5.1", True),
    ],
)  # fmt: skip
def test_forms_by_release(form: str, release: str, taken: bool) -> None:
    assert (not judged(form, release)) is taken


def test_what_is_not_known_is_not_judged() -> None:
    assert not judged("y = NotYetInvented (x)")
    assert not judged(FORMS["ScatterND"], "6.0"), "a plugin of NVIDIA's library may build it"
    other = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 13, "my.own": 1]> g (float[N,3,8,8] x) => (float[N,3,8,8] y) '
        "{ y = my.own.HardSwish (x) }"
    )
    assert not list(refusals(parse_header(other.SerializeToString()), target("5.1", "dgpu")))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("imported", {"7.1": ["Relu"], "8.0": ["Relu"]}, "the operator Relu stands in it twice"),
        ("imported", {"7.1": "Relu"}, "the file: imported.7.1 must be list of text"),
        ("limit", [{"operator": ["Unknown"], "takes": "x"}], "a limit names Unknown"),
        ("limit", [{"operator": ["Relu"]}], "the file: limit, entry 1: the entry 'takes' is missing"),
        (
            "limit",
            [{"operator": ["Relu"], "takes": "x", "valeus": [1]}],
            "the file: limit, entry 1: unknown entry 'valeus'",
        ),
        (
            "limit",
            [{"operator": ["Relu"], "takes": "x", "attribute": "a", "values": 1}],
            "a limit of Relu has 1 where a list belongs",
        ),
        (
            "limit",
            [{"operator": ["Relu"], "takes": "x", "when": {"a": "b"}}],
            "a limit of Relu has 'b' where a list belongs",
        ),
        ("limit", [{"operator": ["Relu"], "takes": "x", "pattern": "("}], "a limit of Relu has a pattern that is none"),
        ("limit", [{"operator": ["Relu"], "takes": "x", "until": "soon"}], "there is no TensorRT 'soon'"),
        ("imported", {"8.x": ["Relu"]}, "there is no TensorRT '8.x'"),
        ("defaults", {"Relu": 1}, "the file: defaults.Relu must be a table"),
    ],
)
def test_a_damaged_edit_is_named(key: str, value: object, reason: str) -> None:
    data = {**load_toml("tensorrt.toml"), "limit": [], key: value}
    if key == "limit":
        data["imported"] = {"7.1": ["Relu"]}
    with pytest.raises(PresetError, match=f"^{reason}"):
        read_table(data, Path("configs/tensorrt.toml"))
