"""What is found by looking at a whole simulation: frames that are not what the model or the app was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.simulate.findings import ASPECT, STREAMMUX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from convert.findings import Finding
    from convert.simulate.scene import Frame, Simulation

__all__ = ["look"]

_TOLERANCE = 0.01  # 1366x768 counts as 16:9; the next common aspects are 6 % and more apart
_SHOWN = 3


def look(simulation: Simulation, *, app: Path | None = None, muxer: tuple[int, int] | None = None) -> Iterator[Finding]:
    """Findings of a simulation that ran.

    Args:
        simulation: all of it.
        app: deepstream-app's config, where the engines were read from one, and `muxer`: its frames' size.
    """
    primary = simulation.engines[0]
    wanted = primary.recorded.frame
    if wanted and (others := _others(simulation, float(wanted.aspect))):
        yield ASPECT.found(
            f"the model takes frames of {wanted}, and {_named(others)}",
            path=primary.config,
            hint=f"use pictures of {wanted}, or convert again with --frame",
        )
    if muxer and (others := _others(simulation, muxer[0] / muxer[1])):
        yield STREAMMUX.found(
            f"[streammux] makes frames of {muxer[0]}x{muxer[1]}, and {_named(others)}",
            path=app,
            hint="the pictures are taken as they are; the app would stretch them first",
        )


def _others(simulation: Simulation, aspect: float) -> list[Frame]:
    return [frame for frame in simulation.frames if abs(frame.width / frame.height / aspect - 1) > _TOLERANCE]


def _named(frames: list[Frame]) -> str:
    """ "2 pictures are not: a (640x480), b (320x240)"."""
    shown = ", ".join(f"{frame.name} ({frame.width}x{frame.height})" for frame in frames[:_SHOWN])
    more = f" and {len(frames) - _SHOWN} more" if len(frames) > _SHOWN else ""
    return f"{len(frames)} {'picture has' if len(frames) == 1 else 'pictures have'} another aspect: {shown}{more}"
