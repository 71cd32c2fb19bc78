"""Reads `model-parameters/model_metadata.h` and `model_variables.h` of every generation into `Metadata`, one a block.

Until 2022 macros say everything and the labels stand in either file; since 2023 `model_variables.h` describes each
impulse as values that point to its learning blocks, and they to the model. What is said there goes before the macros,
which in an export of several impulses describe only one of them.

A single value that is there and cannot be read becomes a finding and counts as not recorded; it does not end a run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from convert.errors import InputError
from convert.export.cpp_declarations import Declaration, Field, Header, names_in, read_header, string_of
from convert.export.cpp_scanner import Kind, Scanner, Token, evaluate, real_literal
from convert.export.facts import ANOMALY_TYPES, DATATYPE, ENGINE, LAST_LAYER, RESIZE, SCALING, SENSOR, VISUAL_ANOMALY
from convert.export.findings import LABEL_COUNT, UNREADABLE_PARAMETER
from convert.heads import ANOMALY as ANOMALY_HEAD
from convert.heads import CLASSIFIER, FOMO, HEADS, NOT_IMAGE, SSD, UNKNOWN
from convert.types import Color, ImageScaling, Metadata, ResizeMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from convert.export.facts import Enumeration
    from convert.findings import Finding

__all__ = ["Block", "File", "Macros", "Recorded", "Values", "read_recorded"]

_CATEGORIES: Final = "ei_classifier_inferencing_categories"
_FILL_RESULT: Final = re.compile(r"ei_fill_result_(?P<layer>\w+?)(?:_(?:f32|i8|u8))?_config_t")
_LAYERS: Final = {
    "visual_ad": ANOMALY_HEAD,
    **{each.results: each.id for each in HEADS if each.results},
}
"""What `ei_fill_result_<layer>_config_t`, since July 2025, calls the last layers."""

_NO_DETECTOR: Final = frozenset({CLASSIFIER, ANOMALY_HEAD, UNKNOWN, NOT_IMAGE, None})
_NAME: Final = re.compile(rb"[A-Za-z_]\w*")
_MAX_INTEGER: Final = 1 << 31


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
    """What `model-parameters/` says.

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
    macros = _header(metadata, {})
    declared = _header(variables, macros.macros)
    reader = _Reader(macros, declared, Values(declared.macros, (variables or metadata or File(b"", "")).path))
    blocks = reader.blocks()
    includes = tuple(name for name in declared.includes if "tflite-model/" in name)
    # Each impulse asks for the macros again: one finding each is enough.
    return Recorded(blocks, includes, tuple(dict.fromkeys(reader.values.findings)))


def _header(file: File | None, macros: Mapping[bytes, bytes]) -> Header:
    if file is None:
        return Header({}, macros, ())
    try:
        return read_header(file.data, macros)
    except InputError as error:
        raise InputError(error.message, path=file.path, line=error.line, hint=error.hint) from error


