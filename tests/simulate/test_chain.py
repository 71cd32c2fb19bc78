"""Which engines run, in which order, by configs and by deepstream-app's own config."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.check.loading import check_target
from convert.errors import ConvertError, InputError
from convert.simulate.engine import Source, load
from convert.simulate.job import app, in_order, of_bundle
from tests.simulate.engines import classifier, detector

if TYPE_CHECKING:
    from pathlib import Path

    from convert.simulate.results import SimulatedEngine

HERE = check_target("deepstream-9.1", "dgpu")


def _engines(*configs: Path) -> list[SimulatedEngine]:
    return [load(Source(config), HERE).engine for config in configs]


def _app(folder: Path, text: str, name: str = "app.txt") -> Path:
    path = folder / name
    path.write_text(text)
    return path


class TestOrder:
    def test_behind_those_they_operate_on(self, tmp_path: Path) -> None:
        engines = _engines(
            detector(tmp_path),
            classifier(tmp_path, "c", gie_unique_id=4, operate_on_gie_id=3),
            detector(tmp_path, "b", gie_unique_id=3, process_mode=2, operate_on_gie_id=1),
            classifier(tmp_path, "d", gie_unique_id=5),
        )
        assert in_order(engines) == (0, 2, 1, 3)

    def test_in_a_circle_they_stay_as_they_are(self, tmp_path: Path) -> None:
        engines = _engines(
            detector(tmp_path),
            classifier(tmp_path, "b", gie_unique_id=3, operate_on_gie_id=4),
            classifier(tmp_path, "c", gie_unique_id=4, operate_on_gie_id=3),
            classifier(tmp_path, "d", gie_unique_id=5, operate_on_gie_id=5),
        )
        assert in_order(engines) == (0, 1, 2, 3)

    def test_a_secondary_engine_alone(self, tmp_path: Path) -> None:
        with pytest.raises(InputError) as caught:
            in_order(_engines(classifier(tmp_path)))
        message = "this config looks at objects (process-mode=2), and there is no engine in front that finds any"
        assert caught.value.message == message
        hint = "name a primary config first and give this one with --sgie, or write process-mode=1"
        assert caught.value.hint == hint
        assert caught.value.path == str(tmp_path / "colour.txt")

    def test_two_primary_ones(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"^a secondary .* this config at frames \(process-mode=1\)$") as caught:
            in_order(_engines(detector(tmp_path), detector(tmp_path, "b", gie_unique_id=2)))
        hint = "write process-mode=2 into it; deepstream-app does that for its [secondary-gie] groups"
        assert (caught.value.hint, caught.value.path) == (hint, str(tmp_path / "b.txt"))

    def test_one_id_twice(self, tmp_path: Path) -> None:
        with pytest.raises(InputError) as caught:
            in_order(_engines(detector(tmp_path), classifier(tmp_path, gie_unique_id=1)))
        taken = "gie-unique-id=1 is taken by cells.txt: "
        assert caught.value.message == f"{taken}results cannot be told apart, and deepstream-app refuses to start"
        hint = "give each engine a number of its own"
        assert (caught.value.hint, caught.value.path) == (hint, str(tmp_path / "colour.txt"))


NO_PRIMARY = (
    "no primary engine is switched on: nothing finds objects, and nothing is shown | "
    "an app config has [primary-gie] with enable=1 and config-file"
)


class TestApp:
    TEXT = """[streammux]
