"""What models are measured on and how it reaches them, and whether a model's signature is what Gst-nvinfer takes.

Pictures are made from nothing but their number: the same on every machine. They must move a network of any training:
smooth scenes and textures (what cameras give), noise (every weight counts) and edges (the ends of the range, single
pixels, one channel alone: what shows a wrong offset, padding or colour order). Everything is integer arithmetic, so no
rounding differs between processors.

A picture becomes a tensor in two ways: as Edge Impulse packs it, and as Gst-nvinfer does. Both start from the same
uint8 picture, so that equal outputs prove preprocessing and graph together. Edge Impulse's arithmetic is that of its
C++ SDK (pixel / 255, then the image scaling of the block), nvinfer's that of its conversion kernels,
y = net-scale-factor * (x - offset), all in float32.

`check`: nvinfer checks little itself. It writes float32 without looking at the input's type, reads float32 without
looking at the output's, overwrites the batch dimension and sizes its output buffers once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ValidationError
from convert.findings import Finding, Rule
from convert.images import Framing, ImageScaling, crop_area
from convert.images.scaling import sdk_luma
from convert.onnx_header import STANDARD_DOMAINS
from convert.types import IMAGENET_MEAN_BGR, INPUT_NAME, TORCH_MEAN, TORCH_STD, Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Picture = NDArray[np.uint8]

DOMAIN = Rule("EI402")
INPUT = Rule("EI400")
OUTPUT = Rule("EI401")


def pictures(count: int, height: int, width: int, channels: int) -> Iterator[tuple[str, Picture]]:
    """`count` times (name, uint8 [H,W,C]); of four in a row one is an edge, one noise and two are image-like.

    The n-th picture does not depend on `count`, so a run on fewer is a part of a run on more.
    """
    edges = _edges(height, width, channels)
    for number in range(count):
        random = np.random.default_rng(number)
        turn, kind = divmod(number, 4)
        if kind == 0 and turn < len(edges):
            yield edges[turn]
        elif kind == 1:
            shape = height, width, channels
            if turn % 2:  # faint: within 16 of a middle value
                yield f"noise {number}", random.integers(0, 33, shape, np.uint8) + np.uint8(random.integers(32, 192))
            else:
                yield f"noise {number}", random.integers(0, 256, shape, np.uint8)
        else:
            name, make = _SCENES[(2 * turn + kind) % len(_SCENES)]
            yield f"{name} {number}", make(random, height, width, channels)


def image_like(count: int, height: int, width: int, channels: int) -> Iterator[Picture]:
    """`count` times uint8 [H,W,C], every kind of scene in turn: neither noise nor edges."""
    for number in range(count):
        _, make = _SCENES[number % len(_SCENES)]
        yield make(np.random.default_rng([number, 1]), height, width, channels)


def with_objects(count: int, height: int, width: int, channels: int) -> Iterator[Picture]:
    """`count` times uint8 [H,W,C]: ellipses of any scene on a smooth one, by turns many small and a few large ones.

    Detectors answer to them more often than to scenes alone: five real ones (three FOMO, YOLOv5, SSD) show something on
    34, 21, 20, 13 and 1 of 40, and on 21, 6, 0, 2 and 0 image-like ones.
    """
    for number in range(count):
        random = np.random.default_rng([number, 2])
        picture = _SCENES[number // 2 % 2][1](random, height, width, channels)
        columns = _as_columns(picture)
        side = min(height, width)
        least, most, objects = (side // 5, side * 3 // 4, (1, 4)) if number % 2 else (side // 10, side // 2, (4, 12))
        for _ in range(int(random.integers(*objects))):
            high, wide = random.integers(max(1, least), max(2, most), 2).tolist()
            top, left = int(random.integers(0, height - high + 1)), int(random.integers(0, width - wide + 1))
            _, scene = _SCENES[int(random.integers(0, len(_SCENES)))]
            # Inside: (2y/h - 1)^2 + (2x/w - 1)^2 <= 1, in whole numbers, solved for y and compared column by column.
            down, across = ((2 * np.arange(size) - size) ** 2 for size in (high, wide))
            inside = np.repeat(down, channels) <= ((wide**2 - across) * high**2 // wide**2)[:, np.newaxis]
            place = columns[left : left + wide, top * channels : (top + high) * channels]
            np.copyto(place, _as_columns(scene(random, high, wide, channels)), where=inside)
        yield picture


LONG_SIDE = 640  # pixels of a generated frame: a usual camera's, and quickly made
SCALED = 960  # where the graph resizes what the device has scaled: so large that the device has something to scale

_MOST_GIVEN = 200  # of the user's pictures, the first: more would only take memory and time


def given(images: Path, framing: Framing | None, channels: int) -> Iterator[tuple[str, Picture]]:
    """Name and pixels, uint8 [H,W,C], of 200 pictures in the folder `images` at most, as a camera gives them."""
    from convert.images.read import find, read  # brings Pillow

    for path in find([images], videos=False)[:_MOST_GIVEN]:
        picture, _ = read(path, channels)
        if framing:  # a picture of another shape is no frame of that camera, but its middle could be
            left, top, width, height = crop_area(picture.shape[1], picture.shape[0], framing.frame.pixels)
            picture = picture[top : top + height, left : left + width]
        yield path.name, picture


def _as_columns(picture: Picture) -> Picture:
    """The memory of a scene: [W, H * C], as scenes are made column by column."""
    return picture.swapaxes(0, 1).reshape(picture.shape[1], -1)


def _edges(height: int, width: int, channels: int) -> list[tuple[str, Picture]]:
    rows, columns = np.mgrid[:height, :width]
    left = columns < width // 2
    middle = (rows == height // 2) & (columns == width // 2)
    grey = {
        "black": rows < 0, "white": rows >= 0, "checker": (rows + columns) % 2, "single bright pixel": middle,
        "stripes": rows // 2 % 2, "half": left, "other half": ~left,
    }  # fmt: skip
    edges = {
        name: np.repeat(mask.astype(np.uint8)[..., np.newaxis] * np.uint8(255), channels, axis=2)
        for name, mask in grey.items()
    }
    if channels > 1:
        del edges["half"], edges["other half"]
        stripes = edges.pop("stripes")
        for channel in range(channels):
            edges[f"channel {channel} alone"] = edges["black"].copy()
            edges[f"channel {channel} alone"][..., channel] = 255
        edges["stripes"] = stripes
    return list(edges.items())


def _field(random: np.random.Generator, height: int, width: int, channels: int) -> Picture:
    """A smooth field: a coarse grid of random values, interpolated."""
    cells = int(random.integers(2, 9))
    grid = random.integers(0, 256, (cells + 1, cells + 1, channels), np.uint16)
    return _stretched(_stretched(grid, height).astype(np.uint16), width)


def _stretched(grid: NDArray[np.uint16], size: int) -> Picture:
    """A grid [cells + 1, n, C] of values up to 255 as [n, size, C], linearly in steps of 1/256."""
    cells = len(grid) - 1
    place = np.arange(size) * cells * 256 // size
    part = (place & 255).astype(np.uint16).reshape(-1, 1, 1)
    mixed = np.empty((size, *grid.shape[1:]), np.uint8)
    ends = np.searchsorted(place >> 8, np.arange(cells + 1))
    for cell, (start, end) in enumerate(pairwise(ends.tolist())):
        values = (grid[cell + 1] - grid[cell]) * part[start:end]  # 16 bits wrap around, here and back again below
        values += grid[cell] << 8
        np.right_shift(values, 8, out=mixed[start:end], casting="unsafe")
    return mixed.swapaxes(0, 1)


def _gradient(random: np.random.Generator, height: int, width: int, channels: int) -> Picture:
    """Every channel rises along a direction of its own."""
    rows, columns = np.arange(height)[:, np.newaxis], np.arange(width)[:, np.newaxis]  # dividing these few is quick
    down, right = random.integers(-255, 256, (2, channels))
    start = random.integers(0, 256, channels)
    # from -510 to 765 in all, for which 16 bits will do
    below = (start + rows * down // height).astype(np.int16)
    across = (columns * right // width).astype(np.int16)
    ramp = np.empty((width, height, channels), np.uint8)
    for channel in range(channels):
        levels = below[:, channel] + across[:, channel, np.newaxis]
        ramp[..., channel] = np.clip(levels, 0, 255, out=levels)
    return ramp.swapaxes(0, 1)


def _blobs(random: np.random.Generator, height: int, width: int, channels: int) -> Picture:
    """Discs of one colour each on a smooth ground: objects."""
    picture = _field(random, height, width, channels)
    rows, columns = np.ogrid[:height, :width]
    for _ in range(int(random.integers(2, 7))):
        y, x = int(random.integers(0, height)), int(random.integers(0, width))
        radius = int(random.integers(1, max(2, min(height, width) // 3)))
        high, wide = (slice(max(0, middle - radius), middle + radius + 1) for middle in (y, x))  # the disc's square
        disc = (rows[high] - y) ** 2 + (columns[:, wide] - x) ** 2 <= radius**2
        picture[high, wide][disc] = random.integers(0, 256, channels, np.uint8)
    return picture


def _texture(random: np.random.Generator, height: int, width: int, channels: int) -> Picture:
    """A small random tile, repeated, over a smooth ground."""
    side = int(random.integers(3, 12))
    tile = random.integers(0, 128, (side, side, channels), np.uint8)
    columns = np.tile(tile.swapaxes(0, 1), (-(-width // side), -(-height // side), 1))[:width, :height]
    ground = _field(random, height, width, channels) >> 1
    textured: Picture = ground + columns.swapaxes(0, 1)
    return textured


_SCENES = (("field", _field), ("gradient", _gradient), ("blobs", _blobs), ("texture", _texture))


def as_edge_impulse(pictures: NDArray[np.uint8], scaling: ImageScaling) -> NDArray[np.float32]:
    """float32 [n,H,W,C] as the SDK hands it to the model, from uint8 RGB or grey pictures [n,H,W,C].

    Raises:
        ValidationError: a scaling that needs three channels, on a grey model.
    """
    values: NDArray[np.float32] = pictures.astype(np.float32) / np.float32(255)
    if pictures.shape[-1] == 1:
        # The SDK reads grey pictures from packed RGB pixels with r = g = b.
        values = sdk_luma(np.repeat(values, 3, axis=-1))
        if scaling in {ImageScaling.TORCH, ImageScaling.BGR_MINUS_IMAGENET_MEAN}:
            message = f"image scaling {scaling.value} is for RGB models, and this one takes grey pictures"
            raise ValidationError(message, hint="say what is right with --image-scaling")
    match scaling:
        case ImageScaling.NONE:
            return values
        case ImageScaling.FROM_0_TO_255:
            return values * np.float32(255)
        case ImageScaling.MINUS_1_TO_1:
            return values * np.float32(2) - np.float32(1)
        case ImageScaling.MINUS_128_TO_127:
            return values * np.float32(255) - np.float32(128)
        case ImageScaling.TORCH:
            mean, std = np.array(TORCH_MEAN, np.float32), np.array(TORCH_STD, np.float32)
            scaled: NDArray[np.float32] = (values - mean) / std
            return scaled
        case ImageScaling.BGR_MINUS_IMAGENET_MEAN:
            return values[..., ::-1] * np.float32(255) - np.array(IMAGENET_MEAN_BGR, np.float32)


def as_nvinfer(pictures: NDArray[Any], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """float32 [n,C,H,W], contiguous, as nvinfer's kernels write it, from the levels of pictures [n,H,W,C], RGB or grey.

    Offsets are subtracted per channel in network order, that is after the swap to BGR.
    """
    source = pictures[..., ::-1] if preprocessing.color == "BGR" else pictures
    values = np.array(source.transpose(0, 3, 1, 2), np.float32, order="C")  # a copy: grey levels may be float32
    if preprocessing.offsets:
        values -= np.array(preprocessing.offsets, np.float32)[:, np.newaxis, np.newaxis]
    values *= np.float32(preprocessing.net_scale_factor)
    return values


_BROKEN = "this is not a model that can be shipped: convert the export again, with another --opset if need be"


def check(model: bytes) -> tuple[Finding, ...]:
    """What nvinfer could not take, one finding a violation; empty when all is well.

    Raises:
        ValidationError: not a valid ONNX model: it does not parse, onnx's full checker or strict shape inference
            refuses it, or weights are missing.
    """
    import onnx  # heavy; importing this module must stay light
    from google.protobuf.message import DecodeError

    from convert.graph.graph import without_weights  # brings onnx

    try:
        proto = onnx.load_from_string(model)
    except DecodeError as error:
        raise ValidationError("not an ONNX model", hint=_BROKEN) from error
    # Before the checker, which would look for the file in the current folder.
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in proto.graph.initializer):
        message = "weights lie outside the model file, where TensorRT on the device will not find them"
        raise ValidationError(message, hint="save the model with its weights inside")
    try:
        for tensor in proto.graph.initializer:
            onnx.checker.check_tensor(tensor)
        light, own = without_weights(proto), len(proto.graph.input)
        onnx.checker.check_model(light, full_check=True)
        graph = onnx.shape_inference.infer_shapes(light, check_type=True, strict_mode=True, data_prop=True).graph
        del graph.input[own:]
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValidationError(f"the ONNX model is invalid: {reason}", hint=_BROKEN) from error
    foreign = {(node.domain, node.op_type) for node in graph.node if node.domain not in STANDARD_DOMAINS}
    domains = (
        DOMAIN.found(f"operator {operator} belongs to {domain}, not to ai.onnx", hint=DOMAIN.fix)
        for domain, operator in sorted(foreign)
    )
    inputs = (INPUT.found(message, hint=INPUT.fix) for message in _input(graph))
    outputs = (OUTPUT.found(message, hint=OUTPUT.fix) for message in _outputs(graph))
    return (*inputs, *outputs, *domains)


def _input(graph: Any) -> Iterator[str]:
    """What is wrong with the input, in words."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        yield f"the model has {len(inputs)} inputs instead of one: {names}"
        return
    (value,) = inputs
    shape, text, kind = _signature(value)
    if value.name != INPUT_NAME:
        yield f"the input is named {value.name!r} instead of {INPUT_NAME!r}"
    if kind != "float32":
        yield f"the input is {kind}, and nvinfer writes float32 into it"
    if len(shape) != 4:
        yield f"the input is {text} instead of [N,C,H,W]"
        return
    if isinstance(shape[0], int):
        yield f"the batch dimension of the input {text} is fixed; nvinfer overwrites it"
    if not all(isinstance(size, int) and size > 0 for size in shape[1:]):
        yield f"channels, height and width of the input {text} are not fixed"
    elif shape[1] not in {1, 3}:
        last = " (the last dimension looks like them: NHWC)" if shape[3] in {1, 3} else ""
        yield f"the input {text} has {shape[1]} channels; nvinfer feeds 1 or 3{last}"


