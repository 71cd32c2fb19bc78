"""Image classifiers: one output `scores` [N,C], one label a column.

nvinfer's built-in classifier takes the FIRST dimension after the batch as the number of classes
(nvdsinfer_context_impl_output_parsing.cpp), reads [N,1,1,C] as one class, and reports the largest value if it is above
classifier-threshold and above 0. A model that ends in one sigmoid, with two labels, says how likely the second one is;
the graph gives both, 1 - p and p.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from convert.errors import InputError, TranslationError, UnsupportedModelError
from convert.findings import Finding, Rule
from convert.heads.base import Fit, Fitted, HeadSpec, LastLayer, Options, Rules, class_labels
from convert.types import Export, Head

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.graph.graph import GraphEditor
    from convert.heads.decoding import ReferenceDecoder

NOT_PROBABILITIES = Rule("EI302")
ONE_SIGMOID = Rule("EI307")

_OUTPUT = "scores"
_BOTH = 2  # classes that one sigmoid tells apart
_PROBABILITIES = {"Softmax", "Sigmoid", "HardSigmoid"}
_PASSED_ON = {
    "Cast", "Clip", "Concat", "DequantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Slice",
    "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip
_ROUNDING = {"Add", "Floor", "Max", "Min", "Mul"}  # to a quantized original's codes


class _Classifier(HeadSpec):
    def fit(self, layer: LastLayer) -> Fit:
        match layer.output:
            case (_, int(classes)) | (_, 1, 1, int(classes)):
                # one number without softmax or sigmoid is a regression's
                return Fit.LIKELY if classes > 1 or layer.gives_probabilities else Fit.NO
        return Fit.NO

    def classes(self, output: Sequence[int | None]) -> int | None:
        if output and output[-1] == 1:
            return _BOTH
        return output[-1] if output else None

    def labels(self, export: Export, classes: int) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
        return class_labels(export, classes)

    def adapt(self, model: ModelProto, export: Export, options: Options) -> Fitted:  # noqa: ARG002 - detectors' options
        """Bring the output to [1,C] and find the labels; the batch is still 1.

        Raises:
            UnsupportedModelError: several outputs, a grid of outputs, or one number for two labels.
            InputError: the number of labels is not the number of outputs.
            TranslationError: the output has no fixed size.
        """
        from convert.heads.graph_end import GraphEnd  # brings onnx

        end = GraphEnd(model)
        shapes = end.shapes()
        outputs = [value.name for value in model.graph.output]
        if len(outputs) != 1:
            message = f"a classifier has one output, this model has {len(outputs)}"
            raise UnsupportedModelError(message, hint="give the real --task, or another model")
        (name,) = outputs
        if name not in shapes:
            message = "how large the model's output is cannot be told before it runs"
            raise TranslationError(message, hint="Gst-nvinfer needs outputs of a fixed size")
        shape = shapes[name]
        large = [size for size in shape if size != 1]
        if len(large) > 1:
            raise UnsupportedModelError(
                f"a classifier gives one row of scores, this model {list(shape)}", hint="give the real --task"
            )
        classes = large[0] if large else 1
        probable = _gives_probabilities(end, name, _PASSED_ON | _ROUNDING if export.is_stepped else _PASSED_ON)
        both = classes == 1 and len(export.metadata.labels or ()) == _BOTH and probable
        labels, findings = class_labels(export, _BOTH if both else classes)
        if both:
            message = f"the model gives one number p: {labels[0]} gets 1 - p, {labels[1]} gets p"
            findings = (*findings, ONE_SIGMOID.found(message))
        if not probable:
            doubt = NOT_PROBABILITIES.found(
                "the model ends in neither Softmax nor sigmoid: thresholds compare raw values",
                hint="set classifier-threshold in the config to a value of this model's range",
            )
            findings = (*findings, doubt)
        if both or shape != (1, classes):
            if shape != (1, classes):
                name = end.reshaped(name, [1, classes])
            if both:
                name = end("Concat", end("Sub", end.floats([[1]]), name), name, axis=1)
            end.finish(name)
        return Fitted(model, Head(self.id, labels), (_OUTPUT,), findings)

    def prediction(self, decoder: ReferenceDecoder | None, raw: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], None]:  # noqa: ARG002
        return raw[0].reshape(len(raw[0]), -1), None

    def as_graph(self, raw: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """With both scores where the original gives one number."""
        (scores,) = raw
        if scores[0].size != 1:
            return list(raw)
        import numpy as np  # recognising a classifier does without

        second = scores.reshape(-1, 1)
        return [np.concatenate([1 - second, second], axis=1)]

    def decode_original(self, outputs: Sequence[NDArray[Any]], rules: Rules) -> dict[str, Any]:
        from convert.heads.decoding import classification  # brings numpy

        (scores,) = self.as_graph(outputs[:1])
        return {"classification": classification(scores, rules.labels)}

    def decode_shipped(self, outputs: Mapping[str, NDArray[Any]], rules: Rules) -> dict[str, Any]:
        scores = next(iter(outputs.values()))
        if scores.size != len(rules.labels):
            raise InputError(
                f"the model has {scores.size} scores and the bundle {len(rules.labels)} labels", hint="convert again"
            )
        return self.decode_original([scores], rules)


CLASSIFIER = _Classifier(
    "classifier", "classifier", results="classification", detects=False, model_type="classification", is_comparable=True
)


def _gives_probabilities(editor: GraphEditor, name: str, passed_on: Collection[str]) -> bool:
    """Whether every value of `name` comes out of a Softmax or sigmoid, and then through these operators at most."""
    todo = [name]
    while todo:
        node = editor.producers.get(todo.pop())
        if node is None:
            return False
        if node.op_type in _PROBABILITIES:
            continue
        if node.op_type not in passed_on:
            return False
        if node.op_type in _ROUNDING and any(editor.constant(other) is None for other in node.input[1:]):
            return False
        todo += node.input if node.op_type == "Concat" else node.input[:1]
    return True
