"""Whole graphs: several blocks, normalisation, network, anomaly, any batch; and TensorRT's builder."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from convert.dsp import KMeans, Mixture
from convert.dsp.blocks import BLOCKS
from convert.dsp.graph import impulse_graph
from convert.dsp.reference import reference_anomaly, reference_features
from convert.errors import UnsupportedModelError
from convert.validate import runtimes
from tests.dsp.impulses import SOUND, block, computed, features_graph, impulse, session, signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.dsp import Impulse

ALL = [(kind.id, version) for kind in BLOCKS for version in range(1, kind.versions + 1)]  # raw and flatten have one


def of_kind(kind: str, version: int) -> Impulse:
    axes = 1 if kind in SOUND else 3
    frequency = 4000 if kind in SOUND else 100
    return impulse(block(kind, version, axes), axes=axes, frequency=frequency)


@pytest.mark.parametrize(("kind", "version"), ALL)
def test_windows_do_not_depend_on_each_other(kind: str, version: int) -> None:
    whole = of_kind(kind, version)
    model = features_graph(whole)
    onnx.checker.check_model(model, full_check=True)
    windows = signal(whole, 8)
    run = session(model)
    together = run(windows)["features"]
    for count in (1, 2):
        parts = [run(windows[at : at + count])["features"] for at in range(0, 8, count)]
        # Sums may be formed in another order.
        np.testing.assert_allclose(np.concatenate(parts), together, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("kind", "version"), ALL)
def test_a_constant_gives_numbers(kind: str, version: int) -> None:
    whole = of_kind(kind, version)
    levels = np.array([[0.0], [-9.81], [1e-6], [32767.0]], np.float32)
    windows = np.repeat(levels, whole.samples * whole.axes, axis=1)
    assert np.isfinite(computed(features_graph(whole), windows)["features"]).all()
    assert np.isfinite(reference_features(whole, windows)).all()


def test_zeros_stand_behind_the_peaks_only_where_bins_are_fewer() -> None:
    """A transform of 16 values has 7 bins between its ends."""
    counts = []
    for peaks in (3.0, 7.0, 8.0, 15.0):
        whole = impulse(block("spectral_analysis", 1, 3, spectral_peaks_count=peaks), axes=3, frequency=100)
        model, windows = features_graph(whole), signal(whole)
        np.testing.assert_allclose(computed(model, windows)["features"], reference_features(whole, windows), atol=1e-4)
        counts.append(sum(node.op_type == "Concat" for node in model.graph.node))
    assert counts == [counts[0]] * 2 + [counts[0] + 1] * 2


@pytest.mark.parametrize("scale", [1e-3, 1.0])
def test_a_matrix_with_hardly_any_range_is_not_stretched(scale: float) -> None:
    whole = of_kind("spectrogram", 2)
    windows = signal(whole) / np.float32(3000) * np.float32(scale)
    features = computed(features_graph(whole), windows)["features"]
    assert (features.max() == 1) == (scale == 1)
    np.testing.assert_allclose(features, reference_features(whole, windows), atol=1e-6)


def test_blocks_stand_in_the_order_of_the_network_and_are_normalised() -> None:
    first = replace(block("flatten", axes=2, number=7), axes=(2, 0))
    second = block("raw", axes=3, number=5, scale_axes=2.0)
    whole = impulse(first, second, axes=3, samples=10)
    scaled = replace(whole.blocks[1], normalisation=(tuple(map(float, range(30))), (0.5,) * 30))
    whole = replace(whole, blocks=(scaled, whole.blocks[0]), inputs=(5, 7))
    windows = signal(whole, 2)
    features = computed(features_graph(whole), windows)["features"]
    np.testing.assert_allclose(features[:, :30], (windows * 2 - np.arange(30)) * 0.5, rtol=1e-6)
    np.testing.assert_allclose(features[:, 30], windows.reshape(2, 10, 3)[:, :, 2].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(features, reference_features(whole, windows), rtol=1e-4, atol=1e-5)


NETWORK = """
<ir_version: 7, opset_import: ["": 13]>
network (float[{batch},1,{rows},6] x) => (float[{batch},2] probabilities)
<int64[2] flat = {{{target}, 12}}, float[12,2] weights = {{{weights}}}>
{{ row = Reshape(x, flat)
   sums = MatMul(row, weights)
   probabilities = Softmax<axis=1>(sums) }}
