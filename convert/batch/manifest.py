"""Reads a batch's manifest: TOML with `[defaults]` and one `[[model]]` for each export, pair of exports, or glob.

    [defaults]
    target = "6.2"

    [[model]]
    export = "exports/door.zip"
    name = "door"
    role = "pgie"

    [[model]]
    export = "weekly/*/export.zip"
    name = "{parent}"

    [[model]]
    pgie = "finder.zip"
    sgie = "kinds.zip"

Every option of `convert` has its name here. Paths are relative to the manifest. What is not known is refused with its
line: a mistyped option must not be a default.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from convert.artifacts import slug
from convert.batch.plan import Model, expand, found, short_name
from convert.errors import ConvertError, InputError
from convert.export.archive import read_file
from convert.options import ConvertOptions, table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

__all__ = ["models_of", "read_manifest"]

_LARGEST = 4 << 20  # bytes; ten thousand models are one of them
_ITS_OWN = ("export", "name", "pgie", "sgie")  # keys of a model that are no options
_SAID_BY_PAIR = ("role", "operate-on-gie-id")  # what being a pair says already


def models_of(paths: Sequence[str]) -> Iterator[Model]:
    """The models of the manifests among `paths`, then those of the exports, globs and folders.

    Raises:
        InputError: see `read_manifest` and `convert.batch.plan.found`.
    """
    manifests = [path for path in paths if path.lower().endswith(".toml")]
    for path in manifests:
        yield from read_manifest(Path(path))
    yield from found(path for path in paths if path not in manifests)


def read_manifest(path: Path) -> tuple[Model, ...]:
    """The models of the manifest `path`, in order.

    Raises:
        InputError: it cannot be read, is no TOML, or says what cannot be; with the line where that is known.
    """
    try:
        text = read_file(path, _LARGEST).decode("utf-8-sig")
        document = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise InputError("the manifest is not UTF-8", path=path, hint="save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        last = len(text.splitlines()) or None
        raise InputError(
            f"the manifest is no TOML: {error}",
            path=path,
            line=int(line[1]) if line else last,
            hint="see toml.io; text stands in quotes",
        ) from error
    except RecursionError as error:
        raise InputError("the manifest is nested too deep", path=path, hint="see toml.io") from error
    return _Reader(path, text).models(document)


class _Reader:
    """One manifest."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        # all options of `convert` but its --name, which is a model's `name`
        self._options = {
            name.replace("_", "-"): option for name, option in table(ConvertOptions).items() if name != "bundle_name"
        }
        self._lines = text.split("\n")

    def models(self, document: Mapping[str, Any]) -> tuple[Model, ...]:
        """All of them."""
        for key in document:
            if key not in {"defaults", "model"}:
                self._refuse(f"{key!r} is not known here{_meant(key, ('defaults', 'model'))}", _line(self._lines, key))
        defaults, models = document.get("defaults", {}), document.get("model", [])
        if not isinstance(defaults, dict):
            self._refuse("defaults is a table: [defaults]", _line(self._lines, "defaults"))
        if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
            self._refuse("model is a list of tables: [[model]]", _line(self._lines, "model"))
        if not models:
            self._refuse("there is no [[model]] in it", None)
        common = self._given(defaults, _table(self._lines, "[defaults]", 0), ())
        return tuple(one for number, table in enumerate(models) for one in self._model(table, number, common))

    def _model(self, table: dict[str, Any], number: int, common: dict[str, Any]) -> Iterator[Model]:
        start = _table(self._lines, "[[model]]", number)
        given = self._given({k: v for k, v in table.items() if k not in _ITS_OWN}, start, _ITS_OWN)
        for key in _ITS_OWN:
            if key in table and not (isinstance(table[key], str) and table[key].strip() and "\0" not in table[key]):
                self._refuse(f"{key} is text that is not empty", _line(self._lines, key, start))
        if ("pgie" in table) != ("sgie" in table) or ("export" in table) == ("pgie" in table):
            self._refuse("a model has an export, or a pgie and an sgie", start)
        options = {**common, **given}
        if "pgie" in table:
            yield self._pair(table, start, options)
            return
        pattern, name = table["export"], table.get("name")
        exports = self._expanded(pattern, start)
        for export in exports:
            called = self._name(name, export, start, several=len(exports) > 1)
            own = {"bundle_name": called} if name else {}
            yield Model(called, export, None, {**options, **own}, self._path, start)

    def _pair(self, table: dict[str, Any], start: int | None, options: dict[str, Any]) -> Model:
        for key in _SAID_BY_PAIR:
            if _spelled(key, table):
                self._refuse(
                    f"{key} means nothing with pgie and sgie: they say it already", _line(self._lines, key, start)
                )
        pgie, sgie = (self._path.parent / table[key] for key in ("pgie", "sgie"))
        name = table.get("name")
        own = {"bundle_name": name} if name else {}
        called = name or f"{short_name(pgie)}-{short_name(sgie)}"
        return Model(called, pgie, sgie, {**options, **own}, self._path, start)

    def _expanded(self, pattern: str, start: int | None) -> tuple[Path, ...]:
        try:
            return expand(pattern, self._path.parent)
        except ConvertError as error:
            self._refuse(f"export {pattern!r}: {error.message}", _line(self._lines, "export", start), error.hint)
        except (OSError, ValueError, re.error) as error:  # patterns that no file name can be
            self._refuse(f"export {pattern!r} cannot be looked for: {error}", _line(self._lines, "export", start))

    def _name(self, name: str | None, export: Path, start: int | None, *, several: bool) -> str:
        if name is None:
            return short_name(export)
        if several and not {"{stem}", "{parent}"} & set(re.findall(r"\{\w+\}", name)):
            self._refuse(
                "a name for several exports says how they differ",
                _line(self._lines, "name", start),
                'use {stem} (file name) or {parent} (folder) in it: name = "{parent}"',
            )
        parent = slug(export.absolute().parent.name)
        return name.replace("{stem}", short_name(export)).replace("{parent}", parent)

    def _given(self, table: dict[str, Any], start: int | None, own: tuple[str, ...]) -> dict[str, Any]:
        """The options of a table, by their Python names."""
        given: dict[str, Any] = {}
        for key, raw in table.items():
            spelled = key.replace("_", "-")
            line = _line(self._lines, key, start)
            if spelled not in self._options:
                known = (*own, *self._options)
                self._refuse(f"there is no option {key!r}{_meant(spelled, known)}", line)
            try:
                value = self._options[spelled].value(raw, self._path.parent)
            except ValueError as error:
                self._refuse(f"{key}: {error}", line)
            if self._options[spelled].name in given:
                self._refuse(f"{spelled} is given twice, with - and with _", line)
            given[self._options[spelled].name] = value
        return given

    def _refuse(self, message: str, line: int | None, hint: str | None = None) -> NoReturn:
        raise InputError(message, path=self._path, line=line, hint=hint or "see `ei-deepstream batch --help`")


def _spelled(key: str, table: Mapping[str, Any]) -> bool:
    return key in table or key.replace("-", "_") in table


def _meant(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _table(lines: list[str], header: str, number: int) -> int | None:
    """The line of the `number`-th `header`; None where it is written in another way."""
    found = [place for place, line in enumerate(lines, 1) if line.partition("#")[0].replace(" ", "").strip() == header]
    return found[number] if number < len(found) else None


def _line(lines: list[str], key: str, start: int | None = 1) -> int | None:
    """The first line from `start` on that gives `key`, in the same table; `start` itself where none is seen."""
    if start is None:
        return None
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    for place in range(start, len(lines) + 1):
        line = lines[place - 1]
        if place > start and start > 1 and line.lstrip().startswith("["):
            break
        if pattern.match(line):
            return place
    return start if start > 1 else None
