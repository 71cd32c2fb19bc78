"""The kinds of signal-processing blocks: which values they have, what they refuse, how many features they give.

`BLOCKS` is the registry. A kind reads a block's recorded values into settings, counted in samples and bins, from which
`convert.dsp.graph` makes nodes and `convert.dsp.reference` computes in NumPy. Whatever the settings can be read of can
be computed; everything else is refused here, before any work, by the true reason.

Facts are those of Edge Impulse's SDK (inferencing-sdk-cpp 1.93): its numbers are float32, and numbers of samples are
counted in float32 here too. Importing this imports neither numpy nor onnx.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, exp, floor, frexp, log, pi, sin, tan
from typing import Protocol

from convert import dsp, errors, files

LARGEST_WINDOW = 1 << 22
"""Values in a window (16 MiB of samples)."""
LARGEST_CONSTANT = 1 << 24
"""Elements of one matrix in the graph (64 MiB)."""
LARGEST_FEATURES = 1 << 20
"""Features of one block."""
LARGEST_FILTER = 1 << 28
"""Products in the convolution of one axis with a filter's impulse response: about half a second on one core."""
_LARGEST_FFT = 1 << 15
_LARGEST_FILTERS = 1024
_LARGEST_FRAMES = 4096  # rows of the sliding mean's matrix
_LARGEST_NUMBER = 1e9  # of a value for which no other limit is known: its square is no trouble in float32
_DECIMATIONS = {1: (), 3: (3,), 10: (10,), 30: (3, 10), 100: (10, 10), 1000: (10, 10, 10)}
_LOWEST = 300  # Hz; the SDK puts it for 0 in implementations before 4

STATISTICS = ("average", "minimum", "maximum", "rms", "stdev", "skewness", "kurtosis")
"""What flatten can give of each axis, in the order of its features."""

_HINT = "set the block up otherwise in Edge Impulse's Studio, generate features, train again and export"
_CUSTOM = "it is no block of Edge Impulse's own, and its arithmetic is not in the export"


class Settings(Protocol):
    """What every kind's settings have."""

    @property
    def axes(self) -> tuple[int, ...]:
        """Offsets into a sample, in the order the block takes them."""

    @property
    def features(self) -> int:
        """How many the block gives."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Where Edge Impulse's SDK and its Python code, which training uses, disagree, and which is followed."""


@dataclass(frozen=True, slots=True)
class Raw:
    """The samples as they are, times `scale`; interleaved."""

    axes: tuple[int, ...]
    scale: float
    samples: int
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """One for each sample and axis."""
        return self.samples * len(self.axes)


@dataclass(frozen=True, slots=True)
class Flatten:
    """Statistics of each axis, of those in `STATISTICS`."""

    axes: tuple[int, ...]
    scale: float
    statistics: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """Axis by axis."""
        return len(self.axes) * len(self.statistics)


@dataclass(frozen=True, slots=True)
class Sound:
    """Spectra of frames: mfe, mfcc and spectrogram.

    Attributes:
        version: of the implementation.
        length, stride, frames: samples of a frame, from one start to the next, and how many frames.
        fft: points of the transform; of a frame it takes the first `used` samples, zeros behind them.
        filters: mel filters; 0 in a spectrogram.
        edges: FFT bins where the filters start, peak and end: `filters` + 2 of them.
        window: rows of the sliding mean, odd; 0: there is none.
        floor: noise floor in dB.
        cepstral: coefficients of an mfcc.
        emphasis: factor and distance in samples of the pre-emphasis; None: there is none.
    """

    axes: tuple[int, ...]
    version: int
    length: int
    stride: int
    frames: int
    fft: int
    filters: int = 0
    edges: tuple[int, ...] = field(default=(), repr=False)
    window: int = 0
    floor: float = 0.0
    cepstral: int = 0
    emphasis: tuple[float, int] | None = None
    notes: tuple[str, ...] = ()

    @property
    def used(self) -> int:
        """Samples of a frame that the transform takes."""
        return min(self.length, self.fft)

    @property
    def bins(self) -> int:
        """Of the spectrum."""
        return self.fft // 2 + 1

    @property
    def features(self) -> int:
        """Frame by frame."""
        return self.frames * (self.cepstral or self.filters or self.bins)


