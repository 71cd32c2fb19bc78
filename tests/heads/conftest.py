"""Exports, and a worker that translates them."""

from __future__ import annotations

from tests.graph.conftest import adapted, export, translated, worker

__all__ = ["adapted", "export", "translated", "worker"]
