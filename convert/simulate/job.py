"""One simulation: configs and pictures, or recorded tensors, in; frames with their objects out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.images.read import Picture, read_all
from convert.simulate.chain import App, app, in_order
from convert.simulate.engine import Source, load
from convert.simulate.kitti import kitti
from convert.simulate.look import look
from convert.simulate.replayed import replayed
from convert.simulate.run import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.errors import ConvertError
    from convert.findings import Finding
    from convert.nvinfer.rules.case import Where
    from convert.simulate.engine import Loaded
    from convert.simulate.scene import Frame, Simulation

__all__ = ["Job", "Simulated"]

_UNKNOWN = 48  # grey level of frames that were recorded without their picture


@dataclass(frozen=True, slots=True)
class Simulated:
    """The result of a simulation; `configs` are those of the engines, the primary one first."""

    simulation: Simulation
    findings: tuple[Finding, ...]
    configs: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What to simulate.

    Attributes:
        where: release and platform.
        files: pictures and videos.
        config, secondary: nvinfer configs; or `app`: deepstream-app's.
        tensors: a folder of recorded outputs, instead of running the model.
        every, limit: which frames of a video.
    """

    where: Where
    files: tuple[Path, ...]
    config: Path | None
    secondary: tuple[Path, ...] = ()
    app: Path | None = None
    tensors: Path | None = None
    every: int = 1
    limit: int | None = None

    def __call__(
        self,
        add: Callable[[Frame, NDArray[np.uint8], bytes], None],
        judging: Callable[[Loaded], AbstractContextManager[Callable[[str, NDArray[np.uint8]], object]]],
        observer: Callable[[int | None], None],
    ) -> Simulated:
        """Run everything.

        Args:
            add: is given every frame, its pixels, uint8 [H,W,3] RGB, and its objects as KITTI text.
            judging: makes, of the primary engine, what is given name and pixels of every picture.
            observer: is told the number of pictures (None: not known) once, then 1 for each that is done.

        Raises:
            ConvertError: a config, model or recording that cannot be simulated, or no picture that can.
        """
        if self.app is not None:
            chain = app(self.app, self.where)
        else:
            assert self.config is not None
            chain = App((Source(self.config), *map(Source, self.secondary)), None)
        if self.tensors is not None:
            return self._replay(chain.sources[0], self.tensors, add)
        loaded = [load(source, self.where) for source in chain.sources]
        runner = Runner(tuple(loaded[position] for position in in_order([each.engine for each in loaded])))
        observer(len(self.files) if self.limit is None and not _holds_video(self.files) else None)
        primary = runner.engines[0].engine
        frames: list[Frame] = []
        with judging(runner.engines[0]) as judge:
            for picture, frame in runner(read_all(self.files, every=self.every, limit=self.limit)):
                add(frame, picture.pixels, kitti(frame, primary))
                frames.append(frame)
                judge(frame.name, picture.pixels)
                observer(1)
        if not frames:
            raise _nothing(runner.findings)
        simulation = runner.simulation(frames)
        suspects = [finding for each in loaded for finding in each.suspect]
        findings = (*runner.findings, *look(simulation, app=self.app, muxer=chain.muxer), *suspects)
        return Simulated(simulation, findings, tuple(source.path for source in chain.sources))

    def _replay(
        self, source: Source, tensors: Path, add: Callable[[Frame, NDArray[np.uint8], bytes], None]
    ) -> Simulated:
        pictures: list[Picture] = []
        for each in read_all(self.files, every=self.every, limit=self.limit):
            if not isinstance(each, Picture):
                raise each.error  # frames and recordings would no longer belong together
            pictures.append(each)
        found = replayed(source, tensors, self.where, pictures)
        frames = found.simulation.frames
        given: list[Picture] | list[None] = pictures or [None] * len(frames)
        for frame, picture in zip(frames, given, strict=True):
            pixels = picture.pixels if picture else np.full((frame.height, frame.width, 3), _UNKNOWN, np.uint8)
            add(frame, pixels, kitti(frame, found.simulation.engines[0]))
        return Simulated(found.simulation, found.findings, (source.path,))


def _nothing(findings: Iterable[Finding]) -> ConvertError:
    """Every picture was left out: the reason of the first."""
    for finding in findings:
        if finding.id == "EI700":
            return InputError(
                f"no picture could be simulated; the first: {finding.message}", path=finding.path, hint=finding.hint
            )
    return InputError("no picture could be simulated: the videos have no frames", hint="give pictures or videos")


def _holds_video(files: Iterable[Path]) -> bool:
    from convert.images.read import is_video  # noqa: PLC0415 - few runs need it

    return any(is_video(path) for path in files)
