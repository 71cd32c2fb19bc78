"""Loads the engine of a config: settings and labels as nvinfer reads them, preprocessing, the model in ONNX Runtime.

A config that nvinfer refuses is refused with the finding that `check` gives.

ONNX Runtime takes TensorRT's place. nvinfer builds an engine whose batch is at most batch-size whatever the file says
(nvdsinfer_model_builder.cpp). A model with a fixed batch runs here in batches of that size, padded with zeros; results
of the padding are discarded.

Preprocessing is Gst-nvinfer's. The frame is cropped and scaled to the network's size as 8-bit pixels
(`convert.images.scaling`); padding is black. Then every number x becomes net-scale-factor * (x - mean) in float32
(nvdsinfer_conversion.cu), where mean is the channel's offset, the mean file's byte, or nothing. Offsets and mean file
are in the order of the network's channels, after the RGB/BGR swap. Not reproduced: video decoders give NV12 pictures
with half the colour resolution, and NvBufSurfTransform is a closed library, so pixels on a device can differ by a few
levels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.check.context import SDK, RuleContext, Setting
from convert.check.loading import Models, load_context, read_config
from convert.check.rules import findings
from convert.check.rules.engine import absence
from convert.errors import InputError, ValidationError
from convert.findings import Finding, Level
from convert.images.scaling import Network, Placement, Rect, approximation, place, scale
from convert.nvinfer.context import read_labels
from convert.report import with_resize_mode
from convert.simulate.parsers import Layer
from convert.simulate.results import CHECK_FINDINGS, SimulatedEngine
from convert.simulate.settings import ColorFormat, NetworkType, Settings
from convert.validate import runtimes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.nvinfer.keys import Problem
    from convert.nvinfer.targets import Target

_PPM = re.compile(rb"\s*(\S+)\s+(\d+)\s+(\d+)\s+(\S+)")


@dataclass(frozen=True, slots=True, eq=False)
class Preprocessor:
    """Prepares frames for one engine; made by `preprocessor`.

    Attributes:
        network: the engine's input.
        settings: its channels, and how frames are fitted and scaled.
        scale: net-scale-factor in use.
        mean: float32, of the shape of one input or broadcast to it; None is no mean.
    """

    network: Network
    settings: Settings
    scale: np.float32
    mean: NDArray[np.float32] | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one input: [C,H,W], or [H,W,C] for NHWC."""
        channels, height, width = self.network.channels, self.network.height, self.network.width
        return (height, width, channels) if self.settings.channels_last else (channels, height, width)

    @property
    def approximated(self) -> str:
        """How the scaling only approximates a device's, "" where it is exact."""
        return approximation(self.settings.scaling_filter)

    def placed(self, width: int, height: int, crop: Rect | None = None) -> Placement:
        """Where a frame of that size, or an object of it, lies in the input; InputError: it cannot be scaled."""
        fitting = self.settings
        return place(
            width, height, self.network, keep_aspect=fitting.keep_aspect, symmetric=fitting.symmetric, crop=crop
        )

    def __call__(
        self, frame: NDArray[np.uint8], *, crop: Rect | None = None, out: NDArray[np.float32] | None = None
    ) -> tuple[NDArray[np.float32], Placement]:
        """One frame, or one object of it.

        Args:
            frame: uint8 [H,W,3] RGB, or [H,W] or [H,W,1] grey.
            crop: an object in the frame (process-mode 2).
            out: where to write, `shape`, float32; made when missing.

        Returns:
            The network's input, and where in it the picture lies.

        Raises:
            InputError: not such a picture, or one that cannot be scaled.
        """
        picture = frame[:, :, None] if frame.ndim == 2 else frame
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] not in {1, 3} or 0 in picture.shape:
            message = f"a frame is {picture.dtype} {list(picture.shape)}, not 8-bit RGB or grey pixels"
            raise InputError(message, hint="pictures are decoded to uint8 [height, width, 3] or [height, width]")
        height, width = picture.shape[:2]
        placement, color = self.placed(width, height, crop), self.settings.color
        levels = scale(picture, placement, self.settings.scaling_filter, grey=color is ColorFormat.GRAY)
        out = np.empty(self.shape, np.float32) if out is None else out
        pixels = out if self.settings.channels_last else out.transpose(1, 2, 0)
        if levels.shape[:2] != pixels.shape[:2]:
            pixels[...] = 0
        pixels[placement.target] = levels[..., ::-1] if color is ColorFormat.BGR else levels
        with np.errstate(over="ignore", invalid="ignore"):  # infinity and NaN are values like any other in C
            if self.mean is not None:
                out -= self.mean
            out *= self.scale
        return out, placement


