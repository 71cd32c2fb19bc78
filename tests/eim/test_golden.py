"""Everything the eim commands print, to the letter, for answers worked out by hand; no program is started."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from convert.__main__ import main
from convert.cli import eim as command
from convert.eim import client as talking
from convert.eim import compare as comparing
from convert.eim import inspect as inspecting
from convert.eim.client import ModelInfo, ProxyEvent, Reply, Timeouts
from convert.eim.compare import BOX_DIFFERS, OTHER_LABELS, AnswerPair, EimComparison, PictureComparison, Reference
from convert.eim.inspect import ELF_MAGIC, Binary, Host
from convert.errors import InputError
from convert.files import Output
from convert.images import ImageScaling
from tests.eim.executables import BANNER

if TYPE_CHECKING:
    from collections.abc import Iterator

NANO = Host("linux", "aarch64", 64, (2, 27))
RAW = {
    "project": {"name": "Faces [1]", "owner": "me", "deploy_version": 7},
    "model_parameters": {"labels": ["face"]},
    "success": True,
}
THRESHOLDS = (
    {"id": 3, "type": "object_detection", "min_score": 0.5},
    {"id": 9, "type": "anomaly_gmm", "min_anomaly_score": 4, "other": 1},
    {"id": 12, "type": "object_detection", "min_score": 0.25},
    {"type": "object_detection", "min_score": 0.75},
)
MODEL = ModelInfo(6, 2, ("face", "hand"), 3, 2, 1, "squash", "object_detection", THRESHOLDS, RAW)


class FakeClient:
    """Remembers what it is asked and gives `results` in order."""

    is_broken = False
    target: Path

    def __init__(self, model: ModelInfo, results: list[dict[str, Any]]) -> None:
        self.model = model
        self.asked: list[tuple[Any, ...]] = []
        self._results = results

    def classify(self, features: Any) -> Reply:
        self.asked.append(("all", features.tolist()))
        return Reply(self._results.pop(0), {"dsp": 1}, 0.0123456789)

    def classify_slice(self, features: Any) -> Reply:
        self.asked.append(("slice", features.tolist()))
        return Reply(self._results.pop(0), {}, 0.5)

    def set_threshold(self, block: int, key: str, value: float) -> None:
        self.asked.append(("set", block, key, value))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`fake(model, results)`: the commands talk to this client; returns it, `told` has how it was opened."""

    def make(model: ModelInfo = MODEL, *results: dict[str, Any]) -> FakeClient:
        client = FakeClient(model, list(results))

        @contextlib.contextmanager
        def talk(target: Path, **options: Any) -> Iterator[FakeClient]:
            client.asked.append(("talk", target.name, options))
            client.target = target
            yield client

        monkeypatch.setattr(talking, "talk", talk)
        return client

    return make


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["eim", *map(str, words)])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return code, out


ARM = Binary("linux", ("armv7",), 32, "/lib/none/ld.so", ("liba.so", "libb.so"), hard_float=True)
APPLE = Binary("macos", ("x86_64", "arm64"), 64, None, ("/usr/lib/libSystem.B.dylib",))


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An executable for a Raspberry Pi, and this is a Jetson Nano."""
    path = tmp_path / "m.eim"
    path.write_bytes(ELF_MAGIC + BANNER)
    path.chmod(0o755)
    monkeypatch.setattr(inspecting, "here", lambda: NANO)
    monkeypatch.setattr(inspecting, "read_binary", lambda _: ARM)
    return path


def test_inspect(capsys: pytest.CaptureFixture[str], foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert said(capsys, "inspect", foreign) == (
        1,
        f"""\
  file       {foreign}
  is         linux armv7, 32-bit, hard float
  target     32-bit ARM Linux: runner-linux-armv7
  loader     /lib/none/ld.so
  needs      liba.so, libb.so
  here       linux aarch64, 64-bit
  error EI605 {foreign}: its loader /lib/none/ld.so is not installed
    hint: for this machine: edge-impulse-linux-runner --download model.eim --force-target runner-linux-aarch64, or \