width=640
height=360
[primary-gie]
enable=1
gie-unique-id=5
config-file=cells.txt
[secondary-gie0]
enable=1
operate-on-gie-id=5
operate-on-class-ids=1;2
gie-unique-id=6
config-file=colour.txt
[secondary-gie1]
enable=0
config-file=no.txt
"""

    def test_what_its_groups_say_wins(self, tmp_path: Path) -> None:
        detector(tmp_path)
        classifier(tmp_path, process_mode=1)
        found = app(_app(tmp_path, self.TEXT), HERE)
        assert found.muxer == (640, 360)
        first, second = (load(source, HERE).engine for source in found.sources)
        assert (first.settings.unique_id, first.settings.on_objects) == (5, False)
        assert (second.settings.unique_id, second.settings.on_objects) == (6, True)
        assert second.settings.operate_on_class_ids == {1, 2}
        assert in_order([first, second]) == (0, 1)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", NO_PRIMARY),
            ("[primary-gie]\nconfig-file=cells.txt\n", NO_PRIMARY),
            ("[secondary-gie0]\nenable=1\nconfig-file=cells.txt\n", NO_PRIMARY),
            (
                "[primary-gie]\nenable=1\nconfig-file=no.txt\n",
                "[primary-gie] is switched on, but its config-file 'no.txt' is not there | it is looked for at /",
            ),
            ("[primary-gie]\nenable=1\n", "[primary-gie] is switched on, but it has no config-file | None"),
            ("[primary-gie]\nenable=1\ngpu-id=x\nconfig-file=cells.txt\n", "deepstream-app cannot read its config: "),
            ("[primary-gie]\nenable=yes\nconfig-file=cells.txt\n", NO_PRIMARY),
            ("primary-gie\n", "deepstream-app cannot read its config: "),
            (
                "[primary-gie]\nenable=1\nplugin-type=1\nconfig-file=cells.txt\n",
                "[primary-gie] runs in Gst-nvinferserver (plugin-type=1), which is not simulated | None",
            ),
        ],
    )
    def test_refused(self, tmp_path: Path, text: str, says: str) -> None:
        detector(tmp_path)
        with pytest.raises(ConvertError) as caught:
            app(_app(tmp_path, text), HERE)
        assert caught.value.path == str(tmp_path / "app.txt")
        assert f"{caught.value.message} | {caught.value.hint}".startswith(says)
        if says.endswith("config: "):
            assert caught.value.hint == "ei-deepstream check says more"
        assert (caught.value.line is None) is (says == NO_PRIMARY)

    def test_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="the app config cannot be read"):
            app(tmp_path / "no.txt", HERE)


class TestBundle:
    """Which of a folder's configs is simulated."""

    @pytest.mark.parametrize(
        ("configs", "apps", "one", "expected"),
        [
            ("cells", "", False, ("cells.txt", None)),
            ("cells colour", "", False, ("cells.txt", None)),
            ("cells colour", "two", False, (None, "app.txt")),
            ("cells colour", "two", True, ("cells.txt", None)),
            ("cells colour", "one", False, ("cells.txt", None)),
            ("cells colour", "server", False, ("cells.txt", None)),
            ("cells", "two", False, ("cells.txt", None)),
            ("cells below/other", "", False, ("cells.txt", None)),
            ("cells other", "", False, "the folder holds 2 configs: cells.txt, other.txt | name one of them"),
            (
                "colour",
                "",
                False,
                (
                    "the bundle is for the objects of another engine, and none in it finds any | "
                    "name a primary config first, and this one with --sgie /"
                ),
            ),
            ("", "", False, "there is no Gst-nvinfer config in the folder | name a bundle or a config"),
            ("", "two", False, "there is no Gst-nvinfer config in the folder | name a bundle or a config"),
        ],
    )
    def test_what_is_found(
        self, configs: str, apps: str, one: bool, expected: tuple[str | None, str | None] | str, tmp_path: Path
    ) -> None:
        (tmp_path / "below").mkdir()
        for name in configs.split():
            folder = (tmp_path / name).parent
            if name == "colour":
                classifier(folder)
            else:
                detector(folder, (tmp_path / name).name)
        if apps:
            second = (
                "" if apps == "one" else "[secondary-gie0]\nenable=1\noperate-on-gie-id=1\nconfig-file=colour.txt\n"
            )
            second += "plugin-type=1\n" if apps == "server" else ""
            _app(tmp_path, f"[application]\n[primary-gie]\nenable=1\nconfig-file=cells.txt\n{second}")
        if isinstance(expected, str):
            with pytest.raises(InputError) as caught:
                of_bundle(tmp_path, HERE, one=one)
            assert f"{caught.value.message} | {caught.value.hint}".startswith(expected)
            assert caught.value.path == str(tmp_path)
        else:
            found = of_bundle(tmp_path, HERE, one=one)
            assert tuple(path and path.name for path in found) == expected


@pytest.mark.parametrize(
    ("muxer", "expected"),
    [("width=640\nheight=360\n", (640, 360)), ("width=640\n", None), ("height=360\n", None), ("", None)],
)
def test_the_size_of_the_muxer(muxer: str, expected: tuple[int, int] | None, tmp_path: Path) -> None:
    detector(tmp_path)
    text = f"[streammux]\n{muxer}[primary-gie]\nenable=1\ngie-unique-id=1\nconfig-file=cells.txt\n"
    assert app(_app(tmp_path, text), HERE).muxer == expected
