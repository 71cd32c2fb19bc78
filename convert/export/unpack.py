"""Stage 1: an Edge Impulse export goes in, THE model and what is known of it come out. `inspect` only lists models.

The model's bytes are the same whatever they were wrapped in. What cannot be converted later is no error here: an int8
or audio model can be unpacked too. What `unpack` refuses is no error of `inspect` as long as it can be described.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from convert import errors, heads, images, report
from convert.export import choose as choosing
from convert.export.archive import HEAD, ZIP, FileType, OpenExport, file_type, is_folder, open_source, read_head
from convert.export.facts import takes_no_pictures
from convert.export.models import Candidate, ListedModel, Listing, list_models
from convert.export.tflite import content_digest
from convert.files import Output, sha256, write_all
from convert.findings import Finding, Rule
from convert.types import Export, Metadata, ModelFacts, ModelFormat, StageResult, Tensor

if TYPE_CHECKING:
    from convert.dsp import Impulse
    from convert.export.impulse import FoundImpulse

NO_PARAMETERS = Rule("EI101")
RENAMED = Rule("EI113")

_SUFFIXES = {ModelFormat.TFLITE: ".tflite", ModelFormat.ONNX: ".original.onnx"}


@dataclass(frozen=True, slots=True)
class Unpack:
    """Finds the model of an export.

    Attributes:
        model: which one, where there are several: symbol, file, impulse number or name, place in the list ("#2").
        bundle_name: what the results are called after; by default the project.
        labels, task, resize_mode, image_scaling: what to use instead of what is recorded.
        dequantize: rewrite a quantized model in float32, if it can be converted then.
        precision: "int8": rewrite it so that all its codes stay (`Export.coded`), whatever `dequantize` says.
        calibrate: pictures that `adapt` will quantize a float model with; then "int8" is about that.
        whole: of an export that takes no pictures give the whole impulse (`Export.impulse`), also without a network.

    Raises:
        PresetError: no head is called `task`; there is no such precision.
    """

    name: ClassVar[str] = "unpack"
    model: str | None = None
    bundle_name: str | None = None
    labels: tuple[str, ...] | None = None
    task: str | None = None
    resize_mode: images.ResizeMode | None = None
    image_scaling: images.ImageScaling | None = None
    dequantize: bool = False
    precision: str = "fp32"
    calibrate: Path | None = None
    whole: bool = False

    def __post_init__(self) -> None:
        if self.task is not None and self.task not in {each.id for each in heads.HEADS}:
            raise errors.PresetError(
                f"there is no --task {self.task!r}", hint="one of: " + ", ".join(heads.CONVERTIBLE)
            )

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - nothing is written to disk
        """The `Export` of the zip, folder or file `artifact` (a path).

        Raises:
            InputError: it cannot be read, holds no model, or several; it is damaged or breaks a limit; `calibrate` has
                too few pictures.
            UnsupportedModelError: its model is in a form that holds no flatbuffer, or with precision int8 no int8 one.
        """
        path = Path(str(artifact))
        if self.calibrate is not None:
            from convert.graph.calibrate import calibration_pictures  # few runs need it

            calibration_pictures(self.calibrate)  # before any work: they may be too few
        try:
            with open_source(path) as source:
                return self._unpack(source, path)
        except errors.ConvertError as error:
            if error.path is None:
                error.path = str(path)
            raise

    def _unpack(self, source: OpenExport, path: Path) -> StageResult:
        tree = source.tree
        listing = list_models(tree, source.focus)
        keeps_codes = self.precision == "int8" and self.calibrate is None
        # Who names a last layer says that the export takes pictures.
        if self.whole and self.task is None and listing.of_sensors:
            from convert.export.impulse import find_impulse  # most exports take pictures

            if (found := find_impulse(tree, listing, self.model, quantized=keeps_codes)) is not None:
                return self.of_impulse(found, source, listing, path)
        entry = choosing.choose(listing, self.model, tree, quantized=keeps_codes)
        candidate = entry.candidate
        assert candidate.facts is not None
        beside = choosing.read_beside(tree, candidate)
        shown = tree.name_of(candidate.member)
        recorded = beside.metadata or entry.metadata
        metadata, facts, differences = choosing.reconcile(recorded, candidate.facts, candidate.tasks, shown)
        given = {"labels": self.labels, "resize_mode": self.resize_mode, "image_scaling": self.image_scaling}
        metadata, facts, replaced = choosing.with_options(metadata, facts, given, self.task)
        files = choosing.find_labels(tree, candidate, facts) if metadata.labels is None else choosing.FoundLabels()
        metadata = replace(metadata, labels=metadata.labels or files.labels)
        is_refused = facts.task in {heads.ANOMALY, heads.NOT_IMAGE}
        if len(metadata.assumed) > 1 and not is_refused:
            differences = (*differences, _assumption(metadata.assumed, files.hint))
        member = "" if source.focus is not None else candidate.member
        name, several = self.bundle_name, entry.several
        name = choosing.bundle_name(name, beside.name, recorded, path, member or path.name, several=several)
        export = replace(
            _export(candidate, name, member, path, metadata, facts),
            labels_from="--labels" if self.labels else files.file or "the export",
            labels_hint=files.hint,
        )
        findings = (
            *source.findings, *listing.findings, *candidate.findings, *beside.findings, *files.findings,
            *differences, *replaced, *self._renamed(export.name), *choosing.others(listing, entry, tree),
        )  # fmt: skip
        if keeps_codes and _convertible(export):
            heads.refuse_no_codes(export)
        if self.calibrate is not None and heads.is_quantized(export):
            message = f"--calibrate quantizes a float model, and this one is quantized: {heads.describe(export)}"
            hint = "leave out --calibrate: --precision int8 keeps the codes it was trained with"
            raise errors.PresetError(message, hint=hint)
        if (self.dequantize or keeps_codes) and heads.is_quantized(export) and _convertible(export):
            from convert.export.dequantize import in_float32  # brings the schema classes

            export, done = in_float32(replace(export, original=export.model), coded=keeps_codes)
            findings = (*findings, *done.findings)
        return StageResult(export, findings=findings)

    def of_impulse(self, found: FoundImpulse, source: OpenExport, listing: Listing, path: Path) -> StageResult:
        """The `Export` of an impulse that takes no pictures; without a network its model is empty.

        Raises:
            UnsupportedModelError: its network is quantized and cannot be rewritten.
        """
        entry = found.network
        metadata = found.metadata if self.labels is None else replace(found.metadata, labels=self.labels)
        size = sum(block.size for block in found.impulse.blocks)
        kind = ModelFacts(Tensor("", (1, size), "float32"), (), (), "float32", heads.ANOMALY)
        candidate = entry.candidate if entry else Candidate("none", "", "", facts=kind)
        assert candidate.facts is not None
        member = "" if source.focus is not None else candidate.member
        several = bool(entry and entry.several)
        name = choosing.bundle_name(self.bundle_name, "", metadata, path, member or path.name, several=several)
        facts = replace(candidate.facts, task=heads.NOT_IMAGE if entry else heads.ANOMALY)
        export = replace(
            _export(candidate, name, member, path, metadata, facts),
            labels_from="--labels" if self.labels else "the export",
            impulse=found.impulse,
        )
        findings = (*source.findings, *listing.findings, *candidate.findings, *self._renamed(export.name))
        if self.dequantize and heads.is_quantized(export):
            from convert.export.dequantize import INPUT_CLAMP, in_float32  # brings the schema classes

            export, done = in_float32(replace(export, original=export.model), "every")
            findings = (*findings, *(each for each in done.findings if each.id != INPUT_CLAMP.id))  # of features: usual
        return StageResult(export, findings=findings)

    def _renamed(self, name: str) -> tuple[Finding, ...]:
        """A note where the files cannot be called as the user says; upper case alone is not worth one."""
        if not self.bundle_name or name == self.bundle_name.lower():
            return ()
        return (RENAMED.found(f"--name {self.bundle_name!r}: the files are called {name!r}"),)


def _export(candidate: Candidate, name: str, member: str, path: Path, metadata: Metadata, facts: ModelFacts) -> Export:
    """Of `candidate`, which is `member` of `path`."""
    is_flatbuffer = bool(candidate.data) and candidate.format is ModelFormat.TFLITE
    source = path.name or path.absolute().name
    export = Export(candidate.data, name, candidate.form, source, member, metadata, facts, candidate.format)
    content = content_digest(candidate.data) if is_flatbuffer else ""
    return replace(export, content=content, source_parity=candidate.source_parity)


_ASSUMED = {
    "labels": ("labels", "classes are called class0, class1, ..."),
    "resize_mode": ("resize mode", "pictures are squashed to the model's size"),
    "image_scaling": ("image scaling", "pixels are 0..1"),
}


def _assumption(names: tuple[str, ...], label_files: str) -> Finding:
    """One finding for two or three that are not recorded; `label_files`: which may hold labels, and do not count."""
    said, assumed = zip(*(_ASSUMED[name] for name in names), strict=True)
    options = [f"--{name.replace('_', '-')}" for name in names]
    hint = f"say it with {_listed(options)}"
    message = f"{_listed(said)} are not recorded; assumed: {', '.join(assumed)}"
    return NO_PARAMETERS.found(message, hint=f"{hint}; {label_files}" if label_files else hint)


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _convertible(export: Export) -> bool:
    """Whether nothing but its number format stands in the way; what does is for `translate` to say."""
    try:
        heads.refuse_unsupported(export, rewritten=True)
    except errors.UnsupportedModelError:
        return False
    return True


def write(export: Export, folder: Path, findings: Iterable[Finding] = ()) -> tuple[Output, ...]:
    """Write `<name>.tflite` (or `.original.onnx`) and the `metadata.json` that describes it into `folder`.

    `<name>.onnx` is what `adapt` writes there.

    Raises:
        OutputError: they cannot be written; earlier files are then intact.
    """
    model = export.name + _SUFFIXES[export.format]
    return write_all(folder, {model: export.model, report.METADATA: report.metadata_json(export, findings)})


@dataclass(frozen=True, slots=True)
class InspectedModel:
    """A model, or what should be one.

    Attributes:
        number: place in the list, as `--model "#2"` names it.
        member: path inside the container, empty when the file itself is the model.
        form: "F1" to "F4", "array", "flatbuffer", "openmv", "E1" to "E3", "O", "onnx" or "none".
        format: of the model, or of what should be one.
        symbol: of the array, the INCBIN or the compiled functions; empty for a plain file.
        size: bytes stored.
        digest: SHA-256 of the flatbuffer, None when there is none.
        facts: of the model; None where it cannot be read.
        reason, hint: why it cannot be converted, and what to do; None where it can.
        chosen: it is THE model; `used`: the export runs it.
        metadata: what is recorded about it, as recorded.
    """

    number: int
    member: str
    form: str
    format: ModelFormat
    symbol: str
    size: int
    digest: str | None
    facts: ModelFacts | None
    reason: str | None
    hint: str | None
    chosen: bool
    used: bool
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a path is.

    Attributes:
        path: as the user named it.
        container: "zip", "folder" or "file".
        kind: what a file is, a short stable name ("tflite", "source", "onnx", "elf", "html", "png", "empty", ...); for
            a container "export", or "unknown" when there is no model in it.
        description: the same in words.
        project: what is recorded about the project, from the model that was chosen or the first one.
        models: in the order of their numbers.
        undecided: why none of them is THE model, None when one is.
        hint: what to do then.
        findings: those of the export as a whole.
        impulse: of sound or sensor data, which `convert` converts as a whole.
    """

    path: str
    container: str
    kind: str
    description: str
    project: Metadata
    models: tuple[InspectedModel, ...]
    undecided: str | None
    hint: str | None
    findings: tuple[Finding, ...]
    impulse: Impulse | None = None


