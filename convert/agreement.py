"""Unpacking a quantized model: its rewriting in float32 is measured against it, and the better of two goes on.

The quantized original lives in the export's room and the test pictures in the validation's; this is where they meet.
What is measured travels with the export to the evidence of `validate`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from convert.artifacts import Agreement, Export, ImageScaling, Int8Agreement, StageResult
from convert.errors import UnsupportedModelError, ValidationError
from convert.export import findings
from convert.graph.support import refuse_unsupported
from convert.isolation import Died, Failed, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.artifacts import Stage
    from convert.findings import Finding

__all__ = ["TIMEOUT", "WithAgreement", "compare", "most_inputs"]

TIMEOUT = 300.0
"""Seconds a comparison may take; `--timeout` only ever gives it more."""

_LEAST, _MOST = 100, 1000
_PIXELS = 10_000_000  # of all inputs together: a second or two, whatever the size of one
_HINT = "this is a fault of the rewriting, not of the model: please report it"


@dataclass(frozen=True, slots=True)
class WithAgreement:
    """The stage `unpack`, and for a model it rewrote: how often that decides as the original does.

    Where that is less often than it should be, the rewriting that keeps the rounding of the first layer is measured,
    too, and the better of the two is what goes on. A model that is refused later is not measured.

    Attributes:
        unpack: the ordinary stage.
        timeout: seconds a comparison may take.
        worker: the process LiteRT runs in; one is started where none is given.
    """

    unpack: Stage
    timeout: float = TIMEOUT
    worker: Worker | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The stage's verb."""
        return self.unpack.name

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Unpack, then compare.

        Raises:
            ValidationError: LiteRT cannot run one of the two.
        """
        result = self.unpack(artifact, workdir)
        export: Export = result.artifact
        if export.original is None or not _goes_on(export):
            return result
        worker = self.worker or Worker()
        try:
            chosen, found = self._choose(export, worker)
        finally:
            if self.worker is None:
                worker.close()
        return replace(result, artifact=chosen, findings=(*result.findings, *found))

    def _choose(self, export: Export, worker: Worker) -> tuple[Export, tuple[Finding, ...]]:
        from convert.export.dequantize.agreement import GOOD, agreement_findings  # noqa: PLC0415 - brings numpy

        plain = self._measure(export, worker)
        if plain.top1 < GOOD:
            from convert.export.dequantize.rewrite import in_float32  # noqa: PLC0415 - brings the schema classes

            other, done = in_float32(export, rounded=True)
            measured = self._measure(other, worker, plain.inputs) if done.rounded else plain
            if measured.top1 > plain.top1:
                told = findings.ROUNDING.found(
                    f"its first layer rounds as the original's does: the same decision on {measured.top1:.1%} of"
                    f" {measured.inputs} inputs, and on {plain.top1:.1%} without that"
                )
                return _with(other, measured, done.rounded), (told, *agreement_findings(measured))
        return _with(export, plain, 0), agreement_findings(plain)

    def _measure(self, export: Export, worker: Worker, inputs: int | None = None) -> Agreement:
        """On so many inputs; by default on as many as it takes."""
        scaling = export.metadata.image_scaling or ImageScaling.NONE
        shape = export.facts.input.shape[1:]
        arguments = (export.original, export.model, shape, scaling, export.facts.task, inputs)
        try:
            agreement: Agreement = worker.call("convert.agreement:compare", *arguments, timeout=self.timeout)
        except Died as error:
            hint = "allow more time with --timeout" if error.reason.startswith("ran longer") else _HINT
            raise ValidationError(f"LiteRT {error.reason} comparing the quantized model", hint=hint) from error
        except Failed as error:
            raise ValidationError(f"LiteRT cannot compare the quantized model: {error}", hint=_HINT) from error
        return agreement


def compare(
    original: bytes,
    rebuilt: bytes,
    shape: tuple[int, int, int],
    scaling: ImageScaling,
    task: str,
    inputs: int | None = None,
) -> Agreement:
    """The agreement of two flatbuffers on image-like inputs of `shape` (H,W,C), for the worker.

    Args:
        original: the quantized model.
        rebuilt: the float32 model.
        scaling: what is done to pixel / 255.
        task: what the outputs mean.
        inputs: how many; by default until it is clear that they agree, `most_inputs` at most.

    Raises:
        RuntimeError, ValueError: LiteRT refuses a model.
        ValidationError: `scaling` does not suit the channels.
    """
    from convert.export.dequantize.agreement import int8_agreement, is_clearly_good  # noqa: PLC0415 - the parent does without

    if inputs is not None:
        return int8_agreement(original, rebuilt, _fed(inputs, shape, scaling), task)
    return int8_agreement(original, rebuilt, _fed(most_inputs(shape), shape, scaling), task, is_clearly_good)


def most_inputs(shape: tuple[int, int, int]) -> int:
    """On how many inputs of `shape` a model is measured at most: 100 to 1,000, fewer of large ones."""
    height, width, _ = shape
    return max(_LEAST, min(_MOST, _PIXELS // (height * width)))


def _fed(inputs: int, shape: tuple[int, int, int], scaling: ImageScaling) -> Iterator[NDArray[np.float32]]:
    import numpy as np  # noqa: PLC0415 - the parent does without

    from convert.validate.inputs import image_like  # noqa: PLC0415
    from convert.validate.preprocess import as_edge_impulse  # noqa: PLC0415

    for picture in image_like(inputs, *shape):
        yield as_edge_impulse(picture[np.newaxis], scaling)


def _with(export: Export, measured: Agreement, rounded: int) -> Export:
    agreement = Int8Agreement(
        measured.top1, measured.mean_abs_diff, measured.max_abs_diff, measured.inputs, rounded=rounded
    )
    return replace(export, agreement=agreement)


def _goes_on(export: Export) -> bool:
    """Whether there is a way for this model; what is in the way of another, `translate` says."""
    try:
        refuse_unsupported(export)
    except UnsupportedModelError:
        return False
    return True
