"""Which files are checked, and what becomes of things that are no files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from convert.check.recognise import APP, CONFIG, SCRIPT
from convert.check.run import find_configs

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = "# c\n [property]\nbatch-size=1\n"
_APP = "[application]\na=1\n[primary-gie]\nenable=1\nconfig-file=c.txt\n"


def _names(folder: Path) -> dict[str, str]:
    return {os.path.relpath(each.path, folder): each.kind for each in find_configs([str(folder)]) if not each.error}


def test_a_folder_is_searched_by_contents(tmp_path: Path) -> None:
    files = {
        "config.txt": _CONFIG,
        "deep/er/c.cfg": _CONFIG,
        "deep/er/c.conf": _CONFIG,
        "deep/er/c.INI": _CONFIG,
        "marked.txt": "\ufeff[property]\n",
        "broken.txt": "; comment\n[property]\n",
        "c.yml": "property:\n  batch-size: 1\n",
        "app.txt": _APP,
        "app.yml": "application:\n  a: 1\nprimary-gie:\n  config-file: c.yml\n",
        "build.sh": "#!/bin/sh\n/usr/src/tensorrt/bin/trtexec --onnx=a\n",
    }
    others = {
        "labels.txt": "car\nperson\n",
        "README.md": "[property]\n",
        "config.dat": _CONFIG,
        "config": _CONFIG,
        "tests.sh": "echo trtexec.log my-trtexec\n",
        "compose.yml": "services:\n  a: 1\n",
        "poetry.cfg": "[metadata]\nname=a\n",
        ".hidden/config.txt": _CONFIG,
        "one-group.txt": "[primary-gie]\nenable=1\n",
    }
    for name, text in {**files, **others}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    kinds = {"app.txt": APP, "app.yml": APP, "build.sh": SCRIPT}
    assert _names(tmp_path) == {name: kinds.get(name, CONFIG) for name in files}


def test_what_is_named_is_checked_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("car\n")
    (found,) = find_configs([str(tmp_path / "labels.txt")])
    assert (found.kind, found.error) == (CONFIG, None)


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuses)
    (found,) = find_configs([str(tmp_path)])
    assert found.error is not None
    assert (found.path, found.error.path) == (str(tmp_path), str(tmp_path))
    assert (found.error.message, found.error.hint) == (
        "the folder cannot be read: Permission denied",
        "fix its permissions",
    )


def test_each_file_once(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text(_CONFIG)
    paths = [str(tmp_path / "c.txt"), f"{tmp_path}/./c.txt", str(tmp_path)]
    assert len(find_configs(paths)) == 1


NAME_A_CONFIG = "name the config of Gst-nvinfer or deepstream-app, or the folder it is in"
INSPECT = "name the config: its onnx-file is looked at, too; `ei-deepstream inspect` describes exports"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("missing.txt", "the config cannot be read: No such file or directory", "check the path"),
        ("fifo.txt", "the config is no ordinary file (a pipe, socket or device)", "name an ordinary file"),
        ("a\0b.txt", "the path of the config has a null character in it", None),
        ("empty", "there is no DeepStream config in the folder", "name the config itself"),
        ("picture.txt", "this is a PNG picture, and no config", NAME_A_CONFIG),
        ("page.txt", "this is XML or HTML, and no config", NAME_A_CONFIG),
        ("json.txt", "this is JSON, and no config", NAME_A_CONFIG),
        ("model.txt", "this is protobuf's text, and no config", NAME_A_CONFIG),
        *((f"m{suffix}", "check takes configs, not models and libraries", INSPECT) for suffix in (
            ".onnx", ".ENGINE", ".plan", ".tflite", ".lite", ".zip", ".so", ".eim",
        )),
    ],
)  # fmt: skip
def test_what_cannot_be_checked_says_why(tmp_path: Path, name: str, message: str, hint: str | None) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    (tmp_path / "page.txt").write_text("  <html>")
    (tmp_path / "json.txt").write_text(' {"a": 1}')
    (tmp_path / "model.txt").write_text("layer {\n  a: 1\n}\n")
    (found,) = find_configs([str(tmp_path / name)])
    assert found.error is not None
    assert (found.error.message, found.error.hint) == (message, hint)


def test_a_folder_of_too_many_configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.check.run._MOST_FILES", 2)
    for number in range(2):
        (tmp_path / f"{number}.txt").write_text(_CONFIG)
    assert [each.error for each in find_configs([str(tmp_path)])] == [None, None]
    (tmp_path / "2.txt").write_text(_CONFIG)
    *others, last = find_configs([str(tmp_path)])
    assert [each.error for each in others] == [None, None]
    assert last.error is not None
    assert (last.error.message, last.error.hint) == (
        "the folder holds more than 2 configs and scripts",
        "name a smaller folder",
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0)
    (tmp_path / "c.txt").write_text(_CONFIG)
    (tmp_path / "c.txt").chmod(0)
    errors = [each.error for each in find_configs([str(tmp_path)])]
    assert len(errors) == 2
    assert all(errors)


def test_strange_things_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "loop.txt").symlink_to(tmp_path / "loop.txt")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "dangling.txt").symlink_to(tmp_path / "nothing")
    (tmp_path / "folder.txt").mkdir()
    (tmp_path / "large.txt").write_text("[property]\n" + "#" * 2**20)
    (tmp_path / "c.txt").write_text(_CONFIG)
    assert _names(tmp_path) == {"c.txt": CONFIG}
