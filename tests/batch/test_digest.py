"""Every change of an export changes its digest; nothing is read twice that did not change."""

from __future__ import annotations

import os
import shutil
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.batch import cache as module
from convert.batch.cache import BundleFile, Ledger, list_files
from convert.files import sha256
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.json")


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was just written counts as old."""
    monkeypatch.setattr(module, "_SETTLED", -(10**12))


def reading(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    read: list[Path] = []
    real = module._sha256

    def counted(path: Path) -> str:
        read.append(path)
        return real(path)

    monkeypatch.setattr(module, "_sha256", counted)
    return read


def change_content(folder: Path) -> None:
    (folder / "a").write_bytes(b"2")


def add_file(folder: Path) -> None:
    (folder / "z").write_bytes(b"")


def remove_file(folder: Path) -> None:
    (folder / "sub" / "b").unlink()


def rename_file(folder: Path) -> None:
    (folder / "a").rename(folder / "c")


def swap_content(folder: Path) -> None:
    (folder / "a").write_bytes(b"22")
    (folder / "sub" / "b").write_bytes(b"1")


def add_link(folder: Path) -> None:
    (folder / "link").symlink_to("sub")


@pytest.mark.parametrize("change", [change_content, add_file, remove_file, rename_file, swap_content, add_link])
def test_a_change_is_seen(change: object, ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_bytes(b"1")
    (folder / "sub" / "b").write_bytes(b"22")
    before = ledger.digest([folder])
    assert ledger.digest([folder]) == before
    assert callable(change)
    change(folder)
    assert ledger.digest([folder]) != before


def test_where_it_lies_does_not_matter(ledger: Ledger, library: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(library, tmp_path / "elsewhere" / "copy")
    (copy / ".git").mkdir()
    (copy / ".git" / "index").write_bytes(b"not looked at")
    assert ledger.digest([library]) == ledger.digest([copy])
    assert len(list_files([library])) == len(list_files([copy]))


@examples(50)
@given(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=3), min_size=1, max_size=3), st.data())
def test_different_files_have_different_digests(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], data: st.DataObject
) -> None:
    others = data.draw(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=3), min_size=1, max_size=3))
    digests = []
    for content in (files, others):
        folder = tmp_path_factory.mktemp("folder")
        for name, each in content.items():
            (folder / name).write_bytes(each)
        digests.append(Ledger(folder / "none").digest([folder]))
    assert (digests[0] == digests[1]) == (files == others)


@pytest.mark.usefixtures("settled")
def test_what_did_not_change_is_not_read_again(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = reading(monkeypatch)
    path = tmp_path / "export"
    path.write_bytes(b"1")
    first = ledger.digest([path])
    ledger.save()
    again = Ledger(ledger.path)
    assert again.digest([path]) == first
    assert read == [path]
    again.save()
    assert Ledger(ledger.path).digest([path]) == first
    assert read == [path], "what was not read again is remembered all the same"
    assert Ledger(ledger.path, trust=False).digest([path]) == first
    assert read == [path, path]


@pytest.mark.parametrize(("later", "times"), [(2_000_000_000, 2), (2_000_000_001, 1)])
def test_two_seconds_later_it_is_trusted(
    later: int, times: int, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File systems count time in steps of up to two seconds."""
    read = reading(monkeypatch)
    path = tmp_path / "export"
    path.write_bytes(b"1")
    os.utime(path, (1, 1))  # the change of the status counts
    changed = path.stat().st_ctime_ns
    monkeypatch.setattr(module, "time", SimpleNamespace(time_ns=lambda: changed + later))
    ledger.digest([path])
    ledger.save()
    Ledger(ledger.path).digest([path])
    assert len(read) == times


def test_names_that_are_no_text_and_links(ledger: Ledger, tmp_path: Path) -> None:
    """A link is not followed; a file may have any name."""
    folder = tmp_path / "export"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / os.fsdecode(b"caf\xe9")).write_bytes(b"1")
    (folder / "again").symlink_to(".")
    (folder / "file").symlink_to("sub/" + os.fsdecode(b"caf\xe9"))
    found = [(each.name, each.status is None) for each in list_files([folder])]
    assert found == [("again", True), ("file", False), (f"sub/{os.fsdecode(bytes([99, 97, 102, 233]))}", False)]
    assert len(ledger.digest([folder])) == 64


def test_what_was_changed_just_now_is_not_trusted(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reading(monkeypatch)
    path = tmp_path / "export"
    path.write_bytes(b"1")
    ledger.digest([path])
    ledger.save()
    Ledger(ledger.path).digest([path])
    assert len(read) == 2


@pytest.mark.usefixtures("settled")
def test_setting_the_time_back_hides_nothing(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "export"
    path.write_bytes(b"1")
    before, status = ledger.digest([path]), path.stat()
    ledger.save()
    time.sleep(0.02)  # a step of the file system's clock
    path.write_bytes(b"2")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert Ledger(ledger.path).digest([path]) != before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}', b'{"a": [1]}', b"\xff", b"[" * 100_000])
def test_a_damaged_ledger_is_an_empty_one(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "ledger.json").write_bytes(content)
    (tmp_path / "export").write_bytes(b"1")
    ledger = Ledger(tmp_path / "ledger.json")
    assert ledger.digest([tmp_path / "export"]) == Ledger(tmp_path / "none").digest([tmp_path / "export"])


def test_a_file_that_cannot_be_read_is_an_error(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ledger.digest([tmp_path / "gone"])


@pytest.mark.parametrize("trusted", [False, True])
def test_a_bundle_is_verified(trusted: bool, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if trusted:
        monkeypatch.setattr(module, "_SETTLED", -(10**12))
    (tmp_path / "x").write_bytes(b"11")
    (tmp_path / "x").chmod(0o644)
    files = [BundleFile("x", sha256(b"11"), 2, executable=False)]
    assert ledger.verify(tmp_path, files)
    ledger.save()
    ledger = Ledger(ledger.path)
    assert ledger.verify(tmp_path, files)
    assert not ledger.verify(tmp_path, [BundleFile("x", sha256(b"12"), 2, executable=False)])
    (tmp_path / "x").chmod(0o755)
    assert not ledger.verify(tmp_path, files)
    (tmp_path / "x").chmod(0o644)
    (tmp_path / "x").write_bytes(b"12")
    assert not ledger.verify(tmp_path, files)
    (tmp_path / "x").unlink()
    assert not ledger.verify(tmp_path, files)
    (tmp_path / "x").mkdir()
    assert not ledger.verify(tmp_path, files)
