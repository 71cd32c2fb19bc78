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


def test_how_edge_impulse_calls_results_and_models() -> None:
    """`ei_fill_result_<layer>_config_t` of its SDK, and `model_type` of its .eim files."""
    same = {
        "fomo", "yolov5", "yolov5-drpai", "yolox", "yolo-pro", "yolov2", "yolov7", "yolov11", "yolov11-abs",
        "tao-retinanet", "tao-ssd", "tao-yolov3", "tao-yolov4",
    }  # fmt: skip
    other = {"classifier": "classification", "ssd": "object_detection"}
    assert {each.id: each.results for each in HEADS if each.results} == {
        **{name: name.replace("-", "_") for name in same}, **other
    }  # fmt: skip
    types = {"classifier": "classification", "fomo": "constrained_object_detection"}
    assert {each.id: each.model_type for each in HEADS if each.model_type != "object_detection"} == types


@pytest.mark.parametrize(
    ("fact", "heads"),
    [
        ("by_objectness", {"yolov5", "yolov5-drpai"}),
        ("drops_all", {"yolov5", "yolov5-drpai", "yolox"}),
        ("merges_cells", {"fomo"}),
        ("gives_grid", {"yolov2", "anomaly"}),
        ("is_cut", {"ssd"}),
        ("is_comparable", set(CONVERTIBLE) - {"end-to-end", "yolov5-drpai"}),
        ("refused", {"yolov2", "yolov7", "anomaly", "not-image", "unknown"}),
        ("rounds", {"yolox"}),
        ("cuts_first", {"yolo-pro", "yolov11", "yolov11-abs"}),
        ("is_measured", {"yolov5", "yolov5-drpai", "yolox", "yolov11", "yolov11-abs"}),
        ("is_turned", {"yolov11", "yolov11-abs"}),
        ("has_objectness", {"yolov5", "yolov5-drpai", "yolox", "tao-yolov3", "tao-yolov4"}),
        ("has_anchors", {"tao-retinanet", "tao-ssd", "tao-yolov3", "tao-yolov4"}),
    ],
)
def test_what_holds_for_which_head(fact: str, heads: set[str]) -> None:
    """Facts of Edge Impulse's SDK, and of the outputs of each network."""
    assert {each.id for each in HEADS if getattr(each, fact, False)} == heads


def test_what_a_head_is_called() -> None:
    """In messages and pages, and in what Edge Impulse writes: the enumeration of last layers, names of its results."""
    assert [(each.id, each.title, each.last_layer, each.results) for each in HEADS] == [
        ("classifier", "classifier", None, "classification"),
        ("fomo", "FOMO object detector", (2, "FOMO"), "fomo"),
        ("ssd", "MobileNet SSD object detector", (1, "SSD"), "object_detection"),
        ("end-to-end", "end-to-end object detector (YOLOv10, YOLO26)", None, ""),
        ("yolov5", "YOLOv5 object detector", (3, "YOLOV5"), "yolov5"),
        ("yolov5-drpai", "YOLOv5 object detector for DRP-AI", (5, "YOLOV5_V5_DRPAI"), "yolov5_drpai"),
        ("yolox", "YOLOX object detector", (4, "YOLOX"), "yolox"),
        ("yolo-pro", "YOLO-Pro object detector", (12, "YOLO_PRO"), "yolo_pro"),
        ("yolov2", "YOLOv2 object detector", (11, "YOLOV2"), "yolov2"),
        ("yolov7", "YOLOv7 object detector", (6, "YOLOV7"), "yolov7"),
        ("yolov11", "YOLOv11 object detector", (13, "YOLOV11"), "yolov11"),
        ("yolov11-abs", "YOLOv11 object detector with absolute boxes", (14, "YOLOV11_ABS"), "yolov11_abs"),
        ("tao-retinanet", "TAO RetinaNet object detector", (7, "TAO_RETINANET"), "tao_retinanet"),
        ("tao-ssd", "TAO SSD object detector", (8, "TAO_SSD"), "tao_ssd"),
        ("tao-yolov3", "TAO YOLOv3 object detector", (9, "TAO_YOLOV3"), "tao_yolov3"),
        ("tao-yolov4", "TAO YOLOv4 object detector", (10, "TAO_YOLOV4"), "tao_yolov4"),
        ("anomaly", "anomaly detector", None, ""),
        ("not-image", "model for sound, motion or other sensor data", None, ""),
        (UNKNOWN, "model of an unknown kind", None, ""),
    ]


