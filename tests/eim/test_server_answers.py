"""What a server answers, whole documents and whole sentences, and what it does with its socket and memory."""

from __future__ import annotations

import errno
import io
import json
import mmap
import os
import signal
import socket
import sys
import threading
import time
import zipfile
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convert.eim import bundle as bundle_module
from convert.eim import server as module
from convert.eim import wire
from convert.eim.bundle import NO_PARAMETER, Impulse, header, hello, hello_findings
from convert.eim.client import ModelInfo
from convert.eim.server import (
    Session,
    Signals,
    TimedResult,
    listening,
    print_info,
    serve_socket,
    serve_stdin,
    signals_end,
)
from convert.eim.wire import Features, attach, bound, connected, part_of, remove_leftovers
from convert.errors import InputError, OutputError
from convert.images import ResizeMode
from convert.types import Metadata
from tests.eim import bundles
from tests.eim.bundles import read_impulse
from tests.eim.processes import abandoned, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def impulse(tmp_path: Path) -> Impulse:
    return bundles.fomo(16, 16).impulse(tmp_path / "bundle")


def test_hello(impulse: Impulse, tmp_path: Path) -> None:
    parameters = {
        "axis_count": 1, "frequency": 0, "has_anomaly": 0, "has_object_tracking": False,
        "has_performance_calibration": False, "image_channel_count": 3, "image_input_frames": 1,
        "image_input_height": 16, "image_input_width": 16, "image_resize_mode": "squash", "inferencing_engine": 2,
        "input_features_count": 256, "interval_ms": 1, "label_count": 1, "labels": ["face"],
        "model_type": "constrained_object_detection", "sensor": 3, "slice_size": 64,
        "thresholds": [{"id": 18, "type": "object_detection", "min_score": 0.5}], "use_continuous_mode": False,
    }  # fmt: skip
    assert hello(impulse, "none") == {
        "success": True, "model_parameters": parameters, "features_shm_error": "none",
        "inferencing_engine": {"engine_type": 2, "properties": []},
        "project": {
            "id": 222550, "owner": "owner", "name": "Face detection - FOMO - bigger dataset", "deploy_version": 98,
            "impulse_id": 1, "impulse_name": "Impulse #1",
        },
    }  # fmt: skip
    plain = bundles.classifier(4, 8, gray=True, name="shapes", metadata=Metadata(engine="TFLITE_FULL", impulse_id=4))
    said = hello(plain.impulse(tmp_path / "plain"), "none")
    assert said["project"] == {
        "id": 0, "owner": "", "name": "shapes", "deploy_version": 0, "impulse_id": 4, "impulse_name": "Impulse #1",
    }  # fmt: skip
    assert said["model_parameters"] == parameters | {
        "image_channel_count": 1, "image_input_height": 4, "image_input_width": 8, "inferencing_engine": 4,
        "input_features_count": 32, "label_count": 3, "labels": ["red", "green", "blue"], "slice_size": 8,
        "model_type": "classification", "thresholds": [],
    }  # fmt: skip
    for mode, word in ((None, "squash"), (ResizeMode.NONE, "squash"), (ResizeMode.FIT_LONGEST, "fit-longest")):
        other = replace(impulse, preprocessing=replace(impulse.preprocessing, resize_mode=mode), threshold=0.1)
        said = hello(other, "none")["model_parameters"]
        assert (said["image_resize_mode"], said["thresholds"][0]["min_score"]) == (word, float(np.float32(0.1)))


class Echo:
    """Answers with what it was given."""

    def classify(self, features: NDArray[np.float32], threshold: float) -> TimedResult:
        return TimedResult({"sum": float(features.sum()), "threshold": threshold}, 0.0021, 0.0042)


