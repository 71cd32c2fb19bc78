"""Decodes recorded output tensors instead of running a model: what a device produced, looked at on any machine.

A recording is a folder with `case.json` and `tensors.npz`, or with the files nvinfer writes with
raw-output-file-write (`convert.simulate.replay_dump`). The answer is one JSON document for each batch: per frame
`objects` (network pixels, behind clustering) and `metadata` (pixels of the frame), or `label`, `attributes` and
`metadata attached`; every number is a float32 value with nine digits, "nan" and "inf" are texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.images.placement import Network, Rect, View, whole_network
from convert.simulate.decode import Detected, Detection, decode
from convert.simulate.decode_boxes import Dropped
from convert.simulate.document import number, object_document, text
from convert.simulate.metadata import attach
from convert.simulate.replay_case import holds_case, read_case
from convert.simulate.replay_dump import read_dump
from convert.simulate.settings import NetworkType

if TYPE_CHECKING:
    from pathlib import Path

    from convert.simulate.decode_boxes import Drop
    from convert.simulate.decode_classifier import Classified
    from convert.simulate.replay_case import Layout, Recording
    from convert.simulate.settings import Settings

__all__ = [
    "Replayed",
    "classified_document",
    "detected_document",
    "number",
    "object_document",
    "read_recordings",
    "replay",
    "text",
]


@dataclass(frozen=True, slots=True)
class Replayed:
    """One batch, decoded.

    Attributes:
        name: of the recording.
        failure: why NVIDIA's parser gives up on every frame, "" where it does not.
        frames: what nvinfer finds.
        metadata: for each frame of a detector what reaches the frame; empty for a classifier.
        dropped: for each frame of a detector, where it was asked for: what attaching to the frame left out, in pixels
            of the frame. (What decoding left out is in `frames`.)
    """

    name: str
    settings: Settings
    failure: str
    frames: tuple[Classified, ...] | tuple[Detected, ...]
    metadata: tuple[tuple[Detection, ...], ...] = ()
    dropped: tuple[Dropped, ...] = ()

    def document(self) -> dict[str, Any]:
        """The batch as JSON values."""
        document: dict[str, Any] = {
            "status": "NVDSINFER_SUCCESS",
            "output parser failed": bool(self.failure),
            "messages": [self.failure] if self.failure else [],
        }
        if self.settings.network_type is NetworkType.DETECTOR:
            document["cluster-mode in use"] = int(self.settings.cluster_mode)
        document["frames"] = [self._frame(index) for index in range(len(self.frames))]
        return document

    def _frame(self, index: int) -> dict[str, Any]:
        frame = self.frames[index]
        if not isinstance(frame, Detected):
            return classified_document(frame)
        document = detected_document(frame.objects, self.metadata[index])
        if frame.dropped is not None:
            document["dropped"] = [_dropped_document(drop) for drop in frame.dropped.best()]
            document["dropped from metadata"] = [_dropped_document(drop) for drop in self.dropped[index].best()]
        return document


def read_recordings(folder: Path, settings: Settings, layout: Layout | None = None) -> tuple[Recording, ...]:
    """What a folder holds: one recording for `case.json`, one for each dumped batch otherwise.

    Args:
        folder: of the recording.
        settings: of the config; its gie-unique-id is in the names of dumped files.
        layout: the model's input and outputs, for dumped files without a `case.json` beside them.

    Raises:
        InputError: nothing of the kind is there, or it is damaged.
    """
    if holds_case(folder):
        return (read_case(folder),)
    return read_dump(folder, settings.unique_id, layout)


def replay(settings: Settings, recording: Recording, *, view: View | None = None, why: bool = False) -> Replayed:
    """Decode one recorded batch.

    Args:
        settings: of the config.
        recording: the outputs of one batch.
        view: how the frames were scaled (`convert.images.placement.place(...).view`), where the recording does not
            say it; without either, `metadata` is in network pixels.
        why: keep a record of what falls out.

    Raises:
        UnsupportedModelError, InputError: as `convert.simulate.decode.decode`.
    """
    network: Network = recording.network
    decoded = decode(settings, network, recording.layers, why=why)
    way = recording.view or view or whole_network(network)
    parent: Rect | None = recording.parent if settings.on_objects else None
    metadata: list[tuple[Detection, ...]] = []
    dropped: list[Dropped] = []
    for frame in decoded.frames:
        if isinstance(frame, Detected):
            dropped.append(Dropped())
            metadata.append(attach(settings, way, frame.objects, parent=parent, dropped=dropped[-1] if why else None))
    return Replayed(recording.name, settings, decoded.failure, decoded.frames, tuple(metadata), tuple(dropped))


def detected_document(objects: tuple[Detection, ...], metadata: tuple[Detection, ...]) -> dict[str, Any]:
    """A detector's frame as JSON values."""
    return {"objects": list(map(object_document, objects)), "metadata": list(map(object_document, metadata))}


def classified_document(frame: Classified) -> dict[str, Any]:
    """A classifier's frame as JSON values."""
    document: dict[str, Any] = {
        "label": text(frame.label),
        "metadata attached": frame.attached,
        "attributes": [
            {
                "attribute": one.attribute,
                "class": one.class_id,
                "confidence": number(one.confidence),
                "label": text(one.label),
            }
            for one in frame.attributes
        ],
    }
    if frame.dropped:
        document["dropped"] = [_dropped_document(drop) for drop in frame.dropped]
    return document


def _dropped_document(drop: Drop) -> dict[str, Any]:
    return {
        "key": drop.key,
        "why": drop.why,
        "class": drop.class_id,
        "confidence": number(drop.confidence),
        "left": number(drop.left),
        "top": number(drop.top),
        "width": number(drop.width),
        "height": number(drop.height),
    }


