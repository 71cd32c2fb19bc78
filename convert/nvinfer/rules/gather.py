"""Reads what rules look at: the config with all its faults, and the files it names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from convert.errors import InputError, PresetError
from convert.nvinfer.keys import ATTRS, PROPERTY, version
from convert.nvinfer.parse import MOST_BYTES, read_bytes
from convert.nvinfer.parse_draft import MOST_CLASSES
from convert.nvinfer.parse_files import read_ordinary
from convert.nvinfer.parse_result import Reason, Verdict
from convert.nvinfer.rules.case import Case, Fault, Labels, NamedFile, Presence, Setting, Where
from convert.nvinfer.rules.waivers import strange_waivers
from convert.nvinfer.targets import opsets, target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convert.nvinfer.initialise import Engine, Initialised, Tensor
    from convert.nvinfer.initialise_library import Library
    from convert.nvinfer.parse_result import Entry, Parsed
    from convert.onnx_header import Header, Value

__all__ = ["Models", "Reading", "gather", "presence", "read_config", "where"]

_MOST_FAULTS: Final = 50
# Every fault means reading the file again: not for files that are no config anyway.
_MOST_REPEATED: Final = 2**20
_MOST_LABELS: Final = 2**22  # bytes; each label becomes an object
_FILES: Final = (
    *("onnx-file", "model-engine-file", "labelfile-path", "mean-file", "custom-lib-path", "int8-calib-file"),
    *("tlt-encoded-model", "ip-tensor-file"),
)
_MOST_EXTERNAL: Final = 1000


class Reading:
    """A config file as nvinfer reads it (`first`), and all that is wrong with it.

    Attributes:
        first: what nvinfer makes of the file.
        settled: what it would make of it without the lines that `faults` are in.
    """

    def __init__(self, data: bytes, first: Parsed, settled: Parsed, faults: tuple[Fault, ...]) -> None:
        self.data = data
        self.first = first
        self.settled = settled
        self.faults = faults


class Models:
    """Headers of ONNX files, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, Header | InputError] = {}

    def header(self, path: str) -> Header | InputError:
        """The header of the model at `path`, or why there is none."""
        if path not in self._known:
            from convert.onnx_header import read_header  # noqa: PLC0415 - most configs come without a model
            from convert.report import with_resize_mode  # noqa: PLC0415

            try:
                header = read_header(path)
                self._known[path] = header._replace(metadata=with_resize_mode(path, header.metadata))
            except InputError as error:
                self._known[path] = error
        return self._known[path]


def where(release: str, platform: str, tensorrt: str | None = None) -> Where:
    """What to check for: a release as users name it ("deepstream-7.1"), a platform, and the TensorRT that is there.

    Raises:
        PresetError: no such release, platform or TensorRT.
    """
    found = target(release, platform)
    if tensorrt is None:
        return Where(found, found.tensorrt)
    try:
        version(tensorrt)
    except PresetError:
        raise PresetError(f"{tensorrt!r} is no version of TensorRT", hint="write it as 10.3 or 8.2.1") from None
    opsets(tensorrt)
    return Where(found, tensorrt)


def read_config(path: str, where: Where, data: bytes | None = None) -> Reading:
    """The config file at `path`; `data`, where it was read before.

    Raises:
        InputError: no ordinary file, unreadable, or too large to be a config.
    """
    if data is None:
        data = read_ordinary(path, "config", MOST_BYTES)
    release, platform = where.target.deepstream, where.target.platform
    first = parsed = read_bytes(data, path, release=release, platform=platform)
    faults: list[Fault] = []
    rest = data
    seen: set[int] = set()
    while (problem := parsed.fault) is not None and len(faults) < _MOST_FAULTS:
        faults.append(Fault(problem, parsed.verdict, parsed.exception, _entry_of(parsed)))
        if problem.line is None or problem.line in seen or len(data) > _MOST_REPEATED:
            break
        seen.add(problem.line)
        without = _without(rest, parsed, problem.line)
        if without is None:
            break
        rest = without
        parsed = read_bytes(rest, path, release=release, platform=platform)
    return Reading(data, first, parsed, tuple(faults))


