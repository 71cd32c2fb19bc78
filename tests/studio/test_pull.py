"""`pull` against the stand-in server: the trained model, deployments, what is refused, and `studio:ID` as an export."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convert import api
from convert.__main__ import main
from convert.errors import ConvertError, InputError, OutputError, PresetError
from convert.files import Output
from convert.images import ImageScaling, ResizeMode
from convert.studio.client import KEYS_HINT, Studio
from convert.studio.pull import Pull, Pulled, fetched
from tests.emitted import prove_nothing
from tests.studio.conftest import MODEL, SAMPLES, library
from tests.studio.server import IMPULSE, KEY, PROJECT, TRAINED, Fault, StudioServer, target

CHANGED = "its API may have changed: look for a newer ei-deepstream, or download the export in Studio"


def pulled(studio: Studio, folder: Path, **values: Any) -> Pulled:
    return Pull(studio, **values)(folder)


def test_the_trained_model_is_an_export(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    done = pulled(studio, tmp_path / "x")
    assert done.export.read_bytes() == MODEL
    assert server.calls == [
        "GET /api/projects",
        f"GET /api/{PROJECT}/impulse",
        f"GET /api/{PROJECT}/training/keras/5/metadata",
        f"GET /api/{PROJECT}/downloads",
        f"GET /api/{PROJECT}/learn-data/5/model/tflite-float",
    ]
    (model,) = api.inspect(tmp_path / "x").models
    recorded = model.metadata
    assert recorded.labels == ("circle", "square", "star", "triangle")
    assert (recorded.resize_mode, recorded.crop_anchor) == (ResizeMode.FIT_SHORTEST, (0.0, 0.0))
    assert (recorded.image_scaling, recorded.task) == (ImageScaling.NONE, "classifier")
    assert (recorded.project_id, recorded.project_name, recorded.impulse_id) == (PROJECT, "Wooden shapes", 1)
    assert (recorded.block_id, recorded.threshold, recorded.sensor) == (5, None, "camera")
    assert recorded.project_owner == "someone"
    assert not done.findings


def test_a_detector(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.trained |= {"objectDetectionLastLayer": "mobilenet-ssd", "mode": "object-detection"}
    server.trained["imageInputScaling"] = "-128..127"
    recorded = pulled(studio, tmp_path).metadata
    assert (recorded.task, recorded.threshold) == ("ssd", 0.6)
    assert recorded.image_scaling is ImageScaling.MINUS_128_TO_127


def test_the_int8_model(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.files["tflite-int8"] = (SAMPLES / "models" / "table-fomo.tflite").read_bytes()
    assert pulled(studio, tmp_path, variant="int8").export.read_bytes() == server.files["tflite-int8"]
    with pytest.raises(PresetError, match=r"^there is no --variant 'float16'$") as caught:
        pulled(studio, tmp_path, variant="float16")
    assert caught.value.hint == "one of float32, int8"


@pytest.mark.parametrize(
    ("files", "trained", "has"),
    [
        (["tflite-int8", "tflite-micro"], ["float32"], "TensorFlow Lite (tflite-int8), TensorFlow Lite (tflite-micro)"),
        ([], ["float32", "int8"], "float32, int8"),
        ([], [], "none"),
    ],
)
def test_a_model_that_studio_does_not_have(
    server: StudioServer, studio: Studio, tmp_path: Path, files: list[str], trained: list[str], has: str
) -> None:
    server.files = dict.fromkeys(files, MODEL)
    server.trained["availableModelTypes"] = trained
    with pytest.raises(InputError) as caught:
        pulled(studio, tmp_path)
    assert caught.value.message.endswith(f"(float32) of this learn block to download; it has {has}")
    assert caught.value.hint == "try --variant int8 or float32, or build a library with --deployment zip"


def test_a_folder_that_cannot_be_written_is_refused_first(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"")
    with pytest.raises(OutputError):
        pulled(studio, tmp_path / "x")
    assert not server.log


@pytest.mark.parametrize("layer", ["fomo", "yolov5", "yolov5v5-drpai", "yolov2-akida", "yolox", "yolo-pro", "tao-ssd"])
def test_last_layers_are_known(server: StudioServer, studio: Studio, tmp_path: Path, layer: str) -> None:
    server.trained["objectDetectionLastLayer"] = layer
    done = pulled(studio, tmp_path)
    assert done.metadata.task is not None
    assert not done.findings


def test_values_that_are_not_known_are_findings(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.trained |= {"objectDetectionLastLayer": "paddleocr-detector", "imageInputScaling": "0..2"}
    server.trained["thresholds"][0]["value"] = "high"
    server.impulse["inputBlocks"][0]["resizeMode"] = "fill"
    done = pulled(studio, tmp_path)
    assert [finding.id for finding in done.findings] == ["EI106"] * 4
    recorded = done.metadata
    assert (recorded.image_scaling, recorded.task, recorded.threshold, recorded.resize_mode) == (None,) * 4
    assert [(finding.message, finding.path) for finding in done.findings[1:]] == [
        ("imageInputScaling is '0..2', which is not known here", f"studio:{PROJECT}"),
        ("objectDetectionLastLayer is 'paddleocr-detector', which is not known here", f"studio:{PROJECT}"),
        ("min_score is 'high', which is not known here", f"studio:{PROJECT}"),
    ]


@pytest.mark.parametrize(
    ("thresholds", "threshold", "unknown"),
    [
        ([{"key": "min_score", "value": 1}], 1.0, []),
        ([{"key": "min_score", "value": 0}], None, ["min_score is '0', which is not known here"]),
        ([{"key": "min_score", "value": 1.01}], None, ["min_score is '1.01', which is not known here"]),
        ([{"key": "min_score", "value": True}], None, ["min_score is 'True', which is not known here"]),
        ([{"key": "other", "value": 0.2}, None, {"key": "min_score", "value": 0.3}], 0.3, []),
        (None, None, []),
        ("x" * 70, None, [f"thresholds is '{'x' * 60}', which is not known here"]),
    ],
)
def test_the_threshold_of_a_detector(
    server: StudioServer, studio: Studio, tmp_path: Path, thresholds: Any, threshold: float | None, unknown: list[str]
) -> None:
    server.trained |= {"objectDetectionLastLayer": "fomo", "thresholds": thresholds}
    done = pulled(studio, tmp_path)
    assert repr(done.metadata.threshold) == repr(threshold), "1 is written as 1.0"
    assert [finding.message for finding in done.findings] == unknown


@pytest.mark.parametrize(
    ("mode", "task"), [("classification", "classifier"), ("visual-anomaly", "anomaly"), ("regression", None)]
)
def test_the_task_of_a_model_without_boxes(
    server: StudioServer, studio: Studio, tmp_path: Path, mode: str, task: str | None
) -> None:
    server.impulse["learnBlocks"][0]["type"] = "keras-visual-anomaly"  # taken where there is nothing else
    server.trained["mode"] = mode
    done = pulled(studio, tmp_path)
    assert (done.metadata.task, done.metadata.block_id, done.findings) == (task, 5, ())


@pytest.mark.parametrize(
    ("changed", "recorded"),
    [({}, (1, "Impulse #1")), ({"id": True, "name": 7}, (None, None)), ({"id": "1", "name": "x"}, (None, "x"))],
)
def test_the_impulse_is_recorded_as_it_is_called(
    server: StudioServer, studio: Studio, tmp_path: Path, changed: dict[str, Any], recorded: tuple[Any, Any]
) -> None:
    server.impulse |= changed
    metadata = pulled(studio, tmp_path).metadata
    assert (metadata.impulse_id, metadata.impulse_name) == recorded


def test_an_impulse_that_is_named_is_asked_for(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    pulled(studio, tmp_path, impulse=2)
    assert [call for call in server.calls if "impulseId=2" in call] == [
        f"GET /api/{PROJECT}/impulse?impulseId=2", f"GET /api/{PROJECT}/downloads?impulseId=2",
    ]  # fmt: skip
    server.log.clear()
    pulled(studio, tmp_path, impulse=2, deployment="zip")
    asked = [call.partition("?") for call in server.calls]
    assert [path for path, _, query in asked if "impulseId=2" in query] == [
        f"GET /api/{PROJECT}/deployment/targets", f"GET /api/{PROJECT}/deployment/history",
        f"POST /api/{PROJECT}/jobs/build-ondevice-model",
    ]  # fmt: skip
    assert f"GET /api/{PROJECT}/impulse" not in [path for path, _, _ in asked]


def test_several_projects(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.projects = [(9, "Fruit"), (PROJECT, "Wooden shapes")]
    with pytest.raises(PresetError, match=r"^the key opens 2 projects: Fruit \(9\), Wooden shapes") as caught:
        pulled(studio, tmp_path)
    assert caught.value.hint == "say which: --project ID"
    with pytest.raises(PresetError, match=r"^the key does not open a project 'Bread', but Fruit") as caught:
        pulled(studio, tmp_path, project="Bread")
    assert caught.value.hint == "a development key belongs to one project; " + KEYS_HINT
    for named in (str(PROJECT), "wooden SHAPES"):
        assert pulled(studio, tmp_path, project=named).project.id == PROJECT
    assert pulled(studio, tmp_path, choose=lambda found: found[1]).project.id == PROJECT


@pytest.mark.parametrize(
    ("projects", "wanted", "found"),
    [
        ([], None, "the key opens no project"),
        ([(9, "Fruit"), (PROJECT, "fruit")], "fruit", PROJECT),  # the very name goes before another spelling
        ([(9, "Fruit"), (PROJECT, "Door")], " 4711 ", PROJECT),
        ([(9, "Fruit"), (PROJECT, "9")], "9", r"the key opens 2 projects: Fruit \(9\), 9 \(4711\)$"),
        ([(number, "P") for number in range(20)], "x", r"P \(18\), P \(19\)$"),
        ([(number, "P") for number in range(21)], "x", r"P \(18\), P \(19\), \.\.\.$"),
        ([(number, "P" * 90) for number in range(9)], "x", r"P \(3\), \.\.\.$"),
        ([(1, "P" * 501)], "x", f", but {'P' * 500}$"),
        ([(1, "P" * 194), (2, "P" * 196)], "x", r"P \(1\), P+ \(2\)$"),
        ([(1, "P" * 195), (2, "P" * 196)], "x", r"P \(1\), \.\.\.$"),
    ],
)
def test_which_project_is_meant(
    server: StudioServer, studio: Studio, tmp_path: Path, projects: Any, wanted: str | None, found: str | int
) -> None:
    server.projects = projects
    if isinstance(found, int):
        assert pulled(studio, tmp_path, project=wanted).project.id == found
        return
    with pytest.raises(ConvertError, match=found):
        pulled(studio, tmp_path, project=wanted)


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        (
            {"trained": {"hasTrainedModel": False}},
            "the learn block 'Transfer learning' has no trained model",
            "train it in Studio, then pull again",
        ),
        ({"trained": {"hasTrainedModel": 1}}, "an answer of Edge Impulse's server lacks 'hasTrainedModel'", CHANGED),
        (
            {"impulse": {"learnBlocks": [IMPULSE["learnBlocks"][0] | {"id": True}]}},
            "an answer of Edge Impulse's server lacks 'id'",
            CHANGED,
        ),
        (
            {"files": {"tflite-float": None}},
            r"Studio has no TensorFlow Lite model \(float32\)",
            "try --variant int8 or float32, or build a library with --deployment zip",
        ),
        *(
            (
                {"impulse": {"inputBlocks": [{"type": each} for each in inputs]}},
                f"the impulse takes {shown}, no pictures",
                "build a library, which does: --deployment zip",
            )
            for inputs, shown in (
                (["time-series"], "time-series"),
                ([], "nothing"),
                (["image", "x", "image"], "image, x"),
            )
        ),
        (
            {"impulse": dict.fromkeys(IMPULSE)},
            r"the project Wooden shapes \(4711\) has no impulse",
            "make and train one in Studio",
        ),
        (
            {"impulse": {"learnBlocks": []}},
            "the impulse has no neural network",
            "add a learn block for pictures in Studio",
        ),
        (
            {"impulse": {"learnBlocks": IMPULSE["learnBlocks"] * 2}},
            "the impulse has 2 learn blocks: 'Transfer learning', 'Transfer learning'$",
            "build a library with --deployment zip, then choose with `convert --model`",
        ),
        (
            {"files": {"tflite-float": b"<html>"}},
            "what Studio gave as the model of 'Transfer learning' is a web page; ",
            "pull again, or train again",
        ),
        (
            {"files": {"tflite-float": MODEL[:5000]}},
            "what Studio gave as the model of 'Transfer learning' is ",
            "pull again, or train again",
        ),
    ],
)
def test_what_cannot_be_pulled(
    server: StudioServer, studio: Studio, tmp_path: Path, change: dict[str, Any], message: str, hint: str
) -> None:
    for name, values in change.items():
        held = getattr(server, name)
        held |= values
        for each in [key for key, value in held.items() if value is None]:
            del held[each]
    with pytest.raises(InputError, match=f"^{message}") as caught:
        pulled(studio, tmp_path / "x")
    assert caught.value.hint == hint
    assert not (tmp_path / "x").exists()


def test_an_anomaly_block_beside_is_not_the_model(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    others = [{"id": 6, "type": "anomaly", "name": "K-means"}, {"id": 7, "type": "keras-visual-anomaly", "name": "x"}]
    server.impulse["learnBlocks"] = [*others, *server.impulse["learnBlocks"]]
    assert pulled(studio, tmp_path).metadata.block_id == 5


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@example("trained", "imageInputScaling", [])
@given(st.sampled_from(["impulse", "trained"]), st.sampled_from([*TRAINED, *IMPULSE]), JSON)
def test_answers_of_any_kind_end_in_one_error_or_none(
    server: StudioServer, studio: Studio, tmp_path: Path, holder: str, name: str, value: object
) -> None:
    server.impulse, server.trained = copy.deepcopy(IMPULSE), copy.deepcopy(TRAINED)
    getattr(server, holder)[name] = value
    with contextlib.suppress(ConvertError):
        pulled(studio, tmp_path)


def test_a_deployment_is_built_then_taken(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    said: list[str] = []
    done = pulled(studio, tmp_path, deployment="zip", said=said.append)
    assert (done.version, done.export.name) == (8, "wooden-shapes-zip.zip")
    assert done.export.stat().st_mode & 0o777 == 0o644
    assert done.export.read_bytes() == library()
    assert done.outputs == (Output(str(done.export), hashlib.sha256(library()).hexdigest()),)
    assert said == ["job 99: Studio builds zip", "Creating job... OK", "Exporting TensorFlow Lite model"]
    (post,) = [(path, json.loads(body)) for method, path, body, _ in server.log if method == "POST"]
    assert post == (
        f"/v1/api/{PROJECT}/jobs/build-ondevice-model?type=zip",
        {"engine": "tflite", "modelType": "float32"},
    )
    server.log.clear()
    assert pulled(studio, tmp_path, deployment="zip").version == 8
    assert not [call for call in server.calls if "jobs" in call]
    assert said[3:] == []
    for name, value in (("impulseHasChangedSinceDeployment", True), ("impulseId", 2), ("engine", "tflite-eon")):
        server.log.clear()
        server.history[:] = [{**server.history[0], name: value}]
        pulled(studio, tmp_path, deployment="zip")
        assert [call for call in server.calls if "build-ondevice" in call], name
        del server.history[0]


@pytest.mark.parametrize(("others", "version"), [(0, 12), (49, 12), (50, 8)])
def test_the_last_fifty_builds_are_looked_through(
    server: StudioServer, studio: Studio, tmp_path: Path, others: int, version: int
) -> None:
    said: list[str] = []
    row = {
        "deploymentVersion": 12, "deploymentFormat": "zip", "engine": "tflite", "modelType": "float32",
        "impulseHasChangedSinceDeployment": False, "impulseId": 1,
    }  # fmt: skip
    server.history = [*({**row, "modelType": "int8"} for _ in range(others)), row, {**row, "deploymentVersion": 11}]
    assert pulled(studio, tmp_path, deployment="zip", said=said.append).version == version
    taken = "taken: build 12, the impulse has not changed since"
    assert said[0] == (taken if version == 12 else "job 99: Studio builds zip")


@pytest.mark.parametrize("kind", ["zip", "eim"])
def test_a_folder_in_the_place_of_a_deployment_is_found_before_the_build(
    server: StudioServer, studio: Studio, tmp_path: Path, kind: str
) -> None:
    place = tmp_path / f"wooden-shapes-custom.{kind}"
    place.mkdir()
    with pytest.raises(OutputError, match=r"^a folder has the name of the file$") as caught:
        pulled(studio, tmp_path, deployment="custom")
    assert (caught.value.path, caught.value.hint) == (str(place), "choose another -o")
    assert server.calls == ["GET /api/projects"]


@given(st.sampled_from(["targets", "history", "supportedEngines", "modelVariants", "preferredEngine"]), JSON)
def test_answers_about_deployments_end_in_one_error_or_none(
    server: StudioServer, studio: Studio, tmp_path: Path, name: str, value: object
) -> None:
    server.targets, server.history, server.polls = [target("zip")], [], 1
    if name in {"targets", "history"}:
        setattr(server, name, value if isinstance(value, list) else [value])
    else:
        server.targets[0][name] = value
    with contextlib.suppress(ConvertError):
        pulled(studio, tmp_path, deployment="zip")


def test_an_eim(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.targets = [target("runner-linux-aarch64", supportedEngines=["tensorrt"], preferredEngine="tensorrt")]
    server.files["deployment"] = b"\x7fELF\x02\x01\x01" + bytes(5000)
    done = pulled(studio, tmp_path, deployment="runner-linux-aarch64")
    assert done.export.name == "wooden-shapes-runner-linux-aarch64.eim"
    assert done.export.stat().st_mode & 0o777 == 0o755
    assert json.loads(next(body for method, _, body, _ in server.log if method == "POST"))["engine"] == "tensorrt"


@pytest.mark.parametrize(
    ("row", "engine"),
    [
        ({"supportedEngines": ["tflite-eon", "tflite"], "preferredEngine": "tflite-eon"}, "tflite"),
        ({"supportedEngines": ["tflite-eon"], "preferredEngine": "tflite-eon"}, "tflite-eon"),
        ({"modelVariants": [{"variant": "int8", "supported": False}, {"variant": "float32"}]}, "tflite"),
        ({"disabledForProject": False, "reasonTargetDisabled": "x"}, "tflite"),
    ],
)
def test_targets_that_are_built(
    server: StudioServer, studio: Studio, tmp_path: Path, row: dict[str, Any], engine: str
) -> None:
    server.targets, server.polls = [target("zip", **row)], 1
    assert pulled(studio, tmp_path, deployment="zip").version == 8
    assert json.loads(next(body for method, _, body, _ in server.log if method == "POST"))["engine"] == engine


@pytest.mark.parametrize(
    ("targets", "message", "hint"),
    [
        (
            [target("zip", supportedEngines=[], preferredEngine="newest")],
            "Edge Impulse's API bindings refuse to ask: ",
            r".* -m pip install .*edgeimpulse-api.* --upgrade$",
        ),
        ([target("zap"), target("b-custom")], "Studio has no deployment 'zip' for this project$", "it has zap$"),
        ([target(f"zip{n}") for n in range(4)], "Studio has no deployment 'zip'", "it has zip3, zip2, zip1$"),
        ([target("b-custom"), target("a-custom")], "Studio has no deployment 'zip'", "it has a-custom, b-custom$"),
        (
            [target("zip", disabledForProject=True, reasonTargetDisabled="Enterprise\nonly.")],
            "Studio does not build zip for this project: Enterprise only$",
            "choose another --deployment, or leave it out and take the trained model$",
        ),
        (
            [target("zip", disabledForProject=True)],
            "Studio does not build zip for this project: no reason is given$",
            "choose another --deployment, or leave it out and take the trained model$",
        ),
        (
            [target("zip", modelVariants=[{"variant": "float32", "supported": False}])],
            "Studio does not build zip with float32$",
            "try another --variant$",
        ),
        (
            [target("zip", modelVariants=[{"variant": "float32", "supported": False, "hint": "Train it first."}])],
            "Studio does not build zip with float32$",
            "Train it first$",
        ),
    ],
)
def test_targets_that_are_not_built(
    server: StudioServer, studio: Studio, tmp_path: Path, targets: list[dict[str, Any]], message: str, hint: str
) -> None:
    server.targets = targets
    with pytest.raises(ConvertError, match=f"^{message}") as caught:
        pulled(studio, tmp_path, deployment="zip")
    assert re.match(hint, caught.value.hint or "")
    assert not [call for call in server.calls if call.startswith("POST")]


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            ["Creating job", "ERR: Unsupported operator CUSTOM", "Job failed (see above)"],
            "ERR: Unsupported operator CUSTOM",
        ),
        (["ERR: one", "and", "ERR: two", "Job failed"], "ERR: two"),
        (["Creating job", "Killed"], "Killed"),
        ([], "its log is empty"),
    ],
)
def test_a_build_that_fails_gives_its_reason(
    server: StudioServer, studio: Studio, tmp_path: Path, log: list[str], reason: str
) -> None:
    server.job_ends, server.job_log = False, log
    with pytest.raises(InputError) as caught:
        pulled(studio, tmp_path, deployment="zip")
    assert caught.value.message == f"Studio could not build zip (job 99): {reason}"
    assert caught.value.hint == ("Studio has the whole log: Jobs; or leave --deployment out and take the trained model")
    assert not [call for call in server.calls if "download" in call]


@pytest.mark.parametrize(("kept", "counted", "said"), [(4, 9, "bcde"), (3, 9, "cde"), (9, 9, "bcde"), (9, 0, "bcde")])
def test_a_line_of_a_log_is_said_once(
    server: StudioServer, studio: Studio, tmp_path: Path, kept: int, counted: int, said: str
) -> None:
    """The server gives the last ones only; some may have gone by unseen."""
    lines: list[str] = []
    server.job_log, server.kept, server.counted = list("abcde"), kept, counted
    pulled(studio, tmp_path, deployment="zip", said=lines.append)
    assert lines == ["job 99: Studio builds zip", "a", *said]


def test_a_build_that_does_not_end(server: StudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked every two seconds, for an hour; here each of them is three minutes."""
    server.job_ends, passed = None, [0.0]
    monkeypatch.setattr("convert.studio.pull.time", SimpleNamespace(monotonic=lambda: sum(passed)))
    with pytest.raises(InputError, match=r"^job 99 has not ended within an hour$") as caught:
        pulled(Studio(KEY, pause=lambda seconds: passed.append(90 * seconds)), tmp_path, deployment="zip")
    assert caught.value.hint == "look at it in Studio, or cancel it there: Jobs"
    assert len([call for call in server.calls if "status" in call]) == 22