class _Reader:
    """Both headers, and what has been found in them."""

    def __init__(self, metadata: Header, variables: Header, values: Values) -> None:
        self._metadata = metadata
        self._variables = variables
        self.values = values
        self._macros = Macros(values)

    def blocks(self) -> tuple[Block, ...]:
        """All learning blocks of all impulses, in order."""
        base = self._from_macros()
        impulses = [item for item in self._variables.declarations.values() if "ei_impulse_t" in item.type]
        found: list[Block] = []
        everyone: list[Declaration | None] = [*impulses] or [None]
        for impulse in everyone:
            # Of a single impulse is everything that is declared, even what nothing points to.
            reached = self._variables.reachable(impulse.name) if impulse and len(impulses) > 1 else None
            metadata = base if impulse is None else replace(base, **self._of_impulse(impulse))
            metadata = replace(metadata, labels=self._labels(impulse), color=self._color(reached))
            metadata = _with_channels(metadata, self._frame_size(impulse))
            entries = [entry for table in self._typed("ei_learning_block_t", reached) for entry in table.fields]
            blocks = [self._block(entry, metadata, reached) for entry in entries]
            found += blocks or [Block(_of_detectors_only(self._whole(metadata, reached)))]
        return tuple(found)

    def _from_macros(self) -> Metadata:
        """What the macros of `model_metadata.h` say."""
        macro = self._macros
        version = [macro.integer(f"STUDIO_VERSION_{part}") for part in ("MAJOR", "MINOR", "PATCH")]
        datatype = macro.enumerator("CLASSIFIER_TFLITE_INPUT_DATATYPE", DATATYPE)
        quantized = macro.boolean("CLASSIFIER_QUANTIZATION_ENABLED")
        resize = macro.enumerator("CLASSIFIER_RESIZE_MODE", RESIZE)
        anomaly = macro.enumerator("CLASSIFIER_HAS_ANOMALY", ANOMALY_TYPES)
        return Metadata(
            width=macro.integer("CLASSIFIER_INPUT_WIDTH") or None,
            height=macro.integer("CLASSIFIER_INPUT_HEIGHT") or None,
            resize_mode=None if resize is None else ResizeMode(resize),
            threshold=macro.number("CLASSIFIER_OBJECT_DETECTION_THRESHOLD"),
            task=self._task_of_macros(anomaly),
            sensor=macro.enumerator("CLASSIFIER_SENSOR", SENSOR),
            has_anomaly=None if anomaly is None else anomaly != "unknown",
            quantized=quantized if quantized is not None or datatype is None else datatype != "float32",
            compiled=macro.boolean("CLASSIFIER_COMPILED"),
            engine=macro.enumerator("CLASSIFIER_INFERENCING_ENGINE", ENGINE),
            project_id=macro.integer("CLASSIFIER_PROJECT_ID"),
            project_name=macro.text("CLASSIFIER_PROJECT_NAME"),
            project_owner=macro.text("CLASSIFIER_PROJECT_OWNER"),
            deploy_version=macro.integer("CLASSIFIER_PROJECT_DEPLOY_VERSION"),
            studio_version=None if None in version else ".".join(map(str, version)),
        )

    def _task_of_macros(self, anomaly: str | None) -> str | None:
        """Detectors since 2022 by their last layer; before that MobileNet SSD, or FOMO ("constrained")."""
        macro = self._macros
        detects = macro.boolean("CLASSIFIER_OBJECT_DETECTION")
        if detects is None:
            return None
        if not detects:
            return ANOMALY_HEAD if anomaly in VISUAL_ANOMALY else CLASSIFIER
        layer = macro.enumerator("CLASSIFIER_OBJECT_DETECTION_LAST_LAYER", LAST_LAYER)
        if layer is not None:
            return layer
        return FOMO if macro.boolean("CLASSIFIER_OBJECT_DETECTION_CONSTRAINED") else SSD

    def _of_impulse(self, impulse: Declaration) -> dict[str, Any]:
        """What an impulse says of itself, by the name in `Metadata`."""
        values = self.values
        readers: dict[str, tuple[str, Callable[[tuple[Token, ...]], object]]] = {
            "project_id": ("project_id", lambda tokens: values.integer("project_id", tokens)),
            "project_name": ("project_name", lambda tokens: values.text("project_name", tokens)),
            "project_owner": ("project_owner", lambda tokens: values.text("project_owner", tokens)),
            "deploy_version": ("deploy_version", lambda tokens: values.integer("deploy_version", tokens)),
            "impulse_id": ("impulse_id", lambda tokens: values.integer("impulse_id", tokens)),
            "impulse_name": ("impulse_name", lambda tokens: values.text("impulse_name", tokens)),
            "input_width": ("width", lambda tokens: values.integer("input_width", tokens) or None),
            "input_height": ("height", lambda tokens: values.integer("input_height", tokens) or None),
            "sensor": ("sensor", lambda tokens: values.enumerator("sensor", tokens, SENSOR)),
            "inferencing_engine": ("engine", lambda tokens: values.enumerator("inferencing_engine", tokens, ENGINE)),
            "has_anomaly": ("has_anomaly", self._has_anomaly),
        }
        said = {name: read(tokens) for member, (name, read) in readers.items() if (tokens := impulse.named(member))}
        # Early in 2023 the impulse says what its learning block's configuration says later.
        return said | self._of_config(impulse, "object_detection_threshold")

    def _has_anomaly(self, tokens: tuple[Token, ...]) -> bool | None:
        if names_in(tokens) in (["true"], ["false"]):  # until 2023
            return names_in(tokens) == ["true"]
        kind = self.values.enumerator("has_anomaly", tokens, ANOMALY_TYPES)
        return None if kind is None else kind != "unknown"

    def _typed(self, kind: str, reached: frozenset[str] | None) -> list[Declaration]:
        """Declarations of a type among the names `reached`; None: among all."""
        every = (item for item in self._variables.declarations.values() if kind in item.type)
        return [item for item in every if reached is None or item.name in reached]

    def _frame_size(self, impulse: Declaration | None) -> int | None:
        tokens = None if impulse is None else impulse.named("nn_input_frame_size")
        if tokens:
            return self.values.integer("nn_input_frame_size", tokens)
        return self._macros.integer("CLASSIFIER_NN_INPUT_FRAME_SIZE")

    def _labels(self, impulse: Declaration | None) -> tuple[str, ...] | None:
        """The impulse's categories, else the array of that name in either header."""
        tokens = None if impulse is None else impulse.named("categories")
        wanted = [*(names_in(tokens)[-1:] if tokens else []), _CATEGORIES]
        headers = (self._variables, self._metadata)
        found = next((item for name in wanted for header in headers if (item := header.resolved(name))), None)
        if found is None:
            every = [item for name, item in self._variables.declarations.items() if name.startswith(_CATEGORIES)]
            found = every[0] if len(every) == 1 else None
        found = _inline(impulse, "categories") or found
        labels = self.values.strings(found.name, found) if found is not None and found.braced else None
        counted = impulse.named("label_count") if impulse is not None else None
        count = (
            self.values.integer("label_count", counted) if counted else self._macros.integer("CLASSIFIER_LABEL_COUNT")
        )
        # An anomaly detector has none, and one is counted.
        if labels and count is not None and count != len(labels):
            message = f"{len(labels)} labels are listed, but {count} are counted"
            self.values.findings.append(LABEL_COUNT.found(message, path=self.values.path))
        return labels or None

    def _color(self, reached: frozenset[str] | None) -> Color | None:
        """The last string of the picture block's configuration, whatever stands before it."""
        for block in self._typed("ei_dsp_config_image_t", reached):
            for item in reversed(block.fields):
                text = string_of(tuple(token for token in item.value if isinstance(token, Token)))
                if text is not None:
                    return {"RGB": Color.RGB, "Grayscale": Color.GRAY}.get(text)
        return None

    def _block(self, entry: Field, metadata: Metadata, reached: frozenset[str] | None) -> Block:
        """One entry of `ei_learning_blocks`: number, function, configuration and image scaling by position."""
        members = [_plain(item) for item in entry.value if isinstance(item, Field)]
        words = [name for tokens in members for name in names_in(tokens)]
        names = frozenset[str]().union(*(self._variables.reachable(name) for name in words))
        number = self.values.integer("block id", members[0]) if members and not names_in(members[0]) else None
        metadata = self._whole(replace(metadata, block_id=number), reached, words)
        configs = [item for name in words if (item := self._variables.declarations.get(name)) and item.braced]
        for config in configs:
            if number is None and (tokens := config.named("block_id")):
                metadata = replace(metadata, block_id=self.values.integer("block_id", tokens))
            metadata = replace(metadata, **self._of_config(config))
        metadata = replace(metadata, **self._of_results(metadata, reached))
        mode = [name for config in configs for name in names_in(config.named("classification_mode") or ())]
        if anomaly := any("anomaly" in word.lower() for word in [*words, *mode]):
            metadata = replace(metadata, task=ANOMALY_HEAD)
        return Block(_of_detectors_only(metadata), names, anomaly)

    def _whole(self, metadata: Metadata, reached: frozenset[str] | None, words: Sequence[str] = ()) -> Metadata:
        """With the image scaling (before 2023 there was none to choose) and the overlap of boxes."""
        if not self._variables.declarations and not any(name.startswith(b"EI_") for name in self.values.macros):
            return metadata
        known = (SCALING.by_name(word) for word in words)
        scaling = next((value for value in known if value is not None), ImageScaling.NONE)
        overlap: float | None = None
        for item in self._typed("ei_object_detection_nms_config_t", reached)[:1]:
            tokens = item.named("iou_threshold") or (_plain(item.fields[1]) if len(item.fields) > 1 else ())
            overlap = self.values.number("NMS overlap", tokens)
        return replace(metadata, image_scaling=ImageScaling(scaling), nms_iou=overlap)

    def _of_config(self, config: Declaration, threshold: str = "threshold") -> dict[str, Any]:
        """What a learning block's configuration says, by the name in `Metadata`."""
        values = self.values
        said: dict[str, Any] = {}
        for name in ("quantized", "compiled"):
            if tokens := config.named(name):
                said[name] = values.boolean(name, tokens)
        detects, layer = config.named("object_detection"), config.named("object_detection_last_layer")
        if detects and layer and values.boolean("object_detection", detects):
            value = values.enumerator("object_detection_last_layer", layer, LAST_LAYER)
            said |= {} if value is None else {"task": value}
        elif detects:
            said["task"] = CLASSIFIER
        if (tokens := config.named(threshold)) and said.get("task") not in _NO_DETECTOR:
            said["threshold"] = values.number(threshold, tokens)
        return said

    def _of_results(self, metadata: Metadata, reached: frozenset[str] | None) -> dict[str, Any]:
        """What the configuration of the post-processing says, since July 2025, by the name in `Metadata`."""
        every = [item for item in self._variables.declarations.values() if _fill_result(item)]
        every = [item for item in every if reached is None or item.name in reached]
        mine = [item for item in every if item.name.endswith(f"_{metadata.block_id}")] or every
        said: dict[str, Any] = {}
        for item in mine[:1]:
            task = _LAYERS.get(_fill_result(item))
            said |= {} if task is None else {"task": task}
            if tokens := item.named("threshold"):
                said["threshold"] = self.values.number("threshold", tokens)
        return said


