"""Runs the stages in order: unpack, translate, adapt, validate, emit.

`stages` makes the tuple of stages from options. `run` executes it or, in a dry run, plans it: the export is read and
refusals are real, but nothing is translated, measured or written. `convert` does either for one export, or for two that
go into one app: a detector for whole frames and a model for the objects it finds, each with evidence of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from convert import errors, files, heads, images
from convert.compare.stage import WithComparison
from convert.emit import Emit, EmitPair, ValidatedPair, config, refuse_no_objects
from convert.emit.streams import Source, parse_source
from convert.export.unpack import Unpack
from convert.findings import Finding, Level, Rule, worst
from convert.graph.adapt import Adapt
from convert.graph.preprocessing import crop_to
from convert.isolation import SENT, Died, InProcessWorker, TemporaryFolder, Worker
from convert.nvinfer.targets import opsets, target
from convert.nvinfer.tensorrt import pads_with_any
from convert.options import PLATFORM, RELEASE, refuse_contradictions, refuse_unknown
from convert.translate import Translate
from convert.translate import died as translation_died
from convert.types import Adapted, Export, Stage, StageResult, Translated, Validated, ValidatedImpulse
from convert.validate import KERNELS, Validate, WithFraming

if TYPE_CHECKING:
    Options = Mapping[str, Any]


CHOSEN = Rule("EI513")

_T = TypeVar("_T")


class Status(StrEnum):
    """What became of a stage."""

    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    PLANNED = "planned"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Record:
    """One stage of a run; `seconds` is wall time and never part of a file we write."""

    name: str
    status: Status
    seconds: float = 0.0
    outputs: tuple[files.Output, ...] = ()
    findings: tuple[Finding, ...] = ()


Event = Record
"""What an observer gets: a record with status `started`, then one with the outcome of the stage."""


@dataclass
class Run:
    """The result of running some stages.

    Attributes:
        artifacts: the start artifact and what every finished stage returned, in order.
        error: what ended the run, where something did.
        secondary: the run of the second export, where two go into one app.
    """

    artifacts: list[object]
    records: list[Record] = field(default_factory=list)
    error: errors.ConvertError | None = None
    secondary: Run | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of all stages, in order."""
        return tuple(finding for record in self.records for finding in record.findings)

    @property
    def outputs(self) -> tuple[files.Output, ...]:
        """Files written (in a dry run: to be written), in order."""
        return tuple(output for record in self.records for output in record.outputs)

    @property
    def is_good(self) -> bool:
        """No error, and no finding of level error."""
        return self.error is None and worst(self.findings) is not Level.ERROR

    def last(self, kind: type[_T]) -> _T | None:
        """The newest artifact of that kind."""
        return next((artifact for artifact in reversed(self.artifacts) if isinstance(artifact, kind)), None)


def ignore(_event: Event) -> None:
    """No-op observer."""


# Options -> stages


def pick(kind: type[Any], options: Options) -> dict[str, Any]:
    """Those of `options` that are fields of the stage `kind`."""
    return {each.name: options[each.name] for each in fields(kind) if each.name in options}


def _with_canvas(options: Options) -> dict[str, Any]:
    """With the frames that lines in pixels are drawn on."""
    frame = options.get("frame")
    return {**options, "canvas": frame if isinstance(frame, images.Frame) and frame.in_pixels else None}


def unpacking(
    options: Options,
    worker: Worker | None = None,
    meanwhile: Callable[[Export], None] | None = None,
    *,
    whole: bool = False,
) -> Stage:
    """The stage `unpack`; with `dequantize` a rewritten model is measured (in a new process without a worker), and what
    `meanwhile` begins is done beside it. `whole` as in `Unpack`."""
    unpack = Unpack(**pick(Unpack, options), whole=whole)
    if not unpack.dequantize or unpack.precision == "int8":  # codes are measured as they are shipped (`validate`)
        return unpack
    from convert.agreement import TIMEOUT, WithAgreement  # the stage alone, as a rule, does without

    given = pick(WithAgreement, {**options, "timeout": max(TIMEOUT, options.get("timeout", TIMEOUT))})
    return WithAgreement(unpack, as_primary=options.get("role") != "sgie", worker=worker, meanwhile=meanwhile, **given)


