"""Bundles to compare: samples and real models converted once, then changed in one thing."""

from __future__ import annotations

import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from convert.check.loading import check_target
from convert.compare.run import compare_with_original
from convert.images.read import Picture
from convert.simulate.engine import Source, load
from convert.simulate.run import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from convert.compare import PictureComparison
    from convert.compare.run import ComparisonRun
    from convert.simulate.results import FrameResult

__all__ = ["ROOT", "SAMPLES", "causes", "changed", "compared", "config_of", "judged", "photo", "shown"]

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"
_HERE = check_target("deepstream-7.1", "dgpu")


def config_of(folder: Path) -> Path:
    """The primary engine's config."""
    (config,) = folder.glob("config_infer_primary_*.txt")
    return config


def changed(bundle: Path, folder: Path, keys: Mapping[str, object], *, labels: Mapping[str, str] | None = None) -> Path:
    """The config of a copy of `bundle` in `folder`, with `keys` of [property] or [class-attrs-all] set.

    A key with the prefix "all." belongs to [class-attrs-all]. `labels`: texts to be replaced in the label file.
    """
    shutil.copytree(bundle, folder, dirs_exist_ok=True)
    config = config_of(folder)
    text = config.read_text()
    for name, value in keys.items():
        group, key = ("class-attrs-all", name[4:]) if name.startswith("all.") else ("property", name)
        text = re.sub(rf"^{re.escape(key)}=.*\n", "", text, flags=re.MULTILINE)
        if f"[{group}]" not in text:
            text += f"\n[{group}]\n"
        text = text.replace(f"[{group}]\n", f"[{group}]\n{key}={value}\n")
    config.write_text(text)
    for old, new in (labels or {}).items():
        (path,) = folder.glob("*_labels.txt")
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new))
    return config


@contextmanager
def judged(config: Path, original: Path | None, tolerance: float = 0.1) -> Iterator[ComparisonRun]:
    """A comparison with the engine of `config`."""
    with compare_with_original(load(Source(config), _HERE), original, tolerance=tolerance) as found:
        yield found


def compared(
    config: Path, original: Path | None, *pictures: NDArray[np.uint8], tolerance: float = 0.1
) -> ComparisonRun:
    """The comparison of these pictures, done."""
    with judged(config, original, tolerance) as found:
        for number, pixels in enumerate(pictures):
            found(f"p{number}", pixels)
    return found


def shown(config: Path, *pictures: NDArray[np.uint8]) -> list[FrameResult]:
    """What `simulate` shows of these pictures."""
    runner = Runner((load(Source(config), _HERE),))
    given = [Picture(f"p{number}", config, pixels) for number, pixels in enumerate(pictures)]
    return [frame for _, frame in runner(given)]


def photo(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """RGB pixels of a picture, scaled to `size` (width, height)."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR) if size else image)


def causes(row: PictureComparison) -> list[str]:
    """By name."""
    return [cause.value for cause in row.causes]
