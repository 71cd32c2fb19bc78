"""One label for each class, in the order of the outputs; a detector has none for background.

Edge Impulse's lists for detectors do not contain the background, which some models count as a class of their own; the
`labels.txt` of an OpenMV export and lists typed by hand may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.errors import InputError, UnsupportedModelError
from convert.graph.findings import BACKGROUND_LABEL, GENERIC_LABELS

if TYPE_CHECKING:
    from convert.artifacts import Export
    from convert.findings import Finding

__all__ = ["class_labels", "detector_labels"]

_BACKGROUND = {"background", "__background__", "_background_", "_background"}


def class_labels(export: Export, classes: int) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """The labels of `classes` columns, made up where the export has none.

    Raises:
        UnsupportedModelError: one column.
        InputError: the number of labels is another.
    """
    labels = export.metadata.labels
    if classes == 1:
        named = f" for the labels {', '.join(labels)}" if labels and len(labels) > 1 else ""
        raise UnsupportedModelError(
            f"the model gives a single number{named}: Gst-nvinfer's classifier picks the largest of several outputs",
            hint="export it with one output for each class and a softmax (Edge Impulse's own classifiers have both)",
        )
    if labels is None:
        generic = tuple(f"class{index}" for index in range(classes))
        message = f"no labels found: the {classes} classes are called {generic[0]} to {generic[-1]}"
        return generic, (GENERIC_LABELS.found(message, hint="give them in the order of training with --labels"),)
    if len(labels) != classes:
        raise InputError(
            f"the export has {_counted(labels)} ({', '.join(labels)}), the model has {classes} outputs",
            hint="give the labels of this model, in the order of training, with --labels",
        )
    return labels, ()


def detector_labels(export: Export, classes: int) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """One label for each of `classes`, and what had to be assumed.

    Args:
        export: its metadata has the labels, if any.
        classes: what the model tells apart, without background; at least 1.

    Raises:
        InputError: there are more, or fewer, labels than classes.
    """
    labels = export.metadata.labels
    if labels is None:
        generic = tuple(f"class{index}" for index in range(classes))
        named = "class is called class0" if classes == 1 else f"{classes} classes are called class0 to {generic[-1]}"
        message = f"no labels found: the {named}"
        return generic, (GENERIC_LABELS.found(message, hint="give them in the order of training with --labels"),)
    if len(labels) == classes:
        return labels, ()
    if len(labels) == classes + 1 and labels[0].strip().lower() in _BACKGROUND:
        message = f"the label {labels[0]!r} stands for no object and was left out"
        return labels[1:], (BACKGROUND_LABEL.found(message),)
    background = ""
    if len(labels) == classes + 1 and any(label.strip().lower() in _BACKGROUND for label in labels):
        background = "; background belongs in front of the others, or nowhere"
    raise InputError(
        f"the export has {_counted(labels)} ({', '.join(labels)}), the model detects "
        f"{classes} {'class' if classes == 1 else 'classes'}",
        hint=f"give the labels of this model, in the order of training, with --labels{background}",
    )


def _counted(labels: tuple[str, ...]) -> str:
    return "1 label" if len(labels) == 1 else f"{len(labels)} labels"
