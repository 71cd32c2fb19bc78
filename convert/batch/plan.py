"""Values of a batch: manifests and searches (`convert.batch.plan`) give models, models give jobs, jobs give outcomes.

Jobs and outcomes cross process and machine borders, so they are frozen, picklable and hold nothing that is open.
`execute` runs the same stages as `ei-deepstream convert`: the same export and options give the same bytes.

A manifest is TOML with `[defaults]` and one `[[model]]` for each export, pair of exports, or glob:

    [defaults]
    target = "6.2"

    [[model]]
    export = "exports/door.zip"
    name = "door"
    role = "pgie"

    [[model]]
    export = "weekly/*/export.zip"
    name = "{parent}"

    [[model]]
    pgie = "finder.zip"
    sgie = "kinds.zip"

An export may lie in Studio: `export = "studio:ID"`. Models without a name are called after their files; of the same
name they are told apart. Every option
of `convert` has its name there. Paths are relative to the manifest. An unknown key is refused with its line: a mistyped
option must not become a default.

A folder is searched to its depths: what is an export there, a file by its name or a library by what lies in it, is one
model, and nothing below it is looked at. Left out are hidden folders, the output folder, bundles of earlier runs, and
what other programs put beside an export. A folder directly below the one given in which nothing is found is a model all
the same, and its conversion says what it holds instead: a person who put it there expects an answer.

What a person names must be converted; what a search finds need not be suitable (`ModelRequest.found`).
"""

from __future__ import annotations

import difflib
import glob
import os
import re
import time
import tomllib
import traceback
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, NoReturn

from convert import errors, files, isolation, report, types
from convert.export import archive, choose
from convert.findings import Finding, Level, Rule, worst
from convert.options import ConvertOptions, is_in_studio, settle_target, table

if TYPE_CHECKING:
    from convert.pipeline import Event, Record, Run

SAME_NAME = Rule("EI806")
TOO_DEEP = Rule("EI807")

DEPTH: Final = 12
"""Levels of folders below the one given that are searched; a repository with its libraries has six."""

FOLDERS: Final = 20_000
"""Folders that are searched; so many are no folder of exports, but a whole disk."""

LONGEST_NAME: Final = 100
"""Characters of a model's name; file systems allow 255 bytes, and the names of a bundle's files begin with it."""

_SUFFIXES: Final = (".zip", ".lite", ".tflite", ".onnx")
_KERAS: Final = (".keras", ".h5")
"""Files that count where a folder has none of the others: beside them they hold the same network."""

_LIBRARY: Final = (
    *("model-parameters", "tflite-model", "onnx-model", "edge-impulse-sdk"),
    *("src/model-parameters", "src/tflite-model", "src/edge-impulse-sdk"),
)
"""At the top of Edge Impulse's C++ and Arduino libraries is one of these."""

_MODEL_SOURCE: Final = re.compile(
    r"(?:tflite|onnx)[-_](?:trained|learn).*\.(?:h|hpp|c|cc|cpp)|trained_model.*\.(?:h|hpp|c|cc|cpp)", re.IGNORECASE
)
"""Files that Edge Impulse writes into `tflite-model/`; people copy them out of it."""


@dataclass(frozen=True)
class ModelRequest:
    """One model to convert.

    Attributes:
        name: of its folder.
        export: with `sgie` a detector's.
        options: given for this model, by their Python names.
        manifest: where it stands; with its 1-based line where that is known.
        is_given: a person chose the name; it is kept as it is.
        found: by a glob or in a folder: nobody said that it can be converted.
    """

    name: str
    export: Path
    sgie: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    manifest: Path | None = None
    line: int | None = None
    is_given: bool = False
    found: bool = False


def short_name(export: Path) -> str:
    """The name of a model where none is given: its file's, or that of the nearest folder with a telling name."""
    return choose.bundle_name(None, "", types.Metadata(), export, "", several=False)


