"""The samples in int8, as Studio builds them: rewritten in float32, and with their own codes (`--precision int8`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from samples import make_samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

EXPORTS = {name: make_samples.HERE / "int8" / f"{name}-2025.zip" for name in ("fruit", "shapes", "table-fomo")}
YOLO = make_samples.HERE / "int8" / "table-yolov5-2025.zip"


def report_of(bundle: Path) -> Any:
    return json.loads((bundle / "report.json").read_text())


@pytest.mark.parametrize("name", EXPORTS)
def test_codes_decide_as_the_original_does(convert: Callable[..., Path], name: str) -> None:
    pictures = make_samples.HERE / "pictures" / name.partition("-")[0]
    report = report_of(convert(EXPORTS[name], "--precision", "int8", "--frame", "none", "--images", str(pictures)))
    measured = report["evidence"]["int8"]
    assert measured["share"] == 1
    assert measured["plain"]["top1"] >= measured["kernels"]["top1"] - 0.01
    assert measured["plain"]["mean_abs_diff"] <= 1.2 * measured["kernels"]["mean_abs_diff"] + 1e-4
    assert not [each for each in report["findings"] if each["level"] != "note"]
