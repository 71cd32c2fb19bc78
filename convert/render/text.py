"""Text for the terminal: progress on standard error, a run with its findings, an error."""

from __future__ import annotations

import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from convert.findings import Finding, Level
from convert.render.machine import failure_document
from convert.render.next_steps import after_conversion, show_next
from convert.report import dumps
from convert.types import Adapted, Export, FrameEffect, Validated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from convert.errors import ConvertError
    from convert.pipeline import Event, Record, Run


__all__ = ["console", "error_lines", "percent", "progress", "show_error", "show_findings", "show_run"]


def error_lines(error: ConvertError, kind: str = "error") -> list[str]:
    """`error: PATH:LINE: message` and the hint."""
    place = "".join(f"{part}:" for part in (error.path, error.line) if part is not None)
    lines = [f"{kind}: {place} {error.message}" if place else f"{kind}: {error.message}"]
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    return lines


def show_error(error: ConvertError, format_: str) -> None:
    """Text on standard error; in JSON the document on standard output as well."""
    if format_ == "json":
        sys.stdout.write(dumps(failure_document(error, 3)).decode())
    print("\n".join(error_lines(error)), file=sys.stderr)  # noqa: T201 - the one place errors are printed


_STYLE = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.NOTE: "cyan"}


def console(*, stderr: bool = False) -> Console:
    """A console that never wraps a path or a number into pieces when the output is not a terminal."""
    plain = Console(stderr=stderr, highlight=False)
    return plain if plain.is_terminal else Console(stderr=stderr, highlight=False, width=10_000, soft_wrap=True)


def show_run(run: Run, pictures: Path | None = None) -> None:
    """What came out on standard output, and what to type next (`after_conversion`); an error on standard error."""
    out = console()
    _show_subject(run, out)
    if run.secondary:
        second = {id(record) for record in run.secondary.records}
        place = next((at for at, record in enumerate(run.records) if id(record) in second), len(run.records))
        after = [record for record in run.records[place:] if id(record) not in second]
        show_findings(_found(run.records[:place]), out)
        _show_subject(run.secondary, out)
        show_findings(_found([*run.secondary.records, *after]), out)
    else:
        show_findings(run.findings, out)
    if run.outputs:
        planned = any(record.status == "planned" for record in run.records)
        out.print("would write" if planned else "wrote", style="bold")
        for output in run.outputs:
            size = "" if output.sha256 is None else f"  [dim]{Path(output.path).stat().st_size:,} bytes[/]"
            out.print(f"  {escape(output.path)}{size}")
        show_next(after_conversion(run, pictures), out)
    if run.error:
        sys.stdout.flush()
        console(stderr=True).print(Text("\n".join(error_lines(run.error)), style="red"))


def _found(records: Iterable[Record]) -> Iterator[Finding]:
    return (finding for record in records for finding in record.findings)


def _show_subject(run: Run, out: Console) -> None:
    """What was converted, and how well."""
    if export := run.last(Export):
        adapted = run.last(Adapted)
        size = "x".join("?" if extent is None else str(extent) for extent in export.facts.input.shape[1:])
        model = f"{export.facts.task} {size}"
        if labels := adapted.head.labels if adapted else export.metadata.labels:
            shown = ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "")
            model += f", {len(labels)} label{'s' if len(labels) > 1 else ''} ({shown})"
        out.print(f"[bold]{escape(export.name)}[/]: {escape(model)}, {export.facts.quantization}")
        where = f"{export.source} > {export.member}" if export.member else export.source
        out.print(f"  from      {escape(where)} ({export.form}, sha256 {export.digest[:12]})")
    if validated := run.last(Validated):
        for name, line in _evidence_lines(validated):
            out.print(f"  {name:<9} {escape(line)}")


def show_findings(findings: Iterable[Finding], out: Console) -> None:
    """One line a finding, its hint below."""
    for finding in findings:
        place = ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part is not None)
        style = _STYLE[finding.level]
        message = f"{place}: {finding.message}" if place else finding.message
        out.print(f"  [{style}]{finding.level.value}[/] {finding.id} {escape(message)}")
        if finding.hint:
            out.print(f"    [dim]hint:[/] {escape(finding.hint)}")


def percent(share: float) -> str:
    """0.9987 as "99.87 %", 1.0 as "100 %"; never rounded up to 100."""
    return "100 %" if share == 1 else f"{min(share * 100, 99.99):.4g} %"


def _evidence_lines(validated: Validated) -> list[tuple[str, str]]:
    evidence, lines = validated.evidence, []
    if parity := evidence.parity:
        difference = f"max difference {parity.max_abs_diff:.2g} (limit {parity.tolerance:g})"
        lines.append(("parity", f"{difference}, top-1 equal {percent(parity.top1)}, {parity.inputs} inputs"))
    if batch := evidence.batch:
        sizes = "/".join(map(str, batch.sizes))
        lines.append(("batch", f"{sizes} give the same, max difference {batch.max_abs_diff:.2g}"))
    if evidence.decoding is not None:
        lines.append(("decoding", f"max difference to an independent decoding {evidence.decoding:.2g}"))
    if effect := evidence.framing:
        lines.append(("framing", _effect_line(effect)))
    if (agreement := evidence.int8_agreement) and (original := validated.adapted.export.original):
        from convert.export.facts import facts  # a float model has none

        done = "rewritten in float32, first layer rounded" if agreement.rounded else "rewritten in float32"
        same = f"decides as the original on {percent(agreement.top1)} of {agreement.inputs:,} inputs"
        own = agreement.kernels
        as_own = "" if own is None else f" (its own two kernels: {percent(own)})"
        lines.append((facts(original).quantization, f"{done}: {same}{as_own}"))
    if evidence.tensorrt:
        lines.append(("tensorrt", evidence.tensorrt))
    return lines


def _effect_line(effect: FrameEffect) -> str:
    """How often the best answer is Edge Impulse's, cropped in the model and squashed."""
    squash, of = effect.squash, ", ".join(effect.frames) or "their own shape"
    squashed = f"{percent(squash.top1)} squashed, mean difference {squash.mean_abs_diff:.2g}"
    if (crop := effect.crop) is None:
        return f"best answer as in Edge Impulse on {squashed}, {squash.inputs} pictures of {of}"
    cropped = f"{percent(crop.top1)} cropped, mean difference {crop.mean_abs_diff:.2g}"
    return f"best answer as in Edge Impulse on {cropped}; on {squashed}; {crop.inputs} frames of {of}"


_MARKS = {
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
                console = Console(stderr=True, highlight=False)
                shown.extend((console, stack.enter_context(console.status("")) if console.is_terminal else None))
            console, status = shown
            if status is None:
                return
            if event.status == "started":
                status.update(f"{event.name} ...")
            else:
                console.print(f"{event.name:<10} {_MARKS[event.status]} [dim]{event.seconds:6.2f} s[/]")

        yield observe