def _outputs(graph: Any) -> Iterator[str]:
    """The same of the outputs."""
    if not graph.output:
        yield "the model has no output"
    for value in graph.output:
        shape, text, kind = _signature(value)
        if kind != "float32":
            yield f"output {value.name!r} is {kind}, and nvinfer reads float32"
        if len(shape) < 2:
            yield f"output {value.name!r} is {text}: nothing is left behind the batch dimension"
            continue
        if isinstance(shape[0], int):
            yield f"the batch dimension of output {value.name!r} {text} is fixed"
        if not all(isinstance(size, int) and size > 0 for size in shape[1:]):
            yield f"output {value.name!r} {text} has a dimension besides the batch that is not fixed"


def _signature(value: Any) -> tuple[tuple[int | str, ...], str, str]:
    """Of an input or output: one entry a dimension, the same as text, and numpy's (or ONNX's) name of the type.

    A dimension that is not fixed is its name, "?" without one.
    """
    import onnx

    shape = tuple(
        dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or "?"
        for dimension in value.type.tensor_type.shape.dim
    )
    kind = str(value.type.WhichOneof("value"))
    if value.type.HasField("tensor_type"):
        kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        kind = {"FLOAT": "float32", "DOUBLE": "float64"}.get(kind, kind.lower())
    return shape, "[" + ",".join(map(str, shape)) + "]", kind
