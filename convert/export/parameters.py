"""Reads `model-parameters/model_metadata.h` and `model_variables.h` of every generation into `Metadata`, one a block.

Until 2022 macros hold everything and the labels stand in either file. Since 2023 `model_variables.h` describes each
impulse as values that point to its learning blocks, and they to the model. These values go before the macros, which in
an export of several impulses describe only one of them.

`read_deployment` reads `deployment-metadata.json`, which the "Custom block" download and the input of a deployment
block hold: version 1, as Edge Impulse's documentation describes it. It records what `model-parameters/` records and
more (the resize mode "crop" with its anchor), but neither image scaling nor thresholds. A value that cannot be read
becomes a finding and counts as not recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, Final, Literal, TypeAlias

from convert.errors import InputError
from convert.export import facts
from convert.export.cpp_declarations import Declaration, Field, Header, names_in, read_header, string_of
from convert.export.cpp_scanner import Kind, Scanner, Token, evaluate, real_literal
from convert.findings import Finding, Rule
from convert.heads import ANOMALY, CLASSIFIER, FOMO, HEADS, NOT_IMAGE, SSD, UNKNOWN
from convert.images import Anchor, ImageScaling, ResizeMode
from convert.types import Color, Metadata, Tracking

LABEL_COUNT = Rule("EI103")
UNREADABLE_PARAMETER = Rule("EI106")

_CATEGORIES: Final = "ei_classifier_inferencing_categories"
_FILL_RESULT: Final = re.compile(r"ei_fill_result_(?P<layer>\w+?)(?:_(?:f32|i8|u8))?_config_t")
_LAYERS: Final = {"visual_ad": ANOMALY, **{each.results: each.id for each in HEADS if each.results}}
"""What `ei_fill_result_<layer>_config_t`, since July 2025, calls the last layers."""

_NO_DETECTOR: Final = frozenset({CLASSIFIER, ANOMALY, UNKNOWN, NOT_IMAGE, None})
_NAME: Final = re.compile(rb"[A-Za-z_]\w*")
_MAX_INTEGER: Final = (1 << 31) - 1

_Type: TypeAlias = 'Literal["integer", "size", "fraction", "number", "boolean", "text"] | facts.Enumeration'
"""How a value is read: a whole number from 0 up, the same with 0 for none, a threshold, a number from 0 up, 0 or 1, a
string, or one of an enumeration."""

_WANTED: Final = {
    "fraction": (1, "a number from 0 to 1"),
    "number": (_MAX_INTEGER, "a number from 0 up"),
    "integer": (_MAX_INTEGER, "a whole number from 0 up"),
    "size": (_MAX_INTEGER, "a whole number from 0 up"),
    "boolean": (_MAX_INTEGER, "0 or 1"),
}
"""The greatest value of each, and how messages call it."""

_TRACKING: Final = {
    "ei_object_tracking_config_t": ("keep_grace", "max_observations", "threshold", "use_iou"),
    "ei_object_tracking_sort_config_t": ("max_age", "min_hits", "iou_threshold", "use_iou"),
}
"""Members behind `implementation_version`, in order; in November 2024 `threshold` was `iou_threshold`, and the last."""

_USUAL_TRACKING: Final = 5, 5, 0.5, True
"""The SDK's defaults of these."""

_VALUES: Final[dict[str, tuple[str, str, _Type]]] = {
    "width": ("INPUT_WIDTH", "input_width", "size"),
    "height": ("INPUT_HEIGHT", "input_height", "size"),
    "threshold": ("OBJECT_DETECTION_THRESHOLD", "", "fraction"),
    "sensor": ("SENSOR", "sensor", facts.SENSOR),
    "compiled": ("COMPILED", "", "boolean"),
    "engine": ("INFERENCING_ENGINE", "inferencing_engine", facts.ENGINE),
    "project_id": ("PROJECT_ID", "project_id", "integer"),
    "project_name": ("PROJECT_NAME", "project_name", "text"),
    "project_owner": ("PROJECT_OWNER", "project_owner", "text"),
    "deploy_version": ("PROJECT_DEPLOY_VERSION", "deploy_version", "integer"),
    "impulse_id": ("", "impulse_id", "integer"),
    "impulse_name": ("", "impulse_name", "text"),
}
"""Members of `Metadata`: the macro of `model_metadata.h` that gives it (without `EI_CLASSIFIER_`), the member of an
`ei_impulse_t`, and how either is read."""


