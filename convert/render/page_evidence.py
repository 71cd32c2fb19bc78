"""The numbers behind a page: how near the ONNX model is to the original, and DeepStream to Edge Impulse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from convert.against.comparison import Verdict
from convert.render.drawing_text import number
from convert.render.text import percent

if TYPE_CHECKING:
    from convert.against.comparison import Answer, Comparison, Row

__all__ = ["MOST_COMPARED", "Difference", "Measure", "answer", "differences", "measures"]

MOST_COMPARED: Final = 500
"""Pictures of a comparison that are listed."""

_MOST_MEASURES: Final = 60
_LONGEST: Final = 300  # characters of a value this module does not know
_DEEPEST: Final = 4  # levels of such values that are told apart
_MOST_OBJECTS: Final = 4  # of an answer that are named


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that was measured.

    Attributes:
        passed: None where there is no limit.
    """

    name: str
    measured: str
    limit: str = ""
    passed: bool | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One picture of a comparison, ready to be shown."""

    row: Row
    deepstream: str
    edge_impulse: str
    causes: str


def measures(evidence: Mapping[str, Any]) -> list[Measure]:
    """`evidence` of a bundle's report.json (`convert.report.evidence_document`) as rows; null is left out.

    What is not as that document has it is shown as it stands, under its own name.
    """
    rows: list[Measure] = []
    for name, value in evidence.items():
        told = _TOLD.get(name)
        try:
            rows += told(value) if told and value is not None else _plain(name.replace("_", " "), value, 0)
        except (KeyError, OverflowError, TypeError, ValueError):
            rows += _plain(name.replace("_", " "), value, 0)
    return rows[:_MOST_MEASURES]


def differences(comparison: Comparison) -> list[Difference]:
    """The pictures, those that differ first, then those that drift; otherwise in their order."""
    order = (Verdict.DIFFERS, Verdict.DRIFTS, Verdict.SAME)
    rows = sorted(comparison.rows, key=lambda row: order.index(row.verdict))
    return [
        Difference(row, answer(row.deepstream), answer(row.edge_impulse), ", ".join(map(str, row.causes)))
        for row in rows[:MOST_COMPARED]
    ]


def answer(one: Answer) -> str:
    """ "apple 0.98", "star 0.93, star 0.5 and 3 more" or "nothing"."""
    if one.label:
        return f"{one.label} {number(one.score)}"
    if not one.objects:
        return "nothing"
    named = ", ".join(
        f"{seen.label or f'class {seen.class_id}'} {number(seen.score)}" for seen in one.objects[:_MOST_OBJECTS]
    )
    rest = len(one.objects) - _MOST_OBJECTS
    return f"{named} and {rest} more" if rest > 0 else named


def _parity(value: Mapping[str, Any]) -> list[Measure]:
    most, limit = float(value["max_abs_diff"]), float(value["tolerance"])
    words = (
        f"largest difference {_small(most)}, mean {_small(value['mean_abs_diff'])}; "
        f"the same best class on {percent(float(value['top1']))} of {int(value['inputs']):,} inputs"
    )
    return [Measure("Original against ONNX model", words, _small(limit), most <= limit)]


def _batch(value: Mapping[str, Any]) -> list[Measure]:
    sizes = ", ".join(str(int(size)) for size in value["sizes"])
    words = f"batches of {sizes}: largest difference {_small(value['max_abs_diff'])}"
    return [Measure("Batches against single pictures", words)]


def _agreement(value: Mapping[str, Any]) -> list[Measure]:
    words = _agreed(value)
    if value.get("rounded"):
        words += "; the first layer keeps its rounding"
    return [Measure("Integer original against its float rewriting", words)]


def _framing(value: Mapping[str, Any]) -> list[Measure]:
    """What cropping as in training gains, and what squashing costs."""
    of = ", ".join(map(str, value["frames"])) or "their own shape"
    rows = []
    if value["crop"] is not None:
        rows.append(Measure(f"Frames of {of}, cropped as in training", _agreed(value["crop"])))
    return [*rows, Measure(f"Frames of {of}, squashed", _agreed(value["squash"]))]


def _agreed(value: Mapping[str, Any]) -> str:
    return (
        f"the same decision on {percent(float(value['top1']))} of {int(value['inputs']):,} inputs; "
        f"mean difference {_small(value['mean_abs_diff'])}, largest {_small(value['max_abs_diff'])}"
    )


_TOLD: Final[Mapping[str, Callable[[Any], list[Measure]]]] = {
    "parity": _parity,
    "batch": _batch,
    "tensorrt": lambda value: [Measure("TensorRT", str(value)[:_LONGEST])],
    "decoding": lambda value: [Measure("Boxes against an independent decoding", f"largest difference {_small(value)}")],
    "int8_agreement": _agreement,
    "framing": _framing,
}
"""Key of the document -> its row."""


def _plain(name: str, value: object, depth: int) -> list[Measure]:
    if value is None:
        return []
    if isinstance(value, Mapping) and depth < _DEEPEST:
        rows = []
        for key, one in value.items():
            rows += _plain(f"{name}, {str(key).replace('_', ' ')}", one, depth + 1)
        return rows
    return [Measure(name.capitalize(), f"{value:.4g}" if isinstance(value, float) else str(value)[:_LONGEST])]


def _small(value: float) -> str:
    return f"{value:.2g}"
