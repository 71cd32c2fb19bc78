"""The JSON forms: what is written can be read again, and what a person edited is read or refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert import __version__
from convert.errors import InputError
from convert.files import Output, sha256
from convert.findings import Rule
from convert.heads import HEADS
from convert.images import Frame, Framing, ImageScaling, ResizeMode
from convert.report import (
    BundleReport,
    OnnxMetadata,
    UnpackedModel,
    app_report,
    dumps,
    evidence_document,
    evidence_json,
    export_document,
    finding_document,
    metadata_json,
    model_document,
    output_document,
    read_evidence,
    report_document,
    with_resize_mode,
)
from convert.types import (
    Adapted,
    AnswerCounts,
    AnswerEvidence,
    BatchParity,
    Color,
    Evidence,
    Export,
    Head,
    Int8Agreement,
    Limits,
    Metadata,
    ModelFacts,
    OnnxModel,
    Parity,
    Preprocessing,
    Tensor,
    Translated,
    Validated,
)
from tests.examples import examples

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
COUNTS = st.builds(AnswerCounts, *[st.integers(0, 200)] * 5)
EVIDENCE = st.builds(
    Evidence,
    answers=st.none()
    | st.builds(
        AnswerEvidence,
        frame=TEXT,
        threshold=st.none() | NUMBER,
        tolerance=NUMBER,
        generated=COUNTS,
        given=st.none() | COUNTS,
        causes=st.dictionaries(TEXT, st.integers(0, 200), max_size=3),
        explained=st.integers(0, 10),
    ),
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
    assert dumps({"ö": "\udcff"}) == b'{\n  "\\u00f6": "\\udcff"\n}\n', "a file name that is not UTF-8"
    assert dumps({"b": "öffen", "a": [1]}) == '{\n  "b": "öffen",\n  "a": [\n    1\n  ]\n}\n'.encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_json_does_not_have_are_a_bug(value: float) -> None:
    with pytest.raises(ValueError, match=r"^Out of range float values are not JSON compliant"):
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
        "file": "door.onnx",
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
            "threshold": None,
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
    assert through_json(finding_document(Rule("EI104").found("seen"))) == {
        "id": "EI104",
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
    finding = Rule("EI104").found("seen")
    validated = Validated(adapted(), evidence)
    report = through_json(report_document(validated, {"opset": 13}, [Output("a", "0" * 64)], [finding]))
    assert list(report) == ["schema_version", "tool", "export", "model", "evidence", "options", "files", "findings"]
    assert report["schema_version"] == 1
    assert report["tool"] == {"name": "ei-deepstream", "version": __version__}
    assert report["evidence"] == {
        "parity": {
            "max_abs_diff": 1e-6,
            "mean_abs_diff": 1e-7,
            "top1": 1.0,
            "inputs": 32,
            "tolerance": 1e-4,
            "exact": True,
        },
        "batch": {"sizes": [1, 2, 8], "max_abs_diff": 0.0},
        "tensorrt": None,
        "decoding": None,
        "int8_agreement": None,
        "framing": None,
        "answers": None,
        "for_objects": None,
        "source_parity": None,
        "int8": None,
        "precisions": [],
    }
    assert report["files"] == [{"path": "a", "sha256": "0" * 64}]
    assert report["findings"][0]["id"] == "EI104"


def test_the_report_of_two_models() -> None:
    """A path in a finding is the file's name alone."""
    one = Validated(adapted(), Evidence(), (Rule("EI101").found("first", path=Path("/home/me/door.zip")),))
    two = Validated(adapted(), Evidence())
    found = [Rule("EI104").found("seen")]
    report = through_json(app_report((one, {"gie_id": 1}), (two, {"gie_id": 2}), [Output("a", "0" * 64)], found))
    assert list(report) == ["schema_version", "tool", "primary", "secondary", "files", "findings"]
    parts = [report["primary"], report["secondary"]]
    assert [part["options"] for part in parts] == [{"gie_id": 1}, {"gie_id": 2}]
    assert [[each["path"] for each in part["findings"]] for part in parts] == [["door.zip"], []]
    assert [each["id"] for each in report["findings"]] == ["EI104"]
    assert report["files"] == [{"path": "a", "sha256": "0" * 64}]


def unpacked(document: Any) -> Metadata:
    """The metadata of a metadata.json with this content."""
    found = UnpackedModel.parse(json.dumps({"sha256": "", **document}).encode(), PATH)
    assert found is not None
    return found.metadata


