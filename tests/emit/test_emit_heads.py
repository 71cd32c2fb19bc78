"""A head is a file: another one needs no code. Shown with an invented detector."""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.emit import config
from convert.emit.config import Gie, HeadPreset, facts, head_preset, infer_file
from convert.emit.files import EngineBuild
from convert.errors import PresetError
from convert.files import TableReader, configs
from convert.nvinfer.targets import sdk_path, target
from convert.types import Metadata

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.types import Validated

FILES = (EngineBuild("fruit.onnx", 1, 0, "fp32"), "fruit_labels.txt")
DETECTOR = """
title = "invented detector"
labels = "one-per-line"
primary = "finds {classes} kinds of fruit"
secondary = "finds fruit on what GIE {operate-on} found"
secondary-off = "nothing is on fruit"
optional = ["crop-objects-to-roi-boundary"]

[defaults]
threshold = 0.5
nms-iou = 0.45

[property]
network-type = 0
num-detected-classes = "{classes}"
cluster-mode = 2
custom-lib-path = "{parser-library}"
parse-bbox-func-name = "NvDsInferParseCustomTfSSD"
crop-objects-to-roi-boundary = true

[class-attrs-all]
pre-cluster-threshold = "{threshold}"
nms-iou-threshold = "{nms-iou}"
border-color = [0.0, 1.0, 0.0, 1.0]

[comments]
cluster-mode = "2: non-maximum suppression."
"""


def detector(**changes: Any) -> HeadPreset:
    reader = TableReader(Path("detector.toml"), PresetError, dashes=True)
    return replace(reader.row(HeadPreset, tomllib.loads(DETECTOR), "the file"), **changes)


@pytest.fixture
def model(invent: Callable[..., Validated]) -> Validated:
    return invent(task="ssd", metadata=Metadata(threshold=0.3))


def emitted(model: Validated, preset: HeadPreset, release: str = "7.1") -> bytes:
    return infer_file(model.adapted, preset, target(release, "jetson"), Gie(1), *FILES, (1920, 1080))


def test_every_head_that_ships_is_readable() -> None:
    shipped = sorted(path.stem for path in (configs() / "heads").glob("*.toml"))
    assert "classifier" in shipped
    for stem in shipped:
        preset = head_preset(stem)
        assert preset.labels in {"one-line", "one-per-line"}
        assert set(preset.comments) <= set(preset.property) | set(preset.class_attrs_all)
        assert set(preset.optional) <= set(preset.property)


def test_larger_boxes_are_said(invent: Callable[..., Validated]) -> None:
    adapted = invent(task="fomo").adapted
    larger = replace(adapted, head=replace(adapted.head, box=3.0))
    where = target("7.1", "jetson")
    for each, said in ((adapted, False), (larger, True)):
        text = infer_file(each, config.preset_for(each.head, where), where, Gie(1), *FILES, (1920, 1080)).decode()
        assert ("at least 3 cells each way" in text) is said
        assert ("no two boxes touch" in text) is not said


def test_a_detector_is_emitted(glib: Callable[[bytes], Any], model: Validated) -> None:
    data = emitted(model, detector())
    file = glib(data)
    assert file.groups() == ["property", "class-attrs-all"]
    assert file.integer("property", "network-type") == 0
    assert file.integer("property", "num-detected-classes") == 3
    assert file.string("property", "custom-lib-path") == sdk_path(target("7.1", "jetson"), "parser-library")
    assert file.string("property", "parse-bbox-func-name") == "NvDsInferParseCustomTfSSD"
    assert file.boolean("property", "crop-objects-to-roi-boundary")
    assert file.double("class-attrs-all", "pre-cluster-threshold") == 0.3  # the export's
    assert file.double("class-attrs-all", "nms-iou-threshold") == 0.45  # the head's default
    assert file.doubles("class-attrs-all", "border-color") == [0.0, 1.0, 0.0, 1.0]
    assert b"# It finds 3 kinds of fruit.\n" in data
    assert b"# 2: non-maximum suppression.\ncluster-mode=2\n" in data


def test_an_optional_key_is_left_out_of_older_releases(glib: Callable[[bytes], Any], model: Validated) -> None:
    assert "crop-objects-to-roi-boundary" not in glib(emitted(model, detector(), "6.1")).keys("property")


def test_a_key_that_is_too_new_and_needed_is_refused(model: Validated) -> None:
    with pytest.raises(
        PresetError, match=r"^DeepStream 6\.1 does not know the key 'crop-objects.*', which this head needs$"
    ) as caught:
        emitted(model, detector(optional=()), "6.1")
    assert caught.value.hint == "choose a newer --target"


@pytest.mark.parametrize(
    ("function", "release"), [("NvDsInferParseCustomEfficientNMS", "9.1"), ("NvDsInferParseCustomDDETRTAO", "6.2")]
)
def test_a_function_that_the_stock_library_lacks_is_refused(model: Validated, function: str, release: str) -> None:
    preset = detector()
    changed = replace(preset, property=preset.property | {"parse-bbox-func-name": function})
    with pytest.raises(PresetError, match=rf"^the parser library of DeepStream {release} has no {function}$") as caught:
        emitted(model, changed, release)
    assert caught.value.hint == "choose another --target; `ei-deepstream targets` lists the functions of each"
    own = replace(changed, property=changed.property | {"custom-lib-path": "/home/me/libmine.so"})
    assert function.encode() in emitted(model, own, release)


