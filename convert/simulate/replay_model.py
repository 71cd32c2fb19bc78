"""What an ONNX model takes and gives, read from the file without running it: dumped tensors do not say it themselves.

Which input dimensions are channels, height and width is `initInferenceInfo`'s rule (nvdsinfer_context_impl.cpp):
infer-dims where all three are given, otherwise the three behind the batch, in the order channels, height, width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convert.errors import InputError
from convert.images.placement import Network
from convert.simulate.replay_case import Layout, Output

if TYPE_CHECKING:
    from pathlib import Path

    from convert.simulate.settings import Settings

__all__ = ["layout_of", "network_of"]


def network_of(settings: Settings, dims: tuple[int, ...]) -> Network:
    """The engine's input picture.

    Args:
        settings: its infer-dims.
        dims: of the model's input without the batch; 0 where the model leaves one open.

    Raises:
        InputError: not three dimensions, or open ones without infer-dims.
    """
    if len(dims) != 3:
        raise InputError(
            f"the model's input has {len(dims)} dimensions behind the batch, and nvinfer takes pictures with three",
            hint="reshape inside the model; ei-deepstream convert does",
        )
    if all(settings.infer_dims):
        return Network(*settings.infer_dims)
    if min(dims) < 1:
        raise InputError(
            "the model leaves the size of its input open, and the config has no infer-dims",
            hint="add infer-dims=channels;height;width",
        )
    return Network(*dims)


def layout_of(path: Path, settings: Settings) -> Layout:
    """Input and outputs of an ONNX file.

    Raises:
        InputError: it cannot be read, has not one input, or an output whose size or type is not fixed.
    """
    from google.protobuf.message import DecodeError  # noqa: PLC0415 - heavy, and only dumped tensors need it
    from onnx import load_model_from_string  # noqa: PLC0415 - as above

    try:
        graph = load_model_from_string(path.read_bytes()).graph
    except OSError as error:
        raise InputError(f"the model cannot be read: {error.strerror}", path=path) from None
    except DecodeError:
        raise InputError("the model is not an ONNX file", path=path) from None
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or not graph.output:
        raise InputError(
            f"the model has {len(inputs)} inputs and {len(graph.output)} outputs",
            hint="nvinfer takes models with one input and at least one output",
            path=path,
        )
    network = network_of(settings, _dims(inputs[0])[1:])
    return Layout(network, tuple(_output(value, path) for value in graph.output))


def _dims(value: Any) -> tuple[int, ...]:
    """Dimensions of a ValueInfoProto, 0 for open ones."""
    return tuple(size.dim_value if size.HasField("dim_value") else 0 for size in value.type.tensor_type.shape.dim)


def _output(value: Any, path: Path) -> Output:
    from onnx import TensorProto  # noqa: PLC0415 - imported by the caller

    names = {
        TensorProto.FLOAT: "float32",
        TensorProto.FLOAT16: "float16",
        TensorProto.INT8: "int8",
        TensorProto.INT32: "int32",
        TensorProto.INT64: "int64",
        TensorProto.UINT8: "uint8",
    }
    dims = _dims(value)
    kind = value.type.tensor_type.elem_type
    if not dims or min(dims[1:], default=1) < 1 or kind not in names:
        raise InputError(
            f"output {value.name!r} of the model has no fixed size behind the batch, or a type TensorRT does not have",
            hint="write a case.json with network and outputs beside the tensors",
            path=path,
        )
    return Output(value.name, names[kind], dims[1:])
