"""The mean squared error of a stack's runs, and the weights with the least error on validation data."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pac_surrogate.data.dataset import Dataset
from pac_surrogate.models import evaluate_stack
from pac_surrogate.models.weights import Weights
from pac_surrogate.solvers.batches import PaddedData
from pac_surrogate.solvers.runs import Options


def mean_squared_error(
    prediction: Float[Tensor, "run sample output"],
    y: Float[Tensor, "run sample output"],
    sample_weight: Float[Tensor, "run sample"],
) -> tuple[Float[Tensor, " run"], Float[Tensor, "run sample output"]]:
    """Return the mean squared error of each run and its derivative with respect to the prediction.

    Args:
        prediction: predictions of the stack.
        y: outputs.
        sample_weight: weight of each sample in its run's mean.
    """
    difference = prediction - y
    error = torch.linalg.vecdot(torch.linalg.vector_norm(difference, dim=2).square_(), sample_weight) / y.shape[-1]
    return error, difference.mul_((sample_weight * (2 / y.shape[-1])).unsqueeze(-1))


class Best:
    """Each run's weights with the least validation error so far; without validation data it does nothing."""

    def __init__(
        self,
        model: nn.Module,
        seen: Callable[[Weights], Weights],
        weights: Weights,
        valid: list[Dataset],
        options: Options,
    ) -> None:
        self.model, self.seen = model, seen
        self.data = PaddedData(valid, options.dtype, options.device) if valid else None
        self.weights = {name: tensor.detach().clone() for name, tensor in weights.items()} if valid else {}
        self.error = torch.full((len(valid),), math.inf, dtype=options.dtype, device=options.device)

    @torch.no_grad()
    def look(self, weights: Weights) -> None:
        """Measure the validation errors, and keep the weights of those runs that have improved."""
        if self.data is None:
            return
        error = self._mean_squared_error(self.data, self.seen(weights))
        better = error < self.error
        self.error = torch.where(better, error, self.error)
        for name, kept in self.weights.items():
            kept.copy_(torch.where(better.view(-1, *(1,) * (kept.ndim - 1)), weights[name], kept))

    def _mean_squared_error(self, data: PaddedData, weights: Weights, chunk: int = 256) -> Float[Tensor, " run"]:
        total = torch.zeros_like(self.error)
        for first in range(0, max(data.lengths), chunk):
            x, y, sample_weight = data.whole(slice(first, first + chunk))
            prediction, _ = evaluate_stack(self.model, weights, x)
            total += mean_squared_error(prediction, y, sample_weight)[0]
        return total

    def weights_or(self, last: Weights) -> Weights:
        """Return the best weights, or without validation data the last ones."""
        return self.weights if self.data is not None else last

    def valid_error(self, run: int) -> float | None:
        """Return the error of a run's best weights; None without validation data."""
        return float(self.error[run]) if self.data is not None else None
