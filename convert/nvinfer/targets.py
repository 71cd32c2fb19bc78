"""DeepStream releases by platform: TensorRT, keys, parsers, paths, trtexec flags.

The data are in `configs/targets.toml`, with their sources and with a list of what could not be verified.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from convert.errors import PresetError
from convert.files import TableReader, configs, load_toml
from convert.nvinfer.keys import PROPERTY, key_named, keys, version


@dataclass(frozen=True, slots=True)
class Target:
    """One DeepStream release on one platform. None: not known (then it is in `not_verified`).

    Attributes:
        deepstream: release, "7.1".
        platform: "jetson" or "dgpu".
        tensorrt, cuda: versions on this platform, as far as NVIDIA gives them ("10.3.0.26", "10.16").
        folder: the SDK's folder below /opt/nvidia/deepstream (always two numbers).
        root: the SDK's folder as NVIDIA's own app configs of that release write it.
        min_object_size: pixels; a secondary engine never sees smaller objects on this platform.
        largest_scale: by how much its scaler makes pictures smaller or larger in one step; None: by any factor.
        jetpack, l4t: Jetson only.
        families: Jetson modules it runs on; empty for dgpu.
        not_verified: cell -> why, for everything that is missing or may be wrong.
    """

    deepstream: str
    platform: str
    tensorrt: str
    folder: str
    root: str
    min_object_size: int
    largest_scale: int | None = None
    cuda: str | None = None
    jetpack: str | None = None
    l4t: str | None = None
    families: tuple[str, ...] = ()
    ubuntu: str | None = None
    gstreamer: str | None = None
    released: str | None = None
    not_verified: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def words(self) -> str:
        """As messages name it, by its TensorRT."""
        return f"TensorRT {self.tensorrt} (DeepStream {self.deepstream}, {self.platform})"

    @property
    def unverified(self) -> tuple[tuple[str, str], ...]:
        """`not_verified` in pairs, what holds for both platforms first."""
        return tuple(self.not_verified.items())

    @property
    def name(self) -> str:
        """As the user names the release: "deepstream-7.1"."""
        return f"deepstream-{self.deepstream}"


@dataclass(frozen=True, slots=True)
class Parser:
    """A function of the stock parser library. `kind`: bbox, instance-mask, segmentation or classifier.

    What the other fields mean is said in the file.
    """

    function: str
    kind: str
    since: str | None = None
    until: str | None = None
    count: int | None = None
    names: tuple[str, ...] = ()
    floats: tuple[str, ...] = ()
    ranks: dict[str, int] = field(default_factory=dict)
    class_0: bool = False


@dataclass(frozen=True, slots=True)
class Sink:
    """A [sinkN] type of deepstream-app and what it shows."""

    type: int
    what: str
    platform: str | None = None
    since: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """An image that holds deepstream-app and the samples.

    Attributes:
        image: `{release}` stands for the release. Without a tag (`:`) the tag is not known.
    """

    image: str
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
    """trtexec from TensorRT `tensorrt` on: what makes it build and stop, and build in fp16, in int8, or as the types of
    the model say (empty: it cannot)."""

    tensorrt: str
    build: tuple[str, ...]
    fp16: tuple[str, ...] = ()
    int8: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class OnnxParser:
    """TensorRT's ONNX parser from TensorRT `tensorrt` on: the opsets it was made for, both included."""

    tensorrt: str
    opset_last: int
    opset_first: int = 1


