"""What emitting a bundle can find (EI5xx)."""

from __future__ import annotations

from convert.findings import Level, Rule

DUPLICATE_LABEL = Rule(
    "EI500",
    Level.WARNING,
    "two classes have the same label",
    why="Downstream elements see the label's text: results of the two classes cannot be told apart.",
    fix="Rename one of them in Edge Impulse, or give the names in output order with --labels.",
)

LONG_LABEL = Rule(
    "EI501",
    Level.WARNING,
    "a label is longer than DeepStream's metadata holds",
    why="NvDsLabelInfo.result_label and NvDsObjectMeta.obj_label hold 127 bytes (MAX_LABEL_SIZE 128); the rest is cut.",
    fix="Use a shorter label: --labels.",
)

NO_CENTRED_PADDING = Rule(
    "EI502",
    Level.WARNING,
    "this DeepStream release cannot pad on both sides",
    why="The model was trained on pictures with black bars on both sides (fit longest axis). Gst-nvinfer has "
    "symmetric-padding since 6.0; before, all of the padding is at the right or the bottom, so the picture is shifted.",
    fix="Use a newer release (--target), or train with the resize mode squash.",
)

FP16 = Rule(
    "EI503",
    Level.NOTE,
    "the engine is FP16: how often it decides as in FP32, or that this was not measured",
    why="The original and the ONNX model were compared in float32, and TensorRT rounds inside an FP16 engine. "
    "`convert` with --precision fp16 also runs the model on the CPU with every number rounded to float16. That is an "
    "estimate: TensorRT merges nodes, and a GPU may add up in float16.",
    fix="Compare results on the device, or use --precision fp32.",
)

TARGET_NOT_VERIFIED = Rule(
    "EI504",
    Level.NOTE,
    "a fact about the target that these files depend on is not verified",
    why="trtexec's flags follow from the TensorRT version, the keys written from the release.",
    fix="Compare with the installed version; correct configs/targets.toml if it differs.",
)

SAMPLE_DETECTOR = Rule(
    "EI505",
    Level.NOTE,
    "the app config uses NVIDIA's sample detector as primary engine",
    why="A secondary engine needs another engine's objects. The SDK's own sample detector finds vehicles, bicycles, "
    "persons and road signs, and is built beside its model in the SDK's folder, which needs write permission once.",
    fix="Put your own detector's config into [primary-gie].",
)

STALE_ENGINE = Rule(
    "EI506",
    Level.WARNING,
    "an engine in the folder is older than the model",
    why="Gst-nvinfer loads an engine with the right name without comparing it with the ONNX file: the old model would "
    "go on running.",
    fix="Run build_engine.sh, or delete the engine; Gst-nvinfer then builds a new one.",
)

LEFT_FROM_ANOTHER_ROLE = Rule(
    "EI507",
    Level.NOTE,
    "a file of an earlier run with another --role or --frame is still in the folder",
    why="It was not written by this run and may not fit the files beside it.",
    fix="Delete it, or convert with the options of that run.",
)

OTHER_BUNDLE_IN_FOLDER = Rule(
    "EI508",
    Level.WARNING,
    "files of another model's bundle were replaced",
    why="build_engine.sh, RUN.md and report.json are called so in every bundle; its model and configs are intact.",
    fix="Use one folder per model.",
)

OPSET = Rule(
    "EI509",
    Level.WARNING,
    "the model's ONNX opset is outside of what the target's TensorRT was made for",
    why="TensorRT's ONNX parser may meet an operator in a form it does not know and refuse the model.",
    fix="Convert with an --opset in the range that the message names.",
)

SECONDARY_LEFT_OUT = Rule(
    "EI510",
    Level.NOTE,
    "no config for a secondary engine was written",
    why="The one model that `emit` was given was made for whole frames (adapt --frame) and cuts its picture out of "
    "them. Of an object it would cut off two sides. `convert` makes a second model for objects.",
    fix="Use convert; or adapt once more, without --frame, and emit that model with --role sgie into another folder.",
)

