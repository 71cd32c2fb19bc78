"""Which parser runs, what is refused by name, and why candidates fall out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError, UnsupportedModelError
from convert.images.scaling import Network
from convert.simulate.decode import PARSERS, Detected, by_confidence, decode
from convert.simulate.parsers import DTYPES, NOT_WANTED, Boxes, Drop, Dropped, Layer, float_to_int32, float_to_uint32
from convert.simulate.settings import ClassSettings, ClusterMode, NetworkType, Settings

NETWORK = Network(3, 64, 80)
FRAME = 1  # every case has two frames, and the first is not to be looked at


def _layer(name: str, numbers: Any, dtype: str = "float32") -> Layer:
    array = np.asarray(numbers).astype(dtype)
    return Layer.of(name, np.stack([np.zeros_like(array), array]))


def _decode(
    parser: str, outputs: list[Layer], *, classes: int = 2, threshold: float = 0.25, why: bool = False
) -> Detected:
    one = ClassSettings(threshold, nms_iou_threshold=0.5)
    settings = Settings(NetworkType.DETECTOR, classes=(one,) * classes, cluster_mode=ClusterMode.NONE, parser=parser)
    decoded = decode(settings, NETWORK, outputs, why=why)
    assert decoded.failure == ""
    frame = decoded.frames[FRAME]
    assert isinstance(frame, Detected)
    return frame


def _ssd(scores: list[float], classes: list[float], boxes: list[list[float]] | None = None) -> list[Layer]:
    boxes = [[0.1, 0.2, 0.5, 0.6]] * len(scores) if boxes is None else boxes
    return [_layer("detection_boxes", boxes), _layer("detection_scores", scores), _layer("detection_classes", classes)]


SSD = "NvDsInferParseCustomTfSSD"
TAO = ["NvDsInferParseCustomBatchedNMSTLT", "NvDsInferParseYoloV5CustomBatchedNMSTLT"]
EFFICIENTDET = "NvDsInferParseCustomEfficientDetTAO"
NMS = "NvDsInferParseCustomNMSTLT"
BUFFERS = "Mismatch in the number of output buffers."
CLASSES = "set num-detected-classes to the number of classes of the model"


class TestRefusals:
    @pytest.mark.parametrize("kind", [NetworkType.SEGMENTATION, NetworkType.INSTANCE_SEGMENTATION, NetworkType.OTHER])
    def test_other_networks(self, kind: NetworkType) -> None:
        with pytest.raises(UnsupportedModelError, match=rf"^network-type={int(kind)} .* is not simulated$") as caught:
            decode(Settings(kind), NETWORK, [_layer("y", [1.0])])
        assert caught.value.hint == "classifiers (network-type=1) and detectors (0) are"

    @pytest.mark.parametrize("name", ["DDETRTAO", "RTDETRTAO", "YoloV11OBB", "MrcnnTLT", "MrcnnTLTV2"])
    def test_stock_functions_that_are_not_computed(self, name: str) -> None:
        with pytest.raises(
            UnsupportedModelError, match=rf"^NvDsInferParseCustom{name} is in libnvds_infercustomparser"
        ):
            _decode(f"NvDsInferParseCustom{name}", [_layer("y", [1.0])])

    def test_a_function_the_stock_library_does_not_have(self) -> None:
        with pytest.raises(UnsupportedModelError, match=r"refuses the config \(CUSTOM_LIB_FAILED\)$") as caught:
            _decode("NvDsInferParseCustomEfficientNMS", [_layer("y", [1.0])])
        assert caught.value.message.startswith("there is no function NvDsInferParseCustomEfficientNMS in libnvds_")
        assert str(caught.value.hint).startswith("one of NvDsInferParse")
        assert SSD in str(caught.value.hint)


class TestParserFails:
    """nvinfer prints a message and goes on with results it never wrote."""

    @pytest.mark.parametrize(
        ("parser", "outputs", "message"),
        [
            ("", [_layer("output_bbox", np.ones((4, 2, 2)))], "Could not find output coverage layer"),
            ("", [_layer("cov", np.ones((1, 2, 2)))], "Could not find output bbox layer"),
            (
                "NvDsInferParseCustomResnet",
                [_layer("output_cov/Sigmoid", np.ones((1, 2, 2)))],
                "Could not find bbox layer buffer while parsing",
            ),
            (SSD, _ssd([0.5], [0])[:2], "some layers missing or unsupported data types"),
            (SSD, [*_ssd([0.5], [0])[:2], _layer("detection_classes", [0], "int32")], "some layers missing or unsupp"),
            (NMS, _ssd([0.5], [0]), f"{BUFFERS} Expected 2 output buffers, detected in the network: 3"),
            (TAO[0], _ssd([0.5], [0]), f"{BUFFERS} Expected 4 output buffers, detected in the network: 3"),
            (EFFICIENTDET, [_layer("y", [1])], f"{BUFFERS} Expected 4 output buffers, detected in the network: 1"),
        ],
    )
    def test_every_frame_is_empty(self, parser: str, outputs: list[Layer], message: str) -> None:
        settings = Settings(NetworkType.DETECTOR, classes=(ClassSettings(0.2),), parser=parser)
        decoded = decode(settings, NETWORK, outputs)
        assert decoded.failure.startswith(message)
        assert decoded.frames == (Detected(()),) * 2


NEEDS = "the DetectNet parser needs three"
_ASSERTED = (
    r"^nvinfer's process ends here: the parser asserts that classes are below num-detected-classes=2, and the model "
    r"gives class 2$"
)


class TestReadsBehindTheEnd:
    """nvinfer would; what it finds there is not known."""

    def test_detectnet_with_boxes_for_fewer_classes(self) -> None:
        coverage = np.zeros((2, 2, 2))
        coverage[0] = 0.9
        box = _layer("bbox", np.ones((4, 2, 2)))
        assert len(_decode("", [_layer("cov", coverage), box]).objects) == 4
        coverage[1, 1, 1] = 0.9
        with pytest.raises(InputError) as caught:
            _decode("", [_layer("cov", coverage), box])
        assert caught.value.message == (
            "output 'bbox' holds 16 float32 numbers for each frame (float32 [4, 2, 2]), and nvinfer reads 32: what "
            "lies behind is not known"
        )
        hint = "the parser does not fit this model's outputs; compare their order, dimensions and types"
        assert caught.value.hint == hint

    def test_detectnet_with_a_smaller_grid_of_boxes(self) -> None:
        """Class 0's last cell reads further than class 1's first one."""
        coverage = np.zeros((2, 8, 8))
        coverage[0, 7, 7] = coverage[1, 0, 0] = 0.9
        with pytest.raises(
            InputError, match=r"^output 'bbox' holds 200 float32 numbers for each frame .*, and nvinfer reads 256: "
        ):
            _decode("", [_layer("cov", coverage), _layer("bbox", np.ones((200, 1, 1)))], why=True)

    def test_detectnet_needs_three_dimensions(self) -> None:
        cov, bbox, flat = (_layer("cov", np.ones((1, 1, 1))), _layer("bbox", np.ones((4, 1, 1))), np.ones((4, 1)))
        for outputs, said in (([_layer("cov", flat), bbox], "'cov'"), ([cov, _layer("bbox", flat)], "'bbox'")):
            with pytest.raises(InputError, match=rf"^output {said} has the dimensions \[4, 1\], {NEEDS}$") as caught:
                _decode("", outputs)
            hint = "[classes, rows, columns] and [4 * classes, rows, columns] for each frame"
            assert caught.value.hint == hint

    def test_ssd_with_fewer_scores_than_classes(self) -> None:
        outputs = [*_ssd([0.5], [0])[:2], _layer("detection_classes", [0, 0])]
        with pytest.raises(InputError, match=r"^output 'detection_scores' holds 1 float32 .* nvinfer reads 2: "):
            _decode(SSD, outputs)

    def test_ssd_reads_boxes_only_of_what_counts(self) -> None:
        outputs = _ssd([0.5, 0.1], [0, 0], [[0.1, 0.1, 0.5, 0.5]])
        assert len(_decode(SSD, outputs, why=True).objects) == 1
        with pytest.raises(InputError, match=r"^output 'detection_boxes' holds 4 float32 .* nvinfer reads 8: "):
            _decode(SSD, outputs, threshold=0.05)

    @pytest.mark.parametrize("parser", [*TAO, EFFICIENTDET, NMS])
    @pytest.mark.parametrize("count", [2, 2**31 - 1])
    def test_absurd_counts(self, parser: str, count: int) -> None:
        boxes = [[3, 4, 30, 40]]
        outputs = [_layer("n", [count], "int32"), _layer("b", boxes), _layer("s", [0.9]), _layer("c", [0])]
        if parser == NMS:
            outputs = [_layer("d", [[0, 0, 0.9, 0.1, 0.1, 0.5, 0.5]]), _layer("n", [count], "int32")]
        with pytest.raises(InputError, match=f"^output '[bd]' holds .* and nvinfer reads ({4 * count}|{7 * count}): "):
            _decode(parser, outputs)

    @pytest.mark.parametrize("parser", [*TAO, EFFICIENTDET])
    @pytest.mark.parametrize(("short", "found", "wanted"), [("b", 8, 12), ("s", 2, 3), ("c", 2, 3)])
    def test_the_output_that_is_too_short_is_named(self, parser: str, short: str, found: int, wanted: int) -> None:
        outputs = [_layer("n", [3], "int32")]
        for name, numbers in (("b", [[3, 4, 30, 40]] * 3), ("s", [0.9, 0.8, 0.7]), ("c", [0, 1, 0])):
            outputs.append(_layer(name, numbers[:2] if name == short else numbers))
        with pytest.raises(
            InputError, match=f"^output '{short}' holds {found} float32 numbers .* and nvinfer reads {wanted}:"
        ):
            _decode(parser, outputs)

    @pytest.mark.parametrize("parser", [*TAO, EFFICIENTDET, NMS])
    def test_a_count_that_is_a_float_is_read_as_an_integer(self, parser: str) -> None:
        outputs = [_layer("n", [1.0]), _layer("b", [[3, 4, 30, 40]]), _layer("s", [0.9]), _layer("c", [0])]
        if parser == NMS:
            outputs = [_layer("d", [[0, 0, 0.9, 0.1, 0.1, 0.5, 0.5]]), _layer("n", [1.0])]
        with pytest.raises(InputError, match=r"^output '[bd]' holds .*: what lies behind is not known$"):
            _decode(parser, outputs)

    @pytest.mark.parametrize("parser", [*TAO, EFFICIENTDET, NMS])
    def test_a_count_of_one_byte_is_none(self, parser: str) -> None:
        outputs = [_layer("n", [1], "int8"), _layer("b", [[3, 4, 30, 40]]), _layer("s", [0.9]), _layer("c", [0])]
        if parser == NMS:
            outputs = [_layer("d", [[0, 0, 0.9, 0.1, 0.1, 0.5, 0.5]]), outputs[0]]
        with pytest.raises(
            InputError, match=r"^output 'n' holds 0 int32 numbers .* \(int8 \[1\]\), and nvinfer reads 1: "
        ):
            _decode(parser, outputs)


class TestProcessDies:
    @pytest.mark.parametrize("mode", [ClusterMode.NMS, ClusterMode.DBSCAN_NMS])
    def test_without_classes(self, mode: ClusterMode) -> None:
        settings = Settings(NetworkType.DETECTOR, cluster_mode=mode, parser=SSD)
        with pytest.raises(InputError, match=r"^num-detected-classes is 0: nvinfer dies on the first frame") as caught:
            decode(settings, NETWORK, _ssd([0.5], [0]))
        assert caught.value.hint == CLASSES

    def test_without_classes_and_clustering_everything_is_dropped(self) -> None:
        frame = _decode(SSD, _ssd([0.5], [0]), classes=0, why=True)
        assert frame.objects == ()
        assert frame.dropped.keys() == {"num-detected-classes": 1}

    @pytest.mark.parametrize("parser", [TAO[0], NMS])
    def test_without_classes_there_is_no_threshold_of_class_0(self, parser: str) -> None:
        outputs = [_layer("n", [1], "int32"), _layer("b", [[0, 0, 1, 1]]), _layer("s", [0.9]), _layer("c", [0])]
        if parser == NMS:
            outputs = [_layer("d", [[0, 0, 0.9, 0.1, 0.1, 0.5, 0.5]]), _layer("n", [1], "int32")]
        with pytest.raises(InputError, match=r"^num-detected-classes is 0, .* the threshold of class 0$") as caught:
            _decode(parser, outputs, classes=0)
        assert caught.value.hint == CLASSES

    def test_asserted_classes(self) -> None:
        rows = [[0, 2, 0.1, 0, 0, 1, 1], [0, 2, 0.9, 0, 0, 1, 1]]
        with pytest.raises(InputError, match=_ASSERTED) as caught:
            _decode(NMS, [_layer("d", rows), _layer("n", [2], "int32")])
        assert caught.value.hint == f"{CLASSES}, background included"
        assert _decode(NMS, [_layer("d", rows), _layer("n", [1], "int32")]).objects == ()

    def test_asserted_pixels(self) -> None:
        outputs = [_layer("n", [1], "int32"), _layer("b", [[0, 0, 1, 1]]), _layer("s", [0.9]), _layer("c", [0])]
        with pytest.raises(InputError, match=r"^nvinfer's process .* asserts that boxes are in pixels$") as caught:
            _decode(EFFICIENTDET, outputs)
        assert caught.value.hint == "this model's boxes are normalised to 0..1; another parser is needed"
        outputs[1] = _layer("b", [[0, 0, 1, 2]])
        assert len(_decode(EFFICIENTDET, outputs).objects) == 1


def test_names_decide_and_the_last_one_counts() -> None:
    coverage = [_layer("a_cov", np.full((1, 1, 1), number)) for number in (0.3, 0.9)]
    box = _layer("my_bbox_too", np.full((4, 1, 1), 0.2))
    assert [one.confidence for one in _decode("", [*coverage, box]).objects] == [pytest.approx(0.9)]


def test_grids_of_different_sizes_are_mixed_as_in_nvidias_code() -> None:
    """Strides and the distance between classes come from the boxes' grid, cells and planes from the coverage's."""
    coverage = np.zeros((2, 1, 2))
    coverage[1, 0, 1] = 0.9
    numbers = np.zeros(8 * 4)
    first = 4 * 4 + 1  # class 1: four planes of four columns further; cell 1
    numbers[[first, first + 2, first + 4, first + 6]] = 0.2, 0.4, 0.6, 0.8
    (one,) = _decode("", [_layer("cov", coverage), _layer("bbox", numbers.reshape(8, 1, 4))]).objects
    # columns are 80 / 4 = 20 apart, rows 64 / 1
    found = [one.left, one.top, one.width, one.height]
    np.testing.assert_allclose(found, [20.5 - 0.2 * 35, 0, 0.8 * 35, 0.8 * 35 + 0.5], rtol=1e-6)


def test_dimensions_behind_the_third_do_not_count() -> None:
    cov, bbox = np.full((1, 1, 1), 0.9), np.full((4, 1, 1), 0.2)
    wanted = _decode("", [_layer("cov", cov), _layer("bbox", bbox)], classes=1).objects
    assert len(wanted) == 1
    outputs = [_layer("cov", cov[..., None]), _layer("bbox", bbox[..., None])]
    assert _decode("", outputs, classes=1).objects == wanted


def test_one_output_can_be_coverage_and_box() -> None:
    assert len(_decode("", [_layer("cov_bbox", np.full((4, 1, 1), 0.9))], classes=1).objects) == 1


def test_batched_nms_stops_behind_201_objects() -> None:
    outputs = [
        _layer("n", [300], "int32"),
        _layer("b", [[0.1, 0.1, 0.5, 0.5]] * 250),
        _layer("s", [0.1] * 5 + [0.9] * 245),
        _layer("c", [0] * 250),
    ]
    frame = _decode(TAO[0], outputs, why=True)
    assert len(frame.objects) == 201
    assert frame.dropped.keys() == {"pre-cluster-threshold": 5, "keep_top_k": 44}
    first = frame.dropped.best(1)[0]
    assert (first.key, first.value, first.limit) == ("keep_top_k", 207, 200), "of all candidates it is number 207"


@pytest.mark.parametrize("boxes", [200, 201])
def test_batched_nms_reads_on_until_there_are_201(boxes: int) -> None:
    outputs = [
        _layer("n", [boxes + 1], "int32"),
        _layer("b", [[0.1, 0.1, 0.5, 0.5]] * boxes),
        _layer("s", [0.9] * boxes),
        _layer("c", [0] * boxes),
    ]
    if boxes == 201:
        assert len(_decode(TAO[0], outputs).objects) == 201
    else:
        with pytest.raises(InputError, match=rf"^output 'b' holds {4 * boxes} float32 .* reads {4 * boxes + 4}:"):
            _decode(TAO[0], outputs)


@pytest.mark.parametrize("parser", [*TAO, EFFICIENTDET])
def test_boxes_without_a_width_or_a_height_are_not_inside_out(parser: str) -> None:
    boxes = [[0.5, 0, 0.5, 4], [0, 0.5, 4, 0.5]]
    outputs = [_layer("n", [2], "int32"), _layer("b", boxes), _layer("s", [0.9] * 2), _layer("c", [0, 1])]
    frame = _decode(parser, outputs, why=True)
    assert (len(frame.objects), frame.dropped.keys()) == (2, {})


def test_why_boxes_fall_out() -> None:
    frame = _decode(
        SSD,
        _ssd([0.9, 0.2, 0.95, 0.8], [0, 1, 5, 1], [[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [0.5, 0.5, 0.5, 0.6]]),
        why=True,
    )
    assert len(frame.objects) == 1
    assert [drop.why for drop in frame.dropped.best()] == [
        "class 5 is not below num-detected-classes=2",
        "the box is empty or lies outside of the network's picture",
        "confidence 0.2 is below pre-cluster-threshold=0.25",
    ]
    numbers = [(drop.class_id, drop.value, drop.limit) for drop in frame.dropped.best()]
    assert numbers == [(5, 5, 2), (1, 0, 0), (1, pytest.approx(0.2), 0.25)]


@pytest.mark.parametrize(
    ("parser", "boxes", "keys"),
    [
        (TAO[0], [[0, 0, 1, 1], [0.5, 0, 0.4, 1], [0, 0.5, 1, 0.4]], {"num-detected-classes": 1, "box": 2}),
        (TAO[1], [[0, 0, 9, 9], [9, 0, 8, 9], [0, 9, 9, 8]], {"num-detected-classes": 1, "box": 2}),
        (EFFICIENTDET, [[0, 0, 9, 9], [9, 0, 8, 9], [0, 9, 9, 8]], {"box": 2}),
    ],
)
def test_why_boxes_with_their_corners_exchanged_fall_out(
    parser: str, boxes: list[list[float]], keys: dict[str, int]
) -> None:
    unknown = "num-detected-classes" in keys
    outputs = [
        _layer("n", [3 + unknown], "int32"),
        _layer("b", [*boxes, boxes[0]]),
        _layer("s", [0.9] * 4),
        _layer("c", [0, 1, 0, 5]),
    ]
    frame = _decode(parser, outputs, why=True)
    assert len(frame.objects) == 1
    assert frame.dropped.keys() == keys
    numbers = {"box": (0, 0), "num-detected-classes": (5, 2)}
    assert all((drop.value, drop.limit) == numbers[drop.key] for drop in frame.dropped.best())


@pytest.mark.parametrize("parser", [NMS, EFFICIENTDET, *TAO])
def test_parsers_that_use_the_threshold_of_class_0_are_followed_by_those_of_each(parser: str) -> None:
    outputs = [_layer("n", [3], "int32"), _layer("b", [[3, 4, 30, 40]] * 3), _layer("s", [0.875, 0.875, 0.1875])]
    outputs.append(_layer("c", [0, 1, 1]))
    if parser == NMS:
        rows = [[0, label, score, 0.1, 0.1, 0.5, 0.5] for label, score in ((0, 0.875), (1, 0.875), (1, 0.1875))]
        outputs = [_layer("d", rows), outputs[0]]
    classes = ClassSettings(0.25), ClassSettings(0.9375)
    settings = Settings(NetworkType.DETECTOR, classes=classes, cluster_mode=ClusterMode.NONE, parser=parser)
    frame = decode(settings, NETWORK, outputs, why=True).frames[FRAME]
    assert isinstance(frame, Detected)
    assert [one.class_id for one in frame.objects] == [0]
    first, second = frame.dropped.best()
    assert (first.key, first.value, first.limit) == ("pre-cluster-threshold", 0.875, 0.9375)
    assert (second.key, second.value, second.limit) == ("pre-cluster-threshold", 0.1875, 0.25)


def test_why_cells_fall_out() -> None:
    coverage = np.array([[[0.9, 0.2]], [[0.1, 0.1]], [[0.99, 0.99]]])
    box = np.full((12, 1, 2), 0.2)
    box[0, 0, 0] = -9  # the left edge of the only cell that counts lies right of the right one
    frame = _decode("", [_layer("cov", coverage), _layer("bbox", box)], why=True)
    assert frame.objects == ()
    assert frame.dropped.keys() == {"pre-cluster-threshold": 3, "num-detected-classes": 2, "box": 1}
    numbers = [(drop.key, drop.value, drop.limit) for drop in frame.dropped.best()]
    assert numbers == [
        *[("num-detected-classes", 2, 2)] * 2,
        ("box", 0, 0),
        *(("pre-cluster-threshold", pytest.approx(score), 0.25) for score in (0.2, 0.1, 0.1)),
    ]


class TestDropped:
    def _boxes(self, *confidence: float) -> Boxes:
        numbers = np.array(confidence, np.float32)
        return Boxes(np.arange(len(numbers), dtype=np.uint32), numbers, numbers, numbers, numbers, numbers)

    def test_the_best_come_first_and_nan_last(self) -> None:
        dropped = Dropped()
        dropped.add("pre-cluster-threshold", self._boxes(0.1, math.nan, 0.3), np.array([0.1, math.nan, 0.3]), 0.5)
        dropped.add("topk", self._boxes(0.25), 4, 3)
        assert len(dropped) == 4
        assert [drop.key for drop in dropped.best(2)] == ["pre-cluster-threshold", "topk"]
        assert math.isnan(dropped.best()[-1].confidence)

    def test_among_equals_the_one_that_came_further(self) -> None:
        dropped = Dropped()
        for key in ("pre-cluster-threshold", "topk"):
            dropped.add(key, self._boxes(0.25), 0.25, 3)
        assert [drop.key for drop in dropped.best()] == ["topk", "pre-cluster-threshold"]

    def test_ten_are_told_where_no_number_is_said(self) -> None:
        dropped = Dropped()
        dropped.add("topk", self._boxes(*[0.5] * 12), 4, 3)
        assert (len(dropped.best()), len(dropped.best(3)), len(dropped.best(20))) == (10, 3, 12)

    def test_what_is_not_wanted_is_not_kept(self) -> None:
        NOT_WANTED.add("topk", self._boxes(0.5), 4, 3)
        assert (len(NOT_WANTED), NOT_WANTED.keys()) == (0, {})

    def test_nothing_is_not_recorded(self) -> None:
        dropped = Dropped()
        dropped.add("topk", Boxes.none(), 0, 0)
        assert (len(dropped), dropped.best(), dropped.keys()) == (0, (), {})

    def test_every_key_has_words(self) -> None:
        assert Drop("topk", 4, 3, 0, 0.5).why == "number 4 of its class, topk=3"
        one = Drop("detected-min-w", 12.5, 20, 0, 0.5)
        assert one.why == "12.5 pixels wide, detected-min-w=20"
        assert (one.left, one.top, one.width, one.height) == (0, 0, 0, 0)


class TestConversions:
    """What GCC's code does on x86-64 where the C++ standard leaves it open."""

    NUMBERS = np.array(
        [1.9, -0.9, -1, 2**31, 2**32, 2**32 + 512, -3e9, math.nan, math.inf, -math.inf, 1e30], np.float32
    )

    def test_to_unsigned(self) -> None:
        assert float_to_uint32(self.NUMBERS).tolist() == [1, 0, 2**32 - 1, 2**31, 0, 512, 2**32 - 3 * 10**9, 0, 0, 0, 0]

    def test_to_signed(self) -> None:
        assert float_to_int32(self.NUMBERS).tolist() == [1, 0, -1, *[-(2**31)] * 8]

    def test_the_largest_that_fit(self) -> None:
        numbers = np.array([300, -300, 2**31 - 128, -(2**31), 2**63, -(2**63)], np.float32)
        assert float_to_int32(numbers).tolist() == [300, -300, 2**31 - 128, *[-(2**31)] * 3]
        assert float_to_uint32(numbers).tolist() == [300, 2**32 - 300, 2**31 - 128, 2**31, 0, 0]


