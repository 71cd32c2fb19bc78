"""Rules said in other words: small changes of a few good configs, and all that the rules they concern then say.

`variants.json` has them by rule, or by the rules that say different things about the same key: keys to write (null: to
leave out), a model in the language of onnx.parser or files where they count, and what is found. Each branch of a rule
and both sides of its limits are there. `python -m tests.check.rules.test_variants` writes what is found: read the
difference before it is committed.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import onnx.parser
import pytest

from tests.check.rules.cases import CASES, lay_out, said

FILE = Path(__file__).with_name("variants.json")
VARIANTS: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text()) if FILE.exists() else {}
_COMMON = {
    "gie-unique-id": 1, "batch-size": 1, "network-mode": 0, "infer-dims": "3;8;8", "model-color-format": 0,
    "net-scale-factor": 0.00392156862745098,
}  # fmt: skip
BASES: dict[str, dict[str, Any]] = {
    "classifier": {
        **_COMMON, "process-mode": 1, "network-type": 1, "onnx-file": "classifier.onnx",
        "model-engine-file": "classifier.onnx_b1_gpu0_fp32.engine", "labelfile-path": "classes.txt",
        "classifier-threshold": 0.5,
    },
    "detector": {
        **_COMMON, "process-mode": 1, "network-type": 0, "onnx-file": "detector.onnx",
        "model-engine-file": "detector.onnx_b1_gpu0_fp32.engine", "labelfile-path": "objects.txt",
        "num-detected-classes": 2, "cluster-mode": 2, "class-attrs-all/pre-cluster-threshold": 0.4,
        "class-attrs-all/nms-iou-threshold": 0.5, "class-attrs-all/topk": 20,
    },
    "app": {
        "application/enable-perf-measurement": 1, "source0/enable": 1, "source0/type": 3,
        "source0/uri": "file:///opt/nvidia/a.mp4", "streammux/batch-size": 1, "streammux/width": 1920,
        "streammux/height": 1080, "sink0/enable": 1, "sink0/type": 1, "primary-gie/enable": 1,
        "primary-gie/gie-unique-id": 1, "primary-gie/config-file": "pgie.txt", "secondary-gie0/enable": 1,
        "secondary-gie0/gie-unique-id": 2, "secondary-gie0/operate-on-gie-id": 1,
        "secondary-gie0/config-file": "sgie.txt",
    },
    "analytics": {
        "enable": 1, "config-width": 1280, "config-height": 720, "line-crossing-stream-0/enable": 1,
        "line-crossing-stream-0/line-crossing-Gate": "640;300;640;420;400;360;800;360",
        "line-crossing-stream-0/extended": 0, "line-crossing-stream-0/mode": "balanced",
        "line-crossing-stream-0/class-id": -1,
    },
    "tracker": {
        "BaseConfig/minDetectorConfidence": 0, "TargetManagement/maxTargetsPerStream": 150,
        "TargetManagement/probationAge": 4,
    },
}  # fmt: skip


def written(variant: dict[str, Any]) -> str:
    """The config of a variant."""
    base = variant.get("base", "classifier")
    groups: dict[str, list[str]] = {} if base in {"app", "tracker"} else {"property": []}
    for name, value in (BASES[base] | variant["keys"]).items():
        group, _, key = name.rpartition("/")
        if value is not None:
            groups.setdefault(group or "property", []).append(f"{key}={value}\n")
    if "yaml" in variant:
        lines = {group: "".join(f"  {line.replace('=', ': ', 1)}" for line in of) for group, of in groups.items()}
        return "".join(f"{group}:\n{text}" for group, text in lines.items()) + str(variant["yaml"])
    parts = (f"[{group}]\n{''.join(lines)}" for group, lines in groups.items() if lines or group == "property")
    return "".join(parts) + str(variant.get("more", ""))


def lay_out_bases(place: Path) -> None:
    """What cases share, and the engines of the app."""
    lay_out(CASES / "NVI001", place)
    (place / "pgie.txt").write_text(written({"base": "detector", "keys": {}}))
    second = {"gie-unique-id": 2, "process-mode": 2, "operate-on-gie-id": 1}
    (place / "sgie.txt").write_text(written({"keys": second}))


def found(rules: str, variant: dict[str, Any], place: Path) -> list[str]:
    """What `rules` say, a line for each finding; `place`: a folder with what cases share."""
    config = "config.yml" if "yaml" in variant else "config.txt"
    (place / config).write_bytes(written(variant).encode())
    for name, text in variant.get("files", {}).items():
        (place / name).write_bytes(text.encode("latin-1"))
    if model := variant.get("model"):
        name = BASES[variant.get("base", "classifier")]["onnx-file"]
        (place / name).write_bytes(onnx.parser.parse_model(model).SerializeToString())
    lines = [
        f"{each['id']} {each['level']} at {each.get('line')}:{each.get('column')}: {each['message']} | {each.get('hint')}"
        for each in said(place, config, variant.get("options", []))
        if each["id"] in rules
    ]
    if model or "files" in variant:
        lay_out_bases(place)
    return lines


@pytest.mark.parametrize("rules", VARIANTS)
def test_what_is_said(rules: str, tmp_path: Path) -> None:
    lay_out_bases(tmp_path)
    for variant in VARIANTS[rules]:
        assert found(rules, variant, tmp_path) == variant["found"], {**variant, "found": ""}


def _accept() -> None:
    for rules, variants in VARIANTS.items():
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary).resolve()
            lay_out_bases(place)
            for variant in variants:
                variant["found"] = found(rules, variant, place)
    FILE.write_text(json.dumps(VARIANTS, indent=1, ensure_ascii=False) + os.linesep)


if __name__ == "__main__":
    _accept()