def gather(reading: Reading, where: Where, models: Models, settings: Mapping[str, Setting] | None = None) -> Case:
    """Everything a rule may look at, as one element reads the config.

    Args:
        settings: what deepstream-app sets over the config.
    """
    parsed = reading.settled
    last = {(entry.group, entry.key): entry for entry in parsed.entries if not _is_locale(entry.key)}
    unread = frozenset(each.section.name for each in parsed.unread)
    strange = strange_waivers(reading.data)
    if reading.faults:
        return Case(parsed, reading.faults, reading.data, where, last, unread, waivers=strange)
    settings = settings or {}
    values = {**parsed.values, **{key: setting.value for key, setting in settings.items()}}
    files = _files(parsed, last, settings)
    model, model_path, model_error = _model(files, models)
    engine = _engine(values, model)
    outputs = engine.outputs if engine and engine.outputs else None
    return Case(
        parsed=parsed,
        faults=(),
        data=reading.data,
        where=where,
        last=last,
        unread=unread,
        values=values,
        settings=settings,
        files=files,
        labels=_labels(files),
        model=model,
        model_path=model_path,
        model_error=model_error,
        lacking=_lacking(model, files),
        library=_library(parsed),
        network=_network(values, model),
        outputs=outputs,
        start=_start(parsed, values, engine) if engine and outputs else None,
        waivers=strange,
    )


def presence(text: str, path: str) -> Presence:
    """Whether the file at `path`, written as `text` in a config, is there, and whether it should be on this machine."""
    sure = not text.startswith("/") or os.path.isdir(os.path.dirname(path))  # noqa: PTH112, PTH120 - text
    return Presence(os.path.isfile(path), sure)  # noqa: PTH113


def _entry_of(parsed: Parsed) -> Entry | None:
    """The entry that ends the reading."""
    problem = parsed.fault
    if problem is None or problem.key is None or problem.line is None:
        return None
    name = (problem.group, problem.key)
    there = [each for each in parsed.entries if problem.line in {each.line, each.value_line}]
    return next((each for each in there if (each.group, each.key) == name), None)


def _without(data: bytes, parsed: Parsed, line: int) -> bytes | None:
    """The file without the line of the fault, other lines keeping their numbers; None: it cannot be taken out."""
    entry = _entry_of(parsed)
    if parsed.form == "yaml" and (entry is None or entry.line != entry.value_line):
        return None
    if parsed.fault is not None and parsed.fault.reason is Reason.NO_PROPERTY:
        return None
    lines = data.split(b"\n")
    if not 0 < line <= len(lines):
        return None
    # The head of a group is not emptied: what follows would belong to the group before.
    lines[line - 1] = b"[-]" if parsed.form == "ini" and lines[line - 1].lstrip().startswith(b"[") else b""
    return b"\n".join(lines)


def _is_locale(key: str) -> bool:
    return key.endswith("]")


def _files(
    parsed: Parsed, last: Mapping[tuple[str, str], Entry], settings: Mapping[str, Setting]
) -> dict[str, NamedFile]:
    found: dict[str, NamedFile] = {}
    for key in _FILES:
        if key in settings:
            text = path = str(settings[key].value)
        elif (entry := last.get((PROPERTY, key))) is not None and key in parsed.files:
            text, path = entry.text, parsed.files[key]
            if text.startswith("/") and not os.path.exists(path):  # noqa: PTH110
                path = os.path.normpath(text)  # nvinfer stores the first missing part only
        else:
            continue
        here = presence(text, path)
        found[key] = NamedFile(text, path, here, _changed(path) if here.here else 0)
    return found


def _changed(path: str) -> int:
    """Nanoseconds; 0 for a file that has just gone."""
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - text
    except OSError:
        return 0


