"""`--fix` and `--diff`: corrects how a line is written, never what it means.

Comments are moved to lines of their own, blanks and quotation marks are removed, old names become new ones, numbers are
written as nvinfer reads them; label files get the layout their network needs. A misspelt key is not corrected: it may
be any key. A config is checked again after each round, until nothing changes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from convert import errors, files
from convert.check import context as checking
from convert.check import loading
from convert.check.recognise import CONFIG
from convert.check.rules import findings, keys, syntax
from convert.check.run import CheckReport, Fix
from convert.nvinfer.context import MOST_LABEL_BYTES
from convert.nvinfer.numbers import read_ordinary

if TYPE_CHECKING:
    from convert.findings import Finding
    from convert.nvinfer.keys import Entry, Problem
    from convert.nvinfer.targets import Target


_NCHW = re.compile(r";\s*0\s*(?:;\s*)?$")  # the layout at the end of input-dims
_SEMICOLON = re.compile(rb"^([ \t]*)(?:;+|//+)[ \t]?")

_Lines: TypeAlias = list[bytes] | None
"""The lines that replace a line; None: it stays."""


def fixed_config(context: checking.RuleContext, findings: Iterable[Finding]) -> bytes:
    """The config of `context` with what its `findings` are about corrected, as far as that is mechanical."""
    lines = context.data.split(b"\n")
    for number, new in _changes(context, findings, lines):
        # A line is changed once: what else is wrong with it is found again.
        if b"\n" not in lines[number - 1]:
            lines[number - 1] = b"\n".join(new) if new else b"\n"
    # A removed line was marked by a lone line feed, which no other line contains.
    rest = [line for line in lines if line != b"\n"]
    # The line before the last one keeps its line feed: without it a carriage return would belong to its text.
    return b"\n".join(rest) + (b"\n" if rest and lines[-1] == b"\n" else b"")


def _changes(
    context: checking.RuleContext, findings: Iterable[Finding], lines: list[bytes]
) -> Iterator[tuple[int, list[bytes]]]:
    """Number of a line, and those that replace it, for each finding that can be corrected."""
    entries = _by_place(context)
    problems = {fault.problem.line: fault.problem for fault in context.faults}
    for finding in findings:
        if finding.path != context.parsed.path or not finding.line or finding.line > len(lines):
            continue
        line = lines[finding.line - 1]
        ending = b"\r" if line.endswith(b"\r") else b""
        new = None
        with suppress(checking.Unclear):  # what replaces it is refused
            new = _line(context, finding, line.removesuffix(b"\r"), entries, problems.get(finding.line))
        if new is not None:
            yield finding.line, [each + ending for each in new]


def _line(
    context: checking.RuleContext,
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
        new = syntax.replacement(entry, problem)
        return None if new is None else _with_value(line, entry, new)
    fixer = _FIXERS.get(finding.id)
    return None if fixer is None or context.parsed.form != "ini" else fixer(context, line, entry)


def _file_line(line: bytes) -> _Lines:
    """A byte order mark, or a comment of another language."""
    if line.startswith(syntax.BOM):
        return [line.removeprefix(syntax.BOM)]
    match = _SEMICOLON.match(line)
    return None if match is None else [match[1] + b"# " + line[match.end() :]]


def _comment(_: checking.RuleContext, line: bytes, entry: Entry) -> _Lines:
    key = checking.key_of(entry)
    value, words = syntax.value_and_comment(entry.text, "" if key is None else key.type)
    indent = line[: len(line) - len(line.lstrip(b" \t"))]
    new = _with_value(line, entry, value)
    return None if new is None or not words else [indent + words.encode(), *new]


def _legacy(context: checking.RuleContext, line: bytes, entry: Entry) -> _Lines:
    key = checking.key_of(entry)
    if key is None or key.replaced_by is None:
        return None
    if (entry.group, key.replaced_by) in context.last or context.last.get((entry.group, entry.key)) is not entry:
        return []  # another line counts instead of this one
    text = keys.new_value(entry, key)
    if key.alias == "infer-dims" and not _NCHW.search(entry.text):
        return None  # a UFF model may need the layout
    if text is None and entry.key == "enable-dbscan":
        return []  # 0 changes nothing
    indent = line[: len(line) - len(line.lstrip(b" \t"))]
    return None if text is None else [indent + f"{key.replaced_by}={text}".encode()]


def _with_value(line: bytes, entry: Entry, new: str) -> _Lines:
    """The line with another value; None if the line does not end in the value as it was read."""
    old = entry.text.encode()
    if not old or b"\n" in new.encode() or not line.endswith(old):
        return None
    return [line[: len(line) - len(old)] + new.encode()]


_FIXERS: Final[dict[str, Callable[[checking.RuleContext, bytes, Entry], _Lines]]] = {
    "NVI004": _comment,
    "NVI005": lambda _, line, __: [line.rstrip(b" \t")],
    "NVI006": lambda _, line, entry: _with_value(line, entry, entry.text.strip(" \t")[1:-1]),
    "NVI012": _legacy,
}


def fixed_labels(data: bytes, ids: set[str]) -> bytes:
    """A label file with what the findings `ids` are about corrected."""
    text = data
    if "NVI065" in ids:
        text = text.removeprefix(syntax.BOM)
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
"""Rules whose findings may be corrected."""


def _by_place(context: checking.RuleContext) -> Mapping[tuple[int | None, int | None], Entry]:
    """Entries by line and column of their key and of their value."""
    faulty = [fault.entry for fault in context.faults if fault.entry is not None]
    entries = [*context.parsed.entries, *faulty]
    found: dict[tuple[int | None, int | None], Entry] = {(each.line, each.column): each for each in entries}
    found |= {(each.value_line, each.value_column): each for each in entries}
    return found


_MOST_ROUNDS = 20


def fixes(report: CheckReport) -> tuple[Fix, ...]:
    """The files of a report that can be corrected, labels included, each once."""
    found: dict[str, Fix] = {}
    for file in report.files:
        if file.kind != CONFIG or file.error is not None:
            continue
        new, rest = _config(file.path, file.data, (file.target or report.default).target, report.wanted)
        if new != file.data:
            found[os.path.realpath(file.path)] = Fix(file.path, file.data, new)
        for path in dict.fromkeys(finding.path for finding in rest if finding.path and finding.path != file.path):
            ids = {finding.id for finding in rest if finding.path == path and finding.id in FIXABLE}
            if ids and os.path.realpath(path) not in found and (fix := _labels(path, ids)):
                found[os.path.realpath(path)] = fix
    return tuple(found.values())


def fixable(report: CheckReport) -> int:
    """How many of a report's findings `--fix` corrects."""
    count = 0
    labels: dict[str, set[Finding]] = {}
    for file in report.files:
        candidates = [finding for finding in file.findings if finding.id in FIXABLE]
        if file.kind != CONFIG or not candidates:
            continue
        target = (file.target or report.default).target
        context = loading.load_context(loading.read_config(file.path, target, file.data), target, loading.Models())
        count += sum(1 for _ in _changes(context, candidates, file.data.split(b"\n")))
        for each in candidates:
            if each.path and each.path != file.path:
                labels.setdefault(each.path, set()).add(each)
    return count + sum(len(found) for path, found in labels.items() if _labels(path, {each.id for each in found}))


