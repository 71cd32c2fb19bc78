"""What `unpack` can find in an export that converts all the same: rules EI100 to EI199."""

from __future__ import annotations

from convert.findings import Level, Rule

NO_PARAMETERS = Rule(
    "EI101",
    Level.WARNING,
    "labels, resize mode and image scaling (two of them, or all) are not recorded",
    "They are not in a .lite or .tflite file and are assumed: the device shows class0, class1, ... instead of what was "
    "trained; pictures that reach the model in another shape than in training are recognised worse; a wrong image "
    "scaling makes every result wrong, but 0..1 is what nearly all Edge Impulse models take.",
    "Give the whole library (its zip or folder), or say it with --labels, --resize-mode and --image-scaling. The "
    "resize mode stands in Studio, Create impulse, Image data.",
)
"""Where one of the three is missing, the finding is its own: EI301, EI303 or EI305."""

CONTRADICTION = Rule(
    "EI102",
    Level.WARNING,
    "the recorded parameters contradict the model",
    "The model is what runs, so its own shape and type are used; labels and preprocessing recorded for another model "
    "give wrong names or wrong scores.",
    "Export the library again, or check labels, resize mode and image scaling and give them as options.",
)
LABEL_COUNT = Rule(
    "EI103",
    Level.WARNING,
    "the number of labels is not the number of classes",
    "nvinfer takes a class without a label for an empty name, and names that are shifted by one are silently wrong.",
    "Give the labels in output order with --labels.",
)
EXTRA_MODEL = Rule(
    "EI104",
    Level.NOTE,
    "the export holds further models that were not converted",
    "Stale models of earlier deployments and the models of other impulses often lie beside the one that is used.",
    "Name another one with --model if this is not the model you want.",
)
UNREADABLE_EXTRA = Rule(
    "EI105",
    Level.NOTE,
    "a further file that should be a model cannot be read",
    "It is not the model that was converted.",
    "Export the library again if it should be.",
)
UNREADABLE_PARAMETER = Rule(
    "EI106",
    Level.WARNING,
    "a recorded parameter cannot be read",
    "It is treated as if it were not recorded.",
    "Export the library again, or give the value as an option.",
)
OVERRIDDEN = Rule(
    "EI107",
    Level.NOTE,
    "an option replaces what the export records",
    "The bundle then differs from what Edge Impulse trained and tested.",
    "Leave the option out to use the recorded value.",
)
ANOTHER_MODELS_DOCUMENT = Rule(
    "EI108",
    Level.WARNING,
    "metadata.json belongs to another model",
    "Its SHA-256 is not the model's, so labels and preprocessing in it were not used.",
    "Run `ei-deepstream unpack` again, or remove the file.",
)
FOUND_BESIDE = Rule(
    "EI109",
    Level.NOTE,
    "parameters were read from files beside the model",
    "The file given holds only the model; what lies around it in the same library was used too.",
    "Move the file elsewhere if they do not belong together.",
)
LINK_IGNORED = Rule(
    "EI110",
    Level.NOTE,
    "a link or folder was not followed",
    "Links may lead outside of the export or round in a circle.",
    "Copy what it points to into the export if the model is there.",
)
CONDITIONAL_ARRAY = Rule(
    "EI111",
    Level.WARNING,
    "the model's array is compiled only under a condition",
    "It stands in a branch of #if that is not taken; it was read because there is no other.",
    "Make sure that this is the model you want.",
)
TWIN = Rule(
    "EI112",
    Level.NOTE,
    "the export holds the same network in float32 and quantized",
    "Edge Impulse gives every network in both forms. TensorRT computes in float32 or FP16; the float32 model is what "
    "was trained, and needs no rewriting.",
    "Name the other one with --model to see what the quantized model decides.",
)

RENAMED = Rule(
    "EI113",
    Level.NOTE,
    "the files are called otherwise than --name says",
    "Names of files are made of the letters a to z, digits and -, which every file system, make and deepstream-app's "
    "parser take. Letters with marks are written without them; everything else becomes -.",
    "Give a --name of these characters to choose it yourself.",
)

REBUILT = Rule(
    "EI150",
    Level.NOTE,
    "The model was rebuilt from EON-compiled C++",
    "The EON compiler turns the network into C++ and keeps no flatbuffer. Everything that decides what the network"
    " computes is in that C++ and is rebuilt from it; tensor names, signatures and metadata are lost.",
    "Nothing has to be done. To keep the names, export with the EON compiler turned off.",
)

DEQUANTIZED = Rule(
    "EI151",
    Level.NOTE,
    "The quantized model was rewritten in float32",
    "TensorRT does not run TFLite's int8 operators. The network is rewritten with the real values its integers stand"
    " for: weights exactly, ranges as clamps. It no longer rounds every activation, so it is close to the quantized"
    " one, not equal to it; how well they agree is measured. --no-dequantize refuses such a model instead.",
    "Prefer the float32 export of the same project if there is one.",
)

INPUT_CLAMP = Rule(
    "EI152",
    Level.NOTE,
    "The quantized model saturates inside the range of its input",
    "Pixels come as 0 to 1, and the range of this model's input is another one, because no training picture went"
    " further. What lies beyond is cut, as the quantized model does.",
    "Nothing has to be done. If bright pictures are recognised badly, train with brighter ones.",
)

AGREEMENT = Rule(
    "EI153",
    Level.WARNING,
    "The float32 rewriting and the quantized model disagree",
    "On image-like inputs the two should give the same best class 98 times in 100, or as often as two sets of LiteRT's"
    " own kernels, which round differently, do on the same inputs. A share that is more than a point lower means that"
    " rounding decides much of what the quantized model says, or that its outputs are close to each other on such"
    " pictures.",
    "Compare both on pictures of your own, or export the float32 model.",
)

ROUNDING = Rule(
    "EI154",
    Level.NOTE,
    "The float32 rewriting keeps the rounding of the quantized model's first layer",
    "Without it the two gave the same best class less than 98 times in 100, with it more often. Where a picture is"
    " smooth, a quantized network rounds what its first layer gives the same way everywhere, and that can decide."
    " It costs eight operators that work value by value.",
    "Nothing has to be done. The float32 export of the same project, if there is one, needs none of it.",
)

FROM_TENSORFLOW = Rule(
    "EI155",
    Level.NOTE,
    "The model was converted from a SavedModel or a Keras model",
    "TensorFlow made a float32 .tflite of it, which everything else starts from. The two were run on the same drawn"
    " inputs; the difference is in the report (evidence, source_parity).",
    "Nothing has to be done. The TensorFlow Lite (float32) file of the same project, if there is one, needs no"
    " TensorFlow here.",
)

SIGNATURES = Rule(
    "EI156",
    Level.NOTE,
    "The model holds further subgraphs that nothing runs",
    "Keras 3 saves a network once for each signature. Edge Impulse's SDK runs the first subgraph, as LiteRT does by"
    " default. Only the first one is quantized in Edge Impulse's int8 models.",
    "Nothing has to be done.",
)

RULES = (
    NO_PARAMETERS,
    CONTRADICTION,
    LABEL_COUNT,
    EXTRA_MODEL,
    UNREADABLE_EXTRA,
    UNREADABLE_PARAMETER,
    OVERRIDDEN,
    ANOTHER_MODELS_DOCUMENT,
    FOUND_BESIDE,
    LINK_IGNORED,
    CONDITIONAL_ARRAY,
    TWIN,
    RENAMED,
    REBUILT,
    DEQUANTIZED,
    INPUT_CLAMP,
    AGREEMENT,
    ROUNDING,
    FROM_TENSORFLOW,
    SIGNATURES,
)