def test_an_interrupted_build_is_cancelled(server: StudioServer, tmp_path: Path) -> None:
    server.job_ends = None

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        pulled(Studio(KEY, pause=interrupt), tmp_path, deployment="zip", said=said.append)
    assert (server.cancelled, said[-1]) == ([99], "job 99 was cancelled")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cut", "the zip that Studio gave is damaged: File is not a zip file$"),
        ("changed", r"the zip that Studio gave is damaged: \S+$"),
        ("html", "what Studio gave as the deployment is a web page; "),
    ],
)
def test_a_damaged_deployment_is_no_file(
    server: StudioServer, studio: Studio, tmp_path: Path, damage: str, message: str
) -> None:
    whole = library()
    middle = len(whole) // 2
    server.files["deployment"] = {
        "cut": whole[:middle], "changed": whole[:middle] + b"\0\0\0\0" + whole[middle + 4 :], "html": b"<html></html>",
    }[damage]  # fmt: skip
    with pytest.raises(InputError, match=f"^{message}") as caught:
        pulled(studio, tmp_path, deployment="zip")
    assert caught.value.hint == "pull again"
    assert not list(tmp_path.iterdir())


def test_an_export_in_studio(server: StudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prove_nothing(monkeypatch)
    bundle = api.convert(f"studio:{PROJECT}", tmp_path / "bundle")
    assert not [finding for finding in bundle.findings if finding.id.startswith("EI1")]
    export = json.loads((tmp_path / "bundle" / "report.json").read_bytes())["export"]
    assert (export["source"], export["member"]) == (f"studio:{PROJECT}", "wooden-shapes.tflite")
    assert (export["metadata"]["project_id"], export["metadata"]["block_id"]) == (PROJECT, 5)
    Pull(Studio(KEY), str(PROJECT))(tmp_path / "pulled")
    api.convert(tmp_path / "pulled", tmp_path / "other")
    for path in (tmp_path / "other").iterdir():
        if path.name not in {"report.json", "RUN.md"}:  # which name the export
            assert (tmp_path / "bundle" / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(PresetError, match="does not open a project '12'"):
        api.convert("studio:12", tmp_path / "none")
    assert server.port


def test_projects_in_studio_among_other_exports(server: StudioServer, studio: Studio, tmp_path: Path) -> None:
    server.projects.append((9, "Fruit"))
    made: list[Studio] = []

    def key() -> Studio:
        made.append(studio)
        return studio

    exports = [Path(f"studio:{PROJECT}"), tmp_path, Path("studio:wooden shapes"), Path(f"studio:{PROJECT}")]
    with fetched(exports, "float32", key) as (first, other, second, again):
        assert (other, again) == (tmp_path, first)
        assert [first.name, second.name] == [f"studio:{PROJECT}", "studio:wooden-shapes"]
        assert [(each / "wooden-shapes.tflite").read_bytes() for each in (first, second)] == [MODEL, MODEL]
    assert len(made) == 1
    assert not first.exists()


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        (
            {"projects": [(PROJECT, "a"), (9, "b")]},
            "say which: --project ID; these options are `ei-deepstream pull`'s: convert takes the folder that it",
        ),
        ({"trained": {**TRAINED, "hasTrainedModel": False}}, "train it in Studio, then pull again$"),
    ],
)
def test_a_hint_about_options_says_whose_they_are(
    server: StudioServer, studio: Studio, change: dict[str, Any], hint: str
) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    with pytest.raises(ConvertError) as caught, fetched([Path("studio:")], "float32", lambda: studio):
        pass
    assert re.match(hint, caught.value.hint or "")


