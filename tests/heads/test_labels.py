"""Labels beside the classes of a model: what is taken, what is made up, what is left out and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from convert.errors import InputError, UnsupportedModelError
from convert.heads.base import class_labels, detector_labels
from tests.heads.synthetic import fake_export

HINT = "give the labels of this model, in the order of training, with --labels"
INFRONT = f"{HINT}; background belongs in front of the others, or nowhere"


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (1, ("class0",), "no labels found: the class is called class0"),
        (3, ("class0", "class1", "class2"), "no labels found: the 3 classes are called class0 to class2"),
    ],
)
def test_labels_of_a_detector_that_has_none(classes: int, labels: tuple[str, ...], message: str) -> None:
    export = fake_export("fomo")
    found, (finding,) = detector_labels(export, classes)
    assert (found, finding.id, finding.message) == (labels, "EI301", message)
    assert finding.hint == "give them in the order of training with --labels"
    _, (told,) = detector_labels(replace(export, labels_hint="labels.txt has 9 lines"), classes)
    assert "labels.txt has 9 lines" in str(told.hint)


def test_labels_of_a_classifier_that_has_none() -> None:
    found, (finding,) = class_labels(fake_export("classifier"), 2)
    assert found == ("class0", "class1")
    assert finding.message == "no labels found: the 2 classes are called class0 to class1"


@pytest.mark.parametrize("background", ["background", " Background ", "__background__", "_background_", "_background"])
def test_background_in_front_stands_for_no_object(background: str) -> None:
    found, (finding,) = detector_labels(fake_export("fomo", (background, "a", "b")), 2)
    assert (found, finding.id) == (("a", "b"), "EI350")
    assert finding.message == f"the label {background!r} of the export stands for no object and was left out"
    assert detector_labels(fake_export("fomo", (background, "a")), 2) == ((background, "a"), ())


@pytest.mark.parametrize(
    ("labels", "classes", "message", "hint"),
    [
        (("a",), 2, "the export has 1 label (a), the model detects 2 classes", HINT),
        (("a", "b", "c"), 1, "the export has 3 labels (a, b, c), the model detects 1 class", HINT),
        (("a", "background"), 1, "the export has 2 labels (a, background), the model detects 1 class", INFRONT),
        (("background", "a", "b"), 1, "the export has 3 labels (background, a, b), the model detects 1 class", HINT),
        (("ground", "a"), 1, "the export has 2 labels (ground, a), the model detects 1 class", HINT),
    ],
)
def test_labels_that_are_not_as_many(labels: tuple[str, ...], classes: int, message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        detector_labels(fake_export("fomo", labels), classes)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(("labels", "named"), [(None, ""), (("yes",), ""), (("no", "yes"), " for the labels no, yes")])
def test_a_single_number_for_several_labels(labels: tuple[str, ...] | None, named: str) -> None:
    with pytest.raises(UnsupportedModelError, match=rf"^the model gives a single number{named}: Gst-nvinfer's "):
        class_labels(fake_export("classifier", labels), 1)


@pytest.mark.parametrize("labels", [("a",), ("a", "b", "c")])
def test_labels_of_a_classifier_that_are_not_as_many(labels: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        class_labels(fake_export("classifier", labels), 2)
    count = "1 label" if len(labels) == 1 else "3 labels"
    assert caught.value.message == f"the export has {count} ({', '.join(labels)}), the model has 2 outputs"
    assert caught.value.hint == HINT
