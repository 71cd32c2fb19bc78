"""A signal at any moment ends a command, and leaves neither process, socket, shared memory nor folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from convert.eim.wire import remove_leftovers
from tests.eim.processes import abandoned, eventually

if TYPE_CHECKING:
    from tests.eim.processes import Servers

# Shares of the time until a command has begun, and the signal then: both take the same way.
TERM, HUP = signal.SIGTERM, signal.SIGHUP
MOMENTS = [(0.3, TERM), (0.7, HUP), (1.5, TERM)]
AT_ONCE = 3  # with more, all would be struck while they import; what ignores signals takes seconds to end
STUBBORN = """#!{python} -S
import signal, socket, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
time.sleep(600)
"""


def leftovers(folder: Path) -> list[str]:
    """What runs with a file in `folder`, and what lies about: sockets there, folders of this program, shared memory."""
    running = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().decode("utf-8", "replace")
            waits = "State:\tZ" not in (process.parent / "status").read_text()
        except OSError:
            continue
        if str(folder) in words and waits:
            running.append(words.replace("\0", " "))
    return [
        *running, *map(str, folder.glob("*.sock")), *map(str, folder.glob(".*.part")),
        *map(str, (folder / "tmp").iterdir()),
    ]  # fmt: skip


def has_a_child(process: subprocess.Popen[bytes]) -> bool:
    """Whether it has started an .eim."""
    return any(
        each.read_text() for each in Path(f"/proc/{process.pid}/task").glob("*/children") if process.poll() is None
    )


@pytest.mark.parametrize(
    ("words", "moments"),
    [
        (("proxy", "a.sock", "stubborn.eim"), []),
        *(
            pytest.param(words, MOMENTS, marks=pytest.mark.slow)
            for words in (
                ("classify", "m.eim", "pictures"), ("compare", "m.eim", "B", "pictures"),
                ("proxy", "a.sock", "m.eim"), ("serve", "B", "a.sock"), ("inspect", "stubborn.eim", "--hello"),
            )
        ),
    ],
)  # fmt: skip
def test_nothing_is_left(
    made: dict[str, Path],
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    moments: list[tuple[float, signal.Signals]],
) -> None:
    remove_leftovers()  # of others
    folder = servers.folder
    (folder / "tmp").mkdir()
    (folder / "pictures").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    (folder / "m.eim").write_bytes(made["fomo.eim"].read_bytes())
    (folder / "stubborn.eim").write_text(STUBBORN.format(python=sys.executable))
    for name in ("m.eim", "stubborn.eim"):
        (folder / name).chmod(0o755)
    Image.new("RGB", (96, 96)).save(folder / "pictures" / "0.png")
    for place in range(1, 200):
        shutil.copy(folder / "pictures" / "0.png", folder / "pictures" / f"{place}.png")
    names = {name: str(folder / name) for name in ("m.eim", "stubborn.eim", "pictures")}
    names["B"] = str(made["fomo"])

    def code(number: signal.Signals, moment: float | None) -> int:
        """The exit code of one that is struck after so many seconds; None: as soon as it has begun."""
        socket = folder / f"{number}-{moment}.sock"
        mine = names | {"a.sock": str(socket)}
        process = servers.start(sys.executable, "-P", "-m", "convert", "eim", *(mine.get(word, word) for word in words))
        if moment is None:
            begin = time.monotonic()
            eventually(socket.exists if serves else lambda: has_a_child(process))
            taken.append(time.monotonic() - begin)
        else:
            time.sleep(moment)
        process.send_signal(number)
        return process.wait(40)

    serves = "a.sock" in words and "stubborn.eim" not in words  # which does not answer: nothing is served
    taken: list[float] = []
    codes: list[tuple[signal.Signals, float | None, int]] = [(each, None, code(each, None)) for each in (TERM, HUP)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = [(number, share, pool.submit(code, number, share * taken[0])) for share, number in moments]
    codes += [(number, share, each.result()) for number, share, each in ended]
    # ended before; ended by it; before Python saw it
    assert not [each for each in codes if each[2] not in {0, 128 + each[0], -each[0]}]
    eventually(lambda: not leftovers(folder) and not abandoned(), 30)


def test_a_packed_file_in_the_background(made: dict[str, Path], servers: Servers) -> None:
    """`nohup FILE SOCKET &` in a script: SIGHUP stays ignored, SIGINT does not."""
    path = servers.folder / "a.sock"
    ignored = ("sh", "-c", 'trap "" HUP INT; exec "$@"', "sh")
    process = servers.start(*ignored, made["classifier.eim"], path, wait_for=path)
    for number in (signal.SIGHUP, signal.SIGINT):
        process.send_signal(number)
    assert process.wait(20) == 128 + signal.SIGINT
    assert not path.exists()


@pytest.mark.slow
def test_a_terminal_that_is_closed(made: dict[str, Path], servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel sends SIGHUP, and there is nothing left to write to."""
    folder = servers.folder
    (folder / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder / "tmp"))
    eim = folder / "m.eim"
    eim.write_bytes(made["fomo.eim"].read_bytes())
    eim.chmod(0o755)
    main, side = os.openpty()
    code = (
        "import fcntl, os, sys, termios\nos.setsid()\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.executable, [sys.executable, '-P', '-m', 'convert', 'eim', 'proxy', *sys.argv[1:]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "a.sock"), str(eim)], stdin=side, stdout=side, stderr=side
    )
    os.close(side)
    eventually((folder / "a.sock").exists)
    os.close(main)
    process.wait(15)
    eventually(lambda: not leftovers(folder), 10)
