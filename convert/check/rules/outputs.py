"""Rules about what nvinfer makes of the outputs.

NVI070 to NVI075, NVI079 and NVI080: how a detector's outputs become boxes. NVI076 to NVI078 and NVI081: thresholds and
filters. NVI083 to NVI089: a classifier's outputs. NVI090 and NVI091: the objects a secondary engine infers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Final

from convert.check import context as checking
from convert.check.rules.syntax import as_head, as_line, operators, quoted
from convert.files import load_toml
from convert.findings import Finding, Level
from convert.nvinfer.context import Binding, ParserOutcome, built_in_segments, stock_parser
from convert.nvinfer.keys import ATTRS, ATTRS_ALL, FUNCTIONS, ClusterMode, Entry, version
from convert.nvinfer.targets import catalogue

if TYPE_CHECKING:
    from convert.onnx_header import Header


_, _DBSCAN, _NMS, _HYBRID, _NONE = ClusterMode
_LAST_WITH_OPENCV: Final = "6.0"
_MASK: Final = "output-instance-mask"
_STOCK: Final = "/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so"
_FUNCTION_KEYS: Final = (*FUNCTIONS.values(), "engine-create-func-name")


@checking.on_config("NVI070")
def no_parser(context: checking.RuleContext) -> Iterator[Finding]:
    """The built-in parser, and outputs it cannot find."""
    if context.kind != checking.DETECTOR or context.function:
        return
    if context.model is not None:
        names = [each.name for each in context.model.outputs]
        lacking = [word for word in ("cov", "bbox") if not any(word in name for name in names)]
        if lacking:
            shown = ", ".join(quoted(name) for name in names)
            message = f"no output has {' or '.join(lacking)} in its name ({shown})"
            hint = _parser_hint(context, names)
            yield context.found(no_parser, f"{message}, and no function is named to read them", hint=hint)
        return
    names = list(context.value("output-blob-names"))
    if names and not any("cov" in name or "bbox" in name for name in names):
        message = f"output-blob-names has no cov and bbox ({', '.join(map(quoted, names))}), and no function is named"
        hint = _parser_hint(context, names)
        yield context.found(no_parser, message, key="output-blob-names", level=Level.WARNING, hint=hint)


@checking.on_config("NVI071")
def no_library(context: checking.RuleContext) -> Iterator[Finding]:
    """A function without custom-lib-path."""
    if context.value("custom-lib-path", ""):
        return
    for key in _FUNCTION_KEYS:
        if name := context.value(key, ""):
            message = f"{key} is {quoted(name)}, but without custom-lib-path it is ignored"
            hint = None
            if any(each.function == name for each in catalogue().parsers):
                hint = f"write {as_line(context, 'custom-lib-path', _STOCK)}"
                if context.network and context.outputs:
                    size, classes = context.network[1:], context.value("num-detected-classes")
                    hint = "remove it" if stock_parser(name, context.outputs, classes, size).failed else hint
            yield context.found(no_library, message, key=key, hint=hint)


@checking.on_config("NVI072")
def no_function(context: checking.RuleContext) -> Iterator[Finding]:
    """A function the library lacks."""
    library = context.library
    if library is None:
        return
    for key in (FUNCTIONS.get(context.kind, ""), "engine-create-func-name"):
        name = str(context.value(key, ""))
        if name and not library.has(name):
            which = "NVIDIA's parser library" if library.stock else quoted(context.files["custom-lib-path"].text)
            message = f"{which} has no {quoted(name)}"
            yield context.found(no_function, message, key=key, hint=_function_hint(context, key, name))


@checking.on_config("NVI073")
def outputs(context: checking.RuleContext) -> Iterator[Finding]:
    """The parser gives up, or reads nonsense."""
    if context.network is None or not context.outputs:
        return
    function, classes, library = context.function, context.value("num-detected-classes"), context.library
    _, height, width = context.network
    outcome = ParserOutcome()
    if context.kind == checking.DETECTOR and not function:
        yield from _built_in_detector(context.outputs, context)
    elif function and library is not None and library.stock and library.has(function):
        outcome = stock_parser(function, context.outputs, classes, (height, width))
    elif not function and context.kind == checking.SEGMENTATION and classes:
        outcome = built_in_segments(context.outputs, classes, context.value("segmentation-output-order"))
    if outcome.failed or outcome.signal is not None:
        key = FUNCTIONS.get(context.kind) if function else "onnx-file"
        yield context.found(outputs, outcome.message, key=key)


@checking.on_config("NVI074")
def cluster_mode(context: checking.RuleContext) -> Iterator[Finding]:
    """0, or nothing."""
    if context.kind == checking.DETECTOR and context.value("cluster-mode") == 0:
        given = "cluster-mode is 0" if context.given("cluster-mode") else "cluster-mode is not given"
        effect = "NMS with the 20 best objects and an overlap of 0.5"
        if has_opencv(context):
            effect = "groupRectangles, which merges nothing while group-threshold is 0"
        hint = f"write {as_line(context, 'cluster-mode', 2)} for NMS with your own numbers"
        key = "cluster-mode" if context.given("cluster-mode") else None
        yield context.found(cluster_mode, f"{given}: {effect}", key=key, hint=hint)


@checking.on_config("NVI075")
def no_classes(context: checking.RuleContext) -> Iterator[Finding]:
    """num-detected-classes=0."""
    kinds = {checking.DETECTOR, checking.SEGMENTATION, checking.INSTANCES}
    if context.kind in kinds and not context.value("num-detected-classes"):
        key = "num-detected-classes" if context.given("num-detected-classes") else None
        given = "is 0" if key else "is not given"
        effect, level = "every object is dropped", Level.NOTE if context.value("output-tensor-meta") else None
        if context.kind == checking.DETECTOR and context.value("cluster-mode") in {0, _NMS, _HYBRID}:
            effect, level = "the process dies on the first frame", None
        elif context.kind == checking.SEGMENTATION:
            effect, level = "every frame fails", None
        labels = context.labels.entries if context.labels and context.kind != checking.SEGMENTATION else ()
        is_each = labels and all(len(names) == 1 for _, names in labels)
        hint = f"write {as_line(context, 'num-detected-classes', len(labels))}" if is_each else None
        yield context.found(no_classes, f"num-detected-classes {given}: {effect}", key=key, hint=hint, level=level)


@checking.on_config("NVI079")
def no_tensor_meta(context: checking.RuleContext) -> Iterator[Finding]:
    """network-type=100 alone."""
    if context.kind == checking.OTHER and not context.value("output-tensor-meta"):
        hint = f"write {as_line(context, 'output-tensor-meta', 1)}"
        message = "network-type is 100, but output-tensor-meta is not 1"
        yield context.found(no_tensor_meta, message, key="network-type", hint=hint)


@checking.on_config("NVI080")
def instance_masks(context: checking.RuleContext) -> Iterator[Finding]:
    """Masks and clustering."""
    mode = context.value("cluster-mode")
    if checking.wants_instances(context):
        function = FUNCTIONS[checking.INSTANCES]
        what = function if context.value(function, "") else _MASK
        message = f"{what} is for instance segmentation; network-type 2 labels pixels, and finds no objects"
        hint = f"write {as_line(context, 'network-type', int(checking.INSTANCES))}"
        hint += f" and {as_line(context, 'cluster-mode', 4)}" if mode != _NONE else ""
        if lacks := [key for key in ("custom-lib-path", function) if not context.value(key, "")]:
            others = [key for key in (function, _MASK, "cluster-mode", "filter-out-class-ids") if context.given(key)]
            hint = f"remove {' and '.join(others)}, or {hint} with {' and '.join(lacks)}"
        yield context.found(instance_masks, message, key="network-type", hint=hint)
    elif mode != _NONE and (context.value(_MASK) or context.kind == checking.INSTANCES):
        what = as_line(context, _MASK, 1) if context.value(_MASK) else as_line(context, "network-type", 3)
        message = f"{what} needs {as_line(context, 'cluster-mode', 4)}, not {mode}"
        key = "cluster-mode" if context.given("cluster-mode") else "network-type"
        hint = f"write {as_line(context, 'cluster-mode', 4)}"
        if context.kind != checking.INSTANCES:
            hint = f"remove {_MASK}; only network-type 3 has masks"
        yield context.found(instance_masks, message, key=key, hint=hint)
    if context.kind == checking.INSTANCES and not context.function:
        message = f"{as_line(context, 'network-type', 3)} needs custom-lib-path and parse-bbox-instance-mask-func-name"
        yield context.found(instance_masks, message, key="network-type")


def _built_in_detector(bindings: Sequence[Binding], context: checking.RuleContext) -> Iterator[Finding]:
    """cov [C,h,w] and bbox [4C,h,w]."""
    coverage = [each for each in bindings if "cov" in each.name]
    boxes = [each for each in bindings if "bbox" in each.name]
    if not coverage or not boxes:
        return
    one, four = coverage[-1], boxes[-1]
    if len(one.dims) != 3 or len(four.dims) != 3:
        message = f"{quoted(one.name)} and {quoted(four.name)} must be [N,C,h,w] and [N,4C,h,w]"
        yield context.found(outputs, message, key="onnx-file")
    elif four.dims[0] != 4 * one.dims[0]:
        names = quoted(four.name), quoted(one.name)
        message = f"{names[0]} has {four.dims[0]} channels, not 4 for each of the {one.dims[0]} of {names[1]}"
        hint = "they are channels last: transpose them" if four.dims[2] == 4 * one.dims[2] else None
        yield context.found(outputs, message, key="onnx-file", hint=hint)
    elif four.dims[1:] != one.dims[1:]:
        message = f"{quoted(one.name)} and {quoted(four.name)} have grids of different size"
        yield context.found(outputs, message, key="onnx-file")


def has_opencv(context: checking.RuleContext) -> bool:
    """Whether groupRectangles is built in."""
    return version(context.parsed.release) <= version(_LAST_WITH_OPENCV)


def _parser_hint(context: checking.RuleContext, names: list[str]) -> str | None:
    if {"detection_boxes", "detection_scores", "detection_classes"} <= set(names):
        function = as_line(context, FUNCTIONS[checking.DETECTOR], "NvDsInferParseCustomTfSSD")
        return f"write {as_line(context, 'custom-lib-path', _STOCK)} and {function}: it reads these outputs"
    return None


def _function_hint(context: checking.RuleContext, key: str, name: str) -> str | None:
    if context.library is None or not context.library.stock:
        return None
    for each in catalogue().parsers:
        if each.function == name:
            return f"it is there from DeepStream {each.since}" if each.since else f"it was there until {each.until}"
    from difflib import get_close_matches  # few configs need it

    near = get_close_matches(name, sorted(context.library.functions or ()), n=1, cutoff=0.93)
    return f"write {as_line(context, key, near[0])}" if near else "build a library that has it"


@checking.on_config("NVI076")
def idle_attribute(context: checking.RuleContext) -> Iterator[Finding]:
    """Attributes of another cluster-mode."""
    if context.kind != checking.DETECTOR:
        return
    mode = context.value("cluster-mode")
    for entry in _attributes(context):
        modes = load_toml("nvinfer/advice.toml")["cluster-modes"].get(entry.key)
        if modes is None or mode in modes or (mode == 0 and has_opencv(context)):
            continue
        message = f"{entry.key} does nothing with {as_line(context, 'cluster-mode', mode)}"
        if mode == 0 and entry.key in {"nms-iou-threshold", "topk"}:
            message = f"{entry.key} is overwritten: cluster-mode 0 is NMS with topk 20 and an overlap of 0.5"
        yield context.found(idle_attribute, message, at=context.at_key(entry), hint="remove it")


@checking.on_config("NVI077")
def threshold(context: checking.RuleContext) -> Iterator[Finding]:
    """Thresholds out of the range of scores."""
    for key in ("classifier-threshold", "segmentation-threshold"):
        if context.given(key) and (problem := _beyond(context.number(key), strict=key.startswith("classifier"))):
            yield context.found(threshold, f"{key} is {context.value(key)}: {problem}", key=key)
    if context.kind not in {checking.DETECTOR, checking.INSTANCES}:
        return
    mode = context.value("cluster-mode")
    for entry in _attributes(context):
        problem = _odd(entry, mode)
        if problem and mode in load_toml("nvinfer/advice.toml")["cluster-modes"].get(entry.key, (mode,)):
            message, value, key = f"{entry.key} is {quoted(entry.text)}: {problem}", _number(entry.text), entry.key
            new = f"{value / 100:g}" if value and 5 <= value < 100 else "0.3" if key == "nms-iou-threshold" else None
            hint = "remove it" if key == "topk" else f"write {as_line(context, key, new, entry)}" if new else None
            yield context.found(threshold, message, at=context.at_value(entry), hint=hint)
    if mode in {_DBSCAN, _HYBRID} and any(not each.get("minBoxes") for each in context.values.get(ATTRS, ())[:1000]):
        message = f"cluster-mode is {mode}, DBSCAN, but minBoxes is 0: nothing is clustered"
        hint = f"write {as_line(context, 'minBoxes', 1)} below {as_head(context, ATTRS_ALL)}"
        level = Level.NOTE if mode == _HYBRID else None  # NMS follows
        yield context.found(threshold, message, key="cluster-mode", hint=hint, level=level)


@checking.on_config.about(checking.model_of, "NVI081")
def merged(context: checking.RuleContext, model: Header) -> Iterator[Finding]:
    """Thresholds below the one that cells were merged with."""
    if context.kind != checking.DETECTOR:
        return
    from convert.report import OnnxMetadata  # only with a model: it takes longer to import than all rules

    recorded = OnnxMetadata.parse(model.metadata, "merge", "threshold")
    if recorded.merge != "touching" or recorded.threshold is None:
        return
    for entry in _attributes(context):
        value = _number(entry.text)
        if entry.key in {"pre-cluster-threshold", "threshold"} and value is not None and value < recorded.threshold:
            message = f"{entry.key} is {value:g}: the model merges cells from {recorded.threshold:g} on"
            hint = f"convert again with --threshold {value:g}" if value > 0 else merged.fix
            yield context.found(merged, message, at=context.at_value(entry), hint=hint)


@checking.on_config("NVI078")
def filtered(context: checking.RuleContext) -> Iterator[Finding]:
    """Ids and sizes that contradict each other."""
    classes = context.value("num-detected-classes")
    if context.kind in {checking.DETECTOR, checking.INSTANCES} and classes:
        ids = set(context.value("filter-out-class-ids"))
        if ids.issuperset(range(classes)):
            message = "filter-out-class-ids names every class: no object is left"
            yield context.found(filtered, message, key="filter-out-class-ids", hint="remove it")
        elif beyond := sorted(each for each in ids if each >= classes):
            message = f"filter-out-class-ids: there is no class {beyond[0]} (num-detected-classes is {classes})"
            yield context.found(filtered, message, key="filter-out-class-ids", level=Level.NOTE)
    for side in ("width", "height"):
        low, high = context.value(f"input-object-min-{side}"), context.value(f"input-object-max-{side}")
        if context.is_secondary and high and low > high:
            message = f"input-object-min-{side} is {low}, the maximum {high}: no object fits"
            yield context.found(filtered, message, key=f"input-object-min-{side}")
    for entry in _attributes(context):
        if entry.key in {"detected-min-w", "detected-min-h"}:
            yield from _sizes(context, entry)


def _attributes(context: checking.RuleContext) -> list[Entry]:
    """The entries of the class groups that are read."""
    read = ((group, entry) for (group, _), entry in context.last.items() if group not in context.unread)
    return [entry for group, entry in read if checking.table_of(group) == ATTRS]


def _beyond(value: float, *, strict: bool) -> str:
    if math.isnan(value):
        return "not a number compares with nothing"
    if value > 1 or (strict and value == 1):
        return "no score is above it"
    return ""


def _odd(entry: Entry, mode: int) -> str:
    """What is wrong with the value of a class attribute."""
    value = _number(entry.text)
    if value is None:
        return ""
    if entry.key in {"pre-cluster-threshold", "threshold"}:
        return _beyond(value, strict=False)
    if entry.key == "post-cluster-threshold":
        return _beyond(value, strict=mode != _DBSCAN)
    if entry.key == "nms-iou-threshold":
        return {0.0: "boxes that only touch suppress each other", 1.0: "no box is ever suppressed"}.get(value, "")
    return "no object is kept" if entry.key == "topk" and value == 0 else ""


def _sizes(context: checking.RuleContext, entry: Entry) -> Iterator[Finding]:
    """detected-min-* above the maximum of the same group, or of all."""
    other = entry.key.replace("min", "max")
    largest = context.last.get((entry.group, other)) or context.last.get(("class-attrs-all", other))
    if largest is None:
        return
    low, high = _number(entry.text), _number(largest.text)
    if low is not None and high and low > high:
        message = f"{entry.key} is {entry.text.strip()}, the maximum {largest.text.strip()}: no object fits"
        yield context.found(filtered, message, at=context.at_value(entry))


def _number(text: str) -> float | None:
    match = re.match(r"\s*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|\s*nan", text, re.IGNORECASE)
    return float(match[0]) if match else None


_LONGEST_CHAIN: Final = 100


def _classifier(context: checking.RuleContext) -> Header | None:
    """The model, where nvinfer itself reads the outputs as a classifier's."""
    return context.model if context.kind == checking.CLASSIFIER and not context.function else None


