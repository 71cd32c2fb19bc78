"""`ei-deepstream eim ...` as a person or a script uses it."""

from __future__ import annotations

import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import wave
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pytest
from PIL import Image

from convert.__main__ import main
from convert.cli.eim import _Threshold
from convert.eim.inspect import here
from tests.eim import bundles
from tests.eim.executables import elf

if TYPE_CHECKING:
    from pathlib import Path

    from tests.eim.processes import Served, Servers


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Green in the middle."""
    path = tmp_path / "picture.png"
    Image.fromarray(bundles.painted(bundles.fomo(), (40, 40, 8, 8, (0, 255, 0)))).save(path)
    return path


class Said:
    """Exit code and output of a command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: object) -> None:
        capsys.readouterr()
        self.code = main([str(word) for word in ("eim", *words)])
        self.out, self.err = capsys.readouterr()
        assert "Traceback" not in self.err

    @property
    def document(self) -> Any:
        document = json.loads(self.out)
        assert document["exit_code"] == self.code
        assert document["schema_version"] == 1
        return document


def test_inspect(capsys: pytest.CaptureFixture[str], made: dict[str, Path], tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.eim"
    foreign.write_bytes(elf(8))
    foreign.chmod(0o755)
    said = Said(capsys, "inspect", foreign)
    assert said.code == 1
    assert "EI603" in said.out
    assert "runner-linux-" in said.out
    document = Said(capsys, "inspect", foreign, "--format", "json").document
    assert document["binary"]["machines"] == ["ELF machine 8"]
    assert document["findings"][0]["id"] == "EI603"
    said = Said(capsys, "inspect", foreign, "--hello")
    assert said.code == 1
    assert "EI603" in said.out, "the reason, instead of an attempt"
    said = Said(capsys, "inspect", made["fomo.eim"], "--hello")
    assert said.code == 0
    assert "  sensor     camera\n" in said.out
    assert "  engine     TensorFlow Lite\n" in said.out
    assert "Face detection" in said.out
    assert "block 18, object_detection: min_score 0.5" in said.out
    document = Said(capsys, "inspect", made["fomo.eim"], "--hello", "--format", "json").document
    assert document["kind"] == "packed"
    assert document["hello"]["model_parameters"]["labels"] == ["face"]
    assert Said(capsys, "inspect", tmp_path / "nothing").code == 3


def test_what_a_hello_may_lack(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "odd.eim"
    hello = {
        "id": 1, "success": True, "features_shm": {"name": "/none", "size_bytes": 4, "elements": 1},
        "model_parameters": {"labels": ["}"], "input_features_count": 5, "image_input_width": 2,
                             "image_input_height": 2},
    }  # fmt: skip
    path.write_text(
        f"#!{sys.executable}\nimport socket, sys\n"
        "server = socket.socket(socket.AF_UNIX)\nserver.bind(sys.argv[1])\nserver.listen()\n"
        f"link, _ = server.accept()\nlink.recv(99)\nlink.sendall({json.dumps(hello).encode()!r})\nlink.recv(99)\n"
    )
    path.chmod(0o755)
    document = Said(capsys, "inspect", path, "--hello", "--format", "json").document
    assert sorted(finding["id"] for finding in document["findings"]) == ["EI620", "EI620", "EI621", "EI622"]
    assert document["exit_code"] == 1


def test_classify(
    capsys: pytest.CaptureFixture[str], made: dict[str, Path], served: Served, picture: Path, tmp_path: Path
) -> None:
    said = Said(capsys, "classify", made["fomo.eim"], picture)
    assert said.code == 0
    assert "40,40 8x8" in said.out
    said = Said(capsys, "classify", made["fomo.eim"], picture, "--threshold", "1.5", "--stdin", "--no-shm")
    assert "nothing found" in said.out
    said = Said(capsys, "classify", served("fomo"), picture, "--threshold", "18:min_score=1.5")
    assert "nothing found" in said.out
    features = tmp_path / "features.txt"
    features.write_text(",".join(["0x00ff00"] * 64))
    document = Said(capsys, "classify", served("classifier"), "--features", features, "--format", "json").document
    (answer,) = document["answers"]
    assert max(answer["result"]["classification"], key=answer["result"]["classification"].get) == "green"
    assert answer["seconds"] > 0


def test_classify_continuously(capsys: pytest.CaptureFixture[str], served: Served, tmp_path: Path) -> None:
    features = tmp_path / "features.txt"
    features.write_text(" ".join(["0"] * 64))
    said = Said(capsys, "classify", served("classifier"), "--features", features, "--continuous")
    assert said.code == 1
    assert said.out.count("EI640") == 4, "a picture model takes no slices"
    assert "slice 3: the .eim answers: Classifying failed, error code was -5" in said.out


def test_one_bad_picture_is_that_pictures_error(
    capsys: pytest.CaptureFixture[str], served: Served, picture: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        (folder / name).write_bytes(picture.read_bytes())
    (folder / "b.png").write_text("no picture")
    document = Said(capsys, "classify", served("fomo"), folder, "--format", "json").document
    assert [answer["input"] for answer in document["answers"]] == [str(folder / "a.png"), str(folder / "c.png")]
    (found,) = document["findings"]
    assert (found["id"], found["path"], document["exit_code"]) == ("EI640", str(folder / "b.png"), 1)
    said = Said(capsys, "classify", served("fomo"), folder)
    assert said.out.count("in pixels of the model's 96x96:\n") == 2


WAITING = """#!{python} -S
import json, socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
link, _ = server.accept()
hello = {{"success": True, "model_parameters": {{"input_features_count": 1}}}}
for answer in (hello, {{"success": True, "result": {{"a": 1}}}}):
    link.sendall(json.dumps(answer | {{"id": json.loads(link.recv(999))["id"]}}).encode())
link.recv(999)
time.sleep(60)
"""


@pytest.mark.parametrize(("number", "unbuffered"), [(signal.SIGTERM, ""), (signal.SIGINT, "1")])
def test_a_signal_after_the_reader_is_gone(tmp_path: Path, number: signal.Signals, unbuffered: str) -> None:
    """As Ctrl-C ends both in `classify ... | jq`: the exit code is that of the signal."""
    eim, features = tmp_path / "m.eim", tmp_path / "f.txt"
    eim.write_text(WAITING.format(python=sys.executable))
    eim.chmod(0o755)
    features.write_text("1")
    words = (eim, "--features", features, features, "--format", "json")
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "convert", "eim", "classify", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stderr
        while b'"seconds"' not in process.stdout.readline():
            pass
        process.stdout.close()
        process.send_signal(number)
        err = process.stderr.read().decode().strip()
    said = "interrupted" if number == signal.SIGINT else "ended by SIGTERM"
    assert (process.returncode, err) == (128 + number, said)


AUDIO = """#!{python} -S
import json, socket, sys
hello = {{"success": True, "model_parameters": {{"input_features_count": 8, "slice_size": 2, "labels": ["a"],
         "frequency": 8, "axis_count": 1, "sensor": 1, "has_anomaly": 1, "use_continuous_mode": True,
         "inferencing_engine": 2}}}}
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
link, _ = server.accept()
while data := link.recv(99999):
    request = json.loads(data)
    values = request.get("classify") or request.get("classify_continuous")
    answer = hello if values is None else {{"success": True, "result": {{"freeform": [values]}}}}
    link.sendall(json.dumps(answer | {{"id": request["id"]}}).encode() + b"\\n\\0")
"""


def test_recordings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    eim = tmp_path / "audio.eim"
    eim.write_text(AUDIO.format(python=sys.executable))
    eim.chmod(0o755)

    def recorded(rate: int, width: int, *frames: tuple[int, ...]) -> Path:
        with wave.open(str(tmp_path / "r.wav"), "wb") as file:
            file.setnchannels(len(frames[0]))
            file.setsampwidth(width)
            file.setframerate(rate)
            values = (value for frame in frames for value in frame)
            file.writeframes(b"".join(value.to_bytes(width, "little", signed=width > 1) for value in values))
        return tmp_path / "r.wav"

    def heard(*words: object) -> list[list[float]]:
        document = Said(capsys, "classify", eim, *words, "--format", "json").document
        assert document["error"] is None
        return [answer["result"]["freeform"][0] for answer in document["answers"]]

    ramp = [(1000 * number,) for number in range(19)]
    assert heard(recorded(8, 2, *ramp)) == [list(range(0, 8000, 1000)), list(range(8000, 16000, 1000))]
    assert heard(recorded(8, 3, *((256 * value,) for (value,) in ramp[:8]))) == [list(range(0, 8000, 1000))]
    assert heard(recorded(8, 1, *((128 + number,) for number in range(8)))) == [list(range(0, 2048, 256))]
    assert heard(recorded(8, 2, *((100, 300) for _ in range(8)))) == [[200] * 8]
    said = Said(capsys, "classify", eim, recorded(8, 2, *ramp), "--continuous").out
    assert said.count("warm-up") == 3
    assert "slice 8  (" in said
    assert "the last 1 features are less than a slice, and left out" in said
    said = Said(capsys, "classify", eim, recorded(16, 2, *ramp)).err
    assert "16 samples a second, the model takes 8" in said
    assert "--resample" in said
    assert heard(recorded(16, 2, *([(5000,)] * 16)), "--resample") == [[5000] * 8]
    assert "holds 3 features, and a window is 8" in Said(capsys, "classify", eim, recorded(8, 2, *ramp[:3])).err
    (tmp_path / "r.wav").write_text("RIFF")
    assert "not a WAV" in Said(capsys, "classify", eim, tmp_path / "r.wav").err
    said = Said(capsys, "inspect", eim, "--hello").out
    assert "  sensor     microphone, 8 Hz, 1 axis, a window is 1 s, a slice 2 features, continuous\n" in said
    assert "  anomaly    k-means\n" in said


def test_pictures_for_an_eim_that_says_no_channels_are_grey(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    eim = tmp_path / "old.eim"
    size = '"input_features_count": 4, "image_input_width": 2, "image_input_height": 2'
    eim.write_text(AUDIO.replace('"input_features_count": 8', size).format(python=sys.executable))
    eim.chmod(0o755)
    Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / "red.png")
    (answer,) = Said(capsys, "classify", eim, tmp_path / "red.png", "--format", "json").document["answers"]
    assert answer["result"]["freeform"] == [[0x4C4C4C] * 4]


ANSWERING = """#!{python} -S
import json, socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
link, _ = server.accept()
for answer in {answers!r}:
    if data := link.recv(99999):
        link.sendall(json.dumps(answer | {{"id": json.loads(data)["id"]}}).encode() + b"\\n\\0")
link.recv(9)
"""
PICTURES = {
    "success": True,
    "project": {"name": "Doors", "owner": "someone", "deploy_version": 3},
    "inferencing_engine": {"engine_type": "x", "properties": ["int8", 4]},
    "model_parameters": {
        "input_features_count": 24, "image_input_width": 4, "image_input_height": 6, "image_channel_count": 3,
        "labels": ["a", "b"], "model_type": "object_detection", "image_resize_mode": "fit-longest", "sensor": 3,
        "has_anomaly": 3, "has_object_tracking": True, "inferencing_engine": 4, "frequency": 5, "axis_count": 1,
        "thresholds": [
            {"id": 7, "type": "object_detection", "min_score": 0.25, "nms": 0.5},
            {"id": 8, "type": "anomaly_gmm", "min_anomaly_score": 3},
        ],
    },
}  # fmt: skip
MOTION = {
    "success": True,
    "project": {"owner": "x"},
    "model_parameters": {
        "input_features_count": 33, "labels": [], "frequency": 2.5, "axis_count": 3, "sensor": 99, "has_anomaly": True,
        "slice_size": 11, "inferencing_engine": 77,
    },
}  # fmt: skip
PROBES = {"success": True, "model_parameters": {"input_features_count": 3, "has_anomaly": 9, "frequency": 1}}


def answering(path: Path, *answers: dict[str, Any]) -> Path:
    """An .eim that gives these answers, one after the other."""
    path.write_text(ANSWERING.format(python=sys.executable, answers=answers))
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("hello", "lines"),
    [
        (
            PICTURES,
            [
                "  project    Doors by someone, version 3",
                "  model      object_detection, 4x6x3, resize fit-longest",
                "  sensor     camera",
                "  labels     a, b",
                "  anomaly    visual, Gaussian mixture",
                "  tracking   yes",
                "  threshold  block 7, object_detection: min_score 0.25, nms 0.5",
                "  threshold  block 8, anomaly_gmm: min_anomaly_score 3",
                "  engine     TensorFlow Lite, full, int8, 4",
            ],
        ),
        (
            MOTION,
            [
                "  project    by x",
                "  model      classification, 33 features",
                "  sensor     unknown, 2.5 Hz, 3 axes, a window is 4.4 s, a slice 11 features",
                "  labels     none",
                "  anomaly    k-means",
                "  engine     77",
            ],
        ),
        (
            PROBES,
            [
                "  project    not said",
                "  model      classification, 3 features",
                "  sensor     unknown, 1 Hz, 1 axis, a window is 3 s",
                "  labels     none",
                "  anomaly    yes",
            ],
        ),
    ],
)
def test_all_that_a_hello_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, hello: dict[str, Any], lines: list[str]
) -> None:
    said = Said(capsys, "inspect", answering(tmp_path / "m.eim", hello), "--hello")
    host = here()
    shown = said.out.splitlines()
    assert shown[:3] == [
        f"  file       {tmp_path / 'm.eim'}", "  is         a script",
        f"  here       {host.system} {host.machine}, {host.bits}-bit",
    ]  # fmt: skip
    assert [line for line in shown[3:] if not re.match("  (?:error|warning|note|hint|more)[: ]", line)] == lines


def test_all_of_an_answer_is_shown(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    places = {"x": 1, "y": 2, "width": 3, "height": 4.5}
    results: list[dict[str, Any]] = [
        {
            "bounding_boxes": [{"label": "a", "value": 0.98765, **places}],
            "object_tracking": [{"label": "b", "value": 0.5, **places, "object_id": 12}],
            "anomaly": 0.12345, "visual_anomaly_max": 2, "classification": {"a": 0.75, "b": 0.25},
        },
        {"bounding_boxes": []},
    ]  # fmt: skip
    answers = [{"success": True, "result": result} for result in results]
    answers[1] |= {"timing": {"dsp": 1}}
    eim, features = answering(tmp_path / "m.eim", PICTURES, *answers), tmp_path / "f"
    features.write_text(" ".join(["1"] * 24))
    said = Said(capsys, "classify", eim, "--features", features, features)
    assert re.sub(r"\([0-9.]+ ms\)", "(MS)", said.out) == (
        f"{features}  (MS)\n  a                    0.750\n  b                    0.250\n"
        "  in pixels of the model's 4x6:\n  a                    0.988    1,2 3x4.5\n"
        "  object tracking, in pixels of the model's 4x6:\n  b                    0.500    1,2 3x4.5 object 12\n"
        f"  anomaly: 0.123\n  visual_anomaly_max: 2\n{features}  (MS)\n  nothing found\n"
    )
    document = Said(capsys, "classify", eim, "--features", features, features, "--format", "json").document
    assert all(0 < answer.pop("seconds") < 100 for answer in document["answers"])
    assert document == {
        "schema_version": 1,
        "answers": [
            {"input": str(features), "result": result, "timing": answer.get("timing", {})}
            for result, answer in zip(results, answers, strict=True)
        ],
        "exit_code": 0,
        "findings": [],
        "error": None,
    }


def test_the_document_of_an_inspection(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    host = here()
    rest = {
        "schema_version": 1,
        "host": {"system": host.system, "machine": host.machine, "bits": host.bits, "target": host.target},
        "error": None,
    }
    eim = answering(tmp_path / "m.eim", PICTURES)
    document = Said(capsys, "inspect", eim, "--hello", "--format", "json").document
    del document["findings"]
    assert document == rest | {
        "exit_code": 0, "path": str(eim), "kind": "script", "binary": None, "targets": [],
        "hello": PICTURES | {"id": 1},
    }  # fmt: skip
    (program := tmp_path / "p.eim").write_bytes(
        elf(40, bits=32, flags=0x400, interpreter="/lib/ld", libraries=("libc.so.6", "libx.so"))
    )
    document = Said(capsys, "inspect", program, "--format", "json").document
    del document["findings"]
    binary = {
        "system": "linux", "machines": ["armv7"], "bits": 32, "interpreter": "/lib/ld",
        "libraries": ["libc.so.6", "libx.so"], "glibc": None, "hard_float": True,
    }  # fmt: skip
    assert document == rest | {
        "exit_code": 1, "path": str(program), "kind": "elf", "binary": binary, "targets": ["runner-linux-armv7"],
        "hello": None,
    }  # fmt: skip
    assert Said(capsys, "inspect", program).out.splitlines()[:6] == [
        f"  file       {program}", "  is         linux armv7, 32-bit, hard float",
        "  target     32-bit ARM Linux: runner-linux-armv7", "  loader     /lib/ld",
        "  needs      libc.so.6, libx.so", f"  here       {host.system} {host.machine}, {host.bits}-bit",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rate", "said"),
    [("0", "this .eim takes no sound"), ("-8", "this .eim takes no sound"), ('"8"', "this .eim takes no sound"),
     ("True", "this .eim takes no sound"), ("0.5", "8 samples a second, the model takes 0.5"),
     ("1", "8 samples a second, the model takes 1")],
)  # fmt: skip
def test_rates_of_sound(capsys: pytest.CaptureFixture[str], tmp_path: Path, rate: str, said: str) -> None:
    eim = tmp_path / "audio.eim"
    eim.write_text(AUDIO.replace('"frequency": 8', f'"frequency": {rate}').format(python=sys.executable))
    eim.chmod(0o755)
    with wave.open(str(tmp_path / "r.wav"), "wb") as file:
        file.setparams((1, 2, 8, 0, "NONE", "not compressed"))
        file.writeframes(bytes(16))
    assert said in Said(capsys, "classify", eim, tmp_path / "r.wav").err


@pytest.mark.parametrize(
    "words",
    [("classify", "MODEL"), ("classify", "MODEL", "PICTURE", "--threshold", "a:b=c"),
     ("serve", "BUNDLE"), ("serve", "BUNDLE", "stdin", "--print-info"), ("compare", "MODEL", "BUNDLE"),
     ("pack", "BUNDLE"), ("nonsense",), ("classify", "MODEL", "gone.png"), ("compare", "MODEL", "gone", "PICTURE"),
     ("classify", "MODEL", "--features", "gone.txt"), ("serve", "gone", "stdin"), ("pack", "gone", "-o", "x")],
)  # fmt: skip
def test_usage(
    capsys: pytest.CaptureFixture[str], made: dict[str, Path], picture: Path, words: tuple[str, ...]
) -> None:  # fmt: skip
    messages = {
        "classify": "Invalid value for '--threshold': 'a:b=c' is neither VALUE nor BLOCK:KEY=VALUE\n"
        if "a:b=c" in words
        else "Give pictures, recordings or --features FILE\n",
        "serve": "Give a socket, stdin, or --print-info\n",
        "compare": "Give PICTURES or --features FILE\n",
        "pack": "-o is missing: the .eim to write\n",
        "nonsense": "No such command 'nonsense'\n",
    }
    if (gone := next((word for word in words if word.startswith("gone")), None)) is not None:
        name = {"gone.png": "[PICTURE|RECORDING|FOLDER]...", "gone.txt": "--features"}.get(gone, "BUNDLE")
        name = "BUNDLE|TFLITE" if words[0] == "compare" else name
        messages[words[0]] = f"Invalid value for '{name}': Path '{gone}' does not exist\n"
    places = {"MODEL": made["fomo.eim"], "BUNDLE": made["fomo"], "PICTURE": picture}
    said = Said(capsys, *(places.get(word, word) for word in words))
    assert said.code == 2
    assert said.err.startswith(f"error: {messages[words[0]]}")
    assert "\n  example: ei-deepstream eim" in said.err


def test_errors(
    capsys: pytest.CaptureFixture[str], made: dict[str, Path], served: Served, picture: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text"
    text.write_text("text")
    fomo, colours, motion = map(served, ("fomo", "classifier", "motion"))
    no_bundle = "give the folder that `ei-deepstream convert` wrote, or "
    other = "the .eim takes pictures of 96x96 with 3 channels, the other side ones of 8x8 with 3 channels"
    shown = "while an .eim serves this socket, `ei-deepstream eim inspect --hello "
    for words, message, hint in (
        (("classify", text, picture), f"{text}: cannot be started: ", f"`ei-deepstream eim inspect {text}` says why"),
        (("proxy", tmp_path / "s", text), f"{text}: cannot be started: ", "`ei-deepstream eim inspect "),
        (("classify", fomo, text), f"{text}: not a picture that can be read: ", "leave it out, or save it again"),
        (("classify", fomo, "--features", text), f"{text}: not a list of features: ", "numbers separated by commas"),
        (("classify", motion, picture), f"{picture}: this .eim takes no pictures", "give --features FILE, or a .wav"),
        (("classify", colours, picture, "--threshold", "1"), "this .eim has no detection threshold", shown),
        (("serve", tmp_path, "stdin"), f"{tmp_path}: the folder holds no report.json", no_bundle),
        (("pack", tmp_path, "-o", tmp_path / "x"), f"{tmp_path}: the folder holds no report.json", no_bundle),
        (("compare", fomo, made["classifier"], picture), other, "compare an .eim with the conversion of the same"),
    ):  # fmt: skip
        said = Said(capsys, *words)
        assert said.code == 3, said.out
        assert said.err.startswith(f"error: {message}")
        assert f"\n  hint: {hint}" in said.err


def test_one_of_several_files_of_features_is_standard_input(
    capsys: pytest.CaptureFixture[str],
    made: dict[str, Path],
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = " ".join("0" for _ in range(96 * 96))
    (tmp_path / "features").write_text(numbers)
    for command in (["classify", served("fomo")], ["compare", served("fomo"), made["fomo"]]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(numbers.encode())))
        said = Said(capsys, *command, "--features", tmp_path / "features", "-", "--format", "json")
        rows = said.document["answers" if command[0] == "classify" else "pictures"]
        assert [row.get("input", row.get("path")) for row in rows] == [str(tmp_path / "features"), "-"]
    said = Said(capsys, "compare", served("motion"), made["fomo"], tmp_path / "features")
    assert "error: the .eim takes no pictures, the other side ones of 96x96 with 3 channels" in said.err


@pytest.mark.parametrize("command", ["inspect", "classify", "compare"])
@pytest.mark.parametrize("seconds", ["nan", "inf", "1e7", "0", "-1"])
def test_no_time_limit_but_a_number_of_seconds(
    capsys: pytest.CaptureFixture[str], made: dict[str, Path], command: str, seconds: str
) -> None:
    said = Said(capsys, command, made["fomo.eim"], *[made["fomo"]] * (command != "inspect"), "--timeout", seconds)
    assert said.code == 2
    assert "Invalid value for '--timeout'" in said.err


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("compare", "--tolerance", "nan"), ("compare", "--threshold", "nan"), ("compare", "--threshold", "1.1"),
        ("classify", "--threshold", "nan"), ("classify", "--threshold", "18:min_score=1e400"),
    ],
)  # fmt: skip
def test_numbers_are_finite(
    capsys: pytest.CaptureFixture[str], made: dict[str, Path], picture: Path, command: str, option: str, value: str
) -> None:
    others = (made["fomo"], picture) if command == "compare" else (picture,)
    said = Said(capsys, command, made["fomo.eim"], *others, option, value)
    assert said.code == 2
    assert f"Invalid value for '{option}'" in said.err


def test_a_pipe_is_not_waited_for(capsys: pytest.CaptureFixture[str], picture: Path, tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")
    said = Said(capsys, "inspect", pipe)
    assert said.code == 1
    assert "it is a pipe or a device" in said.out
    for words in (("serve", pipe, tmp_path / "s"), ("pack", pipe, "-o", tmp_path / "x"), ("classify", pipe, picture)):
        assert Said(capsys, *words).code == 3


def test_compare(capsys: pytest.CaptureFixture[str], made: dict[str, Path], served: Served, picture: Path) -> None:
    said = Said(capsys, "compare", made["fomo.eim"], made["fomo"], picture.parent)
    assert said.code == 0
    assert said.out.endswith("they agree: 1 picture, largest difference 0 (limit 0.01)\n")
    words = ("compare", served("ssd"), made["yolov5"], picture, "--format", "json", "--threshold", "0.75")
    document = Said(capsys, *words).document
    assert document["agrees"] is True, "the same box in two ways"
    assert len(document["pictures"][0]["pairs"]) == 1
    said = Said(capsys, "compare", served("classifier"), made["classifier"], picture, "--tolerance", "0", "-q")
    assert (said.code, said.out) == (0, "")


def test_compare_says_no(capsys: pytest.CaptureFixture[str], served: Served, tmp_path: Path) -> None:
    sketch = bundles.fomo(labels=("face",))
    constants = {**sketch.constants, "bias": np.array([0, 3], np.float32)}
    other = bundles.Sketch(**{**sketch.__dict__, "constants": constants}).write(tmp_path / "other")
    black = tmp_path / "black.png"
    Image.new("RGB", (96, 96)).save(black)
    said = Said(capsys, "compare", served("fomo"), other, black)
    assert said.code == 1
    assert "EI634" in said.out
    assert "they do not agree: 1 picture" in said.out


def test_pack(capsys: pytest.CaptureFixture[str], made: dict[str, Path], tmp_path: Path) -> None:
    document = Said(capsys, "pack", made["fomo"], "-o", tmp_path / "a.eim", "--format", "json").document
    assert document["outputs"][0]["path"] == str(tmp_path / "a.eim")
    assert (tmp_path / "a.eim").read_bytes() == made["fomo.eim"].read_bytes()
    said = Said(capsys, "pack", made["fomo"], "-o", tmp_path / "b.eim", "--python", "/x/python")
    assert said.out == f"wrote {tmp_path / 'b.eim'}\n"
    assert b"python=/x/python\n" in (tmp_path / "b.eim").read_bytes()


def test_serve_says_what_it_is(made: dict[str, Path], servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    process, path = servers.serve(made["fomo"])
    assert process.stdout
    assert select.select([process.stdout], [], [], 10)[0], "at once, not at the end"
    process.terminate()
    assert process.wait(10) == 143
    assert process.stdout.read().decode() == (
        f"Edge Impulse Linux impulse runner - listening for JSON messages on socket '{path}'\n"
        f"Waiting for connection on {path}...\n"
    )


def test_help_and_packed_start_import_nothing_heavy() -> None:
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom convert.cli.eim import eim as command\n"
        "for name in ('inspect', 'classify', 'compare', 'serve', 'pack', 'proxy'):\n"
        "    assert CliRunner().invoke(command, [name, '--help']).exit_code == 0\n"
        "import convert.eim.server, convert.eim.bundle\n"
        "heavy = ('numpy', 'onnx', 'onnxruntime', 'PIL', 'lief', 'rich', 'ai_edge_litert')\n"
        "print([module for module in heavy if module in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_names_are_shown_as_they_are(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "m.eim").write_bytes(elf(62, interpreter="/lib/ld-[bold]x.so"))
    assert "  loader     /lib/ld-[bold]x.so\n" in Said(capsys, "inspect", tmp_path / "m.eim").out


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.5", (None, "min_score", 0.5)), ("18:min_score=0.5", (18, "min_score", 0.5)), ("18:1", (18, "min_score", 1)),
        ("3:nms=1e-1", (3, "nms", 0.1)), ("a:b=1", None), ("x", None), ("18:", None), ("", None),
    ],
)  # fmt: skip
def test_how_a_threshold_is_written(text: str, value: tuple[int | None, str, float] | None) -> None:
    if value is not None:
        assert _Threshold().convert(text, None, None) == value
        return
    with pytest.raises(click.BadParameter, match="is neither VALUE nor BLOCK:KEY=VALUE"):
        _Threshold().convert(text, None, None)
