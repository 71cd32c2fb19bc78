"""Results for programs: JSON documents, JUnit XML and SARIF.

JSON: of a run, of a check, and of a batch (`batch.json`, which depends on exports and options only, and the longer
document of `--format json`).
JUnit XML, for Jenkins and GitLab. A check: a suite a file, a test case a rule with findings; a file without findings is
one test case that passes. A batch: one suite, a test case a model.
SARIF 2.1.0 (OASIS), of a check, for code scanning services: rules with their help, results with line and column.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from convert import __version__, render, types
from convert import report as documents
from convert.findings import Finding, Level, Rule, rulebook

if TYPE_CHECKING:
    from junitparser import TestCase, TestSuite

    from convert import pipeline
    from convert.batch import BatchReport
    from convert.batch.plan import Job, Outcome
    from convert.check.loading import ChosenTarget
    from convert.check.run import CheckedFile, CheckReport, Fix
    from convert.errors import ConvertError


def run_document(run: pipeline.Run, exit_code: int, pictures: Path | None = None) -> dict[str, Any]:
    """`{schema_version, exit_code, stages[], export, model, object_model, evidence, secondary, outputs[], ...}`.

    Then `findings[], error, next`. What a run did not reach is null; `object_model` is `model` without its crop,
    `secondary` the second of two models in one app. `seconds` are the only values that differ between two equal runs.
    `next`: see `after_conversion`.
    """
    bundle = run.last(types.Bundle)
    return {
        "schema_version": documents.SCHEMA_VERSION,
        "exit_code": exit_code,
        "stages": _stages(run.records),
        **_subject(run),
        "secondary": run.secondary and _subject(run.secondary),
        "bundle": bundle and {"folder": bundle.folder, "name": bundle.name},
        "outputs": [documents.output_document(output) for output in run.outputs],
        "findings": [documents.finding_document(finding) for finding in run.findings],
        "error": run.error and error_document(run.error),
        "next": render.after_conversion(run, pictures),
    }


def _stages(records: Iterable[pipeline.Record]) -> list[dict[str, Any]]:
    return [
        {"name": record.name, "status": record.status.value, "seconds": round(record.seconds, 4)} for record in records
    ]


def _subject(run: pipeline.Run) -> dict[str, Any]:
    """The export, the model, the one for objects and the evidence."""
    export, adapted, validated = run.last(types.Export), run.last(types.Adapted), run.last(types.Validated)
    if (whole := run.last(types.ImpulseModel)) is not None:
        measured = run.last(types.ValidatedImpulse)
        return {
            "export": export and documents.export_document(export),
            "impulse": documents.impulse_document(whole.impulse),
            "model": documents.impulse_model_document(whole),
            "object_model": None,
            "evidence": measured and documents.evidence_document(measured.evidence),
        }
    other = adapted and adapted.for_objects
    return {
        "export": export and documents.export_document(export),
        "model": adapted and documents.model_document(adapted),
        "object_model": other and documents.model_document(other),
        "evidence": validated and documents.evidence_document(validated.evidence),
    }


def error_document(error: ConvertError) -> dict[str, Any]:
    """`{code, message, hint, path, line}`."""
    return {name: getattr(error, name) for name in ("code", "message", "hint", "path", "line")}


def failure_document(error: ConvertError, exit_code: int) -> dict[str, Any]:
    """The document of a command that ended with an error before its first result; the same keys as any other."""
    begun = {"schema_version": documents.SCHEMA_VERSION, "exit_code": exit_code}
    return {**begun, "stages": [], "outputs": [], "findings": [], "error": error_document(error)}


def batch_document(report: BatchReport, output: Path) -> dict[str, Any]:
    """`{schema_version, counts, models[], errors[]}`; does not depend on when and by which run they were converted.

    Paths of files are relative to `output`. `errors[]` are `{code, message, hint, models[]}`: every error once, with
    the names of the models it ended.
    """
    from convert.batch.plan import State  # few runs need it

    models = [_model(job, outcome, output) for job, outcome in zip(report.jobs, report.outcomes, strict=True)]
    states = ("done", State.WRONG.value, State.FAILED.value, State.UNSUITABLE.value)
    counts = {state: sum(model["state"] == state for model in models) for state in states}
    errors = [
        {"code": error.code, "message": error.message, "hint": error.hint, "models": [each.name for each in outcomes]}
        for error, outcomes in report.errors
    ]
    return {"schema_version": documents.SCHEMA_VERSION, "counts": counts, "models": models, "errors": errors}


def batch_output_document(report: BatchReport, output: Path, exit_code: int) -> dict[str, Any]:
    """`batch_document`, and of this run: which models were converted, seconds of each stage, findings, exit code.

    `next`: see `after_batch`.
    """
    document = batch_document(report, output)
    for model, outcome in zip(document["models"], report.outcomes, strict=True):
        model |= {
            "state": outcome.state.value,
            "seconds": round(outcome.seconds, 4),
            "stages": _stages(outcome.records),
        }
    return {
        **document,
        "counts": {state.value: count for state, count in report.counts.items()},
        "exit_code": exit_code,
        "seconds": round(report.seconds, 4),
        "findings": [documents.finding_document(finding) for finding in report.findings],
        "next": render.after_batch(output, (outcome.outputs for outcome in report.outcomes)),
    }


def _model(job: Job, outcome: Outcome, output: Path) -> dict[str, Any]:
    from convert.batch.plan import GOOD  # few runs need it

    return {
        "name": job.name,
        "export": str(job.export),
        "sgie": None if job.sgie is None else str(job.sgie),
        "folder": os.path.relpath(job.output, output),
        "state": "done" if outcome.state in GOOD else outcome.state.value,
        "found": job.found,
        "exit_code": outcome.exit_code,
        "summary": dict(outcome.summary),
        "files": [{"path": os.path.relpath(file.path, output), "sha256": file.sha256} for file in outcome.outputs],
        "findings": [documents.finding_document(finding) for finding in outcome.findings],
        "error": outcome.error and error_document(outcome.error),
        "details": outcome.details or None,
    }


_MOST_CLASSES = 10_000  # num-detected-classes may be 16 million, and the document would have gigabytes


def check_document(
    report: CheckReport, exit_code: int, fixes: Iterable[tuple[Fix, str]] | None = None
) -> dict[str, Any]:
    """`{schema_version, exit_code, target, files[], findings[], fixes, error}`.

    `files[]` are `{path, kind, plugin, target, verdict, exception, values, findings[], waived[], error}`; `plugin` says
    whose config an "other" is; `values` is what nvinfer reads (of more than 10,000 classes the first ones). `target`
    at the top is that of most files, `findings` has each finding once. `fixes[]` are `{path, diff}`, null unless they
    were requested.
    """
    return {
        "schema_version": documents.SCHEMA_VERSION,
        "exit_code": exit_code,
        "target": target_document(report.targets[0]),
        "files": [_file(file) for file in report.files],
        "findings": [documents.finding_document(finding) for finding in report.findings],
        "fixes": None if fixes is None else [{"path": fix.path, "diff": diff} for fix, diff in fixes],
        "error": report.error and error_document(report.error),
    }


def target_document(chosen: ChosenTarget) -> dict[str, str]:
    """`{deepstream, platform, tensorrt, source}`; `source` is "option", "report" (of the bundle) or "default"."""
    names = ("deepstream", "platform", "tensorrt")
    return {**{name: getattr(chosen.target, name) for name in names}, "source": chosen.source}


def _file(file: CheckedFile) -> dict[str, Any]:
    values = None if file.values is None else dict(file.values)
    if values:
        values["class-attrs"] = values["class-attrs"][:_MOST_CLASSES]
    return {
        **{name: getattr(file, name) for name in ("path", "kind", "plugin")},
        "target": file.target and target_document(file.target),
        "verdict": file.verdict and file.verdict.value,
        "exception": file.exception,
        "values": values,
        "findings": [documents.finding_document(finding) for finding in file.findings],
        "waived": [documents.finding_document(finding) for finding in file.suppressed],
        "error": file.error and error_document(file.error),
    }


# Characters that XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_junit(report: CheckReport) -> bytes:
    """The JUnit XML. Findings at or above the report's `fail_on` fail their test case; others are its output."""
    return _document("ei-deepstream check", (_suite(file, report.is_failure) for file in report.files))


