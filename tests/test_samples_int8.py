"""The samples in int8, as Studio builds them: rewritten in float32, and with their own codes (`--precision int8`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from samples import make_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLES = make_samples.HERE
NAMES = ("fruit", "shapes", "table-fomo", "table-yolov5")


def converted(convert: Callable[..., Path], name: str, *options: str) -> Any:
    """The report of the int8 sample, measured on the sample's pictures, too."""
    pictures = SAMPLES / "pictures" / name.partition("-")[0]
    bundle = convert(SAMPLES / "int8" / f"{name}-2025.zip", *options, "--frame", "none", "--images", str(pictures))
    return json.loads((bundle / "report.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_codes_decide_as_the_original_does(convert: Callable[..., Path], name: str) -> None:
    report = converted(convert, name, "--precision", "int8")
    measured = report["evidence"]["int8"]
    assert measured["share"] == 1
    assert measured["plain"]["top1"] >= measured["kernels"]["top1"] - 0.01
    assert measured["plain"]["mean_abs_diff"] <= 1.2 * measured["kernels"]["mean_abs_diff"] + 1e-4
    assert "error" not in {each["level"] for each in report["findings"]}
    if boxes := measured["moved"]:
        assert boxes[0] <= max(1, boxes[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_float32_decides_as_the_original_does(convert: Callable[..., Path], name: str) -> None:
    report = converted(convert, name)
    assert report["evidence"]["int8_agreement"]["inputs"] >= 145
    assert not [each for each in report["findings"] if each["level"] == "error" or each["id"] == "EI153"]
