"""report.json, metadata.json, evidence.json and the ONNX model's metadata_props: written and read here.

All four use one set of names, which `--format json` has too. Nothing written depends on the time, the machine or the
folder of a run: the same input and options give the same bytes. Reading needs neither numpy nor onnx.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, Self

from convert.errors import InputError, PresetError
from convert.files import Output, TableReader, plain, sha256
from convert.images import ANCHORS, CENTRE, Anchor, Frame, Framing, ResizeMode, parse_frame, resizing

if TYPE_CHECKING:
    from convert import types
    from convert.dsp import Impulse
    from convert.findings import Finding

SCHEMA_VERSION = 1
REPORT: Final = "report.json"
METADATA: Final = "metadata.json"
EVIDENCE_SUFFIX: Final = ".evidence.json"

_LARGEST: Final = 2**24  # bytes of a report; it has some thousands
_LARGEST_WINDOW: Final = 10**8  # values; more than any model has, and what a report may not make us hold
_NOT_EVIDENCE: Final = "not the evidence that `ei-deepstream validate -o` writes"


def dumps(document: Any) -> bytes:
    """UTF-8 JSON, two blanks of indent, keys in the order given, a newline at the end.

    A file name that is not UTF-8 (Python keeps its bytes as lone surrogates) makes the document ASCII with escapes.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        return (text + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def export_document(export: types.Export) -> dict[str, Any]:
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
        "metadata": _without(plain(export.metadata), "tracking", "segments"),
    }


def model_document(adapted: types.Adapted) -> dict[str, Any]:
    """The ONNX model as it is shipped, and what nvinfer must do before and after it."""
    return {
        "file": adapted.file,
        "opset": adapted.onnx.opset,
        "input": tensor_document(adapted.onnx.input),
        "outputs": [tensor_document(tensor) for tensor in adapted.onnx.outputs],
        "head": _without(plain(adapted.head), "box"),
        "preprocessing": {
            **plain(adapted.preprocessing),
            "framing": adapted.preprocessing.framing and framing_document(adapted.preprocessing.framing),
        },
        **({"calibrated": adapted.calibrated} if adapted.calibrated else {}),
    }


def _without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """Without those of the entries `names` that say nothing: reports without them are as they were before they came."""
    return {name: value for name, value in document.items() if name not in names or value is not None}


def framing_document(framing: Framing) -> dict[str, Any]:
    """Frame, network and the part of the network's picture that the model sees; sizes are [width, height]."""
    return {
        "frame": str(framing.frame),
        "resize": "graph" if isinstance(framing, resizing.Resizing) else "device",
        "network": list(framing.network),
        "model": list(framing.model),
        "anchor": list(framing.anchor),
        "left": framing.left,
        "top": framing.top,
        "stretch": framing.stretch,
        "seen": framing.seen,
    }


evidence_document = finding_document = output_document = plain
"""An `Evidence`, a `Finding`, an `Output` as a JSON object: every key always present, null where there is nothing."""


