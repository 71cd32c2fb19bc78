"""The command in forks of one process that has imported it: Python's start takes longer than most of what make starts.

`python -P -m tests.make.forks SOCKET PARENT RESULTS` serves; `CLIENT` is the program that stands for the command. A
fork has the client's arguments, folder, environment and standard streams, and starts the children of
`convert.isolation` by forking, too, whose results are kept in the folder RESULTS (`tests.children`); with UNPROVEN in
its environment it measures nothing. It is no child of the client: who kills a group of processes needs the command
itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from convert import isolation
from tests.children import Children
from tests.emitted import prove_nothing
from tests.forking import arguments_of, become, fork, import_all

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CLIENT = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    socket.send_fds(server, [b"+"], [0, 1, 2])
    server.sendall(json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(server.recv(1)[0])
"""

UNPROVEN = "EI_TESTS_UNPROVEN"


class _Forked:
    """What a worker asks of its child, a `subprocess.Popen`, with a fork instead of the program."""

    folder: Any  # the worker's

    def __init__(
        self, command: Sequence[str], *, stdout: int, stderr: int, env: Mapping[str, str], **_: object
    ) -> None:
        answers, parent, later, *preload = arguments_of(command)
        requests, ours = os.pipe()

        def serve() -> int:
            os.setsid()
            os.close(ours)
            become(env, requests, stdout, stderr)
            isolation._serve(int(answers), int(parent), later, preload)
            return 0

        self.pid = fork(serve)
        os.close(requests)
        self.stdin = os.fdopen(ours, "wb", buffering=0)
        self._code: int | None = None

    def poll(self) -> int | None:
        return self._ended(os.WNOHANG)

    def wait(self) -> int:
        code = self._ended(0)
        assert code is not None
        return code

    def _ended(self, options: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, options)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


def _answer(client: socket.socket, results: Path) -> int:
    """Run the command of a client in this process."""
    from convert.__main__ import main

    _, descriptors, _, _ = socket.recv_fds(client, 1, 3)
    with client.makefile("rb") as request:
        arguments, folder, environment = json.loads(request.read())
    become(environment, *descriptors)
    os.chdir(folder)
    isolation._Child = _Forked  # type: ignore[misc,assignment]
    kept = Children(results)
    with pytest.MonkeyPatch.context() as patch:
        kept.install(patch)
        if UNPROVEN in environment:
            prove_nothing(patch)
        code = main(arguments)
        kept.end()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    client.send(bytes([code]))
    return code


def serve(path: str, results: Path) -> NoReturn:
    """Answer whoever connects to the socket `path`, each in a fork; `results` as in `Children`."""
    import_all()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        while True:
            client, _ = server.accept()
            with client:
                fork(partial(_answer, client, results))
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


if __name__ == "__main__":
    isolation._die_with_parent(int(sys.argv[2]))
    serve(sys.argv[1], Path(sys.argv[3]))
