"""The result of `inspect` as text and as JSON; `Framing`s as text and as SVG.

The drawing functions depend on nothing but a `Framing`. What report.json holds of one (`d`) is enough to make it again:
`Framing(parse_frame(d["frame"]), tuple(d["model"]), anchor=tuple(d["anchor"]))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape as escape_html
from itertools import pairwise, zip_longest
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.text import Text

from convert import errors, files, heads, render, report, types
from convert.images import Frame, Framing, Mark, ResizeMode, anchor_name
from convert.render.text import console, impulse_lines, impulse_parts, kind, print_hanging, show_findings, stored_as

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from convert.dsp import Impulse
    from convert.export.unpack import InspectedModel, Inspection

_AREA = 240  # characters of the text picture, about; a character is twice as high as it is wide
_SIDE = 140  # longer side of a drawn picture, SVG units, as all below
_GAP, _MARGIN, _LINE = 44, 8, 15
_LETTER = 6.4  # width of a letter, about


def framing_text(framing: Framing, *, cropped: bool = True) -> list[str]:
    """Some lines: the frame, what the model sees of it marked with #, and numbers beside it.

    Args:
        framing: what is drawn.
        cropped: whether the model crops; otherwise what is marked is what it was trained on.
    """
    aspect = float(framing.frame.aspect)
    rows = round((_AREA / (2 * aspect)) ** 0.5)
    columns = round(2 * rows * aspect)
    wide, high = (own / whole for own, whole in zip(framing.model, framing.network, strict=True))
    across, down = _marked(columns, wide, framing.anchor[0]), _marked(rows, high, framing.anchor[1])
    drawn = [
        "|" + "".join("#" if row in down and column in across else " " for column in range(columns)) + "|"
        for row in range(rows)
    ]
    return _framed_text(drawn, ["", *_notes(framing, cropped=cropped)])


def _framed_text(rows: Sequence[str], notes: Sequence[str]) -> list[str]:
    """`rows`, all equally long, in a frame, and the notes beside it."""
    columns = len(rows[0])
    edge = f"+{'-' * (columns - 2)}+"
    pairs = zip_longest([edge, *rows, edge], notes)
    return [f"{' ' * columns if row is None else row}  {note or ''}".rstrip() for row, note in pairs]


def _marked(size: int, share: float, at: float) -> range:
    """The `share` of `size` places that is kept; the share `at` of the others lies before it."""
    kept = min(size, max(1, round(size * share)))
    start = int((size - kept) * at)
    return range(start, start + kept)


def _notes(framing: Framing, *, cropped: bool) -> list[str]:
    model, network = (f"{width}x{height}" for width, height in (framing.model, framing.network))
    if not framing.crops:
        return [f"frame {framing.frame}, scaled to {network}: the model has its shape", _stretched(framing)]
    seen = f"{framing.seen * 100:.0f} % of it"
    if not cropped:
        return [
            f"frame {framing.frame}; ### what the model was trained on, {seen}",
            f"the whole frame is squashed to {model}: everything {_squash(framing)}",
        ]
    return [
        f"frame {framing.frame}, scaled to {network}{_stretched(framing)}",
        f"### the model's {model}, {seen}, cut out in its first node",
    ]


def _stretched(framing: Framing) -> str:
    """ " (0.39 % narrower)", or nothing."""
    if not framing.stretch:
        return ""
    return f" ({abs(framing.stretch):.2%} {'wider' if framing.stretch > 0 else 'narrower'})".replace("%", " %")


def _squash(framing: Framing) -> str:
    """ "1.8 times too narrow"."""
    width, height = framing.model
    times = float(framing.frame.aspect) / (width / height)
    return f"{times:.1f} times too narrow" if times > 1 else f"{1 / times:.1f} times too wide"


def framing_svg(framing: Framing, *, cropped: bool = True) -> str:
    """One `<svg>` element, complete in itself: no style sheet, script, font or link; colours follow `currentColor`.

    Pictures side by side: the frame, the network's input, and what the model sees, with a disc in the middle of that.
    That the disc stays one shows that nothing is squashed; with `cropped` false it does not.
    """
    from convert.render.page import drawing  # for pages only

    panels, lefts, left = _panels(framing, cropped=cropped), [], float(_MARGIN)
    for panel in panels:
        lefts.append(left)
        left += max(panel.wide, _LETTER * len(panel.title)) + _GAP
    tall = max(panel.high for panel in panels)
    notes = [note for note in _notes(framing, cropped=cropped) if note]
    below = _MARGIN + 2 * _LINE + tall + _LINE
    return drawing(
        "framing.svg.j2",
        panels=list(zip(lefts, panels, strict=True)),
        notes=list(map(escape_html, notes)),
        middle=_MARGIN + _LINE + tall / 2,
        below=below,
        width=max(left - _GAP + _MARGIN, 2 * _MARGIN + _LETTER * max(map(len, notes))),
        height=below + _LINE * (len(notes) - 1) + _MARGIN,
        gap=_GAP,
        margin=_MARGIN,
        line=_LINE,
    )


@dataclass(frozen=True, slots=True)
class _Panel:
    """A picture `wide` by `high`, a part of it `marked`, in the middle of that a disc with these half axes.

    `shift`: from the middle of the picture to the disc's.
    """

    title: str
    wide: float
    high: float
    disc: tuple[float, float]
    marked: tuple[float, float] | None = None
    shift: tuple[float, float] = (0.0, 0.0)


def _panels(framing: Framing, *, cropped: bool) -> list[_Panel]:
    frame, network = (_fitted(*size) for size in ((framing.frame.width, framing.frame.height), framing.network))
    drawn = network[0] / framing.network[0]
    model = (framing.model[0] * drawn, framing.model[1] * drawn)
    marked = (model[0] * frame[0] / network[0], model[1] * frame[1] / network[1])
    radius = 0.3 * min(marked)
    disc = (radius * network[0] / frame[0], radius * network[1] / frame[1])
    first = _Panel(f"frame {framing.frame}", *frame, (radius, radius), marked, _shift(framing, frame, marked))
    name = "{}x{}".format(*framing.model)
    if not framing.crops:
        return [first, _Panel(f"model {name}", *network, disc)]
    if not cropped:
        across, down = model[0] / frame[0], model[1] / frame[1]
        shift = first.shift[0] * across, first.shift[1] * down
        return [first, _Panel(name, *model, (radius * model[0] / frame[0], radius * model[1] / frame[1]), shift=shift)]
    whole = _Panel("network {}x{}".format(*framing.network), *network, disc, model, _shift(framing, network, model))
    return [first, whole, _Panel(f"model {name}", *model, disc)]


def _shift(framing: Framing, whole: tuple[float, float], part: tuple[float, float]) -> tuple[float, float]:
    """From the middle of the picture `whole` to that of the `part` the model sees."""
    x, y = ((at - 0.5) * (side - own) for at, side, own in zip(framing.anchor, whole, part, strict=True))
    return x, y


def _fitted(width: int, height: int) -> tuple[float, float]:
    """With `_SIDE` as the longer side."""
    scale = _SIDE / max(width, height)
    return width * scale, height * scale


_USUAL = Frame(16, 9)  # most cameras
_SHOWN_LABELS = 20
_TOLERANCE = 0.01  # of the shape of a picture, as in `convert.simulate`
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!$"
_PROJECT = ("project_id", "project_name", "project_owner", "deploy_version", "studio_version")


def marks_text(marks: Sequence[Mark], frame: Frame) -> list[str]:
    """Some lines: the frame with lines and zones on it, a letter each, and beside it what they are in pixels."""
    aspect = float(frame.aspect)
    rows = max(8, round((2 * _AREA / (2 * aspect)) ** 0.5))
    columns = round(2 * rows * aspect)
    cells = [[" "] * columns for _ in range(rows)]
    notes = [f"frame {frame}"]
    for letter, mark in zip(_LETTERS, marks, strict=False):
        points = mark.pixels(frame.pixels)
        closed = [*points, points[0]] if len(points) > 2 else points
        for (x1, y1), (x2, y2) in pairwise(closed):
            for step in range(2 * columns + 1):
                x, y = (a + (b - a) * step / (2 * columns) for a, b in ((x1, x2), (y1, y2)))
                cells[int(y * rows / frame.pixels[1])][int(x * columns / frame.pixels[0])] = letter
        shape = "zone" if len(points) > 2 else "line"
        notes.append(f"{letter}: {shape} {mark.name} {' '.join(f'{x},{y}' for x, y in points)}")
    return _framed_text([f"|{''.join(row)}|" for row in cells], notes)


def inspection_document(
    inspection: Inspection, exit_code: int, frame: Frame | None, marks: Sequence[Mark], outputs: Sequence[files.Output]
) -> dict[str, Any]:
    """What a path is, every model in it with `convertible` and `reason`, and why none is THE model (`undecided`).

    `impulse` is that of sound or sensor data, converted as a whole. `framing` of a model that was trained on cropped
    pictures says what it sees of `frame` (16:9 where none is given).
    `marks` are lines and zones; they are there, in pixels of the frame, where some were given, and `outputs` where a
    page was written.
    """
    size = (frame or _USUAL).pixels
    drawn = [{"name": mark.name, "points": [list(point) for point in mark.pixels(size)]} for mark in marks]
    project = files.plain(inspection.project)
    return {
        "schema_version": report.SCHEMA_VERSION,
        "exit_code": exit_code,
        **{name: getattr(inspection, name) for name in ("path", "container", "kind", "description")},
        "project": {name: project[name] for name in _PROJECT},
        "impulse": inspection.impulse and report.impulse_document(inspection.impulse),
        "models": [_model_document(model, frame) for model in inspection.models],
        "undecided": inspection.undecided,
        "hint": inspection.hint,
        "findings": [report.finding_document(finding) for finding in inspection.findings],
        "next": _next(inspection, frame),
        **({"marks": drawn} if marks else {}),
        **({"outputs": [report.output_document(output) for output in outputs]} if outputs else {}),
    }


def _next(inspection: Inspection, frame: Frame | None) -> list[list[str]]:
    """What to type next; nothing where no model can be converted."""
    chosen = next((model for model in inspection.models if model.chosen), None)
    if inspection.impulse is not None and not inspection.undecided:
        return render.after_inspection(inspection.path, None)
    if chosen is None or inspection.undecided or chosen.reason is not None:
        return []
    cropped = _framing(chosen, frame) is not None
    return render.after_inspection(inspection.path, str(frame) if frame and cropped else None)


def show_inspection(
    inspection: Inspection, frame: Frame | None, marks: Sequence[Mark], outputs: Sequence[files.Output]
) -> None:
    """For people, on standard output; with a picture of what a model trained on cropped pictures sees of `frame`."""
    out = console()
    out.print(f"[bold]{escape(inspection.path)}[/]: {escape(inspection.description)}")
    for name, value in _of_project(inspection.project):
        out.print(f"  {name:<9} {escape(value)}")
    for line in impulse_lines(inspection.impulse) if inspection.impulse else ():
        print_hanging(out, Text(f"  {line}"), 12)
    if inspection.impulse and not inspection.undecided:
        out.print("  [green]converted as a whole impulse[/]")
    hints: set[str] = set()
    for model in inspection.models:
        _show_model(model, frame, out, hints, several=len(inspection.models) > 1)
    for line in marks_text(marks, frame or _USUAL) if marks else ():
        out.print(f"    {escape(line)}")
    show_findings(inspection.findings, out)
    if inspection.undecided:
        # The lines below the first one list the models, which stand above.
        reason = inspection.undecided.partition("\n")[0].removesuffix(":")
        because = "" if inspection.description in reason else f": {escape(reason)}"
        print_hanging(out, Text.from_markup(f"  [yellow]not convertible as it is[/]{because}"), 4)
        _show_hint(inspection.hint, out, hints)
    for output in outputs:
        out.print(f"wrote {escape(output.path)}")
    render.show_next(_next(inspection, frame), out)


def _of_project(project: types.Metadata) -> list[tuple[str, str]]:
    """What is known of the project in Studio, and what it is called."""
    owner = project.project_owner and f"by {project.project_owner}"
    facts = {
        "project": " ".join(part for part in (project.project_name, owner) if part),
        "studio": project.studio_version,
        "deployed": project.deploy_version and f"version {project.deploy_version}",
    }  # fmt: skip
    return [(name, value) for name, value in facts.items() if value]


@dataclass(frozen=True, slots=True)
class ChainPart:
    """A box in the picture of an impulse's chain; `arrow`: one leads to it from the box above."""

    title: str
    text: str
    arrow: bool


