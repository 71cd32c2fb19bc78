"""Text for the terminal: progress on standard error, a run with its findings, an error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from convert import compare, errors, files, images, render, report, types
from convert.findings import Finding, Level
from convert.images.resizing import Resizing
from convert.render.machine import failure_document

if TYPE_CHECKING:
    from rich.progress import Progress

    from convert import pipeline
    from convert.dsp import Impulse


def stored_as(form: str) -> str:
    """How a model is stored (`Export.form`), in words."""
    return str(files.load_toml("report/words.toml")["forms"].get(form, form))


def kind(facts: types.ModelFacts) -> str:
    """What a model is and takes: "fomo 96x96x3"; "33 values" of what is refused, which says itself what it is."""
    from convert.heads import head  # the commands of other rooms do without

    spec = head(facts.task)
    shape = facts.input.shape[1:]
    size = "x".join("?" if extent is None else str(extent) for extent in shape)
    return f"{'' if spec.refused else f'{spec.id} '}{size}{' values' if len(shape) == 1 else ''}"


def impulse_parts(impulse: Impulse) -> list[tuple[str, str]]:
    """Window, signal processing with its main values, and anomaly score: what each is called, and what it is."""
    from convert.dsp import KMeans  # most commands do without
    from convert.dsp import blocks as kinds

    names = f" ({', '.join(impulse.axis_names)})" if impulse.axis_names else ""
    axes = "1 axis" if impulse.axes == 1 else f"{impulse.axes} axes"
    window = f"{impulse.sensor}, {impulse.samples:,} samples at {impulse.frequency:g} Hz, {axes}{names}"
    parts = [("impulse", window)]
    for block in impulse.blocks:
        said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in kinds.describe(block))
        scaled = ", normalised" if block.normalisation else ""
        what = f"{kinds.title(block.kind)}, version {block.version}: {block.size:,} features{scaled}"
        parts.append((f"block {block.id}", what + (f" ({said})" if said else "")))
    if (anomaly := impulse.anomaly) is not None:
        how = f"K-means, {len(anomaly.radii)} clusters" if isinstance(anomaly, KMeans) else "Gaussian mixture"
        parts.append(("anomaly", f"{how}, {len(anomaly.axes)} features of block {anomaly.block}"))
    return parts


def impulse_lines(impulse: Impulse) -> list[str]:
    """`impulse_parts`, a line each."""
    return [f"{name:<9} {what}" for name, what in impulse_parts(impulse)]


def error_lines(error: errors.ConvertError, kind: str = "error") -> list[str]:
    """`error: PATH:LINE: message` and the hint."""
    place = "".join(f"{part}:" for part in (error.path, error.line) if part is not None)
    lines = [f"{kind}: {place} {error.message}" if place else f"{kind}: {error.message}"]
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    return lines


def show_error(error: errors.ConvertError, format_: str) -> None:
    """Text on standard error; in JSON the document on standard output as well."""
    if format_ == "json":
        sys.stdout.write(report.dumps(failure_document(error, 3)).decode())
    print("\n".join(error_lines(error)), file=sys.stderr)  # noqa: T201 - the one place errors are printed


def print_hanging(out: Console, text: Text, indent: int) -> None:
    """Print `text`; on a terminal what does not fit into a line goes on below, `indent` columns to the right."""
    for whole in text.split("\n"):
        first, *more = whole.wrap(out, out.width) if out.is_terminal else [whole]
        out.print(first)
        if more:
            rest = whole[len(first) :]
            rest = rest[len(rest) - len(rest.plain.lstrip()) :]
            for line in rest.wrap(out, max(out.width - indent, 20)):
                out.print(Text(" " * indent) + line)


def ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """What was counted, most first, equally many by name."""
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def short(value: object) -> str:
    """`value`, of a number that is not whole four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


_STYLE = {Level.ERROR: "bold red", Level.WARNING: "yellow", Level.NOTE: "cyan"}


def console(*, stderr: bool = False) -> Console:
    """A console that never wraps a path or a number into pieces when the output is not a terminal."""
    plain = Console(stderr=stderr, highlight=False)
    return plain if plain.is_terminal else Console(stderr=stderr, highlight=False, width=10_000, soft_wrap=True)


def show_run(run: pipeline.Run, pictures: Path | None = None) -> None:
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
        validated = run.last(types.Validated)
        framing = validated.adapted.preprocessing.framing if validated else None
        render.show_next(render.after_conversion(run, pictures), out, str(framing.frame) if framing else None)
    if run.error:
        for line, indent in zip(error_lines(run.error), (2, 4), strict=False):
            print_hanging(console(stderr=True), Text(line, style="red"), indent)


