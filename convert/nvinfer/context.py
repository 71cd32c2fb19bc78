"""NVIDIA's inference context (NvDsInferContextImpl): whether it starts with a config and an engine; its first frame.

(`convert.check.context` is another one: what the rules of `check` get.)

Start: the steps of `gst_nvinfer_start` (gstnvinfer.cpp) and `NvDsInferContextImpl::initialize`
(nvdsinfer_context_impl.cpp) in their order, DeepStream 9.1, compiled without assertions and without OpenCV as NVIDIA
ships it. The engine is not built: it is assumed to exist when the config names something to build it from.

Label files (parseLabelsFile in nvdsinfer_context_impl.cpp): every line that is not empty is one entry, split at `;`;
nothing is trimmed, so a carriage return or a byte order mark becomes part of a label, and an empty line shifts what
follows. A detector takes the first label of entry i for class i, a classifier the labels of entry i for the classes of
output i.

Libraries: nvinfer opens custom-lib-path with dlopen and finds functions by name with dlsym. The functions of the stock
library are known for each release (`configs/targets.toml`), so its configs can be checked without DeepStream. In any
other library only the names in the file are searched; none of its code runs.

First frame: what the built-in parsers (nvdsinfer_context_impl_output_parsing.cpp) and those of the stock library
(nvdsinfer_customparser) do with a frame of zeros, as far as the names, types and shapes of the outputs decide it. What
another library does is not known, and counts as success.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from convert.errors import InputError
from convert.nvinfer import keys, numbers, targets

MOST_LABEL_BYTES: Final = 64 * 2**20
"""A larger file is not read; the largest public label lists have a few hundred kilobytes."""


class LabelLine(NamedTuple):
    """One entry: its line in the file, from 1, and its labels, never empty. Empty lines have none."""

    line: int
    labels: tuple[str, ...]


def read_labels(path: Path | str) -> tuple[LabelLine, ...]:
    """The entries of a label file.

    Raises:
        InputError: nvinfer cannot read it either: missing, a folder, unreadable; or no ordinary file, or too large.
    """
    return split_labels(numbers.read_ordinary(path, "label file", MOST_LABEL_BYTES))


def split_labels(data: bytes) -> tuple[LabelLine, ...]:
    """The entries of a label file with these bytes. A label ends at a NUL, as the C strings it is copied into do."""
    return tuple(
        LabelLine(line, tuple(keys.as_text(label.partition(b"\0")[0]) for label in text.split(b";")))
        for line, text in enumerate(data.split(b"\n"), start=1)
        if text
    )


_STOCK: Final = re.compile(r"/opt/nvidia/deepstream/deepstream(?:-[0-9.]+)?/lib/libnvds_infercustomparser\.so")


@dataclass(frozen=True, slots=True)
class Library:
    """A library that can be opened. `functions` is None where only the file at `path` can tell."""

    path: str
    functions: frozenset[str] | None = None

    @property
    def stock(self) -> bool:
        """Whether it is NVIDIA's parser library."""
        return self.functions is not None

    def has(self, function: str) -> bool:
        """Whether dlsym finds `function`: for a file, whether its name is one of the strings in it."""
        if self.functions is not None:
            return function in self.functions
        with Path(self.path).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(b"\0" + function.encode() + b"\0") >= 0


def library_of(parsed: keys.Parsed) -> Library | None:
    """The library an accepted config names; None where nvinfer could not open it on this machine.

    NVIDIA's parser library counts as installed.
    """
    entry = parsed.entry("custom-lib-path")
    written = "" if entry is None else entry.text
    if _STOCK.fullmatch(written):
        spans = ((each.function, each.since, each.until) for each in targets.catalogue().parsers)
        return Library(written, frozenset(name for name, *span in spans if keys.within(parsed.release, *span)))
    path = Path(parsed.files.get("custom-lib-path", ""))
    try:
        # Opening a FIFO would block.
        if not path.is_file():
            return None
        with path.open("rb") as file:
            opens = file.read(4) == b"\x7fELF"
    except (OSError, ValueError):
        return None
    return Library(str(path)) if opens else None


SIGSEGV: Final = 11
SIGFPE: Final = 8


@dataclass(frozen=True, slots=True)
class Binding:
    """An input or output of an engine. `dims` without the batch; `dtype`: float, half, int8, int32, int64, uint8."""

    name: str
    dtype: str
    dims: tuple[int, ...]

    def dim(self, index: int) -> int:
        """The dimension nvinfer finds at `index`; 0 behind the last one."""
        return self.dims[index] if index < len(self.dims) else 0


