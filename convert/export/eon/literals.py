"""Reads the inside of a C initialiser of numbers into a numpy array.

Big tensors are nearly the whole size of such a file, so numpy reads them, in pieces that keep memory small; what
numpy's reader does not know (hexadecimal, octal, suffixes, `true`) is read one by one, piece by piece.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.export import expressions

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["array", "number"]

_PIECE = 1 << 20  # bytes of text read at once
_WORDS = {b"true": 1, b"false": 0}


def array(body: bytes, dtype: np.dtype[Any], most: int) -> NDArray[Any]:
    """The numbers in `body`, which stood between two braces and holds no comments, as a flat array of `dtype`.

    Args:
        body: numbers separated by commas; one comma may follow the last.
        dtype: bool, an integer or a floating type.
        most: the number of elements beyond which reading stops.

    Raises:
        ValueError: an element is no number or does not fit `dtype`, or there are more than `most`.
    """
    pieces: list[NDArray[Any]] = []
    count, start = 0, 0
    body = body.rstrip()
    end = len(body) - (body.endswith(b",") and body.strip() != b",")
    while start < end:
        cut = body.find(b",", start + _PIECE, end)
        cut = end if cut < 0 else cut
        pieces.append(_piece(body[start:cut], dtype))
        count += len(pieces[-1])
        if count > most:
            raise ValueError(f"there are more than its {most} elements")
        start = cut + 1
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)


def number(token: bytes) -> int | float:
    """A C number with an optional sign, or `true` or `false`.

    Raises:
        ValueError: it is none.
    """
    if token in _WORDS:
        return _WORDS[token]
    digits = token.lstrip(b"+-").strip()
    integer = expressions.number(digits)
    if integer is not None and len(token) - len(token.lstrip(b"+-")) <= 1:
        return -integer if token.startswith(b"-") else integer
    real = expressions.real(token)
    if real is None:
        shown = token[:40].decode("utf-8", "replace")
        raise ValueError(f"{shown!r} is not a number" if shown else "a number is missing")
    return real


def _piece(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    text = text.strip()
    # numpy counts a 0 where it expects a number and finds a comma, and does not mind a comma at the end.
    blank = not text or text.startswith(b",") or text.endswith(b",")
    values = None if blank or _has_octal(text, dtype) else _fast(text, dtype)
    return _fit(_slow(text, dtype) if values is None else values, dtype)


def _fast(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """What numpy makes of `text`; None when it stops before the end or a number may have been cut to 64 bits."""
    wide = np.dtype(np.float64 if dtype.kind == "f" else np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # what numpy 1.26 gives where numpy 2.3 raises
        try:
            values = np.fromstring(text, wide, sep=",")
        except (ValueError, DeprecationWarning):
            return None
    limits = np.iinfo(np.int64)
    may_be_cut = wide.kind == "i" and (values.max() == limits.max or values.min() == limits.min)
    return None if may_be_cut else values


def _has_octal(text: bytes, dtype: np.dtype[Any]) -> bool:
    """Whether an integer starts with a 0 and goes on: octal in C, decimal to numpy."""
    if dtype.kind == "f" or len(text) < 2:
        return False
    data = np.frombuffer(text, np.uint8)
    digit = (data >= ord("0")) & (data <= ord("9"))
    starts = data[:-1] == ord("0")
    starts[1:] &= ~digit[:-2]
    return bool((starts & digit[1:]).any())


def _slow(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = [number(token.strip()) for token in text.split(b",")]
    if dtype.kind == "f":
        return np.array(values, np.float64)
    if any(isinstance(value, float) for value in values):
        raise ValueError("a fraction stands among integers")
    limits = np.iinfo(np.uint64 if dtype == np.uint64 else np.int64)
    if not all(limits.min <= value <= limits.max for value in values):
        raise ValueError(f"a number does not fit {dtype.name}")
    return np.array(values, limits.dtype)


def _fit(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            fitted = values.astype(dtype)
        if not np.isfinite(fitted).all():
            raise ValueError(f"a number is not finite or does not fit {dtype.name}")
        return fitted
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        raise ValueError(f"a number does not fit {dtype.name}")
    return values.astype(dtype)
