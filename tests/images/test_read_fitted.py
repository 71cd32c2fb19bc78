"""Pictures brought to a model's size as Edge Impulse does: its resize modes, and every kind of file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convert.errors import InputError
from convert.images import ResizeMode
from convert.images.read import read_fitted
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path


def saved(folder: Path, image: Image.Image, name: str = "p.png", **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def halves(mode: str = "RGB", left: object = (255, 0, 0), right: object = (0, 0, 255)) -> Image.Image:
    image = Image.new(mode, (8, 4), left)  # type: ignore[arg-type]
    image.paste(right, (4, 0, 8, 4))  # type: ignore[arg-type]
    return image


def test_rgb_and_grey(tmp_path: Path) -> None:
    path = saved(tmp_path, halves())
    color = read_fitted(path, 4, 8, 3, None)
    assert color.shape == (4, 8, 3)
    assert color[0, 0].tolist() == [255, 0, 0]
    assert color[0, 7].tolist() == [0, 0, 255]
    grey = read_fitted(path, 4, 8, 1, None)
    assert grey.shape == (4, 8, 1)
    assert grey[0, :, 0].tolist() == [76] * 4 + [29] * 4  # 0.299 * 255 and 0.114 * 255


def test_exif_rotation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn clockwise by 90 degrees to see it upright
    upright = read_fitted(saved(tmp_path, halves(), exif=exif), 8, 4, 3, None)
    assert upright[0, 0].tolist() == [255, 0, 0]
    assert upright[7, 0].tolist() == [0, 0, 255]


def test_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    path = saved(tmp_path, halves().convert("P"), transparency=halves().convert("P").getpixel((0, 0)))
    picture = read_fitted(path, 4, 8, 3, None)
    assert picture[0, 0].tolist() == [0, 0, 0]
    assert picture[0, 7].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("mode", "left", "right"), [("RGBA", (255, 0, 0, 128), (0, 0, 255, 0)), ("LA", (255, 128), (9, 0))]
)
def test_alpha_is_laid_on_black(tmp_path: Path, mode: str, left: object, right: object) -> None:
    picture = read_fitted(saved(tmp_path, halves(mode, left, right)), 4, 8, 3, None)
    assert picture[0, 0, 0] == 128
    assert picture[0, 7].tolist() == [0, 0, 0]


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.full((4, 8), 0x8000, np.uint16)
    values[:, 4:] = 0x10FF
    picture = read_fitted(saved(tmp_path, Image.fromarray(values)), 4, 8, 1, None)
    assert picture[0, :, 0].tolist() == [0x80] * 4 + [0x10] * 4


@pytest.mark.parametrize("name", ["p.jpg", "p.tif"])
def test_cmyk(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path, halves("CMYK", (0, 255, 255, 0), (255, 255, 0, 0)), name)
    picture = read_fitted(path, 4, 8, 3, None)
    assert picture[0, 0].tolist() == pytest.approx([255, 0, 0], abs=12)
    assert picture[0, 7].tolist() == pytest.approx([0, 0, 255], abs=12)


@pytest.mark.parametrize("mode", ["1", "L", "LAB", "YCbCr"])
def test_other_modes(tmp_path: Path, mode: str) -> None:
    white_black = {"LAB": ((255, 128, 128), (0, 128, 128)), "YCbCr": ((255, 128, 128), (0, 128, 128))}
    path = saved(tmp_path, halves(mode, *white_black.get(mode, (255, 0))), "p.tif")
    picture = read_fitted(path, 4, 8, 3, None)
    assert picture[0, 0].tolist() == pytest.approx([255, 255, 255], abs=2)
    assert picture[0, 7].tolist() == pytest.approx([0, 0, 0], abs=2)


def bars() -> Image.Image:
    """30 wide, 10 high: black, white, black."""
    image = Image.new("L", (30, 10))
    image.paste(255, (10, 0, 20, 10))
    return image


@pytest.mark.parametrize("mode", [None, ResizeMode.NONE, ResizeMode.SQUASH])
def test_squash_keeps_everything(tmp_path: Path, mode: ResizeMode | None) -> None:
    picture = read_fitted(saved(tmp_path, bars()), 30, 30, 1, mode)
    assert picture[15, [2, 15, 27], 0].tolist() == [0, 255, 0]
    assert (picture[:, 15] == 255).all()


def test_fit_shortest_keeps_the_centre(tmp_path: Path) -> None:
    path = saved(tmp_path, bars())
    assert (read_fitted(path, 20, 20, 1, ResizeMode.FIT_SHORTEST) == 255).all()
    turned = saved(tmp_path, bars().transpose(Image.Transpose.ROTATE_90), "q.png")
    assert (read_fitted(turned, 20, 20, 1, ResizeMode.FIT_SHORTEST) == 255).all()
    # A model wider than high: 30x10 against 20x10 leaves the 20 columns in the middle.
    assert read_fitted(path, 10, 20, 1, ResizeMode.FIT_SHORTEST)[5, :, 0].tolist() == [0] * 5 + [255] * 10 + [0] * 5


def test_fit_longest_pads_both_sides(tmp_path: Path) -> None:
    white = Image.new("L", (30, 10), 255)
    across = read_fitted(saved(tmp_path, white), 30, 30, 1, ResizeMode.FIT_LONGEST)
    assert np.flatnonzero(across[:, 0, 0]).tolist() == list(range(10, 20))
    down = read_fitted(saved(tmp_path, white.transpose(Image.Transpose.ROTATE_90)), 30, 30, 1, ResizeMode.FIT_LONGEST)
    assert np.flatnonzero(down[0, :, 0]).tolist() == list(range(10, 20))


@pytest.mark.parametrize("mode", list(ResizeMode))
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 7)])
def test_any_aspect(tmp_path: Path, mode: ResizeMode, size: tuple[int, int]) -> None:
    assert read_fitted(saved(tmp_path, Image.new("RGB", size, (9, 9, 9))), 13, 29, 3, mode).shape == (13, 29, 3)


def test_a_broken_picture_is_named(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(whole, "PNG")
    path = tmp_path / "broken.png"
    for content in (b"", b"not a picture", whole.getvalue()[:400]):
        path.write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_fitted(path, 8, 8, 3, None)
        assert caught.value.path == str(path)
        assert caught.value.hint


def _samples() -> list[bytes]:
    made = []
    for kind, image in [
        ("PNG", halves().convert("P")),
        ("JPEG", halves()),
        ("GIF", halves()),
        ("BMP", halves()),
        ("TIFF", halves("CMYK", (0, 255, 255, 0), (9, 9, 9, 9))),
        ("WEBP", halves()),
        ("PPM", halves()),
    ]:
        buffer = io.BytesIO()
        image.save(buffer, kind)
        made.append(buffer.getvalue())
    return made


SAMPLES = _samples()


@examples(150)
@given(
    sample=st.sampled_from(SAMPLES),
    flips=st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 1 << 16),
)
def test_damaged_pictures_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, sample: bytes, flips: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(sample)
    for place, value in flips:
        data[place % len(data)] = value
    path = tmp_path_factory.getbasetemp() / "damaged.png"
    path.write_bytes(data[: cut if cut < len(data) else None])
    try:
        shape = read_fitted(path, 6, 7, 3, ResizeMode.FIT_LONGEST).shape
    except InputError as error:
        named, shape = error.path, None
    else:
        named = None
    assert (named, shape) in [(str(path), None), (None, (6, 7, 3))]
