"""A converted bundle as an .eim: reads it, describes it in a hello answer, and packs it into one executable file.

A bundle is the folder that `convert` wrote, or a file that `eim pack` made of one. Nothing heavy is imported here: a
server binds its socket before anything else. The hello answer has every field that Edge Impulse's eim.cpp of 2026
sends.

A packed file is a few lines of shell, then a zip of the model and its report; a zip may have anything in front of it,
because its directory is at the end. The lines replace the shell with this program's own interpreter, or with
`ei-deepstream` where that interpreter is missing (the file was copied to another machine): the process that the client
started is the one that answers and gets its signals. Same bundle, same interpreter, same bytes.
"""

from __future__ import annotations

import io
import shlex
import struct
import sys
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from convert.eim.wire import Features, attach
from convert.errors import InputError
from convert.files import Output, TableReader, filled, load_text, sha256, write
from convert.findings import Finding, Rule
from convert.heads import head
from convert.images import Frame, Framing, ResizeMode
from convert.images.resizing import Resizing
from convert.report import REPORT, BundleReport, ModelReport, dumps
from convert.types import DETECTOR_THRESHOLD, Int8Agreement, Metadata, Preprocessing

if TYPE_CHECKING:
    from convert.dsp import Impulse as Window
    from convert.eim.client import ModelInfo

BAD_HELLO = Rule("EI620")
BRACE_IN_LABEL = Rule("EI621")
NO_MEMORY = Rule("EI622")

_BLOCK = 1  # the learn block's id where the export does not record it
_LONGEST = 1 << 16  # pixels a side
_LARGEST = 1 << 30  # bytes of one file of a packed bundle; protobuf cannot hold twice as much
_DAMAGED = f"the bundle's {REPORT} is damaged"
_HINT = "give the folder that `ei-deepstream convert` wrote, or what `ei-deepstream eim pack` made of it"


@dataclass(frozen=True, slots=True)
class _Frames:
    """Of a model that takes whole frames, as the report has it; sizes are width and height."""

    network: tuple[int, ...]
    model: tuple[int, ...]
    resize: str
    anchor: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Impulse:
    """A bundle's model of pictures, and what decides its answers.

    Attributes:
        onnx: the model; input float32 [N,channels,height,width], or of `frames`.
        task: decides how outputs are decoded.
        labels: in class order, without background.
        threshold: a detector's, 0..1.
        block: the learn block's id, by which clients set the threshold.
        overlap, detections: limits of the SSD's own last operator, where they were recorded.
        coordinates: unit of a YOLO's raw boxes: "relative" (0..1) or "pixels".
        frames: of a model that takes whole frames: where in its input the picture lies that it was trained on.
        provider: of ONNX Runtime that it is to run on: "cpu", "cuda" or "tensorrt"; empty: the CPU, without a word.
        cache: folder for TensorRT's engines.
        agreement: of an int8 original with the float32 rewriting of it that this is, as the report has it.
    """

    name: str
    onnx: bytes = field(repr=False)
    task: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    height: int
    width: int
    channels: int
    threshold: float
    block: int
    metadata: Metadata
    overlap: float | None = None
    detections: int | None = None
    coordinates: str | None = None
    frames: Framing | None = None
    agreement: Int8Agreement | None = None
    provider: str = ""
    cache: Path | None = None

    @property
    def features(self) -> int:
        """Numbers in one `classify`: one a pixel."""
        return self.height * self.width

    @property
    def input_size(self) -> tuple[int, int, int]:
        """Height, width and channels of the network's input."""
        if self.frames is None:
            return self.height, self.width, self.channels
        width, height = self.frames.network
        return height, width, 3 if isinstance(self.frames, Resizing) else self.channels

    @property
    def slice_size(self) -> int:
        """Numbers in one `classify_continuous`."""
        return self.features // 4  # EI_CLASSIFIER_SLICES_PER_MODEL_WINDOW

    @property
    def detects(self) -> bool:
        """Whether it answers with boxes."""
        return head(self.task).detects


