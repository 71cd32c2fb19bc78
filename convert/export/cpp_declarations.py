"""Reads C++ source into its declarations: the one reader of model headers, parameters and EON-compiled models.

`Declarations` splits a source into statements and blocks, and stops at each variable with an initialiser. Whoever asked
reads that value: as a tree of members (`Declarations.members`), as numbers (`convert.export.cpp_arrays`), or not at
all. So the numbers of a model never become tokens. On the way it collects structs, enums and INCBIN lines. Any source
is accepted; what a caller cannot do without it has to ask for.

`read_header` reads `model-parameters/`, which describes an impulse as C++ values that point to one another: an impulse
names its learning blocks, a block its configuration, that a graph, the graph the model's array or compiled functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Final

from convert.errors import InputError
from convert.export.cpp_scanner import Kind, Scanner, Token, line_of, source_bytes, text_of, unescaped

_MAX_DEPTH: Final = 32  # of braces in a value; the deepest generated initialiser has three
_MAX_SCOPES: Final = 256  # of blocks inside each other; generated ones have five
_MAX_DECLARATIONS: Final = 5_000
_MAX_STATEMENT: Final = 4096  # tokens; a real declaration has about ten
_CLASSES: Final = frozenset({b"struct", b"class", b"union", b"enum"})
_NAMESPACES: Final = frozenset({b"namespace", b"extern"})
_ENDS: Final = frozenset({b";", b"}"})
_OPENING: Final = frozenset({b"(", b"[", b"<"})
_CLOSING: Final = frozenset({b")", b"]", b">", b">>"})


@dataclass(frozen=True, slots=True)
class Field:
    """One member of an initialiser: `.name = value`, or a value by position.

    Attributes:
        tokens: of a plain value; of braces what stands before them.
        braced: whether the value stands in braces, with `fields` in them.
        at: where the value starts in the file.
    """

    name: str
    tokens: tuple[Token, ...] = field(repr=False)
    fields: tuple[Field, ...] = field(repr=False)
    braced: bool
    at: int

    @property
    def names(self) -> list[str]:
        """The names in the value, in order; qualified ones also as a whole ("space::name")."""
        return [name for each in self.fields for name in each.names] if self.braced else names_in(self.tokens)

    def named(self, name: str) -> tuple[Token, ...] | None:
        """The tokens of the member `.name = ...`, None when there is none."""
        return next((item.tokens for item in self.fields if item.name == name), None)


@dataclass(frozen=True, slots=True)
class Declaration(Field):
    """A variable of a header.

    Attributes:
        name: without namespace.
        type: the words before the name.
        line: 1-based.
    """

    type: tuple[str, ...]
    line: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a header declares, by name and in order, its object-like macros, and the files it includes.

    Attributes:
        structs: of each struct the type and the name of every member, in order.
    """

    declarations: Mapping[str, Declaration]
    macros: Mapping[bytes, bytes]
    includes: tuple[str, ...] = ()
    structs: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def resolved(self, name: str) -> Declaration | None:
        """The declaration of `name`, references followed (`constexpr auto& name = other;`)."""
        visited: set[str] = set()
        while (found := self.declarations.get(name)) is not None and name not in visited:
            visited.add(name)
            if found.braced or len(found.tokens) != 1:
                return found
            name = next(iter(found.names), "")
        return found

    def typed(self, kind: str, reached: frozenset[str] | None = None) -> list[Declaration]:
        """Declarations of a type among the names `reached`; None: among all."""
        every = (each for each in self.declarations.values() if kind in each.type)
        return [each for each in every if reached is None or each.name in reached]

    def reachable(self, name: str) -> frozenset[str]:
        """`name` and every name its value leads to, whether declared here or not."""
        reached: set[str] = set()
        waiting = [name]
        while waiting:
            current = waiting.pop()
            if current in reached:
                continue
            reached.add(current)
            if (declaration := self.declarations.get(current)) is not None:
                waiting += declaration.names
        return frozenset(reached)


