"""`ei-deepstream simulate`: what will DeepStream show on these pictures?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.cli.depfile import depfile_option
from convert.cli.options import EXISTING, common, folder_option

if TYPE_CHECKING:
    from convert.cli.simulate_job import Job
    from convert.findings import Level

__all__ = ["command"]


@click.command(
    name="simulate",
    epilog="CONFIG is any Gst-nvinfer config (.txt, .yml) whose onnx-file is on this machine; no GPU is used. DIR gets "
    "objects.json, drawn/ (the pictures with boxes and labels), kitti/ (as deepstream-app writes it) and report.html.",
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="CONFIG PICTURES...")
@click.option(
    "--sgie", "secondary", type=EXISTING, multiple=True, metavar="CONFIG",
    help="A secondary engine's config (process-mode=2), for the objects found. Repeatable.",
)  # fmt: skip
@click.option(
    "--app", type=EXISTING, metavar="FILE",
    help="Take the engines from deepstream-app's config instead of CONFIG.",
)  # fmt: skip
@click.option(
    "--tensors", type=EXISTING, metavar="FOLDER",
    help="Decode recorded outputs (case.json and tensors.npz, or nvinfer's raw-output-file-write files) instead of "
    "running the model; PICTURES are then the frames they belong to, or left out.",
)  # fmt: skip
@click.option(
    "--every", type=click.IntRange(1), default=1, show_default=True, help="Of a video, every so-many-th frame."
)
@click.option("--limit", type=click.IntRange(1), help="Of a video, no more frames than this.")
@click.option(
    "--target", default="deepstream-9.1", show_default=True, metavar="RELEASE", help="DeepStream release."
)  # fmt: skip
@click.option(
    "--platform", type=click.Choice(["dgpu", "jetson"]), default="dgpu", show_default=True,
    help="A Jetson passes over objects below 16 pixels, where its VIC scales.",
)  # fmt: skip
@click.option(
    "--against", type=click.Choice(["edge-impulse"]),
    help="Run the original .tflite with the SDK's resize and decoding, too, and say where the two differ, and why.",
)  # fmt: skip
@click.option(
    "--original", type=EXISTING, metavar="EXPORT",
    help="With --against: the export or .tflite that the bundle was made of.  [default: found by the bundle's report]",
)  # fmt: skip
@folder_option("Folder for the results.")
@depfile_option
@common
def command(  # noqa: PLR0913 - options
    paths: tuple[Path, ...],
    *,
    secondary: tuple[Path, ...],
    app: Path | None,
    tensors: Path | None,
    every: int,
    limit: int | None,
    target: str,
    platform: str,
    against: str | None,
    original: Path | None,
    output: Path,
    format_: str,
    fail_on: Level,
    quiet: bool,
) -> int:
    """Say what DeepStream will show on pictures or videos, and why not, with ONNX Runtime in TensorRT's place.

    PICTURES are files or folders: frames as the camera gives them, not cropped. The arithmetic before and behind the
    model is nvinfer's, step by step in float32.

    \b
    Examples:
      ei-deepstream simulate bundle/config_infer_primary_fruit.txt pictures/ -o shown
      ei-deepstream simulate detector.txt --sgie bundle/config_infer_secondary_fruit.txt street.mp4 -o shown
      ei-deepstream simulate --app bundle/deepstream_app_fruit.txt pictures/ -o shown
      ei-deepstream simulate config.txt --tensors dumped/ -o shown
      ei-deepstream simulate bundle/config_infer_primary_fruit.txt pictures/ -o shown --against edge-impulse
    """
    config, pictures = _arguments(paths, secondary, app, tensors)
    if original and not against:
        raise click.UsageError("--original goes with --against edge-impulse")
    if tensors and against:
        raise click.UsageError("--against needs pictures that the model runs on; leave out --tensors")
    from convert.cli.simulate_job import Job  # noqa: PLC0415 - brings numpy; --help does without
    from convert.nvinfer.rules.gather import where  # noqa: PLC0415

    job = Job(
        where(target, platform), output, config, secondary, app, tensors, pictures, every, limit,
        bool(against), original,
    )  # fmt: skip
    return _finish(job, format_=format_, fail_on=fail_on, quiet=quiet)


def _finish(job: Job, *, format_: str, fail_on: Level, quiet: bool) -> int:
    from convert.cli.outcome import exit_code  # noqa: PLC0415 - as above
    from convert.render.simulation import frames_counted, show_simulation, simulation_document  # noqa: PLC0415

    with frames_counted(quiet=quiet) as told:
        result = job(told)
    code = exit_code(result.findings, fail_on)
    if format_ == "json":
        from convert.report import dumps  # noqa: PLC0415 - only for this format

        document = simulation_document(result.simulation, result.findings, result.outputs, code)
        if result.comparison is not None:
            from convert.against.document import against_document  # noqa: PLC0415 - with --against only

            document["against"] = against_document(result.comparison)
        sys.stdout.write(dumps(document).decode())
    elif not quiet:
        from convert.render.against import beside, show_against  # noqa: PLC0415 - only for people

        show_simulation(result.simulation, beside(result.findings, result.comparison), result.outputs)
        if result.comparison is not None:
            show_against(result.comparison)
    return code


def _arguments(
    paths: tuple[Path, ...], secondary: tuple[Path, ...], app: Path | None, tensors: Path | None
) -> tuple[Path | None, tuple[Path, ...]]:
    """The primary config, None with --app; and the pictures.

    Raises:
        click.UsageError: the options do not go together, or something is missing.
    """
    if app and secondary:
        raise click.UsageError("--app names its secondary engines itself; leave out --sgie")
    if tensors and secondary:
        raise click.UsageError("--tensors are one engine's outputs; a secondary engine needs pictures")
    config, pictures = (None, paths) if app else (paths[0] if paths else None, paths[1:])
    if not app and config is None:
        raise click.UsageError("Missing argument 'CONFIG PICTURES...'.")
    if config is not None and not config.exists():
        raise click.UsageError(f"Path {str(config)!r} does not exist.")
    if not pictures and not tensors:
        raise click.UsageError("Missing argument 'PICTURES...': files or folders of pictures, or videos.")
    return config, pictures