@dataclass(frozen=True, slots=True)
class ParserOutcome:
    """`failed`: the parser gives up on every frame, because of `message`. `signal`: the process dies of it."""

    failed: bool = False
    message: str = ""
    signal: int | None = None


_FINE: Final = ParserOutcome()


def _fails(message: str) -> ParserOutcome:
    return ParserOutcome(failed=True, message=message)


def built_in_boxes(outputs: Sequence[Binding]) -> ParserOutcome:
    """The detector parser that needs no library: the last output with "cov" and the last with "bbox" in its name."""
    cov = [each for each in outputs if "cov" in each.name]
    boxes = [each for each in outputs if "bbox" in each.name]
    names = ", ".join(each.name for each in outputs)
    if not cov:
        return _fails(f"no output has “cov” in its name ({names}): the built-in parser finds no coverage layer")
    if not boxes:
        return _fails(f"no output has “bbox” in its name ({names}): the built-in parser finds no box layer")
    if not (boxes[-1].dim(1) and boxes[-1].dim(2)):
        message = f"output {boxes[-1].name} has fewer than three dimensions: the built-in parser divides by zero"
        return ParserOutcome(message=message, signal=SIGFPE)
    return _FINE


def built_in_segments(outputs: Sequence[Binding], classes: int, order: int) -> ParserOutcome:
    """The segmentation parser that needs no library. `order`: segmentation-output-order, 0 NCHW or 1 NHWC."""
    for each in outputs:
        if each.dtype != "float":
            return _fails(f"output {each.name} is {each.dtype}; the built-in segmentation parser reads float only")
    channels = outputs[0].dim(2 if order else 0) if outputs else 0
    if channels != classes:
        return _fails(f"num-detected-classes is {classes}, but output {outputs[0].name} has {channels} channels")
    return _FINE


def stock_parser(function: str, outputs: Sequence[Binding], classes: int, network: tuple[int, int]) -> ParserOutcome:
    """A function of NVIDIA's libnvds_infercustomparser.so; `network` is (height, width)."""
    parser = next((each for each in targets.catalogue().parsers if each.function == function), None)
    if parser is None:
        return _FINE
    if failed := _demands(parser, outputs) or (function in _SHAPES and _SHAPES[function](outputs, network)):
        return _fails(f"{function}: {failed}")
    if not classes and parser.class_0:
        message = f"{function} reads the threshold of class 0, and there are no classes"
        return ParserOutcome(message=message, signal=SIGSEGV)
    return _FINE


def _demands(parser: targets.Parser, outputs: Sequence[Binding]) -> str | None:
    """What the outputs lack of what the parser demands by number, name, type and rank."""
    if parser.count not in {None, len(outputs)}:
        return f"there are {len(outputs)} outputs, not {parser.count}"
    if missing := [name for name in parser.names if name not in {each.name for each in outputs}]:
        return f"there is no output called {missing[0]}"
    floats = {each.name: each for each in outputs if each.dtype == "float"}
    if missing := [name for name in parser.floats if name not in floats]:
        return f"there is no float output called {' or '.join(missing)}"
    for name, wanted in parser.ranks.items():
        if len(floats[name].dims) != wanted:
            return f"output {name} has {len(floats[name].dims)} dimensions, not {wanted}"
    return None


def _oriented(outputs: Sequence[Binding], _: tuple[int, int]) -> str | None:
    if len(outputs) != 1:
        return f"there are {len(outputs)} outputs, not 1"
    dims = outputs[0].dims
    values = dims[0] if len(dims) == 2 else (dims[2] or 6) if len(dims) == 3 else 0
    return None if values >= 5 else f"output {outputs[0].name} does not have the shape of oriented boxes"


def _people(outputs: Sequence[Binding], network: tuple[int, int]) -> str | None:
    found = [each for each in outputs if each.name == "argmax_1" and each.dtype in {"int32", "int64"}]
    if not found:
        return "there is no int32 or int64 output called argmax_1"
    wanted = (*network, 1)
    return None if found[0].dims == wanted else f"output argmax_1 is {found[0].dims}, not {wanted}"


_SHAPES: Final = {"NvDsInferParseCustomYoloV11OBB": _oriented, "NvDsInferParseCustomPeopleSemSegNet": _people}


