"""The public functions: what the commands do, without printing.

    convert(export, output)              an export -> a folder that DeepStream runs
    inspect(path)                        which models an export holds, and which of them can be converted
    check(paths)                         what Gst-nvinfer will do with configs, bundles and folders
    simulate(config, pictures, output)   what DeepStream will show on pictures
    simulate_recordings(bundle, recordings, output)  what a whole impulse says of sound or sensor data, over time
    batch(paths, output)                 many exports, and only what has changed

They are imported from the package, `from convert import convert`. Options are keyword arguments, the same as those of
the commands, declared in `convert.options`. Each function raises PresetError for an option that does not exist, a value
that it cannot have, or options that do not go together; every error is a `ConvertError` with `message`, `hint` and
`path`. What does not end a run is a finding in the result.

tf2onnx and LiteRT run in a child process that is started and ended within the call. It does not import the caller's
main module, so neither a script nor a notebook needs an `if __name__ == "__main__"` guard.
"""

from __future__ import annotations

import contextlib
import os
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Unpack

from convert import options as declared
from convert.errors import ConvertError, InputError, PresetError, ValidationError
from convert.findings import Finding, Level

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from convert.batch import BatchReport, Observer
    from convert.batch.plan import Job, Outcome
    from convert.check.run import CheckReport, Fix
    from convert.compare import Comparison
    from convert.export.unpack import Inspection
    from convert.pipeline import Event, Run
    from convert.render.recordings import RecordingsResult
    from convert.render.simulation import Result
    from convert.simulate import engine, tracking
    from convert.studio.client import Studio
    from convert.types import Bundle

    Paths = Path | str | Iterable[Path | str]


def ignore(*_events: object) -> None:
    """No-op observer."""


def convert(
    export: Path | str,
    output: Path | str,
    *,
    sgie: Path | str | None = None,
    dry_run: bool = False,
    observer: Callable[[Event], None] | None = None,
    **options: Unpack[declared.ConvertOptions],
) -> Bundle:
    """Turn an Edge Impulse export into a folder that DeepStream runs.

    >>> from convert import convert
    >>> bundle = convert("samples/exports/shapes-cpp-2025", "bundle", target="7.1")
    >>> [Path(file.path).name for file in bundle.files][:2]
    ['wooden-shapes-16x9.onnx', 'wooden-shapes.onnx']
    >>> bundle.evidence.parity.max_abs_diff < 1e-4
    True

    Args:
        export: a deployment .zip, a library folder, a tflite-trained.h or tflite_learn_*.h, a .lite/.tflite or .onnx;
            or "studio:ID", a project in Edge Impulse's Studio that the key in EI_API_KEY opens.
        output: the folder to write; made if it does not exist.
        sgie: a second export, the model for each object that the first one, a detector, finds; both go into one app.
        dry_run: write nothing; `Bundle.files` are what would be written, without digests.
        observer: is called with the name, status and seconds of each stage, when it starts and when it ends.
        options: see `ConvertOptions`.

    Returns:
        The bundle, with the files, everything found on the way and what was measured. Of an export of sound or sensor
        data it holds one ONNX of the whole impulse, and `impulse_evidence` is what was measured.

    Raises:
        ValidationError: a finding of level error before anything was written (the command's exit code 1); the message
            is the first one's. A bundle that was written is returned, whatever is found in it.
        PresetError: options that do not exist or do not fit together.
        ConvertError: the export cannot be converted, or the folder cannot be written. `findings` of every error that
            is raised are those of the stages before it.
    """
    shown: AbstractContextManager[Callable[[Event], None]] = contextlib.nullcontext(observer or ignore)
    run = run_conversion(export, output, sgie=sgie, dry_run=dry_run, watching=lambda: shown, **options)
    return _bundle(run, Path(output))


