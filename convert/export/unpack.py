"""Stage 1: an Edge Impulse export goes in, THE model and what is known of it come out.

The model's bytes are the same whatever they were wrapped in. What cannot be converted later is no error here: an int8
or audio model is worth unpacking too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from convert.artifacts import Export, ImageScaling, Metadata, ModelFormat, ResizeMode, StageResult
from convert.document import SCHEMA_VERSION, dumps, export_document, finding_document
from convert.errors import ConvertError, PresetError
from convert.export.choose import choose, others
from convert.export.entries import list_models
from convert.export.facts import facts_of
from convert.export.findings import NO_PARAMETERS
from convert.export.naming import bundle_name
from convert.export.reconcile import reconcile, with_options
from convert.export.sidecars import read_beside
from convert.export.source import open_source
from convert.export.tflite import read_graph
from convert.heads import CONVERTIBLE, HEADS
from convert.writing import sha256, write_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convert.export.dequantize import Dequantized
    from convert.export.source import Source
    from convert.findings import Finding
    from convert.writing import Output

__all__ = ["Unpack", "in_float32", "write"]

_SUFFIXES = {ModelFormat.TFLITE: ".tflite", ModelFormat.ONNX: ".original.onnx"}


@dataclass(frozen=True, slots=True)
class Unpack:
    """Finds the model of an export.

    Attributes:
        model: which one, where there are several: symbol, file, impulse number or name, place in the list ("#2").
        bundle_name: what the results are called after; by default the project.
        labels, task, resize_mode, image_scaling: what to use instead of what is recorded.
        dequantize: rewrite a quantized model in float32; a float32 one is left as it is.

    Raises:
        PresetError: no head is called `task`.
    """

    model: str | None = None
    bundle_name: str | None = None
    labels: tuple[str, ...] | None = None
    task: str | None = None
    resize_mode: ResizeMode | None = None
    image_scaling: ImageScaling | None = None
    dequantize: bool = False

    def __post_init__(self) -> None:
        if self.task is not None and self.task not in {each.id for each in HEADS}:
            raise PresetError(f"there is no --task {self.task!r}", hint="one of: " + ", ".join(CONVERTIBLE))

    @property
    def name(self) -> str:
        """The stage's name."""
        return "unpack"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - nothing is written to disk
        """The `Export` of the zip, folder or file `artifact` (a path).

        Raises:
            InputError: it cannot be read, holds no model, or several; it is damaged or breaks a limit.
            UnsupportedModelError: its model is in a form that holds no flatbuffer.
        """
        path = Path(str(artifact))
        try:
            with open_source(path) as source:
                return self._unpack(source, path)
        except ConvertError as error:
            if error.path is None:
                error.path = str(path)
            raise

    def _unpack(self, source: Source, path: Path) -> StageResult:
        tree = source.tree
        listing = list_models(tree, source.focus)
        entry = choose(listing, self.model, tree)
        candidate = entry.candidate
        assert candidate.facts is not None
        beside = read_beside(tree, candidate)
        shown = tree.name_of(candidate.member)
        recorded = beside.metadata or entry.metadata
        metadata, facts, differences = reconcile(recorded, candidate.facts, candidate.tasks, shown)
        metadata, facts, replaced = with_options(
            metadata,
            facts,
            labels=self.labels,
            task=self.task,
            resize_mode=self.resize_mode,
            image_scaling=self.image_scaling,
        )
        said = (self.labels, self.resize_mode, self.image_scaling)
        if recorded == Metadata() and None in said:
            message = "no labels, resize mode or image scaling are recorded with this model"
            differences = (NO_PARAMETERS.found(message, path=shown),)
        member = "" if source.focus is not None else candidate.member
        export = Export(
            model=candidate.data,
            name=bundle_name(self.bundle_name, beside.name, recorded, path, member or path.name, several=entry.several),
            form=candidate.form,
            source=path.name or path.absolute().name,
            member=member,
            metadata=metadata,
            facts=facts,
            format=candidate.format,
            content="" if candidate.format is ModelFormat.ONNX else _content(candidate.data),
        )
        findings = (
            *source.findings,
            *listing.findings,
            *candidate.findings,
            *beside.findings,
            *differences,
            *replaced,
            *others(listing, entry, tree),
        )
        if self.dequantize and export.format is ModelFormat.TFLITE and export.facts.quantization != "float32":
            export, done = in_float32(replace(export, original=export.model))
            findings = (*findings, *done.findings)
        return StageResult(export, findings=findings)


def _content(model: bytes) -> str:
    from convert.export.content import content_digest  # noqa: PLC0415 - brings the schema classes; listing does without

    return content_digest(model)


def in_float32(export: Export, *, rounded: bool = False) -> tuple[Export, Dequantized]:
    """`export`, whose `original` is set, with that in float32 as its model; the task stays what it was.

    `rounded` as in `convert.export.dequantize.dequantize`.

    Raises:
        UnsupportedModelError: an operator or a tensor whose float32 counterpart is not known.
    """
    from convert.export.dequantize import dequantize  # noqa: PLC0415 - brings the schema classes; few exports need it

    assert export.original is not None
    done = dequantize(export.original, rounded=rounded)
    facts = replace(facts_of(read_graph(done.model)), task=export.facts.task)
    return replace(export, model=done.model, facts=facts), done


def write(export: Export, folder: Path, findings: Iterable[Finding] = ()) -> tuple[Output, ...]:
    """Write `<name>.tflite` (or `.original.onnx`) and the `metadata.json` that describes it into `folder`.

    `<name>.onnx` is what `adapt` writes there. The digest in metadata.json is that of the file beside it, also where
    the model was rewritten.

    Raises:
        OutputError: they cannot be written; earlier files are then intact.
    """
    document = {"schema_version": SCHEMA_VERSION, **export_document(export), "sha256": sha256(export.model)}
    document["findings"] = [finding_document(finding) for finding in findings]
    return write_all(folder, {export.name + _SUFFIXES[export.format]: export.model, "metadata.json": dumps(document)})
