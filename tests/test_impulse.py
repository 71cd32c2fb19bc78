"""`convert` of sound and sensor data: one ONNX of the whole impulse, its evidence and its bundle."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import wave
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnx
import onnxruntime
import pytest

from convert import __version__, batch, check, convert, pipeline, simulate
from convert.dsp import KMeans, Mixture, recordings
from convert.dsp.reference import reference_anomaly, reference_features
from convert.errors import ConvertError, InputError, PresetError, UnsupportedModelError
from convert.isolation import Worker
from convert.validate import runtimes
from samples.layouts import Parameters, impulse_library, write_tree
from tests.dsp.impulses import block, impulse
from tests.export import tiny
from tests.graph.flat import Flat, options

if TYPE_CHECKING:
    from convert.dsp import Impulse
    from convert.types import Bundle

LABELS = ("idle", "walking", "shaking")


def network(features: int, step: float = 0.0) -> bytes:
    """From features to scores: a dense layer and a softmax; int8, of inputs in steps of `step`, where there is one."""
    flat = Flat(seed=3)
    number, draw = "int8" if step else "float32", np.random.default_rng(5)
    weights = draw.normal(0, 0.3, (len(LABELS), features))
    source = flat.tensor(1, features, dtype=number, name="x")
    middle, scores = (flat.tensor(1, len(LABELS), dtype=number, name=name) for name in ("middle", "y"))
    if step:
        scale = float(np.abs(weights).max()) / 127
        constant = tiny.quantized(flat, flat.constant(np.round(weights / scale), "int8"), scale, 0)
        for tensor, size, zero in ((source, step, 0), (middle, 0.2, 0), (scores, 1 / 256, -128)):
            tiny.quantized(flat, tensor, size, zero)
    else:
        constant = flat.constant(weights, "float32")
    flat.operator("FULLY_CONNECTED", [source, constant, -1], [middle], options("FullyConnected"))
    flat.operator("SOFTMAX", [middle], [scores], options("Softmax", beta=1.0))
    return flat.build([source], [scores])


def motion() -> Impulse:
    kmeans = KMeans((0, 7, 14), (1.0, 2.0, 3.0), (2.0, 1.0, 4.0), ((0.0, 0.5, 1.0), (1.0, -1.0, 0.0)), (0.5, 0.25), 7)
    made = impulse(
        block("spectral_analysis", 4, 3, 7, implementation_version=4.0),
        samples=64,
        axes=3,
        frequency=62.5,
        anomaly=kmeans,
    )
    return replace(made, sensor="accelerometer", axis_names=("accX", "accY", "accZ"), slices=4)


def sound(kind: str = "mfcc") -> Impulse:
    made = impulse(block(kind, 4, 1, 7, implementation_version=4.0), samples=2000, frequency=4000)
    return replace(made, sensor="microphone", axis_names=("audio",), slices=4)


def library(of: Impulse, data: bytes | None, folder: Path, year: int = 2025) -> Path:
    parameters = Parameters(labels=LABELS, year=year, resize_mode=None, project_name="Door steps")
    return write_tree(impulse_library(data, of, parameters), folder / "export")


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The bundle of a motion impulse."""
    folder = tmp_path_factory.mktemp("moving")
    of = motion()
    return convert(library(of, network(of.blocks[0].size), folder), folder / "bundle")


def session(bundle: Bundle) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(f"{bundle.folder}/{bundle.name}.onnx", providers=["CPUExecutionProvider"])


def test_the_bundle(moving: Bundle) -> None:
    names = [re.sub(".*/", "", file.path) for file in moving.files]
    assert names == [
        *("door-steps.onnx", "door-steps_labels.txt", "build_engine.sh", "config.pbtxt", "RUN.md", "report.json")
    ]
    model = onnx.load(f"{moving.folder}/door-steps.onnx")
    onnx.checker.check_model(model, full_check=True)
    (given,) = model.graph.input
    assert given.name == "samples"
    assert given.type.tensor_type.shape.dim[0].dim_param == "N"
    assert given.type.tensor_type.shape.dim[1].dim_value == 192
    assert [each.name for each in model.graph.output] == ["scores", "anomaly"]
    recorded = {each.key: each.value for each in model.metadata_props}
    assert len(recorded.pop("ei_deepstream.source_sha256")) == 64
    assert recorded == {
        "ei_deepstream.tool_version": __version__, "ei_deepstream.sensor": "accelerometer",
        "ei_deepstream.frequency": "62.5", "ei_deepstream.axes": "accX,accY,accZ",
        "ei_deepstream.window": "64",
    }  # fmt: skip


