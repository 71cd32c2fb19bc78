"""What a file that is called .eim is, whether it starts on this machine, and what to download instead.

The file is only read. Every way a start fails here is one that official clients answer with a hang, a crash or a
misleading message.

Reads an executable's header with LIEF: for which processor and system, with which loader and libraries.

Nothing of the file is run. LIEF is a C++ library that reads foreign bytes, so it works in a child process.

Which of the libraries an executable needs are not installed, looked up where glibc's loader looks.

The order of ld.so(8): the folders the file brings, LD_LIBRARY_PATH, the cache of ldconfig, the standard folders.

Edge Impulse's Linux targets, how to tell them from one another, and which one this machine wants.

Names and libraries are those of its public downloader and Makefile (runner-downloader.ts, APP flags of the standalone
example). All flavours for one processor look alike in the header; the libraries they need tell them apart.
"""

from __future__ import annotations

import os
import platform
import re
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
from typing import TYPE_CHECKING, Any

from convert.eim import findings as rules
from convert.errors import InputError
from convert.isolation import Died, Failed, Worker
from convert.report import REPORT

if TYPE_CHECKING:
    from convert.findings import Finding


__all__ = [
    "ELF_MAGIC",
    "MACHO_MAGICS",
    "Binary",
    "Host",
    "Inspection",
    "Target",
    "Unreadable",
    "here",
    "inspect",
    "missing",
    "read_binary",
    "targets_of",
]


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
            result = worker.call("convert.eim.inspect:_read", str(path), timeout=_SECONDS)
        except (Died, Failed) as error:
            raise Unreadable(str(error)) from error
    if isinstance(result, str):
        raise Unreadable(result)
    assert isinstance(result, Binary)
    return result


def _read(path: str) -> Binary | str:
    """In the child: the executable, or why there is none."""
    from convert.errors import MissingDependencyError

    try:
        import lief  # half a second, and only the child needs it
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
    import lief

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

    size = os.path.getsize(path)  # noqa: PTH202
    end = max((segment.file_offset + segment.physical_size for segment in elf.segments), default=0)
    if not elf.segments:
        return "it has no segments to load"
    return f"it should have at least {end} bytes and has {size}" if end > size else None


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


_STANDARD = ("/lib", "/usr/lib", "/lib64", "/usr/lib64")
_LOADER = re.compile(r"ld-(linux|musl)[-\w]*\.so(\.\d+)?|linux-vdso\.so\.\d+")


def missing(binary: Binary) -> tuple[str, ...]:
    """Names of the libraries that are nowhere; nothing for other systems than Linux."""
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
class Target:
    """One kind of .eim.

    Attributes:
        names: as `edge-impulse-linux-runner --force-target` takes them.
        title: for people.
        system, machine: what it runs on.
        libraries: beginnings of names of libraries of which it needs at least one; empty: the plain processor.
        needs: the accelerator, empty for the plain processor.
    """

    names: tuple[str, ...]
    title: str
    system: str
    machine: str
    libraries: tuple[str, ...] = ()
    needs: str = ""


_TARGETS = (
    Target(
        tuple(f"runner-linux-aarch64-jetson-{board}" for board in ("nano", "orin", "orin-6-0")),
        "NVIDIA Jetson, TensorRT", "linux", "aarch64",
        ("libnvinfer", "libcudart", "libnvonnxparser"), "an NVIDIA Jetson of the same JetPack",
    ),
    Target(
        ("runner-linux-aarch64-qnn",), "Qualcomm, QNN", "linux", "aarch64",
        ("libQnn",), "a Qualcomm processor with a Hexagon NPU",
    ),
    Target(
        ("runner-linux-aarch64-tda4vm", "runner-linux-aarch64-am62a", "runner-linux-aarch64-am68a"),
        "Texas Instruments, TIDL", "linux", "aarch64",
        ("libvx_tidl_rt", "libti_rpmsg_char", "libtidl"), "a Texas Instruments processor with TIDL",
    ),
    Target(
        ("runner-linux-aarch64-rzv2l",), "Renesas, DRP-AI", "linux", "aarch64",
        ("libdrpai", "libmmngr"), "a Renesas RZ/V processor with DRP-AI",
    ),
    Target(
        ("runner-linux-aarch64-akd1000",), "BrainChip Akida", "linux", "aarch64",
        ("libpython3", "libakida"), "a BrainChip Akida",
    ),
    Target(
        ("runner-linux-aarch64-akd1000",), "BrainChip Akida", "linux", "x86_64",
        ("libpython3", "libakida"), "a BrainChip Akida",
    ),
    Target(("runner-linux-x86_64",), "x86-64 Linux", "linux", "x86_64"),
    Target(("runner-linux-armv7",), "32-bit ARM Linux", "linux", "armv7"),
    Target(("runner-linux-aarch64",), "64-bit ARM Linux", "linux", "aarch64"),
    Target(("runner-mac-x86_64",), "macOS on Intel", "macos", "x86_64"),
    Target(("runner-mac-arm64",), "macOS on Apple silicon", "macos", "arm64"),
)  # fmt: skip
_SAME = {"amd64": "x86_64", "armv7l": "armv7", "armv8l": "armv7", "armv6l": "armv6", "i686": "i386", "i586": "i386"}


