"""`model-parameters/` of every year, as generated, as edited by hand, and damaged."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.errors import InputError
from convert.export.parameters import Block, File, Recorded, merged, read_recorded
from convert.images import ImageScaling, ResizeMode
from convert.types import Color, Metadata, Tracking
from samples.layouts import Parameters, model_metadata_h, model_variables_h
from tests.examples import examples

YEARS = range(2020, 2027)
LABELS = ("a, b", 'c } "d"', "e\\f", "größe\n", "")


def read(metadata: str | None, variables: str | None = None) -> Recorded:
    return read_recorded(
        None if metadata is None else File(metadata.encode(), "model_metadata.h"),
        None if variables is None else File(variables.encode(), "model_variables.h"),
    )


def made(parameters: Parameters, **kinds: str) -> Recorded:
    return read(model_metadata_h(parameters), model_variables_h(parameters, **kinds))


def macros(text: str) -> Metadata:
    """What these lines of `model_metadata.h` say, each without `#define EI_CLASSIFIER_`."""
    lines = "\n".join(f"#define EI_CLASSIFIER_{line}" for line in text.splitlines())
    return single(read(lines)).metadata


def single(recorded: Recorded) -> Block:
    (block,) = recorded.blocks
    return block


@pytest.mark.parametrize("year", YEARS)
def test_a_classifier_of_every_year(year: int) -> None:
    parameters = Parameters(year=year, labels=LABELS[:4], width=64, height=48, resize_mode="fit-longest")
    recorded = made(parameters)
    assert recorded.findings == ()
    block = single(recorded)
    metadata = block.metadata
    assert not block.anomaly
    assert (metadata.labels, metadata.width, metadata.height) == (LABELS[:4], 64, 48)
    assert (metadata.channels, metadata.color) == (3, Color.RGB)
    assert metadata.resize_mode == (ResizeMode.FIT_LONGEST if year >= 2024 else None)
    assert metadata.image_scaling is ImageScaling.NONE
    assert (metadata.task, metadata.sensor, metadata.engine) == ("classifier", "camera", "tflite")
    assert (metadata.quantized, metadata.compiled, metadata.has_anomaly) == (False, False, False)
    assert (metadata.threshold, metadata.nms_iou) == (None, None)
    assert (metadata.project_id, metadata.project_name) == (4711, "Garden watch")
    assert (metadata.project_owner, metadata.deploy_version) == ("A. Gardener", 3)
    assert metadata.studio_version == ("1.60.2" if year >= 2024 else None)
    if year >= 2023:
        assert (metadata.impulse_id, metadata.impulse_name, metadata.block_id) == (1, "Impulse #1", 5)


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize(("layer", "task"), [("FOMO", "fomo"), ("YOLOV5", "yolov5"), ("YOLO_PRO", "yolo-pro")])
def test_a_detector_of_every_year(year: int, layer: str, task: str) -> None:
    parameters = Parameters(year=year, last_layer=layer, threshold=0.35, nms_iou=0.45, channels=1, quantized=True)
    metadata = single(made(parameters)).metadata
    # In 2021 there were two detectors: FOMO was marked as "constrained", the other was MobileNet SSD.
    assert metadata.task == (task if year >= 2022 or task == "fomo" else "ssd")
    assert metadata.threshold == 0.35
    assert metadata.nms_iou == (0.45 if year >= 2023 else None)
    assert (metadata.channels, metadata.color, metadata.quantized) == (1, Color.GRAY, True)


@pytest.mark.parametrize(("layer", "task"), [("SSD", "ssd"), ("YOLOV5", "yolov5"), ("YOLO_PRO", "yolo-pro")])
def test_all_detectors_of_boxes_have_one_configuration(layer: str, task: str) -> None:
    parameters = Parameters(year=2025, last_layer=layer, threshold=0.35)
    written = model_variables_h([parameters])
    variables = written.replace(f"ei_fill_result_{layer.lower()}_f32", "ei_fill_result_object_detection_f32")
    assert variables != written
    metadata = single(read(model_metadata_h(parameters), variables)).metadata
    assert (metadata.task, metadata.threshold) == (task, 0.35)
    other = model_metadata_h(Parameters(year=2025))
    assert single(read(other, variables)).metadata.task == "ssd", "the macros are those of another impulse"


@pytest.mark.parametrize("scaling", list(ImageScaling))
@pytest.mark.parametrize("year", [2023, 2024, 2026])
def test_image_scaling(scaling: ImageScaling, year: int) -> None:
    assert single(made(Parameters(year=year, image_scaling=scaling))).metadata.image_scaling is scaling


@pytest.mark.parametrize("mode", list(ResizeMode))
def test_resize_modes_by_name_and_number(mode: ResizeMode) -> None:
    assert single(made(Parameters(resize_mode=mode))).metadata.resize_mode is mode
    number = list(ResizeMode).index(mode)
    assert macros(f"RESIZE_MODE {number}").resize_mode is mode
    # The enumerator's own #define may stand elsewhere.
    assert macros(f"RESIZE_MODE EI_CLASSIFIER_RESIZE_{mode.name}").resize_mode is mode
    assert macros(f"OTHER EI_CLASSIFIER_RESIZE_{mode.name}\nRESIZE_MODE EI_CLASSIFIER_OTHER").resize_mode is mode


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("SENSOR 3", "sensor", "camera"),
        ("SENSOR -1", "sensor", "unknown"),
        ("SENSOR 255", "sensor", "unknown"),
        ("SENSOR EI_CLASSIFIER_SENSOR_9DOF", "sensor", "9dof"),
        ("INFERENCING_ENGINE EI_CLASSIFIER_TENSORRT", "engine", "tensorrt"),
        ("INFERENCING_ENGINE 14", "engine", "aton"),
        ("HAS_ANOMALY 0", "has_anomaly", False),
        ("HAS_ANOMALY EI_ANOMALY_TYPE_GMM", "has_anomaly", True),
        ("TFLITE_INPUT_DATATYPE EI_CLASSIFIER_DATATYPE_INT8", "quantized", True),
        ("TFLITE_INPUT_DATATYPE 1", "quantized", False),
        ("COMPILED 1", "compiled", True),
        ('PROJECT_NAME "a " "b\\"\\x41\\303\\274\\u00e9"   ', "project_name", 'a b"Aüé'),
        ("INPUT_WIDTH (32 * 3)   // pixels", "width", 96),
        ("INPUT_WIDTH 0", "width", None),
        ("INPUT_WIDTH 2147483647", "width", 2147483647),
        ("PROJECT_ID 2147483647", "project_id", 2147483647),
        ("OBJECT_DETECTION_THRESHOLD 0.7f", "threshold", None),
    ],
)
def test_single_macros(line: str, field: str, value: object) -> None:
    assert getattr(macros(line), field) == value


def test_last_layers_by_number() -> None:
    detector = "OBJECT_DETECTION 1\nOBJECT_DETECTION_LAST_LAYER "
    assert macros(detector + "6").task == "yolov7"
    assert macros(detector + "EI_CLASSIFIER_LAST_LAYER_TAO_RETINANET").task == "tao-retinanet"
    assert macros("OBJECT_DETECTION 0\nOBJECT_DETECTION_LAST_LAYER -1").task == "classifier"
    assert macros("OBJECT_DETECTION 0\nHAS_ANOMALY EI_ANOMALY_TYPE_VISUAL_GMM").task == "anomaly"
    assert macros("LABEL_COUNT 2").task is None


def test_macros_repeated_in_groups() -> None:
    text = """
    #define EI_CLASSIFIER_INPUT_WIDTH 10
    #if EI_CLASSIFIER_USE_FULL_TFLITE == 1
    #undef EI_CLASSIFIER_INPUT_WIDTH
    #define EI_CLASSIFIER_INPUT_WIDTH 20
    #endif
    #ifdef __cplusplus
    #define EI_CLASSIFIER_INPUT_HEIGHT 30
    #else
    #define EI_CLASSIFIER_INPUT_HEIGHT 40
    #endif
    """
    metadata = single(read(text)).metadata
    assert (metadata.width, metadata.height) == (10, 30)


def test_channels_need_a_frame_size_that_fits() -> None:
    size = "INPUT_WIDTH 10\nINPUT_HEIGHT 20\nNN_INPUT_FRAME_SIZE "
    assert macros(size + "200").channels == 1
    assert macros(size + "600").channels == 3
    assert macros(size + "601").channels is None
    assert (macros(size + "200").color, macros(size + "600").color) == (Color.GRAY, Color.RGB)
    for missing in ("INPUT_WIDTH 10", "INPUT_HEIGHT 10"):
        assert macros(f"{missing}\nNN_INPUT_FRAME_SIZE 10").channels is None


def test_labels_through_the_alias_of_the_old_name() -> None:
    text = 'const char* ei_classifier_inferencing_categories_1_2[] = { "a", "b" };\n'
    text += "constexpr auto& ei_classifier_inferencing_categories = ei_classifier_inferencing_categories_1_2;"
    assert single(read(None, text)).metadata.labels == ("a", "b")
    assert single(read(None, text.splitlines()[0])).metadata.labels == ("a", "b")


def test_labels_named_through_a_namespace() -> None:
    first = Parameters(year=2024, labels=("cat", "dog"))
    variables = model_variables_h([first, replace(first, impulse_id=2, block_id=9, labels=("x", "y", "z"))])
    named = variables.replace(".categories = ei_", ".categories = inference::ei_")
    assert named.count("inference::") == 2
    assert [block.metadata.labels for block in read(None, named).blocks] == [("cat", "dog"), ("x", "y", "z")]


def test_what_only_one_of_the_two_records_is_no_contradiction() -> None:
    ours, theirs = read("#define EI_CLASSIFIER_INPUT_WIDTH 96"), read("#define EI_CLASSIFIER_INPUT_HEIGHT 48")
    both = merged(ours, theirs, "deployment-metadata.json")
    assert both.findings == (*ours.findings, *theirs.findings)
    assert (single(both).metadata.width, single(both).metadata.height) == (96, 48)
    (finding,) = merged(ours, read("#define EI_CLASSIFIER_INPUT_WIDTH 95"), "deployment-metadata.json").findings
    assert "records width 95, model-parameters/ 96, which counts" in finding.message


def test_three_layouts_of_the_picture_block() -> None:
    for fields in ('1, 1, "Grayscale"', '2, 1, 1, "Grayscale"', '8, 1, 1, axes /* "RGB" */, 1, "Grayscale" // "RGB"\n'):
        assert (
            single(read(None, f"ei_dsp_config_image_t ei_dsp_config_2 = {{ {fields} }};")).metadata.color is Color.GRAY
        )
    size = "#define EI_CLASSIFIER_INPUT_WIDTH 10\n#define EI_CLASSIFIER_INPUT_HEIGHT 20"
    for text, channels in (("Grayscale", 1), ("RGB", 3), ("BGR", None)):
        assert single(read(size, f'ei_dsp_config_image_t a = {{ 1, "{text}" }};')).metadata.channels == channels


def test_several_impulses_have_their_own_everything() -> None:
    first = Parameters(year=2025, labels=("a", "b"), image_scaling="torch")
    second = replace(
        first,
        impulse_id=2,
        impulse_name="Zweiter",
        block_id=9,
        labels=("x", "y", "z"),
        width=32,
        height=16,
        channels=1,
        image_scaling="none",
        last_layer="FOMO",
        threshold=0.8,
        quantized=True,
    )
    recorded = read(model_metadata_h(first), model_variables_h([first, second]))
    assert recorded.findings == ()
    one, two = (block.metadata for block in recorded.blocks)
    assert (one.labels, one.width, one.color, one.task) == (("a", "b"), 96, Color.RGB, "classifier")
    assert (two.labels, two.width, two.height, two.color) == (("x", "y", "z"), 32, 16, Color.GRAY)
    assert (two.impulse_id, two.impulse_name, two.block_id) == (2, "Zweiter", 9)
    assert (one.image_scaling, two.image_scaling) == (ImageScaling.TORCH, ImageScaling.NONE)
    assert (two.task, two.threshold, two.quantized, one.threshold) == ("fomo", 0.8, True, None)
    assert "tflite_learn_5" in recorded.blocks[0].names
    assert "tflite_learn_9" in recorded.blocks[1].names
    assert "tflite_learn_9" not in recorded.blocks[0].names


def test_an_impulse_that_lists_its_labels_on_the_spot() -> None:
    """As the impulses of 2022 do that were put into one library by hand; they say true or false of anomalies, too."""
    first = Parameters(year=2024, labels=("cat", "dog"))
    second = replace(first, impulse_id=2, block_id=9, labels=("x", "y", "z"))
    variables = model_variables_h([first, second])
    for part, other in (
        ("ei_classifier_inferencing_categories_4711_1,", 'new const char*[2] { "left, right", "up" },'),
        ("ei_classifier_inferencing_categories_4711_2,", 'new const char*[3] { "a", "b", "c" },'),
        ("EI_ANOMALY_TYPE_UNKNOWN", "false"),
    ):
        for value in (part, part.removesuffix(",")):
            variables = variables.replace(f"= {value}", f"= {other}")
    recorded = read(model_metadata_h(first), variables)
    assert [block.metadata.labels for block in recorded.blocks] == [("left, right", "up"), ("a", "b", "c")]
    assert [block.metadata.has_anomaly for block in recorded.blocks] == [False, False]
    assert recorded.findings == ()


def test_an_anomaly_block_beside_the_classifier() -> None:
    parameters = Parameters(year=2025)
    classifier, anomaly = made(parameters, anomaly="tflite_learn_6").blocks
    assert (classifier.anomaly, anomaly.anomaly) == (False, True)
    assert (classifier.metadata.task, anomaly.metadata.task) == ("classifier", "anomaly")
    assert "tflite_learn_6" in anomaly.names
    assert anomaly.metadata.block_id == 6


def test_an_impulse_of_early_2023_says_itself_what_blocks_say_later() -> None:
    text = """
    const ei_config_tflite_graph_t graph = { .model = trained_tflite, .model_size = trained_tflite_len };
    const ei_learning_block_config_tflite_graph_t config = { .block_id = 7, .graph_config = (void*)&graph };
    const ei_learning_block_t blocks[] = { { &run_nn_inference, (void*)&config, }, };
    const ei_impulse_t impulse_1_1 = {
        .object_detection = 1, .object_detection_last_layer = EI_CLASSIFIER_LAST_LAYER_FOMO,
        .object_detection_threshold = 0.6, .quantized = 1, .compiled = 0, .learning_blocks = blocks,
    };
    """
    block = single(read(None, text))
    assert (block.metadata.task, block.metadata.threshold) == ("fomo", 0.6)
    assert (block.metadata.quantized, block.metadata.compiled, block.metadata.block_id) == (True, False, 7)
    assert "trained_tflite" in block.names


def test_nothing_at_all() -> None:
    assert read(None) == Recorded((Block(Metadata()),), (), ())
    assert single(read("", "")).metadata == Metadata()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("INPUT_WIDTH banana", "INPUT_WIDTH is 'banana', not a whole number from 0 up"),
        ("INPUT_WIDTH -5", "INPUT_WIDTH is '-5', not a whole number from 0 up"),
        ("INPUT_WIDTH 2147483648", "INPUT_WIDTH is '2147483648', not a whole number from 0 up"),
        ("PROJECT_ID 2147483648", "PROJECT_ID is '2147483648', not a whole number from 0 up"),
        ("INPUT_WIDTH", "INPUT_WIDTH is empty, not a whole number from 0 up"),
        ("PROJECT_NAME Garden", "PROJECT_NAME is 'Garden', not a string"),
        ('PROJECT_NAME "Garden', "PROJECT_NAME is '\"Garden', not a string"),
        ("RESIZE_MODE 9", "RESIZE_MODE is '9', not one of EI_CLASSIFIER_RESIZE_*"),
        ("SENSOR EI_CLASSIFIER_SENSOR_NOSE",
         "SENSOR is 'EI_CLASSIFIER_SENSOR_NOSE', not one of EI_CLASSIFIER_SENSOR_*"),
        ("SENSOR 0", "SENSOR is '0', not one of EI_CLASSIFIER_SENSOR_*"),
        ("INFERENCING_ENGINE 99", "INFERENCING_ENGINE is '99', not one of EI_CLASSIFIER_*"),
        ("TFLITE_INPUT_DATATYPE 2", "TFLITE_INPUT_DATATYPE is '2', not one of EI_CLASSIFIER_DATATYPE_*"),
        ("HAS_ANOMALY 9", "HAS_ANOMALY is '9', not one of EI_ANOMALY_TYPE_*"),
        ("QUANTIZATION_ENABLED x", "QUANTIZATION_ENABLED is 'x', not 0 or 1"),
        ("COMPILED maybe", "COMPILED is 'maybe', not 0 or 1"),
        (f"COMPILED {'x' * 61}", f"COMPILED is '{'x' * 60}', not 0 or 1"),
        ("OBJECT_DETECTION_THRESHOLD 1.5", "OBJECT_DETECTION_THRESHOLD is '1.5', not a number from 0 to 1"),
        ("OBJECT_DETECTION_THRESHOLD 0,5", "OBJECT_DETECTION_THRESHOLD is '0, 5', not a number from 0 to 1"),
    ],
)  # fmt: skip
def test_a_damaged_value_is_a_finding_and_counts_as_missing(line: str, message: str) -> None:
    recorded = read(f"#define EI_CLASSIFIER_{line}\n#define EI_CLASSIFIER_INPUT_HEIGHT 7")
    (finding,) = recorded.findings
    assert finding.message == f"EI_CLASSIFIER_{message}"
    assert (finding.id, finding.path) == ("EI106", "model_metadata.h")
    assert single(recorded).metadata == Metadata(height=7, image_scaling=ImageScaling.NONE)


def test_labels_that_are_no_strings() -> None:
    recorded = read(None, 'int a;\nconst char* ei_classifier_inferencing_categories[] = { "a", LABEL };')
    (found,) = recorded.findings
    message = "ei_classifier_inferencing_categories: element 2 is not a string"
    assert (found.id, found.message, found.path, found.line) == ("EI106", message, "model_variables.h", 2)
    assert single(recorded).metadata.labels is None


def test_labels_that_are_not_as_many_as_counted() -> None:
    parameters = Parameters(labels=("a", "b"))
    text = model_variables_h(parameters).replace('"a", "b"', '"a", "b", "c"')
    recorded = read(model_metadata_h(parameters), text)
    assert [(finding.id, finding.message) for finding in recorded.findings] == [
        ("EI103", "3 labels are listed, but 2 are counted")
    ]


def test_a_header_cut_off_in_a_brace() -> None:
    text = model_variables_h(Parameters())
    with pytest.raises(InputError, match=r"^a brace is not closed: the file is cut off$") as caught:
        read(None, text[: text.index("ei_learning_blocks[] = {") + 40])
    assert (caught.value.path, caught.value.line is not None) == ("model_variables.h", True)


def test_braces_without_end() -> None:
    with pytest.raises(InputError, match=r"^braces are nested too deeply$"):
        read(None, "int a[] = " + "{" * 100)


def test_references_in_a_circle() -> None:
    text = "auto& ei_classifier_inferencing_categories = b; auto& b = ei_classifier_inferencing_categories;"
    assert single(read(None, text)).metadata.labels is None


TEXTS = [model_metadata_h(Parameters(year=2024)), model_variables_h(Parameters(year=2026, last_layer="FOMO"))]
PIECES = re.findall(r"\w+|\"[^\"]*\"|\s+|[^\w\s]", TEXTS[1])


@examples(120)
@given(
    st.integers(0, 1),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.sampled_from(["{", "}", '"', ";", "=", "#", "\n", "\\", "0", "/*", ""]))
    ),
)
def test_changed_headers_are_read_or_refused(which: int, changes: list[tuple[int, str]]) -> None:
    text = TEXTS[which]
    for at, value in changes:
        place = at % len(text)
        text = text[:place] + value + text[place + 1 :]
    try:
        read(*((text, TEXTS[1]) if which == 0 else (TEXTS[0], text)))
    except InputError as error:
        assert error.path in {"model_metadata.h", "model_variables.h"}  # noqa: PT017 - either is right
        assert error.hint  # noqa: PT017


@examples(120)
@given(st.lists(st.sampled_from(PIECES), max_size=80).map("".join))
def test_any_order_of_its_parts_is_read_or_refused(text: str) -> None:
    try:
        read(None, text)
    except InputError as error:
        assert (error.path, bool(error.hint)) == ("model_variables.h", True)  # noqa: PT017 - either is right


@examples(80)
@given(st.lists(st.text(max_size=8), min_size=1, max_size=5))
def test_any_labels_come_back(labels: list[str]) -> None:
    text = model_variables_h(Parameters(labels=tuple(labels)))
    expected = tuple(label.encode("utf-8", "replace").decode() for label in labels)
    assert single(read(None, text)).metadata.labels == expected


def test_of_a_single_impulse_everything_counts_even_what_nothing_points_to() -> None:
    parameters = Parameters(year=2025, labels=("a", "b"))
    variables = model_variables_h(parameters)
    cut = re.sub(r"(\.learning_blocks = )\w+", r"\1nullptr", variables)
    assert cut != variables
    assert single(read(model_metadata_h(parameters), cut)).names == single(made(parameters)).names


def test_what_says_that_a_model_is_quantized() -> None:
    int8 = "TFLITE_INPUT_DATATYPE EI_CLASSIFIER_DATATYPE_INT8"
    assert [macros(f"QUANTIZATION_ENABLED {value}").quantized for value in (1, 0)] == [True, False]
    assert (macros(int8).quantized, macros(int8.replace("INT8", "FLOAT32")).quantized) == (True, False)
    assert macros(f"QUANTIZATION_ENABLED 0\n{int8}").quantized is False


def tracked(text: str, macros: str = "") -> tuple[Metadata, list[str]]:
    recorded = read_recorded(File(macros.encode(), "model_metadata.h"), File(text.encode(), "model_variables.h"))
    return recorded.blocks[0].metadata, [finding.message for finding in recorded.findings]


@pytest.mark.parametrize(
    ("text", "tracking"),
    [
        (
            (
                "const ei_object_tracking_config_t ei_posprocessing_config_9 = {\n  1, /* version */\n  7,\n"
                "  6, /* max_observations */\n  0.2500f, /* iou_threshold */\n  true /* use_iou */\n};"
            ),
            Tracking(sort=False, grace=7, hits=0, threshold=0.25, by_overlap=True),
        ),
        (
            (
                "const ei_object_tracking_config_t a = { .implementation_version = 1, .keep_grace = 4, "
                ".threshold = 12.0f, "
                ".use_iou = false };"
            ),
            Tracking(sort=False, grace=4, hits=0, threshold=12, by_overlap=False),
        ),
        (
            "ei_object_tracking_config_t a = { .keep_grace = 4, .iou_threshold = 0.4f };",  # November 2024
            Tracking(sort=False, grace=4, hits=0, threshold=0.4, by_overlap=True),
        ),
        (
            "static ei_object_tracking_sort_config_t b = {1, 30, 3, 0.3f, true};",
            Tracking(sort=True, grace=30, hits=3, threshold=0.3, by_overlap=True),
        ),
    ],
)
def test_a_tracking_block(text: str, tracking: Tracking) -> None:
    metadata, messages = tracked(text)
    assert metadata.tracking == tracking
    assert not messages
    assert tracked(text, "#define EI_CLASSIFIER_OBJECT_TRACKING_ENABLED 0\n"
                         "#define EI_CLASSIFIER_OBJECT_TRACKING_SORT_ENABLED 0\n")[0].tracking is None  # fmt: skip


def test_a_tracking_block_that_only_a_macro_names_has_the_usual_values() -> None:
    metadata, _ = tracked("", "#define EI_CLASSIFIER_OBJECT_TRACKING_ENABLED 1\n")
    assert metadata.tracking == Tracking(sort=False, grace=5, hits=0, threshold=0.5, by_overlap=True)


def test_lines_where_objects_are_counted() -> None:
    text = (
        "const ei_object_counting_config_t c = { 1, { {0,48,96,48}, std::make_tuple(1,2,3,4), "
        "std::tuple<int,int,int,int>(5, -6, 7, 8) } };"
    )
    assert tracked(text)[0].segments == ((0, 48, 96, 48), (1, 2, 3, 4), (5, -6, 7, 8))
    metadata, messages = tracked("const ei_object_counting_config_t c = { 1, { {0, 48, 96} } };")
    assert metadata.segments is None
    assert messages == ["c does not hold four whole numbers a line"]


def test_every_value_of_an_impulse_that_cannot_be_read_is_named() -> None:
    variables = model_variables_h([Parameters(year=2026, last_layer="FOMO", nms_iou=0.4)])
    damaged = re.sub(r"(\.[a-z_]+ = )[^,;{}]+(?=,)", r"\1no", variables).replace("0.4f", "no").replace(" 5,", " -5,")
    whole, text, yes, share = "a whole number from 0 up", "a string", "0 or 1", "a number from 0 to 1"
    assert [finding.message for finding in read(None, damaged).findings] == [
        f"{name} is '{value}', not {wanted}"
        for name, value, wanted in (
            ("input_width", "no", whole), ("input_height", "no", whole),
            ("sensor", "no", "one of EI_CLASSIFIER_SENSOR_*"),
            ("project_id", "no", whole), ("project_name", "no", text), ("project_owner", "no", text),
            ("deploy_version", "no", whole), ("impulse_id", "no", whole), ("impulse_name", "no", text),
            ("has_anomaly", "no", "one of EI_ANOMALY_TYPE_*"), ("label_count", "no", whole),
            ("nn_input_frame_size", "no", whole), ("block id", "-5", whole), ("NMS overlap", "no", share),
            ("block_id", "no", whole), ("quantized", "no", yes), ("compiled", "no", yes), ("threshold", "no", share),
        )
    ]  # fmt: skip


def test_every_value_of_a_config_that_cannot_be_read_is_named() -> None:
    """As written early in 2023; and those of tracking."""
    text = """
    const ei_learning_block_t blocks[] = { { &run_nn_inference, 0, }, };
    const ei_impulse_t a = {
        .object_detection = %s, .object_detection_last_layer = no, .object_detection_threshold = no,
        .learning_blocks = blocks,
    };
    const ei_object_tracking_config_t b = { 1, no, no, no, no };
    const ei_object_tracking_sort_config_t c = { 1, no, no, no, no };
    """
    assert [found.message for found in read(None, text % "1").findings] == [
        "object_detection_last_layer is 'no', not one of EI_CLASSIFIER_LAST_LAYER_*",
        "keep_grace is 'no', not a whole number from 0 up",
        "max_observations is 'no', not a whole number from 0 up",
        "threshold is 'no', not a number from 0 up",
        "use_iou is 'no', not 0 or 1",
    ]
    sort = text.replace("const ei_object_tracking_config_t b = { 1, no, no, no, no };", "") % "no"
    assert [found.message for found in read(None, sort).findings] == [
        "object_detection is 'no', not 0 or 1",
        "max_age is 'no', not a whole number from 0 up",
        "min_hits is 'no', not a whole number from 0 up",
        "iou_threshold is 'no', not a number from 0 up",
        "use_iou is 'no', not 0 or 1",
    ]
