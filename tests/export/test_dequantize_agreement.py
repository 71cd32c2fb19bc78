from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from convert import agreement
from convert.agreement import agreement_findings, agreements, int8_agreement, is_clearly_good
from convert.export.dequantize import Rewriter, add_tensor, dequantize, finish
from convert.export.tflite import pack, unpack
from convert.heads.ssd import output_order
from convert.types import Agreement, Int8Agreement
from convert.validate.inputs import pictures
from convert.validate.runtimes import LiteRT
from tests.export.eon.networks import Network, small_int8

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.export.dequantize import Range

PICTURES = np.stack([picture for _, picture in pictures(40, 8, 8, 3)])


def turned() -> bytes:
    """The float32 rewriting of the small classifier, with its two classes exchanged."""
    root = unpack(dequantize(small_int8()).model)
    graph = root.subgraphs[0]
    for call in graph.operators:
        for index in call.inputs[1:] if isinstance(call.builtinOptions, schema.FullyConnectedOptionsT) else ():
            tensor = graph.tensors[index]
            values = np.frombuffer(bytes(root.buffers[tensor.buffer].data), np.float32).reshape(tensor.shape)
            root.buffers[tensor.buffer].data = np.frombuffer(values[::-1].tobytes(), np.uint8)
    return pack(root)


def test_a_model_agrees_with_itself() -> None:
    assert int8_agreement(small_int8(), small_int8(), PICTURES) == Agreement(1.0, 0.0, 0.0, 40)


def test_the_rewriting_agrees_and_the_wrong_one_does_not() -> None:
    good = int8_agreement(small_int8(), dequantize(small_int8()).model, PICTURES)
    assert good.top1 >= 0.95
    assert 0 < good.mean_abs_diff < good.max_abs_diff < 0.1
    wrong = int8_agreement(small_int8(), turned(), PICTURES)
    assert wrong.top1 < 0.5
    (found,) = agreement_findings(Int8Agreement(wrong.top1, 0.1, 0.2, 40, kernels=1.0), "so")
    assert (found.id, found.hint) == ("EI153", "so")


@pytest.mark.parametrize(
    ("top1", "kernels", "inputs", "is_found"),
    [
        (0.985, None, 10_000, False),
        (0.9701, 1.0, 10**6, False),
        (0.9699, 1.0, 10**6, True),
        (0.968, 0.975, 10**6, False),
        (0.9501, 0.96, 10**6, False),
        (0.9499, 0.96, 10**6, True),
        (0.962, 1.0, 300, False),  # chance alone makes 1.82 points
        (0.961, 1.0, 300, True),
        (0.868, 0.91, 300, False),  # and of two shares 4.20
        (0.867, 0.91, 300, True),
        (0.5, 0.4, 10_000, False),
        (0.93, 0.945, 400, False),
        (0.93, 0.98, 400, True),
        (0.93, 0.98, 100, True),
        (0.95, 0.98, 100, False),
    ],
)
def test_what_is_too_little(top1: float, kernels: float | None, inputs: int, is_found: bool) -> None:
    """More than a point, and than chance makes on so many inputs, below both 98 % and what LiteRT's kernels reach."""
    message = (
        f"the same decision on {top1:.1%} of {inputs} inputs, where two sets of LiteRT's own kernels agree on "
        f"{kernels or 0:.1%}; outputs differ by 0.013 on average and 0.5 at most"
    )
    found = agreement_findings(Int8Agreement(top1, 0.0125, 0.5, inputs, kernels=kernels), "look")
    assert [(each.id, each.message, each.hint) for each in found] == [("EI153", message, "look")] * is_found


def test_the_original_is_compared_with_itself_in_other_kernels() -> None:
    found = int8_agreement(small_int8(), None, PICTURES)
    assert found.inputs == 40
    assert found.top1 >= 0.9
    assert found.max_abs_diff < 0.1


def test_pictures_and_what_they_are_fed_as_give_the_same() -> None:
    rebuilt = dequantize(small_int8()).model
    real = PICTURES.astype(np.float32) / np.float32(255)
    assert int8_agreement(small_int8(), rebuilt, PICTURES) == int8_agreement(small_int8(), rebuilt, real)


def test_what_is_a_decision() -> None:
    decide = agreement._decide
    cells = np.array([[[[0.8, 0.1, 0.1], [0.2, 0.3, 0.5]]]], np.float32)
    assert decide([cells], "fomo", ()).tolist() == [0, 2]
    assert decide([np.array([[0.49]], np.float32)], "classifier", ()).tolist() == [0]
    assert decide([np.array([[0.5]], np.float32)], "classifier", ()).tolist() == [1]
    rows = np.zeros((1, 3, 7), np.float32)
    rows[0, 0, 4:] = 0.9, 0.2, 0.8
    rows[0, 1, 4:] = 0.4, 0.9, 0.1
    rows[0, 2, 4:] = 0.5, 0.9, 0.1
    assert decide([rows], "yolov5", ()).tolist() == [1, -1, 0]
    classes = np.array([[3, 4]], np.float32)
    for scores, decision in (([[0.2, 0.7]], 4), ([[0.1, 0.35]], -1)):
        assert decide([np.array(scores, np.float32), classes], "ssd", (1, 0)).tolist() == [decision]


