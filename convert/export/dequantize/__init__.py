"""Rewrites quantized models in float32, and measures how well the two agree."""
