"""What a file that is called .eim is, whether it starts on this machine, and what to download instead.

The file is only read. Every way a start fails here is one that official clients answer with a hang, a crash or a
misleading message.
"""

from __future__ import annotations

import os
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from convert.eim import findings as rules
from convert.eim.binary import ELF_MAGIC, MACHO_MAGICS, Binary, Unreadable, read_binary
from convert.eim.libraries import missing
from convert.eim.machines import Host, Target, here, targets_of
from convert.errors import InputError
from convert.report import REPORT

if TYPE_CHECKING:
    from convert.findings import Finding

__all__ = ["Inspection", "inspect"]

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
