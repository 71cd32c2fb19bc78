"""Pictures through chains of engines whose answers can be told from the picture."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from convert.check.loading import check_target
from convert.errors import InputError
from convert.images.read import Picture, Unreadable
from convert.simulate.engine import Source, load
from convert.simulate.job import in_order
from convert.simulate.run import PARTS, Prefetch, Runner, inputs_at_once
from tests.simulate.engines import BLUE, GREEN, RED, block, classifier, detector, plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.simulate.results import FrameResult

HERE = check_target("deepstream-9.1", "dgpu")


def _runner(*configs: Path, **more: Any) -> Runner:
    loaded = [load(Source(config), more.get("where", HERE)) for config in configs]
    return Runner(tuple(loaded[position] for position in in_order([each.engine for each in loaded])))


def _pictures(folder: Path, *arrays: NDArray[np.uint8]) -> list[Picture | Unreadable]:
    return [Picture(f"p{number}", folder / f"p{number}.png", array) for number, array in enumerate(arrays)]


def _frames(runner: Runner, pictures: Iterable[Picture | Unreadable]) -> list[FrameResult]:
    return [frame for _, frame in runner(pictures)]


def _one(runner: Runner, folder: Path, picture: NDArray[np.uint8]) -> FrameResult:
    (frame,) = _frames(runner, _pictures(folder, picture))
    return frame


def _sizes(runner: Runner, pictures: Sequence[Picture | Unreadable]) -> list[int]:
    """Of the groups."""
    sizes = []
    for group in Prefetch(runner.engines[0], runner.seconds)(pictures):
        assert len(group.values) == len(group.pictures)
        sizes.append(len(group.pictures))
    return sizes


class TestPrimary:
    def test_a_detector_finds_what_is_painted(self, tmp_path: Path) -> None:
        frame = _one(_runner(detector(tmp_path)), tmp_path, block(64, 128, RED, GREEN, BLUE))
        assert [(one.label, one.class_id, round(one.confidence, 3)) for one in frame.objects] == [
            ("red", 0, 1.0), ("green", 1, 1.0), ("blue", 2, 1.0)
        ]  # fmt: skip
        red, green, blue = (one.box for one in frame.objects)
        assert (red.left, red.top, red.width, red.height) == pytest.approx((0, 0, 64, 32), abs=1e-4)
        # The last column and row end one network pixel early: 4 pixels across, 2 down in the picture.
        assert (green.left, green.top, green.width, green.height) == pytest.approx((64, 0, 60, 32), abs=1e-4)
        assert (blue.left, blue.top, blue.width, blue.height) == pytest.approx((0, 32, 64, 30), abs=1e-4)
        assert [one.left for one in frame.decoded] == pytest.approx([0, 16, 0], abs=1e-5)

    def test_what_is_lost_says_by_which_key(self, tmp_path: Path) -> None:
        config = detector(tmp_path, all_pre_cluster_threshold=0.7)
        frame = _one(_runner(config), tmp_path, block(64, 64, (153, 102, 0)))
        assert not frame.shows
        best, second = frame.dropped
        assert (best.key, best.label, best.why) == (
            "pre-cluster-threshold", "red", "confidence 0.6 is below pre-cluster-threshold=0.7"
        )  # fmt: skip
        assert second.label == "green"
        assert best.box is not None
        assert (best.box.left, best.box.top, best.box.width) == pytest.approx((0, 0, 32), abs=1e-4)

    def test_what_is_lost_lies_where_it_was_in_the_picture(self, tmp_path: Path) -> None:
        config = detector(tmp_path, maintain_aspect_ratio=1, symmetric_padding=1, all_pre_cluster_threshold=0.9)
        frame = _one(_runner(config), tmp_path, plain(64, 128, RED))
        boxes = [one.box for one in frame.dropped if one.box is not None and one.label == "red"]
        corners = [(box.left, box.top) for box in boxes]
        # 16 network pixels are 64 of the picture, and 8 of them, 32, are padding above it
        np.testing.assert_allclose(corners, [(0, -32), (64, -32), (0, 32), (64, 32)], atol=1e-3)

    def test_where_there_is_nothing_one_candidate_says_so(self, tmp_path: Path) -> None:
        frame = _one(_runner(detector(tmp_path)), tmp_path, block(64, 64))
        assert [one.confidence for one in frame.dropped] == [0.0]

    def test_cells_that_the_graph_has_merged_are_no_candidates(self, tmp_path: Path) -> None:
        config = detector(tmp_path)
        (path,) = tmp_path.glob("*.onnx")
        model = onnx.load_model(path)
        onnx.helper.set_model_props(model, {"ei_deepstream.merge": "touching"})
        onnx.save_model(model, path)
        assert _one(_runner(config), tmp_path, block(64, 64)).dropped == ()

    def test_a_classifier_names_the_picture(self, tmp_path: Path) -> None:
        runner = _runner(classifier(tmp_path, process_mode=1))
        red, dark = _frames(runner, _pictures(tmp_path, plain(30, 40, RED), plain(30, 40, (0, 120, 0))))
        assert (red.label, red.classifications[0].label, red.classifications[0].confidence) == ("red ", "red", 1.0)
        assert (dark.label, dark.classifications, dark.shows) == ("", (), False)
        (lost,) = dark.dropped
        assert (lost.key, lost.label, lost.box) == ("classifier-threshold", "green", None)

    def test_a_label_the_file_does_not_have(self, tmp_path: Path) -> None:
        config = classifier(tmp_path, process_mode=1)
        (tmp_path / "colour_labels.txt").write_text("red\ngreen\nblue\n")  # one a line: only class 0 has one
        frame = _one(_runner(config), tmp_path, plain(8, 8, BLUE))
        assert not frame.shows
        assert frame.dropped[0].key == "labelfile-path"

    def test_boxes_come_back_through_the_padding(self, tmp_path: Path) -> None:
        config = detector(tmp_path, maintain_aspect_ratio=1, symmetric_padding=1)
        frame = _one(_runner(config), tmp_path, plain(64, 128, RED))
        # 128x64 becomes 32x16 in 32x32: each cell is half picture, half black. The upper ones begin above the picture
        # and are moved in; the lower ones end below it and are left out.
        boxes = [(one.box.left, one.box.top, one.box.width, one.box.height) for one in frame.objects]
        np.testing.assert_allclose(boxes, [(0, 0, 64, 64), (64, 0, 60, 64)], atol=1e-4)
        assert [one.key for one in frame.dropped] == ["roi-bottom-offset"] * 2
        assert frame.placement is not None
        assert frame.placement.view.offset_top == 8

    def test_picture_by_picture_or_in_batches_is_the_same(self, tmp_path: Path) -> None:
        random = np.random.default_rng(1)
        arrays = [random.integers(0, 256, (20 + 2 * n, 60, 3), np.uint8) for n in range(7)]
        results = []
        ways: tuple[tuple[str, dict[str, Any]], ...] = (
            ("one", {}),
            ("three", {"batch_size": 3}),
            ("fixed", {"batch": 4, "batch_size": 4}),
        )
        for name, keys in ways:
            folder = tmp_path / name
            folder.mkdir()
            runner = _runner(detector(folder, all_pre_cluster_threshold=0.49, **keys))
            results.append([(frame.objects, frame.dropped) for frame in _frames(runner, _pictures(tmp_path, *arrays))])
        assert results[0] == results[1] == results[2]
        assert any(objects for objects, _ in results[0])

    def test_memory_bounds_a_group(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("convert.simulate.run.GROUP_BYTES", 30 * 40 * 3 * 2)
        runner = _runner(classifier(tmp_path, process_mode=1))
        groups = _sizes(runner, _pictures(tmp_path, *[plain(30, 40, RED)] * 5))
        assert groups == [2, 2, 1]

    def test_what_is_prepared_ahead_does_not_disturb_what_is_looked_at(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("convert.simulate.run.GROUP_BYTES", 30 * 40 * 3 * 2)
        runner = _runner(classifier(tmp_path, process_mode=1))
        pictures = _pictures(tmp_path, *(np.full((30, 40, 3), 10 * level, np.uint8) for level in range(9)))
        groups = Prefetch(runner.engines[0], runner.seconds)(pictures)
        seen: list[float] = []
        for group in groups:
            time.sleep(0.02)  # the next group has been prepared meanwhile
            seen += [float(values.mean() / runner.engines[0].prepare.scale) for values in group.values]
        assert seen == pytest.approx([10.0 * level for level in range(9)])

    def test_a_fault_in_reading_pictures_is_not_lost(self, tmp_path: Path) -> None:
        def faulty() -> Iterator[Picture | Unreadable]:
            yield from _pictures(tmp_path, plain(30, 40, RED))
            raise InputError("the video ends here")

        with pytest.raises(InputError, match="the video ends here"):
            _frames(_runner(classifier(tmp_path, process_mode=1)), faulty())

    @pytest.mark.parametrize(("batch", "group", "room"), [(1, 4, 100), (100, 100, 100), (2, 3, 3), (6, 6, 5)])
    def test_a_group_is_a_batch_or_more(
        self, tmp_path: Path, batch: int, group: int, room: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("convert.simulate.run._INPUT_BYTES", room * 4 * 3 * 16 * 16)
        runner = _runner(classifier(tmp_path, process_mode=1, batch_size=batch))
        pictures = _pictures(tmp_path, *[plain(4, 4, RED)] * (group + 1))
        assert _sizes(runner, pictures) == [group, 1]

    def test_time_is_told_for_every_part(self, tmp_path: Path) -> None:
        runner = _runner(classifier(tmp_path, process_mode=1))
        assert runner.seconds == dict.fromkeys(PARTS, 0)
        simulation = runner.simulation(_frames(runner, _pictures(tmp_path, plain(30, 40, RED))))
        assert set(simulation.seconds) == set(PARTS)
        assert all(0 < seconds < 600 for part, seconds in simulation.seconds.items() if part != "decode pictures")


class TestLeftOut:
    def test_pictures_that_cannot_be_scaled_are_findings(self, tmp_path: Path) -> None:
        runner = _runner(classifier(tmp_path, process_mode=1, batch_size=4))
        arrays = [plain(1, 1, RED), plain(2, 2, RED), plain(1, 50, RED), plain(9, 9, GREEN)]
        frames = _frames(runner, _pictures(tmp_path, *arrays))
        assert [(frame.name, frame.label) for frame in frames] == [("p1", "red "), ("p3", "green ")]
        assert [(one.id, one.path) for one in runner.findings] == [
            ("EI700", str(tmp_path / "p0.png")), ("EI700", str(tmp_path / "p2.png"))
        ]  # fmt: skip

    def test_an_aspect_too_extreme(self, tmp_path: Path) -> None:
        runner = _runner(classifier(tmp_path, process_mode=1, maintain_aspect_ratio=1))
        assert not _frames(runner, _pictures(tmp_path, plain(2, 200, RED)))
        assert "less than one pixel" in runner.findings[0].message

    def test_unreadable_files_are_findings(self, tmp_path: Path) -> None:
        runner = _runner(classifier(tmp_path, process_mode=1))
        bad = Unreadable(tmp_path / "bad.jpg", InputError("not a picture", hint="leave it out"))
        frames = _frames(runner, [bad, *_pictures(tmp_path, plain(8, 8, RED))])
        assert [frame.name for frame in frames] == ["p0"]
        (finding,) = runner.findings
        assert (finding.message, finding.path, finding.hint) == ("not a picture", str(bad.source), "leave it out")


class TestSecondary:
    def test_a_classifier_behind_a_detector(self, tmp_path: Path) -> None:
        runner = _runner(detector(tmp_path), classifier(tmp_path))
        frame = _one(runner, tmp_path, block(64, 64, RED, GREEN, BLUE))
        assert [one.text for one in frame.objects] == ["red red", "green green", "blue blue"]
        assert [one.classifications[0].engine for one in frame.objects] == [2, 2, 2]
        assert not any(one.skipped for one in frame.objects)

    @pytest.mark.parametrize("batch", [0, 2])
    @pytest.mark.parametrize("room", [1, 3, 100])
    def test_objects_go_in_batches(
        self, tmp_path: Path, batch: int, room: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("convert.simulate.run._INPUT_BYTES", room * 4 * 3 * 16 * 16)
        runner = _runner(detector(tmp_path), classifier(tmp_path, batch=batch, batch_size=2))
        frames = _frames(runner, _pictures(tmp_path, block(64, 64, RED, GREEN, BLUE), block(32, 32, BLUE, BLUE)))
        assert [[one.text for one in frame.objects] for frame in frames] == [
            ["red red", "green green", "blue blue"], ["blue blue", "blue blue"]
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("keys", "seen", "why"),
        [
            ({"operate_on_gie_id": 1}, [True, True], ""),
            ({"operate_on_gie_id": 7}, [False, False], "it was found by engine 1, operate-on-gie-id=7"),
            ({"operate_on_class_ids": "1;2"}, [False, True], "its class 0 is not in operate-on-class-ids=1;2"),
            ({"input_object_min_width": 31}, [True, False], "its width 30 is below input-object-min-width=31"),
            ({"input_object_min_height": 33}, [False, False], "its height 32 is below input-object-min-height=33"),
            ({"input_object_max_width": 31}, [False, True], "its width 32 is above input-object-max-width=31"),
            ({"input_object_max_width": 32, "input_object_min_height": 32}, [True, True], ""),
            ({"input_object_max_height": 5}, [False, False], "its height 32 is above input-object-max-height=5"),
            (
                {"classifier_async_mode": 1},
                [False, False],
                "classifier-async-mode=1, and without a tracker no object is looked at",
            ),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
    )
    def test_who_is_passed_over(self, tmp_path: Path, keys: dict[str, Any], seen: list[bool], why: str) -> None:
        runner = _runner(detector(tmp_path), classifier(tmp_path, **keys))
        frame = _one(runner, tmp_path, block(64, 64, RED, GREEN))
        assert [bool(one.classifications) for one in frame.objects] == seen
        assert [not one.skipped for one in frame.objects] == seen
        for one in frame.objects:
            assert all(sentence == f"engine 2 did not look at it: {why}" for sentence in one.skipped)
        assert [finding.id for finding in runner.findings] == ([] if any(seen) else ["EI704"])

    def test_a_jetson_passes_over_less_than_16_pixels(self, tmp_path: Path) -> None:
        configs = detector(tmp_path), classifier(tmp_path)
        picture = block(30, 30, RED, GREEN)  # objects of 15 pixels
        assert _one(_runner(*configs), tmp_path, picture).objects[0].classifications
        jetson = check_target("deepstream-7.1", "jetson")
        frame = _one(_runner(*configs, where=jetson), tmp_path, picture)
        assert "below input-object-min-width=16" in frame.objects[0].skipped[0]
        gpu = classifier(tmp_path, "gpu", scaling_compute_hw=1)
        assert _one(_runner(configs[0], gpu, where=jetson), tmp_path, picture).objects[0].classifications

    def test_a_detector_behind_a_detector(self, tmp_path: Path) -> None:
        second = detector(tmp_path, "second", gie_unique_id=3, process_mode=2, operate_on_gie_id=1)
        third = classifier(tmp_path, "third", gie_unique_id=4, operate_on_gie_id=3)
        # given in the wrong order: the chain is put right
        runner = _runner(detector(tmp_path), third, second)
        assert [loaded.engine.settings.unique_id for loaded in runner.engines] == [1, 3, 4]
        frame = _one(runner, tmp_path, block(128, 128, RED))
        (first, *inner) = frame.objects
        assert (first.engine, first.parent, first.classifications) == (1, None, ())
        assert {(one.engine, one.parent, one.label) for one in inner} == {(3, 0, "red")}
        assert len(inner) == 4
        assert all(one.classifications[0].engine == 4 for one in inner)
        last = inner[-1].box
        assert (last.left, last.top) == pytest.approx((32, 32), abs=1e-3)
        assert "it was found by engine 1" in first.skipped[0]

    def test_what_a_detector_behind_a_detector_loses_lies_in_its_object(self, tmp_path: Path) -> None:
        second = detector(tmp_path, "second", gie_unique_id=3, process_mode=2, all_pre_cluster_threshold=0.7)
        picture = plain(64, 64, GREEN)
        picture[32:] = (0, 153, 0)
        frame = _one(_runner(detector(tmp_path), second), tmp_path, picture)
        third = [one for one in frame.dropped if one.engine == 3 and one.of == 2]  # object 2 begins at (0,32)
        assert {one.key for one in third} == {"pre-cluster-threshold"}
        assert min(one.box.top for one in third if one.box) == pytest.approx(32, abs=1e-3)
        wide = detector(tmp_path, "wide", gie_unique_id=3, process_mode=2, all_detected_max_w=10)
        frame = _one(_runner(detector(tmp_path), wide), tmp_path, picture)
        attached = [one for one in frame.dropped if one.key == "detected-max-w" and one.of == 1 and one.box]
        assert min(one.box.left for one in attached if one.box) == pytest.approx(32, abs=1e-3)

    def test_two_classifiers_in_the_order_of_the_chain(self, tmp_path: Path) -> None:
        runner = _runner(detector(tmp_path), classifier(tmp_path), classifier(tmp_path, "again", gie_unique_id=9))
        frame = _one(runner, tmp_path, block(64, 64, RED))
        assert [said.engine for said in frame.objects[0].classifications] == [2, 9]
        assert frame.objects[0].text == "red red red"

    def test_what_a_secondary_classifier_does_not_say(self, tmp_path: Path) -> None:
        runner = _runner(detector(tmp_path), classifier(tmp_path, classifier_threshold=0.9))
        frame = _one(runner, tmp_path, block(64, 64, (200, 0, 0)))
        assert not frame.objects[0].classifications
        (lost,) = [one for one in frame.dropped if one.engine == 2]
        assert (lost.of, lost.key, lost.label) == (0, "classifier-threshold", "red")

    def test_an_object_that_cannot_be_cut_out(self, tmp_path: Path) -> None:
        runner = _runner(detector(tmp_path), classifier(tmp_path))
        frame = _one(runner, tmp_path, plain(2, 64, RED))  # objects one pixel high
        assert "narrower or lower than 2 pixels" in frame.objects[0].skipped[0]
        assert [finding.id for finding in runner.findings] == ["EI703", "EI704"]

    def test_behind_a_primary_classifier_the_whole_picture_is_looked_at(self, tmp_path: Path) -> None:
        first = classifier(tmp_path, "first", gie_unique_id=1, process_mode=1)
        picture = plain(16, 16, GREEN)
        picture[:3], picture[-1], picture[:, 0], picture[:, -2:] = 0, 0, 0, 0
        frame = _one(_runner(first, classifier(tmp_path, classifier_threshold=0.1)), tmp_path, picture)
        assert [(said.engine, said.label) for said in frame.classifications] == [(1, "green"), (2, "green")]
        assert [said.confidence for said in frame.classifications] == pytest.approx([12 * 13 / 256] * 2)
        assert frame.label == "green "

    def test_class_ids_behind_a_classifier_end_the_process(self, tmp_path: Path) -> None:
        first = classifier(tmp_path, "first", gie_unique_id=1, process_mode=1)
        runner = _runner(first, classifier(tmp_path, operate_on_class_ids="0"))
        with pytest.raises(InputError) as caught:
            _one(runner, tmp_path, plain(20, 20, GREEN))
        assert caught.value.message == (
            "nvinfer's process ends here (std::out_of_range): operate-on-class-ids is compared with class -1, which a "
            "primary classifier gives to the whole frame"
        )
        assert caught.value.hint == "remove operate-on-class-ids behind a classifier"

    def test_a_crop_is_what_nvinfer_cuts(self, tmp_path: Path) -> None:
        """Left and top up to even, sizes down: an odd border of another colour does not come in."""
        picture = plain(66, 66, BLUE)
        picture[:33, :33] = RED
        runner = _runner(detector(tmp_path), classifier(tmp_path, classifier_threshold=0.99))
        frame = _one(runner, tmp_path, picture)
        assert frame.objects[0].label == "red"
        assert frame.objects[0].classifications[0].label == "red"


def test_a_parser_that_gives_up_is_a_finding_and_a_note(tmp_path: Path) -> None:
    config = detector(tmp_path)
    library = "/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so"
    more = f"custom-lib-path={library}\nparse-bbox-func-name=NvDsInferParseCustomTfSSD\n"
    config.write_text(config.read_text().replace("[class-attrs-all]", more + "[class-attrs-all]"))
    runner = _runner(config)
    frames = _frames(runner, _pictures(tmp_path, plain(9, 9, RED), plain(9, 9, RED)))
    assert [finding.id for finding in runner.findings] == ["EI702"]
    assert not any(frame.shows for frame in frames)
    assert "some layers missing" in frames[1].notes[0]
    assert runner.simulation(frames).engines[0].failure.startswith("some layers missing")


def test_nan_among_the_scores_of_a_class_is_a_finding(tmp_path: Path) -> None:
    """Black pixels times infinity are NaN, the others infinity."""
    runner = _runner(detector(tmp_path, cluster_mode=2, net_scale_factor="inf"))
    _frames(runner, _pictures(tmp_path, block(64, 64, RED, GREEN), block(64, 64, RED, GREEN)))
    assert [(finding.id, finding.level) for finding in runner.findings] == [("EI707", "warning")]


@pytest.mark.parametrize(
    ("shape", "inputs"), [((1, 4096, 4096), 1), ((1, 4096, 4097), 1), ((2, 2048, 2048), 2), ((3, 320, 320), 54)]
)
def test_inputs_of_64_megabytes_are_made_at_once(shape: tuple[int, ...], inputs: int) -> None:
    loaded = SimpleNamespace(prepare=SimpleNamespace(shape=shape))
    assert inputs_at_once(loaded) == inputs  # type: ignore[arg-type]
