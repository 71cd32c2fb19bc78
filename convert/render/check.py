"""Text for `check`, `explain` and `targets`: findings with their lines, rules, releases; JSON of the last two.

Colours are plain SGR codes: rich would take longer to import than most checks take.
"""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from textwrap import fill, indent, wrap
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

from convert.check.fixes import FIXABLE, fixable
from convert.errors import InputError, PresetError
from convert.files import load_toml
from convert.findings import Finding, Level, Rule
from convert.nvinfer import targets
from convert.nvinfer.numbers import read_ordinary

if TYPE_CHECKING:
    from convert.check.loading import ChosenTarget
    from convert.check.run import CheckedFile, CheckReport


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


_WIDTH: Final = 100
_COLOURS: Final = {Level.ERROR: "1;31", Level.WARNING: "1;33", Level.NOTE: "1;36"}
_EXAMPLES: Final = "nvinfer/examples.toml"
_SHOWN: Final = {"bad": "Bad", "says": "What check says", "good": "Good"}


def explanation(rule: Rule) -> str:
    """A rule at length."""
    paint = paint_for(sys.stdout)
    parts = [f"{paint(rule.id, '1')} {paint(rule.level.value, _COLOURS[rule.level])}: {paint(rule.title, '1')}"]
    prose = partial(fill, width=_WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    parts += [f"{head}\n{prose(text)}" for head, text in (("What happens", rule.why), ("What to do", rule.fix)) if text]
    if rule.id in FIXABLE:
        parts.append("  `ei-deepstream check --fix` does it where that is mechanical.")
    for name, text in load_toml(_EXAMPLES).get(rule.id, {}).items():
        parts.append(f"{_SHOWN[name]}\n{prose(text) if name == 'says' else indent(text, '  ')}")
    if rule.id.startswith("NVI"):
        parts.append(f"To have it so: a line `# check: ignore {rule.id}` above the line it is about.")
    return "\n\n".join(parts) + "\n"


def listing(rules: Iterable[Rule]) -> str:
    """A line a rule."""
    paint = paint_for(sys.stdout)
    lines = [f"{rule.id:<6}  {paint(f'{rule.level.value:<7}', _COLOURS[rule.level])}  {rule.title}" for rule in rules]
    return "\n".join([*lines, "", "`ei-deepstream explain NVI014` says more about one."]) + "\n"


def rules_document(rules: Iterable[Rule]) -> dict[str, Any]:
    """`{schema_version, rules: [{id, level, title, why, fix, fixable, example}]}`; `example`: {bad, says, good}."""
    from convert.report import SCHEMA_VERSION  # text needs nothing of it

    documents = [
        {
            **{name: getattr(rule, name) for name in ("id", "level", "title", "why", "fix")},
            "fixable": rule.id in FIXABLE,
            "example": load_toml(_EXAMPLES).get(rule.id),
        }
        for rule in rules
    ]
    return {"schema_version": SCHEMA_VERSION, "rules": documents}


_CELLS: Final = (
    *("deepstream", "platform", "tensorrt", "cuda", "jetpack", "l4t", "ubuntu", "gstreamer", "released", "families"),
)
_COLUMNS: Final = ("deepstream", "platform", "tensorrt", "cuda", "jetpack", "l4t", "families")
"""Of the table: what a terminal of 100 columns has place for."""


def table(found: Sequence[targets.Target]) -> str:
    """A row a target; * behind what is not verified, - where nothing is known."""
    rows = [[cell.replace("deepstream", "DeepStream") for cell in _COLUMNS]]
    rows += [[_cell(target, cell) for cell in _COLUMNS] for target in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    head, *body = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    paint = paint_for(sys.stdout)
    notes = "* not verified; - not known or not there. `ei-deepstream targets 7.1` says more about one."
    return "\n".join([paint(head, "1"), *body, "", notes]) + "\n"


def details(target: targets.Target) -> str:
    """One target: its versions, and what nvinfer, trtexec and deepstream-app of that release know."""
    paint = paint_for(sys.stdout)
    facts = {cell: _cell(target, cell) for cell in _CELLS[2:]}
    facts["container"] = targets.container(target) or ""
    for name, value in _known(target).items():
        facts[name] = ", ".join(value) if isinstance(value, list) else str(value)
    lines = [paint(f"{target.name}, {target.platform}", "1")]
    for name, value in facts.items():
        if value and value != "-":
            head = f"  {name.replace('_', ' '):<20} "
            lines.append(fill(value, _WIDTH, initial_indent=head, subsequent_indent=" " * 23, break_on_hyphens=False))
    lines += [f"  * {cell}: {why}" for cell, why in target.unverified]
    return "\n".join(lines) + "\n"


def targets_document(found: Sequence[targets.Target]) -> dict[str, Any]:
    """`{schema_version, targets: [...]}`; `not_verified` maps a cell to the reason."""
    from convert.report import SCHEMA_VERSION  # for JSON only

    return {"schema_version": SCHEMA_VERSION, "targets": [_document(target) for target in found]}


def _document(target: targets.Target) -> dict[str, Any]:
    cells = {cell: getattr(target, cell) for cell in _CELLS[:-1]}
    return {
        "name": target.name,
        **cells,
        "families": list(target.families),
        "container": targets.container(target),
        "root": target.root,
        "min_object_size": target.min_object_size,
        **_known(target),
        "not_verified": dict(target.unverified),
    }


def _known(target: targets.Target) -> dict[str, Any]:
    """What differs from other releases in Gst-nvinfer, trtexec and deepstream-app."""
    release, rows = target.deepstream, targets.catalogue()
    low, high = targets.opsets(target.tensorrt)
    return {
        "keys_it_lacks": sorted(
            key for key, since in rows.keys_since.items() if not targets.between(release, since, None)
        ),
        "keys_without_effect": sorted(
            key for key, until in rows.keys_work_until.items() if not targets.between(release, None, until)
        ),
        "parse_functions": [each.function for each in targets.parsers(target)],
        "parser_library": targets.sdk_path(target, "parser-library"),
        "onnx_opsets": f"{low} to {high}",
        "trtexec": targets.sdk_path(target, "trtexec"),
        "trtexec_fp32": " ".join(targets.trtexec_flags(target.tensorrt, "fp32")),
        "trtexec_fp16": _fp16(target),
        "trtexec_lacks": sorted(
            flag for flag in rows.trtexec_flags if not targets.trtexec_accepts(flag, target.tensorrt)
        ),
        "sinks": [f"{sink.type}: {sink.what}" for sink in targets.sinks(target)],
        "tracker": _tracker(target),
    }


def _fp16(target: targets.Target) -> str | None:
    try:
        flags = " ".join(targets.trtexec_flags(target.tensorrt, "fp16"))
    except PresetError:
        return None
    note = targets.trtexec_note(target.tensorrt, "fp16")
    return f"{flags} ({note})" if note else flags


def _tracker(target: targets.Target) -> str | None:
    try:
        return targets.sdk_path(target, targets.tracker(target).library)
    except PresetError:
        return None


def _cell(target: targets.Target, cell: str) -> str:
    value = getattr(target, cell)
    text = ", ".join(value) if isinstance(value, tuple) else value or ""
    doubtful = any(name == cell for name, _ in target.unverified)
    return f"{text}*" if doubtful and text else text or "-"


_DIM, _BLUE, _GREEN, _RED, _BOLD = "2", "1;34", "32", "1;31", "1"
_WIDEST: Final = 160  # characters of a line that are shown
_MOST_BYTES: Final = 2**20  # of another file whose lines are shown
_MOST_EQUAL: Final = 5  # findings of a file that one hint answers
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def show_report(report: CheckReport, *, quiet: bool) -> None:
    """Findings and summary on standard output; `quiet`: findings only, and only errors."""
    out = sys.stdout
    paint = paint_for(out)
    found = report.findings
    shown = [each for each in found if each.level is Level.ERROR] if quiet else found
    # In a pipe a message stays one line, for those who search.
    width = None
    if paint is _coloured:
        import shutil  # brings five modules that nothing else here needs

        width = shutil.get_terminal_size().columns
    for text in lines(shown, report.files, paint, width):
        out.write(text + "\n")
    if not quiet:
        for text in others(report):
            out.write(printable(text) + "\n")
        last = [summary(report, paint)]
        ids = list(dict.fromkeys(each.id for each in shown if not each.hint)) or [each.id for each in shown][:1]
        if ids:
            last.append(f"more: ei-deepstream explain {' '.join(ids)}")
        for text in last:
            first, *more = _folded(text, width, 0)
            out.write("\n".join([first, *(f"  {each}" for each in more)]) + "\n")


def lines(
    found: Iterable[Finding], files: Sequence[CheckedFile], paint: Paint, width: int | None = None
) -> Iterator[str]:
    """The findings, each as a block of lines with an empty one behind it; messages and hints folded to `width`.

    Of findings in a file that one hint answers the first few are shown, and the hint once.
    """
    sources = _Sources(files)
    found = list(found)
    equal = Counter(map(_alike, found))
    shown: Counter[object] = Counter()
    for finding in found:
        alike = _alike(finding)
        shown[alike] += 1
        if shown[alike] > _MOST_EQUAL:
            if shown[alike] == equal[alike]:
                left = f"{equal[alike] - _MOST_EQUAL} more {finding.id} in {printable(finding.path or '')}"
                yield f"{left}: --format json shows them\n"
            continue
        colour = _COLOURS[finding.level]
        head = f"{finding.level.value}[{finding.id}]"
        first, *more = _folded(printable(finding.message), width, len(head) + 2)
        yield f"{paint(head, colour)}: {paint(first, _BOLD)}"
        yield from (f"  {paint(each, _BOLD)}" for each in more)
        place = ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part is not None)
        source = sources.line(finding)
        margin = " " * len(str(finding.line or ""))
        if place:
            yield f"{margin} {paint('-->', _BLUE)} {printable(place)}"
        if source is not None:
            text, start, length = _excerpt(source, finding.column, width and width - len(margin) - 3)
            yield f"{margin} {paint('|', _BLUE)}"
            yield f"{paint(f'{finding.line} |', _BLUE)} {text}".rstrip()
            if length:
                yield f"{margin} {paint('|', _BLUE)} {' ' * start}{paint('^' * length, colour)}"
        if finding.hint and shown[alike] == 1:
            first, *more = _folded(printable(finding.hint), width, len(margin) + 9)
            yield f"{margin} {paint('=', _BLUE)} {paint('hint:', _DIM)} {first}"
            yield from (f"{margin}   {each}" for each in more)
        yield ""


def _alike(finding: Finding) -> object:
    """The same for findings that differ in their line only."""
    return finding.id, finding.path, finding.hint or finding.message


def _folded(text: str, width: int | None, used: int) -> list[str]:
    """`text` in lines of a terminal `width` columns wide, of which the first has `used` taken."""
    if width is None or used + len(text) <= width:
        return [text]
    whole = partial(wrap, break_long_words=False, break_on_hyphens=False)
    first, *more = whole(text, width, initial_indent=" " * used, subsequent_indent=" " * 8)
    return [first[used:], *(line[8:] for line in more)]


def others(report: CheckReport) -> Iterator[str]:
    """A line a config of another plugin, which was not judged; of one plugin the first few."""
    shown: Counter[str] = Counter()
    for file in report.files:
        if file.plugin:
            shown[file.plugin] += 1
            if shown[file.plugin] <= _MOST_EQUAL:
                yield f"{file.path}: not nvinfer's: {file.plugin}"
    for plugin, count in shown.items():
        if count > _MOST_EQUAL:
            yield f"{count - _MOST_EQUAL} more files: not nvinfer's: {plugin}"


def summary(report: CheckReport, paint: Paint) -> str:
    """How many files and findings."""
    count = sum(1 for file in report.files if not file.plugin)
    if not count:
        return "nothing to check: no config of Gst-nvinfer or deepstream-app"
    files = f"{count} file{'s' if count != 1 else ''}"
    target = " and ".join(map(for_target, report.targets))
    levels = [each.level for each in report.findings]
    parts = [
        paint(f"{number} {level.value}{'s' if number != 1 else ''}", _COLOURS[level])
        for level in (Level.ERROR, Level.WARNING, Level.NOTE)
        if (number := levels.count(level))
    ]
    if number := fixable(report):
        parts.append(f"{number} fixable with --fix")
    if report.suppressed:
        parts.append(f"{len(report.suppressed)} suppressed")
    failed = sum(1 for file in report.files if file.error)
    if failed:
        parts.append(paint(f"{failed} could not be checked", _RED))
    found = ", ".join(parts) or paint("nothing found", _GREEN)
    return f"{files} checked for {target}: {found}"


def for_target(chosen: ChosenTarget) -> str:
    """ "deepstream-6.0.1, jetson, TensorRT 8.2.1 (says report.json)"."""
    target, said_by = chosen.target, load_toml("report/words.toml")["target"][chosen.source]
    return f"{target.name}, {target.platform}, TensorRT {target.tensorrt}{said_by}"


def printable(text: str) -> str:
    """`text` without control, invisible and invalid characters."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\t", " ").replace("\n", " "))


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


def _excerpt(source: str, column: int | None, width: int | None) -> tuple[str, int, int]:
    """What is shown of a line, and where and how long the caret is; no caret without a column."""
    source = source.rstrip("\r\n")
    widest = min(width or _WIDEST, _WIDEST)
    if column is None or column > len(source) + 1:
        return printable(source[:widest]), 0, 0
    start = column - 1
    end = _end(source, start)
    first = 0
    if start > widest - 40:  # far to the right: begin shortly before it
        first = max(0, start - min(20, widest // 2))
    text = printable(source[first : first + widest])
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
