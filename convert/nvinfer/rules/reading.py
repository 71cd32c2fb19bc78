"""NVI001 to NVI008: what nvinfer's parser refuses, and what it reads otherwise than it looks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from convert.findings import Level, Rule
from convert.nvinfer.parse import YAML_SINCE
from convert.nvinfer.parse_result import Reason, Verdict
from convert.nvinfer.rules.case import Case, Check, Fault, key_of
from convert.nvinfer.rules.values import hint_for, is_quoted, quoted, value_and_comment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from convert.findings import Finding
    from convert.nvinfer.parse_result import Entry

__all__ = ["CHECKS", "COMMENT", "QUOTES", "REFUSED_FILE", "REFUSED_VALUE", "TRAILING_BLANK"]

REFUSED_FILE = Rule(
    "NVI001",
    Level.ERROR,
    "the file is no config that nvinfer can read",
    why="INI files are read by GLib's GKeyFile: every line is a [group], a key=value or a # comment. One other line "
    "(a comment with ;, text before the first group, a byte order mark) and the whole file is refused; so is a file "
    "without [property]. The element then does not start: “Configuration file parsing failed”.",
    fix="write comments with # on lines of their own; save as UTF-8 without a byte order mark; begin with [property]",
)

REFUSED_VALUE = Rule(
    "NVI002",
    Level.ERROR,
    "nvinfer refuses a value",
    why="A value of the wrong type, out of range, or a list of the wrong length ends the reading of the file, and "
    "the element does not start. nvinfer names the key at most, never the line.",
    fix="write a value the key takes: decimals with a point, lists with ; between the elements, no arithmetic, no "
    "units",
)

DIES = Rule(
    "NVI003",
    Level.ERROR,
    "reading the config ends the whole process",
    why="nvinfer's parser catches no C++ exception: some values, most of them in YAML files (true instead of 1, a "
    "list in brackets, nothing behind the colon), end the application, not just the element.",
    fix="write booleans as 0 or 1, lists as 1;2;3 without brackets, class ids from 0 on",
)

COMMENT = Rule(
    "NVI004",
    Level.WARNING,
    "a comment behind a value",
    why="GKeyFile has no inline comments. Behind text and paths the comment becomes part of the value; behind "
    "decimals and booleans it makes nvinfer refuse the file; only behind integers, with a blank in between, it is "
    "passed over.",
    fix="put the comment on a line of its own, above the key",
)

TRAILING_BLANK = Rule(
    "NVI005",
    Level.WARNING,
    "a blank behind a value",
    why="GKeyFile keeps blanks at the end of a line. A path with one names another file, and a decimal with one is "
    "refused; integers and booleans tolerate it.",
    fix="remove the blank",
)

QUOTES = Rule(
    "NVI006",
    Level.WARNING,
    "quotation marks become part of the value",
    why='GKeyFile knows no quotes: onnx-file="a.onnx" names a file that begins with a quotation mark. Blanks in '
    "paths need no quotes.",
    fix="remove the quotation marks",
)

UNNOTICED = Rule(
    "NVI007",
    Level.WARNING,
    "nvinfer does not notice that it cannot read a value",
    why="For a few keys nvinfer forgets to look whether the value could be read. It takes 0, and the next key that "
    "it does check may be refused for it.",
    fix="write a number",
)

REPEATED = Rule(
    "NVI008",
    Level.WARNING,
    "a key is written more than once",
    why="Of several lines with one key only the last counts, wherever in the file its group goes on.",
    fix="keep the line that is meant",
)

_COMMENT_LINE = re.compile(rb"[ \t]*(;|//)")
_YAML_SUFFIXES: Final = (".yml", ".yaml")
_BOM: Final = b"\xef\xbb\xbf"
_TEXTS: Final = frozenset({"string", "string-list", "pairs"})
_PATHS: Final = frozenset({"path", "path-list"})


def refused_file(case: Case) -> Iterator[Finding]:
    """No config at all, or a line that is none."""
    for fault in case.faults:
        if fault.verdict is Verdict.REJECTED and fault.entry is None and fault.problem.reason is not Reason.GROUP:
            yield _at(case, fault, REFUSED_FILE, fault.problem.message, _file_hint(case, fault))


def refused_value(case: Case) -> Iterator[Finding]:
    """A value, or the name of a class group."""
    for fault in case.faults:
        if fault.verdict is not Verdict.REJECTED or (fault.entry is None and fault.problem.reason is not Reason.GROUP):
            continue
        if _cause(case, fault) is None:
            yield _at(case, fault, REFUSED_VALUE, fault.problem.message, hint_for(fault.entry, fault.problem))


def dies(case: Case) -> Iterator[Finding]:
    """An uncaught exception."""
    for fault in case.faults:
        if fault.verdict is Verdict.ABORTS:
            message = f"{fault.problem.message}; nothing catches that, and the process dies"
            yield _at(case, fault, DIES, message, hint_for(fault.entry, fault.problem))


def comment(case: Case) -> Iterator[Finding]:
    """`key=value # words`."""
    for fault in case.faults:
        if _cause(case, fault) is COMMENT:
            hint = "put the comment on a line of its own"
            yield _at(
                case, fault, COMMENT, f"{fault.problem.message}: the comment is part of the value", hint, Level.ERROR
            )
    unread = {problem.line for problem in case.parsed.problems if problem.reason is Reason.UNREADABLE}
    for entry, kind in _readable(case):
        value, words = value_and_comment(entry.text, kind)
        if not words:
            continue
        if kind in _PATHS:
            message, level = (
                f"{entry.key} names a file called “{quoted(entry.text)}”, comment and all",
                Level.ERROR,
            )
        elif kind in _TEXTS:
            message, level = f"{entry.key} is “{quoted(entry.text)}”, comment and all", Level.WARNING
        elif entry.line in unread:
            message, level = f"{entry.key}: the comment is part of the value, and nvinfer takes 0", Level.WARNING
        else:
            message, level = (
                f"{entry.key}: the comment behind {value} is tolerated, because it is an integer",
                Level.NOTE,
            )
        yield case.found(
            COMMENT, message, at=case.at_value(entry), hint="put the comment on a line of its own", level=level
        )


def trailing_blank(case: Case) -> Iterator[Finding]:
    """`key=value `."""
    for fault in case.faults:
        if _cause(case, fault) is TRAILING_BLANK:
            message = f"{fault.problem.message}: there is a blank behind it"
            yield _at(case, fault, TRAILING_BLANK, message, "remove the blank", Level.ERROR)
    for entry, kind in _readable(case):
        if not entry.text.endswith((" ", "\t")) or value_and_comment(entry.text, kind)[1]:
            continue
        if kind in _PATHS:
            message, level = f"{entry.key} names a file whose name ends in a blank", Level.ERROR
        elif kind in _TEXTS:
            message, level = f"{entry.key} ends in a blank", Level.WARNING
        else:
            message, level = f"{entry.key}: the blank behind the value is tolerated", Level.NOTE
        yield case.found(TRAILING_BLANK, message, at=case.at_value(entry), hint="remove the blank", level=level)


def quotes(case: Case) -> Iterator[Finding]:
    """`key="value"`."""
    for fault in case.faults:
        if _cause(case, fault) is QUOTES:
            yield _at(case, fault, QUOTES, fault.problem.message, "remove the quotation marks", Level.ERROR)
    for entry, kind in _readable(case):
        if (kind in _TEXTS or kind in _PATHS) and is_quoted(entry.text):
            level = Level.ERROR if kind in _PATHS else Level.WARNING
            message = f"{entry.key}: the quotation marks are part of the {'file name' if kind in _PATHS else 'value'}"
            yield case.found(QUOTES, message, at=case.at_value(entry), hint="remove them", level=level)


def unnoticed(case: Case) -> Iterator[Finding]:
    """Errors that wait for a later key."""
    for problem in case.parsed.problems:
        if problem.reason is Reason.UNREADABLE:
            yield UNNOTICED.found(problem.message, path=case.parsed.path, line=problem.line, column=problem.column)


def repeated(case: Case) -> Iterator[Finding]:
    """Lines that another line makes void."""
    for ignored in case.parsed.ignored:
        if ignored.why == "overwritten":
            entry = ignored.entry
            last = case.last.get((entry.group, entry.key))
            message = f"{entry.key} is written again in line {last.line if last else 0}, and only that counts"
            yield case.found(REPEATED, message, at=case.at_key(entry))


def _readable(case: Case) -> Iterable[tuple[Entry, str]]:
    """The entries of an INI file that nvinfer reads and accepts, with the type of their key."""
    if case.parsed.form != "ini":
        return
    for entry in case.parsed.entries:
        key = key_of(entry)
        if key is not None and entry.group not in case.unread:
            yield entry, key.type


def _cause(case: Case, fault: Fault) -> Rule | None:
    """The rule that says better why a value is refused."""
    entry = fault.entry
    if entry is None or fault.verdict is not Verdict.REJECTED or case.parsed.form != "ini":
        return None
    if fault.problem.reason is not Reason.TYPE:
        return None
    key = key_of(entry)
    kind = "" if key is None else key.type
    if value_and_comment(entry.text, kind)[1]:
        return COMMENT
    if is_quoted(entry.text):
        return QUOTES
    # Without the blank it would be fine, or have another fault that is found then.
    return TRAILING_BLANK if entry.text.rstrip(" \t") != entry.text and entry.text.strip(" \t") else None


def _file_hint(case: Case, fault: Fault) -> str | None:
    line = fault.problem.line
    text = case.data.split(b"\n")[line - 1] if line else b""
    if case.parsed.form == "ini" and case.parsed.path.lower().endswith(_YAML_SUFFIXES):
        late = f"DeepStream reads YAML since {YAML_SINCE}; this is for {case.parsed.release}"
        wrong = "only .yml and .yaml in lower case are read as YAML: rename the file"
        return late if case.parsed.path.endswith(_YAML_SUFFIXES) else wrong
    if text.startswith(_BOM):
        return "save the file without a byte order mark"
    if _COMMENT_LINE.match(text):
        return "a comment begins with #"
    if fault.problem.reason is Reason.NO_PROPERTY:
        return _group_hint(case)
    if text.strip() and b"=" not in text and b"[" not in text:
        return "begin it with # if it is a comment; a value cannot go on in the next line"
    return None


def _group_hint(case: Case) -> str:
    names = {section.name for section in case.parsed.sections}
    if names & {"application", "primary-gie", "source0", "streammux"}:
        return "this looks like a config of deepstream-app itself; name the file behind its config-file="
    near = [name for name in sorted(names) if name.strip().lower() in {"property", "properties", "propery"}]
    return f"[{near[0]}] should be [property]" if near else "nvinfer's keys stand in the group [property]"


def _at(case: Case, fault: Fault, rule: Rule, message: str, hint: str | None, level: Level | None = None) -> Finding:
    problem = fault.problem
    return rule.found(message, path=case.parsed.path, line=problem.line, column=problem.column, hint=hint, level=level)


CHECKS: tuple[tuple[Rule, Check], ...] = (
    (REFUSED_FILE, refused_file),
    (REFUSED_VALUE, refused_value),
    (DIES, dies),
    (COMMENT, comment),
    (TRAILING_BLANK, trailing_blank),
    (QUOTES, quotes),
    (UNNOTICED, unnoticed),
    (REPEATED, repeated),
)
