"""A simulation as one HTML page: pictures, classes, engines, configs, findings and measurements.

The page is self-contained: pictures are data URIs, there is no script, and its content security policy forbids a
browser to load anything else. Labels, names and configs are untrusted: all values are escaped, and characters that hide
or turn text are made visible. The same values give the same bytes; times are not shown.

Where it is known how the model's pictures were framed in training (`convert.report.OnnxMetadata`), the page draws the
way from the frame through the crop to the network's input.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from convert import __version__
from convert.compare import Comparison, PictureComparison, Verdict
from convert.errors import PresetError
from convert.files import configs as data_folder
from convert.findings import Finding, Level
from convert.images import Frame, Framing, ResizeMode
from convert.render import page_sections
from convert.render.check import printable
from convert.render.drawing import STYLES, Style, enlargement, number, style_of
from convert.render.inspection import framing_svg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jinja2 import Environment

    from convert.simulate import results
    from convert.simulate.results import (
        Classification,
        DetectedObject,
        DroppedCandidate,
        FrameResult,
        SimulatedEngine,
        Simulation,
    )

MOST_OBJECTS: Final = 20
"""Objects of one picture that are listed beside it."""

MOST_DROPPED: Final = 10
"""Candidates that were left out that are listed."""

_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_NAMED: Final = 5  # objects that a picture's alternative text names


@dataclass(frozen=True, slots=True)
class Item:
    """A label that is shown with its score, and the labels of secondary classifiers."""

    style: Style
    label: str
    confidence: str
    classifications: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One picture.

    Attributes:
        number: 1 for the first.
        source: data URI; "" without a picture.
        width, height: of the drawn picture, pixels.
        times: how many times as large it is drawn.
        alt: text for readers who do not see the picture.
        items: what is shown, at most `MOST_OBJECTS`.
        more: objects that are not among them.
        dropped: label, confidence, why; at most `MOST_LOST`.
        more_lost: candidates that are not among them.
        row: Edge Impulse's answer, where it was asked.
    """

    number: int
    frame: FrameResult
    source: str
    width: int
    height: int
    times: int
    alt: str
    items: tuple[Item, ...]
    more: int
    dropped: tuple[tuple[str, str, str], ...]
    more_dropped: int
    row: PictureComparison | None = None


def card(frame: FrameResult, position: int, picture: bytes | None, row: PictureComparison | None = None) -> Card:
    """A frame as it stands on the page.

    Raises:
        ValueError: `picture` is not a PNG, JPEG, WebP or GIF file.
    """
    source, width, height = _embedded(frame.name, picture) if picture is not None else ("", 0, 0)
    items = [
        _classification_item(classification)
        for classification in frame.classifications
        if frame.label and classification.label
    ]
    items += [_found_item(found) for found in frame.objects[:MOST_OBJECTS]]
    return Card(
        position,
        frame,
        source,
        width,
        height,
        enlargement(frame.width, frame.height),
        f"{frame.name}: {in_words(frame)}",
        tuple(items),
        max(0, len(frame.objects) - MOST_OBJECTS),
        tuple(
            (_dropped_name(frame, candidate), number(candidate.confidence), candidate.why)
            for candidate in frame.dropped[:MOST_DROPPED]
        ),
        max(0, len(frame.dropped) - MOST_DROPPED),
        row,
    )


def in_words(frame: FrameResult) -> str:
    """ "apple 0.98", "star 0.93, star 0.50 and 3 more objects", "nothing shown; best candidate ..."."""
    if not frame.shows:
        if not frame.dropped:
            return "nothing shown, there was no candidate"
        best = frame.dropped[0]
        return f"nothing shown; best candidate {_name(best.label, best.class_id)}: {best.why}"
    parts = [
        f"{classification.label} {number(classification.confidence)}"
        for classification in frame.classifications
        if frame.label and classification.label
    ]
    parts += [
        f"{_name(found.label, found.class_id)} {number(found.confidence)}"
        + "".join(f", {classification.label}" for classification in found.classifications if classification.label)
        for found in frame.objects[:_NAMED]
    ]
    rest = len(frame.objects) - _NAMED
    return "; ".join(parts) + (f" and {rest} more object{'s' if rest > 1 else ''}" if rest > 0 else "")


def _classification_item(classification: Classification) -> Item:
    return Item(
        style_of(classification.engine, classification.class_id),
        _name(classification.label, classification.class_id),
        number(classification.confidence),
    )


def _found_item(found: DetectedObject) -> Item:
    return Item(
        style_of(found.engine, found.class_id),
        _name(found.label, found.class_id),
        number(found.confidence),
        tuple(
            f"{classification.label} {number(classification.confidence)}"
            for classification in found.classifications
            if classification.label
        ),
        found.skipped,
    )


def _dropped_name(frame: FrameResult, candidate: DroppedCandidate) -> str:
    name = _name(candidate.label, candidate.class_id)
    if candidate.of is None or not 0 <= candidate.of < len(frame.objects):
        return name
    whose = frame.objects[candidate.of]
    return f"{name} of {_name(whose.label, whose.class_id)}"


def _name(label: str | None, class_id: int) -> str:
    return label or f"class {class_id} (no label)"


def _embedded(name: str, picture: bytes) -> tuple[str, int, int]:
    """The picture as a data URI, and its size."""
    try:
        with Image.open(io.BytesIO(picture), formats=tuple(_TYPES)) as image:
            width, height, kind = image.width, image.height, str(image.format)
    except OSError as error:
        raise ValueError(f"the drawn picture of {name!r} is not a PNG, JPEG, WebP or GIF file") from error
    return f"data:{_TYPES[kind]};base64,{base64.b64encode(picture).decode('ascii')}", width, height


