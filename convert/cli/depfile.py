"""--depfile, for every command that makes a file of others."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.depfile import Reads

__all__ = ["depfile_option"]

_F = TypeVar("_F", bound="Callable[..., Any]")

_OUTPUT = "output"  # the parameter of -o


def _begin(ctx: click.Context, _parameter: click.Parameter, value: Path | None) -> tuple[Path, Reads] | None:
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
        callback=_begin,
        help="Write a rule for make: TARGET depends on all files that were read.",
    )
    @functools.wraps(function)
    def command(*arguments: Any, depfile: tuple[Path, Reads] | None, **options: Any) -> Any:
        code = function(*arguments, **options)
        if depfile is not None and not code and not options.get("dry_run"):
            _write(*depfile, options)
        return code

    return command  # type: ignore[return-value] # the same but for the option


def _write(path: Path, reads: Reads, options: dict[str, Any]) -> None:
    from convert.depfile import rule  # noqa: PLC0415 - few runs need it
    from convert.writing import write  # noqa: PLC0415

    reads.folders += [
        str(value)
        for name, given in options.items()
        if name != _OUTPUT
        for value in (given if isinstance(given, tuple) else (given,))
        if isinstance(value, str | Path) and Path(value).is_dir()
    ]
    write(path, rule(str(path.with_suffix("")), reads.files(), reads.listings()))