def test_what_is_wrong_with_a_message(impulse: Impulse) -> None:
    memory = Features(256)
    try:
        talk = Session(impulse, Echo(), memory)

        def answer(message: dict[str, Any]) -> Any:
            found = talk.answer(json.dumps(message | {"id": 5}).encode())
            assert found.pop("id") == 5
            return found.get("error") or {key: value for key, value in found.items() if key != "timing"}

        assert answer({"hello": 1})["features_shm"] == memory.described()
        for message, expected in (
            ({"classify_continuous": [1] * 64}, "Classifying failed, error code was -5"),
            ({"classify_continuous": [1] * 63},
             "Invalid number of features in 'classify_continuous', expected 64 but got 63"),
            ({"classify_continuous": ["a"]}, "Failed to parse classify array, should contain all numbers"),
            ({"classify": [1] * 255}, "Invalid number of features in 'classify', expected 256 but got 255"),
            ({"classify_shm": {}}, "Missing 'elements' in 'classify_data_shm'"),
            ({"classify_shm": {"elements": 255}},
             "Invalid value for 'classify_data_shm.elements', expected 256, but got 255"),
            ({"classify_continuous_shm": {"elements": True}}, "Missing 'elements' in 'classify_data_continuous_shm'"),
            ({"classify_continuous_shm": {"elements": 256}},
             "Invalid value for 'classify_data_continuous_shm.elements', expected 64, but got 256"),
            ({"classify_continuous_shm": {"elements": 64}}, "Classifying failed, error code was -5"),
            ({"set_threshold": {}}, "set_threshold should have a numeric field 'id'"),
            ({"set_threshold": {"id": 3}}, "set_threshold: cannot find learn block with id 3"),
            ({"set_threshold": {"id": 18, "min_score": "1"}},
             "set_threshold, value for 'min_score' should be numeric"),
            ({"set_threshold": {"id": 18, "min_score": True}},
             "set_threshold, value for 'min_score' should be numeric"),
            ({"set_threshold": {"id": 18, "other": 1}}, "set_threshold, setting key 'other' failed with error -34"),
            ({"set_threshold": {"id": 18, "type": "x", "min_score": 1}}, {"success": True}),
            ({"classify": {}}, "Failed to handle message"), ({"x": 1}, "Failed to handle message"),
            ({"hello": 1}, "Invalid message 'hello', already initialized"),
        ):  # fmt: skip
            assert answer(message) == expected
        mapped = attach(memory.described())
        assert mapped is not None
        mapped[:] = np.full(256, 0.5, np.float32).tobytes()
        mapped.close()
        result = {"sum": 128.0, "threshold": 1.0}
        assert answer({"classify_shm": {"elements": 256}}) == {"success": True, "result": result}
        memory.clear()
        assert answer({"classify_shm": {"elements": 256}})["result"]["sum"] == 0
    finally:
        memory.close()
    assert not memory.path.exists()


def test_memory_that_somebody_removed_is_closed_all_the_same() -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    memory = Features(4)
    memory.path.unlink()
    memory.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - numbers


def test_memory_is_found_by_its_description() -> None:
    memory = Features(4)
    described = memory.described()
    assert described == {"name": f"/{memory.path.name}", "size_bytes": 16, "type": "float32", "elements": 4}
    assert memory.path.name.startswith("shm-eids-")
    assert memory.path.stat().st_mode & 0o777 == 0o600
    assert memory.path.stat().st_size == 16
    for wrong in (
        {"name": f"/x/{memory.path.name}"}, {"size_bytes": 12}, {"elements": 3}, {"size_bytes": 32, "elements": 8},
        {"size_bytes": 0, "elements": 0}, {"name": "/shm-eids-none"}, {"size_bytes": "x"}, {"elements": None},
    ):  # fmt: skip
        assert attach(described | wrong) is None
    for name in described:
        assert name == "type" or attach({key: value for key, value in described.items() if key != name}) is None
    mapped = attach(described | {"name": memory.path.name})
    assert mapped is not None
    assert len(mapped) == 16
    mapped.close()
    remove_leftovers()
    assert memory.path.exists(), "who made it still runs"
    left = memory.path.with_name("shm-eids-left-over-of-a-test")
    left.write_bytes(b"x")
    remove_leftovers()
    assert not left.exists()
    memory.close()
    assert not memory.path.exists()


