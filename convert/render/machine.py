"""A run as one JSON document on standard output.

A batch as JSON: `batch.json`, which depends on exports and options only, and what `--format json` prints.

What a check found, as one JSON document.

JUnit XML, for Jenkins and GitLab.

A check: a suite a file, a test case a rule that found something; a file in which nothing was found is one test case
that passes. A batch: one suite, a test case a model.

A check as SARIF 2.1.0 (OASIS), for code scanning services: rules with their help, results with line and column.
"""

from __future__ import annotations

import os
import re
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from convert import __version__
from convert.findings import rulebook
from convert.report import (
    SCHEMA_VERSION,
    dumps,
    evidence_document,
    export_document,
    finding_document,
    model_document,
    output_document,
)
from convert.types import Adapted, Bundle, Export, Validated

if TYPE_CHECKING:
    from collections.abc import Iterable

    from junitparser import TestCase, TestSuite

    from convert.batch.plan import Job, Outcome
    from convert.batch.run import Report
    from convert.batch.run import Report as BatchReport
    from convert.check.run import CheckedFile, CheckReport, Fix
    from convert.errors import ConvertError
    from convert.findings import Finding, Level, Rule
    from convert.pipeline import Run


__all__ = [
    "batch_document",
    "batch_junit",
    "batch_output_document",
    "check_document",
    "check_junit",
    "dumps",
    "error_document",
    "failure_document",
    "run_document",
    "sarif_document",
]


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


def batch_document(report: Report, output: Path) -> dict[str, Any]:
    """`{schema_version, counts, models[]}`: the same whether models were converted now, before, or by a run that was
    killed in between. Paths of files are relative to `output`.
    """
    from convert.batch.plan import State  # few runs need it

    models = [_model(job, outcome, output) for job, outcome in zip(report.jobs, report.outcomes, strict=True)]
    states = ("done", State.WRONG.value, State.FAILED.value)
    counts = {state: sum(model["state"] == state for model in models) for state in states}
    return {"schema_version": SCHEMA_VERSION, "counts": counts, "models": models}


def batch_output_document(report: Report, output: Path, exit_code: int) -> dict[str, Any]:
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
    from convert.batch.plan import GOOD  # few runs need it

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


# num-detected-classes may be 16 million; the document would have gigabytes.
_MOST_CLASSES: Final = 10_000


