"""From flatbuffer to the ONNX model that is shipped: translate (tf2onnx, in a child process) and adapt (our passes)."""

PRELOAD = ("convert.graph.preload",)
"""What a `convert.isolation.Worker` should preload to be warm for translation; here, where it costs no import."""
