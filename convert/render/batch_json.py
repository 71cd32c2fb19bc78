"""A batch as JSON: `batch.json`, which depends on exports and options only, and what `--format json` prints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from convert.batch.plan import GOOD, State
from convert.render.json import error_document
from convert.report import SCHEMA_VERSION, finding_document

if TYPE_CHECKING:
    from pathlib import Path

    from convert.batch.plan import Job, Outcome
    from convert.batch.run import Report

__all__ = ["batch_document", "report_document"]


def batch_document(report: Report, output: Path) -> dict[str, Any]:
    """`{schema_version, counts, models[]}`: the same whether models were converted now, before, or by a run that was
    killed in between. Paths of files are relative to `output`.
    """
    models = [_model(job, outcome, output) for job, outcome in zip(report.jobs, report.outcomes, strict=True)]
    states = ("done", State.WRONG.value, State.FAILED.value)
    counts = {state: sum(model["state"] == state for model in models) for state in states}
    return {"schema_version": SCHEMA_VERSION, "counts": counts, "models": models}


def report_document(report: Report, output: Path, exit_code: int) -> dict[str, Any]:
    """The same, and how it came to be: which models were converted now, how long each stage took, what was found of the
    batch as a whole, and the exit code.
    """
    document = batch_document(report, output)
    for model, outcome in zip(document["models"], report.outcomes, strict=True):
        model |= {
            "state": outcome.state.value,
            "seconds": round(outcome.seconds, 4),
            "stages": [
                {"name": record.name, "status": record.status.value, "seconds": round(record.seconds, 4)}
                for record in outcome.records
            ],
        }
    return {
        **document,
        "counts": {state.value: count for state, count in report.counts.items()},
        "exit_code": exit_code,
        "seconds": round(report.seconds, 4),
        "findings": [finding_document(finding) for finding in report.findings],
    }


def _model(job: Job, outcome: Outcome, output: Path) -> dict[str, Any]:
    return {
        "name": job.name,
        "export": str(job.export),
        "sgie": None if job.sgie is None else str(job.sgie),
        "folder": os.path.relpath(job.output, output),
        "state": "done" if outcome.state in GOOD else outcome.state.value,
        "exit_code": outcome.exit_code,
        "summary": dict(outcome.summary),
        "files": [{"path": os.path.relpath(file.path, output), "sha256": file.sha256} for file in outcome.outputs],
        "findings": [finding_document(finding) for finding in outcome.findings],
        "error": outcome.error and error_document(outcome.error),
        "details": outcome.details or None,
    }