def chain(impulse: Impulse, network: str) -> list[ChainPart]:
    """The impulse from the sensor to the scores; `network` says what gives the scores, where something does.

    Several blocks get the same window, and a network and an anomaly block features: no arrow is between them.
    """
    _, *parts = impulse_parts(impulse)
    axes = f"{impulse.axes} axes" if impulse.axes > 1 else "1 axis"
    named = f" ({', '.join(impulse.axis_names)})" if impulse.axis_names else ""
    length = f", {impulse.samples / impulse.frequency:.4g} s" if impulse.frequency else ""
    if network and len(impulse.inputs) < len(impulse.blocks):
        network += f"; of {', '.join(f'block {number}' for number in impulse.inputs)}"
    told = [
        ("sensor", f"{impulse.sensor}, {impulse.frequency:g} Hz, {axes}{named}"),
        ("window", f"{impulse.samples:,} samples each axis{length}"),
        *parts[: len(impulse.blocks)],
        *([("network", network)] if network else []),
        *parts[len(impulse.blocks) :],
    ]
    below = {1, 2, 2 + len(impulse.blocks)}
    return [ChainPart(name.capitalize(), text, number in below) for number, (name, text) in enumerate(told)]


def _network(inspection: Inspection) -> str:
    """What gives the scores; empty where nothing does."""
    chosen = next((model for model in inspection.models if model.chosen), None)
    if chosen is None or chosen.facts is None:
        return ""
    names = chosen.metadata.labels or ()
    labels = f": {', '.join(names[:_SHOWN_LABELS])}" if names else ""
    labels += f" and {len(names) - _SHOWN_LABELS} more" if len(names) > _SHOWN_LABELS else ""
    return f"{kind(chosen.facts)}, {chosen.facts.quantization}; scores{labels}"


