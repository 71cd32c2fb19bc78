"""Translating: what comes out, and every way it can fail ends in one clear error."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import (
    ConvertError,
    MissingDependencyError,
    OutputError,
    PresetError,
    TranslationError,
    UnsupportedModelError,
    pip_install,
)
from convert.images import ImageScaling
from convert.isolation import Failed, Worker
from convert.translate import TF2ONNX_WARNED, Translate, Translation
from convert.types import Export, Metadata, ModelFacts, Tensor, Translated
from convert.validate.runtimes import run_tflite
from tests.examples import examples
from tests.graph.flat import Flat, classifier, convolution, dense, flatten, options, softmax
from tests.graph.proof import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Callable


def translate(export: Export, worker: Worker | None, **options: object) -> Translated:
    result = Translate(**options, worker=worker)(export, Path()).artifact  # type: ignore[arg-type]
    assert isinstance(result, Translated)
    return result


def test_nchw_and_batch_one(export: Callable[..., Export], worker: Worker) -> None:
    result = translate(export(classifier(height=6, width=8)), worker)
    assert result.onnx.input == Tensor("serving_default_x:0", (1, 3, 6, 8), "float32")
    assert [tensor.shape for tensor in result.onnx.outputs] == [(1, 3)]
    assert result.onnx.opset == 13
    onnx.checker.check_model(onnx.load_model_from_string(result.onnx.data), full_check=True)


def test_a_large_model_goes_as_a_file_and_the_worker_ends(
    export: Callable[..., Export], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = translate(export(classifier()), None).onnx
    monkeypatch.setattr("convert.translate.LARGE", 0)
    monkeypatch.setattr("convert.isolation.LARGE", 0)
    with Worker() as child:
        result = Translate(worker=child)(export(classifier()), tmp_path).artifact.onnx
        assert child._process is None
        assert not isinstance(result.stored, bytes), "it is kept in a file of its own"
        assert not list(tmp_path.iterdir())
        nodes = [
            [node.op_type for node in onnx.load_model_from_string(each.data).graph.node] for each in (usual, result)
        ]
        assert nodes[0] == nodes[1]
        assert (result.input, result.outputs) == (usual.input, usual.outputs)
        result.stored.close()
        with pytest.raises(OutputError, match=r"^cannot write a temporary file: No such file or directory$") as caught:
            Translate(worker=child)(export(classifier()), tmp_path / "gone")
    assert caught.value.hint == "make room where temporary files go, or set TMPDIR to another folder"
    assert Path(str(caught.value.path)).parent == tmp_path / "gone"


def test_ahead_of_the_stage(export: Callable[..., Export]) -> None:
    model = export(classifier())
    with Worker(("tests.translate.counting",)) as child:
        stage = Translate(worker=child)
        stage.ahead(model)
        result = stage(replace(model, member="also this"), Path()).artifact
        assert result.onnx.input.shape == (1, 3, 8, 8)
        assert result.export.member == "also this"
        assert child.call("tests.translate.counting:count", timeout=60) == 1
        stage(export(classifier(height=6)), Path())
        stage.ahead(model)
        assert stage(export(classifier(height=6)), Path()).artifact.onnx.input.shape == (1, 3, 6, 8)
        assert child.call("tests.translate.counting:count", timeout=60) == 4, "another model is translated"


def test_what_fails_ahead_is_the_stages_error(export: Callable[..., Export]) -> None:
    broken = replace(export(classifier()), model=b"\x1c\0\0\0TFL3" + bytes(40))
    with Worker() as child:
        stage = Translate(worker=child)
        stage.ahead(broken)
        with pytest.raises(TranslationError):
            stage(broken, Path())


def test_a_large_model_and_one_without_a_worker_are_left_to_the_stage(
    export: Callable[..., Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    Translate().ahead(export(classifier()))
    monkeypatch.setattr("convert.translate.LARGE", 0)
    child = Worker()
    Translate(worker=child).ahead(export(classifier()))
    assert child._process is None


def test_starts_a_worker_of_its_own(export: Callable[..., Export]) -> None:
    assert translate(export(classifier()), None).onnx.input.shape == (1, 3, 8, 8)


def test_is_a_value() -> None:
    assert Translate() == Translate(worker=Worker()) == Translate(13, 120.0, False)
    assert Translate(opset=12) != Translate()
    assert Translate().name == "translate"
    assert "worker" not in repr(Translate())


@pytest.mark.parametrize("opset", [0, 10, 19])
def test_opsets_there_are_none_for(opset: int) -> None:
    with pytest.raises(PresetError, match=f"^opset {opset} does not exist here$") as caught:
        Translate(opset=opset)
    assert caught.value.hint == "choose 11 to 18; 13 suits TensorRT 8 to 10"


@pytest.mark.parametrize("opset", [11, 18])
def test_the_oldest_and_the_newest_opset(opset: int) -> None:
    assert Translate(opset=opset).opset == opset


@pytest.mark.parametrize(("timeout", "text"), [(0, "0"), (-1.5, "-1.5"), (float("nan"), "nan")])
def test_time_limits_that_leave_none(timeout: float, text: str) -> None:
    with pytest.raises(PresetError, match=f"^a time limit of {text} s leaves no time$") as caught:
        Translate(timeout=timeout)
    assert caught.value.hint == "give a number above 0"
    assert Translate().timeout == 120


def test_without_tensorflow_says_what_to_install(
    export: Callable[..., Export], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"^TensorFlow is not installed$") as caught:
        translate(export(classifier()), None, tensorflow=True)
    assert caught.value.hint == pip_install("ei-deepstream[tensorflow]")


@pytest.mark.slow
def test_with_tensorflow(
    export: Callable[..., Export], worker: Worker, tensorflow: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, which is here the one that has imported TensorFlow already."""
    monkeypatch.setattr("convert.translate.Worker", lambda: contextlib.nullcontext(tensorflow))
    ours, theirs = (translate(export(classifier()), worker, tensorflow=real) for real in (False, True))
    assert ours.onnx.outputs == theirs.onnx.outputs
    assert tensorflow.call("tests.translate.raw:versions", timeout=10) != "2.0.0"


