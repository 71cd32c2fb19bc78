"""Files land whole or not at all, and only where something changed."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from convert.errors import InputError, OutputError, PresetError
from convert.files import (
    Output,
    Reads,
    TableReader,
    alike,
    dropped_come_again,
    escaped,
    include_path,
    is_running,
    make_folder,
    part_of,
    plain,
    refuse_folder,
    rule,
    sha256,
    write,
    write_all,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_digest() -> None:
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_written_into_a_new_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    outputs = write_all(folder, {"one.txt": b"1\n", "empty": b""})
    assert outputs == (
        Output(str(folder / "one.txt"), hashlib.sha256(b"1\n").hexdigest()),
        Output(str(folder / "empty"), hashlib.sha256(b"").hexdigest()),
    )
    assert (folder / "one.txt").read_bytes() == b"1\n"
    assert names(folder) == ["empty", "one.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    write_all(tmp_path, {"run.sh": b"#!/bin/sh\n", "data": b""}, executables=frozenset({"run.sh"}))
    assert (mode(tmp_path / "run.sh"), mode(tmp_path / "data")) == (0o755, 0o644)
    os.umask(0o077)
    write(tmp_path / "private.sh", b"", executable=True)
    assert mode(tmp_path / "private.sh") == 0o700


def test_what_has_not_changed_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a"
    first = write(path, b"same")
    os.utime(path, ns=(1, 1))
    before = path.stat()
    assert write(path, b"same") == first
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("content", "executable"), [(b"other", False), (b"longer than it was", False), (b"same", True)]
)
def test_what_has_changed_is_replaced(tmp_path: Path, content: bytes, executable: bool) -> None:
    path = tmp_path / "a"
    write(path, b"same")
    inode = path.stat().st_ino
    write(path, content, executable=executable)
    assert path.stat().st_ino != inode
    assert path.read_bytes() == content
    assert bool(mode(path) & 0o100) == executable


def test_a_link_is_replaced_and_its_target_left_alone(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"mine")
    link.symlink_to(target)
    write(link, b"mine")
    assert not link.is_symlink()
    write(link, b"new")
    assert target.read_bytes() == b"mine"


def test_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    dead, alive = f".model.onnx.{dead_pid()}.part", f".model.onnx.{os.getppid()}.part"
    others = [".part", ".x.part", ".x.12x.part", "x.1.part"]
    for name in (dead, alive, *others):
        (tmp_path / name).write_bytes(b"half")
    write(tmp_path / "a", b"")
    assert names(tmp_path) == sorted([alive, "a", *others])


def put(path: Path, content: bytes | None, by: int = 1) -> None:
    """Write `content`, or nothing; by 0 fails behind it."""
    with part_of(path) as part:
        if content is not None:
            part.write_bytes(content)
        assert 1 // by


def test_a_large_file_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    path, left = tmp_path / "folder" / "a", tmp_path / "folder" / f".a.{dead_pid()}.part"
    left.parent.mkdir()
    left.write_bytes(b"of a killed run")
    with part_of(path) as part:
        assert names(path.parent) == []
        part.write_bytes(b"half")
        assert not path.exists()
        part.write_bytes(b"whole")
    assert (names(path.parent), path.read_bytes()) == (["a"], b"whole")
    with pytest.raises(ZeroDivisionError):
        put(path, b"half", by=0)
    for place, content in ((path, None), (path.parent, b"where a folder is")):
        with pytest.raises(OutputError, match=r"^cannot write") as caught:
            put(place, content)
        assert caught.value.hint == "check free space and permissions, or choose another -o"
        assert caught.value.path == str(place)
    assert (names(path.parent), path.read_bytes()) == (["a"], b"whole")


def test_processes_of_another_user_are_running(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert is_running(os.getppid())


def test_a_folder_in_the_way_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "first").write_bytes(b"old")
    (tmp_path / "second").mkdir()
    with pytest.raises(OutputError, match=r"^a folder stands where this file belongs") as caught:
        write_all(tmp_path, {"first": b"new", "second": b"new", "third": b"new"})
    assert caught.value.hint == "remove it or choose another -o"
    assert caught.value.path == str(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == b"old"
    assert names(tmp_path) == ["first", "second"]


def test_a_file_where_the_folder_belongs(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match=r"^cannot create the folder") as caught:
            make_folder(folder)
        assert caught.value.hint == "check free space and permissions, or choose another -o"
        assert caught.value.path == str(folder)
        assert "-o" in str(caught.value.hint)


def test_folders_that_could_be_made(tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "export.zip").write_bytes(b"")
    for folder in (tmp_path, tmp_path / "a" / "b", tmp_path / "export.zip.d", tmp_path / "exports"):
        refuse_folder(folder, (tmp_path / "export", tmp_path / "export.zip"))
    assert names(tmp_path) == ["export", "export.zip"], "nothing is made"


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("file", "the output folder is a file: "),
        ("file/below/it", "what the output folder would be in is a file: "),
        ("export", "the output folder would be inside of the export"),
        ("export/out", "the output folder would be inside of the export"),
        ("link/../export/out", "the output folder would be inside of the export"),
        ("link/out", "the output folder would be inside of the export"),
        ("x" * 300, "cannot create the folder: File name too long"),
    ],
)
def test_folders_that_could_not(tmp_path: Path, folder: str, message: str) -> None:
    (tmp_path / "export").mkdir()
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "link").symlink_to("export")
    with pytest.raises(OutputError, match=f"^{message}") as caught:
        refuse_folder(tmp_path / folder, (tmp_path / "export",))
    assert "-o" in str(caught.value.hint)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match=r"^not writable"):
            write(tmp_path / "a", b"")
        with pytest.raises(OutputError, match=r"^not writable"):
            refuse_folder(tmp_path / "a")
    finally:
        tmp_path.chmod(0o700)


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_space_left(tmp_path: Path) -> None:
    """A limit on file size stands in for a full disk: the write fails half way in the same place."""
    write(tmp_path / "first", b"old")
    done = run(
        """
        import resource, sys
        from pathlib import Path
        from convert.errors import OutputError
        from convert.files import write_all
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            write_all(Path(sys.argv[1]), {"first": b"new", "second": bytes(5000)})
        except OutputError as error:
            print(error.code, error.message, error.hint)
        """,
        tmp_path,
    )
    assert done.stdout.startswith("output cannot write: File too large check free space")
    assert (tmp_path / "first").read_bytes() == b"old"
    assert names(tmp_path) == ["first"]


def test_killed_half_way(tmp_path: Path) -> None:
    """Killed between the first and the second file: nothing new is seen, and the next run cleans up."""
    write(tmp_path / "first", b"old")
    done = run(
        """
        import os, signal, sys
        from pathlib import Path
        from convert import files
        flush = files.os.fsync
        def fsync(descriptor, calls=[]):
            calls.append(descriptor)
            if len(calls) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            flush(descriptor)
        files.os.fsync = fsync
        files.write_all(Path(sys.argv[1]), {"first": b"new", "second": b"new"})
        """,
        tmp_path,
    )
    assert done.returncode == -9
    assert (tmp_path / "first").read_bytes() == b"old"
    assert len(names(tmp_path)) == 3
    write(tmp_path / "third", b"")
    assert names(tmp_path) == ["first", "third"]


def test_what_a_killed_run_left_goes_before_anybody_has_noticed_its_death(tmp_path: Path) -> None:
    """A process that is dead, but not yet waited for, answers signals as if it were running."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    left = tmp_path / f".a.txt.{process.pid}.part"
    left.write_bytes(b"half")
    deadline = time.monotonic() + 10
    while left.exists():
        assert time.monotonic() < deadline
        write(tmp_path / "a.txt", b"whole")
    process.wait()


