"""End-to-end detectors, [1,A,6]: the network itself picks its A objects, and no NMS follows (YOLOv10, YOLO26).

A row is left, top, right, bottom, score, class: what `ultralytics` writes for models of that kind (its
`Detect.postprocess`), best score first. Boxes are in pixels or in shares of the picture, which the model shows. All
that is left for NvDsInferParseCustomTfSSD is the order of the corners.

The shape alone could be a YOLOv5's or a YOLOX's with one class. Those give every candidate; this one names the class,
so its graph holds a TopK or an ArgMax.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convert.errors import InputError, UnsupportedModelError
from convert.heads.base import Fit, Fitted, LastLayer, Options, Rules, detector_labels
from convert.heads.boxes import OUTPUTS, RAW, Boxes, BoxTensors
from convert.types import Export, Head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.heads.decoding import Detections, ReferenceDecoder
    from convert.heads.graph_end import GraphEnd

_COLUMNS = 6
_CHOOSING = frozenset({"TOPK_V2", "ARG_MAX", "TopK", "ArgMax"})
_PASSED_ON = {
    "Cast", "Concat", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "Reshape", "Slice",
    "Squeeze", "Transpose", "Unsqueeze",
}  # fmt: skip


class _EndToEnd(Boxes):
    def fit(self, layer: LastLayer) -> Fit:
        match layer.output:
            case (_, int(), 6):
                return Fit.LIKELY if layer.operators & _CHOOSING else Fit.POSSIBLE
        return Fit.NO

    def adapt(self, model: ModelProto, export: Export, options: Options) -> Fitted:
        """Take the rows apart.

        Raises:
            UnsupportedModelError: the output is not [1,A,6], or its boxes are in no unit that is known.
            InputError: the labels are not those of the classes, or there are none and the graph does not tell how many.
        """
        from convert.heads import graph_end as ends  # brings onnx

        end = ends.GraphEnd(model)
        shapes = end.shapes()
        _, _, height, width = shapes[model.graph.input[0].name]
        names = [value.name for value in model.graph.output]
        raw, shape = names[0], shapes[names[0]]
        if len(names) != 1 or len(shape) != 3 or shape[0] != 1 or shape[2] != _COLUMNS:
            raise UnsupportedModelError(
                "an end-to-end detector gives one row (left, top, right, bottom, score, class) for each object, this "
                "model " + " and ".join(str(list(shapes[name])) for name in names),
                hint="give the real --task, or another model",
            )
        classes = _class_count(end, raw) or len(export.metadata.labels or ())
        if not classes:
            raise InputError(
                "how many classes the model detects cannot be told from its outputs, and no labels were found",
                hint="give them in the order of training with --labels",
            )
        labels, findings = detector_labels(export, classes)
        unit = _unit(ends.neutral(model)[0], width, height)
        low, high = (end.swapped(end.part(raw, 2, start, start + 2)) for start in (0, 2))
        score, label = (end.part(raw, 2, column, column + 1) for column in (4, 5))
        found = BoxTensors(low, high, score, in_pixels=unit == "pixels")
        boxes = ends.placed_boxes(end, found, (width, height), options.framing)
        outputs = boxes, end.largest(score, 2), end.largest(label, 2)  # of one entry: that entry, with one axis less
        head = Head(self.id, labels, coordinates=unit)
        return Fitted(end.finish(*outputs, raw), head, OUTPUTS, findings, self.raw)

    def read(self, decoder: ReferenceDecoder, raw: Sequence[NDArray[np.float32]]) -> Detections:
        """Left, top, right, bottom, score, class."""
        import numpy as np  # recognising a head does without

        from convert.heads.decoding import Detections

        (rows,) = raw
        boxes, scores, labels = rows[..., [1, 0, 3, 2]], rows[..., 4], rows[..., 5]
        if decoder.head.coordinates == "pixels":
            boxes = np.divide(boxes, np.tile(decoder.size[::-1], 2), dtype=np.float32)
        of_classes = np.where(labels[..., None] == np.arange(len(decoder.head.labels)), scores[..., None], 0)
        return Detections(boxes, scores, labels, of_classes.astype(np.float32), None)

    def comparable(
        self, decoder: ReferenceDecoder, raw: Sequence[NDArray[Any]]
    ) -> tuple[list[NDArray[Any]], list[bool]]:
        """Each number of the rows in order of size: which of two equally good objects comes first has no meaning.

        Boxes count by their score, so that the weakest, which another may replace, hardly do.
        """
        import numpy as np

        found = self.read(decoder, raw)
        boxes = found.boxes.clip(0, 1) * found.scores[..., None]
        return [np.sort(boxes, axis=1), np.sort(found.of_classes, axis=1)], [False, True]

    def decode_shipped(self, outputs: Mapping[str, NDArray[Any]], rules: Rules) -> dict[str, Any]:
        from convert.heads import decoding  # brings numpy

        return decoding.shipped(outputs, rules, None)


END_TO_END = _EndToEnd("end-to-end", "end-to-end object detector (YOLOv10, YOLO26)", raw=(RAW,))


def _class_count(end: GraphEnd, name: str) -> int | None:
    """How many classes the last column is chosen from; None where the graph does not show it."""
    from convert.graph.graph import attribute  # brings onnx

    shapes = end.shapes()
    node = end.editor.producers.get(name)
    while node is not None:
        if node.op_type == "ArgMax":
            return int(shapes[node.input[0]][attribute(node, "axis", 0)])
        if node.op_type == "Mod":  # of a place among all scores, row by row
            divisor = end.editor.constant(node.input[1])
            return int(divisor.flat[0]) if divisor is not None and divisor.size == 1 else None
        if node.op_type not in _PASSED_ON:
            return None
        node = end.editor.producers.get(node.input[-1 if node.op_type == "Concat" else 0])
    return None


def _unit(rows: NDArray[np.float32], width: int, height: int) -> str:
    """What the boxes of a neutral answer [A,6] are measured in: "relative" or "pixels".

    All candidates being alike, the first are picked: they lie anywhere between top and bottom, but from left to right.

    Raises:
        UnsupportedModelError: their middle is nowhere near that of the picture.
    """
    import numpy as np

    middle = float(np.median(rows[:, 0] + rows[:, 2])) / 2
    for unit, size in (("relative", 1), ("pixels", width)):
        if abs(middle / size - 0.5) < 0.3:
            return unit
    raise UnsupportedModelError(
        f"the boxes are measured in something else than pixels of {width}x{height} or shares of it: the middle of all "
        f"candidates is at x = {middle:.3g}",
        hint="give the real --task, or report the model",
    )