def test_it_computes_what_the_network_says_of_features_computed_otherwise(moving: Bundle) -> None:
    of = motion()
    windows = np.stack(list(recordings.synthetic(of, 9)))
    scores, anomaly = session(moving).run(None, {"samples": windows})
    features = np.asarray(reference_features(of, windows), np.float32)
    wanted = runtimes.run_tflite(network(motion().blocks[0].size), features[:, None, None, :], None)[0]
    assert np.abs(scores - wanted).max() < 1e-3
    assert np.abs(anomaly - reference_anomaly(of, windows)).max() < 1e-3


def test_its_evidence(moving: Bundle) -> None:
    evidence = moving.impulse_evidence
    assert evidence is not None
    assert evidence.features.close == 1
    assert evidence.network is not None
    assert evidence.network.max_abs_diff < 1e-5
    assert evidence.scores is not None
    assert evidence.scores.top1 == 1
    assert evidence.anomaly is not None
    assert evidence.anomaly.max_abs_diff < 1e-3
    assert set(evidence.ill_conditioned) == {"zeros", "a constant", "one step"}
    document = json.loads((_path(moving) / "report.json").read_text())
    assert document["impulse"]["blocks"][0]["values"]["fft_length"] == 16
    assert document["evidence"]["features"]["inputs"] == evidence.features.inputs
    assert document["impulse"]["anomaly"] == {"kind": "kmeans", "block": 7, "axes": [0, 7, 14], "clusters": 2}


def _path(bundle: Bundle) -> Path:
    return Path(bundle.folder)


def test_the_script_switches_tf32_off(moving: Bundle) -> None:
    script = (_path(moving) / "build_engine.sh").read_text()
    assert "--noTF32" in script
    assert "--fp16" not in script
    assert "samples:1x192" in script
    assert "Gst-nvinfer" not in script


def program(bundle: Bundle) -> str:
    text = (_path(bundle) / "RUN.md").read_text()
    return re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]  # type: ignore[index]


