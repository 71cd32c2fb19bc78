"""What a file called .eim is, whether it starts on this machine, and which file to download instead.

The file is only read. Its header is parsed with LIEF, a C++ library that reads foreign bytes, and so in a child
process. Every fault found here is one that official clients answer with a hang, a crash or a misleading message.

Libraries are looked up where glibc's loader does (ld.so(8)): the folders the file names, LD_LIBRARY_PATH, the cache of
ldconfig, the standard folders. Names and libraries of the targets are those of Edge Impulse's downloader and Makefile
(runner-downloader.ts, APP flags of the standalone example). All flavours for one processor have the same header; the
libraries they need tell them apart.
"""

from __future__ import annotations

import mmap
import os
import platform
import re
import shlex
import shutil
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from convert.errors import InputError
from convert.files import TableReader, load_toml
from convert.findings import Finding, Level, Rule
from convert.isolation import Died, Failed, Worker
from convert.report import REPORT

WEB_PAGE = Rule("EI600")
WRONG_KIND = Rule("EI601")
NOT_EXECUTABLE = Rule("EI602")
OTHER_MACHINE = Rule("EI603")
USERLAND = Rule("EI604")
NO_LOADER = Rule("EI605")
NO_LIBRARY = Rule("EI606")
GLIBC_TOO_OLD = Rule("EI607")
NEEDS_HARDWARE = Rule("EI608")
DAMAGED = Rule("EI609")
NOT_THIS_SYSTEM = Rule("EI610")

ELF_MAGIC = b"\x7fELF"
MACHO_MAGICS = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
"""64-bit, 32-bit, several in one file, several with 64-bit offsets."""
_PARTS = 16  # executables in one file at most
_WORDS = (b"impulse runner", b"input_features_count")
"""Of which every executable that speaks the protocol holds one: its banner, a field of its hello."""

# e_machine of elf.h and cputype of mach/machine.h, as `platform.machine()` calls them.
_ELF_MACHINES = {3: "i386", 40: "armv7", 62: "x86_64", 183: "aarch64", 243: "riscv64"}
_MACHO_MACHINES = {0x01000007: "x86_64", 0x0100000C: "arm64", 7: "i386", 12: "arm"}
_HARD_FLOAT = 0x400  # EF_ARM_ABI_FLOAT_HARD of elf.h
_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Binary:
    """What an executable needs to start.

    Attributes:
        system: "linux" or "macos".
        machines: processors it has code for, as `platform.machine()` calls them; numbers of others as text.
        bits: 32 or 64.
        interpreter: the loader it names, None when it is static or for macOS.
        libraries: names of those it needs.
        search: folders it names for them (DT_RPATH, DT_RUNPATH), `$ORIGIN` replaced.
        glibc: the newest version of glibc's symbols it needs, (2, 31), None when it needs none.
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


def read_binary(path: Path) -> Binary | str:
    """The executable at `path`, or why it cannot be read: LIEF refuses it, crashes or hangs.

    Raises:
        MissingDependencyError: LIEF is not installed.
    """
    with Worker() as worker:
        try:
            result: Binary | str = worker.call("convert.eim.inspect:_read", str(path), timeout=_SECONDS)
        except (Died, Failed) as error:
            return str(error)
    return result


def _read(path: str) -> Binary | str:
    """In the child: the executable, or why there is none."""
    from convert.errors import MissingDependencyError, pip_install

    try:
        import lief  # takes half a second; only the child needs it
    except ImportError as error:
        raise MissingDependencyError("LIEF is not installed", hint=pip_install("lief")) from error
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
    if any(part.header.file_type != lief.MachO.Header.FILE_TYPE.EXECUTE for part in fat):
        return "a Mach-O file, but not a program"
    return _macho(fat)


def _elf(elf: Any, path: str) -> Binary | str:
    import lief

    header = elf.header
    if header.file_type not in {lief.ELF.Header.FILE_TYPE.EXEC, lief.ELF.Header.FILE_TYPE.DYN}:
        return f"an ELF file of the kind {header.file_type.name}, not a program"
    if not elf.segments:
        return "it has no segments to load"
    size = os.path.getsize(path)  # noqa: PTH202
    end = max(segment.file_offset + segment.physical_size for segment in elf.segments)
    if end > size:  # a download was cut short
        return f"it should have at least {end} bytes and has {size}"
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
        hard_float=bool(header.processor_flag & _HARD_FLOAT) if machine == "armv7" else None,
    )


def _search(elf: Any, path: str) -> tuple[str, ...]:
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


_STANDARD = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
_LOADER = re.compile(r"ld-(linux|musl)[-\w]*\.so(\.\d+)?|linux-vdso\.so\.\d+")


def missing(binary: Binary) -> tuple[str, ...]:
    """Names of the libraries that are not installed; empty for other systems than Linux."""
    if binary.system != "linux":
        return ()
    given = [*binary.search, *os.environ.get("LD_LIBRARY_PATH", "").split(":")]
    folders = [Path(folder) for folder in (*given, *_STANDARD) if folder]
    return tuple(
        name
        for name in binary.libraries
        if not _LOADER.fullmatch(name)
        and name not in _cached()
        and not any((folder / name).exists() for folder in folders)
    )


@cache
def _cached() -> frozenset[str]:
    """Names in ldconfig's cache; empty on systems without one."""
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if ldconfig is None:
        return frozenset()
    done = subprocess.run([ldconfig, "-p"], capture_output=True, check=False, timeout=30)  # noqa: S603 - the system's
    listed = done.stdout.decode("utf-8", "replace").splitlines()
    return frozenset(line.split(" (", 1)[0].strip() for line in listed if "=>" in line)


