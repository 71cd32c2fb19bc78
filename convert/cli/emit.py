"""`ei-deepstream emit`: the bundle, from what the other stages wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli.depfile import depfile_option
from convert.cli.options import EXISTING, common, emitting, folder_option, tflite_option, unpacking

if TYPE_CHECKING:
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="emit")
@click.argument("onnx", type=click.Path(path_type=Path), metavar="MODEL.onnx")
@folder_option("The folder to write the bundle into.")
@tflite_option
@click.option(
    "--evidence",
    type=EXISTING,
    metavar="FILE",
    help="What validate -o wrote. [default: NAME.evidence.json beside the model]",
)
@unpacking
@emitting
@depfile_option
@common
def command(
    onnx: Path,
    output: Path,
    tflite: Path | None,
    evidence: Path | None,
    *,
    format_: str,
    fail_on: Level,
    quiet: bool,
    **options: Any,
) -> int:
    """Write labels, Gst-nvinfer configs, an app config and the engine build for an adapted model."""
    from convert import pipeline  # noqa: PLC0415 - brings numpy; --help does without
    from convert.cli.outcome import finish  # noqa: PLC0415
    from convert.cli.steps import PickUpAdapted, PickUpEvidence, beside  # noqa: PLC0415
    from convert.nvinfer.emit import Emit  # noqa: PLC0415
    from convert.road import pick, unpacking  # noqa: PLC0415

    usual = onnx.with_name(f"{onnx.name.partition('.')[0]}.evidence.json")
    road = (
        unpacking(options),
        PickUpAdapted(onnx),
        PickUpEvidence(evidence or (usual if usual.is_file() else None)),
        Emit(output, **pick(Emit, options)),
    )
    return finish(pipeline.run(road, beside(onnx, tflite)), format_=format_, fail_on=fail_on, quiet=quiet)
