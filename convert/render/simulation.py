"""Prints a simulation and its comparison with Edge Impulse, as text or as one JSON document, and writes their files.

The folder of results: drawn/ and kitti/ picture by picture, then objects.json, against.json and report.html.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from rich.text import Text

from convert.compare import DIFFERS, DRIFTS, Comparison, Prediction, Reason, Verdict
from convert.errors import ConvertError, InputError, OutputError
from convert.files import Output, write_all
from convert.images.read import is_video
from convert.render import check, drawing, machine, video
from convert.render.page import MOST_PICTURES, page
from convert.render.text import console, print_hanging, ranked, show_findings
from convert.report import SCHEMA_VERSION, BundleReport, dumps, finding_document, output_document
from convert.simulate.results import Counts, FrameResult, SimulatedEngine, Simulation, objects_document
from convert.simulate.settings import NetworkType

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from convert.check.loading import ChosenTarget
    from convert.findings import Finding
    from convert.simulate.job import Simulated

_MOST_PASSAGES = 40  # of a video
_MOST_ROWS = 60  # of pictures; objects.json has them all
_SIMULATION_MOST_OBJECTS = 6  # of one picture


def simulation_document(result: Result, exit_code: int) -> dict[str, Any]:
    """`{schema_version, exit_code, target, config, summary, seconds, ..., outputs[], findings[], error}`.

    `...` are those of objects.json; `config` is the one that was taken of a bundle, else null.

    `seconds` are the only values that differ between two equal runs.
    """
    simulation, frames = result.simulation, result.simulation.frames
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "target": result.target and machine.target_document(result.target),
        "config": None if result.taken is None else str(result.taken),
        "summary": {
            "frames": len(frames),
            "frames that show something": sum(frame.shows for frame in frames),
            "labels": dict(ranked(_labels(frames))),
        },
        "seconds": {part: round(seconds, 6) for part, seconds in simulation.seconds.items()},
        **{key: value for key, value in objects_document(simulation).items() if key != "schema_version"},
        "outputs": [output_document(output) for output in result.outputs],
        "findings": [finding_document(finding) for finding in result.findings],
        "error": None,
    }


def show_simulation(result: Result) -> None:
    """A line for the target and each engine, a row for each picture, what was found, and where the results are."""
    out, simulation, outputs = console(), result.simulation, result.outputs
    if result.taken is not None:
        out.print(f"[dim]of the bundle: {escape(str(result.taken))}[/]")
    if result.target is not None:
        out.print(f"[dim]for {escape(check.for_target(result.target))}[/]")
    for engine in simulation.engines:
        print_hanging(out, Text.from_markup(_engine_line(engine)), 2)
        for words in engine.approximated:
            print_hanging(out, Text.from_markup(f"  [yellow]approximated[/] {escape(words)}"), 4)
    out.print(_table(simulation.frames))
    frames = simulation.frames
    if len(frames) > _MOST_ROWS:
        out.print(f"[dim]{len(frames) - _MOST_ROWS} more pictures are in objects.json[/]")
    shown = sum(frame.shows for frame in frames)
    out.print(f"{shown} of {len(frames)} {'picture shows' if len(frames) == 1 else 'pictures show'} something")
    if counts := _labels(frames):
        print_hanging(out, Text("  " + ", ".join(f"{label} {count}" for label, count in ranked(counts))), 2)
    for counted in simulation.counts:
        _show_counts(counted, out)
    if any(simulation.seconds.values()):
        times = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in simulation.seconds.items())
        out.print(f"[dim]{times}[/]")
    elsewhere = {DIFFERS.id, DRIFTS.id} if result.comparison else set()  # `show_comparison` prints them with pictures
    show_findings([finding for finding in result.findings if finding.id not in elsewhere], out)
    tops = [output.path for output in outputs if output.path.endswith((".json", ".html", ".mp4"))]
    out.print("wrote " + ", ".join(escape(path) for path in tops) + f" and {len(outputs) - len(tops)} more files")


@contextmanager
def frames_counted(*, quiet: bool) -> Iterator[Callable[[int | None], None]]:
    """Takes the number of pictures first (None: not known), then 1 for each: a bar on a terminal, else nothing."""
    terminal = Console(stderr=True)
    if quiet or not terminal.is_terminal:
        yield lambda _: None
        return
    columns = (TextColumn("simulating"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=terminal, transient=True) as progress:
        task = progress.add_task("", total=None)
        started: list[bool] = []

        def advance(number: int | None) -> None:
            if started:
                progress.advance(task, number or 0)
            else:
                started.append(True)
                progress.update(task, total=number)

        yield advance


def _labels(frames: Sequence[FrameResult]) -> Counter[str]:
    """How often each text is shown."""
    texts = [frame.label.strip() for frame in frames if frame.label]
    texts += [found.text or f"class {found.class_id}" for frame in frames for found in frame.objects]
    return Counter(texts)


def _engine_line(engine: SimulatedEngine) -> str:
    settings, network = engine.settings, engine.network
    kind = "classifier" if settings.network_type is NetworkType.CLASSIFIER else "detector"
    subject = "objects" if settings.on_objects else "frames"
    model = engine.model.name if engine.model else "recorded tensors"
    size = f"{network.width}x{network.height}x{network.channels}"
    classification = f"{kind} of {subject}: {model}, {size}, {engine.config}"
    return f"[bold]engine {settings.unique_id}[/] {escape(classification)}"


def _table(frames: Sequence[FrameResult]) -> Table:
    columns = Column("picture", overflow="fold"), Column("size", justify="right", no_wrap=True), "shown"
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    if any(not frame.shows or any(found.skipped for found in frame.objects) for frame in frames[:_MOST_ROWS]):
        table.add_column("not shown")
    for frame in frames[:_MOST_ROWS]:
        why = "" if frame.shows else _why(frame)
        skipped = [found.skipped[0] for found in frame.objects if found.skipped]
        if frame.shows and skipped:
            why = f"{len(skipped)} of {len(frame.objects)} objects passed over: {skipped[0]}"
        cells = (escape(frame.name), f"{frame.width}x{frame.height}", _shown(frame), escape(why))
        table.add_row(*cells[: len(table.columns)])
    return table


def _why(frame: FrameResult) -> str:
    """Of the best candidate for the whole picture, or the last note."""
    candidate = next((one for one in frame.dropped if one.of is None), None)
    if candidate is None:
        return frame.notes[-1] if frame.notes else "the model gives no candidate"
    return f"{candidate.label or f'class {candidate.class_id}'}: {candidate.why}"


def _shown(frame: FrameResult) -> str:
    parts = []
    if frame.label:
        best = max((classification.confidence for classification in frame.classifications), default=0.0)
        parts.append(f"[green]{escape(frame.label.strip())}[/] {best:.3f}")
    counts = Counter(found.text or f"class {found.class_id}" for found in frame.objects)
    for text, count in list(counts.items())[:_SIMULATION_MOST_OBJECTS]:
        best = max(found.confidence for found in frame.objects if (found.text or f"class {found.class_id}") == text)
        times = f"{count} x " if count > 1 else ""
        parts.append(f"{times}[green]{escape(text)}[/] {best:.3f}")
    if len(counts) > _SIMULATION_MOST_OBJECTS:
        parts.append("...")
    return ", ".join(parts) or "[yellow]nothing[/]"


def _show_counts(counts: Counts, out: Console) -> None:
    """Totals, passages and why others were not counted."""
    totals = ", ".join(f"[green]{escape(name)}[/] {words}" for name, words in counts.totals) or "no lines"
    out.print(f"[bold]counted in {escape(counts.source)}[/] {totals}  [dim]({counts.objects} objects tracked)[/]")
    if counts.edge_impulse is not None:
        theirs = ", ".join(f"{escape(name)} {count}" for name, count in counts.edge_impulse)
        out.print(f"  as Edge Impulse on the same tracks, both directions together: {theirs}")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("seconds", "object", "label", "line"):
        table.add_column(title, justify="right" if title in {"seconds", "object"} else "left", overflow="fold")
    for one in counts.passages[:_MOST_PASSAGES]:
        table.add_row(f"{one.seconds:.2f}", str(one.id), escape(one.label), escape(one.line))
    if counts.passages:
        out.print(table)
    if len(counts.passages) > _MOST_PASSAGES:
        out.print(f"[dim]{len(counts.passages) - _MOST_PASSAGES} more are in objects.json[/]")
    for each in counts.differences[:_MOST_PASSAGES]:
        text = f"  {each.line}, object {each.id}: DeepStream {each.deepstream}, Edge Impulse {each.edge_impulse}"
        print_hanging(out, Text(text + (f": {each.why}" if each.why else "")), 4)
    for missed in counts.uncounted:
        ids = ", ".join(map(str, missed.ids[:10])) + (", ..." if len(missed.ids) > 10 else "")
        what = "object" if len(missed.ids) == 1 else "objects"
        print_hanging(out, Text(f"  {missed.line}: {len(missed.ids)} {what} {missed.why} ({ids})"), 4)
    if counts.every > 1:
        out.print(
            f"  [yellow]only one of {counts.every} frames was tracked (--every); the device tracks all of them[/]"
        )
    print_hanging(
        out, Text(f"  The tracker is a replacement by overlap: NVIDIA's is closed ({counts.tracker}).", "dim"), 4
    )


_MOST_ROWS_COMPARED = 40  # of pictures that differ; against.json has all
_MOST_OBJECTS_COMPARED = 4  # of one picture
_STYLES = {Verdict.DIFFERS: "red", Verdict.DRIFTS: "yellow", Verdict.SAME: "green"}


def show_comparison(comparison: Comparison, out: Console | None = None) -> None:
    """How many pictures differ and why, then those that do, side by side; nothing of those that are the same."""
    out = out or console()
    total, differ, drift = (
        len(comparison.rows), comparison.count(Verdict.DIFFERS), comparison.count(Verdict.DRIFTS)
    )  # fmt: skip
    kind = f"{'int8 ' if comparison.quantized else ''}{comparison.task}"
    out.print(f"[bold]against Edge Impulse[/] {escape(comparison.original)} ({kind})")
    rows = [row for row in comparison.rows if row.verdict is not Verdict.SAME]
    if rows:
        columns = Column("picture", overflow="fold"), "DeepStream", "Edge Impulse", "because of"
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        for row in sorted(rows, key=lambda row: row.verdict is not Verdict.DIFFERS)[:_MOST_ROWS_COMPARED]:
            causes = f"[{_STYLES[row.verdict]}]{escape(' + '.join(cause.value for cause in row.causes))}[/]"
            table.add_row(escape(row.name), _answer(row.deepstream), _answer(row.edge_impulse), causes)
        out.print(table)
    if len(rows) > _MOST_ROWS_COMPARED:
        out.print(f"[dim]{len(rows) - _MOST_ROWS_COMPARED} more are in against.json[/]")
    pictures = "picture" if total == 1 else "pictures"
    if not rows:
        out.print(f"[green]0 of {total} {pictures} differ:[/] DeepStream shows what Edge Impulse answers")
        return
    if differ:
        out.print(f"[red]{differ} of {total} {pictures} {'differs' if differ == 1 else 'differ'}[/] ({DIFFERS.id})")
    if drift:
        more = " more" if differ else f" of {total} {pictures}"
        verb = "shows" if drift == 1 else "show"
        out.print(f"[yellow]{drift}{more} {verb} the same with scores more than {comparison.tolerance:g} apart[/]"
                  f" or boxes elsewhere ({DRIFTS.id})")  # fmt: skip
    _show_reasons(out, comparison.reasons)
    rules = (*([DIFFERS.id] if differ else ()), *([DRIFTS.id] if drift else ()))
    out.print(f"[dim]more:[/] ei-deepstream explain {' '.join(rules)}")


def _show_reasons(out: Console, reasons: Sequence[Reason]) -> None:
    """Each once, with how many pictures it is named for."""
    for reason in reasons:
        differ, drift = len(reason.pictures), len(reason.drifting)
        if not differ + drift:
            continue
        counts = [f"{differ} of those that differ"] * bool(differ)
        counts += [f"{drift} of those with other scores"] * bool(drift)
        print_hanging(out, Text(f"  because {reason.words}: {', '.join(counts)}"), 4)
        if reason.hint:
            print_hanging(out, Text.from_markup(f"    [dim]hint:[/] {escape(reason.hint)}"), 6)


def _answer(answer: Prediction) -> str:
    if answer.scores:
        if answer.label:
            return f"{escape(answer.label)} {answer.score:.2f}"
        best = max(answer.scores, key=lambda one: one.score)
        return f"[dim]nothing ({escape(best.label or f'class {best.class_id}')} {best.score:.2f})[/]"
    if not answer.objects:
        return "[dim]nothing[/]"
    shown = [
        f"{escape(one.label or f'class {one.class_id}')} {one.score:.2f}"
        for one in answer.objects[:_MOST_OBJECTS_COMPARED]
    ]
    more = len(answer.objects) - _MOST_OBJECTS_COMPARED
    return ", ".join(shown) + (f" [dim]and {more} more[/]" if more > 0 else "")


_AHEAD = 16  # pictures that wait for the thread that draws them,
_MOST_AHEAD = 2**26  # bytes of them
_TOGETHER = 64  # pictures whose files are written in one go, which takes little longer than those of one picture
_MOST_BYTES = 2**25  # of such files, unless one picture's alone are more
_RESULTS_MOST_OBJECTS = 2**28  # bytes of an earlier objects.json that is read before it is replaced


@dataclass(frozen=True, slots=True)
class Result:
    """A simulation, and the files that were written.

    Attributes:
        simulation: engines and frames, with the objects of each.
        findings: of the configs, the pictures and the comparison.
        outputs: in the order they were written.
        comparison: with the original as Edge Impulse runs it, where that was asked for.
        target: the release and platform, and who says so.
        taken: the config that was taken of a bundle's folder; None: the user named it.
    """

    simulation: Simulation
    findings: tuple[Finding, ...]
    outputs: tuple[Output, ...]
    comparison: Comparison | None = None
    target: ChosenTarget | None = None
    taken: Path | None = None


@dataclass(slots=True)
class ResultsFolder:
    """Writes the results: the files of pictures in groups, the files about all of them at the end.

    A thread draws and encodes the pictures while the engines work on the next ones: Pillow and libjpeg release the
    interpreter lock.
    """

    path: Path
    every: int = 1  # of a video, so-many-th frames are given
    outputs: list[Output] = field(default_factory=list)
    drawn: dict[str, bytes] = field(default_factory=dict)
    _before: set[str] = field(default_factory=set)
    _drawn: dict[str, bytes] = field(default_factory=dict)
    _texts: dict[str, bytes] = field(default_factory=dict)
    _waiting: int = 0
    _thread: ThreadPoolExecutor = field(default_factory=partial(ThreadPoolExecutor, 1))
    _begun: deque[tuple[FrameResult, bytes, Future[_Drawn]]] = field(default_factory=deque)
    _added: int = 0
    _videos: video.AnnotatedVideos = field(init=False)

    def __post_init__(self) -> None:
        self._videos = video.AnnotatedVideos(self.path / "video", self.every)
        self._before = _names(self.path / "objects.json")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the pending files; after an error as far as possible, and that error is the one raised."""
        with suppress(ConvertError) if kind else nullcontext(), self._thread:
            self._take(0)
        if value is not None:
            self._videos.abandon(value)
        with suppress(ConvertError) if kind else nullcontext():
            self._write()
            self._videos.close()

    def add(self, frame: FrameResult, pixels: NDArray[np.uint8], kitti: bytes) -> None:
        """Draw one picture, and write it together with some more.

        Raises:
            OutputError: the drawing would replace the picture itself, or cannot be written.
        """
        place = self.path / "drawn" / f"{frame.name}.jpg"
        if place.exists() and frame.source.exists() and place.samefile(frame.source):
            raise OutputError(
                "the drawn picture would take the place of the picture itself", path=place, hint="choose another -o"
            )
        page = self._added < MOST_PICTURES
        self._begun.append((frame, kitti, self._thread.submit(_draw, pixels, frame, page=page)))
        self._added += 1
        sizes = accumulate(3 * frame.width * frame.height for frame, *_ in reversed(self._begun))
        self._take(min(bisect_right([*sizes], _MOST_AHEAD), _AHEAD))

    def _take(self, left: int) -> None:
        """Wait for the drawn pictures but for the last `left`."""
        while len(self._begun) > left:
            frame, kitti, future = self._begun.popleft()
            image, data, page = future.result()
            self._videos.add(frame.source, frame.name, image)
            self._drawn[f"{frame.name}.jpg"] = data
            self._texts[f"{frame.name}.txt"] = kitti
            self._waiting += len(data) + len(kitti)
            if len(self._drawn) == _TOGETHER or self._waiting > _MOST_BYTES:
                self._write()
            if page is not None:
                self.drawn[frame.name] = page

    def _write(self) -> None:
        if not self._drawn:
            return
        drawn, texts = write_all(self.path / "drawn", self._drawn), write_all(self.path / "kitti", self._texts)
        self.outputs += [output for both in zip(drawn, texts, strict=True) for output in both]
        self._drawn, self._texts, self._waiting = {}, {}, 0

    def finish(self, done: Simulated, comparison: Comparison | None = None) -> Result:
        """Write what is about all pictures, and remove what an earlier run drew and this one did not."""
        self._take(0)
        simulation, findings = done.simulation, done.findings
        configs = {str(path): path.read_bytes().decode("utf-8", "replace") for path in done.configs}
        known = _evidence(done.configs[0])
        html = page(simulation, self.drawn, findings=findings, configs=configs, evidence=known, comparison=comparison)
        files = {"report.html": html.encode("utf-8", "replace"), "objects.json": dumps(objects_document(simulation))}
        self._videos.remove_others(self._before)
        for name in self._before - {frame.name for frame in simulation.frames}:
            (self.path / "drawn" / f"{name}.jpg").unlink(missing_ok=True)
            (self.path / "kitti" / f"{name}.txt").unlink(missing_ok=True)
        if comparison is not None:
            from convert.compare import comparison_document  # few simulations need it

            files["against.json"] = dumps({"schema_version": SCHEMA_VERSION, **comparison_document(comparison)})
            findings = (*findings, *comparison.findings)  # on the page they stand beside the comparison
        elif self._before:
            (self.path / "against.json").unlink(missing_ok=True)  # an earlier run's
        return Result(
            simulation, findings, (*self.outputs, *self._videos.outputs, *write_all(self.path, files)), comparison
        )


_Drawn = tuple["Image | None", bytes, bytes | None]  # the frame of a video, the JPEG file, and that for the page


def _draw(pixels: NDArray[np.uint8], frame: FrameResult, *, page: bool) -> _Drawn:
    film = is_video(frame.source)  # in which labels have one size
    both = drawing.suits_page(frame) and not film
    image = drawing.draw(pixels, frame, large=both)
    data = drawing.jpeg(image)
    shown = drawing.frame_of(image, frame) if film else None
    if not page:
        return shown, data, None
    return shown, data, data if both else drawing.page_picture(pixels, frame)


def _names(objects: Path) -> set[str]:
    """The frames of an earlier run in this folder; none where there was none, or the file is not ours."""
    try:
        if objects.stat().st_size > _RESULTS_MOST_OBJECTS:
            return set()
        document = json.loads(objects.read_bytes())
        names = {frame["name"] for frame in document["frames"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
    return {name for name in names if isinstance(name, str) and name == Path(name).name and name not in {"", ".", ".."}}


def _evidence(config: Path) -> Mapping[str, Any] | None:
    """What was measured when the config's bundle was made: `evidence` of the report.json beside it."""
    try:
        report = BundleReport.read(config.parent)
    except InputError:
        return None
    return report.evidence if report else None
