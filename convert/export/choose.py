"""Decides what is converted: THE model of an export, its name, and what is known of it.

THE model is the one the user named, or the only picture model in use. Where there is none, the error names what the
export's headers run, what it holds instead, and what to do. The usual cause is half of an export, such as a library
committed without its largest file, or another of the downloads beside TensorFlow Lite on Edge Impulse's Dashboard.

`reconcile` and `with_options` settle where the model, its recorded parameters and the user's options differ. The
flatbuffer is what runs: its shape and type win. Its last layer wins too, except where a shape fits several detectors or
none: only the parameters decide that, as they distinguish a spectrogram from a picture. Options win over both. Every
difference is a finding.

`metadata.json` beside a plain model file, as `unpack` wrote it, is read by `read_beside`.

`find_labels` looks for labels in text files beside or above a model, or beside its zip, where the export records none.
Published exports have them as `labels.txt`, `trained_labels.txt`, `traffic-sign-labels.txt`, `ei_classifier_labels.txt`
and the like, in the model's folder or above it. A file counts where its number of labels is that of the model's classes
and nothing speaks against it: another file as near that disagrees, another model below the same folder, another export
beside the zip. What does not count is named in the hint of the finding that there are no labels (EI301).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

from convert import options, report, types
from convert.errors import ConvertError, InputError, NoModelError, UnsupportedModelError
from convert.export.archive import BY_NAME, FOUND_BESIDE, LABEL_FILE, Tree
from convert.export.facts import class_count, takes_no_pictures
from convert.export.models import EXTRA_MODEL, ONNX_FORMS, Candidate, ListedModel, Listing, describe, left_over
from convert.export.parameters import CONTRADICTION, UNREADABLE_PARAMETER
from convert.files import sha256
from convert.findings import Finding, Rule
from convert.heads import ANOMALY, CLASSIFIER, FOMO, NOT_IMAGE, UNKNOWN, base, head, is_quantized, refuse_unsupported

UNREADABLE_EXTRA = Rule("EI105")
OVERRIDDEN = Rule("EI107")
ANOTHER_MODELS_DOCUMENT = Rule("EI108")
CONDITIONAL_ARRAY = Rule("EI111")
TWIN = Rule("EI112")

_MAX_FINDINGS = 10  # about models that were not chosen: a repository may hold hundreds
_WITH_FLATBUFFER: Final = frozenset({None, "none", "tflite", "tflite_full"})
"""Inferencing engines whose libraries hold a flatbuffer, or where nothing is recorded."""

_DEPLOYMENT: Final = "a deployment of Edge Impulse (C++ or Arduino library),"
_LITE: Final = "download TensorFlow Lite (float32) from the Dashboard instead"
_INSTEAD: Final = (
    (".weights.h5", "the weights of a Keras model without its layers", _LITE),
    (".pb", "a graph of TensorFlow without weights or signature", _LITE),
    (".eim", "an .eim executable, out of which the model cannot be taken", _LITE),
    (".zip", "a zip", "give that zip, if it is an export"),
)
"""How the name of a file ends that people take for the model -> what it is, and what to do; the first one counts."""

_COPY: Final = re.compile(r"(?:\s*\(\d+\)|\s+-\s+copy|[-_ ]copy)+$", re.IGNORECASE)
"""What browsers and file managers put behind the name of a second copy."""

_DASHBOARD: Final = re.compile(r"-tensorflow-lite-[a-z0-9-]+-model(?:\.\d+)?$", re.IGNORECASE)
"""What Edge Impulse's Dashboard puts behind the project and block: "-tensorflow-lite-float32-model.5"."""

_LONGEST_NAME: Final = 255
"""Characters of a name that are looked at: more than file systems allow, but a zip may hold longer ones, and the time
that `_COPY` and `_DASHBOARD` take grows with the square."""

_GENERIC: Final = re.compile(
    r"(?:tflite[-_]?(?:trained|learn)?|trained(?:[-_.](?:tflite|model|h5|savedmodel))?|saved_?model|config|model|network|export|unnamed|src|lib(?:rary)?)"
    r"(?:[-_]?\d)*(?:[-_]compiled)?",
    re.IGNORECASE,
)
"""Names that do not describe the model."""

