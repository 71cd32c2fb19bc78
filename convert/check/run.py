"""A check from paths to report: find the files, read them, apply the rules.

Files are those named, and in folders everything that is a DeepStream config by its contents. The configs that a config
of deepstream-app names are read as its engines read them. On request ONNX Runtime loads the models and NVIDIA's
TensorRT-RTX builds them, on the CPU.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from convert.check import context as checking
from convert.check import loading
from convert.check.analytics import on_analytics, read_analytics
from convert.check.app import AppContext, AppEngine, AppFile, Gie, Named, gies, named_configs, number, read_app
from convert.check.recognise import ANALYTICS, APP, CONFIG, OTHER, SCRIPTS, TRACKER, kind_of, other_text
from convert.check.rules import RULES, engine, findings, model, preprocessing
from convert.check.rules.analytics import tracker_findings
from convert.check.rules.app import app_findings, no_config, script_findings
from convert.errors import ConvertError, InputError, PresetError, ValidationError
from convert.findings import Finding, Level
from convert.nvinfer import config, keys, numbers

if TYPE_CHECKING:
    from convert.nvinfer.targets import Target


_SUFFIXES: Final = (".txt", ".yml", ".yaml", ".ini", ".cfg", ".conf", ".pbtxt")
# A larger file in a folder is no config; one that is named is checked all the same.
_MOST_IN_FOLDER: Final = 2**20
_MOST_FILES: Final = 100_000
_HEAD: Final = 4096  # bytes that show a picture or archive
_MODELS: Final = (".onnx", ".engine", ".plan", ".tflite", ".lite", ".zip", ".so", ".eim")


_NAME_A_CONFIG: Final = "name the config of Gst-nvinfer or deepstream-app, or the folder it is in"


class ConfigFile(NamedTuple):
    """A file to check: its bytes, or why they cannot be had; `plugin` says whose an OTHER is."""

    path: str
    kind: str
    data: bytes = b""
    error: InputError | None = None
    plugin: str | None = None


def find_configs(paths: Iterable[str]) -> list[ConfigFile]:
    """The files that `paths` name, and those in the folders among them; each once, folders sorted."""
    found: dict[str, ConfigFile] = {}
    for path in paths:
        for each in _folder(path) if os.path.isdir(path) else [_named(path)]:  # noqa: PTH112 - text
            found.setdefault(_key(each.path), each)
    return list(found.values())


def _named(path: str) -> ConfigFile:
    if path.lower().endswith(_MODELS):
        error = InputError(
            "check takes configs, not models and libraries",
            hint="name the config: its onnx-file is looked at, too; `ei-deepstream inspect` describes exports",
            path=path,
        )
        return ConfigFile(path, CONFIG, error=error)
    found = _read(path)
    if found.error is None and b"\0" in found.data[:_HEAD]:
        found = found._replace(error=_no_text(path, found.data[:_HEAD]))
    if found.error:
        return found
    if kind := kind_of(path, found.data):
        return found._replace(kind=kind.name, plugin=kind.plugin)
    if words := other_text(path, found.data):
        return found._replace(error=InputError(f"this is {words}, and no config", hint=_NAME_A_CONFIG, path=path))
    return found


def _no_text(path: str, head: bytes) -> InputError | None:
    """The error of a file that begins as a picture, an archive or a model does. (UTF-16 has zeros, too.)"""
    from convert.export.archive import TEXT, file_type  # configs do without

    kind = file_type(head)
    if kind.name in {TEXT.name, "source", "binary"}:
        return None
    return InputError(f"this is {kind.words}, and no config", hint=_NAME_A_CONFIG, path=path)


def _read(path: str) -> ConfigFile:
    try:
        return ConfigFile(path, CONFIG, numbers.read_ordinary(path, "config", config.MOST_BYTES))
    except InputError as error:
        return ConfigFile(path, CONFIG, error=error)


def _folder(path: str) -> list[ConfigFile]:
    problems: list[InputError] = []

    def unreadable(error: OSError) -> None:
        reason = f"the folder cannot be read: {error.strerror}"
        problems.append(InputError(reason, hint="fix its permissions", path=error.filename))

    found: list[ConfigFile] = []
    for count, name in enumerate(_files(path, unreadable)):
        if count >= _MOST_FILES:
            message = f"the folder holds more than {_MOST_FILES:,} configs and scripts"
            problems.append(InputError(message, hint="name a smaller folder", path=path))
            break
        found += _in_folder(name)
    found += [ConfigFile(error.path or path, CONFIG, error=error) for error in problems]
    if not found:
        error = InputError("there is no DeepStream config in the folder", hint="name the config itself", path=path)
        found.append(ConfigFile(path, CONFIG, error=error))
    return found


def _files(path: str, unreadable: Callable[[OSError], None]) -> Iterator[str]:
    """Files below a folder that may be configs, sorted; links to folders and hidden folders are left out."""
    for folder, folders, names in os.walk(path, onerror=unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith((*_SUFFIXES, *SCRIPTS)):
                yield os.path.join(folder, name)  # noqa: PTH118 - text


def _in_folder(path: str) -> list[ConfigFile]:
    try:
        state = os.stat(path)  # noqa: PTH116 - text
        if not stat.S_ISREG(state.st_mode) or state.st_size > _MOST_IN_FOLDER:
            return []
        data = numbers.read_ordinary(path, "config", _MOST_IN_FOLDER)
    except InputError as error:
        return [ConfigFile(path, CONFIG, error=error)]
    except OSError:
        return []  # a link that leads nowhere, or back to itself
    kind = kind_of(path, data)
    return [ConfigFile(path, kind.name, data, plugin=kind.plugin)] if kind else []


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """One file.

    Attributes:
        path: as the user named it, or the file that leads to it.
        kind: "nvinfer", "deepstream-app", "nvdsanalytics", "nvtracker", "script" or "other".
        plugin: whose config an "other" is: it was not judged.
        verdict: what becomes of the element (or of deepstream-app); None: the file could not be read, or is of neither.
        exception: what the process dies of.
        values: what nvinfer reads, as the golden vectors have it; empty unless an nvinfer config is accepted.
        findings: what the rules found through this file; `suppressed`: those its comments suppress.
        error: why the file could not be checked.
        data: the file, to show lines of.
        target: what it was checked for, and who says so; None: it was not.
    """

    path: str
    kind: str
    verdict: keys.Verdict | None = None
    exception: str | None = None
    values: Mapping[str, Any] | None = None
    findings: tuple[Finding, ...] = ()
    suppressed: tuple[Finding, ...] = ()
    error: ConvertError | None = None
    data: bytes = b""
    target: loading.ChosenTarget | None = None
    plugin: str | None = None


class Fix(NamedTuple):
    """A file that can be put right: what it is, and what it would be."""

    path: str
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All files, in the order they were named or found.

    Attributes:
        default: what files were checked for that are in no bundle.
        fail_on: the lowest level that is a failure, or "never".
        wanted: whether findings of a rule, by its id, are reported.
    """

    files: tuple[CheckedFile, ...]
    default: loading.ChosenTarget
    fail_on: str = "error"
    wanted: Callable[[str], bool] = lambda _: True

    @property
    def exit_code(self) -> int:
        """3: a file could not be checked; 1: there is a finding of level `fail_on` or worse; else 0."""
        return 3 if self.error else int(any(map(self.is_failure, self.findings)))

    def is_failure(self, finding: Finding) -> bool:
        """Whether a finding is of level `fail_on` or worse."""
        return self.fail_on != "never" and finding.level.rank >= Level(self.fail_on).rank

    @property
    def targets(self) -> tuple[loading.ChosenTarget, ...]:
        """What the files were checked for, each target once, that of most files first."""
        counts = Counter(file.target for file in self.files if file.target)
        return tuple(target for target, _ in counts.most_common()) or (self.default,)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Each finding once: configs may share a label file or a model."""
        return tuple(dict.fromkeys(finding for file in self.files for finding in file.findings))

    @property
    def suppressed(self) -> tuple[Finding, ...]:
        """Each finding once that a comment suppresses."""
        return tuple(dict.fromkeys(finding for file in self.files for finding in file.suppressed))

    @property
    def error(self) -> ConvertError | None:
        """The first file that could not be checked."""
        return next((file.error for file in self.files if file.error), None)


class _App(NamedTuple):
    """deepstream-app's config, the engines that are switched on in it, and what it is checked for."""

    file: AppFile
    engines: tuple[Gie, ...]
    target: loading.ChosenTarget