def _found(records: Iterable[pipeline.Record]) -> Iterator[Finding]:
    return (finding for record in records for finding in record.findings)


def _show_subject(run: pipeline.Run, out: Console) -> None:
    """What was converted, and how well."""
    if export := run.last(types.Export):
        adapted = run.last(types.Adapted)
        model = kind(export.facts)
        if labels := adapted.head.labels if adapted else export.metadata.labels:
            shown = ", ".join(labels[:6]) + (", ..." if len(labels) > 6 else "")
            model += f", {len(labels)} label{'s' if len(labels) > 1 else ''} ({shown})"
        numbers = "int8 codes" if export.coded else export.facts.quantization
        numbers += ", calibrated to int8" if adapted is not None and adapted.calibrated else ""
        line = f"[bold]{escape(export.name)}[/]: {escape(model)}, {numbers}"
        print_hanging(out, Text.from_markup(line), 2)
        where = f"{export.source} > {export.member}" if export.member else export.source
        stored = stored_as(export.form)
        print_hanging(out, Text(f"  from      {where} ({stored}, sha256 {export.digest[:12]})"), 12)
        for line in impulse_lines(export.impulse) if export.impulse else ():
            print_hanging(out, Text(f"  {line}"), 12)
    if impulse := run.last(types.ValidatedImpulse):
        for name, line in _impulse_evidence(impulse):
            print_hanging(out, Text(f"  {name:<9} {line}"), 12)
    if validated := run.last(types.Validated):
        for name, line in _evidence_lines(validated):
            print_hanging(out, Text(f"  {name:<9} {line}"), 12)


def show_findings(findings: Iterable[Finding], out: Console, *, explain: bool = True) -> None:
    """One line a finding, its hint below; a hint that several have only once.

    Args:
        explain: say at the end what explains those without a hint.
    """
    hints: set[str] = set()
    without: dict[str, None] = {}
    for finding in dict.fromkeys(findings):
        place = ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part is not None)
        style = _STYLE[finding.level]
        message = f"{place}: {finding.message}" if place else finding.message
        line = f"  [{style}]{finding.level.value}[/] {finding.id} {escape(message)}"
        print_hanging(out, Text.from_markup(line), 4)
        if finding.hint is None:
            without[finding.id] = None
        elif finding.hint not in hints:
            hints.add(finding.hint)
            print_hanging(out, Text.from_markup(f"    [dim]hint:[/] {escape(finding.hint)}"), 6)
    if without and explain:
        print_hanging(out, Text.from_markup(f"  [dim]more:[/] ei-deepstream explain {' '.join(without)}"), 8)


def percent(share: float) -> str:
    """0.9987 as "99.87 %", 1.0 as "100 %"; never rounded up to 100."""
    return "100 %" if share == 1 else f"{min(share * 100, 99.99):.4g} %"


def _impulse_evidence(validated: types.ValidatedImpulse) -> list[tuple[str, str]]:
    evidence = validated.evidence
    features = evidence.features
    inputs = f"{features.inputs} windows"
    if evidence.recordings:
        inputs += f", {evidence.recordings} of them recorded"
    apart = f"max difference to an independent computation {features.max_abs_diff:.2g}, {inputs}"
    lines = [("features", apart)]
    if network := evidence.network:
        # Beyond the limit is no fault where activations are rounded.
        limit = "" if validated.model.step else f" (limit {network.tolerance:.2g})"
        lines.append(("network", f"max difference {network.max_abs_diff:.2g}{limit}"))
    if scores := evidence.scores:
        same = f"decides as the original on {percent(scores.top1)} of {scores.inputs} windows"
        own = evidence.int8_agreement.kernels if evidence.int8_agreement else None
        as_own = "" if own is None else f" (its own two kernels: {percent(own)})"
        lines.append(("scores", f"{same}{as_own}, max difference {scores.max_abs_diff:.2g}"))
    if anomaly := evidence.anomaly:
        lines.append(("anomaly", f"max difference {anomaly.max_abs_diff:.2g}"))
    sizes = "/".join(map(str, evidence.batch.sizes))
    lines.append(("batch", f"{sizes} give the same, max difference {evidence.batch.max_abs_diff:.2g}"))
    if evidence.tensorrt:
        lines.append(("tensorrt", evidence.tensorrt))
    return lines


