"""Between a client and an .eim: nothing is changed, everything is shown."""

from __future__ import annotations

import json
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convert.eim.client import RequestRefused, shortened, talk
from tests.eim.recorded import exchanges, plain
from tests.eim.test_recorded import received

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.eim.processes import Served, Servers


def started(servers: Servers, target: Path, *options: str) -> tuple[subprocess.Popen[bytes], Path]:
    path = servers.folder / "proxy.sock"
    command = [sys.executable, "-P", "-m", "convert", "eim", "proxy", *options, path, target]
    return servers.start(*command, wait_for=path), path


def events(process: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
    assert process.stdout
    return [json.loads(line) for line in process.stdout.read().splitlines()]


def test_what_is_shown(made: dict[str, Path], servers: Servers) -> None:
    process, path = started(servers, made["fomo.eim"], "--format", "json")
    with talk(path, shared=False) as client:
        client.classify(np.zeros(9216, np.float32))
        with pytest.raises(RequestRefused):
            client.classify(np.zeros(3, np.float32))
    assert process.wait(10) == 0
    assert not path.exists()
    said = events(process)
    assert [(event["from"], event["kind"]) for event in said] == [("client", "message"), ("eim", "message")] * 3 + [
        ("client", "end")
    ]
    assert said[2]["content"] == {"classify": [0] * 8 + ["... 9216 values"], "id": 2}
    assert said[3]["content"]["result"] == {"bounding_boxes": []}
    assert said[2]["bytes"] > 9216 * 2
    assert 0 < said[3]["took"] < 60
    assert all(0 <= event["seconds"] < 600 for event in said)
    assert "expected 9216 but got 3" in said[5]["content"]["error"]


def test_for_people(served: Served, servers: Servers) -> None:
    process, path = started(servers, served("gray"))
    with talk(path) as client:
        client.classify(np.zeros(64, np.float32))
    assert process.wait(10) == 0
    assert process.stdout
    lines = process.stdout.read().decode().splitlines()
    assert len(lines) == 5
    assert ' -> 18 bytes  {"hello": 1, "id": 1}' in lines[0]
    assert " ms  {" in lines[1]


def test_every_byte_goes_through(vectors: Path, served: Served, servers: Servers) -> None:
    """The recorded exchanges, noise and all."""
    process, path = started(servers, served("fomo"))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        for exchange in exchanges(vectors / "eim" / "raw-2026.txt"):
            connection.sendall(exchange.sent)
            answers = received(connection, exchange.answers.count(b"\n\0"))
            assert plain(answers) == plain(exchange.answers), exchange.title
    assert process.wait(10) == 0


def test_to_a_running_eim(served: Served, servers: Servers) -> None:
    process, path = started(servers, served("fomo"), "--format", "json")
    with talk(path) as client:
        assert client.model.labels == ("face",)
    assert process.wait(10) == 0
    with talk(served("fomo")) as client:
        assert client.model.labels == ("face",), "it runs on"


def test_an_eim_that_dies(made: dict[str, Path], servers: Servers) -> None:
    server, target = servers.serve(made["fomo"])
    process, path = started(servers, target, "--format", "json")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b'{"hello":1,"id":1}')
        received(connection, 1)
        server.kill()
        assert connection.recv(1) == b""
    assert process.wait(10) == 1
    assert events(process)[-1]["content"] == "the .eim closed the connection"


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ('link.sendall(b\'{"id":2,"success":true}\\n\\0\'); os.kill(os.getpid(), 9)', "the .eim was killed by SIGKILL"),
        ("link.sendall(b'{\"id\":2,'); print('no memory', flush=True); sys.exit(3)", "status 3; it printed: no memory"),
        ("time.sleep(60)", "no answer of the .eim within 0.7 s"),
    ],
)
def test_an_eim_that_fails(servers: Servers, last: str, said: str) -> None:
    """What it still answered is passed on and shown, whole or not."""
    eim = servers.folder / "m.eim"
    eim.write_text(
        f"#!{sys.executable} -S\nimport os, socket, sys, time\nserver = socket.socket(socket.AF_UNIX)\n"
        f"server.bind(sys.argv[1])\nserver.listen()\nlink, _ = server.accept()\nlink.recv(99)\n{last}\n"
    )
    eim.chmod(0o755)
    process, path = started(servers, eim, "--format", "json", "--timeout", "0.7" if "sleep" in last else "20")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b'{"classify":[1],"id":2}')
        assert process.wait(10) == 1
    shown = events(process)
    assert shown[-1]["kind"] == "end"
    assert said in shown[-1]["content"]
    between = [event["content"] for event in shown[1:-1]]
    expected = ['an answer that is not complete: {"id":2,'] if "status" in said else [{"id": 2, "success": True}]
    assert between == ([] if "sleep" in last else expected)


def test_a_client_that_only_listens_on_gets_its_answer(served: Served, servers: Servers) -> None:
    """As `nc -N` does: it says that it has nothing more to ask, and waits."""
    process, path = started(servers, served("gray"), "--format", "json")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b'{"hello":1,"id":1}')
        connection.shutdown(socket.SHUT_WR)
        assert received(connection, 1).startswith(b'{"features_shm"')
    assert process.wait(10) == 0
    assert [event["kind"] for event in events(process)] == ["message", "message", "end"]


def test_a_socket_that_cannot_be_made_is_named_as_the_user_did(servers: Servers) -> None:
    process = servers.start(sys.executable, "-P", "-m", "convert", "eim", "proxy", "none/a.sock", "none/m.eim")
    assert process.wait(20) == 3
    assert process.stdout
    assert process.stdout.read().startswith(b"error: none/a.sock: cannot make the socket")


def test_ctrl_c(made: dict[str, Path], servers: Servers) -> None:
    """Other signals: `tests/eim/test_signals.py`."""
    process, path = started(servers, made["fomo.eim"])
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert not path.exists()


def test_what_cannot_be_started(servers: Servers) -> None:
    bad = servers.folder / "bad.eim"
    bad.write_text("text")
    process = servers.start(sys.executable, "-P", "-m", "convert", "eim", "proxy", servers.folder / "s", bad)
    assert process.wait(20) == 3
    assert not (servers.folder / "s").exists()


def test_long_lists_are_cut() -> None:
    assert shortened({"a": [1] * 9, "b": [{"c": 1}] * 9}) == {"a": [1] * 8 + ["... 9 values"], "b": [{"c": 1}] * 9}
