"""The files nvinfer writes with raw-output-file-write, and the model that says what is in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import parser

from convert.errors import InputError
from convert.images.scaling import Network, place
from convert.simulate.engine import network_of
from convert.simulate.replay import Layout, TensorSpec, dump_name, layout_of, read_dump, read_recordings, replay
from convert.simulate.settings import ClassSettings, ClusterMode, NetworkType, Settings
from tests.simulate.vectors import document

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(NetworkType.CLASSIFIER, unique_id=2, labels=(("fox", "owl"),))
LAYOUT = Layout(Network(3, 96, 96), (TensorSpec("out/softmax", "float32", (2,)), TensorSpec("count", "int32", ())))

TWICE = re.escape(
    "was written twice with different sizes, or with no or too many frames | clear the folder and record again"
)


def _dump(folder: Path, batch: int, rows: list[list[float]], *, uid: int = 2) -> None:
    frames = len(rows)
    for name, numbers in (
        ("x_input", np.zeros((frames, 3, 96, 96), np.float32)),
        ("out/softmax", np.array(rows, np.float32)),
        ("count", np.arange(frames, dtype=np.int32)),
    ):
        (folder / dump_name(uid, name, batch, frames)).write_bytes(numbers.tobytes())


def test_names_are_nvinfers() -> None:
    assert dump_name(3, "a/b", 12, 4) == "gstnvdsinfer_uid-03_layer-a_b_batch-0000000012_batchsize-04.bin"
    assert dump_name(4294967295, "y", 0, 16).startswith(
        "gstnvdsinfer_uid-4294967295_layer-y_batch-0000000000_batchsize-16"
    )
    assert len(dump_name(1, "é" * 300, 0, 1).encode("utf-8", "surrogateescape")) == 255


def test_every_batch_is_decoded_in_order(tmp_path: Path) -> None:
    _dump(tmp_path, 1, [[0.1, 0.9]])
    _dump(tmp_path, 0, [[0.75, 0.25], [0.0, 0.0]])
    _dump(tmp_path, 7, [[0.0, 1.0]], uid=1)
    (tmp_path / "notes.txt").write_text("not a tensor")
    recordings = read_recordings(tmp_path, SETTINGS, LAYOUT)
    assert [one.name for one in recordings] == [f"{tmp_path.name}-0", f"{tmp_path.name}-1"]
    first, second = (document(replay(SETTINGS, one))["frames"] for one in recordings)
    assert [frame["label"] for frame in first] == ["fox ", ""]
    assert [frame["label"] for frame in second] == ["owl "]


def test_a_case_beside_the_files_says_what_is_in_them(tmp_path: Path) -> None:
    _dump(tmp_path, 0, [[0.25, 0.75]])
    (tmp_path / "case.json").write_text(
        '{"network": {"channels": 3, "height": 96, "width": 96},'
        ' "outputs": [{"name": "out/softmax", "dtype": "float32", "dims": [2]}]}'
    )
    (recording,) = read_recordings(tmp_path, SETTINGS)
    assert [layer.name for layer in recording.layers] == ["out/softmax"]


def test_the_frames_size_can_be_given(tmp_path: Path) -> None:
    """nvinfer does not write it."""
    (tmp_path / dump_name(1, "cov", 0, 1)).write_bytes(np.float32(0.9).tobytes())
    (tmp_path / dump_name(1, "bbox", 0, 1)).write_bytes(np.full(4, 0.25, np.float32).tobytes())
    layout = Layout(
        Network(3, 96, 96), (TensorSpec("cov", "float32", (1, 1, 1)), TensorSpec("bbox", "float32", (4, 1, 1)))
    )
    settings = Settings(NetworkType.DETECTOR, classes=(ClassSettings(0.5),), cluster_mode=ClusterMode.NONE)
    (recording,) = read_recordings(tmp_path, settings, layout)
    view = place(1920, 960, layout.network).view
    ((plain,),) = replay(settings, recording).metadata
    ((scaled,),) = replay(settings, recording, view=view).metadata
    assert (plain.width, plain.height) == (9.25, 9.25)
    assert (scaled.width, scaled.height) == (185, 92.5)


def test_without_a_model_nothing_is_known_of_them(tmp_path: Path) -> None:
    _dump(tmp_path, 0, [[0.25, 0.75]])
    with pytest.raises(InputError, match=r"^the dumped tensors say nothing of their dimensions$") as caught:
        read_dump(tmp_path, 2)
    assert str(caught.value.hint).startswith("keep the config's onnx-file beside it, or write a case.json with network")


def test_another_engines_files(tmp_path: Path) -> None:
    _dump(tmp_path, 0, [[0.25, 0.75]], uid=7)
    _dump(tmp_path, 1, [[0.25, 0.75]], uid=11)
    with pytest.raises(InputError, match=r"^there are no recorded tensors of engine 2 here, only of 7, 11$") as caught:
        read_dump(tmp_path, 2, LAYOUT)
    assert str(caught.value.hint).startswith("a recording is case.json with tensors.npz, or the .bin files that nvinf")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (
            lambda folder: (folder / dump_name(2, "count", 0, 2)).unlink(),
            r"output 'count' of batch 0 cannot be read: .* \| all outputs of a batch must be there; the model must",
        ),
        (
            lambda folder: (folder / dump_name(2, "count", 0, 2)).write_bytes(b""),
            r"the file has 0 bytes, and 2 .* \[\] have 8 \| the model must be the one that was recorded, ",
        ),
        (lambda folder: (folder / dump_name(2, "count", 0, 2)).write_bytes(bytes(16)), "the file has 16 bytes, and 2 "),
        (lambda folder: _dump(folder, 0, [[1.0, 0.0]]), f"batch 0 {TWICE}"),
        (lambda folder: (folder / dump_name(2, "y", 3, 0)).touch(), f"batch 3 {TWICE}"),
        (lambda folder: (folder / dump_name(2, "y", 3, 1025)).touch(), f"batch 3 {TWICE}"),
        (lambda folder: (folder / dump_name(2, "y", 3, 1024)).touch(), "output 'out/softmax' of batch 3 cannot"),
    ],
    ids=["missing", "empty", "long", "twice", "no-frames", "many-frames", "most-frames"],
)  # fmt: skip
def test_damage(tmp_path: Path, damage: object, says: str) -> None:
    _dump(tmp_path, 0, [[0.25, 0.75], [0.5, 0.5]])
    damage(tmp_path)  # type: ignore[operator]
    with pytest.raises(InputError) as caught:
        read_dump(tmp_path, 2, LAYOUT)
    assert re.match(says, f"{caught.value.message} | {caught.value.hint}")


def test_two_outputs_in_one_file(tmp_path: Path) -> None:
    _dump(tmp_path, 0, [[0.25, 0.75]])
    layout = Layout(
        LAYOUT.network, (TensorSpec("out/softmax", "float32", (2,)), TensorSpec("out_softmax", "float32", (2,)))
    )
    said = r"^outputs 'out/softmax' and 'out_softmax' are dumped to the same file$"
    with pytest.raises(InputError, match=said) as caught:
        read_dump(tmp_path, 2, layout)
    assert caught.value.hint == "nvinfer turns / into _ and cuts long names; rename one in the model"


class TestModel:
    def _save(self, tmp_path: Path, text: str) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(parser.parse_model(f'<ir_version: 8, opset_import: ["" : 13]> {text}').SerializeToString())
        return path

    def test_input_and_outputs(self, tmp_path: Path) -> None:
        path = self._save(
            tmp_path,
            "g (float[N,3,48,64] x, float[1] w) => (float[N,3,48,64] y, int64[N] n) <float[1] w = {1}> "
            "{ y = Mul(x, w) }",
        )
        assert layout_of(path, SETTINGS) == Layout(
            Network(3, 48, 64), (TensorSpec("y", "float32", (3, 48, 64)), TensorSpec("n", "int64", ()))
        )

    def test_infer_dims_go_first(self, tmp_path: Path) -> None:
        path = self._save(tmp_path, "g (float[N,H,W,3] x) => (float[N,2] y) { y = Identity(x) }")
        said = r"^the model leaves the size of its input open, and the config has no infer-dims$"
        with pytest.raises(InputError, match=said) as caught:
            layout_of(path, SETTINGS)
        assert caught.value.hint == "add infer-dims=channels;height;width"
        configured = Settings(NetworkType.CLASSIFIER, infer_dims=(3, 20, 30))
        assert layout_of(path, configured).network == Network(3, 20, 30)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (
                "g (float[N,9216] x) => (float[N,2] y) { y = Identity(x) }",
                (
                    "the model's input has the shape [9216] behind the batch, and nvinfer takes pictures with three | "
                    "reshape inside the model; ei-deepstream convert does"
                ),
            ),
            (
                "g (float[N,3,4,4] x, float[N] z) => (float[N,2] y) { y = Identity(x) }",
                "the model has 2 inputs and 1 outputs | nvinfer takes models with one input and at least one output",
            ),
            ("g (float[N,3,4,4] x) => (float[N,M] y) { y = Identity(x) }", "output 'y' of the model has no fixed size"),
            (
                "g (float[N,3,4,4] x) => (double[N,2] y) { y = Identity(x) }",
                (
                    "output 'y' of the model has no fixed size behind the batch, or a type TensorRT does not have | "
                    "write a case.json with network and outputs beside the tensors"
                ),
            ),
        ],
    )
    def test_what_cannot_be_dumped(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(InputError) as caught:
            layout_of(self._save(tmp_path, text), SETTINGS)
        assert f"{caught.value.message} | {caught.value.hint}".startswith(says)

    def test_no_model(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be read: No such file"):
            layout_of(tmp_path / "model.onnx", SETTINGS)
        (tmp_path / "model.onnx").write_bytes(b"\xff\xff no protobuf")
        with pytest.raises(InputError, match=r"^not an ONNX model"):
            layout_of(tmp_path / "model.onnx", SETTINGS)

    def test_an_empty_picture(self) -> None:
        with pytest.raises(InputError, match="leaves the size of its input open"):
            network_of(SETTINGS, (3, 0, 4))
