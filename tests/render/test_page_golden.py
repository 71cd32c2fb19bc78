"""The page of a street, the whole markup but its style sheet and pictures.

Made anew by `WRITE_GOLDEN=1 pytest tests/render/test_page_golden.py`: read the difference before it is committed.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from convert import __version__
from convert.compare import (
    Cause,
    ComparedObject,
    Comparison,
    Pair,
    PictureComparison,
    Prediction,
    Reason,
    Step,
    Verdict,
)
from convert.findings import Finding, Level
from convert.images.scaling import Rect
from convert.render.page import page
from convert.report import evidence_document
from tests.render.test_page_evidence import EVIDENCE

if TYPE_CHECKING:
    from tests.render.conftest import Street

GOLDEN = Path(__file__).with_name("golden") / "page.html"
CONFIG = "# a <comment>\n[property]\ngie-unique-id=1 # x\n\nonnx-file=m.onnx\n"


def markup(street: Street) -> str:
    """With the simulation's first two pictures, everything else in words."""
    image = io.BytesIO()
    Image.new("RGB", (64, 36), (200, 30, 30)).save(image, "PNG")
    pictures = {name: image.getvalue() for name in ("crossing", "crop")}
    car = ComparedObject(1, "car", 0.9375, Rect(40, 120, 200, 120))
    other = ComparedObject(1, "car", 0.5, Rect(41, 121, 200, 120))
    rows = (
        PictureComparison(
            "crossing", 640, 360, Verdict.DIFFERS, Prediction(objects=(car, car)), Prediction(objects=(other,)),
            (Pair(car, other, 0.98, 1.0), Pair(car, None)), (Cause.FRAMING, Cause.THRESHOLD), 0.4375, "one more car",
        ),
        PictureComparison("night", 360, 640, Verdict.SAME, Prediction(), Prediction()),
        PictureComparison("crop", 96, 96, Verdict.DRIFTS, Prediction(objects=(car,)), Prediction(objects=(car,)),
                          (Pair(car, car, 1.0, 0.0),), (Cause.LUMA,), 0.2, "a little"),
    )  # fmt: skip
    steps = (Step(Cause.FRAMING, "squashes", "crops", same=False), Step(Cause.COLOUR, "RGB", "RGB", same=True))
    reasons = (Reason(Cause.FRAMING, "nvinfer squashes", "crop it", ("crossing",), ("crop",), 1),)
    comparison = Comparison("street.tflite", "yolov5", True, 0.1, steps, rows, reasons)
    findings = (
        Finding("NVI004", Level.NOTE, "a <comment> behind", "c.txt", 3, 17, "remove it"),
        Finding("EI750", Level.ERROR, "it differs"), Finding("NVI060", Level.WARNING, "no labels", "other.txt", 1),
    )  # fmt: skip
    text = page(
        street.simulation, pictures, findings=findings, configs={"c.txt": CONFIG, "empty.txt": ""},
        evidence=evidence_document(replace(EVIDENCE, tensorrt=None)), comparison=comparison,
    )  # fmt: skip
    text = re.sub(r"<style>.*?</style>", "<style></style>", text, flags=re.DOTALL)
    text = re.sub(r"sha256-[\w+/=]+", "sha256-style", re.sub(r"data:image/png;base64,[\w+/=]+", "data:image/png", text))
    return re.sub(r"\n\s*\n+", "\n", text.replace(__version__, "VERSION"))


def test_page(street: Street) -> None:
    text = markup(street)
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")
