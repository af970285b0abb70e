"""A prediction corrected by a linear function."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from pac_surrogate.predictors.codec import Coded
from pac_surrogate.predictors.predictor import Predictor


@dataclass(frozen=True, eq=False, repr=False)
class Correction(Coded):
    """A corrected prediction: slope * f(x) + offset + x @ linear, for each output.

    Attributes:
        base: the predictor that is corrected.
        slope: (output,).
        offset: (output,).
        linear: (input, output), zero where the correction has no such term.
    """

    called: ClassVar[str] = "the correction"
    prefix: ClassVar[str] = "correction/"

    base: Predictor
    slope: Float[Tensor, " output"]
    offset: Float[Tensor, " output"]
    linear: Float[Tensor, "input output"]

    def predict(self, x: Float[Tensor, "sample input"], *, batch_size: int | None = None) -> Float[Tensor, "sample output"]:
        """Correct the prediction of the base, in float64."""
        slope, offset, linear = (tensor.to(x.device) for tensor in (self.slope, self.offset, self.linear))
        return slope * self.base.predict(x, batch_size=batch_size).double() + offset + x.double() @ linear
