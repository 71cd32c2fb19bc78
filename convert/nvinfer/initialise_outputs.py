"""What Gst-nvinfer's output parsers do with the first frame, as far as the outputs' names, types and shapes decide it.

Built-in parsers: nvdsinfer_context_impl_output_parsing.cpp; the stock library's: nvdsinfer_customparser (both
DeepStream 9.1, compiled without assertions). A frame of zeros is assumed. What a library of somebody else does is not
known, and counts as success.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["Outcome", "Tensor", "built_in_boxes", "built_in_segments", "stock_parser"]

SIGSEGV: Final = 11
SIGFPE: Final = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output of an engine. `dims` without the batch; `dtype`: float, half, int8, int32, int64, uint8."""

    name: str
    dtype: str
    dims: tuple[int, ...]

    def dim(self, index: int) -> int:
        """The dimension nvinfer finds at `index`; 0 behind the last one."""
        return self.dims[index] if index < len(self.dims) else 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`failed`: the parser gives up on every frame, and says `message`. `signal`: the process dies of it."""

    failed: bool = False
    message: str = ""
    signal: int | None = None


_FINE: Final = Outcome()


def _fails(message: str) -> Outcome:
    return Outcome(failed=True, message=message)


def built_in_boxes(outputs: Sequence[Tensor]) -> Outcome:
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
        return Outcome(message=message, signal=SIGFPE)
    return _FINE


def built_in_segments(outputs: Sequence[Tensor], classes: int, order: int) -> Outcome:
    """The segmentation parser that needs no library. `order`: segmentation-output-order, 0 NCHW or 1 NHWC."""
    for each in outputs:
        if each.dtype != "float":
            return _fails(f"output {each.name} is {each.dtype}; the built-in segmentation parser reads float only")
    channels = outputs[0].dim(2 if order else 0) if outputs else 0
    if channels != classes:
        return _fails(f"num-detected-classes is {classes}, but output {outputs[0].name} has {channels} channels")
    return _FINE


def stock_parser(function: str, outputs: Sequence[Tensor], classes: int, network: tuple[int, int]) -> Outcome:
    """A function of NVIDIA's libnvds_infercustomparser.so; `network` is (height, width).

    Functions that read the threshold of class 0 unasked crash when there are no classes.
    """
    check = _CHECKS.get(function)
    failed = None if check is None else check(outputs, network)
    if failed is not None:
        return _fails(f"{function}: {failed}")
    if not classes and function in _READ_CLASS_0:
        return Outcome(message=f"{function} reads the threshold of class 0, and there are no classes", signal=SIGSEGV)
    return _FINE


_Check = Callable[[Sequence[Tensor], tuple[int, int]], str | None]


def _named(*names: str, rank: dict[str, int] | None = None) -> _Check:
    """Float outputs of these names must be there, and have the rank that is asked for."""

    def check(outputs: Sequence[Tensor], network: tuple[int, int]) -> str | None:
        del network
        floats = {each.name: each for each in outputs if each.dtype == "float"}
        missing = [name for name in names if name not in floats]
        if missing:
            return f"there is no float output called {' or '.join(missing)}"
        for name, wanted in (rank or {}).items():
            if len(floats[name].dims) != wanted:
                return f"output {name} has {len(floats[name].dims)} dimensions, not {wanted}"
        return None

    return check


def _resnet(outputs: Sequence[Tensor], network: tuple[int, int]) -> str | None:
    del network
    names = {each.name for each in outputs}
    missing = [name for name in ("output_bbox/BiasAdd:0", "output_cov/Sigmoid:0") if name not in names]
    return f"there is no output called {missing[0]}" if missing else None


def _count(wanted: int) -> _Check:
    def check(outputs: Sequence[Tensor], network: tuple[int, int]) -> str | None:
        del network
        return None if len(outputs) == wanted else f"there are {len(outputs)} outputs, not {wanted}"

    return check


def _oriented(outputs: Sequence[Tensor], network: tuple[int, int]) -> str | None:
    del network
    if len(outputs) != 1:
        return f"there are {len(outputs)} outputs, not 1"
    dims = outputs[0].dims
    values = dims[0] if len(dims) == 2 else (dims[2] or 6) if len(dims) == 3 else 0
    return None if values >= 5 else f"output {outputs[0].name} does not have the shape of oriented boxes"


def _people(outputs: Sequence[Tensor], network: tuple[int, int]) -> str | None:
    found = [each for each in outputs if each.name == "argmax_1" and each.dtype in {"int32", "int64"}]
    if not found:
        return "there is no int32 or int64 output called argmax_1"
    wanted = (*network, 1)
    return None if found[0].dims == wanted else f"output argmax_1 is {found[0].dims}, not {wanted}"


_CHECKS: Final[dict[str, _Check]] = {
    "NvDsInferParseCustomResnet": _resnet,
    "NvDsInferParseCustomTfSSD": _named("detection_scores", "detection_classes", "detection_boxes"),
    "NvDsInferParseCustomNMSTLT": _count(2),
    "NvDsInferParseCustomBatchedNMSTLT": _count(4),
    "NvDsInferParseYoloV5CustomBatchedNMSTLT": _count(4),
    "NvDsInferParseCustomEfficientDetTAO": _count(4),
    "NvDsInferParseCustomDDETRTAO": _named("pred_boxes", "pred_logits"),
    "NvDsInferParseCustomRTDETRTAO": _named("pred_boxes", "pred_logits"),
    "NvDsInferParseCustomYoloV11OBB": _oriented,
    "NvDsInferParseCustomMrcnnTLT": _named(
        "generate_detections", "mask_head/mask_fcn_logits/BiasAdd", rank={"mask_head/mask_fcn_logits/BiasAdd": 4}
    ),
    "NvDsInferParseCustomMrcnnTLTV2": _named(
        "generate_detections", "mask_fcn_logits/BiasAdd", rank={"mask_fcn_logits/BiasAdd": 4}
    ),
    "NvDsInferParseCustomPeopleSemSegNet": _people,
}
_READ_CLASS_0: Final = frozenset(
    {
        "NvDsInferParseCustomNMSTLT",
        "NvDsInferParseCustomBatchedNMSTLT",
        "NvDsInferParseYoloV5CustomBatchedNMSTLT",
        "NvDsInferParseCustomEfficientDetTAO",
        "NvDsInferParseCustomRTDETRTAO",
        "NvDsInferParseCustomYoloV11OBB",
        "NvDsInferParseCustomMrcnnTLT",
        "NvDsInferParseCustomMrcnnTLTV2",
    }
)
