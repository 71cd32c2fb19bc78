"""NVI060 to NVI069: the label file, which nvinfer reads literally, and differently for each network-type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from convert.check.context import CLASSIFIER, DETECTOR, INSTANCES, Labels, Place, RuleContext, on_config
from convert.check.rules.syntax import BOM, as_line, quoted
from convert.findings import Finding, Level
from convert.nvinfer.keys import LABEL_BYTES

_ONE_NAME_A_LINE: Final = frozenset({DETECTOR, INSTANCES})
_WITH_LABELS: Final = frozenset({DETECTOR, CLASSIFIER, INSTANCES})


def _labels(context: RuleContext) -> Labels | None:
    """The labels, where nvinfer reads them and there are any."""
    return context.labels if context.labels and context.labels.entries else None


@on_config("NVI060")
def no_labels(context: RuleContext) -> Iterator[Finding]:
    """labelfile-path left out, or an empty file."""
    if context.kind not in _WITH_LABELS:
        return
    silent = context.kind == CLASSIFIER and not context.function
    effect = "no class has a label, so no metadata is attached" if silent else "objects have no names"
    level = Level.ERROR if silent else Level.WARNING
    if context.value("output-tensor-meta"):
        level = Level.NOTE  # the application may read the outputs themselves
    labels = context.labels
    if not context.value("labelfile-path", ""):
        hint = f"write {as_line(context, 'labelfile-path', 'labels.txt')}, a file with {_wanted(context)}"
        yield context.found(no_labels, f"labelfile-path is not given: {effect}", hint=hint, level=level)
    elif labels is not None and not labels.entries:
        message, hint = f"the label file is empty: {effect}", f"write {_wanted(context)} into it"
        yield context.found(no_labels, message, at=Place(labels.shown), hint=hint, level=level)


def _wanted(context: RuleContext) -> str:
    """What the label file must hold, in words."""
    count = context.value("num-detected-classes")
    if context.kind != CLASSIFIER:
        return f"{count} labels, one a line" if count else "one label a line"
    outputs = context.model.outputs if context.model else ()
    dims = outputs[0].dims if len(outputs) == 1 else None
    several = f"{dims[1]} labels" if dims and len(dims) > 1 and isinstance(dims[1], int) else "all labels"
    return f"{several} in one line, with ; between"


@on_config.about(_labels, "NVI061")
def one_a_line(context: RuleContext, labels: Labels) -> Iterator[Finding]:
    """A detector's label file for a classifier."""
    if context.kind != CLASSIFIER or context.function:
        return
    if _is_one_a_line(context, labels):
        count = len(labels.entries)
        message = f"{count} lines with one label each: nvinfer takes them for {count} outputs, and labels class 0 only"
        names = [names[0].rstrip("\r") for _, names in labels.entries[:3]] + (["..."] if count > 3 else [])
        hint = f"write one line: {quoted(';'.join(names))}"
        yield context.found(one_a_line, message, at=Place(labels.shown, labels.entries[0][0], 1), hint=hint)


@on_config.about(_labels, "NVI062")
def several_a_line(context: RuleContext, labels: Labels) -> Iterator[Finding]:
    """A classifier's label file for a detector."""
    if context.kind not in _ONE_NAME_A_LINE:
        return
    several = [(line, names) for line, names in labels.entries if len(_plain(names)) > 1]
    if several:
        line, names = several[0]
        message = f"of “{quoted(';'.join(names))}” only “{quoted(names[0])}” is used, for class "
        message += str([number for number, _ in labels.entries].index(line))
        level = Level.ERROR if _is_one_line(labels) else Level.WARNING
        place = Place(labels.shown, line, 1)
        yield context.found(several_a_line, message, at=place, hint="one label a line", level=level)


@on_config("NVI063")
def counts(context: RuleContext) -> Iterator[Finding]:
    """num-detected-classes, labels and head."""
    if context.kind in _ONE_NAME_A_LINE:
        yield from _counts_of_detector(context)
    elif context.kind == CLASSIFIER and not context.function:
        yield from _counts_of_classifier(context)


@on_config.about(_labels, "NVI064")
def carriage_return(context: RuleContext, labels: Labels) -> Iterator[Finding]:
    """Windows line ends."""
    if b"\r" not in labels.data:
        return
    lines = [number for number, text in enumerate(labels.data.split(b"\n"), 1) if b"\r" in text]
    count = f"{len(lines)} lines end" if len(lines) > 1 else "a line ends"
    message = f"{count} in a carriage return, which becomes part of the label"
    yield context.found(carriage_return, message, at=Place(labels.shown, lines[0], 1), hint="save with Unix line ends")


@on_config.about(_labels, "NVI065")
def encoding(context: RuleContext, labels: Labels) -> Iterator[Finding]:
    """Byte order marks and other encodings."""
    if labels.data.startswith(BOM):
        message = "the file begins with a byte order mark, which becomes part of the first label"
        yield context.found(encoding, message, at=Place(labels.shown, 1, 1), hint="save without it")
    try:
        labels.data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = labels.data.count(b"\n", 0, error.start) + 1
        yield context.found(encoding, "the file is not UTF-8", at=Place(labels.shown, line, 1), hint="save as UTF-8")