_GRAY: Final = 2
# magic, width, height and largest value of a PPM picture, as iostreams read them: no comments, one character between.
_PPM: Final = re.compile(rb"\s*(\S+)\s+([0-9]+)\s+([0-9]+)\s+\S+")


class Status(StrEnum):
    """NvDsInferStatus (nvdsinfer.h), as far as it is reached here."""

    CONFIG_FAILED = "NVDSINFER_CONFIG_FAILED"
    CUSTOM_LIB_FAILED = "NVDSINFER_CUSTOM_LIB_FAILED"
    TENSORRT_ERROR = "NVDSINFER_TENSORRT_ERROR"
    RESOURCE_ERROR = "NVDSINFER_RESOURCE_ERROR"


@dataclass(frozen=True, slots=True)
class Engine:
    """Inputs and outputs of TensorRT's engine. `max_batch`: frames at once; the image input comes first."""

    max_batch: int
    inputs: tuple[Binding, ...]
    outputs: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class InputSize:
    """The picture the network sees, in pixels."""

    width: int
    height: int
    channels: int


@dataclass(frozen=True, slots=True)
class Initialised:
    """The result of the start.

    Attributes:
        verdict: "ok"; "refused", with `status` (None: the element itself refuses); "aborts", with `signal`.
        network: the input size in use, where the context was made.
        cluster_mode: the one in use: 0 becomes 2 for a detector.
        output_parser_failed: the context was made, but no frame will ever have a result.
        problems: nvinfer's errors and warnings, in its order.
    """

    verdict: str
    status: Status | None = None
    signal: int | None = None
    network: InputSize | None = None
    cluster_mode: int | None = None
    output_parser_failed: bool = False
    problems: tuple[keys.Problem, ...] = ()


class _Stopped(Exception):
    """A step failed; `result` is what `initialise` gives, but for the problems."""

    def __init__(self, result: Initialised) -> None:
        super().__init__(result)
        self.result = result


def initialise(parsed: keys.Parsed, engine: Engine) -> Initialised:
    """Starts an inference context with the accepted config `parsed` and `engine`, and parses one frame.

    Label file, mean file and custom library are read on this machine; NVIDIA's parser library counts as installed.

    Raises:
        ValueError: the config was not accepted.
    """
    if not parsed.accepted:
        raise ValueError("only an accepted config can be initialised")
    start = _Start(parsed, engine)
    try:
        network = start.context()
        failed = start.first_frame(network)
    except _Stopped as stopped:
        return replace(stopped.result, problems=tuple(start.problems))
    problems, mode = tuple(start.problems), start.cluster_mode
    return Initialised("ok", network=network, cluster_mode=mode, output_parser_failed=failed, problems=problems)


