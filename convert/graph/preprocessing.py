"""What Gst-nvinfer must do to a frame so that the model sees what it was trained on.

nvinfer computes y = net-scale-factor * (x - offset) on x = 0..255, per channel in the network's order
(nvdsinfer_conversion.cu); Edge Impulse's SDK scales pixel/255 in one of six ways. Each row below is the same arithmetic
written the other way round.

Cuts the model's picture out of a whole frame, in the graph's first node: Gst-nvinfer can scale, but not crop.

`convert.types` has the sizes. Everything behind the Slice sees exactly the pixels it saw before; what it says of
places in its picture, heads say of places in the frame (`convert.heads`).

Puts an image scaling that Gst-nvinfer cannot express into the graph, right behind the input.

nvinfer computes y = net-scale-factor * (x - offset) with ONE factor for all channels; Edge Impulse's `torch` scaling
divides each channel by its own standard deviation. Folding it into the first convolution would change the borders,
where the convolution pads with zeros after scaling, so the two steps stay nodes of their own: the same two float32
operations, in the same order, as Edge Impulse's SDK makes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from convert.errors import PresetError
from convert.graph.findings import FRAME_UNUSED, RESIZE_ASSUMED, RESIZE_CROPS, SCALING_ASSUMED
from convert.graph.graph import GraphEditor, opset_of
from convert.types import IMAGENET_MEAN_BGR, Framing, ImageScaling, Preprocessing, ResizeMode

if TYPE_CHECKING:
    from onnx import ModelProto

    from convert.findings import Finding
    from convert.types import Export, Frame


__all__ = ["Crop", "Scale", "crop_to", "preprocessing"]


class _Row(NamedTuple):
    """One image scaling: factor, offset of each of three channels (or of all), colour order, what the graph does."""

    factor: float
    offsets: tuple[float, ...] = ()
    color: str = "RGB"
    folded: str = ""


_ROWS = {
    ImageScaling.NONE: _Row(1 / 255),
    ImageScaling.FROM_0_TO_255: _Row(1.0),
    ImageScaling.MINUS_1_TO_1: _Row(1 / 127.5, (127.5,)),
    ImageScaling.MINUS_128_TO_127: _Row(1.0, (128.0,)),
    # Edge Impulse swaps to BGR and subtracts ImageNet's means of B, G and R.
    ImageScaling.BGR_MINUS_IMAGENET_MEAN: _Row(1.0, IMAGENET_MEAN_BGR, "BGR"),
    # One factor cannot be three deviations: `Scale` puts this one into the graph, behind pixel/255.
    ImageScaling.TORCH: _Row(1 / 255, folded="torch"),
}
_CROPS = (
    "the model was trained on pictures cropped to the centre; frames and objects are squashed to its size instead: in "
    "one of 16:9 everything is 1.8 times too narrow"
)
_CROP = "say what the camera gives, --frame 16:9 for example, and the model crops it itself (not for --role sgie)"
_COLOUR_ONLY = {ImageScaling.BGR_MINUS_IMAGENET_MEAN, ImageScaling.TORCH}


def preprocessing(export: Export, frame: Frame | None = None) -> tuple[Preprocessing, tuple[Finding, ...]]:
    """The keys for this export, and what had to be assumed.

    Args:
        frame: what the network is to be shown, where that decides its size (`crop_to`).

    Raises:
        PresetError: an image scaling that only pictures with three channels can have, on a grey model.
    """
    findings: list[Finding] = []
    channels = export.facts.input.shape[-1]
    assert channels in {1, 3}  # refuse_unsupported
    scaling = export.metadata.image_scaling
    if scaling is None:
        scaling = ImageScaling.NONE
        findings.append(
            SCALING_ASSUMED.found(
                "the export does not say how pixels are scaled; 0..1 is assumed",
                hint="say it with --image-scaling if that is wrong",
            )
        )
    if channels == 1 and scaling in _COLOUR_ONLY:
        raise PresetError(
            f"image scaling {scaling.value} is made for colour pictures, and this model takes grey ones",
            hint="give the right one with --image-scaling",
        )
    row = _ROWS[scaling]
    resize = export.metadata.resize_mode
    framing = crop_to(export, frame)
    findings += _resize_findings(resize, framing, frame)
    fit = resize is ResizeMode.FIT_LONGEST
    return (
        Preprocessing(
            net_scale_factor=row.factor,
            offsets=row.offsets * channels if len(row.offsets) == 1 else row.offsets,
            color="GRAY" if channels == 1 else row.color,
            maintain_aspect_ratio=fit,
            symmetric_padding=fit,  # Edge Impulse centres the picture between black bars
            folded=row.folded,
            resize_mode=resize,
            framing=framing,
        ),
        tuple(findings),
    )


def crop_to(export: Export, frame: Frame | None) -> Framing | None:
    """How the graph cuts the model's picture out of `frame`; None where there is nothing to cut.

    Only pictures that Edge Impulse cropped are cropped here: with the other resize modes the model saw all of them.
    """
    if frame is None or export.metadata.resize_mode is not ResizeMode.FIT_SHORTEST:
        return None
    return Framing(frame, _size(export))


def _size(export: Export) -> tuple[int, int]:
    _, height, width, _ = export.facts.input.shape
    assert height is not None
    assert width is not None
    return width, height


def _resize_findings(resize: ResizeMode | None, framing: Framing | None, frame: Frame | None) -> list[Finding]:
    if resize is ResizeMode.FIT_SHORTEST:
        return [] if framing else [RESIZE_CROPS.found(_CROPS, hint=_CROP)]
    found = []
    if resize is None or resize is ResizeMode.NONE:
        found.append(
            RESIZE_ASSUMED.found(
                "the export does not say how pictures were resized; squash is assumed",
                hint="say it with --resize-mode",
            )
        )
    if frame is not None:
        trained = "squash is assumed" if found else f"the model was trained with {resize}, on whole pictures"
        hint = "if pictures were cropped to the centre, say --resize-mode fit-shortest" if found else None
        found.append(FRAME_UNUSED.found(f"--frame {frame} changes nothing: {trained}", hint=hint))
    return found


_INPUTS_SINCE = 10  # the opset in which Slice takes what were attributes as inputs


@dataclass(frozen=True, slots=True)
class Crop:
    """A pass: a model for [1,C,h,w] takes `framing.network` instead. Without a Slice where that is the same size."""

    framing: Framing

    def __call__(self, model: ModelProto) -> ModelProto:
        """Insert the Slice behind the one input."""
        if not self.framing.crops:
            return model
        (source,) = model.graph.input
        dims = source.type.tensor_type.shape.dim
        width, height = self.framing.model
        assert [dims[2].dim_value, dims[3].dim_value] == [height, width]
        dims[3].dim_value, dims[2].dim_value = self.framing.network
        # The batch and the channels are whole, and so is the side on which nothing is cut off.
        spans = {2: (self.framing.top, height), 3: (self.framing.left, width)}
        axes = [axis for axis, (start, _) in spans.items() if start]
        starts, ends = [spans[axis][0] for axis in axes], [sum(spans[axis]) for axis in axes]
        wiring = GraphEditor(model)
        takers = wiring.consumers(source.name)
        if opset_of(model) < _INPUTS_SINCE:
            node = wiring.add("Slice", [source.name], axes=axes, starts=starts, ends=ends)
        else:
            limits = [wiring.add_constant(np.array(values, np.int64)) for values in (starts, ends, axes)]
            node = wiring.add("Slice", [source.name, *limits])
        for taker in takers:
            wiring.set_inputs(taker, [node.output[0] if name == source.name else name for name in taker.input])
        wiring.store()
        return model


@dataclass(frozen=True, slots=True)
class Scale:
    """A pass: the model takes x where it took (x - mean) / std. One value a channel; the input is NCHW."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, model: ModelProto) -> ModelProto:
        """Insert Sub and Div behind the one input."""
        wiring = GraphEditor(model)
        name = model.graph.input[0].name
        takers = wiring.consumers(name)
        mean, std = (
            wiring.add_constant(np.array(values, np.float32).reshape(1, -1, 1, 1)) for values in (self.mean, self.std)
        )
        (centred,) = wiring.add("Sub", [name, mean]).output
        (scaled,) = wiring.add("Div", [centred, std]).output
        for taker in takers:
            wiring.set_inputs(taker, [scaled if other == name else other for other in taker.input])
        wiring.store()
        return model
