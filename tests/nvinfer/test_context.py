"""What the inference context makes of a config and an engine, beyond the recorded cases; and label files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from convert.errors import InputError
from convert.nvinfer.config import read_bytes
from convert.nvinfer.context import (
    Binding,
    Engine,
    Initialised,
    InputSize,
    Library,
    Status,
    initialise,
    read_labels,
    split_labels,
)

STOCK = "custom-lib-path=/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so\n"
Y = Binding("y", "float", (3,))
COV, BOXES = Binding("cov", "float", (3, 12, 12)), Binding("bbox", "float", (12, 12, 12))
SSD = tuple(Binding(f"detection_{name}", "float", (10,)) for name in ("boxes", "scores", "classes"))


def engine(*outputs: Binding, dims: tuple[int, ...] = (3, 96, 96), inputs: int = 1, batch: int = 1) -> Engine:
    others = tuple(Binding(f"aux{index}", "float", (4,)) for index in range(inputs - 1))
    return Engine(batch, (Binding("x", "float", dims), *others), outputs or (Y,))


def start(lines: str, model: Engine, folder: Path | str = "/tmp/none", *, release: str = "9.1") -> Initialised:
    data = f"[property]\ngie-unique-id=1\nonnx-file=m.onnx\n{lines}\n".encode()
    return initialise(read_bytes(data, f"{folder}/config.txt", release=release), model)


def test_only_accepted_configs() -> None:
    with pytest.raises(ValueError, match=r"^only an accepted"):
        initialise(read_bytes(b"", "a.txt"), engine())


@pytest.mark.parametrize(
    ("header", "pixels", "verdict"),
    [
        (b"P6\n4 2\n255\n", 24, "ok"),
        (b"P3 4 2 255 ", 24, "ok"),
        (b"P6\n04 2\n255\n", 24, "ok"),
        (b"P6\n4 2\n255\n", 23, "refused"),
        (b"P6\n2 4\n255\n", 24, "refused"),
        (b"P6\n# by hand\n4 2\n255\n", 24, "refused"),
        (b"P5\n4 2\n255\n", 24, "refused"),
        (b"", 0, "refused"),
    ],
)
def test_mean_files(tmp_path: Path, header: bytes, pixels: int, verdict: str) -> None:
    (tmp_path / "mean.ppm").write_bytes(header + bytes(pixels))
    found = start("network-type=1\nmean-file=mean.ppm", engine(dims=(3, 2, 4)), tmp_path)
    assert found.verdict == verdict
    assert found.status is (None if verdict == "ok" else Status.CONFIG_FAILED)


@pytest.mark.parametrize(
    ("scale", "verdict"),
    [("1", "refused"), ("0", "ok"), ("-1", "ok"), ("nan", "ok"), ("inf", "refused"), ("-inf", "ok")],
)
def test_offsets_count_only_with_a_scale(scale: str, verdict: str) -> None:
    assert start(f"network-type=1\noffsets=1;2\nnet-scale-factor={scale}", engine()).verdict == verdict


@pytest.mark.parametrize(
    ("lines", "dims", "status"),
    [
        ("infer-dims=3;96;96", (27648,), Status.CONFIG_FAILED),
        ("", (27648,), Status.TENSORRT_ERROR),
        ("input-tensor-from-meta=1", (27648,), None),
        ("infer-dims=3;0;96", (3, 64, 64), None),
        ("infer-dims=3;4;8", (3, 4, 8), None),
        ("infer-dims=3;4;8\nnetwork-input-order=1", (4, 8, 3), None),
        ("infer-dims=3;4;8\nnetwork-input-order=1", (3, 4, 8), Status.CONFIG_FAILED),
        ("model-color-format=2", (1, 4, 8), None),
        ("", (4, 4, 8), Status.CONFIG_FAILED),
        ("input-tensor-from-meta=1", (4, 4, 8), None),
    ],
)
def test_input_shapes(lines: str, dims: tuple[int, ...], status: Status | None) -> None:
    assert start(f"network-type=1\n{lines}", engine(dims=dims)).status is status


@pytest.mark.parametrize(
    ("lines", "outputs", "result"),
    [
        ("num-detected-classes=3\ncluster-mode=2", (COV, BOXES), "ok"),
        ("num-detected-classes=3\ncluster-mode=2", (BOXES, COV), "ok"),
        ("num-detected-classes=3\ncluster-mode=2", (COV, Y), "failed"),
        ("num-detected-classes=3\ncluster-mode=2", (COV, Binding("bbox", "float", (12, 144))), "signal 8"),
        (
            "num-detected-classes=3\ncluster-mode=2",
            (COV, Binding("bbox1", "float", (9,)), BOXES),
            "ok",
        ),  # the last counts
        ("cluster-mode=1", (COV, BOXES), "ok"),
        ("cluster-mode=3", (COV, BOXES), "signal 11"),
        ("cluster-mode=4", (COV, BOXES), "ok"),
        ("", (COV, BOXES), "signal 11"),
        ("cluster-mode=2", (Y,), "failed"),  # nothing is clustered when nothing was parsed
        ("network-type=2\nnum-detected-classes=3", (COV,), "ok"),
        ("network-type=2\nnum-detected-classes=12\nsegmentation-output-order=1", (COV,), "ok"),
        ("network-type=2\nnum-detected-classes=4", (COV,), "failed"),
        ("network-type=2\nnum-detected-classes=3", (Binding("y", "half", (3, 4, 4)),), "failed"),
        ("network-type=3\ncluster-mode=4", (COV,), "NVDSINFER_RESOURCE_ERROR"),
        ("network-type=3\ncluster-mode=2", (COV,), "NVDSINFER_CONFIG_FAILED"),
        ("network-type=100\nlabelfile-path=none.txt", (COV,), "ok"),
        ("network-type=1\nlabelfile-path=none.txt", (COV,), "NVDSINFER_CONFIG_FAILED"),
        ("network-type=1\noutput-blob-names=y\noverwrite-output-tensor=1", (Y,), "signal 11"),
        ("network-type=1\noutput-blob-names=y\noverwrite-output-tensor=1\nop-tensor-files=a", (Y,), "ok"),
        # NVIDIA's parser library
        (STOCK + "parse-bbox-func-name=NvDsInferParseCustomTfSSD\nnum-detected-classes=3", SSD, "ok"),
        (STOCK + "parse-bbox-func-name=NvDsInferParseCustomTfSSD\nnum-detected-classes=3", SSD[:2], "failed"),
        (STOCK + "parse-bbox-func-name=NvDsInferParseCustomNMSTLT\nnum-detected-classes=3", (Y, Y), "ok"),
        (STOCK + "parse-bbox-func-name=NvDsInferParseCustomNMSTLT\ncluster-mode=4", (Y, Y), "signal 11"),
        (STOCK + "parse-bbox-func-name=NvDsInferParseCustomNMSTLT\ncluster-mode=4", (Y,), "failed"),
        (STOCK + "parse-bbox-func-name=NvDsInferParseCustomResnet\nnum-detected-classes=3", (COV, BOXES), "failed"),
        (STOCK + "parse-bbox-func-name=NvDsInferParseCustomYoloV11OBB\nnum-detected-classes=3", (COV,), "ok"),
        (STOCK + "parse-bbox-func-name=NvDsInferParseCustomYoloV11OBB\nnum-detected-classes=3", (Y,), "failed"),
        (STOCK + "parse-bbox-func-name=NvDsInferParseYolo", (Y,), "NVDSINFER_CUSTOM_LIB_FAILED"),
        (STOCK + "network-type=1\nparse-classifier-func-name=NvDsInferClassiferParseCustomSoftmax", (Y,), "ok"),
        (STOCK + "network-type=1\nparse-bbox-func-name=NoSuchFunction", (Y,), "ok"),
        (
            STOCK + "network-type=2\nparse-segmentation-func-name=NvDsInferParseCustomPeopleSemSegNet",
            (Binding("argmax_1", "int32", (96, 96, 1)),),
            "ok",
        ),
        (
            STOCK + "network-type=2\nparse-segmentation-func-name=NvDsInferParseCustomPeopleSemSegNet",
            (Binding("argmax_1", "float", (96, 96, 1)),),
            "failed",
        ),
        (
            STOCK + "network-type=3\ncluster-mode=4\nparse-bbox-instance-mask-func-name=NvDsInferParseCustomMrcnnTLT",
            (Y,),
            "failed",
        ),
    ],
)
def test_first_frame(lines: str, outputs: tuple[Binding, ...], result: str) -> None:
    found = start(lines, engine(*outputs))
    got = (
        f"signal {found.signal}" if found.signal else found.status or ("failed" if found.output_parser_failed else "ok")
    )
    assert got == result
    assert (found.verdict == "ok") == (found.network is not None)


def test_a_release_without_a_key_does_as_its_default() -> None:
    """5.0 has neither segmentation-output-order nor parse-segmentation-func-name."""
    started = start(STOCK + "network-type=2\nnum-detected-classes=3", engine(COV), release="5.0")
    assert (started.verdict, started.output_parser_failed, started.problems) == ("ok", False, ())


def test_the_size_of_an_input_that_is_no_picture_is_not_known() -> None:
    started = start("network-type=1\ninput-tensor-from-meta=1", engine(dims=(27648,)))
    assert started.network == InputSize(0, 0, 0)
    started = start("network-type=1\ninput-tensor-from-meta=1", engine(dims=(3, 4, 8)))
    assert started.network == InputSize(8, 4, 3)


def test_the_stock_library_grew() -> None:
    lines = STOCK + "parse-bbox-func-name=NvDsInferParseCustomDDETRTAO\nnum-detected-classes=3"
    outputs = (Binding("pred_boxes", "float", (9, 4)), Binding("pred_logits", "float", (9, 3)))
    assert start(lines, engine(*outputs), release="6.2").status is Status.CUSTOM_LIB_FAILED
    assert start(lines, engine(*outputs), release="6.3").verdict == "ok"


def test_libraries_of_others_are_looked_into(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"\x7fELF" + bytes(60) + b"\0ParseIt\0NvDsInferInitializeInputLayers\0")
    (tmp_path / "text.so").write_text("no library")
    os.mkfifo(tmp_path / "fifo.so")
    lines = "num-detected-classes=1\ncustom-lib-path={}\nparse-bbox-func-name={}"
    assert start(lines.format("lib.so", "ParseIt"), engine(inputs=2), tmp_path).verdict == "ok"
    for library, function in [
        ("lib.so", "Parse"),
        ("text.so", "ParseIt"),
        ("none.so", "ParseIt"),
        ("fifo.so", "ParseIt"),
    ]:
        found = start(lines.format(library, function), engine(), tmp_path)
        assert found.status is Status.CUSTOM_LIB_FAILED, library


def test_a_library_can_bring_the_model(tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"\x7fELF\0MakeEngine\0")
    config = "[property]\ngie-unique-id=1\nnetwork-type=1\ncustom-lib-path=lib.so\nengine-create-func-name={}\n"
    for function, verdict in {"MakeEngine": "ok", "Other": "refused", "": "refused"}.items():
        parsed = read_bytes(config.format(function).encode(), tmp_path / "config.txt")
        assert initialise(parsed, engine()).verdict == verdict


def test_problems_have_places() -> None:
    found = start("network-type=1\noutput-blob-names=y;z\nbatch-size=4", engine(batch=2))
    assert [(problem.key, problem.line, problem.column) for problem in found.problems] == [("batch-size", 6, 12)]
    found = start("network-type=1\noutput-blob-names=y;z", engine())
    assert [(problem.key, problem.line) for problem in found.problems] == [("output-blob-names", 5)]
    assert not found.problems[0].fatal


@pytest.mark.parametrize(
    ("lines", "key"),
    [("offsets=1;2", "offsets"), ("output-blob-names=y\noverwrite-output-tensor=1", "overwrite-output-tensor")],
)
def test_the_problem_that_ends_it_is_the_last_and_fatal(lines: str, key: str) -> None:
    """A refusal, and a process that dies."""
    found = start(f"network-type=1\n{lines}", engine())
    assert [(each.key, each.fatal) for each in found.problems] == [(key, True)]


NMS = "cluster-mode=2\nnum-detected-classes=3\n"
OBB, SSD_PARSER, NMS_PARSER, PEOPLE = (
    f"NvDsInferParseCustom{name}" for name in ("YoloV11OBB", "TfSSD", "NMSTLT", "PeopleSemSegNet")
)


@pytest.mark.parametrize(
    ("lines", "model", "place", "message"),
    [
        ("output-instance-mask=1\ncluster-mode=2", engine(),
         "range output-instance-mask:4", "output-instance-mask needs cluster-mode=4, not 2"),
        ("num-detected-classes=3\ncluster-mode=0", engine(COV, BOXES),
         "note cluster-mode:5",
         "cluster-mode 0 is no longer built in: NMS is used, with the 20 best objects and IoU 0.5"),
        ("network-type=1\ncustom-lib-path=none.so", engine(),
         "library custom-lib-path:5", "the library <dir>/none.so cannot be opened"),
        ("network-type=1", engine(inputs=2),
         "library custom-lib-path:None", "the model has more than one input, and no library to fill the others"),
        ("network-type=1\nbatch-size=2", engine(), "model batch-size:5",
         "batch-size is 2, the engine takes 1"),
        ("network-type=1\ninfer-dims=3;4;8", engine(),
         "model infer-dims:5", "infer-dims asks for an input other than the engine's: 3x4x8 and 3x96x96"),
        ("network-type=1\ninfer-dims=3;4;8\nnetwork-input-order=1", engine(),
         "model infer-dims:5", "infer-dims asks for an input other than the engine's: 4x8x3 and 3x96x96"),
        ("network-type=1\noutput-blob-names=y;z", engine(),
         "note output-blob-names:5", "the model has no output called 'z'"),
        ("network-type=1\ncustom-lib-path=lib.so\nengine-create-func-name=Make", engine(),
         "library engine-create-func-name:6", "the library has no function Make"),
        ("network-type=1", Engine(1, (), (Y,)), "model onnx-file:3",
         "the model has no input"),
        ("network-type=1", engine(dims=(9,)),
         "model onnx-file:3", "the model's input has the shape [9] behind the batch, not channels, height and width"),
        ("network-type=1\nmodel-color-format=2", engine(),
         "model model-color-format:5", "model-color-format GRAY needs 1 channel, the network has 3"),
        ("network-type=1", engine(dims=(1, 4, 8)),
         "model model-color-format:None", "model-color-format RGB and BGR need 3 channels, the network has 1"),
        ("network-type=1\noffsets=1;2", engine(), "model offsets:5",
         "there are 2 offsets for 3 channels"),
        ("network-type=1\nmean-file=none.ppm", engine(), "path mean-file:5",
         "the mean file cannot be read"),
        ("network-type=1\nmean-file=lib.so", engine(), "model mean-file:5",
         "the mean file is no PPM picture (P3 or P6)"),
        ("network-type=1\nmean-file=mean.ppm", engine(dims=(3, 8, 4)),
         "model mean-file:5", "the mean file is not 4 x 8, the size of the network's input"),
        ("network-type=1\nmean-file=mean.ppm", engine(dims=(3, 4, 8)),
         "model mean-file:5", "the mean file has fewer than 96 bytes of picture"),
        ("network-type=1\noutput-blob-names=y\noverwrite-output-tensor=1", engine(),
         "range overwrite-output-tensor:6",
         "overwrite-output-tensor without op-tensor-files: nvinfer reads a list that is not there"),
        ("network-type=1\nlabelfile-path=none.txt", engine(),
         "path labelfile-path:5", "the label file cannot be read: No such file or directory"),
        ("network-type=3\ncluster-mode=2", engine(),
         "range cluster-mode:5", "instance segmentation needs cluster-mode=4, not 2"),
        ("network-type=3\ncluster-mode=4", engine(),
         "library parse-bbox-instance-mask-func-name:None",
         "instance segmentation needs custom-lib-path and parse-bbox-instance-mask-func-name"),
        ("cluster-mode=2\ncustom-lib-path=lib.so\nparse-bbox-func-name=Parse", engine(),
         "library parse-bbox-func-name:6", "the library has no function Parse"),
        ("cluster-mode=3", engine(COV, BOXES),
         "range num-detected-classes:None",
         "num-detected-classes is 0: NMS looks for the longest of no lists, and the process dies"),
        (NMS, engine(Y, BOXES),
         "model parse-bbox-func-name:None",
         "no output has “cov” in its name (y, bbox): the built-in parser finds no coverage layer"),
        (NMS, engine(Y, COV),
         "model parse-bbox-func-name:None",
         "no output has “bbox” in its name (y, cov): the built-in parser finds no box layer"),
        *(
            (NMS, engine(COV, Binding("bbox", "float", dims)),
             "model parse-bbox-func-name:None",
             "output bbox has fewer than three dimensions: the built-in parser divides by zero")
            for dims in ((12, 144, 0), (12, 0, 144))
        ),
        ("network-type=2\nnum-detected-classes=3", engine(Binding("y", "half", (3, 4, 4))),
         "model parse-segmentation-func-name:None",
         "output y is half; the built-in segmentation parser reads float only"),
        ("network-type=2\nnum-detected-classes=4", engine(COV),
         "model parse-segmentation-func-name:None", "num-detected-classes is 4, but output cov has 3 channels"),
        ("network-type=2\nnum-detected-classes=3\nsegmentation-output-order=1", engine(COV),
         "model parse-segmentation-func-name:None", "num-detected-classes is 3, but output cov has 12 channels"),
        (f"{NMS}{STOCK}parse-bbox-func-name={SSD_PARSER}", engine(*SSD[:1], Binding(SSD[1].name, "int32", (10,))),
         "model parse-bbox-func-name:7",
         f"{SSD_PARSER}: there is no float output called detection_scores or detection_classes"),
        (f"cluster-mode=2\n{STOCK}parse-bbox-func-name={NMS_PARSER}", engine(Y, Y),
         "model parse-bbox-func-name:6", f"{NMS_PARSER} reads the threshold of class 0, and there are no classes"),
        (f"{NMS}{STOCK}parse-bbox-func-name={NMS_PARSER}", engine(Y),
         "model parse-bbox-func-name:7", f"{NMS_PARSER}: there are 1 outputs, not 2"),
        (f"{NMS}{STOCK}parse-bbox-func-name={OBB}", engine(Y, Y),
         "model parse-bbox-func-name:7", f"{OBB}: there are 2 outputs, not 1"),
        *(
            (f"{NMS}{STOCK}parse-bbox-func-name={OBB}", engine(Binding("y", "float", dims)),
             "model parse-bbox-func-name:7",
             f"{OBB}: output y does not have the shape of oriented boxes" if fails else "")
            for dims, fails in (
                ((5, 9), False), ((4, 9), True), ((1, 9, 5), False), ((1, 9, 4), True), ((1, 9, 0), False),
                ((9,), True), ((1, 9, 9, 9), True),
            )
        ),
        (f"network-type=2\n{STOCK}parse-segmentation-func-name={PEOPLE}", engine(Binding("argmax_1", "float", (1,))),
         "model parse-segmentation-func-name:6", f"{PEOPLE}: there is no int32 or int64 output called argmax_1"),
        (f"network-type=2\n{STOCK}parse-segmentation-func-name={PEOPLE}",
         engine(Binding("argmax_1", "int64", (8, 4, 1)), dims=(3, 4, 8)),
         "model parse-segmentation-func-name:6", f"{PEOPLE}: output argmax_1 is (8, 4, 1), not (4, 8, 1)"),
        (f"network-type=2\n{STOCK}parse-segmentation-func-name={PEOPLE}",
         engine(Binding("argmax_1", "int64", (4, 8, 1)), dims=(3, 4, 8)), "", ""),
    ],
)  # fmt: skip
def test_what_is_said_of_a_start(lines: str, model: Engine, place: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "lib.so").write_bytes(b"\x7fELF\0ParseIt\0")
    (tmp_path / "mean.ppm").write_bytes(b"P6\n8 4\n255\n" + bytes(95))
    problems = start(lines, model, tmp_path).problems
    found = [(f"{each.reason} {each.key}:{each.line}", each.message) for each in problems]
    assert found == [(place, message)] * bool(message)


def test_label_files(tmp_path: Path) -> None:
    assert [(each.line, each.labels) for each in split_labels(b"a\n\nb;c; d\r\n\xef\xbb\xbfe;\n\xff\nf\0g")] == [
        (1, ("a",)),
        (3, ("b", "c", " d\r")),
        (4, ("\ufeffe", "")),
        (5, ("\ufffd",)),
        (6, ("f",)),
    ]
    assert split_labels(b"") == split_labels(b"\n\n") == ()
    assert read_labels(os.devnull) == ()
    (tmp_path / "labels.txt").write_text("ant\nbee")
    assert len(read_labels(tmp_path / "labels.txt")) == 2
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path, tmp_path / "none", tmp_path / "fifo"):
        with pytest.raises(InputError, match=r"^the label file"):
            read_labels(path)


def test_no_file_stays_open(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("ant")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        read_labels(tmp_path / "labels.txt")
        with pytest.raises(InputError, match="folder") as caught:
            read_labels(tmp_path)
        assert caught.value.hint == "name an ordinary file"
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 20


@pytest.mark.parametrize(
    ("content", "has"),
    [(b"\0F\0", True), (b"x\0F\0y", True), (b"F\0", False), (b"\0F", False), (b"\0FG\0", False), (b"\0GF\0", False)],
)
def test_a_function_is_a_whole_string_of_a_library(tmp_path: Path, content: bytes, has: bool) -> None:
    (tmp_path / "l.so").write_bytes(content)
    assert Library(str(tmp_path / "l.so")).has("F") is has
