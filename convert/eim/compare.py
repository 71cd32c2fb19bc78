"""Gives an .eim and a reference the same input and compares the answers.

The reference is a bundle, a .tflite, or another .eim. Scores are compared label by label, boxes pair by pair. Three
kinds of differences are excused: a box, or a cell of one, whose score can be on the other side of the threshold; FOMO
boxes that differ only because the SDK merges cells wrongly; and those between the two sets of kernels that LiteRT has
for an int8 .tflite, of which the one is taken that comes closer (the .eim has one of the two).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, prod
from typing import TYPE_CHECKING, Any

from convert.compare.edge_impulse import pack, read_features, read_original, unpack
from convert.eim.bundle import Impulse, SampledImpulse, read_impulse
from convert.eim.client import Client, ModelInfo, Reply, Timeouts, talk
from convert.eim.inspect import ELF_MAGIC, MACHO_MAGICS
from convert.eim.server import Loaded, LoadedSamples
from convert.errors import InputError, PresetError
from convert.export.facts import facts
from convert.export.tflite import read_graph
from convert.findings import Finding, Level, Rule
from convert.images import CENTRE, Anchor, ImageScaling, ResizeMode
from convert.images.read import read_fitted
from convert.images.resizing import Resizing
from convert.images.scaling import Rect, as_sdk
from convert.isolation import Worker
from convert.types import DETECTOR_THRESHOLD, ModelFacts
from convert.validate import runtimes

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.dsp import Impulse as Window

OTHER_LABELS = Rule("EI630")
OTHER_RESIZE = Rule("EI631")
SCORE_DIFFERS = Rule("EI632")
FIRST_DIFFERS = Rule("EI633")
BOX_DIFFERS = Rule("EI634")
BORDERLINE = Rule("EI635")
SDK_MERGE = Rule("EI636")
ROUNDING = Rule("EI637")
NO_THRESHOLD = Rule("EI638")
NETWORK_ALONE = Rule("EI639")
OTHER_ANOMALY, OVERFLOW = Rule("EI641"), Rule("EI642")

_SAME = 0.5  # two boxes of a label are the same object from this intersection over union


@dataclass(frozen=True)
class Reference:
    """What an .eim is compared with.

    Attributes:
        size: height, width, channels of the pictures it takes; None where features are compared.
        labels: in output order.
        resize_mode: how pictures are brought to size; None when unknown.
        take: of what a file holds (a picture, features, the windows of a recording) name, features for the .eim,
            float32 [n], and what `classify` is given: the same, but for the whole frames that a bundle takes.
        classify: (what `take` gives, threshold, *, as_sdk=False) -> result; `as_sdk` merges FOMO's cells as the SDK
            does.
        by_reference: of an int8 .tflite `classify` with LiteRT's reference kernels.
        threshold: its own, of a detector; None: not known.
        settable: whether `classify` goes by the threshold that it is given.
        anomaly: whether it scores anomalies; None: what it is holds no such thing.
        rounding: why its answers are not those of the original, in words; empty: they should be.
        notes: what is said of it.
    """

    size: tuple[int, int, int] | None
    labels: tuple[str, ...]
    resize_mode: ResizeMode | None
    take: Callable[[Path], Iterable[tuple[str, NDArray[np.float32], Any]]]
    classify: Callable[..., dict[str, Any]]
    by_reference: Callable[..., dict[str, Any]] | None = None
    threshold: float | None = None
    settable: bool = True
    anomaly: bool | None = None
    rounding: str = ""
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """Both scores, or both boxes, of one label; None where one is missing.

    Attributes:
        score_difference: of the scores, absolute, None when one is missing.
        pixels: largest difference of an edge.
    """

    label: str
    eim: dict[str, Any] | float | None
    ours: dict[str, Any] | float | None
    score_difference: float | None
    pixels: int | None = None


@dataclass(frozen=True, slots=True)
class PictureComparison:
    """One picture's, one file of features' or one window's comparison; `detects`: boxes are compared."""

    path: str
    pairs: tuple[AnswerPair, ...]
    seconds: float
    findings: tuple[Finding, ...]
    detects: bool = False

    @property
    def largest(self) -> float | None:
        """The largest difference of a score; None where none was measured."""
        return max((pair.score_difference for pair in self.pairs if pair.score_difference is not None), default=None)

    @property
    def equal(self) -> bool:
        """Whether the answers are the same, bit for bit."""
        return all(pair.score_difference == 0 and not pair.pixels for pair in self.pairs)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(found.level is Level.ERROR for found in self.findings)


