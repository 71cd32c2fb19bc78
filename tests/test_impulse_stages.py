"""The stages of a whole impulse on graphs of a few nodes: what is said of them, and what is measured."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx.parser
import onnx.printer
import pytest

from convert.dsp import Impulse, KMeans, Mixture, recordings
from convert.emit.impulse import EmitImpulse
from convert.errors import InputError, PresetError, TranslationError, ValidationError
from convert.impulse import (
    FEATURES,
    OPTIONS,
    AdaptImpulse,
    TranslateImpulse,
    ValidateImpulse,
    input_step,
    stages,
    translate,
)
from convert.isolation import Died, InProcessWorker, Worker
from convert.options import ConvertOptions, defaults, table
from convert.translate import Translation
from convert.types import Export, ImpulseModel, Metadata, ModelFacts, ModelFormat, OnnxModel, Tensor, Translated
from convert.validate import TENSORRT
from tests.dsp.impulses import block, impulse
from tests.export import tiny
from tests.graph.flat import Flat

if TYPE_CHECKING:
    from convert.findings import Finding
    from convert.types import StageResult, ValidatedImpulse

SIZE = 16
RAW = impulse(block("raw", 1), samples=SIZE)
CONSTANTS = """
    none = Constant <value = float[1] {0.0}> ()
    one = Constant <value = float[1] {1.0}> ()
    zero = Constant <value = int64[1] {0}> ()
    half = Constant <value = int64[1] {8}> ()
    last = Constant <value = int64[1] {1}> ()
    all = Constant <value = int64[1] {16}> ()
"""
TWO = """
    before = Slice (x, zero, half, last)
    after = Slice (x, half, all, last)
    left = ReduceMean <axes = [1]> (before)
    right = ReduceMean <axes = [1]> (after)
    y = Concat <axis = 1> (left, right)
