"""Edge Impulse's Linux executables (.eim): inspect them, talk to them, compare with them, and answer as one.

The protocol is that of Edge Impulse's public `eim.cpp`; error texts, field names and the way braces are counted were
measured on real executables of 2023 and 2026.
"""
