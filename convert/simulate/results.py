"""The results of a simulation: engines, frames, objects, dropped candidates; as JSON, as KITTI text; its findings.

Boxes are in pixels of the picture; numbers are float32 values, as NvDsObjectMeta holds them.

`objects.json`: per frame `objects` (a detector's, network pixels, after clustering) and `metadata` (all that reaches
the frame, pixels of the picture), or `label`, `attributes` and `metadata attached` for a primary classifier, in the
form of recorded decisions of nvinfer. Numbers are float32 values with nine digits; "nan" and "inf" are texts. Nothing
in it depends on the time or on the machine.

KITTI text is written as deepstream-app does with gie-kitti-output-dir (`write_kitti_output`, deepstream_app.c): one
line for each object of the primary engine, the edges as float32 sums, six decimals, zeros for fields a detector does
not have. Results of secondary engines are not in it. The object of a primary classifier, the whole frame, has no
label there and no confidence: its text is elsewhere in the metadata.

Findings of a simulation are EI700 to EI749.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.files import plain
from convert.findings import Finding, Rule
from convert.images.scaling import Network, Placement, Rect, View
from convert.report import SCHEMA_VERSION, OnnxMetadata
from convert.simulate.decode import Classification, Classified, Detection
from convert.simulate.settings import NetworkType, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from convert.simulate.parsers import Drop, Dropped


@dataclass(frozen=True, slots=True)
class SimulatedEngine:
    """One config with its model.

    Attributes:
        config: the file, as the user gave it.
        model: the ONNX file; None when recorded tensors were decoded.
        settings: what nvinfer computes with.
        network: the model's input.
        approximated: sentences on arithmetic that only approximates a device's.
        metadata: the model's metadata_props.
        failure: why NVIDIA's parser gives up on every frame, "" where it does not; nothing is shown then.
    """

    config: Path
    model: Path | None
    settings: Settings
    network: Network
    approximated: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    failure: str = ""

    @property
    def recorded(self) -> OnnxMetadata:
        """What `ei-deepstream convert` recorded in the model."""
        return OnnxMetadata.parse(dict(self.metadata))


@dataclass(frozen=True, slots=True)
class DroppedCandidate:
    """A candidate that is not shown, and what decided so.

    Attributes:
        engine: gie-unique-id.
        key: the key of the config (or "box", "num_detections", "keep_top_k", see `convert.simulate.parsers.Drop`).
        why: in words, with both numbers.
        label: of its class, None without one.
        box: in pixels of the picture; None for a classifier's.
        of: the object (index in `FrameResult.objects`) that was classified; None for the whole picture.
    """

    engine: int
    key: str
    why: str
    class_id: int
    confidence: float
    label: str | None
    box: Rect | None = None
    of: int | None = None


@dataclass(frozen=True, slots=True)
class DetectedObject:
    """An object as it reaches the display.

    Attributes:
        engine: gie-unique-id of the detector.
        label: as nvinfer stores it; "" without one.
        classifications: of the secondary classifiers, in the order of the engines.
        skipped: why an engine did not process it, one sentence for each such engine.
        parent: the object (index in `FrameResult.objects`) it was found in; None for the whole picture.
    """

    engine: int
    class_id: int
    label: str
    confidence: float
    box: Rect
    classifications: tuple[Classification, ...] = ()
    skipped: tuple[str, ...] = ()
    parent: int | None = None

    @property
    def text(self) -> str:
        """What the display shows above the box: the label, then a blank and the labels of each classifier behind it.

        (attach_metadata_classifier in gstnvinfer_meta_utils.cpp appends to display_text; blanks at the end are cut.)
        """
        return " ".join([self.label, *(one.label for one in self.classifications if one.label)]).strip()


@dataclass(frozen=True, slots=True)
class Shown:
    """A line or zone on a picture.

    Attributes:
        counts: its names and what stands beside them: of a line crossings so far, in each direction; of a zone how many
            are in it. None: nothing was counted yet.
        points: (x, y) in pixels of the picture; two of a line.
        crossed: whether something has just crossed the line.
    """

    counts: tuple[tuple[str, int | None], ...]
    points: tuple[tuple[float, float], ...]
    crossed: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted in a frame.

    Attributes:
        ids: the tracker's number of each object; 0: none.
        shown: lines and zones.
        crowded: zones with too many objects in them.
    """

    ids: tuple[int, ...]
    shown: tuple[Shown, ...]
    crowded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """An object was counted at a line, in the direction of `line`; `seconds` from the first frame on."""

    frame: str
    seconds: float
    id: int
    label: str
    line: str


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Why some objects were not counted at a line, or not once more."""

    line: str
    why: str
    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that DeepStream and Edge Impulse's SDK count differently at a line."""

    line: str
    id: int
    deepstream: int
    edge_impulse: int
    why: str


