"""Reconstruction of the values on both sides of cell faces from cell averages: constant or linear, with or without limiter."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Limiter = Callable[[Tensor, Tensor], Tensor]


def minmod(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the difference of smaller magnitude; 0 where the two have opposite signs."""
    return torch.minimum(lower, upper).clamp(min=0) + torch.maximum(lower, upper).clamp(max=0)


def van_leer(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the harmonic mean of two differences; 0 where they have opposite signs."""
    product = lower * upper
    return torch.where(product > 0, 2 * product / (lower + upper), 0)


def monotonized_central(lower: Tensor, upper: Tensor) -> Tensor:
    """Return the mean of two differences, at most twice the smaller one; 0 where they have opposite signs."""
    return minmod((lower + upper) / 2, 2 * minmod(lower, upper))


LIMITERS: dict[str, Limiter] = {
    "first order": lambda lower, upper: torch.zeros_like(lower),
    "minmod": minmod,
    "van Leer": van_leer,
    "monotonized central": monotonized_central,
    "none": lambda lower, upper: (lower + upper) / 2,
}


def face_values(
    averages: Float[Tensor, "*rows cell"], limiter: str
) -> tuple[Float[Tensor, "*rows cell-3"], Float[Tensor, "*rows cell-3"]]:
    """Reconstruct values on both sides of each face (MUSCL); the averages include two ghost cells beyond each end.

    The limiter computes the slope in a cell from the differences to its neighbours: 0 ("first order"), limited ("minmod",
    "van Leer", "monotonized central"; order 2 except at extrema, and no new extrema), or central ("none"; order 2).
    Source: van Leer, J. Comput. Phys. 32 (1979) 101-136; LeVeque, Finite Volume Methods (Cambridge 2002), chapter 6.

    Args:
        averages: averages over the cells.
        limiter: one of `LIMITERS`.

    Returns:
        The values below and above each face.

    Raises:
        ValueError: if the limiter is unknown.
    """
    if limiter not in LIMITERS:
        raise ValueError(f'limiter must be one of {", ".join(LIMITERS)}, got "{limiter}"')
    differences = torch.diff(averages)
    slopes = LIMITERS[limiter](differences[..., :-1], differences[..., 1:])
    return averages[..., 1:-2] + slopes[..., :-1] / 2, averages[..., 2:-1] - slopes[..., 1:] / 2
