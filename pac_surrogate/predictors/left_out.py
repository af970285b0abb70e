"""A predictor with the residuals that it leaves on samples that it has not seen: what a choice among methods needs."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.repeats import group_sum
from pac_surrogate.predictors.predictor import Predictor
from pac_surrogate.utilities.display import Shown


@dataclass(frozen=True, eq=False, repr=False)
class LeftOut(Shown):
    """A predictor fitted to all samples, with what the same fit leaves of each sample when it has not seen it.

    Attributes:
        predictor: of all samples.
        residual: y_i - f_-i(x_i), standardised.
        variance: what the fit without the sample expects of the square of its residual, if it is a posterior.
    """

    predictor: Predictor
    residual: Float[Tensor, "sample output"]
    variance: Float[Tensor, "sample output"] | None = None

    def expected(self, group: Int[Tensor, " sample"]) -> Float[Tensor, "sample output"]:
        """Expected square of each residual: by the posterior, or the mean square of the others where there is none.

        Args:
            group: number of each sample's input.
        """
        if self.variance is not None:
            return self.variance
        square, own = self.residual.square(), torch.bincount(group).double()[group, None]
        return (square.sum(0) - group_sum(square, group)).clamp_min(0.0) / (len(square) - own)

    @property
    def squared(self) -> Float[Tensor, " sample"]:
        """Mean squared residual of each sample."""
        return self.residual.square().mean(1)
