"""Cholesky factorisation, with a test for singular matrices that does not depend on round-off."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

MARGIN = 100.0  # multiple of n eps, which is about the largest change of an eigenvalue of 0 by round-off


def cholesky(matrix: Float[Tensor, "*batch row row"]) -> tuple[Float[Tensor, "*batch row row"], Bool[Tensor, "*batch"]]:
    """Return the factor L of A = L L', and whether A is singular, or indefinite, in its own precision.

    Whether the factorisation of a singular matrix succeeds is a matter of chance and differs between processors, because
    round-off makes its eigenvalue of 0 slightly positive or slightly negative. A is therefore called singular if the matrix
    S = D^-1/2 A D^-1/2, where D is the diagonal of A, has an eigenvalue that is not well above round-off. S does not depend on
    the units of A. Its smallest eigenvalue is estimated by two steps of inverse iteration from a fixed random vector.
    Source: Higham, Accuracy and Stability of Numerical Algorithms (2nd edition, 2002), chapters 10 and 15.

    Args:
        matrix: A, symmetric; its lower triangle is read.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    rows = matrix.shape[-1]
    scale = matrix.diagonal(dim1=-2, dim2=-1).clamp_min(0.0).sqrt()[..., None]
    vector = torch.randn(rows, 1, generator=torch.Generator().manual_seed(0), dtype=matrix.dtype).to(matrix.device)
    grown = vector.norm(dim=-2, keepdim=True)
    for _ in range(2):
        vector = scale * torch.cholesky_solve(scale * (vector / grown), factor)
        grown = vector.norm(dim=-2, keepdim=True)
    sound = grown[..., 0, 0] * (MARGIN * rows * torch.finfo(matrix.dtype).eps) < 1
    return factor, (failed > 0) | ~sound
