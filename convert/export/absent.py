"""Says why an export holds no model: what its headers run, what it holds instead, and what to do.

Most people who get here have half of an export: a library pushed without its largest file, a zip within a folder, or
another of the downloads that stand beside TensorFlow Lite on Edge Impulse's Dashboard.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from convert.errors import ConvertError, InputError, UnsupportedModelError

if TYPE_CHECKING:
    from convert.export.archive import Tree
    from convert.export.entries import Listing

__all__ = ["no_model"]

_WITH_FLATBUFFER: Final = frozenset({None, "none", "tflite", "tflite_full"})
"""Inferencing engines whose libraries hold a flatbuffer, or say nothing."""

_DEPLOYMENT: Final = "a deployment of Edge Impulse (C++ or Arduino library),"
_LITE: Final = "download TensorFlow Lite (float32) from the Dashboard instead"
_INSTEAD: Final = (
    ("saved_model.pb", "a TensorFlow SavedModel", _LITE),
    (".h5", "a Keras model", _LITE),
    (".keras", "a Keras model", _LITE),
    (".eim", "an .eim executable, out of which the model cannot be taken", _LITE),
    (".zip", "a zip", "give the zip itself, if it is an export"),
)
"""How the name of a file ends that people take for the model -> what it is, and what to do; the first one counts."""


def no_model(listing: Listing, tree: Tree) -> ConvertError:
    """Why there is no model in `tree`, of which `listing` says what is recorded.

    Returns:
        `UnsupportedModelError` where it was never in this kind of export, else `InputError`; neither is raised.
    """
    kind = {"zip": "this zip", "folder": "this folder", "file": "this file"}[tree.kind]
    engines = {block.metadata.engine for library in listing.libraries for block in library.recorded.blocks}
    if others := sorted(engine for engine in engines if engine is not None and engine not in _WITH_FLATBUFFER):
        return UnsupportedModelError(
            f"the export is for the inferencing engine {others[0].upper()}, whose model is not in it",
            path=tree.source,
            hint="download TensorFlow Lite (float32) from the Dashboard, or choose the deployment C++ library",
        )
    if engines == {"none"}:
        return UnsupportedModelError(
            "the export says that it runs no neural network (inferencing engine NONE)",
            path=tree.source,
            hint="add a learning block for pictures to the impulse and train it; Gst-nvinfer runs nothing else",
        )
    if listing.missing:
        return InputError(
            f"the model that this export runs is not in {kind}: {', '.join(listing.missing)}",
            path=tree.source,
            hint="give the whole library (the model is a .cpp, .h or .tflite of about that name in tflite-model/), or "
            "a .lite file from Edge Impulse's Dashboard",
        )
    for end, what, hint in _INSTEAD:
        if found := sorted((path for path in tree.members if path.lower().endswith(end)), key=_is_another_s):
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            message = f"there is no model in {kind}, but {what}: {found[0]}{more}"
            return InputError(message, path=tree.source, hint=hint)
    library = "the whole library, its tflite-model/ folder too," if listing.libraries else _DEPLOYMENT
    return InputError(
        f"there is no model in {kind}: no tflite-trained.h, tflite_learn_*.h, *_compiled.cpp, .tflite, .lite or .onnx "
        "file",
        path=tree.source,
        hint=f"give {library} or a .lite file from Edge Impulse's Dashboard",
    )


def _is_another_s(path: str) -> bool:
    """Whether a file is not called as Edge Impulse calls what it gives: `ei-<project>-...`."""
    return not PurePosixPath(path).name.startswith("ei-")
