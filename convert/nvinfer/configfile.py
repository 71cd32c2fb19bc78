r"""INI text that GLib's GKeyFile, which DeepStream reads its configs with, reads back as exactly the values meant.

GKeyFile knows full-line `#` comments only, strips blanks in front of a value but not behind it, and takes `\` for an
escape (`\s` blank, `\t`, `\n`, `\r`, `\\`, and `\;` inside lists). So there is never a comment or a blank behind a
value here. (GLib, gkeyfile.c: g_key_file_parse_value_as_string, g_key_file_parse_key_value_pair.)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from textwrap import wrap

from convert.errors import PresetError

__all__ = ["Entry", "Group", "Scalar", "Section", "Value", "config_file", "encode"]

Scalar = bool | int | float | str
Value = Scalar | tuple[Scalar, ...]
"""What a key can hold; a tuple is a list with `;` between its elements."""

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_BLANKS = {" ": "\\s", "\t": "\\t"}
_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Entry:
    """`key=value`, with a comment above it for the person who reads the file."""

    key: str
    value: Value
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """Entries that belong together, separated from the next by an empty line."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """`[name]` and what it holds."""

    name: str
    sections: tuple[Section, ...]
    comment: str = ""


def config_file(header: str, groups: tuple[Group, ...]) -> bytes:
    """The file, UTF-8. Raises PresetError for a key or value that GKeyFile cannot read back."""
    blocks = [_comment(header)]
    for group in groups:
        lines = [*_comment(group.comment), f"[{group.name}]"]
        for number, section in enumerate(group.sections):
            lines += [""] if number else []
            for entry in section.entries:
                lines += [*_comment(entry.comment), _line(entry)]
        blocks.append(lines)
    return ("\n\n".join("\n".join(block) for block in blocks) + "\n").encode()


def _comment(text: str) -> list[str]:
    # Paths are not to be broken at their hyphens.
    lines = [wrap(part, _WIDTH, break_long_words=False, break_on_hyphens=False) for part in text.splitlines()]
    return [f"# {line}" for part in lines for line in part]


def _line(entry: Entry) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", entry.key):
        raise PresetError(f"not a key: {entry.key!r}", hint="letters, digits, - and _ only")
    try:
        return f"{entry.key}={encode(entry.value)}"
    except ValueError as error:
        raise PresetError(f"{entry.key}: {error}") from error


def encode(value: Value) -> str:
    """`value` as it stands behind the `=`.

    Raises:
        ValueError: GKeyFile cannot read it back: a null character, not Unicode, NaN, an empty list, a form feed in
            front.
    """
    if not isinstance(value, tuple):
        return _scalar(value)
    if not value:
        raise ValueError("an empty list cannot be told from an empty value")
    # The separator may end a list; behind an empty last element it must, or that element is lost.
    return ";".join(_scalar(item).replace(";", "\\;") for item in value) + (";" if value[-1] == "" else "")


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"not a finite number: {value}")
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError(f"a value cannot contain a null character: {value!r}")
    value.encode()
    escaped = "".join(_ESCAPES.get(character, character) for character in value)
    if escaped.startswith("\f"):
        raise ValueError(f"GKeyFile strips the first character of {value!r}")
    front = escaped.lstrip(" \t")
    middle = front.rstrip(" \t")
    before, behind = escaped[: len(escaped) - len(front)], front[len(middle) :]
    return "".join(_BLANKS[blank] for blank in before) + middle + "".join(_BLANKS[blank] for blank in behind)
