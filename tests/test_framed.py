"""What scaling whole frames does to a model trained on cropped ones, measured: cropped in the graph and squashed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper
from PIL import Image

from convert.errors import InputError
from convert.export.facts import facts
from convert.files import sha256
from convert.findings import Rule
from convert.graph.adapt import Adapt
from convert.graph.graph import load_model
from convert.images import Frame, Framing, ResizeMode, parse_frame
from convert.images.scaling import scaled
from convert.isolation import Worker
from convert.report import dumps, evidence_document, read_evidence
from convert.translate import PRELOAD, Translate
from convert.types import Adapted, Evidence, Export, FrameEffect, Metadata, StageResult, Validated
from convert.validate import INPUTS, SHAPES, Validate, WithFraming
from tests.graph.flat import classifier
from tests.heads.ssds import ssd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from convert.types import Stage


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(PRELOAD) as child:
        yield child


def make(
    worker: Worker,
    model: bytes,
    frame: str | None,
    mode: ResizeMode = ResizeMode.FIT_SHORTEST,
    *,
    for_objects: bool = False,
) -> Adapted:
    export = Export(model, "m", "flatbuffer", "m.lite", "", Metadata(resize_mode=mode), facts(model))
    translated = Translate(worker=worker)(export, Path()).artifact
    adapt = Adapt(frame=parse_frame(frame) if frame else None, for_objects=for_objects, resize="device")
    adapted = adapt(translated, Path()).artifact
    assert isinstance(adapted, Adapted)
    return adapted


def run(worker: Worker, adapted: Adapted, **options: Any) -> StageResult:
    stage = WithFraming(Validate(worker=worker), worker=worker, **options)
    assert stage.name == "validate"
    return stage(adapted, Path())


def prove(worker: Worker, adapted: Adapted, **options: Any) -> tuple[Evidence, tuple[str, ...]]:
    result = run(worker, adapted, **options)
    assert isinstance(result.artifact, Validated)
    return result.artifact.evidence, tuple(finding.id for finding in result.findings)


@pytest.mark.parametrize(
    ("frame", "height", "width"),
    [("16:9", 16, 16), *((frame, 17, 14) for frame in ("16:9", "9:16", "1280x720", "4:3", "3:1", "641x479"))],
)
def test_cropping_in_the_graph_is_nearer_than_squashing(worker: Worker, frame: str, height: int, width: int) -> None:
    adapted = make(worker, classifier(height=height, width=width), frame)
    evidence, findings = prove(worker, adapted)
    assert findings == ()
    assert evidence.parity is not None
    assert evidence.parity.max_abs_diff < 1e-4
    assert evidence.batch is not None
    assert evidence.batch.sizes == (1, 2, 8)
    effect = evidence.framing
    assert effect is not None
    assert effect.crop is not None
    assert effect.frames == (frame,)
    assert effect.crop.inputs == effect.squash.inputs == INPUTS
    assert effect.crop.mean_abs_diff < effect.squash.mean_abs_diff
    assert effect.crop.top1 >= effect.squash.top1


def test_a_detector(worker: Worker) -> None:
    evidence, _ = prove(worker, make(worker, ssd(), "16:9"))
    assert evidence.decoding is not None
    assert evidence.decoding < 1e-6
    effect = evidence.framing
    assert effect is not None
    assert effect.crop is not None
    assert effect.crop.mean_abs_diff < effect.squash.mean_abs_diff


@pytest.mark.parametrize("model", [classifier(height=16, width=16), ssd()])
def test_the_model_for_objects_is_proven_too(worker: Worker, model: bytes) -> None:
    evidence, findings = prove(worker, make(worker, model, "16:9", for_objects=True))
    assert findings == ()
    other = evidence.for_objects
    assert other is not None
    assert other.parity is not None
    assert other.parity.max_abs_diff < 1e-4
    assert other.batch is not None
    assert other.batch.sizes == (1, 2, 8)
    assert (other.decoding is None) == (evidence.decoding is None)
    alone, _ = prove(worker, make(worker, model, "16:9"))
    assert replace(evidence, for_objects=None) == alone


def test_a_wrong_model_for_objects_is_found(worker: Worker) -> None:
    """Other weights, or boxes that lie elsewhere; what holds of both models is said once."""

    def found(adapted: Adapted, other: Adapted) -> list[tuple[str, str]]:
        result = Validate(worker=worker)(replace(adapted, for_objects=other), Path())
        return [(each.id, each.message.partition(":")[0]) for each in result.findings]

    small = {"height": 16, "width": 16}
    adapted = make(worker, classifier(**small), "16:9")
    other = make(worker, classifier(**small, seed=1), None)
    assert ("EI403", "the model for objects") in found(adapted, other)
    both_wrong = found(replace(adapted, onnx=make(worker, classifier(**small, seed=1), "16:9").onnx), other)
    assert [each for each, _ in both_wrong].count("EI403") == 1
    detector, plain = make(worker, ssd(), "16:9"), make(worker, ssd(), None)
    moved = replace(plain, onnx=replace(plain.onnx, stored=_with_boxes_moved(plain.onnx.data)))
    assert found(detector, plain) == []
    assert ("EI440", "the model for objects") in found(detector, moved)


def _with_boxes_moved(data: bytes) -> bytes:
    import onnx  # for this test only
    from onnx import numpy_helper

    model = onnx.load_model_from_string(data)
    name = model.graph.output[0].name
    node = next(each for each in model.graph.node if name in each.output)
    node.output[list(node.output).index(name)] = "before"
    model.graph.initializer.append(numpy_helper.from_array(np.array(0.01, np.float32), "by"))
    model.graph.node.append(onnx.helper.make_node("Add", ["before", "by"], [name]))
    return bytes(model.SerializeToString())


def test_a_model_that_gives_no_numbers_is_not_compared_with_the_one_for_objects(worker: Worker) -> None:
    adapted = make(worker, classifier(height=16, width=16), "16:9", for_objects=True)
    model = load_model(adapted.onnx.data)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(np.nan), tensor.name))
    broken = replace(adapted, onnx=replace(adapted.onnx, stored=model.SerializeToString()))
    assert prove(worker, broken) == (Evidence(), ("EI405",))


def test_without_a_frame_what_squashing_costs_is_said(worker: Worker) -> None:
    result = run(worker, make(worker, classifier(height=16, width=16), None))
    evidence = result.artifact.evidence
    (finding,) = result.findings
    assert finding.id == "EI409"
    said = re.fullmatch(
        r"squashed instead of cropped, (\d+) of 20 pictures of 16:9 to 9:16 are decided otherwise, and scores differ "
        r"by ([0-9.e-]+) on average",
        finding.message,
    )
    assert said
    assert evidence.framing.squash.top1 == pytest.approx(1 - int(said[1]) / INPUTS)
    assert evidence.framing.squash.mean_abs_diff == pytest.approx(float(said[2]), rel=0.05)
    assert str(finding.hint).startswith("--frame auto (or what the camera gives, --frame 4:3) crops whole frames")
    assert evidence.framing is not None
    assert evidence.framing.crop is None
    assert evidence.framing.frames == tuple(map(str, SHAPES))
    assert evidence.framing.squash.max_abs_diff > 1e-3


@pytest.mark.parametrize("mode", [ResizeMode.SQUASH, ResizeMode.FIT_LONGEST])
def test_models_that_saw_whole_pictures_are_not_measured(worker: Worker, mode: ResizeMode) -> None:
    evidence, findings = prove(worker, make(worker, classifier(), "16:9", mode))
    assert evidence.framing is None
    assert findings == ()


def test_nothing_to_measure_where_the_model_has_the_frames_shape(worker: Worker) -> None:
    adapted = make(worker, classifier(height=24, width=32), "4:3")
    evidence, findings = prove(worker, adapted)
    assert adapted.preprocessing.framing is not None
    assert evidence.framing is None
    assert findings == ()


def test_a_crop_in_the_wrong_place_fails_parity(worker: Worker) -> None:
    """The original sees the middle; a graph that cuts out another part computes something else."""
    adapted = make(worker, classifier(height=16, width=16), "16:9")
    moved = make(worker, classifier(height=16, width=16), None)
    wrong = replace(adapted, onnx=_cropping_left(moved))
    _, findings = prove(worker, wrong)
    assert findings[0] == "EI403"


def _cropping_left(adapted: Adapted) -> Any:
    import onnx  # for this test only

    model = onnx.load_model_from_string(adapted.onnx.data)
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 28
    constants = {"s": [0], "e": [16], "a": [3]}
    for name, values in constants.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(values, np.int64), name))
    for node in model.graph.node:
        node.input[:] = ["cut" if name == "x_input" else name for name in node.input]
    model.graph.node.insert(0, onnx.helper.make_node("Slice", ["x_input", "s", "e", "a"], ["cut"]))
    del model.graph.value_info[:]
    return replace(
        adapted.onnx, stored=model.SerializeToString(), input=replace(adapted.onnx.input, shape=(None, 3, 16, 28))
    )


def test_the_users_own_frames(worker: Worker, tmp_path: Path) -> None:
    for number, (width, height) in enumerate([(320, 180), (160, 120), (90, 160)]):
        pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    model = classifier(height=16, width=16)
    evidence, _ = prove(worker, make(worker, model, "16:9"), images=tmp_path)
    assert evidence.framing is not None
    assert evidence.framing.crop is not None
    assert evidence.framing.crop.inputs == 3
    result = run(worker, make(worker, model, None), images=tmp_path)
    assert result.artifact.evidence.framing.frames == ()
    (finding,) = result.findings
    assert finding.id == "EI409"
    assert " of 3 pictures of the shapes they have are decided otherwise" in finding.message
    (tmp_path / "3.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match="not a picture"):
        prove(worker, make(worker, model, "16:9"), images=tmp_path)


class _Wrong:
    """A stage that finds the model wrong."""

    name = "validate"

    def __call__(self, artifact: object, workdir: Path) -> StageResult:  # noqa: ARG002 - a stage's signature
        assert isinstance(artifact, Adapted)
        return StageResult(Validated(artifact, Evidence()), findings=(Rule("EI403").found("wrong"),))


def test_a_wrong_model_is_not_measured() -> None:
    model = classifier()
    export = Export(model, "m", "", "", "", Metadata(resize_mode=ResizeMode.FIT_SHORTEST), facts(model))
    with Worker() as child:
        adapted = make(child, export.model, "16:9")
    stage: Stage = WithFraming(_Wrong())
    result = stage(adapted, Path())
    assert result.artifact.evidence.framing is None


@pytest.mark.parametrize(("size", "network"), [((1920, 1080), (170, 96)), ((640, 480), (96, 170)), ((3, 2), (5, 7))])
def test_scaling_is_the_simulations(size: tuple[int, int], network: tuple[int, int]) -> None:
    """Against plain numpy: the two pixels beside each centre, of a frame whose sides are rounded down to even."""
    frame = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    wide, high = (side - side % 2 for side in size)

    def points(count: int, length: int) -> tuple[Any, Any, Any]:
        place = np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, None)
        low = np.minimum(place.astype(int), length - 1)
        return low, np.minimum(low + 1, length - 1), np.clip(place - low, 0, 1)

    left, right, across = points(network[0], wide)
    above, below, down = points(network[1], high)
    part = frame[:high, :wide].astype(float)
    lines = part[above] * (1 - down)[:, None, None] + part[below] * down[:, None, None]
    wanted = lines[:, left] * (1 - across)[:, None] + lines[:, right] * across[:, None]
    assert np.abs(scaled(frame, *network) - wanted).max() <= 0.51


def test_letterbox() -> None:
    white = np.full((90, 160, 1), 255, np.uint8)
    picture = scaled(white, 96, 96, keep_aspect=True)
    assert (picture[21:75] == 255).all()
    assert (picture[:21] == 0).all()
    assert (picture[75:] == 0).all()


def test_the_numbers_are_read_back(worker: Worker, tmp_path: Path) -> None:
    evidence, _ = prove(worker, make(worker, classifier(height=16, width=16), "16:9"))
    path, written = tmp_path / "a.evidence.json", {**evidence_document(evidence), "model_sha256": sha256(b"a")}
    path.write_bytes(dumps(written))
    assert read_evidence(path, b"a") == evidence
    assert isinstance(evidence.framing, FrameEffect)
    assert b'"frames": [' in dumps(evidence_document(evidence))
    wrong: tuple[Any, ...] = ({"frames": ["16:9"], "crop": None}, {"squash": None, "crop": None, "frames": []}, 5, "x")
    for broken in wrong:
        path.write_bytes(dumps({**written, "framing": broken}))
        with pytest.raises(InputError, match="framing"):
            read_evidence(path, b"a")


def test_framing_is_about_the_model_not_the_task(worker: Worker) -> None:
    adapted = make(worker, ssd(), "2:1")
    assert adapted.head.task == "ssd"
    assert adapted.preprocessing.framing == Framing(Frame(2, 1), (48, 32))
