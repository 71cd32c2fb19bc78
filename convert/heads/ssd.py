"""MobileNet SSD: encoded boxes and anchors become what NvDsInferParseCustomTfSSD reads.

The model ends in TFLite_Detection_PostProcess (tensorflow/lite/kernels/detection_postprocess.cc), which decodes boxes
against anchors and runs an NMS whose number of results is known afterwards only; no ONNX operator that TensorRT builds
does that. So the model is cut off before it, and the graph decodes. The operator's parameters are a flexbuffer map; its
inputs are encoded boxes [1,A,4+] (y, x, h, w), scores [1,A,K] and constant anchors [A,4] (y, x, h, w), in this order.

The arithmetic is the operator's, in its order, on float32: with scales s and anchor a, centre = code / s * a.size +
a.centre, size = exp(code / s) * a.size. Background, where the scores have one, is column 0. What the operator does next
is left to nvinfer: it keeps the best boxes of each class (the operator, unless it has use_regular_nms, the best of all
classes together).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from convert.errors import InputError, UnsupportedModelError, ValidationError
from convert.heads.base import Fitted, Options, Rules, detector_labels
from convert.heads.boxes import OUTPUTS, Boxes, BoxTensors
from convert.types import Export, Head, Limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.heads.decoding import Anchors, Detections, ReferenceDecoder
    from convert.heads.graph_end import GraphEnd

OPERATOR = "TFLite_Detection_PostProcess"

_INTEGERS = ("max_detections", "num_classes")
_FRACTIONS = ("nms_score_threshold", "nms_iou_threshold")
_SCALES = ("y_scale", "x_scale", "h_scale", "w_scale")
_LARGEST = 1e6  # far beyond any of these numbers that makes sense
_DAMAGED = "download the export again"
_DTYPES = ("FLOAT32", "FLOAT16", "INT8", "UINT8")


class _Ssd(Boxes):
    def before_translation(self, model: bytes, outputs: int) -> tuple[bytes, int]:  # noqa: ARG002
        return without_postprocess(model), 2

    def adapt(self, model: ModelProto, export: Export, options: Options) -> Fitted:
        """Decode the two outputs of an SSD that was cut off before its post-processing.

        Raises:
            UnsupportedModelError: the export does not end in that post-processing.
            InputError: its anchors or parameters do not fit the outputs, or the labels not the classes.
        """
        from convert.heads.graph_end import GraphEnd, detections  # brings onnx

        process = read_postprocess(export.model)
        end = GraphEnd(model)
        codes, scores = (value.name for value in model.graph.output)
        width, columns = _check(end, codes, scores, process)
        labels, findings = detector_labels(export, process.classes)
        found = _decode(end, codes, end.part(scores, 2, columns - process.classes, columns), process, width)
        head = Head(self.id, labels, coordinates="anchors", limits=process.limits)
        outputs = detections(end, found, (1, 1), options.framing)
        return Fitted(end.finish(*outputs, codes, scores), head, OUTPUTS, findings, self.raw)

    def limits(self, model: bytes) -> Limits | None:
        return read_postprocess(model).limits

    def read(self, decoder: ReferenceDecoder, raw: Sequence[NDArray[np.float32]]) -> Detections:
        """y x h w of each anchor's box, in the anchor's size and by the operator's scales; background first."""
        import numpy as np  # recognising a head does without

        codes, scores = raw
        assert decoder.anchors is not None
        scaled = np.divide(codes[..., :4], np.array(decoder.anchors.scales, np.float32), dtype=np.float32)
        place, size = decoder.anchors.places[:, :2], decoder.anchors.places[:, 2:]
        centre = scaled[..., :2] * size + place
        low, high = decoder.around(centre, np.exp(scaled[..., 2:]) * size)
        count = len(decoder.head.labels)
        return decoder.detections(low[..., ::-1], high[..., ::-1], scores[..., -count:])

    def decode_original(self, outputs: Sequence[NDArray[Any]], rules: Rules) -> dict[str, Any]:
        """From boxes, classes, scores and count, what the last operator gives."""
        from convert.heads import decoding  # brings numpy

        return decoding.answer(decoding.ssd([output[0] for output in outputs], rules))

    def decode_shipped(self, outputs: Mapping[str, NDArray[Any]], rules: Rules) -> dict[str, Any]:
        """The last operator drops overlapping boxes by itself, before anything is cut to whole pixels."""
        from convert.heads import decoding

        corners, scores, classes = decoding.parsed(outputs)
        kept = decoding.best(corners, scores, rules.limits, rules.threshold)
        return decoding.answer(decoding.boxes(corners[kept], scores[kept], classes[kept], rules))


SSD = _Ssd(
    "ssd", "MobileNet SSD object detector", (1, "SSD"), "object_detection", operators=frozenset({OPERATOR}),
    raw=("raw_boxes", "raw_scores"), is_cut=True, is_comparable=True,
)  # fmt: skip


