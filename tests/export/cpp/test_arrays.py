"""Byte arrays in C source, with everything that stands around them in exports of six years."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.export.cpp_arrays import Array, read_source
from samples.layouts import header, incbin_header
from tests.examples import examples


def check_array(array: Array) -> None:
    """Raises what is wrong with `array`."""
    if array.problem is not None:
        raise array.problem


DATA = random.Random(3).randbytes(200)
TEXT = ", ".join(map(str, DATA))


def only(text: str) -> Array:
    (array,) = read_source(text.encode())[0]
    return array


@pytest.mark.parametrize(
    ("form", "name", "namespace", "prefix"),
    [
        ("F1", "trained_tflite", "", "const unsigned char"),
        ("F2", "trained_tflite", "", "ALIGN(16) const unsigned char"),
        ("F2m", "trained_tflite", "impulse_4711_1", "ALIGN(16) const unsigned char"),
        ("F3", "tflite_learn_5", "", "ALIGN(16) const unsigned char"),
        ("F3b", "tflite_learn_5", "", "MODEL_SECTION(EI_MODEL_SECTION) ALIGN(16) const unsigned char"),
    ],
)
def test_forms(form: str, name: str, namespace: str, prefix: str) -> None:
    array = only(header(DATA, form))
    assert (array.name, array.namespace, array.prefix, array.data) == (name, namespace, prefix, DATA)
    assert (array.declared, array.declared_by, array.conditional) == (len(DATA), f"{name}_len", False)
    check_array(array)


@pytest.mark.parametrize(
    "declaration",
    [
        "const unsigned char m[] = {%s};",
        "unsigned char const m[200] = {%s};",
        "static constexpr std::uint8_t m[] {%s};",
        "extern const uint8_t m[]; const uint8_t m[] = {%s};",
        "alignas(16) const char m[] = {%s};",
        "[[gnu::aligned(16)]] const unsigned char m[] = {%s};",
        "__attribute__((aligned(16))) const unsigned char m[] = {%s};",
        'const unsigned char m[] __attribute__((section(".model"), aligned(4))) = {%s};',
        "const unsigned char\n  m\n  []\n  =\n  {\n%s\n}\n;",
        "constexpr std::array<unsigned char, 200> m = {%s};",
        '#ifdef __cplusplus\nextern "C" {\n#endif\nconst unsigned char m[] = {%s};\n#ifdef __cplusplus\n}\n#endif',
        "void f() { static const uint8_t m[] = {%s}; }",
    ],
)
def test_declarations(declaration: str) -> None:
    array = only(declaration % TEXT)
    assert (array.name, array.data) == ("m", DATA)
    check_array(array)


def test_what_stands_before_and_between() -> None:
    text = f"""
    // const unsigned char no[] = {{ 1 }};
    /* const unsigned char no[] = {{ 2 }}; */
    #define BYTES {{ 3 }}
    struct s {{ int a[3]; struct {{ char b[2]; }} c; }};
    enum e {{ A = 1, B }};
    static const char *names[] = {{ "}};", "{{", 'x' == 'x' ? "a" : "b" }};
    static const float weights[2][2] = {{ {{ 1.0f, 2.0f /* }} */ }}, {{ 3, 4 }} }};
    int sum(int a) {{ if (a) {{ return '}}'; }} return 0; }}
    static const uint8_t first[] = {{ 1, 2 }};
    namespace outer::inner {{ namespace {{
    const unsigned char second[] = {{ {TEXT} }};
    }} }}
    const unsigned char third[] = {{}};
    """
    arrays, _ = read_source(text.encode())
    assert [(array.name, array.namespace) for array in arrays] == [
        ("first", ""),
        ("second", "outer::inner"),
        ("third", ""),
    ]
    assert arrays[1].data == DATA
    assert arrays[0].line == 10


@pytest.mark.parametrize(
    ("length", "said_by"),
    [
        ("unsigned int m_len = 7;", "m_len"),
        ("const size_t m_size = 0x7;", "m_size"),
        ("#define m_len 7", "m_len"),
        ("#define m_size 7", "m_size"),
        ("#define m_LEN 7", "m_LEN"),
        ("#define m_SIZE (3 + 4)", "m_SIZE"),
    ],
)
def test_a_length_that_is_not_the_array_s_names_both(length: str, said_by: str) -> None:
    array = only(f"const unsigned char m[] = {{1, 2}};\n{length}\n")
    with pytest.raises(InputError, match=f"m holds 2 bytes, but {said_by} says 7") as caught:
        check_array(array)
    assert caught.value.line == 1
    assert caught.value.hint


def test_branches_that_each_hold_an_array_and_its_length() -> None:
    """One header for two processors: neither is compiled here, and the second length is not the first array's."""
    text = "#if defined(BIG)\nuint8_t m[] = {1, 2, 3};\nunsigned int m_len = 3;\n"
    text += "#elif defined(SMALL)\nuint8_t m[] = {4};\nunsigned int m_len = 1;\n#endif\n"
    first, second = read_source(text.encode())[0]
    assert [(array.data, array.declared) for array in (first, second)] == [(b"\1\2\3", 3), (b"\4", 1)]
    check_array(first)
    check_array(second)


def test_a_bound_that_is_not_reached() -> None:
    with pytest.raises(InputError, match=r"^array m holds 2 bytes, but its bound \[3\] says 3$"):
        check_array(only("#define N 3\nunsigned char m[N] = {1, 2};"))