def framing_of(engine: results.SimulatedEngine, frames: Sequence[results.FrameResult]) -> tuple[Framing, bool] | None:
    """How the engine's model is shown a picture, and whether it crops it itself; None where that is not known.

    Of a model that was trained on a part of pictures and does not crop them, it is the framing of the first of
    `frames`, where nvinfer squashes that frame.
    """
    recorded = engine.recorded
    input_size = (engine.network.width, engine.network.height)
    if engine.settings.on_objects:
        return None
    try:
        if recorded.frame and recorded.crop:
            _, _, width, height = recorded.crop
            framing = Framing(recorded.frame, (width, height), anchor=recorded.anchor)
            return (framing, True) if min(width, height) > 0 and framing.network == input_size else None
        squashed = recorded.resize_mode is ResizeMode.FIT_SHORTEST and not engine.settings.keep_aspect
        if squashed and frames:
            whole = Frame(frames[0].width, frames[0].height, in_pixels=True)
            framing = Framing(whole, input_size, anchor=recorded.anchor)
            return (framing, False) if framing.crops else None
    except PresetError:  # a frame of a shape that no camera has
        return None
    return None


def framing_picture(engine: results.SimulatedEngine, frames: Sequence[results.FrameResult]) -> tuple[str, str]:
    """SVG markup of it and what it shows in words; both "" where there is nothing to draw."""
    found = framing_of(engine, frames)
    if found is None:
        return "", ""
    framing, cropped = found
    model, network = (f"{width} x {height}" for width, height in (framing.model, framing.network))
    share, part = f"{framing.seen * 100:.0f} %", "middle" if framing.part == "centre" else framing.part
    words = f"The model has the shape of {framing.frame} frames and sees the whole of them."
    if framing.crops and cropped:
        words = f"The model cuts the {part} {model} out of its {network} input: {share} of a {framing.frame} frame."
    elif framing.crops:
        words = (
            f"The model was trained on the {part} of pictures, {share} of a {framing.frame} frame. "
            "Here it sees the whole, squashed."
        )
    return framing_svg(framing, cropped=cropped), words


MOST_PICTURES: Final = 150
"""Pictures on one page; the others are listed with words."""

MOST_LISTED: Final = 1000
"""Pictures that are listed with words; there are more of them in objects.json."""

_MOST_LINES: Final = 2000  # of a config that are shown
_MOST_UNDETECTED: Final = 30  # of classes without a candidate


@dataclass(frozen=True, slots=True)
class _EngineView:
    engine: SimulatedEngine
    heading: str
    framing: tuple[str, str]  # markup of ours and words, or ""
    settings: list[page_sections.Setting]
    rows: list[page_sections.ClassRow]
    undetected: list[str]
    more_undetected: int


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
    listed: list[tuple[int, FrameResult]] = []
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
        measures=page_sections.measures(evidence or {}),
        comparison=comparison,
        differences=page_sections.differences(comparison) if comparison else [],
        version=__version__,
    )


def _title(simulation: Simulation) -> str:
    names = [engine.config.name for engine in simulation.engines]
    return " + ".join(names) or "no engine"


def _verdict(frames: Sequence[FrameResult]) -> tuple[str, str]:
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
    keys = Counter(frame.dropped[0].key for frame in frames if not frame.shows and frame.dropped)
    if keys:
        classification = ", ".join(
            f"{key} ({count:,})" for key, count in sorted(keys.items(), key=lambda one: (-one[1], one[0]))
        )
        facts.append(f"Where nothing is shown, the best candidate fell to: {classification}.")
    if candidateless := sum(1 for frame in frames if not frame.shows and not frame.dropped):
        facts.append(f"{_count(candidateless, 'picture')} had no candidate.")
    levels = Counter(finding.level for finding in findings)
    if levels:
        classification = ", ".join(
            _count(levels[level], level.value) for level in (Level.ERROR, Level.WARNING, Level.NOTE) if levels[level]
        )
        facts.append(f"Findings: {classification}.")
    facts += [
        f"Counted in {each.source}: {', '.join(f'{name} {count}' for name, count in each.lines) or 'no lines'}."
        for each in simulation.counts
    ]
    if comparison:
        facts.append(f"Against Edge Impulse: {comparison.summary}.")
    return facts


def _engine(engine: SimulatedEngine, frames: Sequence[FrameResult]) -> _EngineView:
    rows = page_sections.class_rows(engine, frames)
    undetected = page_sections.undetected_classes(engine, rows)
    return _EngineView(
        engine,
        page_sections.heading(engine),
        framing_picture(engine, frames),
        page_sections.settings_in_words(engine),
        rows,
        undetected[:_MOST_UNDETECTED],
        max(0, len(undetected) - _MOST_UNDETECTED),
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
    import jinja2  # only for pages

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
    """The style sheet and the styles of the classes."""
    css = (data_folder() / "report" / "report.css").read_text(encoding="utf-8")
    swatches = []
    for one in STYLES:
        core = "#{:02x}{:02x}{:02x}".format(*one.core) if one.core else one.hex
        swatches.append(f".look-{one.number}{{--look:{one.hex};--core:{core}}}")
    return css + "\n".join(swatches) + "\n"
