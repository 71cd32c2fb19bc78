"""How large the code is, and how much of it the main job enters: `python -m tests.measure_code`.

Code lines hold code: no comments, docstrings or blanks. One conversion of a sample, a float32 classifier, is profiled
in the parent process. Two numbers come out, each code object counted once: the functions and methods it calls, and
those together with the bodies of the classes that are defined on the way, because their modules are imported only then.
Lambdas, comprehensions and module bodies are in neither; what `convert.__main__` imports by itself is not profiled.
"""

from __future__ import annotations

import ast
import inspect
import io
import sys
import tempfile
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import CodeType, FrameType

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "convert"
SAMPLE = ROOT / "samples" / "exports" / "shapes-cpp-2025"
_NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip


@dataclass(frozen=True)
class Size:
    """Of some source: numbers of code lines, of those that import, and of functions and methods."""

    lines: int
    imports: int
    functions: int


def size_of(source: str) -> Size:
    """What `source`, a module, holds; imports include `if TYPE_CHECKING` and those below it."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    imports: set[int] = set()
    functions = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.update(range(node.lineno, (node.end_lineno or 0) + 1))
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            imports.add(node.lineno)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))  # also that of a constant
        functions += isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    return Size(len(lines), len(imports & lines), functions)


def sizes() -> dict[str, Size]:
    """Of every module of the package, by its name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        found[name] = size_of(path.read_text())
    return found


def entered() -> tuple[set[CodeType], set[CodeType]]:
    """Of the package: the functions and methods that one conversion calls in this process, and the class bodies."""
    from convert.__main__ import main  # what it imports is not counted

    found: set[CodeType] = set()

    def profile(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            found.add(frame.f_code)

    with tempfile.TemporaryDirectory() as folder:
        sys.setprofile(profile)
        try:
            code = main(["convert", str(SAMPLE), "-o", folder, "-q"])
        finally:
            sys.setprofile(None)
    assert code == 0
    ours = {each for each in found if Path(each.co_filename).is_relative_to(PACKAGE) and each.co_name[0] != "<"}
    functions = {each for each in ours if each.co_flags & inspect.CO_OPTIMIZED}  # a class body's names are a dict's
    return functions, ours - functions


def main() -> None:
    """Print it."""
    found = sizes()
    lines = sum(size.lines for size in found.values())
    imports = sum(size.imports for size in found.values())
    median = sorted(size.lines for size in found.values())[len(found) // 2]
    largest = max(found, key=lambda name: found[name].lines)
    functions, classes = entered()
    of = f"median {median} code lines, largest {largest} {found[largest].lines}"
    print(f"modules                {len(found):>7,}   {of}")
    print(f"code lines             {lines:>7,}")
    print(f"imports                {imports / lines:>7.1%}   {imports:,} lines")
    print(f"functions              {sum(size.functions for size in found.values()):>7,}")
    print(f"one conversion enters  {len({each.co_filename for each in functions | classes}):>7,}   modules")
    print(f"                       {len(functions):>7,}   functions and methods")
    print(f"                       {len(functions | classes):>7,}   with class bodies")


if __name__ == "__main__":
    main()
