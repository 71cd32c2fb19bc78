"""Clustering against a plain one-by-one computation, and its edges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import UnsupportedModelError
from convert.simulate.decode import check, cluster
from convert.simulate.parsers import Boxes, Dropped
from convert.simulate.settings import ClassSettings, ClusterMode
from tests.examples import examples

Row = tuple[int, float, float, float, float, float]


def _boxes(*rows: Row) -> Boxes:
    class_id, *columns = zip(*rows, strict=True) if rows else ((),) * 6
    return Boxes(np.array(class_id, np.uint32), *(np.array(column, np.float32) for column in columns))


def _rows(boxes: Boxes) -> list[tuple[float, ...]]:
    columns = (boxes.class_id, boxes.left, boxes.top, boxes.width, boxes.height, boxes.confidence)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _one(**changes: float) -> ClassSettings:
    return ClassSettings(**{"pre_cluster_threshold": 0.25, "nms_iou_threshold": 0.5, **changes})  # type: ignore[arg-type]


class TestModes:
    ROWS: tuple[Row, ...] = (
        (1, 0, 0, 10, 10, 0.5),
        (0, 0, 0, 10, 10, 0.3),
        (0, 1, 0, 10, 10, 0.9),
        (0, 30, 0, 10, 10, 0.75),
        (1, 0, 0, 10, 10, 0.2),
    )

    def _confidences(self, mode: ClusterMode, one: ClassSettings) -> list[float]:
        found = cluster(mode, (one, one), _boxes(*self.ROWS)).confidence
        return [round(number, 4) for number in found.tolist()]

    def test_none_keeps_the_order_within_a_class(self) -> None:
        assert self._confidences(ClusterMode.NONE, _one()) == [0.3, 0.9, 0.75, 0.5]

    def test_topk_sorts(self) -> None:
        assert self._confidences(ClusterMode.NONE, _one(topk=2)) == [0.9, 0.75, 0.5]

    def test_topk_0_leaves_nothing(self) -> None:
        assert self._confidences(ClusterMode.NMS, _one(topk=0)) == []

    def test_nms_drops_what_overlaps(self) -> None:
        assert self._confidences(ClusterMode.NMS, _one()) == [0.9, 0.75, 0.5]

    @pytest.mark.parametrize(("limit", "left"), [(0.5, [0.9, 0.75]), (0.4, [0.9, 0.75, 0.5])])
    def test_the_threshold_behind_nms_is_strict(self, limit: float, left: list[float]) -> None:
        assert self._confidences(ClusterMode.NMS, _one(post_cluster_threshold=limit)) == left

    def test_the_threshold_behind_does_nothing_without_clustering(self) -> None:
        assert self._confidences(ClusterMode.NONE, _one(post_cluster_threshold=0.8)) == [0.3, 0.9, 0.75, 0.5]

    def test_dbscan_without_min_boxes_is_a_threshold(self) -> None:
        one = _one(post_cluster_threshold=0.5)
        check(ClusterMode.DBSCAN, (one,))
        assert self._confidences(ClusterMode.DBSCAN, one) == [0.9, 0.75, 0.5]

    def test_the_hybrid_without_min_boxes_is_nms(self) -> None:
        check(ClusterMode.DBSCAN_NMS, (_one(),))
        assert self._confidences(ClusterMode.DBSCAN_NMS, _one()) == [0.9, 0.75, 0.5]

    @pytest.mark.parametrize("mode", [ClusterMode.DBSCAN, ClusterMode.DBSCAN_NMS])
    def test_dbscan_is_refused(self, mode: ClusterMode) -> None:
        with pytest.raises(UnsupportedModelError, match=rf"^cluster-mode={int(mode)} .* runs DBSCAN") as caught:
            check(mode, (_one(), _one(min_boxes=3)))
        assert caught.value.hint == "simulate with cluster-mode=2 (NMS) or 4 (none)"

    def test_why(self) -> None:
        dropped = Dropped()
        one = _one(topk=1)
        cluster(ClusterMode.NMS, (one,), _boxes(*self.ROWS), dropped)
        assert dropped.keys() == {"num-detected-classes": 2, "nms-iou-threshold": 1, "topk": 1}
        assert [drop.why for drop in dropped.best()] == [
            "number 2 of its class, topk=1",
            "class 1 is not below num-detected-classes=1",
            "a better box overlaps by 0.818182, nms-iou-threshold=0.5",
            "class 1 is not below num-detected-classes=1",
        ]


def test_nothing() -> None:
    assert len(cluster(ClusterMode.NMS, (_one(),), Boxes.none())) == 0


def test_boxes_without_area_do_not_suppress_each_other() -> None:
    """The union is 0, and NVIDIA's overlap is then 0."""
    rows: list[Row] = [(0, 5, 5, 0, 0, 0.9), (0, 5, 5, 0, 0, 0.8)]
    assert len(cluster(ClusterMode.NMS, (_one(nms_iou_threshold=0.0),), _boxes(*rows))) == 2


def test_touching_boxes_stay_even_at_0() -> None:
    rows: list[Row] = [(0, 0, 0, 8, 8, 0.9), (0, 8, 0, 8, 8, 0.8)]
    assert len(cluster(ClusterMode.NMS, (_one(nms_iou_threshold=0.0),), _boxes(*rows))) == 2


def _overlap(a: Row, b: Row) -> np.float32:
    f = np.float32

    def shared(start: float, size: float, other: float, other_size: float) -> np.float32:
        end, other_end = f(start) + f(size), f(other) + f(other_size)
        return max(min(end, other_end) - max(f(start), f(other)), f(0))

    both = shared(a[1], a[3], b[1], b[3]) * shared(a[2], a[4], b[2], b[4])
    union = f(a[3]) * f(a[4]) + f(b[3]) * f(b[4]) - both
    return f(0) if union == 0 else both / union


_side = st.integers(0, 20).map(float)
_row = st.tuples(st.integers(0, 1), _side, _side, _side, _side, st.integers(1, 8).map(lambda n: n / 8))


@examples(150)
@given(st.lists(_row, max_size=14), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_nms_is_the_plain_loop(rows: list[Row], limit: float) -> None:
    expected = []
    for class_id in (0, 1):
        kept: list[Row] = []
        mine = [row for row in rows if row[0] == class_id and row[5] >= 0.25]
        for row in sorted(mine, key=lambda row: -row[5]):
            if all(_overlap(row, other) <= limit for other in kept):
                kept.append(row)
        expected += kept
    one = _one(nms_iou_threshold=limit)
    dropped = Dropped()
    found = cluster(ClusterMode.NMS, (one, one), _boxes(*rows), dropped)
    assert _rows(found) == expected
    assert len(found) + len(dropped) == len(rows)
