"""The artifacts that stages hand on, as frozen dataclasses, and the enumerations they hold.

    Export -> Translated -> Adapted -> Validated -> Bundle

Each artifact holds the one before. No library is needed. The values of the enumerations (Edge Impulse's colours, resize
modes and image scalings) are written into files.
"""

from __future__ import annotations

import os
import re
import unicodedata
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol

from convert.files import Output, sha256
from convert.images import CENTRE, Anchor, Framing, ImageScaling, ResizeMode

if TYPE_CHECKING:
    from pathlib import Path

    from convert.dsp import Impulse
    from convert.findings import Finding

INPUT_NAME: Final = "x_input"
"""Of the one input of every ONNX model that is shipped."""

DETECTOR_THRESHOLD: Final = 0.5
"""The confidence threshold that Studio gives a detector where nobody chose another, 0..1."""

ROUNDED: Final = "float32, rounded as in int8"
"""The description of a flatbuffer that `dequantize` wrote with the rounding of every layer."""

TORCH_MEAN: Final = (0.485, 0.456, 0.406)
TORCH_STD: Final = (0.229, 0.224, 0.225)
"""Of ImageNet, RGB, in 0..1: `ImageScaling.TORCH` is (value - mean) / std (Edge Impulse's SDK, ei_image_scaling.h)."""

IMAGENET_MEAN_BGR: Final = (103.939, 116.779, 123.68)
"""Of ImageNet, in 0..255: `ImageScaling.BGR_MINUS_IMAGENET_MEAN` subtracts them (same file)."""


class Color(StrEnum):
    """Channel order of the model's input."""

    RGB = "RGB"
    GRAY = "GRAY"


class ModelFormat(StrEnum):
    """How the bytes of an export's model are to be read."""

    TFLITE = "tflite"
    ONNX = "onnx"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A graph input or output.

    Attributes:
        name: as it stands in the file.
        shape: one entry a dimension; None where it is not fixed.
        dtype: numpy's name ("float32", "int8", ...).
        scale, zero_point: per-tensor quantization, where there is one.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None

    @property
    def sides(self) -> tuple[int, ...]:
        """The dimensions behind the batch, of a picture, of which all are fixed."""
        return tuple(size for size in self.shape[1:] if size is not None)


@dataclass(frozen=True, slots=True)
class Tracking:
    """A tracking block of Edge Impulse's (ei_object_tracking_config_t, ei_object_tracking_sort_config_t).

    Attributes:
        sort: SORT, the newer of the two: labels must match, and an object is shown after `hits` further frames.
        grace: frames that an object may be missing (keep_grace, max_age).
        hits: min_hits of SORT, else 0.
        threshold: intersection over union above which, or pixels of the model's picture below which, two boxes are one
            object.
        by_overlap: which of the two (use_iou).
    """

    sort: bool
    grace: int
    hits: int
    threshold: float
    by_overlap: bool


