"""What is answered to whom, without processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.eim.server import Loaded, Session, TimedResult
from convert.eim.wire import encode
from convert.errors import ValidationError
from tests.eim import bundles
from tests.eim.bundles import read_impulse

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from convert.eim.bundle import Impulse

GREETING = {"hello": 1, "id": 1}


class Echo:
    """A model that answers with what it was given."""

    def classify(self, features: NDArray[np.float32], threshold: float) -> TimedResult:
        if features.size and features[0] == 13:
            raise ValidationError("broken on purpose")
        return TimedResult({"sum": float(features.sum()), "threshold": threshold}, 0.0021, 0.0042)


@pytest.fixture
def impulse(tmp_path: Path) -> Impulse:
    return bundles.fomo(16, 16).impulse(tmp_path)


@pytest.fixture
def session(impulse: Impulse) -> Session:
    """One that has said hello."""
    talk = Session(impulse, Echo(), "no memory here")
    assert ask(talk, GREETING)["success"]
    return talk


def ask(session: Session, message: object) -> dict[str, Any]:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    answer = json.loads(encode(session.answer(data)))
    assert isinstance(answer, dict)
    return answer


def test_without_shared_memory_it_says_why(impulse: Impulse) -> None:
    said = ask(Session(impulse, Echo(), "no memory here"), GREETING)
    assert said["features_shm_error"] == "no memory here"
    assert "features_shm" not in said


def test_shared_memory_is_refused_where_there_is_none(session: Session) -> None:
    for command, name in (
        ("classify_shm", "classify_data_shm"),
        ("classify_continuous_shm", "classify_data_continuous_shm"),
    ):
        error = ask(session, {command: {"elements": 256}, "id": 2})["error"]
        assert error == f"Cannot use '{name}', cannot find shm input tensor with ix=0"


def test_the_order_of_tests(impulse: Impulse) -> None:
    talk = Session(impulse, Echo(), "none")
    assert ask(talk, {"hello": 2, "classify": [], "id": 1})["error"] == "Invalid value for 'hello', only 1 supported"
    assert ask(talk, {"hello": "1", "id": 1})["error"] == "Invalid message, should initialize first"
    ask(talk, GREETING)
    assert ask(talk, {"hello": 2, "id": 1})["error"] == "Invalid message 'hello', already initialized"
    both = {"set_threshold": {}, "classify": ["a"], "id": 1}
    assert ask(talk, both)["error"] == "Failed to parse classify array, should contain all numbers"


@pytest.mark.parametrize(
    "message",
    [b"[1]", b"{}", b'{"id":1,}', b'{"id":NaN}', b'{"id":1,"a":Infinity}',
     b'{"id":-2147483649}', b'{"id":2147483648}', b'{"id":true}',
     b'{"id":' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b',"id":1}', b'{"id":1,"a":"\x01"}',
     b"{\x00}", b'{"id": 0x1}', b"{'id': 1}"],
)  # fmt: skip
def test_what_has_no_id(session: Session, message: bytes) -> None:
    assert ask(session, message) == {"error": "Missing 'id' field in message", "success": False}


@pytest.mark.parametrize("number", [-(2**31), -1, 0, 2**31 - 1])
def test_ids_have_32_bits(session: Session, number: int) -> None:
    assert ask(session, {"id": number})["id"] == number


def test_the_first_of_two_ids_counts(session: Session) -> None:
    assert ask(session, b'{"id":3,"a":1,"id":4}')["id"] == 3


def test_bytes_that_are_no_text_do_not_matter(session: Session) -> None:
    assert ask(session, b'{"id":3,"a":"\xff\xfe"}') == {"error": "Failed to handle message", "id": 3, "success": False}


@pytest.mark.parametrize("value", [True, None, "1", [], {}])
def test_every_element_is_a_number(session: Session, value: object) -> None:
    values = [1.0] * 255 + [value]
    error = ask(session, {"classify": values, "id": 2})["error"]
    assert error == "Failed to parse classify array, should contain all numbers"


def test_numbers_no_float_holds(session: Session) -> None:
    huge = b'{"classify":[' + b",".join([b"1" + b"0" * 400] * 256) + b'],"id":2}'
    assert ask(session, huge)["success"] is False
    assert ask(session, b'{"classify":[' + b",".join([b"1e39"] * 256) + b'],"id":2}')["success"] is True


def test_timings_are_whole_milliseconds(session: Session) -> None:
    message = json.dumps({"classify": [1] * 256, "id": 2}).encode()
    answer = session.answer(message, waited=0.0159)
    assert answer["result"]["sum"] == 256
    assert {name: type(value) for name, value in answer["timing"].items()} == dict.fromkeys(
        ("dsp", "classification", "anomaly", "json", "stdin", "msg_handler"), int
    )
    assert (answer["timing"]["dsp"], answer["timing"]["classification"], answer["timing"]["stdin"]) == (2, 4, 15)
    assert all(0 <= answer["timing"][name] < 60_000 for name in ("json", "msg_handler"))


def test_a_model_that_fails_is_an_answer(session: Session) -> None:
    answer = ask(session, {"classify": [13] * 256, "id": 2})
    assert answer == {"error": "Classifying failed, error code was -3", "id": 2, "success": False}
    assert ask(session, {"classify": [1] * 256, "id": 3})["success"]


def test_the_threshold_is_set(session: Session) -> None:
    def threshold() -> object:
        return ask(session, {"classify": [1] * 256, "id": 2})["result"]["threshold"]

    assert threshold() == 0.5
    set_it = {"set_threshold": {"id": 18, "type": "object_detection", "min_score": 0.25}, "id": 3}
    assert ask(session, set_it) == {"id": 3, "success": True}
    assert threshold() == 0.25
    assert not ask(session, {"set_threshold": {"id": 18, "min_score": 0.1, "nope": 1}, "id": 3})["success"]


def test_a_classifier_has_no_threshold(tmp_path: Path) -> None:
    talk = Session(bundles.classifier().impulse(tmp_path), Echo(), "none")
    assert ask(talk, GREETING)["model_parameters"]["thresholds"] == []
    error = ask(talk, {"set_threshold": {"id": 1, "min_score": 0.1}, "id": 2})["error"]
    assert error == "set_threshold, setting key 'min_score' failed with error -34"


@pytest.mark.parametrize(
    ("kind", "model_type"),
    [("classifier", "classification"), ("fomo", "constrained_object_detection"), ("yolov5", "object_detection"),
     ("ssd", "object_detection")],
)  # fmt: skip
def test_what_each_kind_says_and_finds(made: dict[str, Path], kind: str, model_type: str) -> None:
    impulse = read_impulse(made[kind])
    talk = Session(impulse, Loaded(impulse), "none")
    parameters = ask(talk, GREETING)["model_parameters"]
    assert parameters["model_type"] == model_type
    assert parameters["input_features_count"] == impulse.height * impulse.width
    result = ask(talk, {"classify": [0xFF0000] * impulse.features, "id": 2})["result"]
    if kind == "classifier":
        assert result["classification"]["red"] == pytest.approx(np.exp(4) / (np.exp(4) + 2), abs=1e-5)
    else:
        assert set(result) == {"bounding_boxes"}
        for box in result["bounding_boxes"]:
            assert set(box) == {"label", "value", "x", "y", "width", "height"}
            assert all(type(box[name]) is int for name in ("x", "y", "width", "height"))
        assert len(result["bounding_boxes"]) == {"fomo": 0, "yolov5": 2, "ssd": 2}[kind]


MESSAGES = st.dictionaries(
    st.sampled_from(
        ["id", "hello", "classify", "classify_shm", "classify_continuous", "set_threshold", "x", "elements"]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "elements", "min_score", "{"]), inner, max_size=3)
        ),
        max_leaves=5,
    ),
)


@given(st.lists(MESSAGES | st.binary(max_size=30), max_size=6))
def test_any_message_has_an_answer(tmp_path_factory: pytest.TempPathFactory, messages: list[Any]) -> None:
    impulse = bundles.fomo(8, 8).impulse(tmp_path_factory.mktemp("any"))
    talk = Session(impulse, Echo(), "none")
    for message in messages:
        answer = ask(talk, message)
        assert answer["success"] is ("error" not in answer)
        assert "id" in answer or answer["error"].startswith("Missing 'id'")


def test_numbers_that_no_double_holds(session: Session) -> None:
    """As rapidjson does: measured with a real executable."""
    for number in ("1e400", "-1e999", "NaN"):
        answer = ask(session, b'{"classify":[%s],"id":7}' % number.encode())
        assert answer == {"error": "Missing 'id' field in message", "success": False}
    assert "expected 256 but got 1" in ask(session, b'{"classify":[1e39],"id":7}')["error"]


def test_debug_prints_what_the_network_gets(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(session, {"classify": [0xFF0033] * 256, "id": 7, "debug": True})["success"]
    out = capsys.readouterr().out
    assert out == f"Features (2 ms.): {' '.join(['1.000000 0.000000 0.200000'] * 256)}\nRunning impulse...\n"
    ask(session, {"classify": [0] * 256, "id": 8})
    assert capsys.readouterr().out == ""
