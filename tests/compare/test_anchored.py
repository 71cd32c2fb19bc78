"""A crop that keeps another part than the centre: the bundle keeps the same part as Edge Impulse, and says which."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.__main__ import main
from convert.compare import Cause, Verdict
from convert.images import Frame, Framing
from tests.compare.bundles import causes, compared, config_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.compare.run import ComparisonRun

    Convert = Callable[..., Path]


@pytest.fixture(scope="module")
def export(fruit_export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The colour classifier, trained on the left of pictures."""
    folder = tmp_path_factory.mktemp("left")
    assert main(["unpack", str(fruit_export), "-o", str(folder), "--resize-mode", "fit-shortest", "-q"]) == 0
    path = folder / "metadata.json"
    document = json.loads(path.read_text())
    document["metadata"]["crop_anchor"] = [0, 0.5]
    path.write_text(json.dumps(document))
    (model,) = folder.glob("*.tflite")
    return model


@pytest.fixture(scope="module")
def cropping(convert: Convert, export: Path) -> Path:
    return convert(export, "--frame", "16:9", "--role", "pgie", "--resize", "device")


def noise(width: int, height: int) -> list[NDArray[np.uint8]]:
    return [np.random.default_rng(each).integers(0, 256, (height, width, 3), np.uint8) for each in range(4)]


def said(found: ComparisonRun) -> tuple[str, str, bool]:
    step = next(step for step in found.comparison.steps if step.cause is Cause.FRAMING)
    return step.deepstream, step.edge_impulse, step.same


def test_the_graph_cuts_out_what_edge_impulse_does(cropping: Path, export: Path) -> None:
    """Frames of the network's size, so that nothing is scaled."""
    found = compared(config_of(cropping), export, *noise(*Framing(Frame(16, 9), (96, 96)).network), tolerance=1e-5)
    assert [row.verdict for row in found.rows] == [Verdict.SAME] * 4
    assert said(found) == ("scales to 170x96, of which the model sees the left", "crops to the left", True)


def test_the_graph_resizes_what_edge_impulse_does(emitted: Convert, export: Path) -> None:
    folder = emitted(export, "--resize", "graph", "--frame", "160x90", "--role", "pgie")
    found = compared(config_of(folder), export, *noise(160, 90), tolerance=1e-5)
    assert [row.verdict for row in found.rows] == [Verdict.SAME] * 4
    assert said(found)[1:] == ("crops to the left", True)


def test_a_squashed_picture_is_named(emitted: Convert, export: Path) -> None:
    folder = emitted(export, "--frame", "none", "--role", "pgie")
    found = compared(config_of(folder), export, *noise(170, 96), tolerance=1e-5)
    assert said(found) == ("squashes", "crops to the left", False)
    assert {cause for row in found.rows for cause in causes(row)} <= {"framing", "interpolation"}


def test_the_proof_shows_the_original_the_same_part(cropping: Path) -> None:
    evidence = json.loads((cropping / "report.json").read_text())["evidence"]
    assert evidence["parity"]["max_abs_diff"] < 1e-4
    assert evidence["framing"]["crop"]["top1"] > evidence["framing"]["squash"]["top1"]
    assert evidence["answers"]["generated"]["differing"] <= 6


def test_the_bundle_says_which_part(cropping: Path) -> None:
    report = json.loads((cropping / "report.json").read_text())
    assert report["export"]["metadata"]["crop_anchor"] == [0, 0.5]
    framing = report["model"]["preprocessing"]["framing"]
    assert (framing["anchor"], framing["left"], framing["top"]) == ([0, 0.5], 0, 0)
    assert "the model cuts the left 96x96 out of it" in config_of(cropping).read_text()
    assert "what it was trained on, the left." in (cropping / "RUN.md").read_text()


def test_of_frames_that_the_device_scales_too(emitted: Convert, export: Path) -> None:
    """Frames of the network's size are not scaled; of larger ones, that they are is the only cause."""
    folder = emitted(export, "--frame", "16:9", "--role", "pgie")
    comment = " ".join(config_of(folder).read_text().replace("#", "").split())
    assert "cuts the left out of it and makes 96x96 of that as Edge Impulse does" in comment
    frames = noise(640, 360), noise(1280, 720), noise(640, 480)
    exact, larger, other = (compared(config_of(folder), export, *each, tolerance=1e-5) for each in frames)
    assert [row.verdict for row in exact.rows] == [Verdict.SAME] * 4
    assert {cause for row in larger.rows for cause in causes(row)} == {"interpolation"}
    assert said(exact) == said(larger)
    assert said(exact) == ("scales to 640x360, where the model crops to the left", "crops to the left", True)
    assert {cause for row in other.rows for cause in causes(row)} == {"framing"}
    assert "convert again with --frame 4:3" in str(other.comparison.reasons[0].hint)
