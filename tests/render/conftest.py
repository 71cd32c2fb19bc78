"""A simulation as the runner makes it: a detector of a street and a classifier behind it, pictures of three sizes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.images.scaling import Network, Rect
from convert.simulate.decode import Classification
from convert.simulate.results import DetectedObject, DroppedCandidate, FrameResult, SimulatedEngine, Simulation
from convert.simulate.settings import ClassSettings, NetworkType, ScalingFilter, Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = ("person", "car", "リンゴ", "bus")


@dataclass(frozen=True)
class Street:
    simulation: Simulation
    pixels: dict[str, NDArray[np.uint8]]


@pytest.fixture(scope="session")
def street() -> Street:
    detector = SimulatedEngine(
        Path("config_infer_primary_street.txt"),
        Path("street.onnx"),
        Settings(
            NetworkType.DETECTOR,
            labels=tuple((label,) for label in LABELS),
            classes=(ClassSettings(np.float32(0.2).item(), topk=20, nms_iou_threshold=0.5),) * 4,
            parser="NvDsInferParseCustomTfSSD",
            keep_aspect=True,
            symmetric=True,
            scaling_filter=ScalingFilter.BILINEAR,
            scale=np.float32(1 / 255).item(),
        ),
        Network(3, 320, 320),
        metadata=(("project", "Street"),),
    )
    classifier = SimulatedEngine(
        Path("config_infer_secondary_state.txt"),
        Path("state.onnx"),
        Settings(
            NetworkType.CLASSIFIER,
            unique_id=2,
            on_objects=True,
            batch_size=8,
            labels=(("parked", "moving"),),
            classifier_threshold=0.5,
            operate_on_gie_id=1,
            operate_on_class_ids=frozenset({1}),
            input_object_min=(16, 16),
            scale=np.float32(1 / 127.5).item(),
            offsets=(127.5,) * 3,
        ),
        Network(3, 96, 96),
        ("super-sampling (GPU) or 10-tap (VIC) is approximated by the mean of the covered pixels",),
    )
    below = "confidence 0.18 is below pre-cluster-threshold=0.2"
    frames = (
        FrameResult(
            "crossing", Path("crossing.jpg"), 640, 360, None,
            objects=(
                DetectedObject(
                    1, 1, "car", 0.9375, Rect(40, 120, 200, 120),
                    classifications=(Classification(2, 0, 0, 0.875, "parked"),),
                ),
                DetectedObject(
                    1, 1, "car", 0.5, Rect(300, 140, 90, 60), classifications=(Classification(2, 0, 1, 0.75, "moving"),)
                ),
                DetectedObject(1, 0, "person", 0.625, Rect(500, 100, 40, 120)),
                DetectedObject(
                    1, 1, "car", 0.25, Rect(600, 20, 12, 10), skipped=("engine 2 does not look at it: 12 x 10",)
                ),
            ),
            dropped=(DroppedCandidate(1, "pre-cluster-threshold", below, 3, 0.1796875, "bus", Rect(0, 0, 60, 60)),),
        ),
        FrameResult(
            "crop", Path("crop.png"), 96, 96, None,
            objects=(DetectedObject(1, 2, "リンゴ", 0.8125, Rect(16, 16, 40, 40)),),
            notes=("It lay on its side and was turned.",),
        ),
        FrameResult(
            "night", Path("night.jpg"), 360, 640, None,
            dropped=(
                DroppedCandidate(1, "pre-cluster-threshold", below, 1, 0.1796875, "car", Rect(30, 300, 200, 100)),
                DroppedCandidate(
                    1, "topk", "number 21 of its class, topk=20", 0, 0.15625, "person", Rect(0, 0, 20, 40)
                ),
            ),
        ),
        FrameResult("empty", Path("empty.jpg"), 640, 480, None),
    )  # fmt: skip
    random = np.random.default_rng(3)
    pixels = {}
    for frame in frames:
        coarse = random.integers(0, 256, (frame.height // 8, frame.width // 8, 3), dtype=np.uint8)
        pixels[frame.name] = coarse.repeat(8, axis=0).repeat(8, axis=1)
    return Street(Simulation((detector, classifier), frames, {"infer": 1.25}), pixels)
