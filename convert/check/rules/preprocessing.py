"""NVI034 and NVI050 to NVI055: the input's size and pixels: y = net-scale-factor * (x - offset), x from 0 to 255.

NVI056: whether images reach the model as they were resized in training. `ei-deepstream convert` records that in the
model's metadata_props, or in the bundle's report; of a model that takes whole frames and crops or resizes them itself
also the frames, the part it cuts out and the size it makes of it (`convert.report.OnnxMetadata`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from convert.check.app import AppContext, number, on_app
from convert.check.context import RuleContext, on_config
from convert.check.rules.syntax import as_line, quoted, unread_numbers
from convert.nvinfer.keys import PROPERTY

if TYPE_CHECKING:
    from convert.findings import Finding
    from convert.onnx_header import Value
    from convert.report import OnnxMetadata


_GRAY: Final = 2
_COLOURS: Final = frozenset({1, 3})
_FORMATS: Final = {0: "RGB", 1: "BGR", 2: "GRAY"}
_IMAGENET_RGB: Final = (123.7, 116.5, 103.8)
_ONE_255TH: Final = "0.003921569"
_NEAR: Final = 1.0  # the means in use differ by less: 123.675 and 123.68, 116.28 and 116.779


@on_config("NVI034")
def zero_dims(context: RuleContext) -> Iterator[Finding]:
    """infer-dims that nvinfer takes for none."""
    dims = tuple(context.value("infer-dims"))
    if any(dims) and not all(dims):
        message = f"infer-dims {';'.join(map(str, dims))} holds a 0, so nvinfer takes none of it"
        yield context.found(zero_dims, message, key="infer-dims")


@on_config("NVI050")
def colour(context: RuleContext) -> Iterator[Finding]:
    """Channels that the format does not have."""
    channels = _channels(context)
    if channels is None:
        return
    name = context.value("model-color-format")
    if channels != (1 if name == _GRAY else 3):
        message = f"model-color-format is {name}, {_FORMATS[name]}, but the network's input has {channels} channels"
        meant = {1: (_GRAY, ""), 3: (0, " (RGB) or 1 (BGR)")}.get(channels)
        hint = f"write {as_line(context, 'model-color-format', meant[0])}{meant[1]}" if meant else None
        yield context.found(colour, message, key="model-color-format", hint=hint)


@on_config("NVI051")
def no_scale(context: RuleContext) -> Iterator[Finding]:
    """net-scale-factor left out."""
    if not context.given("net-scale-factor") and not context.value("input-tensor-from-meta"):
        message = "net-scale-factor is not given: the model gets pixels from 0 to 255"
        hint = f"write {as_line(context, 'net-scale-factor', '1.0')} if that is meant, {_ONE_255TH} for 0..1"
        yield context.found(no_scale, message, hint=hint)


@on_config("NVI052")
def odd_scale(context: RuleContext) -> Iterator[Finding]:
    """Zero, negative, or 1/255 typed wrong."""
    if not context.given("net-scale-factor"):
        return
    scale = context.number("net-scale-factor")
    if not scale > 0 or math.isinf(scale):
        message = f"net-scale-factor is {context.value('net-scale-factor')}: scaling and offsets are switched off"
        if math.isinf(scale) and scale > 0:
            message = "net-scale-factor is infinite"
        hint = f"write {as_line(context, 'net-scale-factor', _ONE_255TH)} (1/255), or 1.0 for no scaling"
        yield context.found(odd_scale, message, key="net-scale-factor", hint=hint)
        return
    if (recorded := _recorded(context, "resize")) and recorded.resize:
        if scale != 1 or any(context.value("offsets")):
            message = f"the model scales pixels itself and takes them from 0 to 255, but net-scale-factor is {scale:g}"
            if scale == 1:
                message = "the model scales pixels itself and takes them from 0 to 255, but there are offsets"
            hint = f"write {as_line(context, 'net-scale-factor', '1.0')}"
            hint += ", and remove the offsets" if context.given("offsets") else ""
            yield context.found(odd_scale, message, key="net-scale-factor" if scale != 1 else "offsets", hint=hint)
        return
    if meant := _meant(scale):
        hint = f"write {as_line(context, 'net-scale-factor', _ONE_255TH)}"
        message = f"net-scale-factor is {scale:g}; {meant} is probably meant"
        yield context.found(odd_scale, message, key="net-scale-factor", hint=hint)


@on_config("NVI053")
def offsets(context: RuleContext) -> Iterator[Finding]:
    """One for each channel: of the model, or where that is not known of the colour format, which must be the same."""
    values, colour = context.value("offsets"), context.value("model-color-format")
    known = _channels(context)
    if known is None and (context.network is not None or context.value("input-tensor-from-meta")):
        return  # another rule reports the layout; nothing is scaled here
    channels = known or (1 if colour == _GRAY else 3)
    if len(values) in {0, channels} or _misread(context) or not context.number("net-scale-factor") > 0:
        return
    if not known and context.value("mean-file", ""):
        return
    whose = "" if known else f" of {_FORMATS[colour]}, the model-color-format"
    count = f"is {len(values)} offset" if len(values) == 1 else f"are {len(values)} offsets"
    message = f"there {count} for {channels} channel{'s' if channels > 1 else ''}{whose}"
    hint = None
    if len(set(values)) == 1:
        hint = f"write {as_line(context, 'offsets', ';'.join([f'{float(values[0]):g}'] * channels))}"
    yield context.found(offsets, message, key="offsets", hint=hint)


@on_config("NVI054")
def odd_offsets(context: RuleContext) -> Iterator[Finding]:
    """Means of 0..1, or in the other order."""
    means = [float(each) for each in context.value("offsets")]
    if not means or _misread(context) or not context.number("net-scale-factor") > 0:
        return
    if any(means) and all(0 <= each <= 1 for each in means):
        hint = f"write {as_line(context, 'offsets', ';'.join(f'{each * 255:g}' for each in means))}"
        message = "offsets are between 0 and 1, but pixels go up to 255"
        yield context.found(odd_offsets, message, key="offsets", hint=hint)
        return
    order = _FORMATS[context.value("model-color-format")]
    wrong = _IMAGENET_RGB if order == "BGR" else _IMAGENET_RGB[::-1]
    if order != "GRAY" and len(means) == 3 and all(abs(a - b) < _NEAR for a, b in zip(means, wrong, strict=True)):
        other = "RGB" if order == "BGR" else "BGR"
        message = f"offsets are ImageNet's means in the order {other}, but model-color-format is {order}"
        turned = as_line(context, "offsets", ";".join(f"{each:g}" for each in reversed(means)))
        hint = f"write {turned}, or {as_line(context, 'model-color-format', 0 if order == 'BGR' else 1)}"
        yield context.found(odd_offsets, message, key="offsets", hint=hint)


def _misread(context: RuleContext) -> bool:
    """Whether nvinfer reads a part of the offsets only, which NVI017 reports."""
    entry = context.last.get((PROPERTY, "offsets"))
    return entry is not None and unread_numbers(entry) is not None


@on_config("NVI055")
def mean_file(context: RuleContext) -> Iterator[Finding]:
    """A picture that does not fit."""
    file = context.files.get("mean-file")
    if context.start is None or file is None or not file.presence.here:
        return
    for problem in context.start.problems:
        if problem.key == "mean-file":
            yield context.found(mean_file, problem.message, key="mean-file")


def is_nhwc(source: Value) -> bool:
    """Whether an input has its channels last, as far as its shape tells."""
    if source.dims is None or len(source.dims) != 4:
        return False
    return source.dims[3] in _COLOURS and source.dims[1] not in _COLOURS


def _channels(context: RuleContext) -> int | None:
    """Channels of the network; None if not known, or if another rule reports the layout."""
    if context.network is None or context.value("input-tensor-from-meta"):
        return None
    source = context.model.inputs[0] if context.model and context.model.inputs else None
    return None if source and is_nhwc(source) and not context.feeds_nhwc else context.network[0]


def _meant(scale: float) -> str | None:
    """ "1/255" where `scale` looks like it, mistyped."""
    if abs(scale - 255) < 1e-3 or abs(scale - 256) < 1e-3:
        return "1/255"
    times = scale * 255
    if abs(times - 1) < 0.04:
        # 1/256 is another habit, and 0.00392 is near enough.
        return "1/255" if abs(times - 1) > 0.0005 and abs(scale * 256 - 1) > 1e-4 else None
    power = math.log10(times)
    return "1/255" if abs(power - round(power)) < 0.003 and abs(round(power)) <= 3 else None


_SAME: Final = 0.01  # less than sizes are rounded by: 1366x768 is 16:9
_KEEP: Final = "maintain-aspect-ratio"
_CENTRED: Final = "symmetric-padding"


@on_config("NVI056")
def framing(context: RuleContext) -> Iterator[Finding]:
    """The keys and the model's metadata differ."""
    if context.value("input-tensor-from-meta"):
        return
    recorded = _recorded(context, "crop", "frame", "resize", "resize_mode", "crop_anchor")
    if recorded is None:
        return
    from convert.images import ResizeMode

    if recorded.resize:
        takes = f"the model takes whole frames of {quoted(str(recorded.frame or ''))} and resizes them itself"
        bars = "frames of another shape get black bars first"
        yield from _no_objects(context, takes, "objects have other shapes", bars)
    elif recorded.crop:
        yield from _whole_frames(context, recorded, recorded.crop[2:])
    elif recorded.resize_mode is ResizeMode.FIT_LONGEST:
        yield from _fitted(context)
    elif recorded.resize_mode is ResizeMode.SQUASH and context.value(_KEEP):
        message = f"{_KEEP} is 1, but the model was trained on squashed pictures"
        yield context.found(framing, message, key=_KEEP, hint=f"write {as_line(context, _KEEP, 0)}")


