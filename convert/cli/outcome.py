"""How every command that walks stages ends: print the run in the format asked for and decide the exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from convert.findings import worst

if TYPE_CHECKING:
    from collections.abc import Iterable

    from convert.findings import Finding, Level
    from convert.pipeline import Run

__all__ = ["exit_code", "finish"]


def exit_code(findings: Iterable[Finding], fail_on: Level, *, error: object = None) -> int:
    """3 for an error, 1 for a finding at or above `fail_on`, else 0."""
    if error is not None:
        return 3
    level = worst(findings)
    return 1 if level is not None and level.rank >= fail_on.rank else 0


def finish(run: Run, *, format_: str, fail_on: Level, quiet: bool) -> int:
    """Show `run`; the exit code does not depend on the format."""
    code = exit_code(run.findings, fail_on, error=run.error)
    if format_ == "json":
        from convert.render.json import dumps, run_document  # noqa: PLC0415 - only for this format

        sys.stdout.write(dumps(run_document(run, code)).decode())
    if format_ == "json" or quiet:
        if run.error:
            from convert.render.failure import error_lines  # noqa: PLC0415

            print("\n".join(error_lines(run.error)), file=sys.stderr)  # noqa: T201
    else:
        from convert.render.text import show_run  # noqa: PLC0415 - rich is not needed for JSON

        show_run(run)
    return code
