"""Settings as nvinfer holds them after its own corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.errors import InputError, UnsupportedModelError
from convert.nvinfer.config import read_bytes
from convert.simulate.settings import ClassSettings, ClusterMode, ColorFormat, NetworkType, ScalingFilter, Settings
from tests.simulate.vectors import read_settings

if TYPE_CHECKING:
    from pathlib import Path

STOCK = "/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so"


def test_an_empty_config_has_nvinfers_defaults() -> None:
    settings = Settings.from_values({"num-detected-classes": 2, "cluster-mode": 4})
    assert settings.network_type is NetworkType.DETECTOR
    assert settings.classes == (ClassSettings(float(np.float32(0.2)), 0.0, float(np.float32(0.3))),) * 2
    assert (settings.scale, settings.offsets, settings.scaling_filter) == (1.0, (), ScalingFilter.DEFAULT)
    assert not settings.on_objects
    assert settings.classifier_type == ""
    assert (settings.unique_id, settings.batch_size, settings.operate_on_gie_id) == (1, 1, -1)


def test_what_is_held_of_every_key() -> None:
    sizes = {
        "detected-min-w": 1, "detected-min-h": 2, "detected-max-w": 3, "detected-max-h": 4,
        "roi-top-offset": 5, "roi-bottom-offset": 6,
    }  # fmt: skip
    one = {"pre-cluster-threshold": 0.5, "post-cluster-threshold": 0.25, "nms-iou-threshold": 0.75, "topk": 7,
           "minBoxes": 8, **sizes}  # fmt: skip
    values = {
        "network-type": 0, "gie-unique-id": 9, "process-mode": 2, "batch-size": 10, "num-detected-classes": 1,
        "class-attrs": [one], "cluster-mode": 3, "parse-bbox-func-name": "NvDsInferParseCustomTfSSD",
        "custom-lib-path": STOCK, "classifier-threshold": 0.125, "classifier-type": "make",
        "filter-out-class-ids": [1, 2], "crop-objects-to-roi-boundary": 1, "operate-on-gie-id": 11,
        "operate-on-class-ids": [3], "input-object-min-width": 12, "input-object-min-height": 13,
        "input-object-max-width": 14, "input-object-max-height": 15, "maintain-aspect-ratio": 1,
        "symmetric-padding": 1, "scaling-filter": 1, "model-color-format": 1, "network-input-order": 1,
        "infer-dims": [3, 17, 18], "net-scale-factor": 0.5, "offsets": [19, 20.5, 21], "mean-file": "mean.ppm",
    }  # fmt: skip
    held = Settings(
        NetworkType.DETECTOR, 9, True, 10, (("ant",),), (ClassSettings(0.5, 0.25, 0.75, 7, 8, 1, 2, 3, 4, 5, 6),),
        ClusterMode.DBSCAN_NMS, "NvDsInferParseCustomTfSSD", "", 0.125, "make", frozenset({1, 2}), True, 11,
        frozenset({3}), (12, 13), (14, 15), True, True, ScalingFilter.BILINEAR, ColorFormat.BGR, True, (3, 17, 18),
        0.5, (19.0, 20.5, 21.0), "mean.ppm",
    )  # fmt: skip
    assert Settings.from_values(values, [["ant"]]) == held
    plain = Settings(NetworkType.CLASSIFIER, cluster_mode=ClusterMode.GROUP_RECTANGLES)
    assert Settings.from_values({"network-type": 1}) == plain
    other = {"network-type": 1, "parse-classifier-func-name": "Mine", "custom-lib-path": STOCK}
    assert Settings.from_values(other).classifier_parser == "Mine"
    assert Settings.from_values({**other, "network-type": 0}).classifier_parser == ""
    attributes = [{"topk": 3}]
    masks = Settings.from_values({"network-type": 3, "num-detected-classes": 1, "class-attrs": attributes})
    assert (masks.classes[0].topk, masks.cluster_mode) == (3, ClusterMode.GROUP_RECTANGLES)


@pytest.mark.parametrize("written", [{}, {"cluster-mode": 0}, {"cluster-mode": None}])
def test_cluster_mode_0_is_nms_with_20_objects_and_half_overlap(written: dict[str, int]) -> None:
    attributes = [{"topk": 3, "nms-iou-threshold": 0.9, "pre-cluster-threshold": 0.4}]
    settings = Settings.from_values({"num-detected-classes": 1, "class-attrs": attributes, **written})
    assert settings.cluster_mode is ClusterMode.NMS
    assert settings.classes[0].topk == 20
    assert settings.classes[0].nms_iou_threshold == 0.5
    assert settings.classes[0].pre_cluster_threshold == float(np.float32(0.4))


def test_numbers_of_colours() -> None:
    for number, color in enumerate((ColorFormat.RGB, ColorFormat.BGR, ColorFormat.GRAY)):
        assert Settings.from_values({"model-color-format": number}).color is color


def test_thresholds_are_float32() -> None:
    settings = Settings.from_values({"network-type": 1, "classifier-threshold": 0.8, "net-scale-factor": 1 / 255})
    assert settings.classifier_threshold == float(np.float32(0.8)) != 0.8
    assert settings.scale == float(np.float32(1 / 255))


@pytest.mark.parametrize(("written", "held"), [("inf", np.inf), ("-inf", -np.inf), (1e300, np.inf), (-1e300, -np.inf)])
def test_infinite_thresholds_stay_infinite(written: float | str, held: float) -> None:
    assert Settings.from_values({"network-type": 1, "classifier-threshold": written}).classifier_threshold == held


def test_nan_stays_nan() -> None:
    held = Settings.from_values({"network-type": 1, "classifier-threshold": "nan"}).classifier_threshold
    assert held != held  # noqa: PLR0124 - that is what NaN is


def test_a_classifier_has_no_class_attributes() -> None:
    assert Settings.from_values({"network-type": 1, "num-detected-classes": 5}).classes == ()


def test_as_many_class_attributes_as_classes() -> None:
    with pytest.raises(InputError, match=r"^num-detected-classes is 3, but there are class attributes for 1"):
        Settings.from_values({"num-detected-classes": 3, "class-attrs": [{}]})


def test_a_negative_number_of_classes_is_a_huge_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^num-detected-classes=4294967295: nvinfer runs out of memory$") as caught:
        Settings.from_values({"num-detected-classes": 2**32 - 1})
    hint = "give the number of classes of the model; a negative number is taken as a huge one"
    assert caught.value.hint == hint
    monkeypatch.setattr("convert.simulate.settings._MOST_CLASSES", 5)  # a million takes a second
    assert len(Settings.from_values({"num-detected-classes": 5}).classes) == 5
    with pytest.raises(InputError, match="=6: nvinfer runs out of memory"):
        Settings.from_values({"num-detected-classes": 6})


def test_a_label_ends_at_its_first_null_character() -> None:
    settings = Settings.from_values({"network-type": 1}, [["fo\0x", "owl"]])
    assert settings.labels == (("fo", "owl"),)


def test_labels_of_detectors_and_classifiers() -> None:
    settings = Settings.from_values({"num-detected-classes": 2}, [["ant", "bee"], ["cow"]])
    assert [settings.label(i) for i in range(3)] == ["ant", "cow", None]
    assert [settings.attribute_label(0, i) for i in range(3)] == ["ant", "bee", None]
    assert settings.attribute_label(2, 0) is None


class TestParser:
    def _parser(self, library: str | None, function: str = "NvDsInferParseCustomTfSSD") -> str:
        values = {"parse-bbox-func-name": function, "custom-lib-path": "/opt/nvidia" if library is None else library}
        return Settings.from_values(values, library=library).parser

    def test_a_function_of_the_stock_library(self) -> None:
        assert self._parser(STOCK) == "NvDsInferParseCustomTfSSD"

    def test_the_part_of_the_path_that_exists_here_is_enough(self) -> None:
        assert self._parser(None) == "NvDsInferParseCustomTfSSD"

    def test_a_function_without_a_library_is_not_called(self) -> None:
        assert self._parser("") == ""

    def test_a_library_without_a_function_is_not_used(self) -> None:
        assert self._parser("/usr/lib/libmine.so", function="") == ""

    def test_another_library_is_refused_by_name(self) -> None:
        said = r"^NvDsInferParseYolo of libnvdsinfer_custom_impl_Yolo\.so decodes this model's outputs"
        with pytest.raises(UnsupportedModelError, match=said) as caught:
            self._parser("/home/me/libnvdsinfer_custom_impl_Yolo.so", function="NvDsInferParseYolo")
        assert str(caught.value.hint).startswith("only the functions of libnvds_infercustomparser.so and the built-in")

    def test_a_classifier_does_not_call_a_detectors_function(self) -> None:
        values = {"network-type": 1, "parse-bbox-func-name": "x", "custom-lib-path": "libmine.so"}
        assert Settings.from_values(values).parser == ""


class TestFromParsed:
    def _read(self, text: str, tmp_path: Path) -> Settings:
        return Settings.from_parsed(read_bytes(text.encode(), tmp_path / "config.txt"))

    def test_every_key_that_counts(self, tmp_path: Path) -> None:
        text = f"""
