"""Stage 3: tf2onnx's graph becomes the model that is shipped.

`Adapt` is the stage; what it does to graphs is in `convert.graph.passes`. Importing this module brings no onnx.

`read_onnx`, `recorded` and `read_head` read an ONNX file that an earlier stage wrote, for commands of single stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from convert import types
from convert.errors import InputError, PresetError, UnsupportedModelError
from convert.findings import Finding, Rule
from convert.graph.preprocessing import RESIZE_ASSUMED, SCALING_ASSUMED, preprocessing
from convert.heads import CONVERTIBLE, head
from convert.heads.base import GENERIC_LABELS
from convert.images import Frame, ImageScaling
from convert.images.resizing import RESIZES
from convert.isolation import LARGE
from convert.onnx_header import Damaged, Value, parse_header
from convert.report import OnnxMetadata

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import ModelProto


CALIBRATED = Rule("EI308")

FOMO_MERGES = ("touching", "peak", "none")
YOLO_SCORES = ("product", "objectness")
LARGEST_BOX = 64  # cells
TRACKED_BOX = 3
"""Cells of a FOMO box where objects are tracked. Measured with a tracker by overlap on 2,400 made-up trajectories that
cross a line: of one-cell boxes 0 % of crossings are counted, of 1.5 cells 78 %, of 3 and of 5 cells 91 %."""


@dataclass(frozen=True, slots=True)
class Adapt:
    """Canonical names and order, dynamic batch, outputs nvinfer can decode.

    Attributes:
        fomo_merge: how neighbouring cells of a class in FOMO's grid are merged: "touching": into one box, as Edge
            Impulse's SDK does; "peak": only the highest of them is an object; "none": each is (`convert.heads.fomo`).
        yolo_score: None: a YOLO gives what Edge Impulse's SDK reports, as far as the graph can (`convert.heads.boxes`).
            Else the score of each candidate's best class where there is an objectness: its "product" with the class, as
            the authors of YOLO define it, or the "objectness" alone.
        no_suppression: for a task, why the target cannot take a graph that drops overlapping boxes itself; empty: it
            can. None: every target can.
        threshold: the lowest score of an object, or of a classifier's label, above 0 and below 1; None: as the export
            records it, else `types.DETECTOR_THRESHOLD`, for a classifier 0.
        frame: aspect of the camera's frames: the model takes whole ones and brings them to its own size itself. With
            `resize` "device" of no effect, unless it was trained on cropped pictures. None: the device scales.
        frame_assumed: nobody said that frame (`--frame auto`), so it is not said where it has no effect.
        for_objects: of a model that takes frames, also make the one that does not (`Adapted.for_objects`).
        resize: what brings frames to the model's size: the "device", or the "graph", as Edge Impulse's SDK does
            (`convert.graph.resize`); the network then takes frames of the size that `frame` gives in pixels. "auto":
            first the device, to a whole part of the frame (`convert.images.resizing`), then the graph.
        fomo_box: the least width and height of a FOMO box in cells; None: 1, where objects are tracked `TRACKED_BOX`.
        tracked: the app tracks objects.
        pads: the target's Pad takes any number, for a model of codes (`convert.graph.quantized`).
        calibrate: a folder of pictures, with which a float model is quantized (`convert.graph.calibrate`).

    Raises:
        PresetError: an option that does not exist, or a threshold out of range.
    """

    name: ClassVar[str] = "adapt"
    fomo_merge: str = "touching"
    yolo_score: str | None = None
    no_suppression: Callable[[str], str] | None = None
    threshold: float | None = None
    frame: Frame | None = None
    frame_assumed: bool = False
    for_objects: bool = False
    resize: str = "auto"
    fomo_box: float | None = None
    tracked: bool = False
    pads: bool = True
    calibrate: Path | None = None

    def __post_init__(self) -> None:
        for option, value, known in (
            ("fomo-merge", self.fomo_merge, FOMO_MERGES),
            ("yolo-score", self.yolo_score, YOLO_SCORES),
            ("resize", self.resize, RESIZES),
        ):
            if value is not None and value not in known:
                raise PresetError(f"there is no --{option} {value!r}", hint="one of: " + ", ".join(known))
        if self.fomo_box is not None and not 1 <= self.fomo_box <= LARGEST_BOX:
            raise PresetError(
                f"--fomo-box is {self.fomo_box:g}", hint=f"a number of cells from 1 to {LARGEST_BOX}, as 3"
            )
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise PresetError(f"--threshold is {self.threshold:g}", hint="a number above 0 and below 1, as 0.5")

    def __call__(self, artifact: object, workdir: Path) -> types.StageResult:  # noqa: ARG002 - a stage's signature
        """Adapt a `Translated`.

        Raises:
            TranslationError: the model cannot have a dynamic batch.
            UnsupportedModelError: there is no head for its task, or its outputs do not fit the task.
            InputError: the labels do not fit the outputs; pictures to calibrate with are too few, or cannot be read.
            PresetError: the image scaling does not fit the channels, or `frame` not `resize`.
        """
        assert isinstance(artifact, types.Translated)
        export = artifact.export
        if self.tracked and not head(export.facts.task).detects:
            raise PresetError(
                "--line and --zone count objects, and a classifier finds none", hint="give the export of a detector"
            )
        before, findings = preprocessing(export, self.frame, assumed=self.frame_assumed, resize=self.resize)
        spec = head(export.facts.task)
        if spec.refused:
            message = f"there is no way yet to make the outputs of a {spec.id} model readable for Gst-nvinfer"
            raise UnsupportedModelError(message, hint="can be converted: " + ", ".join(CONVERTIBLE))
        from convert.graph.passes import adapted, prepared  # brings onnx

        # Nothing behind this stage reads tf2onnx's model.
        translated = replace(artifact, onnx=replace(artifact.onnx, stored=b""))
        more: list[Callable[[ModelProto], ModelProto]] = []
        pictures: tuple[Path, ...] = ()
        if self.calibrate is not None:
            from convert.graph.calibrate import calibrated, calibration_pictures  # few runs need it

            pictures = calibration_pictures(self.calibrate)
            scaling = export.metadata.image_scaling or ImageScaling.NONE
            more = [partial(calibrated, scaling=scaling, before=before, pictures=pictures)]
            message = f"the 8-bit codes were made here, by ONNX Runtime, from {len(pictures)} pictures"
            findings = (*findings, CALIBRATED.found(message))
        prepare = partial(prepared, artifact.onnx, *more, coded=export.coded)
        twice = self.for_objects and before.framing is not None and before.framing.crops
        if twice and artifact.onnx.size <= LARGE:  # a large one is rather read again than kept twice
            prepare = partial(deepcopy, prepare())
        result, found = adapted(self, prepare, translated, before, len(pictures))
        if twice:
            plain, _ = adapted(self, prepare, translated, preprocessing(export)[0], len(pictures))
            result = replace(result, for_objects=plain)
        return types.StageResult(result, findings=without_assumed((*findings, *found), export))

    def least_box(self, export: types.Export) -> float:
        """The least size of a FOMO box, in cells."""
        if self.fomo_box is not None:
            return self.fomo_box
        return TRACKED_BOX if self.tracked or export.metadata.tracking else 1

    def lowest(self, export: types.Export) -> float:
        """The lowest score of an object, as `threshold` says."""
        known = (self.threshold, export.metadata.threshold, types.DETECTOR_THRESHOLD)
        return next(value for value in known if value is not None)


def without_assumed(findings: Sequence[Finding], export: types.Export) -> tuple[Finding, ...]:
    """Without what had to be assumed, where `unpack` has said all of it in one finding (EI101)."""
    said = {GENERIC_LABELS.id, RESIZE_ASSUMED.id, SCALING_ASSUMED.id} if len(export.metadata.assumed) > 1 else set()
    return tuple(finding for finding in findings if finding.id not in said)


def read_onnx(path: Path) -> types.OnnxModel:
    """Read a serialised model with one input.

    Raises:
        InputError: it cannot be read, is no ONNX model, or has another number of inputs.
    """
    hint = "give the .onnx file an earlier stage wrote"
    try:
        data = path.read_bytes()
        header = parse_header(data)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="give an .onnx file") from error
    except Damaged as error:
        raise InputError("not an ONNX model", path=path, hint=hint) from error
    if not header.nodes or not header.opset:
        raise InputError("not an ONNX model", path=path, hint=hint)
    if len(header.inputs) != 1:
        raise InputError(f"the model has {len(header.inputs)} inputs, not one", path=path, hint="run translate again")
    return types.OnnxModel(data, _tensor(header.inputs[0]), tuple(map(_tensor, header.outputs)), header.opset)


def _tensor(value: Value) -> types.Tensor:
    return types.Tensor(value.name, value.shape, value.numpy_type)


def recorded(model: types.OnnxModel, path: Path) -> OnnxMetadata:
    """What an adapted model records of itself; digest, task and number of classes are there.

    Raises:
        InputError: `adapt` did not write it; `path` is named.
    """
    try:
        found = OnnxMetadata.parse(parse_header(model.data).metadata, strict=True)
    except ValueError:
        found = OnnxMetadata()
    if None in {found.source_sha256, found.task, found.classes}:
        raise InputError("not a model that `adapt` wrote", path=path, hint="run adapt on it first")
    return found


def read_head(model: OnnxMetadata, export: types.Export) -> tuple[types.Head, tuple[Finding, ...]]:
    """The head of an adapted model (see `recorded`), with the labels of `export`, and what had to be assumed.

    Raises:
        InputError: the labels do not fit.
        UnsupportedModelError: a classifier with one class.
    """
    assert model.task is not None
    assert model.classes is not None
    labels, findings = head(model.task).labels(export, model.classes)
    how = model.merge, model.score, model.coordinates
    return types.Head(model.task, labels, *how, model.limits, model.overlap, model.threshold, model.box), findings
