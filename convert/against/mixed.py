"""One picture on any road between the two: each thing done as DeepStream does it, or as Edge Impulse does.

With nothing done as Edge Impulse does it the answer is what `simulate` shows; with everything, what Edge Impulse's SDK
gives. In between, what changes the answer is what was changed, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.against.comparison import Answer, Cause, Score
from convert.against.decoding import Decoder
from convert.compare.edge_impulse import pack, unpack
from convert.heads import head
from convert.images.placement import Placement, place, place_as_sdk
from convert.images.resize import interpolate, luma, scale
from convert.simulate.decode import decode
from convert.simulate.decode_classifier import Classified
from convert.simulate.decode_tensors import Layer
from convert.simulate.settings import ColorFormat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.against.shown import Shown
    from convert.against.trained import Trained

__all__ = ["Both", "Mixed", "causes_of"]

_PIXELS = frozenset({Cause.FRAMING, Cause.INTERPOLATION, Cause.LUMA})
_NETWORK = _PIXELS | {Cause.COLOUR, Cause.SCALING, Cause.MODEL}


def causes_of(task: str, channels: int) -> tuple[Cause, ...]:
    """What can differ for such a model, in the order of the road."""
    none = {Cause.LUMA if channels == 3 else Cause.COLOUR}
    if not head(task).detects:
        none |= {Cause.MERGE, Cause.LIMITS}
    if not head(task).by_objectness:
        none.add(Cause.SCORE)
    return tuple(cause for cause in Cause if cause not in none)


@dataclass(frozen=True)
class Both:
    """The two sides of a comparison."""

    shown: Shown
    trained: Trained

    @property
    def decoder(self) -> Decoder:
        """What decodes a detector's outputs."""
        return Decoder(self.shown, self.trained)

    def splits(self, done: frozenset[Cause]) -> bool:
        """Whether there is such a road: nvinfer's parser needs the outputs of a graph's end, which may not be there."""
        if not head(self.trained.task).detects or self.shown.raw or Cause.MODEL not in done:
            return True
        return self.decoder.by_original(done)


