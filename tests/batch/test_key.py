"""Whatever can change a bundle changes its key; what cannot does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from convert.batch import cache as module
from convert.batch.cache import Ledger, environment, key_of
from convert.batch.plan import Job, job
from convert.export.archive import places
from convert.images import ImageScaling, parse_frame
from convert.options import ConvertOptions, defaults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def key(tmp_path: Path) -> Callable[[Job], str]:
    return lambda each: key_of(each, Ledger(tmp_path / "none"))


@pytest.mark.parametrize(
    "options",
    [
        {"role": "pgie"},
        {"opset": 11},
        {"labels": ("a", "b")},
        {"labels": ("a;b",)},
        {"image_scaling": ImageScaling.TORCH},
        {"frame": parse_frame("16:9")},
        {"tensorflow": True},
    ],
)
def test_options_count(options: dict[str, object], key: Callable[[Job], str], job_of: Callable[..., Job]) -> None:
    assert len({key(job_of("a")), key(job_of("a", **options)), key(job_of("a", opset=7))}) == 3


def test_every_option_of_convert_counts_but_its_time_limit(
    key: Callable[[Job], str], job_of: Callable[..., Job]
) -> None:
    usual = defaults(ConvertOptions)
    before = key(job_of("a", **usual))

    def other(value: object) -> object:
        return not value if isinstance(value, bool) else value + 1 if isinstance(value, int | float) else f"not {value}"

    same = {name for name, value in usual.items() if key(job_of("a", **{**usual, name: other(value)})) == before}
    assert same == {"timeout"}


def test_time_limits_and_folders_do_not_count(
    key: Callable[[Job], str], job_of: Callable[..., Job], tmp_path: Path
) -> None:
    one = job_of("a", timeout=5.0)
    assert key(one) == key(job_of("a", timeout=9.0)) == key(replace(one, output=tmp_path / "other", name="b"))


def test_the_content_and_the_name_count(key: Callable[[Job], str], job_of: Callable[..., Job]) -> None:
    assert len({key(job_of("a")), key(job_of("a", b"y")), key(job_of("b"))}) == 3, "report.json has the export's name"


def test_a_folder_that_names_the_bundle_counts(key: Callable[[Job], str], tmp_path: Path) -> None:
    keys = set()
    for project in ("door", "gate"):
        path = tmp_path / project / "export.zip"
        path.parent.mkdir()
        path.write_bytes(b"PK\x03\x04")
        keys.add(key(job("a", path, tmp_path, {})))
    assert len(keys) == 2


def test_what_lies_around_a_file_counts(key: Callable[[Job], str], library: Path, tmp_path: Path) -> None:
    header = library / "tflite-model" / "tflite-trained.h"
    metadata = library / "model-parameters" / "model_metadata.h"
    assert metadata.parent in places(header)
    before = key(job("a", header, tmp_path, {}))
    metadata.write_text(metadata.read_text() + "\n")
    assert key(job("a", header, tmp_path, {})) != before
    model = tmp_path / "m.lite"
    model.write_bytes(b"x")
    before = key(job("a", model, tmp_path, {}))
    (tmp_path / "labels.txt").write_text("a\nb\n")
    assert key(job("a", model, tmp_path, {})) != before


def test_the_content_of_a_folder_of_pictures_counts(
    key: Callable[[Job], str], job_of: Callable[..., Job], tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "a.png").write_bytes(b"1")
    before = key(job_of("a", images=pictures))
    (pictures / "a.png").write_bytes(b"2")
    assert key(job_of("a", images=pictures)) != before


def test_both_exports_of_a_pair_count(key: Callable[[Job], str], job_of: Callable[..., Job]) -> None:
    one, two, three = job_of("a"), job_of("b", b"2"), job_of("c", b"3")
    assert key(replace(one, sgie=two.export)) != key(replace(one, sgie=three.export)) != key(one)


def test_versions_and_our_own_files_count(
    key: Callable[[Job], str], job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = environment()
    assert known["tf2onnx"]
    assert known["onnxruntime"]
    assert "tensorflow" not in known
    assert "tensorflow" in environment(("tensorflow",))
    before = key(job_of("a"))
    for name in known:
        monkeypatch.setattr(module, "environment", lambda _, name=name: {**known, name: "other"})
        assert key(job_of("a")) != before


def test_what_reads_keras_models_counts(
    key: Callable[[Job], str], job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export may hold one, which is converted by TensorFlow."""
    keys = []
    for version in ("", "2.18.0", "2.19.0"):
        found = {"tensorflow": version}
        monkeypatch.setattr(module, "environment", lambda extra, found=found: {each: found.get(each) for each in extra})
        keys.append(key(job_of("a")))
    assert len(set(keys)) == 3
