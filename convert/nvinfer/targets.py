"""What a DeepStream release on a platform brings along: TensorRT, keys, parsers, paths, trtexec flags.

Everything is data in `configs/targets.toml`, with its sources and with what nobody could verify.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TypeVar

from convert.errors import PresetError
from convert.nvinfer.catalogue import (
    AppKey,
    Build,
    KeyValue,
    OnnxParser,
    Parser,
    Sink,
    Target,
    Tracker,
    catalogue,
)
from convert.nvinfer.keys import version

__all__ = [
    "AppKey",
    "KeyValue",
    "Parser",
    "Sink",
    "Target",
    "Tracker",
    "app_keys",
    "between",
    "key_since",
    "key_values",
    "key_works_until",
    "opsets",
    "parsers",
    "platforms",
    "reads_key",
    "releases",
    "runs_on",
    "sdk_path",
    "sinks",
    "target",
    "targets",
    "tracker",
    "trtexec_accepts",
    "trtexec_flags",
    "trtexec_note",
    "yaml_since",
]

_Row = TypeVar("_Row", Build, OnnxParser)


def target(deepstream: str, platform: str) -> Target:
    """The target a user names: release "7.1" or "deepstream-7.1", platform "jetson" or "dgpu".

    Raises:
        PresetError: no such release or platform (the hint lists what there is), or not together.
    """
    release = re.sub(r"^(deepstream|ds)[- ]*", "", deepstream.strip().lower())
    if release not in releases():
        raise PresetError(f"there is no target {deepstream!r}", hint=_did_you_mean(release))
    if platform not in platforms():
        raise _no_platform(platform, release)
    there = [each for each in targets() if each.deepstream == release]
    for candidate in there:
        if candidate.platform == platform:
            return candidate
    raise PresetError(
        f"DeepStream {release} does not exist for {platform}",
        hint="it exists for: " + ", ".join(each.platform for each in there),
    )


def _did_you_mean(release: str) -> str:
    near = get_close_matches(release, releases(), n=1)
    known = "known: " + ", ".join(f"deepstream-{each}" for each in releases())
    return f"did you mean deepstream-{near[0]}? {known}" if near else known


def _no_platform(platform: str, release: str) -> PresetError:
    """A Jetson family is the likeliest mistake: say what it is, and which releases run on it."""
    runs = [each.deepstream for each in targets() if runs_on(each, platform)]
    if not runs:
        return PresetError(f"there is no platform {platform!r}", hint="platforms: " + ", ".join(platforms()))
    if release in runs:
        return PresetError(f"{platform!r} is a Jetson, not a platform", hint="use --platform jetson")
    families = ", ".join(family for each in targets() if each.deepstream == release for family in each.families)
    return PresetError(
        f"DeepStream {release} does not run on {platform}, only on {families}",
        hint=f"for {platform} there is " + ", ".join(f"deepstream-{each}" for each in runs),
    )


def runs_on(where: Target, family: str) -> bool:
    """Whether `where` is for the Jetson `family` ("orin", "Xavier NX").

    By generation, because NVIDIA's pages say "Orin" where they mean AGX Orin, Orin NX and Orin Nano.
    """
    return _generation(family) in {_generation(each) for each in where.families}


def _generation(family: str) -> str:
    """ "orin" for "Orin Nano", "nano" for the Nano of 2019."""
    words = re.findall(r"[a-z0-9]+", family.lower())
    return next((name for name in ("orin", "xavier", "thor", "tx1", "tx2", "nano") if name in words), " ".join(words))


def releases() -> tuple[str, ...]:
    """All DeepStream releases, oldest first."""
    return catalogue().releases


def platforms() -> tuple[str, ...]:
    """The platforms there are: "jetson", "dgpu"."""
    return catalogue().platforms


def targets() -> tuple[Target, ...]:
    """Every release on every platform it exists for, oldest first."""
    return catalogue().targets


def between(deepstream: str, since: str | None, until: str | None) -> bool:
    """Whether the release `deepstream` lies in `since`..`until`, both included, None for no limit."""
    order = releases()
    return order.index(since or order[0]) <= order.index(deepstream) <= order.index(until or order[-1])


def reads_key(where: Target, key: str) -> bool:
    """Whether the release knows Gst-nvinfer's key `key` (of those that any release knows)."""
    return between(where.deepstream, key_since(key), None)


