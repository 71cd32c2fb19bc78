"""The files of a bundle besides the configs and RUN.md: labels, the script that builds the engine; and their names.

Labels: nothing is quoted or escaped in a label file, so some labels cannot be written. Every non-empty line of a
*classifier's* file is one output layer and is split at `;`, so all labels stand in ONE line. A *detector's* line i
names class i, up to the first `;`; empty lines are skipped, which shifts all classes behind them. Nothing is trimmed: a
CR or a byte order mark becomes part of a label. (nvdsinfer_context_impl.cpp, parseLabelsFile; decided by running it,
DeepStream 9.1.)
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Callable, Container, Mapping
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any

from convert import errors, onnx_header, types
from convert.files import Output, load_text, make_folder, sha256, write_all
from convert.findings import Finding, Rule
from convert.nvinfer import keys, targets, tensorrt
from convert.report import REPORT, BundleReport, dumps

if TYPE_CHECKING:
    from pathlib import Path


DUPLICATE_LABEL = Rule("EI500")
LONG_LABEL = Rule("EI501")
NO_CENTRED_PADDING = Rule("EI502")
FP16 = Rule("EI503")
TARGET_NOT_VERIFIED = Rule("EI504")
SAMPLE_DETECTOR = Rule("EI505")
STALE_ENGINE = Rule("EI506")
LEFT_FROM_ANOTHER_ROLE = Rule("EI507")
OTHER_BUNDLE_IN_FOLDER = Rule("EI508")
OPSET = Rule("EI509")
SECONDARY_LEFT_OUT = Rule("EI510")
NOT_BUILT = Rule("EI511")
FP16_DIFFERS = Rule("EI512")


SCRIPT = "build_engine.sh"
RUN = "RUN.md"


def is_script(file: str) -> bool:
    """Whether a bundle's file is to be executable."""
    return file.endswith(".sh")


@dataclass(frozen=True, slots=True)
class EngineBuild:
    """What decides an engine apart from the model.

    Attributes:
        onnx: file name of the model.
        batch_size: most frames or objects at a time.
        gpu_id: number of the GPU.
        precision: "fp32", "fp16", "int8", or "typed": as the types of the model say.
    """

    onnx: str
    batch_size: int
    gpu_id: int
    precision: str

    @property
    def file(self) -> str:
        """The name Gst-nvinfer gives the engine it builds, beside the model, and so the value of model-engine-file.

        `<model>_b<batch>_gpu<id>_<mode>.engine`: nvdsinfer_model_builder.cpp, the same from DeepStream 5.1 to 9.1. A
        model that gives the types itself has network-mode=0.
        """
        mode = "fp32" if self.precision == "typed" else self.precision
        return f"{self.onnx}_b{self.batch_size}_gpu{self.gpu_id}_{mode}.engine"


def trtexec_arguments(engine: EngineBuild, model_input: types.Tensor, target: targets.Target) -> tuple[str, ...]:
    """trtexec's arguments, besides --saveEngine, that build what Gst-nvinfer would build.

    The profile is Gst-nvinfer's: batch 1 to `batch_size`, tuned for `batch_size`. TF32 is left alone, as it leaves it.

    Args:
        model_input: [N,C,H,W]; with a fixed batch the shapes are left out, because trtexec then refuses them.

    Raises:
        PresetError: the target's trtexec cannot build at this precision.
    """
    batch, *sizes = model_input.shape
    shapes: list[str] = []
    if batch is None:
        rest = "x".join(str(size) for size in sizes)
        counts = {"min": 1, "opt": engine.batch_size, "max": engine.batch_size}
        shapes = [f"--{which}Shapes={model_input.name}:{count}x{rest}" for which, count in counts.items()]
    device = [f"--device={engine.gpu_id}"] if engine.gpu_id else []
    return (f"--onnx={engine.onnx}", *shapes, *device, *targets.trtexec_flags(target.tensorrt, engine.precision))


