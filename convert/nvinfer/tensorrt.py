"""What the target's TensorRT cannot build: the operators of an ONNX model held against `configs/tensorrt.toml`.

The table is read without TensorRT, the model without onnx (`convert.onnx_header`). What the table does not name is not
judged, and neither is what lies inside of the graphs of If, Loop and Scan.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from convert import errors, files
from convert.nvinfer.keys import version
from convert.nvinfer.targets import Target, preset, targets
from convert.onnx_header import STANDARD_DOMAINS, Attribute, Header, Node

_RELEASE: Final = re.compile(r"\d+(\.\d+)*")


@dataclass(frozen=True, slots=True)
class Limit:
    """A form of an operator that some releases do not take; the meaning of the fields is in the table."""

    operator: tuple[str, ...]
    takes: str
    instead: str = ""
    since: str | None = None
    until: str | None = None
    opset: int = 1
    when: dict[str, Any] = field(default_factory=dict)
    given: int | None = None
    without: int | None = None
    attribute: str = ""
    values: Any = None
    pattern: str | None = None
    largest: int | None = None
    constant: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()
    outputs: int | None = None
    input: int | None = None
    equal: int | None = None
    padded: int | None = None
    padded_last: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """All of tensorrt.toml.

    Attributes:
        imported: TensorRT -> the operators that its parser is the first to import.
        operators: "never": those that none imports; "plugins": those that a plugin of NVIDIA's may build all the same.
        composed: operator -> the last opset in which exporters write it in others.
        defaults: operator -> attribute -> ONNX's default.
        limit: the forms that some releases do not take.
        since: operator -> the first TensorRT that imports it; None: none does.
    """

    imported: dict[str, tuple[str, ...]]
    operators: dict[str, tuple[str, ...]]
    composed: dict[str, int]
    defaults: dict[str, dict[str, Any]]
    limit: tuple[Limit, ...]
    since: dict[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of node that the target's TensorRT refuses.

    Attributes:
        operator: ONNX's name of it.
        nodes: the names of such nodes, of those without a name that of their first output.
        message: a sentence without its end.
        hint: what to do.
        missing: no importer at all; a plugin of that name would build it.
    """

    operator: str
    nodes: tuple[str, ...]
    message: str
    hint: str
    missing: bool


@cache
def table() -> Table:
    """The contents of `configs/tensorrt.toml`.

    Raises:
        PresetError: an edit damaged it; the message names the place.
    """
    return read_table(*preset("tensorrt.toml"))


def read_table(data: Mapping[str, Any], path: Path) -> Table:
    """`data`, the parsed file `path`, as a table; raises PresetError as `table` does."""
    reader = files.TableReader(path, errors.PresetError, dashes=True)
    file = reader.row(Table, data, "the file")
    file.since.update(dict.fromkeys(file.operators["never"]))
    for release, names in file.imported.items():
        for name in names:
            if name in file.since:
                raise reader.fail(f"the operator {name} stands in it twice")
            file.since[name] = release
    for release in [*file.imported, *(each for limit in file.limit for each in (limit.since, limit.until) if each)]:
        if not _RELEASE.fullmatch(release):
            raise reader.fail(f"there is no TensorRT {release!r}")
    for limit in file.limit:
        _check(limit, file.since, reader)
    return file


def _check(limit: Limit, since: Mapping[str, str | None], reader: files.TableReader) -> None:
    """Refuse a limit that could not be applied."""
    for name in limit.operator:
        if since.get(name) is None:
            raise reader.fail(f"a limit names {name}, which is not under [imported]")
    for values in (limit.values, *limit.when.values()):
        if not isinstance(values, list | None):
            raise reader.fail(f"a limit of {limit.operator[0]} has {values!r} where a list belongs")
    try:
        re.compile(limit.pattern or "")
    except re.error as error:
        raise reader.fail(f"a limit of {limit.operator[0]} has a pattern that is none: {error}") from None


def refusals(model: Header, target: Target) -> Iterator[Refusal]:
    """What the TensorRT of `target` cannot build of `model`, one for each operator and reason, in the graph's order."""
    known = table()
    nodes = [node for node in model.nodes if node.domain in STANDARD_DOMAINS]
    for operator in dict.fromkeys(node.op for node in nodes):
        same = [node for node in nodes if node.op == operator]
        if operator in known.since and not _reached(target.tensorrt, first := known.since[operator]):
            if operator not in known.operators["plugins"]:
                yield _not_imported(model, target, same, first)
            continue
        for limit in known.limit:
            if operator in limit.operator and _holds(limit, model, target):
                flowing = _flowing(model) if limit.constant else frozenset()
                if broken := [node for node in same if _concerns(limit, node) and _breaks(limit, node, model, flowing)]:
                    yield _not_taken(target, broken, limit)


def pads_with_any(target: Target) -> bool:
    """Whether its Pad takes another number than 0."""
    limits = (limit for limit in table().limit if "Pad" in limit.operator and limit.equal == 0)
    return all(_reached(target.tensorrt, limit.until) for limit in limits)


def _reached(tensorrt: str, first: str | None) -> bool:
    return first is not None and version(tensorrt) >= version(first)


