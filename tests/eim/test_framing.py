"""Messages are cut where eim.cpp cuts them, answers where any client may, however the bytes arrive."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.eim import wire
from convert.eim.wire import AnswerReader, Broken, RequestReader, TooLong, encode

NOISE = st.lists(st.sampled_from([b"{", b"}", b'"', b"\\", b"a", b"\n", b"\0", b"[1,2]", b'{"id":1}', b"\xff"])).map(
    b"".join
)
TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)


def slow(data: bytes) -> list[bytes]:
    """The rule of eim.cpp's socket_main, a byte at a time."""
    messages = []
    buffer = b""
    opened = closed = 0
    for number in data:
        byte = bytes([number])
        buffer += byte
        if byte == b"{":
            opened += 1
        elif byte == b"}":
            closed += 1
            if closed == opened:
                messages.append(buffer)
                buffer, opened, closed = b"", 0, 0
        elif opened == 0:
            buffer = buffer[:-1]
    return messages


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    cut, at = [], 0
    for size in sizes:
        cut.append(data[at : at + size])
        at += size
    return [*cut, data[at:]]


@given(NOISE, st.lists(st.integers(0, 9), max_size=20))
def test_requests_are_cut_as_the_original_cuts_them(data: bytes, sizes: list[int]) -> None:
    reader = RequestReader()
    assert [message for piece in pieces(data, sizes) for message in reader.feed(piece)] == slow(data)


def test_a_stray_brace_swallows_everything_after_it() -> None:
    reader = RequestReader()
    assert reader.feed(b'{"id":1}}{"id":2}') == [b'{"id":1}']
    assert reader.feed(b'{"id":3}') == []


def test_a_request_may_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LIMIT", 100)
    assert RequestReader().feed(b"x" * 1000) == []
    just = b"{" + b"x" * 97 + b"}"
    assert RequestReader().feed(just) == [just]
    with pytest.raises(TooLong):
        RequestReader().feed(b"{" + b"x" * 99)
    reader = RequestReader()
    assert not any(reader.feed(b"{x") for _ in range(49))
    with pytest.raises(TooLong):
        reader.feed(b"{x")


def test_in_message() -> None:
    reader = RequestReader()
    assert not reader.in_message
    reader.feed(b"noise {")
    assert reader.in_message
    reader.feed(b"}")
    assert not reader.in_message


@given(st.lists(OBJECTS, max_size=4), st.lists(st.integers(0, 30), max_size=20), st.sampled_from([b"\n\0", b"\n", b""]))
def test_answers_survive_any_cut(answers: list[dict[str, Any]], sizes: list[int], end: bytes) -> None:
    data = b"a banner\n" + b"".join(json.dumps(answer).encode() + end for answer in answers)
    reader = AnswerReader()
    assert [answer for piece in pieces(data, sizes) for answer in reader.feed(piece)] == answers


@given(NOISE, st.lists(st.integers(0, 9), max_size=20))
def test_noise_is_answers_or_broken(data: bytes, sizes: list[int]) -> None:
    """The same, however the bytes arrive."""

    def read(cut: list[bytes]) -> list[dict[str, Any] | str]:
        reader, found = AnswerReader(), list[dict[str, Any] | str]()
        try:
            for piece in cut:
                found += reader.feed(piece)
        except Broken as error:
            found = [str(error)]
        return found

    at_once = read([data])
    assert read(pieces(data, sizes)) == at_once
    assert (
        all(isinstance(answer, dict) and json.loads(json.dumps(answer)) == answer for answer in at_once)
        or len(at_once) == 1
    )


def test_an_answer_may_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LIMIT", 100)
    with pytest.raises(Broken) as caught:
        AnswerReader().feed(b'{"a":"' + b"x" * 200)
    assert str(caught.value) == f'an answer of more than 100 bytes: {{"a":"{"x" * 54}'
    assert AnswerReader().feed(b'{"a":"' + b"x" * 94) == []
    assert AnswerReader().feed(b"x" * 1000) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("NaN", "that is not JSON (NaN is no number): "),
        ("-Infinity", "that is not JSON (-Infinity is no number): "),
        ("1e400", "that is not JSON (the number 1e400 is too large): "),
        ("9" * 61, f"that is not JSON (the number {'9' * 60}... is too large): "),
        ("[" * 101 + "]" * 101, "with lists in lists, 100 deep: "),
    ],
)
def test_answers_that_nobody_can_read(value: str, said: str) -> None:
    with pytest.raises(Broken) as caught:
        AnswerReader().feed(f'{{"a":{value}}}'.encode())
    assert str(caught.value).startswith(f'an answer {said}{{"a":')


@pytest.mark.parametrize(
    ("value", "number"), [("9" * 60, int("9" * 60)), ("1E2", 100.0), ("1e2", 100.0), ("-1.5", -1.5), ("7", 7)]
)
def test_numbers_of_answers(value: str, number: float) -> None:
    ((found),) = (answer["a"] for answer in AnswerReader().feed(f'{{"a":{value}}}'.encode()))
    assert (found, type(found)) == (number, type(number))
    deep = b'{"a":' + b"[" * 99 + b"]" * 99 + b"}"
    assert len(AnswerReader().feed(deep)) == 1


@given(OBJECTS)
def test_every_client_can_read_what_is_encoded(answer: dict[str, Any]) -> None:
    data = encode(answer)
    assert json.loads(data) == answer
    assert max(data) < 128
    assert b"\n" not in data
    assert slow(data) == [data], "braces balance without looking at strings"


def test_encoded_as_the_original_does() -> None:
    answer = {"success": True, "id": 3, "result": {"b": 0.5, "a": [1, 2.0], "ä": "{}"}}
    assert encode(answer) == (
        b'{"id":3,"result":{"a":[1,2.0],"b":0.5,"\\u00e4":"\\u007b\\u007d"},"success":true}'
    )  # fmt: skip
    assert encode({"a": float("nan"), "b": [float("inf")]}) == b'{"a":null,"b":[null]}'
