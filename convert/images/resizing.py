"""Whole frames that the graph itself resizes, as Edge Impulse's SDK does it (`--resize graph`).

The network's input has the frame's own size, so Gst-nvinfer scales nothing where the stream muxer gives frames of it.
The graph cuts out, fits in or squashes (`convert.images.scaling.place_as_sdk`), and interpolates
(`convert.graph.resize`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from convert.errors import PresetError
from convert.images import Framing, ResizeMode

if TYPE_CHECKING:
    from convert.images.scaling import Placement


__all__ = ["PIXELS", "RESIZES", "Resizing"]


RESIZES = ("device", "graph")
"""What brings frames to the model's size: Gst-nvinfer's scaler, or the network's own first nodes."""

PIXELS = "say it in pixels, --frame 1280x720 for example: the width and height that [streammux] has"
_LONGEST = 4096  # pixels a side: of the largest usual cameras; a frame of 4096x4096 is 201 MB of an engine's memory


@dataclass(frozen=True, slots=True)
class Resizing(Framing):
    """A model that takes frames of one size and brings them to the size it was trained on.

    Attributes:
        mode: how Edge Impulse brought pictures to that size; `none` is squash.

    Raises:
        PresetError: only the aspect of the frames is given, or they are too large, or a side is odd.
    """

    mode: ResizeMode = ResizeMode.SQUASH

    def __post_init__(self) -> None:
        if not self.frame.in_pixels:
            raise PresetError(
                f"--resize graph needs the size of the frames in pixels, {self.frame} is only their aspect",
                hint=PIXELS,
            )
        width, height = (side + side % 2 for side in self.network)
        if (width, height) != self.network:
            raise PresetError(
                f"frames of {self.frame} have an odd side; Gst-nvinfer leaves out its last pixel and would scale",
                hint=f"give [streammux] even sides, and say them: --frame {width}x{height}",
            )
        if max(self.network) > _LONGEST:
            raise PresetError(
                f"frames of {self.frame} are too large for --resize graph: the engine would take "
                f"{self.megabytes:.0f} MB for each",
                hint=f"let [streammux] make them smaller, {_LONGEST} pixels a side at most, and give that size",
            )

    @property
    def network(self) -> tuple[int, int]:
        """Width and height of the input: those of the frame."""
        return self.frame.width, self.frame.height

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