@dataclass(frozen=True, slots=True)
class Band:
    """What the spectral analysis 2 to 4 computes of one row: its samples a second, its samples, the bins it reports."""

    frequency: float
    samples: int
    first: int
    last: int

    @property
    def bins(self) -> int:
        """How many bins are features."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True)
class Spectral:
    """Spectral analysis with an FFT.

    Attributes:
        version: of the implementation.
        decimations: factors, one after the other.
        filter: "none", "low" or "high"; a Butterworth filter of `order` at `cutoff` Hz where both are given.
        fft: points of the transform.
        log, overlap: logarithm of the spectrum; frames overlap by half (versions 2 to 4).
        bands: the row itself, and the one decimated by ten more where "extra low frequencies" are asked for; of
            version 1 only the row's frequency and samples count.
        peaks, threshold, powers: of version 1: peaks reported, their least height, and the edges of bands in Hz.
    """

    axes: tuple[int, ...]
    version: int
    scale: float
    decimations: tuple[int, ...]
    filter: str
    cutoff: float
    order: int
    fft: int
    log: bool
    overlap: bool
    bands: tuple[Band, ...]
    peaks: int = 0
    threshold: float = 0.0
    powers: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def filters(self) -> bool:
        """Whether there is a filter: an odd order has lost its last section in the SDK, so 1 has none."""
        return self.filter != "none" and self.order > 1

    @property
    def features(self) -> int:
        """Axis by axis; those of the second band behind those of all axes."""
        if self.version == 1:
            each = 1 + 2 * self.peaks + len(self.powers) - 1
        else:
            each = sum((5 if self.version > 3 else 3) + band.bins for band in self.bands)
        return len(self.axes) * each


@dataclass(frozen=True, slots=True)
class BlockKind:
    """A kind of block.

    Attributes:
        id: as the export has it: `extract_<id>_features`.
        title: as Edge Impulse's Studio calls it.
        versions: of the implementation, up to this one.
        main: values that tell blocks apart: their names and units.
        read: the settings of a block that fits; refuses others.
    """

    id: str
    title: str
    versions: int
    main: tuple[tuple[str, str], ...]
    read: Callable[[dsp.Block, dsp.Impulse], Settings] = field(repr=False)


# Reading values.


def _single(value: float) -> float:
    """The float32 next to a number; products of two float32 are exact before it."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def _refused(block: dsp.Block, reason: str, hint: str = _HINT) -> errors.UnsupportedModelError:
    known = _BY_ID.get(block.kind)
    name = known.title if known else block.kind
    return errors.UnsupportedModelError(f"the block {block.id} ({name}) cannot be converted: {reason}", hint=hint)


@dataclass(frozen=True, slots=True)
class _Values:
    """A block's values, checked."""

    block: dsp.Block

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """From `low` to `high`, as float32; `default` where there is none."""
        value = self.block.values.get(name, default)
        if value is None:
            raise _refused(self.block, f"the export does not say its {name}", "export it again")
        if not isinstance(value, int | float) or not low <= value <= high:
            raise _refused(self.block, f"its {name} is {_short(value)}, not a number from {low:g} to {high:g}")
        return _single(value)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        """The same, a whole number."""
        value = self.number(name, low, high, default)
        if value != int(value):
            raise _refused(self.block, f"its {name} is {value:g}, not a whole number")
        return int(value)

    def text(self, name: str, known: tuple[str, ...], default: str | None = None) -> str:
        """One of `known`, in lower case."""
        value = self.block.values.get(name, default)
        word = value.strip().lower() if isinstance(value, str) else value
        if not isinstance(word, str) or word not in known:
            raise _refused(self.block, f"its {name} is {_short(value)}; known: " + ", ".join(known))
        return word

    def numbers(self, name: str) -> tuple[float, ...]:
        """Several, also when they stand in one string with commas between them."""
        value = self.block.values.get(name, ())
        parts = value.split(",") if isinstance(value, str) else value if isinstance(value, tuple) else (value,)
        try:
            found = tuple(float(part) for part in parts)
        except (TypeError, ValueError, OverflowError):
            found = (float("nan"),)
        if len(found) > _LARGEST_FILTERS or not all(abs(each) <= _LARGEST_NUMBER for each in found):
            raise _refused(self.block, f"its {name} are {_short(value)}, not numbers")
        return tuple(_single(each) for each in found)

    def scale(self) -> float:
        """What samples are multiplied by."""
        return self.number("scale_axes", -_LARGEST_NUMBER, _LARGEST_NUMBER)