@dataclass(frozen=True, slots=True)
class Metadata:
    """What `model-parameters/` (or a file beside the model) recorded. None: not recorded.

    Attributes:
        labels: in output order; detectors' lists do not contain background.
        width, height: pixels of the model's input; `channels` 1 or 3.
        crop_anchor: with resize mode fit-shortest, the part of a picture that is kept; None: the centre.
        threshold, nms_iou: a detector's confidence threshold and NMS overlap, 0..1.
        task: what the macros say the last layer is.
        tracking: the tracking block behind the model.
        segments: where objects are counted, x1, y1, x2, y2 in pixels of the model's picture
            (ei_object_counting_config_t).
    """

    labels: tuple[str, ...] | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    color: Color | None = None
    resize_mode: ResizeMode | None = None
    crop_anchor: Anchor | None = None
    image_scaling: ImageScaling | None = None
    threshold: float | None = None
    nms_iou: float | None = None
    task: str | None = None
    sensor: str | None = None
    has_anomaly: bool | None = None
    quantized: bool | None = None
    compiled: bool | None = None
    engine: str | None = None
    project_id: int | None = None
    project_name: str | None = None
    project_owner: str | None = None
    deploy_version: int | None = None
    impulse_id: int | None = None
    impulse_name: str | None = None
    block_id: int | None = None
    studio_version: str | None = None
    tracking: Tracking | None = None
    segments: tuple[tuple[int, int, int, int], ...] | None = None

    @property
    def anchor(self) -> Anchor:
        """The part of a picture that Edge Impulse keeps, where it crops: the centre unless recorded otherwise."""
        crops = self.resize_mode is ResizeMode.FIT_SHORTEST
        return self.crop_anchor if crops and self.crop_anchor is not None else CENTRE

    @property
    def assumed(self) -> tuple[str, ...]:
        """Of `labels`, `resize_mode` and `image_scaling` those that are not recorded: a conversion assumes them."""
        resize = None if self.resize_mode is ResizeMode.NONE else self.resize_mode
        values = {"labels": self.labels, "resize_mode": resize, "image_scaling": self.image_scaling}
        return tuple(name for name, value in values.items() if value is None)


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the flatbuffer says of itself.

    Attributes:
        input: the one graph input, NHWC.
        outputs: in graph order.
        operators: names of the operators used, sorted, without repeats; custom ones by their custom code.
        quantization: "float32", "float16-weights", "int8", "uint8", "int16", or "dynamic-range" (float activations,
            int8 weights).
        task: what input, outputs and operators show it to be.
    """

    input: Tensor
    outputs: tuple[Tensor, ...]
    operators: tuple[str, ...]
    quantization: str
    task: str


@dataclass(frozen=True, slots=True)
class Export:
    """THE model of an export and what is known of it.

    Attributes:
        model: the flatbuffer (or ONNX file, see `format`), verified.
        name: short, [a-z0-9_-], what the bundle's files are called after.
        form: how the model was stored: "F1", "F2", "F2m", "F3", "F3b", "F4", "flatbuffer", "openmv", ...
        source: the export's file name as the user gave it, without folders.
        member: where the model was inside it, with `/`; empty when the source is the model.
        original: the quantized flatbuffer, where `model` is its rewriting in float32.
        content: a digest of what the model computes, names aside (`convert.export.tflite`); of `original` where there
            is one. Empty: not taken.
        format: of `model`. An ONNX model's `facts` say what a flatbuffer's would: input and grids NHWC, batch 1.
        agreement: of `original` and `model`, where it was measured (`convert.agreement`).
        coded: `model` rounds every activation to the codes that `original` has, as QUANTIZE and DEQUANTIZE; else its
            rewriting does not round.
        source_parity: `model` against the SavedModel or Keras model that TensorFlow made it of.
        labels_from: who gives the labels of `metadata`, for messages: "the export", "--labels", or a file's name.
        labels_hint: where there are none, the files that may hold them, and why they do not count; or empty.
        impulse: of sound or sensor data, where the whole of it is converted; without a network `model` is empty, and
            `facts` describe the features that it would take.
    """

    model: bytes = field(repr=False)
    name: str
    form: str
    source: str
    member: str
    metadata: Metadata
    facts: ModelFacts
    format: ModelFormat = ModelFormat.TFLITE
    original: bytes | None = field(default=None, repr=False)
    coded: bool = False
    content: str = ""
    agreement: Int8Agreement | None = None
    source_parity: Parity | None = None
    labels_from: str = "the export"
    labels_hint: str = ""
    impulse: Impulse | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the model as it was found: the same whatever it was wrapped in, also where it was rewritten."""
        return sha256(self.original or self.model)

    @property
    def is_stepped(self) -> bool:
        """Whether `model` is a rewriting that rounds every layer as `original`, with jumps."""
        return self.agreement.layers == "every" if self.agreement else ROUNDED.encode() in self.model

    @property
    def provenance(self) -> str:
        """What an ONNX model says it was made from: the same for a flatbuffer and the C++ it was compiled to."""
        return self.content or self.digest


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A serialised ONNX model and its signature.

    Attributes:
        stored: its bytes; of a large one an open file without a name (`convert.isolation.aside`).
    """

    stored: bytes | BinaryIO = field(repr=False)
    input: Tensor
    outputs: tuple[Tensor, ...]
    opset: int

    @property
    def data(self) -> bytes:
        """Its bytes; of a file they are read each time."""
        return self.stored if isinstance(self.stored, bytes) else os.pread(self.stored.fileno(), self.size, 0)

    @property
    def size(self) -> int:
        """How many bytes."""
        return len(self.stored) if isinstance(self.stored, bytes) else os.fstat(self.stored.fileno()).st_size

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process gets the bytes."""
        return type(self), (self.data, *(getattr(self, each.name) for each in fields(self)[1:]))

    @property
    def loadable(self) -> bytes | str:
        """What ONNX Runtime loads: its bytes, or a path of its file."""
        if isinstance(self.stored, bytes):
            return self.stored
        path = f"/proc/self/fd/{self.stored.fileno()}"
        return path if os.path.exists(path) else self.data  # noqa: PTH110 - in a chroot there may be no /proc


