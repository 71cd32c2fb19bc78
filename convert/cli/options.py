"""Options that several commands share, declared once so that they read and mean the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convert.artifacts import ImageScaling, ResizeMode
from convert.cli.reporting import reporting, stack
from convert.errors import PresetError
from convert.framing import Frame, parse_frame
from convert.heads import CONVERTIBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "EXISTING",
    "FRAME",
    "LABELS",
    "SCALING",
    "adapting",
    "common",
    "emitting",
    "folder_option",
    "tflite_option",
    "translating",
    "unpacking",
    "validating",
]

_F = TypeVar("_F", bound="Callable[..., Any]")

EXISTING = click.Path(exists=True, path_type=Path)

# Edge Impulse's API and documentation spell the scalings differently from the SDK's enumerators; both are understood.
_SCALING_NAMES = {
    "0..1": ImageScaling.NONE,
    "0..255": ImageScaling.FROM_0_TO_255,
    "-1..1": ImageScaling.MINUS_1_TO_1,
    "-128..127": ImageScaling.MINUS_128_TO_127,
    "bgr-subtract-imagenet-mean": ImageScaling.BGR_MINUS_IMAGENET_MEAN,
    **{scaling.value: scaling for scaling in ImageScaling},
}


class _Scaling(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.3
    name = "scaling"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ImageScaling:
        if isinstance(value, ImageScaling):
            return value
        if value in _SCALING_NAMES:
            return _SCALING_NAMES[value]
        self.fail(f"{value!r} is none of {', '.join(_SCALING_NAMES)}", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002 - click's signature
        return "[" + "|".join(scaling.value for scaling in ImageScaling) + "]"


SCALING = _Scaling()
"""An image scaling, in Edge Impulse's spellings."""


class _Labels(click.ParamType):  # type: ignore[type-arg]
    """`a;b;c`, `a,b,c`, or a text file with one label a line (or one line of `;`)."""

    name = "labels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        path = Path(value)
        separator = ";" if ";" in value else ","
        try:
            if path.is_file():
                value = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
                separator = "\n" if "\n" in value else ";"
        except (OSError, UnicodeDecodeError) as error:
            self.fail(f"cannot read labels from {value}: {error}", param, ctx)
        labels = tuple(label.strip() for label in value.split(separator))
        if not all(labels):
            self.fail("a label is empty", param, ctx)
        return labels


LABELS = _Labels()
"""The type of --labels."""


class _Frame(click.ParamType):  # type: ignore[type-arg]
    """`16:9` or `1280x720`."""

    name = "frame"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Frame:
        if isinstance(value, Frame):
            return value
        try:
            return parse_frame(value)
        except PresetError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)


FRAME = _Frame()
"""The type of --frame."""


class _Choice(click.Choice[Any]):
    """A choice among a StrEnum's values, given to the command as the enum's member."""

    def __init__(self, kind: type[ResizeMode], members: Iterable[ResizeMode]) -> None:
        super().__init__([member.value for member in members])
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if isinstance(value, self.kind) else self.kind(super().convert(value, param, ctx))


def folder_option(text: str) -> Callable[[_F], _F]:
    """-o, the output folder (or, where a command says so, file)."""
    return click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR", help=text)


common = reporting("text", "json")
"""--format, --fail-on, --quiet."""

unpacking = stack(
    click.option(
        "--model", metavar="ID", help="Which model, where an export holds several (symbol, file, impulse or number)."
    ),
    click.option(
        "--name", "bundle_name", metavar="NAME", help="What the files are called after. [default: the project]"
    ),
    click.option(
        "--labels", type=LABELS, metavar="a;b;c|FILE", help="Labels in output order, instead of the export's."
    ),
    click.option(
        "--task",
        type=click.Choice(CONVERTIBLE),
        help="What the last layer means.",
    ),
    click.option(
        "--resize-mode",
        type=_Choice(ResizeMode, [ResizeMode.SQUASH, ResizeMode.FIT_SHORTEST, ResizeMode.FIT_LONGEST]),
        help="How training pictures were brought to size.",
    ),
    click.option("--image-scaling", type=SCALING, help="What was done to pixel/255 before the model."),
    click.option("--dequantize", is_flag=True, help="Rewrite an int8 (or other quantized) model in float32 first."),
)
"""What to take from an export, and what to believe instead of it."""