def build_script(
    engine: EngineBuild, model_input: types.Tensor, target: targets.Target, name: str = SCRIPT, *, impulse: bool = False
) -> bytes:
    """The script `name`: builds `engine` in its own folder; a build that fails or is stopped leaves nothing behind.

    Args:
        impulse: the model is a whole impulse, which Gst-nvinfer does not run; TF32 is switched off.

    Raises:
        PresetError: the target's trtexec cannot build at this precision.
    """
    about = load_text(f"bundle/engine_{'whole' if impulse else 'named'}.txt")
    note = targets.trtexec_note(target.tensorrt, engine.precision)
    arguments = (*trtexec_arguments(engine, model_input, target), *(["--noTF32"] if impulse else []))
    return (
        load_text("bundle/build_engine.sh")
        .format(
            script=name,
            whose="of a whole one" if impulse else "that Gst-nvinfer loads",
            about=about.format(engine=shlex.quote(engine.file)),
            release=target.deepstream,
            platform=target.platform,
            tensorrt=target.tensorrt,
            note=f"# Note: {note}.\n" if note else "",
            trtexec=targets.sdk_path(target, "trtexec"),
            onnx=shlex.quote(engine.onnx),
            engine=shlex.quote(engine.file),
            arguments=" \\\n  ".join(map(shlex.quote, arguments)),
        )
        .encode()
    )


@dataclass(frozen=True, slots=True)
class Names:
    """The files called after the model; `{}` is its name."""

    onnx: str = "{}.onnx"
    labels: str = "{}_labels.txt"
    primary: str = "config_infer_primary_{}.txt"
    secondary: str = "config_infer_secondary_{}.txt"
    app: str = "deepstream_app_{}.txt"
    calibration: str = "{}_int8.txt"
    analytics: str = "config_nvdsanalytics_{}.txt"
    tracker: str = "config_tracker_{}.yml"


def bundle_names(name: str) -> Names:
    """The files of the bundle `name`.

    Raises:
        PresetError: the name cannot be part of a file name and of a config.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise errors.PresetError(f"a bundle cannot be called {name!r}", hint="letters, digits, - and _ only")
    return Names(*(each.format(name) for each in astuple(Names())))


CALIBRATION = "bundle/int8.txt"
"""The text, in `configs/`, that int8-calib-file names.

