"""A check from paths to report: find, read, apply the rules, and put the engines of an app together."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from convert.check.find import APP, CONFIG, Found, find
from convert.check.report import Checked, Report
from convert.errors import ConvertError, InputError
from convert.nvinfer.parse import MOST_BYTES
from convert.nvinfer.parse_files import read_ordinary
from convert.nvinfer.parse_result import Verdict
from convert.nvinfer.rules import findings
from convert.nvinfer.rules.gather import Models, Reading, gather, presence, read_config
from convert.nvinfer.rules.waivers import read_waivers, waived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from convert.findings import Finding
    from convert.nvinfer.rules.appread import AppFile, Gie
    from convert.nvinfer.rules.case import Case, Setting, Where
    from convert.nvinfer.rules.pipeline import Engine

    _App = tuple[AppFile, tuple[Gie, ...]]

__all__ = ["Check"]


@dataclass
class Check:
    """A check of some files for one target.

    Attributes:
        where: what it is for.
        wanted: whether findings of a rule, by its id, are looked for.
        gate: more that is found in a model, after the rules.
    """

    where: Where
    wanted: Callable[[str], bool] = lambda _: True
    gate: Callable[[Case], Iterable[Finding]] = lambda _: ()
    _models: Models = field(default_factory=Models)
    _readings: dict[str, Reading] = field(default_factory=dict)

    def __call__(self, paths: Iterable[str]) -> Report:
        """Check `paths`, the folders among them, and the configs that deepstream-app's configs lead to."""
        found = find(paths)
        apps = {each.path: self._read_app(each) for each in found if each.kind == APP and each.error is None}
        used = [(path, gie) for path, (_, on) in apps.items() for gie in on if gie.is_nvinfer and gie.path]
        found = self._with_used(found, used)
        settings: dict[str, list[Mapping[str, Setting]]] = {}
        for _, gie in used:
            settings.setdefault(_key(gie.path), []).append(gie.settings)
        return Report(tuple(self._one(each, apps, settings.get(_key(each.path), [])) for each in found), self.where)

    def _read_app(self, found: Found) -> _App:
        """deepstream-app's config, and the engines that are switched on in it."""
        from convert.nvinfer.rules.appread import gies, read_app  # noqa: PLC0415 - start-up time of other checks

        app = read_app(found.data, found.path, self.where.target.deepstream)
        return app, gies(app)

    def _with_used(self, found: list[Found], used: Iterable[tuple[str, Gie]]) -> list[Found]:
        """The configs of engines behind the file that names them, unless they are there already."""
        known = {_key(each.path) for each in found}
        result = list(found)
        for app, gie in used:
            if _key(gie.path) in known or not os.path.isfile(gie.path):  # noqa: PTH113 - text
                continue
            known.add(_key(gie.path))
            place = next(number for number, each in enumerate(result) if each.path == app)
            result.insert(place + 1, _read(gie.path))
        return result

    def _one(self, found: Found, apps: Mapping[str, _App], settings: list[Mapping[str, Setting]]) -> Checked:
        try:
            if found.error:
                raise found.error
            if found.kind == CONFIG:
                return self._config(found, settings)
            if found.kind == APP:
                return self._app(found, *apps[found.path])
            from convert.nvinfer.rules.script import script_findings  # noqa: PLC0415 - as above

            return self._finished(found, None, script_findings(found.data, found.path, self.where))
        except ConvertError as error:
            return Checked(found.path, found.kind, error=error, data=found.data)

    def _config(self, found: Found, settings: list[Mapping[str, Setting]]) -> Checked:
        # Only configs that an app leads to are read a second time, for its rules.
        reading = self._reading(found) if settings else read_config(found.path, self.where, found.data)
        first = reading.first
        results: list[Finding] = []
        for each in settings or [{}]:
            case = gather(reading, self.where, self._models, each)
            results += findings(case)
            if not case.faults:
                results += self.gate(case)
        return self._finished(found, first.verdict, results, first.values, first.exception)

    def _app(self, found: Found, app: AppFile, on: tuple[Gie, ...]) -> Checked:
        from convert.nvinfer.rules.pipeline import AppCase, app_findings  # noqa: PLC0415 - as above

        engines = tuple(self._engine(gie) for gie in on)
        results = app_findings(AppCase(app, engines, self.where))
        refused = any(finding.id in {"NVI094", "NVI096"} for finding in results)
        return self._finished(found, Verdict.REJECTED if refused else Verdict.ACCEPTED, results)

    def _engine(self, gie: Gie) -> Engine:
        from convert.nvinfer.rules.pipeline import Engine  # noqa: PLC0415 - as above

        here = presence(gie.config, gie.path)
        case = None
        if gie.is_nvinfer and here.here:
            try:
                case = gather(self._reading(Found(gie.path, CONFIG)), self.where, self._models, gie.settings)
            except InputError:
                case = None  # told where that file is checked
        return Engine(gie, case, here)

    def _reading(self, found: Found) -> Reading:
        key = _key(found.path)
        if key not in self._readings:
            self._readings[key] = read_config(found.path, self.where, found.data or None)
        return self._readings[key]

    def _finished(
        self,
        found: Found,
        verdict: Verdict | None,
        results: Iterable[Finding],
        values: Mapping[str, object] | None = None,
        exception: str | None = None,
    ) -> Checked:
        kept = dict.fromkeys(finding for finding in results if self.wanted(finding.id))
        stay, gone = waived(kept, found.path, read_waivers(found.data))
        return Checked(
            path=found.path,
            kind=found.kind,
            verdict=verdict,
            exception=exception,
            values=values,
            findings=tuple(sorted(stay, key=lambda finding: _order(finding, found.path))),
            waived=gone,
            data=found.data,
        )


def _read(path: str) -> Found:
    try:
        return Found(path, CONFIG, read_ordinary(path, "config", MOST_BYTES))
    except InputError as error:
        return Found(path, CONFIG, error=error)


def _key(path: str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a link is another file: paths in it are its own


def _order(finding: Finding, path: str) -> tuple[object, ...]:
    """By file, the checked one first, and by line."""
    return finding.path != path, finding.path or "", finding.line or 0, finding.column or 0, finding.id
