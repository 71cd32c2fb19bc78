"""`ei-deepstream convert` and `inspect`; the stages one by one, with files between them: `unpack` to `emit`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from convert.cli import command, own
from convert.cli import options as cli
from convert.errors import InputError, PresetError
from convert.files import Output, refuse_folder, write
from convert.findings import Level, Rule
from convert.options import FRAME, ConvertOptions, checked, refuse_contradictions
from convert.types import Adapted, Evidence, Export, OnnxModel, Stage, StageResult, Translated, Validated

if TYPE_CHECKING:
    from convert.images import Frame, Mark
    from convert.pipeline import Event


NOT_MEASURED = Rule("EI550")


@command("convert")
@click.argument("export", type=cli.ANY, metavar="[EXPORT]", required=False)
@own("pgie", type=cli.ANY)
@own("sgie", type=cli.ANY)
@cli.options(ConvertOptions, "object_batch_size", "sgie_labels", "samples", "sdk_log")
@cli.folder_option("The folder to write the bundle into.")
@cli.unpacking
@cli.translating
@cli.framing
@cli.adapting
@cli.validating
@cli.emitting
@own("dry-run")
@cli.depfile_option
@cli.common
def convert(
    export: Path | None,
    output: Path,
    pgie: Path | None,
    sgie: Path | None,
    *,
    dry_run: bool,
    format_: str,
    fail_on: Level,
    quiet: bool,
    **values: Any,
) -> int:
    """Turn an Edge Impulse export into a folder that DeepStream runs.

    EXPORT is a deployment .zip, a library folder (C++ or Arduino, also EON-compiled), a tflite-trained.h or
    tflite_learn_*.h, a .lite/.tflite from the Dashboard, an .onnx, or a SavedModel, .h5 or .keras (extra [tensorflow]);
    or studio:ID, a project in Edge Impulse's Studio (extra [studio]), whose key is read from EI_API_KEY or asked for.

    Of sound or sensor data it makes one ONNX of the whole impulse, samples in and scores out, for ONNX Runtime,
    TensorRT and Triton; options about pictures and Gst-nvinfer do not apply to it.

    With --pgie and --sgie, --model, --name, --labels, --task, --resize-mode, --image-scaling, --frame, --resize and
    --threshold are about the first.
    """
    if (pgie is None) != (sgie is None) or (export is None) == (pgie is None):
        raise click.UsageError("give one EXPORT, or two with --pgie and --sgie")
    values = cli.given(values)
    with cli.as_usage(": "):
        refuse_contradictions(values, pair=sgie is not None)
        cli.refuse_source(values)
    from convert.api import ignore, run_conversion  # --help does without

    def watching() -> contextlib.AbstractContextManager[Callable[[Event], None]]:
        if quiet or format_ == "json":
            return contextlib.nullcontext(ignore)
        from convert.render.text import progress  # imports while the worker does the same

        return progress()

    first = export or pgie
    assert first is not None
    run = run_conversion(
        first, output, sgie=sgie, dry_run=dry_run, watching=watching, studio=cli.studio_with_key, **values
    )
    return cli.finish(run, format_=format_, fail_on=fail_on, quiet=quiet, pictures=values.get("images"))


@command("inspect")
@click.argument("path", type=cli.ANY, metavar="PATH")
@own("drawn-frame", **cli.keywords(FRAME))
@cli.options(ConvertOptions, "line", "zone")
@own("picture", type=cli.EXISTING)
@own("page", type=cli.ANY)
@cli.common
def inspect(
    path: Path,
    *,
    output: Path | None,
    picture: Path | None,
    frame: Frame | None,
    format_: str,
    fail_on: Level,
    quiet: bool,
    **drawn: tuple[Mark, ...],
) -> int:
    """Say what a file or folder is, every model found in it, which one `convert` would take, and what is in the way.

    Reads and runs nothing; writes nothing but the page of -o. Exit code 0 also when there is nothing to convert: the
    answer is the result.
    """
    marks = (*drawn["line"], *drawn["zone"])
    with cli.as_usage(": "):
        refuse_contradictions({**drawn, "frame": frame})
        if picture is not None and not (marks and output):
            raise PresetError("--picture is what lines and zones are drawn on in the page", hint="give --line and -o")
    from convert import api  # brings numpy; --help does without
    from convert.render.inspection import inspection_document, show_inspection, write_page

    inspection = api.inspect(path)
    written = write_page(inspection, output, frame, marks, picture) if output else ()
    code = cli.exit_code(inspection.findings, fail_on)
    if format_ == "json":
        cli.write_json(inspection_document(inspection, code, frame, marks, written))
    elif not quiet:
        show_inspection(inspection, frame, marks, written)
    return code


@command("unpack")
@click.argument("export", type=cli.ANY, metavar="EXPORT")
@cli.folder_option("The folder for NAME.tflite and metadata.json.")
@cli.naming
@own("kept-codes", **cli.declaration(ConvertOptions, "dequantize"))
@cli.depfile_option
@cli.common
def unpack(export: Path, output: Path, *, format_: str, fail_on: Level, quiet: bool, **values: Any) -> int:
    """Find the model in an export and write it as a .tflite, with all that the export says of it.

    Works for every flatbuffer model, also those that cannot be converted (sound, motion). A quantized model is written
    as it is; translate and the stages behind it rewrite it in float32, each for itself, and compare with the original.
    """
    from convert import pipeline  # brings numpy; --help does without
    from convert.export.unpack import write as save

    values = checked(ConvertOptions, values)
    stage = _Saved(pipeline.unpacking(values), lambda result: save(result.artifact, output, result.findings))
    return cli.finish(pipeline.run((stage,), export), format_=format_, fail_on=fail_on, quiet=quiet)


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """What was given; stages know their defaults, but for `dequantize`, which only `unpack` leaves out."""
    return checked(ConvertOptions, {"dequantize": values["dequantize"], **cli.given(values)})


@command("translate")
@click.argument("source", type=cli.ANY, metavar="MODEL.tflite")
@cli.folder_option("The .onnx file to write, or a folder for NAME.translated.onnx.")
@cli.unpacking
@cli.translating
@cli.depfile_option
@cli.common
def translate(source: Path, output: Path, *, format_: str, fail_on: Level, quiet: bool, **values: Any) -> int:
    """Translate a .tflite to ONNX with an NCHW input, and assert that it is one.

    A metadata.json beside the model, as unpack writes it, is taken into account.
    """
    from convert.isolation import Worker
    from convert.translate import PRELOAD  # --help does without

    values = _checked(values)
    refuse_folder(_place(output, "x", ".onnx").parent)
    with Worker(PRELOAD) as worker:
        from convert import pipeline  # imports while the worker does the same
        from convert.translate import Translate

        stage = _Saved(
            Translate(**pipeline.pick(Translate, values), worker=worker),
            lambda result: (_save_translated(result.artifact, output),),
        )
        run = pipeline.run((pipeline.unpacking(values, worker), stage), source)
    return cli.finish(run, format_=format_, fail_on=fail_on, quiet=quiet)


@command("adapt")
@click.argument("onnx", type=cli.ANY, metavar="MODEL.translated.onnx")
@cli.folder_option("The .onnx file to write, or a folder for NAME.onnx.")
@cli.tflite_option
@cli.unpacking
@own("adapted-frame", **cli.declaration(ConvertOptions, "frame"))
@cli.adapting
@cli.depfile_option
@cli.common
def adapt(
    onnx: Path, output: Path, tflite: Path | None, *, format_: str, fail_on: Level, quiet: bool, **values: Any
) -> int:
    """Give a translated model short names, a dynamic batch and the output layout Gst-nvinfer reads."""
    from convert import pipeline  # brings numpy; --help does without

    values = checked(ConvertOptions, values)
    stage = _Saved(
        pipeline.adapting(values, one=True),
        lambda result: (write(_place(output, result.artifact.export.name, ".onnx"), result.artifact.onnx.data),),
    )
    run = pipeline.run((pipeline.unpacking(values), _PickUpTranslated(onnx), stage), _beside(onnx, tflite))
    return cli.finish(run, format_=format_, fail_on=fail_on, quiet=quiet)


@command("validate")
@click.argument("onnx", type=cli.ANY, metavar="MODEL.onnx")
@own("proof", type=cli.ANY)
@cli.tflite_option
@cli.unpacking
@cli.validating
@cli.depfile_option
@cli.common
def validate(
    onnx: Path, output: Path | None, tflite: Path | None, *, format_: str, fail_on: Level, quiet: bool, **values: Any
) -> int:
    """Measure an adapted model against the .tflite it was made from, in batches of 1, 2 and 8."""
    from convert.isolation import Worker  # --help does without

    values = checked(ConvertOptions, values)
    with Worker(("convert.validate.runtimes",)) as worker:
        from convert import pipeline  # imports while the worker does the same

        stage = _Saved(
            pipeline.proving(values, worker), lambda result: _save_evidence(result.artifact, output) if output else ()
        )
        run = pipeline.run((pipeline.unpacking(values, worker), _PickUpAdapted(onnx), stage), _beside(onnx, tflite))
    return cli.finish(run, format_=format_, fail_on=fail_on, quiet=quiet)


@command("emit")
@click.argument("onnx", type=cli.ANY, metavar="MODEL.onnx")
@cli.folder_option("The folder to write the bundle into.")
@cli.tflite_option
@own("evidence", type=cli.EXISTING)
@cli.unpacking
@cli.emitting
@cli.depfile_option
@cli.common
def emit(
    onnx: Path,
    output: Path,
    tflite: Path | None,
    evidence: Path | None,
    *,
    format_: str,
    fail_on: Level,
    quiet: bool,
    **values: Any,
) -> int:
    """Write labels, Gst-nvinfer configs, an app config and the engine build for an adapted model."""
    with cli.as_usage():
        cli.refuse_source(values)
    from convert import pipeline  # brings numpy; --help does without
    from convert.emit import Emit

    values = _checked(values)
    usual = onnx.with_name(f"{onnx.name.partition('.')[0]}.evidence.json")
    stages = (
        pipeline.unpacking(values),
        _PickUpAdapted(onnx),
        _PickUpEvidence(evidence or (usual if usual.is_file() else None)),
        Emit(output, **pipeline.pick(Emit, values)),
    )
    return cli.finish(pipeline.run(stages, _beside(onnx, tflite)), format_=format_, fail_on=fail_on, quiet=quiet)


# Continuing where an earlier command stopped, and saving: each of these is a stage itself, so that such a command runs
# a short pipeline.


@dataclass(frozen=True)
class _Saved:
    """A stage whose result is also written to disk."""

    stage: Stage
    save: Callable[[StageResult], tuple[Output, ...]]

    @property
    def name(self) -> str:
        """The stage's own."""
        return self.stage.name

    def __call__(self, artifact: object, workdir: Path) -> StageResult:
        """Run it, then write."""
        result = self.stage(artifact, workdir)
        return replace(result, outputs=(*result.outputs, *self.save(result)))


