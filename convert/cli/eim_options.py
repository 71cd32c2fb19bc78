"""Options that several `eim` commands share, and how features and pictures are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from convert.findings import Finding

__all__ = ["findings_document", "limits", "target", "timeout"]

target = click.argument("target", type=click.Path(path_type=Path), metavar="FILE|SOCKET")
"""An .eim to start, or the socket of one that runs."""

timeout = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds the .eim may take to start, and for each answer.",
)


def limits(seconds: float) -> Any:
    """The client's limits with `--timeout` for all."""
    from convert.eim.client import Limits  # noqa: PLC0415 - only a running command needs it

    return Limits(start=seconds, answer=seconds)


def findings_document(findings: Iterable[Finding], exit_code: int, **rest: Any) -> dict[str, Any]:
    """The JSON document of a command that has findings, with the keys all commands have."""
    from convert.report import SCHEMA_VERSION, finding_document  # noqa: PLC0415

    return {
        "schema_version": SCHEMA_VERSION,
        "exit_code": exit_code,
        **rest,
        "findings": [finding_document(finding) for finding in findings],
        "error": None,
    }
