"""Holds a detector's shipped outputs against its raw ones, which stay inside the graph under the names below.

Parity is measured on the raw outputs: what comes behind them has steps (the best class, the highest cell), across
which no tolerance makes sense. What comes behind them is compared with the head's reference (`convert.heads`) instead,
on the same raw values, so that only the last bits of exp and sigmoid may differ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.heads import HEADS, head
from convert.onnx_header import parse_header
from convert.validate.findings import DECODING, PLACES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding
    from convert.heads.reference import Network

__all__ = ["TOLERANCE", "Decoding", "raw_names", "with_raw"]

TOLERANCE = 1e-5
"""Times the value, where that is above 1: a few units in the last place of float32."""

_RAW = dict.fromkeys(name for each in HEADS for name in each.raw)
# Where the middle of all candidates' centres can be, in shares of the picture: about 0.5, unless pixels are taken for
# shares (16 or more) or shares for pixels (0.03 or less, from 16 pixels on).
_SPREAD = (0.04, 2.0)


def raw_names(model: bytes) -> tuple[str, ...]:
    """The raw outputs that the graph of a detector goes on behind, in the original's order; none for a classifier."""
    made = {name for node in parse_header(model).nodes for name in node.outputs}
    return tuple(name for name in _RAW if name in made)


def with_raw(model: bytes) -> bytes:
    """The model with its raw outputs among its outputs, behind the others."""
    import onnx  # noqa: PLC0415 - heavy; importing this module must stay light

    proto = onnx.load_model_from_string(model)
    proto.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in raw_names(model)
    )
    return bytes(proto.SerializeToString())


@dataclass
class Decoding:
    """What is known after any number of inputs."""

    network: Network
    difference: float = field(default=0.0, init=False)
    _where: str = field(default="", init=False)
    _labels: int = field(default=0, init=False)
    _middles: list[NDArray[Any]] = field(default_factory=list, init=False)

    def add(self, names: Sequence[str], raw: Sequence[NDArray[Any]], shipped: Sequence[NDArray[Any]]) -> None:
        """The outputs [n, ...] of one model for the n inputs called `names`: `raw` ones and those `shipped`."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinite raw outputs are parity's to find
            decoded = head(self.network.head.task).decoded(self.network, raw, shipped)
            self._labels += decoded.labels
            self._middles += decoded.middles
            for left, right in zip(decoded.wanted, decoded.found, strict=True):
                self._compare(names, left, right)

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong, worst first."""
        found = []
        if self._labels or self.difference > TOLERANCE:
            label = f", {self._labels} of the classes differ" if self._labels else ""
            message = (
                f"the decoded outputs differ by up to {self.difference:.3g} from what the raw ones mean{label}, first "
                f"on {self._where!r}"
            )
            found.append(DECODING.found(message, hint=DECODING.fix))
        if self._middles:
            middle = np.median(np.concatenate(self._middles), axis=0)
            if not _SPREAD[0] < middle.max() < _SPREAD[1]:
                y, x = middle
                message = (
                    f"the middle of all candidate boxes is at ({x:.3g}, {y:.3g}) of the picture's width and height"
                )
                found.append(PLACES.found(message, hint=PLACES.fix))
        return tuple(found)

    def _compare(self, names: Sequence[str], left: NDArray[Any], right: NDArray[Any]) -> None:
        """NaN and infinity in the same places are equal."""
        difference = np.abs(left - right) / np.maximum(1, np.abs(left))
        difference = np.where((left == right) | (np.isnan(left) & np.isnan(right)), 0, difference)
        rows = np.nan_to_num(difference, nan=np.inf).reshape(len(names), -1).max(axis=1)
        if rows.max() > self.difference:
            self.difference, self._where = float(rows.max()), names[int(rows.argmax())]