@dataclass
class Checker:
    """A check of some files.

    A config is checked for the target of the bundle that it is in. deepstream-app's config that is in none is checked
    for that of the engines it starts, where theirs is one; an engine's config that is in none, for its app's.

    Attributes:
        target: the release and platform, with the TensorRT to check for, where there is no bundle.
        source: who says `target`, as `ChosenTarget` has it.
        recorded: the target that the bundle in a folder was made for; None: no bundle, or it does not count.
        wanted: whether findings of a rule, by its id, are reported.
        external: checks of the model that run after the rules.
        files: which files that a config names must be here; AUTO is BUNDLE in a bundle.
        fail_on: as `CheckReport` has it.
    """

    target: Target
    wanted: Callable[[str], bool] = lambda _: True
    external: Callable[[checking.RuleContext], Iterable[Finding]] = lambda _: ()
    recorded: Callable[[str], loading.ChosenTarget | None] = lambda _: None
    source: str = "option"
    files: loading.Expect = loading.Expect.AUTO
    fail_on: str = "error"
    _models: loading.Models = field(default_factory=loading.Models, init=False)
    _readings: dict[tuple[str, Target], loading.Reading] = field(default_factory=dict, init=False)
    _folders: dict[str, loading.ChosenTarget | None] = field(default_factory=dict, init=False)
    _expected: dict[str, loading.Expect] = field(default_factory=dict, init=False)

    def __call__(self, paths: Iterable[str]) -> CheckReport:
        """Check `paths`, the folders among them, and the configs that deepstream-app's configs lead to."""
        found = find_configs(paths)
        apps = {each.path: self._read_app(each) for each in found if each.kind == APP and each.error is None}
        used = [(path, gie) for path, app in apps.items() for gie in app.engines if gie.is_nvinfer and gie.path]
        others = [(each, app.target) for app in apps.values() for each in _of_other_elements(app.file)]
        found = _with_used(found, used, [each for each, _ in others])
        settings: dict[str, list[Mapping[str, checking.Setting]]] = {}
        users: dict[str, loading.ChosenTarget] = {}
        for path, gie in used:
            settings.setdefault(_key(gie.path), []).append(gie.settings)
            users.setdefault(_key(gie.path), apps[path].target)
        for each, target in others:
            users.setdefault(_key(each.path), target)
        checked = []
        for each in found:
            key = _key(each.path)
            if each.kind in {OTHER, ANALYTICS, TRACKER} and key in settings:
                each = each._replace(kind=CONFIG)  # noqa: PLW2901 - what nvinfer is given is nvinfer's
            checked.append(self._one(each, apps, settings.get(key, []), users.get(key)))
        return CheckReport(tuple(checked), self.default, self.fail_on, self.wanted)

    def again(self) -> Checker:
        """The same for files that have changed: nothing is remembered."""
        return replace(self)

    @property
    def default(self) -> loading.ChosenTarget:
        """What a config is checked for that is in no bundle."""
        return loading.ChosenTarget(self.target, self.source)

    def _in_bundle(self, path: str) -> loading.ChosenTarget | None:
        """The target of the bundle that the file is in; None: it is in none."""
        folder = os.path.dirname(path)  # noqa: PTH120 - text
        if folder not in self._folders:
            self._folders[folder] = self.recorded(folder)
        return self._folders[folder]

    def _expect(self, path: str) -> loading.Expect:
        """Which files must be here that the config at `path` names."""
        folder = os.path.dirname(path)  # noqa: PTH120 - text
        if folder not in self._expected:
            bundle = self.files is loading.Expect.AUTO and loading.bundle_report(folder) is not None
            self._expected[folder] = loading.Expect.BUNDLE if bundle else self.files
        return self._expected[folder]

    def _read_app(self, found: ConfigFile) -> _App:
        own = self._in_bundle(found.path)
        app = read_app(found.data, found.path, (own or self.default).target.deepstream)
        engines = gies(app)
        if own is None:
            theirs = {self._in_bundle(gie.path) for gie in engines if gie.is_nvinfer and gie.path} - {None}
            own = theirs.pop() if len(theirs) == 1 else self.default
        assert own is not None
        return _App(app, engines, own)

    def _one(
        self,
        found: ConfigFile,
        apps: Mapping[str, _App],
        settings: list[Mapping[str, checking.Setting]],
        user: loading.ChosenTarget | None,
    ) -> CheckedFile:
        """One file; `settings` are those of the apps that use it, and `user` the first one's target."""
        at = apps[found.path].target if found.path in apps else self._in_bundle(found.path) or user or self.default
        try:
            if found.error:
                raise found.error
            if found.kind == CONFIG:
                checked = self._config(found, settings, at.target)
            elif found.kind == APP:
                checked = self._app(found, apps[found.path])
            elif found.kind == ANALYTICS:
                file = read_analytics(found.data, found.path, at.target.deepstream)
                checked = self._finished(found, file.verdict, on_analytics.findings(file))
            elif found.kind == TRACKER:
                checked = self._finished(found, None, tracker_findings(found.data, found.path, at.target.deepstream))
            elif found.kind == OTHER:
                return CheckedFile(found.path, OTHER, data=found.data, plugin=found.plugin)
            else:
                checked = self._finished(found, None, script_findings(found.data, found.path, at.target))
        except ConvertError as error:
            return CheckedFile(found.path, found.kind, error=error, data=found.data)
        return replace(checked, target=at)

    def _config(self, found: ConfigFile, settings: list[Mapping[str, checking.Setting]], at: Target) -> CheckedFile:
        # Only configs that an app leads to are read a second time, for its rules.
        reading = self._reading(found, at) if settings else loading.read_config(found.path, at, found.data)
        first = reading.first
        results: list[Finding] = []
        for each in settings or [{}]:
            context = loading.load_context(reading, at, self._models, each, self._expect(found.path))
            results += findings(context)
            if not context.faults:
                results += self.external(context)
        return self._finished(found, first.verdict, results, first.values, first.exception)

    def _app(self, found: ConfigFile, app: _App) -> CheckedFile:
        at = app.target.target
        named = tuple(self._named(*each) for each in named_configs(app.file))
        engines = tuple(self._engine(gie, at) for gie in app.engines)
        path = next((each.path for each in named if each.group == "nvds-analytics" and each.presence.here), None)
        analytics = _read(path) if path else None
        file = read_analytics(analytics.data, analytics.path, at.deepstream) if analytics and analytics.data else None
        results = app_findings(AppContext(app.file, engines, at, named, file))
        refused = any(finding.id in {"NVI094", "NVI096"} for finding in results)
        return self._finished(found, keys.Verdict.REJECTED if refused else keys.Verdict.ACCEPTED, results)

    def _named(self, group: str, key: str, text: str, path: str) -> Named:
        # Where the folder itself is not here, only a part of the SDK's samples is. Trackers' configs come with the SDK.
        complete = group != "tracker" and os.path.isdir(os.path.dirname(path) or ".")  # noqa: PTH112, PTH120 - text
        return Named(group, key, text, path, loading.presence(text, path, self._expect(path), complete=complete))

    def _engine(self, gie: Gie, at: Target) -> AppEngine:
        context = None
        if gie.is_nvinfer and os.path.isfile(gie.path):  # noqa: PTH113 - text
            # An error is reported where that file is checked.
            with suppress(InputError):
                reading = self._reading(ConfigFile(gie.path, CONFIG), at)
                context = loading.load_context(reading, at, self._models, gie.settings, self._expect(gie.path))
        return AppEngine(gie, context)

    def _reading(self, found: ConfigFile, at: Target) -> loading.Reading:
        key = _key(found.path), at
        if key not in self._readings:
            self._readings[key] = loading.read_config(found.path, at, found.data or None)
        return self._readings[key]

    def _finished(
        self,
        found: ConfigFile,
        verdict: keys.Verdict | None,
        results: Iterable[Finding],
        values: Mapping[str, object] | None = None,
        exception: str | None = None,
    ) -> CheckedFile:
        wanted = dict.fromkeys(finding for finding in results if self.wanted(finding.id))
        if self.files is loading.Expect.IGNORE:  # without the note on files that are on another machine
            of_files = {engine.missing_file.id, no_config.id}
            wanted = {each: None for each in wanted if each.id not in of_files or each.level is not Level.NOTE}
        reported, suppressed = checking.split_suppressed(wanted, found.path, checking.read_suppressions(found.data))
        return CheckedFile(
            path=found.path,
            kind=found.kind,
            verdict=verdict,
            exception=exception,
            values=values,
            findings=tuple(sorted(reported, key=lambda finding: _order(finding, found.path))),
            suppressed=suppressed,
            data=found.data,
        )


