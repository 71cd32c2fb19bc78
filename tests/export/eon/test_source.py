"""What the parser of EON-compiled models makes of C++ declarations."""

from __future__ import annotations

import numpy as np
import pytest

from convert.errors import InputError
from convert.export.eon_source import Group, Pointer, Unit, Value, is_null, name_of, parse, shown


def plain(value: Value) -> object:
    """Arrays as (dtype, list), pointers as (name, offset), braces as lists."""
    match value:
        case np.ndarray():
            return value.dtype.str[1:], value.tolist()
        case Pointer():
            return value.name, value.offset
        case Group():
            return [plain(item) for item in value.items]
    return value


def parsed(text: str) -> Unit:
    return parse(text.encode(), "m.cpp")


def variables(text: str) -> dict[str, tuple[str, object]]:
    return {each.name: (each.type, plain(each.value)) for each in parsed(text).variables.values()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("const int a = 1 + 2 * 3 - 4;", {"a": ("int", 3)}),
        ("static constexpr int a = -(2 - 5) * -+2;", {"a": ("int", -6)}),
        ("const float a = -1.5f;", {"a": ("float", -1.5)}),
        ("const bool a = true;", {"a": ("bool", 1)}),
        ("const int a = (int) false;", {"a": ("int", 0)}),
        ("volatile unsigned long long a = 0x10;", {"a": ("unsigned long long", 16)}),
        ("inline std::size_t a = (uint8_t)3;", {"a": ("size_t", 3)}),
        # pointers
        ("TfLiteX* a = arena + 16 + 4 - 2;", {"a": ("TfLiteX", ("arena", 18))}),
        ("uint8_t* a = arena + 16;", {}),  # of no type that is read
        ("void* a = &g0::b;", {}),
        ("TfLiteNode a = (const struct TfLiteNode *)&g0::b;", {"a": ("TfLiteNode", ("g0::b", 0))}),
        ("int a = ::b;", {"a": ("int", ("b", 0))}),
        ("tflite::TfLiteX a = const_cast<void*>(static_cast<const A<B<int>>*>(&b));", {"a": ("TfLiteX", ("b", 0))}),
        ("TfLiteX a = {};", {"a": ("TfLiteX", [])}),
        ("TfLiteX a = { {1, b + 2}, { }, nullptr, };", {"a": ("TfLiteX", [[1, ("b", 2)], [], ("nullptr", 0)])}),
        # arrays
        ("const int8_t a[] = { 1, -2, };", {"a": ("int8_t", ("i1", [1, -2]))}),
        ("constexpr int n = 2; float a[n] = { 1, .5 };", {"n": ("int", 2), "a": ("float", ("f4", [1, 0.5]))}),
        ("constexpr int n = 1; namespace s { constexpr int n = 2; char a[n] = { 7, 8 }; }",
         {"n": ("int", 1), "s::n": ("int", 2), "s::a": ("char", ("i1", [7, 8]))}),
        ("unsigned int a[2*2-3] ALIGN(16) = { 4294967295 };", {"a": ("unsigned int", ("u4", [4294967295]))}),
        ("int a[] = {};", {"a": ("int", ("i4", []))}),
        ("const tflite::TfArray<2, signed char> a = { 2, { 3, 4 }, };", {"a": ("TfArray", ("i1", [3, 4]))}),
        ("const TfArray<0x1, unsigned int> a = { 1, { 9 } };", {"a": ("TfArray", ("u4", [9]))}),
        # names
        ("namespace { int a = 1; } namespace x::y { int b = 2; namespace z { int c = 3; } } int x::d = 4;",
         {"a": ("int", 1), "x::y::b": ("int", 2), "x::y::z::c": ("int", 3), "x::d": ("int", 4)}),
        ("namespace x = a::b; int a = 1;", {"a": ("int", 1)}),
        ('extern "C" { extern int f(int); } extern "C" int a = 1; extern const int b = 2;',
         {"a": ("int", 1), "b": ("int", 2)}),
        # what is passed over
        ('using a = b<c>; static_assert(1 == 1, "{"); typedef int (*f)(int); typedef unsigned char u8; ; int z = 1;',
         {"z": ("int", 1)}),
        ("template <class T, int N = (3)> struct A : B<C<T>> { T x[N]; }; int z = 1;", {"z": ("int", 1)}),
        ("A::A(int x) const noexcept { while (x) { x = {1}; } } int f() { return 0; } int z = 1;", {"z": ("int", 1)}),
        ("struct A f(struct A* a, B& b); struct A; struct A a; TfLiteX x{}; int b[3], c; int z = 1;",
         {"z": ("int", 1)}),
        ('Unknown a = { [&](int x) { return x; }, "s" }; int z = 1;', {"z": ("int", 1)}),
    ],
)  # fmt: skip
def test_variables(text: str, expected: dict[str, tuple[str, object]]) -> None:
    assert variables(text) == expected


