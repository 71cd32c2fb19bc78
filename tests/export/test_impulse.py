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
from convert.export.impulse import FoundImpulse, find_impulse, read_impulse, refuse
from convert.export.models import list_models
from convert.export.parameters import File
from convert.export.unpack import Unpack, inspect
from convert.types import Tensor
from samples.layouts import Parameters, impulse_library, write_tree
from tests.dsp.impulses import block, impulse
from tests.export import tiny
from tests.graph.flat import Flat

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


@pytest.mark.parametrize(("year", "file"), [(2021, "tflite-trained"), (2023, "tflite_learn_5")])
def test_a_network_that_is_damaged(year: int, file: str, tmp_path: Path) -> None:
    files, path = library(motion(number=7), year), f"tflite-model/{file}.h"
    files[path] = files[path].replace(b"0x54, 0x46, 0x4c, 0x33", b"0x54, 0x46, 0x4c, 0x39")
    with pytest.raises(InputError) as caught:
        found(files, tmp_path)
    assert caught.value.message == "this is not a TensorFlow Lite model (TFL3 is missing at byte 4)"


def test_blocks_that_feed_nothing_are_told_from_those_whose_sizes_fit(tmp_path: Path) -> None:
    parts = (block("raw", 1, 3, 0), block("flatten", 1, 3, 1))
    given = replace(impulse(*parts, samples=20, axes=3, frequency=10), sensor="fusion")
    files = impulse_library(tiny.features(given.blocks[1].size), given, Parameters(year=2022, resize_mode=None))
    assert read(files, tmp_path).inputs == (1,)


def test_two_blocks_of_one_size_are_refused_where_nothing_says_which(tmp_path: Path) -> None:
    parts = (block("raw", 1, 3, 0), block("raw", 1, 3, 1))
    given = replace(impulse(*parts, samples=20, axes=3, frequency=10), sensor="fusion")
    files = impulse_library(tiny.features(60), given, Parameters(year=2022, resize_mode=None))
    with pytest.raises(
        UnsupportedModelError,
        match=r"^which blocks feed the network is not recorded: it takes 60 features, "
        r"to which its blocks of 60 and 60 features add up in more than one way$",
    ) as caught:
        read(files, tmp_path)
    assert caught.value.hint == "build the deployment again in Studio: since 2023 it records this"
    files = impulse_library(tiny.features(61), given, Parameters(year=2022, resize_mode=None))
    with pytest.raises(UnsupportedModelError, match=r"^which .* 61 features, .* add up in no way$"):
        read(files, tmp_path / "other")


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


AGAIN = "export the library again, with all files of model-parameters/"
OTHERS = "use one of Studio's own blocks (spectral analysis, MFCC, MFE, spectrogram, flatten, raw data)"
CUSTOM = "block 1 of the impulse is a custom block: "
NOT_THERE = ", whose arithmetic is not in the export"
VARIABLES, ANOMALY, METADATA = "model_variables.h", "anomaly_metadata.h", "model_metadata.h"
ORDER, CONFIG = "    float filter_order;\n", "ei_dsp_config_spectral_analysis_t"
LISTED = (
    "    { 7, 15, &extract_spectral_analysis_features, (void*)&ei_dsp_config_7, ei_dsp_config_7_axes, 3, 1, "
    "nullptr, nullptr },\n"
)


