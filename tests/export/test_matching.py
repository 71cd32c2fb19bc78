"""Which model a block's configuration runs, by every form of naming it, and how a list shows an entry."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from convert.export.models import Candidate, ListedModel, _match, describe, line
from convert.export.parameters import Block, Recorded
from convert.types import Metadata

if TYPE_CHECKING:
    from collections.abc import Sequence


def array(symbol: str, header: str = "", namespace: str = "") -> Candidate:
    """A model as a C array."""
    place = f"tflite-model/{header or symbol}.h"
    return Candidate("F1", place, place, symbol, namespace)


def compiled(symbol: str) -> Candidate:
    place = f"tflite-model/{symbol}_compiled.h"
    return Candidate("E3", place, place, symbol)


def plain(name: str) -> Candidate:
    return Candidate("flatbuffer", name, name)


def block(*names: str, number: int | None = None, **metadata: Any) -> Block:
    return Block(Metadata(block_id=number, **metadata), frozenset(names))


def matched(blocks: Sequence[Block], candidates: Sequence[Candidate], *includes: str) -> tuple[list[Any], list[str]]:
    """For each candidate the number of its block, None where it has none, and whether it is used; the missing."""
    found, missing = _match(Recorded(tuple(blocks), includes, ()), candidates)
    numbers = [next((n for n, each in enumerate(blocks) if each is found[i][0]), None) for i in range(len(candidates))]
    return [(number, found[index][1]) for index, number in enumerate(numbers)], missing


A, B = array("tflite_learn_5"), array("tflite_learn_6")
OLD, BLOCK_5, BLOCK_6 = block(), block("tflite_learn_5", number=5), block("tflite_learn_6", number=6)


@pytest.mark.parametrize(
    ("blocks", "candidates", "includes", "expected", "missing"),
    [
        # Blocks are described: by name.
        ([BLOCK_5], [A], (), [(0, True)], []),
        ([BLOCK_5], [A, B], (), [(0, True), (None, False)], []),
        ([BLOCK_5, BLOCK_6], [B, A], (), [(1, True), (0, True)], []),
        ([BLOCK_5, BLOCK_6], [A, array("leftover")], (), [(0, True), (None, False)], []),
        ([BLOCK_5], [], (), [], []),
        ([block("tflite_learn_5_len", "x")], [], (), [], ["tflite_learn_5"]),
        ([block("tflite_a_init", "tflite_b_len", "trained_c_invoke")], [], (), [], ["tflite_b"]),
        ([block("trained_c_invoke", "other_len")], [], (), [], ["trained_c"]),
        # Compiled functions, and the same model in its other form.
        ([block("tflite_learn_5_init")], [compiled("tflite_learn_5"), B], (), [(0, True), (None, False)], []),
        ([block("tflite_learn_5_invoke")], [compiled("tflite_learn_5")], (), [(0, True)], []),
        ([block("tflite_learn_5_reset")], [compiled("tflite_learn_5")], (), [(0, True)], []),
        ([block("tflite_learn_5_init")], [A, array("tflite_learn_51")], (), [(0, True), (None, False)], []),
        ([block("tflite_learn_51_init")], [A], (), [(None, False)], ["tflite_learn_51"]),
        ([block("tflite_learn_5_1_init")], [A], (), [(None, False)], ["tflite_learn_5_1"]),
        # A plain file only is called so.
        ([BLOCK_5], [plain("tflite_learn_5.tflite")], (), [(0, True)], []),
        ([BLOCK_5], [plain("tflite_learn_5.tflite"), A], (), [(0, False), (0, True)], []),
        # Several arrays of one name: by namespace, then by numbers at the end of the file's name or the namespace.
        ([block("trained", "i2::trained")], [array("trained", "a", "i1"), array("trained", "b", "i2")], (),
         [(None, False), (0, True)], []),
        ([block("trained", project_id=9, impulse_id=2)],
         [array("trained", "m_9_1"), array("trained", "m_9_2"), array("trained", "m_2")], (),
         [(None, False), (0, True), (None, False)], []),
        ([block("trained", project_id=9, impulse_id=2)], [array("trained", "m_1"), array("trained", "m_2")], (),
         [(None, False), (0, True)], []),
        ([block("trained", number=7)], [array("trained", "a", "n_6"), array("trained", "b", "n_7")], (),
         [(None, False), (0, True)], []),
        ([block("trained", number=8)], [array("trained", "a"), array("trained", "b")], (),
         [(0, True), (0, True)], []),
        # By the header that is included.
        ([block("x")], [A, B], ("tflite-model/tflite_learn_6.h",), [(None, False), (0, True)], []),
        ([block("x", number=6)], [A, B], ("t/tflite_learn_5.h", "t/tflite_learn_6.h"), [(None, False), (0, True)], []),
        ([block("x", number=6), block("y", number=5)], [A, B], ("t/tflite_learn_6.h",), [(None, False), (0, True)],
         []),
        ([block("x", number=7), block("y", number=5)], [A, B], ("t/tflite_learn_6.h",),
         [(None, False), (None, False)], []),
        # Blocks are not described.
        ([OLD], [A, B], ("tflite-model/tflite_learn_6.h",), [(0, False), (0, True)], []),
        ([OLD], [A, B], (), [(0, True), (0, True)], []),
        ([], [A], (), [(None, True)], []),
        ([block(compiled=True)], [A, compiled("b")], (), [(0, False), (0, True)], []),
        ([block(compiled=False)], [A, compiled("b")], (), [(0, True), (0, False)], []),
        ([block(compiled=True)], [A, B], (), [(0, True), (0, True)], []),
    ],
)  # fmt: skip
def test_which_block_runs_which_model(
    blocks: list[Block], candidates: list[Candidate], includes: tuple[str, ...], expected: list[Any], missing: list[str]
) -> None:
    assert matched(blocks, candidates, *includes) == (expected, missing)


FACTS: Any = SimpleNamespace(task="fomo", quantization="int8", input=SimpleNamespace(shape=(None, 96, None, 3)))


@pytest.mark.parametrize(
    ("candidate", "metadata", "options", "expected"),
    [
        (A, {}, {}, "tflite_learn_5 (cannot be read) in tflite-model/tflite_learn_5.h"),
        (plain("m.tflite"), {"sensor": "CAMERA"}, {}, "m.tflite (cannot be read, CAMERA)"),
        (replace(A, facts=FACTS), {"impulse_id": 2}, {},
         "tflite_learn_5, impulse 2 (fomo, int8, input 96x?x3) in tflite-model/tflite_learn_5.h"),
        (replace(plain("m"), facts=FACTS), {"impulse_id": 2, "impulse_name": "Two", "project_name": "p"},
         {"used": False}, "m, impulse 2 'Two' (fomo, int8, input 96x?x3, not in use)"),
        (replace(plain("m"), facts=FACTS), {"project_name": "p"}, {}, "m, project 'p' (fomo, int8, input 96x?x3)"),
    ],
)  # fmt: skip
def test_lines(candidate: Candidate, metadata: dict[str, Any], options: dict[str, Any], expected: str) -> None:
    entry = ListedModel(3, candidate, Block(Metadata(**metadata)), **{"used": True, **options})
    assert line(entry) == expected
    assert describe([entry]) == f"  3. {expected}"


def test_an_anomaly_detector_is_called_so() -> None:
    entry = ListedModel(1, replace(plain("m"), facts=FACTS), Block(Metadata(), anomaly=True), used=True)
    assert line(entry) == "m (anomaly, int8, input 96x?x3)"


def test_long_lists_are_cut() -> None:
    entries = [ListedModel(number, plain(f"m{number}"), None, used=True) for number in range(1, 23)]
    shown = describe(entries).splitlines()
    assert shown[-2:] == ["  20. m20 (cannot be read)", "  ... and 2 more"]
    assert len(describe(entries[:20]).splitlines()) == 20
