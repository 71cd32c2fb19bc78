"""Between a bundle in its folder and its entry in the cache: what is stored, and how it comes back.

Findings name places as the user named the export; another run may find the same export elsewhere, so that part of a
path is stored as "the export". What was found in the output folder is looked for again each time.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from convert.batch.cache import Damaged, Entry
from convert.batch.digest import File
from convert.batch.job import Outcome, State
from convert.nvinfer.bundle import beside, stale_engines
from convert.nvinfer.findings import LEFT_FROM_ANOTHER_ROLE, OTHER_BUNDLE_IN_FOLDER, STALE_ENGINE
from convert.writing import Output, sha256, write_all

if TYPE_CHECKING:
    from convert.batch.cache import Cache
    from convert.batch.digest import Ledger
    from convert.batch.job import Job
    from convert.findings import Finding

__all__ = ["Changed", "restore", "store"]

_OF_FOLDER = {LEFT_FROM_ANOTHER_ROLE.id, OTHER_BUNDLE_IN_FOLDER.id, STALE_ENGINE.id}


class Changed(Exception):
    """The bundle in its folder is not what its conversion wrote: somebody else writes there."""


def store(job: Job, outcome: Outcome, key: str, cache: Cache) -> None:
    """Keep what the conversion of `job` wrote.

    Raises:
        Changed: it is not there any more.
        OutputError: the cache cannot be written.
    """
    files, kept = {}, []
    for output in outcome.outputs:
        path = Path(output.path)
        try:
            data, mode = path.read_bytes(), path.stat().st_mode
        except OSError as error:
            raise Changed(str(error)) from error
        if sha256(data) != output.sha256:
            raise Changed(f"{path} was changed")
        files[path.name] = data
        kept.append(File(path.name, output.sha256, len(data), bool(mode & 0o100)))
    findings = tuple(_stored(finding, job) for finding in outcome.findings if finding.id not in _OF_FOLDER)
    names = tuple(path.name for path in job.exports)
    cache.store(key, Entry(names, tuple(kept), findings, outcome.summary), files)


def restore(job: Job, key: str, cache: Cache, ledger: Ledger) -> Outcome | None:
    """The outcome of `job` without a conversion, its bundle in place; None where the cache does not have it.

    Raises:
        Damaged: the cache has it, but damaged.
        OutputError: the bundle cannot be written.
    """
    entry = cache.entry(key)
    if entry is None:
        return None
    name = dict(entry.summary).get("bundle")
    if not entry.files or not isinstance(name, str):
        raise Damaged("it describes no bundle")
    names = [file.name for file in entry.files]
    around = beside(job.output, name, names) if job.sgie is None else ()
    state = State.UNCHANGED
    if not ledger.verify(job.output, entry.files):
        state = State.RESTORED
        executables = frozenset(file.name for file in entry.files if file.executable)
        write_all(job.output, cache.contents(key), executables=executables)
    cache.used(key)
    around += tuple(finding for each in names if each.endswith(".onnx") for finding in stale_engines(job.output, each))
    findings = (*(_shown(finding, job) for finding in entry.findings), *around)
    outputs = tuple(Output(str(job.output / file.name), file.sha256) for file in entry.files)
    return Outcome(job.name, state, 0, findings=findings, outputs=outputs, summary=entry.summary)


def _stored(finding: Finding, job: Job) -> Finding:
    """A path at or around an export becomes "NUL, number of the export, /, the way from there"; no path has a NUL."""
    if finding.path is None:
        return finding
    for number, export in enumerate(job.exports):
        near = [str(export), *(str(folder) for folder in (export.parent, export.parent.parent) if folder.name)]
        if any(finding.path == place or finding.path.startswith(place + os.sep) for place in near):
            return replace(finding, path=f"\0{number}/{os.path.relpath(finding.path, export)}")
    return finding


def _shown(finding: Finding, job: Job) -> Finding:
    """The other way round."""
    if finding.path is None or not finding.path.startswith("\0"):
        return finding
    number, _, way = finding.path[1:].partition("/")
    return replace(finding, path=os.path.normpath(job.exports[int(number)] / way))
