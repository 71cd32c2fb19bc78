"""TensorFlow's own files, a SavedModel or a Keras model: TensorFlow makes a float32 `.tflite` of them.

`places` finds them in an export: a SavedModel's folder, `.h5` and `.keras` files, and zips of one of these, as
`trained.h5.zip` and `trained.savedmodel.zip` of Edge Impulse's Dashboard. `convert_place` has a child process convert
one (extra `[tensorflow]`), within limits of time and memory, and compare its outputs with those of the `.tflite`.

Nothing in such a file is executed. Keras models are loaded in Keras's safe mode, once their description shows neither
lambda layers nor classes of other packages; of a SavedModel the operators are read before it is loaded.
"""

from __future__ import annotations

import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath
from typing import Any, Final

from convert import errors
from convert.export.archive import HDF5, HEAD, SAVED_MODEL, ZIP, Tree, file_type, open_zip_bytes
from convert.isolation import Died, Failed, Worker
from convert.types import Parity

WORDS: Final = {"savedmodel": "a TensorFlow SavedModel", "keras": "a Keras model", "h5": "a Keras model"}
"""The forms, the best first: a SavedModel needs no code of its layers."""

_GRAPH: Final = "saved_model.pb"
_INDEX: Final = "variables/variables.index"
_SAVED: Final = re.compile(r"(?:saved_model|fingerprint|keras_metadata)\.pb|(?:variables|assets)/[^/]+", re.DOTALL)
"""What belongs to a SavedModel, relative to its folder."""

_KERAS_FILES: Final = ("config.json", "metadata.json", "model.weights.h5")
"""What is in a `.keras` file, which is a zip."""

_PACKED: Final = re.compile(r"(?=.*(?:h5|hdf5|saved[-_]?model|keras)).*\.zip", re.IGNORECASE | re.DOTALL)
_WEIGHTS: Final = ".weights.h5"
_SDK: Final = "edge-impulse-sdk"

_TIMEOUT: Final = 900.0  # seconds; the import of TensorFlow alone takes 10, on a loaded machine 120
_MEMORY: Final = 8 << 30  # bytes; TensorFlow holds 0.6 GiB, a model of 100 MB some copies
_INPUTS: Final = 8
_TOLERANCE: Final = 1e-3  # of the largest output, from 1 on; both compute in float32, in another order

