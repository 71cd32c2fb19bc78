"""What a `.tflite` says about pictures, asked with LiteRT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from samples.scenes import Array

__all__ = ["accuracy", "predict"]


def predict(model: bytes, inputs: Array) -> Array:
    """The model's output for each of `inputs` [n, height, width, channels]; float32 [n, ...], of int8, too."""
    from ai_edge_litert.interpreter import Interpreter  # only this function needs it

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    scores = []
    for picture in inputs:
        interpreter.set_tensor(source["index"], _quantized(picture[None], source))
        interpreter.invoke()
        scores.append(np.array(interpreter.get_tensor(result["index"])[0]))
    scale, zero_point = map(np.float32, result["quantization"])  # 0: none
    return (np.stack(scores) - zero_point) * (scale or np.float32(1))


def _quantized(values: Array, tensor: dict[str, Any]) -> NDArray[Any]:
    scale, zero_point = tensor["quantization"]
    if not scale:
        return values
    limits = np.iinfo(tensor["dtype"])
    return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(tensor["dtype"])


def accuracy(scores: Array, classes: NDArray[np.int64]) -> float:
    """The share of `scores` [n, classes] whose largest value stands at the right class."""
    return float((scores.argmax(axis=1) == classes).mean())
