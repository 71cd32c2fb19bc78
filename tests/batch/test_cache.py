"""What was stored comes back whole, or is known to be damaged; it is found where XDG says."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.batch.cache import BundleFile, Cache, CacheEntry, DamagedEntry, Pruned, cache_folder, locked, prune, usage
from convert.errors import OutputError
from convert.files import sha256
from convert.findings import Finding, Level
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {"m.onnx": b"weights" * 9, "empty": b"", "build.sh": b"#!/bin/sh\n"}
KEY = "ab" * 32


def entry_of(files: dict[str, bytes]) -> CacheEntry:
    kept = tuple(BundleFile(name, sha256(data), len(data), name.endswith(".sh")) for name, data in files.items())
    findings = (Finding("EI101", Level.NOTE, "seen \udcff", "p", 1, None, "look"),)
    return CacheEntry(("a.zip",), kept, findings, (("bundle", "m"), ("top1", 1.0)))


def test_what_was_stored_comes_back(cache: Cache) -> None:
    assert cache.entry(KEY) is None
    cache.store(KEY, entry_of(FILES), FILES)
    assert cache.entry(KEY) == entry_of(FILES)
    assert cache.contents(KEY) == FILES
    assert cache.all_keys() == [KEY]
    assert (cache.folder / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    cache.drop(KEY)
    assert cache.entry(KEY) is None
    cache.drop(KEY)


@examples(150)
@given(st.data())
def test_damage_is_noticed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    cache = Cache(tmp_path_factory.mktemp("cache"))
    cache.store(KEY, entry_of(FILES), FILES)
    whole = cache.place(KEY).read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    kind = data.draw(st.sampled_from(["flip", "cut", "drop"]))
    flipped = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    cache.place(KEY).write_bytes(
        {"flip": flipped, "cut": whole[:place], "drop": whole[:place] + whole[place + 1 :]}[kind]
    )
    with pytest.raises(DamagedEntry):
        cache.contents(KEY)


@given(content=st.binary(max_size=200))
def test_any_bytes_are_no_entry(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    cache = Cache(tmp_path_factory.mktemp("cache"))
    cache.store(KEY, entry_of(FILES), FILES)
    cache.place(KEY).write_bytes(content)
    with pytest.raises(DamagedEntry):
        cache.entry(KEY)


def test_an_entry_under_another_name_is_damaged(cache: Cache) -> None:
    cache.store(KEY, entry_of(FILES), FILES)
    other = "ac" * 32
    cache.place(other).parent.mkdir(parents=True)
    cache.place(KEY).rename(cache.place(other))
    with pytest.raises(DamagedEntry, match=r"^it is another entry$"):
        cache.entry(other)


def test_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder(Path("given"), {"EI_DEEPSTREAM_CACHE": "named"}) == Path("given")
    assert cache_folder(None, {"EI_DEEPSTREAM_CACHE": "named", "XDG_CACHE_HOME": "/xdg"}) == Path("named")
    assert cache_folder(None, {"XDG_CACHE_HOME": "/xdg"}) == Path("/xdg/ei-deepstream")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder(None, {"XDG_CACHE_HOME": "relative"}) == tmp_path / ".cache" / "ei-deepstream"
    assert cache_folder(None, {}) == tmp_path / ".cache" / "ei-deepstream"


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(OutputError) as caught:
        cache_folder(None, {})
    assert (caught.value.message, caught.value.hint) == (
        "there is no home folder to keep a cache in", "give --cache-dir",
    )  # fmt: skip


def hold(path: Path, ready: Any, done: Any) -> None:
    with locked(path):
        ready.set()
        done.wait(60)


def test_a_lock_is_one_process_s(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    with locked(tmp_path, wait=False) as first, locked(tmp_path, wait=False) as second:
        assert (first, second) == (True, False), "two opens of one process exclude each other, too"
    process = context.Process(target=hold, args=(tmp_path, ready, done))
    process.start()
    assert ready.wait(60)
    with locked(tmp_path, wait=False) as held:
        assert not held
    process.kill()
    with locked(tmp_path) as held:
        assert held, "a lock ends with its process"
    process.join()


def test_a_lock_is_asked_for_ten_times_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other, naps = ExitStack(), []
    other.enter_context(locked(tmp_path))

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            other.close()

    monkeypatch.setattr(time, "sleep", sleep)
    with locked(tmp_path) as held:
        assert held
    assert naps == [0.1, 0.1]


@pytest.mark.parametrize(
    ("call", "message"),
    [("os.open", "cannot open it: No locks available"), ("fcntl.flock", "cannot lock it: No locks available")],
)
def test_a_file_system_without_locks(call: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    with monkeypatch.context() as patch:
        patch.setattr(f"convert.batch.cache.{call}", refuse)
        with pytest.raises(OutputError) as caught, locked(tmp_path):
            pytest.fail("there is no lock")
    assert (caught.value.message, caught.value.hint) == (message, "choose another place")
    assert caught.value.path == str(tmp_path)


def test_locks_of_keys(cache: Cache) -> None:
    with cache.lock("abc" + "0" * 61, wait=False) as one, cache.lock("abd" + "0" * 61, wait=False) as two:
        assert one
        assert two
        with cache.lock("abc" + "1" * 61, wait=False) as three:
            assert not three, "keys that begin alike share a lock"


def test_a_place_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = Cache(tmp_path / "file" / "cache")
    with pytest.raises(OutputError):
        cache.store(KEY, entry_of(FILES), FILES)
    with pytest.raises(OutputError), cache.lock(KEY, wait=False):
        pytest.fail("there is no lock")
    with pytest.raises(OutputError), locked(tmp_path / "gone"):
        pytest.fail("there is no lock")


@pytest.fixture
def filled(cache: Cache) -> Callable[[], list[str]]:
    """Three entries, last used 40, 20 and 0 days ago; returns those that are left, by their first digit."""
    for number, days in enumerate((40, 20, 0)):
        key = f"{number}" * 64
        cache.store(key, entry_of(FILES), FILES)
        then = time.time() - days * 86_400
        os.utime(cache.place(key), (then, then))
    return lambda: [key[0] for key in cache.all_keys()]


def test_usage(cache: Cache, filled: Callable[[], list[str]]) -> None:
    assert filled() == ["0", "1", "2"]
    cache.place("1" * 64).write_bytes(b"x")
    found = usage(cache)
    assert (found.entries, found.damaged) == (3, 1)
    assert found.bytes == 2 * cache.size("0" * 64)[0] + 1
    assert usage(Cache(cache.folder / "none")).entries == 0


def test_pruning_by_age(cache: Cache, filled: Callable[[], list[str]]) -> None:
    pruned = prune(cache, older_than=30 * 86_400)
    assert (pruned.removed, pruned.left, filled()) == (1, 2, ["1", "2"])
    cache.used("1" * 64)
    assert prune(cache, older_than=10 * 86_400).removed == 0, "use makes it young"


def test_pruning_by_size(cache: Cache, filled: Callable[[], list[str]]) -> None:
    size = cache.size("0" * 64)[0]
    pruned = prune(cache, older_than=1e9, max_size=2 * size)
    assert (pruned.removed, pruned.bytes, filled()) == (1, size, ["1", "2"])
    assert prune(cache, older_than=1e9, max_size=2 * size).removed == 0


def test_pruning_adds_up(cache: Cache, filled: Callable[[], list[str]]) -> None:
    """By age, by damage, then the longest unused until the rest fits."""
    for number, days in enumerate((10, 5, 3), 3):
        key = f"{number}" * 64
        cache.store(key, entry_of(FILES | {"more": b"x" * 100 * number}), FILES | {"more": b"x" * 100 * number})
        then = time.time() - days * 86_400
        os.utime(cache.place(key), (then, then))
    cache.place("5" * 64).write_bytes(b"damaged")
    sizes = [cache.size(f"{number}" * 64)[0] for number in range(6)]
    pruned = prune(cache, older_than=30 * 86_400, max_size=sizes[4] + sizes[2])
    assert filled() == ["2", "4"]
    assert pruned == Pruned(str(cache.folder), 4, sizes[0] + sizes[5] + sizes[1] + sizes[3], 2)


def test_pruning_what_is_damaged(cache: Cache, filled: Callable[[], list[str]]) -> None:
    cache.place("2" * 64).write_bytes(b"x")
    assert prune(cache, older_than=1e9).removed == 1
    assert filled() == ["0", "1"]


def test_pruning_everything(cache: Cache, filled: Callable[[], list[str]], tmp_path: Path) -> None:
    cache.ledger(tmp_path).parent.mkdir()
    cache.ledger(tmp_path).write_bytes(b"{}")
    assert prune(cache, older_than=0).left == 0
    assert not filled()
    assert not cache.ledger(tmp_path).exists()
