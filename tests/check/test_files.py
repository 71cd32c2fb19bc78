"""Files that a config names and that are not on this machine: error, note, or nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from convert.check.loading import Expect, Unreadable, check_target, read_groups
from convert.check.run import Checker
from convert.errors import PresetError
from convert.findings import Level
from convert.report import SCHEMA_VERSION
from tests.check.rules.cases import case_folders, config, expected, lay_out

if TYPE_CHECKING:
    from pathlib import Path

    from convert.findings import Finding

_TARGET = check_target("9.1", "dgpu")
_HEAD = "[property]\ngie-unique-id=1\nnetwork-type=0\nnum-detected-classes=2\nnet-scale-factor=1.0\ncluster-mode=2\n"
_MODEL = "onnx-file=m/yolov8s.onnx\n"
_ALL = (
    _HEAD + _MODEL + "labelfile-path=labels.txt\ncustom-lib-path=parser/lib.so\nparse-bbox-func-name=F\n"
    "network-mode=1\nint8-calib-file=table.bin\n"
)
_FILES = {
    "onnx-file": "m/yolov8s.onnx",
    "labelfile-path": "labels.txt",
    "custom-lib-path": "parser/lib.so",
    "int8-calib-file": "table.bin",
}


def _put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"a\nb\n")


def _absent(folder: Path, text: str = _ALL, files: Expect = Expect.AUTO) -> list[Finding]:
    (folder / "c.txt").write_text(text)
    found = Checker(_TARGET, files=files)([str(folder / "c.txt")]).findings
    return [finding for finding in found if finding.id == "NVI024"]


def _errors(found: list[Finding]) -> set[str]:
    return {finding.message.partition(":")[0] for finding in found if finding.level is Level.ERROR}


def test_one_note_names_all_that_is_not_here(tmp_path: Path) -> None:
    (note,) = _absent(tmp_path)
    assert note.level is Level.NOTE
    assert all(f"{key} {name}" in note.message for key, name in _FILES.items())
    assert "NVI028" in note.message, "a rule about the model"
    assert _absent(tmp_path, files=Expect.IGNORE) == []


@pytest.mark.parametrize(
    ("here", "errors"),
    [
        (["onnx-file"], {"labelfile-path"}),
        (["labelfile-path"], set()),
        (["custom-lib-path", "labelfile-path"], set()),
        (["onnx-file", "custom-lib-path"], {"labelfile-path"}),
        (["onnx-file", "labelfile-path"], {"custom-lib-path"}),
        (["onnx-file", "labelfile-path", "custom-lib-path"], set()),
    ],
)
def test_what_a_folder_with_its_model_lacks_is_an_error(tmp_path: Path, here: list[str], errors: set[str]) -> None:
    _put(tmp_path, *(_FILES[key] for key in here))
    assert _errors(_absent(tmp_path)) == errors


def test_a_library_that_is_built_in_the_folder_may_be_absent(tmp_path: Path) -> None:
    _put(tmp_path, _FILES["onnx-file"], _FILES["labelfile-path"], "parser/Makefile")
    assert not _errors(_absent(tmp_path))


def test_an_engine_stands_for_its_model(tmp_path: Path) -> None:
    _put(tmp_path, "m/e.engine")
    found = _absent(tmp_path, _HEAD + _MODEL + "model-engine-file=m/e.engine\nlabelfile-path=labels.txt\n")
    assert [finding.level for finding in found] == [Level.WARNING, Level.ERROR]


@pytest.mark.parametrize("name", ["labels.txt", "lables.txt", "label.txt", "Labels.txt"])
@pytest.mark.parametrize("there", ["labels.txt", "labels_v2.txt", "peoplenet.txt"])
def test_a_slip_in_a_name_is_an_error(tmp_path: Path, name: str, there: str) -> None:
    _put(tmp_path, there)
    found = _absent(tmp_path, f"{_HEAD}labelfile-path={name}\n")
    assert bool(_errors(found)) == (there == "labels.txt" != name)
    hints = [finding.hint or "" for finding in found if finding.level is Level.ERROR]
    assert all(hint.startswith("write labelfile-path=labels.txt; ") for hint in hints)


def test_a_slip_in_the_models_name_is_an_error_whatever_the_engine(tmp_path: Path) -> None:
    _put(tmp_path, "fruit.onnx")
    text = f"{_HEAD}onnx-file=friut.onnx\nmodel-engine-file=friut.onnx_b1_gpu0_fp32.engine\n"
    assert _errors(_absent(tmp_path, text)) == {"onnx-file"}


@pytest.mark.parametrize("there", ["yolov5s.onnx", "yolov8m.onnx", "yolov8s.engine", "yolov8s.onnx.txt"])
def test_another_model_is_no_slip(tmp_path: Path, there: str) -> None:
    _put(tmp_path, f"m/{there}", "labels.txt")
    assert not _errors(_absent(tmp_path))


def test_all_must_be_there_where_that_is_demanded(tmp_path: Path) -> None:
    assert _errors(_absent(tmp_path, files=Expect.REQUIRE)) == set(_FILES)
    elsewhere = _HEAD + "onnx-file=/nowhere/at/all/m.onnx\nlabelfile-path=/opt/nvidia/deepstream/nowhere/labels.txt\n"
    assert _errors(_absent(tmp_path, elsewhere, Expect.REQUIRE)) == {"onnx-file"}


def test_a_bundle_is_complete(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(f'{{"schema_version": {SCHEMA_VERSION}}}')
    assert _errors(_absent(tmp_path)) == set(_FILES)
    (note,) = _absent(tmp_path, _HEAD + "onnx-file=/nowhere/at/all/m.onnx\n")
    assert note.level is Level.NOTE, "another machine's path"
    (tmp_path / "report.json").write_text('{"tests": 3}')
    assert not _errors(_absent(tmp_path)), "another program's report"


@pytest.mark.parametrize("files", list(Expect))
def test_a_folder_is_no_file_anywhere(tmp_path: Path, files: Expect) -> None:
    (tmp_path / "labels.txt").mkdir()
    assert _errors(_absent(tmp_path, _HEAD + "labelfile-path=labels.txt\n", files)) == {"labelfile-path"}
    assert _errors(_absent(tmp_path, _HEAD + "labelfile-path=\n", files)) == {"labelfile-path"}


@pytest.mark.parametrize("model_here", [True, False])
@pytest.mark.parametrize("one", ["../m/a.onnx", ".././m//a.onnx", "../link/a.onnx", "../c/../m/a.onnx"])
def test_spellings_of_one_path(tmp_path: Path, one: str, model_here: bool) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "m").mkdir()
    (tmp_path / "link").symlink_to("m")
    if model_here:
        _put(tmp_path, "m/a.onnx")
    for engine in ("../m/", "../link/", "./..//m/", f"{tmp_path}/m/"):
        text = f"{_HEAD}onnx-file={one}\nmodel-engine-file={engine}a.onnx_b1_gpu0_fp32.engine\n"
        (tmp_path / "c/c.txt").write_text(text)
        found = Checker(_TARGET)([str(tmp_path / "c/c.txt")]).findings
        assert "NVI023" not in {finding.id for finding in found}


def test_a_library_that_is_not_here_may_build_the_engine(tmp_path: Path) -> None:
    found = Checker(_TARGET)
    text = f"{_HEAD}{_MODEL}model-engine-file=other.engine\n"
    for library, ids in (("", {"NVI023"}), ("custom-lib-path=gone/lib.so\n", set())):
        (tmp_path / "c.txt").write_text(text + library)
        assert {each.id for each in found([str(tmp_path / "c.txt")]).findings} & {"NVI023"} == ids


def test_the_note_names_the_rules_that_needed_the_file(tmp_path: Path) -> None:
    """Without its files, a rule's case has either its finding or the rule in the note."""
    silent = set()
    for folder in case_folders():
        place = tmp_path / folder.name
        place.mkdir()
        lay_out(folder, place)
        for path in place.iterdir():
            if not path.name.startswith("bad.") and path.suffix != ".so":
                path.unlink()
        report = Checker(_TARGET)([str(place / config(folder, "bad"))])
        found = {finding.id: finding.message for finding in report.findings}
        if (
            not expected(folder)["options"]
            and folder.name not in found
            and not _covers(found.get("NVI024", ""), folder.name)
        ):
            silent.add(folder.name)
    # NVI025 compares two files, NVI056, NVI092, NVI093, NVI121, NVI122 are about apps.
    assert silent == {"NVI025", "NVI056", "NVI092", "NVI093", "NVI121", "NVI122"}


