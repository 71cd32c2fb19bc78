"""What a converted bundle says of itself: the hello answer, with every field eim.cpp of 2026 sends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convert.artifacts import ResizeMode
from convert.eim.impulse import float32
from convert.heads import head

if TYPE_CHECKING:
    from convert.eim.impulse import Impulse
    from convert.eim.memory import Features

__all__ = ["NO_PARAMETER", "hello", "slice_size"]

NO_PARAMETER = "Requires one parameter (either: '--print-info', 'stdin' or the name of a socket)"
"""What an .eim prints when it is started without one."""

_CAMERA = 3  # EI_CLASSIFIER_SENSOR_CAMERA
_SLICES = 4  # EI_CLASSIFIER_SLICES_PER_MODEL_WINDOW
# There is no number for ONNX Runtime. Clients only look for those that want warming up or special hardware, so what is
# not one of the two TensorFlow Lite engines on a CPU is called the first of them.
_ENGINES = {"tflite": 2, "tflite_full": 4}


def slice_size(impulse: Impulse) -> int:
    """Numbers in one `classify_continuous`."""
    return impulse.features // _SLICES


def hello(impulse: Impulse, memory: Features | str) -> dict[str, Any]:
    """The answer to `{"hello": 1}`, without id.

    Args:
        impulse: what answers.
        memory: the shared memory for features, or why there is none.
    """
    recorded = impulse.metadata
    engine = _ENGINES.get((recorded.engine or "").lower(), 2)
    thresholds = []
    if impulse.detects:
        thresholds = [{"id": impulse.block, "type": "object_detection", "min_score": float32(impulse.threshold)}]
    return {
        "success": True,
        "project": {
            "id": recorded.project_id or 0,
            "owner": recorded.project_owner or "",
            "name": recorded.project_name or impulse.name,
            "deploy_version": recorded.deploy_version or 0,
            "impulse_id": recorded.impulse_id or 1,
            "impulse_name": recorded.impulse_name or "Impulse #1",
        },
        "model_parameters": {
            "axis_count": 1,
            "frequency": 0,
            "has_anomaly": 0,
            "has_object_tracking": False,
            "has_performance_calibration": False,
            "image_channel_count": impulse.channels,
            "image_input_frames": 1,
            "image_input_height": impulse.height,
            "image_input_width": impulse.width,
            "image_resize_mode": _resize_mode(impulse),
            "inferencing_engine": engine,
            "input_features_count": impulse.features,
            "interval_ms": 1,
            "label_count": len(impulse.labels),
            "labels": list(impulse.labels),
            "model_type": head(impulse.task).model_type,
            "sensor": _CAMERA,
            "slice_size": slice_size(impulse),
            "thresholds": thresholds,
            "use_continuous_mode": False,
        },
        "inferencing_engine": {"engine_type": engine, "properties": []},
        **({"features_shm_error": memory} if isinstance(memory, str) else {"features_shm": memory.described()}),
    }


def _resize_mode(impulse: Impulse) -> str:
    """Never "none": the official Python client raises at it and the Node.js command line dies of it."""
    mode = impulse.preprocessing.resize_mode
    return ResizeMode.SQUASH.value if mode is None or mode is ResizeMode.NONE else mode.value
