"""What was simulated, as values: which engines looked at which pictures, what each shows, and what it left out.

Made by the simulation, read by everything that tells about it (pictures, JSON, KITTI, the page, the terminal). Boxes
are in pixels of the picture; numbers are float32 values, as NvDsObjectMeta holds them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convert.report import OnnxMetadata

if TYPE_CHECKING:
    from pathlib import Path

    from convert.images.placement import Network, Placement, Rect
    from convert.simulate.decode import Detection
    from convert.simulate.settings import Settings

__all__ = ["Engine", "Found", "Frame", "Lost", "Said", "Simulation"]


@dataclass(frozen=True, slots=True)
class Engine:
    """One config with its model.

    Attributes:
        config: the file, as the user gave it.
        model: the ONNX file; None when recorded tensors were decoded.
        settings: what nvinfer computes with.
        network: the model's input.
        approximated: what of its arithmetic is only near to a device's, in words; empty for nothing.
        metadata: the model's metadata_props.
        failure: why NVIDIA's parser gives up on every frame, "" where it does not; nothing is shown then.
    """

    config: Path
    model: Path | None
    settings: Settings
    network: Network
    approximated: tuple[str, ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    failure: str = ""

    @property
    def recorded(self) -> OnnxMetadata:
        """What `ei-deepstream convert` recorded in the model."""
        return OnnxMetadata.parse(dict(self.metadata))


@dataclass(frozen=True, slots=True)
class Said:
    """What one output of a classifier says of a picture or of an object.

    Attributes:
        engine: gie-unique-id.
        attribute: which output, in engine order.
        label: None where the label file has none.
    """

    engine: int
    attribute: int
    class_id: int
    confidence: float
    label: str | None


@dataclass(frozen=True, slots=True)
class Lost:
    """A candidate that is not shown, and what decided so.

    Attributes:
        engine: gie-unique-id.
        key: the key of the config (or "box", "num_detections", "keep_top_k", see `convert.simulate.decode_boxes.Drop`).
        why: in words, with both numbers.
        label: of its class, None without one.
        box: in pixels of the picture; None for a classifier's.
        of: the object in `Frame.objects` it was said of; None for the whole picture.
    """

    engine: int
    key: str
    why: str
    class_id: int
    confidence: float
    label: str | None
    box: Rect | None = None
    of: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it reaches the display.

    Attributes:
        engine: gie-unique-id of the detector.
        label: as nvinfer stores it; "" without one.
        said: what the classifiers behind say of it, in the order of the engines.
        unseen: why a classifier did not look at it, one sentence for each such engine.
        parent: the object (index in `Frame.objects`) it was found in; None for the whole picture.
    """

    engine: int
    class_id: int
    label: str
    confidence: float
    box: Rect
    said: tuple[Said, ...] = ()
    unseen: tuple[str, ...] = ()
    parent: int | None = None

    @property
    def text(self) -> str:
        """What the display shows above the box: the label, then a blank and the labels of each classifier behind it.

        (attach_metadata_classifier in gstnvinfer_meta_utils.cpp appends to display_text; blanks at the end are cut.)
        """
        return " ".join([self.label, *(one.label for one in self.said if one.label)]).strip()


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture.

    Attributes:
        name: short and unique among the pictures; file names are made of it.
        source: the file it came from.
        width, height: pixels, behind EXIF rotation.
        placement: how the primary engine's input was cut out of it.
        objects: of all detectors, in nvinfer's order.
        said: by a primary classifier, and by classifiers that look at the object it makes of the whole picture.
        label: a primary classifier's text for the whole picture, as nvinfer attaches it (every label followed by a
            blank); "" for none.
        decoded: a primary detector's objects behind clustering, in network pixels, before anything is attached.
        lost: the best candidates that are not shown, best first.
        notes: what else a user must know of this picture, one sentence each.
    """

    name: str
    source: Path
    width: int
    height: int
    placement: Placement | None
    objects: tuple[Found, ...] = ()
    said: tuple[Said, ...] = ()
    label: str = ""
    lost: tuple[Lost, ...] = ()
    notes: tuple[str, ...] = ()
    decoded: tuple[Detection, ...] = ()

    @property
    def shows(self) -> bool:
        """Whether anything is seen on the screen."""
        return bool(self.objects or self.label)


@dataclass(frozen=True, slots=True)
class Simulation:
    """All pictures through all engines.

    Attributes:
        engines: the primary first.
        seconds: wall time spent in each part ("decode pictures", "preprocess", "infer", "decode"); never written to a
            file whose bytes are to be the same twice.
    """

    engines: tuple[Engine, ...]
    frames: tuple[Frame, ...]
    seconds: dict[str, float] = field(default_factory=dict)