def _covers(note: str, rule: str) -> bool:
    ranges = re.findall(r"(NVI\d+)(?: to (NVI\d+))?", note)
    return any(first <= rule <= (last or first) for first, last in ranges)


@pytest.mark.parametrize(
    ("tensorrt", "message"),
    [
        ("ten", "'ten' is no version of TensorRT"),
        ("10.x", "'10.x' is no version of TensorRT"),
        ("1.0", "targets.toml knows nothing of TensorRT 1.0"),
    ],
)
def test_versions_of_tensorrt_that_nothing_is_known_of(tensorrt: str, message: str) -> None:
    with pytest.raises(PresetError) as caught:
        check_target("9.1", "dgpu", tensorrt)
    assert caught.value.message == message
    assert caught.value.hint == ("write it as 10.3 or 8.2.1" if "no version" in message else None)
    assert check_target("9.1", "dgpu", "8.2.1").tensorrt == "8.2.1"


@pytest.mark.parametrize(
    ("data", "form", "said"),
    [
        (b"[a]\nb=1\nc=2\nd=3\n", "ini", ("the file has millions of entries", None, None, False)),
        (b"[a]\n  b\n", "ini", ("the line “  b” is neither a [group], a key=value, nor a # comment", 2, 3, False)),
        (b"a: [1", "yaml", ("the [list] is not closed, or lacks a comma", 1, 6, True)),
        (b"- a\n", "yaml", ("the file is no map of groups", None, None, False)),
        (b"", "yaml", ("the file is no map of groups", None, None, False)),
    ],
)
def test_groups_that_cannot_be_read(data: bytes, form: str, said: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.nvinfer.keyfile.MOST_PAIRS", 2)
    with pytest.raises(Unreadable) as caught:
        read_groups(data, form, "9.1")
    error = caught.value
    assert (str(error), error.line, error.column, error.dies) == said
