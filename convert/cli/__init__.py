"""The command line: one module for a few commands, imported only when one of them is asked for.

Here is what all commands share: the group, and the options and endings of commands that report something.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from convert.findings import Level, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from convert.depfile import Reads
    from convert.findings import Finding
    from convert.pipeline import Run

__all__ = [
    "as_usage",
    "commands",
    "depfile_option",
    "exit_code",
    "finish",
    "format_option",
    "reporting",
    "stack",
    "write_json",
]

_F = TypeVar("_F", bound="Callable[..., Any]")

# Name -> where the command is, and one line of help, in the order `--help` shows them. The help stands here so that
# listing the commands imports none of them.
_COMMANDS = {
    "convert": ("convert.cli.convert:convert", "Turn an Edge Impulse export into a folder that DeepStream runs."),
    "batch": ("convert.cli.batch:batch", "Convert many exports, in parallel, and only what has changed."),
    "inspect": ("convert.cli.convert:inspect", "Say what a file or folder is, and whether it can be converted."),
    "check": ("convert.cli.check:check", "Say what Gst-nvinfer will do with configs, bundles and folders."),
    "simulate": ("convert.cli.simulate:simulate", "Say what DeepStream will show on pictures, without a GPU."),
    "unpack": ("convert.cli.stages:unpack", "Stage 1: find the model in an export and write it as a .tflite."),
    "translate": ("convert.cli.stages:translate", "Stage 2: .tflite to ONNX with NCHW input."),
    "adapt": ("convert.cli.stages:adapt", "Stage 3: names, dynamic batch and output layout for Gst-nvinfer."),
    "validate": ("convert.cli.stages:validate", "Stage 4: prove that the ONNX model computes what was trained."),
    "emit": ("convert.cli.stages:emit", "Stage 5: write labels, configs and the engine build."),
    "eim": ("convert.cli.eim:eim", "Inspect, compare with and answer as Edge Impulse's Linux executables (.eim)."),
    "explain": ("convert.cli.check:explain", "Say what a rule (NVI014) is about, and what to do."),
    "cache": ("convert.cli.batch:cache", "Look at, or clear away, what `batch` keeps of earlier conversions."),
    "targets": ("convert.cli.check:targets", "List the DeepStream releases, and what comes with each."),
}


class _Commands(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names, in the order of the table."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a suggestion for a mistyped name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # noqa: PLC0415 - only a mistyped command needs it

            if close := get_close_matches(args[0], list(_COMMANDS), 1):
                raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Names and their lines of help, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


def stack(*decorators: Callable[[Any], Any]) -> Callable[[_F], _F]:
    """Several options as one decorator, shown in the order given."""

    def decorate(function: _F) -> _F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _remember_format(ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    # An error is shown by __main__, after this command's context is gone; the state object outlives it.
    if isinstance(ctx.obj, dict):
        ctx.obj["format"] = value
    return value


def _level(_ctx: click.Context, _parameter: click.Parameter, value: str) -> Level:
    return Level(value)


def format_option(*formats: str) -> Callable[[_F], _F]:
    """--format, the first of `formats` being the default."""
    return click.option(
        "--format",
        "format_",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        is_eager=True,
        callback=_remember_format,
        help="What is printed on standard output.",
    )


def reporting(*formats: str) -> Callable[[_F], _F]:
    """--format, --fail-on, --quiet."""
    return stack(
        format_option(*formats),
        click.option(
            "--fail-on",
            type=click.Choice([level.value for level in Level]),
            default=Level.ERROR.value,
            show_default=True,
            callback=_level,
            help="Exit with 1 when there is a finding of this level or worse.",
        ),
        click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors (and JSON)."),
    )


def _begin_depfile(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> tuple[Path, Reads] | None:
    """Eager, because reading begins while the other options are looked at (--labels FILE)."""
    if value is None or ctx.resilient_parsing:
        return None
    if value.suffix != ".d" or value.name == ".d":
        raise click.BadParameter("it has to end in .d, and is about the file that is called so without it")
    from convert.depfile import recording  # noqa: PLC0415 - few runs need it

    return value, ctx.with_resource(recording())


def depfile_option(function: _F) -> _F:
    """Adds the option, and writes the file when the command has ended well."""

    @click.option(
        "--depfile",
        type=click.Path(path_type=Path),
        metavar="TARGET.d",
        is_eager=True,
        callback=_begin_depfile,
        help="Write a rule for make: TARGET depends on all files that were read.",
    )
    @functools.wraps(function)
    def command(*arguments: Any, depfile: tuple[Path, Reads] | None, **options: Any) -> Any:
        code = function(*arguments, **options)
        if depfile is not None and not code and not options.get("dry_run"):
            _write_depfile(*depfile, options)
        return code

    return command  # type: ignore[return-value] # the same but for the option


def _write_depfile(path: Path, reads: Reads, options: dict[str, Any]) -> None:
    from convert.depfile import rule  # noqa: PLC0415 - few runs need it
    from convert.writing import write  # noqa: PLC0415

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
    from convert.errors import PresetError  # noqa: PLC0415 - --help does without

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


def finish(run: Run, *, format_: str, fail_on: Level, quiet: bool) -> int:
    """Show `run`; the exit code does not depend on the format."""
    code = exit_code(run.findings, fail_on, error=run.error)
    if format_ == "json":
        from convert.render.json import run_document  # noqa: PLC0415 - only for this format

        write_json(run_document(run, code))
    if format_ == "json" or quiet:
        if run.error:
            from convert.render.failure import error_lines  # noqa: PLC0415

            print("\n".join(error_lines(run.error)), file=sys.stderr)  # noqa: T201
    else:
        from convert.render.text import show_run  # noqa: PLC0415 - rich is not needed for JSON

        show_run(run)
    return code


def write_json(document: Any) -> None:
    """The JSON document of a command, on standard output."""
    from convert.document import dumps  # noqa: PLC0415 - only for this format

    sys.stdout.write(dumps(document).decode())


def _show_and_exit(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """--version and --make-include."""
    if not value or ctx.resilient_parsing:
        return
    if parameter.name == "make_include":
        from convert.depfile import include_path  # noqa: PLC0415 - only wanted here
        from convert.resources import configs  # noqa: PLC0415

        click.echo(include_path(configs() / "make" / "ei-deepstream.mk"))
        ctx.exit()
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow, and only wanted here

    from convert import __version__  # noqa: PLC0415

    click.echo(f"ei-deepstream {__version__}")
    for package in ("tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "tensorflow", "tensorrt-rtx"):
        try:
            click.echo(f"{package} {version(package)}")
        except PackageNotFoundError:
            click.echo(f"{package} not installed")
    ctx.exit()


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 fine, 1 findings at or above --fail-on, 2 usage, 3 cannot be done, 70 our bug, 130 Ctrl-C.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_show_and_exit,
    help="Show versions and exit.",
)
@click.option(
    "--make-include", is_flag=True, expose_value=False, is_eager=True, callback=_show_and_exit,
    help="Show the path of a makefile to include, and exit: include $(shell ei-deepstream --make-include)",
)  # fmt: skip
def commands() -> None:
    """Edge Impulse export in, a folder that NVIDIA DeepStream runs out, proven on this CPU.

    \b
    Examples:
      ei-deepstream convert my-project.zip -o bundle
      ei-deepstream inspect my-project.zip
    """