_SUFFIXES: Final = (
    ".zip", ".pb", ".json", ".keras", ".h5", ".tflite", ".lite", ".h", ".hpp", ".c", ".cc", ".cpp", ".onnx",
)  # fmt: skip
_NOT_DETECTED: Final = frozenset({NOT_IMAGE, ANOMALY})
_MAX_SIZE: Final = 1 << 20  # bytes; a document has about 5 kB, a list of labels less


def choose(listing: Listing, wanted: str | None, tree: Tree, *, quantized: bool = False) -> ListedModel:
    """The model to convert.

    Args:
        wanted: a symbol, file, impulse number or name, or a place in the list ("#2", or "2" where no impulse has that
            number); None: there must be only one in use.
        quantized: of a network in float32 and its quantized twin take the twin.

    Raises:
        InputError: there is none, there are several, it cannot be read, or `wanted` names none or several of them.
        UnsupportedModelError: it is in a form that holds no flatbuffer.
    """
    entry = the_model(listing, tree, quantized=quantized) if wanted is None else _named(listing, wanted, tree)
    if entry.candidate.problem is not None:
        raise entry.candidate.problem
    return entry


def the_model(listing: Listing, tree: Tree, *, quantized: bool = False) -> ListedModel:
    """The only picture model in use, else the only model in use; whether it can be read is not asked.

    Of several the only one that can be converted, where a network in float32 stands for its quantized twin, or, with
    `quantized`, the twin for it.

    Raises:
        NoModelError: there is none, or there are several.
        UnsupportedModelError: there are several, none of which takes pictures or can be converted.
    """
    if not listing.entries:
        raise no_model(listing, tree)
    used = _distinct([entry for entry in listing.entries if entry.used])
    pictures = [entry for entry in used if entry.is_picture_model]
    # Beside the only model, an ONNX copy or an empty array makes no choice necessary.
    models = [entry for entry in pictures if entry.candidate.form not in {"none", *ONNX_FORMS}]
    found = models or pictures or used
    if len(found) == 1:
        return found[0]
    problems = [refusal(entry.candidate, entry.metadata) for entry in found]
    fit = [entry for entry, problem in zip(found, problems, strict=True) if problem is None]
    fit = one_of_twins(fit, quantized=quantized)
    if len(fit) == 1:
        return fit[0]
    if not found:
        names = ", ".join(listing.missing) or "another model"
        message = f"model_variables.h runs {names}, which is not in the export; what is there is not in use:\n"
        hint = "export the library again, or name one of these with --model if you know that it is right"
        raise NoModelError(message + describe(listing.entries), path=tree.source, hint=hint)
    if not pictures:
        message = f"the export holds {len(found)} models, but no classifier or detector of pictures:\n"
        hint = "Gst-nvinfer runs no other; unpack --model takes one out all the same, for example --model "
        hint += _shortest(found[0], found)
        raise UnsupportedModelError(message + describe(found), path=tree.source, hint=hint)
    if not fit:
        first = problems[0]
        assert first is not None
        message = (
            f"the export holds {len(found)} models, none of which can be converted:\n{describe(found)}\n"
            f"the first: {first.message}"
        )
        raise UnsupportedModelError(message, path=tree.source, hint=first.hint)
    message = f"the export holds {len(found)} models:\n" + describe(found)
    # As an example of what to choose the first that needs no --dequantize, else the first.
    floats = (item for item in fit if item.candidate.facts and item.candidate.facts.quantization == "float32")
    hint = f"name one with --model, for example --model {_shortest(next(floats, fit[0]), found)}"
    raise NoModelError(message, path=tree.source, hint=hint)


