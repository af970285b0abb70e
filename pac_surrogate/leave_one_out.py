"""What is chosen by leaving samples out must be chosen without the sample that judges it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def chosen_by_others(errors: Float[Tensor, "setting sample *output"]) -> Int[Tensor, " sample"]:
    """Which setting each sample is given by the others: that of their least mean squared leave-one-out error.

    Args:
        errors: leave-one-out residuals of every setting; of equal ones the first wins.
    """
    squares = errors.square().flatten(2).mean(2) if errors.ndim > 2 else errors.square()
    others = squares.sum(1, keepdim=True) - squares
    return torch.nan_to_num(others, nan=torch.inf).argmin(0)
