"""Exports straight from Studio: the trained model with what the impulse records, or a deployment that Studio builds.

`pull` writes one; `fetched` replaces `studio:PROJECT` among the exports of a conversion by a folder that holds one.

A trained model takes no build and none of the project's compute time. The API records of it what a deployment's
`deployment-metadata.json` records, with the same names, so that the same reader reads it; and image scaling, last layer
and threshold besides. Its file is called `tflite-float` or `tflite-int8` in the list of downloads, as public projects
show.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zipfile import BadZipFile, ZipFile

from convert.errors import ConvertError, InputError, OutputError, PresetError
from convert.export.archive import ELF, HEAD, ZIP, file_type, read_head
from convert.export.facts import LAST_LAYER, facts
from convert.export.parameters import UNREADABLE_PARAMETER, File, read_deployment
from convert.export.tflite import content_digest
from convert.files import Output, make_folder, refuse_folder, signals_wait, write_all
from convert.heads import ANOMALY, CLASSIFIER
from convert.isolation import TemporaryFolder
from convert.options import STUDIO, ConvertOptions, is_in_studio, table
from convert.report import METADATA, metadata_json
from convert.studio.client import KEYS_HINT, Studio, read_key
from convert.types import Export, Metadata, slug

if TYPE_CHECKING:
    from convert.findings import Finding

_T = TypeVar("_T")
_MODELS: Final = {"float32": "tflite-float", "int8": "tflite-int8"}
_MODES: Final = {"classification": CLASSIFIER, "visual-anomaly": ANOMALY}
_LAST_LAYERS: Final = {"mobilenet-ssd": "SSD", "yolov5v5-drpai": "YOLOV5_V5_DRPAI", "yolov2-akida": "YOLOV2"}
"""Of the API's names those that the SDK's enumerators do not repeat."""

_THRESHOLD: Final = "min_score"
_INTERVAL: Final = 2.0  # seconds between two questions about a job
_LONGEST_JOB: Final = 3600.0  # seconds; builds take minutes
_HISTORY: Final = 50  # builds that are looked through for one that can be taken


@dataclass(frozen=True, slots=True)
class Project:
    """A project that the key opens."""

    id: int
    name: str
    owner: str

    def __str__(self) -> str:
        return f"{self.name} ({self.id})"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What was written.

    Attributes:
        export: the file to go on with: a .tflite with its metadata.json beside it, a .zip or an .eim.
        version: of the deployment; None of a trained model.
        metadata: what is recorded of a trained model; empty of a deployment, which records it itself.
    """

    project: Project
    export: Path
    outputs: tuple[Output, ...]
    version: int | None = None
    metadata: Metadata = field(default_factory=Metadata)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Pull:
    """What to take, and whom to tell.

    Attributes:
        project: number or name; needed where the key opens several.
        impulse: number; by default the project's default impulse.
        variant: "float32" or "int8".
        deployment: a target of Studio's Deployment page ("zip", "custom", "runner-linux-aarch64", ...), which is built
            unless the last build is newer than the training; None: the trained model, without a build.
        choose: which project, where there are several; by default they are listed in an error.
        said: is called with each line about a build.
    """

    studio: Studio
    project: str | None = None
    impulse: int | None = None
    variant: str = "float32"
    deployment: str | None = None
    choose: Callable[[Sequence[Project]], Project] | None = None
    said: Callable[[str], object] = lambda _line: None

    def __call__(self, output: Path) -> Pulled:
        """Write it into the folder `output`.

        Raises:
            InputError: the key, the project or the model is not there, or the server fails or refuses.
            PresetError: a project, variant or target that does not exist.
            OutputError: the folder cannot be written.
        """
        refuse_folder(output)
        project = self._project()
        return self._trained(project, output) if self.deployment is None else self._deployed(project, output)

    def _project(self) -> Project:
        rows = _take(self.studio.answer("ProjectsApi", "list_projects"), "projects", list)
        projects = [Project(_take(row, "id", int), _take(row, "name", str), _take(row, "owner", str)) for row in rows]
        if not projects:
            raise InputError("the key opens no project", hint=KEYS_HINT)
        wanted = (self.project or "").strip()
        named = [each for each in projects if wanted in {str(each.id), each.name}]
        named = named or [each for each in projects if wanted.casefold() == each.name.casefold()]
        found = named if wanted else projects
        names = [self.studio.shown(str(each)) for each in projects[:20]]
        while len(names) > 1 and len(", ".join(names)) > 400:  # characters: a line or two
            names.pop()
        shown = ", ".join(names) + (", ..." if len(names) < len(projects) else "")
        if not found:
            message = f"the key does not open a project {wanted!r}, but {shown}"
            raise PresetError(message, hint="a development key belongs to one project; " + KEYS_HINT)
        if len(found) > 1 and self.choose is not None:
            return self.choose(found)
        if len(found) > 1:
            raise PresetError(f"the key opens {len(found)} projects: {shown}", hint="say which: --project ID")
        return found[0]

    def _impulse(self, project: Project) -> dict[str, Any]:
        answer = self.studio.answer("ImpulseApi", "get_impulse", project.id, impulse_id=self.impulse)
        if answer.get("impulse") is None:
            raise InputError(f"the project {project} has no impulse", hint="make and train one in Studio")
        return _take(answer, "impulse", dict)

    def _trained(self, project: Project, output: Path) -> Pulled:
        impulse = self._impulse(project)
        block = _learn_block(impulse)
        number, called = _take(block, "id", int), _take(block, "name", str)
        trained = self.studio.answer("LearnApi", "get_keras_metadata", project.id, number)
        if not _take(trained, "hasTrainedModel", bool):
            raise InputError(
                f"the learn block {called!r} has no trained model", hint="train it in Studio, then pull again"
            )
        link = self._link(project, number, [str(each) for each in _take(trained, "availableModelTypes", list)])
        metadata, findings = _metadata(project, impulse, block, trained)
        with TemporaryFolder() as folder:
            place = folder / "model.tflite"
            call = ("LearnApi", "download_learn_model", project.id, number, link)
            self.studio.download(place, lambda part: _openable(part, called), *call)
            model = place.read_bytes()
        export = Export(
            model, slug(project.name), "flatbuffer", f"{STUDIO}{project.id}", "", metadata, facts(model),
            content=content_digest(model),
        )  # fmt: skip
        name = f"{export.name}.tflite"
        outputs = write_all(output, {name: model, METADATA: metadata_json(export, findings)})
        return Pulled(project, output / name, outputs, None, metadata, findings)

    def _link(self, project: Project, block: int, available: Sequence[str]) -> str:
        """What the trained model is called in the list of downloads."""
        if self.variant not in _MODELS:
            raise PresetError(f"there is no --variant {self.variant!r}", hint=f"one of {', '.join(_MODELS)}")
        rows = _take(
            self.studio.answer("ProjectsApi", "list_downloads", project.id, impulse_id=self.impulse), "downloads", list
        )
        links = [_take(row, "link", str).partition("?")[0] for row in rows]
        wanted = _MODELS[self.variant]
        if any(link.endswith(f"/learn-data/{block}/model/{wanted}") for link in links):
            return wanted
        there = sorted({_take(row, "type", str) for row in rows}) or available
        raise InputError(
            f"Studio has no TensorFlow Lite model ({self.variant}) of this learn block to download; it has "
            f"{self.studio.shown(', '.join(there)) or 'none'}",
            hint="try --variant int8 or float32, or build a library with --deployment zip",
        )

    def _deployed(self, project: Project, output: Path) -> Pulled:
        assert self.deployment is not None
        target = slug(self.deployment)
        for kind in (".zip", ".eim"):  # before a build that may take minutes
            if (output / f"{slug(project.name)}-{target}{kind}").is_dir():
                path = output / f"{slug(project.name)}-{target}{kind}"
                raise OutputError("a folder has the name of the file", path=path, hint="choose another -o")
        engine = self._engine(project)
        version = self._last_build(project, engine) or self._build(project, engine)
        make_folder(output)
        with TemporaryFolder(str(output)) as folder:
            kinds: list[str] = []
            place = folder / "deployment"
            self.studio.download(
                place, lambda part: kinds.append(_kind(part)),
                "DeploymentApi", "download_historic_deployment", project.id, version,
            )  # fmt: skip
            final = output / f"{slug(project.name)}-{target}{kinds[0]}"
            place.chmod(0o755 if kinds[0] == ".eim" else 0o644)
            with place.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            place.replace(final)
        return Pulled(project, final, (Output(str(final), digest),), version)

    def _engine(self, project: Project) -> str:
        """The engine to build with: TensorFlow Lite as it is, where the target has it.

        Raises:
            PresetError: there is no such target, or not with this variant.
            InputError: the target is disabled in this project.
        """
        answer = self.studio.answer(
            "DeploymentApi", "list_deployment_targets_for_project", project.id, impulse_id=self.impulse
        )
        rows = {_take(row, "format", str): row for row in _take(answer, "targets", list)}
        row = rows.get(str(self.deployment))
        if row is None:
            from difflib import get_close_matches  # only for a mistyped target

            near = get_close_matches(str(self.deployment), rows, 3) or sorted(rows)
            message = f"Studio has no deployment {self.deployment!r} for this project"
            raise PresetError(message, hint=self.studio.shown("it has " + ", ".join(near)))
        if row.get("disabledForProject") is True:
            reason = self.studio.shown(str(row.get("reasonTargetDisabled") or "no reason is given"))
            message = f"Studio does not build {self.deployment} for this project: {reason}"
            raise InputError(message, hint="choose another --deployment, or leave it out and take the trained model")
        for each in _take(row, "modelVariants", list):
            if _take(each, "variant", str) == self.variant and each.get("supported") is False:
                message = f"Studio does not build {self.deployment} with {self.variant}"
                raise PresetError(message, hint=self.studio.shown(str(each.get("hint") or "try another --variant")))
        return "tflite" if "tflite" in _take(row, "supportedEngines", list) else _take(row, "preferredEngine", str)

    def _last_build(self, project: Project, engine: str) -> int | None:
        """The newest build of the same kind that still is what the impulse is; None where there is none."""
        impulse = self.impulse or _take(self._impulse(project), "id", int)  # else builds of all of them are listed
        answer = self.studio.answer(
            "DeploymentApi", "list_deployment_history", project.id,
            impulse_id=impulse, deployment_format=self.deployment, limit=_HISTORY,
        )  # fmt: skip
        wanted = {
            "deploymentFormat": self.deployment,
            "engine": engine,
            "modelType": self.variant,
            "impulseHasChangedSinceDeployment": False,
            "impulseId": impulse,
        }
        versions = [
            _take(row, "deploymentVersion", int)
            for row in _take(answer, "deployments", list)
            if isinstance(row, dict) and all(row.get(name) == value for name, value in wanted.items())
        ]
        if not versions:
            return None
        self.said(f"taken: build {max(versions)}, the impulse has not changed since")
        return max(versions)

    def _build(self, project: Project, engine: str) -> int:
        """The version of a new build; a build that is interrupted is cancelled in Studio, too."""
        job: int | None = None
        try:
            with signals_wait():  # a job whose number is not known cannot be cancelled
                answer = self.studio.answer(
                    "JobsApi", "build_on_device_model_job", project.id, self.deployment,
                    {"engine": engine, "modelType": self.variant}, impulse_id=self.impulse,
                )  # fmt: skip
                job = _take(answer, "id", int)
            self.said(f"job {job}: Studio builds {self.deployment}")
            self._wait(project, job)
        except KeyboardInterrupt:
            if job is not None:
                with contextlib.suppress(ConvertError):
                    self.studio.answer("JobsApi", "cancel_job", project.id, job)
                    self.said(f"job {job} was cancelled")
            raise
        return _take(answer, "deploymentVersion", int)

    def _wait(self, project: Project, job: int) -> None:
        """Until the job has ended well; its log is said as it grows.

        Raises:
            InputError: it failed, with its last words; or it takes too long.
        """
        seen, last, is_error = 0, "its log is empty", False
        end = time.monotonic() + _LONGEST_JOB
        while True:
            state = _take(self.studio.answer("JobsApi", "get_job_status", project.id, job), "job", dict)
            log = self.studio.answer("JobsApi", "get_jobs_logs", project.id, job)
            items = sorted(_take(log, "stdout", list), key=lambda item: str(_take(item, "created", str)))
            total = max(_take(log, "totalCount", int), len(items))
            for item in items[max(len(items) - (total - seen), 0) :]:
                for line in filter(None, map(self.studio.shown, _take(item, "data", str).splitlines())):
                    self.said(line)
                    if not is_error or item.get("logLevel") == "error":  # behind the error stands that there was one
                        last, is_error = line, item.get("logLevel") == "error"
            seen = total
            if state.get("finished"):
                if state.get("finishedSuccessful") is not True:
                    message = f"Studio could not build {self.deployment} (job {job}): {last}"
                    hint = "Studio has the whole log: Jobs; or leave --deployment out and take the trained model"
                    raise InputError(message, hint=hint)
                return
            if time.monotonic() > end:
                raise InputError(
                    f"job {job} has not ended within an hour", hint="look at it in Studio, or cancel it there: Jobs"
                )
            self.studio.pause(_INTERVAL)