Studio's Linux deployment for its processor
""",
    )
    code, out = said(capsys, "inspect", foreign, "--format", "json")
    document = json.loads(out)
    hint = document["findings"][0].pop("hint")
    assert hint.startswith("for this machine: edge-impulse-linux-runner --download")
    assert (code, document) == (
        1,
        {
            "schema_version": 1, "exit_code": 1, "path": str(foreign), "kind": "elf",
            "binary": {
                "system": "linux", "machines": ["armv7"], "bits": 32, "interpreter": "/lib/none/ld.so",
                "libraries": ["liba.so", "libb.so"], "glibc": None, "hard_float": True,
            },
            "targets": ["runner-linux-armv7"],
            "host": {"system": "linux", "machine": "aarch64", "bits": 64, "target": "runner-linux-aarch64"},
            "hello": None,
            "findings": [
                {
                    "id": "EI605", "level": "error", "path": str(foreign), "line": None, "column": None,
                    "message": "its loader /lib/none/ld.so is not installed",
                }
            ],
            "error": None,
        },
    )  # fmt: skip
    assert said(capsys, "inspect", foreign, "-q") == (1, "")
    monkeypatch.setattr(inspecting, "read_binary", lambda _: APPLE)
    assert said(capsys, "inspect", foreign)[1].splitlines()[1:5] == [
        "  is         macos x86_64/arm64, 64-bit", "  target     macOS on Intel: runner-mac-x86_64",
        "  target     macOS on Apple silicon: runner-mac-arm64",
        "  needs      /usr/lib/libSystem.B.dylib",
    ]  # fmt: skip
    glibc = replace(ARM, interpreter=None, libraries=(), hard_float=False, glibc=(2, 4))
    monkeypatch.setattr(inspecting, "read_binary", lambda _: glibc)
    document = json.loads(said(capsys, "inspect", foreign, "--format", "json")[1])
    assert (document["binary"]["glibc"], document["binary"]["hard_float"], document["findings"]) == ("2.4", False, [])
    assert said(capsys, "inspect", foreign)[1].splitlines()[1:] == [
        "  is         linux armv7, 32-bit, soft float", "  target     32-bit ARM Linux: runner-linux-armv7",
        "  here       linux aarch64, 64-bit",
    ]  # fmt: skip

    monkeypatch.setattr(inspecting, "read_binary", lambda _: "it is cut")
    for data, shown in ((b"#!/bin/sh\n", "a script"), (b"x", "no .eim"), (b"\x7fELF", "an executable that cannot be")):
        foreign.write_bytes(data)
        assert said(capsys, "inspect", foreign)[1].splitlines()[1].startswith(f"  is         {shown}")


def test_inspect_with_hello(capsys: pytest.CaptureFixture[str], fake: Any, foreign: Path) -> None:
    foreign.write_bytes(b"#!/bin/sh\n")
    client = fake()
    assert said(capsys, "inspect", foreign, "--hello", "--timeout", "7") == (
        0,
        f"""\
  file       {foreign}
  is         a script
  here       linux aarch64, 64-bit
  project    Faces [1] by me, version 7
  model      object_detection, 3x2x1, resize squash
  sensor     unknown
  labels     face, hand
  threshold  block 3, object_detection: min_score 0.5
  threshold  block 9, anomaly_gmm: min_anomaly_score 4, other 1
  threshold  block 12, object_detection: min_score 0.25
  threshold  block None, object_detection: min_score 0.75
""",
    )
    assert client.asked == [("talk", "m.eim", {"limits": Timeouts(7.0, 7.0)})]
    fake(ModelInfo(5, 0, ("a",), 0, 0, 0, None, "classification", (), {"project": "none"}))
    code, out = said(capsys, "inspect", foreign, "--hello")
    assert code == 1
    assert out.splitlines()[3:7] == [
        "  project    not said", "  model      classification, 5 features", "  sensor     unknown", "  labels     a",
    ]  # fmt: skip
    foreign.write_bytes(b"no program")
    client = fake()
    assert "project" not in said(capsys, "inspect", foreign, "--hello")[1]
    assert client.asked == [], "what is no program is not started"


@pytest.mark.parametrize(
    ("model", "parameters", "rest", "lines"),
    [
        (
            {}, {"sensor": 1, "frequency": 16000, "axis_count": 1}, {},
            ["sensor     microphone, 16000 Hz, 1 axis, a window is 0.0005 s"],
        ),
        (
            {"slice": 2}, {"sensor": 2, "frequency": 62.5, "axis_count": 2, "use_continuous_mode": True}, {},
            ["sensor     accelerometer, 62.5 Hz, 2 axes, a window is 0.064 s, a slice 2 features, continuous"],
        ),
        (
            {}, {"sensor": 7, "frequency": 8, "use_continuous_mode": 1}, {},
            ["sensor     unknown, 8 Hz, 1 axis, a window is 1 s"],
        ),
        ({}, {"sensor": "1", "frequency": 0}, {}, ["sensor     unknown"]),
        ({"width": 2, "height": 4, "resize_mode": None}, {"sensor": 3, "frequency": 8}, {}, ["sensor     camera"]),
        ({"labels": ()}, {"has_anomaly": True}, {}, ["sensor     unknown", "labels     none", "anomaly    k-means"]),
        (
            {}, {"has_anomaly": 2, "has_object_tracking": True}, {},
            ["labels     a", "anomaly    Gaussian mixture", "tracking   yes"],
        ),
        ({}, {"has_anomaly": 99, "has_object_tracking": 1}, {}, ["labels     a", "anomaly    yes"]),
        (
            {}, {"inferencing_engine": 6}, {"inferencing_engine": {"properties": ["fp16", 8]}},
            ["engine     TensorRT, fp16, 8"],
        ),
        ({}, {"inferencing_engine": 99}, {"inferencing_engine": {"properties": "fp16"}}, ["engine     99"]),
        ({}, {}, {"project": {"owner": "me", "deploy_version": 0}}, ["project    by me, version 0"]),
        ({}, {}, {"project": {"deploy_version": 3}}, ["project    version 3"]),
        ({}, {}, {"project": {"name": "Doors"}}, ["project    Doors"]),
        (
            {"width": 2, "height": 4, "resize_mode": None}, {}, {},
            ["project    not said", "model      classification, 2x4x?"],
        ),
        ({"resize_mode": "squash"}, {}, {}, ["model      classification, 8 features"]),
    ],
)  # fmt: skip
def test_what_a_hello_says(
    capsys: pytest.CaptureFixture[str], fake: Any, foreign: Path, model: dict[str, Any], parameters: dict[str, Any],
    rest: dict[str, Any], lines: list[str],
) -> None:  # fmt: skip
    foreign.write_bytes(b"#!/bin/sh\n")
    plain = ModelInfo(8, 0, ("a",), 0, 0, 0, None, "classification", (), {"model_parameters": parameters, **rest})
    fake(replace(plain, **model))
    shown = said(capsys, "inspect", foreign, "--hello")[1].splitlines()
    names = {line.split()[0] for line in lines}
    assert [line.strip() for line in shown if line.split()[0] in names] == lines


def test_classify(capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path) -> None:
    picture, other = tmp_path / "a.png", tmp_path / "b.png"
    for path in (picture, other):
        Image.fromarray(np.array([[0, 51, 102], [153, 204, 255]], np.uint8)).save(path)
    pixels = [0.0, 3355443.0, 6710886.0, 10066329.0, 13421772.0, 16777215.0]
    results: list[dict[str, Any]] = [
        {"classification": {"face": 0.98765, "hand": 1}, "anomaly": 0.5},
        {
            "bounding_boxes": [{"label": "face", "value": 0.75, "x": 1, "y": 2, "width": 3, "height": 4}],
            "object_tracking": [{"object_id": 7, "label": "[b]", "value": 1, "x": 1, "y": 2, "width": 3, "height": 4}],
        },
    ]
    client = fake(MODEL, *results)
    words = ("classify", "m.eim", picture, other, "--threshold", "0.3", "--threshold", "9:min_anomaly_score=2")
    assert said(capsys, *words, "--no-shm") == (
        0,
        f"""\
{picture}  (12.3 ms)
  face                 0.988
  hand                 1.000
  anomaly: 0.500
{other}  (12.3 ms)
  in pixels of the model's 3x2:
  face                 0.750    1,2 3x4
  object tracking, in pixels of the model's 3x2:
  [b]                  1.000    1,2 3x4 object 7
