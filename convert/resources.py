"""Where `configs/` is: beside the package in a source tree, inside it in an installed wheel."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["configs", "load_toml"]


@cache
def configs() -> Path:
    """The folder of data files people may read and edit (`nvinfer/keys.toml`, `targets.toml`, `heads/*.toml`).

    Raises:
        FileNotFoundError: neither place has it; the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "configs", package.parent / "configs"):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the data folder configs/ is missing from {package}: reinstall ei-deepstream")


@cache
def load_toml(name: str) -> dict[str, Any]:
    """The parsed TOML file `name` (relative to `configs()`, "targets.toml"). The result is shared: do not change it."""
    with (configs() / name).open("rb") as file:
        return tomllib.load(file)
