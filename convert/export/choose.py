"""Decides which model of an export is THE model: the one the user named, or the only picture model in use."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from convert.errors import InputError, UnsupportedModelError
from convert.export.absent import no_model
from convert.export.candidates import ONNX_FORMS
from convert.export.entries import describe
from convert.export.findings import CONDITIONAL_ARRAY, EXTRA_MODEL, UNREADABLE_EXTRA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.export.archive import Tree
    from convert.export.entries import Entry, Listing
    from convert.findings import Finding

__all__ = ["choose", "others", "the_model"]

_MAX_FINDINGS = 10  # about models that were not chosen: a repository may hold hundreds


def choose(listing: Listing, wanted: str | None, tree: Tree) -> Entry:
    """The model to convert.

    Args:
        wanted: a symbol, file, impulse number or name, or a place in the list ("#2", or "2" where no impulse has that
            number); None: there must be only one in use.

    Raises:
        InputError: there is none, there are several, it cannot be read, or `wanted` names none or several of them.
        UnsupportedModelError: it is in a form that holds no flatbuffer.
    """
    entry = the_model(listing, tree) if wanted is None else _named(listing, wanted, tree)
    if entry.candidate.problem is not None:
        raise entry.candidate.problem
    return entry


def the_model(listing: Listing, tree: Tree) -> Entry:
    """The only picture model in use, else the only model in use; whether it can be read is not asked.

    Raises:
        InputError: there is none, or there are several.
        UnsupportedModelError: there are several, none of which takes pictures.
    """
    if not listing.entries:
        raise no_model(listing, tree)
    used = _distinct([entry for entry in listing.entries if entry.used])
    pictures = [entry for entry in used if entry.is_picture_model]
    # An ONNX copy or an empty array does not stand in the way of the only model there is.
    models = [entry for entry in pictures if entry.candidate.form not in {"none", *ONNX_FORMS}]
    found = models or pictures or used
    if len(found) == 1:
        return found[0]
    if not found:
        names = ", ".join(listing.missing) or "another model"
        raise InputError(
            f"model_variables.h runs {names}, which is not in the export; what is there is not in use:\n"
            + describe(listing.entries),
            path=tree.source,
            hint="export the library again, or name one of these with --model if you know that it is right",
        )
    if not pictures:
        raise UnsupportedModelError(
            f"the export holds {len(found)} models, but no classifier or detector of pictures:\n" + describe(found),
            path=tree.source,
            hint="Gst-nvinfer runs no other; unpack --model takes one out all the same, for example --model "
            + _shortest(found[0], found),
        )
    raise InputError(
        f"the export holds {len(found)} models:\n" + describe(found),
        path=tree.source,
        hint=f"name one with --model, for example --model {_shortest(_as_it_is(found), found)}",
    )


def others(listing: Listing, chosen: Entry, tree: Tree) -> tuple[Finding, ...]:
    """What there is to say about the models that were not chosen, and about how the chosen one is stored."""
    findings: list[Finding] = []
    for entry in listing.entries:
        candidate = entry.candidate
        path = tree.name_of(candidate.member)
        if entry is chosen or (candidate.data and candidate.data == chosen.candidate.data):
            continue
        if candidate.problem is None or candidate.problem.code != "input":
            state = "also in use" if entry.used else "not in use"
            findings.append(EXTRA_MODEL.found(f"{candidate.called} was not converted ({state})", path=path))
        else:
            findings.append(UNREADABLE_EXTRA.found(candidate.problem.message, path=path))
    if len(findings) > _MAX_FINDINGS:
        rest = len(findings) - _MAX_FINDINGS
        message = f"{rest} further models were not converted"
        findings = [*findings[:_MAX_FINDINGS], EXTRA_MODEL.found(message, path=tree.source)]
    if chosen.candidate.conditional:
        message = f"array {chosen.candidate.symbol} stands in a branch of #if that is not compiled"
        findings.append(CONDITIONAL_ARRAY.found(message, path=tree.name_of(chosen.candidate.member)))
    return tuple(findings)


def _named(listing: Listing, wanted: str, tree: Tree) -> Entry:
    """The entry `wanted` means: a whole path, else a name, else an impulse's number, else a place in the list."""
    wanted, entries = wanted.strip(), listing.entries
    ways = (
        [entry for entry in entries if wanted in {entry.candidate.member, entry.candidate.header}],
        [entry for entry in entries if wanted in _names(entry)],
        [entry for entry in entries if wanted.casefold() == (entry.metadata.impulse_name or "").casefold()],
        [entry for entry in entries if wanted == str(entry.metadata.impulse_id)],
        [entry for entry in entries if wanted.removeprefix("#") == str(entry.number)],
    )
    found = next((way for way in ways if way), [])
    # An impulse has more than one block: its picture model is meant, and of that the one in use.
    for preferred in (
        [entry for entry in found if entry.is_picture_model],
        [entry for entry in found if entry.used and entry.is_picture_model],
    ):
        found = preferred or found
    found = _distinct(found)
    if len(found) == 1:
        return found[0]
    if found:
        message = f"{wanted!r} means {len(found)} models:\n{describe(found)}"
    elif entries:
        message = f"there is no model {wanted!r}; there are:\n{describe(entries)}"
    else:
        raise no_model(listing, tree)
    raise InputError(message, path=tree.source, hint="name it by its symbol, its file, or its place in the list, '#1'")


def _names(entry: Entry) -> set[str]:
    candidate = entry.candidate
    paths = {candidate.member, candidate.header}
    files = {PurePosixPath(path).name for path in paths} | {PurePosixPath(path).stem for path in paths}
    qualified = f"{candidate.namespace}::{candidate.symbol}" if candidate.namespace else candidate.symbol
    return (paths | files | {candidate.symbol, qualified}) - {""}


def _distinct(entries: Sequence[Entry]) -> list[Entry]:
    """Without further copies of the same bytes: a header's array and the same model as a file."""
    seen: set[bytes] = set()
    kept: list[Entry] = []
    for entry in entries:
        data = entry.candidate.data
        if not data or data not in seen:
            kept.append(entry)
        if data:
            seen.add(data)
    return kept


def _as_it_is(entries: Sequence[Entry]) -> Entry:
    """The first that needs no --dequantize, as an example of what to choose; else the first."""
    floats = (item for item in entries if item.candidate.facts and item.candidate.facts.quantization == "float32")
    return next(floats, entries[0])


def _shortest(entry: Entry, entries: Sequence[Entry]) -> str:
    """A name that means this entry alone, as a shell takes it: there, a bare #1 starts a comment."""
    candidate = entry.candidate
    for name in (candidate.symbol, candidate.stem, candidate.member):
        if name and all(entry is item or name not in _names(item) for item in entries):
            return shlex.quote(name)
    return f"'#{entry.number}'"