@dataclass(frozen=True, slots=True)
class Int8:
    """What runs a model of QuantizeLinear and DequantizeLinear: this TensorRT or newer, no Jetson of `without`."""

    tensorrt: str
    without: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """`since`: first TensorRT that knows a trtexec flag; `gone`: first that does not any more."""

    since: str | None = None
    gone: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All of targets.toml. Releases and targets are in order of age.

    Attributes:
        platforms: platform -> what holds for it in every release.
        jetpacks: JetPack -> the releases that run on it, what --jetpack means first.
        paths: name -> path of a file of the SDK, absolute or below its root.
        keys_work_until: key -> the last release in which it has an effect, although later ones still read it.
        yaml_since: program ("nvinfer", "deepstream-app") -> the first release in which it reads YAML.
        stock_library: "functions" -> those of the stock parser library.
        trtexec_flags: trtexec's options that not every TensorRT knows.
    """

    platforms: dict[str, dict[str, int]]
    releases: tuple[str, ...]
    targets: tuple[Target, ...]
    jetpacks: dict[str, tuple[str, ...]]
    paths: dict[str, str]
    keys_work_until: dict[str, str]
    yaml_since: dict[str, str]
    stock_library: dict[str, tuple[Parser, ...]]
    trtexec_flags: dict[str, Flag]
    int8: Int8
    tracker: tuple[Tracker, ...] = ()
    sink: tuple[Sink, ...] = ()
    container: tuple[Container, ...] = ()
    trtexec: tuple[Build, ...] = ()
    onnx_parser: tuple[OnnxParser, ...] = ()

    @property
    def parsers(self) -> tuple[Parser, ...]:
        """The functions of the stock parser library, of all releases."""
        return self.stock_library["functions"]

    @property
    def keys_since(self) -> dict[str, str]:
        """Key -> the first release whose Gst-nvinfer reads it; all listed ones read the others."""
        return {key.name: key.since for key in keys() if key.group == PROPERTY and key.since}


@cache
def catalogue() -> Catalogue:
    """The contents of `configs/targets.toml`.

    Raises:
        PresetError: an edit damaged it; the message names the place.
    """
    return read_catalogue(*preset("targets.toml"))


def preset(name: str) -> tuple[dict[str, Any], Path]:
    """A parsed file of `configs()`, and its path; raises PresetError where it is no TOML."""
    path = configs() / name
    try:
        return load_toml(name), path
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PresetError(f"not TOML: {error}", path=path, hint="undo the last edit of that file") from error


def read_catalogue(data: Mapping[str, Any], path: Path) -> Catalogue:
    """`data`, the parsed file `path`, as a catalogue; raises PresetError as `catalogue` does."""
    reader = TableReader(path, PresetError, dashes=True)
    listed = reader.value(tuple[Any, ...], data.get("deepstream"), "deepstream")
    releases = [reader.table(each, "a release") for each in listed]
    rows: dict[str, Any] = {name: table for name, table in data.items() if name != "deepstream"}
    rows["releases"] = [release.get("version") for release in releases]
    file = reader.row(Catalogue, rows | {"targets": []}, "the file")
    found = replace(file, targets=tuple(_targets(reader, releases, file.platforms)))
    _check_versions(found, path)
    return found


def _targets(
    reader: TableReader, releases: Sequence[Mapping[str, Any]], platforms: Mapping[str, Mapping[str, int]]
) -> Iterator[Target]:
    """The tables below [[deepstream]], each with what stands in that for both platforms, and for all releases."""
    for number, release in enumerate(releases, 1):
        shared = {name: cell for name, cell in release.items() if name not in {"version", *platforms}}
        for platform, always in platforms.items():
            if here := release.get(platform):
                doubts = shared.get("not-verified", {}) | here.get("not-verified", {})
                row = {**always, **shared, **here, "not-verified": doubts}
                row |= {"deepstream": release["version"], "platform": platform}
                yield reader.row(Target, row, f"deepstream, entry {number}: {platform}")


def _check_versions(found: Catalogue, path: Path) -> None:
    """Every since/until names a listed release and every TensorRT is a version, so that no later question fails."""
    spans: list[Any] = [*found.tracker, *found.sink, *found.container, *found.parsers]
    named = {end for row in spans for end in (row.since, row.until)} - {None}
    named |= {*found.keys_work_until.values(), *found.yaml_since.values()}
    named |= {release for fitting in found.jetpacks.values() for release in fitting}
    if strange := sorted(str(name) for name in named - set(found.releases)):
        message = f"a release is named that is not listed: {strange[0]}"
        raise PresetError(message, path=path, hint="add it, or correct it")
    for jetpack in found.jetpacks:
        _require_version(jetpack.removesuffix(" DP"), f"not a JetPack: {jetpack!r}", path, 'as "6.2" or "6.0 DP"')
    rows: tuple[Any, ...] = (*found.targets, *found.trtexec, *found.onnx_parser, found.int8)
    tensorrts = [each.tensorrt for each in rows]
    tensorrts += [end for flag in found.trtexec_flags.values() for end in (flag.since, flag.gone) if end]
    for tensorrt in tensorrts:
        _require_version(tensorrt, f"not a TensorRT version: {tensorrt!r}", path, "numbers and dots")


def _require_version(text: str, message: str, path: Path, hint: str) -> None:
    try:
        version(text)
    except PresetError as error:
        raise PresetError(message, path=path, hint=hint) from error


_Row = TypeVar("_Row", Build, OnnxParser)


def target(deepstream: str, platform: str) -> Target:
    """The target a user names, as `release_named` and `platform_named` read it.

    Raises:
        PresetError: no such release or platform (the hint lists what there is), or not together.
    """
    release, platform = release_named(deepstream), platform_named(platform)
    there = [each for each in catalogue().targets if each.deepstream == release]
    for candidate in there:
        if candidate.platform == platform:
            return candidate
    hint = "it exists for: " + ", ".join(each.platform for each in there)
    raise PresetError(f"DeepStream {release} does not exist for {platform}", hint=hint)


_RELEASE = re.compile(r"(?:nvidia[-_ ]*+)?(?:deepstream|ds)?[-_ ]*+(?:sdk[-_ ]*+)?v?(\d+(?:\.\d+)*)")
_JETPACK = re.compile(r"(?:nvidia[-_ ]*+)?(?:jetpack|jp)?[-_ ]*+(?:sdk[-_ ]*+)?v?(\d+(?:\.\d+)*)(?:[-_ ]*(dp|ga))?")
# Jetson Linux is at 32 to 39, JetPack and DeepStream are below 10.
_L4T = re.compile(r"(?:jetson[-_ ]*linux|l4t)?[-_ ]*r?(3\d(?:\.\d+)*)")
_TENSORRT = re.compile(r"(?:tensorrt|trt)[-_ ]*v?(\d+(?:\.\d+)*)")
_OTHER_PLATFORMS = frozenset({"x86", "x86_64", "amd64", "pc", "gpu", "server", "desktop", "tesla", "geforce", "rtx"})


def release_named(text: str) -> str:
    """The release that "7.1", "deepstream-7.1", "DeepStream 7.1", "ds7.1" or "7.1.0" names: "7.1".

    Raises:
        PresetError: none; where it is something else that people know of their device (a JetPack, a Jetson, a
            platform, TensorRT, Jetson Linux), the hint says how to give that.
    """
    lowered = text.strip().lower()
    if match := _RELEASE.fullmatch(lowered):
        for number in (match[1], match[1].removesuffix(".0")):
            if number in releases():
                return number
    what, hint = _taken_for_release(lowered)
    raise PresetError(f"there is no DeepStream release {text!r}{what and f': that is {what}'}", hint=hint)


def _taken_for_release(text: str) -> tuple[str, str]:
    """What `text`, in lower case, is instead of a release ("": not known), and how to say it."""
    listed = ", ".join(releases())
    if text in {*platforms(), *_OTHER_PLATFORMS}:
        platform = text if text in platforms() else "dgpu"
        return "a platform", f"say --platform {platform}, and the release with --target: {listed}"
    if text.startswith(("jetpack", "jp")) and (match := _JETPACK.fullmatch(text)):
        jetpack = _jetpack(match[1], match[2])
        known = (
            f"say --jetpack {jetpack}" if jetpack else f"say --jetpack with one of {', '.join(catalogue().jetpacks)}"
        )
        return "a JetPack", known
    if match := _L4T.fullmatch(text):
        return "Jetson Linux (L4T)", _jetpack_of_l4t(match[1])
    if match := _TENSORRT.fullmatch(text):
        having = (each for each in targets() if f"{each.tensorrt}.".startswith(f"{match[1]}."))
        found = ", ".join(f"{each.name} ({each.platform})" for each in having)
        return "a TensorRT", f"it comes with {found}" if found else f"releases: {listed}"
    if runs := [each.name for each in targets() if runs_on(each, text)]:
        return "a Jetson", f"on it runs {', '.join(runs)}; or say --jetpack with the version that is installed"
    match = re.search(r"\d+(?:\.\d+)*", text)
    number = match[0] if match else text
    begun = [f"deepstream-{each}" for each in releases() if each.startswith(f"{number}.")]
    from difflib import get_close_matches  # only for a message

    near = begun or [f"deepstream-{each}" for each in get_close_matches(number, releases(), n=1)]
    known = "known: " + ", ".join(f"deepstream-{each}" for each in releases())
    return "", f"did you mean {' or '.join(near)}? {known}" if near else known


def platform_named(text: str) -> str:
    """The platform that "jetson", "dgpu" or "dGPU" names.

    Raises:
        PresetError: none; a Jetson's name is the likeliest mistake.
    """
    lowered = text.strip().lower()
    if lowered in platforms():
        return lowered
    if runs := [each.name for each in targets() if runs_on(each, lowered)]:
        hint = f"say --platform jetson; on it runs {', '.join(runs)}"
        raise PresetError(f"there is no platform {text!r}: that is a Jetson", hint=hint)
    hint = "platforms: " + ", ".join(platforms())
    if lowered in _OTHER_PLATFORMS:
        hint = "a PC or server with a discrete GPU is --platform dgpu"
    raise PresetError(f"there is no platform {text!r}", hint=hint)


def jetpack_named(text: str) -> str:
    """The key of `Catalogue.jetpacks` that "6.2", "JetPack 6.2", "jp6.2", "6.0DP" or "5.1.5" (as 5.1.4) names.

    Raises:
        PresetError: none, or one of which no DeepStream release is known.
    """
    lowered = text.strip().lower()
    known = "known: " + ", ".join(catalogue().jetpacks)
    if match := _L4T.fullmatch(lowered):
        raise PresetError(f"there is no JetPack {text!r}: that is Jetson Linux (L4T)", hint=_jetpack_of_l4t(match[1]))
    match = _JETPACK.fullmatch(lowered)
    if match and (jetpack := _jetpack(match[1], match[2])):
        return jetpack
    if not match and (release := _RELEASE.fullmatch(lowered)):
        hint = f"that is a DeepStream release: say --target {release[1]}"
        raise PresetError(f"there is no JetPack {text!r}", hint=hint)
    begun = [each for each in catalogue().jetpacks if match and each.startswith(f"{match[1]}.")]
    hint = f"did you mean {', '.join(begun)}?" if begun else known
    raise PresetError(f"there is no JetPack {text!r} that a DeepStream release is known for", hint=hint)


def _jetpack(number: str, kind: str | None) -> str | None:
    """The key of the table for JetPack `number`, `kind` "dp" for a developer preview; None: none."""
    table = catalogue().jetpacks
    preview = f"{number} DP"
    if kind == "dp" or (number not in table and preview in table):
        return preview if preview in table else None
    if number in table:
        return number
    parts = version(number)
    earlier = [key for key in table if " " not in key and version(key)[:2] == parts[:2] and version(key) < parts]
    return max(earlier, key=version, default=None) if len(parts) == 3 else None


def _jetpack_of_l4t(number: str) -> str:
    """What to say instead of Jetson Linux `number`."""
    for each in targets():
        if each.l4t and each.jetpack and f"{number}.".startswith(f"{each.l4t}."):
            return f"it is that of JetPack {each.jetpack}: say --jetpack {each.jetpack}"
    return "say --jetpack with one of " + ", ".join(catalogue().jetpacks)


def runs_on(target: Target, family: str) -> bool:
    """Whether `target` is for the Jetson `family` ("orin", "Xavier NX").

    By generation, because NVIDIA's pages write "Orin" for AGX Orin, Orin NX and Orin Nano.
    """
    return _generation(family) in {_generation(each) for each in target.families}


def _generation(family: str) -> str:
    """ "orin" for "Orin Nano", "nano" for the Nano of 2019."""
    words = re.findall(r"[a-z0-9]+", family.lower())
    return next((name for name in ("orin", "xavier", "thor", "tx1", "tx2", "nano") if name in words), " ".join(words))


def releases() -> tuple[str, ...]:
    """All DeepStream releases, oldest first."""
    return catalogue().releases


def platforms() -> tuple[str, ...]:
    """The platforms there are: "jetson", "dgpu"."""
    return tuple(catalogue().platforms)


def targets() -> tuple[Target, ...]:
    """Every release on every platform it exists for, oldest first."""
    return catalogue().targets


def between(deepstream: str, since: str | None, until: str | None) -> bool:
    """Whether the release `deepstream` lies in `since`..`until`, both included, None for no limit."""
    order = catalogue().releases
    return order.index(since or order[0]) <= order.index(deepstream) <= order.index(until or order[-1])


def reads_key(target: Target, key: str) -> bool:
    """Whether the release knows Gst-nvinfer's key `key` (of those that any release knows)."""
    known = key_named(key)
    return known is None or known.exists_in(target.deepstream)


