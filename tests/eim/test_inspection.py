"""What a file is, whether it starts here, and what is told about it. Nothing of a file is ever run."""

from __future__ import annotations

import contextlib
import random
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convert.eim import inspect as rules
from convert.eim.inspect import Binary, EimInspection, Host, _read, here, inspect, missing, read_binary, targets_of
from convert.errors import InputError, MissingDependencyError, pip_install
from convert.findings import Level
from convert.isolation import Died, Failed, Worker
from tests.eim.executables import BANNER, elf, macho

if TYPE_CHECKING:
    from convert.findings import Rule
    from tests.eim.processes import Servers

PC = Host("linux", "x86_64", 64, (2, 36))
NANO = Host("linux", "aarch64", 64, (2, 27))
PI_OS_32 = Host("linux", "aarch64", 32, (2, 31))
MAC = Host("macos", "arm64", 64, None)
EVIL = b"#!/bin/sh\ntouch was-run\n"


def looked(tmp_path: Path, data: bytes, host: Host = PC, mode: int = 0o755) -> EimInspection:
    path = tmp_path / "model.eim"
    path.write_bytes(data)
    path.chmod(mode)
    return inspect(path, host)


def ids(inspection: EimInspection) -> list[str]:
    return [finding.id for finding in inspection.findings]


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (elf(62), "runner-linux-x86_64"),
        (elf(183, interpreter=None), "runner-linux-aarch64"),
        (elf(40, bits=32, interpreter=None), "runner-linux-armv7"),
        (elf(183, libraries=("libc.so.6", "libnvinfer.so.8")), "runner-linux-aarch64-jetson-nano"),
        (elf(183, libraries=("libQnnTFLiteDelegate.so",)), "runner-linux-aarch64-qnn"),
        (elf(183, libraries=("libvx_tidl_rt.so.1.0",)), "runner-linux-aarch64-tda4vm"),
        (elf(62, libraries=("libpython3.8.so.1.0",)), "runner-linux-aarch64-akd1000"),
        (macho(), "runner-mac-arm64"),
        (macho(0x01000007), "runner-mac-x86_64"),
    ],
)
def test_which_target_it_is(tmp_path: Path, data: bytes, name: str) -> None:
    inspection = looked(tmp_path, data)
    assert inspection.targets[0].names[0] == name
    assert (rules.NEEDS_HARDWARE.id in ids(inspection)) is bool(inspection.targets[0].needs)


def test_what_is_read(tmp_path: Path) -> None:
    data = elf(40, bits=32, interpreter="/lib/ld-linux-armhf.so.3", libraries=("liba.so", "libb.so.2"),
               runpath="$ORIGIN/lib:/opt/x", flags=0x05000400)  # fmt: skip
    binary = looked(tmp_path, data).binary
    assert binary == Binary(
        "linux", ("armv7",), 32, "/lib/ld-linux-armhf.so.3", ("liba.so", "libb.so.2"),
        (f"{tmp_path}/lib", "/opt/x"), None, True,
    )  # fmt: skip
    soft = looked(tmp_path, elf(40, bits=32, flags=0x05000200)).binary
    assert soft
    assert soft.hard_float is False
    odd = looked(tmp_path, elf(8)).binary
    assert odd
    assert odd.machines == ("ELF machine 8",)
    assert targets_of(odd) == ()


def test_where_older_linkers_wrote_the_path(tmp_path: Path) -> None:
    """DT_RPATH instead of DT_RUNPATH."""
    data = elf(62, libraries=("liba.so",), runpath="$ORIGIN/lib:${ORIGIN}/../x:/opt/y")
    data = data.replace(struct.pack("<Q", 29), struct.pack("<Q", 15), 1)
    binary = looked(tmp_path, data).binary
    assert binary is not None
    assert binary.search == (f"{tmp_path}/lib", f"{tmp_path}/../x", "/opt/y")


def test_a_program_of_an_old_mac(tmp_path: Path) -> None:
    command = macho()[32 : 32 + 56]
    data = struct.pack("<7I", 0xFEEDFACE, 7, 3, 2, 1, len(command), 0) + command + BANNER
    binary = looked(tmp_path, data).binary
    assert binary == Binary("macos", ("i386",), 32, None, ("/usr/lib/libSystem.B.dylib",))


def test_this_interpreter() -> None:
    """A real executable: of this machine, with a real loader and libraries."""
    binary = read_binary(Path(sys.executable).resolve())
    assert isinstance(binary, Binary)
    host = here()
    assert host.runs(binary)
    assert binary.bits == host.bits
    assert binary.interpreter
    assert Path(binary.interpreter).exists()
    assert missing(binary) == ()
    assert binary.glibc
    assert host.glibc
    assert binary.glibc <= host.glibc


BEGINS = "it begins like an executable, but "
VENDOR = "install it, or set LD_LIBRARY_PATH to its folder; if it is a vendor's, this is not the vendor's machine"
FLEX = "it is TensorFlow Lite's Flex library, which Edge Impulse offers for download beside the model"