def test_detections_are_found_by_the_operator_whatever_the_order_of_outputs() -> None:
    net = Network()
    sources = [net.tensor((1, 4), np.float32) for _ in range(3)]  # boxes, scores, anchors
    outputs = [net.tensor((), np.float32) for _ in range(4)]  # boxes, classes, scores, their number
    net.custom("TFLite_Detection_PostProcess", sources, outputs, b"\0")
    boxes, classes, scores, number = outputs
    assert output_order(net.model(sources, [scores, boxes, number, classes])) == [1, 3, 0, 2]


def test_int8_is_fed_as_the_sdk_does() -> None:
    net = Network()
    source = net.tensor((1, 6), np.int8, ([0.5], [10], 0))
    net.call("RESHAPE", [source, net.constant([1, 6])], [net.tensor((1, 6), np.int8, ([0.5], [10], 0))])
    runner = LiteRT(net.model([0], [2]))
    values = np.array([[0.25, -0.25, 0.24, 1.0, 1000, -1000]], np.float32)
    assert runner(values)[0].tolist() == [[0.5, -0.5, 0, 1, 58.5, -69]]


def test_when_there_is_little_doubt() -> None:
    assert [next(n for n in range(missed + 1, 999) if clear(missed, n)) for missed in range(3)] == [145, 200, 254]
    assert not any(clear(0.02 * inputs, inputs) for inputs in range(1, 5000, 7)), "98 % is never clear"


def clear(missed: float, inputs: int) -> bool:
    return is_clearly_good(Agreement(1 - missed / inputs, 0, 0, inputs))


def test_behind_each_input_the_agreement_so_far_is_known() -> None:
    rebuilt = dequantize(small_int8()).model
    found = list(islice(agreements(small_int8(), rebuilt, iter(PICTURES), "classifier"), 3))
    assert found == [int8_agreement(small_int8(), rebuilt, PICTURES[:count]) for count in (1, 2, 3)]
    assert int8_agreement(small_int8(), rebuilt, []).inputs == 0


class Rounding(Rewriter):
    """A rewriting that also rounds what the quantized model rounds: float32 in between, but nothing else differs."""

    def _result(self, name: str, call: Any, index: int, found: Range) -> int:
        if not self._is_quantized(index):
            return super()._result(name, call, index, found)
        quantization = self._tensors[index].quantization
        self._as_float(index)
        raw, rounded = (add_tensor(self._model, f"{index} {kind}", self._tensors[index].shape) for kind in "ab")
        self._tensors[rounded].type, self._tensors[rounded].quantization = schema.TensorType.INT8, quantization
        for operator, source, result in (("QUANTIZE", raw, rounded), ("DEQUANTIZE", rounded, index)):
            added = schema.OperatorT()
            added.inputs, added.outputs = np.array([source], np.int32), np.array([result], np.int32)
            self.calls.append((operator, added))
        self._ranges[index] = found
        return raw


def rounded(model: bytes) -> bytes:
    root = unpack(model)
    rewriter = Rounding(root)
    rewriter.run()
    return finish(root, rewriter.calls)


def test_nothing_but_rounding_is_lost() -> None:
    measured = int8_agreement(small_int8(), rounded(small_int8()), PICTURES)
    assert measured.top1 == 1
    assert measured.mean_abs_diff < 1 / 256


@pytest.mark.slow
def test_nothing_but_rounding_is_lost_of_real_models(models: Path) -> None:
    for path in ("classify-32x32x1-int8.lite", "classify-96x96x3-int8.lite", "fomo-96x96x3-int8.tflite"):
        model = (models / path).read_bytes()
        inputs = pictures_for(model, 100)
        lossy, exact = (int8_agreement(model, other, inputs) for other in (dequantize(model).model, rounded(model)))
        assert exact.top1 >= 0.99, (path, exact)
        assert exact.mean_abs_diff < lossy.mean_abs_diff / 2, (path, exact, lossy)


def pictures_for(model: bytes, count: int) -> NDArray[np.uint8]:
    graph = unpack(model).subgraphs[0]
    _, height, width, channels = (int(size) for size in graph.tensors[graph.inputs[0]].shape)
    return np.stack([picture for _, picture in pictures(count, height, width, channels)])


@pytest.mark.slow
def test_real_models_agree(models: Path) -> None:
    for path, task in (
        ("classify-32x32x1-int8.lite", "classifier"),
        ("classify-48x48x3-int8-float-io.lite", "classifier"),
        ("classify-96x96x3-int8.lite", "classifier"),
        ("fomo-96x96x3-int8.tflite", "fomo"),
    ):
        model = (models / path).read_bytes()
        measured = int8_agreement(model, dequantize(model, "every").model, pictures_for(model, 200), task)
        assert measured.top1 >= 0.99, (path, measured)
