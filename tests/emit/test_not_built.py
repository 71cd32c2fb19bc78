"""What the target's TensorRT does not take is a finding of the bundle; what `convert` writes for it, it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx.parser
import pytest

from convert.emit import Emit
from convert.findings import Level
from convert.images import parse_frame
from convert.isolation import Worker
from convert.nvinfer.targets import target
from convert.nvinfer.tensorrt import refusals
from convert.onnx_header import parse_header
from convert.pipeline import run, stages
from convert.translate import PRELOAD
from convert.types import Adapted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.types import Validated

EXPORTS = Path(__file__).resolve().parents[2] / "samples" / "exports"
_MODEL = '<ir_version: 8, opset_import: ["": 14]> g (float[N,3,8,8] x) => (float[N,3,8,8] y) { y = HardSwish (x) }'


def test_an_operator_that_the_target_does_not_import(tmp_path: Path, classifier: Validated) -> None:
    data = onnx.parser.parse_model(_MODEL).SerializeToString()
    adapted = replace(classifier.adapted, onnx=replace(classifier.adapted.onnx, stored=data))
    model = replace(classifier, adapted=adapted)
    for release, found in (("6.0", ["EI511"]), ("7.0", [])):
        findings = Emit(tmp_path / release, target=f"deepstream-{release}", platform="dgpu")(model, tmp_path).findings
        built = [each for each in findings if each.id == "EI511"]
        assert [each.id for each in built] == found
        for each in built:
            assert (each.level, each.path) == (Level.ERROR, "fruit.onnx")
            assert "does not import HardSwish" in each.message
            assert "--target deepstream-6.1.1" in (each.hint or "")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(PRELOAD) as child:
        yield child


@pytest.mark.parametrize(
    ("export", "options"),
    [
        ("fruit-cpp-2022", {"frame": parse_frame("16:9")}),
        ("shapes-arduino-2025.zip", {}),
        *(("table-fomo-2025.zip", {"fomo_merge": merge}) for merge in ("touching", "peak", "none")),
        ("table-yolov5-2025.zip", {}),
    ],
)
def test_the_oldest_tensorrt_takes_what_is_written_for_it(
    export: str, options: dict[str, object], worker: Worker, tmp_path: Path
) -> None:
    """The models of the stage `adapt`, which are those that are written."""
    given = {"target": "deepstream-5.1", "platform": "jetson", **options}
    adapted = run(stages(tmp_path, given, worker)[:3], EXPORTS / export).last(Adapted)
    assert adapted
    assert adapted.for_objects
    for model in (adapted, adapted.for_objects):
        for release, platform in (("5.1", "jetson"), ("5.1", "dgpu"), ("6.0", "dgpu")):
            assert list(refusals(parse_header(model.onnx.data), target(release, platform))) == []