_Spanned = TypeVar("_Spanned", Parser, Sink, Container, Tracker)


def _for(target: Target, rows: Sequence[_Spanned]) -> tuple[_Spanned, ...]:
    """Those of `rows` that hold for `target`."""
    return tuple(
        each
        for each in rows
        if between(target.deepstream, each.since, each.until)
        and getattr(each, "platform", None) in {None, target.platform}
    )


def parsers(target: Target) -> tuple[Parser, ...]:
    """The functions that the stock parser library of `target` has."""
    return _for(target, catalogue().parsers)


def sinks(target: Target) -> tuple[Sink, ...]:
    """The sink types of deepstream-app on `target`."""
    return _for(target, catalogue().sink)


def container(target: Target) -> str | None:
    """The image for `target`, "nvcr.io/nvidia/deepstream:7.1-samples-multiarch"; None: the table has none."""
    found = _for(target, catalogue().container)
    return found[0].image.format(release=target.deepstream) if found else None


def tracker(target: Target) -> Tracker:
    """The tracker that NVIDIA's samples of that release use.

    Raises:
        PresetError: the table has none for it.
    """
    if found := _for(target, catalogue().tracker):
        return found[0]
    raise PresetError(f"targets.toml names no tracker for DeepStream {target.deepstream}")


def sdk_path(target: Target, what: str) -> str:
    """Absolute path on the target of a file of the SDK: a name of [paths] in targets.toml, or a path below its root."""
    relative = catalogue().paths.get(what, what)
    return relative if relative.startswith("/") else f"{target.root}/{relative}"