@dataclass(frozen=True, slots=True)
class Host:
    """The machine a model is to run on.

    Attributes:
        system: "linux", "macos", or what Python calls others.
        machine: the kernel's name of the processor, in Edge Impulse's spelling.
        bits: of the programs installed, which need not be the kernel's.
        glibc: version, None where there is another C library.
    """

    system: str
    machine: str
    bits: int
    glibc: tuple[int, ...] | None

    @property
    def target(self) -> str | None:
        """The plain target this machine wants, None when Edge Impulse has none."""
        machine = "armv7" if self.machine == "aarch64" and self.bits == 32 else self.machine
        fitting = (t.names[0] for t in _TARGETS if (t.system, t.machine) == (self.system, machine) and not t.needs)
        return next(fitting, None)

    def runs(self, binary: Binary) -> bool:
        """Whether the kernel starts such an executable: its own, or the 32-bit one of the same family."""
        also = {"x86_64": ("i386",), "aarch64": ("armv7",), "arm64": ("x86_64",)}.get(self.machine, ())
        return any(machine == self.machine or machine in also for machine in binary.machines)


def here() -> Host:
    """This machine."""
    machine = platform.machine().lower()
    name, version = platform.libc_ver()
    parts = tuple(int(part) for part in version.split(".") if part.isdigit())
    return Host(
        system={"linux": "linux", "darwin": "macos"}.get(sys.platform, sys.platform),
        machine=_SAME.get(machine, machine),
        bits=struct.calcsize("P") * 8,
        glibc=parts if name == "glibc" and parts else None,
    )


def targets_of(binary: Binary) -> tuple[Target, ...]:
    """Which targets the executable may be, the more special first; empty when Edge Impulse has none like it."""
    fitting = [t for t in _TARGETS if t.system == binary.system and t.machine in binary.machines]
    special = [t for t in fitting if any(name.startswith(t.libraries) for name in binary.libraries) and t.libraries]
    return tuple(special or [t for t in fitting if not t.libraries])


