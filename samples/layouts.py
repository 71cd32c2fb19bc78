"""Edge Impulse exports in every form seen in public projects, made from any model's bytes.

Tests and `make_samples.py` need exports whose model, labels and parameters are known. The forms (F1 to F4, E1 to E3)
are those of the exports Edge Impulse Studio wrote from 2020 to 2026; the wording is ours. Everything here but
`write_*` is a pure function: the same arguments give the same bytes.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

from samples.parameters import (
    EON_FORMS,
    Parameters,
    guarded,
    model_metadata_h,
    model_variables_h,
    stem_of,
    symbol_of,
    usual_form,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "FORMS",
    "Parameters",
    "arduino_library",
    "cpp_library",
    "header",
    "incbin_header",
    "model_metadata_h",
    "model_variables_h",
    "multi_impulse_library",
    "openmv",
    "write_tree",
    "write_zip",
    "zip_bytes",
]

FORMS = ("F1", "F2", "F2m", "F3", "F3b", "F4")
"""The forms that hold a flatbuffer."""

_HEX = [f"0x{value:02x}, " for value in range(256)]
_PER_LINE = 12  # xxd -i
_ARENA = 65536
_ALIGN = [
    "#include <stddef.h>",
    "#ifndef ALIGN",
    "#if defined(_MSC_VER)",
    "#define ALIGN(bytes) __declspec(align(bytes))",
    "#else",
    "#define ALIGN(bytes) __attribute__((aligned(bytes)))",
    "#endif",
    "#endif",
]
_SECTION = ["#ifndef EI_MODEL_SECTION", "#define MODEL_SECTION(name)", "#endif"]


def header(data: bytes, form: str, *, symbol: str | None = None, namespace: str | None = None) -> str:
    """A model header holding `data`; forms F1, F2, F2m, F3 and F3b.

    Args:
        symbol: the array's name; by default what the form is known for.
        namespace: by default none, in F2m "impulse_4711_1".
    """
    symbol = symbol or ("trained_tflite" if form in {"F1", "F2", "F2m"} else "tflite_learn_5")
    lines = [f"/* {len(data)} bytes of model */"]
    prefix = ""
    if form != "F1":
        arena = symbol + "_arena_size" if form in {"F3", "F3b"} else "EI_CLASSIFIER_TFLITE_ARENA_SIZE"
        lines += _ALIGN if form != "F3b" else [*_ALIGN, *_SECTION]
        lines.append("")
        lines.append(f"const size_t {arena} = {_ARENA};" if form in {"F3", "F3b"} else f"#define {arena} {_ARENA}")
        prefix = "MODEL_SECTION(EI_MODEL_SECTION) ALIGN(16) " if form == "F3b" else "ALIGN(16) "
    namespace = namespace or ("impulse_4711_1" if form == "F2m" else None)
    if namespace:
        lines.append(f"namespace {namespace} {{")
    lines.append(f"{prefix}const unsigned char {symbol}[] = {{")
    body = [_HEX[value] for value in data]
    rows = ["  " + "".join(body[at : at + _PER_LINE]).rstrip() for at in range(0, len(body), _PER_LINE)]
    if rows:
        rows[-1] = rows[-1].rstrip(",")
    lines += rows
    lines += ["};", f"unsigned int {symbol}_len = {len(data)};"]
    if namespace:
        lines.append(f"}} // namespace {namespace}")
    return guarded(f"MODEL_{symbol.upper()}_H", lines)


def incbin_header(symbol: str, file: str) -> str:
    """A model header of form F4: no array, the binary lies in `file`, a path relative to the library's root."""
    return guarded(
        f"MODEL_{symbol.upper()}_H",
        [
            "#define INCBIN_STYLE INCBIN_STYLE_SNAKE",
            '#include "edge-impulse-sdk/third_party/incbin/incbin.h"',
            "",
            f"const size_t {symbol}_arena_size = {_ARENA};",
            "",
            f'INCBIN(incbin_{symbol}, "{file}");',
            "",
            f"const unsigned char *{symbol} = gincbin_{symbol}_data;",
            f"unsigned int {symbol}_len = gincbin_{symbol}_size;",
        ],
    )


