"""Detectors and quantized models through the whole pipeline."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from convert.agreement import GOOD
from convert.export.facts import facts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Said


PLAIN = ("--resize-mode", "squash", "--frame", "none")  # half the time of a model for frames


def _evidence(bundle: Path) -> dict[str, Any]:
    evidence: dict[str, Any] = json.loads((bundle / "report.json").read_text())["evidence"]
    return evidence


@pytest.mark.slow
def test_every_real_detector_converts(convert: Callable[..., Path], emitted: Callable[..., Path], models: Path) -> None:
    """A large one is not proven here: `tests/heads/test_pictures.py` holds it against LiteRT on a picture."""
    found = set()
    for path in sorted(models.glob("*lite")):
        about = facts(path.read_bytes())
        if about.task not in {"fomo", "yolov5"} or about.quantization not in {"float32", "float16-weights"}:
            continue
        found.add(about.task)
        is_large = about.input.sides[0] > 320
        bundle = (emitted if is_large else convert)(path, *PLAIN)
        evidence = _evidence(bundle)
        if not is_large:
            assert evidence["parity"]["max_abs_diff"] < 1e-4
            assert evidence["decoding"] < 1e-4
            assert evidence["batch"]["sizes"] == [1, 2, 8]
        config = next(bundle.glob("config_infer_primary_*.txt")).read_text()
        assert "network-type=0" in config
        assert "cluster-mode=" in config
    assert found == {"fomo", "yolov5"}


@pytest.mark.slow
def test_every_real_int8_model_converts(
    say: Callable[..., Said], convert: Callable[..., Path], models: Path, tmp_path: Path
) -> None:
    found = 0
    for path in sorted(models.glob("*lite")):
        about = facts(path.read_bytes())
        if about.quantization != "int8" or about.input.shape[1] == 320:
            continue
        found += 1
        refused = say("convert", path, "-o", tmp_path / path.stem, "--no-dequantize")
        assert refused.code == 3
        assert "leave out --no-dequantize" in refused.err
        evidence = _evidence(convert(path, *PLAIN))
        agreement, parity = evidence["int8_agreement"], evidence["parity"]
        assert parity["exact"] == (agreement["layers"] != "every")
        assert parity["mean_abs_diff"] < 0.01 if agreement["layers"] == "every" else parity["max_abs_diff"] < 1e-4
        assert agreement["top1"] >= GOOD
        assert set(evidence["int8_agreement"]) >= {"top1", "mean_abs_diff", "max_abs_diff"}
    assert found >= 4
