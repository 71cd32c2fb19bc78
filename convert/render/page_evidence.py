"""The numbers behind a page: how near the ONNX model is to the original, and DeepStream to Edge Impulse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from convert.against.comparison import Verdict
from convert.render.text import percent

if TYPE_CHECKING:
    from convert.against.comparison import Answer, Comparison, Row

__all__ = ["MOST_COMPARED", "Difference", "Measure", "answer", "differences", "measures"]

MOST_COMPARED: Final = 500
"""Pictures of a comparison that are listed."""

_NAMES: Final = {
    "parity": "Original against ONNX model",
    "batch": "Batches against single pictures",
    "tensorrt": "TensorRT",
    "decoding": "Boxes against an independent decoding",
    "int8_agreement": "Integer original against its float rewriting",
}
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
    """`evidence` of a bundle's report.json (`convert.document.evidence_document`) as rows; null is left out.

    What this function does not know is shown under its own name.
    """
    rows = []
    for name, value in evidence.items():
        if value is None:
            continue
        if name == "parity" and isinstance(value, Mapping):
            rows += _parity(value)
        elif name == "batch" and isinstance(value, Mapping):
            sizes = ", ".join(map(str, value["sizes"]))
            most = f"batches of {sizes}: largest difference {_small(value['max_abs_diff'])}"
            rows.append(Measure(_NAMES[name], most))
        elif name == "int8_agreement" and isinstance(value, Mapping):
            same = f"the same decision on {percent(value['top1'])} of {value['inputs']} inputs"
            mean = f"mean difference {_small(value['mean_abs_diff'])}, largest {_small(value['max_abs_diff'])}"
            rows.append(Measure(_NAMES[name], f"{same}; {mean}"))
        elif name == "decoding":
            rows.append(Measure(_NAMES[name], f"largest difference {_small(value)}"))
        elif isinstance(value, Mapping):
            rows += measures({f"{name}, {key}": one for key, one in value.items()})
        else:
            words = _NAMES.get(name, name.replace("_", " ").capitalize())
            rows.append(Measure(words, _small(value) if isinstance(value, float) else str(value)))
    return rows


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
        return f"{one.label} {_score(one.score)}"
    if not one.objects:
        return "nothing"
    named = ", ".join(
        f"{seen.label or f'class {seen.class_id}'} {_score(seen.score)}" for seen in one.objects[:_MOST_OBJECTS]
    )
    rest = len(one.objects) - _MOST_OBJECTS
    return f"{named} and {rest} more" if rest > 0 else named


def _parity(value: Mapping[str, Any]) -> list[Measure]:
    most, limit = value["max_abs_diff"], value["tolerance"]
    inputs = value["inputs"]
    return [
        Measure(_NAMES["parity"], f"largest difference {_small(most)}", _small(limit), most <= limit),
        Measure("", f"mean difference {_small(value['mean_abs_diff'])}"),
        Measure("", f"the same best class on {percent(value['top1'])} of {inputs} inputs"),
    ]


def _small(value: float) -> str:
    return f"{value:.2g}"


def _score(value: float) -> str:
    return f"{value:.3g}"