@dataclass(frozen=True, slots=True)
class File:
    """A header: its content, and how messages call it."""

    data: bytes
    path: str


@dataclass(frozen=True, slots=True)
class Block:
    """A learning block of an impulse, or the whole export where blocks are not described.

    Attributes:
        metadata: of the block and its impulse.
        names: every name its configuration leads to, the model's among them; empty where blocks are not described.
        anomaly: it detects anomalies instead of classifying.
    """

    metadata: Metadata
    names: frozenset[str] = frozenset()
    anomaly: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `model-parameters/` records.

    Attributes:
        includes: the model headers `model_variables.h` includes, as written there.
    """

    blocks: tuple[Block, ...]
    includes: tuple[str, ...]
    findings: tuple[Finding, ...]


def read_recorded(metadata: File | None, variables: File | None) -> Recorded:
    """Read the two headers; either may be missing.

    Raises:
        InputError: one of them is damaged so that its structure cannot be read.
    """
    files = [file for file in (metadata, variables) if file is not None]
    reader = _Reader(read_headers(files), files[-1].path if files else "")
    blocks = reader.blocks()
    includes = tuple(name for name in reader.header.includes if "tflite-model/" in name)
    # Each impulse asks for the macros again: one finding each is enough.
    return Recorded(blocks, includes, tuple(dict.fromkeys(reader.findings)))


def read_headers(files: Sequence[File]) -> Header:
    """What headers declare that are included in this order.

    Of a name the last declaration counts: a dsp_blocks.h of 2021 stays where a newer library replaces an older one.

    Raises:
        InputError: one of them is damaged so that its structure cannot be read.
    """
    whole = Header({}, {})
    for file in files:
        try:
            header = read_header(file.data, whole.macros)
        except InputError as error:
            error.path = file.path
            raise
        whole = Header(
            {**whole.declarations, **header.declarations},
            header.macros,
            whole.includes + header.includes,
            {**whole.structs, **header.structs},
        )
    return whole


@dataclass(slots=True)
class _Reader:
    """The headers; `path` is the one that findings name, `findings` what could not be read."""

    header: Header
    path: str
    findings: list[Finding] = field(default_factory=list)

    def blocks(self) -> tuple[Block, ...]:
        """All learning blocks of all impulses, in order."""
        base = self._from_macros()
        impulses: list[Declaration | None] = [*self.header.typed("ei_impulse_t")]
        found: list[Block] = []
        for impulse in impulses or [None]:
            # Of a single impulse is everything that is declared, even what nothing points to.
            reached = self.header.reachable(impulse.name) if impulse and len(impulses) > 1 else None
            metadata = base if impulse is None else replace(base, **self._of_impulse(impulse))
            metadata = replace(metadata, labels=self._labels(impulse), **self._channels(impulse, metadata, reached))
            entries: list[Field | None] = []
            for table in self.header.typed("ei_learning_block_t", reached):
                entries += table.fields
            metadata = replace(metadata, tracking=self._tracking(reached), segments=self._segments(reached))
            found += [self._block(entry, metadata, reached) for entry in entries or [None]]
        return tuple(found)

    def read(self, name: str, kind: _Type, tokens: tuple[Token, ...] | None = None) -> Any:
        """The value of `tokens`, which messages call `name`; by default that of the macro `name`.

        None where the macro is missing, and, with a finding, where the value cannot be read.
        """
        macros = self.header.macros
        if tokens is None:
            if (body := macros.get(name.encode())) is None:
                return None
            tokens = tuple(iter(Scanner(body).next, None))
        text = _spelled(tokens)
        value: object = None
        if kind == "text":
            value, wanted = string_of(tokens), "a string"
        elif isinstance(kind, facts.Enumeration):
            value, wanted = enumerator(text, kind, macros), f"one of {kind.prefix}*"
        else:
            most, wanted = _WANTED[kind]
            is_real = kind in {"fraction", "number"}
            plain = macros.get(text, text).strip(b"()")
            number = real_literal(plain) if is_real else evaluate(text, macros, strict=True)
            if kind == "boolean":
                value = None if number is None else bool(number)
            elif number is not None and 0 <= number <= most:
                value = number
        if value is None:
            spelled = text.decode("utf-8", "replace")[:60]
            message = f"{name} is {spelled!r}, not {wanted}" if spelled else f"{name} is empty, not {wanted}"
            self.findings.append(UNREADABLE_PARAMETER.found(message, path=self.path))
        return None if kind == "size" and value == 0 else value

    def _from_macros(self) -> Metadata:
        """What the macros of `model_metadata.h` record."""
        version = [self.read(f"EI_STUDIO_VERSION_{part}", "integer") for part in ("MAJOR", "MINOR", "PATCH")]
        datatype = self.read("EI_CLASSIFIER_TFLITE_INPUT_DATATYPE", facts.DATATYPE)
        quantized = self.read("EI_CLASSIFIER_QUANTIZATION_ENABLED", "boolean")
        if quantized is None and datatype is not None:
            quantized = datatype != "float32"
        resize = self.read("EI_CLASSIFIER_RESIZE_MODE", facts.RESIZE)
        anomaly = self.read("EI_CLASSIFIER_HAS_ANOMALY", facts.ANOMALY_TYPES)
        # Detectors since 2022 by their last layer; before that MobileNet SSD, or FOMO ("constrained").
        detects, task = self.read("EI_CLASSIFIER_OBJECT_DETECTION", "boolean"), None
        if detects:
            task = self.read("EI_CLASSIFIER_OBJECT_DETECTION_LAST_LAYER", facts.LAST_LAYER)
            if task is None:
                task = FOMO if self.read("EI_CLASSIFIER_OBJECT_DETECTION_CONSTRAINED", "boolean") else SSD
        elif detects is not None:
            task = ANOMALY if anomaly in facts.VISUAL_ANOMALY else CLASSIFIER
        return Metadata(
            resize_mode=None if resize is None else ResizeMode(resize),
            task=task,
            has_anomaly=None if anomaly is None else anomaly != "unknown",
            quantized=quantized,
            studio_version=None if None in version else ".".join(map(str, version)),
            **{name: self.read(f"EI_CLASSIFIER_{macro}", kind) for name, (macro, _, kind) in _VALUES.items() if macro},
        )

    def _of_impulse(self, impulse: Declaration) -> dict[str, Any]:
        """What an impulse declares, by the name in `Metadata`."""
        values: dict[str, Any] = {}
        for name, (_, member, kind) in _VALUES.items():
            if member and (tokens := impulse.named(member)):
                values[name] = self.read(member, kind, tokens)
        if tokens := impulse.named("has_anomaly"):
            names = names_in(tokens)
            if names in (["true"], ["false"]):  # until 2023
                values["has_anomaly"] = names == ["true"]
            else:
                anomaly = self.read("has_anomaly", facts.ANOMALY_TYPES, tokens)
                values["has_anomaly"] = None if anomaly is None else anomaly != "unknown"
        # Early in 2023 the impulse has the members that its learning block's configuration has later.
        return values | self._of_config(impulse, "object_detection_threshold")

    def _labels(self, impulse: Declaration | None) -> tuple[str, ...] | None:
        """The impulse's categories, else the array of that name in either header."""
        member = next((item for item in (impulse.fields if impulse else ()) if item.name == "categories"), None)
        found: Field | None
        declaration = impulse
        if member and member.fields:  # `.categories = new const char*[2] { "a", "b" }`
            found = member
        else:
            wanted = [*(name.rpartition("::")[2] for name in (member.names[-1:] if member else ())), _CATEGORIES]
            every = [item for name, item in self.header.declarations.items() if name.startswith(_CATEGORIES)]
            resolved = (item for name in wanted if (item := self.header.resolved(name)))
            found = declaration = next(resolved, every[0] if len(every) == 1 else None)
        labels = [string_of(item.tokens) for item in found.fields] if found is not None else []
        if found is not None and declaration is not None and None in labels:
            message = f"{found.name}: element {labels.index(None) + 1} is not a string"
            self.findings.append(UNREADABLE_PARAMETER.found(message, path=self.path, line=declaration.line))
            labels = []
        counted = impulse.named("label_count") if impulse else None
        count = self.read("label_count" if counted else "EI_CLASSIFIER_LABEL_COUNT", "integer", counted or None)
        # An anomaly detector has none, and one is counted.
        if labels and count is not None and count != len(labels):
            message = f"{len(labels)} labels are listed, but {count} are counted"
            self.findings.append(LABEL_COUNT.found(message, path=self.path))
        return tuple(label for label in labels if label is not None) or None

    def _channels(
        self, impulse: Declaration | None, metadata: Metadata, reached: frozenset[str] | None
    ) -> dict[str, Any]:
        """Channels and colour: values a frame over pixels, else the colour in the picture block's configuration.

        That is its last string; the members before it changed over the years.
        """
        configured = (
            string_of(item.tokens)
            for block in self.header.typed("ei_dsp_config_image_t", reached)
            for item in reversed(block.fields)
        )
        text = next((text for text in configured if text is not None), "")
        color = {"RGB": Color.RGB, "Grayscale": Color.GRAY}.get(text)
        name, tokens = "nn_input_frame_size", impulse.named("nn_input_frame_size") if impulse else None
        frame = self.read(name if tokens else "EI_CLASSIFIER_NN_INPUT_FRAME_SIZE", "integer", tokens or None)
        pixels = (metadata.width or 0) * (metadata.height or 0)
        channels = {pixels: 1, 3 * pixels: 3}.get(frame or -1) if pixels else None
        if channels is None and pixels and color is not None:
            channels = 1 if color is Color.GRAY else 3
        if color is None and channels is not None:
            color = Color.GRAY if channels == 1 else Color.RGB
        return {"channels": channels, "color": color}

    def _block(self, entry: Field | None, metadata: Metadata, reached: frozenset[str] | None) -> Block:
        """One entry of `ei_learning_blocks`: number, function, configuration and image scaling by position.

        None: blocks are not described.
        """
        members = [item.tokens for item in entry.fields] if entry else []
        words = [name for tokens in members for name in names_in(tokens)]
        names = frozenset[str]().union(*(self.header.reachable(name) for name in words))
        number = self.read("block id", "integer", members[0]) if members and not names_in(members[0]) else None
        metadata = replace(metadata, block_id=number, **self._scaling_and_overlap(words, reached))
        configs = [item for name in words if (item := self.header.declarations.get(name)) and item.braced]
        for config in configs:
            if number is None and (tokens := config.named("block_id")):
                metadata = replace(metadata, block_id=self.read("block_id", "integer", tokens))
            metadata = replace(metadata, **self._of_config(config))
        if entry:
            metadata = replace(metadata, **self._of_results(metadata, reached))
        mode = [name for config in configs for name in names_in(config.named("classification_mode") or ())]
        if anomaly := any("anomaly" in word.lower() for word in [*words, *mode]):
            metadata = replace(metadata, task=ANOMALY)
        if metadata.task in _NO_DETECTOR:  # thresholds are written for every model and mean something for detectors
            metadata = replace(metadata, threshold=None, nms_iou=None)
        return Block(metadata, names, anomaly)

    def _scaling_and_overlap(self, words: Sequence[str], reached: frozenset[str] | None) -> dict[str, Any]:
        """The image scaling (before 2023 there was none to choose) and the overlap of boxes."""
        if not self.header.declarations and not any(name.startswith(b"EI_") for name in self.header.macros):
            return {}
        known = (facts.SCALING.value(word) for word in words)
        scaling = next((value for value in known if value is not None), ImageScaling.NONE)
        overlap: float | None = None
        for item in self.header.typed("ei_object_detection_nms_config_t", reached)[:1]:
            tokens = item.named("iou_threshold") or (item.fields[1].tokens if len(item.fields) > 1 else ())
            overlap = self.read("NMS overlap", "fraction", tokens)
        return {"image_scaling": ImageScaling(scaling), "nms_iou": overlap}

    def _tracking(self, reached: frozenset[str] | None) -> Tracking | None:
        """The tracking block's configuration; where only a macro names the block, with the SDK's defaults."""
        for kind, members in _TRACKING.items():
            sort = "SORT_" if "sort" in kind else ""
            enabled = self.read(f"EI_CLASSIFIER_OBJECT_TRACKING_{sort}ENABLED", "boolean")
            found = self.header.typed(kind, reached)
            if enabled is False or not (found or enabled):
                continue
            fields_ = found[0].fields if found else ()
            of = dict(zip(("implementation_version", *members), fields_, strict=False))
            of = {members[2] if name == "iou_threshold" else name: each for name, each in of.items() if not each.name}
            of |= {members[2] if each.name == "iou_threshold" else each.name: each for each in fields_ if each.name}
            kinds: tuple[_Type, ...] = ("integer", "integer", "number", "boolean")
            read: list[Any] = list(_USUAL_TRACKING)
            for index, (name, how) in enumerate(zip(members, kinds, strict=True)):
                if name in of and (value := self.read(name, how, of[name].tokens)) is not None:
                    read[index] = value
            grace, second, threshold, by_overlap = read
            return Tracking(bool(sort), grace, second if sort else 0, threshold, by_overlap)
        return None

    def _segments(self, reached: frozenset[str] | None) -> tuple[tuple[int, int, int, int], ...] | None:
        """The lines of the counting block, which Studio does not have: Edge Impulse sets it up for a customer."""
        if self.read("EI_CLASSIFIER_OBJECT_COUNTING_ENABLED", "boolean") is False:
            return None
        for config in self.header.typed("ei_object_counting_config_t", reached)[:1]:
            numbers = _numbers(config.fields[1:])
            if None not in numbers and numbers and len(numbers) % 4 == 0:
                return tuple(zip(*[iter(numbers)] * 4, strict=True))
            message = f"{config.name} does not hold four whole numbers a line"
            self.findings.append(UNREADABLE_PARAMETER.found(message, path=self.path, line=config.line))
        return None

    def _of_config(self, config: Declaration, threshold: str = "threshold") -> dict[str, Any]:
        """What a learning block's configuration declares, by the name in `Metadata`."""
        values: dict[str, Any] = {}
        for name in ("quantized", "compiled"):
            if tokens := config.named(name):
                values[name] = self.read(name, "boolean", tokens)
        detects, layer = config.named("object_detection"), config.named("object_detection_last_layer")
        if detects and layer and self.read("object_detection", "boolean", detects):
            task = self.read("object_detection_last_layer", facts.LAST_LAYER, layer)
            values |= {} if task is None else {"task": task}
        elif detects:
            values["task"] = CLASSIFIER
        if (tokens := config.named(threshold)) and values.get("task") not in _NO_DETECTOR:
            values["threshold"] = self.read(threshold, "fraction", tokens)
        return values

    def _of_results(self, metadata: Metadata, reached: frozenset[str] | None) -> dict[str, Any]:
        """What the configuration of the post-processing declares, since July 2025, by the name in `Metadata`."""
        layers: dict[str, str] = {}
        for item in self.header.declarations.values():
            for match in filter(None, map(_FILL_RESULT.fullmatch, item.type)):
                if reached is None or item.name in reached:
                    layers.setdefault(item.name, match["layer"])
        mine = [name for name in layers if name.endswith(f"_{metadata.block_id}")] or [*layers]
        values: dict[str, Any] = {}
        for name in mine[:1]:
            task = _LAYERS.get(layers[name])
            if task and (task != SSD or metadata.task in {FOMO, *_NO_DETECTOR}):  # SSD's is that of all with boxes
                values["task"] = task
            if tokens := self.header.declarations[name].named("threshold"):
                values["threshold"] = self.read("threshold", "fraction", tokens)
        return values


