"""Small TFLite models of operators or blocks, made by TensorFlow.

Each takes a picture [1,24,32,3] and gives four classes of each of its operators, side by side. A convolution of its own
makes the features `x` [1,6,8,8] that an operator gets; a dense layer behind it is scaled so that pictures differ in
their scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Operator = Callable[[Any, Any], Any]

SHAPE = (1, 24, 32, 3)


def constant(*shape: int, low: float = -1, high: float = 1) -> Any:
    """The same numbers each time, uniform from `low` to `high`, float32."""
    return np.random.default_rng(shape).uniform(low, high, shape).astype(np.float32)


def _floats(tf: Any, x: Any) -> Any:
    return tf.cast(x, tf.float32)


def _mixed(tf: Any, x: Any) -> Any:
    """Another tensor of the shape of `x`, made of it."""
    return tf.tanh(x * 1.5 + 0.3) * 0.8


def _conv(size: int = 3, outputs: int = 6, inputs: int = 8, **options: Any) -> Operator:
    options = {"strides": 1, "padding": "SAME"} | options
    return lambda tf, x: tf.nn.conv2d(x, constant(size, size, inputs, outputs), **options) + constant(outputs)


def _depthwise(
    size: int = 3, multiplier: int = 1, stride: int = 1, padding: str = "SAME", dilation: int = 1
) -> Operator:
    return lambda tf, x: tf.nn.depthwise_conv2d(
        x, constant(size, size, 8, multiplier), [1, stride, stride, 1], padding, dilations=[dilation] * 2
    )


def _transposed(size: int, stride: int, padding: str, height: int, width: int) -> Operator:
    return lambda tf, x: tf.nn.conv2d_transpose(x, constant(size, size, 5, 8), [1, height, width, 5], stride, padding)


def _resize(method: str, height: int, width: int, *, align: bool = False, half: bool = False) -> Operator:
    names = {"nearest": "ResizeNearestNeighbor", "bilinear": "ResizeBilinear"}
    return lambda tf, x: getattr(tf.raw_ops, names[method])(
        images=x, size=[height, width], align_corners=align, half_pixel_centers=half
    )


def _resizes() -> dict[str, Operator]:
    modes = {"plain": {}, "half": {"half": True}, "align": {"align": True}}
    sizes = {"up2": (12, 16), "up15": (9, 12), "down2": (3, 4), "odd": (7, 11)}
    return {
        f"{method}_{mode}_{size}": _resize(method, *sizes[size], **modes[mode])
        for method in ("nearest", "bilinear")
        for mode in modes
        for size in sizes
    }


def _reduce(name: str, axes: list[int], *, keep: bool) -> Operator:
    """Factors are near 1, so that a product of hundreds of them is a number."""
    start, factor = (1, 0.1) if name == "prod" else (0, 0.5)
    return lambda tf, x: getattr(tf, f"reduce_{name}")(x * factor + start, axes, keepdims=keep)


def _reductions() -> dict[str, Operator]:
    axes = {"hw": [1, 2], "c": [3], "all": [1, 2, 3]}
    kinds = ("mean", "sum", "max", "min", "prod")
    return {
        f"{kind}_{name}{'_keep' if keep else ''}": _reduce(kind, axes[name], keep=keep)
        for kind in kinds
        for name in axes
        for keep in (False, True)
        if keep == (name == "c") or kind == "mean"
    }


def _selected(tf: Any, x: Any) -> Any:
    return tf.raw_ops.SelectV2(condition=x > 0.1, t=x, e=constant(1, 1, 8))


def _attention(tf: Any, x: Any) -> Any:
    rows = tf.reshape(x, [1, 48, 8])
    query, key, value = (tf.tensordot(rows, constant(8, 8 + i)[:, :8], 1) for i in range(3))
    query, key, value = (tf.transpose(tf.reshape(v, [1, 48, 2, 4]), [0, 2, 1, 3]) for v in (query, key, value))
    weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * 0.5)
    return tf.transpose(tf.matmul(weights, value), [0, 2, 1, 3])


def _layer_norm(tf: Any, x: Any) -> Any:
    mean, variance = tf.nn.moments(x, [-1], keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + 1e-3) * constant(8) + constant(8, low=0)


def _vit(tf: Any, x: Any) -> Any:
    rows = tf.reshape(x, [1, 48, 8])
    rows = tf.concat([tf.constant(constant(1, 1, 8)), rows], 1) + constant(1, 49, 8)
    norm = _layer_norm(tf, rows)
    query, key, value = (tf.tensordot(norm, constant(8, 8 + i)[:, :8], 1) for i in range(3))
    rows += tf.matmul(tf.nn.softmax(tf.matmul(query, key, transpose_b=True) * 0.35), value)
    inner = tf.nn.gelu(tf.tensordot(_layer_norm(tf, rows), constant(8, 16), 1))
    rows += tf.tensordot(inner, constant(16, 8), 1)
    return _layer_norm(tf, rows)[:, 0]


def _hard_swish(tf: Any, x: Any) -> Any:
    return x * tf.nn.relu6(x + 3) * (1 / 6)


def _mobilenet_v3(tf: Any, x: Any) -> Any:
    y = _hard_swish(tf, _conv(1, 16)(tf, x))
    y = _hard_swish(tf, tf.nn.depthwise_conv2d(y, constant(5, 5, 16, 1), [1, 1, 1, 1], "SAME"))
    squeezed = tf.reduce_mean(y, [1, 2], keepdims=True)
    squeezed = tf.nn.relu(_conv(1, 4, 16)(tf, squeezed))
    gate = tf.nn.relu6(_conv(1, 16, 4)(tf, squeezed) + 3) * (1 / 6)
    return _conv(1, 8, 16)(tf, y * gate) + x


def _efficientnet_lite(tf: Any, x: Any) -> Any:
    y = tf.nn.relu6(_conv(1, 24)(tf, x))
    y = tf.nn.relu6(tf.nn.depthwise_conv2d(y, constant(3, 3, 24, 1), [1, 1, 1, 1], "SAME"))
    return _conv(1, 8, 24)(tf, y) + x


def _squeezenet(tf: Any, x: Any) -> Any:
    y = tf.nn.relu(_conv(1, 4)(tf, x))
    y = tf.concat([tf.nn.relu(_conv(1, 6, 4)(tf, y)), tf.nn.relu(_conv(3, 6, 4)(tf, y))], 3)
    return tf.nn.max_pool2d(y, 3, 2, "VALID")


def _resnet(tf: Any, x: Any) -> Any:
    y = tf.nn.relu(_conv(3, 8, strides=2)(tf, x))
    return tf.nn.relu(_conv(3, 8)(tf, y) + _conv(1, 8, strides=2)(tf, x))


def _unet(tf: Any, x: Any) -> Any:
    down = tf.nn.relu(_conv(3, 8, strides=2)(tf, x))
    up = _transposed(2, 2, "SAME", 6, 8)(tf, down)
    up = tf.concat([up, x], 3)
    return tf.concat([_conv(3, 4, 13)(tf, up), _resize("bilinear", 6, 8, half=True)(tf, down)], 3)


def _yolo(tf: Any, x: Any) -> Any:
    def block(y: Any, size: int, outputs: int, inputs: int) -> Any:
        return tf.nn.silu(_conv(size, outputs, inputs)(tf, y))

    first, second = tf.split(block(x, 1, 8, 8), 2, 3)
    y = block(tf.concat([first, second, block(second, 3, 4, 4)], 3), 1, 8, 12)
    pools = [y]
    for _ in range(2):
        pools.append(tf.nn.max_pool2d(pools[-1], 5, 1, "SAME"))
    y = _resize("nearest", 12, 16)(tf, tf.concat(pools, 3))
    return tf.sigmoid(_conv(1, 5, 24)(tf, y))


def _topk(tf: Any, x: Any) -> Any:
    return tf.math.top_k(tf.reshape(x, [1, 384]), 5).values


def _topk_both(tf: Any, x: Any) -> Any:
    found = tf.math.top_k(tf.reduce_max(x, [1]), 4)
    return found.values * _floats(tf, found.indices + 1)


def _gather_nd(tf: Any, x: Any) -> Any:
    return tf.gather_nd(x, [[0, 1, 2], [0, 3, 4]])


def _shuffle(tf: Any, x: Any) -> Any:
    return tf.reshape(tf.transpose(tf.reshape(x, [1, 6, 8, 2, 4]), [0, 1, 2, 4, 3]), [1, 6, 8, 8])


def _n1_to_1(tf: Any, x: Any) -> Any:
    return tf.maximum(tf.minimum(x, 1.0), -1.0)


def _lstm(tf: Any, x: Any) -> Any:
    """Six steps."""
    hidden, cell, rows = tf.zeros([1, 5]), tf.zeros([1, 5]), tf.reshape(x, [1, 6, 64])
    for step in range(6):
        gates = tf.matmul(tf.concat([rows[:, step], hidden], 1), constant(69, 20) * 0.3) + constant(20)
        begin, forget, new, end = tf.split(gates, 4, 1)
        cell = tf.sigmoid(forget) * cell + tf.sigmoid(begin) * tf.tanh(new)
        hidden = tf.sigmoid(end) * tf.tanh(cell)
    return hidden


def _gru(tf: Any, x: Any) -> Any:
    """Six steps."""
    hidden = tf.zeros([1, 5])
    for row in tf.unstack(tf.reshape(x, [1, 6, 64]), axis=1):
        gates = tf.sigmoid(tf.matmul(row, constant(64, 10) * 0.3) + tf.matmul(hidden, constant(5, 10)))
        update, reset = tf.split(gates, 2, 1)
        new = tf.tanh(tf.matmul(row, constant(64, 5) * 0.3) + reset * tf.matmul(hidden, constant(5, 5)))
        hidden = (1 - update) * new + update * hidden
    return hidden


def _rnn(tf: Any, x: Any) -> Any:
    """All of six steps."""
    hidden, steps = tf.zeros([1, 5]), []
    for row in tf.unstack(tf.reshape(x, [1, 6, 64]), axis=1):
        hidden = tf.tanh(tf.matmul(row, constant(64, 5) * 0.3) + tf.matmul(hidden, constant(5, 5)))
        steps.append(hidden)
    return tf.stack(steps, 1)


def _group_norm(tf: Any, x: Any) -> Any:
    groups = tf.reshape(x, [1, 6, 8, 2, 4])
    mean, variance = tf.nn.moments(groups, [1, 2, 4], keepdims=True)
    return tf.reshape((groups - mean) * tf.math.rsqrt(variance + 1e-3), [1, 6, 8, 8]) * constant(8) + constant(8)


OPERATORS: dict[str, Operator] = {
    # activations
    "relu": lambda tf, x: tf.nn.relu(x),
    "relu6": lambda tf, x: tf.nn.relu6(x * 5),
    "relu_0_1": lambda tf, x: tf.minimum(tf.maximum(x, 0.0), 1.0),
    "relu_n1_1": lambda tf, x: _n1_to_1(tf, tf.reshape(x, [1, 48, 8])),
    "relu_n1_1_fused": lambda tf, x: _n1_to_1(tf, _conv()(tf, x)),
    "relu_n1_1_add": lambda tf, x: _n1_to_1(tf, x + _mixed(tf, x)),
    "elu": lambda tf, x: tf.nn.elu(x),
    "selu": lambda tf, x: tf.nn.selu(x),
    "leaky_relu": lambda tf, x: tf.nn.leaky_relu(x, 0.3),
    "prelu": lambda tf, x: tf.nn.relu(x) - constant(8) * tf.nn.relu(-x),
    "hard_swish": _hard_swish,
    "hard_sigmoid": lambda tf, x: tf.nn.relu6(x + 3) * (1 / 6),
    "gelu": lambda tf, x: tf.nn.gelu(x),
    "gelu_tanh": lambda tf, x: tf.nn.gelu(x, approximate=True),
    "swish": lambda tf, x: tf.nn.silu(x),
    "softplus": lambda tf, x: tf.nn.softplus(x),
    "softsign": lambda tf, x: tf.nn.softsign(x),
    "mish": lambda tf, x: x * tf.tanh(tf.nn.softplus(x)),
    "tanh": lambda tf, x: tf.tanh(x),
    "sigmoid": lambda tf, x: tf.sigmoid(x),
    "softmax": lambda tf, x: tf.nn.softmax(x),
    "softmax_axis": lambda tf, x: tf.nn.softmax(x, 1),
    "log_softmax": lambda tf, x: tf.nn.log_softmax(x),
    # one operand
    "abs": lambda tf, x: tf.abs(x),
    "neg": lambda _, x: -x,
    "square": lambda tf, x: tf.square(x),
    "sqrt": lambda tf, x: tf.sqrt(tf.abs(x) + 0.1),
    "rsqrt": lambda tf, x: tf.math.rsqrt(tf.abs(x) + 0.1),
    "exp": lambda tf, x: tf.exp(x),
    "log": lambda tf, x: tf.math.log(tf.abs(x) + 0.1),
    "sin": lambda tf, x: tf.sin(x),
    "cos": lambda tf, x: tf.cos(x),
    "floor": lambda tf, x: tf.floor(x * 3),
    "ceil": lambda tf, x: tf.math.ceil(x * 3),
    "round": lambda tf, x: tf.round(x * 3),
    "round_half": lambda tf, x: tf.round(tf.floor(x * 5) * 0.5),
    "sign": lambda tf, x: tf.sign(x),
    "reciprocal": lambda tf, x: tf.math.reciprocal(tf.abs(x) + 0.5),
    "cast": lambda tf, x: _floats(tf, tf.cast(x * 5, tf.int32)),
    "cast_bytes": lambda tf, x: _floats(tf, tf.cast(tf.abs(x) * 50, tf.uint8)),
    "cast_bool": lambda tf, x: _floats(tf, tf.cast(tf.floor(x), tf.bool)),
    # two operands
    "add": lambda tf, x: x + _mixed(tf, x),
    "add_relu": lambda tf, x: tf.nn.relu(x + constant(1, 1, 8)),
    "add_row": lambda _, x: x + constant(6, 1, 1),
    "sub": lambda _, x: constant(8) - x,
    "sub_relu6": lambda tf, x: tf.nn.relu6(x - _mixed(tf, x)),
    "mul": lambda tf, x: x * _mixed(tf, x),
    "div": lambda tf, x: x / (tf.abs(_mixed(tf, x)) + 0.5),
    "add_n": lambda tf, x: tf.add_n([x, tf.nn.relu(x), tf.sigmoid(x)]),
    "pow": lambda tf, x: tf.pow(tf.abs(x) + 0.1, 1.7),
    "pow_tensor": lambda tf, x: tf.pow(tf.abs(x) + 0.1, tf.sigmoid(_mixed(tf, x))),
    "squared_difference": lambda tf, x: tf.math.squared_difference(x, _mixed(tf, x)),
    "maximum": lambda tf, x: tf.maximum(x, _mixed(tf, x)),
    "minimum": lambda tf, x: tf.minimum(x, constant(8)),
    "floor_div": lambda tf, x: tf.math.floordiv(x, 0.3),
    "floor_div_int": lambda tf, x: _floats(tf, tf.math.floordiv(tf.cast(x * 20, tf.int32), 3)),
    "floor_mod": lambda tf, x: tf.math.floormod(x, 0.7),
    "floor_mod_int": lambda tf, x: _floats(tf, tf.math.floormod(tf.cast(x * 20, tf.int32), 3)),
    "atan2": lambda tf, x: tf.math.atan2(x, _mixed(tf, x)),
    "bitwise_xor": lambda tf, x: _floats(tf, tf.bitwise.bitwise_xor(tf.cast(x * 20, tf.int32), 5)),
    "right_shift_far": lambda tf, x: _floats(tf, tf.bitwise.right_shift(tf.cast(x * 90000, tf.int32), 16)),
    "floor_mod_large": lambda tf, x: _floats(tf, tf.math.floormod(tf.cast(x * 90000, tf.int32), 70000)),
    "right_shift": lambda tf, x: _floats(tf, tf.bitwise.right_shift(tf.cast(tf.abs(x) * 20, tf.int32), 1)),
    # comparisons
    "greater": lambda tf, x: _floats(tf, x > 0.1),
    "greater_equal": lambda tf, x: _floats(tf, x >= _mixed(tf, x)),
    "less": lambda tf, x: _floats(tf, x < 0.1),
    "less_equal": lambda tf, x: _floats(tf, x <= constant(8)),
    "equal": lambda tf, x: _floats(tf, tf.equal(tf.floor(x * 2), 0.0)),
    "not_equal": lambda tf, x: _floats(tf, tf.not_equal(tf.floor(x * 2), 0.0)),
    "equal_int": lambda tf, x: _floats(tf, tf.equal(tf.cast(x * 2, tf.int32), 0)),
    "logical_and": lambda tf, x: _floats(tf, tf.logical_and(x > 0.0, _mixed(tf, x) > 0.0)),
    "logical_or": lambda tf, x: _floats(tf, tf.logical_or(x > 0.2, _mixed(tf, x) > 0.2)),
    "logical_not": lambda tf, x: _floats(tf, tf.logical_not(x > 0.1)),
    "select": lambda tf, x: tf.raw_ops.Select(condition=x > 0.1, x=x, y=_mixed(tf, x)),
    "select_v2": _selected,
    "select_part": lambda tf, x: tf.where(x[..., :1] > 0.1, x, 0.5),
    # reductions
    **_reductions(),
    "any": lambda tf, x: _floats(tf, tf.reduce_any(x > 0.8, [1])),
    "all": lambda tf, x: _floats(tf, tf.reduce_all(x > -0.8, [1])),
    "std": lambda tf, x: tf.math.reduce_std(x, [1, 2]),
    "logsumexp": lambda tf, x: tf.reduce_logsumexp(x, [1, 2]),
    "moments": lambda tf, x: tf.concat(tf.nn.moments(x, [1, 2]), 1),
    "arg_max": lambda tf, x: _floats(tf, tf.argmax(x, 3, tf.int32)),
    "arg_max_rows": lambda tf, x: _floats(tf, tf.argmax(x, 1, tf.int64)),
    "arg_min": lambda tf, x: _floats(tf, tf.argmin(x, 3, tf.int32)),
    "one_hot": lambda tf, x: tf.one_hot(tf.argmax(x, 3, tf.int32), 8, 0.8, -0.1),
    "one_hot_axis": lambda tf, x: tf.one_hot(tf.argmax(x, 3, tf.int32), 8, axis=1),
    "top_k": _topk,
    "top_k_index": lambda tf, x: _floats(tf, tf.math.top_k(x, 3).indices),
    "cumsum": lambda tf, x: tf.cumsum(x, 1),
    "cumsum_exclusive": lambda tf, x: tf.cumsum(x, 3, exclusive=True, reverse=True),
    # moving values
    "gather": lambda tf, x: tf.gather(x, [3, 0, 3], axis=2),
    "gather_one": lambda tf, x: tf.gather(x, 3, axis=1),
    "gather_table": lambda tf, x: tf.gather(constant(8, 3), tf.argmax(x, 3, tf.int32)),
    "gather_nd": _gather_nd,
    "embedding": lambda tf, x: tf.nn.embedding_lookup(constant(8, 3), tf.argmax(x, 3, tf.int32)),
    "slice": lambda tf, x: tf.slice(x, [0, 1, 2, 3], [1, 4, 5, 5]),
    "strided_slice": lambda _, x: x[:, 1:5:2, ::3],
    "strided_slice_shrink": lambda _, x: x[:, 2, ..., -3],
    "strided_slice_new": lambda tf, x: x[:, tf.newaxis, 1:-1, :, 2:],
    "strided_slice_back": lambda _, x: x[:, ::-1, 6:1:-2],
    "split": lambda tf, x: tf.concat(tf.split(x, 4, 3)[::-1], 3),
    "split_v": lambda tf, x: tf.concat(tf.split(x, [1, 5, 2], 3)[::-1], 3),
    "pack": lambda tf, x: tf.stack([x, tf.nn.relu(x)], 3),
    "pack_front": lambda tf, x: tf.stack([x, tf.nn.relu(x)], 0)[1],
    "unpack": lambda tf, x: tf.add_n([n * y for n, y in enumerate(tf.unstack(x, axis=1), 1)]),
    "concat": lambda tf, x: tf.concat([x, tf.nn.relu(x)], 1),
    "concat_constant": lambda tf, x: tf.concat([x, tf.constant(constant(1, 6, 8, 2))], 3),
    "pad": lambda tf, x: tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]]), 2, 2, "SAME"),
    "pad_value": lambda tf, x: tf.pad(x, [[0, 0], [1, 2], [3, 0], [0, 0]], constant_values=0.7) * constant(9, 11, 8),
    "pad_channels": lambda tf, x: tf.pad(x, [[0, 0], [0, 0], [0, 0], [2, 1]]) * constant(11),
    "mirror_reflect": lambda tf, x: tf.pad(x, [[0, 0], [2, 1], [1, 3], [0, 0]], "REFLECT"),
    "mirror_symmetric": lambda tf, x: tf.pad(x, [[0, 0], [2, 1], [1, 3], [0, 0]], "SYMMETRIC"),
    "mirror_channels": lambda tf, x: tf.pad(x, [[0, 0], [0, 0], [0, 0], [2, 3]], "SYMMETRIC"),
    "tile": lambda tf, x: tf.tile(x, [1, 2, 1, 3]) * constant(12, 8, 24),
    "broadcast_to": lambda tf, x: tf.broadcast_to(x[:, :1], [1, 5, 8, 8]) * constant(5, 8, 8),
    "transpose": lambda tf, x: tf.transpose(x, [0, 3, 1, 2])[:, :5],
    "reshape": lambda tf, x: tf.nn.softmax(tf.reshape(x, [1, 12, 32])),
    "reshape_shape": lambda tf, x: tf.reshape(x, tf.stack([tf.shape(x)[0], 48, tf.shape(x)[3]]))[:, 3:],
    "squeeze": lambda tf, x: tf.squeeze(x[:, 2:3, :, 1:2], [1, 3]),
    "expand_dims": lambda tf, x: tf.expand_dims(x, 2) * constant(3, 1, 8),
    "space_to_depth": lambda tf, x: tf.nn.space_to_depth(x, 2)[..., 5:],
    "depth_to_space": lambda tf, x: tf.nn.depth_to_space(x, 2)[:, 1:],
    "space_to_batch": lambda tf, x: tf.batch_to_space(
        tf.nn.relu(tf.space_to_batch(x, [2, 2], [[0, 0], [0, 0]])), [2, 2], [[1, 0], [0, 1]]
    ),
    "space_to_batch_pad": lambda tf, x: tf.batch_to_space(
        tf.nn.max_pool2d(tf.space_to_batch(x, [2, 2], [[1, 1], [2, 0]]), 2, 1, "SAME"), [2, 2], [[0, 0], [0, 0]]
    ),
    "space_to_batch_uneven": lambda tf, x: tf.space_to_batch(x, [2, 3], [[1, 1], [0, 1]])[:, 1:],
    "reverse": lambda tf, x: tf.reverse(x, [1]),
    "reverse_two": lambda tf, x: tf.reverse(x, [1, 2]),
    "shuffle": _shuffle,
    "roll": lambda tf, x: tf.roll(x, 2, 2),
    "fill": lambda tf, x: x + tf.fill(tf.shape(x), 0.3),
    "zeros_like": lambda tf, x: tf.concat([x, tf.zeros_like(x)], 1),
    "range": lambda tf, x: x * tf.cast(tf.range(tf.shape(x)[3]), tf.float32),
    "gather_batch": lambda tf, x: tf.gather(x, tf.argmax(x, 1, tf.int32)[:, :, 0], axis=1, batch_dims=1),
    "scatter_nd": lambda tf, x: tf.scatter_nd([[1], [4]], tf.reshape(x[:, :2], [2, 64]), [6, 64]),
    "update_slice": lambda tf, x: tf.tensor_scatter_nd_update(tf.reshape(x, [384]), [[3], [7]], [0.5, 0.7]),
    "scatter_twice": lambda tf, x: tf.scatter_nd([[1], [4], [1]], tf.reshape(x[:, :3], [3, 64]), [6, 64]),
    "segment_sum": lambda tf, x: tf.math.unsorted_segment_sum(tf.reshape(x, [6, 64]), [2, 0, 1, 1, 0, 2], 3),
    "gather_rows": lambda tf, x: tf.gather(tf.reshape(x, [48, 8]), tf.math.top_k(tf.reshape(x, [48, 8])[:, 0], 5)[1]),
    "gather_nd_rows": lambda tf, x: tf.gather_nd(x[0], tf.transpose(tf.argmax(x[0, :, :2], 0, tf.int32))),
    "gather_each": lambda tf, x: tf.gather(x, tf.constant(np.arange(12).reshape(1, 6, 2) % 8), axis=2, batch_dims=2),
    "set_diag": lambda tf, x: tf.linalg.set_diag(x, tf.reduce_mean(x, 3)),
    "bucketize": lambda tf, x: tf.gather(constant(5, 3), tf.raw_ops.Bucketize(input=x, boundaries=[-0.5, 0, 0.2, 0.7])),
    "bucketize_int": lambda tf, x: _floats(
        tf, tf.raw_ops.Bucketize(input=tf.cast(x * 10, tf.int32), boundaries=[-5, 0, 2.5])
    ),
    "single_number": lambda tf, x: tf.where(tf.reduce_mean(x) > 0.03, x, x * 2) - tf.reduce_max(x),
    "weights_of_picture": lambda tf, x: tf.nn.conv2d(x, tf.reshape(x[:, :3, :6], [3, 3, 8, 2]), 2, "SAME"),
    "depthwise_of_picture": lambda tf, x: tf.nn.depthwise_conv2d(
        x, tf.reshape(x[:, :3, :3], [3, 3, 8, 1]), [1, 1, 1, 1], "SAME"
    ),
    "bytes_moved": lambda tf, x: _floats(tf, tf.concat([tf.cast(tf.abs(x) * 50, tf.uint8)[:, 1:4]] * 2, 3)),
    "add_n_int": lambda tf, x: _floats(tf, tf.add_n([tf.cast(x * n, tf.int32) for n in (3, 5, 9)])),
    "matrix_diag": lambda tf, x: tf.linalg.diag(tf.reduce_mean(x, [1, 2])),
    "band_part": lambda tf, x: tf.linalg.band_part(x, 1, 1),
    "where_index": lambda tf, x: x * tf.cast(tf.size(tf.where(x > 0.5)), tf.float32),
    "crelu": lambda tf, x: tf.nn.crelu(x),
    "clip_by_value": lambda tf, x: tf.clip_by_value(x, -0.3, 0.4),
    "fake_quant": lambda tf, x: tf.quantization.fake_quant_with_min_max_args(x, -2, 2),
    "reverse_sequence": lambda tf, x: tf.reverse_sequence(x, [4], seq_axis=1, batch_axis=0),
    "reverse_rows": lambda tf, x: tf.reverse_sequence(x, [5, 3, 1, 2, 4, 6], seq_axis=2, batch_axis=1),
    "lerp": lambda tf, x: x + tf.sigmoid(x) * (_mixed(tf, x) - x),
    "rank": lambda tf, x: x * tf.cast(tf.rank(x), tf.float32),
    "cumsum_reverse": lambda tf, x: tf.cumsum(x, 2, reverse=True),
    "global_pool": lambda tf, x: tf.nn.avg_pool2d(x, [6, 8], 1, "VALID"),
    "max_pool_odd": lambda tf, x: tf.nn.max_pool2d(x, [2, 3], [3, 2], "SAME"),
    "expand_gather": lambda tf, x: tf.gather(x, [[0, 1], [2, 3]], axis=3),
    "log1p": lambda tf, x: tf.math.log1p(tf.abs(x)),
    "expm1": lambda tf, x: tf.math.expm1(x),
    # resizing
    **_resizes(),
    # layers
    "conv": _conv(),
    "conv_relu6": lambda tf, x: tf.nn.relu6(_conv()(tf, x)),
    "conv_valid": _conv(3, padding="VALID"),
    "conv_stride": _conv(3, strides=2),
    "conv_odd": _conv(5, strides=3),
    "conv_even": _conv(4, strides=2),
    "conv_dilated": _conv(3, dilations=2),
    "conv_dilated_valid": _conv(2, dilations=3, padding="VALID"),
    "conv_groups": lambda tf, x: tf.nn.conv2d(x, constant(3, 3, 4, 6), 1, "SAME"),
    "depthwise": _depthwise(),
    "depthwise_multiplier": _depthwise(multiplier=2),
    "depthwise_stride": _depthwise(stride=2),
    "depthwise_dilated": _depthwise(dilation=2),
    "depthwise_valid": _depthwise(5, padding="VALID"),
    "conv_1d": lambda tf, x: tf.nn.conv1d(tf.reshape(x, [1, 48, 8]), constant(3, 8, 5), 2, "SAME"),
    "tconv_k3_s2": _transposed(3, 2, "SAME", 12, 16),
    "tconv_k2_s2": _transposed(2, 2, "VALID", 12, 16),
    "tconv_k4_s2": _transposed(4, 2, "SAME", 12, 16),
    "tconv_k3_s1": _transposed(3, 1, "VALID", 8, 10),
    "tconv_k1_s2": _transposed(1, 2, "SAME", 12, 16),
    "tconv_k2_s3": _transposed(2, 3, "SAME", 18, 24),
    "tconv_k1_s2_valid": _transposed(1, 2, "VALID", 11, 15),
    "tconv_bias": lambda tf, x: tf.nn.relu(_transposed(3, 2, "SAME", 12, 16)(tf, x) + constant(5)),
    "tconv_k1_s2_bias": lambda tf, x: tf.nn.relu6(_transposed(1, 2, "SAME", 12, 16)(tf, x) + constant(5)),
    "tconv_longer": _transposed(3, 2, "VALID", 14, 18),
    "tconv_odd": _transposed(3, 2, "SAME", 11, 15),
    "dense": lambda tf, x: tf.nn.relu(tf.matmul(tf.reshape(x, [1, 384]), constant(384, 10) * 0.1)),
    "dense_rows": lambda tf, x: tf.tensordot(x, constant(8, 5), 1) + constant(5),
    "batch_matmul": lambda tf, x: tf.matmul(x, x, transpose_a=True),
    "attention": _attention,
    "layer_norm": _layer_norm,
    "l2_normalize": lambda tf, x: tf.nn.l2_normalize(x, -1),
    "lrn": lambda tf, x: tf.nn.local_response_normalization(x, 2, 1.0, 0.5, 0.75),
    "batch_norm": lambda tf, x: tf.nn.batch_normalization(
        tf.nn.relu(x), constant(8), constant(8, low=0.5), constant(8), constant(8), 1e-3
    ),
    "average_pool": lambda tf, x: tf.nn.avg_pool2d(x, 2, 2, "VALID"),
    "average_pool_same": lambda tf, x: tf.nn.avg_pool2d(x, 3, 2, "SAME"),
    "max_pool": lambda tf, x: tf.nn.max_pool2d(x, 2, 2, "VALID"),
    "max_pool_same": lambda tf, x: tf.nn.max_pool2d(x, 3, 2, "SAME"),
    "einsum": lambda tf, x: tf.einsum("bhwc,cd->bhwd", x, constant(8, 5)),
    "outer": lambda tf, x: tf.einsum("bhwc,bhwd->bcd", x, x),
    # variations
    "depthwise_multiplier_dilated": _depthwise(3, 3, dilation=2, padding="VALID"),
    "depthwise_multiplier_stride": _depthwise(5, 2, stride=3),
    "conv_stride_over_kernel": _conv(1, strides=3),
    "conv_stride_far_over_kernel": _conv(2, strides=5),
    "conv_unequal": lambda tf, x: tf.nn.conv2d(x, constant(1, 5, 8, 6), [1, 2, 3, 1], "SAME"),
    "conv_unequal_dilated": lambda tf, x: tf.nn.conv2d(x, constant(3, 2, 8, 6), 1, "SAME", dilations=[1, 2, 3, 1]),
    "conv_groups_stride": lambda tf, x: tf.nn.conv2d(x, constant(3, 3, 2, 8), 2, "SAME"),
    "conv_groups_dilated": lambda tf, x: tf.nn.conv2d(x, constant(3, 3, 4, 4), 1, "VALID", dilations=2),
    "conv_explicit_padding": lambda tf, x: tf.nn.conv2d(x, constant(3, 3, 8, 4), 2, [[0, 0], [1, 2], [2, 1], [0, 0]]),
    "depthwise_unequal": lambda tf, x: tf.nn.depthwise_conv2d(
        x, constant(1, 3, 8, 2), [1, 1, 1, 1], "SAME", dilations=[1, 2]
    ),
    "conv_3d": lambda tf, x: tf.nn.conv3d(
        tf.reshape(x, [1, 3, 2, 8, 8]), constant(2, 2, 3, 8, 4), [1, 1, 1, 1, 1], "SAME"
    ),
    "tconv_3d": lambda tf, x: tf.nn.conv3d_transpose(
        tf.reshape(x, [1, 3, 2, 8, 8]), constant(2, 2, 2, 4, 8), [1, 6, 4, 16, 4], [1, 2, 2, 2, 1], "SAME"
    ),
    "tconv_k5_s3": _transposed(5, 3, "SAME", 17, 22),
    "tconv_k5_s2": _transposed(5, 2, "VALID", 15, 19),
    "tconv_unequal": lambda tf, x: tf.nn.conv2d_transpose(x, constant(3, 2, 5, 8), [1, 12, 8, 5], [1, 2, 1, 1], "SAME"),
    "tconv_k3_s2_odd": _transposed(3, 2, "SAME", 11, 16),
    "average_pool_stride_over_kernel": lambda tf, x: tf.nn.avg_pool2d(x, 2, 3, "SAME"),
    "max_pool_stride_over_kernel": lambda tf, x: tf.nn.max_pool2d(x, 1, 2, "SAME"),
    "average_pool_unequal": lambda tf, x: tf.nn.avg_pool2d(x, [3, 5], [1, 2], "SAME"),
    "average_pool_wide": lambda tf, x: tf.nn.avg_pool2d(x, [7, 9], 1, "SAME"),
    "bilinear_align_unequal": _resize("bilinear", 13, 5, align=True),
    "bilinear_half_one": _resize("bilinear", 1, 1, half=True),
    "bilinear_plain_flat": _resize("bilinear", 1, 16),
    "nearest_half_flat": _resize("nearest", 1, 3, half=True),
    "nearest_align_flat": _resize("nearest", 1, 3, align=True),
    "prelu_full": lambda tf, x: tf.nn.relu(x) - constant(6, 8, 8) * tf.nn.relu(-x),
    "prelu_one": lambda tf, x: tf.nn.relu(x) - constant(1, 1, 1) * tf.nn.relu(-x),
    "add_rank1": lambda _, x: x + constant(1),
    "mul_rank2": lambda _, x: x * constant(8, 8),
    "mul_rank2b": lambda _, x: x * constant(8, 1),
    "sub_rank3": lambda _, x: constant(6, 8, 1) - x,
    "broadcast_reduced": lambda tf, x: (
        tf.reduce_mean(x, [1], keepdims=True) * x + tf.reduce_max(x, [2, 3], keepdims=True)
    ),
    "broadcast_one_row": lambda tf, x: x + tf.reduce_mean(x, [0, 1, 2]),
    "broadcast_outer": lambda _, x: x[:, :, :1, :] * x[:, :1, :, :],
    "broadcast_five": lambda tf, x: tf.reshape(x, [1, 6, 8, 2, 4]) * constant(6, 1, 2, 1),
    "batch_matmul_y": lambda tf, x: tf.matmul(x, _mixed(tf, x), transpose_b=True),
    "batch_matmul_xy": lambda tf, x: tf.matmul(x[:, :, :, :4], _mixed(tf, x)[:, :, :, :8], transpose_a=True),
    "batch_matmul_constant": lambda tf, x: tf.matmul(x, constant(6, 8, 3)),
    "batch_matmul_constant_left": lambda tf, x: tf.matmul(constant(6, 3, 8), x),
    "batch_matmul_broadcast": lambda tf, x: tf.matmul(x[0, :1], _mixed(tf, x)[0]),
    "batch_matmul_three": lambda tf, x: tf.matmul(
        tf.reshape(x, [1, 48, 8]), tf.reshape(x, [1, 48, 8]), transpose_a=True
    ),
    "strided_slice_ellipsis": lambda _, x: x[..., 1:3],
    "strided_slice_all": lambda tf, x: x[:, 1, tf.newaxis, ..., tf.newaxis, 2],
    "strided_slice_no_batch": lambda _, x: x[0, 2:5, 3],
    "strided_slice_negative": lambda _, x: x[:, -4:-1, -1:-6:-2, ::-1],
    "strided_slice_beyond": lambda _, x: x[:, 100:1:-1, -100:5],
    "split_rows": lambda tf, x: tf.concat(tf.split(x, 3, 1)[::-1], 2),
    "split_v_rest": lambda tf, x: tf.concat(tf.split(x, [2, -1, 1], 1)[::-1], 1) * constant(6, 8, 8),
    "unpack_channels": lambda tf, x: tf.stack(tf.unstack(x, axis=-1)[1:4][::-1], axis=1),
    "unpack_one": lambda tf, x: tf.unstack(x, axis=2)[3],
    "pack_last": lambda tf, x: tf.stack([x, x * x, tf.sin(x)], -1) * constant(8, 3),
    "pack_rows": lambda tf, x: tf.stack([tf.reduce_mean(x, [1, 2]), tf.reduce_max(x, [1, 2])], 1),
    "gather_matrix": lambda tf, x: tf.gather(x, [[5, 0], [2, 2]], axis=1),
    "gather_last": lambda tf, x: tf.gather(x, [7, 1], axis=-1),
    "any_of_all": lambda tf, x: (
        _floats(tf, tf.reduce_any(x > 1.0, [1, 2, 3], keepdims=True)) + tf.reduce_mean(x, [1, 2, 3], keepdims=True)
    ),
    "max_integers": lambda tf, x: _floats(tf, tf.reduce_max(tf.cast(x * 20, tf.int32), [1])),
    "sum_integers": lambda tf, x: _floats(tf, tf.reduce_sum(tf.cast(x * 20, tf.int32), [2, 3])),
    "mean_integers": lambda tf, x: _floats(tf, tf.reduce_mean(tf.cast(x * 20, tf.int32), [1])),
    "prod_integers": lambda tf, x: _floats(tf, tf.reduce_prod(tf.cast(x * 3, tf.int32) + 1, [3])),
    "cumsum_integers": lambda tf, x: _floats(tf, tf.cumsum(tf.cast(x * 20, tf.int32), 2, exclusive=True)),
    "lrn_wide": lambda tf, x: tf.nn.local_response_normalization(x, 9, 1.0, 0.1, 0.5),
    "space_to_batch_1d": lambda tf, x: tf.space_to_batch(tf.reshape(x, [1, 48, 8]), [2], [[1, 1]])[:, 3:],
    "conv_1d_dilated": lambda tf, x: tf.nn.conv1d(
        tf.reshape(x, [1, 48, 8]), constant(5, 8, 5), 1, "VALID", dilations=2
    ),
    "mirror_rows": lambda tf, x: tf.pad(tf.reshape(x, [1, 48, 8]), [[0, 0], [3, 2], [1, 7]], "REFLECT"),
    "top_k_both": _topk_both,
    "select_nested": lambda tf, x: tf.where(tf.logical_and(x > 0.1, x < 0.8), x * x, tf.where(x < -0.3, -x, 0.25)),
    "select_v2_broadcast": lambda tf, x: tf.where(tf.reduce_mean(x, [3], keepdims=True) > 0, x, constant(1, 8, 1)),
    "select_v2_row": lambda tf, x: tf.where(constant(8) > 0, x, -x * 2),
    "select_rank_1": lambda tf, x: tf.raw_ops.Select(condition=tf.constant([True]), x=x, y=-x),
    "cast_chain": lambda tf, x: _floats(tf, tf.cast(tf.cast(tf.cast(x * 40, tf.int16), tf.int32), tf.int64)),
    "einsum_attention": lambda tf, x: tf.einsum("bhwc,bhvc->bhwv", x, _mixed(tf, x)),
    "einsum_rows": lambda tf, x: tf.einsum("bhwc,hcd->bhwd", x, constant(6, 8, 3)),
    "einsum_columns": lambda tf, x: tf.einsum("bhwc,wk->bhkc", x, constant(8, 5)),
    "einsum_transposed": lambda tf, x: tf.einsum("bhwc->bcwh", x),
    "lstm_unrolled": _lstm,
    "gru_unrolled": _gru,
    "rnn_unrolled": _rnn,
    "group_norm": _group_norm,
    "transpose_six": lambda tf, x: tf.transpose(tf.reshape(x, [1, 3, 2, 4, 2, 8]), [0, 1, 3, 5, 2, 4]),
    "pad_five": lambda tf, x: (
        tf.pad(tf.reshape(x, [1, 6, 8, 2, 4]), [[0, 0], [2, 1], [0, 3], [1, 0], [0, 1]]) * constant(9, 11, 3, 5)
    ),
    "clip_computed": lambda tf, x: tf.clip_by_value(x, -tf.reduce_max(x) * 0.2, tf.reduce_mean(tf.abs(x))),
    "clip_row": lambda tf, x: tf.minimum(x, tf.reduce_mean(x, [1], keepdims=True)),
    "select_logarithm": lambda tf, x: tf.math.xlogy(tf.abs(x) + 0.1, tf.abs(_mixed(tf, x)) + 0.1),
    # By zero or by at least 0.2: what is left of rounding is not made larger.
    "div_no_nan": lambda tf, x: tf.math.divide_no_nan(x, _mixed(tf, x) * _floats(tf, _mixed(tf, x) > 0.2)),
    "truncate_div_int": lambda tf, x: _floats(tf, tf.truncatediv(tf.cast(x * 20, tf.int32), 3)),
    "add_int64": lambda tf, x: _floats(tf, tf.cast(x * 20, tf.int64) + tf.cast(x * 3, tf.int64)),
    "equal_bool": lambda tf, x: _floats(tf, tf.equal(x > 0, _mixed(tf, x) > 0.2)),
    "scatter_add": lambda tf, x: tf.tensor_scatter_nd_add(tf.reshape(x, [384]), [[3], [7]], [0.5, 0.7]),
    "scatter_integers": lambda tf, x: _floats(
        tf, tf.scatter_nd([[1], [4], [1]], tf.cast(tf.reshape(x[:, :3], [3, 64]) * 20, tf.int32), [6, 64])
    ),
    "fake_quant_uneven": lambda tf, x: tf.quantization.fake_quant_with_min_max_vars(x, -1.0, 2.0),
    "fake_quant_narrow": lambda tf, x: tf.quantization.fake_quant_with_min_max_args(x, -1, 2, narrow_range=True),
    "rfft": lambda tf, x: tf.abs(tf.signal.rfft(tf.reshape(x, [1, 24, 16]))),
    "constant_five": lambda tf, x: tf.reshape(x, [1, 6, 8, 2, 4]) + constant(1, 6, 8, 2, 4),
    "constant_six": lambda tf, x: tf.reshape(x, [1, 3, 2, 8, 2, 4]) * constant(1, 3, 2, 8, 2, 4),
    "meshgrid": lambda tf, x: tf.concat(
        [
            x,
            tf.cast(tf.stack(tf.meshgrid(tf.range(8), tf.range(6)), -1)[None], tf.float32)
            * 0.1
            * tf.ones_like(x[..., :2]),
        ],
        3,
    ),
    "pow_constants": lambda tf, x: tf.pow(x, 2.0) + tf.pow(tf.abs(x) + 0.1, -0.5) + tf.pow(x, 3.0),
    "pow_integers": lambda tf, x: _floats(tf, tf.pow(tf.cast(x * 5, tf.int32), 2)),
    # blocks
    "mobilenet_v3": _mobilenet_v3,
    "vit": _vit,
    "efficientnet_lite": _efficientnet_lite,
    "squeezenet": _squeezenet,
    "resnet": _resnet,
    "unet": _unet,
    "yolo": _yolo,
}


def write(folder: Path, models: dict[str, tuple[str, ...]], form: str) -> dict[str, str]:
    """Write `<model>.<form>.tflite` of each, of one operator or of several; called in a child process.

    Returns:
        what TensorFlow said of those it could not make, by the model's name.
    """
    import tensorflow as tf  # slow; the tests import this module for the names

    tf.get_logger().setLevel("ERROR")
    failed = {}
    for model, names in models.items():
        try:
            data = _converted(tf, [OPERATORS[name] for name in names], form)
            (folder / f"{model}.{form}.tflite").write_bytes(data)
        except Exception as error:  # noqa: BLE001 - whatever TensorFlow raises
            failed[model] = " ".join(str(error).split())[:200]
    return failed


def _converted(tf: Any, operators: Sequence[Operator], form: str) -> bytes:
    """Made in a session: TensorFlow's newer converter writes and reads a SavedModel, for twice the time."""
    v1 = tf.compat.v1
    config = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    # It takes longer than it saves, and crashes on some.
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    pictures = np.random.default_rng(1).random((16, *SHAPE), np.float32)
    with tf.Graph().as_default(), v1.Session(config=config) as session:
        picture = v1.placeholder(tf.float32, SHAPE, "picture")
        features = []
        for place, operator in enumerate(operators):
            # Others for each: what is equal would be merged, and then an operator had not its `x` for itself.
            filters = np.roll(constant(4, 4, 3, 8), place, axis=3)
            y = operator(tf, tf.nn.conv2d(picture - 0.5, filters, 4, "SAME") * 0.6)
            features.append(tf.reshape(y, [1, int(np.prod(y.shape))]))
        runs = [session.run(features, {picture: each}) for each in pictures]
        classes = []
        for each, rows in zip(features, zip(*runs, strict=True), strict=True):
            found = np.concatenate(rows)
            weights = np.random.default_rng(2).normal(size=(found.shape[1], 4)).astype(np.float32)
            scores = found @ weights
            weights /= scores.std(axis=0) + 1e-9
            bias = -(found @ weights).mean(axis=0)
            classes.append(tf.nn.softmax(tf.matmul(each, weights) + bias))
        converter = v1.lite.TFLiteConverter.from_session(session, [picture], [tf.concat(classes, 1)])
        converter.experimental_lower_to_saved_model = False
        converter.exclude_conversion_metadata = True  # TensorFlow reads the whole model once more to add it
        if form == "float16":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        if form == "int8":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([each] for each in pictures)
        data: bytes = converter.convert()
    return data
