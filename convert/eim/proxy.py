"""Stands between a client and an .eim, passes every byte on, and says what was said, with timings.

The bytes go through as they come, before anything looks at them, so that both sides behave as they do without us.
"""

from __future__ import annotations

import contextlib
import json
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.eim.framing import AnswerReader, Broken, RequestReader, TooLong
from convert.eim.link import Closed, Late, opened
from convert.eim.server import listening
from convert.eim.signals import signals_end

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from convert.eim.link import Link

__all__ = ["Event", "proxy", "shortened"]

_CHUNK = 1 << 16
_SHOWN = 8  # values of a long list
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that passed.

    Attributes:
        seconds: since the client connected.
        origin: "client" or "eim".
        kind: "message" (whole and JSON), "bytes" (what is neither), "end".
        content: the message, shortened; or the bytes as text.
        size: bytes.
        took: of an answer, seconds since its question was passed on whole.
    """

    seconds: float
    origin: str
    kind: str
    content: Any
    size: int
    took: float | None = None


def proxy(path: Path, target: Path, tell: Callable[[Event], None], *, start: float = 30.0) -> int:
    """Serve one client at the socket `path` from `target`; the exit code.

    Args:
        path: socket to make.
        target: an executable to start, or the socket of one that runs.
        tell: gets every event.
        start: seconds until the .eim must listen.

    Raises:
        OutputError: the socket cannot be made.
        InputError: the .eim cannot be started.
    """
    with signals_end() as signals, listening(path) as listener, opened(target, start) as link:
        signals.arm()
        client, _ = listener.accept()
        listener.close()
        with client:
            _Passing(client, link, tell).run()
        signals.disarm()
    return signals.code


class _Passing:
    """One conversation."""

    def __init__(self, client: socket.socket, link: Link, tell: Callable[[Event], None]) -> None:
        self._client = client
        self._link = link
        self._tell = tell
        self._requests: RequestReader | None = RequestReader()
        self._answers: AnswerReader | None = AnswerReader()
        self._asked: dict[Any, float] = {}
        self._start = time.monotonic()

    def run(self) -> None:
        """Until one side ends."""
        poll = select.poll()
        for descriptor in (self._client.fileno(), self._link.reading):
            poll.register(descriptor, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                ended = self._from_client() if descriptor == self._client.fileno() else self._from_eim()
                if ended:
                    return

    def _from_client(self) -> bool:
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._client.recv(_CHUNK)
        if not data:
            self._say("client", "end", "the client closed the connection", 0)
            return True
        try:
            self._link.send(data, time.monotonic() + _SECONDS)
        except (Closed, Late) as error:
            self._say("eim", "end", f"the .eim {error}", 0)
            return True
        self._show_requests(data)
        return False

    def _from_eim(self) -> bool:
        try:
            data = self._link.receive(time.monotonic() + _SECONDS)
        except (Closed, Late) as error:
            self._say("eim", "end", f"the .eim {error}", 0)
            return True
        try:
            self._client.sendall(data)
        except ConnectionError:
            self._say("client", "end", "the client closed the connection", 0)
            return True
        self._show_answers(data)
        return False

    def _show_requests(self, data: bytes) -> None:
        try:
            messages = self._requests.feed(data) if self._requests else []
        except TooLong:
            self._requests = None
            self._say("client", "bytes", "more than 32 MiB without a whole message; the rest is not shown", len(data))
            return
        for message in messages:
            try:
                content = json.loads(message)
            except (ValueError, RecursionError):
                self._say("client", "bytes", message[:200].decode("utf-8", "backslashreplace"), len(message))
                continue
            if isinstance(content, dict) and isinstance(content.get("id"), int):
                self._asked[content["id"]] = time.monotonic()
            self._say("client", "message", shortened(content), len(message))

    def _show_answers(self, data: bytes) -> None:
        try:
            answers = self._answers.feed(data) if self._answers else []
        except Broken as error:
            self._answers = None
            self._say("eim", "bytes", f"{error}; the rest is not shown", len(data))
            return
        for answer in answers:
            number = answer.get("id")
            asked = self._asked.pop(number, None) if isinstance(number, int) else None
            took = None if asked is None else time.monotonic() - asked
            self._say("eim", "message", shortened(answer), len(data), took)

    def _say(self, origin: str, kind: str, content: Any, size: int, took: float | None = None) -> None:
        self._tell(Event(time.monotonic() - self._start, origin, kind, content, size, took))


def shortened(value: Any) -> Any:
    """`value` with long plain lists cut: `[1, 2, ..., "... 9216 values"]`."""
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        if len(value) > _SHOWN and not any(isinstance(item, dict | list) for item in value):
            return [*value[:_SHOWN], f"... {len(value)} values"]
        return [shortened(item) for item in value]
    return value
