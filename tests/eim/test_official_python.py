"""Edge Impulse's official Python SDK, unmodified, against packed and served bundles.

It runs in a process of its own with a time limit: it waits for ever when a model does not come up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.eim import bundles

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import json, subprocess, sys, warnings
import numpy as np
from edge_impulse_linux.image import ImageImpulseRunner
from edge_impulse_linux.runner import ImpulseRunner

path, picture, shared = sys.argv[1], np.load(sys.argv[2]), sys.argv[3] == "shared"
said = {}
runner = ImageImpulseRunner(path)
said["hello"] = runner.init()
said["memory"] = runner._input_shm is not None
features, cropped = runner.get_features_from_image_auto_studio_settings(picture)
features_old, _ = runner.get_features_from_image(picture)
said["features"] = len(features)
if not shared:
    runner.stop()
    runner = ImpulseRunner(path, allow_shm=False)
    runner.init()
    said["memory"] = runner._input_shm is not None
said["answers"] = [runner.classify(features), runner.classify(features_old)]
said["errors"] = []
for bad in ({"classify": [1, 2, 3]}, {"nonsense": 1}):
    try:
        runner.send_msg(bad)
    except Exception as error:
        said["errors"].append(str(error))
thresholds = said["hello"]["model_parameters"]["thresholds"]
if thresholds:
    said["set"] = runner.set_threshold({"id": thresholds[0]["id"], "min_score": 0.01})
    said["answers"].append(runner.classify(features))
process = runner._runner
runner.stop()
said["status"] = process.wait(10)
print("SAID" + json.dumps(said))
"""


@pytest.fixture(scope="session")
def official() -> None:
    """The SDK, or a reason to skip."""
    found = subprocess.run([sys.executable, "-c", "import edge_impulse_linux.image"], capture_output=True, check=False)
    if found.returncode:
        reason = found.stderr.decode().strip().splitlines()[-1]
        pytest.skip(f"Edge Impulse's Python SDK is not installed ({reason}): make clients")


def run(model: Path, picture: Any, folder: Path, how: str) -> dict[str, Any]:
    np.save(folder / "picture.npy", picture)
    command = [sys.executable, "-c", SCRIPT, str(model), str(folder / "picture.npy"), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.split("SAID")[1])
    assert isinstance(said, dict)
    return said


@pytest.mark.usefixtures("official")
@pytest.mark.parametrize(("kind", "how"), [("classifier", "shared"), ("gray", "json")])
def test_classifier(made: dict[str, Path], tmp_path: Path, kind: str, how: str) -> None:
    picture = bundles.painted(bundles.classifier(40, 60), (0, 0, 60, 40, (0, 255, 0)))
    said = run(made[f"{kind}.eim"], picture, tmp_path, how)
    assert said["memory"] is (how == "shared")
    assert said["features"] == 64
    for answer in said["answers"]:
        scores = answer["result"]["classification"]
        assert list(scores) == ["blue", "green", "red"], "sorted, as the original's"
        if kind == "classifier":
            assert max(scores, key=scores.get) == "green"
    assert said["errors"] == [
        "Invalid number of features in 'classify', expected 64 but got 3",
        "Failed to handle message",
    ]
    assert said["status"] in {0, 130}


@pytest.mark.usefixtures("official")
def test_fomo(made: dict[str, Path], tmp_path: Path) -> None:
    picture = bundles.painted(bundles.fomo(), (16, 24, 16, 8, (0, 255, 0)), (80, 80, 8, 8, (0, 180, 0)))
    said = run(made["fomo.eim"], picture, tmp_path, "json")
    (first, second) = said["answers"][0]["result"]["bounding_boxes"]
    assert {key: first[key] for key in ("label", "x", "y", "width", "height")} == {
        "label": "face", "x": 16, "y": 24, "width": 16, "height": 8,
    }  # fmt: skip
    assert (second["x"], second["y"], second["width"], second["height"]) == (80, 80, 8, 8)
    assert 0.5 < second["value"] < first["value"] < 1
    assert said["set"] == {}
    assert said["status"] in {0, 130}


@pytest.mark.usefixtures("official")
@pytest.mark.parametrize("kind", ["yolov5", "ssd"])
def test_detectors(made: dict[str, Path], tmp_path: Path, kind: str) -> None:
    said = run(made[f"{kind}.eim"], bundles.painted(bundles.yolov5()), tmp_path, "shared")
    found = said["answers"][0]["result"]["bounding_boxes"]
    assert [(box["label"], round(box["value"], 4)) for box in found] == [("dog", 0.9), ("cat", 0.7)]
    assert len(said["answers"][2]["result"]["bounding_boxes"]) == 3, "with a lower threshold"


SOUND = """
import json, sys
import numpy as np
from edge_impulse_linux.audio import AudioImpulseRunner

runner = AudioImpulseRunner(sys.argv[1])
said = {"parameters": runner.init()["model_parameters"], "rate": runner.sampling_rate, "size": runner.window_size}
said["labels"] = runner.labels
said["memory"] = runner._input_shm is not None
said["answer"] = runner.classify(np.array([0.75] * said["size"]))["result"]
slice = [2.0] * said["parameters"]["slice_size"]
said["slices"] = [runner.send_msg({"classify_continuous": slice})["result"]["anomaly"] for _ in range(4)]
process = runner._runner
runner.stop()
said["status"] = process.wait(10)
print("SAID" + json.dumps(said))
"""


@pytest.mark.usefixtures("official")
def test_sound(made: dict[str, Path]) -> None:
    command = [sys.executable, "-c", SOUND, str(made["sound.eim"])]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.split("SAID")[1])
    assert said["memory"]
    assert (said["rate"], said["size"], said["labels"]) == (16, 16, ["quiet", "up", "down"])
    scores = said["answer"]["classification"]
    assert max(scores, key=scores.get) == "up"
    assert said["answer"]["anomaly"] == pytest.approx(0.75)
    assert said["slices"] == pytest.approx([0, 0, 0, 2])
    assert said["status"] in {0, 130}