_LITE: Final = "download TensorFlow Lite (float32) from the Dashboard instead"
_WHOLE: Final = f"download or copy it again, or {_LITE}"
_SAVE_GRAPH: Final = f"save it as a SavedModel where that code is (model.export(FOLDER)), or {_LITE}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model of TensorFlow is.

    Attributes:
        form: "savedmodel", "keras" or "h5".
        member: its file, or the zip that holds it; of an unpacked `.keras` its `config.json`.
        packed: it is in a zip inside the export.
    """

    form: str
    member: str
    packed: bool = False


def places(tree: Tree) -> tuple[Place, ...]:
    """Every model of TensorFlow in `tree`, by what the files are called and where they lie; none is read."""
    found: list[Place] = []
    for member in tree.members:
        path = PurePosixPath(member)
        name = path.name.lower()
        if _SDK in path.parts:
            continue
        if path.name == _GRAPH:
            found.append(Place("savedmodel", member))
        elif path.name == "config.json" and str(path.with_name("model.weights.h5")) in tree.members:
            found.append(Place("keras", member))
        elif name.endswith(".keras"):
            found.append(Place("keras", member, packed=True))
        elif name.endswith((".h5", ".hdf5")) and not name.endswith(_WEIGHTS):
            found.append(Place("h5", member))
        elif _PACKED.fullmatch(path.name):
            found.append(Place("h5" if "h5" in name or "hdf5" in name else "savedmodel", member, packed=True))
    return tuple(found)


def convert_place(tree: Tree, place: Place) -> tuple[bytes, Parity, str]:
    """The `.tflite`, its outputs against those of the model itself, and which TensorFlow made it.

    Raises:
        MissingDependencyError: TensorFlow is not installed.
        InputError: the files are damaged, or some are missing.
        UnsupportedModelError: it needs code that is not in the file, or an operator that TensorFlow Lite lacks.
        TranslationError: TensorFlow crashed, or took too much time or memory.
        ValidationError: the `.tflite` computes something else.
    """
    form, files = _read(tree, place)
    # Not importlib.util.find_spec: where tf2onnx runs in this process, a stub is called so.
    if PathFinder.find_spec("tensorflow") is None:
        message = f"this is {WORDS[form]}, which TensorFlow has to convert, and that is not installed"
        raise errors.MissingDependencyError(
            message, hint=f"{errors.pip_install('ei-deepstream[tensorflow]')}, or {_LITE}"
        )
    try:
        with Worker(preload=("tensorflow",)) as worker:
            model, difference, greatest, version = worker.call(
                "convert.export.keras:to_tflite", form, files, timeout=_TIMEOUT, memory=_MEMORY
            )
    except Died as died:
        reason = f"was {died.reason}" if died.reason.startswith("killed") else died.reason
        raise errors.TranslationError(f"TensorFlow could not convert the model: it {reason}", hint=_LITE) from died
    except Failed as failed:
        raise errors.TranslationError(
            f"TensorFlow could not convert the model: {_first_line(failed)}", hint=_LITE
        ) from failed
    tolerance = _TOLERANCE * max(1.0, greatest)
    if not difference[0] <= tolerance:
        message = f"the .tflite that TensorFlow {version} made of the model is {difference[0]:.2g} away from it"
        raise errors.ValidationError(message, hint=_LITE)
    return model, Parity(difference[0], difference[1], difference[2], _INPUTS, tolerance), version


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def _read(tree: Tree, place: Place) -> tuple[str, dict[str, bytes]]:
    """The form, and the files by their path in the model's folder."""
    if place.packed:
        data = tree.read(place.member)
        kind = file_type(data[:HEAD])
        if kind is HDF5:  # Keras 2 wrote HDF5 into whatever it was told
            return _read_hdf5(data)
        if kind is not ZIP:
            raise errors.InputError(f"this is {kind.words}", hint=kind.hint)
        with open_zip_bytes(data, Path(tree.name_of(place.member))) as inner:
            deeper = not place.member.lower().endswith(".keras")  # a zip may hold a .keras, which holds no further one
            found = best([each for each in places(inner) if not each.packed or (deeper and each.form == "keras")])
            if len(found) != 1:
                raise errors.InputError(f"this zip holds {len(found)} models of TensorFlow, not one", hint=_WHOLE)
            return _read(inner, found[0])
    folder = PurePosixPath(place.member).parent
    if place.form == "savedmodel":
        below = [path for path in map(PurePosixPath, tree.members) if path.is_relative_to(folder)]
        inside = {path.relative_to(folder).as_posix(): str(path) for path in below}
        if _INDEX not in inside:
            message = f"this is {SAVED_MODEL.words}: the folder variables/, which holds its weights, is not beside it"
            raise errors.InputError(message, hint=f"give the whole folder of the SavedModel, or {_LITE}")
        files = {name: tree.read(path) for name, path in inside.items() if _SAVED.fullmatch(name)}
        if (kind := file_type(files[_GRAPH][:HEAD])) is not SAVED_MODEL:
            raise errors.InputError(f"this is no SavedModel, but {kind.words}", hint=_WHOLE)
        return place.form, files
    if place.form == "keras":
        paths = {name: str(folder / name) for name in _KERAS_FILES}
        return place.form, {name: tree.read(path) for name, path in paths.items() if path in tree.members}
    data = tree.read(place.member)
    if (kind := file_type(data[:HEAD])) is not HDF5:
        raise errors.InputError(f"this is {kind.words}", hint=kind.hint)
    return _read_hdf5(data)


