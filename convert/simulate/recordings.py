"""Runs a whole impulse over recordings of its sensor: window after window, with a stride.

A recording is read in blocks, and of a window only its scores are kept: 1 GB of sound is some megabytes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.dsp.recordings import find, windows
from convert.errors import InputError
from convert.findings import Finding, Rule
from convert.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.dsp import Impulse

RECORDING = Rule("EI708")

_AT_ONCE = 32  # windows that the model is given at a time, or fewer
_MOST_VALUES = 2**22  # in them


@dataclass(frozen=True, slots=True)
class ImpulseModel:
    """A whole impulse that runs.

    Attributes:
        file: name of the ONNX file.
        impulse: what it takes.
        labels: of the scores; () without scores.
        run: of windows float32 [n,L*A] "scores" [n,C] and "anomaly" [n,1], or one of the two.
    """

    file: str
    impulse: Impulse
    labels: tuple[str, ...]
    run: Callable[[NDArray[np.float32]], Mapping[str, NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Scored:
    """A recording and what the model gives for its n windows.

    Attributes:
        stride: seconds from the start of a window to the start of the next one.
        labels: C of them.
        scores: float32 [n,C]; C is 0 without scores.
        anomaly: float32 [n]; None without such a score.
    """

    path: Path
    stride: float
    labels: tuple[str, ...]
    scores: NDArray[np.float32]
    anomaly: NDArray[np.float32] | None

    def __len__(self) -> int:
        """How many windows."""
        return len(self.scores)

    @property
    def windows(self) -> Iterator[dict[str, Any]]:
        """`{start, label, score, anomaly, scores}` of each: seconds, the highest score and whose it is.

        What is not there is None, and so is a number that JSON does not have.
        """
        anomaly = [math.nan] * len(self) if self.anomaly is None else self.anomaly.tolist()
        for number, (scores, strange) in enumerate(zip(self.scores.tolist(), anomaly, strict=True)):
            known = [place for place, score in enumerate(scores) if math.isfinite(score)]
            best = max(known, key=scores.__getitem__, default=None)
            yield {
                "start": round(number * self.stride, 6),
                "label": None if best is None else self.labels[best],
                "score": None if best is None else scores[best],
                "anomaly": _finite(strange),
                "scores": list(map(_finite, scores)),
            }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class RecordingsSimulation:
    """All recordings that could be read.

    Attributes:
        stride: in samples.
        seconds: wall time of reading and of inference.
        findings: about those that could not.
    """

    model: ImpulseModel
    stride: int
    recordings: tuple[Scored, ...]
    seconds: dict[str, float]
    findings: tuple[Finding, ...]


def simulate(
    model: ImpulseModel, paths: Sequence[Path], stride: float | None, observer: Callable[[int | None], object]
) -> RecordingsSimulation:
    """Run `model` over recordings.

    Args:
        model: it.
        paths: recordings, and folders of them.
        stride: seconds from one window to the next; None is a quarter of a window.
        observer: is called once with None, then with the number of windows that are done.

    Raises:
        InputError: there is no recording, or none that can be read.
        ValidationError: the model fails.
    """
    impulse = model.impulse
    step = max(1, impulse.samples // 4 if stride is None else round(stride * impulse.frequency))
    seconds = {"read": 0.0, "infer": 0.0}
    files: list[Path] = []
    done, errors = [], []
    for path in paths:
        try:
            files += find(path) if path.is_dir() else [path]
        except InputError as error:
            errors.append(error)
    observer(None)
    for path in files:
        try:
            done.append(_scored(model, path, step, seconds, observer))
        except InputError as error:
            errors.append(error)
    if not done:
        raise errors[0] if errors else InputError("there is no recording", hint="give files or folders of recordings")
    found = [RECORDING.found(error.message, path=error.path, line=error.line, hint=error.hint) for error in errors]
    return RecordingsSimulation(model, step, tuple(done), seconds, tuple(found))


def _scored(
    model: ImpulseModel, path: Path, step: int, seconds: dict[str, float], observer: Callable[[int | None], object]
) -> Scored:
    impulse = model.impulse
    most = max(1, min(_AT_ONCE, _MOST_VALUES // (impulse.samples * impulse.axes)))
    scores: list[NDArray[np.float32]] = []
    anomaly: list[NDArray[np.float32]] = []
    source = windows(path, impulse, stride=step)
    while True:
        begun = time.perf_counter()
        batch = [window for _, window in zip(range(most), source, strict=False)]
        read = time.perf_counter()
        seconds["read"] += read - begun
        if not batch:
            break
        outputs = model.run(np.stack(batch))
        seconds["infer"] += time.perf_counter() - read
        scores.append(outputs.get("scores", np.zeros((len(batch), 0), np.float32)))
        if "anomaly" in outputs:
            anomaly.append(outputs["anomaly"][:, 0])
        observer(len(batch))
    strange = np.concatenate(anomaly) if anomaly else None
    return Scored(path, step / impulse.frequency, model.labels, np.concatenate(scores), strange)


def scores_document(simulation: RecordingsSimulation) -> dict[str, Any]:
    """What scores.json has: the model, and every window of every recording; `scores` are in the order of the labels."""
    model, impulse = simulation.model, simulation.model.impulse
    return {
        "schema_version": SCHEMA_VERSION,
        "model": model.file,
        **{name: getattr(impulse, name) for name in ("sensor", "frequency", "axes")},
        "window": impulse.samples,
        "stride": simulation.stride,
        "labels": list(model.labels),
        "recordings": [{"path": str(each.path), "windows": list(each.windows)} for each in simulation.recordings],
    }
