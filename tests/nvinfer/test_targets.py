"""targets.toml: complete, consistent, honest about gaps; a damaged edit is named."""

from __future__ import annotations

import copy
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.errors import PresetError
from convert.files import load_toml
from convert.nvinfer.targets import (
    between,
    catalogue,
    float32_flags,
    int8_mode,
    jetpack_named,
    opsets,
    parsers,
    platforms,
    preset,
    read_catalogue,
    reads_key,
    release_named,
    releases,
    runs_on,
    sdk_path,
    sinks,
    target,
    targets,
    tracker,
    trtexec_accepts,
    trtexec_flags,
    trtexec_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASES = ["5.1", "6.0", "6.0.1", "6.1", "6.1.1", "6.2", "6.3", "6.4", "7.0", "7.1", "8.0", "9.0", "9.1", "9.2"]
PATH = Path("configs/targets.toml")

# TensorRT as far as the first two numbers, dgpu and jetson, of the releases above.
TENSORRT = {
    "dgpu": ["7.2", "8.0", "8.0", "8.2", "8.4", "8.5", "8.5", "8.6", "8.6", "10.3", "10.9", "10.14", "10.16", "10.16"],
    "jetson": [
        "7.1",
        "8.0",
        "8.2",
        "8.4",
        "8.4",
        "8.5",
        "8.5",
        "8.6",
        "8.6",
        "10.3",
        "10.13",
        "10.13",
        "10.16",
        "10.16",
    ],
}


def test_every_release_is_there_for_both_platforms() -> None:
    assert list(releases()) == RELEASES
    assert platforms() == ("jetson", "dgpu")
    assert {(each.deepstream, each.platform) for each in targets()} == {
        (release, platform) for release in RELEASES for platform in ("jetson", "dgpu")
    }


@pytest.mark.parametrize("platform", ["dgpu", "jetson"])
def test_tensorrt_by_release_and_platform(platform: str) -> None:
    found = [".".join(each.tensorrt.split(".")[:2]) for each in targets() if each.platform == platform]
    assert found == TENSORRT[platform]


@pytest.mark.parametrize("each", targets(), ids=lambda each: f"{each.deepstream}-{each.platform}")
def test_a_gap_is_admitted(each: Any) -> None:
    cells = ["cuda", "ubuntu", "gstreamer", "released"]
    if each.platform == "jetson":
        cells += ["jetpack", "l4t", "families"]
    doubts = dict(each.unverified)
    assert [cell for cell in cells if not getattr(each, cell) and cell not in doubts] == []
    assert all(doubts.values())


@pytest.mark.parametrize(
    "name",
    [
        *("7.1", "deepstream-7.1", "DeepStream 7.1", " deepstream-7.1 ", "ds-7.1", "DS7.1", "v7.1", "deepstream_7.1"),
        *("7.1.0", "NVIDIA DeepStream SDK 7.1"),
    ],
)
def test_a_target_is_found_by_its_names(name: str) -> None:
    found = target(name, "Jetson")
    assert (found.deepstream, found.name, found.tensorrt, found.jetpack) == ("7.1", "deepstream-7.1", "10.3.0", "6.1")


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("deepstream-6.1.2", "deepstream-6.1.1"),
        ("deepstream-9.9", "deepstream-9.2"),
        ("71", "deepstream-7.1"),
        ("7", "deepstream-7.0 or deepstream-7.1"),
        ("DeepStream 8", "deepstream-8.0"),
        ("7.1-samples", "deepstream-7.1"),
    ],
)
def test_an_unknown_release_gets_a_guess_and_the_list(name: str, guess: str) -> None:
    with pytest.raises(PresetError) as caught:
        target(name, "jetson")
    assert repr(name) in caught.value.message
    hint = str(caught.value.hint)
    assert hint.startswith(f"did you mean {guess}? known: ")
    assert all(f"deepstream-{release}" in hint for release in RELEASES)


