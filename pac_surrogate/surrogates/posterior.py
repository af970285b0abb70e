"""The posterior of a surrogate at some inputs, in physical units."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pac_surrogate.utilities.arguments import whole_numbers, whole_seed
from pac_surrogate.utilities.display import Shown


@dataclass(frozen=True, eq=False, repr=False)
class Posterior(Shown):
    """The posterior of the outputs at some inputs.

    Attributes:
        mean: the prediction; of an output on a logarithmic scale, the median.
        variance: variance of each output, laid out like the prediction; None if the predictor has no posterior variance.
    """

    mean: Any
    variance: Any
    _draw: Callable[[int, torch.Generator], Any] | None = None

    def draws(self, count: int, *, seed: int = 0) -> Any:
        """Return joint draws of all rows, of shape (draw, sample, *output).

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
