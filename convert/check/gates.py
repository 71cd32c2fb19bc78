"""The model behind a config, loaded by ONNX Runtime and built by NVIDIA's TensorRT-RTX: on the CPU, if asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import ValidationError
from convert.isolation import Died, Failed, Worker
from convert.nvinfer.rules.operators import ONNX_RUNTIME, TENSORRT
from convert.nvinfer.rules.pixels import is_nhwc
from convert.validate import runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from convert.findings import Finding
    from convert.nvinfer.rules.case import Case

__all__ = ["Gates"]


@dataclass
class Gates:
    """Each model, size and batch goes through once.

    Attributes:
        onnxruntime, tensorrt: which gates are asked for.
        timeout: seconds for each model and gate.
    """

    onnxruntime: bool = False
    tensorrt: bool = False
    timeout: float = 300.0
    _known: dict[tuple[object, ...], str | None] = field(default_factory=dict)

    def require(self) -> None:
        """Say so before anything is checked when a gate cannot be passed.

        Raises:
            MissingDependencyError: tensorrt-rtx is not installed.
        """
        if self.tensorrt:
            from convert.validate.tensorrt import require  # noqa: PLC0415 - only when asked for

            require()

    def __call__(self, case: Case) -> Iterator[Finding]:
        """What the gates say about the model of a config, if there is one."""
        if case.model is None or case.lacking:
            return
        path = case.files["onnx-file"].path
        if self.onnxruntime and (said := self._once(("onnxruntime", path), lambda: _load(path, self.timeout))):
            yield case.found(ONNX_RUNTIME, said, key="onnx-file")
        shape = _shape(case)
        if self.tensorrt and shape and len(case.model.inputs) == 1:
            batch = int(case.value("batch-size"))
            said = self._once(("tensorrt", path, shape, batch), lambda: _build(path, shape, batch, self.timeout))
            if said:
                yield case.found(TENSORRT, said, key="onnx-file")

    def _once(self, key: tuple[object, ...], run: Callable[[], None]) -> str | None:
        if key not in self._known:
            try:
                run()
                self._known[key] = None
            except ValidationError as error:
                self._known[key] = error.message
        return self._known[key]


def _shape(case: Case) -> tuple[int, int, int] | None:
    """The input's dimensions behind the batch, in the model's own layout."""
    if case.network is None or case.model is None:
        return None
    channels, height, width = case.network
    nhwc = is_nhwc(case.model.inputs[0]) and case.value("network-input-order") == 1 and all(case.value("infer-dims"))
    return (height, width, channels) if nhwc else (channels, height, width)


def _load(path: str, timeout: float) -> None:
    """ONNX Runtime, in a process of its own: a damaged model may take it down."""
    try:
        with Worker() as worker:
            worker.call("convert.check.gates:load", path, timeout=timeout)
    except Died as error:
        raise ValidationError(f"ONNX Runtime {error.reason} while it loaded the model") from error
    except Failed as error:
        raise ValidationError(f"ONNX Runtime failed: {error}") from error


def load(path: str) -> None:
    """`_load`, in the child; raises ValidationError when ONNX Runtime refuses the model."""
    runtime.load(runtime.read_whole(Path(path)))


def _build(path: str, shape: tuple[int, int, int], batch: int, timeout: float) -> None:
    from convert.validate.tensorrt import build  # noqa: PLC0415 - only when asked for

    build(runtime.read_whole(Path(path)), shape, batch, timeout=timeout)
