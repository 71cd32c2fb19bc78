"""One warm child process for all tests of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.isolation import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def worker() -> Iterator[Worker]:
    """The process LiteRT runs in."""
    with Worker(("convert.validate.runtimes",)) as child:
        yield child
