"""Rules about the code itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_modules_say_what_they_are_for() -> None:
    texts = {path: path.read_text() for path in (ROOT / "convert").rglob("*.py")}
    assert texts
    assert [path for path, text in texts.items() if text.strip() and not text.startswith(('"""', 'r"""'))] == []


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from convert.__main__ import main; main(['--help']);"
        "heavy = {'onnx', 'onnxruntime', 'numpy', 'PIL', 'tf2onnx', 'ai_edge_litert', 'rich', 'tensorflow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.splitlines()[-1] == "[]"
