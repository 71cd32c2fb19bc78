"""Rules whose level depends on what happens: refused and broken is an error, harmless a note."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from convert.check.loading import check_target
from convert.check.run import Checker
from convert.findings import Level

if TYPE_CHECKING:
    from pathlib import Path

_BASE = "[property]\ngie-unique-id=1\nnetwork-type=0\nnum-detected-classes=2\nnet-scale-factor=1.0\ncluster-mode=2\n"
ERROR, WARNING, NOTE = Level.ERROR, Level.WARNING, Level.NOTE


def _levels(folder: Path, line: str, rule: str, release: str = "9.1", platform: str = "dgpu") -> list[Level]:
    (folder / "c.txt").write_text(f"{_BASE}{line}\n")
    (folder / "here.txt").write_text("a\nb\n")
    report = Checker(check_target(release, platform))([str(folder / "c.txt")])
    return [finding.level for finding in report.findings if finding.id == rule]


@pytest.mark.parametrize(
    ("rule", "line", "level"),
    [
        ("NVI004", "interval=1 # c", NOTE),
        ("NVI004", "infer-dims=3;8;8 # c", NOTE),
        ("NVI004", "maintain-aspect-ratio=1 # c", ERROR),
        ("NVI004", "interval=1# c", ERROR),
        ("NVI004", "offsets=1;2;3 # c", ERROR),
        ("NVI004", "labelfile-path=here.txt # c", ERROR),
        ("NVI004", "output-blob-names=a;b # c", WARNING),
        ("NVI004", "parse-bbox-func-name=f #c", WARNING),
        ("NVI005", "interval=1 ", NOTE),
        ("NVI005", "maintain-aspect-ratio=1 ", NOTE),
        ("NVI005", "classifier-threshold=1 ", ERROR),
        ("NVI005", "labelfile-path=here.txt ", ERROR),
        ("NVI005", "parse-bbox-func-name=f\t", WARNING),
        ("NVI006", 'interval="1"', ERROR),
        ("NVI006", 'labelfile-path="here.txt"', ERROR),
        ("NVI006", "parse-bbox-func-name='f'", WARNING),
        ("NVI012", "is-classifier=1", WARNING),
        ("NVI012", "input-dims=3;8;8;0", NOTE),
        ("NVI015", "segmentation-threshold=0.5", NOTE),
        ("NVI015", "operate-on-gie-id=3", WARNING),
        ("NVI019", "workspace-size=3", NOTE),
        ("NVI019", "uff-file=/a/b.uff", WARNING),
        ("NVI024", "labelfile-path=gone.txt", NOTE),
        ("NVI024", "labelfile-path=/on/another/machine.txt", NOTE),
        ("NVI024", "labelfile-path=", ERROR),
        ("NVI024", "custom-lib-path=lib/gone.so", NOTE),
        ("NVI024", "network-mode=1\nint8-calib-file=gone.txt", NOTE),
        ("NVI060", "", WARNING),
        ("NVI060", "network-type=1", ERROR),
        ("NVI063", "labelfile-path=here.txt\nnum-detected-classes=3", WARNING),
        ("NVI075", "num-detected-classes=0", ERROR),
        ("NVI075", "num-detected-classes=0\noutput-tensor-meta=1", ERROR),  # the process dies
        ("NVI075", "num-detected-classes=0\noutput-tensor-meta=1\ncluster-mode=4", NOTE),
        ("NVI078", "filter-out-class-ids=0;1", WARNING),
        ("NVI078", "filter-out-class-ids=9", NOTE),
        ("NVI089", "network-type=1\nclassifier-async-mode=1", WARNING),
        ("NVI089", "network-type=1\nprocess-mode=2\nclassifier-async-mode=1", NOTE),
    ],
)
def test_level(tmp_path: Path, rule: str, line: str, level: Level) -> None:
    assert _levels(tmp_path, line, rule) == [level]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("NVI004", "classifier-type=C#"),
        ("NVI004", "labelfile-path=page.html#part"),
        ("NVI004", "#labelfile-path=here.txt # c"),
        ("NVI005", "interval=1"),
        ("NVI006", 'classifier-type=5"'),
        ("NVI014", "maintain-aspect-ratio=0\nsymmetric-padding=0"),
        ("NVI019", "workspace-sice=3"),
        ("NVI024", "labelfile-path=here.txt"),
        ("NVI024", "custom-lib-path=/opt/nvidia/deepstream/deepstream/lib/libnvds_infercustomparser.so"),
        ("NVI024", "int8-calib-file=gone.txt"),
        ("NVI024", "model-engine-file=gone.engine"),
        ("NVI052", "net-scale-factor=0.00392"),
        ("NVI052", "net-scale-factor=0.00390625"),
        ("NVI052", "net-scale-factor=0.00784313725490196"),
        ("NVI052", "net-scale-factor=0.01735207357279195"),
        ("NVI052", "net-scale-factor=1.0"),
        ("NVI054", "offsets=0;0;0"),
        ("NVI054", "offsets=127.5;127.5;127.5"),
        ("NVI054", "offsets=123.68;116.779;103.939"),
        ("NVI054", "offsets=103.939;116.779;123.68\nmodel-color-format=1"),
        ("NVI063", "labelfile-path=here.txt"),
        ("NVI077", "[class-attrs-all]\npre-cluster-threshold=1\nnms-iou-threshold=0.01\ntopk=1"),
        ("NVI077", "cluster-mode=1\n[class-attrs-all]\nminBoxes=1\nnms-iou-threshold=0"),
    ],
)
def test_nothing(tmp_path: Path, rule: str, line: str) -> None:
    assert _levels(tmp_path, line, rule) == []


@pytest.mark.parametrize("value", ["0.0039", "0.004", "0.0392", "0.039215", "0.00039215", "255", "0", "-1", "nan"])
def test_mistyped_scales(tmp_path: Path, value: str) -> None:
    assert _levels(tmp_path, f"net-scale-factor={value}", "NVI052") == [WARNING]


@pytest.mark.parametrize(
    ("line", "release", "platform", "found"),
    [
        ("cluster-mode=0\n[class-attrs-all]\ngroup-threshold=1", "6.0", "dgpu", []),
        ("cluster-mode=0\n[class-attrs-all]\ngroup-threshold=1", "6.0.1", "dgpu", [NOTE]),
        ("cluster-mode=4\n[class-attrs-all]\npost-cluster-threshold=0.1", "9.1", "dgpu", [NOTE]),
        ("[class-attrs-all]\npost-cluster-threshold=0.1", "9.1", "dgpu", []),
    ],
)
def test_attributes_by_release(tmp_path: Path, line: str, release: str, platform: str, found: list[Level]) -> None:
    assert _levels(tmp_path, line, "NVI076", release, platform) == found


def test_hardware_by_platform(tmp_path: Path) -> None:
    for platform, dla, gpu in (("dgpu", [ERROR], []), ("jetson", [ERROR], [WARNING])):
        assert _levels(tmp_path, "enable-dla=1", "NVI043", platform=platform) == dla
        assert _levels(tmp_path, "gpu-id=1", "NVI043", platform=platform) == gpu


@pytest.mark.parametrize(
    ("mode", "more", "name"),
    [
        (0, "", "fp32"),
        (1, "int8-calib-file=here.txt\n", "int8"),
        (1, "int8-calib-file=/on/another/machine\n", "int8"),
        (1, "int8-calib-file=gone.txt\n", "int8"),
        (1, "", "fp16"),
        (2, "", "fp16"),
        (3, "", "best"),
    ],
)
def test_engine_names(tmp_path: Path, mode: int, more: str, name: str) -> None:
    for batch, gpu in ((1, 0), (16, 3)):
        text = f"onnx-file=sub/m.onnx\nnetwork-mode={mode}\nbatch-size={batch}\ngpu-id={gpu}\n{more}"
        right = f"model-engine-file=sub/m.onnx_b{batch}_gpu{gpu}_{name}.engine"
        assert _levels(tmp_path, text + right, "NVI023") == []
        assert _levels(tmp_path, text + right.replace("sub/", ""), "NVI023") == [WARNING]
        assert _levels(tmp_path, text + "enable-dla=1\nuse-dla-core=1\n" + right, "NVI023") == [WARNING]
        accelerated = right.replace(f"gpu{gpu}", "dla1")
        assert _levels(tmp_path, text + "enable-dla=1\nuse-dla-core=1\n" + accelerated, "NVI023") == []