def _not_imported(model: Header, target: Target, nodes: list[Node], first: str | None) -> Refusal:
    """`first`: the TensorRT that imports it; None: none."""
    operator = nodes[0].op
    message = f"the ONNX parser of {target.words} does not import {operator} ({_listed(nodes)})"
    hints = [_newer(target, first)]
    older = table().composed.get(operator)
    if older is not None and model.opset > older:
        hints.append(f"export it to ONNX with opset {older} or lower, which has no {operator}")
    hints.append(f"export the model without {operator}")
    hint = ", or ".join(each for each in hints if each)
    return Refusal(operator, _names(nodes), message, hint, missing=True)


def _not_taken(target: Target, nodes: list[Node], limit: Limit) -> Refusal:
    operator = nodes[0].op
    message = f"{target.words} {limit.takes}: {operator}, {_listed(nodes)}"
    hints = [_newer(target, limit.until), limit.instead or f"export the model without this form of {operator}"]
    hint = ", or ".join(each for each in hints if each)
    return Refusal(operator, _names(nodes), message, hint, missing=False)


def _names(nodes: list[Node]) -> tuple[str, ...]:
    return tuple(node.name or next(iter(node.outputs), "") for node in nodes)


def _listed(nodes: list[Node]) -> str:
    """ "node 'a'", "node 'a' and 2 more"."""
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"node {_names(nodes)[0][:80]!r}{more}"


def _newer(target: Target, tensorrt: str | None) -> str:
    """ "choose --target deepstream-6.1 or newer ...": the first release on the platform with that TensorRT; or ""."""
    if tensorrt is None:
        return ""
    for each in targets():
        if each.platform == target.platform and _reached(each.tensorrt, tensorrt):
            return f"choose --target {each.name} or newer (TensorRT {tensorrt} takes it) if the device runs that"
    return ""


def _holds(limit: Limit, model: Header, target: Target) -> bool:
    """Whether the limit is one of this TensorRT and this opset."""
    if limit.since is not None and not _reached(target.tensorrt, limit.since):
        return False
    return model.opset >= limit.opset and not _reached(target.tensorrt, limit.until)


def _concerns(limit: Limit, node: Node) -> bool:
    """Whether the limit is one of this form of the operator."""
    return (
        all(_attribute(node, name) in values for name, values in limit.when.items())
        and (limit.given is None or _given(node, limit.given) is not None)
        and (limit.without is None or _given(node, limit.without) is None)
    )


def _breaks(limit: Limit, node: Node, model: Header, flowing: frozenset[str]) -> bool:
    """Whether `node` is certainly not what the limit allows. `flowing`: names that depend on the model's input."""
    if limit.attribute and not _allowed(limit, _attribute(node, limit.attribute)):
        return True
    if limit.input is not None:
        name = _given(node, limit.input) or ""
        if not _allowed(limit, model.integers.get(name, ())) or not _allowed(limit, model.scalars.get(name)):
            return True
    if limit.outputs is not None and sum(map(bool, node.outputs)) > limit.outputs:
        return True
    if any(_given(node, number) is not None for number in limit.absent):
        return True
    if any(_given(node, number) in flowing for number in limit.constant):
        return True
    return limit.padded is not None and _padded_otherwise(limit, node, model)


def _allowed(limit: Limit, value: Attribute | None) -> bool:
    """Whether `value`, or each element of a list, is within the limit; None, which is not known, is."""
    if value is None:
        return True
    for each in value if isinstance(value, tuple) else (value,):
        if limit.values is not None and each not in limit.values:
            return False
        if limit.pattern is not None and isinstance(each, str) and not re.fullmatch(limit.pattern, each):
            return False
        if limit.largest is not None and not isinstance(each, str) and each > limit.largest:
            return False
        if limit.equal is not None and each != limit.equal:
            return False
    return True


def _padded_otherwise(limit: Limit, node: Node, model: Header) -> bool:
    """Whether a Pad adds to more dimensions than `padded`, or to others than the last ones."""
    pads = _attribute(node, "pads")
    if pads is None:
        pads = model.integers.get(_given(node, 1) or "", ())
    if not isinstance(pads, tuple) or not pads:
        return False
    rank = len(pads) // 2
    dims = {position % rank for position, count in enumerate(pads) if count} if rank else set()
    if limit.padded_last:
        return any(dim < rank - (limit.padded or 0) for dim in dims)
    return len(dims) > (limit.padded or 0)


def _attribute(node: Node, name: str) -> Attribute | None:
    """The attribute's value, or ONNX's default; None: neither is known."""
    found = node.attributes.get(name)
    return table().defaults.get(node.op, {}).get(name) if found is None else found


def _given(node: Node, number: int) -> str | None:
    """The name of input `number`; None: it is left out."""
    return (node.inputs[number] or None) if number < len(node.inputs) else None


def _flowing(model: Header) -> frozenset[str]:
    """Tensors that depend on the model's input other than through its shape, which TensorRT may know in advance."""
    found = {each.name for each in model.inputs}
    for node in model.nodes:
        if node.op not in {"Shape", "Size"} and not found.isdisjoint(node.inputs):
            found.update(name for name in node.outputs if name)
    return frozenset(found)
