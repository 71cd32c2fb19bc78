"""Exports to convert, and a scheduler that converts nothing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.batch import Pool
from convert.batch.cache import Cache
from convert.batch.plan import Job, Outcome, State, execute, job
from convert.errors import TranslationError
from convert.files import write_all
from convert.findings import Finding, Level
from convert.isolation import Worker
from convert.translate import PRELOAD as TRANSLATION
from tests.emitted import emitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from convert.pipeline import Event

__all__ = ["emitted"]

ROOT = Path(__file__).resolve().parents[2]
SHAPES = ROOT / "samples" / "models" / "shapes.tflite"
LIBRARY = ROOT / "samples" / "exports" / "fruit-cpp-2022"
ZIP = ROOT / "samples" / "exports" / "shapes-arduino-2025.zip"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """`export("door", b"tail")`: a real model with `tail` behind it, which changes nothing but its digest."""

    def make(name: str, tail: bytes = b"", model: Path = SHAPES) -> Path:
        path = tmp_path / "exports" / f"{name}.tflite"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(model.read_bytes() + tail)
        return path

    return make


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A C++ library, as a folder."""
    return Path(shutil.copytree(LIBRARY, tmp_path / "library"))


@dataclass
class Pretend:
    """A scheduler that writes the export's content as its bundle; an export that says "bad" fails.

    Attributes:
        done: names of the jobs it was given, in order.
        before: called with each job before it is done.
        found: further findings of every job.
    """

    done: list[str] = field(default_factory=list)
    before: Callable[[Job], None] = lambda _job: None
    found: tuple[Finding, ...] = ()

    def __call__(self, jobs: Iterable[Job], observer: Callable[[Job, Event], None]) -> Iterator[Outcome]:
        del observer  # there are no stages
        for each in jobs:
            self.done.append(each.name)
            self.before(each)
            content = each.export.read_bytes() if each.export.exists() else b"bad"
            if content == b"bad":
                yield Outcome(each.name, State.FAILED, 3, 1.0, error=TranslationError("it is bad", hint="mend it"))
                continue
            files = {"m.onnx": content, "build.sh": b"#!/bin/sh\n"}
            outputs = write_all(each.output, files, executables=frozenset({"build.sh"}))
            findings = (
                Finding("EI101", Level.NOTE, "seen", str(each.export), 3, None, "look"),
                Finding("EI5xx", Level.WARNING, "in the bundle", "m.onnx"),
                *self.found,
            )
            summary = (("bundle", "m"), ("task", "classifier"))
            yield Outcome(each.name, State.DONE, 0, 1.0, findings, outputs, summary=summary)


@pytest.fixture
def scheduler() -> Pretend:
    return Pretend()


@pytest.fixture
def job_of(tmp_path: Path) -> Callable[..., Job]:
    """`job_of("door", b"content", opset=13)`: a job with an export that holds `content`, and its folder."""

    def make(name: str, content: bytes | None = b"x", **options: object) -> Job:
        path = tmp_path / "in" / f"{name}.tflite"
        path.parent.mkdir(exist_ok=True)
        if content is not None:
            path.write_bytes(content)
        return job(name, path, tmp_path / "out" / name, options)

    return make


class InThisProcess(Pool):
    """Converts one job after another in this process, with results that other tests had (`tests.children`)."""

    def __call__(self, jobs: Iterable[Job], observer: Callable[[Job, Event], None]) -> Iterator[Outcome]:
        for each in jobs:
            with Worker(TRANSLATION) as worker:
                yield execute(each, worker, partial(observer, each))
