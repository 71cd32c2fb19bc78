from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from hypothesis import given

from convert.export.eon import rebuild
from convert.export.eon_operators import OPERATORS, VERSIONS
from convert.export.tflite import pack, unpack
from tests.examples import examples
from tests.export.eon.networks import described, drawn, small_int8
from tests.export.eon.writer import FORMS, write

SAMPLES = sorted((Path(__file__).parents[3] / "samples" / "models").glob("*.tflite"))


@pytest.mark.parametrize("form", FORMS)
@examples(25)
@given(model=drawn())
def test_what_was_written_is_what_comes_back(form: str, model: bytes) -> None:
    assert described(rebuild(write(model, FORMS[form]), "m.cpp")[0]) == described(model)


@pytest.mark.parametrize("form", FORMS)
def test_a_whole_int8_classifier_runs_to_the_same_bits(form: str) -> None:
    model = small_int8()
    rebuilt = rebuild(write(model, FORMS[form]), "m.cpp")[0]
    assert described(rebuilt) == described(model)
    random = np.random.default_rng(0)
    for _ in range(5):
        pixels = random.integers(-128, 128, (1, 8, 8, 3), np.int8)
        assert np.array_equal(run(rebuilt, pixels), run(model, pixels))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("form", ["2020", "2025-07"])
def test_the_samples_come_back_and_run_to_the_same_bits(form: str, path: Path) -> None:
    model = path.read_bytes()
    rebuilt = rebuild(write(model, FORMS[form]), "m.cpp")[0]
    assert described(rebuilt) == described(model)
    source = unpack(model).subgraphs[0]
    shape = tuple(source.tensors[source.inputs[0]].shape)
    pixels: Any = np.random.default_rng(1).random(shape, np.float32)
    if source.tensors[source.inputs[0]].type == schema.TensorType.INT8:
        pixels = (pixels * 255 - 128).astype(np.int8)
    assert np.array_equal(run(rebuilt, pixels), run(model, pixels))


@pytest.mark.slow
def test_real_models_come_back(models: Path) -> None:
    paths = [path for path in sorted(models.glob("*lite")) if path.stat().st_size < 1_000_000]
    assert paths
    for number, path in enumerate(paths):
        form = ("2023-07", "2025-07")[number % 2]
        model = path.read_bytes()
        rebuilt = rebuild(write(model, FORMS[form]), path.name)[0]
        assert described(rebuilt) == described(model), path.name


def test_names_say_what_is_known() -> None:
    graph = unpack(rebuild(write(small_int8(), FORMS["2025-07"]), "m.cpp")[0]).subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    assert names[0] == "x_input"
    assert names[1:] == [f"tensor_{index}" for index in range(1, len(names))]


def test_a_note_says_that_the_model_was_rebuilt() -> None:
    assert rebuild(write(small_int8(), FORMS["2020"]), "m.cpp")[1].id == "EI150"


def test_bytes_and_text_give_the_same_and_each_time_the_same() -> None:
    text = write(small_int8(), FORMS["2025-01"])
    first = rebuild(text, "m.cpp")[0]
    assert first == rebuild(text.encode(), "m.cpp")[0]
    assert first == rebuild(text.encode("utf-16"), "m.cpp")[0]


def test_data_is_aligned_as_the_schema_demands() -> None:
    model = rebuild(write(small_int8(), FORMS["2020"]), "m.cpp")[0]
    root = schema.Model.GetRootAs(model, 0)
    starts = []
    for index in range(root.BuffersLength()):
        buffer = root.Buffers(index)
        if buffer.DataLength():
            starts.append(buffer._tab.Vector(buffer._tab.Offset(4)))
    assert starts
    assert all(start % 16 == 0 for start in starts)


def run(model: bytes, values: Any) -> Any:
    interpreter = Interpreter(model_content=model, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("name", OPERATORS)
def test_litert_has_every_operator_in_the_version_written(name: str) -> None:
    """LiteRT looks every operator up when the interpreter is built, before it looks at the tensors."""
    model = unpack(small_int8())
    model.operatorCodes[0].builtinCode = builtin = getattr(schema.BuiltinOperator, name)
    model.operatorCodes[0].deprecatedBuiltinCode = min(builtin, 127)
    for code in model.operatorCodes:
        code.version = VERSIONS.get(name, 1) if code is model.operatorCodes[0] else 1
    for call in model.subgraphs[0].operators:
        if call.opcodeIndex == 0:
            call.builtinOptions, call.builtinOptionsType = None, 0
    Interpreter(model_content=pack(model))


def test_comments_with_braces_inside_an_array_are_comments() -> None:
    model = small_int8()
    text = write(model, FORMS["2020"])
    before = "int32_t tensor_data2[4] = { 5, -9,"
    assert before in text
    after = "int32_t tensor_data2[4] = { 5, /* } */ -9, // };\n"
    assert described(rebuild(text.replace(before, after), "m.cpp")[0]) == described(model)