@pytest.mark.parametrize(
    "name", ["newest", "", "deepstream", "\0", "9" * 5000, f"nvidia{'-' * 100_000}sdk{'-' * 10_000}x"]
)
def test_nonsense_gets_the_list_only(name: str) -> None:
    with pytest.raises(PresetError) as caught:
        target(name, "jetson")
    assert str(caught.value.hint).startswith("known: deepstream-5.1, ")


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("jetson", "a platform", "say --platform jetson, and the release with --target: 5.1, "),
        *(
            (name, "a platform", "say --platform dgpu, and the release with --target: 5.1, ")
            for name in ("dgpu", "x86", "x86_64", "AMD64", "pc", "gpu", "server", "desktop", "tesla", "GeForce", "rtx")
        ),
        ("JetPack 6.1", "a JetPack", "say --jetpack 6.1"),
        ("jp5.1.5", "a JetPack", "say --jetpack 5.1.4"),
        ("jetpack-6.9", "a JetPack", "say --jetpack with one of 4.5.1, "),
        ("L4T 36.4.3", "Jetson Linux (L4T)", "it is that of JetPack 6.1: say --jetpack 6.1"),
        ("r35.4", "Jetson Linux (L4T)", "say --jetpack with one of 4.5.1, "),
        ("TensorRT 10.3", "a TensorRT", "it comes with deepstream-7.1 (jetson), deepstream-7.1 (dgpu)"),
        ("trt11", "a TensorRT", "releases: 5.1, "),
        ("orin", "a Jetson", "on it runs deepstream-6.1, deepstream-6.1.1, "),
        ("Jetson Nano", "a Jetson", "on it runs deepstream-5.1, deepstream-6.0, deepstream-6.0.1; or say --jetpack"),
        ("thor", "a Jetson", "on it runs deepstream-8.0, "),
    ],
)
def test_what_people_take_for_a_release(name: str, what: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        release_named(name)
    assert caught.value.message == f"there is no DeepStream release {name!r}: that is {what}"
    assert str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(
    ("platform", "what", "hint"),
    [
        ("mac", "", "platforms: jetson, dgpu"),
        ("pc", "", "a PC or server with a discrete GPU is --platform dgpu"),
        ("Orin Nano", "that is a Jetson", "say --platform jetson; on it runs deepstream-6.1, "),
        ("jetson-thor", "that is a Jetson", "say --platform jetson; on it runs deepstream-8.0, deepstream-9.0"),
    ],
)
def test_what_people_take_for_a_platform(platform: str, what: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        target("7.1", platform)
    assert caught.value.message == f"there is no platform {platform!r}{what and f': {what}'}"
    assert str(caught.value.hint).startswith(hint)


@pytest.mark.parametrize(
    ("name", "jetpack"),
    [
        ("6.2", "6.2"),
        ("JetPack 6.2", "6.2"),
        ("jp6.1", "6.1"),
        ("JetPack SDK 6.0", "6.0"),
        ("6.0 GA", "6.0"),
        ("6.0DP", "6.0 DP"),
        ("5.0.1", "5.0.1 DP"),
        ("6.2.1", "6.2"),
        ("4.6.6", "4.6.4"),
        ("5.1.5", "5.1.4"),
        ("7.2.2", "7.2"),
    ],
)
def test_jetpacks(name: str, jetpack: str) -> None:
    assert jetpack_named(name) == jetpack


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("6", "did you mean 6.0 DP, 6.0, 6.1, 6.2?"),
        ("6.2 DP", "known: 4.5.1, "),
        ("5.0", "did you mean 5.0.1 DP, 5.0.2?"),
        ("6.9", "known: 4.5.1, 4.6, "),
        ("6.1 DP", "known: "),
        ("orin", "known: "),
        ("", "known: "),
        ("deepstream-7.1", "that is a DeepStream release: say --target 7.1"),
        ("R36.4", "it is that of JetPack 6.1: say --jetpack 6.1"),
    ],
)
def test_no_jetpacks(name: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        jetpack_named(name)
    assert repr(name) in caught.value.message
    assert str(caught.value.hint).startswith(hint)


def test_every_jetpack_of_a_release_names_it() -> None:
    recorded = {each.jetpack: each.deepstream for each in targets() if each.jetpack}
    assert {jetpack: catalogue().jetpacks[jetpack][0] for jetpack in recorded} == recorded


@pytest.mark.parametrize(
    ("family", "runs"),
    [
        ("Nano", ["5.1", "6.0", "6.0.1"]),
        ("Orin Nano", ["6.1", "6.1.1", "6.2", "6.3", "6.4", "7.0", "7.1", "9.1", "9.2"]),
        ("thor", ["8.0", "9.0", "9.1", "9.2"]),
        ("TX1", ["5.1"]),
        ("jetson tx1 module", ["5.1"]),
        ("something else", []),
    ],
)
def test_what_runs_on_a_family(family: str, runs: list[str]) -> None:
    assert [each.deepstream for each in targets() if runs_on(each, family)] == runs


def test_spans_include_both_ends() -> None:
    assert [each for each in RELEASES if between(each, "6.0.1", "6.2")] == ["6.0.1", "6.1", "6.1.1", "6.2"]
    assert all(between(each, None, None) for each in RELEASES)


@pytest.mark.parametrize(
    ("key", "since"), [("symmetric-padding", "6.0"), ("strongly-typed", "9.0"), ("net-scale-factor", None)]
)
def test_since_when_a_key_is_read(key: str, since: str | None) -> None:
    assert catalogue().keys_since.get(key) == since
    knows = [each.deepstream for each in targets() if each.platform == "dgpu" and reads_key(each, key)]
    assert knows == RELEASES[RELEASES.index(since or "5.1") :]


def test_what_stopped_working() -> None:
    assert catalogue().keys_work_until["workspace-size"] == "7.0"
    assert "batch-size" not in catalogue().keys_work_until


@pytest.mark.parametrize(
    ("function", "there"),
    [
        ("NvDsInferParseCustomTfSSD", RELEASES),
        ("NvDsInferParseCustomSSDTLT", ["5.1"]),
        ("NvDsInferParseCustomBatchedNMSTLT", RELEASES[1:]),
        ("NvDsInferParseCustomEfficientDetTAO", RELEASES[3:]),
        ("NvDsInferParseYoloV5CustomBatchedNMSTLT", RELEASES[4:]),
        ("NvDsInferParseCustomDDETRTAO", RELEASES[6:]),
        ("NvDsInferParseCustomYoloV11OBB", RELEASES[11:]),
        ("NvDsInferParseCustomEfficientNMS", []),
    ],
)
def test_the_stock_parsers(function: str, there: list[str]) -> None:
    found = [
        each.deepstream
        for each in targets()
        if each.platform == "jetson" and function in {parser.function for parser in parsers(each)}
    ]
    assert found == there


def test_parsers_have_the_kinds_that_nvinfer_has_keys_for() -> None:
    kinds = {parser.kind for each in targets() for parser in parsers(each)}
    assert kinds == {"bbox", "instance-mask", "segmentation", "classifier"}


def test_where_the_sdk_is() -> None:
    assert sdk_path(target("6.0.1", "jetson"), "parser-library") == (
        "/opt/nvidia/deepstream/deepstream-6.0/lib/libnvds_infercustomparser.so"
    )
    assert sdk_path(target("9.1", "dgpu"), "samples/x.txt") == "/opt/nvidia/deepstream/deepstream/samples/x.txt"
    assert sdk_path(target("9.1", "dgpu"), "trtexec") == "/usr/src/tensorrt/bin/trtexec"


@pytest.mark.parametrize(
    ("release", "platform", "mode"),
    [("9.1", "dgpu", "typed"), ("8.0", "dgpu", "int8"), ("6.0", "dgpu", "int8"), ("6.1", "jetson", "int8")],
)
def test_how_a_model_of_codes_is_built(release: str, platform: str, mode: str) -> None:
    assert int8_mode(target(release, platform)) == mode


NO_INT8 = "whose GPUs have no INT8: a model of 8-bit codes does not run there"


@pytest.mark.parametrize(
    ("release", "platform", "message", "hint"),
    [
        (
            "5.1",
            "dgpu",
            "a model of 8-bit codes needs TensorRT 8.0; DeepStream 5.1 has 7.2.2",
            "choose a newer --target, or --precision fp16",
        ),
        (
            "6.0.1",
            "jetson",
            f"DeepStream 6.0.1 is for Nano and TX2, too, {NO_INT8}",
            "use --precision fp16; for a Xavier choose --target deepstream-6.1 or newer",
        ),
    ],
)
def test_where_a_model_of_codes_cannot_be_built(release: str, platform: str, message: str, hint: str) -> None:
    with pytest.raises(PresetError) as caught:
        int8_mode(target(release, platform))
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize("nodes", [(), ("a:b",), ("a,b",), ("*",), ("it's",)])
def test_nodes_that_trtexec_cannot_be_told(nodes: tuple[str, ...]) -> None:
    assert float32_flags("10.3", nodes) == ""


def test_nodes_that_trtexec_computes_in_float32() -> None:
    flags = "--precisionConstraints=obey '--layerPrecisions=a/X:fp32,b:fp32' '--layerOutputTypes=a/X:fp32,b:fp32'"
    assert float32_flags("10.3", ("a/X", "b")) == flags


def test_a_file_that_is_no_toml(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(_: str) -> None:
        tomllib.loads("a = [")

    monkeypatch.setattr("convert.nvinfer.targets.load_toml", damaged)
    with pytest.raises(PresetError, match=r"^not TOML: ") as caught:
        preset("targets.toml")
    assert caught.value.hint == "undo the last edit of that file"


def test_trackers_and_sinks() -> None:
    assert tracker(target("5.1", "jetson")).library == "lib/libnvds_mot_klt.so"
    assert {tracker(each).library for each in targets() if each.deepstream != "5.1"} == {
        "lib/libnvds_nvmultiobjecttracker.so"
    }
    shows = {
        each.deepstream: next(sink.what for sink in sinks(each) if sink.type == 2)
        for each in targets()
        if each.platform == "jetson"
    }
    assert [release for release, what in shows.items() if "EGL" in what] == RELEASES[:5]
    assert [release for release, what in shows.items() if "nv3dsink" in what] == RELEASES[5:]
    assert {sink.type for sink in sinks(target("9.1", "dgpu"))} == {1, 2, 3, 4, 6}
    assert {sink.type for sink in sinks(target("6.1", "jetson"))} == {1, 2, 3, 4, 5, 6, 7}


@pytest.mark.parametrize(
    ("tensorrt", "flags"),
    [
        ("7.1.3", ("--explicitBatch", "--workspace=1024", "--buildOnly")),
        ("8.0.1.6", ("--workspace=1024", "--buildOnly")),
        ("8.2.1", ("--workspace=1024", "--buildOnly")),
        ("8.4.0", ("--buildOnly",)),
        ("8.5.3.1", ("--buildOnly",)),
        ("8.6.1.6", ("--skipInference",)),
        ("10.3.0.26", ("--skipInference",)),
        ("10.16", ("--skipInference",)),
        ("11.1", ("--skipInference",)),
    ],
)
def test_what_trtexec_is_told(tensorrt: str, flags: tuple[str, ...]) -> None:
    assert trtexec_flags(tensorrt, "fp32") == flags
    assert all(trtexec_accepts(flag.partition("=")[0], tensorrt) for flag in flags)
    if tensorrt == "11.1":
        assert not trtexec_accepts("--fp16", tensorrt)
        with pytest.raises(PresetError, match=r"^TensorRT 11\.1") as caught:
            trtexec_flags(tensorrt, "fp16")
        assert caught.value.hint == "use --precision fp32, or an older --target"
    else:
        assert trtexec_flags(tensorrt, "fp16") == (*flags, "--fp16")
        assert trtexec_accepts("--fp16", tensorrt)


@pytest.mark.parametrize(
    ("flag", "tensorrt", "known"),
    [
        ("--explicitBatch", "9.3", True),
        ("--explicitBatch", "10.0", False),
        ("--skipInference", "8.5.3", False),
        ("--skipInference", "8.6", True),
        ("--memPoolSize", "8.2.5", False),
        ("--bf16", "8.6", False),
        ("--bf16", "10.16.1", True),
        ("--bf16", "11.0", False),
        ("--onnx", "7.1.3", True),
    ],
)
def test_which_flags_trtexec_knows(flag: str, tensorrt: str, known: bool) -> None:
    assert trtexec_accepts(flag, tensorrt) is known


def test_when_trtexec_warns() -> None:
    assert trtexec_note("10.16", "fp32") == ""
    assert trtexec_note("10.3", "fp16") == ""
    assert "deprecated" in trtexec_note("10.14.1.48", "fp16")


@pytest.mark.parametrize(
    ("tensorrt", "highest"),
    [("7.2.2", 11), ("8.2.1", 13), ("8.4.0", 13), ("8.4.1.5", 17), ("8.6.1", 17), ("10.16", 20)],
)
def test_opsets(tensorrt: str, highest: int) -> None:
    assert opsets(tensorrt)[1] == highest


def test_a_tensorrt_older_than_the_table_is_an_error() -> None:
    with pytest.raises(PresetError, match=r"^targets\.toml knows nothing of TensorRT 6\.0"):
        opsets("6.0")


def _no_release(data: dict[str, Any]) -> None:
    data["deepstream"] = "7.1"


def _no_tensorrt(data: dict[str, Any]) -> None:
    del data["deepstream"][0]["jetson"]["tensorrt"]


def _misspelt(data: dict[str, Any]) -> None:
    data["deepstream"][3]["dgpu"]["tensort"] = "8.2"


def _number_for_text(data: dict[str, Any]) -> None:
    data["deepstream"][0]["version"] = 5.1


def _unlisted_release(data: dict[str, Any]) -> None:
    data["stock-library"]["functions"][0]["since"] = "6.5"


def _no_version(data: dict[str, Any]) -> None:
    data["trtexec"][0]["tensorrt"] = "seven"


def _no_table(data: dict[str, Any]) -> None:
    del data["paths"]


def _text_for_releases(data: dict[str, Any]) -> None:
    data["jetpacks"]["6.0"] = "7.0"


def _table_for_path(data: dict[str, Any]) -> None:
    data["paths"]["trtexec"] = ["/usr"]


@pytest.mark.parametrize(
    ("damage", "named", "hint"),
    [
        (_no_release, "deepstream must be list", ""),
        (_no_tensorrt, "deepstream, entry 1: jetson: the entry 'tensorrt' is missing", ""),
        (_misspelt, "deepstream, entry 4: dgpu: unknown entry 'tensort'", "known: deepstream, platform, tensorrt, "),
        (_number_for_text, "the file: releases, entry 1 must be str, not 5.1", ""),
        (_unlisted_release, "a release is named that is not listed: 6.5", "add it, or correct it"),
        (_no_version, "not a TensorRT version: 'seven'", "numbers and dots"),
        (_no_table, "the file: the entry 'paths' is missing", ""),
        (_text_for_releases, "the file: jetpacks.6.0 must be list of text", ""),
        (_table_for_path, "the file: paths.trtexec must be str", ""),
    ],
)
def test_a_damaged_edit_is_named(damage: Callable[[dict[str, Any]], None], named: str, hint: str) -> None:
    data = copy.deepcopy(load_toml("targets.toml"))
    read_catalogue(data, PATH)
    damage(data)
    with pytest.raises(PresetError) as caught:
        read_catalogue(data, PATH)
    assert caught.value.message.startswith(named)
    assert (caught.value.hint or "").startswith(hint)
    assert bool(caught.value.hint) is bool(hint)
    assert caught.value.path == str(PATH)


def test_a_release_that_is_not_there_for_a_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those known now each is there for both."""
    known = catalogue()
    only = replace(known, targets=tuple(each for each in known.targets if each.platform == "dgpu"))
    monkeypatch.setattr("convert.nvinfer.targets.catalogue", lambda: only)
    with pytest.raises(PresetError, match=r"^DeepStream 9\.1 does not exist for jetson$") as caught:
        target("9.1", "jetson")
    assert caught.value.hint == "it exists for: dgpu"