def check_document(
    report: CheckReport, exit_code: int, fixes: Iterable[tuple[Fix, str]] | None = None
) -> dict[str, Any]:
    """`{schema_version, exit_code, target, files[], findings[], fixes, error}`.

    `files[]` are `{path, kind, verdict, exception, values, findings[], waived[], error}`; `values` is what nvinfer
    reads (of more than 10,000 classes the first ones), `findings` at the top each finding once. `fixes[]` are
    `{path, diff}`, null where none were asked for.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "target": {name: getattr(report.target, name) for name in ("deepstream", "platform", "tensorrt")},
        "files": [_file(file) for file in report.files],
        "findings": [finding_document(finding) for finding in report.findings],
        "fixes": None if fixes is None else [{"path": fix.path, "diff": diff} for fix, diff in fixes],
        "error": report.error and error_document(report.error),
    }


def _file(file: CheckedFile) -> dict[str, Any]:
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
        "waived": [finding_document(finding) for finding in file.suppressed],
        "error": file.error and error_document(file.error),
    }


# What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_junit(report: CheckReport, fail_on: Level) -> bytes:
    """The document. Findings at or above `fail_on` fail their case; others are its output."""
    return _document("ei-deepstream check", (_suite(file, fail_on) for file in report.files))


def batch_junit(report: BatchReport, fail_on: Level) -> bytes:
    """The document. An error is an error; findings at or above `fail_on` fail their case, others are its output."""
    from junitparser import TestCase, TestSuite  # for this format only

    suite = TestSuite("models")
    for job, outcome in zip(report.jobs, report.outcomes, strict=True):
        suite.add_testcase(_model_case(str(job.export), outcome, fail_on))
    if report.findings:
        case = TestCase("batch", classname="batch")
        _tell(case, report.findings, fail_on)
        suite.add_testcase(case)
    return _document("ei-deepstream batch", [suite])


def _document(name: str, suites: Iterable[TestSuite]) -> bytes:
    from junitparser import JUnitXml  # for this format only

    document = JUnitXml(name=name)
    for suite in suites:
        document.add_testsuite(suite)
    document.update_statistics()
    text: bytes = document.tostring()
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + text + b"\n"


def _suite(file: CheckedFile, fail_on: Level) -> TestSuite:
    from junitparser import Error, TestCase, TestSuite  # for this format only

    suite = TestSuite(_text(file.path))
    if file.error:
        case = TestCase("read", classname=_text(file.path))
        case.result = [Error(_text(file.error.message), file.error.code)]
        suite.add_testcase(case)
        return suite
    titles = rulebook()
    in_order = sorted(file.findings, key=lambda finding: finding.id)
    for rule, found in groupby(in_order, key=lambda finding: finding.id):
        suite.add_testcase(_rule_case(file.path, f"{rule} {titles[rule].title}", list(found), fail_on))
    if not file.findings:
        suite.add_testcase(TestCase("check", classname=_text(file.path)))
    return suite


def _rule_case(path: str, name: str, found: list[Finding], fail_on: Level) -> TestCase:
    from junitparser import Failure, TestCase  # for this format only

    case = TestCase(_text(name), classname=_text(path))
    failing = [finding for finding in found if finding.level.rank >= fail_on.rank]
    results = []
    for finding in failing:
        result = Failure(_text(finding.message), finding.level.value)
        result.text = _line(finding, finding.level.value)
        results.append(result)
    if results:
        case.result = results
    if len(failing) < len(found):
        case.system_out = "\n".join(_line(finding, finding.level.value) for finding in found if finding not in failing)
    return case


def _model_case(export: str, outcome: Outcome, fail_on: Level) -> TestCase:
    from junitparser import Error, TestCase  # for this format only

    case = TestCase(_text(outcome.name), classname=_text(export), time=round(outcome.seconds, 3))
    _tell(case, outcome.findings, fail_on)
    if outcome.error:
        result = Error(_text(outcome.error.message), outcome.error.code)
        result.text = _text("\n".join(filter(None, [outcome.error.hint, outcome.details])))
        case.result = [result]
    return case


def _tell(case: TestCase, findings: tuple[Finding, ...], fail_on: Level) -> None:
    """One failure a case, whatever it is made of: readers show no more failures than cases."""
    from junitparser import Failure  # for this format only

    failing = [finding for finding in findings if finding.level.rank >= fail_on.rank]
    if failing:
        more = f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        failure = Failure(_text(f"{failing[0].id} {failing[0].message}{more}"), failing[0].level.value)
        failure.text = "\n".join(_line(finding, f"{finding.level.value} {finding.id}") for finding in failing)
        case.result = [failure]
    if len(failing) < len(findings):
        case.system_out = "\n".join(
            _line(finding, f"{finding.level.value} {finding.id}")
            for finding in findings
            if finding.level.rank < fail_on.rank
        )


def _line(finding: Finding, what: str) -> str:
    place = ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part is not None)
    hint = f"\nhint: {finding.hint}" if finding.hint else ""
    return _text(f"{place}{': ' if place else ''}{what}: {finding.message}{hint}")


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_UNREADABLE: Final = "unreadable"


def sarif_document(report: CheckReport, exit_code: int) -> dict[str, Any]:
    """One run. Files that could not be checked are notifications of the tool, not results."""
    rules = list(rulebook().values())
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    errors = [file.error for file in report.files if file.error]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "ei-deepstream",
                        "version": __version__,
                        "rules": [_rule(rule) for rule in rules],
                        "notifications": [{"id": _UNREADABLE, "shortDescription": {"text": "a file cannot be read"}}],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": not errors,
                        "exitCode": exit_code,
                        "toolExecutionNotifications": [
                            {
                                "descriptor": {"id": _UNREADABLE, "index": 0},
                                "level": "error",
                                "message": {"text": error.message},
                                "locations": [_location(error.path, error.line, None)] if error.path else [],
                            }
                            for error in errors
                        ],
                    }
                ],
                "results": [_result(finding, numbers) for finding in report.findings],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why or rule.title},
        "help": {"text": rule.fix or rule.title},
        "defaultConfiguration": {"level": rule.level.value},
    }


def _result(finding: Finding, numbers: dict[str, int]) -> dict[str, Any]:
    text = finding.message if finding.hint is None else f"{finding.message} ({finding.hint})"
    result: dict[str, Any] = {
        "ruleId": finding.id,
        "ruleIndex": numbers[finding.id],
        "level": finding.level.value,
        "message": {"text": text},
    }
    if finding.path is not None:
        result["locations"] = [_location(finding.path, finding.line, finding.column)]
    return result


def _location(path: str, line: int | None, column: int | None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(path)}}
    if line is not None:
        place["region"] = {"startLine": line, **({} if column is None else {"startColumn": column})}
    return {"physicalLocation": place}


def _uri(path: str) -> str:
    """A relative path as a relative reference, an absolute one as a file URI; any bytes a file name may hold."""
    text = quote(path.encode("utf-8", "surrogateescape"))
    if Path(path).is_absolute():
        return f"file://{text}"
    # A colon in the first part would make it a scheme.
    return f"./{text}" if ":" in path.partition("/")[0] else text
