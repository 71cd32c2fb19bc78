"""Stage 5: writes the bundle, one folder with all that Gst-nvinfer needs; for one model, or for two in one app.

Files are computed in memory and written whole, `report.json` last. They depend on the model and the options only, never
on the folder: what is found *in the folder* (an old engine, another model's files) is a finding of the run that
`report.json` does not hold. Of two models, a detector for whole frames and a model for the objects it finds, the folder
holds the files of each in its role, and one app, one script and one report for both.

A model that crops whole frames is of no use for objects. Where `adapt` made the same model without the crop, too
(`Adapted.for_objects`), the secondary engine's config names that one.
"""

from __future__ import annotations

import shlex
from collections.abc import Container, Iterable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from convert.emit import files as bundle
from convert.emit.app import App, Instructions, app_file, run_md
from convert.emit.config import Gie, infer_file, preset_for
from convert.emit.streams import SINKS, Source, parse_source, sample
from convert.errors import PresetError
from convert.files import load_text
from convert.heads import head
from convert.nvinfer.targets import Target, float32_flags, int8_mode, opsets, reads_key, sdk_path, target, trtexec_flags
from convert.options import refuse_counting
from convert.report import REPORT, app_report, report_document
from convert.types import Adapted, Bundle, StageResult, Validated, onnx_file

if TYPE_CHECKING:
    from pathlib import Path

    from convert.emit.analytics import Counting
    from convert.findings import Finding
    from convert.images import Frame, Framing, Mark
    from convert.types import Evidence, Export, FrameEffect, PrecisionEvidence

ROLES = ("pgie", "sgie", "both")
_PRECISIONS = ("fp32", "fp16", "int8")

_MAX_BATCH = 1024  # gstnvinfer_property_parser.cpp refuses more
_MAX_ID = 2**31 - 1  # read with g_key_file_get_integer


@dataclass(frozen=True, slots=True)
class _Options:
    """What the bundles of one model and of two are told.

    Attributes:
        folder: where; made if it does not exist.
        batch_size: 1 to 1024 frames or objects at a time, of two models frames; part of the engine's name.
        precision: "fp32" or "fp16", of every engine; "int8": of a model of 8-bit codes (`convert.graph.quantized`).
        gie_id: gie-unique-id of the primary engine (default 1), with role sgie of the secondary one (default 2). Where
            there are both the secondary one gets the next number.
        target, platform: see `convert.nvinfer.targets.target`.
        gpu_id: number of the GPU on the target.
        min_size: pixels; the secondary engine passes over smaller objects. Default: what the platform enforces anyway,
            or its scaler needs.
        source: where the app's frames come from, on the target (`convert.emit.streams.parse_source`); default: the
            SDK's sample stream.
        sink: where they go: "screen" (the default), "file", "rtsp" or "none".
        line, zone: what the app counts, drawn on its frames.
        overcrowding: a zone is overcrowded with so many objects; None: that is not asked.
        canvas: the frames that lines and zones in pixels are drawn on; None: none is.
    """

    name: ClassVar[str] = "emit"

    folder: Path
    batch_size: int = 1
    precision: str = "fp32"
    gie_id: int | None = None
    target: str = "deepstream-7.1"
    platform: str = "jetson"
    gpu_id: int = 0
    min_size: int | None = None
    source: str | None = None
    sink: str | None = None
    line: tuple[Mark, ...] = ()
    zone: tuple[Mark, ...] = ()
    overcrowding: int | None = None
    canvas: Frame | None = None


