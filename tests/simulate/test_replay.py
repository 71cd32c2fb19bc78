"""Recorded tensors to a JSON document: what is in it, and how damaged recordings are refused."""

from __future__ import annotations

import io
import json
import math
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.images.read import Picture
from convert.images.scaling import Rect, View
from convert.nvinfer.targets import target
from convert.report import dumps
from convert.simulate.engine import Source
from convert.simulate.job import Job
from convert.simulate.replay import read_case, read_layout, read_recordings, replay, replayed
from convert.simulate.settings import ClassSettings, ClusterMode, NetworkType, Settings
from tests.examples import examples
from tests.simulate.vectors import document as as_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLASSIFIER = Settings(NetworkType.CLASSIFIER, labels=(("fox", "owl"),))
CASE: dict[str, Any] = {
    "network": {"channels": 3, "height": 64, "width": 80},
    "frames": 2,
    "outputs": [{"name": "y", "array": "out0", "dtype": "float32", "dims": [2]}],
}
SOURCE = {"width": 1, "height": 1, "scale_ratio_x": 0.5, "scale_ratio_y": 2, "offset_left": 0, "offset_top": 0}
OBJECT = "something in it is not the object it should be$"
ARRAY = np.array([[0.25, 0.75], [np.nan, 0]], np.float32)


def _npz(**arrays: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type, unused-ignore]
    return file.getvalue()


