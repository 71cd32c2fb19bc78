"""The scanner: tokens, comments, continuations and conditional groups as a C++ compiler sees them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.export.cpp_declarations import read_header
from convert.export.cpp_scanner import Kind, Scanner, line_of, source_bytes
from tests.examples import examples


def words(text: str, *, every_branch: bool = False) -> list[str]:
    scanner = Scanner(text.encode(), every_branch=every_branch)
    found: list[str] = []
    while token := scanner.next():
        found.append(token.text.decode())
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b\tc\n d", ["a", "b", "c", "d"]),
        ("a // b\nc", ["a", "c"]),
        ("a // b \\\n c\nd", ["a", "d"]),
        ("a /* b\n /* c */ d", ["a", "d"]),
        ("a /* never closed", ["a"]),
        ("a \\\n b \\\r\n c", ["a", "b", "c"]),
        ("x[3] = {0x1C, 1'0, .5e-3f};", ["x", "[", "3", "]", "=", "{", "0x1C", ",", "1'0", ",", ".5e-3f", "}", ";"]),
        ('"a // b" "\\"" \'"\'', ['"a // b"', '"\\""', "'\"'"]),
        ("a::b<c>>d==e", ["a", "::", "b", "<", "c", ">>", "d", "==", "e"]),
        ("größe = 1", ["größe", "=", "1"]),
        ("a # b", ["a", "#", "b"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#if 0\na\n#endif\nb", ["b"]),
        ("#if 1\na\n#else\nb\n#endif", ["a"]),
        ("#ifdef X\na\n#else\nb\n#endif", ["b"]),
        ("#define X\n#ifdef X\na\n#else\nb\n#endif", ["a"]),
        ("#ifndef GUARD\n#define GUARD\na\n#endif // GUARD", ["a"]),
        ("#define X 2\n#if X == 1\na\n#elif X == 2\nb\n#elif 1\nc\n#else\nd\n#endif", ["b"]),
        ("#if 0\n#if 1\na\n#else\nb\n#endif\nc\n#else\nd\n#endif", ["d"]),
        ("#if defined(X) && \\\n X > 1\na\n#endif\nb", ["b"]),
        ("# if /* 0 */ 1 // 0\na\n# endif", ["a"]),
        ("#define X 1 /* over\n two lines */\n#if X\na\n#endif", ["a"]),
        ("#define X 1\n#undef X\n#ifdef X\na\n#endif\nb", ["b"]),
        ("#if 0\n\"\n#endif\n' /*\n#endif\n*/ x\n#endif\na", ["' /*", "*", "/", "x", "a"]),  # as GCC: to the line's end
        ("#elif 1\na\n#endif\n#endif\nb", ["a", "b"]),
        ("#if 0\na", []),
        ("#if (\na\n#endif\nb", ["b"]),
        ("#ifdef __cplusplus\na\n#endif", ["a"]),
        ("#if 0\n1 / 2\n#else\nb\n#endif", ["b"]),
        ("#if 0\n/* \n#else\n*/\n#else\nb\n#endif", ["b"]),
        ("#if 0\n1 / 2 // \\\n#else\n#else\nb\n#endif", ["b"]),
        ('#if 0\n\'/*\' "/*" "//"\n#else\nb\n#endif', ["b"]),
        ("#if 0\n1 #else\n#else\nb\n#endif", ["b"]),
        ("#if 0\n#if 1\n#else\n#endif\n#ifdef X\n#endif\n#ifndef X\n#endif\n#else\nb\n#endif\nc", ["b", "c"]),
        ("#if 0\na /", []),
        ("x #if 0\na", ["x", "#", "if", "0", "a"]),
    ],
)
def test_conditional_groups(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_every_branch_but_if_0() -> None:
    text = "#if 0\na\n#endif\n#ifdef X\nb\n#else\nc\n#endif\n#if 0\nd\n#elif FOO\ne\n#else\nf\n#endif"
    assert words(text, every_branch=True) == ["b", "c", "e", "f"]


def test_what_is_remembered() -> None:
    scanner = Scanner(
        b'#include <a.h>\n#define A  1 + 2 // x\n#define F(x) x\n#include "b/c.h" // y\n#if 0\n#include "d"\n#endif'
    )
    assert scanner.next() is None
    assert scanner.includes == [b"a.h", b"b/c.h"]
    assert scanner.macros[b"A"] == b"1 + 2"
    assert b"F" not in scanner.macros


def test_positions_and_kinds() -> None:
    data = b"\n\nabc 12 'x'"
    scanner = Scanner(data)
    tokens = [scanner.next() for _ in range(3)]
    assert [token and (token.kind, token.start, line_of(data, token.start)) for token in tokens] == [
        (Kind.NAME, 2, 3),
        (Kind.NUMBER, 6, 3),
        (Kind.CHAR, 9, 3),
    ]


@pytest.mark.parametrize(
    ("before", "piece"),
    [("int a;\n", '\\"'), ("int a;\n", "\\'"), ("#if 0\n", "\\'"), ("#define A ", '\\"'), ("int a = {{\n", "\\'")],
)
def test_a_line_of_unclosed_quotes_is_read_once(before: str, piece: str) -> None:
    """Read again from each quote, it would not end in the suite's time."""
    with suppress(InputError):
        read_header((before + piece * 100_000).encode())


