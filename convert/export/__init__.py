"""Finds THE model in an Edge Impulse export, checks it, and reads what is recorded about it."""
