"""Why two answers differ: the fewest things that must be done as Edge Impulse does them for the difference to go.

All are done its way first, which gives its answer; then one after the other is done nvinfer's way again, and stays so
where the answer does not change. What is left is needed, each of it. Where one of two things would do, the order
decides, and it ends with what a user can do most about: what cannot be set in a config is tried first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.against.comparison import Cause, Verdict
from convert.against.pairing import compare

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.against.comparison import Answer
    from convert.against.mixed import Mixed
    from convert.against.pairing import Measure

__all__ = ["why"]

_ORDER = (
    Cause.MODEL, Cause.INTERPOLATION, Cause.LUMA, Cause.LIMITS, Cause.MERGE, Cause.SCORE, Cause.THRESHOLD,
    Cause.LABELS, Cause.SCALING, Cause.COLOUR, Cause.FRAMING,
)  # fmt: skip


def why(mixed: Mixed, theirs: Answer, verdict: Verdict, causes: Sequence[Cause], measure: Measure) -> tuple[Cause, ...]:
    """The causes for a picture whose answers have this verdict, in the order of the road.

    Args:
        mixed: the picture.
        theirs: Edge Impulse's answer.
        verdict: differs: it is enough that the same is shown; drifts: scores and boxes must agree, too.
        causes: what can differ for such a model.
        measure: what counts as a difference.

    Raises:
        InputError, ValidationError: a model fails.
    """
    if verdict is Verdict.SAME:
        return ()
    bad = {Verdict.DIFFERS} if verdict is Verdict.DIFFERS else {Verdict.DIFFERS, Verdict.DRIFTS}
    done = frozenset(causes)
    needed: set[Cause] = set()
    for cause in (each for each in _ORDER if each in done):
        without = done - {cause}
        if not mixed.both.splits(without):
            continue
        if compare(mixed.answer(without), theirs, measure).verdict in bad:
            needed.add(cause)
        else:
            done = without
    return tuple(cause for cause in Cause if cause in needed)
