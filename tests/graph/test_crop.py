"""The first node cuts the model's picture out of a frame; what is behind it sees the same pixels as before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.graph.adapt import Adapt, recorded
from convert.graph.batch import dynamic_batch
from convert.graph.preprocessing import FRAME_UNUSED, RESIZE_ASSUMED, RESIZE_CROPS, crop_to, preprocessing
from convert.graph.resize import crop
from convert.images import ANCHORS, CENTRE, Anchor, Frame, Framing, ImageScaling, ResizeMode, parse_frame
from convert.images.resizing import Resizing
from tests.examples import examples
from tests.graph.flat import classifier
from tests.graph.proof import litert, model, onnxruntime, operators
from tests.heads.ssds import ssd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.types import Adapted, Export, Translated

_BODY = "t = Transpose<perm = [0, 2, 3, 1]>(x) y = Flatten<axis = 1>(t)"  # every pixel, where it was


def part(pictures: Any, size: tuple[int, int], anchor: Anchor = CENTRE) -> Any:
    """What is kept of [n,C,H,W]: the middle, or from one edge on."""
    left, top = (
        {0: 0, 0.5: spare // 2, 1: spare}[at]
        for at, spare in zip(anchor, (pictures.shape[3] - size[0], pictures.shape[2] - size[1]), strict=True)
    )
    return pictures[:, :, top : top + size[1], left : left + size[0]]


@examples(60)
@given(
    st.tuples(st.integers(1, 900), st.integers(1, 900)).filter(lambda size: 1 / 3 <= size[0] / size[1] <= 3),
    st.tuples(st.integers(1, 24), st.integers(1, 24)),
    st.sampled_from([7, 9, 10, 13, 18]),
    st.sampled_from(ANCHORS),
)
def test_any_frame(frame: tuple[int, int], size: tuple[int, int], opset: int, anchor: Anchor) -> None:
    framing = Framing(Frame(*frame, in_pixels=True), size, anchor=anchor)
    width, height = size
    whole = model(_BODY, f"1,2,{height},{width}", f"1,{2 * height * width}", opset)
    cropping = crop(whole, framing)
    onnx.checker.check_model(cropping, full_check=True)
    assert (operators(cropping)[0] == "Slice") == framing.crops
    pictures = np.random.default_rng(0).random((3, 2, *framing.network[::-1]), np.float32)
    (found,) = onnxruntime(dynamic_batch(cropping).SerializeToString(), pictures)
    wanted = part(pictures, size, anchor).transpose(0, 2, 3, 1).reshape(3, -1)
    np.testing.assert_array_equal(found, wanted)


def test_a_model_of_the_frames_shape_has_no_slice(
    export: Callable[..., Export], adapted: Callable[..., Adapted], translated: Callable[..., Translated]
) -> None:
    made = export(classifier(height=24, width=32), resize_mode=ResizeMode.FIT_SHORTEST)
    plain = adapted(made)
    framed = Adapt(resize="device", frame=parse_frame("4:3"))(translated(made), None).artifact  # type: ignore[arg-type]
    assert framed.onnx.input == plain.onnx.input
    nodes = [onnx.load_model_from_string(each.onnx.data).graph.node for each in (plain, framed)]
    assert nodes[0] == nodes[1]


@pytest.mark.parametrize("frame", ["16:9", "4:3", "9:16", "3:1", "641x479", "1:1"])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 13), (16, 12)])
def test_a_classifier(
    frame: str,
    height: int,
    width: int,
    export: Callable[..., Export],
    adapted: Callable[..., Adapted],
    translated: Callable[..., Translated],
) -> None:
    made = export(classifier(height=height, width=width), resize_mode=ResizeMode.FIT_SHORTEST)
    plain = adapted(made)
    framed = Adapt(resize="device", frame=parse_frame(frame))(translated(made), None).artifact  # type: ignore[arg-type]
    framing = framed.preprocessing.framing
    assert framing == Framing(parse_frame(frame), (width, height))
    assert framed.onnx.input.shape == (None, 3, *framing.network[::-1])
    assert framed.onnx.outputs == plain.onnx.outputs
    assert not framed.preprocessing.maintain_aspect_ratio
    pictures = np.random.default_rng(1).random((8, 3, *framing.network[::-1]), np.float32)
    seen = np.ascontiguousarray(part(pictures, (width, height)))
    wanted = litert(made.model, np.ascontiguousarray(seen.transpose(0, 2, 3, 1)))
    for size in (1, 2, 8):
        (scores,) = onnxruntime(framed.onnx.data, pictures[:size])
        np.testing.assert_allclose(scores, wanted[:size], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(scores, onnxruntime(plain.onnx.data, seen[:size])[0])


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("frame", ["16:9", "9:16"])
def test_a_recorded_anchor_is_where_the_graph_crops(
    frame: str,
    anchor: Anchor,
    export: Callable[..., Export],
    adapted: Callable[..., Adapted],
    translated: Callable[..., Translated],
    tmp_path: Path,
) -> None:
    made = export(classifier(height=8, width=8), resize_mode=ResizeMode.FIT_SHORTEST, crop_anchor=anchor)
    framed = Adapt(resize="device", frame=parse_frame(frame))(translated(made), None).artifact  # type: ignore[arg-type]
    framing = framed.preprocessing.framing
    pictures = np.random.default_rng(1).random((2, 3, *framing.network[::-1]), np.float32)
    (scores,) = onnxruntime(framed.onnx.data, pictures)
    (wanted,) = onnxruntime(adapted(made).onnx.data, np.ascontiguousarray(part(pictures, (8, 8), anchor)))
    np.testing.assert_array_equal(scores, wanted)
    said = recorded(framed.onnx, tmp_path)
    assert said.crop_anchor == (None if anchor == CENTRE else anchor)
    assert said.crop == framing.cut


def test_an_anchor_without_a_crop_changes_nothing(
    export: Callable[..., Export], translated: Callable[..., Translated]
) -> None:
    """Of a model that was squashed, and of frames of the model's own shape."""
    for mode in (ResizeMode.SQUASH, ResizeMode.FIT_SHORTEST):
        made = [export(classifier(), resize_mode=mode, crop_anchor=anchor) for anchor in (None, (0.0, 0.0))]
        framed = [Adapt(resize="device", frame=Frame(1, 1))(translated(each), None).artifact for each in made]  # type: ignore[arg-type]
        assert framed[0].onnx.data == framed[1].onnx.data


