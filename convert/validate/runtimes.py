"""Runs models: the original in the isolated child, the ONNX model in ONNX Runtime, and optionally TensorRT-RTX.

The original runs in the child because a damaged model can crash the process: a `.tflite` in LiteRT, one that is ONNX
itself, unchanged, in ONNX Runtime. LiteRT gets one thread and its default kernels (XNNPACK for what it knows), which is
what Edge Impulse's Linux runtimes use: three times as fast as the built-in kernels, and the same bits each time on the
same machine.

ONNX Runtime, too, gets one thread: the same bits each time, and the other cores are left to other conversions. At the
sizes Edge Impulse trains for it costs little. It writes no log lines and sends no telemetry.

TensorRT-RTX (`pip install tensorrt-rtx`) is NVIDIA's own ONNX parser and engine builder; to parse and to build it
needs neither GPU nor driver. It is not the TensorRT that nvinfer loads, so a pass is a good sign and no proof; what it
refuses TensorRT refuses too. The network is prepared as nvinfer does it: the batch dimension of the input is
overwritten by -1, and the profile is min 1, opt = max = batch-size.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import MissingDependencyError, ValidationError, pip_install
from convert.heads import ssd
from convert.isolation import LARGE, Died, Failed, Worker, return_freed_memory
from convert.onnx_header import read_header
from convert.validate.inputs import as_edge_impulse

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.images import ImageScaling

DEFAULT, BUILTIN, REFERENCE = "XNNPACK", "built-in", "reference"
"""LiteRT's kernels, as people call them."""

_DAMAGED = "the model is damaged, or holds an operator that is not known: download the export again"


def outputs(
    model: bytes,
    pictures: NDArray[Any],
    scaling: ImageScaling | None,
    worker: Worker,
    timeout: float,
    *,
    kernels: str = DEFAULT,
) -> list[NDArray[np.float32]]:
    """What `run_tflite` returns, computed in `worker` in at most `timeout` seconds.

    Raises:
        ValidationError: LiteRT refuses the model, crashes, or takes too long.
    """
    result: list[NDArray[np.float32]] = call_original(
        "convert.validate.runtimes:run_tflite", worker, timeout, model, pictures, scaling, kernels
    )
    return result


def onnx_outputs(
    model: bytes,
    pictures: NDArray[np.uint8],
    scaling: ImageScaling,
    shapes: Sequence[tuple[int | None, ...]],
    worker: Worker,
    timeout: float,
) -> list[NDArray[np.float32]]:
    """What `run_onnx_reference` returns, computed in `worker` in at most `timeout` seconds.

    Raises:
        ValidationError: ONNX Runtime refuses the model, crashes, or takes too long.
    """
    arguments = (model, pictures, scaling, tuple(shapes))
    result: list[NDArray[np.float32]] = call_original(
        "convert.validate.runtimes:run_onnx_reference", worker, timeout, *arguments, engine="ONNX Runtime"
    )
    return result


def call_original(function: str, worker: Worker, timeout: float, *arguments: Any, engine: str = "LiteRT") -> Any:
    """What `function`, which runs the original in `engine`, gives in `worker`, in at most `timeout` seconds.

    Raises:
        ValidationError: it fails, crashes or takes too long.
    """
    try:
        return worker.call(function, *arguments, timeout=timeout)
    except Died as error:
        raise died(error, engine) from error
    except Failed as error:
        raise ValidationError(f"{engine} cannot run the original model: {error}", hint=_DAMAGED) from error


def died(death: Died, engine: str = "LiteRT") -> ValidationError:
    """What the end of a process that was running the original in `engine` means."""
    if death.reason.startswith("ran longer"):
        return ValidationError(f"the original model {death.reason} in {engine}", hint="allow more time with --timeout")
    return ValidationError(f"{engine} crashed on the original model ({death.reason})", hint=_DAMAGED)


