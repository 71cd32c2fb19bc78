"""Waivers: comment lines in a config that say which findings are meant to be so.

    # check: ignore NVI015, NVI076      for the next line that is neither empty nor a comment
    # check: ignore-file NVI038         for everything found through this file, its labels and model included

A finding about a key that is missing stands at [property], so a waiver above that line waives it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convert.findings import Finding

__all__ = ["Waivers", "read_waivers", "strange_waivers", "waived"]

_WAIVER = re.compile(rb"^[ \t]*#[ \t]*check:[ \t]*ignore(-file)?[ \t:]+(.*)$", re.MULTILINE)
_ID = re.compile(r"(NVI|EI)[0-9]{3}")


class Waivers:
    """What a file waives: ids for all of it, and by line."""

    def __init__(self, file: frozenset[str], lines: dict[int, frozenset[str]]) -> None:
        self.file = file
        self.lines = lines


def read_waivers(data: bytes) -> Waivers:
    """The waivers of the config with these bytes."""
    if b"check:" not in data:
        return Waivers(frozenset(), {})
    everywhere: set[str] = set()
    lines: dict[int, frozenset[str]] = {}
    pending: set[str] = set()
    for number, text in enumerate(data.split(b"\n"), 1):
        if match := _WAIVER.match(text):
            (everywhere if match[1] else pending).update(_ids(match[2]))
        elif text.strip() and not text.lstrip().startswith(b"#"):
            if pending:
                lines[number] = frozenset(pending)
            pending = set()
    return Waivers(frozenset(everywhere), lines)


def waived(findings: Iterable[Finding], path: str, waivers: Waivers) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """`findings` in two: those that stay, and those the config at `path` waives."""
    stay: list[Finding] = []
    gone: list[Finding] = []
    for finding in findings:
        of_line = waivers.lines.get(finding.line or 0, ()) if finding.path == path else ()
        (gone if finding.id in waivers.file or finding.id in of_line else stay).append(finding)
    return tuple(stay), tuple(gone)


def strange_waivers(data: bytes) -> tuple[tuple[int, str], ...]:
    """Lines that waive something that cannot be a rule's id: number, text."""
    if b"check:" not in data:
        return ()
    found: list[tuple[int, str]] = []
    line, position = 1, 0
    for match in _WAIVER.finditer(data):
        line, position = line + data.count(b"\n", position, match.start()), match.start()
        found += [(line, word) for word in _words(match[2]) if not _is_rule(word)]
    return tuple(found)


def _ids(text: bytes) -> set[str]:
    return {word.upper() for word in _words(text)}


def _words(text: bytes) -> list[str]:
    return [word for word in re.split(r"[\s,;]+", text.decode("utf-8", "replace")) if word]


def _is_rule(word: str) -> bool:
    if not _ID.fullmatch(word.upper()):
        return False
    from convert.nvinfer.rules.book import RULES  # noqa: PLC0415 - this module is one of those the rules are made with

    return word.upper().startswith("EI") or word.upper() in {rule.id for rule in RULES}