def _reported(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as a file of the bundle holds them: of a path only its last part, so that no user's folder is in it."""
    return [
        plain(replace(finding, path=None if finding.path is None else PurePath(finding.path).name))
        for finding in findings
    ]


def tensor_document(tensor: types.Tensor) -> dict[str, Any]:
    """Name, shape (null for a dimension that is not fixed), dtype; quantization where there is one."""
    document: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
    if tensor.scale is not None:
        document |= {"scale": tensor.scale, "zero_point": tensor.zero_point}
    return document


def _whole(models: dict[str, Any], files: Iterable[Output], findings: Iterable[Finding]) -> dict[str, Any]:
    """A bundle's report, around what it says of models."""
    from convert import __version__  # takes as long to find as all of `check`, which only reads

    tool = {"name": "ei-deepstream", "version": __version__}
    ends = {"files": plain(list(files)), "findings": _reported(findings)}
    return {"schema_version": SCHEMA_VERSION, "tool": tool, **models, **ends}


def report_document(
    validated: types.Validated, options: dict[str, Any], files: Iterable[Output], findings: Iterable[Finding]
) -> dict[str, Any]:
    """The whole of a bundle's `report.json`; `files` are named relative to the bundle."""
    return _whole(_model_part(validated, options), files, (*validated.findings, *findings))


def impulse_document(impulse: Impulse) -> dict[str, Any]:
    """Window, blocks and anomaly score of a whole impulse; of what is long only how long it is."""
    anomaly = impulse.anomaly
    scorer = None
    if anomaly is not None:
        kind = "kmeans" if hasattr(anomaly, "radii") else "gmm"
        scorer = {"kind": kind, "block": anomaly.block, "axes": list(anomaly.axes)}
        scorer |= {"clusters": len(anomaly.radii)} if hasattr(anomaly, "radii") else {}
    blocks = [
        {name: plain(getattr(block, name)) for name in ("id", "kind", "version", "axes", "size")}
        | {"values": {name: plain(value) for name, value in block.values.items()}}
        | {"normalised": block.normalisation is not None}
        for block in impulse.blocks
    ]
    names = ("sensor", "samples", "axes", "axis_names", "frequency", "slices")
    return {
        **{name: plain(getattr(impulse, name)) for name in names},
        "blocks": blocks,
        "inputs": list(impulse.inputs),
        "anomaly": scorer,
    }


def impulse_model_document(model: types.ImpulseModel) -> dict[str, Any]:
    """The ONNX model of a whole impulse as it is shipped."""
    return {
        "file": model.file,
        "opset": model.onnx.opset,
        "input": tensor_document(model.onnx.input),
        "outputs": [tensor_document(tensor) for tensor in model.onnx.outputs],
        "labels": list(model.labels),
    }


def impulse_report(
    validated: types.ValidatedImpulse, options: dict[str, Any], files: Iterable[Output], findings: Iterable[Finding]
) -> dict[str, Any]:
    """The whole of `report.json` of a bundle with a whole impulse; `files` are named relative to the bundle."""
    part = {
        "export": export_document(validated.model.export),
        "impulse": impulse_document(validated.model.impulse),
        "model": impulse_model_document(validated.model),
        "evidence": plain(validated.evidence),
        "options": options,
    }
    return _whole(part, files, (*validated.findings, *findings))


def app_report(
    primary: tuple[types.Validated, dict[str, Any]],
    secondary: tuple[types.Validated, dict[str, Any]],
    files: Iterable[Output],
    findings: Iterable[Finding],
) -> dict[str, Any]:
    """The whole of `report.json` of two models in one app, each with its options."""
    parts = {"primary": primary, "secondary": secondary}
    models = {role: {**_model_part(*part), "findings": _reported(part[0].findings)} for role, part in parts.items()}
    return _whole(models, files, findings)


def _model_part(validated: types.Validated, options: dict[str, Any]) -> dict[str, Any]:
    adapted = validated.adapted
    other = adapted.for_objects if options.get("role", "both") == "both" else None
    return {
        "export": export_document(adapted.export),
        "model": model_document(adapted),
        **({"object_model": model_document(other)} if other else {}),
        "evidence": plain(validated.evidence),
        "options": options,
    }


def metadata_json(export: types.Export, findings: Iterable[Finding]) -> bytes:
    """`metadata.json`, which `unpack` writes beside a model; read by `UnpackedModel`."""
    return dumps(
        {
            "schema_version": SCHEMA_VERSION,
            **export_document(export),
            "sha256": sha256(export.model),  # of the file beside it, also where the model was rewritten
            "findings": plain(list(findings)),
        }
    )


def evidence_json(validated: types.Validated) -> bytes:
    """`NAME.evidence.json`, which `validate` writes for a model; read by `read_evidence`."""
    return dumps(
        {
            "schema_version": SCHEMA_VERSION,
            "model_sha256": sha256(validated.adapted.onnx.data),
            **plain(validated.evidence),
        }
    )


@dataclass(frozen=True, slots=True)
class BundleReport:
    """`report.json` of a bundle, read back. Every property raises InputError where the report is damaged.

    Attributes:
        path: what errors name.
        document: the JSON object.
    """

    path: Path
    document: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The report in `folder`; None where there is none.

        Raises:
            InputError: it cannot be read, is no JSON object, or has another version.
        """
        path = folder / REPORT
        try:
            if not path.is_file():
                return None
            if path.stat().st_size > _LARGEST:
                raise InputError(f"{REPORT} is too large to be a bundle's", path=path, hint="convert again")
            return cls.parse(path.read_bytes(), path)
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", path=path, hint="check its rights") from error

    @classmethod
    def parse(cls, data: bytes, path: Path) -> Self:
        """The report in `data`; `path` is what errors name.

        Raises:
            InputError: as `read`.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise _damaged(path).fail(f"{_DAMAGED}: no JSON ({error})") from error
        version = _damaged(path).table(document, _DAMAGED + ": it").get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"the bundle's {REPORT} has version {version!r}, this program reads {SCHEMA_VERSION}",
                path=path, hint="convert again with this version",
            )  # fmt: skip
        return cls(path, document)

    @property
    def models(self) -> tuple[ModelReport, ...]:
        """The model of a bundle, or of an app with two the primary and the secondary one."""
        roles = [role for role in ("primary", "secondary") if role in self.document]
        return tuple(ModelReport(self, self.document[role]) for role in roles) or (ModelReport(self, self.document),)

    @property
    def object_model(self) -> ModelReport | None:
        """Of one model that crops whole frames: the same without the crop, for objects; None where there is none."""
        if "object_model" not in self.document:
            return None
        return ModelReport(self, {**self.document, "model": self.document["object_model"]})

    @property
    def evidence(self) -> Mapping[str, Any] | None:
        """What was measured, as `evidence_document` has it; None for an app with two models."""
        evidence = self.document.get("evidence")
        return evidence if isinstance(evidence, dict) else None

    @property
    def is_impulse(self) -> bool:
        """Whether it is about a whole impulse of sound or sensor data."""
        return "impulse" in self.document

    def refuse_impulse(self) -> None:
        """Raise InputError for the bundle of a whole impulse, which has neither head nor pictures."""
        if self.is_impulse:
            message = "this bundle is a whole impulse of sound or sensor data, and no model of pictures"
            hint = "run `ei-deepstream simulate` with recordings, or see RUN.md in it"
            raise InputError(message, path=self.path, hint=hint)

    def digest(self, file: str) -> str | None:
        """SHA-256 of the file of that name as it was written; None where the report has none."""
        reader = _damaged(self.path)
        files = reader.rows(Output, self.document.get("files"), f"{_DAMAGED}: files")
        return {each.path: each.sha256 for each in files}.get(file)

    def model_of(self, onnx: Path) -> ModelReport | None:
        """The model whose file is `onnx`; None where the report has none of that name.

        Raises:
            InputError: the file has other bytes than the report says, or cannot be read.
        """
        found = next((model for model in (*self.models, self.object_model) if model and model.file == onnx.name), None)
        if found is not None:
            import hashlib  # `check`, which starts often, does without

            try:
                with onnx.open("rb") as file:
                    found.verify(hashlib.file_digest(file, "sha256").hexdigest(), onnx)
            except OSError as error:
                raise InputError(f"cannot be read: {error.strerror}", path=onnx) from error
        return found