""",
    )
    assert client.asked == [
        ("talk", "m.eim", {"stdio": False, "shared": False, "limits": Timeouts(60.0, 60.0)}),
        ("set", 3, "min_score", 0.3), ("set", 12, "min_score", 0.3), ("set", 9, "min_anomaly_score", 2.0),
        ("all", pixels), ("all", pixels),
    ]  # fmt: skip
    client = fake(MODEL, {"bounding_boxes": []})
    assert said(capsys, "classify", "m.eim", picture, "--stdin") == (0, f"{picture}  (12.3 ms)\n  nothing found\n")
    assert client.asked[0][2]["stdio"] is True
    assert client.asked[0][2]["shared"] is True
    fake(MODEL, *results)
    assert said(capsys, "classify", "m.eim", picture, "-q") == (0, "")
    code, out = said(capsys, "classify", "m.eim", other, "--format", "json")
    assert (code, json.loads(out)) == (
        0,
        {
            "schema_version": 1, "exit_code": 0, "findings": [], "error": None,
            "answers": [
                {"input": str(other), "result": results[1], "timing": {"dsp": 1}, "seconds": 0.012346},
            ],
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("stop", "code", "said_code", "message"),
    [(InputError("the .eim was killed"), 3, 3, "the .eim was killed"),
     (KeyboardInterrupt(), 130, None, "ended by a signal before the last answer"),
     (RuntimeError("x"), 70, 70, "ended by a bug before the last answer")],
)  # fmt: skip
def test_answers_are_written_one_by_one(
    capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path, stop: BaseException, code: int,
    said_code: int | None, message: str,
) -> None:  # fmt: skip
    """What is written when the second one is asked for, and how the document ends when there is none."""
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    for file in files:
        file.write_text("1 2 3 4 5")
    client = fake(MODEL, {"a": 1})
    classify, written = client.classify, []

    def asked(features: Any) -> Reply:
        written.append(capsys.readouterr().out)
        if len(written) == 2:
            client.is_broken = True
            raise stop
        reply: Reply = classify(features)
        return reply

    client.classify = asked
    assert main(["eim", "classify", "m.eim", "--features", *map(str, files), "--format", "json"]) == code
    rest, err = capsys.readouterr()
    assert written[0] == ""
    assert json.loads(written[1] + "]}")["answers"][0]["input"] == str(files[0])
    document = json.loads("".join(written) + rest)
    assert ([row["result"] for row in document["answers"]], document["exit_code"]) == ([{"a": 1}], said_code)
    assert document["error"]["message"] == message
    begin = {3: "error: the .eim was killed\n", 70: "Traceback", 130: "interrupted\n"}[code]
    assert err.lstrip().startswith(begin)


def test_a_signal_before_the_first_answer(
    capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The document is whole, also when another signal comes while it is made."""
    features = tmp_path / "a.txt"
    features.write_text("1 2")
    made = command._findings_document

    def interrupted(*arguments: Any, **rest: Any) -> dict[str, Any]:
        signal.raise_signal(signal.SIGINT)
        return made(*arguments, **rest)

    def stop(_features: Any) -> Reply:
        raise KeyboardInterrupt

    fake().classify = stop
    for name in ("as it is", "interrupted"):
        if name == "interrupted":
            monkeypatch.setattr(command, "_findings_document", interrupted)
        code, out = said(capsys, "classify", "m.eim", "--features", features, "--format", "json")
        document = json.loads(out)
        assert (code, document["exit_code"], document["answers"]) == (130, None, []), name
        assert document["error"]["message"] == "ended by a signal before the last answer"


