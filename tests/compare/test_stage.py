"""What `convert` says of a bundle is what `simulate --against edge-impulse` says of the same frames."""

from __future__ import annotations

import json
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self

import pytest
from PIL import Image

from convert import convert as run_convert
from convert.compare import Verdict, run, stage
from convert.compare.run import ComparisonRun
from convert.errors import ValidationError
from convert.findings import Finding, Level
from convert.images import parse_frame
from convert.images.resizing import Resizing
from convert.isolation import Worker
from convert.options import ConvertOptions, defaults
from convert.pipeline import convert as conversion
from convert.translate import PRELOAD
from convert.types import Evidence, StageResult, Validated
from convert.validate import Validate
from convert.validate.inputs import with_objects
from tests.compare.bundles import SAMPLES, compared, config_of, judged, photo
from tests.emitted import measure_nothing
from tests.test_agreement import by_brightness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.compare import PictureComparison
    from convert.types import AnswerEvidence

_FOMO = SAMPLES / "exports" / "table-fomo-2025.zip"


def _frames(width: int = 640, height: int = 360, count: int = 40) -> list[NDArray[np.uint8]]:
    return list(with_objects(count, height, width, 3))


def _evidence(folder: Path) -> dict[str, Any]:
    found = json.loads((folder / "report.json").read_text())["evidence"]["answers"]
    assert isinstance(found, dict)
    return found


def _counted(rows: Sequence[PictureComparison]) -> dict[str, int]:
    verdicts = Counter(row.verdict for row in rows)
    answers = [(row.deepstream, row.edge_impulse) for row in rows]
    shown = sum(bool(ours.label or ours.objects or theirs.label or theirs.objects) for ours, theirs in answers)
    return {
        "pictures": len(rows),
        "shown": shown,
        "same": verdicts[Verdict.SAME],
        "drifting": verdicts[Verdict.DRIFTS],
        "differing": verdicts[Verdict.DIFFERS],
    }


def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare in this process, as for a model that is not sent to another one; nothing else is measured."""
    monkeypatch.setattr(stage, "SENT", 0)
    measure_nothing(monkeypatch)


def _few(monkeypatch: pytest.MonkeyPatch, frames: int = 6) -> None:
    _here(monkeypatch)
    monkeypatch.setattr(run, "_FRAMES", frames)


def test_a_classifier_that_is_squashed(cropped: Path, fruit_export: Path) -> None:
    found = _evidence(cropped)
    rows = compared(config_of(cropped), fruit_export, *_frames()).rows
    assert found["generated"] == _counted(rows)
    assert found["generated"]["differing"] > 0
    differing = [row for row in rows if row.verdict is Verdict.DIFFERS]
    assert 0 < found["explained"] <= len(differing)
    assert found["causes"] == Counter(cause.value for row in differing[: found["explained"]] for cause in row.causes)
    assert (found["frame"], found["threshold"], found["given"]) == ("16:9", None, None)


def test_a_detector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _few(monkeypatch, 10)
    run_convert(_FOMO, tmp_path, resize="device")
    found = _evidence(tmp_path)
    assert found["generated"] == _counted(compared(config_of(tmp_path), _FOMO, *_frames(count=10)).rows)
    assert 0 < found["generated"]["shown"] <= 10
    assert found["threshold"] == 0.3  # as the export records it


def _sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures are compared at a time."""
    sizes: list[int] = []
    together = ComparisonRun.together

    def counted(self: ComparisonRun, pictures: Sequence[tuple[str, NDArray[np.uint8]]]) -> None:
        sizes.append(len(pictures))
        together(self, pictures)

    monkeypatch.setattr(ComparisonRun, "together", counted)
    return sizes


def test_a_label_that_stands_for_no_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _few(monkeypatch)
    sizes = _sizes(monkeypatch)
    monkeypatch.setattr(run, "_CHUNK_BYTES", 1)
    model = SAMPLES / "models" / "table-fomo.tflite"
    labels = ["background", *json.loads((SAMPLES / "models" / "models.json").read_text())["table-fomo"]["labels"]]
    bundle = run_convert(model, tmp_path, labels=labels)
    assert bundle.evidence is not None
    assert bundle.evidence.answers is not None
    assert sizes == [1] * 6, "of pictures larger than what is held at a time each alone"