_DAMAGED: Final = f"the bundle's {REPORT} is damaged"


def _damaged(path: Path) -> TableReader:
    return TableReader(path, hint="convert again", open=True)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What a bundle's report says of one model. Every property raises InputError where the report is damaged."""

    report: BundleReport
    part: Any

    @property
    def name(self) -> str:
        """What its files are called after: a valid file name."""
        name = self._value(Any, "export", "name")
        if not isinstance(name, str) or not name or "/" in name or "\0" in name:
            raise _damaged(self.report.path).fail(f"the bundle's {REPORT} names no model")
        return name

    @property
    def file(self) -> str:
        """The ONNX file's name; reports before version 0.3.0 do not have it."""
        file = self._value(str | None, "model", "file") or f"{self.name}.onnx"
        if "/" in file or "\0" in file:
            raise _damaged(self.report.path).fail(f"the bundle's {REPORT} names no model")
        return str(file)

    @property
    def source(self) -> str:
        """The export's file name, without folders."""
        return str(self._value(str, "export", "source"))

    @property
    def metadata(self) -> types.Metadata:
        """What the export recorded."""
        return _metadata(self._value(dict[str, Any], "export", "metadata"), self.report.path, "convert again")

    @property
    def input_shape(self) -> tuple[int | None, ...]:
        """[N,C,H,W]; None: not fixed."""
        found: tuple[int | None, ...] = self._value(tuple[int | None, ...], "model", "input", "shape")
        return found

    @property
    def original_shape(self) -> tuple[int | None, ...]:
        """[N,H,W,C] of the model in the export."""
        found: tuple[int | None, ...] = self._value(tuple[int | None, ...], "export", "input", "shape")
        return found

    @property
    def head(self) -> types.Head:
        """How its outputs are decoded."""
        self.report.refuse_impulse()
        from convert import types  # as below: what `check` does without

        found: types.Head = self._value(types.Head, "model", "head")
        _check_task(found.task, _damaged(self.report.path), f"{_DAMAGED}: head")
        return found

    @property
    def preprocessing(self) -> types.Preprocessing:
        """What Gst-nvinfer must do to a frame; without the framing."""
        from convert import types

        values = self._value(dict[str, Any], "model", "preprocessing")
        where = f"{_DAMAGED}: preprocessing"
        return _damaged(self.report.path).row(types.Preprocessing, {**values, "framing": None}, where)

    @property
    def impulse(self) -> Impulse | None:
        """The window of a whole impulse, without its blocks and its anomaly block; None: the model takes pictures."""
        if "impulse" not in self.part:
            return None
        from convert.dsp import Impulse

        reader, where = _damaged(self.report.path), f"{_DAMAGED}: impulse"
        values = {**reader.table(self.part["impulse"], where), "blocks": [], "inputs": [], "anomaly": None}
        found = reader.row(Impulse, values, where)
        if min(found.samples, found.axes, found.frequency) <= 0 or found.samples * found.axes > _LARGEST_WINDOW:
            raise reader.fail(where)
        return found

    @property
    def anomaly(self) -> str | None:
        """What scores anomalies in a whole impulse: "kmeans" or "gmm"; None: nothing does."""
        kind: str | None = (
            self._value(str | None, "impulse", "anomaly", "kind") if self.part["impulse"].get("anomaly") else None
        )
        return kind

    @property
    def labels(self) -> tuple[str, ...]:
        """Of the scores of a whole impulse; () without a network."""
        found: tuple[str, ...] = self._value(tuple[str, ...], "model", "labels")
        return found

    @property
    def resize_mode(self) -> ResizeMode | None:
        """How pictures were brought to size in training."""
        found: ResizeMode | None = self._value(ResizeMode | None, "model", "preprocessing", "resize_mode")
        return found

    @property
    def crop_anchor(self) -> Anchor | None:
        """As `Metadata` has it."""
        found = self._value(tuple[float, ...] | None, "export", "metadata", "crop_anchor")
        _check_anchor(found, _damaged(self.report.path), f"{_DAMAGED}: metadata")
        return found  # type: ignore[no-any-return]

    @property
    def target(self) -> tuple[str, str]:
        """The release ("deepstream-7.1") and the platform it was written for."""
        return str(self._value(str, "options", "target")), str(self._value(str, "options", "platform"))

    def verify(self, digest: str, path: Path) -> None:
        """Raise InputError where the model's file has another SHA-256 than the report says; `path` is what it names."""
        if self.report.digest(self.file) != digest:
            raise InputError(
                f"{self.file} is not the model that {REPORT} describes", path=path,
                hint="convert again; do not mix bundles",
            )  # fmt: skip

    def _value(self, kind: Any, *keys: str) -> Any:
        reader, value, where = _damaged(self.report.path), self.part, _DAMAGED
        for key in keys:
            value = reader.table(value, f"{where}: it" if where == _DAMAGED else where).get(key)
            where = f"{_DAMAGED}: {key}"
        return reader.value(kind, value, where)