def _with_used(
    found: list[ConfigFile], used: Iterable[tuple[str, Gie]], others: Iterable[ConfigFile]
) -> list[ConfigFile]:
    """Files that apps name, unless they are there already: configs of engines behind their app, others at the end."""
    known = {_key(each.path) for each in found}
    result = list(found)
    for app, gie in used:
        if _key(gie.path) in known or not os.path.isfile(gie.path):  # noqa: PTH113 - text
            continue
        known.add(_key(gie.path))
        place = next(number for number, each in enumerate(result) if each.path == app)
        result.insert(place + 1, _read(gie.path))
    for each in others:
        if (key := _key(each.path)) not in known:
            known.add(key)
            result.append(each)
    return result


_CONFIG_KEYS: Final = ("config-file", "ll-config-file", "msg-conv-config", "msg-broker-config")


def _of_other_elements(app: AppFile) -> Iterator[ConfigFile]:
    """The configs of other plugins that deepstream-app's config names, in groups that are not switched off."""
    for group, entries in app.groups.items():
        texts = [entries[key].text for key in _CONFIG_KEYS if key in entries]
        if not texts or (number(app, group, "enable", 1) == 0):
            continue
        for text in dict.fromkeys(word for each in texts for word in each.split(";") if word):
            path = os.path.normpath(os.path.join(os.path.dirname(app.path), text))  # noqa: PTH118, PTH120 - text
            found = _read(path) if os.path.isfile(path) else None  # noqa: PTH113
            kind = kind_of(path, found.data) if found and not found.error else None
            if found and kind and kind.name in {OTHER, ANALYTICS, TRACKER}:
                yield found._replace(kind=kind.name, plugin=kind.plugin)


