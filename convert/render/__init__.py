"""How results look: text for people, JSON, JUnit and SARIF for machines.

Here is what to type next: `next:` at the end of a command's text, and `next` in its JSON, a list of argument lists.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from convert.files import Output
    from convert.pipeline import Run

_US = "ei-deepstream"
_PICTURES = "PICTURES"


def after_conversion(run: Run, pictures: Path | None = None) -> list[list[str]]:
    """Simulate the bundle, then read how it is run on the device; nothing where no bundle was written.

    Args:
        run: of all stages.
        pictures: a folder of them, where one is known.
    """
    from convert.types import Bundle  # `check` does without

    bundle = run.last(Bundle)
    return [] if bundle is None else _of_bundle(bundle.files, pictures)


def after_inspection(path: str, frame: str | None) -> list[list[str]]:
    """Convert `path`; `frame`: of the camera, for a model that was trained on cropped pictures."""
    return [[_US, "convert", path, "-o", "bundle", *(["--frame", frame] if frame else [])]]


def after_pull(export: Path) -> list[list[str]]:
    """Convert what was fetched from Studio; of an .eim say what it is, and for which machine."""
    if export.suffix == ".eim":
        return [[_US, "eim", "inspect", str(export)]]
    place = export.parent if export.suffix == ".tflite" else export  # what describes the model lies beside it
    return [[_US, "convert", str(place), "-o", "bundle"]]


def after_batch(folder: Path, bundles: Iterable[Sequence[Output]]) -> list[list[str]]:
    """Check all, then the first bundle as after its conversion; `bundles` are the files of each model's."""
    first = next((files for files in bundles if files), None)
    return [] if first is None else [[_US, "check", str(folder)], *_of_bundle(first, None)]


def _of_bundle(files: Sequence[Output], pictures: Path | None) -> list[list[str]]:
    """Empty where a list of files names neither: a caller may have taken any part of a bundle out of a report."""
    paths = {Path(each.path).name: each.path for each in files}
    app = next((path for name, path in paths.items() if name.startswith("deepstream_app_")), None)
    steps = []
    # With a secondary engine alone the app's detector is the SDK's, which is not on this machine.
    if app is not None and any(name.startswith("config_infer_primary_") for name in paths):
        bundle = Path(app).parent
        steps.append([_US, "simulate", str(bundle), str(pictures or _PICTURES), "-o", f"{bundle}-simulated"])
    if (guide := paths.get("RUN.md")) is not None:
        steps.append(["cat", guide])
    return steps


def show_next(steps: Sequence[Sequence[str]], out: Console, frame: str | None = None) -> None:
    """One command a line, to be copied; a narrow terminal folds it, but no break is put into it.

    Args:
        frame: aspect of the frames the bundle was made for; None: any.
    """
    from rich.text import Text  # JSON does without

    if not steps:
        return
    out.print(Text("next:", style="bold"))
    for name, *arguments in steps:
        out.print(Text(f"  {shlex.join((_as_typed(name), *arguments))}"), soft_wrap=True)
    if any(_PICTURES in step for step in steps):
        shape = f"{frame}, " if frame else ""
        out.print(
            Text(f"  {_PICTURES}: a folder of pictures as the camera gives them, {shape}not cropped", style="dim")
        )


def _as_typed(name: str) -> str:
    """`name`, or with a path (.venv/bin/ei-deepstream) where it would not be found without."""
    if name == _US and Path(sys.argv[0]).name == _US and shutil.which(_US) is None:
        return sys.argv[0]
    return name
