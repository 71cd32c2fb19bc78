"""Configs and models that run, and those that are refused: for the reason `check` gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from convert.check.loading import check_target
from convert.check.run import Checker
from convert.errors import ConvertError, InputError, UnsupportedModelError
from convert.simulate.engine import Source, load, read_context, settings_of
from tests.simulate.engines import classifier, detector

if TYPE_CHECKING:
    from pathlib import Path

HERE = check_target("deepstream-9.1", "dgpu")


def _set(config: Path, key: str, value: str | None) -> Path:
    """Replace or add a key of [property]; None takes it out."""
    lines = [line for line in config.read_text().splitlines() if not line.startswith(f"{key}=")]
    if value is not None:
        lines.insert(1, f"{key}={value}")
    config.write_text("\n".join(lines) + "\n")
    return config


def _refused(config: Path) -> ConvertError:
    with pytest.raises(ConvertError) as caught:
        load(Source(config), HERE)
    return caught.value


def test_what_is_told_of_an_engine(tmp_path: Path) -> None:
    loaded = load(Source(classifier(tmp_path, batch_size=3, scaling_filter=4)), HERE)
    engine = loaded.engine
    assert (engine.network.channels, engine.network.height, engine.network.width) == (3, 16, 16)
    assert engine.settings.labels == (("red", "green", "blue"),)
    assert engine.model == tmp_path / "colour.onnx"
    assert engine.approximated[0].startswith("scaling-filter=4: ")
    assert (loaded.batch, loaded.fixed, loaded.outputs) == (3, False, ("y",))
    (note,) = loaded.check_findings
    assert (note.id, note.level) == ("EI706", "note")
    assert "NVI023" in note.message


class TestRefused:
    """Where nvinfer does not start, nothing is simulated, and `check` says the same."""

    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("net-scale-factor", "1/255"),
            ("net-scale-factor", "0.5 "),
            ("batch-size", "0"),
            ("process-mode", "3"),
            ("network-type", "7"),
            ("infer-dims", "3;96"),
            ("operate-on-class-ids", "-1"),
            ("gie-unique-id", None),
            ("model-color-format", "2"),
            ("offsets", "1;2"),
            ("mean-file", "no.ppm"),
            ("infer-dims", "3;96;96"),
            ("labelfile-path", "no.txt"),
        ],
    )
    def test_for_the_reason_check_gives(self, tmp_path: Path, key: str, value: str | None) -> None:
        config = _set(classifier(tmp_path), key, value)
        error = _refused(config)
        assert isinstance(error, InputError)
        (checked,) = Checker(HERE)([str(config)]).files
        if value and value.startswith("no."):  # in words of its own; check has one finding for all that is not here
            (absent,) = [finding for finding in checked.findings if finding.id == "NVI024"]
            assert value in absent.message
            return
        if value is None:  # an app, which is not here, may give it
            assert (error.message, checked.findings[0].id) == (
                f"nvinfer refuses this config: {key} is not set",
                "NVI020",
            )
            return
        errors = [finding for finding in checked.findings if finding.level == "error"]
        assert any(finding.message in error.message and finding.line == error.line for finding in errors), (
            error.message, errors
        )  # fmt: skip

    @pytest.mark.parametrize("text", ["", "hello", "[property", "[class-attrs-all]\n", "\ufeff[property]\n"])
    def test_what_is_no_config(self, tmp_path: Path, text: str) -> None:
        config = tmp_path / "config.txt"
        config.write_text(text)
        error = _refused(config)
        assert error.message.startswith("nvinfer refuses this config (NVI001)")
        assert error.path == str(config)

    def test_no_such_file(self, tmp_path: Path) -> None:
        assert "cannot be read" in _refused(tmp_path / "no.txt").message

    def test_a_library_of_its_own(self, tmp_path: Path) -> None:
        config = _set(detector(tmp_path), "custom-lib-path", str(tmp_path / "libmine.so"))
        _set(config, "parse-bbox-func-name", "ParseMine")
        error = _refused(config)
        assert isinstance(error, UnsupportedModelError)
        assert "ParseMine of libmine.so" in error.message

    def test_segmentation_is_refused_by_name(self, tmp_path: Path) -> None:
        from convert.simulate.decode import decode
        from convert.simulate.parsers import Layer

        case = read_context(Source(_set(detector(tmp_path), "network-type", "2")), HERE)
        layer = Layer.of("y", np.zeros((1, 2, 2, 2), np.float32))
        loaded = load(Source(detector(tmp_path)), HERE)
        with pytest.raises(UnsupportedModelError, match=r"^network-type=2 \(segmentation\) is not simulated"):
            decode(settings_of(case), loaded.engine.network, [layer])


class TestModel:
    @pytest.mark.parametrize(
        ("key", "value", "says"),
        [
            (
                "onnx-file", None,
                ("the config names no model: there is no ONNX file to run | "
                "write onnx-file=, or decode recorded outputs with --tensors"),
            ),
            ("onnx-file", "", "onnx-file: '' is empty"),
            ("onnx-file", "no.onnx", "onnx-file: 'no.onnx' is not there | nvinfer looks for /"),
            (
                "onnx-file", "/opt/nvidia/deepstream/deepstream/samples/no.onnx",
                ("onnx-file: '/opt/nvidia/deepstream/deepstream/samples/no.onnx' is a model of the DeepStream SDK and "
                "is not on this machine | copy it here and write its path into a copy of the config"),
            ),
        ],
    )  # fmt: skip
    def test_missing(self, tmp_path: Path, key: str, value: str | None, says: str) -> None:
        error = _refused(_set(classifier(tmp_path), key, value))
        assert f"{error.message} | {error.hint}".startswith(says)
        assert error.hint

    def test_an_engine_alone(self, tmp_path: Path) -> None:
        config = _set(classifier(tmp_path), "onnx-file", None)
        error = _refused(_set(config, "model-engine-file", "a.engine"))
        assert error.message.startswith("the config names only a TensorRT engine, which runs on its own GPU: there is")

    @pytest.mark.parametrize("data", [b"", b"hello", b"\x08\x08", bytes(1000)])
    def test_damaged(self, tmp_path: Path, data: bytes) -> None:
        config = classifier(tmp_path)
        (tmp_path / "colour.onnx").write_bytes(data)
        error = _refused(config)
        assert isinstance(error, InputError)
        assert str(error.path).endswith("colour.onnx")
        said = "the model is an empty file" if not data else "not an ONNX model: "
        assert error.message.startswith(said)
        assert error.hint == ("export or copy the model again" if data else "name an .onnx file")

    def test_an_operator_that_does_not_exist(self, tmp_path: Path) -> None:
        config = classifier(tmp_path)
        values = [helper.make_tensor_value_info(*each) for each in (
            ("x", TensorProto.FLOAT, ["N", 3, 16, 16]), ("y", TensorProto.FLOAT, ["N", 3])
        )]  # fmt: skip
        _write(tmp_path, helper.make_graph([helper.make_node("Nonsense", ["x"], ["y"])], "g", values[:1], values[1:]))
        assert _refused(config).hint == "ONNX Runtime stands in TensorRT's place here; it needs a valid ONNX model"

    def test_cut_off(self, tmp_path: Path) -> None:
        config = detector(tmp_path)
        data = (tmp_path / "cells.onnx").read_bytes()
        for size in range(0, len(data), 37):
            (tmp_path / "cells.onnx").write_bytes(data[:size])
            assert isinstance(_refused(config), InputError), size

    def test_an_input_of_bytes(self, tmp_path: Path) -> None:
        config = classifier(tmp_path)
        _save(tmp_path, [("x", TensorProto.UINT8, ["N", 3, 16, 16])])
        error = _refused(config)
        assert error.message == (
            "the model's input is uint8: nvinfer writes float32 numbers into it whatever it is, and the model sees "
            "noise"
        )
        assert error.hint == "use a model whose input is float32; ei-deepstream convert makes one"

    def test_two_inputs(self, tmp_path: Path) -> None:
        config = classifier(tmp_path)
        shape = ["N", 3, 16, 16]
        _save(tmp_path, [("x", TensorProto.FLOAT, shape), ("more", TensorProto.FLOAT, shape)])
        error = _refused(config)
        assert error.message == (
            "nvinfer refuses this config: the model has more than one input, and no library to fill the others"
        )
        assert error.hint == "ei-deepstream check says more"

    def test_a_flat_input(self, tmp_path: Path) -> None:
        config = classifier(tmp_path)
        _save(tmp_path, [("x", TensorProto.FLOAT, ["N", 768])])
        assert "nvinfer needs [N, channels, height, width]" in _refused(config).message

    def test_an_open_size_needs_infer_dims(self, tmp_path: Path) -> None:
        config = classifier(tmp_path)
        _save(tmp_path, [("x", TensorProto.FLOAT, ["N", 3, "H", "W"])])
        assert "has no infer-dims" in _refused(config).message
        network = load(Source(_set(config, "infer-dims", "3;20;30")), HERE).engine.network
        assert (network.channels, network.height, network.width) == (3, 20, 30)

    def test_channels_last(self, tmp_path: Path) -> None:
        config = _set(_set(classifier(tmp_path), "network-input-order", "1"), "infer-dims", "3;20;30")
        _save(tmp_path, [("x", TensorProto.FLOAT, ["N", 20, 30, 3])], axes=(1, 2))
        loaded = load(Source(config), HERE)
        assert loaded.prepare.shape == (20, 30, 3)
        values = loaded.prepare(np.full((8, 8, 3), (255, 0, 51), np.uint8))[0][None]
        np.testing.assert_allclose(loaded.infer(values)[0].array, [[1, 0, 0.2]], atol=1e-5)

    def test_weights_beside_the_model(self, tmp_path: Path) -> None:
        config = detector(tmp_path)
        model = onnx.load(tmp_path / "cells.onnx")
        onnx.save(model, tmp_path / "cells.onnx", save_as_external_data=True, location="weights", size_threshold=1)
        loaded = load(Source(config), HERE)
        assert [layer.array.shape for layer in loaded.infer(np.zeros((2, 3, 32, 32), np.float32))] == [
            (2, 3, 2, 2), (2, 12, 2, 2)
        ]  # fmt: skip
        (tmp_path / "weights").unlink()
        error = _refused(config)
        assert error.message == "the model's weights are in files that are not there: weights"
        assert error.hint == "copy them beside the model"


class TestInfer:
    def test_a_fixed_batch_is_filled_up(self, tmp_path: Path) -> None:
        loaded = load(Source(classifier(tmp_path, batch=4, batch_size=4)), HERE)
        assert (loaded.batch, loaded.fixed) == (4, True)
        values = np.random.default_rng(0).random((3, 3, 16, 16), np.float32)
        (layer,) = loaded.infer(values)
        np.testing.assert_allclose(layer.array, values.mean((2, 3)), rtol=1e-5)

    def test_an_output_that_keeps_batch_1(self, tmp_path: Path) -> None:
        config = classifier(tmp_path, batch_size=2)
        _save(tmp_path, [("x", TensorProto.FLOAT, ["N", 3, 16, 16])], axes=(0, 2, 3))
        loaded = load(Source(config), HERE)
        loaded.infer(np.zeros((1, 3, 16, 16), np.float32))
        with pytest.raises(InputError, match=r"^output 'y' has the shape .* first dimension is not the bat") as caught:
            loaded.infer(np.zeros((2, 3, 16, 16), np.float32))
        assert str(caught.value.hint).startswith("set batch-size=1, or make the output depend on the input's batch")

    def test_a_model_that_fails(self, tmp_path: Path) -> None:
        """A batch baked in, behind an input that says it is open."""
        config = classifier(tmp_path, batch_size=2)
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 16, 16])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
        nodes = [
            helper.make_node("Reshape", ["x", "shape"], ["flat"]),
            helper.make_node("ReduceMean", ["flat"], ["y"], axes=[2], keepdims=0),
        ]
        shape = numpy_helper.from_array(np.array([1, 3, 256]), "shape")
        _write(tmp_path, helper.make_graph(nodes, "g", [x], [y], [shape]))
        loaded = load(Source(config), HERE)
        with pytest.raises(InputError, match=r"^ONNX Runtime fails on a batch of 2: ") as caught:
            loaded.infer(np.zeros((2, 3, 16, 16), np.float32))
        assert str(caught.value.hint).startswith("infer-dims, batch-size and the model's own shapes must agree")


def test_apps_settings_win(tmp_path: Path) -> None:
    from convert.check.context import Place, Setting

    settings = {"gie-unique-id": Setting(8, Place("app.txt")), "batch-size": Setting(5, Place("app.txt"))}
    loaded = load(Source(classifier(tmp_path), settings), HERE)
    assert (loaded.engine.settings.unique_id, loaded.batch) == (8, 5)


def _save(folder: Path, inputs: list[tuple[str, int, list[Any]]], axes: tuple[int, ...] = (2, 3)) -> None:
    """The mean of the first input over `axes`, which stay with 1 where the batch is among them; as colour.onnx."""
    name, _, shape = inputs[0]
    values = [helper.make_tensor_value_info(*one) for one in inputs]
    cast = helper.make_node("Cast", [name], ["f"], to=TensorProto.FLOAT)
    keep = int(0 in axes)
    last = helper.make_node("ReduceMean", ["f"], ["y"], axes=axes, keepdims=keep)
    dims: list[Any] = [1, 3, 1, 1] if keep else ["N", 3]
    if len(shape) == 2:
        last, dims = helper.make_node("Identity", ["f"], ["y"]), shape
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, dims)
    _write(folder, helper.make_graph([cast, last], "g", values, [output]))


def _write(folder: Path, graph: onnx.GraphProto) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "colour.onnx")


def test_recorded_configs_are_refused_where_nvinfer_refuses_them(vectors: Path) -> None:
    """All of ../shared/vectors/config: a refusal says so; what is accepted lacks a model, or is not simulated."""
    expected = json.loads((vectors / "config" / "expected.json").read_bytes())
    assert len(expected) > 100
    for name, answer in expected.items():
        error = _refused(vectors / "config" / name)
        refused = error.message.startswith("nvinfer refuses this config")
        if answer["verdict"] == "accepted":
            assert not refused, (name, error.message)
        else:
            assert refused, (name, error.message)