def _learn_block(impulse: Mapping[str, Any]) -> dict[str, Any]:
    """The one network that an image impulse runs; blocks that score anomalies only where there is nothing else."""
    inputs = [_take(block, "type", str) for block in _take(impulse, "inputBlocks", list)]
    if inputs != ["image"]:
        kinds = ", ".join(dict.fromkeys(inputs)) or "nothing"
        raise InputError(
            f"the impulse takes {kinds}, no pictures; its trained model alone does not say how its features are made",
            hint="build a library, which does: --deployment zip",
        )
    blocks = [each for each in _take(impulse, "learnBlocks", list) if _take(each, "type", str).startswith("keras")]
    blocks = [each for each in blocks if "anomaly" not in each["type"]] or blocks
    if not blocks:
        raise InputError("the impulse has no neural network", hint="add a learn block for pictures in Studio")
    if len(blocks) > 1:
        names = ", ".join(repr(_take(each, "name", str)) for each in blocks)
        message = f"the impulse has {len(blocks)} learn blocks: {names}"
        raise InputError(message, hint="build a library with --deployment zip, then choose with `convert --model`")
    block: dict[str, Any] = blocks[0]
    return block


def _metadata(
    project: Project, impulse: Mapping[str, Any], block: Mapping[str, Any], trained: Mapping[str, Any]
) -> tuple[Metadata, tuple[Finding, ...]]:
    """What the API records of a block, as an export would; a value that is not known here becomes a finding."""
    document = {
        "classes": trained.get("classNames"),
        "project": {"id": project.id, "name": project.name, "owner": project.owner},
        "impulse": {**impulse, "learnBlocks": [block]},
    }
    where = f"{STUDIO}{project.id}"
    recorded = read_deployment(File(json.dumps(document).encode(), where), ())
    findings = list(recorded.findings)

    def unreadable(name: str, value: object) -> None:
        findings.append(
            UNREADABLE_PARAMETER.found(f"{name} is {str(value)[:60]!r}, which is not known here", path=where)
        )

    scaling = task = threshold = None
    if (spelled := trained.get("imageInputScaling")) is not None:
        try:
            scaling = table(ConvertOptions)["image_scaling"].value(spelled)
        except ValueError:
            unreadable("imageInputScaling", spelled)
    if (layer := trained.get("objectDetectionLastLayer")) is not None:
        name = _LAST_LAYERS.get(str(layer), str(layer).upper().replace("-", "_"))
        task = LAST_LAYER.value(LAST_LAYER.prefix + name)
        if task is None:
            unreadable("objectDetectionLastLayer", layer)
    else:
        task = _MODES.get(str(trained.get("mode")))
    if layer is not None:
        thresholds = trained.get("thresholds") or ()
        if not isinstance(thresholds, list | tuple):
            unreadable("thresholds", thresholds)
            thresholds = ()
        for each in thresholds:
            if isinstance(each, dict) and each.get("key") == _THRESHOLD:
                value = each.get("value")
                if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1:
                    threshold = float(value)
                else:
                    unreadable(_THRESHOLD, value)
    number, called = impulse.get("id"), impulse.get("name")
    metadata = replace(
        recorded.blocks[0].metadata,
        image_scaling=scaling,
        task=task,
        threshold=threshold,
        impulse_id=number if type(number) is int else None,
        impulse_name=called if isinstance(called, str) else None,
    )
    return metadata, tuple(findings)