@dataclass(frozen=True, slots=True)
class Translated:
    """tf2onnx's result: NCHW input, batch still 1, tf2onnx's names."""

    export: Export
    onnx: OnnxModel


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What Gst-nvinfer must do to a frame: y = net_scale_factor * (x - offset), x in 0..255, then what the graph does.

    Attributes:
        offsets: one a channel in network order, or empty.
        color: "RGB", "BGR" or "GRAY".
        maintain_aspect_ratio, symmetric_padding: the letterbox keys.
        folded: what was moved into the graph: "torch", or "all" that is done to levels; empty when nothing.
        resize_mode: the export's, after options; None when neither says.
        framing: how the graph cuts the model's picture out of a whole frame, where it was made for frames; a
            `convert.images.resizing.Resizing` where it also resizes it.
    """

    net_scale_factor: float
    offsets: tuple[float, ...]
    color: str
    maintain_aspect_ratio: bool
    symmetric_padding: bool
    folded: str
    resize_mode: ResizeMode | None
    framing: Framing | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model's own post-processing keeps, which nvinfer's clustering has to do instead.

    Attributes:
        detections: at most so many objects.
        score: objects below this are never reported, 0..1.
        overlap: of two boxes with a larger intersection over union one is dropped, 0..1.
    """

    detections: int
    score: float
    overlap: float


@dataclass(frozen=True, slots=True)
class Head:
    """What nvinfer has to decode, and how the graph's end made it from the network's raw outputs.

    What does not apply to the task is None.

    Attributes:
        task: decides network-type and parser.
        labels: in class order, without background; never empty after `adapt`.
        merge: FOMO: "touching" where the graph makes one box of cells that touch, "peak" where of neighbouring cells
            only the highest is kept, or "none".
        score: heads with an objectness: "product" (objectness * class) or "objectness".
        coordinates: what the raw boxes are measured in: "relative" (0..1), "pixels", "anchors" or "cells".
        limits: of the post-processing that was cut off, where there was one.
        overlap: intersection over union from which on the graph itself drops the weaker of two boxes, whatever their
            classes, 0..1; None where that is left to nvinfer.
        threshold: the lowest score of an object or label, 0..1, where it was chosen (--threshold) or is in the graph
            (merge "touching"); None where the config alone has it, as the export records it.
        box: FOMO: the least width and height of a box in cells; None: one.
    """

    task: str
    labels: tuple[str, ...]
    merge: str | None = None
    score: str | None = None
    coordinates: str | None = None
    limits: Limits | None = None
    overlap: float | None = None
    threshold: float | None = None
    box: float | None = None


@dataclass(frozen=True, slots=True)
class Adapted:
    """The model as it will be shipped: `x_input` float32 [N,C,H,W], dynamic N, everything else static.

    Attributes:
        translated: what it was made of, without the bytes of the ONNX model.
        for_objects: of a model that takes whole frames, where it was asked for: the same of its own size, for
            a secondary engine.
        calibrated: how many pictures the codes of a float model were made from (`convert.graph.calibrate`); 0: none.
    """

    translated: Translated
    onnx: OnnxModel
    head: Head
    preprocessing: Preprocessing
    for_objects: Adapted | None = None
    calibrated: int = 0

    @property
    def has_own_codes(self) -> bool:
        """Whether it computes in 8-bit codes, the export's or calibrated ones, where that is no rewriting in float."""
        return self.export.coded or self.calibrated > 0

    @property
    def has_steps(self) -> bool:
        """Whether activations are rounded: the last bit of a sum, which depends on the runtime, may become a step."""
        return self.has_own_codes or self.export.is_stepped

    @property
    def export(self) -> Export:
        """Where it came from."""
        return self.translated.export

    @property
    def file(self) -> str:
        """The name of its file in a bundle."""
        return onnx_file(self.export.name, self.preprocessing.framing)


