"""What nvinfer cannot scale, the graph scales, exactly as Edge Impulse does."""

from __future__ import annotations

import numpy as np

from convert.graph.batch import dynamic_batch
from convert.graph.cleanup import clean
from convert.graph.resize import scale
from convert.types import TORCH_MEAN, TORCH_STD
from tests.graph.proof import model, onnxruntime, operators


def test_torch_scaling_is_bit_exact() -> None:
    before = clean(model("a = Relu(x) b = Neg(x) y = Concat<axis = 1>(a, b)", "1,3,4,5", "1,6,4,5"))
    values = np.random.default_rng(0).random((2, 3, 4, 5), np.float32)
    mean, std = (np.array(numbers, np.float32).reshape(3, 1, 1) for numbers in (TORCH_MEAN, TORCH_STD))
    wanted = [onnxruntime(before.SerializeToString(), ((value - mean) / std)[np.newaxis])[0] for value in values]
    after = dynamic_batch(scale(before, TORCH_MEAN, TORCH_STD))
    assert operators(after)[:2] == ["Sub", "Div"]
    (found,) = onnxruntime(after.SerializeToString(), values)
    assert found.tobytes() == np.concatenate(wanted).tobytes()