def inspect(path: Path) -> Inspection:
    """List the models of a zip, a folder or a file, without converting anything.

    Raises:
        InputError: it is not there, cannot be read, or is a container that is damaged or breaks a limit.
    """
    kind = None if is_folder(path) else file_type(read_head(path, HEAD))
    with open_source(path) as source:
        if kind is None or kind is ZIP:
            return _inspection(source, path, "zip" if kind else "folder", None)
        try:
            return _inspection(source, path, "file", kind)
        except errors.ConvertError as error:
            why = error.message, error.hint
            return Inspection(str(path), "file", kind.name, kind.words, Metadata(), (), *why, findings=())


def _inspection(source: OpenExport, path: Path, container: str, kind: FileType | None) -> Inspection:
    """Of a container, or of a file that `kind` names."""
    listing = list_models(source.tree, source.focus)
    impulse, chosen, undecided = _impulse(listing, source, path)
    if impulse is None and undecided is None:
        try:
            chosen = choosing.the_model(listing, source.tree)
        except errors.ConvertError as error:
            undecided = error
    entries = listing.entries
    models = tuple(_of_impulse(_found(each, source, chosen), each, listing, source, path) for each in entries)
    first = next((model for model in models if model.chosen), models[0] if models else None)
    blocks = [block.metadata for library in listing.libraries for block in library.recorded.blocks]
    what = "an Edge Impulse library" if listing.libraries else "models" if models else "no model"
    return Inspection(
        path=str(path),
        container=container,
        kind=kind.name if kind else "export" if models else "unknown",
        description=kind.words if kind else f"a {container} with {what}",
        project=first.metadata if first else next(iter(blocks), Metadata()),
        models=models,
        undecided=None if undecided is None else undecided.message,
        hint=None if undecided is None else undecided.hint,
        findings=(*source.findings, *listing.findings),
        impulse=impulse,
    )


