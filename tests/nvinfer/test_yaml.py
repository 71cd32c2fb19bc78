"""YAML against what yaml-cpp 0.7.0 was seen to make of it (`YAML::LoadFile`); 0.6.2 and 0.8.0 where they differ."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convert.nvinfer.config import read_bytes
from convert.nvinfer.numbers import TooMany
from convert.nvinfer.yaml import MOST_BYTES, Node, YamlError, load, yaml_cpp
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

THROWS = object()
# None is null, a str a scalar, a dict a map; a map with repeated or odd keys is a tuple of pairs.
SEEN: list[tuple[str, Any]] = [
    ("a: b\n", {"a": "b"}),
    ("a:\n", {"a": None}),
    (
        "a: ~\nb: null\nc: Null\nd: NULL\ne: nULL\nf: ''\n",
        {"a": None, "b": None, "c": None, "d": None, "e": "nULL", "f": ""},
    ),
    ("a: b # c\n", {"a": "b"}),
    ("a: b#c\n", {"a": "b#c"}),
    ("a: b  \nc: d\t\n", {"a": "b", "c": "d"}),
    ("a: b c\n  d\n", {"a": "b c d"}),
    ("a: b\n c\n\n d\n", {"a": "b c\nd"}),
    ("a:b\n", "a:b"),
    ("a: http://x:1\n", {"a": "http://x:1"}),
    ("a: b: c\n", THROWS),
    ("a: 'b': c\n", THROWS),
    ("- a\n- b\n", ["a", "b"]),
    ("-a\n", "-a"),
    ("- - a\n  - b\n- c: d\n  e: f\n", [["a", "b"], {"c": "d", "e": "f"}]),
    ("-\n  a: b\n", [{"a": "b"}]),
    ("a:\n- b\n- c\n", {"a": ["b", "c"]}),
    ("a:\n- b\nc: d\n", {"a": ["b"], "c": "d"}),
    ("a:\n  - b\nc: d\n", {"a": ["b"], "c": "d"}),
    ("a: -\n", THROWS),
    ("a: - b\n", THROWS),
    ("? a\n: b\n", {"a": "b"}),
    ("? a\n", {"a": None}),
    ("? - x\n: y\n", ((["x"], "y"),)),
    (": a\n", {None: "a"}),
    ("a: ?x\nb: :x\nc: -x\n", {"a": "?x", "b": ":x", "c": "-x"}),
    ("a: 1\na: 2\n", (("a", "1"), ("a", "2"))),
    ("a:\n\tb: 1\n", THROWS),
    ("a:\n  b: 1\n\tc: 2\n", THROWS),
    ("a:\tb\n", {"a": "b"}),
    ("a: b\tc\n", {"a": "b\tc"}),
    ("\ta: b\n", THROWS),
    ("a:\n  b: 1\n c: 2\n", THROWS),
    ("a:\n  b: 1\n   c: 2\n", THROWS),
    ("a:\n b: 1\nc: 2\n", {"a": {"b": "1"}, "c": "2"}),
    (" a: 1\n b: 2\n", {"a": "1", "b": "2"}),
    (" a: 1\nb: 2\n", {"a": "1"}),
    ('a: "b\\n\\x41\\u00e9\\/\\e"\n', {"a": "b\nAé/\x1b"}),
    ('a: "b\\qc"\n', THROWS),
    ('a: "\\N\\_\\L\\P"\n', {"a": "\udc85\udca0\u2028\u2029"}),
    ("a: 'it''s'\n", {"a": "it's"}),
    ("a: 'b\n  c\n\n  d'\n", {"a": "b c\nd"}),
    ('a: "b \\\n   c"\n', {"a": "b c"}),
    ('a: "b\n', {"a": "b "}),
    ("a: 'b\n", {"a": "b "}),
    ('"a": b\n', {"a": "b"}),
    ("'a' : b\n", {"a": "b"}),
    ('a: "b" c\n', THROWS),
    ('a: "---\n---\n"\n', THROWS),
    ('a: "\\ud800"\n', THROWS),
    ('a: "\\x4"\n', THROWS),
    ('a: " b "\n', {"a": " b "}),
    ('a: "b\n\n"\n', {"a": "b\n"}),
    ("a: |\n  b\n   c\n\n  d\n\n", {"a": "b\n c\n\nd\n"}),
    ("a: |-\n  b\n\n", {"a": "b"}),
    ("a: |+\n  b\n\n", {"a": "b\n\n"}),
    ("a: >\n  b\n  c\n\n  d\n   e\n  f\n", {"a": "b c\nd\n e\nf\n"}),
    ("a: |2\n   b\n  c\n", {"a": " b\nc\n"}),
    ("a: |0\n  b\n", THROWS),
    ("a: | # c\n  b\n", {"a": "b\n"}),
    ("a: | b\n", THROWS),
    ("a: |\nb: c\n", {"a": "", "b": "c"}),
    ("a: |\n \tb\n", {"a": "\tb\n"}),
    ("a: |\n\tb\n", THROWS),
    ("a: [b, c, d]\n", {"a": ["b", "c", "d"]}),
    ("a: [b, c,]\n", {"a": ["b", "c"]}),
    ("a: []\n", {"a": []}),
    ("a: [b,, c]\n", {"a": ["b", None, "c"]}),
    ("a: {b: c,, d: e}\n", {"a": {"b": "c", None: None, "d": "e"}}),
    ("a: {b: c, d}\n", {"a": {"b": "c", "d": None}}),
    ("a: {b: c, d: }\n", {"a": {"b": "c", "d": None}}),
    ("[a: b, c]\n", [{"a": "b"}, "c"]),
    ("[? a : b]\n", [{"a": "b"}]),
    ("{a: b\n", THROWS),
    ("[a, b\n", THROWS),
    ("a: ]\n", THROWS),
    ("a: }\n", THROWS),
    ("[a}\n", THROWS),
    ('{"a":b}\n', {"a": "b"}),
    ("{a:b}\n", {"a:b": None}),
    ("[a\n# c\n, b]\n", ["a", "b"]),
    ("[a,\n b]: c\n", THROWS),
    ("a: [b\n  c]\n", {"a": ["b c"]}),
    ("a, b\n", "a, b"),
    ("[property]\nkey=1\n", ["property"]),
    ("a: &x b\nc: *x\n", {"a": "b", "c": "b"}),
    ("a: *x\n", THROWS),
    ("&x a: b\n", {"a": "b"}),
    ("a: &x &y b\n", THROWS),
    ("a: &x\n  b: c\nd: *x\n", {"a": {"b": "c"}, "d": {"b": "c"}}),
    ("a: !!str null\nb: !t c\nc: ! d\nd: !<v> e\n", {"a": "null", "b": "c", "c": "d", "d": "e"}),
    ("a: ! \n", {"a": ""}),
    ("a: !!str\n", {"a": ""}),
    ("a: !! b\n", THROWS),
    ("a: !x!y z\n", {"a": "z"}),
    ("a: [!t b, !<v> c]\n", {"a": ["b", "c"]}),
    ("&x.y a: b\nc: *x.y\n", {"a": "b", "c": "a"}),
    ("--- a\n--- b\n", "a"),
    ("---\na: 1\n...\nb: 2\n", {"a": "1"}),
    ("a: 1\n...\n]\n", THROWS),
    ("a: 1\n---\n]\n", {"a": "1"}),
    ("a\n]\n", "a ]"),
    ("%YAML 1.2\n---\na: 1\n", {"a": "1"}),
    ("%YAML 1.2\na: b\n", {"a": "b"}),
    ("# c\n%YAML 1.2\n# c\n\na:\n  b: 1\nc: d\n", {"a": {"b": "1"}, "c": "d"}),
    ("%YAML 1.2\n- a\n- b\n", ["a", "b"]),
    ("%YAML 2.0\n---\na: 1\n", THROWS),
    ("%YAML 1.2\n%YAML 1.2\n---\na\n", THROWS),
    ("%FOO bar\n---\na: 1\n", {"a": "1"}),
    ("%TAG ! x:\n---\n!y a\n", "a"),
    ("%TAG !\n---\na\n", THROWS),
    ("---a: b\n", {"---a": "b"}),
    ("--- |\n a\n", "a\n"),
    ("...\n", None),
    ("---\n", None),
    ("", None),
    ("# c\n", None),
    ("   \n", None),
    ("@a\n", THROWS),
    ("a: `b\n", THROWS),
    ("a: %b\n", THROWS),
    ("a: &\n", THROWS),
    ("\ufeffa: b\n", {"a": "b"}),
    ("a: b\r\nc: d\r\n", {"a": "b", "c": "d"}),
    ("a: b\rc: d\n", THROWS),
    ("a\x00nb\n", "a扮"),
    ("a\x00qb\n", "a扱"),
    ("a: \x85b\n", {"a": "\x85b"}),
    ("a: " + "k" * 1100 + ": b\n", THROWS),
    ("k" * 1030 + ": b\n", THROWS),
    ("a: 'b' # c\n", {"a": "b"}),
    ("a: 'b'# c\n", {"a": "b"}),
    ("a: b #c\n  d\n", THROWS),
    ("a: b\n# c\n  d\n", THROWS),
    ("- a: b\n c: d\n", THROWS),
    ("a: {\n b: c\n}\n", {"a": {"b": "c"}}),
    ("a: {\nb: c\n}\n", {"a": {"b": "c"}}),
    ("a: {\n? b\n}\n", {"a": {"b": None}}),
    ("a: [?b]\n", THROWS),
    # A text in the column of the keys is a key where the document ends, not where a comment or a key follows.
    ("a: 1\nb=2\n", {"a": "1", "b=2": None}),
    ("a:\n  b: 1\n  c=2", {"a": {"b": "1", "c=2": None}}),
    ("a: 1\n'b'", {"a": "1", "b": None}),
    ("a: 1\nb=2\n---\n", {"a": "1", "b=2": None}),
    ("a: 1\n'b'\n", THROWS),
    ("a: 1\nb=2\n# c\n", THROWS),
    ("a: 1\nb=2\n# c", THROWS),
    ("a: 1\nb=2 # c", {"a": "1", "b=2": None}),
    ("a: 1\nb=2\n  # c", {"a": "1", "b=2": None}),
    ("a: '''b\n", {"a": "'b "}),
    ("a: 'b'''\n", {"a": "b'"}),
    ("a: 1\nb=2\nc: 3\n", THROWS),
    ("a: 1\n  b=2\n", {"a": "1 b=2"}),
    ("a:\nb\n", {"a": None, "b": None}),
    ("a:\nb # c\n", {"a": "b"}),
    ("a:\nb\nc: d\n", THROWS),
    ("a:\n[]\n", {"a": []}),
    ("a\n: b\n", THROWS),
    ("a: b\n\t\nc: d\n", THROWS),
    ('a: "', {"a": ""}),
    ("a: 'b\n  c\n  ", {"a": "b c "}),
    ("a: \"b'c\\'\"\n", {"a": "b'c'"}),
]
# yaml-cpp reads these, PyYAML does not; they are no configs (see `convert.nvinfer.yaml`).
REFUSED_BY_PYYAML = ["%a.b\n---\na: b\n", "-\na: b\n", ", a\n"]


def shape(node: Node | None) -> Any:
    if node is None or node.kind == "null":
        return None
    if node.kind == "scalar":
        return node.text.decode("utf-8", "surrogateescape")
    if node.kind == "seq":
        return [shape(each) for each in node.children]
    pairs = tuple((shape(key), shape(value)) for key, value in node.items)
    if all(isinstance(key, str | None) for key, _ in pairs) and len(dict(pairs)) == len(pairs):
        return dict(pairs)
    return pairs


@pytest.mark.parametrize(("text", "seen"), SEEN, ids=[repr(text)[:60] for text, _ in SEEN])
def test_reads_as_yaml_cpp_does(text: str, seen: Any) -> None:
    if seen is THROWS:
        with pytest.raises(YamlError):
            load(text.encode())
    else:
        assert shape(load(text.encode())) == seen


# Text, and what 0.6.2, 0.7.0 and 0.8.0 made of it.
BY_LIBRARY: list[tuple[str, Any, Any, Any]] = [
    ("a: !!str null\n", {"a": None}, {"a": "null"}, {"a": "null"}),
    ("a: !t ~\n", {"a": None}, {"a": "~"}, {"a": "~"}),
    ("a: !t\n", {"a": ""}, {"a": ""}, {"a": ""}),
    ("a: b\t\t# c\n", {"a": "b\t"}, {"a": "b"}, {"a": "b"}),
    ("a: b\t# c\n", {"a": "b"}, {"a": "b"}, {"a": "b"}),
    ("a: b \t \n", {"a": "b"}, {"a": "b"}, {"a": "b"}),
    ("a: b\t\n# c\n", {"a": "b\t"}, {"a": "b"}, {"a": "b"}),
    ("a: b\t", {"a": "b\t"}, {"a": "b"}, {"a": "b"}),
    ("{a: b\t}\n", {"a": "b\t"}, {"a": "b"}, {"a": "b"}),
    ("a: 1\r", {"a": "1\r"}, {"a": "1\r"}, {"a": "1"}),
    ("a: 1\rb: 2\n", THROWS, THROWS, THROWS),
    ("a: 1\r\r\nb: 2\r\r\n", {"a": "1\r", "b": "2\r"}, {"a": "1\r", "b": "2\r"}, {"a": "1", "b": "2"}),
    ("a: 1 # x\rb: 2\n", {"a": "1"}, {"a": "1"}, THROWS),
    ("a:\r  b: 1\r", {"a:\r  b": "1\r"}, {"a:\r  b": "1\r"}, {"a": {"b": "1"}}),
    ("a:\n  b=1\r\tc: d\n", {"a": {"b=1\r\tc": "d"}}, {"a": {"b=1\r\tc": "d"}}, {"a": {"b=1 c": "d"}}),
    ("a: 'b\rc'\n", {"a": "b\rc"}, {"a": "b\rc"}, {"a": "b c"}),
]


@pytest.mark.parametrize(("text", "old", "middle", "new"), BY_LIBRARY, ids=[repr(row[0])[:60] for row in BY_LIBRARY])
def test_each_library_reads_as_it_does(text: str, old: Any, middle: Any, new: Any) -> None:
    for release, seen in (("6.3", old), ("6.4", middle), ("7.1", middle), ("8.0", new), ("9.2", new)):
        try:
            got = shape(load(text.encode(), yaml_cpp(release)))
        except YamlError:
            got = THROWS
        assert got == seen, release


def test_places_count_on_over_a_carriage_return_that_ends_a_line() -> None:
    root = load(b"a: 1\r\r\nb:\r  c: 2\n", (0, 8))
    assert root is not None
    (_, (key, value)) = root.items
    inner = value.items[0][0]
    assert [(each.line, each.column) for each in (key, inner)] == [(2, 1), (2, 6)]


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_encodings_are_guessed(encoding: str) -> None:
    assert shape(load("a: b\nc: \N{GRINNING FACE}\n".encode(encoding))) == {"a": "b", "c": "\N{GRINNING FACE}"}


@pytest.mark.parametrize("text", REFUSED_BY_PYYAML)
def test_what_pyyaml_cannot_read_throws(text: str) -> None:
    with pytest.raises(YamlError):
        load(text.encode())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff\xfea\0\x00\xdcb\0", "a\ufffdb"),  # the second half of a pair alone
        (b"\xff\xfea\0\x00\xd8", "a\ufffd"),  # the first half at the end
        (b"\xff\xfea\0b", "a"),  # half a character at the end
        (b"\xe4", "\udce4"),  # no UTF-8
        (b"a\x85b\xc2\x85\xe2\x80\xa8", "a\udc85b\x85\u2028"),  # line breaks to YAML 1.1 only
    ],
)
def test_broken_text(data: bytes, text: str) -> None:
    assert shape(load(data)) == text


def test_aliases_are_the_same_node_even_inside_themselves() -> None:
    root = load(b"a: &x {b: *x}\n")
    assert root is not None
    inner = root.items[0][1]
    assert inner.items[0][1] is inner


def test_places_count_characters() -> None:
    root = load("é: b\n  # c\r\nü: {ö: ä}\n".encode())
    assert root is not None
    (_, first), (second, value) = root.items
    assert [(each.line, each.column) for each in (first, second, value.items[0][1])] == [(1, 4), (3, 1), (3, 8)]


@pytest.mark.parametrize(("text", "line", "column"), [("a: b\nc: 'x", 2, 6), ("é: [\n", 2, 1), ("a:\n\tb: 1\n", 2, 3)])
def test_errors_have_a_place(text: str, line: int, column: int) -> None:
    with pytest.raises(YamlError) as caught:
        load(text.encode())
    assert (caught.value.line, caught.value.column) == (line, column)


@pytest.mark.parametrize("deep", [b"[" * 600, b"- " * 600 + b"a", b"{a: " * 600, b"? " * 600 + b"a"])
def test_deep_nesting_throws(deep: bytes) -> None:
    with pytest.raises(YamlError, match=r"^the nesting is too deep"):
        load(deep)
    assert load(b"[" * 400 + b"]" * 400) is not None


@pytest.mark.parametrize(
    "endless", [b"- a\n" * 1000, b"[a" + b",a" * 2000, b"? a\n" * 1000, b"%A\n" * 2000, b"...\n" * 2000]
)
def test_endless_files_end(endless: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.nvinfer.yaml.MOST_TOKENS", 1000)
    with pytest.raises(TooMany, match=r"^the file has more than 1,000 YAML tokens"):
        load(endless)


def test_comments_and_blank_lines_are_no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.nvinfer.yaml.MOST_TOKENS", 10)
    root = load(b"# c\n  \r\n" * 1000 + b"a: b\n")
    assert shape(root) == {"a": "b"}
    assert root is not None
    assert (root.line, root.column) == (2001, 1)


def test_large_files_are_refused() -> None:
    assert load(b"#" * MOST_BYTES) is None
    with pytest.raises(TooMany, match=r"^the file has 1,048,577 bytes"):
        load(b"#" * (MOST_BYTES + 1))


@pytest.mark.parametrize(
    "hostile",
    [b"[", b" ", b"\t", b'"', b"'", b"# c\n", b"\n", b"a\n ", b'"\\n', b"a" + b" " * 999, b"[\n", b"!", b"? "],
)
def test_time_is_linear(hostile: bytes) -> None:
    spent = []
    for length in (2**13, 2**16):
        begin = time.process_time()
        with contextlib.suppress(YamlError, TooMany):
            load(hostile * (length // len(hostile)))
        spent.append(time.process_time() - begin)
    # 8 times the text; a quadratic reader would take 64 times as long.
    assert spent[1] < 30 * spent[0] + 0.5


STRUCTURE = st.sampled_from(
    [
        *"ab:-?#&*!|>'\"[]{},%@`\\ \t\n",
        "\n  ",
        ": ",
        "- ",
        "? ",
        "---",
        "...",
        "&x ",
        "*x",
        "!t ",
        "\r\n",
        "\r",
        "\0",
        "\x04",
        "é",
    ]
)


@examples(600)
@given(
    data=st.one_of(st.binary(max_size=40), st.lists(STRUCTURE, max_size=20).map(lambda each: "".join(each).encode()))
)
@example(data=b"\0q")
@example(data=b"\r\t\r: ")
@example(data=b"&a *a")
@example(data=b"a: \x04")
def test_any_bytes_are_read_or_throw(data: bytes) -> None:
    for library in ((0, 6), (0, 7), (0, 8)):
        try:
            kind = getattr(load(data, library), "kind", "null")
        except YamlError as error:
            kind = "throws" if error.line >= 1 and error.column >= 1 else "throws nowhere"
        assert kind in {"null", "scalar", "seq", "map", "throws"}


# Changes that mean nothing to YAML: what was recorded for a file holds for the changed one, too.
SAME = st.lists(
    st.sampled_from(["comments", "crlf", "bom", "utf-16", "start", "end", "deeper", "blanks", "quotes", "tabs"]),
    unique=True,
)


def changed(text: str, changes: list[str]) -> bytes:
    lines = text.split("\n")
    if "deeper" in changes:
        lines = [line.replace("  ", "     ", 1) if line.startswith("  ") else line for line in lines]
    if "quotes" in changes:
        lines = [line.replace("property", "'property'") if line == "property:" else line for line in lines]
    if "tabs" in changes:
        lines = [line.replace(": ", ":\t", 1) if line.startswith("  ") else line for line in lines]
    if "comments" in changes:
        lines = [each for line in lines for each in (f"{line} # c" if line.endswith(":") else line, "  # c: d", "")]
    if "blanks" in changes:
        lines = [f"{line} " for line in lines]
    text = "\n".join(lines)
    if "start" in changes:
        text = f"--- # c\n{text}"
    if "end" in changes:
        text = f"{text}\n...\nproperty: [\n"
    if "crlf" in changes:
        text = text.replace("\n", "\r\n")
    if "utf-16" in changes:
        return text.encode("utf-16")
    return text.encode("utf-8-sig" if "bom" in changes else "utf-8")


@examples(25)
@given(changes=SAME)
def test_recorded_verdicts_hold_for_the_same_yaml(vectors: Path, changes: list[str]) -> None:
    recorded: dict[str, dict[str, Any]] = json.loads((vectors / "config" / "expected.json").read_text())
    names = [name for name in recorded if name.endswith((".yml", ".yaml"))]
    assert len(names) > 30
    wrong = {}
    for name in names:
        path = vectors / "config" / name
        text = path.read_bytes().decode("utf-8-sig")
        # No document at all, and lines that only mean the same while they stand as they do.
        if name in {"yaml-empty.yml", "yaml-ini-equals.yml", "yaml-ini-inside.yml"}:
            continue
        parsed = read_bytes(changed(text, changes), path)
        got = {key: parsed.values.get(key) for key in recorded[name]["values"]}
        if (parsed.verdict, got) != (recorded[name]["verdict"], recorded[name]["values"]):
            wrong[name] = (parsed.verdict, parsed.fault, got)
    assert not wrong


def test_ini_does_not_import_pyyaml() -> None:
    code = (
        "import sys; from convert.nvinfer.config import read_bytes; import convert.check.app;"
        "read_bytes(b'[property]', 'c.txt'); print('yaml' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize(
    ("release", "library"), [("6.1", (0, 6)), ("6.3", (0, 6)), ("6.4", (0, 7)), ("7.1", (0, 7)), ("8.0", (0, 8))]
)
def test_yaml_cpp_of_a_release(release: str, library: tuple[int, int]) -> None:
    assert yaml_cpp(release) == library
