"""A repository's settings of `check`: [tool.ei-deepstream.check] in pyproject.toml, or [check] in ei-deepstream.toml.

The keys are the names of the options (`select = ["NVI0"]`, `fail-on = "never"`). The nearest file counts, from the
folder that all checked paths are in up to the root of the repository; of two in one folder ei-deepstream.toml.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from convert.errors import PresetError
from convert.options import CheckOptions, checked, refuse_unknown, table

if TYPE_CHECKING:
    from collections.abc import Iterable

_FILES: Final = {"ei-deepstream.toml": ("check",), "pyproject.toml": ("tool", "ei-deepstream", "check")}
_ROOTS: Final = (".git", ".hg")  # only the root of a repository has one


def read_settings(paths: Iterable[str]) -> dict[str, Any]:
    """The settings for these paths, as `checked` gives options; empty where no file has any.

    Raises:
        PresetError: the file cannot be read, or a key or value that no option has; it begins with the file's name.
    """
    try:
        shared = Path(os.path.commonpath([os.path.abspath(path) for path in paths]))  # noqa: PTH100 - as it is named
    except ValueError:  # no path at all
        return {}
    for folder in (shared, *shared.parents):
        for name, keys in _FILES.items():
            path = str(folder / name)
            if os.path.isfile(path) and (found := _section(path, keys)) is not None:  # noqa: PTH113 - any text
                return _values(path, found)
        if any(os.path.exists(folder / name) for name in _ROOTS):  # noqa: PTH110 - any text
            break
    return {}


def _section(path: str, keys: tuple[str, ...]) -> object:
    """The table behind `keys`; None: the file has none."""
    try:
        data = Path(path).read_bytes()
        # Most are about other tools.
        found: object = tomllib.loads(data.decode()) if all(key.encode() in data for key in keys) else None
    except (OSError, ValueError) as error:
        raise PresetError(f"{path}: {error}", hint="correct the file") from error
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _values(path: str, found: object) -> dict[str, Any]:
    known = {name.replace("_", "-"): name for name in table(CheckOptions) if name != "fix"}
    try:
        if not isinstance(found, dict):
            raise PresetError("the settings of check are no table", hint='write select = ["NVI0"] below [...check]')  # noqa: TRY301
        refuse_unknown(found, known)
        return checked(CheckOptions, {known[name]: value for name, value in found.items()})
    except PresetError as error:
        raise PresetError(f"{path}: {error.message}", hint=error.hint) from error