NOT_BUILT = Rule(
    "EI511",
    Level.ERROR,
    "the target's TensorRT does not take an operator of the model",
    why="Each TensorRT's ONNX parser imports certain operators in certain forms, and builds no engine from a model "
    "with others. Which these are was read in the parser's sources, release by release (configs/tensorrt.toml); what "
    "is not known for certain is not reported.",
    fix="Choose the --target that the message names if the device runs it; or export the model without this operator, "
    "or convert with the --opset that the message names.",
)

FP16_DIFFERS = Rule(
    "EI512",
    Level.WARNING,
    "in FP16 the model decides otherwise too often, or has numbers that FP16 cannot hold",
    why="The model was run on the CPU with every number rounded to float16. Its decisions differ from those in float32 "
    "on more than one of 100 inputs, or a result is beyond 65504, which float16 makes infinite.",
    fix="Use --precision fp32; or keep the nodes that the hint names in float32, where trtexec can be told so.",
)

CHOSEN = Rule(
    "EI513",
    Level.NOTE,
    "the precision of the engine that --precision auto chose",
    why="INT8 is faster than FP16, and FP16 than FP32. An int8 export becomes an INT8 engine where the target runs it "
    "and it decides as often as the original as LiteRT's own kernels do; any model an FP16 one where at least 99 % of "
    "its decisions stay. Measured on the CPU: how much faster an engine is, only the device shows.",
    fix="Give another --precision if the choice does not suit.",
)

TRACKING_DIFFERS = Rule(
    "EI514",
    Level.NOTE,
    "the tracker on the device decides otherwise than Edge Impulse's",
    why="Edge Impulse's tracker matches all pairs at once, also with where an object should have gone, or by distance. "
    "DeepStream's tracker by overlap takes the best pair first and predicts nothing. Measured, Edge Impulse's loses "
    "objects more often, so DeepStream counts more.",
    fix="Compare counts on a video: ei-deepstream simulate BUNDLE VIDEO -o DIR --count-as edge-impulse.",
)

COUNTING_DIFFERS = Rule(
    "EI515",
    Level.NOTE,
    "DeepStream counts otherwise at the lines of the export than Edge Impulse",
    why="Edge Impulse counts each step of an object's middle over a line. Gst-nvdsanalytics counts an object once for "
    "each direction, and only after 4 frames and 31.6 pixels. One-way traffic gives the same numbers; turning back on "
    "the line does not.",
    fix="Compare counts on a video: ei-deepstream simulate BUNDLE VIDEO -o DIR --count-as edge-impulse.",
)

LINE_OUTSIDE = Rule(
    "EI516",
    Level.WARNING,
    "a line of the export was left out",
    why="It lies in what was padded around the frame in training, where no object can be. Gst-nvdsanalytics refuses "
    "places outside the frame.",
    fix="Draw the line with --line, in shares of the frame.",
)

NOT_MEASURED = Rule(
    "EI550",
    Level.WARNING,
    "the bundle was written without evidence",
    why="Nothing was measured: the ONNX model may compute something else than the one that was trained.",
    fix="Run validate with -o first, or use convert, which does both.",
)

RULES = (
    DUPLICATE_LABEL,
    LONG_LABEL,
    NO_CENTRED_PADDING,
    FP16,
    TARGET_NOT_VERIFIED,
    SAMPLE_DETECTOR,
    STALE_ENGINE,
    LEFT_FROM_ANOTHER_ROLE,
    OTHER_BUNDLE_IN_FOLDER,
    OPSET,
    SECONDARY_LEFT_OUT,
    NOT_BUILT,
    FP16_DIFFERS,
    CHOSEN,
    TRACKING_DIFFERS,
    COUNTING_DIFFERS,
    LINE_OUTSIDE,
    NOT_MEASURED,
)
