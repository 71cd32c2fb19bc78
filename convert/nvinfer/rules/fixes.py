"""What can be put right without asking: how a line is written, never what it says.

Comments go to lines of their own, blanks and quotation marks go, old names become new ones, numbers are written as
nvinfer reads them; label files get the shape their network wants. A misspelt key is not touched: it may be any key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from convert.nvinfer.rules.case import Case, key_of
from convert.nvinfer.rules.values import replacement, value_and_comment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from convert.findings import Finding
    from convert.nvinfer.parse_result import Entry, Problem

__all__ = ["FIXABLE", "fixed_config", "fixed_labels"]

_BOM: Final = b"\xef\xbb\xbf"
_SEMICOLON = re.compile(rb"^([ \t]*)(?:;+|//+)[ \t]?")

_Lines: TypeAlias = list[bytes] | None
"""What takes the place of a line; None: it stays."""


def fixed_config(case: Case, findings: Iterable[Finding]) -> bytes:
    """The config with what `findings` are about put right, as far as that is mechanical; they are those of `case`."""
    lines = case.data.split(b"\n")
    entries = _by_place(case)
    problems = {fault.problem.line: fault.problem for fault in case.faults}
    for finding in findings:
        if finding.path != case.parsed.path or not finding.line or finding.line > len(lines):
            continue
        line = lines[finding.line - 1]
        ending = b"\r" if line.endswith(b"\r") else b""
        new = _line(case, finding, line.removesuffix(b"\r"), entries, problems.get(finding.line))
        # A line is changed once: what else is wrong with it is found again.
        if new is not None and b"\n" not in line:
            lines[finding.line - 1] = b"\n".join(each + ending for each in new) if new else b"\n"
    # A line that goes was marked by a lone line feed, which no other line holds.
    kept = [line for line in lines if line != b"\n"]
    # The line before the last one keeps its line feed: without it a carriage return would belong to its text.
    return b"\n".join(kept) + (b"\n" if kept and lines[-1] == b"\n" else b"")


def _line(
    case: Case,
    finding: Finding,
    line: bytes,
    entries: Mapping[tuple[int | None, int | None], Entry],
    problem: Problem | None,
) -> _Lines:
    if finding.id == "NVI001":
        return _file_line(line)
    entry = entries.get((finding.line, finding.column))
    if entry is None or entry.line != finding.line:
        return None
    if finding.id in {"NVI002", "NVI003"} and problem is not None:
        new = replacement(entry, problem)
        return None if new is None else _with_value(line, entry, new)
    fixer = _FIXERS.get(finding.id)
    return None if fixer is None or case.parsed.form != "ini" else fixer(case, line, entry)


def _file_line(line: bytes) -> _Lines:
    """A byte order mark, or a comment of another language."""
    if line.startswith(_BOM):
        return [line.removeprefix(_BOM)]
    match = _SEMICOLON.match(line)
    return None if match is None else [match[1] + b"# " + line[match.end() :]]


def _comment(case: Case, line: bytes, entry: Entry) -> _Lines:
    del case
    key = key_of(entry)
    value, words = value_and_comment(entry.text, "" if key is None else key.type)
    indent = line[: len(line) - len(line.lstrip(b" \t"))]
    kept = _with_value(line, entry, value)
    return None if kept is None or not words else [indent + words.encode(), *kept]


def _blank(case: Case, line: bytes, entry: Entry) -> _Lines:
    del case, entry
    return [line.rstrip(b" \t")]


def _quotes(case: Case, line: bytes, entry: Entry) -> _Lines:
    del case
    return _with_value(line, entry, entry.text.strip(" \t")[1:-1])


def _legacy(case: Case, line: bytes, entry: Entry) -> _Lines:
    key = key_of(entry)
    if key is None or key.replaced_by is None:
        return None
    if (entry.group, key.replaced_by) in case.last or case.last.get((entry.group, entry.key)) is not entry:
        return []  # another line counts instead of this one
    text: str | None = entry.text
    if key.type == "boolean":  # is-classifier=0 is a detector; enable-dbscan=0 changes nothing
        if entry.text.strip() not in {"1", "true"} and entry.key == "enable-dbscan":
            return []
        text = "1" if entry.text.strip() in {"1", "true"} else "0"
    elif key.alias == "infer-dims":
        text = _dims(entry.text)
    indent = line[: len(line) - len(line.lstrip(b" \t"))]
    return None if text is None else [indent + f"{key.replaced_by}={text}".encode()]


def _dims(text: str) -> str | None:
    """channels;height;width of the old notation, which had the layout behind; another layout than NCHW says more."""
    numbers = text.strip().rstrip(";").split(";")
    return ";".join(numbers[:3]) if len(numbers) == 4 and numbers[3].strip() == "0" else None


def _with_value(line: bytes, entry: Entry, new: str) -> _Lines:
    """The line with another value; None where the value does not stand there as it was read."""
    old = entry.text.encode()
    if not old or b"\n" in new.encode() or not line.endswith(old):
        return None
    return [line[: len(line) - len(old)] + new.encode()]


_FIXERS: Final[dict[str, Callable[[Case, bytes, Entry], _Lines]]] = {
    "NVI004": _comment,
    "NVI005": _blank,
    "NVI006": _quotes,
    "NVI012": _legacy,
}


def fixed_labels(data: bytes, ids: set[str]) -> bytes:
    """A label file with what the findings `ids` are about put right."""
    text = data
    if "NVI065" in ids:
        text = text.removeprefix(_BOM)
    if "NVI064" in ids:
        text = text.replace(b"\r\n", b"\n").rstrip(b"\r") if text.endswith(b"\r") else text.replace(b"\r\n", b"\n")
    if "NVI067" in ids:
        lines = [b";".join(label.strip(b" \t") for label in line.split(b";")) for line in text.split(b"\n")]
        text = b"\n".join(lines)
    if "NVI061" in ids:
        # As convert writes it: no line end, for readers that do not trim.
        return b";".join(line.rstrip(b";\r") for line in text.split(b"\n") if line.strip(b"\r"))
    if "NVI062" in ids:
        (line, *others) = [line for line in text.split(b"\n") if line]
        if not others:
            text = line.rstrip(b";").replace(b";", b"\n") + b"\n"
    return text


FIXABLE: Final = frozenset({"NVI001", "NVI002", "NVI003", *_FIXERS, "NVI061", "NVI062", "NVI064", "NVI065", "NVI067"})
"""Rules whose findings may be put right."""


def _by_place(case: Case) -> Mapping[tuple[int | None, int | None], Entry]:
    """Entries by line and column of their key and of their value."""
    faulty = [fault.entry for fault in case.faults if fault.entry is not None]
    entries = [*case.parsed.entries, *faulty]
    found: dict[tuple[int | None, int | None], Entry] = {(each.line, each.column): each for each in entries}
    found |= {(each.value_line, each.value_column): each for each in entries}
    return found
