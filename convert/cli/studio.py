"""`ei-deepstream pull`, and `block`, which Edge Impulse's Studio calls."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli import Command, about, command, own
from convert.cli import options as cli
from convert.options import BLOCK, ConvertOptions, refuse_contradictions

if TYPE_CHECKING:
    from convert.studio.client import Studio
    from convert.studio.pull import Project, Pulled


@command("pull")
@cli.folder_option("The folder to write into.")
@own("project")
@own("impulse", type=click.IntRange(1))
@own("variant", type=click.Choice(["float32", "int8"]))
@own("deployment")
@own("api-key-file", type=cli.EXISTING)
@cli.format_option("text", "json")
@cli.quiet_option
def pull(
    output: Path,
    *,
    project: str | None,
    impulse: int | None,
    variant: str,
    deployment: str | None,
    api_key_file: Path | None,
    format_: str,
    quiet: bool,
) -> int:
    """Fetch the trained model of a project in Edge Impulse's Studio, with all that the impulse records of it.

    Takes seconds and none of the project's compute time. `convert` takes the folder; `convert studio:ID` does both.
    """
    from convert.studio.pull import Pull  # brings numpy; --help does without

    is_asked = sys.stdin.isatty() and format_ == "text"
    studio = cli.studio_with_key(api_key_file)
    with _shown(studio, hidden=quiet or format_ == "json") as said:
        done = Pull(studio, project, impulse, variant, deployment, _choose if is_asked else None, said)(output)
    if format_ == "json":
        cli.write_json(_document(done))
    elif not quiet:
        _show(done)
    return 0


def _choose(projects: Sequence[Project]) -> Project:
    for number, project in enumerate(projects, 1):
        click.echo(f"{number:3}  {project}", err=True)
    number = click.prompt("which project", type=click.IntRange(1, len(projects)), err=True)
    return projects[number - 1]


@contextlib.contextmanager
def _shown(studio: Studio, *, hidden: bool) -> Iterator[Callable[[str], object]]:
    """What is said, a line each on standard error, and on a terminal a bar of the bytes."""
    if hidden:
        yield lambda _line: None
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("download", total=None, visible=False)
        studio.on_bytes = lambda done, whole: bar.update(task, completed=done, total=whole, visible=True)
        yield lambda line: console.print(escape(line))


def _document(done: Pulled) -> dict[str, Any]:
    from convert.files import plain
    from convert.report import SCHEMA_VERSION

    return {
        "schema_version": SCHEMA_VERSION,
        "project": plain(done.project),
        "export": str(done.export),
        "version": done.version,
        "metadata": plain(done.metadata),
        "files": plain(done.outputs),
        "findings": plain(done.findings),
        "exit_code": 0,
    }


def _show(done: Pulled) -> None:
    from rich.markup import escape

    from convert.render import after_pull, show_next
    from convert.render.text import console, show_findings

    out = console()
    recorded = done.metadata
    size = f"{recorded.width}x{recorded.height}" if recorded.width else None
    values = {
        "labels": None if recorded.labels is None else ", ".join(recorded.labels),
        "size": size,
        "resize mode": recorded.resize_mode,
        "image scaling": recorded.image_scaling,
        "task": recorded.task,
        "threshold": recorded.threshold,
    }
    out.print(escape(f"{done.project}" + (f", build {done.version}" if done.version else "")))
    if done.version is None:
        for name, value in values.items():
            out.print(escape(f"  {name}: {'not recorded' if value is None else value}"))
    show_findings(done.findings, out)
    out.print("wrote", style="bold")
    for output in done.outputs:
        out.print(escape(f"  {output.path}"))
    show_next(after_pull(done.export), out)


class _Block(Command):
    """Studio gives a parameter that was left empty with an empty value, which is none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does it, without these."""
        pairs = enumerate(itertools.pairwise(args))
        empty = {place for place, (name, value) in pairs if name.startswith("--") and not value}
        return super().parse_args(ctx, [each for place, each in enumerate(args) if not {place, place - 1} & empty])


@click.command(cls=_Block, **about("block"))
@own("metadata", type=cli.ANY)
@cli.options(ConvertOptions, *BLOCK)
def block(metadata: Path, **values: Any) -> int:
    """Run as a deployment block inside Edge Impulse's Studio: convert the input folder into one deploy.zip.

    Prints what it does every two seconds. What cannot be converted ends it with the reason and exit code 3.
    """
    values = cli.given(values)
    with cli.as_usage(": "):
        refuse_contradictions(values)
        cli.refuse_source(values)
    from convert.studio.block import run  # brings numpy; --help does without

    run(metadata, values, lambda line: print(line, flush=True))  # noqa: T201 - Studio's log
    return 0
