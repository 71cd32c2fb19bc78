"""Looks into the original of an SSD, whose last operator, TFLite_Detection_PostProcess, hides what the network gives.

The unchanged flatbuffer runs; the operator's inputs are read where LiteRT left them: nothing runs after that operator
and could write over them. They are encoded boxes, scores and anchors; the operator is that of
tensorflow/lite/kernels/detection_postprocess.cc. Runs in the isolated child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ValidationError
from convert.validate.tails import Anchors

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["anchors", "dequantized", "inputs"]

_OPERATOR = b"TFLite_Detection_PostProcess"


def inputs(model: bytes) -> tuple[int, int, int] | None:
    """The tensors that go into the operator: boxes, scores, anchors; None for a model that does not end in it."""
    if _OPERATOR not in model:
        return None
    operator = _operator(model)
    if operator is None or operator.InputsLength() != 3:
        return None
    boxes, scores, places = (int(operator.Inputs(number)) for number in range(3))
    return boxes, scores, places


def anchors(model: bytes) -> Anchors:
    """The anchors and scales of an SSD.

    Raises:
        ValidationError: LiteRT refuses the model, or it is none.
    """
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - the parent does without
    from flatbuffers import flexbuffers  # noqa: PLC0415 - only SSD models need it

    operator, indices = _operator(model), inputs(model)
    if operator is None or indices is None:
        raise ValidationError("the original does not end in an SSD's post-processing", hint="give the real --task")
    try:
        interpreter = Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
        for source in interpreter.get_input_details():
            interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
        interpreter.invoke()  # anchors may be stored in eight bits and dequantized by the model
    except (RuntimeError, ValueError) as error:
        raise ValidationError(f"LiteRT cannot run the original model: {error}") from error
    detail = next(each for each in interpreter.get_tensor_details() if each["index"] == indices[2])
    said = flexbuffers.Loads(bytes(operator.CustomOptionsAsNumpy()))
    scales = (float(said[f"{axis}_scale"]) for axis in "yxhw")
    return Anchors(dequantized(interpreter.get_tensor(indices[2]), detail), tuple(scales))  # type: ignore[arg-type]


def _operator(model: bytes) -> Any:
    """The operator of that name if it is the last one, else None."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only SSD models need it

    tree = schema.Model.GetRootAs(model, 0)
    graph = tree.Subgraphs(0)
    last = graph.Operators(graph.OperatorsLength() - 1)
    return last if tree.OperatorCodes(last.OpcodeIndex()).CustomCode() == _OPERATOR else None


def dequantized(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    """What `values` stand for; `tensor` is what LiteRT says of them."""
    scale, zero_point = tensor["quantization"]
    if values.dtype.kind in "iu" and scale:
        return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values.astype(np.float32)