def batch_junit(report: BatchReport, fail_on: Level) -> bytes:
    """The JUnit XML. Errors are errors; findings at or above `fail_on` fail their test case, others are its output.

    An unsuitable export that does not fail the batch is a test case that was skipped.
    """
    from junitparser import Error, Skipped, TestCase, TestSuite  # for this format only

    failed = {outcome.name for outcome in report.failed}

    suite = TestSuite("models")
    for job, outcome in zip(report.jobs, report.outcomes, strict=True):
        case = TestCase(_text(outcome.name), classname=_text(str(job.export)), time=round(outcome.seconds, 3))
        _add_findings(case, outcome.findings, fail_on)
        if outcome.error:
            kind = Error if outcome.name in failed else Skipped
            result = kind(_text(outcome.error.message), outcome.error.code)
            result.text = _text("\n".join(filter(None, [outcome.error.hint, outcome.details])))
            case.result = [result]
        suite.add_testcase(case)
    if report.findings:
        case = TestCase("batch", classname="batch")
        _add_findings(case, report.findings, fail_on)
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


def _suite(file: CheckedFile, is_failure: Callable[[Finding], bool]) -> TestSuite:
    from junitparser import Error, Failure, TestCase, TestSuite  # for this format only

    suite = TestSuite(_text(file.path))
    if file.error:
        case = TestCase("read", classname=_text(file.path))
        case.result = [Error(_text(file.error.message), file.error.code)]
        suite.add_testcase(case)
        return suite
    titles = rulebook()
    in_order = sorted(file.findings, key=lambda finding: finding.id)
    for rule, findings in groupby(in_order, key=lambda finding: finding.id):
        case = TestCase(_text(f"{rule} {titles[rule].title}"), classname=_text(file.path))
        failures, output = [], []
        for finding in findings:
            line = _line(finding, finding.level.value)
            if is_failure(finding):
                failures.append(Failure(_text(finding.message), finding.level.value))
                failures[-1].text = line
            else:
                output.append(line)
        if failures:
            case.result = failures
        if output:
            case.system_out = "\n".join(output)
        suite.add_testcase(case)
    if not file.findings:
        suite.add_testcase(TestCase("check", classname=_text(file.path)))
    return suite