def _evidence_lines(validated: types.Validated) -> list[tuple[str, str]]:
    evidence, adapted, lines = validated.evidence, validated.adapted, []
    if parity := evidence.parity:
        rounded = ", of codes" if adapted.has_own_codes else ", of rounded activations"
        limit = rounded if adapted.has_steps else f" (limit {parity.tolerance:g})"
        difference = f"max difference {parity.max_abs_diff:.2g}{limit}"
        lines.append(("parity", f"{difference}, top-1 equal {percent(parity.top1)}, {parity.inputs} inputs"))
    if batch := evidence.batch:
        sizes = "/".join(map(str, batch.sizes))
        lines.append(("batch", f"{sizes} give the same, max difference {batch.max_abs_diff:.2g}"))
    if evidence.decoding is not None:
        lines.append(("decoding", f"max difference to an independent decoding {evidence.decoding:.2g}"))
    if (plain := adapted.for_objects) and (measured := evidence.for_objects) and (parity := measured.parity):
        difference = f"max difference {parity.max_abs_diff:.2g}, {parity.inputs} inputs"
        lines.append(("objects", f"{plain.file}, for a secondary engine, takes pictures of its own size: {difference}"))
    if framing := adapted.preprocessing.framing:
        part = "" if framing.anchor == images.CENTRE else f" to the {framing.part}"
        crops = f", which the model {framing.does}{part}" if framing.crops else ""
        other = f"for another camera's give --frame {framing.frame.other}"
        if isinstance(framing, Resizing) and framing.is_exact:
            crops, other = ", which the model resizes itself", "for another camera's give --frame WIDTHxHEIGHT"
        lines.append(("frames", f"whole ones of {framing.frame}{crops}; {other}"))
    if effect := evidence.framing:
        lines.append(("framing", _effect_line(effect)))
    if answers := evidence.answers:
        lines.append(("answers", _answers_line(answers)))
    if (agreement := evidence.int8_agreement) and (original := validated.adapted.export.original):
        from convert.export.facts import facts  # a float model has none

        rounded = f", rounded as the original: {agreement.layers} layer" if agreement.rounded else ""
        done = f"rewritten in float32{rounded}"
        same = f"decides as the original on {percent(agreement.top1)} of {agreement.inputs:,} inputs"
        own = agreement.kernels
        as_own = "" if own is None else f" (its own two kernels: {percent(own)})"
        lines.append((facts(original).quantization, f"{done}: {same}{as_own}"))
    if codes := evidence.int8:
        lines.append(("codes", _codes_line(codes)))
    lines += _precision_lines(evidence.precisions)
    if evidence.tensorrt:
        lines.append(("tensorrt", evidence.tensorrt))
    return lines


def _precision_lines(rows: Sequence[types.PrecisionEvidence]) -> Iterator[tuple[str, str]]:
    """The table: size, decisions, largest difference, and what runs in it."""
    for row in rows:
        known = [] if row.weights is None else [f"weights {row.weights / 1000:,.0f} kB"]
        if same := row.agreement:
            shown = "" if row.shown is None else f" ({row.shown} show an object)"
            known.append(f"same decisions {percent(same.top1)} of {same.inputs:,} inputs{shown}")
            known.append(f"max difference {same.max_abs_diff:.2g}")
            known.append(f"{sum(row.nodes.values())} nodes")
        else:
            known.append("not measured")
        if row.float_nodes:
            known.append(f"in float: {', '.join(row.float_nodes)}")
        if row.overflow:
            known.append(f"{len(row.overflow)} beyond 65504")
        yield row.precision.upper(), ", ".join(known)


def _codes_line(codes: types.Int8Evidence) -> str:
    """How a model of 8-bit codes decides beside the original's own kernels."""
    ours, own = codes.plain, codes.kernels
    boxes = ""
    if codes.moved and any(codes.moved):
        boxes = "; half of the boxes within {:.2g} pixels of the original's ({:.2g})".format(*codes.moved)
    return (
        f"the original's: decides as it does on {percent(ours.top1)} of {ours.inputs:,} inputs (its own two kernels: "
        f"{percent(own.top1)}), mean difference {ours.mean_abs_diff:.2g} ({own.mean_abs_diff:.2g}){boxes}; "
        f"{percent(codes.share)} of multiplications in INT8"
    )


