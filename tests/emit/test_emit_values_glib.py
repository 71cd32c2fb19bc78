"""What is written as a value is what GLib, which DeepStream reads its configs with, reads back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convert.emit.config import Entry, Group, config_file, encode
from convert.errors import PresetError
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Callable

Read = Any
FAST = examples(150)

# Text with much of what is special to GKeyFile.
texts = st.one_of(st.text(st.sampled_from(" \t\n\r\f\v\\;#=[]\"'sntrx\0é€🙂"), max_size=12), st.text(max_size=12))


def written(value: Any) -> bytes:
    return config_file("A file.", (Group("property", ((Entry("key", value, "what it is"),),)),))


@FAST
@given(texts)
def test_text_reads_back(glib: Callable[[bytes], Read], text: str) -> None:
    try:
        data = written(text)
    except PresetError:
        assert "\0" in text or text.startswith("\f") or any("\ud800" <= each <= "\udfff" for each in text)
        return
    assert glib(data).string("property", "key") == text


@FAST
@given(st.lists(texts, min_size=1, max_size=4))
def test_lists_of_text_read_back(glib: Callable[[bytes], Read], items: list[str]) -> None:
    try:
        data = written(tuple(items))
    except PresetError:
        assume(False)
    assert glib(data).strings("property", "key") == items


@FAST
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_double_reads_back_exactly(glib: Callable[[bytes], Read], number: float) -> None:
    # GLib calls a denormal an overflow, as strtod does; none has a place in a config.
    assume(number == 0 or abs(number) >= sys.float_info.min)
    assert glib(written(number)).double("property", "key") == number
    assert glib(written((number, 1.0))).doubles("property", "key") == [number, 1.0]


@FAST
@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=4))
def test_integers_read_back(glib: Callable[[bytes], Read], numbers: list[int]) -> None:
    assert glib(written(tuple(numbers))).integers("property", "key") == numbers
    assert glib(written(numbers[0])).integer("property", "key") == numbers[0]


@pytest.mark.parametrize("value", [True, False])
def test_booleans_are_digits_as_yaml_needs_them(glib: Callable[[bytes], Read], *, value: bool) -> None:
    assert encode(value) in {"0", "1"}
    assert glib(written(value)).boolean("property", "key") is value


@given(texts)
def test_no_line_ends_in_a_blank_and_no_value_spans_lines(text: str) -> None:
    try:
        data = written(text).decode()
    except PresetError:
        assume(False)
    lines = data.split("\n")
    assert lines[:4] == ["# A file.", "", "[property]", "# what it is"]
    assert len(lines) == 6
    assert lines[5] == ""
    assert not lines[4].endswith((" ", "\t"))


NUL = "a value cannot contain a null character: "


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("\0", NUL + repr("\0")),
        ("a\0b", NUL + repr("a\0b")),
        ("\ud800", "'utf-8' codec can't encode"),
        ("\fa", "GKeyFile strips the first character of '\\x0ca'"),
        (float("nan"), "not a finite number: nan"),
        (float("inf"), "not a finite number: inf"),
        ((), "an empty list cannot be told from an empty value"),
        ((1.0, float("nan")), "not a finite number: nan"),
        (("a", "\0"), NUL + repr("\0")),
    ],
)
def test_what_cannot_be_written_is_refused(value: Any, why: str) -> None:
    with pytest.raises(PresetError) as caught:
        written(value)
    assert caught.value.message.startswith(f"key: {why}")


@pytest.mark.parametrize("key", ["", "a b", "a=b", "a]", "#a", "a\n", " a"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(PresetError, match=r"^not a key") as caught:
        config_file("", (Group("property", ((Entry(key, 1),),)),))
    assert caught.value.hint == "letters, digits, - and _ only"


def test_long_comments_are_wrapped_but_paths_are_not_broken() -> None:
    path = "/opt/nvidia/deepstream/deepstream/samples/configs/" + "deep-stream-app/" * 8 + "file.txt"
    data = config_file(f"{'word ' * 40}{path} end", ()).decode()
    assert all(line.startswith("# ") for line in data.splitlines())
    assert f"# {path}" in data.splitlines()