class _Start:
    """The steps of the start; a step that fails raises `_Stopped`."""

    def __init__(self, parsed: keys.Parsed, engine: Engine) -> None:
        self.parsed = parsed
        self.values = parsed.values
        self.engine = engine
        self.kind: int = self.values["network-type"]
        self.cluster_mode: int = self.values["cluster-mode"]
        self.library: Library | None = None
        self.problems: list[keys.Problem] = []

    def add_problem(self, reason: keys.Reason, key: str, message: str, *, fatal: bool = False) -> None:
        entry = self.parsed.entry(key)
        line, column = (None, None) if entry is None else (entry.value_line, entry.value_column)
        self.problems.append(keys.Problem(reason, keys.printable(message), "property", key, line, column, fatal))

    def refuse(
        self, reason: keys.Reason, key: str, message: str, status: Status | None = Status.CONFIG_FAILED
    ) -> NoReturn:
        self.add_problem(reason, key, message, fatal=True)
        raise _Stopped(Initialised("refused", status=status))

    def abort(self, reason: keys.Reason, key: str, message: str, signal: int) -> NoReturn:
        self.add_problem(reason, key, message, fatal=True)
        raise _Stopped(Initialised("aborts", signal=signal))

    def context(self) -> InputSize:
        """The element's own check, then the inference context."""
        values = self.values
        if values["output-instance-mask"] and self.cluster_mode != keys.ClusterMode.NONE:
            message = f"output-instance-mask needs cluster-mode=4, not {self.cluster_mode}"
            self.refuse(keys.Reason.RANGE, "output-instance-mask", message, None)
        if self.cluster_mode == keys.ClusterMode.GROUP_RECTANGLES and self.kind == keys.NetworkType.DETECTOR:
            self.cluster_mode = keys.ClusterMode.NMS
            message = "cluster-mode 0 is no longer built in: NMS is used, with the 20 best objects and IoU 0.5"
            self.add_problem(keys.Reason.NOTE, "cluster-mode", message)
        if values["gie-unique-id"] == 0:
            self.refuse(keys.Reason.RANGE, "gie-unique-id", "gie-unique-id is not set")
        if values["custom-lib-path"]:
            self.library = library_of(self.parsed)
            if self.library is None:
                message = f"the library {values['custom-lib-path']} cannot be opened"
                self.refuse(keys.Reason.LIBRARY, "custom-lib-path", message, Status.CUSTOM_LIB_FAILED)
        self.check_engine()
        network = self.network()
        if not values.get("input-tensor-from-meta"):
            self.preprocessing(network)
        self.postprocessing()
        if len(self.engine.inputs) > 1 and not (self.library and self.library.has("NvDsInferInitializeInputLayers")):
            message = "the model has more than one input, and no library to fill the others"
            self.refuse(keys.Reason.LIBRARY, "custom-lib-path", message, Status.CUSTOM_LIB_FAILED)
        return network

    def check_engine(self) -> None:
        """Something to make the engine from, and an engine that fits (checkBackendParams)."""
        values, engine = self.values, self.engine
        if not values["model-engine-file"]:
            self.check_builder()
        if engine.max_batch < values["batch-size"]:
            message = f"batch-size is {values['batch-size']}, the engine takes {engine.max_batch}"
            self.refuse(keys.Reason.MODEL, "batch-size", message)
        if all(values["infer-dims"]):
            channels, height, width = values["infer-dims"]
            nhwc = values.get("network-input-order") == 1
            wanted = (height, width, channels) if nhwc else (channels, height, width)
            dims = engine.inputs[0].dims if engine.inputs else ()
            if dims != wanted:
                shown = " and ".join("x".join(map(str, shape)) for shape in (wanted, dims))
                message = f"infer-dims asks for an input other than the engine's: {shown}"
                self.refuse(keys.Reason.MODEL, "infer-dims", message)
        outputs = {each.name for each in engine.outputs}
        for name in values["output-blob-names"]:
            if name not in outputs:
                self.add_problem(keys.Reason.NOTE, "output-blob-names", f"the model has no output called {name!r}")

    def check_builder(self) -> None:
        """TrtModelBuilder::buildModel: an engine function, a TAO model, a model parser of the library, or ONNX."""
        values = self.values
        function = values["engine-create-func-name"]
        if self.library and function:
            if not self.library.has(function):
                self.refuse(keys.Reason.LIBRARY, "engine-create-func-name", f"the library has no function {function}")
            return
        if self.library and self.library.has("NvDsInferCudaEngineGet"):
            return
        if values["tlt-encoded-model"] or values["onnx-file"]:
            return
        if not (self.library and self.library.has("NvDsInferCreateModelParser")):
            message = "neither model-engine-file nor onnx-file is given: there is nothing to make an engine from"
            self.refuse(keys.Reason.MODEL, "onnx-file", message)

    def network(self) -> InputSize:
        """The input size: infer-dims, or the engine's own (initInferenceInfo)."""
        if not self.engine.inputs:
            self.refuse(keys.Reason.MODEL, "onnx-file", "the model has no input", Status.TENSORRT_ERROR)
        dims = self.engine.inputs[0].dims
        if len(dims) != 3 and not self.values.get("input-tensor-from-meta"):
            message = f"the model's input has the shape {list(dims)} behind the batch, not channels, height and width"
            self.refuse(keys.Reason.MODEL, "onnx-file", message, Status.TENSORRT_ERROR)
        if all(self.values["infer-dims"]):
            dims = tuple(self.values["infer-dims"])
        if len(dims) != 3:
            dims = (0, 0, 0)
        channels, height, width = dims
        return InputSize(width, height, channels)

    def preprocessing(self, network: InputSize) -> None:
        values = self.values
        gray = values["model-color-format"] == _GRAY
        if network.channels != (1 if gray else 3):
            name = "GRAY needs 1 channel" if gray else "RGB and BGR need 3 channels"
            message = f"model-color-format {name}, the network has {network.channels}"
            self.refuse(keys.Reason.MODEL, "model-color-format", message)
        scale = values["net-scale-factor"]
        offsets = len(values["offsets"])
        # Not a number, and minus infinity, are no more than 0.
        positive = scale == "inf" or (not isinstance(scale, str) and scale > 0)
        if positive and offsets not in {0, network.channels}:
            message = f"there are {offsets} offsets for {network.channels} channels"
            self.refuse(keys.Reason.MODEL, "offsets", message)
        if values["mean-file"]:
            self.mean_file(network)

    def mean_file(self, network: InputSize) -> None:
        size = network.width * network.height * network.channels
        try:
            with Path(self.parsed.files["mean-file"]).open("rb") as file:
                # The numbers in front have far fewer characters than this.
                data = file.read(size + 4096)
        except OSError:
            self.refuse(keys.Reason.PATH, "mean-file", "the mean file cannot be read")
        header = _PPM.match(data)
        if header is None or header[1] not in {b"P3", b"P6"}:
            self.refuse(keys.Reason.MODEL, "mean-file", "the mean file is no PPM picture (P3 or P6)")
        if header[2].lstrip(b"0") != b"%d" % network.width or header[3].lstrip(b"0") != b"%d" % network.height:
            message = f"the mean file is not {network.width} x {network.height}, the size of the network's input"
            self.refuse(keys.Reason.MODEL, "mean-file", message)
        if len(data) - header.end() - 1 < size:
            self.refuse(keys.Reason.MODEL, "mean-file", f"the mean file has fewer than {size} bytes of picture")

    def postprocessing(self) -> None:
        """Labels and the parse function (initResource of the network type's postprocessor); "other" has neither."""
        if self.kind == keys.NetworkType.OTHER:
            return
        overwrites = self.values.get("overwrite-output-tensor") and self.values["output-blob-names"]
        if overwrites and not self.values["op-tensor-files"]:
            message = "overwrite-output-tensor without op-tensor-files: nvinfer reads a list that is not there"
            self.abort(keys.Reason.RANGE, "overwrite-output-tensor", message, SIGSEGV)
        if self.values["labelfile-path"]:
            try:
                read_labels(self.parsed.files["labelfile-path"])
            except InputError as error:
                self.refuse(keys.Reason.PATH, "labelfile-path", error.message)
        if self.kind == keys.NetworkType.INSTANCE_SEGMENTATION and self.cluster_mode != keys.ClusterMode.NONE:
            message = f"instance segmentation needs cluster-mode=4, not {self.cluster_mode}"
            self.refuse(keys.Reason.RANGE, "cluster-mode", message)
        key = keys.FUNCTIONS[self.kind]
        function = self.function
        if self.library and function and not self.library.has(function):
            self.refuse(keys.Reason.LIBRARY, key, f"the library has no function {function}", Status.CUSTOM_LIB_FAILED)
        if self.kind == keys.NetworkType.INSTANCE_SEGMENTATION and not (self.library and function):
            message = f"instance segmentation needs custom-lib-path and {key}"
            self.refuse(keys.Reason.LIBRARY, key, message, Status.RESOURCE_ERROR)

    @property
    def function(self) -> str:
        """The parse function in the config; older releases have no key for segmentation."""
        return str(self.values.get(keys.FUNCTIONS[self.kind], ""))

    def first_frame(self, network: InputSize) -> bool:
        """Whether the output parser gives up."""
        if self.kind == keys.NetworkType.OTHER:
            return False
        classes = self.values["num-detected-classes"]
        outcome = self.parse(network, classes)
        key = keys.FUNCTIONS[self.kind]
        if outcome.signal is not None:
            self.abort(keys.Reason.MODEL, key, outcome.message, outcome.signal)
        if outcome.failed:
            self.add_problem(keys.Reason.MODEL, key, outcome.message)
            return True
        with_nms = self.cluster_mode in {keys.ClusterMode.NMS, keys.ClusterMode.DBSCAN_NMS}
        if self.kind == keys.NetworkType.DETECTOR and not classes and with_nms:
            message = "num-detected-classes is 0: NMS looks for the longest of no lists, and the process dies"
            self.abort(keys.Reason.RANGE, "num-detected-classes", message, SIGSEGV)
        return False

    def parse(self, network: InputSize, classes: int) -> ParserOutcome:
        outputs = self.engine.outputs
        if self.library and self.function:
            # What another library makes of the outputs is not known.
            size = (network.height, network.width)
            return stock_parser(self.function, outputs, classes, size) if self.library.stock else ParserOutcome()
        if self.kind == keys.NetworkType.DETECTOR:
            return built_in_boxes(outputs)
        if self.kind == keys.NetworkType.SEGMENTATION:
            return built_in_segments(outputs, classes, self.values.get("segmentation-output-order", 0))
        return ParserOutcome()