@examples(60)
@given(METADATA)
def test_metadata_is_read_as_it_was_written(metadata: Metadata) -> None:
    found = UnpackedModel.parse(metadata_json(export(metadata), ()), PATH)
    assert found is not None
    assert (found.sha256, found.name, found.metadata) == (sha256(b"TFL3"), "door", metadata)


@examples(60)
@given(evidence=EVIDENCE)
def test_evidence_is_read_as_it_was_written(evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("evidence") / "door.evidence.json"
    path.write_bytes(evidence_json(Validated(adapted(), evidence)))
    assert read_evidence(path, b"onnx") == evidence
    with pytest.raises(InputError, match=r"^is the evidence for another model") as caught:
        read_evidence(path, b"another")
    assert caught.value.hint == "run validate again"


@pytest.mark.parametrize("document", ["null", "[]", "{}", '{"sha256": 1}'])
def test_another_programs_metadata(document: str) -> None:
    assert UnpackedModel.parse(document.encode(), PATH) is None


@pytest.mark.parametrize("document", [{}, {"metadata": None}, {"metadata": []}])
def test_not_a_metadata_document(document: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^not a metadata\.json") as caught:
        unpacked(document)
    assert caught.value.path == "metadata.json"
    assert caught.value.hint == "run unpack again"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"widht": 96}, "metadata: unknown entry 'widht'"),
        ({"width": "96"}, "metadata: width must be int, not '96'"),
        ({"width": 96.0}, r"metadata: width must be int, not 96\.0"),
        ({"width": True}, "metadata: width must be int, not True"),
        ({"has_anomaly": 1}, "metadata: has_anomaly must be bool, not 1"),
        ({"threshold": "0.5"}, "metadata: threshold must be float"),
        ({"threshold": float("nan")}, "metadata: threshold must be float, not nan"),
        ({"threshold": 10**400}, "metadata: threshold must be float, not 1000"),
        ({"color": "BGR"}, "metadata: color must be Color, not 'BGR'"),
        ({"labels": "a;b"}, "metadata: labels must be list of text, not 'a;b'"),
        ({"labels": ["a", 1]}, "metadata: labels, entry 2 must be str, not 1"),
        ({"labels": ["\ud800"]}, "metadata: labels, entry 1 must be str"),
        ({"task": "juggler"}, "metadata: task must be one of classifier, fomo, .*, not 'juggler'"),
        ({"crop_anchor": [0, 0.3]}, r"metadata: crop_anchor must be two of 0, 0\.5 and 1, not \[0\.0, 0\.3\]"),
    ],
)
def test_metadata_of_the_wrong_kind(values: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=f"^{said}") as caught:
        unpacked({"metadata": values})
    assert caught.value.path == "metadata.json"
    wanted = "known: labels, width, " if "unknown" in said else "run unpack again, or correct the file"
    assert str(caught.value.hint).startswith(wanted)


def test_whole_numbers_are_numbers() -> None:
    metadata = unpacked({"metadata": {"threshold": 1}})
    assert metadata.threshold == 1.0
    assert type(metadata.threshold) is float


@examples(100)
@given(st.dictionaries(st.sampled_from(sorted(Metadata.__dataclass_fields__)), JSON, max_size=4))
def test_any_metadata_is_read_or_refused(values: dict[str, object]) -> None:
    try:
        metadata = unpacked({"metadata": values})
    except InputError:
        return
    assert unpacked(through_json(export_document(export(metadata)))) == metadata


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


