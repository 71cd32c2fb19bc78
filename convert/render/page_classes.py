"""How often each class was shown, how sure the models were, and by which keys its candidates were left out."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convert.render.drawing_colours import Look, look

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convert.simulate.scene import Engine, Frame

__all__ = ["ClassRow", "class_rows", "unseen_classes"]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class of one engine.

    Attributes:
        label: "" without one.
        confidences: of what is shown, in the pictures' order.
        lost: key -> how many of the best candidates fell to it, most first.
    """

    class_id: int
    label: str
    look: Look
    confidences: tuple[float, ...]
    lost: dict[str, int]

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

    @property
    def lost_count(self) -> int:
        """How many of the best candidates were left out."""
        return sum(self.lost.values())


@dataclass(slots=True)
class _Tally:
    shown: list[float] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)


def class_rows(engine: Engine, frames: Sequence[Frame]) -> list[ClassRow]:
    """The classes of an engine that were shown or nearly, in class order; a class without a label has a row, too."""
    tallies: dict[tuple[int, str], _Tally] = {}
    for class_id, label, confidence in _shown(engine.settings.unique_id, frames):
        tallies.setdefault((class_id, label), _Tally()).shown.append(confidence)
    for frame in frames:
        for lost in frame.lost:
            if lost.engine == engine.settings.unique_id:
                tallies.setdefault((lost.class_id, lost.label or ""), _Tally()).lost[lost.key] += 1
    return [
        ClassRow(
            class_id,
            label,
            look(engine.settings.unique_id, class_id),
            tuple(tally.shown),
            dict(sorted(tally.lost.items(), key=lambda one: (-one[1], one[0]))),
        )
        for (class_id, label), tally in sorted(tallies.items())
    ]


def unseen_classes(engine: Engine, rows: Sequence[ClassRow]) -> list[str]:
    """Labels of classes that were neither shown nor among the best candidates, in the label file's order."""
    seen = {row.label for row in rows}
    lines = engine.settings.labels
    labels = [line[0] for line in lines if line] if engine.settings.classes else [one for line in lines for one in line]
    return [label for label in labels if label and label not in seen]


def _shown(engine: int, frames: Sequence[Frame]) -> Iterator[tuple[int, str, float]]:
    """Class, label and confidence of all an engine shows; of a classifier what it has a label for."""
    for frame in frames:
        for said in frame.said:
            if said.engine == engine and said.label:
                yield said.class_id, said.label, said.confidence
        for found in frame.objects:
            if found.engine == engine:
                yield found.class_id, found.label, found.confidence
            for said in found.said:
                if said.engine == engine and said.label:
                    yield said.class_id, said.label, said.confidence
