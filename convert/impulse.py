"""A whole impulse of sound or sensor data, behind `unpack`: translate its network, make one graph, measure it.

    Export (with an impulse) -> Translated -> ImpulseModel -> ValidatedImpulse -> Bundle

What cannot be converted `convert.export.impulse.refuse` refuses before any of it. The graph follows the arithmetic that
the network was trained with; `convert.dsp` has it. It is measured against `convert.dsp.reference`, which computes the
same another way, and against the original network in LiteRT, on synthetic windows and on those of recordings.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from convert import isolation, types
from convert.dsp import KMeans, Mixture
from convert.dsp import blocks as kinds
from convert.emit.impulse import EmitImpulse
from convert.errors import InputError, PresetError, ValidationError
from convert.export.impulse import refuse
from convert.files import Output
from convert.findings import Finding, Rule
from convert.options import ConvertOptions, table
from convert.translate import OLDEST, Translation
from convert.translate import died as translation_died
from convert.validate import CONSTANT, TENSORRT, runtimes
from convert.validate.comparison import BATCH, NOT_FINITE, TOLERANCE, Tally

if TYPE_CHECKING:
    from numpy.typing import NDArray


FEATURES, FOLLOWED, LEFT_OUT = Rule("EI411"), Rule("EI412"), Rule("EI414")

_OPSET: Final = 13
"""Of every impulse: TensorRT 8 and everything after it reads it, and `convert.dsp.graph` is written in it."""

OPTIONS: Final = frozenset(
    {
        *("model", "bundle_name", "labels", "dequantize", "timeout", "tensorflow", "samples", "sdk_log", "tolerance"),
        *("tensorrt", "batch_size", "gpu_id", "target", "platform", "jetpack", "opset"),
    }
)
"""Options of `convert` that mean something for an impulse; the others are about pictures and Gst-nvinfer."""


def stages(
    output: Path, options: Mapping[str, Any], worker: isolation.Worker, *, any_kind: bool = False
) -> tuple[types.Stage, ...]:
    """The four stages behind `unpack`.

    Args:
        any_kind: the options are for exports of any kind: those about pictures are no error.

    Raises:
        PresetError: options about pictures, or of another opset.
    """
    known = table(ConvertOptions)
    for name, value in options.items():
        if name in known and name not in OPTIONS and value != known[name].default and not any_kind:
            option = f"--{name.replace('_', '-')}"
            message = f"{option} does not apply to an export of sound or sensor data"
            raise PresetError(message, hint=f"leave out {option}")
    if options.get("opset") not in {None, _OPSET} and not any_kind:
        raise PresetError(f"an impulse is converted with opset {_OPSET}", hint="leave out --opset")
    samples, timeout = options.get("samples"), options.get("timeout", 120.0)
    proof = ValidateImpulse(
        None if samples is None else Path(samples),
        options.get("tolerance", 1e-4),
        timeout,
        options.get("batch_size", 1),
        tensorrt=options.get("tensorrt", False),
        worker=worker,
    )
    emit = {name: options[name] for name in ("batch_size", "gpu_id", "target", "platform") if name in options}
    return (
        TranslateImpulse(timeout, tensorflow=options.get("tensorflow", False), worker=worker),
        AdaptImpulse(sdk_log=options.get("sdk_log", False), mixtures=worker, timeout=timeout),
        proof,
        EmitImpulse(output, **emit),
    )


def plan(stage: types.Stage, export: types.Export) -> types.StageResult:
    """The result of `stage` as far as it is known without running it."""
    if isinstance(stage, TranslateImpulse):
        refuse(export)
    if not isinstance(stage, EmitImpulse):
        return types.StageResult(export)
    return types.StageResult(export, tuple(Output(str(stage.folder / name), None) for name in stage.plan(export)))


@dataclass(frozen=True, slots=True)
class TranslateImpulse:
    """Translate the network of an impulse with tf2onnx, as `convert.translate.Translate` does one of pictures.

    Attributes:
        timeout: seconds it may take.
        tensorflow: use the installed TensorFlow instead of the stub.
        worker: the process that tf2onnx runs in.
    """

    name: ClassVar[str] = "translate"
    timeout: float
    worker: isolation.Worker = field(compare=False, repr=False)
    tensorflow: bool = False

    def __call__(self, artifact: object, workdir: Path) -> types.StageResult:  # noqa: ARG002 - every stage takes one
        """Of an `Export` without a network the model is empty.

        Raises:
            UnsupportedModelError: it cannot be converted.
            TranslationError: tf2onnx fails, dies or takes too long.
        """
        assert isinstance(artifact, types.Export)
        refuse(artifact)
        facts, model = artifact.facts, artifact.model
        if not model:
            return types.StageResult(types.Translated(artifact, types.OnnxModel(b"", facts.input, (), _OPSET)))
        from convert.translate import TF2ONNX_WARNED

        is_onnx = artifact.format is types.ModelFormat.ONNX
        found = translate(self.worker, model, facts.input.shape, self.timeout, is_onnx=is_onnx, real=self.tensorflow)
        warned = tuple(TF2ONNX_WARNED.found(f"tf2onnx: {line}") for line in found.warnings)
        onnx = types.OnnxModel(found.data, found.input, found.outputs, found.opset)
        return types.StageResult(types.Translated(artifact, onnx), findings=warned)


def translate(
    worker: isolation.Worker,
    model: bytes,
    shape: Sequence[int | None],
    timeout: float,
    *,
    is_onnx: bool = False,
    real: bool = False,
) -> Translation:
    """A flatbuffer, or an ONNX model, that takes features of `shape` [1, ...], in `worker`; `real`: with TensorFlow.

    Raises:
        TranslationError: it was refused, or the worker died or took too long.
    """
    function = "convert.translate.worker:translate"
    how: tuple[object, ...] = (_OPSET, real, False)
    if is_onnx:
        function, how = "convert.translate.worker:accept", ((OLDEST, _OPSET), False)
    with contextlib.ExitStack() as stack:
        if real:  # the worker has imported the stub for TensorFlow
            worker = stack.enter_context(isolation.Worker())
        try:
            result: Translation = worker.call(function, model, tuple(shape), 1, *how, timeout=timeout)
        except isolation.Died as death:
            raise translation_died(death) from death
    return result


@dataclass(frozen=True, slots=True)
class AdaptImpulse:
    """Make one graph of signal processing, network and anomaly score.

    Attributes:
        sdk_log: with the SDK's approximation of log10, to compare with a device; else an exact one, as in training.
        mixtures: the process in which the network of a Gaussian mixture is translated.
        timeout: seconds that may take.
    """

    name: ClassVar[str] = "adapt"
    mixtures: isolation.Worker = field(compare=False, repr=False)
    sdk_log: bool = False
    timeout: float = 120.0

    def __call__(self, artifact: object, workdir: Path) -> types.StageResult:  # noqa: ARG002 - every stage takes one
        """The `ImpulseModel` of a `Translated`.

        Raises:
            UnsupportedModelError: a block, or the end of the network, cannot be converted.
            TranslationError: the network cannot have a dynamic batch.
            InputError: the labels do not fit the scores.
        """
        assert isinstance(artifact, types.Translated)
        from convert.dsp.graph import impulse_graph  # brings onnx
        from convert.graph.graph import signature
        from convert.graph.passes import canonical, prepared
        from convert.heads.base import class_labels

        export = artifact.export
        impulse = export.impulse
        assert impulse is not None
        network = prepared(artifact.onnx, coded=False) if artifact.onnx.size else None
        mixture = self._mixture(impulse.anomaly) if isinstance(impulse.anomaly, Mixture) else None
        step = input_step(export.original) if export.original else None
        model = impulse_graph(impulse, network, mixture, sdk_log=self.sdk_log, step=step, with_features=True)
        names = [value.name for value in model.graph.output]
        model = canonical(model, names, _metadata(export), "samples")
        measured = model.SerializeToString(deterministic=True)
        del model.graph.output[-1]  # the features stay inside the graph
        outputs = tuple(map(signature, model.graph.output))
        labels: tuple[str, ...] = ()
        found: tuple[Finding, ...] = ()
        if "scores" in names:
            classes = outputs[names.index("scores")].shape[-1] or 0
            given = export.metadata.labels
            if classes == 1:  # of a regression, or of a network that gives a probability of its own
                labels = given if given and len(given) == 1 else ("value",)
            else:
                labels, found = class_labels(export, classes)
        scored = impulse.anomaly.block if impulse.anomaly else None
        notes = [
            FOLLOWED.found(f"block {block.id} ({block.kind}): {note}")
            for block in impulse.blocks
            if block.id in impulse.sources or block.id == scored
            for note in kinds.settings(block, impulse).notes
        ]
        if scored is not None and scored != impulse.blocks[0].id:
            first = f"block {scored}, as in training; a device reads those of the first block, {impulse.blocks[0].id}"
            notes.append(FOLLOWED.found(f"the anomaly score takes the features of {first}"))
        onnx = types.OnnxModel(
            model.SerializeToString(deterministic=True), signature(model.graph.input[0]), outputs, _OPSET
        )
        return types.StageResult(types.ImpulseModel(export, onnx, labels, measured, step), findings=(*found, *notes))

    def _mixture(self, mixture: Mixture) -> Any:
        from convert.export.facts import facts
        from convert.graph.passes import prepared

        found = translate(self.mixtures, mixture.model, facts(mixture.model).input.shape, self.timeout)
        return prepared(found, coded=False)


def input_step(model: bytes) -> float | None:
    """The step of the codes that a quantized flatbuffer has for its input; None where it has none.

    A device rounds the features to it. The rewriting in float32 does without rounding, but steps of an input are often
    large: the range of features is that of the rarest of them.
    """
    from convert.export.tflite import read_graph

    graph = read_graph(model)
    (source,) = graph.inputs
    quantizers = [each.outputs[0] for each in graph.operators if each.name == "QUANTIZE" and source in each.inputs]
    scales = graph.tensors[source].scales or (graph.tensors[quantizers[0]].scales if quantizers else ())
    return float(scales[0]) if len(scales) == 1 and scales[0] > 0 else None


def _metadata(export: types.Export) -> dict[str, str]:
    """What the model records of itself, as text."""
    from convert import __version__

    impulse = export.impulse
    assert impulse is not None
    values = {
        **({"source_sha256": export.provenance} if export.model else {}),
        "tool_version": __version__,
        "sensor": impulse.sensor,
        "frequency": f"{impulse.frequency:.17g}",
        "axes": ",".join(impulse.axis_names) or str(impulse.axes),
        "window": str(impulse.samples),
    }
    return {f"ei_deepstream.{name}": value for name, value in values.items()}


_WINDOWS = 48  # synthetic ones
_MOST_RECORDED = 200  # windows of all recordings
_MOST_VALUES = 16 << 20  # of the synthetic windows, and of the recorded ones: bounds memory
_BATCHES = (1, 2, 8)
_FEWEST = max(_BATCHES)
_SAME_VALUE = 0.02  # of the range of a regression's values: what counts as the same
_HALF = 0.5  # from which on a single score is a yes
_AT_ONCE = 8  # windows that the graph is given at a time
_NEAR, _SHARE = 5e-3, 1e-3  # what a feature may differ by: a step of MFE's 1/256, and a share of its size
_CLOSE = 0.99  # share of features that have to: Conv and FFT round empty bins differently


@dataclass(frozen=True, slots=True)
class ValidateImpulse:
    """Measure an impulse's graph.

    Attributes:
        samples: a recording, or a folder of them, to measure on, too.
        tolerance: the largest absolute difference between the scores and those of the network in LiteRT.
        timeout: seconds LiteRT may take.
        batch_size: of the engine that `tensorrt` builds.
        tensorrt: parse and build it with TensorRT-RTX.
        worker: the process that LiteRT runs in.
    """

    name: ClassVar[str] = "validate"
    samples: Path | None
    tolerance: float
    timeout: float
    batch_size: int
    worker: isolation.Worker = field(compare=False, repr=False)
    tensorrt: bool = False

    def __call__(self, artifact: object, workdir: Path) -> types.StageResult:  # noqa: ARG002 - every stage takes one
        """The `ValidatedImpulse` of an `ImpulseModel`.

        Raises:
            InputError: a recording cannot be read.
            ValidationError: ONNX Runtime or LiteRT refuses a model, crashes or takes too long.
            MissingDependencyError: `tensorrt` without that package.
        """
        assert isinstance(artifact, types.ImpulseModel)
        from convert.dsp import recordings
        from convert.dsp.reference import reference_anomaly, reference_features

        if self.tensorrt:
            runtimes.require()
        impulse = artifact.impulse
        size = impulse.samples * impulse.axes
        windows = list(recordings.synthetic(impulse, max(_FEWEST, min(_WINDOWS, _MOST_VALUES // size))))
        judged = slice(len(windows))
        recorded, left_out = self._recorded(artifact)
        fed = np.stack([*windows, *recorded])
        session = runtimes.load(artifact.measured)
        names = [*(value.name for value in artifact.onnx.outputs), "features"]
        outputs = dict(zip(names, _run(session, fed), strict=True))
        features = outputs["features"]
        wanted = _in_parts(partial(reference_features, impulse), fed)
        differences, _ = _features(features, wanted)
        # Recordings may hold silence, of which features mean nothing: the synthetic windows decide.
        _, found = _features(features[judged], wanted[judged])
        found = (*left_out, *found)
        network, scores, agreement = None, None, None
        if "scores" in outputs:
            rounded = _rounded(features, artifact.step)
            network, more = self._network(artifact, rounded, outputs["scores"])
            found += more
            scores = self._scores(artifact.export, wanted, outputs["scores"])
            agreement, more = self._int8(artifact, wanted, outputs["scores"])
            found += more
        anomaly = None
        if "anomaly" in outputs:
            mixture = partial(self._mixture, impulse.anomaly)
            score = _in_parts(lambda part: np.asarray(reference_anomaly(impulse, part, mixture)).reshape(-1, 1), fed)
            anomaly, _ = _features(outputs["anomaly"], score)
            found += _features(outputs["anomaly"][judged], score[judged])[1]
        batch, more = _batches(session, fed, names, artifact.step)
        found += more
        ill: dict[str, float] = {}
        for name, window in recordings.ill_conditioned(impulse):
            got = np.nan_to_num(_run(session, window[None])[-1].astype(np.float64))
            ill[name] = float(np.max(np.abs(got - np.nan_to_num(reference_features(impulse, window[None])))))
        built, more = self._build(artifact)
        found += more
        measured = (differences, network, scores, anomaly, batch, ill, agreement, built)
        evidence = types.ImpulseEvidence(*measured, recordings=len(recorded))
        return types.StageResult(types.ValidatedImpulse(artifact, evidence), findings=found)

    def _recorded(self, model: types.ImpulseModel) -> tuple[list[NDArray[np.float32]], tuple[Finding, ...]]:
        """Windows of the recordings, as many of each, and what was left out of them."""
        if self.samples is None:
            return [], ()
        from convert.dsp import recordings

        size = model.impulse.samples * model.impulse.axes
        most = max(_FEWEST, min(_MOST_RECORDED, _MOST_VALUES // size))
        found = recordings.find(self.samples)
        files = found[:: -(-len(found) // most)]  # sorted by name, a data set has one label behind the other
        each = most // len(files)
        windows: list[NDArray[np.float32]] = []
        errors: list[InputError] = []
        for path in files:
            try:
                windows += recordings.windows(path, model.impulse, each)
            except InputError as error:
                errors.append(error)
        if not windows:
            raise errors[0]
        left = f"{len(errors)} of {len(files)} recordings cannot be used, the first: " if errors else ""
        return windows, (LEFT_OUT.found(left + errors[0].message, path=errors[0].path),) if errors else ()

    def _network(
        self, model: types.ImpulseModel, features: NDArray[Any], scores: NDArray[Any]
    ) -> tuple[types.Parity | None, tuple[Finding, ...]]:
        wanted = self._original(model.export, model.export.model, features)
        # Of a regression the scores have any range: float32 keeps about seven digits of each. A quantized network's
        # activations are rounded, which may go either way; the agreement with the original says what comes of it.
        tally = Tally(self.tolerance * max(1.0, float(np.abs(wanted).max())), exact=model.step is None)
        tally.add([f"window {number}" for number in range(len(scores))], [wanted], [scores])
        # A network that always says the same may do so on synthetic windows.
        return tally.parity(), tuple(each for each in tally.findings() if each.id != CONSTANT.id)

    def _scores(self, export: types.Export, features: NDArray[Any], scores: NDArray[Any]) -> types.Agreement:
        """The shipped model against the original network, on features computed independently."""

        original = self._original(export, export.original or export.model, features)
        apart = np.abs(original.astype(np.float64) - scores)
        given = export.metadata.labels
        if scores.shape[1] > 1:
            same = float(np.mean(original.argmax(axis=1) == scores.argmax(axis=1)))
        elif not given or len(given) != 1:  # a value that has no threshold
            same = float(np.mean(apart <= _SAME_VALUE * np.ptp(original)))
        else:
            same = float(np.mean((original >= _HALF) == (scores >= _HALF)))
        return types.Agreement(same, float(apart.mean()), float(apart.max()), len(scores))

    def _mixture(self, anomaly: KMeans | Mixture | None, features: NDArray[Any]) -> NDArray[Any]:
        """The scores of a Gaussian mixture in LiteRT."""
        assert isinstance(anomaly, Mixture)
        return runtimes.outputs(anomaly.model, features[:, None, None, :], None, self.worker, self.timeout)[0]

    def _original(
        self, export: types.Export, model: bytes, features: NDArray[Any], kernels: str = "XNNPACK"
    ) -> NDArray[np.float32]:
        """[n, C] of a flatbuffer in LiteRT, or of a network that is ONNX in ONNX Runtime, for features [n, F]."""
        if export.format is types.ModelFormat.ONNX:
            session = runtimes.load(model)
            rows = features.astype(np.float32).reshape(-1, 1, *(export.facts.input.shape[1:]))
            return np.concatenate([runtimes.run_onnx(session, row)[0].reshape(1, -1) for row in rows])
        fed = np.ascontiguousarray(features, np.float32)[:, None, None, :]
        (result,) = runtimes.outputs(model, fed, None, self.worker, self.timeout, kernels=kernels)
        return result.reshape(len(features), -1)

    def _int8(
        self, model: types.ImpulseModel, features: NDArray[Any], scores: NDArray[Any]
    ) -> tuple[types.Int8Agreement | None, tuple[Finding, ...]]:
        """The original, quantized network against the shipped model; where they decide differently too often, two sets
        of LiteRT's own kernels on the same features, too."""
        export = model.export
        if export.original is None:
            return None, ()
        from convert.agreement import GOOD, agreement_findings

        same = self._scores(export, features, scores)
        kernels = None
        if same.top1 < GOOD:
            from convert.validate.runtimes import REFERENCE

            other = self._original(export, export.original, features, REFERENCE)
            kernels = self._scores(export, features, other).top1
        agreement = types.Int8Agreement(same.top1, same.mean_abs_diff, same.max_abs_diff, same.inputs, kernels=kernels)
        hint = "compare on recordings of your own: --samples and a folder of them"
        return agreement, agreement_findings(agreement, f"{hint}; the float32 export needs no rewriting")

    def _build(self, model: types.ImpulseModel) -> tuple[str | None, tuple[Finding, ...]]:
        if not self.tensorrt:
            return None, ()
        size = model.impulse.samples * model.impulse.axes
        try:
            return runtimes.build(model.onnx.data, (size,), self.batch_size, timeout=max(self.timeout, 300.0)), ()
        except ValidationError as error:
            return None, (TENSORRT.found(error.message, hint=error.hint, path=model.file),)


