"""What is refused as invalid, and what is found in a valid model that nvinfer could not take."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, numpy_helper

from convert.errors import ValidationError
from convert.findings import Level
from convert.validate import runtimes
from convert.validate.inputs import check
from tests.examples import examples
from tests.validate.tiny import Classifier, onnx_model, parse

if TYPE_CHECKING:
    from pathlib import Path

GOOD = onnx_model(Classifier())
BROKEN = "this is not a model that can be shipped: convert the export again, with another --opset if need be"
LIKE = "(the last dimension looks like them: NHWC)"


def messages(graph: str) -> list[str]:
    return [f"{finding.id} {finding.message}" for finding in check(parse(graph).SerializeToString())]


def test_what_convert_makes_is_fine() -> None:
    assert check(GOOD) == ()


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (
            "g (float[N,3,4,4] input) => (float[N,48] y) { y = Flatten<axis=1>(input) }",
            ["EI400 the input is named 'input' instead of 'x_input'"],
        ),
        (
            "g (float[N,4,4,3] x_input) => (float[N,48] y) { y = Flatten<axis=1>(x_input) }",
            [f"EI400 the input [N,4,4,3] has 4 channels; nvinfer feeds 1 or 3 {LIKE}"],
        ),
        (
            "g (float[N,4,4,1] x_input) => (float[N,16] y) { y = Flatten<axis=1>(x_input) }",
            [f"EI400 the input [N,4,4,1] has 4 channels; nvinfer feeds 1 or 3 {LIKE}"],
        ),
        ("g (float[N,1,1,1] x_input) => (float[N,1] y) { y = Flatten<axis=1>(x_input) }", []),
        (
            "g (float[N,2,4,4] x_input) => (float[N,32] y) { y = Flatten<axis=1>(x_input) }",
            ["EI400 the input [N,2,4,4] has 2 channels; nvinfer feeds 1 or 3"],
        ),
        (
            "g (float[N,48] x_input) => (float[N,48] y) { y = Identity(x_input) }",
            ["EI400 the input is [N,48] instead of [N,C,H,W]"],
        ),
        (
            "g (float[N,3,H,W] x_input) => (float[N,3,1,1] y) { y = GlobalAveragePool(x_input) }",
            ["EI400 channels, height and width of the input [N,3,H,W] are not fixed"],
        ),
        (
            "g (float[1,3,4,4] x_input) => (float[1,3,1,1] y) { y = GlobalAveragePool(x_input) }",
            [
                "EI400 the batch dimension of the input [1,3,4,4] is fixed; nvinfer overwrites it",
                "EI401 the batch dimension of output 'y' [1,3,1,1] is fixed",
            ],
        ),
        (
            "g (uint8[N,3,4,4] x_input) => (float[N,3,4,4] y) { y = Cast<to=1>(x_input) }",
            ["EI400 the input is uint8, and nvinfer writes float32 into it"],
        ),
        (
            "g (float[N,3,4,4] x_input, float[N,3,4,4] b) => (float[N,3,4,4] y) { y = Add(x_input, b) }",
            ["EI400 the model has 2 inputs instead of one: x_input, b"],
        ),
        (
            "g (float[N,3,4,4] x_input) => (int64[N,1,4,4] y) { y = ArgMax<axis=1>(x_input) }",
            ["EI401 output 'y' is int64, and nvinfer reads float32"],
        ),
        (
            "g (float[N,3,4,4] x_input) => (float[N,M,4,4] y) <bool[3] b = {1,0,1}>{ y = Compress<axis=1>(x_input,b) }",
            ["EI401 output 'y' [N,M,4,4] has a dimension besides the batch that is not fixed"],
        ),
        (
            "g (float[N,3,4,4] x_input) => (float y) { y = ReduceMean<keepdims=0>(x_input) }",
            ["EI401 output 'y' is []: nothing is left behind the batch dimension"],
        ),
        (
            "g (float[N,3,4,4] x_input) => (float[N] y) { y = ReduceMean<axes=[1,2,3], keepdims=0>(x_input) }",
            ["EI401 output 'y' is [N]: nothing is left behind the batch dimension"],
        ),
        (
            "g (float[N,3,0,4] x_input) => (float[N,3,0,4] y) { y = Relu(x_input) }",
            [
                "EI400 channels, height and width of the input [N,3,0,4] are not fixed",
                "EI401 output 'y' [N,3,0,4] has a dimension besides the batch that is not fixed",
            ],
        ),
        (
            "g (float[N,3,4,?] x_input) => (float[?,3,4,4] y) { y = Relu(x_input) }",
            ["EI400 channels, height and width of the input [N,3,4,?] are not fixed"],
        ),
        (
            "g (float16[N,3,4,4] x_input) => (double[N,3,4,4] y) { y = Cast<to=11>(x_input) }",
            [
                "EI400 the input is float16, and nvinfer writes float32 into it",
                "EI401 output 'y' is float64, and nvinfer reads float32",
            ],
        ),
        ("g (float[N,3,4,4] x_input) => () { y = Relu(x_input) }", ["EI401 the model has no output"]),
        (
            "g () => (float[1,3] y) <float[1,3] b = {1,2,3}> { y = Relu(b) }",
            [
                "EI400 the model has 0 inputs instead of one: none",
                "EI401 the batch dimension of output 'y' [1,3] is fixed",
            ],
        ),
        (
            "g (float[N,3,4,4] x_input) => (seq(float[N,3,4,4]) y) { y = SequenceConstruct(x_input) }",
            [
                "EI401 output 'y' is sequence_type, and nvinfer reads float32",
                "EI401 output 'y' is []: nothing is left behind the batch dimension",
            ],
        ),
    ],
)
def test_violations(graph: str, expected: list[str]) -> None:
    assert messages(graph) == expected


def test_weights_listed_as_inputs_are_no_inputs() -> None:
    """As files older than IR version 4 do."""
    model: Any = parse("g (float[N,3,4,4] x_input, float[4] b) => (float[N,3,4,4] y) { y = Add(x_input, b) }")
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(4, np.float32), "b"))
    assert check(model.SerializeToString()) == ()


def test_findings_are_errors_with_a_hint() -> None:
    found = check(onnx_model(Classifier(channels=2)))
    assert found
    assert all(finding.level is Level.ERROR and finding.hint for finding in found)


def test_every_violation_is_found() -> None:
    found = messages(
        "g (float[1,H,4,3] input) => (float[1,H,4,3] y, float[1,H,4,3] z) { y = Relu(input) z = Neg(input) }"
    )
    assert [message[:5] for message in found] == ["EI400"] * 3 + ["EI401"] * 4


def test_an_operator_only_onnx_runtime_knows() -> None:
    graph = "g (float[N,3,4,4] x_input) => (float[N,3,4,4] y) { y = com.microsoft.Gelu(x_input) }"
    model = parse(graph, '"" : 13, "com.microsoft" : 1').SerializeToString()
    assert [finding.message for finding in check(model)] == ["operator Gelu belongs to com.microsoft, not to ai.onnx"]


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        ("g (float[N,3,4,4] x_input) => (float[N,48] y) { y = Nonsense(x_input) }", "No Op registered for Nonsense"),
        ("g (float[N,3,4,4] x_input) => (float[N,47] y) { y = Flatten<axis=1>(x_input) }", r"\(48\) vs \(47\)"),
        (
            "g (float[N,3,4,4] x_input) => (float[N,47,4,4] y) { s = Shape(x_input) y = ConstantOfShape(s) }",
            r"\(3\) vs \(47\)",
        ),
        ("g (float[N,3,4,4] x_input) => (float[N,48,1] y) { y = Flatten<axis=1>(x_input) }", "rank"),
        ("g (float[N,3,4,4] x_input) => (int8[N,48] y) { y = Flatten<axis=1>(x_input) }", "elem type"),
        ("g (float[N,3,4,4] x_input) => (float[N,48] y) { y = Flatten<axis=1>(missing) }", "missing"),
    ],
)
def test_invalid_models(graph: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=f"^the ONNX model is invalid: .*{reason}") as caught:
        check(parse(graph).SerializeToString())
    assert caught.value.hint == BROKEN
    assert "\n" not in caught.value.message


def test_weights_outside_the_file() -> None:
    model: Any = parse("g (float[N,3,4,4] x_input) => (float[N,3,4,4] y) { y = Add(x_input, b) }")
    weight = numpy_helper.from_array(np.zeros((3, 4, 4), np.float32), "b")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    model.graph.initializer.append(weight)
    with pytest.raises(ValidationError, match=r"^weights lie outside the model file") as caught:
        check(model.SerializeToString())
    assert caught.value.hint == "save the model with its weights inside"


def test_no_model_at_all() -> None:
    for data in (b"", b"<html>404</html>", GOOD[: len(GOOD) // 2]):
        with pytest.raises(ValidationError, match=r"^(not an ONNX model|the ONNX model is invalid: )") as caught:
            check(data)
        assert caught.value.hint == BROKEN


@examples(150)
@given(
    flips=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.one_of(st.just(len(GOOD)), st.integers(0, len(GOOD))),
)
def test_damaged_models_are_judged_or_refused(flips: list[tuple[int, int]], cut: int) -> None:
    data = bytearray(GOOD)
    for place, value in flips:
        data[place] = value
    try:
        hints = [finding.hint for finding in check(bytes(data[:cut]))]
    except ValidationError as error:
        hints = [error.hint]
    assert all(hints)


def test_onnx_runtime_says_why_it_does_not_load(capfd: pytest.CaptureFixture[str]) -> None:
    graph = "g (float[N,3,4,4] x_input) => (float[N,48] y) { y = Nonsense(x_input) }"
    with pytest.raises(
        ValidationError, match=r"^ONNX Runtime does not load the model: This is an invalid model.*Nonsense"
    ) as caught:
        runtimes.load(parse(graph).SerializeToString())
    assert caught.value.hint == "convert with another --opset, or report the model"
    assert "ONNXRuntimeError" not in caught.value.message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("optimized", [True, False])
def test_onnx_runtime_computes_alike_in_every_run(optimized: bool) -> None:
    """In one thread, silently; the weights lie in memory of their own, not in an arena that doubles as it grows."""
    options = runtimes.load(GOOD, optimized=optimized).get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)
    assert options.use_deterministic_compute
    assert options.log_severity_level == 4
    assert options.get_session_config_entry("session.use_device_allocator_for_initializers") == "1"
    assert (options.graph_optimization_level.name == "ORT_DISABLE_ALL") is not optimized


@pytest.mark.parametrize("optimized", [True, False])
def test_onnx_runtime_gets_one_thread_and_says_nothing(optimized: bool) -> None:
    """The same bits each time; other cores are left to other conversions."""
    session = runtimes.load(onnx_model(Classifier()), optimized=optimized)
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level) == (1, 1, 4)
    assert options.use_deterministic_compute is True
    assert options.graph_optimization_level.name == ("ORT_ENABLE_ALL" if optimized else "ORT_DISABLE_ALL")
    assert options.get_session_config_entry("session.use_device_allocator_for_initializers") == "1"
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_onnx_runtime_says_why_it_does_not_run(capfd: pytest.CaptureFixture[str]) -> None:
    session = runtimes.load(onnx_model(Classifier()))
    with pytest.raises(ValidationError, match=r"^ONNX Runtime fails on a batch of 1: Got invalid dimensions") as caught:
        runtimes.run_onnx(session, np.zeros((1, 3, 9, 9), np.float32))
    assert caught.value.hint == "the graph does not fit its declared shapes: convert the export again"
    assert capfd.readouterr() == ("", "")


def test_onnx_runtime_loads_quietly_and_sends_nothing(tmp_path: Path) -> None:
    """What it writes while loading is dropped, what is written afterwards is not; it keeps no file of its own."""
    script = """
        import os, sys
        from pathlib import Path
        from convert.validate import runtimes
        runtimes.load(Path(sys.argv[1]).read_bytes())
        os.write(2, b"after")
        links = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        print([link for link in links if link.endswith((".db", ".db-wal"))], os.environ["ORT_DISABLE_TELEMETRY"])
    """
    (tmp_path / "m.onnx").write_bytes(GOOD)
    environment = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "m.onnx")],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert (done.stdout, done.stderr) == ("[] 1\n", "after")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_what_onnx_runtime_says_as_it_loads_is_dropped(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def load(name: str) -> str:
        if name not in sys.modules:
            os.write(2, b"no GPU")
        sys.modules[name] = SimpleNamespace()  # type: ignore[assignment]
        return name

    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # restored behind the test
    del sys.modules["onnxruntime"]
    monkeypatch.setattr("convert.validate.runtimes.importlib", SimpleNamespace(import_module=load))
    assert runtimes._onnxruntime() == "onnxruntime"
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


_NAMES = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


@pytest.mark.parametrize(
    ("asked", "installed", "loaded", "chosen", "warning"),
    [
        ("", "cpu", "cpu", "cpu", ""),
        ("cpu", "cpu cuda", "cpu", "cpu", ""),
        ("cuda", "cuda cpu", "cuda cpu", "cuda cpu", ""),
        ("cuda", "cpu", "cpu", "cpu", "this onnxruntime has CPUExecutionProvider; onnxruntime-gpu has more"),
        ("cuda", "tensorrt cuda cpu", "cpu", "cuda cpu", "its libraries or the driver do not load"),
        ("tensorrt", "cuda cpu", "cuda cpu", "cuda cpu", "this onnxruntime has CUDAExecutionProvider, CPU"),
        ("tensorrt", "tensorrt cuda cpu", "tensorrt cuda cpu", "tensorrt cuda cpu", ""),
        ("tensorrt", "tensorrt cuda cpu", "cuda cpu", "tensorrt cuda cpu", "its libraries or the driver do not load"),
    ],
)
@pytest.mark.parametrize("kept", [False, True])
def test_on_which_provider_a_model_runs(
    asked: str, installed: str, loaded: str, chosen: str, warning: str, kept: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def names(words: str) -> list[str]:
        return [_NAMES[word] for word in words.split()]

    given: list[Any] = []
    session = SimpleNamespace(get_providers=lambda: names(loaded))
    available = SimpleNamespace(get_available_providers=lambda: names(installed))
    monkeypatch.setattr(runtimes, "_onnxruntime", lambda: available)

    def load(_model: bytes, providers: list[Any]) -> Any:
        given.extend(providers)
        return session

    monkeypatch.setattr(runtimes, "load", load)
    cache = tmp_path / "engines" if kept else None
    found, said = runtimes.load_on(b"", asked, cache)
    assert found is session
    assert said.startswith(f"no {asked}: {warning}") if warning else not said
    first, *rest = given
    keeps = kept and "tensorrt" in chosen
    if keeps:
        name, options = first
        assert options == {
            "trt_engine_cache_enable": True, "trt_timing_cache_enable": True,
            "trt_engine_cache_path": str(cache), "trt_timing_cache_path": str(cache),
        }  # fmt: skip
        given = [name, *rest]
    assert given == names(chosen)
    assert (tmp_path / "engines").exists() is (keeps and not warning), "of an engine that is not built nothing is left"


def test_engines_that_cannot_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = SimpleNamespace(get_available_providers=lambda: list(_NAMES.values()))
    session = SimpleNamespace(get_providers=lambda: [_NAMES["tensorrt"]])
    monkeypatch.setattr(runtimes, "_onnxruntime", lambda: everything)
    monkeypatch.setattr(runtimes, "load", lambda _model, _providers: session)
    (tmp_path / "file").touch()
    cache = tmp_path / "file" / "engines"
    said = f"engines are not kept: {cache} cannot be made (Not a directory)"
    assert runtimes.load_on(b"", "tensorrt", cache)[1] == said
    (tmp_path / "kept").mkdir()
    assert runtimes.load_on(b"", "tensorrt", tmp_path / "kept")[1] == "", "as after the first time"
    session.get_providers = lambda: [_NAMES["cpu"]]
    assert runtimes.load_on(b"", "tensorrt", tmp_path / "kept")[1]
    assert (tmp_path / "kept").exists(), "it was there before"
