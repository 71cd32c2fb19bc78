"""Pictures: sizes, places, colours, and that nothing is hidden, cut off or left out in silence."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convert.images.scaling import Rect
from convert.render import drawing
from convert.render.drawing import BLACK, STYLES, WHITE, Style, draw, enlargement, page_picture, png, style_of
from convert.simulate.decode import Classification
from convert.simulate.results import DetectedObject, DroppedCandidate, FrameResult
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from convert.render.drawing import Line
    from tests.render.conftest import Street

GREY = 128


def frame(width: int, height: int, *objects: DetectedObject, **more: object) -> FrameResult:
    return FrameResult("name", Path("name.jpg"), width, height, None, objects=objects, **more)  # type: ignore[arg-type]


def grey(one: FrameResult) -> NDArray[np.uint8]:
    return np.full((one.height, one.width, 3), GREY, np.uint8)


def found(box: Rect, class_id: int = 0, confidence: float = 0.5, label: str = "car") -> DetectedObject:
    return DetectedObject(1, class_id, label, confidence, box)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The texts that `draw` writes, in order."""

    def texts(one: FrameResult, **options: object) -> list[str]:
        said: list[str] = []

        def write(_pen: object, line: Line, *_: object) -> None:
            said.append(line.text)

        monkeypatch.setattr(drawing, "write", write)
        draw(grey(one), one, **options)  # type: ignore[arg-type]
        return said

    return texts


@pytest.mark.parametrize(
    ("width", "height", "times"),
    [(1, 1, 480), (96, 96, 5), (96, 48, 5), (160, 120, 3), (320, 240, 2), (479, 1, 2), (480, 1, 1), (3840, 2160, 1)],
)
def test_the_longer_side_gets_at_least_480_pixels(width: int, height: int, times: int) -> None:
    assert enlargement(width, height) == times
    assert max(width, height) * times >= 480


def test_every_pixel_of_a_small_picture_becomes_a_square() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (96, 64, 3), dtype=np.uint8)
    one = frame(64, 96, label="apple ", classifications=(Classification(1, 0, 0, 0.5, "apple"),))
    drawn = np.asarray(draw(pixels, one))
    assert drawn.shape[1] == 320
    assert drawn.shape[0] > 480
    assert (drawn[:480] == pixels.repeat(5, axis=0).repeat(5, axis=1)).all()


def test_a_large_picture_without_captions_keeps_its_size() -> None:
    one = frame(640, 480, found(Rect(10, 100, 50, 50)))
    assert draw(grey(one), one).size == (640, 480)


def test_a_narrow_picture_stands_in_the_middle() -> None:
    one = frame(10, 1000, found(Rect(0, 0, 10, 10)))
    drawn = np.asarray(draw(grey(one), one))
    assert drawn.shape == (1000, 320, 3)
    assert (drawn[500, 155:165] == GREY).all()
    assert (drawn[500, :155] != GREY).all()
    assert (drawn[500, 165:] != GREY).all()


@pytest.mark.parametrize(
    ("size", "expected"),
    [((4000, 2000), (960, 480)), ((961, 500), (960, 499)), ((960, 500), (960, 500)), ((1000, 4000), (320, 960))],
)
def test_a_picture_on_the_page_has_960_pixels_at_most(size: tuple[int, int], expected: tuple[int, int]) -> None:
    one = frame(*size, found(Rect(0, 0, 10, 10)))
    assert draw(grey(one), one, page=True).size == expected


def test_extreme_shapes() -> None:
    for width, height in ((1, 1), (20_000, 1), (1, 20_000), (20_000, 40)):
        one = frame(width, height, found(Rect(0, 0, width, height)), dropped=())
        assert draw(grey(one), one, page=True).width >= 320


def test_the_same_bytes_again_and_the_pixels_stay_as_they_are(street: Street) -> None:
    for one in street.simulation.frames:
        pixels = street.pixels[one.name]
        before = pixels.copy()
        assert png(draw(pixels, one)) == png(draw(pixels.copy(), one))
        assert page_picture(pixels, one) == page_picture(pixels, one)
        assert (pixels == before).all()