def others(listing: Listing, chosen: ListedModel, tree: Tree) -> tuple[Finding, ...]:
    """Findings about the models that were not chosen, and about how the chosen one is stored."""
    findings: list[Finding] = []
    for entry in listing.entries:
        candidate = entry.candidate
        path = tree.name_of(candidate.member)
        if entry is chosen or (candidate.data and candidate.data == chosen.candidate.data):
            continue
        if is_twin(candidate, chosen.candidate):
            assert candidate.facts is not None
            message = f"{candidate.called} was not converted: it is the same network in {candidate.facts.quantization}"
            findings.append(TWIN.found(message, path=path))
        elif candidate.problem is None or candidate.problem.code != "input":
            message = f"{candidate.called} was not converted ({'also' if entry.used else 'not'} in use)"
            if entry.used and (cause := refusal(candidate, entry.metadata)):
                message += ": " + cause.message.removeprefix("this model cannot be converted: ")
            findings.append(EXTRA_MODEL.found(message, path=path))
        else:
            findings.append(UNREADABLE_EXTRA.found(candidate.problem.message, path=path))
    if len(findings) > _MAX_FINDINGS:
        rest = len(findings) - _MAX_FINDINGS
        message = f"{rest} further models were not converted"
        findings = [*findings[:_MAX_FINDINGS], EXTRA_MODEL.found(message, path=tree.source)]
    if not chosen.used and chosen.block is None and chosen.candidate.symbol and listing.libraries:
        findings.append(left_over(chosen, tree))
    if chosen.candidate.conditional:
        message = f"array {chosen.candidate.symbol} stands in a branch of #if that is not compiled"
        findings.append(CONDITIONAL_ARRAY.found(message, path=tree.name_of(chosen.candidate.member)))
    return tuple(findings)


def refusal(candidate: Candidate, metadata: types.Metadata) -> ConvertError | None:
    """Why `candidate`, of which `metadata` is recorded, cannot be converted; None where it can."""
    if candidate.problem is not None:
        return candidate.problem
    assert candidate.facts is not None
    metadata, facts, _ = reconcile(metadata, candidate.facts, candidate.tasks, candidate.member)
    export = types.Export(candidate.data, "", candidate.form, candidate.member, "", metadata, facts, candidate.format)
    try:
        refuse_unsupported(export, rewritten=True)
        if is_quantized(export):
            from convert.export.dequantize import dequantize  # brings the schema classes

            dequantize(candidate.data)
    except UnsupportedModelError as error:
        return error
    return None


def one_of_twins(entries: list[ListedModel], *, quantized: bool) -> list[ListedModel]:
    """Without the twins of networks in float32; `quantized`: the twins alone, where there are any."""
    if len(entries) < 2:
        return entries
    twins = [entry for entry in entries if any(is_twin(entry.candidate, other.candidate) for other in entries)]
    return twins if quantized and twins else [entry for entry in entries if not any(entry is each for each in twins)]


def is_twin(candidate: Candidate, other: Candidate) -> bool:
    """Whether `candidate` is the network of `other`, which is float32, in another number format.

    Their constants tell: quantizing a trained network rounds each weight to the nearest of its steps. Another network
    of the same layers, or the same one trained once more, is further away.
    """
    mine, its = candidate.facts, other.facts
    if mine is None or its is None or types.ModelFormat.ONNX in {candidate.format, other.format}:
        return False
    if its.quantization != "float32" or mine.quantization == "float32" or mine.input.shape != its.input.shape:
        return False
    from convert.export.dequantize import same_weights  # brings the schema classes

    return same_weights(candidate.data, other.data)


def _named(listing: Listing, wanted: str, tree: Tree) -> ListedModel:
    """The entry `wanted` means: a whole path, else a name, else an impulse's number, else a place in the list."""
    wanted, entries = wanted.strip(), listing.entries
    matches = (
        [entry for entry in entries if wanted in {entry.candidate.member, entry.candidate.header}],
        [entry for entry in entries if wanted in _names(entry)],
        [entry for entry in entries if wanted.casefold() == (entry.metadata.impulse_name or "").casefold()],
        [entry for entry in entries if wanted == str(entry.metadata.impulse_id)],
        [entry for entry in entries if wanted.removeprefix("#") == str(entry.number)],
    )
    found = next((match for match in matches if match), [])
    # An impulse has more than one block: its picture model is meant, and of that the one in use.
    found = [entry for entry in found if entry.is_picture_model] or found
    found = [entry for entry in found if entry.used and entry.is_picture_model] or found
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


def _names(entry: ListedModel) -> set[str]:
    candidate = entry.candidate
    paths = {candidate.member, candidate.header}
    files = {PurePosixPath(path).name for path in paths} | {PurePosixPath(path).stem for path in paths}
    qualified = f"{candidate.namespace}::{candidate.symbol}" if candidate.namespace else candidate.symbol
    return (paths | files | {candidate.symbol, qualified}) - {""}