def _run(session: Any, windows: NDArray[np.float32]) -> list[NDArray[Any]]:
    """All outputs, a few windows at a time."""
    parts = [runtimes.run_onnx(session, windows[at : at + _AT_ONCE]) for at in range(0, len(windows), _AT_ONCE)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _in_parts(compute: Callable[[NDArray[np.float32]], Any], windows: NDArray[np.float32]) -> NDArray[Any]:
    """What `compute` gives for a few windows at a time: the frames of all would take gigabytes."""
    return np.concatenate([compute(windows[at : at + _AT_ONCE]) for at in range(0, len(windows), _AT_ONCE)])


def _rounded(features: NDArray[Any], step: float | None) -> NDArray[np.float32]:
    """As the graph rounds them for a network that was quantized, in float32 as there."""
    single = features.astype(np.float32)
    if step is None:
        return single
    rounded: NDArray[np.float32] = np.floor(single * np.float32(1 / step) + np.float32(0.5)) * np.float32(step)
    return rounded


def _features(got: NDArray[Any], wanted: NDArray[Any]) -> tuple[types.Differences, tuple[Finding, ...]]:
    """How far values are from an independent computation, and EI411 or EI405 where that is too far."""
    apart = np.abs(np.nan_to_num(got).astype(np.float64) - wanted)
    close = float((apart <= _NEAR + _SHARE * np.abs(wanted)).mean())
    far = types.Differences(float(apart.max()), float(apart.mean()), close, len(got))
    if not np.isfinite(got).all():
        return far, (NOT_FINITE.found("the features hold NaN or infinity", hint=FEATURES.fix),)
    if close >= _CLOSE:
        return far, ()
    message = f"{1 - close:.1%} of {got.size:,} values differ, by up to {far.max_abs_diff:.3g}"
    return far, (FEATURES.found(message, hint=FEATURES.fix),)


def _batches(
    session: Any, windows: NDArray[np.float32], names: Sequence[str], step: float | None
) -> tuple[types.BatchParity, tuple[Finding, ...]]:
    """Batches against the same windows one at a time.

    Where a quantized network's activations are rounded, a last bit may move the scores of a few windows by some steps:
    the middle one of the windows counts, which a batch that is mixed up moves, too.
    """
    windows = windows[: max(_BATCHES)]
    single = [runtimes.run_onnx(session, windows[number : number + 1]) for number in range(len(windows))]
    alone = [np.concatenate(column) for column in zip(*single, strict=True)]
    worst, findings = 0.0, []
    for size in _BATCHES[1:]:
        together = runtimes.run_onnx(session, windows[:size])
        for name, one, many in zip(names, alone, together, strict=True):
            rows = np.abs(np.nan_to_num(one[:size]) - np.nan_to_num(many)).reshape(size, -1).max(axis=1)
            apart = float(np.median(rows) if name == "scores" and step is not None else rows.max())
            worst = max(worst, apart)
            if apart > 1e2 * TOLERANCE * max(1.0, float(np.max(np.abs(one)))):
                message = f"output {name} of a batch of {size} differs by up to {apart:.3g}"
                findings.append(BATCH.found(message, hint=BATCH.fix))
    return types.BatchParity(_BATCHES, worst), tuple(findings)
