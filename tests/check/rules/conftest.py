"""Shared with the tests of `nvinfer`."""

from __future__ import annotations

from tests.nvinfer.conftest import invent

__all__ = ["invent"]
