"""What is written for detectors: stock parsers, one label a line, the export's thresholds; two models in one app."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from convert import pipeline
from convert.emit import Emit, EmitPair, ValidatedPair, config
from convert.emit.config import head_preset
from convert.errors import PresetError
from convert.files import configs
from convert.graph.adapt import Adapt
from convert.heads import HEADS
from convert.nvinfer.config import read
from convert.report import SCHEMA_VERSION
from convert.types import Head, Limits, Metadata, Validated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Invent = Callable[..., Validated]

TF_SSD = "NvDsInferParseCustomTfSSD"
TASKS = sorted(
    (path.stem for path in (configs() / "heads").glob("*.toml") if path.stem != "classifier"), key=lambda task: task
)
LIMITS = Limits(10, 0.0, 0.6)


def detector(invent: Invent, task: str, limits: Limits | None = None, **given: Any) -> Validated:
    model = invent(task=task, **given)
    if task == "ssd":
        limits = limits or LIMITS
    head = Head(task, model.adapted.head.labels, limits=limits)
    return replace(model, adapted=replace(model.adapted, head=head))


def emitted(folder: Path, model: Validated, **options: Any) -> dict[str, bytes]:
    Emit(folder, **options)(model, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_detector_that_can_be_converted_has_a_file() -> None:
    assert {"fomo", "ssd", "yolov5", "yolox", "yolo-pro", "yolov11", "tao-yolov4"} <= set(TASKS)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("release", ["5.1", "6.0.1", "7.1", "9.1"])
def test_nvinfer_takes_it_and_says_nothing(tmp_path: Path, invent: Invent, task: str, release: str) -> None:
    emitted(tmp_path, detector(invent, task), target=release)
    for name in ("config_infer_primary_fruit.txt", "config_infer_secondary_fruit.txt"):
        parsed = read(tmp_path / name, release=release, platform="jetson")
        assert parsed.verdict == "accepted"
        assert not (parsed.problems)
        assert not (parsed.unknown)
        assert not (parsed.unread)
        assert not (parsed.ignored)
        assert parsed.values["network-type"] == 0
        assert parsed.values["num-detected-classes"] == 3
        mode = head_preset(task).property["cluster-mode"]
        assert parsed.values["cluster-mode"] == mode != 0, "0 would keep the best 20 only"
        assert [one["pre-cluster-threshold"] for one in parsed.values["class-attrs"]] == [0.5] * 3


YOLOV5 = ("yolov5", "yolov5-drpai")


def suppressing(invent: Invent, task: str) -> Validated:
    model = detector(invent, task, metadata=Metadata(threshold=0.75, nms_iou=0.3))
    head = replace(model.adapted.head, score="objectness", overlap=0.3)
    return replace(model, adapted=replace(model.adapted, head=head))


@pytest.mark.parametrize("task", YOLOV5)
@pytest.mark.parametrize("release", ["6.0.1", "6.1", "9.1"])
def test_nvinfer_drops_nothing_where_the_graph_does(tmp_path: Path, invent: Invent, task: str, release: str) -> None:
    files = emitted(tmp_path, suppressing(invent, task), target=release)
    for name in ("config_infer_primary_fruit.txt", "config_infer_secondary_fruit.txt"):
        parsed = read(tmp_path / name, release=release, platform="jetson")
        assert parsed.verdict == "accepted"
        assert (parsed.problems, parsed.unknown, parsed.unread, parsed.ignored) == ((), (), (), ())
        assert parsed.values["cluster-mode"] == 4
        assert [one["pre-cluster-threshold"] for one in parsed.values["class-attrs"]] == [0.75] * 3
        assert b"nms-iou-threshold" not in files[name]
        assert b"of whatever class.\ncluster-mode=4\n" in files[name]


@pytest.mark.parametrize(("release", "platform"), [("5.1", "jetson"), ("6.0", "jetson"), ("6.0.1", "dgpu")])
def test_an_old_tensorrt_cannot_build_such_a_graph(tmp_path: Path, invent: Invent, release: str, platform: str) -> None:
    with pytest.raises(
        PresetError, match=rf"needs TensorRT 8\.2; DeepStream {re.escape(release)} has [78]\."
    ) as caught:
        emitted(tmp_path, suppressing(invent, "yolov5"), target=release, platform=platform)
    assert "--yolo-score product" in str(caught.value.hint)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("release", "platform", "why"),
    [
        ("6.0", "jetson", "needs TensorRT 8.2; DeepStream 6.0 has 8.0.1 on jetson"),
        ("6.0.1", "dgpu", "needs TensorRT 8.2; DeepStream 6.0.1 has 8.0.1.6 on dgpu"),
        ("6.0.1", "jetson", ""),
        ("7.1", "dgpu", ""),
    ],
)
def test_the_pipeline_tells_adapt_of_an_old_tensorrt(release: str, platform: str, why: str) -> None:
    made = pipeline.stages(None, {"target": release, "platform": platform}, cast("Any", None))
    (adapt,) = (stage for stage in made if isinstance(stage, Adapt))
    assert adapt.no_suppression is not None
    for task in (each.id for each in HEADS if each.drops_all):
        told = adapt.no_suppression(task)
        assert told.endswith(why)
        assert bool(told) == bool(why)


def test_no_other_head_can_leave_it_to_the_graph(invent: Invent, tmp_path: Path) -> None:
    model = suppressing(invent, "fomo")
    with pytest.raises(PresetError, match=r"^suppressed: the entry 'tensorrt' is missing"):
        emitted(tmp_path, model)


@pytest.mark.parametrize("task", TASKS)
def test_parsers_and_labels(tmp_path: Path, invent: Invent, glib: Callable[[bytes], Any], task: str) -> None:
    files = emitted(tmp_path, detector(invent, task))
    assert files["fruit_labels.txt"] == b"apple\npear\nplum\n"
    file = glib(files["config_infer_primary_fruit.txt"])
    keys = file.keys("property")
    if task == "fomo":
        assert not {"custom-lib-path", "parse-bbox-func-name"} & set(keys), "the built-in parser needs none"
        return
    library = "/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so"
    assert file.string("property", "custom-lib-path") == library
    assert file.string("property", "parse-bbox-func-name") == TF_SSD


@pytest.mark.parametrize(
    ("task", "metadata", "threshold", "overlap"),
    [
        ("fomo", Metadata(), 0.5, None),
        ("fomo", Metadata(threshold=0.7), 0.7, None),
        ("yolov5", Metadata(), 0.5, 0.2),
        ("yolov5", Metadata(threshold=0.1, nms_iou=0.45), 0.1, 0.45),
        ("ssd", Metadata(nms_iou=0.45), 0.5, 0.6),
        ("ssd", Metadata(threshold=0.3), 0.3, 0.6),
    ],
)
def test_thresholds_are_the_exports(
    tmp_path: Path, invent: Invent, glib: Callable[[bytes], Any], task: str, metadata: Metadata, threshold: float,
    overlap: float | None,
) -> None:  # fmt: skip
    file = glib(emitted(tmp_path, detector(invent, task, metadata=metadata))["config_infer_primary_fruit.txt"])
    assert file.double("class-attrs-all", "pre-cluster-threshold") == threshold
    if overlap is None:
        assert "nms-iou-threshold" not in file.keys("class-attrs-all")
    else:
        assert file.double("class-attrs-all", "nms-iou-threshold") == overlap


def chosen(model: Validated, threshold: float, merge: str | None = None) -> Validated:
    head = replace(model.adapted.head, threshold=threshold, merge=merge)
    return replace(model, adapted=replace(model.adapted, head=head))


@pytest.mark.parametrize(("task", "limits"), [("fomo", None), ("yolov5", None), ("ssd", Limits(25, 0.4, 0.55))])
def test_a_threshold_that_was_chosen_goes_before_the_exports(
    tmp_path: Path, invent: Invent, glib: Callable[[bytes], Any], task: str, limits: Limits | None
) -> None:
    model = chosen(detector(invent, task, limits, metadata=Metadata(threshold=0.7)), 0.2)
    file = glib(emitted(tmp_path, model)["config_infer_primary_fruit.txt"])
    assert file.double("class-attrs-all", "pre-cluster-threshold") == 0.2


def test_a_classifiers_threshold(tmp_path: Path, invent: Invent, glib: Callable[[bytes], Any]) -> None:
    """What stands in its export is a detector's, where its task was not recorded."""
    model = invent(metadata=Metadata(threshold=0.7))
    file = glib(emitted(tmp_path / "as it is", model)["config_infer_secondary_fruit.txt"])
    assert file.double("property", "classifier-threshold") == 0
    file = glib(emitted(tmp_path / "chosen", chosen(model, 0.6))["config_infer_secondary_fruit.txt"])
    assert file.double("property", "classifier-threshold") == 0.6


