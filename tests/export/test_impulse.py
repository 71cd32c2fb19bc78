"""Impulses of sound and sensor data are read from exports of every age."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convert.dsp import Impulse, KMeans
from convert.errors import ConvertError, InputError, NoModelError, UnsupportedModelError
from convert.export.archive import open_source
from convert.export.impulse import FoundImpulse, find_impulse, read_impulse
from convert.export.models import list_models
from convert.export.parameters import File
from convert.export.unpack import Unpack, inspect
from samples.layouts import Parameters, impulse_library, write_tree
from tests.dsp.impulses import block, impulse
from tests.export import tiny

if TYPE_CHECKING:
    from collections.abc import Mapping

YEARS = (2021, 2022, 2023, 2024, 2025, 2026)


def motion(*, anomaly: bool = True, number: int = 0) -> Impulse:
    """Three axes of an accelerometer, and their clusters."""
    spectral = block("spectral_analysis", 2, 3, number, implementation_version=2.0)
    kmeans = KMeans((0, 11), (0.25, 0.5), (1.5, 2.0), ((0.1, 0.2), (-1.0, 3.0)), (0.5, 0.25), number)
    made = impulse(spectral, samples=125, axes=3, frequency=62.5, anomaly=kmeans if anomaly else None)
    return replace(made, sensor="accelerometer", axis_names=("accX", "accY", "accZ"), slices=4)


def library(given: Impulse, year: int, *, network: bool = True) -> dict[str, bytes]:
    size = sum(each.size for each in given.blocks)
    data = tiny.features(size) if network else None
    return impulse_library(data, given, Parameters(labels=("a", "b", "c", "d"), year=year, resize_mode=None))


def found(files: Mapping[str, bytes], folder: Path, wanted: str | None = None) -> FoundImpulse | None:
    with open_source(write_tree(files, folder)) as source:
        return find_impulse(source.tree, list_models(source.tree), wanted)


def read(files: Mapping[str, bytes], folder: Path) -> Impulse:
    result = found(files, folder)
    assert result is not None
    return result.impulse


@pytest.mark.parametrize("year", YEARS)
def test_every_age_is_read_as_it_was_written(year: int, tmp_path: Path) -> None:
    given = motion(number=0 if year <= 2022 else 7)
    if year <= 2021:  # the struct had no version then
        (old,) = given.blocks
        values = {name: value for name, value in old.values.items() if name != "implementation_version"}
        given = replace(given, blocks=(replace(old, version=1, values=values),))
    assert read(library(given, year), tmp_path) == given


@pytest.mark.parametrize(
    ("interval", "frequency", "read_as"), [(20, None, 50), (20, 0, 50), (20, 25.0, 25), (0, 25.0, 25)]
)
def test_without_a_frequency_the_interval_says_it(
    interval: float, frequency: float | None, read_as: float, tmp_path: Path
) -> None:
    changed = {}
    for path, data in library(motion(number=7), 2024).items():
        text = data.decode("latin-1")
        text = re.sub(r"(INTERVAL_MS |interval_ms = )16", rf"\g<1>{interval}", text)
        if frequency is None:
            text = re.sub(r"#define EI_CLASSIFIER_FREQUENCY.*|    \.frequency = .*", "", text)
        else:
            text = re.sub(r"(_FREQUENCY |\.frequency = )62.5", rf"\g<1>{frequency}", text)
        changed[path] = text.encode("latin-1")
    assert read(changed, tmp_path).frequency == read_as


def test_several_blocks_feed_the_network_in_the_order_that_is_recorded(tmp_path: Path) -> None:
    parts = (block("raw", 1, 3, 4), block("flatten", 1, 3, 9))
    given = replace(impulse(*parts, samples=20, axes=3, frequency=10), sensor="fusion", inputs=(9, 4))
    assert read(library(given, 2025), tmp_path).inputs == (9, 4)


def test_blocks_that_feed_nothing_are_told_from_those_whose_sizes_fit(tmp_path: Path) -> None:
    parts = (block("raw", 1, 3, 0), block("flatten", 1, 3, 1))
    given = replace(impulse(*parts, samples=20, axes=3, frequency=10), sensor="fusion")
    files = impulse_library(tiny.features(given.blocks[1].size), given, Parameters(year=2022, resize_mode=None))
    assert read(files, tmp_path).inputs == (1,)


def test_two_blocks_of_one_size_are_refused_where_nothing_says_which(tmp_path: Path) -> None:
    parts = (block("raw", 1, 3, 0), block("raw", 1, 3, 1))
    given = replace(impulse(*parts, samples=20, axes=3, frequency=10), sensor="fusion")
    files = impulse_library(tiny.features(60), given, Parameters(year=2022, resize_mode=None))
    with pytest.raises(UnsupportedModelError, match="which blocks feed the network is not recorded"):
        read(files, tmp_path)


def test_normalised_features(tmp_path: Path) -> None:
    raw = replace(impulse(block("raw", 1, 2, 3), samples=2, axes=2, frequency=10), sensor="fusion")
    scaled = replace(raw.blocks[0], normalisation=((1.0, 2.0, 3.0, 4.0), (0.5, 0.25, 2.0, 1.0)))
    assert read(library(replace(raw, blocks=(scaled,)), 2026), tmp_path).blocks == (scaled,)


@pytest.mark.parametrize("given", ["", ".scale_data = 0,", ".scale_data = { 1, 2 },", ".scale_data = other,"])
def test_normalised_features_without_their_scale(given: str, tmp_path: Path) -> None:
    raw = replace(impulse(block("raw", 1, 2, 3), samples=2, axes=2, frequency=10), sensor="fusion")
    scaled = replace(raw.blocks[0], normalisation=((1.0, 2.0, 3.0, 4.0), (0.5, 0.25, 2.0, 1.0)))
    files = library(replace(raw, blocks=(scaled,)), 2026)
    text = files["model-parameters/model_variables.h"].decode()
    changed_text, count = re.subn(r"\.scale_data = [^,]+,", given, text)
    assert count
    with pytest.raises(InputError, match=r"scale_data.* is not in model-parameters/"):
        read({**files, "model-parameters/model_variables.h": changed_text.encode()}, tmp_path)


def test_a_large_header_and_a_large_document_in_one_folder_with_the_parameters(tmp_path: Path) -> None:
    files = {Path(path).name: data for path, data in library(motion(number=7), 2024).items()}
    files["tflite-trained.h"] = b"// more than any header of parameters has" + b" " * (5 << 20)
    files["deployment-metadata.json"] = b" " * (2 << 20) + b"{}"
    assert read(files, tmp_path) == motion(number=7)


def test_without_a_network(tmp_path: Path) -> None:
    given = replace(motion(number=7), inputs=())
    files = library(given, 2025, network=False)
    result = found(files, tmp_path)
    assert result is not None
    assert (result.impulse, result.network) == (given, None)


def test_exports_of_pictures_are_none(tmp_path: Path) -> None:
    from samples.layouts import cpp_library

    assert found(cpp_library(tiny.classifier(), Parameters()), tmp_path) is None


def test_of_two_impulses_the_one_whose_network_is_named(tmp_path: Path) -> None:
    raw = replace(impulse(block("raw", 1, 3, 14), samples=20, axes=3, frequency=10), sensor="fusion", slices=2)
    files = library(motion(number=7), 2025)
    second = Parameters(labels=("a", "b", "c", "d"), year=2025, resize_mode=None, impulse_id=2, block_id=15)
    for path, data in impulse_library(tiny.features(60), raw, second).items():
        other = data.replace(b"_H\n", b"_2_H\n")  # include guards
        files[path] = files.get(path, b"") + other
    place = write_tree(files, tmp_path)
    with open_source(place) as source:
        listing = list_models(source.tree)
        with pytest.raises(NoModelError, match="holds 2 models"):
            find_impulse(source.tree, listing, None)
        results = [find_impulse(source.tree, listing, name) for name in ("tflite_learn_5", "tflite_learn_15")]
    assert [each and each.impulse for each in results] == [motion(number=7), raw]
    shown = inspect(place)
    assert shown.undecided is not None
    assert [model.reason for model in shown.models] == [None, None]


@pytest.mark.parametrize(("name", "inputs"), [("tflite_learn_5", (9,)), ("tflite_learn_6", (4,))])
def test_of_two_networks_of_one_impulse_each_has_its_own_inputs(
    name: str, inputs: tuple[int, ...], tmp_path: Path
) -> None:
    parts, path = (block("raw", 1, 3, 4), block("flatten", 1, 3, 9)), "model-parameters/model_variables.h"
    whole = replace(impulse(*parts, samples=20, axes=3, frequency=10), sensor="fusion")
    first, second = (
        impulse_library(
            tiny.features(size),
            replace(whole, inputs=(number,)),
            Parameters(labels=("a", "b", "c", "d"), year=2025, resize_mode=None, block_id=learning),
        )
        for size, number, learning in ((21, 9, 5), (60, 4, 6))
    )
    text, other = first[path].decode(), second[path].decode()
    config = other[other.index("const ei_config_tflite_graph_t") : other.index("const ei_learning_block_t")]
    (entry,) = re.findall(r"\n    \{ 6, &run_nn_inference.*", other)
    text = text.replace("const ei_learning_block_t", config + "const ei_learning_block_t")
    text = re.sub(r"(\n    \{ 5, &run_nn_inference.*)", lambda match: match[1] + entry, text)
    result = found({**second, **first, path: text.encode()}, tmp_path, name)
    assert result is not None
    assert result.impulse.inputs == inputs


def changed(files: dict[str, bytes], name: str, old: str, new: str) -> dict[str, bytes]:
    text = files[f"model-parameters/{name}"].decode()
    assert old in text
    return {**files, f"model-parameters/{name}": text.replace(old, new).encode()}


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "model_metadata.h",
            "    float filter_order;\n",
            "",
            "its struct ei_dsp_config_spectral_analysis_t has 16 members",
        ),
        ("model_metadata.h", "    float filter_order;\n", "    float filter_order;\n    int x;\n", "has 18 members"),
        ("model_metadata.h", "ei_dsp_config_spectral_analysis_t;", "other_t;", "the struct .* is not in model-param"),
        ("model_variables.h", ".raw_sample_count = 125", ".raw_sample_count = 0", "a window of 0 samples of 3 axes"),
        ("model_variables.h", ".raw_samples_per_frame = 3", ".raw_samples_per_frame = 99999999", "which cannot be"),
        ("model_variables.h", ".raw_samples_per_frame = 3", ".raw_samples_per_frame = 2", "takes axes"),
        ("model_variables.h", ".raw_sample_count = 125", ".raw_sample_count = 1e999", "a window of 0 samples"),
        ("model_variables.h", ".raw_samples_per_frame = 3", ".raw_samples_per_frame = 1e300", "which cannot be"),
        ("anomaly_metadata.h", "{ 0, 11 }", "{ 0, 1000 }", "features that do not exist"),
        ("anomaly_metadata.h", "{ 1.5, 2 }", "{ 1.5, 0 }", "a scale of 0"),
        ("anomaly_metadata.h", "{ 1.5, 2 }", "{ 1.5 }", "do not fit its 2 features"),
    ],
)
def test_what_does_not_fit_together_is_one_sentence(
    name: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read(changed(library(motion(number=7), 2024), name, old, new), tmp_path)
    assert caught.value.path is not None


def test_a_custom_block_is_refused(tmp_path: Path) -> None:
    old = "&extract_spectral_analysis_features"
    files = changed(library(motion(number=7), 2024), "model_variables.h", old, "&my_own_block")
    with pytest.raises(UnsupportedModelError, match="is a custom block"):
        read(files, tmp_path)


def document(**changes: Any) -> bytes:
    """`deployment-metadata.json` of a block of raw data."""
    dsp = {
        "id": 5,
        "type": "raw",
        "axes": ["y", "x"],
        "implementationVersion": 1,
        "metadata": {"dspConfig": {"options": {"scale-axes": 2}, "normalizeData": "none"}, "featureCount": 8},
    }
    recorded = {
        "version": 1,
        "samplesPerInference": 4,
        "axesCount": 2,
        "axes": ["x", "y"],
        "frequency": 10,
        "sensor": "fusion",
        "impulse": {"dspBlocks": [dsp], "learnBlocks": [{"id": 6, "type": "keras", "dsp": [5]}]},
    }
    return json.dumps(recorded | changes).encode()


def dsp_block(**changes: Any) -> dict[str, Any]:
    """The block of `document`, changed."""
    (recorded,) = json.loads(document())["impulse"]["dspBlocks"]
    return {**recorded, **changes}


_OPTIONS = dsp_block()["metadata"]
_NAN = {"dspConfig": {"options": {"scale-axes": float("nan")}}, "featureCount": 8}


def test_the_document_of_a_deployment_where_headers_have_no_block() -> None:
    result = read_impulse((), File(document(), "d.json"), frozenset(), 8, lambda _: b"")
    (raw,) = result.blocks
    assert (raw.kind, raw.id, raw.axes, raw.values, raw.size) == ("raw", 5, (1, 0), {"scale_axes": 2.0}, 8)
    assert (result.samples, result.axes, result.frequency, result.inputs) == (4, 2, 10.0, (5,))


@pytest.mark.parametrize(
    "changes",
    [
        {"impulse": 3},
        {"frequency": "much"},
        {"axesCount": None},
        {"impulse": {}},
        {"axes": "xy"},
        {"axes": {"x": 0, "y": 1}},
        {"axesCount": 3, "impulse": {"dspBlocks": [dsp_block(axes="xy")], "learnBlocks": []}},
        {"sensor": ["fusion"]},
        {"impulse": {"dspBlocks": [dsp_block(metadata={**_OPTIONS, "featureCount": -5})], "learnBlocks": []}},
        {"impulse": {"dspBlocks": [dsp_block(metadata=_NAN)], "learnBlocks": []}},
    ],
)
def test_a_damaged_document_is_one_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_impulse((), File(document(**changes), "d.json"), frozenset(), 8, lambda _: b"")


def test_some_of_the_axes_in_an_order_that_is_not_recorded_are_refused() -> None:
    with pytest.raises(
        UnsupportedModelError, match="the block 5 takes y, x of 3 axes, whose order is not recorded"
    ) as caught:
        read_impulse((), File(document(axes=None, axesCount=3), "d.json"), frozenset(), 8, lambda _: b"")
    assert caught.value.path == "d.json"
    every = read_impulse((), File(document(axes=None), "d.json"), frozenset(), 8, lambda _: b"")
    assert every.blocks[0].axes == (0, 1)


def test_a_document_of_too_many_blocks_is_refused_at_once() -> None:
    listed = [dsp_block(id=number) for number in range(40)]  # they feed a network in 2 ** 40 ways
    data = document(impulse={"dspBlocks": listed, "learnBlocks": []})
    with pytest.raises(InputError, match="40 signal-processing blocks"):
        read_impulse((), File(data, "d.json"), frozenset(), 8, lambda _: b"")


@pytest.mark.parametrize("axes", [["x", "y"], ["x", "y", "z"]])
def test_one_axis_that_is_not_among_the_recorded_is_refused(axes: list[str]) -> None:
    data = document(axes=axes, axesCount=len(axes), impulse={"dspBlocks": [dsp_block(axes=["x", "Q"])]})
    with pytest.raises(UnsupportedModelError, match=r"the block 5 takes x, Q of . axes, whose order is not recorded"):
        read_impulse((), File(data, "d.json"), frozenset(), 8, lambda _: b"")


_HEADERS = {name: data for name, data in library(motion(number=7), 2025).items() if name.endswith(".h")}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_headers_end_in_an_error_of_ours(data: st.DataObject) -> None:
    parts = {Path(name).name: bytearray(text) for name, text in _HEADERS.items() if "model-parameters" in name}
    name = data.draw(st.sampled_from(sorted(parts)))
    at = data.draw(st.integers(0, len(parts[name]) - 1))
    end = at + data.draw(st.integers(0, 40))
    parts[name][at:end] = data.draw(st.binary(max_size=12) | st.sampled_from([b"{", b"}", b"1e400", b"nullptr"]))
    order = ("model_metadata.h", "anomaly_metadata.h", "model_variables.h")
    files = tuple(File(bytes(parts[each]), each) for each in order)
    try:
        result = read_impulse(files, None, frozenset(), 33, lambda _: b"")
    except ConvertError:
        return
    assert result.samples * result.axes > 0


def test_unpack_gives_the_whole_impulse_where_asked_for(tmp_path: Path) -> None:
    place = write_tree(library(motion(number=7), 2025), tmp_path)
    assert Unpack()(place, tmp_path).artifact.impulse is None
    export = Unpack(whole=True)(place, tmp_path).artifact
    assert export.impulse == motion(number=7)
    assert export.name == "garden-watch"
    assert export.metadata.labels == ("a", "b", "c", "d")
    named = Unpack(whole=True, labels=("w", "x", "y", "z"))(place, tmp_path).artifact
    metadata = replace(export.metadata, labels=("w", "x", "y", "z"))
    assert named == replace(export, metadata=metadata, labels_from="--labels")
    # Who names a last layer says that the export takes pictures.
    assert Unpack(whole=True, task="classifier")(place, tmp_path).artifact.impulse is None


def test_inspect_shows_it_as_convertible(tmp_path: Path) -> None:
    result = inspect(write_tree(library(motion(number=7), 2025), tmp_path))
    assert (result.impulse, result.undecided) == (motion(number=7), None)
    assert [model.reason for model in result.models] == [None]


def test_inspect_says_why_it_cannot_be_converted(tmp_path: Path) -> None:
    files = changed(library(motion(number=7), 2025), "model_variables.h", '"FFT"', '"Wavelet"')
    result = inspect(write_tree(files, tmp_path))
    assert result.impulse is not None
    assert result.undecided is not None
    assert "avelet" in result.undecided
    assert result.models[0].reason == result.undecided


def test_a_list_of_blocks_left_from_an_older_deployment_does_not_count(tmp_path: Path) -> None:
    files = library(motion(number=7), 2023)
    left = b"""
        const size_t ei_dsp_blocks_size = 1;
        ei_model_dsp_t ei_dsp_blocks[] = {
            { 60, &extract_raw_features, (void*)&ei_dsp_config_22, ei_dsp_config_22_axes, 3 } };"""
    assert read({**files, "model-parameters/dsp_blocks.h": left}, tmp_path) == motion(number=7)


def test_of_copies_of_a_network_the_one_that_headers_describe_is_named(tmp_path: Path) -> None:
    raw = impulse(block("raw", 1, 3, 14), samples=20, axes=3, frequency=10)
    files = {
        f"{name}/{path}": data
        for name, given in (("lib", motion()), ("other", raw))
        for path, data in library(given, 2026).items()
    }
    copy = files["lib/tflite-model/tflite_learn_4711_5.tflite"]
    files |= {"app/model_metadata.h": b"#define EI_CLASSIFIER_PROJECT_ID 1\n", "app/model.tflite": copy}
    with open_source(write_tree(files, tmp_path)) as source:
        listing = list_models(source.tree)
        assert listing.entries[0].candidate.member == "app/model.tflite"
        with pytest.raises(NoModelError, match="holds 2 models") as caught:
            find_impulse(source.tree, listing, None)
        assert caught.value.hint == "name one with --model, for example --model '#2'"
        assert find_impulse(source.tree, listing, "#2") is not None


def test_a_network_that_a_chip_keeps_is_not_said_to_be_missing_from_the_impulse(tmp_path: Path) -> None:
    given = replace(impulse(block("raw", 1, 3, 7), samples=20, axes=3, frequency=10), sensor="fusion")
    files = library(given, 2023, network=False)
    variables = re.sub(
        rb"(?s)const ei_config_tflite_graph_t.*(?=const ei_impulse_t)", b"", files["model-parameters/model_variables.h"]
    )
    engine = re.sub(
        rb"(INFERENCING_ENGINE +)2\n", rb"\g<1>EI_CLASSIFIER_SYNTIANT\n", files["model-parameters/model_metadata.h"]
    )
    files = {"model-parameters/model_variables.h": variables, "model-parameters/model_metadata.h": engine}
    shown = inspect(write_tree(files, tmp_path / "raw"))
    assert shown.undecided is not None
    assert shown.undecided == "the export is for the inferencing engine SYNTIANT, whose model is not in it"
    files = {path: re.sub(rb"(dsp_config_|extract_)raw", rb"\1audio_syntiant", data) for path, data in files.items()}
    shown = inspect(write_tree(files, tmp_path / "sound"))
    assert shown.undecided is not None
    assert "made for Syntiant's chips" in shown.undecided
