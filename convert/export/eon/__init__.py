"""Rebuilds the flatbuffer of a model that Edge Impulse's EON compiler turned into C++."""