@dataclass(frozen=True, slots=True)
class UnpackedModel:
    """`metadata.json` as `unpack` wrote it beside a model.

    Attributes:
        sha256: of the model.
        name: what the model is called; empty: not said.
    """

    sha256: str
    name: str
    _document: Mapping[str, Any]
    _path: Path

    @classmethod
    def parse(cls, data: bytes, path: Path) -> Self | None:
        """The document in `data`; None where it is another program's.

        Raises:
            ValueError, RecursionError: no JSON.
        """
        document = json.loads(data)
        if not isinstance(document, dict) or not isinstance(document.get("sha256"), str):
            return None
        name = document.get("name")
        return cls(document["sha256"], name if isinstance(name, str) else "", document, path)

    @property
    def metadata(self) -> types.Metadata:
        """What the export recorded; raises InputError where it is damaged."""
        values, hint = self._document.get("metadata"), "run unpack again"
        if not isinstance(values, dict):
            raise InputError(f"not a {METADATA} written by `ei-deepstream unpack`", path=self._path, hint=hint)
        return _metadata(values, self._path, f"{hint}, or correct the file")


def _metadata(values: object, path: Path, hint: str) -> types.Metadata:
    from convert import types

    reader = TableReader(path, hint=hint)
    metadata = reader.row(types.Metadata, values, "metadata")
    if metadata.task is not None:
        _check_task(metadata.task, reader, "metadata")
    _check_anchor(metadata.crop_anchor, reader, "metadata")
    return metadata


