"""What translating and adapting can find: EI200 to EI249, EI300 to EI349, of detectors EI350 to EI379."""

from __future__ import annotations

from convert.findings import Level, Rule

TF2ONNX_WARNED = Rule(
    "EI200",
    Level.NOTE,
    "tf2onnx had a remark",
    why="tf2onnx goes on after things it does not like; the result has passed every check here all the same",
    fix="read the remark; validate's parity says whether it matters",
)
TRANSPOSES_LEFT = Rule(
    "EI300",
    Level.NOTE,
    "Transposes are left in the graph",
    why="the model reorders pixels in a way that cannot be moved into its weights; each Transpose costs a little time",
    fix="nothing: the result is right",
)
GENERIC_LABELS = Rule(
    "EI301",
    Level.WARNING,
    "the export has no labels",
    why="the device shows class0, class1, ... instead of what was trained",
    fix="give the labels in the order of training with --labels",
)
NOT_PROBABILITIES = Rule(
    "EI302",
    Level.WARNING,
    "the output does not look like probabilities",
    why="classifier-threshold is compared with the raw value, and Gst-nvinfer reports nothing at or below 0",
    fix="end the model in a Softmax or a sigmoid, or set classifier-threshold for the values it really gives",
)
ONE_SIGMOID = Rule(
    "EI307",
    Level.NOTE,
    "the model gives one number for two labels",
    why="Gst-nvinfer's classifier picks the largest of several outputs; the graph gives it both, 1 - p for the first "
    "label and p for the second",
    fix="nothing, if the number is the probability of the second label; else give the labels the other way round",
)
RESIZE_ASSUMED = Rule(
    "EI303",
    Level.WARNING,
    "the resize mode is not recorded",
    why="pictures that reach the model in another shape than in training are recognised worse",
    fix="look it up in Studio (Create impulse, Image data, Resize mode) and give it with --resize-mode",
)
RESIZE_CROPS = Rule(
    "EI304",
    Level.WARNING,
    "pictures are squashed that were cropped in training",
    why="the model was trained on the centre of each picture (fit shortest axis). nvinfer cannot crop; it can squash a "
    "frame or put bars around it, so a model that does not crop (--frame none, --role sgie) sees other proportions "
    "than in training and recognises worse, without any message. `validate` measures by how much (EI409)",
    fix="for a primary engine leave out --frame none, or give the frames' aspect with --frame: the model then takes "
    "whole frames and crops them in its first node. For a secondary engine, whose objects have any shape, retrain "
    "with resize mode squash",
)
FRAME_UNUSED = Rule(
    "EI306",
    Level.NOTE,
    "--frame changes nothing for this model",
    why="where the device alone scales, only a model that was trained on cropped pictures (fit shortest axis) is made "
    "for frames of one shape; one that was trained on whole pictures, squashed or between black bars, gets them so "
    "from nvinfer, whatever their shape",
    fix="leave out --frame or --resize device, or correct --resize-mode",
)
SCALING_ASSUMED = Rule(
    "EI305",
    Level.NOTE,
    "the image scaling is not recorded",
    why="a wrong input scale makes every result wrong; 0..1 is what nearly all Edge Impulse models take",
    fix="if the model's learning block scales differently, give it with --image-scaling",
)
CALIBRATED = Rule(
    "EI308",
    Level.NOTE,
    "the 8-bit codes are not Edge Impulse's",
    why="With --calibrate a float export is quantized here, by ONNX Runtime, from the numbers that your pictures give. "
    "What Edge Impulse measured of an int8 model does not hold for this one. How often it decides as the float "
    "original is in the table of precisions (EI411).",
    fix="nothing, if it decides as the original; better codes come with the int8 build of Studio, which needs no "
    "--calibrate",
)
BACKGROUND_LABEL = Rule(
    "EI350",
    Level.NOTE,
    "the label list names the background",
    why="nvinfer counts classes without background; with it every object would carry the label before its own",
    fix="nothing: it was left out of the label file",
)
COORDINATES = Rule(
    "EI351",
    Level.NOTE,
    "the boxes are measured otherwise than usual for this kind of model",
    why="taken for the wrong unit, every box would lie outside the picture or in its first pixel",
    fix="nothing: the model itself shows the unit, and it was converted",
)
CELLS = Rule(
    "EI352",
    Level.NOTE,
    "neighbouring cells of FOMO's grid are objects of their own",
    why="Edge Impulse's SDK joins cells that touch into one box; as this was converted, more objects are counted",
    fix="convert with --fomo-merge touching, the default, which makes one box of cells that touch",
)
CLASSES_APART = Rule(
    "EI353",
    Level.NOTE,
    "boxes and scores are not those of Edge Impulse's SDK",
    why="the SDK scores a YOLOv5 by its objectness, and of overlapping boxes of a YOLOv5 or YOLOX it keeps the best, "
    "whatever their classes. Gst-nvinfer keeps the best of each class, so the graph itself has to drop the others, "
    "which the target's TensorRT or the model's opset does not allow",
    fix="choose a newer --target if the device has one, or give --opset 13 (export an ONNX model with opset 11 or "
    "newer). Else lower pre-cluster-threshold where objects are missing",
)

RULES = (
    TF2ONNX_WARNED,
    TRANSPOSES_LEFT,
    GENERIC_LABELS,
    NOT_PROBABILITIES,
    ONE_SIGMOID,
    RESIZE_ASSUMED,
    RESIZE_CROPS,
    SCALING_ASSUMED,
    FRAME_UNUSED,
    CALIBRATED,
    BACKGROUND_LABEL,
    COORDINATES,
    CELLS,
    CLASSES_APART,
)
"""All of them, for the documentation and `explain`."""
