"""How often a bundle shows what Edge Impulse answers: by default, with `--resize graph`, and without rounding.

Each real image model is told fit-shortest, and gets 500 invented frames of 640x360, half of them with objects. When two
answers are the same: as for `simulate --against edge-impulse`, label, and of a detector every object, with boxes that
overlap by half.
"""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path
from typing import Any

from convert.api import convert
from convert.check.loading import check_target
from convert.compare import Verdict
from convert.compare.run import compare_with_original
from convert.export.facts import facts
from convert.images import ResizeMode
from convert.simulate.engine import Source, load
from convert.validate.inputs import image_like, with_objects
from tests.benchmarks.measure import table
from tests.benchmarks.models import REAL

_TARGET = check_target("deepstream-7.1", "dgpu")
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "resize graph": {"frame": "640x360", "resize": "graph"},
    "not rounded": {"rounding": "none"},
}


def main(count: int = 500, names: str = "", ways: tuple[str, ...] = tuple(WAYS)) -> None:
    """Print a row for each model whose file name holds `names`."""
    paths = [path for path in sorted(REAL.glob("*.*lite")) + sorted(REAL.glob("*.lite")) if names in path.name]
    rows = []
    for path in dict.fromkeys(paths):
        known = facts(path.read_bytes())
        if len(known.input.shape) == 4:
            rows.append([path.stem, *(_share(path, count, **WAYS[way]) for way in ways)])
    table(f"frames with Edge Impulse's answer, of {count} of 640x360", ["model", *ways], rows)


def _share(path: Path, count: int, **options: Any) -> str:
    half = count // 2
    frames = chain(image_like(half, 360, 640, 3), with_objects(count - half, 360, 640, 3))
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        convert(path, bundle, resize_mode=ResizeMode.FIT_SHORTEST, role="pgie", **options)
        (config,) = bundle.glob("config_infer_primary_*.txt")
        with compare_with_original(load(Source(config), _TARGET), path) as run:
            run.explained = 0  # the causes are not asked
            for number, frame in enumerate(frames):
                run(str(number), frame)
    same = sum(row.verdict is not Verdict.DIFFERS for row in run.rows)
    return f"{same / len(run.rows):.1%}"


if __name__ == "__main__":
    main()
