"""Predictions with each step done as DeepStream or as Edge Impulse does it, and the causes of a difference (ablation).

With no step done as Edge Impulse does it the prediction is what `simulate` shows; with all of them it is what Edge
Impulse's SDK gives. In between only the named steps differ.

The causes of a picture are the fewest steps that must be done as Edge Impulse does them for the difference to vanish.
First all steps are done its way. Then each in turn is done nvinfer's way again, and stays so where the prediction does
not change. Every step that remains is needed. Where one of two steps would do, the order decides: steps that no config
key can change are tried first, so that the cause named is one that a user can act on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.compare import Cause, Prediction, Score, Verdict
from convert.compare.matching import Criteria, compare_predictions
from convert.heads import head
from convert.images.scaling import Placement, as_sdk, interpolate, luma, place, scale, sdk_luma
from convert.simulate.decode import Classified, decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import ColorFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.compare.decoding import ModelPair


__all__ = ["Ablation", "find_causes", "possible_causes"]


@dataclass
class Ablation:
    """Predictions for one picture, uint8 [H,W,3] RGB, with chosen steps done as Edge Impulse does them.

    Outputs of the networks are kept by what went in, so that steps which change nothing there cost decoding only.
    """

    models: ModelPair
    pixels: NDArray[np.uint8]
    _outputs: dict[bytes, dict[str, NDArray[Any]]] = field(default_factory=dict)
    _original_outputs: dict[tuple[bytes, bool], list[NDArray[np.float32]]] = field(default_factory=dict)
    _predictions: dict[frozenset[Cause], Prediction] = field(default_factory=dict)
    _kept: dict[frozenset[Cause], bytes] = field(default_factory=dict)

    def placement(self, done: frozenset[Cause] = frozenset()) -> Placement:
        """Where the picture lies in the network's; with framing done in the original's, where the graph resizes.

        Raises:
            InputError: nvinfer cannot scale it.
        """
        height, width = self.pixels.shape[:2]
        shipped = self.models.shipped
        if Cause.FRAMING not in done:
            prepare = shipped.loaded.prepare
            return place(
                width, height, prepare.network, keep_aspect=prepare.keep_aspect, symmetric=prepare.symmetric
            )  # fmt: skip
        found = self.models.edge_impulse.placed(width, height)
        view = found.view
        return replace(
            found,
            view=replace(view, offset_left=view.offset_left + shipped.left, offset_top=view.offset_top + shipped.top),
        )

    def predict(self, done: frozenset[Cause]) -> Prediction:
        """The prediction with `done` as Edge Impulse does it, the rest as DeepStream does.

        Raises:
            InputError, ValidationError: a model fails, or the picture cannot be scaled.
        """
        if done not in self._predictions:
            detects = head(self.models.edge_impulse.task).detects
            self._predictions[done] = self._detected(done) if detects else self._classified(done)
        return self._predictions[done]

    def _detected(self, done: frozenset[Cause]) -> Prediction:
        models = self.models
        if models.by_original(done):
            found = models.original(self._outputs_of_original(done, encoded=False), done)
        else:
            found = models.outputs(self._network(done), done)
        if models.shipped.resizing is not None and Cause.FRAMING in done:
            found = tuple(models.in_original(found))
        return Prediction(objects=models.attached(found, self.placement(done), done))

    def _classified(self, done: frozenset[Cause]) -> Prediction:
        outputs, labels = self._network(done), self.models.edge_impulse.original.labels
        settings = self.models.shipped.loaded.engine.settings
        if Cause.LABELS in done:
            settings = replace(settings, labels=(labels,), classifier_parser="")
        numbers = next(iter(outputs.values())).reshape(-1)[: len(labels)]
        scores = tuple(
            Score(each, settings.attribute_label(0, each) or "", float(number)) for each, number in enumerate(numbers)
        )
        if Cause.THRESHOLD in done:  # the highest, whatever it is
            best = scores[int(np.nan_to_num(numbers, nan=-np.inf).argmax())]
            return Prediction(best.label, best.score if best.label else 0.0, scores)
        layers = [Layer.of(name, values) for name, values in outputs.items()]
        (frame,) = decode(settings, self.models.shipped.loaded.engine.network, layers).frames
        assert isinstance(frame, Classified)
        found = next((one for one in frame.attributes if one.attribute == 0 and one.label), None)
        return Prediction(found.label or "", found.confidence, scores) if found else Prediction(scores=scores)

    def _levels(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """Levels [H,W,C] of the network's picture, RGB or grey; the picture itself where the graph is to get that."""
        if self._is_handed_on(done):
            return self.pixels.astype(np.float32)
        shipped = self.models.shipped
        placement = self.placement(done if shipped.resizing is None else done - {Cause.FRAMING})
        network = shipped.loaded.engine.network
        grey = network.channels == 1 and Cause.LUMA not in done
        if Cause.INTERPOLATION in done:
            part = self.pixels[placement.source]
            part = luma(part)[..., None] if grey else part
            levels = interpolate(part, placement.width, placement.height)
        else:
            levels = scale(self.pixels, placement, self.models.shipped.loaded.prepare.scaling_filter, grey=grey)
        whole = np.zeros((network.height, network.width, network.channels), np.float32)
        whole[placement.target] = _in_channels(levels, network.channels)
        return whole

    def _is_handed_on(self, done: frozenset[Cause]) -> bool:
        """Whether a graph that resizes is to get the picture itself: then it sees what Edge Impulse's model sees.

        What keeps it from that is the device's scaling alone, where it is made for frames of the picture's shape.
        """
        shipped, theirs = self.models.shipped, self.models.edge_impulse
        if shipped.resizing is None:
            return False
        height, width = self.pixels.shape[:2]
        scaled = not shipped.resizing.is_exact and shipped.resizes_as(theirs, width, height)
        return (Cause.INTERPOLATION if scaled else Cause.FRAMING) in done

    def _network(self, done: frozenset[Cause]) -> dict[str, NDArray[Any]]:
        """Outputs by name, the raw ones among them where Edge Impulse's rules need them."""
        shipped = self.models.shipped
        if Cause.MODEL in done or not self._fits(done):
            return shipped.behind(self._outputs_of_original(done, encoded=True))
        tensor, raw = self._tensor(done), not done.isdisjoint({Cause.MERGE, Cause.SCORE})
        key = _digest(tensor)
        found = self._outputs.get(key)
        if found is None or (raw and not found.keys() >= set(shipped.raw)):
            found = self._outputs[key] = shipped(tensor, raw=raw)
        return found

    def _fits(self, done: frozenset[Cause]) -> bool:
        """Whether the network can take what it is to get: a graph that resizes has one way for one size."""
        resizing = self.models.shipped.resizing
        if resizing is None or not self._is_handed_on(done):
            return True
        height, width = self.pixels.shape[:2]
        return resizing.placement == self.models.edge_impulse.placed(width, height)

    def _outputs_of_original(self, done: frozenset[Cause], *, encoded: bool) -> list[NDArray[np.float32]]:
        """Of the original; of an SSD `encoded` or as its last operator gives them."""
        spec, original = head(self.models.edge_impulse.task), self.models.edge_impulse.original
        encoded = encoded and spec.is_cut
        digest, picture = self._kept.get(done), None
        if digest is None:
            picture = self.original_input(done)
            digest = _digest(picture)
        if (digest, encoded) not in self._original_outputs:
            picture = self.original_input(done) if picture is None else picture
            self._original_outputs[digest, encoded] = original.outputs(picture[None], encoded=encoded)
        return self._original_outputs[digest, encoded]

    def keep(self, done: frozenset[Cause], picture: NDArray[np.float32], outputs: list[NDArray[np.float32]]) -> None:
        """What the original gave for its input with `done`, each [1,...]: it need not run for that again."""
        self._kept[done] = _digest(picture)
        self._original_outputs[self._kept[done], False] = outputs

    def _tensor(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """The network's input, [C,H,W] or [H,W,C]."""
        levels = self._levels(done)
        prepare, expected = self.models.shipped.loaded.prepare, self.models.shipped.expected
        swapped = expected.color == "BGR" if Cause.COLOUR in done else prepare.color is ColorFormat.BGR
        pixels = levels[..., ::-1] if swapped else levels
        tensor = np.array(pixels if prepare.channels_last else pixels.transpose(2, 0, 1), np.float32, order="C")
        if Cause.SCALING not in done:
            mean, factor = prepare.mean, prepare.scale
        else:
            offsets = np.array(expected.offsets or (0,), np.float32)
            mean = offsets if prepare.channels_last else offsets[:, None, None]
            factor = np.float32(expected.net_scale_factor)
        if mean is not None:
            tensor -= mean
        tensor *= factor
        return tensor

    def original_input(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """Levels [h,w,C] that give the original what the ONNX model would get."""
        high, wide, channels = self.models.edge_impulse.original.size
        shipped = self.models.shipped
        if shipped.resizing is None:
            levels = self._given_levels(done)
            part = levels[shipped.top : shipped.top + high, shipped.left : shipped.left + wide]
            return np.ascontiguousarray(part)
        mode, anchor = shipped.resizing.mode, shipped.resizing.anchor
        if Cause.FRAMING in done:
            mode, anchor = self.models.edge_impulse.resize_mode, self.models.edge_impulse.anchor
        pixels = np.clip(np.rint(self._given_levels(done)), 0, 255).astype(np.uint8)
        return _in_channels(as_sdk(pixels, (wide, high), mode, anchor=anchor), channels).astype(np.float32)

    def _given_levels(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """Levels [H,W,C] of the network's picture, RGB or grey, that have the values which nvinfer gives it."""
        levels = self._levels(done)
        if {Cause.COLOUR, Cause.SCALING} <= done | ({Cause.COLOUR} if levels.shape[2] == 1 else set()):
            return levels
        prepare, expected = self.models.shipped.loaded.prepare, self.models.shipped.expected
        tensor = self._tensor(done)
        pixels = tensor if prepare.channels_last else tensor.transpose(1, 2, 0)
        offsets = np.array(expected.offsets or (0,), np.float32)
        pixels = pixels / np.float32(expected.net_scale_factor) + offsets
        return pixels[..., ::-1] if expected.color == "BGR" else pixels


def _in_channels(levels: NDArray[np.uint8], channels: int) -> NDArray[Any]:
    """Levels [H,W,channels] of RGB or grey ones; grey with its fractions, as Edge Impulse makes it of RGB."""
    return levels if levels.shape[2] == channels else sdk_luma(levels)


def _digest(values: NDArray[np.float32]) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(values).data, digest_size=16).digest()


def possible_causes(models: ModelPair) -> tuple[Cause, ...]:
    """What can differ for such models, in processing order."""
    task = models.edge_impulse.task
    none = {Cause.LUMA if models.shipped.loaded.engine.network.channels == 3 else Cause.COLOUR}
    resizing = models.shipped.resizing
    if resizing is not None and resizing.is_exact:  # of a frame of the right size the pixels are the same
        none.add(Cause.INTERPOLATION)
    if not head(task).detects:
        none |= {Cause.MERGE, Cause.LIMITS}
    if not head(task).by_objectness:
        none.add(Cause.SCORE)
    return tuple(cause for cause in Cause if cause not in none)


_ORDER = (
    Cause.MODEL, Cause.INTERPOLATION, Cause.LUMA, Cause.LIMITS, Cause.MERGE, Cause.SCORE, Cause.THRESHOLD,
    Cause.LABELS, Cause.SCALING, Cause.COLOUR, Cause.FRAMING,
)  # fmt: skip


def find_causes(
    ablation: Ablation, theirs: Prediction, verdict: Verdict, causes: Sequence[Cause], criteria: Criteria
) -> tuple[Cause, ...]:
    """The causes for a picture whose answers have this verdict, in processing order.

    Args:
        ablation: of the picture.
        theirs: Edge Impulse's answer.
        verdict: differs: it is enough that the same is shown; drifts: scores and boxes must agree, too.
        causes: what can differ for such a model.
        criteria: what counts as a difference.

    Raises:
        InputError, ValidationError: a model fails.
    """
    if verdict is Verdict.SAME:
        return ()
    bad = {Verdict.DIFFERS} if verdict is Verdict.DIFFERS else {Verdict.DIFFERS, Verdict.DRIFTS}
    done = frozenset(causes)
    needed: set[Cause] = set()
    for cause in (*_ORDER, *_ORDER):  # once more: what could not be computed before may be so now
        without = done - {cause}
        if cause in needed or cause not in done:
            continue
        if not ablation.models.can_predict(without):
            continue
        if compare_predictions(ablation.predict(without), theirs, criteria).verdict in bad:
            needed.add(cause)
        else:
            done = without
    return tuple(cause for cause in Cause if cause in needed)
