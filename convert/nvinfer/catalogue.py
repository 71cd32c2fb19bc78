"""`configs/targets.toml`, read and checked once: the facts `convert.nvinfer.targets` answers from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from convert.errors import PresetError
from convert.nvinfer.rows import read_row, read_rows
from convert.resources import configs, load_toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = [
    "AppKey",
    "Build",
    "Catalogue",
    "Flag",
    "KeyValue",
    "OnnxParser",
    "Parser",
    "Sink",
    "Target",
    "Tracker",
    "catalogue",
    "version_numbers",
]


@dataclass(frozen=True, slots=True)
class Target:
    """One DeepStream release on one platform. None: not known (then `unverified` says so).

    Attributes:
        deepstream: release, "7.1".
        platform: "jetson" or "dgpu".
        tensorrt, cuda: versions on this platform, as far as NVIDIA gives them ("10.3.0.26", "10.16").
        folder: the SDK's folder below /opt/nvidia/deepstream (always two numbers).
        root: the SDK's folder as NVIDIA's own app configs of that release write it.
        min_object_size: pixels; a secondary engine never sees smaller objects on this platform.
        jetpack, l4t: Jetson only.
        families: Jetson modules it runs on; empty for dgpu.
        unverified: (cell, why) for everything that is missing or may be wrong.
    """

    deepstream: str
    platform: str
    tensorrt: str
    folder: str
    root: str
    min_object_size: int
    cuda: str | None = None
    jetpack: str | None = None
    l4t: str | None = None
    families: tuple[str, ...] = ()
    ubuntu: str | None = None
    gstreamer: str | None = None
    released: str | None = None
    unverified: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """As the user names the release: "deepstream-7.1"."""
        return f"deepstream-{self.deepstream}"


@dataclass(frozen=True, slots=True)
class Parser:
    """A function of the stock parser library. `kind`: bbox, instance-mask, segmentation or classifier."""

    function: str
    kind: str
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A value of a Gst-nvinfer key that not every release or platform accepts."""

    key: str
    value: str
    since: str | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class AppKey:
    """A group (then `key` is empty) or key of deepstream-app's file that not every release knows."""

    group: str
    key: str = ""
    since: str | None = None
    until: str | None = None
    instead: str | None = None


@dataclass(frozen=True, slots=True)
class Sink:
    """A [sinkN] type of deepstream-app and what it shows."""

    type: int
    what: str
    platform: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Tracker:
    """Files for [tracker], below the SDK's root; `config` is None where the library reads none."""

    library: str
    config: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Build:
    """trtexec from TensorRT `tensorrt` on: what makes it build and stop, and build in fp16 (empty: it cannot)."""

    tensorrt: str
    build: tuple[str, ...]
    fp16: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class OnnxParser:
    """TensorRT's ONNX parser from TensorRT `tensorrt` on: the opsets it was made for, both included."""

    tensorrt: str
    opset_last: int
    opset_first: int = 1


