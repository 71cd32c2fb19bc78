"""Imported by a fresh worker process, and only there: gets tf2onnx ready while the parent still unpacks.

`convert.isolation.Worker(preload=...)` imports modules, so this one works by being imported: it installs the stand-in
for TensorFlow and loads all that a translation needs.
"""

import convert.graph.worker  # the first call finds it
from convert.graph import standin

standin.install()

import ai_edge_litert.interpreter  # noqa: E402, F401
import onnx.checker  # noqa: E402, F401
import tf2onnx.optimizer  # noqa: E402
import tf2onnx.tfonnx  # noqa: E402, F401

import convert.graph.asserts  # noqa: E402
import convert.graph.flatnames  # noqa: E402
import convert.graph.hasten  # noqa: E402
import convert.graph.model  # noqa: E402
import convert.graph.repairs  # noqa: E402, F401