@checking.on_config.about(checking.model_of, "NVI083")
def blob_names(context: checking.RuleContext, model: Header) -> Iterator[Finding]:
    """Names the model lacks."""
    have = [each.name for each in model.outputs]
    wrong = [name for name in context.value("output-blob-names") if name not in have]
    if wrong:
        shown = ", ".join(quoted(name) for name in have)
        message = f"the model has no output {quoted(wrong[0])}; it has {shown}"
        plain = not any(";" in name or not name.isprintable() for name in have)
        hint = f"write {as_line(context, 'output-blob-names', ';'.join(have))}" if plain else None
        yield context.found(blob_names, message, key="output-blob-names", hint=hint)


@checking.on_config.about(_classifier, "NVI085")
def one_class(context: checking.RuleContext, model: Header) -> Iterator[Finding]:
    """[N,1,C]."""
    for output in model.outputs:
        dims = [each for each in output.dims[1:] if isinstance(each, int)] if output.dims else []
        if output.dims and len(dims) == len(output.dims) - 1 and dims and prod(dims) > max(dims[0], 1):
            shape = ", ".join(map(str, ("N", *dims)))
            message = f"of the output {quoted(output.name)} [{shape}] nvinfer reads {dims[0]} of {prod(dims)} scores"
            yield context.found(one_class, message, key="onnx-file", hint=f"reshape it to [N, {prod(dims)}]")


