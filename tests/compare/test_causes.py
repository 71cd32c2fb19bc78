"""One thing is done otherwise, and that one is named; the classifiers are the samples', which everybody has."""

from __future__ import annotations

from dataclasses import astuple, replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from convert.compare import Cause, Prediction, Score, Verdict
from convert.compare.ablation import Ablation, Criteria, find_causes
from convert.compare.run import CauseTexts
from convert.errors import ValidationError
from tests.compare.bundles import SAMPLES, causes, changed, compared, config_of, judged, photo, shown
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

_TIGHT = 1e-4  # the two models agree to 1e-6 on the same numbers


def _fruit(number: int, size: tuple[int, int] = (96, 96)) -> NDArray[np.uint8]:
    return photo(sorted((SAMPLES / "pictures" / "fruit").iterdir())[number], size)


def _noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)


def _framed(inside: NDArray[np.uint8], outside: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`inside` in the middle of a frame twice as wide; nothing is scaled where Edge Impulse crops."""
    frame = np.concatenate([outside[:, :48], inside, outside[:, 48:]], axis=1)
    return np.ascontiguousarray(frame)


def test_nothing_differs_where_both_do_the_same(fruit: Path, fruit_export: Path) -> None:
    found = compared(config_of(fruit), fruit_export, *(_fruit(number) for number in range(20)), tolerance=_TIGHT)
    comparison = found.comparison
    assert [row.verdict for row in comparison.rows] == [Verdict.SAME] * 20
    assert comparison.reasons == ()
    assert comparison.findings == ()
    assert comparison.largest < _TIGHT
    assert comparison.summary == "0 of 20 pictures differ: DeepStream shows what Edge Impulse answers"


def test_the_end_of_a_fomo_graph_on_what_the_original_gives(emitted: Callable[..., Path]) -> None:
    """The original's heat map is [1,h,w,C], the graph's [1,C,h,w]."""
    export = SAMPLES / "exports" / "table-fomo-2025.zip"
    picture = photo(min((SAMPLES / "pictures" / "table").iterdir()))
    with judged(config_of(emitted(export)), export) as found:
        assert found.models.can_predict(frozenset({Cause.MODEL}))
        ablation = Ablation(found.models, picture)
        ours, theirs = ablation.predict(frozenset()).objects, ablation.predict(frozenset({Cause.MODEL})).objects
        with pytest.raises(
            ValidationError, match=r"^the end of the ONNX model does not fit the original's outputs: \S.*\S$"
        ):
            found.models.shipped.behind([np.zeros((1, 2, 2, 2), np.float32)])
    assert len(ours) == len(theirs) > 1
    for one, other in zip(ours, theirs, strict=True):
        assert one.box == other.box
        assert one.score == pytest.approx(other.score, abs=_TIGHT)


def test_boxes_of_fomo_as_large_as_they_are_made_at_least(emitted: Callable[..., Path]) -> None:
    """Edge Impulse's boxes are of one cell or several; the graph's are of three at least, and inside of the picture."""
    export = SAMPLES / "exports" / "table-fomo-2025.zip"
    picture = photo(min((SAMPLES / "pictures" / "table").iterdir()))
    with judged(config_of(emitted(export, "--fomo-box", "3")), export) as found:
        ablation = Ablation(found.models, picture)
        ours, theirs = ablation.predict(frozenset()).objects, ablation.predict(frozenset({Cause.MERGE})).objects
    assert len(ours) == len(theirs) > 1
    for one, other in zip(ours, theirs, strict=True):
        assert astuple(one.box) == pytest.approx(astuple(other.box), abs=0.1)


def test_squash_instead_of_crop(cropped: Path, fruit_export: Path) -> None:
    pictures = [_framed(_fruit(number), _fruit(-number)) for number in range(1, 20)]
    comparison = compared(config_of(cropped), fruit_export, *pictures, tolerance=_TIGHT).comparison
    wrong = [row for row in comparison.rows if row.verdict is not Verdict.SAME]
    assert len(wrong) == 19
    assert all(causes(row) == ["framing"] for row in wrong)
    differ = comparison.count(Verdict.DIFFERS)
    assert differ
    (reason,) = comparison.reasons
    assert reason.words == "nvinfer squashes where Edge Impulse crops the centre"
    assert reason.hint == "convert with --frame 2:1"
    assert reason.together == 0
    assert comparison.summary.startswith(f"{differ} of 19 pictures differ")
    assert "because nvinfer squashes where Edge Impulse crops the centre: convert with --frame 2:1" in (
        comparison.summary
    )
    assert {finding.id for finding in comparison.findings} == {"EI750", "EI751"}


def test_the_crop_in_the_graph_is_what_edge_impulse_sees(emitted: object, fruit_export: Path) -> None:
    folder = emitted(fruit_export, "--resize-mode", "fit-shortest", "--frame", "2:1", "--resize", "device")  # type: ignore[operator]
    pictures = [_framed(_fruit(number), _fruit(-number)) for number in range(1, 6)]
    comparison = compared(config_of(folder), fruit_export, *pictures, tolerance=_TIGHT).comparison
    assert comparison.count(Verdict.SAME) == 5
    framing = next(step for step in comparison.steps if step.cause is Cause.FRAMING)
    assert framing.same
    assert framing.deepstream == "scales to 192x96, of which the model sees the centre"
    square = compared(config_of(folder), fruit_export, *(_fruit(number) for number in range(5)), tolerance=_TIGHT)
    assert {cause for row in square.rows for cause in row.causes} == {Cause.FRAMING}
    assert square.comparison.reasons[0].hint == "convert again with --frame 1:1"


@pytest.mark.parametrize(
    ("keys", "wanted", "hint"),
    [
        ({"model-color-format": 1}, "colour", "model-color-format=0"),
        ({"net-scale-factor": 1}, "scaling", "net-scale-factor=0.003921569"),
        ({"net-scale-factor": 0.00784313725490196, "offsets": "127.5;127.5;127.5"}, "scaling", "net-scale-factor"),
        ({"offsets": "9;9;9"}, "scaling", "net-scale-factor"),
        ({"classifier-threshold": 0.99999}, "threshold", "classifier-threshold=0"),
    ],
)
def test_a_key_of_the_config(
    fruit: Path, fruit_export: Path, tmp_path: Path, keys: dict[str, object], wanted: str, hint: str
) -> None:
    config = changed(fruit, tmp_path, keys)
    found = compared(config, fruit_export, *(_fruit(number) for number in range(0, 20, 3)), tolerance=_TIGHT)
    rows = [row for row in found.rows if row.verdict is not Verdict.SAME]
    assert rows
    assert all(causes(row) == [wanted] for row in rows)
    (reason,) = found.comparison.reasons
    assert hint in (reason.hint or "")
    assert not next(step for step in found.comparison.steps if step.cause == wanted).same


@pytest.mark.parametrize(
    ("keys", "order", "factor", "less"),
    [
        ({"model-color-format": 1}, [2, 1, 0], 1, [0, 0, 0]),
        ({"net-scale-factor": 0.5 / 255}, [0, 1, 2], 0.5, [0, 0, 0]),
        ({"offsets": "9;8;7"}, [0, 1, 2], 1, [9, 8, 7]),
        ({"model-color-format": 1, "offsets": "9;8;7"}, [2, 1, 0], 1, [9, 8, 7]),
    ],
)
def test_what_the_original_is_given_in_the_config_s_way(
    fruit: Path, fruit_export: Path, tmp_path: Path, keys: dict[str, object], order: list[int], factor: float,
    less: list[int],
) -> None:  # fmt: skip
    """Levels that make of its own conversion the numbers that nvinfer's config makes of the picture."""
    picture = _fruit(2)
    with judged(changed(fruit, tmp_path, keys), fruit_export) as found:
        ablation = Ablation(found.models, picture)
        given_it, as_trained = (
            ablation.original_input(frozenset(done)) for done in ((), (Cause.COLOUR, Cause.SCALING))
        )
    np.testing.assert_allclose(given_it, (picture[..., order] - np.array(less, float)) * factor, atol=1e-3)
    np.testing.assert_array_equal(as_trained, picture)


def test_a_model_that_was_trained_on_bgr(fruit: Path, fruit_export: Path) -> None:
    """The config gives it RGB: what the original is given for that has its channels the other way round."""
    picture = _fruit(2)
    with judged(config_of(fruit), fruit_export) as found:
        shipped = found.models.shipped
        models = replace(found.models, shipped=replace(shipped, expected=replace(shipped.expected, color="BGR")))
        ablation = Ablation(models, picture)
        given_it, as_trained = (ablation.original_input(frozenset(done)) for done in ((), (Cause.COLOUR,)))
    np.testing.assert_allclose(given_it, picture[..., ::-1], atol=1e-3)
    np.testing.assert_array_equal(as_trained, picture)


def test_labels_that_are_spelled_otherwise(fruit: Path, fruit_export: Path, tmp_path: Path) -> None:
    config = changed(fruit, tmp_path, {}, labels={"kiwi": "Kiwi"})
    found = compared(config, fruit_export, *(_fruit(number) for number in range(20)))
    rows = [row for row in found.rows if row.verdict is Verdict.DIFFERS]
    assert {row.edge_impulse.label for row in rows} == {"kiwi"}
    assert {row.deepstream.label for row in rows} == {"Kiwi"}
    assert all(causes(row) == ["labels"] for row in rows)
    assert found.comparison.reasons[0].hint == "correct the label file: 'kiwi' is class 2"
    assert "nvinfer says 'Kiwi' where Edge Impulse says 'kiwi'" in found.comparison.summary


def test_a_label_that_is_missing_shows_nothing(fruit: Path, fruit_export: Path, tmp_path: Path) -> None:
    config = changed(fruit, tmp_path, {}, labels={";orange;pear": ""})
    found = compared(config, fruit_export, *(_fruit(number) for number in range(20)))
    rows = [row for row in found.rows if row.verdict is Verdict.DIFFERS]
    assert {row.deepstream.label for row in rows} == {""}
    assert all(causes(row) == ["labels"] for row in rows)
    assert "DeepStream shows nothing" in rows[0].words


def test_interpolation(fruit: Path, fruit_export: Path, tmp_path: Path) -> None:
    """Noise has another value between its pixels than at them; a frame of the network's size has none between."""
    config = changed(fruit, tmp_path, {"scaling-filter": 0})
    found = compared(config, fruit_export, _noise(192, 192), _fruit(3), tolerance=_TIGHT)
    assert [causes(row) for row in found.rows] == [["interpolation"], []]
    (reason,) = found.comparison.reasons
    assert reason.hint == "scaling-filter=1"
    assert reason.words.startswith("nvinfer takes the nearest pixel where Edge Impulse interpolates")
    bilinear = compared(config_of(fruit), fruit_export, _noise(192, 192), tolerance=_TIGHT)
    assert causes(bilinear.rows[0]) == ["interpolation"]
    assert bilinear.comparison.reasons[0].hint == "convert again with --frame 192x192 --resize graph"


def test_luma(shapes: Path, shapes_export: Path) -> None:
    """nvinfer's grey levels are whole numbers; Edge Impulse's have fractions."""
    found = compared(config_of(shapes), shapes_export, _noise(48, 48), tolerance=1e-5)
    assert [causes(row) for row in found.rows] == [["luma"]]
    grey = np.repeat(_noise(48, 48)[..., :1], 3, axis=2)
    assert compared(config_of(shapes), shapes_export, grey, tolerance=1e-5).rows[0].verdict is Verdict.SAME


@pytest.mark.parametrize(
    ("keys", "hint"),
    [
        ({"maintain-aspect-ratio": 0}, "maintain-aspect-ratio=1 and symmetric-padding=1"),
        ({"symmetric-padding": 0}, "maintain-aspect-ratio=1 and symmetric-padding=1"),
    ],
)
def test_bars(shapes: Path, shapes_export: Path, tmp_path: Path, keys: dict[str, object], hint: str) -> None:
    grey = np.repeat(_fruit(4, (48, 24))[..., :1], 3, axis=2)
    right = compared(config_of(shapes), shapes_export, grey, tolerance=_TIGHT)
    assert right.rows[0].verdict is Verdict.SAME
    found = compared(changed(shapes, tmp_path, keys), shapes_export, grey, tolerance=_TIGHT)
    assert causes(found.rows[0]) == ["framing"]
    assert found.comparison.reasons[0].hint == hint


def test_a_model_that_computes_something_else(fruit: Path, fruit_export: Path, tmp_path: Path) -> None:
    """Its weights were changed and its provenance was not."""
    config = changed(fruit, tmp_path, {})
    (path,) = tmp_path.glob("*.onnx")
    model = onnx.load_model(path)
    last = max(
        (one for one in model.graph.initializer if len(one.dims) == 1 and one.dims[0] == 5), key=lambda one: one.name
    )
    last.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(last) + np.array([3, 0, 0, 0, -3], np.float32), last.name)
    )
    path.write_bytes(model.SerializeToString())
    (tmp_path / "report.json").unlink()
    found = compared(config, fruit_export, *(_fruit(number) for number in range(0, 20, 3)), tolerance=_TIGHT)
    rows = [row for row in found.rows if row.verdict is not Verdict.SAME]
    assert rows
    assert all(causes(row) == ["model"] for row in rows)
    assert "computes something else" in found.comparison.reasons[0].words


