"""Executables made byte by byte, as headers of other machines and vendors look."""

from __future__ import annotations

import struct

BANNER = b"Edge Impulse Linux impulse runner - "
_LOAD, _DYNAMIC, _INTERP = 1, 2, 3
_NEEDED, _STRTAB, _STRSZ, _RUNPATH, _SYMTAB, _SYMENT = 1, 5, 10, 29, 6, 11


def elf(
    machine: int = 62,
    *,
    bits: int = 64,
    interpreter: str | None = "/lib64/ld-linux-x86-64.so.2",
    libraries: tuple[str, ...] = (),
    runpath: str = "",
    flags: int = 0,
    kind: int = 3,
) -> bytes:
    """A little-endian ELF file with one loaded segment, a loader and a dynamic section."""
    word = "Q" if bits == 64 else "I"
    head, entry = (64, 56) if bits == 64 else (52, 32)
    count = 3 if interpreter else 2
    start = head + count * entry
    loader = (interpreter or "").encode() + b"\0"
    strings = b"\0"
    dynamic = b""
    for tag, text in [*((_NEEDED, name) for name in libraries), *([(_RUNPATH, runpath)] if runpath else [])]:
        dynamic += struct.pack(f"<2{word}", tag, len(strings))
        strings += text.encode() + b"\0"
    at_strings = start + len(loader)
    at_symbols = at_strings + len(strings)
    symbols = bytes(24 if bits == 64 else 16)
    at_dynamic = at_symbols + len(symbols)
    for tag, value in (
        (_STRTAB, at_strings), (_STRSZ, len(strings)), (_SYMTAB, at_symbols), (_SYMENT, len(symbols)), (0, 0),
    ):  # fmt: skip
        dynamic += struct.pack(f"<2{word}", tag, value)
    size = at_dynamic + len(dynamic)
    segments = [(_LOAD, 0, size), (_DYNAMIC, at_dynamic, len(dynamic))]
    if interpreter:
        segments.append((_INTERP, start, len(loader)))
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1, 3]) + bytes(8)
    table = b"".join(_segment(bits, *segment) for segment in segments)
    header = struct.pack(
        f"<HHI3{word}I6H", kind, machine, 1, 0, head, 0, flags, head, entry, count, 64 if bits == 64 else 40, 0, 0
    )
    return ident + header + table + loader + strings + symbols + dynamic + BANNER


def _segment(bits: int, kind: int, offset: int, size: int) -> bytes:
    if bits == 64:
        return struct.pack("<IIQQQQQQ", kind, 5, offset, offset, offset, size, size, 8)
    return struct.pack("<8I", kind, offset, offset, offset, size, size, 5, 4)


def macho(cpu: int = 0x0100000C, kind: int = 2) -> bytes:
    """A 64-bit Mach-O file, of kind 2 an executable, with one load command, LC_LOAD_DYLIB."""
    name = b"/usr/lib/libSystem.B.dylib\0\0\0\0\0\0"
    command = struct.pack("<6I", 12, 24 + len(name), 24, 0, 0x10000, 0x10000) + name
    return struct.pack("<8I", 0xFEEDFACF, cpu, 0, kind, 1, len(command), 0, 0) + command + BANNER