def write_page(
    inspection: Inspection, folder: Path, frame: Frame | None, marks: Sequence[Mark], picture: Path | None
) -> tuple[files.Output, ...]:
    """Write report.html: what was found, lines and zones on a frame, and the chain of an impulse.

    Args:
        inspection: what was found.
        folder: made if need be.
        frame: that of the camera; None: 16:9, or that of `picture`.
        marks: lines and zones.
        picture: a frame to draw them on; None: a plain one with a grid.

    Raises:
        InputError: the picture cannot be read.
        PresetError: it has another shape than `frame`.
        OutputError: the page cannot be written.
    """
    from convert.emit.analytics import directions  # most inspections do without, and without the libraries below
    from convert.images.read import read
    from convert.render.drawing import marks_picture
    from convert.render.page import embedded, rendered
    from convert.simulate.results import Shown

    pixels = None if picture is None else read(picture)[0]
    if pixels is not None:
        high, wide = pixels.shape[:2]
        frame = frame or Frame(wide, high, in_pixels=True)
        if abs(wide / high / float(frame.aspect) - 1) > _TOLERANCE:
            message = f"the picture has {wide}x{high} pixels, and --frame says {frame}"
            raise errors.PresetError(message, hint="give a picture as the camera gives it, or leave out --frame")
    size = (frame or _USUAL).pixels
    shown = [Shown(((mark.name, None),), mark.pixels(size)) for mark in marks]
    html = rendered(
        "inspection.html.j2",
        inspection=inspection,
        project=_of_project(inspection.project),
        convertible=bool(_next(inspection, frame)),
        marks=marks,
        drawn=embedded("frame", marks_picture(shown, size, pixels)) if marks else None,
        frame=frame,
        usual=frame or _USUAL,
        size=size,
        pictured=pixels is not None,
        chain=inspection.impulse and chain(inspection.impulse, _network(inspection)),
        directions=directions,
        framing_of=_framing,
        kind=kind,
        recorded=_recorded,
        stored_as=stored_as,
    )
    return files.write_all(folder, {"report.html": html.encode("utf-8", "replace")})


