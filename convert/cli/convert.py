"""`ei-deepstream convert`: the whole road."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli.options import adapting, common, emitting, folder_option, translating, unpacking, validating

if TYPE_CHECKING:
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="convert")
@click.argument("export", type=click.Path(path_type=Path), metavar="EXPORT")
@folder_option("The folder to write the bundle into.")
@unpacking
@translating
@adapting
@validating
@emitting
@click.option("--dry-run", is_flag=True, help="Say what would be done and written; write nothing.")
@common
def command(
    export: Path, output: Path, *, dry_run: bool, format_: str, fail_on: Level, quiet: bool, **options: Any
) -> int:
    """Turn an Edge Impulse export into a folder that DeepStream runs.

    EXPORT is a deployment .zip, a library folder (C++ or Arduino), a tflite-trained.h or tflite_learn_*.h, or a
    .lite/.tflite from the Dashboard.

    \b
    Examples:
      ei-deepstream convert my-project.zip -o bundle
      ei-deepstream convert model.lite -o bundle --labels "cat;dog" --resize-mode squash
      ei-deepstream convert export/ -o bundle --target 6.0.1 --precision fp16 --batch-size 4
    """
    from convert import pipeline  # noqa: PLC0415 - brings numpy; --help does without
    from convert.cli.outcome import finish  # noqa: PLC0415
    from convert.cli.road import road  # noqa: PLC0415
    from convert.render.progress import progress  # noqa: PLC0415

    with road(output, options) as stages, progress(quiet=quiet or format_ == "json") as observer:
        walk = pipeline.dry_run if dry_run else pipeline.run
        result = walk(stages, export, observer)
    return finish(result, format_=format_, fail_on=fail_on, quiet=quiet)
