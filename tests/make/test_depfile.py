"""The rule that --depfile writes: what is in it, and that make understands it."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.__main__ import main
from convert.errors import OutputError
from convert.files import Reads, escaped, recording, rule, write
from tests.examples import examples

NAMES = st.text(st.sampled_from(list("ab.-_,@+!{}'\"<>`^ #$:%*?[]=~()\u00e9")), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."} and not name.endswith((")", " "))
)


def _make(folder: Path) -> str:
    done = subprocess.run(
        ["make", "--no-print-directory", "out"], cwd=folder, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + (folder / "rules.mk").read_text()
    assert done.stderr == ""
    return done.stdout


@examples(25)
@given(st.sets(NAMES, min_size=1, max_size=6), st.data())
def test_make_sees_every_file(names: set[str], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = [f"d/{name}" if inside else name for name, inside in ((n, data.draw(st.booleans())) for n in names)]
        files = [name for name in files if name not in {"out", "rules.mk", "Makefile", "d"}]
        (folder / "d").mkdir()
        (folder / "Makefile").write_text("out: ; @touch $@ && echo made\ninclude rules.mk\n")
        (folder / "rules.mk").write_bytes(rule("out", files, ["d"]))
        for name in files:
            (folder / name).touch()
        for path in [*folder.rglob("*"), folder]:
            os.utime(path, (1000, 1000))
        assert "made" in _make(folder)
        os.utime(folder / "out", (2000, 2000))
        assert "made" not in _make(folder)
        changed = data.draw(st.sampled_from([*files, "d"]))
        os.utime(folder / changed, (3000, 3000))
        assert "made" in _make(folder)
        os.utime(folder / "out", (4000, 4000))
        assert "made" not in _make(folder)
        if changed != "d":
            (folder / changed).unlink()  # a file that is gone is no error, and a reason to run again
            os.utime(folder / "d", (1000, 1000))
            assert "made" in _make(folder)


@pytest.mark.parametrize("name", ["a;b", "a|b", "a&b", "a\\b", "a\nb", "a\tb", "a ", "lib(member)"])
def test_what_make_cannot_express_is_refused(name: str) -> None:
    with pytest.raises(OutputError, match="make cannot express"):
        escaped(name)


def test_a_target_with_a_percent_sign_is_no_pattern() -> None:
    assert rule("50%", ["25%"]) == b"50\\%: \\\n  25%\n\n25\\%:\n"


def test_names_that_are_no_text_stay_as_they_are() -> None:
    name = os.fsdecode(b"gr\xf6\xdfe.h")
    assert b"gr\xf6\xdfe.h" in rule("out", [name])


def test_reads_and_writes_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("input", "same", "gone", "changed"):
        Path(name).write_bytes(b"1")
    with recording() as reads:
        Path("input").read_bytes()
        os.close(os.open(b"input", os.O_RDONLY))
        (tmp_path / "gone").read_bytes()
        Path("gone").unlink()
        with Path("changed").open("r+b") as file:
            file.write(b"2")
        write(tmp_path / "same", b"1")  # is read, and found as it should be
        write(tmp_path / "new", b"1")
        Path("/proc/self/status").read_bytes()
    (tmp_path / "later").write_bytes(b"")
    (tmp_path / "later").read_bytes()
    assert reads.files() == ["input"]


def test_folders_count_below_those_that_were_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("library/sub", "library/out", "library-2"):
        (tmp_path / name).mkdir(parents=True)
    with recording() as reads:
        reads.folders.append("library")
        for name in ("library", "library/sub", "library/out", "library-2", "."):
            list(os.scandir(name))
            os.listdir(name)  # noqa: PTH208 - another event than scandir's
        write(tmp_path / "library" / "out" / "result", b"1")
    assert reads.listings() == ["library", "library/sub"]


def test_nothing_is_raised_while_it_listens() -> None:
    reads = Reads()
    for arguments in ((7, "rb", 0), (None, None, 0), ("a\0b", "r", 0), (b"\xff", None, os.O_WRONLY)):
        reads.note("open", arguments)
    reads.note("os.listdir", (None,))
    assert reads.files() == []


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def test_unpack_names_what_it_read(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = SAMPLES / "exports" / "fruit-cpp-2022"
    (work / "labels.list").write_text("a\nb\nc\nd\ne\n")
    words = ["unpack", str(export), "-o", "out", "--labels", "labels.list", "-q", "--depfile", "out/fruit.tflite.d"]
    assert main(words) == 0, capsys.readouterr().err
    text = (work / "out" / "fruit.tflite.d").read_text()
    first = text.split("\n\n")[0].replace(" \\\n ", "").split()
    assert first[0] == "out/fruit.tflite:"
    assert "labels.list" in first
    assert f"{export}/tflite-model/tflite-trained.h" in first
    assert f"{export}/tflite-model/." in first
    assert not any("CMakeLists" in name or "out/" in name or name.endswith(".py") for name in first[1:])
    before = (work / "out" / "fruit.tflite.d").read_bytes()
    assert main(words) == 0  # now every result is there already and is compared
    assert (work / "out" / "fruit.tflite.d").read_bytes() == before


def test_convert_names_what_it_read(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = SAMPLES / "exports" / "fruit-cpp-2022"
    (work / "labels.list").write_text("a\nb\nc\nd\ne\n")
    words = ["convert", str(export), "-o", "out", "--labels", "labels.list", "-q", "--depfile", "out/report.json.d"]
    words += ["--role", "sgie"]  # nothing is compared
    assert main([*words, "--dry-run"]) == 0, capsys.readouterr().err
    assert not (work / "out").exists()
    assert main(words) == 0, capsys.readouterr().err
    text = (work / "out" / "report.json.d").read_text()
    first = text.split("\n\n")[0].replace(" \\\n ", "").split()
    assert first[0] == "out/report.json:"
    assert {"labels.list", f"{export}/tflite-model/tflite-trained.h", f"{export}/tflite-model/."} <= set(first)
    assert not any("out/" in name or name.endswith(".py") for name in first[1:])


def test_a_failing_command_writes_no_rule(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (work / "broken.zip").write_bytes(b"PK\x03\x04")
    assert main(["unpack", "broken.zip", "-o", "out", "--depfile", "out/x.d"]) == 3
    assert not (work / "out").exists()
    capsys.readouterr()


@pytest.mark.parametrize("name", ["rules.mk", ".d"])
def test_the_name_says_what_it_is_about(work: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", ".", "--depfile", name]) == 2
    assert "end in .d" in capsys.readouterr().err
    assert not list(work.iterdir())
