"""A digest of what a model computes, whatever its tensors are called: the same for a flatbuffer and for its EON form.

Counted are tensors (type, shape, constant bytes, quantization), operators (kind, inputs, outputs, parameters), and ends
of the graph, all in their order. Not counted is what the EON compiler loses and what changes no result: names, operator
versions, signatures, metadata, how the file is laid out.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.export.tflite import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["content_digest"]

_RESHAPE = 22  # BuiltinOperator; the shape among its options counts only where there is none among its inputs


def content_digest(model: bytes) -> str:
    """SHA-256, lower-case hexadecimal, of a flatbuffer that has been verified."""
    digest = hashlib.sha256()
    for part in _parts(unpack(model)):
        digest.update(part)
    return digest.hexdigest()


def _parts(model: Any) -> Iterator[bytes]:
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        quantization = tensor.quantization
        yield _text("tensor", tensor.type, tensor.shape)
        if quantization is not None and quantization.scale is not None and len(quantization.scale):
            yield _text(quantization.scale, quantization.zeroPoint, quantization.quantizedDimension)
        data = model.buffers[tensor.buffer].data
        yield b"" if data is None else np.asarray(data, np.uint8).tobytes()
    for call in graph.operators:
        code = model.operatorCodes[call.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        options = [] if kind == _RESHAPE and len(call.inputs) > 1 else _options(call.builtinOptions)
        yield _text("operator", kind, code.customCode, call.inputs, call.outputs, options)
        yield b"" if call.customOptions is None else np.asarray(call.customOptions, np.uint8).tobytes()
    yield _text("ends", graph.inputs, graph.outputs)


def _options(options: Any) -> list[tuple[str, Any]]:
    """The parameters that are not at their defaults: an absent table is one of defaults."""
    if options is None:
        return []
    usual = vars(type(options)())
    return sorted(
        (name, _plain(value)) for name, value in vars(options).items() if _plain(value) != _plain(usual[name])
    )


def _text(*values: Any) -> bytes:
    return repr([_plain(value) for value in values]).encode()


def _plain(value: Any) -> Any:
    """Numbers, text and lists whose repr is the same on every machine."""
    if value is None:
        return []
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
