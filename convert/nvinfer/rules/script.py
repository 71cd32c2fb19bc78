"""NVI098: trtexec command lines in scripts, against the TensorRT they will meet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from convert.findings import Level, Rule
from convert.nvinfer.catalogue import catalogue
from convert.nvinfer.targets import trtexec_accepts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.findings import Finding
    from convert.nvinfer.rules.case import Where

__all__ = ["RULE", "script_findings"]

RULE = Rule(
    "NVI098",
    Level.ERROR,
    "this TensorRT's trtexec does not know an option",
    why="trtexec stops at the first option it does not know (“Unknown option”). --explicitBatch, --workspace and "
    "--buildOnly are gone in TensorRT 10, --fp16 and --int8 in 11; --memPoolSize came with 8.4, --skipInference with "
    "8.6.",
    fix="use the options of the target's TensorRT: `ei-deepstream targets deepstream-7.1` shows them",
)

_OPTION: Final = re.compile(r"(?<![\w-])--[A-Za-z][A-Za-z0-9]*")


def script_findings(data: bytes, path: str, where: Where) -> Iterator[Finding]:
    """Options in the command lines of a script (continued ones as a whole) that mention trtexec."""
    known = catalogue().flags
    for first, lines in _commands(data.decode("utf-8", "replace")):
        if not re.search(r"trtexec", lines[0] if len(lines) == 1 else "\n".join(lines)):
            continue
        for number, line in enumerate(lines, first):
            for match in _OPTION.finditer(line):
                option = match[0]
                if option not in known or trtexec_accepts(option, where.tensorrt):
                    continue
                flag = known[option]
                gone = flag.gone and f"gone since TensorRT {flag.gone}"
                message = f"{option} is {gone or f'known since TensorRT {flag.since}'}; the target has {where.tensorrt}"
                yield RULE.found(message, path=path, line=number, column=match.start() + 1, hint=_INSTEAD.get(option))


_INSTEAD: Final = {
    "--explicitBatch": "leave it out",
    "--workspace": "leave it out, or write --memPoolSize=workspace:MIB",
    "--buildOnly": "write --skipInference",
    "--skipInference": "write --buildOnly",
    "--memPoolSize": "write --workspace=MIB",
    "--maxBatch": "write --minShapes, --optShapes and --maxShapes",
    "--fp16": "convert the ONNX model to FP16 inside",
    "--int8": "put QuantizeLinear and DequantizeLinear into the ONNX model",
    "--best": "convert the ONNX model",
}


def _commands(text: str) -> Iterator[tuple[int, list[str]]]:
    """Lines of code, those that go on behind a backslash together; the number of the first."""
    held: list[str] = []
    first = 1
    for number, line in enumerate(text.split("\n"), 1):
        if not held and line.lstrip().startswith("#"):
            continue
        first = first if held else number
        held.append(line)
        if not line.endswith("\\"):
            yield first, held
            held = []
    if held:
        yield first, held