"""
WEIGHTS = ((np.arange(24) % 7 - 3) / 10).reshape(12, 2)
TEXT = ", ".join(f"{each:g}" for each in WEIGHTS.flat)
CLUSTERS = KMeans((5, 1), (0.5, 0.0), (2.0, 1.0), ((0.0, 0.0), (1.0, 3.0)), (0.1, 0.2), 1)


def network(batch: int | str, rows: int = 2) -> onnx.ModelProto:
    target = -1 if batch == "N" else batch
    return onnx.parser.parse_model(NETWORK.format(batch=batch, rows=rows, target=target, weights=TEXT))


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("count", [1, 2, 8])
def test_the_network_is_behind_the_features(batch: int | str, count: int) -> None:
    whole = impulse(block("raw", axes=3), axes=3, samples=4, anomaly=CLUSTERS)
    given = network(batch)
    before = given.SerializeToString()
    model = impulse_graph(whole, given)
    assert given.SerializeToString() == before
    onnx.checker.check_model(model, full_check=True)
    shapes = [[d.dim_param or d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output]
    assert shapes == [["N", 2], ["N", 1]]
    windows = signal(whole, count)
    outputs = computed(model, windows)
    sums = np.exp(windows @ WEIGHTS)
    np.testing.assert_allclose(outputs["scores"], sums / sums.sum(axis=1, keepdims=True), rtol=1e-5)
    distances = reference_anomaly(whole, windows)
    assert distances is not None
    np.testing.assert_allclose(outputs["anomaly"], distances, rtol=1e-4)


def test_a_network_that_takes_something_else_is_refused() -> None:
    whole, old = impulse(block("raw"), samples=12), network("N")
    old.opset_import[0].version = 12
    of_integers = network("N")
    of_integers.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    two = network("N")
    two.graph.output.append(two.graph.output[0])
    mixture = onnx.parser.parse_model(MIXTURE.replace('"": 13', '"": 14'))
    takes, again = "the blocks give 12 features", "export it again"
    for given, made, found, message, hint in (
        (whole, network("N", rows=3), None, f"the network takes float32 [None, 1, 3, 6]; {takes}", again),
        (whole, of_integers, None, f"the network takes int64 [None, 1, 2, 6]; {takes}", again),
        (whole, two, None, f"the network takes float32 [None, 1, 2, 6]; {takes}", again),
        (whole, None, None, "the impulse has neither a network nor an anomaly block", again),
        (whole, old, None, "the network is of opset 12, its signal processing needs 13", "--opset 13"),
        (replace(whole, inputs=(9,)), network("N"), None,
         "the impulse has no block 9, from which it takes features", again),
        (replace(whole, inputs=()), network("N"), None, "no block of the impulse gives features to anything", again),
        (replace(whole, anomaly=Mixture((2, 11), b"", 1)), network("N"), mixture,
         "network and anomaly block are of different opsets", "give one --opset"),
        (replace(whole, anomaly=Mixture((2, 12), b"", 1)), network("N"), mixture,
         "the anomaly block takes features that are not among the 12 of block 1", again),
        (replace(whole, anomaly=Mixture((), b"", 1)), network("N"), mixture,
         "the anomaly block takes features that are not among the 12 of block 1", again),
        (replace(whole, anomaly=Mixture((2, 11), b"", 1)), network("N"), None,
         "the network of the anomaly block is missing", again),
        (replace(whole, anomaly=replace(CLUSTERS, radii=(0.1,))), network("N"), None,
         "the clusters of the anomaly block do not fit its axes", again),
    ):  # fmt: skip
        with pytest.raises(UnsupportedModelError) as caught:
            impulse_graph(given, made, found)
        assert (caught.value.message, caught.value.hint) == (message, hint)


# As tf2onnx writes a fully connected layer that has the weights on the left.
MIXTURE = """
<ir_version: 7, opset_import: ["": 13]>
mixture (float[1,2] x) => (float[1] score)
<int64[2] column = {2, 1}, int64[1] one = {1}, float[3,2] left = {1, 2, 3, 4, 5, 6}>
{ turned = Reshape(x, column)
  product = MatMul(left, turned)
  best = ReduceMax<axes=[0], keepdims=0>(product)
  score = Reshape(best, one) }
