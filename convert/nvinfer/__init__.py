"""Gst-nvinfer: its files, what it does with them, and what is written for it."""
