"""Runs pictures through a chain of engines as a DeepStream pipeline would: one primary engine, then the secondary ones.

Pictures are processed in groups: each step is done for the whole group before the next step begins, so memory does not
grow with the number of pictures. A second thread decodes and prepares the next group while the engines work on this
one: NumPy, Pillow and ONNX Runtime (which itself uses one thread) release the interpreter lock. Frames of a batch do
not influence each other, so neither group nor batch size changes a result.

Which objects a secondary engine processes: gst_nvinfer_process_objects and should_infer_object (gstnvinfer.cpp).
Objects of single pictures are not tracked, so no state is carried from one picture to the next; with
classifier-async-mode=1 nvinfer processes no untracked object at all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.images.read import Picture, Unreadable
from convert.images.scaling import Placement, Rect
from convert.simulate import results
from convert.simulate.decode import Classification, Classified, Detected, Detection, attach, decode
from convert.simulate.parsers import Dropped, Layer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.findings import Finding, Rule
    from convert.simulate.engine import LoadedEngine

WHOLE_FRAME = -1
"""The class of the object that a primary classifier makes of the whole frame."""


def passed_over(secondary: LoadedEngine, engine: int, class_id: int, box: Rect) -> str:
    """Why the engine does not process an object, "" if it does.

    Args:
        secondary: the engine.
        engine: gie-unique-id of the one that found the object.
        class_id: of the object.
        box: pixels of the frame.

    Raises:
        InputError: nvinfer's process ends of it.
    """
    settings = secondary.engine.settings
    name = f"engine {settings.unique_id} did not look at it"
    if secondary.asynchronous:
        return f"{name}: classifier-async-mode=1, and without a tracker no object is looked at"
    if settings.operate_on_gie_id > -1 and engine != settings.operate_on_gie_id:
        return f"{name}: it was found by engine {engine}, operate-on-gie-id={settings.operate_on_gie_id}"
    sides = (("width", box.width), ("height", box.height))
    for (side, size), least in zip(sides, secondary.smallest, strict=True):
        if size < least:
            return f"{name}: its {side} {size:.6g} is below input-object-min-{side}={least}"
    for (side, size), most in zip(sides, settings.input_object_max, strict=True):
        if most > 0 and size > most:
            return f"{name}: its {side} {size:.6g} is above input-object-max-{side}={most}"
    classes = settings.operate_on_class_ids
    if classes and class_id < 0:
        raise InputError(
            "nvinfer's process ends here (std::out_of_range): operate-on-class-ids is compared with class -1, which a "
            "primary classifier gives to the whole frame",
            hint="remove operate-on-class-ids behind a classifier",
            path=secondary.engine.config,
        )
    if classes and class_id not in classes:
        wanted = ";".join(map(str, sorted(classes)))
        return f"{name}: its class {class_id} is not in operate-on-class-ids={wanted}"
    return ""


GROUP = 4
"""Pictures in a group, or as many as the primary engine's batch has."""

GROUP_BYTES = 2**27
"""Of decoded pictures in a group; two groups are held at a time."""

_INPUT_BYTES = 2**26  # of a group's inputs; detection heads give several times as much

