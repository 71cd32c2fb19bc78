"""The samples in int8, as Studio builds them, through the whole pipeline; in their own codes: `test_int8.py`, too."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from convert.__main__ import main
from samples import make_samples
from tests.emitted import emitted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["emitted"]

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
@pytest.mark.parametrize("name", ["fruit", "shapes", "table-fomo", "table-yolov5"])
def test_float32_decides_as_the_original_does(
    convert: Callable[..., Path], emitted: Callable[..., Path], name: str
) -> None:
    """On the sample's pictures, too; how far the model is from what it was rewritten to is measured of the smallest."""
    converted = convert if name == "shapes" else emitted
    pictures = SAMPLES / "pictures" / name.partition("-")[0]
    bundle = converted(SAMPLES / "int8" / f"{name}-2025.zip", "--frame", "none", "--images", pictures)
    report = json.loads((bundle / "report.json").read_text())
    (rounded,) = (each["message"] for each in report["findings"] if each["id"] == "EI154")
    assert int(re.search(r"of (\d+) inputs", rounded)[1]) >= 145  # type: ignore[index]
    assert not [each for each in report["findings"] if each["level"] == "error" or each["id"] == "EI153"]
