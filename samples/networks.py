"""The two classifiers, shaped, trained and exported as Edge Impulse does it: Keras, then a float32 `.tflite`.

TensorFlow is imported by whoever calls `train`; nothing else of `samples/` needs it.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf
from keras import layers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from samples.scenes import Array

__all__ = ["convolutional", "export", "mobile", "seeded", "train"]


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


def seeded(seed: int) -> None:
    """Make what follows, new weights and training, the same every time on the same kind of machine."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def train(model: Any, inputs: Array, classes: NDArray[np.int64], *, epochs: int, rate: float, batch: int = 32) -> None:
    """Train in place with Adam, the rate falling from `rate` to a hundredth of it along a cosine."""
    steps = epochs * -(-len(inputs) // batch)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps, 0.01)),
        loss=keras.losses.SparseCategoricalCrossentropy(),
        metrics=["accuracy"],
    )
    model.fit(inputs, classes, batch_size=batch, epochs=epochs, verbose=2)


def export(model: Any, input_name: str) -> bytes:
    """The float32 flatbuffer, batch 1, its input named `input_name`.

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
        return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, input_signature=[spec], verbose=False)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


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
