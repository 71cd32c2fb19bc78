"""What a `.tflite` classifier says about pictures, asked with LiteRT."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from samples.scenes import Array

__all__ = ["accuracy", "predict"]


def predict(model: bytes, inputs: Array) -> Array:
    """The model's output for each of `inputs` [n, height, width, channels]; float32 [n, classes]."""
    from ai_edge_litert.interpreter import Interpreter  # only this function needs it

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    source, result = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    scores = []
    for picture in inputs:
        interpreter.set_tensor(source, picture[None])
        interpreter.invoke()
        scores.append(np.array(interpreter.get_tensor(result)[0]))
    return np.stack(scores)


def accuracy(scores: Array, classes: NDArray[np.int64]) -> float:
    """The share of `scores` [n, classes] whose largest value stands at the right class."""
    return float((scores.argmax(axis=1) == classes).mean())
