"""Recordings become windows; what they cannot be is said in one sentence."""

from __future__ import annotations

import itertools
import json
import math
import struct
import tracemalloc
import wave
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.dsp import recordings
from convert.errors import InputError
from tests.dsp.impulses import block, impulse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from convert.dsp import Impulse

SOUND = replace(impulse(block("raw", 1, 1), samples=100, frequency=8000), sensor="microphone")
MOTION = replace(impulse(block("raw", 1, 3), samples=10, axes=3, frequency=50), sensor="accelerometer")


def read(path: Path, of: Impulse, most: int = 100) -> np.ndarray[Any, Any]:
    return np.stack(list(recordings.windows(path, of, most)))


def wav(path: Path, samples: np.ndarray[Any, Any], rate: int = 8000, channels: int = 1, width: int = 2) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(samples.tobytes())
    return path


def cbor(value: dict[str, Any] | list[Any] | str | float) -> bytes:
    """As RFC 8949 has it, lists of unknown length."""
    if isinstance(value, dict):
        return bytes([0xA0 | len(value)]) + b"".join(cbor(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(cbor, value)) + b"\xff"
    if isinstance(value, str):
        return bytes([0x78, len(value)]) + value.encode()
    if isinstance(value, float):
        return b"\xfb" + struct.pack(">d", value)
    return bytes([0x19 if value >= 0 else 0x39]) + (value if value >= 0 else -1 - value).to_bytes(2, "big")


def acquired(values: list[Any], **changes: Any) -> dict[str, Any]:
    sensors = [{"name": name, "units": "m/s2"} for name in ("x", "y", "z")]
    return {"payload": {"interval_ms": 20, "sensors": sensors, "values": values} | changes}


def test_a_wav_is_16_bits_and_what_is_left_is_no_window(tmp_path: Path) -> None:
    samples = np.arange(-130, 120, dtype="<i2")
    assert np.array_equal(read(wav(tmp_path / "a.wav", samples), SOUND).reshape(-1), samples[:200])
    assert len(read(tmp_path / "a.wav", SOUND, most=1)) == 1


def test_of_a_wav_of_24_bits_the_upper_ones(tmp_path: Path) -> None:
    whole = np.full(100, -5 * 256 + 7, "<i4").view(np.uint8).reshape(-1, 4)[:, :3]
    assert set(read(wav(tmp_path / "a.wav", whole, width=3), SOUND).reshape(-1)) == {-5.0}


@given(st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=9), max_size=9), st.integers(1, 7), st.integers(1, 9))
def test_pieces_whatever_the_blocks(parts: list[list[int]], size: int, stride: int) -> None:
    whole = np.array([value for part in parts for value in part], np.float32)
    *full, rest = recordings.pieces((np.array(part, np.float32) for part in parts), size, stride)
    starts = range(0, len(whole) - size + 1, stride)
    assert [each.tolist() for each in full] == [whole[start : start + size].tolist() for start in starts]
    assert rest.tolist() == whole[len(starts) * stride :].tolist()


