"""What an .eim answers to each message of one client: the order of tests and the words of eim.cpp of 2026."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Protocol

from convert.eim.hello import hello, slice_size
from convert.errors import ConvertError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convert.eim.impulse import Impulse
    from convert.eim.memory import Features
    from convert.eim.model import Answer

__all__ = ["Classifier", "Dialogue"]

_NO_ID = {"error": "Missing 'id' field in message", "success": False}
_NOT_NUMBERS = "Failed to parse classify array, should contain all numbers"
# EI_IMPULSE_ERROR of returntypes.h
_INFERENCE_FAILED = -3
_DSP_FAILED = -5  # what a picture model says to a slice of one
_UNKNOWN_SETTING = -34


class Classifier(Protocol):
    """What computes: `convert.eim.model.Loaded`."""

    def classify(self, features: NDArray[np.float32], threshold: float) -> Answer:
        """The result for one picture's features."""


class Dialogue:
    """One client's conversation.

    Args:
        impulse: what answers.
        model: computes.
        memory: the shared memory for features, or why there is none.
    """

    def __init__(self, impulse: Impulse, model: Classifier, memory: Features | str) -> None:
        self._impulse = impulse
        self._model = model
        self._memory = memory
        self._threshold = impulse.threshold
        self._greeted = False

    def answer(self, message: bytes, waited: float = 0) -> dict[str, Any]:
        """The answer to one whole message that took `waited` seconds to arrive."""
        start = time.perf_counter()
        request = _parse(message)
        parsed = time.perf_counter()
        number = request.get("id")
        if not _is_int32(number):
            return dict(_NO_ID)
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
        for command, kind, handle in (
            ("classify", list, self._classify),
            ("classify_shm", dict, self._classify_memory),
            ("classify_continuous", list, self._continuous),
            ("classify_continuous_shm", dict, self._continuous_memory),
            ("set_threshold", dict, self._set_threshold),
        ):
            if isinstance(request.get(command), kind):
                answer: dict[str, Any] = handle(request[command])
                return answer
        return _error("Failed to handle message")

    def _hello(self, version: int) -> dict[str, Any]:
        if self._greeted:
            return _error("Invalid message 'hello', already initialized")
        if version != 1:
            return _error("Invalid value for 'hello', only 1 supported")
        self._greeted = True
        return hello(self._impulse, self._memory)

    def _classify(self, values: list[Any]) -> dict[str, Any]:
        import numpy as np  # noqa: PLC0415 - the server imports it after binding its socket

        if wrong := _wrong_numbers(values, "classify", self._impulse.features):
            return wrong
        try:
            with np.errstate(over="ignore"):
                features = np.array(values, np.float64).astype(np.float32)
        except OverflowError:  # an integer that no double holds
            return _error(_NOT_NUMBERS)
        return self._result(features)

    def _classify_memory(self, described: dict[str, Any]) -> dict[str, Any]:
        if wrong := self._wrong_elements(described, "classify_data_shm", self._impulse.features):
            return wrong
        assert not isinstance(self._memory, str)
        return self._result(self._memory.read())

    def _continuous(self, values: list[Any]) -> dict[str, Any]:
        wrong = _wrong_numbers(values, "classify_continuous", slice_size(self._impulse))
        return wrong or _failed(_DSP_FAILED)

    def _continuous_memory(self, described: dict[str, Any]) -> dict[str, Any]:
        wrong = self._wrong_elements(described, "classify_data_continuous_shm", slice_size(self._impulse))
        return wrong or _failed(_DSP_FAILED)

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
            if not _is_number(value):
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
        return {"success": True, "result": answer.result, "timing": timing}


def _parse(message: bytes) -> dict[str, Any]:
    """The object; empty when it is not JSON, which makes the executable miss the id, too."""
    try:
        request = json.loads(message.decode("utf-8", "replace"), parse_constant=_refuse, object_pairs_hook=_first_wins)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _refuse(word: str) -> None:
    """NaN and Infinity, which Python's reader takes and rapidjson does not."""
    raise ValueError(word)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of members with the same name rapidjson finds the first."""
    return dict(reversed(pairs))


def _wrong_numbers(values: list[Any], command: str, expected: int) -> dict[str, Any] | None:
    if not set(map(type, values)) <= {int, float}:
        return _error(_NOT_NUMBERS)
    if len(values) != expected:
        return _error(f"Invalid number of features in '{command}', expected {expected} but got {len(values)}")
    return None


def _is_int32(value: Any) -> bool:
    return type(value) is int and -(1 << 31) <= value < 1 << 31


def _is_number(value: Any) -> bool:
    return type(value) is int or type(value) is float


def _error(text: str) -> dict[str, Any]:
    return {"error": text, "success": False}


def _failed(code: int) -> dict[str, Any]:
    return _error(f"Classifying failed, error code was {code}")


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