def _config(path: str, data: bytes, target: Target, wanted: Callable[[str], bool]) -> tuple[bytes, tuple[Finding, ...]]:
    """The config corrected, and what is still found through it."""
    models = loading.Models()
    rest: tuple[Finding, ...] = ()
    for _ in range(_MOST_ROUNDS):
        context = loading.load_context(loading.read_config(path, target, data), target, models)
        found = (each for each in findings(context) if wanted(each.id))
        rest, _ = checking.split_suppressed(found, path, checking.read_suppressions(data))
        new = fixed_config(context, rest)
        if new == data:
            break
        data = new
    return data, rest


def _labels(path: str, ids: set[str]) -> Fix | None:
    try:
        data = read_ordinary(path, "label file", MOST_LABEL_BYTES)
    except errors.InputError:
        return None
    new = fixed_labels(data, ids)
    return None if new == data else Fix(path, data, new)


def diff(fix: Fix) -> str:
    """A unified diff."""
    import difflib  # only to show what was fixed

    lines = difflib.unified_diff(_lines(fix.old), _lines(fix.new), f"a/{fix.path}", f"b/{fix.path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(data: bytes) -> list[str]:
    """Lines with their ends; only a line feed ends one."""
    *lines, rest = data.decode("utf-8", "surrogateescape").split("\n")
    return [f"{line}\n" for line in lines] + ([rest] if rest else [])


def apply(found: Iterable[Fix]) -> None:
    """Write the files, whole; a link stays a link, and permissions stay.

    Raises:
        OutputError: a file cannot be written; those before it are.
    """
    for fix in found:
        place = Path(os.path.realpath(fix.path))
        mode = stat.S_IMODE(place.stat().st_mode)
        files.write(place, fix.new)
        place.chmod(mode)
