"""Edge Impulse's official Node.js package, unmodified, against packed and served bundles.

Only its runner is loaded: the package's other half needs `sharp`, which downloads a binary when it is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.compare.edge_impulse import pack
from tests.eim import bundles

if TYPE_CHECKING:
    from tests.eim.processes import Served

HERE = Path(__file__).parent / "node"
SCRIPT = """
const { LinuxImpulseRunner } = require('edge-impulse-linux/build/library/classifier/linux-impulse-runner.js');
(async () => {
    const [path, features, behavior] = [process.argv[2], JSON.parse(process.argv[3]), process.argv[4]];
    const runner = new LinuxImpulseRunner(path, { shmBehavior: behavior });
    const said = { model: await runner.init(), answers: [], errors: [] };
    said.memory = !!runner._inputShm;
    said.answers.push((await runner.classify(features)).result);
    const slice = said.model.modelParameters.slice_size;
    if (said.model.modelParameters.use_continuous_mode) {
        const values = features.slice(0, slice);
        for (let i = 0; i < 4; i++) said.answers.push((await runner.classifyContinuous(values)).result);
    }
    for (const bad of [() => runner.classify([1]), () => runner.setParameter({ a: 1 })]) {
        try { await bad(); } catch (error) { said.errors.push(error.message || error); }
    }
    const thresholds = said.model.modelParameters.thresholds;
    if (thresholds.length) {
        said.set = await runner.setLearnBlockThreshold({ id: thresholds[0].id, min_score: 0.01 });
        said.answers.push((await runner.classify(features)).result);
    }
    said.printed = await runner.stop();
    require('fs').writeFileSync(process.argv[5], JSON.stringify(said));
    process.exit(0);
})().catch(error => { console.error(error); process.exit(1); });
"""


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js with the package, or a reason to skip."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("Node.js is not installed")
    if not (HERE / "node_modules" / "edge-impulse-linux").is_dir():
        pytest.skip("Edge Impulse's Node.js SDK is not installed: make clients")
    return program


def run(node: str, model: Path, picture: Any, behavior: str, folder: Path) -> dict[str, Any]:
    return run_features(node, model, pack(picture).astype(int).tolist(), behavior, folder)


def run_features(node: str, model: Path, numbers: list[float], behavior: str, folder: Path) -> dict[str, Any]:
    script = HERE / "node_modules" / ".test.js"
    script.write_text(SCRIPT)
    said = folder / "said.json"
    features = json.dumps(numbers)
    command = [node, str(script), str(model), features, behavior, str(said)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    document = json.loads(said.read_bytes())
    assert isinstance(document, dict)
    return document


@pytest.mark.parametrize("behavior", ["always", "never"])
def test_classifier(node: str, made: dict[str, Path], tmp_path: Path, behavior: str) -> None:
    picture = bundles.painted(bundles.classifier(), (0, 0, 8, 8, (0, 0, 255)))
    said = run(node, made["classifier.eim"], picture, behavior, tmp_path)
    assert said["memory"] is (behavior == "always")
    assert said["model"]["modelParameters"]["sensorType"] == "camera"
    assert said["model"]["project"]["deploy_version"] == 0
    scores = said["answers"][0]["classification"]
    assert max(scores, key=scores.get) == "blue"
    assert said["errors"][0].startswith("Invalid ")
    assert said["errors"][1] == "Failed to handle message"
    assert said["printed"].startswith("Edge Impulse Linux impulse runner - listening")


def test_fomo(node: str, made: dict[str, Path], tmp_path: Path) -> None:
    picture = bundles.painted(bundles.fomo(), (16, 24, 16, 8, (0, 255, 0)), (80, 80, 8, 8, (0, 120, 0)))
    said = run(node, made["fomo.eim"], picture, "always", tmp_path)
    (box,) = said["answers"][0]["bounding_boxes"]
    assert (box["label"], box["x"], box["y"], box["width"], box["height"]) == ("face", 16, 24, 16, 8)
    assert said["set"]["success"]
    assert len(said["answers"][1]["bounding_boxes"]) == 2


def test_an_existing_socket(node: str, served: Served, tmp_path: Path) -> None:
    for _ in range(2):
        said = run(node, served("yolov5"), bundles.painted(bundles.yolov5()), "auto", tmp_path)
        assert [box["label"] for box in said["answers"][0]["bounding_boxes"]] == ["dog", "cat"]


def test_sound(node: str, made: dict[str, Path], tmp_path: Path) -> None:
    said = run_features(node, made["sound.eim"], [0.75] * 16, "never", tmp_path)
    parameters = said["model"]["modelParameters"]
    assert (parameters["sensorType"], parameters["use_continuous_mode"]) == ("microphone", True)
    scores = said["answers"][0]["classification"]
    assert max(scores, key=scores.get) == "up"
    assert [answer["anomaly"] for answer in said["answers"]] == pytest.approx([0.75, 0, 0, 0, 0.75])


def test_motion_without_labels(node: str, made: dict[str, Path], tmp_path: Path) -> None:
    said = run_features(node, made["motion.eim"], [-2] * 20, "auto", tmp_path)
    assert said["model"]["modelParameters"]["sensorType"] == "accelerometer"
    assert said["answers"] == [{"anomaly": pytest.approx(2)}]