def cpp_library(
    data: bytes, parameters: Parameters, form: str | None = None, *, anomaly: bytes | None = None
) -> dict[str, bytes]:
    """A C++ library, path -> content.

    Args:
        data: the model; for E1, E2 and E3 the text of the compiled C++ file.
        anomaly: a second, anomaly model that the same impulse runs.
    """
    form = form or usual_form(parameters)
    extra = replace(parameters, block_id=parameters.block_id + 1)
    extra_form = "F3" if form in {"F1", "F2", "F2m", *EON_FORMS} else form
    name = symbol_of(extra, extra_form) if anomaly is not None else None
    files = {
        "CMakeLists.txt": b"cmake_minimum_required(VERSION 3.13)\n",
        "edge-impulse-sdk/classifier/ei_model_types.h": b"#pragma once\n",
        "model-parameters/model_metadata.h": model_metadata_h(parameters).encode(),
        "model-parameters/model_variables.h": model_variables_h(parameters, form, anomaly=name).encode(),
        **_model_files(data, parameters, form),
    }
    return files if anomaly is None else files | _model_files(anomaly, extra, extra_form)


def multi_impulse_library(models: Sequence[tuple[bytes, Parameters]], form: str | None = None) -> dict[str, bytes]:
    """A C++ library with several impulses, the first of which is the default one."""
    first = models[0][1]
    files = cpp_library(models[0][0], first, form)
    everyone = [p for _, p in models]
    files["model-parameters/model_variables.h"] = model_variables_h(everyone, form).encode()
    for data, p in models[1:]:
        files |= _model_files(data, p, form or usual_form(p))
    return files


def arduino_library(data: bytes, parameters: Parameters, form: str | None = None) -> dict[str, bytes]:
    """An Arduino library: the same under `src/`, with `library.properties` above."""
    name = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in parameters.project_name)
    library = cpp_library(data, parameters, form)
    del library["CMakeLists.txt"]
    return {
        "library.properties": f"name={name}_inferencing\nversion=1.0.{parameters.deploy_version}\n".encode(),
        f"src/{name}_inferencing.h": b'#pragma once\n#include "model-parameters/model_variables.h"\n',
        **{f"src/{path}": content for path, content in library.items()},
    }


def openmv(data: bytes, labels: Sequence[str]) -> dict[str, bytes]:
    """An OpenMV deployment: model, labels one a line, script."""
    script = 'import ml\nnet = ml.Model("trained.tflite")\n'
    return {
        "ei_image_classification.py": script.encode(),
        "labels.txt": "\n".join(labels).encode(),
        "trained.tflite": data,
    }


def write_tree(files: Mapping[str, bytes], folder: Path) -> Path:
    """Write `files` below `folder`; returns `folder`."""
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return folder


def zip_bytes(files: Mapping[str, bytes], wrap: str = "") -> bytes:
    """A zip of `files`, always the same bytes; `wrap` names a folder around everything."""
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, content in files.items():
            # 1980-01-01 is the first date a zip can hold.
            member = zipfile.ZipInfo(f"{wrap}/{path}" if wrap else path, (1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            archive.writestr(member, content)
    return stream.getvalue()


def write_zip(files: Mapping[str, bytes], path: Path, wrap: str = "") -> Path:
    """Write `zip_bytes(files, wrap)` to `path`; returns `path`."""
    path.write_bytes(zip_bytes(files, wrap))
    return path


def _model_files(data: bytes, p: Parameters, form: str) -> dict[str, bytes]:
    place = f"tflite-model/{stem_of(p, form)}"
    symbol = symbol_of(p, form)
    if form == "F4":
        binary = f"{place}.tflite"
        source = b"// intentionally empty\n"
        return {f"{place}.cpp": source, f"{place}.h": incbin_header(symbol, binary).encode(), binary: data}
    if form in EON_FORMS:
        declaration = guarded(f"MODEL_{symbol.upper()}_H", [f"TfLiteStatus {symbol}_init(void*);"])
        return {f"{place}.h": declaration.encode(), f"{place}.cpp": data}
    namespace = f"impulse_{p.project_id}_{p.impulse_id}" if form == "F2m" else None
    return {f"{place}.h": header(data, form, symbol=symbol, namespace=namespace).encode()}
