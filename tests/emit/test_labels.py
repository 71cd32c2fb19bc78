"""Label files: what Gst-nvinfer reads back is what was meant, or there is no file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.emit.files import label_file, label_findings
from convert.errors import InputError, PresetError
from convert.findings import Level
from convert.nvinfer.keys import LABEL_BYTES

FORMS = ["one-line", "one-per-line"]


def as_nvinfer_reads(data: bytes) -> list[list[str]]:
    """Its parseLabelsFile: lines that are not empty, each split at `;`; a last empty piece does not count."""
    lines = [line for line in data.decode().split("\n") if line]
    return [line.removesuffix(";").split(";") for line in lines]


awkward = st.lists(st.text(st.sampled_from(" ab;,\n\r\0\t\"'é€🙂\ufeff\u2028"), max_size=4), max_size=4)


@given(awkward)
def test_a_classifier_reads_its_labels_back(labels: list[str]) -> None:
    try:
        data = label_file(tuple(labels), "one-line")
    except InputError:
        assert not labels or any(not label or set(label) & set(";\n\r\0") or label[0] == "\ufeff" for label in labels)
        return
    assert as_nvinfer_reads(data) == [labels]
    assert b"\n" not in data


@given(awkward)
def test_a_detector_reads_its_labels_back(labels: list[str]) -> None:
    try:
        data = label_file(tuple(labels), "one-per-line")
    except InputError:
        return
    assert [line[0] for line in as_nvinfer_reads(data)] == labels
    assert data.endswith(b"\n")
    assert not data.endswith(b"\n\n")


def test_a_classifier_has_one_line_without_an_end() -> None:
    assert label_file(("good", "very bad", "Äpfel"), "one-line") == "good;very bad;Äpfel".encode()


def test_a_detector_has_one_line_per_label() -> None:
    assert label_file(("good", "very bad"), "one-per-line") == b"good\nvery bad\n"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("", "it is empty, and Gst-nvinfer skips empty labels"),
        ("a;b", "it contains a semicolon, which separates labels"),
        ("a\nb", "it contains a line break"),
        ("a\r", "it contains a carriage return"),
        ("a\0b", "it contains a null character"),
        ("\ufeffa", "it starts with a byte order mark"),
        ("\ufeffa;", "it starts with a byte order mark"),
        ("a\udcff", "it is not valid Unicode"),
        ("a\udcff;", "it contains a semicolon, which separates labels"),
    ],
)
def test_what_cannot_be_expressed_is_named(form: str, label: str, why: str) -> None:
    with pytest.raises(InputError) as caught:
        label_file(("fine", label), form)
    assert caught.value.hint == "rename it in Edge Impulse, or give all labels in output order with --labels"
    message = f"label 2 {label!r} of the export cannot be written to a label file: {why}"
    assert caught.value.message == message
    caught.value.message.encode()  # may be printed


def test_no_labels_is_an_error() -> None:
    with pytest.raises(InputError, match=r"^there are no labels$") as caught:
        label_file((), "one-line")
    assert caught.value.hint == "give them in output order with --labels"


def test_an_unknown_form_is_an_error() -> None:
    with pytest.raises(PresetError, match=r"^there is no label file form 'one-colum'$") as caught:
        label_file(("a",), "one-colum")
    assert caught.value.hint == "one of: one-line, one-per-line"


def test_the_same_label_twice_is_found_once() -> None:
    (found,) = label_findings(("a", "b", "a", "c", "a"), "x_labels.txt")
    assert (found.id, found.level, found.path) == ("EI500", Level.WARNING, "x_labels.txt")
    assert found.message.startswith("3 classes are called 'a'")


def test_a_label_longer_than_the_metadata_is_found() -> None:
    fits, cut = "é" * (LABEL_BYTES // 2), "é" * (LABEL_BYTES // 2 + 1)
    (found,) = label_findings((fits, cut, "x" * LABEL_BYTES), "x_labels.txt")
    assert found.id == "EI501"
    assert found.message.startswith(f"label 2 has {len(cut.encode())} bytes")