def test_a_comparison_that_fails_ends_no_conversion(
    fruit_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise ValidationError("the original cannot be run")

    _here(monkeypatch)
    monkeypatch.setattr(ComparisonRun, "together", refuse)
    bundle = run_convert(fruit_export, tmp_path)
    assert bundle.evidence is not None
    assert bundle.evidence.answers is None
    (found,) = (each.message for each in bundle.findings if each.id == "EI755")
    assert found == "not compared with what Edge Impulse answers: the original cannot be run"


def test_grey_pictures_and_those_of_the_user(
    shapes_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _few(monkeypatch)
    sizes = _sizes(monkeypatch)
    monkeypatch.setattr(run, "_CHUNK", 4)
    pictures = SAMPLES / "pictures" / "shapes"
    bundle = run_convert(shapes_export, tmp_path / "bundle", images=pictures)
    assert bundle.evidence is not None
    found = bundle.evidence.answers
    assert found is not None
    assert found.given is not None
    assert found.generated.pictures == 6
    assert found.given.pictures == len(list(pictures.iterdir())) == sum(sizes[2:])
    assert sizes[:3] == [4, 2, 4]


def test_frames_of_one_aspect(fruit_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's pictures are cut to it, and generated frames have it."""
    _few(monkeypatch, 10)
    given = photo(min((SAMPLES / "pictures" / "fruit").iterdir()), (90, 90))
    (tmp_path / "pictures").mkdir()
    Image.fromarray(given).save(tmp_path / "pictures" / "square.png")
    bundle = tmp_path / "bundle"
    run_convert(
        fruit_export, bundle, resize_mode="fit-shortest", frame=parse_frame("3:1"), images=tmp_path / "pictures"
    )
    found = _evidence(bundle)
    assert found["frame"] == "3:1"
    made = list(with_objects(10, 320, 960, 3))
    assert found["generated"] == _counted(compared(config_of(bundle), fruit_export, *made).rows)
    assert found["given"] == _counted(compared(config_of(bundle), fruit_export, given[30:60]).rows)


def test_of_a_large_model_causes_are_not_looked_for(
    fruit_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need more memory."""
    _few(monkeypatch, 20)
    usual = _answers(run_convert(fruit_export, tmp_path / "usual", resize_mode="fit-shortest", frame=None))
    monkeypatch.setattr(stage, "LARGE", 0)
    monkeypatch.setattr(run, "LARGE", 0)
    large = _answers(run_convert(fruit_export, tmp_path / "large", resize_mode="fit-shortest", frame=None))
    assert large.generated == usual.generated
    assert usual.causes
    assert (large.causes, large.explained) == ({}, 0)


def _answers(bundle: Any) -> AnswerEvidence:
    found: AnswerEvidence = bundle.evidence.answers
    return found


def test_a_worker_that_ends_ends_no_conversion(shapes_export: Path, tmp_path: Path) -> None:
    """By a crash of the original's runtime, when the model is proven already: the proof stays."""
    with Worker((*PRELOAD, "tests.compare.crashing")) as worker:
        done = conversion([shapes_export], tmp_path, defaults(ConvertOptions), worker, beside=_NeverStarted())
    assert done.is_good, done.error
    (found,) = (each.message for each in done.findings if each.id == "EI755")
    assert found == "not compared with what Edge Impulse answers: the comparison ended: killed by SIGSEGV"
    evidence = json.loads((tmp_path / "report.json").read_text())["evidence"]
    assert evidence["parity"]
    assert not evidence.get("answers")


class _NeverStarted(Worker):
    def start(self) -> Self:
        raise AssertionError("a second process was started")


def test_no_second_process_without_a_quantized_model(
    shapes_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure_nothing(monkeypatch)
    with Worker(PRELOAD) as worker:
        done = conversion([shapes_export], tmp_path, defaults(ConvertOptions), worker, beside=_NeverStarted())
    assert done.is_good, done.error


@pytest.mark.parametrize("fails", [True, False])
def test_nothing_goes_on_beside_a_model_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(by_brightness(0.4, 0.35))

    def refuse(_stage: Validate, artifact: Any, _workdir: Path) -> StageResult:
        if fails:
            raise ValidationError("it does not run")
        return StageResult(Validated(artifact, Evidence()), findings=(Finding("EI403", Level.ERROR, "it is wrong"),))

    monkeypatch.setattr(Validate, "__call__", refuse)
    monkeypatch.setattr("convert.pipeline.SENT", 0)  # it is validated in this process
    begun: list[str] = []

    class Watched(Worker):
        def begin(self, function: str, *arguments: Any, **limits: Any) -> None:
            begun.append(function)
            super().begin(function, *arguments, **limits)

    with Worker(PRELOAD) as worker, Watched() as beside:
        done = conversion([path], tmp_path / "out", defaults(ConvertOptions), worker, beside=beside)
        assert not done.is_good
        assert begun == ["convert.compare.run:compare_bundle"]
        assert beside._begun is None
        assert beside._process is None


def test_large_pictures_are_fewer(fruit_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _here(monkeypatch)
    monkeypatch.setattr(run, "_PIXELS", 96 * 96 * 12)
    assert _answers(run_convert(fruit_export, tmp_path, resize_mode="squash")).generated.pictures == 12
    monkeypatch.setattr(run, "_PIXELS", 96)
    assert _answers(run_convert(fruit_export, tmp_path, resize_mode="squash")).generated.pictures == 10


def test_large_frames_are_fewer(fruit_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the graph resizes them: otherwise they are as large as a usual camera's, whatever was asked for."""
    _here(monkeypatch)
    monkeypatch.setattr(run, "_FRAME_PIXELS", 320 * 180 * 11)
    bundle = run_convert(fruit_export, tmp_path, resize="graph", resize_mode="squash", frame="320x180", role="pgie")
    assert _answers(bundle).generated.pictures == 11


@pytest.mark.parametrize(
    ("model", "size", "frame", "resizing", "count"),
    [
        ((96, 96), 1, "16:9", None, (40, 360, 640)),
        ((96, 96), 1, "3:4", None, (40, 640, 480)),
        ((300, 250), 1, "16:9", None, (20, 360, 640)),
        ((1000, 1000), 1, "16:9", None, (10, 360, 640)),
        ((96, 96), (2 << 30) // 25, "16:9", None, (25, 360, 640)),
        ((96, 96), 1, "16:9", Resizing(parse_frame("1280x720"), (96, 96)), (22, 720, 1280)),
        ((96, 96), 1, "16:9", Resizing(parse_frame("1400x500"), (96, 96)), (30, 500, 1400)),
        ((96, 96), 1, "4:3", Resizing(parse_frame("16:9"), (96, 96), scaled=(640, 360)), (40, 540, 960)),
    ],
)
def test_how_many_frames_are_made(
    monkeypatch: pytest.MonkeyPatch,
    model: tuple[int, int],
    size: int,
    frame: str,
    resizing: Resizing | None,
    count: Any,
) -> None:
    """Their number, height and width: fewer where the model or the frames are large."""
    monkeypatch.setattr(run, "with_objects", lambda *given: [given])
    facts = SimpleNamespace(input=SimpleNamespace(sides=(*model, 3)))
    adapted: Any = SimpleNamespace(
        export=SimpleNamespace(facts=facts), preprocessing=SimpleNamespace(framing=resizing),
        onnx=SimpleNamespace(size=size),
    )  # fmt: skip
    made: list[Any] = list(run.generated(adapted, parse_frame(frame)))
    assert made == [("frame 0", (*count, 3))]


def test_a_secondary_engine_alone_is_not_compared(
    fruit_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _few(monkeypatch)
    bundle = run_convert(fruit_export, tmp_path, role="sgie", resize_mode="squash")
    assert bundle.evidence is not None
    assert bundle.evidence.answers is None


def test_of_two_models_the_first(shapes_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _few(monkeypatch)
    bundle = run_convert(_FOMO, tmp_path, sgie=shapes_export)
    assert bundle.evidence is not None
    assert bundle.evidence.answers is not None
    assert bundle.secondary_evidence is not None
    assert bundle.secondary_evidence.answers is None


def test_some_at_a_time_are_judged_as_each_alone(cropped: Path, fruit_export: Path) -> None:
    """Causes are only looked for on the first that differs."""
    frames = [(f"p{number}", frame) for number, frame in enumerate(_frames(count=20))]
    with judged(config_of(cropped), fruit_export) as found:
        found.explained = 1
        found.together(frames)
    alone = compared(config_of(cropped), fruit_export, *(frame for _, frame in frames)).rows
    assert [(row.name, row.verdict, row.edge_impulse, row.deepstream) for row in found.rows] == [
        (row.name, row.verdict, row.edge_impulse, row.deepstream) for row in alone
    ]
    differing = [row for row in alone if row.verdict is Verdict.DIFFERS]
    assert len(differing) > 1
    assert {row.name: row.causes for row in found.rows if row.causes} == {differing[0].name: differing[0].causes}


def test_an_original_in_onnx(fruit: Path, fruit_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its outputs are the flatbuffer's, so both bundles answer alike."""
    _few(monkeypatch, 20)
    (file,) = fruit.glob("*.onnx")
    labels = ["apple", "banana", "kiwi", "orange", "pear"]
    bundle = run_convert(file, tmp_path / "bundle", resize_mode="squash", image_scaling="none", labels=labels)
    usual = _counted(compared(config_of(fruit), fruit_export, *_frames(960, 540, 20)).rows)
    assert _answers(bundle).generated.pictures == usual["pictures"]
    assert abs(_answers(bundle).generated.differing - usual["differing"]) <= 1


def test_a_graph_that_resizes_frames_itself_leaves_no_difference(
    convert: Callable[..., Path], fruit_export: Path
) -> None:
    """Of the size that it was made for; of another one nvinfer scales, which is what is named."""
    folder = convert(fruit_export, "--resize-mode", "fit-shortest", "--frame", "320x180", "--resize", "graph")
    found = _evidence(folder)["generated"]
    assert found["same"] == found["pictures"] == 40
    large = compared(config_of(folder), fruit_export, *_frames(640, 480, 2), tolerance=1e-4)
    wrong = [row for row in large.rows if row.verdict is not Verdict.SAME]
    assert wrong
    assert {cause.value for row in wrong for cause in row.causes} == {"framing"}
    (reason,) = large.comparison.reasons
    assert reason.hint == "give [streammux] width=320 and height=180"
