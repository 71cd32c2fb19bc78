"""A check as SARIF 2.1.0 (OASIS), for code scanning services: rules with their help, results with line and column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from convert import __version__
from convert.rulebook import rulebook

if TYPE_CHECKING:
    from convert.check.report import Report
    from convert.findings import Finding, Rule

__all__ = ["sarif_document"]

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_UNREADABLE: Final = "unreadable"


def sarif_document(report: Report, exit_code: int) -> dict[str, Any]:
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
