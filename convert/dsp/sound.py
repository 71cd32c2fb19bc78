"""Nodes of the blocks for sound: MFE, MFCC and spectrogram, from frames of samples to features.

Samples are int16 numbers. A cell of MFE 3 and 4 at full scale is 1, as on a device; Edge Impulse's Python code, which
training uses, makes it 0 (an overflow). Constants in this module are those of Edge Impulse's SDK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from convert.dsp import Impulse, blocks, graph

_FULL_SCALE = 32768.0
_TOP = 12.0  # dB that become 1
_LEAST = 1e-30  # energy, before its logarithm
_STEPS = 256.0  # values an MFE cell can have between 0 and 1
_FLAT = 0.001  # a matrix with a smaller range is not stretched


def mfe(nodes: graph.Nodes, samples: str, block: blocks.Sound, impulse: Impulse) -> str:
    """Energies of mel filters, in the order of frames."""
    row = nodes.rows(samples, block.axes, impulse)
    if block.emphasis is not None:
        row = nodes("Mul", _emphasised(nodes, row, block.emphasis, impulse.samples), 1 / _FULL_SCALE)
    energies = nodes.without_zeros(_mixed(nodes, _power(nodes, row, block), _mel(block)))
    if block.version > 2:
        steps = nodes("Floor", nodes("Add", nodes("Mul", _decibels(nodes, energies, block.floor), _STEPS), 0.5))
        return _by_frames(nodes, nodes("Clip", nodes("Mul", steps, 1 / _STEPS), 0.0, 1.0), block)
    if not block.window:
        return _by_frames(nodes, energies, block)
    less = nodes("Sub", energies, nodes("MatMul", energies, nodes.constant(sliding_mean(block.frames, block.window))))
    return _by_frames(nodes, _stretched(nodes, less), block)


def mfcc(nodes: graph.Nodes, samples: str, block: blocks.Sound, impulse: Impulse) -> str:
    """Cepstral coefficients, in the order of frames; the first is the logarithm of the frame's energy."""
    assert block.emphasis is not None
    row = _emphasised(nodes, nodes.rows(samples, block.axes, impulse), block.emphasis, impulse.samples)
    filters = np.vstack([_mel(block), np.ones(block.bins)])  # the last row gives the energy
    logarithms = nodes("Log", nodes.without_zeros(_mixed(nodes, _power(nodes, row, block), filters)))
    cosines = np.zeros((block.cepstral, block.filters + 1))
    cosines[0, -1] = 1
    places = np.outer(np.arange(1, block.cepstral), np.arange(block.filters) + 0.5)
    cosines[1:, :-1] = np.cos(np.pi / block.filters * places) * np.sqrt(2 / block.filters)  # the orthonormal DCT-II
    result = _mixed(nodes, logarithms, cosines)
    if block.window:
        mean = nodes.constant(sliding_mean(block.frames, block.window))
        result = nodes("Sub", result, nodes("MatMul", result, mean))
        centre = nodes.square(nodes("MatMul", result, mean))
        variance = nodes("Sub", nodes("MatMul", nodes.square(result), mean), centre)
        result = nodes("Div", result, nodes("Add", nodes("Sqrt", nodes("Max", variance, 0.0)), 1e-10))
    return _by_frames(nodes, result, block)


def spectrogram(nodes: graph.Nodes, samples: str, block: blocks.Sound, impulse: Impulse) -> str:
    """Power spectra, in the order of frames."""
    row = nodes.rows(samples, block.axes, impulse)
    power = _power(nodes, row, block)
    if block.version == 3:
        row = nodes.reshaped(nodes("Max", row, nodes("Sub", 0.0, row)), -1, 1, 1, impulse.samples)
        row = nodes.part(row, 3, 0, (block.frames - 1) * block.stride + block.length)
        loudest = nodes("MaxPool", row, kernel_shape=[1, block.length], strides=[1, block.stride])
        power = nodes("Mul", power, nodes("Where", nodes("Greater", loudest, 1.0), _FULL_SCALE**-2, 1.0))
    power = nodes.without_zeros(power)
    if block.version < 3:
        return _by_frames(nodes, _stretched(nodes, power), block)
    result = nodes("Max", _decibels(nodes, power, block.floor), 0.0)
    return _by_frames(nodes, nodes("Min", result, 1.0) if block.version == 3 else result, block)