def _show_hint(hint: str | None, out: Console, shown: set[str], indent: int = 4) -> None:
    """A hint, unless it is among those `shown` before."""
    if hint and hint not in shown:
        shown.add(hint)
        print_hanging(out, Text.from_markup(f"{'':{indent}}[dim]hint:[/] {escape(hint)}"), indent + 2)


def _show_model(model: InspectedModel, frame: Frame | None, out: Console, hints: set[str], *, several: bool) -> None:
    place = " ".join(part for part in (model.member, model.symbol) if part)
    mark = " [green]<- the one convert takes[/]" if model.chosen and several else ""
    named = " ".join(filter(None, (f"model #{model.number}", escape(place))))
    stored = f"({stored_as(model.form)}, {model.size:,} bytes)"
    print_hanging(out, Text.from_markup(f"  {named} {stored}{mark}"), 4)
    if facts := model.facts:
        out.print(f"    {kind(facts)}, {facts.quantization}, input {escape(facts.input.name)}")
        print_hanging(out, Text(f"    operators {', '.join(facts.operators)}", style="dim"), 6)
    for line in _recorded(model.metadata):
        print_hanging(out, Text(f"    {line}"), 6)
    for line in _framed(model, frame):
        out.print(f"    {escape(line)}")
    if model.reason:
        print_hanging(out, Text(f"    {model.reason}", style="yellow"), 6)
        _show_hint(model.hint, out, hints, 6)
    else:
        out.print("    [green]can be converted[/]")