def _recorded(context: RuleContext, *names: str) -> OnnxMetadata | None:
    """What the model records of itself, these attributes; None without a model."""
    if context.model is None:
        return None
    from convert.report import OnnxMetadata  # only with a model: it takes longer to import than all rules

    return OnnxMetadata.parse(context.model.metadata, *names)


@on_app(framing)
def shapes(app: AppContext) -> Iterator[Finding]:
    """The frames of [streammux] have another shape, or size, than those the primary engine's model was made for."""
    width, height = (number(app.file, "streammux", side, None) for side in ("width", "height"))
    if not width or not height or width < 0 or height < 0:
        return
    from convert.report import OnnxMetadata  # slow to import

    for engine in app.engines:
        model = engine.context.model if engine.context else None
        recorded = OnnxMetadata.parse(model.metadata, "frame", "resize", "resize_mode") if model else OnnxMetadata()
        frame = recorded.frame
        if frame is None or not engine.gie.primary:
            continue
        taken = tuple(model.inputs[0].shape[:1:-1]) if model and model.inputs else ()
        if recorded.resize and frame.in_pixels and taken == frame.pixels:  # frames as they are
            if (width, height) == taken:
                continue
        elif recorded.squashes or abs(width / height / float(frame.aspect) - 1) < _SAME:
            continue
        made = f"but the model of [{engine.gie.group}] was made for {frame}"
        message = f"[streammux] makes frames of {width}x{height}, {made}"
        hint = f"write width={frame.pixels[0]} and height={frame.pixels[1]}, or convert for the frames there are"
        yield app.found(shapes, message, app.file.place("streammux", "width"), hint)


