"""What a stranger installs: the wheel, the sdist and an editable tree have the command and its data files."""

from __future__ import annotations

import fcntl
import importlib
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import of_all_processes

ROOT = Path(__file__).resolve().parents[1]


def _build(target: str, source: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow  # hatchling is not everywhere
def test_the_backend_that_other_tools_ask_is_the_one_that_builds() -> None:
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    backend = importlib.import_module(system["build-backend"])
    assert backend.__name__.split(".")[0] in {re.split("[<>=]", each)[0] for each in system["requires"]}
    assert callable(backend.build_wheel)
    assert callable(backend.build_sdist)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that is built of it, made with hatchling as `pip` would.

    All processes of pytest-xdist share it.
    """
    folder = of_all_processes(tmp_path_factory, "dist")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not list(folder.glob("*.whl")):
            _build("sdist", ROOT, folder)
            (sdist,) = folder.glob("*.tar.gz")
            subprocess.run(["tar", "-xzf", sdist], cwd=folder, check=True)
            _build("wheel", folder / sdist.name.removesuffix(".tar.gz"), folder)
    return folder


def _data_files() -> set[str]:
    return {f"configs/{path.relative_to(ROOT / 'configs')}" for path in (ROOT / "configs").rglob("*") if path.is_file()}


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_its_data(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"convert/{name}" for name in _data_files()} <= names
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "convert").rglob("*.py")}
    assert modules <= names
    assert "convert/py.typed" in names
    assert not {name for name in names if name.startswith(("tests/", "samples/", "configs/"))}


@pytest.mark.slow
def test_the_sdist_can_be_tested_and_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "Makefile", "convert/__main__.py", "tests/conftest.py"}
    wanted |= {".pre-commit-hooks.yaml", "action.yml"}  # tests/test_hooks.py reads them
    assert wanted | _data_files() <= names


@pytest.mark.slow
def test_the_wheel_runs_in_a_clean_environment(built: Path, tmp_path: Path) -> None:
    """The dependencies come from this environment (a .pth), the package only from the wheel."""
    (wheel,) = built.glob("*.whl")
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    site = next((home / "lib").glob("python3.*/site-packages"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (site / "dependencies.pth").write_text(str(Path(pytest.__file__).parents[1]) + "\n")
    run = [str(home / "bin" / "python"), "-I", "-m", "convert"]
    export = ROOT / "samples" / "exports" / "shapes-cpp-2025"
    words = [*run, "convert", str(export), "-o", str(tmp_path / "bundle"), "--role", "sgie", "-q"]
    out = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert out.returncode == 0, out.stdout + out.stderr
    where = [str(home / "bin" / "python"), "-I", "-c", "import convert.files as r; print(r.configs())"]
    assert Path(subprocess.check_output(where, text=True, cwd=tmp_path).strip()).is_relative_to(site)
