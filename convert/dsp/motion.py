"""Nodes of the blocks for sensors: raw data, flatten and spectral analysis; and their filters.

A filter over a window is a convolution with its impulse response, which is computed in float64 until it has faded away.
"""

from __future__ import annotations

from math import asinh, cos, hypot, pi, sin, sinh, sqrt, tan
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto

from convert.dsp import blocks, sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.dsp import Impulse, graph

Section = tuple[float, float, float, float, float]
"""b0, b1, b2, a1, a2: y0 = b0 x0 + b1 x1 + b2 x2 - a1 y1 - a2 y2."""

_FADED = 1e-12  # of an impulse response's largest value: nothing to float32
_RIPPLE = 0.05  # dB, of the filter before decimation: Chebyshev's first kind, order 8
_DECIMATION_ORDER = 8
_PASS = 0.8  # of half the new frequency
_SEARCHED = 10  # spectral analysis 1 looks at so many peaks for each it reports


def raw(nodes: graph.Nodes, samples: str, block: blocks.Raw, impulse: Impulse) -> str:
    """The samples of the block's axes, interleaved, times a number."""
    if len(block.axes) < impulse.axes:
        samples = nodes.reshaped(nodes.chosen(samples, block.axes, impulse), -1, block.features)
    return nodes.scaled(samples, block.scale)


def flatten(nodes: graph.Nodes, samples: str, block: blocks.Flatten, impulse: Impulse) -> str:
    """Statistics of each axis."""
    rows = nodes.scaled(nodes.rows(samples, block.axes, impulse), block.scale)
    mean = nodes.reduced("Mean", rows, 2)
    apart = nodes("Sub", rows, mean)
    deviation = _rms(nodes, apart, 2)
    ratio = nodes.divided(apart, deviation)
    made = {
        "average": lambda: mean,
        "minimum": lambda: nodes.reduced("Min", rows, 2),
        "maximum": lambda: nodes.reduced("Max", rows, 2),
        "rms": lambda: _rms(nodes, rows, 2),
        "stdev": lambda: deviation,
        "skewness": lambda: _moments(nodes, ratio, 2)[0],
        "kurtosis": lambda: _moments(nodes, ratio, 2)[1],
    }
    chosen = [made[name]() for name in blocks.STATISTICS if name in block.statistics]
    return nodes.reshaped(nodes("Concat", *chosen, axis=2), -1, block.features)


