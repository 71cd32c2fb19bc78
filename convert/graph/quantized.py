"""Writes a network of 8-bit codes so that TensorRT takes it: every zero point 0, and the same codes.

A tensor with scale s and zero point z stands for s (q - z). TensorRT takes z = 0 only. Here every code q stays, and the
graph computes with s q instead: what is left is the real number less a constant shift, c = -s z. The shift is carried
from node to node and ends in constants:

- a layer with weights W and shift c at its input has c sum(W) more in its bias. Where it pads with real zeros, the
  input is padded with the code of zero before it; or, where the target pads with 0 only, what the padding lacks is
  added behind the layer (a constant of the picture's size);
- before a quantizer with (s, z) s z is added: to the bias of the layer before it. Limits of Relu and Clip in between
  move by as much, and go where the quantizer saturates at the same code anyway;
- a sum has the sum of the shifts; pooling, averages, moves and joins of equal shifts keep it; Softmax does not see it;
- every other operator gets the real number: the shift is added before it.

Weights become int8 again, with a scale for each output (`weight_codes`); biases stay float32.

The codes are those of TFLite's kernels but for sums that lie in the middle of two: kernels round them away from zero or
to even numbers before the zero point is added, ONNX to even numbers behind it.

The weights of ONNX are [outputs, inputs of a group, *kernel] in Conv, [inputs, outputs, *kernel] in ConvTranspose, and
[inputs, outputs] in dense layers, or in a Gemm with transB [outputs, inputs].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf, prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from convert.errors import PresetError, UnsupportedModelError
from convert.graph.graph import GraphEditor, Shapes, attribute, infer, set_attribute

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from onnx import ModelProto, NodeProto

WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

Shift: TypeAlias = "NDArray[np.float64]"

_LARGEST = 127
_WHOLE = 1e-3  # what a code may be away from a whole number: float32 products are within 1e-5


def weight_codes(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """The codes, -127 to 127, and scales [size of `axis`] whose products `values` are; None where they are none.

    The largest code is 127 as a rule, but for layers whose training rounded them; then it is the largest with which
    all others are whole numbers. Any codes with the same products are as good.
    """
    rows = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).astype(np.float64)
    most = np.abs(rows).max(axis=1, initial=0)
    scales = np.where(most == 0, 1, 0).astype(np.float64)
    for largest in range(_LARGEST, 0, -1):
        left = np.flatnonzero(scales == 0)
        if not left.size:
            break
        tried = most[left] / largest
        codes = rows[left] / tried[:, np.newaxis]
        fits = np.abs(codes - np.rint(codes)).max(axis=1) < _WHOLE
        scales[left[fits]] = tried[fits]
    if not scales.all():
        return None
    shape = [-1 if each == axis else 1 for each in range(values.ndim)]
    return np.rint(values / scales.reshape(shape)).astype(np.int8), scales.astype(np.float32)


def is_plain(node: NodeProto, weights: NDArray[Any]) -> bool:
    """Whether a node is an ordinary layer: no factors, weights of two dimensions where it is dense, one group where it
    is transposed."""
    if weights.dtype != np.float32:
        return False
    match node.op_type:
        case "Gemm":
            factors = (attribute(node, each, 1.0) for each in ("alpha", "beta"))
            return all(each == 1 for each in factors) and not attribute(node, "transA", 0)
        case "MatMul":
            return bool(weights.ndim == 2)
        case "ConvTranspose":
            return bool(attribute(node, "group", 1) == 1 and attribute(node, "auto_pad", b"NOTSET") == b"NOTSET")
    return True


def outputs_axis(node: NodeProto) -> int:
    """The axis of a layer's weights that is its outputs."""
    return 0 if node.op_type == "Conv" or (node.op_type == "Gemm" and attribute(node, "transB", 0)) else 1


def summed(node: NodeProto, codes: NDArray[np.int8], scales: NDArray[np.float32]) -> Shift:
    """The real weights of each output, summed over the inputs: [outputs, *kernel]."""
    whole = codes.sum(axis=1 - outputs_axis(node), dtype=np.int64)
    real: Shift = whole * scales.astype(np.float64).reshape(-1, *[1] * (codes.ndim - 2))
    return real


