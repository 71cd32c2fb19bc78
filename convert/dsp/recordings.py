"""Windows to measure an impulse on: synthetic ones of its sensor's kind, and those of recordings.

A window is float32 [L*A], axes interleaved, raw as the sensor gives them: sound as whole numbers of 16 bits. Recordings
are WAV (16 bits; of 8, 24 and 32 the upper ones), CSV (a column each axis, with or without names and a `timestamp` in
milliseconds), and JSON and CBOR of Edge Impulse's data acquisition format. WAV and CSV are read by blocks.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import math
import struct
import wave
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from convert.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.dsp import Impulse

    Window = NDArray[np.float32]

SUFFIXES: Final = (".wav", ".csv", ".json", ".cbor")
_DOCUMENTS: Final = (".json", ".cbor")
_BEGINNING = 4096  # bytes; before the payload stand a header and a signature
_SEED = 20260121
_LARGEST_DOCUMENT = 64 << 20  # bytes; a minute of sound has 6 MB as JSON
_DEEPEST = 16  # lists inside lists; a recording has two
_RATE_TOLERANCE = 0.01  # share: rates are rounded to whole milliseconds in some recordings
_AT_ONCE = 1 << 16  # samples
_FURTHEST = 64  # times the rate from which, or to which, sound is resampled
_FINEST = 1 << 12  # steps between two samples
_CROSSINGS = 16  # of zero by a sinc, on each side
_TIMES = ("timestamp", "time", "time_ms", "timestamp_ms")


# Synthetic windows


def synthetic(impulse: Impulse, count: int) -> Iterator[Window]:
    """`count` windows of the sensor's kind, always the same: sound, motion, or slow readings; all of them with noise.

    Without noise spectra would hold bins of rounding errors alone, which no two implementations have in common.
    """
    random = np.random.default_rng(_SEED)
    makers = (_words, _tones, _sweep) if impulse.sensor == "microphone" else (_walking, _shaking, _readings)
    for number in range(count):
        signal = makers[number % len(makers)](random, impulse.samples, impulse.axes, impulse.frequency)
        yield np.ascontiguousarray(signal, np.float32).reshape(-1)


def ill_conditioned(impulse: Impulse) -> Iterator[tuple[str, Window]]:
    """Inputs of which features hold rounding errors divided by rounding errors: what they give is only reported."""
    shape = impulse.samples, impulse.axes
    for name, signal in (
        ("zeros", np.zeros(shape)),
        ("a constant", np.full(shape, 100.0)),
        ("one step", np.repeat([[0.0], [1000.0]], [shape[0] // 2, shape[0] - shape[0] // 2], axis=0) * np.ones(shape)),
    ):
        yield name, signal.astype(np.float32).reshape(-1)


def _words(random: np.random.Generator, samples: int, axes: int, frequency: float) -> NDArray[np.float64]:
    """Bursts of noise in moving bands, as of speech."""
    signal = random.normal(0, 30, (samples, axes))
    for _ in range(int(random.integers(2, 6))):
        start, size = int(random.integers(0, samples)), max(2, int(samples * random.uniform(0.05, 0.3)))
        part = slice(start, min(samples, start + size))
        seconds = np.arange(part.stop - part.start)[:, None] / max(frequency, 1)
        carrier = np.sin(2 * math.pi * random.uniform(0.01, 0.2) * frequency * seconds * (1 + 0.2 * seconds))
        shape = np.hanning(part.stop - part.start)[:, None] * random.uniform(500, 9000)
        signal[part] += shape * (carrier + 0.5 * random.normal(size=(part.stop - part.start, axes)))
    return np.rint(np.clip(signal, -32768, 32767))


def _tones(random: np.random.Generator, samples: int, axes: int, frequency: float) -> NDArray[np.float64]:
    seconds = np.arange(samples)[:, None] / max(frequency, 1)
    signal = random.normal(0, 80, (samples, axes))
    for _ in range(int(random.integers(1, 5))):
        pitch = random.uniform(0.005, 0.4) * frequency
        signal += random.uniform(200, 5000) * np.sin(2 * math.pi * pitch * seconds + random.uniform(0, 6))
    return np.rint(signal)


def _sweep(random: np.random.Generator, samples: int, axes: int, frequency: float) -> NDArray[np.float64]:
    first, last = sorted(random.uniform(0.005, 0.45, 2) * frequency)
    seconds = np.arange(samples)[:, None] / max(frequency, 1)
    rate = (last - first) / max(float(seconds[-1, 0]), 1e-9)
    signal = random.normal(0, 100, (samples, axes))
    signal += 4000 * np.sin(2 * math.pi * (first + rate * seconds / 2) * seconds)
    return np.rint(signal)


def _walking(random: np.random.Generator, samples: int, axes: int, frequency: float) -> NDArray[np.float64]:
    """Steps at 1.5 to 2.5 a second over gravity, in m/s2, their harmonics weaker."""
    seconds = np.arange(samples)[:, None] / max(frequency, 1)
    pace, signal = random.uniform(1.5, 2.5), random.normal(0, 0.4, (samples, axes))
    for harmonic in range(1, 5):
        signal += (
            random.uniform(0.5, 4, axes)
            / harmonic
            * np.sin(2 * math.pi * harmonic * pace * seconds + random.uniform(0, 6, axes))
        )
    return signal + random.uniform(-9.8, 9.8, axes)


def _shaking(random: np.random.Generator, samples: int, axes: int, frequency: float) -> NDArray[np.float64]:
    seconds = np.arange(samples)[:, None] / max(frequency, 1)
    rate = random.uniform(0.02, 0.3) * frequency
    swing: NDArray[np.float64] = random.uniform(1, 15, axes) * np.sin(
        2 * math.pi * rate * seconds + random.uniform(0, 6, axes)
    )
    return swing + random.normal(0, 1, (samples, axes))


def _readings(random: np.random.Generator, samples: int, axes: int, _frequency: float) -> NDArray[np.float64]:
    """A random walk of each axis, as of temperatures."""
    start, step = random.uniform(-20, 60, axes), random.uniform(0.02, 1, axes)
    return start + np.cumsum(random.normal(0, 1, (samples, axes)), axis=0) * step


# Recordings


def find(folder: Path) -> tuple[Path, ...]:
    """The recordings in a folder and the folders in it, or the one given, sorted.

    Of JSON and CBOR in a folder only what has a "payload", as the data acquisition format has near its beginning.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    files = tuple(
        path
        for path in paths
        if path.suffix.lower() in SUFFIXES and path.is_file() and (path is folder or _is_recording(path))
    )
    if not files:
        raise InputError("there is no recording", path=folder, hint=f"give files that end in {', '.join(SUFFIXES)}")
    return files


