"""The classifier rule, and what of it reaches the frame."""

from __future__ import annotations

import math

import numpy as np
import pytest

from convert.errors import InputError, UnsupportedModelError
from convert.images.scaling import Network
from convert.simulate.decode import Classification, Classified, Decoded, decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import NetworkType, Settings

NETWORK = Network(3, 96, 96)
LABELS = (("fox", "owl", "elk"),)


def _decode(*rows: list[float], threshold: float = 0.0, why: bool = False) -> tuple[Classified, ...]:
    settings = Settings(NetworkType.CLASSIFIER, labels=LABELS, classifier_threshold=threshold)
    return _frames(decode(settings, NETWORK, [Layer.of("y", np.array(rows, np.float32))], why=why))


def _frames(decoded: Decoded) -> tuple[Classified, ...]:
    assert decoded.failure == ""
    frames = [frame for frame in decoded.frames if isinstance(frame, Classified)]
    return tuple(frames)


def test_the_first_of_equal_maxima_counts() -> None:
    (frame,) = _decode([0.25, 0.5, 0.5])
    assert frame.attributes == (Classification(1, 0, 1, 0.5, "owl"),)
    assert frame.label == "owl "
    assert frame.attached


@pytest.mark.parametrize(("probability", "counts"), [(0.5, False), (float(np.nextafter(np.float32(0.5), 1)), True)])
def test_the_threshold_is_strict(probability: float, counts: bool) -> None:
    (frame,) = _decode([probability, 0.1, 0.1], threshold=0.5)
    assert frame.attached is counts


@pytest.mark.parametrize("row", [[0, 0, 0], [-1, -2, -3], [math.nan] * 3, [-math.inf, -0.0, math.nan]])
def test_nothing_at_or_below_0_counts(row: list[float]) -> None:
    (frame,) = _decode(row)
    assert frame == Classified((), "")
    assert not frame.attached


def test_0_does_not_count_below_any_threshold() -> None:
    """nvinfer's maximum starts at 0."""
    assert _decode([0.0, -0.5, -0.75], threshold=-1.0) == (Classified((), ""),)


def test_nan_does_not_hide_others() -> None:
    (frame,) = _decode([math.nan, 0.3, 0.2])
    assert [one.class_id for one in frame.attributes] == [1]


def test_infinity_counts() -> None:
    (frame,) = _decode([0.5, math.inf, math.inf])
    assert frame.attributes[0].class_id == 1


def test_why_a_class_does_not_count() -> None:
    (frame,) = _decode([0.2, 0.45, math.nan], threshold=0.5, why=True)
    (drop,) = frame.dropped
    assert (drop.key, drop.class_id) == ("classifier-threshold", 1)
    assert drop.why == "probability 0.45 is not above classifier-threshold=0.5"


def test_why_nothing_is_attached_without_a_label() -> None:
    settings = Settings(NetworkType.CLASSIFIER, labels=(("fox",), ("owl",)))
    output = Layer.of("y", np.array([[0.1, 0.9]], np.float32))
    (frame,) = _frames(decode(settings, NETWORK, [output], why=True))
    assert frame.attributes[0].label is None
    assert not frame.attached
    assert frame.dropped[0].why == "the label file has no label for class 1 in line 1"


def test_an_empty_label_is_attached() -> None:
    settings = Settings(NetworkType.CLASSIFIER, labels=(("", "owl"),))
    (frame,) = _frames(decode(settings, NETWORK, [Layer.of("y", np.array([[0.9, 0.1]], np.float32))]))
    assert (frame.label, frame.attached) == (" ", True)


def test_numbers_of_another_type_are_read_as_float32() -> None:
    """0.75 as float32 is 0x3F400000: that is what nvinfer finds in an int32 output with this number."""
    settings = Settings(NetworkType.CLASSIFIER, labels=LABELS)
    bits = np.array([[0, 0x3F400000, -1]], np.int32)
    (frame,) = _frames(decode(settings, NETWORK, [Layer.of("y", bits)]))
    assert frame.attributes == (Classification(1, 0, 1, 0.75, "owl"),)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float16])
def test_smaller_types_are_read_over_their_end(dtype: type) -> None:
    settings = Settings(NetworkType.CLASSIFIER)
    with pytest.raises(
        InputError, match=r"^output 'y' holds [24] float32 .* nvinfer reads 8: what lies behind is not known$"
    ):
        decode(settings, NETWORK, [Layer.of("y", np.ones((2, 8), dtype))])


def test_why_a_class_is_not_shown_only_where_it_is_asked() -> None:
    layers = [Layer.of("y", np.zeros((1, 3), np.float32))]
    for why in (False, True):
        found = decode(Settings(NetworkType.CLASSIFIER), NETWORK, layers, why=why)
        (frame,) = _frames(found)
        assert len(frame.dropped) == why
        assert not found.nan_scores
    assert decode(Settings(NetworkType.CLASSIFIER), NETWORK, layers).frames[0].dropped == ()


def test_outputs_of_different_batches() -> None:
    settings = Settings(NetworkType.CLASSIFIER)
    outputs = [Layer.of(f"y{n}", np.ones((n, 3), np.float32)) for n in (1, 2)]
    with pytest.raises(InputError, match=r"^the outputs do not belong to one batch \(frames: 'y1' 1, 'y2' 2\)$") as e:
        decode(settings, NETWORK, outputs)
    assert e.value.hint == "a model whose output keeps batch 1 gives frame 2 and later what happens to lie in memory"


def test_no_outputs() -> None:
    with pytest.raises(InputError, match=r"^the outputs do not belong to one batch \(frames: none\)$"):
        decode(Settings(NetworkType.CLASSIFIER), NETWORK, [])


class TestStockFunction:
    """NvDsInferClassiferParseCustomSoftmax has labels of its own."""

    def _decode(self, *numbers: list[float]) -> Classified:
        settings = Settings(
            NetworkType.CLASSIFIER,
            labels=(("a", "b", "c", "d", "e", "f", "g"), ("x", "y")),
            classifier_parser="NvDsInferClassiferParseCustomSoftmax",
        )
        outputs = [Layer.of(f"y{i}", np.array([row], np.float32)) for i, row in enumerate(numbers)]
        (frame,) = _frames(decode(settings, NETWORK, outputs))
        return frame

    def test_its_labels_go_before_the_files(self) -> None:
        labels = "coupe1", "largevehicle1", "sedan1", "suv1", "truck1", "van1"
        for place, label in enumerate(labels):
            assert self._decode([float(number == place) for number in range(6)]).label == f"{label} "

    def test_the_file_helps_out(self) -> None:
        assert self._decode([0, 0, 0, 0, 0, 0, 1]).label == "g "

    def test_labels_from_the_file_come_last(self) -> None:
        frame = self._decode([0, 0, 0, 0, 0, 0, 1], [0, 1])
        assert [one.label for one in frame.attributes] == ["g", "y"]
        assert self._decode([1, 0], [0, 1]).label == "coupe1 y "

    def test_another_function_is_refused(self) -> None:
        settings = Settings(NetworkType.CLASSIFIER, classifier_parser="Mine")
        with pytest.raises(
            UnsupportedModelError, match=r"^there is no function Mine in libnvds_infercustomparser\.so: "
        ) as e:
            decode(settings, NETWORK, [Layer.of("y", np.ones((1, 3), np.float32))])
        assert e.value.hint == "one of NvDsInferClassiferParseCustomSoftmax"