def _distinct(entries: Sequence[ListedModel]) -> list[ListedModel]:
    """Without further copies of the same bytes: a header's array and the same model as a file."""
    kept: dict[bytes | int, ListedModel] = {}
    for entry in entries:
        kept.setdefault(entry.candidate.data or entry.number, entry)
    return list(kept.values())


def _shortest(entry: ListedModel, entries: Sequence[ListedModel]) -> str:
    """A name that means this entry alone, as a shell takes it: there, a bare #1 starts a comment."""
    candidate = entry.candidate
    for name in (candidate.symbol, candidate.stem, candidate.member):
        if name and all(entry is item or name not in _names(item) for item in entries):
            return shlex.quote(name)
    return f"'#{entry.number}'"


def no_model(listing: Listing, tree: Tree) -> ConvertError:
    """Why there is no model in `tree`, where `listing` has what is recorded.

    Returns:
        `UnsupportedModelError` where it was never in this kind of export, else `NoModelError`; neither is raised.
    """
    kind = {"zip": "this zip", "folder": "this folder", "file": "this file"}[tree.kind]
    engines = {block.metadata.engine for library in listing.libraries for block in library.recorded.blocks}
    for engine in sorted(engine for engine in engines if engine is not None):
        if (error := without_flatbuffer(engine)) is not None:
            error.path = str(tree.source)
            return error
    if engines == {"none"}:
        message = "the export says that it runs no neural network (inferencing engine NONE)"
        hint = "add a learning block for pictures to the impulse and train it; Gst-nvinfer runs nothing else"
        return UnsupportedModelError(message, path=tree.source, hint=hint)
    if listing.missing:
        message = f"the model that this export runs is not in {kind}: {', '.join(listing.missing)}"
        hint = "give the whole library (the model is a .cpp, .h or .tflite of about that name in tflite-model/)"
        return NoModelError(message, path=tree.source, hint=f"{hint}, or a .lite file from Edge Impulse's Dashboard")
    for end, what, hint in _INSTEAD:
        # Those first that are called as Edge Impulse calls what it gives: `ei-<project>-...`.
        paths = [path for path in tree.members if path.lower().endswith(end)]
        if found := sorted(paths, key=lambda path: not PurePosixPath(path).name.startswith("ei-")):
            more = f" and {len(found) - 1} more" if len(found) > 1 else ""
            message = f"there is no model in {kind}, but {what}: {found[0]}{more}"
            packed = (end, tree.kind) == (".zip", "zip")
            return NoModelError(message, path=tree.source, hint=f"unpack it and {hint}" if packed else hint)
    for pattern, kind_ in BY_NAME:
        found = [path for path in tree.members if pattern.fullmatch(PurePosixPath(path).name)]
        if found:
            message = f"there is no model in {kind}, but {kind_.words}: {found[0]}"
            return NoModelError(message, path=tree.source, hint=kind_.hint)
    library = "the whole library, its tflite-model/ folder too," if listing.libraries else _DEPLOYMENT
    message = (
        f"there is no model in {kind}: no tflite-trained.h, tflite_learn_*.h, *_compiled.cpp, .tflite, .lite or .onnx "
        "file"
    )
    return NoModelError(message, path=tree.source, hint=f"give {library} or a .lite file from Edge Impulse's Dashboard")


def without_flatbuffer(engine: str | None) -> UnsupportedModelError | None:
    """Why a library for `engine` holds no model; None where it holds one."""
    if engine in _WITH_FLATBUFFER:
        return None
    message = f"the export is for the inferencing engine {str(engine).upper()}, whose model is not in it"
    hint = "download TensorFlow Lite (float32) from the Dashboard, or choose the deployment C++ library"
    return UnsupportedModelError(message, hint=hint)


def bundle_name(
    given: str | None, recorded: str, metadata: types.Metadata, source: Path, member: str, *, several: bool
) -> str:
    """The name, as a slug.

    Args:
        given: the user's; it goes before all.
        recorded: what `unpack` called this model before, or empty.
        source: the zip, folder or file the user named; `member` the model's path in it.
        several: the export runs several picture models: impulse and block are part of the name.
    """
    if given or recorded:
        return types.slug(given or recorded)
    if metadata.project_name and types.slug(metadata.project_name) != "model":
        block = "" if metadata.block_id is None else str(metadata.block_id)
        parts = [metadata.project_name, *((metadata.impulse_name or "", block) if several else ())]
        return types.slug("-".join(part for part in parts if part))
    places = [member, source.name, *(parent.name for parent in source.absolute().parents)]
    stems = (_stem(place) for place in places)
    return next((types.slug(stem) for stem in stems if stem and not _GENERIC.fullmatch(stem)), "model")