def _labels(files: Mapping[str, NamedFile]) -> Labels | None:
    file = files.get("labelfile-path")
    if file is None or not file.presence.here:
        return None
    from convert.nvinfer.initialise_labels import split_labels  # noqa: PLC0415 - only where needed

    try:
        data = read_ordinary(file.path, "label file", _MOST_LABELS)
    except InputError:
        return None  # not readable for us; on the target it may be
    return Labels(_shown(file), data, tuple(split_labels(data)))


def _model(files: Mapping[str, NamedFile], models: Models) -> tuple[Header | None, str | None, InputError | None]:
    file = files.get("onnx-file")
    if file is None or not file.presence.here:
        return None, None, None
    found = models.header(file.path)
    if isinstance(found, InputError):
        return None, file.text, found
    return found, file.text, None


def _lacking(model: Header | None, files: Mapping[str, NamedFile]) -> tuple[str, ...]:
    """Files with weights that are not beside the model."""
    if model is None or not model.external:
        return ()
    folder = os.path.dirname(files["onnx-file"].path)  # noqa: PTH120
    names = [name for name in model.external[:_MOST_EXTERNAL] if "\0" not in name]
    return tuple(name for name in names if not os.path.isfile(os.path.join(folder, name)))  # noqa: PTH113, PTH118


def _library(parsed: Parsed) -> Library | None:
    if not parsed.values["custom-lib-path"]:
        return None
    from convert.nvinfer.initialise_library import library_of  # noqa: PLC0415 - only where there is one

    return library_of(parsed)


def _network(values: Mapping[str, Any], model: Header | None) -> tuple[int, int, int] | None:
    """infer-dims, or the first three dimensions of the model's input, as nvinfer takes them."""
    dims: tuple[object, ...] = tuple(values["infer-dims"])
    if not all(dims):
        source = model.inputs[0] if model and model.inputs else None
        dims = source.dims[1:] if source and source.dims else ()
    match dims:
        case (int() as channels, int() as height, int() as width):
            return channels, height, width
        case _:
            return None


def _engine(values: Mapping[str, Any], model: Header | None) -> Engine | None:
    """The engine nvinfer would build, as far as the header tells: None, where a size is not known."""
    if model is None:
        return None
    from convert.nvinfer.initialise import Engine  # noqa: PLC0415 - only with a model

    inputs = [_tensor(value, _free(values, value)) for value in model.inputs]
    outputs = [_tensor(value, None) for value in model.outputs]
    if any(each is None for each in (*inputs, *outputs)):
        return None
    return Engine(values["batch-size"], tuple(filter(None, inputs)), tuple(filter(None, outputs)))


def _free(values: Mapping[str, Any], value: Value) -> tuple[int, ...] | None:
    """infer-dims in the layout of the input, for dimensions that the model leaves free."""
    channels, height, width = values["infer-dims"]
    if not (channels and height and width) or value.dims is None or len(value.dims) != 4:
        return None
    return (height, width, channels) if values.get("network-input-order") == 1 else (channels, height, width)


def _tensor(value: Value, free: tuple[int, ...] | None) -> Tensor | None:
    from convert.nvinfer.initialise_outputs import Tensor  # noqa: PLC0415 - only with a model

    if not value.dims:
        return None
    dims = value.dims[1:]
    if free is not None:
        dims = tuple(have if isinstance(have, int) else wanted for have, wanted in zip(dims, free, strict=True))
    known = tuple(each for each in dims if isinstance(each, int))
    return Tensor(value.name, value.dtype, known) if len(known) == len(dims) else None


def _start(parsed: Parsed, values: Mapping[str, Any], engine: Engine) -> Initialised | None:
    if parsed.verdict is not Verdict.ACCEPTED or len(values[ATTRS]) > MOST_CLASSES:
        return None
    from dataclasses import replace  # noqa: PLC0415 - only with a model

    from convert.nvinfer.initialise import initialise  # noqa: PLC0415

    return initialise(replace(parsed, values=values), engine)


def _shown(file: NamedFile) -> str:
    """A file as the user would name it: relative to where they are, if it is below."""
    here = os.getcwd()  # noqa: PTH109
    inside = os.path.join(here, "")  # noqa: PTH118
    return file.path.removeprefix(inside)
