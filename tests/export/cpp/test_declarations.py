"""What the one reader of C++ declarations finds, and what it steps over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.export.cpp_declarations import Declarations, Field, read_header, string_of
from convert.export.cpp_scanner import Scanner, text_of
from tests.examples import examples


def heads(text: str) -> list[tuple[str, str, bool, bool, bool]]:
    """Of each variable: namespaced name, words before it, array, braces, local."""
    return [
        (
            "::".join(filter(None, (head.namespace, text_of(head.name.text)))),
            " ".join(text_of(word.text) for word in head.before),
            head.is_array,
            head.braced,
            head.is_local,
        )
        for head in Declarations(Scanner(text.encode()))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("const int a = 1, b;", [("a", "const int", False, False, False)]),
        ("int a[2] = {1, 2}; int b[] {3};", [("a", "int", True, True, False), ("b", "int", True, True, False)]),
        ("std::array<char, 2> a = {1, 2};", [("a", "std :: array < char , 2 >", True, True, False)]),
        ("namespace x { namespace { S a = {}; } }", [("x::a", "S", False, True, False)]),
        ("[[gnu::used]] static float w[n] = {};", [("w", "[ [ gnu :: used ] ] static float", True, True, False)]),
        ("int f(int a = 1) { int b = 2; return b == 2; }", [("b", "int", False, False, True)]),
        ("class C { int a = 1; static const char b[] = {1}; };",
         [("a", "int", False, False, True), ("b", "static const char", True, True, True)]),
        ("auto f = [](int x) { int y = 1; return x; }; int z = 1;",
         [("f", "auto", False, False, False), ("z", "int", False, False, False)]),
        ("enum E { A = 1, B }; E e = A;", [("e", "E", False, False, False)]),
        ("bool operator=(int a) { int b = 1; }", [("b", "int", False, False, True)]),
        ("= 1; = {}; int;", []),
    ],
)  # fmt: skip
def test_variables(text: str, expected: list[tuple[str, str, bool, bool, bool]]) -> None:
    assert heads(text) == expected


def test_structs_enums_and_incbins_are_collected() -> None:
    reader = Declarations(
        Scanner(b"""
            typedef struct { const char * a; B<int, C> b, *c; int d = 1; int e[N]; void f(int); void (*g)(int); } S;
            struct T : U { union { int x; } y; int z : 3; };
            enum class E : uint8_t { P, Q = (1 + 2), R, };
            struct S2 make() { }
            namespace n { INCBIN(m, "f.tflite") int after; }
        """)
    )
    assert list(map(text_of, [head.name.text for head in reader])) == ["d"]
    assert reader.structs == {
        "S": (("const char *", "a"), ("B < int , C >", "b"), ("B < int , C >", "c"), ("int", "d"), ("int", "e")),
        "": (("int", "x"),),
        "T": (("", "y"), ("int", "z")),
    }
    assert reader.enums == {"E": ("P", "Q", "R")}
    assert [(each.name, each.file, each.namespace, each.line) for each in reader.incbins] == [("m", "f.tflite", "n", 6)]
    assert reader.unfinished is None


@pytest.mark.parametrize(
    ("text", "kind", "at"),
    [
        ("namespace a {", "namespace", 12),
        ("namespace a { int f() {", "function", 22),
        ("struct A { int b;", "struct", 9),
        ("enum A { B,", "enum", 7),
        ("int a = {{1}", "function", 8),
        ("int a = 1", "declaration", 0),
        ("int f() { } }", None, 0),
    ],
)
def test_where_the_file_ends(text: str, kind: str | None, at: int) -> None:
    reader = Declarations(Scanner(text.encode()))
    assert list(reader) is not None
    found = reader.unfinished
    assert (None if found is None else found.kind, 0 if found is None else found.at) == (kind, at)


def plain(field: Field) -> object:
    value = [plain(each) for each in field.fields] if field.braced else " ".join(text_of(t.text) for t in field.tokens)
    return {field.name: value} if field.name else value


def test_members_of_a_header() -> None:
    header = read_header(b"""
        #define N 3
        #include "tflite-model/a.h"
        int local() { int a = 5; return a; }
        const S a = { .x = f(1, 2), .y = { 1, { } }, new int[2] { 3, 4 }, n::z };
        auto& b = a;
        int a = 7;
    """)
    assert [plain(each) for each in header.declarations["a"].fields] == [
        {"x": "f ( 1 , 2 )"}, {"y": ["1", []]}, ["3", "4"], "n :: z",
    ]  # fmt: skip
    assert (header.declarations["a"].line, header.declarations["a"].type) == (5, ("const", "S"))
    assert header.resolved("b") is header.declarations["a"]
    assert header.reachable("b") == {"b", "a", "f", "n", "z", "n::z"}
    assert [each.name for each in header.typed("S")] == ["a"]
    assert (header.macros[b"N"], header.includes) == (b"3", ("tflite-model/a.h",))


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("\nS a = { 1,\n2", "a brace is not closed: the file is cut off", 2),
        ("\nint f() {\n", "a brace is not closed: the file is cut off", 2),
        ("S a = " + "{" * 40, "braces are nested too deeply", 1),
        ("namespace a {" * 257, "braces are nested too deeply", 1),
        ("".join(f"int a{at} = 1;" for at in range(5_001)), "it declares more than 5000 variables", None),
    ],
)
def test_headers_that_are_refused(text: str, message: str, line: int | None) -> None:
    with pytest.raises(InputError) as caught:
        read_header(text.encode())
    assert (caught.value.message, caught.value.line) == (message, line)
    assert caught.value.hint == ("export the library again" if line else "this is no Edge Impulse file")


WORDS = [
    "int a",
    "=",
    "{",
    "}",
    ";",
    ",",
    "[",
    "]",
    "(",
    ")",
    "<",
    ">",
    "struct S",
    "typedef struct",
    "enum E",
    "class",
]
WORDS += [
    "namespace n",
    "::",
    "x",
    "1",
    '"s"',
    "'",
    "#if X\n",
    "#endif\n",
    "/*",
    "*/",
    ".y",
    "operator",
    'INCBIN(m,"f")',
]


@examples(300)
@given(st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join))
def test_any_source_is_read_or_refused(text: str) -> None:
    count = sum(1 for _ in Declarations(Scanner(text.encode())))
    assert count <= len(text)
    try:
        header = read_header(text.encode())
    except InputError as error:
        assert error.line  # noqa: PT017 - the error is one of two right outcomes
    else:
        assert all(each.line for each in header.declarations.values())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"a"', "a"), ('"a" "b" /* c */ "d"', "abd"), ('u8"a" L"b"', "ab"), ('u"\\x41" U"\\102"', "AB"), ('""', ""),
        ('x"a"', None), ('x "a"', None), ('"a" b', None), ('"a" + "b"', None), ("u8", None), ("", None), ("'a'", None),
        ('"\\xe9"', "\xe9"), ('"\xc3\xa9"', "\u00e9"),
    ],
)  # fmt: skip
def test_text_of_string_literals(text: str, value: str | None) -> None:
    scanner = Scanner(text.encode("latin-1"))
    assert string_of(tuple(iter(scanner.next, None))) == value