def read_header(data: bytes, macros: Mapping[bytes, bytes] | None = None) -> Header:
    """Read a header; `macros` hold where it is included.

    Raises:
        InputError: braces nested too deeply or never closed, or more declarations than any header has.
    """
    reader = Declarations(Scanner(source_bytes(data)))
    reader.scanner.macros.update(macros or {})
    found: dict[str, Declaration] = {}
    for head in reader:
        if head.is_local:
            continue
        if len(found) >= _MAX_DECLARATIONS:
            raise InputError(
                f"it declares more than {_MAX_DECLARATIONS} variables", hint="this is no Edge Impulse file"
            )
        fields = reader.members() if head.braced else ()
        name, type_ = text_of(head.name.text), tuple(text_of(word.text) for word in head.before)
        line = reader.line(head.name.start)
        found.setdefault(name, Declaration(name, head.value, fields, head.braced, head.name.start, type_, line))
    if (scope := reader.unfinished) is not None and scope.kind not in {"namespace", "declaration"}:
        raise reader.cut_off(scope.at)
    includes = tuple(text_of(name) for name in reader.scanner.includes)
    return Header(found, dict(reader.scanner.macros), includes, reader.structs)


def names_in(tokens: Sequence[Token]) -> list[str]:
    """The names in a plain value, in order; qualified ones also as a whole ("space::name")."""
    names: list[str] = []
    for at, token in enumerate(tokens):
        if token.kind == Kind.NAME:
            names.append(text_of(token.text))
            if at and tokens[at - 1].text == b"::":
                names.append(text_of(b"".join(each.text for each in tokens[max(0, at - 2) : at + 1])))
    return names


def string_of(tokens: tuple[Token, ...]) -> str | None:
    """The text of adjacent string literals, None when `tokens` are anything else; no UTF-8 is read as Latin-1."""
    parts = [token for token in tokens if not (token.kind == Kind.NAME and token.text in {b"u8", b"u", b"U", b"L"})]
    if not parts or any(token.kind != Kind.STRING for token in parts):
        return None
    data = b"".join(unescaped(token.text[1:-1]) for token in parts)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


@dataclass(frozen=True, slots=True)
class Head:
    """A variable with an initialiser, of which the value is still to be read.

    Attributes:
        before: the tokens before the name.
        bound: those in the brackets behind the name, None without brackets.
        is_array: it has brackets, or is a `std::array`.
        braced: the value stands in braces, and the scanner behind the first of them; else `value` holds its tokens.
        namespace: the namespaces around it joined with `::`, or empty.
        is_local: it stands in a function or a class.
    """

    name: Token
    before: list[Token]
    bound: list[Token] | None
    is_array: bool
    braced: bool
    value: tuple[Token, ...]
    namespace: str
    is_local: bool


@dataclass(frozen=True, slots=True)
class Incbin:
    """An `INCBIN(name, "file")` line.

    Attributes:
        name: the macro's own name.
        file: relative to the library's root.
    """

    name: str
    file: str
    namespace: str
    line: int


