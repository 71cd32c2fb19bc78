"""Pictures, features and tensors."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.compare.edge_impulse import pack, read_features, unpack
from convert.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def test_one_number_a_pixel() -> None:
    picture = np.array([[[1, 2, 3], [255, 255, 255]], [[0, 0, 0], [255, 0, 1]]], np.uint8)
    assert pack(picture).tolist() == [0x010203, 0xFFFFFF, 0, 0xFF0001]
    assert pack(np.array([[[7]]], np.uint8)).tolist() == [0x070707]
    assert pack(picture).dtype == np.float32


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3]), st.randoms(use_true_random=False))
def test_packed_and_unpacked(height: int, width: int, channels: int, random: object) -> None:
    seed = random.randrange(1 << 30)  # type: ignore[attr-defined]
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    back = unpack(pack(picture), height, width, channels)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, picture, atol=2e-5)


def test_a_grey_model_sees_luma() -> None:
    red, green, blue = (unpack(np.array([value], np.float32), 1, 1, 1).item() for value in (0xFF0000, 0x00FF00, 0xFF))
    assert (red, green, blue) == pytest.approx((0.299 * 255, 0.587 * 255, 0.114 * 255))


def test_what_no_picture_packs_to_is_clamped() -> None:
    wild = np.array([-1, np.nan, np.inf, 1e30, -np.inf, 2.7], np.float32)
    assert unpack(wild, 1, 6, 3)[0].tolist() == [[0, 0, 0], [0, 0, 0], [255] * 3, [255] * 3, [0, 0, 0], [0, 0, 2]]


@pytest.mark.parametrize("text", ["1, 2,0xff0000", "1 2\n16711680\n", "[1, 2.0, 16711680]", "\ufeff1,2,16711680,"])
def test_features_from_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "features.txt"
    path.write_text(text, encoding="utf-8")
    assert read_features(path).tolist() == [1.0, 2.0, 16711680.0]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"a b",
        b"[1, [2]]",
        b"[1",
        b"[]",
        b"nan",
        b"1e999",
        b"1e39",
        b"0xzz",
        b"\xff\xfe1",
        b'["a"]',
        b"[null]",
        b'["1"]',
        b"[1, true]",
        b"x" * 100_000,
        b"[" + b"9" * 400 + b"]",
        b"0x" + b"f" * 300,
        b"[" * 100_000,
    ],
)
def test_what_is_no_list_of_features(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "features.txt"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_features(path)
    assert caught.value.path == str(path)
    assert str(caught.value.hint).startswith("numbers separated by commas or white space, decimal or 0xRRGGBB")
    kinds = ("not a list of features", "a feature is no finite float32", "the features cannot be read: ")
    assert caught.value.message.startswith(kinds)
    assert caught.value.message.startswith(kinds[2]) is data.startswith(b"\xff")
    assert len(caught.value.message) <= len("not a list of features: ") + 200
    assert (len(caught.value.message) == len("not a list of features: ") + 200) is (data[:2] == b"xx")
    with pytest.raises(InputError, match=r"^the features cannot be read") as caught:
        read_features(tmp_path / "nothing")
    assert str(caught.value.hint).startswith("numbers separated by commas or white space")


@given(st.text(st.sampled_from("0123456789 ,.[]xeEaf-+nN\n"), max_size=30))
def test_any_text_is_numbers_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text(text)
    with contextlib.suppress(InputError):
        assert np.isfinite(read_features(path)).all()
