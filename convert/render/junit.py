"""JUnit XML, for Jenkins and GitLab.

A check: a suite a file, a test case a rule that found something; a file in which nothing was found is one test case
that passes. A batch: one suite, a test case a model.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from convert.rulebook import rulebook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convert.batch.plan import Outcome
    from convert.batch.run import Report as BatchReport
    from convert.check.report import Checked, Report
    from convert.findings import Finding, Level

__all__ = ["batch_junit", "check_junit"]

# What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def check_junit(report: Report, fail_on: Level) -> bytes:
    """The document. Findings at or above `fail_on` fail their case; others are its output."""
    return _document("ei-deepstream check", (_suite(file, fail_on) for file in report.files))


def batch_junit(report: BatchReport, fail_on: Level) -> bytes:
    """The document. An error is an error; findings at or above `fail_on` fail their case, others are its output."""
    suite = TestSuite("models")
    for job, outcome in zip(report.jobs, report.outcomes, strict=True):
        suite.add_testcase(_model_case(str(job.export), outcome, fail_on))
    if report.findings:
        case = TestCase("batch", classname="batch")
        _tell(case, report.findings, fail_on)
        suite.add_testcase(case)
    return _document("ei-deepstream batch", [suite])


def _document(name: str, suites: Iterable[TestSuite]) -> bytes:
    document = JUnitXml(name=name)
    for suite in suites:
        document.add_testsuite(suite)
    document.update_statistics()
    text: bytes = document.tostring()
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + text + b"\n"


def _suite(file: Checked, fail_on: Level) -> TestSuite:
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
    case = TestCase(_text(outcome.name), classname=_text(export), time=round(outcome.seconds, 3))
    _tell(case, outcome.findings, fail_on)
    if outcome.error:
        result = Error(_text(outcome.error.message), outcome.error.code)
        result.text = _text("\n".join(filter(None, [outcome.error.hint, outcome.details])))
        case.result = [result]
    return case


def _tell(case: TestCase, findings: tuple[Finding, ...], fail_on: Level) -> None:
    """One failure a case, whatever it is made of: readers show no more failures than cases."""
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