@dataclass(frozen=True, slots=True)
class Emit(_Options):
    """Write the bundle.

    Attributes:
        role: "pgie" (whole frames), "sgie" (objects of another engine) or "both", which is what a model can be.
        operate_on_gie_id: whose objects the secondary engine takes; default: the primary engine's, with role sgie 1.

    Raises:
        PresetError: options that do not exist or do not fit together.
    """

    role: str = "both"
    operate_on_gie_id: int | None = None

    def __post_init__(self) -> None:
        counted = {name: getattr(self, name) for name in ("line", "zone", "overcrowding", "role")}
        refuse_counting(counted, self.canvas)
        for option, value, known in (
            *(("role", self.role, ROLES), ("precision", self.precision, _PRECISIONS)),
            ("sink", self.sink, (None, *SINKS)),
        ):
            if value not in known:
                raise PresetError(f"there is no {option} {value!r}", hint="one of: " + ", ".join(filter(None, known)))
        trtexec_flags(self.where.tensorrt, self.mode)
        _ = self.frames_from
        for option, number, low, high in (
            ("batch-size", self.batch_size, 1, _MAX_BATCH),
            ("gpu-id", self.gpu_id, 0, _MAX_ID),
            ("min-size", self.min_size, 1, _MAX_ID),
            ("gie-id", self.gie_id, 1, _MAX_ID - 1),
            ("operate-on-gie-id", self.operate_on_gie_id, 1, _MAX_ID - 1),
        ):
            if number is not None and not low <= number <= high:
                raise PresetError(f"--{option} {number} is out of range", hint=f"{low} to {high}")
        secondary = self.secondary
        if self.role == "pgie" and self.operate_on_gie_id is not None:
            message = "a primary engine looks at whole frames, not at another engine's objects"
            raise PresetError(message, hint="leave --operate-on-gie-id out, or use --role sgie")
        if secondary and secondary.id == secondary.operate_on:
            message = f"the secondary engine {secondary.id} cannot operate on its own objects"
            raise PresetError(message, hint="choose another --gie-id or --operate-on-gie-id")

    @property
    def where(self) -> Target:
        """The target's facts."""
        return target(self.target, self.platform)

    @property
    def mode(self) -> str:
        """How the engine is built: "fp32", "fp16", "int8", or "typed"."""
        return int8_mode(self.where) if self.precision == "int8" else self.precision

    @property
    def frames_from(self) -> Source | None:
        """What `source` names."""
        return None if self.source is None else parse_source(self.source, self.platform)

    @property
    def primary(self) -> Gie | None:
        """The engine for whole frames, if this role has one."""
        return None if self.role == "sgie" else Gie(1 if self.gie_id is None else self.gie_id)

    @property
    def secondary(self) -> Gie | None:
        """The engine for objects, if this role has one."""
        if self.role == "pgie":
            return None
        if self.primary:
            own, others = self.primary.id + 1, self.primary.id
        else:
            own, others = 2 if self.gie_id is None else self.gie_id, 1
        if self.operate_on_gie_id is not None:
            others = self.operate_on_gie_id
        return Gie(own, others, self.min_size)

    def fitting(self, framing: Framing | None, *, for_objects: bool = False) -> Emit:
        """This, or for a model that takes whole frames its primary role alone.

        Args:
            for_objects: there is one of the model's own size, too.

        Raises:
            PresetError: it is to be secondary.
        """
        if framing is None or not framing.crops or self.role == "pgie" or for_objects:
            return self
        if self.role == "sgie":
            raise PresetError(
                f"the model was made for whole frames of {framing.frame}, not for the objects a secondary engine looks "
                "at",
                hint="adapt it without --frame, or emit it with --role pgie",
            )
        return replace(self, role="pgie", operate_on_gie_id=None)

    def plan(
        self,
        export_name: str,
        framing: Framing | None = None,
        *,
        for_objects: bool = False,
        counted: Counting | None = None,
    ) -> tuple[str, ...]:
        """Names of the files a bundle of that name gets, in the order they are written; arguments as `fitting` has.

        Args:
            counted: as `counting` gives it.
        """
        if (fitting := self.fitting(framing, for_objects=for_objects)) is not self:
            return fitting.plan(export_name, framing, counted=counted)
        names, onnx = bundle.bundle_names(export_name), onnx_file(export_name, framing)
        models = dict.fromkeys((onnx, names.onnx if for_objects and self.secondary else onnx))
        configs = [*([names.primary] if self.primary else []), *([names.secondary] if self.secondary else [])]
        tables = [names.calibration] if self.mode == "int8" else []
        if counted:
            configs += [names.analytics] if counted.counts else []
            configs += [names.tracker] if counted.writes_tracker(self.where) else []
        return (*models, names.labels, *tables, *configs, names.app, *_scripts(models), bundle.RUN, REPORT)

    def counting(self, export: Export, framing: Framing | None, box: float | None) -> Counting | None:
        """What the app counts; arguments and errors as `analytics.counting` has."""
        recorded = export.metadata
        if not self.primary or not (self.line or self.zone or recorded.tracking or recorded.segments):
            return None
        from convert.emit.analytics import counting  # few apps count

        size = self.canvas.pixels if self.canvas else self.frame_size(framing.frame if framing else None)
        return counting(export, framing, size, box or 1, (self.line, self.zone, self.overcrowding))

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - every stage takes one
        """Write the folder.

        Raises:
            InputError: a label cannot be written to a label file.
            PresetError: the head cannot be expressed for this target; the model is none of codes, and precision int8.
            OutputError: the folder cannot be written; files of an earlier run are then intact.
        """
        assert isinstance(artifact, Validated)
        adapted = artifact.adapted
        framing = adapted.preprocessing.framing
        fitting = self.fitting(framing, for_objects=adapted.for_objects is not None)
        files = fitting.files(adapted, effect=artifact.evidence.framing)
        found = fitting.findings(adapted, artifact.evidence)
        if framing and fitting is not self:
            message = (
                f"only the config for a primary engine was written: the model takes whole frames of {framing.frame}"
            )
            found += (bundle.SECONDARY_LEFT_OUT.found(message),)
        report = partial(report_document, artifact, fitting.options(), findings=found)
        written, around = bundle.write_bundle(self.folder, adapted.export.name, files, report)
        return StageResult(Bundle(str(self.folder), adapted.export.name, written), written, (*found, *around))

    def models(self, adapted: Adapted) -> tuple[Adapted, ...]:
        """Those that are shipped: one, or the primary engine's and that without the crop."""
        other = adapted.for_objects if self.primary and self.secondary else None
        return (adapted, other) if other else (adapted,)

    def files(
        self, adapted: Adapted, size: tuple[int, int] | None = None, effect: FrameEffect | None = None
    ) -> dict[str, bytes]:
        """Name and content of every file but the report, in the order of `plan`; raises as the stage does.

        Args:
            size: width and height of the app's frames, where another model decides them.
            effect: what was measured of cropping, for RUN.md.
        """
        framing = adapted.preprocessing.framing
        assert self.fitting(framing, for_objects=adapted.for_objects is not None) is self
        names = bundle.bundle_names(adapted.export.name)
        preset = preset_for(adapted.head, self.where)
        models = self.models(adapted)
        engines = {each.file: self.engine(each) for each in models}
        engine = engines[adapted.file]
        text = bundle.label_file(adapted.head.labels, preset.labels, adapted.export.labels_from)
        if self.precision == "int8" and not bundle.has_codes(adapted.onnx.data):
            message = f"{adapted.file} is no model of 8-bit codes"
            raise PresetError(message, hint="give --precision int8 to translate and adapt, too, or use convert")
        files = {each.file: each.onnx.data for each in models} | {names.labels: text}
        if self.mode == "int8":
            files[names.calibration] = load_text(bundle.CALIBRATION).encode()
        frame = framing.frame if framing else None
        size = size or self.frame_size(frame)
        for name, gie, model in (
            (names.primary, self.primary, models[0]),
            (names.secondary, self.secondary, models[-1]),
        ):
            if gie:
                files[name] = infer_file(model, preset, self.where, gie, engines[model.file], names.labels, size)
        counted = self.counting(adapted.export, framing, adapted.head.box)
        if counted:
            from convert.emit.analytics import analytics_file, tracker_file

            if counted.counts:
                files[names.analytics] = analytics_file(counted)
            if counted.writes_tracker(self.where):
                files[names.tracker] = tracker_file(counted.tracking, self.where)
        tracks = counted is not None
        app = self.app(adapted.export.name, files, size, frame, tracks=tracks, secondary_off=preset.secondary_off)
        files[names.app] = app_file(app, engine, self.where)
        scripts = _scripts(engines)
        for each, script in zip(models, scripts, strict=False):
            files[script] = bundle.build_script(engines[each.file], each.onnx.input, self.where, script)
        if len(models) > 1:
            files[bundle.SCRIPT] = _both(scripts[:-1])
        detects = head(adapted.head.task).detects and self.primary is not None
        about = Instructions(
            *(adapted.export.name, app, {names.labels: preset.labels}, detects, self.gpu_id, framing, effect),
            primary_script=scripts[0] if len(models) > 1 else "",
        )
        files[bundle.RUN] = run_md(about, self.where)
        return files

    def app(
        self, name: str, files: Container[str], size: tuple[int, int], frame: Frame | None, *, tracks: bool, **own: Any
    ) -> App:
        """The app of the bundle `name`, which holds `files`; `own`: fields of `App` that are otherwise."""
        names = bundle.bundle_names(name)
        counts, follows = (each if each in files else "" for each in (names.analytics, names.tracker))
        gies = self.primary, self.secondary, names.primary, names.secondary
        app = App(names.app, *gies, size, self.frames_from, self.sink, frame, tracks, counts, follows)
        return replace(app, **own)

    def engine(self, adapted: Adapted) -> bundle.EngineBuild:
        """The engine of a model."""
        return bundle.EngineBuild(adapted.file, self.batch_size, self.gpu_id, self.mode)

    def frame_size(self, frame: Frame | None) -> tuple[int, int]:
        """Width and height of the app's frames, pixels; `frame` is what the primary model was made for."""
        return (self.frames_from or sample(self.where)).size(frame)

    def findings(self, adapted: Adapted, evidence: Evidence) -> tuple[Finding, ...]:
        """What is questionable in the files themselves, and in FP16."""
        where, names = self.where, bundle.bundle_names(adapted.export.name)
        found = list(bundle.label_findings(adapted.head.labels, names.labels))
        before = adapted.preprocessing
        if before.maintain_aspect_ratio and before.symmetric_padding and not reads_key(where, "symmetric-padding"):
            found.append(
                bundle.NO_CENTRED_PADDING.found(
                    f"DeepStream {where.deepstream} pads at the right and the bottom only; the model was trained with "
                    "bars on both sides",
                    path=names.primary if self.primary else names.secondary,
                    hint="use --target deepstream-6.0 or newer",
                )
            )
        lowest, highest = opsets(where.tensorrt)
        hint = f"--opset {min(max(adapted.onnx.opset, lowest), highest)}"
        found += bundle.parser_findings(adapted.onnx, adapted.file, where, hint)
        if counted := self.counting(adapted.export, before.framing, adapted.head.box):
            from convert.emit.analytics import counting_findings

            found += counting_findings(counted, adapted.export.metadata, where, names.analytics)
        if self.precision == "fp16":
            half = next((each for each in evidence.precisions if each.precision == "fp16"), None)
            found.append(self._half(half))
        found += bundle.unverified_findings(where, {"tensorrt": bundle.SCRIPT, "keys": names.app})
        if not self.primary:
            found.append(
                bundle.SAMPLE_DETECTOR.found(
                    f"the primary engine of the app is the SDK's sample, {sdk_path(where, 'sample-detector')}",
                    path=names.app,
                    hint="put your own detector into [primary-gie]",
                )
            )
        return tuple(found)

    def _half(self, half: PrecisionEvidence | None) -> Finding:
        """What FP16 changes, where that was measured on the CPU."""
        if half is None or half.agreement is None:
            text = "the measured differences are those of FP32; the engine will be FP16"
            return bundle.FP16.found(text, path=bundle.SCRIPT)
        measured = half.agreement
        shown = "" if half.shown is None else f" ({half.shown} show an object)"
        message = (
            f"rounded to float16 the model decides as in float32 on {measured.top1:.1%} of {measured.inputs:,} inputs"
            f"{shown}; scores differ by up to {measured.max_abs_diff:.2g}"
        )
        if half.is_good:
            return bundle.FP16.found(message, path=bundle.SCRIPT)
        if half.overflow:
            others = len(half.overflow) - 1
            more = f" and {others} more {'node' if others == 1 else 'nodes'}" if others else ""
            message = f"beyond 65504, the largest number of float16: {half.overflow[0]}{more}; {message}"
        hint = "use --precision fp32"
        if flags := float32_flags(self.where.tensorrt, half.keep):
            hint += f", or build the engine with these options added: ./{bundle.SCRIPT} {flags}"
        return bundle.FP16_DIFFERS.found(message, path=bundle.SCRIPT, hint=hint)

    def options(self) -> dict[str, Any]:
        """The options as they were understood, without the folder."""
        primary, secondary = self.primary, self.secondary
        return {
            "role": self.role,
            "batch_size": self.batch_size,
            "precision": self.precision,
            "gie_id": {"primary": primary and primary.id, "secondary": secondary and secondary.id},
            "operate_on_gie_id": secondary and secondary.operate_on,
            "target": self.where.name,
            "platform": self.platform,
            "gpu_id": self.gpu_id,
            "min_size": secondary and (self.min_size or self.where.min_object_size),
            "source": self.frames_from and self.frames_from.shown,
            "sink": self.sink,
            **({"line": list(map(str, self.line))} if self.line else {}),
            **({"zone": list(map(str, self.zone)), "overcrowding": self.overcrowding} if self.zone else {}),
        }


