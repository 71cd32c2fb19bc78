"""`ei-deepstream eim pack`: a bundle becomes one executable file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.cli.eim_options import findings_document
from convert.cli.options import EXISTING, common

if TYPE_CHECKING:
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="pack")
@click.argument("bundle", type=EXISTING, metavar="BUNDLE")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), metavar="FILE", help="The .eim to write."
)
@click.option(
    "--python",
    metavar="PATH",
    help="Interpreter that has ei-deepstream, on the machine it will run on.  [default: this one]",
)
@common
def command(
    bundle: Path,
    output: Path,
    *,
    python: str | None,
    format_: str,
    fail_on: Level,  # noqa: ARG001 - this command finds nothing
    quiet: bool,
) -> int:
    """Make one executable .eim file of BUNDLE, for the Edge Impulse SDKs of any language.

    It runs with the Python that packed it, or, where that is not there, with the ei-deepstream on the PATH; so that
    has to be installed on the machine, and nothing else.
    """
    from convert.eim.pack import pack  # noqa: PLC0415 - --help does without

    written = pack(bundle, output, interpreter=python)
    if format_ == "json":
        from convert.report import dumps, output_document  # noqa: PLC0415

        sys.stdout.write(dumps(findings_document((), 0, outputs=[output_document(written)])).decode())
    elif not quiet:
        click.echo(f"wrote {written.path}")
    return 0
