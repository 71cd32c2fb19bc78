"""Rules about the code itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "convert").rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_say_what_they_are_for(module: Path) -> None:
    text = module.read_text()
    assert not text.strip() or text.startswith(('"""', 'r"""')), "a module opens with one sentence on what it is for"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from convert.__main__ import main; main(['--help']);"
        "heavy = {'onnx', 'onnxruntime', 'numpy', 'PIL', 'tf2onnx', 'ai_edge_litert', 'rich', 'tensorflow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.splitlines()[-1] == "[]"