def test_many_files_are_on_disk_before_the_first_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushed side by side; results, permissions and names are those of one after the other."""
    seen: list[tuple[str, list[str]]] = []
    flush, rename = os.fsync, Path.replace

    def fsync(descriptor: int) -> None:
        flush(descriptor)
        seen.append(("flushed", []))

    def replace(part: Path, place: Path) -> Path:
        seen.append(("named", names(tmp_path)))
        return rename(part, place)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    files = {f"{number:02d}": bytes([number]) * number for number in range(50)}
    outputs = write_all(tmp_path, files, executables=frozenset({"07"}))
    assert [what for what, _ in seen] == ["flushed"] * 50 + ["named"] * 50
    assert not any(name in files for name in seen[50][1])
    assert [output.path for output in outputs] == [str(tmp_path / name) for name in files]
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == files
    assert [name for name in files if mode(tmp_path / name) != 0o644] == ["07"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_wait_while_files_are_renamed(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.replace

    def interrupted(part: Path, place: Path) -> Path:
        signal.raise_signal(number)
        return rename(part, place)

    monkeypatch.setattr(Path, "replace", interrupted)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_all(tmp_path, {"one": b"1", "two": b"2"})
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)
    assert names(tmp_path) == ["one", "two"]


def test_what_a_signal_raised_comes_again_where_it_was_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each time; what else is dropped is left to others, and all is as it was at the end."""

    class Ended(BaseException):
        pass

    class Dropping:
        """Python drops what a finalizer raises."""

        def __init__(self, error: BaseException) -> None:
            self.error = error

        def __del__(self) -> None:
            raise self.error

    sent, others = [], []
    monkeypatch.setattr(sys, "unraisablehook", hook := lambda lost: others.append(lost.exc_type))
    before = signal.getsignal(signal.SIGALRM)
    with dropped_come_again(Ended, lambda: sent.append(time.monotonic())):
        for count in (1, 2):
            Dropping(Ended())
            deadline = time.monotonic() + 10
            while len(sent) < count:
                assert time.monotonic() < deadline
                time.sleep(0.005)
        time.sleep(0.05)  # several times the pause before it comes again
        Dropping(ValueError())
    assert (len(sent), others) == (2, [ValueError])
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (before, (0.0, 0.0))
    assert sys.unraisablehook is hook