def _inline(impulse: Declaration | None, name: str) -> Declaration | None:
    """The array that an impulse's member is given on the spot: `.categories = new const char*[2] { "a", "b" }`."""
    fields = () if impulse is None else impulse.fields
    for item in fields:
        if item.name == name and item.value and isinstance(item.value[0], Field):
            assert impulse is not None
            return Declaration(name, (), item.value, braced=True, line=impulse.line)
    return None


def _fill_result(item: Declaration) -> str:
    match = next((match for word in item.type if (match := _FILL_RESULT.fullmatch(word))), None)
    return match["layer"] if match else ""


def _plain(item: Field) -> tuple[Token, ...]:
    return tuple(token for token in item.value if isinstance(token, Token))


def _of_detectors_only(metadata: Metadata) -> Metadata:
    """Without thresholds that are written for every model and mean something for detectors."""
    return replace(metadata, threshold=None, nms_iou=None) if metadata.task in _NO_DETECTOR else metadata


def _with_channels(metadata: Metadata, frame_size: int | None) -> Metadata:
    """With the channels: values a frame over pixels, else from the colour; and the colour from them."""
    pixels = (metadata.width or 0) * (metadata.height or 0)
    channels = {pixels: 1, 3 * pixels: 3}.get(frame_size or -1) if pixels else None
    if channels is None and pixels and metadata.color is not None:
        channels = 1 if metadata.color is Color.GRAY else 3
    color = metadata.color
    if color is None and channels is not None:
        color = Color.GRAY if channels == 1 else Color.RGB
    return replace(metadata, channels=channels, color=color)