def download(host: Host) -> str:
    return (
        f"for this machine: edge-impulse-linux-runner --download model.eim --force-target {host.target}, or Studio's "
        "Linux deployment for its processor"
    )


@pytest.mark.parametrize(
    ("data", "host", "rule", "message", "hint"),
    [
        (elf(183), PC, rules.OTHER_MACHINE, "made for 64-bit ARM Linux; this machine is x86_64, 64-bit", None),
        (elf(62), NANO, rules.OTHER_MACHINE, "made for x86-64 Linux; this machine is aarch64, 64-bit", None),
        (elf(8), PC, rules.OTHER_MACHINE, "made for ELF machine 8, linux; this machine is x86_64, 64-bit", None),
        (elf(183, interpreter="/none/ld.so"), PI_OS_32, rules.USERLAND,
         "made for 64-bit ARM Linux; the kernel is 64-bit, but the system on it is 32-bit", None),
        (elf(183, interpreter="/none/ld.so"), NANO, rules.NO_LOADER, "its loader /none/ld.so is not installed", None),
        (elf(62, interpreter="/lib/ld-musl-none.so.1"), PC, rules.NO_LOADER,
         "its loader /lib/ld-musl-none.so.1 is not installed", None),
        (elf(62, interpreter=None, libraries=("libnowhere.so.3", "libnor.so")), PC, rules.NO_LIBRARY,
         "not installed: libnowhere.so.3, libnor.so", VENDOR),
        (elf(62, interpreter=None, libraries=("libnot_flex_here.so",)), PC, rules.NO_LIBRARY,
         "not installed: libnot_flex_here.so", FLEX),
        (macho(), PC, rules.NOT_THIS_SYSTEM, "made for macOS on Apple silicon; this is linux on x86_64", None),
        (elf(62), MAC, rules.NOT_THIS_SYSTEM, "made for x86-64 Linux; this is macos on arm64", None),
        (elf(62)[:200], PC, rules.DAMAGED,
         f"{BEGINS}it should have at least {len(elf(62)) - len(BANNER)} bytes and has 200", None),
        (elf(62, kind=1), PC, rules.DAMAGED, f"{BEGINS}an ELF file of the kind REL, not a program", None),
        (elf(62)[: -len(BANNER) - 1], PC, rules.DAMAGED,
         f"{BEGINS}it should have at least {len(elf(62)) - len(BANNER)} bytes and has {len(elf(62)) - len(BANNER) - 1}",
         None),
        (b"\x7fELF", PC, rules.DAMAGED, f"{BEGINS}an ELF file of the kind NONE, not a program", None),
        (b"\xcf\xfa\xed\xfe" + bytes(8), PC, rules.DAMAGED, f"{BEGINS}LIEF does not read it", None),
        (macho(kind=6), MAC, rules.DAMAGED, f"{BEGINS}a Mach-O file, but not a program", None),
        (b"\xca\xfe\xba\xbe\0\0\0\x3d", PC, rules.WRONG_KIND, "it is no executable", None),
        (b"\xca\xfe\xba\xbe\0\0\0\x11", PC, rules.WRONG_KIND, "it is no executable", None),
        (b"\xca\xfe\xba\xbe\0\0\0\x10", PC, rules.DAMAGED, f"{BEGINS}LIEF does not read it", None),
        (elf(62)[: -len(BANNER)], PC, rules.WRONG_KIND,
         "an executable, but no .eim: it holds none of the words of an .eim's messages", None),
        *(
            (data, PC, rules.WEB_PAGE, "it is a web page saved under the model's name", None)
            for data in (
                b"<!DOCTYPE html><html>sign in</html>", b"\xef\xbb\xbf \n<HTML>", b"<?xml version", b"<head>",
                b"<body>",
            )
        ),
        (b"", PC, rules.WRONG_KIND, "the file is empty", None),
        (b'{"success":false}', PC, rules.WRONG_KIND, "it is JSON, perhaps an error message", None),
        (b"PK\x03\x04rest", PC, rules.WRONG_KIND, "it is a zip",
         "if it is an export, `ei-deepstream convert` it; an .eim comes from the Linux deployment"),
        (b"\x1f\x8brest", PC, rules.WRONG_KIND, "it is a gzip file", "unpack it first"),
        (b"MZrest", PC, rules.WRONG_KIND, "it is a Windows program", "choose a Linux deployment in Studio"),
        (b"\x1c\0\0\0TFL3rest", PC, rules.WRONG_KIND, "it is a .tflite model",
         "`ei-deepstream convert` takes it; an .eim is an executable"),
        (b"anything", PC, rules.WRONG_KIND, "it is no executable", None),
        (EVIL, PC, rules.WRONG_KIND, "a script, and no bundle that `eim pack` wrote", None),
        (b"anything", Host("linux", "riscv64", 64, None), rules.WRONG_KIND, "it is no executable",
         "Edge Impulse builds no .eim for this machine; `ei-deepstream eim pack` makes one of a converted bundle"),
    ],
)  # fmt: skip
def test_why_it_does_not_start(
    tmp_path: Path, data: bytes, host: Host, rule: Rule, message: str, hint: str | None
) -> None:
    """The hint is what to download, where nothing else is said."""
    inspection = looked(tmp_path, data, host)
    (finding,) = [finding for finding in inspection.findings if finding.id == rule.id]
    assert (finding.message, finding.hint) == (message, download(host) if hint is None else hint)
    assert finding.path == str(tmp_path / "model.eim")


