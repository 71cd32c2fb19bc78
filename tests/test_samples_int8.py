"""The samples in int8, as Studio builds them, through the whole pipeline; in their own codes: `test_int8.py`, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.__main__ import main
from convert.agreement import WithAgreement
from convert.export.unpack import Unpack
from convert.isolation import InProcessWorker
from samples import make_samples

if TYPE_CHECKING:
    from collections.abc import Callable

SAMPLES = make_samples.HERE


@pytest.mark.slow
def test_a_detector_in_its_own_codes(convert: Callable[..., Path]) -> None:
    bundle = convert(SAMPLES / "int8" / "table-fomo-2025.zip", "--precision", "int8", "--frame", "none")
    report = json.loads((bundle / "report.json").read_text())
    assert report["evidence"]["int8"]["share"] == 1
    assert report["evidence"]["answers"]
    assert "error" not in {each["level"] for each in report["findings"]}
    assert main(["check", str(bundle), "--quiet"]) == 0


@pytest.mark.slow
def test_a_rewriting_in_float32(convert: Callable[..., Path]) -> None:
    export = SAMPLES / "int8" / "shapes-2025.zip"
    bundle = convert(export, "--frame", "none", "--images", SAMPLES / "pictures" / "shapes")
    report = json.loads((bundle / "report.json").read_text())
    assert report["evidence"]["int8_agreement"]["inputs"] >= 145
    assert not [each for each in report["findings"] if each["level"] == "error" or each["id"] == "EI153"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fruit", "table-fomo", "table-yolov5"])
def test_rewritings_decide_as_the_original_does(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """On the sample's pictures, too."""
    monkeypatch.setattr("convert.agreement.MOST", (5_000_000, 100, 145))
    pictures = SAMPLES / "pictures" / name.partition("-")[0]
    stage = WithAgreement(Unpack(dequantize=True), images=pictures, worker=InProcessWorker())
    result = stage(SAMPLES / "int8" / f"{name}-2025.zip", Path())
    assert result.artifact.agreement.inputs == 145 + len(list(pictures.iterdir()))
    assert "EI154" in {each.id for each in result.findings}
    assert not [each for each in result.findings if each.level == "error" or each.id == "EI153"]
