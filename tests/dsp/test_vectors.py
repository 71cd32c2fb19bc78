"""Against what Edge Impulse's SDK computes: the vectors beside the project, within the limits that stand there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from convert.dsp import Block, Impulse, KMeans, blocks
from convert.dsp.reference import reference_anomaly, reference_features
from convert.errors import UnsupportedModelError
from tests.conftest import SHARED
from tests.dsp.impulses import computed, features_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDER = SHARED / "vectors" / "dsp"
CASES = json.loads((FOLDER / "cases.json").read_text()) if FOLDER.is_dir() else []
if not CASES:
    pytest.skip("no vectors beside the project", allow_module_level=True)

REFUSED = {"wavelet_db4_1": "wavelets", "wavelet_haar_3": "wavelets", "flatten_movavg_first": "moving average"}
# The SDK's rows keep old values between the steps of this decimation; training computes it as it is meant.
AS_TRAINING = {"sa4_decim30"}


def impulse_of(case: dict[str, Any]) -> Impulse:
    values: dict[str, Any] = dict(case["config"])
    version, axes = values.pop("implementation_version"), values["axes"]
    block = Block(case["block"], 1, version, tuple(range(axes)), values, case["features"])
    return Impulse("any", case["samples"], axes, (), case["frequency"], 0, (block,), (1,))


@pytest.fixture(scope="module")
def arrays() -> dict[str, dict[str, NDArray[Any]]]:
    return {name: dict(np.load(FOLDER / f"{name}.npz")) for name in ("signals", "features", "python")}


def assert_close(case: dict[str, Any], result: NDArray[Any], truth: NDArray[Any], *, exact: bool) -> None:
    """The README's limits; `exact`: with exact logarithms."""
    difference = np.abs(result - truth) / np.maximum(1, np.abs(truth))
    kind, version = case["block"], case["config"]["implementation_version"]
    largest = {"mfcc": 2e-3, "spectrogram": 1e-4, "flatten": 1e-5, "raw": 0.0}.get(kind, 5e-4 if exact else 2e-4)
    if kind == "mfe":
        largest = 5e-5 if version < 3 else 1 / 256 if exact else 0.0
    assert difference.max() <= largest
    assert np.mean(difference > 1e-3) <= 0.01


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))
def test_case(case: dict[str, Any], arrays: dict[str, dict[str, NDArray[Any]]]) -> None:
    impulse = impulse_of(case)
    if case["id"] in REFUSED:
        with pytest.raises(UnsupportedModelError, match=REFUSED[case["id"]]):
            blocks.settings(impulse.blocks[0], impulse)
        return
    blocks.refuse(impulse.blocks[0], impulse)
    samples = arrays["signals"][case["signal"]].astype(np.float32).reshape(1, -1)
    as_training = case["id"] in AS_TRAINING
    truth = arrays["python" if as_training else "features"][case["id"]]
    if as_training:
        assert blocks.settings(impulse.blocks[0], impulse).notes
    for sdk_log in (False,) if as_training else (False, True):
        result = computed(features_graph(impulse, sdk_log=sdk_log), samples)["features"][0]
        assert result.shape == truth.shape
        assert np.isfinite(result).all()
        if not case["ill_conditioned"]:
            assert_close(case, result, truth, exact=not sdk_log)
    reference = reference_features(impulse, samples)[0]
    assert np.isfinite(reference).all()
    if not case["ill_conditioned"]:
        # The SDK's float32 is off by 3e-4 where a sensor hardly moves; a graph in float32 is off by the same.
        difference = np.abs(reference - truth) / np.maximum(1, np.abs(truth))
        assert difference.max() <= {"mfe": 1 / 256, "mfcc": 1e-3, "raw": 1e-6}.get(case["block"], 5e-4)
        assert np.mean(difference > 1e-3) <= 0.01


@pytest.mark.parametrize("number", range(3))
def test_distances_to_clusters(number: int) -> None:
    case = json.loads((FOLDER / "kmeans.json").read_text())[number]
    features = np.array(case["features"], np.float32)
    size = features.shape[1]
    block = Block("raw", 7, 1, (0,), {"axes": 1.0, "scale_axes": 1.0}, size)
    clusters = KMeans(
        tuple(case["anom_axis"]), tuple(case["anom_mean"]), tuple(case["anom_scale"]),
        tuple(map(tuple, case["centroids"])), tuple(case["max_error"]), 7,
    )  # fmt: skip
    impulse = Impulse("any", size, 1, (), 100, 0, (block,), (), clusters)
    outputs = computed(features_graph(impulse), features)
    np.testing.assert_array_equal(outputs["features"], features)
    np.testing.assert_allclose(outputs["anomaly"][:, 0], case["anomaly"], rtol=1e-5)
    reference = reference_anomaly(impulse, features)
    assert reference is not None
    np.testing.assert_allclose(reference[:, 0], case["anomaly"], rtol=1e-5, atol=1e-6)
    assert outputs["anomaly"][-1, 0] == reference[-1, 0] == 1000
