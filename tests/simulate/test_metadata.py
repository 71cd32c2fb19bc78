"""What is attached to the frame, and in which pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from convert.images.scaling import Rect, View
from convert.simulate.decode import Detection, attach
from convert.simulate.parsers import Dropped
from convert.simulate.settings import ClassSettings, NetworkType, Settings

VIEW = View(640, 480, 0.5, 0.25, 0, 10)


def _object(left: float, top: float, width: float, height: float, *, label: str | None = "ant") -> Detection:
    return Detection(0, label, left, top, width, height, 0.5)


def _settings(*, crop: bool = False, filtered: tuple[int, ...] = (), **one: Any) -> Settings:
    return Settings(
        NetworkType.DETECTOR,
        classes=(ClassSettings(0.1, **one),),
        crop_to_roi=crop,
        filter_out_class_ids=frozenset(filtered),
    )


def _attach(settings: Settings, one: Detection, view: View = VIEW, **more: Any) -> Detection | None:
    found = attach(settings, view, [one], **more)
    return found[0] if found else None


def test_boxes_come_back_to_the_frame() -> None:
    assert _attach(_settings(), _object(10, 20, 30, 40)) == _object(20, 40, 60, 160)


def test_left_of_and_above_the_frame_a_box_is_moved_not_cut() -> None:
    view = View(640, 480, 0.5, 0.25, 20, 10)
    assert _attach(_settings(), _object(10, 0, 30, 40), view) == _object(0, 0, 60, 160)


def test_less_than_a_pixel_inside_a_box_stays_where_it_is() -> None:
    view = View(640, 480, 1, 1, 10, 10)
    for inside in (0.5, 0.25, 0.0):
        assert _attach(_settings(), _object(10 + inside, 20, 30, 40), view) == _object(inside, 10, 30, 40)
        assert _attach(_settings(), _object(20, 10 + inside, 30, 40), view) == _object(10, inside, 30, 40)


def test_a_box_that_ends_below_the_frame_is_dropped() -> None:
    dropped = Dropped()
    assert _attach(_settings(), _object(0, 90, 30, 40), dropped=dropped) == _object(0, 320, 60, 160)
    assert _attach(_settings(), _object(0, 90.25, 30, 40), dropped=dropped) is None
    assert dropped.best()[0].why == "its bottom 481 is below 480: the frame's height less roi-bottom-offset"


def test_right_of_the_frame_it_is_neither() -> None:
    assert _attach(_settings(), _object(300, 20, 100, 40)) == _object(600, 40, 200, 160)


@pytest.mark.parametrize(
    ("key", "limit", "kept"),
    [
        ("detected_min_w", 60, True),
        ("detected_min_w", 61, False),
        ("detected_min_h", 160, True),
        ("detected_min_h", 161, False),
        ("detected_max_w", 60, True),
        ("detected_max_w", 59, False),
        ("detected_max_w", 1, False),
        ("detected_max_w", 0, True),  # none
        ("detected_min_w", -1, False),  # 4294967295 in unsigned arithmetic
        ("detected_max_h", -1, True),
        ("detected_max_h", 160, True),
        ("detected_max_h", 159, False),
        ("roi_top_offset", 40, True),
        ("roi_top_offset", 41, False),
        ("roi_bottom_offset", 280, True),
        ("roi_bottom_offset", 281, False),
    ],
)
def test_limits_are_pixels_of_the_frame(key: str, limit: int, kept: bool) -> None:
    dropped = Dropped()
    changes: dict[str, Any] = {key: limit}
    found = _attach(_settings(**changes), _object(10, 20, 30, 40), dropped=dropped)
    assert (found is not None) is kept
    assert list(dropped.keys()) == ([] if kept else [key.replace("_", "-")])


def test_an_offset_larger_than_the_frame_wraps_around() -> None:
    """480 - 481 is 4294967295 in unsigned arithmetic: everything lies above it."""
    assert _attach(_settings(roi_bottom_offset=480), _object(10, 20, 30, 40)) is None
    assert _attach(_settings(roi_bottom_offset=481), _object(10, 20, 30, 40)) == _object(20, 40, 60, 160)


def test_filtered_classes() -> None:
    dropped = Dropped()
    assert _attach(_settings(filtered=(0,)), _object(10, 20, 30, 40), dropped=dropped) is None
    assert dropped.best()[0].why == "class 0 is in filter-out-class-ids"
    assert _attach(_settings(filtered=(1,)), _object(10, 20, 30, 40)) is not None


class TestCrop:
    def test_the_top_moves_and_bottom_and_right_are_cut(self) -> None:
        settings = _settings(crop=True, roi_top_offset=100, roi_bottom_offset=300)
        assert _attach(settings, _object(300, 20, 100, 40)) == _object(600, 100, 40, 80)
        assert _attach(settings, _object(300, 20, 20.5, 40)) == _object(600, 100, 40, 80)

    def test_sizes_count_before_the_cut(self) -> None:
        assert _attach(_settings(crop=True, detected_max_w=100), _object(300, 20, 100, 40)) is None

    def test_below_the_region_the_height_becomes_negative(self) -> None:
        settings = _settings(crop=True, roi_bottom_offset=470)
        found = _attach(settings, _object(0, 20, 30, 40))
        assert found is not None
        assert found.height == -30


def test_the_parents_corner_is_added_last() -> None:
    settings = _settings(roi_top_offset=40)
    assert _attach(settings, _object(10, 20, 30, 40), parent=Rect(100, 200, 50, 50)) == _object(120, 240, 60, 160)


def test_numbers_are_divided_in_double_and_stored_in_float32() -> None:
    found = _attach(_settings(), _object(10.1, 20, 30, 40), View(4000, 4000, 96 / 1081, 1.0))
    assert found is not None
    assert found.left == float(np.float32(float(np.float32(10.1)) / (96 / 1081)))


def test_nan_is_attached() -> None:
    found = _attach(_settings(detected_min_w=5, detected_max_h=9), _object(10, 20, math.nan, math.nan))
    assert found is not None
    assert math.isnan(found.width)


@pytest.mark.parametrize(
    ("label", "stored"),
    [(None, ""), ("ant\r", "ant\r"), ("a" * 127, "a" * 127), ("a" * 128, "a" * 127), ("é" * 64, "é" * 63 + "\ufffd")],
)
def test_labels_have_127_bytes(label: str | None, stored: str) -> None:
    found = _attach(_settings(), _object(10, 20, 30, 40, label=label))
    assert found is not None
    assert found.label == stored


def test_order_and_classes_stay() -> None:
    classes = (ClassSettings(0.1), ClassSettings(0.1, detected_min_w=100))
    settings = Settings(NetworkType.DETECTOR, classes=classes)
    objects = [Detection(c, None, 0, 10, w, 1, 0.5) for c, w in ((0, 10), (1, 10), (1, 60), (0, 5))]
    assert [(o.class_id, o.width) for o in attach(settings, VIEW, objects)] == [(0, 20), (1, 120), (0, 10)]


def test_no_objects() -> None:
    assert attach(_settings(), VIEW, []) == ()
