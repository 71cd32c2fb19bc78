"""Decodes recorded output tensors of a device instead of running a model.

A recording is a folder with one of these:

- `case.json` and `tensors.npz`. `case.json` holds "network" {channels, height, width}, "frames", and "outputs" in
  engine order [{name, array, dtype, dims}]; for detectors also "source frame" {width, height, scale_ratio_x,
  scale_ratio_y, offset_left, offset_top} and "parent object" {left, top, width, height}. Every array in `tensors.npz`
  is [frames, *dims]. Both files are untrusted: arrays are extracted one by one, after their headers were compared with
  `case.json`, and never unpickled.
- The files nvinfer writes for each batch with raw-output-file-write=1 (`gst_nvinfer_output_generated_file_write`,
  gstnvinfer.cpp): one file for each input and output in the element's working directory, named
  `gstnvdsinfer_uid-<id>_layer-<name>_batch-<number>_batchsize-<frames>.bin`, every "/" of the name an underscore, cut
  at 255 bytes; in it the numbers of all frames of the batch one after the other, and nothing else. Dimensions and
  types come from the ONNX model's header, which is read without running the model.

Which input dimensions are channels, height and width: `initInferenceInfo` (nvdsinfer_context_impl.cpp), infer-dims
where all three are given, otherwise the three after the batch, in this order.

`replayed` gives it as a simulation.
"""

from __future__ import annotations

import ast
import json
import math
import os
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from convert.errors import InputError
from convert.images.scaling import Network, Placement, Rect, View, place, whole_network
from convert.onnx_header import Value, read_header
from convert.simulate import results
from convert.simulate.decode import Classified, Detected, Detection, attach, decode
from convert.simulate.engine import Source, network_of, read_context, settings_of
from convert.simulate.parsers import DTYPES, Dropped, Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.images.read import Picture
    from convert.nvinfer.targets import Target
    from convert.simulate.settings import Settings

CASE = "case.json"
"""What the engine was."""