def enumerator(text: bytes, enumeration: facts.Enumeration, macros: Mapping[bytes, bytes]) -> str | None:
    """Our value of an enumerator's name or number, or of a macro for one."""
    expanded = set[bytes]()
    while _NAME.fullmatch(text) and text not in expanded:
        expanded.add(text)
        if (value := enumeration.value(text.decode())) is not None:
            return value
        text = macros.get(text, b"")
    number = evaluate(text, macros, strict=True)
    name = None if number is None else enumeration.names.get(number)
    return None if name is None else enumeration.value(enumeration.prefix + name)


def _numbers(values: Sequence[Field]) -> list[int | None]:
    """All numbers in `values`, whatever braces, tuples or functions they stand in; None: not a whole one."""
    found: list[int | None] = []
    for each in values:
        before = b""
        for token in each.tokens if not each.braced else ():
            if token.kind == Kind.NUMBER:
                number = evaluate(token.text, {}, strict=True)
                found.append(-number if number is not None and before == b"-" else number)
            before = token.text
        found += _numbers(each.fields)
    return found


def _spelled(tokens: tuple[Token, ...]) -> bytes:
    """Tokens as text; signs stay with their numbers."""
    text = b""
    for token in tokens:
        blank = text and token.kind != Kind.PUNCTUATION and not text.endswith((b"-", b"+", b"(", b"!", b"~"))
        text += (b" " if blank else b"") + token.text
    return text