@examples(150)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_evidence_is_read_or_refused(place: str, value: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "door.evidence.json"
    path.write_text(json.dumps({"model_sha256": sha256(b"onnx"), **damaged(GOOD, place, value)}))
    try:
        evidence = read_evidence(path, b"onnx")
    except InputError as error:
        assert error.path == str(path)  # noqa: PT017 - both ways are right
        return
    path.write_bytes(evidence_json(Validated(adapted(), evidence)))
    assert read_evidence(path, b"onnx") == evidence


@pytest.mark.parametrize(
    "document", ["null", "[]", "{}", '{"parity": null}', '{"parity": 1, "batch": 1, "tensorrt": 1}']
)
def test_not_an_evidence_document(document: str, tmp_path: Path) -> None:
    path = tmp_path / "door.evidence.json"
    path.write_text(document)
    with pytest.raises(InputError, match=r"^not the evidence") as caught:
        read_evidence(path, b"onnx")
    assert caught.value.hint == "run validate again"


def test_evidence_that_cannot_be_read(tmp_path: Path) -> None:
    for content, said in (
        (None, r"\[Errno 2\] No such file"),
        (b"{", "Expecting property name"),
        (b"\xff", "'utf-8' "),
    ):
        if content is not None:
            (tmp_path / "door.evidence.json").write_bytes(content)
        with pytest.raises(InputError, match=f"^cannot be read: {said}") as caught:
            read_evidence(tmp_path / "door.evidence.json", b"onnx")
        assert (caught.value.hint, caught.value.path) == ("run validate again", str(tmp_path / "door.evidence.json"))


def bundle_report(document: dict[str, Any]) -> BundleReport:
    return BundleReport.parse(json.dumps(document).encode(), PATH)


def test_a_bundles_report_is_read_as_it_was_written() -> None:
    validated = Validated(adapted(), Evidence())
    written = through_json(report_document(validated, {}, [Output("door.onnx", sha256(b"onnx"))], []))
    report = bundle_report(written)
    (model,) = report.models
    assert (model.name, model.file, model.source) == ("door", "door.onnx", "door.zip")
    assert (model.head, model.preprocessing) == (adapted().head, adapted().preprocessing)
    assert (model.metadata, model.input_shape, model.resize_mode) == (
        Metadata(), (None, 3, 96, 96), ResizeMode.FIT_LONGEST,
    )  # fmt: skip
    assert report.evidence == evidence_document(Evidence())
    model.verify(sha256(b"onnx"), PATH)
    with pytest.raises(InputError, match=r"^door\.onnx is not the model that report\.json describes") as caught:
        model.verify(sha256(b"another"), PATH)
    assert caught.value.hint == "convert again; do not mix bundles"


@pytest.mark.parametrize(
    ("part", "damage", "said"),
    [
        ("preprocessing", 3, "preprocessing must be a table"),
        ("preprocessing", {"offsets": "a"}, "preprocessing: offsets must be list of float, not 'a'"),
        ("head", {"labels": 3}, "head: labels must be list of text, not 3"),
    ],
)
def test_what_is_damaged_in_a_report_is_named(part: str, damage: Any, said: str) -> None:
    written = through_json(report_document(Validated(adapted(), Evidence()), {}, [], []))
    parts = written["model"]
    parts[part] = {**parts[part], **damage} if isinstance(damage, dict) else damage
    (model,) = bundle_report(written).models
    with pytest.raises(InputError, match=rf"^the bundle's report\.json is damaged: {said}$") as caught:
        getattr(model, part)
    assert caught.value.hint == "convert again"


def test_a_report_of_version_0_1_0_names_no_file() -> None:
    written = through_json(report_document(Validated(adapted(), Evidence()), {}, [Output("door.onnx", "0" * 64)], []))
    del written["model"]["file"]
    report = bundle_report(written)
    assert report.models[0].file == "door.onnx"
    assert report.object_model is None


def test_the_model_for_objects_is_read_back(tmp_path: Path) -> None:
    plain = adapted()
    framed = replace(plain.preprocessing, framing=Framing(Frame(16, 9), (96, 96)))
    both = Validated(replace(plain, preprocessing=framed, for_objects=plain), Evidence())
    files = [Output("door-16x9.onnx", "0" * 64), Output("door.onnx", sha256(b"onnx"))]
    document = through_json(report_document(both, {"role": "both"}, files, []))
    report = bundle_report(document)
    assert [model.file for model in report.models] == ["door-16x9.onnx"]
    assert report.object_model is not None
    assert (report.object_model.name, report.object_model.file) == ("door", "door.onnx")
    (tmp_path / "door.onnx").write_bytes(b"onnx")
    found = report.model_of(tmp_path / "door.onnx")
    assert found is not None
    assert found.file == "door.onnx"
    (tmp_path / "door.onnx").write_bytes(b"another")
    with pytest.raises(InputError, match=r"^door\.onnx is not the model") as caught:
        report.model_of(tmp_path / "door.onnx")
    assert caught.value.hint == "convert again; do not mix bundles"
    assert "object_model" not in report_document(both, {"role": "pgie"}, files, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", r"the bundle's report\.json is damaged: no JSON"),
        ("[" * 100_000, r"the bundle's report\.json is damaged: no JSON"),
        ("[]", r"the bundle's report\.json is damaged: it must be a table"),
        ("{}", r"the bundle's report\.json has version None, this program reads 1"),
        ('{"schema_version": 99}', r"the bundle's report\.json has version 99"),
    ],
)
def test_what_is_no_report(content: str, said: str, tmp_path: Path) -> None:
    assert BundleReport.read(tmp_path) is None
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(InputError, match=f"^{said}") as caught:
        BundleReport.read(tmp_path)
    assert caught.value.path == str(tmp_path / "report.json")
    assert caught.value.hint


