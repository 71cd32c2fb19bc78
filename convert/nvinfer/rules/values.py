"""What a refused value was probably meant to be."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from convert.nvinfer.parse_result import Reason
from convert.nvinfer.rules.case import key_of

if TYPE_CHECKING:
    from convert.nvinfer.keys import Key
    from convert.nvinfer.parse_result import Entry, Problem

__all__ = ["as_list", "hint_for", "is_plain", "is_quoted", "quoted", "replacement", "value_and_comment"]

_LONGEST: Final = 200  # characters of a value that may be a number or a list of some
_TEXTS: Final = frozenset({"string", "string-list", "path", "path-list", "pairs"})
# In text only a # behind a blank is a comment for sure: C#, issue#4, page.html#part.
_COMMENT_IN_TEXT = re.compile(r"^(?P<value>.*?\S)[ \t]+(?P<words>#.*)$", re.DOTALL)
_COMMENT = re.compile(r"^(?P<value>[^#]*?\S)[ \t]*(?P<words>#.*)$", re.DOTALL)
_FRACTION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*/\s*([0-9]+(?:\.[0-9]+)?)\s*")
_COMMA = re.compile(r"\s*(-?[0-9]+),([0-9]+)\s*")
_LIST = re.compile(r"[\[({]?\s*(-?[0-9.]+(?:\s*[,; \t]\s*-?[0-9.]+)+)\s*[\])}]?\s*;?")
_WHOLE = re.compile(r"\s*(-?[0-9]+)\.0*\s*")
BOOLEANS: Final = {
    **dict.fromkeys(("true", "yes", "on", "enable", "enabled", "y"), "1"),
    **dict.fromkeys(("false", "no", "off", "disable", "disabled", "n"), "0"),
}
"""Words for yes and no, in lower case, and what nvinfer takes for them."""


def value_and_comment(text: str, kind: str) -> tuple[str, str]:
    """`text` of a key of type `kind` in two: the value meant, and what was meant as a comment, "" for none."""
    match = (_COMMENT_IN_TEXT if kind in _TEXTS else _COMMENT).match(text)
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


def as_list(text: str) -> str | None:
    """Numbers in any notation as nvinfer wants them, 3;96;96; None: no list of numbers."""
    match = _LIST.fullmatch(text)
    return None if match is None else ";".join(re.findall(r"-?[0-9.]+", match[1]))


def replacement(entry: Entry, problem: Problem) -> str | None:
    """What a refused value means, as nvinfer wants it; None: that takes a person to say."""
    key = key_of(entry)
    if key is None or len(entry.text) > _LONGEST:
        return None
    return _as_dims(key, entry.text) or _as_list(key, entry.text, problem) or _as_number(key, entry.text)


def hint_for(entry: Entry | None, problem: Problem) -> str | None:
    """What to write instead, where that can be guessed."""
    key = None if entry is None else key_of(entry)
    if entry is None or key is None:
        return None
    if key.name == "topk" and problem.reason is Reason.RANGE:
        return "leave topk out for no limit: the default, -1, cannot be written"
    if key.name in {"operate-on-class-ids", "filter-out-class-ids"} and problem.reason is Reason.RANGE:
        return "leave the key out for all classes"
    if found := replacement(entry, problem):
        why = (
            "channels;height;width without the batch: "
            if key.name == "infer-dims" and entry.text.count(";") == 3
            else ""
        )
        why = "nvinfer does not calculate: " if "/" in entry.text else why
        return f"{why}write {found}"
    return _choices(key, problem)


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
            return repr(float(match[1]) / float(match[2]))
        if match := _COMMA.fullmatch(text):
            return f"{match[1]}.{match[2]}"
    if key.type in {"integer", "unsigned"} and (match := _WHOLE.fullmatch(text)):
        return match[1]
    return None


def _choices(key: Key, problem: Problem) -> str | None:
    if key.values and problem.reason is not Reason.RANGE:
        return "one of " + ", ".join(f"{value} ({meaning})" for value, meaning in key.values.items())
    return "write 0 or 1" if key.type == "boolean" else None
