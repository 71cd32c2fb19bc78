"""Which engines a simulation runs, in which order: from configs one by one, or from deepstream-app's own config.

deepstream-app runs [primary-gie] on frames and every [secondary-gieN] behind the engine whose objects it operates on
(deepstream_secondary_gie_bin.c); what its groups say wins over the nvinfer configs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import InputError, UnsupportedModelError
from convert.nvinfer.parse import MOST_BYTES
from convert.nvinfer.parse_files import read_ordinary
from convert.nvinfer.rules.appread import gies, number, read_app
from convert.simulate.engine import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.nvinfer.rules.case import Where
    from convert.simulate.scene import Engine

__all__ = ["App", "app", "in_order"]


@dataclass(frozen=True, slots=True)
class App:
    """What deepstream-app's config says.

    Attributes:
        sources: the engines' configs, the primary one first.
        muxer: width and height of [streammux], pixels; None where they are not given.
    """

    sources: tuple[Source, ...]
    muxer: tuple[int, int] | None


def app(path: Path, where: Where) -> App:
    """The engines that are switched on.

    Raises:
        InputError: the file cannot be read, deepstream-app refuses it, or it has no primary engine.
        UnsupportedModelError: an engine runs in Gst-nvinferserver.
    """
    file = read_app(read_ordinary(path, "app config", MOST_BYTES), str(path), where.target.deepstream)
    if file.trouble:
        raise _refused(file.trouble.message, path, file.trouble.line)
    on = gies(file)
    for gie in on:
        if gie.troubles:
            raise _refused(gie.troubles[0].message, path, gie.troubles[0].line)
        place = file.place(gie.group)
        if not gie.is_nvinfer:
            raise UnsupportedModelError(
                f"[{gie.group}] runs in Gst-nvinferserver (plugin-type=1), which is not simulated", path=path,
                line=place.line,
            )  # fmt: skip
        if not gie.config or not os.path.isfile(gie.path):  # noqa: PTH113 - text, as the user would name it
            what = f"its config-file {gie.config!r} is not there" if gie.config else "it has no config-file"
            raise InputError(
                f"[{gie.group}] is switched on, but {what}",
                hint=f"it is looked for at {os.path.abspath(gie.path)}" if gie.config else None,  # noqa: PTH100
                path=path,
                line=place.line,
            )
    if not on or not on[0].primary:
        raise InputError(
            "no primary engine is switched on: nothing finds objects, and nothing is shown",
            hint="an app config has [primary-gie] with enable=1 and config-file",
            path=path,
        )
    sides = [number(file, "streammux", side, None) for side in ("width", "height")]
    muxer = (sides[0], sides[1]) if sides[0] and sides[1] else None
    return App(tuple(Source(Path(gie.path), gie.settings) for gie in on), muxer)


def in_order(engines: Sequence[Engine]) -> tuple[int, ...]:
    """Positions of the engines in the order they run: the primary one first, every other behind those it looks at.

    Raises:
        InputError: the first looks at objects, another at frames, or two have one id.
    """
    first, *others = engines
    if first.settings.on_objects:
        raise InputError(
            "this config looks at objects (process-mode=2), and there is no engine in front that finds any",
            hint="name a primary config first and give this one with --sgie, or write process-mode=1",
            path=first.config,
        )
    for engine in others:
        if not engine.settings.on_objects:
            raise InputError(
                "a secondary engine looks at objects, and this config at frames (process-mode=1)",
                hint="write process-mode=2 into it; deepstream-app does that for its [secondary-gie] groups",
                path=engine.config,
            )
    seen: dict[int, Engine] = {}
    for engine in engines:
        number_ = engine.settings.unique_id
        if number_ in seen:
            raise InputError(
                f"gie-unique-id={number_} is taken by {seen[number_].config.name}: results cannot be told apart, and "
                "deepstream-app refuses to start",
                hint="give each engine a number of its own",
                path=engine.config,
            )
        seen[number_] = engine
    return _sorted(engines)


def _sorted(engines: Sequence[Engine]) -> tuple[int, ...]:
    """As given, but none before the one it operates on."""
    ids = {engine.settings.unique_id: position for position, engine in enumerate(engines)}
    order = [0]
    waiting = list(range(1, len(engines)))
    while waiting:
        ready = [each for each in waiting if ids.get(engines[each].settings.operate_on_gie_id, 0) not in waiting]
        if not ready:  # they wait for each other or for themselves: nobody ever sees an object
            return (*order, *waiting)
        order.append(ready[0])
        waiting.remove(ready[0])
    return tuple(order)


def _refused(message: str, path: Path, line: int | None) -> InputError:
    return InputError(
        f"deepstream-app cannot read its config: {message}", hint="ei-deepstream check says more", path=path, line=line
    )
