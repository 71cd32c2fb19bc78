"""Whole bundles, as they are meant to look, for three targets.

`UPDATE_GOLDEN=1 pytest` writes them anew: read the diff before you commit it.
"""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from onnx import parser

from convert.emit import Emit
from convert.errors import PresetError
from convert.findings import Rule
from convert.images import Frame, Framing, ResizeMode, parse_line, parse_zone
from convert.images.resizing import Resizing
from convert.types import Metadata, Preprocessing, Tracking, Validated
from tests.emit.test_analytics import fomo
from tests.emit.test_emit_detectors import TASKS, detector, suppressing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GOLDEN = Path(__file__).parent / "golden"

CASES: dict[str, dict[str, Any]] = {
    "deepstream-5.1-jetson-sgie": {"target": "5.1", "role": "sgie", "batch_size": 8, "gie_id": 3},
    "deepstream-7.1-jetson-both": {},
    "deepstream-9.1-dgpu-pgie": {"target": "9.1", "platform": "dgpu", "role": "pgie", "precision": "fp16", "gpu_id": 1},
}


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_looks_as_it_should(case: str, invent: Callable[..., Validated]) -> None:
    scaled = Preprocessing(1 / 127.5, (127.5, 127.5, 127.5), "RGB", True, True, "", None)
    model = invent(preprocessing=scaled) if "5.1" in case else invent()
    files = Emit(Path(case), **CASES[case]).files(model.adapted)
    del files["fruit.onnx"]
    folder = GOLDEN / case
    if os.environ.get("UPDATE_GOLDEN"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    assert {path.name: path.read_text() for path in sorted(folder.iterdir())} == {
        name: data.decode() for name, data in sorted(files.items())
    }


def _names(document: object, above: str) -> Iterator[str]:
    """The names of all entries, of a list those of its first element; texts and numbers with their value."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _names(value, f"{above}.{name}" if above else name)
    elif isinstance(document, list) and document and isinstance(document[0], dict):
        yield from _names(document[0], f"{above}[]")
    else:
        yield above if above.endswith(("sha256", "version", "bytes")) else f"{above}: {document!r}"


def test_a_report_has_its_entries(tmp_path: Path, invent: Callable[..., Validated]) -> None:
    found = Rule("EI104").found("something was assumed", path="x", hint="say it")
    made = replace(invent(), findings=(found,))
    Emit(tmp_path, source="belt.mp4")(made, tmp_path)
    lines = [*_names(json.loads((tmp_path / "report.json").read_bytes()), "")]
    file = GOLDEN / "report.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text("\n".join(lines) + "\n")
    assert lines == file.read_text().splitlines()


LINE, ZONE = parse_line("gate:0.5,0,0.5,1"), parse_zone("desk:0,0.5;0.5,0.5;0.5,1;0,1")
COUNTED: dict[str, Any] = {"source": "belt.mp4", "role": "pgie"}
OF_CLASSIFIER: list[dict[str, Any]] = [
    *({"target": release, "platform": platform} for release in ("5.1", "6.0", "6.3", "7.0", "8.0", "9.1")
      for platform in ("dgpu", "jetson")),
    *({"precision": precision, "target": release} for precision in ("fp16", "int8") for release in ("7.1", "8.0")),
    *({"precision": precision, "target": "9.1", "platform": "dgpu"} for precision in ("fp16", "int8")),
    *({"role": "sgie", "gie_id": own, "operate_on_gie_id": other} for own, other in ((None, None), (4, 3), (1, 2))),
    {"role": "sgie", "min_size": 20, "batch_size": 16}, {"gie_id": 5, "batch_size": 2, "gpu_id": 1},
    {"min_size": 1}, {"operate_on_gie_id": 7}, {"role": "pgie", "gie_id": 9},
    *({"source": each} for each in ("csi", "csi:1", "/dev/video2", "rtsp://camera/one", "https://a/b.mp4", "a b.mp4")),
    *({"sink": sink, "platform": platform, "target": "8.0"} for sink in ("screen", "file", "rtsp", "none")
      for platform in ("dgpu", "jetson")),
    {"precision": "int9"}, {"sink": "tape"}, {"role": "tgie"}, {"batch_size": 0}, {"gpu_id": -1}, {"min_size": 0},
    {"gie_id": 0}, {"role": "sgie", "gie_id": 1}, {"role": "pgie", "operate_on_gie_id": 3},
]  # fmt: skip
OF_FOMO: list[dict[str, Any]] = [
    {}, {"line": (LINE,)}, {"zone": (ZONE,)}, {"line": (LINE,), "zone": (ZONE,), "overcrowding": 2},
    {"overcrowding": 2}, {"zone": (ZONE,), "overcrowding": 0}, {"line": (LINE,), "target": "5.1"},
    {"line": (LINE,), "target": "6.0", "platform": "dgpu"}, {"line": (parse_line("a:9,9,9,90"),)},
    {"line": (parse_line("a:9,9,9,90"),), "canvas": Frame(640, 480, in_pixels=True)},
    {"line": (LINE,), "role": "sgie", "source": None},
]  # fmt: skip


def _changes(before: dict[str, bytes], files: dict[str, bytes]) -> list[str]:
    """The lines that are otherwise than in another bundle."""
    found = []
    for name in sorted(before.keys() | files.keys()):
        if not name.endswith(".onnx"):
            one, other = (each.get(name, b"").decode().splitlines() for each in (before, files))
            lines = difflib.unified_diff(one, other, n=0, lineterm="")
            changes = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
            found += [f"  {name}", *(f"    {line}" for line in changes)] if changes else []
    return found


def _said(emit: Emit, made: Validated) -> list[str]:
    return [
        f"  {each.id} {each.level} {each.path}: {each.message} | {each.hint}"
        for each in emit.findings(made.adapted, made.evidence)
    ]


@pytest.mark.parametrize("model", ["classifier", "fomo", "tracking"])
def test_what_options_change(model: str, tmp_path: Path, invent: Callable[..., Validated]) -> None:
    """Of a bundle, line by line, and of its findings: of a classifier, a FOMO, and one that tracks in the Studio."""
    own = Metadata(
        labels=("apple", "pear"), resize_mode=ResizeMode.SQUASH, tracking=Tracking(True, 9, 2, 0.25, True),
        segments=((10, 5, 60, 90),),
    ) if model == "tracking" else None  # fmt: skip
    made = invent() if model == "classifier" else fomo(tmp_path, own, tracked=True)
    common = {} if model == "classifier" else COUNTED
    before = Emit(tmp_path, **common).files(made.adapted)
    known = _said(Emit(tmp_path, **common), made)
    lines = list(known)
    for options in OF_CLASSIFIER if model == "classifier" else OF_FOMO:
        lines.append(str({name: getattr(value, "name", value) for name, value in options.items()}))
        try:
            emit = Emit(tmp_path, **common | options)
            lines += _changes(before, emit.files(made.adapted))
            lines += [each for each in _said(emit, made) if each not in known]
        except PresetError as error:
            lines.append(f"  {error.message} | {error.hint}")
    file = GOLDEN / f"options-{model}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text("\n".join(lines) + "\n")
    assert lines == file.read_text().splitlines()


WIDE, PIXELS = Frame(16, 9), Frame(640, 360, in_pixels=True)
MODES = (ResizeMode.FIT_SHORTEST, ResizeMode.SQUASH)
FRAMINGS = {
    "cut by the graph": Framing(WIDE, (96, 64)),
    "of the frame's shape": Framing(Frame(3, 2), (96, 64)),
    **{f"{mode} of {PIXELS}": Resizing(PIXELS, (96, 64), mode) for mode in MODES},
    **{f"{mode} of {WIDE}": Resizing(WIDE, (96, 64), mode, scaled=(640, 360)) for mode in MODES},
}


def _framed(invent: Callable[..., Validated], framing: Framing) -> Validated:
    seen = Preprocessing(1 / 255, (), "RGB", False, False, "", ResizeMode.SQUASH, framing)
    return invent(preprocessing=seen, size=(None, 3, *reversed(framing.network)))


def test_what_models_change(invent: Callable[..., Validated]) -> None:
    """Of the bundle of a classifier, line by line, where the model is another."""
    colours = {
        "BGR": Preprocessing(1.0, (103.9, 116.8, 123.7), "BGR", False, False, "", None),
        "GRAY": Preprocessing(1 / 255, (), "GRAY", True, False, "", None),
    }
    plain = invent()
    codes = '<ir_version: 7, opset_import: ["": 13]> net (float x) => (uint8 y) { y = QuantizeLinear (x, s, z) }'
    onnx = replace(plain.adapted.onnx, stored=parser.parse_model(codes).SerializeToString())
    quantized = replace(plain, adapted=replace(plain.adapted, onnx=onnx))
    cases: list[tuple[str, Validated, dict[str, Any]]] = [
        *((name, _framed(invent, framing), {"role": "pgie"}) for name, framing in FRAMINGS.items()),
        *((name, invent(preprocessing=seen, size=(None, 1 if name == "GRAY" else 3, 64, 96)), {"role": "pgie"})
          for name, seen in colours.items()),
        *((f"int8, {release}", quantized, {"precision": "int8", "target": release}) for release in ("7.1", "9.1")),
        *((f"large, {role}", invent(size=(None, 3, 640, 640)), {"role": role}) for role in ("pgie", "sgie")),
        *((f"large, objects of {size}", invent(size=(None, 3, 640, 640)), {"role": "sgie", "min_size": size})
          for size in (39, 40, 41)),
        *((task, detector(invent, task, metadata=Metadata(threshold=0.6, nms_iou=0.3)), {"role": "pgie"})
          for task in TASKS),
        ("suppressing", suppressing(invent, "yolov5"), {"role": "sgie"}),
    ]  # fmt: skip
    lines = []
    for name, made, options in cases:
        emit = Emit(Path("b"), **options)
        before = replace(emit, precision="fp32").files(plain.adapted)
        files = emit.files(made.adapted)
        for other in ("RUN.md", "build_engine.sh"):
            del before[other], files[other]
        lines += [name, *_said(emit, made), *_changes(before, files)]
    file = GOLDEN / "models.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text("\n".join(lines) + "\n")
    assert lines == file.read_text().splitlines()
