"""Servers as processes: how they start, how they end, and that they leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.eim.wire import FOLDER, connected, remove_leftovers
from convert.files import sha256
from tests.eim import bundles
from tests.eim.processes import eventually, memory_of

if TYPE_CHECKING:
    from tests.eim.processes import Served, Servers

HELLO = b'{"hello":1,"id":1}'
_talks: list[socket.socket] = []


class Talk:
    """A client that is as simple as can be."""

    def __init__(self, path: Path) -> None:
        self.socket = connected(path, 20)
        _talks.append(self.socket)

    def ask(self, message: object) -> dict[str, Any]:
        self.socket.sendall(message if isinstance(message, bytes) else json.dumps(message).encode())
        data = b""
        while not data.endswith(b"\0"):
            chunk = self.socket.recv(1 << 16)
            assert chunk, "the server closed the connection"
            data += chunk
        answer = json.loads(data[:-1])
        assert isinstance(answer, dict)
        return answer


@pytest.fixture(autouse=True)
def closed() -> Any:
    """Connections are closed."""
    yield
    while _talks:
        _talks.pop().close()


def test_one_client_then_the_end(made: dict[str, Path], servers: Servers) -> None:
    process, path = servers.serve(made["classifier"])
    talk = Talk(path)
    shared = talk.ask(HELLO)["features_shm"]
    memory = FOLDER / shared["name"][1:]
    assert memory.stat().st_size == shared["size_bytes"] == 4 * shared["elements"] == 256
    assert memory.stat().st_mode & 0o777 == 0o600
    memory.write_bytes(struct.pack("<64f", *[0x0000FF] * 64))
    result = talk.ask({"classify_shm": {"elements": 64}, "id": 2})["result"]
    assert max(result["classification"], key=result["classification"].get) == "blue"
    talk.socket.close()
    assert process.wait(10) == 0
    assert not path.exists()
    assert not memory.exists()


def test_a_second_client_is_refused_at_once(made: dict[str, Path], servers: Servers) -> None:
    _, path = servers.serve(made["classifier"])
    talk = Talk(path)
    talk.ask(HELLO)
    with pytest.raises(ConnectionRefusedError):
        Talk(path)
    assert talk.ask({"x": 1, "id": 2})["error"] == "Failed to handle message"


def test_kept_it_serves_one_after_the_other(made: dict[str, Path], servers: Servers) -> None:
    process, path = servers.serve(made["fomo"], "--keep")
    first, second = Talk(path), Talk(path)
    second.socket.sendall(HELLO)
    shared = first.ask(HELLO)["features_shm"]
    first.ask({"set_threshold": {"id": 18, "min_score": 0.99}, "id": 2})
    memory = FOLDER / shared["name"][1:]
    memory.write_bytes(b"\x01" * shared["size_bytes"])
    first.socket.close()
    greeting = second.ask(b" ")
    assert greeting["success"], "another conversation, with its own hello"
    assert greeting["model_parameters"]["thresholds"][0]["min_score"] == 0.5
    assert not any(memory.read_bytes()), "the last client's picture is gone"
    second.socket.close()
    Talk(path).ask(HELLO)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 143


@pytest.mark.parametrize(("number", "connect"), [(signal.SIGINT, True), (signal.SIGTERM, True), (signal.SIGHUP, False)])
def test_signals(made: dict[str, Path], servers: Servers, number: signal.Signals, connect: bool) -> None:
    process, path = servers.serve(made["classifier"])
    memory = memory_of(process)
    if connect:
        talk = Talk(path)
        talk.ask(HELLO)
    process.send_signal(number)
    assert process.wait(10) == 128 + number
    assert not path.exists()
    assert not memory.exists()


def test_a_signal_in_the_middle_of_the_end(made: dict[str, Path], servers: Servers) -> None:
    """The official Python client closes the connection and sends SIGINT in the same breath."""
    for number, delay in enumerate((0, 0.001, 0.005)):
        path = servers.folder / f"{number}.sock"
        process = servers.start(made["classifier.eim"], path, wait_for=path)
        talk = Talk(path)
        memory = FOLDER / talk.ask(HELLO)["features_shm"]["name"][1:]
        talk.socket.close()
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) in {0, 130, 143}
        assert not path.exists()
        assert not memory.exists()


def test_what_a_killed_server_leaves_the_next_removes(made: dict[str, Path], servers: Servers) -> None:
    process, path = servers.serve(made["classifier"])
    memory = FOLDER / Talk(path).ask(HELLO)["features_shm"]["name"][1:]
    process.kill()
    process.wait(10)
    part = path.with_name(f".{path.name}.{process.pid}.part")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(part))
    assert path.exists()
    assert memory.exists()
    again = servers.start(made["classifier.eim"], path)
    eventually(lambda: not part.exists() and not memory.exists())
    eventually(lambda: _listens(path))
    again.send_signal(signal.SIGINT)
    assert again.wait(10) == 130
    assert not path.exists()


def _listens(path: Path) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        return bool(Talk(path).ask(HELLO)["success"])
    return False


def test_memory_of_living_servers_is_left_alone(served: Served) -> None:
    talk = Talk(served("classifier"))
    name = talk.ask(HELLO)["features_shm"]["name"][1:]
    remove_leftovers()
    assert (FOLDER / name).exists()
    assert talk.ask({"classify_shm": {"elements": 64}, "id": 2})["success"]


def test_another_server_may_take_the_path(made: dict[str, Path], servers: Servers) -> None:
    first, path = servers.serve(made["classifier"])
    before = path.stat().st_ino
    second = servers.start(made["fomo.eim"], path)
    eventually(lambda: path.stat().st_ino != before)
    first.send_signal(signal.SIGINT)
    assert first.wait(10) == 130
    assert Talk(path).ask(HELLO)["model_parameters"]["labels"] == ["face"], "the first has not removed it"
    assert second.poll() is None


def test_a_file_in_the_way_is_not_deleted(made: dict[str, Path], tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("text")
    done = subprocess.run([made["classifier.eim"], precious], capture_output=True, check=False, timeout=30)
    assert done.returncode == 1
    assert b"something that is no socket is in the way" in done.stdout
    assert precious.read_text() == "text"


def test_paths_of_200_characters(made: dict[str, Path], servers: Servers, tmp_path: Path) -> None:
    folder = tmp_path / ("d" * 120) / ("e" * 60)
    folder.mkdir(parents=True)
    path = folder / "a.sock"
    assert len(str(path)) > 200
    process = servers.start(made["classifier.eim"], path, wait_for=path)
    talk = Talk(path)
    assert talk.ask(HELLO)["success"]
    talk.socket.close()
    assert process.wait(10) == 0
    assert list(folder.iterdir()) == []
    for bad, message in ((folder / ("f" * 200), b"name is too long"), (tmp_path / "no" / "a.sock", b"cannot make")):
        done = subprocess.run([made["classifier.eim"], bad], capture_output=True, check=False, timeout=30)
        assert (done.returncode, message in done.stdout) == (1, True), done.stdout


def test_a_relative_path_in_the_working_folder(made: dict[str, Path], servers: Servers) -> None:
    """The Go client starts it so."""
    servers.start(made["classifier.eim"], "runner.sock", wait_for=servers.folder / "runner.sock")
    assert Talk(servers.folder / "runner.sock").ask(HELLO)["success"]


def test_without_a_parameter(made: dict[str, Path]) -> None:
    done = subprocess.run([made["classifier.eim"]], capture_output=True, check=False, timeout=30)
    assert done.returncode == 1
    assert done.stdout == b"Requires one parameter (either: '--print-info', 'stdin' or the name of a socket)\n"


def test_a_client_that_vanishes(made: dict[str, Path], servers: Servers) -> None:
    process, path = servers.serve(made["fomo"], "--keep")
    for message in (b"", HELLO, b'{"hello":1', HELLO + b'{"classify":[0,0', HELLO * 500):
        talk = Talk(path)
        talk.socket.sendall(message)
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.socket.close()
    assert Talk(path).ask(HELLO)["success"]
    assert process.poll() is None


def test_half_messages_get_no_answer_until_they_are_whole(served: Served) -> None:
    talk = Talk(served("fomo"))
    for part in (b'noise \0 {"hel', b'lo":1,"i', b'd":7'):
        talk.socket.sendall(part)
        talk.socket.settimeout(0.1)
        with pytest.raises(TimeoutError):
            talk.socket.recv(1)
    talk.socket.settimeout(20)
    assert talk.ask(b"}")["id"] == 7


def test_33_mebibytes_without_a_message(made: dict[str, Path], servers: Servers) -> None:
    process, path = servers.serve(made["classifier"])
    talk = Talk(path)
    talk.socket.sendall(b"{" + b" " * (31 << 20) + b"}")
    talk.ask(b"")
    block = b"{" + b"x" * ((1 << 20) - 1)
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        talk.socket.sendall(block * 40)
    assert process.wait(10) == 1
    assert process.stdout
    assert b"Invalid message, received more than 33554432 bytes" in process.stdout.read()
    assert not path.exists()


def test_nobody_reads_what_it_prints(made: dict[str, Path], tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    path = tmp_path / "s.sock"
    process = subprocess.Popen([made["classifier.eim"], path], stdout=write, stderr=write)
    os.close(write)
    eventually(path.exists)
    talk = Talk(path)
    assert talk.ask(HELLO)["success"]
    talk.socket.close()
    assert process.wait(10) == 0


def test_standard_input_ends(made: dict[str, Path]) -> None:
    def run(data: bytes) -> list[bytes]:
        done = subprocess.run(
            [made["classifier.eim"], "stdin"], input=data, capture_output=True, check=True, timeout=60
        )
        return done.stdout.splitlines()

    assert len(run(HELLO)) == 2
    assert len(run(HELLO + b"\xff" + HELLO)) == 2, "EOF as a char"
    assert len(run(b"\0" + HELLO)) == 1


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Known only after the socket is there; nothing may be left then either."""
    bundle = bundles.classifier().write(tmp_path / "bundle")
    report = json.loads((bundle / "report.json").read_bytes())
    (bundle / "model.onnx").write_bytes(b"no model")
    report["files"][0]["sha256"] = sha256(b"no model")
    (bundle / "report.json").write_text(json.dumps(report))
    path = tmp_path / "s.sock"
    command = [sys.executable, "-m", "convert.eim", str(bundle), str(path)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert b"ERR: " in done.stdout
    assert not path.exists()


@pytest.mark.slow
def test_many_requests_without_growth(made: dict[str, Path], servers: Servers) -> None:
    process, path = servers.serve(made["fomo"])
    talk = Talk(path)
    talk.ask(HELLO)

    def resident() -> int:
        status = Path(f"/proc/{process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def descriptors() -> int:
        return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))

    for number in range(200):
        talk.ask(b'{"classify_shm":{"elements":9216},"id":%d}' % number)
    size, opened = resident(), descriptors()
    for number in range(1000):
        if number % 100 == 0:
            talk.ask({"classify": [number] * 9216, "id": number})
        talk.ask(b'{"classify_shm":{"elements":9216},"id":%d}' % number)
    assert descriptors() == opened
    assert resident() - size < 640, "kilobytes"
