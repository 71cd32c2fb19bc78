"""What a comparison with Edge Impulse can find besides the differences themselves: rules EI750 to EI799."""

from __future__ import annotations

from convert.findings import Level, Rule

__all__ = ["DIFFERS", "DRIFTS", "NOT_PROVEN", "RESIZE_UNKNOWN", "RULES", "THRESHOLD_UNKNOWN"]

DIFFERS = Rule(
    "EI750",
    Level.WARNING,
    "DeepStream shows something else than Edge Impulse answers",
    why="With this config the device will not show what Studio and the Edge Impulse runners give for the same picture. "
    "The causes are those things which have to be done as Edge Impulse does them for the results to be the same.",
    fix="do what the cause's hint says, and simulate again; where there is none, judge by the accuracy on your own "
    "labelled pictures which of the two is right",
)
DRIFTS = Rule(
    "EI751",
    Level.NOTE,
    "DeepStream shows the same as Edge Impulse, with other scores or boxes elsewhere",
    why="Scores near a threshold will be on its other side in other pictures.",
    fix="as for EI750, where the threshold is near the scores that you expect",
)
NOT_PROVEN = Rule(
    "EI752",
    Level.WARNING,
    "nothing proves that the ONNX model was made of this original",
    why="An ONNX model that ei-deepstream converted says what it was made of; this one does not. If the two are not "
    "the same model, every difference between them is named as one of their arithmetic (model).",
    fix="convert the export with ei-deepstream, or make sure that the original is the right one",
)
RESIZE_UNKNOWN = Rule(
    "EI753",
    Level.WARNING,
    "how Edge Impulse resized pictures is not recorded",
    why="Exports before Studio 1.57.2 do not say it. Squash is assumed; where that is wrong, Edge Impulse's side of "
    "the comparison is, too.",
    fix="look at the image block in Studio; convert with --resize-mode, or compare with a newer export",
)
THRESHOLD_UNKNOWN = Rule(
    "EI754",
    Level.NOTE,
    "Edge Impulse's threshold is not recorded",
    why="0.5 is assumed, which is what Studio gives a detector whose threshold nobody moved.",
    fix="compare with an export that holds model-parameters/",
)
RULES = (DIFFERS, DRIFTS, NOT_PROVEN, RESIZE_UNKNOWN, THRESHOLD_UNKNOWN)
"""In the order of their ids."""
