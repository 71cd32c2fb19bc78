"""Batches against single pictures, on graphs that keep the batch and on graphs that do not."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from convert.findings import Finding, Level, Rule
from convert.types import BatchParity
from convert.validate import comparison, runtimes
from tests.validate.tiny import parse

VALUES = np.random.default_rng(3).random((3, 3, 4, 4), np.float32)


def measure(
    graph: str, sizes: tuple[int, ...] = (1, 2, 8), values: Any = VALUES, *, exact: bool = True
) -> tuple[BatchParity | None, tuple[Finding, ...]]:
    session = runtimes.load(parse(graph).SerializeToString())
    alone = [
        np.concatenate(column)
        for column in zip(*(runtimes.run_onnx(session, value[None]) for value in values), strict=True)
    ]
    return comparison.measure(session, values, alone, sizes, exact=exact)


def test_a_graph_that_keeps_the_batch() -> None:
    parity, findings = measure("g (float[N,3,4,4] x_input) => (float[N,3,1,1] y) { y = GlobalAveragePool(x_input) }")
    assert parity == BatchParity((1, 2, 8), 0.0)
    assert findings == ()


def test_pictures_that_mix() -> None:
    parity, findings = measure(
        "g (float[N,3,4,4] x_input) => (float[N,3,4,4] y) {"
        " m = ReduceMean<axes=[0], keepdims=1>(x_input) \n y = Add(x_input, m) }"
    )
    assert parity is not None
    assert parity.sizes == (1, 2, 8)
    assert parity.max_abs_diff > 0.1
    assert [finding.id for finding in findings] == ["EI407", "EI407"]
    for finding, size in zip(findings, (2, 8), strict=True):
        assert re.fullmatch(
            rf"in a batch of {size} outputs differ by up to 0\.\d+ from the same pictures one at a time",
            finding.message,
        )
        assert (finding.level, finding.hint) == (Level.ERROR, Rule("EI407").fix)


def test_a_batch_that_fails(capfd: pytest.CaptureFixture[str]) -> None:
    """A 1 baked into one Reshape and hidden by the next: nothing but running it tells."""
    parity, findings = measure(
        "g (float[N,3,4,4] x_input) => (float[N,48] y) <int64[2] one = {1,48}, int64[2] any = {-1,48}> {"
        " flat = Reshape(x_input, one) \n y = Reshape(flat, any) }"
    )
    assert parity == BatchParity((1,), 0.0)
    assert [finding.id for finding in findings] == ["EI407", "EI407"]
    assert findings[0].message.startswith("ONNX Runtime fails on a batch of 2: ")
    assert capfd.readouterr() == ("", "")


def test_a_batch_that_comes_out_as_one() -> None:
    parity, findings = measure(
        "g (float[N,3,4,4] x_input) => (float[M,3,4,4] y) { y = ReduceMean<axes=[0], keepdims=1>(x_input) }"
    )
    assert parity == BatchParity((1,), 0.0)
    assert findings[0].message == "a batch of 2 comes out as [1, 3, 4, 4]: the batch is not kept"


def test_nothing_ran() -> None:
    graph = "g (float[N,3,4,4] x_input) => (float[M,3,4,4] y) { y = ReduceMean<axes=[0], keepdims=1>(x_input) }"
    parity, findings = measure(graph, (2,))
    assert parity is None
    assert len(findings) == 1


def test_nan_in_batches_only() -> None:
    """0/0 in a batch of two: the second picture less itself."""
    graph = (
        "g (float[N,3,4,4] x_input) => (float[N,3,4,4] y) {"
        " m = ReduceMax<axes=[0], keepdims=1>(x_input) \n n = ReduceMin<axes=[0], keepdims=1>(x_input)"
        " d = Sub(m, n) \n z = Neg(d) \n s = Sqrt(z) \n y = Add(x_input, s) }"
    )
    parity, findings = measure(graph, (1, 2))
    assert parity == BatchParity((1,), 0.0)
    assert [each.message for each in findings] == ["a batch of 2 gives NaN or infinity"]


def _last_of_three(added: str) -> str:
    """A graph that adds `added`, of `n` (0 of one picture alone, else above), to the last one only, if it is white."""
    return (
        "g (float[N,3,4,4] x_input) => (float[N,3,4,4] y) <float one = {1}, float zero = {0}> {"
        " least = ReduceMin<axes=[1,2,3], keepdims=1>(x_input) \n white = Equal(least, one)"
        " m = ReduceMax<axes=[0], keepdims=1>(x_input) \n l = ReduceMin<axes=[0], keepdims=1>(x_input)"
        f" n = Sub(m, l) \n {added} \n added = Where(white, more, zero) \n y = Add(x_input, added) }}"
    )


WITH_WHITE = np.concatenate([VALUES[:2], np.ones_like(VALUES[:1])])


@pytest.mark.parametrize("exact", [True, False])
def test_infinity_of_one_picture(exact: bool) -> None:
    graph = _last_of_three("i = Reciprocal(zero) \n z = Greater(n, zero) \n more = Where(z, i, zero)")
    parity, findings = measure(graph, (1, 3), WITH_WHITE, exact=exact)
    assert parity == BatchParity((1,), 0.0)
    assert [each.message for each in findings] == ["a batch of 3 gives NaN or infinity"]


@pytest.mark.parametrize(("exact", "found"), [(True, 1), (False, 0)])
def test_one_picture_of_three_that_moves(exact: bool, found: int) -> None:
    """Where activations are rounded the middle one counts; what is reported is the largest difference all the same."""
    parity, findings = measure(_last_of_three("more = Identity(n)"), (3,), WITH_WHITE, exact=exact)
    assert len(findings) == found
    assert parity is not None
    assert parity.max_abs_diff > 0.1


@pytest.mark.parametrize(("share", "found"), [(1e-4, 0), (1e-2, 1)])
def test_the_limit_grows_with_the_output(share: float, found: int) -> None:
    """Outputs are near 100, so float32 itself moves them by 1e-5; the others of a batch by about half of `share`."""
    graph = (
        "g (float[N,3,4,4] x_input) => (float[N,3,4,4] y)"
        f" <float hundred = {{100}}, float share = {{{share:.6f}}}> {{"
        " m = ReduceMean<axes=[0], keepdims=1>(x_input) \n t = Mul(m, share) \n"
        " a = Add(x_input, hundred) \n y = Add(a, t) }"
    )
    parity, findings = measure(graph, (2,))
    assert parity is not None
    assert parity.max_abs_diff > 1e-5
    assert len(findings) == found