@pytest.mark.parametrize(
    ("stop", "format_", "code", "is_empty"),
    [
        (RuntimeError("x"), "json", 70, True),
        (RuntimeError("x"), "text", 70, True),
        (KeyboardInterrupt(), "text", 130, True),
        (KeyboardInterrupt(), "json", 130, False),
    ],
)
def test_what_ends_it_before_the_first_answer(
    capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path, stop: BaseException, format_: str, code: int,
    is_empty: bool,
) -> None:  # fmt: skip
    """Only a signal leaves a document: of a bug __main__ writes one."""
    (tmp_path / "a.txt").write_text("1 2")

    def end(_features: Any) -> Reply:
        raise stop

    fake().classify = end
    assert main(["eim", "classify", "m.eim", "--features", str(tmp_path / "a.txt"), "--format", format_]) == code
    assert ('"answers"' not in capsys.readouterr().out) == is_empty


def test_errors_of_inputs_are_told_though_the_eim_ends(
    capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path
) -> None:
    features, absent = tmp_path / "a.txt", tmp_path / "b.txt"
    for path, text in ((features, "1 2"), (absent, "no number")):
        path.write_text(text)
    client = fake()

    def end(_features: Any) -> Reply:
        client.is_broken = True
        raise InputError("the .eim was killed")

    client.classify = end
    words = ("classify", "m.eim", "--features", absent, features)
    code, out = said(capsys, *words, "--format", "json")
    document = json.loads(out)
    assert (code, document["exit_code"], document["answers"]) == (3, 3, [])
    assert [(found["id"], found["path"]) for found in document["findings"]] == [("EI640", str(absent))]
    assert document["error"]["message"] == "the .eim was killed"
    client.is_broken = False
    assert main(["eim", *map(str, words)]) == 3
    out, err = capsys.readouterr()
    assert f"error EI640 {absent}: " in out
    assert err == "error: the .eim was killed\n"


def test_foreign_text_is_written_as_it_is(capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path) -> None:
    features, label = tmp_path / "a.txt", "a\u2028b\u2029 c\x85\x0bd\r\n  e"
    features.write_text("1 2")
    fake(MODEL, {"classification": {label: 1}})
    _, out = said(capsys, "classify", "m.eim", "--features", features, "--format", "json")
    assert json.loads(out)["answers"][0]["result"] == {"classification": {label: 1}}


def test_classify_features(capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path) -> None:
    features = tmp_path / "f.txt"
    features.write_text("1, 0x2 3.5 4 5")
    client = fake(MODEL, {"a": 1}, {"a": 2})
    words = ("classify", "m.eim", "--features", features)
    assert said(capsys, *words) == (0, f"{features}  (12.3 ms)\n  a: 1\n")
    assert client.asked[1:] == [("all", [1.0, 2.0, 3.5, 4.0, 5.0])]
    client = fake(MODEL, {"a": 1}, {"a": 2})
    assert said(capsys, *words, "--continuous") == (
        0,
        (f"{features} slice 0  (500.0 ms)  warm-up: the model has not heard a whole window\n  a: 1\n"
        f"{features} slice 1  (500.0 ms)  warm-up: the model has not heard a whole window; "
        "the last 1 features are less than a slice, and left out\n  a: 2\n"),
    )  # fmt: skip
    assert client.asked[1:] == [("slice", [1.0, 2.0]), ("slice", [3.5, 4.0])], "the rest is no whole slice"
    features.write_text("1")
    fake(MODEL)
    assert failed(capsys, *words, "--continuous") == [
        f"error: {features}: it holds 1 features, and a slice is 2", "  hint: give a longer one",
    ]  # fmt: skip