def test_a_long_directive_of_comments_is_read_once() -> None:
    assert words("#define A " + "/**/\\\n" * 20_000 + "1\nb") == ["b"]


def test_an_unclosed_literal_ends_with_its_line() -> None:
    assert words("a 'b c\nd \"e f\ng") == ["a", "'b c", "d", '"e f', "g"]


def test_nested_too_deeply() -> None:
    with pytest.raises(InputError, match=r"^conditional groups \(#if\) are nested too deeply$") as caught:
        words("#if 1\n" * 1000)
    assert caught.value.hint == "export the library again"


def test_a_long_chain_of_branches_needs_no_stack() -> None:
    assert words("#if 0\n" + "#elif 0\nx\n" * 5000 + "#else\na\n#endif") == ["a"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks(encoding: str) -> None:
    assert source_bytes("int ü;".encode(encoding)) == "int ü;".encode()


def test_damaged_utf16() -> None:
    with pytest.raises(InputError, match=r"^the text is damaged UTF-16$") as caught:
        source_bytes(b"\xff\xfea")
    assert caught.value.hint == "export the file again"


PIECES = [
    "#if 0\n",
    "#if X\n",
    "#ifdef A\n",
    "#elif 1\n",
    "#else\n",
    "#endif\n",
    "#define A 1\n",
    "#",
    "/*",
    "*/",
    "//",
    "\\\n",
]
PIECES += ['"', "'", "a", "1", "{", "}", "\n", " ", "\\", "\0", "ÿ"]


@examples(300)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.booleans())
def test_any_text_ends(text: str, every_branch: bool) -> None:
    data = text.encode()
    scanner = Scanner(data, every_branch=every_branch)
    last = -1
    while token := scanner.next():
        assert token.start > last
        assert data[token.start : token.start + len(token.text)] == token.text
        last = token.start


@given(st.binary(max_size=300))
def test_any_bytes_end(data: bytes) -> None:
    scanner = Scanner(data)
    assert sum(1 for _ in iter(scanner.next, None)) <= len(data)


def test_no_more_tokens_than_asked_for() -> None:
    assert [token and token.text for token in iter(Scanner(b"a b", most=2).next, None)] == [b"a", b"b"]
    with pytest.raises(InputError, match=r"^this is too long for an EON-compiled model$") as caught:
        list(iter(Scanner(b"a\nb c", most=2).next, None))
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("text", "plain", "position"),
    [
        (b"1, 2\n,3 } x", b"1, 2\n,3 ", 9), (b"1 /* a */, 2 // b\n, 3 }", b"1  , 2  \n, 3 ", 23),
        (b"1 /* a\n\n */, 2}", b"1 \n\n, 2", 15), (b"1 // a\\\n2\n,3}", b"1 \n\n,3", 13),
        (b"'a', 'b' }", b" 97 ,  98  ", 10), (b"1'000, 0x1c}", b"1'000, 0x1c", 12), (b"A, (B) }", b"A, (B) ", 8),
        (b"#if 1\n1,\n#else\n2,\n#endif\n3 }", b"\n1,\n\n\n\n3 ", 28),
        (b"#if 0\n1,\n#else\n2,\n#endif\n3 } x", b"\n\n\n2,\n\n3 ", 28), (b"1,\n#define X 3\nX }", b"1,\n\nX ", 18),
        (b'"}", 1}', b' "}", 1', 7), (b"}", b"", 1), (b"", None, 0), (b"1, 2", None, 0), (b"1 /* open", None, 0),
    ],
)  # fmt: skip
def test_text_up_to_a_brace(text: bytes, plain: bytes | None, position: int) -> None:
    """As many newlines as before it, so that a place has the same line."""
    scanner = Scanner(text)
    assert scanner.plain_text() == plain
    assert scanner.position == position
    assert plain is None or plain.count(b"\n") == text[:position].count(b"\n")