def _recorded(metadata: types.Metadata) -> list[str]:
    """What matters for a conversion, a line each."""
    lines = []
    if metadata.labels:
        lines.append(f"labels {', '.join(metadata.labels)}")
    settings = {
        "resize mode": metadata.resize_mode,
        "crop anchor": metadata.crop_anchor and anchor_name(metadata.crop_anchor),
        "image scaling": metadata.image_scaling,
        "colour": metadata.color,
        "threshold": metadata.threshold,
    }
    if tracking := metadata.tracking:
        how = f"overlap {tracking.threshold:g}" if tracking.by_overlap else f"{tracking.threshold:g} pixels"
        lines.append(f"tracking{' (SORT)' if tracking.sort else ''} by {how}, lost after {tracking.grace} frames")
    if metadata.segments:
        lines.append("counts at " + ", ".join(",".join(map(str, segment)) for segment in metadata.segments))
    known = ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None)
    return [*lines, known] if known else lines


def _takes_pictures(model: InspectedModel) -> bool:
    """Whether cropping is a question: anomaly detectors and models of sound are never converted."""
    return model.facts is not None and model.facts.task not in {heads.ANOMALY, heads.NOT_IMAGE}


def _framing(model: InspectedModel, frame: Frame | None) -> Framing | None:
    """What the model sees of a frame; None where it was not trained on cropped pictures."""
    if not _takes_pictures(model) or model.metadata.resize_mode is not ResizeMode.FIT_SHORTEST:
        return None
    assert model.facts is not None
    match model.facts.input.shape:
        case (_, int() as height, int() as width, _):
            return Framing(frame or _USUAL, (width, height), anchor=model.metadata.anchor)
        case _:
            return None


def _framed(model: InspectedModel, frame: Frame | None) -> list[str]:
    """What the model sees of a frame, drawn; that it sees all of it where a frame is given for nothing."""
    framing = _framing(model, frame)
    if framing is None:
        mode = model.metadata.resize_mode
        cause = "the resize mode is not recorded" if mode is None else f"the resize mode is {mode}"
        return [f"frame {frame}: nothing is cropped, {cause}"] if frame and _takes_pictures(model) else []
    hint = [] if frame else ["`convert` crops frames of 16:9 in the model; give --frame for another camera's, 4:3"]
    return [*framing_text(framing, cropped=frame is not None), *hint]


def _model_document(model: InspectedModel, frame: Frame | None) -> dict[str, Any]:
    facts = model.facts
    return {
        **{name: getattr(model, name) for name in ("number", "member", "form", "symbol")},
        "bytes": model.size,
        "sha256": model.digest,
        "chosen": model.chosen,
        "used": model.used,
        "task": facts and facts.task,
        "quantization": facts and facts.quantization,
        "input": facts and report.tensor_document(facts.input),
        "outputs": facts and [report.tensor_document(tensor) for tensor in facts.outputs],
        "operators": facts and list(facts.operators),
        "metadata": files.plain(model.metadata),
        "framing": (framing := _framing(model, frame)) and report.framing_document(framing),
        "convertible": model.reason is None,
        "reason": model.reason,
        "hint": model.hint,
    }
