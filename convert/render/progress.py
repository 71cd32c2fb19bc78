"""What a person sees on standard error while a run goes on: the stage that is running, then its time."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convert.pipeline import Event

__all__ = ["MARKS", "progress"]

MARKS = {
    "done": "[green]done[/]",
    "failed": "[red]failed[/]",
    "planned": "[cyan]planned[/]",
    "skipped": "[dim]skipped[/]",
}


@contextmanager
def progress(*, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """An observer for `convert.convert`: live on a terminal, silent when standard error is not one or `quiet` is set.

    rich is imported when the first stage starts: the worker process imports what takes longer at the same time.
    """
    shown: list[Any] = []  # console and status line, once there is something to show
    with ExitStack() as stack:

        def observe(event: Event) -> None:
            if quiet:
                return
            if not shown:
                from rich.console import Console  # noqa: PLC0415 - see above

                console = Console(stderr=True, highlight=False)
                shown.extend((console, stack.enter_context(console.status("")) if console.is_terminal else None))
            console, status = shown
            if status is None:
                return
            if event.status == "started":
                status.update(f"{event.name} ...")
            else:
                console.print(f"{event.name:<10} {MARKS[event.status]} [dim]{event.seconds:6.2f} s[/]")

        yield observe
