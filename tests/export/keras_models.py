"""Models that TensorFlow saves, for `test_keras`; runs in a child process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def write(folder: str) -> None:
    """Small classifiers of 32x32x3 in `folder`: good ones in three forms, and one for each reason to refuse one."""
    import h5py
    import keras
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

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
    # Edge Impulse's transfer learning: a network in the network.
    inner = keras.Model(good.inputs, good.layers[-3].output, name="inner")
    nested = keras.Sequential([keras.Input((32, 32, 3)), inner, *good.layers[-2:]])
    nested.save(place / "nested.h5")
    with h5py.File(place / "keras2.h5", "r+") as file:  # as Keras 2 described the same layers
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(config), "2.15.0"
        config["config"]["layers"][1]["class_name"] = "TFOpLambda"
    with h5py.File(place / "nested.h5", "r+") as file:
        nested_config = json.loads(file.attrs["model_config"])
        described = nested_config["config"]["layers"][1]["config"]
        described["output_layers"] = [described["output_layers"]]
        file.attrs["model_config"], file.attrs["keras_version"] = json.dumps(nested_config), "2.11.0"
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

    # As the SavedModels of TensorFlow 2.4 and older, which hold the variables of the optimizer.
    shutil.copytree(place / "saved", place / "slots")
    saved_model = saved_model_pb2.SavedModel.FromString((place / "slots" / "saved_model.pb").read_bytes())
    nodes = saved_model.meta_graphs[0].object_graph_def.nodes
    nodes[0].slot_variables.add(original_variable_node_id=1, slot_name="m", slot_variable_node_id=1)
    (place / "slots" / "saved_model.pb").write_bytes(saved_model.SerializeToString())

    def saved(name: str, function: Callable[[tf.Tensor], tf.Tensor], *signatures: str) -> None:
        module = tf.Module()
        module.run = tf.function(function, input_signature=[tf.TensorSpec((1, 32, 32, 3))])
        tf.saved_model.save(module, str(place / name), signatures=dict.fromkeys(signatures, module.run))

    saved("two", lambda x: tf.reduce_mean(x, (1, 2)), "left", "right")
    saved("lacking", lambda x: tf.math.igamma(x + 1, x), "serving_default")
    saved("python", lambda x: tf.ensure_shape(tf.py_function(abs, [x], tf.float32), x.shape), "serving_default")
    tf.saved_model.save(tf.Module(), str(place / "none"))
