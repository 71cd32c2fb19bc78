"""The machine-readable form of what a run knows: one set of names for report.json, metadata.json and `--format json`.

Nothing here depends on the time, the machine or the folder a run happened in: the same input and options give the same
document.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from dataclasses import replace
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from convert import __version__
from convert.artifacts import Agreement, BatchParity, Evidence, FrameEffect, Int8Agreement, Metadata, Parity
from convert.errors import InputError
from convert.heads import HEADS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from convert.artifacts import Adapted, Export, Tensor
    from convert.findings import Finding
    from convert.framing import Framing
    from convert.writing import Output

__all__ = [
    "SCHEMA_VERSION",
    "dumps",
    "evidence_document",
    "evidence_from_document",
    "export_document",
    "finding_document",
    "framing_document",
    "metadata_document",
    "metadata_from_document",
    "model_document",
    "output_document",
    "report_document",
    "reported",
    "tensor_document",
]

SCHEMA_VERSION = 1
_MEASURES = ("max_abs_diff", "mean_abs_diff", "top1", "tolerance")


def dumps(document: Any) -> bytes:
    """UTF-8 JSON, two blanks of indent, keys in the order given, a newline at the end.

    A file name that is not UTF-8 (Python keeps its bytes as lone surrogates) makes the document ASCII with escapes.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        return (text + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def export_document(export: Export) -> dict[str, Any]:
    """What the model is and where it was found."""
    return {
        "name": export.name,
        "source": export.source,
        "member": export.member,
        "form": export.form,
        "sha256": export.digest,
        "bytes": len(export.model),
        "task": export.facts.task,
        "quantization": export.facts.quantization,
        "input": tensor_document(export.facts.input),
        "outputs": [tensor_document(tensor) for tensor in export.facts.outputs],
        "operators": list(export.facts.operators),
        "metadata": metadata_document(export.metadata),
    }


def model_document(adapted: Adapted) -> dict[str, Any]:
    """The ONNX model as it is shipped, and what nvinfer must do before and after it."""
    return {
        "opset": adapted.onnx.opset,
        "input": tensor_document(adapted.onnx.input),
        "outputs": [tensor_document(tensor) for tensor in adapted.onnx.outputs],
        "head": _plain(adapted.head),
        "preprocessing": {
            **_plain(adapted.preprocessing),
            "framing": adapted.preprocessing.framing and framing_document(adapted.preprocessing.framing),
        },
    }


def framing_document(framing: Framing) -> dict[str, Any]:
    """Frame, network and the part of the network's picture that the model sees; sizes are [width, height]."""
    return {
        "frame": str(framing.frame),
        "network": list(framing.network),
        "model": list(framing.model),
        "left": framing.left,
        "top": framing.top,
        "stretch": framing.stretch,
        "seen": framing.seen,
    }


def evidence_document(evidence: Evidence) -> dict[str, Any]:
    """The measured numbers; what was not measured is null."""
    document = _plain(evidence)
    assert isinstance(document, dict)
    return document


def finding_document(finding: Finding) -> dict[str, Any]:
    """A finding, every key always present."""
    document = _plain(finding)
    assert isinstance(document, dict)
    return document


def reported(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as a file of the bundle holds them: of a path only its last part, so that no user's folder is in it."""
    return [
        finding_document(replace(finding, path=None if finding.path is None else PurePath(finding.path).name))
        for finding in findings
    ]


def metadata_document(metadata: Metadata) -> dict[str, Any]:
    """What was recorded, every key always present; read back by `metadata_from_document`."""
    document = _plain(metadata)
    assert isinstance(document, dict)
    return document


def output_document(output: Output) -> dict[str, Any]:
    """A file and its SHA-256 (null in a dry run)."""
    return {"path": output.path, "sha256": output.sha256}


def tensor_document(tensor: Tensor) -> dict[str, Any]:
    """Name, shape (null for a dimension that is not fixed), dtype; quantization where there is one."""
    document: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
    if tensor.scale is not None:
        document |= {"scale": tensor.scale, "zero_point": tensor.zero_point}
    return document


def report_document(
    adapted: Adapted, evidence: Evidence, options: dict[str, Any], files: Iterable[Output], findings: Iterable[Finding]
) -> dict[str, Any]:
    """The whole of `report.json`; `files` are named relative to the bundle."""
    return {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "ei-deepstream", "version": __version__},
        "export": export_document(adapted.export),
        "model": model_document(adapted),
        "evidence": evidence_document(evidence),
        "options": options,
        "files": [output_document(file) for file in files],
        "findings": reported(findings),
    }


def metadata_from_document(document: object, path: Path) -> Metadata:
    """The `Metadata` in the "metadata" member of a document written by `export_document`.

    Raises:
        InputError: not such a document; `path` is named in the message.
    """
    values = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(values, dict):
        raise InputError("not a metadata.json written by `ei-deepstream unpack`", path=path, hint="run unpack again")
    kinds = get_type_hints(Metadata)
    if unknown := set(values) - set(kinds):
        raise InputError(f"unknown metadata: {', '.join(sorted(unknown))}", path=path, hint="run unpack again")
    return Metadata(**{name: _typed(name, kinds[name], value, path) for name, value in values.items()})


def evidence_from_document(document: object, path: Path) -> Evidence:
    """The `Evidence` that `evidence_document` wrote.

    Raises:
        InputError: not such a document; `path` is named in the message.
    """
    try:
        assert isinstance(document, dict)
        parity, batch, tensorrt = document["parity"], document["batch"], document["tensorrt"]
        evidence = Evidence(
            None
            if parity is None
            else Parity(**{name: float(parity[name]) for name in _MEASURES}, inputs=int(parity["inputs"])),
            None if batch is None else BatchParity(tuple(map(int, batch["sizes"])), float(batch["max_abs_diff"])),
            None if tensorrt is None else str(tensorrt),
            decoding=None if document.get("decoding") is None else float(document["decoding"]),
            int8_agreement=_int8_agreement(document.get("int8_agreement")),
            framing=_effect(document.get("framing")),
        )
        dumps(evidence_document(evidence))  # Python's JSON reads NaN and lone surrogates; nothing may write them
    except (AssertionError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "not the evidence that `ei-deepstream validate -o` writes", path=path, hint="run validate again"
        ) from error
    return evidence


def _agreement(values: Any) -> Agreement | None:
    if values is None:
        return None
    top1, mean, most = (float(values[name]) for name in ("top1", "mean_abs_diff", "max_abs_diff"))
    return Agreement(top1, mean, most, int(values["inputs"]))


def _int8_agreement(values: Any) -> Int8Agreement | None:
    agreement = _agreement(values)
    if agreement is None:
        return None
    return Int8Agreement(**_plain(agreement), rounded=int(values.get("rounded", 0)))


def _effect(values: Any) -> FrameEffect | None:
    if values is None:
        return None
    squash = _agreement(values["squash"])
    assert squash is not None
    return FrameEffect(tuple(map(str, values["frames"])), _agreement(values["crop"]), squash)


def _typed(name: str, kind: Any, value: object, path: Path) -> Any:
    """`value` as the dataclass field's type, or InputError."""
    if value is None:
        return None
    (wanted,) = (part for part in get_args(kind) if part is not NoneType) if get_origin(kind) is UnionType else (kind,)
    if get_origin(wanted) is tuple:
        if isinstance(value, list) and all(_is_text(item) for item in value):
            return tuple(value)
    elif isinstance(wanted, type) and issubclass(wanted, Enum):
        if value in [member.value for member in wanted]:
            return wanted(value)
    elif name == "task":
        if value in [each.id for each in HEADS]:
            return value
    elif wanted is float:
        # False for NaN, infinity and integers beyond a float's range, all of which Python's JSON reads
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
            return float(value)
    elif type(value) is wanted and (wanted is not str or _is_text(value)):
        return value
    raise InputError(f"metadata {name!r} cannot be {value!r}", path=path, hint="run unpack again, or correct the file")


def _is_text(value: object) -> bool:
    """A string that UTF-8 can hold: Python's JSON reads lone surrogates."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _plain(value: object) -> Any:
    """Dataclasses, enums and tuples as what JSON has."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
