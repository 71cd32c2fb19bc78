"""From a batch of engine outputs to what nvinfer finds in each frame: the one entry for classifiers and detectors.

    decoded = decode(settings, network, [Layer.of("y", array)])
    decoded.frames[0]                       # Classified or Detected
    attach(settings, view, decoded.frames[0].objects)   # convert.simulate.metadata: pixels of the frame

Which parser runs, and what an error in it leads to, is nvdsinfer_context_impl.cpp's. What cannot be computed is refused
by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError, UnsupportedModelError
from convert.images.placement import Network
from convert.simulate import decode_detectnet, decode_ssd, decode_tao
from convert.simulate.cluster import check, cluster, thresholds
from convert.simulate.decode_boxes import Boxes, Dropped
from convert.simulate.decode_classifier import Classified, classify
from convert.simulate.decode_tensors import Layer, ParserFailed
from convert.simulate.settings import STOCK_LIBRARY, NetworkType, Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["PARSERS", "Decoded", "Detected", "Detection", "decode"]

Parser = Callable[[Sequence[Layer], int, Network, "NDArray[np.float32]", Dropped | None], Boxes]

PARSERS: dict[str, Parser] = {
    "": decode_detectnet.builtin,
    "NvDsInferParseCustomResnet": decode_detectnet.resnet,
    "NvDsInferParseCustomTfSSD": decode_ssd.tf_ssd,
    "NvDsInferParseCustomNMSTLT": decode_tao.nms,
    "NvDsInferParseCustomBatchedNMSTLT": decode_tao.batched_nms,
    "NvDsInferParseYoloV5CustomBatchedNMSTLT": decode_tao.yolov5_batched_nms,
    "NvDsInferParseCustomEfficientDetTAO": decode_tao.efficientdet,
}
"""parse-bbox-func-name -> what is computed; "" is the built-in parser."""

_CLASSIFIER_PARSERS = ("", "NvDsInferClassiferParseCustomSoftmax")

# In the stock library, and not computed here.
_REFUSED = {
    "NvDsInferParseCustomDDETRTAO": "it reads behind the end of its own list, so its results are not determined",
    "NvDsInferParseCustomRTDETRTAO": "it is not simulated",
    "NvDsInferParseCustomYoloV11OBB": "it gives rotated boxes, which are not simulated",
    "NvDsInferParseCustomMrcnnTLT": "it gives masks, which are not simulated",
    "NvDsInferParseCustomMrcnnTLTV2": "it gives masks, which are not simulated",
}


@dataclass(frozen=True, slots=True)
class Detection:
    """One object: class, label (None without one), box in pixels, confidence; all numbers are float32 values."""

    class_id: int
    label: str | None
    left: float
    top: float
    width: float
    height: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Detected:
    """One frame or object of a detector.

    Attributes:
        objects: behind clustering, in network pixels, in nvinfer's order.
        dropped: candidates that fell out, in network pixels; only where it was asked for.
    """

    objects: tuple[Detection, ...]
    dropped: Dropped | None = None


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch.

    Attributes:
        frames: all of one kind.
        failure: why NVIDIA's parser gives up on every frame, "" where it does not. nvinfer goes on with results it
            never wrote, so on a device anything may be shown; here the frames are empty.
    """

    frames: tuple[Classified, ...] | tuple[Detected, ...]
    failure: str = ""


def decode(settings: Settings, network: Network, outputs: Sequence[Layer], *, why: bool = False) -> Decoded:
    """What nvinfer makes of the outputs of one batch.

    Args:
        settings: of the config.
        network: the network's input, which boxes are measured in.
        outputs: in engine order, equally many frames in each.
        why: keep a record of what falls out (`dropped`); costs about as much again.

    Raises:
        UnsupportedModelError: the network type, parser function or clustering cannot be computed; its name is said.
        InputError: the outputs do not fit each other or the parser, or nvinfer's process would die of them.
    """
    frames = _frames(outputs)
    if settings.network_type is NetworkType.CLASSIFIER:
        _known(settings.classifier_parser, _CLASSIFIER_PARSERS)
        return Decoded(classify(settings, outputs, frames, why=why))
    if settings.network_type is not NetworkType.DETECTOR:
        name = settings.network_type.name.lower().replace("_", " ")
        raise UnsupportedModelError(
            f"network-type={int(settings.network_type)} ({name}) is not simulated",
            hint="classifiers (network-type=1) and detectors (0) are",
        )
    _known(settings.parser, PARSERS)
    check(settings.cluster_mode, settings.classes)
    parser, limits = PARSERS[settings.parser], thresholds(settings.classes)
    found: list[Detected] = []
    for frame in range(frames):
        dropped = Dropped() if why else None
        # overflow and NaN are values like any other in C
        with np.errstate(over="ignore", invalid="ignore"):
            try:
                candidates = parser(outputs, frame, network, limits, dropped)
            except ParserFailed as failed:
                return Decoded((Detected((), dropped),) * frames, str(failed))
            boxes = cluster(settings.cluster_mode, settings.classes, candidates, dropped)
        found.append(Detected(detections(boxes, settings), dropped))
    return Decoded(tuple(found))


def detections(boxes: Boxes, settings: Settings) -> tuple[Detection, ...]:
    """Boxes with their labels."""
    columns = (boxes.class_id, boxes.left, boxes.top, boxes.width, boxes.height, boxes.confidence)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(Detection(class_id, settings.label(class_id), *numbers) for class_id, *numbers in rows)


def _frames(outputs: Sequence[Layer]) -> int:
    counts = {layer.frames for layer in outputs}
    if len(counts) != 1:
        said = ", ".join(f"{layer.name!r} {layer.frames}" for layer in outputs) or "none"
        raise InputError(
            f"the outputs do not belong to one batch (frames: {said})",
            hint="a model whose output keeps batch 1 gives frame 2 and later what happens to lie in memory",
        )
    return counts.pop()


def _known(function: str, known: Sequence[str] | dict[str, Parser]) -> None:
    if function in _REFUSED:
        raise UnsupportedModelError(f"{function} is in {STOCK_LIBRARY}, but {_REFUSED[function]}")
    if function not in known:
        raise UnsupportedModelError(
            f"there is no function {function} in {STOCK_LIBRARY}: nvinfer refuses the config (CUSTOM_LIB_FAILED)",
            hint="one of " + ", ".join(name for name in known if name),
        )