def test_structs_have_the_names_of_their_fields() -> None:
    unit = parsed("""
        struct A { int x; const B<int>* y, z[2]; A() : x(1) { f(); } int g(int h); void (*call)(int); };
        typedef struct { bool p; } T;
        typedef union U { float q; } V;
        class C : public D { int r; };
        struct N { } n;
        A a = { 1 }; V v = { 2 };
    """)
    pointer = "const B < int > *"
    assert unit.structs == {
        "A": (("int", "x"), (pointer, "y"), (pointer, "z")),
        "T": (("bool", "p"),),
        "V": (("float", "q"),),
        "C": (("int", "r"),),
        "N": (),
    }
    assert unit.fields(unit.need("a")) == ("x", "y", "z")


def test_enums_have_their_enumerators_in_order() -> None:
    unit = parsed("""
        enum A { X, Y = 3 + 1, Z, };
        enum class B : std::uint8_t { P };
        enum { Q } q;
        enum A f(); enum A a = X;
    """)
    assert unit.enums == {"A": ("X", "Y", "Z"), "B": ("P",), "": ("Q",)}
    assert {each.name: (each.type, plain(each.value)) for each in unit.variables.values()} == {"a": ("A", ("X", 0))}


def test_types_set_in_functions() -> None:
    unit = parsed("""
        void f() { t->type = kTfLiteInt8; u[i].type = kTfLiteFloat32; u.type == kTfLiteInt16; type = kTfLiteInt32;
                   if (1) { u.kind = kTfLiteBool; } v.type = other; }
    """)
    assert unit.types_set == {"kTfLiteInt8", "kTfLiteFloat32"}


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("int a =\n1 + b;", 2, r"the variable a: '1 \+ b' is not a number"),
        ("int a = b * 2;", 1, r"'b \* 2' is not a number"),
        ("int a = 2 * 1.5;", 1, r"'2 \* 1.5' is not a number"),
        ("int a = -b;", 1, "'-b' is not a number"),
        ("int a = b - c;", 1, "'b - c' is not a number"),
        ("\nint a = 1x;", 2, "'1x'"),
        ("int a = 1", 1, "the file ends inside a declaration"),
        ("int a = (1;", 1, r"'\( 1' is not a number"),
        ("int a = 1 2;", 1, "'1 2' is not a number"),
        ("int a = ;", 1, "a number is missing"),
        ("TfLiteX a = { 1 2 };", 1, "'1 2' is not a number"),
        ("TfLiteX a = { 1,, 2 };", 1, "a number is missing"),
        ("TfLiteX a = { .b = 2 };", 1, "b is named"),
        ("TfLiteX a = { b {1} };", 1, "'b' stands before braces in the variable a"),
        ("TfLiteX a = { 1 } b;", 1, "'b' stands where ';' in the variable a should"),
        ("TfLiteX a = { 1", 1, "a brace is not closed"),
        ("TfLiteX a = { " + "( const " * 100_000 + "};", 1, "is too long for a value"),
        ("TfArray<1, int> a = { 1, { 1 }, 2 };", 1, "more than a size and its numbers"),
        ("int8_t a[] = 1;", 1, "the variable a has no braces"),
        ("int a[2] = { 1 };", 1, "the variable a has 1 of its 2 elements"),
        ("int a[n] = { 1 };", 1, "the size of the variable a is not a number"),
        ("int a[-1] = { 1 };", 1, "the size of the variable a is not a number"),
        ("int a[] = { {1} };", 1, "the variable a holds braces among its numbers"),
        ("int a[] = { 1", 1, "the file ends inside the variable a"),
        ("int a = 1;\nint a = 2;", 2, "the variable a is defined a second time"),
        ("\na = 1;", 2, "a variable without a type"),
        ("TfArray<2, int> a = { 3, { 1, 2 } };", 1, "declared with 2 elements and says 3"),
        ("TfArray<n, int> a = { 1, { 1 } };", 1, "is not a TfArray<size, type> of numbers"),
        ("TfArray<1, Foo> a = { 1, { 1 } };", 1, "is not a TfArray<size, type> of numbers"),
        ("TfArray<1> a = { 1, { 1 } };", 1, "is not a TfArray<size, type> of numbers"),
        ("enum A { X", 1, "the file ends inside an enum"),
        ("struct A { int x;", 1, "the file ends inside a struct"),
        ("\n\nnamespace a {\nint b = 1;", 3, "the file ends inside a namespace"),
        ("int f(int a", 1, "the file ends inside a declaration"),
        ("int f() { {", 1, "the file ends inside the function f"),
        ("Unknown f = { {", 1, "the file ends inside a function"),
        ("int a = 1;\n+", 2, "the file ends inside a declaration"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, line: int, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parsed(text)
    assert (caught.value.path, caught.value.line) == ("m.cpp", line)
    assert caught.value.hint


def test_names_are_looked_up_outwards() -> None:
    unit = parsed("""
        int a[] = { 1 }; namespace x { int a[] = { 2 }; namespace y { TfLiteX p = a; TfLiteX q = x::a; TfLiteX r = b;
        TfLiteX s = a + 1; } } TfLiteX t = a; TfLiteX n = 0; int e = NULL; float f[] = { 1 };
    """)
    value = {path[-1]: variable.value for path, variable in unit.variables.items()}

    def array(name: str) -> list[int]:
        numbers: list[int] = unit.array(value[name], "int32", "it", 0).tolist()
        return numbers

    assert (array("p"), array("q"), array("t")) == ([2], [2], [1])
    with pytest.raises(InputError, match=r"^it is b, which is not defined$") as caught:
        array("r")
    assert caught.value.line == 2
    for name in ("s", "n"):
        with pytest.raises(InputError, match=r"^it is not a name$") as caught:
            array(name)
        assert caught.value.line == 1
    assert unit.array(Pointer(("e",), (), 0), "int32", "it", 0).size == 0  # an empty list is a null pointer
    with pytest.raises(InputError, match=r"^it is f, which is no array of int32$"):
        unit.array(Pointer(("f",), (), 0), "int32", "it", 0)
    assert unit.need("none", "q").name == "x::y::q"
    with pytest.raises(InputError, match=r"^other is missing$"):
        unit.need("none", "other")


def test_rows_are_read_by_field() -> None:
    unit = parsed("TfLiteX t[] = {\n{ 1, 2 }, { 3 },\n{ 4, 5, 6 } }; TfLiteX one = 1; TfLiteX few = {\n{ 1 }, 2 };")
    table = unit.need("t")
    assert [(at, dict(row)) for at, row in unit.rows(table, ("a", "b", "c"))] == [
        (16, {"a": 1, "b": 2}), (26, {"a": 3}), (33, {"a": 4, "b": 5, "c": 6}),
    ]  # fmt: skip
    with pytest.raises(InputError, match=r"^a row of t does not have 2 members$") as caught:
        unit.rows(table, ("a", "b"))
    assert caught.value.line == 3
    for name in ("one", "few"):
        with pytest.raises(InputError, match=f"a row of {name} does not have 2 members"):
            unit.rows(unit.need(name), ("a", "b"))


def test_null_in_any_spelling() -> None:
    names = {name: Pointer((name,), (), 0) for name in ("nullptr", "NULL", "a")}
    assert [is_null(each) for each in (None, 0, names["nullptr"], names["NULL"])] == [True] * 4
    assert [is_null(each) for each in (1, 0.5, names["a"], Group((), 0))] == [False] * 4
    assert [name_of(each) for each in (names["a"], None, 3)] == ["a", "", ""]
    assert [shown(each) for each in (names["a"], 3, 0.5, None)] == ["a", "3", "0.5", "something else"]
