"""Videos: every container gives the same frames, upright, and what is not whole is named."""

from __future__ import annotations

import builtins
import os
import re
import struct
import sys
import tracemalloc
from fractions import Fraction
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError, MissingDependencyError, PresetError, pip_install
from convert.images import read
from convert.images.read import VideoFacts, is_video, video_facts, video_frames
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

av = pytest.importorskip("av")

_CODECS = {
    ".mp4": "libx264",
    ".mkv": "libx264",
    ".avi": "mpeg4",
    ".ts": "mpeg2video",
    ".mov": "mpeg4",
    ".h264": "libx264",
}
_RATE = 10
AGAIN = "copy or record it again, or save its frames as pictures: ffmpeg -i VIDEO %06d.png"


def _picture(number: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Red on the left; on the right black above, and a level that tells the number below."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2] = (255, 0, 0)
    picture[height // 2 :, width // 2 :] = number * 4 % 200
    return picture


def _make(path: Path, count: int = 20, codec: str | None = None, **options: str) -> Path:
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec or _CODECS[path.suffix], rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            for packet in stream.encode(av.VideoFrame.from_ndarray(_picture(number), "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def _sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in (*stream.encode(frame), *stream.encode()):
            container.mux(packet)
    return path


@pytest.mark.parametrize("suffix", sorted(_CODECS))
def test_frames_come_in_order_in_rgb_with_numbered_names(tmp_path: Path, suffix: str) -> None:
    path = _make(tmp_path / f"clip{suffix}")
    found = list(video_frames(path))
    assert is_video(path)
    assert [name for name, _ in found] == [f"clip-{number:06d}" for number in range(20)]
    for number, (_, picture) in enumerate(found):
        assert picture.dtype == np.uint8
        assert picture.shape == (48, 64, 3)
        assert np.abs(picture.astype(int) - _picture(number)).mean() < 8  # the codecs lose a little


def test_every_and_limit(tmp_path: Path) -> None:
    path = _make(tmp_path / "clip.mp4")
    assert [name for name, _ in video_frames(path, every=7)] == ["clip-000000", "clip-000007", "clip-000014"]
    assert [name for name, _ in video_frames(path, every=3, limit=2)] == ["clip-000000", "clip-000003"]
    assert len(list(video_frames(path, limit=99))) == 20


@pytest.mark.parametrize("wrong", [{"every": 0}, {"limit": 0}, {"every": -1}])
def test_wrong_numbers_are_refused_at_once(tmp_path: Path, wrong: dict[str, int]) -> None:
    ((name, value),) = wrong.items()
    with pytest.raises(PresetError, match=f"^{name} is {value}$") as caught:
        video_frames(tmp_path / "no.mp4", **wrong)
    assert caught.value.hint == "1 or more"


def _turned(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write a display matrix into the track header (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    data[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),  # a phone held upright: a quarter clockwise
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((0, -1, 1, 0), lambda picture: np.rot90(picture, 1)),
        ((1, 0, 0, 1), lambda picture: picture),
    ],
)
def test_recorded_rotation_is_applied(
    tmp_path: Path, matrix: tuple[int, int, int, int], turn: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> None:
    path = _make(tmp_path / "phone.mp4", count=3)
    _turned(path, *matrix)
    picture = list(video_frames(path))[2][1]
    wanted = turn(_picture(2))
    assert picture.shape == wanted.shape
    assert picture.flags.c_contiguous
    assert np.abs(picture.astype(int) - wanted).mean() < 8


def test_tags_in_another_encoding_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Aufnahme xx"
        stream = container.add_stream("mpeg4", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for packet in (*stream.encode(av.VideoFrame.from_ndarray(_picture(0), "rgb24")), *stream.encode()):
            container.mux(packet)
    data = path.read_bytes()
    assert b"Aufnahme xx" in data
    path.write_bytes(data.replace(b"Aufnahme xx", b"Aufnahme \xe4\xff"))
    assert len(list(video_frames(path))) == 1


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^the file holds no video$") as caught:
        list(video_frames(_sound(tmp_path / "song.mp4")))
    assert caught.value.hint == "give a video, or pictures"


@pytest.mark.parametrize("content", [b"", b"not a video at all, only text", bytes(5000)])
def test_what_is_no_video_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"^not a whole video") as caught:
        list(video_frames(path))
    assert caught.value.path == str(path)
    assert caught.value.hint == AGAIN
    with pytest.raises(InputError, match=r"^not a whole video: No such file or directory$"):
        list(video_frames(tmp_path / "missing.mp4"))
    with pytest.raises(InputError, match=r"^not a whole video: Is a directory$"):
        list(video_frames(tmp_path))


@pytest.mark.parametrize(("name", "kept"), [("a.ts", 188 * 3), ("a.mkv", 1000)])
def test_a_video_that_ends_in_front_of_its_first_frame(tmp_path: Path, name: str, kept: int) -> None:
    path = _make(tmp_path / name, count=3)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match=r"^the video holds no frame that can be decoded$") as caught:
        list(video_frames(path))
    assert (caught.value.path, caught.value.hint) == (str(path), AGAIN)


@pytest.mark.parametrize(
    ("name", "share", "options", "reason"),
    [
        ("a.mp4", 0.9, {}, "Invalid data found when processing input"),
        ("a.mp4", 0.6, {"movflags": "faststart"}, "a part of the file is missing"),
        ("a.mp4", 0.95, {"movflags": "faststart"}, "a part of the file is missing"),
        ("a.mkv", 0.6, {}, r"[0-9]\.[0-9] s are missing"),
        ("a.avi", 0.4, {}, "Invalid data found when processing input"),
    ],
)
def test_a_video_that_is_cut_off_says_so_behind_its_frames(
    tmp_path: Path, name: str, share: float, options: dict[str, str], reason: str
) -> None:
    path = _make(tmp_path / name, count=60, **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    found: list[tuple[str, NDArray[np.uint8]]] = []
    with pytest.raises(InputError) as caught:
        found.extend(video_frames(path))
    where = f"the video breaks off behind frame {len(found) - 1}" if found else "not a whole video"
    assert re.fullmatch(f"{where}: {reason}", caught.value.message)
    assert caught.value.hint == AGAIN
    assert len(found) < 60
    assert [label for label, _ in found] == [f"a-{number:06d}" for number in range(len(found))]


def test_a_video_may_end_a_second_earlier_than_it_says(tmp_path: Path) -> None:
    """The last frame's own length is often not known; Matroska says how long the whole is."""
    path = _make(tmp_path / "a.mkv", count=40)
    data, seen = path.read_bytes(), set()
    for kept in range(len(data) * 6 // 10, len(data), len(data) // 40):
        path.write_bytes(data[:kept])
        found: list[tuple[str, NDArray[np.uint8]]] = []
        try:
            found.extend(video_frames(path))
        except InputError as error:
            if said := re.search(r"([0-9.]+) s are missing$", error.message):
                assert float(said[1]) >= 1
                seen.add("more" if float(said[1]) > 1.5 else "a little more")
        else:
            seen.add("less")
            assert len(found) >= 40 - 11
    assert seen == {"more", "a little more", "less"}


def test_a_recorded_stream_may_begin_and_end_anywhere(tmp_path: Path) -> None:
    """Transport streams are cut by recorders; what is whole of them is given out."""
    path = _make(tmp_path / "a.ts", count=60)
    data = path.read_bytes()
    path.write_bytes(data[188 * 4 : len(data) * 2 // 3])
    assert 5 < len(list(video_frames(path))) < 60


@examples(25)
@given(where=st.floats(0, 1), junk=st.binary(min_size=1, max_size=40), which=st.sampled_from(sorted(_CODECS)))
def test_damage_gives_frames_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, where: float, junk: bytes, which: str
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    path = _make(folder / f"clip{which}", count=6)
    data = bytearray(path.read_bytes())
    at = int(where * (len(data) - 1))
    data[at : at + len(junk)] = junk
    path.write_bytes(data)
    try:
        for name, picture in video_frames(path, limit=50):
            assert name.startswith("clip-")
            assert picture.dtype == np.uint8
            assert picture.shape[2] == 3
    except InputError:
        pass  # the messages are tested above


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "MemoryError"),
        (ValueError("odd"), "odd"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_what_breaks_off_has_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fails(_frame: object) -> None:
        raise error

    monkeypatch.setattr(read, "_upright", fails)
    with pytest.raises(InputError) as caught:
        list(video_frames(_make(tmp_path / "clip.mp4", count=2)))
    assert (caught.value.message, caught.value.hint) == (f"not a whole video: {reason}", AGAIN)


def test_memory_does_not_grow_with_the_video(tmp_path: Path) -> None:
    long = _make(tmp_path / "long.mp4", count=400)
    tracemalloc.start()
    try:
        for number, (_, picture) in enumerate(video_frames(long)):
            if number == 20:
                early = tracemalloc.get_traced_memory()[0]
            del picture
        late, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert late - early < 20 * 64 * 48 * 3  # 400 pictures would be 20 times as much


class _Cut:
    """A container whose only packet has lost a part."""

    def __init__(self, form: str) -> None:
        stream = SimpleNamespace(duration=None, time_base=Fraction(1, _RATE))
        self.streams, self.format, self.duration = SimpleNamespace(video=[stream]), SimpleNamespace(name=form), None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def demux(self, _stream: object) -> list[Any]:
        return [SimpleNamespace(is_corrupt=True, pts=0, duration=0, decode=list)]


@pytest.mark.parametrize(
    "form", ["mpegts", "h264", "hevc", "m4v", "mpegvideo", "mjpeg", "mov,mp4,m4a,3gp,3g2,mj2", "avi"]
)
def test_a_part_may_be_missing_of_a_stream_and_of_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(av, "open", lambda *_, **__: _Cut(form))
    with pytest.raises(InputError) as caught:
        list(video_frames(tmp_path / "clip"))
    is_file = "mp4" in form or form == "avi"
    missing = "not a whole video: a part of the file is missing"
    assert caught.value.message == (missing if is_file else "the video holds no frame that can be decoded")


def test_what_cannot_be_opened_is_taken_for_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("upload", "upload-2"):
        (tmp_path / name).write_bytes(b"FLV\x01")
    assert is_video(tmp_path / "upload")
    monkeypatch.setattr("pathlib.Path.open", refused)
    assert not is_video(tmp_path / "upload-2")


def test_a_file_that_has_changed_is_looked_at_again(tmp_path: Path) -> None:
    upload = tmp_path / "upload"
    for number, (data, film) in enumerate([(b"FLV\x01", True), (b"else", False), (b"FLV\x01", True)]):
        upload.write_bytes(data)
        os.utime(upload, (number, number))
        assert is_video(upload) is film


def test_a_file_is_a_video_by_its_name_or_its_beginning(tmp_path: Path) -> None:
    hidden = _make(tmp_path / "clip.mp4", count=2).rename(tmp_path / "upload")
    assert is_video(hidden)
    text = tmp_path / "notes"
    text.write_text("nothing")
    photo = tmp_path / "photo"
    photo.write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")
    empty = tmp_path / "CLIP.MKV"
    empty.touch()
    assert not is_video(text)
    assert not is_video(photo)
    assert is_video(empty)
    assert not is_video(tmp_path)
    assert not is_video(tmp_path / "missing.mp4")


@pytest.mark.parametrize(
    ("beginning", "video"),
    [
        (b"\x1aE\xdf\xa3", True),
        (b"RIFF\0\n\0\0AVI ", True),
        (b"RIFF\0\n\0\0WEBP", False),
        (b"FLV\x01", True),
        (b"YUV4MPEG2 ", True),
        *((b"\0\n\0\x14" + box, True) for box in (b"moov", b"mdat", b"wide", b"ftypisom", b"ftypavc1")),
        *((b"\0\0\0\x14" + box, False) for box in (b"free", b"ftypheic", b"ftypheix", b"ftypheim", b"ftypheis")),
        *((b"\0\0\0\x14" + box, False) for box in (b"ftyphevc", b"ftypavif", b"ftypmif1")),
        (b"\0FLV\x01", False),
    ],
)
def test_how_videos_begin(beginning: bytes, video: bool, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(beginning + bytes(8))
    assert is_video(path) is video


_NAMED = ".264 .265 .3gp .avi .flv .h264 .h265 .hevc .m2ts .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpeg .mpg .mts .ogv .ts"


@pytest.mark.parametrize("suffix", f"{_NAMED} .webm .wmv .y4m".split())
def test_names_of_videos(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip{suffix}"
    path.touch()
    assert is_video(path)
    assert read.find([tmp_path]) == (path,)


def test_without_pyav_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _make(tmp_path / "clip.mp4", count=2)
    with monkeypatch.context() as patch:
        patch.setattr(read, "find_spec", lambda _: None)
        with pytest.raises(MissingDependencyError, match=r"^reading videos needs the package av \(PyAV\)$") as caught:
            video_frames(path)
        assert caught.value.hint == pip_install("ei-deepstream[video]")
    assert is_video(path)
    original = builtins.__import__

    def broken(name: str, *arguments: Any, **keywords: Any) -> Any:
        if name == "av":
            raise ImportError("libavcodec.so: cannot open shared object file")
        return original(name, *arguments, **keywords)

    monkeypatch.delitem(sys.modules, "av")
    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(
        MissingDependencyError, match=r"^the package av is installed but does not load: libavcodec\.so: cannot open"
    ) as caught:
        video_frames(path)
    assert caught.value.hint == pip_install("ei-deepstream[video]")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_rate_and_length_are_what_the_container_says(tmp_path: Path, name: str) -> None:
    """Matroska has no number of frames: they follow from the time."""
    facts = video_facts(_make(tmp_path / name))
    assert repr(facts) == f"VideoFacts(rate={Fraction(_RATE)!r}, frames=20)"


@pytest.mark.parametrize("name", ["broken.mp4", "missing.mp4"])
def test_nothing_is_told_of_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0\0\0\x18ftypmp42 and nothing else")
    assert video_facts(tmp_path / name) == VideoFacts()
