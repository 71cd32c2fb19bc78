"""The head object: how a kind of last layer is named, recognised, converted, proven and compared.

Gst-nvinfer needs outputs that one of its parsers reads. A head defines what its network's raw outputs mean, ends the
ONNX graph in such outputs, and decodes the raw outputs a second time, in NumPy and written from their sources, so that
`validate` can prove the graph. Everything that depends on the kind of model asks the head. `convert.heads` lists them.

Importing a head imports neither numpy nor onnx.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from convert import errors, images, types
from convert.findings import Finding, Rule

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.heads.decoding import Decoded, ReferenceDecoder

BACKGROUND_LABEL = Rule("EI350")
GENERIC_LABELS = Rule("EI301")

BACKGROUND = frozenset({"background", "__background__", "_background_", "_background"})
"""Labels that stand for no object, in lower case."""
_STRIDES = (8, 16, 32)  # input pixels a cell in the three grids of every YOLO from version 3
_MADE_UP = "give them in the order of training with --labels"


class Fit(IntEnum):
    """How well a head fits the shape of a last layer."""

    NO = 0
    POSSIBLE = 1
    """Where no head is likely."""
    ALSO = 2
    """Beside the head that is likely."""
    LIKELY = 3


@dataclass(frozen=True, slots=True)
class LastLayer:
    """What is known of the end of a model for one picture.

    Attributes:
        height, width: pixels of the input.
        output: shape of the one output, grids NHWC; None where a size is open.
        operators: names of all operators in the model, as flatbuffers have them.
    """

    height: int
    width: int
    output: tuple[int | None, ...]
    operators: frozenset[str]

    @property
    def rows(self) -> tuple[int, int, int] | None:
        """Of an output [1, A, K]: A, K and the number of cells in a YOLO's three grids; None for others."""
        match self.output:
            case (_, int(rows), int(columns)):
                cells = sum(-(-self.height // by) * -(-self.width // by) for by in _STRIDES)
                return rows, columns, cells
        return None

    @property
    def is_grid(self) -> bool:
        """Whether the output is [1, rows, columns, K] with more than one cell."""
        return len(self.output) == 4 and None not in self.output[1:] and self.output[1:3] != (1, 1)

    @property
    def gives_probabilities(self) -> bool:
        """Whether there is a softmax or a sigmoid."""
        return bool(self.operators & {"SOFTMAX", "LOGISTIC"})


@dataclass(frozen=True, slots=True)
class Options:
    """How detectors' outputs are made; each applies to some heads only.

    Attributes:
        fomo_merge: "touching": cells of a class that touch are one object, with a box around all of them; "peak": only
            the highest of them is; "none": every cell above the threshold is an object.
        yolo_score: None: scores and candidates of a YOLO are those that Edge Impulse's SDK reports, as far as the graph
            can give them. "product": objectness * class, "objectness": that alone, both with the best class of each
            candidate; of a YOLOv5 the objectness is what the SDK reports, so the graph drops boxes as the SDK does.
        no_suppression: why the graph must not drop overlapping boxes itself; empty: it may.
        framing: boxes are given in the picture of this larger network, of which the model gets a part.
        threshold: the lowest score of an object, where the graph has to know it (FOMO's "touching").
        fomo_box: the least width and height of a FOMO box in cells, 1 or more.
    """

    fomo_merge: str = "touching"
    yolo_score: str | None = None
    no_suppression: str = ""
    framing: images.Framing | None = None
    threshold: float = types.DETECTOR_THRESHOLD
    fomo_box: float = 1


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model whose outputs nvinfer can decode, still for one picture.

    Attributes:
        model: its outputs are `outputs`, then `raw`.
        outputs: what the graph's outputs are to be called, in order.
        raw: what the network's own outputs are to be called where the graph goes on behind them. They stay inside the
            graph under these names, so that `validate` can compare them with the original's.
    """

    model: ModelProto
    head: types.Head
    outputs: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    raw: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides the results, besides the outputs.

    Attributes:
        labels: in class order, without background.
        threshold: of a detector, 0..1.
        size: height and width of the model's input.
        overlap: intersection over union from which on the SDK drops the weaker of two boxes, as the export records it.
        as_sdk: merge FOMO's cells with the SDK's slips (`convert.heads.decoding.fomo`).
        limits: what the model's own post-processing (SSD) keeps, where that was recorded.
        coordinates: unit of a YOLO's raw boxes in the shipped graph, as `convert.types.Head` has it.
    """

    labels: Sequence[str]
    threshold: float
    size: tuple[int, int]
    overlap: float | None = None
    as_sdk: bool = field(default=False, kw_only=True)
    limits: types.Limits | None = None
    coordinates: str | None = None


@dataclass(frozen=True)
class HeadSpec:
    """A kind of last layer. An instance of this class itself is one that cannot be converted.

    To add a head:

    1. Write one module `convert/heads/<name>.py`, or add to the one of its family: a subclass, or for rows of
       candidates an instance of `convert.heads.boxes.RowsHead`.
       - `fit` and `classes` recognise it by the shape of its output;
       - `adapt` ends the graph in outputs that a parser of Gst-nvinfer reads, through `convert.heads.graph_end`;
       - `comparable`, `decoded` and `prediction` are its reference in NumPy: written from the sources, not from the
         graph, so that `validate` can prove the graph with it;
       - `decode_original` and `decode_shipped` are Edge Impulse's own decoding, where it is known (`is_comparable`).
       Import numpy and onnx inside these functions: recognising a head does without.
    2. Write its preset `configs/heads/<id>.toml`: which parser reads the outputs, and the thresholds.
    3. Enter it in `convert.heads.HEADS`. Everything else asks the registry, `--task` and the reports included.
    4. Write tests in `tests/heads`: a small model that ends as the head's do, compared with a second decoding of it.

    Attributes:
        id: the task as reports, `--task` and `configs/heads/<id>.toml` have it.
        title: for messages.
        last_layer: number and name in Edge Impulse's `EI_CLASSIFIER_LAST_LAYER_*`; None where it has none.
        results: `<layer>` of Edge Impulse's `ei_fill_result_<layer>_config_t` (since July 2025).
        refused: why it cannot be converted and what to do instead; empty where it can.
        operators: custom operators of TensorFlow Lite by which its models are known.
        raw: names of the network's own outputs inside the shipped graph.
        detects: it finds objects; else it classifies whole pictures.
        model_type: what an .eim calls it.
        by_objectness: Edge Impulse's SDK scores by objectness alone.
        drops_all: Edge Impulse's SDK drops overlapping boxes of whatever class, best first.
        merges_cells: Edge Impulse's SDK joins neighbouring cells into one box.
        gives_grid: its output is a grid [1,rows,columns,K], by which nothing more than that is recognised.
        is_cut: the original ends in an operator that decodes and suppresses, which is cut off for the translation.
        is_comparable: how Edge Impulse's SDK decodes the original's outputs is known (`decode_original`).
    """

    id: str
    title: str
    last_layer: tuple[int, str] | None = None
    results: str = ""
    refused: str = ""
    operators: frozenset[str] = frozenset()
    raw: tuple[str, ...] = ()
    detects: bool = True
    model_type: str = "object_detection"
    by_objectness: bool = False
    drops_all: bool = field(default=False, kw_only=True)
    merges_cells: bool = False
    gives_grid: bool = field(default=False, kw_only=True)
    is_cut: bool = False
    is_comparable: bool = False

    # Recognising

    def fit(self, layer: LastLayer) -> Fit:
        """How well the head fits this last layer."""
        return Fit.ALSO if self.gives_grid and layer.is_grid else Fit.NO

    def classes(self, output: Sequence[int | None]) -> int | None:  # noqa: ARG002
        """How many classes an output of this shape has, without background; None: the shape does not show it."""
        return None

    # Converting

    def labels(self, export: types.Export, classes: int) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
        """One label for each class, and what had to be assumed.

        Raises:
            InputError: the labels are not as many.
            UnsupportedModelError: a classifier with one class.
        """
        return detector_labels(export, classes)

    def before_translation(self, model: bytes, outputs: int) -> tuple[bytes, int]:
        """The flatbuffer that is translated, and how many outputs it has.

        Raises:
            UnsupportedModelError: it does not end as the head's models do.
        """
        return model, outputs

    def adapt(self, model: ModelProto, export: types.Export, options: Options) -> Fitted:
        """End the graph in outputs that a parser of nvinfer's reads; the batch is still 1.

        Raises:
            UnsupportedModelError: the model's outputs are not what the head's are.
            InputError: the labels do not fit the outputs.
            TranslationError: an output has no fixed size.
        """
        raise NotImplementedError

    def limits(self, model: bytes) -> types.Limits | None:  # noqa: ARG002
        """What the original's own post-processing keeps; None where it has none."""
        return None

    # Proving; raw outputs are [n, ...] in the original's layout, that is with heat maps NHWC

    def as_original(self, raw: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Raw outputs of the shipped graph in the original's layout."""
        return list(raw)

    def as_graph(self, raw: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """The original's raw outputs in the layout of the shipped graph; a classifier's are those it ships."""
        return list(raw)

    def comparable(
        self, decoder: ReferenceDecoder, raw: Sequence[NDArray[Any]]
    ) -> tuple[list[NDArray[Any]], list[bool]]:
        """What parity compares of a detector: arrays of numbers from 0 to 1, and which are classes' [n, ..., C]."""
        raise NotImplementedError

    def decoded(
        self, decoder: ReferenceDecoder, raw: Sequence[NDArray[Any]], shipped: Sequence[NDArray[Any]]
    ) -> Decoded:
        """What the raw outputs (here in the graph's layout) mean, beside what the graph gives."""
        raise NotImplementedError

    def prediction(
        self, decoder: ReferenceDecoder | None, raw: Sequence[NDArray[Any]]
    ) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """The highest score of each class [n,C], and where the highest of all is.

        Args:
            decoder: None for a classifier.

        Returns:
            The places are [n,4], left, top, right, bottom in shares of the model's picture; None for a classifier.
        """
        raise NotImplementedError

    # Comparing with Edge Impulse

    def decode_original(self, outputs: Sequence[NDArray[Any]], rules: Rules) -> dict[str, Any]:
        """What an .eim answers, from the original's outputs for one picture, by the rules of Edge Impulse's SDK."""
        raise NotImplementedError

    def decode_shipped(self, outputs: Mapping[str, NDArray[Any]], rules: Rules) -> dict[str, Any]:
        """The same from the shipped model's outputs by name, the raw ones among them where there are.

        Raises:
            InputError: the outputs are not those of such a model.
        """
        raise NotImplementedError


def class_labels(export: types.Export, classes: int) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The labels of `classes` columns, made up where the export has none.

    Raises:
        UnsupportedModelError: one column.
        InputError: the number of labels is another.
    """
    labels = export.metadata.labels
    if classes == 1:
        named = f" for the labels {', '.join(labels)}" if labels and len(labels) > 1 else ""
        raise errors.UnsupportedModelError(
            f"the model gives a single number{named}: Gst-nvinfer's classifier picks the largest of several outputs",
            hint="if it is a sigmoid's, name what stands for 0 and for 1, in this order (--labels 'no;yes'); else "
            "export it with one output for each class and a softmax, as Edge Impulse's own classifiers have",
        )
    if labels is None:
        generic = tuple(f"class{index}" for index in range(classes))
        message = f"no labels found: the {classes} classes are called {generic[0]} to {generic[-1]}"
        return generic, (_made_up(export, message),)
    if len(labels) != classes:
        message = f"{export.labels_from} has {_count(labels)} ({', '.join(labels)}), the model has {classes} outputs"
        raise errors.InputError(message, hint="give the labels of this model, in the order of training, with --labels")
    return labels, ()


def detector_labels(export: types.Export, classes: int) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """One label for each of `classes`, in the order of the outputs, and what had to be assumed.

    Edge Impulse's lists for detectors do not contain the background, which some models count as a class of their own;
    the `labels.txt` of an OpenMV export and lists typed by hand may.

    Args:
        export: its metadata has the labels, if any.
        classes: of the model, without background; at least 1.

    Raises:
        InputError: there are more, or fewer, labels than classes.
    """
    labels = export.metadata.labels
    if labels is None:
        generic = tuple(f"class{index}" for index in range(classes))
        named = "class is called class0" if classes == 1 else f"{classes} classes are called class0 to {generic[-1]}"
        return generic, (_made_up(export, f"no labels found: the {named}"),)
    if len(labels) == classes:
        return labels, ()
    if len(labels) == classes + 1 and labels[0].strip().lower() in BACKGROUND:
        message = f"the label {labels[0]!r} of {export.labels_from} stands for no object and was left out"
        return labels[1:], (BACKGROUND_LABEL.found(message),)
    background = ""
    if len(labels) == classes + 1 and any(label.strip().lower() in BACKGROUND for label in labels):
        background = "; background belongs in front of the others, or nowhere"
    raise errors.InputError(
        f"{export.labels_from} has {_count(labels)} ({', '.join(labels)}), the model detects "
        f"{classes} {'class' if classes == 1 else 'classes'}",
        hint=f"give the labels of this model, in the order of training, with --labels{background}",
    )


def _made_up(export: types.Export, message: str) -> Finding:
    """There are no labels; where there are files that may hold them, the hint names them."""
    hint = f"{_MADE_UP}; {export.labels_hint}" if export.labels_hint else _MADE_UP
    return GENERIC_LABELS.found(message, hint=hint)


def _count(labels: tuple[str, ...]) -> str:
    return "1 label" if len(labels) == 1 else f"{len(labels)} labels"
