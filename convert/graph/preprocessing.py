"""What Gst-nvinfer must do to a frame so that the model gets what it was trained on, and what the graph does itself.

nvinfer computes y = net-scale-factor * (x - offset) on x = 0..255, per channel in the network's order
(nvdsinfer_conversion.cu); Edge Impulse's SDK scales pixel/255 in one of six ways. `_SCALINGS` has the same arithmetic
in nvinfer's terms.

nvinfer has ONE factor for all channels; Edge Impulse's `torch` scaling divides each channel by its own standard
deviation. Folding it into the first convolution would change the borders, where the convolution pads with zeros after
scaling, so the graph gets two nodes behind the input (`convert.graph.resize.scale`): the same two float32 operations,
in the same order, as Edge Impulse's SDK makes.

nvinfer can scale a frame, but not crop it: the graph does that, and heads give places in the frame instead of places in
the model's picture. As a rule the graph also brings what it cuts out to the model's size (`convert.graph.resize`): it
then takes levels, and nvinfer has nothing to compute. With `--resize device` a Slice is its first node (`crop`), and
everything behind that gets exactly the pixels it got before; the sizes are those of `convert.images.Framing`.
"""

from __future__ import annotations

from convert.errors import PresetError
from convert.findings import Finding, Rule
from convert.images import CENTRE, Anchor, Frame, Framing, ImageScaling, ResizeMode, anchor_name
from convert.images.resizing import PIXELS, Resizing, usual_size
from convert.types import IMAGENET_MEAN_BGR, Export, Preprocessing

FRAME_UNUSED = Rule("EI306")
RESIZE_ASSUMED = Rule("EI303")
RESIZE_CROPS = Rule("EI304")
SCALING_ASSUMED = Rule("EI305")

# Of each image scaling: factor, offset of each of three channels (or of all), and the colour order.
_SCALINGS: dict[ImageScaling, tuple[float, tuple[float, ...], str]] = {
    ImageScaling.NONE: (1 / 255, (), "RGB"),
    ImageScaling.FROM_0_TO_255: (1.0, (), "RGB"),
    ImageScaling.MINUS_1_TO_1: (1 / 127.5, (127.5,), "RGB"),
    ImageScaling.MINUS_128_TO_127: (1.0, (128.0,), "RGB"),
    # Edge Impulse swaps to BGR and subtracts ImageNet's means of B, G and R.
    ImageScaling.BGR_MINUS_IMAGENET_MEAN: (1.0, IMAGENET_MEAN_BGR, "BGR"),
    ImageScaling.TORCH: (1 / 255, (), "RGB"),  # the rest of it is `scale`'s
}
_CROPS = (
    "the model was trained on pictures cropped to the {}; frames and objects are squashed to its size instead: in "
    "one of 16:9 everything is 1.8 times too narrow"
)
_CROP = (
    "for whole frames give --frame auto, or what the camera gives (--frame 4:3), and the model crops them itself; for "
    "another engine's objects (--role sgie) train it with squash"
)
_GAINS = {
    "classifier": ("classifiers", "83 to 100 %", "97 to 100 %"),
    "fomo": ("FOMO models", "9 to 14 %", "85 to 100 %"),
    "ssd": ("an SSD model", "7 %", "85 %"),
    "yolov5": ("YOLOv5 models", "22 to 36 %", "91 to 95 %"),
}
"""Of some heads: of how many frames the answer was Edge Impulse's own, squashed and with --frame 16:9.

Measured on 500 frames of 640x360 with public projects that were trained on cropped pictures: classifiers 82.6 to 100 %
and (int8 ones the least) 96.6 to 100 %, FOMO 9.0 to 14.2 % and 85.4 to 99.8 %, one SSD 6.6 % and 85.0 %, YOLOv5 21.6 to
35.6 % and (with --resize device) 91.2 to 95.4 %. Of 100 frames of 1920x1080, which the device scales first, three
classifiers had 94 to 99 %, two FOMO models 78 and 85 %.
"""
_COLOUR_ONLY = {ImageScaling.BGR_MINUS_IMAGENET_MEAN, ImageScaling.TORCH}