def test_a_report_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("{" + " " * 2**24)
    with pytest.raises(InputError, match=r"^report\.json is too large to be a bundle's$") as caught:
        BundleReport.read(tmp_path)
    assert (caught.value.hint, caught.value.path) == ("convert again", str(path))
    path.write_text("{" + " " * (2**24 - 1))
    with pytest.raises(InputError, match="is damaged: no JSON"):
        BundleReport.read(tmp_path)

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "read_bytes", refuse)
    with pytest.raises(InputError, match=r"^cannot be read: Permission denied$") as caught:
        BundleReport.read(tmp_path)
    assert (caught.value.hint, caught.value.path) == ("check its rights", str(path))


def test_the_model_of_a_file_is_read(tmp_path: Path) -> None:
    report = bundle_report({"schema_version": 1, "export": {"name": "door"}, "model": {"file": "door.onnx"}})
    assert report.model_of(tmp_path / "other.onnx") is None
    with pytest.raises(InputError, match=r"^cannot be read: No such file or directory$") as caught:
        report.model_of(tmp_path / "door.onnx")
    assert caught.value.path == str(tmp_path / "door.onnx")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, r"the bundle's report\.json is damaged: export must be a table"),
        ({"export": {"name": 3}}, r"the bundle's report\.json names no model"),
        ({"export": {"name": "../up"}}, r"the bundle's report\.json names no model"),
        ({"export": {"name": "a\0"}}, r"the bundle's report\.json names no model"),
        ({"export": {"name": ""}}, r"the bundle's report\.json names no model"),
        ({"export": {"name": "m"}, "model": {"file": "../m.onnx"}}, r"the bundle's report\.json names no model"),
        ({"export": {"name": "m"}, "model": {"file": "m\0"}}, r"the bundle's report\.json names no model"),
        (
            {"export": {"name": "m"}, "model": {"file": 3}},
            r"the bundle's report\.json is damaged: file must be str, not 3",
        ),
        (
            {"export": {"name": "m"}, "model": {"head": {"task": "x", "labels": []}}},
            r"the bundle's report\.json is damaged: head: task must be",
        ),
        (
            {"export": {"name": "m"}, "model": {"head": {"labels": []}}},
            r"the bundle's report\.json is damaged: head: the entry 'task' is missing",
        ),
    ],
)
def test_a_damaged_part_is_named(document: dict[str, Any], said: str) -> None:
    (model,) = bundle_report({"schema_version": 1, **document}).models
    with pytest.raises(InputError, match=f"^{said}") as caught:
        _ = model.name, model.file, model.head
    assert caught.value.hint == "convert again"


WINDOW = {"sensor": "any", "samples": 10, "axes": 3, "axis_names": [], "frequency": 62.5, "slices": 0}


@pytest.mark.parametrize(
    ("change", "is_read"),
    [
        ({}, True),
        ({"samples": 10**8, "axes": 1}, True),
        ({"samples": 10**8 + 1, "axes": 1}, False),
        ({"samples": 10**8, "axes": 2}, False),
        ({"samples": 0}, False),
        ({"axes": 0}, False),
        ({"frequency": 0}, False),
        ({"frequency": 0.001}, True),
        ({"samples": -1, "axes": -1}, False),
        ({"samples": "10"}, False),
    ],
)
def test_the_window_of_an_impulse(change: dict[str, Any], is_read: bool) -> None:
    document = {"schema_version": 1, "export": {"name": "m"}, "impulse": {**WINDOW, **change, "blocks": [{}]}}
    (model,) = bundle_report(document).models
    if is_read:
        found = model.impulse
        assert found is not None
        assert (found.samples, found.axes, found.blocks) == (
            (WINDOW | change)["samples"],
            (WINDOW | change)["axes"],
            (),
        )
        return
    with pytest.raises(InputError, match=r"^the bundle's report\.json is damaged: impulse"):
        _ = model.impulse


ONNX_METADATA = OnnxMetadata(
    "0" * 64, "ssd", "1.0", 3, "peak", "product", "relative", Limits(10, 0.1, 0.6), 0.45, 0.3, "",
    ResizeMode.FIT_SHORTEST, Frame(16, 9), (8, 0, 96, 96), (48, 48), (0.0, 0.5), 1.0, 7, "every",
)  # fmt: skip


