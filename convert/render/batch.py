"""What a batch came to, as text for people: one table, then what is wrong.

What a person sees on standard error while a batch goes on: how far it is, and what each stage has done.

rich is imported only where there is a terminal to draw on: a run that finds nothing to do has better uses for its time.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convert.batch.plan import GOOD, Outcome, State
from convert.findings import Finding, Level, worst
from convert.render.text import error_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console, Group
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from convert.batch.plan import Job
    from convert.batch.run import Report
    from convert.pipeline import Event


__all__ = ["Drawn", "ProgressDisplay", "batch_progress", "sentence", "show_batch"]


_STYLE = {
    State.DONE: "green",
    State.WRONG: "bold red",
    State.FAILED: "bold red",
    State.UNCHANGED: "dim",
    State.RESTORED: "cyan",
}


def show_batch(report: Report, output: Path, *, quiet: bool) -> None:
    """The table on standard output, errors on standard error."""
    is_idle = all(outcome.state is State.UNCHANGED for outcome in report.outcomes)
    if is_idle and not report.findings:  # the most frequent run of all does without rich
        if not quiet:
            print(f"nothing to do: {sentence(report)} in {output}")  # noqa: T201 - this is where text is printed
        return
    from rich.markup import escape  # see above
    from rich.text import Text

    from convert.render.text import console

    if not quiet:
        out = console()
        if not is_idle:
            out.print(_table(report))
        _show_found(report, out)
        out.print(f"{sentence(report)} in {report.seconds:.1f} s, in {escape(str(output))}")
    sys.stdout.flush()
    errors = console(stderr=True)
    for outcome in report.outcomes:
        if outcome.error:
            errors.print(Text(f"{outcome.name}: " + "\n".join(error_lines(outcome.error)), style="red"))
        if outcome.details:
            errors.print(Text(outcome.details))


def sentence(report: Report) -> str:
    """ "12 models: 3 done, 8 unchanged, 1 failed"."""
    count = len(report.outcomes)
    parts = [f"{number} {state.value}" for state, number in report.counts.items() if number]
    return f"{count} {'model' if count == 1 else 'models'}: {', '.join(parts)}"


def _show_found(report: Report, out: Console) -> None:
    """What needs an eye: of the batch everything, of models what is above a note, each thing once for all of them."""
    from convert.render.text import show_findings  # brings rich

    show_findings(report.findings, out)
    alike: dict[tuple[str, Level, str, str | None], list[str]] = {}
    for outcome in report.outcomes:
        if outcome.state is not State.UNCHANGED:
            for finding in outcome.findings:
                alike.setdefault((finding.id, finding.level, finding.message, finding.hint), []).append(outcome.name)
    for (id_, level, message, hint), names in alike.items():
        if level is not Level.NOTE:
            show_findings([Finding(id_, level, f"{_several(names)}: {message}", hint=hint)], out)


def _several(names: list[str]) -> str:
    """ "a, b, c and 5 more"."""
    few = ", ".join(names[:_FEW])
    return few if len(names) <= _FEW else f"{few} and {len(names) - _FEW} more"


_FEW = 4


def _table(report: Report) -> Table:
    from rich.table import Table  # as in show_batch

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("model", "", "task", "input"):
        table.add_column(head, no_wrap=True)
    for head in ("labels", "difference", "top-1", "findings", "seconds"):
        table.add_column(head, justify="right", no_wrap=True)
    for outcome in report.outcomes:
        table.add_row(*_row(outcome))
    return table


def _row(outcome: Outcome) -> list[Text]:
    from rich.text import Text  # as in show_batch

    from convert.render.text import percent

    known = dict(outcome.summary)
    difference, top1 = known.get("max_abs_diff"), known.get("top1")
    level = worst(outcome.findings)
    return [
        Text(outcome.name),
        Text(outcome.state.value, style=_STYLE[outcome.state]),
        Text(str(known.get("task", ""))),
        Text(str(known.get("input", ""))),
        Text(str(known.get("labels", ""))),
        Text("" if difference is None else f"{difference:.2g}"),
        Text("" if top1 is None else percent(top1)),
        Text(str(len(outcome.findings) or ""), style="" if level in {None, Level.NOTE} else "yellow"),
        Text(f"{outcome.seconds:.2f}" if outcome.state not in GOOD - {State.DONE} else ""),
    ]


_STAGES = ("unpack", "translate", "adapt", "validate", "emit")


class ProgressDisplay:
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


class Drawn(ProgressDisplay):
    """One whose counts are drawn.

    Attributes:
        draw: is given the lines, after every event.
    """

    def __init__(self, total: int, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

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
        from rich.console import Group
        from rich.markup import escape
        from rich.text import Text

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
        from rich.markup import escape

        reason = outcome.error.message if outcome.error else "a finding ended it"
        self._console.print(
            f"[red]{outcome.state.value}[/] {escape(outcome.name)}: {escape(reason)}", highlight=False, soft_wrap=True
        )


@contextmanager
def batch_progress(jobs: Sequence[Job], *, hidden: bool) -> Iterator[ProgressDisplay]:
    """An observer, live on a terminal; silent when standard error is not one or `hidden` is set."""
    if hidden or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield ProgressDisplay(len(jobs))
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    watch = Drawn(len(jobs), console)
    with Live(watch.lines(), console=console, refresh_per_second=8, transient=True) as live:
        watch.draw = live.update
        yield watch
