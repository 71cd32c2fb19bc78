"""Whether official clients can live with what an .eim says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert.eim import findings as rules
from convert.eim.memory import attach

if TYPE_CHECKING:
    from pathlib import Path

    from convert.eim.client import Model
    from convert.findings import Finding

__all__ = ["greeting_findings"]


def greeting_findings(model: Model, path: Path) -> tuple[Finding, ...]:
    """What the Python and Node.js clients stumble over in a hello answer."""
    found = []
    raw = model.raw
    if not model.features:
        found.append(rules.BAD_HELLO.found("it does not say how many features it takes", path=path))
    if not model.labels:
        found.append(rules.BAD_HELLO.found("it names no labels", path=path))
    if not isinstance(raw.get("project"), dict):
        found.append(rules.BAD_HELLO.found("it names no project; the Node.js command line needs it", path=path))
    if model.width and model.features != model.width * model.height:
        found.append(
            rules.BAD_HELLO.found(
                f"{model.features} features for a picture of {model.width}x{model.height}", path=path
            )
        )  # fmt: skip
    uneven = [label for label in model.labels if label.count("{") != label.count("}")]
    found += [
        rules.BRACE_IN_LABEL.found(f"the label {label!r} may be sent with its brace", path=path) for label in uneven
    ]
    offered = raw.get("features_shm")
    if offered is not None:
        memory = attach(offered) if isinstance(offered, dict) else None
        if memory is None:
            found.append(rules.NO_MEMORY.found("the shared memory it offers cannot be opened", path=path))
        else:
            memory.close()
    return tuple(found)