@dataclass(slots=True)
class Values:
    """Turns tokens into values.

    Args:
        macros: the object-like macros that hold.
        path: the header, for findings.

    Attributes:
        findings: what could not be read.
    """

    macros: Mapping[bytes, bytes] = field(repr=False)
    path: str
    findings: list[Finding] = field(default_factory=list)

    def integer(self, what: str, tokens: tuple[Token, ...], *, lowest: int = 0) -> int | None:
        """A whole number from `lowest` up."""
        value = evaluate(_spelled(tokens), self.macros, strict=True)
        if value is None or not lowest <= value < _MAX_INTEGER:
            self._note(what, tokens, f"a whole number from {lowest} up")
            return None
        return value

    def number(self, what: str, tokens: tuple[Token, ...]) -> float | None:
        """A fraction from 0 to 1: the thresholds."""
        text = _spelled(tokens)
        text = self.macros.get(text, text)
        value = real_literal(text.strip(b"()"))
        if value is None or not 0 <= value <= 1:
            self._note(what, tokens, "a number from 0 to 1")
            return None
        return value

    def boolean(self, what: str, tokens: tuple[Token, ...]) -> bool | None:
        """0 or 1, `true` or `false`."""
        value = evaluate(_spelled(tokens), self.macros, strict=True)
        if value is None:
            self._note(what, tokens, "0 or 1")
            return None
        return bool(value)

    def text(self, what: str, tokens: tuple[Token, ...]) -> str | None:
        """A string."""
        value = string_of(tokens)
        if value is None:
            self._note(what, tokens, "a string")
        return value

    def enumerator(self, what: str, tokens: tuple[Token, ...], enumeration: Enumeration) -> str | None:
        """An enumerator's name or number, as our value."""
        text = _spelled(tokens)
        seen: set[bytes] = set()
        while _NAME.fullmatch(text) and text not in seen:
            seen.add(text)
            if (value := enumeration.by_name(text.decode())) is not None:
                return value
            text = self.macros.get(text, b"")
        number = evaluate(text, self.macros, strict=True)
        value = None if number is None else enumeration.by_number(number)
        if value is None:
            self._note(what, tokens, f"one of {enumeration.prefix}*")
        return value

    def strings(self, what: str, declaration: Declaration) -> tuple[str, ...] | None:
        """The elements of `const char* x[] = { "a", "b" }`."""
        texts: list[str] = []
        for item in declaration.fields:
            text = string_of(tuple(token for token in item.value if isinstance(token, Token)))
            if text is None or any(isinstance(inner, Field) for inner in item.value):
                self.findings.append(
                    UNREADABLE_PARAMETER.found(
                        f"{what}: element {len(texts) + 1} is not a string", path=self.path, line=declaration.line
                    )
                )
                return None
            texts.append(text)
        return tuple(texts)

    def _note(self, what: str, tokens: tuple[Token, ...], wanted: str) -> None:
        spelled = _spelled(tokens).decode("utf-8", "replace")[:60]
        message = f"{what} is {spelled!r}, not {wanted}" if spelled else f"{what} is empty, not {wanted}"
        self.findings.append(UNREADABLE_PARAMETER.found(message, path=self.path))


