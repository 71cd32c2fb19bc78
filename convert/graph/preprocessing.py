"""What Gst-nvinfer must do to a frame so that the model sees what it was trained on.

nvinfer computes y = net-scale-factor * (x - offset) on x = 0..255, per channel in the network's order
(nvdsinfer_conversion.cu); Edge Impulse's SDK scales pixel/255 in one of six ways. Each row below is the same arithmetic
written the other way round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from convert.artifacts import ImageScaling, Preprocessing, ResizeMode
from convert.errors import PresetError
from convert.graph.findings import RESIZE_ASSUMED, RESIZE_CROPS, SCALING_ASSUMED

if TYPE_CHECKING:
    from convert.artifacts import Export
    from convert.findings import Finding

__all__ = ["preprocessing"]


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
    ImageScaling.BGR_MINUS_IMAGENET_MEAN: _Row(1.0, (103.939, 116.779, 123.68), "BGR"),
    # One factor cannot be three deviations: `convert.graph.scaling` puts this one into the graph, behind pixel/255.
    ImageScaling.TORCH: _Row(1 / 255, folded="torch"),
}
_COLOUR_ONLY = {ImageScaling.BGR_MINUS_IMAGENET_MEAN, ImageScaling.TORCH}


def preprocessing(export: Export) -> tuple[Preprocessing, tuple[Finding, ...]]:
    """The keys for this export, and what had to be assumed.

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
    findings += _resize_findings(resize)
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
        ),
        tuple(findings),
    )


def _resize_findings(resize: ResizeMode | None) -> list[Finding]:
    if resize is ResizeMode.FIT_SHORTEST:
        return [
            RESIZE_CROPS.found(
                "the model was trained on pictures cropped to the centre; the whole frame is squashed instead",
                hint="retrain with squash or fit longest axis, or crop before nvinfer",
            )
        ]
    if resize is None or resize is ResizeMode.NONE:
        return [
            RESIZE_ASSUMED.found(
                "the export does not say how pictures were resized; squash is assumed",
                hint="say it with --resize-mode",
            )
        ]
    return []
