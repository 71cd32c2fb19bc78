"""Rules about the ONNX model; without a model they find nothing.

NVI031 to NVI036 and NVI042: whether its inputs and outputs are what nvinfer feeds and reads. NVI028, NVI029, NVI037 to
NVI041 and NVI044: whether TensorRT can build the graph for the batch size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from convert.check.context import CLASSIFIER, DETECTOR, SEGMENTATION, RuleContext, model_of, on_config
from convert.check.rules.engine import calibrated, writes, wrong_kind
from convert.check.rules.preprocessing import is_nhwc, zero_dims
from convert.check.rules.syntax import as_line, operators, quoted
from convert.files import load_toml
from convert.findings import Finding, Rule
from convert.nvinfer.keys import version
from convert.nvinfer.targets import opsets
from convert.onnx_header import STANDARD_DOMAINS, Header, Value


def image(context: RuleContext) -> Value | None:
    """The input the pictures go into: the first one."""
    return context.model.inputs[0] if context.model and context.model.inputs else None


def _from_meta(context: RuleContext) -> bool:
    """Whether Gst-nvdspreprocess makes the input."""
    return bool(context.value("input-tensor-from-meta"))


def _fed(context: RuleContext) -> Value | None:
    """The input that nvinfer itself fills."""
    return None if _from_meta(context) else image(context)


@on_config("NVI031")
def damaged(context: RuleContext) -> Iterator[Finding]:
    """No ONNX model, or only half of one."""
    if wrong_kind(context, "onnx-file"):
        return
    if context.model_error is not None:
        hint = context.model_error.hint
        yield context.found(damaged, f"{context.model_path}: {context.model_error.message}", key="onnx-file", hint=hint)
    for name in context.lacking:
        message = f"{context.model_path} keeps weights in {quoted(name)}, which is not beside it"
        yield context.found(damaged, message, key="onnx-file", hint="copy that file along")


@on_config.about(model_of, "NVI032")
def picture(context: RuleContext, model: Header) -> Iterator[Finding]:
    """One input, three dimensions behind the batch."""
    if _from_meta(context):
        return
    inputs = model.inputs
    if len(inputs) != 1:
        names = ", ".join(quoted(each.name) for each in inputs) or "none"
        if not (len(inputs) > 1 and _library_may_have(context, "NvDsInferInitializeInputLayers")):
            message = f"the model has {len(inputs)} inputs ({names}); nvinfer feeds one"
            yield context.found(picture, message, key="onnx-file")
    if inputs and inputs[0].dims is not None and len(inputs[0].dims) != 4:
        message = f"the input {quoted(inputs[0].name)} is {_shown(inputs[0])}"
        yield context.found(picture, f"{message}; nvinfer needs [N, channels, height, width]", key="onnx-file")


@on_config.about(_fed, "NVI033")
def nhwc(context: RuleContext, source: Value) -> Iterator[Finding]:
    """Channels last."""
    if not is_nhwc(source) or source.dims is None:
        return
    size = ";".join("?" if each is None else str(each) for each in (source.dims[3], *source.dims[1:3]))
    order = context.value("network-input-order", None)
    if order == 1 and all(context.value("infer-dims")):
        return  # if the numbers fit is infer_dims' affair
    shown = f"the model's input is {_shown(source)}, channels last"
    if order is None:
        message, hint = f"{shown}; DeepStream {context.parsed.release} feeds NCHW only", "convert the model to NCHW"
    elif order == 1:
        message = f"{shown}: {as_line(context, 'network-input-order', 1)} needs infer-dims, too"
        hint = f"write {as_line(context, 'infer-dims', size)}"
    else:
        message = f"{shown}, and is fed channels first"
        hint = f"{writes(context, {'network-input-order': 1, 'infer-dims': size})}; or convert it to NCHW"
    yield context.found(nhwc, message, key="network-input-order" if order == 1 else "onnx-file", hint=hint)


@on_config.about(_fed, zero_dims)
def infer_dims(context: RuleContext, source: Value) -> Iterator[Finding]:
    """infer-dims and the model's input differ."""
    dims = tuple(context.value("infer-dims"))
    if source.dims is None or len(source.dims) != 4:
        return
    nhwc_order = context.value("network-input-order") == 1
    sizes = source.dims[1:]
    if not all(dims):
        if not all(isinstance(each, int) for each in sizes):
            message = f"the model's input is {_shown(source)}: without infer-dims no engine can be built"
            numbers = f"write {as_line(context, 'infer-dims', 'channels;height;width')}, with numbers"
            yield context.found(infer_dims, message, key="onnx-file", hint=numbers)
        return
    if is_nhwc(source) and not nhwc_order:
        return  # reported by nhwc
    wanted = (*dims[1:], dims[0]) if nhwc_order else dims
    if any(isinstance(have, int) and have != want for have, want in zip(sizes, wanted, strict=True)):
        right = (sizes[2], *sizes[:2]) if nhwc_order else sizes
        message = f"infer-dims is {_list(dims)}, the model's input is {_shown(source)}"
        fits = all(isinstance(each, int) for each in right)
        hint = f"write {as_line(context, 'infer-dims', _list(right))}" if fits else None
        yield context.found(infer_dims, message, key="infer-dims", hint=hint)


