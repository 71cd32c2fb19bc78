"""A check as JUnit XML, for Jenkins and GitLab: a suite a file, a test case a rule that found something.

A file in which nothing was found is one test case that passes.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from convert.rulebook import rulebook

if TYPE_CHECKING:
    from convert.check.report import Checked, Report
    from convert.findings import Finding, Level

__all__ = ["junit_document"]

# What XML 1.0 cannot hold, escaped or not.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_document(report: Report, fail_on: Level) -> bytes:
    """The document. Findings at or above `fail_on` fail their case; others are its output."""
    document = JUnitXml(name="ei-deepstream check")
    for file in report.files:
        document.add_testsuite(_suite(file, fail_on))
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
        suite.add_testcase(_case(file.path, f"{rule} {titles[rule].title}", list(found), fail_on))
    if not file.findings:
        suite.add_testcase(TestCase("check", classname=_text(file.path)))
    return suite


def _case(path: str, name: str, found: list[Finding], fail_on: Level) -> TestCase:
    case = TestCase(_text(name), classname=_text(path))
    failing = [finding for finding in found if finding.level.rank >= fail_on.rank]
    results = []
    for finding in failing:
        result = Failure(_text(finding.message), finding.level.value)
        result.text = _line(finding)
        results.append(result)
    if results:
        case.result = results
    if len(failing) < len(found):
        case.system_out = "\n".join(_line(finding) for finding in found if finding not in failing)
    return case


def _line(finding: Finding) -> str:
    place = ":".join(str(part) for part in (finding.path, finding.line, finding.column) if part is not None)
    hint = f"\nhint: {finding.hint}" if finding.hint else ""
    return _text(f"{place}: {finding.level.value}: {finding.message}{hint}")


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
