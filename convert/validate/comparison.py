"""The original and the ONNX model on the same pictures, side by side: what parity is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.artifacts import ImageScaling, ModelFormat
from convert.heads import head
from convert.heads.reference import Network
from convert.validate import reference, runtime
from convert.validate.decoding import Decoding, raw_names, with_raw
from convert.validate.parity import Tally
from convert.validate.preprocess import as_nvinfer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.artifacts import Adapted, Export, Parity
    from convert.findings import Finding
    from convert.isolation import Worker

__all__ = ["Comparison", "network", "original"]


class Comparison:
    """Pictures are added in chunks, so that memory stays small.

    Attributes:
        first: of the first chunk, `keep` pictures at most: [k,H,W,C], and the outputs of `session` for each, [k, ...].
        session: of the shipped model; where its outputs stand in the order of scores, with the raw ones behind them.

    Args:
        session: of the shipped model.
        worker: where the original runs, for at most `timeout` seconds a chunk.
        tolerance: the largest absolute difference that is still right.
    """

    def __init__(
        self, adapted: Adapted, session: Any, worker: Worker, timeout: float, tolerance: float, *, keep: int
    ) -> None:
        self.first: tuple[NDArray[np.uint8], list[NDArray[Any]]] | None = None
        self._adapted, self._worker, self._timeout, self._keep = adapted, worker, timeout, keep
        self.session, self._session, self._tally = session, session, Tally(tolerance)
        self._shipped = len(session.get_outputs())
        self._decoding: Decoding | None = None
        if raw_names(adapted.onnx.data):
            self._session = runtime.load(with_raw(adapted.onnx.data))
            self._decoding = Decoding(network(adapted, worker, timeout))
        if adapted.head.overlap is not None:
            self.session = self._session

    @property
    def decoded(self) -> float | None:
        """How far a detector's outputs are from what its raw ones mean; None for a classifier."""
        return None if self._decoding is None else self._decoding.difference

    def add(self, names: Sequence[str], pictures: NDArray[np.uint8]) -> None:
        """Run both on `pictures` [n,H,W,C] of the shipped model's size; the original gets its part of them."""
        decoding = self._decoding
        wanted = self._original(pictures)
        # One at a time, as the original: a batch of all would need many times the memory.
        rows = [
            runtime.run(self._session, as_nvinfer(pictures[n : n + 1], self._adapted.preprocessing))
            for n in range(len(names))
        ]
        outputs = [np.concatenate(column) for column in zip(*rows, strict=True)]
        shipped = outputs[: self._shipped]
        if decoding is None:
            self._tally.add(names, wanted, shipped)
        else:
            raw = outputs[self._shipped :]
            decoding.add(names, raw, shipped)
            spec = head(self._adapted.head.task)
            with np.errstate(over="ignore", invalid="ignore"):  # infinity is parity's to find
                left, self._tally.ranked = spec.comparable(decoding.network, wanted)
                right, _ = spec.comparable(decoding.network, spec.as_original(raw))
            self._tally.add(names, left, right)
        if self.first is None:
            few = slice(self._keep)
            self.first = pictures[few].copy(), [output[few] for output in outputs[: len(self.session.get_outputs())]]

    def decode(self, outputs: Sequence[NDArray[Any]]) -> int:
        """Hold the shipped outputs of a batch against its raw ones, where `session` gives these too; their number."""
        if self._decoding is None or len(outputs) == self._shipped:
            return 0
        names = [f"picture {number + 1} of a batch of {len(outputs[0])}" for number in range(len(outputs[0]))]
        self._decoding.add(names, outputs[self._shipped :], outputs[: self._shipped])
        return self._shipped

    def _original(self, pictures: NDArray[np.uint8]) -> list[NDArray[Any]]:
        """What the original gives for each picture: of a model that crops, for the middle of it."""
        export = self._adapted.export
        if framing := self._adapted.preprocessing.framing:
            width, height = framing.model
            left, top = (pictures.shape[2] - width) // 2, (pictures.shape[1] - height) // 2
            pictures = np.ascontiguousarray(pictures[:, top : top + height, left : left + width])
        return original(export, pictures, self._worker, self._timeout)

    def parity(self) -> Parity | None:
        """The numbers; None where NaN or infinity makes them meaningless."""
        return self._tally.parity()

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, worst first."""
        return (*self._tally.findings(), *(self._decoding.findings() if self._decoding else ()))


def original(export: Export, pictures: NDArray[np.uint8], worker: Worker, timeout: float) -> list[NDArray[np.float32]]:
    """What the original gives for `pictures` [n,H,W,C] of its own size: its (raw) outputs [n, ...], in graph order.

    Raises:
        ValidationError: it cannot be run, or not in `timeout` seconds.
    """
    scaling = export.metadata.image_scaling or ImageScaling.NONE
    if export.format is ModelFormat.ONNX:
        shapes = [output.shape for output in export.facts.outputs]
        return reference.onnx_outputs(export.model, pictures, scaling, shapes, worker, timeout)
    return reference.outputs(export.model, pictures, scaling, worker, timeout)


def network(adapted: Adapted, worker: Worker, timeout: float) -> Network:
    """What decides what a detector's raw outputs mean.

    Raises:
        ValidationError: the anchors of an SSD cannot be read.
    """
    _, _, height, width = adapted.onnx.input.shape
    framing = adapted.preprocessing.framing
    if framing is not None:
        width, height = framing.model
    assert height is not None
    assert width is not None
    anchors = None
    if head(adapted.head.task).is_cut:
        anchors = reference.anchors(adapted.export.model, worker, timeout)
    return Network(adapted.head, width, height, anchors, framing)