TENSORS = "tensors.npz"
_MOST_BYTES = 2**30  # of one output; a batch of large detection heads is a few MiB
_MOST_JSON = 2**20
_MOST_HEADER = 10_000  # numpy's own limit


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One output of an engine: its name, its type (one of DTYPES), its dimensions without the batch."""

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """An engine's input and outputs, outputs in engine order."""

    network: Network
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One batch of outputs.

    Attributes:
        name: of the recording.
        network: the engine's input.
        layers: in engine order.
        view: how the frame was scaled; None where that was not recorded.
        parent: the object that was the input (process-mode 2).
    """

    name: str
    network: Network
    layers: tuple[Layer, ...]
    view: View | None = None
    parent: Rect | None = None


def read_case(folder: Path) -> Recording:
    """Read `case.json` and `tensors.npz`.

    Raises:
        InputError: one is missing, damaged, or they do not fit each other.
    """
    case, where = _load(folder)
    frames = _whole(case, "frames", where)
    keys = [_string(one, "array", where) for one in case["outputs"]]
    layout = _layout(case, where)
    layers = _arrays(folder / TENSORS, layout, keys, frames)
    frame, parent = case.get("source frame"), case.get("parent object")
    view = None if frame is None else _view(_mapping(frame, where), where)
    sides = ("left", "top", "width", "height")
    box = None if parent is None else Rect(*(_real(_mapping(parent, where), side, where) for side in sides))
    return Recording(folder.name, layout.network, layers, view, box)


def read_layout(folder: Path) -> Layout | None:
    """Input and outputs as `case.json` has them; None where the folder has none."""
    if not (folder / CASE).exists():
        return None
    case, where = _load(folder)
    return _layout(case, where)


def _load(folder: Path) -> tuple[dict[str, Any], Path]:
    path = folder / CASE
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_JSON + 1)
        if len(data) > _MOST_JSON:
            _damaged(path, f"it has more than {_MOST_JSON:,} bytes")
        case = _mapping(json.loads(data), path)
    except OSError as error:
        raise InputError(
            f"the recording cannot be read: {error.strerror}", hint=f"a recording has {CASE} and {TENSORS}", path=path
        ) from None
    except (ValueError, RecursionError):  # broken JSON, broken UTF-8, endless brackets
        _damaged(path, "it is not JSON")
    if not isinstance(case.get("outputs"), list) or not case["outputs"]:
        _damaged(path, 'it has no list "outputs"')
    for one in case["outputs"]:
        _mapping(one, path)
    return case, path


def _layout(case: dict[str, Any], where: Path) -> Layout:
    network = _mapping(case.get("network"), where)
    outputs = []
    for one in case["outputs"]:
        dims = one.get("dims")
        if not isinstance(dims, list) or not all(type(size) is int and size > 0 for size in dims):
            _damaged(where, f'"dims" of an output is {dims!r}, not a list of positive numbers')
        dtype = _string(one, "dtype", where)
        if dtype not in DTYPES:
            _damaged(where, f'"dtype" of an output is {dtype!r}, not one of {", ".join(DTYPES)}')
        if math.prod(dims) * np.dtype(dtype).itemsize > _MOST_BYTES:
            _damaged(where, f"an output of {dims} {dtype} numbers is larger than any engine's")
        outputs.append(TensorSpec(_string(one, "name", where), dtype, tuple(dims)))
    return Layout(Network(*(_whole(network, name, where) for name in ("channels", "height", "width"))), tuple(outputs))


def _view(source: dict[str, Any], where: Path) -> View:
    scale_x, scale_y = (_real(source, f"scale_ratio_{axis}", where) for axis in "xy")
    if not (scale_x > 0 and scale_y > 0):
        _damaged(where, "a scale of the source frame is not positive")
    width, height = (_whole(source, name, where) for name in ("width", "height"))
    left, top = (_whole(source, f"offset_{side}", where, least=0) for side in ("left", "top"))
    return View(width, height, scale_x, scale_y, left, top)


def _arrays(path: Path, layout: Layout, keys: list[str], frames: int) -> tuple[Layer, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            return tuple(
                Layer.of(output.name, _array(archive, path, key, output, frames))
                for key, output in zip(keys, layout.outputs, strict=True)
            )
    except OSError as error:
        raise InputError(f"the tensors cannot be read: {error.strerror or error}", path=path) from None
    # what zipfile and zlib raise for damaged, encrypted or unknown archives
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError):
        _damaged(path, "it is not a readable archive of arrays")


def _array(archive: zipfile.ZipFile, path: Path, key: str, output: TensorSpec, frames: int) -> NDArray[Any]:
    shape, dtype = (frames, *output.dims), np.dtype(output.dtype)
    size = math.prod(shape) * dtype.itemsize
    if size > _MOST_BYTES:
        _damaged(path.with_name(CASE), f"{frames} frames of output {output.name!r} are larger than any batch")
    try:
        member = archive.open(f"{key}.npy")
    except KeyError:
        _damaged(path, f"there is no array {key!r}")
    with member as file:
        found = _header(file, path, key)
        wanted = {"descr": dtype.str, "fortran_order": False, "shape": shape}
        if found != wanted:
            _damaged(path, f"array {key!r} is {str(found)[:100]}, and {CASE} says {wanted}")
        data = file.read(size)
    if len(data) != size:
        _damaged(path, f"array {key!r} has {len(data):,} bytes of {size:,}")
    return np.frombuffer(data, dtype).reshape(shape)


def _header(file: IO[bytes], path: Path, key: str) -> object:
    """What the .npy header says, before anything is allocated for the data: a Python literal, in a damaged one any."""
    start = file.read(8)
    width = {b"\x01\x00": 2, b"\x02\x00": 4, b"\x03\x00": 4}.get(start[6:], 0)
    length = int.from_bytes(file.read(width), "little")
    if start[:6] != b"\x93NUMPY" or not 0 < length <= _MOST_HEADER:
        _damaged(path, f"array {key!r} has no readable header")
    try:
        return ast.literal_eval(file.read(length).decode("utf-8"))
    # what a broken literal can lead to (ast.literal_eval's documentation)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        _damaged(path, f"array {key!r} has no readable header")


def _mapping(value: object, where: Path) -> dict[str, Any]:
    if not isinstance(value, dict):
        _damaged(where, "something in it is not the object it should be")
    return value


def _whole(source: dict[str, Any], name: str, where: Path, *, least: int = 1) -> int:
    value = source.get(name)
    if type(value) is not int or not least <= value < 2**31:  # a truth value is none
        _damaged(where, f"{name!r} is {value!r}, not a whole number of at least {least}")
    return value


def _real(source: dict[str, Any], name: str, where: Path) -> float:
    value = source.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        _damaged(where, f"{name!r} is {value!r}, not a number")
    return float(value)


def _string(source: dict[str, Any], name: str, where: Path) -> str:
    value = source.get(name)
    if not isinstance(value, str):
        _damaged(where, f"{name!r} is {value!r}, not a text")
    return value


def _damaged(path: Path, what: str) -> NoReturn:
    raise InputError(f"the recording is damaged: {what}", hint="record it again", path=path)


_NAME_BYTES = 255
_NAME = re.compile(rb"gstnvdsinfer_uid-(\d{2,})_layer-(.*)_batch-(\d{10,})_batchsize-(\d{2,})\.bin", re.DOTALL)
_MOST_FRAMES = 1024  # NVDSINFER_MAX_BATCH_SIZE


def dump_name(unique_id: int, layer: str, batch: int, frames: int) -> str:
    """The file nvinfer writes for one layer of one batch."""
    name = f"gstnvdsinfer_uid-{unique_id:02d}_layer-{layer}_batch-{batch:010d}_batchsize-{frames:02d}.bin"
    return os.fsdecode(os.fsencode(name)[:_NAME_BYTES]).replace("/", "_")


def read_dump(folder: Path, unique_id: int, layout: Layout | None = None) -> tuple[Recording, ...]:
    """All batches of one engine, in the order they were written.

    Args:
        folder: with the files; others are ignored.
        unique_id: gie-unique-id of the engine.
        layout: its input and outputs; a `case.json` in the folder goes before it.

    Raises:
        InputError: there are no such files, one is missing, or a size does not fit the dimensions.
    """
    layout = read_layout(folder) or layout
    batches = _batches(folder, unique_id)
    if layout is None:
        message = "the dumped tensors say nothing of their dimensions"
        hint = "keep the config's onnx-file beside it, or write a case.json with network and outputs"
        raise InputError(message, hint=hint, path=folder)
    names = [dump_name(unique_id, output.name, 0, 1) for output in layout.outputs]
    for index, name in enumerate(names):
        if name in names[:index]:
            first = layout.outputs[names.index(name)].name
            message = f"outputs {first!r} and {layout.outputs[index].name!r} are dumped to the same file"
            hint = "nvinfer turns / into _ and cuts long names; rename one in the model"
            raise InputError(message, hint=hint, path=folder)
    found = []
    for batch, frames in batches:
        layers = tuple(_layer(folder, unique_id, output, batch, frames) for output in layout.outputs)
        found.append(Recording(f"{folder.name}-{batch}", layout.network, layers))
    return tuple(found)


def _batches(folder: Path, unique_id: int) -> list[tuple[int, int]]:
    """Number and frames of every batch."""
    try:
        found = [_NAME.fullmatch(os.fsencode(path.name)) for path in folder.iterdir()]
    except OSError as error:
        raise InputError(f"the folder cannot be read: {error.strerror}", path=folder) from None
    numbers = [(int(one[1]), int(one[3]), int(one[4])) for one in found if one]
    batches = sorted({(batch, frames) for uid, batch, frames in numbers if uid == unique_id})
    if not batches:
        others = sorted({uid for uid, _, _ in numbers})
        raise InputError(
            f"there are no recorded tensors of engine {unique_id} here"
            + (f", only of {', '.join(map(str, others))}" if others else ""),
            hint="a recording is case.json with tensors.npz, or the .bin files that nvinfer writes with "
            "raw-output-file-write=1, for the gie-unique-id of the config",
            path=folder,
        )
    for (batch, frames), (other, _) in zip(batches, [*batches[1:], (-1, 0)], strict=True):
        if batch == other or not 1 <= frames <= _MOST_FRAMES:
            message = f"batch {batch} was written twice with different sizes, or with no or too many frames"
            raise InputError(message, hint="clear the folder and record again", path=folder)
    return batches


def _layer(folder: Path, unique_id: int, output: TensorSpec, batch: int, frames: int) -> Layer:
    path = folder / dump_name(unique_id, output.name, batch, frames)
    shape, dtype = (frames, *output.dims), np.dtype(output.dtype)
    size = math.prod(shape) * dtype.itemsize
    try:
        with path.open("rb") as file:
            data = file.read(size + 1)
            written = len(data) if len(data) <= size else os.fstat(file.fileno()).st_size
    except OSError as error:
        message = f"output {output.name!r} of batch {batch} cannot be read: {error.strerror}"
        hint = "all outputs of a batch must be there; the model must be the one that was recorded"
        raise InputError(message, hint=hint, path=path) from None
    if written != size:
        raise InputError(
            f"the file has {written:,} bytes, and {frames} frames of {output.dtype} {list(output.dims)} have {size:,}",
            hint="the model must be the one that was recorded, with the same precision of its outputs",
            path=path,
        )
    return Layer.of(output.name, np.frombuffer(data, dtype).reshape(shape))


@dataclass(frozen=True, slots=True)
class Replayed:
    """One batch, decoded.

    Attributes:
        name: of the recording.
        failure, nan_scores: as in `convert.simulate.decode.Decoded`.
        frames: what nvinfer finds.
        metadata: for each frame of a detector what reaches the frame; empty for a classifier.
        dropped: for each frame of a detector, where it was asked for: what attaching to the frame left out, in pixels
            of the frame. (What decoding left out is in `frames`.)
    """

    name: str
    settings: Settings
    failure: str
    frames: tuple[Classified, ...] | tuple[Detected, ...]
    metadata: tuple[tuple[Detection, ...], ...]
    dropped: tuple[Dropped, ...]
    nan_scores: bool


def read_recordings(folder: Path, settings: Settings, layout: Layout | None = None) -> tuple[Recording, ...]:
    """What a folder holds: one recording for `case.json`, one for each dumped batch otherwise.

    Args:
        folder: of the recording.
        settings: of the config; its gie-unique-id is in the names of dumped files.
        layout: the model's input and outputs, for dumped files without a `case.json` beside them.

    Raises:
        InputError: nothing of the kind is there, or it is damaged.
    """
    if (folder / TENSORS).exists():  # a recorded case rather than dumped files
        return (read_case(folder),)
    return read_dump(folder, settings.unique_id, layout)


def replay(settings: Settings, recording: Recording, *, view: View | None = None, why: bool = False) -> Replayed:
    """Decode one recorded batch.

    Args:
        settings: of the config.
        recording: the outputs of one batch.
        view: how the frames were scaled (`convert.images.scaling.place(...).view`), where the recording does not
            say it; without either, `metadata` is in network pixels.
        why: record dropped candidates.

    Raises:
        UnsupportedModelError, InputError: as `convert.simulate.decode.decode`.
    """
    decoded = decode(settings, recording.network, recording.layers, why=why)
    view = recording.view or view or whole_network(recording.network)
    parent = recording.parent if settings.on_objects else None
    attached = []
    for frame in decoded.frames:
        if isinstance(frame, Detected):
            dropped = Dropped()
            attached.append((attach(settings, view, frame.objects, parent=parent, dropped=dropped), dropped))
    metadata, left_out = tuple(one for one, _ in attached), tuple(dropped for _, dropped in attached)
    found = recording.name, settings, decoded.failure, decoded.frames
    return Replayed(*found, metadata, left_out, decoded.nan_scores)


def layout_of(path: Path, settings: Settings) -> Layout:
    """Input and outputs of an ONNX file.

    Raises:
        InputError: it cannot be read, has not one input, or an output whose size or type is not fixed.
    """
    header = read_header(path)
    if len(header.inputs) != 1 or not header.outputs:
        message = f"the model has {len(header.inputs)} inputs and {len(header.outputs)} outputs"
        raise InputError(message, hint="nvinfer takes models with one input and at least one output", path=path)
    network = network_of(settings, tuple(size or 0 for size in header.inputs[0].shape[1:]))
    return Layout(network, tuple(_output(value, path) for value in header.outputs))


def _output(value: Value, path: Path) -> TensorSpec:
    dims = tuple(size or 0 for size in value.shape)
    if not dims or min(dims[1:], default=1) < 1 or value.numpy_type not in DTYPES:
        raise InputError(
            f"output {value.name!r} of the model has no fixed size behind the batch, or a type TensorRT does not have",
            hint="write a case.json with network and outputs beside the tensors",
            path=path,
        )
    return TensorSpec(value.name, value.numpy_type, dims[1:])


def replayed(
    source: Source, folder: Path, where: Target, pictures: Sequence[Picture]
) -> tuple[results.Simulation, tuple[Finding, ...]]:
    """Decode what a device produced: engine and frames, and findings about the recording.

    Args:
        source: the config the device ran.
        folder: `case.json` with `tensors.npz`, or the files nvinfer dumps.
        where: release and platform.
        pictures: the frames, in the order they were recorded, or none: boxes are then in pixels of the recorded source
            frame, or of the network where that was not recorded.

    Raises:
        InputError: config, recording or model cannot be read, or there are not as many pictures as frames.
        UnsupportedModelError: the outputs cannot be decoded here; their parser is named.
    """
    context = read_context(source, where)
    settings = settings_of(context)
    file = context.files.get("onnx-file")  # it says the layout where the recording does not
    is_told = file is None or not file.presence.here or (folder / CASE).exists()
    layout = None if file is None or is_told else layout_of(Path(file.path), settings)
    recordings = read_recordings(folder, settings, layout)
    single = [part for recording in recordings for part in _frames(recording)]
    if pictures and len(pictures) != len(single):
        message = f"there are {len(pictures)} pictures for {len(single)} recorded frames"
        raise InputError(message, hint="give the pictures the device saw, in its order, or none", path=folder)
    frames: list[results.FrameResult] = []
    findings: dict[str, Finding] = {}
    failure = ""
    given: Sequence[Picture | None] = pictures or [None] * len(single)
    for part, picture in zip(single, given, strict=True):
        frame, result = _frame(settings, part, folder, picture)
        frames.append(frame)
        failure = failure or result.failure
        if result.failure:
            findings.setdefault(results.PARSER.id, results.PARSER.found(result.failure, path=source.path))
        if result.nan_scores:
            message = "recorded scores are NaN, and the order of boxes on a device is undefined"
            findings.setdefault(results.NAN_SCORES.id, results.NAN_SCORES.found(message, path=source.path))
    engine = results.SimulatedEngine(source.path, None, settings, recordings[0].network, failure=failure)
    return results.Simulation((engine,), tuple(frames)), tuple(findings.values())


def _frames(recording: Recording) -> Iterator[Recording]:
    """Frame by frame: with pictures each can be scaled in its own way."""
    for index in range(recording.layers[0].frames):
        layers = tuple(replace(layer, array=layer.array[index : index + 1]) for layer in recording.layers)
        yield replace(recording, name=f"{recording.name}-{index:02d}", layers=layers)


def _frame(
    settings: Settings, part: Recording, folder: Path, picture: Picture | None
) -> tuple[results.FrameResult, Replayed]:
    placement: Placement | None = None
    parent = part.parent if settings.on_objects else None
    view = part.view
    if view is None and picture is not None:
        height, width = picture.pixels.shape[:2]
        placement = place(
            width, height, part.network, keep_aspect=settings.keep_aspect, symmetric=settings.symmetric, crop=parent
        )
        view = placement.view
    view = view or whole_network(part.network)
    result = replay(settings, part, view=view, why=True)
    (one,) = result.frames
    if picture is not None:
        name, file, (height, width) = picture.name, picture.source, picture.pixels.shape[:2]
    else:
        name, file, (height, width) = part.name, folder, (view.frame_height, view.frame_width)
    notes = (*(picture.notes if picture else ()), *filter(None, [result.failure]))
    frame = results.FrameResult(name, file, width, height, placement, notes=notes)
    if isinstance(one, Detected):
        (attached,), (dropped,) = result.metadata, result.dropped
        candidates = results.dropped_by_detector(settings, view, one.dropped, dropped, parent=parent)
        objects = tuple(results.detected_objects(settings.unique_id, attached))
        return replace(frame, objects=objects, decoded=one.objects, dropped=results.best(candidates)), result
    candidates = results.dropped_by_classifier(settings, one, len(part.layers))
    return replace(frame, classifications=one.attributes, label=one.label, dropped=results.best(candidates)), result
