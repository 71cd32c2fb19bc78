"""Edge Impulse's Linux targets, how to tell them from one another, and which one this machine wants.

Names and libraries are those of its public downloader and Makefile (runner-downloader.ts, APP flags of the standalone
example). All flavours for one processor look alike in the header; the libraries they need tell them apart.
"""

from __future__ import annotations

import platform
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from convert.eim.binary import Binary

__all__ = ["Host", "Target", "here", "targets_of"]


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
