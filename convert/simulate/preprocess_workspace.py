"""Memory for scaling pictures that is used again for the next one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WORKSPACE"]

_KEPT = 16  # arrays in a workspace


class _Workspace(threading.local):
    """Memory that is used again: getting it from the system for every picture costs more than the arithmetic."""

    def __init__(self) -> None:
        self._arrays: dict[tuple[str, int, int, type[np.generic]], NDArray[Any]] = {}

    def array(self, name: str, height: int, width: int, dtype: type[np.generic]) -> NDArray[Any]:
        """Anything may stand in it."""
        found = self._arrays.get((name, height, width, dtype))
        if found is None:
            if len(self._arrays) >= _KEPT:
                self._arrays.clear()
            found = self._arrays[name, height, width, dtype] = np.empty((height, width), dtype)
        return found


WORKSPACE = _Workspace()
"""One for each thread."""
