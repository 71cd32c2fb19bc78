"""The graph and the NumPy reference agree on configurations that nobody chose."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convert.dsp import Block, Impulse, blocks
from convert.dsp.graph import _KINDS as MADE
from convert.dsp.reference import _KINDS as COMPUTED
from convert.dsp.reference import reference_features
from convert.errors import UnsupportedModelError
from tests.dsp.impulses import block, computed, features_graph, impulse, signal


def test_every_kind_has_nodes_and_a_reference() -> None:
    assert [each.id for each in blocks.BLOCKS] == list(MADE) == list(COMPUTED)


# Filters in one bin and windows of three rows divide rounding by rounding: no two programs agree there.
@st.composite
def sound(draw: st.DrawFn) -> tuple[Block, float]:
    kind = draw(st.sampled_from(["mfe", "mfcc", "spectrogram"]))
    filters = 2 * draw(st.integers(3, 16))
    part = block(
        kind,
        draw(st.integers(1, 4)),
        frame_length=draw(st.floats(0.004, 0.05)),
        frame_stride=draw(st.floats(0.002, 0.05)),
        fft_length=2.0 * draw(st.integers(32, 128)),
        num_filters=float(filters),
        num_cepstral=float(draw(st.integers(1, filters))),
        low_frequency=float(draw(st.integers(0, 400))),
        high_frequency=float(draw(st.sampled_from([0, 1500, 2000]))),
        win_size=float(draw(st.sampled_from([0, 11, 101]))),
        pre_shift=float(draw(st.integers(1, 4))),
        noise_floor_db=float(draw(st.integers(-90, -10))),
    )
    return part, draw(st.sampled_from([4000.0, 8000.0, 11025.0]))


@st.composite
def sensor(draw: st.DrawFn) -> tuple[Block, float]:
    kind = draw(st.sampled_from(["raw", "flatten", "spectral_analysis", "spectral_analysis"]))
    part = block(
        kind,
        draw(st.integers(1, 4)) if kind == "spectral_analysis" else 1,
        axes=draw(st.integers(1, 3)),
        scale_axes=draw(st.sampled_from([1.0, 9.81, 0.01])),
        input_decimation_ratio=float(draw(st.sampled_from([1, 1, 3, 10, 30]))),
        filter_type=draw(st.sampled_from(["none", "low", "high"])),
        filter_cutoff=draw(st.floats(0.5, 20)),
        filter_order=float(draw(st.integers(0, 8))),
        fft_length=2.0 * draw(st.integers(4, 64)),
        do_log=float(draw(st.booleans())),
        do_fft_overlap=float(draw(st.booleans())),
        extra_low_freq=float(draw(st.booleans())),
        spectral_power_edges=draw(st.sampled_from(["0.1, 0.5, 1.0, 2.0, 5.0", "0, 20, 40, 100"])),
        spectral_peaks_count=float(draw(st.integers(0, 9))),
    )
    return part, draw(st.sampled_from([62.5, 100.0]))


@given(st.one_of(sound(), sensor()), st.integers(200, 500), st.integers(0, 1000))
def test_graph_and_reference_agree(chosen: tuple[Block, float], samples: int, seed: int) -> None:
    part, frequency = chosen
    axes = len(part.axes)
    try:
        whole = impulse(replace(part, axes=tuple(reversed(part.axes))), samples=samples, axes=axes, frequency=frequency)
    except UnsupportedModelError:
        assume(False)
    settings = blocks.settings(whole.blocks[0], whole)
    if isinstance(settings, blocks.Spectral):  # moments of two or three samples are rounding
        assume(all(band.samples > 10 for band in settings.bands))
    _agree(whole, seed)


def _agree(whole: Impulse, seed: int) -> None:
    """Up to rounding, and to a step more or less where a value is between two."""
    part = whole.blocks[0]
    windows = signal(whole, 2, seed)
    result, expected = computed(features_graph(whole), windows)["features"], reference_features(whole, windows)
    difference = np.abs(result - expected) / np.maximum(1, np.abs(expected))
    if part.kind == "mfe" and part.version > 2:
        assert difference.max() < 1 / 255
        assert np.mean(difference > 1e-3) < 0.02
        return
    assert np.mean(difference > 1e-3) < 0.01
    assert difference.max() < 0.02


@pytest.mark.parametrize(
    ("kind", "version", "values"),
    [
        ("spectral_analysis", 1, {"spectral_peaks_count": 9, "fft_length": 8}),  # more than there are bins
        ("spectral_analysis", 1, {"spectral_peaks_count": 3, "fft_length": 8}),  # as many
        ("spectral_analysis", 1, {"spectral_peaks_count": 0, "spectral_power_edges": "0, 31.25"}),
        ("spectral_analysis", 1, {"spectral_peaks_count": 1, "fft_length": 128, "spectral_peaks_threshold": 0.5}),
        ("spectral_analysis", 1, {"spectral_power_edges": "7.8125, 27.4, 31.2, 31.3", "fft_length": 16}),
        ("spectral_analysis", 2, {"filter_type": "high", "filter_order": 3, "filter_cutoff": 9}),
        ("spectral_analysis", 4, {"filter_order": 1}),
        ("spectral_analysis", 4, {"filter_order": 2, "do_fft_overlap": 0, "extra_low_freq": 1}),
        ("flatten", 1, {"skewness": 0, "rms": 0}),
        ("mfe", 1, {"num_filters": 40, "win_size": 0}),
        ("mfe", 2, {"num_filters": 9, "low_frequency": 100, "high_frequency": 1000}),
        ("mfe", 3, {"num_filters": 40}),
        ("mfe", 4, {"noise_floor_db": -90, "frame_stride": 0.02}),
        ("mfcc", 1, {"win_size": 3, "num_cepstral": 12}),
        ("mfcc", 4, {"pre_shift": 3, "pre_cof": 0.5, "win_size": 0}),
        ("spectrogram", 1, {"frame_length": 0.03}),
        ("spectrogram", 3, {"fft_length": 128}),
        ("spectrogram", 4, {"noise_floor_db": -10}),
    ],
)
def test_they_agree_at_the_ends_of_their_settings(kind: str, version: int, values: dict[str, Any]) -> None:
    sound = kind in {"mfe", "mfcc", "spectrogram"}
    given: dict[str, Any] = {name: value if isinstance(value, str) else float(value) for name, value in values.items()}
    _agree(impulse(block(kind, version, **given), samples=400, frequency=8000 if sound else 62.5), 3)


@pytest.mark.parametrize(("version", "factor", "same"), [(3, 32768, True), (3, 32767, False), (4, 32768, False)])
def test_whole_numbers_and_shares_of_full_scale_have_the_same_spectrogram(
    version: int, factor: int, same: bool
) -> None:
    whole = impulse(block("spectrogram", version, noise_floor_db=-100.0))
    shares = (signal(whole) / 32768).astype(np.float64)
    one, two = (reference_features(whole, samples) for samples in (shares, shares * factor))
    assert 0.1 < one.mean() < 0.9
    assert np.allclose(one, two, rtol=0, atol=1e-9) is same


@pytest.mark.parametrize(("kind", "version"), [("mfe", 1), ("mfe", 4), ("spectrogram", 1), ("spectrogram", 4)])
@pytest.mark.parametrize("level", [0, 100])
def test_they_agree_on_silence(kind: str, version: int, level: float) -> None:
    """All features are alike then, and are not stretched."""
    whole = impulse(block(kind, version))
    windows = np.full((2, whole.samples), level, np.float32)
    result, expected = computed(features_graph(whole), windows)["features"], reference_features(whole, windows)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(result, expected, rtol=0, atol=1 / 250)


@pytest.mark.parametrize(("reach", "largest"), [(0.00101, 1), (0.00099, 0.00099)])
def test_a_matrix_that_ranges_over_a_thousandth_is_stretched(reach: float, largest: float) -> None:
    """One sample alone has the same power at all frequencies."""
    whole = impulse(block("spectrogram", 2))
    windows = np.zeros((1, whole.samples))
    windows[0, 100] = np.sqrt(64 * reach)
    for features in (
        reference_features(whole, windows),
        computed(features_graph(whole), windows.astype(np.float32))["features"],
    ):
        assert features.max() == pytest.approx(largest, rel=1e-4)


def test_of_one_peak_that_is_asked_for_the_first_ten_are_looked_at() -> None:
    whole = impulse(block("spectral_analysis", 1, fft_length=64.0, filter_type="none", spectral_peaks_count=1.0))
    tones = [place * np.cos(2 * np.pi * place / 64 * np.arange(whole.samples)) for place in range(2, 32, 2)]
    windows = np.sum(tones, axis=0)[None].astype(np.float32)
    expected = [4000 / 2 * 20 / 31, 20]  # the tenth: frequency, and height
    np.testing.assert_allclose(reference_features(whole, windows)[0, 1:3], expected, rtol=0.01)
    np.testing.assert_allclose(computed(features_graph(whole), windows)["features"][0, 1:3], expected, rtol=0.01)