def trtexec_flags(tensorrt: str, precision: str) -> tuple[str, ...]:
    """What that TensorRT's trtexec needs, besides model, engine and shapes, to build at `precision` and stop.

    Args:
        precision: "fp32", "fp16", "int8", or "typed": as the types of the model say.

    Raises:
        PresetError: this TensorRT has no flag for the precision, or is older than the table.
    """
    row = _newest(catalogue().trtexec, tensorrt)
    flags = {"fp32": (), "fp16": row.fp16, "int8": row.int8, "typed": row.typed}[precision]
    if precision != "fp32" and not flags:
        message = f"TensorRT {tensorrt} takes the precision from the ONNX file, not from a flag"
        raise PresetError(message, hint="use --precision fp32, or an older --target")
    return (*row.build, *flags)


def float32_flags(tensorrt: str, nodes: Sequence[str]) -> str:
    """What tells that TensorRT's trtexec to compute `nodes` in float32 in an FP16 engine; empty where it cannot."""
    if (
        not nodes
        or not trtexec_accepts("--layerPrecisions", tensorrt)
        or any(set(name) & set(":,*'") for name in nodes)
    ):
        return ""  # these characters mean something else to it
    named = ",".join(f"{name}:fp32" for name in nodes)
    return f"--precisionConstraints=obey '--layerPrecisions={named}' '--layerOutputTypes={named}'"