def _check_anchor(anchor: tuple[float, ...] | None, reader: TableReader, where: str) -> None:
    if anchor not in {None, *ANCHORS}:
        raise reader.fail(f"{where}: crop_anchor must be two of 0, 0.5 and 1, not {list(anchor or ())}")


def _check_task(task: str, reader: TableReader, where: str) -> None:
    from convert.heads import HEADS

    known = [each.id for each in HEADS]
    if task not in known:
        raise reader.fail(f"{where}: task must be one of {', '.join(known)}, not {task!r}")


def read_evidence(path: Path, model: bytes) -> types.Evidence:
    """What `evidence_json` wrote to `path` for the ONNX file `model`.

    Raises:
        InputError: it cannot be read, is something else, or is about another model.
    """
    from convert import types

    hint = "run validate again"
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot be read: {error}", path=path, hint=hint) from error
    table = TableReader(path, hint=hint, open=True).table(document, f"{_NOT_EVIDENCE}: it")
    for name in ("parity", "batch", "tensorrt"):  # those that every version wrote
        if name not in table:
            raise InputError(f"{_NOT_EVIDENCE}: the entry {name!r} is missing", path=path, hint=hint)
    evidence = TableReader(path, hint=hint, open=True).row(types.Evidence, table, _NOT_EVIDENCE)
    if table.get("model_sha256") != sha256(model):
        raise InputError("is the evidence for another model", path=path, hint=hint)
    return evidence


_PREFIX: Final = "ei_deepstream."


