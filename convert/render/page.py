"""A simulation as one HTML page: pictures, classes, engines, configs, findings and the numbers behind them.

The page needs nothing but itself: pictures are data URIs, there is no script, and its content security policy lets a
browser load nothing else. What it shows comes from files of strangers (labels, names, configs): all of it is escaped,
and characters that hide or turn text are made visible. The same values give the same bytes; times are not shown.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from convert import __version__
from convert.against.comparison import Verdict
from convert.findings import Level
from convert.render.check_text import printable
from convert.render.drawing_colours import LOOKS
from convert.render.drawing_text import number
from convert.render.page_cards import Card, card, in_words
from convert.render.page_classes import ClassRow, class_rows, unseen_classes
from convert.render.page_engines import Setting, heading, settings_in_words
from convert.render.page_evidence import differences, measures
from convert.render.page_framing import framing_picture
from convert.resources import configs as data_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Environment

    from convert.against.comparison import Comparison
    from convert.findings import Finding
    from convert.simulate.scene import Engine, Frame, Simulation

__all__ = ["MOST_LISTED", "MOST_PICTURES", "page"]

MOST_PICTURES: Final = 150
"""Pictures on one page; the others are listed with words."""

MOST_LISTED: Final = 1000
"""Pictures that are listed with words; there are more of them in objects.json."""

_MOST_LINES: Final = 2000  # of a config that are shown
_MOST_UNSEEN: Final = 30  # classes never seen that are named


@dataclass(frozen=True, slots=True)
class _EngineView:
    engine: Engine
    heading: str
    framing: tuple[str, str]  # markup of ours and words, or ""
    settings: list[Setting]
    rows: list[ClassRow]
    unseen: list[str]
    more_unseen: int


@dataclass(frozen=True, slots=True)
class _Config:
    name: str
    lines: list[_Line]
    left_out: int


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    kind: str  # "comment", "group" or ""
    findings: list[Finding]


def page(
    simulation: Simulation,
    pictures: Mapping[str, bytes],
    *,
    findings: Sequence[Finding] = (),
    configs: Mapping[str, str] | None = None,
    evidence: Mapping[str, Any] | None = None,
    comparison: Comparison | None = None,
) -> str:
    """The page; write it as UTF-8.

    Args:
        simulation: what was simulated.
        pictures: frame name -> a PNG or JPEG file of it (`convert.render.drawing.page_picture`). Frames without one,
            and those beyond the first `MOST_PICTURES`, are listed with words.
        findings: of `check`; their paths are names in `configs` where they point into one.
        configs: name -> text of each config, shown with line numbers.
        evidence: `evidence` of the bundle's report.json.
        comparison: with Edge Impulse.

    Raises:
        ValueError: a picture is no picture.
    """
    frames = simulation.frames
    compared = {row.name: row for row in comparison.rows} if comparison else {}
    cards: list[Card] = []
    listed: list[tuple[int, Frame]] = []
    for position, frame in enumerate(frames, 1):
        if frame.name in pictures and len(cards) < MOST_PICTURES:
            cards.append(card(frame, position, pictures[frame.name], compared.get(frame.name)))
        else:
            listed.append((position, frame))
    environment = _environment()
    style = _style()
    return environment.get_template("report.html.j2").render(
        simulation=simulation,
        style=style,
        style_digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
        title=_title(simulation),
        verdict=_verdict(frames),
        facts=_facts(simulation, findings, comparison),
        cards=cards,
        listed=listed[:MOST_LISTED],
        more_listed=max(0, len(listed) - MOST_LISTED),
        silent=sum(1 for one in cards if not one.frame.shows),
        differing=sum(1 for one in cards if one.row is not None and one.row.verdict is not Verdict.SAME),
        engines=[_engine(engine, frames) for engine in simulation.engines],
        configs=[_config(name, text, findings) for name, text in (configs or {}).items()],
        findings=sorted(findings, key=lambda one: -one.level.rank),
        measures=measures(evidence or {}),
        comparison=comparison,
        differences=differences(comparison) if comparison else [],
        version=__version__,
    )


def _title(simulation: Simulation) -> str:
    names = [engine.config.name for engine in simulation.engines]
    return " + ".join(names) or "no engine"


def _verdict(frames: Sequence[Frame]) -> tuple[str, str]:
    """A word for its colour, and the sentence."""
    total = len(frames)
    silent = sum(1 for frame in frames if not frame.shows)
    if not total:
        return "bad", "No pictures were simulated"
    if not silent:
        return "good", "The picture shows something" if total == 1 else f"All {total:,} pictures show something"
    if silent == total:
        return "bad", "The picture shows nothing" if total == 1 else f"None of {total:,} pictures shows anything"
    verb = "shows" if silent == 1 else "show"
    return "fair", f"{silent:,} of {total:,} pictures {verb} nothing"


def _facts(simulation: Simulation, findings: Sequence[Finding], comparison: Comparison | None) -> list[str]:
    """The sentences below the verdict."""
    frames = simulation.frames
    facts = []
    if objects := sum(len(frame.objects) for frame in frames):
        classes = len({(found.engine, found.class_id) for frame in frames for found in frame.objects})
        facts.append(f"{_count(objects, 'object')} of {_count(classes, 'class', 'classes')}.")
    keys = Counter(frame.lost[0].key for frame in frames if not frame.shows and frame.lost)
    if keys:
        said = ", ".join(f"{key} ({count:,})" for key, count in sorted(keys.items(), key=lambda one: (-one[1], one[0])))
        facts.append(f"Where nothing is shown, the best candidate fell to: {said}.")
    if candidateless := sum(1 for frame in frames if not frame.shows and not frame.lost):
        facts.append(f"{_count(candidateless, 'picture')} had no candidate.")
    levels = Counter(finding.level for finding in findings)
    if levels:
        said = ", ".join(
            _count(levels[level], level.value) for level in (Level.ERROR, Level.WARNING, Level.NOTE) if levels[level]
        )
        facts.append(f"Findings: {said}.")
    if comparison:
        facts.append(f"Against Edge Impulse: {comparison.summary}.")
    return facts


def _engine(engine: Engine, frames: Sequence[Frame]) -> _EngineView:
    rows = class_rows(engine, frames)
    unseen = unseen_classes(engine, rows)
    return _EngineView(
        engine,
        heading(engine),
        framing_picture(engine, frames),
        settings_in_words(engine),
        rows,
        unseen[:_MOST_UNSEEN],
        max(0, len(unseen) - _MOST_UNSEEN),
    )


def _config(name: str, text: str, findings: Sequence[Finding]) -> _Config:
    about: dict[int, list[Finding]] = {}
    for finding in findings:
        if finding.path == name and finding.line is not None:
            about.setdefault(finding.line, []).append(finding)
    lines = text.removesuffix("\n").split("\n")
    shown = [
        _Line(place, line.removesuffix("\r"), _kind(line), about.get(place, []))
        for place, line in enumerate(lines[:_MOST_LINES], 1)
    ]
    return _Config(name, shown, max(0, len(lines) - _MOST_LINES))


def _kind(line: str) -> str:
    start = line.lstrip()[:1]
    return "comment" if start == "#" else "group" if start == "[" else ""


def _count(count: int, word: str, many: str = "") -> str:
    return f"{count:,} {word if count == 1 else many or word + 's'}"


@cache
def _environment() -> Environment:
    import jinja2  # noqa: PLC0415 - only for pages

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(data_folder() / "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_shown,
    )
    environment.filters |= {"confidence": number, "in_words": in_words, "count": _count}
    return environment


def _shown(value: object) -> object:
    """Every value of the template: what is not markup of ours has no character that hides, turns or breaks."""
    return printable(value) if type(value) is str else value


@cache
def _style() -> str:
    """The style sheet and the looks of the classes."""
    css = (data_folder() / "report" / "report.css").read_text(encoding="utf-8")
    swatches = []
    for one in LOOKS:
        core = "#{:02x}{:02x}{:02x}".format(*one.core) if one.core else one.hex
        swatches.append(f".look-{one.number}{{--look:{one.hex};--core:{core}}}")
    return css + "\n".join(swatches) + "\n"
