"""Every parser against NVIDIA's own functions: random outputs, NaN and infinities among them.

`cases/stock_parsers.json` was recorded by compiling the public sources of DeepStream 9.1 with GCC 12 on x86-64 and
calling them with these inputs (parser, preClusteringThreshold, then cluster-mode 2 or 4).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.images.scaling import Network
from convert.simulate.decode import Detected, decode
from convert.simulate.parsers import Layer
from convert.simulate.settings import ClassSettings, ClusterMode, NetworkType, Settings

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases" / "stock_parsers.json").read_text())


def _name(case: dict[str, Any]) -> str:
    return f"{case['parser'] or 'builtin'}-mode{case['cluster-mode']}"


def _float32(number: float) -> float:
    return float(np.float32(number))


@pytest.mark.parametrize("why", [False, True], ids=["plain", "asked-why"])
@pytest.mark.parametrize("case", CASES, ids=_name)
def test_a_parser_and_clustering_give_what_nvidias_code_gives(case: dict[str, Any], why: bool) -> None:
    classes = tuple(
        ClassSettings(_float32(before), _float32(behind), _float32(overlap), topk)
        for before, behind, overlap, topk in case["classes"]
    )
    settings = Settings(
        NetworkType.DETECTOR, classes=classes, cluster_mode=ClusterMode(case["cluster-mode"]), parser=case["parser"]
    )
    layers = [
        Layer.of(one["name"], np.array(list(map(float, one["numbers"]))).astype(one["dtype"]).reshape(one["shape"]))
        for one in case["outputs"]
    ]
    (frame,) = decode(settings, Network(*case["network"]), layers, why=why).frames
    assert isinstance(frame, Detected)
    assert [one.class_id for one in frame.objects] == [one[0] for one in case["objects"]]
    found = np.array([(o.left, o.top, o.width, o.height, o.confidence) for o in frame.objects], np.float32)
    expected = np.array([list(map(float, one[1:])) for one in case["objects"]], np.float32)
    np.testing.assert_array_equal(found, expected)
    assert frame.dropped.wanted is why