def test_the_engine_is_loaded_for_what_is_printed_only_where_it_is_named(
    impulse: Impulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    printed: list[bytes] = []

    def load(each: Impulse) -> tuple[None, tuple[str, ...]]:
        loaded.append(each.provider)
        return None, ("onnxruntime X",)

    monkeypatch.setattr(module, "_load", load)
    monkeypatch.setattr(module, "_write_stdout", printed.append)
    assert print_info(impulse) == print_info(replace(impulse, provider="cuda")) == 0
    assert loaded == ["cuda"]
    assert [b"onnxruntime X" in each for each in printed] == [False, True]


def test_no_memory(impulse: Impulse, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    before = abandoned()
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert print_info(impulse) == 0
    assert set(abandoned()) <= set(before)
    banner, _, text = capfdbinary.readouterr().out.partition(b"\n")
    assert banner == b"Edge Impulse Linux impulse runner - printing model metadata"
    document = json.loads(text)
    assert document["id"] == 1
    assert document["features_shm_error"] == "shared memory cannot be made: No space left on device"
    assert text.startswith(b'{\n    "features_shm_error": ')


@pytest.mark.usefixtures("in_time")
def test_a_socket(impulse: Impulse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Two clients one after the other, the second after a message that came in pieces; then a signal."""
    monkeypatch.setattr(module, "_load", lambda _: (Echo(), ()))
    path, answers = tmp_path / "s", []

    def ask() -> None:
        for _ in range(2):
            eventually(path.exists)
            with connected(path, 20) as link:
                for piece in (b'{"hello":1,', b'"id":1}'):
                    link.sendall(piece)
                data = b""
                while not data.endswith(b"\n\0"):
                    data += link.recv(9999)
                answers.append(json.loads(data[:-2]))
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert serve_socket(impulse, path, keep=True) == 128 + signal.SIGTERM
    thread.join()
    assert [answer["success"] for answer in answers] == [True, True]
    assert answers[0]["features_shm"] == answers[1]["features_shm"]
    assert not path.exists()
    assert not (wire.FOLDER / answers[0]["features_shm"]["name"][1:]).exists()
    assert capsys.readouterr().out == (
        f"Edge Impulse Linux impulse runner - listening for JSON messages on socket '{path}'\n"
        f"Waiting for connection on {path}...\nConnected\nConnected\n"
    )


@pytest.mark.usefixtures("in_time")
def test_one_client(impulse: Impulse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """Without `keep` it ends with the first, here with one whose message has no end."""
    monkeypatch.setattr(module, "_load", lambda _: (Echo(), ()))
    monkeypatch.setattr(wire, "LIMIT", 100)
    path, refused = tmp_path / "s", []

    def ask() -> None:
        eventually(path.exists)
        with connected(path, 20) as link:
            link.sendall(b'{"id":1}')
            link.recv(9999)
            try:
                connected(path, 20).close()
            except OSError as error:
                refused.append(type(error).__name__)
            link.sendall(b"{" + b"x" * 200)
            while link.recv(99):
                pass

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    assert serve_socket(impulse, path) == 1
    thread.join()
    assert refused == ["ConnectionRefusedError"]
    assert capsys.readouterr().out.splitlines()[2:] == [
        "Connected",
        f"Invalid message, received more than {32 << 20} bytes, and no valid JSON message detected",
    ]


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize("end", [b"", b"\0rest", b'{"id":2}\0{"id":3}', b"\xff\0", b'{"id":2}\xff{"id":3}'])
def test_standard_input(end: bytes, impulse: Impulse, monkeypatch: pytest.MonkeyPatch, capfdbinary: Any) -> None:
    """It ends with the input, or with a NUL or 0xFF in it; what stands before that is answered."""
    monkeypatch.setattr(module, "_load", lambda _: (Echo(), ()))
    read, write = os.pipe()
    kept = os.dup(0)
    os.dup2(read, 0)
    os.close(read)
    try:
        os.write(write, b'{"hello":1,"id":1}' + end)
        os.close(write)
        assert serve_stdin(impulse) == 0
    finally:
        os.dup2(kept, 0)
        os.close(kept)
    banner, *lines = capfdbinary.readouterr().out.split(b"\n")
    assert banner == b"Edge Impulse Linux impulse runner - listening for JSON messages on stdin"
    assert lines.pop() == b""
    assert [json.loads(line)["id"] for line in lines] == ([1, 2] if b'"id":2' in end else [1])
    assert b"\0" not in b"".join(lines)


def test_what_is_in_the_way_of_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError) as caught, listening(path):
        pass
    assert (caught.value.message, caught.value.hint, caught.value.path) == (
        "something that is no socket is in the way", "remove it, or choose another name", str(path),
    )  # fmt: skip
    with pytest.raises(OutputError) as caught, bound(tmp_path / "none" / "s"):
        pass
    assert (caught.value.message, caught.value.hint) == (
        "cannot make the socket: No such file or directory",
        "choose a short name in a folder that exists and can be written to",
    )
    folder = tmp_path / ("f" * 120)
    folder.mkdir()
    with pytest.raises(InputError, match="the socket's name is too long") as wrong, bound(folder / ("s" * 100)):
        pass
    assert wrong.value.hint == "at most 80 bytes behind the last slash"
    with bound(folder / "short") as listener:
        listener.listen()
        with connected(folder / "short", 20):
            pass
    (tmp_path / "t").symlink_to("nowhere")
    with pytest.raises(OutputError, match="no socket is in the way"), listening(tmp_path / "t"):
        pass


def test_a_socket_that_does_not_get_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(_part: Path, _path: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.replace", replace)
    with pytest.raises(OutputError) as caught, listening(tmp_path / "s"):
        pass
    assert (caught.value.message, caught.value.hint, caught.value.path) == (
        "cannot make the socket: Operation not permitted", "choose another", str(tmp_path / "s"),
    )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_a_socket_is_removed_by_who_made_it(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listening(path) as listener:
        assert path.is_socket()
        with connected(path, 20):
            listener.accept()[0].close()
        with listening(path):  # takes its place
            pass
        assert not path.exists()
    with listening(path), listening(path):
        mine = path.stat().st_ino
        assert path.stat().st_ino == mine
    assert not path.exists()
    first = listening(path)
    first.__enter__()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        first.__exit__(None, None, None)
        assert path.exists(), "another server's"


def test_parts_of_the_dead_are_removed(tmp_path: Path) -> None:
    assert part_of(tmp_path / "s") == tmp_path / f".s.{os.getpid()}.part"
    dead, alive = tmp_path / ".s.999999999.part", tmp_path / f".s.{os.getppid()}.part"
    for path in (dead, alive, tmp_path / ".s.x.part", tmp_path / ".t.999999999.part"):
        path.touch()
    part_of(tmp_path / "s")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([alive.name, ".s.x.part", ".t.999999999.part"])


def test_signals_are_noted_until_they_may_end_something() -> None:
    before = signal.getsignal(signal.SIGTERM)
    done: list[str] = []
    with signals_end() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("not ended")
        assert signals.code == 128 + signal.SIGTERM
        os.kill(os.getpid(), signal.SIGHUP)
        assert signals.code == 128 + signal.SIGTERM, "the first one counts"
        signals.arm()
        done.append("ended")
    assert done == ["not ended"]
    with signals_end() as signals:
        signals.arm()
        signals.disarm()
        os.kill(os.getpid(), signal.SIGINT)
        done.append("disarmed")
    assert done[1:] == ["disarmed"]
    assert (signals.code, Signals().code) == (128 + signal.SIGINT, 0)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_in_a_finalizer_is_not_lost(number: signal.Signals) -> None:
    """Python drops what is raised there, here twice; a second signal does not end the clean-up."""
    before, hook = [signal.getsignal(each) for each in (number, signal.SIGALRM)], sys.unraisablehook
    done: list[str] = []

    class Finalized:
        def __init__(self, end: Callable[[], None]) -> None:
            self.end = end

        def __del__(self) -> None:
            self.end()

    def send() -> None:
        os.kill(os.getpid(), number)

    with signals_end() as signals:
        signals.arm()
        Finalized(send)
        Finalized(partial(time.sleep, 0.05))  # in which it is sent once more
        try:
            time.sleep(20)
            pytest.fail("the signal was lost")
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("cleaned")
    assert (signals.code, done) == (128 + number, ["cleaned"])
    assert [signal.getsignal(each) for each in (number, signal.SIGALRM)] == before
    assert sys.unraisablehook is hook
    with signals_end() as signals:
        signals.arm()
        Finalized(send)
        signals.disarm()
        time.sleep(0.05)
        done.append("not ended any more")
        signals.arm()
    with signals_end() as signals:
        signals.arm()
        Finalized(send)
    assert signals.code == 128 + number
    time.sleep(0.05)  # SIGALRM would end this process
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert done == ["cleaned", "not ended any more"]


def test_other_errors_that_python_drops_are_told() -> None:
    class Finalized:
        def __del__(self) -> None:
            raise ValueError("told")

    told: list[object] = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda lost: told.append(lost.exc_value and lost.exc_value.args)
    try:
        with signals_end():
            Finalized()
    finally:
        sys.unraisablehook = hook
    assert told == [("told",)]


def test_signals_that_are_ignored_stay_so() -> None:
    """By nohup; not SIGINT, which official clients send, and which a shell has its background processes ignore."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    try:
        with signals_end() as signals:
            signals.arm()
            os.kill(os.getpid(), signal.SIGHUP)
            assert not signals.code
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it is ignored")
        assert signals.code == 128 + signal.SIGINT
        assert [signal.getsignal(number) for number in before] == [signal.SIG_IGN] * 2
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_clients_fail_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule and message of every fault of a hello answer, in order."""
    path = tmp_path / "m.eim"
    sound: dict[str, Any] = {"project": {}}

    def told(model: ModelInfo) -> list[tuple[str, str, str | None]]:
        return [(each.id, each.message, each.path) for each in hello_findings(model, path)]

    good = ModelInfo(6, 0, ("a", "{b}"), 3, 2, 1, None, "classification", (), sound)
    assert told(good) == []
    assert told(replace(good, width=0, height=0, features=5)) == []
    bad = replace(good, features=0, labels=(), raw={"project": [], "features_shm": 3})
    assert told(bad) == [
        ("EI620", "it does not say how many features it takes", str(path)), ("EI620", "it names no labels", str(path)),
        ("EI620", "it names no project; the Node.js command line needs it", str(path)),
        ("EI620", "0 features for a picture of 3x2", str(path)),
        ("EI622", "the shared memory it offers cannot be opened", str(path)),
    ]  # fmt: skip
    assert told(replace(good, features=7, labels=("}", "ok", "{{"))) == [
        ("EI620", "7 features for a picture of 3x2", str(path)),
        ("EI621", "the label '}' may be sent with its brace", str(path)),
        ("EI621", "the label '{{' may be sent with its brace", str(path)),
    ]  # fmt: skip
    memory = mmap.mmap(-1, 4)
    monkeypatch.setattr(bundle_module, "attach", lambda described: memory if described == {"name": "/x"} else None)
    assert told(replace(good, raw={**sound, "features_shm": {"name": "/x"}})) == []
    assert memory.closed


def test_the_lines_in_front_of_a_packed_bundle() -> None:
    assert NO_PARAMETER == "Requires one parameter (either: '--print-info', 'stdin' or the name of a socket)"
    assert (
        header("/a b/python").decode()
        == """#!/bin/sh
# An Edge Impulse model converted by ei-deepstream, which answers as an .eim. Behind these lines: a zip of the bundle.
if [ $# -eq 0 ]; then
  echo 'Requires one parameter (either: '"'"'--print-info'"'"', '"'"'stdin'"'"' or the name of a socket)'
  exit 1
fi
python='/a b/python'
if [ -x "$python" ]; then
  exec "$python" -P -m convert.eim "$0" "$1"
fi
if command -v ei-deepstream >/dev/null 2>&1; then
  case $1 in
    --print-info) exec ei-deepstream eim serve --print-info "$0" ;;
    *) exec ei-deepstream eim serve -- "$0" "$1" ;;
  esac
fi
echo "ERR: this model needs ei-deepstream: install its wheel here, or pack the bundle with --standalone"
exit 127
"""
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [None, 3, 65537, 8]}, "the bundle's report.json is damaged"),
        ({"shape": [None, 3, 8, 65537]}, "the bundle's report.json is damaged"),
        ({"shape": [None, 3, 8, 0]}, "the bundle's report.json is damaged"),
        ({"shape": [None, 4, 8, 8]}, "the bundle's report.json is damaged"),
        ({"shape": [None, 3, 8, None]}, "the bundle's report.json is damaged"),
        ({"shape": [3, 8, 8]}, "the bundle's report.json is damaged"),
    ],
)
def test_sizes_that_no_bundle_has(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = bundles.classifier().write(tmp_path / "bundle")
    report = json.loads((folder / "report.json").read_bytes())
    report["model"]["input"].update(change)
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(InputError) as caught:
        read_impulse(folder)
    assert (caught.value.message, caught.value.hint) == (message, "convert again")
    report["model"]["input"]["shape"] = [None, 1, 65536, 1]
    (folder / "report.json").write_text(json.dumps(report))
    read = read_impulse(folder)
    assert (read.height, read.width, read.channels, read.slice_size) == (65536, 1, 1, 16384)
    assert (read.threshold, read.block, read.overlap, read.detections) == (0.5, 1, None, None)


def test_what_is_printed_may_have_nowhere_to_go(impulse: Impulse, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stdout", closed)
    monkeypatch.setattr(module, "_write_stdout", lambda _: None)
    assert print_info(impulse) == 0


def test_the_largest_file_of_a_packed_bundle(made: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(made["classifier.eim"]) as packed:
        assert packed.namelist() == ["model.onnx", "report.json"]
        assert {each.date_time for each in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {(each.create_system, each.external_attr, each.compress_type) for each in packed.infolist()} == {
            (3, 0o644 << 16, zipfile.ZIP_DEFLATED)
        }
        name, largest = max(((each.filename, each.file_size) for each in packed.infolist()), key=lambda each: each[1])
    monkeypatch.setattr(bundle_module, "_LARGEST", largest)
    read_impulse(made["classifier.eim"])
    monkeypatch.setattr(bundle_module, "_LARGEST", largest - 1)
    with pytest.raises(InputError) as caught:
        read_impulse(made["classifier.eim"])
    assert caught.value.message == f"{name} is too large to be a bundle's"
    assert caught.value.hint == (
        "give the folder that `ei-deepstream convert` wrote, or what `ei-deepstream eim pack` made of it"
    )


def test_how_long_a_message_took_to_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    """From its first bytes to its last; of two in one piece the second took no time."""
    pieces = iter([b'{"a":', b'1}{"b":', b"2", b'}{"c":3}', b"noise", b'{"d":4}', b""])
    clock = iter(range(5, 100))
    monkeypatch.setattr("convert.eim.server.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    told: list[tuple[bytes, float]] = []

    def answer(message: bytes, waited: float) -> dict[str, Any]:
        told.append((message, waited))
        return {"id": len(told)}

    written: list[bytes] = []
    talk: Any = SimpleNamespace(answer=answer)
    assert module._converse(talk, pieces.__next__, written.append) == 0
    assert told == [(b'{"a":1}', 1), (b'{"b":2}', 2), (b'{"c":3}', 0), (b'{"d":4}', 0)]
    assert written == [b'{"id":%d}\n' % number for number in range(1, 5)]

    def gone() -> bytes:
        raise ConnectionResetError

    assert module._converse(talk, gone, written.append) == 0
