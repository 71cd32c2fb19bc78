"""`ei-deepstream inspect`: what is this, and can it be converted?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.cli.options import FRAME, common

if TYPE_CHECKING:
    from convert.findings import Level
    from convert.framing import Frame

__all__ = ["command"]


@click.command(name="inspect")
@click.argument("path", type=click.Path(path_type=Path), metavar="PATH")
@click.option(
    "--frame",
    type=FRAME,
    metavar="16:9|WxH",
    help="Your camera's frames: what a model trained on cropped ones (fit-shortest) sees of them is drawn.",
)
@common
def command(path: Path, *, frame: Frame | None, format_: str, fail_on: Level, quiet: bool) -> int:
    """Say what a file or folder is, every model found in it, which one `convert` would take, and what is in the way.

    Reads, runs nothing, writes nothing. Exit code 0 also when there is nothing to convert: the answer is the result.
    """
    from convert.cli.outcome import exit_code  # noqa: PLC0415 - brings numpy; --help does without
    from convert.export.unpack import inspect  # noqa: PLC0415
    from convert.render.inspection import inspection_document, show_inspection  # noqa: PLC0415
    from convert.render.json import dumps  # noqa: PLC0415

    inspection = inspect(path)
    code = exit_code(inspection.findings, fail_on)
    if format_ == "json":
        sys.stdout.write(dumps(inspection_document(inspection, code, frame)).decode())
    elif not quiet:
        show_inspection(inspection, frame)
    return code