@dataclass(frozen=True, slots=True)
class SampledImpulse:
    """A bundle's whole impulse of sound or sensor data, and what decides its answers.

    Attributes:
        onnx: the model; input float32 [N,L*A], outputs "scores" [N,C] and "anomaly" [N,1], or one of the two.
        labels: in class order; () without scores.
        window: what it takes; without blocks.
        anomaly: "kmeans" or "gmm"; None: it gives no such score.
        provider, cache, agreement: as `Impulse` has them.
    """

    name: str
    onnx: bytes = field(repr=False)
    labels: tuple[str, ...]
    window: Window
    anomaly: str | None
    metadata: Metadata
    agreement: Int8Agreement | None = None
    provider: str = ""
    cache: Path | None = None
    threshold: ClassVar[float] = 0.0
    block: ClassVar[int | None] = None
    """There is nothing to set."""
    detects: ClassVar[bool] = False

    @property
    def features(self) -> int:
        """Numbers in one `classify`: the window's samples, axes interleaved."""
        return self.window.samples * self.window.axes

    @property
    def slice_size(self) -> int:
        """Numbers in one `classify_continuous`; 0 where the export does not say into how many a window is cut.

        eim.cpp forgets the axes here; it offers slices for microphones only, which have one.
        """
        return self.window.samples // self.window.slices * self.window.axes if self.window.slices > 0 else 0

    @property
    def is_sliced(self) -> bool:
        """Whether slices add up to the window."""
        return self.window.slices > 0 and self.window.samples % self.window.slices == 0


def read_impulse(
    path: Path, *, whole: bool = False, engine: int | None = None, provider: str = ""
) -> Impulse | SampledImpulse:  # fmt: skip
    """The bundle at `path`, folder or packed file.

    Args:
        path: of the bundle.
        whole: take the model for whole frames, of a folder that has one.
        engine: of an app with two models: 1 or 2.
        provider: see `Impulse`.

    Raises:
        InputError: not a bundle, damaged, or its model is not the one its report describes.
    """
    files = bundle_files(path, whole=whole, engine=engine)
    model = _model(files[REPORT], path, whole=whole and path.is_dir(), engine=engine)
    model.verify(sha256(files[model.file]), path)
    recorded = model.metadata
    measured = (model.report.evidence or {}).get("int8_agreement")
    common: dict[str, Any] = {
        "name": model.name,
        "onnx": files[model.file],
        "metadata": recorded,
        "agreement": _reader(path).value(Int8Agreement | None, measured, f"{_DAMAGED}: int8_agreement"),
        "provider": provider,
        "cache": path.absolute().with_name(f"{path.absolute().name}.engines") if provider else None,
    }
    if (window := model.impulse) is not None:
        return SampledImpulse(labels=model.labels, window=window, anomaly=model.anomaly, **common)
    last, shape, frames = model.head, model.input_shape, _frames(model, path)
    if frames:
        plain = model.report.object_model
        channels = recorded.channels or 3 if plain is None else plain.input_shape[1]
        shape = None, channels, frames.model[1], frames.model[0]
    match shape:
        case (_, (1 | 3) as channels, int() as height, int() as width) if (
            last.labels and 1 <= height <= _LONGEST and 1 <= width <= _LONGEST
        ):
            pass
        case _:
            raise InputError(_DAMAGED, path=path, hint="convert again")
    thresholds = last.threshold, recorded.threshold, DETECTOR_THRESHOLD
    return Impulse(
        task=last.task,
        labels=last.labels,
        preprocessing=model.preprocessing,
        height=height,
        width=width,
        channels=channels,
        threshold=next(value for value in thresholds if value is not None),
        block=_BLOCK if recorded.block_id is None else recorded.block_id,
        overlap=last.limits.overlap if last.limits else None,
        detections=last.limits.detections if last.limits else None,
        coordinates=last.coordinates,
        frames=frames,
        **common,
    )