def test_two_things_at_once_are_both_named(fruit: Path, fruit_export: Path, tmp_path: Path) -> None:
    config = changed(fruit, tmp_path, {"classifier-threshold": 2}, labels={"kiwi": "Kiwi"})
    kiwi = [_fruit(number) for number in range(8, 12)]
    found = compared(config, fruit_export, *kiwi, _fruit(0))
    assert [causes(row) for row in found.rows] == [["threshold", "labels"]] * 4 + [["threshold"]]
    assert {reason.cause: reason.together for reason in found.comparison.reasons} == {
        Cause.THRESHOLD: 4, Cause.LABELS: 4
    }  # fmt: skip


def test_deepstream_is_what_simulate_shows(
    cropped: Path, fruit_export: Path, shapes: Path, shapes_export: Path
) -> None:
    for config, export in ((config_of(cropped), fruit_export), (config_of(shapes), shapes_export)):
        pictures = [_fruit(number, (320, 239)) for number in range(0, 20, 4)]
        rows = compared(config, export, *pictures).rows
        for row, frame in zip(rows, shown(config, *pictures), strict=True):
            assert row.deepstream.label == frame.label.strip()
            assert row.deepstream.score == frame.classifications[0].confidence


def test_odd_frames_are_rounded(fruit: Path, fruit_export: Path) -> None:
    """Of 97 pixels nvinfer takes 96, which it need not scale."""
    found = compared(config_of(fruit), fruit_export, _noise(97, 97), tolerance=_TIGHT)
    assert "framing" in causes(found.rows[0])
    reason = next(each for each in found.comparison.reasons if each.cause is Cause.FRAMING)
    assert reason.words.startswith("nvinfer rounds where the frame lies to whole and even pixels")
    assert reason.hint is None


