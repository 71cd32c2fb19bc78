"""What fitting a head to a model gives, and the options heads have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto

    from convert.artifacts import Head
    from convert.findings import Finding
    from convert.framing import Framing

__all__ = ["Fitted", "Options"]


@dataclass(frozen=True, slots=True)
class Options:
    """How detectors' outputs are made; each is of meaning for some heads only.

    Attributes:
        fomo_merge: "none": every cell above the threshold is an object; "peak": of neighbouring cells of a class only
            the highest is.
        yolo_score: "product": objectness * class; "objectness": as Edge Impulse's SDK scores YOLOv5; of that
            the graph then gives what the SDK reports.
        framing: boxes are said in the picture of this larger network, of which the model will see a part.
    """

    fomo_merge: str = "none"
    yolo_score: str = "product"
    framing: Framing | None = None


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model whose outputs nvinfer can decode, still for one picture.

    Attributes:
        model: its outputs are `outputs`, then `raw`.
        outputs: what the graph's outputs are to be called, in order.
        raw: what the network's own outputs are to be called where the graph goes on behind them. They stay inside the
            graph under these names, so that `validate` can compare them with the original's.
    """

    model: ModelProto
    head: Head
    outputs: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    raw: tuple[str, ...] = ()