def printed(bundle: Bundle, recording: Path) -> list[str]:
    run = subprocess.run(
        [sys.executable, "-c", program(bundle), str(recording)],
        cwd=bundle.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout.splitlines()


def test_the_program_of_run_md_reads_a_csv(moving: Bundle, tmp_path: Path) -> None:
    windows = np.stack(list(recordings.synthetic(motion(), 3)))
    rows = windows.reshape(-1, 3)
    text = "".join(f"{number * 16},{','.join(f'{value:.9g}' for value in row)}\n" for number, row in enumerate(rows))
    (tmp_path / "a.csv").write_text("timestamp,accX,accY,accZ\n" + text)
    scores, anomaly = session(moving).run(None, {"samples": windows})
    lines = [line.split() for line in printed(moving, tmp_path / "a.csv")]
    assert [line[1] for line in lines] == [LABELS[each] for each in scores.argmax(axis=1)]
    assert [float(line[0]) for line in lines] == pytest.approx([0, 64 / 62.5, 128 / 62.5])
    assert [float(line[-1]) for line in lines] == pytest.approx(anomaly[:, 0], abs=1e-3)


def test_the_program_of_run_md_reads_a_wav_and_recordings_are_measured(tmp_path: Path) -> None:
    of = sound()
    windows = np.stack(list(recordings.synthetic(of, 2)))
    (tmp_path / "sounds").mkdir()
    with wave.open(str(tmp_path / "sounds/a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(4000)
        file.writeframes(windows.astype("<i2").tobytes())
    export = library(of, network(of.blocks[0].size), tmp_path)
    bundle = convert(export, tmp_path / "bundle", samples=tmp_path / "sounds", target="6.3")
    assert bundle.impulse_evidence is not None
    assert bundle.impulse_evidence.recordings == 2
    (scores,) = session(bundle).run(None, {"samples": windows})
    lines = [line.split() for line in printed(bundle, tmp_path / "sounds/a.wav")]
    assert [line[1] for line in lines] == [LABELS[each] for each in scores.argmax(axis=1)]


def test_recorded_silence_is_measured_and_not_judged(tmp_path: Path) -> None:
    of = sound()
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(4000)
        file.writeframes(np.repeat(np.array([0, 7], "<i2"), 60_000).tobytes())
    export = library(of, network(of.blocks[0].size), tmp_path)
    bundle = convert(export, tmp_path / "bundle", samples=tmp_path / "a.wav")
    assert bundle.impulse_evidence is not None
    assert bundle.impulse_evidence.recordings == 60
    assert bundle.impulse_evidence.features.close < 0.9
    assert bundle.findings == ()


def test_batches_of_any_size(moving: Bundle) -> None:
    windows = np.stack(list(recordings.synthetic(motion(), 5)))
    run = session(moving)
    together = run.run(None, {"samples": windows})
    for number in range(5):
        for many, one in zip(together, run.run(None, {"samples": windows[number : number + 1]}), strict=True):
            assert np.abs(many[number] - one[0]).max() < 1e-3


def test_features_of_a_quantized_network_are_rounded_as_on_a_device(tmp_path: Path) -> None:
    of = replace(motion(), anomaly=None)
    data = network(of.blocks[0].size, step=1.5)
    bundle = convert(library(of, data, tmp_path), tmp_path / "bundle")
    windows = np.stack(list(recordings.synthetic(of, 40)))
    features = np.asarray(reference_features(of, windows), np.float32)
    wanted = runtimes.run_tflite(data, features[:, None, None, :], None)[0]
    (scores,) = session(bundle).run(None, {"samples": windows})
    assert np.abs(scores - wanted).max() < 0.2
    assert (scores.argmax(axis=1) == wanted.argmax(axis=1)).mean() >= 0.95
    assert bundle.impulse_evidence is not None
    assert bundle.impulse_evidence.int8_agreement is not None
    assert bundle.impulse_evidence.network is not None
    assert bundle.impulse_evidence.network.max_abs_diff < 1e-5, "on features that are rounded as in the graph"
    with pytest.raises(UnsupportedModelError, match="its network is int8"):
        convert(tmp_path / "export", tmp_path / "other", dequantize=False)


def test_an_impulse_that_only_scores_anomalies(tmp_path: Path) -> None:
    of = replace(motion(), inputs=())
    bundle = convert(library(of, None, tmp_path), tmp_path / "bundle")
    windows = np.stack(list(recordings.synthetic(of, 4)))
    (anomaly,) = session(bundle).run(None, {"samples": windows})
    assert np.abs(anomaly - reference_anomaly(of, windows)).max() < 1e-3
    assert not (tmp_path / "bundle/door-steps_labels.txt").exists()
    assert len(printed(bundle, _csv(tmp_path, windows))) == 4


def _csv(folder: Path, windows: np.ndarray[Any, Any]) -> Path:
    path = folder / "recording.csv"
    np.savetxt(path, windows.reshape(-1, 3), delimiter=",", header="x,y,z", comments="")
    return path


def test_a_gaussian_mixture_scores_anomalies(tmp_path: Path) -> None:
    flat = Flat(seed=2)
    source, apart, score = flat.tensor(1, 2, name="x"), flat.tensor(1, 2), flat.tensor(1, 1, name="y")
    flat.operator("SQUARED_DIFFERENCE", [source, flat.constant([[0.5, 2.0]], "float32")], [apart])
    flat.operator("FULLY_CONNECTED", [apart, flat.weights(1, 2), -1], [score], options("FullyConnected"))
    mixture = flat.build([source], [score])
    of = replace(motion(), anomaly=Mixture((0, 7), mixture, 7))
    bundle = convert(library(of, network(of.blocks[0].size), tmp_path), tmp_path / "bundle")
    windows = np.stack(list(recordings.synthetic(of, 6)))
    chosen = np.asarray(reference_features(of, windows), np.float32)[:, [0, 7]]
    wanted = runtimes.run_tflite(mixture, chosen[:, None, None, :], None)[0]
    scores, anomaly = session(bundle).run(None, {"samples": windows})
    assert scores.shape == (6, 3)
    assert np.abs(anomaly - wanted).max() < 1e-3 * max(1, np.abs(wanted).max())
    assert bundle.impulse_evidence is not None
    assert bundle.impulse_evidence.anomaly is not None
    assert bundle.impulse_evidence.anomaly.close == 1


def test_the_same_export_gives_the_same_bytes(moving: Bundle, tmp_path: Path) -> None:
    of = motion()
    again = convert(library(of, network(of.blocks[0].size), tmp_path), tmp_path / "bundle")
    assert [file.sha256 for file in again.files] == [file.sha256 for file in moving.files]


def test_the_logarithm_of_the_sdk_is_another_model(moving: Bundle, tmp_path: Path) -> None:
    of = motion()
    bundle = convert(library(of, network(of.blocks[0].size), tmp_path), tmp_path / "bundle", sdk_log=True)
    windows = np.stack(list(recordings.synthetic(of, 4)))
    apart = np.abs(
        session(bundle).run(None, {"samples": windows})[0] - session(moving).run(None, {"samples": windows})[0]
    )
    assert 0 < apart.max() < 1e-2


@pytest.mark.parametrize(
    "given", [{"frame": "4:3"}, {"role": "pgie"}, {"precision": "fp16"}, {"precision": "auto"}, {"resize": "device"}]
)
def test_options_about_pictures_are_refused(given: dict[str, Any], moving: Bundle, tmp_path: Path) -> None:
    export = _path(moving).with_name("export")
    (option,) = given
    with pytest.raises(
        PresetError, match=f"^(--{option} does not apply to an export|an impulse) of sound or sensor data"
    ) as caught:
        convert(export, tmp_path / "bundle", **given)
    assert caught.value.hint == f"leave out --{option}"
    assert not (tmp_path / "bundle").exists()


def test_a_dry_run_names_the_files_and_refuses_for_real(moving: Bundle, tmp_path: Path) -> None:
    export = _path(moving).with_name("export")
    planned = convert(export, moving.folder, dry_run=True)
    assert [file.path for file in planned.files] == [file.path for file in moving.files]
    of = replace(
        sound(), blocks=(replace(sound().blocks[0], values={**sound().blocks[0].values, "num_filters": 13.0}),)
    )
    odd = library(of, network(of.blocks[0].size), tmp_path)
    with pytest.raises(UnsupportedModelError, match="Audio \\(MFCC\\)"):
        convert(odd, tmp_path / "bundle", dry_run=True)


def test_labels_that_do_not_fit(moving: Bundle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 outputs") as caught:
        convert(_path(moving).with_name("export"), tmp_path / "bundle", labels=("a", "b"))
    assert caught.value.hint == "give the labels of this model, in the order of training, with --labels"


def test_a_recording_of_another_kind_ends_it_before_anything_is_written(moving: Bundle, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match="2 channels, and the impulse takes 3") as caught:
        convert(_path(moving).with_name("export"), tmp_path / "bundle", samples=tmp_path / "a.csv")
    assert caught.value.hint == "one column each axis, and `timestamp` before them"
    assert not (tmp_path / "bundle").exists()


def test_a_network_without_its_export_is_told_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "model.lite").write_bytes(network(motion().blocks[0].size))
    with pytest.raises(ConvertError) as caught:
        convert(tmp_path / "model.lite", tmp_path / "bundle")
    assert "the whole library" in (caught.value.hint or "")


@pytest.mark.parametrize("precision", ["fp16", "auto"])
def test_batch_converts_them(precision: Literal["fp16", "auto"], tmp_path: Path) -> None:
    of = motion()
    library(of, network(of.blocks[0].size), tmp_path / "found")
    # Options hold for all exports that are found, whatever they take.
    cache = tmp_path / "cache"
    report = batch(tmp_path / "found", tmp_path / "bundles", cache_dir=cache, jobs=1, frame="4:3", precision=precision)
    (outcome,) = report.outcomes
    assert outcome.state.value == "done"
    assert len(outcome.outputs) == 6
    known = dict(outcome.summary)
    assert (known["task"], known["input"], known["labels"]) == ("impulse", "64x3", 3)


@pytest.mark.parametrize("given", [{"samples": "samples"}, {"sdk_log": True}])
def test_options_of_sound_are_refused_for_pictures(given: dict[str, Any], tmp_path: Path) -> None:
    option = next(iter(given)).replace("_", "-")
    with pytest.raises(PresetError, match=f"^--{option} does not apply to an export of pictures") as caught:
        convert("samples/exports/shapes-cpp-2025", tmp_path / "bundle", **given)
    assert caught.value.hint == f"leave out --{option}"
    with pytest.raises(PresetError, match="does not apply to an export of pictures"):
        convert(
            "samples/exports/table-fomo-2025.zip", tmp_path / "bundle", sgie="samples/exports/shapes-cpp-2025", **given
        )
    exports = [Path("samples/exports/shapes-cpp-2025")]
    with Worker() as worker:  # of a batch, whose options are for whatever is found
        run = pipeline.convert(exports, tmp_path / "bundle", given, worker, dry=True, any_kind=True)
    assert run.is_good


@pytest.mark.slow
@pytest.mark.skipif(not runtimes.available(), reason="the optional package tensorrt-rtx is not installed")
def test_tensorrt_builds_it(tmp_path: Path) -> None:
    of = motion()
    export = library(of, network(of.blocks[0].size), tmp_path)
    bundle = convert(export, tmp_path / "bundle", tensorrt=True, batch_size=8)
    assert bundle.impulse_evidence is not None
    assert "parsed and built, profile 1/8/8" in (bundle.impulse_evidence.tensorrt or "")


def test_check_and_simulate_say_one_sentence(moving: Bundle, tmp_path: Path) -> None:
    files = check(moving.folder).files
    assert "Triton Inference Server" in {file.plugin for file in files}
    assert not any(file.findings or file.error for file in files)
    with pytest.raises(InputError, match="a whole impulse of sound or sensor data") as caught:
        simulate(moving.folder, "samples/pictures/table/table-1.jpg", tmp_path / "shown")
    assert caught.value.hint == "run `ei-deepstream simulate` with recordings, or see RUN.md in it"
