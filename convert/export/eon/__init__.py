"""Rebuilds the flatbuffer of a model that Edge Impulse's EON compiler turned into C++."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convert.export.eon.compiled import MAX_SIZE, Rebuilt, rebuild

__all__ = ["MAX_SIZE", "Rebuilt", "rebuild"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are asked for: they bring numpy and the schema classes."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from convert.export.eon import compiled  # noqa: PLC0415

    return getattr(compiled, name)
