"""Image classifiers: one output `scores` [N,C], one label a column.

nvinfer's built-in classifier takes the FIRST dimension after the batch as the number of classes
(nvdsinfer_context_impl_output_parsing.cpp), reads [N,1,1,C] as one class, and reports the largest value if it is above
classifier-threshold and above 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from convert.artifacts import Head, Task
from convert.errors import TranslationError, UnsupportedModelError
from convert.graph.findings import NOT_PROBABILITIES
from convert.graph.heads.fitted import Fitted
from convert.graph.heads.labels import class_labels
from convert.graph.model import Wiring
from convert.graph.shapes import infer

if TYPE_CHECKING:
    from onnx import ModelProto

    from convert.artifacts import Export

__all__ = ["classifier"]

_OUTPUT = "scores"
_PROBABILITIES = {"Softmax", "Sigmoid", "HardSigmoid"}
_PASSED_ON = {
    "Cast", "Clip", "Concat", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Slice",
    "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip


def classifier(model: ModelProto, export: Export) -> Fitted:
    """Bring the output to [1,C] and find the labels; the batch is still 1.

    Raises:
        UnsupportedModelError: several outputs, a grid of outputs, or one number for two labels.
        InputError: the number of labels is not the number of outputs.
        TranslationError: the output has no fixed size.
    """
    wiring = Wiring(model)
    shapes = infer(wiring)
    outputs = [value.name for value in model.graph.output]
    if len(outputs) != 1:
        raise UnsupportedModelError(
            f"a classifier has one output, this model has {len(outputs)}", hint="give the real --task, or another model"
        )
    (name,) = outputs
    if name not in shapes:
        raise TranslationError(
            "how large the model's output is cannot be told before it runs",
            hint="Gst-nvinfer needs outputs of a fixed size",
        )
    shape = shapes[name]
    large = [size for size in shape if size != 1]
    if len(large) > 1:
        raise UnsupportedModelError(
            f"a classifier gives one row of scores, this model {list(shape)}", hint="give the real --task"
        )
    classes = large[0] if large else 1
    labels, findings = class_labels(export, classes)
    if not _gives_probabilities(wiring, name):
        doubt = NOT_PROBABILITIES.found(
            "the model ends in neither Softmax nor sigmoid: thresholds compare raw values",
            hint="set classifier-threshold in the config to a value of this model's range",
        )
        findings = (*findings, doubt)
    if shape != (1, classes):
        _reshape_output(wiring, name, classes)
        wiring.store()
    return Fitted(model, Head(Task.CLASSIFIER, labels), (_OUTPUT,), findings)


def _gives_probabilities(wiring: Wiring, name: str) -> bool:
    """Whether every value of `name` comes out of a Softmax or sigmoid, moved about at most."""
    todo = [name]
    while todo:
        node = wiring.producer(todo.pop())
        if node is None:
            return False
        if node.op_type in _PROBABILITIES:
            continue
        if node.op_type not in _PASSED_ON:
            return False
        todo += node.input if node.op_type == "Concat" else node.input[:1]
    return True


def _reshape_output(wiring: Wiring, name: str, classes: int) -> None:
    """Put a Reshape to [1, classes] behind the output, which gets a new name."""
    (value,) = wiring.model.graph.output
    target = wiring.add_constant(np.array([1, classes], np.int64))
    (value.name,) = wiring.add("Reshape", [name, target]).output
    wiring.outputs = {value.name}
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    for size in (1, classes):
        dims.add().dim_value = size
