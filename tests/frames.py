"""Generated frames that a kept child of `tests.children` makes once.

Each conversion compares its bundle on the same generated frames, which take a quarter of its time to make. Children
that are kept import this module first; the tests of `validate` make each frame anew.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from convert.validate import inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 1 << 26  # bytes of frames that are kept: 40 of 960x540 in colours
_made = inputs.with_objects


@lru_cache(maxsize=1)
def _kept(*size: int) -> tuple[inputs.Picture, ...]:
    frames = tuple(_made(*size))
    for frame in frames:
        frame.setflags(write=False)
    return frames


def _frames(count: int, height: int, width: int, channels: int) -> Iterator[inputs.Picture]:
    size = count, height, width, channels
    return iter(_kept(*size)) if count * height * width * channels <= _MOST else _made(*size)


inputs.with_objects = _frames