def test_onnx_metadata_is_read_as_it_was_written() -> None:
    properties = ONNX_METADATA.properties()
    assert properties == {
        "ei_deepstream.source_sha256": "0" * 64,
        "ei_deepstream.task": "ssd",
        "ei_deepstream.tool_version": "1.0",
        "ei_deepstream.classes": "3",
        "ei_deepstream.merge": "peak",
        "ei_deepstream.score": "product",
        "ei_deepstream.coordinates": "relative",
        "ei_deepstream.limits": "10;0.1;0.6",
        "ei_deepstream.overlap": "0.45",
        "ei_deepstream.threshold": "0.3",
        "ei_deepstream.folded": "",
        "ei_deepstream.resize_mode": "fit-shortest",
        "ei_deepstream.frame": "16:9",
        "ei_deepstream.crop": "8;0;96;96",
        "ei_deepstream.resize": "48;48",
        "ei_deepstream.crop_anchor": "0.0;0.5",
        "ei_deepstream.box": "1.0",
        "ei_deepstream.calibrated": "7",
        "ei_deepstream.rounding": "every",
    }
    assert OnnxMetadata.parse({**properties, "author": "me"}, strict=True) == ONNX_METADATA
    assert OnnxMetadata.parse({}) == OnnxMetadata()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("task", "juggler"), ("classes", "x"), ("limits", "1;2"), ("overlap", ""), ("threshold", "x"),
        ("threshold", "nan"), ("threshold", "1.5"), ("resize_mode", "crumple"), ("frame", "wide"), ("frame", "1:99"),
        ("crop", "1;2;3"), ("crop", "a;b;c;d"), ("resize", "48"),
        ("crop_anchor", "0.5"), ("crop_anchor", "0;2"), ("crop_anchor", "0;nan"), ("crop_anchor", "0;0;0"),
        ("threshold", "0"), ("threshold", "1"), ("crop", "1;2;3;4;5"), ("crop", "1;2;3;123456"), ("crop", "-1;2;3;4"),
        ("resize", "1;2;3"), ("box", "0.9"), ("box", "inf"), ("box", "nan"), ("calibrated", "many"),
    ],
)  # fmt: skip
def test_a_strangers_onnx_metadata_is_not_recorded(name: str, text: str) -> None:
    properties = {**ONNX_METADATA.properties(), f"ei_deepstream.{name}": text}
    assert OnnxMetadata.parse(properties) == replace(ONNX_METADATA, **{name: None})
    with pytest.raises(ValueError, match=name):
        OnnxMetadata.parse(properties, strict=True)


@pytest.mark.parametrize(
    ("framing", "recorded"),
    [
        (None, {}),
        (
            Framing(Frame(16, 9), (96, 96)),
            {"resize_mode": ResizeMode.FIT_LONGEST, "frame": Frame(16, 9), "crop": (37, 0, 96, 96)},
        ),
        (
            Framing(Frame(16, 9), (96, 96), anchor=(0.0, 0.0)),
            {
                "resize_mode": ResizeMode.FIT_LONGEST, "frame": Frame(16, 9), "crop": (0, 0, 96, 96),
                "crop_anchor": (0.0, 0.0),
            },
        ),
        (
            Framing(Frame(1, 1), (96, 96), anchor=(0.0, 0.0)),
            {"resize_mode": ResizeMode.FIT_LONGEST, "frame": Frame(1, 1)},
        ),
    ],
)  # fmt: skip
def test_what_a_model_records_of_its_frames(framing: Framing | None, recorded: dict[str, Any]) -> None:
    """How pictures were resized only where the graph takes whole frames, the anchor of a crop where it is not usual."""
    made, before = adapted(), replace(adapted().preprocessing, framing=framing)
    always: dict[str, Any] = {
        "source_sha256": sha256(b"TFL3"),
        "task": "classifier",
        "tool_version": __version__,
        "classes": 2,
    }
    assert OnnxMetadata.of(made.export, made.head, before) == OnnxMetadata(**always, folded="", **recorded)


