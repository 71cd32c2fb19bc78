"""Answers as an .eim: on a socket, on standard input, or once for `--print-info`.

The order of tests and the texts are those of Edge Impulse's eim.cpp of 2026. What clients rely on:

- The socket appears by a rename and already listens (the Go client gives up at the first refused connection), and it
  appears before the model is loaded (the Go client waits one second).
- One client is served; then the process ends with 0, or with `keep` waits for the next one.
- SIGINT, SIGTERM and SIGHUP end the process with 128 + number, never while something is made or removed, and nothing
  is left behind.

`Loaded` is the bundle's ONNX model: features in, the result of a classify answer out. Pictures are preprocessed as on
the device: levels 0..255 through the bundle's own preprocessing into the graph. Outputs are decoded by Edge Impulse's
rules, for detectors from the network's raw tensors where the graph still names them, so that scores are those an .eim
gives, whatever the bundle's own outputs are scaled to.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from convert.eim.bundle import Impulse, SampledImpulse, hello
from convert.eim.wire import LIMIT, Features, RequestReader, TooLong, bound, encode, part_of, refuse, remove_leftovers
from convert.errors import ConvertError, InputError, OutputError
from convert.files import dropped_come_again
from convert.heads import head
from convert.heads.base import Rules
from convert.heads.boxes import OUTPUTS
from convert.types import Limits

if TYPE_CHECKING:
    import socket
    from pathlib import Path
    from types import FrameType

    import numpy as np
    from numpy.typing import NDArray

    from convert.images import Framing

_NOT_NUMBERS = "Failed to parse classify array, should contain all numbers"
# EI_IMPULSE_ERROR of returntypes.h
_INFERENCE_FAILED = -3
_DSP_FAILED = -5  # the answer of a picture model to a slice
_UNKNOWN_SETTING = -34


class Classifier(Protocol):
    """Runs the model: `loaded`."""

    def classify(self, features: NDArray[np.float32], threshold: float, /) -> TimedResult:
        """The result for the features of one picture, or one window's samples."""


