"""Label files as Gst-nvinfer reads them: nothing is quoted or escaped there, so some labels cannot be written.

Every non-empty line of a *classifier's* file is one output layer and is split at `;`, so all labels stand in ONE line.
A *detector's* line i names class i, up to the first `;`; empty lines are skipped, which shifts all classes behind them.
Nothing is trimmed: a CR or a byte order mark becomes part of a label. (nvdsinfer_context_impl.cpp, parseLabelsFile;
decided by running it, DeepStream 9.1.)
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from convert.errors import InputError, PresetError
from convert.nvinfer.findings import DUPLICATE_LABEL, LONG_LABEL

if TYPE_CHECKING:
    from convert.findings import Finding

__all__ = ["LABEL_BYTES", "label_file", "label_findings"]

LABEL_BYTES = 127
"""UTF-8 bytes of a label that reach the metadata: MAX_LABEL_SIZE - 1 of DeepStream's nvdsmeta.h."""

_SEPARATORS = {"one-line": ";", "one-per-line": "\n"}

_FORBIDDEN = {
    ";": "a semicolon, which separates labels",
    "\n": "a line break",
    "\r": "a carriage return",
    "\0": "a null character",
}


def label_file(labels: tuple[str, ...], form: str) -> bytes:
    """The file's bytes, UTF-8, in class order.

    Args:
        labels: without background.
        form: "one-line" for classifiers: `a;b;c` WITHOUT a newline at its end, so that readers that split at `;` and
            do not trim get the same last label as Gst-nvinfer, which accepts both; "one-per-line" for detectors, each
            line with its newline.

    Raises:
        InputError: a label cannot be expressed, or there are none.
        PresetError: no such form.
    """
    if form not in _SEPARATORS:
        raise PresetError(f"there is no label file form {form!r}", hint="one of: " + ", ".join(_SEPARATORS))
    if not labels:
        raise InputError("there are no labels", hint="give them in output order with --labels")
    for number, label in enumerate(labels, 1):
        if problem := _problem(label):
            raise InputError(
                f"label {number} {label!r} cannot be written to a label file: {problem}",
                hint="rename it in Edge Impulse, or give all labels in output order with --labels",
            )
    text = _SEPARATORS[form].join(labels)
    return (text if form == "one-line" else text + "\n").encode()


def _problem(label: str) -> str:
    if not label:
        return "it is empty, and Gst-nvinfer skips empty labels"
    if label.startswith("\ufeff"):
        return "it starts with a byte order mark"
    for character, what in _FORBIDDEN.items():
        if character in label:
            return f"it contains {what}"
    try:
        label.encode()
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    return ""


def label_findings(labels: tuple[str, ...], path: str) -> tuple[Finding, ...]:
    """What is questionable in a label file `path` that can be written."""
    found = [
        DUPLICATE_LABEL.found(f"{count} classes are called {label!r}", path=path)
        for label, count in Counter(labels).items()
        if count > 1
    ]
    found += [
        LONG_LABEL.found(f"label {number} has {size} bytes, {LABEL_BYTES} are kept: {label!r}", path=path)
        for number, label in enumerate(labels, 1)
        if (size := len(label.encode())) > LABEL_BYTES
    ]
    return tuple(found)