def preprocessor(settings: Settings, network: Network) -> Preprocessor:
    """What one engine does with its frames.

    Args:
        settings: of the config. A net-scale-factor that is not above 0 counts as 1, and the offsets as none.
        network: the engine's input.

    Raises:
        InputError: nvinfer refuses to start: the channels do not fit model-color-format, there are not as many offsets
            as channels, or the mean file is missing or not a PPM picture of the network's size.
    """
    wanted = 1 if settings.color is ColorFormat.GRAY else 3
    if network.channels != wanted:
        raise InputError(
            f"model-color-format={int(settings.color)} ({settings.color.name}) needs {wanted} channels, "
            f"the network has {network.channels}: nvinfer refuses to start",
            hint="2 is for models of one channel, 0 (RGB) and 1 (BGR) for models of three",
        )
    scale, mean = np.float32(1), None
    if settings.scale > 0:
        scale = np.float32(settings.scale)
        if settings.offsets and len(settings.offsets) != network.channels:
            raise InputError(
                f"there are {len(settings.offsets)} offsets for {network.channels} channels: nvinfer refuses to start",
                hint="give one offset for each channel, in the network's order",
            )
        if settings.offsets:
            offsets = np.array(settings.offsets, np.float32)
            mean = offsets if settings.channels_last else offsets[:, None, None]
    if settings.mean_file:
        mean = read_mean_file(Path(settings.mean_file), network).astype(np.float32)
        if not settings.channels_last:
            mean = np.ascontiguousarray(mean.transpose(2, 0, 1))
    return Preprocessor(network, settings, scale, mean)


