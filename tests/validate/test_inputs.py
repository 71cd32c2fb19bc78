"""The generated pictures: how many, of which kinds, and always the same."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convert.images import Frame, Framing
from convert.validate.inputs import given as given_pictures
from convert.validate.inputs import image_like, pictures, with_objects
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.mark.parametrize("shape", [(96, 96, 3), (48, 48, 1), (17, 5, 3), (1, 1, 1), (2, 3, 3)])
def test_as_many_as_asked_in_the_shape_asked(shape: tuple[int, int, int]) -> None:
    made = list(pictures(32, *shape))
    assert len(made) == 32
    assert len({name for name, _ in made}) == 32
    assert {(picture.shape, picture.dtype) for _, picture in made} == {(shape, np.dtype(np.uint8))}


@pytest.mark.parametrize(
    ("made", "digest"),
    [
        (lambda: (picture for _, picture in pictures(32, 24, 20, 3)), "2470c761557a438a"),
        (lambda: (picture for _, picture in pictures(64, 19, 37, 1)), "416343aefbfd03eb"),
        (lambda: image_like(8, 33, 21, 3), "da6c57e3c7dc39f2"),
        (lambda: with_objects(12, 90, 160, 3), "5b82d5b8442100c5"),
        (lambda: with_objects(6, 61, 40, 1), "5be5665bc6d34081"),
        (lambda: with_objects(12, 77, 93, 1), "535cad9327669264"),
    ],
    ids=["colour", "grey", "image-like", "objects", "grey objects", "objects of an odd size"],
)
def test_always_the_same(made: Callable[[], Iterable[NDArray[np.uint8]]], digest: str) -> None:
    """The numbers in a report must not change by themselves; if this fails, say so in the changelog."""
    assert hashlib.sha256(b"".join(picture.tobytes() for picture in made())).hexdigest()[:16] == digest


def test_fewer_are_a_part_of_more() -> None:
    few, many = list(pictures(5, 8, 8, 3)), list(pictures(40, 8, 8, 3))
    for (name, picture), (other_name, other) in zip(few, many, strict=False):
        assert name == other_name
        assert np.array_equal(picture, other)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_two_are_alike(channels: int) -> None:
    assert len({picture.tobytes() for _, picture in pictures(64, 32, 32, channels)}) == 64


@pytest.mark.parametrize("channels", [1, 3])
def test_the_ends_of_the_range_are_among_them(channels: int) -> None:
    made = dict(pictures(32, 9, 9, channels))
    assert made["black"].max() == 0
    assert made["white"].min() == 255
    assert sorted(np.unique(made["checker"])) == [0, 255]
    assert np.count_nonzero(made["single bright pixel"]) == channels
    spread = [int(picture.max()) - int(picture.min()) for _, picture in made.items()]
    assert sum(range_ > 100 for range_ in spread) >= 20


def test_each_channel_alone() -> None:
    made = dict(pictures(32, 4, 4, 3))
    for channel in range(3):
        alone = made[f"channel {channel} alone"]
        assert (alone[..., channel] == 255).all()
        assert alone.sum() == 255 * 16


def test_images_are_smooth_and_noise_is_not() -> None:
    made = dict(pictures(32, 64, 64, 3))

    def roughness(name: str) -> float:
        return float(np.abs(np.diff(made[name].astype(int), axis=1)).mean())

    assert roughness("noise 1") > 60
    assert roughness("field 6") < 15
    assert roughness("gradient 7") < 10


@examples(60)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3]))
def test_frames_with_objects_of_any_size(height: int, width: int, channels: int) -> None:
    made = list(with_objects(4, height, width, channels))
    assert {(picture.shape, picture.dtype) for picture in made} == {((height, width, channels), np.dtype(np.uint8))}
    again = list(with_objects(2, height, width, channels))
    assert all(np.array_equal(one, other) for one, other in zip(again, made, strict=False))


def test_the_users_own_pictures_become_frames(tmp_path: Path) -> None:
    """The middle of each."""
    levels = np.random.default_rng(0).integers(0, 256, (40, 20, 3), np.uint8)
    for name, made in (("000", levels), ("001", levels.swapaxes(0, 1))):
        Image.fromarray(np.ascontiguousarray(made)).save(tmp_path / f"{name}.png")
    found = given_pictures(tmp_path, Framing(Frame(2, 1), (8, 8)), 3)
    high, wide = next(found), next(found)
    assert (high[0], wide[0]) == ("000.png", "001.png")
    np.testing.assert_array_equal(high[1], levels[15:25])
    np.testing.assert_array_equal(wide[1], levels.swapaxes(0, 1))
    np.testing.assert_array_equal(next(given_pictures(tmp_path, None, 3))[1], levels)


def test_of_the_users_own_pictures_200_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(201):
        (tmp_path / f"{number:03}.png").touch()
    (tmp_path / "000.mp4").touch()  # no picture
    monkeypatch.setattr("convert.images.read.read", lambda path, _: (path, None))
    names = [name for name, _ in given_pictures(tmp_path, None, 3)]
    assert (len(names), names[0], names[-1]) == (200, "000.png", "199.png")


def test_frames_with_objects_have_edges() -> None:
    """Steps that the smooth scenes below them have not, in every frame."""
    for picture in with_objects(12, 90, 160, 3):
        assert np.abs(np.diff(picture.astype(int), axis=1)).max() > 40
