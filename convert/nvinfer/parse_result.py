"""What reading a config the way Gst-nvinfer does leads to: the verdict, every value, and what was wrong where."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

# Keys and values of any length stand in messages.
_LONGEST_MESSAGE = 400

__all__ = ["Entry", "Ignored", "Parsed", "Problem", "Reason", "Section", "Unread", "Verdict", "printable"]


class Verdict(StrEnum):
    """What becomes of the element that is given the config."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"  # it refuses to start
    ABORTS = "aborts"  # the whole process dies of an uncaught C++ exception


class Reason(StrEnum):
    """Why something is a problem. The first block ends the reading, the second does not."""

    SYNTAX = "syntax"  # the file cannot be taken apart
    NO_PROPERTY = "no-property"  # there is no [property] group
    ENCODING = "encoding"  # a value is not UTF-8
    TYPE = "type"  # a value is not of the key's type
    RANGE = "range"  # a value is of the type but not allowed
    LENGTH = "length"  # a list has too many or too few elements
    PATH = "path"  # a path goes through a file, is too long or loops
    GROUP = "group"  # a class-attrs group names no class there is
    MEMORY = "memory"  # more classes than memory
    MODEL = "model"  # the key does not fit the model
    LIBRARY = "library"  # a library or a function in it is missing

    UNKNOWN = "unknown"  # a key nobody reads
    UNREADABLE = "unreadable"  # a bad value whose error nvinfer does not look at; a later key may trip over it
    LEGACY = "legacy"  # an old name
    IGNORED = "ignored"  # a key another key makes void
    NOTE = "note"  # nvinfer says what it does


class Entry(NamedTuple):
    """One key as it stands in the file. Lines and columns are 1-based, columns count characters.

    `text` is the value as written (INI: without leading blanks, escapes not decoded; YAML: the scalar, "null" where
    there is none, empty for a list or map).
    """

    group: str
    key: str
    text: str
    line: int
    column: int
    value_line: int
    value_column: int


class Section(NamedTuple):
    """A group's first header."""

    name: str
    line: int
    column: int


class Unread(NamedTuple):
    """A group nvinfer never looks at. `why`: "network-type" (only detectors have class attributes) or "unknown"."""

    section: Section
    why: str


class Ignored(NamedTuple):
    """A key that is read over. `why`: "overwritten", "locale", or the name of the key that makes it void."""

    entry: Entry
    why: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing nvinfer complains about, or stumbles over, in the order it does.

    `line` and `column` are 1-based, None where the whole file is meant. `fatal`: reading ends here.
    """

    reason: Reason
    message: str
    group: str | None = None
    key: str | None = None
    line: int | None = None
    column: int | None = None
    fatal: bool = False


def printable(message: str) -> str:
    """`message` without characters that move a terminal's cursor, and of a length one can read."""
    short = message if len(message) <= _LONGEST_MESSAGE else message[: _LONGEST_MESSAGE - 1] + "…"
    return short if short.isprintable() else "".join(each if each.isprintable() else "�" for each in short)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A config as nvinfer sees it.

    Attributes:
        path: as the caller named it.
        form: "ini" or "yaml", by the file's suffix.
        release: the DeepStream release, and `platform` the machine ("dgpu", "jetson"), it was read for.
        verdict: see `Verdict`; `exception` says what an aborting process dies of.
        problems: in nvinfer's order; the last one is `fatal` unless the verdict is accepted.
        values: every key the release has, defaults too, "class-attrs" one object per class; empty unless accepted.
            float32 with nine digits, "nan" and "inf" as text, booleans 0 and 1, nothing set: None, or "" for texts
            that nvinfer keeps in a buffer. The config's folder is written `<dir>`.
        files: the keys that name a file and were given -> the absolute path nvinfer stores.
        entries: every key in the file, groups nobody reads included; of repeated keys the last one counts.
        sections: every group.
        unknown: keys of the groups nvinfer reads that it does not know (it says so and goes on).
        unread: groups it never looks at.
        ignored: keys that have no effect although they are known.
    """

    path: str
    form: str
    release: str
    platform: str
    verdict: Verdict
    exception: str | None = None
    problems: tuple[Problem, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    entries: tuple[Entry, ...] = ()
    sections: tuple[Section, ...] = ()
    unknown: tuple[Entry, ...] = ()
    unread: tuple[Unread, ...] = ()
    ignored: tuple[Ignored, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the element goes on to load the model."""
        return self.verdict is Verdict.ACCEPTED

    @property
    def fault(self) -> Problem | None:
        """What ended the reading; None when the config is accepted."""
        return next((problem for problem in self.problems if problem.fatal), None)

    def entry(self, key: str, group: str = "property") -> Entry | None:
        """The entry that counts for `key` in `group`, the last one; None when it is not in the file."""
        found = [entry for entry in self.entries if entry.key == key and entry.group == group]
        return found[-1] if found else None
