"""What the tests of the simulation share: settings of a recorded case, and shorthands for tensors."""

from __future__ import annotations

from pathlib import Path

from convert.nvinfer.parse import read
from convert.simulate.settings import Settings
from tests.conftest import SHARED

RECORDED = SHARED / "vectors" / "outputs"


def pytest_generate_tests(metafunc: object) -> None:
    """`recorded_case`: every folder below ../shared/vectors/outputs, or one name that stands for none."""
    names = getattr(metafunc, "fixturenames", [])
    if "recorded_case" in names:
        cases = sorted(path.name for path in RECORDED.iterdir()) if RECORDED.is_dir() else ["absent"]
        metafunc.parametrize("recorded_case", cases)  # type: ignore[attr-defined]


def recorded_settings(folder: Path) -> Settings:
    """The settings of `config.txt` and the label file it names."""
    parsed = read(folder / "config.txt")
    path = parsed.files.get("labelfile-path")
    text = Path(path).read_bytes().decode("utf-8", "surrogateescape") if path else ""
    return Settings.from_parsed(parsed, [line.split(";") for line in text.split("\n") if line])