def key_since(key: str) -> str | None:
    """The first release whose Gst-nvinfer reads `key`; None: all listed ones do (or it is no key at all)."""
    return catalogue().keys_since.get(key)


def key_works_until(key: str) -> str | None:
    """The last release in which `key` has an effect although later ones still read it; None: it still has."""
    return catalogue().keys_work_until.get(key)


def key_values() -> tuple[KeyValue, ...]:
    """Values that not every release or platform accepts."""
    return catalogue().key_values


def app_keys() -> tuple[AppKey, ...]:
    """Groups and keys of deepstream-app's own file that not every release knows."""
    return catalogue().app_keys


def parsers(where: Target) -> tuple[Parser, ...]:
    """The functions that the stock parser library of `where` has."""
    return tuple(each for each in catalogue().parsers if between(where.deepstream, each.since, each.until))


def sinks(where: Target) -> tuple[Sink, ...]:
    """The sink types of deepstream-app on `where`."""
    return tuple(
        each
        for each in catalogue().sinks
        if between(where.deepstream, each.since, each.until) and each.platform in {None, where.platform}
    )


def tracker(where: Target) -> Tracker:
    """The tracker that NVIDIA's samples of that release use.

    Raises:
        PresetError: the table has none for it.
    """
    for each in catalogue().trackers:
        if between(where.deepstream, each.since, each.until):
            return each
    raise PresetError(f"targets.toml names no tracker for DeepStream {where.deepstream}")


def yaml_since(program: str) -> str | None:
    """The first release in which `program` ("nvinfer", "deepstream-app") reads YAML; None: not known."""
    return catalogue().yaml_since.get(program)


def sdk_path(where: Target, what: str) -> str:
    """Absolute path on the target of a file of the SDK: a name of [paths] in targets.toml, or a path below its root."""
    relative = catalogue().paths.get(what, what)
    return relative if relative.startswith("/") else f"{where.root}/{relative}"


def trtexec_flags(tensorrt: str, precision: str) -> tuple[str, ...]:
    """What that TensorRT's trtexec needs, besides model, engine and shapes, to build at `precision` and stop.

    Raises:
        PresetError: this TensorRT cannot be told the precision, or is older than the table.
    """
    row = _newest(catalogue().builds, tensorrt)
    if precision == "fp32":
        return row.build
    if not row.fp16:
        raise PresetError(
            f"TensorRT {tensorrt} takes the precision from the ONNX file, not from a flag",
            hint="use --precision fp32, or an older --target",
        )
    return (*row.build, *row.fp16)


def trtexec_note(tensorrt: str, precision: str) -> str:
    """What to expect of that trtexec when it builds at `precision`; empty when nothing."""
    return "" if precision == "fp32" else _newest(catalogue().builds, tensorrt).note


def trtexec_accepts(flag: str, tensorrt: str) -> bool:
    """Whether that TensorRT's trtexec knows `flag` ("--workspace"); one that is not in the table is known to all."""
    row = catalogue().flags.get(flag)
    if row is None:
        return True
    own = version(tensorrt)
    known = row.since is None or version(row.since) <= own
    return known and (row.gone is None or own < version(row.gone))


def opsets(tensorrt: str) -> tuple[int, int]:
    """The lowest and the highest ONNX opset that TensorRT's parser was made for."""
    row = _newest(catalogue().onnx_parsers, tensorrt)
    return row.opset_first, row.opset_last


def _newest(rows: tuple[_Row, ...], tensorrt: str) -> _Row:
    """The newest of `rows` that does not start after `tensorrt`."""
    own = version(tensorrt)
    fitting = [row for row in rows if version(row.tensorrt) <= own]
    if not fitting:
        raise PresetError(f"targets.toml knows nothing of TensorRT {tensorrt}")
    return max(fitting, key=lambda row: version(row.tensorrt))
