"""Draws what of a camera's frame a model sees, as text and as SVG: frame, the network's input, the model's picture.

Both are pure functions of a `Framing`. What report.json says of one (`d`) is enough to have it again:
`Framing(parse_frame(d["frame"]), tuple(d["model"]))`.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape as escape_html
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.framing import Framing

__all__ = ["framing_svg", "framing_text"]

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
    rows = max(3, round((_AREA / (2 * aspect)) ** 0.5))
    columns = max(6, round(2 * rows * aspect))
    wide, high = (own / whole for own, whole in zip(framing.model, framing.network, strict=True))
    across, down = _marked(columns, wide), _marked(rows, high)
    drawn = [
        "|" + "".join("#" if row in down and column in across else " " for column in range(columns)) + "|"
        for row in range(rows)
    ]
    edge = "+" + "-" * columns + "+"
    notes = ["", *_notes(framing, cropped=cropped)]
    picture = [edge, *drawn, edge]
    notes += [""] * (len(picture) - len(notes))
    picture += [" " * len(edge)] * (len(notes) - len(picture))
    return [f"{line}  {note}".rstrip() for line, note in zip(picture, notes, strict=True)]


def _marked(size: int, share: float) -> range:
    """The middle `share` of `size` places."""
    kept = min(size, max(1, round(size * share)))
    return range((size - kept) // 2, (size - kept) // 2 + kept)


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

    Pictures side by side: the frame with a disc in its middle, the network's input, and what the model sees. That the
    disc stays one shows that nothing is squashed; with `cropped` false it does not.
    """
    panels = _panels(framing, cropped=cropped)
    tall = max(panel.high for panel in panels)
    middle = _MARGIN + _LINE + tall / 2
    left, drawn = float(_MARGIN), []
    for number, panel in enumerate(panels):
        if number:
            drawn.append(_arrow(left, middle))
            left += _GAP
        drawn.append(_drawn(panel, left, middle))
        left += max(panel.wide, _LETTER * len(panel.title))
    notes = [note for note in _notes(framing, cropped=cropped) if note]
    top = _MARGIN + 2 * _LINE + tall + _LINE
    drawn += [
        f'<text x="{_MARGIN}" y="{top + _LINE * line:.1f}">{escape_html(note.replace("### ", "grey: "))}</text>'
        for line, note in enumerate(notes)
    ]
    width = max(left + _MARGIN, 2 * _MARGIN + _LETTER * max(map(len, notes)))
    height = top + _LINE * (len(notes) - 1) + _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" font-family="system-ui, sans-serif" font-size="11" fill="currentColor">'
        f"<title>{escape_html(notes[0])}</title>{''.join(drawn)}</svg>"
    )


@dataclass(frozen=True, slots=True)
class _Panel:
    """A picture `wide` by `high`, its middle `marked`, in it a disc with these half axes."""

    title: str
    wide: float
    high: float
    disc: tuple[float, float]
    marked: tuple[float, float] | None = None


def _panels(framing: Framing, *, cropped: bool) -> list[_Panel]:
    frame, network = (_fitted(*size) for size in ((framing.frame.width, framing.frame.height), framing.network))
    drawn = network[0] / framing.network[0]
    model = (framing.model[0] * drawn, framing.model[1] * drawn)
    marked = (model[0] * frame[0] / network[0], model[1] * frame[1] / network[1])
    radius = 0.3 * min(marked)
    disc = (radius * network[0] / frame[0], radius * network[1] / frame[1])
    first = _Panel(f"frame {framing.frame}", *frame, (radius, radius), marked)
    name = "{}x{}".format(*framing.model)
    if not framing.crops:
        return [first, _Panel(f"model {name}", *network, disc)]
    if not cropped:
        return [first, _Panel(name, *model, (radius * model[0] / frame[0], radius * model[1] / frame[1]))]
    whole = _Panel("network {}x{}".format(*framing.network), *network, disc, model)
    return [first, whole, _Panel(f"model {name}", *model, disc)]


def _fitted(width: int, height: int) -> tuple[float, float]:
    """With `_SIDE` as the longer side."""
    scale = _SIDE / max(width, height)
    return width * scale, height * scale


def _drawn(panel: _Panel, left: float, middle: float) -> str:
    """The picture from `left` on, centred on the height `middle`, with its title above."""
    top, across = middle - panel.high / 2, left + panel.wide / 2
    parts = [f'<text x="{left:.1f}" y="{top - 5:.1f}">{escape_html(panel.title)}</text>']
    if panel.marked:
        wide, high = panel.marked
        parts.append(_box(across - wide / 2, middle - high / 2, wide, high, 'fill-opacity="0.18"'))
    parts.append(_box(left, top, panel.wide, panel.high, 'fill="none" stroke="currentColor"'))
    parts.append(
        f'<ellipse cx="{across:.1f}" cy="{middle:.1f}" rx="{panel.disc[0]:.2f}" ry="{panel.disc[1]:.2f}" '
        'fill="#2f6fde" fill-opacity="0.7"/>'
    )
    return "".join(parts)


def _box(left: float, top: float, width: float, height: float, style: str) -> str:
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" {style}/>'


def _arrow(left: float, middle: float) -> str:
    start, end = left + 8, left + _GAP - 8
    return (
        f'<path d="M{start:.1f} {middle:.1f}H{end:.1f}m-6 -4l6 4l-6 4" fill="none" stroke="currentColor" '
        'stroke-width="1.2"/>'
    )
