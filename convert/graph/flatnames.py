"""Gives the tensors of a flatbuffer names that differ, because tf2onnx tells tensors apart by name.

TFLite goes by index: names may be missing or repeated (`lite/schema/schema.fbs`: "for debugging purposes"), and tf2onnx
would then wire the wrong tensors together without a word. A file with good names is left as it is.
"""

from __future__ import annotations

__all__ = ["input_name", "unique_names"]


def input_name(model: bytes) -> str:
    """The name of the first input of the first subgraph."""
    from tf2onnx.tflite.Model import Model  # noqa: PLC0415 - the worker decides what tf2onnx's TensorFlow is first

    graph = Model.GetRootAsModel(model, 0).Subgraphs(0)
    name: bytes = graph.Tensors(graph.Inputs(0)).Name()
    return name.decode()


def unique_names(model: bytes) -> bytes:
    """`model`, or a copy of it whose tensors are called t0, t1, ... when a name was missing, repeated or not UTF-8."""
    from tf2onnx.tflite.Model import Model  # noqa: PLC0415 - as above

    graph = Model.GetRootAsModel(model, 0).Subgraphs(0)
    names: list[bytes] = [graph.Tensors(index).Name() or b"" for index in range(graph.TensorsLength())]
    if all(names) and len(set(names)) == len(names) and all(map(_is_utf8, names)):
        return model
    return _renamed(model)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _renamed(model: bytes) -> bytes:
    import flatbuffers  # noqa: PLC0415 - rarely needed, and the schema takes a while to import
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    for index, tensor in enumerate(tree.subgraphs[0].tensors):
        tensor.name = f"t{index}"
    tree.signatureDefs = None  # they hold names, and nothing here reads them
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())
