"""Two classifiers and two detectors, made as Edge Impulse makes them: Keras, then a float32 `.tflite`.

TensorFlow is imported by whoever calls `train`; nothing else of `samples/` needs it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from samples import layouts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from samples.scenes import Array

__all__ = ["convolutional", "export", "fomo", "mobile", "saved", "seeded", "train", "yolov5"]

_OBJECT = 10.0
"""How much more a cell with an object counts than one without: there are about fifty times fewer."""

_ANCHOR = 0.125
"""The one anchor's width and height, shares of the picture: about a fruit on a table."""


def mobile(size: tuple[int, int, int], classes: int) -> Any:
    """A small MobileNetV2 (Sandler et al. 2018) with the end Edge Impulse's transfer learning puts on it.

    That end is Reshape((-1, channels)), a dense layer for every place of the last feature map, Flatten, dense softmax.
    Strides of 2 are an explicit padding and a "valid" convolution, as in `keras.applications`.
    """
    width, height, channels = size
    inputs = keras.Input((height, width, channels))
    x = _normed(layers.Conv2D(16, 3, 2, "valid", use_bias=False)(_padded(inputs)))
    x = _residual(layers.ReLU(6.0)(x), expand=1, filters=8, stride=1)
    for filters, stride in ((8, 2), (8, 1), (12, 2), (12, 1), (16, 2), (16, 1), (24, 2)):
        x = _residual(x, expand=4, filters=filters, stride=stride)
    x = layers.ReLU(6.0)(_normed(layers.Conv2D(64, 1, use_bias=False)(x)))
    x = layers.Reshape((-1, x.shape[-1]))(x)
    x = layers.Dense(16, activation="relu")(x)
    x = layers.Flatten()(layers.Dropout(0.1)(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def convolutional(size: tuple[int, int, int], classes: int) -> Any:
    """Convolutions and poolings, then one dense softmax: Edge Impulse's "2D convolutional" classifier."""
    width, height, channels = size
    inputs = keras.Input((height, width, channels))
    x = inputs
    for filters in (16, 24, 32):
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2, 2, padding="same")(x)
    x = layers.Dropout(0.25)(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def fomo(size: tuple[int, int, int], classes: int) -> Any:
    """FOMO: a class, or background (first), for every place of an eighth of the picture; [1,h/8,w/8,1+C]."""
    inputs, x = _eighth(size)
    x = layers.Conv2D(32, 1, activation="relu")(x)
    return keras.Model(inputs, layers.Softmax()(layers.Conv2D(1 + classes, 1)(x)))


def yolov5(size: tuple[int, int, int], classes: int) -> Any:
    """The end of YOLOv5 with one grid and one anchor: a box for every place; [1,A,5+C].

    A row is centre, size (shares of the picture), objectness and classes. YOLOv5's arithmetic: a centre lies up to half
    a cell outside of its own cell, a box has up to four times the anchor's size.
    """
    inputs, x = _eighth(size)
    x = _residual(layers.Conv2D(24, 1, use_bias=False)(x), expand=4, filters=24, stride=1)
    x = layers.Conv2D(5 + classes, 1)(layers.Conv2D(48, 1, activation="relu")(x))
    rows, columns = x.shape[1:3]
    y, x_ = np.mgrid[:rows, :columns].astype(np.float32)
    place = np.stack([x_.ravel(), y.ravel()], axis=1)[np.newaxis] - np.float32(0.5)
    found = keras.ops.sigmoid(layers.Reshape((-1, 5 + classes))(x))
    centre = (found[..., :2] * 2 + place) * np.array([1 / columns, 1 / rows], np.float32)
    span = keras.ops.square(found[..., 2:4] * 2) * np.float32(_ANCHOR)
    return keras.Model(inputs, layers.Concatenate()([centre, span, found[..., 4:]]))


def seeded(seed: int) -> None:
    """Make what follows, new weights and training, the same every time on the same kind of machine."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def train(
    model: Any, inputs: Array, truth: NDArray[Any], *, epochs: int, rate: float, batch: int = 32, eager: bool = False
) -> None:
    """Train in place with Adam, the rate falling from `rate` to a hundredth of it along a cosine.

    Args:
        inputs: [n, height, width, channels].
        truth: class numbers [n]; of a FOMO [n, rows, columns], 0 for background; of a YOLO, rows [n, A, 5] of
            objectness (0 or 1), centre and size.
        eager: without tracing and optimising a graph first, which takes longer than an epoch on a few pictures.
    """
    grid, boxes = truth.ndim == 3 and truth.dtype.kind == "i", truth.dtype.kind == "f"
    steps = epochs * -(-len(inputs) // batch)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps, 0.01)),
        loss=_box_loss if boxes else keras.losses.SparseCategoricalCrossentropy(),
        metrics=None if boxes else ["accuracy"],
        run_eagerly=eager,
    )
    weights = np.where(truth > 0, _OBJECT, 1).astype(np.float32) if grid else None
    model.fit(inputs, truth, sample_weight=weights, batch_size=batch, epochs=epochs, verbose=2)


def _box_loss(truth: Any, rows: Any) -> Any:
    """Cross entropy of objectness everywhere; where an object is, of its class, and how far its box is off."""
    there, wanted, found = truth[..., 0], truth[..., 1:5], rows[..., :4]
    chance = tf.clip_by_value(rows[..., 4:], 1e-6, 1 - 1e-6)
    score = -tf.math.log(tf.where(there[..., None] > 0, chance, 1 - chance))
    inner = tf.minimum(wanted[..., :2] + wanted[..., 2:] / 2, found[..., :2] + found[..., 2:] / 2)
    inner -= tf.maximum(wanted[..., :2] - wanted[..., 2:] / 2, found[..., :2] - found[..., 2:] / 2)
    shared = tf.reduce_prod(tf.maximum(inner, 0), axis=-1)
    both = tf.reduce_prod(wanted[..., 2:], axis=-1) + tf.reduce_prod(found[..., 2:], axis=-1) - shared
    away = 1 - shared / both + tf.reduce_sum(tf.abs(wanted - found), axis=-1) / _ANCHOR
    objects = tf.reduce_sum(there) + 1
    weighed = tf.reduce_mean(score[..., 0] * tf.where(there > 0, _OBJECT, 1.0))
    return weighed + tf.reduce_sum(there * (away + score[..., 1])) / objects


def export(model: Any, input_name: str, seen: Array) -> tuple[bytes, bytes]:
    """The flatbuffers, batch 1, their input named `input_name`: in float32, and in int8 from input to output.

    int8 as Edge Impulse builds it: quantized after training, with the ranges that occur on the inputs `seen`.
    The two ways Edge Impulse's models were converted over the years leave two kinds of names behind: a bare function
    keeps its argument's ("x_input" -> "Identity"), a SavedModel puts its signature's in front
    ("serving_default_x:0" -> "StatefulPartitionedCall...").
    """
    prefix = "serving_default_"
    argument = input_name.removeprefix(prefix).removesuffix(":0")
    spec = tf.TensorSpec([1, *model.input_shape[1:]], tf.float32, name=argument)
    if input_name == argument:
        # TensorFlow calls this way deprecated; it is the one that keeps bare names, as in the exports until 2022.
        function = tf.function(lambda x: model(x, training=False), input_signature=[spec]).get_concrete_function()
        return _converted(tf.lite.TFLiteConverter.from_concrete_functions([function]), seen)
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, input_signature=[spec], verbose=False)
        return _converted(tf.lite.TFLiteConverter.from_saved_model(folder), seen)


def _converted(converter: Any, seen: Array) -> tuple[bytes, bytes]:
    plain = bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([each[np.newaxis]] for each in seen)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return plain, bytes(converter.convert())


def saved(model: Any) -> dict[str, bytes]:
    """The model in TensorFlow's own two forms, zipped as Edge Impulse's Dashboard does: name of the file -> content."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "trained.h5", include_optimizer=False)
        model.export(str(folder / "trained.savedmodel"), verbose=False)
        written = {form: folder / f"trained.{form}" for form in ("h5", "savedmodel")}
        return {
            f"trained.{form}.zip": layouts.zip_bytes(
                {
                    str(path.relative_to(top if top.is_dir() else folder)): path.read_bytes()
                    for path in sorted([top, *top.rglob("*")])
                    if path.is_file()
                }
            )
            for form, top in written.items()
        }


def _eighth(size: tuple[int, int, int]) -> tuple[Any, Any]:
    """Inputs, and a MobileNetV2 cut where the picture is an eighth as large.

    The cut is behind the expansion of the sixth block, where Edge Impulse has it ("block_6_expand_relu").
    """
    width, height, channels = size
    inputs = keras.Input((height, width, channels))
    x = _normed(layers.Conv2D(16, 3, 2, "valid", use_bias=False)(_padded(inputs)))
    x = _residual(layers.ReLU(6.0)(x), expand=1, filters=8, stride=1)
    for filters, stride in ((8, 2), (8, 1), (16, 2), (16, 1), (16, 1)):
        x = _residual(x, expand=6, filters=filters, stride=stride)
    return inputs, layers.ReLU(6.0)(_normed(layers.Conv2D(96, 1, use_bias=False)(x)))


def _normed(x: Any) -> Any:
    # 0.9: the moving statistics must have settled after a few hundred steps, or the exported model is wrong.
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-3)(x)


def _padded(x: Any) -> Any:
    """One row and column of zeros where stride 2 needs them."""
    down, right = (1 - side % 2 for side in x.shape[1:3])
    return layers.ZeroPadding2D(((1 - down, 1), (1 - right, 1)))(x)


def _residual(x: Any, *, expand: int, filters: int, stride: int) -> Any:
    """Inverted residual block: 1x1 expansion, 3x3 depthwise, 1x1 projection without activation."""
    block, channels = x, x.shape[-1]
    if expand > 1:
        block = layers.ReLU(6.0)(_normed(layers.Conv2D(channels * expand, 1, use_bias=False)(block)))
    if stride == 2:
        block = layers.DepthwiseConv2D(3, 2, "valid", use_bias=False)(_padded(block))
    else:
        block = layers.DepthwiseConv2D(3, 1, "same", use_bias=False)(block)
    block = layers.Conv2D(filters, 1, use_bias=False)(layers.ReLU(6.0)(_normed(block)))
    block = _normed(block)
    return layers.Add()([x, block]) if stride == 1 and channels == filters else block
