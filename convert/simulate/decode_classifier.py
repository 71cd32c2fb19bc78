"""Classifier outputs: each output of the network is one attribute, its class the first maximum above the threshold.

`ClassifyPostprocessor::parseAttributesFromSoftmaxLayers` (nvdsinfer_context_impl_output_parsing.cpp) and, with the
same arithmetic and labels of its own, `NvDsInferClassiferParseCustomSoftmax` of the stock library. What is attached to
the frame is decided by `attach_metadata_classifier` (gstnvinfer_meta_utils.cpp): nothing while the label is empty.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.simulate.decode_boxes import Drop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.simulate.decode_tensors import Layer
    from convert.simulate.settings import Settings

__all__ = ["Attribute", "Classified", "classify"]

_STOCK_LABELS = ("coupe1", "largevehicle1", "sedan1", "suv1", "truck1", "van1")
"""What NvDsInferClassiferParseCustomSoftmax calls the classes of its first output."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """What one output says. `label` is None where the label file has none; `confidence` is a float32 value."""

    attribute: int
    class_id: int
    confidence: float
    label: str | None


@dataclass(frozen=True, slots=True)
class Classified:
    """One frame or object.

    Attributes:
        attributes: at most one for each output, in engine order.
        label: every label followed by a blank.
        dropped: why an output gave nothing to show; only where it was asked for.
    """

    attributes: tuple[Attribute, ...]
    label: str
    dropped: tuple[Drop, ...] = ()

    @property
    def attached(self) -> bool:
        """Whether anything reaches the frame's metadata."""
        return bool(self.attributes and self.label)


def classify(settings: Settings, outputs: Sequence[Layer], frames: int, *, why: bool = False) -> tuple[Classified, ...]:
    """Decode a batch.

    Args:
        settings: labels and threshold; a class counts when its number is above the threshold and above 0. NaN never
            is. The first of equal numbers wins.
        outputs: in engine order. Only the first dimension behind the batch counts: of [C,2,2] the first C numbers in
            memory are looked at, of [1,C] the first one.
        frames: in the batch.
        why: fill `dropped`.

    Raises:
        InputError: an output is too short for float32 numbers.
    """
    stock = settings.classifier_parser != ""
    attributes: list[list[Attribute]] = [[] for _ in range(frames)]
    dropped: list[list[Drop]] = [[] for _ in range(frames)]
    for number, layer in enumerate(outputs):
        for frame, probabilities in enumerate(_probabilities(layer, frames)):
            class_id, value = _best(probabilities)
            if value > settings.classifier_threshold and value > 0:
                label = _label(settings, number, class_id, stock=stock)
                attributes[frame].append(Attribute(number, class_id, value, label))
                if why and label is None:
                    dropped[frame].append(Drop("labelfile-path", class_id, number + 1, class_id, value))
            elif why:
                limit = max(settings.classifier_threshold, 0.0)
                dropped[frame].append(Drop("classifier-threshold", value, limit, class_id, value))
    return tuple(
        Classified(tuple(some), _text(some, stock=stock), tuple(lost))
        for some, lost in zip(attributes, dropped, strict=True)
    )


def _probabilities(layer: Layer, frames: int) -> NDArray[np.float32]:
    """[frames, C]: the first C numbers of each frame."""
    classes = layer.dims[0]
    if layer.is_float:
        return layer.array.reshape(layer.frames, -1)[:frames, :classes]
    return np.stack([layer.floats(frame, classes)[:classes] for frame in range(frames)])


def _label(settings: Settings, attribute: int, class_id: int, *, stock: bool) -> str | None:
    if stock and attribute == 0 and class_id < len(_STOCK_LABELS):
        return _STOCK_LABELS[class_id]
    return settings.attribute_label(attribute, class_id)


def _text(attributes: list[Attribute], *, stock: bool) -> str:
    """nvinfer adds the labels the stock function left out behind those it gave."""
    own = [one for one in attributes if stock and one.attribute == 0 and one.class_id < len(_STOCK_LABELS)]
    others = [one for one in attributes if one not in own]
    return "".join(f"{one.label} " for one in [*own, *others] if one.label is not None)


def _best(probabilities: NDArray[np.float32]) -> tuple[int, float]:
    """The first maximum, NaN left out: if that one does not count, none does."""
    class_id = int(probabilities.argmax())  # the first NaN, where there is one
    value = float(probabilities[class_id])
    if math.isnan(value):
        class_id = int(np.where(np.isnan(probabilities), -np.inf, probabilities).argmax())
        value = float(probabilities[class_id])
    return class_id, value
