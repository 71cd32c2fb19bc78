"""Where a message begins and ends, on both sides of the protocol.

A client sends JSON objects with anything between them; the executable counts `{` and `}` without looking at strings and
takes what lies between the first and the one that balances it (eim.cpp, `socket_main`). It answers with compact JSON,
a line feed and, on a socket, a NUL. The official Python client waits for that NUL as the last byte of a read; the
Node.js client counts braces without looking at strings and decodes each read by itself: so answers are ASCII, and
braces inside strings are escaped.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

__all__ = ["LIMIT", "AnswerReader", "Broken", "RequestReader", "TooLong", "encode"]

LIMIT = 32 * 1024 * 1024  # STDIN_BUFFER_SIZE of eim.cpp since 2025
_BRACE = re.compile(rb"[{}]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_MARK = re.compile(rb'[{}"]')
_STRING_REST = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


class TooLong(Exception):
    """More than `LIMIT` bytes and no whole message."""


class Broken(Exception):
    """Bytes that cannot be an answer."""


class RequestReader:
    """Cuts what a client sends into messages, exactly as eim.cpp does.

    That includes its weakness: after a `}` too many, outside or inside a string, the counts never meet again and every
    later message is swallowed; it ends with `TooLong`.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._open = self._closed = 0

    @property
    def amid(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._open > 0

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes.

        Raises:
            TooLong: `LIMIT` bytes without a whole message; the reader is then of no further use.
        """
        messages = []
        start = 0  # of what is not yet in the buffer
        for match in _BRACE.finditer(data):
            here = match.start()
            if self._open:
                self._append(data[start : here + 1])
            else:  # nothing but braces counts outside a message
                self._append(match[0])
            start = here + 1
            if match[0] == b"{":
                self._open += 1
                continue
            self._closed += 1
            if self._closed == self._open:
                messages.append(bytes(self._buffer))
                self._buffer.clear()
                self._open = self._closed = 0
        if self._open:
            self._append(data[start:])
        return messages

    def _append(self, data: bytes) -> None:
        if len(self._buffer) + len(data) >= LIMIT:
            raise TooLong
        self._buffer += data


class AnswerReader:
    """Cuts what an executable sends into answers: JSON objects, whatever stands between them.

    Braces inside strings are told apart, so labels may hold any. What is outside objects (the banner, what debugging
    prints, NUL) is skipped.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0  # everything before is looked at
        self._depth = 0

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The answers that `data` completes.

        Raises:
            Broken: an object that is not JSON, or more than `LIMIT` bytes of one.
        """
        self._buffer += data
        answers = []
        while (end := self._end()) is not None:
            answers.append(_parse(self._buffer[:end]))
            del self._buffer[:end]
            self._at = 0
        if self._depth == 0:
            self._buffer.clear()
            self._at = 0
        elif len(self._buffer) > LIMIT:
            raise Broken(f"an answer of more than {LIMIT} bytes")
        return answers

    def _end(self) -> int | None:
        """Where the first object of the buffer ends; what is before the object is dropped."""
        while match := _MARK.search(self._buffer, self._at):
            mark = match[0]
            if self._depth == 0:
                if mark == b"{":
                    del self._buffer[: match.start()]
                    self._at, self._depth = 1, 1
                else:
                    self._at = match.end()
            elif mark == b'"':
                string = _STRING_REST.match(self._buffer, match.end())
                if string is None:
                    self._at = match.start()  # looked at again when more has come
                    return None
                self._at = string.end()
            else:
                self._at = match.end()
                self._depth += 1 if mark == b"{" else -1
                if self._depth == 0:
                    return self._at
        self._at = len(self._buffer)
        return None


def encode(answer: dict[str, Any], *, indent: int | None = None) -> bytes:
    """One answer as every official client can read it: ASCII, keys sorted, no brace inside a string.

    Numbers that JSON does not have become null, as in the library eim.cpp uses.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    text = json.dumps(_finite(answer), sort_keys=True, separators=separators, indent=indent, allow_nan=False)
    return _STRING.sub(_without_braces, text).encode("ascii")


def _without_braces(match: re.Match[str]) -> str:
    return match[0].replace("{", "\\u007b").replace("}", "\\u007d")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def _parse(data: bytes | bytearray) -> dict[str, Any]:
    try:
        answer = json.loads(data.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise Broken(f"an answer that is not JSON: {error}") from error
    assert isinstance(answer, dict)  # it begins with a brace
    return answer
