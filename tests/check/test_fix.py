"""--fix and --diff: what is put right, what is left alone, and that it is right afterwards."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convert.check.fixes import FIXABLE, apply, diff, fixed_config, fixes
from convert.check.loading import Models, check_target, load_context, read_config
from convert.check.rules import findings
from convert.check.run import Checker, Fix
from convert.nvinfer.config import read_bytes
from convert.nvinfer.keys import Reason, Verdict, keys
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

_TARGET = check_target("9.1", "dgpu")


def _fixed(folder: Path, text: str | bytes, name: str = "config.txt") -> bytes:
    """The config after --fix."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    check = Checker(_TARGET)
    apply(fixes(check([str(path)])))
    return path.read_bytes()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[property]\nbatch-size=4 # frames\n", "[property]\n# frames\nbatch-size=4\n"),
        ("[property]\n  batch-size = 4   #frames\n", "[property]\n  #frames\n  batch-size = 4\n"),
        ("[property]\nnet-scale-factor=0.5#half\n", "[property]\n#half\nnet-scale-factor=0.5\n"),
        ("[property]\nonnx-file=a b.onnx # model\n", "[property]\n# model\nonnx-file=a b.onnx\n"),
        ("[property]\nnet-scale-factor=0.5 \n", "[property]\nnet-scale-factor=0.5\n"),
        ("[property]\nonnx-file=a.onnx\t \n", "[property]\nonnx-file=a.onnx\n"),
        ('[property]\nonnx-file="a.onnx"\n', "[property]\nonnx-file=a.onnx\n"),
        ("[property]\nonnx-file='a.onnx' # model\n", "[property]\n# model\nonnx-file=a.onnx\n"),
        ("; old\n[property]\n  ;; more\nbatch-size=1\n", "# old\n[property]\n  # more\nbatch-size=1\n"),
        ("// c\n[property]\nbatch-size=1\n", "# c\n[property]\nbatch-size=1\n"),
        ("\ufeff[property]\nbatch-size=1\n", "[property]\nbatch-size=1\n"),
        ("[property]\nnet-scale-factor=1/255\n", "[property]\nnet-scale-factor=0.003921569\n"),
        ("[property]\nnet-scale-factor=0,5\n", "[property]\nnet-scale-factor=0.5\n"),
        ("[property]\nmaintain-aspect-ratio=True\n", "[property]\nmaintain-aspect-ratio=1\n"),
        ("[property]\nbatch-size=4.0\n", "[property]\nbatch-size=4\n"),
        ("[property]\ninfer-dims=3,96,96\n", "[property]\ninfer-dims=3;96;96\n"),
        ("[property]\ninfer-dims=[3, 96, 96]\n", "[property]\ninfer-dims=3;96;96\n"),
        ("[property]\ninfer-dims=1;3;96;96\n", "[property]\ninfer-dims=3;96;96\n"),
        ("[property]\nis-classifier=1\n", "[property]\nnetwork-type=1\n"),
        ("[property]\nis-classifier=1\nnetwork-type=1\n", "[property]\nnetwork-type=1\n"),
        ("[property]\nenable-dbscan=1\n", "[property]\ncluster-mode=1\n"),
        ("[property]\nenable-dbscan=0\n", "[property]\n"),
        ("[property]\ninput-dims=3;96;96;0\n", "[property]\ninfer-dims=3;96;96\n"),
        ("[property]\ninput-dims=3;96;96;1\n", "[property]\ninput-dims=3;96;96;1\n"),
        ("[property]\n[class-attrs-0]\nthreshold=1\n", "[property]\n[class-attrs-0]\nthreshold=1\n"),
        ("[property]\n[class-attrs-all]\nthreshold=1\n", "[property]\n[class-attrs-all]\npre-cluster-threshold=1\n"),
        ("[property]\r\nbatch-size=4 # f\r\n", "[property]\r\n# f\r\nbatch-size=4\r\n"),
        ("[property]\nbatch-size=4 # f", "[property]\n# f\nbatch-size=4"),
        # Not mechanical: nobody knows what was meant.
        ("[property]\nbach-size=4\n", "[property]\nbach-size=4\n"),
        ("[property]\nbatch-size=many\n", "[property]\nbatch-size=many\n"),
        ("[property]\nbatch-size=1\nbatch-size=2\n", "[property]\nbatch-size=1\nbatch-size=2\n"),
        # Not read, so not touched.
        ("[property]\nnetwork-type=1\n[class-attrs-all]\neps=1 # x\n",) * 2,
        ("[tests]\na=1 # b\n[property]\nclassifier-type=C#\n",) * 2,
    ],
)
def test_lines(tmp_path: Path, before: str, after: str) -> None:
    assert _fixed(tmp_path, before) == after.encode()


def test_yaml_values(tmp_path: Path) -> None:
    before = "property:\n  maintain-aspect-ratio: true\n  infer-dims: 3;8;8 # comment\n  net-scale-factor: 1/255\n"
    after = before.replace("true", "1").replace("1/255", "0.003921569")
    assert _fixed(tmp_path, before, "config.yml") == after.encode()


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (1, b"a\nb\nc\n", b"a;b;c"),
        (1, b"a\r\nb\r\n", b"a;b"),
        (1, b"\xef\xbb\xbfa; b ;c", b"a;b;c"),
        (1, b"a;b\r\n", b"a;b\n"),
        (0, b"a;b;c", b"a\nb\nc\n"),
        (0, b"a\r\n b\r\n", b"a\nb\n"),
        (0, b"a\n\nb\n", b"a\n\nb\n"),
        (0, b"a;long name\nb\n", b"a;long name\nb\n"),
    ],
)
def test_label_files(tmp_path: Path, kind: int, before: bytes, after: bytes) -> None:
    (tmp_path / "labels.txt").write_bytes(before)
    _fixed(tmp_path, f"[property]\nnetwork-type={kind}\nlabelfile-path=labels.txt \nnum-detected-classes=3\n")
    assert (tmp_path / "labels.txt").read_bytes() == after