@dataclass(frozen=True, slots=True)
class Parity:
    """The original against the ONNX model on the same inputs; differences are absolute, in output units.

    Attributes:
        exact: one beyond `tolerance` is a fault; not where activations are rounded, which may differ by a step.
    """

    max_abs_diff: float
    mean_abs_diff: float
    top1: float
    inputs: int
    tolerance: float
    exact: bool = True


@dataclass(frozen=True, slots=True)
class BatchParity:
    """Batches against the same inputs one at a time; `max_abs_diff` over all `sizes`."""

    sizes: tuple[int, ...]
    max_abs_diff: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two ways to run a model decide on the same inputs.

    Attributes:
        top1: the share of equal decisions, 0..1.
        mean_abs_diff, max_abs_diff: absolute, in output units.
    """

    top1: float
    mean_abs_diff: float
    max_abs_diff: float
    inputs: int

    @property
    def differences(self) -> int:
        """How many decisions are not equal."""
        return round((1 - self.top1) * self.inputs)


@dataclass(frozen=True, slots=True)
class Int8Agreement(Agreement):
    """Of a quantized model and its rewriting in float32.

    Attributes:
        rounded: how many activations keep the rounding of the quantized model.
        layers: which these are: "none", those of the "first" layer, or of "every" layer.
        kernels: the share of equal decisions of the quantized model with itself, on the same inputs, run by two sets of
            LiteRT's own kernels, 0..1; measured only where `top1` is below 98 %.
    """

    rounded: int = 0
    kernels: float | None = None
    layers: str = "none"


@dataclass(frozen=True, slots=True)
class Int8Evidence:
    """Of a shipped model of 8-bit codes, against the quantized original in LiteRT, all on the same inputs.

    Attributes:
        nodes: between the first and the last quantizer, by ONNX operator, those that work on codes.
        float_nodes: the others, but for additions of constants.
        share: of the multiplications of layers with weights, those on codes, 0..1.
        plain: the model in ONNX Runtime without optimisations, each node as ONNX defines it.
        optimized: the same with them: integer arithmetic, as it was found in the graph.
        kernels: the original itself, run by LiteRT's second set of kernels.
        moved: of a detector, in pixels of its input: how far the sides of the best box lie from the original's, the
            farthest side, on half of the inputs at most; first of `plain`, then of `kernels`. None where no input shows
            an object.
    """

    nodes: dict[str, int]
    float_nodes: dict[str, int]
    share: float
    plain: Agreement
    optimized: Agreement
    kernels: Agreement
    moved: tuple[float, float] | None = None


SAME_DECISIONS: Final = 0.99
"""The share of the original's decisions that a precision must keep: below, a finding says so, and `--precision auto`
takes a slower one."""


@dataclass(frozen=True, slots=True)
class PrecisionEvidence:
    """A row of the table of precisions.

    Attributes:
        precision: of the engine: "fp32", "fp16" or "int8".
        weights: bytes of the model's constants in it; None: that model was not made.
        agreement: with the original; "fp16": of the model rounded to float16 with the same in float32, both on the CPU.
            None: not measured.
        nodes: which run in it, by ONNX operator.
        float_nodes: between the first and the last quantizer of "int8", those that stay in float, as `Int8Evidence`.
        overflow: nodes whose results are beyond 65504, float16's largest number, on some input, though what they take
            is not.
        shown: of a detector, on how many of these inputs it finds an object at all; None where that was not counted.
        keep: nodes that, kept in float32, bring the decisions to `SAME_DECISIONS` and leave no overflow; () where
            nothing is to be gained or no small group does.
    """

    precision: str
    weights: int | None = None
    agreement: Agreement | None = None
    nodes: dict[str, int] = field(default_factory=dict)
    float_nodes: dict[str, int] = field(default_factory=dict)
    overflow: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    shown: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether an engine of this precision keeps the original's decisions, as far as was measured. Of less than 100
        inputs one may fall the other way: it may be a tie."""
        if self.agreement is None or self.overflow:
            return False
        count = self.agreement.inputs
        return round((1 - self.agreement.top1) * count) <= max(1, (1 - SAME_DECISIONS) * count)


