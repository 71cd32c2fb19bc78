"""The reader of INI files by hand-made cases; `test_keyfile_glib.py` holds it against GLib itself."""

from __future__ import annotations

import pytest

from convert.nvinfer import keyfile
from convert.nvinfer.keyfile import ErrorKind, KeyFile, KeyFileError
from convert.nvinfer.numbers import TooMany


def test_lines_and_columns() -> None:
    file = KeyFile.load("# ö\n\n [property]\r\n\tgie-unique-id = 1\r\nné = ä\n[b]\n[property]\nx=1".encode())
    group = file.groups[b"property"]
    assert (group.line, group.column) == (3, 2)
    assert [(pair.key.decode(), pair.value.decode(), *pair[2:]) for pair in group.pairs] == [
        ("gie-unique-id", "1", 4, 2, 18),
        ("né", "ä", 5, 1, 6),
        ("x", "1", 8, 1, 3),
    ]


def test_the_last_line_of_a_key_counts_and_all_are_listed() -> None:
    file = KeyFile.load(b"[a]\nk=1\n[b]\n[a]\nk=2\nl=3\n")
    assert [pair.key for pair in file.groups[b"a"].pairs] == [b"k", b"k", b"l"]
    assert file.groups[b"a"].last[b"k"].value == b"2"
    assert list(file.groups) == [b"a", b"b"]


def test_keys_in_other_locales_are_dropped() -> None:
    data = b"[a]\nk[fr]=x\nk[C]=y\nk[]=z\n"
    file = KeyFile.load(data)
    assert [pair.key for pair in file.groups[b"a"].pairs] == [b"k[C]", b"k[]"]
    assert [(group, pair.key) for group, pair in file.dropped] == [(b"a", b"k[fr]")]


@pytest.mark.parametrize(
    ("data", "kind", "line", "column"),
    [
        (b"[a]\n; note\n", ErrorKind.PARSE, 2, 1),
        (b"[a]\n  =1\n", ErrorKind.PARSE, 2, 3),
        (b"[a] # note\n", ErrorKind.PARSE, 1, 1),
        (b"\xef\xbb\xbf[a]\n", ErrorKind.PARSE, 1, 1),
        (b"k=1\n", ErrorKind.GROUP_NOT_FOUND, 1, 1),
        (b"[a]\nk]=1\n", ErrorKind.PARSE, 2, 1),
        (b"[a]\nk [fr]=1\n", ErrorKind.PARSE, 2, 1),
        (b"\n[]\n", ErrorKind.PARSE, 2, 1),
        (b"[a]\nEncoding=latin1\n", ErrorKind.UNKNOWN_ENCODING, 2, 10),
        (b"[a]\rk=1\r", ErrorKind.GROUP_NOT_FOUND, 1, 1),
        (b"[a]\0]\n", ErrorKind.PARSE, 1, 1),
    ],
)
def test_refused_files_say_where(data: bytes, kind: ErrorKind, line: int, column: int) -> None:
    with pytest.raises(KeyFileError) as caught:
        KeyFile.load(data)
    assert (caught.value.kind, caught.value.line, caught.value.column) == (kind, line, column)


def test_a_message_shows_what_can_be_printed() -> None:
    with pytest.raises(KeyFileError) as caught:
        KeyFile.load(b"\x1b[31m\xff" + b"x" * 500)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


def test_only_the_first_group_has_an_encoding() -> None:
    file = KeyFile.load(b"[a]\nEncoding=utf-8\n[b]\nEncoding=latin1\n")
    assert file.groups[b"b"].last[b"Encoding"].value == b"latin1"


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("3 # comment", 3), ("+3", 3), ("007", 7), ("3\t", 3), ("-1", -1), (" x", 0), ("-2147483648", -(2**31))],
)
def test_integers(text: str, value: int) -> None:
    assert keyfile.as_integer(text.encode()) == value


@pytest.mark.parametrize("text", ["", "3#", "3.0", "x", "0x3", "2147483648", "9" * 5000, "3;", '"3"'])
def test_no_integers(text: str) -> None:
    with pytest.raises(KeyFileError):
        keyfile.as_integer(text.encode())


@pytest.mark.parametrize("text", ["0.5 ", "0.5 # half", "0,5", "1/255", "", "half", "1e", "0x"])
def test_no_decimals(text: str) -> None:
    with pytest.raises(KeyFileError):
        keyfile.as_double(text.encode())


def test_decimals() -> None:
    assert [keyfile.as_double(each) for each in (b"1", b".5", b"1e400", b"0x1p-8")] == [
        1,
        0.5,
        float("inf"),
        0.00390625,
    ]


def test_booleans() -> None:
    assert [keyfile.as_boolean(each) for each in (b"1", b"true ", b"0\t", b"false")] == [True, True, False, False]
    for text in (b"True", b"yes", b"2", b"", b"1 #", b"01"):
        with pytest.raises(KeyFileError):
            keyfile.as_boolean(text)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("a;b", ["a", "b"]),
        ("a; b;", ["a", " b"]),
        ("", []),
        (";", [""]),
        ("a;;b", ["a", "", "b"]),
        ("a\\;b;c\\s", ["a;b", "c "]),
    ],
)
def test_lists(text: str, pieces: list[str]) -> None:
    assert keyfile.as_string_list(text.encode()) == tuple(piece.encode() for piece in pieces)


def test_escapes() -> None:
    assert keyfile.as_string(b"a\\sb\\tc\\nd\\re\\\\") == b"a b\tc\nd\re\\"
    for text in (b"a\\qb", b"a\\", b"a\\;b"):
        with pytest.raises(KeyFileError):
            keyfile.as_string(text)


def test_values_must_be_utf8_only_as_strings() -> None:
    with pytest.raises(KeyFileError) as caught:
        keyfile.as_string(b"\xe9")
    assert caught.value.kind is ErrorKind.UNKNOWN_ENCODING
    assert keyfile.as_integer(b"1 \xe9") == 1


def test_endless_files_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyfile, "MOST_PAIRS", 100)
    with pytest.raises(TooMany):
        KeyFile.load(b"[a]\n" + b"k=1\n" * 101)
    with pytest.raises(TooMany):
        keyfile.as_string_list(b"a;" * 101)
    with pytest.raises(TooMany):
        keyfile.as_string(b"\\s" * 101)
    assert KeyFile.load(b"# c\n\n" * 1000 + b"[a]\nk=1").groups[b"a"].pairs[0].line == 2002
