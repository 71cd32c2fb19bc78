"""What `--help` says of every command and option, as it is declared; how it is laid out is click's.

Made anew by `python -m tests.cli.test_help_text`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.cli import commands

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("golden") / "help.txt"


def lines() -> str:
    return "\n".join(_command("", commands)) + "\n"


def _command(parent: str, command: click.Command) -> Iterator[str]:
    name = f"{parent} {command.name}" if parent else "ei-deepstream"
    yield f"{name}: {command.get_short_help_str(200)}"
    for part in (command.help, command.epilog):
        if part:
            yield f"    {' '.join(part.split())}"
    for each in command.params:
        if isinstance(each, click.Option):
            default = f" = {each.default}" if each.show_default else ""
            yield f"  {each.opts[-1]} {each.metavar or ''}{default}: {each.help}"
        else:
            yield f"  {each.metavar or each.name}"
    if isinstance(command, click.Group):
        for child in command.list_commands(click.Context(command)):
            found = command.get_command(click.Context(command), child)
            assert found is not None
            yield from _command(name, found)


def test_help() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


def test_every_option_is_explained() -> None:
    text = lines()
    assert ": None" not in text
    assert "UNSET" not in text, "a default that is shown is one"


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
