"""The deployment block: the contract of its folders, as a process; parameters.json; the pictures of the learn block."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from convert import api
from convert.__main__ import main
from convert.errors import InputError
from convert.files import configs, write
from convert.images import ImageScaling
from convert.nvinfer.targets import catalogue
from convert.options import BLOCK, ConvertOptions, Option, table
from convert.report import dumps
from convert.studio.block import Folders, run, validation_pictures
from samples.layouts import Parameters, impulse_library, write_tree
from tests.emitted import prove_nothing
from tests.test_impulse import LABELS, network, sound

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.dsp import Impulse

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
PARAMETERS = configs() / "deployment-block" / "parameters.json"
TYPES = {"string", "int", "float", "select", "boolean", "bucket", "dataset", "flag", "secret"}
"""Of a parameter, as Edge Impulse's CLI lists them (shared/parameters-json-types.ts)."""


@pytest.fixture
def prepared(tmp_path: Path) -> Callable[..., Path]:
    """`prepared(files)`: the metadata of a build whose input folder holds them, too."""

    def prepare(files: dict[str, bytes], **changes: Any) -> Path:
        write_tree(files, tmp_path / "input")
        folders = {"input": str(tmp_path / "input"), "output": str(tmp_path / "home" / "output")}
        document = {"version": 1, "sensor": "camera", "folders": folders, **changes}
        path = tmp_path / "input" / "deployment-metadata.json"
        path.write_text(json.dumps(document))
        return path

    return prepare


def library(name: str) -> dict[str, bytes]:
    path = SAMPLES / "exports" / name
    if path.is_dir():
        return {str(each.relative_to(path)): each.read_bytes() for each in path.rglob("*") if each.is_file()}
    with zipfile.ZipFile(path) as packed:
        return {name: packed.read(name) for name in packed.namelist() if not name.endswith("/")}


def of_sound() -> tuple[bytes, Impulse, Parameters]:
    impulse = sound()
    parameters = Parameters(labels=LABELS, year=2025, resize_mode=None, project_name="Door steps")
    return network(impulse.blocks[0].size), impulse, parameters


def contents(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


@pytest.mark.parametrize(
    "name",
    ["shapes-cpp-2025", *(pytest.param(name, marks=pytest.mark.slow) for name in ("table-fomo-2025.zip", "sound"))],
)
def test_the_bundle_is_that_of_convert(
    name: str, prepared: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {}
    if name == "shapes-cpp-2025":  # with its proof
        options["role"] = "sgie"  # of which nothing is compared
    else:
        prove_nothing(monkeypatch)
    metadata = prepared(library(name) if name != "sound" else impulse_library(*of_sound()))
    before = contents(tmp_path / "input")
    place = run(metadata, {"target": "deepstream-6.2", **options})
    assert contents(tmp_path / "input") == before
    assert [each.name for each in place.parent.iterdir()] == ["deploy.zip"]
    api.convert(tmp_path / "input", tmp_path / "bundle", target="6.2", **options)
    with zipfile.ZipFile(place) as packed:
        assert packed.testzip() is None
        assert packed.namelist() == sorted(packed.namelist())
        assert {each.removeprefix("bundle/"): packed.read(each) for each in packed.namelist()} == contents(
            tmp_path / "bundle"
        )
        assert {(each.compress_type, each.date_time, each.create_system) for each in packed.infolist()} == {
            (zipfile.ZIP_DEFLATED, (1980, 1, 1, 0, 0, 0), 3)
        }
        modes = {each.filename: each.external_attr >> 16 for each in packed.infolist()}
    assert {mode for name, mode in modes.items() if name.endswith(".sh")} == {0o755}
    assert {mode for name, mode in modes.items() if not name.endswith(".sh")} == {0o644}


def test_as_a_process(prepared: Callable[..., Path], tmp_path: Path) -> None:
    metadata = prepared(library("shapes-cpp-2025"))
    (tmp_path / "input").chmod(0o555)
    command = [sys.executable, "-m", "convert", "block", "--metadata", str(metadata), "--batch-size", "2"]
    command += [
        "--role",
        "sgie",
        "--threshold",
        "",
        "--sink",
        "",
        "--resize-mode",
        "",
    ]  # left empty on the Deployment page
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=SAMPLES.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"wrote {tmp_path / 'home' / 'output' / 'deploy.zip'}"
    with zipfile.ZipFile(tmp_path / "home" / "output" / "deploy.zip") as packed:
        assert json.loads(packed.read("bundle/report.json"))["options"]["batch_size"] == 2


def refused_sound() -> dict[str, bytes]:
    """A sliding mean over an even number of frames, which Edge Impulse's SDK reads out of bounds."""
    model, impulse, parameters = of_sound()
    (block,) = impulse.blocks
    wrong = replace(block, values={**block.values, "win_size": 100.0})
    return impulse_library(model, replace(impulse, blocks=(wrong,)), parameters)


@pytest.mark.parametrize(
    ("files", "options", "sentence"),
    [
        ({"tflite-model/trained.tflite": b"no"}, [], "trained.tflite"),
        (None, ["--precision", "int8"], "int8"),
        (refused_sound(), [], "win_size"),
    ],
)
def test_a_refusal_is_a_sentence(
    prepared: Callable[..., Path],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    files: dict[str, bytes] | None,
    options: list[str],
    sentence: str,
) -> None:
    metadata = prepared(library("shapes-cpp-2025") if files is None else files)
    assert main(["block", "--metadata", str(metadata), *options]) == 3
    shown = capfd.readouterr()
    assert sentence in shown.err
    assert "Traceback" not in shown.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--role", "sgie", "--frame", "16:9"], "--frame is about whole frames, and --role sgie looks at objects: "),
        (["--source", "nothing"], "--source 'nothing' is no video, stream or camera: "),
        (["--role", "sgie", ""], "Got unexpected extra argument"),
    ],
)
def test_options_that_cannot_be_are_refused_first(
    prepared: Callable[..., Path], capfd: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["block", "--metadata", str(prepared({"x": b""})), *options]) == 2
    assert capfd.readouterr().err.startswith(f"error: {message}")