def test_the_command(server: StudioServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    server.polls = 1
    assert main(["pull", "-o", str(tmp_path / "x")]) == 0
    model, zipped = tmp_path / "x" / "wooden-shapes.tflite", tmp_path / "x" / "wooden-shapes-zip.zip"
    assert capfd.readouterr().out == (
        "Wooden shapes (4711)\n  labels: circle, square, star, triangle\n  size: 48x48\n  resize mode: fit-shortest\n"
        "  image scaling: none\n  task: classifier\n  threshold: not recorded\n"
        f"wrote\n  {model}\n  {model.parent}/metadata.json\nnext:\n  ei-deepstream convert {model.parent} -o bundle\n"
    )
    assert main(["pull", "-o", str(tmp_path / "x"), "--deployment", "zip"]) == 0
    assert capfd.readouterr().out == (
        f"Wooden shapes (4711), build 8\nwrote\n  {zipped}\nnext:\n  ei-deepstream convert {zipped} -o bundle\n"
    )
    assert main(["pull", "-o", str(tmp_path / "x"), "--format", "json", "--deployment", "zip"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert {name: value for name, value in document.items() if name not in {"metadata", "files"}} == {
        "schema_version": 1, "project": {"id": PROJECT, "name": "Wooden shapes", "owner": "someone"},
        "export": str(zipped), "version": 8, "findings": [], "exit_code": 0,
    }  # fmt: skip
    assert [each["path"] for each in document["files"]] == [str(zipped)]
    assert set(document["metadata"].values()) == {None}
    server.trained["imageInputScaling"] = "0..2"
    assert main(["pull", "-o", str(tmp_path / "x")]) == 0
    assert "imageInputScaling is '0..2'" in capfd.readouterr().out
    assert main(["pull", "-o", str(tmp_path / "x"), "--format", "json"]) == 0
    assert [each["id"] for each in json.loads(capfd.readouterr().out)["findings"]] == ["EI106"]
    server.faults = [Fault("projects", 99, 403)]
    assert main(["pull", "-o", str(tmp_path / "y")]) == 3
    assert "error: Edge Impulse's server answers with HTTP 403" in capfd.readouterr().err


def test_names_and_lines_are_shown_as_they_are(
    server: StudioServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    server.projects, server.polls, server.job_log = [(PROJECT, "[b]Shapes")], 1, ["[red]" + "x " * 99 + "y"]
    server.trained["classNames"] = ["[i]circle", "square", "star", "triangle"]
    assert main(["pull", "-o", str(tmp_path / "[b]")]) == 0
    out = capfd.readouterr().out
    assert out.startswith("[b]Shapes (4711)\n  labels: [i]circle, square, star, triangle\n")
    assert f"  {tmp_path}/[b]/metadata.json\n" in out
    assert main(["pull", "-o", str(tmp_path), "--deployment", "zip"]) == 0
    assert f"\n{server.job_log[0]}\n" in capfd.readouterr().err


def test_what_is_not_recorded_is_said(server: StudioServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    del server.impulse["inputBlocks"][0]["imageWidth"], server.trained["classNames"]
    server.trained |= {"objectDetectionLastLayer": "fomo"}
    assert main(["pull", "-o", str(tmp_path)]) == 0
    assert capfd.readouterr().out.splitlines()[1:7] == [
        "  labels: not recorded", "  size: not recorded", "  resize mode: fit-shortest", "  image scaling: none",
        "  task: fomo", "  threshold: 0.6",
    ]  # fmt: skip


def test_the_bar_of_a_download_goes(
    server: StudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server.polls = 1
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert main(["pull", "-o", str(tmp_path / "x")]) == 0
    err = capsys.readouterr().err
    size = f"{len(MODEL) / 1000:.1f}"
    assert f"{size}/{size} kB" in re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", err)
    assert err.endswith("\x1b[2K"), "the line is empty again"
    assert main(["pull", "-o", str(tmp_path / "x"), "--deployment", "zip"]) == 0
    err = capsys.readouterr().err
    assert "job 99: Studio builds zip\n" in err
    assert "0/?" not in err, "no bar before the first bytes"


@pytest.mark.parametrize(
    ("options", "out", "err"),
    [
        ([], "wrote\n", "job 99: Studio builds zip\nCreating job... OK\nExporting TensorFlow Lite model\n"),
        (["-q"], "", ""),
        (["--format", "json"], '"version": 8', ""),
    ],
)
def test_what_the_command_says_and_where(
    server: StudioServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: list[str], out: str, err: str
) -> None:
    server.polls = 1
    assert main(["pull", "-o", str(tmp_path), "--deployment", "zip", *options]) == 0
    shown = capfd.readouterr()
    assert (out in shown.out, shown.err) == (True, err)
    assert bool(shown.out) == bool(out)


def test_at_a_terminal(
    server: StudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, bool, bool]] = []
    hidden, typed, prompt = [KEY + "\n"], ["0", "3", "2"], click.prompt

    def noted(text: str, *, hide_input: bool = False, err: bool = False, **options: Any) -> Any:
        asked.append((text, hide_input, err))
        return prompt(text, hide_input=hide_input, err=err, **options)

    monkeypatch.setattr("click.prompt", noted)
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _: hidden.pop(0))
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: typed.pop(0))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.delenv("EI_API_KEY")
    server.projects = [(9, "Fruit"), (PROJECT, "Wooden shapes")]
    assert main(["pull", "-o", str(tmp_path)]) == 0
    assert asked == [("API key of the project", True, True), ("which project", False, True)]
    shown = capfd.readouterr()
    assert "  1  Fruit (9)\n  2  Wooden shapes (4711)\n" in shown.err
    assert shown.err.count("is not in the range 1<=x<=2.\n") == 2
    assert shown.out.startswith("Wooden shapes (4711)\n")


@pytest.mark.parametrize(("is_terminal", "options"), [(False, []), (True, ["--format", "json"])])
def test_a_script_is_not_asked_which_project(
    server: StudioServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    is_terminal: bool, options: list[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stdin.isatty", lambda: is_terminal)
    server.projects = [(9, "Fruit"), (PROJECT, "Wooden shapes")]
    assert main(["pull", "-o", str(tmp_path), *options]) == 3
    assert "hint: say which: --project ID\n" in capfd.readouterr().err


def test_without_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("EI_API_KEY", raising=False)
    for words in (["pull"], ["convert", "studio:1"]):
        assert main([*words, "-o", str(tmp_path / "x")]) == 3
        assert "error: there is no API key\n  hint: the key of a project" in capfd.readouterr().err
