"""What ends a run.

    ConvertError                "convert"        exit code 3
      InputError                "input"          the export, model or config cannot be read
        NoModelError            "input"          it was read, and holds no model, or several to choose from
      UnsupportedModelError     "unsupported"    read and recognised, but there is no way to convert it
      TranslationError          "translation"    tf2onnx failed, died, ran too long or produced a wrong graph
      ValidationError           "validation"     the ONNX model does not compute what the original computes
      OutputError               "output"         the result cannot be written
      PresetError               "preset"         an option or preset that does not exist or does not fit
      MissingDependencyError    "dependency"     an optional package is needed and not installed

A model that converts but is wrong is a finding (`convert.findings`); what cannot be done is one of these errors.
Anything else that reaches the command line is a bug of ours (exit code 70).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

__all__ = [
    "ConvertError",
    "InputError",
    "MissingDependencyError",
    "NoModelError",
    "OutputError",
    "PresetError",
    "TranslationError",
    "UnsupportedModelError",
    "ValidationError",
]


class ConvertError(Exception):
    """One sentence on what went wrong, one on what to do.

    Args:
        message: what is wrong, without a path in front and without a full stop at the end.
        hint: what the user can do about it.
        path: the file or folder it is about, as the user would name it.
        line: 1-based line in `path`, where there is one.

    Attributes:
        findings: what the stages before had found (`convert.findings.Finding`), where `convert.convert` raises it.
    """

    code: ClassVar[str] = "convert"
    findings: tuple[Any, ...] = ()

    def __init__(
        self, message: str, *, hint: str | None = None, path: Path | str | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = None if path is None else str(path)
        self.line = line

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (convert.isolation); keyword arguments need saying.
        return (_rebuild, (type(self), self.message, self.hint, self.path, self.line))


def _rebuild(
    kind: type[ConvertError], message: str, hint: str | None, path: str | None, line: int | None
) -> ConvertError:
    return kind(message, hint=hint, path=path, line=line)


class InputError(ConvertError):
    """The export, model, picture or config cannot be read."""

    code = "input"


class NoModelError(InputError):
    """The export was read, and there is no model in it, or there are several of which one has to be chosen."""


class UnsupportedModelError(ConvertError):
    """The model was read and recognised, and there is no way to convert it."""

    code = "unsupported"


class TranslationError(ConvertError):
    """tf2onnx failed, died, ran too long, or produced a graph that breaks a rule of ours."""

    code = "translation"


class ValidationError(ConvertError):
    """The ONNX model is invalid or does not compute what the original computes."""

    code = "validation"


class OutputError(ConvertError):
    """The result cannot be written."""

    code = "output"


class PresetError(ConvertError):
    """An option, target or preset that does not exist or does not fit this model."""

    code = "preset"


class MissingDependencyError(ConvertError):
    """An optional package is needed and not installed.

    A hint that begins with `pip` becomes a command for the interpreter that runs, whatever `pip` is on the PATH.
    """

    code = "dependency"


def pip_install(requirement: str) -> str:
    """The command that installs `requirement` ("ei-deepstream[video]") for the Python that this runs in."""
    import shlex  # only for a message

    return f'{shlex.quote(sys.executable)} -m pip install "{requirement}"'
