"""The options of the public functions: name, type, default, limits and meaning, each declared once.

`convert.api` checks what it is given against these tables, the command line makes its options of them, and the manifest
of a batch is read with them.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypedDict

from convert.errors import PresetError
from convert.images import (
    Frame,
    ImageScaling,
    Mark,
    ResizeMode,
    parse_frame,
    parse_line,
    parse_zone,
    refuse_marks,
)
from convert.images.resizing import PIXELS

RELEASE: Final = "deepstream-7.1"
"""The default of every command. Who comes from Edge Impulse has a Jetson as a rule, most often an Orin with JetPack 6.1
or 6.2, and this is its release. Its keys and values are read by all later releases, and its TensorRT (10.3) runs on all
GPUs that theirs do."""

PLATFORM: Final = "jetson"
"""As `RELEASE`."""

# Edge Impulse's API and documentation spell the scalings differently from the SDK's enumerators; both are understood.
_SCALINGS = {
    "0..1": ImageScaling.NONE,
    "0..255": ImageScaling.FROM_0_TO_255,
    "-1..1": ImageScaling.MINUS_1_TO_1,
    "-128..127": ImageScaling.MINUS_128_TO_127,
    "bgr-subtract-imagenet-mean": ImageScaling.BGR_MINUS_IMAGENET_MEAN,
    **{scaling.value: scaling for scaling in ImageScaling},
}


def _tasks() -> tuple[str, ...]:
    """The heads, which `check` and `simulate` do without: imported where the options of `convert` are asked for."""
    from convert.heads import CONVERTIBLE

    return CONVERTIBLE


def _parse_scaling(value: object, base: Path = Path()) -> ImageScaling:  # noqa: ARG001 - a parser's signature
    """An image scaling in any of Edge Impulse's spellings; raises ValueError."""
    if str(value) in _SCALINGS:  # a value of a manifest may be a list
        return _SCALINGS[str(value)]
    raise ValueError(f"{value!r} is none of {', '.join(_SCALINGS)}")


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


def _parse_labels(value: object, base: Path = Path()) -> tuple[str, ...]:
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


def _parse_frame(value: object, base: Path = Path()) -> Frame:  # noqa: ARG001 - a parser's signature
    try:
        return value if isinstance(value, Frame) else parse_frame(str(value))
    except PresetError as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def _parse_framing(value: object, base: Path = Path()) -> Frame | str:
    """`auto`, `none` (also Python's), or a frame; raises ValueError."""
    text = "none" if value is None else str(value).strip().lower()
    return text if text in {"auto", "none"} else _parse_frame(value, base)


def _parse_mark(read: Callable[[str], Mark]) -> Callable[[object, Path], Mark]:
    """A parser of lines or zones."""

    def parse(value: object, base: Path = Path()) -> Mark:  # noqa: ARG001 - a parser's signature
        try:
            return value if isinstance(value, Mark) else read(str(value))
        except PresetError as error:
            raise ValueError(f"{error.message}; {error.hint}") from error

    return parse


def _parse_target(kind: str) -> Callable[[object, Path], str]:
    """A parser of a "release", "platform" or "jetpack" in any spelling."""

    def parse(value: object, base: Path = Path()) -> str:  # noqa: ARG001 - a parser's signature
        from convert.nvinfer import targets  # `--help` does without

        if not isinstance(value, str | int | float):
            raise ValueError("it is a text or a number")  # noqa: TRY004 - what a user gave is wrong
        try:
            if kind == "release":
                return f"deepstream-{targets.release_named(str(value))}"
            return (targets.platform_named if kind == "platform" else targets.jetpack_named)(str(value))
        except PresetError as error:
            if error.path:  # targets.toml is damaged: nobody's option is wrong
                raise
            raise ValueError(f"{error.message}; {error.hint}") from error

    return parse


def _parse_tensorrt(value: object, base: Path = Path()) -> str:  # noqa: ARG001 - a parser's signature
    """A version of TensorRT that the tables know something of; raises ValueError."""
    from convert.nvinfer.targets import opsets  # `--help` does without

    try:
        opsets(str(value))
    except PresetError:
        raise ValueError(f"{value!r} is no TensorRT that is known here; write it as 10.3 or 8.2.1") from None
    return str(value)


