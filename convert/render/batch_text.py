"""What a batch came to, as text for people: one table, then what is wrong."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from convert.batch.plan import GOOD, State
from convert.findings import Finding, Level, worst
from convert.render.failure import error_lines

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from convert.batch.plan import Outcome
    from convert.batch.run import Report

__all__ = ["sentence", "show_batch"]

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
    from rich.markup import escape  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415

    from convert.render.text import console  # noqa: PLC0415

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
    from convert.render.text import show_findings  # noqa: PLC0415 - brings rich

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
    from rich.table import Table  # noqa: PLC0415 - as in show_batch

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("model", "", "task", "input"):
        table.add_column(head, no_wrap=True)
    for head in ("labels", "difference", "top-1", "findings", "seconds"):
        table.add_column(head, justify="right", no_wrap=True)
    for outcome in report.outcomes:
        table.add_row(*_row(outcome))
    return table


def _row(outcome: Outcome) -> list[Text]:
    from rich.text import Text  # noqa: PLC0415 - as in show_batch

    from convert.render.text import percent  # noqa: PLC0415

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
