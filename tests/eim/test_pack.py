"""One executable file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest

from convert.api import simulate_recordings
from convert.eim import bundle
from convert.eim.bundle import header, pack
from convert.eim.client import talk
from convert.eim.compare import open_backend
from convert.errors import InputError, OutputError
from convert.images import ImageScaling
from convert.validate import runtimes
from tests.eim.bundles import read_impulse

if TYPE_CHECKING:
    from tests.eim.processes import Served, Servers


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
    pack(made["fomo"], tmp_path / "alone.eim", interpreter=sys.executable, standalone=True)
    for model in (made["fomo.eim"], tmp_path / "alone.eim"):
        done = subprocess.run([model, "--print-info"], capture_output=True, check=True, cwd=tmp_path, timeout=60)
        assert b'"face"' in done.stdout


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_a_provider_that_is_not_there_falls_back_and_says_so(
    made: dict[str, Path], servers: Servers, provider: str
) -> None:
    """Here ONNX Runtime has the CPU only."""
    eim = servers.folder / "gpu.eim"
    pack(made["classifier"], eim, provider=provider)
    path = servers.folder / "s.sock"
    process = servers.start(eim, path, wait_for=path)
    with talk(path) as client:
        assert client.model.raw["inferencing_engine"]["properties"] == ["onnxruntime CPUExecutionProvider"]
        assert client.classify(np.full(64, 0x00FF00, np.float32)).result["classification"]["green"] > 0.9
    process.wait(10)
    assert process.stdout
    said = process.stdout.read().decode()
    assert f"\nWARN: no {provider}: this onnxruntime has " in said
    assert "\nRunning on ONNX Runtime's CPUExecutionProvider\n" in said
    assert not list(servers.folder.glob("*.engines"))


@pytest.mark.parametrize(
    ("installed", "works", "missing"),
    [("tensorrt cuda cpu", "tensorrt", ""),
     ("tensorrt cuda cpu", "cuda", "no tensorrt: its libraries or the driver do not load"),
     ("cuda cpu", "cuda", "no tensorrt: this onnxruntime has ")],
)  # fmt: skip
def test_which_provider_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: str, works: str, missing: str
) -> None:
    names = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
    asked: list[Any] = []

    def load(model: bytes, providers: list[Any]) -> Any:
        asked.append((model, providers))
        return SimpleNamespace(get_providers=lambda: [names[works], names["cpu"]])

    has = [names[name] for name in installed.split()]
    monkeypatch.setattr(runtimes, "_onnxruntime", lambda: SimpleNamespace(get_available_providers=lambda: has))
    monkeypatch.setattr(runtimes, "load", load)
    cache = tmp_path / "m.engines"
    _, said = runtimes.load_on(b"model", "tensorrt", cache)
    assert said.startswith(missing)
    assert bool(said) is bool(missing)
    ((model, providers),) = asked
    assert model == b"model"
    if "tensorrt" in installed:
        name, options = providers.pop(0)
        assert (name, options["trt_engine_cache_enable"], options["trt_engine_cache_path"]) == (
            names["tensorrt"], True, str(cache),
        )  # fmt: skip
    assert cache.is_dir() is (works == "tensorrt"), "an empty folder is not left behind"
    assert providers == [names["cuda"], names["cpu"]]
    if "tensorrt" in installed:
        (tmp_path / "file").touch()
        _, said = runtimes.load_on(b"model", "tensorrt", tmp_path / "file" / "m.engines")
        assert said.startswith(missing or "engines are not kept: ")


def test_an_empty_folder_that_was_there_stays(tmp_path: Path, made: dict[str, Path]) -> None:
    cache = tmp_path / "m.engines"
    cache.mkdir()
    _, said = runtimes.load_on((made["classifier"] / "model.onnx").read_bytes(), "cuda", cache)
    assert said.startswith("no cuda: ")
    assert cache.is_dir()


def test_an_app_of_two_models(made: dict[str, Path], served: Served, tmp_path: Path) -> None:
    """One of them is packed, with the report's part about it."""
    app = tmp_path / "app"
    app.mkdir()
    parts, files = {}, []
    for role, kind in (("primary", "fomo"), ("secondary", "classifier")):
        report = json.loads((made[kind] / "report.json").read_bytes())
        file = f"{kind}.onnx"
        (app / file).write_bytes((made[kind] / "model.onnx").read_bytes())
        report["model"]["file"], report["export"]["name"] = file, kind
        parts[role] = {key: report[key] for key in ("export", "model", "options") if key in report}
        files += [each | {"path": file} for each in report["files"] if each["path"] == "model.onnx"]
    (app / "report.json").write_text(json.dumps({"schema_version": 1, "tool": {}, **parts, "files": files}))
    with pytest.raises(
        InputError, match=r"^the bundle is an app with two models: 1 is fomo, 2 is classifier$"
    ) as caught:
        read_impulse(app)
    assert caught.value.hint == "say which: --engine 1"
    for engine, task in ((1, "fomo"), (2, "classifier")):
        pack(app, tmp_path / "one.eim", engine=engine)
        assert read_impulse(app, engine=engine).task == task
        assert read_impulse(tmp_path / "one.eim").task == task
        with talk(served(task)) as client:
            with open_backend(app, client.model, ImageScaling.NONE, 60, engine=engine) as ours:
                assert sorted(ours.labels) == sorted(client.model.labels)
            with (
                pytest.raises(InputError, match=r"^this is no app with two models$") as caught,
                open_backend(made["fomo.eim"].with_suffix(".lite"), client.model, ImageScaling.NONE, 60, engine=engine),
            ):
                pass
            assert caught.value.hint == "leave --engine out"
    with pytest.raises(InputError, match="this bundle takes pictures"):
        simulate_recordings(app, tmp_path / "a.wav", output=tmp_path / "out")
    for engine in (2, -1):
        with pytest.raises(InputError, match=r"^the bundle has one model, and no second engine$") as caught:
            read_impulse(made["fomo"], engine=engine)
        assert caught.value.hint == "leave --engine out"


def test_standalone_needs_numpy_and_onnxruntime_only(made: dict[str, Path], tmp_path: Path) -> None:
    """With an interpreter that has these two packages and nothing else, not even this program."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for found in (np, onnxruntime):
        folder = Path(str(found.__file__)).parent
        for each in (folder, folder.with_name(f"{folder.name}.libs")):
            if each.exists():
                (packages / each.name).symlink_to(each)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    for kind in ("fomo", "yolov5", "sound"):
        model = tmp_path / f"{kind}.eim"
        pack(made[kind], model, interpreter=str(python), standalone=True)
        impulse = bundle.read_impulse(model)
        assert impulse == bundle.read_impulse(made[kind])
        with talk(model) as session:
            result = session.classify(np.zeros(impulse.features, np.float32)).result
        assert set(result) == ({"classification", "anomaly"} if kind == "sound" else {"bounding_boxes"})

    (packages / "onnxruntime").unlink()
    done = subprocess.run([tmp_path / "fomo.eim", "--print-info"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("ERR: this model needs onnxruntime: ")
    assert f"{sys.executable} -m pip install onnxruntime" in done.stderr
