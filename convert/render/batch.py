"""A batch for people: progress on standard error, then a table and what is wrong.

rich is imported only to draw: the most frequent run finds nothing to do and should be fast.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convert.batch.plan import GOOD, Job, Outcome, State
from convert.findings import Finding, Level, worst

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console, Group
    from rich.progress import Progress
    from rich.table import Table

    from convert.batch import BatchReport
    from convert.errors import ConvertError
    from convert.pipeline import Event

_STYLE = {
    State.DONE: "green",
    State.WRONG: "bold red",
    State.FAILED: "bold red",
    State.UNSUITABLE: "yellow",
    State.UNCHANGED: "dim",
    State.RESTORED: "cyan",
}


def show_batch(report: BatchReport, output: Path, *, quiet: bool) -> None:
    """The table on standard output, errors on standard error."""
    is_idle = all(outcome.state is State.UNCHANGED for outcome in report.outcomes)
    if is_idle and not report.findings:
        if not quiet:
            print(f"nothing to do: {sentence(report)} in {output}")  # noqa: T201 - this is where text is printed
        return
    from rich.markup import escape  # slow to import
    from rich.text import Text

    from convert.render import after_batch, show_next
    from convert.render.text import console

    out = console()
    if not quiet:
        if not is_idle:
            out.print(_table(report))
        _show_findings(report, out)
    failed = {outcome.name for outcome in report.failed}
    exports = {job.name: job.export for job in report.jobs}
    errors: list[str] = []
    for error, outcomes in report.errors:
        failing = [outcome for outcome in outcomes if outcome.name in failed]
        passing = [outcome for outcome in outcomes if outcome.name not in failed]
        if failing:
            errors += _error(error, failing, "error", exports)
            errors += [outcome.details for outcome in failing if outcome.details]
        if passing and not quiet:
            out.print(Text("\n".join(_error(error, passing, State.UNSUITABLE.value, exports)), style="yellow"))
    sys.stdout.flush()
    if errors:
        console(stderr=True).print(Text("\n".join(errors), style="red"))
    if not quiet:
        out.print(f"{sentence(report)} in {report.seconds:.1f} s, in {escape(str(output))}")
        show_next(after_batch(output, (outcome.outputs for outcome in report.outcomes)), out)


def _error(error: ConvertError, outcomes: Sequence[Outcome], kind: str, exports: Mapping[str, Path]) -> list[str]:
    """One message, and below it the models it is about, each with its export."""
    from convert.render.text import error_lines  # imports rich

    if len(outcomes) == 1:
        first, *rest = error_lines(error, kind)
        return [f"{outcomes[0].name}: {first}", *rest]
    several = type(error)(f"{error.message} ({len(outcomes)} models)", hint=error.hint)
    return [*error_lines(several, kind), *(f"  {outcome.name}: {exports[outcome.name]}" for outcome in outcomes)]


def sentence(report: BatchReport) -> str:
    """ "12 models: 3 done, 8 unchanged, 1 failed"."""
    count = len(report.outcomes)
    parts = [f"{number} {state.value}" for state, number in report.counts.items() if number]
    return f"{count} {'model' if count == 1 else 'models'}: {', '.join(parts)}"


def _show_findings(report: BatchReport, out: Console) -> None:
    """All findings about the batch; of those about models the ones above a note, equal ones once."""
    from convert.render.text import show_findings  # imports rich

    equal: dict[tuple[str, Level, str, str | None], list[str]] = {}
    for outcome in report.outcomes:
        if outcome.state is not State.UNCHANGED:
            for finding in outcome.findings:
                equal.setdefault((finding.id, finding.level, finding.message, finding.hint), []).append(outcome.name)
    merged = (
        Finding(id_, level, f"{_several(names)}: {message}", hint=hint)
        for (id_, level, message, hint), names in equal.items()
        if level is not Level.NOTE
    )
    show_findings([*report.findings, *merged], out)


def _several(names: list[str]) -> str:
    """ "a, b, c, d and 5 more"."""
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return ", ".join(names[:4]) + more


def _table(report: BatchReport) -> Table:
    from rich.table import Table  # slow to import
    from rich.text import Text

    from convert.heads import CONVERTIBLE
    from convert.render.text import percent

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("model", overflow="fold")
    for head in ("", "task", "input"):
        table.add_column(head, no_wrap=True)
    for head in ("labels", "difference", "top-1", "findings", "seconds"):
        table.add_column(head, justify="right", no_wrap=True)
    for outcome in report.outcomes:
        known = dict(outcome.summary)
        if known.get("task") not in {*CONVERTIBLE, "impulse"}:  # what it is instead stands in its error
            known = {}
        difference, top1 = known.get("max_abs_diff"), known.get("top1")
        level = worst(outcome.findings)
        table.add_row(
            Text(outcome.name),
            Text(outcome.state.value, style=_STYLE[outcome.state]),
            Text(str(known.get("task", ""))),
            Text(str(known.get("input", ""))),
            Text(str(known.get("labels", ""))),
            Text("" if difference is None else f"{difference:.2g}"),
            Text("" if top1 is None else percent(top1)),
            Text(str(len(outcome.findings) or ""), style="" if level in {None, Level.NOTE} else "yellow"),
            Text(f"{outcome.seconds:.2f}" if outcome.state not in GOOD - {State.DONE} else ""),
        )
    return table


_STAGES = ("unpack", "translate", "adapt", "validate", "emit")


class ProgressDisplay:
    """An observer for `convert.batch` that counts.

    Attributes:
        stages: number of models that have finished each stage.
        running: name of a model -> its present stage.
        finished, failed: numbers of models; unsuitable ones have not failed.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.finished = self.failed = 0
        self.stages = dict.fromkeys(_STAGES, 0)
        self.running: dict[str, str] = {}

    def __call__(self, job: Job, event: Event | Outcome) -> None:
        """Count the event."""
        if isinstance(event, Outcome):
            self.running.pop(job.name, None)
            self.finished += 1
            self.failed += event.state in {State.FAILED, State.WRONG}
        elif event.status == "started":
            self.running[job.name] = event.name
        elif event.status == "done":
            self.stages[event.name] = self.stages.get(event.name, 0) + 1

    def interrupted(self) -> None:
        """Print how many models are finished."""
        line = f"{self.finished} of {self.total} models are finished; the same command goes on from there"
        print(line, file=sys.stderr)  # noqa: T201


