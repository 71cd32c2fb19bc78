"""The options of `convert`, for a command that converts many: taken from that command, so that they cannot differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from convert.cli.convert import command as convert

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Convert", "converting", "options_of_convert"]

_F = TypeVar("_F", bound="Callable[..., Any]")

_OF_ONE_RUN = {"export", "pgie", "sgie", "output", "dry_run", "depfile", "format_", "fail_on", "quiet"}
"""What is said of a run, not of a model."""


def options_of_convert() -> tuple[click.Option, ...]:
    """Those that decide what becomes of a model."""
    return tuple(
        parameter
        for parameter in convert.params
        if isinstance(parameter, click.Option) and parameter.name not in _OF_ONE_RUN
    )


def converting(function: _F) -> _F:
    """They, as options of another command: for all models, whatever a manifest says. --name and --model are of one."""
    for option in reversed(options_of_convert()):
        if option.name not in {"bundle_name", "model"}:
            vars(function).setdefault("__click_params__", []).append(option)
    return function


class Convert:
    """They, as what a manifest may hold (`convert.batch.plan.Options`)."""

    def __init__(self) -> None:
        self._options = {
            option.opts[-1].removeprefix("--"): option
            for option in options_of_convert()
            if option.name != "bundle_name"  # a model's `name`
        }
        self._context = click.Context(convert)

    @property
    def names(self) -> tuple[str, ...]:
        """As they are written in a manifest: "resize-mode"."""
        return tuple(self._options)

    @property
    def defaults(self) -> dict[str, Any]:
        """What `convert` is given where nothing is said, by Python name."""
        nothing_said = convert.make_context("convert", ["EXPORT", "-o", "DIR"])
        return {str(option.name): nothing_said.params[str(option.name)] for option in options_of_convert()}

    def value(self, name: str, raw: object, base: Path) -> tuple[str, Any]:
        """The Python name and the value of `raw`, which TOML gave.

        Raises:
            ValueError: it cannot have this value.
        """
        option = self._options[name]
        if option.is_flag:
            if not isinstance(raw, bool):
                raise ValueError("it is true or false")
            return str(option.name), raw
        try:
            return str(option.name), option.type.convert(_given(raw, option, base), option, self._context)
        except click.UsageError as error:
            raise ValueError(error.message) from error


def _given(raw: object, option: click.Option, base: Path) -> object:
    """`raw` as the command line would give it; a list of labels stays one."""
    kind = option.type.name
    if isinstance(raw, list) and kind == "labels":
        if not raw or not all(isinstance(item, str) and item.strip() for item in raw):
            raise ValueError("a list of labels holds texts that are not empty")
        return tuple(raw)
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError("it is a text or a number")  # noqa: TRY004 - wrong in a manifest, not in this program
    if isinstance(raw, float) and "integer" in kind:
        raise ValueError("it is a whole number")
    if not isinstance(raw, str):
        return raw if kind in _NUMBERS else str(raw)  # target = 6.2
    if "\0" in raw:
        raise ValueError("it holds a NUL")
    if isinstance(option.type, click.Path) or (kind == "labels" and (base / raw).is_file()):
        return str(base / raw)
    return raw


_NUMBERS = {"integer", "float", "integer range", "float range"}
