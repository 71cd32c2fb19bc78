"""NVIDIA's own code decided these cases: same objects, order, labels, confidences and metadata, to the last digit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from convert.report import dumps
from convert.simulate.decode import Detected
from convert.simulate.replay import read_recordings, replay
from tests.simulate.vectors import document as as_document
from tests.simulate.vectors import read_settings

if TYPE_CHECKING:
    from pathlib import Path


def _expected(folder: Path) -> dict[str, Any]:
    expected: dict[str, Any] = json.loads((folder / "expected.json").read_text())
    del expected["messages"]  # NVIDIA's words, with line numbers
    return expected


@pytest.mark.parametrize("why", [False, True], ids=["plain", "asked-why"])
def test_a_recorded_case_decodes_as_on_the_device(vectors: Path, recorded_case: str, why: bool) -> None:
    folder = vectors / "outputs" / recorded_case
    settings = read_settings(folder / "config.txt")
    (recording,) = read_recordings(folder, settings)
    document = json.loads(dumps(as_document(replay(settings, recording, why=why))))
    del document["messages"]
    for frame in document["frames"]:
        for extra in ("dropped", "dropped from metadata"):
            frame.pop(extra, None)
    assert document == _expected(folder)


def test_every_candidate_that_is_missing_has_a_reason(vectors: Path) -> None:
    """Objects and dropped candidates together are all that the parser was given."""
    for name, given in (("ssd-per-class", 50), ("ssd-topk", 50), ("ssd-empty-boxes", 10), ("fomo-mode0", 12 * 12 * 2)):
        folder = vectors / "outputs" / name
        settings = read_settings(folder / "config.txt")
        (recording,) = read_recordings(folder, settings)
        for frame in replay(settings, recording, why=True).frames:
            assert isinstance(frame, Detected)
            assert len(frame.objects) + len(frame.dropped) == given, name


def test_what_the_metadata_leaves_out_has_a_reason(vectors: Path) -> None:
    keys: set[str] = set()
    for name in ("filter-class-ids", "filter-min", "filter-max", "filter-roi", "frame-letterbox"):
        folder = vectors / "outputs" / name
        settings = read_settings(folder / "config.txt")
        (recording,) = read_recordings(folder, settings)
        replayed = replay(settings, recording, why=True)
        for frame, attached, dropped in zip(replayed.frames, replayed.metadata, replayed.dropped, strict=True):
            assert isinstance(frame, Detected)
            assert len(frame.objects) == len(attached) + len(dropped), name
            keys |= set(dropped.keys())
    # of the two tests of a small or a large object the width's comes first
    assert keys >= {"filter-out-class-ids", "detected-min-w", "detected-max-w", "roi-top-offset", "roi-bottom-offset"}
