"""What `validate` can find: rules EI400 to EI449."""

from __future__ import annotations

from convert.findings import Level, Rule

INPUT = Rule(
    "EI400",
    Level.ERROR,
    "the model's input is not what Gst-nvinfer feeds",
    why="nvinfer always writes float32 into exactly one input [N,C,H,W] with 1 or 3 channels. It does not look at the "
    "input's type: with another one it writes past the buffer or the model sees garbage.",
    fix="convert the export with `ei-deepstream convert`, which makes the input `x_input` float32 [N,C,H,W]",
)

OUTPUT = Rule(
    "EI401",
    Level.ERROR,
    "an output is not what Gst-nvinfer can read",
    why="nvinfer sizes its output buffers once, takes the first dimension for the batch and reads float32 without "
    "looking at the type.",
    fix="every output must be float32, with the batch first and every other dimension fixed",
)

DOMAIN = Rule(
    "EI402",
    Level.ERROR,
    "an operator is not a standard ONNX operator",
    why="TensorRT implements operators of the domain ai.onnx only; others need a plugin compiled for the device.",
    fix="convert with another --opset, or report the model",
)

PARITY = Rule(
    "EI403",
    Level.ERROR,
    "the ONNX model does not compute what the original computes",
    why="The same pictures went through the .tflite in LiteRT, packed as Edge Impulse packs them, and through the ONNX "
    "model in ONNX Runtime, prepared as nvinfer prepares them. Their outputs differ by more than the tolerance: either "
    "the graph or the preprocessing (scale, offsets, colour order) is wrong.",
    fix="check --image-scaling; if the difference is small and the outputs are no probabilities, choose a --tolerance "
    "that fits their range; otherwise report the model",
)

TOP1 = Rule(
    "EI404",
    Level.WARNING,
    "the ONNX model ranks another class first than the original",
    why="On some inputs the class with the highest score differs although the original tells the two classes apart by "
    "more than the tolerance: a device would report another label.",
    fix="measure on real pictures with --images; use a smaller --tolerance",
)

NOT_FINITE = Rule(
    "EI405",
    Level.ERROR,
    "an output holds NaN or infinity",
    why="Such a score passes or fails every threshold by accident; nothing can be compared with it.",
    fix="if the original holds it too, train the model again; otherwise check --image-scaling",
)

CONSTANT = Rule(
    "EI406",
    Level.WARNING,
    "the original gives the same output for every input",
    why="Over all inputs the output moves so little that a constant in its place would pass the tolerance: the "
    "comparison proves nothing. The model was not trained, or it expects inputs of another range.",
    fix="check --image-scaling; measure on pictures of what the model was trained for with --images",
)

BATCH = Rule(
    "EI407",
    Level.ERROR,
    "a batch does not give what its pictures give one at a time",
    why="nvinfer overwrites the batch dimension and runs several frames or objects at once. A model that holds a fixed "
    "batch inside then fails to build, or mixes up pictures.",
    fix="convert the export with `ei-deepstream convert`; with a model of your own replace fixed batch sizes in "
    "Reshape nodes by 0 or -1",
)

TENSORRT = Rule(
    "EI408",
    Level.ERROR,
    "TensorRT cannot build an engine from the model",
    why="NVIDIA's own ONNX parser and engine builder (TensorRT-RTX on the CPU) refused it with the optimisation "
    "profile nvinfer makes; the TensorRT on the device is likely to refuse it too.",
    fix="convert with another --opset, or report the model",
)

SQUASHED = Rule(
    "EI409",
    Level.NOTE,
    "what it changes that pictures are squashed",
    why="The model was trained on the centre of each picture (fit shortest axis). The same pictures were shown to the "
    "original as Edge Impulse crops them, and squashed, as Gst-nvinfer shows them to this model.",
    fix="for a primary engine leave out --frame none, or give the frames' aspect with --frame; for a secondary engine "
    "retrain with squash",
)

KERNELS = Rule(
    "EI410",
    Level.WARNING,
    "the INT8 model decides less often as the original than LiteRT's own kernels do",
    why="The model has the original's codes, so nothing but rounding sets the two apart; two sets of LiteRT's own "
    "kernels differ in it, too. This model differs more: by over a point, and by more than chance.",
    fix="use --precision fp16, which rewrites the model in float32; and please report the model",
)

CALIBRATED = Rule(
    "EI411",
    Level.WARNING,
    "the calibrated model decides otherwise than the float original too often",
    why="Of 100 pictures more than one gets another answer in 8-bit codes. They were made from your pictures, with one "
    "scale for each tensor; some networks do not bear that.",
    fix="use --precision fp16; or build the int8 variant in Studio and give that, without --calibrate; or give more "
    "pictures like those that the camera will take",
)

DECODING = Rule(
    "EI440",
    Level.ERROR,
    "the end of the graph does not decode the network's outputs",
    why="Boxes, scores and classes of the ONNX model were computed a second time from its raw outputs, and differ.",
    fix="this is a fault of the conversion, not of the model: please report it",
)

PLACES = Rule(
    "EI441",
    Level.ERROR,
    "the boxes are not where the picture is",
    why="A detector's candidates are spread over the whole picture, so the middle of all of them is near its middle. "
    "These are not: they are measured in something else than was assumed, and nvinfer would clip them away.",
    fix="give the real --task",
)

RULES: tuple[Rule, ...] = (
    *(INPUT, OUTPUT, DOMAIN, PARITY, TOP1, NOT_FINITE, CONSTANT, BATCH, TENSORRT, SQUASHED),
    *(KERNELS, CALIBRATED, DECODING, PLACES),
)
