"""What a check found, file by file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from convert.errors import ConvertError
    from convert.findings import Finding
    from convert.nvinfer.parse_result import Verdict
    from convert.nvinfer.rules.case import Where

__all__ = ["Checked", "Fix", "Report"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One file.

    Attributes:
        path: as the user named it, or the file that leads to it.
        kind: "nvinfer", "deepstream-app" or "script".
        verdict: what becomes of the element (or of deepstream-app); None: the file could not be read, or is a script.
        exception: what the process dies of.
        values: what nvinfer reads, as the golden vectors have it; empty unless an nvinfer config is accepted.
        findings: what the rules found through this file; `waived`: what its comments waive.
        error: why the file could not be checked.
        data: the file, to show lines of.
    """

    path: str
    kind: str
    verdict: Verdict | None = None
    exception: str | None = None
    values: Mapping[str, Any] | None = None
    findings: tuple[Finding, ...] = ()
    waived: tuple[Finding, ...] = ()
    error: ConvertError | None = None
    data: bytes = b""


class Fix(NamedTuple):
    """A file that can be put right: what it is, and what it would be."""

    path: str
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Report:
    """All files, in the order they were named or found."""

    files: tuple[Checked, ...]
    where: Where

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Each finding once: configs may share a label file or a model."""
        return tuple(dict.fromkeys(finding for file in self.files for finding in file.findings))

    @property
    def waived(self) -> int:
        """How many findings are waived."""
        return len(dict.fromkeys(finding for file in self.files for finding in file.waived))

    @property
    def error(self) -> ConvertError | None:
        """The first file that could not be checked."""
        return next((file.error for file in self.files if file.error), None)
