"""`ei-deepstream batch`: many exports."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from convert.cli.batch_options import Convert, converting
from convert.cli.options import folder_option
from convert.cli.reporting import reporting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from convert.batch.cache import Cache
    from convert.batch.plan import Job, Model
    from convert.batch.run import Report, Scheduler
    from convert.findings import Level

__all__ = ["command"]


class _Bytes(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.3
    """`800M`, `2G`: bytes, in powers of 1024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        number, unit = (value[:-1], value[-1].upper()) if value[-1:].isalpha() else (value, "")
        try:
            amount = int(float(number) * 1024 ** ("", "K", "M", "G", "T").index(unit))
        except (ValueError, OverflowError):
            amount = 0
        if amount <= 0:
            self.fail(f"{value!r} is no size; give 800M or 2G", param, ctx)
        return amount


SIZE = _Bytes()
"""A number of bytes."""


@click.command(
    name="batch",
    epilog="The cache is in --cache-dir, else $EI_DEEPSTREAM_CACHE, else $XDG_CACHE_HOME/ei-deepstream, else "
    "~/.cache/ei-deepstream. `ei-deepstream cache` says what is in it.",
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="MANIFEST|PATHS...")
@folder_option("The folder of all bundles; each model gets a folder in it.")
@click.option(
    "-j", "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Worker processes.  [default: one a core]"
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds for one model, all stages together.",
)
@click.option("--memory-limit", type=SIZE, metavar="SIZE", help="For one worker: 800M, 2G.  [default: half of all]")
@click.option(
    "--scheduler", metavar="tcp://HOST:8786",
    help="Convert on the workers of this Dask scheduler (extra [distributed]) instead of here.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Convert also what has not changed.")
@click.option(
    "--cache-dir", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Where to keep results."
)
@converting
@reporting("text", "json", "junit")
def command(  # noqa: PLR0913 - options
    paths: tuple[str, ...],
    output: Path,
    *,
    jobs: int | None,
    time_limit: float,
    memory_limit: int | None,
    scheduler: str | None,
    force: bool,
    cache_dir: Path | None,
    format_: str,
    fail_on: Level,
    quiet: bool,
    **options: Any,
) -> int:
    """Convert many exports: in parallel, only what has changed, whatever happens to one of them.

    MANIFEST is a .toml with [defaults] and a [[model]] for each export; or give exports, globs and folders of exports.
    Options given here hold for all models, whatever the manifest says.

    \b
    Examples:
      ei-deepstream batch models.toml -o bundles
      ei-deepstream batch exports/ -o bundles --target 6.2
      ei-deepstream batch 'weekly/**/*.zip' -o bundles --format junit > batch.xml
    """
    if scheduler is not None and jobs is not None:
        raise click.UsageError("--jobs is about this machine; with --scheduler the cluster's workers say how many")
    from convert.batch.cache import Cache, cache_folder  # noqa: PLC0415 - --help does without
    from convert.batch.plan import plan  # noqa: PLC0415

    source = click.get_current_context().get_parameter_source
    said = {name: value for name, value in options.items() if source(name) is ParameterSource.COMMANDLINE}
    known = Convert()
    todo = plan(tuple(_models(paths, known)), output, known.defaults, said)
    where = (
        _pool(jobs, time_limit, memory_limit) if scheduler is None else _cluster(scheduler, time_limit, memory_limit)
    )
    report = _run(todo, output, where, Cache(cache_folder(cache_dir)), force=force, hidden=quiet or format_ == "json")
    return _finish(report, output, format_=format_, fail_on=fail_on, quiet=quiet)


def _models(paths: tuple[str, ...], known: Convert) -> Iterator[Model]:
    """Those of the manifests, then those of the other paths."""
    from convert.batch.plan import find_models, read_manifest  # noqa: PLC0415

    manifests = [path for path in paths if path.lower().endswith(".toml")]
    for path in manifests:
        yield from read_manifest(Path(path), known)
    yield from find_models(path for path in paths if path not in manifests)


def _pool(jobs: int | None, time_limit: float, memory_limit: int | None) -> AbstractContextManager[Scheduler]:
    from convert.batch.pool import Pool, cores, half_of_memory  # noqa: PLC0415

    return Pool(jobs or cores(), time_limit, memory_limit or half_of_memory())


def _cluster(address: str, time_limit: float, memory_limit: int | None) -> AbstractContextManager[Scheduler]:
    from convert.batch.dask import Cluster  # noqa: PLC0415

    return Cluster(address, time_limit, memory_limit)


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """With the output folder locked: two runs that write into it with different options would mix their files."""
    from convert.batch.cache import locked  # noqa: PLC0415
    from convert.writing import make_folder  # noqa: PLC0415

    make_folder(output)
    with locked(output, wait=False) as free, contextlib.ExitStack() as stack:
        if not free:
            click.echo(f"another batch is writing into {output}: waiting for its end", err=True)
            stack.enter_context(locked(output))
        yield


def _run(
    jobs: tuple[Job, ...],
    output: Path,
    scheduler: AbstractContextManager[Scheduler],
    cache: Cache,
    *,
    force: bool,
    hidden: bool,
) -> Report:
    """Run, and write `batch.json`."""
    from convert.batch.run import run  # noqa: PLC0415
    from convert.render.batch_json import batch_document  # noqa: PLC0415
    from convert.render.batch_progress import batch_progress  # noqa: PLC0415
    from convert.report import dumps  # noqa: PLC0415
    from convert.writing import write  # noqa: PLC0415

    with _alone(output):
        with batch_progress(jobs, hidden=hidden) as watch, scheduler as ready:
            try:
                report = run(jobs, output, ready, cache, force=force, observer=watch)
            except KeyboardInterrupt:
                watch.interrupted()
                raise
        write(output / "batch.json", dumps(batch_document(report, output)))
    return report


def _finish(report: Report, output: Path, *, format_: str, fail_on: Level, quiet: bool) -> int:
    """Show it; the exit code does not depend on the format."""
    from convert.batch.plan import BUG, State  # noqa: PLC0415
    from convert.cli.outcome import exit_code  # noqa: PLC0415

    findings = (*report.findings, *(each for outcome in report.outcomes for each in outcome.findings))
    failed = [outcome for outcome in report.outcomes if outcome.state is State.FAILED]
    code = exit_code(findings, fail_on, error=failed or None)
    if any(outcome.exit_code == BUG for outcome in failed):
        code = BUG
    if format_ == "json":
        from convert.render.batch_json import report_document  # noqa: PLC0415
        from convert.report import dumps  # noqa: PLC0415

        sys.stdout.write(dumps(report_document(report, output, code)).decode())
    elif format_ == "junit":
        from convert.render.junit import batch_junit  # noqa: PLC0415

        sys.stdout.write(batch_junit(report, fail_on).decode())
    else:
        from convert.render.batch_text import show_batch  # noqa: PLC0415

        show_batch(report, output, quiet=quiet)
    return code
