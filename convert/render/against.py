"""A comparison with Edge Impulse for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from convert.against.comparison import Verdict
from convert.against.findings import DIFFERS, DRIFTS
from convert.render.text import console

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from convert.against.comparison import Answer, Comparison, Reason, Row
    from convert.findings import Finding

__all__ = ["beside", "show_against"]

_MOST_ROWS = 40  # of pictures that differ; against.json has all
_MOST_OBJECTS = 4  # of one picture
_STYLES = {Verdict.DIFFERS: "red", Verdict.DRIFTS: "yellow", Verdict.SAME: "green"}


def show_against(comparison: Comparison, out: Console | None = None) -> None:
    """How many pictures differ and why, then those that do, side by side; nothing of those that are the same."""
    out = out or console()
    total, differ, drift = (
        len(comparison.rows), comparison.count(Verdict.DIFFERS), comparison.count(Verdict.DRIFTS)
    )  # fmt: skip
    kind = f"{'int8 ' if comparison.quantized else ''}{comparison.task}"
    out.print(f"[bold]against Edge Impulse[/] {escape(comparison.original)} ({kind})")
    rows = [row for row in comparison.rows if row.verdict is not Verdict.SAME]
    if rows:
        out.print(_table(sorted(rows, key=lambda row: row.verdict is not Verdict.DIFFERS)[:_MOST_ROWS]))
    if len(rows) > _MOST_ROWS:
        out.print(f"[dim]{len(rows) - _MOST_ROWS} more are in against.json[/]")
    pictures = "picture" if total == 1 else "pictures"
    if not rows:
        out.print(f"[green]0 of {total} {pictures} differ:[/] DeepStream shows what Edge Impulse answers")
        return
    if differ:
        out.print(f"[red]{differ} of {total} {pictures} {'differs' if differ == 1 else 'differ'}[/] ({DIFFERS.id})")
        _show_reasons(out, comparison.reasons, "pictures")
    if drift:
        more = " more" if differ else f" of {total} {pictures}"
        verb = "shows" if drift == 1 else "show"
        out.print(f"[yellow]{drift}{more} {verb} the same with scores more than {comparison.tolerance:g} apart[/]"
                  f" or boxes elsewhere ({DRIFTS.id})")  # fmt: skip
        _show_reasons(out, comparison.reasons, "drifting")


def beside(findings: Sequence[Finding], comparison: Comparison | None) -> Sequence[Finding]:
    """Without those that `show_against` tells with the pictures they are of."""
    told = {DIFFERS.id, DRIFTS.id} if comparison is not None else set()
    return [finding for finding in findings if finding.id not in told]


def _show_reasons(out: Console, reasons: Sequence[Reason], which: str) -> None:
    for reason in reasons:
        count = len(getattr(reason, which))
        if not count:
            continue
        out.print(f"  {count} because {escape(reason.words)}")
        if reason.hint:
            out.print(f"    [dim]hint:[/] {escape(reason.hint)}")


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("picture", no_wrap=True)
    table.add_column("DeepStream")
    table.add_column("Edge Impulse")
    table.add_column("because of")
    for row in rows:
        style = _STYLES[row.verdict]
        causes = " + ".join(cause.value for cause in row.causes)
        table.add_row(
            escape(row.name), _answer(row.deepstream), _answer(row.edge_impulse), f"[{style}]{escape(causes)}[/]"
        )  # fmt: skip
    return table


def _answer(answer: Answer) -> str:
    if answer.scores:
        if answer.label:
            return f"{escape(answer.label)} {answer.score:.2f}"
        best = max(answer.scores, key=lambda one: one.score)
        return f"[dim]nothing ({escape(best.label or f'class {best.class_id}')} {best.score:.2f})[/]"
    if not answer.objects:
        return "[dim]nothing[/]"
    shown = [
        f"{escape(one.label or f'class {one.class_id}')} {one.score:.2f}" for one in answer.objects[:_MOST_OBJECTS]
    ]
    more = len(answer.objects) - _MOST_OBJECTS
    return ", ".join(shown) + (f" [dim]and {more} more[/]" if more > 0 else "")
