"""One simulation: configs and pictures, or recorded tensors, in; frames with their objects out.

The engines come from nvinfer configs, or from deepstream-app's own config: it runs [primary-gie] on frames and every
[secondary-gieN] after the engine whose objects it operates on (deepstream_secondary_gie_bin.c). What its groups set
overrides the nvinfer configs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert.check.app import gies, is_on, number, read_app, troubles
from convert.check.loading import read_config
from convert.check.recognise import APP, CONFIG
from convert.check.run import find_configs
from convert.errors import ConvertError, InputError, MissingDependencyError, PresetError, UnsupportedModelError
from convert.images.read import Picture, is_video, load_av, read_all, video_facts
from convert.nvinfer.config import MOST_BYTES
from convert.nvinfer.numbers import read_ordinary
from convert.report import BundleReport
from convert.simulate.engine import LoadedEngine, Source, load
from convert.simulate.replay import replayed
from convert.simulate.results import PICTURE, UNCOUNTED, FrameResult, SimulatedEngine, Simulation, frame_checks, kitti
from convert.simulate.run import Runner
from convert.simulate.tracking import Counting, setup_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.nvinfer.targets import Target


@dataclass(frozen=True, slots=True)
class App:
    """What deepstream-app's config says.

    Attributes:
        sources: the engines' configs, the primary one first.
        muxer: width and height of [streammux], pixels; None where they are not given.
    """

    sources: tuple[Source, ...]
    muxer: tuple[int, int] | None


def app(path: Path, where: Target) -> App:
    """The engines that are switched on.

    Raises:
        InputError: the file cannot be read, deepstream-app refuses it, or it has no primary engine.
        UnsupportedModelError: an engine runs in Gst-nvinferserver.
    """
    file = read_app(read_ordinary(path, "app config", MOST_BYTES), str(path), where.deepstream)
    if trouble := file.trouble or next(iter(troubles(file, where.deepstream)), None):
        message = f"deepstream-app cannot read its config: {trouble.message}"
        raise InputError(message, hint="ei-deepstream check says more", path=path, line=trouble.line)
    on = gies(file)
    for gie in on:
        place = file.place(gie.group)
        if not gie.is_nvinfer:
            message = f"[{gie.group}] runs in Gst-nvinferserver (plugin-type=1), which is not simulated"
            raise UnsupportedModelError(message, path=path, line=place.line)
        if not gie.config or not os.path.isfile(gie.path):  # noqa: PTH113 - text, as the user would name it
            what = f"its config-file {gie.config!r} is not there" if gie.config else "it has no config-file"
            raise InputError(
                f"[{gie.group}] is switched on, but {what}",
                hint=f"it is looked for at {os.path.abspath(gie.path)}" if gie.config else None,  # noqa: PTH100
                path=path,
                line=place.line,
            )
    if not on or not on[0].primary:
        message = "no primary engine is switched on: nothing finds objects, and nothing is shown"
        raise InputError(message, hint="an app config has [primary-gie] with enable=1 and config-file", path=path)
    width, height = (number(file, "streammux", side, None) for side in ("width", "height"))
    muxer = (width, height) if width and height else None
    return App(tuple(Source(Path(gie.path), gie.settings) for gie in on), muxer)


def of_bundle(folder: Path, where: Target, *, one: bool = False) -> tuple[Path | None, Path | None]:
    """What to simulate of a bundle: a config and None, or None and deepstream-app's config where it starts two engines.

    Args:
        one: only one engine's config will do.

    Raises:
        InputError: there is no config for whole frames directly in the folder, or several.
    """
    found = [each for each in find_configs([str(folder)]) if Path(each.path).parent == folder and each.error is None]
    for each in found:
        if each.kind == APP and not one:
            on = gies(read_app(each.data, each.path, where.deepstream))
            if len(on) > 1 and all(gie.is_nvinfer and os.path.isfile(gie.path) for gie in on):  # noqa: PTH113 - text
                return None, Path(each.path)
    modes = {
        Path(each.path): read_config(each.path, where, each.data).settled.values.get("process-mode", 1)
        for each in found
        if each.kind == CONFIG
    }
    primary = [path for path, mode in modes.items() if mode != 2]
    if len(primary) == 1:
        return primary[0], None
    if primary:
        names = ", ".join(path.name for path in primary)
        raise InputError(f"the folder holds {len(primary)} configs: {names}", path=folder, hint="name one of them")
    if modes:
        message = "the bundle is for the objects of another engine, and none in it finds any"
        hint = f"name a primary config first, and this one with --sgie {next(iter(modes))}"
        raise InputError(message, hint=hint, path=folder)
    if (report := BundleReport.read(folder)) is not None:
        report.refuse_impulse()
    raise InputError("there is no Gst-nvinfer config in the folder", path=folder, hint="name a bundle or a config")


def counting(
    config: Path | None, app: Path | None, where: Target, *, every: int, edge_impulse: bool
) -> tuple[Counting | None, tuple[Finding, ...]]:
    """What counts objects: as deepstream-app's config `app` says, else one beside `config` that runs it.

    Where that cannot be read, there is a finding.

    Raises:
        InputError: the same, where Edge Impulse's counts were asked for.
        PresetError: these were asked for, and there are no lines.
    """
    if app is None and config is not None:
        for each in find_configs([str(config.parent)]):
            if each.kind == APP and Path(each.path).parent == config.parent and each.error is None:
                file = read_app(each.data, each.path, where.deepstream)
                on = [gie.path for gie in gies(file) if gie.primary]
                if is_on(file, "nvds-analytics") and on and Path(on[0]).resolve() == config.resolve():
                    app = Path(each.path)
    try:
        setup = setup_of(app, where) if app else None
    except InputError as error:
        if edge_impulse:
            raise
        return None, (UNCOUNTED.found(error.message, path=error.path, line=error.line, hint=error.hint),)
    if setup is None and edge_impulse:
        raise PresetError(
            "--count-as is about lines, and no app config here has any", hint="convert with --line NAME:x1,y1,x2,y2"
        )
    return Counting(setup, every, edge_impulse) if setup else None, ()


def in_order(engines: Sequence[SimulatedEngine]) -> tuple[int, ...]:
    """Positions of the engines in the order they run: none before the one whose objects it processes.

    Raises:
        InputError: the first processes objects, another frames, or two have one id.
    """
    first, *others = engines
    if first.settings.on_objects:
        message = "this config looks at objects (process-mode=2), and there is no engine in front that finds any"
        hint = "name a primary config first and give this one with --sgie, or write process-mode=1"
        raise InputError(message, hint=hint, path=first.config)
    for engine in others:
        if not engine.settings.on_objects:
            message = "a secondary engine looks at objects, and this config at frames (process-mode=1)"
            hint = "write process-mode=2 into it; deepstream-app does that for its [secondary-gie] groups"
            raise InputError(message, hint=hint, path=engine.config)
    ids: dict[int, int] = {}
    for position, engine in enumerate(engines):
        number_ = engine.settings.unique_id
        if number_ in ids:
            taken = f"gie-unique-id={number_} is taken by {engines[ids[number_]].config.name}"
            message = f"{taken}: results cannot be told apart, and deepstream-app refuses to start"
            raise InputError(message, hint="give each engine a number of its own", path=engine.config)
        ids[number_] = position
    order = [0]
    waiting = list(range(1, len(engines)))
    while waiting:
        ready = [each for each in waiting if ids.get(engines[each].settings.operate_on_gie_id, 0) not in waiting]
        if not ready:  # they operate on each other or on themselves: none ever gets an object
            return (*order, *waiting)
        order.append(ready[0])
        waiting.remove(ready[0])
    return tuple(order)


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
        counting: what counts objects, frame by frame.
        known: what was found before.
    """

    where: Target
    files: tuple[Path, ...]
    config: Path | None
    secondary: tuple[Path, ...] = ()
    app: Path | None = None
    tensors: Path | None = None
    every: int = 1
    limit: int | None = None
    counting: Counting | None = None
    known: tuple[Finding, ...] = ()

    def __call__(
        self,
        add: Callable[[FrameResult, NDArray[np.uint8], bytes], None],
        comparing: Callable[[LoadedEngine], AbstractContextManager[Callable[[str, NDArray[np.uint8]], object]]],
        observer: Callable[[int | None], None],
    ) -> Simulated:
        """Run everything.

        Args:
            add: is given every frame, its pixels, uint8 [H,W,3] RGB, and its objects as KITTI text.
            comparing: given the primary engine, a context whose value is called with name and pixels of every picture.
            observer: called with the number of pictures (None: not known) once, then 1 for each that is done.

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
        files, missing = self._readable()
        loaded = [load(source, self.where) for source in chain.sources]
        runner = Runner(tuple(loaded[position] for position in in_order([each.engine for each in loaded])))
        runner.findings += [*self.known, *missing]
        observer(self._count(files))
        primary = runner.engines[0].engine
        frames: list[FrameResult] = []
        with comparing(runner.engines[0]) as compare:
            for picture, found in runner(read_all(files, every=self.every, limit=self.limit)):
                frame = self.counting(found) if self.counting else found
                add(frame, picture.pixels, kitti(frame, primary))
                frames.append(frame)
                compare(frame.name, picture.pixels)
                observer(1)
        if not frames:
            raise _nothing(runner.findings)
        simulation = runner.simulation(frames)
        if self.counting:
            simulation = replace(simulation, counts=self.counting.results())
        suspects = [finding for each in loaded for finding in each.check_findings]
        findings = (*runner.findings, *frame_checks(simulation, app=self.app, muxer=chain.muxer), *suspects)
        return Simulated(simulation, findings, tuple(source.path for source in chain.sources))

    def _readable(self) -> tuple[tuple[Path, ...], list[Finding]]:
        """The files without the videos, and a finding, where there are pictures too and PyAV is missing.

        Raises:
            MissingDependencyError: there are videos only, and PyAV is missing.
        """
        videos = [path for path in self.files if is_video(path)]
        if not videos:
            return self.files, []
        try:
            load_av()
        except MissingDependencyError as error:
            if len(videos) == len(self.files):
                raise
            what = "the video was" if len(videos) == 1 else f"{len(videos)} videos were"
            found = PICTURE.found(f"{what} left out: {error.message}", path=videos[0], hint=error.hint)
            return tuple(path for path in self.files if path not in videos), [found]
        return self.files, []

    def _count(self, files: Sequence[Path]) -> int | None:
        """How many frames there are in `files`; None where a video does not say."""
        count = 0
        for path in files:
            if not is_video(path):
                count += 1
                continue
            frames = video_facts(path).frames
            if frames is None:
                return None
            count += min(-(-frames // self.every), frames if self.limit is None else self.limit)
        return count

    def _replay(
        self, source: Source, tensors: Path, add: Callable[[FrameResult, NDArray[np.uint8], bytes], None]
    ) -> Simulated:
        pictures: list[Picture] = []
        for each in read_all(self.files, every=self.every, limit=self.limit):
            if not isinstance(each, Picture):
                raise each.error  # frames and recordings would no longer belong together
            pictures.append(each)
        simulation, findings = replayed(source, tensors, self.where, pictures)
        given: list[Picture] | list[None] = pictures or [None] * len(simulation.frames)
        for frame, picture in zip(simulation.frames, given, strict=True):
            pixels = picture.pixels if picture else np.full((frame.height, frame.width, 3), _UNKNOWN, np.uint8)
            add(frame, pixels, kitti(frame, simulation.engines[0]))
        return Simulated(simulation, findings, (source.path,))


def _nothing(findings: Iterable[Finding]) -> ConvertError:
    """Every picture was left out: the reason of the first."""
    for finding in findings:
        if finding.id == "EI700":
            return InputError(
                f"no picture could be simulated; the first: {finding.message}", path=finding.path, hint=finding.hint
            )
    return InputError("no picture could be simulated: the videos have no frames", hint="give pictures or videos")
