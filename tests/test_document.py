"""The JSON forms: what is written can be read again, and what a person edited is read or refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert import __version__
from convert.artifacts import (
    Adapted,
    BatchParity,
    Color,
    Evidence,
    Export,
    Head,
    ImageScaling,
    Int8Agreement,
    Metadata,
    ModelFacts,
    OnnxModel,
    Parity,
    Preprocessing,
    ResizeMode,
    Tensor,
    Translated,
)
from convert.document import (
    dumps,
    evidence_document,
    evidence_from_document,
    export_document,
    finding_document,
    metadata_from_document,
    model_document,
    output_document,
    report_document,
)
from convert.errors import InputError
from convert.findings import Level, Rule
from convert.heads import HEADS
from convert.writing import Output, sha256

PATH = Path("metadata.json")

# Lone surrogates cannot stand in a UTF-8 file, so no reader of exports makes them.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
MAYBE_INT = st.none() | st.integers(-(2**40), 2**40)
METADATA = st.builds(
    Metadata,
    labels=st.none() | st.lists(TEXT, max_size=3).map(tuple),
    width=MAYBE_INT,
    height=MAYBE_INT,
    channels=MAYBE_INT,
    color=st.none() | st.sampled_from(Color),
    resize_mode=st.none() | st.sampled_from(ResizeMode),
    image_scaling=st.none() | st.sampled_from(ImageScaling),
    threshold=st.none() | NUMBER,
    nms_iou=st.none() | NUMBER,
    task=st.none() | st.sampled_from([each.id for each in HEADS]),
    sensor=st.none() | TEXT,
    has_anomaly=st.none() | st.booleans(),
    quantized=st.none() | st.booleans(),
    compiled=st.none() | st.booleans(),
    engine=st.none() | TEXT,
    project_id=MAYBE_INT,
    project_name=st.none() | TEXT,
    project_owner=st.none() | TEXT,
    deploy_version=MAYBE_INT,
    impulse_id=MAYBE_INT,
    impulse_name=st.none() | TEXT,
    block_id=MAYBE_INT,
    studio_version=st.none() | TEXT,
)
EVIDENCE = st.builds(
    Evidence,
    parity=st.none() | st.builds(Parity, NUMBER, NUMBER, NUMBER, st.integers(0, 2**40), NUMBER),
    batch=st.none() | st.builds(BatchParity, st.lists(st.integers(1, 99), min_size=1, max_size=3).map(tuple), NUMBER),
    tensorrt=st.none() | TEXT.filter(bool),
    int8_agreement=st.none()
    | st.builds(Int8Agreement, NUMBER, NUMBER, NUMBER, st.integers(0, 2**40), st.integers(0, 9)),
)
# Whatever json.loads can return, NaN, infinity and huge integers included.
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def export(metadata: Metadata | None = None) -> Export:
    facts = ModelFacts(
        Tensor("serving_default_x:0", (1, 96, 96, 3), "int8", 1 / 255, -128),
        (Tensor("Identity", (1, 2), "float32"),),
        ("CONV_2D", "SOFTMAX"),
        "int8",
        "classifier",
    )
    return Export(b"TFL3", "door", "F3b", "door.zip", "src/tflite_learn_4.h", metadata or Metadata(), facts)


def adapted() -> Adapted:
    model = OnnxModel(
        b"onnx", Tensor("x_input", (None, 3, 96, 96), "float32"), (Tensor("scores", (None, 2), "float32"),), 13
    )
    preprocessing = Preprocessing(1 / 255, (), "RGB", True, True, "", ResizeMode.FIT_LONGEST)
    return Adapted(Translated(export(), model), model, Head("classifier", ("öffen", "zu")), preprocessing)


def through_json(document: Any) -> Any:
    return json.loads(dumps(document))


def test_text_is_readable_and_ends_in_a_newline() -> None:
    assert dumps({"b": "öffen", "a": [1]}) == '{\n  "b": "öffen",\n  "a": [\n    1\n  ]\n}\n'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_json_does_not_have_are_a_bug(value: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        dumps({"x": value})


def test_export_document() -> None:
    document = through_json(export_document(export(Metadata(labels=("a", "b"), color=Color.GRAY))))
    metadata = document.pop("metadata")
    assert document == {
        "name": "door",
        "source": "door.zip",
        "member": "src/tflite_learn_4.h",
        "form": "F3b",
        "sha256": sha256(b"TFL3"),
        "bytes": 4,
        "task": "classifier",
        "quantization": "int8",
        "input": {
            "name": "serving_default_x:0",
            "shape": [1, 96, 96, 3],
            "dtype": "int8",
            "scale": 1 / 255,
            "zero_point": -128,
        },
        "outputs": [{"name": "Identity", "shape": [1, 2], "dtype": "float32"}],
        "operators": ["CONV_2D", "SOFTMAX"],
    }
    assert (metadata["labels"], metadata["color"], metadata["width"]) == (["a", "b"], "GRAY", None)


def test_model_document() -> None:
    assert through_json(model_document(adapted())) == {
        "opset": 13,
        "input": {"name": "x_input", "shape": [None, 3, 96, 96], "dtype": "float32"},
        "outputs": [{"name": "scores", "shape": [None, 2], "dtype": "float32"}],
        "head": {
            "task": "classifier",
            "labels": ["öffen", "zu"],
            "merge": None,
            "score": None,
            "coordinates": None,
            "limits": None,
            "overlap": None,
        },
        "preprocessing": {
            "net_scale_factor": 1 / 255,
            "offsets": [],
            "color": "RGB",
            "maintain_aspect_ratio": True,
            "symmetric_padding": True,
            "folded": "",
            "resize_mode": "fit-longest",
            "framing": None,
        },
    }


def test_findings_and_outputs_have_every_key() -> None:
    assert through_json(finding_document(Rule("EI999", Level.NOTE, "title").found("seen"))) == {
        "id": "EI999",
        "level": "note",
        "message": "seen",
        "path": None,
        "line": None,
        "column": None,
        "hint": None,
    }
    assert output_document(Output("a", None)) == {"path": "a", "sha256": None}


def test_report() -> None:
    evidence = Evidence(Parity(1e-6, 1e-7, 1.0, 32, 1e-4), BatchParity((1, 2, 8), 0.0))
    finding = Rule("EI999", Level.NOTE, "title").found("seen")
    report = through_json(report_document(adapted(), evidence, {"opset": 13}, [Output("a", "0" * 64)], [finding]))
    assert list(report) == [
        "schema_version",
        "tool",
        "export",
        "model",
        "evidence",
        "options",
        "files",
        "findings",
    ]
    assert report["schema_version"] == 1
    assert report["tool"] == {"name": "ei-deepstream", "version": __version__}
    assert report["evidence"] == {
        "parity": {"max_abs_diff": 1e-6, "mean_abs_diff": 1e-7, "top1": 1.0, "inputs": 32, "tolerance": 1e-4},
        "batch": {"sizes": [1, 2, 8], "max_abs_diff": 0.0},
        "tensorrt": None,
        "decoding": None,
        "int8_agreement": None,
        "framing": None,
    }
    assert report["files"] == [{"path": "a", "sha256": "0" * 64}]
    assert report["findings"][0]["id"] == "EI999"


@settings(max_examples=60, deadline=None)
@given(METADATA)
def test_metadata_is_read_as_it_was_written(metadata: Metadata) -> None:
    assert metadata_from_document(through_json(export_document(export(metadata))), PATH) == metadata


@settings(max_examples=60, deadline=None)
@given(EVIDENCE)
def test_evidence_is_read_as_it_was_written(evidence: Evidence) -> None:
    assert evidence_from_document(through_json(evidence_document(evidence)), PATH) == evidence


@pytest.mark.parametrize("document", [None, [], "x", {}, {"metadata": None}, {"metadata": []}])
def test_not_a_metadata_document(document: object) -> None:
    with pytest.raises(InputError, match=r"not a metadata\.json") as caught:
        metadata_from_document(document, PATH)
    assert caught.value.path == "metadata.json"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"widht": 96}, "unknown metadata: widht"),
        ({"width": "96"}, "'width' cannot be '96'"),
        ({"width": 96.0}, r"'width' cannot be 96\.0"),
        ({"width": True}, "'width' cannot be True"),
        ({"has_anomaly": 1}, "'has_anomaly' cannot be 1"),
        ({"threshold": "0.5"}, "'threshold' cannot be"),
        ({"threshold": float("nan")}, "'threshold' cannot be nan"),
        ({"threshold": 10**400}, "'threshold' cannot be 1000"),
        ({"color": "BGR"}, "'color' cannot be 'BGR'"),
        ({"labels": "a;b"}, "'labels' cannot be 'a;b'"),
        ({"labels": ["a", 1]}, "'labels' cannot be"),
        ({"labels": ["\ud800"]}, "'labels' cannot be"),
    ],
)
def test_metadata_of_the_wrong_kind(values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        metadata_from_document({"metadata": values}, PATH)
    assert caught.value.path == "metadata.json"


def test_whole_numbers_are_numbers() -> None:
    metadata = metadata_from_document({"metadata": {"threshold": 1}}, PATH)
    assert metadata.threshold == 1.0
    assert type(metadata.threshold) is float


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(Metadata.__dataclass_fields__)), JSON, max_size=4))
def test_any_metadata_is_read_or_refused(values: dict[str, object]) -> None:
    try:
        metadata = metadata_from_document({"metadata": values}, PATH)
    except InputError:
        return
    assert metadata_from_document(through_json(export_document(export(metadata))), PATH) == metadata


def damaged(document: dict[str, Any], place: str, value: object) -> dict[str, Any]:
    group, _, name = place.partition(".")
    return {**document, group: {**document[group], name: value} if name else value}


GOOD = evidence_document(Evidence(Parity(1e-6, 1e-7, 1.0, 32, 1e-4), BatchParity((1, 2, 8), 0.0), decoding=0.0))
PLACES = [
    "parity",
    "batch",
    "decoding",
    "tensorrt",
    "parity.max_abs_diff",
    "parity.top1",
    "parity.inputs",
    "batch.sizes",
    "batch.max_abs_diff",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(PLACES), JSON)
def test_any_evidence_is_read_or_refused(place: str, value: object) -> None:
    try:
        evidence = evidence_from_document(damaged(GOOD, place, value), PATH)
    except InputError as error:
        assert error.path == "metadata.json"  # noqa: PT017 - both ways are right
        return
    assert evidence_from_document(through_json(evidence_document(evidence)), PATH) == evidence


@pytest.mark.parametrize("document", [None, [], {}, {"parity": None}])
def test_not_an_evidence_document(document: object) -> None:
    with pytest.raises(InputError, match="not the evidence"):
        evidence_from_document(document, PATH)
