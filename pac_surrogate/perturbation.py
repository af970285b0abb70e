"""Perturbed inputs: training on the worst perturbation in a small box around each sample, or on random noise in that box."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pac_surrogate.utilities.arguments import settings


@settings
class Perturbation:
    """Inputs x + eta with |eta|_inf <= radius, in standardised units.

    With steps > 0, eta is adversarial: projected gradient ascent of the loss from a random start (PGD; Madry et al. 2018,
    arXiv:1706.06083), with steps of size 2 radius / steps. With steps = 0, eta is the random start, uniform noise in the same
    box; this control distinguishes the effect of robustness from that of smoothing.

    Args:
        radius: half the side of the box.
        steps: number of steps of gradient ascent.
    """

    radius: float
    steps: int = 3

    def __post_init__(self) -> None:
        if not 0 <= self.radius < float("inf") or self.steps < 0:
            raise ValueError(
                f"a perturbation needs a finite radius >= 0 and steps >= 0, got radius={self.radius}, steps={self.steps}"
            )


def perturbed(
    x: Float[Tensor, "run sample input"],
    perturbations: Sequence[Perturbation],
    start: Float[Tensor, "run sample input"],
    slope: Callable[[Float[Tensor, "run sample input"]], Float[Tensor, "run sample input"]],
) -> Float[Tensor, "run sample input"]:
    """Return the perturbed inputs of a stack.

    Args:
        x: inputs.
        perturbations: one perturbation per run, all with the same number of steps.
        start: random start of each perturbation in units of its radius, in [-1, 1].
        slope: function that returns the gradient of the runs' losses with respect to the inputs.
    """
    radius = torch.tensor([p.radius for p in perturbations], dtype=x.dtype, device=x.device).view(-1, 1, 1)
    steps = perturbations[0].steps
    eta = radius * start
    for _ in range(steps):
        eta = (eta + 2 * radius / steps * slope(x + eta).sign()).clamp(-radius, radius)
    return x + eta


def random_start(
    seeds: Sequence[int], rows: Sequence[int], step: int, like: Float[Tensor, "run sample input"]
) -> Float[Tensor, "run sample input"]:
    """Return uniform random numbers in [-1, 1] for each run's own rows, a function of its seed and the step; 0 on padding."""
    start = torch.zeros(like.shape, dtype=like.dtype)
    for run, (seed, count) in enumerate(zip(seeds, rows, strict=True)):
        drawn = np.random.default_rng((seed, step, 1)).uniform(-1, 1, (count, like.shape[2]))
        start[run, :count] = torch.as_tensor(drawn)
    return start.to(like.device)
