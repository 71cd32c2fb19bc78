"""`ei-deepstream check`, `explain` and `targets`: what Gst-nvinfer does, by rule and by release."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from convert.cli import command, own
from convert.cli import options as cli
from convert.options import CheckOptions, checked

if TYPE_CHECKING:
    from convert.check.run import CheckReport, Fix


@command("check")
@click.argument("paths", nargs=-1, required=True, type=click.Path(), metavar="PATH...")
@cli.options(
    CheckOptions,
    *("target", "platform", "jetpack", "tensorrt_version"),
    *("onnxruntime", "tensorrt", "timeout", "select", "ignore", "files", "fix"),
)
@own("diff")
@cli.depfile_option
@cli.format_option("text", "json", "junit", "sarif")
@cli.options(CheckOptions, "fail_on")
@cli.quiet_option
def check(paths: tuple[str, ...], *, diff_: bool, format_: str, quiet: bool, **values: Any) -> int:
    """Say what Gst-nvinfer will do with configs, without a GPU.

    PATH is a Gst-nvinfer config (.txt, .yml), a config of deepstream-app, a bundle, or a folder of them. Labels, the
    header of the ONNX model and the configs an app leads to are looked at, too.

    Options for a whole repository stand in [tool.ei-deepstream.check] of its pyproject.toml, or in [check] of an
    ei-deepstream.toml: select = ["NVI0"], fail-on = "never".
    """
    from convert import api  # --help does without

    with cli.as_usage():
        api.read_settings(paths)

    shown: list[tuple[Fix, str]] = []

    def show(fix: Fix) -> None:
        from convert.check.fixes import diff  # only when asked for

        shown.append((fix, diff(fix)))
        if diff_ and format_ == "text":
            sys.stdout.write(shown[-1][1])

    report = api.check(paths, observer=show, **cli.given(values))
    written = bool(values["fix"])
    if diff_ and not written:
        from convert.check.fixes import fixes  # only when asked for

        for fix in fixes(report):
            show(fix)
    code = report.exit_code
    if format_ != "text":
        _write_check(report, format_, shown if written or diff_ else None)
    elif written or not diff_:
        from convert.render.check import show_report  # only for this format

        show_report(report, quiet=quiet)
        for fix, _ in () if quiet else shown:
            click.echo(f"fixed {fix.path}")
    if report.error is not None:
        from convert.render.text import error_lines  # only where something could not be read

        sys.stdout.flush()
        for file in report.files:
            if file.error:
                print("\n".join(error_lines(file.error)), file=sys.stderr)  # noqa: T201
    return code


def _write_check(report: CheckReport, format_: str, fixes: list[tuple[Fix, str]] | None) -> None:
    from convert.render import machine  # text does without

    if format_ == "json":
        cli.write_json(machine.check_document(report, report.exit_code, fixes))
    elif format_ == "sarif":
        cli.write_json(machine.sarif_document(report, report.exit_code))
    else:
        sys.stdout.write(machine.check_junit(report).decode())


@command("explain")
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@cli.format_option("text", "json")
def explain(rules: tuple[str, ...], *, format_: str) -> int:
    """Say what a rule is about, how nvinfer behaves, and what to do; without a RULE, list them all."""
    from convert.errors import PresetError  # --help does without
    from convert.findings import rulebook

    known = rulebook()
    wanted = [rule.upper() for rule in rules]
    for rule in wanted:
        if rule not in known:
            from difflib import get_close_matches  # only for a mistyped id

            letters, number = rule.rstrip("0123456789"), rule.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
            padded = f"{letters}{number:0>3}"  # NVI14
            near = [padded] if padded in known else get_close_matches(rule, known, 1)
            hint = f"did you mean {near[0]}?" if near else "`ei-deepstream explain` lists them"
            raise PresetError(f"there is no rule {rule!r}", hint=hint)
    found = [known[rule] for rule in wanted] or list(known.values())
    if format_ == "json":
        from convert.render.check import rules_document  # only for this format

        cli.write_json(rules_document(found))
    else:
        from convert.render.check import explanation, listing

        sys.stdout.write("\n".join(map(explanation, found)) if wanted else listing(found))
    return 0


@command("targets")
@click.argument("release", required=False, metavar="[RELEASE]")
@own("listed-platform", **cli.declaration(CheckOptions, "platform"))
@own("listed-jetpack", **cli.declaration(CheckOptions, "jetpack"))
@cli.format_option("text", "json")
def targets(release: str | None, *, platform: str | None, jetpack: str | None, format_: str) -> int:
    """List the DeepStream releases: TensorRT, CUDA, JetPack, Jetson families; with a RELEASE, all about that one.

    A * marks what could not be verified in NVIDIA's own pages or sources; `--format json` says why.
    """
    from convert.nvinfer.targets import targets as all_targets  # --help does without

    with cli.as_usage():
        asked = checked(CheckOptions, {"target": release, "platform": platform, "jetpack": jetpack})
    wanted = {name: asked[name] for name in ("target", "platform") if asked[name] is not None}
    release = wanted.get("target")
    found = [
        each
        for each in all_targets()
        if release in {None, each.name} and wanted.get("platform") in {None, each.platform}
    ]
    if format_ == "json":
        from convert.render.check import targets_document  # only for this format

        cli.write_json(targets_document(found))
    else:
        from convert.render.check import details, table

        sys.stdout.write("\n".join(map(details, found)) if release else table(found))
    return 0
