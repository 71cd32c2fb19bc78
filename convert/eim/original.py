"""The model as it was trained (.tflite) as a judge: LiteRT's raw outputs, decoded by Edge Impulse's rules.

What the file does not tell (labels, threshold) comes from the other side of the comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convert.artifacts import ImageScaling, Task
from convert.eim import decode
from convert.errors import InputError, UnsupportedModelError, ValidationError
from convert.export.facts import facts
from convert.isolation import Died, Failed
from convert.validate import reference

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.artifacts import ModelFacts
    from convert.isolation import Worker

__all__ = ["Original", "read_original"]


@dataclass(frozen=True)
class Original:
    """A flatbuffer that answers as an .eim would.

    Attributes:
        labels: in output order, without background.
        scaling: what was done to pixel/255 in training.
        worker: the child LiteRT runs in.
        timeout: seconds one picture may take.
        overlap: of a YOLOv5, where the export records it: see `decode.yolov5`.
    """

    path: Path
    model: bytes = field(repr=False)
    facts: ModelFacts
    labels: tuple[str, ...]
    scaling: ImageScaling
    worker: Worker
    timeout: float
    overlap: float | None = None

    @property
    def size(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        height, width, channels = self.facts.input.shape[1:]
        assert height
        assert width
        assert channels
        return height, width, channels

    def classify(self, picture: NDArray[np.uint8], threshold: float, *, as_sdk: bool = False) -> dict[str, Any]:
        """The result for one picture [H,W,C].

        Raises:
            ValidationError: LiteRT cannot run the model.
            InputError: the labels are not as many as the outputs have.
        """
        return self.answer(self.outputs(picture), threshold, as_sdk=as_sdk)

    def outputs(self, picture: NDArray[Any], *, encoded: bool = False) -> list[NDArray[np.float32]]:
        """What the model gives for one picture: of an SSD boxes, classes, scores and count.

        Args:
            picture: [H,W,C], levels 0..255; whole ones, but for a luma with its fractions.
            encoded: of an SSD what goes into its last operator instead.

        Raises:
            ValidationError: LiteRT cannot run the model.
        """
        arguments = (self.model, picture[None], self.scaling)
        if self.facts.task is Task.SSD and not encoded:
            return self._call("convert.eim.original:_whole", *arguments)
        return reference.outputs(*arguments, self.worker, self.timeout)

    def answer(
        self, outputs: Sequence[NDArray[np.float32]], threshold: float, *, as_sdk: bool = False
    ) -> dict[str, Any]:
        """The result from the outputs for one picture.

        Raises:
            InputError: the labels are not as many as the outputs have.
        """
        size = self.size[:2]
        if self.facts.task is Task.CLASSIFIER:
            self._fits(outputs[0].size)
            return {"classification": decode.classification(outputs[0], self.labels)}
        if self.facts.task is Task.FOMO:
            self._fits(outputs[0].shape[-1] - 1)
            heat = outputs[0][0, ..., 1:]
            found: Sequence[decode.Box] = decode.fomo(heat, self.labels, threshold, size, as_sdk=as_sdk)
        elif self.facts.task is Task.YOLOV5:
            self._fits(outputs[0].shape[-1] - 5)
            found = decode.yolov5(outputs[0][0], self.labels, threshold, size, self.overlap)
        else:
            found = decode.ssd([output[0] for output in outputs], self.labels, threshold, size)
        return {"bounding_boxes": [box._asdict() for box in found]}

    def _call(self, function: str, *arguments: Any) -> list[NDArray[np.float32]]:
        try:
            result: list[NDArray[np.float32]] = self.worker.call(function, *arguments, timeout=self.timeout)
        except (Died, Failed) as error:
            raise ValidationError(f"LiteRT cannot run the model: {error}", path=self.path) from error
        return result

    def _fits(self, classes: int) -> None:
        if classes != len(self.labels):
            raise InputError(
                f"the model has {classes} classes and the other side names {len(self.labels)} labels", path=self.path,
                hint="compare with the model of the same project and version",
            )  # fmt: skip


def _whole(model: bytes, picture: NDArray[np.uint8], scaling: ImageScaling) -> list[NDArray[np.float32]]:
    """In the child: boxes, classes, scores and count of an SSD, which the graph may give in any order."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415 - only SSD models need it

    graph = schema.Model.GetRootAs(model, 0).Subgraphs(0)
    last = graph.Operators(graph.OperatorsLength() - 1)
    given = [int(graph.Outputs(number)) for number in range(graph.OutputsLength())]
    outputs = reference.run(model, picture, scaling, whole=True)
    return [outputs[given.index(int(last.Outputs(number)))] for number in range(last.OutputsLength())]


def read_original(
    path: Path, labels: tuple[str, ...], scaling: ImageScaling, worker: Worker, timeout: float
) -> Original:
    """The flatbuffer at `path`.

    Raises:
        InputError: it cannot be read, is damaged, or takes no pictures.
        UnsupportedModelError: its outputs are not known.
    """
    try:
        model = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="give a .tflite file") from error
    known = facts(model)
    if known.task not in {Task.CLASSIFIER, Task.FOMO, Task.YOLOV5, Task.SSD}:
        raise UnsupportedModelError(f"a {known.task.value} model cannot be compared", path=path)
    if len(known.input.shape) != 4 or None in known.input.shape:
        raise InputError("the model takes no pictures", path=path)
    return Original(path, model, known, labels, scaling, worker, timeout)
