"""A simulation for people at a terminal, and for programs as one JSON document."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from convert.render.text import console, show_findings
from convert.report import SCHEMA_VERSION, finding_document, output_document
from convert.simulate.document import objects_document
from convert.simulate.settings import NetworkType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from convert.findings import Finding
    from convert.simulate.scene import Engine, Frame, Lost, Simulation
    from convert.writing import Output

__all__ = ["frames_counted", "show_simulation", "simulation_document"]

_MOST_ROWS = 60  # of pictures; objects.json has them all
_MOST_OBJECTS = 6  # of one picture


def simulation_document(
    simulation: Simulation, findings: Sequence[Finding], outputs: Sequence[Output], exit_code: int
) -> dict[str, Any]:
    """`{schema_version, exit_code, summary, seconds, ... as objects.json ..., outputs[], findings[], error}`.

    `seconds` are the only values that differ between two equal runs.
    """
    frames = simulation.frames
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "summary": {
            "frames": len(frames),
            "frames that show something": sum(frame.shows for frame in frames),
            "labels": dict(sorted(_labels(frames).items(), key=lambda pair: (-pair[1], pair[0]))),
        },
        "seconds": {part: round(seconds, 6) for part, seconds in simulation.seconds.items()},
        **{key: value for key, value in objects_document(simulation).items() if key != "schema_version"},
        "outputs": [output_document(output) for output in outputs],
        "findings": [finding_document(finding) for finding in findings],
        "error": None,
    }


def show_simulation(simulation: Simulation, findings: Sequence[Finding], outputs: Sequence[Output]) -> None:
    """A line for each engine, a row for each picture, what was found, and where the results are."""
    out = console()
    for engine in simulation.engines:
        out.print(_engine_line(engine))
        for words in engine.approximated:
            out.print(f"  [yellow]approximated[/] {escape(words)}")
    out.print(_table(simulation.frames))
    frames = simulation.frames
    if len(frames) > _MOST_ROWS:
        out.print(f"[dim]{len(frames) - _MOST_ROWS} more pictures are in objects.json[/]")
    shown = sum(frame.shows for frame in frames)
    out.print(f"{shown} of {len(frames)} {'picture shows' if len(frames) == 1 else 'pictures show'} something")
    if counts := _labels(frames):
        ordered = sorted(counts.items(), key=lambda one: (-one[1], one))
        out.print("  " + ", ".join(f"{escape(label)} {count}" for label, count in ordered))
    if times := _times(simulation):
        out.print(f"[dim]{times}[/]")
    show_findings(findings, out)
    tops = [output.path for output in outputs if output.path.endswith((".json", ".html"))]
    out.print("wrote " + ", ".join(escape(path) for path in tops) + f" and {len(outputs) - len(tops)} files beside")


@contextmanager
def frames_counted(*, quiet: bool) -> Iterator[Callable[[int | None], None]]:
    """Hears the number of pictures first (None: not known), then 1 for each: a bar on a terminal, else nothing."""
    terminal = Console(stderr=True)
    if quiet or not terminal.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task("", total=None)
        started: list[bool] = []

        def told(number: int | None) -> None:
            if started:
                progress.advance(task, number or 0)
            else:
                started.append(True)
                progress.update(task, total=number)

        yield told


def _labels(frames: Sequence[Frame]) -> Counter[str]:
    """How often each text is seen."""
    texts = [frame.label.strip() for frame in frames if frame.label]
    texts += [found.text or f"class {found.class_id}" for frame in frames for found in frame.objects]
    return Counter(texts)


def _engine_line(engine: Engine) -> str:
    settings, network = engine.settings, engine.network
    kind = "classifier" if settings.network_type is NetworkType.CLASSIFIER else "detector"
    subject = "objects" if settings.on_objects else "frames"
    model = engine.model.name if engine.model else "recorded tensors"
    size = f"{network.width}x{network.height}x{network.channels}"
    said = f"{kind} of {subject}: {model}, {size}, {engine.config}"
    return f"[bold]engine {settings.unique_id}[/] {escape(said)}"


def _table(frames: Sequence[Frame]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("picture", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("shown")
    table.add_column("not shown")
    for frame in frames[:_MOST_ROWS]:
        lost = next((one for one in frame.lost if one.of is None), None)
        why = "" if frame.shows else _why(frame, lost)
        seen = sum(bool(found.unseen) for found in frame.objects)
        if frame.shows and seen:
            why = f"{seen} of {len(frame.objects)} objects passed over: {frame.objects[_first_unseen(frame)].unseen[0]}"
        table.add_row(escape(frame.name), f"{frame.width}x{frame.height}", _shown(frame), escape(why), style=None)
    return table


def _first_unseen(frame: Frame) -> int:
    return next(index for index, found in enumerate(frame.objects) if found.unseen)


def _why(frame: Frame, lost: Lost | None) -> str:
    if lost is None:
        return frame.notes[-1] if frame.notes else "the model gives no candidate"
    return f"{lost.label or f'class {lost.class_id}'}: {lost.why}"


def _shown(frame: Frame) -> str:
    parts = []
    if frame.label:
        best = max((said.confidence for said in frame.said), default=0.0)
        parts.append(f"[green]{escape(frame.label.strip())}[/] {best:.3f}")
    counts = Counter(found.text or f"class {found.class_id}" for found in frame.objects)
    for text, count in list(counts.items())[:_MOST_OBJECTS]:
        best = max(found.confidence for found in frame.objects if (found.text or f"class {found.class_id}") == text)
        times = f"{count} x " if count > 1 else ""
        parts.append(f"{times}[green]{escape(text)}[/] {best:.3f}")
    if len(counts) > _MOST_OBJECTS:
        parts.append("...")
    return ", ".join(parts) or "[yellow]nothing[/]"


def _times(simulation: Simulation) -> str:
    """ "1,000 pictures: decode pictures 1.2 s, preprocess 0.1 s, infer 0.5 s, decode 0.0 s"."""
    if not any(simulation.seconds.values()):
        return ""
    return ", ".join(f"{part} {seconds:.2f} s" for part, seconds in simulation.seconds.items())
