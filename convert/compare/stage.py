"""The stage `validate` of a whole conversion: also compares what the bundle will show with what Edge Impulse answers.

The files that `emit` is about to write are written into the stage's own folder. Their primary config and the ONNX model
are read back as Gst-nvinfer does it (`convert.simulate`), and run against the original (`convert.compare.run`): on
generated frames of the aspect that the app config's streammux has, and on the user's pictures. The worker does it, as
it has just validated the same model; of one that is too large to be sent there once more, only the original runs there.
A rewritten model, whose original runs in a second process already, is compared there while it is validated.

Importing this module brings neither numpy nor onnx.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from convert.compare import NOT_COMPARED
from convert.emit.files import bundle_names
from convert.emit.streams import sample
from convert.errors import ConvertError
from convert.findings import Level, worst
from convert.heads import head
from convert.isolation import LARGE, SENT, Died, InProcessWorker, Worker, return_freed_memory
from convert.types import Adapted, ModelFormat, Stage, StageResult

if TYPE_CHECKING:
    from convert.emit import Emit


@dataclass(frozen=True, slots=True)
class WithComparison:
    """The stage `validate`, and how often the bundle's primary engine shows what Edge Impulse answers.

    Nothing is compared of a bundle without a primary engine, of a model whose decoding by Edge Impulse is not known,
    and of one that is wrong already.

    Attributes:
        validate: the ordinary stage.
        emit: the stage that will write the bundle.
        images: a folder of pictures to compare on, too: 200 at most.
        timeout: seconds the original may take for a picture.
        worker: what compares a model of at most `SENT` bytes, and runs the original of others; one is started where
            none is given.
        beside: a second process, which compares a rewritten model of at most `SENT` bytes while it is validated.
    """

    name: ClassVar[str] = "validate"
    validate: Stage
    emit: Emit
    images: Path | None = None
    timeout: float = 300.0
    worker: Worker | None = field(default=None, compare=False, repr=False)
    beside: Worker | None = field(default=None, compare=False, repr=False)

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Validate, then compare.

        Raises:
            ValidationError: the original or the model cannot be run.
            InputError: a picture in `images` cannot be read.
        """
        assert isinstance(artifact, Adapted)
        config, size, worker = self._config(artifact, workdir), artifact.onnx.size, self.worker
        if config is None:
            return self.validate(artifact, workdir)
        usual = (self.emit.frames_from or sample(self.emit.where)).usual  # where the model is not made for others
        given = config, self.emit.where, usual, self.images, self.timeout, artifact
        function, there, here = "convert.compare.run:compare_bundle", InProcessWorker(), size > SENT
        with contextlib.ExitStack() as unless_taken:
            if self.beside is not None and artifact.export.original is not None and not here:
                worker = self.beside
                worker.begin(function, *given, there, timeout=math.inf, told=worker.limit)
                unless_taken.callback(worker.close)
            result = self.validate(artifact, workdir)  # which has read all of `images`
            if worst(result.findings) is Level.ERROR:
                return result
            unless_taken.pop_all()
        if size > LARGE:
            return_freed_memory()
        try:
            if worker is None or isinstance(worker, InProcessWorker) or here:
                from convert.compare.run import compare_bundle  # brings numpy and `simulate`

                evidence = compare_bundle(*given, worker)
            else:
                evidence = worker.call(function, *given, there, timeout=math.inf, told=worker.limit)
        except (ConvertError, Died) as error:  # the bundle is proven all the same
            reason = error.message if isinstance(error, ConvertError) else f"the comparison ended: {error.reason}"
            found = NOT_COMPARED.found(f"not compared with what Edge Impulse answers: {reason}")
            return replace(result, findings=(*result.findings, found))
        if size > LARGE:
            return_freed_memory()
        validated = replace(result.artifact, evidence=replace(result.artifact.evidence, answers=evidence))
        return replace(result, artifact=validated)

    def _config(self, adapted: Adapted, workdir: Path) -> Path | None:
        """The primary engine's, written with all it names; None where nothing is compared."""
        spec = head(adapted.head.task)
        # Edge Impulse's decoding of such a model is known; of an ONNX file's boxes the unit is not.
        known = adapted.export.format is ModelFormat.TFLITE or not spec.detects or spec.merges_cells
        if self.emit.primary is None or not (spec.is_comparable and known):
            return None
        alone = replace(self.emit, role="pgie", operate_on_gie_id=None)
        try:
            files = alone.files(adapted)
        except ConvertError:  # the stage that writes them will say so
            return None
        folder = workdir / "compared"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        return folder / bundle_names(adapted.export.name).primary
