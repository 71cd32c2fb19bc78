"""The order of libstdc++'s stable_sort; `cases/stable_sort.json` was recorded with GCC 12."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from convert.simulate.decode import by_confidence

CASES = json.loads((Path(__file__).parent / "cases" / "stable_sort.json").read_text())


@pytest.mark.parametrize(("values", "order"), CASES, ids=lambda one: str(len(one)))
def test_nan_lands_where_gcc_puts_it(values: list[float | str], order: list[int]) -> None:
    assert by_confidence(np.array(list(map(float, values)), np.float32)).tolist() == order


def test_without_nan_equal_ones_stay_in_order() -> None:
    values = np.array([0.5, 0.9, 0.5, -0.0, 0.0, np.inf, 0.9, -np.inf], np.float32)
    assert by_confidence(values).tolist() == [5, 1, 6, 0, 2, 3, 4, 7]


def test_nothing_is_in_order() -> None:
    assert by_confidence(np.zeros(0, np.float32)).tolist() == []