def failed(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    capsys.readouterr()
    assert main(["eim", *map(str, words)]) == 3
    return capsys.readouterr().err.splitlines()


def test_classify_what_does_not_fit(capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path) -> None:
    features = tmp_path / "f.txt"
    features.write_text("1 2")
    fake(ModelInfo(2, 0, ("a",), 2, 0, 0, None, "classification", (), {}))
    assert failed(capsys, "classify", "m.eim", features) == [
        f"error: {features}: this .eim takes no pictures", "  hint: give --features FILE, or a .wav",
    ]  # fmt: skip
    assert failed(capsys, "classify", "m.eim", "--features", features, "--continuous") == [
        f"error: {features}: this .eim does not say how long a slice is", "  hint: leave out --continuous",
    ]  # fmt: skip
    assert failed(capsys, "classify", "m.eim", features, "--threshold", "0.5") == [
        "error: this .eim has no detection threshold",
        ("  hint: while an .eim serves this socket, `ei-deepstream eim inspect --hello m.eim` shows the model's "
         "parameters"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("r.csv", {}, "this .eim takes no pictures"),
        ("r.wav", {}, "this .eim takes no sound"),
        ("r.wav", {"frequency": 0}, "this .eim takes no sound"),
        ("r.wav", {"frequency": True}, "this .eim takes no sound"),
        ("r.wav", {"frequency": float("inf")}, "this .eim takes no sound"),
        ("r.wav", {"frequency": "8"}, "this .eim takes no sound"),
        ("r.wav", {"frequency": 8}, "not a WAV that can be read: "),
    ],
)
def test_recordings_for_what_takes_none(
    capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path, name: str, parameters: dict[str, Any], said: str
) -> None:
    (tmp_path / name).write_text("1 2")
    model = ModelInfo(2, 0, ("a",), 0, 0, 0, None, "classification", (), {"model_parameters": parameters})
    fake(model)
    error, hint = failed(capsys, "classify", "m.eim", tmp_path / name)
    assert error.startswith(f"error: {tmp_path / name}: {said}")
    hints = {
        "this .eim takes no pictures": "give --features FILE, or a .wav",
        "this .eim takes no sound": "give pictures or --features FILE",
    }
    assert hint.startswith(f"  hint: {hints.get(said, '')}")
    client = fake(model, {"a": 1})
    assert main(["eim", "classify", "m.eim", "--features", str(tmp_path / name), "-q"]) == 0
    assert client.asked[1:] == [("all", [1.0, 2.0])], "a file of features may be called anything"


def pair(score: float | None, pixels: int | None = None, eim: Any = 0.5, ours: Any = 0.25) -> AnswerPair:
    return AnswerPair("face", eim, ours, score, pixels)


def test_compare(
    capsys: pytest.CaptureFixture[str], fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    box = BOX_DIFFERS.found("a box", path="p2")
    pictures = (
        PictureComparison("p1", (pair(0.25), pair(0.125), pair(None)), 0.1234567, ()),
        PictureComparison("p2", (pair(0.0, 3), pair(0.001, 9), pair(None)), 1.0, (box,), detects=True),
        PictureComparison("p3", (), 2.0, (), detects=True),
    )
    comparison = EimComparison(pictures, (OTHER_LABELS.found("other labels"),))
    opened: list[Any] = []

    @contextlib.contextmanager
    def open_backend(*arguments: Any, features: bool, engine: int | None) -> Iterator[Reference]:
        opened.append((*arguments, features, engine))
        yield Reference((1, 1, 1), (), None, lambda _path: [("a", np.zeros(1, np.float32), None)], dict)

    def compare(client: Any, ours: Reference, files: list[Path], **limits: Any) -> EimComparison:
        opened.append((client.model, ours.size, [path.name for path in files], limits))
        return comparison

    monkeypatch.setattr(comparing, "open_backend", open_backend)
    monkeypatch.setattr(comparing, "compare", compare)
    fake()
    code, out = said(
        capsys, "compare", "m.eim", tmp_path, tmp_path, "--threshold", "0.75", "--timeout", "5", "--engine", "2"
    )
    assert code == 1
    assert out.splitlines() == [
        f"  {OTHER_LABELS.level.value} {OTHER_LABELS.id} other labels",
        f"  more: ei-deepstream explain {OTHER_LABELS.id}",
        "p1: 3 labels, largest difference 0.25", "p2: 3 boxes, largest difference 0.001, edges 9 px",
        f"  {BOX_DIFFERS.level.value} {BOX_DIFFERS.id} p2: a box",
        "p3: 0 boxes, no score to compare",
        "they do not agree: 3 pictures, largest difference 0.25 (limit 0.01)",
    ]  # fmt: skip
    assert opened == [
        (tmp_path, MODEL, ImageScaling.NONE, 5.0, False, 2),
        (MODEL, (1, 1, 1), ["a.png"], {"tolerance": 0.01, "pixels": 1, "threshold": 0.75}),
    ]
    comparison = EimComparison(pictures[:1], ())
    words = ("compare", "m.eim", tmp_path, tmp_path, "--tolerance", "0.5", "--pixels", "4", "--image-scaling", "torch")
    assert said(capsys, *words)[1].splitlines()[-1] == "they agree: 1 picture, largest difference 0.25 (limit 0.5)"
    assert opened[-2][2] is ImageScaling.TORCH
    assert opened[-1][-1] == {"tolerance": 0.5, "pixels": 4, "threshold": None}
    code, out = said(capsys, *words, "--format", "json")
    face = {"label": "face", "eim": 0.5, "ours": 0.25, "pixels": None}
    pairs = [face | {"score_difference": score} for score in (0.25, 0.125, None)]
    assert (code, json.loads(out)) == (
        0,
        {
            "schema_version": 1, "exit_code": 0, "findings": [], "error": None, "agrees": True,
            "largest_difference": 0.25, "tolerance": 0.5, "pixels": 4,
            "pictures": [{"path": "p1", "seconds": 0.123457, "pairs": pairs}],
        },
    )  # fmt: skip
    comparison = EimComparison(pictures[2:], ())
    nothing = "nothing to compare: 1 picture, neither shows an object; give others"
    assert said(capsys, *words)[1].splitlines()[-1] == nothing


@pytest.mark.parametrize(
    ("words", "code", "asked", "served"),
    [
        (["--print-info"], 4, (None, ""), ("print_info", ("impulse",), {})),
        (["stdin", "--engine", "2"], 5, (2, ""), ("serve_stdin", ("impulse",), {})),
        (["s", "--provider", "cuda"], 6, (None, "cuda"), ("serve_socket", ("impulse", Path("s")), {"keep": False})),
        (["s", "--keep"], 6, (None, ""), ("serve_socket", ("impulse", Path("s")), {"keep": True})),
    ],
)
def test_serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], code: int, asked: Any, served: Any
) -> None:
    told: list[Any] = []

    def read_impulse(bundle: Path, *, engine: int | None, provider: str) -> str:
        told.append((bundle, engine, provider))
        return "impulse"

    def serve(name: str, code: int, *arguments: Any, **options: Any) -> int:
        told.append((name, arguments, options))
        return code

    monkeypatch.setattr("convert.eim.bundle.read_impulse", read_impulse)
    for name, result in (("print_info", 4), ("serve_stdin", 5), ("serve_socket", 6)):
        monkeypatch.setattr(f"convert.eim.server.{name}", partial(serve, name, result))
    assert main(["eim", "serve", str(tmp_path), *words]) == code
    assert told == [(tmp_path, *asked), served]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"interpreter": None, "engine": None, "provider": "", "standalone": False}),
        (
            ["--python", "/x/python", "--engine", "1", "--provider", "tensorrt", "--standalone"],
            {"interpreter": "/x/python", "engine": 1, "provider": "tensorrt", "standalone": True},
        ),
    ],
)
def test_pack(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], asked: Any
) -> None:
    told: list[Any] = []

    def pack(bundle: Path, output: Path, **options: Any) -> Output:
        told.append((bundle, output, options))
        return Output(str(output), "0" * 64)

    monkeypatch.setattr("convert.eim.bundle.pack", pack)
    command = ("pack", tmp_path, "-o", "m.eim", *words)
    assert said(capsys, *command) == (0, "wrote m.eim\n")
    assert said(capsys, *command, "-q") == (0, "")
    code, out = said(capsys, *command, "--format", "json")
    document = {"outputs": [{"path": "m.eim", "sha256": "0" * 64}], "findings": [], "error": None}
    assert (code, json.loads(out)) == (0, {"schema_version": 1, "exit_code": 0, **document})
    assert told == [(tmp_path, Path("m.eim"), asked)] * 3