@dataclass(frozen=True, slots=True)
class ZoneCount:
    """What was in a zone.

    Attributes:
        most: objects at once.
        crowd: how many are a crowd; None: the zone is only counted.
        frames: how many of them had a crowd.
    """

    name: str
    most: int
    crowd: int | None = None
    frames: int = 0

    @property
    def words(self) -> str:
        """As the terminal and the page say it."""
        if self.crowd is None:
            return f"at most {self.most} at once"
        return f"{self.crowd} or more in {self.frames} {'frame' if self.frames == 1 else 'frames'}"


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted in a video, or in the pictures.

    Attributes:
        config: of Gst-nvdsanalytics.
        tracker: the config or library that the app names, in whose place a tracker by overlap ran.
        size: width and height of the frames that [streammux] makes, in which distances are measured.
        objects: that were tracked.
        lines: name and count of each line and direction.
        edge_impulse: what the SDK would count at each line, on the same tracks; None: that was not asked.
        every: only so-many-th frames of a video were given; a device tracks them all.
        zones: what was in each.
    """

    source: str
    config: Path
    tracker: str
    size: tuple[int, int]
    objects: int
    lines: tuple[tuple[str, int], ...]
    passages: tuple[Passage, ...]
    uncounted: tuple[Uncounted, ...]
    edge_impulse: tuple[tuple[str, int], ...] | None = None
    differences: tuple[Difference, ...] = ()
    every: int = 1
    zones: tuple[ZoneCount, ...] = ()

    @property
    def totals(self) -> list[tuple[str, str]]:
        """Name of each line and zone, and what was counted there."""
        lines = [(name, str(count)) for name, count in self.lines]
        return [*lines, *((zone.name, zone.words) for zone in self.zones)]


@dataclass(frozen=True, slots=True)
class FrameResult:
    """One picture.

    Attributes:
        name: short and unique among the pictures; file names are made of it.
        source: the file it came from.
        width, height: pixels, behind EXIF rotation.
        placement: how the primary engine's input was cut out of it.
        objects: of all detectors, in nvinfer's order.
        classifications: of a primary classifier, and of secondary ones that process the object it makes of the picture.
        label: a primary classifier's text for the whole picture, as nvinfer attaches it (every label followed by a
            blank); "" for none.
        decoded: a primary detector's objects behind clustering, in network pixels, before anything is attached.
        dropped: the best candidates that are not shown, best first.
        notes: what else a user must know of this picture, one sentence each.
        counted: at lines and in zones, where the app has some.
    """

    name: str
    source: Path
    width: int
    height: int
    placement: Placement | None
    objects: tuple[DetectedObject, ...] = ()
    classifications: tuple[Classification, ...] = ()
    label: str = ""
    dropped: tuple[DroppedCandidate, ...] = ()
    notes: tuple[str, ...] = ()
    decoded: tuple[Detection, ...] = ()
    counted: Counted | None = None

    @property
    def shows(self) -> bool:
        """Whether anything is drawn on the screen."""
        return bool(self.objects or self.label)


@dataclass(frozen=True, slots=True)
class Simulation:
    """All pictures through all engines.

    Attributes:
        engines: the primary first.
        seconds: wall time spent in each part ("decode pictures", "preprocess", "infer", "decode"); never written to a
            file whose bytes are to be the same twice.
        counts: at lines and in zones, where the app has some.
    """

    engines: tuple[SimulatedEngine, ...]
    frames: tuple[FrameResult, ...]
    seconds: dict[str, float] = field(default_factory=dict)
    counts: tuple[Counts, ...] = ()


def detected_objects(engine: int, attached: Iterable[Detection], parent: int | None = None) -> list[DetectedObject]:
    """Of a detector with this gie-unique-id, from what it attached to the frame's metadata."""
    return [
        DetectedObject(
            engine, one.class_id, one.label or "", one.confidence, Rect(one.left, one.top, one.width, one.height),
            parent=parent,
        )
        for one in attached
    ]  # fmt: skip