def is_glob(pattern: str, base: Path = Path()) -> bool:
    """Whether `pattern` is one, and not the name of a file that holds such characters."""
    return glob.has_magic(pattern) and not (base / pattern).exists()


def expand(pattern: str, base: Path) -> tuple[Path, ...]:
    """The paths that `pattern` names, relative to `base`: itself, or sorted what a glob (`*`, `?`, `[]`, `**`) matches.

    Raises:
        InputError: a glob that matches nothing.
    """
    if is_in_studio(pattern):
        return (Path(pattern),)
    if not is_glob(pattern, base):
        return (base / pattern,)
    # Path.glob takes no absolute patterns.
    matches = sorted(glob.glob(pattern, root_dir=base, recursive=True))  # noqa: PTH207
    if not matches:
        raise errors.InputError("nothing matches this pattern", path=pattern, hint="check the folder it starts in")
    return tuple(base / match for match in matches)


def find_models(words: Iterable[str], output: Path | None = None) -> tuple[Collection[ModelRequest], list[Finding]]:
    """The models that plain paths, globs and folders of exports name, each once, and findings about the search.

    Args:
        output: the folder that is written into; it is not searched.

    Raises:
        InputError: a glob matches nothing, or a folder is too large to be searched.
    """
    search = _Search(output)
    models: dict[Path, ModelRequest] = {}
    for word in words:
        by_glob = is_glob(word)
        for place in expand(word, Path()):
            for path in search(place):
                found = by_glob or path != place
                if found and _is_bundle(path.parent):
                    continue
                if path not in models or not found:
                    models[path] = ModelRequest(short_name(path), path, found=found)
    return models.values(), search.findings


class _Search:
    """Looks for exports below folders; a folder that two of them lead to, by links, is searched once."""

    def __init__(self, output: Path | None) -> None:
        self.findings: list[Finding] = []
        self._output = None if output is None else _identity(output)
        self._seen: set[tuple[int, int]] = set()

    def __call__(self, place: Path) -> tuple[Path, ...]:
        """`place` itself where it is, or can only be, an export; what lies below it where it is a folder of exports."""
        if not place.is_dir() or _is_library(place):
            return (place,)
        self._seen = {identity for identity in (_identity(place),) if identity}
        return tuple(self._below(place, place, 1)) or (place,)

    def _below(self, folder: Path, top: Path, level: int) -> Iterator[Path]:
        try:
            inside = sorted(folder.iterdir())
        except OSError:
            yield folder  # its conversion says why
            return
        has_others = any(path.name.lower().endswith(_SUFFIXES) for path in inside)
        suffixes = _SUFFIXES if has_others else _KERAS
        for path in inside:
            if path.name.startswith("."):
                continue
            if not path.is_dir():
                if path.name.lower().endswith(suffixes):
                    yield path
            elif path.name not in archive.IGNORED_FOLDERS and self._is_new(path, top) and not _is_bundle(path):
                found = [path] if _is_library(path) else self._deeper(path, top, level)
                yield from found or ([path] if level == 1 else [])

    def _deeper(self, folder: Path, top: Path, level: int) -> list[Path]:
        if level <= DEPTH:
            return list(self._below(folder, top, level + 1))
        message = f"what lies more than {DEPTH} levels below {top} was not searched"
        if not any(finding.message == message for finding in self.findings):
            self.findings.append(TOO_DEEP.found(message, path=folder, hint=TOO_DEEP.fix))
        return []

    def _is_new(self, folder: Path, top: Path) -> bool:
        identity = _identity(folder)
        if identity is None or identity in self._seen or identity == self._output:
            return False
        self._seen.add(identity)
        if len(self._seen) > FOLDERS:
            message = f"more than {FOLDERS} folders lie below it"
            hint = "give the folders that hold the exports, or a glob such as 'weekly/*/export.zip'"
            raise errors.InputError(message, path=top, hint=hint)
        return True


