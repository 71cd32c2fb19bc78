"""The command line: one module for a few commands, imported only when one of them is asked for."""

from __future__ import annotations

import importlib
from typing import Any

import click

from convert.cli.help import Group, UsageError, show_versions

# Heading -> name -> where the command is, and one line of help, in the order `--help` shows them. The help stands here
# so that listing the commands imports none of them.
_SECTIONS = {
    "Commands": {
        "convert": ("convert.cli.convert:convert", "Turn an Edge Impulse export into a folder that DeepStream runs."),
        "batch": ("convert.cli.batch:batch", "Convert many exports, in parallel, and only what has changed."),
        "pull": ("convert.cli.studio:pull", "Fetch the trained model, or a deployment, from Edge Impulse's Studio."),
        "inspect": ("convert.cli.convert:inspect", "Say what a file or folder is, and whether it can be converted."),
        "check": ("convert.cli.check:check", "Say what Gst-nvinfer will do with configs, bundles and folders."),
        "simulate": ("convert.cli.simulate:simulate", "Say what DeepStream will show on pictures, without a GPU."),
        "eim": ("convert.cli.eim:eim", "Inspect, compare with and answer as Edge Impulse's Linux executables (.eim)."),
        "explain": ("convert.cli.check:explain", "Say what a rule (NVI014) is about, and what to do."),
        "targets": ("convert.cli.check:targets", "List the DeepStream releases, and what comes with each."),
        "block": ("convert.cli.studio:block", "Run as a deployment block inside Edge Impulse's Studio."),
        "cache": ("convert.cli.batch:cache", "Look at, or clear away, what `batch` keeps of earlier conversions."),
        "help": ("convert.cli.help:help_", "Show how a command is used."),
        "version": ("convert.cli.help:version", "Show versions."),
    },
    "Stages of convert, one by one": {
        "unpack": ("convert.cli.stages:unpack", "1: find the model in an export and write it as a .tflite."),
        "translate": ("convert.cli.stages:translate", "2: .tflite to ONNX with NCHW input."),
        "adapt": ("convert.cli.stages:adapt", "3: names, dynamic batch and output layout for Gst-nvinfer."),
        "validate": ("convert.cli.stages:validate", "4: prove that the ONNX model computes what was trained."),
        "emit": ("convert.cli.stages:emit", "5: write labels, configs and the engine build."),
    },
}
_COMMANDS = {name: command for section in _SECTIONS.values() for name, command in section.items()}


class _Commands(Group):
    """A group that imports a command's module when the command is used."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        """As click does it; an error of usage is one message with an example."""
        try:
            return super().main(*arguments, **options)
        except click.UsageError as error:
            if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):  # since click 8.2
                raise
            raise UsageError(error) from error

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
        width = max(map(len, _COMMANDS))
        for title, commands in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), text) for name, (_, text) in commands.items()])


def _show_and_exit(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """--version and --make-include."""
    if not value or ctx.resilient_parsing:
        return
    if parameter.name == "make_include":
        from convert.files import configs, include_path

        click.echo(include_path(configs() / "make" / "ei-deepstream.mk"))
        ctx.exit()
    show_versions()
    ctx.exit()


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    examples=(
        "ei-deepstream convert my-project.zip -o bundle",
        "ei-deepstream inspect my-project.zip",
        "ei-deepstream help convert",
    ),
    epilog="Exit codes: 0 fine, 1 findings at or above --fail-on, 2 usage, 3 cannot be done, 70 our bug, 130 Ctrl-C, "
    "143 SIGTERM.",
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
    """Edge Impulse export in, a folder that NVIDIA DeepStream runs out, proven on this CPU."""