class TestLayer:
    @pytest.mark.parametrize("dtype", ["float64", "uint16", "bool", "complex64"])
    def test_types_tensorrt_does_not_have(self, dtype: str) -> None:
        with pytest.raises(InputError, match=f"^output 'y' is {dtype}: TensorRT has no such outputs$") as caught:
            Layer.of("y", np.ones((1, 2), dtype))
        assert caught.value.hint == "one of float32, float16, int8, int32, int64, uint8"

    @pytest.mark.parametrize("shape", [(), (0, 3), (2, 0)])
    def test_nothing_in_it(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError) as caught:
            Layer.of("y", np.ones(shape, np.float32))
        needs = "it needs a batch dimension and at least one number"
        assert caught.value.message == f"output 'y' has the shape {list(shape)}: {needs}"

    def test_an_output_of_the_batch_alone_has_one_number(self) -> None:
        layer = Layer.of("y", np.array([3, 4], np.float32))
        assert (layer.dims, layer.frames, layer.floats(1, 1).tolist()) == ((1,), 2, [4.0])

    def test_any_memory_order(self) -> None:
        layer = Layer.of("y", np.asfortranarray(np.arange(12, dtype=np.float32).reshape(2, 2, 3)))
        assert layer.floats(1).tolist() == [6, 7, 8, 9, 10, 11]


