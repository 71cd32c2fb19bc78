"""Starts the child for all that may crash; asked for first, its imports run while the parent does its own."""

from __future__ import annotations

from convert.graph import PRELOAD
from convert.isolation import Worker

__all__ = ["warm_worker"]


def warm_worker(*preload: str) -> Worker:
    """A child importing what translation needs (or `preload`), to be used as a context manager."""
    return Worker(preload or PRELOAD)
