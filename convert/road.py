"""The stages with the options of the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from convert.agreement import TIMEOUT, WithAgreement
from convert.errors import PresetError
from convert.export.unpack import Unpack
from convert.framed import WithFraming
from convert.graph.adapt import Adapt
from convert.graph.translate import Translate
from convert.nvinfer.emit import Emit
from convert.nvinfer.pair import EmitPair
from convert.validate.stage import Validate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from convert.artifacts import Stage
    from convert.isolation import Worker

__all__ = ["pick", "proving", "stages", "two_stages", "unpacking"]


def pick(kind: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of `options` that are fields of the stage `kind`."""
    return {name: options[name] for name in kind.__dataclass_fields__ if name in options}


def stages(output: Path, options: Mapping[str, Any], worker: Worker) -> tuple[Stage, ...]:
    """All five stages, sharing `worker`, which stays the caller's.

    Raises:
        PresetError: options that do not exist or do not fit together.
    """
    if options.get("frame") is not None and options.get("role") == "sgie":
        raise PresetError(
            "--frame is about whole frames, and --role sgie looks at objects", hint="leave one of them out"
        )
    return (*_proof(options, worker), Emit(output, **pick(Emit, options)))


def two_stages(
    output: Path, options: Mapping[str, Any], worker: Worker
) -> tuple[tuple[tuple[Stage, ...], tuple[Stage, ...]], EmitPair]:
    """The stages up to validate for a detector and for a model of its objects, and what writes both.

    What the options say of an export is said of the first; `sgie_labels` are the second's.
    """
    behind = {name: value for name, value in options.items() if name not in _OF_ONE}
    behind["labels"] = options.get("sgie_labels")
    return (_proof(options, worker), _proof(behind, worker)), EmitPair(output, **pick(EmitPair, options))


_OF_ONE = frozenset({"model", "bundle_name", "labels", "task", "resize_mode", "image_scaling", "frame"})


def proving(options: Mapping[str, Any], worker: Worker) -> Stage:
    """The stage `validate`, with what is measured of a cropping model."""
    ordinary = Validate(**pick(Validate, options), worker=worker)
    return WithFraming(ordinary, images=options.get("images"), worker=worker)


def unpacking(options: Mapping[str, Any], worker: Worker | None = None) -> Stage:
    """The stage `unpack`, with what is measured of a rewritten model; that starts a process where none is given."""
    unpack = Unpack(**pick(Unpack, options))
    if not unpack.dequantize:
        return unpack
    return WithAgreement(unpack, max(TIMEOUT, options.get("timeout", TIMEOUT)), worker)


def _proof(options: Mapping[str, Any], worker: Worker) -> tuple[Stage, ...]:
    """Everything before emit."""
    return (
        unpacking(options, worker),
        Translate(**pick(Translate, options), worker=worker),
        Adapt(**pick(Adapt, options)),
        proving(options, worker),
    )
