"""`ei-deepstream unpack`: export -> .tflite and metadata.json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli.depfile import depfile_option
from convert.cli.options import common, folder_option, unpacking

if TYPE_CHECKING:
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="unpack")
@click.argument("export", type=click.Path(path_type=Path), metavar="EXPORT")
@folder_option("The folder for NAME.tflite and metadata.json.")
@unpacking
@depfile_option
@common
def command(export: Path, output: Path, *, format_: str, fail_on: Level, quiet: bool, **options: Any) -> int:
    """Find the model in an export and write it as a .tflite, with all that the export says of it.

    Works for every flatbuffer model, also those that cannot be converted yet (int8, sound, motion).
    """
    from convert import pipeline  # noqa: PLC0415 - brings numpy; --help does without
    from convert.cli.outcome import finish  # noqa: PLC0415
    from convert.cli.steps import Saved  # noqa: PLC0415
    from convert.export.unpack import write  # noqa: PLC0415
    from convert.road import unpacking  # noqa: PLC0415

    stage = Saved(unpacking(options), lambda result: write(result.artifact, output, result.findings))
    return finish(pipeline.run((stage,), export), format_=format_, fail_on=fail_on, quiet=quiet)
