"""EI700 to EI749: what a simulation tells besides its results."""

from __future__ import annotations

from convert.findings import Level, Rule

__all__ = [
    "ASPECT",
    "CONVERSION",
    "NOBODY",
    "PARSER",
    "PICTURE",
    "RULES",
    "STREAMMUX",
    "SUSPECT",
]

PICTURE = Rule(
    "EI700",
    Level.ERROR,
    "a picture was left out of the simulation",
    why="It is no picture, damaged, larger than the simulation takes, or too small or too narrow for nvinfer to scale. "
    "Nothing is known of what DeepStream would show on it; the other pictures are not affected.",
    fix="save the picture again in a usual format, or leave it out",
)

ASPECT = Rule(
    "EI701",
    Level.WARNING,
    "pictures have another aspect than the frames the model was converted for",
    why="The model's input has the aspect of one kind of frame, and its first node cuts the centre out of it. A frame "
    "of another aspect is squeezed or stretched before, so the model sees other proportions than it was trained on.",
    fix="use pictures of the camera's own size, or convert for their aspect",
)

PARSER = Rule(
    "EI702",
    Level.ERROR,
    "nvinfer's output parser gives up on every frame",
    why="nvinfer goes on with results it never wrote: on a device anything may be shown, usually nothing. The model's "
    "outputs are not what the parser looks for by name, number or type.",
    fix="choose the parse function that fits the model's outputs; ei-deepstream check says what it looks for",
)

CONVERSION = Rule(
    "EI703",
    Level.WARNING,
    "an object is too small to be cut out",
    why="nvinfer rounds the width and height of an object down to even numbers, and keeps its aspect where "
    "maintain-aspect-ratio is set: nothing may be left of it. The conversion then fails (“Buffer conversion failed”), "
    "which ends the pipeline.",
    fix="set input-object-min-width and input-object-min-height of the secondary engine to 2 or more",
)

NOBODY = Rule(
    "EI704",
    Level.WARNING,
    "a secondary engine looked at no object of any picture",
    why="Its operate-on-gie-id, operate-on-class-ids and input-object-min/max sizes leave every object out, or no "
    "engine in front of it found any.",
    fix="compare the keys with the objects; objects.json says for each of them why it was passed over",
)

STREAMMUX = Rule(
    "EI705",
    Level.NOTE,
    "the app scales frames to another aspect before any engine sees them",
    why="nvstreammux stretches every frame to [streammux] width and height (or pads it, with enable-padding). The "
    "simulation takes the pictures as they are.",
    fix="give [streammux] the camera's aspect, or simulate with pictures of that size",
)

SUSPECT = Rule(
    "EI706",
    Level.NOTE,
    "ei-deepstream check has more to say about a config",
    why="The simulation runs what nvinfer computes. Whether the engine is built, found again and fits the target is "
    "what `ei-deepstream check` looks at.",
    fix="run ei-deepstream check with the config",
)

RULES = (PICTURE, ASPECT, PARSER, CONVERSION, NOBODY, STREAMMUX, SUSPECT)
