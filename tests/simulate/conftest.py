"""What the tests of the simulation share: the names of the recorded cases."""

from __future__ import annotations

from tests.conftest import SHARED
from tests.emitted import emitted

__all__ = ["emitted"]

RECORDED = SHARED / "vectors" / "outputs"


def pytest_generate_tests(metafunc: object) -> None:
    """`recorded_case`: every folder below ../shared/vectors/outputs, or one name that stands for none."""
    names = getattr(metafunc, "fixturenames", [])
    if "recorded_case" in names:
        cases = sorted(path.name for path in RECORDED.iterdir()) if RECORDED.is_dir() else ["absent"]
        metafunc.parametrize("recorded_case", cases)  # type: ignore[attr-defined]
