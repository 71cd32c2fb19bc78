"""Every recorded decision of NVIDIA's own parser and context (DeepStream 9.1, x86-64): verdict, values, first frame."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from convert.nvinfer.config import read, read_bytes
from convert.nvinfer.context import Binding, Engine, initialise

if TYPE_CHECKING:
    from pathlib import Path


def _engine(recorded: dict[str, Any]) -> Engine:
    inputs, outputs = (
        tuple(Binding(each["name"], each["dtype"], tuple(each["dims"])) for each in recorded[name])
        for name in ("inputs", "outputs")
    )
    return Engine(recorded["max-batch"], inputs, outputs)


@pytest.fixture(scope="module")
def expected(vectors: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((vectors / "config" / "expected.json").read_text())
    assert len(found) > 300
    return found


def test_verdicts_and_values(vectors: Path, expected: dict[str, dict[str, Any]]) -> None:
    wrong = {}
    for name, wanted in expected.items():
        parsed = read(vectors / "config" / name)
        got = {key: parsed.values.get(key, "missing") for key in wanted["values"]}
        if (parsed.verdict, got) != (wanted["verdict"], wanted["values"]):
            wrong[name] = (parsed.verdict, parsed.fault, got)
    assert not wrong


def test_all_keys_have_a_value_and_none_after_a_refusal(vectors: Path, expected: dict[str, dict[str, Any]]) -> None:
    names = None
    for name in expected:
        parsed = read(vectors / "config" / name)
        if parsed.accepted:
            names = names or set(parsed.values)
            assert set(parsed.values) == names
            assert json.loads(json.dumps(dict(parsed.values))) == dict(parsed.values)
        else:
            assert parsed.values == {}
    assert names is not None
    assert len(names) == 77


def test_what_is_refused_says_why_and_where(vectors: Path, expected: dict[str, dict[str, Any]]) -> None:
    for name, wanted in expected.items():
        parsed = read(vectors / "config" / name)
        fault = parsed.fault
        assert (fault is None) == (wanted["verdict"] == "accepted"), name
        assert (parsed.exception is None) == (wanted["verdict"] != "aborts"), name
        if fault is None:
            continue
        assert fault is parsed.problems[-1]
        assert fault.message
        lines = (vectors / "config" / name).read_bytes().count(b"\n") + 1
        if fault.reason not in {"no-property", "memory"} and not (fault.reason == "syntax" and fault.line is None):
            assert fault.line is not None, name
            assert 1 <= fault.line <= lines, name


def test_the_context(vectors: Path, expected: dict[str, dict[str, Any]]) -> None:
    cases = {name: wanted["init"] for name, wanted in expected.items() if "init" in wanted}
    assert len(cases) > 30
    wrong = {}
    for name, wanted in cases.items():
        found = initialise(read(vectors / "config" / name), _engine(wanted["engine"]))
        network = found.network
        got = {
            "verdict": found.verdict,
            "status": found.status,
            "signal": found.signal,
            "network": network and {"width": network.width, "height": network.height, "channels": network.channels},
            "cluster-mode in use": found.cluster_mode,
            "output parser": "failed" if found.output_parser_failed else None,
        }
        if got != {key: wanted.get(key) for key in got}:
            wrong[name] = (got, found.problems)
        if wanted["messages"]:
            assert found.problems, name
    assert not wrong


def test_contents_are_read_as_the_file_is(vectors: Path, expected: dict[str, dict[str, Any]]) -> None:
    for name in list(expected)[::10]:
        path = vectors / "config" / name
        assert read_bytes(path.read_bytes(), path) == read(path)
