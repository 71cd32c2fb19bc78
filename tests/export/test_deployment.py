"""`deployment-metadata.json` of the "Custom block" download as a source of parameters."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.export.parameters import DEPLOYMENT, File, read_deployment
from convert.images import ImageScaling, ResizeMode
from convert.types import Color
from samples.layouts import Parameters, cpp_library, write_tree, zip_bytes
from tests.export import tiny
from tests.export.unpacking import export_of, unpack

if TYPE_CHECKING:
    from pathlib import Path

DOCUMENT: dict[str, Any] = {
    "version": 1,
    "deployCounter": 3,
    "classes": ["bolt", "nut"],
    "sensor": "camera",
    "project": {"name": "Small parts", "id": 4711, "owner": "me"},
    "folders": {"input": "/home/input", "output": "/home/output"},
    "tfliteModels": [{"modelPath": "/home/input/trained.tflite", "modelType": "float32"}],
    "impulse": {
        "inputBlocks": [
            {"type": "image", "imageWidth": 96, "imageHeight": 96, "resizeMode": "fit-long", "cropAnchor": "top-left"}
        ],
        "dspBlocks": [
            {"type": "image", "metadata": {"outputConfig": {"type": "image", "shape": {"width": 96, "channels": 3}}}}
        ],
        "learnBlocks": [{"id": 5, "type": "keras-transfer-image"}],
    },
}


def changed(value: object, *path: str | int) -> dict[str, Any]:
    document: Any = deepcopy(DOCUMENT)
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return document  # type: ignore[no-any-return]


def export(document: object, **files: bytes) -> dict[str, bytes]:
    return {DEPLOYMENT: json.dumps(document).encode(), "trained.tflite": tiny.classifier(), **files}


@pytest.mark.parametrize("way", ["folder", "zip", "file"])
def test_parameters(way: str, tmp_path: Path) -> None:
    folder = write_tree(export(DOCUMENT), tmp_path / "x")
    (tmp_path / "x.zip").write_bytes(zip_bytes(export(DOCUMENT)))
    paths = {"folder": folder, "zip": tmp_path / "x.zip", "file": folder / "trained.tflite"}
    result = unpack(paths[way])
    metadata = result.artifact.metadata
    assert metadata.labels == ("bolt", "nut")
    assert metadata.resize_mode is ResizeMode.FIT_LONGEST
    assert (metadata.width, metadata.height, metadata.channels, metadata.color) == (96, 96, 3, Color.RGB)
    assert (metadata.project_id, metadata.block_id, metadata.deploy_version) == (4711, 5, 3)
    assert result.artifact.name == "small-parts"
    assert not [finding for finding in result.findings if finding.id in {"EI102", "EI106"}]


@pytest.mark.parametrize(
    ("mode", "anchor", "expected", "kept"),
    [
        ("squash", "top-left", ResizeMode.SQUASH, None),
        ("fit-short", "top-left", ResizeMode.FIT_SHORTEST, None),
        ("crop", None, ResizeMode.FIT_SHORTEST, None),
        ("crop", "middle-center", ResizeMode.FIT_SHORTEST, (0.5, 0.5)),
        ("crop", "bottom-left", ResizeMode.FIT_SHORTEST, (0.0, 1.0)),
        ("crop", "middle-right", ResizeMode.FIT_SHORTEST, (1.0, 0.5)),
    ],
)
def test_resize_modes(
    mode: str, anchor: str | None, expected: ResizeMode, kept: tuple[float, float] | None, tmp_path: Path
) -> None:
    block = {**DOCUMENT["impulse"]["inputBlocks"][0], "resizeMode": mode, "cropAnchor": anchor}
    result = unpack(write_tree(export(changed([block], "impulse", "inputBlocks")), tmp_path))
    assert result.artifact.metadata.resize_mode is expected
    assert result.artifact.metadata.crop_anchor == kept


def test_an_anchor_that_is_none_of_the_nine_is_named(tmp_path: Path) -> None:
    block = {**DOCUMENT["impulse"]["inputBlocks"][0], "resizeMode": "crop", "cropAnchor": "nowhere"}
    result = unpack(write_tree(export(changed([block], "impulse", "inputBlocks")), tmp_path))
    assert result.artifact.metadata.crop_anchor is None
    assert ['cropAnchor is "nowhere"' in finding.message for finding in result.findings if finding.id == "EI106"] == [
        True
    ]


def test_model_parameters_win_and_a_contradiction_is_said(tmp_path: Path) -> None:
    library = cpp_library(tiny.classifier(), Parameters(year=2026, labels=("cat", "dog"), project_name="Pets"))
    result = unpack(write_tree({**library, DEPLOYMENT: export(DOCUMENT)[DEPLOYMENT]}, tmp_path))
    assert result.artifact.metadata.labels == ("cat", "dog")
    (finding,) = [finding for finding in result.findings if finding.id == "EI102"]
    assert finding.message.startswith(f"{DEPLOYMENT} records labels bolt;nut, model-parameters/ cat;dog")


def test_what_model_parameters_do_not_have(tmp_path: Path) -> None:
    library = cpp_library(tiny.classifier(), Parameters(year=2022, labels=("bolt", "nut"), project_id=4711))
    metadata = library["model-parameters/model_metadata.h"]
    library["model-parameters/model_metadata.h"] = b"\n".join(
        line for line in metadata.split(b"\n") if b"RESIZE" not in line
    )
    result = unpack(write_tree({**library, DEPLOYMENT: export(DOCUMENT)[DEPLOYMENT]}, tmp_path))
    assert result.artifact.metadata.resize_mode is ResizeMode.FIT_LONGEST


def test_the_model_of_the_document_alone(tmp_path: Path) -> None:
    """The input of a custom block: its `trained.tflite` is what `model-parameters/` describes under another name."""
    data = tiny.classifier()
    parameters = Parameters(year=2025, labels=("bolt", "nut"), image_scaling="TORCH", block_id=5)
    files = export(DOCUMENT) | cpp_library(tiny.classifier(seed=1), parameters)
    folder = write_tree(files | {"trained.tflite": data}, tmp_path / "input")
    result = unpack(folder / "trained.tflite")
    assert result.artifact.metadata.image_scaling is ImageScaling.TORCH
    assert not [finding for finding in result.findings if "does not run" in finding.message]
    assert export_of(folder).model != data
    for path in folder.glob("tflite-model/*"):
        path.unlink()
    assert export_of(folder).model == data


def test_sound_is_named(tmp_path: Path) -> None:
    path = write_tree(export(changed("microphone", "sensor")), tmp_path)
    assert any("microphone" in finding.message for finding in unpack(path).findings if finding.id == "EI102")
    (path / "trained.tflite").write_bytes(tiny.features())
    assert export_of(path).metadata.sensor == "microphone"


def test_learning_blocks_tell_models_apart(tmp_path: Path) -> None:
    models = [{"modelPath": f"/home/input/{name}.tflite"} for name in ("scores", "odd")]
    document = changed(models, "tfliteModels")
    document["impulse"]["learnBlocks"] = [{"id": 5, "type": "keras"}, {"id": 6, "type": "keras-visual-anomaly"}]
    files = {"scores.tflite": tiny.classifier(seed=1), "odd.tflite": tiny.classifier(seed=2)}
    path = write_tree({DEPLOYMENT: json.dumps(document).encode(), **files}, tmp_path)
    assert export_of(path).member == "scores.tflite"


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b"null", b"\xff", b"[" * 100_000, b" " * (17 << 20)])
def test_what_is_no_document_is_said(data: bytes, tmp_path: Path) -> None:
    result = unpack(write_tree({DEPLOYMENT: data, "trained.tflite": tiny.classifier()}, tmp_path))
    (finding,) = [finding for finding in result.findings if finding.id == "EI106"]
    assert "\n" not in finding.message
    assert result.artifact.metadata.labels is None


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found: list[tuple[str | int, ...]] = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _places(inner, (*path, key))
    return found


@given(
    st.sampled_from(_places(DOCUMENT)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
)
def test_any_value_in_any_field(path: tuple[str | int, ...], value: object) -> None:
    document = changed(value, *path)
    recorded = read_deployment(File(json.dumps(document).encode(), DEPLOYMENT), ["trained.tflite"])
    assert recorded.blocks
    for block in recorded.blocks:
        metadata = block.metadata
        assert metadata.labels is None or all(isinstance(label, str) for label in metadata.labels)
        assert metadata.width is None or metadata.width > 0
    assert all("\n" not in finding.message for finding in recorded.findings)


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        (1, ("classes",), "classes is 1, not a list"),
        (["a", 1], ("classes",), "classes holds something that is no string"),
        ("nose", ("sensor",),
         'sensor is "nose", not one of camera, microphone, accelerometer, environmental, fusion, positional'),
        (1, ("sensor",), "sensor is 1, not a string"),
        ("a", ("project", "id"), 'project.id is "a", not a whole number from 0 up'),
        (-1, ("project", "id"), "project.id is -1, not a whole number from 0 up"),
        (1 << 31, ("project", "id"), "project.id is 2147483648, not a whole number from 0 up"),
        (True, ("project", "id"), "project.id is true, not a whole number from 0 up"),
        ((1 << 31) - 1, ("project", "id"), None),
        (1, ("project",), "project is 1, not an object"),
        (1, ("project", "name"), "project.name is 1, not a string"),
        (1, ("project", "owner"), "project.owner is 1, not a string"),
        ("x" * 58, ("deployCounter",), f'deployCounter is "{"x" * 58}", not a whole number from 0 up'),
        ("x" * 59, ("deployCounter",), f'deployCounter is "{"x" * 56}..., not a whole number from 0 up'),
        (1, ("folders", "input"), "folders.input is 1, not a string"),
        (1, ("tfliteModels",), "tfliteModels is 1, not a list"),
        ([1], ("tfliteModels",), "tfliteModels holds something that is no object"),
        (1, ("tfliteModels", 0, "modelPath"), "modelPath is 1, not a string"),
        (1, ("impulse", "inputBlocks"), "impulse.inputBlocks is 1, not a list"),
        ([1], ("impulse", "inputBlocks"), "impulse.inputBlocks holds something that is no object"),
        ("a", ("impulse", "inputBlocks", 0, "imageWidth"), 'imageWidth is "a", not a whole number from 0 up'),
        ("a", ("impulse", "inputBlocks", 0, "imageHeight"), 'imageHeight is "a", not a whole number from 0 up'),
        ("fit", ("impulse", "inputBlocks", 0, "resizeMode"),
         'resizeMode is "fit", not one of squash, fit-short, fit-long, crop'),
        (1, ("impulse", "inputBlocks", 0, "cropAnchor"), "cropAnchor is 1, not a string"),
        (1, ("impulse", "dspBlocks"), "impulse.dspBlocks is 1, not a list"),
        (1, ("impulse", "dspBlocks", 0, "metadata", "outputConfig", "type"), "outputConfig.type is 1, not a string"),
        ("a", ("impulse", "dspBlocks", 0, "metadata", "outputConfig", "shape", "channels"),
         'channels is "a", not a whole number from 0 up'),
        (1, ("impulse", "learnBlocks"), "learnBlocks is 1, not a list"),
        ("a", ("impulse", "learnBlocks", 0, "id"), 'learnBlocks.id is "a", not a whole number from 0 up'),
        (1, ("impulse", "learnBlocks", 0, "type"), "learnBlocks.type is 1, not a string"),
    ],
)  # fmt: skip
def test_what_is_said_of_a_value_that_cannot_be_read(value: object, path: tuple[Any, ...], message: str | None) -> None:
    document = File(json.dumps(changed(value, *path)).encode(), DEPLOYMENT)
    findings = read_deployment(document, ["trained.tflite"]).findings
    assert [(each.message, each.path) for each in findings] == [(message, DEPLOYMENT)] * (message is not None)


def test_what_is_said_of_no_document() -> None:
    for data, message in (
        (b"[1]", "it holds no object"), (b"{", "it is no JSON: Expecting property name enclosed in double quotes: "),
    ):  # fmt: skip
        (found,) = read_deployment(File(data, DEPLOYMENT), []).findings
        assert found.message.startswith(message)


@pytest.mark.parametrize(
    ("given", "sensor"),
    [*((name, name) for name in ("camera", "microphone", "accelerometer", "environmental", "fusion")),
     ("positional", "9dof"), (None, "camera")],
)  # fmt: skip
def test_sensors(given: str | None, sensor: str) -> None:
    (block,) = read_deployment(File(json.dumps(changed(given, "sensor")).encode(), DEPLOYMENT), []).blocks
    assert block.metadata.sensor == sensor


@pytest.mark.parametrize(
    ("given", "channels", "color"), [(1, 1, Color.GRAY), (3, 3, Color.RGB), (0, None, None), (2, None, None)]
)
def test_channels(given: int, channels: int | None, color: Color | None) -> None:
    path = ("impulse", "dspBlocks", 0, "metadata", "outputConfig", "shape", "channels")
    (block,) = read_deployment(File(json.dumps(changed(given, *path)).encode(), DEPLOYMENT), []).blocks
    assert (block.metadata.channels, block.metadata.color) == (channels, color)


def test_a_block_that_is_no_network_is_left_out() -> None:
    blocks = [{"id": 5, "type": "keras"}, {"id": 6, "type": "anomaly"}, {"id": 7, "type": "anomaly-gmm"}]
    for count, anomaly in ((2, [False]), (3, [False])):
        document = changed(blocks[:count], "impulse", "learnBlocks")
        found = read_deployment(File(json.dumps(document).encode(), DEPLOYMENT), ["trained.tflite"])
        assert [each.anomaly for each in found.blocks] == anomaly
    first = changed([blocks[2]], "impulse", "learnBlocks")
    (block,) = read_deployment(File(json.dumps(first).encode(), DEPLOYMENT), ["trained.tflite"]).blocks
    assert (block.anomaly, block.metadata.task, block.metadata.block_id) == (True, "anomaly", 7)


_UNUSED = ("version", "modelType", "output", "width")


def _is_used(path: tuple[str | int, ...]) -> bool:
    """The types of input and DSP blocks are only compared."""
    is_compared = path[-1] == "type" and not {"outputConfig", "learnBlocks"} & {*path}
    return path[-1] not in _UNUSED and not is_compared


@pytest.mark.parametrize("path", [path for path in _places(DOCUMENT) if _is_used(path)])
def test_a_wrong_type_in_each_field_is_said(path: tuple[str | int, ...]) -> None:
    wrong = 1.5  # which no field has
    recorded = read_deployment(File(json.dumps(changed(wrong, *path)).encode(), DEPLOYMENT), ["trained.tflite"])
    assert [finding.id for finding in recorded.findings] == ["EI106"]
