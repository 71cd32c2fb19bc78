"""`ei-deepstream simulate` from the command line: pictures, chains, recorded tensors, and all that can be wrong."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from convert import simulate
from convert.files import write_all
from tests.simulate.engines import BLUE, GREEN, RED, block, classifier, detector, plain

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from convert.files import Output
    from tests.cli.conftest import Said

ROOT = Path(__file__).resolve().parents[2]


def _save(path: Path, pixels: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two pictures: one with three colours, one black."""
    _save(tmp_path / "pictures" / "a.png", block(64, 64, RED, GREEN, BLUE))
    _save(tmp_path / "pictures" / "b.png", block(32, 32))
    return tmp_path / "pictures"


def _objects(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "objects.json").read_bytes())
    return document


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


class TestResults:
    def test_the_folder(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        said = say("simulate", detector(tmp_path), pictures, "-o", tmp_path / "out")
        assert (said.code, said.err) == (0, "")
        files = _files(tmp_path / "out")
        assert set(files) == {
            "objects.json", "report.html", "drawn/a.jpg", "drawn/b.jpg", "kitti/a.txt", "kitti/b.txt"
        }  # fmt: skip
        assert files["kitti/b.txt"] == b""
        assert [line.split()[0] for line in files["kitti/a.txt"].decode().splitlines()] == ["red", "green", "blue"]
        with Image.open(tmp_path / "out" / "drawn" / "a.jpg") as drawn:
            assert drawn.size >= (64, 64)
        page = files["report.html"].decode()
        assert "red" in page
        assert "pre-cluster-threshold" in page

    def test_objects(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        """Every value of one frame: whoever changes the form of objects.json sees it here."""
        config = detector(tmp_path, all_pre_cluster_threshold=0.9)
        _save(pictures / "a.png", block(64, 128, RED))
        say("simulate", config, pictures / "a.png", "-o", tmp_path / "out", "-q")
        box = {"class": 0, "label": "red", "left": 0, "top": 0, "width": 16, "height": 16, "confidence": 1}
        assert _objects(tmp_path / "out") == {
            "schema_version": 1,
            "status": "NVDSINFER_SUCCESS",
            "output parser failed": False,
            "messages": [],
            "cluster-mode in use": 4,
            "engines": [
                {
                    "gie-unique-id": 1,
                    "config": "cells.txt",
                    "model": "cells.onnx",
                    "network": {"channels": 3, "height": 32, "width": 32},
                    "network-type": 0,
                    "process-mode": 1,
                    "approximated": [],
                }
            ],
            "frames": [
                {
                    "name": "a",
                    "source": str(pictures / "a.png"),
                    "width": 128,
                    "height": 64,
                    "placement": {
                        "scale_ratio_x": 0.25, "scale_ratio_y": 0.5, "offset_left": 0, "offset_top": 0
                    },
                    "objects": [box],
                    "metadata": [box | {"width": 64, "height": 32}],
                    "lost": [
                        {
                            "engine": 1,
                            "object": None,
                            "key": "pre-cluster-threshold",
                            "why": "confidence 0 is below pre-cluster-threshold=0.9",
                            "class": 0,
                            "label": "red",
                            "confidence": 0,
                            "box": {"left": 64, "top": 0, "width": 64, "height": 32},
                        }
                    ],
                    "notes": [],
                }
            ],
        }  # fmt: skip

    def test_the_same_bytes_twice(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        config, second = detector(tmp_path), classifier(tmp_path)
        written = []
        for name in ("one", "two"):
            say("simulate", config, "--sgie", second, pictures, "-o", tmp_path / name, "-q")
            written.append(_files(tmp_path / name))
        assert written[0] == written[1]

    @pytest.mark.parametrize(
        ("what", "most", "written"),
        [("_TOGETHER", 2, [2, 1]), ("_TOGETHER", 1, [1, 1, 1]), ("_MOST_BYTES", 1, [1, 1, 1])],
    )
    def test_how_many_are_written_together_makes_no_difference(
        self, say: Callable[..., Said], tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch, what: str,
        most: int, written: list[int],
    ) -> None:  # fmt: skip
        _save(pictures / "c.png", block(32, 32, GREEN))
        words = ("simulate", detector(tmp_path), pictures, "-o", tmp_path / "out", "--format", "json")
        outputs = [json.loads(say(*words).out)["outputs"]]
        files = _files(tmp_path / "out")
        shutil.rmtree(tmp_path / "out")
        found = []

        def counted(folder: Path, files: dict[str, bytes]) -> tuple[Output, ...]:
            if folder.name == "drawn":
                found.append(len(files))
            return write_all(folder, files)

        monkeypatch.setattr(f"convert.render.simulation.{what}", most)
        monkeypatch.setattr("convert.render.simulation.write_all", counted)
        outputs.append(json.loads(say(*words).out)["outputs"])
        assert found == written
        assert _files(tmp_path / "out") == files
        assert outputs[0] == outputs[1]
        places = [str(Path(output["path"]).relative_to(tmp_path / "out")) for output in outputs[0]]
        assert places[:3] == ["drawn/a.jpg", "kitti/a.txt", "drawn/b.jpg"]

    def test_what_was_drawn_before_an_interruption_is_kept(self, tmp_path: Path, pictures: Path) -> None:
        done: list[int | None] = []

        def interrupt(number: int | None) -> None:
            done.append(number)
            if len(done) == 2:  # the first is the number of pictures
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            simulate(detector(tmp_path), pictures, tmp_path / "out", observer=interrupt)
        assert set(_files(tmp_path / "out")) == {"drawn/a.jpg", "kitti/a.txt"}

    def test_the_table(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        said = say("simulate", detector(tmp_path), pictures, "-o", tmp_path / "out")
        rows = [line.split() for line in said.out.splitlines()]
        assert ["a", "64x64", "red", "1.000,", "green", "1.000,", "blue", "1.000"] in rows
        assert next(row for row in rows if row and row[0] == "b")[:3] == ["b", "32x32", "nothing"]
        assert "confidence 0 is below pre-cluster-threshold=0.5" in said.out
        assert "1 of 2 pictures show something" in said.out
        assert "EI706" in said.out

    def test_quiet(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        said = say("simulate", detector(tmp_path), pictures, "-o", tmp_path / "out", "-q")
        assert (said.code, said.out, said.err) == (0, "", "")

    def test_json(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        said = say("simulate", detector(tmp_path), pictures, "-o", tmp_path / "out", "--format", "json")
        document = said.document
        assert document["summary"] == {
            "frames": 2, "frames that show something": 1, "labels": {"blue": 1, "green": 1, "red": 1}
        }  # fmt: skip
        assert document["frames"] == _objects(tmp_path / "out")["frames"]
        assert set(document["seconds"]) == {"decode pictures", "preprocess", "infer", "decode"}
        assert [finding["id"] for finding in document["findings"]] == ["EI706"]
        assert all(Path(output["path"]).exists() for output in document["outputs"])
        assert document["error"] is None

    def test_fail_on(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        said = say("simulate", detector(tmp_path), pictures, "-o", tmp_path / "out", "-q", "--fail-on", "note")
        assert said.code == 1

    def test_an_earlier_runs_pictures_go(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        config, out = detector(tmp_path), tmp_path / "out"
        say("simulate", config, pictures, "-o", out, "-q")
        (out / "kitti" / "mine.txt").write_text("mine")
        say("simulate", config, pictures / "b.png", "-o", out, "-q")
        assert set(_files(out)) == {"objects.json", "report.html", "drawn/b.jpg", "kitti/b.txt", "kitti/mine.txt"}

    @pytest.mark.parametrize("text", ["", "[]", '{"frames": [{"name": "../../cells"}, 3]}', '{"frames": {}}'])
    def test_an_objects_file_of_somebody_else(
        self, say: Callable[..., Said], tmp_path: Path, pictures: Path, text: str
    ) -> None:
        config = detector(tmp_path)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "objects.json").write_text(text)
        assert say("simulate", config, pictures, "-o", tmp_path / "out", "-q").code == 0
        assert config.exists()


class TestChains:
    def test_a_secondary_engine(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        said = say(
            "simulate", detector(tmp_path), "--sgie", classifier(tmp_path), pictures, "-o", tmp_path / "out"
        )  # fmt: skip
        assert "red red 1.000" in said.out
        first, _ = _objects(tmp_path / "out")["frames"]
        assert [one["text"] for one in first["metadata"]] == ["red red", "green green", "blue blue"]
        # KITTI text is written behind the primary engine
        assert (tmp_path / "out" / "kitti" / "a.txt").read_text().startswith("red 0.0 0 0.0 ")

    def test_an_app(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        detector(tmp_path)
        classifier(tmp_path)
        app = tmp_path / "app.txt"
        app.write_text(
            "[streammux]\nwidth=1920\nheight=1080\n[primary-gie]\nenable=1\nconfig-file=cells.txt\n"
            "[secondary-gie0]\nenable=1\ngie-unique-id=3\noperate-on-gie-id=1\nconfig-file=colour.txt\n"
        )
        said = say("simulate", "--app", app, pictures, "-o", tmp_path / "out", "--format", "json")
        assert [engine["gie-unique-id"] for engine in said.document["engines"]] == [1, 3]
        assert "EI705" in {finding["id"] for finding in said.document["findings"]}

    def test_a_secondary_engine_that_takes_no_object(
        self, say: Callable[..., Said], tmp_path: Path, pictures: Path
    ) -> None:
        second = classifier(tmp_path, operate_on_gie_id=4)
        said = say("simulate", detector(tmp_path), "--sgie", second, pictures, "-o", tmp_path / "out")
        assert "EI704" in said.out
        assert "operate-on-gie-id=4" in said.out


class TestTensors:
    """What was recorded on a device, or by NVIDIA's own code, is decoded as it was there."""

    @pytest.mark.parametrize(
        "case",
        [
            *("cls-two-outputs-two-lines", "detectnet-0", "filter-roi", "fomo-no-labels", "fomo-mode0"),
            *("frame-letterbox", "frame-scaled", "second-detector-on-object", "ssd-per-class", "ssd-num-too-many"),
        ],
    )
    def test_recorded_cases(self, say: Callable[..., Said], tmp_path: Path, vectors: Path, case: str) -> None:
        folder = vectors / "outputs" / case
        said = say("simulate", folder / "config.txt", "--tensors", folder, "-o", tmp_path / "out", "-q")
        expected = json.loads((folder / "expected.json").read_bytes())
        document = _objects(tmp_path / "out")
        assert said.code == int(expected["output parser failed"])
        for key in set(expected) - {"messages", "frames"}:
            assert document[key] == expected[key], key
        assert len(document["frames"]) == len(expected["frames"])
        for frame, wanted in zip(document["frames"], expected["frames"], strict=True):
            assert {key: frame[key] for key in wanted} == wanted

    def _dump(self, tmp_path: Path) -> tuple[Path, Path]:
        """What raw-output-file-write leaves of two frames of the classifier."""
        config = classifier(tmp_path, process_mode=1)
        folder = tmp_path / "dump"
        folder.mkdir()
        import numpy as np

        numbers = np.array([[0.9, 0.05, 0.05], [0.1, 0.2, 0.7]], np.float32)
        (folder / "gstnvdsinfer_uid-02_layer-y_batch-0000000000_batchsize-02.bin").write_bytes(numbers.tobytes())
        return config, folder

    def test_files_that_nvinfer_dumped(self, say: Callable[..., Said], tmp_path: Path) -> None:
        config, folder = self._dump(tmp_path)
        said = say("simulate", config, "--tensors", folder, "-o", tmp_path / "out")
        assert said.code == 0
        assert [frame["label"] for frame in _objects(tmp_path / "out")["frames"]] == ["red ", "blue "]
        assert len(list((tmp_path / "out" / "drawn").iterdir())) == 2

    def test_with_the_pictures_they_belong_to(
        self, say: Callable[..., Said], tmp_path: Path, pictures: Path
    ) -> None:  # fmt: skip
        config, folder = self._dump(tmp_path)
        assert say("simulate", config, "--tensors", folder, pictures, "-o", tmp_path / "out", "-q").code == 0
        frames = _objects(tmp_path / "out")["frames"]
        assert [(frame["name"], frame["width"], frame["label"]) for frame in frames] == [
            ("a", 64, "red "), ("b", 32, "blue ")
        ]  # fmt: skip

    def test_not_as_many_pictures(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        config, folder = self._dump(tmp_path)
        said = say("simulate", config, "--tensors", folder, pictures / "a.png", "-o", tmp_path / "out")
        assert said.code == 3
        assert "1 pictures for 2 recorded frames" in said.err

    def test_nothing_recorded(self, say: Callable[..., Said], tmp_path: Path) -> None:
        config, folder = self._dump(tmp_path)
        for path in folder.iterdir():
            path.unlink()
        said = say("simulate", config, "--tensors", folder, "-o", tmp_path / "out")
        assert said.code == 3
        assert "no recorded tensors of engine 2" in said.err


class TestWrong:
    """One sentence and what to do, never a traceback (`say` looks)."""

    def test_usage(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        config, out = detector(tmp_path), tmp_path / "out"
        for arguments in (
            [],
            [config],
            [tmp_path / "no.txt", pictures],
            ["--app", config, "--sgie", config, pictures],
            [config, "--tensors", tmp_path, "--sgie", config],
            ["--app", tmp_path / "no.txt", pictures],
        ):
            assert say("simulate", *arguments, "-o", out).code == 2, arguments
        assert not out.exists()

    def test_a_config_that_nvinfer_refuses(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        config = detector(tmp_path, net_scale_factor="1/255")
        said = say("simulate", config, pictures, "-o", tmp_path / "out", "--format", "json")
        assert said.code == 3
        found = say("check", config, "--format", "json").document["files"][0]["findings"]
        finding = next(each for each in found if each["level"] == "error")
        error = said.document["error"]
        assert error["message"] == f"nvinfer refuses this config ({finding['id']}): {finding['message']}"
        assert (error["path"], error["line"], error["hint"]) == (str(config), finding["line"], finding["hint"])

    def test_a_missing_model(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        config = detector(tmp_path)
        (tmp_path / "cells.onnx").unlink()
        said = say("simulate", config, pictures, "-o", tmp_path / "out")
        assert said.code == 3
        assert f"{config}:2: onnx-file: 'cells.onnx'" in said.err
        assert "hint: nvinfer looks for" in said.err

    def test_dbscan(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        config = detector(tmp_path, cluster_mode=1, all_minBoxes=2)
        said = say("simulate", config, pictures, "-o", tmp_path / "out")
        assert said.code == 3
        assert "runs DBSCAN, a closed library of NVIDIA's" in said.err

    def test_a_broken_picture_among_others(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        (pictures / "bad.jpg").write_bytes(b"hello")
        said = say("simulate", detector(tmp_path), pictures, "-o", tmp_path / "out")
        assert said.code == 1
        assert f"EI700 {pictures / 'bad.jpg'}: not a picture that can be read" in said.out
        assert [frame["name"] for frame in _objects(tmp_path / "out")["frames"]] == ["a", "b"]
        assert "bad.jpg" in (tmp_path / "out" / "report.html").read_text()

    def test_broken_pictures_only(self, say: Callable[..., Said], tmp_path: Path) -> None:
        bad = tmp_path / "bad.jpg"
        bad.write_bytes(b"hello")
        said = say("simulate", detector(tmp_path), bad, "-o", tmp_path / "out")
        assert said.code == 3
        assert f"{bad}: no picture could be simulated; the first: not a picture" in said.err

    def test_odd_pictures(self, say: Callable[..., Said], tmp_path: Path) -> None:
        """1x1, CMYK, 16 bits, a palette, transparency, 20,000x40 pixels: what can be shown is, the rest is named."""
        folder = tmp_path / "odd"
        folder.mkdir()
        Image.new("RGB", (1, 1)).save(folder / "1x1.png")
        Image.new("CMYK", (40, 40), (0, 255, 255, 0)).save(folder / "cmyk.jpg")
        Image.new("I;16", (40, 40), 65535).save(folder / "deep.png")
        Image.new("RGB", (40, 40), RED).quantize(4).save(folder / "palette.gif")
        Image.new("RGBA", (40, 40), (*RED, 0)).save(folder / "clear.png")
        Image.new("RGB", (20_000, 40), RED).save(folder / "wide.png")
        config = classifier(tmp_path, process_mode=1)
        said = say("simulate", config, folder, "-o", tmp_path / "out", "--format", "json")
        assert said.code == 1
        labels = {frame["name"]: frame["label"] for frame in said.document["frames"]}
        assert labels == {"clear": "", "cmyk": "red ", "deep": "red ", "palette": "red ", "wide": "red "}
        notes = {frame["name"]: frame["notes"] for frame in said.document["frames"]}
        assert notes["clear"] == ["transparency is laid on black"]
        left_out = [finding["path"] for finding in said.document["findings"] if finding["id"] == "EI700"]
        assert left_out == [str(folder / "1x1.png")]

    def test_the_pictures_themselves_are_not_overwritten(self, say: Callable[..., Said], tmp_path: Path) -> None:
        place = tmp_path / "out" / "drawn"
        place.mkdir(parents=True)
        picture = place / "a.jpg"
        Image.fromarray(plain(8, 8, RED)).save(picture)
        before = picture.read_bytes()
        said = say("simulate", detector(tmp_path), picture, "-o", tmp_path / "out")
        assert said.code == 3
        assert "take the place of the picture itself" in said.err
        assert picture.read_bytes() == before

    def test_a_folder_that_is_a_file(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        said = say("simulate", detector(tmp_path), pictures, "-o", pictures / "a.png")
        assert said.code == 3
        assert "cannot create the folder" in said.err


class TestBundles:
    """What `convert` writes runs."""

    @pytest.mark.parametrize("role", ["primary", "app"])
    def test_samples(self, say: Callable[..., Said], convert: Callable[..., Path], tmp_path: Path, role: str) -> None:
        bundle = convert(ROOT / "samples" / "exports" / "fruit-cpp-2022")
        pictures = ROOT / "samples" / "pictures" / "fruit"
        (config,) = bundle.glob(f"*{'primary' if role == 'primary' else 'deepstream_app'}*.txt")
        arguments = ["--app", config] if role == "app" else [config]
        said = say("simulate", *arguments, pictures, "-o", tmp_path / "out", "--format", "json")
        frames = said.document["frames"]
        right = sum(frame["label"].strip() == frame["name"].rpartition("-")[0] for frame in frames)
        assert right >= 0.9 * len(frames) >= 18
        assert "Parity" in (tmp_path / "out" / "report.html").read_text()

    def test_a_bundle_is_enough(self, say: Callable[..., Said], convert: Callable[..., Path], tmp_path: Path) -> None:
        bundle = convert(ROOT / "samples" / "exports" / "fruit-cpp-2022")
        (config,) = bundle.glob("config_infer_primary_*.txt")
        pictures = ROOT / "samples" / "pictures" / "fruit"
        words = ("simulate", bundle, next(pictures.glob("*.png"), pictures), "-o", tmp_path / "out")
        said = say(*words)
        assert said.code == 0
        assert f"of the bundle: {config}" in said.out.replace("\n", "")
        assert "for deepstream-7.1, jetson, TensorRT 10.3.0 (says report.json)" in said.out.replace("\n", " ")
        document = say(*words, "--target", "9.1", "--platform", "dgpu", "--format", "json").document
        assert document["config"] == str(config)
        assert document["target"] == {
            "deepstream": "9.1", "platform": "dgpu", "tensorrt": "10.16", "source": "option"
        }  # fmt: skip
        # A config that was named is not said again, and has the target of its bundle, too.
        named = say("simulate", config, *words[2:], "--format", "json").document
        assert (named["config"], named["target"]["source"]) == (None, "report")

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["fomo-96x96x1-f32.tflite", "yolov5-160x160x3-f16.lite"])
    def test_real_detectors_in_front_of_a_real_classifier(
        self, say: Callable[..., Said], emitted: Callable[..., Path], tmp_path: Path, models: Path, name: str
    ) -> None:
        squash = ("--resize-mode", "squash", "--frame", "none")
        first = emitted(models / name, *squash)
        (primary,) = first.glob("config_infer_primary_*.txt")
        (secondary,) = emitted(models / "classify-96x96x3-f32.lite", *squash).glob("config_infer_secondary_*.txt")
        pictures = [models / "beer.jpg", models / "jan.jpg"]
        said = say(
            "simulate", primary, "--sgie", secondary, *pictures, "-o", tmp_path / "out", "--format", "json"
        )  # fmt: skip
        assert said.code == 0
        found = [one for frame in said.document["frames"] for one in frame["metadata"]]
        assert found
        # the classifier says something of every object it looked at
        assert all(one["classifiers"] or one["passed over"] for one in found)


class TestFolders:
    """A folder with configs, as a bundle is."""

    def _app(self, folder: Path, *second: str) -> None:
        groups = ["[primary-gie]", "enable=1", "gie-unique-id=1", "config-file=cells.txt", *second]
        (folder / "app.txt").write_text("\n".join(["[streammux]", "batch-size=1", *groups]) + "\n")

    def test_the_app_of_two_engines(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        folder = tmp_path / "two"
        folder.mkdir()
        detector(folder)
        second = classifier(folder)
        engine = ("enable=1", "gie-unique-id=2", "operate-on-gie-id=1", f"config-file={second.name}")
        self._app(folder, "[secondary-gie0]", *engine)
        words = ("simulate", folder, pictures, "-o", tmp_path / "out", "--format", "json")
        document = say(*words).document
        assert document["config"] == str(folder / "app.txt")
        assert len(document["engines"]) == 2
        # with a second engine of one's own the app is not meant
        document = say(*words, "--sgie", second).document
        assert document["config"] == str(folder / "cells.txt")

    def test_the_primary_config(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        folder = tmp_path / "one"
        folder.mkdir()
        config = detector(folder)
        second = classifier(folder)
        self._app(folder, "[secondary-gie0]", "enable=0", f"config-file={second.name}")
        document = say("simulate", folder, pictures, "-o", tmp_path / "out", "--format", "json").document
        assert document["config"] == str(config)
        assert len(document["engines"]) == 1

    def test_what_is_not_clear(self, say: Callable[..., Said], tmp_path: Path, pictures: Path) -> None:
        for name, configs, message in (
            ("none", (), "there is no Gst-nvinfer config in the folder"),
            ("second", (classifier,), "the bundle is for the objects of another engine"),
        ):
            folder = tmp_path / name
            folder.mkdir()
            for make in configs:
                make(folder)
            said = say("simulate", folder, pictures, "-o", tmp_path / "out")
            assert said.code == 3
            assert message in said.err.replace("\n", " ")
        detector(tmp_path / "second")
        shutil.copy(tmp_path / "second" / "cells.txt", tmp_path / "second" / "copy.txt")
        said = say("simulate", tmp_path / "second", pictures, "-o", tmp_path / "out")
        assert "the folder holds 2 configs: cells.txt, copy.txt" in said.err.replace("\n", " ")


class TestVideo:
    @pytest.fixture
    def video(self, tmp_path: Path) -> Path:
        """Six frames: red, then green."""
        av = pytest.importorskip("av", reason="videos need the extra [video]")
        path = tmp_path / "clip.avi"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mjpeg", rate=5)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj444p"
            for number in range(6):
                pixels = plain(48, 64, RED if number < 3 else GREEN)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))
        return path

    @pytest.mark.parametrize(
        ("more", "numbers"),
        [([], [0, 1, 2, 3, 4, 5]), (["--every", 2], [0, 2, 4]), (["--every", 2, "--limit", 2], [0, 2])],
    )
    def test_frames(
        self, say: Callable[..., Said], tmp_path: Path, video: Path, more: list[object], numbers: list[int]
    ) -> None:
        config = classifier(tmp_path, process_mode=1)
        said = say("simulate", config, video, "-o", tmp_path / "out", "--format", "json", *more)
        assert said.code == 0
        assert [(frame["name"], frame["label"]) for frame in said.document["frames"]] == [
            (f"clip-{number:06d}", "red " if number < 3 else "green ") for number in numbers
        ]
        assert (tmp_path / "out" / "drawn" / f"clip-{numbers[-1]:06d}.jpg").exists()
        every = int(str(more[1])) if more else 1
        av = pytest.importorskip("av")
        with av.open(str(tmp_path / "out" / "video" / "clip.mp4")) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, stream.average_rate) == ("h264", Fraction(5, every))
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert [frame.shape for frame in frames] == [(48, 64, 3)] * len(numbers)
        # The label lies over the bottom; above it is the picture.
        assert frames[0][4, 32].argmax() == 0
        assert str(tmp_path / "out" / "video" / "clip.mp4") in {each["path"] for each in said.document["outputs"]}

    def test_a_video_of_an_earlier_run_is_removed(self, say: Callable[..., Said], tmp_path: Path, video: Path) -> None:
        config = classifier(tmp_path, process_mode=1)
        other = video.with_name("other.avi")
        shutil.copy(video, other)
        for path, left in ((video, ["clip.mp4"]), (other, ["other.mp4"])):
            assert say("simulate", config, path, "-o", tmp_path / "out", "-q").code == 0
            assert sorted(each.name for each in (tmp_path / "out" / "video").iterdir()) == left

    def test_two_videos_of_one_name_and_a_picture(self, say: Callable[..., Said], tmp_path: Path, video: Path) -> None:
        other = tmp_path / "b" / "clip.avi"
        other.parent.mkdir()
        shutil.copy(video, other)
        picture = tmp_path / "a.png"
        Image.fromarray(plain(48, 64, RED)).save(picture)
        config = classifier(tmp_path, process_mode=1)
        said = say("simulate", config, video, picture, other, "-o", tmp_path / "out", "--format", "json")
        assert len(said.document["frames"]) == 13
        assert sorted(each.name for each in (tmp_path / "out" / "video").iterdir()) == ["clip-2.mp4", "clip.mp4"]

    @pytest.mark.parametrize(
        ("every", "limit", "total"), [(1, None, 7), (2, None, 4), (4, None, 3), (1, 2, 3), (2, 9, 4)]
    )
    def test_the_length_is_known(self, tmp_path: Path, video: Path, every: int, limit: int | None, total: int) -> None:
        picture = tmp_path / "a.png"
        Image.fromarray(plain(48, 64, RED)).save(picture)
        seen: list[int | None] = []
        simulate(
            classifier(tmp_path, process_mode=1), [picture, video], tmp_path / "out", observer=seen.append,
            every=every, limit=limit,
        )  # fmt: skip
        assert seen == [total] + [1] * total

    def test_without_pyav_the_pictures_are_done(
        self, say: Callable[..., Said], tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        picture = tmp_path / "a.png"
        Image.fromarray(plain(48, 64, RED)).save(picture)
        monkeypatch.setattr("convert.images.read.find_spec", lambda _: None)
        config = classifier(tmp_path, process_mode=1)
        said = say("simulate", config, video, picture, "-o", tmp_path / "out", "--format", "json")
        assert said.code == 1
        assert [frame["name"] for frame in said.document["frames"]] == ["a"]
        (found,) = (each for each in said.document["findings"] if each["id"] == "EI700")
        assert found["message"] == "the video was left out: reading videos needs the package av (PyAV)"
        assert found["hint"].endswith('-m pip install "ei-deepstream[video]"')
        assert say("simulate", config, video, "-o", tmp_path / "out").code == 3

    def test_cut_off(self, say: Callable[..., Said], tmp_path: Path, video: Path) -> None:
        """What was seen before the damage is shown, and the damage is named."""
        video.write_bytes(video.read_bytes()[:-600])
        config = classifier(tmp_path, process_mode=1)
        said = say("simulate", config, video, "-o", tmp_path / "out", "--format", "json")
        assert said.code == 1
        assert said.document["findings"][0]["id"] == "EI700"
        assert 0 < len(said.document["frames"]) <= 6
