"""What `proxy` tells of one session, event by event, between a client and an .eim that follow a script."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from convert.eim import client as module
from convert.eim import wire
from convert.eim.client import ModelInfo, ProxyEvent, Timeouts, proxy, shortened, talk
from convert.errors import InputError
from tests.eim.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable


def follow(link: socket.socket, script: tuple[bytes | int, ...]) -> None:
    """Send bytes, and wait for numbers of bytes; then close."""
    with link:
        for step in script:
            if isinstance(step, bytes):
                link.sendall(step)
            else:
                left = step
                while left:
                    data = link.recv(left)
                    assert data, "the other side has gone"
                    left -= len(data)


def session(folder: Path, client: tuple[bytes | int, ...], eim: tuple[bytes | int, ...]) -> list[ProxyEvent]:
    """The events of a session."""
    events: list[ProxyEvent] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "eim"))
        server.listen()

        def answers() -> None:
            follow(server.accept()[0], eim)

        def asks() -> None:
            eventually((folder / "s").exists)
            link = socket.socket(socket.AF_UNIX)
            link.connect(str(folder / "s"))
            follow(link, client)

        threads = [threading.Thread(target=each, daemon=True) for each in (answers, asks)]
        for thread in threads:
            thread.start()
        code = proxy(folder / "s", folder / "eim", events.append, start=20)
        for thread in threads:
            thread.join()
    assert code == int(events[-1].origin == "eim")
    assert not (folder / "s").exists()
    assert sorted(events, key=lambda event: event.seconds) == events
    assert all(0 <= event.seconds < 60 for event in events)
    return events


def told(events: list[ProxyEvent]) -> list[tuple[Any, ...]]:
    """Without times; the last says whether a time was measured."""
    return [(each.origin, each.kind, each.content, each.size, each.took is not None) for each in events]


END = ("client", "end", "the client closed the connection", 0, False)
HELLO, ANSWER = b'{"hello":1,"id":1}', b'{"id":1,"a":[1,2,3,4,5,6,7,8,9]}\n\0'


@pytest.mark.usefixtures("in_time")
def test_messages(tmp_path: Path) -> None:
    """One after the other; two in one piece; an answer nobody asked for; what lies between them."""
    both = b'{"id":2}noise{"id":"x"}'
    events = session(
        tmp_path, (HELLO, len(ANSWER), both, 10, 8), (len(HELLO), ANSWER, len(both), b'{"id":2}\n\0', b'{"id":9}')
    )
    assert told(events[:5]) == [
        ("client", "message", {"hello": 1, "id": 1}, 18, False),
        ("eim", "message", {"id": 1, "a": [1, 2, 3, 4, 5, 6, 7, 8, "... 9 values"]}, len(ANSWER), True),
        ("client", "message", {"id": 2}, 8, False), ("client", "message", {"id": "x"}, 10, False),
        ("eim", "message", {"id": 2}, events[4].size, True),
    ]  # fmt: skip
    assert told(events[5:])[0][:3] == ("eim", "message", {"id": 9})
    assert events[5].took is None
    assert (told(events[-1:])[0] == END) or events[-1].origin == "eim"
    assert 0 <= (events[1].took or -1) <= events[1].seconds


@pytest.mark.usefixtures("in_time")
def test_what_is_no_message(tmp_path: Path) -> None:
    long = b"{" + b"\xff" + b"x" * 300 + b"}"
    events = session(
        tmp_path, (long + HELLO, 4, b'{"id":2}', len(ANSWER)), (len(long) + len(HELLO), b"{]}\n", 8, ANSWER)
    )
    assert told(events)[:5] == [
        ("client", "bytes", "{\\xff" + "x" * 198, 303, False), ("client", "message", {"hello": 1, "id": 1}, 18, False),
        ("eim", "bytes", events[2].content, 4, False), ("client", "message", {"id": 2}, 8, False), events_end(events),
    ]  # fmt: skip
    assert events[2].content.startswith("an answer that is not JSON (")
    assert events[2].content.endswith("; the rest is not shown")


def events_end(events: list[ProxyEvent]) -> tuple[Any, ...]:
    """Whichever side is seen to end first."""
    assert told(events)[-1] in (END, ("eim", "end", "the .eim closed the connection", 0, False))
    return told(events)[-1]


@pytest.mark.usefixtures("in_time")
def test_a_message_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LIMIT", 50)
    endless = b"{" + b"x" * 60
    events = session(tmp_path, (endless, 8, HELLO, 2), (len(endless), b'{"id":3}', len(HELLO), b"ok"))
    assert told(events)[:-1] == [
        ("client", "bytes", "more than 32 MiB without a whole message; the rest is not shown", 61, False),
        ("eim", "message", {"id": 3}, 8, False),
    ]  # fmt: skip
    events_end(events)


@pytest.mark.usefixtures("in_time")
def test_the_eim_ends_first(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "eim"))
        server.listen()
        said: list[ProxyEvent] = []
        links: list[socket.socket] = []

        def asks() -> None:
            eventually((tmp_path / "s").exists)
            link = socket.socket(socket.AF_UNIX)
            link.connect(str(tmp_path / "s"))
            links.append(link)
            server.accept()[0].close()

        thread = threading.Thread(target=asks, daemon=True)
        thread.start()
        assert proxy(tmp_path / "s", tmp_path / "eim", said.append) == 1
        thread.join()
        links[0].close()
    assert told(said) == [("eim", "end", "the .eim closed the connection", 0, False)]


def test_shortened() -> None:
    assert shortened([1] * 8) == [1] * 8
    assert shortened([1] * 9) == [1] * 8 + ["... 9 values"]
    assert shortened([[1] * 9, {"a": ["x"] * 10}]) == [[1] * 8 + ["... 9 values"], {"a": ["x"] * 8 + ["... 10 values"]}]
    assert shortened([1] * 9 + [[2]]) == [1] * 9 + [[2]]
    assert shortened("x" * 99) == "x" * 99


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ModelInfo(0, 0, (), 0, 0, 0, None, "classification", (), {})),
        (
            {"input_features_count": 6, "slice_size": 2, "labels": ["a", "5"], "image_input_width": 3,
             "image_input_height": 2, "image_channel_count": 1, "image_resize_mode": "squash",
             "model_type": "object_detection", "thresholds": [{"id": 1}]},
            ModelInfo(6, 2, ("a", "5"), 3, 2, 1, "squash", "object_detection", ({"id": 1},), {}),
        ),
        (
            {"image_input_height": 2.0, "image_resize_mode": 1, "model_type": None},
            ModelInfo(0, 0, (), 0, 2, 0, None, "classification", (), {}),
        ),
    ],
)  # fmt: skip
def test_what_a_hello_answer_says(
    parameters: dict[str, Any], expected: ModelInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = {"id": 1, "success": True, "model_parameters": parameters}
    with scripted(monkeypatch, tmp_path, answer) as client:
        assert client.model == module.ModelInfo(**{**as_fields(expected), "raw": answer})
        assert client._memory is None
    assert PIPES[-1].sent == [(tmp_path, 30.0, False), {"hello": 1, "id": 1}]
    assert PIPES[-1].times == [190.0]


def as_fields(model: ModelInfo) -> dict[str, Any]:
    return {name: getattr(model, name) for name in ModelInfo.__slots__}


class Pipe:
    """A transport that gives answers in order and keeps what is sent."""

    def __init__(self, *answers: Any) -> None:
        self.answers: list[bytes] = [json.dumps(each).encode() for each in answers]
        self.sent: list[Any] = []
        self.times: list[float] = []

    def send(self, data: bytes, deadline: float) -> None:
        assert data.endswith(b"\n")
        self.sent.append(json.loads(data))
        self.times.append(deadline)

    def receive(self, deadline: float) -> bytes:
        assert deadline == self.times[-1], "one limit for question and answer"
        return self.answers.pop(0)

    def remember(self, memory: str) -> None:
        self.sent.append(memory)


PIPES: list[Pipe] = []


def scripted(monkeypatch: pytest.MonkeyPatch, target: Path, *answers: Any, **options: Any) -> Any:
    """`talk` with a transport that answers so; it is the last of `PIPES`."""
    pipe = Pipe(*answers)
    PIPES.append(pipe)

    @contextlib.contextmanager
    def opened(path: Path, seconds: float, *, stdio: bool) -> Any:
        pipe.sent.append((path, seconds, stdio))
        yield pipe

    monkeypatch.setattr(module, "opened", opened)
    monkeypatch.setattr("convert.eim.client.time", SimpleNamespace(monotonic=lambda: 100.0))
    return talk(target, **options)


GREETING = {"id": 1, "success": True, "model_parameters": {}}


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import numpy as np

    good = {"success": True, "result": {"a": 1}}
    answers = [GREETING, *({**good, "id": number} for number in range(2, 8))]
    limits = Timeouts(start=3.0, answer=4.0)
    with scripted(monkeypatch, tmp_path, *answers, limits=limits, stdio=True) as client:
        assert client.classify(np.array([1, 2, -3], np.float64)).result == {"a": 1}
        client.classify(np.array([0.5, 2]))
        client.classify_slice(np.array([1 << 31, 7.0]))
        client.classify_slice(np.array([(1 << 31) - 128, 7.0]))
        client.set_threshold(3, "min_score", 0.25)
    pipe = PIPES[-1]
    assert pipe.sent == [
        (tmp_path, 3.0, True), {"hello": 1, "id": 1}, {"classify": [1, 2, -3], "id": 2},
        {"classify": [0.5, 2.0], "id": 3}, {"classify_continuous": [2147483648.0, 7.0], "id": 4},
        {"classify_continuous": [2147483520, 7], "id": 5}, {"set_threshold": {"id": 3, "min_score": 0.25}, "id": 6},
    ]  # fmt: skip
    assert [type(each) for each in pipe.sent[2]["classify"]] == [int] * 3
    assert [type(each) for each in pipe.sent[4]["classify_continuous"]] == [float] * 2
    assert pipe.times == [107.0, *[104.0] * 5]
    assert Timeouts() == Timeouts(30.0, 60.0)


def test_memory_that_is_offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is used as far as it reaches, and given back."""
    import mmap

    import numpy as np

    memory = mmap.mmap(-1, 8)
    offered = {"name": "/m", "size_bytes": 8}
    good: list[Any] = [{"success": True, "result": {}, "id": number} for number in (2, 3, 4)]
    monkeypatch.setattr(module, "attach", lambda described: memory if described == offered else None)
    with scripted(monkeypatch, tmp_path, {**GREETING, "features_shm": offered}, *good) as client:
        assert client._memory
        client.classify(np.array([1.5, 2.5]))
        assert np.frombuffer(memory[:], np.float32).tolist() == [1.5, 2.5]
        client.classify_slice(np.array([3.5]))
        assert np.frombuffer(memory[:], np.float32).tolist() == [3.5, 2.5]
        client.classify(np.array([1.5, 2.5, 3.5]))
    assert memory.closed
    assert PIPES[-1].sent[2:] == [
        "/m", {"classify_shm": {"elements": 2}, "id": 2}, {"classify_continuous_shm": {"elements": 1}, "id": 3},
        {"classify": [1.5, 2.5, 3.5], "id": 4},
    ]  # fmt: skip
    with scripted(monkeypatch, tmp_path, {**GREETING, "features_shm": offered}, shared=False) as client:
        assert client._memory is None
    with scripted(monkeypatch, tmp_path, {**GREETING, "features_shm": [1]}) as client:
        assert client._memory is None