@checking.on_config("NVI086")
def no_threshold(context: checking.RuleContext) -> Iterator[Finding]:
    """classifier-threshold left out."""
    if context.kind == checking.CLASSIFIER and not context.given("classifier-threshold") and not context.function:
        message = "classifier-threshold is not given: the best class is always reported"
        hint = f"write {as_line(context, 'classifier-threshold', 0)} if that is meant, or a number up to 1"
        yield context.found(no_threshold, message, hint=hint)


@checking.on_config.about(_classifier, "NVI087")
def logits(context: checking.RuleContext, model: Header) -> Iterator[Finding]:
    """No Softmax at the end."""
    for output in model.outputs:
        operator = _producer(model, output.name)
        if operator in operators("raw"):
            message = f"the output {quoted(output.name)} comes from {operator}, not from a Softmax"
            yield context.found(logits, message, key="onnx-file")


@checking.on_config.about(_classifier, "NVI088")
def more_outputs(context: checking.RuleContext, model: Header) -> Iterator[Finding]:
    """Attributes without labels."""
    lines = len(context.labels.entries) if context.labels else 0
    if lines and (rest := model.outputs[lines:]):
        names = ", ".join(quoted(each.name) for each in rest)
        message = f"the model has outputs the label file has no line for: {names}"
        yield context.found(more_outputs, message, key="labelfile-path")


