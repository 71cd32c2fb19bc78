"""Brings together the models of an export and what is recorded about each, and says which of them are in use.

Trees hold stale and extra models: an old compiled file beside a new array, an anomaly detector beside the classifier,
two impulses. `model-parameters/model_variables.h` decides: the names its graph configurations hold, else the model
headers it includes; before 2022, where it says neither, the macro EI_CLASSIFIER_COMPILED.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from convert.artifacts import Metadata
from convert.export.candidates import EON_FORMS, Candidate, candidates_in
from convert.export.enumerators import NOT_CAMERAS
from convert.export.findings import CONTRADICTION
from convert.export.metadata import Block, File, Recorded, read_recorded
from convert.heads import ANOMALY, NOT_IMAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from convert.export.tree import Tree
    from convert.findings import Finding

__all__ = ["Entry", "Library", "Listing", "describe", "line", "list_models"]

_FOLDER: Final = "model-parameters"
_SDK: Final = "edge-impulse-sdk"
_METADATA: Final = "model_metadata.h"
_VARIABLES: Final = "model_variables.h"
_MAX_LINES: Final = 20  # of a list in an error message
_MAX_HEADER: Final = 1 << 20  # bytes; the two headers have 8 to 20 kB


@dataclass(frozen=True, slots=True)
class Library:
    """A folder that holds `model-parameters/`: its path in the tree, and what is recorded there."""

    root: str
    recorded: Recorded

    def holds(self, path: str) -> bool:
        """Whether a member lies below it."""
        return not self.root or path.startswith(self.root + "/")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of an export.

    Attributes:
        number: 1-based place in the list.
        block: what is recorded about it; None: nothing.
        used: the export runs it; it is no leftover.
        several: other picture models of its library are in use: its project's name alone does not name it.
    """

    number: int
    candidate: Candidate
    block: Block | None
    used: bool
    several: bool = False

    @property
    def metadata(self) -> Metadata:
        """What is recorded, empty when nothing is."""
        return self.block.metadata if self.block else Metadata()

    @property
    def is_picture_model(self) -> bool:
        """Whether it takes pictures and is no anomaly detector; what cannot be read counts by its impulse's sensor."""
        facts = self.candidate.facts
        if self.is_anomaly_detector or self.metadata.sensor in NOT_CAMERAS:
            return False
        return self.metadata.sensor != "fusion" if facts is None else facts.task != NOT_IMAGE

    @property
    def is_anomaly_detector(self) -> bool:
        """Whether it is one, or the half of one that makes features of pictures, by the parameters or by itself."""
        facts = self.candidate.facts
        recorded = self.metadata.task == ANOMALY or (self.block is not None and self.block.anomaly)
        return recorded or (facts is not None and facts.task == ANOMALY)


@dataclass(frozen=True, slots=True)
class Listing:
    """Every model of an export.

    Attributes:
        missing: names of models that `model_variables.h` runs and the export does not hold.
    """

    entries: tuple[Entry, ...]
    libraries: tuple[Library, ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]


def list_models(tree: Tree, focus: str | None = None) -> Listing:
    """List every model of `tree`.

    Args:
        focus: the member the user named: only its models are listed, and they count as in use.

    Raises:
        InputError: `model-parameters/` is damaged, or `focus` holds no model.
    """
    candidates = candidates_in(tree, focus)
    libraries = _libraries(tree)
    entries: list[Entry] = []
    missing: list[str] = []
    for library in libraries:
        mine = [item for item in candidates if _nearest(libraries, item.header) is library]
        matched, lost = _match(library.recorded, mine)
        entries += _several([Entry(0, item, *matched[index]) for index, item in enumerate(mine)])
        missing += lost
    # Beside a library that runs a model, a model outside of it is a leftover.
    used = not any(entry.used for entry in entries)
    entries += [Entry(0, item, None, used) for item in candidates if _nearest(libraries, item.header) is None]
    entries = [replace(entry, number=number) for number, entry in enumerate(entries, 1)]
    contradictions = [] if focus is None else [_leftover(entry, tree) for entry in entries if not entry.used]
    if focus is not None:
        entries = [replace(entry, used=True) for entry in entries]
    findings = [
        *contradictions,
        *tree.findings,
        *(finding for library in libraries for finding in library.recorded.findings),
    ]
    return Listing(tuple(entries), libraries, tuple(missing), tuple(findings))


def _several(entries: list[Entry]) -> list[Entry]:
    pictures = [entry for entry in entries if entry.used and entry.is_picture_model]
    return [replace(entry, several=len(pictures) > 1) for entry in entries]


def _leftover(entry: Entry, tree: Tree) -> Finding:
    message = f"model_variables.h does not run {entry.candidate.called}: what is recorded may be another model's"
    return CONTRADICTION.found(message, path=tree.name_of(entry.candidate.member))


def _libraries(tree: Tree) -> tuple[Library, ...]:
    roots: dict[str, list[str]] = {}
    for path in tree.members:
        place = PurePosixPath(path)
        if place.name in {_METADATA, _VARIABLES} and _SDK not in place.parts:
            # Somebody may have put all files into one folder.
            root = (place.parent.parent if place.parent.name == _FOLDER else place.parent).as_posix()
            roots.setdefault("" if root == "." else root, []).append(path)
    libraries: list[Library] = []
    for root, paths in sorted(roots.items()):
        files = {PurePosixPath(path).name: File(tree.read(path, _MAX_HEADER), tree.name_of(path)) for path in paths}
        libraries.append(Library(root, read_recorded(files.get(_METADATA), files.get(_VARIABLES))))
    return tuple(libraries)


def _nearest(libraries: Sequence[Library], path: str) -> Library | None:
    """The innermost library around `path`."""
    return max((item for item in libraries if item.holds(path)), key=lambda item: len(item.root), default=None)


