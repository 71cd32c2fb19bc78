"""Measures whether the ONNX model is valid, is what Gst-nvinfer can take, and computes what the original computes."""
