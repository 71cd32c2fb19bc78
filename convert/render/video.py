"""Writes the annotated video of a simulation: the drawn frames, of the video's own size and rate, as an MP4 file.

H.264 where PyAV's FFmpeg has its encoder, else MPEG-4 part 2. Sound is left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from convert.errors import ConvertError, OutputError
from convert.files import Output, part_of
from convert.images.read import is_video, load_av, video_facts

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

_OPTIONS = {"libx264": {"preset": "veryfast", "crf": "23"}, "mpeg4": {"qscale": "4"}}
_USUAL = Fraction(25)  # frames a second, where the file does not say
_NUMBER = re.compile(r"-\d{6,}(-\d+)?")


def video_stem(frame: str) -> str:
    """What the video is called that a frame of this name is of: "clip" for "clip-000123"; others as they are."""
    return _NUMBER.sub("", frame) or frame


@dataclass(slots=True)
class _Writer:
    """One video that is being written to `path`."""

    path: Path
    rate: Fraction
    _stack: ExitStack = field(default_factory=ExitStack)
    _container: Any = None
    _stream: Any = None

    def add(self, image: Image.Image) -> None:
        av = load_av()
        if self._container is None:
            part = self._stack.enter_context(part_of(self.path))
            self._container = av.open(str(part), "w", format="mp4")
            name = next((each for each in _OPTIONS if each in av.codecs_available), "mpeg4")
            self._stream = self._container.add_stream(name, rate=self.rate, options=_OPTIONS[name])
            self._stream.width, self._stream.height = image.size
            is_even = not image.width % 2 and not image.height % 2
            self._stream.pix_fmt = "yuv420p" if is_even or name != "libx264" else "yuv444p"
        size = self._stream.width, self._stream.height
        frame = av.VideoFrame.from_image(image if image.size == size else image.resize(size))
        self._container.mux(self._stream.encode(frame))

    def close(self) -> Output:
        """Write the rest, and put the file in its place."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        self._stack.close()
        with self.path.open("rb") as file:
            return Output(str(self.path), hashlib.file_digest(file, "sha256").hexdigest())

    def abandon(self, error: BaseException) -> None:
        """Remove what was written."""
        try:
            if self._container is not None:
                with contextlib.suppress(Exception):  # on a full disk the end cannot be written, either
                    self._container.close()
        finally:
            with contextlib.suppress(ConvertError):  # `error` is the one that is told
                self._stack.__exit__(type(error), error, None)


@dataclass(slots=True)
class AnnotatedVideos:
    """The annotated videos of a simulation, one for each video among its files; pictures are passed over.

    Attributes:
        folder: where they are written.
        every: only every so-many-th frame is given.
    """

    folder: Path
    every: int = 1
    outputs: list[Output] = field(default_factory=list)
    _source: Path | None = None
    _writer: _Writer | None = None

    def add(self, source: Path, name: str, image: Image.Image | None) -> None:
        """The next frame: `name` is its own, `image` what is shown of it; None: it is a picture's.

        Raises:
            OutputError: the file cannot be written.
        """
        if source != self._source:
            self.close()
            self._source = source
            if is_video(source):
                rate = (video_facts(source).rate or _USUAL) / self.every
                self._writer = _Writer(self._place(video_stem(name)), rate.limit_denominator(1001))
        if self._writer is not None and image is not None:
            self._written(lambda writer: writer.add(image))

    def close(self) -> None:
        """Finish the video that is being written, where there is one; raises as `add` does."""
        if self._writer is not None:
            self._written(lambda writer: self.outputs.append(writer.close()))
            self._writer = None

    def remove_others(self, frames: Iterable[str]) -> None:
        """Remove the videos of an earlier run, which had these frames, that this one has not written."""
        written = {output.path for output in self.outputs}
        stems = {re.escape(video_stem(name)) for name in frames}
        earlier = re.compile(rf"(?:{'|'.join(stems)})(?:-\d+)?\.mp4")
        for path in self.folder.iterdir() if stems and self.folder.is_dir() else ():
            if earlier.fullmatch(path.name) and str(path) not in written:
                path.unlink(missing_ok=True)

    def abandon(self, error: BaseException) -> None:
        """Remove the video that is not finished."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.abandon(error)

    def _written(self, act: Any) -> None:
        writer = self._writer
        assert writer is not None
        try:
            act(writer)
        except (load_av().FFmpegError, OSError, ValueError) as error:
            self.abandon(error)
            raise OutputError(
                f"the annotated video cannot be written: {error}", path=writer.path,
                hint="check free space and permissions, or choose another -o",
            ) from error  # fmt: skip

    def _place(self, stem: str) -> Path:
        taken = {output.path for output in self.outputs}
        names = (stem, *(f"{stem}-{number}" for number in range(2, len(taken) + 3)))
        return next(place for name in names if str(place := self.folder / f"{name}.mp4") not in taken)