"""
ONE = "y = ReduceMean <axes = [1]> (x)"


def network(body: str, classes: int = 2) -> bytes:
    header = f'<ir_version: 7, opset_import: ["": 13]> g (float[N,{SIZE}] x) => (float[N,{classes}] y)'
    return bytes(onnx.parser.parse_model(f"{header} {{ {CONSTANTS} {body} }}").SerializeToString())


def export(given: Impulse, model: bytes = b"", labels: tuple[str, ...] | None = ("a", "b"), **more: Any) -> Export:
    """Of a network that is ONNX: nothing has to be started to run it."""
    facts = ModelFacts(Tensor("x", (1, SIZE), "float32"), (), (), "float32", "classifier")
    kind = ModelFormat.ONNX
    return Export(model, "m", "F1", "m.zip", "", Metadata(labels=labels), facts, kind, impulse=given, **more)


class _Translating(Worker):
    """Calls no child: it gives `result`, or dies as `death` says."""

    def __init__(self, result: Translation | None = None, death: str = "") -> None:
        super().__init__()
        self.result, self.death = result, death
        self.asked: tuple[Any, ...] = ()

    def call(self, *arguments: Any, **limits: Any) -> Any:
        self.asked = (*arguments, limits)
        if self.death:
            raise Died(self.death)
        return self.result


@pytest.mark.parametrize(
    ("is_onnx", "asked"),
    [
        (False, ("convert.translate.worker:translate", b"model", (1, 16), 1, 13, False, False)),
        (True, ("convert.translate.worker:accept", b"model", (1, 16), 1, (7, 13), False)),
    ],
)
def test_a_network_is_translated_in_the_worker(is_onnx: bool, asked: tuple[Any, ...]) -> None:
    worker = _Translating(made := Translation(b"onnx", Tensor("x", (1, 16), "float32"), (), 13, ("careful",)))
    assert translate(worker, b"model", [1, 16], 3.0, is_onnx=is_onnx) is made
    assert worker.asked == (*asked, {"timeout": 3.0})
    given = export(RAW, b"model") if is_onnx else replace(export(RAW, b"model"), format=ModelFormat.TFLITE)
    result = TranslateImpulse(3.0, worker)(given, Path())
    assert [(each.id, each.message) for each in result.findings] == [("EI200", "tf2onnx: careful")]


@pytest.mark.parametrize("is_onnx", [False, True])
def test_a_worker_that_dies_translates_nothing(is_onnx: bool) -> None:
    with pytest.raises(TranslationError, match=r"^tf2onnx ran longer than 3 s on this model$") as caught:
        translate(_Translating(death="ran longer than 3 s"), b"model", [1, 16], 3.0, is_onnx=is_onnx)
    assert caught.value.hint == "allow more time with --timeout"
    with pytest.raises(TranslationError, match=r"^tf2onnx crashed on this model \(SIGSEGV\)$") as caught:
        translate(_Translating(death="killed by SIGSEGV"), b"model", [1, 16], 3.0, is_onnx=is_onnx)
    assert caught.value.hint == "the file is damaged, or holds what tf2onnx cannot read: download the export again"


def adapted(given: Export, folder: Path) -> StageResult:
    onnx_model = OnnxModel(given.model, given.facts.input, (), 13)
    return AdaptImpulse(InProcessWorker())(Translated(given, onnx_model), folder)


def measured(
    model: ImpulseModel, folder: Path, samples: Path | None = None
) -> tuple[ValidatedImpulse, tuple[Finding, ...]]:
    """What is measured, and found."""
    result = ValidateImpulse(samples, 1e-4, 60.0, 1, InProcessWorker())(model, folder)
    return result.artifact, result.findings


def distance(number: int) -> KMeans:
    return KMeans((0, 1), (0.0, 0.0), (1.0, 1.0), ((0.0, 0.0),), (0.5,), number)


OLD, NEW = block("mfcc", 3, number=2), block("mfcc", 4, number=3)  # training and devices differ only in the old one


@pytest.mark.parametrize(
    ("blocks", "inputs", "anomaly", "said"),
    [
        ((OLD,), (2,), None, ["block 2 (mfcc): low_frequency"]),
        ((NEW,), (3,), None, []),
        ((NEW, OLD), (3,), None, []),
        ((NEW, OLD), (3, 2), None, ["block 2 (mfcc): low_frequency"]),
        ((NEW, OLD), (3,), 3, []),
        ((NEW, OLD), (3,), 2, ["block 2 (mfcc): low_frequency", "the anomaly score takes the features of block 2, as"]),
        ((OLD, NEW), (), 2, ["block 2 (mfcc): low_frequency"]),
    ],
)
def test_where_training_and_devices_differ(
    blocks: Any, inputs: tuple[int, ...], anomaly: int | None, said: list[str], tmp_path: Path
) -> None:
    """Of blocks whose features go into the network or the anomaly score."""
    given = replace(impulse(*blocks, anomaly=distance(anomaly) if anomaly else None), inputs=inputs)
    size = sum(each.size for each in given.blocks if each.id in inputs)
    text = f'<ir_version: 7, opset_import: ["": 13]> g (float[N,{size}] x) => (float[N,{size}] y) {{ y = Tanh (x) }}'
    model = onnx.parser.parse_model(text).SerializeToString() if inputs else b""
    findings = adapted(export(given, model, labels=None), tmp_path).findings
    notes = [each.message for each in findings if each.id == "EI412"]
    assert [note[: len(start)] for note, start in zip(notes, said, strict=True)] == said


@pytest.mark.parametrize(
    ("body", "given", "labels", "found"),
    [
        (TWO, ("a", "b"), ("a", "b"), 0),
        (TWO, None, ("class0", "class1"), 1),
        (ONE, ("temperature",), ("temperature",), 0),
        (ONE, None, ("value",), 0),
        (ONE, ("a", "b"), ("value",), 0),
    ],
)
def test_labels_of_the_scores(
    body: str, given: tuple[str, ...] | None, labels: tuple[str, ...], found: int, tmp_path: Path
) -> None:
    result = adapted(export(RAW, network(body, 1 if body == ONE else 2), given), tmp_path)
    assert (result.artifact.labels, len(result.findings)) == (labels, found)
    assert [each.name for each in result.artifact.onnx.outputs] == ["scores"]


@pytest.mark.parametrize("body", [TWO, ONE])
def test_a_network_that_is_onnx_is_measured(body: str, tmp_path: Path) -> None:
    model = adapted(export(RAW, network(body, 1 if body == ONE else 2), None), tmp_path).artifact
    result, found = measured(model, tmp_path)
    evidence = result.evidence
    assert evidence.network is not None
    assert evidence.scores is not None
    assert (evidence.network.top1, evidence.scores.top1, evidence.features.close) == (1, 1, 1)
    assert evidence.scores.inputs == evidence.features.inputs == evidence.network.inputs == 48
    assert max(evidence.network.max_abs_diff, evidence.scores.max_abs_diff, evidence.batch.max_abs_diff) < 1e-6
    assert (evidence.anomaly, evidence.int8_agreement, evidence.tensorrt, evidence.recordings) == (None, None, None, 0)
    assert found == ()


def shifted(step: float | None, labels: tuple[str, ...] | None, change: str, classes: int = 2) -> ImpulseModel:
    """The network's own scores, changed; the original is not."""
    body = TWO if classes == 2 else ONE
    given = export(RAW, network(body, classes), labels)
    text = (
        f'<ir_version: 7, opset_import: ["": 13]> g (float[N,{SIZE}] x) => (float[N,{classes}] s, float[N,{SIZE}] f)'
        f" {{ {CONSTANTS} {body} {change} f = Identity (x) }}"
    )
    outputs = (Tensor("scores", (None, classes), "float32"),)
    onnx_model = OnnxModel(b"", given.facts.input, outputs, 13)
    return ImpulseModel(given, onnx_model, (), onnx.parser.parse_model(text).SerializeToString(), step)


