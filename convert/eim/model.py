"""The bundle's ONNX model, loaded: features in, the result of a classify answer out.

The model of a whole impulse takes samples as clients send them, and gives scores.

Pictures are preprocessed as on the device: levels 0..255 through the bundle's own preprocessing into the graph. Outputs
are decoded by Edge Impulse's rules, for detectors from the network's raw tensors where the graph still names them, so
that scores are those an .eim gives, whatever the bundle's own outputs are scaled to.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from convert.compare.edge_impulse import unpack
from convert.eim.bundle import SampledImpulse
from convert.errors import InputError
from convert.heads import head
from convert.heads.base import Rules
from convert.types import Limits
from convert.validate import runtimes
from convert.validate.comparison import with_raw
from convert.validate.inputs import as_nvinfer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.eim.bundle import Impulse


def loaded(impulse: Impulse | SampledImpulse) -> Loaded | LoadedSamples:
    """The model of a bundle; raises as the two do."""
    return LoadedSamples(impulse) if isinstance(impulse, SampledImpulse) else Loaded(impulse)


class TimedResult(NamedTuple):
    """The `result` of a classify answer; seconds of preprocessing and of inference."""

    result: dict[str, Any]
    preparing: float
    running: float


class Loaded:
    """A model that is loaded and has run once.

    Attributes:
        provider: of ONNX Runtime that it runs on.
        missing: why that is not the one that was asked for; empty: it is.

    Raises:
        ValidationError: ONNX Runtime refuses the model.
        InputError: its outputs are not what the bundle's report says.
    """

    def __init__(self, impulse: Impulse) -> None:
        self.impulse = impulse
        model = with_raw(impulse.onnx) if impulse.detects else impulse.onnx
        self._session, self.missing = runtimes.load_on(model, impulse.provider, impulse.cache)
        self.provider = str(self._session.get_providers()[0])
        self._names = [output.name for output in self._session.get_outputs()]
        self.answer(np.zeros(impulse.input_size, np.uint8), impulse.threshold)  # the first run is slow, and may fail

    def classify(self, features: NDArray[np.float32], threshold: float, *, as_sdk: bool = False) -> TimedResult:
        """The result for features [height*width].

        Args:
            features: one float32 a pixel, packed.
            threshold: a detector's.
            as_sdk: merge FOMO's cells with the SDK's faults (`convert.heads.fomo`).

        Raises:
            ValidationError: the model fails.
        """
        start, impulse = time.perf_counter(), self.impulse
        levels = unpack(features, impulse.height, impulse.width, impulse.channels)
        unpacked = time.perf_counter() - start
        result, preparing, running = self.answer(levels, threshold, as_sdk=as_sdk)
        return TimedResult(result, unpacked + preparing, running)

    def answer(self, levels: NDArray[Any], threshold: float, *, as_sdk: bool = False) -> TimedResult:
        """The result for a picture's levels [H,W,C], 0..255, of the size the network takes; see `classify`."""
        start, impulse = time.perf_counter(), self.impulse
        tensor = as_nvinfer(levels[np.newaxis], impulse.preprocessing)
        prepared = time.perf_counter()
        outputs = dict(zip(self._names, runtimes.run_onnx(self._session, tensor), strict=True))
        limits = None
        if impulse.overlap is not None:
            limits = Limits(sys.maxsize if impulse.detections is None else impulse.detections, 0.0, impulse.overlap)
        rules = Rules(
            impulse.labels, threshold, (impulse.height, impulse.width), impulse.metadata.nms_iou,
            as_sdk=as_sdk, limits=limits, coordinates=impulse.coordinates,
        )  # fmt: skip
        result = head(impulse.task).decode_shipped(outputs, rules)
        return TimedResult(result, prepared - start, time.perf_counter() - prepared)


class LoadedSamples:
    """The model of a whole impulse that is loaded and has run once; attributes and errors as `Loaded`."""

    def __init__(self, impulse: SampledImpulse) -> None:
        self.impulse = impulse
        # TensorFloat-32 is too coarse for signal processing; libraries of NVIDIA read this when they are loaded.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        self._session, self.missing = runtimes.load_on(impulse.onnx, impulse.provider, impulse.cache)
        self.provider = str(self._session.get_providers()[0])
        self._names = [output.name for output in self._session.get_outputs()]
        wanted = {"scores": len(impulse.labels)} if impulse.labels else {}
        wanted |= {"anomaly": 1} if impulse.anomaly else {}
        found = {name: values.shape[-1] for name, values in self.run(np.zeros((1, impulse.features), "f4")).items()}
        if found != wanted:
            raise InputError("the model's outputs are not those that the bundle's report says", hint="convert again")

    def run(self, windows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Of windows [n,L*A] "scores" [n,C] and "anomaly" [n,1], or one of them.

        Raises:
            ValidationError: the model fails.
        """
        return dict(zip(self._names, runtimes.run_onnx(self._session, windows), strict=True))

    def classify(self, features: NDArray[np.float32], _threshold: float = 0, *, as_sdk: bool = False) -> TimedResult:  # noqa: ARG002
        """The result for a window [L*A]; neither threshold nor `as_sdk` changes it."""
        start = time.perf_counter()
        outputs = self.run(features[np.newaxis])
        result: dict[str, Any] = {}
        if "scores" in outputs:
            result["classification"] = dict(zip(self.impulse.labels, outputs["scores"][0].tolist(), strict=True))
        if "anomaly" in outputs:
            result["anomaly"] = float(outputs["anomaly"][0, 0])
        return TimedResult(result, 0.0, time.perf_counter() - start)