def _is_recording(path: Path) -> bool:
    if path.suffix.lower() not in _DOCUMENTS:
        return True
    try:
        with path.open("rb") as file:
            return b"payload" in file.read(_BEGINNING)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from error


def blocks(path: Path, impulse: Impulse) -> Iterator[Window]:
    """The samples [n,A] of a recording, some thousands at a time.

    Raises:
        InputError: it cannot be read, has another rate or other channels than the impulse, or holds what is no number.
    """
    kinds = {".wav": _wav, ".csv": _csv, ".json": _json, ".cbor": _cbor}
    if (read := kinds.get(path.suffix.lower())) is None:
        raise InputError("not a recording", path=path, hint=f"give files that end in {', '.join(SUFFIXES)}")
    try:
        for block in read(path, impulse):
            if not np.isfinite(block).all():
                raise InputError("it holds what is no number (NaN or infinity)", path=path, hint="remove these samples")
            yield block
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from error


def windows(path: Path, impulse: Impulse, most: int | None = None, stride: int | None = None) -> Iterator[Window]:
    """Windows of a recording; what is left at the end is no window.

    Args:
        path: of the recording.
        impulse: what takes them.
        most: only the first so many.
        stride: samples from the start of one to the start of the next; default: one behind the other.

    Raises:
        InputError: as `blocks`, or it is shorter than a window.
    """
    for number, rows in enumerate(pieces(blocks(path, impulse), impulse.samples, stride or impulse.samples)):
        if len(rows) == impulse.samples:
            yield np.ascontiguousarray(rows).reshape(-1)
        elif not number:
            message = f"it has {len(rows)} samples, and a window has {impulse.samples}"
            raise InputError(message, path=path, hint="give longer recordings")
        if number + 1 == most:
            return