def _short(value: dsp.Value | None) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _axes(block: dsp.Block, impulse: dsp.Impulse) -> tuple[int, ...]:
    """Offsets in the order the block takes them: if it takes all, that of the samples, whatever is recorded."""
    count = len(block.axes)
    if not count or any(not 0 <= axis < impulse.axes for axis in block.axes):
        raise _refused(block, f"it takes the axes {_short(block.axes)} of samples with {impulse.axes} values")
    if _Values(block).whole("axes", 1, LARGEST_WINDOW, count) != count:
        raise _refused(block, f"it is set up for {block.values['axes']:g} axes and takes {count}", "export it again")
    return tuple(range(count)) if count == impulse.axes else block.axes


# The kinds.


def _read_flatten(block: dsp.Block, impulse: dsp.Impulse) -> Flatten:
    values = _Values(block)
    if values.whole("moving_avg_num_windows", 0, int(_LARGEST_NUMBER), 0):
        raise _refused(
            block,
            "its moving average depends on the windows before, and the converted model knows one window",
            "set the moving average of the block Flatten to 0 in Edge Impulse's Studio, train again and export",
        )
    chosen = tuple(name for name in STATISTICS if values.number(name, 0, 1, 0))
    if not chosen:
        raise _refused(block, "it computes nothing")
    return Flatten(_axes(block, impulse), values.scale(), chosen)


