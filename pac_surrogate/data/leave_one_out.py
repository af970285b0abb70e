"""Nested cross-validation: a sample judges a setting that the other samples have chosen, without its repeats."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.repeats import group_sum


def chosen_by_others(squares: Float[Tensor, "setting sample"], group: Int[Tensor, " sample"]) -> Int[Tensor, " sample"]:
    """Which setting each sample is given by those of other inputs: that of their least mean squared leave-one-out error.

    Args:
        squares: mean squared leave-one-out residual of each sample, of every setting; of equal ones the first wins.
        group: number of each sample's input.
    """
    others = squares.sum(1, keepdim=True) - group_sum(squares.T, group).T
    return torch.nan_to_num(others, nan=torch.inf).argmin(0)
