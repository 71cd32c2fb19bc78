"""Rules about the code itself."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.measure_code import Size, size_of

ROOT = Path(__file__).resolve().parents[1]


def test_modules_say_what_they_are_for() -> None:
    texts = {path: path.read_text() for path in (ROOT / "convert").rglob("*.py")}
    assert texts
    assert [path for path, text in texts.items() if text.strip() and not text.startswith(('"""', 'r"""'))] == []


def test_every_module_has_its_layer_and_its_description() -> None:
    parts = {
        path.stem for path in (ROOT / "convert").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    assert {each for layer in layers for each in re.findall(r"convert\.(\w+)", layer)} == parts - {"__init__"}
    rooms = (ROOT / "CONTRIBUTING.md").read_text().partition("## Rooms")[2].partition("## How to add")[0]
    assert {each.rstrip("/") for each in re.findall(r"`(\w+/?)`", rooms)} >= parts - {"__main__"}


def test_help_imports_nothing_heavy() -> None:
    heavy = {"onnx", "onnxruntime", "numpy", "PIL", "tf2onnx", "ai_edge_litert", "rich", "yaml", "tensorflow"}
    code = f"import sys; from convert.__main__ import main; main(['--help']);print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.splitlines()[-1] == "[]"


def test_what_prints_imports_no_pipeline() -> None:
    """`check --format json` and short commands print without numpy and what conversions need."""
    heavy = {"convert.pipeline", "onnx", "onnxruntime", "numpy", "PIL"}
    code = f"import sys, convert.render.machine, convert.render.text;print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.splitlines()[-1] == "[]"


def test_lines_are_counted_as_code_lines() -> None:
    source = '''"""A module."""

# a comment
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from x import (
        y,
    )

class A:
    """A class."""

    def f(self) -> str:
        """Two
        lines."""
        return """text
        of two lines"""  # and a comment
'''
    assert size_of(source) == Size(lines=9, imports=5, functions=1)
