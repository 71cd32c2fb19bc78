"""One simulation from configs and pictures to a folder of results."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from convert.errors import ConvertError, InputError, OutputError
from convert.images.read import Picture, find, is_video, read_all
from convert.report import SCHEMA_VERSION, BundleReport, dumps
from convert.simulate.chain import App, app, in_order
from convert.simulate.document import objects_document
from convert.simulate.engine import Source, load
from convert.simulate.kitti import kitti
from convert.simulate.look import look
from convert.simulate.replayed import replayed
from convert.simulate.run import Runner
from convert.writing import make_folder, write_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager
    from types import TracebackType

    from numpy.typing import NDArray

    from convert.against.comparison import Comparison
    from convert.against.run import Against
    from convert.findings import Finding
    from convert.nvinfer.rules.case import Where
    from convert.simulate.engine import Loaded
    from convert.simulate.scene import Frame, Simulation
    from convert.writing import Output

__all__ = ["Job", "Result"]

_QUALITY = 90  # of the drawn JPEG files
_UNKNOWN = 48  # grey level of frames that were recorded without their picture
_TOGETHER = 64  # pictures whose files are written in one go, which takes little longer than those of one picture
_MOST_BYTES = 2**25  # of such files, unless one picture's alone are more
_MOST_OBJECTS = 2**28  # bytes of an objects.json that is looked into before it is replaced


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a simulation, and the files that tell of it."""

    simulation: Simulation
    findings: tuple[Finding, ...]
    outputs: tuple[Output, ...]
    comparison: Comparison | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What the command line asks for. Calling it runs everything and writes the folder.

    Attributes:
        where: release and platform.
        output: the folder.
        config, secondary: nvinfer configs; or `app`: deepstream-app's.
        tensors: a folder of recorded outputs.
        pictures: files and folders.
        every, limit: which frames of a video.
        against: run the primary engine's original, too, as Edge Impulse does; `original`: its file, where it is not
            beside the bundle.
    """

    where: Where
    output: Path
    config: Path | None
    secondary: tuple[Path, ...] = ()
    app: Path | None = None
    tensors: Path | None = None
    pictures: tuple[Path, ...] = ()
    every: int = 1
    limit: int | None = None
    against: bool = False
    original: Path | None = None

    def __call__(self, told: Callable[[int | None], None] = lambda _: None) -> Result:
        """Run and write.

        Args:
            told: hears the number of pictures (None: not known) once, then 1 for each that is done.

        Raises:
            ConvertError: a config, model or recording that cannot be simulated, no picture that can, or a folder that
                cannot be written.
        """
        files = find(self.pictures)
        make_folder(self.output)
        if self.app is not None:
            chain = app(self.app, self.where)
        else:
            assert self.config is not None
            chain = App((Source(self.config), *map(Source, self.secondary)), None)
        if self.tensors is not None:
            return self._replay(chain.sources[0], files, self.tensors)
        return self._run(chain, files, told)

    def _run(self, chain: App, files: tuple[Path, ...], told: Callable[[int | None], None]) -> Result:
        loaded = [load(source, self.where) for source in chain.sources]
        runner = Runner(tuple(loaded[position] for position in in_order([each.engine for each in loaded])))
        told(len(files) if self.limit is None and not any(map(is_video, files)) else None)
        primary = runner.engines[0].engine
        frames: list[Frame] = []
        comparison = None
        with _Folder(self.output) as folder, self._judge(runner.engines[0]) as judge:
            for picture, frame in runner(read_all(files, every=self.every, limit=self.limit)):
                folder.add(frame, picture.pixels, kitti(frame, primary))
                frames.append(frame)
                if judge is not None:
                    judge(frame.name, picture.pixels)
                told(1)
            if judge is not None and frames:
                comparison = judge.comparison
        simulation = runner.simulation(frames)
        suspects = [finding for each in loaded for finding in each.suspect]
        findings = (*runner.findings, *look(simulation, app=self.app, muxer=chain.muxer), *suspects)
        if not frames:
            raise _nothing(runner.findings)
        return folder.finish(simulation, findings, chain, comparison)

    def _judge(self, primary: Loaded) -> AbstractContextManager[Against | None]:
        if not self.against:
            return nullcontext()
        from convert.against.run import against  # noqa: PLC0415 - LiteRT's side; most simulations do without

        return against(primary, self.original)

    def _replay(self, source: Source, files: tuple[Path, ...], tensors: Path) -> Result:
        pictures: list[Picture] = []
        for each in read_all(files, every=self.every, limit=self.limit):
            if not isinstance(each, Picture):
                raise each.error  # frames and recordings would no longer belong together
            pictures.append(each)
        found = replayed(source, tensors, self.where, pictures)
        given: Iterable[Picture | None] = pictures or [None] * len(found.simulation.frames)
        with _Folder(self.output) as folder:
            for frame, picture in zip(found.simulation.frames, given, strict=True):
                pixels = picture.pixels if picture else _blank(frame)
                folder.add(frame, pixels, kitti(frame, found.simulation.engines[0]))
        return folder.finish(found.simulation, found.findings, App((source,), None))


@dataclass(slots=True)
class _Folder:
    """The results on their way to the disk: what belongs to pictures some at a time, what tells of all at the end."""

    path: Path
    outputs: list[Output] = field(default_factory=list)
    shown: dict[str, bytes] = field(default_factory=dict)
    _before: set[str] = field(default_factory=set)
    _drawn: dict[str, bytes] = field(default_factory=dict)
    _texts: dict[str, bytes] = field(default_factory=dict)
    _waiting: int = 0

    def __post_init__(self) -> None:
        self._before = _names(self.path / "objects.json")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits; where the run ends early, as well as it goes: what ended it is what is told."""
        with suppress(ConvertError) if kind else nullcontext():
            self._write()

    def add(self, frame: Frame, pixels: NDArray[np.uint8], kitti_text: bytes) -> None:
        """Draw one picture, and write it with some more."""
        from convert.render.drawing import draw, page_picture  # noqa: PLC0415 - Pillow
        from convert.render.page import MOST_PICTURES  # noqa: PLC0415 - jinja2

        place = self.path / "drawn" / f"{frame.name}.jpg"
        if place.exists() and frame.source.exists() and place.samefile(frame.source):
            raise OutputError(
                "the drawn picture would take the place of the picture itself",
                path=place,
                hint="choose another -o",
            )
        data = io.BytesIO()
        draw(pixels, frame).save(data, "JPEG", quality=_QUALITY, subsampling=0)
        self._drawn[place.name] = data.getvalue()
        self._texts[f"{frame.name}.txt"] = kitti_text
        self._waiting += len(data.getvalue()) + len(kitti_text)
        if len(self._drawn) == _TOGETHER or self._waiting > _MOST_BYTES:
            self._write()
        if len(self.shown) < MOST_PICTURES:
            self.shown[frame.name] = page_picture(pixels, frame)

    def _write(self) -> None:
        """What waits."""
        if not self._drawn:
            return
        drawn, texts = write_all(self.path / "drawn", self._drawn), write_all(self.path / "kitti", self._texts)
        self.outputs += [output for both in zip(drawn, texts, strict=True) for output in both]
        self._drawn, self._texts, self._waiting = {}, {}, 0

    def finish(
        self, simulation: Simulation, findings: tuple[Finding, ...], chain: App, comparison: Comparison | None = None
    ) -> Result:
        """Write what tells of all pictures, and remove what an earlier run drew and this one did not."""
        from convert.render.page import page  # noqa: PLC0415 - jinja2

        configs = {str(source.path): _text(source.path) for source in chain.sources}
        html = page(
            simulation,
            self.shown,
            findings=findings,
            configs=configs,
            evidence=_evidence(chain.sources[0].path),
            comparison=comparison,
        )
        files = {"report.html": html.encode("utf-8", "replace"), "objects.json": dumps(objects_document(simulation))}
        for name in self._before - {frame.name for frame in simulation.frames}:
            (self.path / "drawn" / f"{name}.jpg").unlink(missing_ok=True)
            (self.path / "kitti" / f"{name}.txt").unlink(missing_ok=True)
        if comparison is not None:
            files["against.json"] = _against(comparison)
        elif self._before:
            (self.path / "against.json").unlink(missing_ok=True)  # an earlier run's
        if comparison is not None:  # on the page they stand beside the comparison
            findings = (*findings, *comparison.findings)
        return Result(simulation, findings, (*self.outputs, *write_all(self.path, files)), comparison)


