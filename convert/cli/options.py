"""What commands share: their options, made of the tables in `convert.options`, and how they end."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from convert.cli import own
from convert.errors import PresetError
from convert.findings import Finding, Level, worst
from convert.options import ConvertOptions, Option, settle_target, table

if TYPE_CHECKING:
    from convert.files import Reads
    from convert.pipeline import Run
    from convert.studio.client import Studio

_F = TypeVar("_F", bound="Callable[..., Any]")

ANY = click.Path(path_type=Path)
EXISTING = click.Path(exists=True, path_type=Path)

_LONGEST_CHOICES = 60  # characters; more of them stand in the text of an option's help


def stack(*decorators: Callable[[Any], Any]) -> Callable[[_F], _F]:
    """Several options as one decorator, shown in the order given."""
    return lambda function: functools.reduce(lambda made, add: add(made), reversed(decorators), function)


def _remember_format(ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    # An error is shown by __main__, after this command's context is gone; the state object outlives it.
    if isinstance(ctx.obj, dict):
        ctx.obj["format"] = value
    return value


def format_option(*formats: str) -> Callable[[_F], _F]:
    """--format, the first of `formats` being the default."""
    return own("format", type=click.Choice(formats), default=formats[0], callback=_remember_format)


quiet_option = own("quiet")
"""--quiet."""


def reporting(*formats: str) -> Callable[[_F], _F]:
    """--format, --fail-on, --quiet."""
    return stack(
        format_option(*formats),
        own(
            "fail-on",
            type=click.Choice([level.value for level in Level]),
            default=Level.ERROR.value,
            callback=lambda _ctx, _parameter, value: Level(value),
        ),
        quiet_option,
    )


class Parsed(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.3
    """What `Option.value` makes of it, and accepts."""

    def __init__(self, option: Option) -> None:
        self.name = option.name
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """As click calls it."""
        try:
            return self._option.value(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def declaration(declared: Any, name: str) -> dict[str, Any]:
    """What `click.option` is given for an option of one of `convert.options`' classes, but for how it is `spelled`.

    Members of an enumeration stay text here; `convert.options.checked` makes members of them.
    """
    return keywords(table(declared)[name])


def keywords(option: Option) -> dict[str, Any]:
    """As `declaration`."""
    if option.type is bool:
        return {"is_flag": True, "default": option.default, "show_default": option.default, "help": option.help}
    kind: Any = click.STRING
    text, metavar = option.help, None
    if option.parse:
        kind = Parsed(replace(option, many=False))
    elif option.choices:
        kind = click.Choice([str(choice) for choice in option.choices])
        if len("|".join(kind.choices)) > _LONGEST_CHOICES:
            text, metavar = f"{text} One of {', '.join(kind.choices)}.", option.name.upper()
    elif option.type is Path:
        kind = EXISTING
    elif option.type is int:
        kind, metavar = click.IntRange(option.low, option.high), "N"
    elif option.type is float:
        metavar = "NUMBER"
        kind = click.FloatRange(option.low or option.above, option.high, min_open=option.above is not None)
    return {
        "type": kind,
        "default": None if option.many else option.default,
        "show_default": option.default is not None and not option.many,
        "multiple": option.many,
        "metavar": option.metavar or metavar,
        "help": text,
    }


def spelled(declared: Any, name: str) -> str:
    """How an option is written; of one that is on by default, also how it is turned off."""
    written = {"bundle_name": "name"}.get(name, name).replace("_", "-")
    return f"--{written}/--no-{written}" if table(declared)[name].default is True else f"--{written}"


def options(declared: Any, *names: str) -> Callable[[_F], _F]:
    """The options `names` of one of `convert.options`' classes, shown in this order.

    The table is read where the decorator is applied: that of `convert` imports what `check` does without.
    """

    def add(function: _F) -> _F:
        each = (click.option(spelled(declared, name), name, **declaration(declared, name)) for name in names)
        return stack(*each)(function)

    return add


def given(values: dict[str, Any]) -> dict[str, Any]:
    """Those of `values` that stand on the command line, `jetpack` as target and platform; the rest has its default."""
    source = click.get_current_context().get_parameter_source
    with as_usage():
        return settle_target(
            {name: value for name, value in values.items() if source(name) is ParameterSource.COMMANDLINE}
        )


def refuse_source(values: dict[str, Any]) -> None:
    """Raises PresetError where --source, if it is given, names nothing the app can read on the platform."""
    if (source := values.get("source")) is not None:
        from convert.emit.streams import parse_source  # few runs need it

        parse_source(source, values.get("platform", table(ConvertOptions)["platform"].default))


def folder_option(text: str) -> Callable[[_F], _F]:
    """-o, the output folder (or, where a command says so, file)."""
    return own("output", type=ANY, help=text)


common = reporting("text", "json")
"""--format, --fail-on, --quiet."""

naming = options(ConvertOptions, "model", "bundle_name", "labels", "task", "resize_mode", "image_scaling")
"""What to take from an export, and what to believe instead of it."""

unpacking = stack(naming, options(ConvertOptions, "dequantize", "rounding", "precision", "calibrate"))
"""The same, and whether, and how, a quantized model is rewritten."""

translating = options(ConvertOptions, "opset", "timeout", "tensorflow")
"""How tf2onnx is run."""

framing = options(ConvertOptions, "frame")
"""What the model is shown."""

adapting = options(ConvertOptions, "resize", "fomo_merge", "fomo_box", "yolo_score", "threshold")
"""What brings frames to the model's size, and how a detector's outputs are made readable."""

validating = options(ConvertOptions, "images", "tolerance", "tensorrt")
"""What is measured."""

emitting = options(
    ConvertOptions,
    *("role", "batch_size", "gie_id", "operate_on_gie_id", "min_size", "gpu_id"),
    *("target", "platform", "jetpack", "source", "sink", "line", "zone", "overcrowding"),
)
"""For which engine and target the folder is written."""

tflite_option = own("tflite", type=EXISTING)
"""Where a stage command finds the model it all began with."""


def _begin_depfile(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> tuple[Path, Reads] | None:
    """Eager, because reading begins while the other options are looked at (--labels FILE)."""
    if value is None or ctx.resilient_parsing:
        return None
    if value.suffix != ".d":
        raise click.BadParameter("it has to end in .d, and is about the file that is called so without it")
    from convert.files import recording  # few runs need it

    return value, ctx.with_resource(recording())


def depfile_option(function: _F) -> _F:
    """Adds the option, and writes the file when the command has ended well."""

    @own("depfile", type=ANY, callback=_begin_depfile)
    @functools.wraps(function)
    def command(*arguments: Any, depfile: tuple[Path, Reads] | None, **options: Any) -> Any:
        code = function(*arguments, **options)
        if depfile is not None and not code and not options.get("dry_run"):
            _write_depfile(*depfile, options)
        return code

    return command  # type: ignore[no-any-return] # the same but for the option


def _write_depfile(path: Path, reads: Reads, options: dict[str, Any]) -> None:
    from convert.files import rule, write

    reads.folders += [
        str(value)
        for name, given in options.items()
        if name != "output"
        for value in (given if isinstance(given, tuple) else (given,))
        if isinstance(value, str | Path) and Path(value).is_dir()
    ]
    write(path, rule(str(path.with_suffix("")), reads.files(), reads.listings()))


@contextlib.contextmanager
def as_usage(joint: str = "; ") -> Iterator[None]:
    """Options that do not go together are an error of usage on the command line; `joint` stands before the hint."""

    try:
        yield
    except PresetError as error:
        raise click.UsageError(joint.join(filter(None, (error.message, error.hint)))) from error


def exit_code(findings: Iterable[Finding], fail_on: Level, *, error: object = None) -> int:
    """3 for an error, 1 for a finding at or above `fail_on`, else 0."""
    if error is not None:
        return 3
    level = worst(findings)
    return 1 if level is not None and level.rank >= fail_on.rank else 0


def finish(run: Run, *, format_: str, fail_on: Level, quiet: bool, pictures: Path | None = None) -> int:
    """Show `run`; the exit code does not depend on the format. `pictures`: a folder of them, to go on with."""
    code = exit_code(run.findings, fail_on, error=run.error)
    if format_ == "json":
        from convert.render.machine import run_document  # only for this format

        write_json(run_document(run, code, pictures))
    if format_ == "json" or quiet:
        if run.error:
            from convert.render.text import error_lines

            print("\n".join(error_lines(run.error)), file=sys.stderr)  # noqa: T201
    else:
        from convert.render.text import show_run  # rich is not needed for JSON

        show_run(run, pictures)
    return code


def write_json(document: Any) -> None:
    """The JSON document of a command, on standard output."""
    from convert.report import dumps  # only for this format

    sys.stdout.write(dumps(document).decode())


def studio_with_key(file: Path | None = None) -> Studio:
    """Studio with the key that is in `file` or in the environment, else typed at a terminal; InputError without one."""
    from convert.studio.client import Studio, checked_key, read_key
    from convert.studio.pull import from_environment

    key = read_key(file)
    if key is None and sys.stdin.isatty():
        key = checked_key(click.prompt("API key of the project", hide_input=True, err=True), "what was typed")
    return from_environment() if key is None else Studio(key)
