"""Gives an .eim and a reference the same pixels and compares the answers; the reference is a bundle or a .tflite.

Scores are compared label by label, boxes pair by pair. Two kinds of differences are excused: a box that only one of the
two reports, when the other's score for it can be below the threshold; and FOMO boxes that differ only because the SDK
merges cells wrongly.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.compare.edge_impulse import pack, read_original
from convert.eim import findings as rules
from convert.eim.bundle import read_impulse
from convert.eim.model import Loaded
from convert.errors import InputError
from convert.findings import Finding, Level
from convert.images import CENTRE, Anchor, ImageScaling, ResizeMode
from convert.images.read import read_fitted
from convert.images.scaling import Rect
from convert.isolation import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from convert.eim.client import Client, ModelInfo


__all__ = ["AnswerPair", "EimComparison", "PictureComparison", "Reference", "compare", "difference", "open_backend"]


_SAME = 0.5  # two boxes of a label are the same object from this intersection over union


@dataclass(frozen=True)
class Reference:
    """What an .eim is compared with.

    Attributes:
        size: height, width, channels of the model's input.
        labels: in output order.
        resize_mode: how pictures are brought to size; None when unknown.
        anchor: which part of them a crop keeps; an .eim does not say it.
        classify: (picture uint8 [H,W,C], threshold, *, as_sdk=False) -> result; `as_sdk` merges FOMO's cells as the
            SDK does.
    """

    size: tuple[int, int, int]
    labels: tuple[str, ...]
    resize_mode: ResizeMode | None
    classify: Callable[..., dict[str, Any]]
    anchor: Anchor = CENTRE


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """Both scores, or both boxes, of one label; None where one is missing.

    Attributes:
        score: absolute difference of the scores, None when one is missing.
        pixels: largest difference of an edge.
    """

    label: str
    eim: dict[str, Any] | float | None
    ours: dict[str, Any] | float | None
    score: float | None
    pixels: int | None = None


@dataclass(frozen=True, slots=True)
class PictureComparison:
    """One picture's comparison."""

    path: str
    pairs: tuple[AnswerPair, ...]
    seconds: float
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class EimComparison:
    """All pictures; `findings` are about the models as a whole."""

    pictures: tuple[PictureComparison, ...]
    findings: tuple[Finding, ...]

    @property
    def largest(self) -> float:
        """The largest difference of a score."""
        return max((p.score for each in self.pictures for p in each.pairs if p.score is not None), default=0.0)

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
    """Classify every picture with both.

    Args:
        client: of the .eim.
        ours: the reference.
        pictures: files.
        tolerance: largest difference of a score.
        pixels: largest difference of a box's edge.
        threshold: for both; default: the .eim's own.

    Raises:
        InputError: the two do not take the same pictures, or a picture or the .eim cannot be read.
    """
    models = _models(client, ours)
    limit = _threshold(client, threshold)
    height, width, channels = ours.size
    compared = []
    for path in pictures:
        picture = read_fitted(path, height, width, channels, ours.resize_mode, anchor=ours.anchor)
        reply = client.classify(pack(picture))
        mine = ours.classify(picture, limit)
        pairs, found = difference(reply.result, mine, str(path), tolerance, pixels, limit)
        if any(finding.level is rules.BOX_DIFFERS.level for finding in found) and "bounding_boxes" in mine:
            as_sdk = ours.classify(picture, limit, as_sdk=True)
            again, fewer = difference(reply.result, as_sdk, str(path), tolerance, pixels, limit)
            if not any(finding.level is rules.BOX_DIFFERS.level for finding in fewer):
                found = (*fewer, rules.SDK_MERGE.found("only the merging of cells differs", path=path))
                pairs = again
        compared.append(PictureComparison(str(path), pairs, reply.seconds, found))
    return EimComparison(tuple(compared), models)


def difference(
    theirs: Mapping[str, Any], mine: Mapping[str, Any], path: str, tolerance: float, pixels: int, threshold: float
) -> tuple[tuple[AnswerPair, ...], tuple[Finding, ...]]:
    """What differs between two results of one picture.

    Raises:
        InputError: one has scores and the other boxes.
    """
    if "classification" in theirs and "classification" in mine:
        return _scores(theirs["classification"], mine["classification"], path, tolerance)
    if "bounding_boxes" in theirs and "bounding_boxes" in mine:
        return _boxes(theirs["bounding_boxes"], mine["bounding_boxes"], path, tolerance, pixels, threshold)
    raise InputError(
        f"the .eim answers with {', '.join(theirs) or 'nothing'}, the other side with {', '.join(mine)}",
        path=path, hint="compare models of the same kind",
    )  # fmt: skip


