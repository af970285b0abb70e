"""A prediction that is corrected by a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pac_surrogate.display import Shown
from pac_surrogate.files import Variable
from pac_surrogate.models import Architecture
from pac_surrogate.predictors.predictor import Predictor, base_from_state, base_state, check_finite, part, shapes


@dataclass(frozen=True, eq=False, repr=False)
class Correction(Shown):
    """A corrected prediction: slope * f(x) + offset + x @ linear, for each output.

    Attributes:
        base: what is corrected.
        slope: (output,).
        offset: (output,).
        linear: (input, output), zero where the correction has no such term.
    """

    base: Predictor
    slope: Float[Tensor, " output"]
    offset: Float[Tensor, " output"]
    linear: Float[Tensor, "input output"]

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Predict the base and correct it, float64."""
        slope, offset, linear = (tensor.to(x.device) for tensor in (self.slope, self.offset, self.linear))
        return slope * self.base.predict(x, batch_size=batch_size).double() + offset + x.double() @ linear

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Give the base's state and the correction."""
        tensors, description = base_state(self.base)
        correction = {"slope": self.slope, "offset": self.offset, "linear": self.linear}
        return tensors | {f"correction/{n}": t for n, t in correction.items()}, {"kind": "Correction", "base": description}

    @classmethod
    def from_state(
        cls,
        tensors: Mapping[str, Tensor],
        description: Mapping[str, Any],
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        model: Architecture | None,
    ) -> "Correction":
        """Rebuild from a saved state."""
        base = base_from_state(tensors, description["base"], inputs, outputs, model)
        correction = part(tensors, "correction/")
        rows, columns = (sum(variable.size for variable in side) for side in (inputs, outputs))
        if shapes(correction) != {"slope": (columns,), "offset": (columns,), "linear": (rows, columns)}:
            raise ValueError("the correction does not fit the inputs and outputs")
        check_finite("the numbers of the correction", correction)
        return cls(base, **correction)
