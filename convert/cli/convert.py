"""`ei-deepstream convert`: the whole road."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from convert.cli.depfile import depfile_option
from convert.cli.options import LABELS, adapting, common, emitting, folder_option, translating, unpacking, validating

if TYPE_CHECKING:
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="convert")
@click.argument("export", type=click.Path(path_type=Path), metavar="[EXPORT]", required=False)
@click.option("--pgie", type=click.Path(path_type=Path), metavar="EXPORT", help="With --sgie: a detector's export.")
@click.option(
    "--sgie",
    type=click.Path(path_type=Path),
    metavar="EXPORT",
    help="With --pgie: the model for each object found; both go into one app.",
)
@click.option(
    "--object-batch-size",
    type=click.IntRange(1, 1024),
    default=16,
    show_default=True,
    help="With --sgie: objects at a time.",
)
@click.option("--sgie-labels", type=LABELS, metavar="a;b;c|FILE", help="Labels of the --sgie model.")
@folder_option("The folder to write the bundle into.")
@unpacking
@translating
@adapting
@validating
@emitting
@click.option("--dry-run", is_flag=True, help="Say what would be done and written; write nothing.")
@depfile_option
@common
def command(
    export: Path | None,
    output: Path,
    pgie: Path | None,
    sgie: Path | None,
    *,
    dry_run: bool,
    format_: str,
    fail_on: Level,
    quiet: bool,
    **options: Any,
) -> int:
    """Turn an Edge Impulse export into a folder that DeepStream runs.

    EXPORT is a deployment .zip, a library folder (C++ or Arduino, also EON-compiled), a tflite-trained.h or
    tflite_learn_*.h, a .lite/.tflite from the Dashboard, or an .onnx.

    \b
    Examples:
      ei-deepstream convert my-project.zip -o bundle
      ei-deepstream convert model.lite -o bundle --labels "cat;dog" --resize-mode squash
      ei-deepstream convert my-project.zip -o bundle --frame 16:9
      ei-deepstream convert export/ -o bundle --target 6.0.1 --precision fp16 --batch-size 4
      ei-deepstream convert --pgie detector.zip --sgie classifier.zip -o bundle

    With --pgie and --sgie, --model, --name, --labels, --task, --resize-mode, --image-scaling and --frame are about the
    first.
    """
    if (pgie is None) != (sgie is None) or (export is None) == (pgie is None):
        raise click.UsageError("give one EXPORT, or two with --pgie and --sgie")
    for name in ("role", "operate_on_gie_id") if pgie else ():
        if click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"--{name.replace('_', '-')} means nothing with --pgie and --sgie: they say it already"
            )
    if options["frame"] is not None and options["role"] == "sgie":
        raise click.UsageError("--frame is about whole frames, and --role sgie looks at objects: leave one of them out")
    from convert.warm import warm_worker  # noqa: PLC0415 - brings little, and starts what takes longest

    with contextlib.closing(warm_worker()) as worker:
        if not dry_run:
            worker.start()
        from convert import cascade, pipeline  # noqa: PLC0415 - while the worker imports, too
        from convert.cli.outcome import finish  # noqa: PLC0415
        from convert.render.progress import progress  # noqa: PLC0415
        from convert.road import stages, two_stages  # noqa: PLC0415

        with progress(quiet=quiet or format_ == "json") as observer:
            if pgie and sgie:
                roads, emit = two_stages(output, options, worker)
                result = (cascade.dry_run if dry_run else cascade.run)((pgie, sgie), roads, emit, observer)
            else:
                road = stages(output, options, worker)
                result = (pipeline.dry_run if dry_run else pipeline.run)(road, export, observer)
    return finish(result, format_=format_, fail_on=fail_on, quiet=quiet)
