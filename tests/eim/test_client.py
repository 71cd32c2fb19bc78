"""Our client against programs that misbehave in every way: it always ends, and says why."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.eim import client as module
from convert.eim.client import RequestRefused, Timeouts, talk
from convert.eim.wire import FOLDER
from convert.errors import InputError
from convert.files import is_running
from tests.eim import bundles
from tests.eim.processes import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.eim.processes import Served, Servers

SHORT = Timeouts(start=3, answer=0.5)
HELLO = (
    b'{"id":1,"success":true,"model_parameters":{"input_features_count":4,"labels":["a"],'
    b'"image_input_width":2,"image_input_height":2,"image_channel_count":3}}\n\0'
)
FOUR = np.zeros(4, np.float32)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], Path]:
    """An executable of some lines of Python; `link` is the connection to its client."""

    def write(body: str, listen: bool = True) -> Path:
        path = tmp_path / "fake.eim"
        head = ["import os, signal, socket, sys, time", f"HELLO = {HELLO!r}"]
        if listen:
            head += [
                "server = socket.socket(socket.AF_UNIX)",
                "server.bind(sys.argv[1])",
                "server.listen()",
                "link, _ = server.accept()",
            ]
        path.write_text("\n".join([f"#!{sys.executable} -S", *head, body]))
        path.chmod(0o755)
        return path

    return write


@pytest.mark.parametrize(("stdio", "shared"), [(False, True), (True, False)])
def test_it_asks_our_servers(made: dict[str, Path], stdio: bool, shared: bool) -> None:
    with talk(made["fomo.eim"], stdio=stdio, shared=shared) as client:
        memory = FOLDER / client.model.raw["features_shm"]["name"][1:]
        assert memory.exists()
        assert (client._memory is not None) is shared
        assert (client.model.width, client.model.height, client.model.labels) == (96, 96, ("face",))
        features = np.zeros(9216, np.float32)
        features[:8] = 0x00FF00
        features[96 : 8 * 96] = np.tile(features[:96], 7)
        (box,) = client.classify(features).result["bounding_boxes"]
        assert (box["x"], box["y"], box["width"], box["height"]) == (0, 0, 8, 8)
        with pytest.raises(RequestRefused, match=r"expected 9216,? but got 5"):
            client.classify(features[:5])
        with pytest.raises(RequestRefused, match="error code was -5"):
            client.classify_slice(features[:2304])
        client.set_threshold(18, "min_score", 1.1)
        assert client.classify(features).result["bounding_boxes"] == []
        with pytest.raises(RequestRefused, match="-34"):
            client.set_threshold(18, "nope", 1.0)
    assert not memory.exists()


def test_it_asks_a_running_server(made: dict[str, Path], servers: Servers) -> None:
    process, path = servers.serve(made["gray"], "--keep")
    for _ in range(2):
        with talk(path) as client:
            assert client.model.channels == 1
            scores = client.classify(np.full(64, 0xFFFFFF, np.float32)).result["classification"]
            assert max(scores, key=scores.get) == "red"
    assert process.poll() is None
    process.kill()
    process.wait()
    with pytest.raises(InputError, match=r"^nobody answers on this socket: Connection refused$") as caught, talk(path):
        pass
    assert caught.value.hint == "start the .eim with this socket first; a second client finds no place"


@pytest.mark.parametrize(
    ("said", "timing"), [('{"dsp":2,"classification":4}', {"dsp": 2, "classification": 4}), ("7", {})]
)
def test_timing_is_given_as_it_came(program: Callable[..., Path], said: str, timing: dict[str, int]) -> None:
    answer = f'{{"id":2,"success":true,"result":{{"classification":{{"a":1}}}},"timing":{said}}}\n\0'.encode()
    body = (
        f"link.recv(99); link.sendall(HELLO); link.recv(99); time.sleep(0.1); link.sendall({answer!r}); link.recv(99)"
    )
    with talk(program(body)) as client:
        reply = client.classify(FOUR)
    assert reply.timing == timing
    assert reply.result == {"classification": {"a": 1}}
    assert 0.1 <= reply.seconds < 60


def hint_for(path: Path, kind: str) -> str:
    """What helps where a program ends, says nothing, says something else, refuses, or does not listen."""
    watch = (
        f"`ei-deepstream eim proxy /tmp/fake-watch.sock {path}` shows the messages of a client of /tmp/fake-watch.sock"
    )
    return {
        "printed": f"what it printed may say why; `ei-deepstream eim inspect {path}` says what it needs",
        "late": f"allow more with --timeout; {watch}",
        "damaged": f"this is no .eim, or a damaged one; {watch}",
        "refused": watch,
        "slow": "allow more with --timeout",
    }[kind]


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("sys.exit(3)", "the .eim ended with status 3", "printed"),
        ("link.recv(99); print('out of memory', flush=True); sys.exit(4)",
         "the .eim ended with status 4; it printed: out of memory",
         "printed"),
        ("link.recv(99); os.kill(os.getpid(), 11)", "the .eim was killed by SIGSEGV", "printed"),
        ("link.recv(99); link.sendall(HELLO[:50]); sys.exit(0)", "the .eim ended with status 0", "printed"),
        ("link.recv(99); link.sendall(HELLO); link.recv(99); link.sendall(b'{\"id\":2,'); sys.exit(0)",
         "the .eim ended with status 0",
         "printed"),
        ("link.recv(99); link.close(); server.close(); time.sleep(60)", "the .eim closed the connection and still runs",
         "printed"),
        ("time.sleep(60)", "no answer to hello within 3.5 s", "late"),
        ("link.recv(99); link.sendall(HELLO); time.sleep(60)", "no answer to classify within 0.5 s", "late"),
        ("link.recv(99); link.sendall(HELLO[:-9]); time.sleep(60)", "no answer to hello within 3.5 s", "late"),
        ("link.recv(99); link.sendall(b'{]}'); time.sleep(60)",
         "an answer that is not JSON (...): {]}",
         "damaged"),
        ("link.recv(99); link.sendall(b'{}'); time.sleep(60)", "the .eim answers no success, and no reason: {}",
         "refused"),
        ("link.recv(99); link.sendall(b'{\"id\":7,\"success\":true}'); time.sleep(60)",
         "the answer to message 1 has the id 7", "damaged"),
        ("link.recv(99); link.sendall(b'{\"id\":1,\"success\":true}'); time.sleep(60)",
         'the hello answer holds no model_parameters: {"id": 1, "success": true}', "damaged"),
        ("link.recv(99); link.sendall(b'{\"success\":false,\"error\":\"Oh\"}'); time.sleep(60)",
         "the .eim answers: Oh", "refused"),
        ("link.recv(99); link.sendall(HELLO); link.recv(99); link.sendall(b'{\"success\":true}')",
         'its answer holds no result: {"success": true}', "damaged"),
    ],
)  # fmt: skip
def test_programs_that_misbehave(program: Callable[..., Path], body: str, message: str, hint: str) -> None:
    path = program(body)
    start = time.monotonic()
    with pytest.raises(InputError) as caught, talk(path, limits=SHORT) as client:
        client.classify(FOUR)
    told = re.sub(r"JSON \(.*\):", "JSON (...):", caught.value.message)  # in the words of Python's json
    assert (told, caught.value.path) == (message, str(path))
    assert caught.value.hint == hint_for(path, hint)
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("sys.exit(5)", "the .eim ended with status 5", "printed"),
        ("os.kill(os.getpid(), 9)", "the .eim was killed by SIGKILL", "printed"),
        ("os.kill(os.getpid(), 40)", "the .eim was killed by signal 40", "printed"),
        ("print('no socket here', flush=True); time.sleep(60)",
         "the .eim does not listen in time", "slow"),
        ("server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); time.sleep(60)",
         "the .eim does not listen in time", "slow"),
    ],
)  # fmt: skip
def test_programs_that_do_not_listen(program: Callable[..., Path], body: str, message: str, hint: str) -> None:
    path = program(body, listen=False)
    with pytest.raises(InputError) as caught, talk(path, limits=Timeouts(0.7, 0.5)):
        pass
    assert (caught.value.message, caught.value.hint) == (message, hint_for(path, hint))


def test_answers_as_they_should_not_be(program: Callable[..., Path]) -> None:
    """No NUL, a label with a brace, noise around, no id: every one can still be read."""
    hello = HELLO.rstrip(b"\0\n").replace(b'"a"', b'"}{a"')
    path = program(
        f"link.recv(99); link.sendall(b'noise' + {hello!r} + b'noise\\0')\n"
        'link.recv(9999); link.sendall(b\'{"success":true,"result":{"classification":{}}}\'); time.sleep(60)'
    )
    with talk(path, limits=SHORT) as client:
        assert client.model.labels == ("}{a",)
        assert client.classify(FOUR).result == {"classification": {}}


def test_no_child_and_no_memory_is_left(program: Callable[..., Path]) -> None:
    name = f"shm-test-{os.getpid()}"
    offered = HELLO.replace(
        b'"success"', b'"features_shm":{"name":"/%s","size_bytes":16,"elements":4},"success"' % name.encode()
    )
    path = program(
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"open('/dev/shm/{name}', 'wb').write(b'x' * 16)\n"
        f"link.recv(99); link.sendall({offered!r})\n"
        f"open(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(600)"
    )
    with talk(path, limits=SHORT) as client:
        assert client._memory
        pid = int(eventually_read(path.with_name("fake.eim.pid")))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not (FOLDER / name).exists()


def test_what_a_program_starts_ends_with_it(program: Callable[..., Path]) -> None:
    path = program(
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "if not os.fork():\n"
        "    open(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))\n"
        "    time.sleep(600)\n"
        "link.recv(99); link.sendall(HELLO); link.recv(99)"
    )
    with talk(path, limits=SHORT):
        pid = int(eventually_read(path.with_name("fake.eim.pid")))
    eventually(lambda: not is_running(pid))


@pytest.mark.parametrize(
    ("cleans", "handler"),
    [(True, "lambda *_: (time.sleep(0.5), os.unlink(MEMORY), os._exit(0))"), (False, "signal.SIG_IGN")],
)
def test_what_a_script_starts_gets_time_to_end(
    program: Callable[..., Path], tmp_path: Path, cleans: bool, handler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script itself ends at once; its memory is removed by the program, or else here."""
    monkeypatch.setattr(module, "_GRACE", 3.0 if cleans else 1.0)
    memory = FOLDER / f"shm-test-{os.getpid()}"
    offered = f'"features_shm":{{"name":"/{memory.name}","size_bytes":16,"elements":4}},"success"'
    hello = HELLO.replace(b'"success"', offered.encode())
    path = program(
        f"MEMORY = {str(memory)!r}\n"
        "open(MEMORY, 'wb').write(bytes(16))\n"
        f"signal.signal(signal.SIGINT, {handler})\n"
        "open(sys.argv[0] + '.pid', 'w').write(str(os.getpid()))\n"
        f"link.recv(99); link.sendall({hello!r}); time.sleep(600)"
    )
    script = tmp_path / "script.eim"
    script.write_text(f'#!/bin/sh\ntrap "exit 0" INT TERM\n{path} "$@" &\nwait\n')
    script.chmod(0o755)
    removed: list[Path] = []
    unlink = Path.unlink

    def noted(path: Path, missing_ok: bool = False) -> None:
        removed.append(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", noted)
    with talk(script) as client:
        assert client._memory
        pid = int(eventually_read(path.with_name("fake.eim.pid")))
        assert memory.exists()
    assert not is_running(pid)
    assert not memory.exists()
    assert (memory in removed) is not cleans


def test_no_signal_goes_to_a_number_that_may_be_anothers(
    program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that has ended keeps its number until all is done."""
    sent: dict[int, bool] = {}
    kill = os.killpg

    def killpg(group: int, number: int) -> None:
        sent[group] = os.getpgid(group) == group and sent.get(group, True)
        kill(group, number)

    monkeypatch.setattr(os, "killpg", killpg)
    for body, listen, how in ("sys.exit(5)", False, "status 5"), ("sys.exit(3)", True, "status 3"):
        with pytest.raises(InputError, match=how), talk(program(body, listen)):
            pass
    assert len(sent) == 2
    assert all(sent.values())
    for number in sent:  # none is left
        with pytest.raises(ChildProcessError):
            os.waitpid(number, os.WNOHANG)


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
def test_what_cannot_be_ended_is_not_waited_for(
    program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a program of another user, which the file starts by sudo."""

    def killpg(_group: int, number: int) -> None:
        raise PermissionError(number)

    monkeypatch.setattr(os, "killpg", killpg)
    monkeypatch.setattr(module, "_GRACE", 0.2)
    path = program("open(sys.argv[0] + '.pid', 'w').write(str(os.getpid())); link.recv(99); link.sendall(HELLO)")
    path.write_text(path.read_text() + "\ntime.sleep(20)")
    start = time.monotonic()
    with talk(path):
        pid = int(eventually_read(path.with_name("fake.eim.pid")))
    assert time.monotonic() - start < 10
    assert capsys.readouterr().err == f"warning: process {pid} still runs: it could not be ended\n"
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def test_a_message_that_is_too_long_is_not_sent(program: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """An executable ends at 32 MiB, here at fewer bytes; the session goes on."""
    monkeypatch.setattr(module, "LIMIT", 9999)
    path = program("link.recv(99); link.sendall(HELLO)\nwhile data := link.recv(9999): link.sendall(ANSWER)")
    path.write_text(path.read_text().replace("ANSWER", repr(b'{"success":true,"result":{}}')))
    with talk(path, limits=SHORT) as client:
        with pytest.raises(RequestRefused, match="bytes in one message would end it"):
            client.classify(np.full(1000, 0xFFFFFFFF, np.float32))
        assert not client.is_broken
        assert client.classify(FOUR).result == {}


def eventually_read(path: Path) -> str:
    eventually(lambda: path.exists() and path.read_text())
    return path.read_text()


def test_what_cannot_be_started(tmp_path: Path) -> None:
    for name, data, mode in (("not.eim", b"data", 0o644), ("bad.eim", b"\x7fELF" + bytes(60), 0o755)):
        path = tmp_path / name
        path.write_bytes(data)
        path.chmod(mode)
        with pytest.raises(InputError, match=r"^cannot be started: \w") as caught, talk(path):
            pass
        assert caught.value.hint == f"`ei-deepstream eim inspect {path}` says why"
    with pytest.raises(InputError, match=r"^cannot be read: No such file") as caught, talk(tmp_path / "nothing"):
        pass
    assert caught.value.hint == "give an .eim file or a socket"


def test_a_socket_of_a_long_path(made: dict[str, Path], servers: Servers, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 150)
    folder.mkdir()
    servers.start(made["classifier.eim"], folder / "a.sock", wait_for=folder / "a.sock")
    with talk(folder / "a.sock") as client:
        assert client.model.features == 64
    servers.start(made["classifier.eim"], folder / "b.sock", wait_for=folder / "b.sock")
    with (
        pytest.raises(InputError, match=r"^a running \.eim has no standard input left$") as caught,
        talk(folder / "b.sock", stdio=True),
    ):
        pass
    assert caught.value.hint == "leave --stdin out"


def test_a_server_that_stops_reading(tmp_path: Path) -> None:
    """A large frame that nobody takes must not block for ever."""
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        links = []

        def serve() -> None:
            link, _ = server.accept()
            links.append(link)
            link.recv(99)
            link.sendall(HELLO)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(InputError, match="no answer to classify"), talk(path, limits=SHORT) as client:
            client.classify(np.zeros(1_000_000, np.float32))
        thread.join()
        links[0].close()


def test_a_signal_ends_the_child_too(made: dict[str, Path], servers: Servers) -> None:
    """Ctrl-C while a picture is being classified."""
    script = (
        "import pathlib, sys, time\nfrom convert.eim.client import talk\n"
        "with talk(pathlib.Path(sys.argv[1])) as client:\n"
        "    pathlib.Path(sys.argv[2]).write_text(client.model.raw['features_shm']['name'])\n    time.sleep(60)"
    )
    mark = servers.folder / "mark"
    process = servers.start(sys.executable, "-c", script, made["classifier.eim"], mark, wait_for=mark)
    memory = FOLDER / eventually_read(mark)[1:]
    assert memory.exists()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) != 0
    assert not memory.exists()


def test_features_of_a_picture_model(served: Served) -> None:
    sketch = bundles.fomo()
    assert sketch.shape == (3, 96, 96)
    with talk(served("fomo")) as client:
        assert client.model.kind == "constrained_object_detection"
        assert client.model.slice == 2304
        assert client.model.thresholds == ({"id": 18, "min_score": 0.5, "type": "object_detection"},)
