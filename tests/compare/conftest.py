"""Every bundle is converted once for all tests of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.compare.bundles import SAMPLES
from tests.emitted import emitted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Convert = Callable[..., Path]

__all__ = ["emitted"]


@pytest.fixture(scope="session")
def fruit_export() -> Path:
    """A colour classifier of 96x96 pixels; how pictures were resized is not recorded."""
    return SAMPLES / "exports" / "fruit-cpp-2022"


@pytest.fixture(scope="session")
def fruit(emitted: Convert, fruit_export: Path) -> Path:
    """Squashed by the device, as the config says."""
    return emitted(fruit_export, "--resize-mode", "squash", "--resize", "device")


@pytest.fixture(scope="session")
def cropped(convert: Convert, fruit_export: Path) -> Path:
    """Trained on cropped pictures, which nvinfer squashes; proven."""
    return convert(fruit_export, "--resize-mode", "fit-shortest", "--frame", "none")


@pytest.fixture(scope="session")
def shapes_export() -> Path:
    """A grey classifier of 48x48 pixels, fit-longest."""
    return SAMPLES / "exports" / "shapes-cpp-2025"


@pytest.fixture(scope="session")
def shapes(emitted: Convert, shapes_export: Path) -> Path:
    """As it was trained; the device adds the bars."""
    return emitted(shapes_export, "--resize", "device")
