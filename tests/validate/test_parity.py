"""The arithmetic of parity, on outputs written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from convert.errors import ValidationError
from convert.findings import Level
from convert.validate.comparison import Tally, align


def array(*rows: list[float]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.array(rows, np.float32)


GOOD = array([0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5])
NAMES = ["black", "white", "noise"]


def tally(candidate: np.ndarray[Any, Any], tolerance: float = 1e-4, reference: np.ndarray[Any, Any] = GOOD) -> Tally:
    result = Tally(tolerance)
    result.add(NAMES[: len(reference)], [reference], [candidate])
    return result


def ids(result: Tally) -> list[str]:
    return [finding.id for finding in result.findings()]


def test_equal_outputs() -> None:
    result = tally(GOOD.copy())
    parity = result.parity()
    assert parity is not None
    assert (parity.max_abs_diff, parity.mean_abs_diff, parity.top1) == (0.0, 0.0, 1.0)
    assert (parity.inputs, parity.tolerance) == (3, 1e-4)
    assert result.findings() == ()


def test_the_numbers() -> None:
    off = GOOD.copy()
    off[1] += array([0.03, -0.06, 0.0])[0]
    result = tally(off)
    parity = result.parity()
    assert parity is not None
    assert parity.max_abs_diff == pytest.approx(0.06, abs=1e-7)
    assert parity.mean_abs_diff == pytest.approx(0.01, abs=1e-7)
    assert parity.top1 == 1.0
    (finding,) = result.findings()
    assert (finding.id, finding.level) == ("EI403", Level.ERROR)
    assert "0.06" in finding.message
    assert "0.01" in finding.message
    assert "'white'" in finding.message


def test_chunks_add_up() -> None:
    off = GOOD + np.float32(0.001)
    off[2, 0] += np.float32(0.01)
    whole, parts = tally(off), Tally(1e-4)
    for number, name in enumerate(NAMES):
        parts.add([name], [GOOD[number : number + 1]], [off[number : number + 1]])
    assert parts.parity() == whole.parity()
    assert parts.findings() == whole.findings()


def test_exactly_the_tolerance_is_right() -> None:
    half = array([0.5, 0.5], [0.0, 1.0])
    moved = array([0.5, 0.5], [0.125, 1.0])
    assert ids(tally(moved, 0.125, half)) == []
    assert ids(tally(moved, 0.1249, half)) == ["EI403"]


def test_another_class_first() -> None:
    swapped = GOOD.copy()
    swapped[2] = [0.2, 0.5, 0.3]
    result = tally(swapped)
    parity = result.parity()
    assert parity is not None
    assert parity.top1 == pytest.approx(2 / 3)
    assert ids(result) == ["EI403", "EI404"]
    assert "1 of 3" in result.findings()[1].message


@pytest.mark.parametrize(("margin", "top1"), [(0.9e-4, 1.0), (1.5e-4, 0.5)])
def test_a_tie_within_the_tolerance_agrees(margin: float, top1: float) -> None:
    reference = array([0.5 + margin, 0.5], [0.1, 0.9])
    candidate = array([0.5, 0.5 + margin], [0.1, 0.9])
    parity = tally(candidate, reference=reference).parity()
    assert parity is not None
    assert parity.top1 == top1


def test_a_tie_is_judged_by_the_original_alone() -> None:
    """An ONNX model whose scores are all alike agrees with nothing."""
    flat = np.full_like(GOOD, 1 / 3)
    parity = tally(flat).parity()
    assert parity is not None
    assert parity.top1 < 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", ["the original", "the ONNX model"])
def test_nan_and_infinity(value: float, side: str) -> None:
    broken = GOOD.copy()
    broken[1, 0] = value
    result = tally(GOOD, reference=broken) if side == "the original" else tally(broken)
    assert result.parity() is None
    (finding,) = result.findings()
    assert (finding.id, finding.level) == ("EI405", Level.ERROR)
    assert side in finding.message
    assert "'white'" in finding.message


def test_nan_in_one_chunk_spoils_all() -> None:
    result = tally(GOOD)
    broken = GOOD.copy()
    broken[0, 0] = np.nan
    result.add(NAMES, [GOOD], [broken])
    result.add(NAMES, [GOOD], [GOOD])
    assert result.parity() is None
    assert ids(result) == ["EI405"]


def test_nan_in_both_is_not_agreement() -> None:
    broken = GOOD.copy()
    broken[0, 0] = np.nan
    assert ids(tally(broken.copy(), reference=broken)) == ["EI405", "EI405"]


@pytest.mark.parametrize(("spread", "found"), [(0.0, True), (1.9e-4, True), (2.1e-4, False)])
def test_constant_output(spread: float, found: bool) -> None:
    same = array([0.5, 0.5], [0.5 + spread, 0.5 - spread], [0.5, 0.5])
    result = tally(same, reference=same)
    assert ids(result) == (["EI406"] if found else [])
    assert all(finding.level is Level.WARNING for finding in result.findings())


@pytest.mark.parametrize(("spread", "found"), [(2.0**-12, True), (2.0**-12 + 2.0**-20, False)])
def test_a_constant_is_within_the_tolerance_of_its_whole_range(spread: float, found: bool) -> None:
    """In numbers that float32 holds exactly."""
    same = array([0.5], [0.5 + spread])
    assert ids(tally(same, 2.0**-13, same)) == (["EI406"] if found else [])


@pytest.mark.parametrize("values", [(0.1, 0.9), (0.9, 0.1)])
def test_chunks_that_are_each_constant_are_not_so_together(values: tuple[float, float]) -> None:
    result = Tally(1e-4)
    for value in values:
        same = array([value, value], [value, value])
        result.add(NAMES[:2], [same], [same])
    assert ids(result) == []


def test_one_input_says_nothing_about_constancy() -> None:
    assert ids(tally(GOOD[:1], reference=GOOD[:1])) == []


def test_outputs_that_are_no_probabilities() -> None:
    large = GOOD * 10_000
    (finding,) = tally(large + np.float32(0.25), reference=large).findings()
    assert finding.hint is not None
    assert "they reach 8e+03" in finding.hint
    advised = float(finding.hint.split("--tolerance ")[1].split()[0])
    assert ids(tally(large + np.float32(0.25), advised, large)) == []
    # A large difference of small numbers is not excused.
    (finding,) = tally(GOOD + np.float32(0.25)).findings()
    assert "--image-scaling" in str(finding.hint)


def test_several_outputs() -> None:
    result = Tally(1e-4)
    result.add(NAMES, [GOOD, GOOD[:, :1]], [GOOD, GOOD[:, :1] + np.float32(0.5)])
    parity = result.parity()
    assert parity is not None
    assert parity.max_abs_diff == pytest.approx(0.5)
    assert parity.top1 == 1.0  # a single value has no rank
    with pytest.raises(ValidationError, match="2 outputs and the original has 1"):
        Tally(1e-4).add(NAMES, [GOOD], [GOOD, GOOD])


def test_layouts_are_aligned() -> None:
    grid = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # NHWC
    assert np.array_equal(align(grid, grid.transpose(0, 3, 1, 2)), grid)
    flat = grid.reshape(2, -1)
    assert np.array_equal(align(flat, flat[:, :, np.newaxis, np.newaxis]), flat)
    assert align(flat, flat) is flat
    for other in (grid[:, :2], flat[:, :-1], grid.transpose(0, 2, 1, 3)):
        with pytest.raises(ValidationError, match="cannot be compared"):
            align(grid, other)