@dataclass(frozen=True, slots=True)
class FrameEffect:
    """What it changes that nvinfer scales frames where Edge Impulse crops them (see `convert.validate`).

    Attributes:
        frames: aspects of the frames, in turn.
        crop: the original on the frame as Edge Impulse crops and resizes it, against the shipped model on the whole
            frame, scaled; None where it does not crop.
        squash: the same, against the original on the whole frame, scaled to the model's size.
    """

    frames: tuple[str, ...]
    crop: Agreement | None
    squash: Agreement


@dataclass(frozen=True, slots=True)
class AnswerCounts:
    """Of pictures, how DeepStream's answers and Edge Impulse's compare.

    Attributes:
        pictures: how many were compared.
        shown: on how many of them at least one of the two shows something.
        same: the same label, or the same objects, and nearly the same scores and places.
        drifting: the same label or objects with other scores, or boxes elsewhere.
        differing: another label, or an object that only one of the two shows.
    """

    pictures: int
    shown: int
    same: int
    drifting: int
    differing: int


@dataclass(frozen=True, slots=True)
class AnswerEvidence:
    """What the primary engine shows against what Edge Impulse's SDK answers (`convert.compare.stage`).

    Attributes:
        frame: aspect or pixels of the generated frames.
        threshold: Edge Impulse's, of a detector, 0..1.
        tolerance: the largest difference of two scores that counts as none.
        generated: on generated frames.
        given: on the user's pictures.
        causes: why pictures differ (`convert.compare.Cause`) and of how many; one picture may have several.
        explained: on how many of those that differ causes were found: they are looked for on the first ones only.
    """

    frame: str
    threshold: float | None
    tolerance: float
    generated: AnswerCounts
    given: AnswerCounts | None
    causes: dict[str, int]
    explained: int


