"""`ei-deepstream cache`: what `batch` keeps, and its removal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from convert.cli.batch import SIZE
from convert.cli.reporting import format_option, stack

if TYPE_CHECKING:
    from convert.batch.cache import Pruned, Usage

__all__ = ["command"]

_PLACE = stack(
    click.option(
        "--cache-dir", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
        help="Where it is.  [default: $EI_DEEPSTREAM_CACHE, $XDG_CACHE_HOME/ei-deepstream, ~/.cache/ei-deepstream]",
    ),
    format_option("text", "json"),
)  # fmt: skip


@click.group(name="cache")
def command() -> None:
    """Look at, or clear away, what `batch` keeps of earlier conversions.

    \b
    Examples:
      ei-deepstream cache info
      ei-deepstream cache prune --older-than 7 --max-size 2G
    """


@command.command(name="info")
@_PLACE
def info(cache_dir: Path | None, *, format_: str) -> int:
    """Say where the cache is, how many bundles it holds, and how large it is."""
    from convert.batch.cache import (  # noqa: PLC0415 - --help does without
        Cache,
        cache_folder,
        usage,
    )

    _show_usage(usage(Cache(cache_folder(cache_dir))), format_)
    return 0


@command.command(name="prune")
@click.option(
    "--older-than", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="DAYS",
    help="Remove what was not used for so long.",
)  # fmt: skip
@click.option("--max-size", type=SIZE, metavar="SIZE", help="Then remove what was used longest ago, down to 800M, 2G.")
@click.option("--all", "everything", is_flag=True, help="Remove everything.")
@_PLACE
def prune(cache_dir: Path | None, *, older_than: float, max_size: int | None, everything: bool, format_: str) -> int:
    """Remove bundles from the cache: damaged ones, and those that were not used lately. Bundles in folders stay."""
    from convert.batch.cache import Cache, cache_folder  # noqa: PLC0415 - --help does without
    from convert.batch.cache import prune as clear  # noqa: PLC0415

    days = 0.0 if everything else older_than
    _show_pruned(clear(Cache(cache_folder(cache_dir)), older_than=days * 86_400, max_size=max_size), format_)
    return 0


def _show_usage(usage: Usage, format_: str) -> None:
    if format_ == "json":
        _print_document(
            {"folder": usage.folder, "entries": usage.entries, "bytes": usage.bytes, "damaged": usage.damaged}
        )
        return
    print(f"{usage.folder}\n{usage.entries} bundles, {usage.bytes:,} bytes")  # noqa: T201
    if usage.damaged:
        print(f"{usage.damaged} damaged: `ei-deepstream cache prune` removes them")  # noqa: T201


def _show_pruned(pruned: Pruned, format_: str) -> None:
    if format_ == "json":
        _print_document(
            {"folder": pruned.folder, "removed": pruned.removed, "bytes": pruned.bytes, "left": pruned.left}
        )
        return
    print(f"{pruned.removed} bundles removed, {pruned.bytes:,} bytes; {pruned.left} left")  # noqa: T201


def _print_document(document: dict[str, object]) -> None:
    from convert.report import SCHEMA_VERSION, dumps  # noqa: PLC0415 - only for this format

    sys.stdout.write(dumps({"schema_version": SCHEMA_VERSION, "exit_code": 0, **document}).decode())