CONTRADICTION = Rule("EI102")

DEPLOYMENT: Final = "deployment-metadata.json"
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
_KINDS: Final = {dict: "an object", list: "a list", str: "a string", int: "a whole number from 0 up"}


@dataclass(slots=True)
class _DocumentReader:
    """Values of a document; `findings` are about those that cannot be read."""

    path: str
    findings: list[Finding] = field(default_factory=list)

    def value(self, holder: object, place: str, kind: type, shown: str = "") -> Any:
        """What stands in `holder` at `place` ("project.id"); None where nothing of this kind does."""
        *around, last = place.split(".")
        for name in around:
            holder = self.value(holder, name, dict)
        found = holder.get(last) if isinstance(holder, dict) else None
        fits = not isinstance(found, int) or 0 <= found <= _MAX_INTEGER
        if found is None or (fits and type(found) is kind):
            return found
        self.refuse(f"{shown or '.'.join((*around[-1:], last))} is {_json(found)}, not {_KINDS[kind]}")
        return None

    def each(self, holder: object, place: str, shown: str = "") -> list[Any]:
        """The objects of a list."""
        items = self.value(holder, place, list, shown) or []
        if any(not isinstance(item, dict) for item in items):
            self.refuse(f"{shown or place} holds something that is no object")
        return [item for item in items if isinstance(item, dict)]

    def one_of(self, holder: object, name: str, known: dict[str, Any]) -> Any:
        """Our value of one of the names `known`."""
        text = self.value(holder, name, str)
        if text is not None and text not in known:
            self.refuse(f"{name} is {_json(text)}, not one of {', '.join(known)}")
        return known.get(text)

    def refuse(self, message: str) -> None:
        """Note a value that cannot be read."""
        self.findings.append(UNREADABLE_PARAMETER.found(message, path=self.path))


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def read_deployment(file: File, members: Sequence[str]) -> Recorded:
    """What the document records, one block a model.

    Args:
        members: paths in the folder of the document, relative to it, to tell several models apart by.
    """
    reader = _DocumentReader(file.path)
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
    described: list[Block] = []
    for block in reader.each(document, "impulse.learnBlocks", "learnBlocks"):
        kind = reader.value(block, "type", str, "learnBlocks.type") or ""
        if kind not in _NO_NETWORK:
            number, is_anomaly = reader.value(block, "id", int, "learnBlocks.id"), "anomaly" in kind
            of_block = replace(metadata, block_id=number, task=ANOMALY if is_anomaly else None)
            described.append(Block(of_block, anomaly=is_anomaly))
    names = [_name(reader, model, document, members) for model in reader.each(document, "tfliteModels")]
    blocks: tuple[Block, ...]
    if described and len(names) == len(described) and all(names):
        blocks = tuple(replace(block, names=frozenset({name})) for block, name in zip(described, names, strict=True))
    elif len(described) == 1:
        blocks = tuple(described)
    else:  # which model is which block's is not known
        blocks = (Block(metadata),)
    return Recorded(blocks, (), tuple(dict.fromkeys(reader.findings)))


