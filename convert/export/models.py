"""Finds the models of an export, the form each is stored in, and which of them are in use.

The search follows Edge Impulse's layout: `tflite-model/` below the library's root (`src/` in Arduino libraries), files
called `tflite-trained*`, `tflite_learn*`, `trained*`, `onnx-trained*`, and `.lite`, `.tflite` and `.onnx` files
anywhere. Only when nothing is there are all other sources outside of the SDK read.

Trees hold stale and extra models: an old compiled file beside a new array, an anomaly detector beside the classifier,
two impulses. `model-parameters/model_variables.h` decides: the names its graph configurations hold, else the model
headers it includes; before 2022, where it has neither, the macro EI_CLASSIFIER_COMPILED.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from convert import errors, heads, types
from convert.export import archive, parameters
from convert.export.archive import FOUND_BESIDE, HEAD, Tree, file_type, is_onnx
from convert.export.cpp_arrays import Array, read_source
from convert.export.cpp_scanner import source_bytes
from convert.export.facts import facts_of, has_first_grid, onnx_facts, possible_tasks, takes_no_pictures
from convert.export.keras import WORDS, Place, best, convert_place, places, shown
from convert.export.parameters import CONTRADICTION, UNREADABLE_PARAMETER, Block, File, Recorded
from convert.export.tflite import IDENTIFIER, first_subgraph, last_grid, read_graph
from convert.findings import Finding, Rule

if TYPE_CHECKING:
    from convert.export.cpp_declarations import Incbin

EXTRA_MODEL = Rule("EI104")
FROM_TENSORFLOW = Rule("EI155")
SIGNATURES = Rule("EI156")

EON_FORMS: Final = frozenset({"E1", "E2", "E3"})
"""The forms that hold C++ made by the EON compiler."""

ONNX_FORMS: Final = frozenset({"O", "onnx"})
"""The forms that hold an ONNX model: the array of a TensorRT deployment, and a file."""

_BINARIES: Final = (".tflite", ".lite", ".onnx")
_SOURCES: Final = (".h", ".hh", ".hpp", ".c", ".cc", ".cpp", ".cxx", ".inc", ".ino")
_NAMES: Final = re.compile(r"(?:tflite|onnx|model|trained)[-_.]?(?:trained|learn|model|data)?.*", re.IGNORECASE)
_MODEL_FOLDERS: Final = frozenset({"tflite-model", "onnx-model"})
_MODEL_NAMES: Final = ("trained_tflite", "tflite_trained", "tflite_learn", "trained_onnx", "onnx_trained", "onnx_learn")
_FOLDER: Final = "model-parameters"
_METADATA: Final = "model_metadata.h"
_VARIABLES: Final = "model_variables.h"
_SDK: Final = "edge-impulse-sdk"  # it holds test models of TensorFlow Lite's own
_SMALLEST: Final = 512  # bytes of source; the smallest model makes a header of 4,000

_EON: Final = (b"TfArray<", b"used_operators_e", b"tflNodes", b"nodeData")
"""One of these is in every compiled file; they are searched for as plain text, which is fast in ten megabytes too."""

_EON_SYMBOL: Final = re.compile(rb"\bTfLiteStatus\s+(\w+?)_(?:init|invoke)\s*\(")
_E3: Final = re.compile(r"tflite_learn_\d+_\d+")
_SIGNATURE: Final = re.compile(
    rb"0[xX]54\s*,\s*0[xX]46\s*,\s*0[xX]4[cC]\s*,\s*0[xX]33|\b84\s*,\s*70\s*,\s*76\s*,\s*51\b|\bINCBIN\s*\("
)
"""TFL3 as numbers in C source, or a line that includes a binary file."""

_FLOAT32: Final = (
    "in Deployment turn the EON compiler off and choose Unoptimized (float32), or download TensorFlow Lite (float32) "
    "from the Dashboard"
)
_MAX_LINES: Final = 20  # of a list in an error message
MAX_DOCUMENT: Final = 16 << 20  # bytes; with all options of its DSP blocks a document has 20 kB
_MAX_HEADER: Final = 1 << 20  # bytes; the two headers have 8 to 20 kB


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that is or should be a model.

    Attributes:
        form: "F1" to "F4", "E1" to "E3", "array", "flatbuffer", "openmv"; "O" and "onnx" for ONNX; "savedmodel",
            "keras" and "h5" for TensorFlow's own files; "none".
        member: path in the tree of the file that holds the model.
        header: path of the header that names it (F4), else `member`.
        symbol, namespace: of the array, the INCBIN or the compiled functions; empty for a plain file.
        data: the flatbuffer (of E1 to E3 rebuilt, of TensorFlow's files converted) or ONNX model; empty when there is
            none.
        size: bytes stored.
        facts, tasks: of the verified model; None and () where there is a `problem`.
        findings: about how `data` was obtained.
        conditional: the array stands only in a branch of `#if` that is not compiled.
        source_parity: of TensorFlow's files: `data` against the model itself.
    """

    form: str
    member: str
    header: str
    symbol: str = ""
    namespace: str = ""
    data: bytes = field(default=b"", repr=False)
    size: int = 0
    facts: types.ModelFacts | None = None
    tasks: tuple[str, ...] = ()
    problem: errors.ConvertError | None = None
    conditional: bool = False
    findings: tuple[Finding, ...] = ()
    source_parity: types.Parity | None = None

    @property
    def format(self) -> types.ModelFormat:
        """Of `data`."""
        return types.ModelFormat.ONNX if self.form in ONNX_FORMS else types.ModelFormat.TFLITE

    @property
    def stem(self) -> str:
        """The name of the file that names the model, without extension."""
        return PurePosixPath(self.header).stem

    @property
    def called(self) -> str:
        """What a list calls it by: its symbol, or its file."""
        return self.symbol or self.member


