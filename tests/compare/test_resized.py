"""A graph that resizes frames sees what Edge Impulse sees; what a device scales before is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from convert.compare import Cause, Verdict
from convert.errors import InputError
from tests.compare.bundles import SAMPLES, causes, changed, compared, config_of, judged, photo

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.compare.run import ComparisonRun

    Convert = Callable[..., Path]

_TIGHT = 1e-5
_FRUIT = min((SAMPLES / "pictures" / "fruit").iterdir())
_SIZE = (160, 90)
_OPTIONS = ("--resize", "graph", "--frame", "160x90", "--role", "pgie")


def noise(count: int, width: int = _SIZE[0], height: int = _SIZE[1]) -> list[NDArray[np.uint8]]:
    return [np.random.default_rng(each).integers(0, 256, (height, width, 3), np.uint8) for each in range(count)]


@pytest.fixture(scope="module")
def resizing(emitted: Convert, fruit_export: Path) -> Path:
    return emitted(fruit_export, "--resize-mode", "fit-shortest", *_OPTIONS)


@pytest.mark.parametrize("mode", ["fit-shortest", "squash"])
def test_the_same_pixels(emitted: Convert, fruit_export: Path, mode: str) -> None:
    folder = emitted(fruit_export, "--resize-mode", mode, *_OPTIONS)
    assert_alike(compared(config_of(folder), fruit_export, *noise(6), tolerance=_TIGHT))


def test_grey_with_black_bars(emitted: Convert, shapes_export: Path) -> None:
    folder = emitted(shapes_export, *_OPTIONS)
    assert_alike(compared(config_of(folder), shapes_export, *noise(6), tolerance=_TIGHT))


def assert_alike(found: ComparisonRun) -> None:
    comparison = found.comparison
    assert [row.verdict for row in comparison.rows] == [Verdict.SAME] * 6
    steps = {step.cause: step.same for step in comparison.steps}
    assert steps[Cause.FRAMING]
    assert not {Cause.INTERPOLATION, Cause.LUMA} & steps.keys()


def test_boxes_lie_where_edge_impulse_has_them(emitted: Convert) -> None:
    export = SAMPLES / "exports" / "table-yolov5-2025.zip"
    folder = emitted(export, "--resize", "graph", "--frame", "320x180", "--role", "pgie")
    photos = [photo(path, (320, 180)) for path in sorted((SAMPLES / "pictures" / "table").iterdir())[:6]]
    found = compared(config_of(folder), export, *photos, tolerance=1e-3)
    pairs = [pair for row in found.rows for pair in row.pairs]
    assert len(pairs) >= 6
    assert {pair.what for pair in pairs} == {"matched"}
    assert max(pair.shift or 0 for pair in pairs) < 0.01


def test_other_pictures_are_scaled_first(resizing: Path, fruit_export: Path) -> None:
    found = compared(config_of(resizing), fruit_export, *noise(3, 320, 180), tolerance=_TIGHT)
    assert [causes(row) for row in found.rows] == [["framing"]] * 3
    assert found.comparison.reasons[0].hint == "give [streammux] width=160 and height=90"
    square = compared(config_of(resizing), fruit_export, photo(_FRUIT, (90, 90)), tolerance=_TIGHT)
    assert causes(square.rows[0]) == ["framing"]
    assert not next(step for step in square.comparison.steps if step.cause is Cause.FRAMING).same


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"net-scale-factor": 0.00392156862745098}, "scaling"),
        ({"offsets": "99;99;99"}, "scaling"),
        ({"model-color-format": 1}, "colour"),
    ],
)
def test_a_wrong_key(
    resizing: Path, fruit_export: Path, tmp_path: Path, keys: dict[str, object], wanted: str
) -> None:  # fmt: skip
    found = compared(changed(resizing, tmp_path, keys), fruit_export, photo(_FRUIT, _SIZE), tolerance=_TIGHT)
    assert [causes(row) for row in found.rows] == [[wanted]]


def test_a_model_for_another_size_is_refused(resizing: Path, fruit_export: Path, tmp_path: Path) -> None:
    config = changed(resizing, tmp_path, {})
    (tmp_path / "report.json").unlink()
    (path,) = tmp_path.glob("*.onnx")
    model = onnx.load_model(path)
    for entry in model.metadata_props:
        if entry.key == "ei_deepstream.resize":
            entry.value = "95;96"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"^the network takes 160x90 pixels"), judged(config, fruit_export):
        pass
