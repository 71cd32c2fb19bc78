"""NVI070 to NVI075, NVI079 and NVI080: how a detector's outputs become boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from convert.findings import Level, Rule
from convert.nvinfer.keys import ClusterMode, version
from convert.nvinfer.rules.case import (
    DETECTOR,
    FUNCTIONS,
    INSTANCES,
    OTHER,
    SEGMENTATION,
    Case,
    Check,
)
from convert.nvinfer.rules.values import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.findings import Finding
    from convert.nvinfer.initialise import Outcome

__all__ = ["CHECKS", "has_opencv"]

NO_PARSER = Rule(
    "NVI070",
    Level.ERROR,
    "nothing can read the detector's outputs",
    why="Without custom-lib-path and parse-bbox-func-name nvinfer reads outputs whose names contain “cov” and "
    "“bbox”. Without them: “Could not find output coverage layer for parsing objects” on every frame; it then goes "
    "on with memory nobody has written.",
    fix="name a library and function for the model's outputs; the stock one reads detection_boxes, detection_scores "
    "and detection_classes (NvDsInferParseCustomTfSSD); or write network-type=100 and output-tensor-meta=1",
)

NO_LIBRARY = Rule(
    "NVI071",
    Level.ERROR,
    "a function is named, but no library",
    why="nvinfer looks functions up in custom-lib-path only. Without it the name is ignored without a word, and the "
    "built-in parser runs.",
    fix="write custom-lib-path, for example /opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so",
)

NO_FUNCTION = Rule(
    "NVI072",
    Level.ERROR,
    "the library does not have the function",
    why="The element does not start: “dlsym failed to get func pointer”. NVIDIA's stock library gained its functions "
    "over the releases; NvDsInferParseCustomEfficientNMS is in none of them.",
    fix="correct the name, use a release that has it, or build a library that does",
)

OUTPUTS = Rule(
    "NVI073",
    Level.ERROR,
    "the outputs do not fit what reads them",
    why="Every frame fails, or its boxes are nonsense: parse functions want outputs of certain names, types, numbers "
    "and shapes, channels first.",
    fix="rename or reshape the outputs, or use the function made for them",
)

CLUSTER_MODE = Rule(
    "NVI074",
    Level.WARNING,
    "cluster-mode is 0, also when it is left out",
    why="groupRectangles needs OpenCV, which no stock build has from 6.0.1 on: NMS runs instead, with the 20 best "
    "objects and an overlap of 0.5, whatever topk and nms-iou-threshold say.",
    fix="write cluster-mode=2 (NMS), or 4 for boxes that need no merging",
)

NO_CLASSES = Rule(
    "NVI075",
    Level.ERROR,
    "num-detected-classes is 0, also when it is left out",
    why="A detector without classes drops every object; with cluster-mode 0, 2 or 3 the process dies on the first "
    "frame (SIGSEGV). Segmentation fails on every frame.",
    fix="write the number of classes the model has",
)

RAW_LOST = Rule(
    "NVI079",
    Level.WARNING,
    "nobody gets the outputs",
    why="network-type=100 leaves the outputs to the application; without output-tensor-meta=1 they are not attached "
    "to the buffer.",
    fix="write output-tensor-meta=1",
)

INSTANCE_MASKS = Rule(
    "NVI080",
    Level.ERROR,
    "instance masks do not go with this config",
    why="output-instance-mask and network-type=3 need cluster-mode=4, and network-type=3 a library with a function "
    "for masks; otherwise the element does not start.",
    fix="write cluster-mode=4, custom-lib-path and parse-bbox-instance-mask-func-name",
)

_, _, _NMS, _HYBRID, _NONE = ClusterMode
_LAST_WITH_OPENCV: Final = "6.0"
_FUNCTION_KEYS: Final = (*FUNCTIONS.values(), "engine-create-func-name")


def no_parser(case: Case) -> Iterator[Finding]:
    """The built-in parser, and outputs it cannot find."""
    if case.kind != DETECTOR or case.function:
        return
    if case.model is not None:
        names = [each.name for each in case.model.outputs]
        lacking = [word for word in ("cov", "bbox") if not any(word in name for name in names)]
        if lacking:
            shown = ", ".join(quoted(name) for name in names)
            message = (
                f"no output has {' or '.join(lacking)} in its name ({shown}), and no function is named to read them"
            )
            yield case.found(NO_PARSER, message, hint=_parser_hint(names))
        return
    names = list(case.value("output-blob-names"))
    if names and not any("cov" in name or "bbox" in name for name in names):
        message = f"output-blob-names has no cov and bbox ({', '.join(map(quoted, names))}), and no function is named"
        yield case.found(NO_PARSER, message, key="output-blob-names", level=Level.WARNING, hint=_parser_hint(names))


def no_library(case: Case) -> Iterator[Finding]:
    """A function without custom-lib-path."""
    if case.value("custom-lib-path", ""):
        return
    for key in _FUNCTION_KEYS:
        if name := case.value(key, ""):
            message = f"{key} is {quoted(name)}, but without custom-lib-path it is ignored"
            yield case.found(NO_LIBRARY, message, key=key)


def no_function(case: Case) -> Iterator[Finding]:
    """A function the library lacks."""
    if case.library is None:
        return
    for key in (FUNCTIONS.get(case.kind, ""), "engine-create-func-name"):
        name = str(case.value(key, ""))
        if name and not case.library.has(name):
            which = "NVIDIA's parser library" if case.library.stock else quoted(case.files["custom-lib-path"].text)
            message = f"{which} has no {quoted(name)}"
            yield case.found(NO_FUNCTION, message, key=key, hint=_function_hint(case, name))


def outputs(case: Case) -> Iterator[Finding]:
    """The parser gives up, or reads nonsense."""
    if case.outputs is None or case.network is None or not case.outputs:
        return
    function = case.function
    key = FUNCTIONS.get(case.kind)
    if case.kind == DETECTOR and not function:
        yield from _built_in(case)
        return
    found = _outcome(case, function)
    if found is not None and (found.failed or found.signal is not None):
        yield case.found(OUTPUTS, found.message, key=key if function else "onnx-file")


def cluster_mode(case: Case) -> Iterator[Finding]:
    """0, or nothing."""
    if case.kind == DETECTOR and case.value("cluster-mode") == 0:
        given = "cluster-mode is 0" if case.given("cluster-mode") else "cluster-mode is not given"
        effect = "NMS with the 20 best objects and an overlap of 0.5"
        if has_opencv(case):
            effect = "groupRectangles, which merges nothing while group-threshold is 0"
        hint = "write cluster-mode=2 for NMS with your own numbers"
        key = "cluster-mode" if case.given("cluster-mode") else None
        yield case.found(CLUSTER_MODE, f"{given}: {effect}", key=key, hint=hint)


def no_classes(case: Case) -> Iterator[Finding]:
    """num-detected-classes=0."""
    if case.kind in {DETECTOR, SEGMENTATION, INSTANCES} and not case.value("num-detected-classes"):
        key = "num-detected-classes" if case.given("num-detected-classes") else None
        given = "is 0" if key else "is not given"
        effect = "every object is dropped"
        if case.kind == DETECTOR and case.value("cluster-mode") in {0, _NMS, _HYBRID}:
            effect = "the process dies on the first frame"
        elif case.kind == SEGMENTATION:
            effect = "every frame fails"
        yield case.found(NO_CLASSES, f"num-detected-classes {given}: {effect}", key=key)


def raw_lost(case: Case) -> Iterator[Finding]:
    """network-type=100 alone."""
    if case.kind == OTHER and not case.value("output-tensor-meta"):
        yield case.found(RAW_LOST, "network-type is 100, but output-tensor-meta is not 1", key="network-type")


def instance_masks(case: Case) -> Iterator[Finding]:
    """Masks and clustering."""
    mode = case.value("cluster-mode")
    if mode != _NONE and (case.value("output-instance-mask") or case.kind == INSTANCES):
        what = "output-instance-mask=1" if case.value("output-instance-mask") else "network-type=3"
        message = f"{what} needs cluster-mode=4, not {mode}"
        yield case.found(INSTANCE_MASKS, message, key="cluster-mode" if case.given("cluster-mode") else "network-type")
    if case.kind == INSTANCES and not case.function:
        message = "network-type=3 needs custom-lib-path and parse-bbox-instance-mask-func-name"
        yield case.found(INSTANCE_MASKS, message, key="network-type")


def _built_in(case: Case) -> Iterator[Finding]:
    """cov [C,h,w] and bbox [4C,h,w]."""
    assert case.outputs is not None
    cov = [each for each in case.outputs if "cov" in each.name]
    boxes = [each for each in case.outputs if "bbox" in each.name]
    if not cov or not boxes:
        return
    one, four = cov[-1], boxes[-1]
    if len(one.dims) != 3 or len(four.dims) != 3:
        message = f"{quoted(one.name)} and {quoted(four.name)} must be [N,C,h,w] and [N,4C,h,w]"
        yield case.found(OUTPUTS, message, key="onnx-file")
    elif four.dims[0] != 4 * one.dims[0]:
        names = quoted(four.name), quoted(one.name)
        message = f"{names[0]} has {four.dims[0]} channels, not 4 for each of the {one.dims[0]} of {names[1]}"
        hint = "they are channels last: transpose them" if four.dims[2] == 4 * one.dims[2] else None
        yield case.found(OUTPUTS, message, key="onnx-file", hint=hint)
    elif four.dims[1:] != one.dims[1:]:
        message = f"{quoted(one.name)} and {quoted(four.name)} have grids of different size"
        yield case.found(OUTPUTS, message, key="onnx-file")


def _outcome(case: Case, function: str) -> Outcome | None:
    from convert.nvinfer.initialise_outputs import built_in_segments, stock_parser  # noqa: PLC0415 - only with a model

    assert case.outputs is not None
    assert case.network is not None
    classes = case.value("num-detected-classes")
    if function:
        known = case.library is not None and case.library.stock and case.library.has(function)
        _, height, width = case.network
        return stock_parser(function, case.outputs, classes, (height, width)) if known else None
    if case.kind == SEGMENTATION and classes:
        return built_in_segments(case.outputs, classes, case.value("segmentation-output-order"))
    return None


def has_opencv(case: Case) -> bool:
    """Whether groupRectangles is built in."""
    return version(case.parsed.release) <= version(_LAST_WITH_OPENCV)


def _parser_hint(names: list[str]) -> str | None:
    if {"detection_boxes", "detection_scores", "detection_classes"} <= set(names):
        return "NvDsInferParseCustomTfSSD of the stock libnvds_infercustomparser.so reads these outputs"
    return None


def _function_hint(case: Case, name: str) -> str | None:
    from difflib import get_close_matches  # noqa: PLC0415 - only for a missing function

    from convert.nvinfer.catalogue import catalogue  # noqa: PLC0415

    assert case.library is not None
    if not case.library.stock:
        return None
    for each in catalogue().parsers:
        if each.function == name:
            return f"it is there from DeepStream {each.since}" if each.since else f"it was there until {each.until}"
    near = get_close_matches(name, sorted(case.library.functions or ()), n=1, cutoff=0.93)
    return f"did you mean {near[0]}?" if near else "build a library that has it"


CHECKS: tuple[tuple[Rule, Check], ...] = (
    (NO_PARSER, no_parser),
    (NO_LIBRARY, no_library),
    (NO_FUNCTION, no_function),
    (OUTPUTS, outputs),
    (CLUSTER_MODE, cluster_mode),
    (NO_CLASSES, no_classes),
    (RAW_LOST, raw_lost),
    (INSTANCE_MASKS, instance_masks),
)
