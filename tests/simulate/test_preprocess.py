"""From a frame to the network's input, against plain computations of single pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.simulate.geometry import Network, Placement, Rect, place
from convert.simulate.preprocess import preprocessor, read_mean_file
from convert.simulate.preprocess_mix import _plan
from convert.simulate.preprocess_scale import luma, scale
from convert.simulate.settings import ColorFormat, NetworkType, ScalingFilter, Settings
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def _frame(height: int, width: int, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def _settings(**more: Any) -> Settings:
    return Settings(NetworkType.CLASSIFIER, **{"scaling_filter": ScalingFilter.BILINEAR, **more})


class TestNormalise:
    NETWORK = Network(3, 4, 6)

    def _input(self, frame: NDArray[np.uint8], **more: Any) -> NDArray[np.float32]:
        return preprocessor(_settings(**more), self.NETWORK)(frame)[0]

    def test_numbers_stay_without_any_key(self) -> None:
        frame = _frame(4, 6)
        tensor = self._input(frame)
        assert tensor.shape == (3, 4, 6)
        assert tensor.dtype == np.float32
        np.testing.assert_array_equal(tensor, frame.transpose(2, 0, 1))

    def test_the_scale_is_a_float32_product(self) -> None:
        frame = _frame(4, 6)
        scale = float(np.float32(0.00392156862745098))
        expected = frame.transpose(2, 0, 1).astype(np.float32) * np.float32(scale)
        np.testing.assert_array_equal(self._input(frame, scale=scale), expected)

    @pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
    def test_without_a_positive_scale_there_are_no_offsets_either(self, scale: float) -> None:
        frame = _frame(4, 6)
        np.testing.assert_array_equal(
            self._input(frame, scale=scale, offsets=(1.0, 2.0, 3.0)), frame.transpose(2, 0, 1)
        )

    @pytest.mark.parametrize("channels_last", [False, True])
    def test_offsets_are_in_the_networks_order(self, channels_last: bool) -> None:
        frame = _frame(4, 6)
        offsets = (103.939, 116.779, 123.68)
        tensor = self._input(frame, scale=0.5, offsets=offsets, color=ColorFormat.BGR, channels_last=channels_last)
        bgr = frame[:, :, ::-1].astype(np.float32)
        expected = (bgr - np.array(offsets, np.float32)) * np.float32(0.5)
        np.testing.assert_array_equal(tensor if channels_last else tensor.transpose(1, 2, 0), expected)

    def test_padding_is_black_before_the_mean(self) -> None:
        tensor, placement = preprocessor(
            _settings(scale=2.0, offsets=(1.0, 2.0, 3.0), keep_aspect=True), Network(3, 8, 4)
        )(_frame(4, 4))
        assert (placement.width, placement.height) == (4, 4)
        np.testing.assert_array_equal(tensor[:, 4:], np.broadcast_to([[[-2]], [[-4]], [[-6]]], (3, 4, 4)))

    @pytest.mark.parametrize("channels_last", [False, True])
    def test_symmetric_padding(self, channels_last: bool) -> None:
        frame = _frame(4, 4)
        configured = _settings(keep_aspect=True, symmetric=True, channels_last=channels_last)
        tensor, placement = preprocessor(configured, Network(3, 9, 4))(frame)
        assert placement.view.offset_top == 2
        picture = tensor if channels_last else tensor.transpose(1, 2, 0)
        np.testing.assert_array_equal(picture[2:6], frame)
        assert not picture[:2].any()
        assert not picture[6:].any()

    def test_padding_left_and_right(self) -> None:
        frame = _frame(8, 4)
        tensor, placement = preprocessor(_settings(keep_aspect=True, symmetric=True), Network(3, 8, 11))(frame)
        assert placement.view.offset_left == 3
        np.testing.assert_array_equal(tensor[:, :, 3:7], frame.transpose(2, 0, 1))
        assert not tensor[:, :, :3].any()
        assert not tensor[:, :, 7:].any()

    def test_grey_pictures_in_a_network_with_colours(self) -> None:
        frame = _frame(4, 6, 1)
        expected = np.repeat(frame.transpose(2, 0, 1), 3, axis=0)
        np.testing.assert_array_equal(self._input(frame), expected)
        np.testing.assert_array_equal(self._input(frame[:, :, 0]), expected)

    def test_a_batch(self) -> None:
        prepare = preprocessor(_settings(), self.NETWORK)
        frames = [_frame(4, 6, seed=1), _frame(20, 30, seed=2)]
        tensor, placements = prepare.batch(frames)
        assert tensor.shape == (2, 3, 4, 6)
        for row, frame, placement in zip(tensor, frames, placements, strict=True):
            alone, where = prepare(frame)
            np.testing.assert_array_equal(row, alone)
            assert where == placement

    @pytest.mark.parametrize(
        "frame",
        [
            np.zeros((4, 6, 4), np.uint8),
            np.zeros((4, 6, 3), np.float32),
            np.zeros((4, 6, 3), np.uint16),
            np.zeros((0, 6, 3), np.uint8),
            np.zeros((2, 4, 6, 3), np.uint8),
            np.zeros(4, np.uint8),
        ],
        ids=lambda frame: f"{frame.dtype}{frame.shape}",
    )
    def test_what_is_no_picture(self, frame: NDArray[Any]) -> None:
        with pytest.raises(InputError, match="not 8-bit RGB or grey pixels"):
            self._input(frame)


class TestRefusals:
    @pytest.mark.parametrize(
        ("channels", "color", "says"),
        [
            (1, ColorFormat.RGB, "0 .RGB. needs 3 channels, the network has 1"),
            (4, ColorFormat.BGR, "1 .BGR. needs 3 channels, the network has 4"),
            (3, ColorFormat.GRAY, "2 .GRAY. needs 1 channels, the network has 3"),
        ],
    )
    def test_channels(self, channels: int, color: ColorFormat, says: str) -> None:
        with pytest.raises(InputError, match=says):
            preprocessor(_settings(color=color), Network(channels, 8, 8))

    def test_offsets(self) -> None:
        with pytest.raises(InputError, match="2 offsets for 3 channels"):
            preprocessor(_settings(offsets=(1.0, 2.0)), Network(3, 8, 8))


class TestMeanFile:
    NETWORK = Network(3, 2, 3)
    PIXELS = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)

    def _write(self, tmp_path: Path, data: bytes) -> Path:
        path = tmp_path / "mean.ppm"
        path.write_bytes(data)
        return path

    @pytest.mark.parametrize("magic", [b"P6", b"P3"])
    @pytest.mark.parametrize("channels_last", [False, True])
    def test_every_pixel_has_its_own_mean(self, tmp_path: Path, magic: bytes, channels_last: bool) -> None:
        """The bytes of a P3 file are taken as they are, as nvinfer does."""
        path = self._write(tmp_path, magic + b"\n3 2\n255\n" + self.PIXELS.tobytes() + b"more")
        frame = _frame(2, 3)
        configured = _settings(
            mean_file=str(path), offsets=(9.0, 9.0, 9.0), scale=0.5, color=ColorFormat.BGR, channels_last=channels_last
        )
        # width 3 is rounded down to 2, so the frame is given with a spare column
        wide = np.concatenate([frame, frame[:, -1:]], axis=1)
        prepare = preprocessor(configured, self.NETWORK)
        tensor, placement = prepare(wide)
        pixels = scaled(wide, placement, ScalingFilter.BILINEAR, ColorFormat.BGR, channels_last=True)
        expected = (pixels - self.PIXELS.astype(np.float32)) * np.float32(0.5)
        np.testing.assert_array_equal(tensor if channels_last else tensor.transpose(1, 2, 0), expected)

    def test_a_grey_mean(self, tmp_path: Path) -> None:
        path = self._write(tmp_path, b"P6 3 2 255 " + bytes(range(6)))
        assert read_mean_file(path, Network(1, 2, 3)).tolist() == [[[0], [1], [2]], [[3], [4], [5]]]

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "does not start as a PPM"),
            (b"P5 3 2 255 " + bytes(18), "does not start as a PPM"),
            (b"P6 # by hand\n3 2 255 " + bytes(18), "does not start as a PPM"),
            (b"P6 2 3 255 " + bytes(18), "2x3 pixels, the network 3x2"),
            (b"P6 3 2 255 " + bytes(17), "17 bytes of 18"),
            (b"P6 3 2 255", "0 bytes of 18"),
        ],
    )
    def test_damage(self, tmp_path: Path, data: bytes, says: str) -> None:
        with pytest.raises(InputError, match=says):
            read_mean_file(self._write(tmp_path, data), self.NETWORK)

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read: No such file"):
            preprocessor(_settings(mean_file=str(tmp_path / "no.ppm")), self.NETWORK)

    @given(data=st.binary(max_size=60) | st.builds(bytes.__add__, st.just(b"P6 3 2 255\n"), st.binary(max_size=20)))
    def test_any_bytes(self, data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
        path = self._write(tmp_path_factory.getbasetemp(), data)
        try:
            mean = read_mean_file(path, self.NETWORK)
        except InputError as error:
            assert error.path == str(path)  # noqa: PT017 - either is right
            assert not (data.startswith(b"P6 3 2 255\n") and len(data) >= 11 + 18)
        else:
            assert mean.shape == (3, 2, 3)
            assert mean.transpose(1, 2, 0).ravel().tolist() == list(data[-18:] if len(data) == 29 else data[11:29])


def scaled(
    picture: NDArray[np.uint8],
    placement: Placement,
    scaling: ScalingFilter,
    color: ColorFormat,
    *,
    channels_last: bool = False,
) -> NDArray[np.float32]:
    """In the network's layout."""
    channels, height, width = 1 if color is ColorFormat.GRAY else 3, placement.height, placement.width
    out = np.full((height, width, channels) if channels_last else (channels, height, width), np.nan, np.float32)
    scale(picture, placement, scaling, color, out if channels_last else out.transpose(1, 2, 0))
    return out


