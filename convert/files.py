"""Files: written whole or not at all, recorded as a rule for make, found in `configs/`, read into dataclasses.

A file is written beside its place, flushed, then renamed. A run that is killed leaves at most a hidden `.NAME.PID.part`
file, which the next write into that folder removes. While files are renamed, Ctrl-C and SIGTERM wait.

`--depfile` writes what a run has read as a rule for make, as compilers have `-MMD -MP`. The interpreter itself reports
what is opened and listed (sys.addaudithook, PEP 578), so that nothing that decides a result can be forgotten here; what
was written is reported by `write_all` in the same way. How make reads names was tried with GNU make 4.3: a backslash
protects a blank and `# : * ? [`; `$` is doubled; `=` would make the rule a variable unless it comes out of a function;
a name that ends in `)` is a member of an archive. The rest (`; | &`, backslashes, line ends, tabs, a blank at the end)
cannot be expressed, and such a file is refused.

`TableReader` makes frozen dataclasses of parsed JSON and TOML. What does not fit is refused with its file, its place in
the file and its key.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import stat
import sys
import threading
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, fields
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

from convert.errors import ConvertError, InputError, OutputError

if TYPE_CHECKING:
    from types import FrameType

    from jinja2 import Template

_WRITES = "ei-deepstream.writes"
"""The audit event (PEP 578) that names every file written, or found as it should be; `--depfile` listens to it."""

_SIDE_BY_SIDE = 16
"""Files that are flushed at the same time. The file system commits its journal once for all that wait for it, so many
files take little longer than one."""

_PART = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)\.part")


@dataclass(frozen=True, slots=True)
class Output:
    """A file that was written, or in a dry run would be (then `sha256` is None)."""

    path: str
    sha256: str | None


def sha256(data: bytes) -> str:
    """Lower-case hexadecimal SHA-256 of `data`."""
    import hashlib  # `check`, which starts often, as a rule does without

    return hashlib.sha256(data).hexdigest()


def alike(path: Path) -> Path | None:
    """What is there instead of `path`, which is not: its first missing part is replaced by a name that is much like it.

    None where nothing is, or it cannot be looked for.
    """
    from difflib import get_close_matches  # only for a message

    here, rest = path.parent, [path.name]
    while not here.is_dir() and here != here.parent:
        here, rest = here.parent, [here.name, *rest]
    try:
        names = {each.name.lower(): each.name for each in here.iterdir()}
    except OSError:
        return None
    for close in get_close_matches(rest[0].lower(), names, 3, 0.75):
        if (found := here.joinpath(names[close], *rest[1:])).exists():
            return found
    return None


def refuse_folder(folder: Path, exports: Iterable[Path] = ()) -> None:
    """Find out whether `folder` could be made and written into, without making it; for before long work.

    Args:
        exports: it must not be one of these folders, or in one of them: what is written would be part of the export.

    Raises:
        OutputError: it is a file, is in an export, cannot be made, or cannot be written to.
    """
    try:
        place = Path(os.path.realpath(folder))  # which takes links in circles, too
        for export in exports:
            if export.is_dir() and place.is_relative_to(os.path.realpath(export)):
                message = f"the output folder would be inside of the export {export}, and part of it from then on"
                hint = "choose a folder elsewhere with -o, beside the export for example"
                raise OutputError(message, path=folder, hint=hint)
        above = next(each for each in (place, *place.parents) if each.exists())
        if not above.is_dir():
            what = "the output folder is" if above == place else "what the output folder would be in is"
            raise OutputError(f"{what} a file: {above}", path=folder, hint="choose another folder with -o")
    except OSError as error:
        raise _cannot("create the folder", folder, error) from error
    if not os.access(above, os.W_OK | os.X_OK):
        raise _not_writable(folder)


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents.

    Raises:
        OutputError: it cannot be created, is a file, or cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot("create the folder", folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _not_writable(folder)


def write(path: Path, data: bytes, *, executable: bool = False) -> Output:
    """Write one file whole (see `write_all`)."""
    (output,) = write_all(path.parent, {path.name: data}, executables=frozenset({path.name} if executable else ()))
    return output


def write_all(
    folder: Path, files: Mapping[str, bytes], *, executables: frozenset[str] = frozenset()
) -> tuple[Output, ...]:
    """Write `files` (name -> content) into `folder`, in order.

    First every content is written beside its place and flushed; only when all of them are on disk are they renamed, in
    the order given, so put the file that describes the others last. A file that already has this content is left
    untouched, modification time included, so that make rebuilds nothing in vain.

    Raises:
        OutputError: no space, no permission, a folder in the way; earlier files are then intact.
    """
    make_folder(folder)
    remove_leftovers(folder)
    umask = os.umask(0)
    os.umask(umask)
    parts: list[tuple[Path, Path]] = []
    contents: list[tuple[Path, bytes, int]] = []
    try:
        for name, data in files.items():
            place = folder / name
            sys.audit(_WRITES, str(place))
            mode = 0o755 if name in executables else 0o644
            if _is_current(place, data, mode):
                continue
            if place.is_dir():
                raise OutputError(
                    "a folder stands where this file belongs", path=place, hint="remove it or choose another -o"
                )
            part = folder / f".{name}.{os.getpid()}.part"
            parts.append((part, place))
            contents.append((part, data, mode & ~umask))  # the same permissions apart from what the umask takes away
        if len(contents) < 2:
            for one in contents:
                _write_part(*one)
        else:
            from concurrent.futures import ThreadPoolExecutor  # much that writes nothing imports this

            with ThreadPoolExecutor(min(len(contents), _SIDE_BY_SIDE)) as threads:  # all are on disk when it ends
                list(threads.map(_write_part, *zip(*contents, strict=True)))  # raises the first error
        with signals_wait():
            for part, place in parts:
                part.replace(place)
    except OSError as error:
        raise _cannot("write", Path(error.filename or folder), error) from error
    finally:
        for part, _ in parts:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
    return tuple(Output(str(folder / name), sha256(data)) for name, data in files.items())


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Where to write a file that is too large for memory: it takes the place of `path` when the context ends well.

    Raises:
        OutputError: it cannot be put there.
    """
    make_folder(path.parent)
    remove_leftovers(path.parent)
    sys.audit(_WRITES, str(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise _cannot("write", path, error) from error
    finally:
        part.unlink(missing_ok=True)


def _write_part(part: Path, data: bytes, mode: int) -> None:
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.chmod(mode)


def _is_current(place: Path, data: bytes, mode: int) -> bool:
    try:
        status = place.lstat()
        return (
            stat.S_ISREG(status.st_mode)
            and status.st_size == len(data)
            and bool(status.st_mode & 0o100) == bool(mode & 0o100)
            and place.read_bytes() == data
        )
    except OSError:
        return False


def open_streams() -> None:
    """Give the standard streams that were closed when Python started (`>&-`) /dev/null, here and in what is started.

    A file or a pipe would take the number of the missing one, and get what others print.
    """
    for name, mode in ("stdin", "r"), ("stdout", "w"), ("stderr", "w"):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode)  # noqa: PTH123, SIM115 - its number is the lowest that is free
            os.set_inheritable(stream.fileno(), True)  # noqa: FBT003
            setattr(sys, name, stream)


@contextmanager
def signals_wait() -> Iterator[None]:
    """Signals that would end the body wait until it has ended: for what must not be left half made or removed.

    They are handled in the main thread; elsewhere nothing has to be done. A handler that Python did not set stays.
    """
    received: list[int] = []
    before: dict[int, Any] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if (handler := signal.getsignal(number)) not in {None, signal.SIG_IGN}:
                    before[number] = handler
                    signal.signal(number, lambda sent, _frame: received.append(sent))
        yield
    finally:
        for deferred, handler in before.items():
            signal.signal(deferred, handler)
        for came in received:
            signal.raise_signal(came)


@contextmanager
def dropped_come_again(kind: type[BaseException], send: Callable[[], None]) -> Iterator[None]:
    """What a signal raises comes, wherever it arrives: Python drops what is raised in a finalizer or in a callback of a
    weak reference, and an import has many of these.

    Args:
        kind: what the handler raises, in the main thread.
        send: called there a moment after one was dropped; it sends the signal again.
    """

    def dropped(lost: sys.UnraisableHookArgs) -> None:
        if lost.exc_type is kind:
            alarms.append(signal.signal(signal.SIGALRM, again))
            signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        else:
            others(lost)

    def again(_number: int, frame: FrameType | None) -> None:
        if frame is None or frame.f_code is not dropped.__code__:  # there it would be dropped, too
            calm()
            send()

    def calm() -> None:
        while alarms:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarms.pop())

    alarms: list[Any] = []
    others, sys.unraisablehook = sys.unraisablehook, dropped
    try:
        yield
    finally:
        sys.unraisablehook = others
        calm()


