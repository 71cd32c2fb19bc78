"""Small Keras classifiers, converted by TensorFlow, for test_networks.

Input shapes are fixed (as Edge Impulse exports them) in even ones, open in odd ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (
    "flatten",
    "pool",
    "pixels",
    "rows",
    "attention",
    "excite",
    "upsample",
    "activations",
    "mixed",
    "gru",
    "unnormed",
)


def build(keras: Any, name: str, number: int) -> Any:
    layers = keras.layers
    picture = layers.Input(batch_shape=(None if number % 2 else 1, 16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(picture)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    match name:
        case "flatten":
            x = layers.Flatten()(x)
        case "pool":
            x = layers.GlobalAveragePooling2D()(layers.ReLU(6.0)(x))
        case "pixels":  # a dense layer on every pixel, as in Edge Impulse's transfer learning head
            x = layers.Flatten()(layers.Dense(5, activation="relu")(x))
        case "rows":
            x = layers.Flatten()(layers.Conv1D(4, 3)(layers.Reshape((64, 8))(x)))
        case "attention":
            x = layers.Reshape((64, 8))(x)
            x = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(x, x))
            x = layers.GlobalAveragePooling1D()(x)
        case "excite":
            s = layers.Conv2D(8, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
            x = layers.GlobalMaxPooling2D()(layers.Multiply()([x, s]))
        case "upsample":
            x = layers.UpSampling2D(2, interpolation="bilinear")(layers.UpSampling2D(2)(x))
            x = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
            x = layers.Flatten()(layers.AveragePooling2D(4)(x))
        case "activations":
            for kind in ("silu", "elu", "selu", "softplus", "softsign", "tanh", "sigmoid", "relu6", "leaky_relu"):
                x = layers.Add()([layers.Activation(kind)(x), x])
            x = layers.PReLU()(layers.BatchNormalization()(x))
            x = layers.Conv2D(8, 3, dilation_rate=2, padding="same")(layers.Cropping2D(1)(layers.ZeroPadding2D(2)(x)))
            x = layers.Flatten()(layers.Permute((3, 1, 2))(x))
        case "mixed":
            y = layers.Conv1D(8, 3, padding="same")(layers.Reshape((64, 8))(x))
            y = layers.MaxPooling1D(2)(layers.Concatenate()([layers.Reshape((64, 8))(x), y]))
            x = layers.Flatten()(layers.Dot(2)([y, y]))
        case "gru":
            x = layers.GRU(6, unroll=True)(layers.Reshape((8, 64))(x))
        case "unnormed":
            return keras.Model(picture, layers.Dense(3)(layers.GlobalMaxPooling2D()(x)))
    return keras.Model(picture, layers.Dense(3, activation="softmax")(x))


def write(folder: Path) -> None:
    """Called in a child process."""
    import tensorflow as tf  # slow; the test imports this module for NAMES

    for number, name in enumerate(NAMES):
        tf.keras.utils.set_random_seed(number)
        converter = tf.lite.TFLiteConverter.from_keras_model(build(tf.keras, name, number))
        (folder / f"{name}.tflite").write_bytes(converter.convert())