def run_conversion(
    export: Path | str,
    output: Path | str,
    *,
    sgie: Path | str | None = None,
    dry_run: bool = False,
    watching: Callable[[], AbstractContextManager[Callable[[Event], None]]],
    studio: Callable[[], Studio] | None = None,
    **options: Unpack[declared.ConvertOptions],
) -> Run:
    """As `convert`, and returns what became of every stage: `Run.error` is what ended it, instead of an exception.

    Args:
        watching: makes the observer, while the worker starts.
        studio: opens Studio, where an export lies there; by default with the key in EI_API_KEY.

    Raises:
        PresetError: options that do not exist or do not fit together.
        InputError: an export in Studio cannot be fetched.
    """
    from convert.isolation import Worker  # `--help` does without
    from convert.translate import PRELOAD

    given = declared.checked(declared.ConvertOptions, options)
    declared.refuse_contradictions(given, pair=sgie is not None)
    settings = declared.defaults(declared.ConvertOptions) | given
    exports = tuple(Path(path) for path in (export, sgie) if path is not None)
    with (
        contextlib.closing(Worker(PRELOAD)) as worker,
        contextlib.closing(Worker(later=("convert.compare.run",))) as beside,  # starts where it is needed
    ):
        if not dry_run:
            worker.start()
        from convert.pipeline import convert as run  # imports while the worker does the same

        with _fetched(exports, settings, studio) as places, watching() as observer:
            return run(places, Path(output), settings, worker, observer, dry=dry_run, beside=beside)


def _fetched(
    exports: tuple[Path, ...], settings: Mapping[str, Any], studio: Callable[[], Studio] | None = None
) -> AbstractContextManager[tuple[Path, ...]]:
    """`exports`, those in Studio as folders; INT8 is made of the int8 model."""
    if not any(map(declared.is_in_studio, exports)):
        return contextlib.nullcontext(exports)
    from convert.studio.pull import fetched  # few exports lie there

    is_coded = settings["precision"] == "int8" and settings["calibrate"] is None
    return fetched(exports, "int8" if is_coded else "float32", studio)


def _bundle(run: Run, output: Path) -> Bundle:
    from convert.types import Bundle, Export, Validated, ValidatedImpulse  # `--help` does without

    if run.error is not None:
        run.error.findings = run.findings
        raise run.error
    bundle = run.last(Bundle)
    if bundle is None and not run.is_good:
        wrong = next(finding for finding in run.findings if finding.level is Level.ERROR)
        error = ValidationError(wrong.message, hint=wrong.hint, path=wrong.path, line=wrong.line)
        error.findings = run.findings
        raise error
    if bundle is None:  # a dry run
        export = run.last(Export)
        assert export is not None
        bundle = Bundle(str(output), export.name, run.outputs)
    proven = [each and each.last(Validated) for each in (run, run.secondary)]
    first, second = (each.evidence if each else None for each in proven)
    whole = run.last(ValidatedImpulse)
    measured = whole.evidence if whole else None
    return replace(bundle, findings=run.findings, evidence=first, secondary_evidence=second, impulse_evidence=measured)


def inspect(path: Path | str) -> Inspection:
    """Say what a file or folder is, every model found in it, and which one `convert` would take.

    >>> from convert import inspect
    >>> inspect("samples/exports/shapes-cpp-2025").models[0].facts.input.shape
    (1, 48, 48, 1)

    Nothing is run or written. A model that cannot be converted is no error here: `Inspection.undecided` and `hint` say
    why. Shapes are those of the file, [N,H,W,C].

    Raises:
        InputError: it is not there, cannot be read, or is a container that is damaged or breaks a limit.
    """
    from convert.export.unpack import inspect as survey  # brings numpy

    return survey(Path(path))


def check(
    paths: Paths, *, observer: Callable[[Fix], None] | None = None, **options: Unpack[declared.CheckOptions]
) -> CheckReport:
    """Say what Gst-nvinfer will do with configs, without a GPU.

    >>> from convert import check
    >>> [finding.id for finding in check("bundle").findings]
    []

    Args:
        paths: Gst-nvinfer configs (.txt, .yml), configs of deepstream-app, bundles, or folders of them. Labels, the
            header of the ONNX model and the configs an app leads to are looked at, too.
        observer: is called with every file that `fix` is about to change.
        options: see `CheckOptions`; what is not given is taken from the repository (`read_settings`).

    Returns:
        The files, with verdict, findings and, of one that cannot be read, the error. With `fix` as they are afterwards.

    Raises:
        InputError: one of `paths` is not there.
        PresetError: an option, rule or release that does not exist, or such a thing in the repository's settings.
        OutputError: `fix` cannot write a file.
        MissingDependencyError: `onnxruntime` or `tensorrt` without that package.
    """
    from convert.check.loading import Expect, TargetChoice
    from convert.check.run import Checker, select_rules

    files = [str(path) for path in ((paths,) if isinstance(paths, str | Path) else paths)]
    given = declared.checked(declared.CheckOptions, options)
    given = declared.defaults(declared.CheckOptions) | read_settings(files) | given
    wanted = select_rules(given["select"], given["ignore"])
    choice = TargetChoice(given["target"], given["platform"], given["tensorrt_version"])
    default = choice.default
    expect = Expect(given["files"])
    checker = Checker(
        default.target, wanted, recorded=choice.recorded, source=default.source, files=expect, fail_on=given["fail_on"]
    )
    if given["onnxruntime"] or given["tensorrt"]:
        from convert.check.run import ExternalChecks  # only when asked for

        checker.external = ExternalChecks(
            onnxruntime=given["onnxruntime"], tensorrt=given["tensorrt"], timeout=given["timeout"]
        )
        checker.external.require()
    report = checker(files)
    if given["fix"]:
        from convert.check.fixes import apply, fixes  # only when asked for

        found = fixes(report)
        for fix in found:
            (observer or ignore)(fix)
        apply(found)
        report = checker.again()(files)
    return report