def _openable(part: Path, called: str) -> None:
    """Raises InputError unless the file is a flatbuffer whose graph can be read."""
    try:
        facts(part.read_bytes())
    except ConvertError as error:
        kind = file_type(read_head(part, HEAD)).words
        raise InputError(
            f"what Studio gave as the model of {called!r} is {kind}: {error.message}", hint="pull again, or train again"
        ) from error


def _kind(part: Path) -> str:
    """The suffix of a deployment, which was read to its end where it is a zip.

    Raises:
        InputError: it is neither a zip nor a program, or a damaged zip.
    """
    found = file_type(read_head(part, HEAD))
    if found is ELF:
        return ".eim"
    if found is not ZIP:
        raise InputError(f"what Studio gave as the deployment is {found.words}", hint="pull again")
    try:
        with ZipFile(part) as packed:
            damaged = packed.testzip()
    except (BadZipFile, OSError, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        damaged = str(error)
    if damaged is not None:
        raise InputError(f"the zip that Studio gave is damaged: {damaged[:100]}", hint="pull again")
    return ".zip"


def _take(holder: object, name: str, kind: type[_T]) -> _T:
    """A value of an answer.

    Raises:
        InputError: it is not there, or has another type.
    """
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
        message = f"an answer of Edge Impulse's server lacks {name!r}"
        hint = "its API may have changed: look for a newer ei-deepstream, or download the export in Studio"
        raise InputError(message, hint=hint)
    return value


@contextlib.contextmanager
def fetched(
    exports: Sequence[Path], variant: str, studio: Callable[[], Studio] | None = None
) -> Iterator[tuple[Path, ...]]:
    """`exports`, each `studio:PROJECT` a folder of that name with the trained model, until the context ends.

    Args:
        studio: whom to ask; by default with the key of the environment.

    Raises:
        InputError, PresetError: as `Pull`; there is no key.
    """
    with contextlib.ExitStack() as stack:
        places: dict[Path, Path] = {}
        for export in dict.fromkeys(each for each in exports if is_in_studio(each)):
            try:
                if not places:
                    asked = studio() if studio else from_environment()
                    parent = stack.enter_context(TemporaryFolder())
                project = str(export).removeprefix(STUDIO)
                places[export] = parent / (STUDIO + slug(project))
                Pull(asked, project, variant=variant)(places[export])
            except ConvertError as error:
                if error.hint and "--" in error.hint:
                    error.hint += "; these options are `ei-deepstream pull`'s: convert takes the folder that it writes"
                raise
        yield tuple(places.get(each, each) for each in exports)


def from_environment() -> Studio:
    """Studio with the key in EI_API_KEY; raises InputError where there is none."""
    key = read_key()
    if key is None:
        raise InputError("there is no API key", hint=KEYS_HINT)
    return Studio(key)