"""


def test_a_mixture_is_a_network_of_its_own() -> None:
    whole = impulse(block("raw", axes=3), axes=3, samples=4, anomaly=Mixture((2, 11), b"", 1))
    model = impulse_graph(whole, network(1), onnx.parser.parse_model(MIXTURE))
    windows = signal(whole, 5)
    outputs = computed(model, windows)
    scores = (windows[:, [2, 11]] @ np.array([[1, 2], [3, 4], [5, 6]]).T).max(axis=1, keepdims=True)
    np.testing.assert_allclose(outputs["anomaly"], scores, rtol=1e-5)

    def mixed(features: NDArray[np.float32]) -> NDArray[np.float32]:
        np.testing.assert_array_equal(features, windows[:, [2, 11]])
        return np.asarray(scores[:, 0])

    np.testing.assert_array_equal(reference_anomaly(whole, windows, mixed), scores)
    with pytest.raises(ValueError, match=r"^the mixture's network is needed$"):
        reference_anomaly(whole, windows)
    alone = replace(whole, inputs=())
    (name,) = computed(impulse_graph(alone, None, onnx.parser.parse_model(MIXTURE)), windows)
    assert name == "anomaly"
    with pytest.raises(UnsupportedModelError, match="network of the anomaly block is missing"):
        impulse_graph(whole, network(1))


@pytest.mark.parametrize(
    "clusters",
    [
        replace(CLUSTERS, scale=(0.0, 1.0)),
        replace(CLUSTERS, radii=(0.1,)),
        replace(CLUSTERS, centroids=((0.0, 0.0), (1.0,))),
        replace(CLUSTERS, axes=(5, 1, 2)),
        replace(CLUSTERS, mean=(float("nan"), 0.0)),
        replace(CLUSTERS, axes=(12, 1)),
        replace(CLUSTERS, block=3),
    ],
    ids=["scale", "radii", "ragged", "axes", "nan", "feature", "block"],
)
def test_clusters_that_fit_nothing_are_refused(clusters: KMeans) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        features_graph(impulse(block("raw"), samples=12, anomaly=clusters))
    assert caught.value.hint


def test_a_block_that_nothing_takes_is_not_looked_at() -> None:
    whole = impulse(block("raw"), samples=12)
    whole = replace(whole, blocks=(*whole.blocks, replace(block("raw"), kind="my_own", id=2)))
    assert computed(impulse_graph(whole, network("N")), signal(whole, 2))["scores"].shape == (2, 2)


@pytest.mark.parametrize("opset", [14, 17, 18])
def test_every_kind_at_the_opset_of_the_network(opset: int) -> None:
    whole = impulse(*(block(kind, version, number=number) for number, (kind, version) in enumerate(ALL)))
    size = sum(part.size for part in whole.blocks)
    header = f'<ir_version: 7, opset_import: ["": {opset}]>'
    same = onnx.parser.parse_model(f"{header} g (float[N,{size}] x) => (float[N,{size}] y) {{ y = Identity(x) }}")
    model = impulse_graph(whole, same)
    assert model.opset_import[0].version == opset
    onnx.checker.check_model(model, full_check=True)
    windows = signal(whole, 3)
    expected = computed(features_graph(whole), windows)["features"]
    np.testing.assert_array_equal(computed(model, windows)["scores"], expected)


@pytest.mark.slow
@pytest.mark.skipif(not runtimes.available(), reason="the optional package tensorrt-rtx is not installed")
@pytest.mark.parametrize(("kind", "version"), ALL)
def test_tensorrt_builds_it(kind: str, version: int) -> None:
    whole = of_kind(kind, version)
    shape = (whole.samples * whole.axes,)
    assert "built" in runtimes.build(features_graph(whole).SerializeToString(), shape, 8)