def _parse_folder(value: object, base: Path = Path()) -> Path:
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
        parse: makes a value of text, where the type alone does not say how; raises ValueError.
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
            return self.parse(given, base)
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
        small = (self.low is not None and number < self.low) or (self.above is not None and number <= self.above)
        if small or (self.high is not None and number > self.high):
            lowest = f"x>{self.above}" if self.low is None else f"x>={self.low}"
            limits = lowest if self.high is None else f"{self.low}<=x<={self.high}"
            raise ValueError(f"{number} is not in the range {limits}.")
        return number


_JETPACK = Option(
    None, "JetPack on the Jetson, instead of --target and --platform.", "VERSION", parse=_parse_target("jetpack")
)


FRAME: Final = Option(None, "Your camera's frames.", "16:9|WxH", parse=_parse_frame, name="frame")
"""Of commands that convert nothing."""

LINE: Final = Option(
    (),
    "Count what crosses this line, in both directions. In shares of the frame (0 to 1), or in pixels of --frame WxH. "
    "Repeatable.",
    "NAME:x1,y1,x2,y2",
    parse=_parse_mark(parse_line),
    many=True,
    name="line",
)
ZONE: Final = Option(
    (),
    "Count what is in this zone: its corners, as --line. Repeatable.",
    "NAME:x1,y1;x2,y2;...",
    parse=_parse_mark(parse_zone),
    many=True,
    name="zone",
)


BLOCK: Final = (
    *("target", "platform", "precision", "role", "batch_size", "frame", "resize_mode", "threshold"),
    *("fomo_merge", "source", "sink"),
)
"""Options of `convert` that Studio's Deployment page shows of our deployment block (`convert.studio.block`)."""


