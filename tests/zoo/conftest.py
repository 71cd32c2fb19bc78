"""Shared with the tests of `graph`."""

from __future__ import annotations

from tests.graph.conftest import adapted, export, translated, worker

__all__ = ["adapted", "export", "translated", "worker"]