@pytest.mark.parametrize(("own", "rate"), [(44100, 16000), (8000, 16000), (48000, 16000), (22050, 62.5 * 256)])
def test_resampled_sound_is_the_same_sound(own: int, rate: float) -> None:
    """A tone keeps pitch and height, one that the new rate cannot hold is gone, whatever the blocks."""
    ratio = Fraction(rate / own).limit_denominator(4096)
    seconds = np.arange(own // 2) / own
    tone = 1000 * np.sin(2 * np.pi * 440 * seconds + 1)
    high = 1000 * np.sin(2 * np.pi * 0.47 * own * seconds)
    made = np.concatenate(list(recordings.resampled([tone], ratio)))
    expected = 1000 * np.sin(2 * np.pi * 440 * np.arange(len(made)) / rate + 1)
    assert len(made) == math.ceil(len(tone) * ratio)
    assert np.abs(made - expected)[200:-200].max() < 2
    if rate < own:
        assert np.abs(np.concatenate(list(recordings.resampled([high], ratio))))[200:-200].max() < 10
    for size in (7, 1000):
        parts = [tone[at : at + size] for at in range(0, 3000, size)]
        again = np.concatenate(list(recordings.resampled(parts, ratio)))
        assert np.abs(again - made[: len(again)])[: -math.ceil(20 * max(Fraction(1), ratio))].max() < 1e-9
    assert not list(recordings.resampled([], ratio))


def test_what_the_new_rate_cannot_hold_is_cut_off_steeply() -> None:
    """A tenth below half of the new rate nearly all is left, a tenth above nearly nothing."""
    time = np.arange(24000)
    for ratio in (Fraction(1, 3), Fraction(1, 6), Fraction(1, 12)):
        for share, low, high in ((0.9, 0.97, 1.01), (1.1, 0, 0.02)):
            tone = np.sin(np.pi * share * float(ratio) * time)
            made = np.concatenate(list(recordings.resampled([tone], ratio)))[100:-100]
            assert low < np.sqrt(2) * np.std(made) < high


def test_long_recordings_are_read_by_blocks(tmp_path: Path) -> None:
    """Of half a gigabyte the first blocks, in 20 MB."""
    path = wav(tmp_path / "a.wav", np.zeros(0, "<i2"), rate=16000)
    size = 1 << 29
    with path.open("r+b") as file:
        file.truncate(44 + size)
        for at, value in ((4, 36 + size), (40, size)):
            file.seek(at)
            file.write(struct.pack("<I", value))
    makers: list[Callable[[], Iterator[np.ndarray[Any, Any]]]] = [
        lambda: recordings.sound(path, 16000), lambda: recordings.sound(path, 8000, resample=True),
        lambda: recordings.windows(path, replace(SOUND, frequency=16000)),
    ]  # fmt: skip
    for make in makers:
        tracemalloc.start()
        assert not any(block.any() for block in itertools.islice(make(), 20))
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
        tracemalloc.stop()


@pytest.mark.parametrize("own", [1, 1 << 30])
def test_a_rate_that_is_too_far(own: int, tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(100, "<i2"), rate=own)
    for resample, hint in (
        (True, "bring it nearer to 8000, or to it"),
        (False, "bring it to that rate with --resample"),
    ):
        with pytest.raises(InputError) as caught:
            list(recordings.sound(path, 8000, resample=resample))
        assert caught.value.message == f"the recording has {own} samples a second, the model takes 8000"
        assert caught.value.hint == hint


VALUES = np.round(np.random.default_rng(1).normal(0, 9, (25, 3)), 3)


def csv_lines(values: np.ndarray[Any, Any], step: float = 20) -> list[str]:
    rows = [",".join(map(str, (number * step, *row))) for number, row in enumerate(values.tolist())]
    return ["timestamp,accX,accY,accZ", *rows]


@pytest.mark.parametrize("timed", ["timestamp", " Time ", "time_ms", "timestamp_ms", ""])
def test_a_csv_with_and_without_times_and_names(timed: str, tmp_path: Path) -> None:
    lines = csv_lines(VALUES)
    lines[0] = lines[0].replace("timestamp", timed)
    if not timed:
        lines = [line.partition(",")[2] for line in lines[1:]]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    assert np.allclose(read(tmp_path / "a.csv", MOTION).reshape(-1, 3), VALUES[:20], atol=1e-5)


def test_json_and_cbor_of_the_acquisition_format(tmp_path: Path) -> None:
    document = acquired(VALUES.tolist())
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "a.cbor").write_bytes(cbor(document))
    first, second = (read(tmp_path / f"a.{name}", MOTION) for name in ("json", "cbor"))
    assert np.allclose(first.reshape(-1, 3), VALUES[:20], atol=1e-5)
    assert np.array_equal(first, second)


def as_csv(lines: list[str]) -> bytes:
    return "\n".join(lines).encode()


SLOWER = "record at the rate of the impulse"
FORMAT = "give a file of Edge Impulse's data acquisition format"
COLUMNS = "one column each axis, and `timestamp` before them"