def _stem(path: str) -> str:
    """A file's or folder's name without extension, copy marks and the Dashboard's ending."""
    name = PurePosixPath(path).name[:_LONGEST_NAME]
    # Both "name (1).zip" and "name.zip (1)" occur.
    name = _COPY.sub("", name)
    if name.lower().endswith(_SUFFIXES):
        name = name[: name.rindex(".")]
    return _DASHBOARD.sub("", _COPY.sub("", name))


def reconcile(
    metadata: types.Metadata, facts: types.ModelFacts, tasks: tuple[str, ...], path: str
) -> tuple[types.Metadata, types.ModelFacts, tuple[Finding, ...]]:
    """Metadata without what the model disproves, facts with the task the parameters make clear, and the differences.

    Args:
        tasks: what the model's last layer can be, `convert.export.facts.possible_tasks`.
        path: the model, as findings should name it.
    """
    if metadata == types.Metadata():
        return metadata, facts, ()
    findings: list[Finding] = []
    no_pictures = takes_no_pictures(metadata)
    metadata, differences = _shape(metadata, facts)
    is_quantized = facts.quantization not in {"float32", "float16-weights"}
    if metadata.quantized is not None and metadata.quantized != is_quantized:
        differences.append(
            f"a {'quantized' if metadata.quantized else 'float32'} model, but it is {facts.quantization}"
        )
    metadata = replace(metadata, quantized=is_quantized if metadata.quantized is not None else None)
    if differences:
        message = "the parameters record " + "; ".join(differences)
        findings.append(CONTRADICTION.found(message, path=path))
    recorded, different = metadata.task, ""
    if no_pictures and facts.task not in _NOT_DETECTED:
        different = f"its input has the shape of pictures, but the parameters record the sensor {metadata.sensor}"
        if metadata.sensor in {"fusion", "unknown"}:
            different += " and no size of pictures"
        different += f"; say --task {facts.task} if it takes pictures"
        facts = replace(facts, task=NOT_IMAGE)
    elif facts.task == FOMO and metadata.has_anomaly and recorded in {CLASSIFIER, ANOMALY}:
        facts = replace(facts, task=ANOMALY)  # FOMO-AD: the grid holds scores of anomaly, and no detector is recorded
    elif recorded not in {None, UNKNOWN, facts.task} and facts.task != NOT_IMAGE:
        assert recorded is not None
        if recorded in tasks or (facts.task == UNKNOWN and recorded != CLASSIFIER):
            facts = replace(facts, task=recorded)
        else:
            different = f"the parameters record the last layer {recorded}, but its outputs are those of {facts.task}"
    if different:
        findings.append(CONTRADICTION.found(different, path=path))
    return metadata, facts, tuple(findings)


def _shape(metadata: types.Metadata, facts: types.ModelFacts) -> tuple[types.Metadata, list[str]]:
    """Metadata with the model's picture size and colour, and what was recorded instead."""
    shape = facts.input.shape
    if len(shape) != 4 or facts.task in _NOT_DETECTED:
        return metadata, []
    _, height, width, channels = shape
    recorded = (metadata.height, metadata.width, metadata.channels)
    differences: list[str] = []
    if any(mine is not None and mine != its for mine, its in zip(recorded, shape[1:], strict=True)):
        spelled = "x".join("?" if size is None else str(size) for size in recorded)
        differences.append(f"pictures of {spelled} (HxWxC), but it takes {height}x{width}x{channels}")
    color = {1: types.Color.GRAY, 3: types.Color.RGB}.get(channels or 0)
    if metadata.color is not None and color is not None and metadata.color is not color and not differences:
        differences.append(f"the colour {metadata.color.value}, but it takes {color.value}")
    return replace(metadata, height=height, width=width, channels=channels, color=color), differences


