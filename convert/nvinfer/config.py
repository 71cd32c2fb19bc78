"""Reads a Gst-nvinfer config as the given DeepStream release would, and says what becomes of it.

    parsed = read("config_infer_primary.txt")
    parsed.verdict, parsed.values["batch-size"], parsed.fault

The element chooses the parser by the suffix alone: `.yml` and `.yaml`, in lower case, are YAML from DeepStream 6.1 on;
everything else is INI (gstnvinfer.cpp, PROP_CONFIG_FILE_PATH).

A config in INI form, read in the order and with the slips of Gst-nvinfer's own parser.

gstnvinfer_property_parser.cpp walks over the keys in the order of the file (a repeated key twice, each time with its
last value) and stops at the first bad one. Where it forgets to look at an error, the error waits for the next key that
the inference context reads. All of it was decided by running that parser (DeepStream 9.1).

A config in YAML form, read in the order and with the slips of Gst-nvinfer's own parser.

gstnvinfer_yaml_parser.cpp looks up the first map called "property", walks over its keys in order (of a repeated key
every line is read), and catches no exception: what yaml-cpp or std::stoi throws ends the whole process. Lists are texts
with `;` between the elements. All of it was decided by running that parser (DeepStream 9.1, yaml-cpp 0.7).
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from convert.errors import InputError, PresetError
from convert.nvinfer import keyfile
from convert.nvinfer.config_state import (
    ATTRS_ALL,
    ATTRS_PREFIX,
    NETWORKS_WITH_ATTRS,
    TEXT_BYTES,
    Entry,
    Ignored,
    Parsed,
    ParserState,
    Reason,
    Section,
    Stop,
    Unread,
    Verdict,
    as_text,
)
from convert.nvinfer.keyfile import MOST_PAIRS, ErrorKind, Group, KeyFile, KeyFileError, Pair
from convert.nvinfer.keys import ATTRS, NEWEST, PLATFORMS, PROPERTY, Key, known_keys, version
from convert.nvinfer.numbers import (
    PATH_BYTES,
    NotANumber,
    OutOfRange,
    TooMany,
    read_ordinary,
    std_stod,
    std_stoi,
    std_stoul,
    stream_double,
    stream_int,
    stream_unsigned,
)
from convert.nvinfer.yaml import Node, YamlError, load

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


__all__ = ["MOST_BYTES", "YAML_SINCE", "form_of", "name_value_pairs", "read", "read_bytes", "read_ini", "read_yaml"]


_REASONS: Final = {ErrorKind.UNKNOWN_ENCODING: Reason.ENCODING, ErrorKind.INVALID_VALUE: Reason.TYPE}
_READERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "integer": keyfile.as_integer,
    "unsigned": keyfile.as_integer,
    "boolean": keyfile.as_boolean,
    "float": keyfile.as_double,
    "double": keyfile.as_double,
    "string": keyfile.as_string,
    "path": keyfile.as_string,
    "pairs": keyfile.as_string,
    "string-list": keyfile.as_string_list,
    "path-list": keyfile.as_string_list,
    "integer-list": keyfile.as_integer_list,
    "unsigned-list": keyfile.as_integer_list,
    "id-list": keyfile.as_integer_list,
    "float-list": keyfile.as_double_list,
}
# g_ascii_strtoull: blanks, a sign, digits.
_CLASS_ID = re.compile(rb"[ \t\n\f\r]*(-?)\+?0*([0-9]*)")


def read_ini(data: bytes, draft: ParserState) -> Parsed:
    """What nvinfer makes of the file with these bytes."""
    try:
        file = KeyFile.load(data)
    except KeyFileError as error:
        reason = _REASONS.get(error.kind, Reason.SYNTAX)
        draft.say_at(reason, error.message, None, error.line, error.column, fatal=True)
        return draft.finish(Verdict.REJECTED)
    try:
        return draft.finish(Verdict.ACCEPTED, _IniReader(file, draft).read())
    except Stop as stop:
        return draft.finish(stop.verdict, exception=stop.exception)


class _IniReader:
    def __init__(self, file: KeyFile, draft: ParserState) -> None:
        self.file = file
        self.draft = draft
        # The first error of a group that nvinfer did not look at.
        self.waiting: tuple[KeyFileError, Entry] | None = None
        # Each group's lines as entries, and the entry that counts for each key.
        self.entries = {name: [_entry(name, pair) for pair in group.pairs] for name, group in file.groups.items()}
        self.last = {
            name: {pair.key: entry for pair, entry in zip(group.pairs, self.entries[name], strict=True)}
            for name, group in file.groups.items()
        }
        self.survey()

    def survey(self) -> None:
        """Note all that stands in the file, read or not."""
        for name, group in self.file.groups.items():
            self.draft.entries += self.entries[name]
            self.draft.sections.append(_section(group))
            if len(group.last) < len(group.pairs):
                counting = {id(entry) for entry in self.last[name].values()}
                repeated = [entry for entry in self.entries[name] if id(entry) not in counting]
                self.draft.ignored += [Ignored(entry, "overwritten") for entry in repeated]
        for name, pair in self.file.dropped:
            entry = _entry(name, pair)
            self.draft.entries.append(entry)
            self.draft.ignored.append(Ignored(entry, "locale"))

    def read(self) -> list[dict[str, Any]]:
        """Read [property] and, for a detector, the class groups; the values of each class."""
        group = self.file.groups.get(PROPERTY.encode())
        if group is None:
            self.draft.refuse(Reason.NO_PROPERTY, "there is no group [property]")
        self.property(group)
        detector = self.draft.values["network-type"] in NETWORKS_WITH_ATTRS
        others = [each for each in self.file.groups.values() if each is not group]
        for each in others:
            of_classes = each.name.startswith(ATTRS_PREFIX.encode())
            if not (of_classes and detector):
                self.draft.unread.append(Unread(_section(each), "network-type" if of_classes else "unknown"))
        return self.classes(others) if detector else []

    # The group [property].

    def property(self, group: Group) -> None:
        table = known_keys(PROPERTY, self.draft.release, "ini")
        self.waiting = None
        pairs = self.modernised(group)
        for name, value, entry in pairs:
            key = table.get(name)
            if key is None or name == b"is-classifier":
                self.draft.not_known(entry)
            elif name in {b"input-dims", b"uff-input-dims"}:
                self.old_dims(key, value, entry, given=b"infer-dims" in group.last)
            elif name == b"enable-dbscan":
                self.old_dbscan(value, entry, given=b"cluster-mode" in group.last)
            else:
                self.one(key, value, entry)

    def modernised(self, group: Group) -> list[tuple[bytes, bytes, Entry]]:
        """Name, value that counts, and entry of each line; is-classifier made a network-type at the end."""
        last = self.last[group.name]
        pairs = [(pair.key, group.last[pair.key].value, last[pair.key]) for pair in group.pairs]
        old = group.last.get(b"is-classifier")
        if old is None or b"network-type" in group.last:
            return pairs
        entry = last[old.key]
        kind = self.value(keyfile.as_boolean, old.value, entry)
        # GKeyFile removes the line that counts: of several, the others stay, and are unknown.
        pairs.pop(len(group.pairs) - 1 - [pair.key for pair in reversed(group.pairs)].index(old.key))
        return [*pairs, (b"network-type", b"1" if kind else b"0", entry)]

    def one(self, key: Key, value: bytes, entry: Entry) -> None:
        """One key of the table, read as its type."""
        draft = self.draft
        found = self.typed(key, value, entry)
        if key.name == "operate-on-class-ids":
            draft.put_operate_on(found, entry)
        elif key.name == "filter-out-class-ids":
            draft.put_filter_out(found)
        elif key.type == "pairs":
            draft.values[key.name] = name_value_pairs(draft.values[key.name], found, trim_first=True)
        else:
            # Only the element keeps a text whole; the context has buffers.
            draft.put(
                key, found[:TEXT_BYTES] if key.type == "string" and not key.element else found, entry, draft.values
            )
        if key.name == "workspace-size" and not found:
            draft.say(Reason.NOTE, "workspace-size is 0: the builder's own limit holds", entry)

    def old_dims(self, key: Key, value: bytes, entry: Entry, *, given: bool) -> None:
        draft = self.draft
        if given:
            draft.void(entry, "infer-dims")
            return
        draft.say(Reason.LEGACY, f"{key.name} is an old name: write infer-dims", entry)
        dims = self.value(keyfile.as_integer_list, value, entry)
        draft.check_length(key, len(dims), entry)
        order = known_keys(PROPERTY, draft.release, "ini")[b"uff-input-order"]
        if dims[3] not in order.values:
            draft.refuse(Reason.RANGE, f"{key.name}: the fourth element is the layout, 0, 1 or 2, not {dims[3]}", entry)
        draft.values["uff-input-order"] = dims[3]
        draft.values["infer-dims"] = tuple(each & 0xFFFFFFFF for each in dims[:3])

    def old_dbscan(self, value: bytes, entry: Entry, *, given: bool) -> None:
        draft = self.draft
        draft.say(Reason.LEGACY, "enable-dbscan is an old name: write cluster-mode=1", entry)
        if given:
            draft.void(entry, "cluster-mode")
            return
        try:
            wanted = keyfile.as_boolean(value)
        except KeyFileError as error:
            self.unnoticed(error, entry)
            return
        # Only a yes makes nvinfer look at errors.
        if wanted:
            self.check_waiting()
            draft.values["cluster-mode"] = 1

    # Errors

    def typed(self, key: Key, value: bytes, entry: Entry) -> Any:
        """What a key is read as; 0 where nvinfer does not look whether that worked."""
        try:
            found = _READERS[key.ini or key.type](value)
        except KeyFileError as error:
            if not key.unchecked:
                self.refuse(error, entry)
            self.unnoticed(error, entry)
            found = 0
        if not (key.element or key.unchecked):
            self.check_waiting()
        return found

    def unnoticed(self, error: KeyFileError, entry: Entry) -> None:
        """An error that nvinfer does not look at, until another key trips over it."""
        self.waiting = self.waiting or (error, entry)
        message = f"{entry.key}: {error.message}; nvinfer does not notice and takes 0"
        self.draft.say(Reason.UNREADABLE, message, entry)

    def value(self, reader: Callable[[bytes], Any], value: bytes, entry: Entry) -> Any:
        """What a key of the context is read as, or the end."""
        try:
            found = reader(value)
        except KeyFileError as error:
            self.refuse(error, entry)
        self.check_waiting()
        return found

    def check_waiting(self) -> None:
        """An error that was not looked at is found now."""
        if self.waiting is not None:
            self.refuse(*self.waiting)

    def refuse(self, error: KeyFileError, entry: Entry) -> Any:
        self.draft.refuse(_REASONS.get(error.kind, Reason.TYPE), f"{entry.key}: {error.message}", entry)

    # The groups of classes.

    def classes(self, groups: Sequence[Group]) -> list[dict[str, Any]]:
        draft = self.draft
        for group in groups:
            if group.name == ATTRS_ALL.encode():
                self.attrs(group, draft.attrs)
        count = draft.class_count(self.last[PROPERTY.encode()].get(b"num-detected-classes"))
        classes = [draft.attrs] * count
        for group in groups:
            if group.name.startswith(ATTRS_PREFIX.encode()) and group.name != ATTRS_ALL.encode():
                index = self.class_id(group, count)
                classes[index] = dict(classes[index])
                self.attrs(group, classes[index])
        return classes

    def class_id(self, group: Group, count: int) -> int:
        """The class that the digits behind "class-attrs-" name; what follows them does not matter."""
        match = _CLASS_ID.match(group.name, len(ATTRS_PREFIX))
        section = _section(group)
        if match is None or not match[0][-1:].isdigit():
            message = f"[{section.name}]: a class id or “all” must follow {ATTRS_PREFIX}"
            self.draft.refuse_group(message, section)
        index, largest = int(match[2][:21] or b"0"), 2**64 - 1
        # Too many digits are the largest number, whatever the sign.
        index = largest if index > largest else -index & largest if match[1] else index
        self.draft.check_class(index, count, section)
        return index

    def attrs(self, group: Group, target: dict[str, Any]) -> None:
        """Read one class group into `target`."""
        table = known_keys(ATTRS, self.draft.release, "ini")
        self.waiting = None
        for pair in group.pairs:
            entry = self.last[group.name][pair.key]
            value = group.last[pair.key].value
            key = table.get(pair.key)
            if key is None:
                self.draft.not_known(entry)
                continue
            if key.legacy:
                self.draft.say(Reason.LEGACY, f"{key.name} is an old name: write {key.replaced_by}", entry)
            self.draft.put(key, self.typed(key, value, entry), entry, target)


def name_value_pairs(known: Sequence[str], text: bytes, *, trim_first: bool) -> tuple[str, ...]:
    """The pairs of dynamic-properties after those of `text` ("a=1;b=2") were added to `known`, as "name=value".

    A name given again keeps its place and takes the new value. `trim_first`: as in INI, where a pair without a name or
    without a value is left out; YAML keeps it.
    """
    blanks = b" \t\n\f\r"
    kept = dict(each.split("=", 1) for each in known)
    for piece in text.partition(b"\0")[0].split(b";") if text else ():
        name, equals, value = (piece.strip(blanks) if trim_first else piece).partition(b"=")
        name, value = name.strip(blanks), value.strip(blanks)
        if equals and (not trim_first or (name and value)):
            kept[as_text(name)] = as_text(value)
    return tuple(f"{name}={value}" for name, value in kept.items())


def _entry(group: bytes, pair: Pair) -> Entry:
    return Entry(
        as_text(group), as_text(pair.key), as_text(pair.value), pair.line, pair.column, pair.line, pair.value_column
    )


def _section(group: Group) -> Section:
    return Section(as_text(group.name), group.line, group.column)


YAML_SINCE: Final = "6.1"
"""The first DeepStream release that reads YAML; older ones read such a file as INI, and fail."""
MOST_BYTES: Final = 256 * 2**20
"""A file larger than this is not read: it is no config, and would be held in memory whole."""


def form_of(path: str | os.PathLike[str], release: str = NEWEST) -> str:
    """ "yaml" or "ini": what DeepStream `release` takes the file for, by its name."""
    yaml = os.fspath(path).endswith((".yml", ".yaml")) and version(release) >= version(YAML_SINCE)
    return "yaml" if yaml else "ini"


def read(path: str | os.PathLike[str], *, release: str = NEWEST, platform: str = "dgpu") -> Parsed:
    """What nvinfer makes of the config file `path`.

    Args:
        path: an ordinary file. Paths in it are looked up on this machine, relative to its real folder.
        release: DeepStream release, "5.0" to "9.1".
        platform: "dgpu" or "jetson".

    Raises:
        InputError: not an ordinary file, unreadable, or too large to be a config.
        PresetError: no such release or platform.
    """
    return read_bytes(read_ordinary(path, "config", MOST_BYTES), path, release=release, platform=platform)


def read_bytes(data: bytes, path: str | os.PathLike[str], *, release: str = NEWEST, platform: str = "dgpu") -> Parsed:
    """As `read`, for contents that are (or would be) in the file `path`, which need not exist.

    Raises:
        InputError: more keys than any config has.
        PresetError: no such release or platform.
    """
    if platform not in PLATFORMS:
        raise PresetError(f"there is no platform {platform!r}", hint="one of: " + ", ".join(PLATFORMS))
    form = form_of(path, release)
    draft = ParserState(os.fspath(path), form, release, platform)
    try:
        if form == "ini":
            return read_ini(data, draft)

        return read_yaml(data, draft)
    except TooMany as error:
        raise InputError(
            str(error),
            hint="a Gst-nvinfer config has a few dozen keys; is this another file?",
            path=os.fspath(path),
        ) from None


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


def read_yaml(data: bytes, draft: ParserState) -> Parsed:
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
        return draft.finish(Verdict.ACCEPTED, _YamlReader(root, draft).read())
    except Stop as stop:
        return draft.finish(stop.verdict, exception=stop.exception)


class _YamlReader:
    def __init__(self, root: Node | None, draft: ParserState) -> None:
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
