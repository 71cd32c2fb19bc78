"""Reads a recorded case: `case.json` says what the engine was, `tensors.npz` holds its outputs.

`case.json`: "network" {channels, height, width}, "frames", "outputs" in engine order [{name, array, dtype, dims}];
for detectors also "source frame" {width, height, scale_ratio_x, scale_ratio_y, offset_left, offset_top} and "parent
object" {left, top, width, height}. Every array in `tensors.npz` is [frames, *dims]. The two files are foreign bytes:
arrays are taken out one by one, after their headers were compared with `case.json`, and never unpickled.
"""

from __future__ import annotations

import ast
import json
import math
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from convert.errors import InputError
from convert.images.placement import Network, Rect, View
from convert.simulate.decode_tensors import DTYPES, Layer

if TYPE_CHECKING:
    from pathlib import Path
    from typing import IO

    from numpy.typing import NDArray

__all__ = ["CASE", "Layout", "Output", "Recording", "holds_case", "read_case", "read_layout"]

CASE = "case.json"
"""What the engine was."""

TENSORS = "tensors.npz"
_MOST_BYTES = 2**30  # of one output; a batch of large detection heads is a few MiB
_MOST_JSON = 2**20
_MOST_HEADER = 10_000  # numpy's own limit


@dataclass(frozen=True, slots=True)
class Output:
    """One output of an engine: its name, its type (one of DTYPES), its dimensions without the batch."""

    name: str
    dtype: str
    dims: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """An engine's input and outputs, outputs in engine order."""

    network: Network
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One batch of outputs.

    Attributes:
        name: of the recording.
        network: the engine's input.
        layers: in engine order.
        view: how the frame was scaled; None where that was not recorded.
        parent: the object that was looked at.
    """

    name: str
    network: Network
    layers: tuple[Layer, ...]
    view: View | None = None
    parent: Rect | None = None


def holds_case(folder: Path) -> bool:
    """Whether the folder holds a recorded case rather than dumped files."""
    return (folder / TENSORS).exists()


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
    view, parent = case.get("source frame"), case.get("parent object")
    return Recording(
        folder.name,
        layout.network,
        layers,
        None if view is None else _view(_mapping(view, where), where),
        None if parent is None else _parent(_mapping(parent, where), where),
    )


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
        if not isinstance(dims, list) or not all(_is_whole(size) and size > 0 for size in dims):
            _damaged(where, f'"dims" of an output is {dims!r}, not a list of positive numbers')
        dtype = _string(one, "dtype", where)
        if dtype not in DTYPES:
            _damaged(where, f'"dtype" of an output is {dtype!r}, not one of {", ".join(DTYPES)}')
        if math.prod(dims) * np.dtype(dtype).itemsize > _MOST_BYTES:
            _damaged(where, f"an output of {dims} {dtype} numbers is larger than any engine's")
        outputs.append(Output(_string(one, "name", where), dtype, tuple(dims)))
    return Layout(Network(*(_whole(network, name, where) for name in ("channels", "height", "width"))), tuple(outputs))


def _view(source: dict[str, Any], where: Path) -> View:
    scale_x, scale_y = (_real(source, f"scale_ratio_{axis}", where) for axis in "xy")
    if not (scale_x > 0 and scale_y > 0):
        _damaged(where, "a scale of the source frame is not positive")
    return View(
        _whole(source, "width", where),
        _whole(source, "height", where),
        scale_x,
        scale_y,
        _whole(source, "offset_left", where, least=0),
        _whole(source, "offset_top", where, least=0),
    )


def _parent(parent: dict[str, Any], where: Path) -> Rect:
    return Rect(*(_real(parent, name, where) for name in ("left", "top", "width", "height")))


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


def _array(archive: zipfile.ZipFile, path: Path, key: str, output: Output, frames: int) -> NDArray[Any]:
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


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(source: dict[str, Any], name: str, where: Path, *, least: int = 1) -> int:
    value = source.get(name)
    if not _is_whole(value) or not least <= value < 2**31:  # type: ignore[operator]
        _damaged(where, f"{name!r} is {value!r}, not a whole number of at least {least}")
    return int(value)  # type: ignore[arg-type]


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