FIRST = """
    shape = Shape (x)
    many = Gather <axis = 0> (shape, zero)
    count = Squeeze (many)
    begin = Squeeze (zero)
    next = Squeeze (last)
    rows = Range (begin, count, next)
    isfirst = Equal (rows, begin)
    together = Greater (count, next)
    moved = And (isfirst, together)
    number = Cast <to = 1> (moved)
    thousand = Constant <value = float[1] {1000.0}> ()
    much = Mul (number, thousand)
    column = Unsqueeze (much, last)
    s = Add (y, column)
"""
SHARES = "shares = Softmax <axis = 1> (y)" + FIRST.replace("Add (y", "Add (shares")


@pytest.mark.parametrize(
    ("change", "step", "apart", "sizes"),
    [
        ("s = Identity (y)", None, 0, []),
        (FIRST, None, 1000, [2, 8]),
        (SHARES.replace("1000.0", "0.00095"), None, 0, []),
        (SHARES.replace("1000.0", "0.00105"), None, 0, [2, 8]),
        (FIRST, 1e-3, 500, [2]),  # of two windows the middle lies between both
        (FIRST.replace("Equal", "GreaterOrEqual"), 1e-3, 1000, [2, 8]),
    ],
)
def test_batches_against_one_window_at_a_time(
    change: str, step: float | None, apart: float, sizes: list[int], tmp_path: Path
) -> None:
    """The first window of a batch moves, or all of them; of a network that was quantized the middle one counts."""
    result, found = measured(shifted(step, ("a", "b"), change), tmp_path)
    assert result.evidence.batch.max_abs_diff == pytest.approx(apart, abs=1e-2)
    said = [each.message.partition(" differs")[0] for each in found if each.id == "EI407"]
    assert said == [f"output scores of a batch of {size}" for size in sizes]


FAR = "thousand = Constant <value = float[1] {1000.0}> () s = Add (y, thousand)"
MEANS = np.stack(list(recordings.synthetic(RAW, 48))).mean(axis=1)


@pytest.mark.parametrize(
    ("labels", "change", "classes", "same"),
    [
        (("a", "b"), "s = Neg (y)", 2, 0.0),
        (None, FAR, 2, 1.0),
        (("faulty",), FAR, 1, float(np.mean(MEANS >= 0.5))),
        (("faulty",), "s = Identity (y)", 1, 1.0),
        (None, FAR, 1, 0.0),
        (("a", "b"), FAR, 1, 0.0),
        (None, "s = Add (y, one)", 1, 1.0),
        (None, FAR.replace("1000.0", "10.0"), 1, 0.0),
    ],
)
def test_how_alike_the_shipped_model_decides(
    labels: tuple[str, ...] | None, change: str, classes: int, same: float, tmp_path: Path
) -> None:
    """The largest of several scores, yes or no of a single one, and of a value what is near by its range."""
    evidence = measured(shifted(None, labels, change, classes), tmp_path)[0].evidence
    assert evidence.scores is not None
    assert (evidence.scores.top1, evidence.scores.inputs) == (same, 48)
    if change == FAR:
        assert (evidence.scores.mean_abs_diff, evidence.scores.max_abs_diff) == pytest.approx((1000, 1000), rel=1e-4)


@pytest.mark.parametrize("step", [0.001, 1.0, 2.5])
def test_the_step_of_a_network_s_input(step: float) -> None:
    """Of codes that it takes, or makes itself of what it takes."""
    coded, coding, floating = Flat(), Flat(), Flat()
    source = tiny.quantized(coded, coded.tensor(1, SIZE, dtype="int8"), step, 0)
    coded.operator("LOGISTIC", [source], [tiny.quantized(coded, coded.tensor(1, SIZE, dtype="int8"), 1 / 256, -128)])
    given = coding.tensor(1, SIZE)
    coding.operator("QUANTIZE", [given], [tiny.quantized(coding, coding.tensor(1, SIZE, dtype="int8"), step, 0)])
    floating.operator("LOGISTIC", [floating.tensor(1, SIZE)], [floating.tensor(1, SIZE)])
    models = [flat.build([0], [1]) for flat in (coded, coding, floating)]
    assert [input_step(model) for model in models] == [pytest.approx(step), pytest.approx(step), None]


