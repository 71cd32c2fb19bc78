"""Graphs of blocks and the numbers of the reference are those of `numbers.json`: all releases compute the same.

`python -m tests.dsp.test_numbers` writes the file anew; read its difference.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper, numpy_helper

from convert.dsp.reference import reference_features
from tests.dsp.impulses import SOUND, block, features_graph, impulse, signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.dsp import Impulse

GOLDEN = Path(__file__).parent / "numbers.json"
Row = tuple[str, int, dict[str, Any]]
ROWS: tuple[Row, ...] = (
    ("raw", 1, {"scale_axes": 0.5}),
    ("flatten", 1, {"scale_axes": 9.81}),
    ("spectral_analysis", 1, {"spectral_power_edges": "0.1, 2, 5, 20, 31.25", "filter_type": "none"}),
    ("spectral_analysis", 1, {"fft_length": 256, "spectral_peaks_count": 3, "spectral_peaks_threshold": 0.4}),
    ("spectral_analysis", 1, {"fft_length": 8, "spectral_peaks_count": 12}),
    ("spectral_analysis", 2, {"filter_type": "high", "filter_order": 5}),
    ("spectral_analysis", 3, {"do_fft_overlap": 0, "do_log": 0}),
    ("spectral_analysis", 4, {"extra_low_freq": 1, "input_decimation_ratio": 3}),
    ("spectral_analysis", 4, {"input_decimation_ratio": 30, "filter_type": "none", "fft_length": 64}),
    ("mfe", 1, {"num_filters": 40}),
    ("mfe", 2, {"num_filters": 5, "fft_length": 256, "win_size": 0}),
    ("mfe", 3, {"num_filters": 40}),
    ("mfe", 4, {"noise_floor_db": -1000, "low_frequency": 50}),
    ("mfcc", 1, {"win_size": 101}),
    ("mfcc", 4, {"pre_shift": 3, "win_size": 0}),
    ("spectrogram", 2, {"fft_length": 128}),
    ("spectrogram", 3, {"noise_floor_db": -1000}),
    ("spectrogram", 4, {"noise_floor_db": -60}),
)


def made(row: Row) -> Impulse:
    kind, version, values = row
    given: dict[str, Any] = {name: value if isinstance(value, str) else float(value) for name, value in values.items()}
    axes = 1 if kind in SOUND else 2
    part = block(kind, version, axes, **given)
    return impulse(part, samples=400, axes=axes, frequency=8000 if kind in SOUND else 62.5)


def sums(values: NDArray[Any]) -> list[float]:
    """Of numbers that do not cancel out, and that tell their order."""
    flat = np.asarray(values, np.float64).ravel()
    return [float(f"{each:.12g}") for each in (flat.sum(), (flat * np.cos(np.arange(flat.size))).sum())]


def numbers(row: Row) -> list[list[float]]:
    """Of the features of a signal, of one that is hardly there, and of none."""
    whole = made(row)
    windows = signal(whole, 1, 3).astype(np.float64)
    levels = (1,) if row[2].get("win_size") == 101 else (1, 1e-20, 0)  # silence less its mean is rounding
    return [sums(reference_features(whole, windows * level)) for level in levels]


def nodes(row: Row) -> tuple[list[str], list[list[float]]]:
    """Operators with attributes and constants, and the sums of large ones; of version 4 with the SDK's logarithm."""
    graph = features_graph(made(row), sdk_log=row[1] == 4).graph
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    lines, large = [], []
    for node in graph.node:
        words = [node.op_type, *(f"{each.name}={helper.get_attribute_value(each)}" for each in node.attribute)]
        for array in (constants[each] for each in node.input if each in constants):
            if array.dtype == np.int64 or array.size == 1:
                words.append(" ".join(f"{each:.6g}" for each in array.ravel().tolist()))
            else:
                words.append("x".join(map(str, array.shape)))
                large.append(sums(array))
        lines.append(", ".join(words))
    return lines, large


def name(row: Row) -> str:
    kind, version, values = row
    return " ".join([kind, str(version), *(f"{key}={value}" for key, value in values.items())])


def test_all_rows_stand_in_the_file() -> None:
    assert list(json.loads(GOLDEN.read_text())) == [name(row) for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=name)
def test_graph_and_reference_are_those_of_all_releases(row: Row) -> None:
    golden = json.loads(GOLDEN.read_text())[name(row)]
    lines, large = nodes(row)
    assert lines == golden["nodes"]
    np.testing.assert_allclose(large, golden["constants"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(numbers(row), golden["reference"], rtol=1e-7, atol=1e-9)


def written(row: Row) -> str:
    lines, large = nodes(row)
    first = f' {json.dumps(name(row))}: {{\n  "reference": {numbers(row)},\n  "constants": {large},'
    return first + '\n  "nodes": [\n   ' + ",\n   ".join(map(json.dumps, lines)) + "]}"


if __name__ == "__main__":
    GOLDEN.write_text("{\n" + ",\n".join(map(written, ROWS)) + "\n}\n")
