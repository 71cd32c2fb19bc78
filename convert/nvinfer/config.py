"""Reads a Gst-nvinfer config as a DeepStream release does: its verdict, its values and its faults.

    parsed = read("config_infer_primary.txt")
    parsed.verdict, parsed.values["batch-size"], parsed.fault

The element chooses the parser by the suffix alone: `.yml` and `.yaml`, in lower case, are YAML from DeepStream 6.1 on;
everything else is INI (gstnvinfer.cpp, PROP_CONFIG_FILE_PATH). Both parsers are followed in their order and with their
bugs; every decision was checked by running them (DeepStream 9.1, yaml-cpp 0.7).

INI (gstnvinfer_property_parser.cpp): the keys are read in the order of the file (a repeated key twice, each time with
its last value), up to the first bad one. An error that the parser does not check is found at the next key of the
inference context.

YAML (gstnvinfer_yaml_parser.cpp): the first map called "property" is read, its keys in order (of a repeated key every
line). No exception is caught: what yaml-cpp or std::stoi throws ends the process. Lists are texts with `;` between the
elements.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from convert.errors import InputError, PresetError
from convert.nvinfer import keyfile, keys
from convert.nvinfer import numbers as parsing
from convert.nvinfer.keyfile import MOST_PAIRS, ErrorKind, KeyFile, KeyFileError, KeyGroup, KeyLine
from convert.nvinfer.keys import ATTRS, NEWEST, PLATFORMS, PROPERTY, Key, known_keys, version

if TYPE_CHECKING:
    from convert.nvinfer.yaml import Node


_REASONS: Final = {ErrorKind.UNKNOWN_ENCODING: keys.Reason.ENCODING}
_READERS: Final[dict[str, Callable[[bytes], Any]]] = {
    "integer": keyfile.as_integer, "unsigned": keyfile.as_integer, "boolean": keyfile.as_boolean,
    "float": keyfile.as_double, "double": keyfile.as_double, "string": keyfile.as_string, "path": keyfile.as_string,
    "pairs": keyfile.as_string, "string-list": keyfile.as_string_list, "path-list": keyfile.as_string_list,
    "integer-list": keyfile.as_integer_list, "unsigned-list": keyfile.as_integer_list,
    "id-list": keyfile.as_integer_list, "float-list": keyfile.as_double_list,
}  # fmt: skip
# g_ascii_strtoull: blanks, a sign, digits.
_CLASS_ID = re.compile(rb"[ \t\n\f\r]*(-?)\+?0*([0-9]*)")


def read_ini(data: bytes, state: keys.ParserState) -> keys.Parsed:
    """Reads the INI file with these bytes."""
    try:
        file = KeyFile.load(data)
    except KeyFileError as error:
        reason = _REASONS.get(error.kind, keys.Reason.SYNTAX)
        state.add_problem(reason, error.message, keys.Section("", error.line, error.column), fatal=True)
        return state.finish(keys.Verdict.REJECTED)
    try:
        return state.finish(keys.Verdict.ACCEPTED, _IniReader(file, state).read())
    except keys.Stop as stop:
        return state.finish(stop.verdict, exception=stop.exception)


class _IniReader:
    def __init__(self, file: KeyFile, state: keys.ParserState) -> None:
        self.file = file
        self.state = state
        # The first error of a group that nvinfer did not check.
        self.pending: tuple[KeyFileError, keys.Entry] | None = None
        # Each group's lines as entries, and the entry that counts for each key.
        self.entries = {name: [entry_of(name, pair) for pair in group.pairs] for name, group in file.groups.items()}
        self.last = {
            name: {pair.key: entry for pair, entry in zip(group.pairs, self.entries[name], strict=True)}
            for name, group in file.groups.items()
        }
        self.list_entries()

    def list_entries(self) -> None:
        """List all that is in the file, read or not."""
        for name, group in self.file.groups.items():
            self.state.entries += self.entries[name]
            self.state.sections.append(section_of(group))
            if len(group.last) < len(group.pairs):
                counting = {id(entry) for entry in self.last[name].values()}
                repeated = [entry for entry in self.entries[name] if id(entry) not in counting]
                self.state.ignored += [keys.Ignored(entry, "overwritten") for entry in repeated]
        for name, pair in self.file.dropped:
            entry = entry_of(name, pair)
            self.state.entries.append(entry)
            self.state.ignored.append(keys.Ignored(entry, "locale"))

    def read(self) -> list[dict[str, Any]]:
        """Read [property] and, for a detector, the class groups; the values of each class."""
        group = self.file.groups.get(PROPERTY.encode())
        if group is None:
            self.state.refuse(keys.Reason.NO_PROPERTY, "there is no group [property]")
        self.property(group)
        detector = self.state.values["network-type"] in keys.NETWORKS_WITH_ATTRS
        others = [each for each in self.file.groups.values() if each is not group]
        for each in others:
            of_classes = each.name.startswith(keys.ATTRS_PREFIX.encode())
            if not (of_classes and detector):
                self.state.unread.append(keys.Unread(section_of(each), "network-type" if of_classes else "unknown"))
        return self.classes(others) if detector else []

    # The group [property].

    def property(self, group: KeyGroup) -> None:
        table = known_keys(PROPERTY, self.state.release, "ini")
        self.pending = None
        pairs = self.with_network_type(group)
        for name, value, entry in pairs:
            key = table.get(name)
            if key is None or name == b"is-classifier":
                self.state.add_unknown(entry)
            elif name in {b"input-dims", b"uff-input-dims"}:
                self.old_dims(key, value, entry, given=b"infer-dims" in group.last)
            elif name == b"enable-dbscan":
                self.old_dbscan(value, entry, given=b"cluster-mode" in group.last)
            else:
                self.one(key, value, entry)

    def with_network_type(self, group: KeyGroup) -> list[tuple[bytes, bytes, keys.Entry]]:
        """Name, value that counts, and entry of each line; is-classifier becomes a network-type at the end."""
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

    def one(self, key: Key, value: bytes, entry: keys.Entry) -> None:
        """One key of the table, read as its type."""
        state = self.state
        found = self.typed(key, value, entry)
        if key.type == "pairs":
            state.values[key.name] = name_value_pairs(state.values[key.name], found, trim_first=True)
        else:
            # Only the element stores a text whole; the inference context has buffers.
            whole = key.type != "string" or key.element
            state.store(key, found if whole else found[: keys.TEXT_BYTES], entry, state.values)

    def old_dims(self, key: Key, value: bytes, entry: keys.Entry, *, given: bool) -> None:
        state = self.state
        if given:
            state.add_ignored(entry, "infer-dims")
            return
        state.add_problem(keys.Reason.LEGACY, f"{key.name} is an old name: write infer-dims", entry)
        dims = self.value(keyfile.as_integer_list, value, entry)
        state.check_length(key, len(dims), entry)
        order = known_keys(PROPERTY, state.release, "ini")[b"uff-input-order"]
        if dims[3] not in order.values:
            message = f"{key.name}: the fourth element is the layout, 0, 1 or 2, not {dims[3]}"
            state.refuse(keys.Reason.RANGE, message, entry)
        state.values["uff-input-order"] = dims[3]
        state.values["infer-dims"] = tuple(each & 0xFFFFFFFF for each in dims[:3])

    def old_dbscan(self, value: bytes, entry: keys.Entry, *, given: bool) -> None:
        state = self.state
        state.add_problem(keys.Reason.LEGACY, "enable-dbscan is an old name: write cluster-mode=1", entry)
        if given:
            state.add_ignored(entry, "cluster-mode")
            return
        try:
            wanted = keyfile.as_boolean(value)
        except KeyFileError as error:
            self.add_unchecked_error(error, entry)
            return
        # Only a true value makes nvinfer check for errors.
        if wanted:
            self.check_pending()
            state.values["cluster-mode"] = 1

    # Errors

    def typed(self, key: Key, value: bytes, entry: keys.Entry) -> Any:
        """The value of a key by its type; 0 where nvinfer does not check for an error."""
        try:
            found = _READERS[key.ini or key.type](value)
        except KeyFileError as error:
            if not key.unchecked:
                self.refuse(error, entry)
            self.add_unchecked_error(error, entry)
            found = 0
        if not (key.element or key.unchecked):
            self.check_pending()
        return found

    def add_unchecked_error(self, error: KeyFileError, entry: keys.Entry) -> None:
        """An error that nvinfer does not check before it reads another key."""
        self.pending = self.pending or (error, entry)
        message = f"{entry.key}: {error.message}; nvinfer does not notice and takes 0"
        self.state.add_problem(keys.Reason.UNREADABLE, message, entry)

    def value(self, reader: Callable[[bytes], Any], value: bytes, entry: keys.Entry) -> Any:
        """The value of a key of the inference context."""
        try:
            found = reader(value)
        except KeyFileError as error:
            self.refuse(error, entry)
        self.check_pending()
        return found

    def check_pending(self) -> None:
        """Refuse the config for an earlier error."""
        if self.pending is not None:
            self.refuse(*self.pending)

    def refuse(self, error: KeyFileError, entry: keys.Entry) -> Any:
        self.state.refuse(_REASONS.get(error.kind, keys.Reason.TYPE), f"{entry.key}: {error.message}", entry)

    # The groups of classes.

    def classes(self, groups: Sequence[KeyGroup]) -> list[dict[str, Any]]:
        state = self.state
        for group in groups:
            if group.name == keys.ATTRS_ALL.encode():
                self.attrs(group, state.attrs)
        count = state.class_count()
        classes = [state.attrs] * count
        for group in groups:
            if group.name.startswith(keys.ATTRS_PREFIX.encode()) and group.name != keys.ATTRS_ALL.encode():
                index = self.class_id(group, count)
                classes[index] = dict(classes[index])
                self.attrs(group, classes[index])
        return classes

    def class_id(self, group: KeyGroup, count: int) -> int:
        """The class that the digits behind "class-attrs-" name; what follows them does not matter."""
        match = _CLASS_ID.match(group.name, len(keys.ATTRS_PREFIX))
        section = section_of(group)
        if match is None or not match[0][-1:].isdigit():
            message = f"[{section.name}]: a class id or “all” must follow {keys.ATTRS_PREFIX}"
            self.state.refuse(keys.Reason.GROUP, message, section)
        index, largest = int(match[2][:21] or b"0"), 2**64 - 1
        # Too many digits are the largest number, whatever the sign.
        index = largest if index > largest else -index & largest if match[1] else index
        self.state.check_class(index, count, section)
        return index

    def attrs(self, group: KeyGroup, target: dict[str, Any]) -> None:
        """Read one class group into `target`."""
        table = known_keys(ATTRS, self.state.release, "ini")
        self.pending = None
        for pair in group.pairs:
            entry = self.last[group.name][pair.key]
            value = group.last[pair.key].value
            key = table.get(pair.key)
            if key is None:
                self.state.add_unknown(entry)
                continue
            if key.legacy:
                self.state.add_problem(keys.Reason.LEGACY, f"{key.name} is an old name: write {key.replaced_by}", entry)
            self.state.store(key, self.typed(key, value, entry), entry, target)


def name_value_pairs(known: Sequence[str], text: bytes, *, trim_first: bool) -> tuple[str, ...]:
    """The pairs of dynamic-properties after those of `text` ("a=1;b=2") were added to `known`, as "name=value".

    A name given again stays in its place with the new value. `trim_first`: as in INI, where a pair without a name or
    without a value is left out; YAML keeps it.
    """
    blanks = b" \t\n\f\r"
    pairs = dict(each.split("=", 1) for each in known)
    for piece in text.partition(b"\0")[0].split(b";") if text else ():
        name, equals, value = (piece.strip(blanks) if trim_first else piece).partition(b"=")
        name, value = name.strip(blanks), value.strip(blanks)
        if equals and (not trim_first or (name and value)):
            pairs[keys.as_text(name)] = keys.as_text(value)
    return tuple(f"{name}={value}" for name, value in pairs.items())


def entry_of(group: bytes, pair: KeyLine) -> keys.Entry:
    """A line of an INI file."""
    title, key, text = map(keys.as_text, (group, pair.key, pair.value))
    return keys.Entry(title, key, text, pair.line, pair.column, pair.line, pair.value_column)


def section_of(group: KeyGroup) -> keys.Section:
    """The first header of a group of an INI file."""
    return keys.Section(keys.as_text(group.name), group.line, group.column)


YAML_SINCE: Final = "6.1"
"""The first DeepStream release that reads YAML; older ones read such a file as INI, and fail."""
MOST_BYTES: Final = 256 * 2**20
"""A file larger than this is not read: it is no config, and would be held in memory whole."""


def form_of(path: str | os.PathLike[str], release: str = NEWEST) -> str:
    """ "yaml" or "ini": what DeepStream `release` takes the file for, by its name."""
    yaml = os.fspath(path).endswith((".yml", ".yaml")) and version(release) >= version(YAML_SINCE)
    return "yaml" if yaml else "ini"


def read(path: str | os.PathLike[str], *, release: str = NEWEST, platform: str = "dgpu") -> keys.Parsed:
    """Reads the config file `path` as nvinfer does.

    Args:
        path: an ordinary file. Paths in it are looked up on this machine, relative to its real folder.
        release: DeepStream release, "5.0" to "9.1".
        platform: "dgpu" or "jetson".

    Raises:
        InputError: not an ordinary file, unreadable, or too large to be a config.
        PresetError: no such release or platform.
    """
    return read_bytes(parsing.read_ordinary(path, "config", MOST_BYTES), path, release=release, platform=platform)


def read_bytes(
    data: bytes, path: str | os.PathLike[str], *, release: str = NEWEST, platform: str = "dgpu"
) -> keys.Parsed:
    """As `read`, for contents that are (or would be) in the file `path`, which need not exist.

    Raises:
        InputError: more keys than any config has.
        PresetError: no such release or platform.
    """
    if platform not in PLATFORMS:
        raise PresetError(f"there is no platform {platform!r}", hint="one of: " + ", ".join(PLATFORMS))
    form = form_of(path, release)
    state = keys.ParserState(os.fspath(path), form, release, platform)
    try:
        return read_ini(data, state) if form == "ini" else read_yaml(data, state)
    except parsing.TooMany as error:
        hint = "a Gst-nvinfer config has a few dozen keys; is this another file?"
        raise InputError(str(error), hint=hint, path=os.fspath(path)) from None


ELEMENT_BYTES: Final = 63
"""Bytes stored of each element of a list of names, and of classifier-type (char[64]). Behind one with so many no zero
is written, and what follows in memory is read, too."""
# op-tensor-files are written into 64 bytes each, however long they are.
_TENSOR_FILE_BYTES: Final = 64
_WHOLE_ELEMENTS: Final = "layer-device-precision"

_INFINITIES: Final = {
    **dict.fromkeys((b".inf", b".Inf", b".INF", b"+.inf", b"+.Inf", b"+.INF"), math.inf),
    **dict.fromkeys((b"-.inf", b"-.Inf", b"-.INF"), -math.inf),
    **dict.fromkeys((b".nan", b".NaN", b".NAN"), math.nan),
}
_Number = TypeVar("_Number", int, float)


def read_yaml(data: bytes, state: keys.ParserState) -> keys.Parsed:
    """Reads the YAML file with these bytes.

    Raises:
        TooMany: the file has more bytes, tokens or entries than any config.
    """
    from convert.nvinfer.yaml import YamlError, load, yaml_cpp  # PyYAML takes 40 ms to import, most configs are INI

    library = yaml_cpp(state.release)
    try:
        root = load(data, library)
    except YamlError as error:
        place = keys.Section("", error.line, error.column)
        state.add_problem(keys.Reason.SYNTAX, error.message, place, fatal=True)
        exception = f"yaml-cpp: error at line {error.line}, column {error.column}: {error.message}"
        return state.finish(keys.Verdict.ABORTS, exception=exception)
    try:
        return state.finish(keys.Verdict.ACCEPTED, _YamlReader(root, state, library).read())
    except keys.Stop as stop:
        return state.finish(stop.verdict, exception=stop.exception)


class _YamlReader:
    def __init__(self, root: Node | None, state: keys.ParserState, library: tuple[int, int]) -> None:
        self.root = root
        self.state = state
        # yaml-cpp 0.6 (include/yaml-cpp/node/convert.h, impl.h) makes no text of an empty value, and a number without
        # sign of one with a minus.
        self.is_old = library < (0, 7)
        self.groups = root.items if root is not None else []
        # Of several groups of one name, only the first is ever read.
        self.first = {name.text: group for name, group in reversed(self.groups) if name.kind == "scalar"}
        self.entries: dict[tuple[str, int, int], keys.Entry] = {}
        self.list_entries()

    def list_entries(self) -> None:
        """List all that is in the file, read or not."""
        for name, group in self.groups:
            if name.kind not in {"scalar", "null"}:
                continue
            title = keys.as_text(_string(name))
            self.state.sections.append(keys.Section(title, name.line, name.column))
            last: dict[str, keys.Entry] = {}
            for key, value in group.items:
                if key.kind not in {"scalar", "null"}:
                    continue
                # Aliases can repeat a large group any number of times.
                if len(self.state.entries) >= MOST_PAIRS:
                    raise parsing.TooMany
                text = keys.as_text(_string(value)) if value.kind in {"scalar", "null"} else ""
                name_text = keys.as_text(_string(key))
                entry = keys.Entry(title, name_text, text, key.line, key.column, value.line, value.column)
                self.entries[title, id(key), id(value)] = entry
                self.state.entries.append(entry)
                if entry.key in last:
                    self.state.ignored.append(keys.Ignored(last[entry.key], "overwritten"))
                last[entry.key] = entry

    def read(self) -> list[dict[str, Any]]:
        """Read property and, for a detector, the class groups; the values of each class."""
        state = self.state
        if self.root is not None and self.root.kind == "scalar":
            message = "the file is a single text, not a map of groups"
            state.abort(keys.Reason.SYNTAX, message, "yaml-cpp: operator[] call on a scalar")
        found = self.first.get(PROPERTY.encode())
        if found is None:
            state.refuse(keys.Reason.NO_PROPERTY, "there is no map called property")
        self.pairs(PROPERTY, found, self.property)
        detector = state.values["network-type"] in keys.NETWORKS_WITH_ATTRS
        self.list_unread(detector=detector)
        return self.classes() if detector else []

    def list_unread(self, *, detector: bool) -> None:
        names: set[str] = set()
        for section in self.state.sections:
            of_classes = section.name.startswith(keys.ATTRS_PREFIX)
            if section.name in names:
                self.state.unread.append(keys.Unread(section, "repeated"))
            elif section.name != PROPERTY and not (of_classes and detector):
                self.state.unread.append(keys.Unread(section, "network-type" if of_classes else "unknown"))
            names.add(section.name)

    def pairs(self, title: str, group: Node, read: Callable[[bytes, Node, keys.Entry], None]) -> None:
        """Pass every key of a group to `read`; a list ends the process, a lone text or nothing has no keys."""
        if group.kind == "scalar":
            message = f"{title} is a text and not a map: none of it is read (a key needs a colon and a blank)"
            self.state.add_problem(keys.Reason.NOTE, message, keys.Section(title, group.line, group.column))
        if group.kind == "seq" and group.children:
            self.abort(f"{title} is a list and not a map", "yaml-cpp: invalid node", None)
        for key, value in group.items:
            if key.kind not in {"scalar", "null"}:
                self.abort(f"a key of {title} is a list or a map", "yaml-cpp: bad conversion", None)
            entry = self.entries[title, id(key), id(value)]
            if self.is_old and key.kind == "null":
                self.abort(f"a key of {title} is empty", "yaml-cpp: bad conversion", entry)
            read(_string(key), value, entry)

    def abort(self, message: str, exception: str, entry: keys.Entry | None) -> NoReturn:
        self.state.abort(keys.Reason.TYPE, message, exception, entry)

    # The map property.

    def property(self, name: bytes, value: Node, entry: keys.Entry) -> None:
        state = self.state
        key = known_keys(PROPERTY, state.release, "yaml").get(name)
        if key is None or key.element:
            text = self.string(value, entry)
            if key is None:
                state.add_unknown(entry)
            else:
                self.element(key, text, entry)
            return
        if key.type in {"integer", "unsigned", "boolean", "float", "double"}:
            self.number(key, value, entry, state.values)
            return
        self.text(key, self.string(value, entry), entry)

    def number(self, key: Key, value: Node, entry: keys.Entry, target: dict[str, Any]) -> None:
        """A number or boolean of the inference context, or of a class, as yaml-cpp converts it."""
        kind = key.yaml or key.type
        if kind in {"float", "double"}:
            found: float = self.converted(value, entry, _double, "a decimal number")
        elif kind == "unsigned":
            convert = parsing.wrapping_unsigned if self.is_old else parsing.stream_unsigned
            found = self.converted(value, entry, convert, "a whole number without a sign")
        else:
            found = self.converted(value, entry, parsing.stream_int, "a whole number")
        if kind == "flag":
            # A 0 does not take back a 1 further up.
            found = int(bool(found) or bool(target[key.name]))
        self.state.store(key, found, entry, target)

    def text(self, key: Key, text: bytes, entry: keys.Entry) -> None:
        """A text, path or list of the inference context."""
        state = self.state
        plain = text.partition(b"\0")[0]
        if key.type == "string":
            limit = parsing.PATH_BYTES if key.name == "custom-network-config" else keys.TEXT_BYTES
            state.store(key, plain[:limit], entry, state.values)
        elif key.type == "pairs":
            state.values[key.name] = name_value_pairs(state.values[key.name], plain, trim_first=False)
        elif key.type == "string-list":
            limit = len(text) if key.name == _WHOLE_ELEMENTS else ELEMENT_BYTES
            names = tuple(piece.partition(b"\0")[0][:limit] for piece in _split(text))
            state.store(key, names, entry, state.values)
            if key.name != _WHOLE_ELEMENTS:
                self.check_bytes(names, entry)
        elif key.type == "path-list":
            paths = tuple(_split(text))
            state.store(key, paths, entry, state.values)
            long = next((path for path in paths if len(path) >= _TENSOR_FILE_BYTES), None)
            whole = (parsing.stored_path(path, state.folder) or b"" for path in paths)
            long = long or next((path for path in whole if len(path) >= _TENSOR_FILE_BYTES), None)
            if long is not None:
                message = f"{key.name}: “{keys.as_text(long)}” has {len(long)} bytes; with"
                message += f" {_TENSOR_FILE_BYTES} and more nvinfer writes over other memory"
                state.add_problem(keys.Reason.OVERRUN, message, entry)
        elif key.type == "path":
            state.store(key, plain, entry, state.values)
        else:
            self.number_list(key, text, entry, state.values)

    def check_bytes(self, names: Sequence[bytes], entry: keys.Entry) -> None:
        """Note that a name fills its buffer, and with it that what nvinfer reads has no defined end."""
        if long := next((name for name in names if len(name) >= ELEMENT_BYTES), None):
            shown = keys.as_text(long[:20])
            message = f"{entry.key}: “{shown}…” has {ELEMENT_BYTES} bytes or more: what nvinfer reads is not defined"
            self.state.add_problem(keys.Reason.OVERRUN, message, entry)

    def number_list(self, key: Key, text: bytes, entry: keys.Entry, target: dict[str, Any]) -> None:
        """infer-dims, offsets and colours: the number of elements is checked before the elements."""
        pieces = _split(text)
        self.state.check_length(key, len(pieces), entry)
        numbers: tuple[float, ...]
        if key.type == "unsigned-list":
            numbers = tuple(self.standard(parsing.std_stoul, "stoul", piece, entry) for piece in pieces)
        else:
            numbers = tuple(self.standard(parsing.std_stod, "stod", piece, entry) for piece in pieces)
        self.state.store(key, numbers, entry, target)

    def element(self, key: Key, text: bytes, entry: keys.Entry) -> None:
        """A key of the GStreamer element, as std::stoi converts it."""
        state = self.state
        if key.type == "string":
            found = text.partition(b"\0")[0][:ELEMENT_BYTES]
            state.store(key, found, entry, state.values)
            self.check_bytes((found,), entry)
        elif key.type == "id-list":
            is_set = key.name == "filter-out-class-ids"
            read, name = (parsing.std_stoul, "stoul") if is_set else (parsing.std_stoi, "stoi")
            state.store(key, [self.standard(read, name, each, entry) for each in _split(text)], entry, state.values)
        else:
            state.store(key, self.standard(parsing.std_stoi, "stoi", text, entry), entry, state.values)

    # Conversions

    def string(self, value: Node, entry: keys.Entry) -> bytes:
        """`as<std::string>`: a list or map ends the process, an empty value becomes "null"."""
        if value.kind not in {"scalar", "null"}:
            kind = "list" if value.kind == "seq" else "map"
            message = f"{entry.key} is a {kind}; lists are written with ; between the elements, without brackets"
            self.abort(message, "yaml-cpp: bad conversion", entry)
        if self.is_old and value.kind == "null":
            message = f"nothing stands behind {entry.key}, of which DeepStream {self.state.release} makes no text"
            self.abort(message, "yaml-cpp: bad conversion", entry)
        return _string(value)

    def converted(self, value: Node, entry: keys.Entry, read: Callable[[bytes], _Number], what: str) -> _Number:
        """`as<int>` and the like."""
        try:
            if value.kind == "scalar":
                return read(value.text)
        except parsing.NotANumber:
            pass
        shown = {"scalar": f"“{entry.text}”", "null": "nothing"}.get(value.kind, "no single value")
        self.abort(f"{entry.key} is {shown}, which is not {what}", "yaml-cpp: bad conversion", entry)

    def standard(self, read: Callable[[bytes], _Number], name: str, text: bytes, entry: keys.Entry) -> _Number:
        """std::stoi, stoul or stod."""
        shown = keys.as_text(text[:60])
        try:
            return read(text)
        except parsing.NotANumber:
            self.abort(f"{entry.key}: “{shown}” does not begin with a number", name, entry)
        except parsing.OutOfRange:
            self.abort(f"{entry.key}: “{shown}” is too large or too small", name, entry)

    # The maps of classes.

    def classes(self) -> list[dict[str, Any]]:
        state = self.state
        for_all = self.first.get(keys.ATTRS_ALL.encode())
        if for_all is not None:
            self.attrs(keys.ATTRS_ALL, for_all, state.attrs)
        count = state.class_count()
        classes = [state.attrs] * count
        for name, _ in self.groups:
            if name.kind != "scalar" and not (name.kind == "null" and not self.is_old):
                self.abort("a group has a list, a map or nothing as its name", "yaml-cpp: bad conversion", None)
            title = _string(name)
            if title == keys.ATTRS_ALL.encode() or not title.startswith(keys.ATTRS_PREFIX.encode()):
                continue
            index = self.class_id(title, name, count)
            classes[index] = dict(classes[index])
            first = self.first.get(title)
            if first is not None:
                self.attrs(keys.as_text(title), first, classes[index])
        return classes

    def class_id(self, title: bytes, name: Node, count: int) -> int:
        state = self.state
        section = keys.Section(keys.as_text(title), name.line, name.column)
        try:
            index = parsing.std_stoi(title.removeprefix(keys.ATTRS_PREFIX.encode()))
        except (parsing.NotANumber, parsing.OutOfRange):
            message = f"[{section.name}]: a class id or “all” must follow {keys.ATTRS_PREFIX}"
            state.abort(keys.Reason.GROUP, message, "stoi", section)
        state.check_class(index, count, section)
        return index

    def attrs(self, title: str, group: Node, target: dict[str, Any]) -> None:
        """Read one class group into `target`."""
        table = known_keys(ATTRS, self.state.release, "yaml")

        def one(name: bytes, value: Node, entry: keys.Entry) -> None:
            key = table.get(name)
            if key is None:
                self.state.add_unknown(entry)
            elif key.type == "float-list":
                self.number_list(key, self.string(value, entry), entry, target)
            else:
                self.number(key, value, entry, target)

        self.pairs(title, group, one)


def _split(text: bytes) -> list[bytes]:
    if text.count(b";") > MOST_PAIRS:
        raise parsing.TooMany
    return text.split(b";")


def _string(node: Node) -> bytes:
    return b"null" if node.kind == "null" else node.text


def _double(text: bytes) -> float:
    found = _INFINITIES.get(text)
    return parsing.stream_double(text) if found is None else found
