"""What `inspect` found, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.markup import escape

from convert.artifacts import Export, Metadata, ResizeMode
from convert.errors import UnsupportedModelError
from convert.framing import Frame, Framing
from convert.graph.support import refuse_unsupported
from convert.heads import ANOMALY, NOT_IMAGE
from convert.render.framing import framing_text
from convert.render.text import console, show_findings
from convert.report import SCHEMA_VERSION, finding_document, framing_document, tensor_document
from convert.tables import plain

if TYPE_CHECKING:
    from convert.export.unpack import Found, Inspection

__all__ = ["in_the_way", "inspection_document", "show_inspection"]

_USUAL = Frame(16, 9)  # most cameras
_PROJECT = ("project_id", "project_name", "project_owner", "deploy_version", "studio_version")


def inspection_document(inspection: Inspection, exit_code: int, frame: Frame | None = None) -> dict[str, Any]:
    """What a path is, every model in it with `convertible` and `reason`, and why none is THE model (`undecided`).

    `framing` of a model that was trained on cropped pictures says what it sees of `frame` (16:9 where none is given).
    """
    project = plain(inspection.project)
    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        "path": inspection.path,
        "container": inspection.container,
        "kind": inspection.kind,
        "description": inspection.description,
        "project": {name: project[name] for name in _PROJECT},
        "models": [_model_document(model, frame) for model in inspection.models],
        "undecided": inspection.undecided,
        "hint": inspection.hint,
        "findings": [finding_document(finding) for finding in inspection.findings],
    }


def in_the_way(model: Found) -> tuple[str, str | None] | None:
    """Why `convert` would refuse `model`, and what to do; None when it would not."""
    if model.facts is None:
        return model.reason or "it holds no model", model.hint
    try:
        refuse_unsupported(Export(b"", "", model.form, model.member, "", model.metadata, model.facts, model.format))
    except UnsupportedModelError as error:
        return error.message, error.hint
    return None


def show_inspection(inspection: Inspection, frame: Frame | None = None) -> None:
    """For people, on standard output; with a picture of what a model trained on cropped pictures sees of `frame`."""
    out = console()
    out.print(f"[bold]{escape(inspection.path)}[/]: {escape(inspection.description)}")
    project = inspection.project
    owner = project.project_owner and f"by {project.project_owner}"
    facts = {
        "project": " ".join(part for part in (project.project_name, owner) if part),
        "studio": project.studio_version,
        "deployed": project.deploy_version and f"version {project.deploy_version}",
    }  # fmt: skip
    for name, value in facts.items():
        if value:
            out.print(f"  {name:<9} {escape(value)}")
    for model in inspection.models:
        _show_model(model, frame, several=len(inspection.models) > 1)
    show_findings(inspection.findings, out)
    if inspection.undecided:
        out.print(f"  [yellow]not convertible as it is:[/] {escape(inspection.undecided)}")
        if inspection.hint:
            out.print(f"    [dim]hint:[/] {escape(inspection.hint)}")


def _show_model(model: Found, frame: Frame | None, *, several: bool) -> None:
    out = console()
    place = " ".join(part for part in (model.member, model.symbol) if part)
    mark = " [green]<- the one convert takes[/]" if model.chosen and several else ""
    out.print(f"  model #{model.number} {escape(place)} ({model.form}, {model.size:,} bytes){mark}")
    if facts := model.facts:
        size = "x".join("?" if extent is None else str(extent) for extent in facts.input.shape[1:])
        out.print(f"    {facts.task} {size}, {facts.quantization}, input {escape(facts.input.name)}")
        out.print(f"    operators {', '.join(facts.operators)}", style="dim")
    for line in (*_recorded(model.metadata), *_framed(model, frame)):
        out.print(f"    {escape(line)}")
    if refusal := in_the_way(model):
        out.print(f"    [yellow]{escape(refusal[0])}[/]")
        if refusal[1]:
            out.print(f"      [dim]hint:[/] {escape(refusal[1])}")
    else:
        out.print("    [green]can be converted[/]")


def _recorded(metadata: Metadata) -> list[str]:
    """What matters for a conversion, a line each."""
    lines = []
    if metadata.labels:
        lines.append(f"labels {', '.join(metadata.labels)}")
    settings = {
        "resize mode": metadata.resize_mode,
        "image scaling": metadata.image_scaling,
        "colour": metadata.color,
        "threshold": metadata.threshold,
    }
    if said := ", ".join(f"{name} {value}" for name, value in settings.items() if value is not None):
        lines.append(said)
    return lines


def _takes_pictures(model: Found) -> bool:
    """Whether cropping is a question: anomaly detectors and models of sound are never converted."""
    return model.facts is not None and model.facts.task not in {ANOMALY, NOT_IMAGE}


def _framing(model: Found, frame: Frame | None) -> Framing | None:
    """What the model sees of a frame; None where it was not trained on cropped pictures."""
    if not _takes_pictures(model) or model.metadata.resize_mode is not ResizeMode.FIT_SHORTEST:
        return None
    assert model.facts is not None
    match model.facts.input.shape:
        case (_, int() as height, int() as width, _):
            return Framing(frame or _USUAL, (width, height))
        case _:
            return None


def _framed(model: Found, frame: Frame | None) -> list[str]:
    """What the model sees of a frame, drawn; that it sees all of it where a frame is given for nothing."""
    framing = _framing(model, frame)
    if framing is None:
        mode = model.metadata.resize_mode
        cause = "the resize mode is not recorded" if mode is None else f"the resize mode is {mode}"
        return [f"frame {frame}: nothing is cropped, {cause}"] if frame and _takes_pictures(model) else []
    hint = [] if frame else ["--frame 16:9, or what the camera gives, makes `convert` crop in the model"]
    return [*framing_text(framing, cropped=frame is not None), *hint]


def _model_document(model: Found, frame: Frame | None) -> dict[str, Any]:
    refusal = in_the_way(model)
    facts = model.facts
    return {
        "number": model.number,
        "member": model.member,
        "form": model.form,
        "symbol": model.symbol,
        "bytes": model.size,
        "sha256": model.digest,
        "chosen": model.chosen,
        "used": model.used,
        "task": facts and facts.task,
        "quantization": facts and facts.quantization,
        "input": facts and tensor_document(facts.input),
        "outputs": facts and [tensor_document(tensor) for tensor in facts.outputs],
        "operators": facts and list(facts.operators),
        "metadata": plain(model.metadata),
        "framing": (framing := _framing(model, frame)) and framing_document(framing),
        "convertible": refusal is None,
        "reason": refusal and refusal[0],
        "hint": refusal and refusal[1],
    }