def candidates_in(tree: Tree, focus: str | None = None) -> tuple[Candidate, ...]:
    """Everything that is or should be a model, sorted by path; one that cannot be used has a `problem`.

    Args:
        focus: the member the user named, which alone is read.

    Raises:
        InputError: `focus` holds no model.
    """
    if focus is not None:
        return tuple(_file(tree, focus))
    found: list[Candidate] = []
    for fits in (_is_likely, _is_possible):
        for member in () if found else tree.members:
            if fits(tree, member):
                is_source = member.lower().endswith(_SOURCES)
                found += _in_source(tree, member) if is_source else [_binary(tree, member)]
    # Edge Impulse's example for PCs has a Makefile.tflite: text that is called like a model counts only where nothing
    # else is there.
    no_text = [item for item in found if item.form != "none" or not item.member.lower().endswith(_BINARIES)]
    found = no_text or found
    if all(item.problem is not None for item in found):
        found += [_of_tensorflow(tree, place) for place in best(places(tree))]
    taken = {candidate.member for candidate in found if candidate.form == "F4"}
    return tuple(item for item in found if item.form == "F4" or item.member not in taken)


def _is_likely(_: Tree, member: str) -> bool:
    """Whether a file is called like a model, or is a source where Edge Impulse puts models."""
    path = PurePosixPath(member)
    if _SDK in path.parts:
        return False
    if member.lower().endswith(_BINARIES):
        return True
    in_folder = bool(_MODEL_FOLDERS.intersection(path.parts[:-1]))
    named = in_folder or bool(_NAMES.fullmatch(path.stem))
    return named and member.lower().endswith(_SOURCES) and not _is_parameters(path)


def _is_possible(tree: Tree, member: str) -> bool:
    """Whether any other source has the file identifier in an array, or includes a file."""
    path = PurePosixPath(member)
    is_source = member.lower().endswith(_SOURCES) and tree.members[member] >= _SMALLEST
    if not is_source or _SDK in path.parts or _is_parameters(path):
        return False
    try:
        data = tree.read(member)
    except errors.InputError:
        return False  # of the files that are no model by name, one that cannot be read is not worth a message
    return bool(_SIGNATURE.search(data))


def _is_parameters(path: PurePosixPath) -> bool:
    return path.parent.name == _FOLDER or path.name in {_METADATA, _VARIABLES}