@pytest.mark.parametrize(
    ("name", "content", "message", "hint"),
    [
        ("a.csv", as_csv([*csv_lines(VALUES), "500,1,2,left"]), "'left' is no number", None),
        ("a.csv", as_csv([*csv_lines(VALUES), f"500,1,2,{'x' * 50}"]), f"'{'x' * 40}' is no number", None),
        ("a.csv", as_csv([*csv_lines(VALUES), "500,1,2,nan"]), "it holds what is no number (NaN or infinity)",
         "remove these samples"),
        ("a.csv", as_csv([*csv_lines(VALUES), "500,1,2"]), "3 values instead of 4", None),
        ("a.csv", as_csv(["x,y,z", "1,2,3", "1,2,3,4"]), "4 values instead of 3", None),
        ("a.csv", as_csv(csv_lines(VALUES, 10)), "it has 100 samples a second, and the impulse takes 50", SLOWER),
        ("a.csv", as_csv(["1,2", "3,4"]), "it has 2 channels, and the impulse takes 3", COLUMNS),
        ("a.csv", as_csv(["a,b,c,d", "1,2,3,4"]), "it has 4 channels, and the impulse takes 3", COLUMNS),
        ("a.csv", as_csv(csv_lines(VALUES[:4])), "it has 4 samples, and a window has 10", "give longer recordings"),
        ("a.csv", b"\xff\xfe\x00", "not a CSV that can be read: 'utf-8' codec ", None),
        ("a.json", b"{", "it is no JSON: ", None),
        ("a.json", b"[" * 100_000, "it is no JSON: ", None),
        ("a.json", b"{}", "it holds no payload with values", FORMAT),
        ("a.json", json.dumps(acquired([[1, 2]])).encode(), "it has 2 channels, and the impulse takes 3", FORMAT),
        ("a.json", json.dumps(acquired([[1, 2, 3], [1]])).encode(),
         "its values are no numbers, or not as many each time", FORMAT),
        ("a.json", json.dumps(acquired([[1, 2, 3]], interval_ms=5)).encode(),
         "it has 200 samples a second, and the impulse takes 50", SLOWER),
        ("a.cbor", b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "it is no CBOR: ", None),
        ("a.cbor", b"\x81" * 10_000, "it is no CBOR: nested too deeply", None),
        ("a.wav", b"RIFF", "not a WAV that can be read: it is cut off",
         "convert it: ffmpeg -i IN.wav -ar 50 -ac 3 -c:a pcm_s16le OUT.wav"),
        ("a.mp3", b"", "not a recording", "give files that end in .wav, .csv, .json, .cbor"),
    ],
)  # fmt: skip
def test_what_is_no_recording_for_it(name: str, content: bytes, message: str, hint: str | None, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, MOTION)
    told = caught.value.message
    assert (told[: len(message)] if message[-1] == " " else told, caught.value.hint) == (message, hint)
    assert (caught.value.path, "\n" in told) == (str(tmp_path / name), False)
    in_a_line = told.endswith("' is no number") or "values instead of" in told
    assert caught.value.line == (content.count(b"\n") + 1 if in_a_line else None)


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("absent.csv", "absent.wav"):
        with pytest.raises(InputError, match=r"^cannot be read: No such file or directory$") as caught:
            read(tmp_path / name, MOTION)
        assert caught.value.path == str(tmp_path / name)
    (tmp_path / "a.json").touch()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refused)
    with pytest.raises(InputError, match=r"^cannot be read: Permission denied$") as caught:
        recordings.find(tmp_path)
    assert caught.value.path == str(tmp_path / "a.json")


def test_a_document_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text(json.dumps(acquired(VALUES.tolist())).ljust(5 << 20))
    monkeypatch.setattr(recordings, "_LARGEST_DOCUMENT", 5 << 20)
    assert len(read(tmp_path / "a.json", MOTION)) == 2
    monkeypatch.setattr(recordings, "_LARGEST_DOCUMENT", (5 << 20) - 1)
    with pytest.raises(InputError, match=r"^it has 5 MiB, and 4 are read$") as caught:
        read(tmp_path / "a.json", MOTION)
    assert caught.value.hint == "give it as WAV or CSV, which are read by blocks"