def bundle_files(path: Path, *, whole: bool = False, engine: int | None = None) -> dict[str, bytes]:
    """`report.json` and the model it names: file name -> content; arguments as for `read_impulse`.

    Raises:
        InputError: there is no bundle at `path`.
    """
    try:
        if path.is_fifo():  # opening it would wait for somebody who writes
            raise zipfile.BadZipFile  # noqa: TRY301 - as what is no zip
        if path.is_dir():
            return _from_folder(path, whole=whole, engine=engine)
        with zipfile.ZipFile(path) as packed:
            return _from_zip(packed, path, engine)
    except zipfile.BadZipFile as error:
        raise InputError("not a bundle", path=path, hint=_HINT) from error
    except (OSError, NotImplementedError, RuntimeError, ValueError, EOFError, zlib.error) as error:  # all of zipfile's
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"the bundle cannot be read: {reason}", path=path, hint=_HINT) from error


def _from_folder(folder: Path, *, whole: bool, engine: int | None) -> dict[str, bytes]:
    if not (folder / REPORT).is_file():
        raise InputError(f"the folder holds no {REPORT}", path=folder, hint=_HINT)
    data = (folder / REPORT).read_bytes()
    model = _model(data, folder, whole=whole, engine=engine).file
    if not (folder / model).is_file():
        raise InputError(f"the bundle's {model} is missing", path=folder, hint="convert again")
    return {REPORT: data, model: (folder / model).read_bytes()}


def _from_zip(packed: zipfile.ZipFile, path: Path, engine: int | None) -> dict[str, bytes]:
    def member(name: str) -> bytes:
        if packed.getinfo(name).file_size > _LARGEST:
            raise InputError(f"{name} is too large to be a bundle's", path=path, hint=_HINT)
        return packed.read(name)

    try:
        data = member(REPORT)
        model = _model(data, path, engine=engine).file
        return {REPORT: data, model: member(model)}
    except KeyError as error:
        raise InputError("not a bundle that `eim pack` wrote", path=path, hint=_HINT) from error


def _model(report: bytes, path: Path, *, whole: bool = False, engine: int | None = None) -> ModelReport:
    """The bundle's one model; where it crops whole frames, the one beside it that takes pictures as clients send them.

    Raises:
        InputError: the report is damaged, is that of an app and it is not said which model, or that model takes whole
            frames only.
    """
    read = BundleReport.parse(report, path)
    models = read.models
    if len(models) > 1 and engine is None:
        names = ", ".join(f"{number} is {model.name}" for number, model in enumerate(models, 1))
        raise InputError(f"the bundle is an app with two models: {names}", path=path, hint="say which: --engine 1")
    if not 1 <= (engine or 1) <= len(models):
        raise InputError("the bundle has one model, and no second engine", path=path, hint="leave --engine out")
    model = models[(engine or 1) - 1]
    if model.impulse is not None or whole:
        return model
    if (plain := read.object_model) is None and _frames(model, path):
        raise InputError(
            f"its model {model.file} takes whole frames, and clients of an .eim send pictures of the model's size",
            path=path, hint="convert it alone, with --role both or --role sgie",
        )  # fmt: skip
    return plain or model


def _frames(model: ModelReport, path: Path) -> Framing | None:
    """Of a model that takes whole frames."""
    if not isinstance(model.preprocessing, Preprocessing):  # a damaged report has been refused here
        return None
    value, reader = model.part["model"]["preprocessing"].get("framing"), _reader(path)
    frames = None if value is None else reader.row(_Frames, value, f"{_DAMAGED}: framing")
    if frames is None or frames.network == frames.model:
        return None
    pairs = frames.network, frames.model
    if any(len(pair) != 2 or not 1 <= min(pair) <= max(pair) <= _LONGEST for pair in pairs) or len(frames.anchor) != 2:
        raise reader.fail(f"{_DAMAGED}: framing")
    (width, height), (wide, high), (x, y) = frames.network, frames.model, frames.anchor
    if frames.resize == "graph":
        mode = model.preprocessing.resize_mode or ResizeMode.SQUASH
        return Resizing(Frame(width, height, in_pixels=True), (wide, high), mode=mode, anchor=(x, y))
    return Framing(Frame(width, height, in_pixels=True), (wide, high), anchor=(x, y))


