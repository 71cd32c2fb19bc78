"""NVI028, NVI029 and NVI037 to NVI041: whether TensorRT can build what is inside of the model, for the batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from convert.findings import Level, Rule
from convert.nvinfer.rules.network import image
from convert.nvinfer.rules.values import quoted
from convert.nvinfer.targets import opsets
from convert.onnx_header import STANDARD_DOMAINS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.findings import Finding
    from convert.nvinfer.rules.case import Case, Check
    from convert.onnx_header import Header

__all__ = ["CHECKS", "ONNX_RUNTIME", "TENSORRT"]

STATIC_BATCH = Rule(
    "NVI028",
    Level.WARNING,
    "batch-size is not the batch the model was exported with",
    why="nvinfer overwrites the batch dimension of the ONNX file, also a fixed one. That works only if nothing "
    "inside depends on it; otherwise the engine cannot be built, or an engine that trtexec built for a batch of 1 is "
    "refused: “Backend has maxBatchSize 1 whereas 4 has been requested”, and built again.",
    fix="export the model with a dynamic batch, or write the batch-size it was exported with",
)

BAKED_BATCH = Rule(
    "NVI029",
    Level.ERROR,
    "the model has a batch of 1 built in",
    why="A Reshape to [1, ...], or an output that is always [1, ...], fits one frame: with a larger batch-size the "
    "engine cannot be built, or results of several frames are mixed up.",
    fix="export with 0 or -1 in place of the 1; `ei-deepstream convert` does; or write batch-size=1",
)

OPERATOR = Rule(
    "NVI037",
    Level.WARNING,
    "the model has an operator that does not go well with nvinfer",
    why="Outputs of NonMaxSuppression and the like have a size that depends on the picture, which nvinfer cannot "
    "take. Operators outside of ONNX, such as TFLite_Detection_PostProcess, need a TensorRT plugin of their own.",
    fix="export boxes and scores as they are before the suppression; nvinfer suppresses itself (cluster-mode=2)",
)

OPSET = Rule(
    "NVI038",
    Level.WARNING,
    "the ONNX opset is not what the target's TensorRT was made for",
    why="TensorRT's ONNX parser may meet an operator in a form it does not know, and refuse the model.",
    fix="export with an opset in the range the message names",
)

QUANTISED = Rule(
    "NVI039",
    Level.WARNING,
    "the model is quantised",
    why="nvinfer sets TensorRT's INT8 flag only with network-mode=1 and a calibration table, and TensorRT refuses "
    "many forms of quantised ONNX models (zero points, int32 biases).",
    fix="download the float32 model, and let TensorRT choose the precision (network-mode=2)",
)

ONNX_RUNTIME = Rule(
    "NVI040",
    Level.ERROR,
    "ONNX Runtime refuses the model",
    why="The graph is not valid: TensorRT will most likely refuse it, too. (Found with --onnxruntime.)",
    fix="export the model again",
)

TENSORRT = Rule(
    "NVI041",
    Level.ERROR,
    "TensorRT cannot build an engine from the model",
    why="NVIDIA's own ONNX parser and engine builder, TensorRT-RTX on the CPU, refused it with the profile nvinfer "
    "makes (batch 1 to batch-size). The TensorRT on the device is another one, but likely to agree. (Found with "
    "--tensorrt.)",
    fix="export with another opset, or without the operator the message names",
)

_OPEN: Final = frozenset({"NonMaxSuppression", "NonZero", "Unique", "TFLite_Detection_PostProcess"})
_QUANTISED: Final = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
    }
)


def static_batch(case: Case) -> Iterator[Finding]:
    """A fixed batch that is not batch-size."""
    source = image(case)
    size = case.value("batch-size")
    if source and source.dims and isinstance(source.dims[0], int) and 0 < source.dims[0] != size:
        message = f"batch-size is {size}, the model was exported for {source.dims[0]}"
        yield case.found(STATIC_BATCH, message, key="batch-size", hint="export it with a dynamic batch")


def baked_batch(case: Case) -> Iterator[Finding]:
    """A 1 in a Reshape, or an output without the batch."""
    if case.model is None or case.value("batch-size") < 2:
        return
    size = case.value("batch-size")
    for name, target in _reshapes(case.model):
        message = (
            f"batch-size is {size}, but the Reshape {quoted(name)} makes [{', '.join(map(str, target))}], one frame"
        )
        yield case.found(BAKED_BATCH, message, key="batch-size", hint="write batch-size=1, or export the model again")
        return
    source = image(case)
    if source and source.dims and not isinstance(source.dims[0], int):
        for output in case.model.outputs:
            if output.dims and output.dims[0] == 1:
                message = f"batch-size is {size}, but the output {quoted(output.name)} always has one row"
                yield case.found(BAKED_BATCH, message, key="batch-size")


def operator(case: Case) -> Iterator[Finding]:
    """NMS, and operators that are no ONNX."""
    if case.model is None:
        return
    for op in sorted({node.op for node in case.model.nodes if node.op in _OPEN}):
        yield case.found(OPERATOR, f"the model holds {op}, whose output has no fixed size", key="onnx-file")
    # TensorRT's own plugins are called EfficientNMS_TRT and the like; a library may bring others.
    strange = {
        (node.domain, node.op)
        for node in case.model.nodes
        if node.domain not in STANDARD_DOMAINS and not node.op.endswith("_TRT") and node.op not in _OPEN
    }
    for domain, op in sorted(strange):
        message = f"the model holds {quoted(op)} of {quoted(domain)}, which TensorRT knows through a plugin only"
        yield case.found(OPERATOR, message, key="onnx-file")


def opset(case: Case) -> Iterator[Finding]:
    """Outside of the parser's range."""
    if case.model is None or not case.model.opset:
        return
    low, high = opsets(case.where.tensorrt)
    if not low <= case.model.opset <= high:
        tensorrt = (
            f"TensorRT {case.where.tensorrt} (DeepStream {case.where.target.deepstream}, {case.where.target.platform})"
        )
        message = f"the model has opset {case.model.opset}; the parser of {tensorrt} was made for {low} to {high}"
        yield case.found(OPSET, message, key="onnx-file")


def quantised(case: Case) -> Iterator[Finding]:
    """QDQ and integer operators."""
    found = sorted({node.op for node in case.model.nodes if node.op in _QUANTISED}) if case.model else []
    if found:
        yield case.found(QUANTISED, f"the model holds {', '.join(found)}", key="onnx-file")


def _reshapes(model: Header) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Reshapes of what depends on the input to a first dimension of 1."""
    flows = {each.name for each in model.inputs}
    for node in model.nodes:
        if flows.isdisjoint(node.inputs):
            continue
        flows.update(node.outputs)
        if node.op == "Reshape" and len(node.inputs) > 1 and node.inputs[0] in flows:
            target = model.integers.get(node.inputs[1])
            if target and len(target) > 1 and target[0] == 1:
                yield node.name or "".join(node.outputs[:1]), target


CHECKS: tuple[tuple[Rule, Check], ...] = (
    (STATIC_BATCH, static_batch),
    (BAKED_BATCH, baked_batch),
    (OPERATOR, operator),
    (OPSET, opset),
    (QUANTISED, quantised),
)