@pytest.mark.parametrize(
    ("merge", "said"),
    [
        ("touching", ("around the cells", "makes one box of cells that touch", "convert again with --threshold")),
        ("peak", ("a box is one cell", "keeps the highest of neighbouring cells", "Cells with a lower score")),
        ("none", ("a box is one cell", "every cell is an object", "Cells with a lower score")),
    ],
)
def test_a_fomo_config_says_how_cells_are_merged(
    tmp_path: Path, invent: Invent, merge: str, said: tuple[str, ...]
) -> None:
    text = emitted(tmp_path, chosen(detector(invent, "fomo"), 0.5, merge))["config_infer_primary_fruit.txt"].decode()
    flat = " ".join(text.replace("\n# ", " ").split())
    assert all(words in flat for words in said)
    assert "cluster-mode=4" in text


def test_what_an_ssd_kept_is_kept(tmp_path: Path, invent: Invent, glib: Callable[[bytes], Any]) -> None:
    model = detector(invent, "ssd", Limits(25, 0.4, 0.55), metadata=Metadata(threshold=0.3))
    file = glib(emitted(tmp_path, model)["config_infer_primary_fruit.txt"])
    assert file.integer("class-attrs-all", "topk") == 25
    assert file.double("class-attrs-all", "nms-iou-threshold") == 0.55
    assert file.double("class-attrs-all", "pre-cluster-threshold") == 0.4, "the model itself reports nothing below"


