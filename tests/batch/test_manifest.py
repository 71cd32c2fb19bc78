"""Manifests: what they say is what `convert` is given; what they cannot say is refused with its line."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convert.batch.plan import LONGEST_NAME, ModelRequest, plan, read_manifest
from convert.cli.convert import convert
from convert.errors import ConvertError, InputError, PresetError
from convert.images import ImageScaling, ResizeMode, parse_frame
from convert.options import ConvertOptions, defaults, table
from tests.examples import examples

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = table(ConvertOptions)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], tuple[ModelRequest, ...]]:
    def manifest(text: str) -> tuple[ModelRequest, ...]:
        path = tmp_path / "models.toml"
        path.write_text(text, encoding="utf-8")
        return read_manifest(path)

    return manifest


Read = Callable[[str], tuple[ModelRequest, ...]]


def test_a_whole_one(read: Read, tmp_path: Path) -> None:
    for name in ("weekly/door/export.zip", "weekly/gate/export.zip", "names.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\nb\n")
    models = read(
        """
        [defaults]
        target = 6.2
        resize-mode = "squash"

        [[model]]
        export = "one.zip"
        name = "door"
        role = "pgie"
        labels = ["a;b", "c"]
        frame = "16:9"
        image_scaling = "torch"
        dequantize = true
        tolerance = 1

        [[model]]
        export = "weekly/*/export.zip"
        name = "{parent}-{stem}"
        labels = "names.txt"

        [[model]]
        pgie = "finder.zip"
        sgie = "kinds.zip"
        sgie-labels = "x;y"
        object-batch-size = 8
        resize_mode = "fit-longest"
        """
    )
    assert [model.found for model in models] == [False, True, True, False]
    common = {"target": "deepstream-6.2", "resize_mode": ResizeMode.SQUASH}
    door = {
        **common,
        "bundle_name": "door",
        "role": "pgie",
        "labels": ("a;b", "c"),
        "frame": parse_frame("16:9"),
        "image_scaling": ImageScaling.TORCH,
        "dequantize": True,
        "tolerance": 1.0,
    }
    assert dict(models[0].options) == door
    assert (models[0].export, models[0].name, models[0].line) == (tmp_path / "one.zip", "door", 6)
    assert [model.name for model in models[1:3]] == ["door-door", "gate-gate"]
    assert models[1].export == tmp_path / "weekly" / "door" / "export.zip"
    assert models[1].options["labels"] == ("a", "b")
    pair = models[3]
    assert (pair.name, pair.export, pair.sgie) == ("finder-kinds", tmp_path / "finder.zip", tmp_path / "kinds.zip")
    assert pair.options["sgie_labels"] == ("x", "y")
    assert pair.options["resize_mode"] is ResizeMode.FIT_LONGEST
    assert len(plan(models, tmp_path / "out", defaults(ConvertOptions), {}).jobs) == 4


def test_every_option_of_convert_is_known() -> None:
    parameters = {each.name for each in convert.params}
    of_a_run = {"export", "pgie", "sgie", "output", "dry_run", "depfile", "format_", "fail_on", "quiet"}
    assert set(OPTIONS) == parameters - of_a_run


def test_a_jetpack_is_a_target(read: Read) -> None:
    (one, other) = read(
        """
        [defaults]
        jetpack = 6.2
        [[model]]
        export = "a.zip"
        [[model]]
        export = "b.zip"
        platform = "dgpu"
        """
    )
    assert one.options == {"target": "deepstream-7.1", "platform": "jetson"}
    assert other.options == {"target": "deepstream-7.1", "platform": "dgpu"}


def test_paths_are_relative_to_the_manifest(read: Read, tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (model,) = read('[[model]]\nexport = "a.zip"\nimages = "pictures"')
    assert model.options["images"] == tmp_path / "pictures"


USAGE = "see `ei-deepstream batch --help`"
TARGT = "there is no option 'targt'; did you mean 'target'?"
ONE_OR_TWO = "a model has an export, or a pgie and an sgie"
TEXTS = "labels: a list of labels holds texts that are not empty"
BAD = [
    ("", None, "there is no [[model]] in it"),
    ("x = 1", 1, "'x' is not known here"),
    ("[default]\n[[model]]\nexport='a'", 1, "'default' is not known here; did you mean 'defaults'?"),
    ("[[models]]\nexport='a'", 1, "'models' is not known here; did you mean 'model'?"),
    ("defaults = 1\n[[model]]\nexport='a'", 1, "defaults is a table: [defaults]"),
    ("[model]\nexport='a'", 1, "model is a list of tables: [[model]]"),
    ("model = [1]", 1, "model is a list of tables: [[model]]"),
    ("[[model]]\nexport = 'a'\n\ntargt = '6'", 4, TARGT),
    (
        "[[model]]\nexport = 'a'\n[[model]]\nexport = 'b'\nrole = 'xgie'",
        5,
        "role: 'xgie' is not one of 'pgie', 'sgie', 'both'.",
    ),
    ("[defaults]\n# opset\nopset = 99\n[[model]]\nexport = 'a'", 3, "opset: 99 is not in the range 11<=x<=18."),
    ("[defaults]\nopset = 11.5\n[[model]]\nexport = 'a'", 2, "opset: it is a whole number"),
    ("[defaults]\nopset = true\n[[model]]\nexport = 'a'", 2, "opset: it is a text or a number"),
    ("[defaults]\ndequantize = 1\n[[model]]\nexport = 'a'", 2, "dequantize: it is true or false"),
    ("[defaults]\nlabels = []\n[[model]]\nexport = 'a'", 2, TEXTS),
    ("[defaults]\nlabels = ['a', 1]\n[[model]]\nexport = 'a'", 2, TEXTS),
    ("[defaults]\nrole = ['pgie']\n[[model]]\nexport = 'a'", 2, "role: it is a text or a number"),
    ("[defaults]\ntarget = 1979-05-27\n[[model]]\nexport = 'a'", 2, "target: it is a text or a number"),
    (
        "[defaults]\ntarget = '7'\n[[model]]\nexport = 'a'",
        2,
        "target: there is no DeepStream release '7'; did you mean deepstream-7.0 or deepstream-7.1? known: ...",
    ),
    (
        "[defaults]\ntarget = 6.2\njetpack = 6.2\n[[model]]\nexport = 'a'",
        3,
        "on JetPack 6.2 runs deepstream-7.1, and --target says deepstream-6.2",
        "leave out --target or --jetpack",
    ),
    (
        "[[model]]\nexport = 'a'\ntarget = 6.2\njetpack = 6.2",
        4,
        "on JetPack 6.2 runs deepstream-7.1, and --target says deepstream-6.2",
        "leave out --target or --jetpack",
    ),
    ("[defaults]\nframe = '1:99'\n[[model]]\nexport = 'a'", 2, "frame: a frame of 1:99 is more than 8 times ..."),
    ("[defaults]\nimages = 'gone'\n[[model]]\nexport = 'a'", 2, "images: Path '..."),
    ("[defaults]\nexport = 'b'\n[[model]]\nexport = 'a'", 2, "there is no option 'export'"),
    ("[defaults]\nname = 'b'\n[[model]]\nexport = 'a'", 2, "there is no option 'name'; did you mean 'frame'?"),
    ("[defaults]\nbundle-name = 'b'\n[[model]]\nexport = 'a'", 2, "there is no option 'bundle-name'"),
    ("[[model]]\nexport = 'a'\nexprt = 'b'", 3, "there is no option 'exprt'; did you mean 'export'?"),
    ("[[model]]\nexport = 'a'\nnamee = 'b'", 3, "there is no option 'namee'; did you mean 'name'?"),
    ("[[model]]\npgie = 'a'\nsgie = 'c'\npgi = 'b'", 4, "there is no option 'pgi'; did you mean 'pgie'?"),
    ("[[model]]\npgie = 'a'\nsgie = 'c'\nsgi = 'b'", 4, "there is no option 'sgi'; did you mean 'sgie'?"),
    ("[[model]]\nexport = 'a'\nresize_mod = 'b'", 3, "there is no option 'resize_mod'; did you mean 'resize-mode'?"),
    ("[[model]]\nname = 'b'", 1, ONE_OR_TWO),
    ("[[model]]\nexport = 'a'\npgie = 'b'\nsgie = 'c'", 1, ONE_OR_TWO),
    ("[[model]]\npgie = 'b'", 1, ONE_OR_TWO),
    ("[[model]]\nsgie = 'b'", 1, ONE_OR_TWO),
    ("[[model]]\nexport = 'a'\nsgie = 'b'", 1, ONE_OR_TWO),
    (
        "[[model]]\npgie = 'b'\nsgie = 'c'\nrole = 'pgie'",
        4,
        "role means nothing with pgie and sgie: they say it already",
    ),
    (
        "[[model]]\npgie = 'b'\nsgie = 'c'\noperate_on_gie_id = 1",
        4,
        "operate_on_gie_id means nothing with pgie and sgie: they say it already",
    ),
    (
        "[[model]]\npgie = 'b'\nsgie = 'c'\noperate-on-gie-id = 1",
        4,
        "operate-on-gie-id means nothing with pgie and sgie: they say it already",
    ),
    ("[[model]]\nexport = ''", 2, "export is text that is not empty"),
    ("[[model]]\nexport = ' '", 2, "export is text that is not empty"),
    ("[[model]]\nexport = 7", 2, "export is text that is not empty"),
    ("[[model]]\nexport = 'a\\u0000'\n".replace("'", '"'), 2, "export is text that is not empty"),
    ("[[model]]\nexport = 'a'\nname = ''", 3, "name is text that is not empty"),
    ("[[model]]\npgie = ''\nsgie = 'a'", 2, "pgie is text that is not empty"),
    ("[[model]]\npgie = 'a'\nsgie = 7", 3, "sgie is text that is not empty"),
    (
        "[[model]]\nname = 'a'\nexport = 'none/*.zip'",
        3,
        "export 'none/*.zip': nothing matches this pattern",
        "check the folder it starts in",
    ),
    (
        "[[model]]\nexport = 'a'\nresize-mode = 'squash'\nresize_mode = 'squash'",
        4,
        "resize-mode is given twice, with - and with _",
    ),
    (
        "[[model]]\nexport = 'a'\nexport = 'b'",
        3,
        "the manifest is no TOML: Cannot overwrite a value ...",
        "see toml.io; text stands in quotes",
    ),
    (
        "[[model]]\nexport = 'a'\nlabels = [",
        3,
        "the manifest is no TOML: Invalid value (at end of document)",
        "see toml.io; text stands in quotes",
    ),
    ("[[model]]\nexport = a", 2, "the manifest is no TOML: Invalid value ...", "see toml.io; text stands in quotes"),
    ("a = " + "[" * 5000, None, "the manifest is nested too deep", "see toml.io"),
    # The key of the error is written so that no line shows it: the table's line, or none.
    ("[[model]]\nexport = 'a'\n\"t\\u0061rgt\" = '6'", 1, TARGT),
    ("# one\n[[model]]\nexport = 'a'\n\"t\\u0061rgt\" = '6'\n[[model]]\ntargt = '6'", 2, TARGT),
    ("[[model]]\nexport = 'a'\n\"t\\u0061rgt\" = '6'\n[[model]]\ntargt = '6'", 1, TARGT),
    ("model = [{export = 'a', targt = '6'}]", None, TARGT),
    ("[[model]]\nexport = 'a'\n[[model]]\nexport = 'b'\ntargt = '6'", 5, TARGT),
    ("[[model]]\nexport = 'a'\ntargt = '6'", 3, TARGT),
    ("[[ model ]] # one\nexport = 'a'\n'targt' = '6'", 3, TARGT),
    ("[[model]]\nexport = 'a'\n  # targt = 7\n  \"targt\" = '6'", 4, TARGT),
    ("[[model]]\nexport = 'a'\ntargt.x = '6'", 3, TARGT),
]


@pytest.mark.parametrize("row", BAD)
def test_a_wrong_one(row: tuple[str, int | None, str] | tuple[str, int | None, str, str], read: Read) -> None:
    """A message that ends in "..." goes on with what another library or the disk says."""
    text, line, message, hint = (*row, USAGE)[:4]
    with pytest.raises(InputError) as caught:
        read(text)
    whole = message.removesuffix("...")
    shown = caught.value.message
    assert (shown[: len(whole)] if whole != message else shown) == whole
    assert (caught.value.line, caught.value.hint) == (line, hint)
    assert str(caught.value.path).endswith("models.toml")


def test_a_name_for_several_says_how_they_differ(read: Read, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        read("[[model]]\nexport = '*.zip'\nname = 'door'")
    assert caught.value.message == "a name for several exports says how they differ"
    assert caught.value.hint == 'use {stem} (file name) or {parent} (folder) in it: name = "{parent}"'
    assert caught.value.line == 3
    (long, _) = read("[[model]]\nexport = '*.zip'\nname = '" + "y" * 99 + "-{stem}'")
    assert (long.name, long.is_given, long.options) == ("y" * 99 + "-", False, {"bundle_name": long.name})
    (one,) = read("[[model]]\nexport = 'a.*'\nname = 'door'")
    assert (one.name, one.is_given, one.found) == ("door", True, True)
    assert [model.name for model in read("[[model]]\nexport = '*.zip'\nname = 'x-{stem}'")] == ["x-a", "x-b"]
    (tmp_path / "Front Door (2)").mkdir()
    (tmp_path / "Front Door (2)" / "c.zip").write_bytes(b"")
    (parent,) = read("[[model]]\nexport = 'F*/*.zip'\nname = '{parent}.{stem}-{parent}'")
    assert (parent.name, parent.options) == ("front-door-2.c-front-door-2", {"bundle_name": parent.name})


def test_names_of_a_manifest(read: Read, tmp_path: Path) -> None:
    """Two that a person chose must differ; what is made of file names is told apart, and never too long."""
    with pytest.raises(PresetError, match="two models are called 'Door'") as caught:
        plan(read("[[model]]\nexport='a'\nname='door'\n[[model]]\nexport='b'\nname='Door'"), tmp_path, {}, {})
    assert caught.value.line == 4
    long = "y" * 90
    models = read(
        "[[model]]\nexport='a/door.zip'\n[[model]]\nexport='b/door.zip'\n[[model]]\nexport='c.zip'\nname='door'\n"
        f"[[model]]\npgie='{long}.zip'\nsgie='{long}z.zip'\n[[model]]\npgie='{long}.zip'\nsgie='{long}w.zip'\n"
    )
    jobs, findings = plan(models, tmp_path, {}, {})
    names = [job.name for job in jobs]
    assert names[:3] == ["door-2", "door-3", "door"]
    assert [finding.id for finding in findings] == ["EI806", "EI806"]
    assert len(set(names)) == 5
    assert max(map(len, names)) <= LONGEST_NAME


def test_a_pair_has_its_own_name_or_that_of_both(read: Read) -> None:
    (plain,) = read("[[model]]\npgie='a/door.zip'\nsgie='b/Gate 2.zip'")
    assert (plain.name, plain.is_given, plain.options, plain.line) == ("door-gate-2", False, {}, 1)
    (named,) = read("[[model]]\npgie='a.zip'\nsgie='studio:7'\nname='door'\nopset=12")
    assert (named.name, named.is_given, named.options) == ("door", True, {"opset": 12, "bundle_name": "door"})
    assert str(named.sgie) == "studio:7"
    assert named.export.name == "a.zip"


def test_patterns_that_cannot_be_looked_for(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(36, "File name too long")

    monkeypatch.setattr("glob.glob", fails)
    with pytest.raises(InputError) as caught:
        read("[[model]]\nname = '{stem}'\nexport = 'x/*.zip'")
    message = "export 'x/*.zip' cannot be looked for: [Errno 36] File name too long"
    assert (caught.value.message, caught.value.line, caught.value.hint) == (message, 3, USAGE)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[[model]]\nexport = '\x80'"])
def test_not_text(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_manifest(tmp_path / "m.toml")
    error = caught.value
    assert (error.message, error.path) == ("the manifest is not UTF-8", str(tmp_path / "m.toml"))
    assert error.hint == "save it as UTF-8"


@pytest.mark.parametrize("more", [0, 1])
def test_a_manifest_has_at_most_four_mebibytes(more: int, tmp_path: Path) -> None:
    model = b"\n[[model]]\nexport = 'a.zip'\n"
    (tmp_path / "m.toml").write_bytes(b"#".ljust((4 << 20) - len(model) + more, b"x") + model)
    if not more:
        assert len(read_manifest(tmp_path / "m.toml")) == 1
        return
    with pytest.raises(InputError, match="4 MiB"):
        read_manifest(tmp_path / "m.toml")


def test_a_mark_of_windows_editors(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_bytes(b"\xef\xbb\xbf[[model]]\r\nexport = 'a.zip'\r\n")
    assert len(read_manifest(tmp_path / "m.toml")) == 1


def test_none_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read it"):
        read_manifest(tmp_path / "gone.toml")


WORD = st.sampled_from(
    ["export", "name", "pgie", "sgie", "role", "labels", "opset", "defaults", "model", "x", "target"]
)
VALUE = st.recursive(
    st.text(string.printable, max_size=6)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.sampled_from(["*", "[", "[!]", "**", "a\0", "/", "pgie", "7.1", "{stem}"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORD, inner, max_size=2),
    max_leaves=4,
)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\u{ord(character):04x}" for character in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + "}"
    return str(value)


def tried(text: str, folder: Path) -> None:
    (folder / "m.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        models = read_manifest(folder / "m.toml")
        jobs, _ = plan(models, folder / "out", defaults(ConvertOptions), {})
    except ConvertError as error:
        assert error.path  # noqa: PT017 - both ways are right
        return
    assert len(jobs) == len(models)
    for job in jobs:
        assert job.output.parent == folder / "out", "nothing is written elsewhere"


@examples(150)
@given(
    st.dictionaries(WORD, VALUE, max_size=3),
    st.lists(st.dictionaries(WORD, VALUE, max_size=4), max_size=3),
    st.dictionaries(WORD, VALUE, max_size=1),
)
def test_any_table_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    defaults: dict[str, Any],
    models: list[dict[str, Any]],
    top: dict[str, Any],
) -> None:
    lines = [f"{name} = {toml(value)}" for name, value in top.items() if name not in {"defaults", "model"}]
    for header, tables in [("[defaults]", defaults), *(("[[model]]", model) for model in models)]:
        lines += [header, *(f"{name} = {toml(value)}" for name, value in tables.items())]
    tried("\n".join(lines), tmp_path_factory.getbasetemp())


@examples(150)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("[]{}=\"'#.\n\\ amodelxport", max_size=60)
)
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    tried(text, tmp_path_factory.getbasetemp())
