"""How fast `check` starts, and how many configs a second it goes through, on one core.

Targets: one config in at most twice `python -c "import click"` plus 100 ms; 1,000 configs in one call under 2 s.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.measure import Cost, command, repeat, table

ROOT = Path(__file__).parents[2]
CONFIGS = 1000
TIMES = 7

_CONFIG = """# an engine among many
[property]
gpu-id=0
gie-unique-id={number}
process-mode=1
network-type={kind}
network-mode=0
onnx-file=/models/{number}.onnx
model-engine-file=/models/{number}.onnx_b1_gpu0_fp32.engine
labelfile-path=labels{kind}.txt
batch-size=1
infer-dims=3;96;96
model-color-format=0
net-scale-factor=0.00392156862745098
maintain-aspect-ratio=1
symmetric-padding=1
output-blob-names=a;b
{lines}
"""
_DETECTOR = "num-detected-classes=3\ncluster-mode=2\n[class-attrs-all]\npre-cluster-threshold=0.4\ntopk=20"
_CLASSIFIER = "classifier-threshold=0.5"


def main() -> None:
    """Print both."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder)
        one = folder / "0.txt"
        check = [sys.executable, "-m", "convert", "check"]

        def run(*words: str | Path) -> Cost:
            return command(*words, cwd=ROOT)

        click, single, many, document = repeat(
            TIMES,
            lambda: run(sys.executable, "-c", "import click"),
            lambda: run(*check, one, "--fail-on", "error"),
            lambda: run(*check, folder),
            lambda: run(*check, folder, "--format", "json"),
        )
    limit = 2 * click.seconds + 0.1
    rows = [
        ["python -c 'import click'", f"{click.seconds:.3f} s", "", f"{click.mebibytes:.0f} MiB"],
        ["check one.txt", f"{single.seconds:.3f} s", f"{limit:.3f} s", f"{single.mebibytes:.0f} MiB"],
        [f"check, {CONFIGS} configs", f"{many.seconds:.2f} s", "2.00 s", f"{many.mebibytes:.0f} MiB"],
        [f"check --format json, {CONFIGS} configs", f"{document.seconds:.2f} s", "", f"{document.mebibytes:.0f} MiB"],
    ]
    table(f"check on one core, median of {TIMES}", ["what", "time", "at most", "memory"], rows)


def _write(folder: Path) -> None:
    (folder / "labels0.txt").write_text("a\nb\nc\n")
    (folder / "labels1.txt").write_text("a;b;c")
    for number in range(CONFIGS):
        kind = number % 2
        lines = _CLASSIFIER if kind else _DETECTOR
        text = _CONFIG.format(number=number + 1, kind=kind, lines=lines)
        (folder / f"{number}.txt").write_text(text)


if __name__ == "__main__":
    main()