class CommonOptions(TypedDict, total=False):
    """Options of every conversion, of one model or of many; each may be left out."""

    # What to believe instead of the export
    labels: Annotated[
        str | Sequence[str] | None,
        Option(None, "Labels in output order, instead of the export's.", "a;b;c|FILE", parse=_parse_labels),
    ]
    task: Annotated[
        str | None,
        Option(None, "What the last layer means.", choices=_tasks()),
    ]
    resize_mode: Annotated[
        ResizeMode | str | None,
        Option(
            None,
            "How training pictures were brought to size.",
            choices=(ResizeMode.SQUASH, ResizeMode.FIT_SHORTEST, ResizeMode.FIT_LONGEST),
        ),
    ]
    image_scaling: Annotated[
        ImageScaling | str | None,
        Option(
            None,
            "What was done to pixel/255 before the model.",
            f"[{'|'.join(scaling.value for scaling in ImageScaling)}]",
            parse=_parse_scaling,
        ),
    ]
    dequantize: Annotated[
        bool,
        Option(True, "Rewrite an int8 (or other quantized) model in float32 first; float models stay as they are."),  # noqa: FBT003
    ]

    # How tf2onnx is run
    opset: Annotated[
        int | None,
        Option(None, "ONNX opset.  [default: 13, or the newest that the target's TensorRT reads]", low=7, high=18),
    ]
    timeout: Annotated[float, Option(120.0, "Seconds tf2onnx may take, and LiteRT after it.", low=1)]
    tensorflow: Annotated[bool, Option(False, "Let tf2onnx use the real TensorFlow (extra [tensorflow]).")]  # noqa: FBT003

    # Of sound and sensor data
    sdk_log: Annotated[
        bool,
        Option(False, "Of sound or sensor data: the SDK's approximate logarithm, to compare with a device."),  # noqa: FBT003
    ]

    # What the model is shown, and how a detector's outputs are made readable
    frame: Annotated[
        Frame | str | None,
        Option(
            "auto",
            "Your camera's frames: the primary engine's model takes whole ones and crops, squashes or fits them in, as "
            "in training. auto: 16:9, or the --source camera's. WxH is also the size a --source camera gives. none: "
            "the device scales them to the model's size.",
            "auto|none|16:9|WxH",
            parse=_parse_framing,
        ),
    ]
    fomo_merge: Annotated[
        Literal["touching", "peak", "none"],
        Option("touching", "FOMO: cells that touch are one object, only the highest of them is, or each is."),
    ]
    fomo_box: Annotated[
        float | None,
        Option(
            None,
            "FOMO: the least width and height of a box in cells, about the same middle.  [default: 1; 3 where objects "
            "are tracked]",
            "CELLS",
            low=1,
            high=64,
        ),
    ]
    threshold: Annotated[
        float | None,
        Option(
            None,
            "Lowest score of an object or label, 0 to 1.  [default: a detector's as exported, else 0.5; classifier: 0]",
            above=0,
        ),
    ]
    resize: Annotated[
        Literal["auto", "device", "graph"],
        Option(
            "auto",
            "What scales frames: the network itself, as Edge Impulse does, after the device has made them smaller "
            "(640x360); the device alone; the network alone, which then takes frames of the size that --frame gives in "
            "pixels.",
        ),
    ]
    yolo_score: Annotated[
        Literal["product", "objectness"] | None,
        Option(
            None,
            "YOLO: the best class with objectness times its score, or objectness alone.  [default: what Edge Impulse's "
            "SDK reports, where the target can]",
        ),
    ]

    # What is measured
    images: Annotated[Path | str | None, Option(None, "A folder of pictures to measure parity on, too.", "DIR")]
    samples: Annotated[
        Path | str | None,
        Option(
            None, "Of sound or sensor data: a folder of recordings (WAV, CSV, JSON, CBOR) to measure on, too.", "DIR"
        ),
    ]
    tolerance: Annotated[
        float,
        Option(1e-4, "Largest absolute difference allowed between the original and the ONNX model.", above=0),
    ]
    tensorrt: Annotated[
        bool,
        Option(False, "Parse and build with NVIDIA's TensorRT-RTX on the CPU, too (extra [tensorrt])."),  # noqa: FBT003
    ]

    # For which engine and target the folder is written
    role: Annotated[
        Literal["pgie", "sgie", "both"],
        Option("both", "Primary (whole frames), secondary (objects of another engine), or both configs."),
    ]
    batch_size: Annotated[int, Option(1, "Frames or objects at a time.", low=1, high=1024)]
    precision: Annotated[
        Literal["fp32", "fp16", "int8", "auto"],
        Option(
            "fp32",
            "Precision of the engine. int8: of an int8 export, with the very codes it was trained with. auto: the "
            "fastest that keeps 99 % of the original's decisions.",
        ),
    ]
    calibrate: Annotated[
        Path | str | None,
        Option(
            None,
            "With --precision int8, of a float export: a folder of 20 or more pictures of your camera, from which ONNX "
            "Runtime makes the codes.",
            "DIR",
        ),
    ]
    gie_id: Annotated[int | None, Option(None, "gie-unique-id.  [default: 1, secondary 2]", low=1)]
    operate_on_gie_id: Annotated[
        int | None, Option(None, "Whose objects a secondary engine takes.  [default: 1]", low=1)
    ]
    min_size: Annotated[int | None, Option(None, "Pixels: a secondary engine passes over smaller objects.", low=1)]
    gpu_id: Annotated[int, Option(0, "GPU number on the target.", low=0)]
    target: Annotated[str | float, Option(RELEASE, "DeepStream release.", "RELEASE", parse=_parse_target("release"))]
    platform: Annotated[
        Literal["jetson", "dgpu"],
        Option(
            PLATFORM,
            "Jetson, or a PC with a discrete GPU: TensorRT often differs between the two.",
            "[jetson|dgpu]",
            parse=_parse_target("platform"),
        ),
    ]
    jetpack: Annotated[str | float | None, _JETPACK]

    # Of deepstream-app's config
    source: Annotated[
        str | None,
        Option(
            None,
            "Where the app's frames come from, on the target; a relative path starts in the bundle.  [default: the "
            "SDK's sample video]",
            "rtsp://...|/dev/video0|csi|VIDEO",
        ),
    ]
    sink: Annotated[
        Literal["screen", "file", "rtsp", "none"] | None,
        Option(None, "Where the app's frames go.  [default: screen, the others as comments]"),
    ]

    # What is tracked and counted
    line: Annotated[str | Mark | Sequence[str | Mark], LINE]
    zone: Annotated[str | Mark | Sequence[str | Mark], ZONE]
    overcrowding: Annotated[
        int | None, Option(None, "A zone is overcrowded with so many objects or more.", "N", low=1, high=1000)
    ]

    # Of two exports
    object_batch_size: Annotated[int, Option(16, "With --sgie: objects at a time.", low=1, high=1024)]
    sgie_labels: Annotated[
        str | Sequence[str] | None,
        Option(None, "Labels of the --sgie model.", "a;b;c|FILE", parse=_parse_labels),
    ]