[property]
gie-unique-id=3
process-mode=2
network-type=0
num-detected-classes=2
cluster-mode=4
custom-lib-path={STOCK}
parse-bbox-func-name=NvDsInferParseCustomTfSSD
model-color-format=1
net-scale-factor=0.5
offsets=1;2;3
network-input-order=1
infer-dims=3;48;64
maintain-aspect-ratio=1
symmetric-padding=1
scaling-filter=1
mean-file=mean.ppm
filter-out-class-ids=1
operate-on-gie-id=1
operate-on-class-ids=0;2
input-object-min-width=16
input-object-max-height=200
crop-objects-to-roi-boundary=1
batch-size=4
[class-attrs-all]
topk=7
roi-bottom-offset=9
[class-attrs-1]
detected-max-w=50
"""
        settings = self._read(text, tmp_path)
        assert settings.unique_id == 3
        assert settings.on_objects
        assert settings.parser == "NvDsInferParseCustomTfSSD"
        assert settings.color is ColorFormat.BGR
        assert (settings.scale, settings.offsets) == (0.5, (1.0, 2.0, 3.0))
        assert settings.channels_last
        assert settings.infer_dims == (3, 48, 64)
        assert settings.keep_aspect
        assert settings.symmetric
        assert settings.scaling_filter is ScalingFilter.BILINEAR
        assert settings.mean_file == str(tmp_path / "mean.ppm")
        assert settings.filter_out_class_ids == {1}
        assert settings.operate_on_gie_id == 1
        assert settings.operate_on_class_ids == {0, 2}
        assert settings.input_object_min == (16, 0)
        assert settings.input_object_max == (0, 200)
        assert settings.crop_to_roi
        assert settings.batch_size == 4
        assert [one.topk for one in settings.classes] == [7, 7]
        assert [one.roi_bottom_offset for one in settings.classes] == [9, 9]
        assert [one.detected_max_w for one in settings.classes] == [0, 50]

    def test_a_config_nvinfer_refuses_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"^nvinfer does not accept this config") as caught:
            self._read("[property]\nnetwork-type=7\n", tmp_path)
        assert (caught.value.line, caught.value.hint) == (2, "ei-deepstream check says more")


class TestFile:
    def _write(self, folder: Path, labels: bytes | None, line: str = "labelfile-path=labels.txt") -> Path:
        path = folder / "config.txt"
        path.write_text(f"[property]\ngie-unique-id=1\nnetwork-type=1\n{line}\n")
        if labels is not None:
            (folder / "labels.txt").write_bytes(labels)
        return path

    def test_config_and_labels(self, tmp_path: Path) -> None:
        assert read_settings(self._write(tmp_path, b"fox;owl\n\nelk")).labels == (("fox", "owl"), ("elk",))

    def test_without_a_label_file(self, tmp_path: Path) -> None:
        assert read_settings(self._write(tmp_path, None, line="")).labels == ()

    def test_a_label_file_that_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="label file"):
            read_settings(self._write(tmp_path, None))