def transformed(nodes: graph.Nodes, rows: str, fft: int, used: int, stride: int, after: int = 0) -> str:
    """|X|^2 of frames: [M, 1, 1, L] to [M, fft/2 + 1, 1, frames], from the first `used` samples of each.

    Behind the L samples are `after` zeros.
    """
    angle = (2 * np.pi / fft) * (np.outer(np.arange(fft // 2 + 1), np.arange(used)) % fft)
    real, imaginary = (
        nodes.square(
            nodes("Conv", rows, nodes.constant(each[:, None, None]), strides=[1, stride], pads=[0, 0, 0, after])
        )
        for each in (np.cos(angle), np.sin(angle))
    )
    return nodes("Add", real, imaginary)


def sliding_mean(rows: int, window: int) -> NDArray[np.float64]:
    """[rows, rows]: a row of values times it is their mean over `window` of them, mirrored at the ends.

    The mirrored order repeats after 2 * rows, and each of them stands in it twice.
    """
    periods, rest = divmod(window, 2 * rows)
    places = np.arange(rows)[:, None] - window // 2 + np.arange(rest)
    places = places % (2 * rows)
    places = np.minimum(places, 2 * rows - 1 - places)
    counts = np.full((rows, rows), 2.0 * periods)
    np.add.at(counts, (places, np.arange(rows)[:, None]), 1)
    return counts / window


def _emphasised(nodes: graph.Nodes, row: str, emphasis: tuple[float, int], length: int) -> str:
    """[N, 1, L]: less a share of the sample before; before the first is the last."""
    factor, shift = emphasis
    before = nodes("Concat", nodes.part(row, 2, length - shift, length), nodes.part(row, 2, 0, length - shift), axis=2)
    return nodes("Sub", row, nodes("Mul", before, factor))


def _power(nodes: graph.Nodes, row: str, block: blocks.Sound) -> str:
    """[N, 1, L] to the power spectrum [N, bins, 1, frames]."""
    end = (block.frames - 1) * block.stride + block.used
    frames = nodes("Unsqueeze", nodes.part(row, 2, 0, end), nodes.constant([2], np.int64))
    return nodes("Mul", transformed(nodes, frames, block.fft, block.used, block.stride), 1 / block.fft)


def _mixed(nodes: graph.Nodes, power: str, weights: NDArray[np.float64]) -> str:
    """[N, K, 1, frames] times [M, K]: [N, M, 1, frames]."""
    return nodes("Conv", power, nodes.constant(weights[:, :, None, None]))


def _mel(block: blocks.Sound) -> NDArray[np.float64]:
    """[filters, bins]: triangles between the edges."""
    weights = np.zeros((block.filters, block.bins))
    for index, (left, middle, right) in enumerate(zip(block.edges, block.edges[1:], block.edges[2:], strict=False)):
        bins = np.arange(left, right + 1)
        rising = (bins - left) / max(middle - left, 1)
        falling = (right - bins) / max(right - middle, 1)
        weights[index, left : right + 1] = np.where(bins < middle, rising, falling)
        if block.version > 2 or block.cepstral or left < right:
            weights[index, middle] = 1
    if block.version < 3 and not block.cepstral:
        # The values that weights of MFE 1 and 2 can have: a/b up to b = 22, and hundredths.
        ratios = {part / whole for whole in (*range(1, 23), 100) for part in range(whole + 1)}
        known = np.array(sorted(ratios))
        weights = known[np.searchsorted((known[1:] + known[:-1]) / 2, weights)]  # the nearest
    return weights


def _decibels(nodes: graph.Nodes, power: str, floor: float) -> str:
    """0 for the noise floor, 1 for 12 dB."""
    decibels = nodes("Mul", nodes.log10(nodes("Max", power, _LEAST)), 10.0)
    return nodes("Div", nodes("Sub", decibels, floor), _TOP - floor)


def _stretched(nodes: graph.Nodes, matrix: str) -> str:
    """[N, K, 1, frames]: each of N from its least value as 0 to its largest as 1."""
    least = nodes.reduced("Min", matrix, 1, 2, 3)
    reach = nodes("Sub", nodes.reduced("Max", matrix, 1, 2, 3), least)
    return nodes("Div", nodes("Sub", matrix, least), nodes("Where", nodes("Less", reach, _FLAT), 1.0, reach))


def _by_frames(nodes: graph.Nodes, matrix: str, block: blocks.Sound) -> str:
    """[N, K, 1, frames] to [N, frames * K]."""
    return nodes.reshaped(nodes("Transpose", matrix, perm=[0, 3, 2, 1]), -1, block.features)
