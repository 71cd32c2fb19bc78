"""A comparison as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from convert.against.comparison import Verdict

if TYPE_CHECKING:
    from convert.against.comparison import Answer, Comparison, Pair, Row, Seen

__all__ = ["against_document"]


def against_document(comparison: Comparison) -> dict[str, Any]:
    """`{original, task, quantized, tolerance, summary, counts, largest_difference, steps[], reasons[], pictures[]}`.

    Boxes are in pixels of the picture. A number that is none (NaN, infinity) is null. Findings are not in it: they
    belong to the command's own document.
    """
    return {
        "original": comparison.original,
        "task": comparison.task,
        "quantized": comparison.quantized,
        "tolerance": comparison.tolerance,
        "summary": comparison.summary,
        "counts": {verdict.value: comparison.count(verdict) for verdict in Verdict},
        "largest_difference": _number(comparison.largest),
        "steps": [
            {
                "cause": step.cause.value,
                "deepstream": step.deepstream,
                "edge_impulse": step.edge_impulse,
                "same": step.same,
            }
            for step in comparison.steps
        ],
        "reasons": [
            {
                "cause": reason.cause.value,
                "words": reason.words,
                "hint": reason.hint,
                "pictures": list(reason.pictures),
                "drifting": list(reason.drifting),
                "together": reason.together,
            }
            for reason in comparison.reasons
        ],
        "pictures": [_row(row) for row in comparison.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "width": row.width,
        "height": row.height,
        "verdict": row.verdict.value,
        "words": row.words,
        "causes": [cause.value for cause in row.causes],
        "largest_difference": _number(row.largest),
        "deepstream": _answer(row.deepstream),
        "edge_impulse": _answer(row.edge_impulse),
        "pairs": [_pair(pair) for pair in row.pairs],
    }


def _answer(answer: Answer) -> dict[str, Any]:
    return {
        "label": answer.label,
        "score": _number(answer.score),
        "scores": [
            {"class_id": one.class_id, "label": one.label, "score": _number(one.score)} for one in answer.scores
        ],
        "objects": [_seen(one) for one in answer.objects],
    }


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "what": pair.what,
        "deepstream": pair.deepstream and _seen(pair.deepstream),
        "edge_impulse": pair.edge_impulse and _seen(pair.edge_impulse),
        "overlap": _number(pair.overlap),
        "shift": _number(pair.shift),
        "score_difference": _number(pair.difference),
    }


def _seen(one: Seen) -> dict[str, Any]:
    box = {name: _number(getattr(one.box, name)) for name in ("left", "top", "width", "height")}
    return {"class_id": one.class_id, "label": one.label, "score": _number(one.score), **box}


def _number(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
