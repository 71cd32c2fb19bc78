"""Paths as Gst-nvinfer stores them: glibc's `realpath`, with the leftovers nvinfer keeps when a file is missing.

A relative path belongs to the folder of the (real) config file. One that does not exist is kept as written below that
folder; an absolute one that does not exist becomes its first missing prefix, because nvinfer goes on with the buffer
in which realpath stopped (get_absolute_file_path in gstnvinfer_property_parser.cpp; glibc 2.36, stdlib/canonicalize.c).
Any other trouble on the way (a file used as a folder, a name too long, a loop of links) refuses the config.
"""

from __future__ import annotations

import errno
import os
import re
from typing import Final

__all__ = ["PATH_BYTES", "real_path", "stored_path"]

PATH_BYTES: Final = 4095
"""What nvinfer's path buffers hold (_PATH_MAX - 1, nvdsinfer_context.h); the rest is cut off."""

# glibc's MAXSYMLINKS.
_MOST_LINKS: Final = 40
# A component behind which there is "/", "/." or "/.." must be a folder.
_NEEDS_FOLDER = re.compile(rb"/+(?:\.?/+)*(?:\.?\Z|\.\.(?:/|\Z))")


def real_path(path: bytes, start: bytes = b"/") -> tuple[bytes, int]:
    """glibc's `realpath`: links followed, "." and ".." resolved; and the errno, 0 when all of it exists.

    Args:
        path: absolute, or relative to `start`.
        start: a folder that is already real and exists.

    Returns:
        On failure the path up to and with the component that failed.
    """
    done = b"/" if path.startswith(b"/") else start
    rest = path
    links = 0
    while rest := rest.lstrip(b"/"):
        name, slash, behind = rest.partition(b"/")
        rest = slash + behind
        if name == b".":
            continue
        if name == b"..":
            done = done.rpartition(b"/")[0] or b"/"
            continue
        here = done.rstrip(b"/") + b"/" + name
        try:
            target = os.readlink(here)  # noqa: PTH115 - bytes, and the error number decides
        except OSError as error:
            failed = error.errno if error.errno != errno.EINVAL else 0
            if not failed and rest and _NEEDS_FOLDER.match(rest):
                failed = _folder_error(here)
            if failed:
                return here, failed
            done = here
            continue
        except ValueError:
            return here, errno.ENOENT
        links += 1
        if links > _MOST_LINKS:
            return here, errno.ELOOP
        rest = target + rest
        if target.startswith(b"/"):
            done = b"/"
    return done, 0


def _folder_error(path: bytes) -> int:
    try:
        os.stat(path + b"/")  # noqa: PTH116 - bytes
    except OSError as error:
        return error.errno or errno.ENOTDIR
    return 0


def stored_path(text: bytes, folder: bytes) -> bytes | None:
    """What nvinfer stores for the path `text` of a config in the real folder `folder`; None: it refuses the config.

    The result is cut to `PATH_BYTES`.
    """
    text = text.partition(b"\0")[0]
    if text.startswith(b"/"):
        found, error = real_path(text)
        return found[:PATH_BYTES] if error in {0, errno.ENOENT} else None
    written = folder.rstrip(b"/") + b"/" + text
    # The folder itself is known to be real: only what is below it needs looking at.
    found, error = real_path(text, folder)
    if error == errno.ENOENT:
        return written[:PATH_BYTES]
    return found[:PATH_BYTES] if not error else None
