"""Two models in one app: a detector for whole frames, and a model for each object it finds.

The folder holds what `convert.nvinfer.emit` writes for each of the two, in the roles they have, and one app, one script
and one report for both.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convert.artifacts import Bundle, StageResult, Validated
from convert.errors import PresetError
from convert.heads import head
from convert.nvinfer.appfile import App, app_file
from convert.nvinfer.bundle import bundle_names, stale_engines
from convert.nvinfer.emit import Emit
from convert.nvinfer.engine import SCRIPT, Engine, build_script
from convert.nvinfer.findings import FP16_NOT_MEASURED, SAMPLE_DETECTOR, TARGET_NOT_VERIFIED
from convert.report import REPORT, app_report, dumps
from convert.writing import Output, make_folder, sha256, write_all

if TYPE_CHECKING:
    from pathlib import Path

    from convert.findings import Finding

__all__ = ["EmitPair", "Pair"]

_ONCE = {SAMPLE_DETECTOR.id, TARGET_NOT_VERIFIED.id, FP16_NOT_MEASURED.id}
"""What the secondary model need not say again, or (the SDK's sample detector) what is not so here."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two proven models.

    Attributes:
        primary: a detector.
        secondary: what looks at its objects, a classifier as a rule.
    """

    primary: Validated
    secondary: Validated


@dataclass(frozen=True, slots=True)
class EmitPair:
    """Write the bundle of two models.

    Attributes:
        folder: where; made if it does not exist.
        batch_size: of the primary engine, 1 to 1024 frames at a time.
        object_batch_size: of the secondary engine, objects at a time. NVIDIA's own cascades have 16.
        precision: "fp32" or "fp16", of both engines.
        gie_id: gie-unique-id of the primary engine; the secondary one has the next number.
        target, platform: see `convert.nvinfer.targets.target`.
        gpu_id: number of the GPU on the target.
        min_size: pixels; the secondary engine passes over smaller objects. Default: what the platform enforces anyway.

    Raises:
        PresetError: options that do not exist or do not fit together.
    """

    folder: Path
    batch_size: int = 1
    object_batch_size: int = 16
    precision: str = "fp32"
    gie_id: int | None = None
    target: str = "deepstream-7.1"
    platform: str = "jetson"
    gpu_id: int = 0
    min_size: int | None = None

    def __post_init__(self) -> None:
        _ = self.primary, self.secondary  # they check their options

    @property
    def name(self) -> str:
        """ "emit"."""
        return "emit"

    @property
    def primary(self) -> Emit:
        """What is written for the detector."""
        return self._emit("pgie", self.batch_size, self.gie_id)

    @property
    def secondary(self) -> Emit:
        """What is written for the model behind it."""
        first = self.gie_id or 1
        return replace(self._emit("sgie", self.object_batch_size, first + 1), operate_on_gie_id=first)

    def plan(self, primary: str, secondary: str) -> tuple[str, ...]:
        """Names of the files that two exports of these names get, in the order they are written."""
        names = self._names(primary, secondary)
        parts = (_own(self.primary.plan(names[0])), _own(self.secondary.plan(names[1])))
        return (*parts[0], *parts[1], _app_name(*names), *map(_script_name, names), SCRIPT, REPORT)

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - every stage takes one
        """Write the folder for a `Pair`.

        Raises:
            InputError: a label cannot be written to a label file.
            PresetError: the first model finds no objects, or a head cannot be expressed for this target.
            OutputError: the folder cannot be written; files of an earlier run are then intact.
        """
        assert isinstance(artifact, Pair)
        task = artifact.primary.adapted.head.task
        if not head(task).detects:
            raise PresetError(
                "the primary model is a classifier: it finds no objects that another model could look at",
                hint="give a detector (FOMO, YOLOv5, SSD, ...) as the primary one",
            )
        exports = (artifact.primary.adapted.export, artifact.secondary.adapted.export)
        names = self._names(*(export.name for export in exports))
        pair = Pair(*map(_renamed, (artifact.primary, artifact.secondary), names))
        files = self._files(pair)
        found = self._findings(pair)
        outputs = [Output(name, sha256(data)) for name, data in files.items()]
        parts = ((pair.primary, self.primary.options()), (pair.secondary, self.secondary.options()))
        files[REPORT] = dumps(app_report(*parts, outputs, found))
        assert tuple(files) == self.plan(*(export.name for export in exports))
        make_folder(self.folder)
        written = write_all(self.folder, files, executables=frozenset({SCRIPT, *map(_script_name, names)}))
        stale = (finding for name in names for finding in stale_engines(self.folder, bundle_names(name).onnx))
        return StageResult(Bundle(str(self.folder), "-".join(names), written), written, (*found, *stale))

    def _emit(self, role: str, batch_size: int, gie_id: int | None) -> Emit:
        return Emit(
            self.folder,
            role=role,
            batch_size=batch_size,
            precision=self.precision,
            gie_id=gie_id,
            target=self.target,
            platform=self.platform,
            gpu_id=self.gpu_id,
            min_size=self.min_size,
        )

    def _names(self, primary: str, secondary: str) -> tuple[str, str]:
        """Two impulses of one project have the same name; files cannot."""
        return primary, secondary if secondary != primary else f"{secondary}-objects"

    def _files(self, pair: Pair) -> dict[str, bytes]:
        """Name and content of every file but the report."""
        files: dict[str, bytes] = {}
        scripts: dict[str, bytes] = {}
        engines = []
        for emit, validated in ((self.primary, pair.primary), (self.secondary, pair.secondary)):
            adapted = validated.adapted
            name = adapted.export.name
            written = emit.files(adapted)
            files |= {each: written[each] for each in _own(tuple(written))}
            engine = Engine(bundle_names(name).onnx, emit.batch_size, emit.gpu_id, emit.precision)
            script = _script_name(name)
            scripts[script] = build_script(engine, adapted.onnx.input, emit.where, script)
            engines.append(engine)
        framing = pair.primary.adapted.preprocessing.framing
        names = [validated.adapted.export.name for validated in (pair.primary, pair.secondary)]
        app = App(
            _app_name(*names),
            self.primary.primary,
            self.secondary.secondary,
            bundle_names(names[0]).primary,
            bundle_names(names[1]).secondary,
            secondary_engine=engines[1],
            frame=framing.frame if framing else None,
        )
        files[app.file] = app_file(app, engines[0], self.primary.where)
        return {**files, **scripts, SCRIPT: _BOTH.format(*map(shlex.quote, scripts)).encode()}

    def _findings(self, pair: Pair) -> tuple[Finding, ...]:
        behind = self.secondary.findings(pair.secondary.adapted)
        return (*self.primary.findings(pair.primary.adapted), *(each for each in behind if each.id not in _ONCE))


def _own(files: tuple[str, ...]) -> tuple[str, ...]:
    """Of the files of one model those that stay its own: model, labels, config."""
    return files[:3]


def _app_name(primary: str, secondary: str) -> str:
    return f"deepstream_app_{primary}_{secondary}.txt"


def _script_name(name: str) -> str:
    return f"build_engine_{name}.sh"


def _renamed(validated: Validated, name: str) -> Validated:
    adapted = validated.adapted
    export = replace(adapted.export, name=name)
    return replace(validated, adapted=replace(adapted, translated=replace(adapted.translated, export=export)))


_BOTH = """\
#!/usr/bin/env bash
# Builds both engines of this folder, one after the other; see the scripts it starts.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
"$here"/{}
"$here"/{}
"""
