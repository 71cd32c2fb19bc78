"""Finds the byte arrays in C source and reads them, whatever stands around and inside them.

Edge Impulse stores a model as `const unsigned char NAME[] = { 0x1c, ... }; unsigned int NAME_len = N;`, with macros,
attributes and a namespace around it that change from year to year, or, since 2025, as `INCBIN(NAME, "FILE")` with the
bytes in a file beside the header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from convert.errors import InputError
from convert.export.cpp.declarations import array_name
from convert.export.cpp.scanner import Kind, Scanner, Token, evaluate, integer_literal, line_of, source_bytes, text_of

__all__ = ["Array", "Incbin", "Source", "check_array", "read_elements", "read_source"]

_CUT_OFF = "the array is not closed: the file is cut off"
_AGAIN = "export or download the file again"

_BYTE_TYPES = frozenset({b"uint8_t", b"int8_t", b"byte", b"BYTE", b"u8", b"uchar", b"uint8", b"int8"})
_LENGTH = re.compile(r"(?P<array>.+)_(?:len|size|length)", re.IGNORECASE)
_MAX_ARRAYS = 10_000  # an EON file has some hundreds
_MAX_DECLARATION = 4096  # tokens; a real declarator has about ten
_END = frozenset({b";", b"{", b"}"})


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
        declared_by: the name or bound that says so.
        conditional: it stands only in a branch of `#if` that is not compiled.
        problem: why its elements could not be read; `data` is empty then.
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


@dataclass(frozen=True, slots=True)
class Incbin:
    """An `INCBIN(name, "file")` line.

    Attributes:
        name: the pointer declared with what the macro defines (`const unsigned char *NAME = gname_data;`), else the
            macro's own name without "incbin_".
        file: relative to the library's root.
    """

    name: str
    file: str
    namespace: str
    line: int


@dataclass(frozen=True, slots=True)
class Source:
    """What a C file holds.

    Attributes:
        arrays: byte arrays in order; `names` those of all arrays, of whatever element type.
        incbins: in order.
        macros: object-like macros that hold at the end of the file.
    """

    arrays: tuple[Array, ...]
    incbins: tuple[Incbin, ...]
    names: tuple[str, ...]
    macros: dict[str, str]


def read_source(data: bytes) -> Source:
    """Read C source. When no byte array is compiled, those in branches not compiled (but for `#if 0`) are returned.

    An array that is not closed or holds something else than bytes is returned with its `problem`: it may not be the
    model.

    Raises:
        InputError: damaged UTF-16, or more arrays than any header has.
    """
    data = source_bytes(data)
    source = _Reader(data).read()
    if source.arrays or source.incbins:
        return source
    other = _Reader(data, every_branch=True).read()
    arrays = tuple(replace(array, conditional=True) for array in other.arrays)
    return replace(other, arrays=arrays, macros=source.macros)


def check_array(array: Array) -> None:
    """Refuse an array that could not be read, or whose number of elements is not what the file says it is.

    Raises:
        InputError: what was found and on which line; or both numbers.
    """
    if array.problem is not None:
        raise array.problem
    if array.declared is not None and array.declared != len(array.data):
        raise InputError(
            f"array {array.name} holds {len(array.data)} bytes, but {array.declared_by} says {array.declared}",
            line=array.line,
            hint="the header is damaged or was edited: export or download it again",
        )


def read_elements(scanner: Scanner, *, signed: bool) -> bytes:
    """The values up to the closing brace; the scanner stands behind the opening one, and afterwards behind the closing.

    Args:
        signed: the element type is a signed (or plain) char: -128..-1 are the bytes 128..255.

    Raises:
        InputError: no closing brace, something that is not a number, a value outside 0..255; with its line.
    """
    from convert.export.cpp import numbers  # noqa: PLC0415 - brings numpy, which a .tflite file does not need

    data, start = scanner.data, scanner.position
    end = data.find(b"}", start)
    if end < 0:
        raise InputError(_CUT_OFF, line=line_of(data, start), hint=_AGAIN)
    regular, scanner.position = numbers.regular_bytes(data, start, end)
    rest = scanner.position
    text = scanner.plain_text()
    if text is None:
        raise InputError(_CUT_OFF, line=line_of(data, scanner.position), hint=_AGAIN)
    try:
        return regular + numbers.byte_values(text, signed=signed)
    except numbers.NotAByteError as error:
        raise InputError(f"in the array, {error}", line=line_of(data, rest) + error.line, hint=_AGAIN) from error


class _Reader:
    """Reads the declarations of one file, in order."""

    def __init__(self, data: bytes, *, every_branch: bool = False) -> None:
        self._data = data
        self._scanner = Scanner(data, every_branch=every_branch)
        self._scopes: list[str] = []
        self._arrays: list[Array] = []
        self._incbins: list[Incbin] = []
        self._names: list[str] = []
        self._lengths: dict[tuple[str, str], list[tuple[str, int]]] = {}
        self._pointers: list[tuple[str, str]] = []
        self._counted = (0, 1)

    def read(self) -> Source:
        tokens: list[Token] = []
        while token := self._scanner.next():
            if token.text == b"{" and _is_initialiser(tokens):
                self._initialiser(tokens)
            elif token.text == b"{":
                self._scopes.append(_scope(tokens))
                tokens = []
            elif token.text == b"}":
                if self._scopes:
                    self._scopes.pop()
                tokens = []
            elif token.text == b";":
                self._scalar(tokens)
                tokens = []
            elif len(tokens) < _MAX_DECLARATION:
                tokens.append(token)
                if token.text == b")" and (incbin := self._incbin(tokens)):
                    self._incbins.append(incbin)
                    tokens = []
        arrays = tuple(self._with_length(array) for array in self._arrays)
        incbins = tuple(self._with_pointer(incbin) for incbin in self._incbins)
        macros = {text_of(name): text_of(value) for name, value in self._scanner.macros.items()}
        return Source(arrays, incbins, tuple(self._names), macros)

    def _initialiser(self, tokens: list[Token]) -> None:
        """The scanner stands behind the opening brace of what `tokens` declares."""
        name = _declared(tokens)
        if name is None:
            self._scanner.skip_braces()
            return
        if len(self._names) >= _MAX_ARRAYS:
            raise InputError(f"more than {_MAX_ARRAYS} arrays in one file", hint="this is no model header")
        self._names.append(text_of(name.text))
        before = tokens[: tokens.index(name)]
        signed = _byte_type(before)
        if signed is None:
            self._scanner.skip_braces()
            return
        values, problem, start = b"", None, self._scanner.position
        try:
            values = read_elements(self._scanner, signed=signed)
        except InputError as error:
            problem, self._scanner.position = error, start
            self._scanner.skip_braces()
        bound = _bound(tokens[tokens.index(name) + 1 :], self._scanner)
        self._arrays.append(
            Array(
                name=text_of(name.text),
                namespace=self._namespace(),
                prefix=_joined(before),
                data=values,
                line=self._line(name),
                declared=bound,
                declared_by=f"its bound [{bound}]" if bound is not None else "",
                problem=problem,
            )
        )

    def _scalar(self, tokens: list[Token]) -> None:
        """Remember `unsigned int NAME_len = 123;` and `const unsigned char *NAME = OTHER;`."""
        at = next((index for index, token in enumerate(tokens) if token.text == b"="), 0)
        if not at or tokens[at - 1].kind != Kind.NAME:
            return
        name = text_of(tokens[at - 1].text)
        if len(tokens) == at + 2 and tokens[-1].kind == Kind.NAME and tokens[at - 2].text == b"*":
            self._pointers.append((name, text_of(tokens[-1].text)))
        value = integer_literal(tokens[-1].text) if len(tokens) == at + 2 else None
        if (match := _LENGTH.fullmatch(name)) and value is not None:
            self._lengths.setdefault((self._namespace(), match["array"]), []).append((name, value))

    def _with_length(self, array: Array) -> Array:
        lengths = self._lengths.get((array.namespace, array.name), [])
        if lengths:
            # Where branches of #if each hold an array of this name, each holds its length, too.
            alike = [item for item in self._arrays if (item.namespace, item.name) == (array.namespace, array.name)]
            name, length = lengths[alike.index(array) if len(alike) == len(lengths) else -1]
            return replace(array, declared=length, declared_by=name)
        for suffix in ("_len", "_size", "_LEN", "_SIZE"):
            macro = self._scanner.macros.get((array.name + suffix).encode())
            if macro is not None and (value := evaluate(macro, self._scanner.macros)) is not None:
                return replace(array, declared=value, declared_by=array.name + suffix)
        return array

    def _with_pointer(self, incbin: Incbin) -> Incbin:
        """With the pointer's name: the macro defines `g<name>_data` or `g<name>Data`, as its style says."""
        ends = (f"{incbin.name}_data", f"{incbin.name}data")
        names = (name for name, value in self._pointers if value.lower().endswith(tuple(map(str.lower, ends))))
        return replace(incbin, name=next(names, incbin.name.removeprefix("incbin_")))

    def _incbin(self, tokens: list[Token]) -> Incbin | None:
        """`INCBIN(name, "file")`, also with a prefix or suffix to the macro's name or an attribute in front."""
        if len(tokens) < 6 or tokens[-2].kind != Kind.STRING:
            return None
        opening = max((index for index, token in enumerate(tokens) if token.text == b"("), default=0)
        call = tokens[opening - 1 :] if opening else []
        if len(call) < 6 or b"INCBIN" not in call[0].text or call[-4].kind != Kind.NAME:
            return None
        file = text_of(call[-2].text[1:-1])
        return Incbin(text_of(call[-4].text), file, self._namespace(), self._line(call[0]))

    def _line(self, token: Token) -> int:
        """The token's line; counted from the last one asked for: the file is counted once for all arrays."""
        position, line = self._counted
        line += self._data.count(b"\n", position, token.start)
        self._counted = (token.start, line)
        return line

    def _namespace(self) -> str:
        return "::".join(scope for scope in self._scopes if scope)


