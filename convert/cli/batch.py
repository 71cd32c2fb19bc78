"""`ei-deepstream batch`, and `cache`, which shows and prunes its cache."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli import Command, Group, about, command, own
from convert.cli import options as cli
from convert.options import BatchOptions

if TYPE_CHECKING:
    from convert.batch import BatchReport, Observer
    from convert.batch.cache import Pruned, Usage
    from convert.batch.plan import Job
    from convert.findings import Level


@command("batch")
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="MANIFEST|PATHS...")
@cli.folder_option("The folder of all bundles; each model gets a folder in it.")
@click.option("-j", "--jobs", **cli.declaration(BatchOptions, "jobs"))
@cli.options(
    BatchOptions, "time_limit", "memory_limit", "scheduler", "force", "cache_dir", "object_batch_size", "sgie_labels"
)
@cli.options(BatchOptions, "labels", "task", "resize_mode", "image_scaling", "dequantize", "rounding")
@cli.options(BatchOptions, "precision", "calibrate", "samples", "sdk_log")
@cli.translating
@cli.framing
@cli.adapting
@cli.validating
@cli.emitting
@cli.reporting("text", "json", "junit")
def batch(paths: tuple[str, ...], output: Path, *, format_: str, fail_on: Level, quiet: bool, **values: Any) -> int:
    """Convert many exports: in parallel, only what has changed, whatever happens to one of them.

    MANIFEST is a .toml with [defaults] and a [[model]] for each export; or give exports, globs and folders, which are
    searched to their depths. What is found there and cannot be converted (no model, a custom block) is reported and
    does not fail the run; what is named, here or in a manifest, does. Options given here hold for all models that they
    apply to, whatever the manifest says.
    """
    values = cli.given(values)
    if values.get("scheduler") is not None and values.get("jobs") is not None:
        raise click.UsageError("--jobs is about this machine; with --scheduler the cluster's workers say how many")
    with cli.as_usage():
        cli.refuse_source(values)
    from convert.api import run_batch  # --help does without

    progress = functools.partial(_progress, hidden=quiet or format_ == "json")
    report = run_batch(paths, output, progress, _waiting, **values)
    return _finish(report, output, format_=format_, fail_on=fail_on, quiet=quiet)


@contextlib.contextmanager
def _progress(jobs: Sequence[Job], *, hidden: bool) -> Iterator[Observer]:
    from convert.render.batch import batch_progress  # --help does without

    with batch_progress(jobs, hidden=hidden) as display:
        try:
            yield display
        except KeyboardInterrupt:
            display.interrupted()
            raise


def _waiting(output: Path) -> None:
    click.echo(f"another batch is writing into {output}: waiting for its end", err=True)


def _finish(report: BatchReport, output: Path, *, format_: str, fail_on: Level, quiet: bool) -> int:
    """Show the report; the exit code does not depend on the format."""
    from convert.batch.plan import BUG

    findings = (*report.findings, *(each for outcome in report.outcomes for each in outcome.findings))
    code = cli.exit_code(findings, fail_on, error=report.failed or None)
    if any(outcome.exit_code == BUG for outcome in report.failed):
        code = BUG
    from convert.render import machine
    from convert.render.batch import show_batch

    if format_ == "json":
        cli.write_json(machine.batch_output_document(report, output, code))
    elif format_ == "junit":
        sys.stdout.write(machine.batch_junit(report, fail_on).decode())
    else:
        show_batch(report, output, quiet=quiet)
    return code


_PLACE = cli.stack(
    own("cache-dir", type=click.Path(path_type=Path, file_okay=False)), cli.format_option("text", "json")
)


@click.group(cls=Group, **about("cache"))
def cache() -> None:
    """Look at, or clear away, what `batch` keeps of earlier conversions."""


@cache.command(name="info", cls=Command, examples=("ei-deepstream cache info",))
@_PLACE
def info(cache_dir: Path | None, *, format_: str) -> int:
    """Say where the cache is, how many bundles it holds, and how large it is."""
    from convert.batch.cache import Cache, cache_folder, usage

    used = usage(Cache(cache_folder(cache_dir)))
    if format_ == "json":
        _write_ended_well(used)
        return 0
    click.echo(f"{used.folder}\n{used.entries} bundles, {used.bytes:,} bytes")
    if used.damaged:
        click.echo(f"{used.damaged} damaged: `ei-deepstream cache prune` removes them")
    return 0


@cache.command(
    name="prune",
    cls=Command,
    examples=("ei-deepstream cache prune --older-than 7 --max-size 2G", "ei-deepstream cache prune --all"),
)
@own("older-than", type=click.FloatRange(min=0))
@own("max-size", **cli.declaration(BatchOptions, "memory_limit"))
@own("all")
@_PLACE
def prune(cache_dir: Path | None, *, older_than: float, max_size: int | None, everything: bool, format_: str) -> int:
    """Remove bundles from the cache: damaged ones, and those that were not used lately. Bundles in folders stay."""
    from convert.batch.cache import Cache, cache_folder  # --help does without
    from convert.batch.cache import prune as clear

    days = 0.0 if everything else older_than
    pruned = clear(Cache(cache_folder(cache_dir)), older_than=days * 86_400, max_size=max_size)
    if format_ == "json":
        _write_ended_well(pruned)
        return 0
    click.echo(f"{pruned.removed} bundles removed, {pruned.bytes:,} bytes; {pruned.left} left")
    return 0


def _write_ended_well(done: Usage | Pruned) -> None:
    from convert.report import SCHEMA_VERSION  # only for this format

    cli.write_json({"schema_version": SCHEMA_VERSION, "exit_code": 0, **dataclasses.asdict(done)})