def _file(tree: Tree, member: str) -> Iterator[Candidate]:
    """The models of a single file; what is none is refused by its name.

    Raises:
        InputError: it holds no model.
    """
    data = tree.read(member)
    kind = file_type(data[:HEAD])
    if kind in {archive.BINARY, archive.ELF, archive.TEXT, archive.SOURCE}:
        name = PurePosixPath(member).name
        kind = next((named for pattern, named in archive.BY_NAME if pattern.fullmatch(name)), kind)
    if kind is archive.TFLITE:
        yield _verified(Candidate("flatbuffer", member, member, data=data, size=len(data)), tree)
    elif kind is archive.ONNX:
        yield _verified(Candidate("onnx", member, member, data=data, size=len(data)), tree)
    elif kind in {archive.HDF5, archive.SAVED_MODEL}:
        candidate = _of_tensorflow(tree, Place("h5" if kind is archive.HDF5 else "savedmodel", member))
        if isinstance(candidate.problem, errors.InputError):
            raise candidate.problem
        yield candidate
    elif kind is not archive.SOURCE:
        raise errors.NoModelError(f"this is {kind.words}", path=tree.name_of(member), hint=kind.hint)
    else:
        found = list(_in_source(tree, member, alone=True))
        if not found:
            message = "there is no model in this file: no array of bytes and no INCBIN line"
            hint = "give tflite-trained.h, tflite_learn_*.h or *_compiled.cpp, or the whole library"
            raise errors.InputError(message, path=tree.name_of(member), hint=hint)
        yield from found


def _binary(tree: Tree, member: str) -> Candidate:
    candidate = Candidate("flatbuffer", member, member, size=tree.members[member])
    try:
        data = tree.read(member)
        kind = file_type(data[:HEAD])
        if kind is archive.ONNX:
            return _verified(replace(candidate, form="onnx", data=data), tree)
        if kind is not archive.TFLITE:
            form = "none" if kind in {archive.SOURCE, archive.TEXT} else candidate.form
            candidate = replace(candidate, form=form)
            raise errors.NoModelError(f"this is {kind.words}", path=tree.name_of(member), hint=kind.hint)
    except errors.ConvertError as error:
        return replace(candidate, problem=error)
    labels = str(PurePosixPath(member).with_name("labels.txt"))
    form = "openmv" if PurePosixPath(member).name == "trained.tflite" and labels in tree.members else "flatbuffer"
    return _verified(replace(candidate, form=form, data=data), tree)


def _of_tensorflow(tree: Tree, place: Place) -> Candidate:
    """What TensorFlow makes of one of its own files."""
    candidate = Candidate(place.form, place.member, place.member, size=tree.members[place.member])
    try:
        model, parity, version = convert_place(tree, place)
    except errors.ConvertError as error:
        return replace(candidate, problem=shown(error, tree.name_of(place.member)))
    message = (
        f"{WORDS[place.form]} was converted by TensorFlow {version}; on {parity.inputs} inputs the .tflite is "
        f"{parity.max_abs_diff:.2g} away from it at most"
    )
    finding = FROM_TENSORFLOW.found(message, path=tree.name_of(place.member))
    return _verified(replace(candidate, data=model, findings=(finding,), source_parity=parity), tree)


def _in_source(tree: Tree, member: str, *, alone: bool = False) -> Iterator[Candidate]:
    """The models in C or C++ source; `alone`: it is the file the user named, so every byte array counts."""
    try:
        data = source_bytes(tree.read(member))
        kind = file_type(data[:HEAD])
        if kind not in {archive.SOURCE, archive.TEXT} and _is_model_name(PurePosixPath(member).stem):
            raise errors.InputError(f"this is {kind.words}", hint=kind.hint)  # noqa: TRY301 - it gets its path below
        if any(word in data for word in _EON):
            # Of a file that is cut off before its functions, the file's name counts.
            stem = PurePosixPath(member).stem
            symbol = match[1].decode() if (match := _EON_SYMBOL.search(data)) else stem.removesuffix("_compiled")
            if symbol and (match or symbol != stem):
                yield _compiled(tree, member, symbol, data)
                return
        arrays, incbins = read_source(data)
    except errors.InputError as error:
        error.path = error.path or tree.name_of(member)
        if alone:
            raise
        yield Candidate("none", member, member, size=tree.members[member], problem=error)
        return
    # A single array that the user points at is the model; that of model_variables.h is a table of indices.
    meant = alone and len(arrays) == 1 and not _is_parameters(PurePosixPath(member))
    for array in arrays:
        if array.data[4:8] == IDENTIFIER or _is_model_name(array.name) or meant:
            yield _array(tree, member, array)
    for incbin in incbins:
        yield _incbin(tree, member, incbin)


def _is_model_name(name: str) -> bool:
    return name.lower().replace("-", "_").startswith(_MODEL_NAMES)


