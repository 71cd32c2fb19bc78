"""The registry of heads: every kind of last layer, in one tuple.

`convert.heads.base.HeadSpec` says how to add one.
"""

from __future__ import annotations

from convert.heads import boxes, classifier, end_to_end, fomo, ssd
from convert.heads.base import Fit, HeadSpec, LastLayer

__all__ = [
    "ANOMALY",
    "CLASSIFIER",
    "CONVERTIBLE",
    "FOMO",
    "HEADS",
    "NOT_IMAGE",
    "SSD",
    "UNKNOWN",
    "Fit",
    "HeadSpec",
    "LastLayer",
    "head",
    "possible_heads",
]

CLASSIFIER, FOMO, SSD = classifier.CLASSIFIER.id, fomo.FOMO.id, ssd.SSD.id
ANOMALY, NOT_IMAGE, UNKNOWN = "anomaly", "not-image", "unknown"


HEADS: tuple[HeadSpec, ...] = (
    classifier.CLASSIFIER,
    fomo.FOMO,
    ssd.SSD,
    end_to_end.END_TO_END,
    *boxes.HEADS,
    HeadSpec(
        ANOMALY,
        "anomaly detector",
        gives_grid=True,  # Edge Impulse's visual anomaly detectors give one, as FOMO does
        refused="Gst-nvinfer has no anomaly detector; if the impulse has a classifier, too, choose it with --model",
    ),
    HeadSpec(
        NOT_IMAGE,
        "model for sound, motion or other sensor data",
        refused="give convert the whole library (C++ or Arduino): of sound and sensor data it makes one ONNX with the "
        "signal processing in front; in Gst-nvinfer, which feeds video, such a model cannot run",
    ),
    HeadSpec(
        UNKNOWN,
        "model of an unknown kind",
        refused="if you know what it is, say so: --task classifier, --task fomo, --task yolov5, ...",
    ),
)
"""All of them. Of several that are likely for a shape the first is taken for the usual one."""

CONVERTIBLE = tuple(each.id for each in HEADS if not each.refused)
"""Ids of the heads that can be converted."""

_BY_ID = {each.id: each for each in HEADS}


def head(task: str) -> HeadSpec:
    """The head with this id.

    Raises:
        ValueError: there is none.
    """
    try:
        return _BY_ID[task]
    except KeyError:
        raise ValueError(f"{task!r} is no known head") from None


def possible_heads(layer: LastLayer) -> tuple[str, ...]:
    """Ids of what a last layer can be, the usual meaning first; never empty."""
    fits = sorted(((each.fit(layer), each.id) for each in HEADS), key=lambda pair: -pair[0])
    if fits[0][0] == Fit.LIKELY:
        return tuple(name for fit, name in fits if fit >= Fit.ALSO)
    return (UNKNOWN, *(name for fit, name in fits if fit))
