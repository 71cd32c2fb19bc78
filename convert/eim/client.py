"""Talks to an .eim, over a socket or its standard input, and never waits for ever.

Everything has a limit: the start, each answer, the end. A program that dies is reported with how and with the last
it printed. Features go through shared memory where the program offers it.
"""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.eim.framing import AnswerReader, Broken
from convert.eim.link import Closed, Late, Link, opened
from convert.eim.memory import attach
from convert.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from mmap import mmap
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Client", "Limits", "Model", "Refused", "Reply", "talk"]


class Refused(InputError):
    """The program answered with an error; the conversation can go on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: until the program listens, until each answer."""

    start: float = 30.0
    answer: float = 60.0


@dataclass(frozen=True, slots=True)
class Model:
    """What a hello answer says, as far as pictures go.

    Attributes:
        features: numbers in one classify.
        slice: numbers in one classify_continuous, 0 when it does not say.
        labels: in order.
        width, height, channels: 0 for what is no picture model.
        resize_mode: "squash", ...; None from programs older than the field.
        kind: "classification", "object_detection", "constrained_object_detection", ...
        thresholds: id -> what can be set, as it says them.
        raw: the whole answer.
    """

    features: int
    slice: int
    labels: tuple[str, ...]
    width: int
    height: int
    channels: int
    resize_mode: str | None
    kind: str
    thresholds: tuple[dict[str, Any], ...]
    raw: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to classify: result and timing as they came, and seconds from sending to having it."""

    result: dict[str, Any]
    timing: dict[str, Any]
    seconds: float


@contextlib.contextmanager
def talk(target: Path, *, stdio: bool = False, shared: bool = True, limits: Limits | None = None) -> Iterator[Client]:
    """Start the file, or connect to the socket, at `target`; say hello; end it all afterwards.

    Args:
        target: an executable, or the socket of one that runs.
        stdio: start it with its standard input instead of a socket.
        shared: use shared memory where it is offered.
        limits: see `Limits`.

    Raises:
        InputError: it does not start, listen, answer, or answers nonsense.
    """
    limits = limits or Limits()
    with opened(target, limits.start, stdio=stdio) as link:
        client = Client(link, target, limits, shared=shared)
        try:
            yield client
        finally:
            client.close()


class Client:
    """A conversation that has begun: `model` is what the program said of itself.

    Raises:
        InputError: see `talk`.
    """

    def __init__(self, link: Link, target: Path, limits: Limits, *, shared: bool = True) -> None:
        self._link = link
        self._target = target
        self._limits = limits
        self._reader = AnswerReader()
        self._waiting: list[dict[str, Any]] = []
        self._number = 0
        self._memory: mmap | None = None
        # The first answer may have to wait for a model that is still being loaded.
        self.model = _model(self._ask({"hello": 1}, limits.start + limits.answer)[0], target)
        if shared and isinstance(offered := self.model.raw.get("features_shm"), dict):
            link.remember(str(offered.get("name", "")))
            self._memory = attach(offered)

    @property
    def shares(self) -> bool:
        """Whether features go through shared memory."""
        return self._memory is not None

    def classify(self, features: NDArray[np.float32]) -> Reply:
        """Send all features of one picture or window.

        Raises:
            Refused: the program answers with an error.
            InputError: it does not answer.
        """
        return self._classify("classify", features)

    def classify_slice(self, features: NDArray[np.float32]) -> Reply:
        """Send the next slice of a continuous classification; raises as `classify` does."""
        return self._classify("classify_continuous", features)

    def set_threshold(self, block: int, key: str, value: float) -> None:
        """Change a learn block's threshold; raises as `classify` does."""
        self._ask({"set_threshold": {"id": block, key: value}}, self._limits.answer)

    def close(self) -> None:
        """Let go of the memory; the link is the caller's."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _classify(self, command: str, features: NDArray[np.float32]) -> Reply:
        import numpy as np  # noqa: PLC0415 - `eim inspect` does without

        data = np.ascontiguousarray(features, np.float32)
        if self._memory is not None and data.nbytes <= len(self._memory):
            self._memory[: data.nbytes] = data.tobytes()
            message: dict[str, Any] = {f"{command}_shm": {"elements": data.size}}
        else:
            whole = bool((data == np.trunc(data)).all()) and bool((np.abs(data) < 1 << 31).all())
            message = {command: (data.astype(np.int64) if whole else data.astype(np.float64)).tolist()}
        answer, seconds = self._ask(message, self._limits.answer)
        result, timing = answer.get("result"), answer.get("timing")
        if not isinstance(result, dict):
            raise self._nonsense("its answer holds no result")
        return Reply(result, timing if isinstance(timing, dict) else {}, seconds)

    def _ask(self, message: dict[str, Any], seconds: float) -> tuple[dict[str, Any], float]:
        """One question and its answer, which is a success, and how long it took."""
        self._number += 1
        data = json.dumps(message | {"id": self._number}, separators=(",", ":")).encode() + b"\n"
        start = time.monotonic()
        try:
            self._link.send(data, start + seconds)
            answer = self._next(start + seconds)
        except Late:
            raise InputError(
                f"no answer to {next(iter(message))} within {seconds:g} s", path=self._target,
                hint="allow more with --timeout; `eim proxy` shows what is said",
            ) from None  # fmt: skip
        except Closed as error:
            raise InputError(f"the .eim {error}", path=self._target, hint="`eim inspect` may say why") from None
        except Broken as error:
            raise self._nonsense(str(error)) from error
        if answer.get("id", self._number) != self._number:
            raise self._nonsense(f"the answer to message {self._number} has the id {answer.get('id')!r}")
        if answer.get("success") is not True:
            reason = answer.get("error")
            raise Refused(
                f"the .eim answers: {reason if isinstance(reason, str) else 'no success, and no reason'}",
                path=self._target, hint="see the model's parameters with `eim inspect --hello`",
            )  # fmt: skip
        return answer, time.monotonic() - start

    def _next(self, deadline: float) -> dict[str, Any]:
        while not self._waiting:
            self._waiting = self._reader.feed(self._link.receive(deadline))
        return self._waiting.pop(0)

    def _nonsense(self, what: str) -> InputError:
        return InputError(
            what, path=self._target, hint="this is no .eim, or a damaged one; `eim proxy` shows the bytes"
        )


def _model(answer: dict[str, Any], target: Path) -> Model:
    parameters = answer.get("model_parameters")
    if not isinstance(parameters, dict):
        raise InputError("the hello answer holds no model_parameters", path=target, hint="is this an .eim?")

    def number(name: str) -> int:
        value = parameters.get(name, 0)
        return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0

    labels = parameters.get("labels")
    thresholds = parameters.get("thresholds")
    mode, kind = parameters.get("image_resize_mode"), parameters.get("model_type")
    return Model(
        features=number("input_features_count"),
        slice=number("slice_size"),
        labels=tuple(map(str, labels)) if isinstance(labels, list) else (),
        width=number("image_input_width"),
        height=number("image_input_height"),
        channels=number("image_channel_count"),
        resize_mode=mode if isinstance(mode, str) else None,
        kind=kind if isinstance(kind, str) else "classification",  # as the Node.js client assumes
        thresholds=tuple(t for t in thresholds if isinstance(t, dict)) if isinstance(thresholds, list) else (),
        raw=answer,
    )
