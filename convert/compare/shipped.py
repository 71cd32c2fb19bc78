"""DeepStream's side of a comparison: the engine with the ONNX model that `convert` shipped.

The graph of a detector that `convert` made continues after the network's own outputs, which keep a name inside it
(`convert.validate.comparison`). So one network can be decoded by both sides' rules, and the graph's end can be run on
the original's outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import InputError, ValidationError
from convert.graph.preprocessing import preprocessing
from convert.heads import head
from convert.images import Anchor, Frame, ResizeMode
from convert.images.resizing import Resizing
from convert.simulate.settings import NetworkType
from convert.validate import runtimes
from convert.validate.comparison import raw_names, with_raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert import types
    from convert.compare.edge_impulse_model import EdgeImpulseModel
    from convert.simulate.engine import LoadedEngine


__all__ = ["ShippedModel", "load_shipped"]

_SAME_SHAPE = 0.01  # less than sizes are rounded by: 1366x768 is 16:9


@dataclass(frozen=True)
class ShippedModel:
    """DeepStream's side: the primary engine with the ONNX model that `convert` shipped.

    Attributes:
        expected: what nvinfer should do with a picture's levels, for the model to get what it was trained on.
        task: of the original.
        raw: names of the network's own outputs inside the model; empty where there are none.
        left, top: where in the network's picture that of the original begins: above 0 where the graph crops.
        resizing: how the graph makes the original's picture of a whole frame, where it does.
        limits: of an SSD's own post-processing.
    """

    loaded: LoadedEngine
    task: str
    expected: types.Preprocessing
    raw: tuple[str, ...]
    left: int
    top: int
    resizing: Resizing | None
    limits: types.Limits | None

    @property
    def inside(self) -> tuple[float, float, float, float]:
        """Where the original's picture begins in the network's, and how many of its pixels one of the original has."""
        if self.resizing is None:
            return self.left, self.top, 1.0, 1.0
        left, top, width, height = self.resizing.inside
        return left, top, width / self.resizing.model[0], height / self.resizing.model[1]

    def resizes_as(self, theirs: EdgeImpulseModel, width: int, height: int) -> bool:
        """Whether only the device's scaling keeps the graph from seeing frames of that shape as Edge Impulse does."""
        network = self.loaded.engine.network
        alike = abs(width * network.height / (height * network.width) - 1) < _SAME_SHAPE
        known = self.resizing and (self.resizing.mode, self.resizing.anchor)
        return alike and known == (theirs.resize_mode, theirs.anchor)

    @property
    def score(self) -> str:
        """What a YOLO's scores are, as the ONNX model records it: "product" or "objectness"."""
        return self.loaded.engine.recorded.score or "product"

    @property
    def overlap(self) -> float | None:
        """From which on the graph itself drops the weaker of two boxes, as the ONNX model records it."""
        return self.loaded.engine.recorded.overlap

    @property
    def anchor(self) -> Anchor:
        """Which part of a picture the graph keeps, as the ONNX model records it."""
        return self.loaded.engine.recorded.anchor

    @property
    def coordinates(self) -> str | None:
        """What a YOLO's raw boxes are measured in, as the ONNX model records it."""
        return self.loaded.engine.recorded.coordinates

    def __call__(self, tensor: NDArray[np.float32], *, raw: bool) -> dict[str, NDArray[Any]]:
        """Outputs by name, [1,...], for one input without batch; with `raw` the raw ones, too, where there are any.

        Raises:
            InputError, ValidationError: the model fails.
        """
        if not raw or not self.raw:
            return {layer.name: layer.array for layer in self.loaded.infer(tensor[None])}
        names = (output.name for output in self._with_raw.get_outputs())
        return dict(zip(names, runtimes.run_onnx(self._with_raw, tensor[None]), strict=True))

    def behind(self, raw: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
        """Outputs and raw outputs by name from the original's raw outputs [1,...], which take the network's place.

        Raises:
            ValidationError: they are not those of such a network.
        """
        if not self.raw:
            return dict(zip(self.loaded.outputs, raw, strict=False))
        feeds = {
            name: np.ascontiguousarray(values)
            for name, values in zip(self.raw, head(self.task).as_graph(raw), strict=True)
        }
        try:
            shipped = self._graph_end.run(None, feeds)
        except Exception as error:  # ONNX Runtime's exceptions share no other base class
            reason = " ".join(str(error).split())
            raise ValidationError(f"the end of the ONNX model does not fit the original's outputs: {reason}") from error
        return {**dict(zip(self.loaded.outputs, shipped, strict=True)), **feeds}

    @cached_property
    def _with_raw(self) -> Any:
        """A session with the raw outputs behind the others: made where a cause is looked for, which is seldom."""
        return runtimes.load(with_raw(self._model()))

    @cached_property
    def _graph_end(self) -> Any:
        """A session of what stands behind the network's own outputs."""
        return runtimes.load(_graph_end(self._model(), self.raw))

    def _model(self) -> bytes:
        assert self.loaded.engine.model is not None
        return self.loaded.engine.model.read_bytes()


def load_shipped(loaded: LoadedEngine, edge_impulse: EdgeImpulseModel) -> ShippedModel:
    """The model of the engine `loaded`, beside the original.

    Raises:
        InputError: it takes other pictures than the original, or is of another kind.
        PresetError: the original's image scaling does not fit its channels.
    """
    engine = loaded.engine
    assert engine.model is not None
    detects = engine.settings.network_type is NetworkType.DETECTOR
    if detects is not head(edge_impulse.task).detects:
        raise InputError(
            f"network-type={int(engine.settings.network_type)}, and the original is a {edge_impulse.task} model",
            path=engine.config, hint="0 is for detectors, 1 for classifiers",
        )  # fmt: skip
    height, width, channels = edge_impulse.original.size
    network = engine.network
    known = replace(edge_impulse.export.metadata, image_scaling=edge_impulse.original.scaling)
    export, resizing = replace(edge_impulse.export, metadata=known), None
    if engine.recorded.resize is None:
        across, down = network.width - width, network.height - height
        expected, _ = preprocessing(export)
    else:
        size = network.width, network.height
        frame = engine.recorded.frame or Frame(*size, in_pixels=True)
        mode = engine.recorded.resize_mode or ResizeMode.SQUASH
        resizing = Resizing(frame, engine.recorded.resize, mode, anchor=engine.recorded.anchor, scaled=size)
        across, down = engine.recorded.resize[0] - width, engine.recorded.resize[1] - height
        expected, _ = preprocessing(export, Frame(*size, in_pixels=True), resize="graph")
        channels = 3
    if network.channels != channels or across < 0 or down < 0:
        raise InputError(
            f"the network takes {network.width}x{network.height} pixels with {network.channels} channels, the original "
            f"{width}x{height} with {channels}",
            path=engine.model, hint="compare with the original of the same project and version",
        )  # fmt: skip
    raw = raw_names(engine.model.read_bytes()) if detects else ()
    left, top = (int(size * share) for size, share in zip((across, down), engine.recorded.anchor, strict=True))
    return ShippedModel(
        loaded, edge_impulse.task, expected, raw, left, top, resizing,
        _limits(engine.recorded.limits, edge_impulse),
    )  # fmt: skip


def _graph_end(model: bytes, raw: Sequence[str]) -> bytes:
    """What stands behind the network's own outputs, as a model."""
    import onnx  # heavy, and classifiers do without
    from onnx.utils import Extractor

    proto = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(model))
    end = Extractor(proto).extract_model(list(raw), [output.name for output in proto.graph.output])
    return bytes(end.SerializeToString())


def _limits(recorded: types.Limits | None, edge_impulse: EdgeImpulseModel) -> types.Limits | None:
    """As recorded in the ONNX model, else as the original's last operator says."""
    own = head(edge_impulse.task).limits(edge_impulse.original.model)
    if own is None:
        return None
    return recorded or own