@pytest.fixture
def record(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recording; `case` and `tensors` go in as they are."""

    def write(case: Any = CASE, tensors: bytes | None = None) -> Path:
        text = case if isinstance(case, bytes) else json.dumps(case).encode()
        (tmp_path / "case.json").write_bytes(text)
        (tmp_path / "tensors.npz").write_bytes(_npz(out0=ARRAY) if tensors is None else tensors)
        return tmp_path

    return write


def _document(folder: Path, configured: Settings, *, why: bool = False) -> dict[str, Any]:
    (recording,) = read_recordings(folder, configured)
    document: dict[str, Any] = json.loads(dumps(as_document(replay(configured, recording, why=why))))
    return document


class TestDocument:
    def test_a_classifier(self, record: Callable[..., Path]) -> None:
        assert _document(record(), CLASSIFIER, why=True) == {
            "status": "NVDSINFER_SUCCESS",
            "output parser failed": False,
            "messages": [],
            "frames": [
                {
                    "label": "owl ",
                    "metadata attached": True,
                    "attributes": [{"attribute": 0, "class": 1, "confidence": 0.75, "label": "owl"}],
                },
                {
                    "label": "",
                    "metadata attached": False,
                    "attributes": [],
                    "dropped": [
                        {
                            "key": "classifier-threshold",
                            "why": "probability 0 is not above classifier-threshold=0",
                            "class": 1,
                            "confidence": 0,
                            "left": 0,
                            "top": 0,
                            "width": 0,
                            "height": 0,
                        }
                    ],
                },
            ],
        }

    def _ssd(self, record: Callable[..., Path], **more: Any) -> Path:
        names = {"boxes": [1, 4], "scores": [1], "classes": [1]}
        outputs = [
            {"name": f"detection_{name}", "array": name, "dtype": "float32", "dims": dims}
            for name, dims in names.items()
        ]
        box = np.array([[[0, 0.1, 0.5, 0.6]]], np.float32)
        one = np.zeros((1, 1), np.float32)
        tensors = _npz(boxes=box, scores=one + np.float32(np.inf), classes=one)
        return record({**CASE, "frames": 1, "outputs": outputs, **more}, tensors)

    def _settings(self, **more: Any) -> Settings:
        one = ClassSettings(0.5)
        return Settings(
            NetworkType.DETECTOR,
            **{"classes": (one,), "cluster_mode": ClusterMode.NONE, "parser": "NvDsInferParseCustomTfSSD", **more},
        )

    def test_a_detector(self, record: Callable[..., Path]) -> None:
        source = {"width": 160, "height": 64, "scale_ratio_x": 0.5, "scale_ratio_y": 1.0}
        case = {"source frame": {**source, "offset_left": 4, "offset_top": 0}}
        document = _document(self._ssd(record, **case), self._settings())
        found = {"class": 0, "label": None, "left": 8, "top": 0, "width": 40, "height": 32, "confidence": "inf"}
        assert document["cluster-mode in use"] == 4
        assert document["frames"] == [
            {"objects": [found], "metadata": [{**found, "label": "", "left": 8, "width": 80}]}
        ]

    def test_the_recorded_frame_goes_before_one_that_is_given(self, record: Callable[..., Path]) -> None:
        source = {"width": 160, "height": 64, "scale_ratio_x": 0.5, "scale_ratio_y": 1.0}
        folder = self._ssd(record, **{"source frame": {**source, "offset_left": 0, "offset_top": 0}})
        (recording,) = read_recordings(folder, self._settings())
        ((one,),) = replay(self._settings(), recording, view=View(80, 64)).metadata
        assert one.width == 80

    def test_without_a_source_frame_metadata_is_in_network_pixels(self, record: Callable[..., Path]) -> None:
        (frame,) = _document(self._ssd(record), self._settings())["frames"]
        assert [one["left"] for one in frame["metadata"]] == [8]

    def test_the_parent_counts_only_for_an_engine_that_looks_at_objects(self, record: Callable[..., Path]) -> None:
        case = {"parent object": {"left": 100, "top": 50.5, "width": 9, "height": 9}}
        folder = self._ssd(record, **case)
        (on_frames,) = _document(folder, self._settings())["frames"]
        (on_objects,) = _document(folder, self._settings(on_objects=True))["frames"]
        assert on_frames["metadata"][0]["left"] == 8
        assert (on_objects["metadata"][0]["left"], on_objects["metadata"][0]["top"]) == (108, 50.5)

    def test_why(self, record: Callable[..., Path]) -> None:
        configured = self._settings(filter_out_class_ids=frozenset({0}))
        (frame,) = _document(self._ssd(record), configured, why=True)["frames"]
        assert frame["metadata"] == []
        assert frame["dropped"] == []
        assert [one["key"] for one in frame["dropped from metadata"]] == ["filter-out-class-ids"]

    def test_a_parser_that_fails(self, record: Callable[..., Path]) -> None:
        document = _document(record(), self._settings(parser=""))
        assert document["output parser failed"]
        assert document["messages"] == ["Could not find output coverage layer for parsing objects"]
        assert document["frames"] == [{"objects": [], "metadata": []}] * 2

    def test_labels_that_are_not_utf8(self, record: Callable[..., Path]) -> None:
        configured = Settings(NetworkType.CLASSIFIER, labels=(("fox", b"\xe9".decode("utf-8", "surrogateescape")),))
        frame = _document(record(), configured)["frames"][0]
        assert frame["label"] == "\ufffd "


class TestDamage:
    def test_the_smallest_frame_that_is_one(self, record: Callable[..., Path]) -> None:
        parent = {"left": 1.5, "top": -2, "width": 3, "height": 0}
        found = read_case(record({**CASE, "source frame": SOURCE, "parent object": parent}))
        assert (found.view, found.parent) == (View(1, 1, 0.5, 2, 0, 0), Rect(1.5, -2, 3, 0))

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"^there are no recorded tensors of engine 1"):
            read_recordings(tmp_path, CLASSIFIER)

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"^the folder cannot be read: No such file or directory$"):
            read_recordings(tmp_path / "none", CLASSIFIER)

    def test_no_case(self, record: Callable[..., Path]) -> None:
        folder = record()
        (folder / "case.json").unlink()
        with pytest.raises(InputError, match=r"^the recording cannot be read: No such file or directory$") as caught:
            read_case(folder)
        assert caught.value.hint == "a recording has case.json and tensors.npz"

    @pytest.mark.parametrize(
        ("case", "says"),
        [
            (b"", "it is not JSON"),
            (b"\xff\xfe", "it is not JSON"),
            (b"[" * 100_000, "it is not JSON"),
            (b" " * (2**20 + 1), "it has more than 1,048,576 bytes"),
            (b"[]", OBJECT),
            (b"{}", 'it has no list "outputs"$'),
            ({**CASE, "outputs": []}, 'it has no list "outputs"'),
            ({**CASE, "outputs": [3]}, OBJECT),
            ({**CASE, "network": 3}, OBJECT),
            ({**CASE, "network": {"channels": 3, "height": 64}}, "'width' is None"),
            ({**CASE, "network": {"channels": 3, "height": 64, "width": 0}}, "'width' is 0"),
            ({**CASE, "network": {"channels": 3, "height": 64, "width": True}}, "'width' is True"),
            ({**CASE, "frames": "2"}, "'frames' is '2'"),
            ({**CASE, "frames": 2**31}, "'frames' is 2147483648"),
            ({**CASE, "frames": 2**30}, "1073741824 frames of output 'y' are larger than any batch"),
            (
                {**CASE, "outputs": [{**CASE["outputs"][0], "dims": [2**40]}]},
                r"an output of \[1099511627776\] float32 numbers is larger than any engine's",
            ),
            (
                {**CASE, "outputs": [{**CASE["outputs"][0], "dims": [0]}]},
                r'"dims" of an output is \[0\], not a list of positive numbers$',
            ),
            (
                {**CASE, "outputs": [{**CASE["outputs"][0], "dims": None}]},
                '"dims" of an output is None, not a list of positive numbers$',
            ),
            (
                {**CASE, "outputs": [{**CASE["outputs"][0], "dtype": "object"}]},
                '"dtype" of an output is .object., not one of float32, float16, int8',
            ),
            ({**CASE, "outputs": [{**CASE["outputs"][0], "dtype": 4}]}, "'dtype' is 4, not a text$"),
            ({**CASE, "outputs": [{**CASE["outputs"][0], "array": None}]}, "'array' is None, not a text$"),
            ({**CASE, "outputs": [{**CASE["outputs"][0], "array": "out1"}]}, "there is no array 'out1'"),
            (
                {**CASE, "outputs": [{**CASE["outputs"][0], "dims": [3]}]},
                r"array 'out0' is {.*'shape': \(2, 2\)}, and case.json says {",
            ),
            (
                {**CASE, "outputs": [{**CASE["outputs"][0], "dtype": "int32"}]},
                "array 'out0' is {.*}, and case.json says {'descr': '<i4'",
            ),
            ({**CASE, "frames": 3}, r"array 'out0' is {.*}, and case.json says .* \(3, 2\)"),
            ({**CASE, "source frame": 3}, OBJECT),
            (
                {**CASE, "source frame": {"scale_ratio_x": 0, "scale_ratio_y": 1}},
                "a scale of the source frame is not positive",
            ),
            (
                {**CASE, "source frame": {"scale_ratio_x": 1, "scale_ratio_y": 0}},
                "a scale of the source frame is not positive",
            ),
            ({**CASE, "source frame": {"scale_ratio_x": None}}, "'scale_ratio_x' is None"),
            ({**CASE, "source frame": {**SOURCE, "height": 0}}, "'height' is 0, not a whole number of at least 1"),
            ({**CASE, "source frame": {**SOURCE, "offset_top": -1}}, "'offset_top' is -1, .* of at least 0"),
            ({**CASE, "parent object": {"left": "1"}}, "'left' is '1', not a number"),
            ({**CASE, "parent object": {"left": 1, "top": True}}, "'top' is True, not a number"),
            ({**CASE, "parent object": {"left": 1, "top": math.inf}}, "'top' is inf, not a number"),
        ],
    )
    def test_case(self, record: Callable[..., Path], case: Any, says: str) -> None:
        with pytest.raises(InputError, match=f"^the recording is damaged: {says}") as caught:
            read_case(record(case))
        assert caught.value.hint == "record it again"

    def _one(self, header: bytes, data: bytes = ARRAY.tobytes(), name: str = "out0.npy") -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(name, header + data)
        return file.getvalue()

    def _header(self, text: str) -> bytes:
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()

    def test_tensors_of_other_numpy_releases(self, record: Callable[..., Path]) -> None:
        header = self._header("{'shape': (2, 2), 'fortran_order': False, 'descr': '<f4', }\n")
        assert read_case(record(CASE, self._one(header))).layers[0].array[0, 1] == 0.75

    @pytest.mark.parametrize(
        ("header", "says"),
        [
            (
                "{'shape': (2, 2), 'fortran_order': True, 'descr': '<f4', }\n",
                "array 'out0' is {.*'fortran_order': True",
            ),
            ("{'shape': (2, 2), 'fortran_order': False, 'descr': '>f4', }\n", "array 'out0' is .* and case.json says"),
            ("{'shape': (2, 2), 'fortran_order': False, 'descr': '|O', }\n", "array 'out0' is {.*'descr': '.O'"),
            (
                "{'shape': (2, 1000000000000), 'fortran_order': False, 'descr': '<f4', }\n",
                "array 'out0' is .* and case.json says",
            ),
            ("{'shape': (2, 2), 'fortran_order': False}\n", "array 'out0' is .* and case.json says"),
            ("{'shape': " + "(" * 3000 + "\n", "array 'out0' has no readable header"),
            ("[" * 9000 + "\n", "array 'out0' has no readable header"),
            ("x\n", "array 'out0' has no readable header"),
            ("", "array 'out0' has no readable header"),
            (" " * 20_000, "array 'out0' has no readable header"),
            (" " * 9_999 + "\n", "array 'out0' has no readable header"),
            (f"'{'x' * 200}'\n", f"array 'out0' is {'x' * 100}, and case.json says"),
            ("'\\xff\n", "array 'out0' has no readable header"),
        ],
    )
    def test_headers(self, record: Callable[..., Path], header: str, says: str) -> None:
        with pytest.raises(InputError, match=f"^the recording is damaged: {says}"):
            read_case(record(CASE, self._one(self._header(header))))

    def test_a_header_as_long_as_numpy_reads(self, record: Callable[..., Path]) -> None:
        text = "{'shape': (2, 2), 'fortran_order': False, 'descr': '<f4', }"
        header = self._header(text.ljust(9_999) + "\n")
        assert read_case(record(CASE, self._one(header))).layers[0].array[0, 1] == 0.75
        with pytest.raises(InputError, match=r"^the recording is damaged: array 'out0' has no readable header$"):
            read_case(record(CASE, self._one(self._header(text.ljust(10_000) + "\n"))))

    def test_headers_of_other_versions(self, record: Callable[..., Path]) -> None:
        text = b"{'shape': (2, 2), 'fortran_order': False, 'descr': '<f4', }\n"
        for version in (b"\2\0", b"\3\0"):
            header = b"\x93NUMPY" + version + len(text).to_bytes(4, "little") + text
            assert read_case(record(CASE, self._one(header))).layers[0].array[0, 1] == 0.75

    def test_as_much_json_as_is_read(self, record: Callable[..., Path]) -> None:
        assert read_case(record(json.dumps(CASE).encode().ljust(2**20))).layers[0].frames == 2

    @pytest.mark.parametrize(
        ("tensors", "says"),
        [
            (b"", "it is not a readable archive of arrays"),
            (b"PK\x03\x04", "it is not a readable archive of arrays"),
            (_npz(out0=ARRAY)[:-1], "it is not a readable archive of arrays"),
            (_npz(), "there is no array 'out0'"),
            (_npz(out0=ARRAY[:1]), r"array 'out0' is .* says .* \(2, 2\)"),
        ],
    )
    def test_tensors(self, record: Callable[..., Path], tensors: bytes, says: str) -> None:
        with pytest.raises(InputError, match=f"^the recording is damaged: {says}"):
            read_case(record(CASE, tensors))

    def test_too_few_numbers(self, record: Callable[..., Path]) -> None:
        header = self._header("{'shape': (2, 2), 'fortran_order': False, 'descr': '<f4', }\n")
        with pytest.raises(InputError, match=r"^the recording is damaged: array 'out0' has 12 bytes of 16$"):
            read_case(record(CASE, self._one(header, ARRAY.tobytes()[:12])))

    def test_no_tensors(self, record: Callable[..., Path]) -> None:
        folder = record()
        shutil.rmtree(folder / "tensors.npz", ignore_errors=True)
        (folder / "tensors.npz").unlink()
        with pytest.raises(InputError, match=r"^the tensors cannot be read: No such file or directory$"):
            read_case(folder)

    @examples(150)
    @given(data=st.data())
    def test_bytes_flipped_anywhere(self, data: st.DataObject, record: Callable[..., Path]) -> None:
        """Either the same arrays come out, or it is refused: never another exception."""
        tensors = bytearray(_npz(out0=ARRAY))
        for _ in range(data.draw(st.integers(1, 4))):
            tensors[data.draw(st.integers(0, len(tensors) - 1))] = data.draw(st.integers(0, 255))
        try:
            layers = read_case(record(CASE, bytes(tensors))).layers
        except InputError:
            return
        np.testing.assert_array_equal(layers[0].array, ARRAY)  # zip has a checksum

    @examples(60)
    @given(data=st.data())
    def test_any_json(self, data: st.DataObject, record: Callable[..., Path]) -> None:
        leaf = st.none() | st.booleans() | st.integers(-3, 2**33) | st.floats() | st.text(max_size=5)
        values = st.recursive(leaf, lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(), one, max_size=2))
        case = json.loads(json.dumps(CASE))
        case["source frame"] = {"width": 8, "height": 8, "scale_ratio_x": 1, "scale_ratio_y": 1}
        case["source frame"] |= {"offset_left": 0, "offset_top": 0}
        places = [case, case["network"], case["outputs"][0], case["source frame"]]
        place = data.draw(st.sampled_from(places))
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(values)
        folder = record(case)
        try:
            (recording,) = read_recordings(folder, CLASSIFIER)
        except InputError:
            return
        assert len(replay(CLASSIFIER, recording).frames) == 2


def test_other_pictures_than_recorded_frames(record: Callable[..., Path]) -> None:
    config = record() / "config.txt"
    config.write_text("[property]\nnetwork-type=1\n")
    picture = Picture("p", config, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(InputError, match=r"^there are 1 pictures for 2 recorded frames$") as caught:
        replayed(Source(config), config.parent, target("7.1", "dgpu"), [picture])
    assert caught.value.hint == "give the pictures the device saw, in its order, or none"


def test_recorded_scores_that_are_no_numbers(record: Callable[..., Path]) -> None:
    outputs = [
        {"name": "cov", "array": "cov", "dtype": "float32", "dims": [1, 1, 2]},
        {"name": "bbox", "array": "bbox", "dtype": "float32", "dims": [4, 1, 2]},
    ]
    tensors = _npz(cov=np.full((2, 1, 1, 2), (np.nan, 0.9), np.float32), bbox=np.full((2, 4, 1, 2), 0.25, np.float32))
    config = record({**CASE, "outputs": outputs}, tensors) / "config.txt"
    config.write_text("[property]\nnum-detected-classes=1\ncluster-mode=2\n")
    _, findings = replayed(Source(config), config.parent, target("7.1", "dgpu"), [])
    assert [each.message for each in findings] == [
        "recorded scores are NaN, and the order of boxes on a device is undefined"
    ]


def test_the_layout_alone(record: Callable[..., Path], tmp_path: Path) -> None:
    layout = read_layout(record())
    assert layout is not None
    assert [(one.name, one.dtype, one.dims) for one in layout.outputs] == [("y", "float32", (2,))]
    (tmp_path / "case.json").unlink()
    assert read_layout(tmp_path) is None


def test_frames_that_were_recorded_without_their_pictures_are_dark_grey(record: Callable[..., Path]) -> None:
    folder = record()
    config = folder / "config.txt"
    config.write_text("[property]\nnetwork-type=1\n")
    shown: list[tuple[str, Any, bytes]] = []
    job = Job(target("7.1", "dgpu"), (), config, tensors=folder)
    done = job(lambda frame, pixels, text: shown.append((frame.name, pixels, text)), None, None)  # type: ignore[arg-type]
    assert done.configs == (config,)
    assert [name for name, _, _ in shown] == [frame.name for frame in done.simulation.frames]
    assert len(shown) == 2
    for _, pixels, _ in shown:
        np.testing.assert_array_equal(pixels, np.full((64, 80, 3), 48, np.uint8))
