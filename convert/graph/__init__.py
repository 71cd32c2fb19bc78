"""The graph of the ONNX model: editing, clean-up, batch, preprocessing in front, and `adapt`, which runs them all."""
