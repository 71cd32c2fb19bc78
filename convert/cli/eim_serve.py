"""`ei-deepstream eim serve`: a bundle answers as an .eim."""

from __future__ import annotations

from pathlib import Path

import click

from convert.cli.options import EXISTING

__all__ = ["command"]


@click.command(name="serve")
@click.argument("bundle", type=EXISTING, metavar="BUNDLE")
@click.argument("where", required=False, metavar="SOCKET|stdin")
@click.option("--keep", is_flag=True, help="After a client has gone wait for the next one, until a signal comes.")
@click.option("--print-info", "info", is_flag=True, help="Print what the model says of itself, and exit.")
def command(bundle: Path, where: str | None, *, keep: bool, info: bool) -> int:
    """Answer as an .eim with BUNDLE, on a socket or on standard input and output.

    One client is served; SIGINT, SIGTERM and SIGHUP end it with 128 + number. What is printed is what an .eim prints.

    \b
    Examples:
      ei-deepstream eim serve bundle /tmp/model.sock --keep
      edge-impulse-linux-runner --model-file /tmp/model.sock
    """
    if (where is None) != info:
        raise click.UsageError("Give a socket, stdin, or --print-info.")
    from convert.eim.impulse import read_impulse  # noqa: PLC0415 - --help does without
    from convert.eim.server import print_info, serve_socket, serve_stdin  # noqa: PLC0415

    impulse = read_impulse(bundle)
    if where is None:
        return print_info(impulse)
    return serve_stdin(impulse) if where == "stdin" else serve_socket(impulse, Path(where), keep=keep)
