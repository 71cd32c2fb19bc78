"""Edge Impulse export in, a folder that Gst-nvinfer runs out."""

import os
from importlib.metadata import PackageNotFoundError, version

# ONNX Runtime's Linux wheels from 1.31 on report usage to their maker unless told not to before they are imported. A
# converter has no business doing that; whoever wants it can set the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

try:
    __version__ = version("ei-deepstream")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"