def _read_sound(block: dsp.Block, impulse: dsp.Impulse) -> Sound:
    """Frames, and for mfe and mfcc the filters."""
    values, version, kind = _Values(block), block.version, block.kind
    axes = _axes(block, impulse)
    if len(axes) != 1:
        raise _refused(block, f"it computes one axis and is given {len(axes)}")
    rate = int(impulse.frequency)
    length, stride, frames = _frames(block, impulse, float(rate))
    if kind == "spectrogram" and impulse.frequency != rate:
        # The SDK cuts frames by the fraction and counts them without: where the two differ it gives an error.
        exact = _frames(block, impulse, _single(impulse.frequency))
        if exact[2] != frames:
            raise _refused(
                block,
                f"at {impulse.frequency:g} samples a second Edge Impulse's own code cuts {exact[2]} frames and expects "
                f"{frames}",
            )
        length, stride, frames = exact
    fft = values.whole("fft_length", 4, _LARGEST_FFT)
    if fft % 2:
        raise _refused(block, f"its fft_length is {fft}; Edge Impulse's code takes even ones only")
    if (fft // 2 + 1) * max(min(length, fft), frames) > LARGEST_CONSTANT:
        raise _refused(
            block, f"{frames} FFTs of {fft} points over frames of {length} samples are too large for a matrix"
        )
    decibels = values.number("noise_floor_db", -1000, 11) if version > 2 and kind != "mfcc" else 0.0
    plain = Sound(axes, version, length, stride, frames, fft, floor=decibels)
    return plain if kind == "spectrogram" else _with_filters(block, plain, rate, impulse.samples)


def _frames(block: dsp.Block, impulse: dsp.Impulse, frequency: float) -> tuple[int, int, int]:
    """Samples of a frame, samples from one to the next, and how many; in float32, as the SDK counts.

    Version 1 rounds, and counts one frame too few; later ones round up unless less than 0.001 is above a whole number.
    """
    values, counts = _Values(block), []
    for name in ("frame_length", "frame_stride"):
        exact = _single(values.number(name, 0, _LARGEST_NUMBER) * frequency)
        below = floor(exact)
        if block.version == 1:
            counts.append(floor(exact + 0.5))
        else:
            counts.append(below if exact - below < 0.001 else ceil(exact))
    length, stride = counts
    if length < 1 or stride < 1:
        raise _refused(block, f"its frames have {length} samples and start every {stride}")
    frames = (impulse.samples - length + (stride if block.version > 1 else 0)) // stride
    if frames < 1:
        raise _refused(block, f"its frames have {length} samples, the window only {impulse.samples}")
    return length, stride, frames


def _with_filters(block: dsp.Block, sound: Sound, rate: int, samples: int) -> Sound:
    values, version, notes = _Values(block), sound.version, []
    is_mfe = block.kind == "mfe"
    filters = values.whole("num_filters", 1, _LARGEST_FILTERS)
    low = values.number("low_frequency", 0, _LARGEST_NUMBER)
    high = values.number("high_frequency", 0, _LARGEST_NUMBER) or rate // 2
    if version < 4 and not low:
        low = _LOWEST
        notes.append(
            f"low_frequency 0 is taken as {_LOWEST} Hz, as devices do in implementation {version}; training took 0 Hz"
        )
    if high > rate / 2:
        raise _refused(block, f"its filters end at {high:g} Hz, above half the {rate} samples a second")
    if low >= high:
        raise _refused(block, f"its filters start at {low:g} Hz and end at {high:g} Hz")
    # MFE 3 and 4 have no sliding mean, whatever is recorded.
    window = 0 if is_mfe and version > 2 else values.whole("win_size", 0, 1 << 16)
    if window and window % 2 == 0:
        raise _refused(block, f"its win_size {window} is even, with which Edge Impulse's code reads beyond its memory")
    if window and sound.frames > _LARGEST_FRAMES:
        raise _refused(block, f"its {sound.frames} frames are too many for the sliding mean's matrix")
    cepstral, emphasis = 0, (_single(0.98), 1) if version > 2 else None
    if not is_mfe:
        if filters % 2:
            raise _refused(
                block, f"its num_filters {filters} is odd, and Edge Impulse's code takes even ones only (its DCT)"
            )
        cepstral = values.whole("num_cepstral", 1, filters)
        if not 1 <= values.whole("pre_shift", 0, int(_LARGEST_NUMBER)) < samples:
            raise _refused(block, f"its pre_shift is {block.values['pre_shift']:g} in a window of {samples} samples")
        emphasis = values.number("pre_cof", -1e3, 1e3), values.whole("pre_shift", 1, samples)
    return Sound(
        sound.axes, version, sound.length, sound.stride, sound.frames, sound.fft, filters,
        # Before version 4 filters are placed as if the transform were half as long: a fault that is kept.
        mel_edges(filters, sound.fft if version > 3 else sound.bins, rate, low, high),
        window, sound.floor, cepstral, emphasis, tuple(notes),
    )  # fmt: skip


def mel_edges(filters: int, points: int, rate: int, low: float, high: float) -> tuple[int, ...]:
    """FFT bins where mel filters start, peak and end: one filter has three neighbours; in float32, as the SDK."""

    def mel(frequency: float) -> float:
        return _single(1127.0 * _log(_single(1 + _single(frequency / 700))))

    first, last = mel(low), mel(high)
    step = _single(_single(last - first) / (filters + 1))
    mels = [_single(first + _single(index * step)) for index in range(filters + 1)] + [last]
    found: list[int] = []
    for each in mels:
        frequency = _single(700 * _single(_single(exp(_single(each / 1127))) - 1))
        frequency = min(max(frequency, _single(low)), _single(high))
        if len(found) == filters + 1:
            frequency = _single(frequency - 0.001)
        found.append(floor(_single(_single((points + 1) * frequency) / rate)))
    return tuple(found)


def _log(value: float) -> float:
    """The SDK's natural logarithm of a float32 of at least 1: log1p as a polynomial on [-1/3, 1/3], error 1.6e-5."""
    fraction, exponent = frexp(value)
    if fraction < 2 / 3:
        fraction, exponent = 2 * fraction, exponent - 1
    part = fraction - 1
    square = _single(part * part)
    high = _single(0.230836749 * part - 0.279208571)
    low = _single(0.331826031 * part - 0.498910338)
    return _single(exponent * 0.693147182 + _single(_single(high * square + low) * square + part))


def _read_spectral(block: dsp.Block, impulse: dsp.Impulse) -> Spectral:
    values, version = _Values(block), block.version
    if version > 1 and values.text("analysis_type", ("fft", "wavelet"), "fft") == "wavelet":
        raise _refused(
            block,
            "wavelets are not converted",
            "choose FFT as the type of analysis in Edge Impulse's Studio, generate features, train again and export",
        )
    axes = _axes(block, impulse)
    kind = values.text("filter_type", ("none", "low", "high"))
    order = values.whole("filter_order", 0, 32, 0) if kind != "none" else 0
    cutoff = values.number("filter_cutoff", 0, _LARGEST_NUMBER) if kind != "none" else 0.0
    fft = values.whole("fft_length", 4, _LARGEST_FFT)
    if fft % 2:
        raise _refused(block, f"its fft_length is {fft}; Edge Impulse's code takes even ones only")
    ratio = values.whole("input_decimation_ratio", 0, 1000, 1) if version > 3 else 1
    if ratio not in _DECIMATIONS:
        raise _refused(block, f"its input_decimation_ratio is {ratio}; known: " + ", ".join(map(str, _DECIMATIONS)))
    steps = _DECIMATIONS[ratio]
    frequency, samples = impulse.frequency / ratio, ceil(impulse.samples / ratio)
    if order > 1:
        _refuse_filter(block, order, cutoff / frequency, samples)
    if (fft // 2 + 1) * max(min(fft, samples), 2 * samples // fft * len(axes)) > LARGEST_CONSTANT:
        raise _refused(block, f"FFTs of {fft} points over {samples} samples are too large for a matrix")
    notes = []
    if len(steps) > 1:
        notes.append(
            f"input_decimation_ratio {ratio} is computed as in training; devices leave old values in the row between "
            "the steps and compute something else"
        )
    common = (axes, version, values.scale(), steps, kind, cutoff, order, fft)
    if version == 1:
        peaks = values.whole("spectral_peaks_count", 0, _LARGEST_FILTERS)
        edges = values.numbers("spectral_power_edges")
        if not edges:
            raise _refused(block, "the export does not say its spectral_power_edges", "export it again")
        if order > 1:
            notes.append("the mean is taken off before the filter, as on a device; today's Python does it after it")
        return Spectral(
            *common, log=False, overlap=False, bands=(Band(frequency, samples, 1, 0),), peaks=peaks,
            threshold=values.number("spectral_peaks_threshold", -_LARGEST_NUMBER, _LARGEST_NUMBER), powers=edges,
            notes=tuple(notes),
        )  # fmt: skip
    bands = [_band(frequency, samples, kind, cutoff, fft)]
    if version > 3 and values.whole("extra_low_freq", 0, 1, 0):
        bands.append(_band(frequency / 10, ceil(samples / 10), kind, cutoff, fft))
    return Spectral(
        *common, log=bool(values.whole("do_log", 0, 1)), overlap=bool(values.whole("do_fft_overlap", 0, 1)),
        bands=tuple(bands), notes=tuple(notes),
    )  # fmt: skip


def _refuse_filter(block: dsp.Block, order: int, cutoff: float, samples: int) -> None:
    """Of a Butterworth filter at `cutoff` of the frequency."""
    if not 0 < cutoff < 0.5:
        raise _refused(
            block, f"its filter_cutoff is {cutoff:g} of the samples a second, not between 0 and half of them"
        )
    # Samples until it has forgotten one, to twelve digits, by its slowest pole.
    a = tan(pi * cutoff)
    slow = 2 * a * sin(pi / (2 * order))
    fading = 2 * log(1e12) / max(log((a * a + slow + 1) / (a * a - slow + 1)), 1e-12)
    if samples * min(samples, fading) > LARGEST_FILTER:
        raise _refused(block, f"its filter needs too many products in a window of {samples} samples")


def _band(frequency: float, samples: int, kind: str, cutoff: float, fft: int) -> Band:
    """A filter hides bins also where its order is 0."""
    centre = _single(min(cutoff, frequency / 2) * fft / frequency)
    first = max(1, int(centre - 0.5) + 1) if kind == "high" else 1
    last = int(centre + 0.5) if kind == "low" else fft // 2
    return Band(frequency, samples, first, last)


_READ: dict[str, Callable[[dsp.Block, dsp.Impulse], Settings]] = {
    "raw": lambda block, impulse: Raw(_axes(block, impulse), _Values(block).scale(), impulse.samples),
    "flatten": _read_flatten,
    "spectral_analysis": _read_spectral,
    **dict.fromkeys(("mfe", "mfcc", "spectrogram"), _read_sound),
}
BLOCKS: tuple[BlockKind, ...] = tuple(
    BlockKind(name, row["title"], row["versions"], tuple(row["main"].items()), _READ[name])
    for name, row in files.load_toml("dsp.toml")["blocks"].items()
)
"""All that can be converted."""

_BY_ID = {each.id: each for each in BLOCKS}


def block_kind(kind: str) -> BlockKind:
    """The kind with this name.

    Raises:
        UnsupportedModelError: there is none; the reason is that of this kind.
    """
    if kind in _BY_ID:
        return _BY_ID[kind]
    reason = files.load_toml("dsp.toml")["refused"].get(kind, _CUSTOM)
    message = f"signal-processing blocks of the kind {kind} cannot be converted: {reason}"
    hint = "use one of these, train again and export: " + ", ".join(each.title for each in BLOCKS)
    raise errors.UnsupportedModelError(message, hint=hint)


def title(kind: str) -> str:
    """As Edge Impulse's Studio calls the kind; its own name where it is not known here."""
    return _BY_ID[kind].title if kind in _BY_ID else kind


def settings(block: dsp.Block, impulse: dsp.Impulse) -> Settings:
    """A block's values, counted in samples and bins of this impulse.

    Raises:
        UnsupportedModelError: it cannot be converted; the reason.
    """
    kind = block_kind(block.kind)
    if not 1 <= impulse.samples * impulse.axes <= LARGEST_WINDOW or impulse.samples < 1:
        raise _refused(
            block,
            f"a window of {impulse.samples} samples with {impulse.axes} values",
            f"convertible: windows of 1 to {LARGEST_WINDOW} values",
        )
    if not 0 < impulse.frequency <= _LARGEST_NUMBER:
        raise _refused(block, f"{impulse.frequency:g} samples a second", "export it again")
    # Raw data and flatten compute the same in every version.
    if not 1 <= block.version <= kind.versions and kind.versions > 1:
        raise _refused(
            block, f"its implementation version is {block.version}; known: 1 to {kind.versions}", "please report it"
        )
    found = kind.read(block, impulse)
    if found.features > LARGEST_FEATURES:
        raise _refused(block, f"it gives {found.features} features, more than {LARGEST_FEATURES}")
    return found


def refuse(block: dsp.Block, impulse: dsp.Impulse) -> None:
    """Nothing, where the block can be converted.

    Raises:
        UnsupportedModelError: it cannot, or its features are not as many as the export says; the reason.
    """
    found = settings(block, impulse).features
    if found != block.size:
        raise _refused(
            block, f"by its values it gives {found} features, the export says {block.size}", "export it again"
        )
    if block.normalisation and {len(each) for each in block.normalisation} != {found}:
        raise _refused(block, f"its normalisation is not that of {found} features", "export it again")


def describe(block: dsp.Block) -> tuple[tuple[str, str], ...]:
    """Names and texts of the values that tell blocks apart, of those that are recorded; for every kind of block."""
    known = _BY_ID.get(block.kind)
    main = known.main if known else tuple((name, "") for name in sorted(block.values))
    return tuple((name, f"{_text(block.values[name])} {unit}".strip()) for name, unit in main if name in block.values)


def _text(value: dsp.Value) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else f"{value:g}"
