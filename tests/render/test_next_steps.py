"""`next:` can be copied: what a shell makes of a line is the command."""

from __future__ import annotations

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from convert.files import Output
from convert.pipeline import Run
from convert.render import after_batch, after_conversion, after_inspection, after_pull, show_next
from convert.types import Bundle

FILES = ("config_infer_primary_x.txt", "deepstream_app_x.txt", "build_engine.sh", "RUN.md", "report.json")


def written(folder: str, *names: str) -> tuple[Output, ...]:
    return tuple(Output(f"{folder}/{name}", "0" * 64) for name in names)


def shown(steps: list[list[str]], width: int = 60, frame: str | None = None) -> str:
    out = io.StringIO()
    show_next(steps, Console(file=out, width=width), frame)
    return out.getvalue()


def test_simulate_first_then_the_device() -> None:
    run = Run([Bundle("a b/it's", "x", written("a b/it's", *FILES))])
    steps = after_conversion(run, Path("my pictures"))
    assert steps == [
        ["ei-deepstream", "simulate", "a b/it's", "my pictures", "-o", "a b/it's-simulated"],
        ["cat", "a b/it's/RUN.md"],
    ]
    title, *lines = shown(steps).splitlines()
    assert title == "next:"
    assert [shlex.split(line) for line in lines] == steps


def test_pictures_of_ones_own_are_asked_for() -> None:
    steps = after_conversion(Run([Bundle("b", "x", written("b", *FILES))]))
    assert steps[0][3] == "PICTURES"
    assert "\n  PICTURES: a folder of pictures as the camera gives them, not cropped\n" in shown(steps, 200)
    assert "\n  PICTURES: a folder of pictures as the camera gives them, 16:9, not cropped\n" in shown(
        steps, 200, "16:9"
    )
    assert "PICTURES:" not in shown(steps[1:], 200, "16:9")


def test_what_cannot_be_simulated_is_not_proposed() -> None:
    secondary = written("b", "config_infer_secondary_x.txt", *FILES[1:])
    assert after_conversion(Run([Bundle("b", "x", secondary)])) == [["cat", "b/RUN.md"]]


def test_only_files_that_are_there_are_named() -> None:
    bundle = Bundle("b", "x", written("b", FILES[0], "report.json"))
    assert after_conversion(Run([bundle])) == []
    assert after_batch(Path("out"), [bundle.files]) == [["ei-deepstream", "check", "out"]]
    assert [step[0] for step in after_conversion(Run([Bundle("b", "x", written("b", *FILES[:3]))]))] == [
        "ei-deepstream"
    ]
    assert after_conversion(Run([Bundle("b", "x", written("b", "RUN.md"))])) == [["cat", "b/RUN.md"]]


def test_nothing_without_a_bundle() -> None:
    assert after_conversion(Run([Path("x.zip")])) == []
    assert after_batch(Path("out"), [(), ()]) == []
    assert shown([]) == ""


def test_of_many_the_first_that_is_there() -> None:
    steps = after_batch(Path("out"), [(), written("out/x", *FILES)])
    assert [step[:2] for step in steps] == [
        ["ei-deepstream", "check"],
        ["ei-deepstream", "simulate"],
        ["cat", "out/x/RUN.md"],
    ]


def test_after_an_inspection() -> None:
    assert after_inspection("x.zip", None) == [["ei-deepstream", "convert", "x.zip", "-o", "bundle"]]
    assert after_inspection("x.zip", "16:9")[0][-2:] == ["--frame", "16:9"]


@pytest.mark.parametrize(
    ("fetched", "words"),
    [
        ("pulled/fox.zip", ["convert", "pulled/fox.zip", "-o", "bundle"]),
        ("pulled/fox.tflite", ["convert", "pulled", "-o", "bundle"]),  # metadata.json lies beside it
        ("pulled/fox.eim", ["eim", "inspect", "pulled/fox.eim"]),
    ],
)
def test_after_a_pull(fetched: str, words: list[str]) -> None:
    assert after_pull(Path(fetched)) == [["ei-deepstream", *words]]
