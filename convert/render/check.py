"""What a check found, for people: each finding with its line and a caret, and a summary."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Final

from convert.errors import InputError
from convert.findings import Level
from convert.nvinfer.numbers import read_ordinary
from convert.render.reference import Paint, paint_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from convert.check.run import CheckedFile, CheckReport
    from convert.findings import Finding

__all__ = ["lines", "show_report", "summary"]

_COLOURS: Final[Mapping[Level, str]] = {Level.ERROR: "1;31", Level.WARNING: "1;33", Level.NOTE: "1;36"}
_DIM, _BLUE, _GREEN, _RED, _BOLD = "2", "1;34", "32", "1;31", "1"
_WIDEST: Final = 160  # characters of a line that are shown
_MOST_BYTES: Final = 2**20  # of another file whose lines are shown
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def show_report(report: CheckReport, *, quiet: bool) -> None:
    """Findings and summary on standard output; `quiet`: findings only, and only errors."""
    out = sys.stdout
    paint = paint_for(out)
    found = report.findings
    kept = [each for each in found if each.level is Level.ERROR] if quiet else found
    for text in lines(kept, report.files, paint):
        out.write(text + "\n")
    if not quiet:
        out.write(summary(report, paint) + "\n")


def lines(found: Iterable[Finding], files: Sequence[CheckedFile], paint: Paint) -> Iterator[str]:
    """The findings, each as a block of lines with an empty one behind it."""
    sources = _Sources(files)
    for finding in found:
        colour = _COLOURS[finding.level]
        yield f"{paint(f'{finding.level.value}[{finding.id}]', colour)}: {paint(printable(finding.message), _BOLD)}"
        place = ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part is not None)
        source = sources.line(finding)
        margin = " " * len(str(finding.line or ""))
        if place:
            yield f"{margin} {paint('-->', _BLUE)} {printable(place)}"
        if source is not None:
            text, start, length = _excerpt(source, finding.column)
            yield f"{margin} {paint('|', _BLUE)}"
            yield f"{paint(f'{finding.line} |', _BLUE)} {text}".rstrip()
            if length:
                yield f"{margin} {paint('|', _BLUE)} {' ' * start}{paint('^' * length, colour)}"
        if finding.hint:
            yield f"{margin} {paint('=', _BLUE)} {paint('hint:', _DIM)} {printable(finding.hint)}"
        yield ""


def summary(report: CheckReport, paint: Paint) -> str:
    """How many files and findings."""
    count = len(report.files)
    files = f"{count} file{'s' if count != 1 else ''}"
    where = report.where.target
    target = f"{where.name}, {where.platform}, TensorRT {report.where.tensorrt}"
    levels = [each.level for each in report.findings]
    parts = [
        paint(f"{number} {level.value}{'s' if number != 1 else ''}", _COLOURS[level])
        for level in (Level.ERROR, Level.WARNING, Level.NOTE)
        if (number := levels.count(level))
    ]
    if report.waived:
        parts.append(f"{report.waived} waived")
    failed = sum(1 for file in report.files if file.error)
    if failed:
        parts.append(paint(f"{failed} could not be checked", _RED))
    found = ", ".join(parts) or paint("nothing found", _GREEN)
    return f"{files} checked for {target}: {found}"


def printable(text: str) -> str:
    """`text` without characters that move the cursor, hide, or are no characters at all."""
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\t", " ").replace("\n", " "))


class _Sources:
    """Lines of the files that findings are about: those that were checked, and others (labels), read once."""

    def __init__(self, files: Sequence[CheckedFile]) -> None:
        self._files = {file.path: file for file in files}
        self._lines: dict[str, list[bytes]] = {}

    def line(self, finding: Finding) -> str | None:
        """The line a finding is about; None: the whole file, or it cannot be read any more."""
        if finding.path is None or finding.line is None:
            return None
        if finding.path not in self._lines:
            self._lines[finding.path] = self._read(finding.path)
        found = self._lines[finding.path]
        return found[finding.line - 1].decode("utf-8", "replace") if finding.line <= len(found) else None

    def _read(self, path: str) -> list[bytes]:
        if path in self._files:
            return self._files[path].data.split(b"\n")
        try:
            return read_ordinary(os.path.abspath(path), "file", _MOST_BYTES).split(b"\n")  # noqa: PTH100 - text
        except InputError:
            return []


def _excerpt(source: str, column: int | None) -> tuple[str, int, int]:
    """What is shown of a line, and where and how long the caret is; no caret without a column."""
    source = source.rstrip("\r\n")
    if column is None or column > len(source) + 1:
        return printable(source[:_WIDEST]), 0, 0
    start = column - 1
    end = _end(source, start)
    first = 0
    if start > _WIDEST - 40:  # far to the right: begin shortly before it
        first = start - 20
    text = printable(source[first : first + _WIDEST])
    before, marked = text[: start - first], text[start - first : max(end - first, start - first)]
    return text, _width(before), max(1, _width(marked))


def _end(source: str, start: int) -> int:
    """Where the marked part ends: a group's bracket, a key's last letter, or the end of the value."""
    if source[start : start + 1] == "[" and (end := source.find("]", start)) >= 0:
        return end + 1
    separator = re.compile(r"[=:]").search(source, start)
    before = re.compile(r"[=:]").search(source, 0)
    if separator and before and before.start() >= start:
        return max(start + 1, len(source[: separator.start()].rstrip()))
    # A blank at the end may be what it is about.
    return len(source)


def _width(text: str) -> int:
    """Columns a text takes on a terminal: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    import unicodedata  # 1 MB, and only for text that is not ASCII

    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(bool(unicodedata.combining(each)) for each in text)
