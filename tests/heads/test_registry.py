"""The registry: one entry a head, and nothing heavy to read it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from convert.__main__ import main
from convert.emit.config import head_preset
from convert.errors import PresetError
from convert.export.unpack import Unpack
from convert.files import configs
from convert.heads import CONVERTIBLE, HEADS, UNKNOWN, Fit, LastLayer, head, possible_heads


def test_what_stands_in_files() -> None:
    """Ids stand in reports and ONNX metadata, Edge Impulse's numbers and names in its exports: both are a promise."""
    assert {each.id: each.last_layer for each in HEADS} == {
        "classifier": None, "fomo": (2, "FOMO"), "ssd": (1, "SSD"), "end-to-end": None, "yolov5": (3, "YOLOV5"),
        "yolov5-drpai": (5, "YOLOV5_V5_DRPAI"), "yolox": (4, "YOLOX"), "yolo-pro": (12, "YOLO_PRO"),
        "yolov2": (11, "YOLOV2"), "yolov7": (6, "YOLOV7"), "yolov11": (13, "YOLOV11"),
        "yolov11-abs": (14, "YOLOV11_ABS"), "tao-retinanet": (7, "TAO_RETINANET"), "tao-ssd": (8, "TAO_SSD"),
        "tao-yolov3": (9, "TAO_YOLOV3"), "tao-yolov4": (10, "TAO_YOLOV4"), "anomaly": None, "not-image": None,
        "unknown": None,
    }  # fmt: skip
    assert all(head(each.id) is each for each in HEADS)
    with pytest.raises(ValueError, match=r"^'nonsense' is no known head$"):
        head("nonsense")


def test_every_head_that_can_be_converted_has_a_preset_and_no_other() -> None:
    assert {path.stem for path in (configs() / "heads").glob("*.toml")} == set(CONVERTIBLE)
    for task in CONVERTIBLE:
        preset = head_preset(task)
        assert preset.labels == ("one-per-line" if head(task).detects else "one-line")
        assert (preset.property["network-type"] == 0) is head(task).detects


def test_every_head_that_can_be_converted_is_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "--help"]) == 0
    assert ",".join(CONVERTIBLE) in "".join(capsys.readouterr().out.split())
    with pytest.raises(PresetError, match="no --task 'nonsense'") as caught:
        Unpack(task="nonsense")
    assert "end-to-end" in str(caught.value.hint)


def test_raw_outputs_have_names_where_the_graph_goes_on() -> None:
    assert all(bool(head(task).raw) is head(task).detects for task in CONVERTIBLE)


def test_reading_the_registry_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from convert.heads import HEADS, LastLayer, possible_heads\n"
        "assert possible_heads(LastLayer(96, 96, (1, 12, 12, 3), frozenset({'SOFTMAX'})))[0] == 'fomo'\n"
        "print([name for name in ('numpy', 'onnx', 'ai_edge_litert') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("output", "first", "others"),
    [
        ((1, 7), "classifier", {"yolov7"}),
        ((1, 20, 20, 3), "fomo", {"anomaly", "yolov2"}),
        ((1, 1575, 17), "yolov5", {"yolov5-drpai", "yolov7", "tao-ssd", "tao-yolov3", "tao-yolov4", "tao-retinanet"}),
        ((1, 525, 7), "yolox", {"yolo-pro", "yolov11", "yolov11-abs"}),
        ((1, 17, 525), "yolov11", {"yolov11-abs"}),
        ((1, None, 7), UNKNOWN, set()),
    ],
)
def test_what_a_shape_can_be(output: tuple[int | None, ...], first: str, others: set[str]) -> None:
    found = possible_heads(LastLayer(160, 160, output, frozenset({"SOFTMAX"})))
    assert found[0] == first
    assert set(found[1:]) == others


def test_where_no_head_is_likely_any_that_could_be_is_possible() -> None:
    layer = LastLayer(160, 160, (1, 1000, 17), frozenset())
    found = possible_heads(layer)
    assert found[0] == UNKNOWN
    assert {"yolov5", "yolox", "yolo-pro", "yolov7", "yolov11", "tao-ssd"} <= set(found)
    assert not {"fomo", "classifier", "ssd"} & set(found)
    assert head("yolov5").fit(layer) is Fit.POSSIBLE
