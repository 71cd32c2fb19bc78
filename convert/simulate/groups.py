"""Pictures on their way to the primary engine: read, put into groups and prepared, one group ahead of the engine.

That runs in a second thread: NumPy and Pillow let go of the interpreter while they work, and so does ONNX Runtime,
which uses one thread itself.
"""

from __future__ import annotations

import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.images.read import Picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from convert.images.placement import Placement
    from convert.images.read import Unreadable
    from convert.simulate.engine import Loaded

__all__ = ["GROUP", "GROUP_BYTES", "PARTS", "Ahead", "Group", "Inputs", "room", "timed"]

GROUP = 32
"""Pictures in a group, or as many as the primary engine's batch has."""

GROUP_BYTES = 2**27
"""Of decoded pictures in a group; two groups are held at a time."""

_INPUT_BYTES = 2**26  # of a group's inputs; detection heads give several times as much

PARTS = ("decode pictures", "preprocess", "infer", "decode")
"""What time is measured of."""


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the wall time of the block to `seconds[part]`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[part] += time.perf_counter() - start


def room(loaded: Loaded) -> int:
    """Inputs that are made at a time, where the engine's batch is not larger."""
    return max(_INPUT_BYTES // (4 * math.prod(loaded.prepare.shape)), 1)


class Inputs:
    """Memory for inputs, used again: getting it from the system costs as much as scaling a picture."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, ...], NDArray[np.float32]] = {}

    def __call__(self, count: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """[count, *shape], with anything in it; the next call for this shape gives the same memory."""
        found = self._kept.get(shape)
        if found is None or len(found) < count:
            found = self._kept[shape] = np.empty((count, *shape), np.float32)
        return found[:count]


@dataclass(frozen=True, slots=True)
class Group:
    """What the primary engine looks at next.

    Attributes:
        values: its inputs, float32 [n,...]; they hold until the group behind the next one is asked for.
        pictures: n pictures, and where each lies in its input.
        left_out: why others are not among them, and their sources.
    """

    values: NDArray[np.float32]
    pictures: list[tuple[Picture, Placement]]
    left_out: list[tuple[InputError, str]]


@dataclass(slots=True)
class Ahead:
    """Call it with pictures to get their groups, in order.

    Attributes:
        engine: the primary one.
        seconds: wall time of PARTS is added to it.
    """

    engine: Loaded
    seconds: dict[str, float]
    _inputs: tuple[Inputs, Inputs] = field(default_factory=lambda: (Inputs(), Inputs()))

    def __call__(self, pictures: Iterable[Picture | Unreadable]) -> Iterator[Group]:
        """Each group is made while its user is busy with the one before it."""
        groups = self._groups(pictures)
        with ThreadPoolExecutor(max_workers=1) as thread:
            turn = 0
            following = thread.submit(self._prepared, groups, self._inputs[turn])
            while (group := following.result()) is not None:
                turn = 1 - turn
                following = thread.submit(self._prepared, groups, self._inputs[turn])
                yield group

    def _prepared(self, groups: Iterator[list[Picture | Unreadable]], inputs: Inputs) -> Group | None:
        """The next group; None behind the last."""
        some = next(groups, None)
        if some is None:
            return None
        prepare = self.engine.prepare
        pictures: list[tuple[Picture, Placement]] = []
        left_out: list[tuple[InputError, str]] = []
        with timed(self.seconds, "preprocess"):
            values = inputs(len(some), prepare.shape)
            for picture in some:
                if not isinstance(picture, Picture):
                    left_out.append((picture.error, str(picture.source)))
                    continue
                try:
                    _, placement = prepare(picture.pixels, out=values[len(pictures)])
                except InputError as error:  # too small or too narrow
                    left_out.append((error, str(picture.source)))
                else:
                    pictures.append((picture, placement))
        return Group(values[: len(pictures)], pictures, left_out)

    def _groups(self, pictures: Iterable[Picture | Unreadable]) -> Iterator[list[Picture | Unreadable]]:
        most = max(self.engine.batch, min(GROUP, room(self.engine)))
        group: list[Picture | Unreadable] = []
        held = 0
        source = iter(pictures)
        while True:
            with timed(self.seconds, "decode pictures"):
                picture = next(source, None)
            if picture is None:
                break
            size = picture.pixels.nbytes if isinstance(picture, Picture) else 0
            if group and (len(group) == most or held + size > GROUP_BYTES):
                yield group
                group, held = [], 0
            group.append(picture)
            held += size
        if group:
            yield group