def _whole_frames(context: RuleContext, recorded: OnnxMetadata, size: tuple[int, int]) -> Iterator[Finding]:
    """Of a model that cuts `size`, width and height, out of whole frames."""
    from convert.images import anchor_name

    frame, part = quoted(str(recorded.frame or "")), anchor_name(recorded.anchor)
    takes = f"the model takes whole frames of {frame} and cuts {size[0]}x{size[1]} out of their {part}"
    yield from _no_objects(context, takes, "of objects it cuts off two sides", "they lie elsewhere in its input")
    dims = tuple(context.value("infer-dims"))
    if dims[1:] == size[::-1]:
        message = f"infer-dims is {';'.join(map(str, dims))}, which is what is left after cropping: {takes}"
        yield context.found(framing, message, key="infer-dims", hint="write the size of the model's input")


def _no_objects(context: RuleContext, takes: str, objects: str, bars: str) -> Iterator[Finding]:
    """Of a model that `takes` whole frames: what happens to `objects`, and between `bars`."""
    if context.is_secondary:
        hint = f"write {as_line(context, 'process-mode', 1)}, or convert once more with --role sgie for objects"
        yield context.found(framing, f"{takes}; {objects}", key="process-mode", hint=hint)
    elif context.value(_KEEP):
        message, hint = f"{takes}; with {as_line(context, _KEEP, 1)} {bars}", f"write {as_line(context, _KEEP, 0)}"
        yield context.found(framing, message, key=_KEEP, hint=hint)


def _fitted(context: RuleContext) -> Iterator[Finding]:
    """Of a model that was trained on pictures between black bars."""
    bars = "the model was trained on whole pictures between black bars"
    if not context.value(_KEEP):
        message = f"{_KEEP} is 0, but {bars}"
        keys = (_KEEP, _CENTRED) if context.value(_CENTRED, None) is not None else (_KEEP,)
        hint = "write " + " and ".join(as_line(context, key, 1) for key in keys)
        yield context.found(framing, message, key=_KEEP, hint=hint)
    elif not context.value(_CENTRED, default=True):  # a release that does not have the key cannot do better
        message = f"{_CENTRED} is 0, but {bars} on both sides"
        yield context.found(framing, message, key=_CENTRED, hint=f"write {as_line(context, _CENTRED, 1)}")
