"""`ei-deepstream eim`: everything about Edge Impulse's Linux executables."""

from __future__ import annotations

import importlib

import click

__all__ = ["command"]

# As in `convert.cli`: listing the commands imports none of them.
_COMMANDS: dict[str, tuple[str, str]] = {
    "inspect": ("convert.cli.eim_inspect", "Say which machine an .eim is for, and whether it starts on this one."),
    "classify": ("convert.cli.eim_classify", "Send a picture or features to an .eim and show its answer."),
    "compare": ("convert.cli.eim_compare", "Give an .eim and a bundle the same pictures and compare what they say."),
    "serve": ("convert.cli.eim_serve", "Answer as an .eim with a converted bundle."),
    "pack": ("convert.cli.eim_pack", "Make one executable .eim file of a converted bundle."),
    "proxy": ("convert.cli.eim_proxy", "Stand between a client and an .eim and show what they say."),
}


class _Commands(click.Group):
    """A group that imports a command's module when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_Commands, name="eim")
def command() -> None:
    """Inspect, talk to, compare with and answer as Edge Impulse's Linux executables (.eim).

    \b
    Examples:
      ei-deepstream eim inspect model.eim
      ei-deepstream eim compare model.eim bundle pictures/*.jpg
      ei-deepstream eim pack bundle -o converted.eim
    """
