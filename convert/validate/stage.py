"""The fourth stage: is the model valid, can Gst-nvinfer take it, and does it compute what the original computes?"""

from __future__ import annotations

import contextlib
import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from convert.artifacts import Adapted, Evidence, StageResult, Validated
from convert.errors import PresetError, ValidationError
from convert.findings import Level, worst
from convert.isolation import Worker
from convert.validate.findings import TENSORRT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.validate.comparison import Comparison

__all__ = ["Validate"]

_LARGE = 1 << 20
"""Numbers in a batch from which the child is ended before it is run; it starts again if it is needed."""

_CHUNK = 32  # pictures at a time: bounds memory for folders of any size


@dataclass(frozen=True, slots=True)
class Validate:
    """Checks and measures an adapted model.

    Attributes:
        images: a folder of pictures to measure on, besides the generated ones.
        tolerance: largest absolute difference allowed between the outputs of the original and of the ONNX model.
        inputs: how many pictures are generated.
        batches: batch sizes compared with one picture at a time.
        tensorrt: also parse and build with TensorRT-RTX on the CPU, for batches up to `batch_size`.
        timeout: seconds LiteRT (for 32 pictures) or TensorRT may take.
        worker: the process LiteRT runs in; one is started where none is given.
    """

    images: Path | None = None
    tolerance: float = 1e-4
    inputs: int = 32
    batches: tuple[int, ...] = (1, 2, 8)
    tensorrt: bool = False
    batch_size: int = 1
    timeout: float = 300.0
    worker: Worker | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not (0 < self.tolerance < math.inf and self.inputs >= 1 and self.timeout > 0 and self.batch_size >= 1):
            raise PresetError(
                "tolerance, inputs, timeout and batch size must be positive numbers",
                hint="leave them at their defaults",
            )
        if not self.batches or min(self.batches) < 1:
            raise PresetError("batch sizes must be 1 or more", hint="leave them at 1, 2, 8")

    @property
    def name(self) -> str:
        """The stage's verb."""
        return "validate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - every stage takes one
        """Measure; what is wrong is a finding of level error.

        Raises:
            ValidationError: the model is invalid, or it or the original cannot be run.
            InputError: a picture in `images` cannot be read.
            MissingDependencyError: `tensorrt` without tensorrt-rtx.
        """
        from convert.images.read import find  # noqa: PLC0415 - they bring numpy
        from convert.validate import runtime, shapes, tensorrt  # noqa: PLC0415

        assert isinstance(artifact, Adapted)
        if self.tensorrt:
            tensorrt.require()
        files = find([self.images], videos=False) if self.images else ()
        findings = shapes.check(artifact.onnx.data)
        if worst(findings) is Level.ERROR:  # nothing can be fed to it
            evidence = Evidence(int8_agreement=artifact.export.agreement)
            return StageResult(Validated(artifact, evidence), findings=findings)
        session = runtime.load(artifact.onnx.data)
        _, *shape = session.get_inputs()[0].shape
        evidence, found = self._measure(artifact, session, self._pictures(files, artifact, *shape))
        built, refused = self._build(artifact.onnx.data, *shape) if self.tensorrt else (None, ())
        evidence = replace(evidence, tensorrt=built, int8_agreement=artifact.export.agreement)
        return StageResult(Validated(artifact, evidence), findings=(*findings, *found, *refused))

    def _pictures(
        self, files: tuple[Path, ...], adapted: Adapted, channels: int, height: int, width: int
    ) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """(name, uint8 [H,W,C]): the generated ones, then the user's."""
        from convert.images.read import read_fitted  # noqa: PLC0415 - they bring numpy
        from convert.validate import inputs  # noqa: PLC0415

        yield from inputs.pictures(self.inputs, height, width, channels)
        for path in files:
            mode = adapted.preprocessing.resize_mode
            yield path.name, read_fitted(path, height, width, channels, mode)

    def _measure(
        self, adapted: Adapted, session: Any, pictures: Iterator[tuple[str, NDArray[np.uint8]]]
    ) -> tuple[Evidence, tuple[Finding, ...]]:
        """Parity on all `pictures`, batch parity on the first of them."""
        from convert.validate import batch  # noqa: PLC0415 - heavy; importing this module must stay light
        from convert.validate.preprocess import as_nvinfer  # noqa: PLC0415

        with contextlib.ExitStack() as stack:
            worker = self.worker or stack.enter_context(Worker(("convert.validate.reference",)))
            comparison = self._comparison(adapted, session, worker)
            for names, stacked in _chunks(pictures):
                comparison.add(names, stacked)
        parity = comparison.parity()
        if parity is None or comparison.first is None:
            return Evidence(), comparison.findings()
        few, alone = comparison.first
        if self.worker is not None and few.size > _LARGE:
            self.worker.close()  # a batch of large pictures is a run's peak of memory, and the child has done its part
        values = as_nvinfer(few, adapted.preprocessing)
        measured, mixed = batch.measure(comparison.session, values, alone, self.batches, comparison.decode)
        return Evidence(parity, measured, decoding=comparison.decoded), (*comparison.findings(), *mixed)

    def _comparison(self, adapted: Adapted, session: Any, worker: Worker) -> Comparison:
        from convert.validate.comparison import Comparison  # noqa: PLC0415 - as above

        return Comparison(adapted, session, worker, self.timeout, self.tolerance, keep=max(self.batches))

    def _build(self, model: bytes, channels: int, height: int, width: int) -> tuple[str | None, tuple[Finding, ...]]:
        from convert.validate import tensorrt  # noqa: PLC0415

        try:
            return tensorrt.build(model, (channels, height, width), self.batch_size, timeout=self.timeout), ()
        except ValidationError as error:
            return None, (TENSORRT.found(error.message, hint=error.hint or TENSORRT.fix),)


def _chunks(
    pictures: Iterator[tuple[str, NDArray[np.uint8]]],
) -> Iterator[tuple[tuple[str, ...], NDArray[np.uint8]]]:
    """The pictures, stacked to [n,H,W,C], with their names."""
    import numpy as np  # noqa: PLC0415 - heavy; importing this module must stay light

    while chunk := tuple(itertools.islice(pictures, _CHUNK)):
        names, arrays = zip(*chunk, strict=True)
        stacked = np.stack(arrays)
        del chunk, arrays  # megabytes, while the consumer works
        yield names, stacked
