"""Nested cross-validation: each sample tests the setting that is selected by the samples of other inputs."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.data.repeats import group_sum


def nested_choice(squares: Float[Tensor, "setting sample"], group: Int[Tensor, " sample"]) -> Int[Tensor, " sample"]:
    """Select for each sample the setting with the least mean squared leave-one-out error over the samples of other inputs.

    Args:
        squares: mean squared leave-one-out residual of each sample for every setting; of equal settings, the first is chosen.
        group: number of each sample's input.
    """
    others = squares.sum(1, keepdim=True) - group_sum(squares.T, group).T
    return torch.nan_to_num(others, nan=torch.inf).argmin(0)
