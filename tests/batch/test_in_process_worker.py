"""The worker that is no process: what its functions give and raise is what a child's would."""

from __future__ import annotations

import pytest

from convert.errors import TranslationError
from convert.isolation import Failed, InProcessWorker

HERE = "tests.batch.test_in_process_worker"


def double(number: int) -> int:
    return 2 * number


def refuse(reason: str) -> None:
    raise TranslationError(reason, hint="train another model")


def stumble() -> None:
    raise ZeroDivisionError("a mistake of ours")


def test_a_result() -> None:
    with InProcessWorker() as worker:
        assert worker.call(f"{HERE}:double", 21, timeout=1) == 42


def test_an_error_of_ours_stays_what_it_is() -> None:
    with pytest.raises(TranslationError, match="no such layer") as caught:
        InProcessWorker().call(f"{HERE}:refuse", "no such layer", timeout=1)
    assert caught.value.hint == "train another model"


def test_anything_else_is_a_mistake_in_the_program() -> None:
    with pytest.raises(Failed, match="ZeroDivisionError: a mistake of ours") as caught:
        InProcessWorker().call(f"{HERE}:stumble", timeout=1)
    assert "stumble" in caught.value.details
