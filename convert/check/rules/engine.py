"""NVI020 to NVI030, NVI043, NVI045: the engine's id, the files it is built from, whether nvinfer loads it again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from convert.check.context import SDK, RuleContext, on_config
from convert.check.rules.syntax import as_line, is_plain, quoted
from convert.files import load_toml
from convert.findings import Finding, Level
from convert.nvinfer.keys import version
from convert.nvinfer.targets import between, catalogue, trtexec_accepts

# network-mode -> the end of the engine's name (networkMode2Str of nvdsinfer_func_utils.cpp).
_MODES: Final = {0: "fp32", 1: "int8", 2: "fp16", 3: "best"}
_INT8: Final = 1
_ENGINE: Final = re.compile(r"(.+\.onnx)_b[0-9]+_(?:gpu|dla)[0-9]+_[a-z0-9]+\.engine")  # as nvinfer names them
_COMMENTED: Final = re.compile(rb"^[ \t]*#[ \t]*onnx-file[ \t]*[=:][ \t]*([!-~]+)[ \t]*\r?$", re.MULTILINE)
# Jetsons with a DLA, those without that share a release with them, and the versions of TensorRT that have none: 10.7
# was the last 10.x with DLA, and 11.4.1 has it again (TensorRT's documentation, Working with DLA).
_WITH_DLA: Final = ("Xavier", "Orin")
_OLD_WITHOUT_DLA: Final = frozenset({"Nano", "TX1", "TX2"})
_TENSORRT_WITHOUT_DLA: Final = ((10, 8), (11, 4, 1))
# Keys whose files are judged by their kind. Any file serves as int8-calib-file of a quantised model, and the mean file
# has a rule of its own.
_JUDGED: Final = frozenset({"onnx-file", "model-engine-file", "labelfile-path", "custom-lib-path", "tlt-encoded-model"})
ELSEWHERE: Final = "check where the files are; --files require makes this an error, --files ignore leaves it out"


@on_config("NVI020")
def no_id(context: RuleContext) -> Iterator[Finding]:
    """No gie-unique-id, or one that wraps round."""
    number = context.value("gie-unique-id")
    if number == 0:
        message, level = "gie-unique-id is missing", Level.ERROR
        if not context.settings:
            message, level = "gie-unique-id is missing, unless the app gives it", Level.WARNING
        hint = f"write {as_line(context, 'gie-unique-id', 1)}, or another free number"
        yield context.found(no_id, message, hint=hint, level=level)
    elif number >= 2**31:
        message = f"gie-unique-id becomes {number}: a negative number wraps round"
        hint = f"write {as_line(context, 'gie-unique-id', 1)}, or another number from 1 on"
        yield context.found(no_id, message, key="gie-unique-id", level=Level.WARNING, hint=hint)


@on_config("NVI021")
def nothing_to_build(context: RuleContext) -> Iterator[Finding]:
    """No model of any kind."""
    sources = ("onnx-file", "model-engine-file", "tlt-encoded-model", "custom-lib-path", *_old_models(context))
    if not any(context.value(key, "") for key in sources):
        commented = _COMMENTED.search(context.data)
        hint = f"{_with_model(context, commented[1].decode())}: it is there as a comment" if commented else None
        yield context.found(nothing_to_build, "neither onnx-file nor model-engine-file is given", hint=hint)


@on_config("NVI022")
def engine_only(context: RuleContext) -> Iterator[Finding]:
    """model-engine-file alone."""
    others = any(context.value(key, "") for key in ("onnx-file", "tlt-encoded-model", *_old_models(context)))
    if wrong_kind(context, "model-engine-file"):
        return
    if context.value("model-engine-file", "") and not others and not _own_builder(context):
        message = "there is no onnx-file to build the engine again from, should this one not load on the target"
        commented, name = _COMMENTED.search(context.data), _ENGINE.fullmatch(context.files["model-engine-file"].text)
        hint = "give the onnx-file that it was built from"
        if commented or name:
            hint = _with_model(context, commented[1].decode() if commented else name[1] if name else "")
        yield context.found(engine_only, message, key="model-engine-file", hint=hint)


def _with_model(context: RuleContext, model: str) -> str:
    """A hint that says to write `model` as onnx-file, and with it the name of the engine unless that is right."""
    lines, engine = [as_line(context, "onnx-file", model)], engine_name(context, model)
    given = context.files.get("model-engine-file")
    if (given is None or given.text != engine) and not _own_builder(context):
        lines.append(as_line(context, "model-engine-file", engine))
    return f"write {' and '.join(lines)}"


@on_config("NVI023")
def engine_name_differs(context: RuleContext) -> Iterator[Finding]:
    """model-engine-file is not what nvinfer writes, or is not given."""
    model = context.files.get("onnx-file")
    if model is None or not context.value("onnx-file", "") or _own_builder(context):
        return
    if wrong_kind(context, "onnx-file") or wrong_kind(context, "model-engine-file"):
        return
    written = engine_name(context, model.path)
    engine = context.files.get("model-engine-file")
    name = _engine_text(context, written)
    hint = f"write {as_line(context, 'model-engine-file', name)}"
    if engine is None or not context.value("model-engine-file", ""):
        message = f"without model-engine-file the engine is built at every start, although nvinfer writes {name}"
        yield context.found(engine_name_differs, message, key="onnx-file", hint=hint)
    elif engine.path != written:
        message = f"nvinfer will look for {quoted(engine.text)}, but writes the engine it builds to {name}"
        yield context.found(engine_name_differs, message, key="model-engine-file", hint=hint)


@on_config("NVI024")
def missing_file(context: RuleContext) -> Iterator[Finding]:
    """Files that are not there: each that must be, and together those that may be on the target."""
    elsewhere: dict[str, str] = {}
    advice = load_toml("nvinfer/advice.toml")["files"]
    for key, row in advice.items():
        file = context.files.get(key)
        if file is None or file.presence.here or (key == "int8-calib-file" and context.value("network-mode") != _INT8):
            continue
        if not is_plain(file.text) or (key == "custom-lib-path" and context.library):
            continue  # reported by the rules on comments, blanks and quotation marks; known without the file
        if not file.presence.sure:
            if not file.text.startswith(SDK):
                elsewhere[key] = file.text
            continue
        level, what = Level.ERROR, absence(file.text, file.path)
        message = f"{key}: {quoted(file.text)} {what}: {row['effect']}"
        engine = context.files.get("model-engine-file")
        may_load = engine and (engine.presence.here or not (file.text or engine.presence.sure))
        if key in {"onnx-file", "tlt-encoded-model"} and may_load:
            level = Level.WARNING
            message = f"{key}: {quoted(file.text)} {what}: no new engine can be built, should this one not load"
        hint = f"nvinfer looks for {file.path}" if level is Level.ERROR else None
        if hint and file.meant:
            hint = f"write {as_line(context, key, os.path.join(os.path.dirname(file.text), file.meant))}; {hint}"  # noqa: PTH118, PTH120
        yield context.found(missing_file, message, key=key, level=level, hint=hint)
    if elsewhere:
        message = "not on this machine: " + ", ".join(f"{key} {quoted(text)}" for key, text in elsewhere.items())
        if rules := ", ".join(advice[key]["rules"] for key in elsewhere if "rules" in advice[key]):
            message += f"; not applied without: {rules}"
        yield context.found(missing_file, message, key=next(iter(elsewhere)), level=Level.NOTE, hint=ELSEWHERE)


def absence(text: str, path: str) -> str:
    """A few words on the file at `path`, written as `text`, that is not there although it must be."""
    if not text:
        return "is empty, which means the folder of the config"
    return "is no file" if os.path.exists(path) else "is not there"  # noqa: PTH110


@on_config("NVI025")
def stale_engine(context: RuleContext) -> Iterator[Finding]:
    """An engine built before the model was last changed."""
    model, engine = context.files.get("onnx-file"), context.files.get("model-engine-file")
    if model and engine and model.presence.here and engine.presence.here and engine.changed < model.changed:
        message = f"{quoted(engine.text)} was built before {quoted(model.text)} was last changed"
        yield context.found(stale_engine, message, key="model-engine-file", hint="delete the engine")


@on_config("NVI026")
def no_calibration(context: RuleContext) -> Iterator[Finding]:
    """network-mode=1 alone."""
    if context.value("network-mode") == _INT8 and not context.value("int8-calib-file", ""):
        message = "network-mode is 1, INT8, but there is no int8-calib-file: nvinfer builds an FP16 engine"
        yield context.found(no_calibration, message, key="network-mode", hint=writes(context, {"network-mode": 2}))


@on_config("NVI027")
def implicit_batch(context: RuleContext) -> Iterator[Finding]:
    """force-implicit-batch-dim=1 with ONNX."""
    if context.value("force-implicit-batch-dim") and context.value("onnx-file", ""):
        message = "force-implicit-batch-dim=1 with an ONNX model"
        yield context.found(implicit_batch, message, key="force-implicit-batch-dim", hint="remove the line")


@on_config("NVI030")
def no_precision_flags(context: RuleContext) -> Iterator[Finding]:
    """FP16 or INT8 where TensorRT has no flags for them."""
    mode = context.value("network-mode")
    if mode and not trtexec_accepts("--fp16", context.target.tensorrt):
        message = f"network-mode is {mode}, {_MODES[mode]}, and TensorRT {context.target.tensorrt} has no such flag"
        yield context.found(no_precision_flags, message, key="network-mode", hint=writes(context, {"network-mode": 0}))


@on_config("NVI043")
def hardware(context: RuleContext) -> Iterator[Finding]:
    """Accelerators on a PC, a second GPU on a Jetson."""
    platform = context.target.platform
    if context.value("enable-dla") and (lack := _without_dla(context)):
        message, level = lack
        keys = "enable-dla and use-dla-core" if context.given("use-dla-core") else "enable-dla"
        name = _renamed(context, {"enable-dla": 0})
        hint = f"remove {keys}" + (f", and write {as_line(context, 'model-engine-file', name)}" if name else "")
        message = f"{as_line(context, 'enable-dla', 1)}, but {message}"
        yield context.found(hardware, message, key="enable-dla", hint=hint, level=level)
    if context.value("gpu-id") and platform == "jetson":
        message = f"gpu-id is {context.value('gpu-id')}, but a Jetson has GPU 0 only"
        hint = writes(context, {"gpu-id": 0})
        yield context.found(hardware, message, key="gpu-id", hint=hint, level=Level.WARNING)


@on_config("NVI045")
def wrong_kinds(context: RuleContext) -> Iterator[Finding]:
    """Files of a kind that the key is not for."""
    for key in sorted(_JUDGED):
        if kind := wrong_kind(context, key):
            row, text = load_toml("nvinfer/files.toml")[kind], context.files[key].text
            spare = key == "model-engine-file" and context.value("onnx-file", "")
            message = f"{key}: {quoted(text)} is {row['words']}"
            hint = _instead(context, key, kind, row)
            level = Level.WARNING if spare else None  # the engine is built again, at every start
            yield context.found(wrong_kinds, message, key=key, hint=hint, level=level)


def wrong_kind(context: RuleContext, key: str) -> str:
    """What the file of `key` is, a table of configs/nvinfer/files.toml, if that is not what the key is for."""
    kind = context.kinds.get(key, "")
    if not kind or key not in _JUDGED or not is_plain(context.files[key].text):
        return ""
    if key in {"onnx-file", "tlt-encoded-model"} and _own_builder(context):
        return ""  # the library reads it
    return "" if load_toml("nvinfer/files.toml")[kind].get("key") == key else kind


def _instead(context: RuleContext, key: str, kind: str, row: Mapping[str, str]) -> str:
    """What to do with a file of `kind` that stands behind `key`."""
    text, other, release = context.files[key].text, row.get("key", ""), context.target.deepstream
    if kind == "onnx" and key == "model-engine-file":
        model = context.value("onnx-file", "") and context.files["onnx-file"].text
        engine = as_line(context, "model-engine-file", engine_name(context, model or text))
        return f"write {engine}" if model else f"write {as_line(context, 'onnx-file', text)} and {engine}"
    if not other or not between(release, None, catalogue().keys_work_until.get(other)):
        gone = f"DeepStream {release} builds none from it: " if other else ""
        return f"{gone}{row.get('step', '')}"
    hint = f"write {as_line(context, other, text)} instead"
    more = {"engine": "onnx-file with the model it was built from", "caffe": "proto-file with its .prototxt"}
    more |= {"tao": "tlt-model-key with its key"}
    return f"{hint}, and {more[kind]}" if kind in more else hint


def _without_dla(context: RuleContext) -> tuple[str, Level] | None:
    """Why there is no DLA, and how sure that is; None: there may be one."""
    target = context.target
    if target.platform != "jetson":
        return "a discrete GPU has no DLA", Level.ERROR
    having = [name for name in target.families if any(word in name for word in _WITH_DLA)]
    if target.families and not having:
        return f"DeepStream {target.deepstream} runs on {', '.join(target.families)}, without DLA", Level.ERROR
    first, after = _TENSORRT_WITHOUT_DLA
    if first <= version(target.tensorrt) < after:
        return f"TensorRT {target.tensorrt} builds nothing for a DLA (10.7 was the last that did)", Level.ERROR
    lacking = [name for name in target.families if name in _OLD_WITHOUT_DLA]
    return (f"{' and '.join(lacking)} have no DLA, only {', '.join(having)}", Level.WARNING) if lacking else None


def writes(context: RuleContext, changes: Mapping[str, object]) -> str:
    """A hint that says to write `changes`, and the name of the engine where that changes with them."""
    lines = [as_line(context, key, value) for key, value in changes.items()]
    if name := _renamed(context, changes):
        lines.append(as_line(context, "model-engine-file", name))
    return "write " + " and ".join(lines)


def _renamed(context: RuleContext, changes: Mapping[str, object]) -> str | None:
    """What model-engine-file must be after `changes`; None: it stays, or is not what nvinfer writes now either."""
    model, engine = context.files.get("onnx-file"), context.files.get("model-engine-file")
    if model is None or engine is None or engine.path != engine_name(context, model.path):
        return None
    then = engine_name(replace(context, values={**context.values, **changes}), model.path)
    return None if engine.path == then else _engine_text(context, then)


def engine_name(context: RuleContext, onnx: str) -> str:
    """The path nvinfer writes the engine to, for the model at `onnx` (nvdsinfer_model_builder.cpp)."""
    mode = context.value("network-mode")
    if mode == _INT8 and not calibrated(context):
        mode = 2
    core = context.value("use-dla-core")
    device = f"dla{core}" if context.value("enable-dla") and core >= 0 else f"gpu{context.value('gpu-id')}"
    return f"{onnx}_b{context.value('batch-size')}_{device}_{_MODES[mode]}.engine"


def calibrated(context: RuleContext) -> bool:
    """Whether there is a calibration table: one that is not here may be on the target."""
    if not context.value("int8-calib-file", ""):
        return False
    file = context.files.get("int8-calib-file")
    return file is None or file.presence.here or not os.path.exists(file.path)  # noqa: PTH110


def _own_builder(context: RuleContext) -> bool:
    """Whether a library, not nvinfer, may build the engine, and call it as it likes."""
    if not context.value("custom-lib-path", ""):
        return False
    if context.value("engine-create-func-name", "") or context.value("custom-network-config", ""):
        return True
    library = context.library  # None: it is not here, and may
    return library is None or (not library.stock and library.has("NvDsInferCudaEngineGet"))


def _old_models(context: RuleContext) -> tuple[str, ...]:
    """Keys of models that only old releases can build."""
    keys, until = ("model-file", "uff-file"), catalogue().keys_work_until
    return tuple(key for key in keys if between(context.target.deepstream, None, until.get(key)))


def _engine_text(context: RuleContext, path: str) -> str:
    """How the engine at `path` is written: beside the model, or from the app's folder where that names it."""
    if "model-engine-file" in context.settings:
        app = os.path.realpath(context.place("model-engine-file").path)
        return os.path.relpath(path, os.path.dirname(app))  # noqa: PTH120 - text
    folder, slash, _ = context.files["onnx-file"].text.rpartition("/")
    return f"{folder}{slash}{os.path.basename(path)}"  # noqa: PTH119 - text
