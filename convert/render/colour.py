"""Colour where it is wanted: on terminals, unless NO_COLOR says no; anywhere, if FORCE_COLOR says yes.

(no-color.org and force-color.org; a dumb terminal has none.) Plain codes, so that `check` starts without rich.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

__all__ = ["Paint", "paint_for"]

Paint: TypeAlias = "Callable[[str, str], str]"
"""Text and an SGR code ("1;31") -> the text in that colour, or as it is."""


def paint_for(stream: IO[str]) -> Paint:
    """How to colour text that goes to `stream`."""
    if os.environ.get("NO_COLOR"):
        return _plain
    if os.environ.get("FORCE_COLOR") or (stream.isatty() and os.environ.get("TERM") != "dumb"):
        return _coloured
    return _plain


def _plain(text: str, code: str) -> str:  # noqa: ARG001 - the signature of Paint
    return text


def _coloured(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