def test_the_stock_parser_for_classifiers_has_labels_of_its_own(
    fruit: Path, fruit_export: Path, tmp_path: Path
) -> None:
    library = "/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so"
    function = "NvDsInferClassiferParseCustomSoftmax"
    config = changed(fruit, tmp_path, {"custom-lib-path": library, "parse-classifier-func-name": function})
    found = compared(config, fruit_export, _fruit(0))
    assert found.rows[0].deepstream.label == shown(config, _fruit(0))[0].classifications[0].label == "coupe1"
    assert causes(found.rows[0]) == ["labels"]


class _Lattice:
    """A picture whose answer is Edge Impulse's exactly when all of `needed` is done its way."""

    def __init__(self, needed: frozenset[Cause]) -> None:
        self.needed = needed
        self.models = self

    def can_predict(self, _done: frozenset[Cause]) -> bool:
        return True

    def predict(self, done: frozenset[Cause]) -> Prediction:
        return _answer("right" if self.needed <= done else "wrong")


def _answer(label: str) -> Prediction:
    return Prediction(label, 1.0, (Score(0, label, 1.0),))


_PLAIN = Criteria(detects=False, cells=False, tolerance=0.1, pixel=1.0)


@examples(60)
@given(needed=st.frozensets(st.sampled_from(list(Cause)), min_size=1))
def test_what_is_named_is_what_is_needed(needed: frozenset[Cause]) -> None:
    found = find_causes(_Lattice(needed), _answer("right"), Verdict.DIFFERS, tuple(Cause), _PLAIN)  # type: ignore[arg-type]
    assert found == tuple(cause for cause in Cause if cause in needed)


@examples(60)
@given(sets=st.lists(st.frozensets(st.sampled_from(list(Cause)), min_size=1, max_size=3), min_size=2, max_size=3))
def test_where_there_are_several_sets_one_is_named_whole(sets: list[frozenset[Cause]]) -> None:
    class Sets(_Lattice):
        def predict(self, done: frozenset[Cause]) -> Prediction:
            return _answer("right" if any(each <= done for each in sets) else "wrong")

    found = frozenset(find_causes(Sets(frozenset()), _answer("right"), Verdict.DIFFERS, tuple(Cause), _PLAIN))  # type: ignore[arg-type]
    assert found in sets


def test_every_cause_has_a_text(fruit: Path, fruit_export: Path) -> None:
    found = compared(config_of(fruit), fruit_export, _fruit(0))
    texts = CauseTexts(found.models, 320, 240)
    for cause in (Cause.FRAMING, Cause.INTERPOLATION, Cause.COLOUR, Cause.SCALING, Cause.MODEL, Cause.LABELS):
        words, _ = texts.reason(cause)
        assert words.startswith("nvinfer ")
        assert " where Edge Impulse " in words
        assert texts.step(cause).deepstream
