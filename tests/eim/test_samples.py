"""Bundles of sound and sensor data: what they say of themselves, what they answer, and how they are compared."""

from __future__ import annotations

import json
import wave
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.__main__ import main
from convert.eim.bundle import SampledImpulse, hello, hello_findings, pack, read_impulse
from convert.eim.client import talk
from convert.eim.compare import FIRST_DIFFERS, OTHER_ANOMALY, ROUNDING, SCORE_DIFFERS, compare, difference, open_backend
from convert.eim.server import LoadedSamples, Session
from convert.errors import InputError
from convert.images import ImageScaling
from convert.report import BundleReport, ModelReport
from convert.types import Metadata
from tests.eim import bundles
from tests.eim.test_session import GREETING, ask

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.eim.processes import Served


def read(path: Path) -> SampledImpulse:
    found = read_impulse(path)
    assert isinstance(found, SampledImpulse)
    return found


def session(path: Path) -> Session:
    """One that has said hello."""
    impulse = read(path)
    opened = Session(impulse, LoadedSamples(impulse), "no memory here")
    assert ask(opened, GREETING)["success"]
    return opened


def expected(mean: float) -> dict[str, float]:
    """The scores of `bundles.sampled`."""
    values = np.exp([0, mean, -mean])
    return dict(zip(("quiet", "up", "down"), (values / values.sum()).tolist(), strict=True))


def test_what_it_says_of_itself(made: dict[str, Path], tmp_path: Path) -> None:
    """Fields as the executable has them that Edge Impulse's eim.cpp makes of such an export."""
    sound = hello(read(made["sound"]), "no memory")["model_parameters"]
    assert sound == {
        "axis_count": 1, "frequency": 16, "has_anomaly": 1, "has_object_tracking": False,
        "has_performance_calibration": False, "image_channel_count": 0, "image_input_frames": 0,
        "image_input_height": 0, "image_input_width": 0, "image_resize_mode": "none", "inferencing_engine": 2,
        "input_features_count": 16, "interval_ms": 62.5, "label_count": 3, "labels": ["quiet", "up", "down"],
        "model_type": "classification", "sensor": 1, "slice_size": 4, "thresholds": [], "use_continuous_mode": True,
    }  # fmt: skip
    motion = hello(read(made["motion"]), "no memory")["model_parameters"]
    said = {name: motion[name] for name in ("axis_count", "frequency", "sensor", "labels", "input_features_count")}
    assert said == {"axis_count": 2, "frequency": 62.5, "sensor": 2, "labels": [], "input_features_count": 20}
    assert motion["inferencing_engine"] == 255, "as the executable of a K-means block alone"
    assert (motion["slice_size"], motion["use_continuous_mode"]) == (0, False), "the export does not say how many"
    odd = read(bundles.sampled(tmp_path / "odd", replace(bundles.SOUND, samples=18, sensor="magnet")))
    parameters = hello(odd, "no memory")["model_parameters"]
    assert (parameters["sensor"], parameters["use_continuous_mode"], parameters["has_anomaly"]) == (255, False, 0)


def test_answers(made: dict[str, Path]) -> None:
    result = ask(session(made["sound"]), {"classify": [0.5] * 8 + [1.5] * 8, "id": 2})["result"]
    assert result["classification"] == pytest.approx(expected(1.0))
    assert result["anomaly"] == pytest.approx(1.0)
    only = ask(session(made["motion"]), {"classify": [-2] * 20, "id": 2})["result"]
    assert only == {"anomaly": pytest.approx(2.0)}, "no labels, no classification"
    wrong = ask(session(made["motion"]), {"classify": [-2] * 10, "id": 2})
    assert wrong["error"] == "Invalid number of features in 'classify', expected 20 but got 10"
    said = ask(session(made["sound"]), {"set_threshold": {"id": 1, "min_score": 0.5}, "id": 3})
    assert said["error"] == "set_threshold: cannot find learn block with id 1"


def test_slices_are_a_window_that_slides(made: dict[str, Path]) -> None:
    """Scores are 0 until a window is full; then they are those of the last four slices."""
    opened = session(made["sound"])
    whole = [ask(opened, {"classify_continuous": [value] * 4, "id": 2}) for value in (1, 2, 3, 4, 5)]
    assert {(each["success"], each["id"], each["timing"]["dsp"], each["timing"]["anomaly"]) for each in whole} == {
        (True, 2, 0, 0)
    }
    assert {each["timing"]["classification"] for each in whole[:3]} == {0}
    answers = [each["result"] for each in whole]
    nothing = {"classification": {"quiet": 0, "up": 0, "down": 0}, "anomaly": 0}
    assert answers[:3] == [nothing] * 3
    for answer, mean in zip(answers[3:], (2.5, 3.5), strict=True):
        assert answer["classification"] == pytest.approx(expected(mean))
        assert answer["anomaly"] == pytest.approx(mean)
    assert ask(opened, {"classify": [0] * 16, "id": 3})["result"]["anomaly"] == 0, "a whole window is no slice"


