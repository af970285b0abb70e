"""The posterior of a surrogate at some inputs, in physical units."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.data.scaling import Columns
from pac_surrogate.predictors import Predictor
from pac_surrogate.predictors.posterior import draws_of, has_joint_posterior, variance_of
from pac_surrogate.utilities.arguments import whole_numbers, whole_seed
from pac_surrogate.utilities.display import Shown
from pac_surrogate.utilities.process import own_settings, threads_for


@dataclass(frozen=True, eq=False, repr=False)
class Posterior(Shown):
    """The posterior of the outputs at some inputs.

    Attributes:
        mean: the prediction; of an output on a logarithmic scale, the exponential of the mean of its logarithm.
        variance: variance of each output, laid out like the prediction; None if the predictor has no posterior variance. On a
            logarithmic scale it is that of a lognormal distribution.
    """

    mean: Any
    variance: Any
    _draw: Callable[[int, torch.Generator], Any] | None = None

    def _shown(self) -> dict[str, Any]:
        joint = "draws(count) gives joint draws" if self._draw is not None else None
        return {"mean": self.mean, "variance": self.variance, "joint posterior": joint}

    def draws(self, count: int, *, seed: int = 0) -> Any:
        """Return joint draws of all rows, of shape (draw, sample, *output); a dictionary of them for inputs with labels.

        Args:
            count: number of draws.
            seed: seed of the random numbers.

        Raises:
            ValueError: if the predictor has no joint posterior.
        """
        (count,) = whole_numbers(least=1, count=count)
        if self._draw is None:
            raise ValueError("this predictor has no joint posterior: transfer with pac.CoKriging() or pac.GP() for draws")
        return self._draw(count, torch.Generator().manual_seed(whole_seed(seed)))


def lognormal_variance(mean: Tensor, variance: Tensor) -> Tensor:
    """Return the variance of exp(y) where y is normal: (exp(v) - 1) exp(2 m + v)."""
    return torch.expm1(variance) * torch.exp(2 * mean + variance)


def posterior_of(
    predictor: Predictor,
    outputs: Columns,
    x: Float[Tensor, "sample input"],
    standard: Float[Tensor, "sample output"],
    in_units: Callable[[Float[Tensor, "row output"]], Float[Tensor, "row output"]],
    laid_out: Callable[[Float[Tensor, "row output"]], Any],
    drawn: Callable[[Float[Tensor, "row output"]], Any],
    *,
    noise: bool,
) -> Posterior:
    """Return the posterior of a predictor at standardised inputs, in physical units.

    Args:
        predictor: predictor of the surrogate.
        outputs: scaling of its outputs.
        x: standardised inputs.
        standard: the prediction in standardised units.
        in_units: function that converts outputs to physical units, within the bounds of their variables.
        laid_out: function that brings outputs into the form of the prediction.
        drawn: likewise, for the rows of all draws, which have no labels.
        noise: whether to include the noise of a new target sample.
    """
    mean, variance = laid_out(in_units(standard)), variance_of(predictor, x, noise=noise)
    if variance is None:
        return Posterior(mean, None)
    unit, curved = outputs.deviation.to(variance), outputs.logarithmic.to(variance.device)
    physical = unit.square() * variance
    logarithms = torch.where(curved, standard * unit + outputs.mean.to(variance), 0.0)
    physical = torch.where(curved, lognormal_variance(logarithms, physical), physical)
    if not has_joint_posterior(predictor):
        return Posterior(mean, laid_out(physical))

    def draw(count: int, generator: torch.Generator) -> Any:
        with own_settings(gradients=False), threads_for(float(len(x)) ** 3):
            rows = drawn(in_units(draws_of(predictor, x, count, generator, noise=noise).flatten(0, 1)))
        if isinstance(rows, dict):
            return {name: one.reshape(count, -1, *one.shape[1:]) for name, one in rows.items()}
        return rows.reshape(count, -1, *rows.shape[1:])

    return Posterior(mean, laid_out(physical), draw)
