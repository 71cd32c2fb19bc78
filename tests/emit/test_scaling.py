"""A Jetson's VIC scales by at most 16 in one step: what the configs say where that is too little."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.emit import Emit
from convert.emit.config import Gie, scaling
from convert.nvinfer.targets import target, targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.types import Validated

HD = (1920, 1080)
JETSON, PC = target("7.1", "jetson"), target("7.1", "dgpu")


@pytest.mark.parametrize(
    ("network", "largest", "times"),
    [
        ((48, 48), HD, "40"),
        ((96, 96), HD, "20"),
        ((119, 119), HD, "16.1"),
        ((320, 64), HD, "16.9"),
        ((120, 68), HD, ""),
        ((96, 96), (1280, 720), ""),
        ((170, 96), HD, ""),  # whole frames of 16:9, cropped in the graph
        ((48, 48), (640, 480), ""),
        ((1024, 1024), (64, 64), ""),
    ],
)
def test_whole_frames(network: tuple[int, int], largest: tuple[int, int], times: str) -> None:
    found = scaling(network, largest, Gie(1), JETSON)
    assert found.gpu.endswith(f"it would be {times}") if times else not found.gpu
    assert scaling(network, largest, Gie(1), PC).gpu == ""


@pytest.mark.parametrize(
    ("network", "min_size", "expected", "gpu"),
    [
        ((160, 160), None, (16, 16), False),
        ((320, 320), None, (20, 20), False),
        ((300, 300), None, (20, 20), False),  # an object 19 pixels wide is scaled as one of 18
        ((416, 256), None, (26, 16), False),
        ((320, 320), 20, (20, 20), False),
        ((320, 320), 99, (99, 99), False),
        ((320, 320), 19, (19, 19), True),
        ((160, 160), 3, (3, 3), False),  # nvinfer raises it to 16 there
        ((48, 48), None, (16, 16), True),  # of an object as large as the frame
    ],
)
def test_objects(network: tuple[int, int], min_size: int | None, expected: tuple[int, int], gpu: bool) -> None:
    found = scaling(network, HD, Gie(2, 1, min_size), JETSON)
    assert (found.min_size, bool(found.gpu)) == (expected, gpu)
    assert scaling(network, HD, Gie(2, 1, min_size), PC).min_size == (min_size or 1, min_size or 1)


def test_the_vic_is_never_asked_for_more() -> None:
    for side in range(16, 1200, 7):
        for gie in (Gie(1), Gie(2, 1), Gie(2, 1, 16), Gie(2, 1, 31)):
            found = scaling((side, side), HD, gie, JETSON)
            if found.gpu:
                continue
            sizes = [HD] if gie.operate_on is None else [HD, tuple(max(16, each) // 2 * 2 for each in found.min_size)]
            for size in sizes:
                assert all(own / 16 <= side <= own * 16 for own in size), (side, gie, size)


@pytest.mark.parametrize("where", targets(), ids=lambda each: f"{each.deepstream}-{each.platform}")
def test_in_the_files(invent: Callable[..., Validated], glib: Callable[[bytes], Any], where: Any) -> None:
    options: dict[str, Any] = {"target": where.deepstream, "platform": where.platform}
    for side, on_gpu, least in ((48, True, 16), (320, False, 20)):
        model = invent(size=(None, 3, side, side)).adapted
        files = Emit(Path("x"), **options).files(model)
        for name in ("config_infer_primary_fruit.txt", "config_infer_secondary_fruit.txt"):
            keys = glib(files[name]).keys("property")
            assert ("scaling-compute-hw" in keys) == (on_gpu and where.platform == "jetson")
        secondary = glib(files["config_infer_secondary_fruit.txt"])
        found = [secondary.integer("property", f"input-object-min-{each}") for each in ("width", "height")]
        assert found == ([least] * 2 if where.platform == "jetson" else [1, 1])
        wide = Emit(Path("x"), **options).files(invent(size=(None, 3, 256, 416)).adapted)
        secondary = glib(wide["config_infer_secondary_fruit.txt"])
        found = [secondary.integer("property", f"input-object-min-{each}") for each in ("width", "height")]
        assert found == ([26, 16] if where.platform == "jetson" else [1, 1])
        # A camera's frames are smaller.
        files = Emit(Path("x"), source="/dev/video0", **options).files(model)
        assert b"scaling-compute-hw" not in files["config_infer_primary_fruit.txt"]