def remove_leftovers(folder: Path, names: str = "*") -> None:
    """Remove the `.part` files of processes that no longer run; `names`: a pattern of NAME.PID."""
    for candidate in folder.glob(f".{names}.part"):
        match = _PART.fullmatch(candidate.name)
        if match and not is_running(int(match["pid"])):
            with contextlib.suppress(OSError):
                candidate.unlink()


def is_running(pid: int) -> bool:
    """Whether another process has this number, and is not just waiting for its parent to take note of its end."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        state = ""
    return pid != os.getpid() and state not in {"Z", "X"}  # proc(5), stat: a zombie, dead


def _not_writable(folder: Path) -> OutputError:
    return OutputError(
        "the output folder is not writable", path=folder, hint="choose another folder with -o, or fix its permissions"
    )


def _cannot(verb: str, path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot {verb}: {error.strerror or error}",
        path=path,
        hint="check free space and permissions, or choose another -o",
    )


@cache
def configs() -> Path:
    """The folder of data files people may read and edit (`nvinfer/keys.toml`, `targets.toml`, `heads/*.toml`).

    Raises:
        FileNotFoundError: neither place has it; the installation is damaged.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "configs", package.parent / "configs"):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"the data folder configs/ is missing from {package}: reinstall ei-deepstream")


