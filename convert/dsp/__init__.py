"""Whole impulses: signal processing, network and anomaly score of sound and sensor exports, as one ONNX graph.

`Impulse` is what an export records (`convert.export.impulse` reads it). `convert.dsp.blocks` knows the kinds of blocks,
`convert.dsp.graph` makes the graph, `convert.dsp.reference` computes the same in NumPy. Importing this imports neither
numpy nor onnx.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Value = float | str | tuple[float | str, ...]
"""Of a block's configuration: a number (also for true and false), a string, or several."""


@dataclass(frozen=True, slots=True)
class Block:
    """A signal-processing block of an impulse.

    Attributes:
        kind: "raw", "flatten", "spectral_analysis", "mfe", "mfcc" or "spectrogram"; other kinds are refused.
        id: in the project; the position in the list of blocks where none is recorded.
        version: of the implementation; 1 where none is recorded.
        axes: offsets into a sample of all axes, in the order the block takes them.
        values: of the configuration, by the names that the export's own typedef gives them.
        size: number of features, as the export says.
        normalisation: mean and scale of each feature: (x - mean) * scale, where the block has them.
    """

    kind: str
    id: int
    version: int
    axes: tuple[int, ...]
    values: Mapping[str, Value]
    size: int
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class KMeans:
    """An anomaly score by distance: over `axes` of the features, min over clusters of (distance - radius).

    Attributes:
        axes: indices into the features of the anomaly block's input.
        mean, scale: one for each of `axes`; a feature becomes (x - mean) / scale.
        centroids: one row a cluster, one column for each of `axes`.
        radii: the largest error of each cluster, subtracted from the distance to it.
        block: id of the signal-processing block whose features it takes.
    """

    axes: tuple[int, ...]
    mean: tuple[float, ...] = field(repr=False)
    scale: tuple[float, ...] = field(repr=False)
    centroids: tuple[tuple[float, ...], ...] = field(repr=False)
    radii: tuple[float, ...] = field(repr=False)
    block: int


@dataclass(frozen=True, slots=True)
class Mixture:
    """An anomaly score by a Gaussian mixture: a float network of its own on `axes` of the features.

    Attributes:
        model: a flatbuffer; its one output is the score.
    """

    axes: tuple[int, ...]
    model: bytes = field(repr=False)
    block: int


@dataclass(frozen=True, slots=True)
class Impulse:
    """What an export of sound or sensor data computes: samples to scores.

    Attributes:
        sensor: "microphone", "accelerometer", "fusion", ...
        samples: in a window, for each axis (L).
        axes: values a sample has (A); a window is L * A values, axes interleaved, as the sensor gives them.
        axis_names: of those that are recorded, in order.
        frequency: samples a second.
        slices: a window has so many for `run_classifier_continuous`; 0 where that is not recorded.
        blocks: in order.
        inputs: ids of the blocks whose features, one behind the other, are the network's input; () without a network.
        anomaly: what scores anomalies, where something does.
    """

    sensor: str
    samples: int
    axes: int
    axis_names: tuple[str, ...]
    frequency: float
    slices: int
    blocks: tuple[Block, ...]
    inputs: tuple[int, ...]
    anomaly: KMeans | Mixture | None = None

    @property
    def sources(self) -> tuple[int, ...]:
        """Ids of the blocks whose features, one behind the other, count: `inputs`; without a network the anomaly's."""
        return self.inputs or ((self.anomaly.block,) if self.anomaly else ())
