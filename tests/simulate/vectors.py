"""What was decoded of a recorded batch, as the vectors have it: one JSON document.

Per frame `objects` (network pixels, after clustering) and `metadata` (pixels of the frame), or `label`, `attributes`
and `metadata attached`. Every number is a float32 value with nine digits; "nan" and "inf" are texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convert.nvinfer.config import read
from convert.nvinfer.context import read_labels
from convert.simulate import results
from convert.simulate.decode import Classified, Detected
from convert.simulate.settings import NetworkType, Settings

if TYPE_CHECKING:
    from pathlib import Path

    from convert.simulate.parsers import Drop
    from convert.simulate.replay import Replayed


def read_settings(path: Path) -> Settings:
    """The settings nvinfer would compute with, by the newest release."""
    parsed = read(path)
    labels = read_labels(parsed.files["labelfile-path"]) if "labelfile-path" in parsed.files else ()
    return Settings.from_parsed(parsed, [line.labels for line in labels])


def document(batch: Replayed) -> dict[str, Any]:
    """The batch as JSON values."""
    found: dict[str, Any] = {
        "status": "NVDSINFER_SUCCESS",
        "output parser failed": bool(batch.failure),
        "messages": [batch.failure] if batch.failure else [],
    }
    if batch.settings.network_type is NetworkType.DETECTOR:
        found["cluster-mode in use"] = int(batch.settings.cluster_mode)
    found["frames"] = [_frame(batch, index) for index in range(len(batch.frames))]
    return found


def _frame(batch: Replayed, index: int) -> dict[str, Any]:
    frame = batch.frames[index]
    if not isinstance(frame, Detected):
        return _classified(frame)
    found: dict[str, Any] = {
        "objects": list(map(results.object_document, frame.objects)),
        "metadata": list(map(results.object_document, batch.metadata[index])),
    }
    if frame.dropped.wanted:
        found["dropped"] = [_dropped_document(drop) for drop in frame.dropped.best()]
        found["dropped from metadata"] = [_dropped_document(drop) for drop in batch.dropped[index].best()]
    return found


def _classified(frame: Classified) -> dict[str, Any]:
    """A classifier's frame as JSON values."""
    document: dict[str, Any] = {
        "label": results.text(frame.label),
        "metadata attached": frame.attached,
        "attributes": [
            {
                "attribute": one.attribute,
                "class": one.class_id,
                "confidence": results.number(one.confidence),
                "label": results.text(one.label),
            }
            for one in frame.attributes
        ],
    }
    if frame.dropped:
        document["dropped"] = [_dropped_document(drop) for drop in frame.dropped]
    return document


def _dropped_document(drop: Drop) -> dict[str, Any]:
    return {
        "key": drop.key,
        "why": drop.why,
        "class": drop.class_id,
        "confidence": results.number(drop.confidence),
        "left": results.number(drop.left),
        "top": results.number(drop.top),
        "width": results.number(drop.width),
        "height": results.number(drop.height),
    }