def _steps(node: NodeProto, axes: int) -> tuple[list[int], list[int]]:
    """Strides and dilations."""
    strides, dilations = (list(attribute(node, name, [1] * axes)) for name in ("strides", "dilations"))
    return strides, dilations


def pads_of(node: NodeProto, shapes: Shapes) -> list[int]:
    """Of a Conv: in front of each axis of the picture, then behind it."""
    sizes, outputs = (shapes[name][2:] for name in (node.input[0], node.output[0]))
    auto = attribute(node, "auto_pad", b"NOTSET")
    if auto not in {b"SAME_UPPER", b"SAME_LOWER"}:
        return list(attribute(node, "pads", [0] * 2 * len(sizes)))
    kernel = shapes[node.input[1]][2:]
    missing = [
        max((after - 1) * stride + (size - 1) * step + 1 - before, 0)
        for before, after, size, stride, step in zip(sizes, outputs, kernel, *_steps(node, len(sizes)), strict=True)
    ]
    less, more = [each // 2 for each in missing], [each - each // 2 for each in missing]
    pads = [*less, *more] if auto == b"SAME_UPPER" else [*more, *less]
    set_attribute(node, "auto_pad", "NOTSET")
    set_attribute(node, "pads", pads)
    return pads


def reached(node: NodeProto, weights: Shift, shapes: Shapes) -> Shift:
    """The sum of the weights that a (transposed) convolution applies to pixels of the picture, [1, outputs, ...].

    Args:
        weights: as `summed` gives them.
    """
    before, after = (shapes[name][2:] for name in (node.input[0], node.output[0]))
    pads, strides, steps = pads_of(node, shapes), *_steps(node, len(before))
    sums = weights
    for axis, (size, result) in enumerate(zip(before, after, strict=True)):
        tap = np.arange(weights.shape[1 + axis])[:, np.newaxis] * steps[axis] - pads[axis]
        if node.op_type == "Conv":
            place = np.arange(result) * strides[axis] + tap
            counts = ((place >= 0) & (place < size)).astype(np.float64)
        else:
            counts = np.zeros((len(tap), result))
            for number, start in enumerate(tap[:, 0]):
                place = np.arange(size) * strides[axis] + start
                counts[number, place[(place >= 0) & (place < result)]] = 1
        sums = np.tensordot(sums, counts, axes=([1], [0]))
    return sums[np.newaxis]


def products(node: NodeProto, shapes: Shapes) -> int:
    """How many multiplications a layer makes for a picture."""
    weights = shapes[node.input[1]]
    if "Conv" in node.op_type:  # of a transposed one each pixel goes through all weights
        return prod(shapes[(node.output if node.op_type == "Conv" else node.input)[0]]) * prod(weights[1:])
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]


_OPSET = 13  # the first in which DequantizeLinear has an axis
_LOW, _HIGH = -128, 127
_TIE = 2.0**-15
"""Averages of a few codes often lie in the middle of two, and TFLite rounds these away from code 0
(reference/integer_ops/pooling.h). A step that is so much smaller does, too: 127 becomes 127.004, less than what other
averages are away from a middle. Of a linear Resize LiteRT's default kernels round them up (XNNPACK's s8-ibilinear), as
does so small a part of a step more. Of ReduceMean they round to the even code, as ONNX does."""
_QUANTIZE, _DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"