@pytest.mark.parametrize(
    ("name", "old", "new", "message", "hint"),
    [
        (METADATA, ORDER, "", f"ei_dsp_config_7 has 17 values, and its struct {CONFIG} has 16 members", AGAIN),
        (METADATA, ORDER, f"{ORDER}    int x;\n",
         f"ei_dsp_config_7 has 17 values, and its struct {CONFIG} has 18 members", AGAIN),
        (METADATA, f"{CONFIG};", "other_t;", f"the struct {CONFIG} is not in model-parameters/", AGAIN),
        (VARIABLES, "sample_count = 125", "sample_count = 0",
         "a window of 0 samples of 3 axes is recorded, which cannot be", AGAIN),
        (VARIABLES, "sample_count = 125", "sample_count = 1e999",
         "a window of 0 samples of 3 axes is recorded, which cannot be", AGAIN),
        (VARIABLES, "per_frame = 3", "per_frame = 0", "a window of 125 samples of 0 axes is recorded, which cannot be",
         AGAIN),
        (VARIABLES, "per_frame = 3", "per_frame = 99999999",
         "a window of 125 samples of 99,999,999 axes is recorded, which cannot be", AGAIN),
        (VARIABLES, "per_frame = 3", "per_frame = 1e300",
         f"a window of 125 samples of {int(1e300):,} axes is recorded, which cannot be", AGAIN),
        (VARIABLES, "per_frame = 3", "per_frame = 2", "block 7 takes axes [0, 1, 2], and a sample has 2", AGAIN),
        (VARIABLES, "{ 0, 1, 2 }", "{ 0, 1, 3 }", "block 7 takes axes [0, 1, 3], and a sample has 3", AGAIN),
        (VARIABLES, "{ 0, 1, 2 }", "{ }", "block 7 takes axes [], and a sample has 3", AGAIN),
        (VARIABLES, "{ 0, 1, 2 }", '{ 0, "1" }', "the axes of block 1 holds something that is no number", AGAIN),
        (VARIABLES, "_7_axes[]", "_8_axes[]",
         "the axes of block 1 (ei_dsp_config_7_axes) is not in model-parameters/", AGAIN),
        (VARIABLES, ".frequency = 62.5", ".frequency = -1", "a frequency of -1 Hz is recorded", AGAIN),
        (VARIABLES, "{ 7, 15, &", '{ 7, "15", &', "block 1: its size is no number", AGAIN),
        (VARIABLES, "{ 7, 15, &", "{ 7, 16, &", "its blocks give 16 features, and the network takes 15", AGAIN),
        (VARIABLES, LISTED, LISTED * 33, "it lists 33 signal-processing blocks", AGAIN),
        (VARIABLES, "&ei_dsp_config_7,", "&ei_dsp_config_9,", "ei_dsp_config_9 is not in model-parameters/", AGAIN),
        (VARIABLES, '"low", 8f', "5, 8f", "ei_dsp_config_7: filter_type cannot be read", AGAIN),
        (VARIABLES, "block_5_inputs[] = { 7 }", "block_5_inputs[] = { 8 }",
         "its blocks give 0 features, and the network takes 15", AGAIN),
        (VARIABLES, "{ 7, 15, &", "{ 1, 7, 15, &",
         f"{CUSTOM}it is computed by extract_spectral_analysis_features{NOT_THERE}", OTHERS),
        (VARIABLES, "&extract_spectral_analysis_features", "&my_own",
         f"{CUSTOM}its function is not known{NOT_THERE}", OTHERS),
        (VARIABLES, "&extract_spectral_analysis_features", "&extract_own",
         f"{CUSTOM}it is computed by extract_own{NOT_THERE}", OTHERS),
        (VARIABLES, "nullptr, nullptr", "nullptr, &own_normalization",
         "its features are normalised in a way that is not known here (own_normalization)",
         "normalise with the standard scaler, or not at all"),
        (VARIABLES, "anomaly_inputs[] = { 7 }", "anomaly_inputs[] = { 7, 8 }",
         "its anomaly block takes the features of 2 blocks", "train the anomaly block on one signal-processing block"),
        (VARIABLES, "anomaly_inputs[] = { 7 }", "anomaly_inputs[] = { 8 }",
         "its anomaly block takes the features of 1 blocks", "train the anomaly block on one signal-processing block"),
        (ANOMALY, "{ 0, 11 }", "{ 0, 15 }", "the anomaly block takes features that do not exist: [0, 15]", AGAIN),
        (ANOMALY, "{ 0, 11 }", "{ -1, 11 }", "the anomaly block takes features that do not exist: [-1, 11]", AGAIN),
        (ANOMALY, "{ 0, 11 }", "{ }", "the anomaly block takes features that do not exist: []", AGAIN),
        (ANOMALY, "anom_axes[]", "other[]",
         "the axes of the anomaly block (ei_classifier_anom_axes) is not in model-parameters/", AGAIN),
        (ANOMALY, "anom_mean[]", "other[]",
         "the mean of the anomaly block (ei_classifier_anom_mean) is not in model-parameters/", AGAIN),
        (ANOMALY, "{ 1.5, 2 }", "{ 1.5, 0 }", "the anomaly block divides by a scale of 0", AGAIN),
        (ANOMALY, "{ 1.5, 2 }", "{ 1.5 }", "the clusters of the anomaly block do not fit its 2 features", AGAIN),
        (ANOMALY, "{ 1.5, 2 }", '{ 1.5, "2" }',
         "the scale of the anomaly block holds something that is no number", AGAIN),
        (ANOMALY, "{ -1, 3 }", "{ -1, 3, 4 }", "the clusters of the anomaly block do not fit its 2 features", AGAIN),
        (ANOMALY, "{ -1, 3 }", '{ "-1", 3 }', "a cluster holds something that is no number", AGAIN),
        (ANOMALY, "0.25f", '"0.25"', "a cluster holds something that is no number", AGAIN),
        (ANOMALY, "0.25f", "RADIUS", "a cluster holds something that is no number", AGAIN),
        (ANOMALY, "{ 1.5, 2 }", "{ 1.5, SCALE + 1 }",
         "the scale of the anomaly block holds something that is no number", AGAIN),
        (ANOMALY, "{ 0, 11 }", "{ AXIS, 11 }",
         "the axes of the anomaly block holds something that is no number", AGAIN),
        (ANOMALY, ", 0.25f", "", "a cluster of the anomaly block cannot be read", AGAIN),
        (ANOMALY, "anom_clusters[]", "other[]", "the clusters of the anomaly block are missing", AGAIN),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_one_sentence(
    name: str, old: str, new: str, message: str, hint: str, tmp_path: Path
) -> None:
    with pytest.raises((InputError, UnsupportedModelError)) as caught:
        read(changed(library(motion(number=7), 2024), name, old, new), tmp_path)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.path == str(tmp_path / "model-parameters" / "model_variables.h")
    assert isinstance(caught.value, InputError) is (hint == AGAIN)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (".axes = 3f, .implementation_version = 2f", None),
        (".axes = 3f, .y = 0, .x = 1f", f"ei_dsp_config_7 has 3 values, and its struct {CONFIG} has no member 'x'"),
        (".axes = 3f, .filter_type = 1f", "ei_dsp_config_7: filter_type cannot be read"),
        (".axes = AXES, .implementation_version = 2f", "ei_dsp_config_7: axes cannot be read"),
    ],
)
def test_members_by_name(given: str, message: str | None, tmp_path: Path) -> None:
    files = library(motion(number=7), 2024)
    text = files["model-parameters/model_variables.h"].decode()
    text, count = re.subn(r"(ei_dsp_config_7 = \{ )[^}]*", rf"\g<1>{given} ", text)
    assert count == 1
    files["model-parameters/model_variables.h"] = text.encode()
    if message is None:
        assert read(files, tmp_path).blocks[0].values == {"axes": 3, "implementation_version": 2}
        return
    with pytest.raises(InputError) as caught:
        read(files, tmp_path)
    assert (caught.value.message, caught.value.line) == (message, text[: text.index("_config_7 = ")].count("\n") + 1)


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
_LIST = {"dspConfig": {"options": {"scale-axes": [2]}}, "featureCount": 8}
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
        {"impulse": {"dspBlocks": [dsp_block(metadata=_LIST)], "learnBlocks": []}},
    ],
)
def test_a_damaged_document_is_one_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(
        InputError, match=r"^the impulse in deployment-metadata\.json cannot be read: \w+Error"
    ) as caught:
        read_impulse((), File(document(**changes), "d.json"), frozenset(), 8, lambda _: b"")
    assert (caught.value.path, caught.value.hint) == ("d.json", "give the C++ library of the project")


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"impulse": {"dspBlocks": [dsp_block()], "learnBlocks": [{"id": 7, "type": "anomaly-gmm"}]}},
         "the clusters of its anomaly block are not in the export", "give the C++ library, which holds them"),
        ({"impulse": {"dspBlocks": [dsp_block(metadata={**_OPTIONS, "dspConfig": {"normalizeData": "scale"}})]}},
         "its features are normalised, and the means are not in the export", "give the C++ library"),
    ],
)  # fmt: skip
def test_what_only_the_library_holds(changes: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UnsupportedModelError) as caught:
        read_impulse((), File(document(**changes), "d.json"), frozenset(), 8, lambda _: b"")
    assert (caught.value.message, caught.value.hint, caught.value.path) == (message, hint, "d.json")