def test_a_file_that_is_the_same_as_another(monkeypatch: pytest.MonkeyPatch) -> None:
    tables: dict[str, dict[str, Any]] = {
        "heads/ssd.toml": {"same-as": "yolov5", "title": "mine", "comments": {"b": "my b"}, "property": {"x": 1}},
        "heads/yolov5.toml": {
            **dict.fromkeys(("title", "labels", "primary", "secondary", "secondary-off"), "base"),
            "comments": {"a": "a", "b": "b"},
        },
    }
    monkeypatch.setattr(config, "load_toml", lambda name: dict(tables[name]))
    head_preset.cache_clear()
    preset = head_preset("ssd")
    head_preset.cache_clear()
    assert (preset.title, preset.labels) == ("mine", "base")
    assert preset.comments == {"a": "a", "b": "my b"}
    assert preset.property == {"x": 1}


def test_a_file_that_is_the_same_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> dict[str, Any]:
        if name == "heads/ssd.toml":
            return {"same-as": "yolov6"}
        raise FileNotFoundError(name)

    monkeypatch.setattr(config, "load_toml", load)
    head_preset.cache_clear()
    with pytest.raises(PresetError, match=r"^nothing is known to emit for yolov6"):
        head_preset("ssd")
    head_preset.cache_clear()


@pytest.fixture
def pair(invent: Invent) -> ValidatedPair:
    return ValidatedPair(detector(invent, "fomo", name="finder"), invent(name="fruit"))


def written(folder: Path, pair: ValidatedPair, **options: Any) -> dict[str, bytes]:
    emit = EmitPair(folder, **options)
    result = emit(pair, folder)
    names = (pair.primary.adapted.export.name, pair.secondary.adapted.export.name)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert tuple(files[name] is not None and name for name in emit.plan(*names)) == emit.plan(*names)
    assert set(emit.plan(*names)) == set(files)
    assert not result.findings
    return files


def test_a_detector_and_a_classifier_in_one_app(
    tmp_path: Path, pair: ValidatedPair, glib: Callable[[bytes], Any]
) -> None:
    files = written(tmp_path, pair)
    app = glib(files["deepstream_app_finder_fruit.txt"])
    assert app.integer("primary-gie", "gie-unique-id") == 1
    assert app.string("primary-gie", "config-file") == "config_infer_primary_finder.txt"
    assert app.integer("primary-gie", "batch-size") == 1
    assert app.integer("secondary-gie0", "enable") == 1
    assert app.integer("secondary-gie0", "gie-unique-id") == 2
    assert app.integer("secondary-gie0", "operate-on-gie-id") == 1
    assert app.integer("secondary-gie0", "batch-size") == 16
    assert app.string("secondary-gie0", "config-file") == "config_infer_secondary_fruit.txt"
    for name, kind, mode in (("primary_finder", 0, 1), ("secondary_fruit", 1, 2)):
        parsed = read(tmp_path / f"config_infer_{name}.txt", release="7.1", platform="jetson")
        assert parsed.verdict == "accepted"
        assert not (parsed.problems)
        assert not (parsed.unknown)
        assert not (parsed.unread)
        assert not (parsed.ignored)
        assert (parsed.values["network-type"], parsed.values["process-mode"]) == (kind, mode)
    engine = glib(files["config_infer_secondary_fruit.txt"]).string("property", "model-engine-file")
    assert engine == "fruit.onnx_b16_gpu0_fp32.engine"
    assert files["finder_labels.txt"] == b"apple\npear\nplum\n"
    assert files["fruit_labels.txt"] == b"apple;pear;plum"