_MOVES = {
    "DepthToSpace", "Expand", "Flatten", "Gather", "GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin", "Reshape",
    "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Their results are values of their first input, or of a linear Resize lie between them."""

_AVERAGES = {"AveragePool", "GlobalAveragePool", "ReduceMean"}
_BLIND = {"LogSoftmax", "Softmax"}
"""They do not see what is added to all values alike."""


def pair_codes(model: ModelProto) -> ModelProto:
    """A pass: every QuantizeLinear of activations is followed by its DequantizeLinear, and codes go nowhere else.

    tf2onnx moves nodes that only move values in between the two, Concat among them. Constants are rounded here.
    """
    editor = GraphEditor(model)
    made: set[str] = set()
    for node in editor.nodes():
        if node.op_type == _QUANTIZE and (value := editor.constant(node.input[0])) is not None:
            step, zero = (editor.constant(name) for name in node.input[1:3])
            assert step is not None  # `convert.export.dequantize` writes both
            assert zero is not None
            codes = np.clip(np.rint(value / step), _LOW - int(zero), _HIGH - int(zero))
            real = editor.add_constant((codes * step).astype(np.float32))
            editor.redirect(node.output[0], real)
            made.add(real)
        elif node.op_type == _QUANTIZE:
            real = editor.new_name(_DEQUANTIZE)
            editor.redirect(node.output[0], real)
            editor.add(_DEQUANTIZE, [node.output[0], *node.input[1:]], real)
            made.add(real)
    for node in editor.nodes():
        source = node.input[0] if node.input else ""
        is_ours = source in made or editor.constant(source) is None
        if node.op_type == _DEQUANTIZE and node.output[0] not in made and is_ours:
            editor.replace(node, source)
    editor.store()
    return model


def require_scales(option: str, editor: GraphEditor) -> None:
    """PresetError where the model's opset has no scale for each output of a layer, which `option` needs."""
    if editor.opset < _OPSET:
        raise PresetError(
            f"{option} needs opset {_OPSET}, which has a scale for each output of a layer; the model has "
            f"{editor.opset}",
            hint=f"leave out --opset, or give --opset {_OPSET}",
        )


def shift(model: ModelProto, *, pads: bool = True) -> ModelProto:
    """A pass: zero points become 0, weights of layers between codes int8. The batch is 1.

    Args:
        model: after `pair_codes`, with constants of float32.
        pads: the target's Pad takes another value than 0.

    Raises:
        PresetError: the opset is older than scales along an axis.
        UnsupportedModelError: no layer can run in INT8.
    """
    editor = GraphEditor(model)
    require_scales("--precision int8", editor)
    for value in model.graph.output:  # whatever makes it may get a shift: an Identity, which others read too, has none
        if value.name in editor.producers:
            editor.add("Identity", [editor.renamed(value.name)], value.name)
    rewriter = _Rewriter(editor, infer(editor), pads=pads)
    rewriter.run()
    if not rewriter.layers:
        raise UnsupportedModelError(
            "no layer of this model can run in INT8: none has an input of 8-bit codes and weights of 8-bit codes with "
            "zero point 0",
            hint="leave out --precision int8",
        )
    editor.store()
    return model


@dataclass(frozen=True, slots=True)
class _Grid:
    """Codes that a tensor's values come of: `step` times a whole number from -128 to 127, less the shift."""

    step: float
    zero: int


@dataclass
class _Rewriter:
    """The pass. A tensor stands for its value plus its entry in `shifts`, which is broadcast to it.

    Attributes:
        grids: of tensors whose values are those of codes.
        layers: how many have been put between codes.
    """

    editor: GraphEditor
    shapes: Shapes
    pads: bool = field(kw_only=True)
    shifts: dict[str, Shift] = field(default_factory=dict)
    grids: dict[str, _Grid] = field(default_factory=dict)
    layers: int = 0
    _real: dict[str, str] = field(default_factory=dict)

    def run(self) -> None:
        """Rewrite all nodes, in order."""
        for node in self.editor.nodes():
            rule = _RULES.get(node.op_type)
            touched = any(name in self.grids or name in self.shifts for name in node.input)
            if node.op_type == _QUANTIZE:
                self._quantize(node)
            elif node.op_type == _DEQUANTIZE:
                self._dequantize(node)
            elif touched and not (rule and rule(self, node)):
                self.editor.set_inputs(node, [self.real(name) for name in node.input])

    def real(self, name: str) -> str:
        """A tensor with the real values of `name`."""
        if name not in self.shifts:
            return name
        if name not in self._real:
            self._real[name] = self.plus(name, self.shifts[name])
        return self._real[name]

    def plus(self, name: str, more: Shift) -> str:
        """A tensor with `more` added to `name`."""
        return self.editor("Add", name, self.editor.floats(more))

    def shift_of(self, name: str) -> Shift:
        """The shift of `name`, 0 where there is none."""
        return self.shifts.get(name, np.zeros(()))

    def put(self, name: str, more: Shift, grid: _Grid | None = None) -> None:
        """Enter what the value `name` stands for."""
        if np.any(more):
            self.shifts[name] = more
        if grid is not None:
            self.grids[name] = grid

    def constant(self, name: str) -> NDArray[Any] | None:
        """The value of a constant, where `name` is one."""
        return self.editor.constant(name) if name else None

    # The two ends of a code

    def _quantize(self, node: NodeProto) -> None:
        """Quantize with zero point 0 what is s z more."""
        grid = self._grid(node)
        name, step = node.input[0], node.input[1]
        producer = self.editor.producers.get(name)
        more = self.shift_of(name) + grid.step * grid.zero
        kind = "" if producer is None else producer.op_type
        if kind == "AveragePool":
            step = self.editor.floats(grid.step * (1 - _TIE))
        elif producer is not None and kind == "Resize" and attribute(producer, "mode", b"nearest") == b"linear":
            more = more + grid.step * _TIE
        name = self.shifted_before(name, more, grid, node)
        self.editor.set_inputs(node, [name, step, self.editor.add_constant(np.zeros((), np.int8))])
        self.grids[node.output[0]] = grid

    def _dequantize(self, node: NodeProto) -> None:
        grid = self.grids.get(node.input[0])
        if grid is not None:
            zero = self.editor.add_constant(np.zeros((), np.int8))
            self.editor.set_inputs(node, [*node.input[:2], zero])
            self.put(node.output[0], np.array(-grid.step * grid.zero), grid)

    def _grid(self, node: NodeProto) -> _Grid:
        step, zero = (self.editor.constant(name) for name in node.input[1:3])
        assert step is not None and step.size == 1  # noqa: PT018 - `Rewriter` writes nothing else
        assert zero is not None and zero.dtype == np.int8  # noqa: PT018
        return _Grid(float(step.item()), int(zero.item()))

    def shifted_before(self, name: str, more: Shift, grid: _Grid, consumer: NodeProto) -> str:
        """A tensor with `more` than `name` has, for a quantizer to `grid`, the only one that reads it where possible.

        Limits that the quantizer has anyway go.
        """
        node = self.editor.producers.get(name)
        if node is not None and self.editor.only_consumer(name) is consumer:
            limits = self.limits(node) if node.op_type in {"Clip", "Relu"} and not more.ndim else None
            if limits is not None:
                low, high = limits
                there = float(self.shift_of(name))
                if grid.zero + np.rint((low + there) / grid.step) <= _LOW:
                    low = -inf
                if grid.zero + np.rint((high + there) / grid.step) >= _HIGH:
                    high = inf
                inner = self.shifted_before(node.input[0], more, grid, node)
                bare = low == -inf and high == inf
                return inner if bare else self.clip(inner, low + float(more), high + float(more))
            if node.op_type in {"Conv", "ConvTranspose", "Gemm"} and self._adds(node, more):
                return name
            for place, each in enumerate(node.input):
                value = self.constant(each)
                if node.op_type == "Add" and value is not None and np.any(more):
                    inputs = list(node.input)
                    inputs[place] = self.editor.floats(value + more)
                    return self.editor("Add", *inputs)
        return self.plus(name, more) if np.any(more) else name

    def limits(self, node: NodeProto) -> tuple[float, float] | None:
        """Those of a Relu or Clip, infinite where there is none; None where they are not constant."""
        if node.op_type == "Relu":
            return 0.0, inf
        found = [-inf, inf]
        for number, name in enumerate(node.input[1:3]):
            if name:
                value = self.constant(name)
                if value is None or value.size != 1:
                    return None
                found[number] = float(value.item())
        return found[0], found[1]

    def clip(self, name: str, low: float, high: float, output: str | None = None) -> str:
        """`name` between two limits, of which one may be infinite, as `output` or a new tensor."""
        if low == 0 and high == inf:
            return str(self.editor.add("Relu", [name], output).output[0])
        inputs = [name, "" if low == -inf else self.editor.floats(low)]
        inputs += [] if high == inf else [self.editor.floats(high)]
        return str(self.editor.add("Clip", inputs, output).output[0])

    # Layers with weights

    def layer(self, node: NodeProto) -> bool:
        """Put a layer between codes; False where its input or its weights are none."""
        name, weights = node.input[0], self.constant(node.input[1])
        grid, there = self.grids.get(name), self.shift_of(name)
        if grid is None or there.ndim or weights is None or not is_plain(node, weights):
            return False
        axis = outputs_axis(node)
        found = weight_codes(weights, axis)
        if found is None or (len(node.input) > 2 and self.constant(node.input[2]) is None):
            return False
        codes, scales = found
        sums = summed(node, codes, scales)
        lacking = np.zeros(())
        if "Conv" in node.op_type:
            whole = sums.sum(axis=tuple(range(1, sums.ndim)))
            lacking = there * reached(node, sums, self.shapes)
            first = lacking.reshape(len(whole), -1)[:, :1]
            if np.allclose(lacking.reshape(len(whole), -1), first, rtol=1e-9):
                more, lacking = first[:, 0], np.zeros(())
            elif self.pads and node.op_type == "Conv":
                name, more, lacking = self._padded(node, grid, float(there)), there * whole, np.zeros(())
            else:
                more = np.zeros(())
        else:
            more = there * sums
        if self.editor.producers[name].op_type != _DEQUANTIZE:
            name = self._coded(name, grid)
        kernel = [self.editor.add_constant(each) for each in (codes, scales, np.zeros(scales.shape, np.int8))]
        decoded = self.editor(_DEQUANTIZE, *kernel, axis=axis)
        self.editor.set_inputs(node, [name, decoded, *node.input[2:]])
        output = node.output[0]
        if node.op_type == "MatMul":
            self.put(output, more)
        else:
            self._adds(node, more)
        if np.any(lacking):
            self.editor.add("Add", [self.editor.renamed(output), self.editor.floats(lacking)], output)
        self.layers += 1
        return True

    def _adds(self, node: NodeProto, more: Shift) -> bool:
        """Add `more`, one number or one an output, to the bias of a layer; False where it has another shape."""
        if not np.any(more):
            return True
        outputs = self.shapes[node.output[0]][1]
        old = self.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(outputs, np.float32)
        if old is None or more.size not in {1, outputs} or (more.ndim > 1 and more.shape[1] != outputs):
            return False
        bias = np.broadcast_to(old.reshape(-1) + more.reshape(-1), (outputs,))
        self.editor.set_inputs(node, [*node.input[:2], self.editor.floats(bias)])
        return True

    def _padded(self, node: NodeProto, grid: _Grid, there: float) -> str:
        """The input of a convolution padded with the code of zero, and again between codes; `node` pads no more."""
        pads = pads_of(node, self.shapes)
        half = len(pads) // 2
        around = self.editor.indices([0, 0, *pads[:half], 0, 0, *pads[half:]])
        set_attribute(node, "pads", [0] * len(pads))
        padded = self.editor("Pad", node.input[0], around, self.editor.floats(-there), mode="constant")
        return self._coded(padded, grid)

    def _coded(self, name: str, grid: _Grid) -> str:
        """`name`, whose values are of `grid`, straight behind a DequantizeLinear."""
        scale = [self.editor.floats(grid.step), self.editor.add_constant(np.zeros((), np.int8))]
        return self.editor(_DEQUANTIZE, self.editor(_QUANTIZE, name, *scale), *scale)

    # Other operators; False: they take the real numbers

    def moves(self, node: NodeProto) -> bool:
        """Every value of the result has the shift of the one input that is no constant."""
        name = node.input[0]
        more = self.shift_of(name)
        mode = attribute(node, "mode", b"nearest") if node.op_type == "Resize" else b"nearest"
        counts_pads = any(attribute(node, "pads", [])) and attribute(node, "count_include_pad", 0)
        others = any(each in self.shifts for each in node.input[1:])
        if more.ndim or others or counts_pads or mode not in {b"nearest", b"linear"}:
            return False
        keeps = node.op_type not in _AVERAGES and mode == b"nearest"
        for output in node.output if node.op_type == "Split" else node.output[:1]:
            self.put(output, more, self.grids.get(name) if keeps else None)
        return True

    def adds(self, node: NodeProto) -> bool:
        """Shifts add up."""
        left, right = map(self.shift_of, node.input)
        self.put(node.output[0], left + right if node.op_type == "Add" else left - right)
        return True

    def joins(self, node: NodeProto) -> bool:
        """Equal shifts stay; others stand side by side."""
        shifts = list(map(self.shift_of, node.input))
        grids = {self.grids.get(name) for name in node.input}
        if any(each.ndim for each in shifts):
            return False
        if len({float(each) for each in shifts}) == 1:
            self.put(node.output[0], shifts[0], grids.pop() if len(grids) == 1 else None)
            return True
        shape = self.shapes[node.output[0]]
        axis = attribute(node, "axis") % len(shape)
        parts = [np.full(self.shapes[name][axis], float(each)) for name, each in zip(node.input, shifts, strict=True)]
        self.put(node.output[0], np.concatenate(parts).reshape([-1 if at == axis else 1 for at in range(len(shape))]))
        return True

    def pad(self, node: NodeProto) -> bool:
        """What is added around has the shift, too; it is 0 as a rule, which every grid has."""
        name, more = node.input[0], self.shift_of(node.input[0])
        value = self.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros((), np.float32)
        if more.ndim or value is None or len(node.input) > 3:
            return False
        if attribute(node, "mode", b"constant") == b"constant" and np.any(more):
            if not self.pads:
                return False
            self.editor.set_inputs(node, [*node.input[:2], self.editor.floats(value.reshape(()) - more)])
        self.put(node.output[0], more, None if np.any(value) else self.grids.get(name))
        return True

    def cuts(self, node: NodeProto) -> bool:
        """The limits of Relu and Clip move."""
        more, limits = self.shift_of(node.input[0]), self.limits(node)
        if more.ndim or limits is None:
            return False
        if np.any(more):
            self.editor.remove(node)
            low, high = (limit - float(more) for limit in limits)
            self.clip(node.input[0], low, high, node.output[0])
            self.put(node.output[0], more)
        return True

    def ignores(self, node: NodeProto) -> bool:
        """One shift for all values changes nothing."""
        return not self.shift_of(node.input[0]).ndim


_RULES: dict[str, Callable[[_Rewriter, NodeProto], bool]] = {
    **dict.fromkeys(WEIGHTED, _Rewriter.layer),
    **dict.fromkeys(_MOVES | _AVERAGES, _Rewriter.moves),
    **dict.fromkeys(_BLIND, _Rewriter.ignores),
    "Add": _Rewriter.adds,
    "Clip": _Rewriter.cuts,
    "Concat": _Rewriter.joins,
    "Pad": _Rewriter.pad,
    "Relu": _Rewriter.cuts,
    "Sub": _Rewriter.adds,
}


@dataclass(frozen=True, slots=True)
class Layers:
    """What of a network runs on codes.

    Attributes:
        int8, other: how many nodes between the first and the last quantizer, by operator: those that take codes and
            give what is quantized next, and those that compute with real numbers. Additions of constants are neither.
        share: of the multiplications of layers with weights, 0..1.
    """

    int8: dict[str, int]
    other: dict[str, int]
    share: float


def layers(model: ModelProto) -> Layers:
    """What of a `model` that `shift` made runs on codes."""
    editor = GraphEditor(model)
    shapes = Shapes(editor, 1)
    nodes = editor.nodes()
    for node in nodes:
        shapes.add(node)
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    whole, quantized = 0, 0
    wanted: set[str] = set()  # what a quantizer, or a node before one, reads
    on_codes = {
        node.output[0] for node in nodes if node.op_type == _DEQUANTIZE and editor.constant(node.input[0]) is None
    }
    behind = set(on_codes)  # the first code
    for node in nodes:
        if behind.intersection(node.input):
            behind.update(node.output)
        if (
            node.op_type in _RULES
            and node.op_type not in _BLIND
            and all(
                name in on_codes or name in editor.tensors or editor.producers[name].op_type == _DEQUANTIZE
                for name in node.input
                if name and name != model.graph.input[0].name
            )
        ):
            on_codes.update(node.output)
    for node in reversed(nodes):
        if node.op_type == _QUANTIZE or wanted.intersection(node.output):
            wanted.update(node.input)
        if node.op_type in {_QUANTIZE, _DEQUANTIZE} or not wanted.intersection(node.output):
            continue
        is_int8 = node.output[0] in on_codes
        if node.op_type in WEIGHTED:
            weights = editor.producers.get(node.input[1])
            is_int8 &= weights is not None and editor.producers[node.input[0]].op_type == _DEQUANTIZE
            count = products(node, shapes)
            whole += count
            quantized += count * is_int8
        elif behind.isdisjoint(node.output) or (
            node.op_type in {"Add", "Sub"} and any(name in editor.tensors for name in node.input)
        ):
            continue
        counts[not is_int8][node.op_type] += 1
    int8, other = (dict(sorted(each.items())) for each in counts)
    return Layers(int8, other, quantized / whole if whole else 0.0)
