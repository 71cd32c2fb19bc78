"""Names what a file is from its first bytes, so that a wrong file is refused by its name and not as "no model"."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from convert.export.tflite import IDENTIFIER

__all__ = [
    "BINARY",
    "ELF",
    "EMPTY",
    "HEAD",
    "HTML",
    "ONNX",
    "SOURCE",
    "TEXT",
    "TFLITE",
    "ZIP",
    "Kind",
    "is_onnx",
    "kind_of",
]

HEAD: Final = 4096
"""Bytes that are enough to tell."""


class Kind(NamedTuple):
    """What a file is: a short stable name, the words for it, and what to do instead of giving it."""

    name: str
    words: str
    hint: str = ""


_DOWNLOAD: Final = (
    "download the model from Edge Impulse's Dashboard (TensorFlow Lite, float32), or build a C++ library in Deployment"
)

TFLITE: Final = Kind("tflite", "a TensorFlow Lite model")
ZIP: Final = Kind("zip", "a zip archive")
EMPTY: Final = Kind("empty", "an empty file", "download or copy the file again")
HTML: Final = Kind(
    "html",
    "a web page, not what it is called: the download was answered with a login or error page",
    "log in to Edge Impulse and download the file again",
)
ELF: Final = Kind(
    "elf",
    "a program; an Edge Impulse .eim is one, and the model cannot be taken out of it",
    _DOWNLOAD,
)
ONNX: Final = Kind("onnx", "an ONNX model")
BINARY: Final = Kind("binary", "binary data of no kind that is known here", _DOWNLOAD)
SOURCE: Final = Kind("source", "C or C++ source")
TEXT: Final = Kind("text", "a text file", _DOWNLOAD)
_MAGIC: Final = (
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
    (b"\x7fELF", ELF),
    (b"\x89PNG\r\n", Kind("png", "a PNG picture", "give the model; pictures go to --images")),
    (b"\xff\xd8\xff", Kind("jpeg", "a JPEG picture", "give the model; pictures go to --images")),
    (b"GIF8", Kind("gif", "a GIF picture", "give the model; pictures go to --images")),
    (b"%PDF", Kind("pdf", "a PDF document", _DOWNLOAD)),
    (b"\x1f\x8b", Kind("gzip", "a gzip archive", "unpack it and give the folder")),
    (b"BZh", Kind("bzip2", "a bzip2 archive", "unpack it and give the folder")),
    (b"\xfd7zXZ", Kind("xz", "an xz archive", "unpack it and give the folder")),
    (b"7z\xbc\xaf", Kind("7z", "a 7z archive", "unpack it and give the folder")),
    (b"Rar!", Kind("rar", "a RAR archive", "unpack it and give the folder")),
    (b"\x89HDF\r\n", Kind("hdf5", "an HDF5 file, such as a Keras model", _DOWNLOAD)),
    (b"\x93NUMPY", Kind("numpy", "a NumPy array, such as Edge Impulse's training data", _DOWNLOAD)),
    (b"MZ", Kind("exe", "a Windows program", _DOWNLOAD)),
    (b"ptrt", Kind("engine", "a TensorRT engine", _DOWNLOAD)),
    (b"ftrt", Kind("engine", "a TensorRT engine", _DOWNLOAD)),
    (b"version https://git-lfs", Kind("lfs", "a Git LFS pointer, not the file itself", "fetch it with `git lfs pull`")),
)
_HTML: Final = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype|html|head|body|\?xml)", re.IGNORECASE | re.DOTALL)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_CODE: Final = re.compile(
    rb"^[ \t]*#[ \t]*(?:if|ifn?def|define|include|pragma)\b|/[/*]|\b(?:unsigned|const|static|char|uint8_t)\b",
    re.MULTILINE,
)


def kind_of(head: bytes) -> Kind:
    """What a file that starts with `head` is; `head` should be its first `HEAD` bytes, or all there are."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    is_utf16 = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    choices = (
        (not head, EMPTY),
        (head[4:8] == IDENTIFIER, TFLITE),
        (_HTML.match(head.removeprefix(b"\xef\xbb\xbf")), HTML),
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
    return len(head) > 4 and head[0] == 0x08 and 1 <= head[1] <= 31 and head[2] in {0x12, 0x1A, 0x22, 0x3A, 0x42}