class Session:
    """Answers the messages of one client.

    A whole impulse that is given slices classifies the last window of them, as `classify` would. That is what it was
    trained on. eim.cpp computes the features slice by slice instead, of MFCC, MFE and spectrograms only, and frames at
    the edges of slices come out otherwise: a keyword model's own executable gave another best label than for the whole
    window in an eighth of all slices. Until a whole window has come all scores are 0, as there.

    Args:
        impulse: the bundle.
        model: runs it.
        memory: the shared memory for features, or why there is none.
        properties: what is said of the engine in the hello answer.
    """

    def __init__(
        self,
        impulse: Impulse | SampledImpulse,
        model: Classifier,
        memory: Features | str,
        properties: tuple[str, ...] = (),
    ) -> None:
        self._impulse = impulse
        self._properties = properties
        self._model = model
        self._memory = memory
        self._threshold = impulse.threshold
        self._greeted = False
        self._debug = False
        self._heard: NDArray[np.float32] | None = None  # of slices, at most a window

    def answer(self, message: bytes, waited: float = 0) -> dict[str, Any]:
        """The answer to one whole message that took `waited` seconds to arrive."""
        start = time.perf_counter()
        request = _parse(message)
        parsed = time.perf_counter()
        number = request.get("id")
        if not _is_int32(number):
            return _error("Missing 'id' field in message")
        self._debug = request.get("debug") is True
        answer = self._handled(request)
        if timing := answer.get("timing"):
            timing |= {
                "anomaly": 0,
                "json": _milliseconds(parsed - start),
                "stdin": _milliseconds(waited),
                "msg_handler": _milliseconds(time.perf_counter() - parsed),
            }
        return {"id": number, **answer}

    def _handled(self, request: dict[str, Any]) -> dict[str, Any]:
        if _is_int32(request.get("hello")):
            return self._hello(request["hello"])
        if not self._greeted:
            return _error("Invalid message, should initialize first")
        for command, count, use in (
            ("classify", self._impulse.features, self._result),
            ("classify_continuous", self._impulse.slice_size, self._slice),
        ):
            if isinstance(values := request.get(command), list):
                return _wrong_numbers(values, command, count) or self._numbers(values, use)
            if isinstance(described := request.get(f"{command}_shm"), dict):
                name = command.replace("classify", "classify_data") + "_shm"  # as errors call it
                return self._wrong_elements(described, name, count) or self._shared(count, use)
        if isinstance(settings := request.get("set_threshold"), dict):
            return self._set_threshold(settings)
        return _error("Failed to handle message")

    def _hello(self, version: int) -> dict[str, Any]:
        if self._greeted:
            return _error("Invalid message 'hello', already initialized")
        if version != 1:
            return _error("Invalid value for 'hello', only 1 supported")
        self._greeted = True
        return hello(self._impulse, self._memory, self._properties)

    def _numbers(self, values: list[Any], classify: Callable[[NDArray[np.float32]], dict[str, Any]]) -> dict[str, Any]:
        import numpy as np  # the server imports it after binding its socket

        try:
            with np.errstate(over="ignore"):
                features = np.array(values, np.float64).astype(np.float32)
        except OverflowError:  # an integer that no double holds
            return _error(_NOT_NUMBERS)
        return classify(features)

    def _shared(self, count: int, classify: Callable[[NDArray[np.float32]], dict[str, Any]]) -> dict[str, Any]:
        assert not isinstance(self._memory, str)
        return classify(self._memory.read()[:count])

    def _slice(self, values: NDArray[np.float32]) -> dict[str, Any]:
        """The last window that ends with the slice `values`."""
        import numpy as np

        impulse = self._impulse
        if not isinstance(impulse, SampledImpulse):
            return _failed(_DSP_FAILED)
        if not impulse.is_sliced:
            slices = f"{impulse.window.slices} slices" if impulse.window.slices > 0 else "a known number of slices"
            return _error(f"'classify_continuous' is not possible: {impulse.window.samples} samples are not {slices}")
        heard = values if self._heard is None else np.concatenate([self._heard, values])
        self._heard = heard[-impulse.features :].copy()
        if len(heard) >= impulse.features:
            return self._result(self._heard)
        nothing: dict[str, Any] = {"classification": dict.fromkeys(impulse.labels, 0.0)} if impulse.labels else {}
        nothing |= {"anomaly": 0.0} if impulse.anomaly else {}
        return {"success": True, "result": nothing, "timing": {"dsp": 0, "classification": 0}}

    def _wrong_elements(self, described: dict[str, Any], name: str, expected: int) -> dict[str, Any] | None:
        if isinstance(self._memory, str):
            return _error(f"Cannot use '{name}', cannot find shm input tensor with ix=0")
        elements = described.get("elements")
        if not _is_int32(elements):
            return _error(f"Missing 'elements' in '{name}'")
        if elements != expected:
            return _error(f"Invalid value for '{name}.elements', expected {expected}, but got {elements}")
        return None

    def _set_threshold(self, settings: dict[str, Any]) -> dict[str, Any]:
        block = settings.get("id")
        if not _is_int32(block):
            return _error("set_threshold should have a numeric field 'id'")
        if block != self._impulse.block:
            return _error(f"set_threshold: cannot find learn block with id {block}")
        for key, value in settings.items():
            if key in {"id", "type"}:
                continue
            if type(value) not in {int, float}:
                return _error(f"set_threshold, value for '{key}' should be numeric")
            if key != "min_score" or not self._impulse.detects:
                return _error(f"set_threshold, setting key '{key}' failed with error {_UNKNOWN_SETTING}")
            self._threshold = float(value)
        return {"success": True}

    def _result(self, features: NDArray[np.float32]) -> dict[str, Any]:
        try:
            answer = self._model.classify(features, self._threshold)
        except ConvertError:
            return _failed(_INFERENCE_FAILED)
        timing = {"dsp": _milliseconds(answer.preparing), "classification": _milliseconds(answer.running)}
        impulse = self._impulse
        if self._debug and not isinstance(impulse, SampledImpulse):  # whose features stay inside the model
            from convert.compare.edge_impulse import unpack  # brings numpy

            values = unpack(features, impulse.height, impulse.width, impulse.channels).ravel() / 255
            _say(f"Features ({timing['dsp']} ms.): {' '.join(f'{value:f}' for value in values)}\nRunning impulse...")
        return {"success": True, "result": answer.result, "timing": timing}


def _parse(message: bytes) -> dict[str, Any]:
    """The object; empty when it is not JSON: the executable, too, then reports a missing id."""
    try:
        # Of members with the same name rapidjson finds the first.
        request = json.loads(
            message.decode("utf-8", "replace"),
            parse_constant=refuse,
            parse_float=_double,
            object_pairs_hook=lambda pairs: dict(reversed(pairs)),
        )
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _double(text: str) -> float:
    value = float(text)
    return refuse(text) if math.isinf(value) else value  # of 1e400 rapidjson, too, refuses the whole message


