"""Stored paths against glibc's own realpath, and what Gst-nvinfer was seen to store."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.nvinfer.numbers import PATH_BYTES, read_ordinary, real_path, stored_path
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Folders, files and links of every kind; the real path of the folder they are in."""
    root = tmp_path_factory.mktemp("tree")
    (root / "d" / "e").mkdir(parents=True)
    (root / "f").touch()
    (root / "d" / "g").touch()
    links = {"l": "d", "loop": "loop", "lf": "f", "dangling": "none", "abs": str(root / "d" / "e"), "l2": "l//"}
    for name, target in {**links, "lf2": "lf/", "root": "/"}.items():
        (root / name).symlink_to(target)
    # One link more than are followed.
    for number in range(41):
        (root / f"chain{number}").symlink_to(f"chain{number + 1}" if number < 40 else "f")
    (root / "d" / "e" / "up").symlink_to("../..")
    return os.fsencode(root.resolve())


NAMES = ["d", "e", "f", "g", "l", "loop", "lf", "dangling", "abs", "up", ".", "..", "none", "", "n" * 300, "l2", "lf2"]


@examples(600)
@given(names=st.lists(st.sampled_from([*NAMES, "root", "dev", "null", "chain0", "chain1"]), max_size=6))
def test_resolves_as_glibc(tree: bytes, names: list[str]) -> None:
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library of this machine is not glibc")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.realpath.restype = ctypes.c_void_p
    path = tree + b"/" + "/".join(names).encode()
    buffer = ctypes.create_string_buffer(4097)
    error = 0 if libc.realpath(path, buffer) else ctypes.get_errno()
    found, ours = real_path(path)
    assert ours == error
    if error in {0, errno.ENOENT}:
        assert found == buffer.value
    assert real_path(path[len(tree) :].lstrip(b"/"), tree) == (found, ours)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (b"f", b"f"),
        (b"l/g", b"d/g"),
        (b"none/../x", b"none/../x"),
        (b"d/../f", b"f"),
        (b"", b""),
        (b"a\0b", b"a"),
        (b'"f"', b'"f"'),
        (b"f ", b"f "),
    ],
)
def test_relative_paths_belong_to_the_folder(tree: bytes, text: bytes, stored: bytes) -> None:
    assert stored_path(text, tree) == (tree + b"/" + stored if stored else tree)


@pytest.mark.parametrize("text", [b"f/x", b"loop", b"n" * 300, b"lf/"])
def test_what_cannot_even_be_missing_is_refused(tree: bytes, text: bytes) -> None:
    assert stored_path(text, tree) is None
    assert stored_path(tree + b"/" + text, tree) is None


def test_links_are_followed_forty_times(tree: bytes) -> None:
    assert real_path(tree + b"/chain1") == (tree + b"/f", 0)
    assert real_path(tree + b"/chain0")[1] == errno.ELOOP


def test_absolute_paths_end_at_the_first_missing_part(tree: bytes) -> None:
    assert stored_path(b"/nonexistent/dir/a.onnx", tree) == b"/nonexistent"
    assert stored_path(b"/dev/none/a.onnx", tree) == b"/dev/none"
    assert stored_path(tree + b"/l/none/x", tree) == tree + b"/d/none"


def test_long_paths_are_cut(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path.resolve())
    text = b"/".join([b"n" * 200] * 19) + b"/x"
    stored = stored_path(text, folder)
    assert stored is not None
    assert len(stored) <= PATH_BYTES


@pytest.mark.parametrize("between", [b"/" * 5000, b"/." * 2000 + b"/"])
def test_repeated_slashes_take_no_time(tree: bytes, between: bytes) -> None:
    assert real_path(tree + b"/d" + between + b"g") == (tree + b"/d/g", 0)
    assert real_path(tree + b"/f" + between)[1] == errno.ENOTDIR


@pytest.mark.parametrize(("size", "most", "read"), [(0, 0, True), (5, 5, True), (5, 6, True), (6, 5, False)])
def test_a_file_of_so_many_bytes(size: int, most: int, read: bool, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(bytes(size))
    if read:
        assert read_ordinary(tmp_path / "a.txt", "config", most) == bytes(size)
        return
    with pytest.raises(InputError, match=f"^the config has {size} bytes, and cannot have more than {most}") as caught:
        read_ordinary(tmp_path / "a.txt", "config", most)
    assert caught.value.hint == "is this another file?"
    assert caught.value.path == str(tmp_path / "a.txt")
