"""Zips, folders and files that are not what they should be: one clear error each, nothing read that is not needed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import struct
import tracemalloc
import zipfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import ConvertError, InputError
from convert.export.archive import LIMITS, Limits, open_source, open_tree, open_zip_bytes, read_file, read_head
from samples.layouts import zip_bytes
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES = {"a.txt": b"one", "b/c.txt": b"two" * 1000}


AGAIN = "download or copy the file again"
UNPACK = "unpack it with another program and give the folder instead"
LARGE = "this is more than any model for a Jetson needs"
EXPORT = "give the export's own folder"
FILE = "give a file, a folder or a zip"
ACCESS = "check its permissions, or copy it elsewhere"


@contextlib.contextmanager
def refused(message: str, hint: str) -> Iterator[None]:
    """With this message (or, where a blank ends it, one that begins so) and this hint."""
    with pytest.raises(InputError) as caught:
        yield
    told = caught.value.message
    assert (told[: len(message)] if message[-1] == " " else told, caught.value.hint) == (message, hint)


def zipped(data: bytes, path: str = "a.txt", **attributes: int) -> bytes:
    """A zip of one member with unusual attributes."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(path)
        info.compress_type = zipfile.ZIP_DEFLATED
        for name, value in attributes.items():
            setattr(info, name, value)
        archive.writestr(info, data)
    return stream.getvalue()


def read_all(data: bytes, folder: Path) -> dict[str, bytes]:
    path = folder / "x.zip"
    path.write_bytes(data)
    with open_tree(path) as tree:
        return {name: tree.read(name) for name in tree.members}


def test_a_zip_a_folder_and_a_file_look_alike(tmp_path: Path) -> None:
    for name, data in FILES.items():
        place = tmp_path / "folder" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    assert read_all(zip_bytes(FILES), tmp_path) == FILES
    with open_tree(tmp_path / "folder") as tree:
        assert {name: tree.read(name) for name in tree.members} == FILES
        assert (tree.kind, tree.members["b/c.txt"]) == ("folder", 3000)
        assert tree.name_of("a.txt") == str(tmp_path / "folder" / "a.txt")
    with open_tree(tmp_path / "folder" / "a.txt") as tree:
        assert (tree.kind, list(tree.members), tree.read("a.txt")) == ("file", ["a.txt"], b"one")
    with open_zip_bytes(zip_bytes(FILES), Path("in.zip")) as tree:
        assert tree.read("a.txt") == b"one"


def test_a_member_that_is_not_there(tmp_path: Path) -> None:
    with open_tree(tmp_path) as tree, refused("there is no x.txt in it", AGAIN):
        tree.read("x.txt")


@pytest.mark.parametrize(
    "path", ["../evil.h", "a/../../evil.h", "/etc/passwd", "..\\evil.h", "C:\\evil.h", "C:/evil.h", "a\0b"]
)
def test_paths_that_lead_outside(path: str, tmp_path: Path) -> None:
    data = zipped(b"x", "p" * len(path)).replace(b"p" * len(path), path.encode())
    message = f"the zip holds the path {path.replace(chr(92), '/')!r}, which leads outside of it"
    with refused(message, "do not unpack it; export or download it again from Edge Impulse"):
        read_all(data, tmp_path)


def test_dots_that_lead_nowhere_else_are_fine(tmp_path: Path) -> None:
    assert read_all(zipped(b"x", "./a/./b..c"), tmp_path) == {"a/b..c": b"x"}


def test_links_in_a_zip_are_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zipped(b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16))
    with open_tree(path) as tree:
        assert not tree.members
        said = [(finding.id, finding.message) for finding in tree.findings]
        assert said == [("EI110", "the link a.txt in the zip is not followed")]


def test_an_encrypted_member(tmp_path: Path) -> None:
    data = bytearray(zipped(b"secret" * 10))
    data[6] |= 1  # general purpose bit 0 in the local header
    at = data.find(b"PK\1\2")
    data[at + 8] |= 1  # and in the central directory
    with refused("the zip is encrypted", f"{UNPACK}; it will ask for the password"):
        read_all(bytes(data), tmp_path)


def test_a_bomb(tmp_path: Path) -> None:
    with refused("it would swell from 8157 to 8388608 bytes: this looks like a zip bomb", f"if you trust it, {UNPACK}"):
        read_all(zipped(bytes(8 << 20)), tmp_path)


def test_what_compresses_well_but_is_small_is_fine(tmp_path: Path) -> None:
    assert read_all(zipped(bytes(1 << 19)), tmp_path)


