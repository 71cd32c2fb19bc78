"""A place in the text of a YAML file, and the error that ends reading it."""

from __future__ import annotations

import re
from typing import Final

from convert.nvinfer.parse_files import TooMany

__all__ = ["MOST_STEPS", "Cursor", "YamlError"]

MOST_STEPS: Final = 1_000_000
"""Tokens, lines of texts and escapes in them: a file with more of these is no config, and would take too long."""

_BREAK: Final = re.compile(rb"\n|\r\n")
# Whole lines that say nothing, in one go: a huge file of comments is not a million steps.
_NOTHING: Final = re.compile(rb"(?:[ \t]*+(?:#(?:[^\r\n]|\r(?!\n))*+)?(?:\n|\r\n))++")


class YamlError(Exception):
    """yaml-cpp throws here. `position`: a byte of the decoded text. `line` and `column`, from 1, are set by `load`."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.line = self.column = 0


class Cursor:
    """A place in the decoded text; lines and columns count from 0, columns in bytes."""

    def __init__(self, text: bytes) -> None:
        self.size = len(text)
        self.text = text + b"\x04"
        self.position = 0
        self.line = 0
        self.line_start = 0
        self.steps = 0

    def step(self) -> None:
        """Count one more thing found.

        Raises:
            TooMany: that makes more than `MOST_STEPS`.
        """
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise TooMany

    @property
    def at_end(self) -> bool:
        """Whether all is read."""
        return self.position >= self.size

    @property
    def column(self) -> int:
        """Bytes since the line break."""
        return self.position - self.line_start

    def peek(self) -> bytes:
        """The byte here; 0x04 at the end."""
        return self.text[self.position : self.position + 1]

    def skip(self, pattern: re.Pattern[bytes]) -> bytes:
        """Move over what matches here, which must not hold a line break."""
        match = pattern.match(self.text, self.position, self.size)
        if match is None:
            return b""
        self.position = match.end()
        return match[0]

    def line_break(self) -> bool:
        """Move over a line break; False when there is none here."""
        match = _BREAK.match(self.text, self.position)
        if match is None:
            return False
        self.position = self.line_start = match.end()
        self.line += 1
        return True

    def empty_lines(self) -> None:
        """Move over whole lines of blanks and comments, at the start of a line."""
        match = _NOTHING.match(self.text, self.position)
        if match is not None:
            self.line += self.text.count(b"\n", self.position, match.end())
            self.position = self.line_start = match.end()