@dataclass(frozen=True, slots=True)
class EimTarget:
    """One kind of .eim.

    Attributes:
        names: as `edge-impulse-linux-runner --force-target` takes them.
        title: for people.
        system, machine: what it runs on.
        libraries: prefixes of library names of which it needs at least one; empty: the plain processor.
        needs: the accelerator, empty for the plain processor.
    """

    names: tuple[str, ...]
    title: str
    system: str
    machine: str
    libraries: tuple[str, ...] = ()
    needs: str = ""


@cache
def _targets() -> tuple[EimTarget, ...]:
    return TableReader("eim.toml").rows(EimTarget, load_toml("eim.toml")["targets"], "targets")


_SAME = {"amd64": "x86_64", "armv7l": "armv7", "armv8l": "armv7", "armv6l": "armv6", "i686": "i386", "i586": "i386"}


@dataclass(frozen=True, slots=True)
class Host:
    """The machine a model is to run on.

    Attributes:
        system: "linux", "macos", or what Python calls others.
        machine: the kernel's name of the processor, in Edge Impulse's spelling.
        bits: of the installed programs; the kernel may have more.
        glibc: its version, None with another C library.
    """

    system: str
    machine: str
    bits: int
    glibc: tuple[int, ...] | None

    @property
    def target(self) -> str | None:
        """The target for this machine without an accelerator, None when Edge Impulse has none."""
        machine = "armv7" if self.machine == "aarch64" and self.bits == 32 else self.machine
        fitting = (t.names[0] for t in _targets() if (t.system, t.machine) == (self.system, machine) and not t.needs)
        return next(fitting, None)

    def runs(self, binary: Binary) -> bool:
        """Whether the kernel starts such an executable: for the same processor, or the 32-bit one of its family."""
        also = {"x86_64": ("i386",), "aarch64": ("armv7",), "arm64": ("x86_64",)}.get(self.machine, ())
        return any(machine == self.machine or machine in also for machine in binary.machines)


def here() -> Host:
    """The machine this runs on."""
    machine = platform.machine().lower()
    name, version = platform.libc_ver()
    parts = tuple(int(part) for part in version.split(".") if part.isdigit())
    return Host(
        system={"linux": "linux", "darwin": "macos"}.get(sys.platform, sys.platform),
        machine=_SAME.get(machine, machine),
        bits=struct.calcsize("P") * 8,
        glibc=parts if name == "glibc" and parts else None,
    )


def targets_of(binary: Binary) -> tuple[EimTarget, ...]:
    """Targets the executable may be for, those with an accelerator if any fits; empty when Edge Impulse has none."""
    fitting = [t for t in _targets() if t.system == binary.system and t.machine in binary.machines]
    special = [t for t in fitting if any(name.startswith(t.libraries) for name in binary.libraries) and t.libraries]
    return tuple(special or [t for t in fitting if not t.libraries])


_HEAD = 4096  # bytes that are enough to recognise a type of file
_FILE_TYPES = (
    (b"PK\x03\x04", "a zip", "if it is an export, `ei-deepstream convert` it; an .eim comes from the Linux deployment"),
    (b"\x1f\x8b", "a gzip file", "unpack it first"),
    (b"MZ", "a Windows program", "choose a Linux deployment in Studio"),
    (rb".{4}TFL3", "a .tflite model", "`ei-deepstream convert` takes it; an .eim is an executable"),
    (rb"[\xef\xbb\xbf \t\r\n]*[{[]", "JSON, perhaps an error message", ""),
)
"""How it begins, what it is, what to do; empty: download it again."""


@dataclass(frozen=True, slots=True)
class EimInspection:
    """The result of `inspect`.

    Attributes:
        path: as the user named it.
        kind: "elf", "mach-o", "packed" (by `eim pack`), "script", "socket", or "other".
        binary: of executables that can be parsed.
        targets: Edge Impulse targets it may be for, the likeliest first.
        host: this machine.
        findings: why it does not start, and notes.
    """

    path: Path
    kind: str
    binary: Binary | None
    targets: tuple[EimTarget, ...]
    host: Host
    findings: tuple[Finding, ...]