def run_tflite(
    model: bytes, pictures: NDArray[Any], scaling: ImageScaling | None, kernels: str = DEFAULT, *, whole: bool = False
) -> list[NDArray[np.float32]]:
    """Every output of `model`, in graph order, as float32 [n, ...]; quantized outputs are dequantized.

    Of an SSD the encoded boxes and the scores that go into its last operator, as nvinfer does what that one does; with
    `whole` what comes out of it.

    Args:
        model: a TFLite flatbuffer with one input of n = 1.
        pictures: uint8 [n,H,W,C]; without `scaling` what the model takes, float32 of as many dimensions.
        scaling: what the model's input scale is.
        kernels: DEFAULT; BUILTIN, as right and three times as slow; or REFERENCE: those that TensorFlow Lite for
            Microcontrollers has, too, twenty times as slow. Of an int8 model they are now and then one step apart.

    Raises:
        ValidationError: LiteRT refuses the model, or its input cannot hold such a picture.
    """
    inside = None if whole else ssd.inputs(model)
    try:
        runner = LiteRT(model, kernels)
    except (RuntimeError, ValueError) as error:
        raise _refused(error) from error
    if len(runner.sources) != 1:
        raise ValidationError(f"the original model has {len(runner.sources)} inputs instead of one")
    size = runner.sources[0]["shape"]
    if pictures[0].size != np.prod(size):
        height, width, channels = pictures.shape[1:]
        shape = ",".join(map(str, size))
        raise ValidationError(
            f"the original's input [{shape}] does not hold one picture of {width}x{height} with {channels} channels",
            hint="give validate the .tflite that this ONNX model was made from",
        )
    if inside:
        runner.return_tensors(inside[:2])
    singles = (pictures[number : number + 1] for number in range(len(pictures)))
    try:
        rows = [runner(picture if scaling is None else as_edge_impulse(picture, scaling)) for picture in singles]
    except (RuntimeError, ValueError) as error:
        raise _refused(error) from error
    # Outputs carry a batch dimension of 1, or none.
    columns = zip(*rows, strict=True)
    return [np.concatenate(each) if each[0].shape[:1] == (1,) else np.stack(each) for each in columns]


