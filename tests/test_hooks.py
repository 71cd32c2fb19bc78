"""What other repositories use of this one: the hook of pre-commit and the action. Their shell runs here as it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
CONFIG = "[property]\nonnx-file=model.onnx\ngie-unique-id=1\nnetwork-mode=2 # fp16\n"


def test_the_hook_takes_configs_by_their_usual_names() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["entry"] == "ei-deepstream check"
    taken = re.compile(hook["files"])
    for name in ("config_infer_primary_door.txt", "apps/pgie_config.yml", "deepstream_app_door.txt", "sgie.yaml"):
        assert taken.search(name), name
    for name in ("labels.txt", "config_infer_primary.py", "pgie/labels.txt", "README.md"):
        assert not taken.search(name), name


@pytest.fixture
def action(tmp_path: Path) -> dict[str, str]:
    """The environment that GitHub gives the action's steps, with the command of this environment."""
    command = tmp_path / "temp" / "ei-deepstream" / "bin" / "ei-deepstream"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m convert "$@"\n')
    command.chmod(0o755)
    return {
        **os.environ, "RUNNER_TEMP": str(tmp_path / "temp"), "GITHUB_OUTPUT": str(tmp_path / "output"),
        "PYTHONPATH": str(ROOT), "PATHS": "configs other", "TARGET": "7.1", "PLATFORM": "jetson", "FAIL_ON": "error",
        "SARIF": "found.sarif",
    }  # fmt: skip


def _step(name: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    (step,) = (each for each in _steps() if each.get("name") == name)
    assert set(step.get("env", {})) <= {*environment, "CODE"}
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _steps() -> list[dict[str, str]]:
    steps: list[dict[str, str]] = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    return steps


def test_the_action_writes_sarif_and_ends_with_the_exit_code(action: dict[str, str], tmp_path: Path) -> None:
    for name in ("configs", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config_infer_primary.txt").write_text(CONFIG)
    done = _step("Check", action, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "NVI004" in done.stdout
    results = json.loads((tmp_path / "found.sarif").read_text())["runs"][0]["results"]
    places = {place["physicalLocation"]["artifactLocation"]["uri"] for each in results for place in each["locations"]}
    assert places == {"configs/config_infer_primary.txt", "other/config_infer_primary.txt"}
    assert (tmp_path / "output").read_text() == "code=1\n"
    assert _step("Result", {**action, "CODE": "1"}, tmp_path).returncode == 1


def test_the_action_ends_at_once_with_a_wrong_option(action: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    done = _step("Check", {**action, "PATHS": "configs", "PLATFORM": "jetsan"}, tmp_path)
    assert done.returncode == 2
    assert "jetson" in done.stderr


def test_every_input_of_the_action_is_used() -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    used = set(re.findall(r"inputs\.([a-z-]+)", (ROOT / "action.yml").read_text()))
    assert set(action["inputs"]) == used
