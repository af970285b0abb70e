"""What is chosen by leaving samples out must be chosen without the sample that judges it, and without its repeats."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pac_surrogate.repeats import group_sum, repeated


def chosen_by_others(squares: Float[Tensor, "setting sample"], group: Int[Tensor, " sample"]) -> Int[Tensor, " sample"]:
    """Which setting each sample is given by those of other inputs: that of their least mean squared leave-one-out error.

    Args:
        squares: mean squared leave-one-out residual of each sample, of every setting; of equal ones the first wins.
        group: number of each sample's input.
    """
    others = squares.sum(1, keepdim=True) - group_sum(squares.T, group).T
    return torch.nan_to_num(others, nan=torch.inf).argmin(0)


def leave_out(
    inverse: Float[Tensor, "sample sample"], applied: Float[Tensor, "sample output"], group: Int[Tensor, " sample"]
) -> Float[Tensor, "sample output"]:
    """Residuals of samples that were left out, with all of equal input: e_G = [A]_GG^-1 [A r]_G.

    Args:
        inverse: A, the inverse of a kernel matrix with its noise; one for all outputs.
        applied: A r.
        group: number of each sample's input.
    """
    left_out = applied / inverse.diagonal()[:, None]
    for members in repeated(group):
        left_out[members] = torch.linalg.solve(inverse[members][:, members], applied[members])
    return left_out