@dataclass
class Mixed:
    """A picture, uint8 [H,W,3] RGB. Results of the network are kept: decoding again costs nothing."""

    both: Both
    pixels: NDArray[np.uint8]
    _levels: dict[frozenset[Cause], tuple[NDArray[np.float32], Placement]] = field(default_factory=dict)
    _outputs: dict[frozenset[Cause], dict[str, NDArray[Any]]] = field(default_factory=dict)
    _given: dict[frozenset[Cause], list[NDArray[np.float32]]] = field(default_factory=dict)

    def placement(self, done: frozenset[Cause] = frozenset()) -> Placement:
        """Where the picture lies in the network's.

        Raises:
            InputError: nvinfer cannot scale it.
        """
        height, width = self.pixels.shape[:2]
        shown = self.both.shown
        if Cause.FRAMING not in done:
            prepare = shown.loaded.prepare
            return place(
                width, height, prepare.network, keep_aspect=prepare.keep_aspect, symmetric=prepare.symmetric
            )  # fmt: skip
        high, wide, _ = self.both.trained.original.size
        found = place_as_sdk(width, height, (wide, high), self.both.trained.resize_mode)
        view = found.view
        return replace(
            found,
            view=replace(view, offset_left=view.offset_left + shown.left, offset_top=view.offset_top + shown.top),
        )

    def answer(self, done: frozenset[Cause]) -> Answer:
        """What comes out with `done` as Edge Impulse does it.

        Raises:
            InputError, ValidationError: a model fails, or the picture cannot be scaled.
        """
        if not head(self.both.trained.task).detects:
            return self._classified(done)
        placement = self._seen(done)[1]
        decoder = self.both.decoder
        if decoder.by_original(done):
            found = decoder.original(self._given_outputs(done, encoded=False), done)
        else:
            found = decoder.outputs(self._network(done), done)
        return Answer(objects=decoder.attached(found, placement, done))

    def _classified(self, done: frozenset[Cause]) -> Answer:
        outputs, labels = self._network(done), self.both.trained.original.labels
        settings = self.both.shown.loaded.engine.settings
        if Cause.LABELS in done:
            settings = replace(settings, labels=(labels,), classifier_parser="")
        numbers = next(iter(outputs.values())).reshape(-1)[: len(labels)]
        scores = tuple(
            Score(each, settings.attribute_label(0, each) or "", float(number)) for each, number in enumerate(numbers)
        )
        if Cause.THRESHOLD in done:  # the highest, whatever it is
            best = scores[int(np.nan_to_num(numbers, nan=-np.inf).argmax())]
            return Answer(best.label, best.score if best.label else 0.0, scores)
        layers = [Layer.of(name, values) for name, values in outputs.items()]
        (frame,) = decode(settings, self.both.shown.loaded.engine.network, layers).frames
        assert isinstance(frame, Classified)
        found = next((one for one in frame.attributes if one.attribute == 0 and one.label), None)
        return Answer(found.label or "", found.confidence, scores) if found else Answer(scores=scores)

    def _seen(self, done: frozenset[Cause]) -> tuple[NDArray[np.float32], Placement]:
        """Levels [H,W,C] of the network's picture, RGB or grey, and where in it the picture lies."""
        key = done & _PIXELS
        if key not in self._levels:
            placement = self.placement(key)
            self._levels[key] = self._scaled(key, placement), placement
        return self._levels[key]

    def _scaled(self, done: frozenset[Cause], placement: Placement) -> NDArray[np.float32]:
        network = self.both.shown.loaded.engine.network
        grey = network.channels == 1 and Cause.LUMA not in done
        if Cause.INTERPOLATION in done:
            part = self.pixels[placement.source]
            part = luma(part)[..., None] if grey else part
            levels = interpolate(part, placement.width, placement.height)
        else:
            levels = scale(self.pixels, placement, self.both.shown.loaded.prepare.scaling_filter, grey=grey)
        whole = np.zeros((network.height, network.width, network.channels), np.float32)
        whole[placement.target] = (
            levels
            if levels.shape[2] == network.channels
            else unpack(pack(levels), placement.height, placement.width, network.channels)
        )
        return whole

    def _network(self, done: frozenset[Cause]) -> dict[str, NDArray[Any]]:
        """Outputs by name, the raw ones among them."""
        key = done & _NETWORK
        if key not in self._outputs:
            shown = self.both.shown
            if Cause.MODEL in done:
                self._outputs[key] = shown.behind(self._given_outputs(done, encoded=True))
            else:
                self._outputs[key] = shown(self._tensor(done))
        return self._outputs[key]

    def _given_outputs(self, done: frozenset[Cause], *, encoded: bool) -> list[NDArray[np.float32]]:
        """Of the original; of an SSD `encoded` or as its last operator gives them."""
        original = self.both.trained.original
        key = done & _NETWORK
        if encoded and head(self.both.trained.task).is_cut:
            return original.outputs(self._for_original(done), encoded=True)
        if key not in self._given:
            self._given[key] = original.outputs(self._for_original(done))
        return self._given[key]

    def _tensor(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """The network's input, [C,H,W] or [H,W,C]."""
        levels, _ = self._seen(done)
        prepare, expected = self.both.shown.loaded.prepare, self.both.shown.expected
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

    def _for_original(self, done: frozenset[Cause]) -> NDArray[np.float32]:
        """Levels [h,w,C] that give the original what the ONNX model would get."""
        high, wide, _ = self.both.trained.original.size
        shown, prepare = self.both.shown, self.both.shown.loaded.prepare
        levels, _ = self._seen(done)
        if not {Cause.COLOUR, Cause.SCALING} <= done | ({Cause.COLOUR} if levels.shape[2] == 1 else set()):
            tensor = self._tensor(done)
            pixels = tensor if prepare.channels_last else tensor.transpose(1, 2, 0)
            offsets = np.array(shown.expected.offsets or (0,), np.float32)
            pixels = pixels / np.float32(shown.expected.net_scale_factor) + offsets
            levels = pixels[..., ::-1] if shown.expected.color == "BGR" else pixels
        return np.ascontiguousarray(levels[shown.top : shown.top + high, shown.left : shown.left + wide])