_HEAD = 4096  # bytes that are enough to know what a file begins like
_KINDS = (
    (b"PK\x03\x04", "a zip", "if it is an export, `ei-deepstream convert` it; an .eim comes from the Linux deployment"),
    (b"\x1f\x8b", "a gzip file", "unpack it first"),
    (b"MZ", "a Windows program", "choose a Linux deployment in Studio"),
)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was seen.

    Attributes:
        path: as the user named it.
        kind: "elf", "mach-o", "packed" (by `eim pack`), "script", "socket", or "other".
        binary: of executables that could be read.
        targets: which Edge Impulse targets it may be, the likeliest first.
        host: this machine.
        findings: why it does not start, and more.
    """

    path: Path
    kind: str
    binary: Binary | None
    targets: tuple[Target, ...]
    host: Host
    findings: tuple[Finding, ...]


def inspect(path: Path, host: Host | None = None) -> Inspection:
    """Look at `path` without running it.

    Raises:
        InputError: there is nothing, or it cannot be read.
        MissingDependencyError: LIEF is not installed.
    """
    host = host or here()
    try:
        status = path.stat()
        if stat.S_ISSOCK(status.st_mode):
            return Inspection(path, "socket", None, (), host, ())
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(
            f"cannot be read: {error.strerror}", path=path, hint="give an .eim file or a socket"
        ) from error
    if head.startswith((ELF_MAGIC, *MACHO_MAGICS)):
        return _executable(path, host, "elf" if head.startswith(ELF_MAGIC) else "mach-o")
    if head.startswith(b"#!"):
        return Inspection(path, "packed" if _is_packed(path) else "script", None, (), host, _permission(path))
    return Inspection(path, "other", None, (), host, (_not_one(path, head, host),))


def _executable(path: Path, host: Host, kind: str) -> Inspection:
    try:
        binary = read_binary(path)
    except Unreadable as error:
        found = rules.DAMAGED.found(f"it begins like an executable, but {error}", path=path, hint=_download(host))
        return Inspection(path, kind, None, (), host, (found,))
    targets = targets_of(binary)
    findings = [*_fit(path, binary, targets, host), *_permission(path)]
    if targets and targets[0].needs:
        findings.append(rules.NEEDS_HARDWARE.found(f"it needs {targets[0].needs}", path=path))
    return Inspection(path, kind, binary, targets, host, tuple(findings))


def _fit(path: Path, binary: Binary, targets: tuple[Target, ...], host: Host) -> list[Finding]:
    """Why this machine does not start it; the first reason hides those behind it."""
    title = targets[0].title if targets else f"{'/'.join(binary.machines)}, {binary.system}"
    if binary.system != host.system:
        return [
            rules.NOT_THIS_SYSTEM.found(
                f"made for {title}; this is {host.system} on {host.machine}", path=path, hint=_download(host)
            )
        ]
    if not host.runs(binary):
        return [
            rules.OTHER_MACHINE.found(
                f"made for {title}; this machine is {host.machine}, {host.bits}-bit", path=path, hint=_download(host)
            )
        ]
    if binary.interpreter and not Path(binary.interpreter).exists():
        if binary.bits == 64 and host.bits == 32:
            return [
                rules.USERLAND.found(
                    f"made for {title}; the kernel is 64-bit, but the system on it is 32-bit",
                    path=path, hint=_download(host),
                )
            ]  # fmt: skip
        return [
            rules.NO_LOADER.found(f"its loader {binary.interpreter} is not installed", path=path, hint=_download(host))
        ]
    found = []
    if binary.bits == host.bits and (lost := missing(binary)):
        names = ", ".join(lost)
        found.append(rules.NO_LIBRARY.found(f"not installed: {names}", path=path, hint=_install(lost)))
    if binary.glibc and host.glibc and binary.glibc > host.glibc:
        needs, has = (".".join(map(str, version)) for version in (binary.glibc, host.glibc))
        found.append(rules.GLIBC_TOO_OLD.found(f"it needs glibc {needs}, this system has {has}", path=path))
    return found


def _permission(path: Path) -> tuple[Finding, ...]:
    if os.access(path, os.X_OK):
        return ()
    return (rules.NOT_EXECUTABLE.found("it is not executable", path=path, hint=f"chmod +x {path}"),)


def _not_one(path: Path, head: bytes, host: Host) -> Finding:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head", b"<body")):
        return rules.WEB_PAGE.found("it is a web page saved under the model's name", path=path, hint=_download(host))
    if not head:
        return rules.WRONG_KIND.found("the file is empty", path=path, hint=_download(host))
    if text.startswith((b"{", b"[")):
        return rules.WRONG_KIND.found("it is JSON, perhaps an error message", path=path, hint=_download(host))
    for magic, name, hint in _KINDS:
        if head.startswith(magic):
            return rules.WRONG_KIND.found(f"it is {name}", path=path, hint=hint)
    if head[4:8] == b"TFL3":
        return rules.WRONG_KIND.found(
            "it is a .tflite model", path=path, hint="`ei-deepstream convert` takes it; an .eim is an executable"
        )
    return rules.WRONG_KIND.found("it is no executable", path=path, hint=_download(host))


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


def _install(lost: tuple[str, ...]) -> str:
    if any("flex" in name for name in lost):
        return "it is TensorFlow Lite's Flex library, which Edge Impulse offers for download beside the model"
    return "install it, or set LD_LIBRARY_PATH to its folder; if it is a vendor's, this is not the vendor's machine"