def inspect(path: Path, host: Host | None = None) -> EimInspection:
    """Inspect `path` without running it.

    Raises:
        InputError: the file does not exist or cannot be read.
        MissingDependencyError: LIEF is not installed.
    """
    host = host or here()
    try:
        status = path.stat()
        if stat.S_ISSOCK(status.st_mode):
            return EimInspection(path, "socket", None, (), host, ())
        if not stat.S_ISREG(status.st_mode):
            what = "it is a folder" if stat.S_ISDIR(status.st_mode) else "it is a pipe or a device"
            pack = "`ei-deepstream eim pack` makes an .eim of a bundle"
            hint = pack if (path / REPORT).is_file() else _download(host)
            found = WRONG_KIND.found(what, path=path, hint=hint)
            return EimInspection(path, "other", None, (), host, (found,))
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", path=path, hint="give an .eim file or a socket"
        ) from error
    is_java = head.startswith(MACHO_MAGICS[2]) and int.from_bytes(head[4:8]) > _PARTS  # of a class file the version
    if head.startswith((ELF_MAGIC, *MACHO_MAGICS)) and not is_java:
        return _executable(path, host, "elf" if head.startswith(ELF_MAGIC) else "mach-o")
    if head.startswith(b"#!"):
        if _is_packed(path):
            return EimInspection(path, "packed", None, (), host, _permission(path))
        message = "a script, and no bundle that `eim pack` wrote"
        found = WRONG_KIND.found(message, path=path, hint=_download(host), level=Level.WARNING)
        return EimInspection(path, "script", None, (), host, (found, *_permission(path)))
    return EimInspection(path, "other", None, (), host, (_not_executable(path, head, host),))


def _executable(path: Path, host: Host, kind: str) -> EimInspection:
    binary = read_binary(path)
    if isinstance(binary, str):
        found = DAMAGED.found(f"it begins like an executable, but {binary}", path=path, hint=_download(host))
        return EimInspection(path, kind, None, (), host, (found,))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        speaks = any(data.find(word) >= 0 for word in _WORDS)
    if not speaks:
        message = "an executable, but no .eim: it holds none of the words of an .eim's messages"
        found = WRONG_KIND.found(message, path=path, hint=_download(host))
        return EimInspection(path, kind, binary, (), host, (found,))
    targets = targets_of(binary)
    findings = [*_fit(path, binary, targets, host), *_permission(path)]
    if targets and targets[0].needs:
        findings.append(NEEDS_HARDWARE.found(f"it needs {targets[0].needs}", path=path))
    return EimInspection(path, kind, binary, targets, host, tuple(findings))


def _fit(path: Path, binary: Binary, targets: tuple[EimTarget, ...], host: Host) -> list[Finding]:
    """Why this machine does not start it; later reasons cannot be judged before the first one is removed."""

    def refused(rule: Rule, message: str) -> list[Finding]:
        return [rule.found(message, path=path, hint=_download(host))]

    title = targets[0].title if targets else f"{'/'.join(binary.machines)}, {binary.system}"
    if binary.system != host.system:
        return refused(NOT_THIS_SYSTEM, f"made for {title}; this is {host.system} on {host.machine}")
    if not host.runs(binary):
        return refused(OTHER_MACHINE, f"made for {title}; this machine is {host.machine}, {host.bits}-bit")
    if binary.interpreter and not Path(binary.interpreter).exists():
        if binary.bits == 64 and host.bits == 32:
            return refused(USERLAND, f"made for {title}; the kernel is 64-bit, but the system on it is 32-bit")
        return refused(NO_LOADER, f"its loader {binary.interpreter} is not installed")
    found = []
    if binary.bits == host.bits and (names := missing(binary)):
        hint = "install it, or set LD_LIBRARY_PATH to its folder; if it is a vendor's, this is not the vendor's machine"
        if any("flex" in name for name in names):
            hint = "it is TensorFlow Lite's Flex library, which Edge Impulse offers for download beside the model"
        found.append(NO_LIBRARY.found(f"not installed: {', '.join(names)}", path=path, hint=hint))
    if binary.glibc and host.glibc and binary.glibc > host.glibc:
        needs, has = (".".join(map(str, version)) for version in (binary.glibc, host.glibc))
        found.append(GLIBC_TOO_OLD.found(f"it needs glibc {needs}, this system has {has}", path=path))
    return found


def _permission(path: Path) -> tuple[Finding, ...]:
    if os.access(path, os.X_OK):
        return ()
    return (NOT_EXECUTABLE.found("it is not executable", path=path, hint=f"chmod +x {shlex.quote(str(path))}"),)


def _not_executable(path: Path, head: bytes, host: Host) -> Finding:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")):
        return WEB_PAGE.found("it is a web page saved under the model's name", path=path, hint=_download(host))
    what, hint = "it is no executable", _download(host)
    if not head:
        what = "the file is empty"
    for beginning, name, advice in _FILE_TYPES:
        if re.match(beginning, head, re.DOTALL):
            what, hint = f"it is {name}", advice or hint
    return WRONG_KIND.found(what, path=path, hint=hint)


def _is_packed(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as packed:
            return REPORT in packed.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def _download(host: Host) -> str:
    if target := host.target:
        return (
            f"for this machine: edge-impulse-linux-runner --download model.eim --force-target {target}, "
            "or Studio's Linux deployment for its processor"
        )
    return "Edge Impulse builds no .eim for this machine; `ei-deepstream eim pack` makes one of a converted bundle"
