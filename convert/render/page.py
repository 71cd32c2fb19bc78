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
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from convert import __version__, compare, errors, images
from convert.files import configs as data_folder
from convert.files import load_toml
from convert.findings import Finding, Level
from convert.render import check, inspection
from convert.render.drawing import STYLES, Style, enlargement, number, style_of
from convert.render.text import percent, ranked

if TYPE_CHECKING:
    from jinja2 import Environment

    from convert.simulate.decode import Classification
    from convert.simulate.results import DetectedObject, DroppedCandidate, FrameResult, SimulatedEngine, Simulation
    from convert.simulate.settings import ClassSettings, Settings

_TYPES: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp", "GIF": "image/gif"}
_NAMED: Final = 5  # objects that a picture's alternative text names


def in_words(frame: FrameResult) -> str:
    """ "apple 0.98", "star 0.93, star 0.50 and 3 more objects", "nothing shown; best candidate ..."."""
    if not frame.shows:
        if not frame.dropped:
            return "nothing shown, there was no candidate"
        best = frame.dropped[0]
        return f"nothing shown; best candidate {_name(best)}: {best.why}"
    parts = [
        f"{classification.label} {number(classification.confidence)}"
        for classification in frame.classifications
        if frame.label and classification.label
    ]
    parts += [
        f"{_name(found)} {number(found.confidence)}"
        + "".join(f", {classification.label}" for classification in found.classifications if classification.label)
        for found in frame.objects[:_NAMED]
    ]
    rest = len(frame.objects) - _NAMED
    return "; ".join(parts) + (f" and {rest} more object{'s' if rest > 1 else ''}" if rest > 0 else "")


def _name(one: Classification | DetectedObject | DroppedCandidate) -> str:
    return one.label or f"class {one.class_id} (no label)"


def embedded(name: str, picture: bytes) -> tuple[str, int, int]:
    """The picture as a data URI, and its size."""
    try:
        with Image.open(io.BytesIO(picture), formats=tuple(_TYPES)) as image:
            width, height, kind = image.width, image.height, str(image.format)
    except OSError as error:
        raise ValueError(f"the drawn picture of {name!r} is not a PNG, JPEG, WebP or GIF file") from error
    return f"data:{_TYPES[kind]};base64,{base64.b64encode(picture).decode('ascii')}", width, height


def framing_of(engine: SimulatedEngine, frames: Sequence[FrameResult]) -> tuple[images.Framing, bool] | None:
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
            framing = images.Framing(recorded.frame, (width, height), anchor=recorded.anchor)
            return (framing, True) if min(width, height) > 0 and framing.network == input_size else None
        squashed = recorded.resize_mode is images.ResizeMode.FIT_SHORTEST and not engine.settings.keep_aspect
        if squashed and frames:
            whole = images.Frame(frames[0].width, frames[0].height, in_pixels=True)
            framing = images.Framing(whole, input_size, anchor=recorded.anchor)
            return (framing, False) if framing.crops else None
    except errors.PresetError:  # a frame of a shape that no camera has
        return None
    return None


MOST_PICTURES: Final = 150
"""Pictures on one page; the others are listed with words."""

MOST_LISTED: Final = 1000
"""Pictures that are listed with words; there are more of them in objects.json."""


