"""`check` on the command line: exit codes, formats, fixes, start-up, bad input."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Said

ROOT = Path(__file__).resolve().parents[2]
_FINE = """[property]
gie-unique-id=1
network-type=100
output-tensor-meta=1
net-scale-factor=1.0
onnx-file=/elsewhere/m.onnx
model-engine-file=/elsewhere/m.onnx_b1_gpu0_fp32.engine
# check: ignore-file NVI024
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config without findings, one with a warning, one that is refused."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fine.txt").write_text(_FINE)
    (tmp_path / "odd.txt").write_text(_FINE + "interwal=3\n")
    (tmp_path / "refused.txt").write_text(_FINE + "batch-size=0\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["fine.txt"], 0),
        (["fine.txt", "--fail-on", "note"], 0),
        (["odd.txt"], 0),
        (["odd.txt", "--fail-on", "warning"], 1),
        (["odd.txt", "--fail-on", "warning", "--ignore", "NVI009"], 0),
        (["odd.txt", "--fail-on", "note", "--select", "NVI01"], 0),
        (["refused.txt"], 1),
        (["."], 1),
        (["fine.txt", "missing.txt"], 3),
        ([], 2),
        (["fine.txt", "--format", "yaml"], 2),
        (["fine.txt", "--target", "deepstream-4.0"], 2),
        (["fine.txt", "--target", "jetson"], 2),
        (["fine.txt", "--jetpack", "6.2"], 0),
        (["fine.txt", "--jetpack", "6"], 2),
        (["fine.txt", "--jetpack", "6.2", "--target", "6.2"], 2),
        (["fine.txt", "--platform", "orin"], 2),
        (["fine.txt", "--select", "NVX"], 3),
        (["fine.txt", "--tensorrt-version", "ten"], 2),
        (["fine.txt", "--tensorrt-version", "3.0"], 2),
    ],
)
@pytest.mark.parametrize("format_", ["text", "json", "junit", "sarif"])
def test_exit_codes_do_not_depend_on_the_format(
    folder: Path, say: Callable[..., Said], arguments: list[str], code: int, format_: str
) -> None:
    assert folder.exists()
    chosen = [] if "--format" in arguments else ["--format", format_]
    said = say("check", *arguments, *chosen)
    assert said.code == code
    assert not code or said.err or said.out


def test_the_document_of_a_folder(folder: Path, say: Callable[..., Said]) -> None:
    document = say("check", folder, "--format", "json").document
    verdicts = {Path(file["path"]).name: file["verdict"] for file in document["files"]}
    assert verdicts == {"fine.txt": "accepted", "odd.txt": "accepted", "refused.txt": "rejected"}
    values = {Path(file["path"]).name: file["values"] for file in document["files"]}
    assert values["fine.txt"]["gie-unique-id"] == 1
    assert values["fine.txt"]["class-attrs"] == []
    assert values["refused.txt"] == {}


def test_targets_differ(folder: Path, say: Callable[..., Said]) -> None:
    (folder / "vic.txt").write_text(_FINE + "scaling-compute-hw=2\nwarmup-engine=1\n")
    found = {}
    for target, platform in (("9.1", "dgpu"), ("9.1", "jetson"), ("deepstream-6.2", "jetson")):
        document = say("check", "vic.txt", "--target", target, "--platform", platform, "--format", "json").document
        found[target, platform] = [finding["id"] for finding in document["findings"]]
    assert found == {("9.1", "dgpu"): ["NVI002"], ("9.1", "jetson"): [], ("deepstream-6.2", "jetson"): ["NVI013"]}


def test_formats_are_what_they_say(folder: Path, say: Callable[..., Said]) -> None:
    assert json.loads(say("check", folder, "--format", "sarif").out)["version"] == "2.1.0"
    assert ET.fromstring(say("check", folder, "--format", "junit").out).tag == "testsuites"
    text = say("check", folder).out
    assert "odd.txt:9:1" in text
    assert "^^^^^^^^" in text
    assert "write interval=" in text


def test_fix_and_diff(folder: Path, say: Callable[..., Said]) -> None:
    path = folder / "c.txt"
    before = _FINE.replace("network-type=100", "network-type=100 # other")
    path.write_text(before)
    shown = say("check", "c.txt", "--diff")
    assert path.read_text() == before, "--diff alone writes nothing"
    assert "-network-type=100 # other\n+# other\n+network-type=100\n" in shown.out
    document = say("check", "c.txt", "--diff", "--format", "json").document
    assert [fix["path"] for fix in document["fixes"]] == ["c.txt"]
    assert "+network-type=100" in document["fixes"][0]["diff"]
    done = say("check", "c.txt", "--fix", "--diff")
    assert done.out.startswith("--- a/c.txt")
    assert "fixed c.txt" in done.out
    assert done.out.index("--- a/c.txt") < done.out.index("fixed")
    assert path.read_text() == before.replace("network-type=100 # other", "# other\nnetwork-type=100")
    again = say("check", "c.txt", "--fix")
    assert "fixed" not in again.out
    assert again.code == 0