def read_mean_file(path: Path, network: Network) -> NDArray[np.uint8]:
    """A mean picture [H,W,C], its bytes in the order they stand in the file.

    nvinfer reads a PPM header, P3 or P6, and behind the maximum and one more byte raw bytes in either case; a comment
    in the header is not known to it (`readMeanImageFile` in nvdsinfer_context_impl.cpp).

    Raises:
        InputError: nvinfer refuses to start with it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"the mean file cannot be read: {error.strerror}", path=path) from None
    header = _PPM.match(data)
    if header is None or header[1] not in {b"P3", b"P6"}:
        message = "the mean file does not start as a PPM picture does"
        raise InputError(message, hint="P6, width, height and 255, no comment", path=path)
    width, height = int(header[2]), int(header[3])
    if (width, height) != (network.width, network.height):
        raise InputError(
            f"the mean file has {width}x{height} pixels, the network {network.width}x{network.height}", path=path
        )
    size = network.height * network.width * network.channels
    start = header.end() + 1
    if len(data) < start + size:
        raise InputError(f"the mean file has {max(len(data) - start, 0):,} bytes of {size:,}", path=path)
    pixels: NDArray[np.uint8] = np.frombuffer(data, np.uint8, size, start)
    return pixels.reshape(network.height, network.width, network.channels)


_GPU = 1  # scaling-compute-hw


@dataclass(frozen=True, slots=True)
class Source:
    """Where an engine is described: its config, as the user named it, and what deepstream-app sets over it."""

    path: Path
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class LoadedEngine:
    """An engine that is ready.

    Attributes:
        engine: as it is reported.
        prepare: makes its input.
        session: the model in ONNX Runtime.
        outputs: their names, in engine order.
        batch: how many inputs go in at a time.
        fixed: whether the model takes exactly that many.
        target: that it was loaded for.
        smallest: width and height in pixels; smaller objects are not processed.
        asynchronous: a secondary classifier with classifier-async-mode.
        check_findings: a note where `check` finds more.
    """

    engine: SimulatedEngine
    prepare: Preprocessor
    session: Any
    outputs: tuple[str, ...]
    batch: int
    fixed: bool
    target: Target
    smallest: tuple[int, int]
    asynchronous: bool
    check_findings: tuple[Finding, ...]

    def infer(self, values: NDArray[np.float32]) -> list[Layer]:
        """The outputs for at most `batch` inputs [n,...], in engine order, n frames in each.

        Raises:
            InputError: the model fails, or an output does not have the batch of the input.
        """
        count = len(values)
        if self.fixed and count < self.batch:
            values = np.concatenate([values, np.zeros((self.batch - count, *values.shape[1:]), np.float32)])
        try:
            found = runtimes.run_onnx(self.session, values)
        except ValidationError as error:
            message = error.message
            hint = "infer-dims, batch-size and the model's own shapes must agree; ei-deepstream check compares them"
            raise InputError(message, hint=hint, path=self.engine.model) from None
        return [self._layer(name, array, len(values), count) for name, array in zip(self.outputs, found, strict=True)]

    def _layer(self, name: str, array: Any, given: int, count: int) -> Layer:
        if not isinstance(array, np.ndarray):
            message = f"output {name!r} is a {type(array).__name__}, not a tensor: TensorRT has no such outputs"
            raise InputError(message, path=self.engine.model)
        if not array.ndim or len(array) != given:
            raise InputError(
                f"output {name!r} has the shape {list(array.shape)} for a batch of {given}: its first dimension is not "
                "the batch, and for later frames nvinfer reads what happens to lie in memory",
                hint="set batch-size=1, or make the output depend on the input's batch (ei-deepstream convert does)",
                path=self.engine.model,
            )
        return Layer.of(name, array[:count])


def read_context(source: Source, where: Target, models: Models | None = None) -> RuleContext:
    """The config as nvinfer reads it, with the header of its model.

    Raises:
        InputError: it cannot be read, or nvinfer refuses it; then for the reason `check` gives.
    """
    context = load_context(read_config(str(source.path), where), where, models or Models(), source.settings)
    if context.faults:
        raise _refusal(context, context.faults[0].problem)
    return context


def settings_of(context: RuleContext) -> Settings:
    """What nvinfer computes with.

    Raises:
        InputError: the label file that the config names cannot be read.
        UnsupportedModelError: a parser function of a library of its own.
    """
    path = context.parsed.files.get("labelfile-path") if context.value("labelfile-path", "") else None
    labels = read_labels(path) if path else ()
    return Settings.from_parsed(replace(context.parsed, values=context.values), [line.labels for line in labels])


def load(source: Source, where: Target, models: Models | None = None, *, session: Any = None) -> LoadedEngine:
    """The engine of a config.

    Args:
        source: the config.
        where: release and platform.
        models: headers of models that were read before.
        session: of its model in ONNX Runtime; made of the file where none is given.

    Raises:
        InputError: as `read_context`; the model is missing, damaged, or not one nvinfer takes; or the labels are.
        UnsupportedModelError: the model's outputs are decoded by a library of its own.
    """
    context = read_context(source, where, models)
    path = _model_path(context)
    # The library is named first: check would say that it is missing, which is no help on a laptop.
    settings = settings_of(context)
    if context.model_error:
        raise context.model_error
    if context.start is not None and context.start.verdict != "ok":
        raise _refusal(context, next(problem for problem in context.start.problems if problem.fatal))
    session = session or _session(context, path)
    (wanted, *others), outputs = session.get_inputs(), session.get_outputs()
    if others:
        message = f"the model has {1 + len(others)} inputs: nvinfer takes models with one, without a library of its own"
        raise InputError(message, path=path)
    if wanted.type != "tensor(float)":
        raise InputError(
            f"the model's input is {wanted.type[7:-1]}: nvinfer writes float32 numbers into it whatever it is, and the "
            "model sees noise",
            hint="use a model whose input is float32; ei-deepstream convert makes one",
            path=path,
        )
    batch, *dims = (size if isinstance(size, int) and size > 0 else 0 for size in wanted.shape)
    network = network_of(settings, tuple(dims))
    prepare = preprocessor(settings, network)
    engine = SimulatedEngine(
        *(source.path, path, settings, network),
        tuple(filter(None, [prepare.approximated])),
        tuple(sorted(with_resize_mode(path, session.get_modelmeta().custom_metadata_map).items())),
    )
    # for others gst_nvinfer_start turns it off
    asynchronous = settings.on_objects and settings.network_type is NetworkType.CLASSIFIER
    return LoadedEngine(
        *(engine, prepare, session, tuple(output.name for output in outputs), batch or settings.batch_size),
        *(bool(batch), context.target, _smallest(context, settings)),
        asynchronous and bool(context.value("classifier-async-mode")),
        _check_findings(context),
    )


def _refusal(context: RuleContext, problem: Problem) -> InputError:
    """The error for a problem that keeps nvinfer from starting: the finding of `check`."""
    errors = [finding for finding in findings(context) if finding.level is Level.ERROR]
    same = [finding for finding in errors if finding.message.startswith(problem.message)]
    key = None if problem.key is None or context.faults else context.place(problem.key)
    there = [each for each in errors if each.line in {problem.line, key.line if key else None} - {None}]
    found = next(iter([*same, *there]), None)
    if found is None:
        message, hint = f"nvinfer refuses this config: {problem.message}", "ei-deepstream check says more"
        return InputError(message, hint=hint, path=context.parsed.path, line=problem.line)
    message = f"nvinfer refuses this config ({found.id}): {found.message}"
    hint = found.hint or f"ei-deepstream explain {found.id}"
    return InputError(message, hint=hint, path=found.path or context.parsed.path, line=found.line)


def _model_path(context: RuleContext) -> Path:
    file = context.files.get("onnx-file")
    place = context.place("onnx-file")
    if file is None or not context.value("onnx-file", ""):
        engine = context.value("model-engine-file", "")
        what = "only a TensorRT engine, which runs on its own GPU" if engine else "no model"
        message = f"the config names {what}: there is no ONNX file to run"
        hint = "write onnx-file=, or decode recorded outputs with --tensors"
        raise InputError(message, hint=hint, path=context.parsed.path)
    if not file.presence.here:
        why, hint = absence(file.text, file.path), f"nvinfer looks for {file.path}"
        if file.text.startswith(SDK):
            why = "is a model of the DeepStream SDK and is not on this machine"
            hint = "copy it here and write its path into a copy of the config"
        raise InputError(f"onnx-file: {file.text!r} {why}", hint=hint, path=place.path, line=place.line)
    return Path(file.path)


def _session(context: RuleContext, path: Path) -> Any:
    if context.lacking:
        message = f"the model's weights are in files that are not there: {', '.join(context.lacking[:5])}"
        raise InputError(message, hint="copy them beside the model", path=path)
    try:
        return runtimes.load(runtimes.read_whole(path))
    except ValidationError as error:
        raise InputError(
            error.message, hint="ONNX Runtime stands in TensorRT's place here; it needs a valid ONNX model", path=path
        ) from None


def _smallest(context: RuleContext, settings: Settings) -> tuple[int, int]:
    """gst_nvinfer_start raises the minimum to 1 pixel, and to 16 where a Jetson's VIC scales."""
    target = context.target
    least = 1 if context.value("scaling-compute-hw") == _GPU else target.min_object_size
    width, height = settings.input_object_min
    return max(width, least), max(height, least)


