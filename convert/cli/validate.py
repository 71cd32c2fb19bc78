"""`ei-deepstream validate`: the numbers that say whether the ONNX model computes what was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli.depfile import depfile_option
from convert.cli.options import common, tflite_option, unpacking, validating

if TYPE_CHECKING:
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="validate")
@click.argument("onnx", type=click.Path(path_type=Path), metavar="MODEL.onnx")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="The .evidence.json file to write, or a folder for NAME.evidence.json. [default: nothing is written]",
)  # fmt: skip
@tflite_option
@unpacking
@validating
@depfile_option
@common
def command(
    onnx: Path,
    output: Path | None,
    tflite: Path | None,
    *,
    format_: str,
    fail_on: Level,
    quiet: bool,
    **options: Any,
) -> int:
    """Measure an adapted model against the .tflite it was made from, in batches of 1, 2 and 8."""
    from convert import pipeline  # noqa: PLC0415 - brings numpy; --help does without
    from convert.cli.outcome import finish  # noqa: PLC0415
    from convert.cli.steps import PickUpAdapted, Saved, beside, save_evidence  # noqa: PLC0415
    from convert.road import proving, unpacking  # noqa: PLC0415
    from convert.warm import warm_worker  # noqa: PLC0415

    with warm_worker("convert.validate.reference") as worker:
        stage = Saved(
            proving(options, worker),
            lambda result: save_evidence(result.artifact, output) if output else (),
        )
        road = (unpacking(options, worker), PickUpAdapted(onnx), stage)
        run = pipeline.run(road, beside(onnx, tflite))
    return finish(run, format_=format_, fail_on=fail_on, quiet=quiet)
