"""--fix and --diff: files with what is mechanical put right, found again and again until nothing more can be."""

from __future__ import annotations

import difflib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from convert.check.find import CONFIG
from convert.check.report import Fix
from convert.errors import InputError
from convert.nvinfer.initialise_labels import MOST_LABEL_BYTES
from convert.nvinfer.parse_files import read_ordinary
from convert.nvinfer.rules import findings
from convert.nvinfer.rules.fixes import FIXABLE, fixed_config, fixed_labels
from convert.nvinfer.rules.gather import Models, gather, read_config
from convert.nvinfer.rules.waivers import read_waivers, waived
from convert.writing import write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from convert.check.report import Report
    from convert.findings import Finding
    from convert.nvinfer.rules.case import Where

__all__ = ["apply", "diff", "fixes"]

_MOST_ROUNDS = 20


def fixes(report: Report, wanted: Callable[[str], bool]) -> tuple[Fix, ...]:
    """The files of a report that can be put right, labels included, each once."""
    found: dict[str, Fix] = {}
    for file in report.files:
        if file.kind != CONFIG or file.error is not None:
            continue
        new, rest = _config(file.path, file.data, report.where, wanted)
        if new != file.data:
            found[os.path.realpath(file.path)] = Fix(file.path, file.data, new)
        for path in dict.fromkeys(finding.path for finding in rest if finding.path and finding.path != file.path):
            ids = {finding.id for finding in rest if finding.path == path and finding.id in FIXABLE}
            if ids and os.path.realpath(path) not in found and (fix := _labels(path, ids)):
                found[os.path.realpath(path)] = fix
    return tuple(found.values())


def _config(path: str, data: bytes, where: Where, wanted: Callable[[str], bool]) -> tuple[bytes, tuple[Finding, ...]]:
    """The config put right, and what is still found through it."""
    models = Models()
    stay: tuple[Finding, ...] = ()
    for _ in range(_MOST_ROUNDS):
        case = gather(read_config(path, where, data), where, models)
        stay, _gone = waived((each for each in findings(case) if wanted(each.id)), path, read_waivers(data))
        new = fixed_config(case, stay)
        if new == data:
            break
        data = new
    return data, stay


def _labels(path: str, ids: set[str]) -> Fix | None:
    try:
        data = read_ordinary(path, "label file", MOST_LABEL_BYTES)
    except InputError:
        return None
    new = fixed_labels(data, ids)
    return None if new == data else Fix(path, data, new)


def diff(fix: Fix) -> str:
    """A unified diff."""
    lines = difflib.unified_diff(_lines(fix.old), _lines(fix.new), f"a/{fix.path}", f"b/{fix.path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(data: bytes) -> list[str]:
    """Lines with their ends; only a line feed ends one."""
    *lines, rest = data.decode("utf-8", "surrogateescape").split("\n")
    return [f"{line}\n" for line in lines] + ([rest] if rest else [])


def apply(found: Iterable[Fix]) -> None:
    """Write the files, whole; a link stays a link, and permissions stay.

    Raises:
        OutputError: a file cannot be written; those before it are.
    """
    for fix in found:
        place = Path(os.path.realpath(fix.path))
        mode = stat.S_IMODE(place.stat().st_mode)
        write(place, fix.new, executable=bool(mode & 0o100))
        place.chmod(mode)