@pytest.mark.parametrize("shape", [(10, 20), (10, 20, 1), (20, 10, 3), (10, 20, 4)])
def test_a_picture_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="'name' is uint8"):
        draw(np.zeros(shape, np.uint8), frame(20, 10))


def test_other_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="is float32"):
        draw(np.zeros((10, 20, 3), np.float32), frame(20, 10))


def test_a_box_lies_where_it_was_found() -> None:
    one = frame(640, 480, found(Rect(200, 100, 100, 50), class_id=1))
    drawn = np.asarray(draw(grey(one), one)).astype(int)
    colour = style_of(1, 1).colour
    assert tuple(drawn[125, 200]) == colour
    assert tuple(drawn[125, 299]) == colour
    assert tuple(drawn[149, 250]) == colour
    assert (drawn[104:146, 204:296] == GREY).all(), "what is in the box is hidden"
    changed = np.argwhere((drawn != GREY).any(axis=2))
    assert changed[:, 1].min() >= 197
    assert changed[:, 1].max() <= 302 or changed[:, 0].max() < 150
    assert changed[:, 0].max() <= 152


def test_a_box_of_a_small_picture_is_enlarged_with_it() -> None:
    one = frame(96, 96, found(Rect(24, 40, 32, 16)))
    drawn = np.asarray(draw(grey(one), one))
    assert tuple(drawn[48 * 5, 24 * 5]) == style_of(1, 0).colour
    assert tuple(drawn[48 * 5, 56 * 5 - 1]) == style_of(1, 0).colour
    assert (drawn[42 * 5 : 54 * 5, 26 * 5 : 54 * 5] == GREY).all()


@pytest.mark.parametrize("ground", [0, 255])
def test_a_box_is_seen_on_black_and_on_white(ground: int) -> None:
    for class_id in range(len(STYLES)):
        one = frame(640, 480, found(Rect(200, 100, 100, 50), class_id=class_id))
        drawn = np.asarray(draw(np.full((480, 640, 3), ground, np.uint8), one)).astype(int)
        line = drawn[125, 190:215]
        assert abs(line - ground).max() > 90, class_id


def test_a_box_is_seen_on_its_own_colour() -> None:
    one = frame(640, 480, found(Rect(200, 100, 100, 50)))
    ground = np.full((480, 640, 3), style_of(1, 0).colour, np.uint8)
    drawn = np.asarray(draw(ground, one))
    assert (drawn[125, 190:204] == 0).all(axis=1).sum() == 2, "a dark edge on both sides of the line"


def test_looks_differ_and_come_again_only_after_all() -> None:
    assert len({(one.colour, one.core) for one in STYLES}) == len(STYLES) == 21
    assert style_of(1, 0) != style_of(2, 0)
    assert style_of(1, 4) == style_of(1, 25)
    assert style_of(4294967295, 4294967295) in STYLES


def _linear(colour: tuple[int, int, int]) -> NDArray[np.float64]:
    values = np.array(colour) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.clip(matrix @ linear / (0.9505, 1, 1.089), 1e-9, None))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize(
    "seen",
    [
        np.eye(3),
        # Viénot, Brettel and Mollon 1999: what protanopes and deuteranopes see of linear RGB
        np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
        np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
    ],
    ids=["all", "protanopia", "deuteranopia"],
)
def test_colours_are_told_apart_by_colour_blind_people(seen: NDArray[np.float64]) -> None:
    labs = [_lab(seen @ _linear(one.colour)) for one in STYLES[:7]]
    distances = [np.linalg.norm(a - b) for i, a in enumerate(labs) for b in labs[:i]]
    assert min(distances) > 15  # CIE76; 2.3 is just noticeable


