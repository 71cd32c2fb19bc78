"""Bundles without their proof, for tests of what is done with a bundle: measuring is most of a conversion's time.

Import the fixture in a room's conftest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import pytest

from convert import pipeline
from convert.types import Adapted, Evidence, StageResult, Validated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["compare_nothing", "emitted", "measure_nothing", "prove_nothing"]


@dataclass(frozen=True)
class _Unproven:
    """The stage `validate`, which measures nothing."""

    name: ClassVar[str] = "validate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - every stage takes one
        assert isinstance(artifact, Adapted)
        return StageResult(Validated(artifact, Evidence()))


def measure_nothing(patch: pytest.MonkeyPatch) -> None:
    """Conversions in this process do not validate: they only compare what the bundle shows with the original."""
    patch.setattr(pipeline, "proving", lambda *_: _Unproven())
    patch.setattr(pipeline, "InWorker", lambda here, *_: here)


def compare_nothing(patch: pytest.MonkeyPatch) -> None:
    """Conversions in this process do not compare what the bundle shows with the original."""
    patch.setattr(pipeline, "WithComparison", lambda proof, *_, **__: proof)


def prove_nothing(patch: pytest.MonkeyPatch) -> None:
    """Conversions in this process neither validate nor compare; an int8 model is rounded as it is shipped, which is
    measured (`tests.children` keeps the results)."""
    measure_nothing(patch)
    compare_nothing(patch)


@pytest.fixture(scope="session")
def emitted(convert: Callable[..., Path]) -> Callable[..., Path]:
    """As `convert`; the bundle's report and RUN.md hold no evidence but the agreement of an int8 model."""

    def bundle(*arguments: Path | str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            prove_nothing(patch)
            return convert(*arguments, "--quiet")  # said once more, it names another bundle than the proven one

    return bundle
