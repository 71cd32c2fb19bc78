"""--select and --ignore: rules by id or by the beginning of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.errors import PresetError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

__all__ = ["chosen"]


def chosen(select: Collection[str], ignore: Collection[str]) -> Callable[[str], bool]:
    """Whether a rule is wanted: all, or those that begin as one of `select`, without those of `ignore`.

    The longer of two beginnings wins: NVI0 selected and NVI07 ignored leaves NVI02; NVI070 selected as well is in.

    Raises:
        PresetError: no rule begins like that.
    """
    if not select and not ignore:
        return lambda _: True
    from convert.nvinfer.rules.book import RULES  # noqa: PLC0415 - start-up time

    ids = tuple(rule.id for rule in RULES)
    wanted, unwanted = _words(select, ids), _words(ignore, ids)

    def is_chosen(rule: str) -> bool:
        yes = max((len(word) for word in wanted if rule.startswith(word)), default=0 if wanted else 1)
        no = max((len(word) for word in unwanted if rule.startswith(word)), default=0)
        return yes > no

    return is_chosen


def _words(values: Iterable[str], ids: tuple[str, ...]) -> tuple[str, ...]:
    words = [word.strip().upper() for value in values for word in value.split(",") if word.strip()]
    for word in words:
        if not any(each.startswith(word) for each in ids):
            raise PresetError(f"no rule begins with {word!r}", hint="`ei-deepstream explain` lists the rules")
    return tuple(words)