def adapting(options: Options, *, one: bool = False) -> Adapt:
    """The stage `adapt`. With `--frame auto` frames have the aspect of the app's own, where it has a primary engine.

    Args:
        one: no second network, for objects, which role both otherwise gets.
    """
    role, frame = options.get("role", "both"), options.get("frame", "auto")
    is_assumed = frame == "auto"
    if is_assumed:
        source = options.get("source")
        frame = (parse_source(source, options.get("platform", PLATFORM)) if source else Source("file")).usual
    chosen = {
        "frame": None if frame == "none" or role == "sgie" else frame,
        "frame_assumed": is_assumed,
        "for_objects": role == "both" and not one,
        "tracked": bool(options.get("line") or options.get("zone")),
    }
    at = target(options.get("target", RELEASE), options.get("platform", PLATFORM))
    chosen["pads"] = pads_with_any(at)
    return Adapt(**pick(Adapt, {**options, **chosen}), no_suppression=partial(config.no_suppression, target=at))


def proving(options: Options, worker: Worker) -> Stage:
    """The stage `validate`; for a model trained on cropped pictures the effect of cropping is measured, too."""
    ordinary = Validate(**pick(Validate, options), worker=worker)
    return WithFraming(ordinary, images=options.get("images"), worker=worker)


def stages(
    output: Path | None, options: Options, worker: Worker, first: Emit | None = None, *, beside: Worker | None = None
) -> tuple[Stage, ...]:
    """All five stages, sharing `worker`, which the caller closes; without `output` the four before `emit`, of a pair.

    Args:
        first: of two exports for one app, what writes the files of this one, the first.
        beside: a second process, which the caller closes, too: a quantized model is measured there while `worker`
            translates it already. Small models are then adapted and validated in `worker`, not here.

    Raises:
        PresetError: options that do not exist or do not fit together.
    """
    refuse_unknown(options, _KNOWN)
    at = target(options.get("target", RELEASE), options.get("platform", PLATFORM))
    if options.get("opset") is None:
        # TensorRT 8 and everything after it reads 13; an older one gets the newest it was made for.
        options = {**options, "opset": min(13, opsets(at.tensorrt)[1])}
    emit = first
    if output is not None:
        refuse_contradictions(options)
        emit = Emit(output, **pick(Emit, _with_canvas(options)))
    translate = Translate(**pick(Translate, options), worker=worker)
    whole = output is not None
    unpack, proof = unpacking(options, worker, whole=whole), proving(options, worker)
    adapt: Stage = adapting(options, one=output is None)
    if beside is not None:
        unpack = unpacking(options, beside, translate.ahead, whole=whole)
        adapt = InWorker(adapt, adapt, worker)
        proof = InWorker(proof, proving(options, InProcessWorker()), worker)
    if emit is not None:
        proof = WithComparison(proof, emit, options.get("images"), worker=worker, beside=beside)
    made = (unpack, translate, adapt, proof)
    return made if output is None or emit is None else (*made, emit)


@dataclass(frozen=True, slots=True)
class InWorker:
    """A stage behind `translate` that the worker does, which has imported most of what it takes.

    Attributes:
        here: the stage for models of more than `SENT` bytes, which this process does.
        there: for others, with an `InProcessWorker`.
        worker: what does it.
    """

    here: Stage
    there: Stage
    worker: Worker

    @property
    def name(self) -> str:
        """Of the stage."""
        return self.here.name

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """As the stage; the end of the worker is an error as it is without one."""
        assert isinstance(artifact, Translated | Adapted)
        if artifact.onnx.size > SENT:
            return self.here(artifact, workdir)
        try:
            result: StageResult = self.worker.apply(self.there, artifact, workdir)
        except Died as death:
            if error := died(death, death.function):
                raise error from death
            hint = "if memory ran out, make room; otherwise report the model"
            raise errors.ValidationError(f"the stage {self.name} ended: {death.reason}", hint=hint) from death
        return result


def died(death: Died, function: str) -> errors.ConvertError | None:
    """What the end of a process means that was calling `function`; None where that is not known."""
    if function.startswith("convert.translate."):
        return translation_died(death)
    if function.startswith(("convert.agreement", "convert.validate.", "convert.heads.")):
        from convert.validate.runtimes import died as crashed  # imports numpy

        return crashed(death, "ONNX Runtime" if function.endswith(":run_onnx_reference") else "LiteRT")
    return None