def test_values_of_a_document_are_numbers_or_words() -> None:
    options = {"scale-axes": 2, "a-b": "word", "none": None, "true": True}
    metadata = {"dspConfig": {"options": options, "normalizeData": None}, "featureCount": 8}
    given = document(impulse={"dspBlocks": [dsp_block(metadata=metadata)], "learnBlocks": []})
    result = read_impulse((), File(given, "d.json"), frozenset(), 8, lambda _: b"")
    assert result.blocks[0].values == {"scale_axes": 2.0, "a_b": "word", "none": 0.0, "true": 1.0}


def test_some_of_the_axes_in_an_order_that_is_not_recorded_are_refused() -> None:
    with pytest.raises(
        UnsupportedModelError, match=r"^the block 5 takes y, x of 3 axes, whose order is not recorded$"
    ) as caught:
        read_impulse((), File(document(axes=None, axesCount=3), "d.json"), frozenset(), 8, lambda _: b"")
    assert (caught.value.path, caught.value.hint) == ("d.json", "give the C++ library, which records it")
    every = read_impulse((), File(document(axes=None), "d.json"), frozenset(), 8, lambda _: b"")
    assert every.blocks[0].axes == (0, 1)


def test_a_document_of_too_many_blocks_is_refused_at_once() -> None:
    listed = [dsp_block(id=number) for number in range(40)]  # they feed a network in 2 ** 40 ways
    data = document(impulse={"dspBlocks": listed, "learnBlocks": []})
    with pytest.raises(InputError, match=r"ValueError 40 signal-processing blocks$"):
        read_impulse((), File(data, "d.json"), frozenset(), 8, lambda _: b"")


