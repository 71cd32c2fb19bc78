"""Models that TensorFlow saves, for `test_keras`; runs in a child process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def write(folder: str) -> None:
    """Small classifiers of 32x32x3 in `folder`: good ones in three forms, and one for each reason to refuse one."""
    import h5py
    import keras
    import tensorflow as tf

    place = Path(folder)
    keras.utils.set_random_seed(1)

    def network(*more: keras.Layer) -> keras.Model:
        return keras.Sequential(
            [
                keras.Input((32, 32, 3)),
                keras.layers.Conv2D(4, 3, strides=2, activation="relu6"),
                keras.layers.DepthwiseConv2D(3),
                *more,
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(4, activation="softmax"),
            ]
        )

    good = network()
    good.save(place / "good.keras")
    good.save(place / "good.h5")
    good.save_weights(place / "only.weights.h5")
    good.export(str(place / "saved"), verbose=False)

    good.save(place / "keras2.h5")
    with h5py.File(place / "keras2.h5", "r+") as file:  # as Keras 2 described the same layers
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.15.0"
        config["config"]["layers"][1]["class_name"] = "TFOpLambda"
    (place / "calls.h5").write_bytes((place / "keras2.h5").read_bytes())
    with h5py.File(place / "calls.h5", "r+") as file:
        file.attrs["model_config"] = json.dumps(config)

    class Doubled(keras.layers.Layer):  # type: ignore[misc]
        def call(self, inputs: tf.Tensor) -> tf.Tensor:
            return inputs * 2

    # A file that says what it has done, if it is executed.
    trap = str(place / "executed")
    touch = keras.layers.Lambda(lambda x: (open(trap, "w"), x)[1])  # noqa: PTH123, SIM115
    for name, layer in (("custom", Doubled()), ("lambda", touch)):
        for suffix in (".keras", ".h5"):
            network(layer).save(place / f"{name}{suffix}")
    Path(trap).unlink()

    def saved(name: str, function: Callable[[tf.Tensor], tf.Tensor], *signatures: str) -> None:
        module = tf.Module()
        module.run = tf.function(function, input_signature=[tf.TensorSpec((1, 32, 32, 3))])
        tf.saved_model.save(module, str(place / name), signatures=dict.fromkeys(signatures, module.run))

    saved("two", lambda x: tf.reduce_mean(x, (1, 2)), "left", "right")
    saved("lacking", lambda x: tf.math.igamma(x + 1, x), "serving_default")
    saved("python", lambda x: tf.ensure_shape(tf.py_function(abs, [x], tf.float32), x.shape), "serving_default")
    tf.saved_model.save(tf.Module(), str(place / "none"))