def test_what_is_said_of_a_crop_names_the_part(export: Callable[..., Export]) -> None:
    made = export(classifier(), resize_mode=ResizeMode.FIT_SHORTEST, crop_anchor=(1.0, 0.0))
    (found,) = (each for each in preprocessing(made)[1] if each.id == RESIZE_CROPS.id)
    assert "cropped to the top right" in found.message
    assert "Measured" not in found.message


def test_scaling_comes_behind_the_crop(export: Callable[..., Export], translated: Callable[..., Translated]) -> None:
    made = export(classifier(), resize_mode=ResizeMode.FIT_SHORTEST, image_scaling=ImageScaling.TORCH)
    framed = Adapt(resize="device", frame=Frame(16, 9))(translated(made), None).artifact  # type: ignore[arg-type]
    assert operators(onnx.load_model_from_string(framed.onnx.data))[:3] == ["Slice", "Sub", "Div"]


def test_what_the_model_says_of_itself(
    export: Callable[..., Export],
    adapted: Callable[..., Adapted],
    translated: Callable[..., Translated],
    tmp_path: Path,
) -> None:
    made = export(classifier(), resize_mode=ResizeMode.FIT_SHORTEST)
    plain = adapted(made)
    framed = Adapt(resize="device", frame=parse_frame("1280x720"))(translated(made), None).artifact  # type: ignore[arg-type]
    said = {item.key: item.value for item in onnx.load_model_from_string(framed.onnx.data).metadata_props}
    assert said["ei_deepstream.resize_mode"] == "fit-shortest"
    assert said["ei_deepstream.frame"] == "1280x720"
    assert said["ei_deepstream.crop"] == "3;0;8;8"
    assert recorded(framed.onnx, tmp_path).frame == parse_frame("1280x720")
    said = {item.key: item.value for item in onnx.load_model_from_string(plain.onnx.data).metadata_props}
    assert "ei_deepstream.resize_mode" not in said  # one network, one file: the bundle's report has it
    assert not {"ei_deepstream.frame", "ei_deepstream.crop"} & set(said)
    assert recorded(plain.onnx, tmp_path).frame is None


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("model", [classifier(), ssd()])
def test_the_model_for_objects_is_the_plain_one(
    model: bytes,
    large: bool,
    export: Callable[..., Export],
    adapted: Callable[..., Adapted],
    translated: Callable[..., Translated],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the byte, also where the translated model is read twice instead of copied; and so is the one that crops."""
    made = export(model, resize_mode=ResizeMode.FIT_SHORTEST, image_scaling=ImageScaling.TORCH)
    if large:
        monkeypatch.setattr("convert.graph.adapt.LARGE", 0)
    both = Adapt(resize="device", frame=Frame(16, 9), for_objects=True)(translated(made), None).artifact  # type: ignore[arg-type]
    framed = Adapt(resize="device", frame=Frame(16, 9))(translated(made), None).artifact  # type: ignore[arg-type]
    assert both.for_objects == adapted(made)
    assert replace(both, for_objects=None) == framed
    assert (both.file, both.for_objects.file) == ("model-16x9.onnx", "model.onnx")


@pytest.mark.parametrize("frame", [None, "1:1"])
def test_what_crops_nothing_is_for_objects_too(
    frame: str | None, export: Callable[..., Export], translated: Callable[..., Translated]
) -> None:
    made = export(classifier(), resize_mode=ResizeMode.FIT_SHORTEST)
    stage = Adapt(resize="device", frame=parse_frame(frame) if frame else None, for_objects=True)
    assert stage(translated(made), None).artifact.for_objects is None  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [ResizeMode.SQUASH, ResizeMode.FIT_LONGEST, None, ResizeMode.NONE])
def test_the_device_alone_needs_no_frame_for_whole_pictures(
    mode: ResizeMode | None, export: Callable[..., Export]
) -> None:
    made = export(classifier(), resize_mode=mode, image_scaling=ImageScaling.NONE)
    plain, _ = preprocessing(made)
    framed, findings = preprocessing(made, Frame(16, 9), resize="device")
    assert framed == plain
    assert crop_to(made, Frame(16, 9), resize="device") is None
    assert findings[-1].id == FRAME_UNUSED.id
    assert ("--resize-mode fit-shortest" in str(findings[-1].hint)) == (mode in {None, ResizeMode.NONE})
    assert (RESIZE_ASSUMED.id in {finding.id for finding in findings}) == (mode in {None, ResizeMode.NONE})
    assert preprocessing(made, Frame(16, 9), assumed=True, resize="device")[1] == findings[:-1]


@pytest.mark.parametrize(
    ("mode", "inside"),
    [
        (ResizeMode.SQUASH, (0, 0, 640, 360)),
        (None, (0, 0, 640, 360)),
        (ResizeMode.FIT_LONGEST, (0, -120, 640, 640)),
        (ResizeMode.FIT_SHORTEST, (140, 0, 360, 360)),
    ],
)
def test_the_graph_resizes_as_in_training(
    mode: ResizeMode | None, inside: tuple[int, ...], export: Callable[..., Export]
) -> None:
    made = export(classifier(height=16, width=16), resize_mode=mode, image_scaling=ImageScaling.TORCH)
    framed, findings = preprocessing(made, Frame(16, 9))
    assert isinstance(framed.framing, Resizing)
    assert (framed.framing.network, framed.framing.inside) == ((640, 360), inside)
    assert not framed.maintain_aspect_ratio
    assert [each.id for each in findings] == ([RESIZE_ASSUMED.id] if mode is None else [])


@pytest.mark.parametrize("mode", [ResizeMode.SQUASH, ResizeMode.FIT_LONGEST])
def test_frames_of_the_models_size_are_left_to_the_device(mode: ResizeMode, export: Callable[..., Export]) -> None:
    made = export(classifier(height=8, width=8), resize_mode=mode)
    assert crop_to(made, Frame(8, 8, in_pixels=True)) is None


def test_without_a_frame_it_is_said_what_is_lost(export: Callable[..., Export]) -> None:
    made = export(classifier(), resize_mode=ResizeMode.FIT_SHORTEST, image_scaling=ImageScaling.NONE)
    _, (finding,) = preprocessing(made)
    assert finding.id == RESIZE_CROPS.id
    assert "--frame auto" in str(finding.hint)
    framed, findings = preprocessing(made, Frame(16, 9), resize="device")
    assert findings == ()
    assert replace(framed, framing=None) == preprocessing(made)[0]
