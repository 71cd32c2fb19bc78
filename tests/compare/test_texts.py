"""What is said of each cause of a difference, and what to do: a table of settings, no model is run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from convert.compare import Cause, Step
from convert.compare.run import CauseTexts
from convert.images import CENTRE, ResizeMode, parse_frame
from convert.images.resizing import Resizing
from convert.images.scaling import Network
from convert.nvinfer.targets import target
from convert.simulate.engine import Preprocessor
from convert.simulate.settings import ClusterMode, ColorFormat, ScalingFilter
from convert.types import Limits

SQUASH, CROP, BARS = ResizeMode.SQUASH, ResizeMode.FIT_SHORTEST, ResizeMode.FIT_LONGEST


def one(**changes: Any) -> SimpleNamespace:
    """The settings of a class."""
    usual = {
        "pre_cluster_threshold": 0.5, "post_cluster_threshold": 0.0, "nms_iou_threshold": 0.25, "topk": -1,
        "detected_min_w": 0, "detected_min_h": 0, "detected_max_w": 0, "detected_max_h": 0,
        "roi_top_offset": 0, "roi_bottom_offset": 0,
    }  # fmt: skip
    return SimpleNamespace(**{**usual, **changes})


def texts(width: int = 320, height: int = 240, **changes: Any) -> CauseTexts:
    """A 96x96 RGB detector of two classes that does everything as Edge Impulse does, but for `changes`."""
    get: dict[str, Any] = {
        "network": (96, 96), "size": (96, 96, 3), "mode": SQUASH, "task": "yolov5", "threshold": 0.5,
        "quantization": "float32", "keep": False, "symmetric": False, "filter": ScalingFilter.BILINEAR,
        "color": ColorFormat.RGB, "expected": "RGB", "scale": 1 / 255, "offsets": (), "mean": None, "factor": 1 / 255,
        "limits": None, "overlap": None, "score": "product", "left": 0, "top": 0, "merge": None, "given": None,
        "in_graph": None, "resizing": None, "classes": (one(), one()), "mode_of_clusters": ClusterMode.NMS,
        "anchor": CENTRE,
        "inside": False,
        "classifier": 0.0, "filtered": (), "labels": ("a", "b"), "shown": ("a", "b"), "on_objects": False,
        "release": "deepstream-7.1",
    } | changes  # fmt: skip
    settings = SimpleNamespace(
        on_objects=get["on_objects"], classifier_threshold=get["classifier"], cluster_mode=get["mode_of_clusters"],
        classes=get["classes"], filter_out_class_ids=get["filtered"], label=lambda number: get["shown"][number],
        attribute_label=lambda layer, number: (("z",) * 9, get["shown"])[layer == 0][number],
        crop_to_roi=get["inside"],
        keep_aspect=get["keep"], symmetric=get["symmetric"], scaling_filter=get["filter"], color=get["color"],
    )  # fmt: skip
    at = target(get["release"], "dgpu")
    mean = None if get["mean"] is None else np.array(get["mean"], np.float32)
    network = Network(3, get["network"][1], get["network"][0])
    prepare = Preprocessor(network, settings, np.float32(get["scale"]), mean)  # type: ignore[arg-type]
    engine = SimpleNamespace(settings=settings, network=network)
    expected = SimpleNamespace(color=get["expected"], net_scale_factor=get["factor"], offsets=get["offsets"])
    names = {"merge": "merge", "threshold": "in_graph", "overlap": "overlap", "anchor": "anchor"}
    recorded = SimpleNamespace(**{name: get[key] for name, key in names.items()})
    shipped = SimpleNamespace(
        loaded=SimpleNamespace(prepare=prepare, engine=engine, target=at), expected=expected, limits=get["limits"],
        score=get["score"], left=get["left"], top=get["top"], resizing=get["resizing"], recorded=recorded,
    )  # fmt: skip
    facts = SimpleNamespace(quantization=get["quantization"])
    original = SimpleNamespace(size=get["size"], facts=facts, overlap=get["given"], labels=get["labels"])
    edge_impulse = SimpleNamespace(
        original=original, resize_mode=get["mode"], anchor=get["anchor"], task=get["task"], threshold=get["threshold"],
        quantized=get["quantization"] != "float32",
    )  # fmt: skip
    return CauseTexts(SimpleNamespace(shipped=shipped, edge_impulse=edge_impulse), width, height)  # type: ignore[arg-type]


UNDECIDED = "drops boxes of any class that overlap by 0.2 or more and cuts boxes to whole pixels"
DROPS = "drops boxes of a class that overlap by more than 0.25"
NEVER = ClusterMode.NONE
OLD = (
    "convert for a newer --target: a graph that drops boxes over all classes needs TensorRT 8.2; DeepStream 6.0 "
    "has 8.0.1 on dgpu"
)

EXACT = {"network": (320, 240), "resizing": Resizing(parse_frame("320x240"), (96, 96), SQUASH)}
LOW = one(pre_cluster_threshold=0.1)
TABLE: list[tuple[Cause, dict[str, Any], str, str, bool, str | None]] = [
    (Cause.FRAMING, {}, "squashes", "squashes", True, None),
    (Cause.FRAMING, {"mode": ResizeMode.NONE}, "squashes", "squashes", True, None),
    (Cause.FRAMING, {"mode": CROP}, "squashes", "crops the centre", False, "convert with --frame 4:3"),
    (Cause.FRAMING, {"mode": CROP, "on_objects": True}, "squashes", "crops the centre", False,
     "retrain with squash: objects have any aspect, nothing can crop them"),
    (Cause.FRAMING, {"mode": CROP, "network": (128, 96), "left": 16},
     "scales to 128x96, of which the model sees the centre", "crops the centre", True, None),
    (Cause.FRAMING, {"mode": CROP, "network": (192, 96), "left": 48},
     "scales to 192x96, of which the model sees the centre", "crops the centre", False,
     "convert again with --frame 4:3"),
    (Cause.FRAMING, {"mode": CROP, "anchor": (0.0, 1.0)}, "squashes", "crops to the bottom left", False,
     "convert with --frame 4:3"),
    (Cause.FRAMING, {"mode": CROP, "anchor": (1.0, 0.5), "network": (128, 96), "left": 32},
     "scales to 128x96, of which the model sees the right", "crops to the right", True, None),
    (Cause.FRAMING, {"mode": CROP, "anchor": (1.0, 0.5), "network": (128, 96), "left": 16},
     "scales to 128x96, of which the model sees the right", "crops to the right", False,
     "convert again with --frame 4:3"),
    (Cause.FRAMING, {"mode": BARS}, "squashes", "adds black bars on both sides", False,
     "maintain-aspect-ratio=1 and symmetric-padding=1"),
    (Cause.FRAMING, {"mode": BARS, "keep": True}, "adds black bars at the right or the bottom",
     "adds black bars on both sides", False, "maintain-aspect-ratio=1 and symmetric-padding=1"),
    (Cause.FRAMING, {"mode": BARS, "keep": True, "symmetric": True}, "adds black bars on both sides",
     "adds black bars on both sides", True, None),
    (Cause.FRAMING, EXACT, "scales to 320x240, where the model squashes", "squashes", True, None),
    (Cause.FRAMING, {**EXACT, "width": 640, "height": 480}, "scales to 320x240, where the model squashes", "squashes",
     False, "give [streammux] width=320 and height=240"),
    (Cause.FRAMING, {**EXACT, "height": 242}, "scales to 320x240, where the model squashes", "squashes",
     False, "give [streammux] width=320 and height=240"),
    (Cause.FRAMING, {"keep": True}, "adds black bars at the right or the bottom", "squashes", False,
     "maintain-aspect-ratio=0"),
    (Cause.INTERPOLATION, {}, "interpolates around pixels' centres", "interpolates from the top left", False,
     "convert again with --frame 320x240 --resize graph"),
    (Cause.INTERPOLATION, {"on_objects": True}, "interpolates around pixels' centres", "interpolates from the top left",
     False, None),
    *(
        (Cause.INTERPOLATION, {"filter": each}, words, "interpolates from the top left", False, "scaling-filter=1")
        for each, words in (
            (ScalingFilter.NEAREST, "takes the nearest pixel"), (ScalingFilter.DEFAULT, "takes the nearest pixel"),
            (ScalingFilter.CUBIC, "interpolates cubically"), (ScalingFilter.SUPER, "averages all pixels"),
            (ScalingFilter.LANCZOS, "uses a Lanczos filter"), (ScalingFilter.NICEST, "uses its nicest filter"),
        )
    ),
    (Cause.LUMA, {}, "makes grey levels before it scales", "scales colours and makes grey of them", False, None),
    (Cause.COLOUR, {}, "gives the model RGB", "gives it RGB", True, None),
    (Cause.COLOUR, {"color": ColorFormat.BGR}, "gives the model BGR", "gives it RGB", False, "model-color-format=0"),
    (Cause.COLOUR, {"expected": "GRAY"}, "gives the model RGB", "gives it GRAY", False, "model-color-format=2"),
    (Cause.SCALING, {}, "scales levels to 0..1", "scales them to 0..1", True, None),
    (Cause.SCALING, {"scale": 1.0}, "scales levels to 0..255", "scales them to 0..1", False,
     "net-scale-factor=0.003921569"),
    (Cause.SCALING, {"factor": 0.5, "offsets": (4.0, 2.0, 3.0)}, "scales levels to 0..1", "scales them to -2..126.5",
     False, "net-scale-factor=0.5 and offsets=4;2;3"),
    (Cause.SCALING, {"scale": 0.5, "mean": (2, 4, 3), "factor": 0.5, "offsets": (4.0, 2.0, 3.0)},
     "scales levels to -2..126.5", "scales them to -2..126.5", True, None),
    (Cause.SCALING, {"mean": [[0.0] * 4]}, "scales levels to 0..1", "scales them to 0..1", True, None),
    (Cause.SCALING, {"mean": (0.0, 0.0, 0.0)}, "scales levels to 0..1", "scales them to 0..1", True, None),
    (Cause.SCALING, {"mean": (0, 0, 255), "offsets": (0, 255, 0)}, "scales levels to -1..1", "scales them to -1..1",
     True, None),
    (Cause.SCALING, {"mean": (0, 0, 255), "offsets": (255,)}, "scales levels to -1..1", "scales them to -1..0", False,
     "net-scale-factor=0.003921569 and offsets=255"),
    (Cause.MODEL, {}, "runs an ONNX model that computes something else", "runs the original", False,
     "convert the original again; ei-deepstream validate measures the two"),
    (Cause.MODEL, {"quantization": "int8"}, "computes in float32", "computes in int8 and rounds", False,
     "judge both on labelled pictures"),
    (Cause.SCORE, {}, "multiplies the objectness by the class's score", "takes the objectness alone", False,
     "convert again without --yolo-score"),
    (Cause.SCORE, {"score": "objectness"}, "takes the objectness", "takes the objectness alone", True, None),
    (Cause.THRESHOLD, {"task": "classifier"}, "hides nothing", "answers with every score", True, None),
    (Cause.THRESHOLD, {"task": "classifier", "classifier": 0.25}, "hides scores up to classifier-threshold=0.25",
     "answers with every score", False, "classifier-threshold=0"),
    (Cause.THRESHOLD, {}, "shows what reaches pre-cluster-threshold=0.5", "shows what reaches 0.5", True, None),
    (Cause.THRESHOLD, {"threshold": 0.3}, "shows what reaches pre-cluster-threshold=0.5", "shows what reaches 0.3",
     False, "pre-cluster-threshold=0.3"),
    (Cause.THRESHOLD, {"classes": (one(post_cluster_threshold=0.75), one(pre_cluster_threshold=0.25))},
     "shows what reaches pre-cluster-threshold=0.25 to 0.5 and post-cluster-threshold=0.75", "shows what reaches 0.5",
     False, "pre-cluster-threshold=0.5, no post-cluster one"),
    (Cause.THRESHOLD, {"classes": (one(post_cluster_threshold=0.75),), "mode_of_clusters": NEVER},
     "shows what reaches pre-cluster-threshold=0.5", "shows what reaches 0.5", True, None),
    (Cause.MERGE, {}, DROPS, UNDECIDED, False, "cluster-mode=2 and nms-iou-threshold=0.2"),
    (Cause.MERGE, {"given": 0.25}, DROPS, UNDECIDED.replace("0.2", "0.25"), False,
     "convert again without --yolo-score"),
    (Cause.MERGE, {"given": 0.25, "mode_of_clusters": NEVER}, "keeps boxes that overlap",
     UNDECIDED.replace("0.2", "0.25"), False, "cluster-mode=2 and nms-iou-threshold=0.25"),
    (Cause.MERGE, {"overlap": 0.2}, f"{UNDECIDED}, then {DROPS}", UNDECIDED, False, "cluster-mode=4"),
    (Cause.MERGE, {"overlap": 0.2, "mode_of_clusters": NEVER}, UNDECIDED, UNDECIDED, True, None),
    (Cause.MERGE, {"overlap": 0.5, "mode_of_clusters": NEVER}, UNDECIDED.replace("0.2", "0.5"), UNDECIDED, False,
     "convert again"),
    (Cause.MERGE, {"given": 0.25, "task": "yolox"}, DROPS, UNDECIDED.replace("0.2", "0.25"), False,
     "convert again without --yolo-score"),
    *(
        (cause, {"given": 0.25, "release": "deepstream-6.0"}, ours, theirs, False,
         OLD)
        for cause, ours, theirs in (
            (Cause.MERGE, DROPS, UNDECIDED.replace("0.2", "0.25")),
            (Cause.SCORE, "multiplies the objectness by the class's score", "takes the objectness alone"),
        )
    ),
    (Cause.MERGE, {"task": "yolox", "score": "objectness"}, f"takes the objectness alone and {DROPS}", UNDECIDED, False,
     "convert again without --yolo-score"),
    (Cause.MERGE, {"given": 0.25, "task": "yolo-pro"}, DROPS,
     UNDECIDED.replace("any class", "a class").replace("0.2", "0.25"), False, None),
    (Cause.MERGE, {"limits": Limits(detections=10, score=0.0, overlap=0.6), "task": "ssd"}, DROPS,
     "keeps 10 boxes at most, drops what overlaps by more than 0.6 and cuts boxes to whole pixels", False,
     "cluster-mode=2 and nms-iou-threshold=0.6"),
    (Cause.MERGE, {"task": "fomo"}, "shows every cell", "merges cells that touch", False,
     "convert with --fomo-merge touching"),
    (Cause.MERGE, {"task": "fomo", "merge": "peak"}, "keeps the highest of neighbouring cells",
     "merges cells that touch", False, "convert with --fomo-merge touching"),
    (Cause.MERGE, {"task": "fomo", "merge": "touching", "in_graph": 0.5}, "merges cells that touch",
     "cuts boxes that grow to the left or upwards and drops those that come to touch late", False, None),
    (Cause.MERGE, {"task": "fomo", "merge": "touching", "in_graph": 0.3}, "merges cells from 0.3 on",
     "merges those from 0.5 on", False, "convert with --threshold 0.5"),
    (Cause.THRESHOLD, {"task": "fomo", "merge": "touching", "in_graph": 0.5, "classes": (LOW,)},
     "shows what reaches pre-cluster-threshold=0.1", "shows what reaches 0.5", True, None),
    (Cause.THRESHOLD, {"task": "fomo", "merge": "touching", "in_graph": 0.3, "classes": (LOW,)},
     "shows what reaches pre-cluster-threshold=0.1", "shows what reaches 0.5", False, "convert with --threshold 0.5"),
    (Cause.LIMITS, {}, "leaves nothing out", "leaves nothing out", True, None),
    (Cause.LIMITS, {"keep": True}, "leaves out objects that end in the black bar below", "leaves nothing out", False,
     "convert again with --resize auto"),
    (Cause.LIMITS, {"keep": True, "on_objects": True}, "leaves out objects that end in the black bar below",
     "leaves nothing out", False, None),
    (Cause.LIMITS, {"keep": True, "inside": True}, "leaves nothing out", "leaves nothing out", True, None),
    (Cause.LIMITS, {"classes": (one(topk=5, detected_min_h=3), one(topk=20, roi_bottom_offset=1)), "filtered": (1,)},
     "leaves out objects by topk=5 to 20, detected-min-h, roi-bottom-offset, filter-out-class-ids",
     "leaves nothing out", False,
     "remove or change topk=5 to 20, detected-min-h, roi-bottom-offset, filter-out-class-ids"),
    (Cause.LIMITS, {"classes": (one(topk=0),)}, "leaves out objects by topk=0, num-detected-classes=1",
     "leaves nothing out", False, "remove or change topk=0, num-detected-classes=1"),
    (Cause.LABELS, {}, "spells labels alike", "spells them alike", True, None),
    (Cause.LABELS, {"shown": ("a", "B")}, "says 'B'", "says 'b'", False, "correct the label file: 'b' is class 1"),
    (Cause.LABELS, {"shown": (None, "B")}, "has no label", "says 'a' (2 labels differ)", False,
     "correct the label file: 'a' is class 0"),
    (Cause.LABELS, {"shown": ("x", "b"), "task": "classifier"}, "says 'x'", "says 'a'", False,
     "correct the label file: 'a' is class 0"),
]  # fmt: skip


@pytest.mark.parametrize(("cause", "changes", "ours", "theirs", "same", "hint"), TABLE)
def test_texts(cause: Cause, changes: dict[str, Any], ours: str, theirs: str, same: bool, hint: str | None) -> None:
    found = texts(**changes)
    if cause is Cause.MODEL and not changes:
        assert found.step(cause) == Step(
            cause, "runs the ONNX model", "runs the .tflite that it was made of", same=True
        )
    else:
        assert found.step(cause) == Step(cause, ours, theirs, same)
    if cause is Cause.FRAMING and same:
        ours, theirs, hint = "rounds where the frame lies to whole and even pixels", "rounds otherwise", None
    assert found.reason(cause) == (f"nvinfer {ours} where Edge Impulse {theirs}", hint)


def test_pictures_of_the_network_s_size_are_not_scaled() -> None:
    assert texts(96, 96).step(Cause.INTERPOLATION).same
    assert not texts(96, 97).step(Cause.INTERPOLATION).same
    assert texts(97, 97, mode=CROP).step(Cause.FRAMING).same, "a pixel of an odd frame is no other framing"


@pytest.mark.parametrize("size", [(321, 240), (320, 20), (5000, 3000)])
def test_frames_that_a_graph_cannot_resize(size: tuple[int, int]) -> None:
    assert texts(*size).reason(Cause.INTERPOLATION)[1] is None


@pytest.mark.parametrize(
    ("width", "height", "frame"),
    [(1920, 1080, "16:9"), (640, 480, "4:3"), (320, 10, "32:1"), (330, 10, "330x10"), (1366, 768, "1366x768")],
)
def test_frames_are_written_as_ratios_where_they_are_short(width: int, height: int, frame: str) -> None:
    assert texts(width, height, mode=CROP).reason(Cause.FRAMING)[1] == f"convert with --frame {frame}"