def _scope(tokens: list[Token]) -> str:
    """The name of the namespace that `tokens {` opens; empty for anything else."""
    words = [token.text for token in tokens]
    if b"namespace" not in words:
        return ""
    return text_of(b"".join(words[words.index(b"namespace") + 1 :]))


def _is_initialiser(tokens: list[Token]) -> bool:
    """Whether a brace behind `tokens` starts the value of a variable."""
    if not tokens:
        return False
    return tokens[-1].text == b"=" or (tokens[-1].text == b"]" and _declared(tokens) is not None)


def _declared(tokens: list[Token]) -> Token | None:
    """The name of the array `tokens` declare, None when they declare none.

    Of a `std::array` it is the last one before `=`.
    """
    if name := array_name(tokens):
        return name
    words = [token.text for token in tokens]
    if words[-1] == b"=" and b"array" in words and b"<" in words and tokens[-2].kind == Kind.NAME:
        return tokens[-2]
    return None


def _byte_type(before: list[Token]) -> bool | None:
    """Whether elements of the declared type are signed bytes; None when they are no bytes."""
    words = {token.text for token in before if token.kind == Kind.NAME}
    if b"*" in {token.text for token in before}:
        return None
    if b"char" in words:
        return b"unsigned" not in words
    if known := words & _BYTE_TYPES:
        return bool(known & {b"int8_t", b"int8"})
    return None


def _bound(after: list[Token], scanner: Scanner) -> int | None:
    """The number in the first brackets."""
    texts = [token.text for token in after]
    if b"]" not in texts or texts[0] != b"[":
        return None
    inside = after[1 : texts.index(b"]")]
    known = all(token.kind != Kind.NAME or token.text in scanner.macros for token in inside)
    return evaluate(b" ".join(token.text for token in inside), scanner.macros) if inside and known else None


def _joined(tokens: list[Token]) -> str:
    text = " ".join(text_of(token.text) for token in tokens)
    return re.sub(r"(?<=[(\[]) | (?=[()\[\],])", "", text)
