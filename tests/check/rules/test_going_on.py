"""Behind a value that nvinfer refuses: what does not depend on it is found, what does is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert.check.context import check_target
from convert.check.run import Checker

_TEXT = """[property]
gie-unique-id=1
network-type=1
labelfile-path=l.txt
onnx-file=m.onnx
net-scale-factor=1.0
classifier-threshold=0.5
symmetric-padding=1
"""


def _ids(folder: Path, text: str) -> set[str]:
    (folder / "l.txt").write_text("a;b")
    (folder / "c.txt").write_text(text)
    return {finding.id for finding in Checker(check_target("9.1", "dgpu"))([str(folder / "c.txt")]).findings}


@pytest.mark.parametrize(
    ("old", "new", "refused", "gone"),
    [
        ("symmetric", "batch-size=many\nsymmetric", "NVI002", {"NVI023"}),  # the engine's name has the batch
        ("symmetric", "batch-size 4\nsymmetric", "NVI001", {"NVI023"}),
        ("net-scale-factor=1.0", "net-scale-factor=1/255", "NVI002", set()),
        ("classifier-threshold=0.5", "classifier-threshold=half", "NVI002", set()),
        ("symmetric", "[class-attrs-x]\ntopk=3\n[property]\nsymmetric", "NVI002", set()),
    ],
)
def test_what_is_clear_is_found(tmp_path: Path, old: str, new: str, refused: str, gone: set[str]) -> None:
    before = _ids(tmp_path, _TEXT)
    assert {"NVI014", "NVI023"} <= before
    after = _ids(tmp_path, _TEXT.replace(old, new, 1))
    # Nothing is said of a key that is written, as if it were not.
    assert after - {"NVI011"} in ((before - gone) | {refused}, (before - gone))


@pytest.mark.parametrize(
    "text",
    [
        _TEXT.replace("network-type=1", "network-type=classifier"),  # decides which keys are read
        _TEXT.replace("[property]", "[properties]"),
        _TEXT.replace("[property]", "[property"),
    ],
)
def test_what_hangs_on_it_is_not_guessed(tmp_path: Path, text: str) -> None:
    assert _ids(tmp_path, text) <= {"NVI001", "NVI002", "NVI010"}