def test_options_reach_both(tmp_path: Path, pair: ValidatedPair, glib: Callable[[bytes], Any]) -> None:
    options = {"gie_id": 5, "batch_size": 2, "object_batch_size": 8, "gpu_id": 1, "min_size": 24, "target": "6.2"}
    files = written(tmp_path, pair, **options)
    app = glib(files["deepstream_app_finder_fruit.txt"])
    assert [app.integer(group, "gie-unique-id") for group in ("primary-gie", "secondary-gie0")] == [5, 6]
    assert app.integer("secondary-gie0", "operate-on-gie-id") == 5
    secondary = glib(files["config_infer_secondary_fruit.txt"])
    assert secondary.integer("property", "operate-on-gie-id") == 5
    assert secondary.integer("property", "input-object-min-width") == 24
    assert secondary.integer("property", "gpu-id") == 1
    assert secondary.integer("property", "batch-size") == 8
    assert glib(files["config_infer_primary_finder.txt"]).integer("property", "batch-size") == 2


def test_source_and_sink_reach_the_app(tmp_path: Path, pair: ValidatedPair, glib: Callable[[bytes], Any]) -> None:
    files = written(tmp_path / "a", pair, source="/dev/video3", sink="file")
    app = glib(files["deepstream_app_finder_fruit.txt"])
    assert app.integer("source0", "camera-v4l2-dev-node") == 3
    assert (app.integer("streammux", "width"), app.integer("sink0", "type")) == (640, 3)
    text = files["RUN.md"].decode()
    assert "`finder_labels.txt` (one a line) and `fruit_labels.txt` (one line, `;` between)" in text
    assert "gie-kitti-output-dir" in text
    primary = text.index("config-file-path=config_infer_primary_finder.txt")
    assert primary < text.index("config-file-path=config_infer_secondary_fruit.txt")
    # The frames are the app's for both engines: 640 / 96 is little enough for a Jetson's VIC, and 1920 / 96 is not.
    configs = ("config_infer_primary_finder.txt", "config_infer_secondary_fruit.txt")
    assert not any(b"scaling-compute-hw" in files[name] for name in configs)
    usual = written(tmp_path / "b", pair)
    assert all(b"\nscaling-compute-hw=1\n" in usual[name] for name in configs)


def test_the_report_has_both(tmp_path: Path, pair: ValidatedPair) -> None:
    files = written(tmp_path, pair)
    report = json.loads(files["report.json"])
    assert report["schema_version"] == SCHEMA_VERSION
    assert [report[role]["export"]["name"] for role in ("primary", "secondary")] == ["finder", "fruit"]
    assert [report[role]["options"]["role"] for role in ("primary", "secondary")] == ["pgie", "sgie"]
    assert {file["path"] for file in report["files"]} == set(files) - {"report.json"}


def test_the_same_bytes_each_time(tmp_path: Path, pair: ValidatedPair) -> None:
    assert written(tmp_path / "a", pair) == written(tmp_path / "b", pair)


def test_two_models_of_one_project(tmp_path: Path, invent: Invent) -> None:
    files = written(tmp_path, ValidatedPair(detector(invent, "fomo"), invent()))
    assert {"fruit.onnx", "fruit-objects.onnx", "deepstream_app_fruit_fruit-objects.txt"} <= set(files)
    assert b"onnx-file=fruit-objects.onnx" in files["config_infer_secondary_fruit-objects.txt"]


def test_a_classifier_finds_no_objects(tmp_path: Path, invent: Invent) -> None:
    with pytest.raises(PresetError, match="finds no objects") as caught:
        EmitPair(tmp_path / "out")(ValidatedPair(invent(name="a"), invent(name="b")), tmp_path)
    assert caught.value.hint == "give a detector (FOMO, YOLOv5, SSD, ...) as the primary one"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"object_batch_size": 2000}, {"precision": "int4"}, {"gie_id": 0}, {"target": "1"}]
)
def test_options_that_do_not_exist(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(PresetError):
        EmitPair(tmp_path, **options)


def test_one_script_builds_both_engines(tmp_path: Path, pair: ValidatedPair) -> None:
    """Run with a trtexec that only writes what it is told to; started from elsewhere."""
    folder = tmp_path / "bundle"
    written(folder, pair)
    trtexec = tmp_path / "trtexec"
    trtexec.write_text('#!/bin/sh\nfor each; do case $each in --saveEngine=*) echo x > "${each#*=}";; esac; done\n')
    trtexec.chmod(0o755)
    done = subprocess.run(
        [folder / "build_engine.sh"], env={"TRTEXEC": str(trtexec), "PATH": "/usr/bin:/bin"}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    engines = {path.name for path in folder.glob("*.engine")}
    assert engines == {"finder.onnx_b1_gpu0_fp32.engine", "fruit.onnx_b16_gpu0_fp32.engine"}
    failing = tmp_path / "failing"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    failed = subprocess.run(
        [folder / "build_engine.sh"], env={"TRTEXEC": str(failing), "PATH": "/usr/bin:/bin"}, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert failed.returncode == 1
    assert "build_engine_finder.sh: trtexec failed" in failed.stderr
