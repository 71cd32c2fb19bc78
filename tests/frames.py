"""Generated frames that a kept child of `tests.children` makes once.

Each conversion compares its bundle on the same generated frames, which take a quarter of its time to make. Children
that are kept import this module first; the tests of `validate` make each frame anew.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from convert.validate import inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 1 << 26  # bytes of frames that are kept: 40 of 960x540 in colours
_SIZES = 4
_made = inputs.with_objects
_lock = Lock()


@lru_cache(maxsize=_SIZES)
def _kept(height: int, width: int, channels: int) -> tuple[list[inputs.Picture], Iterator[inputs.Picture]]:
    """The first frames of a size, and what makes the next ones, which do not depend on how many there will be."""
    return [], _made(_MOST, height, width, channels)


def frames(count: int, height: int, width: int, channels: int) -> Iterator[inputs.Picture]:
    if count * height * width * channels > _MOST:
        yield from _made(count, height, width, channels)
        return
    known, more = _kept(height, width, channels)
    for number in range(count):
        with _lock:
            if number == len(known):
                known.append(next(more))
                known[-1].setflags(write=False)
        yield known[number]


inputs.with_objects = frames