def _read_hdf5(data: bytes) -> tuple[str, dict[str, bytes]]:
    """HDF5 has the names of attributes as plain text, so that a data set is told from a model without its library."""
    if b"model_config" not in data:
        raise _no_network()
    return "h5", {"model.h5": data}


def _no_network() -> errors.InputError:
    message = "this HDF5 file holds no Keras model: it has no model_config; it may be weights or data alone"
    return errors.InputError(message, hint=f"save the whole model (model.save), or {_LITE}")


def best(found: Sequence[Place]) -> list[Place]:
    """Those of the best form that is there: an export has the same network in each."""
    return next((same for form in WORDS if (same := [each for each in found if each.form == form])), [])


# In the child process


def to_tflite(form: str, files: dict[str, bytes]) -> tuple[bytes, tuple[float, float, float], float, str]:
    """Convert a model.

    Args:
        form: "savedmodel", "keras" or "h5".
        files: its content by path: of a SavedModel's folder, of a `.keras` zip, or one file.

    Returns:
        the `.tflite`; its greatest and mean absolute difference from the model, and the share of equal best classes, on
        drawn inputs; the greatest absolute output; TensorFlow's version.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if form == "savedmodel":
            key, graph = _signature(files[_GRAPH])
            for path, data in (files | {_GRAPH: graph}).items():
                place = folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)
            call = None
        else:
            call = _load_keras(form, files, folder)
            folder, key = folder / "exported", "serving_default"
            call.export(str(folder), verbose=False)
        try:
            loaded = tf.saved_model.load(str(folder))
            signature = loaded.signatures[key]
        except Exception as error:  # TensorFlow raises whatever comes
            reason = _first_line(error).replace(f"{folder}/", "")
            raise errors.InputError(f"TensorFlow cannot load the SavedModel: {reason}", hint=_WHOLE) from error
        model = _converted(str(folder), key)
        return model, *_compare(model, signature, call), str(tf.__version__)


_CODE: Final = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})
_FILES: Final = frozenset({"ReadFile", "WriteFile", "MatchingFiles"})
_INTERNAL: Final = frozenset({"__saved_model_init_op", "__saved_model_train_op"})


def _signature(graph: bytes) -> tuple[str, bytes]:
    """The signature to convert, once the operators of `saved_model.pb` show that nothing but a network is in it.

    Also returned is `graph` without the variables of its optimizer, which a newer TensorFlow cannot attach to it.
    """
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(graph)
    except DecodeError as error:
        raise errors.InputError("saved_model.pb is damaged", hint=_WHOLE) from error
    if not saved.meta_graphs:
        raise errors.InputError("saved_model.pb is empty", hint=_WHOLE)
    nodes = [node for meta in saved.meta_graphs for node in meta.graph_def.node]
    nodes += [node for meta in saved.meta_graphs for each in meta.graph_def.library.function for node in each.node_def]
    used = {node.op for node in nodes}
    if code := sorted(used & _CODE):
        raise errors.UnsupportedModelError(
            f"the SavedModel calls Python code ({code[0]}), which is not in it", hint=_LITE
        )
    if touched := sorted(used & _FILES):
        raise errors.UnsupportedModelError(f"the SavedModel reads or writes files ({touched[0]})", hint=_LITE)
    names = sorted(set(saved.meta_graphs[0].signature_def) - _INTERNAL)
    if "serving_default" in names or len(names) == 1:
        for meta in saved.meta_graphs:
            for node in meta.object_graph_def.nodes:
                del node.slot_variables[:]
        name = "serving_default" if "serving_default" in names else str(names[0])
        return name, saved.SerializeToString()
    if not names:
        message = "the SavedModel has no signature, so its input and output are not known"
        raise errors.UnsupportedModelError(message, hint=f"save it with one (model.export(FOLDER)), or {_LITE}")
    message = f"the SavedModel has {len(names)} signatures, none of which is serving_default: {', '.join(names)}"
    hint = f"save it with the one that takes a picture as serving_default, or {_LITE}"
    raise errors.UnsupportedModelError(message, hint=hint)


_MODULE: Final = re.compile(
    r"builtins|(?:tensorflow\.)?keras|(?:tensorflow\.)?keras\.(?:src\.)?(?:engine|layers|models|initializers"
    r"|regularizers|constraints|activations|dtype_policies|mixed_precision)(?:\.[a-z0-9_]+)*"
)
"""Packages that Keras itself gives what is in a network from."""

_MODELS: Final = frozenset({"Functional", "Sequential", "Model"})
_CALLS: Final = frozenset({"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "InstanceMethod", "ClassMethod"})
"""Keras 2's layers for calls of TensorFlow's functions; Keras 3 has none of them."""


def _load_keras(form: str, files: Mapping[str, bytes], folder: Path) -> Any:
    """The Keras model, in safe mode, without what it was trained with."""
    import keras

    path = folder / ("model.keras" if form == "keras" else "model.h5")
    if form == "keras":
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        path.write_bytes(data.getvalue())
        config, version = _document(files, "config.json"), _document(files, "metadata.json").get("keras_version")
    else:
        path.write_bytes(files["model.h5"])
        config, version = _h5_config(path)
        _as_keras3(path, config)
    _refuse_code(config, vars(keras.layers), str(version or ""))

    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever comes
        by = f", which Keras {version} wrote" if version else ""
        message = f"Keras {keras.__version__} cannot load the model{by}: {_first_line(error)}"
        raise errors.InputError(message, hint=_WHOLE) from error


def _document(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        found = json.loads(files[name])
    except (KeyError, ValueError, RecursionError) as error:
        raise errors.InputError(f"the .keras file is damaged: {name} is missing or no JSON", hint=_WHOLE) from error
    if not isinstance(found, dict):
        raise errors.InputError(f"the .keras file is damaged: {name} holds no object", hint=_WHOLE)
    return found


def _h5_config(path: Path) -> tuple[dict[str, Any], object]:
    """The description of the network in an HDF5 file, and which Keras wrote it."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text, version = file.attrs.get("model_config"), file.attrs.get("keras_version")
    except Exception as error:  # h5py raises whatever comes
        raise errors.InputError(f"the HDF5 file is damaged: {_first_line(error)}", hint=_WHOLE) from error
    if text is None:
        raise _no_network()
    version = version.decode("utf-8", "replace") if isinstance(version, bytes) else version
    data = text if isinstance(text, bytes) else str(text).encode()
    return _document({"model_config": data}, "model_config"), version


