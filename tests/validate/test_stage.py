"""The stage as a whole, on a small classifier that exists twice."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from onnx import numpy_helper
from PIL import Image

from convert.errors import InputError, MissingDependencyError, PresetError, ValidationError
from convert.findings import Finding, Level, Rule
from convert.heads.decoding import ReferenceDecoder
from convert.images import Frame, Framing, ImageScaling, ResizeMode
from convert.images.resizing import Resizing
from convert.isolation import Worker
from convert.types import Adapted, Evidence, Preprocessing, StageResult, Validated
from convert.validate import Validate, WithFraming, comparison, inputs, runtimes
from tests.validate.tiny import GRAY, RGB, Classifier, adapted, onnx_model, parse, tflite

MODEL = Classifier()

Measure = Callable[..., tuple[Evidence, tuple[Finding, ...]]]


@pytest.fixture
def measure(worker: Worker) -> Measure:
    def measured(artifact: Adapted, **options: Any) -> tuple[Evidence, tuple[Finding, ...]]:
        result = Validate(worker=worker, **options)(artifact, Path())
        assert isinstance(result.artifact, Validated)
        assert result.artifact.adapted is artifact
        assert result.outputs == ()
        return result.artifact.evidence, result.findings

    return measured


def ids(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.id for finding in findings]


@pytest.mark.parametrize(("channels", "preprocessing"), [(3, RGB), (1, GRAY)])
def test_a_faithful_translation(measure: Measure, channels: int, preprocessing: Preprocessing) -> None:
    model = Classifier(channels=channels)
    evidence, findings = measure(adapted(onnx_model(model), tflite(model), preprocessing))
    assert findings == ()
    assert evidence.parity is not None
    assert evidence.parity.max_abs_diff < 1e-6
    assert evidence.parity.mean_abs_diff <= evidence.parity.max_abs_diff
    assert (evidence.parity.top1, evidence.parity.inputs, evidence.parity.tolerance) == (1.0, 32, 1e-4)
    assert evidence.batch is not None
    assert evidence.batch.sizes == (1, 2, 8)
    assert evidence.batch.max_abs_diff < 1e-6
    assert evidence.tensorrt is None


def test_the_same_twice(measure: Measure) -> None:
    artifact = adapted(onnx_model(MODEL), tflite(MODEL))
    assert measure(artifact) == measure(artifact)


def test_a_large_model_is_loaded_before_its_original_runs(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = adapted(onnx_model(MODEL), tflite(MODEL))
    done: list[str] = []  # in this thread; a small model is loaded in another one, beside its original

    def note(name: str, does: Callable[..., Any], *given: Any, **more: Any) -> Any:
        if threading.current_thread() is threading.main_thread():
            done.append(name)
        return does(*given, **more)

    monkeypatch.setattr(runtimes, "load", partial(note, "load", runtimes.load))
    monkeypatch.setattr(comparison, "original", partial(note, "original", comparison.original))
    usual = measure(artifact)
    assert done[0] == "original"
    done.clear()
    monkeypatch.setattr("convert.validate.comparison.LARGE", 0)
    assert measure(artifact) == usual
    assert done[:2] == ["load", "original"]


def test_a_wrong_weight(measure: Measure) -> None:
    evidence, findings = measure(adapted(onnx_model(replace(MODEL, seed=8)), tflite(MODEL)))
    assert ids(findings)[0] == "EI403"
    assert findings[0].level is Level.ERROR
    assert evidence.parity is not None
    assert evidence.parity.max_abs_diff > 0.01


# gain keeps the scores away from 0 and 1 where inputs are large
RANGES = [
    (ImageScaling.NONE, 1.0, RGB),
    (ImageScaling.FROM_0_TO_255, 1 / 255, replace(RGB, net_scale_factor=1.0)),
    (ImageScaling.MINUS_1_TO_1, 1.0, replace(RGB, net_scale_factor=1 / 127.5, offsets=(127.5,) * 3)),
    (ImageScaling.MINUS_128_TO_127, 1 / 255, replace(RGB, net_scale_factor=1.0, offsets=(128.0,) * 3)),
    (
        ImageScaling.BGR_MINUS_IMAGENET_MEAN,
        1 / 255,
        replace(RGB, net_scale_factor=1.0, offsets=(103.939, 116.779, 123.68), color="BGR"),
    ),
]


@pytest.mark.parametrize(("scaling", "gain", "preprocessing"), RANGES)
def test_every_scaling_with_what_nvinfer_needs_for_it(
    measure: Measure, scaling: ImageScaling, gain: float, preprocessing: Preprocessing
) -> None:
    model = replace(MODEL, gain=gain)
    _, findings = measure(adapted(onnx_model(model), tflite(model), preprocessing, scaling))
    assert findings == ()
    # and with what it needs for another: the graph is right, the preprocessing is not
    for other, _, wrong in RANGES:
        if other is not scaling:
            _, findings = measure(adapted(onnx_model(model), tflite(model), wrong, scaling), inputs=8)
            assert ids(findings)[0] == "EI403", other


def test_torch_folded_into_the_graph(measure: Measure) -> None:
    proto = parse("g (float[N,3,6,5] x_input) => (float[N,4] scores) { }")
    proto.ParseFromString(onnx_model(MODEL))
    for node in proto.graph.node:
        if node.op_type == "Transpose":
            node.input[0] = "normalised"
    folded = parse(
        "g (float[N,3,6,5] x_input) => (float[N,3,6,5] normalised)"
        "{ centred = Sub(x_input, mean) \n normalised = Div(centred, deviation) }"
    )
    nodes = [*folded.graph.node, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    for name, values in (("mean", [0.485, 0.456, 0.406]), ("deviation", [0.229, 0.224, 0.225])):
        proto.graph.initializer.append(numpy_helper.from_array(np.array(values, np.float32).reshape(1, 3, 1, 1), name))
    preprocessing = replace(RGB, folded="torch")
    _, findings = measure(adapted(proto.SerializeToString(), tflite(MODEL), preprocessing, ImageScaling.TORCH))
    assert findings == ()
    _, findings = measure(adapted(onnx_model(MODEL), tflite(MODEL), preprocessing, ImageScaling.TORCH))
    assert ids(findings)[0] == "EI403"


def test_swapped_colours_are_seen(measure: Measure) -> None:
    _, findings = measure(adapted(onnx_model(MODEL), tflite(MODEL), replace(RGB, color="BGR")))
    assert ids(findings)[0] == "EI403"


def test_swapped_axes_are_seen(measure: Measure) -> None:
    square = Classifier(height=6, width=6)
    proto = parse("g (float[N,3,6,6] x_input) => (float[N,4] scores) { }")
    proto.ParseFromString(onnx_model(square))
    proto.graph.node[0].attribute[0].ints[:] = [0, 3, 2, 1]
    _, findings = measure(adapted(proto.SerializeToString(), tflite(square)))
    assert ids(findings)[0] == "EI403"


def test_pictures_that_mix_in_a_batch_are_seen(measure: Measure) -> None:
    """Each picture is replaced by the mean of its batch: alone, nothing is wrong."""
    proto = parse("g (float[N,3,6,5] x_input) => (float[N,4] scores) { }")
    proto.ParseFromString(onnx_model(MODEL))
    proto.graph.node[0].input[0] = "mixed"
    mixing = parse(
        "g (float[N,3,6,5] x_input) => (float[N,3,6,5] mixed)"
        "{ mean = ReduceMean<axes=[0], keepdims=1>(x_input) none = Sub(x_input, x_input) mixed = Add(mean, none) }"
    )
    nodes = [*mixing.graph.node, *proto.graph.node]
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    evidence, findings = measure(adapted(proto.SerializeToString(), tflite(MODEL)))
    assert evidence.parity is not None
    assert evidence.parity.max_abs_diff < 1e-6
    assert ids(findings) == ["EI407", "EI407"]


def test_a_model_that_always_says_the_same(measure: Measure) -> None:
    dead = replace(MODEL, gain=0.0)
    evidence, findings = measure(adapted(onnx_model(dead), tflite(dead)))
    assert [(finding.id, finding.level) for finding in findings] == [("EI406", Level.WARNING)]
    assert evidence.parity is not None


def test_a_model_that_overflows(measure: Measure) -> None:
    wild = replace(MODEL, gain=3e38)
    evidence, findings = measure(adapted(onnx_model(wild), tflite(wild)))
    assert set(ids(findings)) == {"EI405"}
    assert evidence == Evidence()


def test_a_signature_nvinfer_cannot_take_is_not_measured(measure: Measure) -> None:
    evidence, findings = measure(adapted(onnx_model(MODEL, batch="1"), tflite(MODEL)))
    assert ids(findings) == ["EI400", "EI401"]
    assert evidence == Evidence()


def test_an_invalid_model(measure: Measure) -> None:
    with pytest.raises(ValidationError, match=r"^not an ONNX model"):
        measure(adapted(b"<html>", tflite(MODEL)))


def test_the_original_of_another_model(measure: Measure) -> None:
    with pytest.raises(ValidationError, match=r"^the original's input \[1,7,5,3\] does not hold one picture") as caught:
        measure(adapted(onnx_model(MODEL), tflite(Classifier(height=7))))
    assert caught.value.hint == "give validate the .tflite that this ONNX model was made from"
    with pytest.raises(ValidationError, match=r"^the ONNX model's output \[4\] cannot be compared") as caught:
        measure(adapted(onnx_model(MODEL), tflite(Classifier(classes=5))))
    assert caught.value.hint == "give validate the .tflite that this ONNX model was made from"


def test_quantized_original_within_its_own_steps(measure: Measure) -> None:
    artifact = adapted(onnx_model(MODEL), tflite(MODEL, int8=True))
    _, findings = measure(artifact, tolerance=1 / 256)
    assert findings == ()
    _, findings = measure(artifact)
    assert ids(findings)[0] == "EI403"


def test_large_pictures_are_fewer_and_of_every_kind(measure: Measure) -> None:
    model = Classifier(height=50, width=80, gain=0.01)
    artifact = adapted(onnx_model(model), tflite(model))
    known = artifact.export.facts
    for side, count in ((250, 24), (1000, 14)):  # of the network's input, whatever the frames: 1.5 million pixels
        facts = replace(known, input=replace(known.input, shape=(1, side, side, 3)))
        translated = replace(artifact.translated, export=replace(artifact.export, facts=facts))
        evidence, _ = measure(replace(artifact, translated=translated))
        assert evidence.parity is not None
        assert evidence.parity.inputs == count
    kinds = {name.partition(" ")[0] for name, _ in inputs.pictures(14, 50, 80, 3)}  # of larger ones
    assert kinds >= {"black", "white", "checker", "single", "noise", "field", "gradient", "blobs", "texture"}


def test_pictures_of_the_users_own(measure: Measure, tmp_path: Path) -> None:
    for number in range(40):  # more than one chunk
        Image.effect_noise((20 + number, 16), 80).convert("RGB").save(tmp_path / f"{number}.png")
    (tmp_path / "clip.mp4").write_bytes(b"of a video no frame is taken")
    evidence, findings = measure(adapted(onnx_model(MODEL), tflite(MODEL)), images=tmp_path, inputs=5)
    assert findings == ()
    assert evidence.parity is not None
    assert evidence.parity.inputs == 45


def test_a_broken_picture_ends_the_run(measure: Measure, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(b"no")
    with pytest.raises(InputError) as caught:
        measure(adapted(onnx_model(MODEL), tflite(MODEL)), images=tmp_path)
    assert caught.value.hint == "leave it out, or save it again as PNG or JPEG"
    assert caught.value.path == str(tmp_path / "cat.jpg")


def test_pictures_are_resized_as_the_export_says(measure: Measure, tmp_path: Path) -> None:
    """The worst picture is named; only the resize mode decides whether the bright edge is inside."""
    picture = Image.new("RGB", (50, 6))
    picture.paste((255, 255, 255), (0, 0, 10, 6))
    picture.save(tmp_path / "edge.png")
    artifact = adapted(onnx_model(replace(MODEL, seed=8)), tflite(MODEL))
    differences = {}
    for mode in (ResizeMode.SQUASH, ResizeMode.FIT_SHORTEST):
        chosen = replace(artifact, preprocessing=replace(RGB, resize_mode=mode))
        evidence, _ = measure(chosen, images=tmp_path, inputs=1)
        assert evidence.parity is not None
        differences[mode] = evidence.parity.mean_abs_diff
    black, _ = measure(artifact, inputs=1)
    assert black.parity is not None
    # Cropped to the black centre, the picture is the generated "black" once more.
    assert differences[ResizeMode.FIT_SHORTEST] == pytest.approx(black.parity.mean_abs_diff)
    assert differences[ResizeMode.SQUASH] != pytest.approx(black.parity.mean_abs_diff)


def test_the_tensorrt_gate_is_optional_and_says_so_first(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_MODULES", ("no_such_module",))
    artifact = adapted(b"not even looked at", b"")
    with pytest.raises(MissingDependencyError):
        measure(artifact, tensorrt=True)


def test_what_tensorrt_says_is_evidence_or_a_finding(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def build(model: bytes, shape: tuple[int, int, int], batch_size: int, *, timeout: float) -> str:
        calls.append((model, shape, batch_size, timeout))
        if batch_size == 9:
            raise ValidationError("TensorRT has had enough")
        if batch_size == 8:
            raise ValidationError("TensorRT is slow", hint="wait")
        return "built"

    monkeypatch.setattr(runtimes, "available", lambda: True)
    monkeypatch.setattr(runtimes, "build", build)
    artifact = adapted(onnx_model(MODEL), tflite(MODEL))
    evidence, findings = measure(artifact, tensorrt=True, batch_size=4, timeout=50.0)
    assert (evidence.tensorrt, findings) == ("built", ())
    assert calls == [(artifact.onnx.data, (3, 6, 5), 4, 50.0)]
    evidence, findings = measure(artifact, tensorrt=True, batch_size=9)
    assert evidence.tensorrt is None
    assert evidence.parity is not None
    assert findings == (Finding("EI408", Level.ERROR, "TensorRT has had enough", hint=Rule("EI408").fix),)
    _, findings = measure(artifact, tensorrt=True, batch_size=8)
    assert findings == (Finding("EI408", Level.ERROR, "TensorRT is slow", hint="wait"),)


def test_a_worker_of_its_own() -> None:
    result = Validate(inputs=4)(adapted(onnx_model(MODEL), tflite(MODEL)), Path())
    assert result.findings == ()


@pytest.mark.parametrize(
    "options",
    [
        {"tolerance": 0.0},
        {"tolerance": float("nan")},
        {"tolerance": float("inf")},
        {"inputs": 0},
        {"batches": ()},
        {"batches": (1, 0)},
        {"timeout": 0.0},
        {"batch_size": 0},
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any]) -> None:
    with pytest.raises(PresetError) as caught:
        Validate(**options)
    if "batches" in options:
        expected = "batch sizes must be 1 or more", "leave them at 1, 2, 8"
    else:
        expected = (
            "tolerance, inputs, timeout and batch size must be positive numbers",
            "leave them at their defaults",
        )
    assert (caught.value.message, caught.value.hint) == expected


def test_the_least_that_can_be_asked_for(measure: Measure) -> None:
    least = Validate(tolerance=1e-9, inputs=1, batches=(1,), timeout=0.001, batch_size=1)
    assert (least.inputs, least.batches) == (1, (1,))
    evidence, _ = measure(adapted(onnx_model(MODEL), tflite(MODEL)), inputs=1, batches=(1,))
    assert evidence.parity is not None
    assert evidence.parity.inputs == 1
    assert evidence.batch is not None
    assert evidence.batch.sizes == (1,)


def test_the_stage_is_a_value() -> None:
    assert Validate(worker=Worker()) == Validate()
    assert Validate(inputs=8) != Validate()
    assert Validate().name == "validate"


class Proven:
    """In the place of the ordinary stage."""

    name: ClassVar[str] = "validate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        del workdir
        assert isinstance(artifact, Adapted)
        return StageResult(Validated(artifact, Evidence()))


@pytest.mark.parametrize(
    ("framing", "asked", "frames"),
    [
        (None, [(5, 360, 640), (5, 480, 640), (5, 640, 480), (5, 640, 360)], ("16:9", "4:3", "3:4", "9:16")),
        (Framing(Frame(16, 9), (5, 6)), [(20, 360, 640)], ("16:9",)),
        (Resizing(Frame(16, 9), (5, 6), ResizeMode.FIT_SHORTEST, scaled=(10, 6)), [(20, 540, 960)], ("16:9",)),
    ],
)
def test_the_frames_that_squashing_and_cropping_are_measured_on(
    framing: Framing | None, asked: list[tuple[int, ...]], frames: tuple[str, ...], worker: Worker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A camera's usual shapes, where its own is not known; larger ones where the device scales them first."""
    known: list[tuple[int, ...]] = []

    def image_like(count: int, height: int, width: int, channels: int) -> Iterator[Any]:
        known.append((count, height, width))
        random = np.random.default_rng(height)
        return (random.integers(0, 256, (height // 20, width // 20, channels), np.uint8) for _ in range(count))

    monkeypatch.setattr(inputs, "image_like", image_like)
    monkeypatch.setattr("convert.validate.shipped", lambda _, shown, __: [np.full((len(shown), 4), 0.25, np.float32)])
    before = replace(RGB, resize_mode=ResizeMode.FIT_SHORTEST, framing=framing)
    artifact = adapted(onnx_model(MODEL), tflite(MODEL), before)
    result = WithFraming(Proven(), worker=worker)(artifact, Path())
    assert known == asked
    effect = result.artifact.evidence.framing
    assert (effect.frames, effect.squash.inputs) == (frames, 20)
    assert (effect.crop is None) == (framing is None)
    if framing is not None:
        assert (effect.crop.inputs, result.findings) == (20, ())
        return
    (finding,) = result.findings
    otherwise = round((1 - effect.squash.top1) * 20)
    assert finding.message == (
        f"squashed instead of cropped, {otherwise} of 20 pictures of 16:9 to 9:16 are decided otherwise, and scores "
        f"differ by {effect.squash.mean_abs_diff:.2g} on average"
    )
    assert finding.hint == (
        "--frame auto (or what the camera gives, --frame 4:3) crops whole frames in the model; not for --role sgie"
    )


@pytest.mark.parametrize(
    ("overlap", "merge", "is_decoding", "judged"),
    [
        (None, "touching", True, True), (0.5, None, True, True), (0.5, "none", True, True), (None, "peak", True, False),
        (None, None, True, False), (0.5, "touching", False, False),
    ],
)  # fmt: skip
def test_the_last_bit_of_a_score_that_moves_whole_boxes(
    overlap: float | None, merge: str | None, is_decoding: bool, judged: bool, worker: Worker
) -> None:
    """What is shipped in a batch is compared with the raw outputs of the same batch."""
    told: list[Any] = []

    class Judge(comparison.Decoding):
        def add(self, *given: Any) -> None:
            told.extend(given)

    artifact = adapted(onnx_model(MODEL), tflite(MODEL))
    artifact = replace(artifact, head=replace(artifact.head, overlap=overlap, merge=merge))
    compared = comparison.Comparison(artifact, worker, 60, 1e-4, first_size=1)
    compared.decoding = Judge(ReferenceDecoder(artifact.head, 5, 6)) if is_decoding else None
    outputs: list[Any] = [np.zeros(2), np.ones(2), np.full(2, 2)]
    assert compared.decode(outputs) == (1 if judged else 0)
    names, raw, shipped = told or ([], [], [])
    assert names == (["picture 1 of a batch of 2", "picture 2 of a batch of 2"] if judged else [])
    assert [id(each) for each in (*shipped, *raw)] == [id(each) for each in outputs] * judged
    assert (len(shipped), len(raw)) == ((1, 2) if judged else (0, 0))


@pytest.mark.parametrize(("coded", "middle"), [(False, 0.03), (True, math.inf)])
def test_a_comparison_knows_what_may_differ(coded: bool, middle: float, worker: Worker) -> None:
    """Where activations are rounded by the original alone the middle input may differ by 3 %."""
    artifact = adapted(onnx_model(MODEL), tflite(MODEL))
    artifact = replace(artifact, calibrated=20 if coded else 0)
    tally = comparison.Comparison(artifact, worker, 60, 1e-4, first_size=1).tally
    assert (tally.tolerance, tally.exact, tally.middle) == (1e-4, not artifact.has_steps, middle)


def test_importing_the_stage_is_light() -> None:
    heavy = "{'numpy', 'onnx', 'onnxruntime', 'PIL'}"
    code = f"import sys, convert.validate as s; s.Validate(); print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