def _effect_line(effect: types.FrameEffect) -> str:
    """How often the best answer is Edge Impulse's, cropped in the model and squashed."""
    squash, of = effect.squash, ", ".join(effect.frames) or "their own shape"
    squashed = f"{percent(squash.top1)} squashed, mean difference {squash.mean_abs_diff:.2g}"
    if (crop := effect.crop) is None:
        return f"best answer as in Edge Impulse on {squashed}, {squash.inputs} pictures of {of}"
    cropped = f"{percent(crop.top1)} cropped, mean difference {crop.mean_abs_diff:.2g}"
    return f"best answer as in Edge Impulse on {cropped}; on {squashed}; {crop.inputs} frames of {of}"


def _answers_line(answers: types.AnswerEvidence) -> str:
    """On how many pictures the bundle shows what Edge Impulse answers, and why it does not on the others."""
    groups = [(answers.generated, f"frames of {answers.frame}")]
    groups += [(answers.given, "pictures of yours")] if answers.given else []
    if answers.threshold is not None and not any(counts.shown for counts, _ in groups):
        tried = " and ".join(f"{counts.pictures} {what}" for counts, what in groups)
        more = "" if answers.given else "; --images compares on yours"
        return f"neither Edge Impulse nor the bundle shows an object on {tried}{more}"
    detects = answers.threshold is not None
    shown = [group for group in groups if group[0].shown or not detects]
    line = "same answer as Edge Impulse on " + " and ".join(_same(*group, detects=detects) for group in shown)
    line += "".join(
        f"; none of {counts.pictures} {what} shows an object" for counts, what in groups if not counts.shown
    )
    differing = sum(counts.differing for counts, _ in groups)
    if not differing:
        return line
    line += f"; {differing} {'differs' if differing == 1 else 'differ'}"
    if not answers.causes:
        return line
    some = "" if answers.explained == differing else f", {answers.explained} of them"
    causes = [f"{_CAUSES.get(cause, cause)} ({count})" for cause, count in answers.causes.items()]
    if len(causes) == 1:
        causes = [_CAUSES.get(cause, cause) for cause in answers.causes]
    line += f"{some} because of {', '.join(causes)}"
    if compare.Cause.INTERPOLATION in answers.causes:
        line += "; with --frame WIDTHxHEIGHT --resize graph the model scales frames as Edge Impulse does"
    return line


_CAUSES = {"model": "the model's arithmetic", "merge": "merging", "luma": "grey levels"}
"""Causes (`convert.compare.Cause`) whose name alone would not be understood."""


def _same(counts: types.AnswerCounts, what: str, *, detects: bool) -> str:
    """`19 of 20 frames of 16:9 that show an object (40 compared)`; of a classifier all show something."""
    of = counts.shown if detects else counts.pictures
    line = f"{of - counts.differing} of {of} {what}"
    notes = []
    if detects and of < counts.pictures:
        line += " that show an object"
        notes.append(f"{counts.pictures} compared")
    if counts.drifting:
        notes.append(f"{counts.drifting} with other scores{' or places' if detects else ''}")
    return line + (f" ({', '.join(notes)})" if notes else "")


_MARKS = {"done": "[green]done[/]", "failed": "[red]failed[/]", "planned": "[cyan]planned[/]"}


def _clock(console: Console) -> Progress:
    """A line with a name and the seconds since it was reset, which goes away at the end."""
    from rich.progress import Progress, SpinnerColumn, TextColumn  # for a terminal only

    clock = Progress(
        SpinnerColumn(), TextColumn("{task.description} {task.elapsed:.0f} s"), console=console, transient=True
    )
    clock.add_task("", total=None)
    return clock


@contextmanager
def progress() -> Iterator[Callable[[pipeline.Event], None]]:
    """An observer for `convert.convert`: live on a terminal, silent when standard error is not one.

    The line at the bottom shows the present stage and how many seconds it has been running. rich is imported when the
    first stage starts: the worker process imports what takes longer at the same time.
    """
    shown: list[Any] = []  # console and running clock, once there is something to show
    with ExitStack() as stack:

        def observe(event: pipeline.Event) -> None:
            if not shown:
                console = Console(stderr=True, highlight=False)
                shown.extend((console, stack.enter_context(_clock(console)) if console.is_terminal else None))
            console, clock = shown
            if clock is None:
                return
            if event.status == "started":
                clock.reset(clock.task_ids[0], description=event.name)
            elif event.status in _MARKS:  # of what was skipped nobody asks how long it took
                console.print(f"{event.name:<10} {_MARKS[event.status]} [dim]{event.seconds:6.2f} s[/]")

        yield observe
