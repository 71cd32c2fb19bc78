"""`ei-deepstream eim classify`: ask an .eim."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from convert.cli.eim_options import findings_document, limits, target, timeout
from convert.cli.options import EXISTING, common

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from convert.eim.client import Client, Reply
    from convert.findings import Level

__all__ = ["command"]


class _Threshold(click.ParamType):  # type: ignore[type-arg] # not generic before click 8.3
    """`BLOCK:KEY=VALUE`, or `VALUE` for the min_score of every detection block."""

    name = "threshold"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int | None, str, float]:
        if isinstance(value, tuple):
            return value
        block, colon, rest = value.rpartition(":")
        key, equals, number = rest.rpartition("=")
        try:
            return int(block) if colon else None, key if equals else "min_score", float(number)
        except ValueError:
            self.fail(f"{value!r} is neither VALUE nor BLOCK:KEY=VALUE", param, ctx)


@click.command(name="classify")
@target
@click.argument("pictures", type=EXISTING, nargs=-1, metavar="[PICTURE]...")
@click.option("--features", type=EXISTING, metavar="FILE", help="Numbers from a text file instead of pictures.")
@click.option("--continuous", is_flag=True, help="Send the features in slices, as for a microphone.")
@click.option("--stdin", "stdio", is_flag=True, help="Talk over the program's standard input instead of a socket.")
@click.option("--no-shm", "unshared", is_flag=True, help="Send features as JSON even where shared memory is offered.")
@click.option(
    "--threshold",
    "thresholds",
    type=_Threshold(),
    multiple=True,
    metavar="VALUE|BLOCK:KEY=VALUE",
    help="Set a threshold first; a VALUE alone is the min_score of every detection block.",
)
@timeout
@common
def command(  # noqa: PLR0913 - one parameter an option
    target: Path,
    pictures: tuple[Path, ...],
    *,
    features: Path | None,
    continuous: bool,
    stdio: bool,
    unshared: bool,
    thresholds: tuple[tuple[int | None, str, float], ...],
    timeout: float,
    format_: str,
    fail_on: Level,  # noqa: ARG001 - this command finds nothing
    quiet: bool,
) -> int:
    """Send pictures, or features from a file, to an .eim and show what it answers.

    Pictures are resized as the .eim says, and packed one number a pixel. Every step has a time limit.

    \b
    Examples:
      ei-deepstream eim classify model.eim cat.jpg dog.jpg
      ei-deepstream eim classify model.eim --features features.txt --format json
      ei-deepstream eim classify /run/model.sock cat.jpg --threshold 0.3
    """
    if bool(pictures) == bool(features):
        raise click.UsageError("Give pictures or --features FILE.")
    if continuous and not features:
        raise click.UsageError("--continuous needs --features FILE.")
    from convert.eim.client import talk  # noqa: PLC0415 - --help does without

    with talk(target, stdio=stdio, shared=not unshared, limits=limits(timeout)) as client:
        for block, key, value in thresholds:
            _set(client, block, key, value)
        answers = []
        for name, data in _inputs(client, pictures, features, continuous=continuous):
            reply = client.classify_slice(data) if continuous else client.classify(data)
            answers.append((name, reply))
            if format_ == "text" and not quiet:
                _show(name, reply)
    if format_ == "json":
        from convert.document import dumps  # noqa: PLC0415

        shown = [
            {"input": name, "result": reply.result, "timing": reply.timing, "seconds": round(reply.seconds, 6)}
            for name, reply in answers
        ]
        sys.stdout.write(dumps(findings_document((), 0, answers=shown)).decode())
    return 0


def _set(client: Client, block: int | None, key: str, value: float) -> None:
    blocks = [block] if block is not None else [
        int(each["id"]) for each in client.model.thresholds if each.get("type") == "object_detection" and "id" in each
    ]  # fmt: skip
    if not blocks:
        from convert.errors import PresetError  # noqa: PLC0415

        raise PresetError("this .eim has no detection threshold", hint="see `ei-deepstream eim inspect --hello`")
    for each in blocks:
        client.set_threshold(each, key, value)


def _inputs(
    client: Client, pictures: tuple[Path, ...], features: Path | None, *, continuous: bool
) -> list[tuple[str, NDArray[np.float32]]]:
    """Name and features of everything that is to be sent."""
    from convert.artifacts import ResizeMode  # noqa: PLC0415
    from convert.compare.edge_impulse import pack, read_features  # noqa: PLC0415
    from convert.errors import InputError  # noqa: PLC0415

    model = client.model
    if features:
        data = read_features(features)
        if not continuous:
            return [(str(features), data)]
        if not model.slice:
            raise InputError("this .eim does not say how long a slice is", path=features, hint="leave out --continuous")
        count = len(data) // model.slice
        return [(f"{features} slice {n}", data[n * model.slice : (n + 1) * model.slice]) for n in range(count)]
    from convert.validate.pictures import read  # noqa: PLC0415

    if not model.width or not model.height:
        raise InputError("this .eim takes no pictures", path=pictures[0], hint="give its features with --features")
    mode = next((mode for mode in ResizeMode if mode.value == model.resize_mode), None)
    channels = model.channels or 1  # as the Node.js client takes it
    return [(str(path), pack(read(path, model.height, model.width, channels, mode))) for path in pictures]


def _show(name: str, reply: Reply) -> None:
    from convert.render.text import console  # noqa: PLC0415 - rich is not needed for JSON

    out = console()
    out.print(f"{name}  ({reply.seconds * 1000:.1f} ms)", markup=False)
    for label, score in (reply.result.get("classification") or {}).items():
        out.print(
            f"  {label:<20} {score:.4f}" if isinstance(score, float | int) else f"  {label:<20} {score}", markup=False
        )
    boxes = reply.result.get("bounding_boxes")
    for box in boxes or []:
        place = f"{box.get('x')},{box.get('y')} {box.get('width')}x{box.get('height')}"
        out.print(f"  {box.get('label')!s:<20} {box.get('value')!s:<20} {place}", markup=False)
    if boxes == []:
        out.print("  nothing found")
    for key, value in reply.result.items():
        if key not in {"classification", "bounding_boxes"}:
            out.print(f"  {key}: {value}", markup=False)