def test_a_line_of_pixels_is_made_smaller_to_one_pixel_on_the_page() -> None:
    def height_of(rows: int) -> int:
        frame = FrameResult("x", Path("x.png"), 3000, rows, None)
        with Image.open(io.BytesIO(page_picture(np.zeros((rows, 3000, 3), np.uint8), frame))) as image:
            return image.height

    one, same, two = map(height_of, (1, 3, 6))
    assert (same, two) == (one, one + 1)


def test_text_on_the_colours_has_the_contrast_wcag_asks_for() -> None:
    weights = np.array([0.2126, 0.7152, 0.0722])
    for one in STYLES:
        ground, text = (float(weights @ _linear(colour)) for colour in (one.colour, one.text))
        assert (max(ground, text) + 0.05) / (min(ground, text) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("dark", "light"),
    [
        ((117, 117, 117), (118, 118, 118)), ((236, 0, 0), (237, 0, 0)), ((0, 137, 0), (0, 138, 0)),
        ((187, 90, 0), (188, 90, 0)), ((90, 129, 0), (90, 130, 0)), ((186, 60, 200), (187, 60, 200)),
    ],
)  # fmt: skip
def test_text_is_black_from_where_it_stands_out_more(dark: tuple[int, int, int], light: tuple[int, int, int]) -> None:
    assert (Style(0, dark).text, Style(0, light).text) == (WHITE, BLACK)


def test_what_is_written_on_a_box(written: Callable[..., list[str]]) -> None:
    said = (Classification(2, 0, 0, 0.875, "ripe"), Classification(3, 0, 4, 0.5, None))
    one = frame(640, 480, replace(found(Rect(100, 100, 50, 50), confidence=0.9375), classifications=said))
    assert written(one) == ["car 0.938", "ripe 0.875"], "nvinfer shows no class without a label"


def test_an_object_without_label_says_so(written: Callable[..., list[str]]) -> None:
    assert written(frame(640, 480, found(Rect(100, 100, 50, 50), class_id=7, label=""))) == ["class 7 (no label) 0.500"]


def test_a_classifier_label_is_the_caption(written: Callable[..., list[str]]) -> None:
    said = (
        Classification(1, 0, 0, 0.75, "apple"),
        Classification(1, 1, 2, 0.5, "ripe"),
        Classification(1, 2, 2, 0.5, None),
    )
    one = frame(96, 96, label="apple ripe ", classifications=said)
    assert written(one) == ["apple 0.750, ripe 0.500", "96 x 96 pixels, drawn 5 times as large"]
    assert written(one, page=True) == ["apple 0.750, ripe 0.500"]


def test_nothing_shown_is_said_with_its_reason(written: Callable[..., list[str]]) -> None:
    lost = DroppedCandidate(1, "topk", "number 21 of its class, topk=20", 0, 0.2, "car", None)
    one = frame(640, 480, dropped=(lost,))
    assert written(one) == ["Nothing shown", "Best candidate: car: number 21 of its class, topk=20"]
    assert written(one, page=True) == ["Nothing shown"]
    assert written(frame(640, 480)) == ["Nothing shown", "There was no candidate."]
    assert written(frame(640, 480, notes=("The parser failed.",))) == ["Nothing shown", "The parser failed."]


def test_a_long_reason_stays_in_the_strip(written: Callable[..., list[str]]) -> None:
    lost = DroppedCandidate(1, "topk", "word " * 200, 0, 0.2, "car", None)
    texts = written(frame(480, 480, dropped=(lost,)))
    assert len(texts) == 5
    assert texts[-1].endswith("…")


def test_the_best_candidate_that_is_not_shown_is_dashed() -> None:
    lost = DroppedCandidate(1, "topk", "why", 0, 0.2, "car", Rect(100, 100, 200, 100))
    one = frame(640, 480, dropped=(replace(lost, box=None), lost))
    drawn = np.asarray(draw(grey(one), one))
    edge = {tuple(pixel) for pixel in drawn[100, 100:300].tolist()}
    assert edge == {drawing._NOTHING, (0, 0, 0)}
    shown = np.asarray(draw(grey(one), replace(one, objects=(found(Rect(0, 0, 20, 20)),))))
    assert (shown[140:160, 90:310] == GREY).all(), "where something is shown, nothing else is drawn"


