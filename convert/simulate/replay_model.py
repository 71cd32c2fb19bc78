"""What an ONNX model takes and gives, read from the file without running it: dumped tensors do not say it themselves.

Which input dimensions are channels, height and width is `initInferenceInfo`'s rule (nvdsinfer_context_impl.cpp):
infer-dims where all three are given, otherwise the three behind the batch, in the order channels, height, width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.errors import InputError
from convert.onnx_header import Value, read_header
from convert.simulate.engine import network_of
from convert.simulate.replay_case import Layout, Output

if TYPE_CHECKING:
    from pathlib import Path

    from convert.simulate.settings import Settings

__all__ = ["layout_of"]

_TYPES = {"float32", "float16", "int8", "int32", "int64", "uint8"}  # of TensorRT's outputs


def layout_of(path: Path, settings: Settings) -> Layout:
    """Input and outputs of an ONNX file.

    Raises:
        InputError: it cannot be read, has not one input, or an output whose size or type is not fixed.
    """
    header = read_header(path)
    if len(header.inputs) != 1 or not header.outputs:
        raise InputError(
            f"the model has {len(header.inputs)} inputs and {len(header.outputs)} outputs",
            hint="nvinfer takes models with one input and at least one output",
            path=path,
        )
    network = network_of(settings, tuple(size or 0 for size in header.inputs[0].shape[1:]))
    return Layout(network, tuple(_output(value, path) for value in header.outputs))


def _output(value: Value, path: Path) -> Output:
    dims = tuple(size or 0 for size in value.shape)
    if not dims or min(dims[1:], default=1) < 1 or value.numpy_type not in _TYPES:
        raise InputError(
            f"output {value.name!r} of the model has no fixed size behind the batch, or a type TensorRT does not have",
            hint="write a case.json with network and outputs beside the tensors",
            path=path,
        )
    return Output(value.name, value.numpy_type, dims[1:])
