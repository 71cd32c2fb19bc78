"""The TensorRT engine: the name Gst-nvinfer looks for, and the script that builds it on the target."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convert.nvinfer.targets import sdk_path, trtexec_flags, trtexec_note

if TYPE_CHECKING:
    from convert.artifacts import Tensor
    from convert.nvinfer.targets import Target

__all__ = ["SCRIPT", "Engine", "build_script", "trtexec_arguments"]

SCRIPT = "build_engine.sh"


@dataclass(frozen=True, slots=True)
class Engine:
    """What decides an engine apart from the model.

    Attributes:
        onnx: file name of the model.
        batch_size: most frames or objects at a time.
        gpu_id: number of the GPU.
        precision: "fp32" or "fp16".
    """

    onnx: str
    batch_size: int
    gpu_id: int
    precision: str

    @property
    def file(self) -> str:
        """The name Gst-nvinfer gives the engine it builds, beside the model, and so the one it must be told.

        `<model>_b<batch>_gpu<id>_<mode>.engine`: nvdsinfer_model_builder.cpp, the same from DeepStream 5.1 to 9.1.
        """
        return f"{self.onnx}_b{self.batch_size}_gpu{self.gpu_id}_{self.precision}.engine"

    @property
    def network_mode(self) -> int:
        """Gst-nvinfer's network-mode: 0 FP32, 2 FP16 (inputs and outputs stay float32)."""
        return {"fp32": 0, "fp16": 2}[self.precision]


def trtexec_arguments(engine: Engine, model_input: Tensor, target: Target) -> tuple[str, ...]:
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
    return (f"--onnx={engine.onnx}", *shapes, *device, *trtexec_flags(target.tensorrt, engine.precision))


def build_script(engine: Engine, model_input: Tensor, target: Target, name: str = SCRIPT) -> bytes:
    """The script `name`: builds `engine` in its own folder; a build that fails or is stopped leaves nothing behind.

    Raises:
        PresetError: the target's trtexec cannot build at this precision.
    """
    note = trtexec_note(target.tensorrt, engine.precision)
    return _SCRIPT.format(
        script=name,
        release=target.deepstream,
        platform=target.platform,
        tensorrt=target.tensorrt,
        note=f"# Note: {note}.\n" if note else "",
        trtexec=sdk_path(target, "trtexec"),
        onnx=shlex.quote(engine.onnx),
        engine=shlex.quote(engine.file),
        arguments=" \\\n  ".join(map(shlex.quote, trtexec_arguments(engine, model_input, target))),
    ).encode()


_SCRIPT = """\
#!/usr/bin/env bash
# Builds {engine}, the engine that the configs beside this script name.
#
# Run it on the device: an engine fits only the TensorRT and the kind of GPU it was built with. Nobody has to run it:
# without the engine Gst-nvinfer builds the same one when it first starts.
#
# For DeepStream {release} on {platform}, whose TensorRT is {tensorrt}.
{note}# A trtexec elsewhere: TRTEXEC=/path/to/trtexec ./{script}
set -eu

trtexec=${{TRTEXEC:-{trtexec}}}
onnx={onnx}
engine={engine}

fail() {{
  printf '{script}: %s\\n' "$1" >&2
  exit 1
}}

# Where the script was started decides what a relative TRTEXEC means; everything else happens in the script's folder.
case $trtexec in
  /*) ;;
  */*) trtexec=$PWD/$trtexec ;;
  *) trtexec=$(command -v -- "$trtexec" || printf '%s' "$trtexec") ;;
esac
if ! [ -f "$trtexec" ] || ! [ -x "$trtexec" ]; then
  fail "there is no trtexec at $trtexec; install the package libnvinfer-bin, or set TRTEXEC to its path"
fi
CDPATH='' cd -- "$(dirname -- "$0")"
[ -f "$onnx" ] || fail "$onnx is not beside this script"
[ -w . ] || fail "the folder $PWD is not writable"

# A half-written engine must never have the name that Gst-nvinfer loads.
part=.$engine.$$.part
trap 'rm -f -- "$part"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$trtexec" \\
  --saveEngine="$part" \\
  {arguments} \\
  || fail "trtexec failed (see above); there is no new engine"
[ -s "$part" ] || fail "trtexec wrote no engine"
mv -f -- "$part" "$engine"
printf '{script}: %s is ready\\n' "$engine"
"""