@dataclass(frozen=True, slots=True)
class EimComparison:
    """All pictures; `findings` are about the models as a whole."""

    pictures: tuple[PictureComparison, ...]
    findings: tuple[Finding, ...]

    @property
    def largest(self) -> float | None:
        """The largest difference of a score; None where none was measured."""
        return max((each.largest for each in self.pictures if each.largest is not None), default=None)

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """About the models and about every picture."""
        return (*self.findings, *(found for each in self.pictures for found in each.findings))

    @property
    def agrees(self) -> bool:
        """Whether no finding is an error."""
        return not any(found.level is Level.ERROR for found in self.all_findings)


def compare(
    client: Client,
    ours: Reference,
    pictures: Iterable[Path],
    *,
    tolerance: float,
    pixels: int,
    threshold: float | None = None,
) -> EimComparison:
    """Classify every picture, or file of features, with both.

    Args:
        client: of the .eim.
        ours: the reference.
        pictures: files.
        tolerance: largest difference of a score.
        pixels: largest difference of a box's edge.
        threshold: for both; default: the .eim's own.

    Raises:
        InputError: the two do not take the same pictures, or a picture or the .eim cannot be read.
        PresetError: the threshold of one of them cannot be set.
    """
    models = [*_models(client, ours), *ours.notes]
    limit, found = _threshold(client, ours, threshold)
    models += found
    sets = [ours.classify, *([ours.by_reference] if ours.by_reference else [])]
    rows: list[list[PictureComparison]] = [[] for _ in sets]
    apart = 0.0
    for name, features, own in (taken for path in pictures for taken in ours.take(path)):
        reply = client.classify(features)
        answers = [classify(own, limit) for classify in sets]
        for each, answer, classify in zip(rows, answers, sets, strict=True):
            each.append(_compared(reply, answer, partial(classify, own), name, tolerance, pixels, limit))
        if len(sets) > 1:
            pairs, _ = difference(answers[0], answers[1], name, tolerance, pixels, limit)
            apart = max([apart, *(pair.score_difference for pair in pairs if pair.score_difference is not None)])
    best = min(rows, key=lambda row: (sum(each.errors for each in row), -sum(each.equal for each in row)))
    if len(sets) > 1 and apart:
        models.append(_kernels(rows, apart))
    comparison = EimComparison(tuple(best), tuple(models))
    if ours.rounding and not comparison.agrees:
        original = "compare the .eim with the .tflite of the same export, or " if client.model.width else ""
        hint = f"{original}allow for it with --tolerance{' and --pixels' if client.model.detects else ''}"
        comparison = replace(comparison, findings=(*models, ROUNDING.found(ours.rounding, hint=hint)))
    return comparison


def _kernels(rows: list[list[PictureComparison]], apart: float) -> Finding:
    """Which of LiteRT's kernels the .eim has."""
    equal = [sum(each.equal for each in row) for row in rows]
    names = (runtimes.DEFAULT, runtimes.REFERENCE)
    counts = " and ".join(f"{count} those of its {name} kernels" for name, count in zip(names, equal, strict=True))
    return ROUNDING.found(
        f"an int8 model in LiteRT: of the .eim's {len(rows[0])} answers {counts}, bit for bit; the two sets of kernels "
        f"are up to {apart:.2g} apart"
    )