def _compiled(tree: Tree, member: str, symbol: str, data: bytes) -> Candidate:
    """An EON-compiled file: C++ with the graph in it, from which the flatbuffer is rebuilt."""
    from convert.export.eon import rebuild  # brings the schema classes; most exports do without

    form = "E1" if not symbol.startswith("tflite_learn") else "E3" if _E3.fullmatch(symbol) else "E2"
    candidate = Candidate(form, member, member, symbol, size=tree.members[member])
    try:
        model, finding = rebuild(data, tree.name_of(member))
    except errors.ConvertError as error:
        return replace(candidate, problem=error)
    return _verified(replace(candidate, data=model, findings=(finding,)), tree)


def _array(tree: Tree, member: str, array: Array) -> Candidate:
    form = "O" if is_onnx(array.data[:HEAD]) else _form(array)
    called = (member, member, array.name, array.namespace)
    candidate = Candidate(form, *called, array.data, len(array.data), conditional=array.conditional)
    path = tree.name_of(member)
    if not array.data and array.problem is None:
        reason = "the model of this deployment (DRP-AI, for example) is not in the export"
        problem = errors.UnsupportedModelError(f"array {array.name} is empty: {reason}", path=path, hint=_FLOAT32)
        return replace(candidate, form="none", problem=problem)
    if array.problem is not None:
        array.problem.path = path
        return replace(candidate, data=b"", problem=array.problem)
    return _verified(candidate, tree)


def _form(array: Array) -> str:
    """By what stands before the name, and the name; "array" for one that Edge Impulse did not write."""
    if "MODEL_SECTION" in array.prefix:
        return "F3b"
    if array.name.startswith("tflite_learn"):
        return "F3"
    if array.name != "trained_tflite":
        return "array"
    if array.namespace:
        return "F2m"
    return "F2" if "ALIGN" in array.prefix else "F1"


def _incbin(tree: Tree, member: str, incbin: Incbin) -> Candidate:
    """F4: the file the line names, relative to the library's root, else beside the header."""
    folder = PurePosixPath(member).parent
    root = folder.parent if folder.name in _MODEL_FOLDERS else folder
    places = [root / incbin.file, folder / incbin.file, folder / PurePosixPath(incbin.file).name]
    binary = next((str(place) for place in places if str(place) in tree.members), None)
    candidate = Candidate("F4", binary or member, member, incbin.name, incbin.namespace)
    if binary is None:
        message = f"{incbin.name} is in {incbin.file}, which is missing"
        hint = "give the whole library, or the .tflite file itself"
        problem = errors.NoModelError(message, path=tree.name_of(member), line=incbin.line, hint=hint)
        return replace(candidate, problem=problem)
    read = _binary(tree, binary)
    return replace(read, form="F4", header=member, symbol=incbin.name, namespace=incbin.namespace)


def _verified(candidate: Candidate, tree: Tree) -> Candidate:
    """With the facts of the model, or with the problem why it cannot be read."""
    try:
        if candidate.form in ONNX_FORMS:
            facts, tasks = onnx_facts(candidate.data)
            return replace(candidate, facts=facts, tasks=tasks)
        graph, data, findings = read_graph(candidate.data), candidate.data, candidate.findings
        if graph.others:
            found = f"left out: subgraph {', '.join(graph.others)}"
            findings = (*findings, SIGNATURES.found(found, path=tree.name_of(candidate.member)))
        if graph.others or graph.calls:
            data = first_subgraph(data)
        if has_first_grid(graph):
            data = last_grid(data)
        if data is not candidate.data:
            graph = read_graph(data)
    except errors.ConvertError as error:
        error.path = tree.name_of(candidate.member)
        return replace(candidate, data=b"", problem=error)
    facts, tasks = facts_of(graph), possible_tasks(graph)
    return replace(candidate, size=len(candidate.data), data=data, facts=facts, tasks=tasks, findings=findings)


@dataclass(frozen=True, slots=True)
class Library:
    """A folder with `model-parameters/` or `deployment-metadata.json`: its path in the tree, and what is recorded."""

    root: str
    recorded: Recorded


