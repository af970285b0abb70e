"""A direct solver for the five-point stencil on a rectangle, many samples at once, on any device."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

LEAST_HOLD = 1e-13  # of a component's diagonal: a hundred times what round-off may leave where no value is held


def solve_five_point(
    centre: Float[Tensor, "sample x y"],
    along_x: Float[Tensor, "sample x-1 y"],
    along_y: Float[Tensor, "sample x y-1"],
    right: Float[Tensor, "sample x y"],
) -> Float[Tensor, "sample x y"]:
    """Solve the symmetric positive definite systems c p - a (neighbours along x) - b (neighbours along y) = r.

    Block Cholesky elimination proceeds from one x to the next: with the tridiagonal matrix A_i of the column at x_i and the
    diagonal matrix D_i that couples it to the previous column, S_i = A_i - D_i inv(S_{i-1}) D_i. The sequence of steps does
    not depend on the values, so that samples do not influence each other. For n x n cells a sample needs about 2 n^4
    operations and a memory of n^3 numbers. (A step of iterative refinement was tried and gained nothing: the remaining
    residual is due to rounding p to double precision.)
    Source: Golub & Van Loan, Matrix Computations (4th edition, 2013), section 4.5.

    Args:
        centre: coefficients c.
        along_x: coefficients a between each cell and the next along x, not negative.
        along_y: coefficients b between each cell and the next along y, not negative.
        right: right-hand sides r.

    Returns:
        The solutions p.

    Raises:
        ValueError: if a system is singular or indefinite in double precision.
    """
    _check_held(centre, along_x, along_y)
    inverses = _eliminate(centre, along_x, along_y)
    _check_condition(_substitute(inverses, along_x, centre))
    return _substitute(inverses, along_x, right)


def _check_held(centre: Tensor, along_x: Tensor, along_y: Tensor) -> None:
    """Check that every connected component of cells has a held value, regardless of the sign that round-off gives its pivots.

    A component is a set of cells that are connected by coefficients other than 0. Without a held value its rows add up to 0
    and its matrix is singular; in double precision they add up to a few roundings of the diagonal entries (with 4 neighbours
    per row: at most 1e-15 of the sum of these entries). The sum of c less the neighbours' coefficients over a component must
    therefore be well above that.
    """
    coupled = centre.detach().cpu().clone()
    x, y = along_x.detach().cpu(), along_y.detach().cpu()
    coupled[:, :-1] -= x
    coupled[:, 1:] -= x
    coupled[:, :, :-1] -= y
    coupled[:, :, 1:] -= y
    cells = np.arange(coupled.numel()).reshape(coupled.shape)
    pairs = [
        (cells[:, :-1][x.numpy() != 0], cells[:, 1:][x.numpy() != 0]),
        (cells[:, :, :-1][y.numpy() != 0], cells[:, :, 1:][y.numpy() != 0]),
    ]
    ones, others = (np.concatenate(side) for side in zip(*pairs, strict=True))
    graph = coo_array((np.ones(len(ones), dtype=np.int8), (ones, others)), shape=(cells.size, cells.size))
    count, part = connected_components(graph, directed=False)
    hold = np.bincount(part, coupled.flatten().numpy(), count)
    size = np.bincount(part, centre.detach().cpu().abs().flatten().numpy(), count)
    loose = hold <= LEAST_HOLD * size
    _refuse(torch.from_numpy(loose[part].reshape(cells.shape[0], -1).any(1)))


def _check_condition(reach: Float[Tensor, "sample x y"]) -> None:
    """Check that no cells are connected to the held values only by coefficients that are lost in round-off.

    No coefficient is negative, so no entry of inv(A) is negative either. With the diagonal D, the largest entry of inv(A) D 1
    is therefore the maximum norm of inv(A) D. For a group of cells it is at least the sum of their diagonal entries divided by
    the coefficients that connect the group to held values. It is 1e13 at `LEAST_HOLD`, where the solution has three digits
    left, and 1e15 or more, or negative, where only round-off keeps the matrix from being singular.

    Args:
        reach: the vectors inv(A) D 1.
    """
    _refuse(~((reach > 0) & (reach < 1 / LEAST_HOLD)).all((1, 2)))


def _refuse(singular: Bool[Tensor, " sample"]) -> None:
    if bool(singular.any()):
        raise ValueError(
            f"the system of sample {int(singular.nonzero()[0])} is singular to double precision: every cell must be connected"
            " to a held value, through coefficients that span fewer decades"
        )


def _eliminate(centre: Tensor, along_x: Tensor, along_y: Tensor) -> list[Tensor]:
    """Return the inverse of each S_i, (sample, y, y)."""
    inverses: list[Tensor] = []
    for i in range(centre.shape[1]):
        block = torch.diag_embed(centre[:, i]) - torch.diag_embed(along_y[:, i], -1)  # only the lower triangle is read
        if inverses:
            block -= along_x[:, i - 1, :, None] * inverses[-1] * along_x[:, i - 1, None, :]
        factor, failed = torch.linalg.cholesky_ex(block)
        _refuse(failed > 0)
        inverses.append(torch.cholesky_inverse(factor))
    return inverses


def _substitute(inverses: list[Tensor], along_x: Tensor, right: Tensor) -> Tensor:
    """Solve with the given inverses by forward and backward substitution."""
    columns: list[Tensor] = []
    for i, inverse in enumerate(inverses):
        known = right[:, i] if i == 0 else right[:, i] + along_x[:, i - 1] * columns[-1]
        columns.append((inverse @ known[..., None])[..., 0])
    for i in range(len(columns) - 2, -1, -1):
        columns[i] = columns[i] + (inverses[i] @ (along_x[:, i] * columns[i + 1])[..., None])[..., 0]
    return torch.stack(columns, 1)