PARTS = ("decode pictures", "preprocess", "infer", "decode")
"""The parts that are timed."""


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    """Add the wall time of the block to `seconds[part]`."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[part] += time.perf_counter() - start


def inputs_at_once(loaded: LoadedEngine) -> int:
    """Inputs that are made at a time, where the engine's batch is not larger."""
    return max(_INPUT_BYTES // (4 * math.prod(loaded.prepare.shape)), 1)


class Inputs:
    """Reusable memory for inputs: getting it from the system costs as much as scaling a picture."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[int, ...], NDArray[np.float32]] = {}

    def __call__(self, count: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """[count, *shape], with anything in it; the next call for this shape gives the same memory."""
        found = self._buffers.get(shape)
        if found is None or len(found) < count:
            found = self._buffers[shape] = np.empty((count, *shape), np.float32)
        return found[:count]


@dataclass(frozen=True, slots=True)
class FrameGroup:
    """The next input of the primary engine.

    Attributes:
        values: its inputs, float32 [n,...]; valid until the group after the next one is requested.
        pictures: n pictures, and where each lies in its input.
        left_out: why others are not among them, and their sources.
    """

    values: NDArray[np.float32]
    pictures: list[tuple[Picture, Placement]]
    left_out: list[tuple[InputError, str]]


@dataclass(slots=True)
class Prefetch:
    """Reads and prepares pictures in groups, one group ahead of the engine.

    Attributes:
        engine: the primary one.
        seconds: wall time of PARTS is added to it.
    """

    engine: LoadedEngine
    seconds: dict[str, float]
    _inputs: tuple[Inputs, Inputs] = field(default_factory=lambda: (Inputs(), Inputs()))

    def __call__(self, pictures: Iterable[Picture | Unreadable]) -> Iterator[FrameGroup]:
        """Each group is prepared while the caller works on the one before it."""
        groups = self._groups(pictures)
        with ThreadPoolExecutor(max_workers=1) as thread:
            turn = 0
            following = thread.submit(self._prepared, groups, self._inputs[turn])
            while (group := following.result()) is not None:
                turn = 1 - turn
                following = thread.submit(self._prepared, groups, self._inputs[turn])
                yield group

    def _prepared(self, groups: Iterator[list[Picture | Unreadable]], inputs: Inputs) -> FrameGroup | None:
        """The next group; None behind the last."""
        some = next(groups, None)
        if some is None:
            return None
        prepare = self.engine.prepare
        pictures: list[tuple[Picture, Placement]] = []
        left_out: list[tuple[InputError, str]] = []
        with timed(self.seconds, "preprocess"):
            values = inputs(len(some), prepare.shape)
            for picture in some:
                if not isinstance(picture, Picture):
                    left_out.append((picture.error, str(picture.source)))
                    continue
                try:
                    _, placement = prepare(picture.pixels, out=values[len(pictures)])
                except InputError as error:  # too small or too narrow
                    left_out.append((error, str(picture.source)))
                else:
                    pictures.append((picture, placement))
        return FrameGroup(values[: len(pictures)], pictures, left_out)

    def _groups(self, pictures: Iterable[Picture | Unreadable]) -> Iterator[list[Picture | Unreadable]]:
        most = max(self.engine.batch, min(GROUP, inputs_at_once(self.engine)))
        group: list[Picture | Unreadable] = []
        held = 0
        source = iter(pictures)
        while True:
            with timed(self.seconds, "decode pictures"):
                picture = next(source, None)
            if picture is None:
                break
            size = picture.pixels.nbytes if isinstance(picture, Picture) else 0
            if group and (len(group) == most or held + size > GROUP_BYTES):
                yield group
                group, held = [], 0
            group.append(picture)
            held += size
        if group:
            yield group


@dataclass(slots=True)
class _FrameState:
    """The results of a frame so far."""

    picture: Picture
    placement: Placement
    objects: list[results.DetectedObject] = field(default_factory=list)
    classifications: list[Classification] = field(default_factory=list)
    label: str = ""
    dropped: list[results.DroppedCandidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    decoded: tuple[Detection, ...] = ()

    def frame(self) -> results.FrameResult:
        picture, (height, width) = self.picture, self.picture.pixels.shape[:2]
        return results.FrameResult(
            *(picture.name, picture.source, width, height, self.placement, tuple(self.objects)),
            *(tuple(self.classifications), self.label, results.best(self.dropped)),
            *((*picture.notes, *self.notes), self.decoded),
        )


@dataclass(frozen=True, slots=True)
class _Target:
    """What an engine processes: an object, with `index` None that which a primary classifier makes of the frame.

    Both are None for the frame itself.
    """

    state: _FrameState
    index: int | None
    box: Rect | None


@dataclass(slots=True)
class Runner:
    """One simulation: call it with pictures, and take the frames as they come.

    Attributes:
        engines: in the order they run (`convert.simulate.job.in_order`).
        findings: so far.
        seconds: wall time of each of PARTS so far; the first two run beside the others.
    """

    engines: tuple[LoadedEngine, ...]
    findings: list[Finding] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    _used: set[int] = field(default_factory=set)
    _failed: dict[int, str] = field(default_factory=dict)
    _inputs: Inputs = field(default_factory=Inputs)

    def __call__(self, pictures: Iterable[Picture | Unreadable]) -> Iterator[tuple[Picture, results.FrameResult]]:
        """Every picture that can be simulated, in order; of the others there is a finding.

        Raises:
            InputError: the model or the config does not fit, or nvinfer's process would end.
            UnsupportedModelError: the outputs cannot be decoded here; their parser is named.
        """
        for group in Prefetch(self.engines[0], self.seconds)(pictures):
            self.findings += [
                results.PICTURE.found(error.message, path=error.path or source, hint=error.hint)
                for error, source in group.left_out
            ]
            states = self._primary(group)
            for secondary in self.engines[1:]:
                self._secondary(secondary, states)
            for state in states:
                yield state.picture, state.frame()
        for loaded in self.engines[1:]:
            if (number := loaded.engine.settings.unique_id) not in self._used:
                message = f"engine {number} looked at no object of any picture"
                self.findings.append(results.UNUSED_ENGINE.found(message, path=loaded.engine.config))

    def simulation(self, frames: Iterable[results.FrameResult]) -> results.Simulation:
        """Engines and frames as one result; call it after the last picture."""
        engines = tuple(
            replace(loaded.engine, failure=self._failed.get(loaded.engine.settings.unique_id, ""))
            for loaded in self.engines
        )
        return results.Simulation(engines, tuple(frames), dict(self.seconds))

    def _primary(self, group: FrameGroup) -> list[_FrameState]:
        first, states = self.engines[0], [_FrameState(picture, placement) for picture, placement in group.pictures]
        settings = first.engine.settings
        if not states:
            return states
        decoded, failure = self._decoded(first, group.values)
        with timed(self.seconds, "decode"):
            for state, result in zip(states, decoded, strict=True):
                if isinstance(result, Detected):
                    state.decoded = result.objects
                    self._attach(first, _Target(state, None, None), result, state.placement)
                else:
                    state.classifications += result.attributes
                    state.label = result.label
                    state.dropped += results.dropped_by_classifier(settings, result, len(first.outputs))
                if failure:
                    state.notes.append(f"engine {settings.unique_id}: {failure}")
        return states

    def _decoded(
        self, loaded: LoadedEngine, values: NDArray[np.float32]
    ) -> tuple[Sequence[Classified | Detected], str]:
        with timed(self.seconds, "infer"):
            starts = range(0, len(values), loaded.batch)
            batches = [loaded.infer(values[start : start + loaded.batch]) for start in starts]
            layers = batches[0] if len(batches) == 1 else [
                Layer.of(parts[0].name, np.concatenate([part.array for part in parts]))
                for parts in zip(*batches, strict=True)
            ]  # fmt: skip
        with timed(self.seconds, "decode"):
            decoded = decode(loaded.engine.settings, loaded.engine.network, layers, why=True)
        number = loaded.engine.settings.unique_id
        if decoded.failure and number not in self._failed:
            self._failed[number] = decoded.failure
            self.findings.append(results.PARSER.found(decoded.failure, path=loaded.engine.config))
        if decoded.nan_scores and not self._found(results.NAN_SCORES, loaded):
            message = f"engine {number}: scores are NaN, and the order of boxes on a device is undefined"
            self.findings.append(results.NAN_SCORES.found(message, path=loaded.engine.config))
        return decoded.frames, decoded.failure

    def _attach(self, loaded: LoadedEngine, target: _Target, detected: Detected, placement: Placement) -> None:
        settings, state = loaded.engine.settings, target.state
        dropped = Dropped()
        objects = attach(settings, placement.view, detected.objects, parent=target.box, dropped=dropped)
        state.objects += results.detected_objects(settings.unique_id, objects, target.index)
        left_out = results.dropped_by_detector(
            settings, placement.view, detected.dropped, dropped, parent=target.box, of=target.index
        )
        if loaded.engine.recorded.merge not in {None, "none"}:  # the graph has set cells to 0 that are no objects
            left_out = [one for one in left_out if one.confidence]
        state.dropped += left_out

    def _secondary(self, loaded: LoadedEngine, states: list[_FrameState]) -> None:
        targets = [target for state in states for target in self._targets(loaded, state)]
        number = loaded.engine.settings.unique_id
        shape = loaded.prepare.shape
        group = max(loaded.batch, inputs_at_once(loaded))
        for start in range(0, len(targets), group):
            some = targets[start : start + group]
            values = self._inputs(len(some), shape)
            cut: list[tuple[_Target, Placement]] = []
            with timed(self.seconds, "preprocess"):
                for target in some:
                    try:
                        out = values[len(cut)]
                        _, placement = loaded.prepare(target.state.picture.pixels, crop=target.box, out=out)
                    except InputError as error:
                        self._not_cut(loaded, target, error)
                    else:
                        cut.append((target, placement))
            if not cut:
                continue
            self._used.add(number)
            decoded, _ = self._decoded(loaded, values[: len(cut)])
            with timed(self.seconds, "decode"):
                for (target, placement), result in zip(cut, decoded, strict=True):
                    if isinstance(result, Detected):
                        self._attach(loaded, target, result, placement)
                    else:
                        _add_classifications(loaded, target, result)

    def _targets(self, loaded: LoadedEngine, state: _FrameState) -> Iterator[_Target]:
        first = self.engines[0].engine.settings.unique_id
        known: list[tuple[int | None, int, int, Rect]]
        known = [(index, each.engine, each.class_id, each.box) for index, each in enumerate(state.objects)]
        if state.label:
            height, width = state.picture.pixels.shape[:2]
            known.insert(0, (None, first, WHOLE_FRAME, Rect(0, 0, width, height)))
        for index, engine, class_id, box in known:
            if why := passed_over(loaded, engine, class_id, box):
                _skip(state, index, why)
            else:
                yield _Target(state, index, box)

    def _not_cut(self, loaded: LoadedEngine, target: _Target, error: InputError) -> None:
        number = loaded.engine.settings.unique_id
        why = f"engine {number} did not look at it: {error.message}"
        _skip(target.state, target.index, why)
        if not self._found(results.CONVERSION, loaded):
            message = f"picture {target.state.picture.name}: {error.message}; nvinfer's pipeline ends here"
            self.findings.append(results.CONVERSION.found(message, path=loaded.engine.config, hint=error.hint))

    def _found(self, rule: Rule, loaded: LoadedEngine) -> bool:
        return any(each.id == rule.id and each.path == str(loaded.engine.config) for each in self.findings)


def _add_classifications(loaded: LoadedEngine, target: _Target, result: Classified) -> None:
    settings, state = loaded.engine.settings, target.state
    found = result.attributes if result.attached else ()
    if target.index is None:
        state.classifications += found
    else:
        known = state.objects[target.index]
        state.objects[target.index] = replace(known, classifications=(*known.classifications, *found))
    state.dropped += results.dropped_by_classifier(settings, result, len(loaded.outputs), target.index)


def _skip(state: _FrameState, index: int | None, why: str) -> None:
    """Record why an engine does not process an object, or the whole frame (`index` None)."""
    if index is None:
        state.notes.append(why)
    else:
        known = state.objects[index]
        state.objects[index] = replace(known, skipped=(*known.skipped, why))