def _as_keras3(path: Path, config: dict[str, Any]) -> None:
    """Describe the network in the file `path` as Keras 3 does, where Keras 2 differed.

    Keras 2 gave depthwise convolutions `groups`, always 1, and each network a list of outputs; of one output in a list
    Keras 3 makes a list of tensors, which the layer behind a network in the network cannot read.
    """
    import h5py

    for item, _ in _described(config):
        inner = item.get("config")
        if not isinstance(inner, dict):
            continue
        if item["class_name"] == "DepthwiseConv2D":
            inner.pop("groups", None)
        outputs = inner.get("output_layers")
        if isinstance(outputs, list) and len(outputs) == 1 and isinstance(outputs[0], list):
            inner["output_layers"] = outputs[0]
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps(config)


def _refuse_code(config: dict[str, Any], known: Mapping[str, Any], version: str) -> None:
    """Refuse what needs code that is in the file, or in no package of Keras."""
    for item, is_layer in _described(config):
        name = str(item["class_name"])
        if name in {"Lambda", "__lambda__"}:
            message = "the Keras model holds a Lambda layer, whose Python code is not executed"
            raise errors.UnsupportedModelError(message, hint=_SAVE_GRAPH)
        if name in _CALLS:
            message = f"the Keras model holds {name} layers of Keras {version or 2}, which Keras 3 cannot read"
            raise errors.UnsupportedModelError(message, hint=_SAVE_GRAPH)
        module = item.get("module")
        is_foreign = module is not None and not (isinstance(module, str) and _MODULE.fullmatch(module))
        is_custom = is_foreign or ">" in str(item.get("registered_name") or "")
        if is_custom or (is_layer and name not in known and name not in _MODELS):
            what = "layer" if is_layer else "class"
            message = f"the Keras model holds the custom {what} {name}, whose code is not in the file"
            raise errors.UnsupportedModelError(message, hint=_SAVE_GRAPH)


