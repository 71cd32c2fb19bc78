"""`ei-deepstream eim inspect`: which machine is this .eim for, and does it start here?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from convert.cli.eim_options import findings_document, limits, target, timeout
from convert.cli.options import common

if TYPE_CHECKING:
    from pathlib import Path

    from convert.eim.client import Model
    from convert.eim.inspection import Inspection
    from convert.findings import Level

__all__ = ["command"]

_MODES = {
    "socket": "a running .eim's socket",
    "packed": "a bundle packed by `eim pack`",
    "other": "no .eim",
    "script": "a script",
}


@click.command(name="inspect")
@target
@click.option("--hello", is_flag=True, help="Start it (or connect) and ask what it says of itself.")
@timeout
@common
def command(
    target: Path, *, hello: bool, timeout: float, format_: str, fail_on: Level, quiet: bool
) -> int:  # fmt: skip
    """Say which machine an .eim is for, whether it starts on this one, and what to download instead.

    The file is read, never run, unless --hello is given. A reason why it cannot start here is a finding of level error.
    """
    from convert.cli.outcome import exit_code  # noqa: PLC0415 - --help does without
    from convert.eim.client import talk  # noqa: PLC0415
    from convert.eim.greeting import greeting_findings  # noqa: PLC0415
    from convert.eim.inspection import inspect  # noqa: PLC0415

    inspection = inspect(target)
    findings = inspection.findings
    model = None
    if hello and inspection.kind != "other":
        with talk(target, limits=limits(timeout)) as client:
            model = client.model
            findings += greeting_findings(model, target)
    code = exit_code(findings, fail_on)
    if format_ == "json":
        from convert.report import dumps  # noqa: PLC0415

        document = findings_document(findings, code, **_document(inspection), hello=model and model.raw)
        sys.stdout.write(dumps(document).decode())
    elif not quiet:
        from convert.render.text import console, show_findings  # noqa: PLC0415 - rich is not needed for JSON

        out = console()
        for name, text in [*_lines(inspection), *(_said(model) if model else [])]:
            out.print(f"  {name:<10} {text}", markup=False)
        show_findings(findings, out)
    return code


def _document(inspection: Inspection) -> dict[str, Any]:
    binary, host = inspection.binary, inspection.host
    return {
        "path": str(inspection.path),
        "kind": inspection.kind,
        "binary": binary
        and {
            "system": binary.system,
            "machines": list(binary.machines),
            "bits": binary.bits,
            "interpreter": binary.interpreter,
            "libraries": list(binary.libraries),
            "glibc": binary.glibc and ".".join(map(str, binary.glibc)),
            "hard_float": binary.hard_float,
        },
        "targets": [name for target in inspection.targets for name in target.names],
        "host": {"system": host.system, "machine": host.machine, "bits": host.bits, "target": host.target},
    }


def _lines(inspection: Inspection) -> list[tuple[str, str]]:
    binary, host = inspection.binary, inspection.host
    lines = [("file", str(inspection.path))]
    if binary is None:
        lines.append(("is", _MODES.get(inspection.kind, "an executable that cannot be read")))
    else:
        floats = {None: "", True: ", hard float", False: ", soft float"}[binary.hard_float]
        lines.append(("is", f"{binary.system} {'/'.join(binary.machines)}, {binary.bits}-bit{floats}"))
        lines += [("target", f"{each.title}: {', '.join(each.names)}") for each in inspection.targets]
        lines += [("loader", binary.interpreter)] if binary.interpreter else []
        lines += [("needs", ", ".join(binary.libraries))] if binary.libraries else []
    lines.append(("here", f"{host.system} {host.machine}, {host.bits}-bit"))
    return lines


def _said(model: Model) -> list[tuple[str, str]]:
    project = model.raw.get("project")
    named = project if isinstance(project, dict) else {}
    lines = [("project", f"{named.get('name')} by {named.get('owner')}, version {named.get('deploy_version')}")]
    size = f"{model.width}x{model.height}x{model.channels}" if model.width else f"{model.features} features"
    lines.append(("model", f"{model.kind}, {size}, resize {model.resize_mode}"))
    lines.append(("labels", ", ".join(model.labels)))
    for threshold in model.thresholds:
        values = ", ".join(f"{key} {value}" for key, value in threshold.items() if key not in {"id", "type"})
        lines.append(("threshold", f"block {threshold.get('id')}, {threshold.get('type')}: {values}"))
    return lines
