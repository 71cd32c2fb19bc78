"""RUN.md: no line contradicts the table of targets, every command can be read by a shell, every file is there."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.emit import Emit
from convert.images import Frame, Framing
from convert.nvinfer.targets import container, releases, sdk_path, targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.nvinfer.targets import Target
    from convert.types import Validated

EACH = pytest.mark.parametrize("where", targets(), ids=lambda each: f"{each.deepstream}-{each.platform}")
VARIANTS: list[dict[str, Any]] = [
    {},
    {"role": "sgie", "source": "/dev/video1", "sink": "file"},
    {"role": "pgie", "source": "rtsp://me:secret@camera/1?a=1&b=2", "sink": "rtsp"},
    {"source": "a street.mp4", "sink": "none"},
    {"source": "csi", "sink": "screen"},
]

NVCR = "nvcr.io/nvidia/deepstream"
IMAGES = {
    "5.1": (f"{NVCR}-l4t:5.1-21.02-samples", f"{NVCR}:5.1-21.02-samples"),
    "6.0": (f"{NVCR}-l4t:6.0-samples", f"{NVCR}:6.0-devel"),
    **{
        each: (f"{NVCR}-l4t:{each}-samples", f"{NVCR}:{each}-samples")
        for each in ("6.0.1", "6.1", "6.1.1", "6.2", "6.3")
    },
    **{each: (f"{NVCR}:{each}-samples-multiarch",) * 2 for each in ("6.4", "7.0", "7.1", "8.0", "9.0", "9.1")},
    "9.2": ("ghcr.io/nvidia/deepstream",) * 2,
}


def bundles(model: Validated, where: Target) -> list[tuple[dict[str, Any], dict[str, bytes], str]]:
    at: dict[str, Any] = {"target": where.deepstream, "platform": where.platform}
    made = []
    for options in VARIANTS:
        if options.get("source") != "csi" or where.platform == "jetson":
            files = Emit(Path("x"), **options, **at).files(model.adapted)
            made.append((options, files, files["RUN.md"].decode("ascii")))
    return made


def commands(text: str) -> str:
    return "\n".join(line[4:] for line in text.splitlines() if line.startswith("    "))


@EACH
def test_versions_paths_and_image_are_the_tables(classifier: Validated, where: Target) -> None:
    order = releases()
    since = order.index(where.deepstream)
    image = container(where)
    assert image == IMAGES[where.deepstream][where.platform == "dgpu"]
    for options, _, text in bundles(classifier, where):
        assert set(re.findall(r"DeepStream ([0-9][0-9.]*[0-9])", text)) == {where.deepstream}
        for cell in (where.jetpack, where.l4t, where.tensorrt, where.cuda, where.ubuntu, *where.families):
            assert cell is None or cell in text
        assert ("Not verified: " in text) == bool({cell for cell, _ in where.unverified} - {"released"})
        found = set(re.findall(r"(?:nvcr|ghcr)\.io/\S+", text))
        assert found == {image if ":" in image else f"{image}:TAG"}
        for path in re.findall(r"/(?:opt|usr)/[^\s`'\"]+", text):
            assert path.startswith(f"{where.root}/") or path == sdk_path(where, "trtexec")
        assert ("user_additional_install.sh" in text) == (since >= order.index("6.1.1"))
        jetson, window = where.platform == "jetson", options.get("sink", "screen") == "screen"
        assert ("nv3dsink" in text) == (jetson and window and since >= order.index("6.2"))
        assert ("nvegltransform" in text) == (jetson and window and since < order.index("6.2"))
        assert ("nveglglessink" in text) == (window and "nv3dsink" not in text)
        assert ("--runtime=nvidia" in text) == jetson
        assert ("--gpus all" in text) == (not jetson)
        assert ("DISPLAY=$DISPLAY" in text) == window
        assert ("EGL display" in text) == jetson
        assert (" videoconvert " in text) == (options.get("source") == "/dev/video1" and not jetson)
        assert ("nvarguscamerasrc" in text) == ("argus_socket" in text) == (options.get("source") == "csi")
        assert "Python" not in text or jetson


@EACH
def test_commands_and_files(classifier: Validated, where: Target) -> None:
    for options, files, text in bundles(classifier, where):
        lines = text.splitlines()
        assert len(lines) <= 85
        assert all(len(line) <= 120 for line in lines if not line.startswith("    "))
        assert "\n\n\n" not in text
        assert text.endswith("\n")
        assert "secret" not in text
        assert "{" not in text
        done = subprocess.run(["bash", "-n"], input=commands(text), capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        named = set(
            re.findall(r"\b(?:build_engine|deepstream_app|config_infer|fruit_labels)[a-z_]*\.(?:sh|txt)\b", text)
        )
        assert named - {Path(sdk_path(where, "sample-detector")).name} <= set(files)
        assert {"build_engine.sh", "deepstream_app_fruit.txt", "fruit_labels.txt"} <= named
        # The same size, source and sink as in the app's config.
        config = files["deepstream_app_fruit.txt"].decode()
        muxer = config[config.index("\n[streammux]\n") :]
        for side in ("width", "height"):
            found = re.search(rf"^{side}=(\d+)$", muxer, re.MULTILINE)
            assert found is not None
            assert f" {side}={found[1]}" in commands(text)
        assert ("\nlive-source=1\n" in muxer) == ("live-source=1" in commands(text))
        assert ("a street.mp4" in text) == (options.get("source") == "a street.mp4")


def test_what_depends_on_the_model(classifier: Validated, invent: Callable[..., Validated]) -> None:
    alone = Emit(Path("x")).files(classifier.adapted)["RUN.md"].decode()
    assert "gie-kitti-output-dir" not in alone  # a classifier finds no objects
    assert "The secondary engine is off" in alone
    assert "fruit_labels.txt` (one line" in alone
    objects = Emit(Path("x"), role="sgie").files(classifier.adapted)["RUN.md"].decode()
    assert "sample detector" in objects
    assert objects.index("nvinfer config-file-path=/opt/") < objects.index("nvinfer config-file-path=config_infer_sec")
    other = Emit(Path("x"), gpu_id=2).files(classifier.adapted)["RUN.md"].decode()
    assert "every element would need gpu-id=2" in other
    both = Emit(Path("x")).files(invent(name="a-name").adapted)["RUN.md"].decode()
    assert "scp ./* USER@DEVICE:a-name/" in both


def test_of_two_networks_the_one_for_whole_frames_has_a_script_of_its_own(classifier: Validated) -> None:
    usual = classifier.adapted
    before = replace(usual.preprocessing, framing=Framing(Frame(16, 9), (96, 64)))
    framed = replace(usual, preprocessing=before, for_objects=usual)
    files = Emit(Path("x")).files(framed)
    text = files["RUN.md"].decode()
    assert "\n    ./build_engine.sh\n" in text
    assert "`./build_engine_fruit-16x9.sh` builds that for whole frames alone" in text
    assert "There are two" not in Emit(Path("x")).files(usual)["RUN.md"].decode()
