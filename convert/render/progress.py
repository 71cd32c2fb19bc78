"""What a person sees on standard error while a run goes on: the stage that is running, then its time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from convert.pipeline import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convert.pipeline import Event

__all__ = ["MARKS", "progress"]

MARKS = {
    Status.DONE: "[green]done[/]",
    Status.FAILED: "[red]failed[/]",
    Status.PLANNED: "[cyan]planned[/]",
    Status.SKIPPED: "[dim]skipped[/]",
}


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """An observer for `pipeline.run`: live on a terminal, silent when standard error is not one or `quiet` is set."""
    console = Console(stderr=True, highlight=False)
    if quiet or not console.is_terminal:
        yield lambda _event: None
        return
    with console.status("") as status:

        def observe(event: Event) -> None:
            if event.status is Status.STARTED:
                status.update(f"{event.name} ...")
            else:
                console.print(f"{event.name:<10} {MARKS[event.status]} [dim]{event.seconds:6.2f} s[/]")

        yield observe
