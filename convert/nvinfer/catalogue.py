"""`configs/targets.toml`, read and checked once: the facts `convert.nvinfer.targets` answers from."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from convert.errors import PresetError
from convert.nvinfer.keys import version
from convert.resources import configs, load_toml
from convert.tables import TableReader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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
    jetson: _OnPlatform | None = None
    dgpu: _OnPlatform | None = None
    not_verified: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Keys:
    """[keys]: release -> the keys it was the first to know; key -> the last release where it does something."""

    since: dict[str, tuple[str, ...]]
    works_until: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Parsers:
    functions: tuple[Parser, ...]


@dataclass(frozen=True, slots=True)
class _App:
    keys: tuple[AppKey, ...]
    groups: tuple[AppKey, ...]


@dataclass(frozen=True, slots=True)
class _File:
    """targets.toml as it is written."""

    platforms: dict[str, _Platform]
    paths: dict[str, str]
    keys: _Keys
    yaml: dict[str, str]
    parsers: _Parsers
    trtexec_flags: dict[str, Flag]
    app: _App
    deepstream: tuple[_Release, ...] = ()
    tracker: tuple[Tracker, ...] = ()
    sink: tuple[Sink, ...] = ()
    value: tuple[KeyValue, ...] = ()
    trtexec: tuple[Build, ...] = ()
    onnx_parser: tuple[OnnxParser, ...] = ()


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
    file = TableReader(path, PresetError, dashes=True).row(_File, data, "the file")
    found = Catalogue(
        releases=tuple(release.version for release in file.deepstream),
        platforms=tuple(file.platforms),
        targets=tuple(_targets(file)),
        paths=file.paths,
        trackers=file.tracker,
        sinks=file.sink,
        keys_since={key: since for since, names in file.keys.since.items() for key in names},
        keys_work_until=file.keys.works_until,
        key_values=file.value,
        app_keys=file.app.keys + file.app.groups,
        yaml_since=file.yaml,
        parsers=file.parsers.functions,
        onnx_parsers=file.onnx_parser,
        builds=file.trtexec,
        flags=file.trtexec_flags,
    )
    _check_versions(found, path)
    return found


def _targets(file: _File) -> Iterator[Target]:
    for release in file.deepstream:
        for platform, here in (("jetson", release.jetson), ("dgpu", release.dgpu)):
            if here is None or platform not in file.platforms:
                continue
            yield Target(
                deepstream=release.version,
                platform=platform,
                tensorrt=here.tensorrt,
                folder=release.folder,
                root=release.root,
                min_object_size=file.platforms[platform].min_object_size,
                cuda=here.cuda,
                jetpack=here.jetpack,
                l4t=here.l4t,
                families=here.families,
                ubuntu=release.ubuntu,
                gstreamer=release.gstreamer,
                released=release.released,
                unverified=(*release.not_verified.items(), *here.not_verified.items()),
            )


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
            version(tensorrt)
        except PresetError as error:
            raise PresetError(f"not a TensorRT version: {tensorrt!r}", path=path, hint="numbers and dots") from error
