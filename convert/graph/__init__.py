"""From flatbuffer to the ONNX model that is shipped: translate (tf2onnx, in a child process) and adapt (our passes)."""
