"""Prints what a whole impulse says of recordings, as text or JSON, and writes scores.json and report.html.

The page is that of pictures in style; for each recording it has a plot of the scores over time, SVG without a script.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from convert.files import Output, write_all
from convert.render.drawing import STYLES, number
from convert.render.inspection import chain
from convert.render.page import drawing, rendered
from convert.render.text import console, print_hanging, ranked, short, show_findings
from convert.report import SCHEMA_VERSION, dumps, finding_document, output_document
from convert.simulate.recordings import RecordingsSimulation, Scored, scores_document

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.findings import Finding

_MOST_ROWS = 60  # windows that are printed; scores.json has them all
_MOST_LISTED = 500  # of one recording on the page
_MOST_LINES = 12  # labels in a plot


@dataclass(frozen=True, slots=True)
class RecordingsResult:
    """A simulation of recordings, and the files that were written: scores.json and report.html."""

    simulation: RecordingsSimulation
    outputs: tuple[Output, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Recordings that were left out."""
        return self.simulation.findings


def write_recordings(simulation: RecordingsSimulation, folder: Path) -> RecordingsResult:
    """Write scores.json and report.html; raises OutputError."""
    views = [recording_view(each) for each in simulation.recordings]
    labels = ", ".join(simulation.model.labels)
    page = rendered(
        "recordings.html.j2",
        simulation=simulation,
        recordings=views,
        facts=facts(simulation),
        chain=chain(simulation.model.impulse, labels and f"scores: {labels}"),
    )
    files = {"report.html": page.encode("utf-8", "replace"), "scores.json": dumps(scores_document(simulation))}
    return RecordingsResult(simulation, write_all(folder, files))


def facts(simulation: RecordingsSimulation) -> list[str]:
    """What ran, and what was found how often, in sentences."""
    model, impulse = simulation.model, simulation.model.impulse
    count = sum(map(len, simulation.recordings))
    axes = f" of {impulse.axes} axes" if impulse.axes > 1 else ""
    length, stride = (short(size / impulse.frequency) for size in (impulse.samples, simulation.stride))
    found = [
        f"{model.file}: {impulse.sensor}, {impulse.frequency:g} samples a second{axes}.",
        f"{count:,} {'window' if count == 1 else 'windows'} of {length} s, one every {stride} s.",
    ]
    if labels := best_labels(simulation):
        said = ", ".join(f"{label} {count:,}" for label, count in ranked(labels))
        found.append(f"Highest score: {said}.")
    strange = [each.anomaly for each in simulation.recordings if each.anomaly is not None]
    if strange:
        found.append(f"Largest anomaly score: {number(float(np.fmax.reduce(np.concatenate(strange))))}.")
    return found


def best_labels(simulation: RecordingsSimulation) -> Counter[str]:
    """In how many windows each label has the highest score, where there are several labels."""
    windows = (window for each in simulation.recordings if len(each.labels) > 1 for window in each.windows)
    return Counter(window["label"] for window in windows if window["label"] is not None)


def recordings_document(result: RecordingsResult, exit_code: int) -> dict[str, Any]:
    """`{schema_version, exit_code, summary, seconds, ..., outputs[], findings[], error}`; `...` as in scores.json.

    `seconds` are the only values that differ between two equal runs.
    """
    simulation = result.simulation
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "summary": {"windows": sum(map(len, simulation.recordings)), "labels": dict(ranked(best_labels(simulation)))},
        "seconds": {part: round(seconds, 6) for part, seconds in simulation.seconds.items()},
        **{key: value for key, value in scores_document(simulation).items() if key != "schema_version"},
        "outputs": [output_document(output) for output in result.outputs],
        "findings": [finding_document(finding) for finding in result.findings],
        "error": None,
    }


