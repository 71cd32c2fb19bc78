"""The C array reader against the community guide's script, on headers of ten megabytes, in one process and one run.

The guide's script reads the header, finds the array's body with a regular expression, splits it at commas, turns every
piece into a number and writes the bytes. It knows hexadecimal without comments and checks nothing. Ours reads any C,
finds the array by its declaration and checks its length.
"""

from __future__ import annotations

import random
import re
import statistics
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

from convert.export.cpp_arrays import read_source
from samples.layouts import header
from tests.benchmarks.measure import ratio, table

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTES = 1_620_000  # of model: 10.0 MB of header in xxd's layout


def main(times: int = 7) -> None:
    """Print time, ratio and peak memory for each layout of the same bytes."""
    data = random.Random(1).randbytes(_BYTES)
    plain = header(data, "F3")
    texts = {
        "xxd (F3)": plain,
        "Arduino (F3b)": header(data, "F3b"),
        "upper case, 16 a line": _lines(data, "0X{:02X}", 16),
        "decimal": _lines(data, "{}", 12),
        "one line": plain.replace(",\n  ", ", "),
        "a comment a line": plain.replace(",\n  ", ", // }\n  "),
    }
    rows = [_row(name, text.encode(), data, times) for name, text in texts.items()]
    head = ["header", "size", "guide", "ours", "faster", "peak memory, times the size"]
    table("from header to bytes: the guide's regular expression against the C reader", head, rows)


def _lines(data: bytes, spelling: str, per_line: int) -> str:
    rows = (", ".join(map(spelling.format, data[at : at + per_line])) for at in range(0, len(data), per_line))
    return (
        "const unsigned char trained_tflite[] = {\n  "
        + ",\n  ".join(rows)
        + f"\n}};\nint trained_tflite_len = {len(data)};\n"
    )


def _row(name: str, text: bytes, data: bytes, times: int) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "tflite-trained.h", Path(folder) / "trained.tflite"
        source.write_bytes(text)
        can = name not in {"decimal", "a comment a line"}
        guide = _median(lambda: _guide(source, target), times) if can else None
        assert not can or target.read_bytes() == data
        ours = _median(lambda: _ours(source, target), times)
        assert target.read_bytes() == data
        peak = _peak(lambda: _ours(source, target))
    return [
        name,
        f"{len(text) / 1e6:.1f} MB",
        f"{guide * 1000:.0f} ms" if guide else "cannot",
        f"{ours * 1000:.1f} ms",
        ratio(guide, ours) if guide else "",
        f"{peak / len(text):.1f}",
    ]


def _guide(source: Path, target: Path) -> None:
    text = source.read_text()
    found = re.search(r"=\s*\{([^}]*)\}", text, re.DOTALL)
    assert found
    numbers = [int(piece, 16) for piece in found.group(1).split(",") if piece.strip()]
    target.write_bytes(bytes(numbers))


def _ours(source: Path, target: Path) -> None:
    (array,), _ = read_source(source.read_bytes())
    assert array.problem is None
    target.write_bytes(array.data)


def _median(run: Callable[[], None], times: int) -> float:
    run()  # imports and caches are warm on both sides
    seconds: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def _peak(run: Callable[[], None]) -> int:
    """Bytes allocated at the most, the text itself included."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    main()
