"""NVIDIA's parser and builder, where tensorrt-rtx is installed; and what is said where it is not."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

from convert.errors import MissingDependencyError, ValidationError
from convert.isolation import Died, Failed, Worker
from convert.validate import runtimes
from tests.validate.tiny import Classifier, onnx_model, parse

installed = pytest.mark.skipif(not runtimes.available(), reason="the optional package tensorrt-rtx is not installed")

SHAPE = (3, 6, 5)
OTHER = "try another release of tensorrt-rtx, or report the model"


def test_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_MODULES", ("no_such_module",))
    assert not runtimes.available()
    with pytest.raises(MissingDependencyError) as caught:
        runtimes.build(b"", SHAPE)
    assert caught.value.message == "the check with TensorRT needs the package tensorrt-rtx"
    assert caught.value.hint == f'{sys.executable} -m pip install "ei-deepstream[tensorrt]"'


@installed
@pytest.mark.slow
def test_an_engine_is_built_for_the_batch_size() -> None:
    said = runtimes.build(onnx_model(Classifier()), SHAPE, 4, timeout=120)
    assert re.fullmatch(r"tensorrt-rtx [\d.]+: parsed and built, profile 1/4/4", said)


@installed
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (b"not a model", "ONNX parser refuses the model: .*Failed to parse the ONNX model"),
        (
            parse("g (float[N,3,6,6] x_input) => (float[N,3] y) { y = Det(x_input) }").SerializeToString(),
            "node 0, operator Det: not implemented",
        ),
        # The parser folds a batch of 1 into the shape of Flatten; nvinfer then asks for 4.
        (
            parse("g (float[1,3,6,5] x_input) => (float[1,90] y) { y = Flatten<axis=1>(x_input) }").SerializeToString(),
            "cannot build an engine for batches of 1 to 4: .*reshape would change volume",
        ),
        (
            parse(
                "g (float[N,3,6,5] x_input, float[N,3,6,5] z) => (float[N,3,6,5] y) { y = Add(x_input, z) }"
            ).SerializeToString(),
            "2 inputs instead of one",
        ),
    ],
    ids=["bytes", "operator", "batch", "inputs"],
)
def test_refusals_say_why(model: bytes, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason) as caught:
        runtimes.build(model, SHAPE, 4, timeout=120)
    assert "\n" not in caught.value.message


@installed
def test_time_is_limited() -> None:
    with pytest.raises(ValidationError, match=r"^TensorRT ran longer than") as caught:
        runtimes.build(onnx_model(Classifier()), SHAPE, timeout=1e-3)
    assert "--timeout" in str(caught.value.hint)


class FakeTensorRT:
    """The API of tensorrt as far as it is used; `refused` are parser errors, `inputs` their number; `says`: why."""

    __version__ = "9.9"

    class ILogger:
        ERROR, INTERNAL_ERROR, WARNING = "error", "internal", "warning"

        def __init__(self) -> None:
            self.made = True

    def __init__(
        self, refused: tuple[object, ...] = (), inputs: int = 1, built: object = b"engine", *, parses: bool = True,
        says: bool = True,
    ) -> None:  # fmt: skip
        self.refused, self.num_inputs, self.built, self.parses, self.says = refused, inputs, built, parses, says
        self.told: list[tuple[object, ...]] = []
        self.name = "x_input"
        self.logger: object = None

    def Builder(self, logger: object) -> FakeTensorRT:  # noqa: N802 - the API's name
        self.logger = logger
        return self

    def create_network(self, flags: int) -> FakeTensorRT:
        self.told.append(("network", flags))
        return self

    def OnnxParser(self, network: object, logger: object) -> FakeTensorRT:  # noqa: N802
        assert network is self
        assert logger is self.logger
        return self

    def parse(self, model: bytes) -> bool:
        self.told.append(("parse", model))
        return self.parses and not self.refused

    @property
    def num_errors(self) -> int:
        return len(self.refused)

    def get_error(self, number: int) -> object:
        return self.refused[number]

    def get_input(self, number: int) -> FakeTensorRT:
        assert number == 0
        return self

    def create_optimization_profile(self) -> FakeTensorRT:
        return self

    def create_builder_config(self) -> FakeTensorRT:
        return self

    def set_shape(self, *shapes: object) -> None:
        self.told.append(("shape", *shapes))

    def add_optimization_profile(self, profile: object) -> None:
        self.told.append(("profile", profile is self))

    def build_serialized_network(self, network: object, config: object) -> object:
        assert network is config is self
        for severity, text in (("warning", "hm"), ("error", "no\n kernel"), ("internal", "bug"), ("error", "bug")):
            if self.says or severity == "warning":
                self.logger.log(severity, text)  # type: ignore[attr-defined]
        return self.built


class ParserError:
    """One of the parser's errors."""

    def __init__(self, desc: str, node: int = 3, name: str = "", operator: str = "") -> None:
        self._said = desc, node, name, operator

    def desc(self) -> str:
        return self._said[0]

    def node(self) -> int:
        return self._said[1]

    def node_name(self) -> str:
        return self._said[2]

    def node_operator(self) -> str:
        return self._said[3]


