"""Reads a config with all its faults, the files that it names, and for which release: what `RuleContext` holds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from convert.check.context import SDK, Fault, Labels, NamedFile, PartlyKnown, Presence, RuleContext, Setting, Unclear
from convert.errors import InputError, PresetError
from convert.files import load_toml
from convert.nvinfer import config, keyfile, keys, numbers
from convert.nvinfer.context import Binding, Engine, initialise, library_of, split_labels
from convert.nvinfer.targets import Target, opsets, target
from convert.options import PLATFORM, RELEASE

if TYPE_CHECKING:
    from convert.nvinfer.yaml import Node
    from convert.onnx_header import Header, Value
    from convert.report import BundleReport


_MOST_FAULTS: Final = 50
# Every fault means reading the file again: not for large files that are no config anyway.
_MOST_REPEATED: Final = 2**20
_MOST_LABELS: Final = 2**22  # bytes; each label becomes an object
_FILES: Final = (
    *("onnx-file", "model-engine-file", "labelfile-path", "mean-file", "custom-lib-path", "int8-calib-file"),
    *("tlt-encoded-model", "ip-tensor-file"),
)
_MODELS: Final = ("onnx-file", "tlt-encoded-model")
_BUILD_FILES: Final = ("Makefile", "CMakeLists.txt", "meson.build")
_MOST_EXTERNAL: Final = 1000
_HEAD: Final = 4096  # bytes that show what a file is
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_IR_VERSION: Final = re.compile(rb"\x08[\x03-\x14]")  # how an ONNX file starts (`convert.export.archive.is_onnx`)


class Expect(StrEnum):
    """Which of the files that a config names must be on this machine.

    AUTO: those that a folder lacks which is complete otherwise. BUNDLE: all but those with another machine's paths.
    REQUIRE: all, but for the SDK's where it is not installed. IGNORE: none, and not a word about them.
    """

    AUTO = "auto"
    BUNDLE = "bundle"
    REQUIRE = "require"
    IGNORE = "ignore"


class Reading(NamedTuple):
    """A config file with all its faults.

    Attributes:
        data: the file.
        first: what nvinfer reads from it.
        settled: what nvinfer would read without the lines that `faults` are in.
    """

    data: bytes
    first: keys.Parsed
    settled: keys.Parsed
    faults: tuple[Fault, ...]


class Models:
    """Headers of ONNX files, and names in folders, each read once."""

    def __init__(self) -> None:
        self._known: dict[str, Header | InputError] = {}
        self._names: dict[str, dict[int, list[str]]] = {}
        self._near: dict[str, str | None] = {}

    def near(self, path: str) -> str | None:
        """The name of the file that is probably meant by `path`, which is not there; None: there is none."""
        if path not in self._near:
            folder, name = os.path.split(path)
            names = self._of_length(folder, len(name))
            self._near[path] = next((other for other in names if _differs_by_a_slip(name, other)), None)
        return self._near[path]

    def _of_length(self, folder: str, length: int) -> Iterator[str]:
        """What is in `folder` under a name of `length` characters, or of one more or fewer."""
        if folder not in self._names:
            found = self._names[folder] = {}
            with suppress(OSError, ValueError):
                for name in os.listdir(folder):  # noqa: PTH208 - text
                    found.setdefault(len(name), []).append(name)
        for each in (length, length - 1, length + 1):
            yield from self._names[folder].get(each, ())

    def header(self, path: str) -> Header | InputError:
        """The header of the model at `path`, or why there is none."""
        if path not in self._known:
            from convert.onnx_header import read_header  # most configs come without a model
            from convert.report import with_resize_mode

            try:
                header = read_header(path)
                self._known[path] = header._replace(metadata=with_resize_mode(path, header.metadata))
            except InputError as error:
                self._known[path] = error
        return self._known[path]


class ChosenTarget(NamedTuple):
    """A target, and who says so: "option", the "report" of a bundle, or nobody ("default")."""

    target: Target
    source: str


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """What the user says of the target, None where nothing; a bundle's report.json says the rest.

    Attributes:
        release, platform: as `convert.nvinfer.targets.target` takes them.
        tensorrt: another TensorRT than the release's own.

    Raises:
        PresetError: no such release, platform or TensorRT.
    """

    release: str | None = None
    platform: str | None = None
    tensorrt: str | None = None

    @property
    def default(self) -> ChosenTarget:
        """For a config that is in no bundle."""
        said = self.release is not None or self.platform is not None
        found = check_target(self.release or RELEASE, self.platform or PLATFORM, self.tensorrt)
        return ChosenTarget(found, "option" if said else "default")

    def recorded(self, folder: str) -> ChosenTarget | None:
        """For a config in `folder`; None: no report of a bundle is there, or the user has said all.

        A report that is damaged, or of a release that is not known here, counts as none.
        """
        if self.release is not None and self.platform is not None:
            return None
        try:
            report = bundle_report(folder)
            if report is None:
                return None
            release, platform = report.models[0].target
            found = check_target(self.release or release, self.platform or platform, self.tensorrt)
        except (InputError, PresetError):
            return None
        return ChosenTarget(found, "report")


def bundle_report(folder: str) -> BundleReport | None:
    """The report.json of a bundle that `convert` made; None: none is there, or it cannot be read."""
    if not os.path.isfile(os.path.join(folder, "report.json")):  # noqa: PTH113, PTH118 - text
        return None
    from convert.report import BundleReport  # many configs are in no bundle

    with suppress(InputError):
        return BundleReport.read(Path(folder))
    return None


def check_target(release: str, platform: str, tensorrt: str | None = None) -> Target:
    """The target to check for: a release as users name it ("deepstream-7.1"), a platform, another TensorRT.

    Raises:
        PresetError: no such release, platform or TensorRT.
    """
    found = target(release, platform)
    if tensorrt is None:
        return found
    try:
        keys.version(tensorrt)
    except PresetError:
        raise PresetError(f"{tensorrt!r} is no version of TensorRT", hint="write it as 10.3 or 8.2.1") from None
    opsets(tensorrt)
    return replace(found, tensorrt=tensorrt)


def read_config(path: str, target: Target, data: bytes | None = None) -> Reading:
    """The config file at `path`; `data`, if it was read before.

    Raises:
        InputError: no ordinary file, unreadable, or too large to be a config.
    """
    if data is None:
        data = numbers.read_ordinary(path, "config", config.MOST_BYTES)
    first = parsed = config.read_bytes(data, path, release=target.deepstream, platform=target.platform)
    faults: list[Fault] = []
    rest = data
    lines: set[int] = set()
    while (problem := parsed.fault) is not None and len(faults) < _MOST_FAULTS:
        entry = _entry_of(parsed, problem)
        faults.append(Fault(problem, parsed.verdict, parsed.exception, entry))
        if problem.line is None or problem.line in lines or len(data) > _MOST_REPEATED:
            break
        lines.add(problem.line)
        without = _without(rest, parsed, problem, entry)
        if without is None:
            break
        rest = without
        parsed = config.read_bytes(rest, path, release=target.deepstream, platform=target.platform)
    return Reading(data, first, parsed, tuple(faults))


def _entry_of(parsed: keys.Parsed, problem: keys.Problem) -> keys.Entry | None:
    """The entry that a problem is in."""
    for entry in parsed.entries:
        if (entry.group, entry.key) == (problem.group, problem.key) and problem.line in {entry.line, entry.value_line}:
            return entry
    return None


def _without(data: bytes, parsed: keys.Parsed, fault: keys.Problem, entry: keys.Entry | None) -> bytes | None:
    """The file without the line of the fault, other lines keeping their numbers; None: it cannot be taken out."""
    if parsed.form == "yaml" and (entry is None or entry.line != entry.value_line):
        return None
    lines = data.split(b"\n")
    if fault.reason is keys.Reason.NO_PROPERTY or fault.line is None or not 0 < fault.line <= len(lines):
        return None
    index = fault.line - 1
    # The head of a group is not emptied: what follows would belong to the group before.
    lines[index] = b"[-]" if parsed.form == "ini" and lines[index].lstrip().startswith(b"[") else b""
    return b"\n".join(lines)


def load_context(
    reading: Reading,
    target: Target,
    models: Models,
    settings: Mapping[str, Setting] | None = None,
    expect: Expect = Expect.AUTO,
) -> RuleContext:
    """Everything a rule may use, as one element reads the config.

    Args:
        reading: the config file.
        target: the release and platform, with the TensorRT to check for.
        models: the headers read so far.
        settings: what deepstream-app sets over the config.
        expect: which files must be here.

    Of a config that nvinfer refuses only what is clear without the refused values; where nothing is, `parsed`, `last`
    and `unread` are all there is.
    """
    parsed = reading.settled
    context = RuleContext(
        parsed=parsed,
        faults=reading.faults,
        data=reading.data,
        target=target,
        # "key[fr]" is a key in a locale, which nvinfer never asks for.
        last={(entry.group, entry.key): entry for entry in parsed.entries if not entry.key.endswith("]")},
        unread=frozenset(each.section.name for each in parsed.unread),
    )
    unclear = _unclear(reading)
    if unclear is None:
        return context
    settings = settings or {}
    values = {**parsed.values, **{key: setting.value for key, setting in settings.items()}}
    files = _files(context, settings, expect, models)
    if unclear:
        last = PartlyKnown(context.last, unclear | {(keys.PROPERTY, key) for key in unclear})
        values, context = PartlyKnown(values, unclear), replace(context, last=last)
    library = library_of(parsed) if parsed.values["custom-lib-path"] else None
    model, model_path, model_error = _model(files, models)
    engine = network = None
    with suppress(Unclear):
        network = _network(values, model)
        engine = _engine(values, model) if model else None
    outputs = engine.outputs if engine and engine.outputs else None
    read = (files.get(key) for key in ("labelfile-path", "mean-file"))
    known = all(file.presence.here for file in read if file) and (library or not parsed.values["custom-lib-path"])
    can_start = known and engine and outputs and not reading.faults
    can_start = can_start and len(values[keys.ATTRS]) <= keys.MOST_CLASSES
    return replace(
        context,
        values=values,
        settings=settings,
        files=PartlyKnown(files, unclear) if unclear else files,
        kinds={key: kind for key, file in files.items() if (kind := _kind(file))},
        labels=_labels(files),
        model=model,
        model_path=model_path,
        model_error=model_error,
        lacking=_lacking(model, files),
        library=library,
        network=network,
        outputs=outputs,
        start=initialise(replace(parsed, values=values), engine) if engine and can_start else None,
    )


_DECIDING: Final = frozenset({"network-type", "process-mode", "num-detected-classes"})
"""Keys that decide which others are read."""


def _unclear(reading: Reading) -> frozenset[object] | None:
    """Keys whose values are refused, and what else may be one in those lines; None: all the rest depends on them."""
    if reading.settled.verdict is not keys.Verdict.ACCEPTED:
        return None
    lines = reading.data.split(b"\n") if reading.faults else []
    found: set[object] = set()
    for fault in reading.faults:
        text = lines[(fault.problem.line or 1) - 1].decode("utf-8", "replace")
        words = [fault.entry.group, fault.entry.key] if fault.entry else re.findall(r"[\w-]+", text)
        found.update(
            keys.ATTRS if word.startswith(keys.ATTRS_PREFIX) else word for word in words if word != keys.PROPERTY
        )
    return None if found & _DECIDING else frozenset(found)


def presence(text: str, path: str, expect: Expect, *, complete: bool) -> Presence:
    """Whether the file at `path`, written as `text` in a config, exists, and whether it must.

    Args:
        complete: whether the other files that are named make it an error, where `expect` leaves it to them.
    """
    here = os.path.isfile(path)  # noqa: PTH113 - text
    if here or not text or os.path.exists(path):  # noqa: PTH110 - a folder is no file, on no machine
        return Presence(here, sure=True)
    elsewhere = text.startswith("/") and not os.path.isdir(os.path.dirname(path))  # noqa: PTH112, PTH120
    if expect is Expect.REQUIRE:
        return Presence(here, sure=not (elsewhere and text.startswith(SDK)))
    return Presence(here, sure=not elsewhere and (expect is Expect.BUNDLE or (expect is Expect.AUTO and complete)))


def _files(
    context: RuleContext, settings: Mapping[str, Setting], expect: Expect, known: Models
) -> dict[str, NamedFile]:
    paths: dict[str, tuple[str, str]] = {}
    for key in _FILES:
        if key in settings:
            text = path = str(settings[key].value)
        elif (entry := context.last.get((keys.PROPERTY, key))) is not None and key in context.parsed.files:
            text, path = entry.text, context.parsed.files[key]
            if text.startswith("/") and not os.path.exists(path):  # noqa: PTH110
                path = text  # nvinfer stores the first missing part only
        else:
            continue
        paths[key] = text, real(path)
    here = {key for key, (_, path) in paths.items() if os.path.isfile(path)}  # noqa: PTH113
    found: dict[str, NamedFile] = {}
    for key, (text, path) in paths.items():
        is_here = presence(text, path, expect, complete=_is_complete(key, paths, here, known))
        try:
            changed = os.stat(path).st_mtime_ns if is_here.here else 0  # noqa: PTH116 - text
        except OSError:
            changed = 0  # it has just gone
        meant = None if os.path.exists(path) else known.near(path)  # noqa: PTH110 - text
        found[key] = NamedFile(text, path, is_here, changed, meant)
    return found


def _kind(file: NamedFile) -> str:
    """What a file is by its content, or else by its name; "" if neither tells."""
    kinds = load_toml("nvinfer/files.toml")
    name = re.sub(r"(\.so)[.0-9]+$", r"\1", file.text.lower())
    named = next((kind for kind, row in kinds.items() if name.endswith(tuple(row["suffixes"]))), "")
    if not file.presence.here:
        return named
    try:
        with open(file.path, "rb") as opened:  # noqa: PTH123 - text
            head = opened.read(_HEAD)
    except OSError:
        return named
    if not _CONTROL.search(head) or (named == "onnx" and _IR_VERSION.match(head)):
        return named  # text, as labels are, or what nearly every config comes with
    from convert.export.archive import file_type  # few configs come with other files

    found = file_type(head).name
    seen = next((kind for kind, row in kinds.items() if found in row.get("content", ())), "")
    return named if not seen or (seen == "zip" and named) else seen  # PyTorch and Keras write zip archives


def real(path: str) -> str:
    """`path` as nvinfer resolves it: realpath of what exists, then the rest, without "." and ".."."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a null character
        return path