def load_text(name: str) -> str:
    """A text in `configs/` (`bundle/build_engine.sh`): a template for `str.format`."""
    return (configs() / name).read_text(encoding="utf-8")


def filled(name: str, **values: object) -> bytes:
    """A text in `configs/` that is a template of Jinja's (`bundle/RUN.md`), with `values` filled in, as UTF-8."""
    return _template(name).render(values).encode()


@cache
def _template(name: str) -> Template:
    import jinja2  # of the commands only those that write such a text need it

    environment = jinja2.Environment(  # noqa: S701 - nothing of it is markup
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(load_text(name))


@cache
def load_toml(name: str) -> dict[str, Any]:
    """The parsed TOML file `name` (relative to `configs()`, "targets.toml"). The result is shared: do not change it."""
    with (configs() / name).open("rb") as file:
        return tomllib.load(file)


_IMPOSSIBLE = re.compile(r"[;|&\\\x00-\x1f]|[ )]$")
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/")  # what libraries ask the machine; no inputs


class Reads:
    """Files and folders that were read since the recording began.

    Attributes:
        folders: those of which the entries count, too: what lies in and below them decides which files are read.
    """

    def __init__(self) -> None:
        self.folders: list[str] = []
        self._opened: dict[str, str] = {}
        self._listed: dict[str, str] = {}
        self._written: set[str] = set()

    def files(self) -> list[str]:
        """Every regular file that was read and not written, as it was named, sorted.

        Left out: the interpreter's and this program's own files, and what is gone again (temporary files).
        """
        kept = (
            shown
            for path, shown in list(self._opened.items())  # asking goes on opening files
            if path not in self._written and not _is_ours(path) and _is_a(path, stat.S_ISREG)
        )
        return sorted({_near(shown) for shown in kept})

    def listings(self) -> list[str]:
        """Every folder at or below `folders` that was listed and not written into, as it was named, sorted."""
        roots = [_absolute(folder) for folder in self.folders]
        written_into = {os.path.dirname(path) for path in self._written}  # noqa: PTH120 - text
        kept = (
            shown
            for path, shown in list(self._listed.items())
            if path not in written_into
            and any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots)
            and _is_a(path, stat.S_ISDIR)
        )
        return sorted({_near(shown) for shown in kept})

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event. Nothing may be raised here: it would end whatever the program was doing."""
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, str | bytes | os.PathLike):
                name = os.fsdecode(path)
                writes = flags & (os.O_WRONLY | os.O_RDWR) or (isinstance(mode, str) and set(mode) & set("wax+"))
                if writes:
                    self._written.add(_absolute(name))
                else:
                    self._opened.setdefault(_absolute(name), name)
        elif event in {"os.scandir", "os.listdir"}:
            (path,) = arguments
            if isinstance(path, str | bytes | os.PathLike):
                name = os.fsdecode(path)
                self._listed.setdefault(_absolute(name), name)
        elif event == _WRITES:
            self._written.add(_absolute(os.fsdecode(arguments[0])))


_active: list[Reads] = []


@contextmanager
def recording() -> Iterator[Reads]:
    """Records what this process reads until the context ends."""
    _listen()
    reads = Reads()
    _active.append(reads)
    try:
        yield reads
    finally:
        _active.remove(reads)


@cache
def _listen() -> None:
    """Once a process: an audit hook cannot be taken back."""
    sys.addaudithook(_hear)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    for reads in _active:
        reads.note(event, arguments)


def rule(target: str, files: Iterable[str], folders: Iterable[str] = ()) -> bytes:
    """The rule `target: files folders`, and an empty one for each, so that one that is gone is no error of make's.

    Raises:
        OutputError: a name that make cannot express.
    """
    names = [(escaped(name), escaped(name, target=True)) for name in (*files, *(f"{each}/." for each in folders))]
    lines = [" \\\n  ".join([f"{escaped(target, target=True)}:", *(prerequisite for prerequisite, _ in names)])]
    lines += [f"{name}:" for _, name in names]
    return os.fsencode("\n\n".join(lines) + "\n")


def escaped(name: str, *, target: bool = False) -> str:
    """`name` as a prerequisite in a makefile, or as a target.

    Raises:
        OutputError: make cannot express it.
    """
    if _IMPOSSIBLE.search(name):
        message = f"make cannot express the file name {name!r}"
        hint = "rename it (without ; | & \\ and line ends, not ending in a bracket or blank), or leave --depfile out"
        raise OutputError(message, hint=hint)
    special = r"([ #:*?\[%])" if target else r"([ #:*?\[])"
    text = re.sub(special, r"\\\1", name.replace("$", "$$"))
    text = text.replace("=", "$(subst ,,=)")
    return f"./{text}" if text.startswith("~") else text


def include_path(path: Path) -> str:
    """`path` for `include $(shell ...)`: what comes out of a function is only split at blanks."""
    return str(path).replace(" ", "\\ ")


def _absolute(name: str) -> str:
    return os.path.abspath(name)  # noqa: PTH100 - text that need not be UTF-8; links stay what they are


def _near(name: str) -> str:
    """A path at or below the working folder from there, as makefiles have it; others as they were named."""
    here = os.getcwd()  # noqa: PTH109 - as above
    path = _absolute(name)
    return os.path.relpath(path) if path.startswith(f"{here.rstrip('/')}/") else os.path.normpath(name)


def _is_ours(path: str) -> bool:
    """Whether it belongs to the interpreter, to an installed package, to this one, or to the machine."""
    return path.startswith((*_SYSTEM, *_installation())) or path.endswith((".py", ".pyc", ".so"))


@cache
def _installation() -> tuple[str, ...]:
    import sysconfig  # only to record what was read

    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return tuple(f"{folder}/" for folder in (*folders, Path(__file__).resolve().parent, configs()))


def _is_a(path: str, kind: Any) -> bool:
    try:
        return bool(kind(os.stat(path).st_mode))  # noqa: PTH116 - as above
    except (OSError, ValueError):  # it is gone, or never was a name (a NUL in it)
        return False


_T = TypeVar("_T")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class TableReader:
    """Reads tables of one file by the type hints of dataclasses.

    A field is text, a number, a truth value, an enumeration (by value), another dataclass, `tuple[T, ...]`,
    `dict[str, T]`, `Any`, or one of these or None. Text must be valid Unicode and floats finite: Python's JSON reads
    lone surrogates and NaN, which no file of ours can hold.

    Attributes:
        path: the file, as errors name it.
        error: the class of the errors raised.
        hint: of errors that have no better one.
        dashes: a field `min_object_size` is spelt `min-object-size`, as Gst-nvinfer spells its keys.
        open: entries that no field has are ignored instead of refused.
    """

    path: Path | str
    error: type[ConvertError] = InputError
    hint: str | None = None
    dashes: bool = False
    open: bool = False

    def fail(self, message: str, hint: str | None = None) -> ConvertError:
        """The error to raise."""
        return self.error(message, path=self.path, hint=hint or self.hint)

    def table(self, values: object, where: str) -> Mapping[str, Any]:
        """`values`, which must be a table; `where` is its place in the file."""
        if not isinstance(values, dict):
            raise self.fail(f"{where} must be a table")
        return values

    def row(self, kind: type[_T], values: object, where: str) -> _T:
        """`values` as the dataclass `kind`; an entry that is unknown, missing or of another type is refused."""
        table = self.table(values, where)
        known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
        if self.dashes:
            known = {name.replace("_", "-"): field for name, field in known.items()}
        if not self.open and (unknown := sorted(set(table) - set(known))):
            raise self.fail(f"{where}: unknown entry {unknown[0]!r}", "known: " + ", ".join(known))
        found = {}
        for spelling, field in known.items():
            if spelling in table:
                found[field.name] = self.value(_hints(kind)[field.name], table[spelling], f"{where}: {spelling}")
            elif field.default is MISSING and field.default_factory is MISSING:
                raise self.fail(f"{where}: the entry {spelling!r} is missing")
        return kind(**found)

    def rows(self, kind: type[_T], values: object, where: str) -> tuple[_T, ...]:
        """A list of tables, each as the dataclass `kind`."""
        if not isinstance(values, list):
            raise self.fail(f"{where} must be a list of tables")
        return tuple(self.row(kind, value, f"{where}, entry {number}") for number, value in enumerate(values, 1))

    def value(self, kind: Any, value: object, where: str) -> Any:
        """`value` as the type `kind`."""
        if isinstance(kind, UnionType):
            if value is None:
                return None
            (kind,) = (each for each in get_args(kind) if each is not NoneType)
        if dataclasses.is_dataclass(kind):
            return self.row(kind, value, where)  # type: ignore[arg-type]
        if get_origin(kind) is tuple:
            item = get_args(kind)[0]
            if dataclasses.is_dataclass(item):
                return self.rows(item, value, where)  # type: ignore[arg-type]
            if not isinstance(value, list):
                raise self.fail(f"{where} must be list of {'text' if item is str else item.__name__}, not {value!r}")
            return tuple(self.value(item, one, f"{where}, entry {number}") for number, one in enumerate(value, 1))
        if get_origin(kind) is dict:
            item = get_args(kind)[1]
            return {name: self.value(item, one, f"{where}.{name}") for name, one in self.table(value, where).items()}
        return self._single(kind, value, where)

    def _single(self, kind: Any, value: Any, where: str) -> Any:
        if kind is Any:
            return value
        if issubclass(kind, Enum):
            if value in [member.value for member in kind]:
                return kind(value)
        elif kind is float:
            if type(value) in {int, float} and abs(value) <= sys.float_info.max:  # false for NaN as well
                return float(value)
        elif type(value) is kind and (kind is not str or not _SURROGATE.search(value)):
            return value
        raise self.fail(f"{where} must be {kind.__name__}, not {value!r}")


_hints: Callable[[Any], dict[str, Any]] = cache(
    get_type_hints
)  # asked for once a class, because each annotation is compiled


def plain(value: object) -> Any:
    """Dataclasses, enumerations and tuples as what JSON has: objects, values and lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