@dataclass(frozen=True, slots=True)
class ListedModel:
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
    def metadata(self) -> types.Metadata:
        """What is recorded, empty when nothing is."""
        return self.block.metadata if self.block else types.Metadata()

    @property
    def is_picture_model(self) -> bool:
        """Whether it takes pictures and is no anomaly detector; what cannot be read counts by its impulse's sensor."""
        facts = self.candidate.facts
        if self.is_anomaly_detector or takes_no_pictures(self.metadata):
            return False
        return facts is None or facts.task != heads.NOT_IMAGE

    @property
    def is_anomaly_detector(self) -> bool:
        """Whether it is one, or the half of one that makes features of pictures, by the parameters or by itself."""
        facts = self.candidate.facts
        recorded = self.metadata.task == heads.ANOMALY or (self.block is not None and self.block.anomaly)
        return recorded or (facts is not None and facts.task == heads.ANOMALY)


@dataclass(frozen=True, slots=True)
class Listing:
    """Every model of an export.

    Attributes:
        missing: names of models that `model_variables.h` runs and the export does not hold.
    """

    entries: tuple[ListedModel, ...]
    libraries: tuple[Library, ...]
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def of_sensors(self) -> tuple[Library, ...]:
        """Libraries of which a block records that it takes no pictures."""
        return tuple(
            each for each in self.libraries if any(takes_no_pictures(block.metadata) for block in each.recorded.blocks)
        )


def list_models(tree: Tree, focus: str | None = None) -> Listing:
    """List every model of `tree`.

    Args:
        focus: the member the user named: only its models are listed, and they count as in use.

    Raises:
        InputError: `model-parameters/` is damaged, or `focus` holds no model.
    """
    candidates = candidates_in(tree, focus)
    libraries = _libraries(tree, focus)
    entries: list[ListedModel] = []
    missing: list[str] = []
    for library in libraries:
        mine = [item for item in candidates if _nearest(libraries, item.header) is library]
        matched, absent = _match(library.recorded, mine)
        found = [ListedModel(0, item, *matched[index]) for index, item in enumerate(mine)]
        if not any(entry.used for entry in found):
            found = [replace(entry, used=_is_of(library, entry.candidate) is not None) for entry in found]
            absent = [] if any(entry.used for entry in found) else absent
        several = sum(entry.used and entry.is_picture_model for entry in found) > 1
        entries += [replace(entry, several=several) for entry in found]
        missing += absent
    # Beside a library that runs a model, a model outside of it is a leftover.
    used = not any(entry.used for entry in entries)
    outside = [item for item in candidates if _nearest(libraries, item.header) is None]
    findings: list[Finding] = []
    for item in outside:
        named = [(library, block) for library in libraries if (block := _is_of(library, item)) is not None]
        block = named[0][1] if len(named) == 1 else None
        entries.append(ListedModel(0, item, block, used))
        if block is not None and used:
            place = f"{named[0][0].root}/{_FOLDER}"
            message = f"parameters were read from {place}, which names the project that the file is called after"
            findings.append(FOUND_BESIDE.found(message, path=tree.name_of(item.member)))
    if focus is not None:  # what lies around a single file may be anything
        given = [entry.block for entry in entries]
        libraries = tuple(each for each in libraries if any(block in each.recorded.blocks for block in given if block))
    entries = [replace(entry, number=number) for number, entry in enumerate(entries, 1)]
    if focus is not None:
        findings += [left_over(entry, tree) for entry in entries if not entry.used]
        entries = [replace(entry, used=True) for entry in entries]
    elif not any(entry.candidate.form in WORDS for entry in entries):
        findings += [
            EXTRA_MODEL.found(f"{WORDS[place.form]} was not converted: {place.member}", path=tree.name_of(place.member))
            for place in places(tree)
        ]
    findings += [*tree.findings, *(finding for library in libraries for finding in library.recorded.findings)]
    return Listing(tuple(entries), libraries, tuple(dict.fromkeys(missing)), tuple(findings))


def left_over(entry: ListedModel, tree: Tree) -> Finding:
    """About a model that `model_variables.h` does not run."""
    what = "what is recorded may be another model's"
    if entry.block is None:
        what = "labels and preprocessing that are recorded there were not used"
    message = f"model_variables.h does not run {entry.candidate.called}: {what}"
    return CONTRADICTION.found(message, path=tree.name_of(entry.candidate.member))