def test_progress_is_said_every_two_seconds(
    prepared: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait, asked = threading.Event.wait, set()

    def shorter(event: threading.Event, seconds: float | None = None) -> bool:
        asked.add(seconds)
        return wait(event, seconds and seconds / 200)

    monkeypatch.setattr("threading.Event.wait", shorter)
    said: list[str] = []
    run(prepared(library("shapes-cpp-2025")), {"role": "sgie"}, said.append)
    steps = [line for line in said if not re.search(r", \d+ s$", line)]
    assert steps.pop(6).startswith("note EI505: the primary engine of the app is ")
    assert re.fullmatch(r"largest difference from the original: [\de.-]+, on 32 inputs", steps.pop(6))
    assert steps == [
        f"reads {tmp_path / 'input'}",
        *(f"convert: {name}" for name in ("unpack", "translate", "adapt", "validate", "emit")),
        *("check", "writes deploy.zip", f"wrote {tmp_path / 'home' / 'output' / 'deploy.zip'}"),
    ]
    assert [line for line in said if line.endswith(", 0 s")]
    assert 2.0 in asked


def test_pictures_of_the_learn_block(
    prepared: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, simulate = tmp_path / "data", api.simulate
    shown: list[str] = []

    def counted(bundle: Path, pictures: list[Path], output: Path) -> object:
        shown.extend(each.name for each in pictures)
        return simulate(bundle, pictures, output)

    monkeypatch.setattr(api, "simulate", counted)
    data.mkdir()
    np.save(data / "X_split_test.npy", np.random.default_rng(1).random((20, 48, 48, 1)).astype(np.float32))
    said: list[str] = []
    place = run(prepared(library("shapes-cpp-2025")), {}, said.append, data)
    assert "20 validation pictures of the project are used" in said
    assert "simulate" in said
    assert shown == [f"{number:03}.png" for number in range(12)]
    with zipfile.ZipFile(place) as packed:
        assert b"<html" in packed.read("report.html")[:500]
        inputs = json.loads(packed.read("bundle/report.json"))["evidence"]["parity"]["inputs"]
    assert inputs == 32 + 20


def test_findings_are_said_and_a_bundle_that_cannot_be_simulated(
    prepared: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove_nothing(monkeypatch)
    found = [SimpleNamespace(level="note", id="NVI000", message="so it is")]

    def simulate(*_: object) -> None:
        raise InputError("out of luck", hint="try again")

    monkeypatch.setattr(api, "simulate", simulate)
    monkeypatch.setattr(api, "check", lambda _: SimpleNamespace(findings=found))
    np.save(tmp_path / "X_split_test.npy", np.zeros((1, 48, 48, 1), np.float32))
    said: list[str] = []
    place = run(prepared(library("shapes-cpp-2025")), {"labels": ("a", "b", "c", "d")}, said.append, tmp_path)
    at = said.index("check")
    assert said[at + 1 : at + 4] == ["note NVI000: so it is", "simulate", "not simulated: out of luck"]
    with zipfile.ZipFile(place) as packed:
        assert {name.partition("/")[0] for name in packed.namelist()} == {"bundle"}


@pytest.mark.parametrize(
    ("scaling", "black", "white"),
    [
        (None, 0.0, 1.0),
        (ImageScaling.NONE, 0.0, 1.0),
        (ImageScaling.FROM_0_TO_255, 0.0, 255.0),
        (ImageScaling.MINUS_1_TO_1, -1.0, 1.0),
        (ImageScaling.MINUS_128_TO_127, -128.0, 127.0),
        (ImageScaling.TORCH, None, None),
    ],
)
def test_pictures_are_scaled_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scaling: ImageScaling, black: float | None, white: float
) -> None:
    """A level too dark or too bright is rounding; more is another scaling."""
    export, said = SAMPLES / "exports" / "shapes-cpp-2025", []  # type: ignore[var-annotated]
    found = api.inspect(export)
    models = [replace(each, metadata=replace(each.metadata, image_scaling=scaling)) for each in found.models]
    monkeypatch.setattr(api, "inspect", lambda _: replace(found, models=tuple(models)))
    if black is None:
        np.save(tmp_path / "X_split_test.npy", np.zeros((1, 48, 48, 1)))
        assert validation_pictures(export, tmp_path, tmp_path / "pictures", said.append) is None
        return
    for levels, is_used in (((-1, 256), True), ((-1.1, 0), False), ((0, 256.1), False)):
        values = np.full((1, 48, 48, 1), black)
        values[0, 0, :2, 0] = [black + (white - black) * level / 255 for level in levels]
        values[0, 1, :2, 0] = [black + (white - black) * level / 255 for level in (100.4, 100.6)]
        np.save(tmp_path / "X_split_test.npy", values)
        folder = validation_pictures(export, tmp_path, tmp_path / f"pictures{levels}", said.append)
        assert (folder is not None) == is_used
    picture = np.asarray(Image.open(tmp_path / "pictures(-1, 256)" / "000.png"))
    assert picture[:2, :3].tolist() == [[0, 255, 0], [100, 101, 0]]


def test_pictures_in_colour_under_the_new_name(tmp_path: Path) -> None:
    levels = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3))
    np.save(tmp_path / "X_validate_features.npy", (levels / 255).reshape(2, -1))
    np.save(tmp_path / "X_split_test.npy", np.zeros((1, 5)))
    folder = validation_pictures(SAMPLES / "exports" / "fruit-cpp-2022", tmp_path, tmp_path / "p", lambda _line: None)
    assert folder is not None
    for path, picture in zip(sorted(folder.iterdir()), levels, strict=True):
        assert np.array_equal(np.asarray(Image.open(path)), picture)


