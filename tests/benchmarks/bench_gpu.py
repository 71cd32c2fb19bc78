"""Engines of TensorRT-RTX on a GPU, in FP32, FP16 and INT8: images/s at batch 1, 8 and 32 and differences.

    make bench-gpu MODELS="bundle/model.onnx other/model.onnx"

Nothing of the project is imported: this file, the models and the wheels of numpy, onnx, onnxruntime and tensorrt-rtx in
one folder are enough (`python bench_gpu.py *.onnx`). Device memory is had from the driver itself, through ctypes.
TensorRT-RTX builds every layer in the type that the model gives it, so FP16 is the model with float16 constants; INT8
is a model that `convert --precision int8` wrote.
"""

from __future__ import annotations

import ctypes
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

BATCHES = (1, 8, 32)
_SECONDS = 1.0  # of each measurement; 3 engines and 3 batches of ten models take less than 5 minutes
_SEED = 0


def variants(model: bytes) -> dict[str, bytes]:
    """Precision -> the model as it is built: "int8" of one of codes, else "fp32" and "fp16"."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    proto = onnx.load_model_from_string(model)
    if any(node.op_type == "QuantizeLinear" for node in proto.graph.node):
        return {"int8": model}
    half = convert_float_to_float16(proto, keep_io_types=True)
    return {"fp32": model, "fp16": half.SerializeToString()}


class Gpu:
    """The first GPU.

    Raises:
        OSError: there is no driver, or it has no GPU.
    """

    def __init__(self) -> None:
        self._driver = ctypes.CDLL("libcuda.so.1")
        context = ctypes.c_void_p()
        self._call("cuInit", 0)
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self._call("cuCtxSetCurrent", context)
        self.stream = ctypes.c_void_p()
        self._call("cuStreamCreate", ctypes.byref(self.stream), 0)

    def allocate(self, size: int) -> int:
        """Device memory of `size` bytes, until the process ends."""
        place = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(size))
        return place.value

    def write(self, place: int, values: np.ndarray[Any, Any]) -> None:
        """Copy `values` to the device."""
        self._call("cuMemcpyHtoD_v2", ctypes.c_uint64(place), ctypes.c_void_p(values.ctypes.data), _size(values))

    def read(self, place: int, values: np.ndarray[Any, Any]) -> None:
        """Copy from the device into `values`."""
        self._call("cuMemcpyDtoH_v2", ctypes.c_void_p(values.ctypes.data), ctypes.c_uint64(place), _size(values))

    def wait(self) -> None:
        """Until everything in the stream is done."""
        self._call("cuStreamSynchronize", self.stream)

    def _call(self, name: str, *arguments: Any) -> None:
        if code := getattr(self._driver, name)(*arguments):
            raise OSError(f"{name} fails with CUDA error {code}")


def _size(values: np.ndarray[Any, Any]) -> ctypes.c_size_t:
    return ctypes.c_size_t(values.nbytes)


def _measure(gpu: Gpu, trt: Any, model: bytes, inputs: np.ndarray[Any, Any]) -> tuple[list[float], dict[str, Any]]:
    """Images/s for each of `BATCHES`, and the outputs by name for all `inputs` [32,C,H,W]."""
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network, config = builder.create_network(0), builder.create_builder_config()
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        raise ValueError("; ".join(parser.get_error(number).desc() for number in range(parser.num_errors)))
    name, shape = network.get_input(0).name, inputs.shape[1:]
    profile = builder.create_optimization_profile()
    profile.set_shape(name, *((batch, *shape) for batch in (1, max(BATCHES), max(BATCHES))))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ValueError("TensorRT builds no engine")
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    source = gpu.allocate(inputs.nbytes)
    gpu.write(source, inputs)
    context.set_tensor_address(name, source)
    context.set_input_shape(name, inputs.shape)
    outputs = {}
    for each in (engine.get_tensor_name(number) for number in range(engine.num_io_tensors)):
        if each != name:
            values = np.zeros(tuple(context.get_tensor_shape(each)), trt.nptype(engine.get_tensor_dtype(each)))
            outputs[each] = gpu.allocate(max(values.nbytes, 1)), values
            context.set_tensor_address(each, outputs[each][0])
    speeds = []
    for batch in BATCHES:
        context.set_input_shape(name, (batch, *shape))
        for _ in range(10):  # kernels are compiled at the first call
            context.execute_async_v3(gpu.stream.value)
        gpu.wait()
        start, runs = time.perf_counter(), 0
        while time.perf_counter() - start < _SECONDS:
            context.execute_async_v3(gpu.stream.value)
            gpu.wait()
            runs += 1
        speeds.append(runs * batch / (time.perf_counter() - start))
    for place, values in outputs.values():  # of the last batch, which is all inputs
        gpu.read(place, values)
    return speeds, {each: values for each, (_, values) in outputs.items()}


def main(paths: list[str]) -> None:
    """Print a row for each model and precision; a sentence where it cannot be measured."""
    try:
        gpu = Gpu()
    except OSError as error:
        print(f"no GPU can be measured here: {error}")
        return
    try:
        import tensorrt_rtx as trt
    except ImportError as error:
        print(f"the package tensorrt-rtx cannot be used here: {error}")
        return
    import onnxruntime

    head = "".join(f" {f'img/s b{each}':>12}" for each in BATCHES)
    print(f"{'model':<40} {'precision':<9}{head}  max difference")
    for path in map(Path, paths):
        model = path.read_bytes()
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
        entry = session.get_inputs()[0]
        inputs = np.random.default_rng(_SEED).random((max(BATCHES), *entry.shape[1:]), np.float32)
        names = [each.name for each in session.get_outputs()]
        wanted = dict(zip(names, session.run(names, {entry.name: inputs}), strict=True))
        for precision, variant in variants(model).items():
            try:
                speeds, found = _measure(gpu, trt, variant, inputs)
            except ValueError as error:
                print(f"{path.stem:<40} {precision:<9} {error}")
                continue
            most = max(float(np.abs(wanted[name] - found[name]).max()) for name in names)
            print(f"{path.stem:<40} {precision:<9}" + "".join(f" {each:>12,.0f}" for each in speeds) + f"  {most:.3g}")


if __name__ == "__main__":
    main(sys.argv[1:])