class ConvertOptions(CommonOptions, total=False):
    """Options of `convert.convert`; each may be left out. They are those of `ei-deepstream convert`.

    With a second export (`sgie`), `model`, `bundle_name`, `labels`, `task`, `resize_mode`, `image_scaling`, `frame`,
    `resize` and `threshold` are about the first.
    """

    model: Annotated[
        str | None,
        Option(None, "Which model, where an export holds several (symbol, file, impulse or number).", "ID"),
    ]
    bundle_name: Annotated[str | None, Option(None, "What the files are called after. [default: the project]", "NAME")]


class BatchOptions(CommonOptions, total=False):
    """Options of `convert.batch`: those of `convert`, for all models whatever a manifest says, and these."""

    jobs: Annotated[int | None, Option(None, "Worker processes.  [default: one a core]", "N", low=1, high=1024)]
    time_limit: Annotated[float, Option(600.0, "Seconds for one model, all stages together.", above=0)]
    memory_limit: Annotated[
        int | str | None,
        Option(None, "For one worker: 800M, 2G.  [default: half of all]", "SIZE", parse=parse_size),
    ]
    scheduler: Annotated[
        str | None,
        Option(
            None,
            "Convert on the workers of this Dask scheduler (extra [distributed]) instead of here.",
            "tcp://HOST:8786",
        ),
    ]
    force: Annotated[bool, Option(False, "Convert also what has not changed.")]  # noqa: FBT003
    cache_dir: Annotated[Path | str | None, Option(None, "Where to keep results.", "DIR", parse=_parse_folder)]


_RECORDED_RELEASE = Option(
    None,
    f"DeepStream release the config is for.  [default: the bundle's own, by its report.json; else {RELEASE}]",
    "RELEASE",
    parse=_parse_target("release"),
)
_RECORDED_PLATFORM = Option(
    None,
    f"Jetson, or a PC or server with a discrete GPU.  [default: the bundle's own; else {PLATFORM}]",
    "[jetson|dgpu]",
    parse=_parse_target("platform"),
)


class CheckOptions(TypedDict, total=False):
    """Options of `convert.check`; each may be left out. They are those of `ei-deepstream check`."""

    target: Annotated[str | float | None, _RECORDED_RELEASE]
    platform: Annotated[Literal["jetson", "dgpu"] | None, _RECORDED_PLATFORM]
    jetpack: Annotated[str | float | None, _JETPACK]
    tensorrt_version: Annotated[
        str | float | None,
        Option(None, "TensorRT on the target, where it is not the release's own.", "VERSION", parse=_parse_tensorrt),
    ]
    onnxruntime: Annotated[bool, Option(False, "Load the models with ONNX Runtime, too.")]  # noqa: FBT003
    tensorrt: Annotated[
        bool,
        Option(False, "Parse and build the models with NVIDIA's TensorRT-RTX on the CPU, too (extra [tensorrt])."),  # noqa: FBT003
    ]
    timeout: Annotated[float, Option(300.0, "Seconds for each model.", low=1)]
    select: Annotated[
        str | Sequence[str], Option((), "Only these rules: NVI070,NVI07,... Repeatable.", "IDS", many=True)
    ]
    ignore: Annotated[str | Sequence[str], Option((), "Not these rules. Repeatable.", "IDS", many=True)]
    files: Annotated[
        Literal["auto", "require", "ignore"],
        Option(
            "auto",
            "Files a config names that are not here: an error where the rest is (auto), an error, or nothing.",
            choices=("auto", "require", "ignore"),
        ),
    ]
    fix: Annotated[bool, Option(False, "Put right what is mechanical, in the files themselves.")]  # noqa: FBT003
    fail_on: Annotated[
        Literal["error", "warning", "note", "never"],
        Option("error", "Exit with 1 when there is a finding of this level or worse."),
    ]


