"""The recorded exchanges with real executables (shared/vectors/eim), read back as bytes."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SENT = re.compile(r"^-> (\d+) bytes (b['\"].*)$", re.MULTILINE)
_GOT = re.compile(r"^<- (?:\d+ bytes in \d+ reads (b['\"].*)|\(no answer.*)$", re.MULTILINE)
_SEND_FIRST = {"byte at a time (last byte)": b'{"foo": 1, "id": 42'}  # the recording shows its last byte only


@dataclass(frozen=True)
class Exchange:
    """What was sent, and what came back; nothing where nothing did."""

    title: str
    sent: bytes
    answers: bytes


def exchanges(path: Path) -> list[Exchange]:
    """All of a recording, in order."""
    found = []
    for section in path.read_text().split("\n## ")[1:]:
        title = section.split("\n", 1)[0]
        sent, got = _SENT.search(section), _GOT.search(section)
        assert sent, title
        assert got, title
        data = _whole(sent[2], int(sent[1]))
        answers = ast.literal_eval(got[1]) if got[1] else b""
        found.append(Exchange(title.strip(), _SEND_FIRST.get(title.strip(), b"") + data, answers))
    return found


def plain(data: bytes) -> bytes:
    """Without what may differ: timings and the names of shared memory."""
    data = re.sub(rb'"timing":\{[^}]*\}', lambda timing: re.sub(rb"\d+", b"0", timing[0]), data)
    return re.sub(rb"/shm-[-\w]+", b"/shm", data)


def _whole(literal: str, size: int) -> bytes:
    """Long lists were recorded with their middle cut out; their elements are all the same."""
    if " ... " not in literal:
        data = bytes(ast.literal_eval(literal))
    else:
        head, tail = ast.literal_eval(literal.replace(" ... ", "")).decode(), ""
        start, end = head.index("[") + 1, head.rindex("]")
        head, middle, tail = head[:start], head[start:end], head[end:]
        element = middle.split(", ", 1)[0]
        count = (size - len(head) - len(tail) + 2) // (len(element) + 2)
        data = (head + ", ".join([element] * count) + tail).encode()
    assert len(data) == size
    return data
