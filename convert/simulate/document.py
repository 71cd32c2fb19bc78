"""What a simulation found as JSON values: `objects.json`.

Per frame `objects` (a detector's, network pixels, behind clustering) and `metadata` (all that reaches the frame, pixels
of the picture), or `label`, `attributes` and `metadata attached` for a primary classifier, as recorded decisions of
nvinfer have them; numbers are float32 values with nine digits, "nan" and "inf" are texts. Nothing in it depends on the
time or on the machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convert.report import SCHEMA_VERSION
from convert.simulate.decode import Detection
from convert.simulate.settings import NetworkType

if TYPE_CHECKING:
    from convert.images.placement import Placement, Rect
    from convert.simulate.scene import Engine, Found, Frame, Lost, Said, Simulation

__all__ = ["objects_document"]


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
    document["frames"] = [_frame(frame, primary, several=several) for frame in simulation.frames]
    return document


def _engine(engine: Engine) -> dict[str, Any]:
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


def _frame(frame: Frame, primary: Engine, *, several: bool) -> dict[str, Any]:
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
        document["attributes"] = [_attribute(one) for one in frame.said if one.engine == own]
    if several or frame.objects or "objects" in document:
        document["metadata"] = [_found(one, several=several) for one in frame.objects]
    if several:
        document["classifiers"] = _classifiers([one for one in frame.said if one.engine != own])
    document["lost"] = [_lost(one) for one in frame.lost]
    document["notes"] = [text(note) for note in frame.notes]
    return document


def _found(found: Found, *, several: bool) -> dict[str, Any]:
    box = found.box
    document = object_document(
        Detection(found.class_id, found.label, box.left, box.top, box.width, box.height, found.confidence)
    )
    if several:
        document |= {
            "engine": found.engine,
            "parent": found.parent,
            "text": text(found.text),
            "classifiers": _classifiers(found.said),
            "passed over": [text(why) for why in found.unseen],
        }
    return document


def _classifiers(said: tuple[Said, ...] | list[Said]) -> list[dict[str, Any]]:
    engines = dict.fromkeys(one.engine for one in said)
    return [
        {"engine": engine, "attributes": [_attribute(one) for one in said if one.engine == engine]}
        for engine in engines
    ]


def _attribute(said: Said) -> dict[str, Any]:
    return {
        "attribute": said.attribute,
        "class": said.class_id,
        "confidence": number(said.confidence),
        "label": text(said.label),
    }


def _lost(lost: Lost) -> dict[str, Any]:
    return {
        "engine": lost.engine,
        "object": lost.of,
        "key": lost.key,
        "why": lost.why,
        "class": lost.class_id,
        "label": text(lost.label),
        "confidence": number(lost.confidence),
        "box": None if lost.box is None else _rect(lost.box),
    }


def _rect(box: Rect) -> dict[str, Any]:
    return {
        "left": number(box.left),
        "top": number(box.top),
        "width": number(box.width),
        "height": number(box.height),
    }


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
    return {
        "class": one.class_id,
        "label": text(one.label),
        "left": number(one.left),
        "top": number(one.top),
        "width": number(one.width),
        "height": number(one.height),
        "confidence": number(one.confidence),
    }




def number(value: float) -> float | str:
    """Nine digits tell every float32 from every other."""
    if math.isfinite(value):
        return float(f"{value:.9g}")
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def text(value: str | None) -> str | None:
    """JSON is UTF-8; a label file need not be."""
    return None if value is None else value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
