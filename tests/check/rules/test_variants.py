"""Rules said in other words: small changes of two good configs, and all that the rules they concern then say.

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
}  # fmt: skip


def written(variant: dict[str, Any]) -> str:
    """The config of a variant."""
    groups: dict[str, list[str]] = {"property": []}
    for name, value in (BASES[variant.get("base", "classifier")] | variant["keys"]).items():
        group, _, key = name.rpartition("/")
        if value is not None:
            groups.setdefault(group or "property", []).append(f"{key}={value}\n")
    if "yaml" in variant:
        lines = {group: "".join(f"  {line.replace('=', ': ', 1)}" for line in of) for group, of in groups.items()}
        return "".join(f"{group}:\n{text}" for group, text in lines.items()) + str(variant["yaml"])
    return "".join(f"[{group}]\n{''.join(lines)}" for group, lines in groups.items()) + str(variant.get("more", ""))


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
        lay_out(CASES / "NVI001", place)
    return lines


@pytest.mark.parametrize("rules", VARIANTS)
def test_what_is_said(rules: str, tmp_path: Path) -> None:
    lay_out(CASES / "NVI001", tmp_path)
    for variant in VARIANTS[rules]:
        assert found(rules, variant, tmp_path) == variant["found"], {**variant, "found": ""}


def _accept() -> None:
    for rules, variants in VARIANTS.items():
        with tempfile.TemporaryDirectory() as temporary:
            place = Path(temporary).resolve()
            lay_out(CASES / "NVI001", place)
            for variant in variants:
                variant["found"] = found(rules, variant, place)
    FILE.write_text(json.dumps(VARIANTS, indent=1, ensure_ascii=False) + os.linesep)


if __name__ == "__main__":
    _accept()