@dataclass(slots=True)
class Macros:
    """The macros of `model_metadata.h` by name without the leading `EI_`; a missing one is None without a finding."""

    values: Values

    def integer(self, name: str, *, lowest: int = 0) -> int | None:
        """The macro's whole number."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.integer(f"EI_{name}", tokens, lowest=lowest)

    def number(self, name: str) -> float | None:
        """The macro's fraction from 0 to 1."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.number(f"EI_{name}", tokens)

    def boolean(self, name: str) -> bool | None:
        """The macro's truth."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.boolean(f"EI_{name}", tokens)

    def text(self, name: str) -> str | None:
        """The macro's string."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.text(f"EI_{name}", tokens)

    def enumerator(self, name: str, enumeration: Enumeration) -> str | None:
        """The macro's enumerator, as our value."""
        tokens = self._tokens(name)
        return None if tokens is None else self.values.enumerator(f"EI_{name}", tokens, enumeration)

    def _tokens(self, name: str) -> tuple[Token, ...] | None:
        text = self.values.macros.get(f"EI_{name}".encode())
        if text is None:
            return None
        scanner, tokens = Scanner(text), []
        while token := scanner.next():
            tokens.append(token)
        return tuple(tokens)


def _spelled(tokens: tuple[Token, ...]) -> bytes:
    """Tokens as text; signs stay with their numbers."""
    text = b""
    for token in tokens:
        blank = text and token.kind != Kind.PUNCTUATION and not text.endswith((b"-", b"+", b"(", b"!", b"~"))
        text += (b" " if blank else b"") + token.text
    return text