class LiteRT:
    """A flatbuffer in LiteRT, in one thread; the process may crash on a damaged one.

    Attributes:
        sources: LiteRT's details of the inputs.

    Raises:
        RuntimeError, ValueError: LiteRT refuses the model.
    """

    def __init__(self, model: bytes, kernels: str = DEFAULT) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType  # the parent does without

        resolvers = {BUILTIN: OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, REFERENCE: OpResolverType.BUILTIN_REF}
        resolver = resolvers.get(kernels, OpResolverType.AUTO)
        self._interpreter = Interpreter(model_content=model, num_threads=1, experimental_op_resolver_type=resolver)
        self._interpreter.allocate_tensors()
        self.sources = self._interpreter.get_input_details()
        self._results = self._interpreter.get_output_details()

    def return_tensors(self, indices: Sequence[int]) -> None:
        """Give these tensors from now on, instead of the outputs."""
        details = {each["index"]: each for each in self._interpreter.get_tensor_details()}
        self._results = [details[index] for index in indices]

    def __call__(self, values: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Every output, dequantized, for what is fed to the first input, [1, ...], as the SDK feeds it.

        Raises:
            RuntimeError, ValueError: LiteRT fails.
            ValidationError: the input cannot hold numbers.
        """
        source = self.sources[0]
        self._interpreter.set_tensor(source["index"], as_input(_quantize(values, source), source["shape"]))
        self._interpreter.invoke()
        return [ssd.dequantized(self._interpreter.get_tensor(each["index"]), each) for each in self._results]


def as_input(picture: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """A picture [1,H,W,C] in the shape of a flatbuffer's input, which may have the channels first; or other numbers."""
    turned = np.moveaxis(picture, -1, 1) if picture.ndim == 4 else picture
    return np.ascontiguousarray(turned) if picture.shape != tuple(shape) == turned.shape else picture.reshape(shape)


def _refused(error: Exception) -> ValidationError:
    reason = " ".join(str(error).split())
    return ValidationError(f"LiteRT cannot run the original model: {reason}", hint=_DAMAGED)


def _quantize(values: NDArray[np.float32], tensor: dict[str, Any]) -> NDArray[Any]:
    """As the SDK does: round(value / scale) + zero point, halves away from zero, clamped."""
    dtype = np.dtype(tensor["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    scale, zero_point = tensor["quantization"]
    if dtype.kind not in "iu" or not scale:
        raise ValidationError(f"the original's input is {dtype.name} without a scale: pictures cannot be fed to it")
    scaled = values / np.float32(scale)
    rounded = np.trunc(scaled + np.copysign(np.float32(0.5), scaled)) + zero_point
    limits = np.iinfo(dtype)
    quantized: NDArray[Any] = np.clip(rounded, limits.min, limits.max).astype(dtype)
    return quantized


_FATAL = 4  # ONNX Runtime's severities: 0 verbose, 1 info, 2 warning, 3 error, 4 fatal


def read_whole(path: Path) -> bytes:
    """The ONNX file `path` with the weights that lie in other files.

    Raises:
        ValidationError: it, or such a file, cannot be read.
    """
    try:
        if not read_header(path).external:
            return path.read_bytes()
        import onnx  # heavy, and only such models need it

        return bytes(onnx.load_model(path).SerializeToString())
    except Exception as error:  # onnx and protobuf raise what they meet
        raise ValidationError(f"the model cannot be read: {_reason(error)}") from error


def load(model: bytes | str, providers: Sequence[Any] = ("CPUExecutionProvider",), *, optimized: bool = True) -> Any:
    """An `onnxruntime.InferenceSession`, by default on the CPU.

    Args:
        model: its bytes, or a path of its file.
        optimized: let it merge and replace nodes; else it runs each as ONNX defines it.

    Raises:
        ValidationError: ONNX Runtime refuses the model.
    """
    onnxruntime = _onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL
    # Else weights are in an arena that doubles as it grows.
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model, options, providers=list(providers))
    except Exception as error:  # its exceptions share no other base class
        message = f"ONNX Runtime does not load the model: {_reason(error)}"
        raise ValidationError(message, hint="convert with another --opset, or report the model") from error
    if isinstance(model, str) or len(model) > LARGE:
        return_freed_memory()  # more than the weights take
    return session


_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


def load_on(model: bytes, provider: str, cache: Path | None = None) -> tuple[Any, str]:
    """A session on `provider` ("cpu", "cuda", "tensorrt"; empty is "cpu"), or on the next one before it that works.

    Args:
        cache: folder in which TensorRT keeps the engines it builds, which takes minutes; made where it can be.

    Returns:
        The session, and a warning: why it is not on `provider`, or why engines are not kept; empty: neither.

    Raises:
        ValidationError: ONNX Runtime refuses the model on the CPU, too.
    """
    names = list(_PROVIDERS)
    wanted = [_PROVIDERS[name] for name in reversed(names[: names.index(provider or "cpu") + 1])]
    installed = _onnxruntime().get_available_providers()
    chosen: list[Any] = [name for name in wanted if name in installed]
    missing = "" if wanted[0] in installed else f"this onnxruntime has {', '.join(installed)}; onnxruntime-gpu has more"
    unkept, is_new = "", False
    if cache is not None and chosen[0] == _PROVIDERS["tensorrt"]:
        try:
            is_new = not cache.exists()
            cache.mkdir(exist_ok=True)
            kept = {"trt_engine_cache_enable": True, "trt_timing_cache_enable": True}
            chosen[0] = (chosen[0], kept | {"trt_engine_cache_path": str(cache), "trt_timing_cache_path": str(cache)})
        except OSError as error:
            unkept = f"engines are not kept: {cache} cannot be made ({error.strerror})"
    session = load(model, chosen)  # a provider whose libraries or driver are missing is left out without an exception
    if not missing and session.get_providers()[0] != wanted[0]:
        missing = "its libraries or the driver do not load"
    if missing and is_new and cache is not None:
        with contextlib.suppress(OSError):
            cache.rmdir()
    return session, f"no {provider}: {missing}" if missing else unkept


def _onnxruntime() -> Any:
    """The module."""
    # Importing its library is kept quiet. While it loads it looks for GPUs and on many machines (WSL2, Raspberry Pi,
    # containers) writes a warning straight to file descriptor 2, before any logging option can be set. `convert` itself
    # has switched off its telemetry.
    if "onnxruntime" not in sys.modules:
        sys.stderr.flush()
        saved = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a file
                os.dup2(nowhere.fileno(), 2)
            importlib.import_module("onnxruntime")
        finally:
            os.dup2(saved, 2)
            os.close(saved)
    return importlib.import_module("onnxruntime")  # 20 MB; only this stage needs it


def preload() -> None:
    """Import ONNX Runtime and LiteRT, in a process that is started for them."""
    import ai_edge_litert.interpreter  # noqa: F401 - few processes need both

    _onnxruntime()


def run_onnx(session: Any, values: NDArray[np.float32]) -> list[NDArray[Any]]:
    """Every output of the model for its one input [n,C,H,W], in graph order.

    Raises:
        ValidationError: the model fails on this input.
    """
    try:
        outputs: list[NDArray[Any]] = session.run(None, {session.get_inputs()[0].name: values})
    except Exception as error:  # its exceptions share no other base class
        message = f"ONNX Runtime fails on a batch of {len(values)}: {_reason(error)}"
        hint = "the graph does not fit its declared shapes: convert the export again"
        raise ValidationError(message, hint=hint) from error
    return outputs


def _reason(error: Exception) -> str:
    """One line, without the code in front: "[ONNXRuntimeError] : 1 : FAIL : ..."."""
    text = " ".join(str(error).split())
    return text.split(" : ", 3)[-1] if text.startswith("[ONNXRuntimeError]") else text


def run_onnx_reference(
    model: bytes, pictures: NDArray[np.uint8], scaling: ImageScaling, shapes: Sequence[tuple[int | None, ...]]
) -> list[NDArray[np.float32]]:
    """Every output, in graph order, as float32 [n, ...], in a flatbuffer's layout.

    Args:
        model: a serialised ModelProto with one input, NCHW or NHWC.
        pictures: uint8 [n,H,W,C].
        scaling: what the model's input scale is.
        shapes: of the outputs as a flatbuffer would have them: grids NHWC.

    Raises:
        ValidationError: ONNX Runtime refuses the model, or its input cannot hold such a picture.
    """
    session = load(model)
    _, *size = session.get_inputs()[0].shape
    values = as_edge_impulse(pictures, scaling)
    height, width, channels = values.shape[1:]
    if size == [channels, height, width]:
        values = values.transpose(0, 3, 1, 2)
    elif size != [height, width, channels]:
        message = f"the original's input {size} does not hold a picture [{','.join(map(str, pictures.shape[1:]))}]"
        raise ValidationError(message, hint="give validate the model that this ONNX model was made from")
    rows = [run_onnx(session, np.ascontiguousarray(values[n : n + 1])) for n in range(len(values))]
    outputs = [np.concatenate(column).astype(np.float32, copy=False) for column in zip(*rows, strict=True)]
    for number, (output, shape) in enumerate(zip(outputs, shapes, strict=True)):
        if output.ndim == 4 and output.shape[1:] != shape[1:]:
            grid = output.transpose(0, 2, 3, 1)  # [n,K,h,w] as [n,h,w,K], where that is the shape
            outputs[number] = grid if grid.shape[1:] == shape[1:] else output
    return outputs


_MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")  # the second is what early releases installed alone
_OTHER = "try another release of tensorrt-rtx, or report the model"


def available() -> bool:
    """Whether the package is installed; nothing is imported."""
    return any(find_spec(name) for name in _MODULES)


def require() -> None:
    """Check early that the package is installed.

    Raises:
        MissingDependencyError: tensorrt-rtx is not installed.
    """
    if not available():
        raise MissingDependencyError(
            "the check with TensorRT needs the package tensorrt-rtx", hint=pip_install("ei-deepstream[tensorrt]")
        )


def build(model: bytes, shape: tuple[int, ...], batch_size: int = 1, *, timeout: float = 300.0) -> str:
    """Parse `model` and build an engine from it, in a process of its own.

    Args:
        model: an ONNX model with one input [N, ...].
        shape: of one input: (C, H, W) of a picture.
        batch_size: nvinfer's batch-size.
        timeout: seconds.

    Returns:
        What was done and by which release, for a report.

    Raises:
        MissingDependencyError: tensorrt-rtx is not installed, or its libraries do not load.
        ValidationError: NVIDIA's parser or builder refuses the model, crashes or takes too long.
    """
    require()
    try:
        with Worker() as worker:
            result: str = worker.call("convert.validate.runtimes:_build", model, shape, batch_size, timeout=timeout)
    except Died as error:
        if error.reason.startswith("ran longer"):
            raise ValidationError(f"TensorRT {error.reason}", hint="allow more time with --timeout") from error
        raise ValidationError(f"TensorRT crashed ({error.reason})", hint=_OTHER) from error
    except Failed as error:
        raise ValidationError(f"TensorRT failed: {error}", hint=_OTHER) from error
    return result


def _build(model: bytes, shape: tuple[int, ...], batch_size: int) -> str:
    """`build`, in the child."""
    name = next(name for name in _MODULES if find_spec(name))
    try:
        trt = importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise MissingDependencyError(
            f"tensorrt-rtx is installed but does not load: {error}", hint=pip_install("ei-deepstream[tensorrt]")
        ) from error
    messages: list[str] = []
    logger = _logger(trt, messages)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        errors = "; ".join(_explain(parser.get_error(number)) for number in range(parser.num_errors))
        raise ValidationError(f"TensorRT's ONNX parser refuses the model: {errors or 'no reason given'}")
    if network.num_inputs != 1:
        raise ValidationError(f"TensorRT sees {network.num_inputs} inputs instead of one")
    source = network.get_input(0)
    source.shape = (-1, *shape)
    profile = builder.create_optimization_profile()
    profile.set_shape(source.name, (1, *shape), (batch_size, *shape), (batch_size, *shape))
    config = builder.create_builder_config()
    config.add_optimization_profile(profile)
    if builder.build_serialized_network(network, config) is None:
        reason = "; ".join(dict.fromkeys(messages)) or "no reason given"
        raise ValidationError(f"TensorRT cannot build an engine for batches of 1 to {batch_size}: {reason}")
    return f"tensorrt-rtx {trt.__version__}: parsed and built, profile 1/{batch_size}/{batch_size}"


def _logger(trt: Any, messages: list[str]) -> Any:
    """A TensorRT logger that keeps errors, one line each."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        """Errors only; TensorRT calls this from its own threads."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            """Add an error to the messages."""
            if severity in {trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR}:
                messages.append(" ".join(text.split()))

    return Logger()


def _explain(error: Any) -> str:
    """A parser error: which node, and why. The parser quotes C++ conditions; a bare `false` says nothing."""
    reason = " ".join(error.desc().split())
    if reason == "false":
        reason = "not implemented"
    if not (operator := error.node_operator()):
        return reason
    name = f" {error.node_name()!r}" if error.node_name() else ""
    return f"node {error.node()}{name}, operator {operator}: {reason}"
