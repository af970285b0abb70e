"""A direct solver for the five-point stencil on a rectangle, many samples at once, on any device."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

LEAST_HOLD = 1e-13  # of a part's diagonals: a hundred times what round-off may leave of a part that nothing holds


def solve_five_point(
    centre: Float[Tensor, "sample x y"],
    along_x: Float[Tensor, "sample x-1 y"],
    along_y: Float[Tensor, "sample x y-1"],
    right: Float[Tensor, "sample x y"],
) -> Float[Tensor, "sample x y"]:
    """Solve the symmetric positive definite systems c p - a (neighbours along x) - b (neighbours along y) = r.

    Block Cholesky elimination from one x to the next: with the tridiagonal matrix A_i of the column at x_i and the
    diagonal one D_i that couples it to the column before, S_i = A_i - D_i inv(S_{i-1}) D_i. No step depends on the values,
    so that rows do not know of each other. For n x n cells a sample takes about 2 n^4 operations and keeps n^3 numbers.
    (A step of iterative refinement was tried and gained nothing: what is left over is what rounding p to double leaves.)
    Source: Golub & Van Loan, Matrix Computations (4th edition, 2013), section 4.5.

    Args:
        centre: c.
        along_x: a between each cell and the next along x, not negative.
        along_y: b between each cell and the next along y, not negative.
        right: r.

    Returns:
        p.

    Raises:
        ValueError: if a system is singular or indefinite in double precision.
    """
    _check_held(centre, along_x, along_y)
    inverses = _eliminate(centre, along_x, along_y)
    _check_condition(_substitute(inverses, along_x, centre))
    return _substitute(inverses, along_x, right)


def _check_held(centre: Tensor, along_x: Tensor, along_y: Tensor) -> None:
    """Refuse a system with a part that nothing holds, whatever round-off would make of its pivots.

    A part is what hangs together by coefficients other than 0. The rows of a part that nothing holds add up to 0, and it is
    singular; in double precision they add up to a few roundings of the diagonals (4 neighbours a row: at most 1e-15 of their
    sum). So the sum over a part, of c less its neighbours' coefficients, must stand well above that.
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
    """Refuse a system of which some cells hang together with a held value by coefficients that round-off swallows.

    No coefficient is negative, so neither is any entry of inv(A), and with D the diagonal the largest entry of inv(A) D 1 is
    the maximum norm of inv(A) D. For a group of cells it is at least the sum of their diagonals over what holds the group: 1e13
    at `LEAST_HOLD`, where the solution has three digits left, and 1e15 or more, or below 0, where round-off alone holds it.

    Args:
        reach: inv(A) D 1.
    """
    _refuse(~((reach > 0) & (reach < 1 / LEAST_HOLD)).all((1, 2)))


def _refuse(singular: Bool[Tensor, " sample"]) -> None:
    if bool(singular.any()):
        raise ValueError(
            f"the system of sample {int(singular.nonzero()[0])} is singular to double precision: every cell must hang together"
            " with a held value, through coefficients that span fewer decades"
        )


def _eliminate(centre: Tensor, along_x: Tensor, along_y: Tensor) -> list[Tensor]:
    """Return the inverse of each S_i, (sample, y, y)."""
    inverses: list[Tensor] = []
    for i in range(centre.shape[1]):
        block = torch.diag_embed(centre[:, i]) - torch.diag_embed(along_y[:, i], -1)  # above the diagonal none is read
        if inverses:
            block -= along_x[:, i - 1, :, None] * inverses[-1] * along_x[:, i - 1, None, :]
        factor, failed = torch.linalg.cholesky_ex(block)
        _refuse(failed > 0)
        inverses.append(torch.cholesky_inverse(factor))
    return inverses


def _substitute(inverses: list[Tensor], along_x: Tensor, right: Tensor) -> Tensor:
    """Solve with the inverses at hand: forwards, then backwards."""
    columns: list[Tensor] = []
    for i, inverse in enumerate(inverses):
        known = right[:, i] if i == 0 else right[:, i] + along_x[:, i - 1] * columns[-1]
        columns.append((inverse @ known[..., None])[..., 0])
    for i in range(len(columns) - 2, -1, -1):
        columns[i] = columns[i] + (inverses[i] @ (along_x[:, i] * columns[i + 1])[..., None])[..., 0]
    return torch.stack(columns, 1)
