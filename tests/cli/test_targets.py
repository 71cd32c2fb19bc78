"""`targets`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from convert.nvinfer.targets import targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cli.conftest import Said


def test_the_table(say: Callable[..., Said]) -> None:
    said = say("targets")
    assert said.code == 0
    assert len([line for line in said.out.splitlines() if line[:1].isdigit()]) == len(targets())
    only = say("targets", "--platform", "jetson")
    assert len([line for line in only.out.splitlines() if line[:1].isdigit()]) == len(targets()) // 2


def test_one_release(say: Callable[..., Said]) -> None:
    said = say("targets", "deepstream-6.0.1")
    assert "deepstream-6.0.1, jetson" in said.out
    assert "deepstream-6.0.1, dgpu" in said.out
    document = json.loads(say("targets", "6.0.1", "--platform", "dgpu", "--format", "json").out)
    assert [(each["name"], each["platform"]) for each in document["targets"]] == [("deepstream-6.0.1", "dgpu")]


def test_the_release_for_a_jetpack(say: Callable[..., Said]) -> None:
    document = json.loads(say("targets", "--jetpack", "6.2.1", "--format", "json").out)
    assert [(each["name"], each["platform"]) for each in document["targets"]] == [("deepstream-7.1", "jetson")]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("6.9",), "known: deepstream-5.1"),
        (("nonsense", "--platform", "dgpu"), "known: deepstream-5.1"),
        (("JetPack 6.1",), "say --jetpack 6.1"),
        (("--jetpack", "6.1", "8.0"), "leave out --target or --jetpack"),
        (("--platform", "thor"), "say --platform jetson"),
    ],
)
def test_a_release_there_is_not(say: Callable[..., Said], arguments: tuple[str, ...], hint: str) -> None:
    said = say("targets", *arguments)
    assert said.code == 2
    assert hint in said.err
