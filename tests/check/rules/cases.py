"""The folders of tests/cases: what they hold, laid out to be checked, and what the check says.

`tests/cases/<rule>/` has `bad.*`, `good.*` and `expected.json`, and the files they name; `tests/cases/common/` has what
most of them share. A model stands there as text (`*.onnxtxt`, the language of onnx.parser) and is made when needed.

`python -m tests.check.rules.cases [RULE...]` writes what the check now says into expected.json: read the difference
before it is committed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import onnx.parser

from convert import check
from convert.report import finding_document

CASES = Path(__file__).resolve().parents[2] / "cases"
_DAY = 86_400


def case_folders() -> list[Path]:
    """Every rule's folder."""
    return sorted(path for path in CASES.iterdir() if path.is_dir() and path.name != "common")


def config(folder: Path, name: str) -> str:
    """The name of `bad.*` or `good.*`."""
    (found,) = folder.glob(f"{name}.*")
    return found.name


@functools.cache
def _files(folder: Path) -> dict[str, bytes]:
    """What lies in the folder of a case, by name; models made from their text."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".onnxtxt":
            model = onnx.parser.parse_model(path.read_text())
            found[path.with_suffix(".onnx").name] = bytes(model.SerializeToString())
        elif path.name != "expected.json":
            found[path.name] = path.read_bytes()
    return found


def lay_out(folder: Path, place: Path) -> None:
    """Copy a case and what it shares with others to `place`."""
    for name, data in (_files(CASES / "common") | _files(folder)).items():
        (place / name).write_bytes(data)
    for name in expected(folder).get("older", ()):
        then = (place / name).stat().st_mtime - _DAY
        os.utime(place / name, (then, then))


def expected(folder: Path) -> dict[str, Any]:
    """expected.json: `options` of the command line, `bad` and `good` findings."""
    document = json.loads((folder / "expected.json").read_text())
    assert isinstance(document, dict)
    return document


def said(place: Path, name: str, options: list[str]) -> list[dict[str, Any]]:
    """What `check` finds in the file `name`, run in its folder with these options of the command."""
    given: dict[str, Any] = {"target": "9.1", "platform": "dgpu"}
    for word in options:
        if word.startswith("--"):
            option = word.removeprefix("--").replace("-", "_")
            given[option] = True
        else:
            given[option] = word
    with contextlib.chdir(place):
        found = check(name, **given).findings
    documents = [finding_document(finding) for finding in found]
    return [{key: _portable(value, place) for key, value in document.items()} for document in documents]


def _portable(value: Any, place: Path) -> Any:
    return value.replace(str(place), "<dir>") if isinstance(value, str) else value


def _accept(names: list[str]) -> None:
    for folder in case_folders():
        if names and folder.name not in names:
            continue
        document = expected(folder)
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary).resolve()
            lay_out(folder, place)
            for name in ("bad", "good"):
                document[name] = said(place, config(folder, name), document["options"])
        (folder / "expected.json").write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _accept(sys.argv[1:])