def _add_findings(case: TestCase, findings: tuple[Finding, ...], fail_on: Level) -> None:
    """At most one failure a case, for all its findings: readers show no more failures than cases."""
    from junitparser import Failure  # for this format only

    failing = [finding for finding in findings if finding.level.rank >= fail_on.rank]
    failures: list[str] = []
    output: list[str] = []
    for finding in findings:
        line = _line(finding, f"{finding.level.value} {finding.id}")
        (failures if finding.level.rank >= fail_on.rank else output).append(line)
    if failing:
        first, more = failing[0], f" (and {len(failing) - 1} more)" if len(failing) > 1 else ""
        failure = Failure(_text(f"{first.id} {first.message}{more}"), first.level.value)
        failure.text = "\n".join(failures)
        case.result = [failure]
    if output:
        case.system_out = "\n".join(output)


def _line(finding: Finding, what: str) -> str:
    place = ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part is not None)
    hint = f"\nhint: {finding.hint}" if finding.hint else ""
    return _text(f"{place}{': ' if place else ''}{what}: {finding.message}{hint}")


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)


_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_UNREADABLE = "unreadable"


def sarif_document(report: CheckReport, exit_code: int) -> dict[str, Any]:
    """The SARIF log of one run. Files that could not be checked are notifications of the tool, not results."""
    rules = list(rulebook().values())
    numbers = {rule.id: number for number, rule in enumerate(rules)}
    driver = {
        "name": "ei-deepstream",
        "version": __version__,
        "rules": [_rule(rule) for rule in rules],
        "notifications": [{"id": _UNREADABLE, "shortDescription": {"text": "a file cannot be read"}}],
    }
    errors = [
        {
            "descriptor": {"id": _UNREADABLE, "index": 0},
            "level": "error",
            "message": {"text": error.message},
            "locations": [_location(error.path, error.line, None)] if error.path else [],
        }
        for error in (file.error for file in report.files if file.error)
    ]
    ended = {"executionSuccessful": not errors, "exitCode": exit_code, "toolExecutionNotifications": errors}
    results = [_result(finding, numbers) for finding in report.findings]
    results += [_result(each, numbers) | {"suppressions": [{"kind": "inSource"}]} for each in report.suppressed]
    run = {
        "tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "invocations": [ended], "results": results
    }  # fmt: skip
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


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
    """A relative path as a relative reference, an absolute one as a file URI; of any bytes in a file name."""
    text = quote(path.encode("utf-8", "surrogateescape"))
    if Path(path).is_absolute():
        return f"file://{text}"
    # A colon in the first part would make it a scheme.
    return f"./{text}" if ":" in path.partition("/")[0] else text
