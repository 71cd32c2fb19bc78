"""Impulses of one block, with the usual values of its kind, and what ONNX Runtime computes of their graphs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx.parser
import onnxruntime

from convert.dsp import Block, Impulse, blocks
from convert.dsp.graph import impulse_graph

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.dsp import KMeans, Mixture

_SOUND = {"axes": 1.0, "frame_length": 0.02, "frame_stride": 0.01, "fft_length": 64.0}
_MEL = {**_SOUND, "num_filters": 12.0, "low_frequency": 0.0, "high_frequency": 0.0, "win_size": 11.0}
USUAL: dict[str, dict[str, Any]] = {
    "raw": {"scale_axes": 1.0},
    "flatten": {"scale_axes": 1.0, **dict.fromkeys(blocks.STATISTICS, 1.0), "moving_avg_num_windows": 0.0},
    "spectral_analysis": {
        "scale_axes": 1.0, "input_decimation_ratio": 1.0, "filter_type": "low", "filter_cutoff": 8.0,
        "filter_order": 6.0, "analysis_type": "FFT", "fft_length": 16.0, "spectral_peaks_count": 3.0,
        "spectral_peaks_threshold": 0.1, "spectral_power_edges": "0.1, 0.5, 1.0, 2.0, 5.0", "do_log": 1.0,
        "do_fft_overlap": 1.0, "wavelet_level": 1.0, "wavelet": "db4", "extra_low_freq": 0.0,
    },
    "mfe": {**_MEL, "noise_floor_db": -52.0},
    "mfcc": {**_MEL, "num_cepstral": 7.0, "pre_cof": 0.98, "pre_shift": 1.0},
    "spectrogram": {**_SOUND, "noise_floor_db": -52.0},
}  # fmt: skip
"""By kind: what exports of today record."""

SOUND = ("mfe", "mfcc", "spectrogram")


def block(kind: str, version: int = 4, axes: int = 1, number: int = 1, **values: Any) -> Block:
    """A block of which the size is not known yet."""
    chosen = {**USUAL[kind], "axes": float(axes), **values}
    return Block(kind, number, version, tuple(range(axes)), chosen, 0)


def impulse(
    *parts: Block, samples: int = 400, axes: int = 1, frequency: float = 4000, anomaly: KMeans | Mixture | None = None
) -> Impulse:
    """Of these blocks, all of which are the network's input, with the sizes they have."""
    empty = Impulse("any", samples, axes, (), frequency, 0, (), ())
    known = tuple(replace(part, size=blocks.settings(part, empty).features) for part in parts)
    return replace(empty, blocks=known, inputs=tuple(part.id for part in known), anomaly=anomaly)


def features_graph(given: Impulse, mixture: ModelProto | None = None, *, sdk_log: bool = False) -> ModelProto:
    """The whole impulse, with the output "features"; where blocks are a network's input it passes them on."""
    size = sum(part.size for number in given.sources for part in given.blocks if part.id == number)
    text = f"g (float[N,{size}] x) => (float[N,{size}] y) {{ y = Identity(x) }}"
    passed = onnx.parser.parse_model(f'<ir_version: 7, opset_import: ["" : 13]> {text}')
    return impulse_graph(given, passed if given.inputs else None, mixture, sdk_log=sdk_log, with_features=True)


def signal(given: Impulse, count: int = 1, seed: int = 0) -> NDArray[np.float32]:
    """Windows [count, L*A]: noise around a tone, in the range of the sensor's numbers."""
    draw = np.random.default_rng(seed)
    scale = 3000 if any(part.kind in SOUND for part in given.blocks) else 9
    time = np.arange(given.samples)[:, None] * np.linspace(0.1, 0.7, given.axes)
    values = np.sin(time + draw.uniform(0, 6, (count, 1, 1))) + draw.normal(0, 0.3, (count, *time.shape)) + 0.1
    return np.asarray(np.round(scale * values, 2).reshape(count, -1), np.float32)


def session(model: ModelProto) -> Callable[[NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
    """What computes all outputs by name."""
    runs = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [each.name for each in runs.get_outputs()]
    return lambda samples: dict(zip(names, runs.run(names, {"samples": samples}), strict=True))


def computed(model: ModelProto, samples: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """All outputs by name, once."""
    return session(model)(samples)