_STAGES: tuple[type[Any], ...] = (Unpack, Translate, Adapt, Validate, Emit, EmitPair)
_OWN = {"folder", "no_suppression", "pads", "worker", "frame_assumed", "for_objects", "tracked", "whole", "canvas"}
_FIELDS = frozenset(each.name for kind in _STAGES for each in fields(kind))
_KNOWN = _FIELDS - _OWN | {"sgie_labels", "samples", "sdk_log", "rounding"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """The stage `emit` of `--precision auto`.

    Attributes:
        emit: with precision "int8", which has passed, or "fp16", which becomes "fp32" where too much changes.
        refused: why it is not INT8.
        found: by the stages before.
    """

    emit: Emit
    refused: str
    found: tuple[Finding, ...]

    @property
    def name(self) -> str:
        """Of the stage."""
        return self.emit.name

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """As `emit`, with a finding more (EI513)."""
        assert isinstance(artifact, Validated)
        emit = self.emit
        row = next(each for each in artifact.evidence.precisions if each.precision == emit.precision)
        assert row.agreement is not None
        shown = "" if row.shown is None else f" ({row.shown} show an object)"
        same = f"the same decision on {row.agreement.top1:.1%} of {row.agreement.inputs:,} inputs{shown}"
        if codes := artifact.evidence.int8:
            same += f" as the original, whose own two kernels agree on {codes.kernels.top1:.1%}"
        if emit.precision == "fp16" and row.shown == 0:
            emit = replace(emit, precision="fp32")
            same = f"FP16 was not judged: none of {row.agreement.inputs:,} inputs shows an object (give --images)"
        elif emit.precision == "fp16" and not row.is_good:
            emit = replace(emit, precision="fp32")
            beyond = f"results of {row.overflow[0]} beyond 65504, and " if row.overflow else ""
            same = f"FP16 would have {beyond}{same}"
        why = f"{same}; {self.refused}" if self.refused else same
        chosen = CHOSEN.found(f"{emit.precision.upper()}: {why}")
        result = emit(replace(artifact, findings=(*self.found, chosen)), workdir)
        return replace(result, findings=(chosen, *result.findings))


def _fastest(
    exports: Sequence[Path],
    output: Path,
    options: Options,
    worker: Worker,
    observer: Callable[[Event], None],
    *,
    dry: bool,
    beside: Worker | None,
    any_kind: bool,
) -> Run:
    """`convert` with `--precision auto`, of one export; a dry run plans FP16, whose files are those of FP32."""
    export, refused, tried = exports[0], "", None
    if len(exports) > 1:
        raise errors.PresetError("--precision auto is for one export", hint="give --precision fp32, fp16 or int8")
    try:
        files.refuse_folder(output, exports)
    except errors.ConvertError as error:  # before anything that takes long
        return Run([export], [Record(Emit.name, Status.FAILED)], error)
    if dry:
        return convert(exports, output, {**options, "precision": "fp16"}, worker, observer, dry=True)
    found = _unpacked(export, options)
    if found is not None and found.impulse is not None and any_kind:
        return convert(exports, output, {**options, "precision": "fp32"}, worker, observer, any_kind=True)
    if found is not None and found.impulse is not None:
        raise errors.PresetError("an impulse of sound or sensor data is built in FP32", hint="leave out --precision")
    if found is not None and heads.is_quantized(found):
        try:
            *proof, emit = stages(output, {**options, "precision": "int8"}, worker, beside=beside)
        except errors.PresetError as error:  # the target runs no INT8; another error comes again below
            refused = f"no INT8: {error.message}"
        else:
            done = run(proof, export, observer)
            worse = [each.message for each in done.findings if each.id == KERNELS.id or each.level is Level.ERROR]
            tried = done.last(Validated)
            if tried is not None and any(each.shown == 0 for each in tried.evidence.precisions):
                worse.append("none of the inputs shows an object (give --images)")
            if done.error is None and not worse:
                return _emitted(done, emit, refused, observer)
            refused = f"no INT8: {done.error.message if done.error else worse[0]}"
    *proof, emit = stages(output, {**options, "precision": "fp16"}, worker, beside=beside)
    done = run(proof, export, observer)
    if tried is not None and done.is_good and (validated := done.last(Validated)):
        whole, half, unmeasured = validated.evidence.precisions
        codes = (*tried.evidence.precisions[2:], unmeasured)[0]
        evidence = replace(validated.evidence, precisions=(whole, half, codes))
        done.artifacts[-1] = replace(validated, evidence=evidence)
    return _emitted(done, emit, refused, observer)


def _emitted(done: Run, emit: Stage, refused: str, observer: Callable[[Event], None]) -> Run:
    """`done`, and the bundle where it is good."""
    validated = done.last(Validated)
    if not done.is_good or validated is None:
        done.records.append(Record(emit.name, Status.SKIPPED))
        return done
    assert isinstance(emit, Emit)
    last = run((Chosen(emit, refused, done.findings),), validated, observer)
    return replace(
        done, artifacts=[*done.artifacts, *last.artifacts[1:]], records=[*done.records, *last.records], error=last.error
    )


def _unpacked(export: Path, options: Options) -> Export | None:
    """What is converted; None where something is wrong with the export, which is said later."""
    given = {**pick(Unpack, options), "dequantize": False, "precision": "fp32", "whole": True}
    try:
        found = Unpack(**given)(export, Path()).artifact
    except errors.ConvertError:
        return None
    return found if isinstance(found, Export) else None


# Running stages


def run(
    stages: Sequence[Stage],
    artifact: object,
    observer: Callable[[Event], None] = ignore,
    *,
    dry: bool = False,
    after: Run | None = None,
) -> Run:
    """Run `stages` in order, starting with `artifact`.

    Ends at the first `ConvertError` (kept in the result, not raised) or at a stage with a finding of level error: what
    is known to be wrong is not handed on.

    Args:
        dry: translate, measure and write nothing: unknown results are planned, refusals are real.
        after: go on with it, behind its last artifact; it is changed.
    """
    result = Run([artifact]) if after is None else after
    with TemporaryFolder() as workdir:
        for stage in stages:
            if not result.is_good:
                record = Record(stage.name, Status.SKIPPED)
            else:
                observer(Record(stage.name, Status.STARTED))
                item = result.artifacts[-1]
                if isinstance(item, Validated | ValidatedImpulse):  # the report lists the findings of all stages
                    item = replace(item, findings=result.findings)
                start = time.perf_counter()
                try:
                    done = _plan(stage, item, stages) if dry else stage(item, workdir)
                except errors.ConvertError as error:
                    result.error = error
                    record = Record(stage.name, Status.FAILED, time.perf_counter() - start)
                else:
                    good = Status.PLANNED if dry else Status.DONE
                    status = Status.FAILED if worst(done.findings) is Level.ERROR else good
                    if isinstance(done.artifact, Adapted):  # a large model is in memory often enough
                        result.artifacts[-1] = item = done.artifact.translated
                    result.artifacts.append(done.artifact)
                    record = Record(stage.name, status, time.perf_counter() - start, done.outputs, done.findings)
            result.records.append(record)
            observer(record)
    return result


def _plan(stage: Stage, artifact: object, stages: Sequence[Stage]) -> StageResult:
    """The result of `stage` as far as it is known without running it; the export is handed on unchanged."""
    stage = getattr(stage, "unpack", stage)  # of `WithAgreement`
    if isinstance(stage, Unpack):
        return stage(artifact, Path())
    assert isinstance(artifact, Export)
    if artifact.impulse is not None:
        from convert.impulse import plan  # few exports are one

        return plan(stage, artifact)
    if isinstance(stage, Translate):
        heads.refuse_unsupported(artifact)
    elif isinstance(stage, Emit):
        adapt = next(each for each in stages if isinstance(each, Adapt))
        framing = crop_to(artifact, adapt.frame, resize=adapt.resize)
        counted = stage.counting(artifact, framing, adapt.least_box(artifact))
        names = stage.plan(artifact.name, framing, for_objects=adapt.for_objects, counted=counted)
        return StageResult(artifact, tuple(files.Output(str(stage.folder / name), None) for name in names))
    return StageResult(artifact)


# Whole conversions

_OF_PRIMARY = frozenset(
    {"model", "bundle_name", "labels", "task", "resize_mode", "image_scaling", "frame", "resize", "threshold"}
    | {"fomo_box", "line", "zone", "overcrowding"}
)
"""Options about one export: of two they are about the first; `sgie_labels` are the second's."""


def convert(
    exports: Sequence[Path],
    output: Path,
    options: Options,
    worker: Worker,
    observer: Callable[[Event], None] = ignore,
    *,
    dry: bool = False,
    beside: Worker | None = None,
    any_kind: bool = False,
) -> Run:
    """Convert one export, or a detector's and that of the model for its objects, into the folder `output`.

    Args:
        exports: one path, or two; of two, `Run.secondary` is the second's run.
        options: fields of the stages, by name.
        worker: the process that tf2onnx and LiteRT run in; the caller closes it.
        dry: only plan, see `run`.
        beside: see `stages`.
        any_kind: the options are for exports of any kind: those that do not apply to this one are no error.

    Raises:
        PresetError: options that do not exist, or do not fit together or this export. Every other error is in the
            result.
    """
    beside = None if dry else beside
    if options.get("precision") == "auto":
        return _fastest(exports, output, options, worker, observer, dry=dry, beside=beside, any_kind=any_kind)
    if len(exports) == 1:
        made = stages(output, options, worker, beside=beside)
    else:
        emit = EmitPair(output, **pick(EmitPair, _with_canvas(options)))
        made = stages(None, options, worker, emit.primary, beside=beside)
    try:
        files.refuse_folder(output, exports)
        # What else is wrong with the first of two exports is said later.
        if len(exports) > 1 and (found := _unpacked(exports[0], options)) is not None and found.impulse is None:
            refuse_no_objects(found.facts.task)
    except errors.ConvertError as error:  # before anything that takes long
        return Run([exports[0]], [Record(Emit.name, Status.FAILED)], error)
    if len(exports) == 1:
        first = run(made[:1], exports[0], observer, dry=dry)
        found = first.last(Export)
        rest = made[1:]
        if found is not None and found.impulse is not None:
            from convert.impulse import stages as impulse_stages

            rest = impulse_stages(output, options, worker, any_kind=any_kind)
        elif found is not None and not any_kind:
            _refuse_of_impulses(options)
        return run(rest, exports[0], observer, dry=dry, after=first)
    _refuse_of_impulses(options)
    second_options = {name: value for name, value in options.items() if name not in _OF_PRIMARY}
    second_options |= {"labels": options.get("sgie_labels"), "frame": "none"}
    proofs = [made, stages(None, second_options, worker, beside=beside)]
    first = run(proofs[0], exports[0], observer, dry=dry)
    if not (dry or first.is_good):
        return first
    second = _with_its_option(run(proofs[1], exports[1], observer, dry=dry))
    merged = replace(
        first, records=[*first.records, *second.records], error=first.error or second.error, secondary=second
    )
    if dry and first.is_good and second.is_good:
        primary, secondary = (export for each in (first, second) if (export := each.last(Export)))
        adapt = adapting(options, one=True)
        framing = crop_to(primary, adapt.frame, resize=adapt.resize)
        counted = emit.primary.counting(primary, framing, adapt.least_box(primary))
        names = emit.plan(primary.name, secondary.name, framing, counted=counted)
        outputs = tuple(files.Output(str(emit.folder / name), None) for name in names)
        merged.records.append(Record(emit.name, Status.PLANNED, outputs=outputs))
    if dry or not second.is_good:
        return merged
    last = run((emit,), ValidatedPair(_validated(first), _validated(second)), observer)
    artifacts, records = [*merged.artifacts, *last.artifacts], [*merged.records, *last.records]
    return replace(merged, artifacts=artifacts, records=records, error=last.error)


def _refuse_of_impulses(options: Options) -> None:
    """Raise PresetError where options of sound and sensor data are given for a model of pictures."""
    for option, value in (("--samples", options.get("samples")), ("--sdk-log", options.get("sdk_log"))):
        if value:
            raise errors.PresetError(f"{option} does not apply to an export of pictures", hint=f"leave out {option}")


def _with_its_option(run: Run) -> Run:
    """The run of a second export, with `--sgie-labels` where messages name the option for labels."""

    def said(text: str | None) -> str | None:
        return text and text.replace("--labels", "--sgie-labels")

    def corrected(finding: Finding) -> Finding:
        return replace(finding, message=said(finding.message) or "", hint=said(finding.hint))

    records = [replace(each, findings=tuple(map(corrected, each.findings))) for each in run.records]
    error = run.error
    if error is not None:
        error = type(error)(said(error.message) or "", hint=said(error.hint), path=error.path, line=error.line)
    return replace(run, records=records, error=error)


def _validated(run: Run) -> Validated:
    validated = run.last(Validated)
    assert validated is not None
    return replace(validated, findings=run.findings)