def objects_document(simulation: Simulation) -> dict[str, Any]:
    """The whole of `objects.json`."""
    primary = simulation.engines[0]
    failures = [engine.failure for engine in simulation.engines if engine.failure]
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "status": "NVDSINFER_SUCCESS",
        "output parser failed": bool(failures),
        "messages": failures,
    }
    if primary.settings.network_type is NetworkType.DETECTOR:
        document["cluster-mode in use"] = int(primary.settings.cluster_mode)
    document["engines"] = [_engine(engine) for engine in simulation.engines]
    several = len(simulation.engines) > 1
    if simulation.counts:
        document["counting"] = [{**plain(each), "config": text(each.config.name)} for each in simulation.counts]
    document["frames"] = [_frame(frame, primary, several=several) for frame in simulation.frames]
    return document


def _engine(engine: SimulatedEngine) -> dict[str, Any]:
    settings, network = engine.settings, engine.network
    return {
        "gie-unique-id": settings.unique_id,
        "config": text(engine.config.name),
        "model": None if engine.model is None else text(engine.model.name),
        "network": {"channels": network.channels, "height": network.height, "width": network.width},
        "network-type": int(settings.network_type),
        "process-mode": 2 if settings.on_objects else 1,
        "approximated": list(engine.approximated),
    }


def _frame(frame: FrameResult, primary: SimulatedEngine, *, several: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": frame.name,
        "source": text(str(frame.source)),
        "width": frame.width,
        "height": frame.height,
        "placement": None if frame.placement is None else _placement(frame.placement),
    }
    own = primary.settings.unique_id
    if primary.settings.network_type is NetworkType.DETECTOR:
        document["objects"] = [object_document(one) for one in frame.decoded]
    else:
        document["label"] = text(frame.label)
        document["metadata attached"] = bool(frame.label)
        document["attributes"] = [_attribute(one) for one in frame.classifications if one.engine == own]
    if several or frame.objects or "objects" in document:
        document["metadata"] = [_found(one, several=several) for one in frame.objects]
    if several:
        document["classifiers"] = _classifiers([one for one in frame.classifications if one.engine != own])
    if frame.counted:
        document["tracks"] = list(frame.counted.ids)
        for name, is_line in (("counts", True), ("zones", False)):
            document[name] = dict(
                pair for each in frame.counted.shown if (len(each.points) == 2) is is_line for pair in each.counts
            )
        document["crowded"] = list(frame.counted.crowded)
    document["lost"] = [_dropped_document(one) for one in frame.dropped]
    document["notes"] = [text(note) for note in frame.notes]
    return document


def _found(found: DetectedObject, *, several: bool) -> dict[str, Any]:
    box = found.box
    document = object_document(
        Detection(found.class_id, found.label, box.left, box.top, box.width, box.height, found.confidence)
    )
    if several:
        document |= {
            "engine": found.engine,
            "parent": found.parent,
            "text": text(found.text),
            "classifiers": _classifiers(found.classifications),
            "passed over": [text(why) for why in found.skipped],
        }
    return document


def _classifiers(found: Sequence[Classification]) -> list[dict[str, Any]]:
    engines = dict.fromkeys(one.engine for one in found)
    return [
        {"engine": engine, "attributes": [_attribute(one) for one in found if one.engine == engine]}
        for engine in engines
    ]