def test_what_is_no_picture_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    write_tree(impulse_library(*of_sound()), tmp_path / "sound")
    for export in ("shapes-cpp-2025", None):
        place = SAMPLES / "exports" / export if export else tmp_path / "sound"
        assert validation_pictures(place, tmp_path, tmp_path / "pictures", said.append) is None
        np.save(tmp_path / "X_split_test.npy", np.zeros((1, 637)))
    found = replace(api.inspect(place), models=())
    monkeypatch.setattr(api, "inspect", lambda _: found)
    assert validation_pictures(place, tmp_path, tmp_path / "pictures", said.append) is None
    assert said == []


def test_pictures_are_those_that_were_trained_with(tmp_path: Path) -> None:
    levels = np.random.default_rng(1).integers(0, 256, (120, 48, 48, 1))
    np.save(tmp_path / "X_validate_features.npy", (levels / 255).astype(np.float32).reshape(120, -1))
    export = SAMPLES / "exports" / "shapes-cpp-2025"
    folder = validation_pictures(export, tmp_path, tmp_path / "pictures", lambda _line: None)
    assert folder is not None
    found = sorted(folder.iterdir())
    assert len(found) == 100
    for path, picture in zip(found, levels, strict=False):
        assert np.array_equal(np.asarray(Image.open(path)), picture[:, :, 0])


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.full((3, 48, 48, 1), 200, np.float32), "not scaled"),
        (np.zeros((3, 7), np.float32), "cannot reshape"),
        (np.array([{}], object), "objects"),
        (np.zeros((0, 48, 48, 1), np.float32), "there are none"),
        (np.float32(1), "too many indices"),
        (np.full((1, 48, 48, 1), np.nan, np.float32), "not scaled"),
    ],
)
def test_pictures_that_are_not_used(tmp_path: Path, array: Any, reason: str) -> None:
    np.save(tmp_path / "X_split_test.npy", array, allow_pickle=True)
    said: list[str] = []
    export = SAMPLES / "exports" / "shapes-cpp-2025"
    assert validation_pictures(export, tmp_path, tmp_path / "pictures", said.append) is None
    (line,) = said
    assert line.startswith("the pictures of X_split_test.npy are not used: ")
    assert reason in line
    assert not (tmp_path / "pictures").exists()


def parameters_document() -> dict[str, Any]:
    """`parameters.json`: what Studio shows on the Deployment page; all but the parameters is said there."""
    options = table(ConvertOptions)
    said: dict[str, Any] = json.loads(PARAMETERS.read_bytes())
    return said | {"parameters": [_parameter(options[name]) for name in BLOCK]}


