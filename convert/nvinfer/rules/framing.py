"""NVI056: whether pictures reach the model in the shape it was trained on, as far as the model itself says.

`ei-deepstream convert` records in the model's metadata_props, or in the bundle's report, how pictures were brought to
size in training, and of a model that takes whole frames and crops them itself which frames and what it cuts out
(`convert.report.OnnxMetadata`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from convert.findings import Level, Rule
from convert.nvinfer.rules.appread import number
from convert.nvinfer.rules.values import quoted
from convert.report import OnnxMetadata
from convert.words import ResizeMode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.findings import Finding
    from convert.nvinfer.rules.appread import AppCase
    from convert.nvinfer.rules.case import Case, Check

__all__ = ["CHECKS", "FRAMING", "shapes"]

FRAMING = Rule(
    "NVI056",
    Level.WARNING,
    "pictures reach the model in another shape than in training",
    why="The model says how its training pictures were brought to size. Squashed where there were black bars, with "
    "bars where they were squashed, or cropped in the wrong place they are recognised worse, without a message.",
    fix="write maintain-aspect-ratio=1 and symmetric-padding=1 for a model trained with fit longest axis, otherwise "
    "maintain-aspect-ratio=0; feed a model that crops whole frames with frames of the shape it was made for",
)

_SAME: Final = 0.01  # less than sizes are rounded by: 1366x768 is 16:9
_KEEP: Final = "maintain-aspect-ratio"
_CENTRED: Final = "symmetric-padding"


def framing(case: Case) -> Iterator[Finding]:
    """The keys against what the model says."""
    if case.model is None or case.value("input-tensor-from-meta"):
        return
    recorded = OnnxMetadata.parse(case.model.metadata)
    if recorded.crop:
        yield from _whole_frames(case, str(recorded.frame or ""), recorded.crop[2:])
    elif recorded.resize_mode is ResizeMode.FIT_LONGEST:
        yield from _fitted(case)
    elif recorded.resize_mode is ResizeMode.SQUASH and case.value(_KEEP):
        message = f"{_KEEP} is 1, but the model was trained on squashed pictures"
        yield case.found(FRAMING, message, key=_KEEP, hint=f"write {_KEEP}=0")


def shapes(app: AppCase) -> Iterator[Finding]:
    """The frames that [streammux] makes, against those the primary engine's model was made for."""
    width, height = (number(app.file, "streammux", side, None) for side in ("width", "height"))
    if not width or not height or width < 0 or height < 0:
        return
    for engine in app.engines:
        model = engine.case.model if engine.case else None
        frame = OnnxMetadata.parse(model.metadata).frame if model else None
        if frame is None or not engine.gie.primary or abs(width / height / float(frame.aspect) - 1) < _SAME:
            continue
        message = (
            f"[streammux] makes frames of {width}x{height}, but the model of [{engine.gie.group}] was made for {frame}"
        )
        hint = f"write width={frame.pixels[0]} and height={frame.pixels[1]}, or convert for the frames there are"
        yield app.found(FRAMING, message, app.file.place("streammux", "width"), hint)


def _whole_frames(case: Case, frame: str, size: tuple[int, int]) -> Iterator[Finding]:
    """Of a model that cuts `size`, width and height, out of the middle of whole frames."""
    takes = f"the model takes whole frames of {quoted(frame)} and cuts {size[0]}x{size[1]} out of their centre"
    if case.is_secondary:
        hint = "convert once more without --frame for objects, or write process-mode=1"
        yield case.found(FRAMING, f"{takes}; of objects it cuts off two sides", key="process-mode", hint=hint)
    elif case.value(_KEEP):
        message = f"{takes}; with {_KEEP}=1 they lie elsewhere in its input"
        yield case.found(FRAMING, message, key=_KEEP, hint=f"write {_KEEP}=0")
    dims = tuple(case.value("infer-dims"))
    if dims[1:] == size[::-1]:
        message = f"infer-dims is {';'.join(map(str, dims))}, which is what is left after cropping: {takes}"
        yield case.found(FRAMING, message, key="infer-dims", hint="write the size of the model's input")


def _fitted(case: Case) -> Iterator[Finding]:
    """Of a model that was trained on pictures between black bars."""
    bars = "the model was trained on whole pictures between black bars"
    if not case.value(_KEEP):
        message = f"{_KEEP} is 0, but {bars}"
        yield case.found(FRAMING, message, key=_KEEP, hint=f"write {_KEEP}=1 and {_CENTRED}=1")
    elif not case.value(_CENTRED, default=True):  # a release that does not have the key cannot do better
        message = f"{_CENTRED} is 0, but {bars} on both sides"
        yield case.found(FRAMING, message, key=_CENTRED, hint=f"write {_CENTRED}=1")


CHECKS: tuple[tuple[Rule, Check], ...] = ((FRAMING, framing),)
