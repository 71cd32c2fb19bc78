"""What a check found, as one JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from convert.render.json import error_document
from convert.report import SCHEMA_VERSION, finding_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convert.check.report import Checked, Fix, Report

__all__ = ["report_document"]

# num-detected-classes may be 16 million; the document would have gigabytes.
_MOST_CLASSES: Final = 10_000


def report_document(report: Report, exit_code: int, fixes: Iterable[tuple[Fix, str]] | None = None) -> dict[str, Any]:
    """`{schema_version, exit_code, target, files[], findings[], fixes, error}`.

    `files[]` are `{path, kind, verdict, exception, values, findings[], waived[], error}`; `values` is what nvinfer
    reads (of more than 10,000 classes the first ones), `findings` at the top each finding once. `fixes[]` are
    `{path, diff}`, null where none were asked for.
    """
    where = report.where.target
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "target": {"deepstream": where.deepstream, "platform": where.platform, "tensorrt": report.where.tensorrt},
        "files": [_file(file) for file in report.files],
        "findings": [finding_document(finding) for finding in report.findings],
        "fixes": None if fixes is None else [{"path": fix.path, "diff": diff} for fix, diff in fixes],
        "error": report.error and error_document(report.error),
    }


def _file(file: Checked) -> dict[str, Any]:
    values = None if file.values is None else dict(file.values)
    if values and len(values["class-attrs"]) > _MOST_CLASSES:
        values["class-attrs"] = values["class-attrs"][:_MOST_CLASSES]
    return {
        "path": file.path,
        "kind": file.kind,
        "verdict": file.verdict and file.verdict.value,
        "exception": file.exception,
        "values": values,
        "findings": [finding_document(finding) for finding in file.findings],
        "waived": [finding_document(finding) for finding in file.waived],
        "error": file.error and error_document(file.error),
    }
