"""From the text of an EON-compiled model to a TFLite flatbuffer."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convert.errors import InputError
from convert.export.eon import findings
from convert.export.eon.flatbuffer import write
from convert.export.eon.graph import understand
from convert.export.eon.parser import parse
from convert.export.lexer import line_of, source_bytes

if TYPE_CHECKING:
    from convert.findings import Finding

__all__ = ["MAX_SIZE", "Rebuilt", "rebuild"]

MAX_SIZE = 128 << 20
"""Bytes of C++ beyond which a file is refused; the largest public ones have 2 MB."""

_E2 = re.compile(r"tflite_learn_\d+")
_E3 = re.compile(r"tflite_learn_\d+_\d+")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What an EON-compiled file gave.

    Attributes:
        model: a TFLite flatbuffer: tensors, constants, quantization, operators as in the one that was compiled.
        symbol: what the names of the file's functions start with ("trained_model", "tflite_learn_5"): what
            model_variables.h calls the model by; "" when there are no functions.
        form: "E1", "E2" or "E3", by that name's form.
        findings: EI150.
    """

    model: bytes = field(repr=False)
    symbol: str
    form: str
    findings: tuple[Finding, ...]


def rebuild(source: bytes | str, path: str, *, limit: int = MAX_SIZE) -> Rebuilt:
    """Rebuild the flatbuffer that an EON-compiled file was made from.

    Tensors keep index, type, shape, constant bytes and quantization bits; operators keep order and parameters. Tensors
    are named `tensor_<index>`, the input `x_input`.

    Args:
        source: the C++ text.
        path: the file as errors and findings should name it.
        limit: bytes of C++ that are read.

    Raises:
        InputError: the file is no EON-compiled model, damaged, or larger than `limit`; it names the line.
        UnsupportedModelError: an accelerator's commands, control flow, an operator or a type that is not known here.
    """
    data = source_bytes(source.encode("utf-8", "surrogateescape") if isinstance(source, str) else source)
    if len(data) > limit:
        raise InputError(
            f"this file has {len(data):,} bytes; of EON-compiled models up to {limit:,} are read",
            path=path,
            line=line_of(data, limit),
            hint="export the model as .tflite, which has no such limit",
        )
    graph = understand(parse(data, path))
    model = write(graph)
    found = findings.REBUILT.found(
        f"rebuilt from C++: {len(graph.nodes)} operators, {len(graph.tensors)} tensors", path=path
    )
    return Rebuilt(model, graph.symbol, _form(graph.symbol), (found,))


def _form(symbol: str) -> str:
    if _E3.fullmatch(symbol):
        return "E3"
    return "E2" if _E2.fullmatch(symbol) else "E1"
