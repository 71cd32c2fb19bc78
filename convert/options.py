"""The options of the public functions: their names and types here, default, limits and meaning in configs/options.toml.

`convert.api` checks what it is given against these tables, the command line makes its options of them, and the manifest
of a batch is read with them.
"""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, TypedDict

from convert.errors import PresetError
from convert.files import load_toml
from convert.images import Frame, ImageScaling, Mark, ResizeMode, parse_frame, parse_line, parse_zone, refuse_marks
from convert.images.resizing import PIXELS

RELEASE: Final = "deepstream-7.1"
"""The default of every command. Who comes from Edge Impulse has a Jetson as a rule, most often an Orin with JetPack 6.1
or 6.2, and this is its release. Its keys and values are read by all later releases, and its TensorRT (10.3) runs on all
GPUs that theirs do."""

PLATFORM: Final = "jetson"
"""As `RELEASE`."""


STUDIO: Final = "studio:"
"""Of an export that lies in Studio: `studio:PROJECT`."""


def is_in_studio(export: Path | str) -> bool:
    """Whether it is `studio:PROJECT`, and no file of that name."""
    return str(export).startswith(STUDIO) and not Path(export).exists()


def _parse_scaling(value: object, _: Path) -> ImageScaling:
    """An image scaling in any of Edge Impulse's spellings; raises ValueError."""
    known = load_toml("options.toml")["scalings"] | {scaling.value: scaling.value for scaling in ImageScaling}
    if str(value) in known:  # a value of a manifest may be a list
        return ImageScaling(known[str(value)])
    raise ValueError(f"{value!r} is none of {', '.join(known)}")


