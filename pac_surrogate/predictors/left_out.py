"""A predictor with its residuals on samples that it has not seen, from which a choice among methods is made."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.repeats import group_sum
from pac_surrogate.predictors.predictor import Predictor
from pac_surrogate.utilities.display import Shown


@dataclass(frozen=True, eq=False, repr=False)
class LeftOut(Shown):
    """A predictor fitted to all samples, with the residual of each sample under the same fit without that sample.

    Attributes:
        predictor: the fit to all samples.
        residual: y_i - f_-i(x_i), standardised.
        variance: the square of each residual that the fit without the sample expects, if that fit is a posterior.
    """

    predictor: Predictor
    residual: Float[Tensor, "sample output"]
    variance: Float[Tensor, "sample output"] | None = None

    def expected(self, group: Int[Tensor, " sample"]) -> Float[Tensor, "sample output"]:
        """Return the expected square of each residual: from the posterior, otherwise the mean square over the other inputs.

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