@pytest.mark.parametrize(
    ("data", "machine"),
    [
        (elf(3, bits=32), "i386"), (elf(40, bits=32), "armv7"), (elf(62), "x86_64"), (elf(183), "aarch64"),
        (elf(243), "riscv64"), (elf(8), "ELF machine 8"), (macho(0x01000007), "x86_64"), (macho(0x0100000C), "arm64"),
        (macho(7), "i386"), (macho(12), "arm"), (macho(18), "unknown"),
    ],
)  # fmt: skip
def test_which_machine_it_is_for(tmp_path: Path, data: bytes, machine: str) -> None:
    binary = looked(tmp_path, data).binary
    assert binary is not None
    assert binary.machines == (machine,)


def test_what_to_download_instead(tmp_path: Path) -> None:
    for host, name in ((PC, "runner-linux-x86_64"), (NANO, "runner-linux-aarch64"), (PI_OS_32, "runner-linux-armv7")):
        assert host.target == name
        (finding,) = looked(tmp_path, b"<html>", host).findings
        assert f"--force-target {name}," in (finding.hint or "")
    assert Host("linux", "riscv64", 64, None).target is None


def test_glibc(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_bytes(Path(sys.executable).resolve().read_bytes() + BANNER)
    path.chmod(0o755)
    old = Host(here().system, here().machine, 64, (2, 1))
    assert rules.GLIBC_TOO_OLD.id in ids(inspect(path, old))
    assert rules.GLIBC_TOO_OLD.id not in ids(inspect(path))


def test_not_executable(tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    folder.mkdir()
    inspection = looked(folder, elf(62, interpreter=None), mode=0o644)
    assert inspection.findings[0].hint == f"chmod +x '{folder}/model.eim'"
    assert ids(inspection) == [rules.NOT_EXECUTABLE.id]
    assert ids(looked(tmp_path, elf(62, interpreter=None))) == []


def test_scripts_sockets_and_packed_bundles(made: dict[str, Path], servers: Servers, tmp_path: Path) -> None:
    assert inspect(made["fomo.eim"]).kind == "packed"
    assert ids(inspect(made["fomo.eim"])) == []
    script = looked(tmp_path, EVIL)
    assert script.kind == "script"
    assert [(found.id, found.level) for found in script.findings] == [(rules.WRONG_KIND.id, Level.WARNING)]
    assert not (tmp_path / "was-run").exists()
    assert not Path("was-run").exists()
    process, path = servers.serve(made["fomo"])
    assert inspect(path).kind == "socket"
    assert process.poll() is None
    with pytest.raises(InputError, match=r"^cannot be read: No such file or directory$") as caught:
        inspect(tmp_path / "nothing")
    assert caught.value.hint == "give an .eim file or a socket"
    (folder,) = inspect(tmp_path, PC).findings
    assert (folder.id, folder.message, folder.hint) == (rules.WRONG_KIND.id, "it is a folder", download(PC))
    assert inspect(made["fomo"]).findings[0].hint == "`ei-deepstream eim pack` makes an .eim of a bundle"
    (device,) = inspect(Path("/dev/null"), PC).findings
    assert (device.message, device.hint) == ("it is a pipe or a device", download(PC))


def test_any_damage_is_read_or_unreadable(tmp_path: Path) -> None:
    """LIEF reads in a child; whatever it makes of damaged bytes, the parent gets a value or an exception of ours."""
    generator = random.Random(3)
    originals = [elf(183, libraries=("liba.so",)), elf(40, bits=32), macho(), Path(sys.executable).read_bytes()[:20000]]
    path = tmp_path / "damaged"
    with Worker() as worker:
        for _ in range(150):
            data = bytearray(generator.choice(originals))
            for _ in range(generator.randint(1, 8)):
                data[generator.randrange(4, min(len(data), 700))] = generator.choice((0, 1, 127, 128, 255))
            path.write_bytes(data[: generator.choice((len(data), generator.randrange(5, len(data))))])
            with contextlib.suppress(Failed, Died):  # told by `read_binary`
                result = worker.call("convert.eim.inspect:_read", str(path), timeout=30)
                assert isinstance(result, Binary | str)


def test_without_lief_the_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lief", None)
    with pytest.raises(MissingDependencyError, match=r"^LIEF is not installed$") as caught:
        _read("model.eim")
    assert caught.value.hint == pip_install("lief")


def test_a_crash_of_the_reader_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convert.eim.inspect._SECONDS", 0.0)
    (tmp_path / "model.eim").write_bytes(elf(62))
    reason = read_binary(tmp_path / "model.eim")
    assert isinstance(reason, str)
    assert "ran longer" in reason
