"""What options take, from text and from values, and what they say otherwise."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest

from convert.check.loading import TargetChoice
from convert.emit import Emit, EmitPair
from convert.errors import PresetError
from convert.files import load_toml
from convert.images import Frame, ImageScaling, ResizeMode, parse_line, parse_zone
from convert.options import (
    PLATFORM,
    RELEASE,
    BatchOptions,
    CheckOptions,
    ConvertOptions,
    SimulateOptions,
    checked,
    defaults,
    parse_size,
    refuse_contradictions,
    refuse_recordings,
    refuse_simulation,
    refuse_unknown,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = table(ConvertOptions)
LINE, ZONE = parse_line("door:900,700,1000,800"), parse_zone("hall:0,0;1000,0;1000,800")
SHARES, FULL = parse_zone("hall:0,0;1,0;1,0.8"), Frame(1920, 1080, in_pixels=True)


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("labels", "a; b ;c", ("a", "b", "c")),
        ("labels", "a,b", ("a", "b")),
        ("labels", "a,b;c", ("a,b", "c")),
        ("labels", 7, ("7",)),
        ("labels", ["a", "b"], ("a", "b")),
        ("labels", None, None),
        ("task", "fomo", "fomo"),
        ("resize_mode", "squash", ResizeMode.SQUASH),
        ("resize_mode", ResizeMode.SQUASH, ResizeMode.SQUASH),
        ("image_scaling", "torch", ImageScaling.TORCH),
        ("image_scaling", ImageScaling.NONE, ImageScaling.NONE),
        ("dequantize", True, True),
        ("opset", "12", 12),
        ("opset", 18, 18),
        ("timeout", "1", 1.0),
        ("timeout", 1e9, 1e9),
        ("tolerance", 1e-12, 1e-12),
        ("frame", "16:9", Frame(16, 9)),
        ("frame", Frame(4, 3), Frame(4, 3)),
        ("batch_size", 1, 1),
        ("batch_size", "1024", 1024),
        ("gie_id", 1, 1),
        ("gpu_id", 0, 0),
        ("opset", None, None),
        ("target", 6.2, "deepstream-6.2"),
        ("target", "DeepStream 7.1", "deepstream-7.1"),
        ("platform", "dGPU", "dgpu"),
        ("jetpack", 6.2, "6.2"),
        ("jetpack", "JetPack 6.2.1", "6.2"),
        ("role", "sgie", "sgie"),
    ],
)
def test_values(name: str, given: object, value: object) -> None:
    found = OPTIONS[name].value(given)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("labels", "a;;b", "a label is empty"),
        ("labels", [], "a list of labels holds texts that are not empty"),
        ("labels", ["a", " "], "a list of labels holds texts that are not empty"),
        ("labels", {"a": 1}, "it is a text or a number"),
        ("labels", "a\0", "it holds a NUL"),
        ("labels", True, "it is a text or a number"),
        ("task", "anomaly", "'anomaly' is not one of 'classifier', 'fomo', "),
        ("resize_mode", "none", "'none' is not one of 'squash', 'fit-shortest', 'fit-longest'."),
        ("dequantize", 1, "it is true or false"),
        ("dequantize", "yes", "it is true or false"),
        ("opset", 10, "10 is not in the range 11<=x<=18."),
        ("opset", 19, "19 is not in the range 11<=x<=18."),
        ("opset", 13.0, "it is a whole number"),
        ("opset", "13.0", "'13.0' is not a valid integer range."),
        ("opset", True, "it is a text or a number"),
        ("timeout", None, "it is a text or a number"),
        ("target", "7", r"there is no DeepStream release '7'; did you mean deepstream-7.0 or deepstream-7.1\?"),
        ("target", None, "it is a text or a number"),
        ("platform", "orin", "there is no platform 'orin': that is a Jetson; say --platform jetson"),
        ("jetpack", "9", "there is no JetPack '9' that a DeepStream release is known for; known: "),
        ("timeout", 0.9, "0.9 is not in the range x>=1."),
        ("timeout", "soon", "'soon' is not a valid float range."),
        ("tolerance", 0, "0.0 is not in the range x>0."),
        ("gpu_id", -1, "-1 is not in the range x>=0."),
        ("batch_size", 0, "0 is not in the range 1<=x<=1024."),
        ("batch_size", 1025, "1025 is not in the range 1<=x<=1024."),
        ("frame", "9:1", ".*; .*16:9"),
        ("images", "no/such/folder", "Path 'no/such/folder' does not exist."),
        ("role", "tgie", "'tgie' is not one of 'pgie', 'sgie', 'both'."),
    ],
)
def test_refusals(name: str, given: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}") as direct:
        OPTIONS[name].value(given)
    with pytest.raises(PresetError, match=f"^{name}: ") as caught:
        checked(ConvertOptions, {name: given})
    said = f"{caught.value.message.removeprefix(f'{name}: ')}; {caught.value.hint}"
    assert said in {str(direct.value), f"{direct.value}; {OPTIONS[name].help}"}


def test_the_table_has_no_option_that_no_class_has() -> None:
    classes = {"convert": ConvertOptions, "batch": BatchOptions, "check": CheckOptions, "simulate": SimulateOptions}
    for section, options in classes.items():
        assert load_toml("options.toml")[section].keys() <= table(options).keys(), section
        assert all(option.help for option in table(options).values()), section


def test_labels_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_bytes(b"\xef\xbb\xbfa;b\r\nc\r\n\n")
    (tmp_path / "one.txt").write_text("a; b\n")
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    assert OPTIONS["labels"].value("lines.txt", tmp_path) == ("a;b", "c")
    assert OPTIONS["labels"].value(str(tmp_path / "one.txt")) == ("a", "b")
    (tmp_path / "numbered.names").write_text("1: b\n0: a\n")
    assert OPTIONS["labels"].value("numbered.names", tmp_path) == ("a", "b")
    with pytest.raises(ValueError, match=r"^cannot read labels from .*latin\.txt: "):
        OPTIONS["labels"].value("latin.txt", tmp_path)
    assert OPTIONS["images"].value(".", tmp_path) == tmp_path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lables.txt", "there is no label file .*lables.txt; did you mean .*/labels.txt\\?"),
        ("labels", "there is no label file .*labels; did you mean .*/labels.txt\\?"),
        ("labls.txt", "there is no label file .*labls.txt; did you mean .*/labels.txt\\?"),
        ("my.names", "there is no label file .*my.names; check the name, or give a list a;b;c"),
        ("gone/labels", "there is no label file .*gone/labels; check the name, or give a list a;b;c"),
        ("folder/", ".*/folder is a folder; give the label file in it, or a list a;b;c"),
        ("model_variables.h", "there are no labels in .*model_variables.h; {text}"),
        ("empty.txt", "there are no labels in .*empty.txt; {text}"),
        ("picture.txt", "there are no labels in .*picture.txt; {text}"),
    ],
)
def test_files_without_labels(tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    files = {"labels.txt": b"a\nb", "model_variables.h": b"a\nb", "empty.txt": b"\n \n", "picture.txt": b"a\0b"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    whole = message.replace(".*/", ".*").replace(".*", re.escape(f"{tmp_path}/"))
    whole = whole.replace("{text}", "give a text file with one label a line, or a list a;b;c")
    with pytest.raises(ValueError, match=f"^{whole}$"):
        OPTIONS["labels"].value(given, tmp_path)


@pytest.mark.parametrize(("given", "value"), [(10.3, "10.3"), ("8.5", "8.5"), (9, "9"), (1.0, None), ("x", None)])
def test_a_version_of_tensorrt_may_be_a_number(given: object, value: str | None) -> None:
    option = table(CheckOptions)["tensorrt_version"]
    if value is not None:
        assert option.value(given) == value
        return
    message = f"{given!r} is no TensorRT that is known here; write it as 10.3 or 8.2.1"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        option.value(given)


TEXTS = (".txt", ".labels", ".label", ".names", ".lst", ".list", ".csv", ".tsv", ".text")
OTHERS = (
    *(".h", ".hpp", ".c", ".cc", ".cpp", ".json", ".zip", ".tflite", ".lite", ".onnx", ".eim", ".py", ".toml", ".yaml"),
    *(".yml", ".xml", ".pbtxt", ".png", ".jpg", ".jpeg", ".pdf"),
)


@pytest.mark.parametrize(
    "name", [*(f"m{suffix}" for suffix in (*TEXTS, *OTHERS)), "label", "labels", "classes", "names"]
)
def test_what_is_called_as_a_file_is_no_label(tmp_path: Path, name: str) -> None:
    hint = "check the name, or give a list a;b;c"
    with pytest.raises(ValueError, match=f"^there is no label file {tmp_path / name}; {hint}$"):
        OPTIONS["labels"].value(name, tmp_path)
    (tmp_path / name).write_text("a")
    if name.endswith(OTHERS):
        hint = "give a text file with one label a line, or a list a;b;c"
        with pytest.raises(ValueError, match=f"^there are no labels in {tmp_path / name}; {hint}$"):
            OPTIONS["labels"].value(name, tmp_path)
    else:
        assert OPTIONS["labels"].value(name, tmp_path) == ("a",)


def test_how_large_a_file_of_labels_may_be(tmp_path: Path) -> None:
    for size, is_read in ((2**20, True), (2**20 + 1, False)):
        (tmp_path / "labels.txt").write_text("a" * size)
        if is_read:
            assert OPTIONS["labels"].value("labels.txt", tmp_path) == ("a" * size,)
        else:
            with pytest.raises(ValueError, match=r"^there are no labels in "):
                OPTIONS["labels"].value("labels.txt", tmp_path)


@pytest.mark.parametrize("given", ["person", "folder", "v1.2", "yes/no;maybe", "a/b,c", "x" * 5000, "Dr. No"])
def test_labels_that_are_no_files(tmp_path: Path, given: str) -> None:
    (tmp_path / "folder").mkdir()
    assert OPTIONS["labels"].value(given, tmp_path) == tuple(given.replace(";", ",").split(","))


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ("800M", 800 * 1024**2),
        ("2G", 2 * 1024**3),
        ("1.5k", 1536),
        ("1T", 1024**4),
        ("7", 7),
        ("1", 1),
        ("0.001k", 1),
        (4096, 4096),
        ("1e3", 1000),
    ],
)
def test_sizes(given: object, size: int) -> None:
    assert parse_size(given) == size


@pytest.mark.parametrize("given", ["", "M", "0", "0.9", "-1M", "1P", "1MB", "inf", "nan", "1e999"])
def test_no_sizes(given: str) -> None:
    with pytest.raises(ValueError, match=r"^'.*' is no size; give 800M or 2G"):
        parse_size(given)


def test_what_is_not_given_is_not_there() -> None:
    assert checked(ConvertOptions, {}) == {}
    assert checked(ConvertOptions, {"opset": "12", "labels": None}) == {"opset": 12, "labels": None}
    assert set(defaults(ConvertOptions)) == set(OPTIONS) - {"jetpack"}
    assert (defaults(ConvertOptions)["timeout"], defaults(ConvertOptions)["opset"]) == (120.0, None)
    assert defaults(ConvertOptions)["dequantize"]


def test_one_target_for_all() -> None:
    assert {table(each)["jetpack"].default for each in (ConvertOptions, CheckOptions, SimulateOptions)} == {None}
    found = defaults(ConvertOptions)
    assert (found["target"], found["platform"]) == (RELEASE, PLATFORM)
    stages = {each.name: each.default for kind in (Emit, EmitPair) for each in fields(kind)}
    assert (stages["target"], stages["platform"]) == (RELEASE, PLATFORM)
    default = TargetChoice().default
    assert (default.target.name, default.target.platform, default.source) == (RELEASE, PLATFORM, "default")


@pytest.mark.parametrize(
    ("given", "settled"),
    [
        ({"jetpack": "6.2"}, {"target": "deepstream-7.1", "platform": "jetson"}),
        ({"jetpack": "6.2", "target": "7.1"}, {"target": "deepstream-7.1", "platform": "jetson"}),
        ({"jetpack": "5.1.2", "target": 6.2, "platform": "jetson"}, {"target": "deepstream-6.2", "platform": "jetson"}),
        ({"jetpack": None, "platform": "dgpu"}, {"platform": "dgpu"}),
    ],
)
def test_a_jetpack_is_a_target(given: dict[str, object], settled: dict[str, object]) -> None:
    assert checked(ConvertOptions, given) == settled


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"jetpack": "6.2", "target": "6.0.1"},
            "on JetPack 6.2 runs deepstream-7.1, and --target says deepstream-6.0.1",
        ),
        ({"jetpack": "6.2", "platform": "dgpu"}, "--jetpack 6.2 is about a Jetson, and --platform says dgpu"),
    ],
)
@pytest.mark.parametrize("options", [ConvertOptions, CheckOptions, SimulateOptions])
def test_targets_that_contradict_themselves(options: Any, given: dict[str, object], message: str) -> None:
    with pytest.raises(PresetError, match=f"^{message}$") as caught:
        checked(options, given)
    ways = "--jetpack, and say the release with --target" if "platform" in given else "--target or --jetpack"
    assert caught.value.hint == f"leave out {ways}"


def test_mistyped_options() -> None:
    with pytest.raises(PresetError, match=r"^there is no option 'resizemode'") as caught:
        checked(ConvertOptions, {"opset": 13, "resizemode": "squash"})
    assert caught.value.hint == "did you mean 'resize_mode'?"
    with pytest.raises(PresetError, match=r"^there is no option 'x'") as caught:
        refuse_unknown(["b", "x"], ["b", "a"])
    assert caught.value.hint == "the options are: a, b"
    refuse_unknown(["a", "b"], ["b", "a"])


@pytest.mark.parametrize(
    ("options", "pair", "message"),
    [
        ({"role": "both"}, True, "--role means nothing with --pgie and --sgie"),
        ({"operate_on_gie_id": 3}, True, "--operate-on-gie-id means nothing with --pgie and --sgie"),
        ({"frame": Frame(16, 9), "role": "sgie"}, False, "--frame is about whole frames"),
        ({"role": "both", "operate_on_gie_id": 3}, False, None),
        ({"frame": Frame(16, 9), "role": "pgie"}, False, None),
        ({"frame": None, "role": "sgie"}, False, None),
        ({"frame": Frame(16, 9)}, True, None),
        ({"resize": "graph", "role": "sgie"}, False, "--resize graph is about whole frames"),
        ({"resize": "graph"}, False, "--resize graph needs the size of the frames"),
        ({"resize": "graph", "frame": Frame(16, 9)}, False, "--resize graph needs the size of the frames"),
        ({"resize": "graph", "frame": Frame(640, 360, in_pixels=True)}, False, None),
        ({"resize": "device"}, False, None),
        ({"calibrate": "x", "precision": "int8"}, True, "--calibrate is for one export"),
        ({"calibrate": "x", "precision": "int8"}, False, None),
        ({"calibrate": "x"}, False, "--calibrate is about INT8"),
        ({"calibrate": "x", "precision": "fp16"}, False, "--calibrate is about INT8"),
        ({"line": (LINE,)}, False, "line door is in pixels, and of what frame is not said"),
        ({"line": (LINE, LINE), "frame": FULL}, False, "two lines are called door"),
        ({"zone": (ZONE, ZONE), "frame": FULL}, False, "two zones are called hall"),
        ({"line": (LINE,), "frame": Frame(640, 360, in_pixels=True)}, False, "line door leaves the frame of 640x360"),
        ({"zone": (ZONE,), "frame": Frame(640, 360, in_pixels=True)}, False, "zone hall leaves the frame of 640x360"),
        ({"line": (LINE,), "zone": (ZONE,), "frame": FULL}, False, None),
        (
            {"line": (parse_line("a:0,0,1,1"),), "role": "sgie"},
            False,
            "--line and --zone are about what the primary engine finds, and --role sgie has none",
        ),
        (
            {"zone": (SHARES,), "role": "sgie"},
            False,
            "--line and --zone are about what the primary engine finds, and --role sgie has none",
        ),
        ({"zone": (SHARES,), "role": "both", "overcrowding": 3}, False, None),
        ({"line": (LINE,), "frame": FULL, "overcrowding": 3}, False, "--overcrowding is about zones"),
        ({"rounding": "none", "precision": "int8"}, False, "--rounding is about a rewriting in float32"),
        ({"rounding": "every", "dequantize": False}, True, "--rounding is about a rewriting in float32"),
        ({"rounding": "auto", "precision": "int8"}, False, None),
        ({"rounding": "every", "precision": "fp16", "dequantize": True}, False, None),
    ],
)
def test_conversions_that_contradict_themselves(options: dict[str, Any], pair: bool, message: str | None) -> None:
    _refused(lambda: refuse_contradictions(options, pair=pair), message)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("app sgie", "--app names its secondary engines itself"),
        ("tensors sgie", "--tensors are one engine's outputs"),
        ("original", "--original goes with --against edge-impulse"),
        ("tensors against", "--against needs pictures"),
        ("tensors app", None),
        ("app against original", None),
        ("sgie against", None),
        ("", None),
    ],
)
def test_simulations_that_contradict_themselves(given: str, message: str | None) -> None:
    _refused(lambda: refuse_simulation(dict.fromkeys(given.split(), "x")), message)


@pytest.mark.parametrize(
    ("given", "message"), [({"app": "x"}, "--app is about pictures"), ({"stride": 2.0}, None), ({"app": None}, None)]
)
def test_simulations_of_recordings(given: dict[str, Any], message: str | None) -> None:
    _refused(lambda: refuse_recordings({**defaults(SimulateOptions), **given}), message)


HINTS = {
    "--role means nothing with --pgie and --sgie": "they say it already",
    "--operate-on-gie-id means nothing with --pgie and --sgie": "they say it already",
    "--frame is about whole frames": "leave one of them out",
    "--resize graph is about whole frames": "leave one of them out",
    "--resize graph needs": (
        "say it in pixels, --frame 1280x720 for example: the width and height that [streammux] has"
    ),
    "--calibrate is for one export": "convert the two into folders of their own",
    "--calibrate is about INT8": "give --precision int8, too, or leave it out",
    "line door is in pixels": (
        "give shares of the frame from 0 to 1, or with convert --frame WIDTHxHEIGHT, too, as 1280x720"
    ),
    "two lines are called door": "give each a name of its own",
    "two zones are called hall": "give each a name of its own",
    "line door leaves the frame of 640x360": "x is 0 to 640, y 0 to 360",
    "zone hall leaves the frame of 640x360": "x is 0 to 640, y 0 to 360",
    "--line and --zone are about what the primary engine finds, and --role sgie has none": "leave --role out",
    "--overcrowding is about zones": "give a --zone, too",
    "--rounding is about a rewriting in float32": "leave it out, or --precision int8 and --no-dequantize",
    "--app names its secondary engines itself": "leave out --sgie",
    "--tensors are one engine's outputs": "a secondary engine needs pictures",
    "--original goes with --against edge-impulse": None,
    "--against needs pictures": "leave out --tensors",
    "--app is about pictures": "leave out --app",
}


def _refused(call: Any, message: str | None) -> None:
    if message is None:
        call()
        return
    with pytest.raises(PresetError, match=f"^{message}") as caught:
        call()
    assert caught.value.hint == next(hint for start, hint in HINTS.items() if message.startswith(start))


@pytest.mark.parametrize(
    ("given", "value"),
    [("auto", "auto"), (" AUTO", "auto"), ("none", "none"), (None, "none"), ("16:9", Frame(16, 9)), (Frame(4, 3),) * 2],
)
def test_frames_in_any_form(given: object, value: object) -> None:
    assert checked(ConvertOptions, {"frame": given}) == {"frame": value}


def test_a_folder_need_not_exist_and_is_no_file(tmp_path: Path) -> None:
    option = table(BatchOptions)["cache_dir"]
    assert option.value("gone", tmp_path) == tmp_path / "gone"
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"^Directory '{tmp_path / 'file'}' is a file.$"):
        option.value("file", tmp_path)


def test_which_tensorrt_is_known() -> None:
    known = "is no TensorRT that is known here; write it as 10.3 or 8.2.1"
    assert table(CheckOptions)["tensorrt_version"].value("8.2.1") == "8.2.1"
    for given in ("6.0", "ten"):
        with pytest.raises(ValueError, match=f"^'{given}' {known}$"):
            table(CheckOptions)["tensorrt_version"].value(given)


@pytest.mark.parametrize("value", ["nan", "inf", float("nan"), 1e400])
def test_no_number_of_anything(value: float | str) -> None:
    with pytest.raises(PresetError, match=r"^stride: .* is no number of anything"):
        checked(SimulateOptions, {"stride": value})
