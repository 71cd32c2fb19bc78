"""A batch as JUnit XML, for Jenkins and GitLab: one suite, one test case a model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

if TYPE_CHECKING:
    from convert.batch.job import Outcome
    from convert.batch.run import Report
    from convert.findings import Finding, Level

__all__ = ["junit_document"]

# What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_document(report: Report, fail_on: Level) -> bytes:
    """The document. An error is an error; findings at or above `fail_on` fail their case, others are its output."""
    suite = TestSuite("models")
    for job, outcome in zip(report.jobs, report.outcomes, strict=True):
        suite.add_testcase(_case(str(job.export), outcome, fail_on))
    if report.findings:
        case = TestCase("batch", classname="batch")
        _tell(case, report.findings, fail_on)
        suite.add_testcase(case)
    document = JUnitXml(name="ei-deepstream batch")
    document.add_testsuite(suite)
    document.update_statistics()
    text: bytes = document.tostring()
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + text + b"\n"


def _case(export: str, outcome: Outcome, fail_on: Level) -> TestCase:
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
        failure.text = "\n".join(map(_line, failing))
        case.result = [failure]
    if len(failing) < len(findings):
        case.system_out = "\n".join(_line(finding) for finding in findings if finding.level.rank < fail_on.rank)


def _line(finding: Finding) -> str:
    place = ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part is not None)
    hint = f"\nhint: {finding.hint}" if finding.hint else ""
    return _text(f"{place}{': ' if place else ''}{finding.level.value} {finding.id}: {finding.message}{hint}")


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
