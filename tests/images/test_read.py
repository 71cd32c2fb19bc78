"""What a file can hold becomes what a camera gives, or one clear sentence."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convert.errors import InputError
from convert.images.read import Picture, Unreadable, find, read, read_all
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (6, 9, 3), np.uint8)
GREY = COLOURS[:, :, 0]
FLOATING = "its pixels are floating point numbers without a known range"


def _saved(folder: Path, image: Image.Image, name: str = "a.png", **more: Any) -> Path:
    path = folder / name
    image.save(path, **more)
    return path


def _rgb(grey: NDArray[Any]) -> NDArray[np.uint8]:
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)


class TestModes:
    def test_rgb_is_taken_as_it_is(self, tmp_path: Path) -> None:
        pixels, notes = read(_saved(tmp_path, Image.fromarray(COLOURS)))
        np.testing.assert_array_equal(pixels, COLOURS)
        assert pixels.dtype == np.uint8
        assert not notes
        assert pixels.flags.c_contiguous

    def test_grey_pictures_of_colours(self, tmp_path: Path) -> None:
        pixels, _ = read(_saved(tmp_path, Image.fromarray(COLOURS)), channels=1)
        np.testing.assert_array_equal(pixels[:, :, 0], np.asarray(Image.fromarray(COLOURS).convert("L")))

    def test_grey(self, tmp_path: Path) -> None:
        pixels, notes = read(_saved(tmp_path, Image.fromarray(GREY)))
        np.testing.assert_array_equal(pixels, _rgb(GREY))
        assert notes == ("a grey picture: red, green and blue are equal",)

    def test_two_levels(self, tmp_path: Path) -> None:
        pixels, _ = read(_saved(tmp_path, Image.fromarray(GREY > 100)))
        np.testing.assert_array_equal(pixels, _rgb(np.where(GREY > 100, 255, 0)))

    @pytest.mark.parametrize("name", ["a.png", "a.tif"])
    def test_sixteen_bits_lose_their_lower_byte(self, tmp_path: Path, name: str) -> None:
        levels = RANDOM.integers(0, 65536, (6, 9), np.uint16)
        pixels, notes = read(_saved(tmp_path, Image.fromarray(levels), name))
        np.testing.assert_array_equal(pixels, _rgb(levels >> 8))
        assert notes == ("16-bit grey: the upper 8 bits are taken",)

    def test_levels_beyond_sixteen_bits_are_the_nearest(self, tmp_path: Path) -> None:
        levels = np.array([[-5, 0, 255, 256, 65535, 65536, 70000]], np.int32)
        pixels, _ = read(_saved(tmp_path, Image.fromarray(levels), "a.tif"))
        assert pixels[0, :, 0].tolist() == [0, 0, 0, 1, 255, 255, 255]

    def test_every_opacity(self, tmp_path: Path) -> None:
        levels = np.full((1, 256, 4), 255, np.uint8)
        levels[0, :, 3] = np.arange(256)
        pixels, _ = read(_saved(tmp_path, Image.fromarray(levels)))
        assert pixels[0, :, 0].tolist() == list(range(256))

    def test_floating_point(self, tmp_path: Path) -> None:
        path = _saved(tmp_path, Image.fromarray(GREY.astype(np.float32)), "a.tif")
        with pytest.raises(InputError, match=rf"^{FLOATING}$") as caught:
            read(path)
        assert caught.value.hint == "save it with 8 bits"

    def test_palette(self, tmp_path: Path) -> None:
        image = Image.fromarray(COLOURS).quantize(16)
        pixels, notes = read(_saved(tmp_path, image))
        np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))
        assert notes == ()

    def test_transparency_is_laid_on_black(self, tmp_path: Path) -> None:
        alpha = np.dstack([COLOURS, np.where(GREY > 100, 255, 0).astype(np.uint8)])
        pixels, notes = read(_saved(tmp_path, Image.fromarray(alpha)))
        np.testing.assert_array_equal(pixels, np.where((GREY > 100)[:, :, None], COLOURS, 0))
        assert notes == ("transparency is laid on black",)

    def test_a_transparent_colour_of_a_palette(self, tmp_path: Path) -> None:
        image = Image.new("P", (2, 2))
        image.putpalette([200, 0, 0, 0, 200, 0])
        image.putdata([0, 1, 1, 0])
        pixels, notes = read(_saved(tmp_path, image, transparency=0))
        assert pixels.tolist() == [[[0, 0, 0], [0, 200, 0]], [[0, 200, 0], [0, 0, 0]]]
        assert notes == ("transparency is laid on black",)

    def test_cmyk(self, tmp_path: Path) -> None:
        image = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
        pixels, notes = read(_saved(tmp_path, image, "a.tif"))
        assert pixels[0, 0].tolist() == [255, 0, 0]
        assert notes == ("CMYK is mixed to RGB without its colour profile",)

    @pytest.mark.parametrize(
        ("mode", "notes"),
        [
            ("1", ["a grey picture: red, green and blue are equal"]),
            ("L", ["a grey picture: red, green and blue are equal"]),
            ("LA", ["transparency is laid on black", "a grey picture: red, green and blue are equal"]),
            ("La", ["transparency is laid on black", "a grey picture: red, green and blue are equal"]),
            ("PA", ["transparency is laid on black"]),
            ("LAB", ["LAB is turned into RGB"]),
            ("YCbCr", []),
            ("I;16B", ["16-bit grey: the upper 8 bits are taken"]),
        ],
    )
    def test_what_is_noted_of_other_modes(self, tmp_path: Path, mode: str, notes: list[str]) -> None:
        path = _saved(tmp_path, Image.new("LA" if mode == "La" else mode, (4, 4)), "a.tif")
        if mode == "La":  # Pillow writes none: the tag that says whether colours are multiplied with their opacity
            tag = (338).to_bytes(2, "little") + b"\3\0\1\0\0\0"
            path.write_bytes(path.read_bytes().replace(tag + b"\2", tag + b"\1"))
        with Image.open(path) as image:
            assert image.mode == mode
        assert list(read(path)[1]) == notes

    @pytest.mark.parametrize("name", ["a.gif", "a.png", "a.tif", "a.webp"])
    def test_of_an_animation_the_first_frame(self, tmp_path: Path, name: str) -> None:
        first, second = Image.new("RGB", (8, 8), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
        more = {"lossless": True} if name.endswith("webp") else {}
        path = _saved(tmp_path, first, name, save_all=True, append_images=[second], **more)
        pixels, notes = read(path)
        assert pixels[4, 4].tolist() == [255, 0, 0]
        assert "of 2 frames the first is taken" in notes

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_turned_as_exif_says(self, tmp_path: Path, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = _saved(tmp_path, Image.fromarray(COLOURS), exif=exif)
        turned = {
            1: COLOURS,
            2: COLOURS[:, ::-1],
            3: COLOURS[::-1, ::-1],
            4: COLOURS[::-1],
            5: COLOURS.transpose(1, 0, 2),
            6: np.rot90(COLOURS, -1),
            7: np.rot90(COLOURS, -1)[:, ::-1][::-1, ::-1],
            8: np.rot90(COLOURS),
        }
        pixels, notes = read(path)
        np.testing.assert_array_equal(pixels, turned[orientation])
        assert notes == (("turned upright as its EXIF orientation says",) if orientation != 1 else ())


class TestSizes:
    def test_one_pixel(self, tmp_path: Path) -> None:
        assert read(_saved(tmp_path, Image.new("RGB", (1, 1))))[0].shape == (1, 1, 3)

    def test_20000_pixels_wide(self, tmp_path: Path) -> None:
        assert read(_saved(tmp_path, Image.new("L", (20_000, 4))))[0].shape == (4, 20_000, 3)

    def test_20000_pixels_square_is_refused_before_it_is_read(self, tmp_path: Path) -> None:
        """400 million pixels in a few hundred bytes."""
        most = "far more than 100,000,000 pixels, which is the most that is taken"
        path = _saved(tmp_path, Image.new("1", (20_000, 20_000)), "a.tif", compression="group4")
        assert path.stat().st_size < 100_000
        with pytest.raises(InputError, match=f"^the picture has {most}$") as caught:
            read(path)
        assert caught.value.hint == "scale it down to the size of the camera's frames"

    def test_what_pillow_takes_and_we_do_not(self, tmp_path: Path) -> None:
        path = _saved(tmp_path, Image.new("1", (20_000, 5001)), "a.tif", compression="group4")
        with pytest.raises(InputError, match=r"^the picture has 20000 x 5001 pixels, and no more than 100,000,000"):
            read(path)

    def test_a_picture_of_the_most_pixels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = _saved(tmp_path, Image.fromarray(COLOURS))
        monkeypatch.setattr("convert.images.read.MOST_PIXELS", 54)
        assert read(path)[0].shape == (6, 9, 3)
        monkeypatch.setattr("convert.images.read.MOST_PIXELS", 53)
        with pytest.raises(InputError, match=r"^the picture has 9 x 6 pixels, and no more than 53 are taken$"):
            read(path)


class TestDamage:
    @pytest.mark.parametrize("data", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"BM" + bytes(60)])
    def test_what_is_no_picture(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "a.jpg"
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"^not a picture that can be read: ") as caught:
            read(path)
        assert (caught.value.path, str(tmp_path) in caught.value.message) == (str(path), False)
        unknown = caught.value.message.endswith(": its bytes begin like no picture format that is known")
        assert unknown is not data.startswith(b"BM")
        assert caught.value.hint == "leave it out, or save it again" + (" as PNG or JPEG" if unknown else "")

    @pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.gif", "a.tif", "a.webp", "a.bmp"])
    def test_cut_off(self, tmp_path: Path, name: str) -> None:
        data = _saved(tmp_path, Image.fromarray(COLOURS), name).read_bytes()
        path = tmp_path / ("cut" + name)
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value.hint).startswith("leave it out, or save it again")

    @pytest.mark.parametrize(
        ("error", "reason"),
        [(ValueError(), "ValueError"), (OSError("cannot  load\nPATH at all"), "cannot load the file at all")],
    )
    def test_whatever_a_decoder_raises_is_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
    ) -> None:
        path = _saved(tmp_path, Image.fromarray(COLOURS))

        def fails(*_: object) -> None:
            raise type(error)(*(str(each).replace("PATH", str(path)) for each in error.args))

        monkeypatch.setattr(Image, "open", fails)
        with pytest.raises(InputError) as caught:
            read(path)
        assert caught.value.message == f"not a picture that can be read: {reason}"
        assert caught.value.hint == "leave it out, or save it again"

    def test_a_pipe_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.png")
        with pytest.raises(InputError, match=r"^not an ordinary file$") as caught:
            read(tmp_path / "a.png")
        assert caught.value.hint == "name a picture or a folder of pictures"

    @examples(60)
    @given(st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP"]), st.data())
    def test_any_bytes(self, tmp_path: Path, form: str, data: st.DataObject) -> None:
        file = io.BytesIO()
        Image.fromarray(COLOURS).save(file, form)
        damaged = bytearray(file.getvalue())
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        path = tmp_path / "any"
        path.write_bytes(damaged)
        try:
            pixels, _ = read(path)
        except InputError as error:
            assert error.path == str(path)  # noqa: PT017 - either is right
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3


class TestFolders:
    def _folder(self, tmp_path: Path) -> Path:
        for name in ("b.png", "a.JPG", "c.mp4", ".hidden.png", "notes.txt"):
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "below.png").mkdir()
        return tmp_path

    def test_pictures_directly_in_it_by_name(self, tmp_path: Path) -> None:
        folder = self._folder(tmp_path)
        assert [path.name for path in find([folder, folder / "notes.txt"])] == ["a.JPG", "b.png", "c.mp4", "notes.txt"]
        assert [path.name for path in find([folder], videos=False)] == ["a.JPG", "b.png"]

    def test_nothing_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").write_bytes(b"")
        with pytest.raises(InputError, match=r"^the folder holds no picture") as caught:
            find([tmp_path], videos=False)
        kinds = ".bmp, .gif, .jpeg, .jpg, .pgm, .png, .ppm, .tif, .tiff, .webp"
        assert caught.value.hint == f"looked for {kinds} directly in it"
        (tmp_path / "clip.mp4").unlink()
        with pytest.raises(InputError, match=r"^the folder holds no picture"):
            find([tmp_path])

    def test_not_there(self, tmp_path: Path) -> None:
        for function in (lambda path: find([path]), read):
            with pytest.raises(InputError, match=r"^cannot be read: No such file or directory$") as caught:
                function(tmp_path / "no.png")
            assert caught.value.hint == "check the path"

    def test_names_are_short_and_unique(self, tmp_path: Path) -> None:
        stems = ["a", "A", "a-2", "ä b/..", "x" * 300, "..", "%", "a", "\udcff"]
        from convert.images.read import _Names

        names = _Names()
        given_ = [names(stem) for stem in stems]
        assert given_ == ["a", "A-2", "a-2-2", "ä_b", "x" * 80, "picture", "picture-2", "a-3", "picture-3"]
        for name in given_:
            (tmp_path / f"{name}.jpg").write_text("")
        assert len(list(tmp_path.iterdir())) == len(stems)

    def test_a_broken_one_among_others(self, tmp_path: Path) -> None:
        good, bad = tmp_path / "b.png", tmp_path / "a.png"
        Image.fromarray(COLOURS).save(good)
        bad.write_bytes(b"hello")
        first, second = read_all([bad, good])
        assert isinstance(first, Unreadable)
        assert isinstance(second, Picture)
        assert (first.source, second.name) == (bad, "b")
