"""KITTI text as deepstream-app writes it with gie-kitti-output-dir.

`write_kitti_output` (deepstream_app.c) runs behind the primary engine: one line for each of its objects, the edges as
float32 sums, six decimals, zeros for what KITTI has and a detector does not. What secondary engines find or say is not
in it. A primary classifier's object, the whole frame, has no label there and no confidence: its text is elsewhere in
the metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from convert.simulate.scene import Engine, Frame

__all__ = ["kitti"]


def kitti(frame: Frame, primary: Engine) -> bytes:
    """The file of one frame; empty where nothing was found."""
    rows = [
        (found.label, found.box.left, found.box.top, found.box.width, found.box.height, found.confidence)
        for found in frame.objects
        if found.engine == primary.settings.unique_id
    ]
    if frame.label:
        rows.append(("", 0.0, 0.0, frame.width, frame.height, 0.0))
    return "".join(_line(*row) for row in rows).encode("utf-8", "surrogateescape")


def _line(label: str, left: float, top: float, width: float, height: float, confidence: float) -> str:
    with np.errstate(over="ignore", invalid="ignore"):
        right, bottom = (float(np.float32(start) + np.float32(size)) for start, size in ((left, width), (top, height)))
    edges = " ".join(f"{edge:f}" for edge in (left, top, right, bottom))
    return f"{label} 0.0 0 0.0 {edges} 0.0 0.0 0.0 0.0 0.0 0.0 0.0 {confidence:f}\n"
