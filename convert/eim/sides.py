"""What `eim compare` can hold an .eim against: a bundle, or the .tflite it was trained as."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.artifacts import ImageScaling, ResizeMode
from convert.compare.edge_impulse import pack, read_original
from convert.eim.impulse import read_impulse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.compare.edge_impulse import Original
    from convert.eim.client import Model
    from convert.eim.compare import Reference
    from convert.eim.model import Loaded

__all__ = ["other_side"]

_FLATBUFFERS = frozenset({".tflite", ".lite"})


@dataclass(frozen=True)
class _Bundle:
    """A bundle: the features are packed and unpacked as the protocol carries them."""

    loaded: Loaded

    @property
    def size(self) -> tuple[int, int, int]:
        impulse = self.loaded.impulse
        return impulse.height, impulse.width, impulse.channels

    @property
    def labels(self) -> tuple[str, ...]:
        return self.loaded.impulse.labels

    @property
    def resize_mode(self) -> ResizeMode | None:
        return self.loaded.impulse.preprocessing.resize_mode

    def classify(self, picture: NDArray[np.uint8], threshold: float, *, as_sdk: bool = False) -> dict[str, Any]:
        return self.loaded.classify(pack(picture), threshold, as_sdk=as_sdk).result


@dataclass(frozen=True)
class _Flatbuffer:
    """An original, resized as the .eim says."""

    original: Original
    resize_mode: ResizeMode | None

    @property
    def size(self) -> tuple[int, int, int]:
        return self.original.size

    @property
    def labels(self) -> tuple[str, ...]:
        return self.original.labels

    def classify(self, picture: NDArray[np.uint8], threshold: float, *, as_sdk: bool = False) -> dict[str, Any]:
        return self.original.classify(picture, threshold, as_sdk=as_sdk)


@contextlib.contextmanager
def other_side(path: Path, model: Model, scaling: ImageScaling, timeout: float) -> Iterator[Reference]:
    """What is at `path`; a flatbuffer gets its labels and resize mode from the .eim's `model`.

    Raises:
        InputError, ValidationError: it cannot be read or run.
    """
    if path.suffix.lower() in _FLATBUFFERS:
        from convert.isolation import Worker  # noqa: PLC0415 - LiteRT's side

        mode = next((mode for mode in ResizeMode if mode.value == model.resize_mode), None)
        with Worker() as worker:
            yield _Flatbuffer(read_original(path, model.labels, scaling, worker, timeout), mode)
        return
    from convert.eim.model import Loaded  # noqa: PLC0415 - ONNX Runtime

    yield _Bundle(Loaded(read_impulse(path)))
