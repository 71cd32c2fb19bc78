"""`ei-deepstream targets`: DeepStream releases, and what comes with each."""

from __future__ import annotations

import sys

import click

from convert.cli.reporting import format_option

__all__ = ["command"]


@click.command(name="targets")
@click.argument("release", required=False, metavar="[RELEASE]")
@click.option("--platform", type=click.Choice(["jetson", "dgpu"]), help="Only this platform.")
@format_option("text", "json")
def command(release: str | None, *, platform: str | None, format_: str) -> int:
    """List the DeepStream releases: TensorRT, CUDA, JetPack, Jetson families; with a RELEASE, all about that one.

    A * marks what could not be verified in NVIDIA's own pages or sources; `--format json` says why.
    """
    from convert.nvinfer.targets import platforms, target, targets  # noqa: PLC0415 - --help does without

    found = [each for each in targets() if platform in {None, each.platform}]
    if release:
        # Any platform will do to recognise the release, or to say what there is instead.
        number = target(release, platform or platforms()[0]).deepstream
        found = [each for each in found if each.deepstream == number]
    if format_ == "json":
        from convert.render.targets import targets_document  # noqa: PLC0415
        from convert.report import dumps  # noqa: PLC0415 - only for this format

        sys.stdout.write(dumps(targets_document(found)).decode())
    else:
        from convert.render.targets import details, table  # noqa: PLC0415

        sys.stdout.write("\n".join(map(details, found)) if release else table(found))
    return 0
