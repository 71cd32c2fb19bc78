"""The graph resizes whole frames itself, as Edge Impulse's SDK does it, to the last bit (`--resize graph`).

Gst-nvinfer scales with a closed library, so how it interpolates is not known. Here its scaler has nothing to do: the
network takes frames of the camera's size, and the graph's first nodes cut out, interpolate and round as the SDK does
(`convert.images.scaling.interpolate`). What is interpolated is levels 0..255, whole numbers. So Gst-nvinfer gives
levels (net-scale-factor 1, no offsets), and luma and image scaling come behind, in the graph (`take_levels`).

The SDK mixes two pixels in each row, then two rows, with weights in 2^14ths, and rounds each of these to a byte, halves
up. In the graph each mix is near + (far - near) * weight, and Floor of that plus one half: Gathers with constant
indices, and arithmetic with constants, which every TensorRT takes. In float32 all of it is exact, in any order of the
additions: no number has more than 24 bits. In float16 (11 bits), of noise up to 7 % of the levels are off, by one
or two.
ONNX's Resize (asymmetric, linear) does not round the first mix, and its positions are no 2^14ths: of noise up to a
quarter of its levels are one off. Matrix products would compute the same, but cost more, and TensorRT may round what
goes into them to 11 bits (TF32).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.graph.graph import GraphEditor
from convert.images import Framing, ImageScaling
from convert.images.resizing import Resizing
from convert.images.scaling import SDK_LUMA, as_sdk, sdk_axis, sdk_luma
from convert.types import IMAGENET_MEAN_BGR, TORCH_MEAN, TORCH_STD

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto

_ROWS, _COLUMNS = 2, 3  # axes of [N,C,H,W]
_WHOLE = 2**14  # of which the SDK's weights are parts

# What the SDK does to levels, in its order. It divides by 255 first and multiplies by 255 again; of whole levels that
# gives the same float32 numbers as leaving both out.
_STEPS: dict[ImageScaling, tuple[tuple[str, tuple[float, ...]], ...]] = {
    ImageScaling.NONE: (("Div", (255,)),),
    ImageScaling.FROM_0_TO_255: (),
    ImageScaling.MINUS_1_TO_1: (("Div", (127.5,)), ("Sub", (1,))),
    ImageScaling.MINUS_128_TO_127: (("Sub", (128,)),),
    ImageScaling.BGR_MINUS_IMAGENET_MEAN: (("Sub", IMAGENET_MEAN_BGR),),
    ImageScaling.TORCH: (("Div", (255,)), ("Sub", TORCH_MEAN), ("Div", TORCH_STD)),
}


def take_levels(model: ModelProto, scaling: ImageScaling) -> ModelProto:
    """A pass: the model takes RGB levels [1,3,h,w], 0..255, where it took what `scaling` makes of them.

    A model for grey pictures gets the luma of the three channels, with its fractions, as from the SDK.
    """
    (source,) = model.graph.input
    dims = source.type.tensor_type.shape.dim
    editor = GraphEditor(model)
    inside = editor.new_name("levels")
    editor.redirect(source.name, inside)
    name = source.name
    if dims[1].dim_value == 1:
        dims[1].dim_value = len(SDK_LUMA)
        channels = (_arithmetic(editor, "Mul", _gather(editor, name, 1, [each]), [SDK_LUMA[each]]) for each in range(3))
        red, green, blue = channels
        name = editor("Add", editor("Add", red, green), blue)
    elif scaling is ImageScaling.BGR_MINUS_IMAGENET_MEAN:
        name = _gather(editor, name, 1, [2, 1, 0])
    for operator, values in _STEPS[scaling]:
        name = _arithmetic(editor, operator, name, values)
    editor.redirect(inside, name)
    editor.store()
    return model


def scaled_levels(levels: NDArray[np.float32], scaling: ImageScaling) -> NDArray[np.float32]:
    """What a model takes of levels [n,C,h,w], 0..255, RGB or grey: the same operations in NumPy."""
    values = levels[:, ::-1] if scaling is ImageScaling.BGR_MINUS_IMAGENET_MEAN else levels
    for operator, numbers in _STEPS[scaling]:
        compute = {"Div": np.divide, "Sub": np.subtract}[operator]
        values = compute(values, np.array(numbers, np.float32).reshape(1, -1, 1, 1))
    return np.ascontiguousarray(values, np.float32)


def cut_out(frame: NDArray[np.uint8], framing: Framing, *, grey: bool) -> NDArray[Any]:
    """What a graph with this framing makes of a scaled frame [H,W,C]: levels [h,w,c], in NumPy.

    Args:
        grey: the model takes grey pictures; where the graph resizes, they have the luma's fractions.
    """
    if isinstance(framing, Resizing):
        levels = as_sdk(frame, framing.model, framing.mode, anchor=framing.anchor)
        return sdk_luma(levels) if grey else levels
    width, height = framing.model
    return frame[framing.top : framing.top + height, framing.left : framing.left + width]


def resize_frames(model: ModelProto, resizing: Resizing) -> ModelProto:
    """A pass: a model for levels [1,C,h,w] takes whole frames [1,C,H,W] of levels."""
    (source,) = model.graph.input
    dims = source.type.tensor_type.shape.dim
    width, height = resizing.model
    assert [dims[_ROWS].dim_value, dims[_COLUMNS].dim_value] == [height, width]
    dims[_COLUMNS].dim_value, dims[_ROWS].dim_value = resizing.network
    place = resizing.placement
    editor = GraphEditor(model)
    inside = editor.new_name("levels")
    editor.redirect(source.name, inside)
    down = _Axis(place.top, place.source_height, place.height, place.view.offset_top, height)
    across = _Axis(place.left, place.source_width, place.width, place.view.offset_left, width)
    name = source.name
    rows = np.unique([down.near, down.far])  # before the columns are mixed: of a large frame few rows are needed
    if len(rows) < resizing.network[1]:
        name = _gather(editor, name, _ROWS, rows)
        down.near, down.far = np.searchsorted(rows, [down.near, down.far])
    name = _mixed(editor, name, _COLUMNS, across, resizing.network[0])
    name = _mixed(editor, name, _ROWS, down, len(rows))
    mask = down.is_picture[:, np.newaxis] & across.is_picture
    if not mask.all():
        name = editor("Mul", name, editor.floats(mask[np.newaxis, np.newaxis]))
    editor.redirect(inside, name)
    editor.store()
    return model


class _Axis:
    """The rows or columns of the model's picture: which two of the frame each is a mix of.

    Attributes:
        near, far: int [n], of the frame.
        weight: of `far`, in 2^14ths.
        is_picture: bool [n], false in black bars; the other three are 0 there.
    """

    def __init__(self, start: int, size: int, count: int, offset: int, whole: int) -> None:
        """`size` of the frame from `start` on become `count` of the model's `whole`, from `offset` on."""
        number = np.arange(whole) - offset
        self.is_picture = (number >= 0) & (number < count)
        self.near, self.far, self.weight = np.zeros((3, whole), np.int64)
        near, far, self.weight[self.is_picture] = sdk_axis(size, count)
        self.near[self.is_picture], self.far[self.is_picture] = start + near, start + far
        self.far = np.where(self.weight, self.far, self.near)  # no row is kept for a weight of 0


