"""Reading YAML configs as Gst-nvinfer does: what it converts how, and what kills the process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convert.errors import InputError
from convert.nvinfer.config import read_bytes
from convert.nvinfer.keys import Parsed, Reason, Verdict


def yaml(lines: str, **options: str) -> Parsed:
    text = "property:\n" + "".join(f"  {line}\n" for line in lines.splitlines())
    return whole(text, **options)


def whole(text: str, **options: str) -> Parsed:
    return read_bytes(text.encode(), Path(__file__).with_name("config.yml"), **options)


@pytest.mark.parametrize(
    ("lines", "key", "value"),
    [
        ("batch-size: 010", "batch-size", 8),
        ("batch-size: 0x10", "batch-size", 16),
        ("batch-size: '2'", "batch-size", 2),
        ("interval: 010", "interval", 10),
        ("interval: 3.7", "interval", 3),
        ("interval: ' 3x'", "interval", 3),
        ("maintain-aspect-ratio: 2", "maintain-aspect-ratio", 2),
        ("enable-dla: -1", "enable-dla", -1),
        ("input-tensor-from-meta: 2", "input-tensor-from-meta", 1),
        ("input-tensor-from-meta: 1\ninput-tensor-from-meta: 0", "input-tensor-from-meta", 1),
        ("disable-output-host-copy: 4294967295", "disable-output-host-copy", -1),
        ("net-scale-factor: .inf", "net-scale-factor", "inf"),
        ("net-scale-factor: -.INF", "net-scale-factor", "-inf"),
        ("classifier-threshold: .NaN", "classifier-threshold", "nan"),
        ("max-gpu-mem-per: 80.5", "max-gpu-mem-per", 80.5),
        ("infer-dims: -1; 96 ;96x", "infer-dims", [4294967295, 96, 96]),
        ("offsets: 1;0x10;.5z", "offsets", [1, 16, 0.5]),
        ("output-blob-names: a; b;", "output-blob-names", ["a", " b", ""]),
        ("output-blob-names: " + "n" * 100, "output-blob-names", ["n" * 63]),
        ("layer-device-precision: " + "n" * 100, "layer-device-precision", ["n" * 100]),
        ("classifier-type: " + "n" * 100, "classifier-type", "n" * 63),
        ("custom-network-config: " + "n" * 2000, "custom-network-config", "n" * 2000),
        ("parse-bbox-func-name: " + "n" * 2000, "parse-bbox-func-name", "n" * 1023),
        ("filter-out-class-ids: 3\nfilter-out-class-ids: -1;3", "filter-out-class-ids", [3, 4294967295]),
        ("operate-on-class-ids: 3\noperate-on-class-ids: 1", "operate-on-class-ids", [1]),
        ("dynamic-properties: a=1; =2 ;b", "dynamic-properties", ["a=1", "=2"]),
        ("op-tensor-files: a;b/c; /d", "op-tensor-files", ["<dir>/a", "<dir>/b/c", "<dir>/ /d"]),
        ("onnx-file:", "onnx-file", "<dir>/null"),
        ('onnx-file: "a\\0b"', "onnx-file", "<dir>/a"),
        ("classifier-type: ~", "classifier-type", "null"),
        ("onnx-file: &m a.onnx\nmodel-engine-file: *m", "model-engine-file", "<dir>/a.onnx"),
        ("gie-unique-id: !!str 5", "gie-unique-id", 5),
    ],
)
def test_values(lines: str, key: str, value: Any) -> None:
    assert yaml(lines).values[key] == value


@pytest.mark.parametrize(
    ("lines", "verdict", "exception"),
    [
        ("batch-size: 2.0", "aborts", "yaml-cpp: bad conversion"),
        ("batch-size: -1", "aborts", "yaml-cpp: bad conversion"),
        ("batch-size: 08", "aborts", "yaml-cpp: bad conversion"),
        ("batch-size:", "aborts", "yaml-cpp: bad conversion"),
        ("batch-size: 0", "rejected", None),
        ("enable-dla: true", "aborts", "yaml-cpp: bad conversion"),
        ("interval:", "aborts", "stoi"),
        ("interval: 99999999999", "aborts", "stoi"),
        ("interval: -1", "rejected", None),
        ("interval: [1]", "aborts", "yaml-cpp: bad conversion"),
        ("no-such: [1]", "aborts", "yaml-cpp: bad conversion"),
        ("no-such:", "accepted", None),
        ("[a]: 1", "aborts", "yaml-cpp: bad conversion"),
        ("infer-dims: 1;2", "rejected", None),
        ("infer-dims: a;2", "rejected", None),  # counted before it is converted
        ("infer-dims: a;2;3", "aborts", "stoul"),
        ("offsets: 1;2;3;4;x", "rejected", None),
        ("offsets:", "aborts", "stod"),
        ("offsets: 1e-400", "aborts", "stod"),
        ("operate-on-class-ids: 0;", "aborts", "stoi"),
        ("net-scale-factor: 1e400", "aborts", "yaml-cpp: bad conversion"),
        ("net-scale-factor: inf", "aborts", "yaml-cpp: bad conversion"),
        ("threshold: x", "accepted", None),
        ("enable-dbscan: x", "accepted", None),
        ("input-dims: x", "accepted", None),
        ("is-classifier: 1", "accepted", None),
        ("network-type: 4", "rejected", None),
        ("onnx-file: " + "n" * 300, "rejected", None),
    ],
)
def test_verdicts(lines: str, verdict: str, exception: str | None) -> None:
    parsed = yaml(lines)
    assert (parsed.verdict, parsed.exception) == (verdict, exception)


def test_a_negative_class_ends_the_process() -> None:
    assert yaml("operate-on-class-ids: 1;-1").verdict == "aborts"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("", "rejected"),
        ("---\n", "rejected"),
        ("~", "rejected"),
        ("- property\n", "rejected"),
        ("{}", "rejected"),
        ("property", "aborts"),
        ("property=1", "aborts"),
        ("Property: 1", "rejected"),
        ("property:", "accepted"),
        ("property: []", "accepted"),
        ("property: [a]", "aborts"),
        ("property: x", "accepted"),
        ("'property': {gie-unique-id: 1}", "accepted"),
        ("a: 1\n--- b\nproperty:\n", "rejected"),
        ("property:\n  gie-unique-id: 1\n]", "aborts"),
        ("~: 1\nproperty:", "accepted"),
        ("[a]: 1\nproperty:", "aborts"),
        ("[a]: 1\nproperty: {network-type: 1}", "accepted"),  # only a detector looks at the other names
        ("property: {num-detected-classes: 1}\nclass-attrs-0: [a]", "aborts"),
        ("property: {num-detected-classes: 1}\nclass-attrs-0: x", "accepted"),
        ("property: {num-detected-classes: 1}\nclass-attrs-: x", "aborts"),
        ("property: {num-detected-classes: 1}\nclass-attrs-1: x", "rejected"),
        ("property: {num-detected-classes: 1}\nclass-attrs--1: x", "rejected"),
        ("property: {num-detected-classes: 1}\nclass-attrs-0: {topk: x}", "aborts"),
        ("property: {num-detected-classes: 1}\nclass-attrs-0: {topk: -1}", "rejected"),
        ("property: {num-detected-classes: 1}\nclass-attrs-0: {border-color: 1;2;3}", "rejected"),
        ("property: {num-detected-classes: 1}\nclass-attrs-0: {border-color: 1;2;3;x}", "aborts"),
        ("property: {num-detected-classes: 20000000}", "aborts"),
    ],
)
def test_files(text: str, verdict: str) -> None:
    parsed = whole(text)
    assert parsed.verdict == verdict
    assert (parsed.exception is None) == (verdict != "aborts")


def test_only_the_first_map_of_a_name_is_read() -> None:
    parsed = whole(
        "property: {num-detected-classes: 2, batch-size: 2}\nproperty: {batch-size: 3}\n"
        "class-attrs-1: {topk: 1}\nclass-attrs-01: {eps: 1}\nclass-attrs-1: {topk: 2}\n"
        "class-attrs-all: {topk: 9}\nother: 1\n"
    )
    assert parsed.values["batch-size"] == 2
    assert [(each["topk"], each["eps"]) for each in parsed.values["class-attrs"]] == [(9, 0), (1, 1)]
    assert [(each.section.name, each.section.line, each.why) for each in parsed.unread] == [
        ("property", 2, "repeated"),
        ("class-attrs-1", 5, "repeated"),
        ("other", 7, "unknown"),
    ]


def test_groups_of_a_classifier_are_not_read() -> None:
    parsed = whole("property: {network-type: 1}\nclass-attrs-all: {topk: x}\n")
    assert [each.why for each in parsed.unread] == ["network-type"]
    assert parsed.values["class-attrs"] == []


def test_entries_and_places() -> None:
    parsed = yaml("gie-unique-id: 1\né: 'ä'  # c\nbatch-size: 2\nbatch-size: x")
    assert [(entry.key, entry.text, *entry[3:]) for entry in parsed.entries[:2]] == [
        ("gie-unique-id", "1", 2, 3, 2, 18),
        ("é", "ä", 3, 3, 3, 6),
    ]
    assert [(each.entry.line, each.why) for each in parsed.ignored] == [(4, "overwritten")]
    assert [entry.key for entry in parsed.unknown] == ["é"]
    fault = parsed.fault
    assert fault is not None
    assert (fault.reason, fault.key, fault.line, fault.column) == (Reason.TYPE, "batch-size", 5, 15)


def test_one_map_under_two_names() -> None:
    parsed = whole("property: {num-detected-classes: 1}\nclass-attrs-all: &a {topk: 3}\nclass-attrs-0: *a\n")
    assert [(entry.group, entry.line) for entry in parsed.entries if entry.key == "topk"] == [
        ("class-attrs-all", 2),
        ("class-attrs-0", 2),
    ]
    assert whole(
        "property: {num-detected-classes: 1}\nclass-attrs-all: &a {eps: 3, k: 1}\nclass-attrs-0: *a\n"
    ).accepted


def test_keys_of_the_wrong_form_or_release_are_unknown() -> None:
    parsed = yaml("is-classifier: 1\nstrongly-typed: 1\nthreshold: 1", release="8.0")
    assert [entry.key for entry in parsed.unknown] == ["is-classifier", "strongly-typed", "threshold"]
    assert parsed.values["network-type"] == 0


def test_a_lone_text_is_pointed_out() -> None:
    parsed = whole("property:\n  gie-unique-id=1\n")
    assert [(problem.reason, problem.line) for problem in parsed.problems] == [(Reason.NOTE, 2)]


def test_long_tensor_paths_are_pointed_out() -> None:
    for size, said in (
        (63, []),
        (64, [f"op-tensor-files: “/{'n' * 63}” has 64 bytes; with 64 and more nvinfer writes over other memory"]),
    ):
        parsed = yaml(f"op-tensor-files: a;/{'n' * (size - 1)}")
        assert parsed.accepted
        assert [(each.reason, each.message) for each in parsed.problems] == [(Reason.OVERRUN, each) for each in said]


def test_endless_lists_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.nvinfer.config.MOST_PAIRS", 10)
    with pytest.raises(InputError, match=r"^the file has millions of entries") as caught:
        yaml("output-blob-names: " + "a;" * 20)
    assert caught.value.hint == "a Gst-nvinfer config has a few dozen keys; is this another file?"


@pytest.mark.parametrize(
    ("line", "old", "new"),
    [
        ("classifier-type:", Verdict.ABORTS, Verdict.ACCEPTED),
        ("onnx-file: ~", Verdict.ABORTS, Verdict.ACCEPTED),
        ("interval=2", Verdict.ABORTS, Verdict.ACCEPTED),
        ("strange-key:", Verdict.ABORTS, Verdict.ACCEPTED),
        ("cluster-mode: -0", Verdict.ACCEPTED, Verdict.ABORTS),
        ("batch-size: -1", Verdict.REJECTED, Verdict.ABORTS),
        ("batch-size: -4294967295", Verdict.ACCEPTED, Verdict.ABORTS),
        ("batch-size: -4294967296", Verdict.ABORTS, Verdict.ABORTS),
    ],
)
def test_the_yaml_library_of_the_release_decides(line: str, old: Verdict, new: Verdict) -> None:
    for release, verdict in (("6.1", old), ("6.3", old), ("6.4", new), ("8.0", new)):
        parsed = read_bytes(f"property:\n  gie-unique-id: 1\n  {line}\n".encode(), "c.yml", release=release)
        assert parsed.verdict is verdict, release


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: [1, 2", (1, 9), "the [list] is not closed, or lacks a comma"),
        ("a: {b: 1", (1, 9), "the {map} is not closed, or lacks a comma"),
        ("a: b: c", (1, 5), "a value cannot stand here (often a tab or wrong indentation)"),
        ("- a\nb: c", (2, 1), "the list ends in an unexpected way"),
        ("a: 1\n- b", (2, 1), "the map ends in an unexpected way (often wrong indentation)"),
        ('a: "x', (1, 6), "the file ends inside a quoted text"),
        ("a: *no", (1, 4), "there is no such anchor"),
        ("a: &\n", (1, 4), "an anchor or alias has no name, or a bracket in it"),
        ("a: ]", (1, 4), "a closing bracket without an opening one"),
        ("a: &b[1]", (1, 4), "an anchor or alias has no name, or a bracket in it"),
        ("a: *{", (1, 4), "an anchor or alias has no name, or a bracket in it"),
        ("a: !b!!", (1, 4), "a tag is not complete"),
        ('a: "\\UFFFFFFFF"', (1, 7), "an escape sequence is no Unicode character"),
        ('a: "\\U00110000"', (1, 7), "an escape sequence is no Unicode character"),
        ('a: "\\q"', (1, 6), "found unknown escape character 'q'"),
    ],
)
def test_what_is_said_of_a_file_that_is_no_yaml(text: str, place: tuple[int, int], message: str) -> None:
    parsed = whole(text)
    assert [(each.reason, each.line, each.column, each.message) for each in parsed.problems] == [
        (Reason.SYNTAX, *place, message)
    ]
    assert parsed.exception == f"yaml-cpp: error at line {place[0]}, column {place[1]}: {message}"


@pytest.mark.parametrize(
    ("text", "verdict", "exception", "place", "message"),
    [
        (
            "a",
            "aborts",
            "yaml-cpp: operator[] call on a scalar",
            "syntax None:None",
            "the file is a single text, not a map of groups",
        ),
        ("other:\n  a: 1", "rejected", None, "no-property None:None", "there is no map called property"),
        (
            "property: 1",
            "accepted",
            None,
            "note 1:11",
            "property is a text and not a map: none of it is read (a key needs a colon and a blank)",
        ),
        ("property:\n  - 1", "aborts", "yaml-cpp: invalid node", "type None:None", "property is a list and not a map"),
        (
            "property:\n  ? [a]\n  : 1\n",
            "aborts",
            "yaml-cpp: bad conversion",
            "type None:None",
            "a key of property is a list or a map",
        ),
        (
            "property:\n  a:\n    b: 1",
            "aborts",
            "yaml-cpp: bad conversion",
            "type 3:5",
            "a is a map; lists are written with ; between the elements, without brackets",
        ),
        (
            "property:\n  infer-dims: [1, 2, 3]\n",
            "aborts",
            "yaml-cpp: bad conversion",
            "type 2:15",
            "infer-dims is a list; lists are written with ; between the elements, without brackets",
        ),
        (
            "property:\n  gie-unique-id: [1]\n",
            "aborts",
            "yaml-cpp: bad conversion",
            "type 2:18",
            "gie-unique-id is no single value, which is not a whole number without a sign",
        ),
        (
            "property:\n  gie-unique-id:\n",
            "aborts",
            "yaml-cpp: bad conversion",
            "type 2:17",
            "gie-unique-id is nothing, which is not a whole number without a sign",
        ),
        (
            "property:\n  gie-unique-id: x\n",
            "aborts",
            "yaml-cpp: bad conversion",
            "type 2:18",
            "gie-unique-id is “x”, which is not a whole number without a sign",
        ),
    ],
)
def test_what_is_said_of_yaml_that_is_no_config(
    text: str, verdict: str, exception: str | None, place: str, message: str
) -> None:
    parsed = whole(text)
    assert (parsed.verdict, parsed.exception) == (verdict, exception)
    found = [(f"{each.reason} {each.line}:{each.column}", each.message) for each in parsed.problems]
    assert found == [(place, message)]
