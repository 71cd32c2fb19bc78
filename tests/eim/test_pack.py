"""One executable file."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from convert.eim.bundle import header, pack, read_impulse
from convert.errors import InputError, OutputError

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written(made: dict[str, Path], tmp_path: Path) -> None:
    first, second = pack(made["fomo"], tmp_path / "a.eim"), pack(made["fomo.eim"], tmp_path / "b.eim")
    assert first.sha256 == second.sha256, "the same bytes, whatever it was packed from"
    assert stat.S_IMODE((tmp_path / "a.eim").stat().st_mode) & 0o111
    with zipfile.ZipFile(tmp_path / "a.eim") as packed:
        assert packed.namelist() == ["model.onnx", "report.json"]
        assert packed.testzip() is None
    assert read_impulse(tmp_path / "a.eim") == read_impulse(made["fomo"])


def test_only_a_sound_bundle_is_packed(made: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        pack(tmp_path, tmp_path / "a.eim")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError):
        pack(made["fomo"], tmp_path)


def test_any_interpreter_path(made: dict[str, Path], tmp_path: Path) -> None:
    """Blanks, quotes and dollars in it, and in the path of the file itself."""
    folder = tmp_path / 'it\'s $HOME "x" `y`'
    folder.mkdir()
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    pack(made["fomo"], folder / "my model.eim", interpreter=str(python))
    done = subprocess.run([folder / "my model.eim", "--print-info"], capture_output=True, check=True, timeout=60)
    assert b'"face"' in done.stdout
    assert b"'" in header("it's")


def test_without_its_interpreter(made: dict[str, Path], tmp_path: Path) -> None:
    """Carried to another machine: the command on the PATH runs it, or a plain word says what is missing."""
    model = tmp_path / "-model.eim"
    pack(made["fomo"], model, interpreter="/nowhere/python")
    tools = tmp_path / "bin"
    tools.mkdir()
    alone = {**os.environ, "PATH": f"{tools}:/usr/bin:/bin"}
    done = subprocess.run([model, "stdin"], capture_output=True, check=False, env=alone, timeout=60)
    assert done.returncode == 127
    assert b"needs ei-deepstream" in done.stdout
    command = tools / "ei-deepstream"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m convert "$@"\n')
    command.chmod(0o755)
    for mode, expected in (("stdin", b"on stdin"), ("--print-info", b'"face"'), ("", b"")):
        arguments = ["./-model.eim", mode] if mode else ["./-model.eim"]
        done = subprocess.run(
            arguments, input=b"", capture_output=True, check=False, env=alone, timeout=60, cwd=tmp_path
        )  # fmt: skip
        assert done.returncode == (0 if mode else 1), done
        assert expected in done.stdout


def test_the_working_folder_is_not_imported_from(made: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "convert.py").write_text("raise SystemExit('the wrong module')")
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong module')")
    done = subprocess.run([made["fomo.eim"], "--print-info"], capture_output=True, check=True, cwd=tmp_path, timeout=60)
    assert b'"face"' in done.stdout