_NAMES = ["cov", "bbox", "output_cov/Sigmoid:0", "output_bbox/BiasAdd:0", "num_detections"]
_NAMES += ["detection_boxes", "detection_scores", "detection_classes"]
_LAYER = st.tuples(
    st.sampled_from(_NAMES), st.sampled_from(DTYPES), st.lists(st.integers(1, 6), max_size=4), st.integers(0, 2**32 - 1)
)


@given(st.sampled_from(list(PARSERS)), st.lists(_LAYER, min_size=1, max_size=5), st.integers(0, 3), st.booleans())
def test_any_outputs_are_decoded_or_refused(
    parser: str, layers: list[tuple[str, str, list[int], int]], classes: int, why: bool
) -> None:
    outputs = []
    for name, dtype, dims, seed in layers:
        random = np.random.default_rng(seed)
        size = int(np.prod(dims)) * np.dtype(dtype).itemsize
        # any bytes, or small whole numbers
        raw = random.bytes(size) if seed % 2 else random.integers(0, 4, size, np.uint8).tobytes()
        outputs.append(Layer.of(name, np.frombuffer(raw, dtype).reshape(1, *dims)))
    settings = Settings(
        NetworkType.DETECTOR,
        classes=(ClassSettings(0.0, nms_iou_threshold=0.5),) * classes,
        cluster_mode=ClusterMode.NMS,
        parser=parser,
    )
    try:
        (frame,) = decode(settings, NETWORK, outputs, why=why).frames
    except InputError:
        return
    assert isinstance(frame, Detected)
    assert all(one.class_id < classes for one in frame.objects)