def _identity(folder: Path) -> tuple[int, int] | None:
    """What is the same for two names of one folder (stat(2): device and inode); None where it is not there."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_library(folder: Path) -> bool:
    if any((folder / name).exists() for name in _LIBRARY):
        return True
    try:
        names = os.listdir(folder)  # noqa: PTH208 - no Path for each
    except OSError:
        return False
    is_saved = {"saved_model.pb", "variables"} <= {*names} and not any(
        each.lower().endswith(_SUFFIXES) for each in names
    )
    return is_saved or any(_MODEL_SOURCE.fullmatch(name) for name in names)


def _is_bundle(folder: Path) -> bool:
    """Whether `convert` or `batch` has written it; the ONNX model in it is no export."""
    return (folder / report.REPORT).exists() and next(folder.glob("config_infer_*"), None) is not None


def named_apart(models: Sequence[ModelRequest]) -> tuple[tuple[ModelRequest, ...], tuple[Finding, ...]]:
    """`models` with names that differ, also where case is ignored as on macOS and Windows; and a finding for each name.

    Those that a person gave are kept; where two of these are the same, they still are.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for place, model in enumerate(models):
        groups[model.name.lower()].append(place)
    same = [group for group in groups.values() if len(group) > 1 and not all(models[place].is_given for place in group)]
    renamed = {place for group in same for place in group if not models[place].is_given}
    taken = {model.name.lower() for place, model in enumerate(models) if place not in renamed}
    apart = list(models)
    for place in sorted(renamed):
        model = models[place]
        name = _free(_project(model) or model.name, taken)
        taken.add(name.lower())
        apart[place] = replace(model, name=name)
    findings = []
    for group in same:
        now = [f"{apart[place].name} ({models[place].export})" for place in group]
        more = f" and {len(now) - 4} more" if len(now) > 4 else ""
        message = (
            f"{len(now)} exports are called {models[group[0]].name!r}; their bundles are {', '.join(now[:4])}{more}"
        )
        findings.append(SAME_NAME.found(message, hint=SAME_NAME.fix))
    return tuple(apart), tuple(findings)


def _free(name: str, taken: set[str]) -> str:
    """`name`, or with the first number behind it that makes it a new one."""
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        end = f"-{number}"
        free = name[: LONGEST_NAME - len(end)].rstrip("-") + end
    return free


def _project(model: ModelRequest) -> str:
    """The name of the project an export is of, as a slug; empty where none is recorded or it cannot be read."""
    if model.sgie is not None:
        return ""
    from convert.export.unpack import inspect  # brings numpy; names are seldom the same

    try:
        recorded = inspect(model.export).project.project_name
    except (errors.ConvertError, OSError):
        return ""
    return types.slug(recorded) if recorded and types.slug(recorded) != "model" else ""


BUG = 70
"""The exit code of a fault in this program (EX_SOFTWARE of sysexits.h), as with `convert`."""

NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{LONGEST_NAME - 1}}}")
"""Valid names of models: they name a folder, and the files of a bundle."""

_LARGEST = 4 << 20  # bytes; ten thousand models take one MiB
_MODEL_KEYS = ("export", "name", "pgie", "sgie")  # keys of a model that are no options
_PAIR_OPTIONS = ("role", "operate-on-gie-id")  # a pair decides them
_PLACEHOLDER = re.compile(r"\{(?:stem|parent)\}")


class State(StrEnum):
    """What became of a job."""

    DONE = "done"
    """Converted and written."""
    WRONG = "wrong"
    """A finding of level error ended it; nothing was written."""
    FAILED = "failed"
    """An error, a crash or a limit ended it; nothing was written."""
    UNSUITABLE = "unsuitable"
    """It was read, and there is nothing in it to convert: no model, one that no way leads to, or several of which one
    has to be chosen."""
    UNCHANGED = "unchanged"
    """Nothing was done: the folder already holds what a conversion would write."""
    RESTORED = "restored"
    """Written again from the cache, without a conversion."""


