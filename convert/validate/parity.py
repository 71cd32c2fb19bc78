"""How far the ONNX model's outputs are from the original's, over any number of inputs.

Differences are absolute, in output units. For probabilities 1e-4 is a hundredth of a percent, and the kernels of LiteRT
alone spread by 3e-5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from convert.errors import ValidationError
from convert.findings import Rule
from convert.types import Parity
from convert.validate import CONSTANT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from convert.findings import Finding

NOT_FINITE = Rule("EI405")
PARITY = Rule("EI403")
TOP1 = Rule("EI404")


def align(reference: NDArray[np.float32], candidate: NDArray[Any]) -> NDArray[Any]:
    """`candidate` in the layout of `reference` [n, ..., classes].

    Shapes that are equal are compared as they are; [n,C,H,W] is turned to [n,H,W,C]; what only differs in dimensions of
    one ([n,C] and [n,C,1,1]) is reshaped.

    Raises:
        ValidationError: neither of these.
    """
    if candidate.shape == reference.shape:
        return candidate
    if candidate.ndim == reference.ndim == 4:
        turned = candidate.transpose(0, 2, 3, 1)
        if turned.shape == reference.shape:
            return turned
    if [size for size in candidate.shape if size != 1] == [size for size in reference.shape if size != 1]:
        return candidate.reshape(reference.shape)
    raise ValidationError(
        f"the ONNX model's output {list(candidate.shape[1:])} cannot be compared with the original's "
        f"{list(reference.shape[1:])}",
        hint="give validate the .tflite that this ONNX model was made from",
    )


@dataclass
class Tally:
    """What is known after any number of inputs; outputs are added in chunks so that memory stays small.

    Args:
        tolerance: the largest absolute difference that is still right; two classes the original tells apart by no more
            than this are a tie.
        ranked: of each output, whether its last dimension is classes; by default all are.
        exact: differences beyond the tolerance are a fault. They are none between two ways to compute with 8-bit codes,
            where a rounding that falls the other way moves a result by a whole step.
    """

    tolerance: float
    ranked: Sequence[bool] | None = None
    exact: bool = True
    inputs: int = field(default=0, init=False)
    _worst: float = field(default=0.0, init=False)
    _where: str = field(default="", init=False)
    _sum: float = field(default=0.0, init=False)
    _values: int = field(default=0, init=False)
    _ranked: int = field(default=0, init=False)
    _agreed: int = field(default=0, init=False)
    _largest: float = field(default=0.0, init=False)
    _broken: dict[str, str] = field(default_factory=dict, init=False)
    _range: list[tuple[NDArray[Any], NDArray[Any]]] = field(default_factory=list, init=False)

    def add(
        self, names: Sequence[str], reference: Sequence[NDArray[np.float32]], candidate: Sequence[NDArray[Any]]
    ) -> None:
        """Outputs [n, ...] of both models, in the same order, for the n inputs called `names`.

        Raises:
            ValidationError: the two have different outputs.
        """
        if len(reference) != len(candidate):
            raise ValidationError(
                f"the ONNX model has {len(candidate)} outputs and the original has {len(reference)}",
                hint="give validate the .tflite that this ONNX model was made from",
            )
        self.inputs += len(names)
        for number, (left, right) in enumerate(zip(reference, candidate, strict=True)):
            self._compare(names, left, align(left, right), ranked=self.ranked is None or self.ranked[number])
            low, high = left.min(axis=0), left.max(axis=0)
            if number == len(self._range):
                self._range.append((low, high))
            else:
                known = self._range[number]
                self._range[number] = (np.minimum(low, known[0]), np.maximum(high, known[1]))

    def parity(self) -> Parity | None:
        """The numbers; None where NaN or infinity makes them meaningless."""
        if self._broken or not self._values:
            return None
        top1 = self._agreed / self._ranked if self._ranked else 1.0
        return Parity(self._worst, self._sum / self._values, top1, self.inputs, self.tolerance)

    def findings(self) -> tuple[Finding, ...]:
        """What is wrong with them, worst first."""
        if self._broken:
            return tuple(NOT_FINITE.found(text, hint=NOT_FINITE.fix) for text in self._broken.values())
        found = []
        if self.exact and self._worst > self.tolerance:
            message = (
                f"outputs differ by up to {self._worst:.3g} (mean {self._sum / self._values:.3g}) from the original's "
                f"over {self.inputs} inputs, most on {self._where!r}; the tolerance is {self.tolerance:g}"
            )
            hint = "check --image-scaling; otherwise report the model"
            # Float32 keeps about seven digits: of numbers far above 1 no converter keeps four decimals.
            if self._worst <= self.tolerance * self._largest:
                hint = (
                    f"the outputs are no probabilities, they reach {self._largest:.3g}: "
                    f"--tolerance {1.1 * self.tolerance * self._largest:.2g} asks for the same precision"
                )
            found.append(PARITY.found(message, hint=hint))
        if self.exact and self._agreed < self._ranked:
            missed = self._ranked - self._agreed
            found.append(TOP1.found(f"top-1 differs in {missed} of {self._ranked} answers", hint=TOP1.fix))
        for number, (low, high) in enumerate(self._range):
            # A constant in the middle of the range is off by half the range at most.
            spread = float((high - low).max(initial=0.0))
            if self.inputs >= 2 and spread <= 2 * self.tolerance:
                message = (
                    f"output {number} of the original moves by {spread:.2g} over {self.inputs} inputs, which a "
                    f"tolerance of {self.tolerance:g} cannot tell from a constant"
                )
                found.append(CONSTANT.found(message, hint=CONSTANT.fix))
        return tuple(found)

    def _compare(self, names: Sequence[str], left: NDArray[np.float32], right: NDArray[Any], *, ranked: bool) -> None:
        finite = True
        for model, values in (("the original", left), ("the ONNX model", right)):
            ok = np.isfinite(values).reshape(len(names), -1).all(axis=1)
            if not ok.all():
                finite = False
                first = names[int(np.argmin(ok))]
                self._broken.setdefault(model, f"{model} gives NaN or infinity, first on input {first!r}")
        if not finite or not left.size:
            return
        difference = np.abs(left.astype(np.float64) - right).reshape(len(names), -1)
        worst = difference.max(axis=1)
        if worst.max() > self._worst:
            self._worst, self._where = float(worst.max()), names[int(worst.argmax())]
        self._sum += float(difference.sum())
        self._values += difference.size
        self._largest = max(self._largest, float(np.abs(left).max()))
        classes = left.shape[-1]
        if ranked and classes > 1:
            # Where the class the ONNX model ranks first is first, or as good as first, in the original.
            left, right = left.reshape(-1, classes), right.reshape(-1, classes)
            chosen = np.take_along_axis(left, right.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
            self._agreed += int((left.max(axis=1) - chosen <= self.tolerance).sum())
            self._ranked += len(left)
