"""Reads an executable's header with LIEF: for which processor and system, with which loader and libraries.

Nothing of the file is run. LIEF is a C++ library that reads foreign bytes, so it works in a child process.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convert.isolation import Died, Failed, Worker

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ELF_MAGIC", "MACHO_MAGICS", "Binary", "Unreadable", "read_binary"]

ELF_MAGIC = b"\x7fELF"
MACHO_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")
"""64-bit, 32-bit, several in one file."""

# e_machine of elf.h and cputype of mach/machine.h, as `platform.machine()` calls them.
_ELF_MACHINES = {3: "i386", 40: "armv7", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_MACHO_MACHINES = {0x01000007: "x86_64", 0x0100000C: "arm64", 7: "i386", 12: "arm"}
_HARD_FLOAT = 0x400  # EF_ARM_ABI_FLOAT_HARD
_SECONDS = 60.0


class Unreadable(Exception):
    """It begins like an executable and cannot be read as one."""


@dataclass(frozen=True, slots=True)
class Binary:
    """An executable, as far as starting it goes.

    Attributes:
        system: "linux" or "macos".
        machines: processors it holds code for, as `platform.machine()` calls them; numbers of others as text.
        bits: 32 or 64.
        interpreter: the loader it asks for, None when it is static or for macOS.
        libraries: that it needs, by name.
        search: folders it brings to look for them in (DT_RPATH, DT_RUNPATH), `$ORIGIN` filled in.
        glibc: the newest version of glibc's symbols it asks for, (2, 31), None when it asks for none.
        hard_float: 32-bit ARM only: whether it passes floats in registers.
    """

    system: str
    machines: tuple[str, ...]
    bits: int
    interpreter: str | None
    libraries: tuple[str, ...]
    search: tuple[str, ...] = ()
    glibc: tuple[int, ...] | None = None
    hard_float: bool | None = None


def read_binary(path: Path) -> Binary:
    """The executable at `path`.

    Raises:
        Unreadable: LIEF cannot read it, crashes or hangs over it.
        MissingDependencyError: LIEF is not installed.
    """
    with Worker() as worker:
        try:
            result = worker.call("convert.eim.binary:_read", str(path), timeout=_SECONDS)
        except (Died, Failed) as error:
            raise Unreadable(str(error)) from error
    if isinstance(result, str):
        raise Unreadable(result)
    assert isinstance(result, Binary)
    return result


def _read(path: str) -> Binary | str:
    """In the child: the executable, or why there is none."""
    from convert.errors import MissingDependencyError  # noqa: PLC0415

    try:
        import lief  # noqa: PLC0415 - half a second, and only the child needs it
    except ImportError as error:
        raise MissingDependencyError("LIEF is not installed", hint="pip install lief") from error
    lief.logging.disable()
    with open(path, "rb") as file:  # noqa: PTH123 - what came over the pipe is text
        magic = file.read(4)
    if magic == ELF_MAGIC:
        config = lief.ELF.ParserConfig()
        config.parse_relocations = config.parse_symtab_symbols = config.parse_notes = config.parse_overlay = False
        elf = lief.ELF.parse(path, config)
        return "LIEF does not read it" if elf is None else _elf(elf, path)
    fat = lief.MachO.parse(path, config=lief.MachO.ParserConfig.quick)
    if fat is None or not len(fat) or not all(part.header.nb_cmds and len(part.commands) for part in fat):
        return "LIEF does not read it"
    return _macho(fat)


def _elf(elf: Any, path: str) -> Binary | str:
    import lief  # noqa: PLC0415

    header = elf.header
    if header.file_type not in {lief.ELF.Header.FILE_TYPE.EXEC, lief.ELF.Header.FILE_TYPE.DYN}:
        return f"an ELF file of the kind {header.file_type.name}, not a program"
    truncated = _truncated(elf, path)
    if truncated:
        return truncated
    number = int(header.machine_type)
    machine = _ELF_MACHINES.get(number, f"ELF machine {number}")
    return Binary(
        system="linux",
        machines=(machine,),
        bits=64 if header.identity_class == lief.ELF.Header.CLASS.ELF64 else 32,
        interpreter=elf.interpreter if elf.has_interpreter else None,
        libraries=tuple(elf.libraries),
        search=_search(elf, path),
        glibc=_glibc(elf),
        hard_float=bool(_flags(path) & _HARD_FLOAT) if machine == "armv7" else None,
    )


def _truncated(elf: Any, path: str) -> str | None:
    """What a cut download looks like: a segment ends behind the file."""
    import os  # noqa: PLC0415

    size = os.path.getsize(path)  # noqa: PTH202
    end = max((segment.file_offset + segment.physical_size for segment in elf.segments), default=0)
    if not elf.segments:
        return "it has no segments to load"
    return f"it should have at least {end} bytes and has {size}" if end > size else None


def _search(elf: Any, path: str) -> tuple[str, ...]:
    import os  # noqa: PLC0415

    origin = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120
    found = []
    for entry in elf.dynamic_entries:
        for field in ("rpath", "runpath"):
            if value := getattr(entry, field, None):
                found += [part.replace("$ORIGIN", origin).replace("${ORIGIN}", origin) for part in value.split(":")]
    return tuple(found)


def _glibc(elf: Any) -> tuple[int, ...] | None:
    versions = []
    for library in elf.symbols_version_requirement:
        for version in library.get_auxiliary_symbols():
            name, _, digits = str(version.name).partition("_")
            if name == "GLIBC" and digits.replace(".", "").isdigit():
                versions.append(tuple(map(int, digits.split("."))))
    return max(versions, default=None)


def _flags(path: str) -> int:
    """e_flags of a 32-bit ELF header."""
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read(40)
    return int.from_bytes(data[36:40], "little" if data[5:6] == b"\1" else "big")


def _macho(fat: Any) -> Binary:
    parts = list(fat)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LIEF's, about processors its enumeration lacks
        machines = tuple(_MACHO_MACHINES.get(int(part.header.cpu_type), "unknown") for part in parts)
    return Binary(
        system="macos",
        machines=machines,
        bits=64 if any(part.header.is_64bit for part in parts) else 32,
        interpreter=None,
        libraries=tuple(library.name for library in parts[0].libraries),
    )
