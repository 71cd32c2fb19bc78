"""The commands and their options as they are written in scripts, and what is said of each: a change is seen.

Made anew by `python -m tests.cli.test_interface`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.cli import Command, Group, commands

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = Path(__file__).with_name("golden") / "interface.txt"


def lines() -> str:
    return "\n".join(_command("", commands)) + "\n"


def _command(parent: str, command: click.Command) -> Iterator[str]:
    name = f"{parent} {command.name}" if parent else "ei-deepstream"
    context = click.Context(command)
    yield name
    assert isinstance(command, Command | Group)
    yield from (f"    for example: {each}" for each in command.examples)
    yield from [f"    without arguments: {command.ask}"] if command.ask else []
    for each in command.params:
        yield "    " + _parameter(each)
        yield from [f"        {each.help}"] if isinstance(each, click.Option) else []
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            assert found is not None
            assert found.name == child
            yield from _command(name, found)


def _parameter(parameter: click.Parameter) -> str:
    """How it is written, the name of its value, what the value may be, and its default."""
    kind, told = parameter.type, [*parameter.opts, *parameter.secondary_opts]
    is_flag = isinstance(parameter, click.Option) and parameter.is_flag
    if parameter.name not in {opt.lstrip("-").replace("-", "_") for opt in parameter.opts}:
        told.append(f"as {parameter.name}")
    if isinstance(kind, click.Choice):
        told.append("|".join(map(str, kind.choices)))
    elif isinstance(kind, click.IntRange | click.FloatRange):
        told.append(f"{kind.name} {kind.min}{'<' if kind.min_open else '..'}{kind.max}{'>' if kind.max_open else ''}")
    elif isinstance(kind, click.Path):
        told.append("existing path" if kind.exists else "path" if kind.file_okay else "folder")
        told += ["or -"] if kind.allow_dash else []
    elif not is_flag:
        told.append(kind.name)
    told += [parameter.metavar] if parameter.metavar else []
    told += ["flag"] if is_flag else []
    told += ["required"] if parameter.required else []
    told += ["repeated"] if parameter.multiple or parameter.nargs == -1 else []
    told += ["eager"] if parameter.is_eager else []
    if isinstance(parameter.default, int | float | str) and (not is_flag or parameter.default):
        told.append(f"= {parameter.default}")
        told += ["not shown"] if not getattr(parameter, "show_default", False) else []
    return " ".join(told)


def test_interface() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