def show_recordings(result: RecordingsResult) -> None:
    """What ran, a table with a row for each window, and where the results are."""
    out, simulation = console(), result.simulation
    for fact in facts(simulation):
        print_hanging(out, Text(fact.removesuffix(".")), 2)
    several = len(simulation.recordings) > 1
    with_scores, with_anomaly = bool(simulation.model.labels), any(r.anomaly is not None for r in simulation.recordings)
    columns = [Column("recording", overflow="fold")] * several + [Column("seconds", justify="right", no_wrap=True)]
    columns += [Column("label"), Column("score", justify="right")] * with_scores
    columns += [Column("anomaly", justify="right")] * with_anomaly
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    rows = ((each, window) for each in simulation.recordings for window in each.windows)
    for each, window in islice(rows, _MOST_ROWS):
        cells = [escape(str(each.path))] * several + [f"{window['start']:.2f}"]
        cells += [escape(window["label"] or ""), _number(window["score"])] * with_scores
        table.add_row(*cells, *[_number(window["anomaly"])] * with_anomaly)
    out.print(table)
    if (left := sum(map(len, simulation.recordings)) - _MOST_ROWS) > 0:
        out.print(f"[dim]{left:,} more windows are in scores.json[/]")
    out.print("[dim]" + ", ".join(f"{part} {seconds:.2f} s" for part, seconds in simulation.seconds.items()) + "[/]")
    show_findings(result.findings, out)
    out.print("wrote " + ", ".join(escape(output.path) for output in result.outputs))


def _number(value: float | None) -> str:
    return "no number" if value is None else number(value)


def recording_view(recording: Scored) -> dict[str, Any]:
    """A recording for the page: of many labels those with the highest scores are drawn.

    `scores` and `anomaly` are SVG markup, "" where there is nothing to draw; `note` says what a point of them is, where
    it is more than a window; of the `windows` the first ones are there, and `more` are left out.
    """
    highest = np.nan_to_num(recording.scores, nan=-np.inf).max(axis=0)
    drawn = sorted(np.argsort(-highest, kind="stable")[:_MOST_LINES].tolist())
    end = (len(recording) - 1) * recording.stride
    each = -(-len(recording) // _COLUMNS)
    strange = recording.anomaly
    return {
        "name": str(recording.path),
        "count": len(recording),
        "scores": plot(recording.scores[:, drawn], drawn, end, "Scores") if drawn else "",
        "anomaly": "" if strange is None else plot(strange[:, None], [5], end, "Anomaly score"),
        "lines": [(STYLES[place % len(STYLES)], recording.labels[place]) for place in drawn],
        "left_out": len(recording.labels) - len(drawn),
        "note": f"A point is the highest of {each} windows." if each > 1 else "",
        "windows": list(islice(recording.windows, _MOST_LISTED)),
        "more": max(0, len(recording) - _MOST_LISTED),
    }


_COLUMNS = 600  # points of a line
_WIDE, _HIGH = 720, 150  # of the plot, in pixels
_LEFT, _TOP = 44, 10  # beside and above it


def plot(values: NDArray[np.float32], colours: list[int], end: float, title: str) -> str:
    """One `<svg>` element, complete in itself, with a line for each column of `values` [n,k] over 0 to `end` seconds.

    Of more than `_COLUMNS` rows as many together as make a point are drawn as the highest of them. NaN is not drawn.
    """
    each = -(-len(values) // _COLUMNS)
    starts = np.arange(0, len(values), each)
    points = np.fmax.reduceat(np.asarray(values, np.float64), starts, axis=0)
    finite = points[np.isfinite(points)]
    low, high = min(0.0, float(finite.min(initial=0))), max(1.0, float(finite.max(initial=1)))
    x = _LEFT + starts / max(len(values) - 1, 1) * _WIDE
    y = _TOP + (high - points) / (high - low) * _HIGH
    lines = []
    for column, colour in zip(y.T, colours, strict=True):
        known = np.isfinite(column)
        line = [f"{a:.1f},{b:.1f}" for a, b in zip(x[known], column[known], strict=True)]
        line *= 2 if len(line) == 1 else 1  # a line of one point is not drawn
        lines.append((" ".join(line), STYLES[colour % len(STYLES)].hex))
    bottom = _TOP + _HIGH
    axes = ((high, _TOP), (low, bottom))
    return drawing(
        "plot.svg.j2", title=title, end=end, lines=lines, axes=axes, left=_LEFT, right=_LEFT + _WIDE, bottom=bottom
    )