def _parameter(option: Option) -> dict[str, Any]:
    """One option as a parameter; a value that is not given is an empty one, which `block` leaves out."""
    choices = [str(choice) for choice in option.choices]
    if option.name == "target":
        choices = [f"deepstream-{release}" for release in catalogue().releases]
    elif option.name == "platform":
        choices = list(catalogue().platforms)
    default = "" if option.default is None else option.default
    kind = {int: "int", float: "float"}.get(option.type, "string")
    shown: dict[str, Any] = {
        "name": option.name.replace("_", " ").capitalize(),
        "value": default if kind != "string" else str(default),
        "type": "select" if choices else kind,
        "param": option.name.replace("_", "-"),
        "help": option.help,
    }
    if choices:
        empty = [] if str(default) in choices else [{"label": "default", "value": ""}]
        shown["valid"] = [*empty, *choices]
    if option.default is None:
        shown["optional"] = True
    return shown


def test_parameters_are_up_to_date() -> None:
    folder = configs() / "deployment-block"
    assert json.loads((folder / "parameters.json").read_bytes()) == parameters_document(), (
        "run python -m tests.studio.test_block"
    )
    assert {"Dockerfile", "README.md"} <= {each.name for each in folder.iterdir()}


def test_every_parameter_can_be_given_as_it_is_offered(
    prepared: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    given_options: list[dict[str, Any]] = []
    monkeypatch.setattr("convert.studio.block.run", lambda _metadata, options, _said: given_options.append(options))
    metadata = str(prepared({"x": b""}))
    offered = parameters_document()["parameters"]
    assert [each["param"].replace("-", "_") for each in offered] == list(BLOCK)
    for each in offered:
        assert set(each) <= {"name", "value", "type", "param", "help", "valid", "optional"}
        assert each["type"] in TYPES
        values = [one["value"] if isinstance(one, dict) else one for one in each.get("valid", [each["value"]])]
        assert each["value"] in values
        for value in values:
            assert main(["block", "--metadata", metadata, f"--{each['param']}", str(value)]) == 0, (each, value)
            assert (given_options.pop() == {}) == (value == "")
    defaults = [word for each in offered for word in (f"--{each['param']}", str(each["value"]))]
    assert main(["block", "--metadata", metadata, *defaults]) == 0
    assert capfd.readouterr().err == ""


@example({"folders": {"input": "/nowhere", "output": "/x"}})
@example({"folders": {"input": "\0", "output": "x"}})
@example({"folders": {"input": "", "output": "x"}})
@example({"folders": ["input", "output"]})
@example([])
@given(st.recursive(st.none() | st.text(max_size=3) | st.integers(), lambda x: st.dictionaries(st.just("folders"), x)))
def test_metadata_of_any_kind(tmp_path: Path, document: object) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError):
        Folders.read(path)


@pytest.mark.parametrize(
    ("folders", "message", "is_about_input"),
    [
        ({"input": "", "output": "x"}, "folders.input and folders.output are no paths", False),
        ({"input": "/", "output": 3}, "folders.input and folders.output are no paths", False),
        ({"input": "/", "output": "a\0"}, "folders.input and folders.output are no paths", False),
        ({"input": "/"}, "it is no deployment-metadata.json with folders", False),
        ({"input": "/nowhere", "output": "x"}, "folders.input is not there", True),
    ],
)
def test_metadata_that_names_no_folders(
    tmp_path: Path, folders: dict[str, object], message: str, is_about_input: bool
) -> None:
    path = tmp_path / "metadata.json"
    path.write_text(json.dumps({"folders": folders}))
    with pytest.raises(InputError) as caught:
        Folders.read(path)
    assert caught.value.message == message
    assert caught.value.path == ("/nowhere" if is_about_input else str(path))
    assert caught.value.hint == "Studio writes this file; locally, `edge-impulse-blocks runner` does"


@pytest.mark.parametrize("size", [2**24, 2**24 + 1])
def test_metadata_has_at_most_16_mib(tmp_path: Path, size: int) -> None:
    document = json.dumps({"folders": {"input": str(tmp_path), "output": "x"}})
    path = tmp_path / "metadata.json"
    path.write_bytes(document.rjust(size).encode())
    if size == 2**24:
        assert Folders.read(path) == Folders(tmp_path, Path("x"))
        return
    with pytest.raises(InputError, match=r"^it is no deployment-metadata.json with folders$"):
        Folders.read(path)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN"])
def test_metadata_that_is_no_json(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "metadata.json"
    with pytest.raises(InputError, match=r"^cannot be read: No such file") as caught:
        Folders.read(path)
    assert (caught.value.hint or "").startswith("Studio writes this file")
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"^it is no deployment-metadata"):
        Folders.read(path)


if __name__ == "__main__":
    write(PARAMETERS, dumps(parameters_document()))