def _is_complete(key: str, paths: Mapping[str, tuple[str, str]], here: set[str], known: Models) -> bool:
    """Whether the folder is one that nvinfer runs in, so that the file of `key` must be there, too.

    A clone of a repository often lacks the models, which are downloaded, and what is made from them, or built, on
    the target: engines, calibration tables, libraries. Where a file of nearly the name is there, that was meant.
    """
    if key in here or key == "int8-calib-file":
        return False
    if known.near(paths[key][1]):
        return True
    if key in _MODELS:
        return "model-engine-file" in here
    if here.isdisjoint((*_MODELS, "model-engine-file")):
        return False
    if key != "custom-lib-path":
        return True
    others = set(paths) - {key, "int8-calib-file", "model-engine-file"}
    return others <= set(here) and not _is_built(os.path.dirname(paths[key][1]))  # noqa: PTH120 - text


def _differs_by_a_slip(name: str, other: str) -> bool:
    """Whether `other` is `name` but for a letter, or two that changed places, in a word.

    A digit or a letter that stands alone names another file: yolov5s, yolov8s and yolov8m are three models.
    """
    longest = max(len(name), len(other))
    start = len(os.path.commonprefix([name, other]))  # noqa: RUF071 - by characters
    end = len(os.path.commonprefix([name[start:][::-1], other[start:][::-1]]))  # noqa: RUF071
    if longest - start - end > (2 if sorted(name) == sorted(other) else 1):
        return False
    return any(word.start() <= start <= word.end() for word in re.finditer("[a-z]{4,}", name.lower())) and (
        re.findall("[0-9]", name) == re.findall("[0-9]", other)
    )


