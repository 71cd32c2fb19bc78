"""Runs pictures through a chain of engines as a DeepStream pipeline would: one primary, any number behind it.

Pictures are taken a group at a time: every step is done for all of them before the next one begins, which is faster
than picture by picture, and memory does not grow with their number. A second thread reads and prepares the next group
while the engines look at this one. The model sees pictures in batches of its own; frames of one batch do not see each
other, so neither group nor batch changes a result.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.images.placement import Rect
from convert.simulate.cascade import WHOLE_FRAME, passed_over
from convert.simulate.decode import Detected, decode
from convert.simulate.decode_boxes import Dropped
from convert.simulate.decode_tensors import Layer
from convert.simulate.findings import CONVERSION, NOBODY, PARSER, PICTURE
from convert.simulate.groups import PARTS, Ahead, Inputs, room, timed
from convert.simulate.lost import best, of_classifier, of_detector
from convert.simulate.metadata import attach
from convert.simulate.scene import Found, Frame, Said, Simulation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.images.placement import Placement
    from convert.images.read import Picture, Unreadable
    from convert.simulate.decode import Detection
    from convert.simulate.decode_classifier import Classified
    from convert.simulate.engine import Loaded
    from convert.simulate.groups import Group
    from convert.simulate.scene import Lost

__all__ = ["Runner"]


@dataclass(slots=True)
class _Draft:
    """A frame that is being made."""

    picture: Picture
    placement: Placement
    objects: list[Found] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    label: str = ""
    lost: list[Lost] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    decoded: tuple[Detection, ...] = ()

    @property
    def whole(self) -> Rect:
        height, width = self.picture.pixels.shape[:2]
        return Rect(0, 0, width, height)

    def frame(self) -> Frame:
        height, width = self.picture.pixels.shape[:2]
        return Frame(
            self.picture.name,
            self.picture.source,
            width,
            height,
            self.placement,
            tuple(self.objects),
            tuple(self.said),
            self.label,
            best(self.lost),
            (*self.picture.notes, *self.notes),
            self.decoded,
        )


@dataclass(frozen=True, slots=True)
class _Target:
    """An object that a secondary engine looks at; `index` None: the one a primary classifier makes of the frame."""

    draft: _Draft
    index: int | None
    box: Rect


@dataclass(slots=True)
class Runner:
    """One simulation: call it with pictures, and take the frames as they come.

    Attributes:
        engines: in the order they run (`convert.simulate.chain.in_order`).
        findings: what was found so far.
        seconds: wall time of each of PARTS so far; the first two run beside the others.
    """

    engines: tuple[Loaded, ...]
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    _seen: dict[int, int] = field(default_factory=dict)
    _failed: dict[int, str] = field(default_factory=dict)
    _inputs: Inputs = field(default_factory=Inputs)

    def __call__(self, pictures: Iterable[Picture | Unreadable]) -> Iterator[tuple[Picture, Frame]]:
        """Every picture that can be simulated, in order; of the others there is a finding.

        Raises:
            InputError: the model or the config does not fit, or nvinfer's process would end.
            UnsupportedModelError: the outputs cannot be decoded here; their parser is named.
        """
        for group in Ahead(self.engines[0], self.seconds)(pictures):
            self.findings += [
                PICTURE.found(error.message, path=error.path or source, hint=error.hint)
                for error, source in group.left_out
            ]
            drafts = self._primary(group)
            for secondary in self.engines[1:]:
                self._secondary(secondary, drafts)
            for draft in drafts:
                yield draft.picture, draft.frame()
        self.findings += [
            NOBODY.found(
                f"engine {loaded.engine.settings.unique_id} looked at no object of any picture",
                path=loaded.engine.config,
            )
            for loaded in self.engines[1:]
            if not self._seen.get(loaded.engine.settings.unique_id)
        ]

    def simulation(self, frames: Iterable[Frame]) -> Simulation:
        """What came of it."""
        engines = (loaded.engine for loaded in self.engines)
        told = tuple(replace(each, failure=self._failed.get(each.settings.unique_id, "")) for each in engines)
        return Simulation(told, tuple(frames), dict(self.seconds))

    def _primary(self, group: Group) -> list[_Draft]:
        first, drafts = self.engines[0], [_Draft(picture, placement) for picture, placement in group.pictures]
        settings = first.engine.settings
        if not drafts:
            return drafts
        results, failure = self._decoded(first, group.values)
        with timed(self.seconds, "decode"):
            for draft, result in zip(drafts, results, strict=True):
                if isinstance(result, Detected):
                    draft.decoded = result.objects
                    self._attach(first, draft, result, draft.placement)
                else:
                    draft.said += _said(settings.unique_id, result)
                    draft.label = result.label
                    draft.lost += of_classifier(settings, result, len(first.outputs))
                if failure:
                    draft.notes.append(f"engine {settings.unique_id}: {failure}")
        return drafts

    def _decoded(self, loaded: Loaded, values: NDArray[np.float32]) -> tuple[Sequence[Classified | Detected], str]:
        with timed(self.seconds, "infer"):
            starts = range(0, len(values), loaded.batch)
            batches = [loaded.infer(values[start : start + loaded.batch]) for start in starts]
            layers = [_joined(parts) for parts in zip(*batches, strict=True)]
        with timed(self.seconds, "decode"):
            decoded = decode(loaded.engine.settings, loaded.engine.network, layers, why=True)
        number = loaded.engine.settings.unique_id
        if decoded.failure and number not in self._failed:
            self._failed[number] = decoded.failure
            self.findings.append(PARSER.found(decoded.failure, path=loaded.engine.config))
        return decoded.frames, decoded.failure

    def _attach(
        self,
        loaded: Loaded,
        draft: _Draft,
        detected: Detected,
        placement: Placement,
        *,
        parent: Rect | None = None,
        of: int | None = None,
    ) -> None:
        settings, view = loaded.engine.settings, placement.view
        dropped = Dropped()
        objects = attach(settings, view, detected.objects, parent=parent, dropped=dropped)
        draft.objects += [
            Found(
                settings.unique_id,
                one.class_id,
                one.label or "",
                one.confidence,
                Rect(one.left, one.top, one.width, one.height),
                parent=of,
            )
            for one in objects
        ]
        draft.lost += of_detector(settings, view, detected.dropped, dropped, parent=parent, of=of)

    # Engines that look at objects

    def _secondary(self, loaded: Loaded, drafts: list[_Draft]) -> None:
        targets = [target for draft in drafts for target in self._targets(loaded, draft)]
        number = loaded.engine.settings.unique_id
        shape = loaded.prepare.shape
        group = max(loaded.batch, room(loaded))
        for start in range(0, len(targets), group):
            some = targets[start : start + group]
            values = self._inputs(len(some), shape)
            cut: list[tuple[_Target, Placement]] = []
            with timed(self.seconds, "preprocess"):
                for target in some:
                    try:
                        out = values[len(cut)]
                        _, placement = loaded.prepare(target.draft.picture.pixels, crop=target.box, out=out)
                    except InputError as error:
                        self._not_cut(loaded, target, error)
                    else:
                        cut.append((target, placement))
            if not cut:
                continue
            self._seen[number] = self._seen.get(number, 0) + len(cut)
            results, _ = self._decoded(loaded, values[: len(cut)])
            with timed(self.seconds, "decode"):
                for (target, placement), result in zip(cut, results, strict=True):
                    if isinstance(result, Detected):
                        self._attach(
                            loaded, target.draft, result, placement, parent=target.box, of=target.index
                        )  # fmt: skip
                    else:
                        _say(loaded, target, result)

    def _targets(self, loaded: Loaded, draft: _Draft) -> Iterator[_Target]:
        first = self.engines[0].engine.settings.unique_id
        if draft.label:
            why = passed_over(loaded, first, WHOLE_FRAME, draft.whole)
            if why:
                draft.notes.append(why)
            else:
                yield _Target(draft, None, draft.whole)
        for index, found in enumerate(draft.objects):
            why = passed_over(loaded, found.engine, found.class_id, found.box)
            if why:
                _unseen(draft, index, why)
            else:
                yield _Target(draft, index, found.box)

    def _not_cut(self, loaded: Loaded, target: _Target, error: InputError) -> None:
        number = loaded.engine.settings.unique_id
        why = f"engine {number} did not look at it: {error.message}"
        if target.index is None:
            target.draft.notes.append(why)
        else:
            _unseen(target.draft, target.index, why)
        if not any(each.id == CONVERSION.id and each.path == str(loaded.engine.config) for each in self.findings):
            self.findings.append(
                CONVERSION.found(
                    f"picture {target.draft.picture.name}: {error.message}; nvinfer's pipeline ends here",
                    path=loaded.engine.config,
                    hint=error.hint,
                )
            )


def _joined(parts: tuple[Layer, ...]) -> Layer:
    """The batches of one output, one behind the other."""
    return parts[0] if len(parts) == 1 else Layer.of(parts[0].name, np.concatenate([part.array for part in parts]))


def _say(loaded: Loaded, target: _Target, result: Classified) -> None:
    settings, draft = loaded.engine.settings, target.draft
    said = _said(settings.unique_id, result) if result.attached else []
    if target.index is None:
        draft.said += said
    else:
        draft.objects[target.index] = _with(draft.objects[target.index], said=tuple(said))
    draft.lost += of_classifier(settings, result, len(loaded.outputs), target.index)


def _said(engine: int, result: Classified) -> list[Said]:
    return [Said(engine, one.attribute, one.class_id, one.confidence, one.label) for one in result.attributes]


def _unseen(draft: _Draft, index: int, why: str) -> None:
    draft.objects[index] = _with(draft.objects[index], unseen=(why,))


def _with(found: Found, *, said: tuple[Said, ...] = (), unseen: tuple[str, ...] = ()) -> Found:
    return replace(found, said=found.said + said, unseen=found.unseen + unseen)
