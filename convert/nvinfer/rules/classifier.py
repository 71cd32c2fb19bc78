"""NVI083 to NVI091: reading a classifier's outputs, and which objects a secondary engine sees."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Final

from convert.findings import Level, Rule
from convert.nvinfer.rules.case import CLASSIFIER, Case, Check
from convert.nvinfer.rules.values import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.findings import Finding
    from convert.onnx_header import Header

__all__ = ["ALL_ENGINES", "CHECKS", "OWN_OBJECTS"]

BLOB_NAMES = Rule(
    "NVI083",
    Level.WARNING,
    "output-blob-names names an output the model does not have",
    why="With ONNX the key is only compared with the model: “Could not find output layer”. The names are split at ;, "
    "so a name that holds one must be written with \\; instead.",
    fix="write the model's names, or leave the key out",
)

ONE_CLASS = Rule(
    "NVI085",
    Level.ERROR,
    "nvinfer reads only part of the classifier's output",
    why="It takes the first dimension behind the batch for the number of classes: of [N,1,C] and [N,1,1,C] it reads "
    "a single score, so everything is class 0.",
    fix="squeeze or reshape the output to [N,C]",
)

NO_THRESHOLD = Rule(
    "NVI086",
    Level.WARNING,
    "classifier-threshold is not given",
    why="It is 0 then: the best class is always reported, however unsure the model is. (pre-cluster-threshold is for "
    "detectors.)",
    fix="write classifier-threshold, 0 if every result is wanted",
)

LOGITS = Rule(
    "NVI087",
    Level.WARNING,
    "the classifier's output is no probability",
    why="nvinfer compares what the model puts out with the threshold, and reports nothing unless it is above 0: raw "
    "scores may all be negative.",
    fix="end the model in a Softmax (or Sigmoid)",
)

MORE_OUTPUTS = Rule(
    "NVI088",
    Level.NOTE,
    "the classifier has outputs without labels",
    why="Each output is an attribute of its own, and line i of the label file is for output i. An attribute without "
    "labels adds nothing to the label that is shown.",
    fix="remove the output, or give it a line in the label file",
)

ASYNC = Rule(
    "NVI089",
    Level.WARNING,
    "classifier-async-mode does not do what it seems",
    why="It is for secondary classifiers, otherwise it is switched off. Objects without a tracker's id are then not "
    "inferred at all.",
    fix="remove the key, or put a tracker in front of the engine",
)

ALL_ENGINES = Rule(
    "NVI090",
    Level.NOTE,
    "a secondary engine takes the objects of every engine",
    why="Without operate-on-gie-id the objects of all engines in front of it are inferred, also those of another "
    "secondary engine.",
    fix="write operate-on-gie-id with the gie-unique-id of the engine whose objects are meant",
)

OWN_OBJECTS = Rule(
    "NVI091",
    Level.ERROR,
    "a secondary engine waits for objects that nobody makes",
    why="operate-on-gie-id must be the gie-unique-id of another engine in front of it. The engine then starts, and "
    "never infers anything.",
    fix="write the gie-unique-id of the engine whose objects are meant",
)

# Operators behind which the values are what they were before.
_PASSING: Final = frozenset({"Identity", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Cast", "Dropout"})
# Operators that leave raw scores.
_RAW: Final = frozenset({"Gemm", "MatMul", "Conv", "Add", "BatchNormalization", "LogSoftmax", "Relu"})
_LONGEST_CHAIN: Final = 100


def blob_names(case: Case) -> Iterator[Finding]:
    """Names the model lacks."""
    if case.model is None:
        return
    have = [each.name for each in case.model.outputs]
    wrong = [name for name in case.value("output-blob-names") if name not in have]
    if wrong:
        shown = ", ".join(quoted(name) for name in have)
        message = f"the model has no output {quoted(wrong[0])}; it has {shown}"
        yield case.found(BLOB_NAMES, message, key="output-blob-names")


def one_class(case: Case) -> Iterator[Finding]:
    """[N,1,C]."""
    for output in case.model.outputs if case.model and _built_in(case) else ():
        dims = [each for each in output.dims[1:] if isinstance(each, int)] if output.dims else []
        if output.dims and len(dims) == len(output.dims) - 1 and dims and prod(dims) > max(dims[0], 1):
            shape = ", ".join(map(str, ("N", *dims)))
            message = f"of the output {quoted(output.name)} [{shape}] nvinfer reads {dims[0]} of {prod(dims)} scores"
            yield case.found(ONE_CLASS, message, key="onnx-file", hint=f"reshape it to [N, {prod(dims)}]")


def no_threshold(case: Case) -> Iterator[Finding]:
    """classifier-threshold left out."""
    if case.kind == CLASSIFIER and not case.given("classifier-threshold") and not case.function:
        message = "classifier-threshold is not given: the best class is always reported"
        yield case.found(NO_THRESHOLD, message, hint="write classifier-threshold, 0 if that is meant")


def logits(case: Case) -> Iterator[Finding]:
    """No Softmax at the end."""
    if case.model is None or not _built_in(case):
        return
    for output in case.model.outputs:
        operator = _maker(case.model, output.name)
        if operator in _RAW:
            message = f"the output {quoted(output.name)} comes from {operator}, not from a Softmax"
            yield case.found(LOGITS, message, key="onnx-file")


def more_outputs(case: Case) -> Iterator[Finding]:
    """Attributes without labels."""
    if case.model is None or case.labels is None or not case.labels.entries or not _built_in(case):
        return
    rest = case.model.outputs[len(case.labels.entries) :]
    if rest:
        names = ", ".join(quoted(each.name) for each in rest)
        yield case.found(
            MORE_OUTPUTS, f"the model has outputs the label file has no line for: {names}", key="labelfile-path"
        )


def async_mode(case: Case) -> Iterator[Finding]:
    """classifier-async-mode=1."""
    if not case.value("classifier-async-mode") or case.kind != CLASSIFIER:
        return
    if case.is_secondary:
        message, level = "objects without a tracker's id will not be inferred at all", Level.NOTE
    else:
        message, level = "it is for secondary engines, and is switched off here", Level.WARNING
    yield case.found(ASYNC, f"classifier-async-mode: {message}", key="classifier-async-mode", level=level)


def all_engines(case: Case) -> Iterator[Finding]:
    """operate-on-gie-id left out."""
    if case.is_secondary and case.value("operate-on-gie-id") == -1 and not case.settings:
        message = "operate-on-gie-id is not given: objects of all engines are inferred"
        yield case.found(ALL_ENGINES, message)


def own_objects(case: Case) -> Iterator[Finding]:
    """An engine that waits for itself."""
    number = case.value("gie-unique-id")
    if case.is_secondary and number and case.value("operate-on-gie-id") == number:
        message = f"operate-on-gie-id is {number}, the engine's own gie-unique-id"
        yield case.found(OWN_OBJECTS, message, key="operate-on-gie-id")


def _built_in(case: Case) -> bool:
    """Whether nvinfer reads the outputs as a classifier's."""
    return case.kind == CLASSIFIER and not case.function


def _maker(model: Header, name: str) -> str:
    """The operator that made the values of a tensor."""
    makers = {output: node for node in model.nodes for output in node.outputs}
    for _ in range(_LONGEST_CHAIN):
        node = makers.get(name)
        if node is None or node.op not in _PASSING or not node.inputs:
            return node.op if node else ""
        name = node.inputs[0]
    return ""


CHECKS: tuple[tuple[Rule, Check], ...] = (
    (BLOB_NAMES, blob_names),
    (ONE_CLASS, one_class),
    (NO_THRESHOLD, no_threshold),
    (LOGITS, logits),
    (MORE_OUTPUTS, more_outputs),
    (ASYNC, async_mode),
    (ALL_ENGINES, all_engines),
    (OWN_OBJECTS, own_objects),
)
