"""Edge Impulse export in, a folder that Gst-nvinfer runs out."""

import os

# ONNX Runtime's Linux wheels from 1.31 on report usage to their maker unless told not to before they are imported. A
# converter has no business doing that; whoever wants it can set the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# NumPy's BLAS starts a thread for every core as it is imported, which costs each of our processes 0.1 s of CPU time;
# nothing here multiplies matrices large enough for them. (The engines of LiteRT and ONNX Runtime have threads of their
# own.)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__: str


def __getattr__(name: str) -> str:
    """`__version__`, looked up when somebody asks: importlib.metadata takes as long to import as all of `check`."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

    try:
        return version("ei-deepstream")
    except PackageNotFoundError:  # a source tree that was never installed
        return "0+unknown"
