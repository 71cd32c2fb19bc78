"""What a person sees on standard error while a batch goes on: how far it is, and what each stage has done."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from convert.batch.job import GOOD, Outcome
from convert.pipeline import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convert.batch.job import Job
    from convert.pipeline import Event

__all__ = ["Watch", "batch_progress"]

_STAGES = ("unpack", "translate", "adapt", "validate", "emit")


class Watch:
    """An observer for `convert.batch.run.run`.

    Attributes:
        live: where it is shown; None: nowhere.
    """

    def __init__(self, total: int, console: Console) -> None:
        self.live: Live | None = None
        self._console, self._total = console, total
        self._finished = self._failed = 0
        self._stages = dict.fromkeys(_STAGES, 0)
        self._running: dict[str, str] = {}
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._bar.add_task("models", total=total)

    def __call__(self, job: Job, event: Event | Outcome) -> None:
        """Take note."""
        if isinstance(event, Outcome):
            self._running.pop(job.name, None)
            self._finished += 1
            self._bar.update(self._task, completed=self._finished)
            if event.state not in GOOD:
                self._failed += 1
                reason = event.error.message if event.error else "a finding ended it"
                self._say(f"[red]{event.state.value}[/] {escape(job.name)}: {escape(reason)}")
        elif event.status is Status.STARTED:
            self._running[job.name] = event.name
        elif event.status is Status.DONE:
            self._stages[event.name] = self._stages.get(event.name, 0) + 1
        if self.live is not None:
            self.live.update(self.shown())

    def shown(self) -> Group:
        """The lines."""
        counts = " · ".join(f"{stage} {count}" for stage, count in self._stages.items())
        failed = f" · [red]{self._failed} failed[/]" if self._failed else ""
        now = ", ".join(f"{escape(name)} ({stage})" for name, stage in list(self._running.items())[:4])
        more = f" and {len(self._running) - 4} more" if len(self._running) > 4 else ""
        return Group(
            self._bar,
            Text.from_markup(f"[dim]done:[/] {counts}{failed}"),
            Text.from_markup(f"[dim]now:[/]  {now}{more}", overflow="ellipsis"),
        )

    def interrupted(self) -> None:
        """Say how far it has come."""
        if self.live is not None:
            self._running.clear()
            self.live.update(self.shown())
        self._console.print(
            f"{self._finished} of {self._total} models are finished; the same command goes on from there",
            style="yellow",
        )

    def _say(self, line: str) -> None:
        if self.live is not None:
            self._console.print(line, soft_wrap=True)


@contextmanager
def batch_progress(jobs: Sequence[Job], *, hidden: bool) -> Iterator[Watch]:
    """An observer, live on a terminal; silent when standard error is not one or `hidden` is set."""
    console = Console(stderr=True, highlight=False)
    watch = Watch(len(jobs), console)
    if hidden or not console.is_terminal:
        yield watch
        return
    with Live(watch.shown(), console=console, refresh_per_second=8, transient=True) as live:
        watch.live = live
        yield watch