def _attribute(classification: Classification) -> dict[str, Any]:
    return {
        "attribute": classification.attribute,
        "class": classification.class_id,
        "confidence": number(classification.confidence),
        "label": text(classification.label),
    }


def _dropped_document(dropped: DroppedCandidate) -> dict[str, Any]:
    return {
        "engine": dropped.engine,
        "object": dropped.of,
        "key": dropped.key,
        "why": dropped.why,
        "class": dropped.class_id,
        "label": text(dropped.label),
        "confidence": number(dropped.confidence),
        "box": None if dropped.box is None else _rect(dropped.box),
    }


def _rect(box: Rect | Detection) -> dict[str, Any]:
    return {side: number(getattr(box, side)) for side in ("left", "top", "width", "height")}


def _placement(placement: Placement) -> dict[str, Any]:
    view = placement.view
    return {
        "scale_ratio_x": view.scale_x,
        "scale_ratio_y": view.scale_y,
        "offset_left": view.offset_left,
        "offset_top": view.offset_top,
    }


def object_document(one: Detection) -> dict[str, Any]:
    """Class, label, box and confidence."""
    return {"class": one.class_id, "label": text(one.label), **_rect(one), "confidence": number(one.confidence)}


def number(value: float) -> float | str:
    """As JSON: nine digits, which distinguish every two float32 values; "nan", "inf" or "-inf"."""
    if math.isfinite(value):
        return float(f"{value:.9g}")
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def text(value: str | None) -> str | None:
    """JSON is UTF-8; a label file need not be."""
    return None if value is None else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def kitti(frame: FrameResult, primary: SimulatedEngine) -> bytes:
    """The file of one frame; empty where nothing was found."""
    rows = [
        (found.label, found.box.left, found.box.top, found.box.width, found.box.height, found.confidence)
        for found in frame.objects
        if found.engine == primary.settings.unique_id
    ]
    if frame.label:
        rows.append(("", 0.0, 0.0, frame.width, frame.height, 0.0))
    return "".join(_line(*row) for row in rows).encode("utf-8", "surrogateescape")


def _line(label: str, left: float, top: float, width: float, height: float, confidence: float) -> str:
    with np.errstate(over="ignore", invalid="ignore"):
        right, bottom = (float(np.float32(start) + np.float32(size)) for start, size in ((left, width), (top, height)))
    edges = " ".join(f"{edge:f}" for edge in (left, top, right, bottom))
    return f"{label} 0.0 0 0.0 {edges} 0.0 0.0 0.0 0.0 0.0 0.0 0.0 {confidence:f}\n"


PICTURE = Rule("EI700")

ASPECT = Rule("EI701")

PARSER = Rule("EI702")

CONVERSION = Rule("EI703")

UNUSED_ENGINE = Rule("EI704")

STREAMMUX = Rule("EI705")

CHECK_FINDINGS = Rule("EI706")

NAN_SCORES = Rule("EI707")

UNCOUNTED = Rule("EI709")


_TOLERANCE = 0.01  # 1366x768 counts as 16:9; the next common aspects are 6 % and more apart
_SHOWN = 3


def frame_checks(
    simulation: Simulation, *, app: Path | None = None, muxer: tuple[int, int] | None = None
) -> Iterator[Finding]:
    """Findings of a simulation that ran.

    Args:
        simulation: all of it.
        app: deepstream-app's config, where the engines were read from one, and `muxer`: its frames' size.
    """
    primary = simulation.engines[0]
    wanted = None if primary.recorded.squashes else primary.recorded.frame
    if wanted and (others := _others(simulation, float(wanted.aspect))):
        yield ASPECT.found(
            f"the model takes frames of {wanted}, and {_named(others)}",
            path=primary.config,
            hint=f"use pictures of {wanted}, or convert again with --frame",
        )
    if muxer and (others := _others(simulation, muxer[0] / muxer[1])):
        yield STREAMMUX.found(
            f"[streammux] makes frames of {muxer[0]}x{muxer[1]}, and {_named(others)}",
            path=app,
            hint="the pictures are taken as they are; the app would stretch them first",
        )