@pytest.mark.parametrize(
    "length", ["unsigned int m_len = sizeof(m);", "unsigned int other_len = 9;", "const int m_len = N;"]
)
def test_lengths_that_say_nothing(length: str) -> None:
    array = only(f"const unsigned char m[] = {{1, 2}};\n{length}")
    assert array.declared is None
    check_array(array)


def test_the_same_name_in_two_namespaces() -> None:
    text = header(DATA, "F2m", namespace="a") + header(DATA[:50], "F2m", namespace="b")
    arrays = read_source(text.replace("MODEL_TRAINED_TFLITE_H", "X", 2).encode())[0]
    assert [(array.namespace, len(array.data), array.declared) for array in arrays] == [("a", 200, 200), ("b", 50, 50)]


def test_groups_around_arrays() -> None:
    text = "#if defined(SMALL)\nconst uint8_t m[]={1};\n#else\nconst uint8_t m[]={1,2};\n#endif"
    assert only(text).data == b"\1\2"
    assert only("#define SMALL\n" + text).data == b"\1"


def test_an_array_only_in_a_branch_not_taken_is_found_and_marked() -> None:
    array = only("#ifdef USE_MODEL\nconst uint8_t m[]={1};\n#endif\n#if 0\nconst uint8_t n[]={2};\n#endif")
    assert (array.name, array.conditional) == ("m", True)


def test_an_array_that_is_no_bytes_does_not_hide_the_next() -> None:
    arrays, _ = read_source(
        b"const uint8_t a[] = {RESET, 1};\nuint8_t b[2][2] = {{1,2},{3,4}};\nconst uint8_t m[] = {1, 2};"
    )
    assert [(array.name, array.data) for array in arrays] == [("a", b""), ("b", b""), ("m", b"\1\2")]
    with pytest.raises(InputError, match=r"^in the array, 'RESET' is not a number from 0 to 255$"):
        check_array(arrays[0])


def test_a_file_cut_off_in_the_array() -> None:
    text = header(DATA, "F3")
    array = only(text[: len(text) // 2])
    with pytest.raises(InputError, match=r"^the array is not closed: the file is cut off$"):
        check_array(array)


def test_incbin_as_exports_write_it() -> None:
    arrays, (incbin,) = read_source(
        incbin_header("tflite_learn_4711_5", "tflite-model/tflite_learn_4711_5.tflite").encode()
    )
    assert (incbin.name, incbin.file) == ("tflite_learn_4711_5", "tflite-model/tflite_learn_4711_5.tflite")
    assert arrays == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('INCBIN(m, "x.tflite");', "m"),
        ('INCBIN(incbin_m, "x.tflite");', "m"),
        ('EI_INCBIN(const, m, "x.tflite")\nint a;', "m"),
        ('INCBIN(a, "x.tflite"); const unsigned char* m = gaData;', "m"),
        ('#define INCBIN(a, b) nothing\nINCBIN(m, "x.tflite");', "m"),
        ('__attribute__((aligned(16))) INCBIN(m, "x.tflite");', "m"),
    ],
)
def test_incbin_spellings(text: str, name: str) -> None:
    _, (incbin,) = read_source(text.encode())
    assert (incbin.name, incbin.file) == (name, "x.tflite")


@pytest.mark.parametrize("text", ["INCBIN(m);", 'f(m, "x.tflite");', "INCBIN(m, FILE);", '// INCBIN(m, "x");'])
def test_no_incbin(text: str) -> None:
    assert read_source(text.encode())[1] == ()


def test_utf16_as_powershell_redirects_it() -> None:
    (array,) = read_source(header(DATA, "F1").encode("utf-16"))[0]
    assert array.data == DATA


def test_too_many_arrays() -> None:
    with pytest.raises(InputError, match=r"^more than 10000 arrays in one file$") as caught:
        read_source(b"int a[]={};" * 10_001)
    assert caught.value.hint == "this is no model header"


TOKENS = [
    "const unsigned char m[] = {",
    "uint8_t x[2]={",
    "};",
    "}",
    "{",
    "1,",
    "0x1c, ",
    "unsigned int m_len = 3;",
    "namespace n {",
]
TOKENS += [
    "#if X\n",
    "#else\n",
    "#endif\n",
    "/*",
    "*/",
    "//",
    "\n",
    '"',
    "'",
    "\\",
    "INCBIN(",
    '"f")',
    "[[",
    "]]",
    "std::array<char>a={",
]


@examples(300)
@given(st.lists(st.sampled_from(TOKENS), max_size=25).map("".join))
def test_any_source_is_read_or_refused(text: str) -> None:
    try:
        arrays, _ = read_source(text.encode())
    except InputError:
        return
    for array in arrays:
        assert len(array.data) <= len(text)


@examples(60)
@given(
    st.binary(max_size=60), st.sampled_from(["F1", "F2", "F2m", "F3", "F3b"]), st.integers(0, 3000), st.integers(0, 255)
)
def test_one_changed_byte_never_changes_the_model_unseen(data: bytes, form: str, at: int, value: int) -> None:
    """Whatever one byte of a header becomes: the same bytes, other bytes of the right number, or an error."""
    text = bytearray(header(data, form).encode())
    text[at % len(text)] = value
    try:
        for array in read_source(bytes(text))[0]:
            check_array(array)
            assert array.declared in {None, len(array.data)}
    except InputError:
        return
