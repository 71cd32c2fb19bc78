"""Runs commands and measures what a person would: wall time, and the memory of all their processes together."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Cost", "command", "ratio", "repeat", "table"]

_PERIOD = 0.01  # seconds between two looks at the memory


@dataclass(frozen=True)
class Cost:
    """Wall seconds, and the peak of the summed proportional set size of the process and its descendants in MiB."""

    seconds: float
    mebibytes: float


def command(*words: str | Path, cwd: Path | None = None) -> Cost:
    """Run `words` to its end; CalledProcessError with its output when it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(words, cwd=cwd, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    peak = 0

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, _tree(process.pid))
            time.sleep(_PERIOD)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, _ = process.communicate()
    seconds = time.perf_counter() - start
    watcher.join()
    if process.returncode:
        sys.stderr.buffer.write(output)
        raise subprocess.CalledProcessError(process.returncode, [str(word) for word in words])
    return Cost(seconds, peak / 1024)


def repeat(times: int, *runs: Callable[[], Cost]) -> list[Cost]:
    """Every run `times` times, taken in turn so that a busy moment hits all of them; the medians."""
    costs: list[list[Cost]] = [[] for _ in runs]
    for _ in range(times):
        for index, run in enumerate(runs):
            costs[index].append(run())
    return [
        Cost(statistics.median(cost.seconds for cost in some), statistics.median(cost.mebibytes for cost in some))
        for some in costs
    ]


def ratio(slow: float, fast: float) -> str:
    """`3.1x`."""
    return f"{slow / fast:.1f}x"


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print an aligned table."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}")
    for row in [head, ["-" * width for width in widths], *rows]:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    sys.stdout.flush()


def _environment() -> dict[str, str]:
    """As a user's: compiled modules are kept, which a development machine may have switched off."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def _tree(root: int) -> int:
    """KiB of PSS of `root` and all its descendants, as far as they still run."""
    total, todo = 0, [root]
    while todo:
        pid = todo.pop()
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        except (OSError, ValueError):  # it has just ended
            continue
    return total
