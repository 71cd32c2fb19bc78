"""Compares batches with the same pictures one at a time: nvinfer runs batches whatever the file says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.artifacts import BatchParity
from convert.errors import ValidationError
from convert.validate import runtime
from convert.validate.findings import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding

__all__ = ["TOLERANCE", "measure"]

TOLERANCE = 1e-5
"""Times the largest output, where that is above 1. Kernels may sum in another order for another batch, which moves
float32 by a few units in the last place (1e-7 of the largest value); pictures that mix move it by far more."""


def measure(
    session: Any,
    values: NDArray[np.float32],
    alone: Sequence[NDArray[Any]],
    sizes: Sequence[int],
    decoded: Callable[[Sequence[NDArray[Any]]], int] | None = None,
) -> tuple[BatchParity | None, tuple[Finding, ...]]:
    """Run `values` in batches of `sizes`.

    Args:
        session: an `onnxruntime.InferenceSession`.
        values: float32 [k,C,H,W]; repeated from the start where a batch needs more.
        alone: every output for `values` run one at a time, [k, ...].
        sizes: how many at a time.
        decoded: gets the outputs of each batch, judges some itself, and says how many at the front these were: of
            candidates in the order of their scores the last bit of a float decides which comes first.

    Returns:
        The largest difference over the sizes that run (None when none does), and a finding for each that is wrong.
    """
    findings = []
    ran: list[int] = []
    worst = 0.0
    for size in sizes:
        chosen = np.arange(size) % len(values)
        try:
            together = runtime.run(session, values[chosen])
        except ValidationError as error:
            findings.append(BATCH.found(error.message, hint=BATCH.fix))
            continue
        if wrong := [batch.shape for batch in together if batch.shape[:1] != (size,)]:
            findings.append(
                BATCH.found(f"a batch of {size} comes out as {list(wrong[0])}: the batch is not kept", hint=BATCH.fix)
            )
            continue
        judged = decoded(together) if decoded else 0
        wanted = [single[chosen].astype(np.float64) for single in alone[judged:]]
        differences = [float(np.abs(left - right).max()) for left, right in zip(wanted, together[judged:], strict=True)]
        limits = [TOLERANCE * max(1.0, float(np.abs(left).max())) for left in wanted]
        if not np.isfinite(differences).all():
            findings.append(BATCH.found(f"a batch of {size} gives NaN or infinity", hint=BATCH.fix))
            continue
        ran.append(size)
        worst = max(worst, *differences)
        if any(difference > limit for difference, limit in zip(differences, limits, strict=True)):
            findings.append(
                BATCH.found(
                    f"in a batch of {size} outputs differ by up to {max(differences):.3g} from the same pictures one "
                    "at a time",
                    hint=BATCH.fix,
                )
            )
    return (BatchParity(tuple(ran), worst) if ran else None), tuple(findings)
