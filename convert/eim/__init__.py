"""Edge Impulse's Linux executables (.eim): inspect, talk to, compare with and answer as one.

The protocol is that of Edge Impulse's public `eim.cpp`; what is literal in it (error texts, field names, the ways it
counts braces) was measured on real executables of 2023 and 2026.
"""
