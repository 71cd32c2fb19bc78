"""Detectors and quantized models through the whole pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.export.facts import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Said


def _labels(path: Path) -> str:
    """As many labels as the model has classes, whatever they are called."""
    about = facts(path.read_bytes())
    last = about.outputs[0].shape[-1] if about.outputs[0].shape else 0
    assert last is not None
    count = {"fomo": last - 1, "yolov5": last - 5}.get(about.task, last)
    return ";".join(f"thing {number}" for number in range(count))


@pytest.mark.slow
def test_every_real_detector_converts(say: Callable[..., Said], models: Path, tmp_path: Path) -> None:
    found = set()
    for path in sorted(models.glob("*lite")):
        about = facts(path.read_bytes())
        if about.task not in {"fomo", "yolov5"} or about.quantization not in {"float32", "float16-weights"}:
            continue
        found.add(about.task)
        said = say("convert", path, "-o", tmp_path / path.stem, "--labels", _labels(path), "--format", "json")
        assert said.code == 0, said.err
        evidence = said.document["evidence"]
        assert evidence["parity"]["max_abs_diff"] < 1e-4
        assert evidence["decoding"] < 1e-4
        assert evidence["batch"]["sizes"] == [1, 2, 8]
        config = next((tmp_path / path.stem).glob("config_infer_primary_*.txt")).read_text()
        assert "network-type=0" in config
        assert "cluster-mode=" in config
    assert found == {"fomo", "yolov5"}


@pytest.mark.slow
def test_every_real_int8_model_converts(say: Callable[..., Said], models: Path, tmp_path: Path) -> None:
    found = 0
    for path in sorted(models.glob("*lite")):
        about = facts(path.read_bytes())
        if about.quantization != "int8" or about.input.shape[1] == 320:
            continue
        found += 1
        refused = say("convert", path, "-o", tmp_path / path.stem, "--no-dequantize")
        assert refused.code == 3
        assert "leave out --no-dequantize" in refused.err
        said = say("convert", path, "-o", tmp_path / path.stem, "--format", "json")
        assert said.code == 0, said.err
        evidence = said.document["evidence"]
        assert evidence["parity"]["max_abs_diff"] < 1e-4
        assert evidence["int8_agreement"]["top1"] > 0.9
        assert set(evidence["int8_agreement"]) >= {"top1", "mean_abs_diff", "max_abs_diff"}
    assert found >= 4