def _of_impulse(
    model: InspectedModel, entry: ListedModel, listing: Listing, source: OpenExport, path: Path
) -> InspectedModel:
    """`model`; of an impulse of sound or sensor data with what stands in the way of converting that."""
    if entry.block is None or not entry.used or not takes_no_pictures(entry.metadata):
        return model
    found, _, error = _impulse(listing, source, path, None if entry.is_anomaly_detector else f"#{entry.number}")
    if error is not None:
        return replace(model, reason=error.message, hint=error.hint)
    return model if found is None else replace(model, reason=None, hint=None)


def _impulse(
    listing: Listing, source: OpenExport, path: Path, wanted: str | None = None
) -> tuple[Impulse | None, ListedModel | None, errors.ConvertError | None]:
    """The impulse of an export that takes no pictures, its network, and why it cannot be converted."""
    if not listing.of_sensors:
        return None, None, None
    from convert.export.impulse import find_impulse, refuse  # most exports take pictures

    try:
        found = find_impulse(source.tree, listing, wanted)
    except errors.ConvertError as error:
        return None, None, error
    if found is None:
        return None, None, None
    try:
        refuse(Unpack(dequantize=True, whole=True).of_impulse(found, source, listing, path).artifact)
    except errors.ConvertError as error:
        return found.impulse, found.network, error
    return found.impulse, found.network, None


def _found(entry: ListedModel, source: OpenExport, chosen: ListedModel | None) -> InspectedModel:
    candidate = entry.candidate
    beside = choosing.read_beside(source.tree, candidate) if candidate.problem is None else choosing.Beside()
    metadata, facts = beside.metadata or entry.metadata, candidate.facts
    problem = choosing.refusal(candidate, metadata)
    if facts is not None:  # the last layer that is recorded counts, as for `unpack`
        _, facts, _ = choosing.reconcile(metadata, facts, candidate.tasks, candidate.member)
        if metadata.labels is None:
            metadata = replace(metadata, labels=choosing.find_labels(source.tree, candidate, facts).labels)
    return InspectedModel(
        number=entry.number,
        member="" if source.focus is not None else candidate.member,
        form=candidate.form,
        format=candidate.format,
        symbol=candidate.symbol,
        size=candidate.size,
        digest=sha256(candidate.data) if candidate.data else None,
        facts=facts,
        reason=None if problem is None else problem.message,
        hint=None if problem is None else problem.hint,
        chosen=entry is chosen,
        used=entry.used,
        metadata=metadata,
    )
