"""Stage 3: tf2onnx's graph becomes the model that is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.artifacts import Adapted, StageResult, Translated
from convert.errors import PresetError
from convert.graph.preprocessing import preprocessing
from convert.heads.base import Options

if TYPE_CHECKING:
    from pathlib import Path

    from convert.framing import Frame

__all__ = ["FOMO_MERGES", "YOLO_SCORES", "Adapt"]

FOMO_MERGES = ("none", "peak")
YOLO_SCORES = ("product", "objectness")


@dataclass(frozen=True, slots=True)
class Adapt:
    """Canonical names and order, dynamic batch, outputs nvinfer can decode.

    Attributes:
        fomo_merge: what becomes of neighbouring cells in which FOMO sees the same: "none": each is an object, as the
            model says; "peak": only the highest of them is (`convert.heads.fomo` compares it with Edge
            Impulse's SDK).
        yolo_score: what YOLOs that have an objectness report: "product" of it and the best class, as their authors
            mean it, or the "objectness" alone, as Edge Impulse's SDK does for YOLOv5; of that the graph then gives what
            the SDK reports (`convert.heads.graph_end`).
        frame: what a model that was trained on cropped pictures is shown: it then takes frames of this aspect and crops
            them itself. Of no meaning for other resize modes.

    Raises:
        PresetError: an option that does not exist.
    """

    fomo_merge: str = "none"
    yolo_score: str = "product"
    frame: Frame | None = None

    def __post_init__(self) -> None:
        for option, value, known in (
            ("fomo-merge", self.fomo_merge, FOMO_MERGES),
            ("yolo-score", self.yolo_score, YOLO_SCORES),
        ):
            if value not in known:
                raise PresetError(f"there is no --{option} {value!r}", hint="one of: " + ", ".join(known))

    @property
    def name(self) -> str:
        """The stage's verb."""
        return "adapt"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Adapt a `Translated`.

        Raises:
            TranslationError: the model cannot have a dynamic batch.
            UnsupportedModelError: there is no head for its task, or its outputs are not what the task says.
            InputError: the labels do not fit the outputs.
            PresetError: the image scaling does not fit the channels.
        """
        from convert.graph.passes import ship  # noqa: PLC0415 - brings onnx, which building a road does without

        assert isinstance(artifact, Translated)
        export = artifact.export
        before, findings = preprocessing(export, self.frame)
        options = Options(self.fomo_merge, self.yolo_score)
        shipped, head, found = ship(artifact.onnx.data, export, before, options)
        return StageResult(Adapted(artifact, shipped, head, before), findings=(*findings, *found))
