"""Options that several commands share: made of the tables in `convert.options`, so that both mean the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from convert.cli import reporting, stack
from convert.options import ConvertOptions, Option, table

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "EXISTING",
    "adapting",
    "common",
    "declaration",
    "emitting",
    "folder_option",
    "given",
    "options",
    "tflite_option",
    "translating",
    "unpacking",
    "validating",
]

_F = TypeVar("_F", bound="Callable[..., Any]")

EXISTING = click.Path(exists=True, path_type=Path)


class _Parsed(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.3
    """What `Option.parse` reads."""

    def __init__(self, option: Option) -> None:
        self.name = option.name
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return self._option.value(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def declaration(declared: Any, name: str) -> dict[str, Any]:
    """What `click.option` is given for an option of one of `convert.options`' classes, but for how it is written.

    Members of an enumeration stay text here; `convert.options.checked` makes members of them.
    """
    option = table(declared)[name]
    if option.type is bool:
        return {"is_flag": True, "help": option.help}
    kind: Any = click.STRING
    if option.parse:
        kind = _Parsed(option)
    elif option.choices:
        kind = click.Choice([str(choice) for choice in option.choices])
    elif option.type is Path:
        kind = EXISTING
    elif option.type is int:
        kind = click.IntRange(option.low, option.high)
    elif option.type is float:
        kind = click.FloatRange(option.low or option.above, option.high, min_open=option.above is not None)
    return {
        "type": kind,
        "default": None if option.many else option.default,
        "show_default": option.default is not None and not option.many,
        "multiple": option.many,
        "metavar": option.metavar,
        "help": option.help,
    }


def options(declared: Any, *names: str) -> Callable[[_F], _F]:
    """The options `names` of one of `convert.options`' classes, shown in this order."""
    spelled = {"bundle_name": "name"}
    return stack(
        *(
            click.option(f"--{spelled.get(name, name).replace('_', '-')}", name, **declaration(declared, name))
            for name in names
        )
    )


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that stand on the command line; the rest has its default."""
    source = click.get_current_context().get_parameter_source
    return {name: value for name, value in values.items() if source(name) is ParameterSource.COMMANDLINE}


def folder_option(text: str) -> Callable[[_F], _F]:
    """-o, the output folder (or, where a command says so, file)."""
    return click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="DIR", help=text)


common = reporting("text", "json")
"""--format, --fail-on, --quiet."""

unpacking = options(
    ConvertOptions,
    *("model", "bundle_name", "labels", "task", "resize_mode", "image_scaling", "dequantize"),
)
"""What to take from an export, and what to believe instead of it."""

translating = options(ConvertOptions, "opset", "timeout", "tensorflow")
"""How tf2onnx is run."""

adapting = options(ConvertOptions, "frame", "fomo_merge", "yolo_score")
"""What the model is shown, and how a detector's outputs are made readable."""

validating = options(ConvertOptions, "images", "tolerance", "tensorrt")
"""What is measured."""

emitting = options(
    ConvertOptions,
    *("role", "batch_size", "precision", "gie_id", "operate_on_gie_id", "min_size", "gpu_id", "target", "platform"),
)
"""For which engine and target the folder is written."""

tflite_option = click.option(
    "--tflite",
    type=EXISTING,
    metavar="FILE",
    help="The original. [default: the .tflite beside the ONNX file]",
)
"""Where a stage command finds the model it all began with."""