def test_why_a_head_is_refused() -> None:
    assert {each.id: each.refused for each in HEADS if each.refused} == {
        "yolov2": "it is made for Akida processors, with anchors and a grid of its own; train a YOLOv5 or FOMO instead",
        "yolov7": "its graph ends in an NMS, and gives as many rows as there are objects; nvinfer needs outputs of a "
        "fixed size: export it without its NMS, or train another detector",
        "anomaly": "Gst-nvinfer has no anomaly detector; if the impulse has a classifier, too, choose it with --model",
        "not-image": "give convert the whole library (C++ or Arduino): of sound and sensor data it makes one ONNX with "
        "the signal processing in front; in Gst-nvinfer, which feeds video, such a model cannot run",
        UNKNOWN: "if you know what it is, say so: --task classifier, --task fomo, --task yolov5, ...",
    }


@pytest.mark.parametrize(
    ("task", "output", "classes"),
    [
        ("classifier", (1, 5), 5), ("classifier", (1, 1, 1, 5), 5), ("classifier", (5, 1), 2), ("classifier", (), None),
        ("fomo", (1, 12, 12, 4), 3), ("yolov5", (1, 42, 8), 3), ("yolox", (1, 42, 8), 3),
        ("yolo-pro", (1, 42, 7), 3), ("yolov11", (1, 7, 42), 3), ("tao-ssd", (1, 42, 16), 3),
        ("tao-yolov4", (1, 42, 14), 3), ("yolov5", (1, 42, None), None), ("yolov7", (1, 126, 8), None),
        ("yolov5", (42, 8), None), ("yolov2", (1, 12, 12, 4), None),
    ],
)  # fmt: skip
def test_how_many_classes_an_output_has(task: str, output: tuple[int | None, ...], classes: int | None) -> None:
    assert head(task).classes(output) == classes


@pytest.mark.parametrize(
    ("task", "output", "fit"),
    [
        ("yolov5", (1, 126, 6), Fit.LIKELY), ("yolov5", (1, 126, 5), Fit.POSSIBLE),
        ("yolov5", (1, 42, 6), Fit.POSSIBLE),
        ("yolov5-drpai", (1, 126, 6), Fit.LIKELY), ("yolox", (1, 42, 5), Fit.LIKELY),
        ("yolox", (1, 42, 4), Fit.POSSIBLE),
        ("yolo-pro", (1, 42, 5), Fit.ALSO), ("yolo-pro", (1, 42, 4), Fit.POSSIBLE),
        ("yolo-pro", (1, 42, 42), Fit.ALSO), ("yolov7", (1, 126, 6), Fit.ALSO), ("yolov7", (1, 126, 5), Fit.POSSIBLE),
        ("yolov7", (1, 7), Fit.ALSO), ("yolov7", (1, 1, 1, 7), Fit.ALSO), ("yolov7", (1, 8), Fit.NO),
        ("yolov11", (1, 5, 42), Fit.LIKELY), ("yolov11", (1, 4, 42), Fit.POSSIBLE), ("yolov11", (1, 42, 5), Fit.ALSO),
        ("tao-ssd", (1, 9, 12), Fit.ALSO), ("tao-ssd", (1, 9, 11), Fit.NO), ("tao-ssd", (1, 20, 42), Fit.NO),
        ("tao-yolov3", (1, 9, 12), Fit.ALSO), ("tao-yolov4", (1, 9, 11), Fit.NO), ("yolov2", (1, 4, 8, 3), Fit.ALSO),
        ("yolov2", (1, 1, 1, 3), Fit.NO), ("yolov2", (1, 4, 8), Fit.NO), ("anomaly", (1, 4, 8, None), Fit.NO),
    ],
)  # fmt: skip
def test_how_well_a_head_fits_an_output(task: str, output: tuple[int | None, ...], fit: Fit) -> None:
    """Of a picture of 64x32 pixels: 32 + 8 + 2 cells in the three grids."""
    assert head(task).fit(LastLayer(32, 64, output, frozenset())) is fit


def test_a_grid_has_a_cell_for_a_part_of_a_picture_too() -> None:
    """Of 65x33 pixels 9x5, 5x3 and 3x2 cells."""
    fits = [head("yolox").fit(LastLayer(33, 65, (1, rows, 5), frozenset())) for rows in (65, 66, 67)]
    assert fits == [Fit.POSSIBLE, Fit.LIKELY, Fit.POSSIBLE]


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
