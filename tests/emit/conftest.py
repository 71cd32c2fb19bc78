"""Shared with the tests of `nvinfer`."""

from __future__ import annotations

from tests.nvinfer.conftest import classifier, glib, invent

__all__ = ["classifier", "glib", "invent"]