_ONCE = {bundle.SAMPLE_DETECTOR.id, bundle.TARGET_NOT_VERIFIED.id}
"""Findings about the whole target, reported for the primary model only, and EI505, which does not hold here."""


@dataclass(frozen=True, slots=True)
class ValidatedPair:
    """Two validated models.

    Attributes:
        primary: a detector.
        secondary: the model for its objects, a classifier as a rule.
    """

    primary: Validated
    secondary: Validated


@dataclass(frozen=True, slots=True)
class EmitPair(_Options):
    """Write the bundle of two models.

    Attributes:
        object_batch_size: of the secondary engine, objects at a time. NVIDIA's own cascades have 16.

    Raises:
        PresetError: options that do not exist or do not fit together.
    """

    object_batch_size: int = 16

    def __post_init__(self) -> None:
        _ = self.primary, self.secondary  # they check their options

    @property
    def primary(self) -> Emit:
        """The stage of the detector alone."""
        return self._emit(role="pgie")

    @property
    def secondary(self) -> Emit:
        """The stage of the model for its objects alone."""
        first, nothing = self.gie_id or 1, {"line": (), "zone": (), "overcrowding": None, "canvas": None}
        ids = {"gie_id": first + 1, "operate_on_gie_id": first}
        return self._emit(role="sgie", batch_size=self.object_batch_size, **ids, **nothing)

    def plan(
        self, primary: str, secondary: str, framing: Framing | None = None, *, counted: Counting | None = None
    ) -> tuple[str, ...]:
        """Names of the files that two exports of these names get, in the order they are written.

        Args:
            framing: of the primary one, which takes whole frames.
            counted: what the app counts.
        """
        names = self._names(primary, secondary, framing)
        plans = self.primary.plan(names[0], framing, counted=counted), self.secondary.plan(names[1])
        parts = tuple(map(_own, plans, names))
        return (*parts[0], *parts[1], _app_name(*names), *map(_script_name, names), bundle.SCRIPT, bundle.RUN, REPORT)

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - every stage takes one
        """Write the folder for a `ValidatedPair`.

        Raises:
            InputError: a label cannot be written to a label file.
            PresetError: the first model finds no objects, or a head cannot be expressed for this target.
            OutputError: the folder cannot be written; files of an earlier run are then intact.
        """
        assert isinstance(artifact, ValidatedPair)
        refuse_no_objects(artifact.primary.adapted.head.task)
        first, second = artifact.primary.adapted, artifact.secondary.adapted
        names = self._names(first.export.name, second.export.name, first.preprocessing.framing)
        pair = ValidatedPair(*map(_renamed, (artifact.primary, artifact.secondary), names))
        files = self._files(pair)
        found = self._findings(pair)
        parts = ((pair.primary, self.primary.options()), (pair.secondary, self.secondary.options()))
        written, stale = bundle.write_bundle(self.folder, None, files, partial(app_report, *parts, findings=found))
        return StageResult(Bundle(str(self.folder), "-".join(names), written), written, (*found, *stale))

    def _emit(self, **own: Any) -> Emit:
        return Emit(**{each.name: getattr(self, each.name) for each in fields(_Options)} | own)

    def _names(self, primary: str, secondary: str, framing: Framing | None) -> tuple[str, str]:
        """Two impulses of one project have the same name; files cannot."""
        taken = {primary, onnx_file(primary, framing).removesuffix(".onnx")}
        return primary, f"{secondary}-objects" if secondary in taken else secondary

    def _files(self, pair: ValidatedPair) -> dict[str, bytes]:
        """Name and content of every file but the report."""
        files: dict[str, bytes] = {}
        scripts: dict[str, bytes] = {}
        engines, labels = [], {}
        framing = pair.primary.adapted.preprocessing.framing
        frame = framing.frame if framing else None
        size = self.primary.frame_size(frame)
        for emit, validated in ((self.primary, pair.primary), (self.secondary, pair.secondary)):
            adapted = validated.adapted
            names = bundle.bundle_names(adapted.export.name)
            written = emit.files(adapted, size)
            files |= {each: written[each] for each in _own(tuple(written), adapted.export.name)}
            engine = emit.engine(adapted)
            script = _script_name(adapted.export.name)
            scripts[script] = bundle.build_script(engine, adapted.onnx.input, emit.where, script)
            engines.append(engine)
            labels[names.labels] = preset_for(adapted.head, emit.where).labels
        both = [validated.adapted.export.name for validated in (pair.primary, pair.secondary)]
        first = pair.primary.adapted
        app = self.primary.app(
            *(both[0], files, size, frame),
            tracks=self.primary.counting(first.export, framing, first.head.box) is not None,
            file=_app_name(*both),
            secondary=self.secondary.secondary,
            secondary_file=bundle.bundle_names(both[1]).secondary,
            secondary_engine=engines[1],
        )
        files[app.file] = app_file(app, engines[0], self.primary.where)
        effect = pair.primary.evidence.framing
        about = Instructions("-".join(both), app, labels, True, self.gpu_id, framing, effect)  # noqa: FBT003 - it detects
        return {**files, **scripts, bundle.SCRIPT: _both(scripts), bundle.RUN: run_md(about, self.primary.where)}

    def _findings(self, pair: ValidatedPair) -> tuple[Finding, ...]:
        first, second = (
            emit.findings(each.adapted, each.evidence)
            for emit, each in ((self.primary, pair.primary), (self.secondary, pair.secondary))
        )
        return (*first, *(each for each in second if each.id not in _ONCE and each not in first))


