"""The command line: one module for a few commands, imported only when one of them is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import click

__all__ = ["commands"]

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
            from difflib import get_close_matches  # only a mistyped command needs it

            if close := get_close_matches(args[0], list(_COMMANDS), 1):
                raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Names and their lines of help, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


def _show_and_exit(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """--version and --make-include."""
    if not value or ctx.resilient_parsing:
        return
    if parameter.name == "make_include":
        from convert.files import configs, include_path

        click.echo(include_path(configs() / "make" / "ei-deepstream.mk"))
        ctx.exit()
    from importlib.metadata import PackageNotFoundError, version  # slow, and only wanted here

    from convert import __version__

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
