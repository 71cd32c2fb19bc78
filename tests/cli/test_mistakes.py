"""Typical mistakes of users: one message each, the documented exit code, a hint that works, and nothing lost.

`MISTAKES` is a table: a command, its exit code, and words that its message must hold. The commands run in one folder
with the files of `workplace`, which none of them may change.
"""

from __future__ import annotations

import re
import shlex
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from tests.batch.conftest import InThisProcess
from tests.cli.conftest import ROOT, Said
from tests.export import tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    Say = Callable[..., Said]

SAMPLES = ROOT / "samples"
ZIP = SAMPLES / "exports" / "shapes-arduino-2025.zip"
NOTEBOOK = '<!DOCTYPE html><html><head><title>Notebook</title></head><body class="jp-Notebook"></body></html>'
CONVERT = "convert project.zip -o out"
CONFIG = "[property]\ngpu-id=0\nonnx-file=gone.onnx\ninfer-dims=3;96;96\nnetwork-type=1\n"

_MESSAGE = re.compile(r"^(?:[\w.-]+: )?error: ", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Mistake:
    """A command line, its exit code, and words of its message, which may be in any order.

    Attributes:
        slow: a model is converted before the mistake can be seen.
    """

    command: str
    code: int
    words: tuple[str, ...]
    slow: bool = False


def mistake(command: str, code: int, *words: str, slow: bool = False) -> Mistake:
    return Mistake(command, code, words, slow)


MISTAKES = (
    # The export
    mistake("convert projct.zip -o out", 3, "projct.zip: cannot read it", "did you mean project.zip?"),
    mistake("convert exprots/door.zip -o out", 3, "cannot read it", "did you mean exports/door.zip?"),
    mistake("convert nowhere/door.zip -o out", 3, "nowhere/door.zip: cannot read it", "check the name"),
    mistake("inspect Project.zip", 3, "did you mean project.zip?"),
    mistake("convert empty -o out", 3, "no model in this folder", "C++ or Arduino library"),
    mistake("convert pictures -o out", 3, "no model in this folder"),
    mistake("convert zips.zip -o out", 3, "no model in this zip, but a zip: a.zip", "unpack it"),
    mistake("convert model.eim -o out", 3, "an Edge Impulse .eim", "cannot be taken out", "Dashboard"),
    mistake("convert model.h5 -o out", 3, "this HDF5 file holds no Keras model", "TensorFlow Lite"),
    mistake("convert model.keras -o out", 3, "TensorFlow", "that is not installed", "ei-deepstream[tensorflow]"),
    mistake("convert notebook.html -o out", 3, "a web page", "download"),
    mistake("convert train.py -o out", 3, "a text file", "Dashboard"),
    mistake("convert photo.jpg -o out", 3, "a JPEG picture", "--images"),
    mistake("convert nothing.zip -o out", 3, "an empty file", "again"),
    mistake("convert cut.zip -o out", 3, "damaged or cut off", "download or copy the file again"),
    mistake("convert pointer.lite -o out", 3, "Git LFS pointer", "git lfs pull"),
    mistake("convert sound.lite -o out", 3, "sound, motion or other sensor data", "give convert the whole library"),
    mistake("convert several.zip -o out", 3, "holds 2 models", "a/shapes.tflite", "--model"),
    mistake("convert project.zip -o out --model nope", 3, "no model 'nope'", "there are", "tflite_learn_5"),
    # The output
    mistake("convert project.zip", 2, "-o"),
    mistake("convert project.zip -o notes.txt", 3, "the output folder is a file", "-o"),
    mistake("convert project.zip -o notes.txt/bundle", 3, "would be in is a file", "notes.txt", "-o"),
    mistake("convert library -o library/out", 3, "inside of the export library", "-o"),
    mistake("batch empty -o notes.txt", 3, "notes.txt", "-o"),
    # Options
    mistake("convert", 2, "export", "convert --help"),
    mistake("convert help", 2, "convert --help"),
    mistake("convert -o out", 2, "EXPORT", "--pgie and --sgie"),
    mistake("convert --sgie project.zip -o out", 2, "--pgie and --sgie"),
    mistake("convert --pgie project.zip -o out", 2, "--pgie and --sgie"),
    mistake("convert --pgie project.zip --sgie library -o out", 3, "primary", "classifier", "detector"),
    mistake("convert project.zip library -o out", 2, "library"),
    mistake("convert project.zip -o out --platfrom jetson", 2, "--platfrom", "Did you mean '--platform'"),
    mistake("convert project.zip -o out --platform nano", 2, "nano", "jetson"),
    mistake("convert project.zip -o out --target jetson", 2, "'jetson'", "--platform jetson"),
    mistake("convert project.zip -o out --target orin", 2, "'orin'", "--jetpack"),
    mistake("convert project.zip -o out --target 7", 2, "'7'", "deepstream-7.1"),
    mistake("convert project.zip -o out --target 'JetPack 6.1'", 2, "say --jetpack 6.1"),
    mistake("convert project.zip -o out --jetpack 9", 2, "'9'", "6.2"),
    mistake("convert project.zip -o out --batch-size 0", 2, "--batch-size", "0 is not in the range 1<=x<=1024"),
    mistake("convert project.zip -o out --precision int4", 2, "--precision", "'fp32', 'fp16'"),
    mistake("convert project.zip -o out --task detection", 2, "--task", "'classifier', 'fomo'"),
    mistake("convert project.zip -o out --role main", 2, "--role", "'pgie', 'sgie', 'both'"),
    mistake("convert project.zip -o out --frame big", 2, "--frame", "16:9", "1280x720"),
    mistake("convert project.zip -o out --images gone", 2, "--images", "gone"),
    mistake("convert project.zip -o out --images empty", 3, "empty: the folder holds no picture", slow=True),
    mistake("convert project.zip -o out --images notes.txt", 3, "notes.txt: not a picture", slow=True),
    mistake("convert shapes.tflite -o out --task fomo", 3, "FOMO gives one grid", "--task", slow=True),
    mistake("convert shapes.tflite -o out --labels 'a;b;c'", 3, "3 labels (a, b, c)", "4 outputs", slow=True),
    mistake("convert shapes.tflite -o out --labels 'a;b;c;d;e'", 3, "5 labels", "4 outputs", slow=True),
    mistake("convert shapes.tflite -o out --labels 'a;b;;d'", 2, "--labels", "a label is empty"),
    mistake("convert shapes.tflite -o out --labels gone.txt", 2, "--labels", "gone.txt"),
    # Batches
    mistake("batch -o out", 2, "PATHS"),
    mistake("batch '*.none' -o out", 3, "*.none: nothing matches this pattern"),
    mistake("batch modles.toml -o out", 3, "modles.toml", "did you mean models.toml?"),
    mistake("batch typo.toml -o out", 3, "typo.toml:3: there is no option 'targt'", "did you mean 'target'?"),
    mistake("batch twice.toml -o out", 3, "twice.toml:4: two models are called 'door'", "a name of its own"),
    mistake("batch missing.toml -o out", 3, "gone.zip: cannot read it", slow=True),
    mistake("batch empty -o out", 3, "no model in this folder", slow=True),
    # Other commands
    mistake("conver project.zip -o out", 2, "'conver'", "Did you mean 'convert'?"),
    mistake("check photo.jpg", 3, "a JPEG picture", "name the config"),
    mistake("check empty", 3, "no DeepStream config in the folder"),
    mistake("check project.zip", 3, "check takes configs", "inspect"),
    mistake("check note.txt", 3, "note.txt: the config cannot be read", "did you mean notes.txt?"),
    mistake("explain nvi14", 3, "NVI14", "did you mean NVI014?"),
    mistake("block", 2, "--metadata is missing", "block --help"),
    mistake("simulate", 2, "config", "pictures", "-o"),
    mistake("simulate config.txt photo.jpg", 2, "-o"),
    mistake("simulate config.txt empty -o out", 3, "empty: the folder holds no picture"),
    mistake("simulate config.txt photo.jpg -o empty", 3, "gone.onnx"),
    mistake("eim classify project.zip photo.jpg", 3, "project.zip: cannot be started", "eim inspect project.zip"),
    mistake("eim serve project.zip stdin", 3, "project.zip", "ei-deepstream convert"),
    mistake("eim compare model.eim empty photo.jpg", 3, "model.eim: cannot be started", "eim inspect model.eim"),
)  # fmt: skip


def _zip(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what people have lying around."""
    folder = tmp_path_factory.mktemp("workplace")
    for name in ("empty", "exports", "pictures"):
        (folder / name).mkdir()
    shutil.copytree(SAMPLES / "exports" / "fruit-cpp-2022", folder / "library")
    shutil.copy(ZIP, folder / "project.zip")
    shutil.copy(ZIP, folder / "exports" / "door.zip")
    shapes = (SAMPLES / "models" / "shapes.tflite").read_bytes()
    picture = min((SAMPLES / "pictures" / "shapes").iterdir())
    files = {
        "cut.zip": ZIP.read_bytes()[:30_000],
        "nothing.zip": b"",
        "shapes.tflite": shapes,
        "sound.lite": tiny.model((1, 637), (1, 3)),  # as large as the features of a keyword model
        "model.eim": b"\x7fELF" + bytes(100),
        "model.h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "pointer.lite": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "train.py": b"import tensorflow\n",
        "notebook.html": NOTEBOOK.encode(),
        "photo.jpg": picture.read_bytes(),
        "pictures/photo.jpg": picture.read_bytes(),
        "notes.txt": b"bring milk\n",
        "config.txt": CONFIG.encode(),
        "models.toml": b"[[model]]\nexport = 'project.zip'\n",
        "typo.toml": b"[[model]]\nexport = 'project.zip'\ntargt = '6.2'\n",
        "twice.toml": b"[[model]]\nexport='project.zip'\nname='door'\n[[model]]\nexport='library'\nname='door'\n",
        "missing.toml": b"[[model]]\nexport = 'gone.zip'\n",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    fruit = (SAMPLES / "models" / "fruit.tflite").read_bytes()
    _zip(folder / "zips.zip", {"a.zip": ZIP.read_bytes(), "b.zip": ZIP.read_bytes()})
    _zip(folder / "several.zip", {"a/shapes.tflite": shapes, "b/fruit.tflite": fruit})
    _zip(folder / "model.keras", {"config.json": b"{}", "model.weights.h5": files["model.h5"]})
    return folder


def _contents(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def here(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`workplace` as the working folder, and no TensorFlow, as where the extra is not installed."""
    monkeypatch.chdir(workplace)
    monkeypatch.setattr("convert.export.keras.PathFinder", SimpleNamespace(find_spec=lambda _: None))
    monkeypatch.setenv("EI_DEEPSTREAM_CACHE", str(workplace.with_name("cache")))  # nothing is put into it
    monkeypatch.setattr("convert.batch.Pool", InThisProcess)
    return workplace


def _each(row: Mistake) -> object:
    return pytest.param(row, id=row.command, marks=[pytest.mark.slow] if row.slow else [])


def test_there_are_enough_of_them() -> None:
    assert len(MISTAKES) >= 40
    assert len({row.command for row in MISTAKES}) == len(MISTAKES)


@pytest.mark.parametrize("row", [_each(row) for row in MISTAKES])
def test_a_mistake(row: Mistake, say: Say, here: Path) -> None:
    before = _contents(here)
    said = say(*shlex.split(row.command))
    assert said.code == row.code, said.err
    assert len(_MESSAGE.findall(said.err)) == 1, said.err
    for word in row.words:
        assert word in said.err
    if row.code == 3:
        assert said.err.count("hint: ") == 1, said.err
    out = here / "out"
    if row.command.startswith("batch") and out.exists():  # what became of each model is written, too
        shutil.rmtree(out)
    assert _contents(here) == before


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("command", "in_hint", "then", "code"),
    [
        ("inspect projct.zip", r"did you mean (\S+)\?", "inspect {}", 0),
        ("inspect exprots/door.zip", r"did you mean (\S+)\?", "inspect {}", 0),
        ("conver project.zip -o out", r"Did you mean '(\w+)'\?", "{} project.zip -o out --dry-run", 0),
        (f"{CONVERT} --platfrom dgpu", r"Did you mean '(.+?)'\?", f"{CONVERT} {{}} dgpu --dry-run", 0),
        (f"{CONVERT} --target 'JetPack 6.1'", r"say (--jetpack 6\.1)", f"{CONVERT} {{}} --dry-run", 0),
        (f"{CONVERT} --target jetson", r"say (--platform jetson)", f"{CONVERT} {{}} --dry-run", 0),
        ("convert several.zip -o out", r"for example (--model .+)", "convert several.zip -o out {} --dry-run", 0),
        ("eim classify project.zip photo.jpg", r"`ei-deepstream (.+?)`", "{}", 1),
        ("explain nvi14", r"did you mean (\w+)\?", "explain {}", 0),
        ("batch typo.toml -o out", r"`ei-deepstream (.+?)`", "{}", 0),
        ("convert", r"options: ei-deepstream (.+)", "{}", 0),
        ("simulate", r"options: ei-deepstream (.+)", "{}", 0),
    ],
)  # fmt: skip
def test_the_hint_works_as_it_stands(command: str, in_hint: str, then: str, code: int, say: Say) -> None:
    hint = re.search(in_hint, say(*shlex.split(command)).err)
    assert hint
    said = say(*shlex.split(then.format(hint[1])))
    assert said.code == code, said.err
    assert not _MESSAGE.findall(said.err)


@pytest.mark.usefixtures("here")
@pytest.mark.skipif("os.geteuid() == 0", reason="root may read and write everything")
def test_what_may_not_be_read_or_written(say: Say, tmp_path: Path) -> None:
    secret, closed = tmp_path / "secret.zip", tmp_path / "closed"
    secret.write_bytes(ZIP.read_bytes())
    secret.chmod(0)
    closed.mkdir()
    closed.chmod(0o555)
    said = say("convert", secret, "-o", tmp_path / "out")
    assert (said.code, len(_MESSAGE.findall(said.err))) == (3, 1)
    assert "Permission denied" in said.err
    assert "check its permissions" in said.err
    said = say("convert", ZIP, "-o", closed / "bundle")
    assert (said.code, len(_MESSAGE.findall(said.err))) == (3, 1)
    assert str(closed) in said.err
