"""Writes a rewritten network as a flatbuffer: with the tensors and buffers still used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from convert.export.eon.operators import OPERATORS, VERSIONS
from convert.export.packing import pack

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["finish"]


def finish(model: Any, calls: list[tuple[str, Any]]) -> bytes:
    """The flatbuffer of `model` with `calls` as its operators.

    Args:
        model: a `ModelT` with one subgraph; changed.
        calls: name and `OperatorT`, in order; their tensor indices are those of `model`.
    """
    graph = model.subgraphs[0]
    graph.operators = [call for _, call in calls]
    _codes(model, calls)
    _drop_tensors(model, graph)
    _drop_buffers(model, graph)
    return pack(model)


def _codes(model: Any, calls: list[tuple[str, Any]]) -> None:
    codes: dict[tuple[int, bytes | None, int], int] = {}
    for name, call in calls:
        if name in OPERATORS:
            key = (getattr(schema.BuiltinOperator, name), None, VERSIONS.get(name, 1))
        else:
            old = model.operatorCodes[call.opcodeIndex]
            key = (max(old.builtinCode, old.deprecatedBuiltinCode), old.customCode, old.version)
        call.opcodeIndex = codes.setdefault(key, len(codes))
    model.operatorCodes = []
    for builtin, custom, number in codes:
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        code.customCode, code.version = custom, number
        model.operatorCodes.append(code)


def _drop_tensors(model: Any, graph: Any) -> None:
    """Keep the tensors that something refers to, in their order."""
    lists = [graph.inputs, graph.outputs, *(call.inputs for call in graph.operators)]
    lists += [call.outputs for call in graph.operators]
    lists += [call.intermediates for call in graph.operators if call.intermediates is not None]
    used = sorted({int(index) for some in lists for index in some if index >= 0})
    place = {old: new for new, old in enumerate(used)} | {-1: -1}
    graph.tensors = [graph.tensors[index] for index in used]
    graph.inputs, graph.outputs = _moved(graph.inputs, place), _moved(graph.outputs, place)
    for call in graph.operators:
        call.inputs, call.outputs = _moved(call.inputs, place), _moved(call.outputs, place)
        if call.intermediates is not None:
            call.intermediates = _moved(call.intermediates, place)
    # Signatures name tensors that may be gone; nothing that reads our result needs them.
    model.signatureDefs = None


def _moved(indices: Iterable[int], place: dict[int, int]) -> Any:
    return np.array([place[int(index)] for index in indices], np.int32)


def _drop_buffers(model: Any, graph: Any) -> None:
    """Keep the first buffer, which is empty by convention, and those that tensors refer to; metadata goes."""
    model.metadata = model.metadataBuffer = None
    buffers = [schema.BufferT()]
    for tensor in graph.tensors:
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data):
            tensor.buffer = len(buffers)
            buffers.append(schema.BufferT(np.asarray(data, np.uint8)))
    model.buffers = buffers
