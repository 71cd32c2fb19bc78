"""How many examples a property is tried with: half in CI, a fifth on a developer's machine (tests/conftest.py)."""

from __future__ import annotations

from typing import Any

from hypothesis import settings

__all__ = ["examples"]


def examples(count: int, **more: Any) -> settings:
    """Decorator: try `count` examples where Hypothesis's default is 100; for a test, `more` are settings of its own."""
    assert settings.default is not None
    return settings(max_examples=max(1, count * settings.default.max_examples // 100), **more)
