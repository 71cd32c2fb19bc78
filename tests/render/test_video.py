"""Annotated videos: their frames, size and rate, their names, and what is left where one cannot be written."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convert.errors import OutputError
from convert.images.read import video_frames
from convert.images.scaling import Rect
from convert.render.drawing import STYLES
from convert.render.simulation import ResultsFolder
from convert.render.video import AnnotatedVideos, video_stem
from convert.simulate.results import DetectedObject, FrameResult

av = pytest.importorskip("av")


def grey(level: int, size: tuple[int, int] = (64, 48)) -> Image.Image:
    return Image.new("RGB", size, (level, level, level))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of 30000/1001 frames a second."""
    folder = tmp_path / "in"
    folder.mkdir()
    return written(folder / "clip.mp4")


def written(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(30000, 1001))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_image(grey(9))))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def videos(tmp_path: Path) -> AnnotatedVideos:
    (tmp_path / "out").mkdir()
    return AnnotatedVideos(tmp_path / "out")


def stream_of(path: Path) -> tuple[str, str, int, int]:
    """Pixel format, rate, width and height."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.pix_fmt, str(stream.average_rate), stream.width, stream.height


@pytest.mark.parametrize(
    ("size", "pixels"),
    [
        ((64, 48), "yuv420p"), ((64, 50), "yuv420p"), ((65, 48), "yuv444p"), ((64, 49), "yuv444p"),
        ((65, 49), "yuv444p"),
    ],
)  # fmt: skip
def test_frames_size_and_rate_are_the_videos(
    size: tuple[int, int], pixels: str, clip: Path, videos: AnnotatedVideos
) -> None:
    """A side that is odd cannot have half as many colours."""
    levels = (20, 120, 220, 70)
    for number, level in enumerate(levels):
        videos.add(clip, f"clip-{number:06d}", grey(level, size))
    videos.close()
    (output,) = videos.outputs
    path = videos.folder / "clip.mp4"
    assert (output.path, output.sha256) == (str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    assert stream_of(path) == (pixels, "30000/1001", *size)
    frames = [picture for _, picture in video_frames(path)]
    assert [picture.shape for picture in frames] == [(size[1], size[0], 3)] * 4
    assert [round(float(picture.mean())) for picture in frames] == pytest.approx(levels, abs=4)


def test_where_only_some_frames_are_taken_the_video_is_as_long(clip: Path, videos: AnnotatedVideos) -> None:
    videos.every = 3
    for number in range(0, 9, 3):
        videos.add(clip, f"clip-{number:06d}", grey(50))
    videos.close()
    assert stream_of(videos.folder / "clip.mp4")[1] == "10000/1001"


def test_a_frame_of_another_size_is_brought_to_the_first_ones(clip: Path, videos: AnnotatedVideos) -> None:
    videos.add(clip, "clip-000000", grey(50))
    videos.add(clip, "clip-000001", grey(200, (32, 30)))
    videos.close()
    assert [picture.shape for _, picture in video_frames(videos.folder / "clip.mp4")] == [(48, 64, 3)] * 2


def test_one_video_for_each_and_none_for_pictures(clip: Path, videos: AnnotatedVideos, tmp_path: Path) -> None:
    others = [written(tmp_path / name) for name in ("clip.mp4", "clip.avi")]
    picture = tmp_path / "a.png"
    for source, name in (
        (picture, "a"),
        (clip, "clip-000000"),
        (picture, "a"),
        *((each, "clip-000000") for each in others),
    ):
        videos.add(source, name, grey(50))
    assert len(videos.outputs) == 2, "the last one is not finished yet"
    videos.close()
    videos.close()
    assert [Path(each.path).name for each in videos.outputs] == ["clip.mp4", "clip-2.mp4", "clip-3.mp4"]
    assert sorted(path.name for path in videos.folder.iterdir()) == ["clip-2.mp4", "clip-3.mp4", "clip.mp4"]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("clip-000123", "clip"),
        ("clip-1234567", "clip"),
        ("clip-000123-2", "clip"),
        ("clip-00012", "clip-00012"),
        ("clip-2", "clip-2"),
        ("-000001", "-000001"),
        ("a picture", "a picture"),
    ],
)
def test_the_name_of_a_frames_video(name: str, stem: str) -> None:
    assert video_stem(name) == stem


def test_videos_of_an_earlier_run_are_removed(clip: Path, videos: AnnotatedVideos) -> None:
    for name in ("clip.mp4", "clip-2.mp4", "street.mp4", "street-11.mp4", "streets.mp4", "clip.txt", "mine-a.mp4"):
        (videos.folder / name).touch()
    videos.add(clip, "clip-000000", grey(50))
    videos.close()
    videos.remove_others(["clip-000000", "street-000004"])
    left = ["clip.mp4", "clip.txt", "mine-a.mp4", "streets.mp4"]
    assert sorted(path.name for path in videos.folder.iterdir()) == left
    videos.remove_others([])
    assert sorted(path.name for path in videos.folder.iterdir()) == left
    AnnotatedVideos(videos.folder / "none").remove_others(["clip-000000"])


def test_what_is_not_finished_is_removed(clip: Path, videos: AnnotatedVideos) -> None:
    for number in range(90):  # the encoder looks ahead
        videos.add(clip, f"clip-{number:06d}", grey(number))
    assert list(videos.folder.iterdir())
    videos.abandon(KeyboardInterrupt())
    videos.abandon(KeyboardInterrupt())
    videos.close()
    assert not list(videos.folder.iterdir())
    assert not videos.outputs


def test_a_video_that_cannot_be_encoded_is_one_error(clip: Path, videos: AnnotatedVideos) -> None:
    """H.264 has no picture of one pixel."""
    with pytest.raises(OutputError, match=r"^the annotated video cannot be written: ") as caught:
        videos.add(clip, "clip-000000", grey(50, (20000, 1)))
    assert caught.value.path == str(videos.folder / "clip.mp4")
    assert caught.value.hint == "check free space and permissions, or choose another -o"
    assert not list(videos.folder.iterdir())


def test_labels_have_one_size_in_a_video_and_are_larger_in_a_picture_of_few(clip: Path, tmp_path: Path) -> None:
    def heights(source: Path, objects: int) -> set[int]:
        boxes = [DetectedObject(1, 0, "car", 0.5, Rect(10, 60.0 + 45 * each, 20, 16)) for each in range(objects)]
        one = FrameResult("clip-000000", source, 640, 480, None, objects=tuple(boxes))
        with ResultsFolder(tmp_path / f"{source.stem}{objects}") as folder:
            folder.add(one, np.full((480, 640, 3), 90, np.uint8), b"")
        with Image.open(folder.path / "drawn" / "clip-000000.jpg") as drawn:
            column = np.asarray(drawn.convert("RGB"))[:, 12]  # of a label's ground
        edges = np.flatnonzero(np.diff((np.abs(column.astype(int) - STYLES[0].colour).max(axis=1) < 30).astype(int)))
        return {int(end - start) for start, end in zip(edges[::2], edges[1::2], strict=True) if end - start > 6}

    assert heights(clip, 8) == heights(clip, 9) == heights(Path("no.jpg"), 9)
    assert min(heights(Path("no.jpg"), 8)) > max(heights(clip, 8))