@pytest.mark.parametrize("broken", [0, 20, 39])
def test_one_of_many_files_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: int) -> None:
    """Whichever it is, none gets its name and nothing is left."""
    (tmp_path / "00").write_bytes(b"old")
    flush, which = os.fsync, f".{broken:02d}.{os.getpid()}.part"

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == which:
            raise OSError(errno.EIO, "Input/output error")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OutputError, match=r"^cannot write: Input/output error") as caught:
        write_all(tmp_path, {f"{number:02d}": b"new" for number in range(40)})
    assert caught.value.hint == "check free space and permissions, or choose another -o"
    assert names(tmp_path) == ["00"]
    assert (tmp_path / "00").read_bytes() == b"old"


def test_what_was_read_is_told_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders as they were named, below the working folder from there; each once, whatever the spelling."""
    monkeypatch.chdir(tmp_path)
    for name in ("d/sub", "e", "other"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("d/c", "d/b", "d/a", "d/x.py", "d/y.so", "d/z.pyc", "d/written", "other/f"):
        (tmp_path / name).touch()
    reads = Reads()
    reads.folders += ["d", str(tmp_path / "e")]
    for name in ("d/c", "./d/b", str(tmp_path / "d" / "a"), "d/../d/b", "d/x.py", "d/y.so", "d/z.pyc", "d", "gone",
                 "/etc/hostname", "/proc/self/status", os.__file__):  # fmt: skip
        reads.note("open", (name, "r", os.O_RDONLY))
    for mode, flags in (("w", 0), ("a", 0), ("x", 0), ("r+", 0), (None, os.O_WRONLY), (None, os.O_RDWR)):
        reads.note("open", ("d/written", mode, flags))
    reads.note("open", ("d/written", "r", os.O_RDONLY))
    reads.note("open", (b"other/f", "rb", 0))
    reads.note("something.else", ("d/never",))
    assert reads.files() == ["d/a", "d/b", "d/c", "other/f"]
    for event, place in (("os.scandir", "d/sub"), ("os.listdir", "d"), ("os.scandir", b"e"), ("os.scandir", "other"),
                        ("os.scandir", "."), ("os.listdir", "d-2"), ("os.listdir", "d/c")):  # fmt: skip
        reads.note(event, (place,))
    assert reads.listings() == ["d/sub", "e"], "something was written into d"
    reads.note("ei-deepstream.writes", (b"e/new",))
    assert reads.listings() == ["d/sub"]


@pytest.mark.parametrize(
    ("name", "prerequisite", "target"),
    [
        ("a b", "a\\ b", "a\\ b"), ("a#b:c", "a\\#b\\:c", "a\\#b\\:c"),
        ("a*b?c[d]", "a\\*b\\?c\\[d]", "a\\*b\\?c\\[d]"),
        ("a%b", "a%b", "a\\%b"), ("a$b", "a$$b", "a$$b"), ("a=b", "a$(subst ,,=)b", "a$(subst ,,=)b"),
        ("~a", "./~a", "./~a"), ("a~", "a~", "a~"), ("a)b", "a)b", "a)b"),
    ],
)  # fmt: skip
def test_names_in_makefiles(name: str, prerequisite: str, target: str) -> None:
    assert (escaped(name), escaped(name, target=True)) == (prerequisite, target)
    assert rule("t x", [name], ["f"]).decode() == (
        f"t\\ x: \\\n  {prerequisite} \\\n  f/.\n\n{target}:\n\nf/.:\n"
    )  # fmt: skip


def test_an_include_path() -> None:
    assert include_path(Path("/a b/c d.mk")) == "/a\\ b/c\\ d.mk"


@pytest.mark.parametrize(
    ("missing", "found"),
    [
        ("exports/projct.zip", "exports/project.zip"),
        ("exports/Project.ZIP", "exports/project.zip"),
        ("exprots/project.zip", "exports/project.zip"),
        ("exprots/projct.zip", None),
        ("exports/door.zip", None),
        ("exports/project.zip/door.zip", None),
        ("nowhere/at/all.zip", None),
    ],
)
def test_a_name_that_is_much_like_a_missing_one(
    missing: str, found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "project.zip").write_bytes(b"")
    assert alike(tmp_path / missing) == (found and tmp_path / found)
    monkeypatch.chdir(tmp_path)
    assert alike(Path(missing)) == (found and Path(found))


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    size: int


@dataclass(frozen=True)
class Row:
    """One field of each kind."""

    name: str
    least_size: float = 0.5
    on: bool = True
    colour: Colour | None = None
    inner: Inner | None = None
    rows: tuple[Inner, ...] = ()
    texts: tuple[str, ...] = ()
    sizes: dict[str, int] = field(default_factory=dict)
    anything: Any = None


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ({}, Row("a")),
        ({"least_size": 2}, Row("a", 2.0)),
        ({"least_size": sys.float_info.max}, Row("a", sys.float_info.max)),
        ({"on": False, "colour": "red"}, Row("a", on=False, colour=Colour.RED)),
        ({"colour": None, "inner": None}, Row("a")),
        (
            {"inner": {"size": 3}, "rows": [{"size": 1}, {"size": 2}]},
            Row("a", inner=Inner(3), rows=(Inner(1), Inner(2))),
        ),
        ({"texts": ["x", "y"], "sizes": {"x": 1}}, Row("a", texts=("x", "y"), sizes={"x": 1})),
        ({"anything": [{}]}, Row("a", anything=[{}])),
    ],
)
def test_a_table_is_read_by_its_type_hints(values: dict[str, Any], row: Row) -> None:
    assert TableReader("f.json").row(Row, {"name": "a", **values}, "it") == row
    assert type(TableReader("f.json").row(Row, {"name": "a", **values}, "it").least_size) is float


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "it must be a table"),
        ({}, "it: the entry 'name' is missing"),
        ({"name": "a", "nam": 1, "least-size": 1}, "it: unknown entry 'least-size'"),
        ({"name": 1}, "it: name must be str, not 1"),
        ({"name": "\ud800"}, "it: name must be str, not '\\ud800'"),
        ({"name": "a", "least_size": True}, "it: least_size must be float, not True"),
        ({"name": "a", "least_size": 10**309}, f"it: least_size must be float, not {10**309}"),
        ({"name": "a", "least_size": float("nan")}, "it: least_size must be float, not nan"),
        ({"name": "a", "on": 1}, "it: on must be bool, not 1"),
        ({"name": "a", "colour": "blue"}, "it: colour must be Colour, not 'blue'"),
        ({"name": "a", "inner": 1}, "it: inner must be a table"),
        ({"name": "a", "inner": {"size": True}}, "it: inner: size must be int, not True"),
        ({"name": "a", "rows": {}}, "it: rows must be a list of tables"),
        ({"name": "a", "rows": [{"size": 1}, {}]}, "it: rows, entry 2: the entry 'size' is missing"),
        ({"name": "a", "texts": "x"}, "it: texts must be list of text, not 'x'"),
        ({"name": "a", "texts": ["x", 2]}, "it: texts, entry 2 must be str, not 2"),
        ({"name": "a", "sizes": []}, "it: sizes must be a table"),
        ({"name": "a", "sizes": {"x": 1, "y": "2"}}, "it: sizes.y must be int, not '2'"),
    ],
)
def test_a_table_that_does_not_fit(values: object, message: str) -> None:
    with pytest.raises(PresetError) as caught:
        TableReader("f.toml", PresetError, hint="mend it").row(Row, values, "it")
    known = "known: name, least_size, on, colour, inner, rows, texts, sizes, anything"
    assert (caught.value.message, caught.value.path) == (message, "f.toml")
    assert caught.value.hint == (known if "unknown" in message else "mend it")


def test_tables_with_dashes_and_of_later_releases() -> None:
    values = {"name": "a", "least-size": 2.0}
    assert TableReader("f.toml", dashes=True).row(Row, values, "it") == Row("a", 2.0)
    assert TableReader("f.json", open=True).row(Row, values, "it") == Row("a")
    with pytest.raises(InputError, match=r"^it: unknown entry 'least_size'") as caught:
        TableReader("f.toml", dashes=True).row(Row, {"name": "a", "least_size": 2.0}, "it")
    assert caught.value.hint == "known: name, least-size, on, colour, inner, rows, texts, sizes, anything"


def test_what_json_has_of_a_dataclass() -> None:
    row = Row("a", colour=Colour.RED, inner=Inner(3), rows=(Inner(1),), texts=("x",))
    made = {"name": "a", "least_size": 0.5, "on": True, "colour": "red", "inner": {"size": 3}, "rows": [{"size": 1}]}
    assert plain([row]) == [{**made, "texts": ["x"], "sizes": {}, "anything": None}]
    assert plain(Row) is Row