def preprocessing(
    export: Export, frame: Frame | None = None, *, assumed: bool = False, resize: str = "auto"
) -> tuple[Preprocessing, tuple[Finding, ...]]:
    """The keys for this export, and what had to be assumed.

    Args:
        frame: aspect of the frames the network is to take, where that decides its size (`crop_to`).
        assumed: nobody asked for that frame, so it is not said where it changes nothing.
        resize: as `Adapt` has it.

    Raises:
        PresetError: an image scaling that only pictures with three channels can have, on a grey model; a frame that
            `resize` cannot have.
    """
    findings: list[Finding] = []
    channels = export.facts.input.shape[-1]
    assert channels in {1, 3}  # refuse_unsupported
    scaling = export.metadata.image_scaling
    if scaling is None:
        scaling = ImageScaling.NONE
        message = "the export does not say how pixels are scaled; 0..1 is assumed"
        findings.append(SCALING_ASSUMED.found(message, hint="say it with --image-scaling if that is wrong"))
    if channels == 1 and scaling in _COLOUR_ONLY:
        message = f"image scaling {scaling.value} is made for colour pictures, and this model takes grey ones"
        raise PresetError(message, hint="give the right one with --image-scaling")
    factor, offsets, color = _SCALINGS[scaling]
    mode = export.metadata.resize_mode
    framing = crop_to(export, frame, resize=resize)
    if mode is ResizeMode.FIT_SHORTEST:
        if framing is None:
            anchor = export.metadata.anchor
            message = _CROPS.format(anchor_name(anchor)) + _gain(export.facts.task, anchor)
            findings.append(RESIZE_CROPS.found(message, hint=_CROP))
    else:
        is_assumed = mode is None or mode is ResizeMode.NONE
        if is_assumed:
            message = "the export does not say how pictures were resized; squash is assumed"
            findings.append(RESIZE_ASSUMED.found(message, hint="say it with --resize-mode"))
        if frame is not None and framing is None and resize == "device" and not assumed:
            trained = "squash is assumed" if is_assumed else f"the model was trained with {mode}, on whole pictures"
            hint = "if pictures were cropped to the centre, say --resize-mode fit-shortest" if is_assumed else None
            message = f"--frame {frame} changes nothing with --resize device: {trained}"
            findings.append(FRAME_UNUSED.found(message, hint=hint))
    fit, folded = mode is ResizeMode.FIT_LONGEST, "torch" if scaling is ImageScaling.TORCH else ""
    if isinstance(framing, Resizing):  # it takes levels of colour pictures, whatever the model takes
        factor, offsets, color, channels, fit, folded = 1.0, (), "RGB", 3, False, "all"
    taken = Preprocessing(
        net_scale_factor=factor,
        offsets=offsets * channels if len(offsets) == 1 else offsets,
        color="GRAY" if channels == 1 else color,
        maintain_aspect_ratio=fit,
        symmetric_padding=fit,  # Edge Impulse centres the picture between black bars
        folded=folded,
        resize_mode=mode,
        framing=framing,
    )
    return taken, tuple(findings)


def _gain(task: str, anchor: Anchor) -> str:
    """What --frame changed where it was measured; nothing for other heads, and for what is not the centre."""
    if task not in _GAINS or anchor != CENTRE:
        return ""
    models, squashed, cropped = _GAINS[task]
    return (
        f". Measured on 500 frames of 640x360, {models} gave Edge Impulse's answer on {squashed} of them, with --frame "
        f"16:9 on {cropped}"
    )


def crop_to(export: Export, frame: Frame | None, *, resize: str = "auto") -> Framing | None:
    """What the graph does with `frame`; None where the device alone brings it to the model's size.

    With `--resize device` only pictures that Edge Impulse cropped need the graph. An unrecorded mode is squash.

    Raises:
        PresetError: the graph is to resize frames whose size is not given, or is too large.
    """
    _, height, width, _ = export.facts.input.shape
    assert height is not None
    assert width is not None
    model, mode, anchor = (width, height), export.metadata.resize_mode, export.metadata.anchor
    if resize == "graph":
        if frame is None:
            raise PresetError("--resize graph needs the size of the frames", hint=PIXELS)
        return Resizing(frame, model, mode or ResizeMode.SQUASH, anchor=anchor)
    cuts = mode is ResizeMode.FIT_SHORTEST
    if frame is None or (resize == "device" and not cuts):
        return None
    cropping = Framing(frame, model, anchor=anchor)
    if cuts and (resize == "device" or not cropping.crops):
        return cropping
    resizing = Resizing(frame, model, mode or ResizeMode.SQUASH, anchor=anchor, scaled=usual_size(frame, model))
    return resizing if resizing.crops else None
