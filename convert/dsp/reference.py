"""What an impulse computes, once more: in NumPy and float64, written from what is known of Edge Impulse's SDK.

`validate` compares the graph with it. Only the settings (`convert.dsp.blocks`: samples, bins and mel edges) are shared
with the graph: spectra are of NumPy's FFT, filters are recursions over the samples, windows are cut out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convert.dsp import Impulse, KMeans, blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def reference_features(impulse: Impulse, samples: NDArray[Any]) -> Array:
    """Samples [n, L*A] to the network's input [n, F], or without a network to what the anomaly block takes features of.

    Raises:
        UnsupportedModelError: a block cannot be converted; the reason.
    """
    return np.concatenate([_features(impulse, each, samples) for each in impulse.sources], axis=1)


def reference_anomaly(
    impulse: Impulse, samples: NDArray[Any], mixture: Callable[[NDArray[np.float32]], NDArray[Any]] | None = None
) -> Array | None:
    """Samples [n, L*A] to anomaly scores [n, 1]; None without an anomaly block.

    Args:
        impulse: what is computed.
        samples: windows, axes interleaved.
        mixture: the network of a Gaussian mixture: [n, axes] to n scores.

    Raises:
        UnsupportedModelError: a block cannot be converted; the reason.
        ValueError: the anomaly block is a mixture and its network is not given.
    """
    block = impulse.anomaly
    if block is None:
        return None
    chosen = _features(impulse, block.block, samples)[:, list(block.axes)]
    if not isinstance(block, KMeans):
        if mixture is None:
            raise ValueError("the mixture's network is needed")
        return np.asarray(mixture(chosen.astype(np.float32)), np.float64).reshape(-1, 1)
    place = (chosen - block.mean) / block.scale
    best = np.full(len(place), 1000.0)  # the SDK's cap
    for centre, radius in zip(block.centroids, block.radii, strict=True):
        best = np.minimum(best, np.sqrt(((place - centre) ** 2).sum(axis=1)) - radius)
    return best[:, None]


def _features(impulse: Impulse, number: int, samples: NDArray[Any]) -> Array:
    block = next(each for each in impulse.blocks if each.id == number)
    settings = blocks.settings(block, impulse)
    table = np.asarray(samples, np.float64).reshape(len(samples), impulse.samples, impulse.axes)
    result = _KINDS[block.kind](table[:, :, list(settings.axes)], settings)
    if block.normalisation:
        mean, scale = block.normalisation
        result = (result - mean) * scale
    return result


# Sound. Everything below takes windows [n, L, axes] and gives [n, F].


def _mfe(samples: Array, block: blocks.Sound) -> Array:
    signal = samples[:, :, 0]
    if block.emphasis:
        signal = _emphasised(signal, *block.emphasis) / 32768
    energies = _never_zero(_power(signal, block) @ _triangles(block).T)
    if block.version > 2:
        share = (10 * np.log10(np.maximum(energies, 1e-30)) - block.floor) / (12 - block.floor)
        energies = np.floor(256 * share + 0.5).clip(0, 256) / 256
    elif block.window:
        energies = _stretched(energies - _around(np.mean, energies, block.window))
    return energies.reshape(len(samples), -1)


def _mfcc(samples: Array, block: blocks.Sound) -> Array:
    assert block.emphasis
    power = _power(_emphasised(samples[:, :, 0], *block.emphasis), block)
    logarithms = np.log(_never_zero(power @ _triangles(block).T))
    # The DCT as the FFT of the mirrored row.
    count = block.filters
    spectrum = np.fft.fft(np.concatenate([logarithms, logarithms[..., ::-1]], axis=-1), axis=-1)[..., :count]
    cepstrum: Array = (spectrum * np.exp(-0.5j * np.pi * np.arange(count) / count)).real / np.sqrt(2 * count)
    cepstrum[..., 0] = np.log(_never_zero(power.sum(axis=-1)))
    cepstrum = cepstrum[..., : block.cepstral]
    if block.window:
        cepstrum -= _around(np.mean, cepstrum, block.window)
        cepstrum /= _around(np.std, cepstrum, block.window) + 1e-10
    return cepstrum.reshape(len(samples), -1)


def _spectrogram(samples: Array, block: blocks.Sound) -> Array:
    signal = samples[:, :, 0]
    power = _power(signal, block)
    if block.version == 3:
        loudest = np.abs(_frames(signal, block)).max(axis=-1, keepdims=True)
        power = np.where(loudest > 1, power / 32768**2, power)
    power = _never_zero(power)
    if block.version < 3:
        return _stretched(power).reshape(len(samples), -1)
    share = (10 * np.log10(np.maximum(power, 1e-30)) - block.floor) / (12 - block.floor)
    return np.clip(share, 0, 1 if block.version == 3 else None).reshape(len(samples), -1)


def _frames(signal: Array, block: blocks.Sound) -> Array:
    return sliding_window_view(signal, block.length, axis=1)[:, :: block.stride][:, : block.frames]


def _power(signal: Array, block: blocks.Sound) -> Array:
    """[n, frames, bins]."""
    return np.abs(np.fft.rfft(_frames(signal, block)[..., : block.fft], block.fft)) ** 2 / block.fft


def _emphasised(signal: Array, factor: float, shift: int) -> Array:
    return signal - factor * np.roll(signal, shift, axis=1)


def _triangles(block: blocks.Sound) -> Array:
    """[filters, bins]."""
    bins, rows = np.arange(block.bins), []
    is_old = block.version < 3 and not block.cepstral
    for left, middle, right in zip(block.edges, block.edges[1:], block.edges[2:], strict=False):
        with np.errstate(divide="ignore", invalid="ignore"):
            row = np.minimum((bins - left) / (middle - left), (right - bins) / (right - middle))
        row = np.where((bins > left) & (bins < right), row, 0)
        row[middle] = 0 if is_old and left == right else 1
        rows.append(row)
    if not is_old:
        return np.array(rows)
    known = np.unique(np.concatenate([np.arange(101) / 100, *(np.arange(each + 1) / each for each in range(1, 23))]))
    return np.array([[known[np.abs(known - each).argmin()] if each else 0 for each in row] for row in rows])


def _around(how: Callable[..., Array], rows: Array, width: int) -> Array:
    """[n, rows, K]: mean or deviation of the `width` rows around each, mirrored at the ends."""
    padded = np.pad(rows, ((0, 0), (width // 2, width // 2), (0, 0)), "symmetric")
    return np.stack([how(padded[:, place : place + width], axis=1) for place in range(rows.shape[1])], axis=1)


def _stretched(matrix: Array) -> Array:
    low: Array = matrix.min(axis=(1, 2), keepdims=True)
    high: Array = matrix.max(axis=(1, 2), keepdims=True)
    return (matrix - low) / np.where(high - low < 0.001, 1, high - low)


def _never_zero(values: Array) -> Array:
    return np.where(values == 0, 1e-10, values)


# Sensors.


def _raw(samples: Array, block: blocks.Raw) -> Array:
    return samples.reshape(len(samples), -1) * block.scale


def _flatten(samples: Array, block: blocks.Flatten) -> Array:
    samples = samples * block.scale
    apart = samples - samples.mean(axis=1, keepdims=True)
    second, third, fourth = ((apart**power).mean(axis=1) for power in (2, 3, 4))
    bottom = np.where(second == 0, 1, second)
    made = {
        "average": samples.mean(axis=1),
        "minimum": samples.min(axis=1),
        "maximum": samples.max(axis=1),
        "rms": np.sqrt((samples**2).mean(axis=1)),
        "stdev": np.sqrt(second),
        "skewness": third / bottom**1.5,
        "kurtosis": fourth / bottom**2 - 3,
    }
    chosen = [made[name] for name in blocks.STATISTICS if name in block.statistics]
    return np.stack(chosen, axis=-1).reshape(len(samples), -1)


def _spectral(samples: Array, block: blocks.Spectral) -> Array:
    rows = samples.swapaxes(1, 2) * block.scale
    if block.version == 1:
        rows = rows - rows.mean(axis=-1, keepdims=True)
    for factor in block.decimations:
        rows = _decimated(rows, factor)
    if block.filters:
        rows = _butterworth(rows, block.filter, block.order, block.cutoff / block.bands[0].frequency)
    if block.version == 1:
        result = [[_peaks_and_powers(row, block) for row in window] for window in rows]
        return np.array(result).reshape(len(samples), -1)
    parts = []
    for index, band in enumerate(block.bands):
        rows = _decimated(rows, 10) if index else rows
        parts.append(_moments_and_spectrum(rows, block, band).reshape(len(samples), -1))
    return np.concatenate(parts, axis=1)


def _moments_and_spectrum(rows: Array, block: blocks.Spectral, band: blocks.Band) -> Array:
    """[n, axes, L] to [n, axes, features]."""
    rows = rows - rows.mean(axis=-1, keepdims=True)
    size, step = rows.shape[-1], block.fft // 2 if block.overlap else block.fft
    power = np.zeros((*rows.shape[:2], block.fft // 2 + 1))
    for start in range(0, size, step):
        power = np.maximum(power, np.abs(np.fft.rfft(rows[..., start : start + block.fft], block.fft)) ** 2)
    power = power / block.fft
    rms = np.sqrt((rows**2).mean(axis=-1))
    parts = [rms[..., None], *_moments(rows, np.where(rms == 0, 1e-10, rms))]
    if block.version > 3:
        apart = power - power.mean(axis=-1, keepdims=True)
        deviation = apart.std(axis=-1)
        parts += _moments(apart, np.where(deviation == 0, 1, deviation))
    power = power[..., band.first : band.last + 1]
    return np.concatenate([*parts, np.log10(_never_zero(power)) if block.log else power], axis=-1)


def _moments(apart: Array, deviation: Array) -> list[Array]:
    """Skewness and kurtosis, [n, axes, 1] each."""
    third, fourth = ((apart**power).mean(axis=-1) / deviation**power for power in (3, 4))
    return [third[..., None], fourth[..., None] - 3]


def _peaks_and_powers(row: Array, block: blocks.Spectral) -> list[float]:
    """Spectral analysis 1 of one row [L]."""
    frequency, half = block.bands[0].frequency, block.fft // 2
    heights = np.abs(np.fft.rfft(row[: block.fft], block.fft)) * 2 / block.fft
    peaks: list[tuple[float, float]] = []
    for place in range(1, half):
        if heights[place - 1] < heights[place] > heights[place + 1] and len(peaks) < 10 * block.peaks:
            height = float(heights[place])
            peaks.append((height, place * (frequency / 2) / (half - 1)) if height >= block.threshold else (0.0, 0.0))
    peaks.sort(key=lambda peak: -peak[0])
    peaks = (peaks + [(0.0, 0.0)] * block.peaks)[: block.peaks]
    values = [float(np.sqrt((row**2).mean())), *(each for height, place in peaks for each in (place, height))]
    part = row[: block.fft] - row[: block.fft].mean()
    density = np.abs(np.fft.rfft(part, block.fft)) ** 2 / (frequency * len(part))
    density[:-1] *= 2
    places = np.fft.rfftfreq(block.fft, 1 / frequency)
    for low, high in zip(block.powers, block.powers[1:], strict=False):
        inside = density[(places >= low) & (places < high)]
        values.append(float(inside.mean()) / 10 if len(inside) else 0.0)
    return values


def _butterworth(rows: Array, kind: str, order: int, cutoff: float) -> Array:
    """Direct form II along the last axis; the SDK's sections, of which an odd order loses one."""
    a = np.tan(np.pi * cutoff)
    sign = 1 if kind == "low" else -1
    for index in range(order // 2):
        r = np.sin(np.pi * (2 * index + 1) / (2 * order))
        s = a * a + 2 * a * r + 1
        gain = (a * a if kind == "low" else 1) / s
        d1, d2 = 2 * (1 - a * a) / s, -(a * a - 2 * a * r + 1) / s
        w1 = w2 = np.zeros(rows.shape[:-1])
        result = np.empty_like(rows)
        for place in range(rows.shape[-1]):
            w0 = d1 * w1 + d2 * w2 + rows[..., place]
            result[..., place] = gain * (w0 + sign * 2 * w1 + w2)
            w1, w2 = w0, w1
        rows = result
    return rows


def _decimated(rows: Array, factor: int) -> Array:
    """Every `factor`th value of a Chebyshev low pass: 8 poles, 0.05 dB, to 0.8 of half the new frequency."""
    angles = np.pi * (2 * np.arange(8) + 1) / 16
    width = np.arcsinh(1 / np.sqrt(10**0.005 - 1)) / 8
    poles = np.tan(0.4 * np.pi / factor) * (-np.sinh(width) * np.sin(angles) + 1j * np.cosh(width) * np.cos(angles))
    poles = (1 + poles) / (1 - poles)
    first = rows[..., :1].astype(complex)
    signal = rows.astype(complex)
    for pole in poles:  # each is 1 for a constant, and has seen the first value for ever
        before = np.concatenate([first, signal[..., :-1]], axis=-1)
        signal, state = (signal + before) * (1 - pole) / 2, first[..., 0]
        for place in range(signal.shape[-1]):
            state = signal[..., place] = signal[..., place] + pole * state
    return (signal.real * 10 ** (-0.05 / 20))[..., ::factor]


_KINDS: dict[str, Callable[[Array, Any], Array]] = {
    "raw": _raw,
    "flatten": _flatten,
    "spectral_analysis": _spectral,
    "mfe": _mfe,
    "mfcc": _mfcc,
    "spectrogram": _spectrogram,
}