@pytest.mark.parametrize(
    ("rate", "channels", "message"), [(16000, 1, "it has 16000 samples a second"), (8000, 2, "it has 2 channels")]
)
def test_a_wav_of_another_rate_or_of_more_channels(rate: int, channels: int, message: str, tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.zeros(1000, "<i2"), rate, channels)
    with pytest.raises(InputError, match=f"^{message}") as caught:
        read(path, SOUND)
    assert caught.value.hint == "convert it: ffmpeg -i IN.wav -ar 8000 -ac 1 -c:a pcm_s16le OUT.wav"


@given(st.binary(max_size=200))
def test_any_bytes_are_cbor_or_refused(data: bytes) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.NamedTemporaryFile(suffix=".cbor") as file:
        file.write(data)
        file.flush()
        with pytest.raises(InputError):
            read(Path(file.name), MOTION)


def test_a_folder_is_searched_and_an_empty_one_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^there is no recording$") as caught:
        recordings.find(tmp_path)
    assert caught.value.hint == "give files that end in .wav, .csv, .json, .cbor"
    (tmp_path / "b").mkdir()
    for name in ("z.csv", "b/a.WAV", "notes.txt"):
        (tmp_path / name).touch()
    assert recordings.find(tmp_path) == (tmp_path / "b/a.WAV", tmp_path / "z.csv")


