"""The reader against the real GLib, through ctypes: same files refused, same groups, keys and values of every type."""

from __future__ import annotations

import ctypes
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from convert.nvinfer import keyfile
from convert.nvinfer.keyfile import ErrorKind, KeyFile, KeyFileError
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# GKeyFileError, in the order of GLib's enumeration.
KINDS = tuple(ErrorKind)
Outcome = tuple[str, Any]


class GError(ctypes.Structure):
    _fields_ = (("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p))


GETTERS: dict[str, tuple[Any, Callable[[bytes], Any]]] = {
    "string": (None, keyfile.as_string),
    "boolean": (ctypes.c_int, keyfile.as_boolean),
    "integer": (ctypes.c_int, keyfile.as_integer),
    "double": (ctypes.c_double, keyfile.as_double),
    "string_list": (ctypes.POINTER(ctypes.c_char_p), keyfile.as_string_list),
    "integer_list": (ctypes.POINTER(ctypes.c_int), keyfile.as_integer_list),
    "double_list": (ctypes.POINTER(ctypes.c_double), keyfile.as_double_list),
}


class Glib:
    """The few calls Gst-nvinfer makes."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self.lib = library
        self.lib.g_key_file_new.restype = ctypes.c_void_p
        self.lib.g_key_file_get_string.restype = ctypes.c_void_p
        for name, (kind, _) in GETTERS.items():
            if kind is not None:
                getattr(self.lib, f"g_key_file_get_{name}").restype = kind
        for name in ("groups", "keys"):
            getattr(self.lib, f"g_key_file_get_{name}").restype = ctypes.POINTER(ctypes.c_char_p)

    def read(self, path: Path) -> Outcome:
        file = ctypes.c_void_p(self.lib.g_key_file_new())
        try:
            error = ctypes.POINTER(GError)()
            if not self.lib.g_key_file_load_from_file(file, bytes(path), 0, ctypes.byref(error)):
                return self.refusal(error)
            return "accepted", {group: self.group(file, group) for group in self.names(file, "groups")}
        finally:
            self.lib.g_key_file_free(file)

    def refusal(self, error: Any) -> Outcome:
        kind = KINDS[error.contents.code]
        self.lib.g_error_free(error)
        return "refused", kind

    def names(self, file: Any, what: str, *group: bytes) -> list[bytes]:
        length = ctypes.c_size_t()
        last = (ctypes.byref(length),) if not group else (*group, ctypes.byref(length), None)
        found = getattr(self.lib, f"g_key_file_get_{what}")(file, *last)
        names = [bytes(found[index]) for index in range(length.value)]
        self.lib.g_strfreev(found)
        return names

    def group(self, file: Any, group: bytes) -> list[tuple[bytes, dict[str, Outcome]]]:
        keys = self.names(file, "keys", group)
        return [(key, {name: self.value(file, group, key, name) for name in GETTERS}) for key in keys]

    def value(self, file: Any, group: bytes, key: bytes, name: str) -> Outcome:
        error = ctypes.POINTER(GError)()
        length = ctypes.c_size_t()
        extra = (ctypes.byref(length),) if name.endswith("list") else ()
        found = getattr(self.lib, f"g_key_file_get_{name}")(file, group, key, *extra, ctypes.byref(error))
        if error:
            return self.refusal(error)
        if name == "string":
            text = ctypes.string_at(found)
            self.lib.g_free(ctypes.c_void_p(found))
            return "value", text
        if not extra:
            return "value", exact(found)
        values = tuple(exact(found[index]) for index in range(length.value))
        if name == "string_list":
            self.lib.g_strfreev(found)
        else:
            self.lib.g_free(found)
        return "value", values


def exact(value: Any) -> Any:
    """NaN equals itself and -0.0 is not 0.0: the bits decide."""
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("<d", value)  # noqa: PLR0124 - NaN
    if isinstance(value, tuple):
        return tuple(exact(each) for each in value)
    return value


def ours(data: bytes) -> Outcome:
    try:
        file = KeyFile.load(data)
    except KeyFileError as error:
        return "refused", error.kind
    return "accepted", {
        name: [
            (pair.key, {kind: our_value(group.last[pair.key].value, kind) for kind in GETTERS}) for pair in group.pairs
        ]
        for name, group in file.groups.items()
    }


def our_value(raw: bytes, kind: str) -> Outcome:
    try:
        return "value", exact(GETTERS[kind][1](raw))
    except KeyFileError as error:
        return "refused", error.kind


@pytest.fixture(scope="module")
def glib() -> Iterator[Glib]:
    try:
        library = ctypes.CDLL("libglib-2.0.so.0")
    except OSError as error:
        pytest.skip(f"GLib is not on this machine ({error}): Debian's package is libglib2.0-0")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LANGUAGE", "C")
        patch.setenv("LC_ALL", "C")
        yield Glib(library)


def test_all_vectors(glib: Glib, vectors: Path) -> None:
    files = [path for path in sorted((vectors / "config").iterdir()) if path.is_file()]
    assert len(files) > 300
    for path in files:
        assert ours(path.read_bytes()) == glib.read(path), path.name


NASTY = st.sampled_from(
    [
        *"[]=#;\\ \t\r\n\f\v\0.:/-_@+",
        *("\n[property]\n", "class-attrs-", "key", "[fr]", "[C]", "[]", "Encoding=", "UTF-8", "utf-8", "=", "\r\n"),
        *("1", "0", "3", "12", "true", "false", "2147483648", "-2147483648", "99999999999999999999", "0x1p-8", "1e400"),
        *(
            "0x",
            ".5",
            "5.",
            "1e",
            "1e5",
            "nan",
            "nan(x)",
            "inf",
            "infinity",
            "-",
            "+1",
            "\\s",
            "\\n",
            "\\;",
            "\\q",
            "1;2;3",
        ),
        *("é", "\u2028", "\ufeff", "\u0661", "²", "ª"),
    ]
)
BYTES = st.one_of(NASTY.map(str.encode), st.binary(max_size=3))
LINE = st.lists(BYTES, max_size=8).map(b"".join)
NAME = st.sampled_from([b"property", b"a", b"key", b"k k", b"k[fr]", b"k[C]", b"k[]", b"Encoding"])
VALUE = st.lists(NASTY.map(str.encode), max_size=5).map(b"".join).map(lambda text: text.replace(b"\n", b""))
GRAMMATICAL = st.one_of(
    st.tuples(NAME, st.sampled_from([b"=", b" = ", b"\t=\f"]), VALUE).map(b"".join),
    NAME.map(lambda name: b"[" + name + b"]"),
    st.sampled_from([b"", b"# note", b"  ", b"[property]", b"[property] ", b" [a]"]),
)
FILES = st.one_of(
    st.lists(LINE, max_size=12).map(b"\n".join),
    st.lists(GRAMMATICAL, max_size=12).map(lambda lines: b"[property]\n" + b"\n".join(lines)),
    st.lists(GRAMMATICAL, max_size=12).map(lambda lines: b"[a]\r\n" + b"\r\n".join(lines)),
)


@examples(400, suppress_health_check=list(HealthCheck))
@given(data=FILES)
@example(b"[property]\x80\nk=1")
@example(b"[a]\0]\nk=1")
@example(b"[a]\nk[=1")
@example(b"[a]\nk[ =1")
@example(b"[a]\nk[]]=1")
@example(b"[a]\nk[fr=1")
@example(b"[a]\nk]=1")
@example(b"[a]\n \n\t# c\n\r\n\0\n#\0\n\v\nk=1\n# c")
@example(b"[a]\nk=3; x;4")
@example(b"[property]\nEncoding=latin1\n")
@example(b"[a]\nk=" + b"7" * 5000 + b"\nl=0x" + b"f" * 3000 + b"p-99999999999\nm=1e-99999999999")
def test_any_file_reads_as_in_glib(glib: Glib, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_bytes(data)
    assert ours(data) == glib.read(path)


KEY_NAMES = st.lists(
    st.one_of(
        st.sampled_from([b"k", b"[", b"]", b" ", b"\t", b"fr", b"C", b"_", b"-", b".", b"@", b"/", b"#", b"\0", b"\\"]),
        st.sampled_from(["é", "\u0661", "\u00b2", "\u0300", "\u2160", "\U0001f600"]).map(str.encode),
        st.binary(min_size=1, max_size=2),
    ),
    max_size=6,
).map(b"".join)


@examples(400)
@given(name=KEY_NAMES)
@example(name=b"k[")
@example(name=b"k[[")
@example(name=b"k[]")
@example(name=b"k[fr]x")
@example(name=b"k [fr]")
@example(name=b"onnx-file[")
@example(name=b"[k]")
@example(name=b"k[\xc3")
@example(name=b"\xc3k[fr]")
def test_any_key_name_is_taken_or_refused_as_in_glib(
    glib: Glib, tmp_path_factory: pytest.TempPathFactory, name: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "name.txt"
    data = b"[a]\n" + name + b"=1\n" + name + b" = 2\nlast=3\n"
    path.write_bytes(data)
    assert ours(data) == glib.read(path)


@examples(400)
@given(
    value=st.one_of(
        VALUE, st.from_regex(rb"[+-]?(0x)?[0-9a-f]*\.?[0-9a-f]*([ep][+-]?[0-9]{0,4})?[ ;]?", fullmatch=True)
    )
)
def test_any_value_reads_as_in_glib(glib: Glib, tmp_path_factory: pytest.TempPathFactory, value: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "value.txt"
    data = b"[a]\nk=" + value
    path.write_bytes(data)
    assert ours(data) == glib.read(path)