def labels_in(text: str) -> tuple[str, ...]:
    """The labels in the text of a label file, as people write them; () where there are none.

    One a line, or one line with `;` (else `,`) between them. Lines may begin with numbers, `0 left`, `1: right`, that
    count from 0 or 1, in any order. Empty lines do not count.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 1 and (separator := ";" if ";" in lines[0] else "," if "," in lines[0] else ""):
        lines = [label.strip() for label in lines[0].split(separator)]
        return tuple(label for label in lines if label)
    matches = [_NUMBERED.fullmatch(line) for line in lines]
    numbered = sorted((int(match[1]), match[2]) for match in matches if match)
    names = tuple(name for _, name in numbered)
    counted = [number for number, _ in numbered]
    # "1 euro" and "2 euro" count, too, and are no numbered "euro" and "euro".
    is_numbered = len(numbered) == len(lines) == len(set(names)) and lines
    if is_numbered and counted == list(range(counted[0], counted[0] + len(lines))) and counted[0] in {0, 1}:
        return names
    return tuple(lines)


_NUMBERED = re.compile(r"(\d{1,4})\s*[:=;,.)\s]\s*(\S.*)")

_TEXT_SUFFIXES = frozenset({".txt", ".labels", ".label", ".names", ".lst", ".list", ".csv", ".tsv", ".text"})
_OTHER_SUFFIXES = frozenset(
    {".h", ".hpp", ".c", ".cc", ".cpp", ".json", ".zip", ".tflite", ".lite", ".onnx", ".eim", ".py", ".toml", ".yaml"}
    | {".yml", ".xml", ".pbtxt", ".png", ".jpg", ".jpeg", ".pdf"}
)
_MOST_LABELS = 1 << 20  # bytes of a label file


def _parse_labels(value: object, base: Path) -> tuple[str, ...]:
    """A list of labels, `a;b;c`, `a,b,c`, or a text file as `labels_in` reads it.

    A text without `;` that ends as a file's name does, has a `/` and no `,`, or is a word such as "labels" is meant to
    be a file: it is no single label.

    Raises:
        ValueError: an empty label, or a file that is not there, cannot be read, or holds something else.
    """
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        path = base / value
        try:
            if path.is_file():
                return _labels_of(path)
            if _is_file_name(value):
                raise ValueError(_no_label_file(path))
        except OSError:  # a name that is too long for a file
            pass
        labels = tuple(label.strip() for label in value.split(";" if ";" in value else ","))
        if not all(labels):
            raise ValueError("a label is empty")
        return labels
    if isinstance(value, int | float):
        return (str(value),)
    if not isinstance(value, list | tuple):
        raise ValueError("it is a text or a number")  # noqa: TRY004 - what a user gave is wrong
    if not value or not all(isinstance(item, str) and item.strip() for item in value):
        raise ValueError("a list of labels holds texts that are not empty")
    return tuple(value)


def _is_file_name(text: str) -> bool:
    suffix = Path(text).suffix.lower()
    if ";" in text:
        return False
    if suffix in _TEXT_SUFFIXES | _OTHER_SUFFIXES:
        return True
    return "," not in text and ("/" in text or text.strip().lower() in {"label", "labels", "classes", "names"})


def _labels_of(path: Path) -> tuple[str, ...]:
    """The labels in a file that is there; raises ValueError."""
    try:
        data = b"" if path.suffix.lower() in _OTHER_SUFFIXES else path.read_bytes()
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read labels from {path}: {error}") from error
    labels = labels_in(text) if len(data) <= _MOST_LABELS and "\0" not in text else ()
    if not labels:
        raise ValueError(f"there are no labels in {path}; give a text file with one label a line, or a list a;b;c")
    return labels


def _no_label_file(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; give the label file in it, or a list a;b;c"
    there = sorted(each.name for each in path.parent.glob("*.txt")) if path.parent.is_dir() else []
    from difflib import get_close_matches  # only for a file that is not there

    near = [name for name in (f"{path.name}.txt",) if name in there] or get_close_matches(path.name, there, 1, 0.8)
    hint = f"did you mean {path.parent / near[0]}?" if near else "check the name, or give a list a;b;c"
    return f"there is no label file {path}; {hint}"


def _parse_framing(value: object, base: Path) -> Frame | str:
    """`auto`, `none` (also Python's), or a frame."""
    text = "none" if value is None else str(value).strip().lower()
    return text if text in {"auto", "none"} else _as(Frame, parse_frame)(value, base)


def _as(kind: type[Any], read: Callable[[str], Any]) -> Callable[[object, Path], Any]:
    """A parser: a `kind` is taken as it is, anything else as text that `read` reads."""
    return lambda value, _: value if isinstance(value, kind) else read(str(value))


def _parse_target(kind: str) -> Callable[[object, Path], str]:
    """A parser of a "release", "platform" or "jetpack" in any spelling."""

    def parse(value: object, _: Path) -> str:
        from convert.nvinfer import targets  # `--help` does without

        if not isinstance(value, str | int | float):
            raise ValueError("it is a text or a number")  # noqa: TRY004 - what a user gave is wrong
        if kind == "release":
            return f"deepstream-{targets.release_named(str(value))}"
        return (targets.platform_named if kind == "platform" else targets.jetpack_named)(str(value))

    return parse


def _parse_tensorrt(value: object, _: Path) -> str:
    """A version of TensorRT that the tables know something of; raises ValueError."""
    from convert.nvinfer.targets import opsets  # `--help` does without

    try:
        opsets(str(value))
    except PresetError:
        raise ValueError(f"{value!r} is no TensorRT that is known here; write it as 10.3 or 8.2.1") from None
    return str(value)


def _parse_folder(value: object, base: Path) -> Path:
    """A folder, which need not exist; raises ValueError."""
    path = base / str(value)
    if path.is_file():
        raise ValueError(f"Directory {str(path)!r} is a file.")
    return path


def parse_size(value: object, base: Path = Path()) -> int:  # noqa: ARG001 - a parser's signature
    """`800M`, `2G`, or a number: bytes, units in powers of 1024; raises ValueError."""
    text = str(value)
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    try:
        amount = int(float(number) * 1024 ** ("", "K", "M", "G", "T").index(unit))
    except (ValueError, OverflowError):
        amount = 0
    if amount <= 0:
        raise ValueError(f"{value!r} is no size; give 800M or 2G")
    return amount


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        default: its value where it is not given.
        help: one sentence, as `--help` shows it.
        metavar: how `--help` names the value.
        low, high: limits of a number, both allowed; `above`: a limit that is not allowed itself.
        choices: the allowed members of an enumeration, or texts.
        parse: makes a value of text, where the type alone does not say how; raises ValueError or PresetError.
        many: a sequence of values.
        name: the Python name.
        type: bool, int, float, str, Path or an enumeration; of one element, where there are many.
    """

    default: Any
    help: str
    metavar: str | None = None
    low: Any = None
    high: Any = None
    above: Any = None
    choices: tuple[Any, ...] = ()
    parse: Callable[[object, Path], Any] | None = None
    many: bool = False
    name: str = ""
    type: Any = str

    def value(self, given: object, base: Path = Path()) -> Any:
        """`given`, text or a value, as the type of this option; paths are relative to `base`.

        Raises:
            ValueError: it cannot have this value; the message says what it can have.
        """
        if given is None and self.default is None:
            return None
        if self.many:
            several = given if isinstance(given, Iterable) and not isinstance(given, str | Path) else (given,)
            return tuple(self._one(each, base) for each in several)
        return self._one(given, base)

    def _one(self, given: object, base: Path) -> Any:  # noqa: C901, PLR0911 - one branch a type
        if isinstance(given, str) and "\0" in given:
            raise ValueError("it holds a NUL")
        if self.parse and not isinstance(given, bool):
            try:
                return self.parse(given, base)
            except PresetError as error:
                if error.path:  # targets.toml is damaged: nobody's option is wrong
                    raise
                raise ValueError(f"{error.message}; {error.hint}") from error
        if self.type is bool:
            if not isinstance(given, bool):
                raise ValueError("it is true or false")
            return given
        if isinstance(given, Enum) and given in self.choices:
            return given
        if self.type is Path and isinstance(given, Path):
            given = str(given)
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            raise ValueError("it is a text or a number")  # noqa: TRY004 - what a user gave is wrong
        if self.type is int or self.type is float:
            return self._number(given)
        text = str(given)  # target = 6.2
        if self.type is Path:
            path = base / text
            if not path.exists():
                raise ValueError(f"Path {str(path)!r} does not exist.")
            return path
        if self.choices:
            for choice in self.choices:
                if text == str(choice):
                    return choice
            raise ValueError(f"{text!r} is not one of {', '.join(repr(str(choice)) for choice in self.choices)}.")
        return text

    def _number(self, given: str | float) -> int | float:
        if isinstance(given, float) and self.type is int:
            raise ValueError("it is a whole number")
        try:
            number: int | float = self.type(given)
        except (ValueError, OverflowError):
            kind = "integer" if self.type is int else "float"
            raise ValueError(f"{given!r} is not a valid {kind} range.") from None
        if not math.isfinite(number):
            raise ValueError(f"{given!r} is no number of anything")
        small = (self.low is not None and number < self.low) or (self.above is not None and number <= self.above)
        if small or (self.high is not None and number > self.high):
            low, sign = (self.above, "<") if self.low is None else (self.low, "<=")
            limits = f"x{sign.replace('<', '>')}{low}" if self.high is None else f"{low}{sign}x<={self.high}"
            raise ValueError(f"{number} is not in the range {limits}.")
        return number


BLOCK: Final = (
    *("target", "platform", "precision", "role", "batch_size", "frame", "resize_mode", "threshold"),
    *("fomo_merge", "source", "sink"),
)
"""Options of `convert` that Studio's Deployment page shows of our deployment block (`convert.studio.block`)."""


class CommonOptions(TypedDict, total=False):
    """Options of every conversion, of one model or of many; each may be left out."""

    # What to believe instead of the export
    labels: str | Sequence[str] | None
    task: str | None
    resize_mode: ResizeMode | str | None
    image_scaling: ImageScaling | str | None
    dequantize: bool
    rounding: Literal["auto", "none", "first", "every"]

    # How tf2onnx is run
    opset: int | None
    timeout: float
    tensorflow: bool

    # Of sound and sensor data
    sdk_log: bool

    # What the model is shown, and how a detector's outputs are made readable
    frame: Frame | str | None
    fomo_merge: Literal["touching", "peak", "none"]
    fomo_box: float | None
    threshold: float | None
    resize: Literal["auto", "device", "graph"]
    yolo_score: Literal["product", "objectness"] | None

    # What is measured
    images: Path | str | None
    samples: Path | str | None
    tolerance: float
    tensorrt: bool

    # For which engine and target the folder is written
    role: Literal["pgie", "sgie", "both"]
    batch_size: int
    precision: Literal["fp32", "fp16", "int8", "auto"]
    calibrate: Path | str | None
    gie_id: int | None
    operate_on_gie_id: int | None
    min_size: int | None
    gpu_id: int
    target: str | float
    platform: Literal["jetson", "dgpu"]
    jetpack: str | float | None

    # Of deepstream-app's config
    source: str | None
    sink: Literal["screen", "file", "rtsp", "none"] | None

    # What is tracked and counted
    line: str | Mark | Sequence[str | Mark]
    zone: str | Mark | Sequence[str | Mark]
    overcrowding: int | None

    # Of two exports
    object_batch_size: int
    sgie_labels: str | Sequence[str] | None


class ConvertOptions(CommonOptions, total=False):
    """Options of `convert.convert`; each may be left out. They are those of `ei-deepstream convert`.

    With a second export (`sgie`), `model`, `bundle_name`, `labels`, `task`, `resize_mode`, `image_scaling`, `frame`,
    `resize` and `threshold` are about the first.
    """

    model: str | None
    bundle_name: str | None


class BatchOptions(CommonOptions, total=False):
    """Options of `convert.batch`: those of `convert`, for all models whatever a manifest says, and these."""

    jobs: int | None
    time_limit: float
    memory_limit: int | str | None
    scheduler: str | None
    force: bool
    cache_dir: Path | str | None


class CheckOptions(TypedDict, total=False):
    """Options of `convert.check`; each may be left out. They are those of `ei-deepstream check`."""

    target: str | float | None
    platform: Literal["jetson", "dgpu"] | None
    jetpack: str | float | None
    tensorrt_version: str | float | None
    onnxruntime: bool
    tensorrt: bool
    timeout: float
    select: str | Sequence[str]
    ignore: str | Sequence[str]
    files: Literal["auto", "require", "ignore"]
    fix: bool
    fail_on: Literal["error", "warning", "note", "never"]


class SimulateOptions(TypedDict, total=False):
    """Options of `convert.simulate`; each may be left out. They are those of `ei-deepstream simulate`."""

    sgie: Path | str | Sequence[Path | str]
    app: Path | str | None
    tensors: Path | str | None
    every: int
    limit: int | None
    stride: float | None
    target: str | float | None
    platform: Literal["jetson", "dgpu"] | None
    jetpack: str | float | None
    count_as: Literal["edge-impulse"] | None
    against: Literal["edge-impulse"] | None
    original: Path | str | None


FRAME: Final = Option(None, "Your camera's frames.", "16:9|WxH", parse=_as(Frame, parse_frame), name="frame")
"""Of commands that convert nothing."""

_SECTIONS: Final = ("convert", "batch", "check", "simulate")  # of options.toml, which says what a later one lacks
_PARSERS: Final[Mapping[str, Callable[[Any, Path], Any]]] = {
    **dict.fromkeys(("labels", "sgie_labels"), _parse_labels),
    "target": _parse_target("release"),
    "platform": _parse_target("platform"),
    "jetpack": _parse_target("jetpack"),
    "image_scaling": _parse_scaling,
    "frame": _parse_framing,
    "line": _as(Mark, parse_line),
    "zone": _as(Mark, parse_zone),
    "tensorrt_version": _parse_tensorrt,
    "memory_limit": parse_size,
    "cache_dir": _parse_folder,
}


@cache
def table(options: Any) -> dict[str, Option]:
    """The options of one of the classes above, by name, in the order of the class."""
    section = options.__name__.removesuffix("Options").lower().replace("common", "convert")
    rows: dict[str, dict[str, Any]] = {}
    for name in _SECTIONS[: _SECTIONS.index(section) + 1]:
        rows |= load_toml("options.toml")[name]
    words = {"RELEASE": RELEASE, "PLATFORM": PLATFORM, "SCALINGS": "|".join(ImageScaling)}
    found = {}
    for name, union in typing.get_type_hints(options).items():
        parts = typing.get_args(union) if typing.get_origin(union) in {UnionType, typing.Union} else (union,)
        first = next(part for part in parts if part is not NoneType)
        choices: tuple[Any, ...] = ()
        if typing.get_origin(first) is Literal:
            choices, first = typing.get_args(first), str
        elif name == "resize_mode":
            choices = ResizeMode.SQUASH, ResizeMode.FIT_SHORTEST, ResizeMode.FIT_LONGEST
        elif name == "task":
            from convert.heads import CONVERTIBLE  # `check` and `simulate` do without

            choices = CONVERTIBLE
        row: dict[str, Any] = {
            key: value.format_map(words) if isinstance(value, str) else value for key, value in rows[name].items()
        }
        row.setdefault("default", () if row.get("many") else None)
        found[name] = Option(**row, choices=choices, parse=_PARSERS.get(name), name=name, type=first)
    return found


def defaults(options: Any) -> dict[str, Any]:
    """The defaults of one of the classes above, by name; without `jetpack`, another way to say target and platform."""
    return {name: option.default for name, option in table(options).items() if name != "jetpack"}


def checked(options: Any, given: Mapping[str, object]) -> dict[str, Any]:
    """`given` as values of the types the table of `options` says; what is not given is not there.

    `jetpack` becomes `target` and `platform`.

    Raises:
        PresetError: an option that does not exist, a value it cannot have, or a target that contradicts itself.
    """
    known = table(options)
    refuse_unknown(given, known)
    values = {}
    for name, value in given.items():
        try:
            values[name] = known[name].value(value)
        except ValueError as error:
            cause = error.__cause__
            if isinstance(cause, PresetError):
                raise PresetError(f"{name}: {cause.message}", hint=cause.hint) from error
            raise PresetError(f"{name}: {error}", hint=known[name].help) from error
    return settle_target(values)


def settle_target(given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, options of one source as `Option.value` gives them, with `target` and `platform` instead of `jetpack`.

    Raises:
        PresetError: `target` does not run on that JetPack, or `platform` is no Jetson.
    """
    values = dict(given)
    jetpack = values.pop("jetpack", None)
    if jetpack is None:
        return values
    from convert.nvinfer.targets import catalogue  # `--help` does without

    fitting = [f"deepstream-{release}" for release in catalogue().jetpacks[jetpack]]
    target, platform = (values.get(name) for name in ("target", "platform"))
    if target is not None and target not in fitting:
        message = f"on JetPack {jetpack} runs {' or '.join(fitting)}, and --target says {target}"
        raise PresetError(message, hint="leave out --target or --jetpack")
    if platform not in {None, "jetson"}:
        message = f"--jetpack {jetpack} is about a Jetson, and --platform says {platform}"
        raise PresetError(message, hint="leave out --jetpack, and say the release with --target")
    return values | {"target": target or fitting[0], "platform": "jetson"}


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """Raises PresetError with the nearest known name for the first of `given` that is not among `known`."""
    known = list(known)
    for name in given:
        if name not in known:
            from difflib import get_close_matches  # only for a mistyped option

            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else "the options are: " + ", ".join(sorted(known))
            raise PresetError(f"there is no option {name!r}", hint=hint)


def refuse_contradictions(options: Mapping[str, Any], *, pair: bool = False) -> None:
    """Raises PresetError for options of `convert` that do not go together; `pair`: there are two exports."""
    if pair:
        for name in ("role", "operate_on_gie_id"):
            if name in options:
                raise PresetError(
                    f"--{name.replace('_', '-')} means nothing with --pgie and --sgie", hint="they say it already"
                )
        if options.get("calibrate") is not None:
            raise PresetError("--calibrate is for one export", hint="convert the two into folders of their own")
    if isinstance(options.get("frame"), Frame) and options.get("role") == "sgie":
        raise PresetError(
            "--frame is about whole frames, and --role sgie looks at objects", hint="leave one of them out"
        )
    if options.get("calibrate") is not None and options.get("precision") != "int8":
        raise PresetError("--calibrate is about INT8", hint="give --precision int8, too, or leave it out")
    has_codes = options.get("precision") == "int8" or options.get("dequantize") is False
    if has_codes and options.get("rounding", "auto") != "auto":
        raise PresetError(
            "--rounding is about a rewriting in float32", hint="leave it out, or --precision int8 and --no-dequantize"
        )
    frame = options.get("frame")
    refuse_counting(options, frame if isinstance(frame, Frame) else None)
    if options.get("resize") == "graph":
        if options.get("role") == "sgie":
            raise PresetError(
                "--resize graph is about whole frames, and --role sgie looks at objects", hint="leave one of them out"
            )
        if not isinstance(frame, Frame) or not frame.in_pixels:
            raise PresetError("--resize graph needs the size of the frames", hint=PIXELS)


def refuse_counting(options: Mapping[str, Any], frame: Frame | None) -> None:
    """Raises PresetError for lines and zones that do not fit `frame` or the other options of `convert`."""
    lines, zones = options.get("line", ()), options.get("zone", ())
    refuse_marks("line", lines, frame)
    refuse_marks("zone", zones, frame)
    if (lines or zones) and options.get("role") == "sgie":
        message = "--line and --zone are about what the primary engine finds, and --role sgie has none"
        raise PresetError(message, hint="leave --role out")
    if options.get("overcrowding") is not None and not zones:
        raise PresetError("--overcrowding is about zones, and there is none", hint="give a --zone, too")


def refuse_recordings(options: Mapping[str, Any]) -> None:
    """Raises PresetError for options of `simulate` that are about pictures, with a bundle that takes samples."""
    for name, option in table(SimulateOptions).items():
        if name != "stride" and options.get(name, option.default) != option.default:
            spelt = f"--{name.replace('_', '-')}"
            message = f"{spelt} is about pictures, and this bundle takes sound or sensor data"
            raise PresetError(message, hint=f"leave out {spelt}")


def refuse_simulation(options: Mapping[str, Any]) -> None:
    """Raises PresetError for options of `simulate` that do not go together."""
    for row in load_toml("options.toml")["refused"]["simulate"]:
        if all(map(options.get, row["together"])) and not options.get(row.get("without", "")):
            raise PresetError(row["message"], hint=row.get("hint"))
