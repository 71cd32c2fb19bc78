"""A run as one JSON document on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convert.artifacts import Adapted, Bundle, Export, Validated
from convert.report import (
    SCHEMA_VERSION,
    dumps,
    evidence_document,
    export_document,
    finding_document,
    model_document,
    output_document,
)

if TYPE_CHECKING:
    from convert.errors import ConvertError
    from convert.pipeline import Run

__all__ = ["dumps", "error_document", "failure_document", "run_document"]


def run_document(run: Run, exit_code: int) -> dict[str, Any]:
    """`{schema_version, exit_code, stages[], export, model, evidence, secondary, outputs[], findings[], error}`.

    What a run did not come to is null; `secondary` is the second of two models in one app. `seconds` are the only
    values that differ between two equal runs.
    """
    bundle = run.last(Bundle)
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "stages": [
            {"name": record.name, "status": record.status.value, "seconds": round(record.seconds, 4)}
            for record in run.records
        ],
        **_subject(run),
        "secondary": run.secondary and _subject(run.secondary),
        "bundle": bundle and {"folder": bundle.folder, "name": bundle.name},
        "outputs": [output_document(output) for output in run.outputs],
        "findings": [finding_document(finding) for finding in run.findings],
        "error": run.error and error_document(run.error),
    }


def _subject(run: Run) -> dict[str, Any]:
    """What was converted, and how well."""
    export, adapted, validated = run.last(Export), run.last(Adapted), run.last(Validated)
    return {
        "export": export and export_document(export),
        "model": adapted and model_document(adapted),
        "evidence": validated and evidence_document(validated.evidence),
    }


def error_document(error: ConvertError) -> dict[str, Any]:
    """`{code, message, hint, path, line}`."""
    return {
        "code": error.code, "message": error.message, "hint": error.hint, "path": error.path, "line": error.line
    }  # fmt: skip


def failure_document(error: ConvertError, exit_code: int) -> dict[str, Any]:
    """The document of a command that ended before it had anything to say; the same keys as any other."""
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "stages": [],
        "outputs": [],
        "findings": [],
        "error": error_document(error),
    }