@dataclass(frozen=True, slots=True)
class Flag:
    """`since`: first TensorRT that knows a trtexec flag; `gone`: first that does not any more."""

    since: str | None = None
    gone: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All of targets.toml. Releases and targets are in order of age."""

    releases: tuple[str, ...]
    platforms: tuple[str, ...]
    targets: tuple[Target, ...]
    paths: dict[str, str]
    trackers: tuple[Tracker, ...]
    sinks: tuple[Sink, ...]
    keys_since: dict[str, str]
    keys_work_until: dict[str, str]
    key_values: tuple[KeyValue, ...]
    app_keys: tuple[AppKey, ...]
    yaml_since: dict[str, str]
    parsers: tuple[Parser, ...]
    builds: tuple[Build, ...]
    onnx_parsers: tuple[OnnxParser, ...]
    flags: dict[str, Flag]


@dataclass(frozen=True, slots=True)
class _Platform:
    title: str
    min_object_size: int


@dataclass(frozen=True, slots=True)
class _OnPlatform:
    """[deepstream.jetson] or [deepstream.dgpu]."""

    tensorrt: str
    cuda: str | None = None
    jetpack: str | None = None
    l4t: str | None = None
    families: tuple[str, ...] = ()
    not_verified: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Release:
    """A [[deepstream]] block."""

    version: str
    folder: str
    root: str
    ubuntu: str | None = None
    gstreamer: str | None = None
    released: str | None = None
    jetson: dict[str, Any] | None = None
    dgpu: dict[str, Any] | None = None
    not_verified: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Keys:
    """[keys]: release -> the keys it was the first to know; key -> the last release where it does something."""

    since: dict[str, tuple[str, ...]]
    works_until: dict[str, str]


@dataclass(frozen=True, slots=True)
class _File:
    """The tables of targets.toml."""

    platforms: dict[str, Any]
    paths: dict[str, str]
    keys: dict[str, Any]
    yaml: dict[str, str]
    parsers: dict[str, Any]
    trtexec_flags: dict[str, Any]
    app: dict[str, Any]


@cache
def catalogue() -> Catalogue:
    """The contents of `configs/targets.toml`.

    Raises:
        PresetError: an edit damaged it; the message names the place.
    """
    path = configs() / "targets.toml"
    try:
        data = load_toml("targets.toml")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PresetError(f"not TOML: {error}", path=path, hint="undo the last edit of that file") from error
    return read_catalogue(data, path)


def read_catalogue(data: Mapping[str, Any], path: Path) -> Catalogue:
    """`data`, the parsed file `path`, as a catalogue; raises PresetError as `catalogue` does."""
    lists = {name: data.get(name, []) for name in ("deepstream", "tracker", "sink", "value", "trtexec", "onnx-parser")}
    file = read_row(_File, {name: value for name, value in data.items() if name not in lists}, "the file", path)
    releases = read_rows(_Release, lists["deepstream"], "deepstream", path)
    keys = read_row(_Keys, file.keys, "keys", path)
    found = Catalogue(
        releases=tuple(release.version for release in releases),
        platforms=tuple(file.platforms),
        targets=_targets(releases, file.platforms, path),
        paths=file.paths,
        trackers=read_rows(Tracker, lists["tracker"], "tracker", path),
        sinks=read_rows(Sink, lists["sink"], "sink", path),
        keys_since={key: since for since, names in keys.since.items() for key in names},
        keys_work_until=keys.works_until,
        key_values=read_rows(KeyValue, lists["value"], "value", path),
        app_keys=read_rows(AppKey, file.app.get("keys"), "app.keys", path)
        + read_rows(AppKey, file.app.get("groups"), "app.groups", path),
        yaml_since=file.yaml,
        parsers=read_rows(Parser, file.parsers.get("functions"), "parsers.functions", path),
        onnx_parsers=read_rows(OnnxParser, lists["onnx-parser"], "onnx-parser", path),
        builds=read_rows(Build, lists["trtexec"], "trtexec", path),
        flags={name: read_row(Flag, row, f"trtexec-flags {name}", path) for name, row in file.trtexec_flags.items()},
    )
    _check_versions(found, path)
    return found


def _targets(releases: tuple[_Release, ...], platforms: Mapping[str, Any], path: Path) -> tuple[Target, ...]:
    limits = {name: read_row(_Platform, row, f"platforms.{name}", path) for name, row in platforms.items()}
    found = []
    for release in releases:
        for platform, cells in (("jetson", release.jetson), ("dgpu", release.dgpu)):
            if cells is None or platform not in limits:
                continue
            here = read_row(_OnPlatform, cells, f"DeepStream {release.version}, {platform}", path)
            found.append(
                Target(
                    deepstream=release.version,
                    platform=platform,
                    tensorrt=here.tensorrt,
                    folder=release.folder,
                    root=release.root,
                    min_object_size=limits[platform].min_object_size,
                    cuda=here.cuda,
                    jetpack=here.jetpack,
                    l4t=here.l4t,
                    families=here.families,
                    ubuntu=release.ubuntu,
                    gstreamer=release.gstreamer,
                    released=release.released,
                    unverified=(*release.not_verified.items(), *here.not_verified.items()),
                )
            )
    return tuple(found)


def _check_versions(found: Catalogue, path: Path) -> None:
    """Every since/until names a listed release and every TensorRT is a version, so that no later question fails."""
    spans = [*found.trackers, *found.sinks, *found.key_values, *found.app_keys, *found.parsers]
    named = {getattr(row, end, None) for row in spans for end in ("since", "until")} - {None}
    named |= {*found.keys_since.values(), *found.keys_work_until.values(), *found.yaml_since.values()}
    if strange := sorted(str(name) for name in named - set(found.releases)):
        raise PresetError(
            f"since / until names a release that is not listed: {strange[0]}", path=path, hint="add it, or correct it"
        )
    tensorrts = [each.tensorrt for each in found.targets] + [each.tensorrt for each in found.builds]
    tensorrts += [each.tensorrt for each in found.onnx_parsers]
    tensorrts += [end for flag in found.flags.values() for end in (flag.since, flag.gone) if end]
    for tensorrt in tensorrts:
        try:
            version_numbers(tensorrt)
        except ValueError as error:
            raise PresetError(f"not a TensorRT version: {tensorrt!r}", path=path, hint="numbers and dots") from error


def version_numbers(version: str) -> tuple[int, ...]:
    """ "10.3.0" as (10, 3, 0), for comparing.

    Raises:
        ValueError: something else than numbers and dots.
    """
    return tuple(int(part) for part in version.split("."))