def damaged_worker() -> Worker:
    return Worker(("tests.translate.crashing",))


def test_a_crash_is_an_error_of_this_model(export: Callable[..., Export]) -> None:
    with damaged_worker() as worker:
        with pytest.raises(TranslationError, match=r"^tf2onnx crashed on this model \(SIGSEGV\)$") as caught:
            translate(export(classifier()), worker)
        hint = "the file is damaged, or holds what tf2onnx cannot read: download the export again"
        assert caught.value.hint == hint
        worker.preload = ()
        assert translate(export(classifier()), worker).onnx.opset == 13, "the next model gets a new process"


def test_a_hang_is_an_error_of_this_model(export: Callable[..., Export]) -> None:
    whole = export(classifier())
    hanging = Export(whole.model + b"hang", "m", "flatbuffer", "m", "", Metadata(), whole.facts)
    start = time.monotonic()
    with (
        damaged_worker() as worker,
        pytest.raises(TranslationError, match=r"^tf2onnx ran longer than 1\.5 s on") as caught,
    ):
        translate(hanging, worker, timeout=1.5)
    assert caught.value.hint == "allow more time with --timeout"
    assert time.monotonic() - start < 30


def network(operator: str, option: object = None) -> bytes:
    """A classifier with `operator`, one tensor in and out, behind its convolution."""
    flat = Flat()
    picture = flat.tensor(1, 8, 8, 3, name="x")
    target = flat.tensor(1, 8, 8, 4)
    flat.operator(operator, [convolution(flat, picture, 4)], [target], option)
    return flat.build([picture], [softmax(flat, dense(flat, flatten(flat, target), 3))])


def unknown() -> bytes:
    """An operator LiteRT runs and tf2onnx does not know."""
    return network("BITCAST", options("Bitcast"))


def test_operators_tf2onnx_does_not_know_are_named(export: Callable[..., Export], worker: Worker) -> None:
    with pytest.raises(TranslationError, match=r"no ONNX for these operators at opset 13: BITCAST \(1x\)") as caught:
        translate(export(unknown()), worker)
    assert "retrain" in str(caught.value.hint)


@pytest.mark.slow
def test_tf2onnx_calls_it_a_success(tensorflow: Worker, tmp_path: Path) -> None:
    """Why the assertions exist: exit code 0 over an operator that ONNX does not have."""
    source, target = tmp_path / "m.tflite", tmp_path / "m.onnx"
    source.write_bytes(unknown())
    said = tensorflow.call("tests.translate.raw:command", str(source), str(target), timeout=200)
    assert "Successfully converted" in said
    with pytest.raises(onnx.checker.ValidationError, match="BITCAST"):
        onnx.checker.check_model(str(target))