class SimulateOptions(TypedDict, total=False):
    """Options of `convert.simulate`; each may be left out. They are those of `ei-deepstream simulate`."""

    sgie: Annotated[
        Path | str | Sequence[Path | str],
        Option(
            (),
            "A secondary engine's config (process-mode=2), for the objects found. Repeatable.",
            "CONFIG",
            many=True,
        ),
    ]
    app: Annotated[
        Path | str | None, Option(None, "Take the engines from deepstream-app's config instead of CONFIG.", "FILE")
    ]
    tensors: Annotated[
        Path | str | None,
        Option(
            None,
            "Decode recorded outputs (case.json and tensors.npz, or nvinfer's raw-output-file-write files) instead of "
            "running the model; PICTURES are then the frames they belong to, or left out.",
            "FOLDER",
        ),
    ]
    every: Annotated[int, Option(1, "Of a video, every so-many-th frame.", low=1)]
    limit: Annotated[int | None, Option(None, "Of a video, no more frames than this.", low=1)]
    target: Annotated[str | float | None, _RECORDED_RELEASE]
    platform: Annotated[Literal["jetson", "dgpu"] | None, _RECORDED_PLATFORM]
    jetpack: Annotated[str | float | None, _JETPACK]
    count_as: Annotated[
        Literal["edge-impulse"] | None,
        Option(None, "Also count at the app's lines as Edge Impulse's SDK does, and say where the two differ."),
    ]
    against: Annotated[
        Literal["edge-impulse"] | None,
        Option(
            None,
            "Run the original .tflite with the SDK's resize and decoding, too, and say where the two differ, and why.",
        ),
    ]
    original: Annotated[
        Path | str | None,
        Option(
            None,
            "With --against: the export or .tflite that the bundle was made of.  [default: found by the bundle's "
            "report]",
            "EXPORT",
        ),
    ]


@cache
def table(options: Any) -> dict[str, Option]:
    """The options of one of the classes above, by name, in the order of the class."""
    found = {}
    for name, hint in typing.get_type_hints(options, include_extras=True).items():
        union, option = typing.get_args(hint)
        parts = typing.get_args(union) if typing.get_origin(union) in {UnionType, typing.Union} else (union,)
        first = next(part for part in parts if part is not NoneType)
        if typing.get_origin(first) is Literal:
            option = replace(option, choices=typing.get_args(first))
            first = str
        found[name] = replace(option, name=name, type=first)
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
        raise PresetError(
            f"on JetPack {jetpack} runs {' or '.join(fitting)}, and --target says {target}",
            hint="leave out --target or --jetpack",
        )
    if platform not in {None, "jetson"}:
        raise PresetError(
            f"--jetpack {jetpack} is about a Jetson, and --platform says {platform}",
            hint="leave out --jetpack, and say the release with --target",
        )
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
    lines, zones, frame = options.get("line", ()), options.get("zone", ()), options.get("frame")
    refuse_marks("line", lines, frame if isinstance(frame, Frame) else None)
    refuse_marks("zone", zones, frame if isinstance(frame, Frame) else None)
    if (lines or zones) and options.get("role") == "sgie":
        raise PresetError(
            "--line and --zone are about what the primary engine finds, and --role sgie has none",
            hint="leave --role out",
        )
    if options.get("overcrowding") is not None and not zones:
        raise PresetError("--overcrowding is about zones, and there is none", hint="give a --zone, too")
    if options.get("resize") == "graph":
        if options.get("role") == "sgie":
            raise PresetError(
                "--resize graph is about whole frames, and --role sgie looks at objects", hint="leave one of them out"
            )
        if not isinstance(frame, Frame) or not frame.in_pixels:
            raise PresetError("--resize graph needs the size of the frames", hint=PIXELS)


def refuse_simulation(options: Mapping[str, Any]) -> None:
    """Raises PresetError for options of `simulate` that do not go together."""
    if options.get("app") and options.get("sgie"):
        raise PresetError("--app names its secondary engines itself", hint="leave out --sgie")
    if options.get("tensors") and options.get("sgie"):
        raise PresetError("--tensors are one engine's outputs", hint="a secondary engine needs pictures")
    if options.get("original") and not options.get("against"):
        raise PresetError("--original goes with --against edge-impulse")
    if options.get("tensors") and options.get("count_as"):
        raise PresetError("--count-as needs a video that the model runs on", hint="leave out --tensors")
    if options.get("tensors") and options.get("against"):
        raise PresetError("--against needs pictures that the model runs on", hint="leave out --tensors")
