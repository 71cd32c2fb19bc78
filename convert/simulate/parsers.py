"""The parsers of a detector's outputs: nvinfer's built-in one and those of NVIDIA's stock parser library.

Outputs are read as NVIDIA's C++ code reads them: by name or position, as bytes of the type that the parser expects.
nvinfer does not check an output's type before it reads numbers (nvdsinfer_context_impl_output_parsing.cpp,
nvdsinfer_custombboxparser.cpp; `tf_ssd` is the exception). Numbers beyond a frame's own data are unknown memory on a
device; that is an error here. Every step is a float32 operation in NVIDIA's order, so results are equal to the last bit
on x86-64.

- `builtin`: DetectNet, a coverage and a box for each cell of a grid, in units of 35 network pixels
  (`DetectPostprocessor::parseBoundingBox`); it also decodes FOMO heat maps. `resnet`: `NvDsInferParseCustomResnet`.
- `tf_ssd`: `NvDsInferParseCustomTfSSD`, normalised boxes, scores and classes by the names of TensorFlow's detection
  API. Converted YOLO and SSD models end in these three outputs. It does check the outputs' types.
- `nms`, `batched_nms`, `yolov5_batched_nms`, `efficientdet`: TAO models whose NMS runs in the engine. Outputs are found
  by position, the count first or last. The threshold is class 0's for every class, counts are read as int32 and boxes
  as float32 whatever the outputs' types, and some asserts are compiled in.

`Boxes` holds candidates as arrays; `Dropped` records which of them were dropped, and by which key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import InputError
from convert.files import load_toml

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.images.scaling import Network

    _Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Candidates or objects in list order: class ids (uint32), left, top, width, height and confidence (float32)."""

    class_id: NDArray[np.uint32]
    left: NDArray[np.float32]
    top: NDArray[np.float32]
    width: NDArray[np.float32]
    height: NDArray[np.float32]
    confidence: NDArray[np.float32]

    @classmethod
    def none(cls) -> Boxes:
        """No boxes."""
        nothing = np.zeros(0, np.float32)
        return cls(np.zeros(0, np.uint32), nothing, nothing, nothing, nothing, nothing)

    @classmethod
    def joined(cls, parts: list[Boxes]) -> Boxes:
        """One behind the other."""
        if not parts:
            return cls.none()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))

    def __len__(self) -> int:
        return len(self.class_id)

    def __getitem__(self, index: NDArray[np.bool_] | NDArray[np.intp] | slice) -> Boxes:
        """Those of a mask, or at these positions, in this order."""
        return Boxes(*(getattr(self, name)[index] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Drop:
    """One candidate that was not shown.

    Attributes:
        key: the key of the config that decided, or what else did: "box" (no area), "num_detections" (the model's own
            count), "keep_top_k" (a constant of the parser).
        value: the candidate's number the key was compared with; `limit`: the key's.
        class_id, confidence: of the candidate.
        left, top, width, height: its box, in network pixels when decoding dropped it, in pixels of the frame when
            attaching did; 0 for a classifier's.
    """

    key: str
    value: float
    limit: float
    class_id: int
    confidence: float
    left: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0

    @property
    def why(self) -> str:
        """`confidence 0.18 is below pre-cluster-threshold=0.2`."""
        words: str = load_toml("report/words.toml")["dropped"][self.key]
        return words.format(value=f"{self.value:.6g}", limit=f"{self.limit:.6g}")


@dataclass(slots=True, eq=False)
class Dropped:
    """Collects the dropped candidates of one frame, where they are `wanted`."""

    wanted: bool = True
    _groups: list[tuple[str, Boxes, NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=list)

    def add(
        self, key: str, boxes: Boxes, value: NDArray[np.generic] | float, limit: NDArray[np.generic] | float
    ) -> None:
        """`boxes` were dropped because of `key`; `value` and `limit` are single numbers or one for each box."""
        if self.wanted and len(boxes):
            values = np.broadcast_to(np.asarray(value, np.float64), len(boxes))
            limits = np.broadcast_to(np.asarray(limit, np.float64), len(boxes))
            self._groups.append((key, boxes, values, limits))

    def __len__(self) -> int:
        return sum(len(boxes) for _, boxes, _, _ in self._groups)

    def best(
        self, count: int = 10, *, without: frozenset[str] = frozenset(), only: frozenset[str] | None = None
    ) -> tuple[Drop, ...]:
        """The `count` most confident ones, best first; among equals the one dropped in a later step.

        `without` are keys to leave out, `only` keys to take alone.
        """
        found = []
        for key, boxes, value, limit in reversed(self._groups):
            if key in without or not (only is None or key in only):
                continue
            for i in np.argsort(-boxes.confidence, kind="stable")[:count]:  # NaN last
                columns = (boxes.confidence, boxes.left, boxes.top, boxes.width, boxes.height)
                numbers = (float(column[i]) for column in columns)
                found.append(Drop(key, float(value[i]), float(limit[i]), int(boxes.class_id[i]), *numbers))
        found.sort(key=lambda drop: (drop.confidence != drop.confidence, -drop.confidence))  # NaN last
        return tuple(found[:count])

    def keys(self) -> dict[str, int]:
        """How many were dropped by each key, in the order of the steps."""
        counts: dict[str, int] = {}
        for key, boxes, _, _ in self._groups:
            counts[key] = counts.get(key, 0) + len(boxes)
        return counts


NOT_WANTED = Dropped(wanted=False)
"""What collects nothing."""


DTYPES = ("float32", "float16", "int8", "int32", "int64", "uint8")
"""What TensorRT hands out: the types of NvDsInferDataType (nvdsinfer.h), named as numpy does."""


_DTYPES = frozenset(map(np.dtype, DTYPES))
_FLOAT = np.dtype(np.float32)


class ParserFailed(Exception):
    """NVIDIA's parser function returns false: every frame fails. The message says why; never leaves this package."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One output of the engine for all frames of a batch.

    Attributes:
        name: as in the model.
        array: [frames, *dims], one of DTYPES, C order.
    """

    name: str
    array: NDArray[Any]

    @classmethod
    def of(cls, name: str, array: NDArray[Any]) -> Layer:
        """Check `array` and put it in C order.

        Raises:
            InputError: a type TensorRT does not have, no batch dimension, or a dimension of 0.
        """
        if array.dtype not in _DTYPES:
            message = f"output {name!r} is {array.dtype.name}: TensorRT has no such outputs"
            raise InputError(message, hint="one of " + ", ".join(DTYPES))
        if not array.ndim or 0 in array.shape:
            raise InputError(
                f"output {name!r} has the shape {list(array.shape)}: it needs a batch dimension and at least one number"
            )
        return cls(name, np.ascontiguousarray(array))

    @property
    def frames(self) -> int:
        """The batch dimension."""
        return int(self.array.shape[0])

    @property
    def dims(self) -> tuple[int, ...]:
        """Without the batch; a single number for each frame counts as [1] (SplitFullDims)."""
        return tuple(self.array.shape[1:]) or (1,)

    @property
    def is_float(self) -> bool:
        """Type FLOAT."""
        return self.array.dtype == _FLOAT

    def floats(self, frame: int, count: int = 0) -> NDArray[np.float32]:
        """The frame's bytes as float32 numbers, flat; InputError unless there are `count`."""
        if self.is_float:
            numbers: NDArray[np.float32] = self.array[frame].reshape(-1)
            if len(numbers) >= count:
                return numbers
        return self._read(frame, count, _FLOAT)

    def ints(self, frame: int, count: int = 0) -> NDArray[np.int32]:
        """The frame's bytes as int32 numbers, flat; InputError unless there are `count`."""
        return self._read(frame, count, np.dtype(np.int32))

    def _read(self, frame: int, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        raw = self.array[frame].reshape(-1).view(np.uint8)
        found = len(raw) // dtype.itemsize
        if found < count:
            raise InputError(
                f"output {self.name!r} holds {found} {dtype.name} numbers for each frame ({self.array.dtype.name} "
                f"{list(self.dims)}), and nvinfer reads {count}: what lies behind is not known",
                hint="the parser does not fit this model's outputs; compare their order, dimensions and types",
            )
        numbers: NDArray[Any] = raw[: found * dtype.itemsize].view(dtype)
        return numbers


def clip(numbers: NDArray[np.float32], high: float) -> NDArray[np.float32]:
    """The CLIP macro of nvdsinfer_custombboxparser.cpp from 0 to `high`; NaN becomes `high`."""
    below = np.where(numbers < high, numbers, np.float32(high))
    return np.where(below > 0, below, np.float32(0))


def float_to_uint32(numbers: NDArray[np.float32]) -> NDArray[np.uint32]:
    """C's conversion of float to `unsigned int`, as x86-64 does it.

    The C++ standard leaves it open outside of 0..2^32-1. GCC on x86-64 converts to 64 bits and keeps the lower half:
    NaN, infinities and 2^32 give 0, -1 gives 4294967295. (A Jetson saturates instead: -1 gives 0.)
    """
    return _to_int64(numbers).astype(np.uint32)


def float_to_int32(numbers: NDArray[np.float32]) -> NDArray[np.int32]:
    """C's conversion of float to `int`, as x86-64 does it: what does not fit, and NaN, gives -2147483648."""
    wide = _to_int64(numbers)
    return np.where((wide < -(2**31)) | (wide >= 2**31), -(2**31), wide).astype(np.int32)


def _to_int64(numbers: NDArray[np.float32]) -> NDArray[np.int64]:
    fits = np.abs(numbers) < 2.0**63  # False for NaN
    return np.where(fits, np.where(fits, numbers, 0).astype(np.int64), np.iinfo(np.int64).min)


@dataclass(frozen=True, slots=True, eq=False)
class RawFrame:
    """One frame of an engine's outputs, and what its parser goes by.

    Attributes:
        outputs: in engine order.
        frame: its index in the batch.
        network: the engine's input.
        thresholds: pre-cluster-threshold of each class, float32.
        dropped: collects candidates that give no box.
    """

    outputs: Sequence[Layer]
    frame: int
    network: Network
    thresholds: NDArray[np.float32]
    dropped: Dropped

    @property
    def size(self) -> tuple[np.float32, np.float32]:
        """Width and height of the network's input."""
        return np.float32(self.network.width), np.float32(self.network.height)

    def floats(self, position: int, count: int) -> NDArray[np.float32]:
        """The first `count` numbers of an output; InputError where there are fewer."""
        return self.outputs[position].floats(self.frame, count)[:count]

    def inside(self, x1: _Floats, y1: _Floats, x2: _Floats, y2: _Floats) -> tuple[_Floats, _Floats, _Floats, _Floats]:
        """Numbers of the input's width, height, width and height, cut to 0 and to one pixel before its end."""
        right, bottom = self.network.width - 1, self.network.height - 1
        return clip(x1, right), clip(y1, bottom), clip(x2, right), clip(y2, bottom)

    def counted(self, outputs: int, position: int) -> int:
        """How many candidates the int32 output at `position` says there are; negative numbers count as 0.

        Raises:
            ParserFailed: the engine has not so many outputs.
        """
        if len(self.outputs) != outputs:
            raise ParserFailed(
                f"Mismatch in the number of output buffers. Expected {outputs} output buffers, "
                f"detected in the network: {len(self.outputs)}"
            )
        return max(int(self.outputs[position].ints(self.frame, 1)[0]), 0)

    def above(self, boxes: Boxes) -> NDArray[np.bool_]:
        """Those not below the threshold of class 0; NaN is not below."""
        if not len(self.thresholds):
            message = "num-detected-classes is 0, and the parser reads the threshold of class 0"
            raise InputError(message, hint="set num-detected-classes to the number of classes of the model")
        below: NDArray[np.bool_] = boxes.confidence < self.thresholds[0]
        self.dropped.add("pre-cluster-threshold", boxes[below], boxes.confidence[below], float(self.thresholds[0]))
        return ~below

    def asserted(self, label: NDArray[np.float32], boxes: Boxes) -> NDArray[np.bool_]:
        """`above`, of a parser that asserts that their classes are below num-detected-classes."""
        kept = self.above(boxes)
        class_id, configured = float_to_uint32(label[kept]), len(self.thresholds)
        if (class_id >= configured).any():
            raise InputError(
                "nvinfer's process ends here: the parser asserts that classes are below "
                f"num-detected-classes={configured}, and the model gives class {int(class_id.max())}",
                hint="set num-detected-classes to the number of classes of the model, background included",
            )
        return kept


_NORM = np.float32(35)


def builtin(raw: RawFrame) -> Boxes:
    """What nvinfer does without a parser function.

    The outputs are the last ones with "cov" and with "bbox" in their names: [C,H,W] and [4*C,H,W]. Of the C classes
    only the configured ones are read.

    Raises:
        ParserFailed: one of the outputs is missing.
        InputError: they have too few dimensions, or a box would be read behind the output's end.
    """
    chosen = {part: layer for layer in raw.outputs for part in ("bbox", "cov") if part in layer.name}
    for part, name in (("cov", "coverage"), ("bbox", "bbox")):
        if part not in chosen:
            raise ParserFailed(f"Could not find output {name} layer for parsing objects")
    grid = _Grid.of(raw, chosen["cov"], chosen["bbox"])
    # False for NaN: kept
    boxes, edges = grid.kept(raw, grid.coverage < raw.thresholds[: grid.classes, None])
    x1, y1, x2, y2 = (_bounded(edge, side) for edge, side in zip(edges, raw.size * 2, strict=True))
    boxes = Boxes(boxes.class_id, x1, y1, x2 - x1, y2 - y1, boxes.confidence)
    inside_out = (boxes.width < 0) | (boxes.height < 0)
    raw.dropped.add("box", boxes[inside_out], 0, 0)
    return boxes[~inside_out]


def resnet(raw: RawFrame) -> Boxes:
    """NvDsInferParseCustomResnet: exact names, boxes one pixel wider and higher, none dropped for having no area.

    Errors as for `builtin`. (The C++ function keeps the first model's layer numbers and dimensions for the life of the
    process; a second model with others in the same process is not reproduced.)
    """
    found = {layer.name: layer for layer in reversed(raw.outputs)}  # the first of a name
    for name in ("output_bbox/BiasAdd:0", "output_cov/Sigmoid:0"):
        if name not in found:
            raise ParserFailed("Could not find bbox layer buffer while parsing")
    grid = _Grid.of(raw, found["output_cov/Sigmoid:0"], found["output_bbox/BiasAdd:0"])
    # True for NaN: not kept
    boxes, edges = grid.kept(raw, ~(grid.coverage >= raw.thresholds[: grid.classes, None]))
    x1, y1, x2, y2 = raw.inside(*edges)
    one = np.float32(1)
    return Boxes(boxes.class_id, x1, y1, x2 - x1 + one, y2 - y1 + one, boxes.confidence)


@dataclass(frozen=True, slots=True, eq=False)
class _Grid:
    """Coverage [classes, cells] of the configured classes, the cells' centres / 35, and the numbers of the boxes."""

    coverage: NDArray[np.float32]
    rest: NDArray[np.float32]
    columns: int
    stride_between_classes: int
    centre_x: NDArray[np.float32]
    centre_y: NDArray[np.float32]
    box: Layer
    frame: int

    @classmethod
    def of(cls, raw: RawFrame, cov: Layer, bbox: Layer) -> _Grid:
        for layer in (cov, bbox):
            if len(layer.dims) < 3:
                raise InputError(
                    f"output {layer.name!r} has the dimensions {list(layer.dims)}, the DetectNet parser needs three",
                    hint="[classes, rows, columns] and [4 * classes, rows, columns] for each frame",
                )
        channels, rows, columns = cov.dims[:3]
        box_rows, box_columns = bbox.dims[1:3]
        cells = rows * columns
        coverage = cov.floats(raw.frame, channels * cells)[: channels * cells].reshape(channels, cells)
        classes = min(channels, len(raw.thresholds))
        return cls(
            *(coverage[:classes], coverage[classes:], columns, 4 * box_rows * box_columns),
            _centres(columns, -(-raw.network.width // box_columns)),
            _centres(rows, -(-raw.network.height // box_rows)),
            *(bbox, raw.frame),
        )

    @property
    def classes(self) -> int:
        return len(self.coverage)

    def kept(self, raw: RawFrame, below: NDArray[np.bool_]) -> tuple[Boxes, tuple[NDArray[np.float32], ...]]:
        """Class and confidence of the cells that are not `below`, and their edges; of the others `raw` is told."""
        if raw.dropped.wanted:
            self._report(raw, below)
        return self._boxes(np.flatnonzero(~below))

    def _first(self, which: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Class and cell of cells counted through all classes, and where the first number of their boxes stands."""
        class_id, cell = np.divmod(which, self.coverage.shape[1])
        return class_id, cell, class_id * self.stride_between_classes + cell

    def _boxes(self, which: NDArray[np.intp]) -> tuple[Boxes, tuple[NDArray[np.float32], ...]]:
        """Class and confidence of cells counted through all classes, and their left, top, right and bottom edges."""
        cells = self.coverage.shape[1]
        class_id, cell, first = self._first(which)
        numbers = self.box.floats(self.frame, int(first.max()) + 3 * cells + 1 if len(first) else 0)
        row, column = np.divmod(cell, self.columns)
        x, y = self.centre_x[column], self.centre_y[row]
        edges = (
            (numbers[first] - x) * -_NORM,
            (numbers[first + cells] - y) * -_NORM,
            (numbers[first + 2 * cells] + x) * _NORM,
            (numbers[first + 3 * cells] + y) * _NORM,
        )
        confidence = self.coverage.reshape(-1)[which]
        return Boxes(class_id.astype(np.uint32), *edges, confidence), edges

    def _report(self, raw: RawFrame, below: NDArray[np.bool_]) -> None:
        """Those whose box stands in the output: nvinfer reads no others; and all of classes that do not count."""
        which = np.flatnonzero(below)
        last = self._first(which)[2] + 3 * self.coverage.shape[1]
        boxes, (x1, y1, x2, y2) = self._boxes(which[last < len(self.box.floats(self.frame))])
        boxes = Boxes(boxes.class_id, x1, y1, x2 - x1, y2 - y1, boxes.confidence)
        raw.dropped.add("pre-cluster-threshold", boxes, boxes.confidence, raw.thresholds[boxes.class_id])
        if self.rest.size:
            class_id = np.repeat(np.arange(len(self.rest), dtype=np.uint32) + self.classes, self.rest.shape[1])
            zero = np.zeros(self.rest.size, np.float32)
            boxes = Boxes(class_id, zero, zero, zero, zero, self.rest.reshape(-1))
            raw.dropped.add("num-detected-classes", boxes, class_id, self.classes)


def _centres(count: int, stride: int) -> NDArray[np.float32]:
    """(float)(i * stride + 0.5) / 35; the sum is a double, the quotient a float."""
    return (np.arange(count) * stride + 0.5).astype(np.float32) / _NORM


def _bounded(edge: NDArray[np.float32], end: np.float32) -> NDArray[np.float32]:
    """At or behind the end: one pixel before it, though not just in front of it; below 0: 0; NaN stays."""
    edge = np.where(edge >= end, end - np.float32(1), edge)
    return np.where(edge < 0, np.float32(0), edge)


def tf_ssd(raw: RawFrame) -> Boxes:
    """float32 detection_boxes [M,4] (y1, x1, y2, x2 in 0..1), detection_scores [M], detection_classes [M].

    num_detections [1], where it is a float32 output, says how many count; negative numbers and those above M count as
    M. M is the first dimension of detection_classes. Edges are cut at 0 and at one pixel before the end.

    Raises:
        ParserFailed: one of the three is missing or not float32.
        InputError: numbers would be read behind an output's end.
    """
    found = {layer.name: layer for layer in reversed(raw.outputs) if layer.is_float}  # the first of a name
    try:
        scores, classes, boxes = (found[f"detection_{name}"] for name in ("scores", "classes", "boxes"))
    except KeyError:
        raise ParserFailed("some layers missing or unsupported data types in output tensors") from None
    count = most = classes.dims[0]
    if "num_detections" in found:
        count = int(float_to_int32(found["num_detections"].floats(raw.frame, 1)[:1])[0])
        if not 0 <= count <= most:  # it becomes unsigned, then is compared
            count = most
    confidence = scores.floats(raw.frame, count)[:count]
    class_id = float_to_uint32(classes.floats(raw.frame, count)[:count])
    unknown = class_id >= len(raw.thresholds)
    limit = np.zeros(count, np.float32)
    limit[~unknown] = raw.thresholds[class_id[~unknown]]
    below = ~unknown & (confidence < limit)  # False for NaN: kept
    kept = np.flatnonzero(~(unknown | below))
    numbers = boxes.floats(raw.frame, 4 * (int(kept[-1]) + 1) if len(kept) else 0)  # nvinfer reads no others' boxes
    edges = np.zeros(4 * count, np.float32)  # 0 where the output has none
    edges[: len(numbers)] = numbers[: 4 * count]
    x1, y1, x2, y2 = raw.inside(*(edges.reshape(count, 4)[:, [1, 0, 3, 2]] * np.array(raw.size * 2)).T)
    every = Boxes(class_id, x1, y1, x2 - x1, y2 - y1, confidence)
    raw.dropped.add("num-detected-classes", every[unknown], class_id[unknown], len(raw.thresholds))
    raw.dropped.add("pre-cluster-threshold", every[below], confidence[below], limit[below])
    candidates = every[kept]
    empty = ~((candidates.width > 0) & (candidates.height > 0))
    raw.dropped.add("box", candidates[empty], 0, 0)
    return candidates[~empty]


_KEEP_TOP_K = 200  # the loop ends once there are more


def nms(raw: RawFrame) -> Boxes:
    """NvDsInferParseCustomNMSTLT: float32 [K,7] (image, class, confidence, x1, y1, x2, y2 in 0..1), int32 count.

    Raises:
        ParserFailed: not two outputs.
        InputError: the count is more than the output holds, or an assert ends the process.
    """
    count = raw.counted(2, 1)
    _, label, confidence, x1, y1, x2, y2 = raw.floats(0, 7 * count).reshape(count, 7).T
    width, height = raw.size
    edges = raw.inside(x1 * width, y1 * height, (x2 - x1) * width, (y2 - y1) * height)
    candidates = Boxes(float_to_int32(label).astype(np.uint32), *edges, confidence)
    return candidates[raw.asserted(label, candidates)]


def batched_nms(raw: RawFrame) -> Boxes:
    """NvDsInferParseCustomBatchedNMSTLT: int32 count, boxes x1, y1, x2, y2 in 0..1, scores, float32 classes.

    At most 201 boxes come out. Errors as for `nms`, with four outputs and no assert.
    """
    return _batched(raw, *raw.size)


def yolov5_batched_nms(raw: RawFrame) -> Boxes:
    """NvDsInferParseYoloV5CustomBatchedNMSTLT: as `batched_nms`, boxes in network pixels."""
    return _batched(raw, np.float32(1), np.float32(1))


def efficientdet(raw: RawFrame) -> Boxes:
    """NvDsInferParseCustomEfficientDetTAO: int32 count, boxes y1, x1, y2, x2 in network pixels, scores, classes.

    Sizes are taken before the corner is cut. Errors as for `nms`, with four outputs; a second assert wants one number
    of at least 2 among the boxes.
    """
    count = raw.counted(4, 0)
    if not count:
        return Boxes.none()
    if not (raw.outputs[1].floats(raw.frame, 4 * count) >= 2).any():
        message = "nvinfer's process ends here: NvDsInferParseCustomEfficientDetTAO asserts that boxes are in pixels"
        raise InputError(message, hint="this model's boxes are normalised to 0..1; another parser is needed")
    y1, x1, y2, x2 = raw.floats(1, 4 * count).reshape(count, 4).T
    confidence, label = raw.floats(2, count), raw.floats(3, count)
    edges = raw.inside(x1, y1, x2 - x1, y2 - y1)
    candidates = Boxes(float_to_int32(label).astype(np.uint32), *edges, confidence)
    kept = raw.asserted(label, candidates)
    inside_out = kept & ((y2 < y1) | (x2 < x1))
    raw.dropped.add("box", candidates[inside_out], 0, 0)
    return candidates[kept & ~inside_out]


def _batched(raw: RawFrame, width: np.float32, height: np.float32) -> Boxes:
    count, configured = raw.counted(4, 0), len(raw.thresholds)
    # the numbers that exist are read first: the loop may end before it reaches those that do not
    holds = zip(raw.outputs[1:], (4, 1, 1), strict=True)
    there = min(count, *(len(layer.floats(raw.frame)) // numbers for layer, numbers in holds))
    x1, y1, x2, y2 = raw.floats(1, 4 * there).reshape(there, 4).T
    confidence, label = raw.floats(2, there), raw.floats(3, there)
    left, top, right, bottom = raw.inside(x1 * width, y1 * height, x2 * width, y2 * height)
    candidates = Boxes(float_to_int32(label).astype(np.uint32), left, top, right - left, bottom - top, confidence)
    kept = raw.above(candidates)
    known = float_to_uint32(label) < configured
    inside_out = (x2 < x1) | (y2 < y1) | (candidates.width < 0) | (candidates.height < 0)
    unknown = kept & ~known
    raw.dropped.add("num-detected-classes", candidates[unknown], candidates.class_id[unknown], configured)
    raw.dropped.add("box", candidates[kept & known & inside_out], 0, 0)
    taken = np.flatnonzero(kept & known & ~inside_out)
    if len(taken) <= _KEEP_TOP_K and count > there:
        for position, numbers in enumerate((4, 1, 1), 1):
            raw.floats(position, numbers * count)  # says which one is too short
    late = taken[_KEEP_TOP_K + 1 :]
    raw.dropped.add("keep_top_k", candidates[late], late + 1, _KEEP_TOP_K)
    return candidates[taken[: _KEEP_TOP_K + 1]]
