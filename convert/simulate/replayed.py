"""Recorded tensors as a simulation: the frames a device saw are not known, what it found in them is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from convert.errors import InputError
from convert.images.placement import Rect, place, whole_network
from convert.simulate.decode import Detected
from convert.simulate.engine import read_case, settings_of
from convert.simulate.findings import PARSER
from convert.simulate.lost import best, of_classifier, of_detector
from convert.simulate.replay import read_recordings, replay
from convert.simulate.replay_case import CASE
from convert.simulate.replay_model import layout_of
from convert.simulate.scene import Engine, Found, Frame, Said, Simulation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from convert.findings import Finding
    from convert.images.placement import Placement
    from convert.images.read import Picture
    from convert.nvinfer.rules.case import Case, Where
    from convert.simulate.decode import Detection
    from convert.simulate.engine import Source
    from convert.simulate.replay_case import Layout, Recording
    from convert.simulate.settings import Settings

__all__ = ["Tensors", "replayed"]


@dataclass(frozen=True, slots=True)
class Tensors:
    """Recordings of one engine, decoded.

    Attributes:
        simulation: what is in them.
        findings: what was found besides.
    """

    simulation: Simulation
    findings: tuple[Finding, ...]


def replayed(source: Source, folder: Path, where: Where, pictures: Sequence[Picture] = ()) -> Tensors:
    """Decode what a device produced.

    Args:
        source: the config the device ran.
        folder: `case.json` with `tensors.npz`, or the files nvinfer dumps.
        where: release and platform.
        pictures: the frames, in the order they were recorded, or none: boxes are then in pixels of the recorded source
            frame, or of the network where that was not recorded.

    Raises:
        InputError: config, recording or model cannot be read, or there are not as many pictures as frames.
        UnsupportedModelError: the outputs cannot be decoded here; their parser is named.
    """
    case = read_case(source, where)
    settings = settings_of(case)
    recordings = read_recordings(folder, settings, _layout(case, settings, folder))
    single = [part for recording in recordings for part in _frames(recording)]
    if pictures and len(pictures) != len(single):
        raise InputError(
            f"there are {len(pictures)} pictures for {len(single)} recorded frames",
            hint="give the pictures the device saw, in its order, or none",
            path=folder,
        )
    frames: list[Frame] = []
    failure = ""
    given: Sequence[Picture | None] = pictures or [None] * len(single)
    for part, picture in zip(single, given, strict=True):
        frame, failed = _frame(settings, part, folder, picture)
        frames.append(frame)
        failure = failure or failed
    engine = Engine(source.path, None, settings, recordings[0].network, failure=failure)
    found = (PARSER.found(failure, path=source.path),) if failure else ()
    return Tensors(Simulation((engine,), tuple(frames)), found)


def _layout(case: Case, settings: Settings, folder: Path) -> Layout | None:
    """Of the config's own model, where the recording does not say it itself."""
    file = case.files.get("onnx-file")
    if file is None or not file.presence.here or (folder / CASE).exists():
        return None
    return layout_of(Path(file.path), settings)


def _frames(recording: Recording) -> Iterator[Recording]:
    """Frame by frame: with pictures each can be scaled in its own way."""
    for number in range(recording.layers[0].frames):
        layers = tuple(replace(layer, array=layer.array[number : number + 1]) for layer in recording.layers)
        yield replace(recording, name=f"{recording.name}-{number:02d}", layers=layers)


def _frame(settings: Settings, part: Recording, folder: Path, picture: Picture | None) -> tuple[Frame, str]:
    placement: Placement | None = None
    view = part.view
    if view is None and picture is not None:
        height, width = picture.pixels.shape[:2]
        crop = part.parent if settings.on_objects else None
        placement = place(
            width, height, part.network, keep_aspect=settings.keep_aspect, symmetric=settings.symmetric, crop=crop
        )
        view = placement.view
    view = view or whole_network(part.network)
    result = replay(settings, part, view=view, why=True)
    (one,) = result.frames
    if picture is not None:
        name, file, (height, width) = picture.name, picture.source, picture.pixels.shape[:2]
    else:
        name, file, (height, width) = part.name, folder, (view.frame_height, view.frame_width)
    frame = Frame(name, file, width, height, placement, notes=picture.notes if picture else ())
    if result.failure:
        frame = replace(frame, notes=(*frame.notes, result.failure))
    if isinstance(one, Detected):
        (attached,), (dropped,) = result.metadata, result.dropped
        parent = part.parent if settings.on_objects else None
        lost = of_detector(settings, view, one.dropped, dropped, parent=parent)
        found = tuple(_found(settings, each) for each in attached)
        return replace(frame, objects=found, decoded=one.objects, lost=best(lost)), result.failure
    said = tuple(
        Said(settings.unique_id, each.attribute, each.class_id, each.confidence, each.label) for each in one.attributes
    )
    lost = of_classifier(settings, one, len(part.layers))
    return replace(frame, said=said, label=one.label, lost=best(lost)), result.failure


def _found(settings: Settings, one: Detection) -> Found:
    box = Rect(one.left, one.top, one.width, one.height)
    return Found(settings.unique_id, one.class_id, one.label or "", one.confidence, box)
