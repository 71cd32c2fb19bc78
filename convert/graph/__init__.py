"""From flatbuffer to the ONNX model that is shipped: translate (tf2onnx, in a child process) and adapt (our passes)."""

PRELOAD = ("convert.graph.worker:preload",)
"""What a `convert.isolation.Worker` preloads for translation; here, where it costs no import."""
