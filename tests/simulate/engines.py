"""Engines whose answers can be told from the picture: mean colours, of four cells or of all of it.

Models are written as ONNX text, configs as nvinfer reads them; everything lands in one folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["BLUE", "GREEN", "RED", "block", "classifier", "detector", "plain"]

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
LABELS = ("red", "green", "blue")
_NORM = 35.0
_PROPERTY = {"net-scale-factor": 1 / 255, "scaling-filter": 1}


def detector(folder: Path, name: str = "cells", *, side: int = 32, batch: int = 0, **keys: object) -> Path:
    """A DetectNet model: of 2x2 cells each is an object of every colour, its mean being the confidence.

    Args:
        folder: for config, model and labels.
        name: of the files.
        side: of the network's input.
        batch: of the input; 0 is any.
        keys: of [property], "_" for "-"; those of class-attrs-all begin with "all_".
    """
    cell = side // 2
    first = batch or "N"
    text = f"""<ir_version: 8, opset_import: ["" : 13]>
    cells (float[{first},3,{side},{side}] x) => (float[{first},3,2,2] cov, float[{first},12,2,2] bbox) {{
      cov = AveragePool <kernel_shape = [{cell},{cell}], strides = [{cell},{cell}]> (x)
      twelve = Concat <axis = 1> (cov, cov, cov, cov)
      nothing = Mul (twelve, zero)
      bbox = Add (nothing, edges)
    }}"""
    # From a cell's centre: x1 = (centre - b0) * 35, x2 = (centre + b2) * 35.
    half = (cell / 2 - 0.5) / _NORM
    centre = 0.5 / _NORM
    planes = [centre, centre, 2 * half + centre, 2 * half + centre]
    _save(
        folder / f"{name}.onnx",
        text,
        {"zero": np.zeros((), np.float32), "edges": np.array(planes * 3, np.float32).reshape(1, 12, 1, 1)},
    )
    (folder / f"{name}_labels.txt").write_text("\n".join(LABELS) + "\n")
    given = {
        "gie-unique-id": 1, "network-type": 0, "num-detected-classes": 3, "cluster-mode": 4, **_keys(keys)
    }  # fmt: skip
    return _config(folder, name, given, {"pre-cluster-threshold": 0.5, **_keys(keys, of="all_")})


def classifier(folder: Path, name: str = "colour", *, side: int = 16, batch: int = 0, **keys: object) -> Path:
    """The mean of each colour as its probability."""
    first = batch or "N"
    text = f"""<ir_version: 8, opset_import: ["" : 13]>
    colour (float[{first},3,{side},{side}] x) => (float[{first},3] y) {{
      y = ReduceMean <axes = [2, 3], keepdims = 0> (x)
    }}"""
    _save(folder / f"{name}.onnx", text, {})
    (folder / f"{name}_labels.txt").write_text(";".join(LABELS) + "\n")
    given = {"gie-unique-id": 2, "network-type": 1, "process-mode": 2, "classifier-threshold": 0.5, **_keys(keys)}
    return _config(folder, name, given, {})


def block(height: int, width: int, *colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Four quarters, row by row, black where no colour is given."""
    picture = np.zeros((height, width, 3), np.uint8)
    for number, colour in enumerate(colours):
        down, across = divmod(number, 2)
        rows = slice(down * height // 2, (down + 1) * height // 2)
        picture[rows, across * width // 2 : (across + 1) * width // 2] = colour
    return picture


def plain(height: int, width: int, colour: tuple[int, int, int]) -> NDArray[np.uint8]:
    """One colour."""
    return block(height, width, colour, colour, colour, colour)


def _keys(keys: dict[str, object], *, of: str = "") -> dict[str, object]:
    chosen = {key.removeprefix(of): value for key, value in keys.items() if key.startswith("all_") == bool(of)}
    return {key.replace("_", "-"): value for key, value in chosen.items()}


def _config(folder: Path, name: str, given: dict[str, object], attributes: dict[str, object]) -> Path:
    path = folder / f"{name}.txt"
    values = {"onnx-file": f"{name}.onnx", "labelfile-path": f"{name}_labels.txt", **_PROPERTY, **given}
    lines = ["[property]", *(f"{key}={value}" for key, value in values.items() if value is not None)]
    if attributes:
        lines += ["[class-attrs-all]", *(f"{key}={value}" for key, value in attributes.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def _save(path: Path, text: str, constants: dict[str, NDArray[np.float32]]) -> None:
    model = onnx.parser.parse_model(text)
    model.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    )
    onnx.checker.check_model(model)
    onnx.save(model, path)