nvdsinfer_model_builder.cpp: without a readable file network-mode=1 becomes FP16. In a network with explicit
quantization TensorRT does not call the calibrator (NVIDIA/TensorRT#1837).
"""


def has_codes(model: bytes) -> bool:
    """Whether an ONNX model quantizes."""
    return any(node.op == "QuantizeLinear" for node in onnx_header.parse_header(model).nodes)


def beside(folder: Path, name: str, files: Container[str]) -> tuple[Finding, ...]:
    """What lies in `folder` before `files`, the bundle `name`, are written, and is not, or no more, part of it."""
    names = bundle_names(name)
    found = [
        LEFT_FROM_ANOTHER_ROLE.found(f"{left} is from an earlier run with another --role", path=folder / left)
        for left in (names.primary, names.secondary, names.analytics, names.tracker)
        if left not in files and (folder / left).exists()
    ]
    other: str | None = None
    models: tuple[str, ...] = ()
    try:
        report = BundleReport.read(folder)
        if report and len(report.models) == 1:
            other = report.models[0].name
            models = tuple(each.file for each in (*report.models, report.object_model) if each)
    except errors.InputError:  # no report of ours
        pass
    if other == name:
        found += [
            LEFT_FROM_ANOTHER_ROLE.found(
                f"{left} is from an earlier run with another --frame or --role", path=folder / left
            )
            for left in models
            if left not in files and (folder / left).exists()
        ]
    replaced = [each for each in (SCRIPT, RUN, REPORT) if each in files and (folder / each).exists()]
    if other not in {None, name} and replaced:
        found.append(
            OTHER_BUNDLE_IN_FOLDER.found(
                f"the folder held the bundle of {other!r}; replaced: {', '.join(replaced)}",
                path=folder,
                hint="use one folder per model",
            )
        )
    return tuple(found)


def stale_engines(folder: Path, onnx: str) -> tuple[Finding, ...]:
    """Engines built before the model was last changed; unchanged files keep their time (`convert.files`)."""
    changed = (folder / onnx).lstat().st_mtime_ns
    return tuple(
        STALE_ENGINE.found(
            f"{engine.name} is older than {onnx}; Gst-nvinfer would go on using it",
            path=engine,
            hint=f"run {SCRIPT}, or delete the engine",
        )
        for engine in sorted(folder.glob(f"{onnx}_b*.engine"))
        if engine.lstat().st_mtime_ns < changed  # of a link itself, which may lead nowhere
    )


def write_bundle(
    folder: Path, name: str | None, files: dict[str, bytes], report: Callable[[list[Output]], dict[str, Any]]
) -> tuple[tuple[Output, ...], tuple[Finding, ...]]:
    """Write `files` and the report of the bundle `name`, of None that of two models; with findings about the folder.

    Args:
        report: makes the report of the digests of `files`.

    Raises:
        OutputError: they cannot be written; those of an earlier run are then intact.
    """
    files = files | {REPORT: dumps(report([Output(name, sha256(data)) for name, data in files.items()]))}
    make_folder(folder)
    around = beside(folder, name, files) if name else ()
    written = write_all(folder, files, executables=frozenset(filter(is_script, files)))
    models = (each for each in files if each.endswith(".onnx"))
    return written, (*around, *(stale for each in models for stale in stale_engines(folder, each)))


def parser_findings(model: types.OnnxModel, file: str, where: targets.Target, hint: str) -> list[Finding]:
    """What of `model`, in `file`, the target's TensorRT does not take; `hint` is about its opset."""
    found = []
    lowest, highest = targets.opsets(where.tensorrt)
    if not lowest <= model.opset <= highest:
        parser = f"the parser of TensorRT {where.tensorrt} was made for {lowest} to {highest}"
        found.append(OPSET.found(f"the model has opset {model.opset}, {parser}", path=file, hint=hint))
    refused = tensorrt.refusals(onnx_header.parse_header(model.data), where)
    return found + [NOT_BUILT.found(each.message, path=file, hint=each.hint) for each in refused]


def unverified_findings(where: targets.Target, files: Mapping[str, str]) -> list[Finding]:
    """Cells of the target's table that were not verified, of those that decide what is in `files` (cell -> file)."""
    return [
        TARGET_NOT_VERIFIED.found(f"{where.name}, {where.platform}: {cell} not verified: {why}", path=files[cell])
        for cell, why in where.unverified
        if cell in files
    ]


_SEPARATORS = {"one-line": ";", "one-per-line": "\n"}

_SURROGATE = re.compile("[\ud800-\udfff]")
_FORBIDDEN = {
    ";": "a semicolon, which separates labels",
    "\n": "a line break",
    "\r": "a carriage return",
    "\0": "a null character",
}


def label_file(labels: tuple[str, ...], form: str, source: str = "the export") -> bytes:
    """The file's bytes, UTF-8, in class order.

    Args:
        labels: without background.
        form: "one-line" for classifiers: `a;b;c` WITHOUT a newline at its end, so that readers that split at `;` and
            do not trim get the same last label as Gst-nvinfer, which accepts both; "one-per-line" for detectors, each
            line with its newline.
        source: who gives the labels, for messages.

    Raises:
        InputError: a label cannot be expressed, or there are none.
        PresetError: no such form.
    """
    if form not in _SEPARATORS:
        raise errors.PresetError(f"there is no label file form {form!r}", hint="one of: " + ", ".join(_SEPARATORS))
    if not labels:
        raise errors.InputError("there are no labels", hint="give them in output order with --labels")
    for number, label in enumerate(labels, 1):
        problem = next((f"it contains {what}" for character, what in _FORBIDDEN.items() if character in label), "")
        if not label:
            problem = "it is empty, and Gst-nvinfer skips empty labels"
        elif label.startswith("\ufeff"):
            problem = "it starts with a byte order mark"
        elif _SURROGATE.search(label):
            problem = problem or "it is not valid Unicode"
        if problem:
            message = f"label {number} {label!r} of {source} cannot be written to a label file: {problem}"
            hint = "rename it in Edge Impulse, or give all labels in output order with --labels"
            raise errors.InputError(message, hint=hint)
    text = _SEPARATORS[form].join(labels)
    return (text if form == "one-line" else text + "\n").encode()


def label_findings(labels: tuple[str, ...], path: str) -> tuple[Finding, ...]:
    """What is questionable in a label file `path` that can be written."""
    found = [
        DUPLICATE_LABEL.found(f"{count} classes are called {label!r}", path=path)
        for label, count in Counter(labels).items()
        if count > 1
    ]
    found += [
        LONG_LABEL.found(f"label {number} has {size} bytes, {keys.LABEL_BYTES} are kept: {label!r}", path=path)
        for number, label in enumerate(labels, 1)
        if (size := len(label.encode())) > keys.LABEL_BYTES
    ]
    return tuple(found)