@dataclass(slots=True)
class Scope:
    """A block that is open: "namespace", "struct", "enum" or, for all else, "function"; `at` is its opening brace.

    Attributes:
        members: of a struct the type and the name of each, of an enum ("", name).
    """

    kind: str
    name: str
    is_typedef: bool
    at: int
    members: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Declarations:
    """The variables with initialisers of a source, in order. A braced value that is not read is passed over.

    Attributes:
        structs: of each struct, class or union met so far the type and the name of every member, in order.
        enums: of each enum its enumerators, in order.
        incbins: in order.
        unfinished: the block, or statement, that the end of the file stands in; None until then, and in a whole file.
    """

    scanner: Scanner
    structs: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict)
    incbins: list[Incbin] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    unfinished: Scope | None = None
    _counted: tuple[int, int] = (0, 1)

    def __iter__(self) -> Iterator[Head]:
        words: list[Token] = []
        while token := self.scanner.next():
            if token.text == b"{":
                head = self._initialised(words)
                if head is None and not _assignment(words):
                    if len(self.scopes) >= _MAX_SCOPES:
                        raise self._too_deep(token.start)
                    self.scopes.append(_scope(words, token.start))
                else:
                    position = self.scanner.position
                    # Behind `=` it may also be the body of a lambda, or stand in a value like `new int[2] { 1, 2 }`.
                    if head := head or self._ended(words, b";"):
                        yield head
                    if self.scanner.position == position and not self.scanner.skip_braces():
                        self.scopes.append(Scope("function", "", is_typedef=False, at=token.start))
                words = []
            elif token.text in _ENDS:
                if head := self._ended(words, token.text):
                    yield head
                words = []
            elif len(words) < _MAX_STATEMENT:
                words.append(token)
                if (token.text == b")" and self._incbin(words)) or (token.text == b"," and self._enumerator(words)):
                    words = []
        inner = [scope for scope in self.scopes if scope.kind != "namespace"] or self.scopes[-1:]
        if words and not self.scopes:
            inner = [Scope("declaration", "", is_typedef=False, at=words[0].start)]
        self.unfinished = next(iter(inner), None)

    def members(self, depth: int = 1) -> tuple[Field, ...]:
        """The members up to the closing brace; the scanner stands behind the opening one.

        Raises:
            InputError: braces nested too deeply or never closed.
        """
        start = self.scanner.position
        if depth > _MAX_DEPTH:
            raise self._too_deep(start)
        fields: list[Field] = []
        tokens: list[Token] = []
        inner: tuple[Field, ...] | None = None
        at = parentheses = 0
        while token := self.scanner.next():
            at = at if tokens or inner is not None else token.start
            if token.text == b"{":
                inner = self.members(depth + 1)
            elif (token.text == b"," and parentheses == 0) or token.text == b"}":
                if tokens or inner is not None or token.text == b",":
                    name = ""
                    if len(tokens) >= 3 and tokens[0].text == b"." and tokens[2].text == b"=":
                        name, tokens = text_of(tokens[1].text), tokens[3:]
                    fields.append(Field(name, tuple(tokens), inner or (), inner is not None, at))
                if token.text == b"}":
                    return tuple(fields)
                tokens, inner = [], None
            else:
                parentheses += (token.text in {b"(", b"["}) - (token.text in {b")", b"]"})
                tokens.append(token)
        raise self.cut_off(start)

    def cut_off(self, at: int) -> InputError:
        """The error of a brace at `at` that the file does not close."""
        line = line_of(self.scanner.data, at)
        return InputError("a brace is not closed: the file is cut off", line=line, hint="export the library again")

    def _too_deep(self, at: int) -> InputError:
        line = line_of(self.scanner.data, at)
        return InputError("braces are nested too deeply", line=line, hint="export the library again")

    def line(self, at: int) -> int:
        """The line of `at`; counted from the last one asked for: the file is counted once for all variables."""
        position, line = self._counted
        line += self.scanner.data.count(b"\n", position, at)
        self._counted = (at, line)
        return line

    def _initialised(self, words: list[Token]) -> Head | None:
        """The variable whose value a brace behind `words` opens."""
        last = words[-1].text if words else b""
        if last == b"=" or (last == b"]" and _array_name(words)):  # `int a[] { 1, 2 };`
            return self._head(words[:-1] if last == b"=" else words, (), braced=True)
        return None

    def _head(self, words: list[Token], value: tuple[Token, ...], *, braced: bool) -> Head | None:
        """Of `words`, which declare a variable; its name is that before the brackets, else the last one."""
        is_member = len(words) > 1 and words[-2].text in {b".", b"->"}  # `tensors[i].type = 1`
        array = None if is_member else _array_name(words)
        name = array or next((word for word in reversed(words) if word.kind == Kind.NAME), None)
        if name is None:
            return None
        at = words.index(name)
        bound = None if array is None else [*takewhile(lambda word: word.text != b"]", words[at + 2 :])]
        is_array = array is not None or (name is words[-1] and {b"array", b"<"} <= {word.text for word in words})
        is_local = any(scope.kind != "namespace" for scope in self.scopes)
        return Head(name, words[:at], bound, is_array, braced, value, self._namespace(), is_local)

    def _ended(self, words: list[Token], end: bytes) -> Head | None:
        """A statement ends, or the innermost block; the variable that it declares without braces."""
        scope = self.scopes[-1] if self.scopes else None
        if end == b";":
            if scope is not None and scope.kind == "struct":
                scope.members += _members(words)
            at = _assignment(words)
            return self._head(words[:at], tuple(words[at + 1 :]), braced=False) if at else None
        if scope is not None:
            self._enumerator(words)
            self.scopes.pop()
            if scope.kind == "enum":
                self.enums.setdefault(scope.name, tuple(name for _, name in scope.members))
            elif scope.kind == "struct":
                name = scope.name
                if scope.is_typedef and (token := self.scanner.next()) is not None and token.kind == Kind.NAME:
                    name = text_of(token.text)
                self.structs.setdefault(name, tuple(scope.members))
        return None

    def _enumerator(self, words: list[Token]) -> bool:
        """Whether `words` stand in an enum, which gets the first of them."""
        is_enum = bool(self.scopes) and self.scopes[-1].kind == "enum"
        if is_enum and words and words[0].kind == Kind.NAME:
            self.scopes[-1].members.append(("", text_of(words[0].text)))
        return is_enum

    def _incbin(self, words: list[Token]) -> bool:
        """Whether `words` end in `INCBIN(name, "file")`, which is noted.

        The macro's name may have a prefix or suffix, and an attribute may stand in front.
        """
        if len(words) < 6 or words[-2].kind != Kind.STRING:
            return False
        opening = max((index for index, token in enumerate(words) if token.text == b"("), default=0)
        call = words[opening - 1 :] if opening else []
        if len(call) < 6 or b"INCBIN" not in call[0].text or call[-4].kind != Kind.NAME:
            return False
        name, file = text_of(call[-4].text), text_of(call[-2].text[1:-1])
        self.incbins.append(Incbin(name, file, self._namespace(), self.line(call[0].start)))
        return True

    def _namespace(self) -> str:
        return "::".join(scope.name for scope in self.scopes if scope.kind == "namespace" and scope.name)


