"""Validates a model that was trained on cropped pictures: as any other, and what nvinfer's scaling changes.

Whole frames are scaled as Gst-nvinfer does it, and cropped and then resized as Edge Impulse's SDK does it
(`convert.images.resize` has both). A model that crops frames itself differs from the SDK by the interpolation and by
less than a pixel of stretch; one that gets the whole frame, squashed, differs by what is in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from convert.artifacts import Adapted, FrameEffect, ResizeMode, StageResult, Validated
from convert.findings import Level, worst
from convert.framing import Frame, centre_crop
from convert.heads import head
from convert.isolation import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.artifacts import Export, Stage
    from convert.findings import Finding
    from convert.framing import Framing
    from convert.heads.reference import Network

__all__ = ["INPUTS", "SHAPES", "WithFraming", "scaled", "shipped"]

INPUTS = 20
"""Frames: enough to see what squashing does, and about a second."""

SHAPES = (Frame(16, 9), Frame(4, 3), Frame(3, 4), Frame(9, 16))
"""What is squashed where nobody said what the camera gives: the usual cameras, and objects of about that shape."""

_MOST = 200  # of the user's pictures, the first: more would only take memory and time

_LONG_SIDE = 640  # pixels of a generated frame: a usual camera's, and quickly made


@dataclass(frozen=True, slots=True)
class WithFraming:
    """The stage `validate`, and for a model trained on cropped pictures what cropping, or not cropping, changes.

    Attributes:
        validate: the ordinary stage.
        images: a folder of pictures to measure on instead of the generated ones, 200 at most.
        timeout: seconds LiteRT may take for all frames.
        worker: the process LiteRT runs in; one is started where none is given.
    """

    validate: Stage
    images: Path | None = None
    timeout: float = 300.0
    worker: Worker | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The stage's verb."""
        return self.validate.name

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Validate, then measure; nothing is measured of a model that is wrong already.

        Raises:
            ValidationError: the original or the model cannot be run.
            InputError: a picture in `images` cannot be read.
        """
        assert isinstance(artifact, Adapted)
        result = self.validate(artifact, workdir)
        before = artifact.preprocessing
        whole = before.framing is not None and not before.framing.crops  # nothing is cropped, nor squashed
        if before.resize_mode is not ResizeMode.FIT_SHORTEST or whole or worst(result.findings) is Level.ERROR:
            return result
        worker = self.worker or Worker(("convert.validate.reference",))
        try:
            effect = self._measure(artifact, worker)
        finally:
            if self.worker is None:
                worker.close()
        validated = Validated(artifact, replace(result.artifact.evidence, framing=effect))
        return replace(result, artifact=validated, findings=(*result.findings, *_findings(effect)))

    def _measure(self, adapted: Adapted, worker: Worker) -> FrameEffect:
        import numpy as np  # noqa: PLC0415 - importing this module must stay light

        from convert.images.resize import fit_shortest  # noqa: PLC0415
        from convert.validate.comparison import network, original  # noqa: PLC0415
        from convert.validate.seen import agreement, seen  # noqa: PLC0415

        export, framing = adapted.export, adapted.preprocessing.framing
        model = _size(export)
        cropped, squashed, shown, places = [], [], [], []
        for frame in islice(self._frames(export, framing), _MOST):
            cropped.append(fit_shortest(frame, *model))
            squashed.append(scaled(frame, *model))
            shown += [scaled(frame, *framing.network)] if framing else []
            high, wide = frame.shape[:2]
            places.append(np.array(centre_crop(wide, high, model)) / [wide, high, wide, high])
        task = adapted.head.task
        means = network(adapted, worker, self.timeout) if head(task).detects else None
        trained, plain = (
            seen(task, means, original(export, np.stack(pictures), worker, self.timeout))
            for pictures in (cropped, squashed)
        )
        trained = trained.placed(np.array(places))
        crop = None
        if framing is not None:
            whole = framing.network
            place = np.array([[framing.left, framing.top, *framing.model]]) / [*whole, *whole]
            crop = agreement(trained, seen(task, means, shipped(adapted, shown, means)).placed(place))
        shapes = (framing.frame,) if framing else () if self.images else SHAPES
        return FrameEffect(tuple(map(str, shapes)), crop, agreement(trained, plain))

    def _frames(self, export: Export, framing: Framing | None) -> Iterator[NDArray[np.uint8]]:
        """uint8 [H,W,C], pixels as a camera gives them."""
        from convert.images.read import find, read  # noqa: PLC0415 - they bring numpy
        from convert.validate import inputs  # noqa: PLC0415

        channels = export.facts.input.shape[-1]
        assert channels is not None
        if self.images is None:
            shapes = (framing.frame,) if framing else SHAPES
            for shape in shapes:
                width, height = shape.within(_LONG_SIDE, _LONG_SIDE)
                yield from inputs.image_like(INPUTS // len(shapes), height, width, channels)
            return
        for path in find([self.images], videos=False):
            picture, _ = read(path, channels)
            if framing:  # a picture of another shape is no frame of that camera, but its middle could be
                left, top, width, height = centre_crop(picture.shape[1], picture.shape[0], framing.frame.pixels)
                picture = picture[top : top + height, left : left + width]
            yield picture


def scaled(frame: NDArray[np.uint8], width: int, height: int, *, keep_aspect: bool = False) -> NDArray[np.uint8]:
    """`frame` [H,W,C] as [height,width,C], as nvinfer scales it (with `keep_aspect`: between black bars)."""
    import numpy as np  # noqa: PLC0415 - importing this module must stay light

    from convert.images.placement import Network, place  # noqa: PLC0415
    from convert.images.resize import ScalingFilter, scale  # noqa: PLC0415

    high, wide, channels = frame.shape
    placement = place(wide, high, Network(channels, height, width), keep_aspect=keep_aspect, symmetric=keep_aspect)
    picture = np.zeros((height, width, channels), np.uint8)
    picture[placement.target] = scale(frame, placement, ScalingFilter.BILINEAR)
    return picture


def shipped(adapted: Adapted, pictures: Sequence[NDArray[np.uint8]], network: Network | None) -> list[NDArray[Any]]:
    """What the shipped model gives for `pictures` [H,W,C] of its size, [n, ...]: a detector its raw outputs.

    Args:
        network: what a detector's outputs mean; they are returned in the original's layout.

    Raises:
        ValidationError: ONNX Runtime refuses the model.
    """
    import numpy as np  # noqa: PLC0415 - importing this module must stay light

    from convert.validate import runtime  # noqa: PLC0415
    from convert.validate.decoding import with_raw  # noqa: PLC0415
    from convert.validate.preprocess import as_nvinfer  # noqa: PLC0415

    session = runtime.load(adapted.onnx.data if network is None else with_raw(adapted.onnx.data))
    rows = [runtime.run(session, as_nvinfer(picture[np.newaxis], adapted.preprocessing)) for picture in pictures]
    outputs = [np.concatenate(column) for column in zip(*rows, strict=True)]
    return outputs if network is None else head(adapted.head.task).as_original(outputs[len(adapted.onnx.outputs) :])


def _size(export: Export) -> tuple[int, int]:
    """Width and height of what the original takes."""
    _, height, width, _ = export.facts.input.shape
    assert height is not None
    assert width is not None
    return width, height


def _findings(effect: FrameEffect) -> tuple[Finding, ...]:
    from convert.validate.findings import SQUASHED  # noqa: PLC0415 - light, but only wanted here

    if effect.crop is not None:
        return ()
    squash = effect.squash
    of = " to ".join((effect.frames[0], effect.frames[-1])) if effect.frames else "the shapes they have"
    message = (
        f"squashed instead of cropped, {round((1 - squash.top1) * squash.inputs)} of {squash.inputs} pictures of {of} "
        f"are decided otherwise, and scores differ by {squash.mean_abs_diff:.2g} on average"
    )
    return (SQUASHED.found(message, hint="--frame 16:9 (or what the camera gives) crops whole frames in the model"),)