def test_a_model_litert_cannot_load_is_refused(export: Callable[..., Export], worker: Worker) -> None:
    """tf2onnx goes on with guessed shapes."""
    flat = Flat()
    picture = flat.tensor(1, 8, 8, 3, name="x")
    target = flat.tensor(1, 8, 8, 4)
    never = options("Conv2D", padding=schema.Padding.SAME, strideH=0, strideW=0)
    flat.operator("CONV_2D", [picture, flat.weights(4, 3, 3, 3), flat.weights(4)], [target], never)
    model = flat.build([picture], [softmax(flat, dense(flat, flatten(flat, target), 3))])
    with pytest.raises(TranslationError, match=r"^LiteRT cannot load this model: .*stride_height") as caught:
        translate(export(model), worker)
    hint = "the file is damaged, or holds an operator LiteRT does not know: download the export again"
    assert caught.value.hint == hint


def test_what_tf2onnx_raises_is_said_in_one_line(export: Callable[..., Export], worker: Worker) -> None:
    with pytest.raises(TranslationError, match=r"^tf2onnx cannot translate this model: \w+Error: .") as caught:
        translate(export(network("CONV_2D")), worker)
    assert "\n" not in str(caught.value)
    assert caught.value.hint == WHOLE_FILE


WHOLE_FILE = "check that the file is whole; if it is, it uses something tf2onnx does not know"


@pytest.mark.parametrize(
    ("opset", "reason", "hint"),
    [
        (11, "Opset 12 required for\n  batch_dims", "leave out --opset, or give --opset 12"),
        (12, "opset 13 is needed", "leave out --opset, or give --opset 13"),
        (12, "Opset 14 is required", WHOLE_FILE),
        (13, "Opset 13 is required", WHOLE_FILE),
        (11, "opset 13", WHOLE_FILE),
    ],
)
def test_a_later_opset_that_tf2onnx_asks_for_is_named(opset: int, reason: str, hint: str, worker: Worker) -> None:
    with pytest.raises(TranslationError) as caught:
        worker.call("tests.translate.raw:raising", reason, classifier(), (1, 8, 8, 3), opset, timeout=60)
    one_line = " ".join(reason.split())
    assert caught.value.message == f"tf2onnx cannot translate this model: ValueError: {one_line}"
    assert caught.value.hint == hint


def test_an_optimiser_that_fails_is_left_out_and_told(worker: Worker) -> None:
    shape = (1, 8, 8, 3)
    result = worker.call("tests.translate.raw:stumbling", classifier(), shape, timeout=60)
    usual = worker.call("convert.translate.worker:translate", classifier(), shape, 1, 13, timeout=60)
    assert (result.warnings, usual.warnings) == (("Failed to apply fold_constants",), ())
    picture = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    one, other = (onnxruntime(each.data, picture)[0] for each in (result, usual))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_warnings_are_told_once_in_one_line(worker: Worker) -> None:
    remarks = [(30, "one\n  remark"), (20, "no warning"), (40, "an error"), (30, "one remark")]
    result, collects, left = worker.call(
        "tests.translate.raw:remarking", classifier(), (1, 8, 8, 3), remarks, timeout=60
    )
    assert result.warnings == ("one remark", "an error")
    assert (collects, left) == (True, 0)


def test_a_process_with_the_stub_cannot_have_tensorflow(worker: Worker) -> None:
    with pytest.raises(Failed, match="this worker already uses the stub for TensorFlow"):
        worker.call("convert.translate.worker:translate", classifier(), (1, 8, 8, 3), 1, 13, True, timeout=60)


