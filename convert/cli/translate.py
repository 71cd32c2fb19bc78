"""`ei-deepstream translate`: .tflite -> ONNX as tf2onnx makes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli.depfile import depfile_option
from convert.cli.options import common, folder_option, translating, unpacking

if TYPE_CHECKING:
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="translate")
@click.argument("source", type=click.Path(path_type=Path), metavar="MODEL.tflite")
@folder_option("The .onnx file to write, or a folder for NAME.translated.onnx.")
@unpacking
@translating
@depfile_option
@common
def command(source: Path, output: Path, *, format_: str, fail_on: Level, quiet: bool, **options: Any) -> int:
    """Translate a .tflite to ONNX with an NCHW input, and assert that it is one.

    A metadata.json beside the model, as unpack writes it, is taken into account.
    """
    from convert.warm import warm_worker  # noqa: PLC0415 - brings little, and starts what takes longest

    with warm_worker() as worker:
        from convert import pipeline  # noqa: PLC0415 - while the worker imports, too
        from convert.cli.outcome import finish  # noqa: PLC0415
        from convert.cli.steps import Saved, place  # noqa: PLC0415
        from convert.graph.translate import Translate  # noqa: PLC0415
        from convert.road import pick, unpacking  # noqa: PLC0415
        from convert.writing import write  # noqa: PLC0415

        stage = Saved(
            Translate(**pick(Translate, options), worker=worker),
            lambda result: (
                write(place(output, f"{result.artifact.export.name}.translated", ".onnx"), result.artifact.onnx.data),
            ),
        )
        run = pipeline.run((unpacking(options, worker), stage), source)
    return finish(run, format_=format_, fail_on=fail_on, quiet=quiet)
