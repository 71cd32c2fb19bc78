"""GLib itself, and an invented classifier to emit."""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import onnx.parser
import pytest

from convert.images import ResizeMode
from convert.types import (
    Adapted,
    BatchParity,
    Evidence,
    Export,
    Head,
    Metadata,
    ModelFacts,
    OnnxModel,
    Parity,
    Preprocessing,
    Tensor,
    Translated,
    Validated,
)

if TYPE_CHECKING:
    from collections.abc import Callable

LABELS = ("apple", "pear", "plum")


class Refused(Exception):
    """GLib cannot read the file, or not as that type."""


class _Error(ctypes.Structure):
    _fields_ = (("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p))


@dataclass
class GlibFile:
    """A loaded GKeyFile; the getters are those Gst-nvinfer and deepstream-app call."""

    lib: ctypes.CDLL
    file: ctypes.c_void_p

    def _call(self, function: str, kind: Any, *arguments: Any) -> Any:
        getter = getattr(self.lib, f"g_key_file_{function}")
        getter.restype = kind
        error = ctypes.POINTER(_Error)()
        found = getter(self.file, *arguments, ctypes.byref(error))
        if error:
            message = error.contents.message.decode()
            self.lib.g_clear_error(ctypes.byref(error))
            raise Refused(message)
        return found

    def _list(self, kind: str, element: Any, group: str, key: str) -> list[Any]:
        length = ctypes.c_size_t()
        found = self._call(
            f"get_{kind}_list", ctypes.POINTER(element), group.encode(), key.encode(), ctypes.byref(length)
        )
        return [found[index] for index in range(length.value)]

    def groups(self) -> list[str]:
        self.lib.g_key_file_get_groups.restype = ctypes.POINTER(ctypes.c_char_p)
        length = ctypes.c_size_t()
        found = self.lib.g_key_file_get_groups(self.file, ctypes.byref(length))
        return [found[index].decode() for index in range(length.value)]

    def keys(self, group: str) -> list[str]:
        length = ctypes.c_size_t()
        found = self._call("get_keys", ctypes.POINTER(ctypes.c_char_p), group.encode(), ctypes.byref(length))
        return [found[index].decode() for index in range(length.value)]

    def string(self, group: str, key: str) -> str:
        return bytes(self._call("get_string", ctypes.c_char_p, group.encode(), key.encode())).decode()

    def integer(self, group: str, key: str) -> int:
        return int(self._call("get_integer", ctypes.c_int, group.encode(), key.encode()))

    def double(self, group: str, key: str) -> float:
        return float(self._call("get_double", ctypes.c_double, group.encode(), key.encode()))

    def boolean(self, group: str, key: str) -> bool:
        return bool(self._call("get_boolean", ctypes.c_int, group.encode(), key.encode()))

    def strings(self, group: str, key: str) -> list[str]:
        return [bytes(item).decode() for item in self._list("string", ctypes.c_char_p, group, key)]

    def integers(self, group: str, key: str) -> list[int]:
        return self._list("integer", ctypes.c_int, group, key)

    def doubles(self, group: str, key: str) -> list[float]:
        return self._list("double", ctypes.c_double, group, key)


@pytest.fixture(scope="session")
def glib() -> Callable[[bytes], GlibFile]:
    """Reads a file's bytes as DeepStream's own parser does; what it allocates is left to the end of the tests."""
    name = ctypes.util.find_library("glib-2.0")
    if name is None:
        pytest.skip("GLib (Debian package libglib2.0-0) is not on this machine")
    lib = ctypes.CDLL(name)
    lib.g_key_file_new.restype = ctypes.c_void_p

    def read(data: bytes) -> GlibFile:
        file = GlibFile(lib, ctypes.c_void_p(lib.g_key_file_new()))
        file._call("load_from_data", ctypes.c_int, data, ctypes.c_size_t(len(data)), 0)
        return file

    return read


@pytest.fixture
def classifier() -> Validated:
    """An image classifier nobody trained: 96x64 RGB, three classes, letterboxed."""
    return invented()


def invented(
    *,
    name: str = "fruit",
    labels: tuple[str, ...] = LABELS,
    size: tuple[int | None, ...] = (None, 3, 64, 96),
    preprocessing: Preprocessing | None = None,
    opset: int = 13,
    task: str = "classifier",
    metadata: Metadata | None = None,
) -> Validated:
    channels, height, width = size[1:]
    facts = ModelFacts(
        Tensor("serving_default_x:0", (1, height, width, channels), "float32"),
        (Tensor("StatefulPartitionedCall:0", (1, len(labels)), "float32"),),
        ("CONV_2D", "FULLY_CONNECTED", "SOFTMAX"),
        "float32",
        task,
    )
    export = Export(
        b"\x1c\0\0\0TFL3", name, "F4", "fruit-cpp.zip", "tflite-model/fruit.tflite", metadata or Metadata(), facts
    )
    onnx = OnnxModel(
        _onnx(opset), Tensor("x_input", size, "float32"), (Tensor("scores", (None, len(labels)), "float32"),), opset
    )
    adapted = Adapted(
        Translated(export, onnx),
        onnx,
        Head(task, labels),
        preprocessing or Preprocessing(1 / 255, (), "RGB", True, True, "", ResizeMode.FIT_LONGEST),
    )
    return Validated(adapted, Evidence(Parity(2e-6, 1e-7, 1.0, 32, 1e-4), BatchParity((1, 2, 8), 3e-7)))


def _onnx(opset: int) -> bytes:
    """A model of one node; what else is said of it here is invented."""
    text = f'<ir_version: 7, opset_import: ["": {opset}]> net (float x) => (float y) {{ y = Identity (x) }}'
    data: bytes = onnx.parser.parse_model(text).SerializeToString()
    return data


@pytest.fixture
def invent() -> Callable[..., Validated]:
    """`invented`, for tests that need another model."""
    return invented
