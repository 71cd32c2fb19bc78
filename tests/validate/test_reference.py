"""The original in LiteRT: against numpy, with quantized ends, and what a damaged file does."""

from __future__ import annotations

import random
import signal
from typing import Any

import numpy as np
import pytest

from convert.errors import ValidationError
from convert.images import ImageScaling
from convert.isolation import Worker
from convert.validate import runtimes
from convert.validate.inputs import pictures
from tests.validate.tiny import Classifier, tflite

MODEL = Classifier()
PICTURES = np.stack([picture for _, picture in pictures(12, MODEL.height, MODEL.width, MODEL.channels)])


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
    with pytest.raises(ValidationError, match=r"^the original's input is uint8 without a scale"):
        runtimes._quantize(np.zeros(1, np.float32), {"dtype": np.uint8, "quantization": (0.0, 0)})


def test_pictures_of_another_size(worker: Worker) -> None:
    with pytest.raises(
        ValidationError, match=r"^the original's input \[1,6,5,3\] does not hold one picture of 5x5 with 3 channels"
    ):
        runtimes.outputs(tflite(MODEL), PICTURES[:, :5], ImageScaling.NONE, worker, 60)


def test_not_a_flatbuffer(worker: Worker) -> None:
    with pytest.raises(ValidationError, match=r"^LiteRT cannot run the original model") as caught:
        runtimes.outputs(b"TFL3" * 20, PICTURES, ImageScaling.NONE, worker, 60)
    assert "download the export again" in str(caught.value.hint)


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