@pytest.mark.parametrize("axes", [["x", "y"], ["x", "y", "z"]])
def test_one_axis_that_is_not_among_the_recorded_is_refused(axes: list[str]) -> None:
    data = document(axes=axes, axesCount=len(axes), impulse={"dspBlocks": [dsp_block(axes=["x", "Q"])]})
    with pytest.raises(UnsupportedModelError, match=r"^the block 5 takes x, Q of . axes, whose order is not recorded"):
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


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"quantization": "int8"}, "its network is int8, and is rewritten in float32 for TensorRT",
         "leave out --no-dequantize"),
        ({"outputs": (Tensor("a", (1, 4), "float32"),) * 2}, "the network of the impulse has 2 outputs",
         "only networks with one output, the scores, can be converted"),
    ],
)  # fmt: skip
def test_networks_that_an_impulse_cannot_have(changes: dict[str, Any], message: str, hint: str, tmp_path: Path) -> None:
    export = Unpack(whole=True)(write_tree(library(motion(number=7), 2025), tmp_path), tmp_path).artifact
    refuse(export)
    with pytest.raises(UnsupportedModelError) as caught:
        refuse(replace(export, facts=replace(export.facts, **changes)))
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.path == export.member
    with pytest.raises(UnsupportedModelError) as caught:
        refuse(replace(export, model=b"", member="", impulse=replace(motion(number=7), anomaly=None)))
    assert caught.value.message == "the impulse has no network and no anomaly block"
    assert caught.value.hint == "add a learning block to the impulse and train it"
    assert caught.value.path == export.source


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
        with pytest.raises(NoModelError, match=r"^the export holds 2 models:\n") as caught:
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


def test_a_network_of_no_fixed_size(tmp_path: Path) -> None:
    flat = Flat()
    source, end = flat.tensor(1, 33), flat.tensor(1, 4)
    flat.tensors[source].shapeSignature = [1, -1]
    flat.operator("SOFTMAX", [source], [end])
    given = motion(number=7)
    with pytest.raises(UnsupportedModelError) as caught:
        read(impulse_library(flat.build([source], [end]), given, Parameters(year=2025, resize_mode=None)), tmp_path)
    assert caught.value.message == "the input [None] of its network has no fixed size"
    assert caught.value.hint == "export it with a fixed number of features"