@pytest.mark.parametrize("format_", ["text", "json", "junit", "sarif"])
@pytest.mark.parametrize("options", [["--diff"], ["--diff", "-q"], ["--fix"], ["--fix", "-q"], ["--fix", "--diff"], []])
def test_fixes_are_shown_in_text_and_json(
    folder: Path, say: Callable[..., Said], options: list[str], format_: str
) -> None:
    before = _FINE.replace("network-type=100", "network-type=100 # other")
    (folder / "c.txt").write_text(before)
    said = say("check", "c.txt", *options, "--format", format_)
    assert said.err == ""
    assert ((folder / "c.txt").read_text() != before) == ("--fix" in options)
    if format_ == "text":
        assert said.out.startswith("--- a/c.txt\n") == ("--diff" in options)
        assert said.out.endswith("fixed c.txt\n") == ("--fix" in options and "-q" not in options)
        assert ("NVI" in said.out) == (options == [])
    elif format_ == "junit":
        assert ET.fromstring(said.out).tag == "testsuites"
    else:
        document = json.loads(said.out)
        assert [each["path"] for each in document.get("fixes") or []] == ["c.txt"] * (
            format_ == "json" and bool(options)
        )


def test_a_gate_that_is_not_installed_says_how(
    folder: Path, say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert folder.exists()
    monkeypatch.setattr("convert.validate.runtimes.find_spec", lambda _: None)
    said = say("check", "fine.txt", "--tensorrt")
    assert said.code == 3
    assert f'{sys.executable} -m pip install "ei-deepstream[tensorrt]"' in said.err


@pytest.mark.parametrize("model", [False, True])
def test_nothing_heavy_is_imported(folder: Path, *, model: bool) -> None:
    """Even with labels and findings to show, and a model, whose metadata needs a little more."""
    (folder / "labels.txt").write_text("a;b")
    (folder / "m.onnx").write_bytes(b"\x08\x07\x3a\x04\x0a\x02\x22\x00")
    text = "[property]\nnetwork-type=1\nlabelfile-path=labels.txt\ninterwal=1\n" + "onnx-file=m.onnx\n" * model
    (folder / "c.txt").write_text(text)
    heavy = {
        "onnx", "onnxruntime", "numpy", "PIL", "tf2onnx", "ai_edge_litert", "rich", "google", "junitparser",
        *(() if model else ("importlib.metadata", "json", "tempfile", "subprocess")),
    }  # fmt: skip
    assert all(importlib.util.find_spec(name) for name in heavy), "a name that nobody has proves nothing"
    code = (
        "import sys; from convert.__main__ import main; code = main(['check', 'c.txt']);"
        f"print(sorted({heavy} & set(sys.modules)), code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder, env=environment
    )
    assert done.stdout.splitlines()[-1] == "[] 1"
    assert not done.stderr


@pytest.mark.parametrize("name", ["binary", "fifo", "folder", "loop", "missing", "null", "model"])
@pytest.mark.parametrize("format_", ["text", "json"])
def test_bad_input_is_one_sentence(tmp_path: Path, say: Callable[..., Said], name: str, format_: str) -> None:
    path = tmp_path / "x.txt"
    if name == "binary":
        path.write_bytes(bytes(range(256)) * 100)
    elif name == "fifo":
        os.mkfifo(path)
    elif name == "folder":
        path.mkdir()
    elif name == "loop":
        path.symlink_to(path)
    elif name == "null":
        path = Path("/dev/null")
    elif name == "model":
        path = tmp_path / "x.onnx"
        path.write_bytes(b"")
    said = say("check", path, "--format", format_)
    assert said.code == (1 if name in {"binary", "null"} else 3)
    if format_ == "json":
        (file,) = said.document["files"]
        assert (file["verdict"] == "rejected") == (said.code == 1)
        assert bool(file["error"]) == (said.code == 3)
    assert ("error:" in said.err) == (said.code == 3)


def test_names_that_are_no_text(tmp_path: Path, say: Callable[..., Said]) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff.txt")
    path.write_text("[property]\nonnx-file=m.onnx\n")
    for format_ in ("text", "json", "sarif", "junit"):
        assert say("check", path, "--format", format_).code == 1


@pytest.mark.slow
def test_a_converted_sample_has_no_findings(
    say: Callable[..., Said], exports: list[Path], convert: Callable[..., Path], emitted: Callable[..., Path]
) -> None:
    detectors = [each for each in exports if each.stem in {"table-fomo-2025", "table-yolov5-2025"}]
    assert len(detectors) == 2
    batches = [emitted(each, "--batch-size", "4") for each in (exports[0], *detectors)]
    for folder in (*map(convert, exports), *batches):
        said = say("check", folder, "--target", "7.1", "--platform", "jetson", "--onnxruntime", "--format", "json")
        assert said.code == 0
        assert said.document["findings"] == []
        assert len(said.document["files"]) == 5