@pytest.mark.parametrize("of", [SOUND, MOTION])
def test_synthetic_windows_are_always_the_same_and_differ(of: Impulse) -> None:
    one, two = (np.stack(list(recordings.synthetic(of, 7))) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.shape == (7, of.samples * of.axes)
    assert len(np.unique(one, axis=0)) == 7
    assert np.isfinite(one).all()
    if of is SOUND:
        assert np.array_equal(one, np.rint(one))
        assert np.abs(one).max() <= 32768


def test_a_chunk_longer_than_the_file_is_no_traceback(tmp_path: Path) -> None:
    data = wav(tmp_path / "a.wav", np.zeros(100, "<i2")).read_bytes()
    cut = data[: data.index(b"data")] + b"LIST" + (5000).to_bytes(4, "little") + b"INFO"
    (tmp_path / "a.wav").write_bytes(cut)
    with pytest.raises(InputError, match=r"^not a WAV that can be read: it is cut off$"):
        read(tmp_path / "a.wav", SOUND)
    with pytest.raises(InputError, match=r"^not a WAV that can be read: it is cut off$") as caught:
        list(recordings.sound(tmp_path / "a.wav", 8000))
    assert caught.value.hint == "save it as a WAV with 16 bits: ffmpeg -i RECORDING -c:a pcm_s16le sound.wav"


def test_a_wav_cut_off_inside_its_first_frame_holds_nothing(tmp_path: Path) -> None:
    data = wav(tmp_path / "a.wav", np.zeros(100, "<i2")).read_bytes()
    (tmp_path / "a.wav").write_bytes(data[: data.index(b"data") + 9])
    assert not [len(block) for block in recordings.sound(tmp_path / "a.wav", 16000, resample=True) if len(block)]
    with pytest.raises(InputError, match=r"^it has 0 samples, and a window has 100$"):
        read(tmp_path / "a.wav", SOUND)


@pytest.mark.parametrize("count", [60, 201])
@pytest.mark.parametrize(("rate", "fits"), [(119, True), (117, False), (50, False)])
def test_times_in_whole_milliseconds_tell_the_rate(rate: float, fits: bool, count: int, tmp_path: Path) -> None:
    """Of 119 samples a second the first two lie 8 ms apart, which alone would be 125."""
    of = replace(MOTION, frequency=119)
    rows = [f"{int(number * 1000 / rate)},1,2,3" for number in range(count)]
    (tmp_path / "a.csv").write_text("\n".join(["timestamp,x,y,z", *rows]))
    if fits:
        assert len(read(tmp_path / "a.csv", of)) == count // 10
        return
    with pytest.raises(InputError, match=r"^it has \S+ samples a second, and the impulse takes 119$"):
        read(tmp_path / "a.csv", of)


@pytest.mark.parametrize(
    ("hexadecimal", "value"),
    [
        ("00", 0), ("17", 23), ("1818", 24), ("1903e8", 1000), ("1a000f4240", 1000000), ("1b000000e8d4a51000", 1e12),
        ("20", -1), ("37", -24), ("3863", -100), ("3903e7", -1000), ("f90000", 0), ("f93c00", 1), ("f97bff", 65504),
        ("f9c400", -4), ("fa47c35000", 100000), ("fbc010666666666666", -4.1), ("c11a514b67b0", 1363896240), ("f4", 0),
        ("f5", 1),
    ],
)  # fmt: skip
def test_numbers_of_cbor(hexadecimal: str, value: float, tmp_path: Path) -> None:
    """Most are of RFC 8949, appendix A."""
    number = bytes.fromhex(hexadecimal)
    sample = b"\x83" + number + b"\x02" + number
    # A map of known length with one of unknown length in it; before the values a byte string, a null and undefined.
    head = b"\xa2" + cbor("ignored") + b"\x83\x42\xff\x02\xf6\xf7" + cbor("payload") + b"\xbf" + cbor("values")
    (tmp_path / "a.cbor").write_bytes(head + b"\x98\x1e" + 30 * sample + b"\xff")
    assert read(tmp_path / "a.cbor", MOTION).reshape(-1, 3).tolist() == [[np.float32(value), 2, np.float32(value)]] * 30


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("f8ff", "a value that does not exist"), ("fc", "a value that does not exist"), ("1c", "a length that"),
        ("5f4101ff", "text or bytes in pieces"), ("7f6161ff", "text or bytes in pieces"), ("19ff", "it is cut off"),
        ("42ff", "it is cut off"), ("9f01", "index out of range"), ("a1", "it is cut off"),
        ("a20102", "index out of range"), ("bf01ff", "a key without a value"), ("81" * 17 + "00", "nested too deeply"),
        ("fb00", "unpack_from requires"),
    ],
)  # fmt: skip
def test_what_is_no_cbor(item: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.cbor").write_bytes(bytes.fromhex(item))
    with pytest.raises(InputError, match=f"^it is no CBOR: {message}"):
        read(tmp_path / "a.cbor", MOTION)
    (tmp_path / "a.cbor").write_bytes(b"\x81" * 16 + b"\x00")
    with pytest.raises(InputError, match=r"^it holds no payload with values$"):
        read(tmp_path / "a.cbor", MOTION)


SYNTHETIC = [
    ("microphone",
    [(-9.803, 2041.165, 1009.961, 1596), (-0.5, 2596.355, 3692.252, 2508), (-0.664, 2828.183, 4130.657, 3360),
     (1.194, 1500.732, 703.566, 1540), (0.558, 3031.737, 2668.508, 1124), (9.234, 2832.352, 3143.949, 234),
     (1.051, 1048.355, 215.977, 320), (-0.172, 2766.613, 4052.035, 2420), (-2.572, 2827.66, 3332.045, 1548)]),
    ("accelerometer",
    [(5.596, 1.908, 1.029, 4.75), (-0.07, 3.077, 1.391, 2.5), (6.792, 16.181, 0.147, 0.25),
     (-4.492, 4.276, 0.771, 3.25), (0.076, 9.227, 3.638, 3.5), (38.885, 19.56, 0.42, 0.25),
     (0.059, 2.493, 0.789, 1.75), (-0.104, 4.529, 5.13, 12), (23.002, 4.203, 0.472, 0.75)]),
]  # fmt: skip


@pytest.mark.parametrize(("sensor", "expected"), SYNTHETIC)
def test_synthetic_windows_of_all_releases_are_the_same(sensor: str, expected: list[tuple[float, ...]]) -> None:
    """Mean, deviation, mean step and the strongest frequency in Hz of the first axis: reports stay comparable."""
    sound = sensor == "microphone"
    of = replace(SOUND, samples=4000) if sound else replace(MOTION, samples=200, axes=2)
    for window, values in zip(recordings.synthetic(of, 9), expected, strict=True):
        rows = window.reshape(of.samples, of.axes).astype(float)
        spectrum = np.abs(np.fft.rfft(rows[:, 0] - rows[:, 0].mean()))
        strongest = spectrum.argmax() * of.frequency / of.samples
        found = rows.mean(), rows.std(), np.abs(np.diff(rows, axis=0)).mean(), strongest
        assert found == pytest.approx(values, abs=1e-3)


@pytest.mark.parametrize("of", [SOUND, MOTION])
def test_synthetic_windows_of_one_sample(of: Impulse) -> None:
    windows = np.stack(list(recordings.synthetic(replace(of, samples=1), 6)))
    assert windows.shape == (6, of.axes)
    assert np.isfinite(windows).all()


def test_ill_conditioned_windows() -> None:
    of = replace(MOTION, samples=3, axes=2)
    found = {name: window.tolist() for name, window in recordings.ill_conditioned(of)}
    assert found == {"zeros": [0] * 6, "a constant": [100] * 6, "one step": [0, 0, 1000, 1000, 1000, 1000]}


@pytest.mark.parametrize("timed", [True, False])
def test_a_csv_comes_in_blocks(timed: bool, tmp_path: Path) -> None:
    """Without a name that means time the first column is an axis, and names are no sample."""
    of = replace(MOTION, axes=1 if timed else 2)
    rows = [f"{20 * number},{number}" for number in range(5000)]
    (tmp_path / "a.csv").write_text("\n".join(["timestamp,x" if timed else "a,b", *rows]))
    found = list(recordings.blocks(tmp_path / "a.csv", of))
    assert [each.shape for each in found] == [(4096, of.axes), (904, of.axes)]
    assert found[1][-1].tolist() == ([4999] if timed else [99980, 4999])
    large = replace(of, samples=4500)
    assert [len(each) for each in recordings.blocks(tmp_path / "a.csv", large)] == [4500, 500]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"interval_ms": 0}, ""), ({"interval_ms": None}, ""), ({"interval_ms": "x"}, ""), ({"interval_ms": 20.2}, ""),
        ({"interval_ms": 20.3}, "it has 49.2611 samples a second"),
        ({"interval_ms": 0.5}, "it has 2000 samples a second"),
        ({"values": [1, 2]}, "it has 1 channel, and"), ({"values": [[[1]]]}, "its values are no list of samples"),
        ({"values": [[1, 2, None]]}, "it holds what is no number"),
        ({"values": [[1, 2, 1e39]]}, "it holds what is no number"),
        ({"values": []}, "it holds no payload with values"), ({"values": {"a": 1}}, "it holds no payload with values"),
    ],
)  # fmt: skip
def test_documents_of_the_acquisition_format(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(acquired(**{"values": VALUES.tolist()} | changes)))
    if not message:
        assert len(read(tmp_path / "a.json", MOTION)) == 2
        return
    with pytest.raises(InputError, match=f"^{message}"):
        read(tmp_path / "a.json", MOTION)


def test_of_a_folder_only_documents_with_a_payload(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(" " * 4089 + "payload")
    (tmp_path / "b.JSON").write_text(" " * 4090 + "payload")
    assert recordings.find(tmp_path) == (tmp_path / "a.json",)
    assert recordings.find(tmp_path / "b.JSON") == (tmp_path / "b.JSON",)


def test_windows_every_few_samples(tmp_path: Path) -> None:
    path = wav(tmp_path / "a.wav", np.arange(250, dtype="<i2"))
    assert [each[0] for each in recordings.windows(path, SOUND, stride=70)] == [0, 70, 140]
    assert [each[0] for each in recordings.windows(path, SOUND, most=2, stride=70)] == [0, 70]