_SETTINGS: Final = {"ei-deepstream.toml": ("check",), "pyproject.toml": ("tool", "ei-deepstream", "check")}
_ROOTS: Final = (".git", ".hg")  # only the root of a repository has one


def read_settings(paths: Iterable[str]) -> dict[str, Any]:
    """The settings for these paths, as `checked` gives options; empty where no file has any.

    Raises:
        PresetError: the file cannot be read, or a key or value that no option has; it begins with the file's name.
    """
    try:
        shared = Path(os.path.commonpath([os.path.abspath(path) for path in paths]))  # noqa: PTH100 - as it is named
    except ValueError:  # no path at all
        return {}
    for folder in (shared, *shared.parents):
        for name, keys in _SETTINGS.items():
            path = str(folder / name)
            if os.path.isfile(path) and (found := _settings_table(path, keys)) is not None:  # noqa: PTH113 - any text
                return _settings_values(path, found)
        if any(os.path.exists(folder / name) for name in _ROOTS):  # noqa: PTH110 - any text
            break
    return {}


def _settings_table(path: str, keys: tuple[str, ...]) -> object:
    """The table behind `keys`; None: the file has none."""
    try:
        data = Path(path).read_bytes()
        # Most are about other tools.
        found: object = tomllib.loads(data.decode()) if all(key.encode() in data for key in keys) else None
    except (OSError, ValueError) as error:
        raise PresetError(f"{path}: {error}", hint="correct the file") from error
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _settings_values(path: str, found: object) -> dict[str, Any]:
    known = {name.replace("_", "-"): name for name in declared.table(declared.CheckOptions) if name != "fix"}
    try:
        if not isinstance(found, dict):
            raise PresetError("the settings of check are no table", hint='write select = ["NVI0"] below [...check]')  # noqa: TRY301
        declared.refuse_unknown(found, known)
        return declared.checked(declared.CheckOptions, {known[name]: value for name, value in found.items()})
    except PresetError as error:
        raise PresetError(f"{path}: {error.message}", hint=error.hint) from error


