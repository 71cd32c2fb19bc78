"""ONNX Runtime, quiet and repeatable: one thread, no log lines, no telemetry.

One thread gives the same bits each time and leaves the other cores to other conversions; at the sizes Edge Impulse
trains for it costs little.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Any

from convert.errors import ValidationError
from convert.onnx_header import read_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["load", "read_whole", "run"]

_FATAL = 4  # ONNX Runtime's severities: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal


def read_whole(path: Path) -> bytes:
    """The ONNX file `path` with the weights that lie in other files.

    Raises:
        ValidationError: it, or such a file, cannot be read.
    """
    try:
        if not read_header(path).external:
            return path.read_bytes()
        import onnx  # noqa: PLC0415 - heavy, and only such models need it

        return bytes(onnx.load_model(path).SerializeToString())
    except Exception as error:  # onnx and protobuf raise what they meet
        raise ValidationError(f"the model cannot be read: {_reason(error)}") from error


def load(model: bytes) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU.

    Raises:
        ValidationError: ONNX Runtime refuses the model.
    """
    with _silence():
        import onnxruntime  # noqa: PLC0415 - 20 MB; only this stage needs it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no other base class
        raise ValidationError(
            f"ONNX Runtime does not load the model: {_reason(error)}",
            hint="convert with another --opset, or report the model",
        ) from error


def run(session: Any, values: NDArray[np.float32]) -> list[NDArray[Any]]:
    """Every output of the model for its one input [n,C,H,W], in graph order.

    Raises:
        ValidationError: the model fails on this input.
    """
    try:
        outputs: list[NDArray[Any]] = session.run(None, {session.get_inputs()[0].name: values})
    except Exception as error:  # its exceptions share no other base class
        raise ValidationError(
            f"ONNX Runtime fails on a batch of {len(values)}: {_reason(error)}",
            hint="the graph does not fit its declared shapes: convert the export again",
        ) from error
    return outputs


def _reason(error: Exception) -> str:
    """One line, without the code in front: "[ONNXRuntimeError] : 1 : FAIL : ..."."""
    text = " ".join(str(error).split())
    return text.split(" : ", 3)[-1] if text.startswith("[ONNXRuntimeError]") else text


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the import quiet and private.

    While its library loads, ONNX Runtime looks for GPUs and on many machines (WSL2, Raspberry Pi, containers) writes a
    warning straight to file descriptor 2, before any logging option can be set. Its recent Linux wheels
    also hold a telemetry uploader that starts with the library, unless this variable is set (Privacy.md in the wheel).
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    if "onnxruntime" in sys.modules:
        yield
        return
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a file
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