@pytest.mark.parametrize(
    ("kind", "limits", "message"),
    [
        ("zip", Limits(ratio=1, ratio_from=1), None),  # 3000 bytes, stored as they are
        ("zip", Limits(ratio=0, ratio_from=2999), "it would swell from 3000 to 3000 bytes"),
        ("zip", Limits(ratio=0, ratio_from=3000), None),
        ("zip", Limits(members=1), None),
        ("zip", Limits(members=0), "the zip has more than 0 members"),
        ("zip", Limits(member=3000), None),
        ("zip", Limits(member=2999), "it is larger than 0 MiB"),
        ("zip", Limits(total=3000), None),
        ("zip", Limits(total=2999), "more than 0 MiB would have to be read"),
        ("folder", Limits(members=1), None),
        ("folder", Limits(members=0), "it holds more than 0 files"),
        ("folder", Limits(member=3000), None),
        ("folder", Limits(member=2999), "it is larger than 0 MiB"),
        ("folder", Limits(total=3000), None),
        ("folder", Limits(total=2999), "more than 0 MiB would have to be read"),
        ("folder", Limits(depth=2), None),
        ("folder", Limits(depth=1), "folders are nested deeper than 1"),
    ],
)
def test_the_last_size_that_is_read(kind: str, limits: Limits, message: str | None, tmp_path: Path) -> None:
    path, data = tmp_path / "x", b"0123456789" * 300
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("a/b/c.txt", data)
    else:
        (path / "a/b").mkdir(parents=True)
        (path / "a/b/c.txt").write_bytes(data)
    said = None
    try:
        with open_tree(path, limits) as tree:
            assert tree.read("a/b/c.txt") == data
    except InputError as error:
        said = error.message
    assert (said or "").split(":")[0] == (message or "")


def test_a_size_that_is_a_lie_does_not_fill_the_memory(tmp_path: Path) -> None:
    data = bytearray(zipped(bytes(1 << 20)))
    at = data.find(b"PK\1\2")
    struct.pack_into("<I", data, at + 24, 100)  # uncompressed size in the central directory
    with pytest.raises(InputError, match=r"^the zip is damaged "):
        read_all(bytes(data), tmp_path)


def test_too_large_a_member(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zip_bytes(FILES))
    with open_tree(path) as tree, refused("it is larger than 0 MiB", LARGE):
        tree.read("b/c.txt", 2999)
    with open_zip_bytes(zip_bytes(FILES), Path("in.zip")) as tree:
        assert tree.read("b/c.txt", 3000) == FILES["b/c.txt"]
    (tmp_path / "f").write_bytes(b"123")
    with refused("it is larger than 0 MiB", LARGE):
        read_file(tmp_path / "f", 2)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    try:
        with refused("it is larger than 256 MiB", LARGE):
            read_file(tmp_path / "huge")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_too_much_in_all(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1" * 1000)
    with open_tree(tmp_path, Limits(total=1500)) as tree:
        tree.read("a")
        with refused("more than 0 MiB would have to be read", "give a smaller folder"):
            tree.read("a")


def test_too_many_members(tmp_path: Path) -> None:
    one = Limits(members=1)
    assert LIMITS.members > 20_000
    with refused("the zip has more than 1 members", UNPACK), open_zip_bytes(zip_bytes(FILES), tmp_path, one):
        pass
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(b"")
    with refused("it holds more than 1 files", EXPORT), open_tree(tmp_path, one):
        pass


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    assert read_all(zipped(b"x", "aaaa").replace(b"aaaa", b"\xff\xfe\xe4a"), tmp_path)
    flagged = bytearray(zipped(b"x", "ääa"))  # the flag says UTF-8
    with pytest.raises(InputError, match=r"^the zip is damaged "):
        read_all(bytes(flagged).replace("ää".encode(), b"\xff\xfe\xff\xfe"), tmp_path)
    folder = tmp_path / "folder"
    folder.mkdir()
    place = folder / os.fsdecode(b"caf\xe9") / "m.h"
    place.parent.mkdir()
    place.write_bytes(b"x")
    with open_tree(folder) as tree:
        (name,) = tree.members
        assert name.encode()
        assert tree.read(name) == b"x"


def test_what_programs_leave_beside_an_export_is_not_looked_at(tmp_path: Path) -> None:
    junk = {"__MACOSX/._a.h": b"x", ".git/config": b"x", "a.h": b"x"}
    assert list(read_all(zip_bytes(junk), tmp_path)) == ["a.h"]
    for name, data in junk.items():
        (tmp_path / "f" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / name).write_bytes(data)
    with open_tree(tmp_path / "f") as tree:
        assert list(tree.members) == ["a.h"]


def test_links_in_a_folder(tmp_path: Path) -> None:
    """Links in circles end, linked folders are not entered, linked files are read."""
    folder, outside = tmp_path / "folder", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "far.h").write_bytes(b"far")
    (folder / "loop").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    (folder / "out").symlink_to(outside)
    (folder / "file.h").symlink_to(outside / "far.h")
    (folder / "broken.h").symlink_to(outside / "nothing")
    with open_tree(folder) as tree:
        assert list(tree.members) == ["file.h"]
        assert tree.read("file.h") == b"far"
        assert {Path(str(finding.path)).name for finding in tree.findings} >= {"loop", "out"}
        assert {finding.message for finding in tree.findings} == {"a link to a folder is not followed"}