def with_options(
    metadata: types.Metadata, facts: types.ModelFacts, given: Mapping[str, Any], task: str | None
) -> tuple[types.Metadata, types.ModelFacts, tuple[Finding, ...]]:
    """Metadata and facts with the options, and a note on each value that was recorded differently.

    Args:
        given: members of `Metadata` that options give; None: they do not.
        task: the head that an option names.
    """
    findings: list[Finding] = []
    for name, value in given.items():
        recorded = getattr(metadata, name)
        if value is None:
            continue
        if recorded is not None and recorded != value:
            new, old = (";".join(each) if isinstance(each, tuple) else each for each in (value, recorded))
            findings.append(OVERRIDDEN.found(f"--{name.replace('_', '-')} {new} replaces the recorded {old}"))
        metadata = replace(metadata, **{name: value})
    if task is not None and task is not facts.task:
        findings.append(OVERRIDDEN.found(f"--task {task} replaces {facts.task}, which the model looks like"))
        facts = replace(facts, task=task)
    return metadata, facts, tuple(findings)


@dataclass(frozen=True, slots=True)
class Beside:
    """What was found beside a model.

    Attributes:
        metadata: None when there was nothing.
        name: what `unpack` called the model, empty when it did not.
    """

    metadata: types.Metadata | None = None
    name: str = ""
    findings: tuple[Finding, ...] = ()


def read_beside(tree: Tree, candidate: Candidate) -> Beside:
    """The `metadata.json` in the folder of `candidate`.

    Raises:
        InputError: it is of this very model and damaged, or cannot be read.
    """
    path = str(PurePosixPath(candidate.member).parent / report.METADATA)
    if path not in tree.members:
        return Beside()
    shown = tree.name_of(path)
    try:
        unpacked = report.UnpackedModel.parse(tree.read(path, _MAX_SIZE), Path(shown))
    except (ValueError, RecursionError) as error:
        finding = UNREADABLE_PARAMETER.found(f"it is no JSON: {error}", path=shown, hint="run unpack again")
        return Beside(findings=(finding,))
    if unpacked is None:
        return Beside()  # another program's file of that name
    if unpacked.sha256 != sha256(candidate.data):
        message = f"it was written for the model {unpacked.sha256[:12]}..., not for this one"
        return Beside(findings=(ANOTHER_MODELS_DOCUMENT.found(message, path=shown),))
    return Beside(unpacked.metadata, unpacked.name)


_ABOVE: Final = PurePosixPath("..")  # of a single file's folder; for a zip the one that it lies in
_USUAL: Final = "labels.txt"
_MAX_FILES: Final = 20
_MAX_SHOWN: Final = 5  # labels in a message
_MODELS: Final = (".tflite", ".lite", ".onnx")
_WITHOUT_LABELS: Final = frozenset({ANOMALY, UNKNOWN})


@dataclass(frozen=True, slots=True)
class FoundLabels:
    """What label files say.

    Attributes:
        labels: in output order; None: no file counts.
        file: the name of the one that does.
        hint: which files may hold them all the same, and why they do not count.
    """

    labels: tuple[str, ...] | None = None
    file: str = ""
    hint: str = ""
    findings: tuple[Finding, ...] = ()