def _array_name(words: list[Token]) -> Token | None:
    """The name before the first bracket that follows one, which leaves out `[[attributes]]`; None: there is none."""
    return next((name for name, after in pairwise(words) if name.kind == Kind.NAME and after.text == b"["), None)


def _assignment(words: list[Token]) -> int:
    """Where in a statement the `=` of a declaration stands, outside of parentheses; 0: nowhere."""
    depth = 0
    for at, word in enumerate(words):
        depth += (word.text == b"(") - (word.text == b")")
        if word.text == b"=" and depth == 0 and at and words[at - 1].text != b"operator":
            return at
    return 0


def _scope(words: list[Token], at: int) -> Scope:
    """The block that a brace behind `words` opens."""
    texts = [word.text for word in words]
    if _NAMESPACES.intersection(texts):
        name = texts[texts.index(b"namespace") + 1 :] if b"namespace" in texts else []
        return Scope("namespace", text_of(b"".join(name)), is_typedef=False, at=at)
    is_typedef = texts[:1] == [b"typedef"]
    first = b"".join(texts[is_typedef : is_typedef + 1])
    end = texts.index(b":") if b":" in texts else None  # behind it the bases of a class, the type of an enum
    names = [text_of(word.text) for word in words[is_typedef + 1 : end] if word.kind == Kind.NAME]
    if first in _CLASSES and (is_typedef or texts[-1] != b")"):
        return Scope("enum" if first == b"enum" else "struct", names[-1] if names else "", is_typedef, at)
    called = (name for name, after in pairwise(words) if after.text == b"(")
    return Scope("function", text_of(next(called).text) if b"(" in texts[1:] else "", is_typedef=False, at=at)


def _members(words: list[Token]) -> list[tuple[str, str]]:
    """Type and name of each member that a statement of a struct declares; none of methods and function pointers."""
    if not words or words[-1].text == b")":
        return []
    names: list[Token] = []
    last: list[Token] = []
    depth = 0
    for word in words[: _assignment(words) or None]:
        depth += (word.text in _OPENING) - (word.text in _CLOSING) - (word.text == b">>")
        if depth == 0 and word.kind == Kind.NAME:
            last = [word]
        elif depth == 0 and word.text == b",":
            names, last = names + last, []
    names += last
    type_ = " ".join(text_of(word.text) for word in words[: words.index(names[0])]) if names else ""
    return [(type_, text_of(name.text)) for name in names]
