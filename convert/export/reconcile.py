"""Settles what an export's model, its recorded parameters and the user's options say differently.

The flatbuffer is what runs: its shape and type win. Its last layer wins too, except where a shape fits several
detectors or none; only the parameters can tell that, as they tell a spectrogram from a picture. Options win over both.
Every difference is a finding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from convert.artifacts import Color, Metadata, ModelFacts
from convert.export.enumerators import NOT_CAMERAS
from convert.export.findings import CONTRADICTION, OVERRIDDEN
from convert.heads import ANOMALY, CLASSIFIER, NOT_IMAGE, UNKNOWN

if TYPE_CHECKING:
    from convert.artifacts import ImageScaling, ResizeMode
    from convert.findings import Finding

__all__ = ["reconcile", "with_options"]

_NOT_DETECTED: Final = frozenset({NOT_IMAGE, ANOMALY})


def reconcile(
    metadata: Metadata, facts: ModelFacts, tasks: tuple[str, ...], path: str
) -> tuple[Metadata, ModelFacts, tuple[Finding, ...]]:
    """Metadata without what the model disproves, facts with the task the parameters make clear, and the differences.

    Args:
        tasks: what the model's last layer can be, `convert.export.facts.possible_tasks`.
        path: the model, as findings should name it.
    """
    if metadata == Metadata():
        return metadata, facts, ()
    findings: list[Finding] = []
    metadata, differences = _shape(metadata, facts)
    is_quantized = facts.quantization not in {"float32", "float16-weights"}
    if metadata.quantized is not None and metadata.quantized != is_quantized:
        differences.append(
            f"a {'quantized' if metadata.quantized else 'float32'} model, but it is {facts.quantization}"
        )
    metadata = replace(metadata, quantized=is_quantized if metadata.quantized is not None else None)
    if differences:
        message = "the parameters record " + "; ".join(differences)
        findings.append(CONTRADICTION.found(message, path=path))
    facts, different = _task(metadata, facts, tasks)
    if different:
        findings.append(CONTRADICTION.found(different, path=path))
    return metadata, facts, tuple(findings)


def _shape(metadata: Metadata, facts: ModelFacts) -> tuple[Metadata, list[str]]:
    """Metadata with the model's picture size and colour, and what was recorded instead."""
    shape = facts.input.shape
    if len(shape) != 4 or facts.task in _NOT_DETECTED:
        return metadata, []
    _, height, width, channels = shape
    recorded = (metadata.height, metadata.width, metadata.channels)
    differences: list[str] = []
    if any(mine is not None and mine != its for mine, its in zip(recorded, shape[1:], strict=True)):
        spelled = "x".join("?" if size is None else str(size) for size in recorded)
        differences.append(f"pictures of {spelled} (HxWxC), but it takes {height}x{width}x{channels}")
    color = {1: Color.GRAY, 3: Color.RGB}.get(channels or 0)
    if metadata.color is not None and color is not None and metadata.color is not color and not differences:
        differences.append(f"the colour {metadata.color.value}, but it takes {color.value}")
    return replace(metadata, height=height, width=width, channels=channels, color=color), differences


def _task(metadata: Metadata, facts: ModelFacts, tasks: tuple[str, ...]) -> tuple[ModelFacts, str]:
    if metadata.sensor in NOT_CAMERAS and facts.task not in _NOT_DETECTED:
        what = f"its input has the shape of pictures, but the parameters record the sensor {metadata.sensor}"
        return replace(facts, task=NOT_IMAGE), f"{what}; say --task {facts.task} if it takes pictures"
    recorded = metadata.task
    if recorded in {None, UNKNOWN, facts.task} or facts.task == NOT_IMAGE:
        return facts, ""
    assert recorded is not None
    if recorded in tasks:
        return replace(facts, task=recorded), ""
    if facts.task == UNKNOWN and recorded != CLASSIFIER:
        return replace(facts, task=recorded), ""
    return (
        facts,
        f"the parameters record the last layer {recorded}, but its outputs are those of {facts.task}",
    )


def with_options(
    metadata: Metadata,
    facts: ModelFacts,
    *,
    labels: tuple[str, ...] | None,
    task: str | None,
    resize_mode: ResizeMode | None,
    image_scaling: ImageScaling | None,
) -> tuple[Metadata, ModelFacts, tuple[Finding, ...]]:
    """Metadata and facts with what the user says, and a note on each thing that was recorded differently."""
    given: dict[str, Any] = {"labels": labels, "resize_mode": resize_mode, "image_scaling": image_scaling}
    findings: list[Finding] = []
    for name, value in given.items():
        recorded = getattr(metadata, name)
        if value is None:
            continue
        if recorded is not None and recorded != value:
            message = f"--{name.replace('_', '-')} {_spelled(value)} replaces the recorded {_spelled(recorded)}"
            findings.append(OVERRIDDEN.found(message))
        metadata = replace(metadata, **{name: value})
    if task is not None and task != facts.task:
        findings.append(OVERRIDDEN.found(f"--task {task} replaces {facts.task}, which the model looks like"))
        facts = replace(facts, task=task)
    return metadata, facts, tuple(findings)


def _spelled(value: object) -> str:
    return ";".join(value) if isinstance(value, tuple) else str(value)
