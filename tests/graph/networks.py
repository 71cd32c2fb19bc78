"""A Keras classifier of many layers side by side, converted by TensorFlow, for test_networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

INPUTS = {"fixed": 1, "open": None}
"""How many pictures the input takes: one, as Edge Impulse exports it, or any number."""


def build(keras: Any, batch: int | None) -> Any:
    layers = keras.layers
    picture = layers.Input(batch_shape=(batch, 16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(picture)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    found = [layers.Flatten()(x), layers.GlobalAveragePooling2D()(layers.ReLU(6.0)(x))]
    # a dense layer on every pixel, as in Edge Impulse's transfer learning head
    found.append(layers.Flatten()(layers.Dense(5, activation="relu")(x)))
    rows = layers.Reshape((64, 8))(x)
    found.append(layers.Flatten()(layers.Conv1D(4, 3)(rows)))
    attention = layers.LayerNormalization()(layers.MultiHeadAttention(2, 4)(rows, rows))
    found.append(layers.GlobalAveragePooling1D()(attention))
    excited = layers.Conv2D(8, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    found.append(layers.GlobalMaxPooling2D()(layers.Multiply()([x, excited])))
    up = layers.UpSampling2D(2, interpolation="bilinear")(layers.UpSampling2D(2)(x))
    up = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(up)
    found.append(layers.Flatten()(layers.AveragePooling2D(4)(up)))
    y = x
    for kind in ("silu", "elu", "selu", "softplus", "softsign", "tanh", "sigmoid", "relu6", "leaky_relu"):
        y = layers.Add()([layers.Activation(kind)(y), y])
    y = layers.PReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(8, 3, dilation_rate=2, padding="same")(layers.Cropping2D(1)(layers.ZeroPadding2D(2)(y)))
    found.append(layers.Flatten()(layers.Permute((3, 1, 2))(y)))
    mixed = layers.Conv1D(8, 3, padding="same")(rows)
    mixed = layers.MaxPooling1D(2)(layers.Concatenate()([rows, mixed]))
    found.append(layers.Flatten()(layers.Dot(2)([mixed, mixed])))
    found.append(layers.GRU(6, unroll=True)(layers.Reshape((8, 64))(x)))
    scores = [layers.Dense(3, activation="softmax")(each) for each in found]
    return keras.Model(picture, layers.Concatenate()(scores))


def write(folder: Path) -> None:
    """Called in a child process. A SavedModel in between would take three times as long."""
    import tensorflow as tf  # slow; the test imports this module for INPUTS

    for name, batch in INPUTS.items():
        tf.keras.utils.set_random_seed(1)
        model = build(tf.keras, batch)
        function = tf.function(model, input_signature=[tf.TensorSpec((batch, 16, 16, 3))], autograph=False)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], model)
        converter.experimental_lower_to_saved_model = False
        converter.exclude_conversion_metadata = True  # TensorFlow reads the whole model once more to add it
        (folder / f"{name}.tflite").write_bytes(converter.convert())