@on_config.about(model_of, "NVI035")
def not_float(context: RuleContext, model: Header) -> Iterator[Finding]:
    """Types nvinfer does not check."""
    if (source := _fed(context)) and source.dtype != "float":
        message = f"the input {quoted(source.name)} is {source.dtype}; nvinfer writes float32 into it"
        yield context.found(not_float, message, key="onnx-file")
    if context.function or context.kind not in {DETECTOR, CLASSIFIER, SEGMENTATION}:
        return
    for output in model.outputs:
        used = context.kind != DETECTOR or "cov" in output.name or "bbox" in output.name
        if used and output.dtype != "float":
            message = f"the output {quoted(output.name)} is {output.dtype}; nvinfer reads it as float32"
            yield context.found(not_float, message, key="onnx-file")


@on_config.about(model_of, "NVI036")
def open_size(context: RuleContext, model: Header) -> Iterator[Finding]:
    """Outputs with free dimensions behind the batch."""
    for output in model.outputs:
        if output.dims is not None and not all(isinstance(each, int) for each in output.dims[1:]):
            message = f"the output {quoted(output.name)} is {_shown(output)}: its size is not fixed"
            yield context.found(open_size, message, key="onnx-file")


@on_config("NVI042")
def refused(context: RuleContext) -> Iterator[Finding]:
    """What no other rule names."""
    if context.start is None:
        return
    reported = load_toml("nvinfer/advice.toml")["start"]["reported"]
    ended = context.start.verdict != "ok" or context.start.output_parser_failed
    for problem in context.start.problems:
        if ended and (problem.fatal or context.start.output_parser_failed) and problem.key not in reported:
            yield context.found(refused, problem.message, key=problem.key)


def _library_may_have(context: RuleContext, symbol: str) -> bool:
    """Whether the config names a library, and that has `symbol` or cannot be read."""
    return bool(context.value("custom-lib-path", "")) and (context.library is None or context.library.has(symbol))


def _shown(value: Value) -> str:
    dims = ("?" if each is None else str(each) for each in value.dims or ())
    return f"[{', '.join(dims)}]"


def _list(dims: tuple[object, ...]) -> str:
    return ";".join(map(str, dims))


ONNX_RUNTIME = Rule("NVI040")

TENSORRT = Rule("NVI041")

_FLOAT32: Final = "download the float32 model"
_INT8_MODES: Final = (1, 3)  # int8 and best
_FIRST_EXPLICIT: Final = (8, 0)  # TensorRT


@on_config.about(image, "NVI028")
def static_batch(context: RuleContext, source: Value) -> Iterator[Finding]:
    """A fixed batch that is not batch-size."""
    size = context.value("batch-size")
    if source.dims and isinstance(source.dims[0], int) and 0 < source.dims[0] != size:
        message = f"batch-size is {size}, the model was exported for {source.dims[0]}"
        hint = f"{writes(context, {'batch-size': source.dims[0]})}; or export it with a dynamic batch"
        yield context.found(static_batch, message, key="batch-size", hint=hint)


@on_config.about(model_of, "NVI029")
def baked_batch(context: RuleContext, model: Header) -> Iterator[Finding]:
    """A 1 in a Reshape, or an output without the batch."""
    if context.value("batch-size") < 2:
        return
    size = context.value("batch-size")
    hint = f"{writes(context, {'batch-size': 1})}; or export the model again"
    for name, target in _reshapes(model):
        shape = ", ".join(map(str, target))
        message = f"batch-size is {size}, but the Reshape {quoted(name)} makes [{shape}], one frame"
        yield context.found(baked_batch, message, key="batch-size", hint=hint)
        return
    source = image(context)
    if source and source.dims and not isinstance(source.dims[0], int):
        for output in model.outputs:
            if output.dims and output.dims[0] == 1:
                message = f"batch-size is {size}, but the output {quoted(output.name)} always has one row"
                yield context.found(baked_batch, message, key="batch-size", hint=hint)