def _check(end: GraphEnd, codes: str, scores: str, process: PostProcess) -> tuple[int, int]:
    """How many numbers a box and how many scores a candidate has."""
    shapes = end.shapes()
    boxes, classes = shapes[codes], shapes[scores]
    count = len(process.anchors)
    if len(boxes) != 3 or len(classes) != 3 or boxes[0] != 1 or boxes[2] < 4:
        message = f"an SSD gives boxes [1,A,4] and scores [1,A,K], this model {list(boxes)} and {list(classes)}"
        raise UnsupportedModelError(message, hint="give the real --task")
    if not boxes[1] == classes[1] == count:
        message = f"the model has {count} anchors for {boxes[1]} boxes and {classes[1]} rows of scores"
        raise InputError(message, hint="export the model again")
    if classes[2] - process.classes not in {0, 1}:
        message = f"the model says it has {process.classes} classes, its scores have {classes[2]} columns"
        raise InputError(message, hint="export the model again")
    return boxes[2], classes[2]


def _decode(end: GraphEnd, codes: str, classes: str, process: PostProcess, columns: int) -> BoxTensors:
    if columns > 4:  # keypoints follow
        codes = end.part(codes, 2, 0, 4)
    scaled = end("Div", codes, end.floats([[process.scales]]))
    anchor = process.anchors[None]
    size = end.floats(anchor[..., 2:])
    centre = end("Add", end("Mul", end.part(scaled, 2, 0, 2), size), end.floats(anchor[..., :2]))
    low, high = end.centred(centre, end("Mul", end("Exp", end.part(scaled, 2, 2, 4)), size))
    return BoxTensors(low, high, classes)


@dataclass(frozen=True, eq=False)
class PostProcess:
    """The parameters of the operator.

    Attributes:
        anchors: float32 [A,4], y and x of the centre, height, width, in shares of the picture.
        scales: y, x, h, w; encoded values are divided by them.
        classes: without background.
        limits: of its results.
    """

    anchors: NDArray[np.float32]
    scales: tuple[float, float, float, float]
    classes: int
    limits: Limits


def read_postprocess(model: bytes) -> PostProcess:
    """The operator of a flatbuffer that ends in it.

    Raises:
        InputError: its parameters or anchors are damaged.
        UnsupportedModelError: the model does not end in it, or its anchors are computed.
    """
    import numpy as np  # recognising a head does without

    tree, operator = _ends_in_it(model)
    options = _parameters(operator)
    anchors = _anchors(tree, operator.Inputs(2))
    numbers = {name: options.get(name) for name in (*_INTEGERS, *_FRACTIONS, *_SCALES)}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
            raise _damaged(f"{name} is {'missing' if value is None else repr(value)}")
        if (name in _SCALES or name in _INTEGERS) and value <= 0:
            raise _damaged(f"{name} is {value}")
    y, x, h, w = (float(options[name]) for name in _SCALES)
    # float32 in the file: 0.6 there is 0.60000002384 as a double
    score, overlap = (min(max(float(str(np.float32(options[name]))), 0.0), 1.0) for name in _FRACTIONS)
    detections, classes = (int(options[name]) for name in _INTEGERS)
    return PostProcess(anchors, (y, x, h, w), classes, Limits(detections, score, overlap))


@lru_cache(maxsize=1)  # asked for by `Translate.ahead`, and by the stage itself
def without_postprocess(model: bytes) -> bytes:
    """The flatbuffer cut off before the operator: its outputs are the encoded boxes and the scores.

    Raises:
        UnsupportedModelError: the model does not end in it.
    """
    import flatbuffers  # only SSD models need it
    from ai_edge_litert import schema_py_generated as schema  # a third of a second, for SSD models only

    _ends_in_it(model)
    tree = schema.ModelT.InitFromPackedBuf(model, 0)
    graph = tree.subgraphs[0]
    *graph.operators, operator = graph.operators
    graph.outputs = [int(index) for index in operator.inputs[:2]]
    tree.signatureDefs = None  # they name the outputs that are gone
    builder = flatbuffers.Builder(len(model))
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def inputs(model: bytes) -> tuple[int, int, int] | None:
    """The tensors that go into the operator: boxes, scores, anchors; None for a model that does not end in it."""
    if OPERATOR.encode() not in model:
        return None
    _, operator = _last_operator(model)
    return (operator.Inputs(0), operator.Inputs(1), operator.Inputs(2)) if operator else None


def output_order(model: bytes, results: Sequence[int] = range(4)) -> list[int]:
    """Where boxes, classes, scores and count, or those of them in `results`, are among the outputs, in any order.

    Raises:
        UnsupportedModelError: the model does not end in the operator, or one of them is no output.
    """
    tree, operator = _ends_in_it(model, results)
    given = _outputs(tree.Subgraphs(0))
    return [given.index(operator.Outputs(result)) for result in results]


