"""A config in YAML form, read in the order and with the slips of Gst-nvinfer's own parser.

gstnvinfer_yaml_parser.cpp looks up the first map called "property", walks over its keys in order (of a repeated key
every line is read), and catches no exception: what yaml-cpp or std::stoi throws ends the whole process. Lists are texts
with `;` between the elements. All of it was decided by running that parser (DeepStream 9.1, yaml-cpp 0.7).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from convert.nvinfer.keyfile import MOST_PAIRS
from convert.nvinfer.keys import ATTRS, PROPERTY, Key, known_keys
from convert.nvinfer.parse_draft import (
    ATTRS_ALL,
    ATTRS_PREFIX,
    NETWORKS_WITH_ATTRS,
    TEXT_BYTES,
    Draft,
    Stop,
    as_text,
)
from convert.nvinfer.parse_files import TooMany
from convert.nvinfer.parse_ini import name_value_pairs
from convert.nvinfer.parse_numbers import (
    NotANumber,
    OutOfRange,
    std_stod,
    std_stoi,
    std_stoul,
    stream_double,
    stream_int,
    stream_unsigned,
)
from convert.nvinfer.parse_paths import PATH_BYTES
from convert.nvinfer.parse_result import Entry, Ignored, Parsed, Reason, Section, Unread, Verdict
from convert.nvinfer.yaml import Node, YamlError, load

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["read_yaml"]

# What the parser keeps of each element of a list of names, and of classifier-type (char[64]).
_ELEMENT_BYTES: Final = 63
# op-tensor-files are written into 64 bytes each, however long they are.
_TENSOR_FILE_BYTES: Final = 64
_WHOLE_ELEMENTS: Final = "layer-device-precision"

_INFINITIES: Final = {
    **dict.fromkeys((b".inf", b".Inf", b".INF", b"+.inf", b"+.Inf", b"+.INF"), math.inf),
    **dict.fromkeys((b"-.inf", b"-.Inf", b"-.INF"), -math.inf),
    **dict.fromkeys((b".nan", b".NaN", b".NAN"), math.nan),
}
_Number = TypeVar("_Number", int, float)


def read_yaml(data: bytes, draft: Draft) -> Parsed:
    """What nvinfer makes of the file with these bytes.

    Raises:
        TooMany: the file has more bytes, tokens or entries than any config.
    """
    try:
        root = load(data)
    except YamlError as error:
        draft.say_at(Reason.SYNTAX, error.message, None, error.line, error.column, fatal=True)
        exception = f"yaml-cpp: error at line {error.line}, column {error.column}: {error.message}"
        return draft.finish(Verdict.ABORTS, exception=exception)
    try:
        return draft.finish(Verdict.ACCEPTED, _Reader(root, draft).read())
    except Stop as stop:
        return draft.finish(stop.verdict, exception=stop.exception)


class _Reader:
    def __init__(self, root: Node | None, draft: Draft) -> None:
        self.root = root
        self.draft = draft
        self.groups = root.items if root is not None else []
        # Of several groups of one name, only the first is ever read.
        self.first = {name.text: group for name, group in reversed(self.groups) if name.kind == "scalar"}
        self.entries: dict[tuple[str, int, int], Entry] = {}
        self.survey()

    def survey(self) -> None:
        """Note all that stands in the file, read or not."""
        for name, group in self.groups:
            if name.kind not in {"scalar", "null"}:
                continue
            title = as_text(_string(name))
            self.draft.sections.append(Section(title, name.line, name.column))
            last: dict[str, Entry] = {}
            for key, value in group.items:
                if key.kind not in {"scalar", "null"}:
                    continue
                # Aliases can repeat a large group any number of times.
                if len(self.draft.entries) >= MOST_PAIRS:
                    raise TooMany
                entry = self.locate(title, key, value)
                self.draft.entries.append(entry)
                if entry.key in last:
                    self.draft.ignored.append(Ignored(last[entry.key], "overwritten"))
                last[entry.key] = entry

    def locate(self, group: str, key: Node, value: Node) -> Entry:
        text = as_text(_string(value)) if value.kind in {"scalar", "null"} else ""
        entry = Entry(group, as_text(_string(key)), text, key.line, key.column, value.line, value.column)
        self.entries[group, id(key), id(value)] = entry
        return entry

    def read(self) -> list[dict[str, Any]]:
        """Read property and, for a detector, the class groups; the values of each class."""
        draft = self.draft
        if self.root is not None and self.root.kind == "scalar":
            message = "the file is a single text, not a map of groups"
            draft.abort(Reason.SYNTAX, message, "yaml-cpp: operator[] call on a scalar")
        found = self.first.get(PROPERTY.encode())
        if found is None:
            draft.refuse(Reason.NO_PROPERTY, "there is no map called property")
        self.pairs(PROPERTY, found, self.property)
        detector = draft.values["network-type"] in NETWORKS_WITH_ATTRS
        self.note_unread(detector=detector)
        return self.classes() if detector else []

    def note_unread(self, *, detector: bool) -> None:
        seen: set[str] = set()
        for section in self.draft.sections:
            of_classes = section.name.startswith(ATTRS_PREFIX)
            if section.name in seen:
                self.draft.unread.append(Unread(section, "repeated"))
            elif section.name != PROPERTY and not (of_classes and detector):
                self.draft.unread.append(Unread(section, "network-type" if of_classes else "unknown"))
            seen.add(section.name)

    def pairs(self, title: str, group: Node, read: Callable[[bytes, Node, Entry], None]) -> None:
        """Hand every key of a group to `read`; a list dies, a lone text or nothing has no keys."""
        if group.kind == "scalar":
            message = f"{title} is a text and not a map: none of it is read (a key needs a colon and a blank)"
            self.draft.say_at(Reason.NOTE, message, title, group.line, group.column)
        if group.kind == "seq" and group.children:
            self.dies(f"{title} is a list and not a map", "yaml-cpp: invalid node", None)
        for key, value in group.items:
            if key.kind not in {"scalar", "null"}:
                self.dies(f"a key of {title} is a list or a map", "yaml-cpp: bad conversion", None)
            read(_string(key), value, self.entries[title, id(key), id(value)])

    def dies(self, message: str, exception: str, entry: Entry | None) -> NoReturn:
        self.draft.abort(Reason.TYPE, message, exception, entry)

    # The map property.

    def property(self, name: bytes, value: Node, entry: Entry) -> None:
        draft = self.draft
        key = known_keys(PROPERTY, draft.release, "yaml").get(name)
        if key is None or key.element:
            text = self.string(value, entry)
            if key is None:
                draft.not_known(entry)
            else:
                self.element(key, text, entry)
            return
        if key.type in {"integer", "unsigned", "boolean", "float", "double"}:
            self.number(key, value, entry, draft.values)
            if name == b"workspace-size" and not draft.values["workspace-size"]:
                draft.say(Reason.NOTE, "workspace-size is 0: the builder's own limit holds", entry)
            return
        self.text(key, self.string(value, entry), entry)

    def number(self, key: Key, value: Node, entry: Entry, target: dict[str, Any]) -> None:
        """A number or boolean of the inference context, or of a class, as yaml-cpp converts it."""
        kind = key.yaml or key.type
        if kind in {"float", "double"}:
            found: float = self.converted(value, entry, _double, "a decimal number")
        elif kind == "unsigned":
            found = self.converted(value, entry, stream_unsigned, "a whole number without a sign")
        else:
            found = self.converted(value, entry, stream_int, "a whole number")
        if kind == "flag":
            # A 0 does not take back a 1 further up.
            found = int(bool(found) or bool(target[key.name]))
        self.draft.put(key, found, entry, target)

    def text(self, key: Key, text: bytes, entry: Entry) -> None:
        """A text, path or list of the inference context."""
        draft = self.draft
        plain = text.partition(b"\0")[0]
        if key.type == "string":
            limit = PATH_BYTES if key.name == "custom-network-config" else TEXT_BYTES
            draft.put(key, plain[:limit], entry, draft.values)
        elif key.type == "pairs":
            draft.values[key.name] = name_value_pairs(draft.values[key.name], plain, trim_first=False)
        elif key.type == "string-list":
            limit = len(text) if key.name == _WHOLE_ELEMENTS else _ELEMENT_BYTES
            names = tuple(piece.partition(b"\0")[0][:limit] for piece in _split(text))
            draft.put(key, names, entry, draft.values)
        elif key.type == "path-list":
            paths = tuple(_split(text))
            draft.put(key, paths, entry, draft.values)
            if any(len(path) + len(draft.folder) >= _TENSOR_FILE_BYTES for path in paths):
                draft.say(Reason.NOTE, f"{key.name}: paths of 64 bytes and more overrun nvinfer's memory", entry)
        elif key.type == "path":
            draft.put(key, plain, entry, draft.values)
        else:
            self.number_list(key, text, entry, draft.values)

    def number_list(self, key: Key, text: bytes, entry: Entry, target: dict[str, Any]) -> None:
        """infer-dims, offsets and colours: the number of elements is looked at before the elements."""
        pieces = _split(text)
        self.draft.check_length(key, len(pieces), entry)
        numbers: tuple[float, ...]
        if key.type == "unsigned-list":
            numbers = tuple(self.standard(std_stoul, "stoul", piece, entry) for piece in pieces)
        else:
            numbers = tuple(self.standard(std_stod, "stod", piece, entry) for piece in pieces)
        self.draft.put(key, numbers, entry, target)

    def element(self, key: Key, text: bytes, entry: Entry) -> None:
        """A key of the GStreamer element, as std::stoi converts it."""
        draft = self.draft
        if key.type == "string":
            draft.put(key, text.partition(b"\0")[0][:_ELEMENT_BYTES], entry, draft.values)
        elif key.name == "operate-on-class-ids":
            ids = [self.standard(std_stoi, "stoi", piece, entry) for piece in _split(text)]
            draft.put_operate_on(ids, entry)
        elif key.name == "filter-out-class-ids":
            draft.put_filter_out([self.standard(std_stoul, "stoul", piece, entry) for piece in _split(text)])
        else:
            draft.put(key, self.standard(std_stoi, "stoi", text, entry), entry, draft.values)

    # Conversions

    def string(self, value: Node, entry: Entry) -> bytes:
        """`as<std::string>`: a list or map dies, nothing becomes "null"."""
        if value.kind not in {"scalar", "null"}:
            kind = "list" if value.kind == "seq" else "map"
            message = f"{entry.key} is a {kind}; lists are written with ; between the elements, without brackets"
            self.dies(message, "yaml-cpp: bad conversion", entry)
        return _string(value)

    def converted(self, value: Node, entry: Entry, read: Callable[[bytes], _Number], what: str) -> _Number:
        """`as<int>` and the like."""
        try:
            if value.kind == "scalar":
                return read(value.text)
        except NotANumber:
            pass
        shown = (
            f"“{entry.text}”" if value.kind == "scalar" else "nothing" if value.kind == "null" else "no single value"
        )
        self.dies(f"{entry.key} is {shown}, which is not {what}", "yaml-cpp: bad conversion", entry)

    def standard(self, read: Callable[[bytes], _Number], name: str, text: bytes, entry: Entry) -> _Number:
        """std::stoi, stoul or stod."""
        shown = as_text(text[:60])
        try:
            return read(text)
        except NotANumber:
            self.dies(f"{entry.key}: “{shown}” does not begin with a number", name, entry)
        except OutOfRange:
            self.dies(f"{entry.key}: “{shown}” is too large or too small", name, entry)

    # The maps of classes.

    def classes(self) -> list[dict[str, Any]]:
        draft = self.draft
        for_all = self.first.get(ATTRS_ALL.encode())
        if for_all is not None:
            self.attrs(ATTRS_ALL, for_all, draft.attrs)
        count = draft.class_count(self.last("num-detected-classes"))
        classes = [draft.attrs] * count
        for name, _ in self.groups:
            if name.kind not in {"scalar", "null"}:
                self.dies("a group has a list or a map as its name", "yaml-cpp: bad conversion", None)
            title = _string(name)
            if title == ATTRS_ALL.encode() or not title.startswith(ATTRS_PREFIX.encode()):
                continue
            index = self.class_id(title, name, count)
            classes[index] = dict(classes[index])
            first = self.first.get(title)
            if first is not None:
                self.attrs(as_text(title), first, classes[index])
        return classes

    def class_id(self, title: bytes, name: Node, count: int) -> int:
        draft = self.draft
        section = Section(as_text(title), name.line, name.column)
        try:
            index = std_stoi(title.removeprefix(ATTRS_PREFIX.encode()))
        except (NotANumber, OutOfRange):
            message = f"[{section.name}]: a class id or “all” must follow {ATTRS_PREFIX}"
            draft.say_at(Reason.GROUP, message, section.name, section.line, section.column, fatal=True)
            raise Stop(Verdict.ABORTS, "stoi") from None
        draft.check_class(index, count, section)
        return index

    def attrs(self, title: str, group: Node, target: dict[str, Any]) -> None:
        """Read one class group into `target`."""
        table = known_keys(ATTRS, self.draft.release, "yaml")

        def one(name: bytes, value: Node, entry: Entry) -> None:
            key = table.get(name)
            if key is None:
                self.draft.not_known(entry)
            elif key.type == "float-list":
                self.number_list(key, self.string(value, entry), entry, target)
            else:
                self.number(key, value, entry, target)

        self.pairs(title, group, one)

    def last(self, key: str) -> Entry | None:
        found = [entry for entry in self.draft.entries if entry.group == PROPERTY and entry.key == key]
        return found[-1] if found else None


def _split(text: bytes) -> list[bytes]:
    if text.count(b";") > MOST_PAIRS:
        raise TooMany
    return text.split(b";")


def _string(node: Node) -> bytes:
    return b"null" if node.kind == "null" else node.text


def _double(text: bytes) -> float:
    found = _INFINITIES.get(text)
    return stream_double(text) if found is None else found
