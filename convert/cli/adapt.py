"""`ei-deepstream adapt`: tf2onnx's ONNX -> the ONNX that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli.depfile import depfile_option
from convert.cli.options import adapting, common, folder_option, tflite_option, unpacking

if TYPE_CHECKING:
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="adapt")
@click.argument("onnx", type=click.Path(path_type=Path), metavar="MODEL.translated.onnx")
@folder_option("The .onnx file to write, or a folder for NAME.onnx.")
@tflite_option
@unpacking
@adapting
@depfile_option
@common
def command(
    onnx: Path, output: Path, tflite: Path | None, *, format_: str, fail_on: Level, quiet: bool, **options: Any
) -> int:
    """Give a translated model short names, a dynamic batch and the output layout Gst-nvinfer reads."""
    from convert import pipeline  # noqa: PLC0415 - brings numpy; --help does without
    from convert.cli.outcome import finish  # noqa: PLC0415
    from convert.cli.steps import PickUpTranslated, Saved, beside, place  # noqa: PLC0415
    from convert.graph.adapt import Adapt  # noqa: PLC0415
    from convert.road import pick, unpacking  # noqa: PLC0415
    from convert.writing import write  # noqa: PLC0415

    stage = Saved(
        Adapt(**pick(Adapt, options)),
        lambda result: (write(place(output, result.artifact.export.name, ".onnx"), result.artifact.onnx.data),),
    )
    road = (unpacking(options), PickUpTranslated(onnx), stage)
    return finish(pipeline.run(road, beside(onnx, tflite)), format_=format_, fail_on=fail_on, quiet=quiet)
