"""Reads `deployment-metadata.json`, which the "Custom block" download and the input of a deployment block hold.

Version 1, as Edge Impulse's documentation describes it. It records what `model-parameters/` records and more (the
resize mode "crop" with its anchor), but neither image scaling nor thresholds. A value that cannot be read becomes a
finding and counts as not recorded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from convert.export.parameters import UNREADABLE_PARAMETER, Block, Recorded
from convert.findings import Rule
from convert.heads import ANOMALY
from convert.images import Anchor, ResizeMode
from convert.types import Color, Metadata

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.export.parameters import File
    from convert.findings import Finding

CONTRADICTION = Rule("EI102")

NAME: Final = "deployment-metadata.json"
_RESIZE: Final = {
    "squash": ResizeMode.SQUASH,
    "fit-short": ResizeMode.FIT_SHORTEST,
    "fit-long": ResizeMode.FIT_LONGEST,
    "crop": ResizeMode.FIT_SHORTEST,
}
"""Edge Impulse's input block -> ours; "crop" is fit-shortest with an anchor, the part of the picture that is kept."""

_ANCHORS: Final = {
    f"{row}-{column}": (x, y)
    for y, row in ((0.0, "top"), (0.5, "middle"), (1.0, "bottom"))
    for x, column in ((0.0, "left"), (0.5, "center"), (1.0, "right"))
}
_SENSORS: Final = {
    **{name: name for name in ("camera", "microphone", "accelerometer", "environmental", "fusion")},
    "positional": "9dof",
}
_COLORS: Final = {1: Color.GRAY, 3: Color.RGB}
_NO_NETWORK: Final = frozenset({"anomaly"})  # K-means, which is code
_MAX_INTEGER: Final = 1 << 31


@dataclass(slots=True)
class _Reader:
    """Values of a document; `findings` are about those that cannot be read."""

    path: str
    findings: list[Finding] = field(default_factory=list)

    def value(self, holder: object, name: str, kind: str, shown: str = "") -> Any:
        """Of `holder`, where there is one: an "object", a "list", a "text" or a "number" (whole, from 0 up)."""
        found = holder.get(name) if isinstance(holder, dict) else None
        if found is None:
            return None
        good = {
            "object": isinstance(found, dict),
            "list": isinstance(found, list),
            "text": isinstance(found, str),
            "number": type(found) is int and 0 <= found < _MAX_INTEGER,
        }[kind]
        if good:
            return found
        wanted = {"object": "an object", "list": "a list", "text": "a string", "number": "a whole number from 0 up"}
        self.refuse(f"{shown or name} is {_spelled(found)}, not {wanted[kind]}")
        return None

    def each(self, holder: object, name: str, shown: str = "") -> list[Any]:
        """The objects of a list."""
        items = self.value(holder, name, "list", shown) or []
        if any(not isinstance(item, dict) for item in items):
            self.refuse(f"{shown or name} holds something that is no object")
        return [item for item in items if isinstance(item, dict)]

    def one_of(self, holder: object, name: str, known: dict[str, Any]) -> Any:
        """Our value of one of the names `known`."""
        text = self.value(holder, name, "text")
        if text is not None and text not in known:
            self.refuse(f"{name} is {_spelled(text)}, not one of {', '.join(known)}")
        return known.get(text)

    def refuse(self, message: str) -> None:
        """Note a value that cannot be read."""
        self.findings.append(UNREADABLE_PARAMETER.found(message, path=self.path))