def simulate(
    config: Path | str | None,
    pictures: Paths,
    output: Path | str,
    *,
    observer: Callable[[int | None], None] | None = None,
    **options: Unpack[declared.SimulateOptions],
) -> Result:
    """Say what DeepStream will show on pictures or videos, and why not, with ONNX Runtime in TensorRT's place.

    >>> from convert import simulate
    >>> result = simulate("bundle/config_infer_primary_wooden-shapes.txt", "samples/pictures/shapes", "shown")
    >>> result.simulation.frames[0].classifications[0].label
    'circle'

    Args:
        config: a Gst-nvinfer config whose onnx-file is on this machine, or a bundle: then deepstream-app's config in it
            where that starts two engines, else its primary config; None where the option `app` names the engines.
        pictures: files and folders: frames as the camera gives them, not cropped. With `tensors` it may be empty.
        output: the folder for objects.json, drawn/, kitti/, report.html, and video/ of videos; made if need be.
        observer: is called once with the number of pictures (None: not known), then with 1 for each that is done.
        options: see `SimulateOptions`.

    Returns:
        Every frame with its objects; boxes are left, top, width and height in pixels of the frame, confidences 0..1.

    Raises:
        InputError: a config, model or recording that cannot be simulated, or no picture that can.
        UnsupportedModelError: the outputs cannot be decoded here; their parser is named.
        PresetError: options that do not exist or do not go together.
        OutputError: the folder cannot be written.
    """
    from convert.check.loading import TargetChoice  # `--help` does without
    from convert.files import make_folder
    from convert.images.read import find
    from convert.render.simulation import ResultsFolder  # brings numpy, Pillow and jinja2
    from convert.simulate.job import Job as Simulation
    from convert.simulate.job import counting, of_bundle

    given = declared.defaults(declared.SimulateOptions) | declared.checked(declared.SimulateOptions, options)
    declared.refuse_simulation(given)
    if given["stride"] is not None:
        raise PresetError("--stride is for bundles of sound or sensor data", hint="leave out --stride")
    if (config is None) == (given["app"] is None):
        raise PresetError("an app names its engines, and a config is one: give one of the two", hint="leave one out")
    choice = TargetChoice(given["target"], given["platform"])
    named = Path(config or given["app"])
    at = choice.recorded(str(named if named.is_dir() else named.parent)) or choice.default
    taken = None
    if named.is_dir():
        config, given["app"] = of_bundle(named, at.target, one=bool(given["sgie"] or given["tensors"]))
        taken = Path(config or given["app"])
    one = None if config is None else Path(config)
    several = (pictures,) if isinstance(pictures, str | Path) else pictures
    files = find(tuple(Path(path) for path in several))
    if not files and given["tensors"] is None:
        raise PresetError("there are no pictures to simulate", hint="give files or folders of pictures, or videos")
    counted: tracking.Counting | None = None
    known: tuple[Finding, ...] = ()
    if given["tensors"] is None:
        other, edge_impulse = given["app"] and Path(given["app"]), given["count_as"] is not None
        counted, known = counting(one, other, at.target, every=given["every"], edge_impulse=edge_impulse)
    make_folder(Path(output))
    settings = {name: given[name] for name in ("app", "tensors", "every", "limit")}
    job = Simulation(at.target, files, one, given["sgie"], counting=counted, known=known, **settings)
    comparison: Comparison | None = None

    @contextlib.contextmanager
    def comparing(primary: engine.LoadedEngine) -> Iterator[Callable[[str, NDArray[np.uint8]], object]]:
        nonlocal comparison
        if given["against"] is None:
            yield ignore
            return
        from convert.compare.run import compare_with_original  # brings LiteRT; most simulations do without

        with compare_with_original(primary, given["original"]) as run:
            yield run
            if run.rows:
                comparison = run.comparison

    with ResultsFolder(Path(output), given["every"]) as folder:
        done = job(folder.add, comparing, observer or ignore)
    return replace(folder.finish(done, comparison), target=at, taken=taken)


def simulate_recordings(
    bundle: Path | str,
    recordings: Paths,
    output: Path | str,
    *,
    observer: Callable[[int | None], None] | None = None,
    **options: Unpack[declared.SimulateOptions],
) -> RecordingsResult:
    """Say what a bundle of sound or sensor data gives for recordings: scores and anomaly score over time.

    Args:
        bundle: folder that `convert` wrote for a whole impulse, or what `eim pack` made of it.
        recordings: WAV, CSV, or JSON and CBOR of Edge Impulse's data acquisition format; and folders of them.
        output: the folder for scores.json and report.html; made if need be.
        observer: is called once with None, then with the number of windows that are done.
        options: of `SimulateOptions` only `stride`, the seconds from one window to the next.

    Raises:
        InputError: no such bundle, or none of the recordings can be read; of others there is a finding.
        ValidationError: the model fails.
        PresetError: options that do not exist, or are about pictures.
        OutputError: the folder cannot be written.
    """
    from convert.eim.bundle import SampledImpulse, read_impulse  # `--help` does without
    from convert.eim.server import LoadedSamples
    from convert.render.recordings import write_recordings
    from convert.simulate.recordings import ImpulseModel
    from convert.simulate.recordings import simulate as run

    given = declared.defaults(declared.SimulateOptions) | declared.checked(declared.SimulateOptions, options)
    declared.refuse_recordings(given)
    impulse = read_impulse(Path(bundle), whole=True, engine=1)  # an app of two models takes pictures
    if not isinstance(impulse, SampledImpulse):
        raise InputError("this bundle takes pictures", path=bundle, hint="give it to `simulate`, with pictures")
    model = ImpulseModel(f"{impulse.name}.onnx", impulse.window, impulse.labels, LoadedSamples(impulse).run)
    several = (recordings,) if isinstance(recordings, str | Path) else recordings
    done = run(model, [Path(path) for path in several], given["stride"], observer or ignore)
    return write_recordings(done, Path(output))


