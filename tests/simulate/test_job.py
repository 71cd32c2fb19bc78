"""What a simulation is made of: pictures and videos that can be read, and how many of them there are."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from convert.check.loading import check_target
from convert.errors import InputError, MissingDependencyError
from convert.simulate import job as module
from convert.simulate.job import Job
from tests.simulate.engines import classifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = check_target("deepstream-9.1", "dgpu")
MISSING = MissingDependencyError("reading videos needs the package av (PyAV)", hint="install it")


def run(folder: Path, *names: str) -> tuple[list[str], list[int | None], Any]:
    """Names of the frames that were shown and compared, what the observer was told, and the result."""
    for name in names:
        if name.endswith("png"):
            Image.new("RGB", (16, 16)).save(folder / name)
        else:
            (folder / name).write_bytes(b"")
    shown: list[str] = []
    compared: list[str] = []
    counts: list[int | None] = []

    @contextmanager
    def comparing(_engine: object) -> Iterator[Any]:
        yield lambda name, _pixels: compared.append(name)

    def add(frame: Any, pixels: Any, _text: bytes) -> None:
        assert pixels.shape == (16, 16, 3)
        assert pixels.dtype == np.uint8
        shown.append(frame.name)

    result = Job(HERE, tuple(folder / name for name in names), classifier(folder, process_mode=1))(
        add, comparing, counts.append
    )
    assert shown == compared
    return shown, counts, result


def test_pictures_are_counted_before_and_one_by_one(tmp_path: Path) -> None:
    assert run(tmp_path, "a.png", "b.png")[:2] == (["a", "b"], [2, 1, 1])


def test_without_a_frame(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^no picture could be simulated: the videos have no frames$") as caught:
        run(tmp_path)
    assert caught.value.hint == "give pictures or videos"


@pytest.mark.parametrize(
    ("videos", "what"), [(["a.mp4"], "the video was"), (["a.mp4", "b.mp4", "c.mkv"], "3 videos were")]
)
def test_videos_that_nothing_here_decodes_are_left_out(
    videos: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_av() -> None:
        raise MISSING

    monkeypatch.setattr(module, "load_av", load_av)
    shown, counts, result = run(tmp_path, *videos, "p.png")
    assert (shown, counts) == (["p"], [1, 1])
    found = result.findings[0]
    assert (found.id, found.message) == ("EI700", f"{what} left out: reading videos needs the package av (PyAV)")
    assert (found.path, found.hint) == (str(tmp_path / "a.mp4"), "install it")
    with pytest.raises(MissingDependencyError, match=r"^reading videos needs the package av"):
        run(tmp_path, *videos)