def _described(value: object, *, is_layer: bool = True) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every object with a class in a description, and whether it is a layer; its training is left out."""
    if isinstance(value, dict):
        if "class_name" in value:
            yield value, is_layer
        for key, inner in value.items():
            if key == "layers" and isinstance(inner, list):
                for each in inner:
                    yield from _described(each)
            elif key not in {"compile_config", "build_config"}:
                yield from _described(inner, is_layer=key == "layer")
    elif isinstance(value, list):
        for each in value:
            yield from _described(each, is_layer=False)


_LACKING: Final = re.compile(r"(?:Flex|Custom) ops: ([^\n]+)")


def _converted(folder: str, key: str) -> bytes:
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[key])
    try:
        model: bytes = converter.convert()
    except Exception as error:  # TensorFlow raises whatever comes
        if lacking := _LACKING.search(str(error)):
            message = f"TensorFlow Lite has no operator for {lacking[1].strip()}, which the model uses"
            hint = "train or save the model without it; no .tflite can hold it"
            raise errors.UnsupportedModelError(message, hint=hint) from error
        message = f"TensorFlow {tf.__version__} cannot make a .tflite of the model: {_first_line(error)}"
        raise errors.TranslationError(message, hint=_LITE) from error
    return model


def _compare(model: bytes, signature: Any, call: Any) -> tuple[tuple[float, float, float], float]:
    """The `.tflite` against the SavedModel's `signature`, or the Keras model `call` where there is one."""
    import numpy as np
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model, num_threads=1)
    keys = list(interpreter.get_signature_list())
    runner = interpreter.get_signature_runner(keys[0])
    (name, details), *more = runner.get_input_details().items()
    if more:
        message = f"the model has {1 + len(more)} inputs"
        raise errors.UnsupportedModelError(message, hint="only models with one input, a picture, can be converted")
    random = np.random.default_rng(0)
    greatest, highest, total, count, equal, decisions = 0.0, 0.0, 0.0, 0, 0, 0
    for _ in range(_INPUTS):
        values = random.random(details["shape"], np.float32).astype(details["dtype"])
        mine = runner(**{name: values})
        if call is None:
            theirs = signature(**{name: tf.constant(values)})
        else:
            outputs = tf.nest.flatten(call(values, training=False))
            theirs = dict(zip(sorted(mine), outputs, strict=True))
        for key, output in mine.items():
            one, two = np.asarray(output, np.float64), np.asarray(theirs[key], np.float64)
            if one.shape != two.shape:
                message = f"the .tflite gives {list(one.shape)} where the model gives {list(two.shape)}"
                raise errors.ValidationError(message, hint=_LITE)
            difference = np.abs(one - two)
            greatest = float(np.maximum(greatest, difference.max()))  # NaN stays NaN
            highest = max(highest, float(np.abs(two).max()))
            total, count = total + float(difference.sum()), count + difference.size
            best_class = one.argmax(-1) == two.argmax(-1)
            equal, decisions = equal + int(best_class.sum()), decisions + best_class.size
    return (greatest, total / max(1, count), equal / max(1, decisions)), highest


def shown(error: errors.ConvertError, path: str) -> errors.ConvertError:
    """The same error about the file `path`."""
    return type(error)(error.message, hint=error.hint, path=error.path or path)
