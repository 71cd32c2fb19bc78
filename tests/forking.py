"""Children of `convert.isolation` as forks of one process that has imported the libraries.

Python's start and the imports take half a second, most of what many children do. `python -P -m tests.forking SOCKET
[translation]` serves `Forker` until this closes the socket; with the last word tf2onnx is there, too, with our stub of
TensorFlow. (It does not die with its parent: the kernel means the thread that started it, which may be any.)
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import convert
from convert import isolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "PIL.Image", "ai_edge_litert.interpreter")
_REQUEST = 1 << 20  # bytes: arguments and environment
_ANSWER = 100
_WAIT, _POLL = "wait", "poll"


def fork(run: Callable[[], int]) -> int:
    """The process id of a child that runs `run` and exits with what it returns."""
    if pid := os.fork():
        return pid
    code = 70
    try:
        code = run()
    except BaseException:  # noqa: BLE001 - shown, and the process ends
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        os._exit(code)


def become(environment: Mapping[str, str], *streams: int) -> None:
    """Take on this environment, and standard input, output and error."""
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    # Not closed with the object: another one may take its place here.
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))


def wait_for_no_disk() -> None:
    """From now on files are not flushed to the disk: no test cuts the power, and each file costs milliseconds."""
    os.fsync = lambda fd: None  # noqa: ARG005


def import_all() -> None:
    """All modules of the tool, and the libraries that its children use."""
    wait_for_no_disk()
    for module in pkgutil.walk_packages(convert.__path__, "convert."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _LIBRARIES:
        importlib.import_module(name)


class Forker:
    """The process that is forked, from the side of the tests."""

    def __init__(self, *words: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        number = theirs.fileno()
        command = [sys.executable, "-P", "-m", "tests.forking", str(number), *words]
        root = str(Path(__file__).resolve().parents[1])
        with theirs:
            self._process = subprocess.Popen(command, pass_fds=[number], env={**os.environ, "PYTHONPATH": root})
        self._one = threading.Lock()
        self._asked = 0

    def ask(self, *request: object, descriptors: Sequence[int] = ()) -> Any:
        """The answer to this request."""
        with self._one:
            self._asked += 1  # an answer that an interrupted test did not wait for has another number
            socket.send_fds(self._socket, [json.dumps([self._asked, *request]).encode()], descriptors)
            number = 0
            while number != self._asked:
                message = self._socket.recv(_ANSWER)
                assert message, "tests.forking has ended"
                number, answer = json.loads(message)
        return answer

    def end(self) -> None:
        """End it; its children have been ended by their workers."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


class Forked:
    """What a worker asks of its child, a `subprocess.Popen`, of a child that `forker` forked."""

    folder: Any  # the worker's

    def __init__(
        self, forker: Forker, command: Sequence[str], *, stdout: int, stderr: int, env: Mapping[str, str], **_: object
    ) -> None:
        answers, _parent, *others = arguments_of(command)
        requests, ours = os.pipe()
        try:
            self.pid = forker.ask(
                others, str(Path.cwd()), dict(env), descriptors=[requests, stdout, stderr, int(answers)]
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(requests)
        self.stdin = os.fdopen(ours, "wb", buffering=0)
        self._forker = forker
        self._code: int | None = None

    def poll(self) -> int | None:
        """Its exit status, as `subprocess.Popen.poll` has it."""
        return self._ended(_POLL)

    def wait(self) -> int:
        """As `poll`, when it has ended."""
        code = self._ended(_WAIT)
        assert code is not None
        return code

    def _ended(self, how: str) -> int | None:
        if self._code is None:
            self._code = self._forker.ask(how, self.pid)
        return self._code


def arguments_of(command: Sequence[str]) -> list[str]:
    """What `convert.isolation` is given in the command that starts it: pipe, parent, modules for later, and before."""
    return list(command[command.index("convert.isolation") + 1 :])


def _child(server: socket.socket, request: Sequence[Any], descriptors: Sequence[int], begun: int) -> int:
    (later, *preload), folder, environment = request
    os.setsid()
    os.close(begun)  # from here on it can be ended as a group
    server.close()
    requests, stdout, stderr, answers = descriptors
    become(environment, requests, stdout, stderr)
    os.close(requests)
    os.chdir(folder)
    sys.path[:] = environment["PYTHONPATH"].split(os.pathsep)
    isolation._serve(answers, os.getppid(), later, preload)
    return 0


def _status(how: str, pid: int) -> int | None:
    ended, status = os.waitpid(pid, os.WNOHANG if how == _POLL else 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def _serve(server: socket.socket) -> None:
    while True:
        request, descriptors, _, _ = socket.recv_fds(server, _REQUEST, 4)
        if not request:
            return
        number, *what = json.loads(request)
        answer: int | None
        if what[0] in (_WAIT, _POLL):
            answer = _status(*what)
        else:
            here, there = os.pipe()
            answer = fork(partial(_child, server, what, descriptors, there))
            for descriptor in (*descriptors, there):
                os.close(descriptor)
            os.read(here, 1)
            os.close(here)
        server.send(json.dumps([number, answer]).encode())


if __name__ == "__main__":
    import_all()
    if sys.argv[2:]:
        from convert.translate import worker

        worker.preload()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the tests' to handle, which close the socket
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[1])) as _server:
        _serve(_server)
