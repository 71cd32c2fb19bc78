"""Opens what the user named, a zip, a folder or a single file, as one read-only tree. Nothing is written to disk.

Members are read only when asked for, within limits. A folder may hold links in circles, pipes, devices and names that
are no UTF-8. A zip is not to be trusted: its names may lead outside, its members may be links, be encrypted, or swell
to many times their size; nothing is extracted, and what no export of Edge Impulse has is refused (the format is
PKWARE's APPNOTE.TXT as `zipfile` reads it). The type of a file is determined by its first bytes, not its name.

Files beside a single `tflite-model/tflite_learn_5.h` of a library, `metadata.json` beside a `.tflite` that `unpack`
wrote, `deployment-metadata.json`, the weights of a SavedModel, and label files beside or above a model, or beside a
zip, or parameters in a folder beside it, describe it: `open_source` opens them too, and nothing else there.
"""

from __future__ import annotations

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Final, NamedTuple

from convert import files, report
from convert.errors import InputError
from convert.export.tflite import IDENTIFIER
from convert.findings import Finding, Rule

FOUND_BESIDE = Rule("EI109")
LINK_IGNORED = Rule("EI110")


@dataclass(frozen=True, slots=True)
class Limits:
    """What is read of one export.

    Attributes:
        member: bytes of one member, unpacked. A model of 40 MB makes a header of 250.
        total: bytes of all members together.
        members: files; a library with the whole TensorFlow Lite source has 20,000.
        ratio: unpacked against packed size of a zip's member over `ratio_from` bytes; headers pack about 5:1, deflate
            goes to 1032:1.
        ratio_from: smaller members may be as empty as they like.
        depth: of folders inside each other; an Edge Impulse SDK has 12.
    """

    member: int = 256 << 20
    total: int = 1 << 30
    members: int = 100_000
    ratio: int = 200
    ratio_from: int = 1 << 20
    depth: int = 40


LIMITS: Final = Limits()
"""Far above what any export of Edge Impulse has."""

IGNORED_FOLDERS: Final = frozenset({".git", "__MACOSX", "node_modules", ".venv", "__pycache__"})
"""Folders that other programs put into an export."""

HEAD: Final = 4096
"""Bytes that are enough to determine the type of a file."""