@checking.on_config("NVI089")
def async_mode(context: checking.RuleContext) -> Iterator[Finding]:
    """classifier-async-mode=1."""
    if not context.value("classifier-async-mode") or context.kind != checking.CLASSIFIER:
        return
    if context.is_secondary:
        message, level, hint = "objects without a tracker's id will not be inferred at all", Level.NOTE, None
    else:
        message, level, hint = "it is for secondary engines, and is switched off here", Level.WARNING, "remove it"
    message = f"classifier-async-mode: {message}"
    yield context.found(async_mode, message, key="classifier-async-mode", level=level, hint=hint)


@checking.on_config("NVI090")
def all_engines(context: checking.RuleContext) -> Iterator[Finding]:
    """operate-on-gie-id left out."""
    if context.is_secondary and context.value("operate-on-gie-id") == -1 and not context.settings:
        message = "operate-on-gie-id is not given: objects of all engines are inferred"
        front = 2 if context.value("gie-unique-id") == 1 else 1
        hint = f"write {as_line(context, 'operate-on-gie-id', front)}, or the id of another engine in front"
        yield context.found(all_engines, message, hint=hint)


@checking.on_config("NVI091")
def own_objects(context: checking.RuleContext) -> Iterator[Finding]:
    """An engine that waits for itself."""
    number = context.value("gie-unique-id")
    if context.is_secondary and number and context.value("operate-on-gie-id") == number:
        message = f"operate-on-gie-id is {number}, the engine's own gie-unique-id"
        key, other = ("gie-unique-id", 2) if number == 1 else ("operate-on-gie-id", 1)
        hint = f"write {as_line(context, key, other)}, or another number"
        yield context.found(own_objects, message, key="operate-on-gie-id", hint=hint)


def _producer(model: Header, name: str) -> str:
    """The operator that computed the values of a tensor; quantizers round them, and what is added beside them is the
    codes' shift."""
    producers = {output: node for node in model.nodes for output in node.outputs}
    consumer = ""
    for _ in range(_LONGEST_CHAIN):
        node = producers.get(name)
        before = producers.get(node.inputs[0]) if node and node.inputs else None
        quantized = consumer == "QuantizeLinear" or (before is not None and before.op == "DequantizeLinear")
        if node is None or not node.inputs or not (node.op in operators("passing") or (node.op == "Add" and quantized)):
            return node.op if node else ""
        name, consumer = node.inputs[0], node.op
    return ""