def test_labels_without_room_are_counted(written: Callable[..., list[str]]) -> None:
    crowd = tuple(found(Rect(i % 7, i % 5, 60, 60), confidence=i / 1000) for i in range(300))
    texts = written(frame(640, 480, *crowd))
    labels = texts[:-1]
    assert "car 0.299" in labels, "the most confident one has the choice"
    assert texts[-1] == f"300 objects, no room for the labels of {300 - len(labels)}"


def test_a_crowd_is_drawn_in_reasonable_time() -> None:
    random = np.random.default_rng(2)
    crowd = [found(Rect(*random.uniform(0, 400, 4).tolist()), int(i) % 90, float(i) / 3000) for i in range(3000)]
    one = frame(640, 480, *crowd)
    assert draw(grey(one), one).width == 640


numbers = st.floats(width=32) | st.integers(-50, 150).map(float)
rects = st.builds(Rect, numbers, numbers, numbers, numbers)
labels = st.text(st.characters(), max_size=20)


@examples(60)
@given(
    st.lists(st.builds(DetectedObject, st.integers(0, 9), st.integers(0, 99), labels, numbers, rects), max_size=4),
    st.lists(
        st.builds(DroppedCandidate, st.just(1), labels, labels, st.integers(0, 9), numbers, labels, rects), max_size=2
    ),
    labels,
)
def test_any_box_and_label_can_be_drawn(
    objects: list[DetectedObject], lost: list[DroppedCandidate], label: str
) -> None:
    one = frame(
        90, 60, *objects, dropped=tuple(lost), label=label, classifications=(Classification(1, 0, 0, 0.5, label),)
    )
    drawn = draw(grey(one), one)
    assert drawn.width == 540
    assert drawn.height >= 360


def test_boxes_that_are_not_numbers_are_left_out_and_counted(written: Callable[..., list[str]]) -> None:
    one = frame(640, 480, found(Rect(math.nan, 0, 10, 10)), found(Rect(0, 0, math.inf, 10)))
    assert written(one) == ["2 objects, no room for the labels of 2"]


def test_confidences_that_are_not_numbers_come_last(written: Callable[..., list[str]]) -> None:
    one = frame(640, 480, found(Rect(0, 100, 9, 9), confidence=math.nan), found(Rect(300, 100, 9, 9)))
    assert written(one) == ["car nan", "car 0.500"]  # the best is written last, on top


def test_pictures_for_the_page(street: Street) -> None:
    kinds = {}
    for one in street.simulation.frames:
        with Image.open(io.BytesIO(page_picture(street.pixels[one.name], one))) as image:
            kinds[one.name] = image.format
            assert max(image.size) < 1300
    assert kinds == {"crossing": "JPEG", "crop": "PNG", "night": "JPEG", "empty": "JPEG"}


@pytest.mark.parametrize(("size", "larger"), [((640, 480), 1), ((64, 48), 8)])
def test_what_is_said_below_a_picture_lies_over_the_bottom_of_a_videos_frame(
    size: tuple[int, int], larger: int
) -> None:
    one = frame(*size)
    drawn = draw(grey(one), one)
    shown = drawing.frame_of(drawn, one)
    assert shown.size == size
    strip = drawn.height - larger * size[1]
    assert strip > 0
    rows = drawn.crop((0, larger * size[1], larger * size[0], drawn.height)).resize((size[0], strip // larger), 4)
    below = np.asarray(shown)[size[1] - strip // larger :].astype(int)
    assert np.abs(below - np.asarray(rows)).mean() < 9
    assert (np.asarray(shown)[: size[1] - strip // larger - 1] == GREY).all()