def test_remarks_become_notes(export: Callable[..., Export], worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = translate(export(classifier()), worker)
    result = Translation(whole.onnx.data, whole.onnx.input, whole.onnx.outputs, 13, ("one remark",))
    monkeypatch.setattr(Worker, "call", lambda *_, **__: result)
    (finding,) = Translate()(export(classifier()), Path()).findings
    assert finding.id == TF2ONNX_WARNED.id
    assert finding.message == "tf2onnx: one remark"


@pytest.mark.parametrize("name", ["", "x", "a;b:0", "caf\u00e9"])
def test_input_names(name: str, export: Callable[..., Export], worker: Worker) -> None:
    flat = Flat()
    picture = flat.tensor(1, 8, 8, 3, name=name)
    model = flat.build([picture], [softmax(flat, dense(flat, flatten(flat, convolution(flat, picture, 4)), 3))])
    assert translate(export(model), worker).onnx.input.shape == (1, 3, 8, 8)


def test_tensors_with_the_same_name(export: Callable[..., Export], worker: Worker) -> None:
    flat = Flat()
    picture = flat.tensor(1, 8, 8, 3, name="same")
    model_output = softmax(flat, dense(flat, flatten(flat, convolution(flat, picture, 4)), 3))
    unnamed = Flat(tensors=flat.tensors, buffers=flat.buffers, operators=flat.operators, codes=flat.codes)
    good = flat.build([picture], [model_output])
    for tensor in unnamed.tensors:
        tensor.name = "same"
    bad = unnamed.build([picture], [model_output])
    values = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    one, other = (onnxruntime(translate(export(model), worker).onnx.data, values)[0] for model in (good, bad))
    assert one.tobytes() == other.tobytes()


def test_square_pictures_of_three(export: Callable[..., Export], worker: Worker) -> None:
    """[1,3,3,3]: the shape does not tell NCHW from NHWC."""
    result = translate(export(classifier(height=3, width=3)), worker)
    model = onnx.load_model_from_string(result.onnx.data)
    assert result.onnx.input.shape == (1, 3, 3, 3)
    (convolved,) = (node for node in model.graph.node if model.graph.input[0].name in node.input)
    assert convolved.op_type == "Conv"


@pytest.mark.parametrize(
    ("height", "message"), [(3, "tf2onnx left the input NHWC$"), (5, "the translated input is .* instead of NCHW")]
)
def test_an_input_that_was_not_turned_is_noticed(height: int, message: str) -> None:
    with Worker() as worker, pytest.raises(TranslationError, match=f"^{message}") as caught:
        worker.call("tests.translate.raw:forgetful", classifier(height=height, width=3), (1, height, 3, 3), timeout=60)
    assert caught.value.hint == "this is a fault of the translation, not of the model: please report it"


def test_what_cannot_be_converted_is_not_tried(export: Callable[..., Export]) -> None:
    whole = export(classifier())
    grey = replace(whole, facts=replace(whole.facts, quantization="int8"))
    with pytest.raises(UnsupportedModelError, match="int8"):
        translate(grey, None)


def test_an_open_batch_is_one(export: Callable[..., Export], worker: Worker) -> None:
    flat = Flat()
    picture = flat.tensor(1, 8, 8, 3, name="x")
    output = softmax(flat, dense(flat, flatten(flat, convolution(flat, picture, 4)), 3))
    for index in (picture, output):
        flat.tensors[index].shapeSignature = [-1, *flat.tensors[index].shape[1:]]
    assert translate(export(flat.build([picture], [output])), worker).onnx.input.shape == (1, 3, 8, 8)


WHOLE = classifier()
FACTS = ModelFacts(
    Tensor("x", (1, 8, 8, 3), "float32"), (Tensor("y", (1, 3), "float32"),), ("CONV_2D",), "float32", "classifier"
)


@examples(60)
@given(flips=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_never_escape(flips: list[tuple[int, int]], worker: Worker) -> None:
    """Whatever the verifier in `export` would let through: a translation, or one error with a hint."""
    damaged = bytearray(WHOLE)
    for place, bit in flips:
        damaged[place] ^= 1 << bit
    try:
        translate(Export(bytes(damaged), "m", "flatbuffer", "m", "", Metadata(), FACTS), worker, timeout=20.0)
    except ConvertError as error:
        refused = error
    else:
        return
    assert refused.hint
    assert "\n" not in refused.message


def test_an_input_with_the_channels_first_stays_so(export: Callable[..., Export], worker: Worker) -> None:
    """PyTorch's own converter turns the picture where a convolution needs it."""
    flat = Flat()
    picture, turned = flat.tensor(1, 3, 8, 10, name="x"), flat.tensor(1, 8, 10, 3)
    perm = flat.constant(np.array([0, 2, 3, 1], np.int32))
    flat.operator("TRANSPOSE", [picture, perm], [turned], options("Transpose"))
    features = flatten(flat, convolution(flat, turned, 4, stride=2))
    model = flat.build([picture], [softmax(flat, dense(flat, features, 3))])
    given = export(model)
    assert given.facts.input.shape == (1, 8, 10, 3)
    result = translate(given, worker).onnx
    assert result.input.shape == (1, 3, 8, 10)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 8, 10, 3), np.uint8)
    (wanted,) = run_tflite(model, pictures, ImageScaling.NONE)
    values = (pictures.transpose(0, 3, 1, 2) / 255).astype(np.float32)
    found = np.concatenate([onnxruntime(result.data, value[np.newaxis])[0] for value in values])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
    assert np.ptp(wanted, axis=0).max() > 0.01
