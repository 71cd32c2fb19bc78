"""What Gst-nvinfer must do to a frame so that the model sees what it was trained on.

nvinfer computes y = net-scale-factor * (x - offset) on x = 0..255, per channel in the network's order
(nvdsinfer_conversion.cu); Edge Impulse's SDK scales pixel/255 in one of six ways. Each row below is the same arithmetic
written the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convert.artifacts import ImageScaling, Preprocessing, ResizeMode
from convert.errors import PresetError
from convert.framing import Framing
from convert.graph.findings import FRAME_UNUSED, RESIZE_ASSUMED, RESIZE_CROPS, SCALING_ASSUMED
from convert.words import IMAGENET_MEAN_BGR

if TYPE_CHECKING:
    from convert.artifacts import Export
    from convert.findings import Finding
    from convert.framing import Frame

__all__ = ["crop_to", "preprocessing"]


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
    # One factor cannot be three deviations: `convert.graph.scaling` puts this one into the graph, behind pixel/255.
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
