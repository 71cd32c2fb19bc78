"""What commands say about themselves, and to who calls them wrongly."""

from __future__ import annotations

import shlex
from importlib.metadata import PackageNotFoundError
from typing import TYPE_CHECKING

import click
import pytest

from convert import __version__
from convert.cli import Command, Group, commands
from convert.cli.options import keywords
from convert.files import load_toml
from convert.options import Option

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.cli.conftest import Said


def every(
    command: click.Command = commands, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from every(found, (*path, name))


ALL = dict(every())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help(path: tuple[str, ...], say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    said = say(*path, "--help")
    assert said.code == 0
    command = ALL[path]
    assert isinstance(command, Command | Group)
    assert "\nExamples:\n  " in said.out
    assert all(f"\n  {example}\n" in said.out for example in command.examples)
    assert max(map(len, said.out.splitlines())) <= 100
    assert all(
        len(help_) > 10
        for option in command.params
        if isinstance(option, click.Option)
        for help_ in [option.help or ""]
    )
    assert "UNSET" not in said.out, "a default that is shown is one"
    words = " ".join(said.out.split())
    assert all(
        f"[default: {option.default}" in words
        for option in command.params
        if isinstance(option.type, click.Choice) and isinstance(option.default, str)
    )
    # A new option has to find its group.
    assert "Other options" not in said.out
    assert say("help", *path).out == said.out.replace("[OPTIONS] [NAMES]", "[OPTIONS]")


def test_how_commands_are_called() -> None:
    """What stands behind [OPTIONS]; a command without a row takes nothing."""
    pieces = {path: command.collect_usage_pieces(click.Context(command)) for path, command in ALL.items()}
    assert {" ".join(path): " ".join(words[1:]) for path, words in pieces.items() if words[1:]} == {
        "": "COMMAND [ARGS]...", "convert": "[EXPORT]", "batch": "MANIFEST|PATHS...", "inspect": "PATH",
        "check": "PATH...", "simulate": "CONFIG PICTURES...", "eim": "COMMAND [ARGS]...",
        "eim inspect": "FILE|SOCKET", "eim classify": "FILE|SOCKET [PICTURE|RECORDING|FOLDER]...",
        "eim compare": "FILE|SOCKET BUNDLE|TFLITE PICTURES...", "eim serve": "BUNDLE SOCKET|stdin",
        "eim pack": "BUNDLE", "eim proxy": "SOCKET FILE|SOCKET", "explain": "[RULE]...", "targets": "[RELEASE]",
        "cache": "COMMAND [ARGS]...", "help": "[COMMAND]...", "unpack": "EXPORT", "translate": "MODEL.tflite",
        "adapt": "MODEL.translated.onnx", "validate": "MODEL.onnx", "emit": "MODEL.onnx",
    }  # fmt: skip
    assert {words[0] for words in pieces.values()} == {"[OPTIONS]"}


def test_what_options_say_that_no_table_has() -> None:
    shown = {
        (" ".join(path), row[0]): row[1]
        for path, command in ALL.items()
        for option in command.params
        if isinstance(option, click.Option) and (row := option.get_help_record(click.Context(command)))
    }
    features = "Numbers from text files instead of pictures; all further names are such files, too, and - is standard"
    for command, option, text in (
        *(
            (command, "--features FILE", f"{features} input.") for command in ("eim classify", "eim compare")
        ),
        (
            "eim classify", "--threshold VALUE|BLOCK:KEY=VALUE",
            "Set a threshold first; a VALUE alone is the min_score of every detection block.",
        ),
        ("eim pack", "-o, --output FILE", "The .eim to write.  [required]"),
        ("eim proxy", "--format [text|json]", "Lines of text, or one JSON object a line.  [default: text]"),
        *(
            (command, "--engine INTEGER RANGE", "Which model of an app with two.  [1<=x<=2]")
            for command in ("eim compare", "eim serve", "eim pack")
        ),
    ):  # fmt: skip
        assert shown[command, option] == text
    folders = {
        command: text.removesuffix("  [required]")
        for (command, option), text in shown.items()
        if option.startswith("-o, ") and text.endswith("  [required]")
    }
    bundle = "The folder to write the bundle into."
    assert folders == {
        "convert": bundle, "emit": bundle, "pull": "The folder to write into.", "simulate": "Folder for the results.",
        "batch": "The folder of all bundles; each model gets a folder in it.", "eim pack": "The .eim to write.",
        "unpack": "The folder for NAME.tflite and metadata.json.",
        "translate": "The .onnx file to write, or a folder for NAME.translated.onnx.",
        "adapt": "The .onnx file to write, or a folder for NAME.onnx.",
    }  # fmt: skip


@pytest.mark.parametrize(("count", "titles"), [(13, ["Options:"]), (14, ["Output:", "Other options:"])])
def test_fourteen_options_are_grouped(count: int, titles: list[str]) -> None:
    command = Command("x", params=[click.Option([f"--o{number}"], help="Text.") for number in range(count - 1)])
    lines = command.get_help(click.Context(command, info_name="x")).splitlines()
    assert [line for line in lines[1:] if line and not line.startswith(" ")] == titles


@pytest.mark.parametrize(
    ("length", "lines"), [(26, [f"  --{'a' * 24}  Text."]), (27, [f"  --{'a' * 25}", " " * 14 + "Text."])]
)
def test_how_wide_the_names_of_options_are(length: int, lines: list[str]) -> None:
    command = Command("x", params=[click.Option(["--" + "a" * (length - 2)], is_flag=True, help="Text.")])
    shown = command.get_help(click.Context(command, info_name="x", help_option_names=["-h", "--help"])).splitlines()
    assert shown[3 : 3 + len(lines)] == lines


@pytest.mark.parametrize(
    ("last", "metavar", "text"),
    [("x" * 37, None, "Which."), ("x" * 38, "A_B", f"Which. One of {'v' * 20}, c, {'x' * 38}.")],
)
def test_choices_of_more_than_sixty_characters_stand_in_the_text(last: str, metavar: str | None, text: str) -> None:
    option = Option(name="a_b", default=None, type=str, help="Which.", choices=("v" * 20, "c", last))
    made = keywords(option)
    assert (made["metavar"], made["help"]) == (metavar, text)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_examples_are_understood(path: tuple[str, ...]) -> None:
    """Every word of an example that begins with a dash is an option of the command it names."""
    for example in ALL[path].examples:  # type: ignore[attr-defined] # `test_help` has looked
        program, *words = shlex.split(example.partition(" > ")[0], comments=True)
        if program != "ei-deepstream":
            assert program == "edge-impulse-linux-runner"
            continue
        command: click.Command = commands
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), words.pop(0))
            assert found is not None
            command = found
        known = {spelled for option in command.params for spelled in (*option.opts, *option.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known
        assert words or not any(parameter.required for parameter in command.params)


def test_options_stand_in_groups(say: Callable[..., Said]) -> None:
    out = say("convert", "--help").out
    titles = [title for title in load_toml("options.toml")["groups"] if f"\n{title}:\n" in out]
    assert titles == ["Model", "What the export does not say", "Proof", "DeepStream", "Counting", "Output"]
    places = [out.index(f"\n{title}:\n") for title in titles]
    assert places == sorted(places)
    for title, option in [("Proof", "--tolerance"), ("DeepStream", "--target"), ("Output", "-h, --help")]:
        assert out.index(f"\n{title}:\n") < out.index(f"  {option} ") < out.index("\nExamples:\n")
    assert (
        out.index("--labels a;b;c") < out.index("\nProof:\n") < out.index("--images DIR") < out.index("\nDeepStream:")
    )


def test_no_option_is_in_two_groups() -> None:
    names = [name for group in load_toml("options.toml")["groups"].values() for name in group]
    assert len(names) == len(set(names))


def test_commands_are_listed_with_the_stages_last(say: Callable[..., Said]) -> None:
    said = say("help")
    assert said.code == 0
    first, _, stages = said.out.partition("\nStages of convert, one by one:\n")
    assert [line.split()[0] for line in stages.partition("\n\n")[0].splitlines()] == [
        *("unpack", "translate", "adapt", "validate", "emit")
    ]
    assert "\n  convert " in first
    assert "\n  version " in first


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("--tensors", "HERE"),
            "a config is missing: one of the bundle, or of your own (--app FILE takes the engines of an app)",
        ),
        (("gone", "HERE"), "there is no gone"),
        (("HERE",), "pictures are missing: files or folders of them, or videos"),
        (("--app", "HERE"), "pictures are missing: files or folders of them, or videos"),
    ],
)
def test_what_simulate_needs(
    say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    said = say("simulate", *(str(tmp_path) if word == "HERE" else word for word in words), "-o", tmp_path / "out")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(f"error: {message}\n")


@pytest.mark.parametrize("group", [(), ("eim",), ("cache",)])
def test_a_group_without_a_command_shows_its_help(say: Callable[..., Said], group: tuple[str, ...]) -> None:
    said = say(*group)
    assert (said.out + said.err).startswith(f"Usage: {' '.join(('ei-deepstream', *group))} [OPTIONS] COMMAND")


def test_version(say: Callable[..., Said]) -> None:
    said = say("version")
    assert said.code == 0
    assert said.out.startswith(f"ei-deepstream {__version__}\ntf2onnx ")
    assert said.out == say("--version").out


def test_what_is_not_installed_is_said(say: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    def found(package: str) -> str:
        if package.startswith("tensor"):
            raise PackageNotFoundError(package)
        return "1.2"

    monkeypatch.setattr("importlib.metadata.version", found)
    assert say("version").out.splitlines()[1:] == [
        *("tf2onnx 1.2", "onnx 1.2", "onnxruntime 1.2", "ai-edge-litert 1.2"),
        *("tensorflow not installed", "tensorrt-rtx not installed"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message", "example"),
    [
        ("convert", "error: give the export to convert (the .zip, ", "ei-deepstream convert my-project.zip -o bundle"),
        ("convert a.zip", "error: -o is missing: the folder to write the bundle into\n", "ei-deepstream convert my"),
        (
            "convert -o b",
            "error: give one EXPORT, or two with --pgie and --sgie\n",
            "ei-deepstream convert my-project.zip -o bundle",
        ),
        ("simulate", "error: give a bundle (or a config), then pictures", "ei-deepstream simulate bundle"),
        (
            "batch",
            "error: give folders of exports, exports or a manifest (.toml), and with -o the folder for the bundles\n",
            "ei-deepstream batch exports/ -o bundles",
        ),
        ("check", "error: PATH... is missing\n", "ei-deepstream check bundle"),
        ("convert a -o b --targte 7.1", "error: No such option '--targte'.", "ei-deepstream convert my"),
        ("convert a -o b --batch-size 0", "error: Invalid value for '--batch-size': 0 is not", "ei-deepstream convert"),
        ("convret", "error: No such command 'convret'. Did you mean 'convert'?\n", "ei-deepstream convert my"),
        ("help convret", "error: No such command 'convret'. Did you mean 'convert'?\n", "ei-deepstream convert my"),
        ("help check all", "error: ei-deepstream check has no commands of its own\n", "ei-deepstream check bundle"),
        ("eim pack", "error: BUNDLE is missing\n", "ei-deepstream eim pack bundle -o converted.eim"),
    ],
)
def test_an_error_of_usage_is_one_message(say: Callable[..., Said], arguments: str, message: str, example: str) -> None:
    said = say(*arguments.split())
    assert (said.code, said.out) == (2, "")
    lines = said.err.splitlines()
    assert f"{lines[0]}\n".startswith(message)
    assert lines[1].startswith(f"  example: {example}")
    assert lines[2].startswith("  options: ei-deepstream")
    assert lines[2].endswith(" --help")
    assert len(lines) == 3
