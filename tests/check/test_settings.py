"""The settings of a repository: where they are found, what wins, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert import check
from convert.__main__ import main
from convert.api import read_settings
from convert.errors import PresetError

_CONFIG = "[property]\ngie-unique-id=1\nnetwork-type=100\noutput-tensor-meta=1\nnet-scale-factor=1\nbatch-size=1 # c\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / ".git").mkdir()
    (tmp_path / "a/b").mkdir(parents=True)
    path = tmp_path / "a/b/c.txt"
    path.write_text(_CONFIG)
    return path


def _settings(folder: Path, text: str) -> None:
    (folder / "ei-deepstream.toml").write_text(f"[check]\n{text}\n")


def _ids(path: Path, **options: object) -> set[str]:
    return {finding.id for finding in check(path, **options).findings}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["ei-deepstream.toml", "pyproject.toml"])
def test_they_are_found_upwards(config: Path, tmp_path: Path, name: str) -> None:
    assert "NVI004" in _ids(config)
    head = "[check]" if name.startswith("ei") else '[project]\nname = "x"\n[tool.ei-deepstream.check]'
    (tmp_path / name).write_text(f'{head}\nignore = ["NVI004", "NVI021"]\n')
    assert _ids(config).isdisjoint({"NVI004", "NVI021"})
    assert "NVI004" in _ids(config, ignore="NVI021"), "an option wins"


def test_the_nearest_counts_and_none_above_the_repository(config: Path, tmp_path: Path) -> None:
    _settings(tmp_path, 'select = ["NVI004"]')
    (tmp_path / "a/pyproject.toml").write_text("[tool.other]\nx = 1\n")
    assert _ids(config) == {"NVI004"}
    _settings(tmp_path / "a", 'select = ["NVI021"]')
    assert _ids(config) == {"NVI021"}
    assert read_settings([str(config), str(tmp_path / "x.txt")]) == {"select": ("NVI004",)}
    (config.parent / ".git").mkdir()
    assert read_settings([str(config)]) == {}
    assert read_settings([]) == read_settings(["a\0b"]) == {}


def test_the_level_that_fails(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", str(config), "--select", "NVI004", "--format", "json"]
    assert main(arguments) == 0
    _settings(tmp_path, 'fail-on = "note"\ntarget = "7.1"\nplatform = "dgpu"')
    capsys.readouterr()
    assert main(arguments) == check(config, select="NVI004").exit_code == 1
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 1
    assert document["target"]["platform"] == "dgpu"
    assert main([*arguments, "--fail-on", "never"]) == 0
    assert main([*arguments, "--fail-on", "never", str(tmp_path / "none.txt")]) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct = 1", "there is no option 'selct'; did you mean 'select'?"),
        ("fix = true", "there is no option 'fix'; the options are: fail-on, "),
        ('fail-on = "errors"', "fail_on: 'errors' is not one of 'error', 'warning', 'note', 'never'.; "),
        ("files = 3", "files: '3' is not one of 'auto', "),
        ("timeout = 0", "timeout: 0.0 is not in the range "),
        ("= 3", "Invalid"),
    ],
)
def test_what_is_wrong_is_an_error_of_usage(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    _settings(tmp_path, text)
    assert main(["check", str(config)]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {tmp_path / 'ei-deepstream.toml'}: {message}")
    assert shown.splitlines()[0].endswith("; correct the file") == (message == "Invalid")
    with pytest.raises(PresetError):
        check(config)


def test_a_section_that_is_no_table(config: Path, tmp_path: Path) -> None:
    (tmp_path / "ei-deepstream.toml").write_text("check = 3\n")
    with pytest.raises(
        PresetError, match=f"^{tmp_path}/ei-deepstream.toml: the settings of check are no table$"
    ) as caught:
        check(config)
    assert caught.value.hint == 'write select = ["NVI0"] below [...check]'
