"""How much is read, kept and shown: at each limit, and one beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from onnx import StringStringEntryProto, TensorProto, helper

from convert.check.context import Labels
from convert.check.loading import Expect, Models, check_target, load_context, read_config
from convert.check.recognise import APP, CONFIG, kind_of
from convert.check.rules.syntax import quoted
from convert.check.run import Checker, find_configs
from convert.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from convert.check.context import RuleContext
    from convert.findings import Finding

_TARGET = check_target("9.1", "dgpu")
_HEAD = "[property]\ngie-unique-id=1\nnetwork-type=1\n"


def _context(path: Path, text: str) -> RuleContext:
    path.write_text(text)
    return load_context(read_config(str(path), _TARGET), _TARGET, Models())


def _found(path: Path, text: str, rule: str) -> list[Finding]:
    path.write_text(text)
    return [each for each in Checker(_TARGET)([str(path)]).findings if each.id == rule]


@pytest.mark.parametrize(("size", "count"), [(2**20, 1), (2**20 + 1, 0)])
def test_large_files_of_a_folder_are_no_configs(tmp_path: Path, size: int, count: int) -> None:
    (tmp_path / "c.txt").write_text(_HEAD.ljust(size, "#"))
    assert len([each for each in find_configs([str(tmp_path)]) if not each.error]) == count
    assert find_configs([str(tmp_path / "c.txt")])[0].kind == CONFIG


@pytest.mark.parametrize(("place", "is_picture"), [(4095, True), (4096, False)])
def test_how_much_shows_a_picture(tmp_path: Path, place: int, is_picture: bool) -> None:
    (tmp_path / "c.txt").write_bytes(b"\x89PNG\r\n\x1a\n".ljust(place, b"x") + b"\0")
    (found,) = find_configs([str(tmp_path / "c.txt")])
    assert (found.error is not None) == is_picture


@pytest.mark.parametrize(("size", "is_app"), [(2**16, True), (2**16 + 1, False)])
def test_how_much_shows_whose_config_it_is(size: int, is_app: bool) -> None:
    end = "\n[tiled-display]"
    found = kind_of("c.txt", ("[application]\n".ljust(size - len(end), "#") + end).encode())
    assert (found is not None and found.name == APP) == is_app


@pytest.mark.parametrize(("faults", "kept"), [(49, 49), (50, 50), (51, 50)])
def test_how_many_faults_are_gone_behind(tmp_path: Path, faults: int, kept: int) -> None:
    (tmp_path / "c.txt").write_text(_HEAD + "nonsense\n" * faults)
    assert len(read_config(str(tmp_path / "c.txt"), _TARGET).faults) == kept


@pytest.mark.parametrize(("size", "kept"), [(2**20, 2), (2**20 + 1, 1)])
def test_a_large_file_is_read_once(tmp_path: Path, size: int, kept: int) -> None:
    (tmp_path / "c.txt").write_text((_HEAD + "nonsense\nmore\n").ljust(size, "#"))
    assert len(read_config(str(tmp_path / "c.txt"), _TARGET).faults) == kept


@pytest.mark.parametrize(("size", "is_read"), [(2**22, True), (2**22 + 1, False)])
def test_how_long_a_label_file_is(tmp_path: Path, size: int, is_read: bool) -> None:
    (tmp_path / "l.txt").write_bytes(b"a" * size)
    labels = _context(tmp_path / "c.txt", _HEAD + "labelfile-path=l.txt\n").labels
    assert isinstance(labels, Labels) == is_read


def test_how_many_files_with_weights_are_looked_for(tmp_path: Path) -> None:
    tensors = []
    for number in range(1001):
        location = StringStringEntryProto(key="location", value=f"w{number:04}")
        tensors.append(TensorProto(
            name=f"w{number:04}", dims=[1], data_type=1, data_location=TensorProto.EXTERNAL, external_data=[location]
        ))  # fmt: skip
    image, scores = (helper.make_tensor_value_info(name, 1, ["N", 3, 8, 8]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [image], [scores], tensors)
    (tmp_path / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    context = _context(tmp_path / "c.txt", _HEAD + "onnx-file=m.onnx\n")
    assert context.model is not None
    assert len(context.model.external) == 1001
    assert context.lacking == tuple(f"w{number:04}" for number in range(1000))


@pytest.mark.parametrize(("keys", "shown"), [(100, 100), (101, 101), (150, 101)])
def test_how_many_findings_of_a_rule_are_shown(tmp_path: Path, keys: int, shown: int) -> None:
    found = _found(tmp_path / "c.txt", _HEAD + "".join(f"unheard-of-{number}=1\n" for number in range(keys)), "NVI009")
    assert len(found) == shown
    more = "there are more of these; the first 100 are shown"
    assert [each.message for each in found].count(more) == int(keys > 100)


@pytest.mark.parametrize(("zeros", "hint"), [(198, "write interval=1"), (199, None)])
def test_how_long_a_number_is_that_can_be_guessed(tmp_path: Path, zeros: int, hint: str | None) -> None:
    (found,) = _found(tmp_path / "c.txt", f"{_HEAD}interval=1.{'0' * zeros}\n", "NVI002")
    assert found.hint == hint


def test_how_many_lines_of_ini_in_yaml_are_named(tmp_path: Path) -> None:
    (found,) = _found(tmp_path / "c.yml", "property:\n  gie-unique-id: 1\n" + "interval=3\n" * 21, "NVI003")
    lines = " and ".join(f"interval: 3 in line {number}" for number in range(3, 23))
    assert found.hint == f"write {lines}, with a colon and a blank"


@pytest.mark.parametrize(
    ("text", "shown"), [("x" * 80, "x" * 80), ("x" * 81, "x" * 80 + "…"), ("a\x07b\n", "a\ufffdb\ufffd")]
)
def test_how_a_value_is_quoted(text: str, shown: str) -> None:
    assert quoted(text) == shown


def test_headers_and_names_are_read_once(tmp_path: Path) -> None:
    models = Models()
    for name in ("labels.txt", "model.onnx"):
        (tmp_path / name).write_bytes(b"x")
    assert models.near(str(tmp_path / "lables.txt")) == "labels.txt"
    gone, there = str(tmp_path / "gone.onnx"), str(tmp_path / "model.onnx")
    errors = [models.header(gone), models.header(there)]
    assert all(isinstance(error, InputError) for error in errors)
    for name in ("labels.txt", "model.onnx"):
        (tmp_path / name).unlink()
    assert models.near(str(tmp_path / "lables.txt")) == "labels.txt"
    assert models.near(str(tmp_path / "modl.onnx")) == "model.onnx"
    (tmp_path / "gone.onnx").touch()
    assert [models.header(gone) is errors[0], models.header(there) is errors[1]] == [True, True]


@pytest.mark.parametrize(
    ("names", "near"),
    [
        (["label.txt", "labels.tx", "lebels.txt"], "lebels.txt"),
        (["labelss.txt", "label.txt"], "label.txt"),
        (["labelss.txt"], "labelss.txt"),
        (["labelsss.txt", "labe.txt", "lbaesl.txt"], None),
        ([], None),
    ],
)
def test_the_nearest_name(tmp_path: Path, names: list[str], near: str | None) -> None:
    """Of the same length first, then one that is shorter by a letter, then one that is longer."""
    for name in names:
        (tmp_path / name).touch()
    assert Models().near(str(tmp_path / "labels.txt")) == near
    assert Models().near(str(tmp_path / "gone" / "labels.txt")) is None


def test_expect_is_what_options_have() -> None:
    assert [str(each) for each in Expect] == ["auto", "bundle", "require", "ignore"]
