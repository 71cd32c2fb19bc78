"""Edge Impulse's official Go SDK, unmodified, against packed bundles.

It comes from no package registry: the tests are skipped unless `EI_LINUX_SDK_GO` names a clone of linux-sdk-go and Go
is installed. Of the SDK only the package of the runner is compiled, which needs nothing but Go's own library.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from convert.compare.edge_impulse import pack
from tests.eim import bundles

PROGRAM = """
package main

import (
	"encoding/json"
	"io/ioutil"
	"os"

	edgeimpulse "github.com/edgeimpulse/linux-sdk-go"
)

func must(err error) {
	if err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

func main() {
	var features []float64
	data, err := ioutil.ReadFile(os.Args[2])
	must(err)
	must(json.Unmarshal(data, &features))
	runner, err := edgeimpulse.NewRunnerProcess(os.Args[1], nil)
	must(err)
	answer, err := runner.Classify(features)
	must(err)
	_, refused := runner.Classify([]float64{1})
	said := map[string]interface{}{"parameters": runner.ModelParameters(), "answer": answer}
	if refused != nil {
		said["refused"] = refused.Error()
	}
	must(runner.Close())
	must(json.NewEncoder(os.Stdout).Encode(said))
}
"""


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled program, or a reason to skip."""
    clone, go = os.environ.get("EI_LINUX_SDK_GO"), shutil.which("go")
    if not clone or not go:
        pytest.skip("Edge Impulse's Go SDK is tried where EI_LINUX_SDK_GO names a clone of linux-sdk-go, with Go")
    folder = tmp_path_factory.mktemp("go")
    (folder / "main.go").write_text(PROGRAM)
    sdk = folder / "sdk"
    sdk.mkdir()
    for source in Path(clone).glob("*.go"):
        shutil.copy(source, sdk)
    (sdk / "go.mod").write_text("module github.com/edgeimpulse/linux-sdk-go\n")
    (folder / "go.mod").write_text(
        "module client\nrequire github.com/edgeimpulse/linux-sdk-go v0.0.0\n"
        "replace github.com/edgeimpulse/linux-sdk-go => ./sdk\n"
    )
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOCACHE": str(folder / "cache")}
    command = [go, "build", "-o", "client", "main.go"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "client"


def run(client: Path, model: Path, picture: Any, folder: Path) -> dict[str, Any]:
    features = folder / "features.json"
    features.write_text(json.dumps(pack(picture).astype(int).tolist()))
    done = subprocess.run([client, model, features], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert isinstance(said, dict)
    return said


def test_classifier(client: Path, made: dict[str, Path], tmp_path: Path) -> None:
    picture = bundles.painted(bundles.classifier(), (0, 0, 8, 8, (0, 0, 255)))
    said = run(client, made["classifier.eim"], picture, tmp_path)
    assert said["parameters"]["SensorType"] == "camera"
    scores = said["answer"]["result"]["classification"]
    assert max(scores, key=scores.get) == "blue"
    assert "refused" in said


def test_detector(client: Path, made: dict[str, Path], tmp_path: Path) -> None:
    picture = bundles.painted(bundles.fomo(), (16, 24, 16, 8, (0, 255, 0)))
    said = run(client, made["fomo.eim"], picture, tmp_path)
    assert said["parameters"]["model_type"] == "constrained_object_detection"
    (box,) = said["answer"]["result"]["bounding_boxes"]
    assert (box["label"], box["x"], box["y"], box["width"], box["height"]) == ("face", 16, 24, 16, 8)
