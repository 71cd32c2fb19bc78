"""Validating a model that was rewritten from a quantized one: the ordinary proof, and how often the two decide alike.

The quantized original lives in the export's room and the test pictures in the validation's; this is where they meet.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from convert.artifacts import Adapted, ImageScaling, StageResult, Validated
from convert.isolation import Worker

if TYPE_CHECKING:
    from pathlib import Path

    from convert.artifacts import Agreement, Evidence, Export, Stage
    from convert.findings import Finding

__all__ = ["INPUTS", "WithAgreement"]

INPUTS = 100
"""Image-like pictures: enough to tell 98 % from 97 %, and some seconds even for 320x320."""


@dataclass(frozen=True, slots=True)
class WithAgreement:
    """The stage `validate`, and for a dequantized model the agreement with its original.

    Attributes:
        validate: the ordinary stage.
        timeout: seconds the comparison may take.
        worker: the process LiteRT runs in; one is started where none is given.
    """

    validate: Stage
    timeout: float = 300.0
    worker: Worker | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The stage's verb."""
        return self.validate.name

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Validate, then compare.

        Raises:
            ValidationError: LiteRT cannot run one of the two.
        """
        assert isinstance(artifact, Adapted)
        result = self.validate(artifact, workdir)
        if artifact.export.original is None:
            return result
        agreement, findings = self._compare(artifact.export, artifact.export.original)
        evidence: Evidence = result.artifact.evidence
        validated = Validated(artifact, replace(evidence, int8_agreement=agreement))
        return replace(result, artifact=validated, findings=(*result.findings, *findings))

    def _compare(self, export: Export, original: bytes) -> tuple[Agreement, tuple[Finding, ...]]:
        import numpy as np  # noqa: PLC0415 - only a dequantized model needs all this

        from convert.export.dequantize.agreement import agreement_findings, measure  # noqa: PLC0415
        from convert.validate.inputs import image_like  # noqa: PLC0415
        from convert.validate.preprocess import as_edge_impulse  # noqa: PLC0415

        _, height, width, channels = export.facts.input.shape
        assert height is not None
        assert width is not None
        assert channels is not None
        pictures = np.stack(list(image_like(INPUTS, height, width, channels)))
        inputs = as_edge_impulse(pictures, export.metadata.image_scaling or ImageScaling.NONE)
        worker = self.worker or Worker()
        try:
            agreement = measure(original, export.model, inputs, export.facts.task, worker, self.timeout)
        finally:
            if self.worker is None:
                worker.close()
        return agreement, agreement_findings(agreement)
