"""Stage 2: the export's model becomes ONNX with an NCHW input, in a child process that may crash or hang without harm.

A flatbuffer is translated by tf2onnx; a model that is ONNX already is only brought into the form that translations have
(`convert.translate.worker` does both). `refuse_unsupported` says beforehand which models cannot be converted and what
to do instead. A number format that becomes convertible loses its row in `_QUANTIZED`; heads say so themselves
(`convert.heads`).
"""

from __future__ import annotations

import contextlib
import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from convert.errors import MissingDependencyError, PresetError, TranslationError, UnsupportedModelError, pip_install
from convert.graph.findings import TF2ONNX_WARNED
from convert.heads import ANOMALY, HEADS, NOT_IMAGE, head
from convert.isolation import Died, Worker
from convert.types import Export, ModelFormat, OnnxModel, StageResult, Tensor, Translated

__all__ = ["OPSETS", "Translate", "describe", "died", "refuse_unsupported"]


_FLOAT = frozenset({"float32", "float16-weights"})
_BUILTIN = re.compile("[A-Z0-9_]+")
_OF_HEADS = frozenset[str]().union(*(each.operators for each in HEADS))
_DOWNLOAD = (
    "download the float32 model instead: Edge Impulse Studio, Dashboard, Download block output, "
    "TensorFlow Lite (float32); in a deployment choose Unoptimized (float32) and no EON compiler"
)
# A float16 model on the CPU is 4e-4 away from itself in float32, as nvinfer would feed it: no tolerance could hold it.
_FLOAT_ONNX = (
    "export it in float32, inputs and outputs too (nvinfer feeds and reads nothing else; TensorRT makes FP16 of it on "
    "the device: --precision fp16), or give the TensorFlow Lite model"
)
_QUANTIZED = {
    "float16": "a float16 model",
    "int8": "an int8 model",
    "uint8": "a uint8 model",
    "int16": "an int16 model",
    "dynamic-range": "a model with int8 weights (dynamic range)",
}

# Custom operators by the beginning of their name -> what they are.
_CUSTOM = {
    "ethos-u": "it is compiled for an Arm Ethos-U",
    "edgetpu": "it is compiled for a Coral Edge TPU",
    "flex": "it holds TensorFlow operators",
}


def describe(export: Export) -> str:
    """The model in a few words: "int8 FOMO object detector, input 96x96x3"."""
    facts = export.facts
    size = "x".join("?" if dim is None else str(dim) for dim in facts.input.shape[1:])
    return f"{facts.quantization} {head(facts.task).title}, input {size or 'unknown'}"


def refuse_unsupported(export: Export) -> None:
    """Refuse a model that cannot be converted, before any work is done.

    Raises:
        UnsupportedModelError: with what the model is, why it cannot be converted, and what to do.
    """
    facts = export.facts
    is_onnx = export.format is ModelFormat.ONNX
    for operator in () if is_onnx else facts.operators:
        # TFLite's own have names in upper case.
        if not _BUILTIN.fullmatch(operator) and operator not in _OF_HEADS:
            known = next((what for start, what in _CUSTOM.items() if operator.lower().startswith(start)), None)
            reason = f"{known} ({operator})" if known else f"it holds the custom operator {operator}"
            raise _refused(export, reason, _DOWNLOAD)
    spec = head(facts.task)
    as_head = f"it is {'an' if spec.title[0] in 'aeio' else 'a'} {spec.title}"
    if spec.id in {NOT_IMAGE, ANOMALY}:
        raise _refused(export, as_head, spec.refused)
    if facts.quantization not in _FLOAT:
        reason = f"it is {_QUANTIZED.get(facts.quantization, facts.quantization)}"
        raise _refused(export, reason, _FLOAT_ONNX if is_onnx else f"convert it with --dequantize, or {_DOWNLOAD}")
    if spec.refused:
        raise _refused(export, as_head, spec.refused)
    shape = facts.input.shape
    if len(shape) != 4 or None in shape:
        raise _refused(export, "its input is no picture of a fixed size", "export the model with a fixed input size")
    batch, _, _, channels = shape
    if batch != 1:
        raise _refused(export, f"its input holds {batch} pictures", "export the model for one picture at a time")
    if channels not in {1, 3} and shape[1] in {1, 3}:  # what PyTorch's own converters write
        raise _refused(export, "its input has the channels first", "give its ONNX model, where that is usual")
    if channels not in {1, 3}:
        hint = "Gst-nvinfer feeds 1 (grey) or 3 (colour) channels, no other"
        raise _refused(export, f"its input has {channels} channels", hint)
    # Gst-nvinfer writes and reads float32 without looking at the type (nvdsinfer_context_impl.cpp).
    if (dtype := facts.input.dtype) != "float32":
        raise _refused(export, f"its input is {dtype}", "export the model with a float32 input")
    if others := sorted({output.dtype for output in facts.outputs} - {"float32"}):
        hint = "export the model with its scores, in float32, as output"
        raise _refused(export, f"it gives {', '.join(others)}", hint)


def _refused(export: Export, reason: str, hint: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"this model cannot be converted: {reason} ({describe(export)})", hint=hint, path=export.member or export.source
    )


OPSETS = range(7, 19)
"""7 is the oldest tf2onnx writes, 18 the newest."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What a translation gives.

    Attributes:
        data: the serialised ModelProto, asserted (`convert.translate.worker`).
        input, outputs: its signature.
        warnings: what tf2onnx logged at level WARNING or above, one line each.
        opset: of the model.
    """

    data: bytes
    input: Tensor
    outputs: tuple[Tensor, ...]
    warnings: tuple[str, ...]
    opset: int


@dataclass(frozen=True, slots=True)
class Translate:
    """Run tf2onnx.

    Attributes:
        opset: of the ONNX model; TensorRT 8 and everything after it reads 13. An export that is ONNX keeps its own.
        timeout: seconds the translation may take.
        tensorflow: use the installed TensorFlow instead of the stub (always in a process of its own).
        worker: the process tf2onnx runs in, started with `PRELOAD`; None starts one for this call.

    Raises:
        PresetError: an opset outside 7 to 18, or a time limit that is not positive.
    """

    name: ClassVar[str] = "translate"
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
            raise MissingDependencyError("TensorFlow is not installed", hint=pip_install("ei-deepstream[tensorflow]"))
        facts = artifact.facts
        model, shape, outputs = artifact.model, facts.input.shape, len(facts.outputs)
        if artifact.format is ModelFormat.ONNX:
            function = "convert.translate.worker:accept"
            arguments: tuple[object, ...] = (model, shape, outputs, (OPSETS[0], OPSETS[-1]))
        else:
            model, outputs = head(facts.task).before_translation(model, outputs)
            function = "convert.translate.worker:translate"
            arguments = (model, shape, outputs, self.opset, self.tensorflow)
        with contextlib.ExitStack() as stack:
            # The owner of a worker that is given closes it.
            given = None if self.tensorflow else self.worker
            worker = stack.enter_context(Worker()) if given is None else given
            try:
                result: Translation = worker.call(function, *arguments, timeout=self.timeout)
            except Died as death:
                raise died(death) from death
        findings = tuple(TF2ONNX_WARNED.found(f"tf2onnx: {line}") for line in result.warnings)
        onnx = OnnxModel(result.data, result.input, result.outputs, result.opset)
        return StageResult(Translated(artifact, onnx), findings=findings)


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