def recording(folder: Path, name: str, windows: int, rate: int = 4000) -> None:
    folder.mkdir(exist_ok=True)
    with wave.open(str(folder / name), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.arange(windows * SIZE, dtype="<i2").tobytes())


def test_recordings_that_cannot_be_used_are_left_out(tmp_path: Path) -> None:
    model = adapted(export(RAW, network(TWO)), tmp_path).artifact
    for number in range(3):
        recording(tmp_path / "sounds", f"{number}.wav", 2)
    recording(tmp_path / "sounds", "bad.wav", 2, rate=8000)
    result, found = measured(model, tmp_path, tmp_path / "sounds")
    assert (result.evidence.recordings, [each.id for each in found]) == (6, ["EI414"])
    assert found[0].message.startswith("1 of 4 recordings cannot be used, the first: it has 8000 samples a second")
    recording(tmp_path / "sounds", "long.wav", 1000)
    result, _ = measured(model, tmp_path, tmp_path / "sounds")
    assert result.evidence.recordings == 6 + 200 // 5, "of each as many"
    with pytest.raises(InputError, match="8000 samples a second") as caught:
        measured(model, tmp_path, tmp_path / "sounds" / "bad.wav")
    assert caught.value.hint == "convert it: ffmpeg -i IN.wav -ar 4000 -ac 1 -c:a pcm_s16le OUT.wav"


