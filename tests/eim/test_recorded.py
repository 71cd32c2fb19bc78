"""A converted bundle answers what a real executable of February 2026 answered, byte for byte.

What may differ is taken out of both sides: timings and the names of shared memory. (Ids are those that were sent.)
"""

from __future__ import annotations

import re
import socket
import subprocess
from typing import TYPE_CHECKING

from convert.eim.wire import AnswerReader
from tests.eim.recorded import exchanges, plain

if TYPE_CHECKING:
    from pathlib import Path

    from tests.eim.processes import Served, Servers

SILENCE = 0.2  # seconds without an answer that are taken for none


def received(connection: socket.socket, count: int) -> bytes:
    """`count` answers; or whatever comes within a moment when there should be none."""
    connection.settimeout(10 if count else SILENCE)
    data = b""
    try:
        while data.count(b"\n\0") < max(count, 1):
            data += connection.recv(1 << 16)
    except TimeoutError:
        assert not count, data
    return data


def test_on_a_socket(vectors: Path, made: dict[str, Path], servers: Servers) -> None:
    # With "debug": true it prints all features, more than a pipe holds.
    process, path = servers.serve(made["fomo"], log=servers.folder / "printed.txt")
    recorded = exchanges(vectors / "eim" / "raw-2026.txt")
    assert len(recorded) > 40
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        for exchange in recorded:
            connection.sendall(exchange.sent)
            answers = received(connection, exchange.answers.count(b"\n\0"))
            assert plain(answers) == plain(exchange.answers), exchange.title
    assert process.wait(10) == 0


def test_byte_by_byte(vectors: Path, served: Served) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(served("fomo")))
        for exchange in exchanges(vectors / "eim" / "raw-2026.txt"):
            if len(exchange.sent) > 200 or not exchange.answers:
                continue
            for number in exchange.sent:
                connection.sendall(bytes([number]))
            answers = received(connection, exchange.answers.count(b"\n\0"))
            assert plain(answers) == plain(exchange.answers), exchange.title


def test_on_standard_input(vectors: Path, made: dict[str, Path]) -> None:
    zeros = ", ".join(["0.0"] * 9216)
    said = f'{{"hello": 1, "id": 1}}\n{{"classify": [1, 2], "id": 2}}{{"classify": [{zeros}], "id": 3}}'
    after = '{"hello": 1, "id": 4}'  # behind a NUL nothing is read
    given = f"{said}\0{after}".encode()
    done = subprocess.run([made["fomo.eim"], "stdin"], input=given, capture_output=True, check=True, timeout=60)
    expected = (vectors / "eim" / "stdin-mode-2026.txt").read_bytes()
    assert plain(done.stdout) == plain(expected).rstrip(b"\n") + b"\n"
    assert done.stderr == b""


def test_print_info(vectors: Path, made: dict[str, Path]) -> None:
    done = subprocess.run([made["fomo.eim"], "--print-info"], capture_output=True, check=True, timeout=60)
    expected = (vectors / "eim" / "print-info-2026.txt").read_bytes().replace(b'"owner":"owner"', b'"owner": "owner"')
    assert plain(done.stdout) == plain(expected).rstrip(b"\n") + b"\n"


def test_our_client_reads_every_recorded_answer(vectors: Path) -> None:
    for year in ("2023", "2026"):
        for exchange in exchanges(vectors / "eim" / f"raw-{year}.txt"):
            answers = AnswerReader().feed(exchange.answers)
            assert len(answers) == exchange.answers.count(b"\n\0")
            for answer in answers:
                assert answer["success"] is (b'"error"' not in exchange.answers)


def test_nothing_but_timings_and_names_is_taken_out(vectors: Path) -> None:
    """`plain` would hide a difference if it took out too much."""
    assert plain(b'{"id":3,"timing":{"dsp":17},"b":{"n":5}}') == b'{"id":3,"timing":{"dsp":0},"b":{"n":5}}'
    assert plain(b'{"name":"/shm-a-b1","x":12}') == b'{"name":"/shm","x":12}'
    data = (vectors / "eim" / "raw-2026.txt").read_bytes()
    rest, count = re.subn(rb'"timing":\{"anomaly":0,"classification":\d+,[^}]*\}|/shm-[-\w]+', b"", data)
    assert count > 3
    assert plain(rest) == rest