def _wrong_numbers(values: list[Any], command: str, expected: int) -> dict[str, Any] | None:
    if not set(map(type, values)) <= {int, float}:
        return _error(_NOT_NUMBERS)
    if len(values) != expected:
        return _error(f"Invalid number of features in '{command}', expected {expected} but got {len(values)}")
    return None


def _is_int32(value: Any) -> bool:
    return type(value) is int and -(1 << 31) <= value < 1 << 31


def _error(text: str) -> dict[str, Any]:
    return {"error": text, "success": False}


def _failed(code: int) -> dict[str, Any]:
    return _error(f"Classifying failed, error code was {code}")


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


class _Stopped(BaseException):
    """A signal arrived."""


class Signals:
    """Ends what runs between `arm` and `disarm` when a signal comes.

    Outside, while files and memory are made or removed, a signal is only noted: the official Python client closes its
    connection and sends SIGINT at once, which would interrupt the removal.

    Attributes:
        code: the exit code of the first signal, 0 before any.
    """

    def __init__(self) -> None:
        self.code = 0
        self._armed = self._raised = False

    def arm(self) -> None:
        """Let signals end what follows; a signal noted before does so now."""
        self._armed = True
        if self.code:
            self.take(self.code - 128, None)

    def disarm(self) -> None:
        """Only note signals from now on."""
        self._armed = False

    def take(self, number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        self.code = self.code or 128 + number
        if self._armed and not self._raised:  # the next one must not end the clean-up
            self._raised = True
            raise _Stopped

    def send_again(self) -> None:
        """The first signal once more, because what it raised was lost."""
        self._raised = False
        signal.raise_signal(self.code - 128)  # which may be held back just now


def ending() -> list[signal.Signals]:
    """The signals that end a server; one that is ignored (by nohup, for example) stays so.

    Not SIGINT: official clients send it, also to servers in the background, where shells have it ignored.
    """
    numbers = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    return [each for each in numbers if each is signal.SIGINT or signal.getsignal(each) != signal.SIG_IGN]


@contextlib.contextmanager
def signals_end() -> Iterator[Signals]:
    """SIGINT, SIGTERM or SIGHUP ends the body of the `with` statement while the result is armed."""
    signals = Signals()
    before = {number: signal.signal(number, signals.take) for number in ending()}
    try:
        with contextlib.suppress(_Stopped), dropped_come_again(_Stopped, signals.send_again):
            yield signals
    finally:
        signals.disarm()
        for number, handler in before.items():
            signal.signal(number, handler)


_RUNNER = "Edge Impulse Linux impulse runner - "
_CHUNK = 1 << 20  # bytes a read


def serve_socket(impulse: Impulse | SampledImpulse, path: Path, *, keep: bool = False) -> int:
    """Serve one client (or, with `keep`, one after the other) on a socket at `path`; returns the exit code.

    Raises:
        OutputError: the socket cannot be made.
        ValidationError, InputError: the model cannot be loaded.
    """
    _say(f"{_RUNNER}listening for JSON messages on socket '{path}'")
    code = 0
    with signals_end() as signals, listening(path) as listener, _memory(impulse) as memory:
        _say(f"Waiting for connection on {path}...")
        model, properties = _load(impulse)
        signals.arm()
        while True:
            client, _ = listener.accept()
            if not keep:
                listener.close()  # a second client is refused at once instead of waiting for nothing
            _say("Connected")
            with client:
                session = Session(impulse, model, memory, properties)
                code = _converse(session, partial(client.recv, _CHUNK), partial(_send, client))
            if not keep:
                break
            if not isinstance(memory, str):
                memory.clear()
        signals.disarm()
    return signals.code or code


def serve_stdin(impulse: Impulse | SampledImpulse) -> int:
    """Serve standard input and output: answers end with a line feed and no NUL; a NUL in the input ends it."""
    _say(f"{_RUNNER}listening for JSON messages on stdin")
    code = 0
    with signals_end() as signals, _memory(impulse) as memory:
        model, properties = _load(impulse)
        signals.arm()
        code = _converse(Session(impulse, model, memory, properties), _read_stdin, _write_stdout)
        signals.disarm()
    return signals.code or code


def print_info(impulse: Impulse | SampledImpulse) -> int:
    """Print the hello answer, indented; the memory it names is removed at the end, as the real executable does."""
    _say(f"{_RUNNER}printing model metadata")
    with signals_end() as signals, _memory(impulse) as memory:
        properties = _load(impulse)[1] if impulse.provider else ()
        _write_stdout(encode({"id": 1, **hello(impulse, memory, properties)}, indent=4) + b"\n")
    return signals.code


@contextlib.contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """A listening socket at `path`, which is removed afterwards unless another server has taken it.

    Raises:
        OutputError: it cannot be made, or something that is no socket is in the way.
    """
    with contextlib.suppress(OSError):
        if not stat.S_ISSOCK(path.lstat().st_mode):  # the real executable deletes whatever is there
            raise OutputError(
                "something that is no socket is in the way", path=path, hint="remove it, or choose another name"
            )
    part = part_of(path)
    with bound(part, path) as listener:
        try:
            listener.listen(10)
            mine = part.lstat()
            part.replace(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise OutputError(f"cannot make the socket: {error.strerror}", path=path, hint="choose another") from error
        try:
            yield listener
        finally:
            with contextlib.suppress(OSError):
                if os.path.samestat(mine, path.lstat()):
                    path.unlink()


@contextlib.contextmanager
def _memory(impulse: Impulse | SampledImpulse) -> Iterator[Features | str]:
    """Shared memory for one picture or window, or why there is none."""
    remove_leftovers()
    try:
        memory = Features(impulse.features)
    except OSError as error:
        yield f"shared memory cannot be made: {error.strerror or error}"
        return
    with contextlib.closing(memory):
        yield memory


def _load(impulse: Impulse | SampledImpulse) -> tuple[Classifier, tuple[str, ...]]:
    """The model, and what is said of its engine.

    Call it before signals are armed: an interrupted import looks like a broken library.
    """
    model = loaded(impulse)
    if impulse.provider:
        if model.warning:
            _say(f"WARN: {model.warning}")
        _say(f"Running on ONNX Runtime's {model.provider}")
    return model, (f"onnxruntime {model.provider}",) if impulse.provider else ()


def _converse(session: Session, read: Callable[[], bytes], write: Callable[[bytes], None]) -> int:
    """Answer until the client disconnects; the exit code."""
    reader = RequestReader()
    begun: float | None = None  # when the first bytes of an incomplete message arrived
    try:
        while data := read():
            now = time.perf_counter()
            for message in reader.feed(data):
                write(encode(session.answer(message, now - (begun or now))) + b"\n")
                begun = None
            begun = begun or (now if reader.in_message else None)
    except ConnectionError:
        pass  # the client disconnected
    except TooLong:
        _say(f"Invalid message, received more than {LIMIT} bytes, and no valid JSON message detected")
        return 1
    return 0


def _send(client: socket.socket, line: bytes) -> None:
    client.sendall(line + b"\0")  # in one write: the official Python client wants the NUL last in what it reads


def _read_stdin() -> bytes:
    data = os.read(0, _CHUNK)
    # eim.cpp reads a char at a time and takes 0, and 255 (EOF as a char), for the end.
    ends = [place for place in (data.find(b"\0"), data.find(b"\xff")) if place >= 0]
    if not ends:
        return data
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # the next read is the end
    os.close(nothing)
    return data[: min(ends)] or os.read(0, 1)


def _write_stdout(data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(1, view) :]
    except OSError as error:
        error.add_note("cannot write")
        raise


def _say(text: str) -> None:
    """A line on standard output, as the real executable prints it; the output may be closed."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class TimedResult(NamedTuple):
    """The `result` of a classify answer; seconds of preprocessing and of inference."""

    result: dict[str, Any]
    preparing: float
    running: float


class Loaded:
    """A model that is loaded and has run once.

    Attributes:
        provider: of ONNX Runtime that it runs on.
        warning: of it, as `runtimes.load_on` gives it.

    Raises:
        ValidationError: ONNX Runtime refuses the model.
        InputError: its outputs are not what the bundle's report says.
    """

    def __init__(self, impulse: Impulse) -> None:
        import numpy as np  # as the next ones, takes seconds on a small board: after the socket exists

        from convert.validate import runtimes
        from convert.validate.comparison import with_raw

        self.impulse = impulse
        model = with_raw(impulse.onnx) if impulse.detects else impulse.onnx
        self._session, self.warning = runtimes.load_on(model, impulse.provider, impulse.cache)
        self.provider = str(self._session.get_providers()[0])
        self._names = [output.name for output in self._session.get_outputs()]
        self.answer(np.zeros(impulse.input_size, np.uint8), impulse.threshold)  # the first run is slow, and may fail

    def classify(self, features: NDArray[np.float32], threshold: float, *, as_sdk: bool = False) -> TimedResult:
        """The result for features [height*width].

        Args:
            features: one float32 a pixel, packed.
            threshold: a detector's.
            as_sdk: merge FOMO's cells with the SDK's faults (`convert.heads.fomo`).

        Raises:
            ValidationError: the model fails.
        """
        from convert.compare.edge_impulse import unpack

        start, impulse = time.perf_counter(), self.impulse
        levels = unpack(features, impulse.height, impulse.width, impulse.channels)
        unpacked = time.perf_counter() - start
        result, preparing, running = self.answer(levels, threshold, as_sdk=as_sdk)
        return TimedResult(result, unpacked + preparing, running)

    def answer(self, levels: NDArray[Any], threshold: float, *, as_sdk: bool = False) -> TimedResult:
        """The result for a picture's levels [H,W,C], 0..255, of the size the network takes; see `classify`."""
        from convert.validate import runtimes
        from convert.validate.inputs import as_nvinfer

        start, impulse = time.perf_counter(), self.impulse
        tensor = as_nvinfer(levels[None], impulse.preprocessing)
        prepared = time.perf_counter()
        outputs = dict(zip(self._names, runtimes.run_onnx(self._session, tensor), strict=True))
        if impulse.frames is not None and OUTPUTS[0] in outputs:  # shares of the frame
            outputs[OUTPUTS[0]] = _seen(outputs[OUTPUTS[0]], impulse.frames)
        limits = None
        if impulse.overlap is not None:
            limits = Limits(sys.maxsize if impulse.detections is None else impulse.detections, 0.0, impulse.overlap)
        rules = Rules(
            impulse.labels, threshold, (impulse.height, impulse.width), impulse.metadata.nms_iou,
            as_sdk=as_sdk, limits=limits, coordinates=impulse.coordinates,
        )  # fmt: skip
        result = head(impulse.task).decode_shipped(outputs, rules)
        return TimedResult(result, prepared - start, time.perf_counter() - prepared)


def _seen(boxes: NDArray[np.float32], frames: Framing) -> NDArray[np.float32]:
    """Boxes [1,A,4] (y1, x1, y2, x2) in shares of a whole frame, as shares of the picture that the model saw of it."""
    import numpy as np

    (width, height), (left, top, wide, high) = frames.network, frames.inside
    whole, start, part = (
        np.tile(np.array(pair, np.float32), 2) for pair in ((height, width), (top, left), (high, wide))
    )
    shares: NDArray[np.float32] = (boxes * whole - start) / part
    return shares


def loaded(impulse: Impulse | SampledImpulse) -> Loaded | LoadedSamples:
    """The model of a bundle; raises as the two do."""
    return LoadedSamples(impulse) if isinstance(impulse, SampledImpulse) else Loaded(impulse)


class LoadedSamples:
    """The model of a whole impulse that is loaded and has run once; attributes and errors as `Loaded`."""

    def __init__(self, impulse: SampledImpulse) -> None:
        import numpy as np  # see `Loaded`

        from convert.validate import runtimes

        self.impulse = impulse
        # TensorFloat-32 is too coarse for signal processing; libraries of NVIDIA read this when they are loaded.
        os.environ.setdefault("NVIDIA_TF32_OVERRIDE", "0")
        self._session, self.warning = runtimes.load_on(impulse.onnx, impulse.provider, impulse.cache)
        self.provider = str(self._session.get_providers()[0])
        self._names = [output.name for output in self._session.get_outputs()]
        wanted = {"scores": len(impulse.labels)} if impulse.labels else {}
        wanted |= {"anomaly": 1} if impulse.anomaly else {}
        found = {name: values.shape[-1] for name, values in self.run(np.zeros((1, impulse.features), "f4")).items()}
        if found != wanted:
            raise InputError("the model's outputs are not those that the bundle's report says", hint="convert again")

    def run(self, windows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Of windows [n,L*A] "scores" [n,C] and "anomaly" [n,1], or one of them.

        Raises:
            ValidationError: the model fails.
        """
        from convert.validate import runtimes

        return dict(zip(self._names, runtimes.run_onnx(self._session, windows), strict=True))

    def classify(self, features: NDArray[np.float32], _threshold: float = 0, *, as_sdk: bool = False) -> TimedResult:  # noqa: ARG002
        """The result for a window [L*A]; neither threshold nor `as_sdk` changes it."""
        start = time.perf_counter()
        outputs = self.run(features[None])
        result: dict[str, Any] = {}
        if "scores" in outputs:
            result["classification"] = dict(zip(self.impulse.labels, outputs["scores"][0].tolist(), strict=True))
        if "anomaly" in outputs:
            result["anomaly"] = float(outputs["anomaly"][0, 0])
        return TimedResult(result, 0.0, time.perf_counter() - start)
