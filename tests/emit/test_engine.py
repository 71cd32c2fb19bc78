"""The engine's name, and build_engine.sh run for real against a trtexec that only writes down what it is told."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.emit.files import SCRIPT, EngineBuild, build_script, trtexec_arguments
from convert.errors import PresetError
from convert.nvinfer.targets import target, targets, trtexec_accepts
from convert.types import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

INPUT = Tensor("x_input", (None, 3, 64, 96), "float32")

TRTEXEC = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done > "${0%/*}/argv"
for word; do case $word in --saveEngine=*) engine=${word#*=} ;; esac; done
"""
WORKS = TRTEXEC + 'printf "a new engine" > "$engine"\n'


def program(folder: Path, text: str = WORKS, name: str = "trtexec") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def bundle(folder: Path, engine: EngineBuild, *, release: str = "7.1", platform: str = "jetson") -> Path:
    folder.mkdir(parents=True)
    (folder / engine.onnx).write_bytes(b"an onnx model")
    script = folder / SCRIPT
    script.write_bytes(build_script(engine, INPUT, target(release, platform)))
    script.chmod(0o755)
    return folder


def run(words: Sequence[str | Path], cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"]} | environment
    return subprocess.run(words, cwd=cwd, env=kept, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def engine() -> EngineBuild:
    return EngineBuild("fruit.onnx", 4, 0, "fp32")


@pytest.mark.parametrize(
    ("batch", "gpu", "precision", "name"),
    [
        (1, 0, "fp32", "m.onnx_b1_gpu0_fp32.engine"),
        (16, 0, "fp16", "m.onnx_b16_gpu0_fp16.engine"),
        (1024, 3, "fp32", "m.onnx_b1024_gpu3_fp32.engine"),
    ],
)
def test_the_name_is_the_one_nvinfer_writes(batch: int, gpu: int, precision: str, name: str) -> None:
    engine = EngineBuild("m.onnx", batch, gpu, precision)
    assert engine.file == name


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("where", targets(), ids=lambda each: f"{each.deepstream}-{each.platform}")
def test_every_target_gets_its_flags(tmp_path: Path, where: Any, precision: str) -> None:
    engine = EngineBuild("fruit.onnx", 4, 0, precision)
    folder = bundle(tmp_path / "bundle", engine, release=where.deepstream, platform=where.platform)
    trtexec = program(tmp_path / "bin")
    done = run([folder / SCRIPT], tmp_path, TRTEXEC=str(trtexec))
    assert (done.returncode, done.stderr) == (0, "")
    save, *words = (tmp_path / "bin" / "argv").read_text().splitlines()
    assert save.startswith(f"--saveEngine=.{engine.file}.")
    # What section 4 of NVIDIA's sources says, written down once more: by TensorRT's first two numbers.
    version = tuple(int(part) for part in where.tensorrt.split(".")[:2])
    expected = ["--onnx=fruit.onnx"]
    expected += [f"--{which}Shapes=x_input:{count}x3x64x96" for which, count in (("min", 1), ("opt", 4), ("max", 4))]
    expected += ["--explicitBatch"] if version < (8, 0) else []
    expected += ["--workspace=1024"] if version < (8, 4) else []
    expected += ["--buildOnly"] if version < (8, 6) else ["--skipInference"]
    expected += ["--fp16"] if precision == "fp16" else []
    assert words == expected
    assert all(trtexec_accepts(word.partition("=")[0], where.tensorrt) for word in words)
    assert (folder / engine.file).read_text() == "a new engine"
    assert sorted(path.name for path in folder.iterdir()) == sorted(["fruit.onnx", engine.file, SCRIPT])


def test_another_gpu_is_chosen() -> None:
    arguments = trtexec_arguments(EngineBuild("m.onnx", 1, 2, "fp32"), INPUT, target("7.1", "dgpu"))
    assert "--device=2" in arguments
    assert not any(
        "--device" in word
        for word in trtexec_arguments(EngineBuild("m.onnx", 1, 0, "fp32"), INPUT, target("7.1", "dgpu"))
    )


def test_a_fixed_batch_gets_no_shapes() -> None:
    fixed = Tensor("x_input", (1, 3, 64, 96), "float32")
    arguments = trtexec_arguments(EngineBuild("m.onnx", 1, 0, "fp32"), fixed, target("7.1", "dgpu"))
    assert arguments == ("--onnx=m.onnx", "--skipInference")


def test_a_precision_that_the_target_cannot_build_is_refused() -> None:
    newer = replace(target("9.2", "dgpu"), tensorrt="11.0")
    with pytest.raises(PresetError, match=r"^TensorRT 11\.0") as caught:
        build_script(EngineBuild("m.onnx", 1, 0, "fp16"), INPUT, newer)
    assert caught.value.hint == "use --precision fp32, or an older --target"


@pytest.mark.parametrize("place", ["a b", "-n", "$HOME", "it's"])
def test_the_folder_may_have_any_name_and_be_called_from_anywhere(
    tmp_path: Path, engine: EngineBuild, place: str
) -> None:
    folder = bundle(tmp_path / place, engine)
    trtexec = program(tmp_path / "some tools")
    other = tmp_path / "elsewhere"
    other.mkdir()
    for words, cwd in (
        ([folder / SCRIPT], other),
        (["bash", SCRIPT], folder),
        ([f"../{place}/{SCRIPT}"], other),
        (["bash", f"./{place}/{SCRIPT}"], tmp_path),
    ):
        done = run(words, cwd, TRTEXEC=str(trtexec), CDPATH=str(tmp_path))
        assert done.returncode == 0, done.stderr
        assert (folder / engine.file).exists()
        (folder / engine.file).unlink()


@pytest.mark.parametrize("named", ["tools/trtexec", "./tools/trtexec", "trtexec"])
def test_trtexec_is_found_from_where_the_user_is(tmp_path: Path, engine: EngineBuild, named: str) -> None:
    folder = bundle(tmp_path / "bundle", engine)
    tools = program(tmp_path / "tools").parent
    done = run([folder / SCRIPT], tmp_path, TRTEXEC=named, PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"build_engine.sh: {engine.file} is ready\n"


@pytest.mark.parametrize("what", ["absent", "a folder", "not executable"])
def test_without_trtexec_it_says_so(tmp_path: Path, engine: EngineBuild, what: str) -> None:
    folder = bundle(tmp_path / "bundle", engine)
    place = tmp_path / "bin" / "trtexec"
    if what == "a folder":
        place.mkdir(parents=True)
    elif what == "not executable":
        program(tmp_path / "bin").chmod(0o644)
    done = run([folder / SCRIPT], tmp_path, TRTEXEC=str(place))
    assert done.returncode == 1
    assert done.stderr == (
        f"build_engine.sh: there is no trtexec at {place}; "
        "install the package libnvinfer-bin, or set TRTEXEC to its path\n"
    )
    assert not (folder / engine.file).exists()


def test_the_usual_place_is_tried_by_itself(tmp_path: Path, engine: EngineBuild) -> None:
    if Path("/usr/src/tensorrt/bin/trtexec").exists():
        pytest.skip("this machine has a real trtexec")
    done = run([bundle(tmp_path / "bundle", engine) / SCRIPT], tmp_path)
    assert done.returncode == 1
    assert "no trtexec at /usr/src/tensorrt/bin/trtexec" in done.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (TRTEXEC + 'printf half > "$engine"\nexit 3\n', "trtexec failed"),
        (TRTEXEC, "trtexec wrote no engine"),
        (TRTEXEC + ': > "$engine"\n', "trtexec wrote no engine"),
    ],
)
def test_a_failed_build_leaves_everything_as_it_was(
    tmp_path: Path, engine: EngineBuild, body: str, message: str
) -> None:
    folder = bundle(tmp_path / "bundle", engine)
    (folder / engine.file).write_text("the engine of yesterday")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = run([folder / SCRIPT], tmp_path, TRTEXEC=str(program(tmp_path / "bin", body)))
    assert done.returncode == 1
    assert message in done.stderr
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_stopped_build_leaves_nothing(tmp_path: Path, engine: EngineBuild) -> None:
    folder = bundle(tmp_path / "bundle", engine)
    trtexec = program(tmp_path / "bin", TRTEXEC + 'printf half > "$engine"\nsleep 60\n')
    script = subprocess.Popen([folder / SCRIPT], env=os.environ | {"TRTEXEC": str(trtexec)}, start_new_session=True)
    try:
        while not list(folder.glob(".*.part")):
            assert script.poll() is None
            time.sleep(0.01)
        os.killpg(script.pid, signal.SIGTERM)
        assert script.wait(timeout=30) == 143
    finally:
        script.kill()
        script.wait()
    assert sorted(path.name for path in folder.iterdir()) == sorted(["fruit.onnx", SCRIPT])


def test_without_the_model_it_says_so(tmp_path: Path, engine: EngineBuild) -> None:
    folder = bundle(tmp_path / "bundle", engine)
    (folder / engine.onnx).unlink()
    done = run([folder / SCRIPT], tmp_path, TRTEXEC=str(program(tmp_path / "bin")))
    assert (done.returncode, done.stderr) == (1, "build_engine.sh: fruit.onnx is not beside this script\n")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, engine: EngineBuild) -> None:
    folder = bundle(tmp_path / "bundle", engine)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    done = run([folder / SCRIPT], tmp_path, TRTEXEC=str(program(tmp_path / "bin")))
    folder.chmod(stat.S_IRWXU)
    assert done.returncode == 1
    assert "not writable" in done.stderr


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_script_is_clean(tmp_path: Path, precision: str) -> None:
    checker = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if checker is None:
        pytest.skip("shellcheck is not on this machine")
    script = tmp_path / SCRIPT
    script.write_bytes(build_script(EngineBuild("fruit.onnx", 1, 1, precision), INPUT, target("9.1", "dgpu")))
    done = run([checker, script], tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
