"""The child process: answers, deaths, time limits, and that it never outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from convert.errors import OutputError
from convert.isolation import (
    LARGE,
    Died,
    Failed,
    InProcessWorker,
    TemporaryFolder,
    Worker,
    aside,
    keep_freed_memory,
    return_freed_memory,
    signal_name,
    tell,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.children import Children


@pytest.fixture(scope="module", autouse=True)
def _nobody_keeps_children(children: Children) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(children, "active", False)
        yield


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """Of all tests here that do not change its process for the next one; who ends it gets a new one."""
    with Worker() as child:
        yield child


def alive(pid: int) -> bool:
    """A zombie counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    return soon(lambda: not alive(pid))


def soon(condition: Callable[[], bool]) -> bool:
    """Within ten seconds."""
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_answers(worker: Worker) -> None:
    assert worker.call("math:gcd", 12, 18, timeout=60) == 6
    assert worker.call("os.path:join", "a", "b", timeout=60) == "a/b"
    assert worker.call("builtins:print", "noise on stdout does no harm", timeout=60) is None


def test_the_child_is_used_again(worker: Worker) -> None:
    first = worker.call("os:getpid", timeout=60)
    assert first != os.getpid()
    assert worker.call("os:getpid", timeout=60) == first


def test_what_a_child_leaves_in_the_temporary_folder_is_removed() -> None:
    with Worker() as child:
        places = [Path(child.call("tempfile:mkdtemp", timeout=60)) for _ in range(2)]
        os.kill(child.call("os:getpid", timeout=60), signal.SIGTERM)
        assert child.call("os.path:isdir", places[0], timeout=60), "SIGTERM is the parent's to handle"
        folder = places[0].parent
        assert places[1].parent == folder
        with pytest.raises(Died):
            child.call("os:_exit", 3, timeout=60)
        assert not folder.exists()
        again = Path(child.call("tempfile:mkdtemp", timeout=60)).parent
        assert again != folder
    assert not again.exists()


def test_large_arguments_and_answers(worker: Worker) -> None:
    data = os.urandom(1 << 20) * 8
    assert worker.call("builtins:bytes", data, timeout=60) == data


def test_an_error_of_ours_comes_back_whole(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError) as caught:
        worker.call("convert.files:make_folder", tmp_path / "file", timeout=60)
    assert caught.value.path == str(tmp_path / "file")
    assert caught.value.hint


def test_an_error_of_ours_comes_back_however_exceptions_are_pickled(tmp_path: Path) -> None:
    """As tblib has it, which TensorFlow brings: with the cause, of a class that only the child knows."""
    (tmp_path / "only_there.py").write_text(
        "import copyreg\n"
        "from convert.errors import OutputError\n"
        "class There(Exception): pass\n"
        "copyreg.pickle(OutputError, lambda error: (There, (str(error),)))\n"
        "def fail(): raise OutputError('as it was', hint='do this') from There()\n"
    )
    place = f"import sys; sys.path.insert(0, {str(tmp_path)!r})"
    with Worker() as worker:
        worker.call("builtins:exec", place, timeout=60)
        with pytest.raises(OutputError, match=r"^as it was") as caught:
            worker.call("only_there:fail", timeout=60)
    assert caught.value.hint == "do this"


def test_another_exception_comes_with_its_traceback(worker: Worker) -> None:
    with pytest.raises(Failed) as caught:
        worker.call("math:sqrt", -1, timeout=60)
    assert str(caught.value) == "ValueError: math domain error"
    assert "Traceback" in caught.value.details
    assert worker.call("math:sqrt", 4, timeout=60) == 2