class LiveDisplay(ProgressDisplay):
    """A progress display whose counts are drawn on a terminal.

    Attributes:
        draw: gets the lines after every event.
    """

    def __init__(self, total: int, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

        super().__init__(total)
        self.draw: Callable[[Group], None] = lambda _: None
        self._bar: Progress = Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console)
        self._task = self._bar.add_task("models", total=total)

    def __call__(self, job: Job, event: Event | Outcome) -> None:
        """Count the event, and draw."""
        super().__call__(job, event)
        if isinstance(event, Outcome):
            self._bar.update(self._task, completed=self.finished)
        self.draw(self.lines())

    def lines(self) -> Group:
        """The bar, the counts of each stage, and the models in progress."""
        from rich.console import Group
        from rich.markup import escape
        from rich.text import Text

        counts = " · ".join(f"{stage} {count}" for stage, count in self.stages.items())
        failed = f" · [red]{self.failed} failed[/]" if self.failed else ""
        now = _several([f"{escape(name)} ({stage})" for name, stage in self.running.items()])
        return Group(
            self._bar,
            Text.from_markup(f"[dim]done[/] {counts}{failed}"),
            Text.from_markup(f"[dim]now [/] {now}", overflow="ellipsis"),
        )


@contextmanager
def batch_progress(jobs: Sequence[Job], *, hidden: bool) -> Iterator[ProgressDisplay]:
    """An observer that draws on a terminal; only counts when standard error is none or `hidden` is set."""
    if hidden or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield ProgressDisplay(len(jobs))
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, highlight=False)
    display = LiveDisplay(len(jobs), console)
    with Live(display.lines(), console=console, refresh_per_second=8, transient=True) as live:
        display.draw = live.update
        yield display