def _check_findings(context: RuleContext) -> tuple[Finding, ...]:
    """One note where `check` finds errors or warnings that do not keep a simulation from running."""
    found = [finding for finding in findings(context) if finding.level is not Level.NOTE]
    ids, path = ", ".join(sorted({finding.id for finding in found})), context.parsed.path
    message = f"ei-deepstream check finds {len(found)} {'thing' if len(found) == 1 else 'things'} more ({ids})"
    return (CHECK_FINDINGS.found(message, path=path, hint=f"ei-deepstream check {path}"),) if found else ()


def network_of(settings: Settings, dims: tuple[int, ...]) -> Network:
    """The engine's input picture.

    Args:
        settings: its infer-dims.
        dims: of the model's input without the batch; 0 where the model leaves one open.

    Raises:
        InputError: not three dimensions, or open ones without infer-dims.
    """
    if len(dims) != 3:
        raise InputError(
            f"the model's input has the shape {list(dims)} behind the batch, and nvinfer takes pictures with three",
            hint="reshape inside the model; ei-deepstream convert does",
        )
    if all(settings.infer_dims):
        return Network(*settings.infer_dims)
    if min(dims) < 1:
        message = "the model leaves the size of its input open, and the config has no infer-dims"
        raise InputError(message, hint="add infer-dims=channels;height;width")
    return Network(*dims)
