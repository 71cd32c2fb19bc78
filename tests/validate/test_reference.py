"""The original in LiteRT: against numpy, with quantized ends, and what a damaged file does."""

from __future__ import annotations

import random
import signal
from functools import partial
from typing import Any

import numpy as np
import pytest

from convert.errors import ValidationError
from convert.images import ImageScaling
from convert.isolation import Died, Failed, Worker
from convert.validate import runtimes
from convert.validate.inputs import pictures
from tests.validate.tiny import Classifier, parse, tflite

MODEL = Classifier()
PICTURES = np.stack([picture for _, picture in pictures(12, MODEL.height, MODEL.width, MODEL.channels)])


DAMAGED = "the model is damaged, or holds an operator that is not known: download the export again"


def expected() -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    logits = PICTURES.reshape(len(PICTURES), -1) / 255 @ MODEL.weights.T.astype(np.float64) + MODEL.bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def test_float_model(worker: Worker) -> None:
    (scores,) = runtimes.outputs(tflite(MODEL), PICTURES, ImageScaling.NONE, worker, 60)
    assert scores.dtype == np.float32
    assert scores == pytest.approx(expected(), abs=1e-6)


def test_quantized_ends(worker: Worker) -> None:
    """Input scale 1/255, zero point -128: every uint8 value is exact; output in steps of 1/256."""
    (scores,) = runtimes.outputs(tflite(MODEL, int8=True), PICTURES, ImageScaling.NONE, worker, 60)
    assert scores == pytest.approx(expected(), abs=0.6 / 256)
    assert np.allclose(scores * 256, np.round(scores * 256))


def test_halves_are_rounded_away_from_zero_and_clamped() -> None:
    tensor = {"dtype": np.int8, "quantization": (2.0, 1)}
    values = np.array([1.0, -1.0, 5.0, -5.0, 0.9, 1000.0, -1000.0], np.float32)
    assert runtimes._quantize(values, tensor).tolist() == [2, 0, 4, -2, 1, 127, -128]


def test_integers_without_a_scale_are_refused() -> None:
    message = "the original's input is uint8 without a scale: pictures cannot be fed to it"
    with pytest.raises(ValidationError, match=f"^{message}$"):
        runtimes._quantize(np.zeros(1, np.float32), {"dtype": np.uint8, "quantization": (0.0, 0)})


def test_a_model_that_fails_while_it_runs_is_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("node 3 failed\n to invoke")

    monkeypatch.setattr(runtimes.LiteRT, "__call__", fails)
    message = "LiteRT cannot run the original model: node 3 failed to invoke"
    with pytest.raises(ValidationError, match=f"^{message}$") as caught:
        runtimes.run_tflite(tflite(MODEL), PICTURES, ImageScaling.NONE)
    assert caught.value.hint == DAMAGED


OTHER = "the original's input [1,6,5,3] does not hold one picture of {} with {} channels"
MADE_FROM = "give validate the .tflite that this ONNX model was made from"


@pytest.mark.parametrize(
    ("model", "pictures", "message", "hint"),
    [
        (b"x" * 64, PICTURES, "LiteRT cannot run the original model: ...", DAMAGED),
        (tflite(MODEL), PICTURES[:, :, 1:], OTHER.format("4x6", 3), MADE_FROM),
        (tflite(MODEL), PICTURES[..., :1], OTHER.format("5x6", 1), MADE_FROM),
    ],
)
def test_what_litert_cannot_run(model: bytes, pictures: Any, message: str, hint: str) -> None:
    """A message that ends in "..." goes on with LiteRT's."""
    with pytest.raises(ValidationError) as caught:
        runtimes.run_tflite(model, pictures, ImageScaling.NONE)
    told, begin = caught.value.message, message.removesuffix("...")
    assert told.startswith(begin)
    assert (len(told) > len(begin)) == message.endswith("...")
    assert "\n" not in told
    assert caught.value.hint == hint


@pytest.mark.parametrize("kernels", [runtimes.DEFAULT, runtimes.BUILTIN, runtimes.REFERENCE])
def test_the_outputs_of_each_picture(kernels: str) -> None:
    for model, scaling, values in (
        (tflite(MODEL), ImageScaling.NONE, PICTURES[:3]),
        (tflite(MODEL), None, PICTURES[:3].astype(np.float32) / np.float32(255)),
    ):
        (scores,) = runtimes.run_tflite(model, values, scaling, kernels)
        assert scores == pytest.approx(expected()[:3], abs=1e-6)


def test_pictures_of_another_size(worker: Worker) -> None:
    with pytest.raises(
        ValidationError, match=r"^the original's input \[1,6,5,3\] does not hold one picture of 5x5 with 3 channels$"
    ) as caught:
        runtimes.outputs(tflite(MODEL), PICTURES[:, :5], ImageScaling.NONE, worker, 60)
    assert caught.value.hint == "give validate the .tflite that this ONNX model was made from"


def test_an_original_of_two_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Two(runtimes.LiteRT):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.sources = [*self.sources, *self.sources]

    monkeypatch.setattr(runtimes, "LiteRT", Two)
    with pytest.raises(ValidationError, match=r"^the original model has 2 inputs instead of one$"):
        runtimes.run_tflite(tflite(MODEL), PICTURES, ImageScaling.NONE)