def spectral(nodes: graph.Nodes, samples: str, block: blocks.Spectral, impulse: Impulse) -> str:
    """Moments and the spectrum of each axis; all axes as entries of one batch [N * axes, 1, 1, L]."""
    rows = nodes.scaled(nodes.rows(samples, block.axes, impulse), block.scale)
    rows = nodes.reshaped(rows, -1, 1, 1, impulse.samples)
    if block.version == 1:
        rows = nodes("Sub", rows, nodes.reduced("Mean", rows, 3))
    length = impulse.samples
    for factor in block.decimations:
        rows = _decimated(nodes, rows, factor, length)
        length = -(-length // factor)
    if block.filters:
        sections = butterworth(block.filter, block.order, block.cutoff / block.bands[0].frequency)
        rows = _filtered(nodes, rows, impulse_response(sections, length))
    if block.version == 1:
        return nodes.reshaped(_peaks_and_powers(nodes, rows, block), -1, block.features)
    parts = []
    for index, band in enumerate(block.bands):
        if index:
            rows = _decimated(nodes, rows, 10, block.bands[0].samples)
        made = _moments_and_spectrum(nodes, rows, block, band)
        parts.append(nodes.reshaped(made, -1, len(block.axes) * (band.bins + (5 if block.version > 3 else 3))))
    return parts[0] if len(parts) == 1 else nodes("Concat", *parts, axis=1)


def _rms(nodes: graph.Nodes, rows: str, axis: int) -> str:
    return nodes("Sqrt", nodes.reduced("Mean", nodes.square(rows), axis))


def _moments(nodes: graph.Nodes, ratio: str, axis: int) -> tuple[str, str]:
    """Skewness and kurtosis of what has a mean of 0 and a deviation of 1 (or is 0)."""
    square = nodes.square(ratio)
    kurtosis = nodes("Sub", nodes.reduced("Mean", nodes.square(square), axis), 3.0)
    return nodes.reduced("Mean", nodes("Mul", square, ratio), axis), kurtosis


def _moments_and_spectrum(nodes: graph.Nodes, rows: str, block: blocks.Spectral, band: blocks.Band) -> str:
    """[M, 1, 1, n] to [M, 1, 1, features]."""
    rows = nodes("Sub", rows, nodes.reduced("Mean", rows, 3))
    rms = _rms(nodes, rows, 3)
    parts = [rms, *_moments(nodes, nodes("Div", rows, nodes.without_zeros(rms)), 3)]
    hop = block.fft // 2 if block.overlap else block.fft
    used = min(block.fft, band.samples)
    starts = -(-band.samples // hop)
    missing = (starts - 1) * hop + used - band.samples
    power = sound.transformed(nodes, rows, block.fft, used, hop, after=missing)
    power = nodes("Mul", nodes.reduced("Max", power, 3), 1 / block.fft)
    spectrum = nodes.reshaped(power, -1, 1, 1, block.fft // 2 + 1)
    if block.version > 3:
        apart = nodes("Sub", spectrum, nodes.reduced("Mean", spectrum, 3))
        parts += _moments(nodes, nodes.divided(apart, _rms(nodes, apart, 3)), 3)
    if band.bins:
        reported = nodes.part(spectrum, 3, band.first, band.last + 1)
        parts.append(nodes.log10(nodes.without_zeros(reported)) if block.log else reported)
    return nodes("Concat", *parts, axis=3)


def _peaks_and_powers(nodes: graph.Nodes, rows: str, block: blocks.Spectral) -> str:
    """Spectral analysis 1: [M, 1, 1, n] to [M, features]."""
    band, half = block.bands[0], block.fft // 2
    used = min(block.fft, band.samples)
    rms = nodes.reshaped(_rms(nodes, rows, 3), -1, 1)
    parts, first = [rms], nodes.part(rows, 3, 0, used)
    if block.peaks:
        power = nodes.reshaped(sound.transformed(nodes, first, block.fft, used, 1), -1, half + 1)
        parts.append(_peaks(nodes, nodes("Mul", nodes("Sqrt", power), 2 / block.fft), block))
    if len(block.powers) > 1:
        first = nodes("Sub", first, nodes.reduced("Mean", first, 3))
        power = nodes.reshaped(sound.transformed(nodes, first, block.fft, used, 1), -1, half + 1)
        parts.append(nodes("MatMul", power, nodes.constant(power_bands(block, band))))
    return nodes("Concat", *parts, axis=1)


def _peaks(nodes: graph.Nodes, height: str, block: blocks.Spectral) -> str:
    """[M, fft/2 + 1] to the highest peaks [M, 2 * peaks]: frequency and height of each."""
    bins = block.fft // 2 - 1
    middle = nodes.part(height, 1, 1, bins + 1)
    before, behind = nodes.part(height, 1, 0, bins), nodes.part(height, 1, 2, bins + 2)
    peak = nodes("And", nodes("Greater", middle, before), nodes("Greater", middle, behind))
    counted = nodes("MatMul", nodes("Cast", peak, to=TensorProto.FLOAT), nodes.constant(np.triu(np.ones((bins, bins)))))
    kept = nodes("And", peak, nodes("Less", counted, _SEARCHED * block.peaks + 0.5))
    kept = nodes("And", kept, nodes("Not", nodes("Less", middle, block.threshold)))
    heights = nodes("Where", kept, middle, 0.0)
    repeats = -(-max(block.peaks - bins, 0) // bins)  # of zeros, so that there are enough to report
    if repeats:
        heights = nodes("Concat", heights, *[nodes("Mul", heights, 0.0)] * repeats, axis=1)
    frequencies = np.zeros(bins * (1 + repeats))
    frequencies[:bins] = block.bands[0].frequency / 2 / bins * np.arange(1, bins + 1)
    size = nodes.constant([block.peaks], np.int64)
    highest, places = nodes.editor.add("TopK", [heights, size], outputs=2, axis=1).output
    where = nodes("Gather", nodes.constant(frequencies), places)
    where = nodes("Where", nodes("Greater", highest, 0.0), where, 0.0)
    pairs = [nodes("Unsqueeze", each, nodes.constant([2], np.int64)) for each in (where, highest)]
    return nodes.reshaped(nodes("Concat", *pairs, axis=2), -1, 2 * block.peaks)


def power_bands(block: blocks.Spectral, band: blocks.Band) -> NDArray[np.float64]:
    """[fft/2 + 1, bands]: from |X|^2 to a tenth of the mean density between two edges."""
    half = block.fft // 2
    density = np.full(half + 1, 2 / (band.frequency * min(block.fft, band.samples)))
    density[-1] /= 2
    place = np.arange(half + 1) * band.frequency / block.fft
    matrix = np.zeros((half + 1, len(block.powers) - 1))
    for index, (low, high) in enumerate(zip(block.powers, block.powers[1:], strict=False)):
        inside = (place >= low) & (place < high)
        matrix[inside, index] = density[inside] / max(inside.sum(), 1) / 10
    return matrix


# Filters.


def butterworth(kind: str, order: int, cutoff: float) -> list[Section]:
    """A "low" or "high" pass at `cutoff` samples^-1 as the SDK has it: an odd order loses a section."""
    sections = []
    a = tan(pi * cutoff)
    for index in range(order // 2):
        r = sin(pi * (2 * index + 1) / (2 * order))
        s = a * a + 2 * a * r + 1
        gain = (a * a if kind == "low" else 1) / s
        middle = 2 * gain if kind == "low" else -2 * gain
        sections.append((gain, middle, gain, -2 * (1 - a * a) / s, (a * a - 2 * a * r + 1) / s))
    return sections


def chebyshev(cutoff: float) -> list[Section]:
    """The low pass before decimation, at `cutoff` of half the frequency: Chebyshev's first kind by the bilinear map."""
    count, ripple = _DECIMATION_ORDER, sqrt(10 ** (_RIPPLE / 10) - 1)
    width = asinh(1 / ripple) / count
    warped = 4 * tan(pi * cutoff / 2)
    sections: list[Section] = []
    for index in range(count // 2):  # pairs of conjugate poles
        angle = pi * (2 * index + 1) / (2 * count)
        real, imaginary = -sinh(width) * sin(angle) * warped, hypot(1, sinh(width)) * cos(angle) * warped
        pole = complex(4 + real, imaginary) / complex(4 - real, -imaginary)
        a1, a2 = -2 * pole.real, abs(pole) ** 2
        gain = (1 + a1 + a2) / 4  # 1 for a constant
        sections.append((gain, 2 * gain, gain, a1, a2))
    whole = 1 / sqrt(1 + ripple * ripple)  # of a constant, in all: an even order starts at the bottom of its ripple
    gain, middle, last, a1, a2 = sections[0]
    sections[0] = (gain * whole, middle * whole, last * whole, a1, a2)
    return sections


def impulse_response(sections: list[Section], length: int) -> NDArray[np.float64]:
    """Of sections one behind the other, at most `length` values, until it has faded away."""
    states = [[0.0, 0.0] for _ in sections]
    response: list[float] = []
    largest = 0.0
    for index in range(length):
        value = 0.0 if index else 1.0
        for (b0, b1, b2, a1, a2), state in zip(sections, states, strict=True):
            result = b0 * value + state[0]
            state[0] = b1 * value - a1 * result + state[1]
            state[1] = b2 * value - a2 * result
            value = result
        response.append(value)
        largest = max(largest, abs(value))
        if index % 64 == 63 and max(abs(each) for state in states for each in state) < _FADED * largest:
            break
    return np.array(response)


def _filtered(nodes: graph.Nodes, rows: str, response: NDArray[np.float64], stride: int = 1) -> str:
    """[M, 1, 1, L] to [M, 1, 1, ceil(L / stride)]; before the window are zeros."""
    taps = nodes.constant(response[None, None, None, ::-1])
    return nodes("Conv", rows, taps, pads=[0, len(response) - 1, 0, 0], strides=[1, stride])


def _decimated(nodes: graph.Nodes, rows: str, factor: int, length: int) -> str:
    """Every `factor`th sample of a low pass that has seen the first one for ever."""
    sections = chebyshev(_PASS / factor)
    first = nodes.part(rows, 3, 0, 1)
    changes = _filtered(nodes, nodes("Sub", rows, first), impulse_response(sections, length), factor)
    gain = 10 ** (-_RIPPLE / 20)
    return nodes("Add", changes, nodes("Mul", first, gain))