def _compared(
    reply: Reply,
    answer: Mapping[str, Any],
    mine: Callable[..., dict[str, Any]],
    path: str,
    tolerance: float,
    pixels: int,
    limit: float,
) -> PictureComparison:
    """One picture or window; `mine` answers again, with another threshold or with the SDK's slips."""

    def against(answer: Mapping[str, Any]) -> tuple[tuple[AnswerPair, ...], tuple[Finding, ...]]:
        return difference(reply.result, answer, path, tolerance, pixels, limit)

    pairs, found = against(answer)
    if _lies_elsewhere(found):
        low, high = max(limit - tolerance, 0.0), limit + tolerance
        merge, border = (SDK_MERGE,), (BORDERLINE,)
        variants = [
            (excuses, [_box(box) for box in mine(level, as_sdk=as_sdk)["bounding_boxes"]])
            for excuses, level, as_sdk in (
                ((), limit, False), (merge, limit, True), (border, low, False), (border, high, False),
                (border + merge, low, True), (border + merge, high, True),
            )
        ]  # fmt: skip
        excused: set[Rule] = set()
        fitting = []
        theirs = [_box(box) for box in reply.result["bounding_boxes"]]
        regions = variants[2][1]  # with every cell that can be one: what belongs together lies in one of them
        for region in regions:
            inside = [[box for box in boxes if _region(box, regions) is region] for _, boxes in variants]
            there = [box for box in theirs if _region(box, regions) is region]
            fits = (not _lies_elsewhere(_boxes(there, own, "", tolerance, pixels, limit)[1]) for own in inside)
            chosen = next((number for number, good in enumerate(fits) if good), 0)
            fitting += inside[chosen]
            excused.update(variants[chosen][0])
        again, fewer = against({"bounding_boxes": fitting})
        if not _lies_elsewhere(fewer):
            said = {SDK_MERGE: "only the merging of cells differs",
                    BORDERLINE: "boxes differ by cells whose scores are at the threshold"}  # fmt: skip
            pairs, found = again, (*fewer, *(rule.found(said[rule], path=path) for rule in said if rule in excused))
    return PictureComparison(path, pairs, reply.seconds, found, "bounding_boxes" in answer)


