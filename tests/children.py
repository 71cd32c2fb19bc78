"""Child processes of `convert.isolation` that the next `Worker` of this test run takes over.

A conversion in this process starts a child, which imports ONNX and tf2onnx for 0.6 s (but see `tests.forking`) and
then works for 0.1 s; there are hundreds of conversions. A child is kept only after calls that all gave a result, and is
given only to a worker that would start the same one: same modules, environment and folder. Results are kept, too: what
a stage gives for a model and options that another test had, in any process of pytest-xdist, is computed again only in
tests with the fixture `anew`. `tests/test_isolation.py` and every command that is run as a process of its own use
children that nobody keeps.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import isolation
from convert.graph.adapt import Adapt
from convert.isolation import Worker
from convert.validate import Validate, WithFraming
from tests.forking import Forked, Forker, arguments_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

_MOST = 4  # children kept at a time: each holds up to 200 MiB
_TRANSLATION = "convert.translate.worker:"
_FRAMES = "tests.frames"  # what a child keeps besides
_AGREEMENT = "convert.agreement:"
_COMPARISON = "convert.compare.run:compare_bundle"
_STAGE = "convert.isolation:_apply"

Key = tuple[object, ...]
Child = tuple[Any, int, int]  # as `Worker` has them: the process, the pipe, its stderr


@dataclass
class Children:
    """Replaces methods of `Worker`, so that `close` keeps the child and `start` takes one that was kept.

    Attributes:
        results: a folder for those of calls, which all processes of pytest-xdist share.
        active: children are kept and taken, and results of calls, too.
        idle: the kept ones, the oldest first.
    """

    results: Path
    active: bool = True
    idle: list[tuple[Key, Child]] = field(default_factory=list)
    _keys: dict[int, Key] = field(default_factory=dict)  # by process id, of the children that may be kept
    _forkers: dict[bool, Forker] = field(default_factory=dict)  # with and without tf2onnx
    _starting: threading.Lock = field(default_factory=threading.Lock)
    _end: Any = field(default=None, init=False)

    def install(self, patch: pytest.MonkeyPatch) -> None:
        start, begin, call, close, kill = Worker.start, Worker.begin, Worker.call, Worker.close, Worker.kill
        self._end = close

        def started(worker: Worker) -> Worker:
            if worker._process is None:
                key = _key(worker)
                if self.active and (child := self._taken(key)):
                    worker._process, worker._answers, worker._stderr = child
                # A child dies with the thread that started it; one with modules of a test may do anything.
                elif threading.current_thread() is threading.main_thread() and _ours(worker):
                    given, worker.preload = worker.preload, (*worker.preload, _FRAMES)
                    try:
                        start(worker)
                    finally:
                        worker.preload = given
                    assert worker._process is not None
                    self._keys[worker._process.pid] = key
                else:
                    start(worker)
            return worker

        def begun(worker: Worker, function: str, *arguments: Any, **options: Any) -> None:
            kept = self._kept(worker, function, arguments, options)
            if kept is None or not kept.exists() or worker._begun is not None:
                begin(worker, function, *arguments, **options)

        def called(worker: Worker, function: str, *arguments: Any, **options: Any) -> Any:
            kept = self._kept(worker, function, arguments, options)
            if kept is not None and kept.exists() and worker._begun is None:
                result = pickle.loads(kept.read_bytes())
                if function.endswith("best_rewriting") and arguments[-1]:
                    options["told"](result[0])  # of `best_rewriting`: what it is likely to be
                return result
            started(worker)
            assert worker._process is not None
            pid = worker._process.pid
            key = self._keys.pop(pid, None)
            result = call(worker, function, *arguments, **options)
            # Without a preload the first translation decides whether TensorFlow or our stub of it is there; what a
            # function of a test leaves behind nobody knows.
            unchanged = function.startswith("convert.") and (worker.preload or not function.startswith(_TRANSLATION))
            if key is not None and unchanged:
                self._keys[pid] = key
            if kept is not None:
                with tempfile.NamedTemporaryFile(dir=self.results, delete=False) as file:
                    file.write(pickle.dumps(result))
                Path(file.name).replace(kept)
            return result

        def closed(worker: Worker) -> None:
            process = worker._process
            key = None if process is None else self._keys.pop(process.pid, None)
            unfinished = worker._begun is not None
            if process is None or key is None or unfinished or not self.active or process.poll() is not None:
                close(worker)
                return
            os.ftruncate(worker._stderr, 0)
            os.lseek(worker._stderr, 0, os.SEEK_SET)
            self.idle.append((key, (process, worker._answers, worker._stderr)))
            worker._process = None
            if len(self.idle) > _MOST:
                self._ended(self.idle.pop(0)[1])

        def killed(worker: Worker) -> None:
            if worker._process is not None:
                self._keys.pop(worker._process.pid, None)
            kill(worker)

        for name, method in (
            ("start", started),
            ("begin", begun),
            ("call", called),
            ("close", closed),
            ("kill", killed),
        ):
            patch.setattr(Worker, name, method)

    def fork(self, patch: pytest.MonkeyPatch) -> None:
        """Children are forks of a process that has imported the libraries (`tests.forking`)."""
        program = isolation._Child

        def started(command: Sequence[str], **options: Any) -> Any:
            _, _, later, *preload = arguments_of(command)
            ours = all(name.startswith(("convert.", "tests.")) for name in (*later.split(), *preload))
            if not self.active or not ours:
                return program(command, **options)
            translation = any(name.startswith(_TRANSLATION) for name in preload)
            with self._starting:
                if translation not in self._forkers:
                    self._forkers[translation] = Forker(*["translation"] * translation)
            return Forked(self._forkers[translation], command, **options)

        patch.setattr(isolation, "_Child", started)

    def _kept(self, worker: Worker, function: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Path | None:
        """Where the result of such a call is.

        None for calls of other functions, those of a test's own modules, and where pictures are read, which may change.
        """
        if not (self.active and _ours(worker)):
            return None
        given: object = arguments
        if function.startswith(_AGREEMENT):
            from convert import agreement  # brings NumPy

            named = inspect.signature(getattr(agreement, function.removeprefix(_AGREEMENT))).bind(*arguments).arguments
            fed = named.pop("fed")  # how pictures are brought to size does not matter without them
            given = fed.shape, fed.scaling, sorted(named.items())
        elif function == _COMPARISON:
            config, *others = arguments
            given = config.name, {path.name: path.read_bytes() for path in sorted(config.parent.iterdir())}, others
        elif function == _STAGE and isinstance(arguments[0], Adapt | Validate | WithFraming):
            given = arguments[:-1]  # none of these stages writes into its folder
        elif not (function.startswith(_TRANSLATION) and worker.preload) or isinstance(arguments[0], str):
            return None  # large models travel as a path
        limits = {name: limit for name, limit in options.items() if name != "told"}
        key = pickle.dumps((function, given, limits, tuple(worker.preload)))
        return None if b"pathlib" in key else self.results / hashlib.sha256(key).hexdigest()

    def _taken(self, key: Key) -> Child | None:
        for place, (kept, child) in reversed(list(enumerate(self.idle))):
            if kept == key:
                del self.idle[place]
                if child[0].poll() is None:
                    self._keys[child[0].pid] = key
                    return child
                self._ended(child)
        return None

    def _ended(self, child: Child) -> None:
        worker = Worker()
        worker._process, worker._answers, worker._stderr = child
        self._end(worker)

    def end(self) -> None:
        """End those that are idle."""
        while self.idle:
            self._ended(self.idle.pop()[1])
        while self._forkers:
            self._forkers.popitem()[1].end()


def _ours(worker: Worker) -> bool:
    return all(name.startswith("convert.") for name in (*worker.preload, *worker.later))


def _key(worker: Worker) -> Key:
    environment = frozenset((name, value) for name, value in os.environ.items() if not name.startswith("PYTEST_"))
    modules = (*worker.preload, "later", *worker.later)
    return modules, tuple(sys.path), environment, os.getcwd()  # noqa: PTH109 - a string will do
