"""A job for another machine: its files travel as content, and so does what becomes of it.

    pack(job) -> Parcel            here: the job, and every file that its conversion may look at
    opened(parcel, folder) -> Job  there: the files below `folder`, and the same job with their paths
    answer(...) -> Reply           there: the outcome and the bundle, with the paths of here again
    delivered(job, reply)          here: the bundle in its folder, whole or not at all

A bundle must not depend on where it was made. So a file gets the same folders above it there as it has here, for a
bundle may be called after one of them (`convert.export.choose`).
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.batch.digest import look
from convert.batch.job import Outcome, State, failure
from convert.document import dumps
from convert.errors import ConvertError, InputError
from convert.export.archive import places
from convert.nvinfer.bundle import REPORT, beside, stale_engines
from convert.writing import sha256, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.batch.job import Job
    from convert.writing import Output

__all__ = ["Parcel", "Reply", "answer", "delivered", "opened", "pack"]

_UNREAD = "edge-impulse-sdk"
"""Of a library's SDK only the names are looked at (`convert.export.models`); its contents are some 30 MB."""

_ABOVE = "model!"
"""The folder there in which "/" of here is. A model none of whose folders has a telling name is called "model"; this
name gives the same slug, and is reached after all folders of here."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A job on its way.

    Attributes:
        job: with the paths of the machine it comes from.
        here: the working folder there, against which its relative paths are.
        content: folders, links and files by absolute path, packed.
    """

    job: Job
    here: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of a job elsewhere.

    Attributes:
        outcome: with the paths of the job as it was sent.
        files: of the bundle, by name: content, and whether it can be run.
    """

    outcome: Outcome
    files: dict[str, tuple[bytes, bool]] = field(repr=False)


def pack(job: Job) -> Parcel:
    """Everything `job` needs.

    Raises:
        InputError: a file of it cannot be read; one that is not there is told by the conversion itself.
    """
    content: dict[str, bytes | None] = {}
    try:
        for root in _roots(job):
            content |= _below(root)
    except OSError as error:
        raise InputError(
            f"cannot read it: {error.strerror or error}",
            path=error.filename or job.export,
            hint="check its permissions, or copy it elsewhere",
        ) from error
    return Parcel(job, str(Path.cwd()), zlib.compress(pickle.dumps(content), 1))


def _roots(job: Job) -> Iterator[Path]:
    for path in (*job.exports, *(value for _, value in job.options if isinstance(value, Path))):
        if path.exists():
            yield from places(path)


def _below(root: Path) -> dict[str, bytes | None]:
    """Content by absolute path; None for a link to a folder, which is not followed; a folder ends in "/"."""
    content: dict[str, bytes | None] = {_absolute(root) + "/": b""} if root.is_dir() else {}
    for part in look([root]):
        place = _absolute(part.path)
        if part.status is not None:
            content[place] = b"" if _UNREAD in Path(part.name).parts else part.path.read_bytes()
        elif part.path.is_dir():
            content[place] = None
    return content


def opened(parcel: Parcel, folder: Path) -> Job:
    """The job of `parcel`, its files below the empty folder `folder`; the bundle goes below it, too.

    Raises:
        OSError: they cannot be written.
    """
    for name, data in pickle.loads(zlib.decompress(parcel.content)).items():  # noqa: S301 - from our own client
        place = Path(f"{folder}/{_ABOVE}{name}")
        if name.endswith("/"):
            place.mkdir(parents=True, exist_ok=True)
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            place.symlink_to(".")
        else:
            place.write_bytes(data)
    job = parcel.job
    options = tuple(
        (name, _there(value, parcel, folder) if isinstance(value, Path) else value) for name, value in job.options
    )
    return replace(
        job,
        export=_there(job.export, parcel, folder),
        sgie=None if job.sgie is None else _there(job.sgie, parcel, folder),
        output=folder / "bundle",
        options=options,
    )


def _there(path: Path, parcel: Parcel, folder: Path) -> Path:
    return Path(f"{folder}/{_ABOVE}{os.path.normpath(os.path.join(parcel.here, path))}")  # noqa: PTH118 - text


def answer(parcel: Parcel, folder: Path, outcome: Outcome) -> Reply:
    """What is sent back: `outcome` of the job that `opened` gave for `folder`.

    Raises:
        OSError: the bundle cannot be read.
    """
    files, names = {}, _names(parcel, folder)
    for output in outcome.outputs:
        path = Path(output.path)
        files[path.name] = path.read_bytes(), bool(path.stat().st_mode & 0o100)
    outcome = _renamed(outcome, names)
    if REPORT in files:  # its findings name places in the export as the user does
        report = dumps(_renamed(json.loads(files[REPORT][0]), names))
        files[REPORT] = report, False
        outcome = _with_report(outcome, sha256(report))
    return Reply(outcome, files)


def _with_report(outcome: Outcome, digest: str) -> Outcome:
    def corrected(outputs: tuple[Output, ...]) -> tuple[Output, ...]:
        return tuple(replace(each, sha256=digest) if Path(each.path).name == REPORT else each for each in outputs)

    records = tuple(replace(record, outputs=corrected(record.outputs)) for record in outcome.records)
    return replace(outcome, outputs=corrected(outcome.outputs), records=records)


def _names(parcel: Parcel, folder: Path) -> list[tuple[str, str]]:
    """What the paths of there are called here, longest first: as the user named them where that is known."""
    job = parcel.job
    known = {str(folder / "bundle"): str(job.output), f"{folder}/{_ABOVE}": ""}
    for path in (*job.exports, *(value for _, value in job.options if isinstance(value, Path))):
        for named in (path, path.parent, path.parent.parent):
            if ".." not in named.parts[-1:]:
                known.setdefault(str(_there(named, parcel, folder)), str(named))
    for there, here in list(known.items()):
        if here == ".":  # "./labels.txt" is shown as "labels.txt"
            known[f"{there}/"] = ""
    return sorted(known.items(), key=lambda each: -len(each[0]))


def _renamed(value: Any, names: list[tuple[str, str]]) -> Any:
    """`value` with the paths in all its texts replaced."""
    if isinstance(value, str):
        if type(value) is str:
            for there, here in names:
                value = value.replace(there, here)
        return value
    if isinstance(value, tuple | list):
        return type(value)(_renamed(item, names) for item in value)
    if isinstance(value, dict):
        return {name: _renamed(item, names) for name, item in value.items()}
    if isinstance(value, ConvertError):
        message, hint, path = (_renamed(text, names) for text in (value.message, value.hint, value.path))
        return type(value)(message, hint=hint, path=path, line=value.line)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {each.name: _renamed(getattr(value, each.name), names) for each in dataclasses.fields(value)}
        return replace(value, **fields)
    return value


def delivered(job: Job, reply: Reply) -> Outcome:
    """The outcome of `job`, its bundle in place."""
    outcome = reply.outcome
    if outcome.state is not State.DONE:
        return outcome
    names = [Path(output.path).name for output in outcome.outputs]
    files = {name: reply.files[name][0] for name in names}
    if damaged := [each.path for each in outcome.outputs if sha256(files[Path(each.path).name]) != each.sha256]:
        error = ConvertError(
            f"{damaged[0]} came back damaged", hint="run it again; if it stays so, look at the network"
        )
        return failure(job, error, outcome.seconds)
    name = dict(outcome.summary).get("bundle")
    try:
        around = beside(job.output, name, names) if job.sgie is None and isinstance(name, str) else ()
        write_all(job.output, files, executables=frozenset(name for name in names if reply.files[name][1]))
        around += tuple(found for each in names if each.endswith(".onnx") for found in stale_engines(job.output, each))
    except ConvertError as error:
        return failure(job, error, outcome.seconds)
    return replace(outcome, findings=(*outcome.findings, *around))


def _absolute(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - links stay what they are
