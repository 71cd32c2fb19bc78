"""What a person sees on standard error while a batch goes on: how far it is, and what each stage has done.

rich is imported only where there is a terminal to draw on: a run that finds nothing to do has better uses for its time.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convert.batch.plan import GOOD, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.console import Console, Group
    from rich.progress import Progress

    from convert.batch.plan import Job
    from convert.pipeline import Event

__all__ = ["Drawn", "Watch", "batch_progress"]

_STAGES = ("unpack", "translate", "adapt", "validate", "emit")


class Watch:
    """An observer for `convert.batch.run.run`, which counts.

    Attributes:
        stages: how many models have been through each.
        running: name of a model -> the stage it is in.
        finished, failed: models.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.finished = self.failed = 0
        self.stages = dict.fromkeys(_STAGES, 0)
        self.running: dict[str, str] = {}

    def __call__(self, job: Job, event: Event | Outcome) -> None:
        """Take note."""
        if isinstance(event, Outcome):
            self.running.pop(job.name, None)
            self.finished += 1
            self.failed += event.state not in GOOD
        elif event.status == "started":
            self.running[job.name] = event.name
        elif event.status == "done":
            self.stages[event.name] = self.stages.get(event.name, 0) + 1

    def interrupted(self) -> None:
        """Say how far it has come."""
        line = f"{self.finished} of {self.total} models are finished; the same command goes on from there"
        print(line, file=sys.stderr)  # noqa: T201


class Drawn(Watch):
    """One whose counts are drawn.

    Attributes:
        draw: is given the lines, after every event.
    """

    def __init__(self, total: int, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn  # noqa: PLC0415

        super().__init__(total)
        self.draw: Callable[[Group], None] = lambda _: None
        self._console = console
        self._bar: Progress = Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
        self._task = self._bar.add_task("models", total=total)

    def __call__(self, job: Job, event: Event | Outcome) -> None:
        """Take note, and draw."""
        super().__call__(job, event)
        if isinstance(event, Outcome):
            self._bar.update(self._task, completed=self.finished)
            if event.state not in GOOD:
                self._tell(event)
        self.draw(self.lines())

    def lines(self) -> Group:
        """The bar, what each stage has done, what goes on."""
        from rich.console import Group  # noqa: PLC0415
        from rich.markup import escape  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        counts = " · ".join(f"{stage} {count}" for stage, count in self.stages.items())
        failed = f" · [red]{self.failed} failed[/]" if self.failed else ""
        now = ", ".join(f"{escape(name)} ({stage})" for name, stage in list(self.running.items())[:4])
        more = f" and {len(self.running) - 4} more" if len(self.running) > 4 else ""
        return Group(
            self._bar,
            Text.from_markup(f"[dim]done[/] {counts}{failed}"),
            Text.from_markup(f"[dim]now [/] {now}{more}", overflow="ellipsis"),
        )

    def _tell(self, outcome: Outcome) -> None:
        from rich.markup import escape  # noqa: PLC0415

        reason = outcome.error.message if outcome.error else "a finding ended it"
        self._console.print(
            f"[red]{outcome.state.value}[/] {escape(outcome.name)}: {escape(reason)}", highlight=False, soft_wrap=True
        )


@contextmanager
def batch_progress(jobs: Sequence[Job], *, hidden: bool) -> Iterator[Watch]:
    """An observer, live on a terminal; silent when standard error is not one or `hidden` is set."""
    if hidden or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield Watch(len(jobs))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    watch = Drawn(len(jobs), console)
    with Live(watch.lines(), console=console, refresh_per_second=8, transient=True) as live:
        watch.draw = live.update
        yield watch