def _reader(path: Path) -> TableReader:
    return TableReader(path, hint="convert again", open=True)


NO_PARAMETER = "Requires one parameter (either: '--print-info', 'stdin' or the name of a socket)"
"""What an .eim prints when it is started without a parameter."""

_CAMERA = 3  # EI_CLASSIFIER_SENSOR_CAMERA
# There is no number for ONNX Runtime. Clients test only for engines that need a first run or special hardware, so what
# is not one of the two TensorFlow Lite engines on a CPU gets the number of the first of them.
_ENGINES = {"tflite": 2, "tflite_full": 4}
_NO_ENGINE = 255  # EI_CLASSIFIER_NONE: anomalies are scored without a network


_SENSORS = ("microphone", "accelerometer", "camera", "9dof", "environmental", "fusion")
_UNKNOWN_SENSOR = 255
"""EI_CLASSIFIER_SENSOR_...: the first is 1."""
_ANOMALIES = {"kmeans": 1, "gmm": 2}  # EI_ANOMALY_TYPE_...


def hello(
    impulse: Impulse | SampledImpulse, memory: Features | str, properties: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The answer to `{"hello": 1}`, without id.

    Args:
        impulse: the model.
        memory: the shared memory for features, or why there is none.
        properties: what is said of the engine.
    """
    recorded = impulse.metadata
    engine = _ENGINES.get((recorded.engine or "").lower(), 2) if impulse.labels else _NO_ENGINE
    return {
        "success": True,
        "project": {
            "id": recorded.project_id or 0,
            "owner": recorded.project_owner or "",
            "name": recorded.project_name or impulse.name,
            "deploy_version": recorded.deploy_version or 0,
            "impulse_id": recorded.impulse_id or 1,
            "impulse_name": recorded.impulse_name or "Impulse #1",
        },
        "model_parameters": {
            "has_object_tracking": False,
            "has_performance_calibration": False,
            "inferencing_engine": engine,
            "input_features_count": impulse.features,
            "label_count": len(impulse.labels),
            "labels": list(impulse.labels),
            "slice_size": impulse.slice_size,
            **(_of_samples(impulse) if isinstance(impulse, SampledImpulse) else _of_pictures(impulse)),
        },
        "inferencing_engine": {"engine_type": engine, "properties": list(properties)},
        **({"features_shm_error": memory} if isinstance(memory, str) else {"features_shm": memory.described()}),
    }


def _of_pictures(impulse: Impulse) -> dict[str, Any]:
    # Never "none": the official Python client raises at it and the Node.js command line ends with an error.
    mode = impulse.preprocessing.resize_mode
    resize = ResizeMode.SQUASH if mode is None or mode is ResizeMode.NONE else mode
    thresholds = []
    if impulse.detects:
        score = struct.unpack("<f", struct.pack("<f", impulse.threshold))[0]  # a `float` in eim.cpp
        thresholds = [{"id": impulse.block, "type": "object_detection", "min_score": score}]
    return {
        "axis_count": 1,
        "frequency": 0,
        "has_anomaly": 0,
        "image_channel_count": impulse.channels,
        "image_input_frames": 1,
        "image_input_height": impulse.height,
        "image_input_width": impulse.width,
        "image_resize_mode": resize.value,
        "interval_ms": 1,
        "model_type": head(impulse.task).model_type,
        "sensor": _CAMERA,
        "thresholds": thresholds,
        "use_continuous_mode": False,
    }


def _of_samples(impulse: SampledImpulse) -> dict[str, Any]:
    window = impulse.window
    sensor = _SENSORS.index(window.sensor) + 1 if window.sensor in _SENSORS else _UNKNOWN_SENSOR
    return {
        "axis_count": window.axes,
        "frequency": int(window.frequency) if window.frequency.is_integer() else window.frequency,
        "has_anomaly": _ANOMALIES.get(impulse.anomaly or "", 0),
        "image_channel_count": 0,
        "image_input_frames": 0,
        "image_input_height": 0,
        "image_input_width": 0,
        "image_resize_mode": "none",
        "interval_ms": 1000 / window.frequency,
        "model_type": "classification",
        "sensor": sensor,
        "thresholds": [],
        # As eim.cpp: for microphones; clients then send slices without being asked to.
        "use_continuous_mode": impulse.is_sliced and window.sensor == "microphone",
    }


def hello_findings(model: ModelInfo, path: Path) -> tuple[Finding, ...]:
    """Faults of a hello answer that the official Python and Node.js clients fail on."""
    wrong = (
        (not model.features, "it does not say how many features it takes"),
        (
            not model.labels and model.kind != "freeform" and not model.parameters.get("has_anomaly"),
            "it names no labels",
        ),
        (not isinstance(model.raw.get("project"), dict), "it names no project; the Node.js command line needs it"),
        (
            model.width and model.features != model.width * model.height,
            f"{model.features} features for a picture of {model.width}x{model.height}",
        ),
    )
    found = [BAD_HELLO.found(message, path=path) for is_wrong, message in wrong if is_wrong]
    found += [
        BRACE_IN_LABEL.found(f"the label {label!r} may be sent with its brace", path=path)
        for label in model.labels
        if label.count("{") != label.count("}")
    ]
    if (offered := model.raw.get("features_shm")) is not None:
        if (memory := attach(offered)) is None:
            found.append(NO_MEMORY.found("the shared memory it offers cannot be opened", path=path))
        else:
            memory.close()
    return tuple(found)


def pack(
    bundle: Path,
    output: Path,
    *,
    interpreter: str | None = None,
    engine: int | None = None,
    provider: str = "",
    standalone: bool = False,
) -> Output:
    """Write the executable.

    Args:
        bundle: folder, or packed file.
        output: file to write.
        interpreter: Python in which this program is installed; default: the one running now.
        engine, provider: see `read_impulse`.
        standalone: put this program's modules into the file; `interpreter`, by default the first python3 on the PATH
            there, then needs numpy and onnxruntime only.

    Raises:
        InputError: there is no sound bundle.
        OutputError: the file cannot be written.
    """
    read_impulse(bundle, engine=engine)  # only what would be served is packed
    files = bundle_files(bundle, engine=engine)
    report = BundleReport.parse(files[REPORT], bundle)
    if len(report.models) > 1:  # of an app the part about this model
        kept = {name: report.document[name] for name in ("schema_version", "tool", "files") if name in report.document}
        files[REPORT] = dumps({**_model(files[REPORT], bundle, engine=engine).part, **kept})
    data = io.BytesIO()
    data.write(header(interpreter or ("python3" if standalone else sys.executable), provider, standalone=standalone))
    if standalone:
        root = Path(__file__).parents[2]
        files |= {str(each.relative_to(root)): each.read_bytes() for each in sorted((root / "convert").rglob("*.py"))}
    with zipfile.ZipFile(data, "a", zipfile.ZIP_DEFLATED) as packed:
        for name in sorted(files, key=lambda name: name == REPORT):  # the report last
            member = zipfile.ZipInfo(name)  # dated 1980, whenever it is made
            member.create_system = 3  # Unix, whatever this runs on
            member.external_attr = 0o644 << 16
            packed.writestr(member, files[name], zipfile.ZIP_DEFLATED)
    return write(output, data.getvalue(), executable=True)


def header(interpreter: str, provider: str = "", *, standalone: bool = False) -> bytes:
    """The shell lines in front of the zip.

    A standalone file is started by a program that older versions of Python can read, to say that they are too old.
    """
    last, option = (f" {provider}", f" --provider {provider}") if provider else ("", "")
    no_parameter, python, program = map(shlex.quote, (NO_PARAMETER, interpreter, load_text("bundle/standalone.txt")))
    values = {"last": last, "option": option, "no_parameter": no_parameter, "interpreter": python, "program": program}
    return filled("bundle/eim.sh", standalone=standalone, **values)