@pytest.mark.parametrize("function", ["no_such_module:f", "math:no_such_function"])
def test_no_such_function(worker: Worker, function: str) -> None:
    with pytest.raises(Failed, match="no_such"):
        worker.call(function, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_killed_by_a_signal(worker: Worker, number: signal.Signals) -> None:
    before = worker.call("os:getpid", timeout=60)
    with pytest.raises(Died) as caught:
        worker.call("signal:raise_signal", number, timeout=60)
    assert caught.value.reason == f"killed by {number.name}"
    assert worker.call("os:getpid", timeout=60) != before


def test_exited(worker: Worker) -> None:
    worker.call("os:write", 2, b"the last words\n", timeout=60)
    with pytest.raises(Died, match=r"^exited with status 3$") as caught:
        worker.call("os:_exit", 3, timeout=60)
    assert caught.value.output == "the last words\n"


def test_too_long(worker: Worker) -> None:
    pid = worker.call("os:getpid", timeout=60)
    start = time.monotonic()
    with pytest.raises(Died, match=r"^ran longer than 0\.2 s$"):
        worker.call("time:sleep", 60, timeout=0.2)
    assert time.monotonic() - start < 30
    assert gone(pid)
    assert worker.call("math:gcd", 12, 18, timeout=60) == 6


def test_a_preload_that_fails_is_a_death() -> None:
    with Worker(("no_such_module",)) as worker, pytest.raises(Died, match=r"^exited with status 1") as caught:
        worker.call("math:gcd", 1, 1, timeout=60)
    assert "No module named 'no_such_module'" in caught.value.output


def test_what_is_needed_later_is_imported_behind_the_first_answer() -> None:
    with Worker(later=("wave",)) as worker:
        known = [worker.call("builtins:eval", "'wave' in __import__('sys').modules", timeout=60) for _ in range(2)]
    assert known == [False, True]


def test_closing_ends_the_child_at_once() -> None:
    worker = Worker().start()
    pid = worker.call("os:getpid", timeout=60)
    worker.close()
    assert not alive(pid)
    worker.close()
    assert worker.call("os:getpid", timeout=60) != pid
    worker.close()


def test_starting_twice_is_starting_once(worker: Worker) -> None:
    pid = worker.call("os:getpid", timeout=60)
    assert worker.start() is worker
    assert worker.call("os:getpid", timeout=60) == pid


def test_ctrl_c_ends_the_child(worker: Worker) -> None:
    pid = worker.call("os:getpid", timeout=60)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        worker.call("time:sleep", 60, timeout=60)
    timer.join()
    assert gone(pid)


def test_the_current_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own folder may hold an `onnx/` or a `numpy.py`."""
    (tmp_path / "trap.py").write_text("raise SystemExit('imported from the current folder')")
    monkeypatch.chdir(tmp_path)
    with Worker() as worker, pytest.raises(Failed, match="No module named 'trap'"):
        worker.call("trap:f", timeout=60)


def test_the_child_and_its_files_go_with_its_parent(tmp_path: Path) -> None:
    """Even by SIGKILL, which no parent can clean up after, and in the middle of a call."""
    script = """
        from convert.isolation import Worker
        worker = Worker().start()
        worker.call("tempfile:mkdtemp", timeout=60)
        print(worker.call("os:getpid", timeout=60), flush=True)
        worker.call("time:sleep", 600, timeout=600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        assert list(tmp_path.glob("*/*"))
        parent.kill()
    assert gone(child)
    assert soon(lambda: not list(tmp_path.iterdir()))


def test_large_objects_come_back_as_they_are(worker: Worker) -> None:
    """Alone, twice in one message, behind one that has none, in a new child."""
    one, two, three, short = b"a" * (2 << 20), b"b" * (2 << 20), bytes(range(256)) * 8192, b"c" * 1000
    for sent in ([one], [one, short, two], [two, two, one], [], [two, three], [short, one]):
        assert worker.call("builtins:list", sent, timeout=60) == sent
    with pytest.raises(Died):
        worker.call("os:_exit", 3, timeout=60)
    assert worker.call("builtins:list", [one], timeout=60) == [one]


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_very_large_objects_are_kept_on_neither_side(worker: Worker) -> None:
    value, short = bytes(LARGE), b"a" * (2 << 20)
    held, before = sys.getrefcount(value), worker.call("tests.test_isolation:resident", timeout=60)
    for sent in ([value], [short], [value, short], [value, short]):
        assert worker.call("builtins:list", sent, timeout=60) == sent
    del sent
    assert sys.getrefcount(value) == held
    assert worker.call("tests.test_isolation:resident", timeout=60) - before < LARGE // 2


def tell_large(value: bytes) -> bytes:
    tell(value * 2)
    return value


def test_large_objects_that_are_told(worker: Worker) -> None:
    value, told = b"a" * (2 << 20), list[bytes]()
    assert worker.call("tests.test_isolation:tell_large", value, timeout=60, told=told.append) == value
    assert told == [value * 2]
    assert worker.call("builtins:list", [value, told[0]], timeout=60) == [value, told[0]]


def test_a_temporary_folder_without_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with TemporaryFolder() as folder:
        (folder / "file").write_text("")
    assert not folder.exists()


def test_a_child_that_hangs_before_it_reads_runs_into_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "endless_preload.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with Worker(("endless_preload",)) as worker, pytest.raises(Died, match=r"^ran longer"):
        worker.call("builtins:len", bytes(8 << 20), timeout=1)


def talks(*words: str) -> str:
    """Called in the child."""
    for word in words:
        tell(word)
    return "done"


def sleeps(seconds: float) -> None:
    tell(("limit", seconds))
    time.sleep(60)


def eats(mebibytes: int) -> int:
    held = [b"\xff" * (8 << 20) for _ in range(mebibytes // 8)]
    time.sleep(60)
    return len(held)


def test_what_a_function_tells_comes_before_its_answer(worker: Worker) -> None:
    told: list[str] = []
    assert worker.call("tests.test_isolation:talks", "a", "b", timeout=60, told=told.append) == "done"
    assert told == ["a", "b"]
    assert worker.call("tests.test_isolation:talks", "c", timeout=60) == "done", "nobody need listen"


def test_telling_nobody_is_no_error() -> None:
    tell("here is no parent")


def test_a_limit_within_the_limit(worker: Worker) -> None:
    with pytest.raises(Died, match=r"^ran longer than 0\.2 s$"):
        worker.call("tests.test_isolation:sleeps", 0.2, timeout=60, told=lambda said: worker.within(said[1]))
    assert worker.call("os:getpid", timeout=60)


def test_memory_is_limited(worker: Worker) -> None:
    assert worker.call("os:getpid", timeout=60, memory=256 << 20)
    with pytest.raises(Died, match=r"^used more than 256 MiB$"):
        worker.call("tests.test_isolation:eats", 512, timeout=60, memory=256 << 20)
    assert worker.call("os:getpid", timeout=60, memory=256 << 20), "the next one has a new child"


def test_a_call_can_be_ended_from_another_thread(worker: Worker) -> None:
    worker.call("os:getpid", timeout=60)
    timer = threading.Timer(0.2, worker.kill)
    timer.start()
    with pytest.raises(Died, match="SIGKILL"):
        worker.call("time:sleep", 60, timeout=60)
    timer.join()


class TestBegun:
    """A call that is begun before it is wanted."""

    def test_its_result_is_taken_by_the_same_call_only(self) -> None:
        with Worker() as worker:
            worker.begin("tests.test_isolation:told_twice", 3, timeout=60)
            assert worker.call("tests.test_isolation:told_twice", 3, timeout=60) == (3, 1)
            worker.begin("tests.test_isolation:told_twice", 4, timeout=60)
            assert worker.call("tests.test_isolation:told_twice", 5, timeout=60) == (5, 3)
            assert worker.call("tests.test_isolation:told_twice", 4, timeout=60) == (4, 4)

    def test_its_end_is_that_of_the_call(self, worker: Worker) -> None:
        worker.begin("os:_exit", 3, timeout=60)
        with pytest.raises(Died, match=r"^exited with status 3"):
            worker.call("os:_exit", 3, timeout=60)

    def test_one_that_died_before_it_is_wanted(self, worker: Worker) -> None:
        """Its thread ends: nothing waits for it when the interpreter exits."""
        worker.begin("os:_exit", 3, timeout=60)
        assert worker._begun is not None
        worker._begun[1].exception(timeout=30)
        with pytest.raises(Died, match=r"^exited with status 3"):
            worker.call("os:_exit", 3, timeout=60)

    def test_an_interrupted_wait_ends_it(self) -> None:
        """No thread is left that the interpreter would wait for when it exits."""
        start, before = time.monotonic(), threading.active_count()
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        with Worker() as worker:
            worker.begin("time:sleep", 60, timeout=100)
            timer.start()
            with pytest.raises(KeyboardInterrupt):
                worker.call("time:sleep", 60, timeout=100)
        timer.join()
        assert threading.active_count() == before
        assert time.monotonic() - start < 30

    def test_another_that_is_begun_ends_it(self) -> None:
        """Its answer is not taken for that of the next, and nobody waits for it."""
        start = time.monotonic()
        with Worker() as worker:
            worker.begin("time:sleep", 60, timeout=100)
            worker.begin("tests.test_isolation:told_twice", 3, timeout=60)
            assert worker.call("tests.test_isolation:told_twice", 3, timeout=60) == (3, 1)
            assert worker.call("operator:neg", 3, timeout=60) == -3
        assert time.monotonic() - start < 30

    def test_closing_does_not_wait_for_it(self) -> None:
        start = time.monotonic()
        with Worker() as worker:
            worker.begin("time:sleep", 60, timeout=100)
        assert time.monotonic() - start < 30


class TestApplied:
    """A function that calls others by an `InProcessWorker`."""

    def test_it_has_no_limit_and_what_it_calls_has(self) -> None:
        with Worker() as worker:
            assert worker.apply(nested, "tests.test_isolation:told_twice", 7, 60.0) == (7, 1)
            for function, argument, reason in (
                ("time:sleep", 60, "ran longer than 0.2 s"), ("os:_exit", 9, "exited with status 9"),
            ):  # fmt: skip
                with pytest.raises(Died, match=reason) as caught:
                    worker.apply(partial(nested, function), argument, 0.2 if function == "time:sleep" else 60.0)
                assert caught.value.function == function

    def test_a_mistake_shows_where_it_was_made(self, worker: Worker) -> None:
        with pytest.raises(Failed) as caught:
            worker.apply(nested, "math:sqrt", -1, 60.0)
        assert "nested" in "".join(traceback.format_exception(caught.value))


_called = 0


def told_twice(value: int) -> tuple[int, int]:
    """`value`, and how often this was called here."""
    global _called  # noqa: PLW0603
    _called += 1
    return value, _called


def nested(function: str, argument: float, timeout: float) -> object:
    """What `function` gives, called by a worker without a process."""
    return InProcessWorker().call(function, argument, timeout=timeout)


def test_signals_have_names_and_most_real_time_ones_numbers() -> None:
    assert [signal_name(each) for each in (signal.SIGKILL, signal.SIGSEGV, 40)] == ["SIGKILL", "SIGSEGV", "signal 40"]


def test_models_above_64_mib_are_put_aside() -> None:
    data = bytes(64 << 20)
    assert aside(data) is data
    file = aside(data + b"x")
    assert not isinstance(file, bytes)
    with file:
        assert file.tell() == len(data) + 1
        file.seek(-2, os.SEEK_END)
        assert file.read() == b"\0x"


def test_what_glibc_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    library = SimpleNamespace(mallopt=lambda *words: told.append(words), malloc_trim=told.append)
    monkeypatch.setattr("ctypes.CDLL", lambda name: library if name is None else told.append(name))
    keep_freed_memory()
    return_freed_memory()
    assert told == [(-3, 32 << 20), (-1, 256 << 20), 0]


def test_what_is_freed_is_kept_for_the_next_picture() -> None:
    """The kernel has to clear 512 pages for 2 MiB each time they are asked for anew."""
    code = (
        "import resource\n{}"
        "for _ in range(40):\n    a, b = bytearray(2**21), bytearray(2**21 + 1)\n    del a, b\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)"
    )
    keep = "from convert.isolation import keep_freed_memory\nkeep_freed_memory()\n"
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)}
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", code.format(each)], env=environment, capture_output=True, check=True
            ).stdout
        )
        for each in ("import convert.isolation\n", keep)
    ]
    assert faults[1] < faults[0] / 2
