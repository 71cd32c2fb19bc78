"""Edge Impulse export in, a folder that Gst-nvinfer runs out."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("ei-deepstream")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