@pytest.mark.parametrize(("windows", "synthetic", "recorded"), [(1000, 48, 200), (20, 20, 20), (3, 8, 8)])
def test_of_large_windows_fewer_are_measured(
    windows: int, synthetic: int, recorded: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the memory for `windows` of them holds, but 8 at least."""
    monkeypatch.setattr("convert.impulse._MOST_VALUES", windows * SIZE)
    recording(tmp_path / "sounds", "a.wav", 250)
    model = adapted(export(RAW, network(TWO)), tmp_path).artifact
    evidence = measured(model, tmp_path, tmp_path / "sounds")[0].evidence
    assert (evidence.features.inputs - evidence.recordings, evidence.recordings) == (synthetic, recorded)


def test_a_mixture_has_the_time_that_is_given(tmp_path: Path) -> None:
    flat = Flat()
    flat.operator("LOGISTIC", [flat.tensor(1, 2)], [flat.tensor(1, 1)])
    given = export(replace(RAW, anomaly=Mixture((0, 1), flat.build([0], [1]), 1)), network(TWO))
    worker = _Translating(death="ran longer than 7 s")
    with pytest.raises(TranslationError, match=r"^tf2onnx ran longer than 7 s on this model$"):
        AdaptImpulse(worker, timeout=7.0)(
            Translated(given, OnnxModel(given.model, given.facts.input, (), 13)), tmp_path
        )
    assert worker.asked[2:] == ((1, 2), 1, 13, False, False, {"timeout": 7.0})


def test_options_go_to_the_stages_that_take_them() -> None:
    worker = InProcessWorker()
    given = {
        "timeout": 7.0, "tensorflow": True, "sdk_log": True, "samples": "a", "tolerance": 0.5, "batch_size": 4,
        "tensorrt": True, "gpu_id": 2, "target": "deepstream-6.3", "platform": "dgpu", "opset": 13,
    }  # fmt: skip
    assert stages(Path("b"), given, worker) == (
        TranslateImpulse(7.0, worker, tensorflow=True),
        AdaptImpulse(worker, sdk_log=True, timeout=7.0),
        ValidateImpulse(Path("a"), 0.5, 7.0, 4, worker, tensorrt=True),
        EmitImpulse(Path("b"), 4, 2, "deepstream-6.3", "dgpu"),
    )
    assert stages(Path("b"), {}, worker) == stages(Path("b"), defaults(ConvertOptions), worker)
    assert set(table(ConvertOptions)) > OPTIONS
    with pytest.raises(PresetError, match=r"^an impulse is converted with opset 13$") as caught:
        stages(Path("b"), {"opset": 14}, worker)
    assert caught.value.hint == "leave out --opset"


def features(change: str) -> ImpulseModel:
    """The features `f` of a graph that changes them; the network takes them as they are."""
    model = shifted(None, ("a", "b"), "s = Identity (y)")
    before = onnx.load_from_string(model.measured)
    text = onnx.printer.to_text(before).replace("f = Identity (x)", change)
    return replace(model, measured=onnx.parser.parse_model(text).SerializeToString())


def farther(near: float, share: float) -> str:
    """Each value by `near` and by a `share` of its size."""
    return (
        f"near = Constant <value = float[1] {{{near}}}> () share = Constant <value = float[1] {{{share}}}> ()"
        " size = Abs (x) part = Mul (size, share) apart = Add (part, near) f = Add (x, apart)"
    )


def the_largest(count: int) -> str:
    """Of all values the `count` largest by one."""
    values = np.sort(np.stack(list(recordings.synthetic(RAW, 48))), axis=None)
    between = float(values[-count - 1 : -count + 1 or None].mean())
    return (
        f"limit = Constant <value = float[1] {{{between}}}> () more = Greater (x, limit)"
        " number = Cast <to = 1> (more) f = Add (x, number)"
    )


@pytest.mark.parametrize(
    ("change", "close", "said"),
    [
        (farther(0.0049, 0.00098), 1, None),
        (farther(0.0051, 0.00102), 0, "100.0% of 768 values differ, by up to "),
        (the_largest(7), 761 / 768, None),
        (the_largest(8), 760 / 768, "1.0% of 768 values differ, by up to 1"),
        ("f = Div (x, none)", 0, "the features hold NaN or infinity"),
    ],
)
def test_how_far_features_may_be_from_the_reference(
    change: str, close: float, said: str | None, tmp_path: Path
) -> None:
    result, found = measured(features(change), tmp_path)
    assert result.evidence.features.close == pytest.approx(close)
    assert result.evidence.batch.sizes == (1, 2, 8)
    mine = [each for each in found if each.id in {"EI405", "EI411"} and "original" not in each.message]
    assert [each.message[: len(said or "")] for each in mine] == [said] * (said is not None)
    assert {each.hint for each in mine} <= {FEATURES.fix}


def test_what_of_the_scores_is_too_far_is_said_with_its_window(tmp_path: Path) -> None:
    change = "big = Constant <value = float[1] {1e6}> () s = Mul (y, big)"
    (found,) = (each for each in measured(shifted(None, ("a", "b"), change), tmp_path)[1] if "window" in each.message)
    most = np.abs(np.stack(list(recordings.synthetic(RAW, 48))).reshape(48, 2, -1).mean(axis=2)).max(axis=1).argmax()
    assert f"over 48 inputs, most on 'window {most}'" in found.message


def test_a_quantized_network_that_decides_otherwise(tmp_path: Path) -> None:
    """Kernels of a network that is ONNX agree with themselves; they are compared where the decisions differ."""
    same = shifted(None, ("a", "b"), "s = Identity (y)")
    result, found = measured(replace(same, export=replace(same.export, original=same.export.model)), tmp_path)
    assert result.evidence.int8_agreement is not None
    assert (result.evidence.int8_agreement.top1, result.evidence.int8_agreement.kernels, found) == (1, None, ())
    model = shifted(None, ("a", "b"), "s = Neg (y)")
    result, found = measured(replace(model, export=replace(model.export, original=model.export.model)), tmp_path)
    assert result.evidence.int8_agreement is not None
    assert (result.evidence.int8_agreement.top1, result.evidence.int8_agreement.kernels) == (0, 1)
    (said,) = (each for each in found if each.id == "EI153")
    hint = "compare on recordings of your own: --samples and a folder of them; the float32 export needs no rewriting"
    assert said.hint == hint


@pytest.mark.parametrize(("timeout", "given"), [(1.0, 300.0), (400.0, 400.0)])
def test_tensorrt_has_five_minutes_at_least(
    timeout: float, given: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def build(*values: Any, **more: Any) -> str:
        asked.append((*values, more))
        if len(asked) > 1:
            raise ValidationError("it is too large", hint="make it smaller")
        return "built"

    monkeypatch.setattr("convert.validate.runtimes.require", lambda: None)
    monkeypatch.setattr("convert.validate.runtimes.build", build)
    model = adapted(export(RAW, network(TWO)), tmp_path).artifact
    validate = ValidateImpulse(None, 1e-4, timeout, 4, InProcessWorker(), tensorrt=True)
    result = validate(model, tmp_path)
    assert (result.artifact.evidence.tensorrt, result.findings) == ("built", ())
    assert asked == [(model.onnx.data, (SIZE,), 4, {"timeout": given})]
    result = validate(model, tmp_path)
    assert result.artifact.evidence.tensorrt is None
    said = [(each.id, each.message, each.hint, each.path) for each in result.findings]
    assert said == [(TENSORRT.id, "it is too large", "make it smaller", model.file)]
