"""The configs of a bundle, read by GLib with the getters Gst-nvinfer and deepstream-app use."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.emit import Emit
from convert.files import load_toml
from convert.nvinfer.targets import releases, sdk_path, target, targets
from convert.types import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.types import Validated

ALL = [(each.deepstream, each.platform) for each in targets()]
PRIMARY, SECONDARY, APP = (
    "config_infer_primary_fruit.txt",
    "config_infer_secondary_fruit.txt",
    "deepstream_app_fruit.txt",
)

# How each key is read: gstnvinfer_property_parser.cpp.
READ = {
    "integer": "gie-unique-id process-mode interval operate-on-gie-id input-object-min-width input-object-min-height "
    "batch-size network-mode gpu-id model-color-format scaling-filter scaling-compute-hw network-type",
    "string": "onnx-file model-engine-file labelfile-path classifier-type",
    "double": "net-scale-factor classifier-threshold",
    "boolean": "maintain-aspect-ratio symmetric-padding",
    "integers": "infer-dims",
    "doubles": "offsets",
    "strings": "output-blob-names",
}
GETTER = {key: getter for getter, keys in READ.items() for key in keys.split()}


def emitted(model: Validated, **options: Any) -> dict[str, bytes]:
    return Emit(Path("not written"), **options).files(model.adapted)


def properties(glib: Callable[[bytes], Any], data: bytes) -> dict[str, Any]:
    file = glib(data)
    assert file.groups() == ["property"]
    return {key: getattr(file, GETTER[key])("property", key) for key in file.keys("property")}


@pytest.mark.parametrize(("release", "platform"), ALL)
def test_what_nvinfer_reads(glib: Callable[[bytes], Any], classifier: Validated, release: str, platform: str) -> None:
    files = emitted(classifier, target=release, platform=platform, batch_size=4, precision="fp16", gpu_id=1)
    common = {
        "onnx-file": "fruit.onnx",
        "model-engine-file": "fruit.onnx_b4_gpu1_fp16.engine",
        "labelfile-path": "fruit_labels.txt",
        "batch-size": 4,
        "network-mode": 2,
        "gpu-id": 1,
        "infer-dims": [3, 64, 96],
        "model-color-format": 0,
        "net-scale-factor": 1 / 255,
        "maintain-aspect-ratio": True,
        "scaling-filter": 1,
        "output-blob-names": ["scores"],
        "network-type": 1,
        "classifier-threshold": 0.0,
    }
    if release != "5.1":
        common |= {"symmetric-padding": True, "classifier-type": "fruit"}
    if platform == "jetson":  # 1920 / 96 is more than its VIC's 16
        common |= {"scaling-compute-hw": 1}
    assert properties(glib, files[PRIMARY]) == common | {"gie-unique-id": 1, "process-mode": 1, "interval": 0}
    least = 16 if platform == "jetson" else 1
    assert properties(glib, files[SECONDARY]) == common | {
        "gie-unique-id": 2,
        "process-mode": 2,
        "operate-on-gie-id": 1,
        "input-object-min-width": least,
        "input-object-min-height": least,
    }


@pytest.mark.parametrize(("release", "platform"), ALL)
@pytest.mark.parametrize("role", ["pgie", "sgie", "both"])
def test_no_key_is_unknown_or_too_new(
    glib: Callable[[bytes], Any], classifier: Validated, release: str, platform: str, role: str
) -> None:
    known = load_toml("nvinfer/keys.toml")["property"]
    files = emitted(classifier, target=release, platform=platform, role=role)
    for name in {PRIMARY, SECONDARY} & set(files):
        for key in glib(files[name]).keys("property"):
            assert releases().index(known[key].get("since", "5.1")) <= releases().index(release), key
            assert not known[key].get("legacy"), key


@pytest.mark.parametrize(("release", "platform"), ALL)
def test_nothing_stands_behind_a_value(classifier: Validated, release: str, platform: str) -> None:
    files = emitted(classifier, target=release, platform=platform)
    for name in (PRIMARY, SECONDARY, APP):
        text = files[name].decode("ascii")
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        for line in text[:-1].split("\n"):
            assert re.fullmatch(r"# \S.*\S|\[[a-z0-9-]+\]|[a-z0-9-]+=\S*|", line), line
            assert not re.match(r"[^#].*#", line), line


@pytest.mark.parametrize(
    ("preprocessing", "expected", "absent"),
    [
        (
            Preprocessing(1.0, (), "RGB", False, False, "", None),
            {"net-scale-factor": 1.0, "model-color-format": 0, "maintain-aspect-ratio": False},
            {"offsets", "symmetric-padding"},
        ),
        (
            Preprocessing(1 / 127.5, (127.5, 127.5, 127.5), "RGB", True, False, "", None),
            {"net-scale-factor": 1 / 127.5, "offsets": [127.5] * 3, "maintain-aspect-ratio": True},
            {"symmetric-padding"},
        ),
        (
            Preprocessing(1.0, (103.939, 116.779, 123.68), "BGR", False, True, "", None),
            {"net-scale-factor": 1.0, "offsets": [103.939, 116.779, 123.68], "model-color-format": 1},
            {"symmetric-padding"},
        ),
    ],
)
def test_preprocessing(
    glib: Callable[[bytes], Any],
    invent: Callable[..., Validated],
    preprocessing: Preprocessing,
    expected: dict[str, Any],
    absent: set[str],
) -> None:
    found = properties(glib, emitted(invent(preprocessing=preprocessing))[PRIMARY])
    assert {key: found[key] for key in expected} == expected
    assert not absent & set(found)


def test_grey(glib: Callable[[bytes], Any], invent: Callable[..., Validated]) -> None:
    grey = Preprocessing(1.0, (128.0,), "GRAY", False, False, "", None)
    files = emitted(invent(size=(None, 1, 20, 30), preprocessing=grey))
    found = properties(glib, files[PRIMARY])
    assert (found["model-color-format"], found["infer-dims"], found["offsets"]) == (2, [1, 20, 30], [128.0])
    assert b"x_input:1x1x20x30" in files["build_engine.sh"]


def test_the_numbers_are_written_as_the_tables_have_them(classifier: Validated) -> None:
    assert b"\nnet-scale-factor=0.00392156862745098\n" in emitted(classifier)[PRIMARY]


@pytest.mark.parametrize(("release", "platform"), ALL)
@pytest.mark.parametrize("role", ["pgie", "sgie", "both"])
def test_the_app_config(
    glib: Callable[[bytes], Any], classifier: Validated, release: str, platform: str, role: str
) -> None:
    files = emitted(classifier, target=release, platform=platform, role=role, batch_size=8, gpu_id=1)
    where = target(release, platform)
    app = glib(files[APP])
    read = {group: {key: app.string(group, key) for key in app.keys(group)} for group in app.groups()}
    second = {} if role == "pgie" else {"tracker", "secondary-gie0"}
    assert set(read) == {
        *("application", "tiled-display", "source0", "streammux", "primary-gie", "osd", "sink0"),
        *second,
    }
    # Everything on one GPU, or frames do not reach the next element.
    assert {values["gpu-id"] for group, values in read.items() if group != "application"} == {"1"}
    assert read["source0"]["uri"] == f"file://{where.root}/samples/streams/sample_1080p_h264.mp4"
    assert (read["sink0"]["type"], read["streammux"]["batch-size"]) == ("2", "1")
    primary = read["primary-gie"]
    assert (primary["enable"], primary["gie-unique-id"]) == ("1", "1")
    if role == "sgie":
        assert primary["config-file"] == sdk_path(where, "sample-detector")
        assert "batch-size" not in primary  # it would give the SDK's engine another name than its config has
    else:
        assert primary["config-file"] == PRIMARY
        assert PRIMARY in files
        assert primary["batch-size"] == "8"
    if second:
        assert read["secondary-gie0"] == {
            "enable": "1" if role == "sgie" else "0",
            "gpu-id": "1",
            "gie-unique-id": "2",
            "operate-on-gie-id": "1",
            "batch-size": "8",
            "config-file": SECONDARY,
        }
        assert SECONDARY in files
        assert read["tracker"]["enable"] == "0"
        old = release == "5.1"
        assert ("klt" in read["tracker"]["ll-lib-file"]) is old
        assert ("ll-config-file" in read["tracker"]) is not old
    # In the file with both, the one that waits says how to wake it.
    assert (b"set enable=1 here" in files[APP]) is (role == "both")


def test_ids_are_the_same_in_all_files(glib: Callable[[bytes], Any], classifier: Validated) -> None:
    files = emitted(classifier, gie_id=7, operate_on_gie_id=3)
    app, first, second = (glib(files[name]) for name in (APP, PRIMARY, SECONDARY))
    assert app.integer("primary-gie", "gie-unique-id") == first.integer("property", "gie-unique-id") == 7
    assert app.integer("secondary-gie0", "gie-unique-id") == second.integer("property", "gie-unique-id") == 8
    assert app.integer("secondary-gie0", "operate-on-gie-id") == second.integer("property", "operate-on-gie-id") == 3
    assert b"give it gie-unique-id=3" in files[APP].replace(b"\n# ", b" ")


def test_a_smaller_object_may_be_asked_for(glib: Callable[[bytes], Any], classifier: Validated) -> None:
    found = properties(glib, emitted(classifier, role="sgie", min_size=40)[SECONDARY])
    assert (found["input-object-min-width"], found["input-object-min-height"]) == (40, 40)