def batch(
    paths: Paths, output: Path | str, *, observer: Observer | None = None, **options: Unpack[declared.BatchOptions]
) -> BatchReport:
    """Convert many exports: in parallel, only what has changed, whatever happens to one of them.

    >>> from convert import batch
    >>> report = batch("samples/exports/shapes-cpp-2025", "bundles", cache_dir="cache", jobs=1)
    >>> [(outcome.name, outcome.state.value) for outcome in report.outcomes]
    [('shapes-cpp-2025', 'done')]

    Args:
        paths: manifests (.toml), exports, globs and folders of exports, which are searched to their depths.
        output: the folder of all bundles; each model gets a folder in it, and batch.json says what became of all.
        observer: is called with every stage of a model and every outcome, in the calling thread.
        options: see `BatchOptions`; they hold for all models, whatever a manifest says.

    Returns:
        An outcome for each model, with its files, findings and error, and the findings of the batch as a whole. One
        model that cannot be converted is no error. `BatchReport.failed` are those for which the command fails.

    Raises:
        InputError: a manifest or glob that cannot be read or names nothing, or an export that Studio does not give.
        PresetError: options that do not exist or do not go together, or two models that were given the same name.
        OutputError: `output` cannot be written.
    """
    return run_batch(paths, output, lambda _jobs: contextlib.nullcontext(observer or ignore), **options)


def run_batch(
    paths: Paths,
    output: Path | str,
    watching: Callable[[Sequence[Job]], AbstractContextManager[Callable[[Job, Event | Outcome], None]]],
    waiting: Callable[[Path], None] = ignore,
    **options: Unpack[declared.BatchOptions],
) -> BatchReport:
    """As `batch`, for a caller that shows progress.

    Args:
        watching: makes the observer when the jobs are known.
        waiting: is called with the output folder when another batch is writing into it.
    """
    from convert.batch import run
    from convert.batch.cache import Cache, cache_folder, locked  # `--help` does without
    from convert.batch.plan import models_of, plan
    from convert.files import make_folder, write
    from convert.render.machine import batch_document
    from convert.report import dumps

    settings = declared.checked(declared.BatchOptions, options)
    given = {
        name: settings.pop(name, default)
        for name, default in declared.defaults(declared.BatchOptions).items()
        if name not in declared.table(declared.CommonOptions)
    }
    if given["scheduler"] is not None and given["jobs"] is not None:
        raise PresetError("--jobs is about this machine", hint="with --scheduler the cluster's workers say how many")
    folder = Path(output)
    words = [str(path) for path in ((paths,) if isinstance(paths, str | Path) else paths)]
    models, findings = models_of(words, folder)
    jobs, renamed = plan(models, folder, declared.defaults(declared.ConvertOptions), settings)
    limits = given["time_limit"], given["memory_limit"]
    scheduler: Any
    if given["scheduler"] is not None:
        from convert.batch.dask import Cluster  # an extra

        scheduler = Cluster(given["scheduler"], *limits)
    else:
        from convert.batch import Pool, cores, half_of_memory

        scheduler = Pool(given["jobs"] or cores(), limits[0], limits[1] or half_of_memory())
    cache = Cache(cache_folder(given["cache_dir"]))
    make_folder(folder)
    # Two runs that write into one folder with different options would mix their files.
    with locked(folder, wait=False) as free, contextlib.ExitStack() as stack:
        if not free:
            waiting(folder)
            stack.enter_context(locked(folder))
        ended: dict[str, ConvertError] = {}
        there = []
        for job in jobs:
            try:
                export, *sgie = stack.enter_context(_fetched(job.exports, job.settings))
            except ConvertError as error:  # that entry's result; the others are converted
                ended[job.name] = error
                there.append(job)
            else:
                there.append(replace(job, export=export, sgie=next(iter(sgie), None)))
        jobs = tuple(there)
        with watching(jobs) as observer, scheduler as ready:
            report = run(
                *(jobs, folder, ready, cache),
                force=given["force"], observer=observer, findings=(*findings, *renamed), ended=ended,
            )  # fmt: skip
        write(folder / "batch.json", dumps(batch_document(report, folder)))
    return report
