"""Edge Impulse export in, a folder that Gst-nvinfer runs out.

    from convert import convert
    bundle = convert("export.zip", "bundle", target="7.1")

What `__all__` names is stable: the functions are described in `convert.api`, their options in `convert.options`, the
errors in `convert.errors`. Everything else may change from release to release. Nothing is imported before it is asked
for, so that `ei-deepstream --help` starts quickly.
"""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

# ONNX Runtime's Linux wheels from 1.31 on report usage to Microsoft unless this is set before they are imported. A
# converter should not do that; set the variable to 0 to allow it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# NumPy's BLAS starts a thread for every core as it is imported, which costs each of our processes 0.1 s of CPU time;
# nothing here multiplies matrices large enough for them. (The engines of LiteRT and ONNX Runtime have threads of their
# own.)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if TYPE_CHECKING:
    from convert.api import batch, check, convert, inspect, simulate, simulate_recordings
    from convert.errors import (
        ConvertError,
        InputError,
        MissingDependencyError,
        OutputError,
        PresetError,
        TranslationError,
        UnsupportedModelError,
        ValidationError,
    )
    from convert.findings import Finding, Level
    from convert.images import Frame, ImageScaling, ResizeMode
    from convert.options import BatchOptions, CheckOptions, ConvertOptions, SimulateOptions
    from convert.types import Bundle, Evidence

__all__ = [
    "BatchOptions", "Bundle", "CheckOptions", "ConvertError", "ConvertOptions", "Evidence", "Finding", "Frame",
    "ImageScaling", "InputError", "Level", "MissingDependencyError", "OutputError", "PresetError", "ResizeMode",
    "SimulateOptions", "TranslationError", "UnsupportedModelError", "ValidationError", "batch", "check", "convert",
    "inspect", "simulate", "simulate_recordings",
]  # fmt: skip

OBJECTS = 50_000
"""New objects between two searches for cycles. By default these are 700: importing alone then sets off dozens of them,
which take a tenth of a short command's time and find nothing."""

__version__: str

_MODULES = (  # what is light first
    "convert.errors",
    "convert.findings",
    "convert.images",
    "convert.types",
    "convert.options",
    "convert.api",
)


def __getattr__(name: str) -> Any:
    """What `__all__` names, and `__version__`, imported when somebody asks."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version  # as slow as all of `check`

        try:
            found = version("ei-deepstream")
        except PackageNotFoundError:  # a source tree that was never installed
            found = "0+unknown"
        globals()[name] = found  # not asked for again
        return found
    if name in __all__:
        for module in map(importlib.import_module, _MODULES):
            if name in vars(module):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]


class _PublicFunction(ModuleType):
    """A package that is called as the public function of its name.

    `convert.check` is a package with modules in it, and `from convert import check` gives that package as soon as one
    of them has been imported. So it is the function, too.
    """

    @property
    def __signature__(self) -> Any:
        import inspect  # for whoever asks for help

        return inspect.signature(self._function)

    @property
    def _function(self) -> Any:
        return getattr(importlib.import_module("convert.api"), self.__name__.rpartition(".")[2])

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._function(*arguments, **options)


def make_callable(package: str) -> None:
    """Lets the package "convert.check" (or batch, simulate) be called; for that package's `__init__`."""
    sys.modules[package].__class__ = _PublicFunction