def refuse_no_objects(task: str) -> None:
    """Raise PresetError where a model for `task` finds no objects, and cannot be the primary one of two."""
    if not head(task).detects:
        message = "the primary model is a classifier: it finds no objects that another model could look at"
        raise PresetError(message, hint="give a detector (FOMO, YOLOv5, SSD, ...) as the primary one")


def _own(files: tuple[str, ...], name: str) -> tuple[str, ...]:
    """Of the files of the model `name` those that stay its own: all before the app's config."""
    return files[: files.index(bundle.bundle_names(name).app)]


def _app_name(primary: str, secondary: str) -> str:
    return f"deepstream_app_{primary}_{secondary}.txt"


def _script_name(name: str) -> str:
    return f"build_engine_{name}.sh"


def _scripts(models: Iterable[str]) -> tuple[str, ...]:
    """The scripts of a bundle with these ONNX files; of several one for each, and one that starts them."""
    each = tuple(_script_name(model.removesuffix(".onnx")) for model in models)
    return (*each, bundle.SCRIPT) if len(each) > 1 else (bundle.SCRIPT,)


def _both(scripts: Iterable[str]) -> bytes:
    return load_text("bundle/build_both.sh").format(*map(shlex.quote, scripts)).encode()


def _renamed(validated: Validated, name: str) -> Validated:
    adapted = validated.adapted
    export = replace(adapted.export, name=name)
    return replace(validated, adapted=replace(adapted, translated=replace(adapted.translated, export=export)))
