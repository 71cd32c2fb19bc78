"""NVI001 to NVI008: what nvinfer's parser refuses, or reads as something else; and corrections of such values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from convert.check.context import Fault, RuleContext, key_of, on_config, table_of
from convert.files import load_toml
from convert.findings import Finding, Level, Rule
from convert.nvinfer.config import YAML_SINCE, form_of
from convert.nvinfer.keys import ATTRS, PROPERTY, Entry, Key, Problem, Reason, Verdict, allowed, key_named
from convert.nvinfer.numbers import shortest

_LONGEST: Final = 200  # characters of a value that may be a number or a list of some
_TEXT_TYPES: Final = frozenset({"string", "string-list", "path", "path-list", "pairs"})
# In text only a # behind a blank is a comment for sure: C#, issue#4, page.html#part.
_COMMENT_IN_TEXT = re.compile(r"^(?P<value>.*?\S)[ \t]+(?P<words>#.*)$", re.DOTALL)
_COMMENT = re.compile(r"^(?P<value>[^#]*?\S)[ \t]*(?P<words>#.*)$", re.DOTALL)
_FRACTION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*/\s*([0-9]+(?:\.[0-9]+)?)\s*")
_COMMA = re.compile(r"\s*(-?[0-9]+),([0-9]+)\s*")
_LIST = re.compile(r"[\[({]?\s*(-?[0-9.]+(?:(?:\s*[,;]|[ \t])\s*-?[0-9.]+)+)\s*(?:[\])}]\s*)?;?")
_WHOLE = re.compile(r"\s*(-?[0-9]+)\.0*\s*")
_INI_LINE = re.compile(r"\s*(?P<key>[A-Za-z][-\w]*)[ \t]*=(?P<value>[^#:]*)(?:(?<=\s)#.*)?")
_MOST_TEXT: Final = 2**20  # bytes
_MOST_LINES: Final = 20
BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "on", "enable", "enabled", "y"), "1"),
    **dict.fromkeys(("false", "no", "off", "disable", "disabled", "n"), "0"),
}
"""Words for yes and no, in lower case, and what nvinfer takes for them."""


def value_and_comment(text: str, kind: str) -> tuple[str, str]:
    """`text` of a key of type `kind` in two: the value meant, and what was meant as a comment, "" for none."""
    match = (_COMMENT_IN_TEXT if kind in _TEXT_TYPES else _COMMENT).match(text)
    return (text, "") if match is None else (match["value"], match["words"])


def is_plain(text: str) -> bool:
    """Whether a path is written as paths are: without blanks at the end, quotation marks, or a comment."""
    return text == text.rstrip(" \t") and not is_quoted(text) and not value_and_comment(text, "path")[1]


def is_quoted(text: str) -> bool:
    """Whether there are quotation marks around `text`."""
    text = text.strip(" \t")
    return len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"


def quoted(text: str) -> str:
    """`text` short and printable, for a message."""
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:80])
    return shown + ("…" if len(text) > 80 else "")


def operators(kind: str) -> frozenset[str]:
    """The ONNX operators of a kind, which advice.toml explains."""
    return frozenset(load_toml("nvinfer/advice.toml")["operators"][kind])


def as_line(context: RuleContext, key: str, value: object, entry: Entry | None = None) -> str:
    """A line that gives `key` a value, in the syntax of the file it stands in; `entry`: the line it replaces."""
    path = context.parsed.path if entry else context.place(key).path  # the app's, where that sets the key
    return f"{key}: {value}" if form_of(path, context.parsed.release) == "yaml" else f"{key}={value}"


def as_head(context: RuleContext, group: str) -> str:
    """The line that begins a group, in the syntax of the config."""
    return f"{group}:" if context.parsed.form == "yaml" else f"[{group}]"


def as_list(text: str) -> str | None:
    """Numbers in any notation as nvinfer wants them, 3;96;96; None: no list of numbers."""
    match = _LIST.fullmatch(text)
    return None if match is None else ";".join(re.findall(r"-?[0-9.]+", match[1]))


def unread_numbers(entry: Entry) -> str | None:
    """A list as nvinfer wants it, where its YAML parser passes over numbers with no ; in front; None: it reads all."""
    meant = as_list(entry.text)
    return meant if meant and meant.count(";") > entry.text.count(";") else None


def replacement(entry: Entry, problem: Problem) -> str | None:
    """A refused value as nvinfer wants it; None: not known."""
    key = key_of(entry)
    if key is None or len(entry.text) > _LONGEST:
        return None
    return _as_dims(key, entry.text) or _as_list(key, entry.text, problem) or _as_number(key, entry.text)


def hint_for(context: RuleContext, entry: Entry | None, problem: Problem) -> str | None:
    """What to write instead, where that can be guessed."""
    key = None if entry is None else key_of(entry)
    if context.parsed.form == "yaml" and (entry is None or "=" in entry.key):
        return _ini_in_yaml(context)
    return None if entry is None or key is None else _hint_for_key(context, entry, key, problem)


def _hint_for_key(context: RuleContext, entry: Entry, key: Key, problem: Problem) -> str | None:
    if key.name == "topk" and problem.reason is Reason.RANGE:
        return "leave topk out for no limit: the default, -1, cannot be written"
    if key.name in {"operate-on-class-ids", "filter-out-class-ids"} and problem.reason is Reason.RANGE:
        return "leave the key out for all classes"
    if found := replacement(entry, problem):
        batch = key.name == "infer-dims" and entry.text.count(";") == 3
        why = "channels;height;width without the batch: " if batch else ""
        why = "nvinfer does not calculate: " if "/" in entry.text else why
        return f"{why}write {as_line(context, key.name, found, entry)}"
    if context.parsed.form == "yaml" and entry.text == "null":
        return f"write a value behind {key.name}:, or remove the line"
    return _choices(context, key, problem)


def _ini_in_yaml(context: RuleContext) -> str | None:
    """What lines that are written as in INI files must be in YAML."""
    found: list[str] = []
    for number, text in enumerate(context.data[:_MOST_TEXT].split(b"\n"), 1):
        match = _INI_LINE.fullmatch(text.decode("utf-8", "replace"))
        if match and (key_named(match["key"]) or key_named(match["key"], ATTRS)):
            found.append(f"{match['key']}: {match['value'].strip()} in line {number}")
    return f"write {' and '.join(found[:_MOST_LINES])}, with a colon and a blank" if found else None


def _as_dims(key: Key, text: str) -> str | None:
    """infer-dims with the batch in front, without it."""
    numbers = (as_list(text) or "").split(";") if key.name == "infer-dims" else []
    return ";".join(numbers[1:]) if len(numbers) == 4 else None


def _as_list(key: Key, text: str, problem: Problem) -> str | None:
    if not key.type.endswith("list"):
        return None
    found = as_list(text)
    # Only YAML minds a separator at the end.
    right = text.rstrip(";") if problem.reason is not Reason.LENGTH else text
    return found if found != right else None


def _as_number(key: Key, text: str) -> str | None:
    word = text.strip().strip("\"'").lower()
    if key.type == "boolean":
        return BOOLEANS.get(word)
    if key.type in {"float", "double"}:
        if (match := _FRACTION.fullmatch(text)) and float(match[2]):
            return shortest(float(match[1]) / float(match[2]))
        if match := _COMMA.fullmatch(text):
            return f"{match[1]}.{match[2]}"
    if key.type in {"integer", "unsigned"} and (match := _WHOLE.fullmatch(text)):
        return match[1]
    return None


def _choices(context: RuleContext, key: Key, problem: Problem) -> str | None:
    if key.values and problem.reason is not Reason.RANGE:
        choices = allowed(key, context.parsed.release, context.parsed.platform)
        return "one of " + ", ".join(f"{value} ({key.values[value]})" for value in choices)
    return "write 0 or 1" if key.type == "boolean" else None


_COMMENT_LINE = re.compile(rb"[ \t]*(;|//)")
_YAML_SUFFIXES: Final = (".yml", ".yaml")
BOM: Final = b"\xef\xbb\xbf"
_TEXTS: Final = frozenset({"string", "string-list", "pairs"})
_PATHS: Final = frozenset({"path", "path-list"})


@on_config("NVI001", refused=True)
def refused_file(context: RuleContext) -> Iterator[Finding]:
    """No config at all, or a line that is none."""
    path, release = context.parsed.path, context.parsed.release
    if context.faults and context.parsed.form == "ini" and path.endswith(_YAML_SUFFIXES):
        message = f"DeepStream reads YAML since {YAML_SINCE}; this is for {release}, to which it is an INI file"
        yield _at(context, context.faults[0], refused_file, message, "write the config as an INI file")
        return
    for fault in context.faults:
        if fault.verdict is Verdict.REJECTED and fault.entry is None and fault.problem.reason is not Reason.GROUP:
            yield _at(context, fault, refused_file, fault.problem.message, _file_hint(context, fault))


@on_config("NVI002", refused=True)
def refused_value(context: RuleContext) -> Iterator[Finding]:
    """A value, or the name of a class group."""
    for fault in context.faults:
        if fault.verdict is not Verdict.REJECTED or (fault.entry is None and fault.problem.reason is not Reason.GROUP):
            continue
        if _cause(context, fault) is None:
            hint = hint_for(context, fault.entry, fault.problem)
            yield _at(context, fault, refused_value, fault.problem.message, hint)


@on_config("NVI003", refused=True)
def dies(context: RuleContext) -> Iterator[Finding]:
    """An uncaught exception."""
    for fault in context.faults:
        if fault.verdict is Verdict.ABORTS:
            message = f"{fault.problem.message}; nothing catches that, and the process dies"
            yield _at(context, fault, dies, message, hint_for(context, fault.entry, fault.problem))


@on_config("NVI004", refused=True)
def comment(context: RuleContext) -> Iterator[Finding]:
    """`key=value # words`."""
    yield from _refused_by(context, comment, ": the comment is part of the value", _OWN_LINE)
    unread = {problem.line for problem in context.parsed.problems if problem.reason is Reason.UNREADABLE}
    for entry, kind in _readable(context):
        value, words = value_and_comment(entry.text, kind)
        if not words:
            continue
        if kind in _PATHS:
            message, level = (f"{entry.key} names a file called “{quoted(entry.text)}”, comment and all", Level.ERROR)
        elif kind in _TEXTS:
            message, level = f"{entry.key} is “{quoted(entry.text)}”, comment and all", Level.WARNING
        elif entry.line in unread:
            message, level = f"{entry.key}: the comment is part of the value, and nvinfer takes 0", Level.WARNING
        else:
            message = f"{entry.key}: the comment behind {value} is tolerated, because it is an integer"
            level = Level.NOTE
        yield context.found(comment, message, at=context.at_value(entry), hint=_OWN_LINE, level=level)


_OWN_LINE: Final = "put the comment on a line of its own"


@on_config("NVI005", refused=True)
def trailing_blank(context: RuleContext) -> Iterator[Finding]:
    """`key=value `."""
    yield from _refused_by(context, trailing_blank, ": there is a blank behind it", "remove the blank")
    for entry, kind in _readable(context):
        if not entry.text.endswith((" ", "\t")) or value_and_comment(entry.text, kind)[1]:
            continue
        if kind in _PATHS:
            message, level = f"{entry.key} names a file whose name ends in a blank", Level.ERROR
        elif kind in _TEXTS:
            message, level = f"{entry.key} ends in a blank", Level.WARNING
        else:
            message, level = f"{entry.key}: the blank behind the value is tolerated", Level.NOTE
        yield context.found(trailing_blank, message, at=context.at_value(entry), hint="remove the blank", level=level)


@on_config("NVI006", refused=True)
def quotes(context: RuleContext) -> Iterator[Finding]:
    """`key="value"`."""
    yield from _refused_by(context, quotes, "", "remove the quotation marks")
    for entry, kind in _readable(context):
        if (kind in _TEXTS or kind in _PATHS) and is_quoted(entry.text):
            level = Level.ERROR if kind in _PATHS else Level.WARNING
            message = f"{entry.key}: the quotation marks are part of the {'file name' if kind in _PATHS else 'value'}"
            hint = f"write {as_line(context, entry.key, entry.text.strip()[1:-1], entry)}"
            yield context.found(quotes, message, at=context.at_value(entry), hint=hint, level=level)


@on_config("NVI007", refused=True)
def unnoticed(context: RuleContext) -> Iterator[Finding]:
    """Errors that wait for a later key."""
    for problem in context.parsed.problems:
        if problem.reason is Reason.UNREADABLE:
            known = key_named(problem.key or "", table_of(problem.group or "") or "")
            usual = known.default if known else None
            hint = f"write {as_line(context, problem.key or '', usual)}" if usual is not None else None
            place = context.at(problem.line, problem.column)
            yield context.found(unnoticed, problem.message, at=place, hint=hint)


@on_config("NVI008", refused=True)
def repeated(context: RuleContext) -> Iterator[Finding]:
    """Lines that another line makes void."""
    for ignored in context.parsed.ignored:
        if ignored.why == "overwritten":
            entry = ignored.entry
            last = context.last.get((entry.group, entry.key), entry)
            same = last.text.strip() == entry.text.strip()
            effect = "with the same value" if same else "and only that counts"
            message = f"{entry.key} is written again in line {last.line}, {effect}"
            level = Level.NOTE if same else None
            yield context.found(repeated, message, at=context.at_key(entry), hint="remove this line", level=level)


def _readable(context: RuleContext) -> Iterable[tuple[Entry, str]]:
    """The entries of an INI file that nvinfer reads and accepts, with the type of their key."""
    if context.parsed.form != "ini":
        return
    for entry in context.parsed.entries:
        key = key_of(entry)
        if key is not None and entry.group not in context.unread:
            yield entry, key.type


def _refused_by(context: RuleContext, rule: Rule, why: str, hint: str) -> Iterator[Finding]:
    """The faults that `rule` explains best."""
    for fault in context.faults:
        if _cause(context, fault) is rule:
            yield _at(context, fault, rule, f"{fault.problem.message}{why}", hint, Level.ERROR)


def _cause(context: RuleContext, fault: Fault) -> Rule | None:
    """The rule that explains best why a value is refused."""
    entry = fault.entry
    if entry is None or fault.verdict is not Verdict.REJECTED or context.parsed.form != "ini":
        return None
    if fault.problem.reason is not Reason.TYPE:
        return None
    key = key_of(entry)
    kind = "" if key is None else key.type
    if value_and_comment(entry.text, kind)[1]:
        return comment
    if is_quoted(entry.text):
        return quotes
    # Without the blank it would be fine, or have another fault that is found then.
    return trailing_blank if entry.text.rstrip(" \t") != entry.text and entry.text.strip(" \t") else None


def _file_hint(context: RuleContext, fault: Fault) -> str | None:
    line = fault.problem.line
    text = context.data.split(b"\n")[line - 1] if line else b""
    if context.parsed.form == "ini" and context.parsed.path.lower().endswith(_YAML_SUFFIXES):
        return "only .yml and .yaml in lower case are read as YAML: rename the file"
    if text.startswith(BOM):
        return "save the file without a byte order mark"
    if _COMMENT_LINE.match(text):
        return "a comment begins with #"
    if fault.problem.reason is Reason.NO_PROPERTY:
        return _group_hint(context)
    if text.strip() and b"=" not in text and b"[" not in text:
        return "begin it with # if it is a comment; a value cannot go on in the next line"
    return None


def _group_hint(context: RuleContext) -> str:
    names = {section.name for section in context.parsed.sections}
    wanted = as_head(context, PROPERTY)
    if names & {"application", "primary-gie", "source0", "streammux"}:
        return "this looks like a config of deepstream-app itself; name the file behind its config-file="
    near = [name for name in sorted(names) if name.strip().lower() in {"property", "properties", "propery"}]
    return f"{as_head(context, near[0])} should be {wanted}" if near else f"nvinfer's keys stand in the group {wanted}"


def _at(
    context: RuleContext, fault: Fault, rule: Rule, message: str, hint: str | None, level: Level | None = None
) -> Finding:
    place = context.at(fault.problem.line, fault.problem.column)
    return context.found(rule, message, at=place, hint=hint, level=level)