@dataclass(frozen=True)
class _PickUpTranslated:
    """An `Export` and the file `translate` wrote."""

    onnx: Path
    name: str = "translate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Read it.

        Raises:
            InputError: it is no model, or rounds otherwise than this command chose.
        """
        from convert.graph.adapt import read_onnx  # brings onnx

        assert isinstance(artifact, Export)
        model = read_onnx(self.onnx)
        _refuse_other_rounding(model, artifact, self.onnx)
        return StageResult(Translated(artifact, model))


@dataclass(frozen=True)
class _PickUpAdapted:
    """An `Export` and the file `adapt` wrote; head and preprocessing follow from the export, as they did then.

    What frames the model was made for stands in the file.
    """

    onnx: Path
    name: str = "adapt"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Read it.

        Raises:
            InputError: it was made from another model, rounds otherwise than this command chose, or was made for frames
                that are cropped where this export's are not.
        """
        from convert.graph.adapt import read_head, read_onnx, recorded, without_assumed
        from convert.graph.preprocessing import preprocessing  # brings onnx
        from convert.images import ResizeMode, anchor_name

        assert isinstance(artifact, Export)
        model = read_onnx(self.onnx)
        properties = recorded(model, self.onnx)
        digest = properties.source_sha256 or ""
        if digest != artifact.provenance:
            message = f"made from another model ({digest[:12]}) than {artifact.source} ({artifact.provenance[:12]})"
            raise InputError(message, path=self.onnx, hint="give the .tflite it was made from with --tflite")
        _refuse_other_rounding(model, artifact, self.onnx)
        _, _, height, width = model.input.shape
        whole = properties.frame
        exact = whole is not None and whole.in_pixels and whole.pixels == (width, height)
        resize = "device" if properties.resize is None else "graph" if exact else "auto"
        before, findings = preprocessing(artifact, properties.frame, resize=resize)
        framing, mode = before.framing, properties.resize_mode
        if properties.frame is not None and (
            framing is None
            or framing.network != (width, height)
            or before.resize_mode != mode
            or framing.cut != properties.crop
        ):
            cut = f"cropped to the {anchor_name(properties.anchor)}"
            if properties.resize and mode is not ResizeMode.FIT_SHORTEST:
                cut = "brought to size as in training"
            hint = f"say how pictures were brought to size in training: --resize-mode {mode or ResizeMode.SQUASH}"
            message = f"made for frames of {properties.frame}, {cut}; {artifact.source} says otherwise"
            hint = hint if before.resize_mode != mode else "run adapt again on what unpack wrote"
            raise InputError(message, path=self.onnx, hint=hint)
        head, unnamed = read_head(properties, artifact)
        found = without_assumed((*findings, *unnamed), artifact)
        adapted = Adapted(Translated(artifact, model), model, head, before, calibrated=properties.calibrated or 0)
        return StageResult(adapted, findings=found)


