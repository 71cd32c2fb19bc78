"""A config in INI form, read in the order and with the slips of Gst-nvinfer's own parser.

gstnvinfer_property_parser.cpp walks over the keys in the order of the file (a repeated key twice, each time with its
last value) and stops at the first bad one. Where it forgets to look at an error, the error waits for the next key that
the inference context reads. All of it was decided by running that parser (DeepStream 9.1).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from convert.nvinfer import keyfile
from convert.nvinfer.keyfile import ErrorKind, Group, KeyFile, KeyFileError, Pair
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
from convert.nvinfer.parse_result import Entry, Ignored, Parsed, Reason, Section, Unread, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["name_value_pairs", "read_ini"]

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


def read_ini(data: bytes, draft: Draft) -> Parsed:
    """What nvinfer makes of the file with these bytes."""
    try:
        file = KeyFile.load(data)
    except KeyFileError as error:
        reason = _REASONS.get(error.kind, Reason.SYNTAX)
        draft.say_at(reason, error.message, None, error.line, error.column, fatal=True)
        return draft.finish(Verdict.REJECTED)
    try:
        return draft.finish(Verdict.ACCEPTED, _Reader(file, draft).read())
    except Stop as stop:
        return draft.finish(stop.verdict, exception=stop.exception)


class _Reader:
    def __init__(self, file: KeyFile, draft: Draft) -> None:
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