@pytest.mark.parametrize(
    ("recorded", "squashes", "anchor"),
    [
        ({}, False, (0.5, 0.5)),
        ({"resize": (48, 48)}, True, (0.5, 0.5)),
        ({"resize": (48, 48), "resize_mode": ResizeMode.SQUASH, "crop_anchor": (0.0, 1.0)}, True, (0.0, 1.0)),
        ({"resize": (48, 48), "resize_mode": ResizeMode.FIT_SHORTEST, "crop_anchor": (0.0, 0.0)}, False, (0.0, 0.0)),
        ({"resize": (48, 48), "resize_mode": ResizeMode.FIT_LONGEST}, False, (0.5, 0.5)),
        ({"resize_mode": ResizeMode.SQUASH}, False, (0.5, 0.5)),
    ],
)
def test_what_onnx_metadata_says_of_the_graph(recorded: dict[str, Any], squashes: bool, anchor: object) -> None:
    found = OnnxMetadata(**recorded)
    assert (found.squashes, found.anchor) == (squashes, anchor)


OURS = {"ei_deepstream.folded": ""}
MODE = "ei_deepstream.resize_mode"


def part(name: str, mode: str | None, anchor: object = None) -> dict[str, Any]:
    return {
        "export": {"name": name, "metadata": {"crop_anchor": anchor}},
        "model": {"preprocessing": {"resize_mode": mode}},
    }


def bundle(folder: Path, document: dict[str, Any], *names: str) -> None:
    files = []
    for name in names:
        (folder / f"{name}.onnx").write_bytes(name.encode())
        files.append({"path": f"{name}.onnx", "sha256": sha256(name.encode())})
    (folder / "report.json").write_text(json.dumps({"schema_version": 1, **document, "files": files}))


def test_a_report_tells_how_pictures_were_resized(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "fit-longest"), "m")
    assert with_resize_mode(str(tmp_path / "m.onnx"), OURS) == {**OURS, MODE: "fit-longest"}


def test_and_which_part_a_crop_kept(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "fit-shortest", [1, 0.5]), "m")
    told = with_resize_mode(str(tmp_path / "m.onnx"), OURS)
    assert OnnxMetadata.parse(told, strict=True).anchor == (1, 0.5)


@pytest.mark.parametrize("anchor", [[1], [0, 0.3], "left", [0, 0, 0]])
def test_a_part_that_no_crop_keeps_is_a_damaged_report(anchor: object, tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "fit-shortest", anchor), "m")
    assert with_resize_mode(str(tmp_path / "m.onnx"), OURS) == OURS
    document = json.loads((tmp_path / "report.json").read_text())
    with pytest.raises(InputError, match=r"^metadata: crop_anchor"):
        _ = bundle_report(document).models[0].metadata
    with pytest.raises(InputError, match=r"^the bundle's report\.json is damaged: (metadata: )?crop_anchor"):
        _ = bundle_report(document).models[0].crop_anchor


def test_each_model_of_an_app_has_its_own(tmp_path: Path) -> None:
    bundle(tmp_path, {"primary": part("a", "squash"), "secondary": part("b", "fit-shortest")}, "a", "b")
    assert [with_resize_mode(str(tmp_path / f"{name}.onnx"), OURS)[MODE] for name in "ab"] == ["squash", "fit-shortest"]


def test_what_the_model_says_itself_counts(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "squash"), "m")
    said = {MODE: "fit-shortest"}
    assert with_resize_mode(str(tmp_path / "m.onnx"), said) == said


@pytest.mark.parametrize("mode", [None, 3])
def test_nothing_recorded_is_nothing_told(mode: Any, tmp_path: Path) -> None:
    bundle(tmp_path, part("m", mode), "m")
    assert with_resize_mode(str(tmp_path / "m.onnx"), OURS) == OURS


def test_another_file_of_that_name_is_not_what_the_report_is_about(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "squash"), "m")
    (tmp_path / "m.onnx").write_bytes(b"another")
    assert with_resize_mode(str(tmp_path / "m.onnx"), OURS) == OURS


def test_a_stranger_model_is_left_alone(tmp_path: Path) -> None:
    bundle(tmp_path, part("m", "squash"), "m")
    assert with_resize_mode(str(tmp_path / "m.onnx"), {"author": "me"}) == {"author": "me"}


_REPORTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["files", "path", "sha256", "export", "model", "primary", "name"]), inner)
    ),
    max_leaves=8,
)


@examples(150)
@given(document=_REPORTS.map(json.dumps) | st.binary(max_size=40).map(lambda data: data.decode("latin-1")))
def test_any_report_at_all(document: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    (folder / "m.onnx").write_bytes(b"m")
    (folder / "report.json").write_text(document, encoding="utf-8", errors="replace")
    assert with_resize_mode(str(folder / "m.onnx"), OURS) == OURS
