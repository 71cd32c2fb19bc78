"""`convert`, which checks everything, against the community guide's recipe, which checks nothing: whole processes.

The recipe, as the guide has it: a small script takes the bytes out of `tflite-trained.h` with a regular expression,
then `python -m tf2onnx.convert --inputs-as-nchw x_input --opset 13` with TensorFlow makes the ONNX model. No config, no
check, no labels. Ours starts at the same header and ends with a proven bundle.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from samples import layouts
from tests.benchmarks.measure import Cost, command, ratio, repeat, table
from tests.benchmarks.models import classifiers

_EXTRACT = r"""
import re, sys
text = open(sys.argv[1]).read()
body = re.search(r"=\s*\{([^}]*)\}", text, re.S).group(1)
open(sys.argv[2], "wb").write(bytes(int(word, 16) for word in re.findall(r"0x[0-9a-fA-F]{2}", body)))
"""


def main(times: int = 3) -> None:
    """Print time and memory for each sample model and, where they are, each real float32 classifier, and the ratios."""
    rows = [_row(model, times) for model in classifiers()]
    head = ["model", "guide", "convert", "faster", "guide", "convert", "smaller"]
    table("convert (everything checked) against the guide's recipe (nothing checked), whole processes", head, rows)


def _row(model: Path, times: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        header = work / "tflite-trained.h"
        header.write_text(layouts.header(model.read_bytes(), "F2"))
        theirs, ours = repeat(times, lambda: guide(header, work), lambda: _ours(header, work))
    return [
        model.stem,
        *(f"{theirs.seconds:.2f} s", f"{ours.seconds:.2f} s", ratio(theirs.seconds, ours.seconds)),
        *(f"{theirs.mebibytes:.0f} MiB", f"{ours.mebibytes:.0f} MiB", ratio(theirs.mebibytes, ours.mebibytes)),
    ]


def guide(header: Path, work: Path) -> Cost:
    """The whole recipe for one header: seconds of both commands, memory of the larger one."""
    extracted = command(sys.executable, "-c", _EXTRACT, header, work / "gen.tflite")
    translated = command(
        *(sys.executable, "-m", "tf2onnx.convert", "--inputs-as-nchw", "x_input", "--opset", "13"),
        *("--tflite", work / "gen.tflite", "--output", work / "edgeimpulse_classify.onnx"),
    )
    return Cost(extracted.seconds + translated.seconds, max(extracted.mebibytes, translated.mebibytes))


def _ours(header: Path, work: Path) -> Cost:
    return command(sys.executable, "-m", "convert", "convert", header, "-o", work / "bundle", "-q")