def page(
    simulation: Simulation,
    pictures: Mapping[str, bytes],
    *,
    findings: Sequence[Finding] = (),
    configs: Mapping[str, str] | None = None,
    evidence: Mapping[str, Any] | None = None,
    comparison: compare.Comparison | None = None,
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
    cards: list[dict[str, Any]] = []
    listed: list[tuple[int, FrameResult]] = []
    for position, frame in enumerate(frames, 1):
        if frame.name in pictures and len(cards) < MOST_PICTURES:
            source, width, height = embedded(frame.name, pictures[frame.name])
            cards.append({"number": position, "frame": frame, "source": source, "width": width, "height": height})
            cards[-1] |= {"times": enlargement(frame.width, frame.height), "row": compared.get(frame.name)}
        else:
            listed.append((position, frame))
    return rendered(
        "report.html.j2",
        simulation=simulation,
        title=" + ".join(engine.config.name for engine in simulation.engines) or "no engine",
        facts=_facts(simulation, findings, comparison),
        cards=cards,
        listed=listed[:MOST_LISTED],
        more_listed=max(0, len(listed) - MOST_LISTED),
        engines=[_engine(engine, frames) for engine in simulation.engines],
        configs=[
            (name, text.removesuffix("\n").split("\n"), _by_line(name, findings))
            for name, text in (configs or {}).items()
        ],
        findings=sorted(findings, key=lambda one: -one.level.rank),
        measures=measures(evidence or {}),
        comparison=comparison,
        differences=sorted(comparison.rows, key=lambda row: _ORDER.index(row.verdict)) if comparison else [],
        most_compared=MOST_COMPARED,
    )


def rendered(template: str, **values: Any) -> str:
    """The page that `template` of configs/report/ makes of `values`: with our style sheet, and nothing else may run."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return _environment().get_template(template).render(style=style, style_digest=digest, version=__version__, **values)


def drawing(template: str, **values: Any) -> str:
    """The one `<svg>` element that `template` of configs/report/ makes of `values`."""
    return _environment().get_template(template).render(**values)


def _facts(simulation: Simulation, findings: Sequence[Finding], comparison: compare.Comparison | None) -> list[str]:
    """The sentences below the verdict."""
    frames = simulation.frames
    facts = []
    if objects := sum(len(frame.objects) for frame in frames):
        classes = len({(found.engine, found.class_id) for frame in frames for found in frame.objects})
        facts.append(f"{_count(objects, 'object')} of {_count(classes, 'class', 'classes')}.")
    keys = Counter(frame.dropped[0].key for frame in frames if not frame.shows and frame.dropped)
    if keys:
        causes = ", ".join(f"{key} ({count:,})" for key, count in ranked(keys))
        facts.append(f"Where nothing is shown, the best candidate fell to: {causes}.")
    if candidateless := sum(1 for frame in frames if not frame.shows and not frame.dropped):
        facts.append(f"{_count(candidateless, 'picture')} had no candidate.")
    levels = Counter(finding.level for finding in findings)
    if levels:
        known = (level for level in (Level.ERROR, Level.WARNING, Level.NOTE) if levels[level])
        facts.append(f"Findings: {', '.join(_count(levels[level], level.value) for level in known)}.")
    facts += [
        f"Counted in {each.source}: {', '.join(f'{name} {words}' for name, words in each.totals) or 'no lines'}."
        for each in simulation.counts
    ]
    if comparison:
        facts.append(f"Against Edge Impulse: {comparison.summary}.")
    return facts


def _engine(engine: SimulatedEngine, frames: Sequence[FrameResult]) -> dict[str, Any]:
    rows = class_rows(engine, frames)
    undetected = undetected_classes(engine, rows)
    return {"engine": engine, "framing": framing_of(engine, frames), "rows": rows, "undetected": undetected}


def _by_line(name: str, findings: Sequence[Finding]) -> dict[int | None, list[Finding]]:
    """The findings in a config."""
    found: dict[int | None, list[Finding]] = {}
    for finding in findings:
        if finding.path == name:
            found.setdefault(finding.line, []).append(finding)
    return found


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
        # What is not markup of ours has no character that hides, turns or breaks.
        finalize=lambda value: check.printable(value) if type(value) is str else value,
    )
    environment.filters |= {"confidence": number, "in_words": in_words, "count": _count, "named": _name}
    environment.filters["answer"] = answer
    environment.filters |= {"by_class": _by_class, "class_name": _class_name, "size": _size, "region": _region}
    environment.filters |= {"numbers": _numbers, "label_of": lambda class_id, settings: settings.label(class_id)}
    environment.globals["framing_svg"] = inspection.framing_svg
    environment.globals["filters"] = load_toml("report/words.toml")["filters"]
    environment.filters["look"] = lambda one: style_of(one.engine, one.class_id).number
    return environment


@cache
def _style() -> str:
    """The style sheet and the styles of the classes."""
    css = (data_folder() / "report" / "report.css").read_text(encoding="utf-8")
    swatches = []
    for one in STYLES:
        core = "#{:02x}{:02x}{:02x}".format(*one.core) if one.core else one.hex
        swatches.append(f".look-{one.number}{{--look:{one.hex};--core:{core}}}")
    return css + "\n".join(swatches) + "\n"


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of one engine.

    Attributes:
        label: "" without one.
        confidences: of what is shown, in the pictures' order.
        dropped: key -> how many of the best candidates it dropped, most first.
    """

    class_id: int
    label: str
    style: Style
    confidences: tuple[float, ...]
    dropped: dict[str, int]

    @property
    def count(self) -> int:
        """How often it is shown."""
        return len(self.confidences)

    @property
    def lowest(self) -> float:
        """The smallest confidence, NaN left out; NaN where nothing else is shown."""
        return min((one for one in self.confidences if not math.isnan(one)), default=math.nan)

    @property
    def highest(self) -> float:
        """The largest confidence, as `lowest`."""
        return max((one for one in self.confidences if not math.isnan(one)), default=math.nan)

    @property
    def mean(self) -> float:
        """NaN as soon as one is, or where none is shown."""
        if not self.confidences:
            return math.nan
        finite = all(map(math.isfinite, self.confidences))
        return (math.fsum(self.confidences) if finite else sum(self.confidences)) / len(self.confidences)


def class_rows(engine: SimulatedEngine, frames: Sequence[FrameResult]) -> list[ClassRow]:
    """The classes of an engine that were shown or nearly, in class order; a class without a label has a row, too."""
    shown: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    dropped: defaultdict[tuple[int, str], Counter[str]] = defaultdict(Counter)
    for class_id, label, confidence in _shown_classes(engine.settings.unique_id, frames):
        shown[class_id, label].append(confidence)
    for frame in frames:
        for candidate in frame.dropped:
            if candidate.engine == engine.settings.unique_id:
                dropped[candidate.class_id, candidate.label or ""][candidate.key] += 1
    return [
        ClassRow(*key, style_of(engine.settings.unique_id, key[0]), tuple(shown[key]), dict(ranked(dropped[key])))
        for key in sorted({*shown, *dropped})
    ]


def undetected_classes(engine: SimulatedEngine, rows: Sequence[ClassRow]) -> list[str]:
    """Labels of classes that were neither shown nor among the best candidates, in the label file's order."""
    known = {row.label for row in rows}
    lines = engine.settings.labels
    labels = [line[0] for line in lines if line] if engine.settings.classes else [one for line in lines for one in line]
    return [label for label in labels if label and label not in known]


def _shown_classes(engine: int, frames: Sequence[FrameResult]) -> Iterator[tuple[int, str, float]]:
    """Class, label and confidence of all an engine shows; of a classifier what it has a label for."""
    for frame in frames:
        for classification in frame.classifications:
            if classification.engine == engine and classification.label:
                yield classification.class_id, classification.label, classification.confidence
        for found in frame.objects:
            if found.engine == engine:
                yield found.class_id, found.label, found.confidence
            for classification in found.classifications:
                if classification.engine == engine and classification.label:
                    yield classification.class_id, classification.label, classification.confidence


_MOST_CLASSES: Final = 8  # that are named one by one


def _numbers(settings: Settings) -> str:
    """What 0..255 becomes; a net-scale-factor that is not above 0 counts as 1, and the offsets as none."""
    scale = settings.scale if settings.scale > 0 else 1.0
    if settings.mean_file:
        return f"each level x (0 to 255) becomes {scale:.6g} * (x - the mean file's)"
    offsets = settings.offsets if settings.scale > 0 else ()
    lowest = [scale * (0 - offset) for offset in offsets] or [0.0]
    highest = [scale * (255 - offset) for offset in offsets] or [scale * 255]
    minus = f"{scale:.6g} * x"
    if offsets:
        numbers = [f"{offset:.6g}" for offset in offsets]
        mean = numbers[0] if len(set(numbers)) == 1 else f"[{', '.join(numbers)}]"
        minus = f"{scale:.6g} * (x - {mean})"
    return f"each level x (0 to 255) becomes {minus}: {min(lowest):.5g} to {max(highest):.5g}"


def _by_class(settings: Settings, words: str) -> str:
    """One phrase for all classes where they agree, otherwise one for each; `words` names what is known of a class."""
    phrases: dict[ClassSettings, str] = {}  # there may be a million classes, all alike
    for one in dict.fromkeys(settings.classes):
        known = {"size": _size(one) or "any", "region": _region(one) or "all"}
        known["most"] = str(one.topk) if one.topk >= 0 else "any number"
        phrases[one] = words.format(**known, **{name: getattr(one, name) for name in one.__slots__})
    texts = [phrases[one] for one in settings.classes]
    if len(set(texts)) == 1:
        return texts[0]
    named = [f"{_class_name(number, settings)}: {text}" for number, text in enumerate(texts[:_MOST_CLASSES])]
    rest = len(texts) - len(named)
    return "; ".join(named) + (f"; {rest} more classes with settings of their own" if rest else "")


def _class_name(class_id: int, settings: Settings) -> str:
    return settings.label(class_id) or f"class {class_id}"


def _size(one: ClassSettings) -> str:
    parts = []
    if one.detected_min_w or one.detected_min_h:
        parts.append(f"from {one.detected_min_w} x {one.detected_min_h} pixels")
    if one.detected_max_w or one.detected_max_h:
        parts.append(f"up to {one.detected_max_w or 'any'} x {one.detected_max_h or 'any'} pixels")
    return ", ".join(parts)


def _region(one: ClassSettings) -> str:
    sides = (("upper", one.roi_top_offset), ("lower", one.roi_bottom_offset))
    return ", ".join(f"not in the {side} {pixels} pixels" for side, pixels in sides if pixels)


MOST_COMPARED: Final = 500
"""Pictures of a comparison that are listed: those that differ first, then those that drift, in their order."""

_ORDER: Final = (compare.Verdict.DIFFERS, compare.Verdict.DRIFTS, compare.Verdict.SAME)

_MOST_MEASURES: Final = 60
_LONGEST: Final = 300  # characters of a value this module does not know
_DEEPEST: Final = 4  # levels of such values that get rows of their own
_MOST_OBJECTS: Final = 4  # of an answer that are named


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that was measured.

    Attributes:
        passed: None where there is no limit.
    """

    name: str
    measured: str
    limit: str = ""
    passed: bool | None = None


def measures(evidence: Mapping[str, Any]) -> list[Measure]:
    """`evidence` of a bundle's report.json (`convert.report.evidence_document`) as rows; null is left out.

    What is not as that document has it is shown as it stands, under its own name.
    """
    rows: list[Measure] = []
    agreed = evidence.get("int8_agreement")
    # Reports up to 0.7 do not record `exact` of parity: rounded activations may differ by a step, whatever the limit.
    has_steps = bool(evidence.get("int8")) or (isinstance(agreed, Mapping) and agreed.get("layers") == "every")
    for name, value in evidence.items():
        reader = _READERS.get(name)
        try:
            found = reader(value) if reader and value is not None else _plain(name.replace("_", " "), value, 0)
            has_limit = not (name == "parity" and has_steps)
            rows += found if has_limit else [replace(each, limit="", passed=None) for each in found]
        except (LookupError, OverflowError, TypeError, ValueError):
            rows += _plain(name.replace("_", " "), value, 0)
    return rows[:_MOST_MEASURES]


def answer(one: compare.Prediction) -> str:
    """ "apple 0.98", "star 0.93, star 0.5 and 3 more" or "nothing"."""
    if one.label:
        return f"{one.label} {number(one.score)}"
    if not one.objects:
        return "nothing"
    named = ", ".join(
        f"{found.label or f'class {found.class_id}'} {number(found.score)}" for found in one.objects[:_MOST_OBJECTS]
    )
    rest = len(one.objects) - _MOST_OBJECTS
    return f"{named} and {rest} more" if rest > 0 else named


def _parity(value: Mapping[str, Any]) -> list[Measure]:
    most, limit = float(value["max_abs_diff"]), float(value["tolerance"])
    words = (
        f"largest difference {_small(most)}, mean {_small(value['mean_abs_diff'])}; "
        f"the same best class on {percent(float(value['top1']))} of {int(value['inputs']):,} inputs"
    )
    judged = (_small(limit), most <= limit) if value.get("exact", True) else ()
    return [Measure("Original against ONNX model", words, *judged)]


def _batch(value: Mapping[str, Any]) -> list[Measure]:
    sizes = ", ".join(str(int(size)) for size in value["sizes"])
    words = f"batches of {sizes}: largest difference {_small(value['max_abs_diff'])}"
    return [Measure("Batches against single pictures", words)]


def _agreement(value: Mapping[str, Any]) -> list[Measure]:
    words = _agreed(value)
    if value.get("rounded"):
        words += f"; rounded as the original: {value.get('layers', 'first')} layer"
    if value.get("kernels") is not None:
        words += f"; two sets of the original's own kernels on {percent(float(value['kernels']))}"
    return [Measure("Integer original against its float rewriting", words)]


def _codes(value: Mapping[str, Any]) -> list[Measure]:
    """Ours beside the original's second kernels."""
    own = f"two sets of the original's own kernels: {_agreed(value['kernels'])}"
    words = f"{_agreed(value['plain'])}; {own}; {percent(float(value['share']))} of multiplications in INT8"
    if value.get("moved"):
        words += "; half of the boxes within {:.2g} pixels of the original's ({:.2g})".format(*value["moved"])
    return [Measure("Integer original against the same codes in ONNX", words)]


def _precisions(rows: Sequence[Mapping[str, Any]]) -> list[Measure]:
    """A row for each precision: size, decisions, largest difference, and what runs in it."""
    measured = []
    for row in rows:
        known = [] if row["weights"] is None else [f"weights {int(row['weights']) / 1000:,.0f} kB"]
        known.append(_agreed(row["agreement"]) if row["agreement"] else "not measured")
        if row.get("shown") is not None:
            known.append(f"{int(row['shown']):,} show an object")
        if row["overflow"]:
            known.append(f"beyond float16: {', '.join(map(str, row['overflow']))}")
        for name, nodes in (("nodes", row["nodes"]), ("in float", row.get("float_nodes"))):
            if nodes:
                known.append(f"{name}: {', '.join(f'{int(count)} {each}' for each, count in nodes.items())}")
        measured.append(Measure(str(row["precision"]).upper(), "; ".join(known)[:_LONGEST]))
    return measured


def _framing(value: Mapping[str, Any]) -> list[Measure]:
    """What cropping as in training gains, and what squashing costs."""
    of = ", ".join(map(str, value["frames"])) or "their own shape"
    rows = []
    if value["crop"] is not None:
        rows.append(Measure(f"Frames of {of}, cropped as in training", _agreed(value["crop"])))
    return [*rows, Measure(f"Frames of {of}, squashed", _agreed(value["squash"]))]


def _agreed(value: Mapping[str, Any]) -> str:
    return (
        f"the same decision on {percent(float(value['top1']))} of {int(value['inputs']):,} inputs; "
        f"mean difference {_small(value['mean_abs_diff'])}, largest {_small(value['max_abs_diff'])}"
    )


_READERS: Final[Mapping[str, Callable[[Any], list[Measure]]]] = {
    "parity": _parity,
    "batch": _batch,
    "tensorrt": lambda value: [Measure("TensorRT", str(value)[:_LONGEST])],
    "decoding": lambda value: [Measure("Boxes against an independent decoding", f"largest difference {_small(value)}")],
    "int8_agreement": _agreement,
    "int8": _codes,
    "framing": _framing,
    "precisions": _precisions,
}
"""Key of the document -> its row."""


def _plain(name: str, value: object, depth: int) -> list[Measure]:
    if value is None:
        return []
    if isinstance(value, Mapping) and depth < _DEEPEST:
        rows = []
        for key, one in value.items():
            rows += _plain(f"{name}, {str(key).replace('_', ' ')}", one, depth + 1)
        return rows
    return [Measure(name.capitalize(), f"{value:.4g}" if isinstance(value, float) else str(value)[:_LONGEST])]


def _small(value: float) -> str:
    return f"{value:.2g}"
