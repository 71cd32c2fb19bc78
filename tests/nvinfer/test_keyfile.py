"""The reader of INI files by hand-made cases; `test_keyfile_glib.py` holds it against GLib itself."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from convert.nvinfer import keyfile
from convert.nvinfer.keyfile import ErrorKind, KeyFile, KeyFileError
from convert.nvinfer.numbers import TooMany

if TYPE_CHECKING:
    from collections.abc import Callable


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
    data = b"[a]\nk[fr]=x\nk[C]=y\nk[]=z\nk[f]=x\nk[b-1_.@]=x\n"
    file = KeyFile.load(data)
    assert [pair.key for pair in file.groups[b"a"].pairs] == [b"k[C]", b"k[]"]
    assert [(group, pair.key) for group, pair in file.dropped] == [
        (b"a", b"k[fr]"),
        (b"a", b"k[f]"),
        (b"a", b"k[b-1_.@]"),
    ]


@pytest.mark.parametrize(
    ("data", "kind", "line", "column", "message"),
    [
        (
            b"[a]\n; note\n",
            ErrorKind.PARSE,
            2,
            1,
            "the line “; note” is neither a [group], a key=value, nor a # comment",
        ),
        (b"[a]\n  =1\n", ErrorKind.PARSE, 2, 3, "the line “  =1” is neither a [group], a key=value, nor a # comment"),
        (b"[a] # note\n", ErrorKind.PARSE, 1, 1, "the line “[a] # note” is neither"),
        (b"\xef\xbb\xbf[a]\n", ErrorKind.PARSE, 1, 1, "the line “\ufffd[a]” is neither"),
        (b"k=1\n", ErrorKind.GROUP_NOT_FOUND, 1, 1, "a key stands before the first [group]"),
        (b"[a]\nk]=1\n", ErrorKind.PARSE, 2, 1, "“k]” cannot be the name of a key"),
        (b"[a]\nk [fr]=1\n", ErrorKind.PARSE, 2, 1, "“k [fr]” cannot be the name of a key"),
        (b"[a]\nk[\xc3]=1\n", ErrorKind.PARSE, 2, 1, "“k[\ufffd]” cannot be the name of a key"),
        (b"[a]\nk[f/]=1\n", ErrorKind.PARSE, 2, 1, "“k[f/]” cannot be the name of a key"),
        (b"\n[]\n", ErrorKind.PARSE, 2, 1, "“” cannot be the name of a group"),
        (
            b"[a]\nEncoding=latin1\n",
            ErrorKind.UNKNOWN_ENCODING,
            2,
            10,
            "the first group asks for the encoding “latin1”; only UTF-8 is read",
        ),
        (b"[a]\rk=1\r", ErrorKind.GROUP_NOT_FOUND, 1, 1, "a key stands before the first [group]"),
        (b"[a]\0]\n", ErrorKind.PARSE, 1, 1, "“a]” cannot be the name of a group"),
        (b"  \n" + b"x" * 120, ErrorKind.PARSE, 2, 1, f"the line “{'x' * 120}” is neither"),
        (b"\t" + b"x" * 120, ErrorKind.PARSE, 1, 2, f"the line “\ufffd{'x' * 119}…” is neither"),
    ],
)
def test_refused_files_say_why_and_where(data: bytes, kind: ErrorKind, line: int, column: int, message: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        KeyFile.load(data)
    assert (caught.value.kind, caught.value.line, caught.value.column) == (kind, line, column)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (keyfile.as_integer, b"x", "“x” is not an integer"),
        (keyfile.as_integer, b"2147483648", "“2147483648” does not fit into 32 bits"),
        (keyfile.as_double, b"0.5 ", "“0.5 ” is not a decimal number"),
        (keyfile.as_boolean, b"yes", "“yes” is neither 0, 1, true nor false"),
        (keyfile.as_string, b"a\\qb", r"\q is no escape sequence (there are \s \n \t \r \\)"),
        (keyfile.as_string, b"a\\", "a backslash stands at the end of the line"),
        (keyfile.as_string, b"\xe9", "“\ufffd” is not UTF-8"),
    ],
)
def test_refused_values_say_why(read: Callable[[bytes], object], value: bytes, message: str) -> None:
    with pytest.raises(KeyFileError) as caught:
        read(value)
    kind = ErrorKind.UNKNOWN_ENCODING if value == b"\xe9" else ErrorKind.INVALID_VALUE
    assert (caught.value.message, caught.value.kind) == (message, kind)
    assert (caught.value.line, caught.value.column) == (0, 0), "of a value alone no place is known"


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
    for most, reads in ((100, contextlib.nullcontext()), (101, pytest.raises(TooMany))):
        for read, data in (
            (KeyFile.load, b"[a]\n" + b"k=1\n" * most),
            (keyfile.as_string_list, b"a;" * most),
            (keyfile.as_string_list, b"\\s" * most),
            (keyfile.as_string, b"\\s" * most),
        ):
            with reads:
                read(data)
    assert KeyFile.load(b"# c\n\n" * 1000 + b"[a]\nk=1").groups[b"a"].pairs[0].line == 2002