def _against(comparison: Comparison) -> bytes:
    from convert.against.document import against_document  # noqa: PLC0415 - with its types only

    return dumps({"schema_version": SCHEMA_VERSION, **against_document(comparison)})


def _names(objects: Path) -> set[str]:
    """The frames of an earlier run in this folder; none where there was none, or the file is not ours."""
    try:
        if objects.stat().st_size > _MOST_OBJECTS:
            return set()
        document = json.loads(objects.read_bytes())
        names = {frame["name"] for frame in document["frames"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()
    return {name for name in names if isinstance(name, str) and name == Path(name).name and name not in {"", ".", ".."}}


def _nothing(findings: Iterable[Finding]) -> ConvertError:
    """Every picture was left out: the reason of the first."""
    for finding in findings:
        if finding.id == "EI700":
            return InputError(
                f"no picture could be simulated; the first: {finding.message}", path=finding.path, hint=finding.hint
            )
    return InputError("no picture could be simulated: the videos have no frames", hint="give pictures or videos")


def _blank(frame: Frame) -> NDArray[np.uint8]:
    """Stands for a picture that was not recorded."""
    return np.full((frame.height, frame.width, 3), _UNKNOWN, np.uint8)


def _text(config: Path) -> str:
    return config.read_bytes().decode("utf-8", "replace")


def _evidence(config: Path) -> Mapping[str, Any] | None:
    """What was measured when the config's bundle was made: `evidence` of the report.json beside it."""
    try:
        report = BundleReport.read(config.parent)
    except InputError:
        return None
    return report.evidence if report else None