def anchors(model: bytes) -> Anchors:
    """The anchors and scales of an SSD as LiteRT has them, for the reference; runs in the isolated child.

    Raises:
        ValidationError: LiteRT refuses the model, or it is none.
    """
    import numpy as np
    from ai_edge_litert.interpreter import Interpreter  # the parent does without
    from flatbuffers import flexbuffers  # only SSD models need it

    from convert.heads.decoding import Anchors

    indices = inputs(model)
    if indices is None:
        raise ValidationError("the original does not end in an SSD's post-processing", hint="give the real --task")
    try:
        interpreter = Interpreter(model_content=model, num_threads=1)
        interpreter.allocate_tensors()
        for source in interpreter.get_input_details():
            interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
        interpreter.invoke()  # anchors may be stored in eight bits and dequantized by the model
    except (RuntimeError, ValueError) as error:
        raise ValidationError(f"LiteRT cannot run the original model: {error}") from error
    detail = next(each for each in interpreter.get_tensor_details() if each["index"] == indices[2])
    options = flexbuffers.Loads(bytes(_last_operator(model)[1].CustomOptionsAsNumpy()))
    scales = (float(options[f"{axis}_scale"]) for axis in "yxhw")
    return Anchors(dequantized(interpreter.get_tensor(indices[2]), detail), tuple(scales))  # type: ignore[arg-type]


def dequantized(values: NDArray[Any], tensor: dict[str, Any]) -> NDArray[np.float32]:
    """The real numbers of `values`; `tensor` is LiteRT's details of them."""
    import numpy as np

    scale, zero_point = tensor["quantization"]
    if values.dtype.kind in "iu" and scale:
        return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)
    return values.astype(np.float32)


def _last_operator(model: bytes) -> tuple[Any, Any]:
    """The flatbuffer, and its last operator if that is the one with its three inputs, else None."""
    from ai_edge_litert import schema_py_generated as schema  # a third of a second, for SSD models only

    tree = schema.Model.GetRootAs(model, 0)
    graph = tree.Subgraphs(0)
    last = graph.Operators(graph.OperatorsLength() - 1)
    is_it = tree.OperatorCodes(last.OpcodeIndex()).CustomCode() == OPERATOR.encode() and last.InputsLength() == 3
    return tree, last if is_it else None


def _ends_in_it(model: bytes, needed: Sequence[int] = ()) -> tuple[Any, Any]:
    """The flatbuffer and the operator, which makes all of the graph's outputs; those `needed` of its own are there."""
    tree, last = _last_operator(model)
    given = set(_outputs(tree.Subgraphs(0)))
    if last is None or not given <= set(_outputs(last)) or not given >= {last.Outputs(each) for each in needed}:
        message = f"a MobileNet SSD ends in {OPERATOR}, whose results are its outputs; this model does not"
        raise UnsupportedModelError(message, hint="give the real --task, or export the model again")
    return tree, last


def _outputs(part: Any) -> list[int]:
    """The output tensors of a graph or an operator."""
    return [part.Outputs(number) for number in range(part.OutputsLength())]


def _parameters(operator: Any) -> dict[str, Any]:
    from flatbuffers import flexbuffers  # only SSD models need it

    data = bytes(operator.CustomOptionsAsNumpy()) if operator.CustomOptionsLength() else b""
    try:
        options = flexbuffers.Loads(data)
    except Exception as error:  # its reader raises whatever the bytes lead it to
        raise _damaged("they cannot be read") from error
    if not isinstance(options, dict):
        raise _damaged("they are no map")
    return options


def _anchors(tree: Any, index: int) -> NDArray[np.float32]:
    """A constant [A,4], dequantized if need be."""
    import numpy as np
    from ai_edge_litert import schema_py_generated as schema

    graph = tree.Subgraphs(0)
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        if index in operator.OutputsAsNumpy():  # DEQUANTIZE of a constant
            index = operator.Inputs(0)
            break
    tensor = graph.Tensors(index)
    stored = tree.Buffers(tensor.Buffer())
    if not stored.DataLength():
        raise UnsupportedModelError("the anchors of this SSD are not constant", hint="export the model again")
    known = {getattr(schema.TensorType, name): np.dtype(name.lower()) for name in _DTYPES}
    kind = known.get(tensor.Type())
    if kind is None:
        raise InputError("the anchors of this SSD are no numbers", hint=_DAMAGED)
    values = np.frombuffer(stored.DataAsNumpy().tobytes(), kind)
    shape = [tensor.Shape(axis) for axis in range(tensor.ShapeLength())]
    if len(shape) != 2 or shape[1] != 4 or values.size != shape[0] * 4:
        raise InputError(f"the anchors of this SSD are {shape} instead of one row (y, x, h, w) each", hint=_DAMAGED)
    anchors = values.reshape(shape).astype(np.float32)
    scaling = tensor.Quantization()
    if kind.kind in "iu" and scaling is not None and scaling.ScaleLength():
        anchors = (anchors - np.float32(scaling.ZeroPoint(0))) * np.float32(scaling.Scale(0))
    if not np.isfinite(anchors).all() or (anchors[:, 2:] <= 0).any():
        raise InputError("the anchors of this SSD are damaged: not every one has a size", hint=_DAMAGED)
    return anchors


def _damaged(what: str) -> InputError:
    return InputError(f"the parameters of {OPERATOR} are damaged: {what}", hint=_DAMAGED)
