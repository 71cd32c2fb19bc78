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

from convert.dsp import KMeans, Mixture
from samples.parameters import (
    EON_FORMS,
    Parameters,
    categories,
    graph,
    guarded,
    model_metadata_h,
    model_variables_h,
    quoted,
    stem_of,
    symbol_of,
    usual_form,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from convert.dsp import Block, Impulse

__all__ = [
    "FORMS",
    "Parameters",
    "arduino_library",
    "cpp_library",
    "header",
    "impulse_library",
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


def impulse_library(data: bytes | None, impulse: Impulse, parameters: Parameters) -> dict[str, bytes]:
    """A C++ library of sound or sensor data, path -> content.

    The structs have the members that `impulse.blocks` have values of, in their order: those of any age.

    Args:
        data: the network, a flatbuffer; None: the impulse only scores anomalies.
        parameters: of size and sensor `impulse` decides. Until 2022 `dsp_blocks.h` lists the blocks, without ids, and
            nothing says which of them feeds what; since 2026 features may be normalised.
    """
    p, form = parameters, usual_form(parameters)
    folder = "model-parameters"
    files = {
        f"{folder}/model_metadata.h": _sensor_metadata(impulse, p).encode(),
        f"{folder}/model_variables.h": guarded("MODEL_VARIABLES_H", _sensor_variables(impulse, p, form)).encode(),
        **({} if data is None else _model_files(data, p, form)),
        **(_model_files(impulse.anomaly.model, _mixed(p), form) if isinstance(impulse.anomaly, Mixture) else {}),
    }
    if p.year <= 2022:
        files[f"{folder}/dsp_blocks.h"] = guarded("DSP_BLOCKS_H", _dsp_blocks(impulse, p)).encode()
    if isinstance(impulse.anomaly, KMeans):
        files[f"{folder}/anomaly_metadata.h"] = guarded("ANOMALY_H", _kmeans(impulse.anomaly, p)).encode()
    return files


def _sensor_metadata(impulse: Impulse, p: Parameters) -> str:
    macros = {
        "SENSOR": f"EI_CLASSIFIER_SENSOR_{impulse.sensor.upper()}",
        "RAW_SAMPLE_COUNT": impulse.samples,
        "RAW_SAMPLES_PER_FRAME": impulse.axes,
        "NN_INPUT_FRAME_SIZE": sum(block.size for block in impulse.blocks),
        "HAS_ANOMALY": int(impulse.anomaly is not None),
        "INTERVAL_MS": f"{1000 / impulse.frequency:.15g}",
        "FREQUENCY": f"{impulse.frequency:.17g}",
        "SLICES_PER_MODEL_WINDOW": impulse.slices,
    }
    if impulse.axis_names:
        macros["FUSION_AXES_STRING"] = quoted(" + ".join(impulse.axis_names))
    text = model_metadata_h(replace(p, width=0, height=0, resize_mode=None))
    known = [
        line
        for line in text.splitlines()
        if not any(line.startswith(f"#define EI_CLASSIFIER_{name} ") for name in macros)
    ]
    lines = [f"#define EI_CLASSIFIER_{name} {value}" for name, value in macros.items()]
    for block in {block.kind: block for block in impulse.blocks}.values():
        members = [
            f"    {'const char *' if isinstance(value, str) else 'float'} {name};"
            for name, value in block.values.items()
        ]
        named = ["    ei_dsp_named_axis_t * named_axes;", "    size_t named_axes_size;"] if p.year >= 2025 else []
        lines += ["typedef struct {", *named, *members, f"}} ei_dsp_config_{block.kind}_t;"]
    return "\n".join([*known[:-1], *lines, known[-1], ""])


def _sensor_variables(impulse: Impulse, p: Parameters, form: str) -> list[str]:
    lines = ["#include <stdint.h>", '#include "model_metadata.h"', *([] if p.year <= 2021 else [categories(p)])]
    for block in impulse.blocks:
        name = f"ei_dsp_config_{_block_name(block, p)}"
        values = [quoted(each) if isinstance(each, str) else f"{each:.17g}f" for each in block.values.values()]
        named = ["nullptr", "0"] if p.year >= 2025 else []
        if p.year > 2021:
            lines.append(f"uint8_t {name}_axes[] = {{ {', '.join(map(str, block.axes))} }};")
        lines.append(f"ei_dsp_config_{block.kind}_t {name} = {{ {', '.join((*named, *values))} }};")
        if block.normalisation:
            for what, row in zip(("mean", "scale"), block.normalisation, strict=True):
                lines.append(f"const float ei_dn_{what}_{_block_name(block, p)}[] = {{ {_numbers(row)} }};")
            lines += [
                f"ei_data_normalization_standard_scaler_config_t ei_dn_config_{_block_name(block, p)} = {{",
                *(f"    .{what}_data = (float *)ei_dn_{what}_{_block_name(block, p)}," for what in ("mean", "scale")),
                "};",
                f"ei_data_normalization_t ei_data_normalization_{_block_name(block, p)} = {{",
                f"    (void *)&ei_dn_config_{_block_name(block, p)}, &data_normalization_standard_scaler",
                "};",
            ]
    if p.year <= 2022:
        return lines
    return [*lines, *_dsp_blocks(impulse, p), *_learning(impulse, p, form)]


def _dsp_blocks(impulse: Impulse, p: Parameters) -> list[str]:
    lines = [f"ei_model_dsp_t ei_dsp_blocks{p.suffix}[] = {{"]
    for block in impulse.blocks:
        name = f"ei_dsp_config_{_block_name(block, p)}"
        fields = [str(block.size), f"&extract_{block.kind}_features", f"(void*)&{name}"]
        if p.year > 2021:
            fields += [f"{name}_axes", str(len(block.axes))]
        if p.year > 2022:
            scaler = f"&ei_data_normalization_{_block_name(block, p)}" if block.normalisation else "nullptr"
            fields = [str(block.id), *fields, "1", "nullptr", scaler]
        lines.append(f"    {{ {', '.join(fields)} }},")
    return [*lines, "};"]


def _learning(impulse: Impulse, p: Parameters, form: str) -> list[str]:
    """From 2023: learning blocks with their inputs, and the impulse that points to all."""
    lines, blocks = [], []
    if impulse.inputs:
        lines += graph(p, p.block, symbol_of(p, form))
        lines.append(
            f"const uint32_t ei_learning_block_{p.block}_inputs[] = {{ {', '.join(map(str, impulse.inputs))} }};"
        )
        blocks.append(("run_nn_inference", p.block_id, p.block))
    if isinstance(impulse.anomaly, KMeans):
        name = f"{p.block}_anomaly"
        arrays = [("anom_axis", "axes"), *((f"anom_{each}", each) for each in ("clusters", "scale", "mean"))]
        lines += [
            f"const ei_learning_block_config_anomaly_kmeans_t ei_learning_block_config_{name} = {{",
            *(f"    .{member} = ei_classifier_anom_{array}{p.suffix}," for member, array in arrays),
            "};",
            f"const uint32_t ei_learning_block_{name}_inputs[] = {{ {impulse.anomaly.block} }};",
        ]
        blocks.append(("run_kmeans_anomaly", p.block_id + 1, name))
    if isinstance(impulse.anomaly, Mixture):
        other = _mixed(p)
        lines += [
            f"const uint16_t ei_classifier_anom_axes{p.suffix}[] = {{ {', '.join(map(str, impulse.anomaly.axes))} }};",
            *graph(other, other.block, symbol_of(other, form))[:-1],
            f"    .anom_axis = ei_classifier_anom_axes{p.suffix},",
            "};",
            f"const uint32_t ei_learning_block_{other.block}_inputs[] = {{ {impulse.anomaly.block} }};",
        ]
        blocks.append(("run_gmm_anomaly", other.block_id, other.block))
    lines.append(f"const ei_learning_block_t ei_learning_blocks{p.suffix}[] = {{")
    lines += [
        f"    {{ {number}, &{function}, (void*)&ei_learning_block_config_{name}, EI_CLASSIFIER_IMAGE_SCALING_NONE, "
        f"ei_learning_block_{name}_inputs, 1 }},"
        for function, number, name in blocks
    ]
    name = f"{p.project_id}_{p.impulse_id}"
    members: list[tuple[str, object]] = [
        ("project_id", p.project_id),
        ("project_name", quoted(p.project_name)),
        ("impulse_id", p.impulse_id),
        ("raw_sample_count", impulse.samples),
        ("raw_samples_per_frame", impulse.axes),
        ("interval_ms", f"{1000 / impulse.frequency:.15g}"),
        ("frequency", f"{impulse.frequency:.17g}"),
        ("dsp_blocks", f"ei_dsp_blocks{p.suffix}"),
        ("learning_blocks", f"ei_learning_blocks{p.suffix}"),
        ("sensor", f"EI_CLASSIFIER_SENSOR_{impulse.sensor.upper()}"),
        ("slices_per_model_window", impulse.slices),
        ("has_anomaly", "EI_ANOMALY_TYPE_KMEANS" if impulse.anomaly else "EI_ANOMALY_TYPE_UNKNOWN"),
        ("label_count", len(p.labels)),
        ("categories", f"ei_classifier_inferencing_categories{p.suffix}"),
    ]
    if impulse.axis_names:
        members.append(("fusion_string", quoted(" + ".join(impulse.axis_names))))
    fields = [f"    .{field} = {value}," for field, value in members]
    return [*lines, "};", f"const ei_impulse_t impulse_{name} = {{", *fields, "};"]


def _mixed(p: Parameters) -> Parameters:
    """Of the block of a Gaussian mixture, behind the classifier's."""
    return replace(p, block_id=p.block_id + 1)


def _kmeans(anomaly: KMeans, p: Parameters) -> list[str]:
    """The arrays of a K-means block; in 2020 to 2021 that of the axes has other letters and no `=`."""
    axes = ", ".join(map(str, anomaly.axes))
    first = f"const uint16_t ei_classifier_anom_axes{p.suffix}[] = {{ {axes} }};"
    clusters = [
        f"    {{ {{ {_numbers(row)} }}, {radius:.17g}f }},"
        for row, radius in zip(anomaly.centroids, anomaly.radii, strict=True)
    ]
    return [
        first if p.year > 2021 else f"const uint16_t EI_CLASSIFIER_ANOM_AXIS[] {{ {axes} }};",
        f"const float ei_classifier_anom_scale{p.suffix}[] = {{ {_numbers(anomaly.scale)} }};",
        f"const float ei_classifier_anom_mean{p.suffix}[] = {{ {_numbers(anomaly.mean)} }};",
        f"const ei_classifier_anom_cluster_t ei_classifier_anom_clusters{p.suffix}[] = {{",
        *clusters,
        "};",
    ]


def _numbers(row: Sequence[float]) -> str:
    return ", ".join(f"{value:.17g}" for value in row)


def _block_name(block: Block, p: Parameters) -> str:
    return f"{p.project_id}_{block.id}" if p.project_in_names else str(block.id)


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
