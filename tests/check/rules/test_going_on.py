"""Behind a value that nvinfer refuses: what does not depend on it is found, what does is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from convert import check
from convert.check.loading import check_target
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


_APP = """[application]
enable-perf-measurement=0
[source0]
enable=1
type=3
uri=file:///opt/a.mp4
num-sources=3
[streammux]
batch-size=3
width=1920
height=1080
[primary-gie]
enable=1
gie-unique-id=1
config-file=p.txt
[secondary-gie0]
enable=1
gie-unique-id=2
operate-on-gie-id=1
config-file=s.txt
"""
_DETECTOR = "[property]\ngie-unique-id=1\nnum-detected-classes=2\nonnx-file=m.onnx\nbatch-size=1\n"
_SECONDARY = "[property]\ngie-unique-id=2\nprocess-mode=2\nnetwork-type=1\nonnx-file=m.onnx\noperate-on-class-ids=5\n"


@pytest.mark.parametrize(
    ("primary", "secondary", "gone"),
    [
        ("net-scale-factor=1/255", "net-scale-factor=1/255", set()),
        ("batch-size=one", "", {"NVI104"}),
        ("", "operate-on-class-ids=five", {"NVI092"}),
        ("num-detected-classes=two", "", {"NVI092", "NVI104"}),  # it decides which keys are read
        ("filter-out-class-ids=x", "", {"NVI092"}),
    ],
)
def test_an_app_goes_on_behind_a_refused_value_of_an_engine(
    tmp_path: Path, primary: str, secondary: str, gone: set[str]
) -> None:
    def ids(primary: str, secondary: str) -> set[str]:
        (tmp_path / "a.txt").write_text(_APP)
        (tmp_path / "p.txt").write_text(f"{_DETECTOR}{primary}\n")
        (tmp_path / "s.txt").write_text(f"{_SECONDARY}{secondary}\n")
        report = Checker(check_target("9.1", "dgpu"))([str(tmp_path / "a.txt")])
        return {each.id for each in report.findings} & {"NVI092", "NVI104"}

    assert ids("", "") == {"NVI092", "NVI104"}
    assert ids(primary, secondary) == {"NVI092", "NVI104"} - gone


@pytest.mark.parametrize("refused", ["batch-size=many", "infer-dims=x;y"])
def test_fix_goes_on_behind_a_refused_value(tmp_path: Path, refused: str) -> None:
    path = tmp_path / "c.txt"
    path.write_text(f"[property]\n{refused}\nis-classifier=1\nmodel-color-format=0 # RGB\nonnx-file=m.onnx \n")
    check(path, fix=True, target="9.1", platform="dgpu")
    fixed = f"[property]\n{refused}\nnetwork-type=1\n# RGB\nmodel-color-format=0\nonnx-file=m.onnx\n"
    assert path.read_text() == fixed
