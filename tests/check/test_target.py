"""A config is checked for the target of its bundle; an option says otherwise, and without either there is a default."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from convert import pipeline
from convert.api import check
from convert.check.loading import TargetChoice
from convert.emit import Emit
from convert.isolation import Worker
from convert.nvinfer.targets import targets
from convert.options import ConvertOptions, checked, defaults
from convert.types import Validated
from tests.emitted import prove_nothing

EXPORT = Path(__file__).resolve().parents[2] / "samples" / "exports" / "shapes-cpp-2025"


@pytest.fixture(scope="module")
def validated() -> dict[int, Validated]:
    """The sample, converted for TensorRT 7 and for all later ones, by opset."""
    found = {}
    with Worker() as worker, pytest.MonkeyPatch.context() as patch:
        prove_nothing(patch)
        for target in ("5.1", "7.1"):
            options = defaults(ConvertOptions) | checked(ConvertOptions, {"target": target})
            run = pipeline.run(pipeline.stages(None, options, worker), EXPORT)
            model = run.last(Validated)
            assert model is not None
            found[model.adapted.onnx.opset] = model
    return found


@pytest.mark.parametrize("target", targets(), ids=lambda each: f"{each.deepstream}-{each.platform}")
def test_a_bundle_needs_no_options(tmp_path: Path, validated: dict[int, Validated], target: Any) -> None:
    assert set(validated) == {11, 13}
    model = validated[11 if target.deepstream == "5.1" else 13]
    found = Emit(tmp_path, target=target.name, platform=target.platform)(model, tmp_path)
    assert "EI509" not in {finding.id for finding in found.findings}, "the opset is one of this TensorRT"
    report = check(tmp_path)
    assert report.findings == ()
    assert {file.target for file in report.files} == {report.targets[0]}
    assert (report.targets[0].target, report.targets[0].source) == (target, "report")


@pytest.fixture
def bundle(tmp_path: Path, validated: dict[int, Validated]) -> Path:
    """A bundle for an old PC."""
    Emit(tmp_path / "bundle", target="6.0.1", platform="dgpu")(validated[13], tmp_path)
    return tmp_path / "bundle"


@pytest.mark.parametrize(
    ("options", "target", "source"),
    [
        ({}, ("6.0.1", "dgpu"), "report"),
        ({"target": "9.1"}, ("9.1", "dgpu"), "report"),
        ({"platform": "jetson"}, ("6.0.1", "jetson"), "report"),
        ({"target": "9.1", "platform": "jetson"}, ("9.1", "jetson"), "option"),
        ({"jetpack": "6.2"}, ("7.1", "jetson"), "option"),
    ],
)
def test_options_go_before_the_report(
    bundle: Path, options: dict[str, Any], target: tuple[str, str], source: str
) -> None:
    (chosen,) = check(bundle, **options).targets
    assert ((chosen.target.deepstream, chosen.target.platform), chosen.source) == (target, source)


def test_another_tensorrt_is_the_only_difference(bundle: Path) -> None:
    (chosen,) = check(bundle, tensorrt_version="8.2.1").targets
    assert (chosen.target.name, chosen.target.tensorrt, chosen.source) == ("deepstream-6.0.1", "8.2.1", "report")


def test_each_file_has_the_target_of_its_own_bundle(bundle: Path) -> None:
    other = bundle.parent / "other"
    other.mkdir()
    (config,) = bundle.glob("config_infer_primary_*.txt")
    shutil.copy(config, other / "alone.txt")
    found = {Path(file.path).name: file.target for file in check(bundle.parent).files}
    assert {target.source for target in found.values() if target} == {"report", "default"}
    assert found["alone.txt"] == TargetChoice().default


def test_an_app_has_the_target_of_its_engines(bundle: Path) -> None:
    (config,) = bundle.glob("config_infer_primary_*.txt")
    app = bundle.parent / "app.txt"
    app.write_text(f"[streammux]\nbatch-size=1\n[primary-gie]\nenable=1\nconfig-file=bundle/{config.name}\n")
    report = check(app)
    assert len(report.files) == 2
    assert [each.target.name for each in report.targets] == ["deepstream-6.0.1"]
    # and an engine's config that is in no bundle that of its app
    alone = bundle.parent / "alone.txt"
    shutil.copy(config, alone)
    inside = bundle / "second.txt"
    inside.write_text("[streammux]\nbatch-size=1\n[primary-gie]\nenable=1\nconfig-file=../alone.txt\n")
    assert {file.target and file.target.target.name for file in check(inside).files} == {"deepstream-6.0.1"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"{}",
        lambda _: b'{"schema_version": 1, "test": "of another program"}',
        lambda document: json.dumps({**document, "schema_version": 99}).encode(),
        lambda document: json.dumps(
            {**document, "options": {**document["options"], "target": "deepstream-99"}}
        ).encode(),
        lambda document: json.dumps({**document, "options": None}).encode(),
    ],
)
def test_a_report_that_says_nothing(bundle: Path, damage: Any) -> None:
    path = bundle / "report.json"
    path.write_bytes(damage(json.loads(path.read_bytes())))
    assert check(bundle).targets == (TargetChoice().default,)
