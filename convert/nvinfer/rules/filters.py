"""NVI076 to NVI078: which of a detector's boxes, and of all scores, are left."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Final

from convert.findings import Level, Rule
from convert.nvinfer.keys import ATTRS, ClusterMode
from convert.nvinfer.rules.case import DETECTOR, INSTANCES, Case, Check, table_of
from convert.nvinfer.rules.detector import has_opencv
from convert.nvinfer.rules.values import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from convert.findings import Finding
    from convert.nvinfer.parse_result import Entry

__all__ = ["CHECKS"]

IDLE_ATTRIBUTE = Rule(
    "NVI076",
    Level.NOTE,
    "a class attribute does nothing in this cluster-mode",
    why="NMS (2) uses nms-iou-threshold, DBSCAN (1) eps, minBoxes and dbscan-min-score, hybrid (3) all of them, none "
    "(4) only topk. group-threshold is for groupRectangles, which no stock build has from 6.0.1 on.",
    fix="remove it, or change cluster-mode",
)

THRESHOLD = Rule(
    "NVI077",
    Level.WARNING,
    "a threshold lets nothing, or everything, through",
    why="Scores are between 0 and 1, and most thresholds must be exceeded: with 1 or more nothing is ever reported. "
    "An overlap of 0 suppresses neighbours that only touch, 1 suppresses nothing; DBSCAN with minBoxes=0 does not "
    "cluster; topk=0 keeps no object.",
    fix="write a fraction: 0.5, not 50",
)

FILTERED = Rule(
    "NVI078",
    Level.WARNING,
    "a filter drops every object, or none",
    why="Objects of the classes in filter-out-class-ids are dropped; a class that does not exist filters nothing. "
    "With a minimum size above the maximum no object is left.",
    fix="correct the ids or sizes",
)

_, _DBSCAN, _NMS, _HYBRID, _NONE = ClusterMode
# The cluster-modes that use a class attribute (nvdsinfer_context_impl_output_parsing.cpp).
_USED_IN: Final[Mapping[str, frozenset[int]]] = {
    "nms-iou-threshold": frozenset({_NMS, _HYBRID}),
    "eps": frozenset({_DBSCAN, _HYBRID}),
    "minBoxes": frozenset({_DBSCAN, _HYBRID}),
    "dbscan-min-score": frozenset({_DBSCAN, _HYBRID}),
    "group-threshold": frozenset(),
    "post-cluster-threshold": frozenset({0, _DBSCAN, _NMS, _HYBRID}),
    "topk": frozenset({_DBSCAN, _NMS, _HYBRID, _NONE}),
}


def idle_attribute(case: Case) -> Iterator[Finding]:
    """Attributes of another cluster-mode."""
    if case.kind != DETECTOR:
        return
    mode = case.value("cluster-mode")
    for entry in _attributes(case):
        modes = _USED_IN.get(entry.key)
        if modes is None or mode in modes or (mode == 0 and has_opencv(case)):
            continue
        message = f"{entry.key} does nothing with cluster-mode={mode}"
        if mode == 0 and entry.key in {"nms-iou-threshold", "topk"}:
            message = f"{entry.key} is overwritten: cluster-mode 0 is NMS with topk 20 and an overlap of 0.5"
        yield case.found(IDLE_ATTRIBUTE, message, at=case.at_key(entry))


def threshold(case: Case) -> Iterator[Finding]:
    """Thresholds out of the range of scores."""
    for key in ("classifier-threshold", "segmentation-threshold"):
        if case.given(key) and (problem := _beyond(case.number(key), strict=key.startswith("classifier"))):
            yield case.found(THRESHOLD, f"{key} is {case.value(key)}: {problem}", key=key)
    if case.kind not in {DETECTOR, INSTANCES}:
        return
    mode = case.value("cluster-mode")
    for entry in _attributes(case):
        problem = _odd(entry, mode)
        if problem and not (entry.key in _USED_IN and mode not in _USED_IN[entry.key]):
            yield case.found(THRESHOLD, f"{entry.key} is {quoted(entry.text)}: {problem}", at=case.at_value(entry))
    if mode in {_DBSCAN, _HYBRID} and any(not each.get("minBoxes") for each in case.values.get(ATTRS, ())[:1000]):
        message = f"cluster-mode is {mode}, DBSCAN, but minBoxes is 0: nothing is clustered"
        yield case.found(THRESHOLD, message, key="cluster-mode", hint="write minBoxes into [class-attrs-all]")


def filtered(case: Case) -> Iterator[Finding]:
    """Ids and sizes that contradict each other."""
    classes = case.value("num-detected-classes")
    if case.kind in {DETECTOR, INSTANCES} and classes:
        ids = set(case.value("filter-out-class-ids"))
        if ids.issuperset(range(classes)):
            yield case.found(
                FILTERED, "filter-out-class-ids names every class: no object is left", key="filter-out-class-ids"
            )
        elif beyond := sorted(each for each in ids if each >= classes):
            message = f"filter-out-class-ids: there is no class {beyond[0]} (num-detected-classes is {classes})"
            yield case.found(FILTERED, message, key="filter-out-class-ids", level=Level.NOTE)
    for side in ("width", "height"):
        low, high = case.value(f"input-object-min-{side}"), case.value(f"input-object-max-{side}")
        if case.is_secondary and high and low > high:
            message = f"input-object-min-{side} is {low}, the maximum {high}: no object fits"
            yield case.found(FILTERED, message, key=f"input-object-min-{side}")
    for entry in _attributes(case):
        if entry.key in {"detected-min-w", "detected-min-h"}:
            yield from _sizes(case, entry)


def _attributes(case: Case) -> list[Entry]:
    """The entries of the class groups that are read."""
    return [entry for (group, _), entry in case.last.items() if table_of(group) == ATTRS and group not in case.unread]


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


def _sizes(case: Case, entry: Entry) -> Iterator[Finding]:
    """detected-min-* against the largest of the same group, or of all."""
    other = entry.key.replace("min", "max")
    largest = case.last.get((entry.group, other)) or case.last.get(("class-attrs-all", other))
    if largest is None:
        return
    low, high = _number(entry.text), _number(largest.text)
    if low is not None and high and low > high:
        message = f"{entry.key} is {entry.text.strip()}, the maximum {largest.text.strip()}: no object fits"
        yield case.found(FILTERED, message, at=case.at_value(entry))


def _number(text: str) -> float | None:
    match = re.match(r"\s*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|\s*nan", text, re.IGNORECASE)
    return float(match[0]) if match else None


CHECKS: tuple[tuple[Rule, Check], ...] = (
    (IDLE_ATTRIBUTE, idle_attribute),
    (THRESHOLD, threshold),
    (FILTERED, filtered),
)
