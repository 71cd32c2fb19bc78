"""A run, and what it found, as text for people.

Colour where it is wanted: on terminals, unless NO_COLOR says no; anywhere, if FORCE_COLOR says yes.

(no-color.org and force-color.org; a dumb terminal has none.) Plain codes, so that `check` starts without rich.

How an error that ends a command is shown: one sentence, where, and what to do.

What a person sees on standard error while a run goes on: the stage that is running, then its time.

`python -m convert.render.text [README.md]`: writes the table of rules into README.

Rules for people, for machines, and for README's table.

The table of targets, and one of them at length, as text and JSON.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from convert.check.fixes import FIXABLE
from convert.errors import PresetError
from convert.files import write
from convert.findings import Level, rulebook
from convert.nvinfer.targets import (
    between,
    catalogue,
    key_works_until,
    opsets,
    parsers,
    sdk_path,
    sinks,
    tracker,
    trtexec_accepts,
    trtexec_flags,
    trtexec_note,
)
from convert.render.machine import dumps, failure_document
from convert.report import SCHEMA_VERSION
from convert.types import Adapted, Bundle, Export, Validated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import IO

    from convert.errors import ConvertError
    from convert.findings import Finding, Rule
    from convert.nvinfer.targets import Target
    from convert.pipeline import Event, Record, Run
    from convert.types import Evidence, FrameEffect


__all__ = [
    "MARKS",
    "Paint",
    "console",
    "details",
    "error_lines",
    "explanation",
    "listing",
    "main",
    "paint_for",
    "percent",
    "progress",
    "readme_table",
    "rules_document",
    "show_error",
    "show_findings",
    "show_run",
    "table",
    "targets_document",
]


def error_lines(error: ConvertError) -> list[str]:
    """`error: PATH:LINE: message` and the hint."""
    place = "".join(f"{part}:" for part in (error.path, error.line) if part is not None)
    lines = [f"error: {place} {error.message}" if place else f"error: {error.message}"]
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


def show_run(run: Run) -> None:
    """What came out on standard output; an error on standard error."""
    out = console()
    _show_subject(run, out)
    if run.secondary:
        theirs = {id(record) for record in run.secondary.records}
        place = next((at for at, record in enumerate(run.records) if id(record) in theirs), len(run.records))
        behind = [record for record in run.records[place:] if id(record) not in theirs]
        show_findings(_found(run.records[:place]), out)
        _show_subject(run.secondary, out)
        show_findings(_found([*run.secondary.records, *behind]), out)
    else:
        show_findings(run.findings, out)
    if run.outputs:
        planned = any(record.status == "planned" for record in run.records)
        out.print("would write" if planned else "wrote", style="bold")
        for output in run.outputs:
            size = "" if output.sha256 is None else f"  [dim]{Path(output.path).stat().st_size:,} bytes[/]"
            out.print(f"  {escape(output.path)}{size}")
        if bundle := run.last(Bundle):
            names = (Path(file.path).name for file in bundle.files)
            app = next(name for name in names if name.startswith("deepstream_app_"))
            run_it = f"./build_engine.sh && deepstream-app -c {app}"
            out.print(f"next: copy {escape(bundle.folder)} to the target, there: {escape(run_it)}")
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
        for name, line in _evidence_lines(validated.evidence):
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


def _evidence_lines(evidence: Evidence) -> list[tuple[str, str]]:
    lines = []
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
    if agreement := evidence.int8_agreement:
        same = f"same decision on {percent(agreement.top1)} of {agreement.inputs} inputs"
        kept = ", first layer rounded" if agreement.rounded else ""
        lines.append(("int8", f"{same}, mean difference {agreement.mean_abs_diff:.2g}{kept}"))
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


Paint: TypeAlias = "Callable[[str, str], str]"
"""Text and an SGR code ("1;31") -> the text in that colour, or as it is."""


def paint_for(stream: IO[str]) -> Paint:
    """How to colour text that goes to `stream`."""
    if os.environ.get("NO_COLOR"):
        return _plain
    if os.environ.get("FORCE_COLOR") or (stream.isatty() and os.environ.get("TERM") != "dumb"):
        return _coloured
    return _plain


def _plain(text: str, code: str) -> str:  # noqa: ARG001 - the signature of Paint
    return text


def _coloured(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


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


_WIDTH: Final = 100
_COLOURS: Final = {Level.ERROR: "1;31", Level.WARNING: "1;33", Level.NOTE: "1;36"}
_MARKERS = re.compile(r"(?<=<!-- rules -->\n).*?(?=<!-- /rules -->)", re.DOTALL)


def explanation(rule: Rule) -> str:
    """A rule at length."""
    paint = paint_for(sys.stdout)
    parts = [f"{paint(rule.id, '1')} {paint(rule.level.value, _COLOURS[rule.level])}: {paint(rule.title, '1')}"]
    for head, text in (("What happens", rule.why), ("What to do", rule.fix)):
        if text:
            body = fill(text, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
            parts.append(f"{head}\n{body}")
    if rule.id in FIXABLE:
        parts.append("  `ei-deepstream check --fix` does it where that is mechanical.")
    if rule.id.startswith("NVI"):
        parts.append(f"To have it so: a line `# check: ignore {rule.id}` above the line it is about.")
    return "\n\n".join(parts) + "\n"


def listing(rules: Iterable[Rule]) -> str:
    """A line a rule."""
    paint = paint_for(sys.stdout)
    lines = [f"{rule.id:<6}  {paint(f'{rule.level.value:<7}', _COLOURS[rule.level])}  {rule.title}" for rule in rules]
    return "\n".join([*lines, "", "`ei-deepstream explain NVI014` says more about one."]) + "\n"


def rules_document(rules: Iterable[Rule]) -> dict[str, Any]:
    """`{schema_version, rules: [{id, level, title, why, fix, fixable}]}`."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rules": [
            {
                "id": rule.id,
                "level": rule.level.value,
                "title": rule.title,
                "why": rule.why,
                "fix": rule.fix,
                "fixable": rule.id in FIXABLE,
            }
            for rule in rules
        ],
    }