@dataclass(frozen=True)
class _PickUpEvidence:
    """An `Adapted` and the numbers `validate -o` wrote for it."""

    evidence: Path | None
    name: str = "validate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Read them.

        Raises:
            InputError: they are of another model.
        """
        from convert.report import read_evidence  # --help does without

        assert isinstance(artifact, Adapted)
        if self.evidence is None:
            found = NOT_MEASURED.found(
                "there is no evidence for this model", hint="run `ei-deepstream validate -o` first"
            )
            return StageResult(Validated(artifact, Evidence()), findings=(found,))
        return StageResult(Validated(artifact, read_evidence(self.evidence, artifact.onnx.data)))


def _refuse_other_rounding(model: OnnxModel, export: Export, path: Path) -> None:
    """Raises InputError where the `model` at `path` records another rounding than that of `export`."""
    from convert.onnx_header import parse_header
    from convert.report import OnnxMetadata  # --help does without

    made = OnnxMetadata.parse(parse_header(model.data).metadata, "rounding").rounding
    if export.agreement and made not in {None, export.agreement.layers}:
        message = f"made with --rounding {made}, and this command chose {export.agreement.layers}"
        hint = f"give --rounding {made} to each command, translate and those behind it"
        raise InputError(message, path=path, hint=hint)


def _save_translated(translated: Translated, output: Path) -> Output:
    """What `adapt` picks up again; of a rewriting in float32 with the rounding it has."""
    from onnx import ModelProto, helper  # brings numpy

    from convert.report import OnnxMetadata  # --help does without

    data, agreement = translated.onnx.data, translated.export.agreement
    if agreement is not None:
        recorded = ModelProto()
        helper.set_model_props(recorded, OnnxMetadata(rounding=agreement.layers).properties())
        data += recorded.SerializeToString()  # protobuf merges what stands one behind the other
    return write(_place(output, f"{translated.export.name}.translated", ".onnx"), data)


def _save_evidence(validated: object, output: Path) -> tuple[Output, ...]:
    """What `emit` picks up again, with the digest of the model it is about."""
    from convert.report import EVIDENCE_SUFFIX, evidence_json  # --help does without

    assert isinstance(validated, Validated)
    return (write(_place(output, validated.adapted.export.name, EVIDENCE_SUFFIX), evidence_json(validated)),)


def _place(output: Path, name: str, suffix: str) -> Path:
    """Where `-o` means: the file itself if it has that suffix, else `name + suffix` in the folder."""
    return output if output.name.endswith(suffix) else output / f"{name}{suffix}"


def _beside(onnx: Path, given: Path | None) -> Path:
    """The model an ONNX file was made from: the one given, the one of the same name, or the only one there.

    `unpack` writes it as `.tflite`, or as `.original.onnx`.

    Raises:
        InputError: none, or several.
    """
    if given:
        return given
    stem = onnx.name.partition(".")[0]
    both = (*onnx.parent.glob("*.tflite"), *onnx.parent.glob("*.original.onnx"))
    found = sorted(path for path in both if path.is_file())
    same = [path for path in found if path.name.partition(".")[0] == stem]
    if len(same or found) != 1:
        message = f"{'several' if found else 'no'} .tflite files beside it"
        raise InputError(message, path=onnx, hint="say which one it was made from: --tflite")
    return (same or found)[0]