def test_parsers_are_named_as_in_nvidias_library() -> None:
    assert all(name.startswith("NvDsInferParse") for name in PARSERS if name)


@pytest.mark.parametrize(
    ("scores", "classes", "mode", "undefined"),
    [
        ([math.nan, 0.9], [0, 0], ClusterMode.NMS, True),
        ([math.nan, 0.9], [0, 1], ClusterMode.NMS, False),  # nothing to compare it with
        ([math.nan, math.nan], [0, 0], ClusterMode.NMS, False),  # all equal: they stay in order
        ([math.nan, 0.9], [0, 0], ClusterMode.NONE, False),  # not sorted
    ],
)
def test_nan_leaves_the_order_undefined(
    scores: list[float], classes: list[float], mode: ClusterMode, undefined: bool
) -> None:
    one = ClassSettings(0.25, nms_iou_threshold=0.5)
    settings = Settings(NetworkType.DETECTOR, classes=(one, one), cluster_mode=mode, parser=SSD)
    assert decode(settings, NETWORK, _ssd(scores, classes)).nan_scores is undefined


def test_equal_scores_stay_in_order_and_nan_comes_last() -> None:
    values = np.array([0.5, math.nan, 0.9, 0.5, -0.0, 0.0, math.inf, 0.9, -math.inf], np.float32)
    assert by_confidence(values).tolist() == [6, 2, 7, 0, 3, 4, 5, 8, 1]
