"""What the kinds of blocks refuse, count and say; whatever is recorded, nothing but a refusal comes of it."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.dsp import Block, Impulse, blocks
from convert.dsp.blocks import BLOCKS
from convert.errors import UnsupportedModelError
from tests.dsp.impulses import USUAL, block, features_graph, impulse

NOTHING = replace(block("flatten"), values={"scale_axes": 1.0})
EMPTY = Impulse("any", 400, 1, (), 4000, 0, (), ())


OF_KIND = "signal-processing blocks of the kind"


def refusal(given: Block, samples: int = 400, axes: int = 1, frequency: float = 4000) -> str:
    with pytest.raises(UnsupportedModelError) as caught:
        blocks.refuse(given, replace(EMPTY, samples=samples, axes=axes, frequency=frequency))
    assert caught.value.hint
    known = any(kind.id == given.kind for kind in BLOCKS)
    of = f"the block {given.id} ({blocks.title(given.kind)})" if known else f"{OF_KIND} {given.kind}"
    assert caught.value.message.startswith(f"{of} cannot be converted: ")
    return caught.value.message.removeprefix(f"{of} cannot be converted: ")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("audio_syntiant", "it is made for Syntiant's chips, and Edge Impulse's SDK does not hold its arithmetic"),
        ("hr", "the arithmetic is in a closed library"),
        ("my_own", "it is no block of Edge Impulse's own, and its arithmetic is not in the export"),
    ],
)
def test_kinds_without_arithmetic(kind: str, reason: str) -> None:
    assert reason == refusal(Block(kind, 3, 1, (0,), {}, 10))
    with pytest.raises(UnsupportedModelError) as caught:
        blocks.block_kind(kind)
    assert caught.value.hint == (
        "use one of these, train again and export: Raw data, Flatten, Spectral analysis, Audio (MFE), Audio (MFCC), "
        "Spectrogram"
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            block("mfcc", win_size=100.0),
            "its win_size 100 is even, with which Edge Impulse's code reads beyond its memory",
        ),
        (
            block("mfcc", num_filters=13.0),
            "its num_filters 13 is odd, and Edge Impulse's code takes even ones only (its DCT)",
        ),
        (block("mfcc", num_cepstral=13.0), "its num_cepstral is 13.0, not a number from 1 to 12"),
        (block("mfcc", pre_shift=0.0), "its pre_shift is 0 in a window of 400 samples"),
        (
            block("mfe", 2, win_size=10.0),
            "its win_size 10 is even, with which Edge Impulse's code reads beyond its memory",
        ),
        (block("mfe", frame_length=0.2), "its frames have 800 samples, the window only 400"),
        (block("mfe", frame_stride=0.0), "its frames have 80 samples and start every 0"),
        (block("mfe", high_frequency=2001.0), "its filters end at 2001 Hz, above half the 4000 samples a second"),
        (block("mfe", low_frequency=900.0, high_frequency=800.0), "its filters start at 900 Hz and end at 800 Hz"),
        (block("mfe", fft_length=65.0), "its fft_length is 65; Edge Impulse's code takes even ones only"),
        (block("mfe", fft_length=float("nan")), "its fft_length is nan, not a number from 4 to 32768"),
        (block("mfe", num_filters=2.5), "its num_filters is 2.5, not a whole number"),
        (block("mfe", 5), "its implementation version is 5; known: 1 to 4"),
        (block("mfe", axes=2), "it computes one axis and is given 2"),
        (block("spectral_analysis", analysis_type="Wavelet"), "wavelets are not converted"),
        (block("spectral_analysis", filter_type="notch"), "its filter_type is 'notch'; known: none, low, high"),
        (
            block("spectral_analysis", filter_cutoff=2000.0),
            "its filter_cutoff is 0.5 of the samples a second, not between 0 and half of them",
        ),
        (
            block("spectral_analysis", input_decimation_ratio=7.0),
            "its input_decimation_ratio is 7; known: 1, 3, 10, 30, 100, 1000",
        ),
        (
            block("spectral_analysis", 1, spectral_power_edges="0.1, x"),
            "its spectral_power_edges are '0.1, x', not numbers",
        ),
        (
            block("spectral_analysis", 1, spectral_power_edges="0.1, 1e30"),
            "its spectral_power_edges are '0.1, 1e30', not numbers",
        ),
        (block("spectral_analysis", 1, spectral_power_edges="nan"), "its spectral_power_edges are 'nan', not numbers"),
        (
            block("flatten", moving_avg_num_windows=4.0),
            "its moving average depends on the windows before, and the converted model knows one window",
        ),
        (NOTHING, "it computes nothing"),
        (replace(block("raw"), size=399), "by its values it gives 400 features, the export says 399"),
        (replace(block("raw"), axes=()), "it takes the axes () of samples with 1 values"),
        (
            replace(block("raw"), size=400, normalisation=((0.0,), (1.0,))),
            "its normalisation is not that of 400 features",
        ),
        (block("raw", scale_axes="x" * 58), f"its scale_axes is {'x' * 58!r}, not a number from -1e+09 to 1e+09"),
        (block("raw", scale_axes="x" * 59), f"its scale_axes is '{'x' * 56}..., not a number from -1e+09 to 1e+09"),
        (block("raw", axes=1, scale_axes="9.81"), "its scale_axes is '9.81', not a number from -1e+09 to 1e+09"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_values_that_cannot_be_computed(given: Block, reason: str) -> None:
    assert reason == refusal(given, axes=len(given.axes) or 1)


STUDIO = "set the block up otherwise in Edge Impulse's Studio, generate features, train again and export"


@pytest.mark.parametrize(
    ("given", "changes", "reason", "hint"),
    [
        (block("mfcc", frame_stride=0.00025), {"samples": 4176},
         "its 4097 frames are too many for the sliding mean's matrix", STUDIO),
        (block("spectral_analysis", fft_length=17.0), {},
         "its fft_length is 17; Edge Impulse's code takes even ones only", STUDIO),
        (block("spectral_analysis", 1, spectral_power_edges=()), {},
         "the export does not say its spectral_power_edges", "export it again"),
        (block("spectral_analysis", analysis_type="Wavelet"), {}, "wavelets are not converted",
         "choose FFT as the type of analysis in Edge Impulse's Studio, generate features, train again and export"),
        (block("flatten", moving_avg_num_windows=4.0), {},
         "its moving average depends on the windows before, and the converted model knows one window",
         "set the moving average of the block Flatten to 0 in Edge Impulse's Studio, train again and export"),
        (replace(block("raw", axes=2), axes=(0,)), {}, "it is set up for 2 axes and takes 1", "export it again"),
        (block("raw"), {"frequency": 0}, "0 samples a second", "export it again"),
        (block("raw"), {"frequency": 1.1e9}, "1.1e+09 samples a second", "export it again"),
        (block("mfe", 5), {}, "its implementation version is 5; known: 1 to 4", "please report it"),
        (block("mfe", 0), {}, "its implementation version is 0; known: 1 to 4", "please report it"),
        (replace(block("raw"), size=399), {}, "by its values it gives 400 features, the export says 399",
         "export it again"),
        (replace(block("raw"), size=400, normalisation=((0.0,), (1.0,))), {},
         "its normalisation is not that of 400 features", "export it again"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_helps(given: Block, changes: dict[str, Any], reason: str, hint: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        blocks.refuse(given, replace(EMPTY, **changes))
    assert caught.value.message.endswith(f" cannot be converted: {reason}")
    assert caught.value.hint == hint


@pytest.mark.parametrize(("samples", "axes"), [(0, 1), (1, 0), ((1 << 22) + 1, 1), (1 << 21, 3)])
def test_windows_of_no_size_that_is_known(samples: int, axes: int) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        blocks.settings(block("raw"), replace(EMPTY, samples=samples, axes=axes))
    assert caught.value.message.endswith(f"a window of {samples} samples with {axes} values")
    assert caught.value.hint == f"convertible: windows of 1 to {blocks.LARGEST_WINDOW} values"


def test_as_many_frames_as_the_sliding_mean_takes() -> None:
    found = blocks.settings(block("mfcc", frame_stride=0.00025), replace(EMPTY, samples=4175))
    assert isinstance(found, blocks.Sound)
    assert found.frames == 4096


@pytest.mark.parametrize(
    ("kind", "version", "name", "taken", "refused"),
    [
        ("mfcc", 4, "num_cepstral", 1, 0),
        ("mfcc", 4, "num_cepstral", 12, 13),
        ("mfcc", 4, "num_filters", 8, 6),
        ("mfcc", 4, "pre_shift", 1, 0),
        ("mfcc", 4, "pre_shift", 399, 400),
        ("mfcc", 4, "pre_cof", -1000, -1001),
        ("mfcc", 4, "win_size", 0, -1),
        ("mfcc", 4, "win_size", 65535, 65537),
        ("mfe", 4, "num_filters", 1, 0),
        ("mfe", 4, "high_frequency", 2000, 2000.5),
        ("mfe", 4, "low_frequency", 1999, 2000),
        ("mfe", 4, "noise_floor_db", -1000, -1001),
        ("mfe", 4, "noise_floor_db", 11, 12),
        ("mfe", 4, "win_size", 100, None),
        ("mfe", 2, "win_size", 11, 12),
        ("mfe", 2, "noise_floor_db", 12, None),
        ("mfcc", 4, "noise_floor_db", 12, None),
        ("spectrogram", 4, "fft_length", 4, 2),
        ("spectrogram", 4, "frame_length", 0.1, 0.1005),
        ("spectrogram", 1, "frame_length", 0.09, 0.091),
        ("spectrogram", 4, "frame_length", 0.0003, 0),
        ("spectrogram", 4, "frame_stride", 0.1, None),  # one frame
        ("spectrogram", 4, "frame_stride", 0.00025, 0),
        ("spectrogram", 4, "axes", 1, 2),
        ("spectral_analysis", 4, "filter_order", 32, 33),
        ("spectral_analysis", 4, "filter_order", 0, -1),
        ("spectral_analysis", 4, "filter_cutoff", 1999, 2000),
        ("spectral_analysis", 4, "fft_length", 4, 2),
        ("spectral_analysis", 4, "do_log", 1, 2),
        ("spectral_analysis", 4, "do_fft_overlap", 1, 2),
        ("spectral_analysis", 4, "extra_low_freq", 1, 2),
        ("spectral_analysis", 3, "extra_low_freq", 2, None),
        ("spectral_analysis", 3, "input_decimation_ratio", 7, None),
        ("spectral_analysis", 1, "spectral_peaks_count", 0, -1),
        ("spectral_analysis", 1, "spectral_power_edges", 3.0, ""),
        ("spectral_analysis", 1, "analysis_type", "Wavelet", None),
        ("flatten", 1, "kurtosis", 1, 2),
        ("flatten", 1, "moving_avg_num_windows", 0, 1),
    ],
)
def test_the_last_value_that_is_taken(kind: str, version: int, name: str, taken: Any, refused: Any) -> None:
    """None: nothing is refused, as the implementation does not read it."""
    given = block(kind, version)
    assert blocks.settings(replace(given, values={**given.values, name: taken}), EMPTY).features
    if refused is not None:
        with pytest.raises(UnsupportedModelError):
            blocks.settings(replace(given, values={**given.values, name: refused}), EMPTY)


@pytest.mark.parametrize(("order", "refused"), [(1, False), (2, True)])
def test_a_filter_is_judged_where_there_is_one(order: int, refused: bool) -> None:
    """The SDK loses the last section of an odd order: of 1 nothing is left."""
    given = block("spectral_analysis", filter_order=float(order), filter_cutoff=2000.0)
    if refused:
        assert "filter_cutoff is 0.5" in refusal(given)
    else:
        assert blocks.settings(given, EMPTY).features
    said = blocks.settings(block("spectral_analysis", 1, filter_order=float(order)), EMPTY).notes
    assert any("before the filter" in each for each in said) is refused


@pytest.mark.parametrize(
    ("kind", "values", "samples", "refused"),
    [
        ("spectrogram", {"frame_length": 0.25575, "frame_stride": 0.25}, 4096, False),  # 1023 of 16385 bins
        ("spectrogram", {"frame_length": 0.256, "frame_stride": 0.25}, 4096, True),
        ("spectrogram", {"frame_length": 0.001, "frame_stride": 0.001}, 4096, True),  # 1024 frames
        ("spectral_analysis", {"filter_type": "none"}, 1023, False),
        ("spectral_analysis", {"filter_type": "none"}, 1024, True),
    ],
)
def test_the_largest_matrix_of_a_transform(kind: str, values: dict[str, Any], samples: int, refused: bool) -> None:
    """2^24 numbers, of 16,385 bins."""
    given = block(kind, fft_length=32768.0, **values)
    if refused:
        said = "FFTs of 32768 points over 1024 samples are too large for a matrix"
        if kind == "spectrogram":
            length = round(4000 * values["frame_length"])
            frames = 1 + (samples - length) // round(4000 * values["frame_stride"])
            said = f"{frames} FFTs of 32768 points over frames of {length} samples are too large for a matrix"
        assert refusal(given, samples=samples) == said
    else:
        assert blocks.settings(given, replace(EMPTY, samples=samples)).features


def test_of_a_frame_longer_than_the_transform_only_its_begin_counts() -> None:
    """65,500 samples of 257 bins would be more than 2^24 numbers."""
    given = block("spectrogram", fft_length=512.0, frame_length=16.375, frame_stride=16.375)
    assert blocks.settings(given, replace(EMPTY, samples=65_536)).features == 257


@pytest.mark.parametrize(
    ("filters", "points", "rate", "low", "high", "place", "edge"),
    [
        (128, 2048, 11025, 307, 4687, 98, 538), (250, 8192, 16000, 239, 4000, 120, 679),
        (250, 8192, 48000, 80, 4000, 187, 388), (250, 4096, 48000, 80, 24000, 149, 458),
        (100, 16384, 16000, 304, 4317, 29, 914), (100, 16384, 16000, 300, 1951, 86, 1631),
        (128, 16384, 44100, 154, 19127, 127, 6755), (80, 16384, 16000, 20, 8000, 77, 7160),
        (250, 16384, 22050, 431, 4000, 96, 928), (128, 4097, 48000, 167, 24000, 61, 300),
        (250, 4097, 44100, 444, 22050, 251, 2048), (64, 16384, 11025, 147, 3607, 49, 3249),
    ],
)  # fmt: skip
def test_mel_edges_in_float32(
    filters: int, points: int, rate: int, low: float, high: float, place: int, edge: int
) -> None:
    """Where one step in double precision would give the bin beside it."""
    assert blocks.mel_edges(filters, points, rate, low, high)[place] == edge


def test_a_window_too_large_for_a_slow_filter_is_refused() -> None:
    slow = block("spectral_analysis", filter_cutoff=0.01)
    assert refusal(slow, samples=100_000) == "its filter needs too many products in a window of 100000 samples"
    for order, cutoff in ((2, 9.27), (6, 25.33), (8, 33.61)):  # the slowest that are computed, by their poles
        quick = block("spectral_analysis", filter_cutoff=cutoff, filter_order=float(order))
        assert blocks.settings(quick, replace(EMPTY, samples=100_000)).features
        slow = block("spectral_analysis", filter_cutoff=cutoff - 0.01, filter_order=float(order))
        assert "too many products" in refusal(slow, samples=100_000)


def test_a_spectrogram_at_a_fractional_frequency_is_refused_where_edge_impulse_fails() -> None:
    given = block("spectrogram", frame_length=0.25, frame_stride=0.125, fft_length=16.0)
    said = "at 64.5 samples a second Edge Impulse's own code cuts 13 frames and expects 15"
    assert refusal(given, samples=128, frequency=64.5) == said
    whole = replace(EMPTY, samples=125, frequency=62.5)
    assert blocks.settings(given, whole).features == 14 * 9


@pytest.mark.parametrize(
    ("version", "length", "samples", "frames"),
    [
        (4, 0.02, 80, 9),
        (4, 0.0200002, 80, 9),  # 80.0008 samples
        (4, 0.020001, 81, 8),
        (2, 0.0299, 120, 8),
        (1, 0.02, 80, 8),
        (1, 0.020124, 80, 8),
        (1, 0.020125, 81, 7),
    ],
)
def test_frames(version: int, length: float, samples: int, frames: int) -> None:
    given = block("spectrogram", version, frame_length=length)
    found = blocks.settings(given, EMPTY)
    assert isinstance(found, blocks.Sound)
    assert (found.length, found.stride, found.frames) == (samples, 40, frames)


def test_a_missing_value_is_named() -> None:
    given = block("mfe")
    assert "does not say its num_filters" in refusal(
        replace(given, values={name: value for name, value in given.values.items() if name != "num_filters"})
    )


def test_all_axes_are_taken_in_the_order_of_the_samples() -> None:
    whole = replace(block("raw", axes=3), axes=(2, 0, 1))
    assert blocks.settings(whole, replace(EMPTY, axes=3)).axes == (0, 1, 2)
    assert blocks.settings(whole, replace(EMPTY, axes=4)).axes == (2, 0, 1)


def test_what_is_followed_where_training_and_devices_differ_is_said() -> None:
    assert blocks.settings(block("spectral_analysis", filter_type="none"), EMPTY).notes == ()
    (said,) = blocks.settings(block("spectral_analysis", filter_type="none", input_decimation_ratio=30.0), EMPTY).notes
    assert said == (
        "input_decimation_ratio 30 is computed as in training; devices leave old values in the row between the steps "
        "and compute something else"
    )
    (said,) = blocks.settings(block("spectral_analysis", 1), EMPTY).notes
    assert said == "the mean is taken off before the filter, as on a device; today's Python does it after it"
    one_step = block("spectral_analysis", filter_type="none", input_decimation_ratio=3.0)
    assert blocks.settings(one_step, EMPTY).notes == ()
    (said,) = blocks.settings(block("mfcc", 3), EMPTY).notes
    assert said == "low_frequency 0 is taken as 300 Hz, as devices do in implementation 3; training took 0 Hz"
    assert blocks.settings(block("mfcc", 4), EMPTY).notes == ()


def test_main_values() -> None:
    assert blocks.describe(block("spectrogram")) == (
        ("frame_length", "0.02 s"),
        ("frame_stride", "0.01 s"),
        ("fft_length", "64"),
        ("noise_floor_db", "-52 dB"),
    )
    assert (blocks.title("mfe"), blocks.title("own")) == ("Audio (MFE)", "own")
    assert blocks.describe(Block("own", 1, 1, (0,), {"b": (1.0, "x"), "a": "y"}, 1)) == (("a", "y"), ("b", "1, x"))


ABSURD = st.sampled_from(
    [
        0.0,
        -1.0,
        1.0,
        2.0,
        0.5,
        1e-9,
        1e9,
        1e30,
        1e308,
        float(1 << 31),
        math.inf,
        -math.inf,
        math.nan,
        "",
        "x",
        (),
        (1.0,),
    ]
)


LARGE = 5000  # features of which no graph is made here


@given(st.data())
def test_absurd_values_are_refused_or_computed(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(BLOCKS))
    version = data.draw(st.sampled_from([*range(1, 5), 0, -1, 99]))
    names = data.draw(st.sets(st.sampled_from(sorted(USUAL[kind.id])), max_size=3))
    changed: dict[str, Any] = {name: data.draw(ABSURD) for name in names}
    part = replace(block(kind.id, version), values={**USUAL[kind.id], **changed})
    samples = data.draw(st.sampled_from([400, 1, 2, 0, -5, 10**9, 10**30]))
    frequency = data.draw(st.sampled_from([4000.0, 1.0, 0.0, -1.0, 1e-6, 1e9, math.nan, math.inf]))
    whole = replace(EMPTY, samples=samples, frequency=frequency)
    blocks.describe(part)
    count = LARGE
    with suppress(UnsupportedModelError):
        count = blocks.settings(part, whole).features
    if count < LARGE:
        model = features_graph(impulse(part, samples=samples, frequency=frequency))
        assert model.graph.output[0].type.tensor_type.shape.dim[1].dim_value == count
