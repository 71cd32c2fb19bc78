"""Runs stage unpack in tests, and the exports several of them use."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from convert.errors import ConvertError, InputError
from convert.export.unpack import Unpack
from convert.types import Export, StageResult
from samples.layouts import FORMS
from tests.export import tiny
from tests.export.eon import writer

MODEL = tiny.classifier()
SHAPES = (Path(__file__).parents[2] / "samples" / "models" / "shapes.tflite").read_bytes()
SHAPE_LABELS = ("circle", "square", "star", "triangle")
LABELS = ("cat", "dog")
REFUSALS: list[list[str]] = json.loads((Path(__file__).parent / "golden" / "refusals.json").read_text())
"""Messages and hints of all refusals of this stage; what another program words is left out behind a colon."""
YEARS = dict(zip(FORMS, (2021, 2022, 2023, 2024, 2025, 2026), strict=True))


def compiled_source(symbol: str) -> bytes:
    """SHAPES as the EON compiler writes it, in the form of the years when models were called so."""
    year = "2020" if symbol == "trained_model" else "2024-02" if symbol.count("_") == 2 else "2025-07"
    return writer.write(SHAPES, replace(writer.FORMS[year], symbol=symbol)).encode()


def unpack(path: Path, **options: object) -> StageResult:
    return Unpack(**options)(path, path)  # type: ignore[arg-type]


def export_of(path: Path, **options: object) -> Export:
    artifact = unpack(path, **options).artifact
    assert isinstance(artifact, Export)
    return artifact


def ids(result: StageResult) -> list[str]:
    return sorted(finding.id for finding in result.findings)


def refused(path: Path, message: str, kind: type[ConvertError] = InputError, **options: object) -> ConvertError:
    with pytest.raises(kind, match=message) as caught:
        unpack(path, **options)
    assert caught.value.path
    told = caught.value.message, str(caught.value.hint).replace(sys.executable, "PYTHON")
    texts = [text for text, hint in REFUSALS if hint == told[1]]
    known = any(told[0] == text or (text[-1] == " " and told[0].startswith(text)) for text in texts)
    assert known, f"golden/refusals.json lacks {json.dumps(told)}"
    return caught.value
