"""Reads the files nvinfer writes for every batch with raw-output-file-write=1.

`gst_nvinfer_output_generated_file_write` (gstnvinfer.cpp): one file for each input and output in the element's working
directory, `gstnvdsinfer_uid-<id>_layer-<name>_batch-<number>_batchsize-<frames>.bin`, every "/" of the name an
underscore, cut at 255 bytes; in it the numbers of all frames of the batch one behind the other, and nothing else. The
dimensions and types must be known from the model.
"""

from __future__ import annotations

import math
import os
import re
from typing import TYPE_CHECKING

import numpy as np

from convert.errors import InputError
from convert.simulate.decode_tensors import Layer
from convert.simulate.replay_case import Layout, Recording, read_layout

if TYPE_CHECKING:
    from pathlib import Path

    from convert.simulate.replay_case import Output

__all__ = ["dump_name", "read_dump"]

_NAME_BYTES = 255
_NAME = re.compile(rb"gstnvdsinfer_uid-(\d{2,})_layer-(.*)_batch-(\d{10,})_batchsize-(\d{2,})\.bin", re.DOTALL)
_MOST_FRAMES = 1024  # NVDSINFER_MAX_BATCH_SIZE


def dump_name(unique_id: int, layer: str, batch: int, frames: int) -> str:
    """The file nvinfer writes for one layer of one batch."""
    name = f"gstnvdsinfer_uid-{unique_id:02d}_layer-{layer}_batch-{batch:010d}_batchsize-{frames:02d}.bin"
    return os.fsdecode(os.fsencode(name)[:_NAME_BYTES]).replace("/", "_")


def read_dump(folder: Path, unique_id: int, layout: Layout | None = None) -> tuple[Recording, ...]:
    """All batches of one engine, in the order they were written.

    Args:
        folder: with the files; others are not looked at.
        unique_id: gie-unique-id of the engine.
        layout: its input and outputs; a `case.json` in the folder goes before it.

    Raises:
        InputError: there are no such files, one is missing, or a size does not fit the dimensions.
    """
    layout = read_layout(folder) or layout
    batches = _batches(folder, unique_id)
    if layout is None:
        raise InputError(
            "the dumped tensors say nothing of their dimensions",
            hint="keep the config's onnx-file beside it, or write a case.json with network and outputs",
            path=folder,
        )
    names = [dump_name(unique_id, output.name, 0, 1) for output in layout.outputs]
    for index, name in enumerate(names):
        if name in names[:index]:
            first = layout.outputs[names.index(name)].name
            raise InputError(
                f"outputs {first!r} and {layout.outputs[index].name!r} are dumped to the same file",
                hint="nvinfer turns / into _ and cuts long names; rename one in the model",
                path=folder,
            )
    return tuple(
        Recording(
            f"{folder.name}-{batch}",
            layout.network,
            tuple(_layer(folder, unique_id, output, batch, frames) for output in layout.outputs),
        )
        for batch, frames in batches
    )


def _batches(folder: Path, unique_id: int) -> list[tuple[int, int]]:
    """Number and frames of every batch."""
    try:
        found = [_NAME.fullmatch(os.fsencode(path.name)) for path in folder.iterdir()]
    except OSError as error:
        raise InputError(f"the folder cannot be read: {error.strerror}", path=folder) from None
    numbers = [(int(one[1]), int(one[3]), int(one[4])) for one in found if one]
    batches = sorted({(batch, frames) for uid, batch, frames in numbers if uid == unique_id})
    if not batches:
        others = sorted({uid for uid, _, _ in numbers})
        raise InputError(
            f"there are no recorded tensors of engine {unique_id} here"
            + (f", only of {', '.join(map(str, others))}" if others else ""),
            hint="a recording is case.json with tensors.npz, or the .bin files that nvinfer writes with "
            "raw-output-file-write=1, for the gie-unique-id of the config",
            path=folder,
        )
    for (batch, frames), (other, _) in zip(batches, [*batches[1:], (-1, 0)], strict=True):
        if batch == other or not 1 <= frames <= _MOST_FRAMES:
            raise InputError(
                f"batch {batch} was written twice with different sizes, or with no or too many frames",
                hint="clear the folder and record again",
                path=folder,
            )
    return batches


def _layer(folder: Path, unique_id: int, output: Output, batch: int, frames: int) -> Layer:
    path = folder / dump_name(unique_id, output.name, batch, frames)
    shape, dtype = (frames, *output.dims), np.dtype(output.dtype)
    size = math.prod(shape) * dtype.itemsize
    try:
        with path.open("rb") as file:
            data = file.read(size + 1)
            written = len(data) if len(data) <= size else os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(
            f"output {output.name!r} of batch {batch} cannot be read: {error.strerror}",
            hint="all outputs of a batch must be there; the model must be the one that was recorded",
            path=path,
        ) from None
    if written != size:
        raise InputError(
            f"the file has {written:,} bytes, and {frames} frames of {output.dtype} {list(output.dims)} have {size:,}",
            hint="the model must be the one that was recorded, with the same precision of its outputs",
            path=path,
        )
    return Layer.of(output.name, np.frombuffer(data, dtype).reshape(shape))
