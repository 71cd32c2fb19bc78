"""The examples that `explain` shows, made of tests/cases: what `bad.*` and `good.*` differ in, and what is said of it.

`python -m tests.check.rules.examples` writes configs/nvinfer/examples.toml.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import TYPE_CHECKING

from convert.files import configs
from tests.check.rules.cases import case_folders, config, expected

if TYPE_CHECKING:
    from pathlib import Path

FILE = configs() / "nvinfer" / "examples.toml"
_HEAD = re.compile(r"\[.+\]$|[\w-]+:$")


def examples() -> str:
    """The text of the file."""
    parts = [
        "# Made by `python -m tests.check.rules.examples` of tests/cases: what `ei-deepstream explain ID` shows.\n"
    ]
    for folder in case_folders():
        bad, good = ((folder / config(folder, name)).read_text().splitlines() for name in ("bad", "good"))
        says = next(each["message"] for each in expected(folder)["bad"] if each["id"] == folder.name)
        rows = {"bad": _lines(bad, good) or "# the lines below are missing", "says": says, "good": _lines(good, bad)}
        rows["good"] = rows["good"] or "# without these lines"
        table = "".join(f"{name} = {_toml(text)}\n" for name, text in rows.items())
        parts.append(f"[{folder.name}]\n{table}")
    return "\n".join(parts)


def _lines(of: list[str], other: list[str]) -> str:
    """The lines of a file that are not in the other one, below the heads of their groups."""
    found: list[str] = []
    blocks = difflib.SequenceMatcher(None, of, other, autojunk=False).get_opcodes()
    changed = {line for tag, start, end, _, _ in blocks if tag != "equal" for line in range(start, end)}
    head = shown = ""
    for number, text in enumerate(of):
        if _HEAD.match(text):
            head = text
        if number in changed and text.strip():
            if head not in {shown, text}:
                found.append(head)
            shown = head
            found.append(text)
    return "\n".join(found)


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def main(path: Path) -> None:
    """Write the file."""
    path.write_text(examples())


if __name__ == "__main__":
    main(FILE)
