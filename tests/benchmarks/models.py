"""The models that are measured: the samples' and, where they are, the real ones."""

from __future__ import annotations

from pathlib import Path

from convert.export.facts import facts

__all__ = ["REAL", "classifiers"]

_ROOT = Path(__file__).parents[2]

REAL = _ROOT.parent / "shared" / "models"
"""Real Edge Impulse models; a stranger's clone has none."""


def classifiers() -> list[Path]:
    """Every float32 image classifier."""
    paths = [*sorted((_ROOT / "samples" / "models").glob("*.tflite")), *sorted(REAL.glob("*lite"))]
    kinds = {path: facts(path.read_bytes()) for path in paths}
    return [path for path, known in kinds.items() if (known.task, known.quantization) == ("classifier", "float32")]
