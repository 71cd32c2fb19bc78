"""All passes of a graph in their order, from tf2onnx's model to the one that is shipped.

After each one the ONNX checker reads the model, so that a pass that breaks it is found where it was made.

The model's bytes depend on nothing but what it computes. tf2onnx numbers tensors by a process-wide counter and iterates
over sets, so its bytes differ from run to run; TFLite names hold `;` and `:`, which break nvinfer's key files.
`canonical` orders nodes depth first from the outputs and names tensors by their place in that order; nothing of the
container, the labels, the project or the time goes in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from convert import __version__, types
from convert.errors import TranslationError
from convert.findings import Finding, Rule
from convert.graph.batch import BATCH, dynamic_batch
from convert.graph.cleanup import CLEANING, clean, plain_quantization, transposes
from convert.graph.graph import GraphEditor, hint_at, load_model, opset_of, shape_of, signature, without_weights
from convert.graph.quantized import pair_codes, shift
from convert.graph.resize import crop, resize_frames, scale, take_levels
from convert.heads import head
from convert.heads.base import Options
from convert.images import ImageScaling
from convert.images.resizing import Resizing
from convert.isolation import aside
from convert.report import OnnxMetadata

if TYPE_CHECKING:
    from convert.graph.adapt import Adapt

TRANSPOSES_LEFT = Rule("EI300")


def adapted(
    stage: Adapt,
    prepare: Callable[[], ModelProto],
    translated: types.Translated,
    before: types.Preprocessing,
    pictures: int = 0,
) -> tuple[types.Adapted, tuple[Finding, ...]]:
    """The model that is shipped, made by the options of `stage` of what `prepare` returns, and what was found.

    `pictures`: how many it was calibrated with.
    """
    export = translated.export
    spec = head(export.facts.task)
    refused = stage.no_suppression(spec.id) if stage.no_suppression and spec.drops_all else ""
    options = Options(
        *(stage.fomo_merge, stage.yolo_score, refused, before.framing), *(stage.lowest(export), stage.least_box(export))
    )
    fitted = spec.adapt(prepare(), export, options)
    kind = fitted.head if stage.threshold is None else replace(fitted.head, threshold=stage.threshold)
    metadata = replace(OnnxMetadata.of(export, kind, before), calibrated=pictures or None).properties()
    passes: list[Callable[[ModelProto], ModelProto]] = []
    if export.coded:
        passes.append(partial(shift, pads=stage.pads))
    # Each pass adds nodes in front: those of the last one come first.
    if isinstance(before.framing, Resizing):
        passes.append(partial(take_levels, scaling=export.metadata.image_scaling or ImageScaling.NONE))
        passes.append(partial(resize_frames, resizing=before.framing))
    else:
        if before.folded:
            passes.append(partial(scale, mean=types.TORCH_MEAN, std=types.TORCH_STD))
        if before.framing is not None:
            passes.append(partial(crop, framing=before.framing))
    names = (*fitted.outputs, *fitted.raw)
    found, shown = fitted.findings, len(fitted.outputs)
    model = canonical(_run(fitted.model, *passes, dynamic_batch, clean), names, metadata)
    del model.graph.output[shown:]  # the raw ones stay inside the graph
    _assert_shippable(model)
    if left := transposes(model):
        count = "one Transpose is" if left == 1 else f"{left} Transposes are"
        found = (*found, TRANSPOSES_LEFT.found(f"{count} left in the graph"))
    data = aside(model.SerializeToString(deterministic=True))
    ends = signature(model.graph.input[0]), tuple(map(signature, model.graph.output))
    shipped = types.OnnxModel(data, *ends, opset_of(model))
    return types.Adapted(translated, shipped, kind, before, calibrated=pictures), found


def prepared(translated: types.OnnxModel, *more: Callable[[ModelProto], ModelProto], coded: bool) -> ModelProto:
    """tf2onnx's model, as all heads take it, behind `more` passes; `coded` as `Export` has it."""
    steps = [pair_codes if coded and step is plain_quantization else step for step in CLEANING]
    return _run(load_model(translated.data), *steps, *more)