def _key(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a link is another file: paths in it are its own


def _order(finding: Finding, path: str) -> tuple[object, ...]:
    """By file, the checked one first, and by line."""
    return finding.path != path, finding.path or "", finding.line or 0, finding.column or 0, finding.id


@dataclass
class ExternalChecks:
    """ONNX Runtime and TensorRT-RTX as checks; each model, size and batch is checked once.

    Attributes:
        onnxruntime, tensorrt: which of them run.
        timeout: seconds for each model and check.
    """

    onnxruntime: bool = False
    tensorrt: bool = False
    timeout: float = 300.0
    _known: dict[tuple[object, ...], str | None] = field(default_factory=dict)

    def require(self) -> None:
        """Fail early.

        Raises:
            MissingDependencyError: tensorrt-rtx is needed and not installed.
        """
        if self.tensorrt:
            from convert.validate.runtimes import require  # only when asked for

            require()

    def __call__(self, context: checking.RuleContext) -> Iterator[Finding]:
        """The findings of both in the model of a config, if there is one."""
        if context.model is None or context.lacking:
            return
        path = context.files["onnx-file"].path
        if self.onnxruntime and (error := self._once(("onnxruntime", path), lambda: _load(path, self.timeout))):
            yield context.found(model.ONNX_RUNTIME, error, key="onnx-file")
        shape = _shape(context)
        if self.tensorrt and shape and len(context.model.inputs) == 1:
            batch = int(context.value("batch-size"))
            error = self._once(("tensorrt", path, shape, batch), lambda: _build(path, shape, batch, self.timeout))
            if error:
                yield context.found(model.TENSORRT, error, key="onnx-file")

    def _once(self, key: tuple[object, ...], run: Callable[[], None]) -> str | None:
        if key not in self._known:
            try:
                run()
                self._known[key] = None
            except ValidationError as error:
                self._known[key] = error.message
        return self._known[key]


def _shape(context: checking.RuleContext) -> tuple[int, int, int] | None:
    """The input's dimensions behind the batch, in the model's own layout."""
    if context.network is None or context.model is None:
        return None
    channels, height, width = context.network
    nhwc = preprocessing.is_nhwc(context.model.inputs[0]) and context.feeds_nhwc
    return (height, width, channels) if nhwc else (channels, height, width)


def _load(path: str, timeout: float) -> None:
    """ONNX Runtime, in a process of its own: a damaged model may take it down."""
    from convert.isolation import Died, Failed, Worker  # only when asked for

    try:
        with Worker() as worker:
            worker.call("convert.check.run:load", path, timeout=timeout)
    except Died as error:
        raise ValidationError(f"ONNX Runtime {error.reason} while it loaded the model") from error
    except Failed as error:
        raise ValidationError(f"ONNX Runtime failed: {error}") from error


def load(path: str) -> None:
    """`_load`, in the child; raises ValidationError when ONNX Runtime refuses the model."""
    from convert.validate import runtimes  # brings numpy

    runtimes.load(runtimes.read_whole(Path(path)))


def _build(path: str, shape: tuple[int, int, int], batch: int, timeout: float) -> None:
    from convert.validate.runtimes import build, read_whole  # only when asked for

    build(read_whole(Path(path)), shape, batch, timeout=timeout)


def select_rules(select: Collection[str], ignore: Collection[str]) -> Callable[[str], bool]:
    """Whether a rule is wanted: all, or those that begin as one of `select`, without those of `ignore`.

    The longer of two beginnings wins: NVI0 selected and NVI07 ignored leaves NVI02; NVI070 selected as well is in.

    Raises:
        PresetError: no rule begins like that.
    """
    if not select and not ignore:
        return lambda _: True
    ids = tuple(rule.id for rule in RULES)
    wanted, unwanted = _words(select, ids), _words(ignore, ids)

    def is_chosen(rule: str) -> bool:
        yes = max((len(word) for word in wanted if rule.startswith(word)), default=0 if wanted else 1)
        no = max((len(word) for word in unwanted if rule.startswith(word)), default=0)
        return yes > no

    return is_chosen


def _words(values: Iterable[str], ids: tuple[str, ...]) -> tuple[str, ...]:
    words = [word.strip().upper() for value in values for word in value.split(",") if word.strip()]
    for word in words:
        if not any(each.startswith(word) for each in ids):
            raise PresetError(f"no rule begins with {word!r}", hint="`ei-deepstream explain` lists the rules")
    return tuple(words)
