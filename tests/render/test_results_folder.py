"""The folder of results: which files are written for pictures, in which order, and what is left after a failure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from convert.errors import InputError
from convert.images.scaling import Rect
from convert.render.drawing import page_picture
from convert.render.page import MOST_PICTURES
from convert.render.simulation import ResultsFolder
from convert.simulate.results import DetectedObject, FrameResult

if TYPE_CHECKING:
    from numpy.typing import NDArray


def frame(name: str, objects: int = 1, width: int = 32, height: int = 24) -> FrameResult:
    boxes = [DetectedObject(1, 0, "car", 0.5, Rect(3.0 * each, 2, 20, 16)) for each in range(objects)]
    return FrameResult(name, Path("missing.jpg"), width, height, None, objects=tuple(boxes))


def pixels(one: FrameResult) -> NDArray[np.uint8]:
    return np.full((one.height, one.width, 3), 90, np.uint8)


def test_files_are_told_in_the_order_of_the_pictures(tmp_path: Path) -> None:
    names = [f"{number:03d}" for number in range(MOST_PICTURES + 2)]
    with ResultsFolder(tmp_path) as folder:
        for name in names:
            folder.add(one := frame(name), pixels(one), name.encode())
    assert [output.path for output in folder.outputs] == [
        str(tmp_path / path) for name in names for path in (f"drawn/{name}.jpg", f"kitti/{name}.txt")
    ]
    assert (tmp_path / "kitti" / "100.txt").read_bytes() == b"100"
    assert list(folder.drawn) == names[:MOST_PICTURES]


@pytest.mark.parametrize(("room", "waiting"), [(0, 0), (3 * 32 * 24 - 1, 0), (3 * 32 * 24, 1), (2**26, 16)])
def test_only_so_many_pictures_wait(tmp_path: Path, room: int, waiting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.render.simulation._MOST_AHEAD", room)
    with ResultsFolder(tmp_path) as folder:
        for number in range(1, 21):
            folder.add(one := frame(str(number)), pixels(one), b"")
            assert len(folder.drawn) == max(0, number - waiting)


@pytest.mark.parametrize(
    ("objects", "size", "same"),
    [
        (9, (640, 480), True),
        (8, (640, 480), True),
        (0, (640, 480), False),  # why nothing is shown is said below the picture and on the page
        (9, (480, 360), True),
        (9, (479, 360), False),  # enlarged, which is said below the picture and on the page
        (9, (960, 540), True),
        (9, (540, 961), False),  # the page has it smaller
    ],
)
def test_a_picture_stands_on_the_page_as_it_was_drawn(
    tmp_path: Path, objects: int, size: tuple[int, int], same: bool
) -> None:
    one = frame("street", objects, *size)
    with ResultsFolder(tmp_path) as folder:
        folder.add(one, pixels(one), b"")
    drawn = (tmp_path / "drawn" / "street.jpg").read_bytes()
    assert folder.drawn["street"] == (drawn if same else page_picture(pixels(one), one))
    assert (folder.drawn["street"] == drawn) is same


def test_after_a_failure_what_was_added_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the video ends here"), ResultsFolder(tmp_path) as folder:  # noqa: PT012
        for name in "abc":
            folder.add(one := frame(name), pixels(one), b"")
        raise InputError("the video ends here")
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["a.jpg", "b.jpg", "c.jpg"]


def test_a_failure_is_told_although_the_files_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "drawn").write_text("a file where the folder belongs")
    with pytest.raises(InputError, match="the video ends here"), ResultsFolder(tmp_path) as folder:  # noqa: PT012
        folder.add(one := frame("a"), pixels(one), b"")
        raise InputError("the video ends here")
