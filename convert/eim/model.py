"""The bundle's ONNX model, loaded: features in, the result of a classify answer out.

The road is the device's: pixels 0..255 through the bundle's own preprocessing into the graph. What comes out is decoded
by Edge Impulse's rules, from the network's raw outputs where the graph still holds them under a name (detectors), so
that scores are those an .eim gives, whatever the bundle's outputs were made for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convert.artifacts import Task
from convert.eim import decode
from convert.eim.features import unpack
from convert.errors import InputError
from convert.validate import runtime
from convert.validate.decoding import with_raw
from convert.validate.preprocess import as_nvinfer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from convert.eim.impulse import Impulse

__all__ = ["Answer", "Loaded", "objects"]

_HEAT_MAP, _CANDIDATES = "raw_heat_map", "raw_candidates"  # what `convert.graph.heads` calls raw outputs
_COVERAGE = "cov"


class Answer(NamedTuple):
    """A result as the protocol has it, and how long it took, in seconds."""

    result: dict[str, Any]
    preparing: float
    running: float


class Loaded:
    """A model ready to answer.

    Raises:
        ValidationError: ONNX Runtime refuses the model.
        InputError: its outputs are not what the bundle's report says.
    """

    def __init__(self, impulse: Impulse) -> None:
        self.impulse = impulse
        self._session = runtime.load(_with_raw_outputs(impulse) if impulse.detects else impulse.onnx)
        self._names = [output.name for output in self._session.get_outputs()]
        self.classify(np.zeros(impulse.features, np.float32), impulse.threshold)  # warm, and known to work

    def classify(self, features: NDArray[np.float32], threshold: float, *, as_sdk: bool = False) -> Answer:
        """The result for features [height*width].

        Args:
            features: one float32 a pixel, packed.
            threshold: a detector's.
            as_sdk: merge FOMO's cells with the SDK's slips (see `decode.fomo`).

        Raises:
            ValidationError: the model fails.
        """
        start = time.perf_counter()
        impulse = self.impulse
        picture: NDArray[Any] = unpack(features, impulse.height, impulse.width, impulse.channels)
        tensor = as_nvinfer(picture[np.newaxis], impulse.preprocessing)
        prepared = time.perf_counter()
        outputs = dict(zip(self._names, runtime.run(self._session, tensor), strict=True))
        result = self._result(outputs, threshold, as_sdk=as_sdk)
        return Answer(result, prepared - start, time.perf_counter() - prepared)

    def _result(self, outputs: Mapping[str, NDArray[Any]], threshold: float, *, as_sdk: bool) -> dict[str, Any]:
        impulse = self.impulse
        if not impulse.detects:
            scores = outputs[self._names[0]]
            if scores.size != len(impulse.labels):
                raise InputError(
                    f"the model has {scores.size} scores and the bundle {len(impulse.labels)} labels",
                    hint="convert again",
                )
            return {"classification": decode.classification(scores, impulse.labels)}
        return {"bounding_boxes": [box._asdict() for box in objects(impulse, outputs, threshold, as_sdk=as_sdk)]}


def objects(
    impulse: Impulse, outputs: Mapping[str, NDArray[Any]], threshold: float, *, as_sdk: bool
) -> list[decode.Box]:
    """A detector's boxes by Edge Impulse's rules, from the outputs by name, the raw ones among them where there are.

    Raises:
        InputError: the outputs are not those of such a model.
    """
    found = _fomo(impulse, outputs, threshold, as_sdk=as_sdk) if impulse.task is Task.FOMO else None
    return _boxes(impulse, outputs, threshold) if found is None else found


def _fomo(
    impulse: Impulse, outputs: Mapping[str, NDArray[Any]], threshold: float, *, as_sdk: bool
) -> list[decode.Box] | None:
    """From the raw heat map (background first), else from the coverage; None when there is neither."""
    maps = [outputs[_HEAT_MAP][0, 1:]] if _HEAT_MAP in outputs else []
    maps += [values[0] for name, values in outputs.items() if _COVERAGE in name]
    if not maps:
        return None
    heat = maps[0]
    if heat.ndim != 3 or len(heat) != len(impulse.labels):
        raise InputError(
            f"the heat map {list(heat.shape)} does not fit {len(impulse.labels)} labels", hint="convert again"
        )
    size = (impulse.height, impulse.width)
    return decode.fomo(heat.transpose(1, 2, 0), impulse.labels, threshold, size, as_sdk=as_sdk)


def _boxes(impulse: Impulse, outputs: Mapping[str, NDArray[Any]], threshold: float) -> list[decode.Box]:
    size = (impulse.height, impulse.width)
    if impulse.task is Task.YOLOV5 and (rows := _raw_rows(impulse, outputs)) is not None:
        return decode.yolov5(rows, impulse.labels, threshold, size, impulse.metadata.nms_iou)
    try:
        corners, scores, classes = (outputs[f"detection_{part}"][0] for part in ("boxes", "scores", "classes"))
    except KeyError as error:
        raise InputError(
            f"the bundle's model has no output {error}", hint="convert the export again with this version"
        ) from error
    if impulse.task is Task.SSD:
        # The last operator of an SSD drops overlapping boxes by itself, before anything is cut to whole pixels.
        kept = decode.best(corners, scores, impulse.overlap, impulse.detections, threshold)
        return decode.boxes(corners[kept], scores[kept], classes[kept], impulse.labels, threshold, size)
    overlap = decode.OVERLAP if impulse.metadata.nms_iou is None else impulse.metadata.nms_iou
    return decode.boxes(corners, scores, classes, impulse.labels, threshold, size, overlap=overlap)


def _raw_rows(impulse: Impulse, outputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32] | None:
    """[rows, 5 + labels], boxes 0..1; None where the graph does not hold them in a unit that is known."""
    values = outputs.get(_CANDIDATES)
    if values is None or values.ndim != 3 or values.shape[2] != 5 + len(impulse.labels):
        return None
    rows = np.array(values[0], np.float32)
    if impulse.coordinates == "pixels":
        rows[:, :4] /= np.array([impulse.width, impulse.height] * 2, np.float32)
    return rows if impulse.coordinates in {None, "relative", "pixels"} else None


def _with_raw_outputs(impulse: Impulse) -> bytes:
    """The model with its raw tensors as outputs, too."""
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - comes with onnx, which classifiers do without

    try:
        return with_raw(impulse.onnx)
    except DecodeError as error:
        raise InputError(f"{impulse.name}.onnx is not an ONNX model", hint="convert again") from error
