"""What single-stage commands need besides the stages: picking up where an earlier command stopped, and saving.

Each is a stage itself, so that such a command is a short road walked by the same runner as `convert`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from convert.artifacts import Adapted, Evidence, Export, Stage, StageResult, Translated, Validated
from convert.document import SCHEMA_VERSION, dumps, evidence_document, evidence_from_document
from convert.errors import InputError
from convert.findings import Level, Rule
from convert.graph.preprocessing import preprocessing
from convert.graph.reading import provenance, read_onnx
from convert.heads.recorded import reread
from convert.writing import sha256, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from convert.writing import Output

__all__ = ["RULES", "PickUpAdapted", "PickUpEvidence", "PickUpTranslated", "Saved", "beside", "place", "save_evidence"]

NOT_MEASURED = Rule(
    "EI550",
    Level.WARNING,
    "the bundle was written without evidence",
    why="Nothing was measured: the ONNX model may compute something else than the one that was trained.",
    fix="Run validate with -o first, or use convert, which does both.",
)
RULES = (NOT_MEASURED,)


@dataclass(frozen=True)
class Saved:
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
class PickUpTranslated:
    """An `Export` and the file `translate` wrote."""

    onnx: Path
    name: str = "translate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Read it."""
        assert isinstance(artifact, Export)
        return StageResult(Translated(artifact, read_onnx(self.onnx)))


@dataclass(frozen=True)
class PickUpAdapted:
    """An `Export` and the file `adapt` wrote; head and preprocessing follow from the export, as they did then.

    What frames the model was made for stands in the file.
    """

    onnx: Path
    name: str = "adapt"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Read it.

        Raises:
            InputError: it was made from another model, or for frames that are cropped where this export's are not.
        """
        assert isinstance(artifact, Export)
        model = read_onnx(self.onnx)
        said = provenance(model, self.onnx)
        if said.digest != artifact.provenance:
            raise InputError(
                f"made from another model ({said.digest[:12]}) than {artifact.source} ({artifact.provenance[:12]})",
                path=self.onnx,
                hint="give the .tflite it was made from with --tflite",
            )
        before, findings = preprocessing(artifact, said.frame)
        _, _, height, width = model.input.shape
        if said.frame is not None and (before.framing is None or before.framing.network != (width, height)):
            raise InputError(
                f"made for frames of {said.frame}, cropped to the centre; {artifact.source} says otherwise",
                path=self.onnx,
                hint="say how pictures were brought to size in training: --resize-mode fit-shortest",
            )
        head, unnamed = reread(model, artifact, self.onnx)
        return StageResult(Adapted(Translated(artifact, model), model, head, before), findings=(*findings, *unnamed))


@dataclass(frozen=True)
class PickUpEvidence:
    """An `Adapted` and the numbers `validate -o` wrote for it."""

    evidence: Path | None
    name: str = "validate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        """Read them.

        Raises:
            InputError: they are of another model.
        """
        assert isinstance(artifact, Adapted)
        if self.evidence is None:
            found = NOT_MEASURED.found(
                "there is no evidence for this model", hint="run `ei-deepstream validate -o` first"
            )
            return StageResult(Validated(artifact, Evidence()), findings=(found,))
        try:
            document = json.loads(self.evidence.read_bytes())
        except (OSError, ValueError) as error:
            raise InputError(f"cannot be read: {error}", path=self.evidence, hint="run validate again") from error
        evidence = evidence_from_document(document, self.evidence)
        if document.get("model_sha256") != sha256(artifact.onnx.data):
            raise InputError("is the evidence for another model", path=self.evidence, hint="run validate again")
        return StageResult(Validated(artifact, evidence))


def save_evidence(validated: object, output: Path) -> tuple[Output, ...]:
    """What `emit` picks up again, with the digest of the model it is about."""
    assert isinstance(validated, Validated)
    adapted = validated.adapted
    document = {
        "schema_version": SCHEMA_VERSION,
        "model_sha256": sha256(adapted.onnx.data),
        **evidence_document(validated.evidence),
    }
    return (write(place(output, adapted.export.name, ".evidence.json"), dumps(document)),)


def place(output: Path, name: str, suffix: str) -> Path:
    """Where `-o` means: the file itself if it has that suffix, else `name + suffix` in the folder."""
    return output if output.name.endswith(suffix) else output / f"{name}{suffix}"


def beside(onnx: Path, given: Path | None) -> Path:
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
        raise InputError(
            f"{'several' if found else 'no'} .tflite files beside it",
            path=onnx,
            hint="say which one it was made from: --tflite",
        )
    return (same or found)[0]
