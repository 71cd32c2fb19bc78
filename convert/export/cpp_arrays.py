"""Finds the byte arrays in C source and turns the numbers between their braces into values.

Edge Impulse stores a model as `const unsigned char NAME[] = { 0x1c, ... }; unsigned int NAME_len = N;`, with macros,
attributes and a namespace around it that change from year to year, or, since 2025, as `INCBIN(NAME, "FILE")` with the
bytes in a file beside the header.

Ten megabytes of bytes take about a tenth of a second: `xxd -i` and its imitators write every cell alike, `0x1c,`, so
that numpy checks and converts all of them at once (`_regular`). Other bytes are split at commas, and each spelling that
occurs is read once (`read_elements`). The tensors of EON-compiled models are read by numpy, in pieces that keep memory
small; what numpy's reader does not know (hexadecimal, octal, suffixes, `true`) is read one by one (`array`).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import InputError
from convert.export import cpp_scanner
from convert.export.cpp_declarations import Declarations, Head, Incbin

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AGAIN = "export or download the file again"

_BYTE_TYPES = frozenset({b"uint8_t", b"int8_t", b"byte", b"BYTE", b"u8", b"uchar", b"uint8", b"int8"})
_LENGTH = re.compile(r"(?P<array>.+)_(?:len|size|length)", re.IGNORECASE)
_MAX_ARRAYS = 10_000  # an EON file has some hundreds


@dataclass(frozen=True, slots=True)
class Array:
    """A byte array.

    Attributes:
        name: as declared.
        namespace: the namespaces around it joined with `::`, or empty.
        prefix: what stands before the name, blanks normalised: "ALIGN(16) const unsigned char".
        data: its elements.
        line: 1-based line of its name.
        declared: the value of `<name>_len` or `<name>_size` beside it, else the bound in its brackets; None without.
        declared_by: the name or bound that declares it.
        conditional: it stands only in a branch of `#if` that is not compiled.
        problem: why its elements could not be read (`data` is empty then), or that they are not as many as declared.
    """

    name: str
    namespace: str
    prefix: str
    data: bytes = field(repr=False)
    line: int
    declared: int | None = None
    declared_by: str = ""
    conditional: bool = False
    problem: InputError | None = None


def read_source(data: bytes) -> tuple[tuple[Array, ...], tuple[Incbin, ...]]:
    """The byte arrays and INCBIN lines of C source, in order; an INCBIN is called after the pointer to what it defines.

    When no byte array is compiled, those in branches not compiled (but for `#if 0`) are returned. An array that is not
    closed or holds something else than bytes is returned with its `problem`: it may not be the model.

    Raises:
        InputError: damaged UTF-16, or more arrays than any header has.
    """
    data = cpp_scanner.source_bytes(data)
    arrays, incbins = _read(cpp_scanner.Scanner(data))
    if arrays or incbins:
        return arrays, incbins
    arrays, incbins = _read(cpp_scanner.Scanner(data, every_branch=True))
    return tuple(replace(array, conditional=True) for array in arrays), incbins


def _read(scanner: cpp_scanner.Scanner) -> tuple[tuple[Array, ...], tuple[Incbin, ...]]:
    reader = Declarations(scanner)
    arrays: list[Array] = []
    lengths: dict[tuple[str, str], list[tuple[str, int]]] = {}
    pointers: dict[str, str] = {}
    count = 0
    for head in reader:
        name = cpp_scanner.text_of(head.name.text)
        if not head.braced and len(head.value) == 1:
            # `unsigned int NAME_len = 123;` and `const unsigned char *NAME = OTHER;`
            value = cpp_scanner.integer_literal(head.value[0].text)
            if (match := _LENGTH.fullmatch(name)) and value is not None:
                lengths.setdefault((head.namespace, match["array"]), []).append((name, value))
            elif head.before and head.before[-1].text == b"*":
                pointers.setdefault(cpp_scanner.text_of(head.value[0].text).lower(), name)
        elif head.braced and head.is_array:
            count += 1
            if count > _MAX_ARRAYS:
                raise InputError(f"more than {_MAX_ARRAYS} arrays in one file", hint="this is no model header")
            signed = _byte_type(head.before)
            if signed is not None:
                arrays.append(_array(reader, head, name, signed=signed))
    arrays = [_checked(_with_length(array, arrays, lengths, scanner.macros)) for array in arrays]
    incbins = []
    for incbin in reader.incbins:  # the macro defines `g<name>_data` or `g<name>Data`, by its style
        ends = (f"{incbin.name}_data".lower(), f"{incbin.name}data".lower())
        names = (name for value, name in pointers.items() if value.endswith(ends))
        incbins.append(replace(incbin, name=next(names, incbin.name.removeprefix("incbin_"))))
    return tuple(arrays), tuple(incbins)


def _array(reader: Declarations, head: Head, name: str, *, signed: bool) -> Array:
    scanner = reader.scanner
    values, problem, start = b"", None, scanner.position
    try:
        values = read_elements(scanner, signed=signed)
    except InputError as error:
        problem, scanner.position = error, start
        scanner.skip_braces()
    prefix = " ".join(cpp_scanner.text_of(token.text) for token in head.before)
    bound = cpp_scanner.evaluate(b" ".join(token.text for token in head.bound or ()), scanner.macros, strict=True)
    return Array(
        name=name,
        namespace=head.namespace,
        prefix=re.sub(r"(?<=[(\[]) | (?=[()\[\],])", "", prefix),
        data=values,
        line=reader.line(head.name.start),
        declared=bound,
        declared_by=f"its bound [{bound}]" if bound is not None else "",
        problem=problem,
    )


def _with_length(
    array: Array,
    arrays: Sequence[Array],
    lengths: Mapping[tuple[str, str], list[tuple[str, int]]],
    macros: Mapping[bytes, bytes],
) -> Array:
    """`array` with the length that stands beside it."""
    if found := lengths.get((array.namespace, array.name)):
        # Where branches of #if each hold an array of this name, each holds its length, too.
        alike = [item for item in arrays if (item.namespace, item.name) == (array.namespace, array.name)]
        name, length = found[alike.index(array) if len(alike) == len(found) else -1]
        return replace(array, declared=length, declared_by=name)
    for suffix in ("_len", "_size", "_LEN", "_SIZE"):
        macro = macros.get((array.name + suffix).encode())
        if macro is not None and (value := cpp_scanner.evaluate(macro, macros)) is not None:
            return replace(array, declared=value, declared_by=array.name + suffix)
    return array


def _checked(array: Array) -> Array:
    """With a problem where its number of elements is not the declared one; an empty array has none."""
    if array.problem is not None or not array.data or array.declared in {None, len(array.data)}:
        return array
    message = f"array {array.name} holds {len(array.data)} bytes, but {array.declared_by} says {array.declared}"
    hint = "the header is damaged or was edited: export or download it again"
    return replace(array, problem=InputError(message, line=array.line, hint=hint))


def _byte_type(before: list[cpp_scanner.Token]) -> bool | None:
    """Whether elements of the declared type are signed bytes; None when they are no bytes."""
    words = {token.text for token in before}
    if b"*" in words:
        return None
    if b"char" in words:
        return b"unsigned" not in words
    if known := words & _BYTE_TYPES:
        return bool(known & {b"int8_t", b"int8"})
    return None


_PIECE = 1 << 20  # bytes of text split at commas at a time, so that the parts do not take many times the file's size
_VALUE = re.compile(rb"(?:\((?:unsigned char|uint8_t|char|signed char|int8_t)\))?\s*(?:([+-])\s*)?([0-9][0-9a-zA-Z']*)")
_WORDS = {b"true": 1, b"false": 0}


def read_elements(scanner: cpp_scanner.Scanner, *, signed: bool) -> bytes:
    """The values up to the closing brace; the scanner stands behind the opening one, and afterwards behind the closing.

    Args:
        signed: the element type is a signed (or plain) char: -128..-1 are the bytes 128..255.

    Raises:
        InputError: no closing brace, something that is not a number, a value outside 0..255; with its line.
    """
    data, start = scanner.data, scanner.position
    text = scanner.plain_text() if data.find(b"}", start) >= 0 else None
    if text is None:
        line = cpp_scanner.line_of(data, scanner.position)
        raise InputError("the array is not closed: the file is cut off", line=line, hint=_AGAIN)
    if (regular := _regular(text)) is not None:
        return regular
    known: dict[bytes, int] = {}
    values: list[bytes] = []
    for begin, stop in _pieces(text, _PIECE):
        cells = bytes(text[begin:stop]).split(b",")
        if stop == len(text) and not cells[-1].strip():
            cells.pop()
        for cell in [cell for cell in dict.fromkeys(cells) if cell not in known]:  # each spelling is read once
            if (value := _byte(cell, signed=signed)) is None:
                at = text.index(cell, begin) + len(cell) - len(cell.lstrip())
                shown = cell.strip().decode("utf-8", "replace")[:40]
                what = f"{shown!r} is not a number from 0 to 255" if shown else "a number is missing between two commas"
                line = cpp_scanner.line_of(data, start) + text.count(b"\n", 0, at)
                raise InputError(f"in the array, {what}", line=line, hint=_AGAIN)
            known[cell] = value
        values.append(bytes(map(known.__getitem__, cells)))
    return b"".join(values)


def _regular(text: bytearray) -> bytes | None:
    """The values in text with nothing but cells like `0x1c,` and blanks behind the commas; None: it is other text."""
    whole = np.frombuffer(text.rstrip(), np.uint8)
    cells = np.frombuffer(whole.tobytes().translate(None, b" \t\r\n").removesuffix(b",") + b",", np.uint8)
    if cells.size % 5 or bool(((whole[1:] <= ord(" ")) & (whole[:-1] > ord(","))).any()):
        return None
    cells = cells.reshape(-1, 5)
    if not ((cells[:, 0] == ord("0")) & (cells[:, 1] | 0x20 == ord("x")) & (cells[:, 4] == ord(","))).all():
        return None
    try:
        return bytes.fromhex(cells[:, 2:4].tobytes().decode("ascii"))
    except ValueError:
        return None


def _byte(cell: bytes, *, signed: bool) -> int | None:
    """The byte one cell stands for, None when it is not one."""
    match = _VALUE.fullmatch(cell.strip())
    value = cpp_scanner.integer_literal(match[2]) if match else None
    if match is None or value is None:
        return None
    if match[1] == b"-":
        return 256 - value if signed and 0 < value <= 128 else 0 if value == 0 else None
    return value if value <= 255 else None


def _pieces(text: bytes | bytearray, size: int) -> Iterator[tuple[int, int]]:
    """Where parts of about `size` bytes start and stop; between two of them is a comma."""
    start = 0
    while start < len(text):
        stop = text.find(b",", start + size)
        stop = len(text) if stop < 0 else stop
        yield start, stop
        start = stop + 1


def array(body: bytes | bytearray, dtype: np.dtype[Any], most: int, *, piece: int = _PIECE) -> NDArray[Any]:
    """The numbers in `body`, which stood between two braces and holds no comments, as a flat array of `dtype`.

    Args:
        body: numbers separated by commas; one comma may follow the last.
        dtype: bool, an integer or a floating type.
        most: the number of elements beyond which reading stops.
        piece: bytes of text read at once.

    Raises:
        ValueError: an element is no number or does not fit `dtype`, or there are more than `most`.
    """
    pieces: list[NDArray[Any]] = []
    count = 0
    body = body.rstrip()
    if body.endswith(b",") and body.strip() != b",":
        body = body[:-1]
    for start, stop in _pieces(body, piece):
        pieces.append(_piece(bytes(body[start:stop]), dtype))
        count += len(pieces[-1])
        if count > most:
            raise ValueError(f"there are more than its {most} elements")
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)


def number(token: bytes) -> int | float:
    """A C number with an optional sign, or `true` or `false`.

    Raises:
        ValueError: it is none.
    """
    if token in _WORDS:
        return _WORDS[token]
    digits = token.lstrip(b"+-").strip()
    integer = cpp_scanner.integer_literal(digits)
    if integer is not None and len(token) - len(token.lstrip(b"+-")) <= 1:
        return -integer if token.startswith(b"-") else integer
    real = cpp_scanner.real_literal(token)
    if real is None:
        shown = token[:40].decode("utf-8", "replace")
        raise ValueError(f"{shown!r} is not a number" if shown else "a number is missing")
    return real


def _piece(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    text = text.strip()
    # numpy counts a 0 where it expects a number and finds a comma, and does not mind a comma at the end.
    blank = not text or text.startswith(b",") or text.endswith(b",")
    values = None if blank or _has_octal(text, dtype) else _fast(text, dtype)
    return _fit(_slow(text, dtype) if values is None else values, dtype)


def _fast(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    """What numpy makes of `text`; None when it stops before the end or a number may have been cut to 64 bits."""
    wide = np.dtype(np.float64 if dtype.kind == "f" else np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # what numpy 1.26 gives where numpy 2.3 raises
        try:
            values = np.fromstring(text, wide, sep=",")
        except (ValueError, DeprecationWarning):
            return None
    limits = np.iinfo(np.int64)
    may_be_cut = wide.kind == "i" and (values.max() == limits.max or values.min() == limits.min)
    return None if may_be_cut else values


def _has_octal(text: bytes, dtype: np.dtype[Any]) -> bool:
    """Whether an integer starts with a 0 and has more digits: octal in C, decimal to numpy."""
    if dtype.kind == "f" or len(text) < 2:
        return False
    data = np.frombuffer(text, np.uint8)
    digit = (data >= ord("0")) & (data <= ord("9"))
    starts = data[:-1] == ord("0")
    starts[1:] &= ~digit[:-2]
    return bool((starts & digit[1:]).any())


def _slow(text: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    values = [number(token.strip()) for token in text.split(b",")]
    if dtype.kind == "f":
        return np.array(values, np.float64)
    if any(isinstance(value, float) for value in values):
        raise ValueError("a fraction stands among integers")
    limits = np.iinfo(np.uint64 if dtype == np.uint64 else np.int64)
    if not all(limits.min <= value <= limits.max for value in values):
        raise ValueError(f"a number does not fit {dtype.name}")
    return np.array(values, limits.dtype)


def _fit(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            fitted = values.astype(dtype)
        if not np.isfinite(fitted).all():
            raise ValueError(f"a number is not finite or does not fit {dtype.name}")
        return fitted
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if values.size and (int(values.min()) < low or int(values.max()) > high):
        raise ValueError(f"a number does not fit {dtype.name}")
    return values.astype(dtype)
