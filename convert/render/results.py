"""The folder of a simulation: drawn/ and kitti/ picture by picture, then objects.json, against.json and report.html."""

from __future__ import annotations

import io
import json
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from convert.errors import ConvertError, InputError, OutputError
from convert.render.drawing import draw, page_picture
from convert.render.page import MOST_PICTURES, page
from convert.report import SCHEMA_VERSION, BundleReport, dumps
from convert.simulate.document import objects_document
from convert.writing import write_all

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray

    from convert.against.comparison import Comparison
    from convert.findings import Finding
    from convert.simulate.job import Simulated
    from convert.simulate.scene import Frame, Simulation
    from convert.writing import Output

__all__ = ["Result", "ResultsFolder"]

_QUALITY = 90  # of the drawn JPEG files
_TOGETHER = 64  # pictures whose files are written in one go, which takes little longer than those of one picture
_MOST_BYTES = 2**25  # of such files, unless one picture's alone are more
_MOST_OBJECTS = 2**28  # bytes of an objects.json that is looked into before it is replaced


@dataclass(frozen=True, slots=True)
class Result:
    """A simulation, and the files that were written.

    Attributes:
        simulation: engines and frames, with the objects of each.
        findings: of the configs, the pictures and the comparison.
        outputs: in the order they were written.
        comparison: with the original as Edge Impulse runs it, where that was asked for.
    """

    simulation: Simulation
    findings: tuple[Finding, ...]
    outputs: tuple[Output, ...]
    comparison: Comparison | None = None


@dataclass(slots=True)
class ResultsFolder:
    """Writes the results: what belongs to pictures some at a time, what is about all of them at the end."""

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
        """Write what waits; where the run ends early, as far as possible: the error that ended it is the one raised."""
        with suppress(ConvertError) if kind else nullcontext():
            self._write()

    def add(self, frame: Frame, pixels: NDArray[np.uint8], kitti: bytes) -> None:
        """Draw one picture, and write it together with some more.

        Raises:
            OutputError: the drawing would replace the picture itself, or cannot be written.
        """
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
        self._texts[f"{frame.name}.txt"] = kitti
        self._waiting += len(data.getvalue()) + len(kitti)
        if len(self._drawn) == _TOGETHER or self._waiting > _MOST_BYTES:
            self._write()
        if len(self.shown) < MOST_PICTURES:
            self.shown[frame.name] = page_picture(pixels, frame)

    def _write(self) -> None:
        if not self._drawn:
            return
        drawn, texts = write_all(self.path / "drawn", self._drawn), write_all(self.path / "kitti", self._texts)
        self.outputs += [output for both in zip(drawn, texts, strict=True) for output in both]
        self._drawn, self._texts, self._waiting = {}, {}, 0

    def finish(self, done: Simulated, comparison: Comparison | None = None) -> Result:
        """Write what is about all pictures, and remove what an earlier run drew and this one did not."""
        simulation, findings = done.simulation, done.findings
        html = page(
            simulation,
            self.shown,
            findings=findings,
            configs={str(path): path.read_bytes().decode("utf-8", "replace") for path in done.configs},
            evidence=_evidence(done.configs[0]),
            comparison=comparison,
        )
        files = {"report.html": html.encode("utf-8", "replace"), "objects.json": dumps(objects_document(simulation))}
        for name in self._before - {frame.name for frame in simulation.frames}:
            (self.path / "drawn" / f"{name}.jpg").unlink(missing_ok=True)
            (self.path / "kitti" / f"{name}.txt").unlink(missing_ok=True)
        if comparison is not None:
            from convert.against.document import against_document  # noqa: PLC0415 - few simulations need it

            files["against.json"] = dumps({"schema_version": SCHEMA_VERSION, **against_document(comparison)})
            findings = (*findings, *comparison.findings)  # on the page they stand beside the comparison
        elif self._before:
            (self.path / "against.json").unlink(missing_ok=True)  # an earlier run's
        return Result(simulation, findings, (*self.outputs, *write_all(self.path, files)), comparison)


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


def _evidence(config: Path) -> Mapping[str, Any] | None:
    """What was measured when the config's bundle was made: `evidence` of the report.json beside it."""
    try:
        report = BundleReport.read(config.parent)
    except InputError:
        return None
    return report.evidence if report else None