translating = stack(
    click.option("--opset", type=click.IntRange(7, 18), default=13, show_default=True, help="ONNX opset."),
    click.option(
        "--timeout",
        type=click.FloatRange(min=1),
        default=120.0,
        show_default=True,
        help="Seconds tf2onnx may take, and LiteRT after it.",
    ),
    click.option("--tensorflow", is_flag=True, help="Let tf2onnx use the real TensorFlow (extra [tensorflow])."),
)
"""How tf2onnx is run."""

adapting = stack(
    click.option(
        "--frame",
        type=FRAME,
        metavar="16:9|WxH",
        help="Your camera's frames, for a model trained on cropped ones (fit-shortest): the model then crops them.",
    ),
    click.option(
        "--fomo-merge",
        type=click.Choice(["none", "peak"]),
        default="none",
        show_default=True,
        help="FOMO: every cell is an object, or of neighbouring ones the highest.",
    ),
    click.option(
        "--yolo-score",
        type=click.Choice(["product", "objectness"]),
        default="product",
        show_default=True,
        help="YOLO: objectness times class, or objectness alone; YOLOv5 then as Edge Impulse's SDK reports it.",
    ),
)
"""What the model is shown, and how a detector's outputs are made readable."""

validating = stack(
    click.option("--images", type=EXISTING, metavar="DIR", help="A folder of pictures to measure parity on, too."),
    click.option(
        "--tolerance",
        type=click.FloatRange(min=0, min_open=True),
        default=1e-4,
        show_default=True,
        help="Largest absolute difference allowed between the original and the ONNX model.",
    ),
    click.option(
        "--tensorrt",
        is_flag=True,
        help="Parse and build with NVIDIA's TensorRT-RTX on the CPU, too (extra [tensorrt]).",
    ),
)
"""What is measured."""

emitting = stack(
    click.option(
        "--role",
        type=click.Choice(["pgie", "sgie", "both"]),
        default="both",
        show_default=True,
        help="Primary (whole frames), secondary (objects of another engine), or both configs.",
    ),
    click.option(
        "--batch-size", type=click.IntRange(1, 1024), default=1, show_default=True, help="Frames or objects at a time."
    ),
    click.option(
        "--precision",
        type=click.Choice(["fp32", "fp16"]),
        default="fp32",
        show_default=True,
        help="Precision of the engine.",
    ),
    click.option("--gie-id", type=click.IntRange(1), help="gie-unique-id.  [default: 1, secondary 2]"),
    click.option(
        "--operate-on-gie-id", type=click.IntRange(1), help="Whose objects a secondary engine takes.  [default: 1]"
    ),
    click.option("--min-size", type=click.IntRange(1), help="Pixels: a secondary engine passes over smaller objects."),
    click.option("--gpu-id", type=click.IntRange(0), default=0, show_default=True, help="GPU number on the target."),
    click.option(
        "--target", default="deepstream-7.1", show_default=True, metavar="RELEASE", help="DeepStream release."
    ),
    click.option(
        "--platform",
        type=click.Choice(["jetson", "dgpu"]),
        default="jetson",
        show_default=True,
        help="Jetson, or a PC with a discrete GPU: TensorRT often differs between the two.",
    ),
)
"""For which engine and target the folder is written."""

tflite_option = click.option(
    "--tflite",
    type=EXISTING,
    metavar="FILE",
    help="The original. [default: the .tflite beside the ONNX file]",
)
"""Where a stage command finds the model it all began with."""
