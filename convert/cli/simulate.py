"""`ei-deepstream simulate`: what will DeepStream show on these pictures?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli import command
from convert.cli.options import (
    ANY,
    as_usage,
    common,
    depfile_option,
    exit_code,
    folder_option,
    given,
    options,
    write_json,
)
from convert.options import SimulateOptions, refuse_recordings, refuse_simulation

if TYPE_CHECKING:
    from convert.findings import Level


@command("simulate")
@click.argument("paths", nargs=-1, type=ANY, metavar="CONFIG PICTURES...")
@options(
    SimulateOptions,
    *("sgie", "app", "tensors", "every", "limit", "stride", "target", "platform", "jetpack"),
    *("count_as", "against", "original"),
)
@folder_option("Folder for the results.")
@depfile_option
@common
def simulate(paths: tuple[Path, ...], *, output: Path, format_: str, fail_on: Level, quiet: bool, **values: Any) -> int:
    """Say what DeepStream will show on pictures or videos, and why not, with ONNX Runtime in TensorRT's place.

    PICTURES are files or folders: frames as the camera gives them, not cropped. The arithmetic before and behind the
    model is nvinfer's, step by step in float32. With the bundle of a whole impulse they are recordings (WAV, CSV):
    what it says of every window, over time, as a table, scores.json and report.html.
    """
    with as_usage():
        refuse_simulation(values)
    config, pictures = (None, paths) if values["app"] else (paths[0] if paths else None, paths[1:])
    if not values["app"] and config is None:
        raise click.UsageError(
            "a config is missing: one of the bundle, or of your own (--app FILE takes the engines of an app)"
        )
    if config is not None and not config.exists():
        raise click.UsageError(f"there is no {config}")
    if config is not None and _takes_samples(config):
        return _recordings(config, pictures, output, format_, fail_on, given(values), quiet=quiet)
    if not pictures and not values["tensors"]:
        raise click.UsageError("pictures are missing: files or folders of them, or videos")
    from convert import api, isolation  # --help does without
    from convert.render.simulation import frames_counted, show_simulation, simulation_document

    isolation.keep_freed_memory()
    with frames_counted(quiet=quiet) as observer:
        result = api.simulate(config, pictures, output, observer=observer, **given(values))
    code = exit_code(result.findings, fail_on)
    if format_ == "json":
        document = simulation_document(result, code)
        if result.comparison is not None:
            from convert.compare import comparison_document  # with --against only

            document["against"] = comparison_document(result.comparison)
        write_json(document)
    elif not quiet:
        from convert.render.simulation import show_comparison  # only for people

        show_simulation(result)
        if result.comparison is not None:
            show_comparison(result.comparison)
    return code


def _takes_samples(config: Path) -> bool:
    """Whether it is the bundle of a whole impulse."""
    from convert.errors import InputError  # as below
    from convert.report import BundleReport

    try:
        report = BundleReport.read(config) if config.is_dir() else None
    except InputError:  # the configs beside it may do without
        return False
    return report is not None and report.is_impulse


def _recordings(
    bundle: Path, recordings: tuple[Path, ...], output: Path, format_: str, fail_on: Level, options: Any, *, quiet: bool
) -> int:
    with as_usage():
        refuse_recordings(options)
    if not recordings:
        raise click.UsageError("recordings are missing: WAV or CSV files, or folders of them")
    from convert import api  # --help does without
    from convert.render.recordings import recordings_document, show_recordings
    from convert.render.simulation import frames_counted

    with frames_counted(quiet=quiet) as observer:
        result = api.simulate_recordings(bundle, recordings, output, observer=observer, **options)
    code = exit_code(result.findings, fail_on)
    if format_ == "json":
        write_json(recordings_document(result, code))
    elif not quiet:
        show_recordings(result)
    return code