KNOWN = "there are: classes, name, nms-iou, operate-on, parser-library, threshold"


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("{thresold}", "cluster-mode: nothing is called 'thresold' here", KNOWN),
        ("a {b} c", "cluster-mode: nothing is called 'b' here", KNOWN),
        ({"a": 1}, "cluster-mode cannot be {'a': 1}", "a number, text, true or false, or a list of these"),
        ([["a"]], "cluster-mode cannot be [['a']]", "a number, text, true or false, or a list of these"),
        ([], "cluster-mode: an empty list cannot be told from an empty value", None),
        (float("nan"), "cluster-mode: not a finite number: nan", None),
        ("a\0b", r"cluster-mode: a value cannot contain a null character: 'a\x00b'", None),
        ("\fa", r"cluster-mode: GKeyFile strips the first character of '\x0ca'", None),
    ],
)
def test_a_value_that_makes_no_sense_is_named(model: Validated, value: Any, message: str, hint: str | None) -> None:
    with pytest.raises(PresetError) as caught:
        emitted(model, detector(property={"cluster-mode": value}))
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_a_header_that_makes_no_sense_is_named(model: Validated) -> None:
    with pytest.raises(PresetError, match=r"^the header: nothing is called 'x' here$") as caught:
        emitted(model, detector(primary="finds {x}"))
    assert caught.value.hint == KNOWN


def test_a_key_that_is_written_by_itself_may_not_be_repeated(model: Validated) -> None:
    with pytest.raises(PresetError, match=r"^the head repeats a key that is written by itself: batch-size, gpu-id$"):
        emitted(model, detector(property={"gpu-id": 1, "batch-size": 1}))


def test_a_key_of_other_letters_is_refused(model: Validated) -> None:
    with pytest.raises(PresetError, match=r"^not a key: 'gpu id'$") as caught:
        emitted(model, detector(property={"gpu id": 1}))
    assert caught.value.hint == "letters, digits, - and _ only"


def test_a_head_that_has_no_file_names_those_that_have() -> None:
    with pytest.raises(PresetError, match=r"^nothing is known to emit for nothing$") as caught:
        head_preset("nothing")
    known = sorted(path.stem for path in (configs() / "heads").glob("*.toml"))
    assert caught.value.hint == "known heads: " + ", ".join(known)


def test_a_graph_that_the_target_cannot_build_is_refused(invent: Callable[..., Validated]) -> None:
    head = replace(invent(task="yolov5").adapted.head, overlap=0.5)
    said = "a graph that drops boxes over all classes needs TensorRT 8.2; DeepStream 6.0 has 8.0.1 on jetson"
    with pytest.raises(PresetError, match=f"^{re.escape(said)}$") as caught:
        config.preset_for(head, target("6.0", "jetson"))
    assert caught.value.hint == "choose a newer --target, or --yolo-score product"


def test_facts_know_the_model_and_the_target(model: Validated) -> None:
    assert facts(detector(), model.adapted, target("6.0.1", "dgpu")) == {
        "name": "fruit",
        "classes": 3,
        "threshold": 0.3,
        "nms-iou": 0.45,
        "parser-library": "/opt/nvidia/deepstream/deepstream-6.0/lib/libnvds_infercustomparser.so",
    }


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ("titel = 'x'\n" + DETECTOR, "unknown entry 'titel'"),
        (DETECTOR.replace('labels = "one-per-line"', ""), "the file: the entry 'labels' is missing"),
        (DETECTOR.replace('"one-per-line"', "1"), "labels must be str, not 1"),
        (DETECTOR.replace("[defaults]", "[default]"), "unknown entry 'default'"),
        ("title = [", "not TOML"),
        ("title = '\ud800'", "not TOML"),
    ],
)
def test_a_damaged_head_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: str, message: str) -> None:
    path = tmp_path / "heads" / "ssd.toml"
    path.parent.mkdir()
    path.write_bytes(edit.encode(errors="surrogatepass"))

    def load(name: str) -> dict[str, Any]:
        with (tmp_path / name).open("rb") as file:
            return tomllib.load(file)

    monkeypatch.setattr(config, "load_toml", load)
    monkeypatch.setattr(config, "configs", lambda: tmp_path)
    head_preset.cache_clear()
    with pytest.raises(PresetError) as caught:
        head_preset("ssd")
    head_preset.cache_clear()
    assert message in caught.value.message
    assert caught.value.path == str(path)
    if message == "not TOML":
        assert caught.value.message.startswith("not TOML: ")
        assert caught.value.hint == "undo the last edit of that file"


def test_an_input_that_is_no_image_is_refused(invent: Callable[..., Validated]) -> None:
    flat = invent(size=(None, 3, 64, None))
    with pytest.raises(PresetError, match=r"^Gst-nvinfer needs an image input \[N,C,H,W\], not \(None, 3, 64, None\)$"):
        emitted(flat, detector())
