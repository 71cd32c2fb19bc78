"""The table of targets, and one of them at length, as text and JSON."""

from __future__ import annotations

import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

from convert.errors import PresetError
from convert.nvinfer.catalogue import catalogue
from convert.nvinfer.targets import (
    between,
    key_works_until,
    opsets,
    parsers,
    sdk_path,
    sinks,
    tracker,
    trtexec_accepts,
    trtexec_flags,
    trtexec_note,
)
from convert.render.colour import paint_for
from convert.report import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.nvinfer.targets import Target

__all__ = ["details", "table", "targets_document"]

_CELLS: Final = (
    "deepstream",
    "platform",
    "tensorrt",
    "cuda",
    "jetpack",
    "l4t",
    "ubuntu",
    "gstreamer",
    "released",
    "families",
)
_WIDTH: Final = 100


def table(found: Sequence[Target]) -> str:
    """A row a target; * behind what is not verified, - where nothing is known."""
    rows = [[cell.replace("deepstream", "DeepStream") for cell in _CELLS]]
    rows += [[_cell(target, cell) for cell in _CELLS] for target in found]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_CELLS))]
    head, *body = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    paint = paint_for(sys.stdout)
    notes = "* not verified; - not known or not there. `ei-deepstream targets deepstream-7.1` says more about one."
    return "\n".join([paint(head, "1"), *body, "", notes]) + "\n"


def details(target: Target) -> str:
    """One target: its versions, and what nvinfer, trtexec and deepstream-app of that release know."""
    paint = paint_for(sys.stdout)
    facts = {cell: _cell(target, cell) for cell in _CELLS[2:]}
    facts |= {
        name: ", ".join(value) if isinstance(value, list) else str(value) for name, value in _known(target).items()
    }
    lines = [paint(f"{target.name}, {target.platform}", "1")]
    for name, value in facts.items():
        if value and value != "-":
            text = fill(value, _WIDTH, initial_indent=f"  {name.replace('_', ' '):<20} ", subsequent_indent=" " * 23,
                        break_on_hyphens=False)  # fmt: skip
            lines.append(text)
    lines += [f"  * {cell}: {why}" for cell, why in target.unverified]
    return "\n".join(lines) + "\n"


def targets_document(found: Sequence[Target]) -> dict[str, Any]:
    """`{schema_version, targets: [...]}`; `not_verified` maps a cell to the reason."""
    return {"schema_version": SCHEMA_VERSION, "targets": [_document(target) for target in found]}


def _document(target: Target) -> dict[str, Any]:
    cells = {cell: getattr(target, cell) for cell in _CELLS[:-1]}
    return {
        "name": target.name,
        **cells,
        "families": list(target.families),
        "root": target.root,
        "min_object_size": target.min_object_size,
        **_known(target),
        "not_verified": dict(target.unverified),
    }


def _known(target: Target) -> dict[str, Any]:
    """What the programs of a release know that others do not."""
    release, rows = target.deepstream, catalogue()
    low, high = opsets(target.tensorrt)
    return {
        "keys_it_lacks": sorted(key for key, since in rows.keys_since.items() if not between(release, since, None)),
        "keys_without_effect": sorted(
            key for key in rows.keys_work_until if not between(release, None, key_works_until(key))
        ),
        "parse_functions": [each.function for each in parsers(target)],
        "parser_library": sdk_path(target, "parser-library"),
        "onnx_opsets": f"{low} to {high}",
        "trtexec": sdk_path(target, "trtexec"),
        "trtexec_fp32": " ".join(trtexec_flags(target.tensorrt, "fp32")),
        "trtexec_fp16": _fp16(target),
        "trtexec_lacks": sorted(flag for flag in rows.flags if not trtexec_accepts(flag, target.tensorrt)),
        "sinks": [f"{sink.type}: {sink.what}" for sink in sinks(target)],
        "tracker": _tracker(target),
    }


def _fp16(target: Target) -> str | None:
    try:
        flags = " ".join(trtexec_flags(target.tensorrt, "fp16"))
    except PresetError:
        return None
    note = trtexec_note(target.tensorrt, "fp16")
    return f"{flags} ({note})" if note else flags


def _tracker(target: Target) -> str | None:
    try:
        return sdk_path(target, tracker(target).library)
    except PresetError:
        return None


def _cell(target: Target, cell: str) -> str:
    value = getattr(target, cell)
    text = ", ".join(value) if isinstance(value, tuple) else value or ""
    doubtful = any(name == cell for name, _ in target.unverified)
    return f"{text}*" if doubtful and text else text or "-"