@dataclass(frozen=True, slots=True)
class ObjectEvidence:
    """What was measured of `Adapted.for_objects`; the attributes are those of `Evidence`."""

    parity: Parity | None = None
    batch: BatchParity | None = None
    tensorrt: str | None = None
    decoding: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was measured. None: not measured.

    Attributes:
        parity: of a detector, on the network's raw outputs: what its graph makes of them has steps (the best class,
            the highest cell), which no tolerance suits.
        decoding: a detector's outputs against an independent decoding of the same raw outputs, largest absolute
            difference; boxes in shares of the picture, FOMO's in 35 pixels.
        int8_agreement: of a quantized model: the original against its rewriting in float32, both in LiteRT.
        framing: of a model that was trained on cropped pictures.
        answers: of a bundle with a primary engine, whose model Edge Impulse's SDK decodes in a known way.
        for_objects: of the same model without the crop, where there is one.
        source_parity: of a SavedModel or Keras model: what TensorFlow made of it against the model itself.
        int8: of a model of 8-bit codes; its `parity` is with the quantized original, from which it differs where
            rounding does.
        precisions: the table of all three, as far as it was measured; empty of a model that is wrong.
    """

    parity: Parity | None = None
    batch: BatchParity | None = None
    tensorrt: str | None = None
    decoding: float | None = None
    int8_agreement: Int8Agreement | None = None
    framing: FrameEffect | None = None
    answers: AnswerEvidence | None = None
    for_objects: ObjectEvidence | None = None
    source_parity: Parity | None = None
    int8: Int8Evidence | None = None
    precisions: tuple[PrecisionEvidence, ...] = ()


@dataclass(frozen=True, slots=True)
class Validated:
    """An adapted model, the evidence for it, and everything found so far (the runner fills that in)."""

    adapted: Adapted
    evidence: Evidence
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class ImpulseModel:
    """A whole impulse as it will be shipped: `samples` float32 [N, L*A] to `scores` [N, C] and `anomaly` [N, 1].

    Attributes:
        labels: of the scores, in order; empty without a network.
        measured: the same with the features as a last output.
        step: features are rounded to multiples of it before a network that was quantized, whose activations are, too.
    """

    export: Export
    onnx: OnnxModel
    labels: tuple[str, ...]
    measured: bytes = field(repr=False)
    step: float | None = None

    @property
    def impulse(self) -> Impulse:
        """What it computes."""
        assert self.export.impulse is not None
        return self.export.impulse

    @property
    def file(self) -> str:
        """The name of its file in a bundle."""
        return f"{self.export.name}.onnx"


@dataclass(frozen=True, slots=True)
class Differences:
    """Two computations of the same values; differences are absolute.

    Attributes:
        close: the share of values that differ by less than they may.
    """

    max_abs_diff: float
    mean_abs_diff: float
    close: float
    inputs: int


@dataclass(frozen=True, slots=True)
class ImpulseEvidence:
    """What was measured of a whole impulse. None: there is no such part, or it was not measured.

    Attributes:
        features: the graph's against an independent computation of the signal processing.
        network: the graph's scores against the network (rewritten in float32, where it was quantized) in LiteRT, on
            the graph's own features.
        scores: the graph's against the original network in LiteRT, on features computed independently.
        anomaly: the graph's score against an independent computation.
        ill_conditioned: the largest difference of a feature on inputs whose features mean nothing; not judged.
        recordings: how many of the inputs come from the user's recordings.
    """

    features: Differences
    network: Parity | None
    scores: Agreement | None
    anomaly: Differences | None
    batch: BatchParity
    ill_conditioned: dict[str, float]
    int8_agreement: Int8Agreement | None = None
    tensorrt: str | None = None
    recordings: int = 0


@dataclass(frozen=True, slots=True)
class ValidatedImpulse:
    """A whole impulse, the evidence for it, and everything found so far (the runner fills that in)."""

    model: ImpulseModel
    evidence: ImpulseEvidence
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Bundle:
    """The folder, written.

    Attributes:
        folder: its path; `name`: what the files are called after.
        files: with their digests, in the order they were written.
        findings: of all stages; `convert.convert` fills that in, and the evidence.
        evidence: what was measured; of two exports for the first, `secondary_evidence` for the second.
        impulse_evidence: what was measured of a whole impulse, instead.
    """

    folder: str
    name: str
    files: tuple[Output, ...]
    findings: tuple[Finding, ...] = ()
    evidence: Evidence | None = None
    secondary_evidence: Evidence | None = None
    impulse_evidence: ImpulseEvidence | None = None


@dataclass(frozen=True, slots=True)
class StageResult:
    """What a stage returns: the next artifact, the files it wrote, what it found."""

    artifact: Any
    outputs: tuple[Output, ...] = ()
    findings: tuple[Finding, ...] = ()


class Stage(Protocol):
    """A step of the pipeline: a frozen dataclass whose fields are its options."""

    @property
    def name(self) -> str:
        """One verb: "unpack", "translate", "adapt", "validate", "emit"."""

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Do it. `workdir` is scratch space that is removed afterwards."""


def onnx_file(name: str, framing: Framing | None) -> str:
    """The name of a model's file: `NAME.onnx`, of one that takes whole frames `NAME-16x9.onnx`."""
    return f"{name}-{framing.frame.in_file_names}.onnx" if framing and framing.crops else f"{name}.onnx"


def slug(text: str) -> str:
    """`text` as a short file name: lower case ASCII letters, digits and `-`; "model" when nothing is left.

    Letters lose their marks (Unicode's NFKD: "Früchte" is "fruchte"; which language it is, and whether it writes "ue"
    instead, is not known); those that have no other form are written with `_LETTERS`.
    """
    plain = unicodedata.normalize("NFKD", text.lower().translate(_LETTERS))
    letters = "".join(each for each in plain if not unicodedata.combining(each))
    return re.sub(r"[^a-z0-9]+", "-", letters).strip("-")[:60].strip("-") or "model"


_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ħ": "h", "ŧ": "t"}
    | {"\N{LATIN SMALL LETTER DOTLESS I}": "i"}
)
"""Letters that Unicode does not take apart."""