def test_not_a_flatbuffer(worker: Worker) -> None:
    with pytest.raises(ValidationError, match=r"^LiteRT cannot run the original model: .*Flatbuffer") as caught:
        runtimes.outputs(b"TFL3" * 20, PICTURES, ImageScaling.NONE, worker, 60)
    assert caught.value.hint == DAMAGED


class _Crashing(Worker):
    """LiteRT checks flatbuffers well today; a crash is therefore brought about by hand."""

    def call(self, *_arguments: Any, **options: Any) -> Any:
        return super().call("signal:raise_signal", signal.SIGSEGV, timeout=options["timeout"])


def test_a_crash_is_an_error_of_this_model() -> None:
    with (
        _Crashing() as worker,
        pytest.raises(ValidationError, match=r"^LiteRT crashed on the original model \(killed by SIGSEGV\)") as caught,
    ):
        runtimes.outputs(tflite(MODEL), PICTURES, ImageScaling.NONE, worker, 60)
    assert "download the export again" in str(caught.value.hint)


def test_damaged_flatbuffers_are_run_or_refused(worker: Worker) -> None:
    whole = tflite(MODEL)
    start = whole.index(MODEL.weights.tobytes()) + MODEL.weights.nbytes  # damaged weights are still a model
    refused = []
    for seed in range(36):
        data, chance = bytearray(whole), random.Random(seed)
        for _ in range(3):
            data[chance.randrange(start, len(data))] = chance.choice([0, 1, 255, chance.randrange(256)])
        try:
            runtimes.outputs(bytes(data), PICTURES[:1], ImageScaling.NONE, worker, 5)
        except ValidationError as error:
            refused.append(error)
    assert len(refused) > 10
    assert all(error.hint and "\n" not in error.message for error in refused)


def test_running_too_long(worker: Worker) -> None:
    with pytest.raises(ValidationError, match=r"^the original model ran longer than") as caught:
        runtimes.outputs(tflite(MODEL), PICTURES, ImageScaling.NONE, worker, 1e-6)
    assert "--timeout" in str(caught.value.hint)


GRIDS = np.random.default_rng(5).integers(0, 256, (2, 2, 4, 3), np.uint8)
FED = GRIDS.astype(np.float32) / np.float32(255)
FIRST = FED.transpose(0, 3, 1, 2)  # channels first


@pytest.mark.parametrize(
    ("graph", "shape", "expected"),
    [
        ("g (float[1,3,2,4] x) => (float[1,3,2,4] y) { y = Identity(x) }", (1, 2, 4, 3), FED),
        ("g (float[1,3,2,4] x) => (float[1,3,2,4] y) { y = Identity(x) }", (None, 2, 4, 3), FED),
        ("g (float[1,3,2,4] x) => (float[1,3,2,4] y) { y = Identity(x) }", (1, 3, 2, 4), FIRST),
        ("g (float[1,3,2,4] x) => (float[1,3,2,4] y) { y = Identity(x) }", (1, 24, 1, 1), FIRST),
        ("g (float[1,2,4,3] x) => (float[1,2,4,3] y) { y = Identity(x) }", (1, 2, 4, 3), FED),
        ("g (float[1,2,4,3] x) => (float[1,24] y) { y = Flatten(x) }", (1, 24), FED.reshape(2, -1)),
        ("g (float[1,2,4,3] x) => (float[1,24] y) { y = Flatten(x) }", (1, 2, 12), FED.reshape(2, -1)),
        ("g (float[1,2,4,3] x) => (double[1,2,4,3] y) { y = Cast<to=11>(x) }", (1, 2, 4, 3), FED),
    ],
)
def test_an_onnx_original_in_the_layout_of_a_flatbuffer(
    graph: str, shape: tuple[int | None, ...], expected: Any
) -> None:
    model = parse(graph).SerializeToString()
    (found,) = runtimes.run_onnx_reference(model, GRIDS, ImageScaling.NONE, [shape])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_an_onnx_original_of_another_size() -> None:
    model = parse("g (float[1,3,4,2] x) => (float[1,3,4,2] y) { y = Identity(x) }").SerializeToString()
    with pytest.raises(ValidationError) as caught:
        runtimes.run_onnx_reference(model, GRIDS, ImageScaling.NONE, [(1, 2, 4, 3)])
    assert caught.value.message == "the original's input [3, 4, 2] does not hold a picture [2,4,3]"
    assert caught.value.hint == "give validate the model that this ONNX model was made from"


@pytest.mark.parametrize(
    ("death", "message", "hint"),
    [
        ("ran longer than 3 s", "the original model ran longer than 3 s in {}", "allow more time with --timeout"),
        ("killed by SIGSEGV", "{} crashed on the original model (killed by SIGSEGV)", DAMAGED),
        ("", "{} cannot run the original model: KeyError: 1", DAMAGED),
    ],
)
@pytest.mark.parametrize("engine", ["LiteRT", "ONNX Runtime"])
def test_what_a_child_that_ends_means(engine: str, death: str, message: str, hint: str) -> None:
    class Ending(Worker):
        def call(self, *_: Any, **__: Any) -> Any:
            raise Died(death) if death else Failed("KeyError: 1", "")

    run = runtimes.outputs if engine == "LiteRT" else partial(runtimes.onnx_outputs, shapes=[])
    with pytest.raises(ValidationError) as caught:
        run(b"", PICTURES, ImageScaling.NONE, worker=Ending(), timeout=3)
    assert (caught.value.message, caught.value.hint) == (message.format(engine), hint)
