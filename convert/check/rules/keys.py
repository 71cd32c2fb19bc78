"""NVI009 to NVI019: keys and groups that nvinfer ignores, and values it reads as something else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from convert import files, findings
from convert.check import context as checking
from convert.check.rules.syntax import as_head, as_line, quoted, unread_numbers
from convert.nvinfer import config, targets
from convert.nvinfer.keys import ATTRS, ATTRS_ALL, NETWORKS_WITH_ATTRS, PROPERTY, Reason, key_named, keys, version

if TYPE_CHECKING:
    from convert.nvinfer.keys import Entry, Key

_STOI = re.compile(r"\s*[+-]?[0-9]+")


# --- in every file, accepted or not


@checking.on_config("NVI009", refused=True)
def unknown_key(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Keys no release has, or not here."""
    for entry in context.parsed.unknown:
        if _newer(context, entry) or entry.key == "is-classifier":
            continue
        group = quoted(entry.group if context.parsed.form == "yaml" else f"[{entry.group}]")
        message = f"nvinfer does not know the key {quoted(entry.key)} in {group}, and goes on without it"
        yield context.found(unknown_key, message, at=context.at_key(entry), hint=_meant(context, entry))


@checking.on_config("NVI010", refused=True)
def unknown_group(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Groups no element reads."""
    refused = {fault.problem.line for fault in context.faults}
    for unread in context.parsed.unread:
        name = unread.section.name
        if unread.section.line in refused:
            continue
        place = context.at(unread.section.line, unread.section.column)
        if unread.why == "repeated":
            message = f"{quoted(name)} was there before, and only the first one is read"
            yield context.found(unknown_group, message, at=place, hint="join the two")
        elif unread.why == "unknown" and (outside := _outside(context, name, unread.section.line)):
            yield context.found(unknown_group, outside[0], at=place, hint=outside[1])
        elif unread.why == "unknown":
            near = closest(name, (PROPERTY, ATTRS_ALL))
            hint = f"write {as_head(context, near)}" if near else None
            message = f"nvinfer does not read the group {quoted(as_head(context, name))}"
            yield context.found(unknown_group, message, at=place, hint=hint)


def _outside(context: checking.RuleContext, name: str, at: int) -> tuple[str, str] | None:
    """Message and hint for a key of YAML that is not indented; None: it is none."""
    if context.parsed.form != "yaml":
        return None
    word = name.partition("=")[0].strip()
    fits = [table for table in (ATTRS, PROPERTY) if key_named(word, table)]
    above = [each.name for each in context.parsed.sections if each.line < at and checking.table_of(each.name) in fits]
    if not fits or not above:
        return None
    columns = [entry.column for entry in context.parsed.entries if entry.group == above[-1]]
    blanks = (columns[0] if columns else 3) - 1
    message = f"{quoted(word)} is not indented, so it is a group of its own, which nvinfer does not read"
    return message, f"indent it by {blanks} blanks, below {as_head(context, above[-1])}"


@checking.on_config("NVI012", refused=True)
def legacy(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Old names that still work, or are ignored beside the new one."""
    for entry in context.parsed.entries:
        key = checking.key_of(entry)
        if key is None or not key.legacy or entry.key in _DEAD or context.parsed.form not in key.formats:
            continue
        if not _is_read(context, entry):
            continue
        new = key.replaced_by
        void = any(ignored.entry is entry for ignored in context.parsed.ignored) or entry in context.parsed.unknown
        if void:
            message = f"{entry.key} is ignored, because {new} is given"
            other = context.last.get((entry.group, new or ""))
            same = other is not None and other.text.strip() == new_value(entry, key)
            level = findings.Level.NOTE if same else findings.Level.WARNING
            yield context.found(legacy, message, at=context.at_key(entry), hint="remove it", level=level)
        elif new:
            message, hint = f"{entry.key} is an old name for {new}", f"write {new}"
            if key.alias == "infer-dims":
                message = f"{entry.key} is an old name for {new}; nvinfer takes the size of the input from it"
            if (value := new_value(entry, key)) is not None:
                hint = f"write {as_line(context, new, value, entry)}"
            elif entry.key == "enable-dbscan":
                hint = "remove it: without it cluster-mode is 0, too"
            yield context.found(legacy, message, at=context.at_key(entry), hint=hint)


def new_value(entry: Entry, key: Key) -> str | None:
    """What stands behind the new name of an old key; None: nothing does the same."""
    text = entry.text.strip()
    if key.type == "boolean":
        is_on = text in {"1", "true"}
        return None if key.name == "enable-dbscan" and not is_on else str(int(is_on))
    if key.alias == "infer-dims":  # channels;height;width;layout, of which only UFF models needed the last
        numbers = text.rstrip(";").split(";")
        return ";".join(each.strip() for each in numbers[:3]) if len(numbers) == 4 else None
    return entry.text


@checking.on_config("NVI013", refused=True)
def too_new(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Keys that a later release has."""
    for entry in context.parsed.unknown:
        if since := _newer(context, entry):
            message = f"{entry.key} exists since DeepStream {since}; {context.parsed.release} passes over it"
            hint = f"remove it, or use DeepStream {since}"
            yield context.found(too_new, message, at=context.at_key(entry), hint=hint)


@checking.on_config("NVI018", refused=True)
def suppression(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """`# check: ignore ...` with a misspelt id."""
    from convert.check.rules import RULES  # which this module is a part of

    for line, text in checking.read_suppressions(context.data).written:
        word = text.upper()
        if not re.fullmatch(r"EI[0-9]{3}", word) and word not in {rule.id for rule in RULES}:
            hint = "`ei-deepstream explain` lists the rules"
            yield context.found(suppression, f"there is no rule {quoted(text)}", at=context.at(line), hint=hint)


@checking.on_config("NVI016", refused=True)
def escape(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Control characters that came from a backslash."""
    if context.parsed.form != "ini":
        return
    for entry in context.parsed.entries:
        key = checking.key_of(entry)
        if (
            key is None
            or not (key.is_path or key.type == "string")
            or "\\" not in entry.text
            or not _is_read(context, entry)
        ):
            continue
        plain = entry.text.replace("\\\\", "")
        if found := re.search(r"\\[ntr]", plain):
            meaning = {"n": "a line break", "t": "a tab", "r": "a carriage return"}[found[0][1]]
            message = f"{entry.key}: {found[0]} is read as {meaning}"
            text = entry.text.replace("\\", "/" if key.is_path else "\\\\")
            hint = f"write {as_line(context, entry.key, text, entry)}"
            yield context.found(escape, message, at=context.at_value(entry), hint=hint)


@checking.on_config("NVI017", refused=True)
def yaml_value(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Conversions of the YAML parser that lose something."""
    if context.parsed.form != "yaml":
        return
    for entry in context.parsed.entries:
        key = checking.key_of(entry)
        if key is None or not _is_read(context, entry):
            continue
        message = ""
        if entry.text == "null" and (key.is_path or key.type in {"string", "string-list"}):
            message = f"nothing stands behind {entry.key}: nvinfer reads the word null"
            hint = "write a value, or remove the line"
        elif key.type in {"float-list", "id-list"} and (meant := unread_numbers(entry)):
            reads = ";".join(re.split(r"[\s,]", each.strip(), maxsplit=1)[0] for each in entry.text.split(";"))
            message = f"{entry.key}: of “{quoted(entry.text)}” nvinfer reads {quoted(reads)}"
            hint = f"write {as_line(context, entry.key, meant, entry)}"
            if ";" in entry.text:  # decimal commas, perhaps
                hint = "write ; between the numbers, and a point in them"
        elif key.element and key.type not in {"string", "id-list"} and not _STOI.fullmatch(entry.text):
            read = _STOI.match(entry.text)
            message = f"{entry.key}: of “{quoted(entry.text)}” nvinfer reads {read[0].strip()}" if read else ""
            hint = f"write {as_line(context, entry.key, read[0].strip(), entry)}" if read else ""
        if message:
            yield context.found(yaml_value, message, at=context.at_value(entry), hint=hint)
    for problem in context.parsed.problems:
        if problem.reason is Reason.OVERRUN:
            place = context.at(problem.line, problem.column)
            is_path = problem.key == "op-tensor-files"
            hint = "use a shorter path" if is_path else f"use at most {config.ELEMENT_BYTES - 1} bytes"
            yield context.found(yaml_value, problem.message, at=place, hint=hint)


# --- in accepted configs


@checking.on_config("NVI011")
def unread_attrs(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """[class-attrs-*] of a classifier."""
    for unread in context.parsed.unread:
        if unread.why == "network-type":
            message = f"{quoted(as_head(context, unread.section.name))} is not read: network-type is {context.kind}"
            place = context.at(unread.section.line, unread.section.column)
            hint, level = "remove the group", findings.Level.NOTE
            if context.kind == checking.CLASSIFIER:
                level = level if context.given("classifier-threshold") else findings.Level.WARNING
                hint += f"; a classifier has classifier-threshold in {as_head(context, PROPERTY)}"
            elif checking.wants_instances(context):
                level = findings.Level.WARNING
                hint = f"write {as_line(context, 'network-type', int(checking.INSTANCES))}"
            yield context.found(unread_attrs, message, at=place, hint=hint, level=level)


@checking.on_config("NVI014")
def needs(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Keys whose partner is missing; a locale's keys; what mean-file wins over."""
    for ignored in context.parsed.ignored:
        if ignored.why == "locale":
            message = f"{quoted(ignored.entry.key)} is a key for another language; nvinfer never sees it"
            yield context.found(needs, message, at=context.at_key(ignored.entry))
    for key in _with_needs():
        missing = [each for each in key.needs if not context.value(each)]
        if missing and context.given(key.name) and context.value(key.name):
            message, partner = f"{key.name} does nothing without {' and '.join(missing)}", key_named(missing[0])
            is_switch = partner is not None and partner.type in {"boolean", "integer"}
            other = f"write {as_line(context, missing[0], 1)}" if is_switch else f"give {missing[0]}, too"
            yield context.found(needs, message, key=key.name, hint=f"remove it, or {other}")
    if context.given("offsets") and context.value("mean-file", ""):
        yield context.found(needs, "offsets are ignored, because mean-file is given", key="offsets", hint="remove them")


@checking.on_config("NVI015")
def not_for_type(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Keys of another network-type or process-mode."""
    advice = files.load_toml("nvinfer/advice.toml")
    types = advice["types"]
    for entry in context.last.values():
        if entry.group != PROPERTY:
            continue
        kinds = advice["only"].get(entry.key)
        is_other = kinds and context.kind not in kinds and str(context.kind) in types
        if is_other and _is_read(context, entry):
            meant = " and ".join(types[str(kind)] for kind in kinds)
            message = f"{entry.key} is for {meant}; network-type is {context.kind}"
            if checking.INSTANCES in kinds and checking.wants_instances(context):
                continue  # reported by the rule on instance masks
            yield context.found(not_for_type, message, at=context.at_key(entry), hint="remove it")
        elif entry.key in advice["secondary"]["keys"] and not context.is_secondary:
            message = f"{entry.key} is for secondary engines; process-mode is 1, whole frames"
            hint = f"remove it, or write {as_line(context, 'process-mode', 2)} if it looks at another engine's objects"
            level = findings.Level.NOTE if entry.key.startswith("input-object") else findings.Level.WARNING
            yield context.found(not_for_type, message, at=context.at_key(entry), hint=hint, level=level)


@checking.on_config("NVI019")
def no_effect(context: checking.RuleContext) -> Iterator[findings.Finding]:
    """Keys whose code is gone."""
    for entry in context.last.values():
        until = targets.catalogue().keys_work_until.get(entry.key) if entry.group == PROPERTY else None
        if until is not None and version(context.parsed.release) > version(until) and _is_read(context, entry):
            release = context.parsed.release
            message = f"{entry.key} had an effect up to DeepStream {until}; {release} reads it and no more"
            level, hint = findings.Level.NOTE, "remove it"
            if entry.key in _DEAD and not (entry.key in _OF_UFF and not context.value("uff-file", "")):
                level, hint = findings.Level.WARNING, "only ONNX models are built: convert the model"
            yield context.found(no_effect, message, at=context.at_key(entry), hint=hint, level=level)


_OF_UFF: Final = frozenset({"uff-input-order", "uff-input-blob-name"})  # of no meaning to other models
_DEAD: Final = frozenset({"model-file", "proto-file", "uff-file", "uff-input-order", "uff-input-blob-name"})


@cache
def _with_needs() -> tuple[Key, ...]:
    """Keys of [property] that need another one; those that need a library have a rule of their own."""
    return tuple(key for key in keys() if key.group == PROPERTY and key.needs and "custom-lib-path" not in key.needs)


def _newer(context: checking.RuleContext, entry: Entry) -> str | None:
    """The release that has the key, when it is a later one."""
    key = checking.key_of(entry)
    if key is None or key.since is None or version(key.since) <= version(context.parsed.release):
        return None
    return key.since


def _meant(context: checking.RuleContext, entry: Entry) -> str | None:
    table = checking.table_of(entry.group)
    other = ATTRS if table == PROPERTY else PROPERTY
    if (key := checking.key_of(entry)) is not None and context.parsed.form not in key.formats:
        if not key.replaced_by:
            return "remove it: YAML configs do not have it"
        value = new_value(entry, key)
        new = key.replaced_by if value is None else as_line(context, key.replaced_by, value, entry)
        return f"write {new} instead; YAML configs do not have this one"
    if found := key_named(entry.key, other):
        if other == ATTRS and context.values and context.kind not in NETWORKS_WITH_ATTRS:
            return "remove it"
        later, text = found.replaced_by, new_value(entry, found)
        line = (
            as_line(context, later, text, entry) if later and text else as_line(context, entry.key, entry.text, entry)
        )
        return f"write {line} below {as_head(context, PROPERTY if other == PROPERTY else ATTRS_ALL)} instead"
    name, equals, value = entry.key.partition("=")
    if context.parsed.form == "yaml" and equals and key_named(name.strip(), table or ""):
        return f"write {as_line(context, name.strip(), value.strip(), entry)}"
    given = {each.key for each in context.parsed.entries if each.group == entry.group}
    here = [key.name for key in keys() if key.group == table and key.exists_in(context.parsed.release)]
    here = [each for each in here if each not in given]
    near = closest(entry.key, here)
    return f"write {as_line(context, near, entry.text, entry)}" if near else None


def closest(name: str, names: Iterable[str], cutoff: float = 0.75) -> str | None:
    """The one of `names` that looks most like `name`, marks between words left out; None: none is like it enough."""
    plain = {each.replace("-", "").lower(): each for each in names}
    from difflib import get_close_matches  # few configs need it

    found = get_close_matches(name.strip().replace("-", "").replace("_", "").lower()[:100], plain, n=1, cutoff=cutoff)
    return plain[found[0]] if found else None


def _is_read(context: checking.RuleContext, entry: Entry) -> bool:
    """Whether the entry is in a group nvinfer reads."""
    return entry.group == PROPERTY or entry.group not in context.unread
