"""Reads C and C++ source: tokens, numbers, declarations, and the C++ of EON-compiled models."""