def _is_of(library: Library, candidate: Candidate) -> Block | None:
    """The block of `library` that a file is of by its name: as Edge Impulse's Dashboard calls it, after the project
    (`ei-<project>-<block>-tensorflow-lite-float32-model.lite`), or as the library calls its model."""
    if candidate.symbol:
        return None
    name = types.slug(candidate.stem).removeprefix("ei-") + "-"
    blocks = [block for block in library.recorded.blocks if not block.anomaly]
    found = [block for block in blocks if candidate.stem in block.names]
    for block in () if found else blocks:
        project = block.metadata.project_name
        if project and types.slug(project) != "model" and name.startswith(types.slug(project) + "-"):
            found.append(block)
    return found[0] if len(found) == 1 else None


def _libraries(tree: Tree, focus: str | None) -> tuple[Library, ...]:
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
        try:
            libraries.append(Library(root, parameters.read_recorded(files.get(_METADATA), files.get(_VARIABLES))))
        except errors.InputError:
            if focus is None or not root or focus.startswith(root + "/"):
                raise  # beside a single file it may be anything
    for path in tree.members:
        if PurePosixPath(path).name == parameters.DEPLOYMENT and _SDK not in PurePosixPath(path).parts:
            libraries = _with_document(tree, path, libraries)
    return tuple(libraries)


def _with_document(tree: Tree, path: str, libraries: list[Library]) -> list[Library]:
    """`libraries` with what the `deployment-metadata.json` at `path` records of its folder."""
    folder = PurePosixPath(path).parent
    root = "" if folder == PurePosixPath() else folder.as_posix()
    below = [each for each in map(PurePosixPath, tree.members) if each.is_relative_to(folder)]
    members = [str(each.relative_to(folder)) for each in below]
    shown = tree.name_of(path)
    try:
        document = parameters.read_deployment(File(tree.read(path, MAX_DOCUMENT), shown), members)
    except errors.InputError as error:
        finding = UNREADABLE_PARAMETER.found(error.message, path=shown)
        document = Recorded((Block(types.Metadata()),), (), (finding,))
    if all(library.root != root for library in libraries):
        if len(document.blocks) == 1:  # any model beside it may be another form of the one it names
            document = replace(document, blocks=(replace(document.blocks[0], names=frozenset()),))
        return [*libraries, Library(root, document)]
    return [
        Library(root, parameters.merged(library.recorded, document, shown)) if library.root == root else library
        for library in libraries
    ]


def _nearest(libraries: Sequence[Library], path: str) -> Library | None:
    """The innermost library around `path`."""
    around = (item for item in libraries if not item.root or path.startswith(item.root + "/"))
    return max(around, key=lambda item: len(item.root), default=None)


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
    # A file may be the same model, downloaded from the Dashboard; an array or compiled functions of another name are
    # left over from another deployment, whose labels are not recorded here.
    rest = described[0] if len(described) == 1 else None
    for index, item in enumerate(candidates):
        matched.setdefault(index, (None if item.symbol else rest, False))
    return matched, missing


def _used_without_blocks(recorded: Recorded, candidates: Sequence[Candidate]) -> set[int]:
    """Until 2022: the headers that are included, else compiled ones or arrays, by the macro."""
    stems = {PurePosixPath(name).stem for name in recorded.includes}
    included = {index for index, item in enumerate(candidates) if item.stem in stems}
    if included:
        return included
    compiled = next((block.metadata.compiled for block in recorded.blocks), None)
    used = {index for index, item in enumerate(candidates) if (item.form in EON_FORMS) == compiled}
    return used or set(range(len(candidates)))


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
    names = [name for name in sorted(block.names) if name.startswith(("tflite", "trained"))]
    return next((name.removesuffix(end) for end in ends for name in names if name.endswith(end)), "")


def describe(entries: Iterable[ListedModel]) -> str:
    """The list as a user chooses from it, one line an entry, the first of many."""
    lines = [f"  {entry.number}. {line(entry)}" for entry in entries]
    more = [f"  ... and {len(lines) - _MAX_LINES} more"] if len(lines) > _MAX_LINES else []
    return "\n".join(lines[:_MAX_LINES] + more)


def line(entry: ListedModel) -> str:
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
        task = heads.ANOMALY if entry.is_anomaly_detector else candidate.facts.task
        what = f"{task}, {candidate.facts.quantization}, input {size}"
    unused = "" if entry.used else ", not in use"
    where = f" in {candidate.member}" if candidate.symbol else ""
    return f"{candidate.called}{impulse} ({what}{unused}){where}"
