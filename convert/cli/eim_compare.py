"""`ei-deepstream eim compare`: a converted bundle against the .eim of the same project."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from convert.cli.eim_options import findings_document, limits, target, timeout
from convert.cli.options import EXISTING, SCALING, common

if TYPE_CHECKING:
    from pathlib import Path

    from convert.artifacts import ImageScaling
    from convert.eim.compare import Comparison
    from convert.findings import Level

__all__ = ["command"]


@click.command(name="compare")
@target
@click.argument("other", type=EXISTING, metavar="BUNDLE|TFLITE")
@click.argument("pictures", type=EXISTING, nargs=-1, required=True, metavar="PICTURES...")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.01,
    show_default=True,
    help="Largest difference of a score that is allowed.",
)
@click.option(
    "--pixels",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    help="Pixels of the model's input that an edge of a box may be off.",
)
@click.option("--threshold", type=click.FloatRange(0, 1), help="Detection threshold for both.  [default: the .eim's]")
@click.option("--image-scaling", type=SCALING, help="Of a .tflite on the other side.  [default: none]")
@timeout
@common
def command(  # noqa: PLR0913 - one parameter an option
    target: Path,
    other: Path,
    pictures: tuple[Path, ...],
    *,
    tolerance: float,
    pixels: int,
    threshold: float | None,
    image_scaling: ImageScaling | None,
    timeout: float,
    format_: str,
    fail_on: Level,
    quiet: bool,
) -> int:
    """Give an .eim and a converted bundle the same pixels, and say whether they answer the same.

    PICTURES are files and folders. The bundle may be packed; instead of it the .tflite may stand that both were made
    from. Exit code 1 when they do not agree.

    \b
    Examples:
      ei-deepstream eim compare model.eim bundle pictures
      ei-deepstream eim compare /run/model.sock bundle *.jpg --tolerance 0.05
    """
    from convert.artifacts import ImageScaling  # noqa: PLC0415 - --help does without
    from convert.cli.outcome import exit_code  # noqa: PLC0415
    from convert.eim.client import talk  # noqa: PLC0415
    from convert.eim.compare import compare  # noqa: PLC0415
    from convert.eim.sides import other_side  # noqa: PLC0415
    from convert.images.read import find  # noqa: PLC0415

    files = find(pictures, videos=False)
    scaling = image_scaling or ImageScaling.NONE
    with talk(target, limits=limits(timeout)) as client, other_side(other, client.model, scaling, timeout) as ours:
        comparison = compare(client, ours, files, tolerance=tolerance, pixels=pixels, threshold=threshold)
    findings = comparison.all_findings
    code = exit_code(findings, fail_on)
    if format_ == "json":
        from convert.report import dumps  # noqa: PLC0415

        document = findings_document(findings, code, **_document(comparison), tolerance=tolerance, pixels=pixels)
        sys.stdout.write(dumps(document).decode())
    elif not quiet:
        _show(comparison, tolerance, agrees=_agrees(comparison))
    return code


def _agrees(comparison: Comparison) -> bool:
    return not any(found.level == "error" for found in comparison.all_findings)


def _document(comparison: Comparison) -> dict[str, Any]:
    return {
        "agrees": _agrees(comparison),
        "largest_difference": comparison.largest,
        "pictures": [
            {
                "path": each.path,
                "seconds": round(each.seconds, 6),
                "pairs": [
                    {"label": pair.label, "eim": pair.eim, "ours": pair.ours, "score_difference": pair.score,
                     "pixels": pair.pixels}
                    for pair in each.pairs
                ],
            }
            for each in comparison.pictures
        ],
    }  # fmt: skip


def _show(comparison: Comparison, tolerance: float, *, agrees: bool) -> None:
    from convert.render.text import console, show_findings  # noqa: PLC0415 - rich is not needed for JSON

    out = console()
    show_findings(comparison.findings, out)
    for each in comparison.pictures:
        scores = [pair.score for pair in each.pairs if pair.score is not None]
        moved = [pair.pixels for pair in each.pairs if pair.pixels is not None]
        what = f"{len(each.pairs)} boxes" if moved or not scores else f"{len(scores)} labels"
        edges = f", edges {max(moved)} px" if moved else ""
        out.print(f"{each.path}: {what}, largest difference {max(scores, default=0):.2g}{edges}", markup=False)
        show_findings(each.findings, out)
    count = len(comparison.pictures)
    verdict = "they agree" if agrees else "they do not agree"
    pictures = "1 picture" if count == 1 else f"{count} pictures"
    out.print(f"{verdict}: {pictures}, largest difference {comparison.largest:.2g} (limit {tolerance:g})")