def _is_built(folder: str) -> bool:
    """Whether the sources of a library are in `folder`, or in the one above."""
    places = (folder, os.path.dirname(folder))  # noqa: PTH120 - text
    return any(os.path.isfile(os.path.join(each, name)) for each in places for name in _BUILD_FILES)  # noqa: PTH113, PTH118


def _labels(files: Mapping[str, NamedFile]) -> Labels | None:
    file = files.get("labelfile-path")
    if file is None or not file.presence.here:
        return None
    try:
        data = numbers.read_ordinary(file.path, "label file", _MOST_LABELS)
    except InputError:
        return None  # not readable for us; on the target it may be
    # Shown as the user would name it: relative to the working directory, if it is below.
    shown = file.path.removeprefix(os.path.join(os.getcwd(), ""))  # noqa: PTH109, PTH118
    return Labels(shown, data, split_labels(data))


def _model(files: Mapping[str, NamedFile], models: Models) -> tuple[Header | None, str | None, InputError | None]:
    file = files.get("onnx-file")
    if file is None or not file.presence.here:
        return None, None, None
    found = models.header(file.path)
    return (None, file.text, found) if isinstance(found, InputError) else (found, file.text, None)


def _lacking(model: Header | None, files: Mapping[str, NamedFile]) -> tuple[str, ...]:
    """Files with weights that are not beside the model."""
    if model is None or not model.external:
        return ()
    folder = os.path.dirname(files["onnx-file"].path)  # noqa: PTH120
    names = [name for name in model.external[:_MOST_EXTERNAL] if "\0" not in name]
    return tuple(name for name in names if not os.path.isfile(os.path.join(folder, name)))  # noqa: PTH113, PTH118