def _models(client: Client, ours: Reference) -> tuple[Finding, ...]:
    """Differences between the models as a whole.

    Raises:
        InputError: they take different pictures.
    """
    theirs = client.model
    height, width, channels = ours.size
    if (theirs.height, theirs.width) != (height, width) or (theirs.channels or channels) != channels:
        raise InputError(
            f"the .eim takes pictures of {theirs.width}x{theirs.height} with {theirs.channels} channels, "
            f"the other side {width}x{height} with {channels}",
            hint="compare an .eim with the conversion of the same project and version",
        )
    found = []
    if sorted(theirs.labels) != sorted(ours.labels):
        only_theirs = ", ".join(sorted(set(theirs.labels) - set(ours.labels))) or "none"
        only_ours = ", ".join(sorted(set(ours.labels) - set(theirs.labels))) or "none"
        found.append(rules.OTHER_LABELS.found(f"only in the .eim: {only_theirs}; only in the other: {only_ours}"))
    mode = ours.resize_mode
    if theirs.resize_mode not in {None, "none"} and mode is not None and mode.value != theirs.resize_mode:
        found.append(rules.OTHER_RESIZE.found(f"the .eim says {theirs.resize_mode}, the bundle {mode.value}"))
    return tuple(found)


def _threshold(client: Client, wanted: float | None) -> float:
    """Sets the .eim's detection threshold where one is `wanted`; returns the threshold for both."""
    settings = [t for t in client.model.thresholds if t.get("type") == "object_detection"]
    if wanted is not None:
        for setting in settings:
            client.set_threshold(int(setting["id"]), "min_score", wanted)
        return wanted
    values = [t.get("min_score") for t in settings]
    return float(next((value for value in values if isinstance(value, int | float)), 0.5))


def _scores(
    theirs: Mapping[str, Any], mine: Mapping[str, float], path: str, tolerance: float
) -> tuple[tuple[AnswerPair, ...], tuple[Finding, ...]]:
    pairs, found = [], []
    for label in {**mine, **theirs}:
        there, here = theirs.get(label), mine.get(label)
        score = abs(float(there) - here) if isinstance(there, int | float) and here is not None else None
        pairs.append(AnswerPair(label, there, here, score))
        if score is not None and not score <= tolerance:
            found.append(rules.SCORE_DIFFERS.found(f"{label}: {float(there or 0):.4f} and {here:.4f}", path=path))
        elif score is None and label in theirs and label in mine:
            found.append(rules.SCORE_DIFFERS.found(f"{label}: {there!r} and {here!r}", path=path))
    numbers = {label: value for label, value in theirs.items() if isinstance(value, int | float)}
    if numbers and mine:
        first, ours = max(numbers, key=lambda label: numbers[label]), max(mine, key=lambda label: mine[label])
        # Two labels that are closer together than the tolerance may change places.
        if first != ours and numbers[first] - numbers.get(ours, 0.0) > tolerance:
            found.append(rules.FIRST_DIFFERS.found(f"{first} and {ours}", path=path))
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
                rules.SCORE_DIFFERS.found(
                    f"{_named(there)}: score {there['value']:.4f} and {here['value']:.4f}", path=path
                )
            )
        if moved > pixels:
            found.append(rules.BOX_DIFFERS.found(f"{_named(there)} and {_named(here)}: {moved} pixels", path=path))
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
    rule = rules.BORDERLINE if abs(box["value"] - threshold) <= tolerance else rules.BOX_DIFFERS
    return rule.found(f"{what} {_named(box)}, {box['value']:.4f}", path=path)


def _overlap(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Intersection over union; 0 for other labels, 1 for equal boxes without area."""
    if one["label"] != other["label"]:
        return 0.0
    left, right = (Rect(box["x"], box["y"], box["width"], box["height"]) for box in (one, other))
    return left.overlap(right) or float(one == other)


def _moved(one: dict[str, Any], other: dict[str, Any]) -> int:
    """The largest distance between corresponding edges, in pixels."""
    starts = [abs(one[name] - other[name]) for name in ("x", "y")]
    ends = [
        abs(one[name] + one[size] - other[name] - other[size]) for name, size in (("x", "width"), ("y", "height"))
    ]  # fmt: skip
    return int(max(starts + ends))


def _named(box: dict[str, Any]) -> str:
    return f"{box['label']} at {box['x']},{box['y']} {box['width']}x{box['height']}"


@contextlib.contextmanager
def open_backend(path: Path, model: ModelInfo, scaling: ImageScaling, timeout: float) -> Iterator[Reference]:
    """The reference at `path`; a flatbuffer gets its labels and resize mode from the .eim's `model`.

    Raises:
        InputError, ValidationError: it cannot be read or run.
    """
    if path.suffix.lower() in {".tflite", ".lite"}:
        mode = next((mode for mode in ResizeMode if mode.value == model.resize_mode), None)
        with Worker() as worker:
            original = read_original(path, model.labels, scaling, worker, timeout)
            yield Reference(original.size, original.labels, mode, original.classify)
        return
    impulse = read_impulse(path)
    loaded = Loaded(impulse)
    yield Reference(
        (impulse.height, impulse.width, impulse.channels),
        impulse.labels,
        impulse.preprocessing.resize_mode,
        # the features are packed and unpacked as the protocol carries them
        lambda picture, threshold, *, as_sdk=False: loaded.classify(pack(picture), threshold, as_sdk=as_sdk).result,
        impulse.metadata.anchor,
    )