def _run(model: ModelProto, *passes: Callable[[ModelProto], ModelProto]) -> ModelProto:
    """`passes`, in order, each one's result checked."""
    for step in passes:
        try:
            model = step(model)
        except TranslationError as error:
            raise TranslationError(error.message, hint=hint_at(opset_of(model), error.hint)) from error
        onnx.checker.check_model(without_weights(model))
    return model


_PRODUCER = "ei-deepstream"
_OLDEST_IR = 4  # the first that lets constants stand outside the inputs


def canonical(
    model: ModelProto, outputs: Sequence[str], metadata: Mapping[str, str], called: str = types.INPUT_NAME
) -> ModelProto:
    """A pass: canonical names, order and storage; the input is `called` so.

    Args:
        outputs: names for the graph's outputs, in order.
        metadata: written to metadata_props, sorted by key.
    """
    editor = GraphEditor(model)
    source = model.graph.input[0]
    names = {source.name: called, "": ""}
    names |= {value.name: name for value, name in zip(model.graph.output, outputs, strict=True)}
    nodes: list[NodeProto] = []
    constants: list[str] = []  # in the order of their first use
    tensors = 0
    for number, node in enumerate(editor.nodes()):
        for name in node.input:
            if name not in names:  # producers come before consumers, so this is a constant
                names[name] = f"c{len(constants)}"
                constants.append(name)
        for name in node.output:
            if name not in names:
                names[name] = f"t{tensors}"
                tensors += 1
        inputs, results = ([names[name] for name in side] for side in (node.input, node.output))
        nodes.append(helper.make_node(node.op_type, inputs, results, name=f"{node.op_type}_{number}"))
        nodes[-1].attribute.extend(sorted(node.attribute, key=lambda item: item.name))
        for item in nodes[-1].attribute:
            item.doc_string = ""
    values = [onnx.ValueInfoProto(name=names[value.name], type=value.type) for value in (source, *model.graph.output)]
    graph = helper.make_graph(nodes, _PRODUCER, values[:1], values[1:])
    opset = helper.make_opsetid("", editor.opset)
    light = helper.make_model(graph, opset_imports=[opset], producer_name=_PRODUCER, producer_version=__version__)
    # The oldest that can hold the opset: parsers warn about, or refuse, a newer one than they know.
    light.ir_version = max(_OLDEST_IR, helper.find_min_ir_version_for([opset]))
    helper.set_model_props(light, dict(sorted(metadata.items())))
    weights = model.graph.initializer  # hundreds of megabytes, of a large model: they stay where they are
    places = {name: place for place, name in enumerate(constants)}
    weights.sort(key=lambda tensor: places.get(tensor.name, len(places)))
    del weights[len(places) :]
    for tensor in weights:
        if not tensor.HasField("raw_data"):  # from_array stores raw bytes, whatever field the values are in
            tensor.CopyFrom(numpy_helper.from_array(editor.constant(tensor.name), tensor.name))
        tensor.name = names[tensor.name]
    stays = {"dims", "data_type", "name", "raw_data"}
    for message, kept in (*((tensor, stays) for tensor in weights), (model.graph, {"initializer"}), (model, {"graph"})):
        for field, _ in message.ListFields():
            if field.name not in kept:
                message.ClearField(field.name)
    model.MergeFrom(light)
    return model


def _assert_shippable(model: ModelProto) -> None:
    """What everything behind this stage relies on; a failure is a bug of ours."""
    light = without_weights(model)
    onnx.checker.check_model(light, full_check=True)
    inferred = shape_inference.infer_shapes(light, check_type=True, strict_mode=True, data_prop=True)
    assert [value.name for value in model.graph.input] == [types.INPUT_NAME]
    source = inferred.graph.input[0]
    for value in [source, *inferred.graph.output]:
        shape = shape_of(value.type)
        assert value.type.tensor_type.elem_type == TensorProto.FLOAT, f"{value.name} is not float32"
        assert shape is not None
        assert value.type.tensor_type.shape.dim[0].dim_param == BATCH, f"{value.name} has no dynamic batch"
        assert None not in shape[1:], f"{value.name} is not static: {shape}"
