"""Whole bundles, as they are meant to look, for three targets.

`UPDATE_GOLDEN=1 pytest` writes them anew: read the diff before you commit it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from convert.emit import Emit
from convert.types import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Callable

    from convert.types import Validated

GOLDEN = Path(__file__).parent / "golden"

CASES: dict[str, dict[str, Any]] = {
    "deepstream-5.1-jetson-sgie": {"target": "5.1", "role": "sgie", "batch_size": 8, "gie_id": 3},
    "deepstream-7.1-jetson-both": {},
    "deepstream-9.1-dgpu-pgie": {"target": "9.1", "platform": "dgpu", "role": "pgie", "precision": "fp16", "gpu_id": 1},
}


@pytest.mark.parametrize("case", CASES)
def test_a_bundle_looks_as_it_should(case: str, invent: Callable[..., Validated]) -> None:
    scaled = Preprocessing(1 / 127.5, (127.5, 127.5, 127.5), "RGB", True, True, "", None)
    model = invent(preprocessing=scaled) if "5.1" in case else invent()
    files = Emit(Path(case), **CASES[case]).files(model.adapted)
    del files["fruit.onnx"]
    folder = GOLDEN / case
    if os.environ.get("UPDATE_GOLDEN"):
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    assert {path.name: path.read_text() for path in sorted(folder.iterdir())} == {
        name: data.decode() for name, data in sorted(files.items())
    }
