"""A whole impulse over recordings: what is computed, printed, drawn and written, and all that can be wrong."""

from __future__ import annotations

import json
import re
import time
import wave
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from convert import InputError, PresetError, simulate, simulate_recordings
from convert.__main__ import main
from convert.dsp import Impulse
from convert.render.recordings import plot
from convert.simulate.recordings import ImpulseModel, Scored
from convert.simulate.recordings import simulate as run
from tests.eim import bundles


def wav(path: Path, values: Any, rate: int = 16, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(np.asarray(values, "<i2").tobytes())
    return path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return bundles.sampled(tmp_path / "sound", anomaly=True)


def failed(capsys: pytest.CaptureFixture[str], *words: object, code: int = 3) -> str:
    assert main(["simulate", *map(str, words)]) == code
    return capsys.readouterr().err


def test_of_documents_in_a_folder_only_recordings_are_taken(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "report.json").write_bytes((bundle / "report.json").read_bytes())
    sensors = [{"name": "audio", "units": "wav"}]
    payload = {"device_type": "X", "interval_ms": 62.5, "sensors": sensors, "values": [0] * 16}
    (folder / "a.json").write_text(json.dumps({"protected": {}, "signature": "0" * 64, "payload": payload}))
    result = simulate_recordings(bundle, folder, tmp_path / "out")
    assert [each.path.name for each in result.simulation.recordings] == ["a.json"]
    assert not result.findings
    with pytest.raises(InputError):  # what is named is taken for what it is called
        simulate_recordings(bundle, folder / "report.json", tmp_path / "out")


def test_scores_over_time(bundle: Path, tmp_path: Path) -> None:
    """A window of 16 samples every 4, or as it is said; of each the highest score, and all of them in scores.json."""
    sound = wav(tmp_path / "a.wav", [0] * 16 + [4] * 16)
    result = simulate_recordings(bundle, sound, tmp_path / "out")
    (recording,) = result.simulation.recordings
    assert [window["start"] for window in recording.windows] == [0, 0.25, 0.5, 0.75, 1]
    assert [window["anomaly"] for window in recording.windows] == pytest.approx([0, 1, 2, 3, 4])
    assert [window["label"] for window in recording.windows] == ["quiet", "up", "up", "up", "up"]
    document = json.loads((tmp_path / "out" / "scores.json").read_bytes())
    assert (document["labels"], document["window"], document["stride"]) == (["quiet", "up", "down"], 16, 4)
    for window in document["recordings"][0]["windows"]:
        scores = np.exp([0, window["anomaly"], -window["anomaly"]])
        assert window["scores"] == pytest.approx(scores / scores.sum(), abs=1e-6)
        assert window["score"] == max(window["scores"])
    for stride, starts in ((0.5, [0, 0.5, 1]), (1, [0, 1]), (0.001, [n / 16 for n in range(17)])):
        again = simulate_recordings(bundle, sound, tmp_path / "out", stride=stride).simulation.recordings[0]
        assert [window["start"] for window in again.windows] == starts
        assert [window["anomaly"] for window in again.windows] == pytest.approx([4 * start for start in starts])


def test_a_stride_longer_than_a_window(bundle: Path, tmp_path: Path) -> None:
    values = np.arange(200_000) // 1000
    result = simulate_recordings(bundle, wav(tmp_path / "a.wav", values), tmp_path / "out", stride=1000 / 16)
    (recording,) = result.simulation.recordings
    assert recording.anomaly is not None
    assert recording.anomaly.tolist() == list(range(200)), "across the blocks in which it is read"


def test_a_recording_is_not_held(tmp_path: Path) -> None:
    """Of 4 million samples a few windows are there at a time."""
    most = 0

    def measured(windows: Any) -> dict[str, Any]:
        nonlocal most
        most = max(most, windows.nbytes)
        return {"anomaly": windows.mean(axis=1, keepdims=True)}

    window = Impulse("microphone", 16_000, 1, (), 16_000.0, 4, (), ())
    sound = wav(tmp_path / "long.wav", np.zeros(4_000_000), 16_000)
    counts: list[int | None] = []
    begun = time.perf_counter()
    done = run(ImpulseModel("a.onnx", window, (), measured), [sound], None, counts.append)
    assert all(seconds > 0 for seconds in done.seconds.values())
    assert sum(done.seconds.values()) < time.perf_counter() - begun
    assert len(done.recordings[0]) == (4_000_000 - 16_000) // 4000 + 1 == sum(filter(None, counts))
    assert most <= 32 * 16_000 * 4
    assert counts.index(None) == 0
    assert counts.count(None) == 1


@pytest.mark.parametrize(("values", "most"), [(16 * 4 * 3, 3), (16 * 4 * 3 - 1, 2), (1, 1), (2**22, 32)])
def test_how_many_windows_are_held(values: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as have so many values of all axes together, 32 at most."""
    monkeypatch.setattr("convert.simulate.recordings._MOST_VALUES", values)
    given: list[int] = []

    def measured(windows: Any) -> dict[str, Any]:
        given.append(len(windows))
        return {}

    window = Impulse("microphone", 16, 4, (), 16.0, 4, (), ())
    sound = wav(tmp_path / "a.wav", np.zeros((16 + 39, 4)), channels=4)
    done = run(ImpulseModel("a.onnx", window, (), measured), [sound], 1 / 16, lambda _: None)
    assert (max(given), sum(given), len(done.recordings[0])) == (most, 40, 40)
    assert done.recordings[0].scores.shape == (40, 0), "a model that gives none"


def test_when_windows_begin() -> None:
    """To a millionth of a second; what is no number is none."""
    scores = np.array([[0.25, 0.5], [np.nan, 0.125], [np.nan, np.nan]], np.float32)
    found = list(Scored(Path("a.wav"), 1 / 3, ("a", "b"), scores, None).windows)
    assert [window["start"] for window in found] == [0, 0.333333, 0.666667]
    assert [window["label"] for window in found] == ["b", "b", None]
    assert [window["score"] for window in found] == [0.5, 0.125, None]
    assert [window["scores"] for window in found] == [[0.25, 0.5], [None, 0.125], [None, None]]


def test_no_recording_at_all() -> None:
    window = Impulse("microphone", 16, 1, (), 16.0, 4, (), ())
    with pytest.raises(InputError, match=r"^there is no recording$") as caught:
        run(ImpulseModel("a.onnx", window, (), lambda _: {}), [], None, lambda _: None)
    assert caught.value.hint == "give files or folders of recordings"


def test_text_and_json(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    wav(folder / "a.wav", [0] * 16 + [4] * 16)
    wav(folder / "b.wav", [-3] * 16)
    wav(folder / "c.wav", [1] * 3)
    assert main(["simulate", str(bundle), str(folder), "-o", str(tmp_path / "out"), "--stride", "1"]) == 1
    out = capsys.readouterr().out
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines() if ".wav  " in line]
    assert rows == [
        [str(folder / "a.wav"), "0.00", "quiet", "0.333", "0"],
        [str(folder / "a.wav"), "1.00", "up", "0.982", "4"],
        [str(folder / "b.wav"), "0.00", "down", "0.950", "3"],
    ]
    assert "Highest score: down 1, quiet 1, up 1" in out
    assert f"error EI708 {folder / 'c.wav'}: it has 3 samples, and a window has 16" in out
    words = ["simulate", str(bundle), str(folder / "b.wav"), "-o", str(tmp_path / "out"), "--format", "json"]
    assert main(words) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["summary"] == {"windows": 1, "labels": {"down": 1}}
    assert [output["path"] for output in document["outputs"]] == [
        str(tmp_path / "out" / name) for name in ("report.html", "scores.json")
    ]


def test_numbers_of_a_window_stay_whole_in_a_narrow_terminal(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", "30"), ("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    sounds = [wav(tmp_path / f"{each * 30}.wav", [0] * 16 + [4] * 16 * 12) for each in "ab"]
    assert main(["simulate", str(bundle), *map(str, sounds), "-o", str(tmp_path / "out")]) == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, text.splitlines())) <= 30
    assert len(re.findall(r"\b12\.00\b", text)) == 1
    assert "38 more windows are in" in text


def test_the_page(bundle: Path, tmp_path: Path) -> None:
    """It stands alone, runs nothing, and draws each label once, in its colour."""
    sound = wav(tmp_path / "<b>a.wav", [0] * 16 + [4] * 16)
    simulate_recordings(bundle, [sound, wav(tmp_path / "b.wav", [1] * 16)], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;b&gt;a.wav" in page
    assert '<li class="next"><strong>Window</strong>' in page
    assert "<b>" not in page
    svgs = [ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", page)]
    assert len(svgs) == 4, "scores and anomaly of two recordings"
    lines = svgs[0].findall(".//{*}polyline")
    assert len({line.get("stroke") for line in lines} - {"currentColor"}) == 3
    assert all(len(line.get("points", "").split()) == 5 for line in lines)
    assert len(svgs[2].findall(".//{*}polyline")[0].get("points", "").split()) == 2, "one window is a point"


def test_a_plot_keeps_what_stands_out() -> None:
    """Of many windows that share a point the highest is drawn; what is no number is not."""
    values = np.zeros((10_000, 2), np.float32)
    values[5001, 0], values[:, 1] = 1, np.nan
    drawn = ET.fromstring(plot(values, [0, 1], 100.0, "Scores")).findall(".//{*}polyline")
    heights = [float(point.split(",")[1]) for point in drawn[1].get("points", "").split()]
    assert len(heights) <= 600
    assert sorted(heights)[:2] == [10, 160], "the top once, else the bottom"
    assert drawn[2].get("points") == ""


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: wav(folder / "a.wav", []), "it has 0 samples, and a window has 16"),
        (lambda folder: wav(folder / "a.wav", [1] * 15), "it has 15 samples, and a window has 16"),
        (lambda folder: wav(folder / "a.wav", [1] * 16, rate=8), "it has 8 samples a second, and the impulse takes 16"),
        (lambda folder: wav(folder / "a.wav", [1] * 32, channels=2), "it has 2 channels, and the impulse takes 1"),
        (lambda folder: folder / "absent.wav", "cannot be read: No such file or directory"),
        (lambda folder: folder / "empty", "there is no recording"),
    ],
)
def test_bad_recordings(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Any, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert f": {message}\n" in failed(capsys, bundle, make(tmp_path), "-o", tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("audio\n" + "1\n" * 20 + "nan\n", "it holds what is no number (NaN or infinity)"),
        ("audio\n" + "1\n" * 20 + "1e300\n", "it holds what is no number (NaN or infinity)"),
        ("audio\n" + "1\n" * 20 + "loud\n", "'loud' is no number"),
        ("a,b,c\n1,2,3\n", "it has 3 channels, and the impulse takes 1"),
        ("", "it has 0 samples, and a window has 16"),
    ],
)
def test_bad_csv(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert f": {message}\n" in failed(capsys, bundle, tmp_path / "a.csv", "-o", tmp_path / "out")


def test_an_empty_file(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.wav").write_bytes(b"")
    assert "not a WAV that can be read: it is cut off" in failed(capsys, bundle, tmp_path / "a.wav", "-o", tmp_path)
    assert "not a recording" in failed(capsys, bundle, bundle / "report.html", "-o", tmp_path)


def test_options_that_do_not_apply(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = wav(tmp_path / "a.wav", [1] * 16)
    for words in (["--limit", 3], ["--target", "7.1"], ["--against", "edge-impulse"], ["--every", 2]):
        said = failed(capsys, bundle, sound, "-o", tmp_path / "out", *words, code=2)
        assert f"{words[0]} is about pictures, and this bundle takes sound or sensor data" in said
    assert "recordings are missing" in failed(capsys, bundle, "-o", tmp_path / "out", code=2)
    assert not (tmp_path / "out").exists()
    with pytest.raises(PresetError, match="--limit is about pictures"):
        simulate_recordings(bundle, sound, tmp_path / "out", limit=3)
    with pytest.raises(PresetError, match=r"^--stride is for bundles of sound"):
        simulate(tmp_path / "config.txt", sound, tmp_path / "out", stride=1)