def _match(
    recorded: Recorded, candidates: Sequence[Candidate]
) -> tuple[dict[int, tuple[Block | None, bool]], list[str]]:
    """Block and use of each candidate by its index, and the names of models that are not there."""
    described = [block for block in recorded.blocks if block.names]
    if not described:
        block = recorded.blocks[0] if recorded.blocks else None
        used = _used_without_blocks(recorded, candidates)
        return {index: (block, index in used) for index in range(len(candidates))}, []
    matched: dict[int, tuple[Block | None, bool]] = {}
    missing: list[str] = []
    for block in described:
        found = [index for index, item in enumerate(candidates) if _runs(block, item, candidates)]
        # A file that only is called so lies beside the array or INCBIN line that is compiled.
        found = [index for index in found if candidates[index].symbol] or found
        # The same block's model in its other form: an array where compiled functions are named, or the reverse.
        found = found or [index for index, item in enumerate(candidates) if _mentions(block, item)]
        found = found or _included(recorded, block, candidates)
        for index in found:
            matched.setdefault(index, (block, True))
        if not found and (wanted := _model_name(block)):
            missing.append(wanted)
    # A leftover is described by what the export runs, if that is one block; labels may still be right.
    rest = described[0] if len(described) == 1 else None
    return {index: matched.get(index, (rest, False)) for index in range(len(candidates))}, missing


def _used_without_blocks(recorded: Recorded, candidates: Sequence[Candidate]) -> set[int]:
    """Until 2022: the headers that are included, else compiled ones or arrays as the macro says."""
    stems = {PurePosixPath(name).stem for name in recorded.includes}
    included = {index for index, item in enumerate(candidates) if item.stem in stems}
    if included:
        return included
    compiled = next((block.metadata.compiled for block in recorded.blocks), None)
    if compiled is not None:
        used = {index for index, item in enumerate(candidates) if (item.form in EON_FORMS) == compiled}
        if used:
            return used
    return set(range(len(candidates)))


def _runs(block: Block, candidate: Candidate, candidates: Sequence[Candidate]) -> bool:
    """Whether a block's configuration names the candidate's array or its compiled functions."""
    symbol = candidate.symbol or candidate.stem
    if candidate.form in EON_FORMS:
        return any(f"{symbol}_{verb}" in block.names for verb in ("init", "invoke"))
    if symbol not in block.names:
        return False
    alike = [item for item in candidates if (item.symbol or item.stem) == symbol and item.form not in EON_FORMS]
    if len(alike) == 1:
        return True
    # Several impulses' headers hold the same symbol, each in its namespace.
    qualified = f"{candidate.namespace}::{symbol}"
    if any(f"{item.namespace}::{symbol}" in block.names for item in alike):
        return qualified in block.names
    metadata = block.metadata
    ends = (f"_{metadata.project_id}_{metadata.impulse_id}", f"_{metadata.impulse_id}", f"_{metadata.block_id}")
    names = (candidate.stem, candidate.namespace)
    for end in ends:
        if any(name.endswith(end) for item in alike for name in (item.stem, item.namespace)):
            return any(name.endswith(end) for name in names)
    return True


def _mentions(block: Block, candidate: Candidate) -> bool:
    """Whether a name in a block's configuration has the candidate's in it: "tflite_learn_5_init", not "..._51"."""
    part = re.compile(rf"{re.escape(candidate.symbol or candidate.stem)}(?!_?\d)")
    return any(part.search(name) for name in block.names)


def _included(recorded: Recorded, block: Block, candidates: Sequence[Candidate]) -> list[int]:
    """The candidate whose header is included, by the block's number if there are several."""
    stems = {PurePosixPath(name).stem for name in recorded.includes}
    found = [index for index, item in enumerate(candidates) if item.stem in stems]
    if len(found) > 1 or len(recorded.blocks) > 1:
        found = [index for index in found if candidates[index].symbol.endswith(f"_{block.metadata.block_id}")]
    return found


def _model_name(block: Block) -> str:
    """What a block's configuration calls its model: the name its `_len`, `_init` or `_arena_size` belongs to."""
    ends = ("_len", "_init", "_invoke")
    return next(
        (name.removesuffix(end) for end in ends for name in sorted(block.names) if _is_model(name, end)),
        "",
    )


def _is_model(name: str, end: str) -> bool:
    return name.endswith(end) and name.startswith(("tflite", "trained"))


def describe(entries: Iterable[Entry]) -> str:
    """The list as a user chooses from it, one line an entry, the first of many."""
    lines = [f"  {entry.number}. {line(entry)}" for entry in entries]
    more = [f"  ... and {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    return "\n".join(lines[:_MAX_LINES] + more)


def line(entry: Entry) -> str:
    """One entry in a line: its name, impulse, what it is, and where."""
    metadata, candidate = entry.metadata, entry.candidate
    impulse = ""
    if metadata.impulse_id is not None:
        impulse = f", impulse {metadata.impulse_id}"
        impulse += f" {metadata.impulse_name!r}" if metadata.impulse_name else ""
    elif metadata.project_name:
        impulse = f", project {metadata.project_name!r}"
    what = "cannot be read" + (f", {metadata.sensor}" if metadata.sensor else "")
    if candidate.facts is not None:
        size = "x".join("?" if dim is None else str(dim) for dim in candidate.facts.input.shape[1:])
        task = ANOMALY if entry.is_anomaly_detector else candidate.facts.task
        what = f"{task}, {candidate.facts.quantization}, input {size}"
    unused = "" if entry.used else ", not in use"
    where = f" in {candidate.member}" if candidate.symbol else ""
    return f"{candidate.called}{impulse} ({what}{unused}){where}"
