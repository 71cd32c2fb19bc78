"""Layers Edge Impulse users may bring, made by Keras: shipped with parity, for every batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from tests.graph import networks
from tests.graph.proof import litert, onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.isolation import Worker
    from convert.types import Adapted, Export

pytestmark = pytest.mark.slow

# Layers that work along rows of pixels need some, and so do functions tf2onnx writes as ten nodes.
TRANSPOSES = {"fixed": 9, "open": 14}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tensorflow: Worker) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    tensorflow.call("tests.graph.networks:write", folder, timeout=300)
    return folder


@pytest.mark.parametrize("name", networks.INPUTS)
def test_networks(name: str, folder: Path, export: Callable[..., Export], adapted: Callable[..., Adapted]) -> None:
    result = adapted(export(folder / f"{name}.tflite"))
    pictures = np.random.default_rng(0).random((8, 16, 16, 3), np.float32)
    wanted = litert(result.export.model, pictures)
    differs = np.ptp(wanted.reshape(8, -1, 3), axis=0).max(axis=1)  # of each branch
    assert differs.min() > 1e-3, "the same for every picture proves nothing"
    for size in (1, 2, 8):
        (found,) = onnxruntime(result.onnx.data, np.ascontiguousarray(pictures[:size].transpose(0, 3, 1, 2)))
        np.testing.assert_allclose(found, wanted[:size], rtol=0, atol=1e-5)
    left = [node for node in onnx.load_model_from_string(result.onnx.data).graph.node if node.op_type == "Transpose"]
    assert len(left) <= TRANSPOSES[name]
