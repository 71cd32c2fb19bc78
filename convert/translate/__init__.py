"""Stage 2: the export's model becomes ONNX with an NCHW input, in a child process that may crash or hang without harm.

A flatbuffer is translated by tf2onnx; a model that is ONNX already is only brought into the form that translations have
(`convert.translate.worker` does both). What cannot be converted is refused before (`convert.heads`).
"""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from convert.errors import MissingDependencyError, OutputError, PresetError, TranslationError, pip_install
from convert.findings import Rule
from convert.heads import head, refuse_unsupported
from convert.isolation import LARGE, Died, Worker, aside
from convert.types import Export, ModelFormat, OnnxModel, StageResult, Translated

TF2ONNX_WARNED = Rule("EI200")

OPSETS = range(11, 19)
"""Of a translation: TensorRT 7.1, the oldest of the targets, reads 11; 18 is the newest that tf2onnx writes."""

OLDEST = 7
"""Of an ONNX export, which keeps its own."""


@dataclass(frozen=True, slots=True)
class Translation(OnnxModel):
    """What a translation gives: a model that is asserted (`convert.translate.worker`).

    Attributes:
        warnings: what tf2onnx logged at level WARNING or above, one line each.
    """

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Translate:
    """Run tf2onnx.

    Attributes:
        opset: of the ONNX model; TensorRT 8 and everything after it reads 13. An export that is ONNX keeps its own.
        timeout: seconds the translation may take.
        tensorflow: use the installed TensorFlow instead of the stub (always in a process of its own).
        worker: the process tf2onnx runs in, started with `PRELOAD`; None starts one for this call.

    Raises:
        PresetError: an opset outside 11 to 18, or a time limit that is not positive.
    """

    name: ClassVar[str] = "translate"
    opset: int = 13
    timeout: float = 120.0
    tensorflow: bool = False
    worker: Worker | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.opset not in OPSETS:
            raise PresetError(
                f"opset {self.opset} does not exist here", hint="choose 11 to 18; 13 suits TensorRT 8 to 10"
            )
        if not self.timeout > 0:
            raise PresetError(f"a time limit of {self.timeout:g} s leaves no time", hint="give a number above 0")

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Translate an `Export`.

        Raises:
            UnsupportedModelError: see `convert.heads`.
            OutputError: there is no room for a large model's copy.
            TranslationError: tf2onnx fails, dies, takes too long, or what it makes, or an ONNX export, breaks a rule.
            MissingDependencyError: `tensorflow` is set and TensorFlow is not installed.
        """
        assert isinstance(artifact, Export)
        refuse_unsupported(artifact)
        if self.tensorflow and importlib.util.find_spec("tensorflow") is None:
            raise MissingDependencyError("TensorFlow is not installed", hint=pip_install("ei-deepstream[tensorflow]"))
        result = self._translation(artifact, workdir)
        findings = tuple(TF2ONNX_WARNED.found(f"tf2onnx: {line}") for line in result.warnings)
        return StageResult(Translated(artifact, result), findings=findings)

    def ahead(self, export: Export) -> None:
        """Begin to translate `export` in the worker, if it has one: the stage then takes the result.

        What goes wrong is raised by the stage. A large model is left to it: both together would take too much memory.
        """
        if self.worker is not None and not self.tensorflow and len(export.model) <= LARGE:
            function, arguments = self._request(export, Path())
            self.worker.begin(function, *arguments, timeout=self.timeout)

    def _request(self, export: Export, workdir: Path) -> tuple[str, tuple[object, ...]]:
        """The function of the worker, and its arguments."""
        facts = export.facts
        model, shape, outputs = export.model, facts.input.shape, len(facts.outputs)
        if export.format is ModelFormat.ONNX:
            return "convert.translate.worker:accept", (model, shape, outputs, (OLDEST, OPSETS[-1]))
        model, outputs = head(facts.task).before_translation(model, outputs)
        given = _as_file(model, workdir) if len(model) > LARGE else model
        return "convert.translate.worker:translate", (given, shape, outputs, self.opset, self.tensorflow)

    def _translation(self, export: Export, workdir: Path) -> Translation:
        function, arguments = self._request(export, workdir)
        with contextlib.ExitStack() as stack:
            # The owner of a worker that is given closes it.
            shared = None if self.tensorflow else self.worker
            worker = stack.enter_context(Worker()) if shared is None else shared
            try:
                result: Translation = worker.call(function, *arguments, timeout=self.timeout)
            except Died as death:
                raise died(death) from death
            if len(export.model) > LARGE:
                worker.close()  # and with it what it has not given back; it starts again when it is needed
                (workdir / _LARGE_FILE).unlink(missing_ok=True)
                result = replace(result, stored=aside(result.data))
        return result


_LARGE_FILE = "large.tflite"


def _as_file(model: bytes, workdir: Path) -> str:
    """The path of a file with `model`: tf2onnx reads one anyway, and so no copy goes through the pipe.

    Raises:
        OutputError: it cannot be written.
    """
    path = workdir / _LARGE_FILE
    try:
        path.write_bytes(model)
    except OSError as error:
        hint = "make room where temporary files go, or set TMPDIR to another folder"
        raise OutputError(f"cannot write a temporary file: {error.strerror}", path=path, hint=hint) from error
    return str(path)


def died(death: Died) -> TranslationError:
    """What the end of a process that was translating means."""
    if death.reason.startswith("ran longer"):
        return TranslationError(f"tf2onnx {death.reason} on this model", hint="allow more time with --timeout")
    reason = death.reason.removeprefix("killed by ")
    return TranslationError(
        f"tf2onnx crashed on this model ({reason})",
        hint="the file is damaged, or holds what tf2onnx cannot read: download the export again",
    )


PRELOAD = ("convert.translate.worker:preload",)
"""What a `convert.isolation.Worker` preloads for translation; here, where it costs no import."""