@pytest.mark.parametrize(
    ("samples", "slices", "error"),
    [(18, 4, "'classify_continuous' is not possible: 18 samples are not 4 slices"),
     (16, 0, "'classify_continuous' is not possible: 16 samples are not a known number of slices")],
)  # fmt: skip
def test_slices_that_do_not_add_up(tmp_path: Path, samples: int, slices: int, error: str) -> None:
    window = replace(bundles.SOUND, samples=samples, slices=slices)
    opened = session(bundles.sampled(tmp_path / "a", window))
    size = samples // slices if slices else 0
    assert ask(opened, {"classify_continuous": [1] * size, "id": 2})["error"] == error


def test_shared_memory_and_slices(made: dict[str, Path], served: Served) -> None:
    for target, shared in ((made["sound.eim"], True), (served("sound"), False)):
        with talk(target, shared=shared) as client:
            result = client.classify(np.full(16, 0.75, np.float32)).result
            assert result["classification"] == pytest.approx(expected(0.75))
            slices = [client.classify_slice(np.full(4, value, np.float32)).result["anomaly"] for value in range(1, 6)]
            assert slices == pytest.approx([0, 0, 0, 2.5, 3.5])
    motion = served("motion")
    with talk(motion) as client:
        assert client.classify(np.full(20, 3, np.float32)).result == {"anomaly": pytest.approx(3.0)}
        assert hello_findings(client.model, motion) == (), "a model without labels that scores anomalies is sound"


