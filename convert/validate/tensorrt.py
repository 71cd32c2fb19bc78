"""An optional gate: NVIDIA's own ONNX parser and engine builder, on the CPU.

TensorRT-RTX (`pip install tensorrt-rtx`) needs neither GPU nor driver to parse and to build. It is not the TensorRT
that nvinfer loads, so a pass is a good sign and no proof; what it refuses TensorRT refuses too. The network is prepared
as nvinfer does it (docs/nvinfer.md, d): the batch dimension of the input is overwritten by -1, and the profile is
min 1, opt = max = batch-size.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from convert.errors import MissingDependencyError, ValidationError
from convert.isolation import Died, Failed, Worker

__all__ = ["available", "build", "require"]

_MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")  # the second is what early releases installed alone
_HINT = "pip install 'ei-deepstream[tensorrt]'"
_OTHER = "try another release of tensorrt-rtx, or report the model"


def available() -> bool:
    """Whether the package is installed; nothing is imported."""
    return any(find_spec(name) for name in _MODULES)


def require() -> None:
    """Say so early when it is not.

    Raises:
        MissingDependencyError: tensorrt-rtx is not installed.
    """
    if not available():
        raise MissingDependencyError("the TensorRT gate needs the package tensorrt-rtx", hint=_HINT)


def build(model: bytes, shape: tuple[int, int, int], batch_size: int = 1, *, timeout: float = 300.0) -> str:
    """Parse `model` and build an engine from it, in a process of its own.

    Args:
        model: an ONNX model with one input [N,C,H,W].
        shape: (C, H, W).
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
            result: str = worker.call("convert.validate.tensorrt:_build", model, shape, batch_size, timeout=timeout)
    except Died as error:
        if error.reason.startswith("ran longer"):
            raise ValidationError(f"TensorRT {error.reason}", hint="allow more time with --timeout") from error
        raise ValidationError(f"TensorRT crashed ({error.reason})", hint=_OTHER) from error
    except Failed as error:
        raise ValidationError(f"TensorRT failed: {error}", hint=_OTHER) from error
    return result


def _build(model: bytes, shape: tuple[int, int, int], batch_size: int) -> str:
    """`build`, in the child."""
    trt = _import()
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


def _import() -> Any:
    name = next(name for name in _MODULES if find_spec(name))
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        raise MissingDependencyError(f"tensorrt-rtx is installed but does not load: {error}", hint=_HINT) from error


def _logger(trt: Any, messages: list[str]) -> Any:
    """A TensorRT logger that keeps errors, one line each."""

    class Logger(trt.ILogger):  # type: ignore[misc]
        """Errors only; TensorRT calls this from its own threads."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            """Keep it."""
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