def _mixed(editor: GraphEditor, name: str, axis: int, mix: _Axis, size: int) -> str:
    """`name`, of whose `axis` with `size` entries two at a time are mixed and rounded."""
    if not mix.weight.any():
        return name if np.array_equal(mix.near, np.arange(size)) else _gather(editor, name, axis, mix.near)
    weight = mix.weight / _WHOLE
    near, far = (_gather(editor, name, axis, index) for index in (mix.near, mix.far))
    weights = editor.floats(weight[:, np.newaxis] if axis == _ROWS else weight)
    sharp = editor("Add", near, editor("Mul", editor("Sub", far, near), weights))
    return editor("Floor", _arithmetic(editor, "Add", sharp, [0.5]))


def _gather(editor: GraphEditor, name: str, axis: int, index: NDArray[np.int64] | list[int]) -> str:
    # int32: TensorRT before 10 has no int64, and says so of each
    return editor("Gather", name, editor.add_constant(np.array(index, np.int32)), axis=axis)


def _arithmetic(editor: GraphEditor, operator: str, name: str, values: tuple[float, ...] | list[float]) -> str:
    """With one number, or one a channel."""
    return editor(operator, name, editor.floats(np.reshape(values, (1, -1, 1, 1))))


def crop(model: ModelProto, framing: Framing) -> ModelProto:
    """A pass: a model for [1,C,h,w] takes `framing.network` instead. Without a Slice where that is the same size."""
    if not framing.crops:
        return model
    (source,) = model.graph.input
    dims = source.type.tensor_type.shape.dim
    width, height = framing.model
    assert [dims[2].dim_value, dims[3].dim_value] == [height, width]
    dims[3].dim_value, dims[2].dim_value = framing.network
    # The batch and the channels are whole, and so is the side on which nothing is cut off.
    spans = {2: (framing.top, height), 3: (framing.left, width)}
    axes = [axis for axis, whole in ((2, framing.network[1]), (3, framing.network[0])) if spans[axis][1] != whole]
    starts, ends = [spans[axis][0] for axis in axes], [sum(spans[axis]) for axis in axes]
    editor = GraphEditor(model)
    inside = editor.new_name("Slice")
    editor.redirect(source.name, inside)
    editor.redirect(inside, editor.sliced(source.name, starts, ends, axes))
    editor.store()
    return model


def scale(model: ModelProto, mean: tuple[float, ...], std: tuple[float, ...]) -> ModelProto:
    """A pass: the model takes x where it took (x - mean) / std. One value a channel; the input is NCHW."""
    editor = GraphEditor(model)
    name = model.graph.input[0].name
    scaled = editor.new_name("Div")
    editor.redirect(name, scaled)
    editor.redirect(scaled, _arithmetic(editor, "Div", _arithmetic(editor, "Sub", name, mean), std))
    editor.store()
    return model
