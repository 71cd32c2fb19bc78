"""What `inspect` says of the samples, as text and as JSON, to the letter.

Made anew by `python -m tests.cli.test_inspect_golden`: read the difference before it is committed.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from convert.__main__ import main

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).with_name("golden") / "inspect.txt"


def lines() -> str:
    """The samples are named from the root of the repository, so that no path of a machine is in it."""
    told = []
    exports = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "samples" / "exports").iterdir())
    with contextlib.chdir(ROOT):
        for export in [*exports, "samples/models/table-fomo.tflite"]:
            for options in ([], ["--format", "json"]):
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    code = main(["inspect", export, *options])
                told.append(f"$ inspect {' '.join([export, *options])}  # exit code {code}\n{out.getvalue()}")
    return "\n".join(told)


def test_inspect() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
