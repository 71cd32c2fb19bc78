"""The first document of a YAML file as yaml-cpp 0.7 builds it: nodes that are null, a scalar, a list or a map.

Only the first document is read, but one token more than it has, so garbage right behind it still throws. A map keeps
repeated keys, and its keys may be anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

from convert.nvinfer.yaml_cursor import Cursor, YamlError
from convert.nvinfer.yaml_scan import Scanner, Token
from convert.nvinfer.yaml_text import decode

__all__ = ["Document", "Node", "YamlError", "load"]

# yaml-cpp's DepthGuard<500>.
_DEEPEST: Final = 500
_NULLS: Final = frozenset({b"", b"~", b"null", b"Null", b"NULL"})
_VERSION: Final = re.compile(rb"([+-]?[0-9]{1,9}).([+-]?[0-9]{1,9})\Z", re.DOTALL)


@dataclass(slots=True, eq=False)
class Node:
    """A value. `kind` is "null", "scalar", "seq" or "map"; `position` a byte in the document's text.

    `text` is the scalar's, `elements` the list's, `items` the map's keys and values.
    """

    kind: str
    position: int
    text: bytes = b""
    elements: list[Node] = field(default_factory=list)
    items: list[tuple[Node, Node]] = field(default_factory=list)


class Document:
    """A loaded file.

    Attributes:
        root: None where the file has no document at all.
        text: decoded; the positions of nodes count in its bytes.
    """

    def __init__(self, root: Node | None, text: bytes) -> None:
        self.root = root
        self.text = text
        # The position asked for last, its line and column: they are asked for in order, so little is counted twice.
        self.last = (0, 1, 1)

    def place(self, position: int) -> tuple[int, int]:
        """Line and column of a byte of the text, both from 1; the column counts characters."""
        before, line, column = self.last
        breaks = self.text.count(b"\n", before, position) - self.text.count(b"\n", position, before)
        if breaks or position < before:
            before, column = self.text.rfind(b"\n", 0, position) + 1, 1
        column += len(self.text[before:position].decode("utf-8", "replace"))
        self.last = position, line + breaks, column
        return line + breaks, column


def load(data: bytes) -> Document:
    """What `YAML::LoadFile` makes of a file with these bytes.

    Raises:
        YamlError: where yaml-cpp throws; `line` and `column` are set.
        TooMany: more tokens than any config has.
    """
    text = decode(data)
    try:
        return Document(_Builder(Scanner(Cursor(text))).document(), text)
    except YamlError as error:
        error.line, error.column = Document(None, text).place(error.position)
        raise


# A step of the parser: yields the steps it needs nodes from, and returns the node it made.
_Step = Generator["_Step", Node, Node]


class _Builder:
    def __init__(self, scanner: Scanner) -> None:
        self.scanner = scanner
        self.anchors: dict[bytes, Node] = {}
        self.handles: dict[bytes, bytes] = {}
        self.depth = 0
        self.in_flow_list = False

    def document(self) -> Node | None:
        self.directives()
        first = self.scanner.peek()
        if first is None:
            return None
        if first.kind == "doc-start":
            self.scanner.pop()
        root = self.run(self.node())
        while (token := self.scanner.peek()) is not None and token.kind == "doc-end":
            self.scanner.pop()
        return root

    def run(self, step: _Step) -> Node:
        """Run a step and all it needs, without a Python call for each level of nesting."""
        steps = [step]
        made: Node | None = None
        while True:
            try:
                following = steps[-1].send(made)  # type: ignore[arg-type] # a generator is started by None
            except StopIteration as stop:
                steps.pop()
                made = stop.value
                if not steps:
                    return stop.value  # type: ignore[no-any-return] # typed as Any in typeshed
            else:
                steps.append(following)
                made = None

    # Directives and tags

    def directives(self) -> None:
        version_given = False
        while (token := self.scanner.peek()) is not None and token.kind == "directive":
            if token.text == b"YAML":
                version = _VERSION.match(token.more[0]) if len(token.more) == 1 else None
                if version_given or version is None or int(version[1]) > 1:
                    raise YamlError("the %YAML directive is wrong, repeated, or for another version", token.position)
                version_given = True
            elif token.text == b"TAG":
                if len(token.more) != 2 or token.more[0] in self.handles:
                    raise YamlError("the %TAG directive is wrong or repeated", token.position)
                self.handles[token.more[0]] = token.more[1]
            self.scanner.pop()

    def tag(self, token: Token) -> bytes:
        kind = token.more[0]
        if kind == b"verbatim":
            return token.text
        if kind == b"none":
            return b"!"
        handle, rest = {
            b"primary": (b"!", token.text),
            b"secondary": (b"!!", b""),
            b"named": (token.text, token.more[-1]),
        }[kind]
        return self.handles.get(handle, b"tag:yaml.org,2002:" if handle == b"!!" else handle) + rest

    def properties(self) -> tuple[bytes, bytes]:
        """Tag and anchor in front of a node, each at most once."""
        tag = anchor = b""
        while (token := self.scanner.peek()) is not None and token.kind in {"tag", "anchor"}:
            if (tag if token.kind == "tag" else anchor) != b"":
                raise YamlError(f"a second {token.kind} for the same node", token.position)
            if token.kind == "tag":
                tag = self.tag(token)
            else:
                anchor = token.text
            self.scanner.pop()
        return tag, anchor

    # Nodes

    def node(self) -> _Step:
        self.depth += 1
        if self.depth >= _DEEPEST:
            raise YamlError("the nesting is too deep", self.scanner.position)
        made = yield from self.any_node()
        self.depth -= 1
        return made

    def any_node(self) -> _Step:
        first = self.scanner.peek()
        if first is None:
            return Node("null", self.scanner.position)
        position = first.position
        if first.kind == "value":
            return (yield from self.compact_map(Node("map", position)))
        if first.kind == "alias":
            return self.alias(first)
        tag, anchor = self.properties()
        token = self.scanner.peek()
        reader = None if token is None else self.collections.get(token.kind)
        if token is not None and reader is not None and (token.kind != "key" or self.in_flow_list):
            kind = "seq" if "seq" in token.kind else "map"
            return (yield from reader(self, self.named(Node(kind, position), anchor)))
        return self.named(self.lone(token, tag, position), anchor)

    def alias(self, token: Token) -> Node:
        if token.text not in self.anchors:
            raise YamlError("there is no such anchor", token.position)
        self.scanner.pop()
        return self.anchors[token.text]

    def lone(self, token: Token | None, tag: bytes, position: int) -> Node:
        """A text, or the nothing in front of `token`. A tag makes a text even of nothing."""
        untagged = tag in {b"", b"?"}
        if token is None:
            return Node("null", position)
        if token.kind in {"plain", "text"}:
            self.scanner.pop()
            null = token.kind == "plain" and untagged and token.text in _NULLS
            return Node("null", position) if null else Node("scalar", position, token.text)
        return Node("null" if untagged else "scalar", position)

    def named(self, node: Node, anchor: bytes) -> Node:
        if anchor:
            self.anchors[anchor] = node
        return node

    def block_list(self, made: Node) -> _Step:
        inside, self.in_flow_list = self.in_flow_list, False
        self.scanner.pop()
        while True:
            token = self.scanner.peek()
            if token is None or token.kind not in {"block-entry", "block-seq-end"}:
                raise YamlError("the list ends in an unexpected way", self.here(token))
            self.scanner.pop()
            if token.kind == "block-seq-end":
                break
            following = self.scanner.peek()
            if following is not None and following.kind in {"block-entry", "block-seq-end"}:
                element = Node("null", following.position)
            else:
                element = yield self.node()
            made.elements.append(element)
        self.in_flow_list = inside
        return made

    def flow_list(self, made: Node) -> _Step:
        inside, self.in_flow_list = self.in_flow_list, True
        self.scanner.pop()
        while True:
            token = self.scanner.peek()
            if token is None:
                raise YamlError("the [list] is not closed", self.here(token))
            if token.kind == "flow-seq-end":
                self.scanner.pop()
                break
            element = yield self.node()
            made.elements.append(element)
            self.separator("flow-seq-end", "the [list] is not closed, or lacks a comma")
        self.in_flow_list = inside
        return made

    def block_map(self, made: Node) -> _Step:
        inside, self.in_flow_list = self.in_flow_list, False
        self.scanner.pop()
        while True:
            token = self.scanner.peek()
            if token is None or token.kind not in {"key", "value", "block-map-end"}:
                raise YamlError("the map ends in an unexpected way (often wrong indentation)", self.here(token))
            if token.kind == "block-map-end":
                self.scanner.pop()
                break
            yield from self.key_and_value(made, token)
        self.in_flow_list = inside
        return made

    def flow_map(self, made: Node) -> _Step:
        inside, self.in_flow_list = self.in_flow_list, False
        self.scanner.pop()
        while True:
            token = self.scanner.peek()
            if token is None:
                raise YamlError("the {map} is not closed", self.here(token))
            if token.kind == "flow-map-end":
                self.scanner.pop()
                break
            yield from self.key_and_value(made, token)
            self.separator("flow-map-end", "the {map} is not closed, or lacks a comma")
        self.in_flow_list = inside
        return made

    def compact_map(self, made: Node) -> _Step:
        """One "key: value", or ": value", without braces."""
        inside, self.in_flow_list = self.in_flow_list, False
        token = self.scanner.peek()
        if token is not None:
            yield from self.key_and_value(made, token)
        self.in_flow_list = inside
        return made

    def key_and_value(self, made: Node, token: Token) -> _Step:
        key = value = Node("null", token.position)
        if token.kind == "key":
            self.scanner.pop()
            key = yield self.node()
        following = self.scanner.peek()
        if following is not None and following.kind == "value":
            self.scanner.pop()
            value = yield self.node()
        made.items.append((key, value))
        return made

    def separator(self, end: str, message: str) -> None:
        token = self.scanner.peek()
        if token is not None and token.kind == "flow-entry":
            self.scanner.pop()
        elif token is None or token.kind != end:
            raise YamlError(message, self.here(token))

    def here(self, token: Token | None) -> int:
        return self.scanner.position if token is None else token.position

    collections: Final[dict[str, Callable[[_Builder, Node], _Step]]] = {
        "flow-seq-start": flow_list,
        "block-seq-start": block_list,
        "flow-map-start": flow_map,
        "block-map-start": block_map,
        "key": compact_map,
    }