def _network(values: Mapping[str, Any], model: Header | None) -> tuple[int, int, int] | None:
    """infer-dims, or the first three dimensions of the model's input, as nvinfer takes them."""
    dims: tuple[object, ...] = tuple(values["infer-dims"])
    if not all(dims):
        source = model.inputs[0] if model and model.inputs else None
        dims = source.dims[1:] if source and source.dims else ()
    match dims:
        case (int() as channels, int() as height, int() as width):
            return channels, height, width
    return None


def _engine(values: Mapping[str, Any], model: Header) -> Engine | None:
    """The engine nvinfer would build, as far as the header tells: None if a size is not known."""
    channels, height, width = values["infer-dims"]
    wanted = (height, width, channels) if values.get("network-input-order") == 1 else (channels, height, width)
    inputs = [_binding(value, wanted if all(wanted) else None) for value in model.inputs]
    outputs = [_binding(value, None) for value in model.outputs]
    if None in inputs or None in outputs:
        return None
    return Engine(values["batch-size"], tuple(filter(None, inputs)), tuple(filter(None, outputs)))


def _binding(value: Value, wanted: tuple[int, ...] | None) -> Binding | None:
    """An input or output of the engine; `wanted`: infer-dims, for dimensions that the model leaves open."""
    if not value.dims:
        return None
    dims = value.dims[1:]
    if wanted is not None and len(dims) == len(wanted):
        dims = tuple(have if isinstance(have, int) else want for have, want in zip(dims, wanted, strict=True))
    known = tuple(each for each in dims if isinstance(each, int))
    return Binding(value.name, value.dtype, known) if len(known) == len(dims) else None