def readme_table(readme: str, rules: Iterable[Rule]) -> str:
    """README with the table of all rules between its markers.

    Raises:
        ValueError: the markers are not there.
    """
    rows = [f"| {rule.id} | {rule.level.value} | {rule.title.replace('|', chr(92) + '|')} |" for rule in rules]
    table = "\n".join(["| rule | level | what |", "|---|---|---|", *rows]) + "\n"
    if not _MARKERS.search(readme):
        raise ValueError("README has no <!-- rules --> and <!-- /rules -->")
    return _MARKERS.sub(lambda _: table, readme)


def main(path: Path) -> None:
    """Bring the table in the file `path` up to date."""
    write(path, readme_table(path.read_text(encoding="utf-8"), rulebook().values()).encode())


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "README.md"))


_CELLS: Final = (
    "deepstream",
    "platform",
    "tensorrt",
    "cuda",
    "jetpack",
    "l4t",
    "ubuntu",
    "gstreamer",
    "released",
    "families",
)


def table(found: Sequence[Target]) -> str:
    """A row a target; * behind what is not verified, - where nothing is known."""
    rows = [[cell.replace("deepstream", "DeepStream") for cell in _CELLS]]
    rows += [[_cell(target, cell) for cell in _CELLS] for target in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_CELLS))]
    head, *body = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    paint = paint_for(sys.stdout)
    notes = "* not verified; - not known or not there. `ei-deepstream targets deepstream-7.1` says more about one."
    return "\n".join([paint(head, "1"), *body, "", notes]) + "\n"


def details(target: Target) -> str:
    """One target: its versions, and what nvinfer, trtexec and deepstream-app of that release know."""
    paint = paint_for(sys.stdout)
    facts = {cell: _cell(target, cell) for cell in _CELLS[2:]}
    facts |= {
        name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in _known(target).items()
    }
    lines = [paint(f"{target.name}, {target.platform}", "1")]
    for name, value in facts.items():
        if value and value != "-":
            text = fill(value, _WIDTH, initial_indent=f"  {name.replace('_', ' '):<20} ", subsequent_indent=" " * 23,
                        break_on_hyphens=False)  # fmt: skip
            lines.append(text)
    lines += [f"  * {cell}: {why}" for cell, why in target.unverified]
    return "\n".join(lines) + "\n"


def targets_document(found: Sequence[Target]) -> dict[str, Any]:
    """`{schema_version, targets: [...]}`; `not_verified` maps a cell to the reason."""
    return {"schema_version": SCHEMA_VERSION, "targets": [_document(target) for target in found]}


def _document(target: Target) -> dict[str, Any]:
    cells = {cell: getattr(target, cell) for cell in _CELLS[:-1]}
    return {
        "name": target.name,
        **cells,
        "families": list(target.families),
        "root": target.root,
        "min_object_size": target.min_object_size,
        **_known(target),
        "not_verified": dict(target.unverified),
    }


def _known(target: Target) -> dict[str, Any]:
    """What the programs of a release know that others do not."""
    release, rows = target.deepstream, catalogue()
    low, high = opsets(target.tensorrt)
    return {
        "keys_it_lacks": sorted(key for key, since in rows.keys_since.items() if not between(release, since, None)),
        "keys_without_effect": sorted(
            key for key in rows.keys_work_until if not between(release, None, key_works_until(key))
        ),
        "parse_functions": [each.function for each in parsers(target)],
        "parser_library": sdk_path(target, "parser-library"),
        "onnx_opsets": f"{low} to {high}",
        "trtexec": sdk_path(target, "trtexec"),
        "trtexec_fp32": " ".join(trtexec_flags(target.tensorrt, "fp32")),
        "trtexec_fp16": _fp16(target),
        "trtexec_lacks": sorted(flag for flag in rows.flags if not trtexec_accepts(flag, target.tensorrt)),
        "sinks": [f"{sink.type}: {sink.what}" for sink in sinks(target)],
        "tracker": _tracker(target),
    }


def _fp16(target: Target) -> str | None:
    try:
        flags = " ".join(trtexec_flags(target.tensorrt, "fp16"))
    except PresetError:
        return None
    note = trtexec_note(target.tensorrt, "fp16")
    return f"{flags} ({note})" if note else flags


def _tracker(target: Target) -> str | None:
    try:
        return sdk_path(target, tracker(target).library)
    except PresetError:
        return None


def _cell(target: Target, cell: str) -> str:
    value = getattr(target, cell)
    text = ", ".join(value) if isinstance(value, tuple) else value or ""
    doubtful = any(name == cell for name, _ in target.unverified)
    return f"{text}*" if doubtful and text else text or "-"
