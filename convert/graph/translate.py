"""Stage 2: the export's model becomes ONNX with an NCHW input, in a child process that may crash or hang without harm.

A flatbuffer is translated; a model that is ONNX already is only brought into the form that translations have.
"""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convert.artifacts import Export, ModelFormat, OnnxModel, StageResult, Translated
from convert.errors import MissingDependencyError, PresetError, TranslationError
from convert.graph.findings import TF2ONNX_WARNED
from convert.graph.support import refuse_unsupported
from convert.heads import head
from convert.isolation import Died, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from convert.graph.worker import Result

__all__ = ["OPSETS", "Translate", "died"]

OPSETS = range(7, 19)
"""7 is the oldest tf2onnx writes, 18 the newest."""

_TENSORFLOW = "pip install 'ei-deepstream[tensorflow]'"


@dataclass(frozen=True, slots=True)
class Translate:
    """Run tf2onnx.

    Attributes:
        opset: of the ONNX model; TensorRT 8 and everything after it reads 13. An export that is ONNX keeps its own.
        timeout: seconds the translation may take.
        tensorflow: use the installed TensorFlow instead of the stand-in (always in a process of its own).
        worker: a warm one (`convert.graph.PRELOAD`); None starts one for this call.

    Raises:
        PresetError: an opset outside 7 to 18, or a time limit that is not positive.
    """

    opset: int = 13
    timeout: float = 120.0
    tensorflow: bool = False
    worker: Worker | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.opset not in OPSETS:
            raise PresetError(
                f"opset {self.opset} does not exist here", hint="choose 7 to 18; 13 suits TensorRT 8 to 10"
            )
        if not self.timeout > 0:
            raise PresetError(f"a time limit of {self.timeout:g} s leaves no time", hint="give a number above 0")

    @property
    def name(self) -> str:
        """The stage's verb."""
        return "translate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Translate an `Export`.

        Raises:
            UnsupportedModelError: see `refuse_unsupported`.
            TranslationError: tf2onnx fails, dies, takes too long, or what it makes, or an ONNX export, breaks a rule.
            MissingDependencyError: `tensorflow` is set and TensorFlow is not installed.
        """
        assert isinstance(artifact, Export)
        refuse_unsupported(artifact)
        if self.tensorflow and importlib.util.find_spec("tensorflow") is None:
            raise MissingDependencyError("TensorFlow is not installed", hint=_TENSORFLOW)
        result = self._call(artifact)
        findings = tuple(TF2ONNX_WARNED.found(f"tf2onnx: {line}") for line in result.warnings)
        onnx = OnnxModel(result.data, result.input, result.outputs, result.opset)
        return StageResult(Translated(artifact, onnx), findings=findings)

    def _call(self, export: Export) -> Result:
        function, arguments = self._task(export)
        with self._worker() as worker:
            try:
                result: Result = worker.call(function, *arguments, timeout=self.timeout)
            except Died as death:
                raise died(death) from death
        return result

    def _task(self, export: Export) -> tuple[str, tuple[object, ...]]:
        """What the worker is to do."""
        facts = export.facts
        model, shape, outputs = export.model, facts.input.shape, len(facts.outputs)
        if export.format is ModelFormat.ONNX:
            return "convert.graph.passthrough:accept", (model, shape, outputs, (OPSETS[0], OPSETS[-1]))
        model, outputs = head(facts.task).before_translation(model, outputs)
        return "convert.graph.worker:translate", (model, shape, outputs, self.opset, self.tensorflow)

    @contextlib.contextmanager
    def _worker(self) -> Iterator[Worker]:
        if self.worker is not None and not self.tensorflow:
            yield self.worker  # its owner closes it
            return
        with Worker() as worker:
            yield worker


def died(death: Died) -> TranslationError:
    """What the end of a process that was translating means."""
    if death.reason.startswith("ran longer"):
        return TranslationError(f"tf2onnx {death.reason} on this model", hint="allow more time with --timeout")
    reason = death.reason.removeprefix("killed by ")
    return TranslationError(
        f"tf2onnx crashed on this model ({reason})",
        hint="the file is damaged, or holds what tf2onnx cannot read: download the export again",
    )