def _region(box: dict[str, Any], regions: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The first of `regions` that holds the whole box."""
    left, top, right, bottom = _edges(box)
    for each in regions:
        first_left, first_top, last_right, last_bottom = _edges(each)
        inside = first_left <= left and first_top <= top and right <= last_right and bottom <= last_bottom
        if inside and each["label"] == box["label"]:
            return each
    return None


def _lies_elsewhere(found: Iterable[Finding]) -> bool:
    return any(finding.id == BOX_DIFFERS.id for finding in found)


def difference(
    theirs: Mapping[str, Any], mine: Mapping[str, Any], path: str, tolerance: float, pixels: int, threshold: float
) -> tuple[tuple[AnswerPair, ...], tuple[Finding, ...]]:
    """What differs between two results of one picture.

    Raises:
        InputError: one has scores and the other boxes.
    """
    both = {"anomaly"} & theirs.keys() & mine.keys()
    if both or ("classification" in theirs and "classification" in mine):
        pairs, found = _scores(theirs.get("classification", {}), mine.get("classification", {}), path, tolerance)
        for name in both:  # it has no upper limit
            size = max(1.0, abs(mine[name]))
            more, differs = _scores({name: theirs[name]}, {name: mine[name]}, path, tolerance * size)
            pairs, found = (*pairs, *more), (*found, *differs)
        return pairs, found
    if "bounding_boxes" in theirs and "bounding_boxes" in mine:
        return _boxes(theirs["bounding_boxes"], mine["bounding_boxes"], path, tolerance, pixels, threshold)
    raise InputError(
        f"the .eim answers with {', '.join(theirs) or 'nothing'}, the other side with {', '.join(mine)}",
        path=path, hint="compare models of the same kind",
    )  # fmt: skip


def _models(client: Client, ours: Reference) -> list[Finding]:
    """Differences between the models as a whole.

    Raises:
        InputError: they take different pictures.
    """
    theirs = client.model
    if ours.size is not None:
        height, width, channels = ours.size
        if (theirs.height, theirs.width) != (height, width) or (theirs.channels or channels) != channels:
            pictures = f"pictures of {theirs.width}x{theirs.height} with {theirs.channels} channels"
            raise InputError(
                f"the .eim takes {pictures if theirs.width else 'no pictures'}, "
                f"the other side ones of {width}x{height} with {channels} channels",
                hint="compare an .eim with the conversion of the same project and version",
            )
    found = []
    if sorted(theirs.labels) != sorted(ours.labels):
        only_theirs = ", ".join(sorted(set(theirs.labels) - set(ours.labels))) or "none"
        only_ours = ", ".join(sorted(set(ours.labels) - set(theirs.labels))) or "none"
        found.append(OTHER_LABELS.found(f"only in the .eim: {only_theirs}; only in the other: {only_ours}"))
    scores = bool(theirs.parameters.get("has_anomaly"))
    if ours.anomaly is not None and scores != ours.anomaly:
        who, other = ("the .eim", "the other side") if scores else ("the other side", "the .eim")
        found.append(OTHER_ANOMALY.found(f"{who} gives an anomaly score, {other} none: it is not compared"))
    mode = ours.resize_mode
    if theirs.resize_mode not in {None, "none"} and mode is not None and mode.value != theirs.resize_mode:
        found.append(OTHER_RESIZE.found(f"the .eim says {theirs.resize_mode}, the bundle {mode.value}"))
    return found


def _threshold(client: Client, ours: Reference, wanted: float | None) -> tuple[float, list[Finding]]:
    """The detection threshold for both, which the .eim is set to where one is `wanted`.

    Raises:
        PresetError: it cannot be set.
    """
    settings = client.model.detectors
    if wanted is not None:
        for side, has_one, path in ("the .eim", settings, client.target), ("the other .eim", ours.settable, None):
            if not has_one:
                message = f"{side} has no detection threshold that can be set, so both cannot have the same"
                raise PresetError(message, path=path, hint="leave --threshold out")
        for block in settings:
            client.set_threshold(block, "min_score", wanted)
        return wanted, []
    unknown = "the threshold of the other .eim is not known: it keeps its own"
    found = [] if ours.settable else [NO_THRESHOLD.found(unknown)]
    known = next((score for score in settings.values() if score is not None), None)
    if known is not None or not client.model.detects:
        return DETECTOR_THRESHOLD if known is None else known, found
    assumed = DETECTOR_THRESHOLD if ours.threshold is None else ours.threshold
    whose = "Edge Impulse's usual one" if ours.threshold is None else "the other side's"
    return assumed, [NO_THRESHOLD.found(f"the .eim does not say its threshold: {whose} is taken, {assumed:g}"), *found]


def _scores(
    theirs: Mapping[str, Any], mine: Mapping[str, float], path: str, tolerance: float
) -> tuple[tuple[AnswerPair, ...], tuple[Finding, ...]]:
    pairs, found = [], []
    for label in {**mine, **theirs}:
        there, here = theirs.get(label), mine.get(label)
        score = abs(float(there) - here) if isinstance(there, int | float) and isinstance(here, int | float) else None
        pairs.append(AnswerPair(label, there, here, score))
        if score is not None and not score <= tolerance:
            found.append(SCORE_DIFFERS.found(f"{label}: {there:.4f} and {here:.4f}", path=path))
        elif score is None and label in theirs and label in mine:
            found.append(SCORE_DIFFERS.found(f"{label}: {there!r} and {here!r}", path=path))
    numbers = {label: value for label, value in theirs.items() if isinstance(value, int | float)}
    if numbers and mine:
        first, ours = max(numbers, key=lambda label: numbers[label]), max(mine, key=lambda label: mine[label])
        # Two labels that are closer together than the tolerance may change places.
        if first != ours and numbers[first] - numbers.get(ours, 0.0) > tolerance:
            found.append(FIRST_DIFFERS.found(f"{first} and {ours}", path=path))
    return tuple(pairs), tuple(found)


def _boxes(
    theirs: Iterable[Any], mine: Iterable[dict[str, Any]], path: str, tolerance: float, pixels: int, threshold: float
) -> tuple[tuple[AnswerPair, ...], tuple[Finding, ...]]:
    pairs, found = [], []
    left = list(mine)
    for there in sorted(map(_box, theirs), key=lambda box: -box["value"]):
        here = max(left, key=lambda box: _overlap(there, box), default=None)
        if here is None or _overlap(there, here) < _SAME:
            pairs.append(AnswerPair(there["label"], there, None, None))
            found.append(_alone(there, "only the .eim finds", path, tolerance, threshold))
            continue
        left.remove(here)
        score, moved = abs(there["value"] - here["value"]), _moved(there, here)
        pairs.append(AnswerPair(there["label"], there, here, score, moved))
        if not score <= tolerance:
            found.append(
                SCORE_DIFFERS.found(f"{_named(there)}: score {there['value']:.4f} and {here['value']:.4f}", path=path)
            )
        if moved > pixels:
            found.append(BOX_DIFFERS.found(f"{_named(there)} and {_named(here)}: {moved} pixels", path=path))
    for here in left:
        pairs.append(AnswerPair(here["label"], None, here, None))
        found.append(_alone(here, "the .eim does not find", path, tolerance, threshold))
    return tuple(pairs), tuple(found)


def _box(value: Any) -> dict[str, Any]:
    """One of the .eim's boxes.

    Raises:
        InputError: it is no box.
    """
    try:
        numbers = {name: int(value[name]) for name in ("x", "y", "width", "height")}
        return {"label": str(value["label"]), "value": float(value["value"]), **numbers}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"the .eim answers with a box that is none: {value!r}", hint="update the .eim") from error


def _alone(box: dict[str, Any], what: str, path: str, tolerance: float, threshold: float) -> Finding:
    rule = BORDERLINE if abs(box["value"] - threshold) <= tolerance else BOX_DIFFERS
    return rule.found(f"{what} {_named(box)}, {box['value']:.4f}", path=path)


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Intersection over union; 0 for other labels, 1 for equal boxes without area."""
    if one["label"] != other["label"]:
        return 0.0
    left, right = (Rect(box["x"], box["y"], box["width"], box["height"]) for box in (one, other))
    return left.overlap(right) or float(one == other)


def _moved(one: dict[str, Any], other: dict[str, Any]) -> int:
    """The largest distance between corresponding edges, in pixels."""
    return max(abs(edge - its) for edge, its in zip(_edges(one), _edges(other), strict=True))


def _edges(box: dict[str, Any]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


def _named(box: dict[str, Any]) -> str:
    return f"{box['label']} at {box['x']},{box['y']} {box['width']}x{box['height']}"


@contextlib.contextmanager
def open_backend(
    path: Path,
    model: ModelInfo,
    scaling: ImageScaling,
    timeout: float,
    *,
    features: bool = False,
    engine: int | None = None,
) -> Iterator[Reference]:
    """The reference at `path`.

    Args:
        path: a bundle, a flatbuffer, an .eim or its socket.
        model: of the .eim it is compared with; a flatbuffer gets its labels and resize mode, pictures its size.
        scaling: of a flatbuffer.
        timeout: seconds for each answer.
        features: files hold features instead of pictures.
        engine: of a bundle that is an app with two models: 1 or 2.

    Raises:
        InputError, ValidationError: it cannot be read or run.
    """
    is_network = path.suffix.lower() in {".tflite", ".lite"}
    is_executable = not is_network and _is_eim(path)
    if engine is not None and (is_network or is_executable):
        raise InputError("this is no app with two models", path=path, hint="leave --engine out")
    if is_network:
        with Worker() as worker:
            yield _flatbuffer(path, model, scaling, timeout, worker, features=features)
    elif is_executable:
        with talk(path, limits=Timeouts(timeout, timeout)) as other:
            yield _executable(other, model, features=features)
    else:
        impulse = read_impulse(path, whole=not features, engine=engine)
        if isinstance(impulse, SampledImpulse):
            yield _samples(impulse, model, features=features)
        else:
            yield _bundle(impulse, model, features=features)


def _is_eim(path: Path) -> bool:
    if not path.is_file():
        return path.is_socket()
    with path.open("rb") as file:
        return file.read(4) in {ELF_MAGIC, *MACHO_MAGICS}


def _takes(
    size: tuple[int, int, int] | None = None,
    mode: ResizeMode | None = None,
    anchor: Anchor = CENTRE,
    *,
    window: Window | None = None,
    features: bool = False,
) -> Callable[[Path], Iterator[tuple[str, NDArray[np.float32], Any]]]:
    """Features of a file, for both sides: as they stand there, of a picture, or of windows one behind the other."""

    def take(path: Path) -> Iterator[tuple[str, NDArray[np.float32], Any]]:
        if features or (window is None and size is None):
            values = read_features(path)
            yield str(path), values, values
        elif window is not None:
            from convert.dsp import recordings  # pictures do without

            for number, values in enumerate(recordings.windows(path, window)):
                yield f"{path} window {number}", values, values
        elif size is not None:
            values = pack(read_fitted(path, *size, mode, anchor=anchor))
            yield str(path), values, values

    return take


def _refuse_count(model: ModelInfo, features: int) -> None:
    if model.features != features:
        raise InputError(
            f"the .eim takes {model.features} features, the other side {features}",
            hint="compare an .eim with the conversion of the same project and version",
        )


def _samples(impulse: SampledImpulse, model: ModelInfo, *, features: bool) -> Reference:
    """A whole impulse.

    Raises:
        InputError: it does not take as many numbers as the .eim.
    """
    _refuse_count(model, impulse.features)
    loaded = LoadedSamples(impulse)
    return Reference(
        None,
        impulse.labels,
        None,
        _takes(window=impulse.window, features=features),
        lambda own, threshold, *, as_sdk=False: loaded.classify(own, threshold, as_sdk=as_sdk).result,
        anomaly=impulse.anomaly is not None,
        rounding=_rounding(impulse),
    )


def _rounding(impulse: Impulse | SampledImpulse) -> str:
    if (measured := impulse.agreement) is None:
        return ""
    return (
        "the bundle computes in float32 what the export has in int8; its report: the same decision on "
        f"{measured.top1:.1%} of {measured.inputs} inputs, outputs {measured.mean_abs_diff:.2g} apart on average "
        f"and {measured.max_abs_diff:.2g} at most"
    )


def _bundle(impulse: Impulse, model: ModelInfo, *, features: bool) -> Reference:
    """Features are packed and unpacked as the protocol carries them, but for the whole frames that a bundle takes.

    Raises:
        InputError: with `features`, it does not take as many as the .eim.
    """
    if features:
        _refuse_count(model, impulse.features)
    loaded, frames = Loaded(impulse), impulse.frames
    size, mode = (impulse.height, impulse.width, impulse.channels), impulse.preprocessing.resize_mode

    def take_frame(path: Path) -> Iterator[tuple[str, NDArray[np.float32], Any]]:
        assert frames is not None
        frame = read_fitted(path, *impulse.input_size, ResizeMode.SQUASH)  # as Gst-nvstreammux and Gst-nvinfer do
        if isinstance(frames, Resizing):
            yield str(path), pack(as_sdk(frame, frames.model, frames.mode, anchor=frames.anchor)), frame
        else:
            left, top, (width, height) = frames.left, frames.top, frames.model
            yield str(path), pack(frame[top : top + height, left : left + width]), frame

    run = loaded.classify if frames is None else loaded.answer
    return Reference(
        None if features else size,
        impulse.labels,
        mode,
        _takes(size, mode, impulse.metadata.anchor, features=features) if frames is None else take_frame,
        lambda own, threshold, *, as_sdk=False: run(own, threshold, as_sdk=as_sdk).result,
        threshold=impulse.threshold,
        anomaly=False,
        rounding=_rounding(impulse),
    )


def _flatbuffer(
    path: Path, model: ModelInfo, scaling: ImageScaling, timeout: float, worker: Worker, *, features: bool
) -> Reference:
    if not model.width:
        return _network(path, model, timeout, worker, features=features)
    original = read_original(path, model.labels, scaling, worker, timeout)
    if features:
        _refuse_count(model, prod(original.size[:2]))

    def classify(
        own: NDArray[np.float32], threshold: float, *, as_sdk: bool = False, kernels: str = original.kernels
    ) -> dict[str, Any]:
        levels: Any = unpack(own, *original.size)  # with the fractions of a luma
        return replace(original, kernels=kernels).classify(levels, threshold, as_sdk=as_sdk)

    return Reference(
        None if features else original.size,
        original.labels,
        model.mode,
        _takes(original.size, model.mode, features=features),
        classify,
        _by_reference(original.facts, classify),
        notes=_overflow(original.model, path) if scaling is ImageScaling.NONE else (),
    )


def _overflow(model: bytes, path: Path) -> tuple[Finding, ...]:
    """Whether a bright level has no code in an int8 input: `round(level / 255 / scale) + zero point` is 128 or more."""
    graph = read_graph(model)
    source = graph.tensors[graph.inputs[0]]
    if source.dtype != "int8" or len(source.scales) != 1:
        return ()
    level = ceil((127.5 - sum(source.zero_points)) * source.scales[0] * 255)
    return (OVERFLOW.found(f"levels from {level} to 255 have no code of their own", path=path),) if level < 256 else ()


def _by_reference(known: ModelFacts, classify: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]] | None:
    return None if known.quantization.startswith("float") else partial(classify, kernels=runtimes.REFERENCE)


def _network(path: Path, model: ModelInfo, timeout: float, worker: Worker, *, features: bool) -> Reference:
    """A flatbuffer that takes what no picture is: only the network of an .eim, behind its processing of the features.

    Raises:
        InputError: it cannot be read, or the .eim processes the features: they are not what the network takes.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path, hint="give a .tflite file") from error
    known = facts(data)
    count = prod(size or 1 for size in known.input.shape[1:])
    if count != model.features:
        raise InputError(
            f"the .eim makes {count} numbers of its {model.features} features before its network, and a .tflite is the "
            "network alone",
            path=path, hint="compare with another .eim of the project",
        )  # fmt: skip

    def classify(
        own: NDArray[np.float32], _threshold: float, *, as_sdk: bool = False, kernels: str = runtimes.DEFAULT
    ) -> dict[str, Any]:
        scores = runtimes.outputs(data, own.reshape(1, 1, 1, -1), None, worker, timeout, kernels=kernels)[0].ravel()
        if as_sdk or len(scores) != len(model.labels):
            raise InputError(
                f"the network has {len(scores)} outputs, the .eim {len(model.labels)} labels", path=path,
                hint="compare with the model of the same project and version",
            )  # fmt: skip
        return {"classification": dict(zip(model.labels, scores.tolist(), strict=True))}

    note = NETWORK_ALONE.found("the .tflite is compared on the features as they are", path=path)
    take = _takes(window=model.window, features=features)
    return Reference(None, model.labels, None, take, classify, _by_reference(known, classify), notes=(note,))


def _executable(other: Client, model: ModelInfo, *, features: bool) -> Reference:
    """Another .eim."""
    mine = other.model
    size, window = (mine.height, mine.width, mine.channels or 1), mine.window
    if not features and not mine.width and window is None:
        raise InputError("the other .eim takes no pictures", path=other.target, hint="give --features FILE")
    current = next((score for score in mine.detectors.values() if score is not None), None)

    def classify(own: NDArray[np.float32], threshold: float, *, as_sdk: bool = False) -> dict[str, Any]:  # noqa: ARG001
        nonlocal current
        if mine.detectors and threshold != current:
            for block in mine.detectors:
                other.set_threshold(block, "min_score", threshold)
            current = threshold
        return other.classify(own).result

    take = _takes(size if mine.width else None, model.mode, window=window, features=features)
    return Reference(
        None if features or not mine.width else size, mine.labels, mine.mode, take, classify,
        threshold=current, settable=bool(mine.detectors) or not mine.detects,
        anomaly=bool(mine.parameters.get("has_anomaly")),
    )  # fmt: skip
