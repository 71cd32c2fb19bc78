"""The options of every command that reports something: --format, --fail-on, --quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from convert.findings import Level

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["format_option", "reporting", "stack"]

_F = TypeVar("_F", bound="Callable[..., Any]")


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