def _nearest(row: NDArray[Any], count: int) -> list[int]:
    """One line of pixels, scaled by the rule in words."""
    size = len(row)
    return [int(row[min(int((i + 0.5) * size / count), size - 1)]) for i in range(count)]


def _bilinear(row: NDArray[Any], count: int) -> list[float]:
    size = len(row)
    line = []
    for i in range(count):
        position = (i + 0.5) * size / count - 0.5
        first = int(np.floor(position))
        share = position - first
        left, right = float(row[max(first, 0)]), float(row[min(first + 1, size - 1)])
        line.append(left * (1 - share) + right * share)
    return line


def _shares(size: int, count: int) -> NDArray[np.float64]:
    """[count, size]: how much of each pixel of a line is in each pixel of the scaled one, in parts of 2 * count."""
    shares = np.zeros((count, size))
    for i in range(count):
        first, rest = divmod((2 * i + 1) * size - count, 2 * count)
        shares[i, min(max(first, 0), size - 1)] += 2 * count - rest
        shares[i, min(max(first + 1, 0), size - 1)] += rest
    return shares


class TestScale:
    def _scaled(self, picture: NDArray[np.uint8], network: Network, scaling: ScalingFilter, **more: Any) -> Any:
        placement = place(picture.shape[1], picture.shape[0], network)
        return scaled(picture, placement, scaling, ColorFormat.RGB, **more)

    @pytest.mark.parametrize("scaling", [ScalingFilter.NEAREST, ScalingFilter.DEFAULT])
    @pytest.mark.parametrize("size", [(2, 2), (10, 14), (64, 30), (7, 200)])
    def test_nearest_takes_the_pixel_at_the_centre(self, size: tuple[int, int], scaling: ScalingFilter) -> None:
        picture = _frame(*size)
        even = picture[: size[0] // 2 * 2]
        found = self._scaled(picture, Network(3, 9, 13), scaling, channels_last=True)
        rows = _nearest(np.arange(len(even)), 9)
        columns = _nearest(np.arange(size[1]), 13)
        np.testing.assert_array_equal(found, even[rows][:, columns])

    @examples(40)
    @given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 16), st.integers(1, 16), st.integers(0, 99))
    def test_bilinear_mixes_four_pixels(self, height: int, width: int, high: int, wide: int, seed: int) -> None:
        picture = _frame(2 * height, 2 * width, seed=seed)
        found = self._scaled(picture, Network(3, high, wide), ScalingFilter.BILINEAR)
        for channel in range(3):
            lines = [_bilinear(row, wide) for row in picture[:, :, channel]]
            exact = np.array([_bilinear(column, high) for column in np.array(lines).T]).T
            assert np.abs(found[channel] - exact).max() <= 0.5 + 1e-4
            clear = np.abs(exact - np.floor(exact) - 0.5) > 1e-4
            np.testing.assert_array_equal(found[channel][clear], np.floor(exact + 0.5)[clear])

    @examples(40)
    @given(
        st.integers(1, 120), st.integers(1, 200), st.integers(1, 70), st.integers(1, 70),
        st.sampled_from(list(ColorFormat)), st.integers(0, 99),
    )  # fmt: skip
    def test_bilinear_is_exact(
        self, height: int, width: int, high: int, wide: int, color: ColorFormat, seed: int
    ) -> None:
        """Fractions in whole numbers, halves up: no pixel may differ, however the work is ordered and in what type."""
        picture = _frame(2 * height, 2 * width, seed=seed)
        placement = place(2 * width, 2 * height, Network(3, high, wide))
        levels = {
            ColorFormat.RGB: picture,
            ColorFormat.BGR: picture[:, :, ::-1],
            ColorFormat.GRAY: ((picture.astype(np.int64) @ np.array([19595, 38470, 7471]) + 32768) >> 16)[:, :, None],
        }[color]
        down, across = _shares(2 * height, high), _shares(2 * width, wide)
        total = np.stack([down @ channel @ across.T for channel in levels.astype(float).transpose(2, 0, 1)])
        total = total.astype(np.int64)  # whole numbers far below 2^53: float64 has held them exactly
        whole = 4 * high * wide
        expected = (2 * total + whole) // (2 * whole)
        np.testing.assert_array_equal(scaled(picture, placement, ScalingFilter.BILINEAR, color), expected)

    @pytest.mark.parametrize("scaling", [ScalingFilter.NEAREST, ScalingFilter.BILINEAR])
    def test_halving(self, scaling: ScalingFilter) -> None:
        """Bilinear is the mean of four pixels, halves rounded up; nearest the lower right one."""
        picture = np.array([[[10], [20], [1], [2]], [[30], [41], [2], [1]]], np.uint8)
        found = self._scaled(picture, Network(3, 1, 2), scaling)[0].tolist()
        assert found == ([[41, 1]] if scaling is ScalingFilter.NEAREST else [[25, 2]])

    @pytest.mark.parametrize("scaling", list(ScalingFilter))
    def test_one_colour_stays(self, scaling: ScalingFilter) -> None:
        picture = np.full((30, 46, 3), (1, 130, 255), np.uint8)
        found = self._scaled(picture, Network(3, 17, 64), scaling, channels_last=True)
        np.testing.assert_array_equal(found, np.full((17, 64, 3), (1, 130, 255)))

    @pytest.mark.parametrize("scaling", list(ScalingFilter))
    @pytest.mark.parametrize("channels", [1, 3])
    @pytest.mark.parametrize("color", list(ColorFormat))
    def test_layouts_agree(self, scaling: ScalingFilter, channels: int, color: ColorFormat) -> None:
        picture = _frame(24, 40, channels)
        placement = place(40, 24, Network(3, 16, 20))
        first = scaled(picture, placement, scaling, color)
        last = scaled(picture, placement, scaling, color, channels_last=True)
        np.testing.assert_array_equal(first.transpose(1, 2, 0), last)
        np.testing.assert_array_equal(first, np.floor(first))
        if color is ColorFormat.BGR:
            np.testing.assert_array_equal(first[::-1], scaled(picture, placement, scaling, ColorFormat.RGB))

    @pytest.mark.parametrize("scaling", list(ScalingFilter))
    def test_luma_is_taken_before_scaling(self, scaling: ScalingFilter) -> None:
        picture = _frame(24, 40)
        grey = luma(picture).astype(np.uint8)[:, :, None]
        placement = place(40, 24, Network(1, 10, 14))
        np.testing.assert_array_equal(
            scaled(picture, placement, scaling, ColorFormat.GRAY), scaled(grey, placement, scaling, ColorFormat.GRAY)
        )

    def test_large_networks_are_made_some_rows_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        picture, network = _frame(60, 50), Network(3, 40, 30)
        whole = self._scaled(picture, network, ScalingFilter.BILINEAR)
        for numbers in (1, 90 * 7, 90 * 39):
            monkeypatch.setattr("convert.simulate.preprocess_mix._BLOCK", numbers)
            _plan.cache_clear()
            np.testing.assert_array_equal(self._scaled(picture, network, ScalingFilter.BILINEAR), whole)
        _plan.cache_clear()

    @pytest.mark.parametrize("network", [Network(3, 8, 10), Network(3, 37, 45)], ids=["smaller", "larger"])
    def test_a_crop_is_cut_at_even_pixels(self, network: Network) -> None:
        """What lies around it does not show, not even at its border."""
        picture = _frame(50, 60)
        placement = place(60, 50, network, crop=Rect(5.5, 9, 21, 17))
        alone = np.ascontiguousarray(picture[10:26, 6:26])
        for scaling in ScalingFilter:
            np.testing.assert_array_equal(
                scaled(picture, placement, scaling, ColorFormat.RGB), self._scaled(alone, network, scaling)
            )

    def test_a_crop_behind_the_border_repeats_it(self) -> None:
        picture = _frame(51, 61)
        placement = place(61, 51, Network(3, 8, 8), crop=Rect(53, 43, 8, 8))  # 54..61 of 0..60
        found = scaled(picture, placement, ScalingFilter.NEAREST, ColorFormat.RGB, channels_last=True)
        np.testing.assert_array_equal(found[:, -1], found[:, -2])
        np.testing.assert_array_equal(found[:7, :7], picture[44:51, 54:61])


def test_luma_is_that_of_jpeg() -> None:
    image = pytest.importorskip("PIL.Image")
    frame = _frame(64, 64)
    expected = np.asarray(image.fromarray(frame).convert("L"))
    np.testing.assert_array_equal(luma(frame), expected)


def test_filters_that_are_only_near_say_so() -> None:
    said = {one: preprocessor(_settings(scaling_filter=one), Network(3, 8, 8)).approximated for one in ScalingFilter}
    assert {one for one, text in said.items() if not text} == {
        ScalingFilter.NEAREST,
        ScalingFilter.BILINEAR,
        ScalingFilter.DEFAULT,
    }
    assert said[ScalingFilter.LANCZOS].startswith("scaling-filter=4: ")


def test_an_even_picture_of_the_networks_size_is_untouched() -> None:
    frame = _frame(8, 6)
    for scaling in ScalingFilter:
        tensor, _ = preprocessor(_settings(scaling_filter=scaling), Network(3, 8, 6))(frame)
        np.testing.assert_array_equal(tensor, frame.transpose(2, 0, 1))
