"""The order `std::stable_sort` gives: by confidence, highest first, equal ones as they came.

With NaN among the numbers "greater than" is no order, and the result depends on the algorithm. nvinfer is built with
GCC, so it is libstdc++'s: insertion sort in chunks of seven, merges of doubling length in each half, then one merge of
the halves, backwards where the first half is longer (bits/stl_algo.h, GCC 12).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["by_confidence"]

_CHUNK = 7  # _S_chunk_size


def by_confidence(confidence: NDArray[np.float32]) -> NDArray[np.intp]:
    """Positions in the order of falling confidence."""
    if not np.isnan(confidence).any():
        order: NDArray[np.intp] = np.argsort(-confidence, kind="stable")
        return order
    half = (len(confidence) + 1) // 2
    values = confidence.tolist()
    first = _sorted(list(range(half)), values)
    second = _sorted(list(range(half, len(values))), values)
    merged = _merged(first, second, values) if len(first) <= len(second) else _merged_backwards(first, second, values)
    return np.array(merged, np.intp)


def _sorted(items: list[int], values: list[float]) -> list[int]:
    """__merge_sort_with_buffer."""
    for start in range(0, len(items), _CHUNK):
        items[start : start + _CHUNK] = _inserted(items[start : start + _CHUNK], values)
    step = _CHUNK
    while step < len(items):
        items = [
            item
            for start in range(0, len(items), 2 * step)
            for item in _merged(items[start : start + step], items[start + step : start + 2 * step], values)
        ]
        step *= 2
    return items


def _inserted(items: list[int], values: list[float]) -> list[int]:
    """__insertion_sort: a new best goes straight to the front, anything else moves up from the end."""
    done: list[int] = []
    for item in items:
        if done and values[item] > values[done[0]]:
            done.insert(0, item)
            continue
        place = len(done)
        while place and values[item] > values[done[place - 1]]:
            place -= 1
        done.insert(place, item)
    return done


def _merged(first: list[int], second: list[int], values: list[float]) -> list[int]:
    """__move_merge."""
    out, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        if values[second[j]] > values[first[i]]:
            out.append(second[j])
            j += 1
        else:
            out.append(first[i])
            i += 1
    return out + first[i:] + second[j:]


def _merged_backwards(first: list[int], second: list[int], values: list[float]) -> list[int]:
    """__move_merge_adaptive_backward."""
    out, i, j = [], len(first), len(second)
    while i and j:
        if values[second[j - 1]] > values[first[i - 1]]:
            i -= 1
            out.append(first[i])
        else:
            j -= 1
            out.append(second[j])
    return first[:i] + second[:j] + out[::-1]