def _name(reader: _DocumentReader, model: dict[str, Any], document: dict[str, Any], members: Sequence[str]) -> str:
    """The name of a model's file without extension, empty where the file is not there.

    `modelPath` is a path in the container of the block: below `folders.input`.
    """
    text = reader.value(model, "modelPath", str)
    if text is None:
        return ""
    path = PurePosixPath(text)
    root = reader.value(document, "folders.input", str)
    if root and path.is_relative_to(root):
        path = path.relative_to(root)
    return path.stem if path.as_posix() in members else ""


def _metadata(reader: _DocumentReader, document: dict[str, Any]) -> Metadata:
    inputs = reader.each(document, "impulse.inputBlocks")
    image = next((block for block in inputs if block.get("type") == "image"), None)
    classes = reader.value(document, "classes", list) or []
    if any(not isinstance(label, str) for label in classes):
        reader.refuse("classes holds something that is no string")
        classes = []
    channels: int | None = None
    for block in reader.each(document, "impulse.dspBlocks"):
        if reader.value(block, "metadata.outputConfig.type", str) == "image":
            channels = reader.value(block, "metadata.outputConfig.shape.channels", int, "channels")
    sensor = reader.one_of(document, "sensor", _SENSORS)
    resize_mode = reader.one_of(image, "resizeMode", _RESIZE)
    # Other resize modes have an anchor, too, which is not used; of another type it is damaged all the same.
    anchor: Anchor | None = None
    if reader.value(image, "cropAnchor", str) is not None and image is not None and image.get("resizeMode") == "crop":
        anchor = reader.one_of(image, "cropAnchor", _ANCHORS)
    return Metadata(
        labels=tuple(classes) or None,
        width=reader.value(image, "imageWidth", int) or None,
        height=reader.value(image, "imageHeight", int) or None,
        channels=channels if channels in _COLORS else None,
        color=_COLORS.get(channels or 0),
        resize_mode=resize_mode,
        crop_anchor=anchor,
        sensor="camera" if sensor is None and image is not None else sensor,
        project_id=reader.value(document, "project.id", int),
        project_name=reader.value(document, "project.name", str),
        project_owner=reader.value(document, "project.owner", str),
        deploy_version=reader.value(document, "deployCounter", int),
    )


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
        message = f"{DEPLOYMENT} records {'; '.join(dict.fromkeys(said))}, which counts"
        findings = (*findings, CONTRADICTION.found(message, path=path))
    return replace(parameters, blocks=tuple(blocks), findings=findings)


def _text(value: object) -> str:
    return ";".join(map(str, value)) if isinstance(value, tuple) else str(value)