EVENTS = (
    ProxyEvent(0.25, "client", "message", {"hello": 1, "id": 1}, 18),
    ProxyEvent(1.23456789, "eim", "message", {"id": 1}, 9, 0.0123456789),
    ProxyEvent(12.0, "eim", "bytes", "not JSON; the rest is not shown", 3, 0.0),
)


def test_proxy(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []

    def proxy(path: Path, target: Path, observer: Any, *, start: float) -> int:
        told.append((path, target, start))
        for event in EVENTS:
            observer(event)
        return 7

    monkeypatch.setattr(talking, "proxy", proxy)
    assert said(capsys, "proxy", tmp_path / "s", tmp_path / "m.eim", "--timeout", "2") == (
        7,
        (
            '    0.250 -> 18 bytes  {"hello": 1, "id": 1}\n    1.235 <- 9 bytes 12.3 ms  {"id": 1}\n'
            "   12.000 <- 3 bytes 0.0 ms  not JSON; the rest is not shown\n"
        ),
    )
    code, out = said(capsys, "proxy", tmp_path / "s", tmp_path / "m.eim", "--format", "json")
    assert code == 7
    assert [json.loads(line) for line in out.splitlines()] == [
        {"seconds": 0.25, "from": "client", "kind": "message", "bytes": 18, "took": None,
         "content": {"hello": 1, "id": 1}},
        {"seconds": 1.234568, "from": "eim", "kind": "message", "bytes": 9, "took": 0.012346, "content": {"id": 1}},
        {"seconds": 12.0, "from": "eim", "kind": "bytes", "bytes": 3, "took": 0.0,
         "content": "not JSON; the rest is not shown"},
    ]  # fmt: skip
    assert told == [(tmp_path / "s", tmp_path / "m.eim", 2.0), (tmp_path / "s", tmp_path / "m.eim", 60.0)]


@pytest.mark.parametrize(
    ("system", "machine", "library", "title", "needs", "names"),
    [
        ("linux", "x86_64", "libc.so.6", "x86-64 Linux", "", "linux-x86_64"),
        ("linux", "armv7", "libc.so.6", "32-bit ARM Linux", "", "linux-armv7"),
        ("linux", "aarch64", "libc.so.6", "64-bit ARM Linux", "", "linux-aarch64"),
        ("macos", "x86_64", "libSystem", "macOS on Intel", "", "mac-x86_64"),
        ("macos", "arm64", "libSystem", "macOS on Apple silicon", "", "mac-arm64"),
        *(
            ("linux", machine, library, title, needs, names)
            for machine, libraries, title, needs, names in (
                (
                    "aarch64", "libnvinfer.so.8 libcudart.so.10.2 libnvonnxparser.so", "NVIDIA Jetson, TensorRT",
                    "an NVIDIA Jetson of the same JetPack",
                    "linux-aarch64-jetson-nano linux-aarch64-jetson-orin linux-aarch64-jetson-orin-6-0",
                ),
                (
                    "aarch64", "libQnnHtp.so", "Qualcomm, QNN", "a Qualcomm processor with a Hexagon NPU",
                    "linux-aarch64-qnn",
                ),
                (
                    "aarch64", "libvx_tidl_rt.so libti_rpmsg_char.so libtidl_x.so", "Texas Instruments, TIDL",
                    "a Texas Instruments processor with TIDL",
                    "linux-aarch64-tda4vm linux-aarch64-am62a linux-aarch64-am68a",
                ),
                (
                    "aarch64", "libdrpai.so libmmngr.so.1", "Renesas, DRP-AI", "a Renesas RZ/V processor with DRP-AI",
                    "linux-aarch64-rzv2l",
                ),
                (
                    "aarch64", "libpython3.8.so.1.0 libakida.so", "BrainChip Akida", "a BrainChip Akida",
                    "linux-aarch64-akd1000",
                ),
                (
                    "x86_64", "libpython3.8.so.1.0 libakida.so", "BrainChip Akida", "a BrainChip Akida",
                    "linux-aarch64-akd1000",
                ),
            )
            for library in libraries.split()
        ),
    ],
)  # fmt: skip
def test_targets(system: str, machine: str, library: str, title: str, needs: str, names: str) -> None:
    """Names that `edge-impulse-linux-runner --force-target` takes, told apart by one library of each kind."""
    binary = Binary(system, (machine,), 64, None, ("libm.so", library))
    (found,) = inspecting.targets_of(binary)
    assert (found.system, found.machine, found.title, found.needs) == (system, machine, title, needs)
    assert found.names == tuple(f"runner-{name}" for name in names.split())


def test_machines() -> None:
    """Which target a machine has, and what it runs: its own programs and the 32-bit ones of its family."""
    table = {
        ("linux", "x86_64", 64): ("runner-linux-x86_64", "i386 x86_64"),
        ("linux", "aarch64", 64): ("runner-linux-aarch64", "aarch64 armv7"),
        ("linux", "aarch64", 32): ("runner-linux-armv7", "aarch64 armv7"),
        ("linux", "armv7", 32): ("runner-linux-armv7", "armv7"),
        ("linux", "riscv64", 64): (None, "riscv64"),
        ("macos", "x86_64", 64): ("runner-mac-x86_64", "i386 x86_64"),
        ("macos", "arm64", 64): ("runner-mac-arm64", "arm64 x86_64"),
        ("win32", "x86_64", 64): (None, "i386 x86_64"),
    }
    machines = ("aarch64", "arm64", "armv7", "i386", "riscv64", "x86_64")
    for key, (target, runs) in table.items():
        host = Host(*key, None)
        assert host.target == target
        own = [each for each in machines if host.runs(Binary(host.system, (each,), 64, None, ()))]
        assert " ".join(own) == runs


@pytest.mark.parametrize(
    ("platform", "machine", "libc", "expected"),
    [
        ("linux", "x86_64", ("glibc", "2.36"), ("linux", "x86_64", (2, 36))),
        ("darwin", "arm64", ("", ""), ("macos", "arm64", None)),
        ("linux", "AMD64", ("musl", "1.2"), ("linux", "x86_64", None)),
        ("win32", "AMD64", ("glibc", ""), ("win32", "x86_64", None)),
        ("linux", "armv7l", ("glibc", "2.31-x.1"), ("linux", "armv7", (2, 1))),
        ("linux", "armv8l", ("glibc", "2.3"), ("linux", "armv7", (2, 3))),
        ("linux", "armv6l", ("glibc", "2.3"), ("linux", "armv6", (2, 3))),
        ("linux", "i686", ("glibc", "2.3"), ("linux", "i386", (2, 3))),
        ("linux", "i586", ("glibc", "2.3"), ("linux", "i386", (2, 3))),
    ],
)
def test_this_machine(
    platform: str, machine: str, libc: tuple[str, str], expected: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convert.eim.inspect.sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.libc_ver", lambda: libc)
    host = inspecting.here()
    assert (host.system, host.machine, host.glibc) == expected
    assert host.bits == (64 if sys.maxsize > 1 << 32 else 32)


def told(path: Path, host: Host) -> list[tuple[str, str, str | None]]:
    return [(each.id, each.message, each.hint) for each in inspecting.inspect(path, host).findings]


DOWNLOAD = (
    "for this machine: edge-impulse-linux-runner --download model.eim --force-target runner-linux-aarch64, "
    "or Studio's Linux deployment for its processor"
)


def test_reasons(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule, message and hint of what keeps an executable from starting; a later one is not judged before the first."""
    jetson = Binary("linux", ("aarch64",), 64, "/none/ld.so", ("libnvinfer.so.8", "libtensorflow_flex.so"), ())
    here = replace(jetson, interpreter=None)
    flex = "it is TensorFlow Lite's Flex library, which Edge Impulse offers for download beside the model"
    vendor = "install it, or set LD_LIBRARY_PATH to its folder; if it is a vendor's, this is not the vendor's machine"
    needs = ("EI608", "it needs an NVIDIA Jetson of the same JetPack", None)
    pi = Host("linux", "aarch64", 32, (2, 31))
    riscv = "Edge Impulse builds no .eim for this machine; `ei-deepstream eim pack` makes one of a converted bundle"
    for binary, host, expected in (
        (APPLE, NANO, [("EI610", "made for macOS on Intel; this is linux on aarch64", DOWNLOAD)]),
        (replace(ARM, machines=("x", "y")), Host("linux", "riscv64", 64, None),
         [("EI603", "made for x/y, linux; this machine is riscv64, 64-bit", riscv)]),
        (jetson, NANO, [("EI605", "its loader /none/ld.so is not installed", DOWNLOAD), needs]),
        (replace(jetson, libraries=()), pi,
         [("EI604", "made for 64-bit ARM Linux; the kernel is 64-bit, but the system on it is 32-bit",
           DOWNLOAD.replace("aarch64", "armv7"))]),
        (replace(ARM, machines=("aarch64",)), pi,
         [("EI605", "its loader /lib/none/ld.so is not installed", DOWNLOAD.replace("aarch64", "armv7"))]),
        (here, NANO, [("EI606", "not installed: libnvinfer.so.8, libtensorflow_flex.so", flex), needs]),
        (replace(here, libraries=("libnone.so.1", "ld-linux-aarch64.so.1")), NANO,
         [("EI606", "not installed: libnone.so.1", vendor)]),
        (replace(here, libraries=("libnone.so.1",)), pi, []),
        (replace(here, libraries=(), glibc=(2, 28)), NANO,
         [("EI607", "it needs glibc 2.28, this system has 2.27", None)]),
        (replace(here, libraries=(), glibc=(2, 27)), NANO, []),
        (replace(here, libraries=(), glibc=(2, 28)), replace(NANO, glibc=None), []),
    ):  # fmt: skip
        monkeypatch.setattr(inspecting, "read_binary", lambda _, binary=binary: binary)
        assert told(foreign, host) == expected
    monkeypatch.setattr(inspecting, "read_binary", lambda _: replace(here, libraries=()))
    foreign.chmod(0o644)
    assert told(foreign, NANO) == [("EI602", "it is not executable", f"chmod +x {foreign}")]


def test_where_libraries_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("own", "given", "standard"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"lib{folder}.so").touch()
    monkeypatch.setattr(inspecting, "_STANDARD", (str(tmp_path / "standard"),))
    monkeypatch.setattr(inspecting, "_cached", lambda: frozenset({"libcached.so"}))
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/none:{tmp_path / 'given'}")
    monkeypatch.chdir(tmp_path / "own")
    names = ("libown.so", "libgiven.so", "libstandard.so", "libcached.so", "libnone.so", "ld-linux-x86-64.so.2",
             "ld-musl-x86_64.so.1", "linux-vdso.so.1", "libld-linux.so")  # fmt: skip
    binary = Binary("linux", ("x86_64",), 64, None, names, (str(tmp_path / "own"),))
    assert inspecting.missing(binary) == ("libnone.so", "libld-linux.so")
    assert inspecting.missing(replace(binary, search=("",))) == ("libown.so", "libnone.so", "libld-linux.so")
    assert inspecting.missing(replace(binary, system="macos")) == ()


@pytest.mark.parametrize(
    ("data", "rule", "message", "hint"),
    [
        (b"", "EI601", "the file is empty", DOWNLOAD),
        (b" \n[1]", "EI601", "it is JSON, perhaps an error message", DOWNLOAD),
        (b"plain", "EI601", "it is no executable", DOWNLOAD),
        (b"\x1c\0\0\0TFL3", "EI601", "it is a .tflite model",
         "`ei-deepstream convert` takes it; an .eim is an executable"),
        (b"PK\x03\x04", "EI601", "it is a zip",
         "if it is an export, `ei-deepstream convert` it; an .eim comes from the Linux deployment"),
        (b"\x1f\x8b", "EI601", "it is a gzip file", "unpack it first"),
        (b"MZ", "EI601", "it is a Windows program", "choose a Linux deployment in Studio"),
        *(
            (data, "EI600", "it is a web page saved under the model's name", DOWNLOAD)
            for data in (b"<!DOCTYPE html>", b"<html>", b"<?xml", b"\t\r\n<HEAD>", b"<body>", b"\xef\xbb\xbf<html>")
        ),
    ],
)  # fmt: skip
def test_what_is_no_executable(foreign: Path, data: bytes, rule: str, message: str, hint: str) -> None:
    foreign.write_bytes(data)
    assert told(foreign, NANO) == [(rule, message, hint)]
