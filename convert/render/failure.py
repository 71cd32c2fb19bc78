"""How an error that ends a command is shown: one sentence, where, and what to do."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from convert.render.json import dumps, failure_document

if TYPE_CHECKING:
    from convert.errors import ConvertError

__all__ = ["error_lines", "show_error"]


def error_lines(error: ConvertError) -> list[str]:
    """`error: PATH:LINE: message` and the hint."""
    place = "".join(f"{part}:" for part in (error.path, error.line) if part is not None)
    lines = [f"error: {place} {error.message}" if place else f"error: {error.message}"]
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    return lines


def show_error(error: ConvertError, format_: str) -> None:
    """Text on standard error; in JSON the document on standard output as well."""
    if format_ == "json":
        sys.stdout.write(dumps(failure_document(error, 3)).decode())
    print("\n".join(error_lines(error)), file=sys.stderr)  # noqa: T201 - the one place errors are printed