def int8_mode(target: Target) -> str:
    """How a model of codes is built on `target`: "int8", or since DeepStream 9.0 "typed".

    Raises:
        PresetError: it cannot be, or not on all devices that the release is for.
    """
    needs = catalogue().int8
    where = f"DeepStream {target.deepstream}"
    if version(target.tensorrt) < version(needs.tensorrt):
        message = f"a model of 8-bit codes needs TensorRT {needs.tensorrt}; {where} has {target.tensorrt}"
        raise PresetError(message, hint="choose a newer --target, or --precision fp16")
    if lacking := [each for each in target.families if each in needs.without]:
        raise PresetError(
            f"{where} is for {' and '.join(lacking)}, too, whose GPUs have no INT8: a model of 8-bit codes does not "
            "run there",
            hint="use --precision fp16; for a Xavier choose --target deepstream-6.1 or newer",
        )
    return "typed" if reads_key(target, "strongly-typed") else "int8"


def trtexec_note(tensorrt: str, precision: str) -> str:
    """What to expect of that trtexec when it builds at `precision`; empty when nothing."""
    return _newest(catalogue().trtexec, tensorrt).note if precision == "fp16" else ""


def trtexec_accepts(flag: str, tensorrt: str) -> bool:
    """Whether that TensorRT's trtexec knows `flag` ("--workspace"); one that is not in the table is known to all."""
    row = catalogue().trtexec_flags.get(flag)
    if row is None:
        return True
    own = version(tensorrt)
    known = row.since is None or version(row.since) <= own
    return known and (row.gone is None or own < version(row.gone))


def opsets(tensorrt: str) -> tuple[int, int]:
    """The lowest and the highest ONNX opset that TensorRT's parser was made for."""
    row = _newest(catalogue().onnx_parser, tensorrt)
    return row.opset_first, row.opset_last


def _newest(rows: tuple[_Row, ...], tensorrt: str) -> _Row:
    """The newest of `rows` that does not start after `tensorrt`."""
    own = version(tensorrt)
    fitting = [row for row in rows if version(row.tensorrt) <= own]
    if not fitting:
        raise PresetError(f"targets.toml knows nothing of TensorRT {tensorrt}")
    return max(fitting, key=lambda row: version(row.tensorrt))