class Unreadable(Exception):
    """A file that is no INI or YAML with groups, and where; `dies`: the process ends of it."""

    def __init__(self, message: str, line: int | None = None, column: int | None = None, *, dies: bool = False) -> None:
        super().__init__(message)
        self.message, self.line, self.column, self.dies = message, line, column, dies


def read_groups(data: bytes, form: str, release: str) -> list[tuple[keys.Section, list[keys.Entry]]]:
    """The groups of a file in `form`, "ini" or "yaml", with their entries, as other elements than nvinfer get them.

    Of a key that is repeated in a group, GKeyFile gives the last value each time.

    Raises:
        Unreadable: its parser refuses the file.
    """
    try:
        if form == "ini":
            groups = keyfile.KeyFile.load(data).groups.items()
            return [
                (config.section_of(each), [config.entry_of(name, each.last[pair.key]) for pair in each.pairs])
                for name, each in groups
            ]
        from convert.nvinfer.yaml import YamlError, load, yaml_cpp  # most files are INI: start-up time

        try:
            root = load(data, yaml_cpp(release))
        except YamlError as error:
            raise Unreadable(error.message, error.line, error.column, dies=True) from None
    except keyfile.KeyFileError as error:
        raise Unreadable(error.message, error.line or None, error.column or None) from None
    except numbers.TooMany as error:
        raise Unreadable(str(error)) from None
    if root is None or root.kind != "map":
        raise Unreadable("the file is no map of groups")
    return [
        (keys.Section(keys.as_text(name.text), name.line, name.column), _entries(name, group))
        for name, group in root.items
    ]


def _entries(name: Node, group: Node) -> list[keys.Entry]:
    title = keys.as_text(name.text)
    rows = ((key, value, "null" if value.kind == "null" else keys.as_text(value.text)) for key, value in group.items)
    return [
        keys.Entry(title, keys.as_text(key.text), text, key.line, key.column, value.line, value.column)
        for key, value, text in rows
    ]
