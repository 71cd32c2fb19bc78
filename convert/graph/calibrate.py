"""A float model becomes one of 8-bit codes, with scales from the user's pictures (`--calibrate DIR`).

ONNX Runtime's own quantizer does it (onnxruntime.quantization.quantize_static). Activations are symmetric int8: every
zero point is 0, as TensorRT wants. The largest number over all pictures has the code 127. Weights have a scale for each
output, biases stay float32.

Codes stand where NVIDIA's documentation of explicit quantization has them: before layers with weights, and before sums
of two feature maps, not behind them. So TensorRT joins a layer, its activation and the next quantizer. All else stays
float32: also what the last layers give, and what decodes boxes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from convert.errors import InputError, UnsupportedModelError
from convert.graph.graph import GraphEditor, infer
from convert.graph.quantized import WEIGHTED, require_scales
from convert.graph.resize import cut_out, scaled_levels
from convert.images import ImageScaling, crop_area
from convert.images.read import find, read
from convert.images.resizing import Resizing
from convert.images.scaling import scaled
from convert.isolation import TemporaryFolder

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from onnx import ModelProto

    from convert.types import Preprocessing

FEWEST = 20
"""Pictures: with fewer, numbers larger than any of them are met soon, and cut off."""
_MOST = 200  # evenly chosen of a larger folder: the largest numbers hardly grow with more, and each takes time
_SUMS = {"Add"}


def calibration_pictures(folder: Path) -> tuple[Path, ...]:
    """The pictures of `folder` that are taken.

    Raises:
        InputError: there are too few, or the folder cannot be read.
    """
    files = find([folder], videos=False)
    if len(files) < FEWEST:
        message = f"{len(files)} {'picture is' if len(files) == 1 else 'pictures are'} not enough to calibrate with"
        hint = f"give a folder with at least {FEWEST} pictures as the camera takes them, better 100 or more"
        raise InputError(message, path=folder, hint=hint)
    return tuple(files[place] for place in np.linspace(0, len(files) - 1, min(len(files), _MOST)).round().astype(int))


def calibrated(model: ModelProto, scaling: ImageScaling, before: Preprocessing, pictures: Sequence[Path]) -> ModelProto:
    """A pass: a float model for pictures [1,C,h,w] computes in 8-bit codes.

    Args:
        scaling: what it takes of levels.
        before: how a primary engine brings frames to it; `pictures` are brought to it in the same way.

    Raises:
        InputError: a picture cannot be read.
        PresetError: the opset is older than scales along an axis.
        UnsupportedModelError: no layer can run in INT8, or the quantizer does not take the model.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static  # heavy

    editor = GraphEditor(model)
    require_scales("--calibrate", editor)
    chosen, kinds, shapes = [], set(), infer(editor)
    for number, node in enumerate(editor.nodes()):
        node.name = f"n{number}"  # the quantizer goes by names, and they may be missing, or the same
        constants = [editor.constant(name) is not None for name in node.input]
        has_weights = node.op_type in WEIGHTED and constants[:2] == [False, True]
        is_map = len(shapes.get(node.output[0], ())) == 4  # a sum of boxes does not bear 8 bits
        if has_weights or (node.op_type in _SUMS and is_map and not any(constants)):
            chosen.append(node.name)
            kinds.add(node.op_type)
    if kinds <= _SUMS:
        raise UnsupportedModelError(
            "no layer of this model can run in INT8: none has constant weights", hint="leave out --precision int8"
        )
    editor.store()
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})  # else it logs that it is not
    with TemporaryFolder() as folder:
        written = folder / "codes.onnx"
        usual = logging.root.manager.disable
        logging.disable()  # progress, as text on standard error
        try:
            quantize_static(
                model,
                written,
                _Reader(model.graph.input[0], scaling, before, pictures),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                nodes_to_quantize=chosen,
                extra_options={
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "QuantizeBias": False,  # as int32: TensorRT takes none
                    "OpTypesToExcludeOutputQuantization": sorted(kinds),
                },
            )
        except InputError:
            raise
        except Exception as error:  # its exceptions share no base class
            raise UnsupportedModelError(
                f"ONNX Runtime cannot quantize this model: {error}", hint="leave out --precision int8"
            ) from error
        finally:
            logging.disable(usual)
        result: ModelProto = onnx.load_model(written)
    return result


def as_deployed(picture: NDArray[np.uint8], before: Preprocessing, size: tuple[int, int, int]) -> NDArray[Any]:
    """What a network of `size` (h,w,C) gets of a `picture` [H,W,3] as a frame of the camera: levels [h,w,C].

    Gst-nvinfer scales the frame, and the graph cuts and resizes it where it was made for frames. A picture of another
    shape is no frame of that camera, but its middle could be.
    """
    (height, width, channels), framing = size, before.framing
    grey = channels == 1
    if framing is None:
        return scaled(picture, width, height, keep_aspect=before.maintain_aspect_ratio, grey=grey)
    if not (isinstance(framing, Resizing) and framing.takes_any_shape):
        left, top, wide, high = crop_area(picture.shape[1], picture.shape[0], framing.frame.pixels)
        picture = picture[top : top + high, left : left + wide]
    whole = scaled(picture, *framing.network, grey=grey and not isinstance(framing, Resizing))
    return cut_out(whole, framing, grey=grey)


class _Reader:
    """Gives the pictures as the model's input: a CalibrationDataReader."""

    def __init__(
        self, source: onnx.ValueInfoProto, scaling: ImageScaling, before: Preprocessing, pictures: Sequence[Path]
    ) -> None:
        _, channels, height, width = (dim.dim_value for dim in source.type.tensor_type.shape.dim)
        self._name, self._size = source.name, (height, width, channels)
        self._scaling, self._before, self._pictures = scaling, before, iter(pictures)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """float32 [1,C,h,w] by the input's name; None behind the last."""
        path = next(self._pictures, None)
        if path is None:
            return None
        levels = as_deployed(read(path)[0], self._before, self._size)
        values = np.ascontiguousarray(levels.transpose(2, 0, 1)[np.newaxis], np.float32)
        return {self._name: scaled_levels(values, self._scaling)}