def test_permissions_and_links_stay(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    real.write_text("[property]\nbatch-size=1 # x\n")
    real.chmod(0o640)
    link.symlink_to(real)
    apply(fixes(Checker(_TARGET)([str(link)])))
    assert link.is_symlink()
    assert real.read_text() == "[property]\n# x\nbatch-size=1\n"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_only_what_is_selected_and_not_suppressed(tmp_path: Path) -> None:
    text = "[property]\nbatch-size=1 # x\n# check: ignore NVI004\ninterval=1 # y\ngpu-id=0 \n"
    (tmp_path / "c.txt").write_text(text)
    report = Checker(_TARGET, lambda rule: rule == "NVI004")([str(tmp_path / "c.txt")])
    (fix,) = fixes(report)
    assert fix.new.decode() == text.replace("batch-size=1 # x", "# x\nbatch-size=1")


@pytest.mark.parametrize(
    ("line", "name"),
    [("disable-output-host-copy=1#c", "disable-output-host-copy"), ("enable-dbscan=1 # c", "cluster-mode")],
)
def test_a_value_that_nvinfer_takes_for_0_unnoticed_becomes_what_stands_there(
    line: str, name: str, tmp_path: Path
) -> None:
    text = f"[property]\ngie-unique-id=1\n{line}\n"
    assert read_bytes(text.encode(), "/nowhere/c.txt").values[name] == 0
    (tmp_path / "c.txt").write_text(text)
    report = Checker(_TARGET, lambda rule: rule == "NVI004")([str(tmp_path / "c.txt")])
    (finding,) = (each for file in report.files for each in file.findings if each.id == "NVI004")
    assert "tolerated" not in finding.message
    (fix,) = fixes(report)
    assert read_bytes(fix.new, "/nowhere/c.txt").values[name] == 1


def test_the_diff_can_be_read() -> None:
    shown = diff(Fix("a.txt", b"x\ny \x0c z", b"x\ny"))
    missing = "\\ No newline at end of file\n"
    assert shown == f"--- a/a.txt\n+++ b/a.txt\n@@ -1,2 +1,2 @@\n x\n-y \x0c z\n{missing}+y\n{missing}"
    assert diff(Fix("a", b"\xff\n", b"\xfe\n"))


_TEXT = st.sampled_from(
    ["1", "0", "1 ", "1 # c", "1#c", "0.5", "0.5 ", "0.5 # c", "0,5", "1/255", "true", "True", "yes", "1;2;3",
     "3,8,8", "[1, 2, 3]", "1;3;8;8", '"a"', "'a b' # c", "a.onnx", "a.onnx # c", "a b ", "a\\tb", "", "#", "x#y",
     "é # ü", "\xa0"]
)  # fmt: skip
_LINE = st.one_of(
    st.builds("{}={}".format, st.sampled_from([key.name for key in keys()] + ["unknown"]), _TEXT),
    st.sampled_from(["", "# c", "; c", "[class-attrs-all]", "[class-attrs-0]", "[other]", "text", "// c", "  # c"]),
)


@examples(300)
@example(["enable-dbscan=1", "enable-dbscan=0"], "\n")
@example(["enable-dbscan=0", "enable-dbscan=1"], "\n")
@example(["enable-dbscan=0"], "\r\n")
@example(["disable-output-host-copy=1#c"], "\n")
@example(["enable-dbscan=1 # c"], "\n")
@given(st.lists(_LINE, max_size=12), st.sampled_from(["\n", "\r\n"]))
def test_an_accepted_config_stays_accepted_and_fixing_ends(lines: list[str], ending: str) -> None:
    data = ending.join(["[property]", *lines]).encode()
    before = read_bytes(data, "/nowhere/c.txt")
    rounds = [data]
    for _ in range(20):
        case = load_context(read_config("/nowhere/c.txt", _TARGET, rounds[-1]), _TARGET, Models())
        found = findings(case)
        rounds.append(fixed_config(case, found))
        if rounds[-1] == rounds[-2]:
            break
    assert rounds[-1] == rounds[-2], "it comes to an end"
    after = read_bytes(rounds[-1], "/nowhere/c.txt")
    assert before.verdict is not Verdict.ACCEPTED or after.verdict is Verdict.ACCEPTED
    if before.verdict is Verdict.ACCEPTED:
        # Where nvinfer does not notice that it cannot read a value and takes 0, fixing gives what stands there.
        unread = {problem.key for problem in before.problems if problem.reason is Reason.UNREADABLE}
        unread |= {"cluster-mode"} if "enable-dbscan" in unread else set()
        for name, value in before.values.items():
            if name not in unread and not isinstance(value, str) and name != "class-attrs":
                assert after.values[name] == value or isinstance(value, list), name
    left = {finding.id for finding in found} & {"NVI004", "NVI005", "NVI006"} & FIXABLE
    assert not left
