"""The arithmetic of parity, on outputs written by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convert.errors import ValidationError
from convert.findings import Level
from convert.graph.resize import cut_out
from convert.images import Frame, ResizeMode
from convert.images.resizing import Resizing
from convert.validate.comparison import Tally, align, seen


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
    with pytest.raises(ValidationError, match=r"^the ONNX model has 2 outputs and the original has 1") as caught:
        Tally(1e-4).add(NAMES, [GOOD], [GOOD, GOOD])
    assert caught.value.hint == "give validate the .tflite that this ONNX model was made from"


def test_layouts_are_aligned() -> None:
    grid = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)  # NHWC
    assert np.array_equal(align(grid, grid.transpose(0, 3, 1, 2)), grid)
    flat = grid.reshape(2, -1)
    assert np.array_equal(align(flat, flat[:, :, np.newaxis, np.newaxis]), flat)
    assert align(flat, flat) is flat
    for other in (grid[:, :2], flat[:, :-1], grid.transpose(0, 2, 1, 3)):
        with pytest.raises(ValidationError, match=r"^the ONNX model's output \[.*\] cannot be compared") as caught:
            align(grid, other)
        assert caught.value.hint == "give validate the .tflite that this ONNX model was made from"


BY = "outputs differ by up to {} (mean {}) from the original's over {} inputs, most on '{}'; the tolerance is 0.25"
USUAL = "check --image-scaling; otherwise report the model"
LARGER = "the outputs are no probabilities, they reach {}: --tolerance {} asks for the same precision"
CONSTANT = "output 0 of the original moves by {} over 2 inputs, which a tolerance of 0.25 cannot tell from a constant"


@pytest.mark.parametrize(
    ("reference", "candidate", "expected"),
    [  # all numbers are exact
        ([[0, 1], [1, 0]], [[0.25, 1], [1, 0]], []),
        ([[0, 1], [1, 0]], [[0.3125, 1], [1, 0.3125]], [f"{BY.format('0.312', '0.156', 2, 'black')} | {USUAL}"]),
        ([[0, 1], [1, 0]], [[0.3125, 1], [1, 0.375]], [f"{BY.format('0.375', '0.172', 2, 'white')} | {USUAL}"]),
        ([[0, 4], [4, 0]], [[1, 4], [4, 0]], [f"{BY.format('1', '0.25', 2, 'black')} | {LARGER.format('4', '1.1')}"]),
        ([[0, -4], [4, 0]], [[1.125, -4], [4, 0]], [f"{BY.format('1.12', '0.281', 2, 'black')} | {USUAL}"]),
        # as good as first: the class that is ranked first has a quarter less in the original
        ([[0.75, 0.5], [0, 1]], [[0.625, 0.6875], [0, 1]], []),
        ([[0.75, 0.4375], [0, 1]], [[0.5625, 0.625], [0, 1]], ["top-1 differs in 1 of 2 answers | None"]),
        ([[0.5], [0]], [[0.5], [0]], [f"{CONSTANT.format('0.5')} | None"]),
        ([[0.5, 0], [0.5, 0.5]], [[0.5, 0], [0.5, 0.5]], [f"{CONSTANT.format('0.5')} | None"]),
        ([[0.5625], [0]], [[0.5625], [0]], []),
        ([[0.5]], [[0.5]], []),
    ],
)  # fmt: skip
def test_both_sides_of_a_tolerance(reference: list[Any], candidate: list[Any], expected: list[str]) -> None:
    result = tally(array(*candidate), 0.25, array(*reference))
    found = [f"{each.message} | {each.hint if each.id == 'EI403' else None}" for each in result.findings()]
    assert found == expected


@pytest.mark.parametrize(("middle", "expected"), [(0.25, []), (0.2, ["25.0%"])])
def test_rounded_alike_the_middle_input_counts(middle: float, expected: list[str]) -> None:
    """As a share of the largest value."""
    large = Tally(0.125, exact=False, middle=middle)
    large.add(NAMES, [array([4, 0], [4, 0], [4, 0])], [array([4, 0], [3, 0], [0, 0])])
    assert [each.id for each in large.findings() if "on half" in each.message] == ["EI403"] * len(expected)
    result = Tally(0.125, exact=False, middle=middle)
    candidate = array([1, 0], [0.75, 0], [0, 0])
    result.add(NAMES, [array([1, 0], [1, 0], [1, 0])], [candidate])
    assert [each.id for each in result.findings() if "on half" in each.message] == ["EI403"] * len(expected)
    assert all(share in each.message for share in expected for each in result.findings()[:1])
    parity = result.parity()
    assert parity is not None
    assert (parity.max_abs_diff, parity.mean_abs_diff, parity.top1, parity.exact) == (1, 1.25 / 6, 1, False)


@pytest.mark.parametrize("shape", [(1, 6, 4, 1), (1, 1, 4, 3)])
def test_the_original_gets_what_the_graph_makes_of_a_frame(shape: tuple[int, ...]) -> None:
    """Of grey models its luma."""
    framing = Resizing(Frame(8, 8, in_pixels=True), (shape[2], shape[1]), ResizeMode.SQUASH)
    facts = SimpleNamespace(input=SimpleNamespace(shape=shape))
    adapted: Any = SimpleNamespace(preprocessing=SimpleNamespace(framing=framing), export=SimpleNamespace(facts=facts))
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    found = seen(frames, adapted)
    assert found.shape == (2, *shape[1:])
    np.testing.assert_array_equal(found, [cut_out(each, framing, grey=shape[3] == 1) for each in frames])
    adapted.preprocessing.framing = None
    assert seen(frames, adapted) is frames


def test_outputs_without_classes_have_no_first_one() -> None:
    result = Tally(0.25, ranked=(False, True))
    result.add(NAMES[:1], [array([1, 0]), array([0, 1])], [array([0.875, 1]), array([0, 1])])
    parity = result.parity()
    assert parity is not None
    assert (parity.top1, parity.max_abs_diff, parity.mean_abs_diff) == (1, 1, 1.125 / 4)


@pytest.mark.parametrize(
    ("value", "where", "expected"),
    [
        (np.nan, "white", ["the original gives NaN or infinity, first on input 'white'"]),
        (np.inf, "black", ["the original gives NaN or infinity, first on input 'black'"]),
    ],
)
def test_the_first_input_that_is_no_number_is_named(value: float, where: str, expected: list[str]) -> None:
    reference = GOOD.copy()
    reference[NAMES.index(where) :, 0] = value
    result = tally(GOOD, reference=reference)
    assert [each.message for each in result.findings()] == expected
    assert result.parity() is None
