"""What the tests of translating and adapting share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.export.facts import facts
from convert.graph.adapt import Adapt
from convert.isolation import Worker
from convert.translate import PRELOAD, Translate
from convert.types import Adapted, Export, Metadata, Translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    with Worker(PRELOAD) as worker:
        yield worker


@pytest.fixture(scope="session")
def export() -> Callable[..., Export]:
    """An export from the bytes or the path of a flatbuffer; keywords are its metadata."""

    def make(model: bytes | Path, **metadata: Any) -> Export:
        data = model if isinstance(model, bytes) else model.read_bytes()
        return Export(data, "model", "flatbuffer", "model.lite", "", Metadata(**metadata), facts(data))

    return make


@pytest.fixture(scope="session")
def translated(worker: Worker) -> Callable[[Export], Translated]:
    """The export, translated."""

    def make(export: Export, **options: Any) -> Translated:
        result = Translate(**options, worker=worker)(export, Path()).artifact
        assert isinstance(result, Translated)
        return result

    return make


@pytest.fixture(scope="session")
def adapted(translated: Callable[..., Translated]) -> Callable[[Export], Adapted]:
    """The export, translated and adapted."""

    def make(export: Export, **options: Any) -> Adapted:
        result = Adapt()(translated(export, **options), Path()).artifact
        assert isinstance(result, Adapted)
        return result

    return make
