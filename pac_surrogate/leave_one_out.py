"""What is chosen by leaving samples out must be chosen without the sample that judges it."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def chosen_by_others(squares: Float[Tensor, "setting sample"]) -> Int[Tensor, " sample"]:
    """Which setting each sample is given by the others: that of their least mean squared leave-one-out error.

    Args:
        squares: mean squared leave-one-out residual of each sample, of every setting; of equal ones the first wins.
    """
    others = squares.sum(1, keepdim=True) - squares
    return torch.nan_to_num(others, nan=torch.inf).argmin(0)
