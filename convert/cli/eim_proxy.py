"""`ei-deepstream eim proxy`: show what a client and an .eim say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.cli.eim_options import target, timeout

if TYPE_CHECKING:
    from convert.eim.proxy import Event

__all__ = ["command"]


@click.command(name="proxy")
@click.argument("socket", type=click.Path(path_type=Path), metavar="SOCKET")
@target
@timeout
@click.option(
    "--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
    help="Lines for people, or one JSON object a line.",
)  # fmt: skip
def command(socket: Path, target: Path, *, timeout: float, format_: str) -> int:
    """Make SOCKET, start FILE (or connect to its socket), and print what passes between the two, with timings.

    \b
    Example, in two shells:
      ei-deepstream eim proxy /tmp/watch.sock model.eim
      edge-impulse-linux-runner --model-file /tmp/watch.sock
    """
    from convert.eim.proxy import proxy  # noqa: PLC0415 - --help does without

    return proxy(socket, target, _line if format_ == "text" else _json, start=timeout)


def _line(event: Event) -> None:
    arrow = {"client": "->", "eim": "<-"}[event.origin]
    took = "" if event.took is None else f" {event.took * 1000:.1f} ms"
    text = event.content if isinstance(event.content, str) else json.dumps(event.content)
    _write(f"{event.seconds:9.3f} {arrow} {event.size} bytes{took}  {text}")


def _json(event: Event) -> None:
    _write(
        json.dumps(
            {
                "seconds": round(event.seconds, 6),
                "from": event.origin,
                "kind": event.kind,
                "bytes": event.size,
                "took": event.took and round(event.took, 6),
                "content": event.content,
            }
        )
    )


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