def pieces(blocks: Iterable[Window], size: int, stride: int) -> Iterator[Window]:
    """Runs of `size` rows, a run every `stride` rows; then, as the last piece, what is left: fewer rows, or none."""
    rows, start = np.empty(0, np.float32), 0
    for block in blocks:
        rows = np.concatenate([rows, block]) if len(rows) else block
        while start + size <= len(rows):
            yield rows[start : start + size]
            start += stride
        behind = min(start, len(rows))
        rows, start = rows[behind:], start - behind
    yield rows[start:]


@contextlib.contextmanager
def _opened(path: Path, hint: str) -> Iterator[tuple[wave.Wave_read, Iterator[NDArray[np.int16]]]]:
    """A WAV and its samples [n, channels], some thousands at a time: the upper 16 bits of each."""

    def samples(file: wave.Wave_read) -> Iterator[NDArray[np.int16]]:
        channels, width = file.getnchannels(), file.getsampwidth()
        while data := file.readframes(_AT_ONCE):
            if not (whole := len(data) // (width * channels)):
                return  # cut off inside a frame
            values = np.frombuffer(data[: whole * width * channels], np.uint8)
            upper = np.ascontiguousarray(values.reshape(-1, channels, width)[..., max(width - 2, 0) :])
            yield upper.view("<i2")[..., 0] if width > 1 else (upper[..., 0].astype(np.int16) - 128) * 256

    try:
        with wave.open(str(path), "rb") as file:
            yield file, samples(file)
    except (EOFError, RuntimeError, wave.Error) as error:  # the second of a chunk that is longer than the file
        reason = str(error) or "it is cut off"
        raise InputError(f"not a WAV that can be read: {reason}", path=path, hint=hint) from error
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", path=path) from error


def _wav(path: Path, impulse: Impulse) -> Iterator[Window]:
    hint = f"convert it: ffmpeg -i IN.wav -ar {round(impulse.frequency)} -ac {impulse.axes} -c:a pcm_s16le OUT.wav"
    with _opened(path, hint) as (file, samples):
        _refuse_rate(file.getframerate(), impulse, path, hint)
        _refuse_channels(file.getnchannels(), impulse, path, hint)
        for block in samples:
            yield block.astype(np.float32)


def sound(path: Path, rate: float, *, resample: bool = False) -> Iterator[Window]:
    """The samples [n] of a WAV as an .eim takes them, some thousands at a time; channels are averaged.

    Args:
        path: a WAV with whole numbers of 8, 16, 24 or 32 bits.
        rate: samples a second that the model takes.
        resample: bring others to it.

    Raises:
        InputError: not such a file, or of another rate.
    """
    limits, hint = np.iinfo(np.int16), "save it as a WAV with 16 bits: ffmpeg -i RECORDING -c:a pcm_s16le sound.wav"
    with _opened(path, hint) as (file, samples):
        own = file.getframerate()
        if own != rate and not (resample and rate / _FURTHEST <= own <= rate * _FURTHEST):
            hint = f"bring it nearer to {rate:g}, or to it" if resample else "bring it to that rate with --resample"
            message = f"the recording has {own} samples a second, the model takes {rate:g}"
            raise InputError(message, path=path, hint=hint)
        mixed = (block.mean(axis=1) for block in samples)
        ratio = Fraction(rate / own).limit_denominator(_FINEST)
        for block in mixed if own == rate else resampled(mixed, ratio):
            yield np.clip(np.rint(block), limits.min, limits.max).astype(np.float32)


def resampled(blocks: Iterable[NDArray[np.float64]], ratio: Fraction) -> Iterator[NDArray[np.float64]]:
    """Samples, [n] in each block, at `ratio` times their rate.

    Each is a sum of those around its place, weighted by a sinc under a Hann window: frequencies that the new rate
    cannot hold are cut off. The first and the last sample count as if they went on for ever.
    """
    up, down = ratio.as_integer_ratio()
    passed = min(1.0, up / down)  # of the lower rate's band
    reach = math.ceil(_CROSSINGS / passed)  # samples on each side of a place
    places = np.arange(1 - reach, reach + 1) - np.arange(up)[:, None] / up
    kernels = np.sinc(passed * places) * np.cos(np.pi / 2 / reach * places) ** 2
    kernels /= kernels.sum(axis=1, keepdims=True)
    rows, start, done = np.empty(0), 1 - reach, 0  # `start`: the place of the first row
    for block in itertools.chain(blocks, [None]):
        if block is None:
            block = np.full(reach, rows[-1]) if len(rows) else rows  # noqa: PLW2901 - the end
        elif not len(rows):
            rows = np.full(reach - 1, block[0])
        rows = np.concatenate([rows, block])
        most = -(-(start + len(rows) - reach) * up // down)
        for first in range(done, most, _AT_ONCE):
            whole, phase = np.divmod(np.arange(first, min(first + _AT_ONCE, most)) * down, up)
            near = sliding_window_view(rows, 2 * reach)[whole - reach + 1 - start]
            yield np.einsum("ij,ij->i", near, kernels[phase])
        done = max(done, most)
        behind = done * down // up - reach + 1 - start
        rows, start = rows[behind:], start + behind


_TIMED = 200  # times by which a rate is judged


def _csv(path: Path, impulse: Impulse) -> Iterator[Window]:  # noqa: C901 - one branch a fault
    rows: list[list[float]] = []
    first: int | None = None  # of the columns that are axes
    times: list[float] = []
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            for number, words in enumerate(csv.reader(file), 1):
                if not words:
                    continue
                if first is None:
                    first = int(len(words) == impulse.axes + 1)
                    named = words[0].strip().lower()
                    if first and named not in _TIMES:
                        first = 0
                    _refuse_channels(
                        len(words) - first, impulse, path, "one column each axis, and `timestamp` before them"
                    )
                    if not _is_number(words[-1]):
                        continue
                try:
                    values = [float(word) for word in words]
                except ValueError:
                    text = next(word for word in words if not _is_number(word))
                    raise InputError(f"{text[:40]!r} is no number", path=path, line=number) from None
                if len(values) - first != impulse.axes:
                    raise InputError(f"{len(values)} values instead of {impulse.axes + first}", path=path, line=number)
                if first and len(times) < _TIMED:
                    times.append(values[0])
                    if len(times) == _TIMED:
                        _refuse_times(times, impulse, path)
                rows.append(values[first:])
                if len(rows) >= max(impulse.samples, 4096):
                    yield _single(rows)
                    rows = []
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(f"not a CSV that can be read: {error}", path=path) from error
    if len(times) < _TIMED:
        _refuse_times(times, impulse, path)
    if rows:
        yield _single(rows)


def _single(rows: Any) -> Window:
    with np.errstate(over="ignore"):  # to infinity, which is refused
        return np.asarray(rows, np.float32)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _json(path: Path, impulse: Impulse) -> Iterator[Window]:
    try:
        document = json.loads(_document(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is no JSON: {str(error)[:100]}", path=path) from error
    yield _acquired(document, impulse, path)


def _cbor(path: Path, impulse: Impulse) -> Iterator[Window]:
    try:
        document, _ = _item(_document(path), 0, 0)
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        raise InputError(f"it is no CBOR: {str(error)[:100]}", path=path) from error
    yield _acquired(document, impulse, path)


def _document(path: Path) -> bytes:
    if (size := path.stat().st_size) > _LARGEST_DOCUMENT:
        message = f"it has {size >> 20} MiB, and {_LARGEST_DOCUMENT >> 20} are read"
        raise InputError(message, path=path, hint="give it as WAV or CSV, which are read by blocks")
    return path.read_bytes()


def _acquired(document: Any, impulse: Impulse, path: Path) -> Window:
    """Of `{"payload": {"interval_ms": ..., "sensors": [...], "values": [...]}}`, values [n, A]."""
    hint = "give a file of Edge Impulse's data acquisition format"
    payload = document.get("payload") if isinstance(document, dict) else None
    values = payload.get("values") if isinstance(payload, dict) else None
    if not isinstance(values, list) or not values:
        raise InputError("it holds no payload with values", path=path, hint=hint)
    assert payload is not None
    interval = payload.get("interval_ms")
    if isinstance(interval, int | float) and interval > 0:
        _refuse_rate(1000 / interval, impulse, path, "record at the rate of the impulse")
    try:
        rows = np.array(values, np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError("its values are no numbers, or not as many each time", path=path, hint=hint) from error
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.ndim != 2:
        raise InputError("its values are no list of samples", path=path, hint=hint)
    _refuse_channels(rows.shape[1], impulse, path, hint)
    return _single(rows)


def _refuse_rate(rate: float, impulse: Impulse, path: Path, hint: str) -> None:
    if abs(rate - impulse.frequency) > _RATE_TOLERANCE * impulse.frequency:
        message = f"it has {rate:g} samples a second, and the impulse takes {impulse.frequency:g}"
        raise InputError(message, path=path, hint=hint)


def _refuse_times(times: list[float], impulse: Impulse, path: Path) -> None:
    """By the first times of a recording in milliseconds, which may be rounded to whole ones."""
    span = times[-1] - times[0] if times else 0.0
    steps = 1000 * (len(times) - 1)
    if span > 1 and not steps / (span + 1) <= impulse.frequency <= steps / (span - 1):
        _refuse_rate(steps / span, impulse, path, "record at the rate of the impulse")


def _refuse_channels(channels: int, impulse: Impulse, path: Path, hint: str) -> None:
    if channels != impulse.axes:
        message = f"it has {channels} channel{'s' * (channels != 1)}, and the impulse takes {impulse.axes}"
        raise InputError(message, path=path, hint=hint)


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:  # noqa: C901 - one branch a type
    """A data item of CBOR (RFC 8949) and where the next one begins.

    Raises:
        ValueError, IndexError, struct.error: it is none, or is cut off.
    """
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return _simple(data, at, low)
    if low == 31:  # of unknown length: up to a break
        if major not in {4, 5}:
            raise ValueError("text or bytes in pieces")
        items: list[Any] = []
        while data[at] != 0xFF:
            item, at = _item(data, at, depth + 1)
            items.append(item)
        return (_pairs(items) if major == 5 else items), at + 1
    if low > 27:
        raise ValueError("a length that does not exist")
    size = (1 << (low - 24)) if low >= 24 else 0
    count = int.from_bytes(data[at : at + size], "big") if size else low
    if at + size > len(data):
        raise IndexError("it is cut off")
    at += size
    if major in {0, 1}:
        return (-1 - count if major else count), at
    if count > len(data) - at:
        raise IndexError("it is cut off")
    if major in {2, 3}:
        text = data[at : at + count]
        return (text.decode() if major == 3 else text), at + count
    if major == 6:
        return _item(data, at, depth + 1)  # a tag says what the item behind it means
    items = []
    for _ in range(count * (2 if major == 5 else 1)):
        item, at = _item(data, at, depth + 1)
        items.append(item)
    return (_pairs(items) if major == 5 else items), at


def _pairs(items: Sequence[Any]) -> dict[str, Any]:
    if len(items) % 2:
        raise ValueError("a key without a value")
    return {str(key): value for key, value in zip(items[::2], items[1::2], strict=True)}


def _simple(data: bytes, at: int, low: int) -> tuple[Any, int]:
    if low in {25, 26, 27}:
        size = {25: 2, 26: 4, 27: 8}[low]
        return struct.unpack_from({2: ">e", 4: ">f", 8: ">d"}[size], data, at)[0], at + size
    if low not in {20, 21, 22, 23}:
        raise ValueError("a value that does not exist")
    return {20: False, 21: True}.get(low), at
