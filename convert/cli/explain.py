"""`ei-deepstream explain NVI014`: what a rule is about."""

from __future__ import annotations

import sys

import click

from convert.cli.reporting import format_option

__all__ = ["command"]


@click.command(name="explain")
@click.argument("rules", nargs=-1, metavar="[RULE]...")
@format_option("text", "json")
def command(rules: tuple[str, ...], *, format_: str) -> int:
    """Say what a rule is about, how nvinfer behaves, and what to do; without a RULE, list them all."""
    from convert.errors import PresetError  # noqa: PLC0415 - --help does without
    from convert.rulebook import rulebook  # noqa: PLC0415

    book = rulebook()
    wanted = [rule.upper() for rule in rules]
    for rule in wanted:
        if rule not in book:
            from difflib import get_close_matches  # noqa: PLC0415 - only for a mistyped id

            near = get_close_matches(rule, book, 1)
            hint = f"did you mean {near[0]}?" if near else "`ei-deepstream explain` lists them"
            raise PresetError(f"there is no rule {rule!r}", hint=hint)
    found = [book[rule] for rule in wanted] or list(book.values())
    if format_ == "json":
        from convert.render.rules import rules_document  # noqa: PLC0415
        from convert.report import dumps  # noqa: PLC0415 - only for this format

        sys.stdout.write(dumps(rules_document(found)).decode())
    else:
        from convert.render.rules import explanation, listing  # noqa: PLC0415

        sys.stdout.write("\n".join(map(explanation, found)) if wanted else listing(found))
    return 0