def find_labels(tree: Tree, candidate: Candidate, facts: types.ModelFacts | None) -> FoundLabels:
    """The labels of `candidate` in the files of `tree`; the nearest folder that has any decides.

    Args:
        facts: of the model, with the task that is meant; None: it cannot be read, and has no labels.
    """
    folder = PurePosixPath(candidate.member).parent
    classes = None if facts is None or facts.task in _WITHOUT_LABELS else _classes(candidate, facts)
    hints: list[str] = []
    findings: list[Finding] = []
    for level in (folder, *folder.parents, _ABOVE):
        fitting: dict[str, tuple[str, ...]] = {}
        for path in _label_files(tree, level, candidate):
            said = str(tree.outside.get(path, path))
            usual = level == folder and PurePosixPath(path).name == _USUAL
            try:
                text = tree.read(path, _MAX_SIZE).decode("utf-8-sig")
            except (InputError, UnicodeDecodeError) as error:
                what = "no UTF-8" if isinstance(error, UnicodeDecodeError) else error.message
                hints.append(f"{said} cannot be read: {what}")
                if usual:
                    message = f"the labels are {what}" if isinstance(error, UnicodeDecodeError) else what
                    findings.append(UNREADABLE_PARAMETER.found(message, path=tree.name_of(path)))
                continue
            found = options.labels_in(text)
            labels = _fitted(found, classes, facts)
            if labels is not None and (usual or classes is not None):
                fitting[path] = labels
                continue
            of_classes = "" if classes is None else f" for {classes} classes"
            hints.append(f"{said} has {len(found)} label{'' if len(found) == 1 else 's'}{of_classes}")
            if usual:
                message = "it does not hold this model's labels"
                if classes is not None:
                    message += f": their number is {len(found)}, that of the classes {classes}"
                findings.append(UNREADABLE_PARAMETER.found(message, path=tree.name_of(path)))
        if not fitting:
            continue
        named = [str(tree.outside.get(path, path)) for path in fitting]
        if len(set(fitting.values())) > 1:
            hints.append(f"{' and '.join(named)} fit and disagree")
        elif level != folder and (other := _another_model(tree, level, folder, next(iter(fitting)))):
            hints.append(f"{named[0]} may be that of {other}")
        else:
            path, labels = next(iter(fitting.items()))
            shown = ", ".join(labels[:_MAX_SHOWN]) + (", ..." if len(labels) > _MAX_SHOWN else "")
            what = "label was" if len(labels) == 1 else f"{len(labels)} labels were"
            message = f"the {what} read from {PurePosixPath(path).name}: {shown}"
            findings.append(FOUND_BESIDE.found(message, path=tree.name_of(path)))
            return FoundLabels(labels, PurePosixPath(path).name, findings=tuple(findings))
        break
    return FoundLabels(hint="; ".join(hints), findings=tuple(findings))


def _label_files(tree: Tree, level: PurePosixPath, candidate: Candidate) -> list[str]:
    """The label files in the folder `level`: those that are called after the model, else those of no other model."""
    inside = [path for path in tree.members if PurePosixPath(path).parent == level]
    files = [path for path in inside if LABEL_FILE.fullmatch(PurePosixPath(path).name)][:_MAX_FILES]
    own = PurePosixPath(candidate.header or candidate.member).stem.casefold()
    models = [path for path in inside if path.lower().endswith(_MODELS)]
    if level == _ABOVE and tree.kind == "zip":
        own, models = tree.source.stem.casefold(), list(tree.others)
    others = {PurePosixPath(path).stem.casefold() for path in models} - {own}

    def is_about(path: str, stem: str) -> bool:
        return stem in PurePosixPath(path).stem.casefold()

    mine = [path for path in files if is_about(path, own)]
    return mine or [path for path in files if not any(is_about(path, other) for other in others)]


def _classes(candidate: Candidate, facts: types.ModelFacts) -> int | None:
    """How many classes the model has, background not counted; None where only the conversion tells."""
    if head(facts.task).is_cut and candidate.format is types.ModelFormat.TFLITE:
        from convert.heads.ssd import read_postprocess  # brings the schema classes

        try:
            return read_postprocess(candidate.data).classes
        except ConvertError:
            return None  # refused later, with the reason
    return class_count(facts)


def _fitted(labels: tuple[str, ...], classes: int | None, facts: types.ModelFacts | None) -> tuple[str, ...] | None:
    """The labels as the model's; None where they are not. Lists for detectors may start with background."""
    if facts is None or facts.task in _WITHOUT_LABELS or not labels:
        return None
    is_background = facts.task == FOMO or (head(facts.task).detects and labels[0].lower() in base.BACKGROUND)
    if classes == len(labels) - 1 and is_background:
        return labels[1:]
    return labels if classes in {None, len(labels)} else None


def _another_model(tree: Tree, level: PurePosixPath, folder: PurePosixPath, labels: str) -> str:
    """A model file below `level` that is in another folder than `folder`, or an export beside the zip that `labels` is
    not called after; empty: there is none."""
    if level == _ABOVE and tree.kind == "zip":
        level = PurePosixPath()
        if tree.others and tree.source.stem.casefold() not in PurePosixPath(labels).stem.casefold():
            return tree.others[0]
    for path in tree.members:
        place = PurePosixPath(path).parent
        if path.lower().endswith(_MODELS) and place != folder and (level in {place, *place.parents}):
            return path
    return ""
