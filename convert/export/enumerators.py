"""Edge Impulse's enumerations, as `model_metadata.h` and `model_variables.h` spell and number them.

Numbers and names are those of the SDK's `ei_constants.h` and of older `model_metadata.h`; a macro may hold either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from convert.artifacts import ImageScaling, ResizeMode
from convert.heads import HEADS, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ANOMALY",
    "DATATYPE",
    "ENGINE",
    "LAST_LAYER",
    "NOT_CAMERAS",
    "RESIZE",
    "SCALING",
    "SENSOR",
    "VISUAL_ANOMALY",
    "Enumeration",
]


class Enumeration:
    """One enumeration.

    Args:
        prefix: what its enumerators' names start with.
        values: name without prefix -> what we call it.
        numbers: number -> name without prefix.
    """

    def __init__(self, prefix: str, values: Mapping[str, str], numbers: Mapping[int, str]) -> None:
        self.prefix = prefix
        self._values = values
        self._numbers = numbers

    def by_name(self, name: str) -> str | None:
        """Our value of the enumerator `name` (with prefix), None for an unknown one."""
        return self._values.get(name.removeprefix(self.prefix)) if name.startswith(self.prefix) else None

    def by_number(self, number: int) -> str | None:
        """Our value of `number`, None for an unknown one."""
        return self._values.get(self._numbers.get(number, ""))


def _numbered(prefix: str, names: Mapping[int, str]) -> Enumeration:
    return Enumeration(prefix, {name: name.lower() for name in names.values()}, names)


RESIZE: Final = Enumeration(
    "EI_CLASSIFIER_RESIZE_",
    {mode.name: mode.value for mode in ResizeMode},
    dict(enumerate(mode.name for mode in ResizeMode)),
)
"""Studio 1.57.2 and later: none 0, fit-shortest 1, fit-longest 2, squash 3."""

_SCALINGS: Final = {
    "NONE": ImageScaling.NONE,
    "0_255": ImageScaling.FROM_0_TO_255,
    "TORCH": ImageScaling.TORCH,
    "MIN1_1": ImageScaling.MINUS_1_TO_1,
    "MIN128_127": ImageScaling.MINUS_128_TO_127,
    "BGR_SUBTRACT_IMAGENET_MEAN": ImageScaling.BGR_MINUS_IMAGENET_MEAN,
}
SCALING: Final = Enumeration("EI_CLASSIFIER_IMAGE_SCALING_", _SCALINGS, dict(enumerate(_SCALINGS)))

_LAST_LAYERS: Final = {
    -1: ("UNKNOWN", UNKNOWN),
    **{each.last_layer[0]: (each.last_layer[1], each.id) for each in HEADS if each.last_layer},
}
LAST_LAYER: Final = Enumeration(
    "EI_CLASSIFIER_LAST_LAYER_",
    dict(_LAST_LAYERS.values()),
    {number: name for number, (name, _) in _LAST_LAYERS.items()},
)

_SENSORS: Final = ("MICROPHONE", "ACCELEROMETER", "CAMERA", "9DOF", "ENVIRONMENTAL", "FUSION")
SENSOR: Final = _numbered("EI_CLASSIFIER_SENSOR_", {-1: "UNKNOWN", 255: "UNKNOWN", **dict(enumerate(_SENSORS, 1))})

NOT_CAMERAS: Final = frozenset({"microphone", "accelerometer", "9dof", "environmental"})
"""Sensors whose samples are no pictures, whatever shape a processing block gives them; "fusion" may hold a camera."""

_ENGINES: Final = (
    *("UTENSOR", "TFLITE", "CUBEAI", "TFLITE_FULL", "TENSAIFLOW", "TENSORRT", "DRPAI", "TFLITE_TIDL", "AKIDA"),
    *("SYNTIANT", "ONNX_TIDL", "MEMRYX", "ETHOS_LINUX", "ATON", "CEVA_NPN"),
)
ENGINE: Final = _numbered("EI_CLASSIFIER_", {255: "NONE", **dict(enumerate(_ENGINES, 1))})

DATATYPE: Final = _numbered("EI_CLASSIFIER_DATATYPE_", {1: "FLOAT32", 3: "UINT8", 9: "INT8"})
"""TensorFlow Lite's own numbers (`TfLiteType`)."""

ANOMALY: Final = _numbered(
    "EI_ANOMALY_TYPE_", {0: "UNKNOWN", 1: "KMEANS", 2: "GMM", 3: "VISUAL_GMM", 4: "VISUAL_PATCHCORE"}
)
VISUAL_ANOMALY: Final = frozenset({"visual_gmm", "visual_patchcore"})
"""The kinds whose picture model is the anomaly detector itself."""