@on_config.about(model_of, "NVI037")
def operator(context: RuleContext, model: Header) -> Iterator[Finding]:
    """NMS, and operators that are no ONNX."""
    without_size = operators("open")
    for op in sorted({node.op for node in model.nodes if node.op in without_size}):
        yield context.found(operator, f"the model holds {op}, whose output has no fixed size", key="onnx-file")
    # TensorRT's own plugins are called EfficientNMS_TRT and the like; a library may bring others.
    strange = {
        (node.domain, node.op)
        for node in model.nodes
        if node.domain not in STANDARD_DOMAINS and not node.op.endswith("_TRT") and node.op not in without_size
    }
    for domain, op in sorted(strange):
        message = f"the model holds {quoted(op)} of {quoted(domain)}, which TensorRT knows through a plugin only"
        yield context.found(operator, message, key="onnx-file")


@on_config.about(model_of, "NVI038")
def opset(context: RuleContext, model: Header) -> Iterator[Finding]:
    """Outside of the parser's range."""
    low, high = opsets(context.target.tensorrt)
    if model.opset and not low <= model.opset <= high:
        message = f"the model has opset {model.opset}; the parser of {context.target.words} was made for"
        yield context.found(opset, f"{message} {low} to {high}", key="onnx-file")


@on_config.about(model_of, "NVI044")
def not_built(context: RuleContext, model: Header) -> Iterator[Finding]:
    """Operators and forms that the target's TensorRT refuses."""
    from convert.nvinfer.tensorrt import refusals  # few configs in the wild have their model beside them

    has_plugins = _library_may_have(context, "getPluginRegistry")  # of TensorRT, with any operator's name
    for each in refusals(model, context.target):
        if each.missing and (each.operator in operators("quantised") or has_plugins):
            continue  # reported by quantised; not known
        yield context.found(not_built, each.message, key="onnx-file", hint=each.hint)


@on_config.about(model_of, "NVI039")
def quantised(context: RuleContext, model: Header) -> Iterator[Finding]:
    """Q/DQ operators without the keys they need, and others."""
    found = {node.op for node in model.nodes} & operators("quantised")
    if not found:
        return
    message, tensorrt = f"the model holds {', '.join(sorted(found))}", context.target.tensorrt
    if not found <= operators("explicit") or version(tensorrt) < _FIRST_EXPLICIT:
        message += f", which TensorRT {tensorrt} does not take"
        yield context.found(quantised, message, key="onnx-file", hint=_FLOAT32)
    elif shifted := _zero_point(model):
        message += f"; {quoted(shifted[0])} has the zero point {shifted[1]}, and TensorRT takes 0 only"
        yield context.found(quantised, message, key="onnx-file", hint=_FLOAT32)
    elif finding := _modes(context):
        key = "network-mode" if context.given("network-mode") else "onnx-file"
        yield context.found(quantised, f"{message}; {finding[0]}", key=key, hint=finding[1])


def _zero_point(model: Header) -> tuple[str, int] | None:
    """The node and zero point of a Q/DQ operator, where that is not 0; None: all are, or are not known."""
    for node in model.nodes:
        points = (
            model.integers.get(node.inputs[2], ()) if node.op in operators("explicit") and len(node.inputs) > 2 else ()
        )
        if wrong := next((point for point in points if point), 0):
            return node.name or node.outputs[0], wrong
    return None


def _modes(context: RuleContext) -> tuple[str, str] | None:
    """What is wrong with the keys for a Q/DQ model, and what to write; None: nothing."""
    typed, mode = context.value("strongly-typed", None), context.value("network-mode")
    if typed and mode:
        hint = writes(context, {"network-mode": 0})
        return f"with strongly-typed it has its precision, and network-mode {mode} fails", hint
    if typed or (mode in _INT8_MODES and calibrated(context)):
        return None
    if typed is not None:
        return "TensorRT's INT8 is off", writes(context, {"strongly-typed": 1, "network-mode": 0})
    keys = {"network-mode": 1, "int8-calib-file": "calibration.table"}
    return "TensorRT's INT8 is off", f"{writes(context, keys)}; any file will do, TensorRT does not use it"


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