@dataclass(frozen=True, slots=True)
class OnnxMetadata:
    """What the ONNX model records of itself in metadata_props, under `ei_deepstream.<field>`. None: not recorded.

    Labels are not among it, and how pictures were resized only where the graph crops them: one network gives one file,
    whatever its export recorded. The bundle's report has the rest (`with_resize_mode`).

    Attributes:
        source_sha256: digest of the model it was made of (`Export.provenance`).
        classes: how many the head has.
        merge, score, coordinates, limits, overlap, threshold, box: as `Head` has them.
        folded: as `Preprocessing` has it.
        frame: the frames it takes whole and crops itself.
        crop: left, top, width and height of what it cuts out, in pixels of its input.
        resize: width and height to which the graph resizes that, or the whole frame, as Edge Impulse's SDK does.
        crop_anchor: as `Metadata` has it; recorded where it is not the centre.
        calibrated: as `Adapted` has it, where it is not 0.
        rounding: of a rewriting in float32, `Int8Agreement.layers`.
    """

    source_sha256: str | None = None
    task: str | None = None
    tool_version: str | None = None
    classes: int | None = None
    merge: str | None = None
    score: str | None = None
    coordinates: str | None = None
    limits: types.Limits | None = None
    overlap: float | None = None
    threshold: float | None = None
    folded: str | None = None
    resize_mode: ResizeMode | None = None
    frame: Frame | None = None
    crop: tuple[int, int, int, int] | None = None
    resize: tuple[int, int] | None = None
    crop_anchor: Anchor | None = None
    box: float | None = None
    calibrated: int | None = None
    rounding: str | None = None

    @property
    def squashes(self) -> bool:
        """Whether the graph squashes whole frames: their shape is then of no matter."""
        return self.resize is not None and self.resize_mode not in {ResizeMode.FIT_SHORTEST, ResizeMode.FIT_LONGEST}

    @property
    def anchor(self) -> Anchor:
        """Which part of a picture a crop keeps."""
        return self.crop_anchor or CENTRE

    @classmethod
    def of(cls, export: types.Export, head: types.Head, before: types.Preprocessing) -> Self:
        """What is recorded in the model of `export`."""
        from convert import __version__

        framing = before.framing
        return cls(
            export.provenance, export.facts.task, __version__, len(head.labels), head.merge, head.score,
            head.coordinates, head.limits, head.overlap, head.threshold, before.folded,
            before.resize_mode if framing else None,
            framing.frame if framing else None,
            framing.cut if framing else None,
            framing.model if isinstance(framing, resizing.Resizing) else None,
            framing.anchor if framing and framing.cut and framing.anchor != CENTRE else None,
            head.box, rounding=export.agreement.layers if export.agreement else None,
        )  # fmt: skip

    @classmethod
    def parse(cls, properties: Mapping[str, str], *names: str, strict: bool = False) -> Self:
        """What `properties`, a model's metadata_props, record. What is not as we write it counts as not recorded.

        Args:
            names: the attributes to read; all, where there are none.
            strict: refuse what is not as we write it.

        Raises:
            ValueError: with `strict`, where there is such a value.
        """
        found: dict[str, Any] = {}
        for field in fields(cls):
            text = properties.get(_PREFIX + field.name)
            if text is not None and (not names or field.name in names):
                try:
                    found[field.name] = _READ.get(field.name, str)(text)
                except (ValueError, PresetError) as error:
                    if strict:
                        raise ValueError(f"{_PREFIX}{field.name}: {text!r}") from error
        return cls(**found)

    def properties(self) -> dict[str, str]:
        """Key and text of all that is recorded."""
        found = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "limits" and value is not None:
                value = (value.detections, value.score, value.overlap)
            if value is not None:
                found[_PREFIX + field.name] = ";".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return found


def _limits(text: str) -> types.Limits:
    from convert import types

    detections, score, overlap = text.split(";")
    return types.Limits(int(detections), float(score), float(overlap))


def _task(text: str) -> str:
    from convert.heads import head

    return head(text).id


def _score(text: str) -> float:
    if not 0 < (value := float(text)) < 1:
        raise ValueError(text)
    return value


def _cells(text: str) -> float:
    if not 1 <= (value := float(text)) < float("inf"):
        raise ValueError(text)
    return value


def _pixels(text: str, count: int) -> tuple[int, ...]:
    if not re.fullmatch(rf"\d{{1,5}}(;\d{{1,5}}){{{count - 1}}}", text, re.ASCII):
        raise ValueError(text)
    return tuple(map(int, text.split(";")))


def _anchor(text: str) -> Anchor:
    x, y = map(float, text.split(";"))
    if (x, y) not in ANCHORS:
        raise ValueError(text)
    return x, y


_READ: Final[Mapping[str, Any]] = {
    "task": _task, "classes": int, "limits": _limits, "overlap": float, "threshold": _score,
    "resize_mode": ResizeMode, "frame": parse_frame,
    "crop": partial(_pixels, count=4), "resize": partial(_pixels, count=2), "crop_anchor": _anchor,
    "box": _cells,
    "calibrated": int,
}  # fmt: skip


def with_resize_mode(path: str | Path, properties: Mapping[str, str]) -> Mapping[str, str]:
    """metadata_props of the model at `path`, with `resize_mode` and `crop_anchor` from the report beside it.

    A model of anyone else's, a folder without a report, and a report of another file give `properties` as they are.
    """
    key = f"{_PREFIX}resize_mode"
    if key in properties or not any(name.startswith(_PREFIX) for name in properties):
        return properties
    try:
        report = BundleReport.read(Path(path).parent)
        model = report and report.model_of(Path(path))
        if not model or not (mode := model.resize_mode):
            return properties
        known = OnnxMetadata(resize_mode=mode, crop_anchor=model.crop_anchor)
    except InputError:
        return properties  # not a report of ours, so nothing is known
    return {**properties, **known.properties()}