_WHOLE: Final = "download or copy the file again"
_UNPACK: Final = "unpack it with another program and give the folder instead"
_ENCRYPTED: Final = 0x1  # general purpose bit 0
_ZIP: Final = {b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"}  # none of Edge Impulse's has something in front of it
_MODELS: Final = (".h", ".c", ".cpp", ".tflite", ".lite", ".onnx")  # what can be or describe a model
_MODEL_FOLDER: Final = "tflite-model"
_PARAMETERS: Final = "model-parameters"
_DEPLOYMENT: Final = "deployment-metadata.json"
_SAVED_GRAPH: Final = "saved_model.pb"
_EXPORTS: Final = (".zip", ".tflite", ".lite", ".onnx")
LABEL_FILE: Final = re.compile(r"(?=.*label).*\.txt", re.IGNORECASE | re.DOTALL)
"""Names of files with labels."""


class FileType(NamedTuple):
    """What a file is: a short stable name, the words for it, and what to do instead of giving it."""

    name: str
    words: str
    hint: str = ""


_TABLE: Final = files.load_toml("file-types.toml")
_TYPES: Final = {
    row["name"]: FileType(row["name"], row["words"], _TABLE["hints"].get(row.get("hint", "")[1:], row.get("hint", "")))
    for row in _TABLE["type"]
}
_TOLD: Final = ("binary", "elf", "empty", "hdf5", "html", "onnx", "savedmodel", "source", "text", "tflite", "zip")
BINARY, ELF, EMPTY, HDF5, HTML, ONNX, SAVED_MODEL, SOURCE, TEXT, TFLITE, ZIP = (_TYPES[name] for name in _TOLD)
_MAGIC: Final = tuple(
    (start.encode("latin-1"), _TYPES[row["name"]]) for row in _TABLE["type"] for start in row.get("starts", ())
)
BY_NAME: Final = tuple(
    (re.compile(row["called"], re.IGNORECASE | re.DOTALL), _TYPES[row["name"]])
    for row in _TABLE["type"]
    if "called" in row
)
"""Names of files whose first bytes do not tell what they are, or that are told to be there instead of a model."""

_HTML: Final = re.compile(rb"\s*(?>(?:<!--.*?-->\s*)*)<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE | re.DOTALL)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_CODE: Final = re.compile(
    rb"^[ \t]*#[ \t]*(?:if|ifn?def|define|include|pragma)\b|/[/*]|\b(?:unsigned|const|static|char|uint8_t)\b",
    re.MULTILINE,
)


@dataclass(slots=True)
class Tree:
    """Files found below a place.

    Attributes:
        kind: "zip", "folder" or "file".
        source: what the user named, for messages.
        members: size in bytes as recorded, by path: with `/`, relative to the tree's root, sorted.
        findings: what was left out.
        outside: of members that lie beside a zip (`../labels.txt`), the file as messages call it.
        others: names of exports beside that zip.
    """

    kind: str
    source: Path
    members: Mapping[str, int]
    findings: tuple[Finding, ...]
    _reading: Callable[[str, int], bytes] = field(repr=False)
    _limits: Limits = field(default=LIMITS, repr=False)
    _read: int = field(default=0, repr=False)
    outside: Mapping[str, Path] = field(default_factory=dict)
    others: tuple[str, ...] = ()

    def read(self, path: str, limit: int | None = None) -> bytes:
        """The content of a member, of `limit` bytes at most; by default as many as the limits of the tree allow.

        Raises:
            InputError: it is not there, cannot be read, is encrypted or damaged, or is larger than `limit`.
        """
        if path not in self.members:
            raise InputError(f"there is no {path} in it", path=self.source, hint=_WHOLE)
        if self._read + self.members[path] > self._limits.total:
            message = f"more than {self._limits.total >> 20} MiB would have to be read"
            raise InputError(message, path=self.source, hint="give a smaller folder")
        data = self._reading(path, self._limits.member if limit is None else limit)
        self._read += len(data)
        return data

    def name_of(self, path: str) -> str:
        """How a member is called in messages: below the folder, or inside the zip."""
        if self.kind == "file":
            return str(self.source)
        if path in self.outside:
            return str(self.outside[path])
        return str(self.source / path) if self.kind == "folder" else f"{self.source}/{path}"


def _too_large(limit: int, path: str) -> InputError:
    """The error of a member of more than `limit` bytes."""
    message = f"it is larger than {limit >> 20} MiB"
    return InputError(message, path=path, hint="this is more than any model for a Jetson needs")


class OpenExport(NamedTuple):
    """An open export: its files, the member the user named (None: a zip or folder was named), and findings."""

    tree: Tree
    focus: str | None
    findings: tuple[Finding, ...]


@contextmanager
def open_source(path: Path) -> Iterator[OpenExport]:
    """Open a zip, a folder, or a file with its surroundings.

    A zip that holds nothing but another zip is opened one level deep.

    Raises:
        InputError: as `open_tree`.
    """
    if is_folder(path) and _is_part(path.absolute()):
        yield _with_parameters(path, path.parent if path.name else Path(".."))
        return
    if not is_folder(path) and file_type(read_head(path, HEAD)) is not ZIP:
        with _surroundings(path) as source:
            yield source
        return
    with open_tree(path) as tree:
        inner = [name for name in tree.members if name.lower().endswith(".zip")]
        if tree.kind == "zip" and len(inner) == 1 and not any(path.lower().endswith(_MODELS) for path in tree.members):
            with open_zip_bytes(tree.read(inner[0]), path / inner[0]) as nested:
                yield OpenExport(_with_labels(nested, path), None, ())
        else:
            yield OpenExport(_with_labels(tree, path) if tree.kind == "zip" else tree, None, ())


def places(path: Path) -> tuple[Path, ...]:
    """The files and folders that decide what `open_source(path)` shows; what does not exist now may exist tomorrow.

    More than are read may be named: whoever asks wants to know whether anything can have changed.
    """
    absolute = path.absolute()
    if path.is_dir():
        return (path, absolute.parent / _PARAMETERS) if _is_part(absolute) else (path,)
    if _is_part(absolute.parent):
        return path, absolute.parent, absolute.parent.parent / _PARAMETERS
    return path, *_beside(absolute)


def _beside(path: Path) -> list[Path]:
    """What describes the model in the file `path`, an absolute one: documents beside it, label files above it, too.

    A folder that cannot be listed has none.
    """
    found = [place for name in (report.METADATA, _DEPLOYMENT) if (place := path.parent / name).is_file()]
    with suppress(OSError):
        for folder in (path.parent, *sorted(path.parent.iterdir())):  # a library of the same project
            headers = (folder / _PARAMETERS / name for name in ("model_metadata.h", "model_variables.h"))
            found += [header for header in headers if header.is_file()]
    for folder in dict.fromkeys((path.parent, path.parent.parent)):
        with suppress(OSError):
            found += sorted(
                each for each in folder.iterdir() if LABEL_FILE.fullmatch(each.name) and each != path and each.is_file()
            )
    return found


def _with_labels(tree: Tree, path: Path) -> Tree:
    """The files of the zip `path`, and the label files beside it; none where its folder cannot be listed."""
    found: list[Path] = []
    others: list[str] = []
    with suppress(OSError):
        for each in sorted(path.absolute().parent.iterdir()):
            if LABEL_FILE.fullmatch(each.name) and each.is_file():
                found.append(each)
            elif each.name.lower().endswith(_EXPORTS) and each.name != path.name:
                others.append(each.name)
    if not found:
        return tree
    sizes = _folder_tree(path.absolute(), found, path)
    return replace(
        tree,
        members={**tree.members, **sizes.members},
        outside={name: path.parent / PurePosixPath(name).name for name in sizes.members},
        others=tuple(others),
        _reading=lambda name, limit: (sizes if name in sizes.members else tree).read(name, limit),
    )


def _is_part(folder: Path) -> bool:
    """Whether the absolute path `folder` is the models' part of a library whose parameters are there, too."""
    return folder.name == _MODEL_FOLDER and (folder.parent / _PARAMETERS).is_dir()


def _with_parameters(path: Path, shown: Path, focus: str | None = None) -> OpenExport:
    """Of the part of a library that `path` is or lies in, and its parameters; `shown` is the library's folder."""
    folder = path.absolute() if focus is None else path.absolute().parent
    tree = _folder_tree(folder.parent, [folder, folder.parent / _PARAMETERS], shown)
    finding = FOUND_BESIDE.found(f"parameters were read from {_PARAMETERS} of the same library", path=path)
    return OpenExport(tree, focus, (finding,))


@contextmanager
def _surroundings(path: Path) -> Iterator[OpenExport]:
    path = Path(path)
    absolute = path.absolute()
    if _is_part(absolute.parent):
        yield _with_parameters(path, path.parent.parent, focus=f"{_MODEL_FOLDER}/{path.name}")
        return
    beside = _beside(absolute)
    if absolute.name == _SAVED_GRAPH and (variables := absolute.parent / "variables").is_dir():
        beside = [*beside, variables]  # of a SavedModel, its weights
    if beside and absolute.name != report.METADATA:
        tree = _folder_tree(absolute.parent, [absolute, *beside], path.parent)
        yield OpenExport(tree, path.name, ())
        return
    with open_tree(path) as tree:
        yield OpenExport(tree, next(iter(tree.members)), ())


@contextmanager
def open_tree(path: Path, limits: Limits = LIMITS) -> Iterator[Tree]:
    """The files of the zip or folder `path`, or the single file.

    Raises:
        InputError: it is not there, is neither, cannot be read, or is a zip that breaks a rule above.
    """
    if is_folder(path):
        yield _folder_tree(path, [path], path, limits)
    elif read_head(path, 4) in _ZIP:
        try:
            file = path.open("rb")
        except OSError as error:
            raise _unreadable(path, error) from error
        with file, _zip_tree(file, path, limits) as tree:
            yield tree
    else:
        members = {path.name: _status(path).st_size}
        yield Tree("file", path, members, (), lambda _, limit: read_file(path, limit), limits)


@contextmanager
def open_zip_bytes(data: bytes, name: Path, limits: Limits = LIMITS) -> Iterator[Tree]:
    """The files of a zip that is itself the content of a member called `name`."""
    with BytesIO(data) as file, _zip_tree(file, name, limits) as tree:
        yield tree


def read_file(path: Path, limit: int = LIMITS.member) -> bytes:
    """The content of a regular file.

    Raises:
        InputError: it is not there, is no regular file, cannot be read, or is larger than `limit` bytes.
    """
    # Asked first, so that a huge file is refused before it fills the memory; a growing one is cut off.
    data = b"" if _status(path).st_size > limit else read_head(path, limit + 1)
    if len(data) > limit or _status(path).st_size > limit:
        raise _too_large(limit, str(path))
    return data


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder.

    Raises:
        InputError: it is not there or its status cannot be read.
    """
    return stat.S_ISDIR(_status(path).st_mode)


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:  # a NUL in the name
        raise InputError(f"not a path: {error}", hint="check the name") from error


def _unreadable(path: Path, error: OSError) -> InputError:
    hint = "check its permissions, or copy it elsewhere"
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        found = files.alike(path)
        hint = f"did you mean {found}?" if found else "check the name"
    return InputError(f"cannot read it: {error.strerror or error}", path=path, hint=hint)


def read_head(path: Path, size: int) -> bytes:
    """The first `size` bytes of a regular file, fewer when it is shorter.

    Raises:
        InputError: as `read_file`.
    """
    if not stat.S_ISREG(_status(path).st_mode):
        raise InputError("this is no regular file", path=path, hint="give a file, a folder or a zip")
    try:
        # Not blocking: between the check and the opening the file may have become a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return file.read(size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _folder_tree(root: Path, parts: Iterable[Path], shown: Path, limits: Limits = LIMITS) -> Tree:
    """The files at and below `parts`, which lie in the folder `root`, or files in the one above it.

    Messages call `root` `shown`.
    """
    findings: list[Finding] = []
    walks = (_walk(root, part, findings, limits.depth) if part.is_dir() else [part] for part in parts)
    found = chain.from_iterable(walks)
    members: dict[str, int] = {}
    names: dict[str, Path] = {}
    for place in found:
        if len(members) >= limits.members:
            message = f"it holds more than {limits.members} files"
            raise InputError(message, path=shown, hint="give the export's own folder")
        # Names that are no UTF-8 are shown with replacement characters; the file is still opened by its own name.
        inside = place.relative_to(root) if place.is_relative_to(root) else Path("..", place.name)
        path = inside.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        members[path] = _status(place).st_size
        names[path] = place
    members = dict(sorted(members.items()))
    return Tree("folder", shown, members, tuple(findings), lambda path, limit: read_file(names[path], limit), limits)


def _walk(root: Path, folder: Path, findings: list[Finding], most: int, depth: int = 0) -> Iterator[Path]:
    """Regular files below `folder`, and links to regular files; linked folders are not entered, pipes not opened."""
    if depth > most:
        raise InputError(f"folders are nested deeper than {most}", path=root, hint="give the export's own folder")
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        if folder == root:
            raise _unreadable(folder, error) from error
        findings.append(LINK_IGNORED.found(f"this folder cannot be read: {error.strerror}", path=folder))
        return
    for entry in found:
        place = Path(entry.path)
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
            is_file = entry.is_file()
            is_linked_folder = entry.is_symlink() and entry.is_dir()
        except OSError:  # a link that leads round in a circle
            is_folder, is_file, is_linked_folder = False, False, True
        if is_folder and entry.name not in IGNORED_FOLDERS:
            yield from _walk(root, place, findings, most, depth + 1)
        elif is_linked_folder:
            findings.append(LINK_IGNORED.found("a link to a folder is not followed", path=place))
        elif is_file:
            yield place


@contextmanager
def _zip_tree(file: IO[bytes], source: Path, limits: Limits) -> Iterator[Tree]:
    """The members of an open zip called `source`.

    Raises:
        InputError: damaged, too many members, or a path that leads outside; on reading: encrypted, a bomb, too large.
    """
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise InputError(f"the zip is damaged or cut off: {error}", path=source, hint=_WHOLE) from error
    with archive:
        infos, findings = _zip_members(archive, source, limits)
        members = {path: info.file_size for path, info in sorted(infos.items())}
        yield Tree("zip", source, members, findings, partial(_read_zipped, archive, infos, source, limits), limits)


def _zip_members(
    archive: zipfile.ZipFile, source: Path, limits: Limits
) -> tuple[dict[str, zipfile.ZipInfo], tuple[Finding, ...]]:
    infos: dict[str, zipfile.ZipInfo] = {}
    findings: list[Finding] = []
    if len(archive.infolist()) > limits.members:
        raise InputError(f"the zip has more than {limits.members} members", path=source, hint=_UNPACK)
    for info in archive.infolist():
        # orig_filename keeps what zipfile cuts off at a NUL and turns round at a backslash.
        path = info.orig_filename.replace("\\", "/")
        parts = PurePosixPath(path).parts
        if ".." in parts or path.startswith("/") or "\0" in path or path[1:3] == ":/":
            message = f"the zip holds the path {path!r}, which leads outside of it"
            hint = "do not unpack it; export or download it again from Edge Impulse"
            raise InputError(message, path=source, hint=hint)
        if stat.S_ISLNK(info.external_attr >> 16):
            findings.append(LINK_IGNORED.found(f"the link {path} in the zip is not followed", path=source))
        elif not info.is_dir() and not IGNORED_FOLDERS.intersection(parts):
            infos[str(PurePosixPath(path))] = info
    return infos, tuple(findings)


def _read_zipped(
    archive: zipfile.ZipFile, infos: Mapping[str, zipfile.ZipInfo], source: Path, limits: Limits, path: str, limit: int
) -> bytes:
    info = infos[path]
    where = f"{source}/{path}"
    if info.flag_bits & _ENCRYPTED:
        raise InputError("the zip is encrypted", path=where, hint=f"{_UNPACK}; it will ask for the password")
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise InputError(f"it is packed with method {info.compress_type}", path=where, hint=_UNPACK)
    if info.file_size > limit:
        raise _too_large(limit, where)
    if info.file_size > limits.ratio_from and info.file_size > limits.ratio * max(info.compress_size, 1):
        message = f"it would swell from {info.compress_size} to {info.file_size} bytes: this looks like a zip bomb"
        raise InputError(message, path=where, hint=f"if you trust it, {_UNPACK}")
    try:
        with archive.open(info) as member:
            return member.read()  # zipfile stops at the recorded size, whatever is packed
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
        raise InputError(f"the zip is damaged here: {error}", path=where, hint=_WHOLE) from error


def file_type(head: bytes) -> FileType:
    """What a file that starts with `head` is; `head` should be its first `HEAD` bytes, or all there are."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    is_utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    choices = (
        (not head, EMPTY),
        (head[4:8] == IDENTIFIER, TFLITE),
        (_HTML.match(head.removeprefix(b"\xef\xbb\xbf")), HTML),
        (_is_saved_model(head), SAVED_MODEL),
        (is_onnx(head), ONNX),
        (_CONTROL.search(head) and not is_utf16, BINARY),
        (is_utf16 or _CODE.search(head), SOURCE),
    )
    return next((kind for fits, kind in choices if fits), TEXT)


def is_onnx(head: bytes) -> bool:
    """Whether `head` starts like an ONNX ModelProto: field 1 `ir_version`, then a named producer or the graph.

    The fields are those of onnx.proto: 1 ir_version (varint, 3 to 20 so far), 2 producer_name, 3 producer_version,
    4 domain, 7 graph, 8 opset_import, all but the first length-delimited.
    """
    if _is_saved_model(head):
        return False
    return len(head) > 4 and head[0] == 0x08 and 1 <= head[1] <= 31 and head[2] in {0x12, 0x1A, 0x22, 0x3A, 0x42}


_SAVED_MODEL: Final = re.compile(rb"\x08\x01\x12[\x80-\xff]*[\x00-\x7f]\x0a", re.DOTALL)


def _is_saved_model(head: bytes) -> bool:
    """Whether `head` starts like saved_model.proto: field 1 `saved_model_schema_version` is 1, then the first of
    `meta_graphs`, which starts with its field 1, a message."""
    return bool(_SAVED_MODEL.match(head))
