"""What Gst-nvinfer does before and behind TensorRT, computed on a CPU: float32, step by step, as NVIDIA's code does."""

from convert import make_callable

make_callable(__name__)
