"""From a frame to the network's input, against plain computations of single pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.images.scaling import Network, scale
from convert.simulate.engine import preprocessor, read_mean_file
from convert.simulate.settings import ColorFormat, NetworkType, ScalingFilter, Settings
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_CONFIGURED = st.builds(
    Settings,
    st.just(NetworkType.CLASSIFIER),
    scaling_filter=st.sampled_from(list(ScalingFilter)),
    color=st.sampled_from(list(ColorFormat)),
    keep_aspect=st.booleans(),
    symmetric=st.booleans(),
    channels_last=st.booleans(),
)


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
        with pytest.raises(InputError, match=r"^a frame is .*, not 8-bit RGB or grey pixels$") as caught:
            self._input(frame)
        assert str(caught.value.hint).startswith("pictures are decoded to uint8 [height, width, 3]")


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
        with pytest.raises(InputError, match=f"^model-color-format={says}: nvinfer refuses to start$") as caught:
            preprocessor(_settings(color=color), Network(channels, 8, 8))
        assert caught.value.hint == "2 is for models of one channel, 0 (RGB) and 1 (BGR) for models of three"

    def test_offsets(self) -> None:
        with pytest.raises(InputError, match=r"^there are 2 offsets for 3 channels: nvinfer refuses") as caught:
            preprocessor(_settings(offsets=(1.0, 2.0)), Network(3, 8, 8))
        assert caught.value.hint == "give one offset for each channel, in the network's order"


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
        pixels = scale(wide, placement, ScalingFilter.BILINEAR)[:, :, ::-1]
        expected = (pixels - self.PIXELS.astype(np.float32)) * np.float32(0.5)
        np.testing.assert_array_equal(tensor if channels_last else tensor.transpose(1, 2, 0), expected)

    def test_a_grey_mean(self, tmp_path: Path) -> None:
        path = self._write(tmp_path, b"P6 3 2 255 " + bytes(range(6)))
        assert read_mean_file(path, Network(1, 2, 3)).tolist() == [[[0], [1], [2]], [[3], [4], [5]]]

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (b"", "does not start as a PPM picture does"),
            (b"P5 3 2 255 " + bytes(18), "does not start as a PPM picture does"),
            (b"P6 # by hand\n3 2 255 " + bytes(18), "does not start as a PPM picture does"),
            (b"P6 2 3 255 " + bytes(18), "has 2x3 pixels, the network 3x2"),
            (b"P6 3 3 255 " + bytes(27), "has 3x3 pixels, the network 3x2"),
            (b"P6 3 2 255 " + bytes(17), "has 17 bytes of 18"),
            (b"P6 3 2 255", "has 0 bytes of 18"),
        ],
    )
    def test_damage(self, tmp_path: Path, data: bytes, says: str) -> None:
        with pytest.raises(InputError, match=f"^the mean file {says}$") as caught:
            read_mean_file(self._write(tmp_path, data), self.NETWORK)
        assert (caught.value.hint == "P6, width, height and 255, no comment") is says.startswith("does not")

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"^the mean file cannot be read: No such file"):
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
            assert mean.shape == (2, 3, 3)
            assert mean.tobytes() in data


@examples(60)
@given(
    height=st.integers(2, 70), width=st.integers(2, 90), channels=st.sampled_from([1, 3]), high=st.integers(1, 20),
    wide=st.integers(1, 20), configured=_CONFIGURED, view=st.sampled_from(["whole", "mirrored", "every other"]),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_a_prepared_frame_is_the_scaled_one_in_the_networks_layout(
    height: int, width: int, channels: int, high: int, wide: int, configured: Settings, view: str, seed: int
) -> None:
    """Padding is black, and frames need not be contiguous."""
    frame = {
        "whole": lambda: _frame(height, width, channels, seed),
        "mirrored": lambda: _frame(height, width, channels, seed)[::-1, ::-1],
        "every other": lambda: _frame(2 * height, 3 * width, channels, seed)[1::2, 2::3],
    }[view]()
    color = configured.color
    network = Network(1 if color is ColorFormat.GRAY else 3, high, wide)
    try:
        tensor, at = preprocessor(configured, network)(frame)
    except InputError:
        assert configured.keep_aspect  # less than a pixel wide
        return
    levels = scale(np.ascontiguousarray(frame), at, configured.scaling_filter, grey=color is ColorFormat.GRAY)
    expected = np.zeros((high, wide, network.channels))
    expected[at.target] = levels[:, :, ::-1] if color is ColorFormat.BGR else levels
    np.testing.assert_array_equal(tensor if configured.channels_last else tensor.transpose(1, 2, 0), expected)


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
