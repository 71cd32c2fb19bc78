"""Runs the original `.tflite` in LiteRT, inside the isolated child, because a damaged model can crash the process.

One thread and the default kernels (XNNPACK for what it knows), which is what Edge Impulse's Linux runtimes use: three
times as fast as the built-in kernels, and the same bits each time on the same machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ValidationError
from convert.heads import ssd
from convert.isolation import Died, Failed
from convert.validate.preprocess import as_edge_impulse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.artifacts import ImageScaling
    from convert.heads.reference import Anchors
    from convert.isolation import Worker

__all__ = ["anchors", "died", "onnx_outputs", "outputs", "run"]

_DAMAGED = "the model is damaged, or holds an operator that is not known: download the export again"


def outputs(
    model: bytes, pictures: NDArray[np.uint8], scaling: ImageScaling, worker: Worker, timeout: float
) -> list[NDArray[np.float32]]:
    """What `run` returns, computed in `worker` in at most `timeout` seconds.

    Raises:
        ValidationError: LiteRT refuses the model, crashes, or takes too long.
    """
    result: list[NDArray[np.float32]] = _call(
        "convert.validate.reference:run", worker, timeout, model, pictures, scaling
    )
    return result


def onnx_outputs(
    model: bytes,
    pictures: NDArray[np.uint8],
    scaling: ImageScaling,
    shapes: Sequence[tuple[int | None, ...]],
    worker: Worker,
    timeout: float,
) -> list[NDArray[np.float32]]:
    """What `convert.validate.onnxreference.run` returns, computed in `worker` in at most `timeout` seconds.

    Raises:
        ValidationError: ONNX Runtime refuses the model, crashes, or takes too long.
    """
    arguments = (model, pictures, scaling, tuple(shapes))
    result: list[NDArray[np.float32]] = _call(
        "convert.validate.onnxreference:run", worker, timeout, *arguments, engine="ONNX Runtime"
    )
    return result


def anchors(model: bytes, worker: Worker, timeout: float) -> Anchors:
    """What `convert.heads.ssd.anchors` returns, computed in `worker` in at most `timeout` seconds.

    Raises:
        ValidationError: as `outputs`.
    """
    result: Anchors = _call("convert.heads.ssd:anchors", worker, timeout, model)
    return result


def _call(function: str, worker: Worker, timeout: float, *arguments: Any, engine: str = "LiteRT") -> Any:
    try:
        return worker.call(function, *arguments, timeout=timeout)
    except Died as error:
        raise died(error, engine) from error
    except Failed as error:
        raise ValidationError(f"{engine} cannot run the original model: {error}", hint=_DAMAGED) from error


def died(death: Died, engine: str = "LiteRT") -> ValidationError:
    """What the end of a process that was running the original in `engine` means."""
    if death.reason.startswith("ran longer"):
        return ValidationError(f"the original model {death.reason} in {engine}", hint="allow more time with --timeout")
    return ValidationError(f"{engine} crashed on the original model ({death.reason})", hint=_DAMAGED)


def run(
    model: bytes, pictures: NDArray[np.uint8], scaling: ImageScaling, *, whole: bool = False
) -> list[NDArray[np.float32]]:
    """Every output of `model`, in graph order, as float32 [n, ...]; quantized outputs are dequantized.

    Of an SSD the encoded boxes and the scores that go into its last operator, as nvinfer does what that one does; with
    `whole` what comes out of it.

    Args:
        model: a TFLite flatbuffer with one input of n = 1.
        pictures: uint8 [n,H,W,C].
        scaling: what the model's input scale is.

    Raises:
        ValidationError: LiteRT refuses the model, or its input cannot hold such a picture.
    """
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - the parent does without

    inside = None if whole else ssd.inputs(model)
    try:
        interpreter = Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise _refused(error) from error
    sources = interpreter.get_input_details()
    if len(sources) != 1:
        raise ValidationError(f"the original model has {len(sources)} inputs instead of one")
    (source,) = sources
    if pictures[0].size != np.prod(source["shape"]):
        height, width, channels = pictures.shape[1:]
        shape = ",".join(str(size) for size in source["shape"])
        raise ValidationError(
            f"the original's input [{shape}] does not hold one picture of {width}x{height} with {channels} channels",
            hint="give validate the .tflite that this ONNX model was made from",
        )
    wanted = interpreter.get_output_details()
    if inside:
        details = {each["index"]: each for each in interpreter.get_tensor_details()}
        wanted = [details[index] for index in inside[:2]]
    rows: list[list[NDArray[np.float32]]] = [[] for _ in wanted]
    try:
        for number in range(len(pictures)):
            packed = _quantize(as_edge_impulse(pictures[number : number + 1], scaling), source)
            interpreter.set_tensor(source["index"], packed.reshape(source["shape"]))
            interpreter.invoke()
            for row, output in zip(rows, wanted, strict=True):
                row.append(ssd.dequantized(interpreter.get_tensor(output["index"]), output))
    except (RuntimeError, ValueError) as error:
        raise _refused(error) from error
    return [_stack(row) for row in rows]


def _refused(error: Exception) -> ValidationError:
    reason = " ".join(str(error).split())
    return ValidationError(f"LiteRT cannot run the original model: {reason}", hint=_DAMAGED)


def _stack(rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One array [n, ...] from outputs that carry a batch dimension of 1, or none."""
    return np.concatenate(rows) if rows[0].ndim and rows[0].shape[0] == 1 else np.stack(rows)


def _quantize(values: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    """As the SDK does: round(value / scale) + zero point, halves away from zero, clamped."""
    dtype = np.dtype(tensor["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    scale, zero_point = tensor["quantization"]
    if dtype.kind not in "iu" or not scale:
        raise ValidationError(f"the original's input is {dtype.name} without a scale: pictures cannot be fed to it")
    scaled = values / np.float32(scale)
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)) + zero_point
    limits = np.iinfo(dtype)
    quantized: NDArray[Any] = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return quantized