GOOD = frozenset({State.DONE, State.UNCHANGED, State.RESTORED})
"""The bundle is complete and up to date."""


@dataclass(frozen=True, slots=True)
class Job:
    """A model to convert. `job` makes one from ordinary values.

    Attributes:
        name: unique in its batch; the model's name in reports.
        export: the argument of `convert`; with `sgie` the detector's.
        output: the folder the bundle goes into.
        options: the options of `convert` by their Python names, sorted; others have their defaults.
        sgie: the export of a second model for the objects the first one finds; both go into one app.
        found: by a glob or in a folder: an unsuitable one does not fail the batch.
    """

    name: str
    export: Path
    output: Path
    options: tuple[tuple[str, Any], ...] = ()
    sgie: Path | None = None
    found: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The options, as the stages take them."""
        return dict(self.options)

    @property
    def exports(self) -> tuple[Path, ...]:
        """One export, or two."""
        return (self.export,) if self.sgie is None else (self.export, self.sgie)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The exports, and the files and folders among the options."""
        return (*self.exports, *(value for _, value in self.options if isinstance(value, Path)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        name: the job's.
        exit_code: that of `ei-deepstream convert`: 0, 1 (findings of level error), 3, or `BUG`.
        seconds: wall time, of all stages; never part of a file.
        findings: of all stages, in order.
        outputs: the files of the bundle, in the order they were written; empty unless all were.
        error: that ended it.
        records: the stages; empty where nothing had to be done.
        summary: values for a table: `task`, `input` ("96x96x3"; of an impulse samples and axes, "16000x1"), `labels`
            (how many), `bundle`, `max_abs_diff`, `top1`; only those that are known.
        details: a traceback, for `BUG` only.
    """

    name: str
    state: State
    exit_code: int
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()
    outputs: tuple[files.Output, ...] = ()
    error: errors.ConvertError | None = None
    records: tuple[Record, ...] = ()
    summary: tuple[tuple[str, Any], ...] = ()
    details: str = ""


def job(
    name: str, export: Path, output: Path, options: Mapping[str, Any], sgie: Path | None = None, *, found: bool = False
) -> Job:
    """A `Job` with `options` sorted, so that equal options make equal jobs."""
    return Job(name, export, output, tuple(sorted(options.items())), sgie, found)


def execute(job: Job, worker: isolation.Worker, observer: Callable[[Event], None] = lambda _: None) -> Outcome:
    """Convert one model and write its bundle into `job.output`; nothing is raised but KeyboardInterrupt and the like.

    Args:
        job: the model and its options.
        worker: the process that tf2onnx and LiteRT run in; the caller closes it.
        observer: called for every stage, as by `convert.pipeline.run`.
    """
    from convert.pipeline import convert  # heavy; the values above do without

    start = time.perf_counter()
    try:
        run = convert(job.exports, job.output, job.settings, worker, observer, any_kind=job.found)
    except errors.ConvertError as error:  # an option that does not fit, found before the first stage
        return failure(job, error, time.perf_counter() - start)
    except isolation.Failed as error:  # in the worker
        return bug(job, str(error), error.details, time.perf_counter() - start)
    except Exception as error:  # noqa: BLE001 - our fault in one model must not end the others; it is reported as such
        reason = f"{type(error).__name__}: {error}"
        return bug(job, reason, "".join(traceback.format_exception(error)), time.perf_counter() - start)
    return _outcome(job, run, time.perf_counter() - start)


def failure(job: Job, error: errors.ConvertError, seconds: float) -> Outcome:
    """The outcome of a job that ended without the outcome of a stage."""
    return Outcome(job.name, _state(error), 3, seconds, error=_in_batch(job, error))


def _state(error: errors.ConvertError) -> State:
    return State.UNSUITABLE if isinstance(error, errors.NoModelError | errors.UnsupportedModelError) else State.FAILED


def _in_batch(job: Job, error: errors.ConvertError) -> errors.ConvertError:
    """`error`, with the place and the advice that are right where there are many exports."""
    for export in job.exports:
        if error.path == export.name:  # stages after the first know no more
            error.path = str(export)
    if isinstance(error, errors.NoModelError) and error.hint and "--model" in error.hint:
        error.hint += "; `batch` reads it from a manifest: model = ..."
    return error


def bug(job: Job, reason: str, details: str, seconds: float) -> Outcome:
    """The outcome of a job that ended in a fault in this program; `details` is the traceback."""
    error = errors.ConvertError(
        f"this is a bug in ei-deepstream: {' '.join(reason.split())}",
        hint="please report it with the export and what batch.json has under `details`",
        path=job.export,
    )
    return Outcome(job.name, State.FAILED, BUG, seconds, error=error, details=details)


def _outcome(job: Job, run: Run, seconds: float) -> Outcome:
    wrong = worst(run.findings) is Level.ERROR
    state = _state(run.error) if run.error else State.WRONG if wrong else State.DONE
    code = {State.DONE: 0, State.WRONG: 1}.get(state, 3)
    outputs = run.outputs if state is State.DONE else ()
    error = run.error and _in_batch(job, run.error)
    records, summary = tuple(run.records), tuple(_summary(run).items())
    return Outcome(job.name, state, code, seconds, run.findings, outputs, error, records, summary)


def _summary(run: Run) -> dict[str, Any]:
    from convert import types  # jobs travel without what conversions need

    known: dict[str, Any] = {}
    if export := run.last(types.Export):
        known |= {
            "task": export.facts.task,
            "input": "x".join(str(size or "?") for size in export.facts.input.shape[1:]),
        }
    if adapted := run.last(types.Adapted):
        known["labels"] = len(adapted.head.labels)
    if (validated := run.last(types.Validated)) and (parity := validated.evidence.parity):
        known |= {"max_abs_diff": parity.max_abs_diff, "top1": parity.top1}
    if whole := run.last(types.ImpulseModel):
        known |= {"task": "impulse", "input": f"{whole.impulse.samples}x{whole.impulse.axes}"}
        known["labels"] = len(whole.labels)
    if (measured := run.last(types.ValidatedImpulse)) and (parity := measured.evidence.network):
        known |= {"max_abs_diff": parity.max_abs_diff, "top1": parity.top1}
    if bundle := run.last(types.Bundle):
        known["bundle"] = bundle.name
    return known


class Plan(NamedTuple):
    """Jobs, and what was found when they were made."""

    jobs: tuple[Job, ...]
    findings: tuple[Finding, ...]


def plan(
    models: Sequence[ModelRequest], output: Path, defaults: Mapping[str, Any], overrides: Mapping[str, Any]
) -> Plan:
    """A job for each model, with its folder in `output`.

    Args:
        models: to convert; those of the same name are told apart.
        output: the folder of all.
        defaults: every option of `convert`.
        overrides: options that replace those of every model.

    Raises:
        PresetError: two models were given the same name, or a name cannot be a folder's.
    """
    places: dict[str, ModelRequest] = {}
    apart, findings = named_apart(models)
    jobs = []
    for model in apart:
        if not NAME.fullmatch(model.name):
            message = f"a model cannot be called {model.name!r}"
            hint = f"letters, digits, . _ and - only, at most {LONGEST_NAME}"
            raise errors.PresetError(message, hint=hint, path=model.manifest, line=model.line)
        # Folders may be copied to macOS and Windows, whose file systems ignore case.
        other = places.setdefault(model.name.lower(), model)
        if other is not model:
            message = f"two models are called {model.name!r}: {other.export} and {model.export}"
            hint = "give each a name of its own, or none"
            raise errors.PresetError(message, hint=hint, path=model.manifest, line=model.line)
        options = {**defaults, **model.options, **overrides}
        jobs.append(job(model.name, model.export, output / model.name, options, model.sgie, found=model.found))
    return Plan(tuple(jobs), findings)


def models_of(paths: Sequence[str], output: Path | None = None) -> tuple[tuple[ModelRequest, ...], list[Finding]]:
    """The models of the manifests among `paths`, then those of the exports, globs and folders; and findings.

    Args:
        output: the folder that is written into; it is not searched.

    Raises:
        InputError: see `read_manifest` and `find_models`.
    """
    manifests = [path for path in paths if path.lower().endswith(".toml")]
    listed = tuple(model for path in manifests for model in read_manifest(Path(path)))
    found, findings = find_models((path for path in paths if path not in manifests), output)
    return (*listed, *found), findings


def read_manifest(path: Path) -> tuple[ModelRequest, ...]:
    """The models of the manifest `path`, in order.

    Raises:
        InputError: it cannot be read, is no TOML, or holds an invalid key or value; with the line where known.
    """
    try:
        text = archive.read_file(path, _LARGEST).decode("utf-8-sig")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise errors.InputError("the manifest is not UTF-8", path=path, hint="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        last = len(text.splitlines()) or None
        message = f"the manifest is no TOML: {error}"
        hint = "see toml.io; text stands in quotes"
        raise errors.InputError(message, path=path, line=int(line[1]) if line else last, hint=hint) from error
    except RecursionError as error:
        raise errors.InputError("the manifest is nested too deep", path=path, hint="see toml.io") from error
    return _ManifestReader(path, text).models(document)


class _ManifestReader:
    """Makes models of one manifest."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        # all options of `convert` but its --name, which is a model's `name`
        self._options = {
            name.replace("_", "-"): option for name, option in table(ConvertOptions).items() if name != "bundle_name"
        }
        self._lines = text.split("\n")

    def models(self, document: Mapping[str, Any]) -> tuple[ModelRequest, ...]:
        """All models of the parsed `document`."""
        for key in document:
            if key not in {"defaults", "model"}:
                self._refuse(
                    f"{key!r} is not known here{_suggestion(key, ('defaults', 'model'))}", _line(self._lines, key)
                )
        defaults, models = document.get("defaults", {}), document.get("model", [])
        if not isinstance(defaults, dict):
            self._refuse("defaults is a table: [defaults]", _line(self._lines, "defaults"))
        if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
            self._refuse("model is a list of tables: [[model]]", _line(self._lines, "model"))
        if not models:
            self._refuse("there is no [[model]] in it", None)
        common = self._given(defaults, _table(self._lines, "[defaults]", 0), ())
        return tuple(one for number, table in enumerate(models) for one in self._model(table, number, common))

    def _model(self, table: dict[str, Any], number: int, common: dict[str, Any]) -> Iterator[ModelRequest]:
        start = _table(self._lines, "[[model]]", number)
        given = self._given({k: v for k, v in table.items() if k not in _MODEL_KEYS}, start, _MODEL_KEYS)
        for key in _MODEL_KEYS:
            if key in table and not (isinstance(table[key], str) and table[key].strip() and "\0" not in table[key]):
                self._refuse(f"{key} is text that is not empty", _line(self._lines, key, start))
        if ("pgie" in table) != ("sgie" in table) or ("export" in table) == ("pgie" in table):
            self._refuse("a model has an export, or a pgie and an sgie", start)
        options = {**common, **given}
        if "pgie" in table:
            yield self._pair(table, start, options)
            return
        pattern, name = table["export"], table.get("name")
        exports = self._expanded(pattern, start)
        found = is_glob(pattern, self._path.parent)
        is_given = name is not None and not _PLACEHOLDER.search(name)
        for export in exports:
            called = self._name(name, export, start, several=len(exports) > 1)
            own = {"bundle_name": called} if name else {}
            given = {**options, **own}
            yield ModelRequest(called, export, None, given, self._path, start, is_given, found)

    def _pair(self, table: dict[str, Any], start: int | None, options: dict[str, Any]) -> ModelRequest:
        for key in table:
            if key.replace("_", "-") in _PAIR_OPTIONS:
                self._refuse(
                    f"{key} means nothing with pgie and sgie: they say it already", _line(self._lines, key, start)
                )
        pgie, sgie = (
            Path(table[key]) if is_in_studio(table[key]) else self._path.parent / table[key] for key in ("pgie", "sgie")
        )
        name = table.get("name")
        own = {"bundle_name": name} if name else {}
        called = name or f"{short_name(pgie)}-{short_name(sgie)}"[:LONGEST_NAME]
        return ModelRequest(called, pgie, sgie, {**options, **own}, self._path, start, is_given=name is not None)

    def _expanded(self, pattern: str, start: int | None) -> tuple[Path, ...]:
        try:
            return expand(pattern, self._path.parent)
        except errors.ConvertError as error:
            self._refuse(f"export {pattern!r}: {error.message}", _line(self._lines, "export", start), error.hint)
        except (OSError, ValueError, re.error) as error:  # patterns that no file name can be
            self._refuse(f"export {pattern!r} cannot be looked for: {error}", _line(self._lines, "export", start))

    def _name(self, name: str | None, export: Path, start: int | None, *, several: bool) -> str:
        if name is None:
            return short_name(export)
        if several and not _PLACEHOLDER.search(name):
            self._refuse(
                "a name for several exports says how they differ",
                _line(self._lines, "name", start),
                'use {stem} (file name) or {parent} (folder) in it: name = "{parent}"',
            )
        if not _PLACEHOLDER.search(name):
            return name
        parent = types.slug(export.absolute().parent.name)
        return name.replace("{stem}", short_name(export)).replace("{parent}", parent)[:LONGEST_NAME]

    def _given(self, table: dict[str, Any], start: int | None, own: tuple[str, ...]) -> dict[str, Any]:
        """The options of a table, by their Python names."""
        given: dict[str, Any] = {}
        for key, raw in table.items():
            spelled = key.replace("_", "-")
            line = _line(self._lines, key, start)
            if spelled not in self._options:
                known = (*own, *self._options)
                self._refuse(f"there is no option {key!r}{_suggestion(spelled, known)}", line)
            try:
                value = self._options[spelled].value(raw, self._path.parent)
            except ValueError as error:
                self._refuse(f"{key}: {error}", line)
            if self._options[spelled].name in given:
                self._refuse(f"{spelled} is given twice, with - and with _", line)
            given[self._options[spelled].name] = value
        try:
            return settle_target(given)
        except errors.PresetError as error:
            self._refuse(error.message, _line(self._lines, "jetpack", start), error.hint)

    def _refuse(self, message: str, line: int | None, hint: str | None = None) -> NoReturn:
        raise errors.InputError(message, path=self._path, line=line, hint=hint or "see `ei-deepstream batch --help`")


def _suggestion(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _table(lines: list[str], header: str, number: int) -> int | None:
    """The line of the `number`-th `header`; None where it is spelt otherwise."""
    found = [place for place, line in enumerate(lines, 1) if line.partition("#")[0].replace(" ", "").strip() == header]
    return found[number] if number < len(found) else None


def _line(lines: list[str], key: str, start: int | None = 0) -> int | None:
    """The first line that sets `key` in the table at line `start`, or `start` where there is none.

    With `start` 0: in any table, or None.
    """
    if start is None:
        return None
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    for place in range(max(start, 1), len(lines) + 1):
        line = lines[place - 1]
        if place > start > 0 and line.lstrip().startswith("["):
            break
        if pattern.match(line):
            return place
    return start or None