@on_config.about(_labels, "NVI066")
def empty_line(context: RuleContext, labels: Labels) -> Iterator[Finding]:
    """Gaps between labels."""
    if context.kind == CLASSIFIER:
        return
    last = labels.entries[-1][0]
    empty = sorted(set(range(1, last)) - {line for line, _ in labels.entries})
    if empty:
        message = f"line {empty[0]} is empty; nvinfer skips it, and the labels behind it move up"
        yield context.found(empty_line, message, at=Place(labels.shown, empty[0], 1), hint="remove it")


@on_config.about(_labels, "NVI067")
def blanks(context: RuleContext, labels: Labels) -> Iterator[Finding]:
    """Labels that begin or end in a blank."""
    for line, names in labels.entries:
        odd = [name for name in names if name.rstrip("\r").strip(" \t") != name.rstrip("\r")]
        if odd:
            message = f"the label is “{quoted(odd[0].rstrip(chr(13)))}”, blanks and all"
            yield context.found(blanks, message, at=Place(labels.shown, line, 1), hint="remove the blanks")
            return


@on_config.about(_labels, "NVI068")
def long_label(context: RuleContext, labels: Labels) -> Iterator[Finding]:
    """More than the metadata holds."""
    for line, names in labels.entries:
        for name in names if context.kind == CLASSIFIER else names[:1]:
            if (size := len(name.encode())) > LABEL_BYTES:
                message = f"“{quoted(name)}” has {size} bytes; {LABEL_BYTES} are kept"
                yield context.found(long_label, message, at=Place(labels.shown, line, 1))
                return


@on_config.about(_labels, "NVI069")
def duplicate(context: RuleContext, labels: Labels) -> Iterator[Finding]:
    """The same name twice: for a classifier within a line, for a detector anywhere."""
    if context.kind == CLASSIFIER:
        sets = [(line, _plain(names)) for line, names in labels.entries]
    else:
        sets = [(line, (names[0],)) for line, names in labels.entries]
        sets = [(sets[0][0], tuple(names[0] for _, names in sets))] if sets else []
    for line, names in sets:
        for name, count in Counter(names).items():
            if count > 1 and "\N{REPLACEMENT CHARACTER}" not in name:  # other bytes may differ
                message = f"{count} classes are called “{quoted(name)}”"
                yield context.found(duplicate, message, at=Place(labels.shown, line, 1))
                return


def _counts_of_detector(context: RuleContext) -> Iterator[Finding]:
    classes, labels = context.value("num-detected-classes"), _labels(context)
    if classes and labels is not None and not _is_one_line(labels) and len(labels.entries) != classes:
        have = len(labels.entries)
        nameless = f"class {have} has" if have == classes - 1 else f"classes {have} to {classes - 1} have"
        effect = f"{nameless} no name" if have < classes else "are there classes that are dropped, or a background?"
        message = f"num-detected-classes is {classes}, {context.files['labelfile-path'].text} has {have} label"
        message += f"{'s' if have != 1 else ''}: {effect}"
        yield context.found(counts, message, key="num-detected-classes")
    head = _cov(context)
    if classes and head is not None and head != classes:
        dropped = f"objects of classes {classes} to {head - 1} are dropped"
        effect = dropped if head > classes else "the others never occur"
        message = f"num-detected-classes is {classes}, the model computes {head}: {effect}"
        level = Level.ERROR if head > classes else Level.WARNING
        hint = f"write {as_line(context, 'num-detected-classes', head)}"
        yield context.found(counts, message, key="num-detected-classes", level=level, hint=hint)


def _counts_of_classifier(context: RuleContext) -> Iterator[Finding]:
    labels = _labels(context)
    if labels is None or context.model is None or _is_one_a_line(context, labels):
        return
    for output, (line, names) in zip(context.model.outputs, labels.entries, strict=False):
        if output.dims is None or len(output.dims) < 2 or not isinstance(output.dims[1], int):
            continue
        classes, have = output.dims[1], len(_plain(names))
        if classes in {1, have}:
            continue  # one class: reported by the rule on the output's shape
        effect = "those without a label attach nothing" if have < classes else "the names may be shifted"
        message = f"the output {quoted(output.name)} has {classes} classes, the line has {have} labels: {effect}"
        level = Level.ERROR if have < classes else Level.WARNING
        yield context.found(counts, message, at=Place(labels.shown, line, 1), level=level)


def _cov(context: RuleContext) -> int | None:
    """Classes of the built-in detector parser's coverage output, where it is used and known."""
    if context.model is None or context.kind != DETECTOR or context.function:
        return None
    found = [each for each in context.model.outputs if "cov" in each.name and each.dims and len(each.dims) == 4]
    channels = found[-1].dims[1] if found and found[-1].dims else None
    return channels if isinstance(channels, int) else None


def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    """Labels of a line without the empty one behind a `;` at its end."""
    return names[:-1] if len(names) > 1 and names[-1] in {"", "\r"} else names


def _is_one_a_line(context: RuleContext, labels: Labels) -> bool:
    """Whether a classifier's labels are written one a line (a network with as many outputs as lines may want it so)."""
    lines = len(labels.entries)
    outputs = len(context.model.outputs) if context.model else 1
    return lines > outputs and all(len(_plain(names)) == 1 for _, names in labels.entries)


def _is_one_line(labels: Labels) -> bool:
    return len(labels.entries) == 1 and len(_plain(labels.entries[0][1])) > 1
