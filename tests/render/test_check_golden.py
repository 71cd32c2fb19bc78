"""What `check` prints in every format, whole: findings, suppressed ones, a file that cannot be read, fixes.

Made anew by `python -m tests.render.test_check_golden`: read the difference before it is committed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock
from xml.etree import ElementTree as ET

from convert import __version__
from convert.__main__ import main
from convert.check.loading import check_target
from convert.check.run import Checker
from convert.render import machine

if TYPE_CHECKING:
    import pytest

GOLDEN = Path(__file__).with_name("golden") / "check.txt"
FILES = {
    "bad.txt": (
        "[property]\ngie-unique-id=1 # the first\nnetwork-type=0\nnum-detected-classes=3\nnet-scale-factor=1.0\n"
        "cluster-mode=2\nintervall=3\nonnx-file='m.onnx'\nlabelfile-path=l.txt\n[class-attrs-all]\n"
        "pre-cluster-threshold=1.5\n"
    ),
    "quiet.txt": (
        "[property]\n# check: ignore NVI021 NVI051\ngie-unique-id=2\nnetwork-type=100\noutput-tensor-meta=1\n"
    ),
    "wrong.yml": "property:\n  gie-unique-id: 1\n  batch-size: many\n",
    "l.txt": "a\nb\n",
    "build.sh": "#!/bin/sh\ntrtexec --onnx=m.onnx --workspace=100 --skipInference\n",
}
RUNS = (
    ["bad.txt"], ["bad.txt", "--format", "json"], ["bad.txt", "--format", "junit"], ["bad.txt", "--format", "sarif"],
    ["bad.txt", "--fail-on", "note", "-q"], ["."], ["quiet.txt", "--fail-on", "warning"], ["wrong.yml", "gone.txt"],
    ["wrong.yml", "gone.txt", "quiet.txt", "--format", "json"], ["gone.txt", "--format", "junit"],
    ["gone.txt", "bad.txt", "--format", "sarif", "--target", "6.2", "--platform", "jetson"],
    ["bad.txt", "--fix"], ["bad.txt"],
)  # fmt: skip


COLOURED = (
    ["check", "bad.txt"], ["check", "quiet.txt", "--target", "6.0.1"], ["explain", "NVI014"], ["explain", "EI101"],
    ["explain", "NVI001"],
)  # fmt: skip
"""On a terminal of 60 columns."""


def lines() -> str:
    told = []
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, text in FILES.items():
            Path(name).write_text(text)
        os.chmod("build.sh", 0o755)  # noqa: PTH101 - of the current folder
        for words in RUNS:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = main(["check", *words])
            text = out.getvalue()
            if "junit" in words:
                text = ET.canonicalize(text).replace("><", ">\n<") + "\n"
            if "sarif" in words:  # which lists every rule that there is
                document = json.loads(text)
                (run,) = document["runs"]
                driver = run["tool"]["driver"]
                for result in run["results"]:  # the index, which every new rule moves, leads to the result's rule
                    assert driver["rules"][result.pop("ruleIndex")]["id"] == result["ruleId"]
                driver["rules"] = driver["rules"][:1]
                text = json.dumps(document, indent=1) + "\n"
            errors = "".join(f"! {line}\n" for line in err.getvalue().splitlines())
            told.append(f"$ check {' '.join(words)}  # exit code {code}\n{text}{errors}")
        Path("bad.txt").write_text(FILES["bad.txt"])
        with mock.patch.dict(os.environ, {"FORCE_COLOR": "1", "COLUMNS": "60", "TERM": "xterm", "NO_COLOR": ""}):
            for words in COLOURED:
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    code = main(words)
                text = out.getvalue().replace("\x1b", "^")
                told.append(f"$ {' '.join(words)}  # on a terminal, exit code {code}\n{text}")
        place = re.escape(str(Path(folder).resolve()))
    return re.sub(rf"{place}|{re.escape(folder)}", "<dir>", "\n".join(told)).replace(f'"{__version__}"', '"<version>"')


def test_check() -> None:
    assert lines() == GOLDEN.read_text(encoding="utf-8")


def test_millions_of_classes_are_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_MOST_CLASSES", 3)
    path = tmp_path / "c.txt"
    for count, shown in ((3, 3), (4, 3)):
        path.write_text(f"[property]\ngie-unique-id=1\nnum-detected-classes={count}\n")
        document = machine.check_document(Checker(check_target("9.1", "dgpu"))([str(path)]), 0)
        assert document["files"][0]["values"]["num-detected-classes"] == count
        assert len(document["files"][0]["values"]["class-attrs"]) == shown


if __name__ == "__main__":
    GOLDEN.write_text(lines(), encoding="utf-8")
