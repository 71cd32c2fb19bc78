"""How commands explain themselves: options in groups, examples, errors of usage in one message; `help`, `version`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

import click

GROUPS = {
    "Model": (
        *("pgie", "sgie", "app", "tensors", "model", "bundle_name", "tflite", "evidence", "sgie_labels"),
        *("dequantize", "sdk_log", "opset", "tensorflow"),
    ),
    "What the export does not say": ("labels", "task", "resize_mode", "image_scaling"),
    "Studio": ("metadata", "project", "impulse", "variant", "deployment", "api_key_file"),
    "Frames": ("every", "limit"),
    "Rules": ("select", "ignore", "files", "fix", "diff_"),
    "Proof": ("images", "samples", "tolerance", "onnxruntime", "tensorrt", "timeout", "against", "original"),
    "DeepStream": (
        *("target", "platform", "jetpack", "tensorrt_version", "role", "source", "sink", "frame", "resize"),
        *("fomo_merge", "fomo_box", "yolo_score", "threshold", "batch_size", "object_batch_size", "precision"),
        *("calibrate", "min_size", "gie_id", "operate_on_gie_id", "gpu_id"),
    ),
    "Counting": ("line", "zone", "overcrowding", "count_as"),
    "Many models": ("jobs", "time_limit", "memory_limit", "scheduler", "force", "cache_dir"),
    "Output": ("output", "dry_run", "depfile", "format_", "fail_on", "quiet", "help"),
}
"""Heading -> the options below it, in this order."""

_GROUPED_FROM = 14  # options; fewer of them are found in one list
_WIDEST = 26  # columns of an option's name; the text of a longer one begins on the next line


class _Explained(click.Command):
    """A command with examples; its options stand in groups where they are many.

    Args:
        examples: command lines. The first one is shown with an error of usage.
        ask: the error where no argument at all is given. By default the first parameter that is missing.
    """

    def __init__(
        self, *arguments: Any, examples: Sequence[str] = (), ask: str | None = None, **attributes: Any
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.examples = tuple(examples)
        self.ask = ask

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, but for a command that is given nothing."""
        if not args and self.ask and not ctx.resilient_parsing:
            raise click.UsageError(self.ask, ctx)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, group by group, and for a group of commands the commands."""
        shown = {
            "help" if "--help" in each.opts else each.name: row  # click's own name of it has changed
            for each in self.get_params(ctx)
            if isinstance(each, click.Option) and (row := each.get_help_record(ctx))
        }
        sections = {"Options": list(shown.values())}
        if len(shown) >= _GROUPED_FROM:
            sections = {title: [shown.pop(name) for name in names if name in shown] for title, names in GROUPS.items()}
            sections["Other options"] = list(shown.values())
        width = max((len(name) for rows in sections.values() for name, _ in rows if len(name) <= _WIDEST), default=0)
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):  # the names padded, so that the texts of all sections are in line
                    formatter.write_dl([(name.ljust(width), text) for name, text in rows], col_max=width)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, a line each, and then the rest."""
        if self.examples:
            with formatter.section("Examples"):
                for line in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        super().format_epilog(ctx, formatter)


class Command(_Explained):
    """A command that does something itself."""


class Group(_Explained, click.Group):
    """Commands below one name, in the order of their declaration."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Their names."""
        return list(self.commands)


class UsageError(click.UsageError):
    """An error of usage as it is shown: the message, an example, where the options are listed."""

    def __init__(self, error: click.UsageError) -> None:
        super().__init__(_message(error), error.ctx)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it, by default on standard error."""
        lines = [f"error: {self.message}"]
        if self.ctx is not None:
            lines += [f"  example: {each}" for each in getattr(self.ctx.command, "examples", ())[:1]]
            lines.append(f"  options: {self.ctx.command_path} --help")
        click.echo("\n".join(lines), file=file, err=file is None)


def _message(error: click.UsageError) -> str:
    """click's message; of a parameter that is missing what it is for."""
    if isinstance(error, click.MissingParameter) and error.param is not None:
        if isinstance(error.param, click.Option):
            text = (error.param.help or "").rstrip(".")
            return f"{error.param.opts[0]} is missing: {text[:1].lower()}{text[1:]}"
        return f"{error.param.metavar or error.param.human_readable_name} is missing"
    return error.format_message().rstrip(".")


@click.command(
    name="help", cls=Command, examples=("ei-deepstream help convert", "ei-deepstream help eim compare")
)  # fmt: skip
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show how a command is used; without a COMMAND, list them all."""
    assert ctx.parent is not None
    shown: click.Context = ctx.parent
    for name in names:
        group = shown.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{shown.command_path} has no commands of its own", shown)
        _, command, _ = group.resolve_command(shown, [name])  # says what is near where there is none
        assert command is not None
        shown = click.Context(command, parent=shown, info_name=command.name)
    click.echo(shown.get_help())


@click.command(name="version", cls=Command, examples=("ei-deepstream version",))
def version() -> None:
    """Show the version of ei-deepstream, and those of what it works with."""
    show_versions()


def show_versions() -> None:
    """A line a package."""
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as version_of  # slow, and only wanted here

    from convert import __version__

    click.echo(f"ei-deepstream {__version__}")
    for package in ("tf2onnx", "onnx", "onnxruntime", "ai-edge-litert", "tensorflow", "tensorrt-rtx"):
        try:
            click.echo(f"{package} {version_of(package)}")
        except PackageNotFoundError:
            click.echo(f"{package} not installed")