def built(fake: FakeTensorRT, monkeypatch: pytest.MonkeyPatch) -> str:
    """What the child does, here."""
    monkeypatch.setattr(runtimes, "find_spec", lambda name: name == "tensorrt_rtx_bindings")  # of early releases
    modules = {"tensorrt_rtx_bindings": fake}
    monkeypatch.setattr("convert.validate.runtimes.importlib", SimpleNamespace(import_module=modules.__getitem__))
    return runtimes._build(b"model", SHAPE, 4)


def test_what_tensorrt_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTensorRT()
    assert built(fake, monkeypatch) == "tensorrt-rtx 9.9: parsed and built, profile 1/4/4"
    assert fake.told == [
        ("network", 0), ("parse", b"model"),
        ("shape", "x_input", (1, 3, 6, 5), (4, 3, 6, 5), (4, 3, 6, 5)), ("profile", True),
    ]  # fmt: skip
    assert fake.shape == (-1, 3, 6, 5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fake", "message"),
    [
        (FakeTensorRT((ParserError("false", 0, "det", "Det"), ParserError("a\n  b"), ParserError("c", 2, "", "Add"))),
         ("TensorRT's ONNX parser refuses the model: node 0 'det', operator Det: not implemented; a b; "
         "node 2, operator Add: c")),
        (FakeTensorRT(inputs=2), "TensorRT sees 2 inputs instead of one"),
        (FakeTensorRT(built=None), "TensorRT cannot build an engine for batches of 1 to 4: no kernel; bug"),
        (FakeTensorRT(built=None, says=False),
         "TensorRT cannot build an engine for batches of 1 to 4: no reason given"),
        (FakeTensorRT(parses=False), "TensorRT's ONNX parser refuses the model: no reason given"),
    ],
)  # fmt: skip
def test_what_tensorrt_refuses(fake: FakeTensorRT, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError) as caught:
        built(fake, monkeypatch)
    assert caught.value.message == message


def test_a_library_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise OSError(f"{name}: no libcuda")

    monkeypatch.setattr(runtimes, "find_spec", lambda name: name == "tensorrt_rtx")
    monkeypatch.setattr("convert.validate.runtimes.importlib", SimpleNamespace(import_module=broken))
    with pytest.raises(MissingDependencyError) as caught:
        runtimes._build(b"", SHAPE, 1)
    assert caught.value.message == "tensorrt-rtx is installed but does not load: tensorrt_rtx: no libcuda"
    assert caught.value.hint == f'{sys.executable} -m pip install "ei-deepstream[tensorrt]"'


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (Died("ran longer than 3 s"), "TensorRT ran longer than 3 s", "allow more time with --timeout"),
        (Died("killed by SIGSEGV"), "TensorRT crashed (killed by SIGSEGV)", OTHER),
        (Failed("KeyError: 1", "..."), "TensorRT failed: KeyError: 1", OTHER),
    ],
)
def test_a_child_that_ends(error: Exception, message: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def call(_worker: object, *arguments: object, **limits: object) -> None:
        asked.append((arguments, limits))
        raise error

    monkeypatch.setattr(runtimes, "available", lambda: True)
    monkeypatch.setattr(Worker, "call", call)
    with pytest.raises(ValidationError):
        runtimes.build(b"model", SHAPE)
    assert asked == [(("convert.validate.runtimes:_build", b"model", SHAPE, 1), {"timeout": 300.0})], "by default"
    asked.clear()
    with pytest.raises(ValidationError) as caught:
        runtimes.build(b"model", SHAPE, 4, timeout=3.0)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert asked == [(("convert.validate.runtimes:_build", b"model", SHAPE, 4), {"timeout": 3.0})]
