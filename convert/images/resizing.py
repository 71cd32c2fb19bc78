"""Whole frames that the graph itself resizes, as Edge Impulse's SDK does it (`--resize auto` and `graph`).

The graph cuts out, fits in or squashes (`convert.images.scaling.place_as_sdk`), and interpolates
(`convert.graph.resize`). The two differ in the network's input. With `graph` it has the frame's own size, so that
Gst-nvinfer scales nothing where the stream muxer gives frames of it. With `auto` it has a whole part of the frame's
sides (`usual_size`): 640x360 for frames of 1920x1080 and of 1280x720, which Gst-nvinfer scales to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from convert.errors import PresetError
from convert.images import Frame, Framing, ResizeMode

if TYPE_CHECKING:
    from convert.images.scaling import Placement

RESIZES = ("auto", "device", "graph")
"""What brings frames to the model's size: Gst-nvinfer's scaler, then the network's first nodes; one of them alone."""

PIXELS = "say it in pixels, --frame 1280x720 for example: the width and height that [streammux] has"
_LINES = 360  # at least, of frames that the device has scaled
_LONGEST = 4096  # pixels a side: of the largest usual cameras; a frame of 4096x4096 is 201 MB of an engine's memory


def usual_size(frame: Frame, model: tuple[int, int]) -> tuple[int, int]:
    """Width and height to which the device scales a frame: a whole part of its sides, made even.

    It is the smallest that has at least 360 lines (columns, of an upright frame) and out of which the model's picture
    can be cut without enlarging it. Where the frame itself is smaller it is the frame's size.
    """
    sides = frame.pixels
    parts = max(1, min(min(sides) // _LINES, *(side // own for side, own in zip(sides, model, strict=True))))
    width, height = (max(2, 2 * round(Fraction(side, 2 * parts))) for side in sides)
    return width, height


@dataclass(frozen=True, slots=True)
class Resizing(Framing):
    """A model that takes frames of one size and brings them to the size it was trained on.

    Attributes:
        mode: how Edge Impulse brought pictures to that size; `none` is squash.
        scaled: width and height to which the device scales frames before; None: it takes them as they are.

    Raises:
        PresetError: of frames that it takes as they are only the aspect is given, or they are too large, or a side is
            odd.
    """

    mode: ResizeMode = ResizeMode.SQUASH
    scaled: tuple[int, int] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.scaled is not None:
            return
        if not self.frame.in_pixels:
            raise PresetError(
                f"--resize graph needs the size of the frames in pixels, {self.frame} is only their aspect", hint=PIXELS
            )
        width, height = (side + side % 2 for side in self.network)
        if (width, height) != self.network:
            message = f"frames of {self.frame} have an odd side; Gst-nvinfer leaves out its last pixel and would scale"
            raise PresetError(message, hint=f"give [streammux] even sides, and say them: --frame {width}x{height}")
        if max(self.network) > _LONGEST:
            raise PresetError(
                f"frames of {self.frame} are too large for --resize graph: the engine would take "
                f"{self.megabytes:.0f} MB for each",
                hint=f"let [streammux] make them smaller, {_LONGEST} pixels a side at most, and give that size",
            )

    @property
    def network(self) -> tuple[int, int]:
        """Width and height of the input."""
        return self.scaled or (self.frame.width, self.frame.height)

    @property
    def is_exact(self) -> bool:
        """Whether it takes frames as they are, so that nothing else scales them."""
        return self.frame.in_pixels and self.network == self.frame.pixels

    @property
    def megabytes(self) -> float:
        """Of a frame in the input: three channels of float32."""
        return 3 * 4 * self.network[0] * self.network[1] / 1e6

    @property
    def placement(self) -> Placement:
        """What is cut out of the frame, and where it lies in the model's picture."""
        from convert.images.scaling import place_as_sdk  # brings numpy

        return place_as_sdk(*self.network, self.model, self.mode, anchor=self.anchor)

    @property
    def left(self) -> int:
        """Columns of the frame that are cut off before the first one in use."""
        return self.placement.left

    @property
    def top(self) -> int:
        """Rows of the frame that are cut off above the first one in use."""
        return self.placement.top

    @property
    def takes_any_shape(self) -> bool:
        """Whether frames of another shape, which the device stretches, become what they would by themselves."""
        return self.mode not in {ResizeMode.FIT_SHORTEST, ResizeMode.FIT_LONGEST}

    @property
    def does(self) -> str:
        """What the graph does to frames, a verb."""
        if self.takes_any_shape:
            return "squashes"
        return "puts black bars around" if self.mode is ResizeMode.FIT_LONGEST else "crops"

    @property
    def cut(self) -> tuple[int, int, int, int] | None:
        """Left, top, width and height of what the graph cuts out of the frame; None where that is all."""
        place = self.placement
        size = place.source_width, place.source_height
        return None if size == self.network else (place.left, place.top, *size)

    @property
    def inside(self) -> tuple[float, float, float, float]:
        """Left, top, width and height of the model's picture in pixels of the frame; black bars lie outside of it."""
        place = self.placement
        across, down = Fraction(place.source_width, place.width), Fraction(place.source_height, place.height)
        left, top = place.left - place.view.offset_left * across, place.top - place.view.offset_top * down
        return float(left), float(top), float(self.model[0] * across), float(self.model[1] * down)

    @property
    def stretch(self) -> float:
        """How much wider than in the frame everything is, as a share; negative: narrower."""
        place = self.placement
        return float(Fraction(place.width * place.source_height, place.height * place.source_width) - 1)

    @property
    def seen(self) -> float:
        """The share of the frame that the model sees."""
        place = self.placement
        return place.source_width * place.source_height / (self.network[0] * self.network[1])