def _spelled(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def read_deployment(file: File, members: Sequence[str]) -> Recorded:
    """What the document records, one block a model.

    Args:
        members: paths in the folder of the document, relative to it, to tell several models apart by.
    """
    reader = _Reader(file.path)
    document: object = None
    try:
        document = json.loads(file.data)
        problem = "" if isinstance(document, dict) else "it holds no object"
    except (ValueError, RecursionError) as error:
        problem = f"it is no JSON: {str(error)[:100]}"
    if not isinstance(document, dict):
        reader.refuse(problem)
        return Recorded((Block(Metadata()),), (), tuple(reader.findings))
    metadata = _metadata(reader, document)
    learning = reader.each(reader.value(document, "impulse", "object"), "learnBlocks")
    kinds = [reader.value(block, "type", "text", "learnBlocks.type") or "" for block in learning]
    described = [
        _described(reader, block, kind, metadata)
        for block, kind in zip(learning, kinds, strict=True)
        if kind not in _NO_NETWORK
    ]
    names = [_name(reader, model, document, members) for model in reader.each(document, "tfliteModels")]
    blocks: tuple[Block, ...]
    if described and len(names) == len(described) and all(names):
        blocks = tuple(replace(block, names=frozenset({name})) for block, name in zip(described, names, strict=True))
    elif len(described) == 1:
        blocks = tuple(described)
    else:  # which model is which block's is not known
        blocks = (Block(metadata),)
    return Recorded(blocks, (), tuple(dict.fromkeys(reader.findings)))


def _described(reader: _Reader, block: dict[str, Any], kind: str, metadata: Metadata) -> Block:
    is_anomaly = "anomaly" in kind
    number = reader.value(block, "id", "number", "learnBlocks.id")
    return Block(replace(metadata, block_id=number, task=ANOMALY if is_anomaly else None), anomaly=is_anomaly)


def _name(reader: _Reader, model: dict[str, Any], document: dict[str, Any], members: Sequence[str]) -> str:
    """The name of a model's file without extension, empty where the file is not there.

    `modelPath` is a path in the container of the block: below `folders.input`.
    """
    text = reader.value(model, "modelPath", "text")
    if text is None:
        return ""
    path = PurePosixPath(text)
    root = reader.value(reader.value(document, "folders", "object"), "input", "text", "folders.input")
    if root and path.is_relative_to(root):
        path = path.relative_to(root)
    return path.stem if path.as_posix() in members else ""


def _metadata(reader: _Reader, document: dict[str, Any]) -> Metadata:
    project = reader.value(document, "project", "object")
    impulse = reader.value(document, "impulse", "object")
    inputs = reader.each(impulse, "inputBlocks", "impulse.inputBlocks")
    image = next((block for block in inputs if block.get("type") == "image"), None)
    classes = reader.value(document, "classes", "list") or []
    if any(not isinstance(label, str) for label in classes):
        reader.refuse("classes holds something that is no string")
        classes = []
    channels: int | None = None
    for block in reader.each(impulse, "dspBlocks", "impulse.dspBlocks"):
        config = reader.value(reader.value(block, "metadata", "object"), "outputConfig", "object")
        if reader.value(config, "type", "text", "outputConfig.type") == "image":
            channels = reader.value(reader.value(config, "shape", "object"), "channels", "number")
    sensor = reader.one_of(document, "sensor", _SENSORS)
    return Metadata(
        labels=tuple(classes) or None,
        width=reader.value(image, "imageWidth", "number") or None,
        height=reader.value(image, "imageHeight", "number") or None,
        channels=channels if channels in _COLORS else None,
        color=_COLORS.get(channels or 0),
        resize_mode=reader.one_of(image, "resizeMode", _RESIZE),
        crop_anchor=_crop_anchor(reader, image),
        sensor="camera" if sensor is None and image is not None else sensor,
        project_id=reader.value(project, "id", "number", "project.id"),
        project_name=reader.value(project, "name", "text", "project.name"),
        project_owner=reader.value(project, "owner", "text", "project.owner"),
        deploy_version=reader.value(document, "deployCounter", "number"),
    )


def _crop_anchor(reader: _Reader, image: dict[str, Any] | None) -> Anchor | None:
    """The part that is kept; other resize modes have one, too, which is not used."""
    if image is None or image.get("resizeMode") != "crop":
        reader.value(image, "cropAnchor", "text")  # of another type it is damaged all the same
        return None
    anchor: Anchor | None = reader.one_of(image, "cropAnchor", _ANCHORS)
    return anchor


_COMPARED: Final = ("labels", "width", "height", "color", "resize_mode", "sensor", "project_id")


def merged(parameters: Recorded, document: Recorded, path: str) -> Recorded:
    """What `model-parameters/` records, with what only the document at `path` has; EI102 where the two differ."""
    said: list[str] = []
    blocks: list[Block] = []
    for block in parameters.blocks:
        mine = block.metadata
        same_block = (each for each in document.blocks if each.metadata.block_id == mine.block_id)
        found = next(same_block, document.blocks[0])
        its = found.metadata
        if block.anomaly:  # it has no labels of its own, and takes features
            its = Metadata(project_name=its.project_name)
        for name in _COMPARED:
            left, right = getattr(mine, name), getattr(its, name)
            if None not in {left, right} and left != right:
                said.append(f"{name.replace('_', ' ')} {_text(right)}, model-parameters/ {_text(left)}")
        missing = {name: getattr(its, name) for name in Metadata.__slots__ if getattr(mine, name) is None}
        names = block.names | found.names if block.names and not block.anomaly else block.names
        blocks.append(replace(block, metadata=replace(mine, **missing), names=names))
    findings = (*parameters.findings, *document.findings)
    if said:
        message = f"{NAME} records {'; '.join(dict.fromkeys(said))}, which counts"
        findings = (*findings, CONTRADICTION.found(message, path=path))
    return replace(parameters, blocks=tuple(blocks), findings=findings)


def _text(value: object) -> str:
    return ";".join(map(str, value)) if isinstance(value, tuple) else str(value)