def _others(simulation: Simulation, aspect: float) -> list[FrameResult]:
    return [frame for frame in simulation.frames if abs(frame.width / frame.height / aspect - 1) > _TOLERANCE]


def _named(frames: list[FrameResult]) -> str:
    """ "2 pictures are not: a (640x480), b (320x240)"."""
    shown = ", ".join(f"{frame.name} ({frame.width}x{frame.height})" for frame in frames[:_SHOWN])
    more = f" and {len(frames) - _SHOWN} more" if len(frames) > _SHOWN else ""
    return f"{len(frames)} {'picture has' if len(frames) == 1 else 'pictures have'} another aspect: {shown}{more}"


MOST_DROPPED = 10
"""Dropped candidates listed for one picture: enough to see a threshold that is too high, few enough to read."""

_DUPLICATES = frozenset({"nms-iou-threshold"})
_MOST_DUPLICATES = 3


def dropped_by_detector(
    settings: Settings,
    view: View,
    decoding: Dropped,
    attaching: Dropped,
    *,
    parent: Rect | None = None,
    of: int | None = None,
) -> list[DroppedCandidate]:
    """The dropped candidates of a detector's picture, in pixels of the picture.

    Args:
        settings: of the engine.
        view: how the picture was scaled.
        decoding: what parser and clustering left out, in network pixels.
        attaching: what was not attached, in pixels of the picture, the parent's corner not yet added.
        parent: the object that was the input, and `of` its index.
    """
    # Duplicates of shown boxes would leave no room for anything else.
    decoded = (
        *decoding.best(MOST_DROPPED, without=_DUPLICATES), *decoding.best(_MOST_DUPLICATES, only=_DUPLICATES)
    )  # fmt: skip
    found = [_dropped(settings, drop, _in_picture(drop, view, parent), of) for drop in decoded]
    left, top = (parent.left, parent.top) if parent else (0.0, 0.0)
    for drop in attaching.best(MOST_DROPPED):
        box = Rect(drop.left + left, drop.top + top, drop.width, drop.height)
        found.append(_dropped(settings, drop, box, of))
    return found


def dropped_by_classifier(
    settings: Settings, classified: Classified, outputs: int, of: int | None = None
) -> list[DroppedCandidate]:
    """The classes of a classifier's outputs that are not shown."""
    shown = {one.attribute for one in classified.attributes if one.label is not None}
    silent = [number for number in range(outputs) if number not in shown]
    return [
        replace(_dropped(settings, drop, None, of), label=settings.attribute_label(attribute, drop.class_id))
        for attribute, drop in zip(silent, classified.dropped, strict=True)
    ]


def best(dropped: Iterable[DroppedCandidate]) -> tuple[DroppedCandidate, ...]:
    """The `MOST_DROPPED` most confident ones, NaN last; one of confidence 0 only where there is nothing else."""
    ordered = sorted(dropped, key=lambda one: (one.confidence != one.confidence, -one.confidence))
    return tuple([one for one in ordered if one.confidence][:MOST_DROPPED] or ordered[:1])


def _dropped(settings: Settings, drop: Drop, box: Rect | None, of: int | None) -> DroppedCandidate:
    label = settings.label(drop.class_id)
    return DroppedCandidate(settings.unique_id, drop.key, drop.why, drop.class_id, drop.confidence, label, box, of)


def _in_picture(drop: Drop, view: View, parent: Rect | None) -> Rect | None:
    """None for a candidate whose box was never computed."""
    if not (drop.width or drop.height):
        return None
    left, top = (parent.left, parent.top) if parent else (0.0, 0.0)
    x, y = (drop.left - view.offset_left) / view.scale_x, (drop.top - view.offset_top) / view.scale_y
    return Rect(x + left, y + top, drop.width / view.scale_x, drop.height / view.scale_y)