SHOWS = (
    "`ei-deepstream eim proxy '/tmp/-m m-watch.sock' './-m m.eim'` shows the messages of a client of "
    "'/tmp/-m m-watch.sock'"
)
INVALID = f"this is no .eim, or a damaged one; {SHOWS}"


def placed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A file whose name has to be quoted to be typed."""
    monkeypatch.chdir(folder)
    Path("-m m.eim").touch()
    return Path("-m m.eim")


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        ({"success": True}, 'the hello answer holds no model_parameters: {"success": true}', INVALID),
        ({"success": True, "id": 2}, "the answer to message 1 has the id 2", INVALID),
        ({"success": True, "id": None}, "the answer to message 1 has the id null", INVALID),
        ({"success": 1, "error": "Oh"}, "the .eim answers: Oh", SHOWS),
        (
            {"success": False, "error": 3},
            'the .eim answers no success, and no reason: {"success": false, "error": 3}',
            SHOWS,
        ),
    ],
)
def test_answers_that_are_refused(
    answer: dict[str, Any], message: str, hint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    target = placed(monkeypatch, tmp_path)
    with pytest.raises(InputError) as caught, scripted(monkeypatch, target, answer):
        pass
    assert (caught.value.message, caught.value.hint, caught.value.path) == (message, hint, str(target))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"slice_size": True}, "slice_size is true"), ({"slice_size": -1}, "slice_size is -1"),
        ({"slice_size": "3"}, 'slice_size is "3"'), ({"slice_size": None}, "slice_size is null"),
        ({"slice_size": 1.5}, "slice_size is 1.5"), ({"slice_size": [1]}, "slice_size is [1]"),
        ({"labels": {"a": 1}}, 'labels are {"a": 1}'), ({"labels": ["a", 5]}, 'labels are ["a", 5]'),
        ({"thresholds": [7]}, "thresholds are [7]"),
        ({"image_input_width": 50_000, "image_input_height": 50_000}, "pictures have 50000x50000 pixels"),
    ],
)  # fmt: skip
def test_a_hello_that_is_refused(
    parameters: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = {"success": True, "model_parameters": parameters}
    with pytest.raises(InputError) as caught, scripted(monkeypatch, tmp_path, answer):
        pass
    assert caught.value.message.startswith(f'the hello answer\'s {message}: {{"success": true, "model_par')


def raising(error: Exception) -> Callable[..., Any]:
    def receive(_deadline: float) -> bytes:
        raise error

    return receive


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (module.AnswerTimeout(), "no answer to hello within 7 s", f"allow more with --timeout; {SHOWS}"),
        (module.TransportClosed("ended with status 3"), "the .eim ended with status 3",
         "what it printed may say why; `ei-deepstream eim inspect './-m m.eim'` says what it needs"),
    ],
)  # fmt: skip
def test_no_answer(error: Exception, message: str, hint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    target = placed(monkeypatch, tmp_path)
    conversation = scripted(monkeypatch, target, limits=Timeouts(3.0, 4.0))
    monkeypatch.setattr(PIPES[-1], "receive", raising(error), raising=False)
    with pytest.raises(InputError) as caught, conversation:
        pass
    assert (caught.value.message, caught.value.hint, caught.value.path) == (message, hint, str(target))


def test_hints_about_a_socket(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server with one client has ended, and removed it, when the command of the hint is typed."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        with pytest.raises(InputError) as caught, scripted(monkeypatch, path, {"success": False, "error": "Oh"}):
            pass
        watched = "/tmp/s-watch.sock"
        typed = f"`ei-deepstream eim proxy {watched} {path}` shows the messages of a client of {watched}"
        assert caught.value.hint == f"while an .eim serves this socket, {typed}"
        with scripted(monkeypatch, path, GREETING, {"success": False, "error": "Oh"}) as client:
            path.unlink()
            with pytest.raises(InputError) as caught:
                client.set_threshold(3, "min_score", 0.5)
        typed = f"`ei-deepstream eim inspect --hello {path}` shows the model's parameters"
        assert caught.value.hint == f"while an .eim serves this socket, {typed}"
        conversation = scripted(monkeypatch, path)
        monkeypatch.setattr(PIPES[-1], "receive", raising(module.TransportClosed("went")), raising=False)
        with pytest.raises(InputError, match="eim went") as caught, conversation:
            pass
        assert caught.value.hint == "what it printed where it was started may say why"
