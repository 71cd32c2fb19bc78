"""DeepStream's side: the engine, with what it was converted to give and what the network itself gave.

The graph of a detector that `convert` made goes on behind the network's own outputs, which keep a name inside it
(`convert.validate.decoding`). They make it possible to decode one network by both rules, and to let the graph's end
work on what the original gave.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.artifacts import Limits
from convert.errors import InputError, ValidationError
from convert.graph.preprocessing import preprocessing
from convert.heads import head
from convert.simulate.settings import NetworkType
from convert.validate import runtime
from convert.validate.decoding import raw_names, with_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.against.trained import Trained
    from convert.artifacts import Limits, Preprocessing
    from convert.simulate.engine import Loaded

__all__ = ["Shown", "load_shown"]


@dataclass(frozen=True)
class Shown:
    """The primary engine.

    Attributes:
        expected: what nvinfer should do with a picture's levels, for the model to get what it was trained on.
        task: of the original.
        raw: names of the network's own outputs inside the model; empty where there are none.
        left, top: where in the network's picture that of the original begins: above 0 where the graph crops.
        limits: of an SSD's own post-processing.
    """

    loaded: Loaded
    task: str
    expected: Preprocessing
    raw: tuple[str, ...]
    left: int
    top: int
    limits: Limits | None
    _session: Any = field(repr=False)
    _tail: Any = field(repr=False)

    @property
    def score(self) -> str:
        """What a YOLO's scores are, as the ONNX model records it: "product" or "objectness"."""
        return self.loaded.engine.recorded.score or "product"

    @property
    def overlap(self) -> float | None:
        """From which on the graph itself drops the weaker of two boxes, as the ONNX model records it."""
        return self.loaded.engine.recorded.overlap

    @property
    def coordinates(self) -> str | None:
        """What a YOLO's raw boxes are measured in, as the ONNX model records it."""
        return self.loaded.engine.recorded.coordinates

    def __call__(self, tensor: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Outputs and raw outputs by name, [1,...], for one input without batch.

        Raises:
            InputError, ValidationError: the model fails.
        """
        if self._session is None:
            return {layer.name: layer.array for layer in self.loaded.infer(tensor[None])}
        names = (output.name for output in self._session.get_outputs())
        return dict(zip(names, runtime.run(self._session, tensor[None]), strict=True))

    def behind(self, raw: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """Outputs and raw outputs by name from the original's raw outputs [1,...], which take the network's place.

        Raises:
            ValidationError: they are not those of such a network.
        """
        if self._tail is None:
            return dict(zip(self.loaded.outputs, raw, strict=False))
        feeds = {
            name: np.ascontiguousarray(values)
            for name, values in zip(self.raw, head(self.task).as_graph(raw), strict=True)
        }
        try:
            shipped = self._tail.run(None, feeds)
        except Exception as error:  # ONNX Runtime's exceptions share no other base class
            reason = " ".join(str(error).split())
            raise ValidationError(f"the end of the ONNX model does not fit the original's outputs: {reason}") from error
        return {**dict(zip(self.loaded.outputs, shipped, strict=True)), **feeds}


def load_shown(loaded: Loaded, trained: Trained) -> Shown:
    """The model of the engine `loaded`, beside the original.

    Raises:
        InputError: it takes other pictures than the original, or is of another kind.
        ValidationError: ONNX Runtime refuses it.
        PresetError: the original's image scaling does not fit its channels.
    """
    engine = loaded.engine
    assert engine.model is not None
    detects = engine.settings.network_type is NetworkType.DETECTOR
    if detects is not head(trained.task).detects:
        raise InputError(
            f"network-type={int(engine.settings.network_type)}, and the original is a {trained.task} model",
            path=engine.config, hint="0 is for detectors, 1 for classifiers",
        )  # fmt: skip
    height, width, channels = trained.original.size
    network = engine.network
    across, down = network.width - width, network.height - height
    if network.channels != channels or across < 0 or down < 0:
        raise InputError(
            f"the network takes {network.width}x{network.height} pixels with {network.channels} channels, the original "
            f"{width}x{height} with {channels}",
            path=engine.model, hint="compare with the original of the same project and version",
        )  # fmt: skip
    data = engine.model.read_bytes() if detects else b""
    raw = raw_names(data) if detects else ()
    known = replace(trained.export.metadata, image_scaling=trained.original.scaling)
    expected, _ = preprocessing(replace(trained.export, metadata=known))
    return Shown(
        loaded, trained.task, expected, raw, across // 2, down // 2, _limits(engine.recorded.limits, trained),
        runtime.load(with_raw(data)) if raw else None,
        runtime.load(_tail(data, raw)) if raw else None,
    )  # fmt: skip


def _tail(model: bytes, raw: Sequence[str]) -> bytes:
    """What stands behind the network's own outputs, as a model."""
    import onnx  # noqa: PLC0415 - heavy, and classifiers do without
    from onnx.utils import Extractor  # noqa: PLC0415

    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model))
    tail = Extractor(proto).extract_model(list(raw), [output.name for output in proto.graph.output])
    return bytes(tail.SerializeToString())


def _limits(recorded: Limits | None, trained: Trained) -> Limits | None:
    """As recorded in the ONNX model, else as the original's last operator says."""
    own = head(trained.task).limits(trained.original.model)
    if own is None:
        return None
    return recorded or own
