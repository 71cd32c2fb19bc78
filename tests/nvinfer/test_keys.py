"""The table of keys: complete, in agreement with the table of releases, and strict about mistakes in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from convert.errors import PresetError
from convert.nvinfer import config
from convert.nvinfer.config import YAML_SINCE, read_bytes
from convert.nvinfer.keys import (
    ATTRS,
    PROPERTY,
    TYPES,
    allowed,
    key_named,
    keys,
    known_keys,
    printable,
    read_keys,
    version,
)
from convert.nvinfer.targets import catalogue


def test_every_key_is_explained_and_consistent() -> None:
    names = {(key.group, key.name) for key in keys()}
    assert len(names) == len(keys())
    for key in keys():
        assert key.help.endswith("."), key.name
        assert len(key.help) <= 120, key.name
        assert set(key.formats) <= {"ini", "yaml"}
        assert not key.legacy or key.replaced_by is None or key_named(key.replaced_by, key.group), key.name
        for other in (*key.needs, *key.conflicts):
            assert (key.group, other) in names, other
        if key.alias is not None:
            assert (key.group, key.alias) in names
        if key.values and key.default is not None and key.minimum is None and not key.alias:
            assert key.default in key.values, key.name


def test_counts() -> None:
    """75 keys of all releases and those that came later (docs on the parsers of 5.0 to 9.1, compared name by name)."""
    assert sum(key.group == PROPERTY for key in keys()) == 80
    assert sum(key.group == ATTRS for key in keys()) == 17


def test_agrees_with_the_releases() -> None:
    """`configs/targets.toml` says the same, for `--target`."""
    assert catalogue().yaml_since["nvinfer"] == YAML_SINCE
    for name in catalogue().keys_work_until:
        assert key_named(name) is not None


def test_what_a_release_knows() -> None:
    assert b"strongly-typed" in known_keys(PROPERTY, "9.1", "ini")
    assert b"strongly-typed" not in known_keys(PROPERTY, "8.0", "ini")
    assert b"symmetric-padding" not in known_keys(PROPERTY, "5.1", "ini")
    assert b"symmetric-padding" in known_keys(PROPERTY, "10.0", "ini")
    assert b"enable-dbscan" not in known_keys(PROPERTY, "9.1", "yaml")
    assert b"threshold" not in known_keys(ATTRS, "9.1", "yaml")
    assert b"threshold" in known_keys(ATTRS, "9.1", "ini")


def test_allowed_values() -> None:
    mode, hardware = key_named("network-mode"), key_named("scaling-compute-hw")
    assert mode is not None
    assert hardware is not None
    assert allowed(mode, "9.1", "dgpu") == (0, 1, 2, 3)
    assert allowed(mode, "6.4", "jetson") == (0, 1, 2)
    assert allowed(hardware, "9.1", "dgpu") == (0, 1)
    assert allowed(hardware, "5.1", "jetson") == (0, 1, 2)


def test_which_keys_name_files() -> None:
    paths = {key.name for key in keys() if key.is_path}
    assert {"onnx-file", "labelfile-path", "model-engine-file", "tlt-encoded-model", "op-tensor-files"} <= paths
    assert not {"batch-size", "parse-bbox-func-name", "output-blob-names", "net-scale-factor"} & paths


def test_versions_are_compared_as_numbers() -> None:
    assert version("6.0.1") > version("6.0")
    assert version("10.0") > version("9.1")
    with pytest.raises(PresetError, match=r"^'deepstream") as caught:
        version("deepstream-9")
    assert caught.value.hint == "write it as 9.1 or 6.0.1"


GOOD = {"type": "integer", "help": "Some key."}


@pytest.mark.parametrize(
    "row",
    [
        {**GOOD, "tpye": "integer"},
        {"help": "No type."},
        {**GOOD, "type": "text"},
        {"type": "integer"},
        {**GOOD, "values": {"one": "1"}},
        {**GOOD, "values": [1, 2]},
    ],
)
def test_mistakes_in_the_table_are_named(row: dict[str, Any]) -> None:
    assert read_keys({"property": {"k": GOOD}})[0].type == "integer"
    with pytest.raises(PresetError, match=r"^keys\.toml, \[property\.k\]"):
        read_keys({"property": {"k": row}})


READ = {
    "integer": ("-7", -7), "unsigned": ("-1", 2**32 - 1), "boolean": ("true", 1), "float": ("0.1", 0.100000001),
    "double": ("0.1", 0.1), "string": ("a b", "a b"), "path": ("x/y", "<dir>/x/y"), "string-list": ("a;b;", ["a", "b"]),
    "path-list": ("a;b", ["<dir>/a", "<dir>/b"]), "integer-list": ("1;-2", [1, -2]), "float-list": ("1;0.5", [1, 0.5]),
    "unsigned-list": ("1;-2", [1, 2**32 - 2]), "id-list": ("3;1", [3, 1]),
}  # fmt: skip


def test_values_of_every_type(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of one key: whoever edits keys.toml may use any type."""
    assert set(READ) == TYPES - {"pairs"}, "which are added to those there are"
    for kind, (text, value) in READ.items():
        (key,) = read_keys({"property": {"k": {"type": kind, "help": "Some key."}}})
        monkeypatch.setattr(config, "known_keys", lambda *_, key=key: {b"k": key})
        parsed = read_bytes(f"[property]\nk={text}\n".encode(), Path(__file__).with_name("config.txt"))
        assert parsed.values["k"] == value, kind


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("a" * 400, "a" * 400),
        ("a" * 401, "a" * 399 + "…"),
        ("a\tb\x1b[31m", "a\ufffdb\ufffd[31m"),
        ("a" * 399 + "\n" + "b", "a" * 399 + "…"),
    ],
)
def test_a_message_that_can_be_printed(message: str, shown: str) -> None:
    assert printable(message) == shown
