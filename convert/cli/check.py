"""`ei-deepstream check`: what will Gst-nvinfer do with this?"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from convert.cli.depfile import depfile_option
from convert.cli.reporting import reporting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from convert.check.report import Fix, Report
    from convert.findings import Level

__all__ = ["command"]


@click.command(
    name="check",
    epilog="A line `# check: ignore NVI015` waives that rule for the next line, `# check: ignore-file NVI015` for the "
    "whole file. `ei-deepstream explain NVI015` says what a rule is about.",
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="PATH...")
@click.option(
    "--target", default="deepstream-9.1", show_default=True, metavar="RELEASE",
    help="DeepStream release the config is for.",
)  # fmt: skip
@click.option(
    "--platform", type=click.Choice(["dgpu", "jetson"]), default="dgpu", show_default=True,
    help="PC or server with a discrete GPU, or Jetson.",
)  # fmt: skip
@click.option(
    "--tensorrt-version", metavar="VERSION", help="TensorRT on the target, where it is not the release's own."
)
@click.option("--onnxruntime", is_flag=True, help="Load the models with ONNX Runtime, too.")
@click.option(
    "--tensorrt", is_flag=True,
    help="Parse and build the models with NVIDIA's TensorRT-RTX on the CPU, too (extra [tensorrt]).",
)  # fmt: skip
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=300.0, show_default=True, help="Seconds for each model."
)
@click.option("--select", multiple=True, metavar="IDS", help="Only these rules: NVI070,NVI07,... Repeatable.")
@click.option("--ignore", multiple=True, metavar="IDS", help="Not these rules. Repeatable.")
@click.option("--fix", "fix_", is_flag=True, help="Put right what is mechanical, in the files themselves.")
@click.option("--diff", "diff_", is_flag=True, help="Show what --fix changes; alone, nothing is written.")
@depfile_option
@reporting("text", "json", "junit", "sarif")
def command(  # noqa: PLR0913 - options
    paths: tuple[str, ...],
    *,
    target: str,
    platform: str,
    tensorrt_version: str | None,
    onnxruntime: bool,
    tensorrt: bool,
    timeout: float,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fix_: bool,
    diff_: bool,
    format_: str,
    fail_on: Level,
    quiet: bool,
) -> int:
    """Say what Gst-nvinfer will do with configs, without a GPU.

    PATH is a Gst-nvinfer config (.txt, .yml), a config of deepstream-app, a bundle, or a folder of them. Labels, the
    header of the ONNX model and the configs an app leads to are looked at, too.
    """
    from convert.check.run import Check  # noqa: PLC0415 - --help does without
    from convert.cli.outcome import exit_code  # noqa: PLC0415
    from convert.nvinfer.rules.choice import chosen  # noqa: PLC0415
    from convert.nvinfer.rules.gather import where  # noqa: PLC0415

    wanted = chosen(select, ignore)
    check = Check(where(target, platform, tensorrt_version), wanted)
    if onnxruntime or tensorrt:
        from convert.check.gates import Gates  # noqa: PLC0415 - only when asked for

        check.gate = Gates(onnxruntime=onnxruntime, tensorrt=tensorrt, timeout=timeout)
        check.gate.require()
    report = check(paths)
    shown: list[tuple[Fix, str]] | None = None
    if fix_ or diff_:
        from convert.check.fix import apply, diff, fixes  # noqa: PLC0415 - only when asked for

        found = fixes(report, wanted)
        shown = [(fix, diff(fix)) for fix in found]
        if fix_:
            if diff_ and format_ == "text":
                sys.stdout.writelines(text for _, text in shown)
            apply(found)
            report = Check(check.where, wanted, check.gate)(paths)
    code = exit_code(report.findings, fail_on, error=report.error)
    _show(report, code, format_=format_, fail_on=fail_on, quiet=quiet, fixes=shown, written=fix_, diff=diff_)
    return code


def _show(
    report: Report,
    code: int,
    *,
    format_: str,
    fail_on: Level,
    quiet: bool,
    fixes: Sequence[tuple[Fix, str]] | None,
    written: bool,
    diff: bool,
) -> None:
    if format_ == "text":
        from convert.render.check_text import show_report  # noqa: PLC0415 - only for this format

        if diff and not written:
            sys.stdout.writelines(text for _, text in fixes or ())
        else:
            show_report(report, quiet=quiet)
        if written and not quiet:
            for fix, _ in fixes or ():
                print(f"fixed {fix.path}")  # noqa: T201
    elif format_ == "json":
        from convert.render.check_json import report_document  # noqa: PLC0415
        from convert.report import dumps  # noqa: PLC0415

        _write(dumps(report_document(report, code, fixes)))
    elif format_ == "sarif":
        from convert.render.sarif import sarif_document  # noqa: PLC0415
        from convert.report import dumps  # noqa: PLC0415

        _write(dumps(sarif_document(report, code)))
    else:
        from convert.render.junit import check_junit  # noqa: PLC0415

        _write(check_junit(report, fail_on))
    _show_errors(report)


def _write(document: bytes) -> None:
    sys.stdout.write(document.decode())


def _show_errors(report: Report) -> None:
    if report.error is None:
        return
    from convert.render.failure import error_lines  # noqa: PLC0415 - only where something could not be read

    sys.stdout.flush()
    for file in report.files:
        if file.error:
            print("\n".join(error_lines(file.error)), file=sys.stderr)  # noqa: T201
