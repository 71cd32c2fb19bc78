"""`ei-deepstream convert` and `inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli import options as cli
from convert.cli.help import Command
from convert.cli.studio import studio_with_key
from convert.options import FRAME, ConvertOptions, refuse_contradictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from convert.findings import Level
    from convert.images import Frame, Mark
    from convert.pipeline import Event


@click.command(
    name="convert",
    cls=Command,
    ask="give the export to convert (the .zip, folder or .tflite that you downloaded from Edge Impulse), and with -o "
    "the folder for the bundle",
    examples=(
        "ei-deepstream convert my-project.zip -o bundle",
        'ei-deepstream convert model.lite -o bundle --labels "cat;dog" --resize-mode squash',
        "ei-deepstream convert my-project.zip -o bundle --frame 4:3",
        "ei-deepstream convert export/ -o bundle --target 6.0.1 --precision fp16 --batch-size 4",
        "ei-deepstream convert --pgie detector.zip --sgie classifier.zip -o bundle",
    ),
)
@click.argument("export", type=click.Path(path_type=Path), metavar="[EXPORT]", required=False)
@click.option("--pgie", type=click.Path(path_type=Path), metavar="EXPORT", help="With --sgie: a detector's export.")
@click.option(
    "--sgie",
    type=click.Path(path_type=Path),
    metavar="EXPORT",
    help="With --pgie: the model for each object found; both go into one app.",
)
@cli.options(ConvertOptions, "object_batch_size", "sgie_labels", "samples", "sdk_log")
@cli.folder_option("The folder to write the bundle into.")
@cli.unpacking
@cli.translating
@cli.framing
@cli.adapting
@cli.validating
@cli.emitting
@click.option("--dry-run", is_flag=True, help="Say what would be done and written; write nothing.")
@cli.depfile_option
@cli.common
def convert(
    export: Path | None,
    output: Path,
    pgie: Path | None,
    sgie: Path | None,
    *,
    dry_run: bool,
    format_: str,
    fail_on: Level,
    quiet: bool,
    **values: Any,
) -> int:
    """Turn an Edge Impulse export into a folder that DeepStream runs.

    EXPORT is a deployment .zip, a library folder (C++ or Arduino, also EON-compiled), a tflite-trained.h or
    tflite_learn_*.h, a .lite/.tflite from the Dashboard, an .onnx, or a SavedModel, .h5 or .keras (extra [tensorflow]);
    or studio:ID, a project in Edge Impulse's Studio (extra [studio]), whose key is read from EI_API_KEY or asked for.

    With --pgie and --sgie, --model, --name, --labels, --task, --resize-mode, --image-scaling, --frame, --resize and
    --threshold are about the first.
    """
    if (pgie is None) != (sgie is None) or (export is None) == (pgie is None):
        raise click.UsageError("give one EXPORT, or two with --pgie and --sgie")
    values = cli.given(values)
    with cli.as_usage(": "):
        refuse_contradictions(values, pair=sgie is not None)
        cli.refuse_source(values)
    from convert.api import run_conversion  # --help does without

    def watching() -> AbstractContextManager[Callable[[Event], None]]:
        from convert.render.text import progress  # imports while the worker does the same

        return progress(quiet=quiet or format_ == "json")

    first = export or pgie
    assert first is not None
    run = run_conversion(first, output, sgie=sgie, dry_run=dry_run, watching=watching, studio=studio_with_key, **values)
    return cli.finish(run, format_=format_, fail_on=fail_on, quiet=quiet, pictures=values.get("images"))


@click.command(
    name="inspect",
    cls=Command,
    examples=(
        "ei-deepstream inspect my-project.zip",
        "ei-deepstream inspect my-project.zip --frame 16:9",
        "ei-deepstream inspect my-project.zip --frame 1280x720 --line door:100,500,1180,500",
    ),
)
@click.argument("path", type=click.Path(path_type=Path), metavar="PATH")
@click.option(
    "--frame",
    **cli.keywords(FRAME)
    | {"help": "Your camera's frames: what a model trained on cropped ones (fit-shortest) sees of them is drawn."},
)
@cli.options(ConvertOptions, "line", "zone")
@cli.common
def inspect(
    path: Path,
    *,
    frame: Frame | None,
    line: tuple[Mark, ...],
    zone: tuple[Mark, ...],
    format_: str,
    fail_on: Level,
    quiet: bool,
) -> int:
    """Say what a file or folder is, every model found in it, which one `convert` would take, and what is in the way.

    Reads, runs nothing, writes nothing. Exit code 0 also when there is nothing to convert: the answer is the result.
    """
    with cli.as_usage(": "):
        refuse_contradictions({"line": line, "zone": zone, "frame": frame})
    from convert import api  # brings numpy; --help does without
    from convert.render.inspection import inspection_document, show_inspection

    inspection = api.inspect(path)
    code = cli.exit_code(inspection.findings, fail_on)
    if format_ == "json":
        cli.write_json(inspection_document(inspection, code, frame, (*line, *zone)))
    elif not quiet:
        show_inspection(inspection, frame, (*line, *zone))
    return code
