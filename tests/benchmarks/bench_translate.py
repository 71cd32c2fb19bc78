"""`ei-deepstream translate` against `python -m tf2onnx.convert` with TensorFlow: whole processes, the same model.

Both read a .tflite and write an ONNX model with an NCHW input. Ours starts two processes, verifies the flatbuffer
before and asserts the graph after; the other one starts one process and asserts nothing.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from convert.export.facts import facts
from tests.benchmarks.measure import Cost, command, ratio, repeat, table
from tests.benchmarks.models import classifiers


def main(times: int = 3) -> None:
    """Print time and memory for each classifier, and the ratios."""
    rows = [_row(model, times) for model in classifiers()]
    head = ["model", "tf2onnx", "translate", "faster", "tf2onnx", "translate", "smaller"]
    table("translate against tf2onnx with TensorFlow, whole processes", head, rows)


def _row(model: Path, times: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        theirs, ours = repeat(times, lambda: _tf2onnx(model, target), lambda: _translate(model, target))
    return [
        model.stem,
        *(f"{theirs.seconds:.2f} s", f"{ours.seconds:.2f} s", ratio(theirs.seconds, ours.seconds)),
        *(f"{theirs.mebibytes:.0f} MiB", f"{ours.mebibytes:.0f} MiB", ratio(theirs.mebibytes, ours.mebibytes)),
    ]


def _tf2onnx(model: Path, target: Path) -> Cost:
    name = facts(model.read_bytes()).input.name
    options = ("--opset", "13", "--inputs-as-nchw", name, "--tflite", model, "--output", target)
    return command(sys.executable, "-m", "tf2onnx.convert", *options)


def _translate(model: Path, target: Path) -> Cost:
    return command(sys.executable, "-m", "convert", "translate", model, "-o", target, "-q")