@pytest.mark.parametrize(
    "damage",
    [
        lambda report: report["impulse"].update(samples=0),
        lambda report: report["impulse"].update(axes=10**9),
        lambda report: report["impulse"].update(frequency=0),
        lambda report: report["impulse"].update(frequency="fast"),
        lambda report: report["impulse"].update(anomaly={"kind": 3}),
        lambda report: report["impulse"].update(anomaly=7),
        lambda report: report["impulse"].pop("slices"),
        lambda report: report.update(impulse=[]),
        lambda report: report["model"].update(labels=[1]),
    ],
)
def test_damage_is_told(tmp_path: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    folder = bundles.sampled(tmp_path / "bundle")
    report = json.loads((folder / "report.json").read_bytes())
    damage(report)
    (folder / "report.json").write_text(json.dumps(report))
    with pytest.raises(InputError, match="damaged") as caught:
        read_impulse(folder)
    assert caught.value.hint == "convert again"


def test_outputs_that_are_not_the_reports(tmp_path: Path) -> None:
    impulse = read(bundles.sampled(tmp_path / "bundle"))
    with pytest.raises(InputError, match="outputs are not those"):
        LoadedSamples(replace(impulse, labels=("a", "b")))
    with pytest.raises(InputError, match="outputs are not those"):
        LoadedSamples(replace(impulse, anomaly="gmm"))


@given(st.dictionaries(st.sampled_from(["sensor", "samples", "axes", "axis_names", "frequency", "slices"]),
                       st.none() | st.integers() | st.floats() | st.text() | st.lists(st.text())))  # fmt: skip
def test_any_report(made: dict[str, Path], changes: dict[str, Any]) -> None:
    report = json.loads((made["sound"] / "report.json").read_bytes())
    report["impulse"].update(changes)
    try:
        window = ModelReport(BundleReport(made["sound"], report), report).impulse
    except InputError:
        return
    assert window is not None
    impulse = SampledImpulse("a", b"", (), window, None, Metadata())
    assert 0 < impulse.features <= 10**8
    assert impulse.slice_size <= impulse.features
    hello(impulse, "no memory")


def wav(path: Path, values: list[int], rate: int = 16) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(np.array(values, "<i2").tobytes())
    return path


def test_classify_recordings(served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = wav(tmp_path / "a.wav", [1] * 16 + [2] * 16 + [3] * 5)
    motion = tmp_path / "a.csv"
    motion.write_text("timestamp,x,y\n" + "".join(f"{16 * row},{row},{-row}\n" for row in range(10)))
    for model, path, means in (("sound", sound, [1, 2]), ("motion", motion, [0])):
        assert main(["eim", "classify", str(served(model)), str(path), "--format", "json"]) == 0
        answers = json.loads(capsys.readouterr().out)["answers"]
        assert [answer["result"]["anomaly"] for answer in answers] == pytest.approx(means)
    assert main(["eim", "classify", str(served("motion")), str(tmp_path), "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert len(document["answers"]) == 1, "of a folder the recordings"
    assert "1 channel" in document["findings"][0]["message"] or "samples a second" in document["findings"][0]["message"]
    (tmp_path / "x.bin").touch()
    words = ["classify", str(served("motion")), str(motion), str(tmp_path), str(tmp_path / "x.bin"), "--format", "json"]
    assert main(["eim", *words]) == 1
    document = json.loads(capsys.readouterr().out)
    assert len(document["answers"]) == 2, "files and what lies in folders"
    assert document["findings"][-1]["path"] == str(tmp_path / "x.bin"), "the error of one file alone"
    motion.write_text("x,y\n1,nan\n")
    assert main(["eim", "classify", str(served("motion")), str(motion)]) == 3
    assert "no number (NaN or infinity)" in capsys.readouterr().err


def test_compare(made: dict[str, Path], served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = wav(tmp_path / "a.wav", [1] * 16 + [2] * 16)
    (tmp_path / "a.txt").write_text(" ".join(["0.5"] * 16))
    for arguments, count in (([sound], 2), (["--features", tmp_path / "a.txt"], 1)):
        words = ["eim", "compare", served("sound"), made["sound"], *arguments, "--tolerance", "0"]
        assert main(list(map(str, words))) == 0
        out = capsys.readouterr().out
        assert out.endswith(f"they agree: {count} input{'s' * (count > 1)}, largest difference 0 (limit 0)\n"), out
    assert main(["eim", "compare", str(served("sound")), str(made["motion"]), str(sound)]) == 3
    assert "the .eim takes 16 features, the other side 20" in capsys.readouterr().err


def test_compare_says_why_an_int8_model_differs(served: Served, tmp_path: Path) -> None:
    folder = bundles.sampled(tmp_path / "other", labels=("quiet", "down", "up"), anomaly=True)
    report = json.loads((folder / "report.json").read_bytes())
    report["evidence"]["int8_agreement"] = {
        "top1": 1.0, "mean_abs_diff": 0.01, "max_abs_diff": 0.1, "inputs": 48, "rounded": 0, "kernels": None,
    }  # fmt: skip
    (folder / "report.json").write_text(json.dumps(report))
    sound = wav(tmp_path / "a.wav", [1] * 16)
    with talk(served("sound")) as client, open_backend(folder, client.model, ImageScaling.NONE, 60) as ours:
        comparison = compare(client, ours, [sound], tolerance=0.01, pixels=0)
    found = {finding.id: finding for finding in comparison.all_findings}
    assert set(found) == {SCORE_DIFFERS.id, FIRST_DIFFERS.id, ROUNDING.id}
    assert "100.0% of 48 inputs" in found[ROUNDING.id].message
    assert found[ROUNDING.id].hint == "allow for it with --tolerance", "a .tflite is the network alone"


@pytest.mark.parametrize("mine", [True, False])
def test_an_anomaly_score_of_one_side_only_is_said(
    made: dict[str, Path], served: Served, tmp_path: Path, mine: bool
) -> None:
    other = bundles.sampled(tmp_path / "other", anomaly=False)
    pack(other, tmp_path / "other.eim")
    eim, bundle = (served("sound"), other) if mine else (tmp_path / "other.eim", made["sound"])
    with talk(eim) as client, open_backend(bundle, client.model, ImageScaling.NONE, 60) as ours:
        comparison = compare(client, ours, [wav(tmp_path / "a.wav", [1] * 16)], tolerance=0.01, pixels=0)
    (found,) = comparison.all_findings
    who = ("the .eim", "the other side")[:: 1 if mine else -1]
    assert (found.id, found.message) == (
        OTHER_ANOMALY.id, f"{who[0]} gives an anomaly score, {who[1]} none: it is not compared"
    )  # fmt: skip
    assert not comparison.agrees
    assert [pair.label for pair in comparison.pictures[0].pairs] == ["quiet", "up", "down"]


def test_anomaly_scores_are_compared_by_their_size_and_are_no_label() -> None:
    theirs = {"classification": {"a": 0.9, "b": 0.1}, "anomaly": 400.0}
    pairs, found = difference(theirs, {**theirs, "anomaly": 403.0}, "x", 0.01, 0, 0.5)
    assert [pair.label for pair in pairs] == ["a", "b", "anomaly"]
    assert not found, "400 and 403 are less than a hundredth apart"
    assert not difference({"anomaly": -400.0}, {"anomaly": -403.0}, "x", 0.01, 0, 0.5)[1]
    _, found = difference(theirs, {**theirs, "anomaly": 405.0}, "x", 0.01, 0, 0.5)
    assert [finding.id for finding in found] == [SCORE_DIFFERS.id]
    _, found = difference(theirs, {"classification": {"a": 0.1, "b": 0.9}, "anomaly": 400.0}, "x", 1.0, 0, 0.5)
    assert not found
    _, found = difference(theirs, {"classification": {"a": 0.1, "b": 0.9}, "anomaly": 400.0}, "x", 0.5, 0, 0.5)
    assert FIRST_DIFFERS.id in {finding.id for finding in found}
    _, found = difference({"anomaly": 1.0}, {"anomaly": 1.5}, "x", 0.01, 0, 0.5)
    assert [finding.id for finding in found] == [SCORE_DIFFERS.id], "where nothing else is answered, too"