def test_pipes_and_devices_are_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h")
    with open_tree(tmp_path) as tree:
        assert not tree.members
    for path in (tmp_path / "pipe.h", Path("/dev/zero")):
        with refused("this is no regular file", FILE), open_tree(path):
            pass
        with refused("this is no regular file", FILE):
            read_file(path)


def test_a_file_that_became_a_pipe_after_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    checked = (tmp_path / "file").stat()
    monkeypatch.setattr(Path, "stat", lambda _: checked)
    assert read_file(tmp_path / "pipe") == b""


def test_folders_nested_without_end(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 60)
    deep.mkdir(parents=True)
    with refused("folders are nested deeper than 40", EXPORT), open_tree(tmp_path):
        pass


@pytest.mark.parametrize("name", ["nothing", "nothing/below", "a.txt/below"])
def test_a_path_that_is_not_there(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    with pytest.raises(InputError, match=r"^cannot read it") as caught, open_tree(tmp_path / name):
        pass
    assert caught.value.hint == "check the name"


def test_a_name_with_a_nul() -> None:
    with refused("not a path: ", "check the name"), open_tree(Path("a\0b")):
        pass


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by the system calls themselves, because tests may run as root, who is refused nothing."""
    (tmp_path / "closed").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    scandir = os.scandir

    def refuse(path: object, *_: object) -> object:
        if Path(str(path)).name in {"closed", "file"}:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "open", refuse)
    with open_tree(tmp_path) as tree:
        said = [(finding.id, finding.message) for finding in tree.findings]
        assert said == [("EI110", "this folder cannot be read: Permission denied")]
        with refused("cannot read it: Permission denied", ACCESS):
            tree.read("file")
    with refused("cannot read it: Permission denied", ACCESS), open_tree(tmp_path / "closed"):
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_no_export_uses(method: int, tmp_path: Path) -> None:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("a.txt", b"x" * 100)
    with refused(f"it is packed with method {method}", UNPACK):
        read_all(stream.getvalue(), tmp_path)


def test_every_cut_zip_is_refused(tmp_path: Path) -> None:
    data = zip_bytes(FILES)
    for end in range(4, len(data) - 1):
        with pytest.raises(InputError):
            read_all(data[:end], tmp_path)


def test_reading_the_head(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"12345")
    assert (read_head(tmp_path / "f", 3), read_head(tmp_path / "f", 9)) == (b"123", b"12345")


ZIP = zip_bytes({**FILES, "d/e.h": bytes(range(256))})


@examples(300)
@given(st.lists(st.tuples(st.integers(0, len(ZIP) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_changed_zips_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    data = bytearray(ZIP)
    for at, value in changes:
        data[at] = value
    try:
        with open_zip_bytes(bytes(data), Path("x.zip")) as tree:
            for path in tree.members:
                tree.read(path)
    except ConvertError as error:
        assert error.hint  # noqa: PT017 - the error is one of two right outcomes


@pytest.mark.parametrize("name", ["m.H", "m.c", "m.cpp", "m.tflite", "m.lite", "m.onnx", "second.zip"])
def test_a_zip_in_a_zip_is_opened_where_no_model_lies_beside_it(name: str, tmp_path: Path) -> None:
    path = tmp_path / "outer.zip"
    for more, members in (({"readme.txt": b""}, list(FILES)), ({name: b""}, sorted(["inner.ZIP", name]))):
        path.write_bytes(zip_bytes({"inner.ZIP": zip_bytes(FILES), **more}))
        with open_source(path) as source:
            assert list(source.tree.members) == members
