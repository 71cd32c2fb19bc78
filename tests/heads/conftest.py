"""Exports, and a worker that translates them."""

from __future__ import annotations

from tests.graph.conftest import adapted, export, worker

__all__ = ["adapted", "export", "worker"]
