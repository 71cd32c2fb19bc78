"""The command line: one module for a few commands, imported only when one of them is asked for.

Here is what they share of click: options in groups, examples, errors of usage in one message; and `help`, `version`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import IO, Any

import click

from convert.files import load_toml

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
            groups = load_toml("options.toml")["groups"]
            sections = {title: [shown.pop(name) for name in names if name in shown] for title, names in groups.items()}
            sections["Other options"] = list(shown.values())
        width = max(len(name) for rows in sections.values() for name, _ in rows if len(name) <= _WIDEST)
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


@cache
def _listed() -> dict[str, dict[str, Any]]:
    """Every command, by its name."""
    return {name: row for section in load_toml("commands.toml").values() for name, row in section.items()}


def about(name: str) -> dict[str, Any]:
    """The name of a command, and what configs/commands.toml says of it, for click's decorators."""
    return {"name": name, **{key: text for key, text in _listed()[name].items() if key not in {"at", "help"}}}


def command(name: str) -> Callable[[Callable[..., Any]], click.Command]:
    """`click.command` with that."""
    return click.command(cls=Command, **about(name))


def own(name: str, **attributes: Any) -> Callable[[Any], Any]:
    """`click.option` with `attributes`; what [command.NAME] of configs/options.toml says comes first."""
    row = load_toml("options.toml")["command"][name]
    rest = {key: value for key, value in row.items() if key != "written"}
    return click.option(*row.get("written", [f"--{name}"]), **{**attributes, **rest})


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


@command("help")
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


@command("version")
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
        return list(_listed())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command, imported now."""
        if cmd_name not in _listed():
            return None
        module, _, attribute = _listed()[cmd_name]["at"].partition(":")
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a suggestion for a mistyped name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # only a mistyped command needs it

            if close := get_close_matches(args[0], list(_listed()), 1):
                raise click.UsageError(f"{error.message} Did you mean {close[0]!r}?", ctx) from error
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Names and their lines of help, without importing the commands."""
        width = max(map(len, _listed()))
        for title, rows in load_toml("commands.toml").items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), row["help"]) for name, row in rows.items()])


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
@own("version", callback=_show_and_exit)
@own("make-include", callback=_show_and_exit)
def commands() -> None:
    """Edge Impulse export in, a folder that NVIDIA DeepStream runs out, proven on this CPU."""
