"""What `unpack` can find in an export that converts all the same: rules EI100 to EI149."""

from __future__ import annotations

from convert.findings import Level, Rule

__all__ = [
    "ANOTHER_MODELS_DOCUMENT",
    "CONDITIONAL_ARRAY",
    "CONTRADICTION",
    "EXTRA_MODEL",
    "FOUND_BESIDE",
    "LABEL_COUNT",
    "LINK_IGNORED",
    "NO_PARAMETERS",
    "OVERRIDDEN",
    "RULES",
    "UNREADABLE_EXTRA",
    "UNREADABLE_PARAMETER",
]

NO_PARAMETERS = Rule(
    "EI101",
    Level.NOTE,
    "nothing is recorded about the model",
    "Labels, resize mode and image scaling are not in a .lite or .tflite file; what they are has to be assumed.",
    "Give the whole library (its zip or folder), or say it with --labels, --resize-mode and --image-scaling.",
)
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
)
